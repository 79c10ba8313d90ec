// The records of IPE: a parsed policy, a loaded policy with its place in securityfs, and the room's state.
// All are plain immutable values. Names follow struct ipe_policy, ipe_parsed_policy, ipe_op_table,
// ipe_rule, ipe_prop.

import type { Map as ImmutableMap, Set as ImmutableSet } from 'immutable';
import type { InodeKey, SbId } from '../vfs/types.ts';

/** Operations in the order of enum ipe_op_type, as the policy language and the audit records write them. */
export const IPE_OPS = [
  'EXECUTE',
  'FIRMWARE',
  'KMODULE',
  'KEXEC_IMAGE',
  'KEXEC_INITRAMFS',
  'POLICY',
  'X509_CERT',
] as const;

export type IpeOp = (typeof IPE_OPS)[number];

/** Hooks as the audit record names them. */
export type IpeHook =
  | 'BPRM_CHECK'
  | 'BPRM_CREDS_FOR_EXEC'
  | 'MMAP'
  | 'MPROTECT'
  | 'KERNEL_READ'
  | 'KERNEL_LOAD';

export type IpeAction = 'ALLOW' | 'DENY';

/** `alg:hex` of a policy; the algorithm's name is free text and never checked. */
export interface IpeDigest {
  readonly alg: string;
  readonly digest: Uint8Array;
}

export type IpePropertyValue = boolean | IpeDigest;

/** One condition of a rule: a declared property's name and the value that it is compared with. */
export interface IpeProp {
  readonly name: string;
  readonly value: IpePropertyValue;
}

export interface IpeRule {
  readonly op: IpeOp;
  /** In the order of the text; all must hold. Empty matches every event of the operation. */
  readonly props: readonly IpeProp[];
  readonly action: IpeAction;
  /** Line of the text, from 1. */
  readonly line: number;
}

export interface IpeOpTable {
  /** `DEFAULT op=X action=..`, null when the text has none. */
  readonly defaultAction: IpeAction | null;
  readonly rules: readonly IpeRule[];
}

export interface IpeVersion {
  readonly major: number;
  readonly minor: number;
  readonly rev: number;
}

export interface IpeParsedPolicy {
  /** One character per byte. */
  readonly name: string;
  readonly version: IpeVersion;
  readonly globalDefaultAction: IpeAction | null;
  readonly ops: { readonly [op in IpeOp]: IpeOpTable };
}

/** A policy that was accepted: its text, its signed envelope, and what was read from it. */
export interface IpePolicy {
  /** Content of the PKCS#7 message, or the boot policy. */
  readonly text: Uint8Array;
  /** Null for the boot policy, which is compiled in and not signed. */
  readonly pkcs7: Uint8Array | null;
  readonly parsed: IpeParsedPolicy;
}

/** Where a policy stands; names of the states of ipe-policy.machine.ts. */
export type IpePolicyLife = 'absent' | 'loaded' | 'active' | 'deleted';

/** A directory below `ipe/policies`: it outlives updates of its policy and ends with delete. */
export interface IpePolicyDirectory {
  /** Serial number: open files of a deleted directory must not reach a later one of the same name. */
  readonly id: number;
  readonly name: string;
  readonly policy: IpePolicy;
  readonly life: IpePolicyLife;
}

export interface IpeState {
  /** `ipe` is in the LSM list: hooks are registered and securityfs has the directory. */
  readonly enabled: boolean;
  readonly enforce: boolean;
  readonly successAudit: boolean;
  /** Existing directories by serial number. */
  readonly directories: ImmutableMap<number, IpePolicyDirectory>;
  /** Serial number of the active policy's directory. */
  readonly active: number | null;
  readonly nextId: number;
  /** Superblocks that carry the initramfs mark. */
  readonly initramfs: ImmutableSet<SbId>;
  /** Inodes whose built-in fs-verity signature was accepted. */
  readonly fsVeritySigned: ImmutableSet<InodeKey>;
}
