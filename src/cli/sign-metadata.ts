// The metadata that `kisim sign --evm` covers: from the options, else from the file itself. Attributes are
// given with --set, or read with getfattr(1) where --xattr asks for the file's own.

import { spawnSync } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { fromHex, utf8 } from '../base/bytes.ts';
import type { EvmMetadata } from '../evm/sign.ts';
import { XATTR_SECURITY_PREFIX } from '../integrity/xattr.ts';
import { looseHex } from '../scenario/data.ts';
import { CommandError, EXIT, readInput } from './terminal.ts';

export interface MetadataOptions {
  readonly ino?: string;
  readonly generation?: string;
  readonly uuid?: string;
  readonly mode?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly m32?: boolean;
  readonly set: readonly string[];
}

/** Values of attributes are small. */
const VALUE_LIMIT = 65536;

export function usage(message: string, help: string | null = null): CommandError {
  return new CommandError(EXIT.usage, message, help);
}

/** A number as people write it: decimal, 0x hexadecimal, or octal with a leading zero. */
export function numberOption(name: string, text: string, limit: number): number {
  const octal = /^0[0-7]+$/.test(text);
  const value = /^(?:0x[0-9a-fA-F]+|\d+)$/.test(text)
    ? Number(octal ? `0o${text.slice(1)}` : text)
    : Number.NaN;
  if (!(value <= limit)) throw usage(`--${name}: \`${text}\` is no number up to ${limit}`);
  return value;
}

export function hexOption(name: string, text: string): Uint8Array {
  try {
    return looseHex(text.replace(/^0x/, ''));
  } catch {
    throw usage(`--${name}: \`${text}\` is no hexadecimal text`);
  }
}

/** `0x...` is hexadecimal, `@FILE` the bytes of a file, everything else is text. */
function settingValue(text: string): Uint8Array {
  if (text.startsWith('@')) return readInput(text.slice(1), VALUE_LIMIT);
  return text.startsWith('0x') ? hexOption('set', text) : utf8(text);
}

function attributesOf(settings: readonly string[]): Map<string, Uint8Array> {
  const out = new Map<string, Uint8Array>();
  for (const setting of settings) {
    const at = setting.indexOf('=');
    const name = setting.slice(0, at);
    if (at < 0 || !name.startsWith(XATTR_SECURITY_PREFIX))
      throw usage(`--set: \`${setting}\` is no attribute`, 'write --set security.selinux=system_u:...');
    out.set(name, settingValue(setting.slice(at + 1)));
  }
  return out;
}

/** The security attributes that a file has on this machine. */
export function hostAttributes(file: string): Map<string, Uint8Array> {
  const args = ['-h', '-d', '-m', '^security\\.', '-e', 'hex', '--absolute-names', '--', file];
  const run = spawnSync('getfattr', args, { encoding: 'latin1' });
  if (run.error !== undefined)
    throw new CommandError(EXIT.invalid, 'getfattr is not installed', 'package attr');
  if (run.status !== 0) throw new CommandError(EXIT.invalid, `${file}: ${run.stderr.trim()}`);
  const out = new Map<string, Uint8Array>();
  for (const m of run.stdout.matchAll(/^(security\.[^=\n]+)=0x([0-9a-f]*)$/gm))
    out.set(m[1] as string, fromHex(m[2] as string));
  return out;
}

/** Stores an attribute of a file on this machine. */
export function setHostAttribute(file: string, name: string, hex: string): void {
  const run = spawnSync('setfattr', ['-h', '-n', name, '-v', `0x${hex}`, '--', file], { encoding: 'utf8' });
  if (run.error !== undefined)
    throw new CommandError(EXIT.invalid, 'setfattr is not installed', 'package attr');
  if (run.status !== 0) throw new CommandError(EXIT.invalid, run.stderr.trim());
}

function uuidOf(text: string): Uint8Array | null {
  if (text === 'none') return null;
  const uuid = hexOption('uuid', text.replaceAll('-', ''));
  if (uuid.length !== 16) throw usage(`--uuid: \`${text}\` is no UUID`, 'or write --uuid none');
  return uuid;
}

/** What the label is made for; `bound` labels name the inode and the file system, portable ones do not. */
export function metadataOf(file: string, options: MetadataOptions, bound: boolean): EvmMetadata {
  if (file === '-') throw usage('metadata belongs to a file: name the file');
  const stat = lstatSync(file);
  const word = options.m32 === true ? 0xffffffff : Number.MAX_SAFE_INTEGER;
  const field = (name: 'ino' | 'mode' | 'uid' | 'gid', own: number): number =>
    numberOption(name, options[name] ?? String(own), name === 'ino' ? word : 0xffffffff);
  const mode = field('mode', stat.mode);
  if (bound && options.generation === undefined)
    throw usage('the inode generation is missing', '--generation N (lsattr -v shows it), or --portable');
  if (bound && options.uuid === undefined)
    throw usage("the file system's uuid is missing", '--uuid UUID, or --uuid none for a kernel without it');
  return {
    ino: field('ino', stat.ino),
    generation: numberOption('generation', options.generation ?? '0', 0xffffffff),
    // A mode without type bits is that of a regular file, as chmod(1) writes it.
    mode: (mode & 0o170000) === 0 ? mode | (stat.mode & 0o170000) : mode,
    uid: field('uid', stat.uid),
    gid: field('gid', stat.gid),
    uuid: options.uuid === undefined ? null : uuidOf(options.uuid),
    wordBits: options.m32 === true ? 32 : 64,
    xattrs: attributesOf(options.set),
  };
}
