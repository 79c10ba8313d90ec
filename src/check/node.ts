// A place of the search: a session of a forked machine, what steps remember, and how it was reached. Nodes
// are values: going on from one leaves it as it is.

import { toArray } from '../base/list.ts';
import type { TraceEvent } from '../base/trace.ts';
import { Machine } from '../kernel/machine.ts';
import type { MachineState } from '../kernel/rooms.ts';
import type { DataContext } from '../scenario/data.ts';
import { readStep } from '../scenario/loader.ts';
import type { OpResult } from '../scenario/ops/types.ts';
import { performStep } from '../scenario/perform.ts';
import { type OpInput, Session, type SessionState } from '../scenario/session.ts';
import type { Source } from '../scenario/source.ts';
import type { RunMemory } from '../scenario/steps/types.ts';
import type { Action, StepForm } from './action.ts';

/** A machine with its processes at one moment. */
export interface Moment {
  readonly machine: MachineState;
  readonly session: SessionState;
  readonly memory: RunMemory;
}

export interface CheckNode {
  readonly now: Moment;
  /** How many actions led here. */
  readonly depth: number;
  readonly parent: CheckNode | null;
  readonly action: Action | null;
  /** What the properties remember, in their order. */
  readonly memories: readonly unknown[];
}

/** One step that was carried out, between two moments. */
export interface Transition {
  readonly form: StepForm;
  /** The step with its bytes resolved, as the operation got it. */
  readonly op: OpInput;
  readonly result: OpResult;
  readonly before: Moment;
  readonly after: Moment;
  readonly events: readonly TraceEvent[];
}

/** A step that cannot be read is a mistake of an action kind, or of a scenario that was not loaded. */
export class StepMistake extends Error {}

/** Steps by their text: the same step is read once. */
export class StepReader {
  readonly #known = new Map<string, OpInput>();
  readonly #source: Source;
  readonly #data: DataContext;

  constructor(source: Source, data: DataContext) {
    this.#source = source;
    this.#data = data;
  }

  read(form: StepForm): OpInput {
    const key = JSON.stringify(form);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const { step, diagnostics } = readStep(form, this.#source, this.#data);
    if (step === null) throw new StepMistake(`${key}: ${diagnostics.map((d) => d.message).join('; ')}`);
    this.#known.set(key, step.op);
    return step.op;
  }
}

export function sessionOf(moment: Moment): Session {
  return new Session(Machine.fromState(moment.machine), { opTimeUs: 1000 }, moment.session);
}

/** Carries out steps one after the other, as a scenario run does. */
export function* steps(
  from: Moment,
  forms: readonly StepForm[],
  reader: StepReader,
): Generator<Transition, void> {
  const session = sessionOf(from);
  const machine = session.machine as Machine;
  let before = from;
  for (const form of forms) {
    const op = reader.read(form);
    const { result, memory } = performStep(session, before.memory, op);
    const after: Moment = { machine: machine.state, session: session.state, memory };
    const from = before.machine.trace.events.length;
    yield { form, op, result, before, after, events: toArray(after.machine.trace.events, from) };
    before = after;
  }
}

/** Actions from the start to a node. */
export function pathTo(node: CheckNode): readonly Action[] {
  const out: Action[] = [];
  for (let at: CheckNode | null = node; at !== null; at = at.parent)
    if (at.action !== null) out.push(at.action);
  return out.reverse();
}
