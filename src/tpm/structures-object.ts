// Structures of objects: schemes, key parameters, public and sensitive areas, private areas, identity objects
// (Part 2, 11 and 12). The unions are told apart by their algorithm; a scheme is kept flat as algorithm,
// hash, KDF and count.

import { EMPTY } from '../base/bytes.ts';
import type { Writer } from '../base/codec.ts';
import { isCurve } from './algorithms.ts';
import * as c from './constants.ts';
import {
  type Codec,
  type Infer,
  limited,
  oneOf,
  optionalTpm2bOf,
  struct,
  tpm2b,
  tpm2bOf,
  Uint16,
  Uint32,
  type Unmarshaller,
} from './marshal.ts';
import * as rc from './rc.ts';
import {
  Tpm2bAuth,
  Tpm2bDigest,
  Tpm2bEccParameter,
  Tpm2bPublicKeyRsa,
  Tpm2bSensitiveData,
  TpmiAlgHash,
  TpmiAlgHashNull,
  TpmsSymcipherParms,
  TpmtSymDefObject,
} from './structures.ts';

// --- schemes (Part 2, 11.2)

export interface Scheme {
  readonly scheme: number;
  /** TPM_ALG_NULL where the scheme has no hash. */
  readonly hashAlg: number;
  /** Only for TPM_ALG_XOR: its key derivation function. */
  readonly kdf: number;
  /** Only for TPM_ALG_ECDAA: the counter of TPM2_Commit. */
  readonly count: number;
}

export const SCHEME_NULL: Scheme = {
  scheme: c.TPM_ALG_NULL,
  hashAlg: c.TPM_ALG_NULL,
  kdf: c.TPM_ALG_NULL,
  count: 0,
};

const WITHOUT_DETAILS: readonly number[] = [c.TPM_ALG_NULL, c.TPM_ALG_RSAES];
const KDFS: readonly number[] = [
  c.TPM_ALG_MGF1,
  c.TPM_ALG_KDF1_SP800_56A,
  c.TPM_ALG_KDF2,
  c.TPM_ALG_KDF1_SP800_108,
];
const TpmiAlgKdf = oneOf(Uint16, KDFS, rc.TPM_RC_KDF);
const TpmiAlgKdfNull = oneOf(Uint16, [...KDFS, c.TPM_ALG_NULL], rc.TPM_RC_KDF);

function readScheme(r: Unmarshaller, algorithm: Codec<number>): Scheme {
  const scheme = algorithm.read(r);
  if (r.failed || WITHOUT_DETAILS.includes(scheme)) return { ...SCHEME_NULL, scheme };
  const hashAlg = TpmiAlgHash.read(r);
  if (scheme === c.TPM_ALG_XOR) return { ...SCHEME_NULL, scheme, hashAlg, kdf: TpmiAlgKdfNull.read(r) };
  if (scheme === c.TPM_ALG_ECDAA) return { ...SCHEME_NULL, scheme, hashAlg, count: r.u16() };
  return { ...SCHEME_NULL, scheme, hashAlg };
}

function writeScheme(w: Writer, v: Scheme): void {
  w.u16(v.scheme);
  if (WITHOUT_DETAILS.includes(v.scheme)) return;
  w.u16(v.hashAlg);
  if (v.scheme === c.TPM_ALG_XOR) w.u16(v.kdf);
  if (v.scheme === c.TPM_ALG_ECDAA) w.u16(v.count);
}

function schemeOf(allowed: readonly number[], refusal: number): Codec<Scheme> {
  const algorithm = oneOf(Uint16, [...allowed, c.TPM_ALG_NULL], refusal);
  return { read: (r) => readScheme(r, algorithm), write: writeScheme };
}

const RSA_SIGN = [c.TPM_ALG_RSASSA, c.TPM_ALG_RSAPSS];
const RSA_ENCRYPT = [c.TPM_ALG_RSAES, c.TPM_ALG_OAEP];
const ECC_SIGN = [c.TPM_ALG_ECDSA, c.TPM_ALG_ECDAA, c.TPM_ALG_SM2, c.TPM_ALG_ECSCHNORR];

export const TpmtKeyedhashScheme = schemeOf([c.TPM_ALG_HMAC, c.TPM_ALG_XOR], rc.TPM_RC_VALUE);
export const TpmtSigScheme = schemeOf([...RSA_SIGN, ...ECC_SIGN, c.TPM_ALG_HMAC], rc.TPM_RC_SCHEME);
export const TpmtRsaScheme = schemeOf([...RSA_SIGN, ...RSA_ENCRYPT], rc.TPM_RC_VALUE);
export const TpmtRsaDecrypt = schemeOf(RSA_ENCRYPT, rc.TPM_RC_VALUE);
export const TpmtEccScheme = schemeOf([...ECC_SIGN, c.TPM_ALG_ECDH, c.TPM_ALG_ECMQV], rc.TPM_RC_SCHEME);

export interface KdfScheme {
  readonly scheme: number;
  readonly hashAlg: number;
}

export const TpmtKdfScheme: Codec<KdfScheme> = {
  read(r) {
    const scheme = TpmiAlgKdfNull.read(r);
    if (r.failed || scheme === c.TPM_ALG_NULL) return { scheme, hashAlg: c.TPM_ALG_NULL };
    return { scheme, hashAlg: TpmiAlgHash.read(r) };
  },
  write(w, v) {
    w.u16(v.scheme);
    if (v.scheme !== c.TPM_ALG_NULL) w.u16(v.hashAlg);
  },
};
export const TpmiAlgKdfAny = TpmiAlgKdf;

export const TpmiEccCurve = limited(Uint16, isCurve, rc.TPM_RC_CURVE);
const TpmiRsaKeyBits = oneOf(Uint16, [1024, 2048, 3072], rc.TPM_RC_VALUE);

export const TpmsEccPoint = struct({ x: Tpm2bEccParameter, y: Tpm2bEccParameter });
export type TpmsEccPoint = Infer<typeof TpmsEccPoint>;
export const Tpm2bEccPoint = tpm2bOf(TpmsEccPoint);

// --- public area (Part 2, 12.2)

export const TpmsKeyedhashParms = struct({ scheme: TpmtKeyedhashScheme });
export const TpmsRsaParms = struct({
  symmetric: TpmtSymDefObject,
  scheme: TpmtRsaScheme,
  keyBits: TpmiRsaKeyBits,
  exponent: Uint32,
});
export const TpmsEccParms = struct({
  symmetric: TpmtSymDefObject,
  scheme: TpmtEccScheme,
  curveId: TpmiEccCurve,
  kdf: TpmtKdfScheme,
});
export type TpmsRsaParms = Infer<typeof TpmsRsaParms>;
export type TpmsEccParms = Infer<typeof TpmsEccParms>;
export type TpmsKeyedhashParms = Infer<typeof TpmsKeyedhashParms>;

const ASYM_SIZED: Codec<Infer<typeof TpmsSymcipherParms>> = TpmsSymcipherParms;

interface PublicCommon {
  readonly nameAlg: number;
  readonly objectAttributes: number;
  readonly authPolicy: Uint8Array;
}
export interface RsaPublic extends PublicCommon {
  readonly type: typeof c.TPM_ALG_RSA;
  readonly parameters: TpmsRsaParms;
  readonly unique: Uint8Array;
}
export interface EccPublic extends PublicCommon {
  readonly type: typeof c.TPM_ALG_ECC;
  readonly parameters: TpmsEccParms;
  readonly unique: TpmsEccPoint;
}
export interface KeyedhashPublic extends PublicCommon {
  readonly type: typeof c.TPM_ALG_KEYEDHASH;
  readonly parameters: TpmsKeyedhashParms;
  readonly unique: Uint8Array;
}
export interface SymcipherPublic extends PublicCommon {
  readonly type: typeof c.TPM_ALG_SYMCIPHER;
  readonly parameters: Infer<typeof TpmsSymcipherParms>;
  readonly unique: Uint8Array;
}
export type TpmtPublic = RsaPublic | EccPublic | KeyedhashPublic | SymcipherPublic;

export const TpmiAlgPublic = oneOf(
  Uint16,
  [c.TPM_ALG_RSA, c.TPM_ALG_KEYEDHASH, c.TPM_ALG_ECC, c.TPM_ALG_SYMCIPHER],
  rc.TPM_RC_TYPE,
);

const OBJECT_ATTRIBUTES =
  c.TPMA_OBJECT_FIXEDTPM |
  c.TPMA_OBJECT_STCLEAR |
  c.TPMA_OBJECT_FIXEDPARENT |
  c.TPMA_OBJECT_SENSITIVEDATAORIGIN |
  c.TPMA_OBJECT_USERWITHAUTH |
  c.TPMA_OBJECT_ADMINWITHPOLICY |
  c.TPMA_OBJECT_NODA |
  c.TPMA_OBJECT_ENCRYPTEDDUPLICATION |
  c.TPMA_OBJECT_RESTRICTED |
  c.TPMA_OBJECT_DECRYPT |
  c.TPMA_OBJECT_SIGN_ENCRYPT |
  c.TPMA_OBJECT_X509SIGN;
export const TpmaObject = limited(Uint32, (v) => (v & ~OBJECT_ATTRIBUTES) === 0, rc.TPM_RC_RESERVED_BITS);

const EMPTY_POINT: TpmsEccPoint = { x: EMPTY, y: EMPTY };
/** Parameters of something that did not unmarshal; never used, because the reader has failed. */
const UNREAD = { scheme: SCHEME_NULL };

function readUnion(r: Unmarshaller, type: number, common: PublicCommon): TpmtPublic {
  if (type === c.TPM_ALG_RSA) {
    return { type, ...common, parameters: TpmsRsaParms.read(r), unique: Tpm2bPublicKeyRsa.read(r) };
  }
  if (type === c.TPM_ALG_ECC) {
    const parameters = TpmsEccParms.read(r);
    return { type, ...common, parameters, unique: r.failed ? EMPTY_POINT : TpmsEccPoint.read(r) };
  }
  if (type === c.TPM_ALG_SYMCIPHER) {
    return { type, ...common, parameters: ASYM_SIZED.read(r), unique: Tpm2bDigest.read(r) };
  }
  const parameters = r.failed ? UNREAD : TpmsKeyedhashParms.read(r);
  const unique = Tpm2bDigest.read(r);
  return { type: c.TPM_ALG_KEYEDHASH, ...common, parameters, unique };
}

function publicOf(nameAlgCodec: Codec<number>): Codec<TpmtPublic> {
  return {
    read(r) {
      const type = TpmiAlgPublic.read(r);
      const nameAlg = nameAlgCodec.read(r);
      const objectAttributes = TpmaObject.read(r);
      const authPolicy = Tpm2bDigest.read(r);
      return readUnion(r, type, { nameAlg, objectAttributes, authPolicy });
    },
    write(w, v) {
      w.u16(v.type).u16(v.nameAlg).u32(v.objectAttributes);
      Tpm2bDigest.write(w, v.authPolicy);
      writePublicParms(w, v);
      if (v.type === c.TPM_ALG_ECC) TpmsEccPoint.write(w, v.unique);
      else w.u16(v.unique.length).bytes(v.unique);
    },
  };
}

/** TPMT_PUBLIC+: the name algorithm may be TPM_ALG_NULL. */
export const TpmtPublic = publicOf(TpmiAlgHashNull);
/** TPMT_PUBLIC: as templates have it. */
export const TpmtTemplate = publicOf(TpmiAlgHash);

function writePublicParms(w: Writer, v: TpmtPublic): void {
  if (v.type === c.TPM_ALG_RSA) TpmsRsaParms.write(w, v.parameters);
  else if (v.type === c.TPM_ALG_ECC) TpmsEccParms.write(w, v.parameters);
  else if (v.type === c.TPM_ALG_SYMCIPHER) ASYM_SIZED.write(w, v.parameters);
  else TpmsKeyedhashParms.write(w, v.parameters);
}

/** TPM2B_PUBLIC as commands take it: nameAlg must be a hash. */
export const Tpm2bPublic = tpm2bOf(TpmtTemplate);
/** TPM2B_PUBLIC of TPM2_LoadExternal: nameAlg may be TPM_ALG_NULL. */
export const Tpm2bPublicNull = tpm2bOf(TpmtPublic);
export const Tpm2bTemplate = tpm2b(1024);

export const TpmsDerive = struct({ label: tpm2b(32), context: tpm2b(32) });
export type TpmsDerive = Infer<typeof TpmsDerive>;

/**
 * Template of TPM2_CreateLoaded under a derivation parent: `unique` is a label and a context.
 * @tcg Part 2, 12.2.6 TPM2B_TEMPLATE
 */
export function readDerivationTemplate(r: Unmarshaller): { template: TpmtPublic; derive: TpmsDerive } {
  const type = TpmiAlgPublic.read(r);
  const nameAlg = TpmiAlgHash.read(r);
  const objectAttributes = TpmaObject.read(r);
  const authPolicy = Tpm2bDigest.read(r);
  const common = { nameAlg, objectAttributes, authPolicy };
  if (type === c.TPM_ALG_ECC) {
    const parameters = TpmsEccParms.read(r);
    return { template: { type, ...common, parameters, unique: EMPTY_POINT }, derive: TpmsDerive.read(r) };
  }
  if (type === c.TPM_ALG_SYMCIPHER) {
    const parameters = ASYM_SIZED.read(r);
    return { template: { type, ...common, parameters, unique: EMPTY }, derive: TpmsDerive.read(r) };
  }
  if (type !== c.TPM_ALG_KEYEDHASH) r.refuse(rc.TPM_RC_TYPE);
  const parameters = TpmsKeyedhashParms.read(r);
  return {
    template: { type: c.TPM_ALG_KEYEDHASH, ...common, parameters, unique: EMPTY },
    derive: TpmsDerive.read(r),
  };
}

/** TPMT_PUBLIC_PARMS of TPM2_TestParms. */
export const TpmtPublicParms: Codec<{ readonly type: number; readonly parameters: unknown }> = {
  read(r) {
    const type = TpmiAlgPublic.read(r);
    if (type === c.TPM_ALG_RSA) return { type, parameters: TpmsRsaParms.read(r) };
    if (type === c.TPM_ALG_ECC) return { type, parameters: TpmsEccParms.read(r) };
    if (type === c.TPM_ALG_SYMCIPHER) return { type, parameters: ASYM_SIZED.read(r) };
    return { type, parameters: r.failed ? UNREAD : TpmsKeyedhashParms.read(r) };
  },
  write(w, v) {
    w.u16(v.type);
    if (v.type === c.TPM_ALG_RSA) TpmsRsaParms.write(w, v.parameters as TpmsRsaParms);
    else if (v.type === c.TPM_ALG_ECC) TpmsEccParms.write(w, v.parameters as TpmsEccParms);
    else if (v.type === c.TPM_ALG_SYMCIPHER) {
      ASYM_SIZED.write(w, v.parameters as Infer<typeof TpmsSymcipherParms>);
    } else TpmsKeyedhashParms.write(w, v.parameters as TpmsKeyedhashParms);
  },
};

// --- sensitive area (Part 2, 12.3)

/** Octets of the type-specific part: RSA prime, ECC scalar, sealed data or HMAC key, symmetric key. */
export const TpmtSensitive = struct({
  sensitiveType: TpmiAlgPublic,
  authValue: Tpm2bAuth,
  seedValue: Tpm2bDigest,
  sensitive: tpm2b(512),
});
export type TpmtSensitive = Infer<typeof TpmtSensitive>;
export const Tpm2bSensitive = optionalTpm2bOf(TpmtSensitive);
export const Tpm2bPrivate = tpm2b(1500);

export const TpmsSensitiveCreate = struct({ userAuth: Tpm2bAuth, data: Tpm2bSensitiveData });
export type TpmsSensitiveCreate = Infer<typeof TpmsSensitiveCreate>;
export const Tpm2bSensitiveCreate = tpm2bOf(TpmsSensitiveCreate);
export const Tpm2bIdObject = tpm2b(2 * (2 + c.MAX_DIGEST));
