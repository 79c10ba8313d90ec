// Making objects: keys and seeds from a stream of random bytes. For primary objects the stream follows from
// the hierarchy's seed and the template, so the same template always gives the same key; for derived ones
// from the parent's secret.

import { concat, EMPTY, utf8 } from '../base/bytes.ts';
import { bigintToBytes } from '../crypto/bigint.ts';
import { ecPrivateFromBytes, ecSeedSize } from '../crypto/ec.ts';
import { kdfA } from '../crypto/kdf.ts';
import { blockSize, crypto } from '../crypto/provider.ts';
import { rsaGenerate } from '../crypto/rsa-key.ts';
import { curveOf, hashName, hashSize } from './algorithms.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { Drbg, drbgInstantiate } from './drbg.ts';
import { marshal, sizedBytes } from './marshal.ts';
import { keyedhashLimit, publicName, symmetricUnique } from './object.ts';
import { pcrDigest } from './pcr.ts';
import * as rc from './rc.ts';
import type { TpmObject } from './state.ts';
import type { TpmlPcrSelection } from './structures.ts';
import { TpmsCreationData } from './structures-attest.ts';
import type { TpmsDerive, TpmsSensitiveCreate, TpmtPublic, TpmtSensitive } from './structures-object.ts';

/** Random bytes for keys, and apart from them for seeds (which may depend on more). */
export interface RandomSource {
  key(length: number): Uint8Array;
  seed(length: number): Uint8Array;
}

export interface Created {
  readonly public: TpmtPublic;
  readonly sensitive: TpmtSensitive;
}

/** Stream of a primary object. @tcg Part 1, 14.5 Primary Seed Properties */
export function primarySource(
  tpm: TpmCursor,
  hierarchy: number,
  template: TpmtPublic,
  data: Uint8Array,
): RandomSource {
  const { nv, reset } = tpm.state;
  const seeds = new Map([
    [c.TPM_RH_OWNER, nv.spSeed],
    [c.TPM_RH_ENDORSEMENT, nv.epSeed],
    [c.TPM_RH_PLATFORM, nv.ppSeed],
  ]);
  const seed = seeds.get(hierarchy) ?? reset.nullSeed;
  const proof = hierarchy === c.TPM_RH_ENDORSEMENT ? concat(nv.shProof, nv.ehProof) : EMPTY;
  const material = concat(
    utf8('Primary Object Creation'),
    sizedBytes(seed),
    sizedBytes(publicName(template)),
    sizedBytes(data),
  );
  const keys = new Drbg(drbgInstantiate(material));
  // The seed of an endorsement key also depends on the proofs, so that TPM2_Clear invalidates what it
  // protects.
  const forSeed = new Drbg(drbgInstantiate(concat(utf8('Seed'), material, proof)));
  return { key: (length) => keys.bytes(length), seed: (length) => forSeed.bytes(length) };
}

/** The TPM's own generator. */
export function randomSource(tpm: TpmCursor): RandomSource {
  return { key: (length) => tpm.random(length), seed: (length) => tpm.random(length) };
}

/**
 * Stream of a derived object: KDFa with the parent's secret, the label and the context.
 * @tcg Part 1, 28 Derivation
 */
export function derivationSource(parent: TpmObject, derive: TpmsDerive): RandomSource {
  const { public: area, sensitive } = parent;
  const alg = area.type === c.TPM_ALG_KEYEDHASH ? area.parameters.scheme.hashAlg : area.nameAlg;
  const MAX = 8192;
  let used = 0;
  const stream = kdfA(hashName(alg), sensitive?.sensitive ?? EMPTY, derive.label, derive.context, EMPTY, MAX);
  const next = (length: number): Uint8Array => {
    const out = stream.slice(used, used + length);
    used += length;
    return out;
  };
  return { key: next, seed: next };
}

function rsaKey(area: TpmtPublic & { type: typeof c.TPM_ALG_RSA }, random: RandomSource) {
  const { exponent, keyBits } = area.parameters;
  // Only the default exponent is supported, as RSA_DEFAULT_PUBLIC_EXPONENT of the reference.
  if (exponent !== 0 && exponent !== 65537) return rc.TPM_RC_RANGE;
  const key = rsaGenerate(keyBits, 65537n, (length) => random.key(length));
  return { unique: bigintToBytes(key.n, keyBits / 8), sensitive: bigintToBytes(key.p, keyBits / 16) };
}

/** Sensitive value of a symmetric or keyed-hash object: what the caller gave, or random octets. */
function symmetricValue(
  area: TpmtPublic & { type: typeof c.TPM_ALG_SYMCIPHER | typeof c.TPM_ALG_KEYEDHASH },
  data: Uint8Array,
  random: RandomSource,
): Uint8Array | number {
  if (area.type === c.TPM_ALG_SYMCIPHER) {
    const size = area.parameters.keyBits / 8;
    if (data.length === 0) return random.key(size);
    return data.length === size ? data : rc.TPM_RC_KEY_SIZE;
  }
  const { scheme, hashAlg } = area.parameters.scheme;
  if (data.length > keyedhashLimit(area)) return rc.TPM_RC_SIZE;
  if (data.length > 0) return data;
  const isKey = scheme === c.TPM_ALG_HMAC || scheme === c.TPM_ALG_XOR;
  const size = isKey ? Math.min(hashSize(hashAlg), blockSize(hashName(hashAlg))) : hashSize(area.nameAlg);
  return random.key(size);
}

/** Makes key material for a checked template. @tcg Part 1, 27.4 Object Creation */
export function createObject(
  template: TpmtPublic,
  create: TpmsSensitiveCreate,
  random: RandomSource,
): Created | number {
  const origin = (template.objectAttributes & c.TPMA_OBJECT_SENSITIVEDATAORIGIN) !== 0;
  const data = origin ? EMPTY : create.data;
  const authValue = create.userAuth;
  const digest = hashSize(template.nameAlg);
  const restrictedDecrypt =
    (template.objectAttributes & c.TPMA_OBJECT_RESTRICTED) !== 0 &&
    (template.objectAttributes & c.TPMA_OBJECT_SIGN_ENCRYPT) === 0;
  if (template.type === c.TPM_ALG_RSA) {
    const key = rsaKey(template, random);
    if (typeof key === 'number') return key;
    const seedValue = restrictedDecrypt ? random.seed(digest) : EMPTY;
    const sensitive = { sensitiveType: template.type, authValue, seedValue, sensitive: key.sensitive };
    return { public: { ...template, unique: key.unique }, sensitive };
  }
  if (template.type === c.TPM_ALG_ECC) {
    const curve = curveOf(template.parameters.curveId).name;
    const scalar = ecPrivateFromBytes(curve, random.key(ecSeedSize(curve)));
    const seedValue = restrictedDecrypt ? random.seed(digest) : EMPTY;
    const sensitive = { sensitiveType: template.type, authValue, seedValue, sensitive: scalar };
    return { public: { ...template, unique: crypto().ecPublicKey(curve, scalar) }, sensitive };
  }
  const value = symmetricValue(template, data, random);
  if (typeof value === 'number') return value;
  const sensitive = {
    sensitiveType: template.type,
    authValue,
    seedValue: random.seed(digest),
    sensitive: value,
  };
  return { public: { ...template, unique: symmetricUnique(template, sensitive) }, sensitive };
}

/**
 * What the TPM records about the making of an object, and its digest.
 * @tcg Part 2, 15.1 TPMS_CREATION_DATA
 */
export function creationData(
  tpm: TpmCursor,
  parent: TpmObject | null,
  parentName: Uint8Array,
  nameAlg: number,
  creationPcr: TpmlPcrSelection,
  outsideInfo: Uint8Array,
  locality: number,
): { readonly creationData: TpmsCreationData; readonly creationHash: Uint8Array } {
  const pcrs = pcrDigest(tpm, nameAlg, creationPcr);
  const data: TpmsCreationData = {
    pcrSelect: pcrs.selection,
    pcrDigest: pcrs.digest,
    locality: locality < 5 ? 1 << locality : locality,
    parentNameAlg: parent?.public.nameAlg ?? c.TPM_ALG_NULL,
    parentName,
    parentQualifiedName: parent?.qualifiedName ?? parentName,
    outsideInfo,
  };
  const creationHash = crypto().hash(hashName(nameAlg), marshal(TpmsCreationData, data));
  return { creationData: data, creationHash };
}
