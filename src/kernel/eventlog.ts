// The TCG2 crypto-agile event log as firmware leaves it in memory and the kernel shows it in
// tpm0/binary_bios_measurements: Spec ID Event03 header, then TCG_PCR_EVENT2 records. Written, read back,
// and replayed to register values. The old SHA-1 only log (TCG_PCR_EVENT records throughout) is written and
// read as well.

import { concat, EMPTY, filled, latin1, toHex, utf8 } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import type { HashName } from '../crypto/provider.ts';

/** Event types of the PC Client Platform Firmware Profile. */
export const EVENT_TYPES = {
  EV_PREBOOT_CERT: 0x00,
  EV_POST_CODE: 0x01,
  EV_UNUSED: 0x02,
  EV_NO_ACTION: 0x03,
  EV_SEPARATOR: 0x04,
  EV_ACTION: 0x05,
  EV_EVENT_TAG: 0x06,
  EV_S_CRTM_CONTENTS: 0x07,
  EV_S_CRTM_VERSION: 0x08,
  EV_CPU_MICROCODE: 0x09,
  EV_PLATFORM_CONFIG_FLAGS: 0x0a,
  EV_TABLE_OF_DEVICES: 0x0b,
  EV_COMPACT_HASH: 0x0c,
  EV_IPL: 0x0d,
  EV_IPL_PARTITION_DATA: 0x0e,
  EV_NONHOST_CODE: 0x0f,
  EV_NONHOST_CONFIG: 0x10,
  EV_NONHOST_INFO: 0x11,
  EV_OMIT_BOOT_DEVICE_EVENTS: 0x12,
  EV_EFI_VARIABLE_DRIVER_CONFIG: 0x80000001,
  EV_EFI_VARIABLE_BOOT: 0x80000002,
  EV_EFI_BOOT_SERVICES_APPLICATION: 0x80000003,
  EV_EFI_BOOT_SERVICES_DRIVER: 0x80000004,
  EV_EFI_RUNTIME_SERVICES_DRIVER: 0x80000005,
  EV_EFI_GPT_EVENT: 0x80000006,
  EV_EFI_ACTION: 0x80000007,
  EV_EFI_PLATFORM_FIRMWARE_BLOB: 0x80000008,
  EV_EFI_HANDOFF_TABLES: 0x80000009,
  EV_EFI_PLATFORM_FIRMWARE_BLOB2: 0x8000000a,
  EV_EFI_HANDOFF_TABLES2: 0x8000000b,
  EV_EFI_VARIABLE_BOOT2: 0x8000000c,
  EV_EFI_HCRTM_EVENT: 0x80000010,
  EV_EFI_VARIABLE_AUTHORITY: 0x800000e0,
  EV_EFI_SPDM_FIRMWARE_BLOB: 0x800000e1,
  EV_EFI_SPDM_FIRMWARE_CONFIG: 0x800000e2,
} as const;

export interface LogDigest {
  /** TPM_ALG_ID. */
  readonly algId: number;
  readonly digest: Uint8Array;
}

/** One record after the header. */
export interface BootEvent {
  readonly pcr: number;
  readonly type: number;
  readonly digests: readonly LogDigest[];
  readonly event: Uint8Array;
}

/** Where a record lies in the bytes of its log. */
export interface EventPlace {
  readonly offset: number;
  /** Offset of the event's data. */
  readonly data: number;
}

/** Fields of the Spec ID Event03 header. */
export interface SpecId {
  readonly platformClass: number;
  readonly versionMinor: number;
  readonly versionMajor: number;
  readonly errata: number;
  readonly uintnSize: number;
}

export interface EventLog {
  /** Algorithms that the Spec ID header declares: TPM_ALG_ID and digest size; SHA-1 alone for an old log. */
  readonly algorithms: readonly { readonly algId: number; readonly size: number }[];
  /** True for a log without the Spec ID Event03 header. */
  readonly legacy: boolean;
  readonly vendorInfo: Uint8Array;
  /** Locality that TPM2_Startup ran in, from a StartupLocality event; null when the log has none. */
  readonly startupLocality: number | null;
  readonly events: readonly BootEvent[];
  /** One for each of `events`. */
  readonly places: readonly EventPlace[];
  /** Null for an old log. */
  readonly spec: SpecId | null;
  /** Bytes of the header's event data as the log counts them; 0 for an old log. */
  readonly headerDataSize: number;
  /** Why reading stopped early; null when the bytes were used up. */
  readonly problem: string | null;
  /** Offset of the record that could not be read; null when all could. */
  readonly problemAt: number | null;
}

/** Hash names the simulator knows by TPM_ALG_ID, with digest sizes. */
export const LOG_ALGS: readonly { readonly name: HashName; readonly algId: number; readonly size: number }[] =
  [
    { name: 'sha1', algId: 0x0004, size: 20 },
    { name: 'sha256', algId: 0x000b, size: 32 },
    { name: 'sha384', algId: 0x000c, size: 48 },
    { name: 'sha512', algId: 0x000d, size: 64 },
    { name: 'sm3', algId: 0x0012, size: 32 },
  ];

const SHA1 = 0x0004;
const SPEC_ID = 'Spec ID Event03';
const STARTUP_LOCALITY = 'StartupLocality';
/** @tcg Part 1, 34.3 Hardware Core Root of Trust Measurement */
const HCRTM_LOCALITY = 4;

export function eventTypeName(type: number): string {
  const found = Object.entries(EVENT_TYPES).find(([, v]) => v === type);
  return found === undefined ? `0x${type.toString(16)}` : found[0];
}

/** Number of an event type given by name or number; null for an unknown name. */
export function eventTypeNumber(type: string): number | null {
  const known = (EVENT_TYPES as Readonly<Record<string, number>>)[type];
  if (known !== undefined) return known;
  const n = Number(type);
  return Number.isInteger(n) && n >= 0 && n <= 0xffffffff ? n : null;
}

function specIdEvent(algs: readonly { readonly algId: number; readonly size: number }[]): Uint8Array {
  const w = new Writer('le');
  w.bytes(concat(latin1(SPEC_ID), filled(16 - SPEC_ID.length, 0)));
  w.u32(0).u8(0).u8(2).u8(0).u8(2).u32(algs.length);
  for (const a of algs) w.u16(a.algId).u16(a.size);
  return w.u8(0).finish();
}

/**
 * Bytes of a crypto-agile log: header record in the old form (PCR 0, EV_NO_ACTION), then the events.
 * @tcg PC Client Platform Firmware Profile 1.05, 10.4 Event Logging
 */
export function encodeEventLog(
  algorithms: readonly { readonly algId: number; readonly size: number }[],
  events: readonly BootEvent[],
): Uint8Array {
  const w = new Writer('le');
  const header = specIdEvent(algorithms);
  w.u32(0).u32(EVENT_TYPES.EV_NO_ACTION).bytes(filled(20, 0)).u32(header.length).bytes(header);
  for (const e of events) {
    w.u32(e.pcr).u32(e.type).u32(e.digests.length);
    for (const d of e.digests) w.u16(d.algId).bytes(d.digest);
    w.u32(e.event.length).bytes(e.event);
  }
  return w.finish();
}

/**
 * Bytes of an old log: TCG_PCR_EVENT records with the SHA-1 digests, no header.
 * @tcg PC Client Platform Firmware Profile 1.05, 10.2.1 TCG_PCClientPCREvent Structure
 */
export function encodeOldEventLog(events: readonly BootEvent[]): Uint8Array {
  const w = new Writer('le');
  for (const e of events) {
    const digest = e.digests.find((d) => d.algId === SHA1)?.digest ?? filled(20, 0);
    w.u32(e.pcr).u32(e.type).bytes(digest).u32(e.event.length).bytes(e.event);
  }
  return w.finish();
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  const want = utf8(text);
  return bytes.length >= want.length && want.every((b, i) => bytes[i] === b);
}

interface Header {
  /** Bytes of its fields. */
  readonly length: number;
  readonly algorithms: { algId: number; size: number }[];
  readonly vendorInfo: Uint8Array;
  readonly spec: SpecId;
}

function decodeSpecId(event: Uint8Array): Header | null {
  if (!startsWith(event, SPEC_ID)) return null;
  const r = new Reader(event, 'le');
  r.take(16);
  const spec = {
    platformClass: r.u32(),
    versionMinor: r.u8(),
    versionMajor: r.u8(),
    errata: r.u8(),
    uintnSize: r.u8(),
  };
  const count = r.u32();
  if (count > 64) return null;
  const algorithms: { algId: number; size: number }[] = [];
  for (let i = 0; i < count; i++) algorithms.push({ algId: r.u16(), size: r.u16() });
  const vendorInfo = r.take(r.u8());
  return r.failed ? null : { algorithms, vendorInfo, spec, length: r.offset };
}

/** One TCG_PCR_EVENT2 record, or a problem text. */
function readEvent2(r: Reader, sizes: ReadonlyMap<number, number>): BootEvent | string {
  const pcr = r.u32();
  const type = r.u32();
  const count = r.u32();
  if (count > sizes.size) return `record has ${count} digests, the header declares ${sizes.size} algorithms`;
  const digests: LogDigest[] = [];
  for (let i = 0; i < count; i++) {
    const algId = r.u16();
    const size = sizes.get(algId);
    if (r.failed) break;
    if (size === undefined)
      return `record uses algorithm 0x${algId.toString(16)}, which the header does not declare`;
    digests.push({ algId, digest: r.take(size) });
  }
  const event = r.take(r.u32());
  return r.failed ? 'the last record is cut off' : { pcr, type, digests, event };
}

function readEvent1(r: Reader): BootEvent | string {
  const pcr = r.u32();
  const type = r.u32();
  const digest = r.take(20);
  const event = r.take(r.u32());
  return r.failed ? 'the last record is cut off' : { pcr, type, digests: [{ algId: SHA1, digest }], event };
}

const OLD_LOG = {
  algorithms: [{ algId: SHA1, size: 20 }],
  legacy: true,
  vendorInfo: EMPTY,
  spec: null,
  headerDataSize: 0,
};

function unreadable(problem: string, problemAt: number): EventLog {
  return { ...OLD_LOG, startupLocality: null, events: [], places: [], problem, problemAt };
}

/** The records from where a reader stands to the end, or to the first that cannot be read. */
function readRecords(r: Reader, sizes: ReadonlyMap<number, number> | null) {
  const events: BootEvent[] = [];
  const places: EventPlace[] = [];
  let startupLocality: number | null = null;
  while (r.remaining > 0) {
    const offset = r.offset;
    const tail = r.bytes.subarray(offset);
    if (tail.every((b) => b === 0xff) || (sizes !== null && tail.every((b) => b === 0))) break;
    const event = sizes === null ? readEvent1(r) : readEvent2(r, sizes);
    if (typeof event === 'string') {
      const problem = `${event} (offset ${offset})`;
      return { events, places, startupLocality, problem, problemAt: offset };
    }
    startupLocality = startupLocalityIn(event) ?? startupLocality;
    events.push(event);
    places.push({ offset, data: r.offset - event.event.length });
  }
  return { events, places, startupLocality, problem: null, problemAt: null };
}

/**
 * Reads a log of either form. Reading stops at the first record that cannot be parsed, as the kernel's
 * iterator does; a tail of ones or zeros (unused buffer) is taken as the end.
 * @kernel drivers/char/tpm/eventlog/tpm2.c calc_tpm2_event_size()
 */
export function decodeEventLog(bytes: Uint8Array): EventLog {
  const r = new Reader(bytes, 'le');
  const first = readEvent1(r);
  if (typeof first === 'string') return unreadable(`${first} (offset 0)`, 0);
  if (first.type !== EVENT_TYPES.EV_NO_ACTION || !startsWith(first.event, SPEC_ID)) {
    return { ...OLD_LOG, ...readRecords(new Reader(bytes, 'le'), null) };
  }
  // Vendor data that the event's size leaves out belongs to the header all the same, as other readers have
  // it.
  const header = decodeSpecId(bytes.subarray(r.offset - first.event.length));
  if (header === null) return unreadable('the Spec ID header is malformed (offset 32)', 32);
  const sizes = new Map(header.algorithms.map((a) => [a.algId, a.size]));
  if (header.length > first.event.length) r.take(header.length - first.event.length);
  const { algorithms, vendorInfo, spec } = header;
  return {
    algorithms,
    vendorInfo,
    spec,
    legacy: false,
    headerDataSize: first.event.length,
    ...readRecords(r, sizes),
  };
}

/**
 * The last byte of PCR 0 before its first extend: where TPM2_Startup came from, or that hardware measured
 * first.
 * @tcg PC Client Platform Firmware Profile 1.05, 10.4.5.3 Startup Locality Event
 */
export function startLocalityOf(events: readonly Pick<BootEvent, 'pcr' | 'type' | 'event'>[]): number {
  if (events.some((e) => e.type === EVENT_TYPES.EV_EFI_HCRTM_EVENT && e.pcr === 0)) return HCRTM_LOCALITY;
  const told = events.findLast((e) => startupLocalityIn(e) !== null);
  return told === undefined ? 0 : (startupLocalityIn(told) ?? 0);
}

function startupLocalityIn(e: Pick<BootEvent, 'type' | 'event'>): number | null {
  if (e.type !== EVENT_TYPES.EV_NO_ACTION || !startsWith(e.event, STARTUP_LOCALITY)) return null;
  return e.event[16] ?? null;
}

/** A register before its first extend; PCR 0 tells who started the TPM. */
function startValue(log: EventLog, pcr: number, size: number): Uint8Array {
  const value = filled(size, pcr >= 17 && pcr <= 22 ? 0xff : 0);
  if (pcr === 0 && size > 0) value[size - 1] = startLocalityOf(log.events);
  return value;
}

/**
 * Folds a log into register values of one bank: PCR -> value, only registers that an event names.
 * EV_NO_ACTION records are not extended; a StartupLocality event or a hardware CRTM sets the start value of
 * PCR 0. `after` sees every value, with the number of its record.
 * @tcg PC Client Platform Firmware Profile 1.05, 10.4.5.3 Startup Locality Event
 */
export function replayEventLog(
  log: EventLog,
  algId: number,
  hash: (data: Uint8Array) => Uint8Array,
  after: (record: number, pcr: number, value: Uint8Array) => void = () => undefined,
): ReadonlyMap<number, Uint8Array> {
  const size = log.algorithms.find((a) => a.algId === algId)?.size ?? 0;
  const pcrs = new Map<number, Uint8Array>();
  for (const [i, e] of log.events.entries()) {
    if (e.type === EVENT_TYPES.EV_NO_ACTION) continue;
    const digest = e.digests.find((d) => d.algId === algId)?.digest;
    if (digest === undefined) continue;
    const value = hash(concat(pcrs.get(e.pcr) ?? startValue(log, e.pcr, size), digest));
    pcrs.set(e.pcr, value);
    after(i, e.pcr, value);
  }
  return pcrs;
}

/** One line for people: `0 EV_SEPARATOR sha256:df3f.. 4 bytes`. */
export function describeEvent(e: BootEvent): string {
  const names = e.digests.map((d) => {
    const alg = LOG_ALGS.find((a) => a.algId === d.algId)?.name ?? `0x${d.algId.toString(16)}`;
    return `${alg}:${toHex(d.digest)}`;
  });
  return `${e.pcr} ${eventTypeName(e.type)} ${names.join(' ')} ${e.event.length} bytes`;
}
