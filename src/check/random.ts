// The random search: sequences of choices that fast-check makes, shrinks and repeats. A choice is a pair of
// numbers, a kind by its weight and one of its candidates, read against the machine as it then is, so both
// engines take actions from the same lists, and a sequence that is shortened still makes sense.

import fc from 'fast-check';
import type { Action } from './action.ts';
import type { CheckNode } from './node.ts';
import { advance, type Broken, type Search, startNode } from './search.ts';
import { shrink } from './shrink.ts';
import { View } from './view.ts';

export interface RandomOptions {
  readonly runs: number;
  readonly seed: number;
  /** Actions of one run, at most. */
  readonly length?: number;
  /** Repeats one run: fast-check's path. */
  readonly path?: string;
  readonly stop?: () => boolean;
  readonly progress?: (runs: number, transitions: number) => void;
}

export interface RandomResult {
  readonly broken: Broken | null;
  readonly runs: number;
  readonly transitions: number;
  /** Whether all runs were made. */
  readonly complete: boolean;
  readonly seed: number;
  /** What repeats the run that found something. */
  readonly path: string | null;
}

interface Choice {
  readonly kind: number;
  readonly candidate: number;
}

const CHOICE = fc.record({ kind: fc.nat({ max: 0x7fffffff }), candidate: fc.nat({ max: 0x7fffffff }) });
const DEFAULT_LENGTH = 8;

/** The action that a choice means now: kinds that can do nothing do not count. */
function actionOf(search: Search, node: CheckNode, choice: Choice): Action | null {
  const view = new View(search.subject, node.now);
  const total = search.kinds.reduce((sum, k) => sum + k.weight, 0);
  let at = choice.kind % total;
  const first = search.kinds.findIndex((k) => {
    at -= k.weight;
    return at < 0;
  });
  for (let i = 0; i < search.kinds.length; i++) {
    const found = search.kinds[(first + i) % search.kinds.length]?.candidates(view) ?? [];
    if (found.length > 0) return found[choice.candidate % found.length] ?? null;
  }
  return null;
}

/** Follows choices until a promise breaks. */
function follow(search: Search, choices: readonly Choice[]): Broken | null {
  let node = startNode(search);
  const done: Action[] = [];
  for (const choice of choices) {
    const action = actionOf(search, node, choice);
    if (action === null) return null;
    const next = advance(search, node, action, () => done.slice());
    if (next.broken !== null) return next.broken;
    done.push(action);
    node = next.node;
  }
  return null;
}

/** Random runs until something is found or all are made. */
export function random(search: Search, options: RandomOptions): RandomResult {
  const { runs, seed, length = DEFAULT_LENGTH, path, stop, progress } = options;
  let made = 0;
  let stopped = false;
  let broken: Broken | null = null;
  const predicate = (choices: readonly Choice[]): boolean => {
    if (stopped || stop?.() === true) {
      stopped = true;
      return true;
    }
    made++;
    progress?.(made, search.tally.transitions);
    const found = follow(search, choices);
    if (found !== null) broken = found;
    return found === null;
  };
  const sequences = fc.array(CHOICE, { minLength: 1, maxLength: length, size: 'max' });
  const details = fc.check(fc.property(sequences, predicate), {
    numRuns: runs,
    seed,
    ...(path === undefined ? {} : { path }),
  });
  const found = broken === null ? null : shrink(search, broken);
  return {
    broken: found,
    runs: details.numRuns,
    transitions: search.tally.transitions,
    complete: !stopped,
    seed,
    path: found === null ? null : details.counterexamplePath,
  };
}
