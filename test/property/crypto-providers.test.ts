// Both providers give equal bytes for every operation of the interface: which one runs is never visible in a result.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { bigintToBytes } from '../../src/crypto/bigint.ts';
import { curveParameters } from '../../src/crypto/ec-curves.ts';
import { nobleProvider } from '../../src/crypto/noble.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import {
  blockSize,
  type CurveName,
  digestSize,
  type EcPoint,
  type HashName,
} from '../../src/crypto/provider.ts';

if (nodeProvider === undefined) throw new Error('these tests run on Node.js');
const node = nodeProvider;
const noble = nobleProvider;

const HASHES: readonly HashName[] = [
  'md4',
  'md5',
  'sha1',
  'rmd160',
  'sha256',
  'sha384',
  'sha512',
  'sha224',
  'wp512',
  'sm3',
  'sha3-256',
  'sha3-384',
  'sha3-512',
];
const CURVES: readonly CurveName[] = ['P-256', 'P-384', 'P-521'];

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength, size: 'max' }).map((b) => Uint8Array.from(b));
const wide = (bits: number) => fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n });

function expectSame(a: Uint8Array, b: Uint8Array): void {
  expect(toHex(a)).toBe(toHex(b));
  expect(a.constructor).toBe(b.constructor);
}

describe('hashes', () => {
  test.each(HASHES)('%s: one shot, in pieces and as HMAC', (alg) => {
    const input = fc.tuple(bytes(0, 400), bytes(0, 400), bytes(0, 300));
    fc.assert(
      fc.property(input, ([head, tail, key]) => {
        const whole = Uint8Array.from([...head, ...tail]);
        const digest = noble.hash(alg, whole);
        expect(digest.length).toBe(digestSize(alg));
        expectSame(node.hash(alg, whole), digest);
        expectSame(node.hasher(alg).update(head).update(tail).digest(), digest);
        expectSame(noble.hasher(alg).update(head).update(tail).digest(), digest);
        expectSame(node.hmac(alg, key, whole), noble.hmac(alg, key, whole));
      }),
      { numRuns: 40 },
    );
  });

  test.each(HASHES)('%s: lengths around the block and beyond the one-shot HMAC', (alg) => {
    const block = blockSize(alg);
    for (const length of [
      0,
      1,
      block - 33,
      block - 17,
      block - 9,
      block - 1,
      block,
      block + 1,
      2 * block,
      5000,
    ]) {
      const data = new Uint8Array(Math.max(0, length)).map((_, i) => i * 7);
      expectSame(node.hash(alg, data), noble.hash(alg, data));
      expectSame(node.hmac(alg, data, data), noble.hmac(alg, data, data));
    }
  });
});

describe('AES', () => {
  const key = fc.constantFrom(16, 24, 32).chain((n) => bytes(n, n));
  const iv = bytes(16, 16);
  const direction = fc.constantFrom('encrypt' as const, 'decrypt' as const);
  const blocks = fc.nat(6).chain((n) => bytes(16 * n, 16 * n));

  test('CFB, OFB and CTR for any length', () => {
    fc.assert(
      fc.property(key, iv, direction, bytes(0, 100), (k, v, d, data) => {
        expectSame(node.aesCfb(d, k, v, data), noble.aesCfb(d, k, v, data));
        expectSame(node.aesOfb(k, v, data), noble.aesOfb(k, v, data));
        expectSame(node.aesCtr(k, v, data), noble.aesCtr(k, v, data));
      }),
      { numRuns: 200 },
    );
  });

  test('the CTR counter runs over all 128 bits', () => {
    const k = new Uint8Array(16).fill(3);
    const v = new Uint8Array(16).fill(0xff);
    expectSame(node.aesCtr(k, v, new Uint8Array(48)), noble.aesCtr(k, v, new Uint8Array(48)));
  });

  test('CBC and ECB for whole blocks', () => {
    fc.assert(
      fc.property(key, iv, direction, blocks, (k, v, d, data) => {
        expectSame(node.aesCbc(d, k, v, data), noble.aesCbc(d, k, v, data));
        expectSame(node.aesEcb(d, k, data), noble.aesEcb(d, k, data));
      }),
      { numRuns: 200 },
    );
  });
});

describe('numbers', () => {
  test('modular power', () => {
    const modulus = fc
      .constantFrom(8, 64, 511, 512, 513, 1024, 2048)
      .chain((bits) => wide(bits).map((n) => n + 1n));
    const exponent = fc.oneof(fc.constantFrom(0n, 1n, 2n, 3n, 65537n), wide(70), wide(512), wide(1100));
    fc.assert(
      fc.property(wide(1100), exponent, modulus, (b, e, m) => {
        expect(node.modPow(b, e, m)).toBe(noble.modPow(b, e, m));
      }),
      { numRuns: 150 },
    );
  });

  test('modular power of a 4096-bit modulus and of the ends of the range', () => {
    const m = (1n << 4096n) - 12345n;
    for (const b of [0n, 1n, m - 1n, m, m + 1n, 3n ** 1000n]) {
      for (const e of [65537n, (1n << 300n) + 1n]) expect(node.modPow(b, e, m)).toBe(noble.modPow(b, e, m));
    }
  });

  test('primality of small and of random numbers', () => {
    const primes = Array.from({ length: 3000 }, (_, i) => i - 3).filter((n) =>
      noble.isProbablePrime(BigInt(n)),
    );
    expect(primes.length).toBe(429);
    for (let i = -3; i < 3000; i++)
      expect(node.isProbablePrime(BigInt(i))).toBe(noble.isProbablePrime(BigInt(i)));
    const candidate = fc
      .constantFrom(20, 24, 40, 64, 100, 200, 512)
      .chain((bits) => wide(bits).map((n) => n | 1n));
    fc.assert(
      fc.property(candidate, (n) => {
        expect(node.isProbablePrime(n)).toBe(noble.isProbablePrime(n));
      }),
      { numRuns: 400 },
    );
  });

  test('known primes and known liars', () => {
    const mersenne = [61n, 89n, 107n, 127n, 521n, 607n].map((e) => (1n << e) - 1n);
    // Carmichael numbers, strong pseudoprimes to the first 2 .. 13 prime bases (OEIS A014233).
    const liars = [
      561n,
      1_105n,
      3_215_031_751n,
      3_825_123_056_546_413_051n,
      318_665_857_834_031_151_167_461n,
      3_317_044_064_679_887_385_961_981n,
    ];
    for (const provider of [node, noble]) {
      for (const p of mersenne) expect(provider.isProbablePrime(p)).toBe(true);
      for (const n of liars) expect(provider.isProbablePrime(n)).toBe(false);
      expect(provider.isProbablePrime((1n << 521n) - 3n)).toBe(false);
    }
  });
});

describe.each(CURVES)('%s', (curve) => {
  const { n, size } = curveParameters(curve);
  const scalar = fc.oneof(
    { weight: 3, arbitrary: fc.bigInt({ min: 1n, max: n - 1n }) },
    { weight: 1, arbitrary: fc.constantFrom(1n, 2n, 3n, n - 1n, n - 2n) },
  );
  const key = scalar.map((k) => bigintToBytes(k, size));
  const runs = { numRuns: curve === 'P-256' ? 25 : 8 };
  const expectPoint = (a: EcPoint | undefined, b: EcPoint | undefined): void => {
    expect(a === undefined).toBe(b === undefined);
    if (a === undefined || b === undefined) return;
    expectSame(a.x, b.x);
    expectSame(a.y, b.y);
  };

  test('public keys and products', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        const publicKey = noble.ecPublicKey(curve, a);
        expectPoint(node.ecPublicKey(curve, a), publicKey);
        expectPoint(node.ecMultiply(curve, b, publicKey), noble.ecMultiply(curve, b, publicKey));
      }),
      runs,
    );
  });

  test('a point that is not on the curve has no product and verifies nothing', () => {
    const good = noble.ecPublicKey(curve, bigintToBytes(5n, size));
    const bad: EcPoint[] = [
      { x: good.x, y: bigintToBytes(1n, size) },
      { x: good.x.subarray(1), y: good.y },
      { x: new Uint8Array(size), y: new Uint8Array(size) },
      { x: new Uint8Array(size).fill(255), y: good.y },
    ];
    const one = bigintToBytes(1n, size);
    const signature = noble.ecdsaSign(curve, one, one);
    for (const provider of [node, noble]) {
      for (const point of bad) {
        expect(provider.ecMultiply(curve, one, point)).toBeUndefined();
        expect(provider.ecdsaVerify(curve, point, one, signature)).toBe(false);
      }
    }
  });

  test('signatures, and verdicts on good and damaged ones', () => {
    fc.assert(
      fc.property(key, bytes(1, 70), fc.nat(), (k, digest, at) => {
        const publicKey = noble.ecPublicKey(curve, k);
        const signature = noble.ecdsaSign(curve, k, digest);
        expectSame(node.ecdsaSign(curve, k, digest), signature);
        const flipped = signature.slice();
        flipped[at % flipped.length] = (flipped[at % flipped.length] as number) ^ (1 << (at % 8));
        for (const candidate of [signature, flipped, signature.subarray(1)]) {
          const verdict = noble.ecdsaVerify(curve, publicKey, digest, candidate);
          expect(verdict).toBe(candidate === signature);
          expect(node.ecdsaVerify(curve, publicKey, digest, candidate)).toBe(verdict);
        }
      }),
      runs,
    );
  });

  test('r and s outside 1..n-1 are refused, the high s is accepted', () => {
    const one = bigintToBytes(1n, size);
    const digest = new Uint8Array(32).fill(4);
    const publicKey = noble.ecPublicKey(curve, one);
    const signature = noble.ecdsaSign(curve, one, digest);
    const s = BigInt(`0x${toHex(signature.subarray(size))}`);
    const withS = (value: bigint): Uint8Array =>
      Uint8Array.from([...signature.subarray(0, size), ...bigintToBytes(value, size)]);
    for (const provider of [node, noble]) {
      expect(provider.ecdsaVerify(curve, publicKey, digest, withS(n - s))).toBe(true);
      for (const bad of [0n, n])
        expect(provider.ecdsaVerify(curve, publicKey, digest, withS(bad))).toBe(false);
      expect(provider.ecdsaVerify(curve, publicKey, digest, new Uint8Array(2 * size))).toBe(false);
    }
  });
});
