// Whirlpool in its final version (ISO/IEC 10118-3:2004), the kernel's "wp512": a Miyaguchi-Preneel hash
// over an 8x8 byte cipher. Tables are computed from the three mini-boxes and the circulant matrix; a 64-bit
// row is a pair of 32-bit words.

import { HashMD } from '@noble/hashes/_md.js';
import { type CHash, createHasher } from '@noble/hashes/utils.js';

const MINI_E = [1, 11, 9, 12, 13, 6, 15, 3, 14, 8, 7, 4, 10, 2, 5, 0] as const;
const MINI_R = [7, 12, 11, 13, 14, 4, 9, 15, 6, 3, 8, 10, 2, 5, 1, 0] as const;
/** First row of the circulant diffusion matrix. */
const CIRCULANT = [1, 1, 4, 1, 8, 5, 2, 9] as const;
const ROUNDS = 10;

function buildSbox(): Uint8Array {
  const inverseE = MINI_E.map((_, x) => MINI_E.indexOf(x as (typeof MINI_E)[number]));
  return Uint8Array.from({ length: 256 }, (_, x) => {
    const high = MINI_E[x >> 4] as number;
    const low = inverseE[x & 15] as number;
    const r = MINI_R[high ^ low] as number;
    return ((MINI_E[high ^ r] as number) << 4) | (inverseE[low ^ r] as number);
  });
}

/** Product in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function gfMultiply(a: number, b: number): number {
  let product = 0;
  for (let x = a, y = b; y > 0; y >>= 1) {
    if (y & 1) product ^= x;
    x = x & 0x80 ? (x << 1) ^ 0x11d : x << 1;
  }
  return product;
}

const SBOX = buildSbox();
/** High and low words of the diffused row that byte x in column t gives, at index `256 * t + x`. */
const HIGH = new Int32Array(8 * 256);
const LOW = new Int32Array(8 * 256);
let filled = false;

/** Fills the tables for the first block: most programs never hash one. */
function fillTables(): void {
  if (filled) return;
  filled = true;
  for (let x = 0; x < 256; x++) {
    const row = CIRCULANT.map((c) => gfMultiply(SBOX[x] as number, c));
    for (let t = 0; t < 8; t++) {
      const at = (i: number): number => row[(i - t) & 7] as number;
      HIGH[256 * t + x] = (at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3);
      LOW[256 * t + x] = (at(4) << 24) | (at(5) << 16) | (at(6) << 8) | at(7);
    }
  }
}

const BLOCK = new Int32Array(16);
const KEY = new Int32Array(16);
const CIPHER = new Int32Array(16);
const NEXT = new Int32Array(16);

/**
 * One round without key addition: substitution, column shift and diffusion of `state`, the result in place.
 */
function diffuse(state: Int32Array): void {
  for (let i = 0; i < 8; i++) {
    let high = 0;
    let low = 0;
    for (let t = 0; t < 8; t++) {
      const word = state[2 * ((i - t) & 7) + (t >> 2)] as number;
      const k = 256 * t + ((word >>> (24 - 8 * (t & 3))) & 255);
      high ^= HIGH[k] as number;
      low ^= LOW[k] as number;
    }
    NEXT[2 * i] = high;
    NEXT[2 * i + 1] = low;
  }
  for (let i = 0; i < 16; i++) state[i] = NEXT[i] as number;
}

function addTo(state: Int32Array, other: Int32Array): void {
  for (let i = 0; i < 16; i++) state[i] = (state[i] as number) ^ (other[i] as number);
}

function sboxWord(at: number): number {
  const s = (i: number): number => SBOX[at + i] as number;
  return (s(0) << 24) | (s(1) << 16) | (s(2) << 8) | s(3);
}

class Whirlpool extends HashMD<Whirlpool> {
  readonly #state = new Int32Array(16);

  constructor() {
    super(64, 64, 32, false);
  }

  protected get(): number[] {
    return [...this.#state];
  }

  protected set(...words: number[]): void {
    this.#state.set(words);
  }

  protected process(view: DataView, offset: number): void {
    fillTables();
    for (let i = 0; i < 16; i++) BLOCK[i] = view.getInt32(offset + 4 * i, false);
    KEY.set(this.#state);
    CIPHER.set(BLOCK);
    addTo(CIPHER, KEY);
    for (let r = 0; r < ROUNDS; r++) {
      diffuse(KEY);
      KEY[0] = (KEY[0] as number) ^ sboxWord(8 * r);
      KEY[1] = (KEY[1] as number) ^ sboxWord(8 * r + 4);
      diffuse(CIPHER);
      addTo(CIPHER, KEY);
    }
    addTo(this.#state, CIPHER);
    addTo(this.#state, BLOCK);
  }

  protected roundClean(): void {
    for (const scratch of [BLOCK, KEY, CIPHER, NEXT]) scratch.fill(0);
  }

  destroy(): void {
    this.destroyed = true;
    this.#state.fill(0);
    this.buffer.fill(0);
  }

  _cloneInto(to: Whirlpool = new Whirlpool()): Whirlpool {
    to.set(...this.get());
    return this._cloneIntoMeta(to);
  }
}

/** Whirlpool, 64 bytes. */
export const wp512: CHash<Whirlpool> = createHasher(() => new Whirlpool());
