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
import { type IpeEvalContext, type IpeProperty, valueKey } from './properties.ts';
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
  /** Place of its property in `Prepared.sources`, -1 for one that must be asked with its value. */
  readonly source: number;
  /** Number of its value there. */
  readonly number: number;
  readonly missed: EventValue;
}

interface PreparedRule {
  readonly rule: IpeRule;
  readonly conditions: readonly Condition[];
}

/** A property that has one value at a time, and the values that rules ask for, numbered. */
interface Source {
  readonly valueNow: (context: IpeEvalContext) => IpePropertyValue | null;
  readonly numbers: Map<string | boolean, number>;
}

/** No rule asks for the value that a property has. */
const NOBODY_ASKS = -1;

interface Prepared {
  readonly sources: readonly Source[];
  readonly properties: readonly IpeProperty[];
  readonly profile: KernelProfile;
  readonly rules: readonly PreparedRule[];
  /** What the last decision missed, for the next one to share. */
  readonly last: { missed: EventValue[] };
}

const NO_RULES: Pick<Prepared, 'rules' | 'last' | 'sources'> = {
  rules: [],
  last: { missed: [] },
  sources: [],
};

/** A memo: tables are values, so what was prepared for one holds as long as the properties are the same. */
const prepared = new WeakMap<IpeOpTable, Prepared>();

/** @kernel security/ipe/eval.c evaluate_property() */
function condition(env: IpeEnv, prop: IpeProp, line: number, sources: Map<IpeProperty, Source>): Condition {
  const known = env.properties.find((p) => p.name === prop.name);
  const declared = known !== undefined && optionOn(env.profile, known.option) ? known : null;
  const missed: EventValue = Object.freeze({ line, property: propText(prop) });
  const { value } = prop;
  const valueNow = declared?.valueNow;
  if (declared === null || valueNow === undefined) return { declared, value, missed, source: -1, number: 0 };
  const source = sources.get(declared) ?? { valueNow, numbers: new Map() };
  sources.set(declared, source);
  const key = valueKey(value);
  const number = source.numbers.get(key) ?? source.numbers.size;
  source.numbers.set(key, number);
  return { declared, value, missed, source: [...sources.keys()].indexOf(declared), number };
}

function prepare(env: IpeEnv, table: IpeOpTable): Prepared {
  const { properties, profile } = env;
  const known = prepared.get(table);
  if (known?.properties === properties && known.profile === profile) return known;
  const sources = new Map<IpeProperty, Source>();
  const rules = table.rules.map((rule) => ({
    rule,
    conditions: rule.props.map((prop) => condition(env, prop, rule.line, sources)),
  }));
  const made = { properties, profile, sources: [...sources.values()], rules, last: { missed: [] } };
  prepared.set(table, made);
  return made;
}

/** For each source the number of the value that it has now. */
function numbersNow(context: IpeEvalContext, sources: readonly Source[]): readonly number[] {
  return sources.map(({ valueNow, numbers }) => {
    const value = valueNow(context);
    return value === null ? NOBODY_ASKS : (numbers.get(valueKey(value)) ?? NOBODY_ASKS);
  });
}

/** The first condition that does not hold; undefined when all do. A plain loop: it runs for each rule of each event. */
function firstMissed(
  context: IpeEvalContext,
  now: readonly number[],
  conditions: readonly Condition[],
): Condition | undefined {
  for (let i = 0; i < conditions.length; i++) {
    const one = conditions[i] as Condition;
    if (one.source >= 0) {
      if (now[one.source] !== one.number) return one;
    } else if (one.declared === null || !one.declared.evaluate(context, one.value)) return one;
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
  const { rules, last, sources } = table === null ? NO_RULES : prepare(ipe.env, table);
  const now = numbersNow(context, sources);
  // Most decisions miss the same properties as the one before: its list is kept until they part.
  let missed = last.missed;
  let shared = true;
  let asked = 0;
  let match: IpeMatch | null = null;
  for (const { rule, conditions } of rules) {
    const lacks = firstMissed(context, now, conditions);
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
