// The event log of a real machine as the firmware part of a simulated one: which banks its TPM needs, and
// what stands against measuring it again. Whether the records are true is a verifier's question, not asked
// here.

import type { HashName } from '../crypto/provider.ts';
import { isHashAlg } from '../tpm/algorithms.ts';
import { decodeEventLog, EVENT_TYPES, type EventLog, LOG_ALGS, startLocalityOf } from './eventlog.ts';

export interface LogMistake {
  readonly message: string;
  /** Byte of the log. */
  readonly offset: number;
  readonly help: string;
}

const PCRS = 24;
/** Registers that only a dynamic launch extends. */
const DYNAMIC = { first: 17, last: 22 };
const LOCALITIES: readonly number[] = [0, 3, 4];

/** Banks that the log has digests for and that a simulated TPM can have. */
export function banksOfLog(bytes: Uint8Array): readonly HashName[] {
  const { algorithms } = decodeEventLog(bytes);
  return LOG_ALGS.filter((a) => isHashAlg(a.algId) && algorithms.some((x) => x.algId === a.algId)).map(
    (a) => a.name,
  );
}

function sizeMistake(log: EventLog): LogMistake | null {
  for (const { algId, size } of log.algorithms) {
    const known = LOG_ALGS.find((a) => a.algId === algId);
    if (known === undefined || known.size === size) continue;
    return {
      message: `the header says that a ${known.name} digest has ${size} bytes`,
      offset: 32,
      help: `it has ${known.size}; is this file damaged?`,
    };
  }
  return null;
}

function recordMistake(log: EventLog): LogMistake | null {
  for (const [i, e] of log.events.entries()) {
    if (e.type === EVENT_TYPES.EV_NO_ACTION) continue;
    const offset = log.places[i]?.offset ?? 0;
    const name = `record ${i + (log.legacy ? 0 : 1)} names register ${e.pcr}`;
    if (e.pcr >= PCRS) return { message: name, offset, help: `a TPM has registers 0 to ${PCRS - 1}` };
    if (e.pcr >= DYNAMIC.first && e.pcr <= DYNAMIC.last)
      return {
        message: `${name}, which firmware cannot extend`,
        offset,
        help: 'logs of a dynamic launch cannot be the firmware part of a machine',
      };
  }
  return null;
}

/**
 * Why a log cannot be measured again; null when it can.
 * @tcg PC Client Platform Firmware Profile 1.05, 10.4 Event Logging
 */
export function logMistake(bytes: Uint8Array): LogMistake | null {
  if (bytes.length === 0)
    return { message: 'the event log is empty', offset: 0, help: 'is this the right file?' };
  const log = decodeEventLog(bytes);
  if (log.problem !== null) {
    const help = 'it must be whole, as /sys/kernel/security/tpm0/binary_bios_measurements shows it';
    return { message: log.problem.replace(/ \(offset \d+\)$/, ''), offset: log.problemAt ?? 0, help };
  }
  if (log.events.every((e) => e.type === EVENT_TYPES.EV_NO_ACTION))
    return {
      message: 'the event log has no record that is extended',
      offset: 0,
      help: 'a header alone measures nothing',
    };
  if (banksOfLog(bytes).length === 0)
    return {
      message: 'the log has digests of unknown algorithms only',
      offset: 32,
      help: 'sha1, sha256, sha384 and sha512 are known',
    };
  const locality = startLocalityOf(log.events);
  if (!LOCALITIES.includes(locality))
    return {
      message: `TPM2_Startup cannot come from locality ${locality}`,
      offset: 0,
      help: 'it is 0, 3 or 4',
    };
  return sizeMistake(log) ?? recordMistake(log);
}
