// The part of the boot before the kernel: TPM2_Startup, firmware and boot loader measurements into the
// registers and the event log, or registers as a recorded firmware left them.

import { assert } from '../base/assert.ts';
import { fromHex } from '../base/bytes.ts';
import type { Trace } from '../base/trace.ts';
import { crypto, digestSize, type HashName } from '../crypto/provider.ts';
import { hashAlgOf } from '../tpm/algorithms.ts';
import type { TpmChip } from '../tpm/chip.ts';
import { TpmDriver } from '../tpm/driver.ts';
import { responseCodeOf, type Tpm } from '../tpm/tpm.ts';
import type { FirmwareEvent, FirmwareSpec } from './api.ts';
import { type BootEvent, EVENT_TYPES, encodeEventLog, eventTypeNumber, LOG_ALGS } from './eventlog.ts';
import { type BootFacts, defaultFirmware } from './firmware.ts';

/** TPM2_Startup(TPM_SU_CLEAR). */
const STARTUP_CLEAR = fromHex('80010000000c000001440000');

/** What firmware does first: power, then TPM2_Startup. @tcg Part 1, 12.2 Basic TPM Operation */
export function startTpm(tpm: Tpm): void {
  tpm.powerOn();
  const code = responseCodeOf(tpm.execute(STARTUP_CLEAR));
  assert(code === 0, `TPM2_Startup failed with 0x${code.toString(16)}`);
}

/** Extends one event into all banks; value = its record for the log. */
function measure(chip: TpmChip, e: FirmwareEvent): BootEvent {
  const type = eventTypeNumber(e.type);
  assert(type !== null, `unknown event type ${e.type}`);
  const noAction = type === EVENT_TYPES.EV_NO_ACTION;
  const digests = chip.banks.map((alg) => ({
    alg,
    digest: noAction ? new Uint8Array(digestSize(alg)) : crypto().hash(alg, e.data),
  }));
  if (!noAction) chip.pcrExtend(e.pcr, digests);
  return {
    pcr: e.pcr,
    type,
    digests: digests.map((d) => ({ algId: algIdOf(d.alg), digest: d.digest })),
    event: e.event ?? e.data,
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
 * Firmware and boot loader; value = the event log, empty for preset registers.
 * @tcg PC Client Platform Firmware Profile 1.05, 2.3 Integrity Collection and Reporting
 */
export function measuredBoot(
  tpm: Tpm,
  chip: TpmChip,
  trace: Trace,
  spec: FirmwareSpec | undefined,
  facts: BootFacts,
): readonly BootEvent[] {
  if (spec !== undefined && 'pcrs' in spec) {
    presetPcrs(tpm, spec.pcrs);
    trace.emit('boot.preset_pcrs', { banks: Object.keys(spec.pcrs) });
    return [];
  }
  const events = spec === undefined ? defaultFirmware(facts) : spec.events;
  return events.map((e) => {
    const id = trace.open('boot.firmware_event', { pcr: e.pcr, type: e.type });
    const record = measure(chip, e);
    trace.close(id);
    return record;
  });
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

/** Bytes of the log, as tpm0/binary_bios_measurements shows them. */
export function eventLogBytes(banks: readonly HashName[], events: readonly BootEvent[]): Uint8Array {
  const algorithms = banks.map((name) => ({ algId: algIdOf(name), size: digestSize(name) }));
  return encodeEventLog(algorithms, events);
}
