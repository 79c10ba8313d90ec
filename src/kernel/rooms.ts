// The rooms of a machine as one table: how each cursor is made from its part of the state and the other cursors. A room that
// is added later is one member of Cursors and one line of the table; state, forks and JSON follow from them.

import type { Clock } from '../base/clock.ts';
import type { KernelProfile } from '../base/profile.ts';
import type { Random } from '../base/random.ts';
import type { Trace } from '../base/trace.ts';
import type { Evm } from '../evm/evm.ts';
import type { Ima } from '../ima/ima.ts';
import type { Audit } from '../integrity/audit.ts';
import { kernelReadFileFromPath } from '../integrity/kernel-read-file.ts';
import type { Keyrings } from '../integrity/keyrings.ts';
import type { Ipe } from '../ipe/ipe.ts';
import { IPE_PROPERTIES } from '../ipe/properties.ts';
import { LsmStack } from '../lsm/stack.ts';
import type { Tpm } from '../tpm/tpm.ts';
import type { Vfs } from '../vfs/vfs.ts';
import { LateChip } from './chip.ts';
import type { Kernel } from './kernel.ts';

/** Every cursor, by the name of its part of the state. */
export interface Cursors {
  trace: Trace;
  clock: Clock;
  random: Random;
  audit: Audit;
  vfs: Vfs;
  /** null on a machine without a TPM. */
  tpm: Tpm | null;
  keys: Keyrings;
  evm: Evm;
  ima: Ima;
  ipe: Ipe;
  kernel: Kernel;
}

type StateOf<C> = C extends { readonly state: infer S } ? S : null;

/** The whole state of a machine: one plain value. */
export type MachineState = { readonly [room in keyof Cursors]: StateOf<Cursors[room]> } & {
  readonly profile: KernelProfile;
};
