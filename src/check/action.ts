// What somebody does to the machine: an action is a short list of scenario steps, written as a scenario file
// writes them. A kind of action is one declaration that draws its actions from the machine as it is now; a
// power is a named set of kinds. Both engines draw from the same lists, so they search the same space.

import type { View } from './view.ts';

/** A step as a scenario file writes it: `op`, its arguments, `as`, `note`, `expect`. */
export interface StepForm {
  readonly op: string;
  readonly as?: { readonly uid?: number; readonly gid?: number; readonly actor?: string };
  readonly note?: string;
  readonly [argument: string]: unknown;
}

export interface Action {
  /** Name of its kind. */
  readonly kind: string;
  readonly steps: readonly StepForm[];
  /** Steps that make no sense without each other, as a restart with all that belongs to it. */
  readonly whole?: boolean;
}

export interface ActionKind {
  readonly name: string;
  /** How often the random engine takes it, beside the others. */
  readonly weight: number;
  /** What of this kind can be done now; a small finite list in a fixed order. */
  candidates(view: View): readonly Action[];
}

export interface Power {
  readonly name: string;
  /** Who that is and what they can do, in one sentence. */
  readonly sentence: string;
  readonly kinds: readonly ActionKind[];
}

/** Declares a kind whose actions are single steps. */
export function kindOf(name: string, weight: number, steps: (view: View) => readonly StepForm[]): ActionKind {
  return { name, weight, candidates: (view) => steps(view).map((step) => ({ kind: name, steps: [step] })) };
}

/** Declares a kind whose actions are several steps that only make sense together. */
export function macroKind(
  name: string,
  weight: number,
  sequences: (view: View) => readonly (readonly StepForm[])[],
): ActionKind {
  return { name, weight, candidates: (view) => sequences(view).map((steps) => ({ kind: name, steps })) };
}

/** As `macroKind`, for steps of which none may be left out. */
export function wholeKind(
  name: string,
  weight: number,
  sequences: (view: View) => readonly (readonly StepForm[])[],
): ActionKind {
  return {
    name,
    weight,
    candidates: (view) => sequences(view).map((steps) => ({ kind: name, steps, whole: true })),
  };
}
