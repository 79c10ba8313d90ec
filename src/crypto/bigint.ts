// Whole numbers for public-key work: bytes to bigint and back, modular power and inverse in plain JavaScript,
// primality. No attempt at constant time: keys of a simulated machine are not secrets.

import { sha256 } from '@noble/hashes/sha2.js';
import { assert } from '../base/assert.ts';
import { concat, toHex } from '../base/bytes.ts';

/** Big-endian bytes as a number; no bytes are 0. */
export function bytesToBigint(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`);
}

/** Exactly `length` big-endian bytes; a number that needs more is our bug. */
export function bigintToBytes(value: bigint, length: number): Uint8Array {
  const out = new Uint8Array(length);
  const hex = value.toString(16);
  assert(value >= 0n && hex.length <= 2 * length + (value === 0n ? 1 : 0), 'number does not fit its bytes');
  for (let i = length - 1, end = hex.length; end > 0 && i >= 0; i--, end -= 2) {
    out[i] = Number.parseInt(hex.slice(Math.max(0, end - 2), end), 16);
  }
  return out;
}

/** Number of bits, 0 for 0. */
export function bitLength(value: bigint): number {
  if (value === 0n) return 0;
  const hex = value.toString(16);
  return 4 * hex.length - Math.clz32(Number.parseInt(hex[0] as string, 16)) + 28;
}

/** Number of bytes, 0 for 0. */
export function byteLength(value: bigint): number {
  return (bitLength(value) + 7) >> 3;
}

/** base^exponent mod modulus with a sliding window of four bits. */
export function powMod(base: bigint, exponent: bigint, modulus: bigint): bigint {
  assert(
    modulus > 0n && exponent >= 0n && base >= 0n,
    'powMod takes a positive modulus and no negative numbers',
  );
  if (modulus === 1n) return 0n;
  const b = base % modulus;
  if (exponent < 0x1_0000_0000n) return powModSmall(b, Number(exponent), modulus);
  const table: bigint[] = [1n, b];
  for (let i = 2; i < 16; i++) table.push(((table[i - 1] as bigint) * b) % modulus);
  let result = 1n;
  for (const digit of exponent.toString(16)) {
    result = (result * result) % modulus;
    result = (result * result) % modulus;
    result = (result * result) % modulus;
    result = (result * result) % modulus;
    const d = Number.parseInt(digit, 16);
    if (d !== 0) result = (result * (table[d] as bigint)) % modulus;
  }
  return result;
}

function powModSmall(base: bigint, exponent: number, modulus: bigint): bigint {
  let result = 1n;
  for (let bit = 31 - Math.clz32(exponent); bit >= 0; bit--) {
    result = (result * result) % modulus;
    if ((exponent >>> bit) & 1) result = (result * base) % modulus;
  }
  return result;
}

export function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

/** Inverse of `value` mod `modulus`, or undefined where there is none. */
export function inverseMod(value: bigint, modulus: bigint): bigint | undefined {
  let [r0, r1] = [modulus, value % modulus];
  let [t0, t1] = [0n, 1n];
  while (r1 !== 0n) {
    const q = r0 / r1;
    [r0, r1] = [r1, r0 - q * r1];
    [t0, t1] = [t1, t0 - q * t1];
  }
  if (r0 !== 1n) return undefined;
  return t0 < 0n ? t0 + modulus : t0;
}

function sievePrimes(limit: number): readonly number[] {
  const composite = new Uint8Array(limit);
  const primes: number[] = [];
  for (let i = 3; i < limit; i += 2) {
    if (composite[i]) continue;
    primes.push(i);
    for (let j = i * i; j < limit; j += 2 * i) composite[j] = 1;
  }
  return primes;
}

let sieved: readonly number[] | undefined;

/** The odd primes below 65536; only key generation wants so many. */
export function smallPrimes(): readonly number[] {
  sieved ??= sievePrimes(65536);
  return sieved;
}

/** Trial division needs only a few hundred primes; their squares reach up to four million. */
const TRIAL_PRIMES = sievePrimes(2000).map(BigInt);
/** Miller-Rabin with these bases decides every number below 3.3 * 10^24 (Sorenson and Webster, 2015). */
const EXACT_BASES = [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n];
const EXACT_LIMIT = 3_317_044_064_679_887_385_961_981n;
const HASHED_BASES = 19;

/** Verdict of trial division: true or false where it decides, else undefined. */
export function trialDivision(candidate: bigint): boolean | undefined {
  if (candidate < 2n) return false;
  if (candidate === 2n) return true;
  if ((candidate & 1n) === 0n) return false;
  for (const prime of TRIAL_PRIMES) {
    if (candidate === prime) return true;
    if (candidate % prime === 0n) return false;
  }
  return candidate < 1999n * 1999n ? true : undefined;
}

function isStrongProbablePrime(
  n: bigint,
  base: bigint,
  modPow: (b: bigint, e: bigint, m: bigint) => bigint,
): boolean {
  let d = n - 1n;
  let s = 0;
  while ((d & 1n) === 0n) {
    d >>= 1n;
    s++;
  }
  let x = modPow(base, d, n);
  if (x === 1n || x === n - 1n) return true;
  for (let i = 1; i < s; i++) {
    x = (x * x) % n;
    if (x === n - 1n) return true;
  }
  return false;
}

/**
 * Miller-Rabin: the exact bases below their limit; above it base 2 and bases hashed from the candidate
 * itself, so that no composite can be prepared against a known list and yet the verdict is always the same.
 */
export function millerRabin(n: bigint, modPow: (b: bigint, e: bigint, m: bigint) => bigint): boolean {
  if (n < EXACT_LIMIT) return EXACT_BASES.every((b) => b % n === 0n || isStrongProbablePrime(n, b, modPow));
  if (!isStrongProbablePrime(n, 2n, modPow)) return false;
  const seed = sha256(bigintToBytes(n, byteLength(n)));
  for (let i = 0; i < HASHED_BASES; i++) {
    const base = bytesToBigint(sha256(concat(seed, Uint8Array.of(i)))) % (n - 3n);
    if (!isStrongProbablePrime(n, base + 2n, modPow)) return false;
  }
  return true;
}
