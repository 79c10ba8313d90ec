// Elliptic-curve helpers above the provider: keys from random bytes, point forms, addition, ECDH, and the
// two forms of an ECDSA signature (raw r || s of the TPM side, DER of X.509 and IMA).

import { assert } from '../base/assert.ts';
import { concat } from '../base/bytes.ts';
import { berDecode, integer, sequence } from './ber.ts';
import { bigintToBytes, bytesToBigint, inverseMod, powMod } from './bigint.ts';
import { der, derInteger } from './der.ts';
import { curveParameters, isOnCurve } from './ec-curves.ts';
import { crypto, type EcPoint, type TpmCurveName } from './provider.ts';

export { curveParameters, isOnCurve } from './ec-curves.ts';

/** Bytes of a coordinate and of a private key. */
export function ecSize(curve: TpmCurveName): number {
  return curveParameters(curve).size;
}

/** Random bytes that `ecPrivateFromBytes` wants: 64 bits more than the order (FIPS 186-4, B.4.1). */
export function ecSeedSize(curve: TpmCurveName): number {
  return (curveParameters(curve).bits + 64 + 7) >> 3;
}

/** A private key from random bytes: (c mod (n - 1)) + 1. */
export function ecPrivateFromBytes(curve: TpmCurveName, bytes: Uint8Array): Uint8Array {
  const { n, size } = curveParameters(curve);
  return bigintToBytes((bytesToBigint(bytes) % (n - 1n)) + 1n, size);
}

/** Whether the bytes are a number in 1..n-1. */
export function isEcPrivateKey(curve: TpmCurveName, key: Uint8Array): boolean {
  const value = bytesToBigint(key);
  return value > 0n && value < curveParameters(curve).n;
}

/** Uncompressed SEC 1 form: 04 || x || y. */
export function ecPointToBytes(point: EcPoint): Uint8Array {
  return concat(Uint8Array.of(4), point.x, point.y);
}

/** The point of a SEC 1 form, compressed or not; undefined for anything that is no point of the curve. */
export function ecPointFromBytes(curve: TpmCurveName, bytes: Uint8Array): EcPoint | undefined {
  const { p, a, b, size } = curveParameters(curve);
  const form = bytes[0];
  const x = bytes.slice(1, 1 + size);
  if (form === 4) {
    const point = { x, y: bytes.slice(1 + size) };
    return isOnCurve(curve, point) ? point : undefined;
  }
  if ((form !== 2 && form !== 3) || bytes.length !== 1 + size) return undefined;
  const xn = bytesToBigint(x);
  if (xn >= p) return undefined;
  // All three primes are 3 mod 4.
  const root = powMod(((xn * xn + a) * xn + b) % p, (p + 1n) / 4n, p);
  const y = root & 1n ? (form === 3 ? root : p - root) : form === 3 ? p - root : root;
  const point = { x, y: bigintToBytes(y === p ? 0n : y, size) };
  return isOnCurve(curve, point) ? point : undefined;
}

/** The generator. */
export function ecGenerator(curve: TpmCurveName): EcPoint {
  const { gx, gy, size } = curveParameters(curve);
  return { x: bigintToBytes(gx, size), y: bigintToBytes(gy, size) };
}

/** a + b; undefined is the point at infinity, as result and as argument. */
export function ecAdd(
  curve: TpmCurveName,
  a: EcPoint | undefined,
  b: EcPoint | undefined,
): EcPoint | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  const c = curveParameters(curve);
  const [ax, ay, bx, by] = [a.x, a.y, b.x, b.y].map(bytesToBigint) as [bigint, bigint, bigint, bigint];
  if (ax === bx && (ay + by) % c.p === 0n) return undefined;
  const [rise, run] = ax === bx ? [3n * ax * ax + c.a, 2n * ay] : [by - ay, bx - ax];
  const inverse = inverseMod(((run % c.p) + c.p) % c.p, c.p);
  assert(inverse !== undefined, 'the slope of two points that are no opposites exists');
  const slope = (rise * inverse) % c.p;
  const x = (((slope * slope - ax - bx) % c.p) + c.p) % c.p;
  const y = (((slope * (ax - x) - ay) % c.p) + c.p) % c.p;
  return { x: bigintToBytes(x, c.size), y: bigintToBytes(y, c.size) };
}

/** The shared x coordinate; undefined when the peer's point is not on the curve. */
export function ecdh(curve: TpmCurveName, privateKey: Uint8Array, peer: EcPoint): Uint8Array | undefined {
  return crypto().ecMultiply(curve, privateKey, peer)?.x;
}

/** ECDSA-Sig-Value (RFC 3279) of a raw r || s. */
export function ecdsaToDer(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  return der(
    0x30,
    derInteger(bytesToBigint(raw.subarray(0, half))),
    derInteger(bytesToBigint(raw.subarray(half))),
  );
}

interface Pair {
  readonly numbers: Uint8Array[];
}

const note = (c: Pair, value: Uint8Array): 0 => {
  c.numbers.push(value);
  return 0;
};
const SIGNATURE = sequence<Pair>([integer(note), integer(note)]);

/**
 * Raw r || s of an ECDSA-Sig-Value; undefined for anything that is none or has a number wider than the
 * curve.
 */
export function ecdsaFromDer(curve: TpmCurveName, signature: Uint8Array): Uint8Array | undefined {
  const { size } = curveParameters(curve);
  const found: Pair = { numbers: [] };
  if (berDecode(SIGNATURE, found, signature) !== 0) return undefined;
  const [r, s] = found.numbers.map(bytesToBigint) as [bigint, bigint];
  const limit = 1n << BigInt(8 * size);
  if (r >= limit || s >= limit) return undefined;
  return concat(bigintToBytes(r, size), bigintToBytes(s, size));
}
