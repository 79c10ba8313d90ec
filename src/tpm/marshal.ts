// The canonical (big-endian) form of TPM structures: a codec reads and writes one type, combinators build
// structures from them. A reader never throws: the first refusal sticks with its response code and everything
// after it reads as zero.

import { concat } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import { TPM_RC_INSUFFICIENT, TPM_RC_SIZE, TPM_RC_VALUE } from './rc.ts';

/**
 * Reader that remembers why it stopped.
 * @tcg Part 2, 4.2 Unmarshaling Errors
 */
export class Unmarshaller extends Reader {
  #rc = 0;
  /** Transient handles that the TPM knows: those of its slots. */
  readonly objectSlots: number;

  constructor(bytes: Uint8Array, objectSlots = Number.POSITIVE_INFINITY) {
    super(bytes, 'be');
    this.objectSlots = objectSlots;
  }

  /** Refuses with a response code; only the first refusal counts. */
  refuse(rc: number): void {
    if (this.failed) return;
    this.#rc = rc;
    this.failed = true;
  }

  /** 0 while everything was read, else the response code. */
  get rc(): number {
    if (this.#rc !== 0) return this.#rc;
    return this.failed ? TPM_RC_INSUFFICIENT : 0;
  }
}

export interface Codec<T> {
  read(r: Unmarshaller): T;
  write(w: Writer, value: T): void;
  /** Set for a TPM2B: as first parameter it can be encrypted by a session. */
  readonly sized?: true;
}

export type Infer<C> = C extends Codec<infer T> ? T : never;
export type Codecs = { readonly [name: string]: Codec<unknown> };
export type InferAll<C extends Codecs> = { readonly [K in keyof C]: Infer<C[K]> };

export const Uint8: Codec<number> = { read: (r) => r.u8(), write: (w, v) => void w.u8(v) };
export const Uint16: Codec<number> = { read: (r) => r.u16(), write: (w, v) => void w.u16(v) };
export const Uint32: Codec<number> = { read: (r) => r.u32(), write: (w, v) => void w.u32(v) };
export const Uint64: Codec<bigint> = { read: (r) => r.u64(), write: (w, v) => void w.u64(v) };

/** A number whose values are limited; others are refused with `rc`. */
export function limited(
  base: Codec<number>,
  allowed: (value: number, r: Unmarshaller) => boolean,
  rc: number = TPM_RC_VALUE,
): Codec<number> {
  return {
    read(r) {
      const value = base.read(r);
      if (!r.failed && !allowed(value, r)) r.refuse(rc);
      return value;
    },
    write: base.write,
  };
}

/** One of a list of numbers. */
export function oneOf(
  base: Codec<number>,
  values: readonly number[],
  rc: number = TPM_RC_VALUE,
): Codec<number> {
  const set = new Set(values);
  return limited(base, (v) => set.has(v), rc);
}

/** TPM2B of plain octets, at most `max`. */
export function tpm2b(max: number): Codec<Uint8Array> {
  return {
    sized: true,
    read(r) {
      const size = r.u16();
      if (size > max) r.refuse(TPM_RC_SIZE);
      return r.take(size);
    },
    write(w, v) {
      w.u16(v.length).bytes(v);
    },
  };
}

/** Members in the order of the keys. */
export function struct<C extends Codecs>(members: C): Codec<InferAll<C>> {
  const entries = Object.entries(members);
  return {
    read(r) {
      const out: Record<string, unknown> = {};
      for (const [name, codec] of entries) out[name] = codec.read(r);
      return out as InferAll<C>;
    },
    write(w, value) {
      for (const [name, codec] of entries) codec.write(w, (value as Record<string, unknown>)[name]);
    },
  };
}

/** TPML: a 32-bit count and the elements; more than `max` or fewer than `min` is TPM_RC_SIZE. */
export function list<T>(element: Codec<T>, max: number, min = 0): Codec<readonly T[]> {
  return {
    read(r) {
      const count = r.u32();
      if (!r.failed && (count > max || count < min)) r.refuse(TPM_RC_SIZE);
      const out: T[] = [];
      for (let i = 0; i < count && !r.failed; i++) out.push(element.read(r));
      return out;
    },
    write(w, values) {
      w.u32(values.length);
      for (const v of values) element.write(w, v);
    },
  };
}

/**
 * TPM2B around a structure: the size must be what the structure takes. A size of zero is TPM_RC_SIZE unless
 * the
 * codec is `optional`, then it reads as null.
 */
export function tpm2bOf<T>(inner: Codec<T>): Codec<T> {
  return {
    sized: true,
    read(r) {
      const size = r.u16();
      if (!r.failed && size === 0) r.refuse(TPM_RC_SIZE);
      const start = r.offset;
      const value = inner.read(r);
      if (!r.failed && r.offset - start !== size) r.refuse(TPM_RC_SIZE);
      return value;
    },
    write(w, value) {
      const bytes = marshal(inner, value);
      w.u16(bytes.length).bytes(bytes);
    },
  };
}

/** As `tpm2bOf`, but a size of zero reads as null and null writes a size of zero. */
export function optionalTpm2bOf<T>(inner: Codec<T>): Codec<T | null> {
  const present = tpm2bOf(inner);
  return {
    sized: true,
    read(r) {
      if (r.remaining >= 2 && r.bytes[r.offset] === 0 && r.bytes[r.offset + 1] === 0) {
        r.u16();
        return null;
      }
      return present.read(r);
    },
    write(w, value) {
      if (value === null) w.u16(0);
      else present.write(w, value);
    },
  };
}

/** Canonical bytes of a value. */
export function marshal<T>(codec: Codec<T>, value: T): Uint8Array {
  const w = new Writer('be');
  codec.write(w, value);
  return w.finish();
}

/** The value whose canonical bytes are exactly `bytes`, or the response code. */
export function unmarshal<T>(
  codec: Codec<T>,
  bytes: Uint8Array,
): { rc: 0; value: T } | { rc: number; value: null } {
  const r = new Unmarshaller(bytes);
  const value = codec.read(r);
  if (r.rc !== 0) return { rc: r.rc, value: null };
  if (r.remaining !== 0) return { rc: TPM_RC_SIZE, value: null };
  return { rc: 0, value };
}

/** Big-endian 16-bit and 32-bit numbers as octets. */
export function be16(value: number): Uint8Array {
  return new Uint8Array([value >>> 8, value & 255]);
}

export function be32(value: number): Uint8Array {
  return new Uint8Array([value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
}

export function be64(value: bigint): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, value);
  return out;
}

/** TPM2B bytes of octets. */
export function sizedBytes(bytes: Uint8Array): Uint8Array {
  return concat(be16(bytes.length), bytes);
}
