// Life of the TPM between power-on and power-off: waiting for TPM2_Startup, operational, shut down, failed.
// Which kind of start-up (Reset, Restart, Resume) follows is decided from the last orderly shutdown, in
// commands/startup.ts.

import { setup } from 'xstate';
import { deriveTable } from '../base/table.ts';

export type StartupState = 'off' | 'initialized' | 'operational' | 'shutdown' | 'failure';
export type StartupEvent = 'POWER_ON' | 'POWER_OFF' | 'STARTUP' | 'SHUTDOWN' | 'STATE_CHANGED' | 'FAIL';

const EVENTS: readonly StartupEvent[] = [
  'POWER_ON',
  'POWER_OFF',
  'STARTUP',
  'SHUTDOWN',
  'STATE_CHANGED',
  'FAIL',
];

/** @tcg Part 1, 12.2 Initialization, 12.3 Startup, 12.4 Shutdown; 10.4 Failure Mode */
export const startupMachine = setup({ types: { events: {} as { type: StartupEvent } } }).createMachine({
  id: 'tpmStartup',
  initial: 'off',
  states: {
    off: { on: { POWER_ON: 'initialized' } },
    /** _TPM_Init happened: only TPM2_Startup is accepted. */
    initialized: { on: { STARTUP: 'operational', POWER_OFF: 'off', FAIL: 'failure' } },
    operational: { on: { SHUTDOWN: 'shutdown', POWER_OFF: 'off', FAIL: 'failure' } },
    /** TPM2_Shutdown was the last thing that changed the state: the next start is orderly. */
    shutdown: {
      on: { STATE_CHANGED: 'operational', SHUTDOWN: 'shutdown', POWER_OFF: 'off', FAIL: 'failure' },
    },
    /** Only TPM2_GetTestResult and TPM2_GetCapability are answered; the way out is _TPM_Init. */
    failure: { on: { POWER_OFF: 'off' } },
  },
});

export const startupTable = deriveTable<StartupState, StartupEvent>(startupMachine, EVENTS);
