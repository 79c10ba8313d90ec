// Life of the policy node: one writer at a time, an upload that is good until its first bad line, and what
// the build lets remain of the node after the first accepted upload.

import { setup } from 'xstate';
import { deriveTable, type StateTable } from '../base/table.ts';
import type { PolicyLoadState } from './types.ts';

/** CLOSE with CONFIG_IMA_WRITE_POLICY, with CONFIG_IMA_READ_POLICY alone, with neither. */
export const POLICY_EVENTS = ['OPEN', 'RULE', 'BAD', 'CLOSE', 'CLOSE_SEAL', 'CLOSE_REMOVE'] as const;
export type PolicyEvent = (typeof POLICY_EVENTS)[number];

export const policyMachine = setup({
  types: { events: {} as { type: PolicyEvent } },
}).createMachine({
  id: 'imaPolicy',
  initial: 'closed',
  states: {
    closed: { on: { OPEN: 'open' } },
    /** A writer is there and nothing is wrong, but there is no rule either. */
    open: {
      on: {
        RULE: 'open_rules',
        BAD: 'open_invalid',
        CLOSE: 'closed',
        CLOSE_SEAL: 'closed',
        CLOSE_REMOVE: 'closed',
      },
    },
    open_rules: {
      on: { BAD: 'open_invalid', CLOSE: 'closed', CLOSE_SEAL: 'sealed', CLOSE_REMOVE: 'removed' },
    },
    open_invalid: { on: { CLOSE: 'closed', CLOSE_SEAL: 'closed', CLOSE_REMOVE: 'closed' } },
    /** Rules are loaded for good; the node stays busy for ever and has lost its write bit. */
    sealed: {},
    /** Rules are loaded for good; the node is gone. */
    removed: { type: 'final' },
  },
});

export const policyTable: StateTable<PolicyLoadState, PolicyEvent> = deriveTable(
  policyMachine,
  POLICY_EVENTS,
);
