import { describe, expect, test } from 'vitest';
import type { AnyStateMachine } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import { type StateTable, step } from '../../../src/base/table.ts';
import { lockoutMachine, lockoutTable } from '../../../src/tpm/lockout.machine.ts';
import { sessionMachine, sessionTable } from '../../../src/tpm/session.machine.ts';
import { startupMachine, startupTable } from '../../../src/tpm/startup.machine.ts';

const MACHINES: readonly (readonly [
  string,
  AnyStateMachine,
  StateTable<string, string>,
  readonly string[],
])[] = [
  [
    'start-up',
    startupMachine,
    startupTable,
    ['POWER_ON', 'POWER_OFF', 'STARTUP', 'SHUTDOWN', 'STATE_CHANGED', 'FAIL'],
  ],
  ['lockout', lockoutMachine, lockoutTable, ['FAILURE', 'LIMIT_REACHED', 'RECOVERED', 'HEALED', 'RESET']],
  ['session', sessionMachine, sessionTable, ['START', 'USE', 'SAVE', 'LOAD', 'FLUSH', 'END', 'TPM_RESET']],
];

describe.each(MACHINES)('%s', (_name, machine, table, events) => {
  test('every path of the machine ends where the table ends', () => {
    const paths = getShortestPaths(machine, { events: events.map((type) => ({ type })) });
    expect(paths.length).toBe(table.states.length);
    for (const path of paths) {
      let state = table.initial;
      for (const { event } of path.steps.slice(1)) state = step(table, state, event.type);
      expect(state).toBe(path.state.value);
    }
  });

  test('every state is reachable and every declared event moves something', () => {
    expect([...table.states].sort()).toEqual(Object.keys(machine.states).sort());
    const moving = new Set(table.states.flatMap((s) => Object.keys(table.next[s] ?? {})));
    const declared = new Set(Object.values(machine.states).flatMap((s) => s.ownEvents as string[]));
    for (const event of moving) expect(declared.has(event)).toBe(true);
  });
});
