// Life of one authorization session: loaded in the TPM, saved outside as a context, or gone. The session's
// values (nonces, key, policy digest) are data in state.ts; this machine says which commands may touch them.

import { setup } from 'xstate';
import { deriveTable } from '../base/table.ts';

export type SessionLife = 'absent' | 'loaded' | 'saved';
export type SessionEvent = 'START' | 'USE' | 'SAVE' | 'LOAD' | 'FLUSH' | 'END' | 'TPM_RESET';

const EVENTS: readonly SessionEvent[] = ['START', 'USE', 'SAVE', 'LOAD', 'FLUSH', 'END', 'TPM_RESET'];

/** @tcg Part 1, 19.6 Session-Based Authorizations; Part 3, 28 Context Management */
export const sessionMachine = setup({ types: { events: {} as { type: SessionEvent } } }).createMachine({
  id: 'tpmSession',
  initial: 'absent',
  states: {
    absent: { on: { START: 'loaded' } },
    loaded: { on: { USE: 'loaded', SAVE: 'saved', FLUSH: 'absent', END: 'absent', TPM_RESET: 'absent' } },
    saved: { on: { LOAD: 'loaded', FLUSH: 'absent', TPM_RESET: 'absent' } },
  },
});

export const sessionTable = deriveTable<SessionLife, SessionEvent>(sessionMachine, EVENTS);
