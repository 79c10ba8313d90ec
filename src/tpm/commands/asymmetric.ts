// Part 3, chapters 14 and 19: RSA encryption, elliptic-curve key exchange, curve parameters, ephemeral keys
// and commits.

import { EMPTY } from '../../base/bytes.ts';
import { bigintToBytes, bytesToBigint } from '../../crypto/bigint.ts';
import { curveParameters, ecAdd, ecPrivateFromBytes, ecSeedSize, isOnCurve } from '../../crypto/ec.ts';
import { crypto, type EcPoint, type TpmCurveName } from '../../crypto/provider.ts';
import {
  rsaDecryptOaep,
  rsaDecryptPkcs1v15,
  rsaEncryptOaep,
  rsaEncryptPkcs1v15,
  rsaPrivateOperation,
  rsaPublicOperation,
} from '../../crypto/rsa.ts';
import { curveOf, hashName, hashSize } from '../algorithms.ts';
import { pointOf, rsaPrivateOf, rsaPublicOf, scalarOf, sizedPoint } from '../asymmetric.ts';
import { command, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import { keyAt } from '../entity.ts';
import { type Codec, oneOf, Uint16 } from '../marshal.ts';
import * as rc from '../rc.ts';
import {
  committedValue,
  endCommit,
  isAnonymousScheme,
  nextCommitValue,
  commit as takeCommit,
} from '../sign.ts';
import type { TpmObject } from '../state.ts';
import {
  Tpm2bData,
  Tpm2bEccParameter,
  Tpm2bPublicKeyRsa,
  Tpm2bSensitiveData,
  TpmiDhObject,
} from '../structures.ts';
import {
  type EccPublic,
  type RsaPublic,
  SCHEME_NULL,
  type Scheme,
  Tpm2bEccPoint,
  TpmiEccCurve,
  type TpmsEccPoint,
  TpmtEccScheme,
  TpmtKdfScheme,
  TpmtRsaDecrypt,
} from '../structures-object.ts';

const has = (object: TpmObject, bit: number): boolean => (object.public.objectAttributes & bit) !== 0;

/** Key's or caller's scheme; null when they do not agree. */
function rsaScheme(area: RsaPublic, asked: Scheme): Scheme | null {
  const own = area.parameters.scheme;
  if (own.scheme === c.TPM_ALG_NULL) return asked;
  if (asked.scheme === c.TPM_ALG_NULL) return own;
  return own.scheme === asked.scheme && own.hashAlg === asked.hashAlg ? asked : null;
}

const isLabel = (label: Uint8Array): boolean => label.length === 0 || label[label.length - 1] === 0;

/** A message at the size of the modulus, leading zeros added. */
function padded(message: Uint8Array, size: number): Uint8Array | null {
  if (message.length > size) return null;
  const out = new Uint8Array(size);
  out.set(message, size - message.length);
  return out;
}

/** @tcg Part 3, 14.2 TPM2_RSA_Encrypt */
export const rsaEncrypt = command({
  code: 0x174,
  name: 'RSA_Encrypt',
  handles: { keyHandle: reference(TpmiDhObject) },
  parameters: { message: Tpm2bPublicKeyRsa, inScheme: TpmtRsaDecrypt, label: Tpm2bData },
  response: { outData: Tpm2bPublicKeyRsa },
  run(tpm, { keyHandle, message, inScheme, label }) {
    const object = keyAt(tpm, keyHandle);
    if (object?.public.type !== c.TPM_ALG_RSA) return rc.rcHandle(1, rc.TPM_RC_KEY);
    if (!has(object, c.TPMA_OBJECT_DECRYPT)) return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    if (!isLabel(label)) return rc.rcParameter(3, rc.TPM_RC_VALUE);
    const scheme = rsaScheme(object.public, inScheme);
    if (scheme === null) return rc.rcParameter(2, rc.TPM_RC_SCHEME);
    const key = rsaPublicOf(object.public);
    let outData: Uint8Array | undefined;
    if (scheme.scheme === c.TPM_ALG_NULL) {
      const block = padded(message, object.public.unique.length);
      outData = block === null ? undefined : rsaPublicOperation(key, block);
    } else if (scheme.scheme === c.TPM_ALG_RSAES) {
      outData = rsaEncryptPkcs1v15(key, message, (length) => tpm.random(length));
    } else if (scheme.scheme === c.TPM_ALG_OAEP) {
      const seed = tpm.random(hashSize(scheme.hashAlg));
      outData = rsaEncryptOaep(key, hashName(scheme.hashAlg), label, seed, message);
    } else return rc.TPM_RC_SCHEME;
    return outData === undefined ? rc.TPM_RC_VALUE : { outData };
  },
});

/** @tcg Part 3, 14.3 TPM2_RSA_Decrypt */
export const rsaDecrypt = command({
  code: 0x159,
  name: 'RSA_Decrypt',
  handles: { keyHandle: user(TpmiDhObject) },
  parameters: { cipherText: Tpm2bPublicKeyRsa, inScheme: TpmtRsaDecrypt, label: Tpm2bData },
  response: { message: Tpm2bPublicKeyRsa },
  run(tpm, { keyHandle, cipherText, inScheme, label }) {
    const object = keyAt(tpm, keyHandle);
    if (object?.public.type !== c.TPM_ALG_RSA || object.sensitive === null) {
      return rc.rcHandle(1, rc.TPM_RC_KEY);
    }
    if (has(object, c.TPMA_OBJECT_RESTRICTED) || !has(object, c.TPMA_OBJECT_DECRYPT)) {
      return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    }
    if (!isLabel(label)) return rc.rcParameter(3, rc.TPM_RC_VALUE);
    const scheme = rsaScheme(object.public, inScheme);
    if (scheme === null) return rc.rcParameter(2, rc.TPM_RC_SCHEME);
    const key = rsaPrivateOf(object.public, object.sensitive);
    if (key === null) return rc.TPM_RC_BINDING;
    if (cipherText.length !== object.public.unique.length) return rc.TPM_RC_SIZE;
    let message: Uint8Array | undefined;
    if (scheme.scheme === c.TPM_ALG_NULL) message = rsaPrivateOperation(key, cipherText);
    else if (scheme.scheme === c.TPM_ALG_RSAES) message = rsaDecryptPkcs1v15(key, cipherText);
    else if (scheme.scheme === c.TPM_ALG_OAEP) {
      message = rsaDecryptOaep(key, hashName(scheme.hashAlg), label, cipherText);
    } else return rc.TPM_RC_SCHEME;
    return message === undefined ? rc.TPM_RC_VALUE : { message };
  },
});

function newPair(
  curve: TpmCurveName,
  random: Uint8Array,
): { readonly scalar: Uint8Array; readonly point: EcPoint } {
  const scalar = ecPrivateFromBytes(curve, random);
  return { scalar, point: crypto().ecPublicKey(curve, scalar) };
}

/** @tcg Part 3, 14.4 TPM2_ECDH_KeyGen */
export const ecdhKeyGen = command({
  code: 0x163,
  name: 'ECDH_KeyGen',
  handles: { keyHandle: reference(TpmiDhObject) },
  parameters: {},
  response: { zPoint: Tpm2bEccPoint, pubPoint: Tpm2bEccPoint },
  run(tpm, { keyHandle }) {
    const object = keyAt(tpm, keyHandle);
    if (object?.public.type !== c.TPM_ALG_ECC) return rc.rcHandle(1, rc.TPM_RC_KEY);
    const curve = curveOf(object.public.parameters.curveId).name;
    const { scalar, point } = newPair(curve, tpm.random(ecSeedSize(curve)));
    const zPoint = crypto().ecMultiply(curve, scalar, pointOf(object.public));
    return zPoint === undefined ? rc.rcHandle(1, rc.TPM_RC_KEY) : { zPoint, pubPoint: point };
  },
});

/** The ECC object of a key exchange, or the response code. */
function exchangeObject(
  object: TpmObject | undefined,
): { readonly area: EccPublic; readonly scalar: Uint8Array } | number {
  if (object?.public.type !== c.TPM_ALG_ECC || object.sensitive === null)
    return rc.rcHandle(1, rc.TPM_RC_KEY);
  if (has(object, c.TPMA_OBJECT_RESTRICTED) || !has(object, c.TPMA_OBJECT_DECRYPT)) {
    return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
  }
  return { area: object.public, scalar: scalarOf(object.public, object.sensitive) };
}

/** @tcg Part 3, 14.5 TPM2_ECDH_ZGen */
export const ecdhZGen = command({
  code: 0x154,
  name: 'ECDH_ZGen',
  handles: { keyHandle: user(TpmiDhObject) },
  parameters: { inPoint: Tpm2bEccPoint },
  response: { outPoint: Tpm2bEccPoint },
  run(tpm, { keyHandle, inPoint }) {
    const own = exchangeObject(keyAt(tpm, keyHandle));
    if (typeof own === 'number') return own;
    const { scheme } = own.area.parameters.scheme;
    if (scheme !== c.TPM_ALG_ECDH && scheme !== c.TPM_ALG_NULL) return rc.rcHandle(1, rc.TPM_RC_SCHEME);
    const { curveId } = own.area.parameters;
    const curve = curveOf(curveId).name;
    const peer = sizedPoint(curveId, inPoint);
    if (!isOnCurve(curve, peer)) return rc.rcParameter(1, rc.TPM_RC_ECC_POINT);
    const outPoint = crypto().ecMultiply(curve, own.scalar, peer);
    return outPoint === undefined ? rc.TPM_RC_NO_RESULT : { outPoint };
  },
});

interface AlgorithmDetailEcc {
  readonly curveId: number;
  readonly keySize: number;
  readonly kdf: { readonly scheme: number; readonly hashAlg: number };
  readonly sign: Scheme;
  readonly numbers: readonly Uint8Array[];
}

/** @tcg Part 2, 11.2.5.7 TPMS_ALGORITHM_DETAIL_ECC: p, a, b, gX, gY, n, h */
const TpmsAlgorithmDetailEcc: Codec<AlgorithmDetailEcc> = {
  read(r) {
    const head = {
      curveId: r.u16(),
      keySize: r.u16(),
      kdf: TpmtKdfScheme.read(r),
      sign: TpmtEccScheme.read(r),
    };
    return { ...head, numbers: Array.from({ length: 7 }, () => Tpm2bEccParameter.read(r)) };
  },
  write(w, v) {
    w.u16(v.curveId).u16(v.keySize);
    TpmtKdfScheme.write(w, v.kdf);
    TpmtEccScheme.write(w, v.sign);
    for (const n of v.numbers) Tpm2bEccParameter.write(w, n);
  },
};

const CURVE_HASH: ReadonlyMap<number, number> = new Map([
  [c.TPM_ECC_NIST_P256, c.TPM_ALG_SHA256],
  [c.TPM_ECC_NIST_P384, c.TPM_ALG_SHA384],
  [c.TPM_ECC_NIST_P521, c.TPM_ALG_SHA512],
  [c.TPM_ECC_SM2_P256, c.TPM_ALG_SM3_256],
]);
const NO_KDF: readonly number[] = [c.TPM_ECC_BN_P256, c.TPM_ECC_BN_P638];

/** @tcg Part 3, 14.6 TPM2_ECC_Parameters */
export const eccParameters = command({
  code: 0x178,
  name: 'ECC_Parameters',
  handles: {},
  parameters: { curveID: TpmiEccCurve },
  response: { parameters: TpmsAlgorithmDetailEcc },
  run(_tpm, { curveID }) {
    const curve = curveOf(curveID);
    const { p, a, b, gx, gy, n } = curveParameters(curve.name);
    const numbers = [p, a, b, gx, gy, n].map((value) => bigintToBytes(value, value === 0n ? 1 : curve.size));
    const hashAlg = CURVE_HASH.get(curveID) ?? c.TPM_ALG_SHA256;
    return {
      parameters: {
        curveId: curveID,
        keySize: curve.bits,
        kdf: NO_KDF.includes(curveID)
          ? { scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL }
          : { scheme: c.TPM_ALG_KDF1_SP800_56A, hashAlg },
        sign: SCHEME_NULL,
        numbers: [...numbers, new Uint8Array([1])],
      },
    };
  },
});

const NO_POINT: TpmsEccPoint = { x: EMPTY, y: EMPTY };

/**
 * The shared point of the exchanges whose ephemeral keys sign themselves.
 * @tcg Part 1, C.5.4 (1, e, 2, s) ECMQV and C.5.5 SM2 Key Exchange
 */
function implicitExchange(
  scheme: number,
  curve: TpmCurveName,
  staticA: Uint8Array,
  ephemeralA: Uint8Array,
  staticB: EcPoint,
  ephemeralB: EcPoint,
): EcPoint | undefined {
  const { n, bits, size } = curveParameters(curve);
  const half = BigInt((bits + 1) >> 1) - (scheme === c.TPM_ALG_SM2 ? 1n : 0n);
  /** Associated value function: the low half of x with a one before it. */
  const avf = (point: EcPoint): bigint => (bytesToBigint(point.x) % (1n << half)) + (1n << half);
  const own = avf(crypto().ecPublicKey(curve, ephemeralA));
  const [ds, de] = [bytesToBigint(staticA), bytesToBigint(ephemeralA)];
  const [fixed, weighed] = scheme === c.TPM_ALG_SM2 ? [staticB, ephemeralB] : [ephemeralB, staticB];
  const scalar = (scheme === c.TPM_ALG_SM2 ? ds + own * de : de + own * ds) % n;
  const weight = avf(ephemeralB) % n;
  if (scalar === 0n || weight === 0n) return undefined;
  const weighted = crypto().ecMultiply(curve, bigintToBytes(weight, size), weighed);
  const sum = ecAdd(curve, fixed, weighted);
  return sum === undefined ? undefined : crypto().ecMultiply(curve, bigintToBytes(scalar, size), sum);
}

const TpmiEccKeyExchange = oneOf(Uint16, [c.TPM_ALG_ECDH, c.TPM_ALG_ECMQV, c.TPM_ALG_SM2], rc.TPM_RC_SCHEME);

/** @tcg Part 3, 14.7 TPM2_ZGen_2Phase */
export const zGen2Phase = command({
  code: 0x18d,
  name: 'ZGen_2Phase',
  handles: { keyA: user(TpmiDhObject) },
  parameters: { inQsB: Tpm2bEccPoint, inQeB: Tpm2bEccPoint, inScheme: TpmiEccKeyExchange, counter: Uint16 },
  response: { outZ1: Tpm2bEccPoint, outZ2: Tpm2bEccPoint },
  run(tpm, { keyA, inQsB, inQeB, inScheme, counter }) {
    const own = exchangeObject(keyAt(tpm, keyA));
    if (typeof own === 'number') return own;
    const keyScheme = own.area.parameters.scheme.scheme;
    const badScheme = rc.rcParameter(3, rc.TPM_RC_SCHEME);
    if (keyScheme !== c.TPM_ALG_NULL && keyScheme !== inScheme) return badScheme;
    const { curveId } = own.area.parameters;
    const curve = curveOf(curveId).name;
    const staticB = sizedPoint(curveId, inQsB);
    const ephemeralB = sizedPoint(curveId, inQeB);
    if (!isOnCurve(curve, staticB)) return rc.rcParameter(1, rc.TPM_RC_ECC_POINT);
    if (!isOnCurve(curve, ephemeralB)) return rc.rcParameter(2, rc.TPM_RC_ECC_POINT);
    const r = committedValue(tpm, counter, curve, EMPTY);
    if (r === null) return rc.rcParameter(4, rc.TPM_RC_VALUE);
    if (inScheme !== c.TPM_ALG_ECDH) {
      const outZ1 = implicitExchange(inScheme, curve, own.scalar, r, staticB, ephemeralB);
      if (outZ1 === undefined) return rc.TPM_RC_NO_RESULT;
      endCommit(tpm, counter);
      return { outZ1, outZ2: NO_POINT };
    }
    const outZ1 = crypto().ecMultiply(curve, own.scalar, staticB);
    const outZ2 = crypto().ecMultiply(curve, r, ephemeralB);
    if (outZ1 === undefined || outZ2 === undefined) return rc.TPM_RC_NO_RESULT;
    endCommit(tpm, counter);
    return { outZ1, outZ2 };
  },
});

/** @tcg Part 3, 19.2 TPM2_Commit */
export const commit = command({
  code: 0x18b,
  name: 'Commit',
  handles: { signHandle: user(TpmiDhObject) },
  parameters: { P1: Tpm2bEccPoint, s2: Tpm2bSensitiveData, y2: Tpm2bEccParameter },
  response: { K: Tpm2bEccPoint, L: Tpm2bEccPoint, E: Tpm2bEccPoint, counter: Uint16 },
  run(tpm, { signHandle, P1, s2, y2 }) {
    const key = keyAt(tpm, signHandle);
    if (key?.public.type !== c.TPM_ALG_ECC || key.sensitive === null) return rc.rcHandle(1, rc.TPM_RC_KEY);
    if (!isAnonymousScheme(key.public.parameters.scheme.scheme)) return rc.rcHandle(1, rc.TPM_RC_SCHEME);
    if ((s2.length === 0) !== (y2.length === 0)) return rc.rcParameter(3, rc.TPM_RC_SIZE);
    const { curveId } = key.public.parameters;
    const { name: curve, size } = curveOf(curveId);
    const r = nextCommitValue(tpm, curve, key.name);
    let [K, L, E] = [NO_POINT, NO_POINT, NO_POINT];
    if (s2.length !== 0) {
      const x = bytesToBigint(crypto().hash(hashName(key.public.nameAlg), s2)) % curveParameters(curve).p;
      const p2 = sizedPoint(curveId, { x: bigintToBytes(x, size), y: y2 });
      if (!isOnCurve(curve, p2)) return rc.rcParameter(2, rc.TPM_RC_ECC_POINT);
      K = crypto().ecMultiply(curve, scalarOf(key.public, key.sensitive), p2) ?? NO_POINT;
      L = crypto().ecMultiply(curve, r, p2) ?? NO_POINT;
    }
    const hasP1 = P1.x.length + P1.y.length > 0;
    if (hasP1) {
      const p1 = sizedPoint(curveId, P1);
      if (!isOnCurve(curve, p1)) return rc.rcParameter(1, rc.TPM_RC_ECC_POINT);
      E = crypto().ecMultiply(curve, r, p1) ?? NO_POINT;
    } else if (s2.length === 0) E = crypto().ecPublicKey(curve, r);
    return { K, L, E, counter: takeCommit(tpm) };
  },
});

/** @tcg Part 3, 19.3 TPM2_EC_Ephemeral */
export const ecEphemeral = command({
  code: 0x18e,
  name: 'EC_Ephemeral',
  handles: {},
  parameters: { curveID: TpmiEccCurve },
  response: { Q: Tpm2bEccPoint, counter: Uint16 },
  run(tpm, { curveID }) {
    const curve = curveOf(curveID).name;
    const Q = crypto().ecPublicKey(curve, nextCommitValue(tpm, curve, EMPTY));
    return { Q, counter: takeCommit(tpm) };
  },
});
