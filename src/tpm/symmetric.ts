// Block cipher work on whole buffers with the IV that the next call continues with, and CMAC (SP 800-38B).

import { concat } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import * as c from './constants.ts';

export const AES_BLOCK = 16;

interface Crypted {
  readonly data: Uint8Array;
  readonly ivOut: Uint8Array;
}

const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((octet, i) => octet ^ (b[i] as number));

/** The counter block after `blocks` more. */
function advanced(iv: Uint8Array, blocks: number): Uint8Array {
  const out = iv.slice();
  let carry = blocks;
  for (let i = out.length - 1; i >= 0 && carry > 0; i--) {
    const sum = (out[i] as number) + (carry & 0xff);
    out[i] = sum & 0xff;
    carry = (carry >>> 8) + (sum >>> 8);
  }
  return out;
}

/**
 * Encrypts or decrypts; CBC and ECB take whole blocks only (checked before).
 * @tcg Part 3, 15.2 TPM2_EncryptDecrypt
 */
export function cryptBlocks(
  direction: 'encrypt' | 'decrypt',
  mode: number,
  key: Uint8Array,
  iv: Uint8Array,
  input: Uint8Array,
): Crypted {
  const provider = crypto();
  const last = Math.max(0, Math.ceil(input.length / AES_BLOCK) - 1) * AES_BLOCK;
  switch (mode) {
    case c.TPM_ALG_CFB: {
      const data = provider.aesCfb(direction, key, iv, input);
      const cipher = direction === 'encrypt' ? data : input;
      const tail = cipher.subarray(last);
      return { data, ivOut: input.length === 0 ? iv : concat(tail, new Uint8Array(AES_BLOCK - tail.length)) };
    }
    case c.TPM_ALG_CBC: {
      const data = provider.aesCbc(direction, key, iv, input);
      const cipher = direction === 'encrypt' ? data : input;
      return { data, ivOut: input.length === 0 ? iv : cipher.slice(last) };
    }
    case c.TPM_ALG_CTR:
      return {
        data: provider.aesCtr(key, iv, input),
        ivOut: advanced(iv, Math.ceil(input.length / AES_BLOCK)),
      };
    case c.TPM_ALG_OFB: {
      const whole = new Uint8Array(last + (input.length === 0 ? 0 : AES_BLOCK));
      const stream = provider.aesOfb(key, iv, whole);
      const data = xor(input, stream);
      return { data, ivOut: input.length === 0 ? iv : stream.slice(last) };
    }
    default:
      return { data: provider.aesEcb(direction, key, input), ivOut: iv };
  }
}

/** Doubling in GF(2^128). */
function doubled(block: Uint8Array): Uint8Array {
  const out = new Uint8Array(AES_BLOCK);
  let carry = 0;
  for (let i = AES_BLOCK - 1; i >= 0; i--) {
    const octet = block[i] as number;
    out[i] = ((octet << 1) | carry) & 0xff;
    carry = octet >>> 7;
  }
  if (carry === 1) out[AES_BLOCK - 1] = (out[AES_BLOCK - 1] as number) ^ 0x87;
  return out;
}

/** AES-CMAC. */
export function cmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  const provider = crypto();
  const k1 = doubled(provider.aesEcb('encrypt', key, new Uint8Array(AES_BLOCK)));
  const blocks = Math.max(1, Math.ceil(data.length / AES_BLOCK));
  const lastAt = (blocks - 1) * AES_BLOCK;
  const tail = data.subarray(lastAt);
  let last: Uint8Array;
  if (tail.length === AES_BLOCK) last = xor(tail, k1);
  else {
    const padded = concat(tail, new Uint8Array([0x80]), new Uint8Array(AES_BLOCK - tail.length - 1));
    last = xor(padded, doubled(k1));
  }
  let state: Uint8Array = new Uint8Array(AES_BLOCK);
  for (let at = 0; at < lastAt; at += AES_BLOCK) {
    state = provider.aesEcb('encrypt', key, xor(state, data.subarray(at, at + AES_BLOCK)));
  }
  return provider.aesEcb('encrypt', key, xor(state, last));
}
