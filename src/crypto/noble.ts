// The provider in plain JavaScript: noble's hashes, ciphers and curves, and our own MD4, SM3 and Whirlpool.
// It runs everywhere and defines what the other provider has to answer.

import { cbc, cfb, ctr, ecb } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { md5, ripemd160, sha1 } from '@noble/hashes/legacy.js';
import { sha224, sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { sha3_256, sha3_384, sha3_512 } from '@noble/hashes/sha3.js';
import type { CHash } from '@noble/hashes/utils.js';
import { assert } from '../base/assert.ts';
import { concat } from '../base/bytes.ts';
import { bigintToBytes, bytesToBigint, millerRabin, powMod, trialDivision } from './bigint.ts';
import { nobleCurve } from './ec-curves.ts';
import { md4 } from './md4.ts';
import type { CryptoProvider, EcPoint, Hasher, HashName, TpmCurveName } from './provider.ts';
import { sm3 } from './sm3.ts';
import { wp512 } from './wp512.ts';

const HASHES: Readonly<Record<HashName, CHash>> = {
  md4,
  md5,
  sha1,
  rmd160: ripemd160,
  sha256,
  sha384,
  sha512,
  sha224,
  wp512,
  sm3,
  'sha3-256': sha3_256,
  'sha3-384': sha3_384,
  'sha3-512': sha3_512,
};

const AES_BLOCK = 16;

/** TPM and kernel signatures are not normalised, and both work on digests. */
const ECDSA_OPTIONS = { prehash: false, lowS: false } as const;

function uncompressed(point: EcPoint): Uint8Array {
  return concat(Uint8Array.of(4), point.x, point.y);
}

function affine(bytes: Uint8Array): EcPoint {
  const size = (bytes.length - 1) / 2;
  return { x: bytes.slice(1, 1 + size), y: bytes.slice(1 + size) };
}

/** Output feedback from the block cipher: key stream block i is E(key stream block i-1). */
function aesOfb(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length);
  let stream = iv;
  for (let at = 0; at < data.length; at += AES_BLOCK) {
    stream = ecb(key, { disablePadding: true }).encrypt(stream);
    const end = Math.min(at + AES_BLOCK, data.length);
    for (let i = at; i < end; i++) out[i] = (data[i] as number) ^ (stream[i - at] as number);
  }
  return out;
}

function isPrivateKey(curve: TpmCurveName, key: Uint8Array): boolean {
  const scalar = bytesToBigint(key);
  return scalar > 0n && scalar < nobleCurve(curve).Point.Fn.ORDER;
}

/** The private key in the curve's own length. */
function privateBytes(curve: TpmCurveName, key: Uint8Array): Uint8Array {
  assert(isPrivateKey(curve, key), `a ${curve} private key lies in 1..n-1`);
  return bigintToBytes(bytesToBigint(key), nobleCurve(curve).lengths.secretKey ?? key.length);
}

export const nobleProvider: CryptoProvider = {
  name: 'noble',
  hash: (alg, data) => HASHES[alg](data),
  hashInto: (alg, data, out, at) => out.set(HASHES[alg](data), at),
  hasher: (alg): Hasher => HASHES[alg].create(),
  hmac: (alg, key, data) => hmac(HASHES[alg], key, data),
  aesCfb: (direction, key, iv, data) => {
    const cipher = cfb(key, iv);
    return direction === 'encrypt' ? cipher.encrypt(data) : cipher.decrypt(data);
  },
  aesCbc: (direction, key, iv, data) => {
    const cipher = cbc(key, iv, { disablePadding: true });
    return direction === 'encrypt' ? cipher.encrypt(data) : cipher.decrypt(data);
  },
  aesCtr: (key, iv, data) => ctr(key, iv).encrypt(data),
  aesEcb: (direction, key, data) => {
    const cipher = ecb(key, { disablePadding: true });
    return direction === 'encrypt' ? cipher.encrypt(data) : cipher.decrypt(data);
  },
  aesOfb,
  modPow: powMod,
  isProbablePrime: (candidate) => trialDivision(candidate) ?? millerRabin(candidate, powMod),
  ecdsaSign: (curve, privateKey, digest) =>
    nobleCurve(curve).sign(digest, privateBytes(curve, privateKey), ECDSA_OPTIONS),
  ecdsaVerify: (curve, publicKey, digest, signature) => {
    try {
      return nobleCurve(curve).verify(signature, digest, uncompressed(publicKey), ECDSA_OPTIONS);
    } catch {
      return false;
    }
  },
  ecPublicKey: (curve, privateKey) =>
    affine(nobleCurve(curve).getPublicKey(privateBytes(curve, privateKey), false)),
  ecMultiply: (curve, privateKey, point) => {
    const key = privateBytes(curve, privateKey);
    const peer = uncompressed(point);
    if (!nobleCurve(curve).utils.isValidPublicKey(peer, false)) return undefined;
    return affine(nobleCurve(curve).getSharedSecret(key, peer, false));
  },
};
