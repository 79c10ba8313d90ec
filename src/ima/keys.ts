// Measuring asymmetric keys when they are linked to a keyring. Until the first custom policy is loaded keys
// wait in a queue, which is dropped unmeasured when none comes within five minutes.

import { enabled } from '../base/profile.ts';
import { AUDIT_INTEGRITY_PCR } from '../integrity/audit.ts';
import type { VfsTask } from '../vfs/types.ts';
import { processBufferMeasurement } from './buffer.ts';
import { FUNC_MEASURE_STR, KEY_CHECK } from './constants.ts';
import { auditMessage, type ImaCursor, noMemory } from './cursor.ts';
import { R } from './reasons.ts';
import type { KeyQueueState, QueuedKey } from './types.ts';

function setKeys(ima: ImaCursor, change: Partial<KeyQueueState>): void {
  ima.state = { ...ima.state, keys: { ...ima.state.keys, ...change } };
}

function measureKey(ima: ImaCursor, task: VfsTask, key: QueuedKey): void {
  processBufferMeasurement(ima, task, {
    data: key.payload,
    eventName: key.keyring,
    func: KEY_CHECK,
    funcData: key.keyring,
    inode: null,
    pcr: 0,
    hashed: false,
  });
}

/**
 * The delayed work ran when its time was over: looked at whenever the queue is used.
 * @kernel security/integrity/ima/ima_queue_keys.c ima_keys_handler()
 */
export function expireKeyQueue(ima: ImaCursor): void {
  const { processKeys, deadlineMs, queue } = ima.state.keys;
  if (processKeys || deadlineMs === null || ima.env.clock.uptimeMs() < deadlineMs) return;
  setKeys(ima, { processKeys: true, queue: [] });
  if (queue.length > 0) ima.env.trace.emit('ima.keys', { keys: queue.length }, R['ima.key_queue_dropped']);
}

/** @kernel security/integrity/ima/ima_queue_keys.c ima_process_queued_keys() */
export function processQueuedKeys(ima: ImaCursor, task: VfsTask): void {
  if (!enabled(ima.env.profile, 'CONFIG_IMA_QUEUE_EARLY_BOOT_KEYS')) return;
  expireKeyQueue(ima);
  const { processKeys, queue } = ima.state.keys;
  if (processKeys) return;
  setKeys(ima, { processKeys: true, queue: [] });
  for (const key of queue) measureKey(ima, task, key);
}

/**
 * A key that cannot be queued is measured at once, if the policy of that moment wants it.
 * @kernel security/integrity/ima/ima_queue_keys.c ima_alloc_key_entry()
 */
function queueFails(ima: ImaCursor, task: VfsTask, keyring: string): boolean {
  if (!noMemory(ima, 'ima_alloc_key_entry')) return false;
  auditMessage(ima, task, {
    type: AUDIT_INTEGRITY_PCR,
    op: FUNC_MEASURE_STR[KEY_CHECK] as string,
    cause: 'ENOMEM',
    name: keyring,
    inode: null,
    failed: true,
    errno: 'ENOMEM',
  });
  return true;
}

/**
 * An asymmetric key was created in or linked to a keyring.
 * @kernel security/integrity/ima/ima_asymmetric_keys.c ima_post_key_create_or_update()
 */
export function keyLinked(ima: ImaCursor, task: VfsTask, keyring: string, payload: Uint8Array): void {
  if (!enabled(ima.env.profile, 'CONFIG_IMA_MEASURE_ASYMMETRIC_KEYS') || payload.length === 0) return;
  if (enabled(ima.env.profile, 'CONFIG_IMA_QUEUE_EARLY_BOOT_KEYS')) {
    expireKeyQueue(ima);
    const { processKeys, queue } = ima.state.keys;
    if (!processKeys && !queueFails(ima, task, keyring)) {
      setKeys(ima, { queue: [...queue, { keyring, payload }] });
      ima.env.trace.emit('ima.keys', { keyring, waiting: queue.length + 1 }, R['ima.key_queued']);
      return;
    }
  }
  measureKey(ima, task, { keyring, payload });
}
