// Files of `kisim attest`: lists are read piece by piece (standard input is kept, because a list may have
// to be read twice), registers from files and from folders of sysfs.

import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { PcrSelection } from '../attest/quote.ts';
import { readRegisters, readSysfsValue } from '../attest/registers.ts';
import { UnreadableError } from '../attest/verdict.ts';
import type { ListPart } from '../attest/verify.ts';
import { concat } from '../base/bytes.ts';
import { type HashName, isHashName } from '../crypto/provider.ts';
import { CommandError, EXIT, readInput } from './terminal.ts';

const PIECE = 1 << 20;
const LIMIT = 64 * 1024 * 1024;

function* pieces(path: string): Generator<Uint8Array> {
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const buffer = new Uint8Array(PIECE);
      const n = readSync(fd, buffer, 0, PIECE, null);
      if (n === 0) return;
      yield buffer.subarray(0, n);
    }
  } finally {
    closeSync(fd);
  }
}

/** A list's file; a missing one ends the command. */
export function listPart(path: string): ListPart {
  if (path === '-') {
    const whole = readInput(path, LIMIT);
    return () => [whole];
  }
  if (!existsSync(path)) throw new CommandError(EXIT.invalid, `${path}: no such file`);
  if (statSync(path).isDirectory()) throw new CommandError(EXIT.invalid, `${path}: is a folder`);
  return () => pieces(path);
}

export function readSmall(path: string): Uint8Array {
  return new Uint8Array(readInput(path, LIMIT));
}

/** `ALG:FILE` of --pcrs. */
export function splitPcrs(text: string): { readonly bank: HashName; readonly path: string } {
  const m = /^(?:pcr-)?([\w-]+)[:,](.+)$/.exec(text);
  const alg = m?.[1] === 'sm3_256' ? 'sm3' : (m?.[1] ?? '');
  if (m === null || !isHashName(alg))
    throw new CommandError(EXIT.usage, `--pcrs: \`${text}\` is not ALG:FILE`, 'such as sha256:pcrs.sha256');
  return { bank: alg, path: m[2] ?? '' };
}

/** Values of one bank from a file, or from a folder such as /sys/class/tpm/tpm0/pcr-sha256. */
export function registersFrom(
  path: string,
  bank: HashName,
  quoted: readonly PcrSelection[],
): ReadonlyMap<number, Uint8Array> {
  if (path !== '-' && existsSync(path) && statSync(path).isDirectory()) {
    const out = new Map<number, Uint8Array>();
    for (const name of readdirSync(path))
      if (/^\d{1,2}$/.test(name)) out.set(Number(name), readSysfsValue(readFileSync(join(path, name)), bank));
    if (out.size === 0) throw new CommandError(EXIT.invalid, `${path}: no file 0 to 23 is in this folder`);
    return out;
  }
  return inFile(path, () => readRegisters(readSmall(path), bank, quoted));
}

/** Runs a reader and names the file when it cannot read. */
export function inFile<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (e) {
    if (!(e instanceof UnreadableError)) throw e;
    throw new CommandError(EXIT.invalid, `${path}: byte ${e.what.byte}: ${e.what.message}`);
  }
}

/** Bytes of hexadecimal text, or of a file of it after `@`. */
export function nonceBytes(text: string): Uint8Array {
  const hex = text.startsWith('@') ? new TextDecoder().decode(readSmall(text.slice(1))) : text;
  const digits = hex.replace(/^0x/i, '').replace(/\s+/g, '');
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(digits))
    throw new CommandError(EXIT.usage, `--nonce: \`${text.slice(0, 40)}\` is no hexadecimal text`);
  return concat(Uint8Array.from(digits.match(/../g) ?? [], (d) => Number.parseInt(d, 16)));
}
