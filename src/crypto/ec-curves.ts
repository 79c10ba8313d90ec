// Domain parameters of the NIST curves that are used everywhere (SP 800-186) and of those that only the TCG
// Algorithm Registry lists, and the test whether a point lies on one. noble's object of a curve is made when
// the curve is first used: making all of them takes longer than most commands.

import { type ECDSA, ecdsa, weierstrass } from '@noble/curves/abstract/weierstrass.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
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

function parameters(p: bigint, a: bigint, b: bigint, gx: bigint, gy: bigint, n: bigint): CurveParameters {
  return { p, n, a, b, gx, gy, bits: n.toString(2).length, size: byteLength(p) };
}

const P256 = hex('ffffffff00000001000000000000000000000000ffffffffffffffffffffffff');
const P384 = hex(
  'fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff',
);
const P521 = 2n ** 521n - 1n;
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

const PARAMETERS: Readonly<Record<TpmCurveName, CurveParameters>> = {
  'P-256': parameters(
    P256,
    P256 - 3n,
    hex('5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b'),
    hex('6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'),
    hex('4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5'),
    hex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'),
  ),
  'P-384': parameters(
    P384,
    P384 - 3n,
    hex('b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef'),
    hex('aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7'),
    hex('3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f'),
    hex('ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973'),
  ),
  'P-521': parameters(
    P521,
    P521 - 3n,
    hex(
      '51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf',
      '073573df883d2c34f1ef451fd46b503f00',
    ),
    hex(
      'c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8',
      'de3348b3c1856a429bf97e7e31c2e5bd66',
    ),
    hex(
      '11839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0',
      '761353c7086a272c24088be94769fd16650',
    ),
    hex(
      '1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a',
      '5d03bb5c9b8899c47aebb6fb71e91386409',
    ),
  ),
  'P-192': parameters(
    P192,
    P192 - 3n,
    hex('64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1'),
    hex('188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012'),
    hex('07192b95ffc8da78631011ed6b24cdd573f977a11e794811'),
    hex('ffffffffffffffffffffffff99def836146bc9b1b4d22831'),
  ),
  'P-224': parameters(
    P224,
    P224 - 3n,
    hex('b4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4'),
    hex('b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21'),
    hex('bd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34'),
    hex('ffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3d'),
  ),
  'BN-256': parameters(
    BN256,
    0n,
    3n,
    1n,
    2n,
    hex('fffffffffffcf0cd46e5f25eee71a49e0cdc65fb1299921af62d536cd10b500d'),
  ),
  'BN-638': parameters(BN638, 0n, 0x101n, BN638 - 1n, 0x10n, BN638_ORDER),
  SM2: parameters(
    SM2P,
    SM2P - 3n,
    hex('28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93'),
    hex('32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7'),
    hex('bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0'),
    hex('fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123'),
  ),
};

/** Hashes of the deterministic nonces: those of noble's own curves, else sha256. */
const NONCE_HASHES = { 'P-384': sha384, 'P-521': sha512 } as const;

const made = new Map<TpmCurveName, ECDSA>();

/** noble's object of a curve. */
export function nobleCurve(curve: TpmCurveName): ECDSA {
  let found = made.get(curve);
  if (found === undefined) {
    const { p, n, a, b, gx, gy } = PARAMETERS[curve];
    const hash = curve === 'P-384' || curve === 'P-521' ? NONCE_HASHES[curve] : sha256;
    found = ecdsa(weierstrass({ p, n, h: 1n, a, b, Gx: gx, Gy: gy }), hash);
    made.set(curve, found);
  }
  return found;
}

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
