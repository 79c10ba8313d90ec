// Dictionary-attack protection: counting failures, in lockout, and the separate lock of lockoutAuth. Counters
// and timers are numbers in the persistent state (lockout.ts); this machine names the state that they amount
// to.

import { setup } from 'xstate';
import { deriveTable } from '../base/table.ts';

export type LockoutState = 'clear' | 'counting' | 'lockout';
export type LockoutEvent = 'FAILURE' | 'LIMIT_REACHED' | 'RECOVERED' | 'HEALED' | 'RESET';

const EVENTS: readonly LockoutEvent[] = ['FAILURE', 'LIMIT_REACHED', 'RECOVERED', 'HEALED', 'RESET'];

/** @tcg Part 1, 19.8 Dictionary Attack Protection */
export const lockoutMachine = setup({ types: { events: {} as { type: LockoutEvent } } }).createMachine({
  id: 'tpmLockout',
  initial: 'clear',
  states: {
    clear: { on: { FAILURE: 'counting', LIMIT_REACHED: 'lockout' } },
    counting: {
      on: {
        FAILURE: 'counting',
        LIMIT_REACHED: 'lockout',
        HEALED: 'counting',
        RECOVERED: 'clear',
        RESET: 'clear',
      },
    },
    /**
     * Authorization of protected entities is refused until time or TPM2_DictionaryAttackLockReset heals
     * it.
     */
    lockout: { on: { HEALED: 'counting', RECOVERED: 'clear', RESET: 'clear' } },
  },
});

export const lockoutTable = deriveTable<LockoutState, LockoutEvent>(lockoutMachine, EVENTS);
