// Loading rules: at boot the built-in lists, later uploads through the policy node, line by line or by the
// path of a file. An upload is collected aside and comes into force as a whole when the writer closes the
// node.

import { assert } from '../base/assert.ts';
import { fromLatin1, fromUtf8, latin1 } from '../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { step } from '../base/table.ts';
import { AUDIT_INTEGRITY_POLICY_RULE, AUDIT_INTEGRITY_STATUS } from '../integrity/audit.ts';
import { CAP_SYS_ADMIN, O_ACCMODE, O_RDONLY, O_WRONLY } from '../vfs/constants.ts';
import { capable } from '../vfs/perm.ts';
import type { VfsTask } from '../vfs/types.ts';
import * as C from './constants.ts';
import { auditMessage, type ImaCursor, log, noMemory } from './cursor.ts';
import { processQueuedKeys } from './keys.ts';
import { type PolicyEvent, policyTable } from './policy.machine.ts';
import {
  archRules,
  buildAppraiseRules,
  CRITICAL_DATA_RULES,
  DEFAULT_MEASUREMENT_RULES,
  DONT_MEASURE_RULES,
  defaultAppraiseRules,
  ORIGINAL_MEASUREMENT_RULES,
  SECURE_BOOT_RULES,
} from './policy-builtin.ts';
import { activeRules } from './policy-match.ts';
import { type ParseContext, parseRule } from './policy-parse.ts';
import { showPolicy } from './policy-show.ts';
import { ruleText } from './policy-tokens.ts';
import { R } from './reasons.ts';
import type { ImaRule, PolicyState } from './types.ts';

function setPolicy(ima: ImaCursor, change: Partial<PolicyState>): void {
  ima.state = { ...ima.state, policy: { ...ima.state.policy, ...change } };
}

/** @kernel security/integrity/ima/ima_policy.c ima_appraise_flag() */
export function appraiseFlag(func: number): number {
  switch (func) {
    case C.MODULE_CHECK:
      return C.IMA_APPRAISE_MODULES;
    case C.FIRMWARE_CHECK:
      return C.IMA_APPRAISE_FIRMWARE;
    case C.POLICY_CHECK:
      return C.IMA_APPRAISE_POLICY;
    case C.KEXEC_KERNEL_CHECK:
      return C.IMA_APPRAISE_KEXEC;
    default:
      return 0;
  }
}

/**
 * What the active list asks for at all. SETXATTR_CHECK rules count for nothing here; the first one's
 * algorithms stay.
 * @kernel security/integrity/ima/ima_policy.c ima_update_policy_flags()
 */
export function updatePolicyFlags(ima: ImaCursor): void {
  const { policy } = ima.state;
  let flag = 0;
  let setxattrAlgos = policy.setxattrAlgos;
  for (const rule of activeRules(policy)) {
    if (rule.func === C.SETXATTR_CHECK) {
      if (setxattrAlgos === 0) setxattrAlgos = rule.allowedAlgos;
    } else if ((rule.action & C.IMA_DO_MASK) !== 0) flag |= rule.action;
  }
  const appraise = ima.state.appraise | policy.buildAppraise | policy.tempAppraise;
  if (appraise === 0) flag &= ~C.IMA_APPRAISE;
  ima.state = { ...ima.state, appraise, policy: { ...policy, flag, setxattrAlgos } };
}

interface Target {
  readonly onDefault: boolean;
  readonly onCustom: boolean;
  readonly build?: boolean;
}

/** @kernel security/integrity/ima/ima_policy.c add_rules() */
function addRules(ima: ImaCursor, rules: readonly ImaRule[], target: Target): void {
  const { policy } = ima.state;
  let bits = 0;
  for (const rule of rules) if (rule.action === C.APPRAISE) bits |= appraiseFlag(rule.func);
  setPolicy(ima, {
    defaultRules: target.onDefault ? [...policy.defaultRules, ...rules] : policy.defaultRules,
    customRules: target.onCustom ? [...policy.customRules, ...rules] : policy.customRules,
    ...(target.build === true
      ? { buildAppraise: policy.buildAppraise | bits }
      : { tempAppraise: policy.tempAppraise | bits }),
  });
}

export function parseContext(ima: ImaCursor, task: VfsTask): ParseContext {
  const { env } = ima;
  const { userNs } = task.cred;
  return {
    profile: env.profile,
    templates: ima.state.templates,
    ...(env.conditions === undefined ? {} : { conditions: env.conditions }),
    defaultRulesActive: ima.state.policy.active === 'default',
    mapId: (kind, id) => {
      const mapped = env.mapId !== undefined ? env.mapId(userNs, kind, id) : userNs === 0 ? id : null;
      return mapped === 0xffffffff ? null : mapped;
    },
    lsmKnows: (field, value) =>
      enabled(env.profile, 'CONFIG_IMA_LSM_RULES') && (env.labels?.known(field, value) ?? false),
  };
}

/**
 * Parses one rule with its audit record; also what an appraise rule does to ima_appraise, even when it is
 * wrong.
 */
function parse(ima: ImaCursor, task: VfsTask, text: string): Result<ImaRule> {
  const outcome = parseRule(text, parseContext(ima, task));
  ima.env.audit.log(AUDIT_INTEGRITY_POLICY_RULE, outcome.audit);
  if (outcome.rule.action === C.APPRAISE)
    setPolicy(ima, { tempAppraise: ima.state.policy.tempAppraise | appraiseFlag(outcome.rule.func) });
  return outcome.err === 0 ? ok(outcome.rule) : fail(outcome.err);
}

/** @kernel security/integrity/ima/ima_policy.c ima_init_arch_policy() */
function parsedArchRules(ima: ImaCursor, task: VfsTask): readonly ImaRule[] {
  const out: ImaRule[] = [];
  for (const text of archRules(ima.env.profile, ima.env.platform)) {
    const rule = parse(ima, task, text);
    if (rule.ok) out.push(rule.value);
    else log(ima, `Skipping unknown architecture policy rule: ${text}`);
  }
  return out;
}

const DEFAULT_ONLY: Target = { onDefault: true, onCustom: false };

/** Rules of designs, in front of the built-in ones; value = whether those that appraise are left out for them. */
function designRules(ima: ImaCursor, task: VfsTask): boolean {
  let instead = false;
  for (const { rules, insteadOfAppraise } of ima.env.defaultRules ?? []) {
    instead ||= insteadOfAppraise;
    for (const text of rules) {
      const rule = parse(ima, task, text);
      assert(rule.ok, `rule of a design: ${text}`);
      addRules(ima, [rule.value], DEFAULT_ONLY);
    }
  }
  return instead;
}

/** Puts the built-in rules on both lists. @kernel security/integrity/ima/ima_policy.c ima_init_policy() */
export function initPolicy(ima: ImaCursor, task: VfsTask): void {
  const { profile } = ima.env;
  const instead = designRules(ima, task);
  const boot = instead ? { ...ima.state.boot, secureBoot: false, appraiseTcb: false } : ima.state.boot;
  if (boot.tcb !== null) addRules(ima, DONT_MEASURE_RULES, DEFAULT_ONLY);
  if (boot.tcb === 'original') addRules(ima, ORIGINAL_MEASUREMENT_RULES, DEFAULT_ONLY);
  if (boot.tcb === 'default') addRules(ima, DEFAULT_MEASUREMENT_RULES, DEFAULT_ONLY);
  const arch = parsedArchRules(ima, task);
  if (arch.length === 0) log(ima, 'No architecture policies found');
  else addRules(ima, arch, { onDefault: true, onCustom: true });
  if (boot.secureBoot) addRules(ima, SECURE_BOOT_RULES, DEFAULT_ONLY);
  const build = buildAppraiseRules(profile);
  addRules(ima, build, { onDefault: !boot.secureBoot, onCustom: true, build: true });
  if (boot.appraiseTcb) addRules(ima, defaultAppraiseRules(profile), DEFAULT_ONLY);
  if (boot.criticalData) addRules(ima, CRITICAL_DATA_RULES, DEFAULT_ONLY);
  setPolicy(ima, { setxattrAlgos: 0 });
  updatePolicyFlags(ima);
}

function cString(text: string): string {
  const nul = text.indexOf('\0');
  return nul < 0 ? text : text.slice(0, nul);
}

/**
 * Takes one line (its newline, if any, already cut off); returns its length + 1.
 * @kernel security/integrity/ima/ima_policy.c ima_parse_add_rule()
 */
function parseAddRule(ima: ImaCursor, task: VfsTask, line: string): Result<number> {
  const text = ruleText(line);
  if (text === null) return ok(line.length + 1);
  const rule = noMemory(ima, 'ima_parse_add_rule') ? fail('ENOMEM') : parse(ima, task, text);
  if (!rule.ok) {
    auditMessage(ima, task, {
      type: AUDIT_INTEGRITY_STATUS,
      op: 'update_policy',
      cause: rule.errno === 'ENOMEM' ? '-ENOMEM' : 'invalid-policy',
      name: null,
      inode: null,
      failed: true,
    });
    ima.env.trace.emit('ima.policy_rule', { text, errno: rule.errno }, R['ima.policy_bad_rule']);
    return rule;
  }
  setPolicy(ima, {
    tempRules: [...ima.state.policy.tempRules, rule.value],
    load: step(policyTable, ima.state.policy.load, 'RULE'),
  });
  ima.env.trace.emit('ima.policy_rule', { text });
  return ok(line.length + 1);
}

/**
 * The kernel reads the file of a path itself and parses every line of it.
 * @kernel security/integrity/ima/ima_fs.c ima_read_policy()
 */
function readPolicy(ima: ImaCursor, task: VfsTask, data: string): Result<number> {
  const path = data.split('\n', 1)[0] as string;
  const read = ima.env.readFile(task, fromUtf8(latin1(path)), 'policy');
  if (!read.ok) {
    log(ima, `Unable to open file: ${path} (${read.errno})`);
    ima.env.trace.emit('ima.policy_file', { path, errno: read.errno }, R['ima.policy_unreadable_file']);
    return read;
  }
  // Lines end at a newline; a NUL ends the text although the size counts on.
  let left = read.value.length;
  let text: string | null = cString(fromLatin1(read.value));
  while (left !== 0 && text !== null) {
    const end: number = text.indexOf('\n');
    const line: string = end < 0 ? text : text.slice(0, end);
    text = end < 0 ? null : text.slice(end + 1);
    const taken = parseAddRule(ima, task, line);
    if (!taken.ok) return taken;
    left -= taken.value;
  }
  if (left !== 0) {
    ima.env.trace.emit('ima.policy_file', { path, left }, R['ima.policy_no_newline']);
    return fail('EINVAL');
  }
  return ok(data.length);
}

/**
 * One write(2) to the policy node.
 * @kernel security/integrity/ima/ima_fs.c ima_write_policy()
 */
export function writePolicy(
  ima: ImaCursor,
  task: VfsTask,
  bytes: Uint8Array,
  offset: number,
): Result<number> {
  const result = writePolicyText(ima, task, bytes, offset);
  if (!result.ok) setPolicy(ima, { load: step(policyTable, ima.state.policy.load, 'BAD') });
  return result;
}

function writePolicyText(ima: ImaCursor, task: VfsTask, bytes: Uint8Array, offset: number): Result<number> {
  if (offset !== 0) {
    ima.env.trace.emit('ima.policy_write', { offset }, R['ima.policy_offset']);
    return fail('EINVAL');
  }
  const data = cString(fromLatin1(bytes.subarray(0, ima.env.profile.pageSize - 1)));
  if (data.startsWith('/')) return readPolicy(ima, task, data);
  if ((ima.state.appraise & C.IMA_APPRAISE_POLICY) !== 0) {
    log(ima, 'signed policy file (specified as an absolute pathname) required');
    auditMessage(ima, task, {
      type: AUDIT_INTEGRITY_STATUS,
      op: 'policy_update',
      cause: 'signed policy required',
      name: null,
      inode: null,
      failed: true,
    });
    ima.env.trace.emit('ima.policy_write', {}, R['ima.policy_signature_required']);
    return fail('EACCES');
  }
  return parseAddRule(ima, task, data.split('\n', 1)[0] as string);
}

/** @kernel security/integrity/ima/ima_fs.c ima_open_policy() */
export function openPolicy(ima: ImaCursor, task: VfsTask, flags: number): Err {
  const { trace, profile } = ima.env;
  if ((flags & O_WRONLY) === 0) {
    let err: Err = 0;
    if (!enabled(profile, 'CONFIG_IMA_READ_POLICY') || (flags & O_ACCMODE) !== O_RDONLY) err = 'EACCES';
    else if (!capable(task.cred, CAP_SYS_ADMIN)) err = 'EPERM';
    if (err !== 0) trace.emit('ima.policy_open', { flags, errno: err }, R['ima.policy_not_readable']);
    return err;
  }
  const { load } = ima.state.policy;
  if (load !== 'closed') {
    trace.emit('ima.policy_open', { flags, errno: 'EBUSY' }, R['ima.policy_busy']);
    return 'EBUSY';
  }
  setPolicy(ima, { load: step(policyTable, load, 'OPEN') });
  return 0;
}

/** What becomes of the node after an accepted upload. */
export type PolicyNodeFate = 'stays' | 'loses_write_bit' | 'removed';

function closeEvent(ima: ImaCursor): PolicyEvent {
  if (enabled(ima.env.profile, 'CONFIG_IMA_WRITE_POLICY')) return 'CLOSE';
  return enabled(ima.env.profile, 'CONFIG_IMA_READ_POLICY') ? 'CLOSE_SEAL' : 'CLOSE_REMOVE';
}

/**
 * The writer closes the node: the upload comes into force, or is dropped as a whole.
 * @kernel security/integrity/ima/ima_fs.c ima_release_policy()
 */
export function releasePolicy(ima: ImaCursor, task: VfsTask): PolicyNodeFate {
  const { load, tempRules } = ima.state.policy;
  const valid = load === 'open_rules';
  log(ima, `policy update ${valid ? 'completed' : 'failed'}`);
  auditMessage(ima, task, {
    type: AUDIT_INTEGRITY_STATUS,
    op: 'policy_update',
    cause: valid ? 'completed' : 'failed',
    name: null,
    inode: null,
    failed: !valid,
  });
  setPolicy(ima, { load: step(policyTable, load, closeEvent(ima)) });
  if (!valid) {
    setPolicy(ima, { tempRules: [], tempAppraise: 0 });
    ima.env.trace.emit('ima.policy_load', { rules: tempRules.length }, R['ima.policy_dropped']);
    return 'stays';
  }
  updatePolicy(ima, task);
  const after = ima.state.policy.load;
  return after === 'removed' ? 'removed' : after === 'sealed' ? 'loses_write_bit' : 'stays';
}

/** @kernel security/integrity/ima/ima_policy.c ima_update_policy() */
function updatePolicy(ima: ImaCursor, task: VfsTask): void {
  const { policy } = ima.state;
  const from = policy.customRules.length;
  setPolicy(ima, {
    customRules: [...policy.customRules, ...policy.tempRules],
    tempRules: [],
    active: 'custom',
  });
  updatePolicyFlags(ima);
  const { active, flag } = ima.state.policy;
  const count = policy.tempRules.length;
  ima.env.trace.emit('ima.policy_load', { list: active, from, rules: count, flag }, R['ima.policy_accepted']);
  ima.env.policyLoaded?.(policy.active === 'default');
  processQueuedKeys(ima, task);
}

/** Text of the node. */
export function readPolicyText(ima: ImaCursor): Uint8Array {
  return latin1(showPolicy(activeRules(ima.state.policy)));
}
