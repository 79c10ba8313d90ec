// Records of the key retention service: keys, keyrings, permissions. Everything is a plain value in
// KeyringsState; what a certificate means is parsed from its payload when it is asked for (and cached by the
// payload's identity), not stored.

import type { Map as ImmutableMap } from 'immutable';
import type { VfsTask } from '../vfs/types.ts';

export type KeyType = 'keyring' | 'user' | 'logon' | 'asymmetric' | 'encrypted' | 'trusted' | 'blacklist';

/**
 * Payload of a trusted key: the secret, the form in which it leaves the kernel, and whether it may be
 * sealed anew.
 */
export interface TrustedPayload {
  readonly key: Uint8Array;
  readonly blob: Uint8Array;
  /** Sealed without fixedTPM and fixedParent. */
  readonly migratable: boolean;
}

/** Payload of an encrypted key (security/keys/encrypted-keys). */
export interface EncryptedPayload {
  /** `default` or `enc32`. */
  readonly format: string;
  readonly masterDesc: string;
  readonly datalen: string;
  readonly iv: Uint8Array;
  readonly decrypted: Uint8Array;
}

/** Which check a keyring makes before a key is linked to it. */
export type Restriction =
  /** restrict_link_reject: nothing more. */
  | 'reject'
  | 'builtin_trusted'
  | 'builtin_and_secondary_trusted'
  | 'digsig_builtin_and_secondary'
  | 'digsig_builtin'
  /** .machine with CONFIG_INTEGRITY_CA_MACHINE_KEYRING: certificates that may sign others. */
  | 'ca'
  /** The same, and nothing that signs data. */
  | 'ca_max'
  /** .blacklist: keys of type blacklist only. */
  | 'blacklist';

export interface Key {
  readonly serial: number;
  readonly type: KeyType;
  readonly description: string;
  readonly uid: number;
  readonly gid: number;
  /** KEY_POS_*, KEY_USR_*, KEY_GRP_*, KEY_OTH_* bits. */
  readonly perm: number;
  readonly revoked: boolean;
  /** KEY_FLAG_BUILTIN: compiled into the kernel. */
  readonly builtin: boolean;
  /** KEY_FLAG_KEEP on a keyring: its keys cannot be unlinked. */
  readonly keep: boolean;
  /** KEY_FLAG_IN_QUOTA: made by a program, or one of a user's own keyrings. */
  readonly inQuota: boolean;
  readonly payload: Uint8Array | null;
  readonly encrypted: EncryptedPayload | null;
  readonly trusted: TrustedPayload | null;
  /** Serials of what a keyring links to, in link order; null for other types. */
  readonly links: readonly number[] | null;
  readonly restriction: Restriction | null;
}

export interface KeyringsState {
  readonly keys: ImmutableMap<number, Key>;
  /** The system's keyrings by name: `.ima`, `.builtin_trusted_keys` ... */
  readonly named: ImmutableMap<string, number>;
  /** `_uid.N` and `_uid_ses.N` by user id. */
  readonly userKeyrings: ImmutableMap<number, readonly [user: number, session: number]>;
  /** `.user_reg`, which holds the users' keyrings; null before the first of them. */
  readonly userRegister: number | null;
  readonly nextSerial: number;
}

/** The acting task as keyctl sees it; 0 = its session keyring is the user's. */
export interface KeyTask extends VfsTask {
  readonly sessionKeyring: number;
}

export const KEY_NEED_VIEW = 0x01;
export const KEY_NEED_READ = 0x02;
export const KEY_NEED_WRITE = 0x04;
export const KEY_NEED_SEARCH = 0x08;
export const KEY_NEED_LINK = 0x10;
export const KEY_NEED_SETATTR = 0x20;

export const KEY_POS_ALL = 0x3f000000;
export const KEY_POS_SETATTR = 0x20000000;
export const KEY_POS_VIEW = 0x01000000;
export const KEY_POS_READ = 0x02000000;
export const KEY_POS_WRITE = 0x04000000;
export const KEY_POS_SEARCH = 0x08000000;
export const KEY_POS_LINK = 0x10000000;
export const KEY_USR_VIEW = 0x00010000;
export const KEY_USR_READ = 0x00020000;
export const KEY_USR_WRITE = 0x00040000;
export const KEY_USR_SEARCH = 0x00080000;
export const KEY_USR_ALL = 0x003f0000;
export const KEY_USR_SETATTR = 0x00200000;

/** INVALID_GID: no group. */
export const NO_GID = 0xffffffff;

export const KEY_SPEC_THREAD_KEYRING = -1;
export const KEY_SPEC_PROCESS_KEYRING = -2;
export const KEY_SPEC_SESSION_KEYRING = -3;
export const KEY_SPEC_USER_KEYRING = -4;
export const KEY_SPEC_USER_SESSION_KEYRING = -5;
