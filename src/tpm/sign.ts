// Signing and verifying with loaded objects: RSASSA, RSAPSS, ECDSA, EC Schnorr, ECDAA, HMAC. Also which
// scheme is used when the key and the caller both may name one, and the commit values of two-step signing.

import { assert } from '../base/assert.ts';
import { concat, EMPTY, equalBytes } from '../base/bytes.ts';
import { bigintToBytes, bytesToBigint, inverseMod } from '../crypto/bigint.ts';
import {
  curveParameters,
  ecAdd,
  ecPrivateFromBytes,
  ecSeedSize,
  isEcPrivateKey,
  isOnCurve,
} from '../crypto/ec.ts';
import { kdfA } from '../crypto/kdf.ts';
import { crypto, type EcPoint, type TpmCurveName } from '../crypto/provider.ts';
import { pssMaxSalt, rsaSignPkcs1v15, rsaSignPss, rsaVerifyPkcs1v15, rsaVerifyPss } from '../crypto/rsa.ts';
import { curveOf, hashName, hashSize } from './algorithms.ts';
import { pointOf, rsaPrivateOf, rsaPublicOf, scalarOf } from './asymmetric.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { be32 } from './marshal.ts';
import { ASYM_SIGN } from './object.ts';
import * as rc from './rc.ts';
import type { TpmObject } from './state.ts';
import { SIGNATURE_NULL, type TpmtSignature } from './structures-attest.ts';
import { type EccPublic, type RsaPublic, SCHEME_NULL, type Scheme } from './structures-object.ts';
import { INTEGRITY_HASH } from './tickets.ts';

/** Whether something can sign: TPM_RH_NULL (no object) can, with no signature. */
export function isSigningObject(object: TpmObject | undefined): boolean {
  if (object === undefined) return true;
  const sign = (object.public.objectAttributes & c.TPMA_OBJECT_SIGN_ENCRYPT) !== 0;
  return sign && object.public.type !== c.TPM_ALG_SYMCIPHER;
}

export function isAnonymousScheme(scheme: number): boolean {
  return scheme === c.TPM_ALG_ECDAA;
}

/** Whether keys of this type sign with the scheme. */
function isSignSchemeOf(key: TpmObject, scheme: number): boolean {
  const { type } = key.public;
  if (type === c.TPM_ALG_RSA || type === c.TPM_ALG_ECC) return ASYM_SIGN.get(type)?.includes(scheme) ?? false;
  return scheme === c.TPM_ALG_HMAC;
}

/** The scheme to sign with, or null when key and caller do not agree. @tcg Part 3, 20.2.1 TPM2_Sign */
export function selectSignScheme(key: TpmObject | undefined, asked: Scheme): Scheme | null {
  if (key === undefined) return SCHEME_NULL;
  if (key.public.type === c.TPM_ALG_SYMCIPHER) return null;
  const own = key.public.parameters.scheme;
  if (own.scheme === c.TPM_ALG_NULL) return isSignSchemeOf(key, asked.scheme) ? asked : null;
  if (asked.scheme === c.TPM_ALG_NULL) return isAnonymousScheme(own.scheme) ? null : own;
  return own.scheme === asked.scheme && own.hashAlg === asked.hashAlg ? asked : null;
}

// --- commit values (Part 1, C.2.3)

const MAX_COMMITS = 64;

function commitValue(tpm: TpmCursor, count: number, curve: TpmCurveName, name: Uint8Array): Uint8Array {
  const bits = ecSeedSize(curve) * 8;
  const { commitNonce } = tpm.state.reset;
  return ecPrivateFromBytes(
    curve,
    kdfA(INTEGRITY_HASH, commitNonce, 'ECDAA Commit', name, be32(count), bits),
  );
}

/** The value that the next commit will have. */
export function nextCommitValue(tpm: TpmCursor, curve: TpmCurveName, name: Uint8Array): Uint8Array {
  return commitValue(tpm, tpm.state.reset.commitCounter, curve, name);
}

/** Remembers that the next value was given away; returns its counter. */
export function commit(tpm: TpmCursor): number {
  const { commitCounter, commitArray } = tpm.state.reset;
  const outstanding = [...commitArray, commitCounter].slice(-MAX_COMMITS);
  tpm.setReset({ commitCounter: commitCounter + 1, commitArray: outstanding });
  return commitCounter & 0xffff;
}

/** The value of an outstanding commit, or null. */
export function committedValue(
  tpm: TpmCursor,
  counter: number,
  curve: TpmCurveName,
  name: Uint8Array,
): Uint8Array | null {
  const count = tpm.state.reset.commitArray.find((n) => (n & 0xffff) === counter);
  return count === undefined ? null : commitValue(tpm, count, curve, name);
}

export function endCommit(tpm: TpmCursor, counter: number): void {
  const commitArray = tpm.state.reset.commitArray.filter((n) => (n & 0xffff) !== counter);
  tpm.setReset({ commitArray });
}

// --- signing

function signRsa(
  tpm: TpmCursor,
  area: RsaPublic,
  key: TpmObject,
  scheme: Scheme,
  digest: Uint8Array,
): TpmtSignature | number {
  const priv = key.sensitive === null ? null : rsaPrivateOf(area, key.sensitive);
  if (priv === null) return rc.TPM_RC_BINDING;
  const alg = hashName(scheme.hashAlg);
  let sig: Uint8Array | undefined;
  if (scheme.scheme === c.TPM_ALG_RSASSA) sig = rsaSignPkcs1v15(priv, alg, digest);
  else if (scheme.scheme === c.TPM_ALG_RSAPSS) {
    const room = Math.max(0, Math.min(pssMaxSalt(priv, alg), hashSize(scheme.hashAlg)));
    sig = rsaSignPss(priv, alg, digest, tpm.random(room));
  } else return rc.TPM_RC_SCHEME;
  if (sig === undefined) return rc.TPM_RC_VALUE;
  return { ...SIGNATURE_NULL, sigAlg: scheme.scheme, hashAlg: scheme.hashAlg, sig };
}

/** r of EC Schnorr: H(x || digest) as a number. */
function schnorrR(curve: TpmCurveName, hashAlg: number, x: Uint8Array, digest: Uint8Array): bigint {
  const { n } = curveParameters(curve);
  return bytesToBigint(crypto().hash(hashName(hashAlg), concat(x, digest))) % n;
}

/** @tcg Part 1, C.4.4 SM2 Signatures (GM/T 0003.2, 6.1); the digest already covers the signer's identity */
function signSm2(
  tpm: TpmCursor,
  curve: TpmCurveName,
  d: bigint,
  digest: Uint8Array,
): { readonly r: bigint; readonly s: bigint } {
  const { n } = curveParameters(curve);
  const inverse = inverseMod(1n + d, n);
  assert(inverse !== undefined, 'a private key of SM2 is not n - 1');
  for (;;) {
    const k = ecPrivateFromBytes(curve, tpm.random(ecSeedSize(curve)));
    const x = bytesToBigint(crypto().ecPublicKey(curve, k).x);
    const r = (bytesToBigint(digest) + x) % n;
    const s = (((inverse * (bytesToBigint(k) - r * d)) % n) + n) % n;
    if (r !== 0n && s !== 0n && r + bytesToBigint(k) !== n) return { r, s };
  }
}

function signEcc(
  tpm: TpmCursor,
  area: EccPublic,
  key: TpmObject,
  scheme: Scheme,
  digest: Uint8Array,
): TpmtSignature | number {
  if (key.sensitive === null) return rc.TPM_RC_KEY;
  const curve = curveOf(area.parameters.curveId);
  const { n } = curveParameters(curve.name);
  const scalar = scalarOf(area, key.sensitive);
  const d = bytesToBigint(scalar);
  const out = (r: Uint8Array, s: Uint8Array): TpmtSignature => ({
    ...SIGNATURE_NULL,
    sigAlg: scheme.scheme,
    hashAlg: scheme.hashAlg,
    r,
    s,
  });
  if (scheme.scheme === c.TPM_ALG_ECDSA) {
    const raw = crypto().ecdsaSign(curve.name, scalar, digest);
    return out(raw.subarray(0, curve.size), raw.subarray(curve.size));
  }
  if (scheme.scheme === c.TPM_ALG_ECSCHNORR) {
    const k = ecPrivateFromBytes(curve.name, tpm.random(ecSeedSize(curve.name)));
    const r = schnorrR(curve.name, scheme.hashAlg, crypto().ecPublicKey(curve.name, k).x, digest);
    const s = (bytesToBigint(k) + r * d) % n;
    return out(bigintToBytes(r, curve.size), bigintToBytes(s, curve.size));
  }
  if (scheme.scheme === c.TPM_ALG_SM2) {
    const { r, s } = signSm2(tpm, curve.name, d, digest);
    return out(bigintToBytes(r, curve.size), bigintToBytes(s, curve.size));
  }
  if (scheme.scheme !== c.TPM_ALG_ECDAA) return rc.TPM_RC_SCHEME;
  const value = committedValue(tpm, scheme.count, curve.name, key.name);
  if (value === null) return rc.TPM_RC_VALUE;
  const nonce = tpm.random(hashSize(scheme.hashAlg));
  const t = bytesToBigint(crypto().hash(hashName(scheme.hashAlg), concat(nonce, digest))) % n;
  endCommit(tpm, scheme.count);
  return out(nonce, bigintToBytes((bytesToBigint(value) + t * d) % n, curve.size));
}

/** Signs a digest with a selected scheme; a null scheme or no key gives a null signature. */
export function signDigest(
  tpm: TpmCursor,
  key: TpmObject | undefined,
  scheme: Scheme,
  digest: Uint8Array,
): TpmtSignature | number {
  if (key === undefined || scheme.scheme === c.TPM_ALG_NULL) return SIGNATURE_NULL;
  const area = key.public;
  if (area.type === c.TPM_ALG_RSA) return signRsa(tpm, area, key, scheme, digest);
  if (area.type === c.TPM_ALG_ECC) return signEcc(tpm, area, key, scheme, digest);
  if (area.type !== c.TPM_ALG_KEYEDHASH || scheme.scheme !== c.TPM_ALG_HMAC) return rc.TPM_RC_SCHEME;
  const sig = crypto().hmac(hashName(scheme.hashAlg), key.sensitive?.sensitive ?? EMPTY, digest);
  return { ...SIGNATURE_NULL, sigAlg: scheme.scheme, hashAlg: scheme.hashAlg, sig };
}

// --- verifying

const VERIFIABLE: readonly number[] = [c.TPM_ALG_ECDSA, c.TPM_ALG_ECSCHNORR, c.TPM_ALG_SM2];

/** Whether (e + x(s G + (r + s) P)) mod n is r (GM/T 0003.2, 7.1). */
function isSm2(curve: TpmCurveName, point: EcPoint, digest: Uint8Array, r: bigint, s: bigint): boolean {
  const { n, size } = curveParameters(curve);
  const t = (r + s) % n;
  if (t === 0n) return false;
  const sG = crypto().ecPublicKey(curve, bigintToBytes(s, size));
  const sum = ecAdd(curve, sG, crypto().ecMultiply(curve, bigintToBytes(t, size), point));
  return sum !== undefined && (bytesToBigint(digest) + bytesToBigint(sum.x)) % n === r;
}

function verifyEcc(area: EccPublic, digest: Uint8Array, signature: TpmtSignature): number {
  if (!VERIFIABLE.includes(signature.sigAlg)) return rc.TPM_RC_SCHEME;
  const curve = curveOf(area.parameters.curveId);
  const point = pointOf(area);
  const { n } = curveParameters(curve.name);
  const [r, s] = [bytesToBigint(signature.r), bytesToBigint(signature.s)];
  if (r === 0n || s === 0n || r >= n || s >= n || !isOnCurve(curve.name, point)) return rc.TPM_RC_SIGNATURE;
  if (signature.sigAlg === c.TPM_ALG_ECDSA) {
    const raw = concat(bigintToBytes(r, curve.size), bigintToBytes(s, curve.size));
    return crypto().ecdsaVerify(curve.name, point, digest, raw) ? 0 : rc.TPM_RC_SIGNATURE;
  }
  if (signature.sigAlg === c.TPM_ALG_SM2) {
    return isSm2(curve.name, point, digest, r, s) ? 0 : rc.TPM_RC_SIGNATURE;
  }
  const negR = bigintToBytes(n - r, curve.size);
  if (!isEcPrivateKey(curve.name, negR)) return rc.TPM_RC_SIGNATURE;
  const sG = crypto().ecPublicKey(curve.name, bigintToBytes(s, curve.size));
  const e = ecAdd(curve.name, sG, crypto().ecMultiply(curve.name, negR, point));
  if (e === undefined) return rc.TPM_RC_SIGNATURE;
  return schnorrR(curve.name, signature.hashAlg, e.x, digest) === r ? 0 : rc.TPM_RC_SIGNATURE;
}

function verifyRsa(area: RsaPublic, digest: Uint8Array, signature: TpmtSignature): number {
  const alg = hashName(signature.hashAlg);
  const key = rsaPublicOf(area);
  let good: boolean;
  if (signature.sigAlg === c.TPM_ALG_RSASSA) good = rsaVerifyPkcs1v15(key, alg, digest, signature.sig);
  else if (signature.sigAlg === c.TPM_ALG_RSAPSS) good = rsaVerifyPss(key, alg, digest, signature.sig);
  else return rc.TPM_RC_SCHEME;
  return good ? 0 : rc.TPM_RC_SIGNATURE;
}

/** 0 for a genuine signature, else TPM_RC_SIGNATURE, TPM_RC_SCHEME or TPM_RC_HANDLE. */
export function verifyDigest(key: TpmObject, digest: Uint8Array, signature: TpmtSignature): number {
  const area = key.public;
  if (area.type === c.TPM_ALG_RSA) return verifyRsa(area, digest, signature);
  if (area.type === c.TPM_ALG_ECC) return verifyEcc(area, digest, signature);
  if (area.type !== c.TPM_ALG_KEYEDHASH) return rc.TPM_RC_SCHEME;
  if (key.sensitive === null) return rc.TPM_RC_HANDLE;
  if (signature.sigAlg !== c.TPM_ALG_HMAC) return rc.TPM_RC_SCHEME;
  const expected = crypto().hmac(hashName(signature.hashAlg), key.sensitive.sensitive, digest);
  return equalBytes(expected, signature.sig) ? 0 : rc.TPM_RC_SIGNATURE;
}
