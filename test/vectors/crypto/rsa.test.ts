// Published RSA answers: PKCS#1 v1.5, PSS and OAEP of RSA Laboratories, refused encodings of NIST and Wycheproof.

import { beforeAll, describe, expect, test } from 'vitest';
import { EMPTY, fromHex, toHex } from '../../../src/base/bytes.ts';
import { nobleProvider } from '../../../src/crypto/noble.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { crypto, type HashName, type RsaPrivateKey, useProvider } from '../../../src/crypto/provider.ts';
import {
  rsaDecryptOaep,
  rsaEncryptOaep,
  rsaSignPkcs1v15,
  rsaSignPss,
  rsaSize,
  rsaVerifyPkcs1v15,
  rsaVerifyPss,
} from '../../../src/crypto/rsa.ts';
import { rsaFromPrime, rsaFromPrimes } from '../../../src/crypto/rsa-key.ts';
import vectors from './rsa.json' with { type: 'json' };

const big = (hex: string): bigint => BigInt(`0x${hex}`);

interface KeyText {
  readonly n: string;
  readonly e: string;
  readonly d: string;
  readonly p: string;
  readonly q: string;
}

function privateKey(text: KeyText): RsaPrivateKey {
  const key = rsaFromPrimes(big(text.p), big(text.q), big(text.e));
  if (key === undefined) throw new Error('the vector has no key');
  expect(key.n).toBe(big(text.n));
  expect((key.d * key.e) % (key.p - 1n)).toBe(1n);
  expect((BigInt(`0x${text.d}`) - key.d) % ((key.p - 1n) / 2n)).toBe(0n);
  expect(rsaFromPrime(key.n, key.q, key.e)).toEqual(key);
  return key;
}

const digestOf = (alg: string, message: string): Uint8Array =>
  crypto().hash(alg as HashName, fromHex(message));

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const out = bytes.slice();
  out[at] = (out[at] as number) ^ 1;
  return out;
}

describe.each([nobleProvider, nodeProvider ?? nobleProvider])('RSA answers ($name)', (provider) => {
  beforeAll(() => useProvider(provider));

  test.each(vectors.pkcs1v15)('PKCS#1 v1.5, key $#', ({ key: text, hash, cases }) => {
    const key = privateKey(text);
    for (const c of cases) {
      const digest = digestOf(hash, c.message);
      const signature = rsaSignPkcs1v15(key, hash as HashName, digest) ?? EMPTY;
      expect(toHex(signature)).toBe(c.signature);
      expect(rsaVerifyPkcs1v15(key, hash as HashName, digest, signature)).toBe(true);
      expect(rsaVerifyPkcs1v15(key, 'sha256', digest, signature)).toBe(false);
      expect(rsaVerifyPkcs1v15(key, hash as HashName, flip(digest, 3), signature)).toBe(false);
      expect(rsaVerifyPkcs1v15(key, hash as HashName, digest, flip(signature, 9))).toBe(false);
      expect(rsaVerifyPkcs1v15(key, hash as HashName, digest, signature.subarray(1))).toBe(false);
      expect(rsaVerifyPkcs1v15(key, hash as HashName, digest, new Uint8Array(rsaSize(key)).fill(255))).toBe(
        false,
      );
    }
  });

  test('PKCS#1 v1.5 with wrong encodings is refused', () => {
    let seen = 0;
    for (const { key, cases } of vectors.pkcs1v15Refused) {
      for (const c of cases) {
        const publicKey = { n: big(key.n), e: big(c.e) };
        const digest = digestOf(c.hash, c.message);
        expect(rsaVerifyPkcs1v15(publicKey, c.hash as HashName, digest, fromHex(c.signature)), c.result).toBe(
          false,
        );
        seen++;
      }
    }
    expect(seen).toBe(20);
  });

  test('PKCS#1 v1.5 of Wycheproof', () => {
    const { key, hash, cases } = vectors.pkcs1v15Wycheproof;
    const publicKey = { n: big(key.n), e: big(key.e) };
    for (const c of cases) {
      const verdict = rsaVerifyPkcs1v15(
        publicKey,
        hash as HashName,
        digestOf(hash, c.message),
        fromHex(c.signature),
      );
      expect(verdict, c.result).toBe(c.result === 'valid');
    }
  });

  test.each(vectors.pss)('PSS, key $#', ({ key: text, hash, cases }) => {
    const key = privateKey(text);
    const alg = hash as HashName;
    for (const c of cases) {
      const digest = digestOf(hash, c.message);
      const signature = rsaSignPss(key, alg, digest, fromHex(c.salt)) ?? EMPTY;
      expect(toHex(signature)).toBe(c.signature);
      expect(rsaVerifyPss(key, alg, digest, signature)).toBe(true);
      expect(rsaVerifyPss(key, alg, digest, signature, 20)).toBe(true);
      expect(rsaVerifyPss(key, alg, digest, signature, 19)).toBe(false);
      expect(rsaVerifyPss(key, alg, flip(digest, 0), signature)).toBe(false);
      expect(rsaVerifyPss(key, alg, digest, flip(signature, 40))).toBe(false);
      expect(rsaVerifyPss(key, alg, digest, EMPTY)).toBe(false);
    }
  });

  test.each(vectors.oaep)('OAEP, key $# with $hash', ({ key: text, hash, cases }) => {
    const key = privateKey(text);
    const alg = hash as HashName;
    for (const c of cases) {
      const ciphertext = fromHex(c.ciphertext);
      expect(toHex(rsaDecryptOaep(key, alg, EMPTY, ciphertext) ?? EMPTY)).toBe(c.message);
      expect(rsaDecryptOaep(key, alg, Uint8Array.of(0), ciphertext)).toBeUndefined();
      expect(rsaDecryptOaep(key, alg, EMPTY, flip(ciphertext, 50))).toBeUndefined();
      if ('seed' in c) {
        const again = rsaEncryptOaep(key, alg, EMPTY, fromHex(c.seed), fromHex(c.message)) ?? EMPTY;
        expect(toHex(again)).toBe(c.ciphertext);
      }
    }
  });
});
