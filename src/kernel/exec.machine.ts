// The life of one execve as a state machine: the phases at which a scenario may stop it and let another
// task act. The run-time path uses the table derived from it. `locked` and `verified` are passed through by
// the mainline kernel; they are where a design that pins pages and checks them after loading would stand.

import { setup } from 'xstate';
import { deriveTable } from '../base/table.ts';
import type { ExecPhase } from './api.ts';

export type ExecEvent =
  | 'PREPARED'
  | 'CHECKED'
  | 'INTERPRETER'
  | 'MAPPED'
  | 'LOCKED'
  | 'VERIFIED'
  | 'STARTED'
  | 'FAILED'
  | 'KILLED';

export const EXEC_EVENTS: readonly ExecEvent[] = [
  'PREPARED',
  'CHECKED',
  'INTERPRETER',
  'MAPPED',
  'LOCKED',
  'VERIFIED',
  'STARTED',
  'FAILED',
  'KILLED',
];

/**
 * Before the point of no return a failure is execve's errno (`failed`), after it the task dies (`killed`).
 * A script goes back from `checked` to `prepared` with its interpreter as the file.
 * @kernel fs/exec.c bprm_execve(), exec_binprm(), begin_new_exec()
 */
export const execMachine = setup({ types: { events: {} as { type: ExecEvent } } }).createMachine({
  id: 'exec',
  initial: 'opened',
  states: {
    opened: { on: { PREPARED: 'prepared', FAILED: 'failed' } },
    prepared: { on: { CHECKED: 'checked', FAILED: 'failed' } },
    checked: { on: { INTERPRETER: 'prepared', MAPPED: 'mapped', FAILED: 'failed', KILLED: 'killed' } },
    mapped: { on: { LOCKED: 'locked', KILLED: 'killed' } },
    locked: { on: { VERIFIED: 'verified', KILLED: 'killed' } },
    verified: { on: { STARTED: 'running', KILLED: 'killed' } },
    running: { type: 'final' },
    failed: { type: 'final' },
    killed: { type: 'final' },
  },
});

export const execTable = deriveTable<ExecPhase, ExecEvent>(execMachine, EXEC_EVENTS);
