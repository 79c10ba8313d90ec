// The part of a verification that is about firmware: the event log against the registers, records that lie
// about their data, Secure Boot.

import { equalBytes, toHex } from '../base/bytes.ts';
import type { HashName } from '../crypto/provider.ts';
import { type EventLog, eventTypeName } from '../kernel/eventlog.ts';
import {
  isErrorSeparator,
  misfitOf,
  mustFit,
  type Registers,
  recordWithValue,
  secureBootRecord,
} from './eventlog.ts';
import type { AttestPolicy } from './policy-rules.ts';
import { registerName, shortHex } from './registers.ts';
import type { Findings, Place } from './verdict.ts';

function place(log: EventLog, record: number | null, data = false): Place {
  const at = record === null ? undefined : log.places[record];
  return { artefact: 'eventlog', record, byte: at === undefined ? null : data ? at.data : at.offset };
}

/** Number of a record as tpm2_eventlog counts: the header is 0. */
function shown(log: EventLog, record: number): number {
  return record + (log.legacy ? 0 : 1);
}

/** Records against their own data. */
export function checkEventRecords(log: EventLog, out: Findings): void {
  for (const [i, e] of log.events.entries()) {
    const misfit = misfitOf(e);
    const what = `event ${shown(log, i)} (${eventTypeName(e.type)}, PCR ${e.pcr})`;
    if (misfit !== null) {
      const level = mustFit(e) && !isErrorSeparator(e) ? 'fail' : 'note';
      out.add(level, 'attest.eventlog_digest', place(log, i, true), `${what}: ${misfit}`);
    }
    if (isErrorSeparator(e))
      out.add(
        'warn',
        'attest.eventlog_error',
        place(log, i, true),
        `${what}: ${toHex(e.event.subarray(0, 8))}`,
      );
  }
}

/** Registers that only firmware and boot loaders extend. */
const FIRMWARE_ONLY: ReadonlySet<number> = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14]);

function lastRecordOf(log: EventLog, pcr: number): number | null {
  const last = log.events.findLastIndex((e) => e.pcr === pcr);
  return last < 0 ? null : last;
}

/** One register of the log against its value. */
function checkRegister(
  log: EventLog,
  bank: HashName,
  pcr: number,
  ours: Uint8Array,
  real: Uint8Array,
  out: Findings,
): void {
  if (equalBytes(ours, real)) return;
  const level = FIRMWARE_ONLY.has(pcr) ? 'fail' : 'warn';
  const name = registerName(bank, pcr);
  const record = recordWithValue(log, bank, pcr, real);
  if (record !== null) {
    const rest = `the log goes on after event ${shown(log, record)}, where ${name} had its value`;
    const next = log.events.findIndex((e, i) => i > record && e.pcr === pcr);
    out.add(level, 'attest.eventlog_longer', place(log, next < 0 ? record : next), rest);
    return;
  }
  const message = `${name} is ${shortHex(real)}, the log leads to ${shortHex(ours)}`;
  out.add(level, 'attest.eventlog_replay', place(log, lastRecordOf(log, pcr)), message);
}

/** The log against register values; registers that the measurement list goes on with are left to it. */
export function checkEventLog(
  log: EventLog,
  replayed: Registers,
  registers: Registers,
  ofList: ReadonlySet<number>,
  out: Findings,
): void {
  for (const [bank, pcrs] of registers) {
    const ours = replayed.get(bank);
    if (ours === undefined) continue;
    for (const [pcr, value] of pcrs) {
      const replay = ours.get(pcr);
      if (ofList.has(pcr)) continue;
      if (replay !== undefined) checkRegister(log, bank, pcr, replay, value, out);
      else if (pcr <= 7 && value.some((b) => b !== 0)) {
        const message = `${registerName(bank, pcr)} is ${shortHex(value)}, the log has no event for it`;
        out.add('fail', 'attest.eventlog_replay', place(log, null), message);
      }
    }
  }
}

/** What the policy demands of the boot. */
export function checkBootPolicy(log: EventLog | null, policy: AttestPolicy, out: Findings): void {
  if (!policy.secureBoot) return;
  if (log === null) {
    const where: Place = { artefact: 'policy', record: null, byte: null };
    out.add(
      'fail',
      'attest.secure_boot',
      where,
      'the policy demands Secure Boot, but no event log was given',
    );
    return;
  }
  const found = secureBootRecord(log);
  if (found?.on === true) return;
  const message = found === null ? 'the log has no SecureBoot variable' : 'the variable SecureBoot is 0';
  out.add('fail', 'attest.secure_boot', place(log, found?.record ?? null, true), message);
}
