// What a verifier makes of a firmware event log: registers of every bank, the record after which a register
// had a value, records whose digest is not that of their data, and what the log says of Secure Boot.

import { concat, equalBytes, toHex } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import { crypto, type HashName } from '../crypto/provider.ts';
import {
  type BootEvent,
  type EventLog,
  LOG_ALGS,
  replayEventLog,
  EVENT_TYPES as T,
} from '../kernel/eventlog.ts';

/** Register values by bank and number. */
export type Registers = ReadonlyMap<HashName, ReadonlyMap<number, Uint8Array>>;

/** Every bank of a log that this project can compute. */
export function replayBanks(log: EventLog): Registers {
  const out = new Map<HashName, ReadonlyMap<number, Uint8Array>>();
  for (const { name, algId } of LOG_ALGS) {
    if (!log.algorithms.some((a) => a.algId === algId)) continue;
    const pcrs = replayEventLog(log, algId, (data) => crypto().hash(name, data));
    if (pcrs.size > 0) out.set(name, pcrs);
  }
  return out;
}

/** The record after which a register had a value; null where it never had. */
export function recordWithValue(
  log: EventLog,
  bank: HashName,
  pcr: number,
  value: Uint8Array,
): number | null {
  const algId = LOG_ALGS.find((a) => a.name === bank)?.algId ?? 0;
  let found: number | null = null;
  replayEventLog(
    log,
    algId,
    (data) => crypto().hash(bank, data),
    (record, register, now) => {
      if (register === pcr && found === null && equalBytes(now, value)) found = record;
    },
  );
  return found;
}

/** The parts of an event's data that its digest may be about; null where the log alone cannot tell. */
function measuredParts(e: BootEvent): readonly Uint8Array[] | null {
  const { event } = e;
  switch (e.type) {
    case T.EV_S_CRTM_VERSION:
    case T.EV_SEPARATOR:
    case T.EV_EFI_VARIABLE_DRIVER_CONFIG:
    case T.EV_EFI_GPT_EVENT:
      return [event];
    case T.EV_IPL:
      return e.pcr === 8 ? commandLineParts(event) : e.pcr === 12 ? [event] : null;
    default:
      return null;
  }
}

/** GRUB measures what follows the word before the first space, with or without the closing zero. */
function commandLineParts(event: Uint8Array): readonly Uint8Array[] {
  const space = event.indexOf(32);
  if (space < 0 || space + 1 >= event.length || event[event.length - 1] !== 0) return [];
  return [event.subarray(space + 1, event.length - 1), event.subarray(space + 1)];
}

/** Why a record's digests do not belong to its data; null when they do or when nobody can tell. */
export function misfitOf(e: BootEvent): string | null {
  const parts = measuredParts(e);
  if (parts === null) return null;
  if (parts.length === 0) return 'event data is in an unexpected format';
  for (const { algId, digest } of e.digests) {
    const name = LOG_ALGS.find((a) => a.algId === algId)?.name;
    if (name === undefined) continue;
    if (!parts.some((p) => equalBytes(crypto().hash(name, p), digest)))
      return `its ${name} digest is not that of its data`;
  }
  return null;
}

/** Records whose misfit proves a changed text: firmware always hashes these as they stand in the log. */
export function mustFit(e: BootEvent): boolean {
  return e.type === T.EV_SEPARATOR || e.type === T.EV_EFI_VARIABLE_DRIVER_CONFIG;
}

/** Digests of the known contents of separators. */
const SEPARATORS: readonly Uint8Array[] = [new Uint8Array(4), new Uint8Array(4).fill(0xff)];

/** Whether a separator says that firmware met an error. */
export function isErrorSeparator(e: BootEvent): boolean {
  return e.type === T.EV_SEPARATOR && !SEPARATORS.some((s) => equalBytes(s, e.event));
}

function utf16(bytes: Uint8Array): string {
  const units = new Uint16Array(bytes.length >> 1);
  for (let i = 0; i < units.length; i++) units[i] = (bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8);
  return String.fromCharCode(...units);
}

const GLOBAL_VARIABLE = '61dfe48bca93d211aa0d00e098032b8c';

/** The value of the SecureBoot variable in the log; null where the log has none. */
export function secureBootRecord(log: EventLog): { readonly record: number; readonly on: boolean } | null {
  for (const [record, e] of log.events.entries()) {
    if (e.type !== T.EV_EFI_VARIABLE_DRIVER_CONFIG || e.pcr !== 7) continue;
    const r = new Reader(e.event, 'le');
    const guid = r.take(16);
    const [nameLength, size] = [r.u64(), r.u64()];
    if (r.failed || nameLength > 64n || size > 1n) continue;
    const name = utf16(r.take(Number(nameLength) * 2));
    const value = r.take(Number(size));
    if (!r.failed && toHex(guid) === GLOBAL_VARIABLE && name === 'SecureBoot')
      return { record, on: value[0] === 1 };
  }
  return null;
}

/**
 * boot_aggregate of a bank: the registers that the kernel reads, hashed with the bank's algorithm.
 * @kernel security/integrity/ima/ima_crypto.c ima_calc_boot_aggregate_tfm()
 */
export function bootAggregate(
  bank: HashName,
  values: ReadonlyMap<number, Uint8Array>,
  last: 7 | 9,
): Uint8Array | null {
  const parts: Uint8Array[] = [];
  for (let pcr = 0; pcr <= last; pcr++) {
    const value = values.get(pcr);
    if (value === undefined) return null;
    parts.push(value);
  }
  return crypto().hash(bank, concat(...parts));
}
