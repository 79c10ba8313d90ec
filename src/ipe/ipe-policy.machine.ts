// The life of one IPE policy: loaded by `new_policy`, activated, replaced as the active one, updated in
// place, deleted. Whether an event is allowed (versions, names, signatures) is decided by plain functions
// in policy.ts before it is sent.

import { setup } from 'xstate';
import { deriveTable } from '../base/table.ts';
import type { IpePolicyLife } from './types.ts';

export type IpePolicyEvent =
  /** A directory was made for it: written to `new_policy`. */
  | 'LOAD'
  /** The boot policy: in force from the start. */
  | 'BOOT'
  /** `active` was written and the version is not below the active one's. */
  | 'ACTIVATE'
  /** Another policy became the active one; there is no way to have none again. */
  | 'SUPERSEDE'
  /** `update` was written; an active policy stays active, with its new text. */
  | 'UPDATE'
  | 'DELETE';

export const IPE_POLICY_EVENTS: readonly IpePolicyEvent[] = [
  'LOAD',
  'BOOT',
  'ACTIVATE',
  'SUPERSEDE',
  'UPDATE',
  'DELETE',
];

/** @kernel security/ipe/policy.c ipe_new_policy(), ipe_set_active_pol(), ipe_update_policy() */
export const ipePolicyMachine = setup({ types: { events: {} as { type: IpePolicyEvent } } }).createMachine({
  id: 'ipePolicy',
  initial: 'absent',
  states: {
    absent: { on: { LOAD: 'loaded', BOOT: 'active' } },
    loaded: { on: { ACTIVATE: 'active', UPDATE: 'loaded', DELETE: 'deleted' } },
    /** No DELETE: the active policy cannot be deleted. */
    active: { on: { SUPERSEDE: 'loaded', UPDATE: 'active' } },
    deleted: { type: 'final' },
  },
});

export const ipePolicyTable = deriveTable<IpePolicyLife, IpePolicyEvent>(ipePolicyMachine, IPE_POLICY_EVENTS);
