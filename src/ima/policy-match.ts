// The policy decision: which actions the rules ask for on one access. Rules are prepared once for each list
// and hook, so that the common case is a loop over a few numeric comparisons. What explains a decision later
// (which rule matched in which class) comes out of the same loop.

import { equalBytes, fromHex } from '../base/bytes.ts';
import { CAP_SETGID, CAP_SETUID } from '../vfs/constants.ts';
import { capable } from '../vfs/perm.ts';
import type { Cred, Inode, Superblock, VfsTask } from '../vfs/types.ts';
import * as C from './constants.ts';
import type { ImaCursor, ImaEnv } from './cursor.ts';
import {
  type ExtraCondition,
  type IdOp,
  type ImaCondition,
  type ImaRule,
  LSM_FIELDS,
  type PolicyState,
  type TemplateDesc,
} from './types.ts';

/** A rule with everything that a comparison needs as a number. */
interface PreparedRule {
  readonly rule: ImaRule;
  /** Place in the list. */
  readonly index: number;
  readonly action: number;
  readonly flags: number;
  readonly magic: number;
  readonly uuid: Uint8Array | null;
  readonly hasLsm: boolean;
}

interface PreparedPolicy {
  /** Rules that can match a hook, by enum ima_hooks. */
  readonly byFunc: readonly (readonly PreparedRule[])[];
}

/** What is looked at in one access. */
export interface MatchSubject {
  readonly task: VfsTask;
  /** Credentials the rule is tried against; capabilities are always the acting task's. */
  readonly cred: Cred;
  /** Null for buffers without a file. */
  readonly inode: Inode | null;
  readonly sb: Superblock | null;
  readonly func: number;
  readonly mask: number;
  /** Keyring name or label of a buffer. */
  readonly funcData: string | null;
}

export interface Decision {
  /** Actions, sub-actions and non-action flags; bit 31 makes it negative. */
  readonly action: number;
  readonly pcr: number | null;
  readonly template: TemplateDesc | null;
  readonly allowedAlgos: number;
  /** Places of the rules that matched, in list order. */
  readonly matched: readonly number[];
}

const NOTHING: readonly number[] = [];
export const NO_DECISION: Decision = {
  action: 0,
  pcr: null,
  template: null,
  allowedAlgos: 0,
  matched: NOTHING,
};

const prepared = new WeakMap<readonly ImaRule[], PreparedPolicy>();

function prepareRule(rule: ImaRule, index: number): PreparedRule {
  const magic = (rule.flags & C.IMA_FSMAGIC) !== 0 ? Number.parseInt(rule.fsmagic, 16) : Number.NaN;
  return {
    rule,
    index,
    action: rule.action,
    flags: rule.flags,
    magic,
    uuid: (rule.flags & C.IMA_FSUUID) !== 0 ? fromHex(rule.fsuuid) : null,
    hasLsm: rule.lsm.some((c) => c !== null),
  };
}

function prepare(rules: readonly ImaRule[]): PreparedPolicy {
  let policy = prepared.get(rules);
  if (policy === undefined) {
    const all = rules.map(prepareRule);
    const byFunc = Array.from({ length: C.MAX_CHECK }, (_, func) =>
      all.filter((r) => (r.flags & C.IMA_FUNC) === 0 || r.rule.func === func || func === C.POST_SETATTR),
    );
    policy = { byFunc };
    prepared.set(rules, policy);
  }
  return policy;
}

export function activeRules(policy: PolicyState): readonly ImaRule[] {
  return policy.active === 'default' ? policy.defaultRules : policy.customRules;
}

function compare(op: IdOp, id: number, wanted: number | null): boolean {
  if (wanted === null) return false;
  return op === 'eq' ? id === wanted : op === 'gt' ? id > wanted : id < wanted;
}

/** @kernel security/integrity/ima/ima_policy.c ima_match_rule_data() */
function matchRuleData(rule: ImaRule, s: MatchSubject): boolean {
  if ((rule.flags & C.IMA_UID) !== 0 && !compare(rule.uidOp, s.cred.uid, rule.uid)) return false;
  const list = rule.func === C.KEY_CHECK ? rule.keyrings : rule.label;
  if (list === null) return true;
  return s.funcData !== null && list.includes(s.funcData);
}

function matchEuid(rule: ImaRule, s: MatchSubject): boolean {
  const { cred } = s;
  if (compare(rule.uidOp, cred.euid, rule.uid)) return true;
  if (!capable(s.task.cred, CAP_SETUID)) return false;
  return compare(rule.uidOp, cred.suid, rule.uid) || compare(rule.uidOp, cred.uid, rule.uid);
}

function matchEgid(rule: ImaRule, s: MatchSubject): boolean {
  const { cred } = s;
  if (compare(rule.gidOp, cred.egid, rule.gid)) return true;
  if (!capable(s.task.cred, CAP_SETGID)) return false;
  return compare(rule.gidOp, cred.sgid, rule.gid) || compare(rule.gidOp, cred.gid, rule.gid);
}

/** An error of the module's comparison once counted as a match. */
function matchLsm(rule: ImaRule, s: MatchSubject, inode: Inode, env: Judges): boolean {
  const labels = env.labels ?? null;
  const errorMatches = env.profile?.switches.lsmMatchErrorIsNoMatch === false;
  for (const [i, field] of LSM_FIELDS.entries()) {
    const condition = rule.lsm[i];
    if (condition === null || condition === undefined) continue;
    if (!condition.active || labels === null) return false;
    const rc = labels.match(i < 3 ? inode.key : s.task, field, condition.value);
    if (rc === 0 || (rc < 0 && !errorMatches)) return false;
  }
  return true;
}

/** Name of the first condition of a rule that does not hold, or null when all do. */
export type FailedCondition =
  | 'func'
  | 'mask'
  | 'fsmagic'
  | 'fsname'
  | 'fsuuid'
  | 'uid'
  | 'euid'
  | 'gid'
  | 'egid'
  | 'fowner'
  | 'fgroup'
  | 'lsm'
  | 'keyrings_or_label'
  | 'extra'
  | null;

function failedFsCondition(r: PreparedRule, sb: Superblock): FailedCondition {
  const { flags, rule } = r;
  if ((flags & C.IMA_FSMAGIC) !== 0 && r.magic !== sb.magic) return 'fsmagic';
  if ((flags & C.IMA_FSNAME) !== 0 && rule.fsname !== sb.type) return 'fsname';
  return r.uuid !== null && !equalBytes(r.uuid, sb.uuid) ? 'fsuuid' : null;
}

function failedIdCondition(r: PreparedRule, s: MatchSubject): FailedCondition {
  const { flags, rule } = r;
  if ((flags & C.IMA_UID) !== 0 && !compare(rule.uidOp, s.cred.uid, rule.uid)) return 'uid';
  if ((flags & C.IMA_EUID) !== 0 && !matchEuid(rule, s)) return 'euid';
  if ((flags & C.IMA_GID) !== 0 && !compare(rule.gidOp, s.cred.gid, rule.gid)) return 'gid';
  if ((flags & C.IMA_EGID) !== 0 && !matchEgid(rule, s)) return 'egid';
  return null;
}

function failedOwnerCondition(r: PreparedRule, inode: Inode): FailedCondition {
  const { flags, rule } = r;
  if ((flags & C.IMA_FOWNER) !== 0 && !compare(rule.fownerOp, inode.uid, rule.fowner)) return 'fowner';
  if ((flags & C.IMA_FGROUP) !== 0 && !compare(rule.fgroupOp, inode.gid, rule.fgroup)) return 'fgroup';
  return null;
}

/** Who judges conditions that IMA itself cannot: labels, and what designs add; the profile says how. */
type Judges = Partial<Pick<ImaEnv, 'labels' | 'conditions' | 'profile'>>;

/** A condition whose design is not there any more does not hold. */
function matchExtra(
  extra: readonly ExtraCondition[],
  s: MatchSubject,
  conditions: readonly ImaCondition[],
): boolean {
  return extra.every(
    ({ keyword, op, value }) => conditions.find((c) => c.keyword === keyword)?.matches(s, op, value) ?? false,
  );
}

const FS_CONDITIONS = C.IMA_FSMAGIC | C.IMA_FSNAME | C.IMA_FSUUID;
const OWNER_CONDITIONS = C.IMA_FOWNER | C.IMA_FGROUP;
const ID_CONDITIONS = C.IMA_UID | C.IMA_EUID | C.IMA_GID | C.IMA_EGID;

/** @kernel security/integrity/ima/ima_policy.c ima_match_rules() */
function failedCondition(r: PreparedRule, s: MatchSubject, env: Judges): FailedCondition {
  const { flags, rule } = r;
  if ((flags & C.IMA_FUNC) !== 0 && rule.func !== s.func && s.func !== C.POST_SETATTR) return 'func';
  if (s.func === C.KEY_CHECK || s.func === C.CRITICAL_DATA) {
    if (rule.func !== s.func) return 'func';
    return matchRuleData(rule, s) ? null : 'keyrings_or_label';
  }
  if ((flags & C.IMA_MASK) !== 0 && rule.mask !== s.mask && s.func !== C.POST_SETATTR) return 'mask';
  if ((flags & C.IMA_INMASK) !== 0 && (rule.mask & s.mask) === 0 && s.func !== C.POST_SETATTR) return 'mask';
  if (s.sb !== null && (flags & FS_CONDITIONS) !== 0) {
    const failed = failedFsCondition(r, s.sb);
    if (failed !== null) return failed;
  }
  if ((flags & ID_CONDITIONS) !== 0) {
    const failed = failedIdCondition(r, s);
    if (failed !== null) return failed;
  }
  if (s.inode !== null && (flags & OWNER_CONDITIONS) !== 0) {
    const failed = failedOwnerCondition(r, s.inode);
    if (failed !== null) return failed;
  }
  if (r.hasLsm && (s.inode === null || !matchLsm(rule, s, s.inode, env))) return 'lsm';
  if (rule.extra !== undefined && !matchExtra(rule.extra, s, env.conditions ?? [])) return 'extra';
  return null;
}

/** The condition of one rule that keeps it from matching, for explanations. */
export function whyNot(rule: ImaRule, subject: MatchSubject, env: Judges): FailedCondition {
  return failedCondition(prepareRule(rule, 0), subject, env);
}

/** @kernel security/integrity/ima/ima_policy.c get_subaction() */
function subaction(rule: ImaRule, func: number): number {
  if ((rule.flags & C.IMA_FUNC) === 0) return C.IMA_FILE_APPRAISE;
  switch (func) {
    case C.MMAP_CHECK:
    case C.MMAP_CHECK_REQPROT:
      return C.IMA_MMAP_APPRAISE;
    case C.BPRM_CHECK:
      return C.IMA_BPRM_APPRAISE;
    case C.CREDS_CHECK:
      return C.IMA_CREDS_APPRAISE;
    case C.FILE_CHECK:
    case C.POST_SETATTR:
      return C.IMA_FILE_APPRAISE;
    default:
      return C.IMA_READ_APPRAISE;
  }
}

/**
 * Walks the active list until every class of action that is asked for is decided; the first matching rule
 * decides its own
 * class only, but its non-action flags count for all.
 * @kernel security/integrity/ima/ima_policy.c ima_match_policy()
 */
export function matchPolicy(ima: ImaCursor, s: MatchSubject, flags: number): Decision {
  const { policy, failUnverifiableSigs } = ima.state;
  const rules = prepare(activeRules(policy)).byFunc[s.func] as readonly PreparedRule[];
  let actmask = flags | (flags << 1);
  let action = 0;
  let pcr: number | null = null;
  let template: TemplateDesc | null = null;
  let allowedAlgos = 0;
  let matched: number[] | null = null;
  for (const r of rules) {
    if ((r.action & actmask) === 0 || failedCondition(r, s, ima.env) !== null) continue;
    action |= r.flags & C.IMA_NONACTION_FLAGS;
    action |= r.action & C.IMA_DO_MASK;
    if ((r.action & C.IMA_APPRAISE) !== 0) {
      action |= subaction(r.rule, s.func);
      action &= ~C.IMA_HASH;
      if (failUnverifiableSigs) action |= C.IMA_FAIL_UNVERIFIABLE_SIGS;
      if ((r.flags & C.IMA_VALIDATE_ALGOS) !== 0) allowedAlgos = r.rule.allowedAlgos;
    }
    if ((r.action & C.IMA_DO_MASK) !== 0) actmask &= ~(r.action | (r.action << 1));
    else actmask &= ~(r.action | (r.action >> 1));
    if ((r.flags & C.IMA_PCR) !== 0) pcr = r.rule.pcr;
    if (r.rule.template !== null) template = r.rule.template;
    if (matched === null) matched = [r.index];
    else matched.push(r.index);
    if (actmask === 0) break;
  }
  return matched === null ? NO_DECISION : { action, pcr, template, allowedAlgos, matched };
}

const GET_ACTION_FLAGS = C.IMA_MEASURE | C.IMA_AUDIT | C.IMA_APPRAISE | C.IMA_HASH;

/** @kernel security/integrity/ima/ima_api.c ima_get_action() */
export function getAction(ima: ImaCursor, s: MatchSubject): Decision {
  return matchPolicy(ima, s, GET_ACTION_FLAGS & ima.state.policy.flag);
}
