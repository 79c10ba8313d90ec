// Reason codes of EVM: why metadata was accepted, refused, re-labelled, or not looked at.

import { defineReasons } from '../base/reasons.ts';

export const EVM_REASON = defineReasons({
  'evm.no_label': {
    text: 'the file has protected attributes but no security.evm',
    source: 'security/integrity/evm/evm_main.c evm_verify_hmac()',
  },
  'evm.no_xattrs': {
    text: 'the file has no protected attribute, so there is nothing to verify',
    source: 'security/integrity/evm/evm_main.c evm_verify_hmac()',
  },
  'evm.fail': {
    text: 'security.evm does not fit the metadata',
    source: 'security/integrity/evm/evm_main.c evm_verify_hmac()',
  },
  'evm.fail_immutable': {
    text: 'the portable signature does not fit the metadata',
    source: 'security/integrity/evm/evm_main.c evm_verify_hmac()',
  },
  'evm.pass': {
    text: 'security.evm fits the metadata',
    source: 'security/integrity/evm/evm_main.c evm_verify_hmac()',
  },
  'evm.pass_immutable': {
    text: 'the portable signature fits, so the metadata must stay as it is',
    source: 'security/integrity/evm/evm_main.c evm_verify_hmac()',
  },
  'evm.unsupported': {
    text: 'the file system cannot hold an HMAC and no certificate is loaded',
    source: 'security/integrity/evm/evm_main.c evm_verify_hmac()',
  },
  'evm.refused': {
    text: '{op} is refused: EVM says {status}',
    source: 'security/integrity/evm/evm_main.c evm_protect_xattr(), evm_inode_setattr()',
  },
  'evm.userspace_hmac': {
    text: 'user space may write signatures to security.evm, never an HMAC',
    source: 'security/integrity/evm/evm_main.c evm_inode_setxattr()',
  },
  'evm.relabelled': {
    text: 'security.evm was written anew as an HMAC over the metadata',
    source: 'security/integrity/evm/evm_crypto.c evm_update_evmxattr()',
  },
  'evm.unlabelled': {
    text: 'no protected attribute is left, so security.evm was removed',
    source: 'security/integrity/evm/evm_crypto.c evm_update_evmxattr()',
  },
  'evm.setup_complete': {
    text: 'the set-up is complete: the node takes no more values',
    source: 'security/integrity/evm/evm_secfs.c evm_write_key()',
  },
  'evm.no_key': {
    text: 'no encrypted or trusted key named evm-key can be found',
    source: 'security/integrity/evm/evm_crypto.c evm_init_key()',
  },
});
