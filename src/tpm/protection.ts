// Protection of what leaves the TPM: outer wrap (encryption and HMAC under a parent's or an exchanged seed),
// inner wrap of duplication, private areas, credentials.

import { concat, EMPTY, equalBytes } from '../base/bytes.ts';
import { kdfA } from '../crypto/kdf.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName, hashSize } from './algorithms.ts';
import * as c from './constants.ts';
import { marshal, sizedBytes, Unmarshaller } from './marshal.ts';
import * as rc from './rc.ts';
import type { TpmObject } from './state.ts';
import { Tpm2bDigest, Tpm2bIv, type TpmtSymDef } from './structures.ts';
import { type TpmtPublic, TpmtSensitive } from './structures-object.ts';

const AES_BLOCK = 16;
const ZERO_IV = new Uint8Array(AES_BLOCK);

/** Bits of the symmetric key that a storage key protects its children with. */
function protectorBits(area: TpmtPublic): number {
  if (area.type === c.TPM_ALG_SYMCIPHER) return area.parameters.keyBits;
  return area.type === c.TPM_ALG_KEYEDHASH ? 128 : area.parameters.symmetric.keyBits;
}

interface Keys {
  readonly aes: Uint8Array;
  readonly hmac: Uint8Array;
}

/** @tcg Part 1, 23.3 Outer Wrap: keys from a seed and the Name of what is protected */
function wrapKeys(alg: number, seed: Uint8Array, name: Uint8Array, bits: number): Keys {
  const hash = hashName(alg);
  return {
    aes: kdfA(hash, seed, 'STORAGE', name, EMPTY, bits),
    hmac: kdfA(hash, seed, 'INTEGRITY', EMPTY, EMPTY, hashSize(alg) * 8),
  };
}

/** TPM2B integrity, then (TPM2B IV,) ciphertext. */
export function outerWrap(
  protector: TpmtPublic,
  seed: Uint8Array,
  name: Uint8Array,
  iv: Uint8Array | null,
  data: Uint8Array,
): Uint8Array {
  const alg = protector.nameAlg;
  const keys = wrapKeys(alg, seed, name, protectorBits(protector));
  const secret = crypto().aesCfb('encrypt', keys.aes, iv ?? ZERO_IV, data);
  const body = iv === null ? secret : concat(sizedBytes(iv), secret);
  return concat(sizedBytes(crypto().hmac(hashName(alg), keys.hmac, concat(body, name))), body);
}

/** The plain octets, or a response code. */
export function unwrapOuter(
  protector: TpmtPublic,
  seed: Uint8Array,
  name: Uint8Array,
  withIv: boolean,
  blob: Uint8Array,
): Uint8Array | number {
  const alg = protector.nameAlg;
  const r = new Unmarshaller(blob);
  const integrity = Tpm2bDigest.read(r);
  if (r.rc !== 0) return r.rc;
  const body = r.bytes.subarray(r.offset);
  const keys = wrapKeys(alg, seed, name, protectorBits(protector));
  if (!equalBytes(integrity, crypto().hmac(hashName(alg), keys.hmac, concat(body, name)))) {
    return rc.TPM_RC_INTEGRITY;
  }
  const iv = withIv ? Tpm2bIv.read(r) : ZERO_IV;
  if (r.rc !== 0) return r.rc;
  if (iv.length !== AES_BLOCK) return rc.TPM_RC_VALUE;
  return crypto().aesCfb('decrypt', keys.aes, iv, r.rest());
}

/** TPM2B_SENSITIVE with the authValue padded to the digest of nameAlg. */
function sizedSensitive(sensitive: TpmtSensitive, nameAlg: number): Uint8Array {
  const size = nameAlg === c.TPM_ALG_NULL ? 0 : hashSize(nameAlg);
  const authValue = new Uint8Array(Math.max(size, sensitive.authValue.length));
  authValue.set(sensitive.authValue);
  return sizedBytes(marshal(TpmtSensitive, { ...sensitive, authValue }));
}

/** Reads a TPM2B_SENSITIVE that must fill the octets; null when it does not. */
function readSensitive(bytes: Uint8Array): { readonly sensitive: TpmtSensitive | null; readonly rc: number } {
  const r = new Unmarshaller(bytes);
  const size = r.u16();
  if (r.rc !== 0) return { sensitive: null, rc: r.rc };
  if (size !== r.remaining) return { sensitive: null, rc: rc.TPM_RC_SIZE };
  const sensitive = TpmtSensitive.read(r);
  if (r.rc !== 0) return { sensitive: null, rc: r.rc };
  return r.remaining === 0 ? { sensitive, rc: 0 } : { sensitive: null, rc: rc.TPM_RC_SIZE };
}

const seedOf = (parent: TpmObject): Uint8Array => parent.sensitive?.seedValue ?? EMPTY;

/** TPM2B_PRIVATE of an object under its parent. */
export function sensitiveToPrivate(
  parent: TpmObject,
  name: Uint8Array,
  nameAlg: number,
  sensitive: TpmtSensitive,
  iv: Uint8Array,
): Uint8Array {
  return outerWrap(parent.public, seedOf(parent), name, iv, sizedSensitive(sensitive, nameAlg));
}

/** The sensitive area of a TPM2B_PRIVATE, or a response code. */
export function privateToSensitive(
  parent: TpmObject,
  name: Uint8Array,
  blob: Uint8Array,
): TpmtSensitive | number {
  const plain = unwrapOuter(parent.public, seedOf(parent), name, true, blob);
  if (typeof plain === 'number') return plain;
  return readSensitive(plain).sensitive ?? rc.TPM_RC_SENSITIVE;
}

/**
 * A duplication blob: inner wrap under `innerKey` when there is a symmetric algorithm, outer wrap when there
 * is a seed.
 * @tcg Part 1, 23.3 Duplication
 */
export function sensitiveToDuplicate(
  newParent: TpmtPublic | null,
  seed: Uint8Array,
  name: Uint8Array,
  nameAlg: number,
  symmetric: TpmtSymDef,
  innerKey: Uint8Array,
  sensitive: TpmtSensitive,
): Uint8Array {
  let data = sizedSensitive(sensitive, nameAlg);
  if (symmetric.algorithm !== c.TPM_ALG_NULL) {
    const integrity = crypto().hash(hashName(nameAlg), concat(data, name));
    data = crypto().aesCfb('encrypt', innerKey, ZERO_IV, concat(sizedBytes(integrity), data));
  }
  return newParent === null ? data : outerWrap(newParent, seed, name, null, data);
}

/** The sensitive area of a duplication blob, or a response code. */
export function duplicateToSensitive(
  parent: TpmtPublic,
  seed: Uint8Array,
  name: Uint8Array,
  nameAlg: number,
  symmetric: TpmtSymDef,
  innerKey: Uint8Array,
  blob: Uint8Array,
): TpmtSensitive | number {
  let data = blob;
  if (seed.length !== 0) {
    const plain = unwrapOuter(parent, seed, name, false, data);
    if (typeof plain === 'number') return plain;
    data = plain;
  }
  if (symmetric.algorithm !== c.TPM_ALG_NULL) {
    const r = new Unmarshaller(crypto().aesCfb('decrypt', innerKey, ZERO_IV, data));
    const integrity = Tpm2bDigest.read(r);
    if (r.rc !== 0) return r.rc;
    data = r.rest();
    if (!equalBytes(integrity, crypto().hash(hashName(nameAlg), concat(data, name)))) {
      return rc.TPM_RC_INTEGRITY;
    }
  }
  const read = readSensitive(data);
  return read.sensitive ?? read.rc;
}

/** TPM2B_ID_OBJECT that carries `credential` for the object `name`. */
export function secretToCredential(
  protector: TpmtPublic,
  seed: Uint8Array,
  name: Uint8Array,
  credential: Uint8Array,
): Uint8Array {
  return outerWrap(protector, seed, name, null, sizedBytes(credential));
}

/** The credential of a TPM2B_ID_OBJECT, or a response code. */
export function credentialToSecret(
  protector: TpmtPublic,
  seed: Uint8Array,
  name: Uint8Array,
  blob: Uint8Array,
): Uint8Array | number {
  const plain = unwrapOuter(protector, seed, name, false, blob);
  if (typeof plain === 'number') return plain;
  const r = new Unmarshaller(plain);
  const credential = Tpm2bDigest.read(r);
  if (r.rc !== 0) return r.rc;
  return r.remaining === 0 ? credential : rc.TPM_RC_SIZE;
}
