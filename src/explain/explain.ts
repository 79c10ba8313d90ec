// One step explained: the verdict first, then the cause, what can be done about it, and where the kernel or
// the TPM decides it; for each access that IMA looked at the rules in order, the flags before and after,
// and the effect on the list.

import { ERRNO, type Errno } from '../base/errno.ts';
import type { TraceEvent } from '../base/trace.ts';
import * as C from '../ima/constants.ts';
import type { MatchSubject } from '../ima/policy-match.ts';
import type { ImaRule } from '../ima/types.ts';
import type { Inode, InodeKey, Superblock, VfsTask } from '../vfs/types.ts';
import { flagNames } from './iint-flags.ts';
import { maskText, type RuleVerdict, rulesTried } from './policy.ts';
import { remedyFor } from './remedies.ts';
import { causesOf, type EventNode, eventTree, reasonSentence, reasonSource, valueText } from './tree.ts';

/** The machine around the events: what the records of the trace refer to. */
export interface ExplainContext {
  /** Active IMA rules, and the union of their actions. */
  readonly rules: readonly ImaRule[];
  readonly policyFlag: number;
  inode(key: InodeKey): Inode | undefined;
  superblock(id: number): Superblock | undefined;
  task(pid: number): VfsTask | undefined;
}

/** An access that IMA was asked about. */
export interface ImaAccess {
  readonly path: string;
  readonly func: string;
  readonly mask: string;
  readonly who: string;
  /** What came out, in one sentence. */
  readonly outcome: string;
  readonly rules: readonly RuleVerdict[];
  readonly before: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Effect on the measurement list. */
  readonly list: string;
  /** Errno that IMA gave, or null. */
  readonly errno: string | null;
}

export interface Explanation {
  readonly headline: string;
  readonly causes: readonly string[];
  readonly remedies: readonly string[];
  readonly references: readonly string[];
  readonly accesses: readonly ImaAccess[];
  /** Sentences about EVM, IPE, keys and the TPM. */
  readonly others: readonly string[];
  readonly tree: readonly EventNode[];
}

/** What is explained: the stretch of the trace and what the step itself says. */
export interface ExplainedStep {
  /** `read /mnt/a.txt by uid=1000`. */
  readonly title: string;
  /** Name of the errno, or OK. */
  readonly err: string;
  /** Another outcome, such as `exit 1`; empty for none. */
  readonly note: string;
  /** The TPM answered with a response code that is not success. */
  readonly refused: boolean;
  readonly events: readonly TraceEvent[];
}

/** `-13 EACCES`. */
export function errnoText(name: string): string {
  const number = ERRNO[name as Errno];
  return number === undefined ? name : `-${number} ${name}`;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** Children of an event in the stretch. */
function below(events: readonly TraceEvent[], id: number): readonly TraceEvent[] {
  const inside = new Set([id]);
  return events.filter((e) => {
    if (e.cause === null || !inside.has(e.cause)) return false;
    inside.add(e.id);
    return true;
  });
}

function listEffect(check: TraceEvent, inside: readonly TraceEvent[], rules: readonly RuleVerdict[]): string {
  const stores = inside.filter((e) => e.kind === 'ima.store');
  const parts = stores.map((e) => {
    if (e.reason === 'ima.duplicate') return 'not added: the list has this very entry already';
    const what = e.reason === 'ima.violation_stored' ? 'a violation was added' : 'added';
    return `${what} as entry ${number(e.data.index)}, extended into PCR ${number(e.data.pcr)}`;
  });
  if (parts.length > 0) return parts.join('; ');
  const veto = rules.find((r) => r.outcome === 'matched' && r.text.startsWith('dont_measure'));
  if (veto !== undefined) return `not measured: rule ${veto.number} says dont_measure`;
  const action = number(check.data.action);
  if ((action & C.IMA_MEASURE) === 0) return 'not measured: no rule asks for it';
  const before = flagNames(number(check.data.before));
  if (before.includes('IMA_MEASURED'))
    return 'not measured: it is in the list already (iint has IMA_MEASURED)';
  return 'not measured';
}

function subjectOf(check: TraceEvent, pid: number, context: ExplainContext): MatchSubject | undefined {
  const task = context.task(pid);
  const inode = context.inode(number(check.data.inode));
  const func = C.FUNC_TOKENS.indexOf(text(check.data.func));
  if (task === undefined || inode === undefined || func < 0) return undefined;
  const cred = { ...task.cred, uid: number(check.data.uid), euid: number(check.data.euid) };
  const sb = context.superblock(inode.sb) ?? null;
  return { task, cred, inode, sb, func, mask: number(check.data.mask), funcData: null };
}

/** Path of what an access is about: its own, or that of the call. */
function pathOf(check: TraceEvent, verdict: TraceEvent | undefined, chain: readonly TraceEvent[]): string {
  const own = text(check.data.path) || text(verdict?.data.path);
  if (own !== '') return own;
  return chain.map((e) => text(e.data.path)).findLast((p) => p !== '') ?? `inode ${number(check.data.inode)}`;
}

function accessOf(
  check: TraceEvent,
  events: readonly TraceEvent[],
  byId: ReadonlyMap<number, TraceEvent>,
  context: ExplainContext,
): ImaAccess {
  const inside = below(events, check.id);
  const verdict = inside.find((e) => e.kind === 'ima.verdict');
  const chain = causesOf(byId, check.id);
  const pid = number(chain.find((e) => typeof e.data.pid === 'number')?.data.pid);
  const subject = subjectOf(check, pid, context);
  const rules = subject === undefined ? [] : rulesTried(context.rules, subject, context.policyFlag);
  const before = flagNames(number(check.data.before));
  const end = verdict?.data.after ?? check.data.after;
  const after = typeof end === 'number' ? flagNames(end) : before;
  const errno = verdict?.data.errno ?? check.data.errno;
  const outcome = [verdict ?? check].map((e) => reasonSentence(e) ?? '')[0] ?? '';
  return {
    path: pathOf(check, verdict, chain),
    func: text(check.data.func),
    mask: maskText(number(check.data.mask)),
    who: `uid=${number(check.data.uid)}${check.data.euid === check.data.uid ? '' : ` euid=${number(check.data.euid)}`}`,
    outcome,
    rules,
    before,
    added: after.filter((f) => !before.includes(f)),
    removed: before.filter((f) => !after.includes(f)),
    list: listEffect(check, inside, rules),
    errno: typeof errno === 'string' ? errno : null,
  };
}

/** Kinds that repeat what another event of the same refusal says better. */
const ECHO: ReadonlySet<string> = new Set(['vfs.refused_by_hook']);

/** Events that took part in a refusal, the deciding one last. */
function deciding(step: ExplainedStep): readonly TraceEvent[] {
  const failedTpm = step.events.filter((e) => e.kind.startsWith('tpm.') && e.reason !== undefined);
  if (step.err === 'OK') return failedTpm;
  const told = step.events.filter((e) => e.reason !== undefined && !ECHO.has(e.reason));
  const withErrno = told.filter((e) => e.data.errno === step.err);
  const why = withErrno.flatMap((e) => {
    const inner = text(e.data.why);
    return inner === '' ? [e] : [...told.filter((t) => t.reason === inner && t.id < e.id).slice(-1), e];
  });
  if (why.length > 0) return [...new Set(why)];
  return told.filter((e) => /\.(denied|refused|invalid|missing|bad|not_)/.test(e.reason ?? '')).slice(-2);
}

/** Reason codes that a verdict rests on: its own, and the one it names as `why`. */
function codesOf(event: TraceEvent): readonly string[] {
  const why = text(event.data.why);
  return [...(why === '' ? [] : [why]), ...(event.reason === undefined ? [] : [event.reason])];
}

const OTHER_KINDS = /^(evm|ipe|keys|tpm)\./;
const QUIET: ReadonlySet<string> = new Set(['ipe.no_policy', 'evm.no_xattrs']);

function otherSentences(events: readonly TraceEvent[]): readonly string[] {
  const lines = events
    .filter((e) => e.reason !== undefined && OTHER_KINDS.test(e.kind) && !QUIET.has(e.reason))
    .map((e) => {
      const room = (e.kind.split('.')[0] ?? '').toUpperCase();
      const missed =
        e.data.missed === undefined ? '' : `; rules that did not hold: ${valueText(e.data.missed)}`;
      return `${room}: ${reasonSentence(e) ?? ''}${missed}`;
    });
  return [...new Set(lines)];
}

function successCauses(accesses: readonly ImaAccess[]): readonly string[] {
  return accesses.map((a) => `IMA ${a.func} on ${a.path}: ${a.outcome}; ${a.list}`);
}

/** The explanation of a step. */
export function explainStep(step: ExplainedStep, context: ExplainContext): Explanation {
  const byId = new Map(step.events.map((e) => [e.id, e]));
  const accesses = step.events
    .filter((e) => e.kind === 'ima.check')
    .map((e) => accessOf(e, step.events, byId, context));
  const reasons = deciding(step);
  const codes = [...new Set(reasons.flatMap(codesOf))];
  const sentences = [...new Set(reasons.map(reasonSentence).filter((s) => s !== undefined))];
  const failed = step.err !== 'OK';
  const note = step.note === '' ? '' : `, ${step.note}`;
  const refused = step.refused ? 'refused by the TPM' : 'allowed';
  const headline = `${step.title}: ${failed ? `denied, ${errnoText(step.err)}` : refused}${note}`;
  const causes =
    sentences.length > 0 ? sentences : failed ? ['no part of the machine says why'] : successCauses(accesses);
  const matching = accesses.flatMap((a) =>
    a.errno === null ? [] : a.rules.filter((r) => r.outcome === 'matched' && /^appraise/.test(r.text)),
  );
  const demands = [...new Set(matching.map((r) => `rule ${r.number} asks for it: \`${r.text}\``))];
  return {
    headline,
    causes: [...causes, ...demands],
    remedies: [...new Set(codes.map(remedyFor).filter((r) => r !== undefined))],
    references: [...new Set(reasons.map(reasonSource).filter((s) => s !== undefined))],
    accesses,
    others: otherSentences(step.events),
    tree: eventTree(step.events),
  };
}
