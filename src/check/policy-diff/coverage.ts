// Which rules of a policy a trace came to: those that decided something, those that were only asked, and
// those that no event reached. Read from what IMA and IPE wrote about each decision; the question whether
// a file whose mode or owner changed is appraised leaves no such record and does not count.

import type { EventValue, TraceEvent } from '../../base/trace.ts';
import * as C from '../../ima/constants.ts';
import { classOf } from '../../ima/lint-dead.ts';
import { showRule } from '../../ima/policy-show.ts';
import type { ImaRule } from '../../ima/types.ts';
import { matchText, ruleText } from '../../ipe/audit.ts';
import { IPE_OPS, type IpeOp, type IpeParsedPolicy } from '../../ipe/types.ts';

/** `decided`: matched and decided its class of action; `asked`: looked at, and it never matched. */
export type RuleReach = 'decided' | 'asked' | 'unreached';

export interface RuleCoverage {
  /** As the policy reads back, or as IPE's audit records write it. */
  readonly text: string;
  readonly reach: RuleReach;
  /** How often the rule decided. */
  readonly decided: number;
  /** How often it was looked at and did not match. */
  readonly missed: number;
}

class Counter {
  readonly text: string;
  decided = 0;
  missed = 0;

  constructor(text: string) {
    this.text = text;
  }

  get coverage(): RuleCoverage {
    const { text, decided, missed } = this;
    return { text, reach: decided > 0 ? 'decided' : missed > 0 ? 'asked' : 'unreached', decided, missed };
  }
}

const ASKED = C.IMA_MEASURE | C.IMA_APPRAISE | C.IMA_AUDIT | C.IMA_HASH;

/** Classes of action that a list asks about at all. */
function classesOf(rules: readonly ImaRule[]): number {
  let out = 0;
  for (const r of rules) if (r.func !== C.SETXATTR_CHECK) out |= r.action & ASKED;
  return out;
}

/** One decision: each rule before the end of the walk whose class was still open was looked at. */
function count(
  rules: readonly ImaRule[],
  counters: readonly Counter[],
  func: number,
  hits: ReadonlySet<number>,
): void {
  let open = classesOf(rules);
  for (const [i, rule] of rules.entries()) {
    if (open === 0) return;
    const own = classOf(rule.action);
    if ((own & open) === 0 || ((rule.flags & C.IMA_FUNC) !== 0 && rule.func !== func)) continue;
    const counter = counters[i] as Counter;
    if (hits.has(i)) {
      counter.decided++;
      open &= ~own;
    } else counter.missed++;
  }
}

const numbers = (value: EventValue | undefined): readonly number[] =>
  Array.isArray(value) ? value.map(Number) : [];

/**
 * What events of a trace say about the rules of a list: `custom` rules judge from the first accepted upload
 * on, `default` rules before. Give the list that is in force at the end of the trace.
 * @kernel security/integrity/ima/ima_policy.c ima_match_policy()
 */
export function imaCoverage(
  events: Iterable<TraceEvent>,
  rules: readonly ImaRule[],
  list: 'default' | 'custom',
): readonly RuleCoverage[] {
  const counters = rules.map((r) => new Counter(showRule(r).trim()));
  let active: EventValue | undefined = 'default';
  let present = list === 'default' ? rules.length : 0;
  for (const { kind, data } of events) {
    if (kind === 'ima.policy_load' && data['list'] !== undefined) {
      active = data['list'];
      present = Number(data['from']) + Number(data['rules']);
    }
    if ((kind !== 'ima.check' && kind !== 'ima.buffer') || active !== list) continue;
    const func = C.FUNC_TOKENS.indexOf(String(data['func']));
    const then = present >= rules.length ? rules : rules.slice(0, present);
    if (func > 0) count(then, counters, func, new Set(numbers(data['rules'])));
  }
  return counters.map((c) => c.coverage);
}

function missedLines(value: EventValue | undefined): ReadonlySet<number> {
  const lines = Array.isArray(value) ? value : [];
  return new Set(lines.map((m) => Number((m as { readonly line?: EventValue }).line)));
}

/**
 * The same for an IPE policy: its rules in the order of the operations, then the defaults. Events that
 * another active policy judged have to be cut away first.
 * @kernel security/ipe/eval.c ipe_evaluate_event()
 */
export function ipeCoverage(events: Iterable<TraceEvent>, policy: IpeParsedPolicy): readonly RuleCoverage[] {
  const byLine = new Map<number, Counter>();
  const lines = new Map<string, number[]>();
  for (const op of IPE_OPS)
    for (const rule of policy.ops[op].rules) {
      const text = ruleText(rule);
      byLine.set(rule.line, new Counter(text));
      lines.set(text, [...(lines.get(text) ?? []), rule.line]);
    }
  const defaults = new Map<string, Counter>();
  const add = (op: IpeOp | null, action: 'ALLOW' | 'DENY' | null): void => {
    if (action === null) return;
    const text = matchText(op === null ? { kind: 'global', action } : { kind: 'table', action }, op);
    defaults.set(text, new Counter(text));
  };
  for (const op of IPE_OPS) add(op, policy.ops[op].defaultAction);
  add(null, policy.globalDefaultAction);
  for (const { kind, data } of events) {
    if (kind !== 'ipe.evaluate' || data['rule'] === undefined) continue;
    const missed = missedLines(data['missed']);
    for (const line of missed) {
      const counter = byLine.get(line);
      if (counter !== undefined) counter.missed++;
    }
    const text = String(data['rule']);
    const line = lines.get(text)?.find((l) => !missed.has(l));
    const hit = line === undefined ? defaults.get(text) : byLine.get(line);
    if (hit !== undefined) hit.decided++;
  }
  return [...byLine.values(), ...defaults.values()].map((c) => c.coverage);
}
