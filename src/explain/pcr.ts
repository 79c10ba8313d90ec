// Where the value of a register comes from: every extend in order, the value before and after, and the
// chain of events that caused it up to the call or the firmware measurement.

import type { EventData, TraceEvent } from '../base/trace.ts';
import { causesOf } from './tree.ts';

export interface ExtendRecord {
  readonly event: number;
  readonly bank: string;
  readonly digest: string;
  readonly value: string;
  /** First event of the chain: a call, a stage of the boot, a step. */
  readonly root: TraceEvent;
  /** What was measured, in a few words. */
  readonly about: string;
  /** Index of the list entry that belongs to it; null when none does. */
  readonly entry: number | null;
}

function aboutOf(chain: readonly TraceEvent[]): { readonly about: string; readonly entry: number | null } {
  const store = chain.findLast((e) => e.kind === 'ima.store');
  if (store !== undefined) {
    const violation = store.reason === 'ima.violation_stored' ? ' (violation)' : '';
    const index = typeof store.data.index === 'number' ? store.data.index : null;
    return { about: `${String(store.data.name ?? 'entry')}${violation}`, entry: index };
  }
  const firmware = chain.find((e) => e.kind === 'boot.firmware_event');
  if (firmware !== undefined) return { about: `firmware ${String(firmware.data.type)}`, entry: null };
  return { about: 'a command from a program', entry: null };
}

/** All extends of a register, in order; one record for each bank. */
export function extendsOf(events: readonly TraceEvent[], pcr: number): readonly ExtendRecord[] {
  const byId = new Map(events.map((e) => [e.id, e]));
  return events.flatMap((event) => {
    if (event.kind !== 'tpm.pcr_extend' || event.data.pcr !== pcr) return [];
    const chain = causesOf(byId, event.id);
    const root = chain[0] ?? event;
    const { about, entry } = aboutOf(chain);
    const banks = (event.data.banks ?? []) as readonly EventData[];
    return banks.map((b) => ({
      event: event.id,
      bank: String(b.alg),
      digest: String(b.digest),
      value: String(b.value),
      root,
      about,
      entry,
    }));
  });
}
