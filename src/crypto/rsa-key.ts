// RSA keys: from primes, and generated from a stream of bytes. The same stream gives the same key under
// every provider, because the search order depends on nothing else and both providers agree on what is
// prime.

import { assert } from '../base/assert.ts';
import { bytesToBigint, gcd, inverseMod, smallPrimes } from './bigint.ts';
import { crypto, type RsaPrivateKey } from './provider.ts';
import type { RandomBytes } from './rsa.ts';

/** The key with these primes; undefined where e has no inverse. d is the smallest (modulo lcm(p-1, q-1)). */
export function rsaFromPrimes(p: bigint, q: bigint, e: bigint): RsaPrivateKey | undefined {
  const lambda = ((p - 1n) / gcd(p - 1n, q - 1n)) * (q - 1n);
  const d = inverseMod(e % lambda, lambda);
  if (d === undefined || p === q) return undefined;
  return p > q ? { n: p * q, e, d, p, q } : { n: p * q, e, d, p: q, q: p };
}

/**
 * The key with this modulus and one of its primes, the form in which a TPM stores it; undefined where they
 * do not fit.
 */
export function rsaFromPrime(n: bigint, prime: bigint, e: bigint): RsaPrivateKey | undefined {
  if (prime < 2n || n % prime !== 0n) return undefined;
  return rsaFromPrimes(prime, n / prime, e);
}

/**
 * Odd numbers after the drawn one that are looked at before drawing again; about eleven mean gaps at 1024
 * bits.
 */
const WINDOW = 4096;

/** Marks the odd offsets `start + 2 i` that a prime below 65536 divides. */
function sieve(start: bigint): Uint8Array {
  const composite = new Uint8Array(WINDOW);
  for (const p of smallPrimes()) {
    const residue = Number(start % BigInt(p));
    // The least i with residue + 2 i = 0 mod p.
    const distance = residue === 0 ? 0 : p - residue;
    for (let i = (distance % 2 === 0 ? distance : distance + p) / 2; i < WINDOW; i += p) composite[i] = 1;
  }
  return composite;
}

/** A prime of exactly `bits` bits whose two top bits are set and for which e stays invertible. */
function generatePrime(bits: number, e: bigint, randomBytes: RandomBytes): bigint {
  const top = 3n << BigInt(bits - 2);
  for (;;) {
    const start = bytesToBigint(randomBytes(bits / 8)) | top | 1n;
    const composite = sieve(start);
    for (let i = 0; i < WINDOW; i++) {
      if (composite[i]) continue;
      const candidate = start + BigInt(2 * i);
      if (candidate >> BigInt(bits) !== 0n) break;
      if (gcd(candidate - 1n, e) === 1n && crypto().isProbablePrime(candidate)) return candidate;
    }
  }
}

/**
 * A key of exactly `bits` bits (a multiple of 16, at least 512) from a stream of bytes. Each prime is found
 * by drawing bits/16 bytes, setting the two top bits and the low bit, and walking upwards in steps of two.
 */
export function rsaGenerate(bits: number, exponent: bigint, randomBytes: RandomBytes): RsaPrivateKey {
  assert(bits >= 512 && bits % 16 === 0, 'RSA keys have at least 512 bits, a multiple of 16');
  assert(exponent > 2n && (exponent & 1n) === 1n, 'an RSA exponent is odd and above 2');
  const half = bits / 2;
  for (;;) {
    const p = generatePrime(half, exponent, randomBytes);
    const q = generatePrime(half, exponent, randomBytes);
    const distance = p > q ? p - q : q - p;
    // FIPS 186-4, B.3.3: primes that are too close betray the modulus.
    if (distance >> BigInt(half - 100) === 0n) continue;
    const key = rsaFromPrimes(p, q, exponent);
    if (key !== undefined) return key;
  }
}
