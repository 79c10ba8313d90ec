// Objects: names, attribute and scheme rules, binding of public and sensitive area, and the table of loaded
// objects. How keys are made is in create.ts, how sensitive areas leave the TPM in protection.ts.

import { concat, EMPTY, equalBytes } from '../base/bytes.ts';
import { curveParameters, isEcPrivateKey, isOnCurve } from '../crypto/ec.ts';
import { blockSize, crypto } from '../crypto/provider.ts';
import { curveOf, hashName, hashSize } from './algorithms.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { keyAt } from './entity.ts';
import { be16, be32, marshal } from './marshal.ts';
import * as rc from './rc.ts';
import type { TpmObject, TransientObject } from './state.ts';
import { SYM_MODES } from './structures.ts';
import { type EccPublic, TpmtPublic, type TpmtSensitive } from './structures-object.ts';

const has = (attributes: number, bit: number): boolean => (attributes & bit) !== 0;
const R = c.TPMA_OBJECT_RESTRICTED;
const D = c.TPMA_OBJECT_DECRYPT;
const S = c.TPMA_OBJECT_SIGN_ENCRYPT;

/** @tcg Part 1, 16 Names: nameAlg || H(public area); empty when there is no nameAlg */
export function publicName(area: TpmtPublic): Uint8Array {
  if (area.nameAlg === c.TPM_ALG_NULL) return EMPTY;
  return concat(be16(area.nameAlg), crypto().hash(hashName(area.nameAlg), marshal(TpmtPublic, area)));
}

/** @tcg Part 1, 27.1 Qualified Name: nameAlg || H(parent's qualified name || name) */
export function qualifiedName(parent: Uint8Array, nameAlg: number, name: Uint8Array): Uint8Array {
  if (nameAlg === c.TPM_ALG_NULL) return EMPTY;
  return concat(be16(nameAlg), crypto().hash(hashName(nameAlg), concat(parent, name)));
}

/** Qualified name of a parent handle: a hierarchy's is its handle. */
export function qualifiedNameOf(tpm: TpmCursor, handle: number): Uint8Array {
  return keyAt(tpm, handle)?.qualifiedName ?? be32(handle);
}

export function isAsymmetric(area: TpmtPublic): boolean {
  return area.type === c.TPM_ALG_RSA || area.type === c.TPM_ALG_ECC;
}

const isRestrictedDecrypt = (area: TpmtPublic): boolean =>
  has(area.objectAttributes, R) && has(area.objectAttributes, D);

/** A storage key with its sensitive area: children can be created and loaded under it. */
export function isParent(object: TpmObject): boolean {
  return (
    object.sensitive !== null &&
    isRestrictedDecrypt(object.public) &&
    object.public.type !== c.TPM_ALG_KEYEDHASH &&
    object.public.nameAlg !== c.TPM_ALG_NULL
  );
}

/** A storage key, with or without its sensitive area: something can be encrypted to it. */
export function isStorage(object: TpmObject): boolean {
  return isRestrictedDecrypt(object.public) && object.public.type !== c.TPM_ALG_KEYEDHASH;
}

/** A restricted decryption key of type KEYEDHASH: keys are derived from it. */
export function isDerivationParent(object: TpmObject): boolean {
  return (
    object.sensitive !== null &&
    isRestrictedDecrypt(object.public) &&
    object.public.type === c.TPM_ALG_KEYEDHASH
  );
}

// --- the table of loaded objects

/**
 * Lowest transient handle of a free slot, or null when all are taken (persistent objects in use take
 * one).
 */
export function freeSlot(tpm: TpmCursor): number | null {
  const { objects } = tpm.state.ram;
  if (objects.size + tpm.borrowedSlots >= tpm.state.config.objectSlots) return null;
  let handle = c.TRANSIENT_FIRST;
  let skip = tpm.borrowedSlots;
  while (objects.has(handle) || skip-- > 0) handle++;
  return handle;
}

/** Puts an object in the table. */
export function putObject(tpm: TpmCursor, handle: number, object: TransientObject): void {
  tpm.setRam({ objects: tpm.state.ram.objects.set(handle, object) });
}

export function removeObject(tpm: TpmCursor, handle: number): void {
  tpm.setRam({ objects: tpm.state.ram.objects.delete(handle) });
}

/** Removes all loaded objects of a hierarchy. */
export function flushHierarchy(tpm: TpmCursor, hierarchy: number): void {
  const objects = tpm.state.ram.objects.filter((o) => o.kind !== 'object' || o.hierarchy !== hierarchy);
  tpm.setRam({ objects });
}

/** Members of an object that follow from where it was loaded. */
export function loadedObject(
  tpm: TpmCursor,
  parentHandle: number,
  area: TpmtPublic,
  sensitive: TpmtSensitive | null,
  external = false,
): TpmObject {
  const parent = keyAt(tpm, parentHandle);
  const name = publicName(area);
  return {
    kind: 'object',
    public: area,
    sensitive,
    name,
    qualifiedName: qualifiedName(qualifiedNameOf(tpm, parentHandle), area.nameAlg, name),
    hierarchy: parent?.hierarchy ?? parentHandle,
    primary: parent === undefined && !external,
    external,
    stClear: has(area.objectAttributes, c.TPMA_OBJECT_STCLEAR) || (parent?.stClear ?? false),
    derived: parent !== undefined && isDerivationParent(parent),
    evict: null,
  };
}

// --- rules

/** authValue padded to the digest of nameAlg; null when it is longer. */
export function adjustedAuth(auth: Uint8Array, nameAlg: number): Uint8Array | null {
  const size = nameAlg === c.TPM_ALG_NULL ? c.MAX_DIGEST : hashSize(nameAlg);
  let used = auth.length;
  while (used > 0 && auth[used - 1] === 0) used--;
  if (used > size) return null;
  const out = new Uint8Array(size);
  out.set(auth.subarray(0, used));
  return out;
}

function symmetricOf(area: TpmtPublic) {
  if (area.type === c.TPM_ALG_SYMCIPHER) return area.parameters;
  return area.type === c.TPM_ALG_KEYEDHASH ? null : area.parameters.symmetric;
}

export const ASYM_SIGN: ReadonlyMap<number, readonly number[]> = new Map([
  [c.TPM_ALG_RSA, [c.TPM_ALG_RSASSA, c.TPM_ALG_RSAPSS]],
  [c.TPM_ALG_ECC, [c.TPM_ALG_ECDSA, c.TPM_ALG_ECDAA, c.TPM_ALG_SM2, c.TPM_ALG_ECSCHNORR]],
]);
const ASYM_DECRYPT: ReadonlyMap<number, readonly number[]> = new Map([
  [c.TPM_ALG_RSA, [c.TPM_ALG_RSAES, c.TPM_ALG_OAEP]],
  [c.TPM_ALG_ECC, [c.TPM_ALG_SM2, c.TPM_ALG_ECDH, c.TPM_ALG_ECMQV]],
]);

function keyedhashScheme(area: TpmtPublic & { type: typeof c.TPM_ALG_KEYEDHASH }): number {
  const a = area.objectAttributes;
  const { scheme, kdf } = area.parameters.scheme;
  if (has(a, S) === has(a, D)) return scheme === c.TPM_ALG_NULL ? 0 : rc.TPM_RC_SCHEME;
  if (has(a, S)) return scheme === c.TPM_ALG_HMAC ? 0 : rc.TPM_RC_SCHEME;
  if (scheme !== c.TPM_ALG_XOR) return rc.TPM_RC_SCHEME;
  return has(a, R) && kdf !== c.TPM_ALG_KDF1_SP800_108 ? rc.TPM_RC_SCHEME : 0;
}

function asymmetricScheme(area: TpmtPublic & { type: typeof c.TPM_ALG_RSA | typeof c.TPM_ALG_ECC }): number {
  const a = area.objectAttributes;
  const { scheme } = area.parameters.scheme;
  const none = scheme === c.TPM_ALG_NULL;
  if (has(a, S) === has(a, D)) {
    if (!none) return rc.TPM_RC_SCHEME;
  } else if (has(a, S)) {
    if (!(ASYM_SIGN.get(area.type)?.includes(scheme) ?? false) && (has(a, R) || !none)) {
      return rc.TPM_RC_SCHEME;
    }
  } else if (has(a, R)) {
    if (!none) return rc.TPM_RC_SCHEME;
  } else if (!none && !(ASYM_DECRYPT.get(area.type)?.includes(scheme) ?? false)) {
    return rc.TPM_RC_SCHEME;
  }
  if (!isRestrictedDecrypt(area) && area.parameters.symmetric.algorithm !== c.TPM_ALG_NULL) {
    return rc.TPM_RC_SYMMETRIC;
  }
  if (area.type === c.TPM_ALG_ECC && area.parameters.kdf.scheme !== c.TPM_ALG_NULL) return rc.TPM_RC_KDF;
  return 0;
}

/** Whether the schemes of a public area fit its attributes. @tcg Part 2, 12.2.3; Part 3, 12.1 */
export function schemeChecks(parent: TpmObject | null, area: TpmtPublic): number {
  if (area.type === c.TPM_ALG_SYMCIPHER) {
    const { mode } = area.parameters;
    const blockMode = mode === c.TPM_ALG_NULL || SYM_MODES.includes(mode);
    if (has(area.objectAttributes, D) && !blockMode) return rc.TPM_RC_SCHEME;
  } else {
    const refused = area.type === c.TPM_ALG_KEYEDHASH ? keyedhashScheme(area) : asymmetricScheme(area);
    if (refused !== 0) return refused;
  }
  const symmetric = symmetricOf(area);
  if (symmetric === null || !isRestrictedDecrypt(area)) return 0;
  if (symmetric.algorithm === c.TPM_ALG_NULL) return rc.TPM_RC_SYMMETRIC;
  if (has(area.objectAttributes, c.TPMA_OBJECT_FIXEDPARENT) && parent !== null) {
    if (area.nameAlg !== parent.public.nameAlg) return rc.TPM_RC_HASH;
    const own = symmetricOf(parent.public);
    if (
      own?.algorithm !== symmetric.algorithm ||
      own.keyBits !== symmetric.keyBits ||
      own.mode !== symmetric.mode
    ) {
      return rc.TPM_RC_SYMMETRIC;
    }
  }
  return 0;
}

/**
 * Whether the attributes of a public area agree with each other and with the parent's.
 * @tcg Part 1, 25 Object Attributes; Part 2, 8.3 TPMA_OBJECT
 */
export function publicAttributesValidation(parent: TpmObject | null, area: TpmtPublic): number {
  const a = area.objectAttributes;
  const p = parent?.public.objectAttributes ?? 0;
  if (area.nameAlg === c.TPM_ALG_NULL) return rc.TPM_RC_HASH;
  const policySize = area.authPolicy.length;
  if (policySize !== 0 && policySize !== hashSize(area.nameAlg)) return rc.TPM_RC_SIZE;
  const fixedTpm = has(a, c.TPMA_OBJECT_FIXEDTPM);
  const parentFixed = parent === null || has(p, c.TPMA_OBJECT_FIXEDTPM);
  if (parentFixed) {
    if (has(a, c.TPMA_OBJECT_FIXEDPARENT) !== fixedTpm) return rc.TPM_RC_ATTRIBUTES;
  } else if (fixedTpm) return rc.TPM_RC_ATTRIBUTES;
  if (has(a, S) === has(a, D)) {
    if (has(a, R)) return rc.TPM_RC_ATTRIBUTES;
    if (area.type !== c.TPM_ALG_KEYEDHASH && !has(a, S)) return rc.TPM_RC_ATTRIBUTES;
  }
  const encrypted = has(a, c.TPMA_OBJECT_ENCRYPTEDDUPLICATION);
  if (fixedTpm && encrypted) return rc.TPM_RC_ATTRIBUTES;
  if (!parentFixed && encrypted !== has(p, c.TPMA_OBJECT_ENCRYPTEDDUPLICATION)) return rc.TPM_RC_ATTRIBUTES;
  if (parent !== null && isDerivationParent(parent)) {
    if (fixedTpm !== has(p, c.TPMA_OBJECT_FIXEDTPM)) return rc.TPM_RC_ATTRIBUTES;
    if (!has(a, c.TPMA_OBJECT_FIXEDPARENT)) return rc.TPM_RC_ATTRIBUTES;
  }
  return schemeChecks(parent, area);
}

/** Rules of creation on top of those of the public area. @tcg Part 3, 12.1 TPM2_Create */
export function createChecks(parent: TpmObject | null, area: TpmtPublic, dataSize: number): number {
  const a = area.objectAttributes;
  const origin = has(a, c.TPMA_OBJECT_SENSITIVEDATAORIGIN);
  if (!origin && dataSize === 0) return rc.TPM_RC_ATTRIBUTES;
  if (parent !== null && origin && dataSize !== 0) return rc.TPM_RC_ATTRIBUTES;
  if (area.type === c.TPM_ALG_KEYEDHASH || area.type === c.TPM_ALG_SYMCIPHER) {
    const isData = area.type === c.TPM_ALG_KEYEDHASH && !has(a, S) && !has(a, D);
    if (isData && origin) return rc.TPM_RC_ATTRIBUTES;
    const fixed = has(a, c.TPMA_OBJECT_FIXEDPARENT) || has(a, c.TPMA_OBJECT_FIXEDTPM);
    if (has(a, R) && !origin && fixed) return rc.TPM_RC_ATTRIBUTES;
  } else if (!origin) return rc.TPM_RC_ATTRIBUTES;
  return publicAttributesValidation(parent, area);
}

/** The `unique` of a symmetric or keyed-hash object. @tcg Part 1, 27.5.3.2 */
export function symmetricUnique(area: TpmtPublic, sensitive: TpmtSensitive): Uint8Array {
  const alg = hashName(area.nameAlg);
  return isRestrictedDecrypt(area)
    ? crypto().hmac(alg, sensitive.seedValue, sensitive.sensitive)
    : crypto().hash(alg, concat(sensitive.seedValue, sensitive.sensitive));
}

/** Most octets that the sensitive value of a keyed-hash object may have. */
export function keyedhashLimit(area: TpmtPublic & { type: typeof c.TPM_ALG_KEYEDHASH }): number {
  const { scheme, hashAlg } = area.parameters.scheme;
  return scheme === c.TPM_ALG_NULL ? 128 : blockSize(hashName(hashAlg));
}

const paddedTo = (bytes: Uint8Array, size: number): Uint8Array => {
  if (bytes.length >= size) return bytes;
  const out = new Uint8Array(size);
  out.set(bytes, size - bytes.length);
  return out;
};

function eccKeys(
  area: EccPublic,
  sensitive: TpmtSensitive | null,
  blamePublic: (code: number) => number,
): number {
  const curve = curveOf(area.parameters.curveId);
  const { x, y } = area.unique;
  if (sensitive === null) {
    if (x.length !== curve.size || y.length !== curve.size) return blamePublic(rc.TPM_RC_KEY);
    const checked = area.nameAlg === c.TPM_ALG_NULL || isOnCurve(curve.name, { x, y });
    return checked ? 0 : blamePublic(rc.TPM_RC_ECC_POINT);
  }
  const secret = sensitive.sensitive;
  if (secret.length > curveParameters(curve.name).size || !isEcPrivateKey(curve.name, secret)) {
    return rc.TPM_RC_KEY_SIZE;
  }
  if (area.nameAlg === c.TPM_ALG_NULL) return 0;
  const point = crypto().ecPublicKey(curve.name, paddedTo(secret, curve.size));
  const same = equalBytes(paddedTo(x, curve.size), point.x) && equalBytes(paddedTo(y, curve.size), point.y);
  return same ? 0 : rc.TPM_RC_BINDING;
}

function symmetricKeys(
  area: TpmtPublic & { type: typeof c.TPM_ALG_KEYEDHASH | typeof c.TPM_ALG_SYMCIPHER },
  sensitive: TpmtSensitive | null,
  blamePublic: (code: number) => number,
  blameSensitive: (code: number) => number,
): number {
  const digest = area.nameAlg === c.TPM_ALG_NULL ? 0 : hashSize(area.nameAlg);
  if (sensitive === null) return area.unique.length === digest ? 0 : blamePublic(rc.TPM_RC_KEY);
  const size = sensitive.sensitive.length;
  const fits =
    area.type === c.TPM_ALG_SYMCIPHER ? size * 8 === area.parameters.keyBits : size <= keyedhashLimit(area);
  if (!fits) return blameSensitive(rc.TPM_RC_KEY_SIZE);
  if (area.nameAlg === c.TPM_ALG_NULL) return 0;
  if (sensitive.seedValue.length !== digest) return blameSensitive(rc.TPM_RC_KEY_SIZE);
  return equalBytes(area.unique, symmetricUnique(area, sensitive)) ? 0 : rc.TPM_RC_BINDING;
}

/**
 * Whether key material is well formed and, where both parts are there, bound to each other.
 * @tcg Part 3, 12.3 TPM2_LoadExternal
 */
export function validateKeys(
  area: TpmtPublic,
  sensitive: TpmtSensitive | null,
  blamePublic: (code: number) => number,
  blameSensitive: (code: number) => number,
): number {
  const digest = area.nameAlg === c.TPM_ALG_NULL ? 0 : hashSize(area.nameAlg);
  if (sensitive !== null) {
    if (sensitive.sensitiveType !== area.type) return blameSensitive(rc.TPM_RC_TYPE);
    if (digest > 0 && sensitive.authValue.length > digest) return blameSensitive(rc.TPM_RC_SIZE);
  }
  if (area.type === c.TPM_ALG_RSA) {
    const size = area.parameters.keyBits / 8;
    if (area.unique.length !== size || (area.unique[0] as number) < 0x80) return blamePublic(rc.TPM_RC_KEY);
    const { exponent } = area.parameters;
    if (exponent !== 0 && exponent < 7) return blamePublic(rc.TPM_RC_VALUE);
    const prime = sensitive?.sensitive;
    if (prime !== undefined && (prime.length * 2 !== size || (prime[0] as number) < 0x80)) {
      return blameSensitive(rc.TPM_RC_KEY_SIZE);
    }
  } else {
    const refused =
      area.type === c.TPM_ALG_ECC
        ? eccKeys(area, sensitive, blamePublic)
        : symmetricKeys(area, sensitive, blamePublic, blameSensitive);
    if (refused !== 0) return refused;
  }
  if (isRestrictedDecrypt(area) && sensitive !== null && area.nameAlg !== c.TPM_ALG_NULL) {
    const seed = sensitive.seedValue.length;
    if (seed < digest / 2 || seed > digest) return blameSensitive(rc.TPM_RC_SIZE);
  }
  return 0;
}
