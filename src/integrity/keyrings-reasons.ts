// Reason codes of the key retention service.

import { defineReasons } from '../base/reasons.ts';

export const KEYRING_REASON = defineReasons({
  'keys.no_permission': {
    text: 'the key {key} does not grant that to this task',
    source: 'security/keys/permission.c key_task_permission()',
  },
  'keys.not_found': {
    text: 'no key {key} can be reached from the keyrings that were searched',
    source: 'security/keys/keyring.c keyring_search_rcu()',
  },
  'keys.seal_refused': {
    text: 'the TPM refuses to {what} the secret: {rc}',
    source: 'security/keys/trusted-keys/trusted_tpm2.c tpm2_seal_trusted(), tpm2_unseal_trusted()',
  },
  'keys.restricted': {
    text: 'the keyring {keyring} only takes keys that its restriction accepts',
    source: 'crypto/asymmetric_keys/restrict.c',
  },
  'keys.blacklisted': {
    text: 'the key is on the blacklist',
    source: 'security/integrity/digsig_asymmetric.c request_asymmetric_key()',
  },
  'keys.bad_signature': {
    text: 'the signature does not verify with the key {key}',
    source: 'crypto/asymmetric_keys/signature.c verify_signature()',
  },
});
