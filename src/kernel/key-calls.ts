// What add_key(2) and keyctl(2) need behind them. The keyrings room implements it; a machine without that
// room answers ENOSYS, as a kernel without CONFIG_KEYS.

import type { Err, Result } from '../base/errno.ts';
import { fail } from '../base/errno.ts';
import type { VfsTask } from '../vfs/types.ts';

/** The acting task: 0 as session keyring stands for its user's session keyring. */
export interface KeyTask extends VfsTask {
  readonly sessionKeyring: number;
}

/**
 * A keyring as callers name it: a serial, a special number (-1 thread .. -5 user session), or a name in
 * /proc/keys.
 */
export type RingName = number | string;

export interface KeyCalls {
  addKey(
    task: KeyTask,
    type: string,
    description: string,
    payload: Uint8Array,
    ring: RingName,
  ): Result<number>;
  search(task: KeyTask, ring: RingName, type: string, description: string): Result<number>;
  read(task: KeyTask, key: number): Result<Uint8Array>;
  revoke(task: KeyTask, key: number): Err;
  invalidate(task: KeyTask, key: number): Err;
  unlink(task: KeyTask, key: number, ring: RingName): Err;
  restrict(task: KeyTask, ring: RingName): Err;
  exists(task: KeyTask, name: string): boolean;
  /** Text of /proc/keys as the task sees it. */
  list(task: KeyTask): string;
}

export const NO_KEY_CALLS: KeyCalls = {
  addKey: () => fail('ENOSYS'),
  search: () => fail('ENOSYS'),
  read: () => fail('ENOSYS'),
  revoke: () => 'ENOSYS',
  invalidate: () => 'ENOSYS',
  unlink: () => 'ENOSYS',
  restrict: () => 'ENOSYS',
  exists: () => false,
  list: () => '',
};
