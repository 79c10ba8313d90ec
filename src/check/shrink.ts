// Makes a counterexample smaller: leaves out actions, then steps of actions, as long as the same promise is
// still broken. Where one action can be left out a single pass finds it; what is left is minimal in the
// sense that nothing more can be dropped alone.

import type { Action } from './action.ts';
import { type Broken, replay, type Search } from './search.ts';

function without<T>(list: readonly T[], at: number, count = 1): readonly T[] {
  return [...list.slice(0, at), ...list.slice(at + count)];
}

/** Runs of actions first, halves before quarters, then one by one. */
function dropActions(search: Search, broken: Broken): Broken {
  let best = broken;
  for (let size = Math.floor(best.actions.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at + size <= best.actions.length; ) {
      const again = same(search, best, without(best.actions, at, size));
      if (again === null) at++;
      else best = again;
    }
  }
  return best;
}

/** The same promise, or null. */
function same(search: Search, best: Broken, actions: readonly Action[]): Broken | null {
  if (actions.length === 0) return null;
  const again = replay(search, actions);
  return again?.property === best.property ? again : null;
}

function dropSteps(search: Search, broken: Broken): Broken {
  let best = broken;
  for (let i = best.actions.length - 1; i >= 0; i--) {
    if (best.actions[i]?.whole === true) continue;
    for (let at = (best.actions[i]?.steps.length ?? 0) - 1; at >= 0; at--) {
      const action = best.actions[i];
      if (action === undefined || action.steps.length < 2) continue;
      const shorter: Action = { ...action, steps: without(action.steps, at) };
      const again = same(
        search,
        best,
        best.actions.map((a, n) => (n === i ? shorter : a)),
      );
      if (again !== null) best = again;
    }
  }
  return best;
}

/** A counterexample from which nothing can be left out. */
export function shrink(search: Search, broken: Broken): Broken {
  let best = broken;
  for (;;) {
    const next = dropSteps(search, dropActions(search, best));
    const count = (b: Broken): number => b.actions.reduce((n, a) => n + a.steps.length, 0);
    if (count(next) === count(best)) return next;
    best = next;
  }
}
