// Declared faults: the n-th call of a named kernel function fails as if memory were short or a device did
// not answer. Which functions can fail so is declared by the room that calls them; what is armed is part of
// the machine's state, so a fork and a replay fail at the same call.

import { defineReasons } from './reasons.ts';
import type { Trace } from './trace.ts';

/** A function of the kernel that can be made to fail. */
export interface FaultSite {
  /** What fails, in a few words. */
  readonly text: string;
  /** What the function returns then: -ENOMEM, or a TPM's response code that may be chosen. */
  readonly result: 'ENOMEM' | 'rc';
}

export interface ArmedFault {
  readonly site: string;
  /** Calls that still go well. */
  readonly skip: number;
  /** Calls that fail after them. */
  readonly times: number;
  /** Response code of a device; null where the function fails by ENOMEM. */
  readonly rc: number | null;
}

/** Faults in the order in which they were armed. */
export type FaultsState = readonly ArmedFault[];

const NONE: FaultsState = [];

export function newFaults(): FaultsState {
  return NONE;
}

const R = defineReasons({
  'fault.injected': {
    text: '{site} fails here because the scenario says so',
    source: 'mm/failslab.c should_failslab()',
  },
});

/** What a device answers when nothing else is chosen: TPM_RC_FAILURE. */
const DEFAULT_RC = 0x101;

/** The armed faults of one machine. */
export class Faults {
  state: FaultsState;
  readonly #env: { readonly trace: Trace };

  constructor(state: FaultsState, env: { readonly trace: Trace }) {
    this.state = state;
    this.#env = env;
  }

  arm(fault: ArmedFault): void {
    this.state = [...this.state, fault];
  }

  /** Counts a call of a function; the fault that hits it, or null. */
  take(site: string): ArmedFault | null {
    if (this.state.length === 0) return null;
    let hit: ArmedFault | null = null;
    const left: ArmedFault[] = [];
    for (const fault of this.state) {
      if (fault.site !== site || hit !== null) left.push(fault);
      else if (fault.skip > 0) left.push({ ...fault, skip: fault.skip - 1 });
      else {
        hit = fault;
        if (fault.times > 1) left.push({ ...fault, times: fault.times - 1 });
      }
    }
    this.state = left;
    if (hit !== null) this.#env.trace.emit('fault.injected', { site }, R['fault.injected']);
    return hit;
  }

  /** Whether this call runs out of memory. */
  noMemory(site: string): boolean {
    return this.state.length > 0 && this.take(site) !== null;
  }

  /** Response code of a device that fails in this call; 0 when it does not. */
  deviceError(site: string): number {
    const hit = this.state.length === 0 ? null : this.take(site);
    return hit === null ? 0 : (hit.rc ?? DEFAULT_RC);
  }
}
