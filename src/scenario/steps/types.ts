// Steps that only scenarios have: they act on the machine from outside its system calls (its clock, its
// TPM, its power switch, its disks). A declaration has the same form as an operation; its code also gets
// the run's own memory.

import type * as z from 'zod';
import { assert } from '../../base/assert.ts';
import type { OpResult } from '../ops/types.ts';
import type { BankValues } from '../quote-check.ts';
import type { Session } from '../session.ts';

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

/** What steps remember between each other; a value, so that a fork of a run keeps its own. */
export interface RunMemory {
  readonly quotes: { readonly [name: string]: KeptQuote };
  /** Name of the quote made last. */
  readonly lastQuote: string | null;
}

export interface StepContext {
  session: Session;
  memory: RunMemory;
}

export interface ScenarioOp {
  readonly name: string;
  readonly help: string;
  readonly args: z.ZodRawShape;
  readonly run: (context: StepContext, args: never) => OpResult;
}

/** Declares a scenario step; the code gets its arguments with their types. */
export function defineStep<S extends z.ZodRawShape>(declaration: {
  readonly name: string;
  readonly help: string;
  readonly args: S;
  readonly run: (context: StepContext, args: z.infer<z.ZodObject<S>>) => OpResult;
}): ScenarioOp {
  assert(/^[a-z_]+$/.test(declaration.name), `name of step ${declaration.name}`);
  return declaration;
}
