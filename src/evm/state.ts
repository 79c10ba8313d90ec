// EVM's state: which keys are loaded, which attributes count, and the cached verdict for each inode.

import { Map as ImmutableMap } from 'immutable';
import { enabled, type KernelProfile } from '../base/profile.ts';
import type { IntegrityStatus } from '../integrity/status.ts';
import type { InodeKey } from '../vfs/types.ts';
import { EVM_DEFAULT_XATTRS } from './api.ts';

export const EVM_INIT_HMAC = 0x0001;
export const EVM_INIT_X509 = 0x0002;
export const EVM_ALLOW_METADATA_WRITES = 0x0004;
/** Written as 1 << 31; kept unsigned here. */
export const EVM_SETUP_COMPLETE = 0x80000000;
export const EVM_KEY_MASK = EVM_INIT_HMAC | EVM_INIT_X509;
export const EVM_INIT_MASK = 0x80000007;

/** Flags of evm_iint_cache. */
export const EVM_NEW_FILE = 1;
export const EVM_IMMUTABLE_DIGSIG = 2;

/** Length of the key buffer: a shorter key is padded with zeros before HMAC sees it. */
export const MAX_KEY_SIZE = 128;

export interface EvmXattr {
  readonly name: string;
  /** Disabled names do not count for HMACs and plain signatures, but for portable ones. */
  readonly enabled: boolean;
}

export interface EvmIint {
  readonly status: IntegrityStatus;
  readonly flags: number;
  /** Overlay: identity and change counter of the inode that held the metadata when it was verified. */
  readonly metadata: { readonly inode: InodeKey; readonly version: number } | null;
}

export interface EvmState {
  /** evm_initialized, as an unsigned 32-bit number. */
  readonly initialized: number;
  readonly fixMode: boolean;
  readonly xattrs: readonly EvmXattr[];
  readonly xattrsLocked: boolean;
  readonly hmacKey: Uint8Array | null;
  readonly iints: ImmutableMap<InodeKey, EvmIint>;
}

/**
 * Whether an xattr's LSM is built in.
 * @kernel security/integrity/evm/evm_main.c evm_config_default_xattrnames[]
 */
function builtIn(profile: KernelProfile, name: string): boolean {
  switch (name) {
    case 'security.selinux':
      return enabled(profile, 'CONFIG_SECURITY_SELINUX');
    case 'security.SMACK64':
      return enabled(profile, 'CONFIG_SECURITY_SMACK');
    case 'security.SMACK64EXEC':
    case 'security.SMACK64TRANSMUTE':
    case 'security.SMACK64MMAP':
      return enabled(profile, 'CONFIG_EVM_EXTRA_SMACK_XATTRS');
    case 'security.apparmor':
      return enabled(profile, 'CONFIG_SECURITY_APPARMOR');
    case 'security.ima':
      return enabled(profile, 'CONFIG_IMA_APPRAISE');
    default:
      return true;
  }
}

/** EVM as it is after power-on: the default names, no key. */
export function newEvm(profile: KernelProfile): EvmState {
  return {
    initialized: 0,
    fixMode: false,
    xattrs: EVM_DEFAULT_XATTRS.map((name) => ({ name, enabled: builtIn(profile, name) })),
    xattrsLocked: false,
    hmacKey: null,
    iints: ImmutableMap(),
  };
}
