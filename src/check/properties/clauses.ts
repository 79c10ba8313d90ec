// Promises of one's own, written in the scenario: `never` and `always` clauses, made of the expectations that
// steps have. One property for each clause, named by its place.

import { Machine } from '../../kernel/machine.ts';
import { stepChecks } from '../../scenario/expectations.ts';
import { effectsSince, look } from '../../scenario/observe.ts';
import { situationOf } from '../../scenario/perform.ts';
import type { Check } from '../../scenario/result.ts';
import type { ClauseForm } from '../../scenario/schema-check.ts';
import type { Transition } from '../node.ts';
import { type Finding, type Property, property } from '../property.ts';
import type { Subject } from '../subject.ts';

function concerns(clause: ClauseForm, t: Transition): boolean {
  return Object.entries(clause.when ?? {}).every(([member, value]) => t.op[member] === value);
}

/** The expectations of a clause; the outcome counts only where it is written. */
function checksOf(clause: ClauseForm, t: Transition, subject: Subject): readonly Check[] {
  const machine = Machine.fromState(t.after.machine);
  const effects = effectsSince(machine, look(Machine.fromState(t.before.machine)));
  const at = situationOf(machine, effects, t.events, subject.data);
  const checks = stepChecks(clause.expect, t.result, at);
  return clause.expect.err === undefined ? checks.filter((c) => c.path[0] !== 'err') : checks;
}

function broken(what: string, clause: ClauseForm, t: Transition, held: boolean): Finding {
  return {
    what,
    event: t.events.findLast((e) => e.reason !== undefined) ?? null,
    object: String(t.op['path'] ?? t.op.op),
    cover: `the clause speaks of ${JSON.stringify(clause.expect)}`,
    suggestion: 'see `kisim explain` of the last step',
    expect: held ? clause.expect : {},
  };
}

function neverProperty(clause: ClauseForm, i: number): Property<unknown> {
  const sentence = clause.sentence ?? `Never: ${JSON.stringify(clause.expect)}`;
  return property(`never-${i + 1}`, sentence, (t, subject) => {
    if (!concerns(clause, t) || !checksOf(clause, t, subject).every((c) => c.ok)) return null;
    return broken(`what must never hold does: ${sentence}`, clause, t, true);
  });
}

function alwaysProperty(clause: ClauseForm, i: number): Property<unknown> {
  const sentence = clause.sentence ?? `Always: ${JSON.stringify(clause.expect)}`;
  return property(`always-${i + 1}`, sentence, (t, subject) => {
    if (!concerns(clause, t)) return null;
    const failed = checksOf(clause, t, subject).find((c) => !c.ok);
    if (failed === undefined) return null;
    return broken(
      `what must always hold does not: ${sentence} (${failed.path.join('.')}: ${failed.actual})`,
      clause,
      t,
      false,
    );
  });
}

/** The clauses of a subject as properties. */
export function clauseProperties({ check }: Pick<Subject, 'check'>): readonly Property<unknown>[] {
  return [...(check.never ?? []).map(neverProperty), ...(check.always ?? []).map(alwaysProperty)];
}
