// Steps that only scenarios have: they act on the machine from outside its system calls (its clock, its
// TPM, its power switch, its disks). A declaration has the same form as an operation; its code also gets
// the run's own memory.

import type * as z from 'zod';
import type { Visit } from '../../attest/state.ts';
import { assert } from '../../base/assert.ts';
import type { Pid } from '../../kernel/api.ts';
import type { OpResult } from '../ops/types.ts';
import type { BankValues } from '../quote-check.ts';
import type { ActorCursor, Session } from '../session.ts';

/** A quote that a step asked for, kept under a name for later steps. */
export interface KeptQuote {
  readonly attest: Uint8Array;
  readonly signature: Uint8Array;
  /** TPMT_PUBLIC of the key that signed. */
  readonly publicArea: Uint8Array;
  /** Selection, with the values that the registers held. */
  readonly banks: readonly BankValues[];
  readonly nonce: Uint8Array;
}

/** What an agent copied from the machine. */
export interface KeptEvidence {
  /** Parts of the measurement list, oldest first. */
  readonly list: readonly Uint8Array[];
  readonly eventlog: Uint8Array | null;
}

/** What steps remember between each other; a value, so that a fork of a run keeps its own. */
export interface RunMemory {
  readonly quotes: { readonly [name: string]: KeptQuote };
  /** Name of the quote made last. */
  readonly lastQuote: string | null;
  readonly evidence: { readonly [name: string]: KeptEvidence };
  /** What a verifier remembers of the machine. */
  readonly visits: { readonly [name: string]: Visit };
  /** Programs whose execve is under way or that run, by name. */
  readonly programs: { readonly [name: string]: StartedProgram };
}

/** A child of an actor between its fork and its end. */
export interface StartedProgram {
  readonly pid: Pid;
  /** Key of the process that started it, and will wait for it. */
  readonly parent: string;
}

export const NO_MEMORY: RunMemory = {
  quotes: {},
  lastQuote: null,
  evidence: {},
  visits: {},
  programs: {},
};

export interface StepContext {
  session: Session;
  memory: RunMemory;
  /** The process that the step acts as; made when it first acts. */
  readonly actor: () => ActorCursor;
}

export interface ScenarioOp {
  readonly name: string;
  readonly help: string;
  readonly args: z.ZodRawShape;
  /** Somebody beside the machine does it: it works on one that is off, asleep or dead. */
  readonly outside?: true;
  readonly run: (context: StepContext, args: never) => OpResult;
}

/** Declares a scenario step; the code gets its arguments with their types. */
export function defineStep<S extends z.ZodRawShape>(declaration: {
  readonly name: string;
  readonly help: string;
  readonly args: S;
  readonly outside?: true;
  readonly run: (context: StepContext, args: z.infer<z.ZodObject<S>>) => OpResult;
}): ScenarioOp {
  assert(/^[a-z_]+$/.test(declaration.name), `name of step ${declaration.name}`);
  return declaration;
}
