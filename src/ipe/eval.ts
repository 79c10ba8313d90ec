// Evaluation of one event against the active policy: first rule whose properties all hold, else the default
// of the operation, else the global default. Nothing is cached, so a change of policy applies to the next
// event.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import type { KernelProfile } from '../base/profile.ts';
import type { EventData, EventValue } from '../base/trace.ts';
import type { FileId, VfsTask } from '../vfs/types.ts';
import {
  AUDIT_IPE_ACCESS,
  accessBody,
  type IpeAuditFile,
  type IpeMatch,
  matchText,
  propText,
} from './audit.ts';
import { type IpeCursor, type IpeEnv, optionOn } from './env.ts';
import type { IpeEvalContext, IpeProperty } from './properties.ts';
import { IPE_REASON } from './reasons.ts';
import type {
  IpeHook,
  IpeOp,
  IpeOpTable,
  IpeParsedPolicy,
  IpeProp,
  IpePropertyValue,
  IpeRule,
} from './types.ts';

/**
 * Gathers what the properties look at.
 * @kernel security/ipe/eval.c ipe_build_eval_ctx()
 */
export function ipeBuildEvalCtx(
  ipe: IpeCursor,
  task: VfsTask,
  file: FileId | null,
  op: IpeOp | null,
  hook: IpeHook,
): IpeEvalContext {
  const none = { task, op, hook, file, inode: null, device: null, initramfs: false, fsVeritySigned: false };
  if (file === null) return none;
  const { vfs } = ipe.env;
  const open = vfs.file(file);
  const own = vfs.inode(open.inode);
  const inode = own.realData === null ? own : vfs.inode(own.realData);
  const lies = vfs.superblock(inode.sb).device;
  return {
    ...none,
    inode,
    device: lies === null ? null : (vfs.state.devices.get(lies) ?? null),
    initramfs: ipe.state.initramfs.has(vfs.mountOf(open.path.mount).sb),
    fsVeritySigned: ipe.state.fsVeritySigned.has(inode.key),
  };
}

/** A condition ready to be asked: its declaration, null where it never holds, and what the trace says of it. */
interface Condition {
  readonly declared: IpeProperty | null;
  readonly value: IpePropertyValue;
  readonly missed: EventValue;
  /** Place of what an event is asked only once: a property with TRUE or FALSE, or whether any digest can hold. */
  readonly slot: number;
}

interface PreparedRule {
  readonly rule: IpeRule;
  readonly conditions: readonly Condition[];
}

interface Prepared {
  readonly properties: readonly IpeProperty[];
  readonly profile: KernelProfile;
  readonly rules: readonly PreparedRule[];
  readonly slots: number;
  /** What the last decision missed, for the next one to share. */
  readonly last: { missed: EventValue[] };
}

const NO_RULES: Pick<Prepared, 'rules' | 'slots' | 'last'> = { rules: [], slots: 0, last: { missed: [] } };

/** A memo: tables are values, so what was prepared for one holds as long as the properties are the same. */
const prepared = new WeakMap<IpeOpTable, Prepared>();

/** @kernel security/ipe/eval.c evaluate_property() */
function condition(
  properties: readonly IpeProperty[],
  profile: KernelProfile,
  prop: IpeProp,
  line: number,
  slots: Map<string, number>,
): Condition {
  const known = properties.find((p) => p.name === prop.name);
  const declared = known !== undefined && optionOn(profile, known.option) ? known : null;
  const { name, value } = prop;
  const question = typeof value === 'boolean' ? `${name}=${value}` : name;
  const slot = slots.get(question) ?? slots.size;
  slots.set(question, slot);
  return { declared, value, slot, missed: Object.freeze({ line, property: propText(prop) }) };
}

function prepare(env: IpeEnv, table: IpeOpTable): Prepared {
  const { properties, profile } = env;
  const known = prepared.get(table);
  if (known?.properties === properties && known.profile === profile) return known;
  const slots = new Map<string, number>();
  const rules = table.rules.map((rule) => ({
    rule,
    conditions: rule.props.map((prop) => condition(properties, profile, prop, rule.line, slots)),
  }));
  const made: Prepared = { properties, profile, rules, slots: slots.size, last: { missed: [] } };
  prepared.set(table, made);
  return made;
}

const YES = 1;
const NO = 2;

/** What stands in the slot of a condition: whether it holds, or for a digest whether one can. */
function answer(context: IpeEvalContext, { declared, value }: Condition): typeof YES | typeof NO {
  if (declared === null) return NO;
  const holds =
    typeof value === 'boolean' ? declared.evaluate(context, value) : (declared.possible?.(context) ?? true);
  return holds ? YES : NO;
}

/**
 * The first condition that does not hold; undefined when all do. A plain loop: it runs for each rule of each
 * event, and `known` keeps the answers of this event.
 */
function firstMissed(
  context: IpeEvalContext,
  conditions: readonly Condition[],
  known: Uint8Array,
): Condition | undefined {
  for (let i = 0; i < conditions.length; i++) {
    const one = conditions[i] as Condition;
    let is = known[one.slot];
    if (is === 0) {
      is = answer(context, one);
      known[one.slot] = is;
    }
    if (is === NO) return one;
    if (typeof one.value !== 'boolean' && one.declared?.evaluate(context, one.value) !== true) return one;
  }
  return undefined;
}

interface Decision {
  readonly match: IpeMatch;
  /** For each rule that was asked and did not decide: the first property that does not hold. */
  readonly missed: readonly EventValue[];
}

function decide(ipe: IpeCursor, context: IpeEvalContext, policy: IpeParsedPolicy): Decision {
  const table = context.op === null ? null : policy.ops[context.op];
  const { rules, slots, last } = table === null ? NO_RULES : prepare(ipe.env, table);
  const known = new Uint8Array(slots);
  // Most decisions miss the same properties as the one before: its list is kept until they part.
  let missed = last.missed;
  let shared = true;
  let asked = 0;
  let match: IpeMatch | null = null;
  for (const { rule, conditions } of rules) {
    const lacks = firstMissed(context, conditions, known);
    if (lacks === undefined) {
      match = { kind: 'rule', rule };
      break;
    }
    if (shared && missed[asked] !== lacks.missed) {
      missed = missed.slice(0, asked);
      shared = false;
    }
    if (!shared) missed.push(lacks.missed);
    asked++;
  }
  last.missed = asked < missed.length ? missed.slice(0, asked) : missed;
  return { match: match ?? byDefault(table, policy), missed: last.missed };
}

function byDefault(table: IpeOpTable | null, policy: IpeParsedPolicy): IpeMatch {
  const byOp = table?.defaultAction ?? null;
  if (byOp !== null) return { kind: 'table', action: byOp };
  // An operation nobody declared is allowed, with a warning, by a policy without a global default.
  return { kind: 'global', action: policy.globalDefaultAction ?? 'ALLOW' };
}

function auditFile(ipe: IpeCursor, context: IpeEvalContext): IpeAuditFile | null {
  if (context.file === null) return null;
  const { vfs } = ipe.env;
  const file = vfs.file(context.file);
  const inode = vfs.inode(file.inode);
  return {
    path: fromLatin1(utf8(vfs.dPath(file.path, { deleted: true, root: context.task.root }))),
    dev: vfs.superblock(inode.sb).sid,
    ino: inode.ino,
  };
}

function traceData(context: IpeEvalContext, decision: Decision, rules: number): EventData {
  const { op, hook, file } = context;
  const data = { op: op ?? 'UNKNOWN', hook, file, rule: matchText(decision.match, op) };
  return rules > 0 ? { ...data, missed: decision.missed } : data;
}

function activePolicy(ipe: IpeCursor): IpeParsedPolicy | null {
  const { active, directories } = ipe.state;
  return active === null ? null : (directories.get(active)?.policy.parsed ?? null);
}

/**
 * Judges one event: 0 or EACCES; with enforcing off always 0, after the same record.
 * @kernel security/ipe/eval.c ipe_evaluate_event()
 */
export function ipeEvaluateEvent(ipe: IpeCursor, context: IpeEvalContext): Err {
  const { trace, audit } = ipe.env;
  const policy = activePolicy(ipe);
  if (policy === null) {
    trace.emit('ipe.evaluate', { op: context.op, hook: context.hook }, IPE_REASON['ipe.no_policy']);
    return 0;
  }
  if (context.op === null)
    trace.emit('ipe.evaluate', { hook: context.hook }, IPE_REASON['ipe.unknown_operation']);
  const decision = decide(ipe, context, policy);
  const { match } = decision;
  const action = match.kind === 'rule' ? match.rule.action : match.action;
  const { enforce, successAudit } = ipe.state;
  if (action === 'DENY' || successAudit) {
    const { pid, comm } = context.task;
    const event = { op: context.op, hook: context.hook, pid, comm };
    audit.log(AUDIT_IPE_ACCESS, accessBody(event, enforce, auditFile(ipe, context), match));
  }
  const denied = enforce ? 'ipe.denied' : 'ipe.denied_permissive';
  const reason = IPE_REASON[action === 'ALLOW' ? 'ipe.allowed' : denied];
  const rules = context.op === null ? 0 : policy.ops[context.op].rules.length;
  trace.emit('ipe.evaluate', traceData(context, decision, rules), reason);
  return action === 'DENY' && enforce ? 'EACCES' : 0;
}
