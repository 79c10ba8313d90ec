// Power of the machine as its owner sees it: off, starting, on, asleep. What an event does to the TPM, to
// memory and to the disks is in power.ts; whether the kernel had time to say good-bye is a matter of the
// event's data.

import { setup } from 'xstate';
import { deriveTable } from '../base/table.ts';

export type PowerState = 'off' | 'starting' | 'on' | 'asleep';
export type PowerEvent = 'POWER_ON' | 'STARTED' | 'POWER_OFF' | 'RESET' | 'SUSPEND' | 'RESUME';

const EVENTS: readonly PowerEvent[] = ['POWER_ON', 'STARTED', 'POWER_OFF', 'RESET', 'SUSPEND', 'RESUME'];

/** @kernel kernel/reboot.c kernel_power_off(), kernel_restart(); kernel/power/suspend.c pm_suspend() */
export const powerMachine = setup({ types: { events: {} as { type: PowerEvent } } }).createMachine({
  id: 'power',
  initial: 'off',
  states: {
    off: { on: { POWER_ON: 'starting' } },
    /** Firmware, boot loader, and the kernel until its first task runs. */
    starting: { on: { STARTED: 'on' } },
    on: { on: { POWER_OFF: 'off', RESET: 'starting', SUSPEND: 'asleep' } },
    /** Memory is kept; pulling the plug or pressing reset ends the kernel that sleeps there. */
    asleep: { on: { RESUME: 'on', POWER_OFF: 'off', RESET: 'starting' } },
  },
});

export const powerTable = deriveTable<PowerState, PowerEvent>(powerMachine, EVENTS);
