// Elliptic curves through OpenSSL. node:crypto verifies messages, not digests, and its ECDH gives only the
// x coordinate, so two identities of the group lead to what a TPM needs: a shifted public key and the
// recovery of y.

import { assert, InternalError } from '../base/assert.ts';
import { concat, EMPTY, filled } from '../base/bytes.ts';
import { bigintToBytes, bytesToBigint, inverseMod } from './bigint.ts';
import { type CurveParameters, curveParameters, isOnCurve } from './ec-curves.ts';
import { nobleProvider } from './noble.ts';
import { base64url } from './node-rsa.ts';
import {
  type CryptoProvider,
  type CurveName,
  digestSize,
  type EcPoint,
  type HashName,
  type TpmCurveName,
} from './provider.ts';

interface Ecdh {
  setPrivateKey(key: Uint8Array): void;
  getPublicKey(): Uint8Array;
  computeSecret(peer: Uint8Array): Uint8Array;
}

/** The part of node:crypto that is used here. */
export interface OpenSslEcdh {
  createECDH(curve: string): Ecdh;
}

export interface OpenSslEc<Key> extends OpenSslEcdh {
  createPublicKey(input: {
    readonly key: { kty: string; crv: string; x: string; y: string };
    readonly format: 'jwk';
  }): Key;
  verify(
    algorithm: string,
    data: Uint8Array,
    key: { readonly key: Key; readonly dsaEncoding: 'ieee-p1363' },
    signature: Uint8Array,
  ): boolean;
}

const OPENSSL_CURVES: Readonly<Record<CurveName, string>> = {
  'P-256': 'prime256v1',
  'P-384': 'secp384r1',
  'P-521': 'secp521r1',
};

/** The other curves are noble's: OpenSSL has none of them everywhere. */
const isOpenSsl = (curve: TpmCurveName): curve is CurveName => curve in OPENSSL_CURVES;

interface Affine {
  readonly x: bigint;
  readonly y: bigint;
}

const mod = (value: bigint, p: bigint): bigint => {
  const r = value % p;
  return r < 0n ? r + p : r;
};

/** The sum of two points, where the slope of the chord exists; undefined for the same x. */
function addDistinct(c: CurveParameters, a: Affine, b: Affine): Affine | undefined {
  const inverse = inverseMod(mod(b.x - a.x, c.p), c.p);
  if (inverse === undefined) return undefined;
  const slope = mod((b.y - a.y) * inverse, c.p);
  const x = mod(slope * slope - a.x - b.x, c.p);
  return { x, y: mod(slope * (a.x - x) - a.y, c.p) };
}

/** privateKey * G. */
export function nodeEcPublicKey(node: OpenSslEcdh): CryptoProvider['ecPublicKey'] {
  return (curve, privateKey) => {
    if (!isOpenSsl(curve)) return nobleProvider.ecPublicKey(curve, privateKey);
    const c = curveParameters(curve);
    const scalar = bytesToBigint(privateKey);
    assert(scalar > 0n && scalar < c.n, `a ${curve} private key lies in 1..n-1`);
    return generatorTimes(node, curve, scalar);
  };
}

function generatorTimes(node: OpenSslEcdh, curve: CurveName, scalar: bigint): EcPoint {
  const { size } = curveParameters(curve);
  const ecdh = node.createECDH(OPENSSL_CURVES[curve]);
  ecdh.setPrivateKey(bigintToBytes(scalar, size));
  const point = new Uint8Array(ecdh.getPublicKey());
  return { x: point.slice(1, 1 + size), y: point.slice(1 + size) };
}

/** The fixed message whose SHA-256 stands in for the caller's digest. */
const STAND_IN = new Uint8Array(0);
const STAND_IN_HASH = 'sha256';
const STAND_IN_DIGEST = nobleProvider.hash(STAND_IN_HASH, STAND_IN);

/** The leftmost bits of a digest as ECDSA takes them (SEC 1, 4.1.4). */
function digestToInteger(c: CurveParameters, digest: Uint8Array): bigint {
  const excess = 8 * digest.length - c.bits;
  const value = bytesToBigint(digest);
  return excess > 0 ? value >> BigInt(excess) : value;
}

/** The hash of the nonce generator, as noble pairs them with the curves. */
const NONCE_HASH: Readonly<Record<CurveName, HashName>> = {
  'P-256': 'sha256',
  'P-384': 'sha384',
  'P-521': 'sha512',
};

/** Candidates for the nonce of a key and a digest, in order (RFC 6979, 3.2). */
function* nonces(
  hmac: CryptoProvider['hmac'],
  curve: CurveName,
  key: Uint8Array,
  z: bigint,
): Generator<bigint, never> {
  const c = curveParameters(curve);
  const alg = NONCE_HASH[curve];
  const seed = concat(key, bigintToBytes(z % c.n, c.size));
  let v = filled(digestSize(alg), 1);
  let k = filled(digestSize(alg), 0);
  const step = (separator: number, text: Uint8Array): void => {
    k = hmac(alg, k, concat(v, Uint8Array.of(separator), text));
    v = hmac(alg, k, v);
  };
  step(0, seed);
  step(1, seed);
  for (;;) {
    let text = EMPTY;
    while (text.length < c.size) {
      v = hmac(alg, k, v);
      text = concat(text, v);
    }
    const candidate = digestToInteger(c, text.subarray(0, c.size));
    if (candidate > 0n && candidate < c.n) yield candidate;
    step(0, EMPTY);
  }
}

/** Deterministic ECDSA: OpenSSL before 3.2 draws its nonces, so only the multiplication is its work. */
export function nodeEcdsaSign(node: OpenSslEcdh, hmac: CryptoProvider['hmac']): CryptoProvider['ecdsaSign'] {
  return (curve, privateKey, digest) => {
    if (!isOpenSsl(curve)) return nobleProvider.ecdsaSign(curve, privateKey, digest);
    const c = curveParameters(curve);
    const d = bytesToBigint(privateKey);
    assert(d > 0n && d < c.n, `a ${curve} private key lies in 1..n-1`);
    const z = digestToInteger(c, digest);
    for (const k of nonces(hmac, curve, bigintToBytes(d, c.size), z)) {
      const r = bytesToBigint(generatorTimes(node, curve, k).x) % c.n;
      const inverse = inverseMod(k, c.n);
      assert(inverse !== undefined, 'the order of the curve is prime');
      const s = (inverse * (z + r * d)) % c.n;
      if (r !== 0n && s !== 0n) return concat(bigintToBytes(r, c.size), bigintToBytes(s, c.size));
    }
    throw new InternalError('the nonces never end');
  };
}

/**
 * ECDSA over a digest. (r, s) is good for z under Q exactly when it is good for z' under Q' = Q + ((z - z')
 * / r) G, because z G + r Q = z' G + r Q'; so OpenSSL verifies a fixed message, whose z' is known, under
 * the shifted key.
 */
export function nodeEcdsaVerify<Key>(node: OpenSslEc<Key>): CryptoProvider['ecdsaVerify'] {
  return (curve, publicKey, digest, signature) => {
    if (!isOpenSsl(curve)) return nobleProvider.ecdsaVerify(curve, publicKey, digest, signature);
    const c = curveParameters(curve);
    if (signature.length !== 2 * c.size || !isOnCurve(curve, publicKey)) return false;
    const r = bytesToBigint(signature.subarray(0, c.size));
    const s = bytesToBigint(signature.subarray(c.size));
    if (r === 0n || s === 0n || r >= c.n || s >= c.n) return false;
    const inverse = inverseMod(r, c.n);
    assert(inverse !== undefined, 'the order of the curve is prime');
    const z = digestToInteger(c, digest);
    const shift = mod((z - digestToInteger(c, STAND_IN_DIGEST)) * inverse, c.n);
    const q = { x: bytesToBigint(publicKey.x), y: bytesToBigint(publicKey.y) };
    let shifted: Affine | undefined = q;
    if (shift !== 0n) {
      const g = generatorTimes(node, curve, shift);
      shifted = addDistinct(c, q, { x: bytesToBigint(g.x), y: bytesToBigint(g.y) });
    }
    // The key is the shift itself or its negative: nobody meets that by chance, and noble needs no detour.
    if (shifted === undefined) return nobleProvider.ecdsaVerify(curve, publicKey, digest, signature);
    const jwk = {
      kty: 'EC',
      crv: curve,
      x: base64url(bigintToBytes(shifted.x, c.size)),
      y: base64url(bigintToBytes(shifted.y, c.size)),
    };
    const key = node.createPublicKey({ key: jwk, format: 'jwk' });
    return node.verify(STAND_IN_HASH, STAND_IN, { key, dsaEncoding: 'ieee-p1363' }, signature);
  };
}

/**
 * privateKey * point. ECDH gives x(k P) and x((k + 1) P); with Q = k P these two give y(Q) (Brier and Joye
 * 2002, prop. 2). OpenSSL has fast code only for P-256; on the other curves one noble multiplication is as
 * fast as two of these.
 */
export function nodeEcMultiply(node: OpenSslEcdh): CryptoProvider['ecMultiply'] {
  return (curve, privateKey, point) => {
    if (curve !== 'P-256') return nobleProvider.ecMultiply(curve, privateKey, point);
    const c = curveParameters(curve);
    const k = bytesToBigint(privateKey);
    assert(k > 0n && k < c.n, `a ${curve} private key lies in 1..n-1`);
    if (!isOnCurve(curve, point)) return undefined;
    const p = { x: bytesToBigint(point.x), y: bytesToBigint(point.y) };
    if (k === c.n - 1n) return { x: point.x.slice(), y: bigintToBytes(c.p - p.y, c.size) };
    const peer = concat(Uint8Array.of(4), point.x, point.y);
    const ecdh = node.createECDH(OPENSSL_CURVES[curve]);
    const xOf = (scalar: bigint): bigint => {
      ecdh.setPrivateKey(bigintToBytes(scalar, c.size));
      return bytesToBigint(ecdh.computeSecret(peer));
    };
    const x = xOf(k);
    const next = xOf(k + 1n);
    const inverse = inverseMod(2n * p.y, c.p);
    assert(inverse !== undefined, 'a curve of prime order has no point with y = 0');
    const difference = p.x - x;
    const y = mod((2n * c.b + (c.a + p.x * x) * (p.x + x) - next * difference * difference) * inverse, c.p);
    return { x: bigintToBytes(x, c.size), y: bigintToBytes(y, c.size) };
  };
}
