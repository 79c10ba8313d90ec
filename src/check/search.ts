// What both engines share: the promises and powers of a search, and going from a node to the next one by an
// action, with every promise looking at every step.

import type { Action, ActionKind } from './action.ts';
import { type CheckNode, type Moment, steps, type Transition } from './node.ts';
import type { Finding, Property } from './property.ts';
import type { Subject } from './subject.ts';
import { View } from './view.ts';

/** What is searched: a subject, promises, and what an attacker can do. */
export interface Search {
  readonly subject: Subject;
  readonly properties: readonly Property<unknown>[];
  readonly kinds: readonly ActionKind[];
  /** Counts as it goes. */
  readonly tally: Tally;
}

/** Coverage: what was tried, how often, and which rules had a say. */
export interface Tally {
  /** Actions that were carried out. */
  transitions: number;
  /** Steps of these. */
  steps: number;
  /** Kind of action -> how often. */
  readonly kinds: Map<string, number>;
  /** Place of an IMA rule -> how often it matched. */
  readonly rules: Map<number, number>;
}

export function newTally(): Tally {
  return { transitions: 0, steps: 0, kinds: new Map(), rules: new Map() };
}

export interface Broken {
  readonly property: Property<unknown>;
  readonly finding: Finding;
  /** Actions up to the one that broke the promise; of that one the steps up to the breaking one. */
  readonly actions: readonly Action[];
}

export type Advanced =
  | { readonly node: CheckNode; readonly broken: null }
  | { readonly node: null; readonly broken: Broken };

export function startNode(search: Search): CheckNode {
  const { subject, properties } = search;
  return {
    now: subject.start,
    depth: 0,
    parent: null,
    action: null,
    memories: properties.map((p) => p.start(subject)),
  };
}

function count({ rules }: Tally, { events }: Transition): void {
  for (const e of events) {
    const matched = e.kind === 'ima.check' ? e.data['rules'] : undefined;
    if (!Array.isArray(matched)) continue;
    for (const place of matched) rules.set(Number(place), (rules.get(Number(place)) ?? 0) + 1);
  }
}

/** The first promise that a step breaks, and what all of them remember of it. */
function watch(
  search: Search,
  memories: readonly unknown[],
  t: Transition,
): {
  readonly memories: readonly unknown[];
  readonly broken: { property: Property<unknown>; finding: Finding } | null;
} {
  const next: unknown[] = [];
  for (const [i, property] of search.properties.entries()) {
    const { memory, finding } = property.watch(memories[i], t, search.subject);
    if (finding !== null) return { memories: next, broken: { property, finding } };
    next.push(memory);
  }
  return { memories: next, broken: null };
}

/** Carries out an action; the actions before it are given by whoever knows them. */
export function advance(
  search: Search,
  from: CheckNode,
  action: Action,
  before: () => readonly Action[],
): Advanced {
  const { tally, subject } = search;
  tally.transitions++;
  tally.kinds.set(action.kind, (tally.kinds.get(action.kind) ?? 0) + 1);
  let memories = from.memories;
  let now: Moment = from.now;
  let done = 0;
  for (const t of steps(from.now, action.steps, subject.reader)) {
    tally.steps++;
    done++;
    count(tally, t);
    const seen = watch(search, memories, t);
    if (seen.broken !== null) {
      const last: Action = { ...action, steps: action.steps.slice(0, done) };
      return { node: null, broken: { ...seen.broken, actions: [...before(), last] } };
    }
    memories = seen.memories;
    now = t.after;
  }
  return { node: { now, depth: from.depth + 1, parent: from, action, memories }, broken: null };
}

/** Everything that can be done at a node, in a fixed order. */
export function candidates(search: Search, node: CheckNode): readonly Action[] {
  const view = new View(search.subject, node.now);
  return search.kinds.flatMap((kind) => kind.candidates(view));
}

/** Replays actions from the start; the broken promise, or null. */
export function replay(search: Search, actions: readonly Action[]): Broken | null {
  let node = startNode(search);
  for (const [i, action] of actions.entries()) {
    const next = advance(search, node, action, () => actions.slice(0, i));
    if (next.broken !== null) return next.broken;
    node = next.node;
  }
  return null;
}
