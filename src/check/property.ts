// A promise about a machine: a name, a sentence, and a function over what one step did. A property may
// remember things between steps; what it remembers is a value and part of a node. A finding says what broke
// the promise, where, and which rule would have helped.

import type { TraceEvent } from '../base/trace.ts';
import type { StepExpectation } from '../scenario/schema-expect.ts';
import type { Transition } from './node.ts';
import type { Subject } from './subject.ts';

export interface Finding {
  /** What happened, in one sentence. */
  readonly what: string;
  /** The event of the trace that it shows in; null where it is the state. */
  readonly event: TraceEvent | null;
  /** The file or the memory that it is about. */
  readonly object: string;
  /** The rule that let it through, or what no rule covered. */
  readonly cover: string;
  /** A rule or setting that would have stopped it. */
  readonly suggestion: string;
  /** What the last step of a counterexample shall expect, so that a replay shows the same. */
  readonly expect: StepExpectation;
}

export interface Property<Memory = unknown> {
  readonly name: string;
  readonly sentence: string;
  /** What it remembers after the machine's own steps. */
  start(subject: Subject): Memory;
  /** Looks at one step. */
  watch(
    memory: Memory,
    t: Transition,
    subject: Subject,
  ): { readonly memory: Memory; readonly finding: Finding | null };
  /** The memory as a word, where two nodes with other memories are different places. */
  key?(memory: Memory): string;
}

/** A property without a memory, from a function over one step. */
export function property(
  name: string,
  sentence: string,
  violated: (t: Transition, subject: Subject) => Finding | null,
): Property<null> {
  return {
    name,
    sentence,
    start: () => null,
    watch: (memory, t, subject) => ({ memory, finding: violated(t, subject) }),
  };
}
