// What a verifier of a real machine would collect, from the end of a run: measurement lists as securityfs
// shows them, registers as evmctl reads them, a quote with its key as tpm2_checkquote reads them, the
// firmware's event log, the trace.

import { concat, EMPTY, toHex, utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import type { TraceEvent } from '../base/trace.ts';
import { exportPem } from '../crypto/keys.ts';
import type { HashName } from '../crypto/provider.ts';
import { banksOf, pcrValue, type ScenarioMachine } from './observe.ts';
import type { BankValues } from './quote-check.ts';
import { akPublic } from './quote-check.ts';
import type { RunReport } from './result.ts';
import type { KeptQuote, RunMemory } from './steps/types.ts';
import { type AkType, createAk, flushContext, pcrRead, pcrSelection, quote, TPM_ALG } from './tpm-client.ts';
import { traceJson, traceMarkdown } from './trace-formats.ts';

/** A machine that can be exported; the forms of the lists are its own. */
export interface ExportMachine extends ScenarioMachine {
  imaList(form: 'ascii' | 'binary', bank?: HashName): Uint8Array;
  eventLog(): Uint8Array;
  fork(): ExportMachine;
}

export interface ExportOptions {
  /** The verifier's nonce of the quote that is made for the export. */
  readonly nonce: Uint8Array;
  readonly key: AkType;
}

/** Registers that firmware, boot loader and IMA use. */
const QUOTED_PCRS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14];

/** `PCR-00: <hex>` lines of one bank, the form of sysfs and of evmctl's --pcrs. */
export function pcrsText(machine: ScenarioMachine, bank: string): string {
  const lines = Array.from({ length: 24 }, (_, pcr) => {
    const value = pcrValue(machine, bank, pcr);
    return value === undefined ? '' : `PCR-${String(pcr).padStart(2, '0')}: ${value}\n`;
  });
  return lines.join('');
}

const SELECTIONS = 16;
const DIGESTS_IN_LIST = 8;
const DIGEST_BUFFER = 64;

function selectionStruct(bank: BankValues): Uint8Array {
  const select = [0, 0, 0, 0];
  for (const n of bank.pcrs) select[n >> 3] = (select[n >> 3] ?? 0) | (1 << (n & 7));
  return new Writer('le')
    .u16(TPM_ALG[bank.bank] ?? 0)
    .u8(3)
    .bytes(Uint8Array.from(select))
    .u8(0)
    .finish();
}

/**
 * The file that tpm2_quote -o writes and tpm2_checkquote -f reads: TPML_PCR_SELECTION and lists of up to
 * eight digests, as the C structures of a little-endian 64-bit machine lie in memory.
 */
export function quotePcrsFile(banks: readonly BankValues[]): Uint8Array {
  const w = new Writer('le').u32(banks.length);
  for (const bank of banks) w.bytes(selectionStruct(bank));
  w.bytes(new Uint8Array(8 * (SELECTIONS - banks.length)));
  const values = banks.flatMap((b) => b.values);
  const lists = Math.ceil(values.length / DIGESTS_IN_LIST);
  w.u32(lists);
  for (let i = 0; i < lists; i++) {
    const own = values.slice(i * DIGESTS_IN_LIST, (i + 1) * DIGESTS_IN_LIST);
    w.u32(own.length);
    for (const v of own)
      w.u16(v.length)
        .bytes(v)
        .bytes(new Uint8Array(DIGEST_BUFFER - v.length));
    w.bytes(new Uint8Array((2 + DIGEST_BUFFER) * (DIGESTS_IN_LIST - own.length)));
  }
  return w.finish();
}

/** SubjectPublicKeyInfo in PEM of a TPMT_PUBLIC; empty for a kind of key that is not made here. */
export function akPem(publicArea: Uint8Array): string {
  const key = akPublic(publicArea);
  return key === undefined ? '' : exportPem(key);
}

/** Files of one quote, `base` before the suffixes. */
function quoteFiles(kept: KeptQuote, base: string): readonly (readonly [name: string, bytes: Uint8Array])[] {
  return [
    [`${base}.msg`, kept.attest],
    [`${base}.sig`, kept.signature],
    [`${base}.pcrs`, quotePcrsFile(kept.banks)],
    [`${base}.nonce`, utf8(`${toHex(kept.nonce)}\n`)],
  ];
}

/** A quote of the end of the run, made on a fork: the run itself does not notice. */
function finalQuote(machine: ExportMachine, options: ExportOptions): KeptQuote | undefined {
  const { tpm } = machine.fork();
  if (tpm === null) return undefined;
  const banks: BankValues[] = [];
  for (const bank of banksOf(machine) as readonly HashName[]) {
    const got = pcrRead(tpm, { bank, pcrs: QUOTED_PCRS });
    if (got.value === null || got.value.length !== QUOTED_PCRS.length) return undefined;
    banks.push({ bank, pcrs: QUOTED_PCRS, values: got.value });
  }
  const key = createAk(tpm, options.key);
  if (key.value === null) return undefined;
  const made = quote(tpm, key.value.handle, options.nonce, pcrSelection(banks));
  flushContext(tpm, key.value.handle);
  if (made.value === null) return undefined;
  return { ...made.value, publicArea: key.value.publicArea, banks, nonce: options.nonce };
}

/** All files of an export, in the order in which they are written. */
export function exportFiles(
  report: RunReport,
  machine: ExportMachine,
  events: readonly TraceEvent[],
  memory: RunMemory,
  options: ExportOptions,
): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  files.set('ascii_runtime_measurements', machine.imaList('ascii'));
  files.set('binary_runtime_measurements', machine.imaList('binary'));
  for (const bank of banksOf(machine)) files.set(`pcrs.${bank}`, utf8(pcrsText(machine, bank)));
  const final = finalQuote(machine, options);
  if (final !== undefined) {
    for (const [name, bytes] of quoteFiles(final, 'quote')) files.set(name, bytes);
    files.set('ak.pem', utf8(akPem(final.publicArea)));
    files.set('ak.pub', concat(new Writer('be').u16(final.publicArea.length).finish(), final.publicArea));
  }
  for (const [name, kept] of Object.entries(memory.quotes)) {
    for (const [file, bytes] of quoteFiles(kept, `quotes/${name}`)) files.set(file, bytes);
    files.set(`quotes/${name}.pem`, utf8(akPem(kept.publicArea)));
  }
  const log = machine.tpm === null ? EMPTY : machine.eventLog();
  if (log.length > 0) files.set('eventlog.bin', log);
  files.set('trace.json', utf8(`${JSON.stringify(traceJson(report, events), null, 1)}\n`));
  files.set('trace.md', utf8(traceMarkdown(report, events)));
  return files;
}
