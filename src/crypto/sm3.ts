// SM3 (GB/T 32905-2016, ISO/IEC 10118-3:2018) on noble's Merkle-Damgard frame: the kernel's "sm3" and
// TPM_ALG_SM3_256.

import { Chi, HashMD, Maj } from '@noble/hashes/_md.js';
import { type CHash, createHasher } from '@noble/hashes/utils.js';

const IV = [
  0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e,
] as const;

const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));

/** The round constants, already rotated by the round's number. */
const T = Int32Array.from({ length: 64 }, (_, j) => rotl(j < 16 ? 0x79cc4519 : 0x7a879d8a, j % 32));
const W = new Int32Array(68);

const p0 = (x: number): number => x ^ rotl(x, 9) ^ rotl(x, 17);
const p1 = (x: number): number => x ^ rotl(x, 15) ^ rotl(x, 23);
const w = (i: number): number => W[i] as number;

function expand(view: DataView, offset: number): void {
  for (let i = 0; i < 16; i++) W[i] = view.getInt32(offset + 4 * i, false);
  for (let i = 16; i < 68; i++) {
    W[i] = p1(w(i - 16) ^ w(i - 9) ^ rotl(w(i - 3), 15)) ^ rotl(w(i - 13), 7) ^ w(i - 6);
  }
}

class Sm3 extends HashMD<Sm3> {
  readonly #state = Int32Array.from(IV);

  constructor() {
    super(64, 32, 8, false);
  }

  protected get(): number[] {
    return [...this.#state];
  }

  protected set(...words: number[]): void {
    this.#state.set(words);
  }

  protected process(view: DataView, offset: number): void {
    expand(view, offset);
    const v = this.#state;
    let [a, b, c, d, e, f, g, h] = v as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    for (let j = 0; j < 64; j++) {
      const ss1 = rotl((rotl(a, 12) + e + (T[j] as number)) | 0, 7);
      const ss2 = ss1 ^ rotl(a, 12);
      const ff = j < 16 ? a ^ b ^ c : Maj(a, b, c);
      const gg = j < 16 ? e ^ f ^ g : Chi(e, f, g);
      const tt1 = (ff + d + ss2 + (w(j) ^ w(j + 4))) | 0;
      const tt2 = (gg + h + ss1 + w(j)) | 0;
      d = c;
      c = rotl(b, 9);
      b = a;
      a = tt1;
      h = g;
      g = rotl(f, 19);
      f = e;
      e = p0(tt2);
    }
    const out = [a, b, c, d, e, f, g, h];
    for (let i = 0; i < 8; i++) v[i] = (v[i] as number) ^ (out[i] as number);
  }

  protected roundClean(): void {
    W.fill(0);
  }

  destroy(): void {
    this.destroyed = true;
    this.#state.fill(0);
    this.buffer.fill(0);
  }

  _cloneInto(to: Sm3 = new Sm3()): Sm3 {
    to.set(...this.get());
    return this._cloneIntoMeta(to);
  }
}

/** SM3, 32 bytes. */
export const sm3: CHash<Sm3> = createHasher(() => new Sm3());
