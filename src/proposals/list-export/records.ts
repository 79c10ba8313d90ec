// What every design that takes records off the measurement list shares: cutting the list, writing records
// as the binary list has them, and looking at the list as if nothing had been taken. Registers are never
// touched.

import { concat } from '../../base/bytes.ts';
import { type AppendList, fromArray, toArray } from '../../base/list.ts';
import { imaSecurityfs, measurementList } from '../../ima/securityfs.ts';
import { binaryRuntimeSize } from '../../ima/template-show.ts';
import type { ImaState, TemplateEntry } from '../../ima/types.ts';
import type { Rooms } from '../../kernel/rooms.ts';

export type Records = AppendList<TemplateEntry>;

function sizeOf(entries: readonly TemplateEntry[]): number {
  return entries.reduce((sum, entry) => sum + binaryRuntimeSize(entry), 0);
}

function withList(state: ImaState, entries: readonly TemplateEntry[]): ImaState {
  return { ...state, list: fromArray(entries), binaryRuntimeSize: sizeOf(entries) };
}

/** Takes the first `n` records off the list; what suppresses duplicates stays as it is. */
export function takeRecords(r: Rooms, n: number): Records {
  const all = toArray(r.ima.state.list);
  r.ima.state = withList(r.ima.state, all.slice(n));
  return fromArray(all.slice(0, n));
}

/** Forgets which digests were recorded, except those of records still on the list. */
export function flushHtable(r: Rooms): void {
  const s = r.ima.state;
  r.ima.state = { ...s, htable: s.htable.clear() };
}

/** Runs `look` while the list is `before` and then what the list holds. */
export function withRecordsBefore<T>(r: Rooms, before: Records, look: () => T): T {
  const kept = r.ima.state;
  r.ima.state = withList(kept, [...toArray(before), ...toArray(kept.list)]);
  const seen = look();
  r.ima.state = kept;
  return seen;
}

/** A list node of IMA: one bank in one form. */
export interface ListNode {
  readonly path: string;
  readonly mode: number;
  readonly slot: number;
  readonly form: 'ascii' | 'binary';
}

/** The list nodes that IMA has on this machine. */
export function listNodes(r: Rooms): readonly ListNode[] {
  return imaSecurityfs(r.ima).flatMap(({ name, mode, key }) => {
    const [form, suffix] = name.split('_runtime_measurements_') as ['ascii' | 'binary', string | undefined];
    const slot = r.ima.state.slots.findIndex((s) => s.suffix === suffix);
    if (key === undefined || suffix === undefined || slot < 0) return [];
    return [{ path: `integrity/ima/${name}`, mode, slot, form }];
  });
}

/** Records as a list node of one bank shows them. */
export function shownRecords(r: Rooms, records: Records, slot: number, form: 'ascii' | 'binary'): Uint8Array {
  const kept = r.ima.state;
  r.ima.state = { ...kept, list: records };
  const text = measurementList(r.ima, slot, form);
  r.ima.state = kept;
  return text;
}

/** Records in the form of binary_runtime_measurements, which is what a verifier replays. */
export function exportedBytes(r: Rooms, records: Records): Uint8Array {
  return concat(shownRecords(r, records, r.ima.state.sha1Idx, 'binary'));
}

/** Bytes of kernel memory that the list takes, as the kernel counts them for kexec. */
export function listMemory(r: Rooms): number {
  return r.ima.state.binaryRuntimeSize;
}
