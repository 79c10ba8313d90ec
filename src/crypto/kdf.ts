// Key derivation: the TPM's KDFa and KDFe (TCG Part 1, 11.4.10) and MGF1 (RFC 8017, B.2.1). Lengths are in
// bits, as the TPM specification gives them; the surplus high bits of the first byte are cleared.

import { assert } from '../base/assert.ts';
import { concat, utf8 } from '../base/bytes.ts';
import { crypto, digestSize, type HashName } from './provider.ts';

const ZERO = Uint8Array.of(0);

function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/** A use label with exactly one terminating zero, as both functions take it. */
function terminated(label: string | Uint8Array): Uint8Array {
  const bytes = typeof label === 'string' ? utf8(label) : label;
  return bytes[bytes.length - 1] === 0 ? bytes : concat(bytes, ZERO);
}

/** The first `bits` bits of the blocks that `block(i)` gives for i = 1, 2, ... */
function stretch(bits: number, blockLength: number, block: (counter: number) => Uint8Array): Uint8Array {
  assert(Number.isInteger(bits) && bits >= 0, 'a derived key has a whole number of bits');
  const length = (bits + 7) >> 3;
  const out = new Uint8Array(length);
  for (let at = 0, counter = 1; at < length; at += blockLength, counter++) {
    out.set(block(counter).subarray(0, length - at), at);
  }
  if (bits % 8 !== 0) out[0] = (out[0] as number) & ((1 << (bits % 8)) - 1);
  return out;
}

/**
 * KDFa: SP 800-108 in counter mode with HMAC.
 * @tcg Part 1, 11.4.10.2 KDFa()
 */
export function kdfA(
  alg: HashName,
  key: Uint8Array,
  label: string | Uint8Array,
  contextU: Uint8Array,
  contextV: Uint8Array,
  bits: number,
): Uint8Array {
  const rest = concat(terminated(label), contextU, contextV, u32(bits));
  return stretch(bits, digestSize(alg), (counter) => crypto().hmac(alg, key, concat(u32(counter), rest)));
}

/**
 * KDFe: SP 800-56A concatenation over a shared x coordinate.
 * @tcg Part 1, 11.4.10.3 KDFe()
 */
export function kdfE(
  alg: HashName,
  z: Uint8Array,
  label: string | Uint8Array,
  partyUInfo: Uint8Array,
  partyVInfo: Uint8Array,
  bits: number,
): Uint8Array {
  const rest = concat(z, terminated(label), partyUInfo, partyVInfo);
  return stretch(bits, digestSize(alg), (counter) => crypto().hash(alg, concat(u32(counter), rest)));
}

/** Mask of `length` bytes from a seed. */
export function mgf1(alg: HashName, seed: Uint8Array, length: number): Uint8Array {
  return stretch(8 * length, digestSize(alg), (counter) =>
    crypto().hash(alg, concat(seed, u32(counter - 1))),
  );
}

/** HMAC over parts in order, without a copy in the caller. */
export function hmacParts(alg: HashName, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return crypto().hmac(alg, key, concat(...parts));
}

/** Hash over parts in order. */
export function hashParts(alg: HashName, ...parts: readonly Uint8Array[]): Uint8Array {
  return crypto().hash(alg, concat(...parts));
}
