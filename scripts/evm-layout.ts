// Draws the bytes that EVM hashes into docs/evm.md, between the two marks: each field of the metadata block is found by
// changing it and looking where the block changes. `--check` only compares.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EVM_DEFAULT_XATTRS } from '../src/evm/api.ts';
import { type EvmInode, miscBytes } from '../src/evm/digest.ts';
import { MAX_KEY_SIZE } from '../src/evm/state.ts';
import {
  EVM_IMA_XATTR_DIGSIG,
  EVM_XATTR_HMAC,
  EVM_XATTR_PORTABLE_DIGSIG,
  SIGNATURE_V2_HDR_SIZE,
} from '../src/integrity/xattr.ts';

const PAGE = join(import.meta.dirname, '..', 'docs', 'evm.md');
const START = '<!-- layout: made by npm run evm-layout -->';
const END = '<!-- end of layout -->';
const FIELDS = ['ino', 'generation', 'uid', 'gid', 'mode'] as const;
const ZERO: EvmInode = { ino: 0, generation: 0, uid: 0, gid: 0, mode: 0 };
const UUID = new Uint8Array(16).fill(0xff);

/** Offset and length of what changes between two blocks; null for nothing. */
function changed(a: Uint8Array, b: Uint8Array): readonly [number, number] | null {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  if (at < 0) return null;
  return [at, a.length - at - [...a].reverse().findIndex((byte, i) => byte !== b[b.length - 1 - i])];
}

function place(wordBits: 32 | 64, type: number, field: (typeof FIELDS)[number] | 'uuid'): string {
  const form = { wordBits, fsuuid: true };
  const none = new Uint8Array(16);
  const limit =
    { ino: wordBits === 64 ? 0x1fffffffffffff : 0xffffffff, mode: 0xffff }[field as string] ?? 0xffffffff;
  const plain = miscBytes(form, ZERO, none, type);
  const marked =
    field === 'uuid'
      ? miscBytes(form, ZERO, UUID, type)
      : miscBytes(form, { ...ZERO, [field]: limit }, none, type);
  const found = changed(plain, marked);
  if (found === null) return field === 'uuid' ? 'not there' : 'zero';
  // A 64-bit number holds no more than 53 bits here; its place is the whole word.
  const length = field === 'ino' ? wordBits / 8 : found[1];
  return `${found[0]}..${found[0] + length - 1}`;
}

function table(wordBits: 32 | 64): string {
  const types = [EVM_XATTR_HMAC, EVM_IMA_XATTR_DIGSIG, EVM_XATTR_PORTABLE_DIGSIG];
  const rows = [...FIELDS, 'uuid' as const].map(
    (field) => `| ${field} | ${types.map((type) => place(wordBits, type, field)).join(' | ')} |`,
  );
  const size = types.map((type) => miscBytes({ wordBits, fsuuid: true }, ZERO, UUID, type).length);
  return [
    `On a ${wordBits}-bit machine, byte order as the machine has it:`,
    '',
    `| field | HMAC (type ${types[0]}) | signature (type ${types[1]}) | portable signature (type ${types[2]}) |`,
    '| --- | --- | --- | --- |',
    ...rows,
    `| length | ${size.join(' | ')} |`,
  ].join('\n');
}

export function layout(): string {
  return [
    `Values hashed first, in this order: ${EVM_DEFAULT_XATTRS.map((n) => `\`${n}\``).join(', ')}, then names added`,
    'through `evm_xattrs` in the order in which they were added.',
    '',
    table(64),
    '',
    table(32),
    '',
    `The HMAC key has ${MAX_KEY_SIZE} bytes: a shorter one is padded with zeros. A signature's header has ${SIGNATURE_V2_HDR_SIZE} bytes.`,
  ].join('\n');
}

/** The page with the layout of today. */
export function pageWithLayout(page: string): string {
  const [before, rest] = page.split(START);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error(`docs/evm.md has no marks ${START} ${END}`);
  return `${before}${START}\n\n${layout()}\n\n${END}${after}`;
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const now = readFileSync(PAGE, 'utf8');
  const wanted = pageWithLayout(now);
  if (process.argv.includes('--check')) process.exitCode = now === wanted ? 0 : 1;
  else writeFileSync(PAGE, wanted);
}
