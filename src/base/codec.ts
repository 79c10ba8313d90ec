// Readers and writers for the two wire orders: the TPM speaks big-endian, the kernel's lists and xattr
// headers little-endian. A reader never throws on short input: it sets `failed` and returns zeros, so a
// decoder checks once at the end.

import { EMPTY } from './bytes.ts';

/** Cursor over bytes; `failed` becomes true when something was asked beyond the end. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly littleEndian: boolean;
  offset = 0;
  failed = false;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, order: 'le' | 'be') {
    this.bytes = bytes;
    this.littleEndian = order === 'le';
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  #take(n: number): number {
    if (this.failed || n < 0 || n > this.remaining) {
      this.failed = true;
      return -1;
    }
    const at = this.offset;
    this.offset += n;
    return at;
  }

  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#view.getUint8(at);
  }

  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at, this.littleEndian);
  }

  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at, this.littleEndian);
  }

  u64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#view.getBigUint64(at, this.littleEndian);
  }

  /** A view (not a copy) of the next n bytes. */
  take(n: number): Uint8Array {
    const at = this.#take(n);
    return at < 0 ? EMPTY : this.bytes.subarray(at, at + n);
  }

  rest(): Uint8Array {
    return this.take(this.remaining);
  }
}

/** Growing byte buffer. */
export class Writer {
  readonly littleEndian: boolean;
  #buffer = new Uint8Array(128);
  #view = new DataView(this.#buffer.buffer);
  length = 0;

  constructor(order: 'le' | 'be') {
    this.littleEndian = order === 'le';
  }

  #grow(n: number): number {
    const at = this.length;
    this.length += n;
    if (this.length > this.#buffer.length) {
      const next = new Uint8Array(Math.max(this.length, this.#buffer.length * 2));
      next.set(this.#buffer);
      this.#buffer = next;
      this.#view = new DataView(next.buffer);
    }
    return at;
  }

  u8(v: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, v);
    return this;
  }

  u16(v: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, v, this.littleEndian);
    return this;
  }

  u32(v: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, v, this.littleEndian);
    return this;
  }

  u64(v: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, v, this.littleEndian);
    return this;
  }

  bytes(v: Uint8Array): this {
    const at = this.#grow(v.length);
    this.#buffer.set(v, at);
    return this;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.length);
  }
}
