// Platform configuration registers: the PC Client's 24 with their localities, banks, selections and digests
// of selections.

import { equalBytes, toHex } from '../base/bytes.ts';
import type { EventData } from '../base/trace.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName, hashSize } from './algorithms.ts';
import { IMPLEMENTATION_PCR, PCR_SELECT_MAX } from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import type { PcrBank } from './state.ts';
import type { TpmlPcrSelection, TpmsPcrSelection } from './structures.ts';

export interface PcrAttributes {
  /** Kept over Shutdown(STATE) and Startup(STATE). */
  readonly stateSave: boolean;
  /** Bit n: locality n may do it. */
  readonly resetLocality: number;
  readonly extendLocality: number;
}

const STATIC: PcrAttributes = { stateSave: true, resetLocality: 0, extendLocality: 0x1f };
const APPLICATION: PcrAttributes = { stateSave: false, resetLocality: 0x0f, extendLocality: 0x1f };
const dynamic = (resetLocality: number, extendLocality: number): PcrAttributes => ({
  stateSave: false,
  resetLocality,
  extendLocality,
});

/** @tcg PC Client Platform TPM Profile, 4.6 PCR Attributes */
export const PCR_ATTRIBUTES: readonly PcrAttributes[] = [
  ...Array.from({ length: 16 }, () => STATIC),
  APPLICATION,
  dynamic(0x10, 0x1c),
  dynamic(0x10, 0x1c),
  dynamic(0x10, 0x0c),
  dynamic(0x14, 0x0e),
  dynamic(0x14, 0x04),
  dynamic(0x14, 0x04),
  APPLICATION,
];

/** PCR whose changes do not count in pcrUpdateCounter, or that a policy or an authValue may guard. */
export const isNoIncrementPcr = (pcr: number): boolean => pcr === 16 || (pcr >= 21 && pcr <= 23);
export const isGuardedPcr = (pcr: number): boolean => pcr >= 20 && pcr <= 22;

export function pcrAttributes(pcr: number): PcrAttributes {
  return PCR_ATTRIBUTES[pcr] ?? STATIC;
}

/** Whether a bit map has the register. */
export function isSelected(select: Uint8Array, pcr: number): boolean {
  return (((select[pcr >>> 3] ?? 0) >>> (pcr & 7)) & 1) === 1;
}

/** Bit map of PCR_SELECT_MAX octets. */
export function selectBits(pcrs: Iterable<number>): Uint8Array {
  const bits = new Uint8Array(PCR_SELECT_MAX);
  for (const pcr of pcrs) bits[pcr >>> 3] = (bits[pcr >>> 3] ?? 0) | (1 << (pcr & 7));
  return bits;
}

/** A register after TPM Reset or Restart. @tcg Part 3, 9.3 TPM2_Startup */
export function initialValue(pcr: number, size: number, locality: number): Uint8Array {
  const value = new Uint8Array(size);
  if ((pcrAttributes(pcr).resetLocality & 0x10) !== 0) value.fill(0xff);
  else if (pcr === 0) value[size - 1] = locality;
  return value;
}

/** Banks as TPM Reset or Restart leaves them; `saved` gives the registers that Resume restores. */
export function startBanks(
  allocated: TpmlPcrSelection,
  locality: number,
  saved: readonly PcrBank[] | null,
  keepHcrtm: readonly PcrBank[] | null,
): readonly PcrBank[] {
  return allocated
    .filter((selection) => selection.pcrSelect.some((octet) => octet !== 0))
    .map((selection) => {
      const size = hashSize(selection.hash);
      const old = saved?.find((b) => b.alg === selection.hash);
      const hcrtm = keepHcrtm?.find((b) => b.alg === selection.hash)?.pcrs[0] ?? null;
      const pcrs = Array.from({ length: IMPLEMENTATION_PCR }, (_, pcr) => {
        if (!isSelected(selection.pcrSelect, pcr)) return null;
        const kept = pcrAttributes(pcr).stateSave ? (old?.pcrs[pcr] ?? null) : null;
        if (kept === null && pcr === 0 && hcrtm !== null) return hcrtm;
        return kept ?? initialValue(pcr, size, locality);
      });
      return { alg: selection.hash, pcrs };
    });
}

function replace(bank: PcrBank, pcr: number, value: Uint8Array): PcrBank {
  const pcrs = bank.pcrs.slice();
  pcrs[pcr] = value;
  return { alg: bank.alg, pcrs };
}

/** H(old || digest). */
function folded(alg: number, old: Uint8Array, digest: Uint8Array): Uint8Array {
  const both = new Uint8Array(old.length + digest.length);
  both.set(old);
  both.set(digest, old.length);
  return crypto().hash(hashName(alg), both);
}

export interface BankValue {
  readonly hashAlg: number;
  readonly digest: Uint8Array;
}

/**
 * Extends one register in the given banks; a bank that is not allocated is passed over.
 * @tcg Part 1, 17.5.2 Extend
 */
export function extendPcr(tpm: TpmCursor, pcr: number, digests: readonly BankValue[]): void {
  let banks = tpm.state.pcr;
  const trace = tpm.env.trace;
  const seen: EventData[] = [];
  let changed = 0;
  for (const { hashAlg, digest } of digests) {
    const at = banks.findIndex((b) => b.alg === hashAlg);
    const bank = banks[at];
    const old = bank?.pcrs[pcr] ?? null;
    if (bank === undefined || old === null) {
      tpm.emit('tpm.pcr_skip', { pcr, alg: hashName(hashAlg) }, 'tpm.pcr_not_allocated');
      continue;
    }
    const value = folded(hashAlg, old, digest);
    banks = banks.with(at, replace(bank, pcr, value));
    changed++;
    if (trace !== undefined) {
      seen.push({ alg: hashName(hashAlg), digest: toHex(digest), value: toHex(value) });
    }
  }
  setBanks(tpm, banks, pcr, changed);
  trace?.emit('tpm.pcr_extend', { pcr, banks: seen });
}

/** Puts banks in place and counts the changes; an extend counts once for each bank. */
function setBanks(tpm: TpmCursor, banks: readonly PcrBank[], pcr: number, changes: number): void {
  const { reset } = tpm.state;
  tpm.state = {
    ...tpm.state,
    pcr: banks,
    reset: isNoIncrementPcr(pcr) ? reset : { ...reset, pcrCounter: (reset.pcrCounter + changes) >>> 0 },
  };
}

/** Sets one register in all banks. */
export function setPcr(tpm: TpmCursor, pcr: number, value: (size: number) => Uint8Array): void {
  const banks = tpm.state.pcr.map((bank) =>
    bank.pcrs[pcr] === null ? bank : replace(bank, pcr, value(hashSize(bank.alg))),
  );
  setBanks(tpm, banks, pcr, 1);
}

export function pcrValue(tpm: TpmCursor, alg: number, pcr: number): Uint8Array | null {
  return tpm.state.pcr.find((b) => b.alg === alg)?.pcrs[pcr] ?? null;
}

/** The selection without registers that no bank has. */
export function filterSelection(tpm: TpmCursor, selections: TpmlPcrSelection): readonly TpmsPcrSelection[] {
  return selections.map((s) => {
    const bits: number[] = [];
    for (let pcr = 0; pcr < IMPLEMENTATION_PCR; pcr++) {
      if (isSelected(s.pcrSelect, pcr) && pcrValue(tpm, s.hash, pcr) !== null) bits.push(pcr);
    }
    const pcrSelect = selectBits(bits);
    return { hash: s.hash, pcrSelect: equalBytes(pcrSelect, s.pcrSelect) ? s.pcrSelect : pcrSelect };
  });
}

/**
 * Digest of the selected registers and the selection that was used.
 * @tcg Part 1, 17.6 PCR Digest
 */
export function pcrDigest(
  tpm: TpmCursor,
  alg: number,
  selections: TpmlPcrSelection,
): { readonly digest: Uint8Array; readonly selection: readonly TpmsPcrSelection[] } {
  const selection = filterSelection(tpm, selections);
  const hasher = crypto().hasher(hashName(alg));
  for (const s of selection) {
    for (let pcr = 0; pcr < IMPLEMENTATION_PCR; pcr++) {
      const value = isSelected(s.pcrSelect, pcr) ? pcrValue(tpm, s.hash, pcr) : null;
      if (value !== null) hasher.update(value);
    }
  }
  return { digest: hasher.digest(), selection };
}
