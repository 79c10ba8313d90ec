// The one door to cryptography. Two providers implement it with equal bytes: `noble` (plain JavaScript,
// everywhere) and `node` (node:crypto, chosen automatically where it exists). Which one runs is never
// visible in a result, so the choice is not part of a machine's state.

import { InternalError } from '../base/assert.ts';

/** Names as the kernel's hash_info writes them. */
export type HashName =
  | 'md4'
  | 'md5'
  | 'sha1'
  | 'rmd160'
  | 'sha256'
  | 'sha384'
  | 'sha512'
  | 'sha224'
  | 'wp512'
  | 'sm3'
  | 'sha3-256'
  | 'sha3-384'
  | 'sha3-512';

export type CurveName = 'P-256' | 'P-384' | 'P-521';

/** Curves that only TPMs use beside them: TCG Algorithm Registry, 6.4. */
export type TpmCurveName = CurveName | 'P-192' | 'P-224' | 'BN-256' | 'BN-638' | 'SM2';

/** Incremental digest; `digest()` ends it. */
export interface Hasher {
  update(data: Uint8Array): Hasher;
  digest(): Uint8Array;
}

export interface RsaPublicKey {
  readonly n: bigint;
  readonly e: bigint;
}

export interface RsaPrivateKey extends RsaPublicKey {
  readonly d: bigint;
  readonly p: bigint;
  readonly q: bigint;
}

/** Affine point, big-endian coordinates of the curve's field size. */
export interface EcPoint {
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

export interface CryptoProvider {
  readonly name: 'noble' | 'node';
  hash(alg: HashName, data: Uint8Array): Uint8Array;
  /** The same digest written into an array: for those who hash a hundred thousand times in a row. */
  hashInto(alg: HashName, data: Uint8Array, out: Uint8Array, at: number): void;
  hasher(alg: HashName): Hasher;
  hmac(alg: HashName, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** AES-128/192/256 in CFB128 mode; key length chooses; any data length. */
  aesCfb(direction: 'encrypt' | 'decrypt', key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  aesCbc(direction: 'encrypt' | 'decrypt', key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  aesCtr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  aesEcb(direction: 'encrypt' | 'decrypt', key: Uint8Array, data: Uint8Array): Uint8Array;
  aesOfb(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** base^exponent mod modulus, for moduli up to 4096 bits. */
  modPow(base: bigint, exponent: bigint, modulus: bigint): bigint;
  /** Whether a candidate is prime (Miller-Rabin with fixed bases after trial division; deterministic). */
  isProbablePrime(candidate: bigint): boolean;
  /** Deterministic ECDSA (RFC 6979) over a digest; s is not normalised. Raw r || s. */
  ecdsaSign(curve: TpmCurveName, privateKey: Uint8Array, digest: Uint8Array): Uint8Array;
  /** Verifies raw r || s over a digest; malformed input gives false. */
  ecdsaVerify(curve: TpmCurveName, publicKey: EcPoint, digest: Uint8Array, signature: Uint8Array): boolean;
  /** privateKey * G. */
  ecPublicKey(curve: TpmCurveName, privateKey: Uint8Array): EcPoint;
  /** privateKey * point; undefined when the point is not on the curve. */
  ecMultiply(curve: TpmCurveName, privateKey: Uint8Array, point: EcPoint): EcPoint | undefined;
}

const BLOCK_OR_DIGEST: Readonly<Record<HashName, readonly [digest: number, block: number]>> = {
  md4: [16, 64],
  md5: [16, 64],
  sha1: [20, 64],
  rmd160: [20, 64],
  sha256: [32, 64],
  sha384: [48, 128],
  sha512: [64, 128],
  sha224: [28, 64],
  wp512: [64, 64],
  sm3: [32, 64],
  'sha3-256': [32, 136],
  'sha3-384': [48, 104],
  'sha3-512': [64, 72],
};

/** Whether a text names a hash that can be computed. */
export function isHashName(text: string): text is HashName {
  return Object.hasOwn(BLOCK_OR_DIGEST, text);
}

/** Digest length in bytes. */
export function digestSize(alg: HashName): number {
  return BLOCK_OR_DIGEST[alg][0];
}

/** Block length in bytes, as HMAC uses it. */
export function blockSize(alg: HashName): number {
  return BLOCK_OR_DIGEST[alg][1];
}

let current: CryptoProvider | undefined;

/** Makes a provider the one that `crypto()` returns. */
export function useProvider(provider: CryptoProvider): void {
  current = provider;
}

/** The provider in use. */
export function crypto(): CryptoProvider {
  if (current === undefined) throw new InternalError('no crypto provider: import crypto/auto.ts first');
  return current;
}
