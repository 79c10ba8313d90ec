// A firmware event log as YAML in the words and order of tpm2_eventlog, with the registers that it replays
// to. Both output versions of that tool: 1 shows variables and partition tables as hexadecimal text, 2 takes
// them apart.

import { toHex } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import {
  type BootEvent,
  decodeEventLog,
  EVENT_TYPES,
  type EventLog,
  eventTypeName,
  LOG_ALGS,
  replayEventLog,
} from '../kernel/eventlog.ts';
import { printEventData } from './efi.ts';
import { misfitOf } from './eventlog.ts';

export interface EventLogText {
  /** One character per byte. */
  readonly text: string;
  /** What the firmware did not do as it should; printing went on. */
  readonly notes: readonly string[];
  /** Why printing stopped, and at which byte; null when all was printed. */
  readonly problem: { readonly message: string; readonly offset: number } | null;
}

/** Names of tpm2-tools, which writes sm3 with its size. */
function algName(algId: number): string {
  const name = LOG_ALGS.find((a) => a.algId === algId)?.name;
  return name === 'sm3' ? 'sm3_256' : (name ?? '(null)');
}

function typeText(type: number): string {
  const name = eventTypeName(type);
  return name.startsWith('0x') || /SPDM/.test(name) ? 'Unknown event type' : name;
}

function headerText(log: EventLog): string {
  const { spec } = log;
  if (spec === null) return '';
  const algorithms = log.algorithms.map(
    (a, i) => `    - Algorithm[${i}]:\n      algorithmId: ${algName(a.algId)}\n      digestSize: ${a.size}\n`,
  );
  const vendor = log.vendorInfo.length > 0 ? `    vendorInfo: "${toHex(log.vendorInfo)}"\n` : '';
  return `- EventNum: 0
  PCRIndex: 0
  EventType: EV_NO_ACTION
  Digest: "${'00'.repeat(20)}"
  EventSize: ${log.headerDataSize}
  SpecID:
  - Signature: Spec ID Event03
    platformClass: ${spec.platformClass}
    specVersionMinor: ${spec.versionMinor}
    specVersionMajor: ${spec.versionMajor}
    specErrata: ${spec.errata}
    uintnSize: ${spec.uintnSize}
    numberOfAlgorithms: ${log.algorithms.length}
    Algorithms:
${algorithms.join('')}    vendorInfoSize: ${log.vendorInfo.length}
${vendor}`;
}

function eventText(e: BootEvent, number: number | null): string {
  const head = number === null ? '' : `- EventNum: ${number}\n`;
  const digests = e.digests.map(
    (d) => `  - AlgorithmId: ${algName(d.algId)}\n    Digest: "${toHex(d.digest)}"\n`,
  );
  return `${head}  PCRIndex: ${e.pcr | 0}
  EventType: ${typeText(e.type)}
  DigestCount: ${e.digests.length}
  Digests:
${digests.join('')}`;
}

/** The registers of all banks: those that an event names, also where nothing was extended. */
function registersText(log: EventLog): string {
  let text = 'pcrs:\n';
  for (const { name, algId, size } of LOG_ALGS) {
    const named = new Set<number>();
    for (const e of log.events) {
      if (log.legacy && e.type === EVENT_TYPES.EV_NO_ACTION) continue;
      if (e.digests.some((d) => d.algId === algId)) named.add(e.pcr);
    }
    if (named.size === 0) continue;
    const values = replayEventLog(log, algId, (data) => crypto().hash(name, data));
    text += `  ${algName(algId)}:\n`;
    for (const pcr of [...named].sort((a, b) => a - b)) {
      const value = values.get(pcr);
      const hex = value === undefined ? untouched(log, pcr, size) : toHex(value);
      text += `    ${String(pcr).padEnd(2)} : 0x${hex}\n`;
    }
  }
  return text;
}

function untouched(log: EventLog, pcr: number, size: number): string {
  const last = pcr === 0 ? (log.startupLocality ?? 0) : 0;
  return last.toString(16).padStart(2 * size, '0');
}

const REGISTERS = 32;

/** The whole log as text; what is wrong ends it where the tool ends too. */
export function eventLogYaml(bytes: Uint8Array, version: 1 | 2): EventLogText {
  const log = decodeEventLog(bytes);
  let text = `---\nversion: ${version}\nevents:\n${headerText(log)}`;
  const notes: string[] = [];
  const stop = (message: string, offset: number): EventLogText => ({
    text,
    notes,
    problem: { message, offset },
  });
  for (const [i, e] of log.events.entries()) {
    const place = log.places[i] ?? { offset: 0, data: 0 };
    const number = i + (log.legacy ? 0 : 1);
    if (e.pcr >= REGISTERS) return stop(`event ${number} names register ${e.pcr}`, place.offset);
    text += eventText(e, log.legacy ? null : number);
    const printed = printEventData(e.type, e.event, version);
    const misfit = log.legacy ? null : misfitOf(e);
    if (misfit !== null) notes.push(`event ${number} (byte ${place.offset}): ${misfit}`);
    notes.push(...printed.notes.map((n) => `event ${number} (byte ${place.data}): ${n}`));
    text += printed.text;
    if (printed.failed !== null) return stop(`event ${number}: ${printed.failed}`, place.data);
  }
  if (log.problem !== null) return stop(log.problem, log.problemAt ?? 0);
  text += registersText(log);
  return { text, notes, problem: null };
}
