// RSA on digests (RFC 8017): textbook, PKCS#1 v1.5 and PSS signatures, OAEP and PKCS#1 v1.5 encryption,
// private operation by CRT, key generation from a byte stream. Randomness always comes from the caller.
// Whatever is wrong with a signature or ciphertext is a value (false, undefined), never thrown.

import { assert } from '../base/assert.ts';
import { concat, equalBytes, fromHex, isZero } from '../base/bytes.ts';
import { bigintToBytes, bitLength, bytesToBigint, inverseMod } from './bigint.ts';
import { mgf1 } from './kdf.ts';
import { crypto, digestSize, type HashName, type RsaPrivateKey, type RsaPublicKey } from './provider.ts';

/** Source of random bytes; key generation and padding draw from it in a fixed order. */
export type RandomBytes = (length: number) => Uint8Array;

/** DER of DigestInfo up to the digest itself, for every hash that has an object identifier. */
const DIGEST_INFO: Readonly<Record<HashName, Uint8Array>> = {
  md4: fromHex('3020300c06082a864886f70d020405000410'),
  md5: fromHex('3020300c06082a864886f70d020505000410'),
  sha1: fromHex('3021300906052b0e03021a05000414'),
  rmd160: fromHex('3021300906052b2403020105000414'),
  sha224: fromHex('302d300d06096086480165030402040500041c'),
  sha256: fromHex('3031300d060960864801650304020105000420'),
  sha384: fromHex('3041300d060960864801650304020205000430'),
  sha512: fromHex('3051300d060960864801650304020305000440'),
  wp512: fromHex('304e300a060628cf0603003705000440'),
  sm3: fromHex('3030300c06082a811ccf5501831105000420'),
  'sha3-256': fromHex('3031300d060960864801650304020805000420'),
  'sha3-384': fromHex('3041300d060960864801650304020905000430'),
  'sha3-512': fromHex('3051300d060960864801650304020a05000440'),
};

/** DER of DigestInfo { alg, digest } without the digest's own bytes. */
export function digestInfoPrefix(alg: HashName): Uint8Array {
  return DIGEST_INFO[alg];
}

/** Length of the modulus in bytes, which is the length of every signature and ciphertext. */
export function rsaSize(key: RsaPublicKey): number {
  return (bitLength(key.n) + 7) >> 3;
}

interface Crt {
  readonly dp: bigint;
  readonly dq: bigint;
  readonly qInverse: bigint;
}

const crtOf = new WeakMap<RsaPrivateKey, Crt>();

/** The exponents and the coefficient of the Chinese remainder form, kept by the key's identity. */
export function rsaCrt(key: RsaPrivateKey): Crt {
  let crt = crtOf.get(key);
  if (crt === undefined) {
    const qInverse = inverseMod(key.q % key.p, key.p);
    assert(qInverse !== undefined && key.p * key.q === key.n, 'n is the product of two different primes');
    crt = { dp: key.d % (key.p - 1n), dq: key.d % (key.q - 1n), qInverse };
    crtOf.set(key, crt);
  }
  return crt;
}

/** m^e mod n; undefined for a value that is not below n. */
export function rsaPublicOperation(key: RsaPublicKey, input: Uint8Array): Uint8Array | undefined {
  const value = bytesToBigint(input);
  if (value >= key.n) return undefined;
  return bigintToBytes(crypto().modPow(value, key.e, key.n), rsaSize(key));
}

/** c^d mod n by CRT; undefined for a value that is not below n. */
export function rsaPrivateOperation(key: RsaPrivateKey, input: Uint8Array): Uint8Array | undefined {
  const value = bytesToBigint(input);
  if (value >= key.n) return undefined;
  const { dp, dq, qInverse } = rsaCrt(key);
  const m1 = crypto().modPow(value, dp, key.p);
  const m2 = crypto().modPow(value, dq, key.q);
  let difference = (m1 - m2) % key.p;
  if (difference < 0n) difference += key.p;
  return bigintToBytes(m2 + key.q * ((difference * qInverse) % key.p), rsaSize(key));
}

/**
 * EMSA-PKCS1-v1_5; alg null leaves DigestInfo out (the padded text is the digest alone). Undefined: key too
 * short.
 */
export function emsaPkcs1v15(
  alg: HashName | null,
  digest: Uint8Array,
  length: number,
): Uint8Array | undefined {
  const text = alg === null ? digest : concat(DIGEST_INFO[alg], digest);
  if (text.length + 11 > length) return undefined;
  const out = new Uint8Array(length).fill(0xff, 2, length - text.length - 1);
  out[1] = 1;
  out.set(text, length - text.length);
  return out;
}

/**
 * RSASSA-PKCS1-v1_5 over a digest; undefined where the digest does not belong to `alg` or the key is too
 * short.
 */
export function rsaSignPkcs1v15(
  key: RsaPrivateKey,
  alg: HashName | null,
  digest: Uint8Array,
): Uint8Array | undefined {
  if (alg !== null && digest.length !== digestSize(alg)) return undefined;
  const encoded = emsaPkcs1v15(alg, digest, rsaSize(key));
  return encoded && rsaPrivateOperation(key, encoded);
}

/**
 * Whether a PKCS#1 v1.5 signature is good: exactly the encoding that signing makes, of exactly the modulus'
 * length.
 */
export function rsaVerifyPkcs1v15(
  key: RsaPublicKey,
  alg: HashName | null,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== rsaSize(key)) return false;
  if (alg !== null && digest.length !== digestSize(alg)) return false;
  const expected = emsaPkcs1v15(alg, digest, signature.length);
  const found = rsaPublicOperation(key, signature);
  return expected !== undefined && found !== undefined && equalBytes(expected, found);
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((v, i) => v ^ (b[i] as number));
}

/** H of PSS: hash over eight zeros, the digest and the salt. */
function pssHash(alg: HashName, digest: Uint8Array, salt: Uint8Array): Uint8Array {
  return crypto().hash(alg, concat(new Uint8Array(8), digest, salt));
}

/** The longest salt that a key has room for; negative for a key that is too short for the hash. */
export function pssMaxSalt(key: RsaPublicKey, alg: HashName): number {
  return ((bitLength(key.n) - 1 + 7) >> 3) - digestSize(alg) - 2;
}

/**
 * RSASSA-PSS over a digest, MGF1 with the same hash; the caller draws the salt. Undefined: the key has no
 * room.
 */
export function rsaSignPss(
  key: RsaPrivateKey,
  alg: HashName,
  digest: Uint8Array,
  salt: Uint8Array,
): Uint8Array | undefined {
  const h = digestSize(alg);
  if (digest.length !== h || salt.length > pssMaxSalt(key, alg)) return undefined;
  const bits = bitLength(key.n) - 1;
  const length = (bits + 7) >> 3;
  const hash = pssHash(alg, digest, salt);
  const block = new Uint8Array(length - h - 1);
  block[block.length - salt.length - 1] = 1;
  block.set(salt, block.length - salt.length);
  const masked = xor(block, mgf1(alg, hash, block.length));
  masked[0] = (masked[0] as number) & (0xff >> (8 * length - bits));
  return rsaPrivateOperation(key, concat(masked, hash, Uint8Array.of(0xbc)));
}

/** Whether a PSS signature is good. `saltLength` null accepts any length, as a TPM does. */
export function rsaVerifyPss(
  key: RsaPublicKey,
  alg: HashName,
  digest: Uint8Array,
  signature: Uint8Array,
  saltLength: number | null = null,
): boolean {
  const h = digestSize(alg);
  if (signature.length !== rsaSize(key) || digest.length !== h || pssMaxSalt(key, alg) < 0) return false;
  const found = rsaPublicOperation(key, signature);
  if (found === undefined) return false;
  const bits = bitLength(key.n) - 1;
  const length = (bits + 7) >> 3;
  if (!isZero(found.subarray(0, found.length - length))) return false;
  const encoded = found.subarray(found.length - length);
  const unused = 0xff >> (8 * length - bits);
  const masked = encoded.subarray(0, length - h - 1);
  const hash = encoded.subarray(length - h - 1, length - 1);
  if (encoded[length - 1] !== 0xbc || ((masked[0] as number) & ~unused & 0xff) !== 0) return false;
  const block = xor(masked, mgf1(alg, hash, masked.length));
  block[0] = (block[0] as number) & unused;
  const one = block.findIndex((v) => v !== 0);
  if (one < 0 || block[one] !== 1) return false;
  const salt = block.subarray(one + 1);
  if (saltLength !== null && salt.length !== saltLength) return false;
  return equalBytes(hash, pssHash(alg, digest, salt));
}

/** RSAES-OAEP; the seed has the hash's length, the label is taken as it is (a TPM's ends in a zero byte). */
export function rsaEncryptOaep(
  key: RsaPublicKey,
  alg: HashName,
  label: Uint8Array,
  seed: Uint8Array,
  message: Uint8Array,
): Uint8Array | undefined {
  const h = digestSize(alg);
  const k = rsaSize(key);
  assert(seed.length === h, 'an OAEP seed is as long as the hash');
  if (message.length > k - 2 * h - 2) return undefined;
  const block = new Uint8Array(k - h - 1);
  block.set(crypto().hash(alg, label));
  block[block.length - message.length - 1] = 1;
  block.set(message, block.length - message.length);
  const maskedBlock = xor(block, mgf1(alg, seed, block.length));
  const maskedSeed = xor(seed, mgf1(alg, maskedBlock, h));
  return rsaPublicOperation(key, concat(Uint8Array.of(0), maskedSeed, maskedBlock));
}

/** The message, or undefined for whatever is no OAEP of this key, hash and label. */
export function rsaDecryptOaep(
  key: RsaPrivateKey,
  alg: HashName,
  label: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  const h = digestSize(alg);
  const k = rsaSize(key);
  if (ciphertext.length !== k || k < 2 * h + 2) return undefined;
  const encoded = rsaPrivateOperation(key, ciphertext);
  if (encoded === undefined || encoded[0] !== 0) return undefined;
  const maskedBlock = encoded.subarray(1 + h);
  const seed = xor(encoded.subarray(1, 1 + h), mgf1(alg, maskedBlock, h));
  const block = xor(maskedBlock, mgf1(alg, seed, maskedBlock.length));
  if (!equalBytes(block.subarray(0, h), crypto().hash(alg, label))) return undefined;
  const one = block.findIndex((v, i) => i >= h && v !== 0);
  return one < 0 || block[one] !== 1 ? undefined : block.slice(one + 1);
}

/** RSAES-PKCS1-v1_5; a drawn zero is replaced by the next byte of the source that is none. */
export function rsaEncryptPkcs1v15(
  key: RsaPublicKey,
  message: Uint8Array,
  draw: RandomBytes,
): Uint8Array | undefined {
  const k = rsaSize(key);
  if (message.length + 11 > k) return undefined;
  const padding = draw(k - message.length - 3).slice();
  for (let i = 0; i < padding.length; i++) {
    while (padding[i] === 0) padding.set(draw(1), i);
  }
  return rsaPublicOperation(key, concat(Uint8Array.of(0, 2), padding, Uint8Array.of(0), message));
}

/** The message, or undefined for whatever is no PKCS#1 v1.5 encryption under this key. */
export function rsaDecryptPkcs1v15(key: RsaPrivateKey, ciphertext: Uint8Array): Uint8Array | undefined {
  if (ciphertext.length !== rsaSize(key)) return undefined;
  const encoded = rsaPrivateOperation(key, ciphertext);
  if (encoded === undefined || encoded[0] !== 0 || encoded[1] !== 2) return undefined;
  const end = encoded.indexOf(0, 2);
  return end < 10 ? undefined : encoded.slice(end + 1);
}
