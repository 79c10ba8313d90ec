// Domain parameters of the NIST curves that are used everywhere (taken from noble, SP 800-186) and of those
// that only the TCG Algorithm Registry lists, and the test whether a point lies on one.

import { type ECDSA, ecdsa, weierstrass } from '@noble/curves/abstract/weierstrass.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { byteLength, bytesToBigint } from './bigint.ts';
import type { EcPoint, TpmCurveName } from './provider.ts';

export interface CurveParameters {
  /** Prime of the field. */
  readonly p: bigint;
  /** Prime order of the group; the cofactor is 1. */
  readonly n: bigint;
  readonly a: bigint;
  readonly b: bigint;
  readonly gx: bigint;
  readonly gy: bigint;
  /** Bits of n, which is also the size of the field. */
  readonly bits: number;
  /** Bytes of a coordinate and of a private key. */
  readonly size: number;
}

/** Bytes of a hexadecimal number that is written in groups. */
const hex = (...groups: readonly string[]): bigint => BigInt(`0x${groups.join('')}`);

function registered(p: bigint, a: bigint, b: bigint, gx: bigint, gy: bigint, n: bigint): ECDSA {
  return ecdsa(weierstrass({ p, n, h: 1n, a, b, Gx: gx, Gy: gy }), sha256);
}

const P192 = hex('fffffffffffffffffffffffffffffffeffffffffffffffff');
const P224 = hex('ffffffffffffffffffffffffffffffff000000000000000000000001');
const BN256 = hex('fffffffffffcf0cd46e5f25eee71a49f0cdc65fb12980a82d3292ddbaed33013');
const BN638 = hex(
  '23fffffdc000000d7fffffb8000001d3fffff942d000165e3fff94870000d52ffffdd0e00008de55c00086520021e55b',
  'fffff51ffff4eb800000004c80015acdffffffffffffece00000000000000067',
);
const BN638_ORDER = hex(
  '23fffffdc000000d7fffffb8000001d3fffff942d000165e3fff94870000d52ffffdd0e00008de55600086550021e555',
  'fffff54ffff4eac000000049800154d9ffffffffffffeda00000000000000061',
);
const SM2P = hex('fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff');

/** The curve objects of noble, made from the registry's numbers where noble has none of its own. */
export const NOBLE_CURVES: Readonly<Record<TpmCurveName, ECDSA>> = {
  'P-256': p256,
  'P-384': p384,
  'P-521': p521,
  'P-192': registered(
    P192,
    P192 - 3n,
    hex('64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1'),
    hex('188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012'),
    hex('07192b95ffc8da78631011ed6b24cdd573f977a11e794811'),
    hex('ffffffffffffffffffffffff99def836146bc9b1b4d22831'),
  ),
  'P-224': registered(
    P224,
    P224 - 3n,
    hex('b4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4'),
    hex('b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21'),
    hex('bd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34'),
    hex('ffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3d'),
  ),
  'BN-256': registered(
    BN256,
    0n,
    3n,
    1n,
    2n,
    hex('fffffffffffcf0cd46e5f25eee71a49e0cdc65fb1299921af62d536cd10b500d'),
  ),
  'BN-638': registered(BN638, 0n, 0x101n, BN638 - 1n, 0x10n, BN638_ORDER),
  SM2: registered(
    SM2P,
    SM2P - 3n,
    hex('28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93'),
    hex('32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7'),
    hex('bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0'),
    hex('fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123'),
  ),
};

function parameters(curve: TpmCurveName): CurveParameters {
  const { p, n, a, b, Gx, Gy } = NOBLE_CURVES[curve].Point.CURVE();
  const bits = n.toString(2).length;
  return { p, n, a, b, gx: Gx, gy: Gy, bits, size: byteLength(p) };
}

const PARAMETERS: Readonly<Record<TpmCurveName, CurveParameters>> = {
  'P-256': parameters('P-256'),
  'P-384': parameters('P-384'),
  'P-521': parameters('P-521'),
  'P-192': parameters('P-192'),
  'P-224': parameters('P-224'),
  'BN-256': parameters('BN-256'),
  'BN-638': parameters('BN-638'),
  SM2: parameters('SM2'),
};

export function curveParameters(curve: TpmCurveName): CurveParameters {
  return PARAMETERS[curve];
}

/**
 * Whether the coordinates have the field's length and fulfil the curve's equation; infinity has no such
 * form.
 */
export function isOnCurve(curve: TpmCurveName, point: EcPoint): boolean {
  const { p, a, b, size } = PARAMETERS[curve];
  if (point.x.length !== size || point.y.length !== size) return false;
  const [x, y] = [bytesToBigint(point.x), bytesToBigint(point.y)];
  if (x >= p || y >= p) return false;
  return (y * y - (x * x + a) * x - b) % p === 0n;
}
