// Register values from the files that tools write: sysfs and evmctl (`PCR-00: ..`), tsspcrread (`0: ..`),
// tpm2_pcrread as YAML and as plain bytes, tpm2_quote -o in both forms, single values of
// /sys/class/tpm/tpm0/pcr-<alg>/.

import { fromHex, fromLatin1, toHex } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import { digestSize, type HashName } from '../crypto/provider.ts';
import { hashOfAlg, type PcrSelection } from './quote.ts';
import { UnreadableError } from './verdict.ts';

export type BankRegisters = ReadonlyMap<number, Uint8Array>;

const REGISTERS = 24;
/** Banks in the order in which TPMs list them. */
const BANK_ORDER: readonly HashName[] = ['sha1', 'sha256', 'sha384', 'sha512'];

function unreadable(byte: number, message: string): UnreadableError {
  return new UnreadableError({ artefact: 'registers', byte, record: null, message });
}

/** `<number> : <value>` in all the ways in which it is printed. */
const LINE = /^\s*(?:PCR-|pcr-\w+\/|.*\/)?(\d{1,2})\s*:\s*(?:0x)?((?:[0-9a-fA-F]{2}\s*)+)$/;
const BANK_LINE = /^\s*(sha1|sha256|sha384|sha512|sm3_256|sha3_256|sha3_384|sha3_512)\s*:\s*$/;

function registerText(text: string, bank: HashName): BankRegisters {
  const out = new Map<number, Uint8Array>();
  const size = digestSize(bank);
  const sections = /^\s*(?:sha1|sha256|sha384|sha512)\s*:\s*$/m.test(text);
  let own = !sections;
  let at = 0;
  for (const line of text.split('\n')) {
    const section = BANK_LINE.exec(line);
    const m = LINE.exec(line.replace(/\r$/, ''));
    if (section !== null) own = section[1] === bank;
    else if (m !== null && own) {
      const value = fromHex((m[2] ?? '').replace(/\s+/g, ''));
      const pcr = Number(m[1]);
      if (value.length !== size)
        throw unreadable(at, `register ${pcr} has ${value.length} bytes, ${bank} has ${size}`);
      if (pcr >= 32) throw unreadable(at, `there is no register ${pcr}`);
      out.set(pcr, value);
    } else if (own && m === null && /[0-9a-fA-F]{40}/.test(line)) {
      throw unreadable(at, `this line is no register: \`${line.trim().slice(0, 40)}\``);
    }
    at += line.length + 1;
  }
  return out;
}

const TPML_HEAD = 4 + 16 * 8 + 4;
const DIGEST_LIST = 4 + 8 * 66;

/** The structures that tpm2_quote -o writes by default: selections and lists of eight digests. */
function quoteStructures(
  bytes: Uint8Array,
): readonly { bank: HashName | null; pcr: number; value: Uint8Array }[] | null {
  if (bytes.length < TPML_HEAD || (bytes.length - TPML_HEAD) % DIGEST_LIST !== 0) return null;
  const r = new Reader(bytes, 'le');
  const banks = r.u32();
  if (banks === 0 || banks > 16) return null;
  const wanted: { bank: HashName | null; pcr: number }[] = [];
  for (let i = 0; i < 16; i++) {
    const alg = r.u16();
    const selectSize = r.u8();
    const select = r.take(4);
    r.u8();
    if (i >= banks) continue;
    if (selectSize > 4) return null;
    for (let pcr = 0; pcr < 8 * selectSize; pcr++)
      if (((select[pcr >> 3] ?? 0) & (1 << (pcr & 7))) !== 0) wanted.push({ bank: hashOfAlg(alg), pcr });
  }
  const lists = r.u32();
  const values: Uint8Array[] = [];
  for (let i = 0; i < lists && !r.failed; i++) {
    const count = r.u32();
    for (let j = 0; j < 8; j++) {
      const size = r.u16();
      const buffer = r.take(64);
      if (j < count) values.push(buffer.subarray(0, size));
    }
  }
  if (r.failed || values.length !== wanted.length) return null;
  return wanted.map((w, i) => ({ ...w, value: values[i] as Uint8Array }));
}

/** Plain bytes: the selected banks one after the other, or all registers of some banks in their order. */
function plainBytes(
  bytes: Uint8Array,
  bank: HashName,
  quoted: readonly PcrSelection[],
): BankRegisters | null {
  const selections: PcrSelection[][] = [[...quoted]];
  const all = Array.from({ length: REGISTERS }, (_, i) => i);
  for (let mask = 1; mask < 1 << BANK_ORDER.length; mask++) {
    const banks = BANK_ORDER.filter((_, i) => (mask & (1 << i)) !== 0);
    selections.push(banks.map((b) => ({ bank: b, alg: 0, pcrs: all })));
  }
  for (const selection of selections) {
    const known = selection.every((s) => s.bank !== null);
    const size = (s: PcrSelection): number => (s.bank === null ? 0 : digestSize(s.bank) * s.pcrs.length);
    const total = selection.reduce((n, s) => n + size(s), 0);
    if (!known || total !== bytes.length || !selection.some((s) => s.bank === bank)) continue;
    let at = 0;
    for (const s of selection) {
      const each = digestSize(s.bank as HashName);
      const start = at;
      at += size(s);
      if (s.bank === bank)
        return new Map(s.pcrs.map((pcr, i) => [pcr, bytes.slice(start + i * each, start + (i + 1) * each)]));
    }
  }
  return null;
}

/**
 * The values of one bank in a file of any known form; the file must have some. The selection of a quote
 * tells plain bytes apart.
 */
export function readRegisters(
  bytes: Uint8Array,
  bank: HashName,
  quoted: readonly PcrSelection[] = [],
): BankRegisters {
  const structures = quoteStructures(bytes);
  if (structures !== null) {
    const own = structures.filter((s) => s.bank === bank);
    if (own.length > 0) return new Map(own.map((s) => [s.pcr, s.value]));
  }
  if (bytes.every((b) => (b >= 32 && b < 127) || b === 9 || b === 10 || b === 13)) {
    const found = registerText(fromLatin1(bytes), bank);
    if (found.size > 0) return found;
    throw unreadable(0, `no register of the bank ${bank} is in this text`);
  }
  const plain = plainBytes(bytes, bank, quoted);
  if (plain !== null) return plain;
  throw unreadable(
    0,
    `${bytes.length} bytes are neither text nor the registers of ${bank} alone or with other banks`,
  );
}

/** The value of one register, as a file of /sys/class/tpm/tpm0/pcr-<alg>/ has it. */
export function readSysfsValue(bytes: Uint8Array, bank: HashName): Uint8Array {
  const text = fromLatin1(bytes).trim();
  if (!/^[0-9a-fA-F]+$/.test(text) || text.length !== 2 * digestSize(bank))
    throw unreadable(0, `this is no register of ${bank}: \`${text.slice(0, 40)}\``);
  return fromHex(text);
}

/** `PCR 10 (sha256) ab12..` for messages. */
export function registerName(bank: HashName, pcr: number): string {
  return `PCR ${pcr} (${bank})`;
}

export function shortHex(bytes: Uint8Array): string {
  return bytes.length <= 8 ? toHex(bytes) : `${toHex(bytes.subarray(0, 8))}..`;
}
