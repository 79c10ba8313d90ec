// The part of the boot before the kernel: TPM2_Startup, firmware and boot loader measurements into the
// registers and the event log, the log of a real machine measured again, or registers as a recorded firmware
// left them.

import { assert } from '../base/assert.ts';
import { EMPTY, fromHex } from '../base/bytes.ts';
import type { Trace } from '../base/trace.ts';
import { crypto, digestSize, type HashName } from '../crypto/provider.ts';
import { hashAlgOf } from '../tpm/algorithms.ts';
import type { TpmChip } from '../tpm/chip.ts';
import { TpmDriver } from '../tpm/driver.ts';
import { setPcr } from '../tpm/pcr.ts';
import { responseCodeOf, type Tpm } from '../tpm/tpm.ts';
import type { FirmwareEvent, FirmwareSpec } from './api.ts';
import { eventText } from './event-text.ts';
import {
  type BootEvent,
  decodeEventLog,
  EVENT_TYPES,
  encodeEventLog,
  encodeOldEventLog,
  eventTypeName,
  eventTypeNumber,
  LOG_ALGS,
  startLocalityOf,
} from './eventlog.ts';
import { type BootFacts, defaultFirmware, uefiFirmware } from './firmware.ts';

/** TPM2_Startup(TPM_SU_CLEAR). */
const STARTUP_CLEAR = fromHex('80010000000c000001440000');
/** Where TPM2_Startup can come from; any other start value of PCR 0 is that of a hardware CRTM. */
const STARTUP_LOCALITIES: readonly number[] = [0, 3];

/** What firmware measures, as it is declared; an event log says it with digests alone. */
type Declared = readonly FirmwareEvent[] | readonly BootEvent[];

function declaredEvents(spec: FirmwareSpec | undefined, facts: BootFacts): Declared {
  if (spec === undefined) return defaultFirmware(facts);
  if ('uefi' in spec) return uefiFirmware(spec.uefi, facts);
  if ('events' in spec) return spec.events;
  return 'eventlog' in spec ? decodeEventLog(spec.eventlog).events : [];
}

const typeOf = (e: FirmwareEvent | BootEvent): number => {
  const type = typeof e.type === 'number' ? e.type : eventTypeNumber(e.type);
  assert(type !== null, `unknown event type ${e.type}`);
  return type;
};

const loggedOf = (e: FirmwareEvent | BootEvent): Uint8Array =>
  'digests' in e ? e.event : (e.event ?? e.data);

/**
 * What firmware does first: power, then TPM2_Startup from the locality that its log tells. PCR 0 of a machine
 * whose hardware measured the first code begins with 4.
 * @tcg Part 1, 34.3 Hardware Core Root of Trust Measurement
 * @deviation the bytes that the hardware hashed are not in a log: PCR 0 is set, its event is extended later
 */
function startTpm(tpm: Tpm, trace: Trace, events: Declared): void {
  const locality = startLocalityOf(events.map((e) => ({ pcr: e.pcr, type: typeOf(e), event: loggedOf(e) })));
  const usual = STARTUP_LOCALITIES.includes(locality);
  tpm.powerOn();
  const code = responseCodeOf(tpm.execute(STARTUP_CLEAR, usual ? locality : 0));
  assert(code === 0, `TPM2_Startup failed with 0x${code.toString(16)}`);
  if (usual) return;
  setPcr(tpm, 0, (size) => new Uint8Array(size).fill(locality, size - 1));
  trace.emit('tpm.hardware_crtm', { locality });
}

/** Extends one event into the banks; value = its record for the log. */
function measure(chip: TpmChip, e: FirmwareEvent | BootEvent): BootEvent {
  const type = typeOf(e);
  const noAction = type === EVENT_TYPES.EV_NO_ACTION;
  const digests =
    'digests' in e
      ? chip.banks.flatMap((alg) => {
          const found = e.digests.find((d) => d.algId === algIdOf(alg));
          return found === undefined ? [] : [{ alg, digest: found.digest }];
        })
      : chip.banks.map((alg) => ({
          alg,
          digest: noAction ? new Uint8Array(digestSize(alg)) : crypto().hash(alg, e.data),
        }));
  if (!noAction && digests.length > 0) chip.pcrExtend(e.pcr, digests);
  return {
    pcr: e.pcr,
    type,
    digests: digests.map((d) => ({ algId: algIdOf(d.alg), digest: d.digest })),
    event: loggedOf(e),
  };
}

function algIdOf(name: HashName): number {
  const id = hashAlgOf(name);
  assert(id !== undefined, `hash ${name} has no TPM_ALG_ID`);
  return id;
}

/**
 * Sets registers as a recorded firmware left them. No log exists for them, so nothing is extended.
 * @deviation a recorded state replaces the measurements that made it
 */
function presetPcrs(tpm: Tpm, pcrs: { readonly [bank: string]: { readonly [pcr: string]: string } }): void {
  const banks = tpm.state.pcr.map((bank) => {
    const name = LOG_ALGS.find((a) => a.algId === bank.alg)?.name ?? '';
    const given = pcrs[name];
    if (given === undefined) return bank;
    return {
      ...bank,
      pcrs: bank.pcrs.map((old, i) => {
        const hex = given[String(i)];
        return old === null || hex === undefined ? old : fromHex(hex);
      }),
    };
  });
  tpm.state = { ...tpm.state, pcr: banks };
}

/**
 * Firmware and boot loader; value = the bytes of the event log, empty for preset registers.
 * @tcg PC Client Platform Firmware Profile 1.05, 2.3 Integrity Collection and Reporting
 */
export function measuredBoot(
  tpm: Tpm,
  chip: TpmChip,
  trace: Trace,
  spec: FirmwareSpec | undefined,
  facts: BootFacts,
): Uint8Array {
  const declared = declaredEvents(spec, facts);
  startTpm(tpm, trace, declared);
  if (spec !== undefined && 'pcrs' in spec) {
    presetPcrs(tpm, spec.pcrs);
    trace.emit('boot.preset_pcrs', { pcrs: spec.pcrs });
    return EMPTY;
  }
  const old = isOldLog(spec);
  const records = declared.map((e, i) => {
    const type = typeOf(e);
    const about = eventText({ type, event: loggedOf(e) });
    const number = i + (old ? 0 : 1);
    const id = trace.open('boot.firmware_event', { pcr: e.pcr, type: eventTypeName(type), number, about });
    const record = measure(chip, e);
    trace.close(id);
    return record;
  });
  if (spec !== undefined && 'eventlog' in spec) return spec.eventlog;
  return old ? encodeOldEventLog(records) : eventLogBytes(chip.banks, records);
}

/** The old form has no header, so its records count from 0. */
function isOldLog(spec: FirmwareSpec | undefined): boolean {
  if (spec === undefined) return false;
  if ('uefi' in spec) return spec.uefi.log === 'sha1';
  return 'eventlog' in spec && decodeEventLog(spec.eventlog).legacy;
}

/** Registers that stand for what ran before the operating system. */
const PLATFORM_PCRS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7];
/** What a separator says after an error. */
const ERROR = Uint8Array.of(1, 0, 0, 0);

/**
 * Firmware that wakes a machine and finds no saved registers makes the empty ones useless: a separator that
 * says "error" goes into each, and nobody can build the old values on top of it. The log that the kernel
 * took over at boot does not get these events.
 * @tcg PC Client Platform Firmware Profile 1.05, 3.3.2.2 Error Conditions
 */
export function capRegisters(tpm: Tpm): void {
  const own = new TpmDriver(tpm);
  for (const pcr of PLATFORM_PCRS) measure(own, { pcr, type: 'EV_SEPARATOR', data: ERROR });
}

/** Bytes of a crypto-agile log with the records of these banks. */
function eventLogBytes(banks: readonly HashName[], events: readonly BootEvent[]): Uint8Array {
  const algorithms = banks.map((name) => ({ algId: algIdOf(name), size: digestSize(name) }));
  return encodeEventLog(algorithms, events);
}
