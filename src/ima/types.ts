// The state of IMA as plain immutable values: rules, templates, the measurement list, the iint cache, the key
// queue. Texts of rules and names in entries have one character per byte, as the kernel keeps them.

import type { Map as ImmutableMap, Set as ImmutableSet } from 'immutable';
import type { Err } from '../base/errno.ts';
import type { AppendList } from '../base/list.ts';
import type { IntegrityStatus } from '../integrity/status.ts';
import type { Cred, Inode, InodeKey, VfsTask } from '../vfs/types.ts';

export type IdOp = 'eq' | 'gt' | 'lt';

/** An LSM condition: inactive when no LSM knows the label. */
export interface LsmCondition {
  readonly value: string;
  readonly active: boolean;
}

/** Keywords of LSM conditions; position = enum lsm_rule_types. */
export const LSM_FIELDS = [
  'obj_user',
  'obj_role',
  'obj_type',
  'subj_user',
  'subj_role',
  'subj_type',
] as const;
export type LsmField = (typeof LSM_FIELDS)[number];

/** struct ima_template_desc: a name, a format of field ids joined by `|`. */
export interface TemplateDesc {
  readonly name: string;
  readonly fmt: string;
}

/** struct ima_rule_entry. Ids are null where the rule has no such condition. */
export interface ImaRule {
  readonly action: number;
  readonly flags: number;
  readonly func: number;
  readonly mask: number;
  /** Hex digits without leading zeros. */
  readonly fsmagic: string;
  /** 32 hex digits; empty where there is no condition. */
  readonly fsuuid: string;
  readonly fsname: string | null;
  readonly uid: number | null;
  readonly gid: number | null;
  readonly fowner: number | null;
  readonly fgroup: number | null;
  readonly uidOp: IdOp;
  readonly gidOp: IdOp;
  readonly fownerOp: IdOp;
  readonly fgroupOp: IdOp;
  readonly pcr: number;
  /** Bit set of enum hash_algo. */
  readonly allowedAlgos: number;
  /** Empty, or six places in the order of LSM_FIELDS. */
  readonly lsm: readonly (LsmCondition | null)[];
  readonly keyrings: readonly string[] | null;
  readonly label: readonly string[] | null;
  readonly template: TemplateDesc | null;
  /** Conditions that a design adds to the language; left out where there is none. */
  readonly extra?: readonly ExtraCondition[];
}

/** One word of a rule that a design declares. */
export interface ExtraCondition {
  readonly keyword: string;
  readonly op: '' | '=' | '>' | '<';
  readonly value: string;
}

/** How a condition that a design adds to the language of rules is written. */
export interface ConditionSyntax {
  readonly keyword: string;
  /** Operators that it is written with; the empty one for a bare word. */
  readonly ops: readonly ('' | '=' | '>' | '<')[];
  /** Whether a value is well formed; a rule with another one is refused with EINVAL. */
  accepts(op: string, value: string): boolean;
}

/** Such a condition, with when it holds. */
export interface ImaCondition extends ConditionSyntax {
  matches(subject: ConditionSubject, op: string, value: string): boolean;
}

/** A type of security.ima that a design adds: a signature over the content's digest, which it checks. */
export interface LabelType {
  readonly type: number;
  verify(inode: InodeKey, value: Uint8Array, digest: Uint8Array): Err;
}

/** What a condition of a design sees of one access. */
export interface ConditionSubject {
  readonly task: VfsTask;
  readonly cred: Cred;
  /** Null for buffers without a file. */
  readonly inode: Inode | null;
  readonly func: number;
  readonly mask: number;
}

export const EMPTY_RULE: ImaRule = {
  action: 0,
  flags: 0,
  func: 0,
  mask: 0,
  fsmagic: '0',
  fsuuid: '',
  fsname: null,
  uid: null,
  gid: null,
  fowner: null,
  fgroup: null,
  uidOp: 'eq',
  gidOp: 'eq',
  fownerOp: 'eq',
  fgroupOp: 'eq',
  pcr: 0,
  allowedAlgos: 0,
  lsm: [],
  keyrings: null,
  label: null,
  template: null,
};

export type PolicyLoadState = 'closed' | 'open' | 'open_rules' | 'open_invalid' | 'sealed' | 'removed';

export interface PolicyState {
  /** ima_default_rules and ima_policy_rules. */
  readonly defaultRules: readonly ImaRule[];
  readonly customRules: readonly ImaRule[];
  /** Which of the two lists decides. */
  readonly active: 'default' | 'custom';
  /** ima_temp_rules: parsed, not yet in force. */
  readonly tempRules: readonly ImaRule[];
  /** ima_policy_flag: union of the actions in the active list. */
  readonly flag: number;
  readonly tempAppraise: number;
  readonly buildAppraise: number;
  /** ima_setxattr_allowed_hash_algorithms. */
  readonly setxattrAlgos: number;
  /** State of policy.machine.ts. */
  readonly load: PolicyLoadState;
}

/**
 * One digest slot of an entry: the banks in the TPM's order, then sha1 and ima_hash where no bank has them.
 */
export interface DigestSlot {
  readonly alg: string;
  readonly size: number;
  /** False where the kernel has no name or no implementation: the slot holds the padded sha1. */
  readonly computed: boolean;
  /** TPM_ALG_ID of a bank; null for the extra slots. */
  readonly bank: number | null;
  /** Suffix of the securityfs lists. */
  readonly suffix: string;
}

export interface TemplateEntry {
  readonly pcr: number;
  readonly template: TemplateDesc;
  readonly fields: readonly Uint8Array[];
  /** Template digest of every slot, in the order of ImaState.slots; zeros for violations. */
  readonly digests: readonly Uint8Array[];
}

export interface FileHash {
  /** Name as hash_algo_name[] writes it. */
  readonly alg: string;
  readonly digest: Uint8Array;
}

/** struct ima_iint_cache. */
export interface Iint {
  readonly flags: number;
  readonly atomicFlags: number;
  readonly measuredPcrs: number;
  readonly fileStatus: IntegrityStatus;
  readonly mmapStatus: IntegrityStatus;
  readonly bprmStatus: IntegrityStatus;
  readonly readStatus: IntegrityStatus;
  readonly credsStatus: IntegrityStatus;
  readonly hash: FileHash | null;
  /** integrity_inode_attributes: change cookie, and where the file system is stacked the inode below. */
  readonly version: number;
  readonly realIno: number;
  readonly realDev: number;
}

export interface QueuedKey {
  readonly keyring: string;
  readonly payload: Uint8Array;
}

export interface KeyQueueState {
  /** ima_process_keys: keys are measured at once. */
  readonly processKeys: boolean;
  readonly queue: readonly QueuedKey[];
  /** Uptime in ms at which the queue is dropped; null before ima_init(). */
  readonly deadlineMs: number | null;
}

/** What the command line said, before ima_init() acts on it. */
export interface BootState {
  readonly tcb: 'original' | 'default' | null;
  readonly appraiseTcb: boolean;
  readonly secureBoot: boolean;
  readonly criticalData: boolean;
  readonly appraise: string | null;
  readonly hashSetupDone: boolean;
  readonly templateSetupDone: boolean;
}

export interface ImaState {
  readonly boot: BootState;
  /** ima_init() came to its end. */
  readonly initialized: boolean;
  /** ima_hash_algo by name. */
  readonly hashAlgo: string;
  readonly canonicalFmt: boolean;
  readonly failUnverifiableSigs: boolean;
  readonly appraise: number;
  /** defined_templates; the entry without name is the format of the command line. */
  readonly templates: readonly TemplateDesc[];
  /** ima_template; null until somebody asks for it. */
  readonly template: TemplateDesc | null;
  /** A TPM was there at ima_init(). */
  readonly hasTpm: boolean;
  readonly slots: readonly DigestSlot[];
  readonly sha1Idx: number;
  readonly hashAlgoIdx: number;
  readonly policy: PolicyState;
  readonly list: AppendList<TemplateEntry>;
  /** `pcr:digest` of the entries that suppress duplicates. */
  readonly htable: ImmutableSet<string>;
  readonly violations: number;
  /** The machine is going down: nothing is measured any more. */
  readonly suspended: boolean;
  readonly binaryRuntimeSize: number;
  readonly iint: ImmutableMap<InodeKey, Iint>;
  readonly keys: KeyQueueState;
}
