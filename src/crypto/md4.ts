// MD4 (RFC 1320) on noble's Merkle-Damgard frame. The kernel keeps it in hash_info, so IMA and RSA
// signatures can name it; nothing here is meant for security.

import { Chi, HashMD, Maj } from '@noble/hashes/_md.js';
import { type CHash, createHasher } from '@noble/hashes/utils.js';

const WORDS = new Uint32Array(16);
const ROUND2 = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15] as const;
const ROUND3 = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15] as const;
const SHIFTS = [
  [3, 7, 11, 19],
  [3, 5, 9, 13],
  [3, 9, 11, 15],
] as const;

const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));

class Md4 extends HashMD<Md4> {
  #a = 0x67452301;
  #b = 0xefcdab89 | 0;
  #c = 0x98badcfe | 0;
  #d = 0x10325476;

  constructor() {
    super(64, 16, 8, true);
  }

  protected get(): number[] {
    return [this.#a, this.#b, this.#c, this.#d];
  }

  protected set(a = 0, b = 0, c = 0, d = 0): void {
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }

  protected process(view: DataView, offset: number): void {
    for (let i = 0; i < 16; i++) WORDS[i] = view.getUint32(offset + 4 * i, true);
    let [a, b, c, d] = [this.#a, this.#b, this.#c, this.#d];
    for (let i = 0; i < 48; i++) {
      const j = i & 15;
      let sum: number;
      if (i < 16) sum = a + Chi(b, c, d) + (WORDS[j] as number);
      else if (i < 32) sum = a + Maj(b, c, d) + (WORDS[ROUND2[j] as number] as number) + 0x5a827999;
      else sum = a + (b ^ c ^ d) + (WORDS[ROUND3[j] as number] as number) + 0x6ed9eba1;
      const shift = (SHIFTS[i >> 4] as readonly number[])[i & 3] as number;
      [a, b, c, d] = [d, rotl(sum | 0, shift), b, c];
    }
    this.set((this.#a + a) | 0, (this.#b + b) | 0, (this.#c + c) | 0, (this.#d + d) | 0);
  }

  protected roundClean(): void {
    WORDS.fill(0);
  }

  destroy(): void {
    this.destroyed = true;
    this.set();
    this.buffer.fill(0);
  }

  _cloneInto(to: Md4 = new Md4()): Md4 {
    to.set(...this.get());
    return this._cloneIntoMeta(to);
  }
}

/** MD4, 16 bytes. */
export const md4: CHash<Md4> = createHasher(() => new Md4());
