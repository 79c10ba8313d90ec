// Seeded random bytes (xoshiro128**): state is four 32-bit words, a plain value, so a fork continues
// identically. Not a cryptographic generator and not meant to be one: every bit follows from the scenario's
// seed.

import { utf8 } from './bytes.ts';

export type RandomState = readonly [number, number, number, number];

/** Four words from a text seed (FNV-1a over the text, one lane per word, then splitmix32). */
export function seedRandom(seed: string): RandomState {
  const lane = (salt: number): number => {
    let h = (0x811c9dc5 ^ salt) >>> 0;
    for (const b of utf8(seed)) h = Math.imul(h ^ b, 0x01000193) >>> 0;
    h = (h + 0x9e3779b9) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x21f0aaad) >>> 0;
    h = Math.imul(h ^ (h >>> 15), 0x735a2d97) >>> 0;
    return (h ^ (h >>> 15)) >>> 0;
  };
  return [lane(1) | 1, lane(2), lane(3), lane(4)];
}

export class Random {
  state: RandomState;

  constructor(state: RandomState) {
    this.state = state;
  }

  /** The next 32 bits, unsigned. */
  u32(): number {
    const [a, b, c, d] = this.state;
    const rotated = Math.imul(b, 5);
    const result = Math.imul((rotated << 7) | (rotated >>> 25), 9) >>> 0;
    const c1 = c ^ a;
    const d1 = d ^ b;
    this.state = [(a ^ d1) >>> 0, (b ^ c1) >>> 0, (c1 ^ (b << 9)) >>> 0, ((d1 << 11) | (d1 >>> 21)) >>> 0];
    return result;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const v = this.u32();
      for (let j = 0; j < 4 && i + j < length; j++) out[i + j] = (v >>> (8 * j)) & 255;
    }
    return out;
  }
}
