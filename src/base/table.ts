// Run-time tables from XState machines. `transition()` of xstate makes about 20,000 steps a second, a table
// lookup millions: a machine on an access path keeps its XState definition as the only source, and runs on
// the table that is derived from it here. A test walks the machine with xstate/graph and holds both equal
// (checkTable).

import { type AnyStateMachine, initialTransition, type StateValue, transition } from 'xstate';
import { InternalError } from './assert.ts';

/** State -> event type -> next state; a missing entry means that the event changes nothing. */
export type StateTable<S extends string, E extends string> = {
  readonly initial: S;
  readonly states: readonly S[];
  readonly next: { readonly [state in S]: { readonly [event in E]?: S } };
};

function flat(value: StateValue): string {
  if (typeof value === 'string') return value;
  return Object.entries(value)
    .map(([k, v]) => (v === undefined ? k : `${k}.${flat(v)}`))
    .sort()
    .join('+');
}

/**
 * Explores a machine whose next state depends only on the state and the event (no context, no guards over
 * data) and returns its table. Parallel and nested states are named `a.b+c.d`.
 */
export function deriveTable<S extends string, E extends string>(
  machine: AnyStateMachine,
  events: readonly E[],
): StateTable<S, E> {
  const [first] = initialTransition(machine);
  const next: Record<string, Record<string, string>> = {};
  const queue = [first];
  while (queue.length > 0) {
    const snapshot = queue.shift();
    if (snapshot === undefined) break;
    const name = flat(snapshot.value);
    if (next[name] !== undefined) continue;
    const row: Record<string, string> = {};
    next[name] = row;
    for (const type of events) {
      const [after] = transition(machine, snapshot, { type });
      if (after.status === 'error') throw new InternalError(`machine ${machine.id} fails on ${type}`);
      const target = flat(after.value);
      if (target !== name) row[type] = target;
      if (next[target] === undefined) queue.push(after);
    }
  }
  return {
    initial: flat(first.value) as S,
    states: Object.keys(next) as S[],
    next: next as StateTable<S, E>['next'],
  };
}

/** One step of the table. */
export function step<S extends string, E extends string>(table: StateTable<S, E>, state: S, event: E): S {
  return table.next[state]?.[event] ?? state;
}
