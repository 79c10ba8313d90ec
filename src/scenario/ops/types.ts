// What one operation of the scenario language is: a declaration with a name, a zod shape of its arguments,
// a line of help and the code that carries it out on a session. Also the forms that arguments take (DATA,
// numbers as strtol reads them).

import { z } from 'zod';
import { assert } from '../../base/assert.ts';
import { concat, EMPTY, fromHex, fromLatin1, utf8 } from '../../base/bytes.ts';
import type { Err } from '../../base/errno.ts';
import type { Content } from '../../vfs/types.ts';
import type { ActorCursor, Session } from '../session.ts';

/** Plain data as a record holds it. */
export type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };

/** `err` is OK or the errno's name; everything else is what the operation returns. */
export type OpResult = { readonly err: string; readonly [member: string]: Value };

const flatData = z.union(
  [
    z.string(),
    z.strictObject({ text: z.string() }),
    z.strictObject({ hex: z.string().regex(/^([0-9a-fA-F]{2})*$/, 'not an even number of hex digits') }),
    z.strictObject({ repeat: z.string(), n: z.number().int().nonnegative().max(0x4000000) }),
    z.strictObject({
      opaque: z.string(),
      len: z.number().int().nonnegative(),
      digests: z.record(z.string(), z.string()),
    }),
  ],
  { error: 'expected a text, {text}, {hex}, {repeat, n} or {opaque, len, digests}' },
);

/** Content of a file, a key or a write; a list is its parts one after the other. */
export const DATA = z.union([flatData, z.array(flatData)], {
  error: 'expected a text, {text}, {hex}, {repeat, n}, {opaque, len, digests} or a list of these',
});
export type Data = z.infer<typeof DATA>;

/** A number, or a text as strtol(3) with base 0 reads it: "0644" is octal, "0x1f" hexadecimal. */
export const NUMBER = z.union([z.number().int(), z.string()], {
  error: 'expected a whole number or its text, such as "0644"',
});
type NumberText = z.infer<typeof NUMBER>;

/** The value of a numeric argument. */
export function num(value: NumberText | undefined, missing: number): number {
  if (value === undefined) return missing;
  if (typeof value === 'number') return value;
  const m = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)/.exec(value);
  if (m === null) return 0;
  const digits = m[2] ?? '0';
  const magnitude = /^0[xX]/.test(digits)
    ? Number.parseInt(digits, 16)
    : Number.parseInt(digits, digits.startsWith('0') ? 8 : 10);
  return m[1] === '-' ? -magnitude : magnitude;
}

function flatContent(data: z.infer<typeof flatData>): Content {
  if (typeof data === 'string') return { kind: 'bytes', bytes: utf8(data) };
  if ('text' in data) return { kind: 'bytes', bytes: utf8(data.text) };
  if ('hex' in data) return { kind: 'bytes', bytes: fromHex(data.hex) };
  if ('repeat' in data) return { kind: 'bytes', bytes: utf8(data.repeat.repeat(data.n)) };
  return { kind: 'opaque', label: data.opaque, length: data.len, digests: data.digests };
}

const contents = new WeakMap<object, Content>();

/**
 * The content that a DATA argument stands for. The same argument gives the same bytes, so what is known of
 * them (digests, what kind of file they are) is known when the step is carried out again.
 */
export function contentOf(data: Data | undefined): Content {
  if (data === undefined) return { kind: 'bytes', bytes: EMPTY };
  if (typeof data === 'string') return flatContent(data);
  let content = contents.get(data);
  if (content === undefined) {
    content = Array.isArray(data)
      ? { kind: 'bytes', bytes: concat(...data.map(bytesOf)) }
      : flatContent(data);
    contents.set(data, content);
  }
  return content;
}

/** The bytes of a DATA argument; zeros stand for a content that is known by its digests only. */
export function bytesOf(data: Data | undefined): Uint8Array {
  const content = contentOf(data);
  return content.kind === 'bytes' ? content.bytes : new Uint8Array(content.length);
}

/** A DATA argument where the system call takes a C string: text, cut at the first NUL. */
export function textOf(data: Data | undefined): string | undefined {
  if (data === undefined) return undefined;
  const text =
    typeof data === 'string'
      ? data
      : !Array.isArray(data) && 'text' in data
        ? data.text
        : fromLatin1(bytesOf(data));
  const nul = text.indexOf('\0');
  return nul < 0 ? text : text.slice(0, nul);
}

/** Text as the kernel holds it: UTF-8, one character per byte. */
export function byteText(text: string): string {
  return fromLatin1(utf8(text));
}

/** The name of an outcome as records write it. */
export function errName(err: Err): string {
  return err === 0 ? 'OK' : err;
}

/** Failure of a step inside an operation: `{err, at_open: err}`. */
export function failedAt(step: string, err: Err): OpResult {
  return { err: errName(err), [`at_${step}`]: errName(err) };
}

export function result(err: Err): OpResult {
  return { err: errName(err) };
}

/** What the machine cannot do; other operations go on. */
export function unsupported(why: string): OpResult {
  return { err: 'ENOSYS', unsupported: why };
}

/** Thrown by an executor whose process was killed by a signal in the middle of the call. */
export class ActorKilled extends Error {
  readonly signal: number;

  constructor(signal: number) {
    super(`the process was killed by signal ${signal}`);
    this.signal = signal;
  }
}

export interface OpContext {
  readonly session: Session;
  readonly actor: ActorCursor;
}

export interface OpDeclaration {
  readonly name: string;
  /** One line for docs and completion. */
  readonly help: string;
  /** Arguments besides those that every operation takes. */
  readonly args: z.ZodRawShape;
  readonly run: (context: OpContext, args: never) => OpResult;
}

/** Declares an operation; the executor gets its arguments with their types. */
export function defineOp<S extends z.ZodRawShape>(declaration: {
  readonly name: string;
  readonly help: string;
  readonly args: S;
  readonly run: (context: OpContext, args: z.infer<z.ZodObject<S>>) => OpResult;
}): OpDeclaration {
  assert(/^[a-z_]+$/.test(declaration.name), `name of operation ${declaration.name}`);
  return declaration;
}

/** What every operation takes: who does it, and a word to the reader. */
export const COMMON_ARGS = {
  uid: z.number().int().nonnegative().optional(),
  euid: z.number().int().nonnegative().optional(),
  gid: z.number().int().nonnegative().optional(),
  actor: z.string().optional(),
  note: z.string().optional(),
} as const;
