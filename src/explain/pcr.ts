// Where the value of a register comes from: its start value, every extend and reset in order with the value
// before and after, and the chain of events that caused each up to the call, the command or the record of
// the firmware.

import { toHex } from '../base/bytes.ts';
import type { EventData, TraceEvent } from '../base/trace.ts';
import { digestSize, type HashName } from '../crypto/provider.ts';
import { initialValue, pcrAttributes } from '../tpm/pcr.ts';
import { causesOf } from './tree.ts';

export interface ExtendRecord {
  readonly event: number;
  /** A start value or a reset has no digest. */
  readonly kind: 'start' | 'reset' | 'extend';
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

interface About {
  readonly about: string;
  readonly entry: number | null;
}

/** `event 5 EV_EFI_ACTION: "text"`, numbered as tpm2_eventlog numbers the records. */
function firmwareText({ data }: TraceEvent): string {
  return `firmware event ${String(data.number)} ${String(data.type)}: ${String(data.about)}`;
}

function aboutOf(chain: readonly TraceEvent[]): About {
  const store = chain.findLast((e) => e.kind === 'ima.store');
  if (store !== undefined) {
    const violation = store.reason === 'ima.violation_stored' ? ' (violation)' : '';
    const index = typeof store.data.index === 'number' ? store.data.index : null;
    return { about: `${String(store.data.name ?? 'entry')}${violation}`, entry: index };
  }
  const firmware = chain.find((e) => e.kind === 'boot.firmware_event');
  if (firmware !== undefined) return { about: firmwareText(firmware), entry: null };
  const command = chain.findLast((e) => e.kind === 'tpm.command');
  if (command === undefined) return { about: 'hardware', entry: null };
  const { data } = command;
  const from = data.locality === 0 ? '' : ` at locality ${String(data.locality)}`;
  return { about: `${String(data.command)} from a program${from}`, entry: null };
}

const zeros = (bank: string): string => '00'.repeat(digestSize(bank as HashName));

function startValue(bank: string, pcr: number, locality: number): string {
  return toHex(initialValue(pcr, digestSize(bank as HashName), locality));
}

/** What an event does to the register besides extending it; null when nothing. */
interface Restart {
  readonly kind: 'start' | 'reset';
  readonly about: string;
  /** The new value of one bank; null keeps the old one. */
  readonly value: (bank: string) => string | null;
}

function restartOf({ kind, data }: TraceEvent, pcr: number): Restart | null {
  if (kind === 'tpm.startup') {
    const locality = typeof data.locality === 'number' ? data.locality : 0;
    if (data.type === 'resume' && pcrAttributes(pcr).stateSave)
      return { kind: 'start', about: 'TPM2_Startup(STATE): the saved value', value: () => null };
    if (data.hcrtm === true && pcr === 0)
      return { kind: 'start', about: 'TPM2_Startup: hardware measured before', value: () => null };
    const how = `TPM2_Startup (${String(data.type)})`;
    const about = pcr === 0 && locality !== 0 ? `${how} from locality ${locality}` : how;
    return { kind: 'start', about, value: (bank) => startValue(bank, pcr, locality) };
  }
  if (kind === 'tpm.hardware_crtm' && pcr === 0) {
    const locality = typeof data.locality === 'number' ? data.locality : 4;
    const about = `hardware measured the first code (locality ${locality})`;
    return { kind: 'start', about, value: (bank) => startValue(bank, pcr, locality) };
  }
  if (kind === 'tpm.pcr_reset' && data.pcr === pcr)
    return { kind: 'reset', about: `TPM2_PCR_Reset at locality ${String(data.locality)}`, value: zeros };
  if (kind === 'tpm.hash_start' && (data.pcr === pcr || (pcrAttributes(pcr).resetLocality & 0x10) !== 0)) {
    if (data.pcr === 0 && pcr !== 0) return null;
    const value = (bank: string): string => (pcr === 0 ? startValue(bank, 0, 4) : zeros(bank));
    return { kind: 'reset', about: '_TPM_Hash_Start', value };
  }
  if (kind !== 'boot.preset_pcrs') return null;
  const pcrs = data.pcrs as { readonly [bank: string]: { readonly [pcr: string]: string } } | undefined;
  if (pcrs === undefined || Object.values(pcrs).every((bank) => bank[String(pcr)] === undefined)) return null;
  const about = 'set as a recorded firmware left it';
  return { kind: 'start', about, value: (bank) => pcrs[bank]?.[String(pcr)] ?? null };
}

/**
 * The life of a register in one bank, in order: start values, resets, extends.
 * @tcg Part 1, 17 Platform Configuration Registers
 */
export function registerLife(
  events: readonly TraceEvent[],
  pcr: number,
  bank: string,
): readonly ExtendRecord[] {
  const byId = new Map(events.map((e) => [e.id, e]));
  const out: ExtendRecord[] = [];
  for (const event of events) {
    const restart = restartOf(event, pcr);
    const banks = event.kind === 'tpm.pcr_extend' && event.data.pcr === pcr ? event.data.banks : [];
    const extend = ((banks ?? []) as readonly EventData[]).find((b) => b.alg === bank);
    if (restart === null && extend === undefined) continue;
    const chain = causesOf(byId, event.id);
    const common = { event: event.id, bank, root: chain[0] ?? event };
    if (restart !== null) {
      const { kind, about } = restart;
      const value = restart.value(bank) ?? out.at(-1)?.value ?? zeros(bank);
      out.push({ ...common, kind, digest: '', value, about, entry: null });
    }
    if (extend === undefined) continue;
    const [digest, value] = [String(extend.digest), String(extend.value)];
    out.push({ ...common, kind: 'extend', digest, value, ...aboutOf(chain) });
  }
  return out;
}
