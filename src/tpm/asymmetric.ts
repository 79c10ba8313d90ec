// Keys of loaded objects as the crypto room takes them, and secrets that are exchanged with an asymmetric
// key: salts, credentials, duplication seeds.

import { concat, utf8 } from '../base/bytes.ts';
import { bigintToBytes, bytesToBigint } from '../crypto/bigint.ts';
import { ecPrivateFromBytes, ecSeedSize, isOnCurve } from '../crypto/ec.ts';
import { kdfE } from '../crypto/kdf.ts';
import { crypto, type EcPoint, type RsaPrivateKey, type RsaPublicKey } from '../crypto/provider.ts';
import { rsaDecryptOaep, rsaEncryptOaep } from '../crypto/rsa.ts';
import { rsaFromPrime } from '../crypto/rsa-key.ts';
import { curveOf, hashName, hashSize } from './algorithms.ts';
import * as c from './constants.ts';
import { marshal, unmarshal } from './marshal.ts';
import * as rc from './rc.ts';
import type { TpmObject } from './state.ts';
import { type EccPublic, type RsaPublic, TpmsEccPoint, type TpmtSensitive } from './structures-object.ts';

const DEFAULT_EXPONENT = 65537;

export function rsaPublicOf(area: RsaPublic): RsaPublicKey {
  const { exponent } = area.parameters;
  return { n: bytesToBigint(area.unique), e: BigInt(exponent === 0 ? DEFAULT_EXPONENT : exponent) };
}

const privateKeys = new WeakMap<TpmtSensitive, RsaPrivateKey | null>();

/** The private key of an RSA object; null when the prime is not one of its modulus. */
export function rsaPrivateOf(area: RsaPublic, sensitive: TpmtSensitive): RsaPrivateKey | null {
  let key = privateKeys.get(sensitive);
  if (key === undefined) {
    const { n, e } = rsaPublicOf(area);
    key = rsaFromPrime(n, bytesToBigint(sensitive.sensitive), e) ?? null;
    privateKeys.set(sensitive, key);
  }
  return key;
}

/** Coordinates brought to the field's size. */
export function pointOf(area: EccPublic): EcPoint {
  return sizedPoint(area.parameters.curveId, area.unique);
}

function fixedSize(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length === size) return bytes;
  const value = bytesToBigint(bytes);
  return value < 1n << BigInt(8 * size) ? bigintToBytes(value, size) : bytes;
}

export function sizedPoint(curveId: number, point: TpmsEccPoint): EcPoint {
  const { size } = curveOf(curveId);
  return { x: fixedSize(point.x, size), y: fixedSize(point.y, size) };
}

/** The private scalar of an ECC object at the curve's size. */
export function scalarOf(area: EccPublic, sensitive: TpmtSensitive): Uint8Array {
  return fixedSize(sensitive.sensitive, curveOf(area.parameters.curveId).size);
}

const label = (text: string): Uint8Array => concat(utf8(text), new Uint8Array(1));

export interface Secret {
  /** The shared octets. */
  readonly data: Uint8Array;
  /** What the other side needs to find them. */
  readonly secret: Uint8Array;
}

/**
 * Makes a secret that only the holder of `key` can find; a response code when the key cannot do that.
 * @tcg Part 1, B.10 (RSA) and C.6 (ECC) Secret Sharing
 */
export function secretEncrypt(
  key: TpmObject,
  use: string,
  random: (length: number) => Uint8Array,
): Secret | number {
  const area = key.public;
  const alg = hashName(area.nameAlg);
  if ((area.objectAttributes & c.TPMA_OBJECT_DECRYPT) === 0) return rc.TPM_RC_ATTRIBUTES;
  if (area.type === c.TPM_ALG_RSA) {
    const data = random(hashSize(area.nameAlg));
    const seed = random(hashSize(area.nameAlg));
    const secret = rsaEncryptOaep(rsaPublicOf(area), alg, label(use), seed, data);
    return secret === undefined ? rc.TPM_RC_VALUE : { data, secret };
  }
  if (area.type !== c.TPM_ALG_ECC) return rc.TPM_RC_KEY;
  const curve = curveOf(area.parameters.curveId).name;
  const point = pointOf(area);
  if (!isOnCurve(curve, point)) return rc.TPM_RC_KEY;
  const ephemeral = ecPrivateFromBytes(curve, random(ecSeedSize(curve)));
  const own = crypto().ecPublicKey(curve, ephemeral);
  const shared = crypto().ecMultiply(curve, ephemeral, point);
  if (shared === undefined) return rc.TPM_RC_KEY;
  const data = kdfE(alg, shared.x, use, own.x, point.x, hashSize(area.nameAlg) * 8);
  return { data, secret: marshal(TpmsEccPoint, own) };
}

/** The octets of a secret that was made for `key`, or a response code. */
export function secretDecrypt(key: TpmObject, use: string, secret: Uint8Array): Uint8Array | number {
  const area = key.public;
  if (key.sensitive === null) return rc.TPM_RC_KEY;
  if (area.type === c.TPM_ALG_RSA) {
    const { scheme, hashAlg } = area.parameters.scheme;
    const oaep = scheme === c.TPM_ALG_NULL ? area.nameAlg : hashAlg;
    if (scheme !== c.TPM_ALG_NULL && scheme !== c.TPM_ALG_OAEP) return rc.TPM_RC_SCHEME;
    const privateKey = rsaPrivateOf(area, key.sensitive);
    if (privateKey === null) return rc.TPM_RC_BINDING;
    if (secret.length !== area.unique.length) return rc.TPM_RC_SIZE;
    const data = rsaDecryptOaep(privateKey, hashName(oaep), label(use), secret);
    return data === undefined || data.length > hashSize(oaep) ? rc.TPM_RC_VALUE : data;
  }
  if (area.type !== c.TPM_ALG_ECC) return rc.TPM_RC_KEY;
  const read = unmarshal(TpmsEccPoint, secret);
  if (read.value === null) return read.rc;
  const curve = curveOf(area.parameters.curveId).name;
  const peer = sizedPoint(area.parameters.curveId, read.value);
  if (!isOnCurve(curve, peer)) return rc.TPM_RC_ECC_POINT;
  const shared = crypto().ecMultiply(curve, scalarOf(area, key.sensitive), peer);
  if (shared === undefined) return rc.TPM_RC_NO_RESULT;
  const bits = hashSize(area.nameAlg) * 8;
  return kdfE(hashName(area.nameAlg), shared.x, use, read.value.x, area.unique.x, bits);
}
