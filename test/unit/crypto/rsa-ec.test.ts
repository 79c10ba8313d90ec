// RSA and EC above the provider: edges that published answers do not touch, key generation, key files.

import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import '../../../src/crypto/auto.ts';
import { EMPTY, filled, fromHex, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { Random, seedRandom } from '../../../src/base/random.ts';
import { bigintToBytes, bitLength, bytesToBigint, inverseMod } from '../../../src/crypto/bigint.ts';
import {
  curveParameters,
  ecAdd,
  ecdh,
  ecdsaFromDer,
  ecdsaToDer,
  ecGenerator,
  ecPointFromBytes,
  ecPointToBytes,
  ecPrivateFromBytes,
  ecSeedSize,
  isEcPrivateKey,
  isOnCurve,
} from '../../../src/crypto/ec.ts';
import {
  type AnyKey,
  ecPrivateKey,
  exportPem,
  exportPkcs1Private,
  exportPkcs8,
  exportSec1,
  exportSpki,
  importKey,
  keyOfPublicKey,
  publicKeyOf,
  publicOf,
} from '../../../src/crypto/keys.ts';
import { nobleProvider } from '../../../src/crypto/noble.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { type CurveName, crypto, type EcPoint, useProvider } from '../../../src/crypto/provider.ts';
import { publicKeyVerifySignature } from '../../../src/crypto/public-key.ts';
import {
  emsaPkcs1v15,
  pssMaxSalt,
  rsaDecryptOaep,
  rsaDecryptPkcs1v15,
  rsaEncryptOaep,
  rsaEncryptPkcs1v15,
  rsaPrivateOperation,
  rsaPublicOperation,
  rsaSignPkcs1v15,
  rsaSignPss,
  rsaSize,
  rsaVerifyPkcs1v15,
  rsaVerifyPss,
} from '../../../src/crypto/rsa.ts';
import { rsaFromPrime, rsaFromPrimes, rsaGenerate } from '../../../src/crypto/rsa-key.ts';

const auto = crypto();
afterEach(() => useProvider(auto));

const CURVES: readonly CurveName[] = ['P-256', 'P-384', 'P-521'];
const stream = (seed: string) => {
  const random = new Random(seedRandom(seed));
  return (n: number): Uint8Array => random.bytes(n);
};
const key = rsaGenerate(1024, 65537n, stream('unit'));
const digest = nobleProvider.hash('sha256', utf8('x'));

describe('RSA key generation', () => {
  test.each([512, 768, 1024, 1040, 2048])(
    '%d bits: exact size, a real key, the same under both providers',
    (bits) => {
      const keys = [nobleProvider, nodeProvider ?? nobleProvider].map((provider) => {
        useProvider(provider);
        return rsaGenerate(bits, 65537n, stream(`bits ${bits}`));
      });
      expect(keys[0]).toEqual(keys[1]);
      const [k = key] = keys;
      expect(bitLength(k.n)).toBe(bits);
      expect(k.p > k.q && k.p * k.q === k.n).toBe(true);
      expect([k.p, k.q].every((p) => bitLength(p) === bits / 2 && nobleProvider.isProbablePrime(p))).toBe(
        true,
      );
      expect((k.d * k.e) % (k.p - 1n)).toBe(1n);
      expect((k.d * k.e) % (k.q - 1n)).toBe(1n);
    },
  );

  test('another exponent, another stream', () => {
    const three = rsaGenerate(512, 3n, stream('unit'));
    expect(three.e).toBe(3n);
    expect((three.p - 1n) % 3n).not.toBe(0n);
    expect(rsaGenerate(512, 3n, stream('other')).n).not.toBe(three.n);
  });

  test('keys from primes', () => {
    expect(rsaFromPrimes(key.q, key.p, key.e)).toEqual(key);
    expect(rsaFromPrime(key.n, key.p, key.e)).toEqual(key);
    expect(rsaFromPrime(key.n, key.p + 2n, key.e)).toBeUndefined();
    expect(rsaFromPrimes(7n, 11n, 3n)).toBeUndefined();
    expect(() => rsaGenerate(1000, 65537n, stream(''))).toThrow('multiple of 16');
  });
});

describe('RSA operations', () => {
  test('raw: private undoes public, values from n on have no result', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: key.n - 1n }), (value) => {
        const sealed = rsaPublicOperation(key, bigintToBytes(value, 128)) ?? EMPTY;
        expect(bytesToBigint(rsaPrivateOperation(key, sealed) ?? EMPTY)).toBe(value);
      }),
      { numRuns: 20, examples: [[0n], [1n], [key.n - 1n], [key.p], [key.q]] },
    );
    expect(rsaPublicOperation(key, bigintToBytes(key.n, 128))).toBeUndefined();
    expect(rsaPrivateOperation(key, filled(128, 255))).toBeUndefined();
  });

  test('PKCS#1 v1.5 without DigestInfo, and digests of a wrong length', () => {
    const bare = rsaSignPkcs1v15(key, null, utf8('anything')) ?? EMPTY;
    expect(rsaVerifyPkcs1v15(key, null, utf8('anything'), bare)).toBe(true);
    expect(rsaVerifyPkcs1v15(key, 'sha256', digest, bare)).toBe(false);
    expect(rsaSignPkcs1v15(key, 'sha256', digest.subarray(1))).toBeUndefined();
    expect(rsaVerifyPkcs1v15(key, 'sha256', EMPTY, bare)).toBe(false);
    expect(rsaSignPkcs1v15(key, null, new Uint8Array(118))).toBeUndefined();
    expect(emsaPkcs1v15('sha512', new Uint8Array(64), 93)).toBeUndefined();
    expect(emsaPkcs1v15('sha512', new Uint8Array(64), 94)?.length).toBe(94);
  });

  test('PSS with no salt, the longest salt and a modulus of 8 k + 1 bits', () => {
    const odd = rsaFromPrimes(
      rsaGenerate(1040, 3n, stream('a')).p,
      rsaGenerate(1024, 3n, stream('b')).p,
      65537n,
    );
    for (const k of [key, odd ?? key]) {
      for (const length of [0, 20, pssMaxSalt(k, 'sha256')]) {
        const signature = rsaSignPss(k, 'sha256', digest, filled(length, 9)) ?? EMPTY;
        expect(signature.length).toBe(rsaSize(k));
        expect(rsaVerifyPss(k, 'sha256', digest, signature)).toBe(true);
        expect(rsaVerifyPss(k, 'sha256', digest, signature, length)).toBe(true);
        expect(rsaVerifyPss(k, 'sha256', digest, signature, length + 1)).toBe(false);
        expect(rsaVerifyPss(k, 'sha1', digest, signature)).toBe(false);
      }
      expect(rsaSignPss(k, 'sha256', digest, new Uint8Array(pssMaxSalt(k, 'sha256') + 1))).toBeUndefined();
    }
    const short = rsaGenerate(512, 65537n, stream('short'));
    expect(rsaSignPss(short, 'sha512', new Uint8Array(64), EMPTY)).toBeUndefined();
    expect(rsaVerifyPss(short, 'sha512', new Uint8Array(64), new Uint8Array(64))).toBe(false);
  });

  test('verifiers take any bytes without throwing', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 140, size: 'max' }),
        fc.uint8Array({ maxLength: 40 }),
        (s, d) => {
          expect(rsaVerifyPkcs1v15(key, 'sha256', d, s)).toBe(false);
          expect(rsaVerifyPss(key, 'sha256', d, s)).toBe(false);
          expect(rsaDecryptOaep(key, 'sha1', EMPTY, s)).toBeUndefined();
          expect(crypto().ecdsaVerify('P-256', ecGenerator('P-256'), d, s)).toBe(false);
          expect(
            typeof publicKeyVerifySignature(publicKeyOf({ kind: 'rsa', ...key }), {
              pkeyAlgo: 'rsa',
              hashAlgo: 'sha256',
              encoding: 'pkcs1',
              s,
              digest: d,
            }),
          ).toBe('string');
        },
      ),
      { numRuns: 60 },
    );
  });

  test('OAEP and PKCS#1 v1.5 encryption: lengths, and zeros in the padding source', () => {
    const seed = filled(32, 5);
    const longest = filled(128 - 66, 1);
    const sealed = rsaEncryptOaep(key, 'sha256', utf8('L'), seed, longest) ?? EMPTY;
    expect(rsaDecryptOaep(key, 'sha256', utf8('L'), sealed)).toEqual(longest);
    expect(rsaDecryptOaep(key, 'sha256', EMPTY, sealed)).toBeUndefined();
    expect(rsaDecryptOaep(key, 'sha256', utf8('L'), sealed.subarray(1))).toBeUndefined();
    expect(rsaEncryptOaep(key, 'sha256', EMPTY, seed, filled(63, 1))).toBeUndefined();
    const empty = rsaEncryptOaep(key, 'sha256', EMPTY, seed, EMPTY) ?? EMPTY;
    expect(rsaDecryptOaep(key, 'sha256', EMPTY, empty)).toEqual(EMPTY);
    let drawn = 0;
    const zeros = (n: number): Uint8Array => new Uint8Array(n).map(() => drawn++ % 3);
    const box = rsaEncryptPkcs1v15(key, utf8('m'), zeros) ?? EMPTY;
    expect(rsaDecryptPkcs1v15(key, box)).toEqual(utf8('m'));
    expect(rsaEncryptPkcs1v15(key, new Uint8Array(118), zeros)).toBeUndefined();
    expect(rsaDecryptPkcs1v15(key, filled(128, 1))).toBeUndefined();
    const signed = rsaSignPkcs1v15(key, null, utf8('m')) ?? EMPTY;
    expect(
      rsaDecryptPkcs1v15(key, rsaPublicOperation(key, rsaPrivateOperation(key, signed) ?? EMPTY) ?? EMPTY),
    ).toBeUndefined();
  });
});

describe('numbers', () => {
  test('bytes and back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 1n << 200n }), (v) => {
        expect(bytesToBigint(bigintToBytes(v, 26))).toBe(v);
        expect(bitLength(v)).toBe(v === 0n ? 0 : v.toString(2).length);
      }),
    );
    expect(toHex(bigintToBytes(0x123n, 4))).toBe('00000123');
    expect(bigintToBytes(0n, 0)).toEqual(EMPTY);
    expect(() => bigintToBytes(256n, 1)).toThrow('does not fit');
    expect(() => bigintToBytes(4096n, 1)).toThrow('does not fit');
  });

  test('inverses', () => {
    expect(inverseMod(3n, 11n)).toBe(4n);
    expect(inverseMod(6n, 9n)).toBeUndefined();
    expect(inverseMod(0n, 7n)).toBeUndefined();
  });
});

describe.each(CURVES)('%s points', (curve) => {
  const { n, p, size } = curveParameters(curve);
  const g = ecGenerator(curve);
  const times = (k: bigint): EcPoint => crypto().ecPublicKey(curve, bigintToBytes(k, size));

  test('addition agrees with multiplication', () => {
    expect(ecAdd(curve, g, g)).toEqual(times(2n));
    expect(ecAdd(curve, times(2n), g)).toEqual(times(3n));
    expect(ecAdd(curve, times(12345n), times(54321n))).toEqual(times(66666n));
    expect(ecAdd(curve, g, times(n - 1n))).toBeUndefined();
    expect(ecAdd(curve, undefined, g)).toEqual(g);
    expect(ecAdd(curve, g, undefined)).toEqual(g);
  });

  test('both SEC 1 forms', () => {
    for (const k of [1n, 2n, 77n, n - 5n]) {
      const point = times(k);
      expect(ecPointFromBytes(curve, ecPointToBytes(point))).toEqual(point);
      const parity = 2 + ((point.y[size - 1] as number) & 1);
      expect(ecPointFromBytes(curve, Uint8Array.of(parity, ...point.x))).toEqual(point);
      const other = ecPointFromBytes(curve, Uint8Array.of(5 - parity, ...point.x));
      expect(bytesToBigint(other?.y ?? EMPTY)).toBe(p - bytesToBigint(point.y));
      expect(isOnCurve(curve, point)).toBe(true);
    }
    expect(ecPointFromBytes(curve, EMPTY)).toBeUndefined();
    expect(ecPointFromBytes(curve, Uint8Array.of(0))).toBeUndefined();
    expect(ecPointFromBytes(curve, Uint8Array.of(4, ...g.x, ...g.x))).toBeUndefined();
    expect(ecPointFromBytes(curve, Uint8Array.of(2, ...filled(size, 255)))).toBeUndefined();
    const squares = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((x) =>
      ecPointFromBytes(curve, Uint8Array.of(2, ...bigintToBytes(BigInt(x), size))),
    );
    expect(squares.some((s) => s === undefined) && squares.some((s) => s !== undefined)).toBe(true);
  });

  test('private keys from bytes lie in 1..n-1', () => {
    expect(ecSeedSize(curve)).toBe(Math.ceil((n.toString(2).length + 64) / 8));
    for (const bytes of [
      EMPTY,
      bigintToBytes(n - 1n, size),
      bigintToBytes(n - 2n, size),
      filled(ecSeedSize(curve), 255),
    ]) {
      const d = ecPrivateFromBytes(curve, bytes);
      expect(isEcPrivateKey(curve, d)).toBe(true);
      expect(bytesToBigint(d)).toBe((bytesToBigint(bytes) % (n - 1n)) + 1n);
    }
    expect(isEcPrivateKey(curve, bigintToBytes(n, size))).toBe(false);
    expect(isEcPrivateKey(curve, new Uint8Array(size))).toBe(false);
  });

  test('two parties share a secret', () => {
    const [a, b] = [bigintToBytes(1234567n, size), bigintToBytes(n - 7654321n, size)];
    const shared = ecdh(curve, a, crypto().ecPublicKey(curve, b));
    expect(shared).toEqual(ecdh(curve, b, crypto().ecPublicKey(curve, a)));
    expect(ecdh(curve, a, { x: g.x, y: g.x })).toBeUndefined();
  });

  test('DER signatures', () => {
    const raw = Uint8Array.from([...bigintToBytes(128n, size), ...bigintToBytes(1n, size)]);
    expect(toHex(ecdsaToDer(raw))).toBe('300702020080020101');
    expect(ecdsaFromDer(curve, ecdsaToDer(raw))).toEqual(raw);
    expect(ecdsaFromDer(curve, fromHex('3003020101'))).toBeUndefined();
    const wide = Uint8Array.of(0x30, size + 6, 2, size + 1, ...filled(size + 1, 1), 2, 1, 1);
    expect(ecdsaFromDer(curve, wide)).toBeUndefined();
  });
});

describe('key files', () => {
  const keys: [string, AnyKey][] = [
    ['RSA', { kind: 'rsa', ...key }],
    ...CURVES.map((c): [string, AnyKey] => [c, ecPrivateKey(c, Uint8Array.of(1, 2, 3))]),
  ];

  test.each(keys)('%s survives every form', (_, k) => {
    if (!('d' in k)) throw new Error('not private');
    const inner = k.kind === 'rsa' ? exportPkcs1Private(k) : exportSec1(k);
    for (const file of [exportPkcs8(k), inner, latin1(exportPem(k))]) {
      expect(importKey(file)).toEqual({ ok: true, key: k });
    }
    const half = publicOf(k);
    for (const file of [exportSpki(k), latin1(exportPem(half))]) {
      expect(importKey(file)).toEqual({ ok: true, key: half });
    }
    expect(keyOfPublicKey(publicKeyOf(k))).toEqual(half);
  });

  test('what is no key says so', () => {
    const problem = (file: Uint8Array): string => {
      const result = importKey(file);
      return result.ok ? 'a key' : result.problem;
    };
    expect(problem(EMPTY)).toBe('no well-formed PEM block');
    expect(problem(utf8('-----BEGIN X-----\nAAAA\n-----END X-----\n'))).toBe('no usable key in X');
    expect(problem(Uint8Array.of(0x30, 0))).toBe('neither PEM nor the DER of a known kind of key');
    const wrong = exportPkcs1Private({ ...key, d: key.d + 2n });
    expect(problem(wrong)).toBe('neither PEM nor the DER of a known kind of key');
  });
});
