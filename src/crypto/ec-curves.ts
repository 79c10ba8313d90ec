// Domain parameters of the three NIST curves (taken from noble, SP 800-186) and the test whether a point
// lies on one.

import { p256, p384, p521 } from '@noble/curves/nist.js';
import { byteLength, bytesToBigint } from './bigint.ts';
import type { CurveName, EcPoint } from './provider.ts';

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

const NOBLE = { 'P-256': p256, 'P-384': p384, 'P-521': p521 } as const;

function parameters(curve: CurveName): CurveParameters {
  const { p, n, a, b, Gx, Gy } = NOBLE[curve].Point.CURVE();
  const bits = n.toString(2).length;
  return { p, n, a, b, gx: Gx, gy: Gy, bits, size: byteLength(p) };
}

const PARAMETERS: Readonly<Record<CurveName, CurveParameters>> = {
  'P-256': parameters('P-256'),
  'P-384': parameters('P-384'),
  'P-521': parameters('P-521'),
};

export function curveParameters(curve: CurveName): CurveParameters {
  return PARAMETERS[curve];
}

/**
 * Whether the coordinates have the field's length and fulfil the curve's equation; infinity has no such
 * form.
 */
export function isOnCurve(curve: CurveName, point: EcPoint): boolean {
  const { p, a, b, size } = PARAMETERS[curve];
  if (point.x.length !== size || point.y.length !== size) return false;
  const [x, y] = [bytesToBigint(point.x), bytesToBigint(point.y)];
  if (x >= p || y >= p) return false;
  return (y * y - (x * x + a) * x - b) % p === 0n;
}
