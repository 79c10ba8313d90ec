// Base structures of TCG Part 2: interface types for algorithms and handles, digests, names, lists, PCR
// selections, symmetric definitions, capability data, time. Each is a codec with TCG's name; the type has the
// same name.

import { assert } from '../base/assert.ts';
import type { Writer } from '../base/codec.ts';
import { hashSize, isHashAlg } from './algorithms.ts';
import * as c from './constants.ts';
import {
  type Codec,
  type Infer,
  limited,
  list,
  oneOf,
  struct,
  tpm2b,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
} from './marshal.ts';
import * as rc from './rc.ts';

// --- interface types (Part 2, 9)

export const TpmiYesNo = oneOf(Uint8, [0, 1]);
export const TpmiAlgHash = limited(Uint16, isHashAlg, rc.TPM_RC_HASH);
export const TpmiAlgHashNull = limited(Uint16, (v) => isHashAlg(v) || v === c.TPM_ALG_NULL, rc.TPM_RC_HASH);
export const TpmSu = oneOf(Uint16, [c.TPM_SU_CLEAR, c.TPM_SU_STATE]);
export const TpmSe = oneOf(Uint8, [c.TPM_SE_HMAC, c.TPM_SE_POLICY, c.TPM_SE_TRIAL]);

const inRange =
  (first: number, last: number) =>
  (h: number): boolean =>
    h >= first && h <= last;
const isTransient = (h: number): boolean => c.handleType(h) === c.TPM_HT_TRANSIENT;
const isPersistent = inRange(c.PERSISTENT_FIRST, c.PERSISTENT_LAST);
const isPcr = (h: number): boolean => h < c.IMPLEMENTATION_PCR;
const isNv = inRange(c.NV_INDEX_FIRST, c.NV_INDEX_LAST);
const isHmacSession = inRange(c.HMAC_SESSION_FIRST, c.HMAC_SESSION_FIRST + c.MAX_ACTIVE_SESSIONS - 1);
const isPolicySession = inRange(c.POLICY_SESSION_FIRST, c.POLICY_SESSION_FIRST + c.MAX_ACTIVE_SESSIONS - 1);
const HIERARCHIES: readonly number[] = [c.TPM_RH_OWNER, c.TPM_RH_PLATFORM, c.TPM_RH_ENDORSEMENT];

/** TRANSIENT_LAST follows from the number of slots, which is the TPM's and stands in the reader. */
const handle = (allowed: (h: number) => boolean): Codec<number> =>
  limited(Uint32, (h, r) => allowed(h) && !(isTransient(h) && h - c.TRANSIENT_FIRST >= r.objectSlots));
const handleOf = (...values: readonly number[]): Codec<number> => oneOf(Uint32, values);

export const TpmHandle: Codec<number> = Uint32;
export const TpmiDhObject = handle((h) => isTransient(h) || isPersistent(h));
export const TpmiDhObjectNull = handle((h) => isTransient(h) || isPersistent(h) || h === c.TPM_RH_NULL);
export const TpmiDhParent = handle(
  (h) => isTransient(h) || isPersistent(h) || HIERARCHIES.includes(h) || h === c.TPM_RH_NULL,
);
export const TpmiDhPersistent = handle(isPersistent);
export const TpmiDhEntity = handle(
  (h) =>
    HIERARCHIES.includes(h) ||
    h === c.TPM_RH_LOCKOUT ||
    isTransient(h) ||
    isPersistent(h) ||
    isNv(h) ||
    isPcr(h),
);
export const TpmiDhEntityNull = handle(
  (h) =>
    HIERARCHIES.includes(h) ||
    h === c.TPM_RH_LOCKOUT ||
    h === c.TPM_RH_NULL ||
    isTransient(h) ||
    isPersistent(h) ||
    isNv(h) ||
    isPcr(h),
);
export const TpmiDhPcr = handle(isPcr);
export const TpmiDhPcrNull = handle((h) => isPcr(h) || h === c.TPM_RH_NULL);
export const TpmiShAuthSession = handle((h) => isHmacSession(h) || isPolicySession(h) || h === c.TPM_RS_PW);
export const TpmiShHmac = handle(isHmacSession);
export const TpmiShPolicy = handle(isPolicySession);
export const TpmiDhContext = handle((h) => isHmacSession(h) || isPolicySession(h) || isTransient(h));
export const TpmiDhSaved = limited(
  Uint32,
  (h) => isHmacSession(h) || isPolicySession(h) || (h >= 0x80000000 && h <= 0x80000002),
);
export const TpmiRhHierarchy = handleOf(...HIERARCHIES, c.TPM_RH_NULL);
export const TpmiRhBaseHierarchy = handleOf(...HIERARCHIES);
export const TpmiRhEnables = handleOf(...HIERARCHIES, c.TPM_RH_PLATFORM_NV);
export const TpmiRhEnablesNull = handleOf(...HIERARCHIES, c.TPM_RH_PLATFORM_NV, c.TPM_RH_NULL);
export const TpmiRhHierarchyAuth = handleOf(...HIERARCHIES, c.TPM_RH_LOCKOUT);
export const TpmiRhHierarchyPolicy = TpmiRhHierarchyAuth;
export const TpmiRhPlatform = handleOf(c.TPM_RH_PLATFORM);
export const TpmiRhEndorsement = handleOf(c.TPM_RH_ENDORSEMENT);
export const TpmiRhProvision = handleOf(c.TPM_RH_OWNER, c.TPM_RH_PLATFORM);
export const TpmiRhClear = handleOf(c.TPM_RH_LOCKOUT, c.TPM_RH_PLATFORM);
export const TpmiRhLockout = handleOf(c.TPM_RH_LOCKOUT);
export const TpmiRhNvAuth = handle((h) => h === c.TPM_RH_PLATFORM || h === c.TPM_RH_OWNER || isNv(h));
export const TpmiRhNvIndex = handle(isNv);

// --- digests, names, auth values (Part 2, 10.4)

export const Tpm2bDigest = tpm2b(c.MAX_DIGEST);
export const Tpm2bNonce = Tpm2bDigest;
export const Tpm2bAuth = Tpm2bDigest;
export const Tpm2bOperand = Tpm2bDigest;
export const Tpm2bData = tpm2b(c.MAX_DIGEST + 2);
export const Tpm2bEvent = tpm2b(1024);
export const Tpm2bMaxBuffer = tpm2b(c.MAX_DIGEST_BUFFER);
export const Tpm2bMaxNvBuffer = tpm2b(c.MAX_NV_BUFFER_SIZE);
/** TPMU_NAME holds a handle too: its size is rounded up to that of a handle. */
export const Tpm2bName = tpm2b(c.MAX_DIGEST + 4);
export const Tpm2bIv = tpm2b(16);
export const Tpm2bTimeout = tpm2b(9);
export const Tpm2bEncryptedSecret = tpm2b(c.MAX_RSA_KEY_BYTES);
export const Tpm2bSensitiveData = tpm2b(c.MAX_SYM_DATA);
export const Tpm2bPublicKeyRsa = tpm2b(c.MAX_RSA_KEY_BYTES);
export const Tpm2bEccParameter = tpm2b(c.MAX_ECC_KEY_BYTES);

/** TPMT_HA: an algorithm and a digest of its size. */
export const TpmtHa: Codec<TpmtHa> = {
  read(r) {
    const hashAlg = TpmiAlgHash.read(r);
    return { hashAlg, digest: r.failed ? r.take(0) : r.take(hashSize(hashAlg)) };
  },
  write(w, v) {
    w.u16(v.hashAlg).bytes(v.digest);
  },
};
export interface TpmtHa {
  readonly hashAlg: number;
  readonly digest: Uint8Array;
}

const HASH_COUNT = 4;
export const TpmlDigestValues = list(TpmtHa, HASH_COUNT);
export const TpmlDigest = list(Tpm2bDigest, 8);
/** TPML_DIGEST as TPM2_PolicyOR takes it: at least two. */
export const TpmlDigestOr = list(Tpm2bDigest, 8, 2);
export const TpmlCc = list(Uint32, 256);
export const TpmlAlg = list(Uint16, 128);
export const TpmlHandle = list(Uint32, 254);

// --- PCR selection (Part 2, 10.6)

export interface TpmsPcrSelection {
  readonly hash: number;
  readonly pcrSelect: Uint8Array;
}

export const TpmsPcrSelection: Codec<TpmsPcrSelection> = {
  read(r) {
    const hash = TpmiAlgHash.read(r);
    const size = r.u8();
    if (!r.failed && (size < c.PCR_SELECT_MAX || size > c.PCR_SELECT_MAX)) r.refuse(rc.TPM_RC_VALUE);
    return { hash, pcrSelect: r.take(size) };
  },
  write(w, v) {
    w.u16(v.hash).u8(v.pcrSelect.length).bytes(v.pcrSelect);
  },
};

export const TpmlPcrSelection = list(TpmsPcrSelection, HASH_COUNT);
export type TpmlPcrSelection = Infer<typeof TpmlPcrSelection>;

// --- symmetric definitions (Part 2, 11.1)

export interface TpmtSymDef {
  readonly algorithm: number;
  /** Key bits; for TPM_ALG_XOR the hash algorithm; 0 for TPM_ALG_NULL. */
  readonly keyBits: number;
  readonly mode: number;
}

export const SYM_NULL: TpmtSymDef = { algorithm: c.TPM_ALG_NULL, keyBits: 0, mode: 0 };

const AES_KEY_BITS = oneOf(Uint16, [128, 256]);
export const SYM_MODES: readonly number[] = [
  c.TPM_ALG_CTR,
  c.TPM_ALG_OFB,
  c.TPM_ALG_CBC,
  c.TPM_ALG_CFB,
  c.TPM_ALG_ECB,
];
export const TpmiAlgSymMode = oneOf(Uint16, SYM_MODES, rc.TPM_RC_MODE);
export const TpmiAlgCipherModeNull = oneOf(Uint16, [...SYM_MODES, c.TPM_ALG_NULL], rc.TPM_RC_MODE);
const TpmiAlgSymModeNull = oneOf(Uint16, [...SYM_MODES, c.TPM_ALG_CMAC, c.TPM_ALG_NULL], rc.TPM_RC_MODE);

function symDef(allowed: readonly number[], mode: Codec<number>): Codec<TpmtSymDef> {
  const algorithmCodec = oneOf(Uint16, allowed, rc.TPM_RC_SYMMETRIC);
  return {
    read(r) {
      const algorithm = algorithmCodec.read(r);
      if (algorithm === c.TPM_ALG_NULL || r.failed) return SYM_NULL;
      if (algorithm === c.TPM_ALG_XOR) return { algorithm, keyBits: TpmiAlgHash.read(r), mode: 0 };
      return { algorithm, keyBits: AES_KEY_BITS.read(r), mode: mode.read(r) };
    },
    write(w, v) {
      w.u16(v.algorithm);
      if (v.algorithm === c.TPM_ALG_NULL) return;
      w.u16(v.keyBits);
      if (v.algorithm !== c.TPM_ALG_XOR) w.u16(v.mode);
    },
  };
}

/** TPMT_SYM_DEF+: for sessions. */
export const TpmtSymDef = symDef([c.TPM_ALG_AES, c.TPM_ALG_XOR, c.TPM_ALG_NULL], TpmiAlgSymModeNull);
/** TPMT_SYM_DEF_OBJECT+: for objects. */
export const TpmtSymDefObject = symDef([c.TPM_ALG_AES, c.TPM_ALG_NULL], TpmiAlgSymModeNull);
/** TPMT_SYM_DEF_OBJECT without the null algorithm: a TPMS_SYMCIPHER_PARMS. */
export const TpmsSymcipherParms = symDef([c.TPM_ALG_AES], TpmiAlgSymModeNull);

// --- time (Part 2, 10.11)

export const TpmsClockInfo = struct({
  clock: Uint64,
  resetCount: Uint32,
  restartCount: Uint32,
  safe: TpmiYesNo,
});
export type TpmsClockInfo = Infer<typeof TpmsClockInfo>;

export const TpmsTimeInfo = struct({ time: Uint64, clockInfo: TpmsClockInfo });
export type TpmsTimeInfo = Infer<typeof TpmsTimeInfo>;

// --- capability data (Part 2, 10.10)

export const TpmsAlgProperty = struct({ alg: Uint16, algProperties: Uint32 });
export const TpmsTaggedProperty = struct({ property: Uint32, value: Uint32 });
export const TpmsTaggedPcrSelect: Codec<{ readonly tag: number; readonly pcrSelect: Uint8Array }> = {
  read: (r) => ({ tag: r.u32(), pcrSelect: r.take(r.u8()) }),
  write: (w, v) => void w.u32(v.tag).u8(v.pcrSelect.length).bytes(v.pcrSelect),
};
const TpmsTaggedPolicy: Codec<{
  readonly handle: number;
  readonly hashAlg: number;
  readonly digest: Uint8Array;
}> = {
  read(r) {
    const tagged = { handle: r.u32(), hashAlg: TpmiAlgHashNull.read(r) };
    const size = r.failed || tagged.hashAlg === c.TPM_ALG_NULL ? 0 : hashSize(tagged.hashAlg);
    return { ...tagged, digest: r.take(size) };
  },
  write: (w, v) => void w.u32(v.handle).u16(v.hashAlg).bytes(v.digest),
};

const CAPABILITY_LISTS: ReadonlyMap<number, Codec<readonly unknown[]>> = new Map<
  number,
  Codec<readonly unknown[]>
>([
  [c.TPM_CAP_ALGS, list(TpmsAlgProperty, 127) as Codec<readonly unknown[]>],
  [c.TPM_CAP_HANDLES, TpmlHandle as Codec<readonly unknown[]>],
  [c.TPM_CAP_COMMANDS, TpmlCc as Codec<readonly unknown[]>],
  [c.TPM_CAP_PP_COMMANDS, TpmlCc as Codec<readonly unknown[]>],
  [c.TPM_CAP_AUDIT_COMMANDS, TpmlCc as Codec<readonly unknown[]>],
  [c.TPM_CAP_PCRS, TpmlPcrSelection as Codec<readonly unknown[]>],
  [c.TPM_CAP_TPM_PROPERTIES, list(TpmsTaggedProperty, 127) as Codec<readonly unknown[]>],
  [c.TPM_CAP_PCR_PROPERTIES, list(TpmsTaggedPcrSelect, 127) as Codec<readonly unknown[]>],
  [c.TPM_CAP_ECC_CURVES, list(Uint16, 508) as Codec<readonly unknown[]>],
  [c.TPM_CAP_AUTH_POLICIES, list(TpmsTaggedPolicy, 14) as Codec<readonly unknown[]>],
  [c.TPM_CAP_ACT, list(Uint32, 84) as Codec<readonly unknown[]>],
]);

export interface TpmsCapabilityData {
  readonly capability: number;
  readonly data: readonly unknown[];
}

/** TPMS_CAPABILITY_DATA: the list's type follows from the capability. */
export const TpmsCapabilityData: Codec<TpmsCapabilityData> = {
  read(r) {
    const capability = r.u32();
    const codec = CAPABILITY_LISTS.get(capability);
    if (codec === undefined) {
      r.refuse(rc.TPM_RC_VALUE);
      return { capability, data: [] };
    }
    return { capability, data: codec.read(r) };
  },
  write(w: Writer, v) {
    const codec = CAPABILITY_LISTS.get(v.capability);
    assert(codec !== undefined, `capability ${v.capability}`);
    w.u32(v.capability);
    codec.write(w, v.data);
  },
};

/** @tcg Part 2, 6.12 TPM_CAP */
export function isCapability(capability: number): boolean {
  return CAPABILITY_LISTS.has(capability);
}
