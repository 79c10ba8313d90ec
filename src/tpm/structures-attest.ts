// Structures of signatures, tickets, attestation, creation data, NV public areas and contexts (Part 2, 10.7,
// 10.12, 11.3, 13, 14, 15).

import { EMPTY } from '../base/bytes.ts';
import { hashSize } from './algorithms.ts';
import * as c from './constants.ts';
import {
  type Codec,
  type Infer,
  limited,
  oneOf,
  struct,
  tpm2b,
  tpm2bOf,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
} from './marshal.ts';
import * as rc from './rc.ts';
import {
  Tpm2bData,
  Tpm2bDigest,
  Tpm2bEccParameter,
  Tpm2bName,
  Tpm2bPublicKeyRsa,
  TpmiAlgHash,
  TpmiDhSaved,
  TpmiRhHierarchy,
  TpmiRhNvIndex,
  TpmiYesNo,
  TpmlPcrSelection,
  TpmsClockInfo,
  TpmsTimeInfo,
} from './structures.ts';

// --- signatures (Part 2, 11.3)

export interface TpmtSignature {
  readonly sigAlg: number;
  readonly hashAlg: number;
  /** RSA signature, HMAC digest; empty for elliptic curves. */
  readonly sig: Uint8Array;
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

export const SIGNATURE_NULL: TpmtSignature = {
  sigAlg: c.TPM_ALG_NULL,
  hashAlg: c.TPM_ALG_NULL,
  sig: EMPTY,
  r: EMPTY,
  s: EMPTY,
};

const RSA_SIGNATURES: readonly number[] = [c.TPM_ALG_RSASSA, c.TPM_ALG_RSAPSS];
const ECC_SIGNATURES: readonly number[] = [
  c.TPM_ALG_ECDSA,
  c.TPM_ALG_ECDAA,
  c.TPM_ALG_SM2,
  c.TPM_ALG_ECSCHNORR,
];

function signatureOf(nullAllowed: boolean): Codec<TpmtSignature> {
  const algs = [...RSA_SIGNATURES, ...ECC_SIGNATURES, c.TPM_ALG_HMAC];
  const algCodec = oneOf(Uint16, nullAllowed ? [...algs, c.TPM_ALG_NULL] : algs, rc.TPM_RC_SCHEME);
  return {
    read(r) {
      const sigAlg = algCodec.read(r);
      if (r.failed || sigAlg === c.TPM_ALG_NULL) return SIGNATURE_NULL;
      const hashAlg = TpmiAlgHash.read(r);
      const base = { ...SIGNATURE_NULL, sigAlg, hashAlg };
      if (sigAlg === c.TPM_ALG_HMAC) return { ...base, sig: r.failed ? EMPTY : r.take(hashSize(hashAlg)) };
      if (RSA_SIGNATURES.includes(sigAlg)) return { ...base, sig: Tpm2bPublicKeyRsa.read(r) };
      return { ...base, r: Tpm2bEccParameter.read(r), s: Tpm2bEccParameter.read(r) };
    },
    write(w, v) {
      w.u16(v.sigAlg);
      if (v.sigAlg === c.TPM_ALG_NULL) return;
      w.u16(v.hashAlg);
      if (v.sigAlg === c.TPM_ALG_HMAC) w.bytes(v.sig);
      else if (RSA_SIGNATURES.includes(v.sigAlg)) Tpm2bPublicKeyRsa.write(w, v.sig);
      else {
        Tpm2bEccParameter.write(w, v.r);
        Tpm2bEccParameter.write(w, v.s);
      }
    },
  };
}

export const TpmtSignature = signatureOf(false);
export const TpmtSignatureNull = signatureOf(true);

// --- tickets (Part 2, 10.7)

/** TPM_ST (Part 2, 6.9): what is none of these is no tag at all. */
export const TpmSt = limited(
  Uint16,
  (tag) => tag === 0x00c4 || (tag >= 0x8000 && tag <= 0x8002) || (tag >= 0x8014 && tag <= 0x8029),
);

const ticket = (...tags: readonly number[]) =>
  struct({
    tag: limited(TpmSt, (tag) => tags.includes(tag), rc.TPM_RC_TAG),
    hierarchy: TpmiRhHierarchy,
    digest: Tpm2bDigest,
  });
export const TpmtTkCreation = ticket(c.TPM_ST_CREATION);
export const TpmtTkVerified = ticket(c.TPM_ST_VERIFIED);
export const TpmtTkAuth = ticket(c.TPM_ST_AUTH_SIGNED, c.TPM_ST_AUTH_SECRET);
export const TpmtTkHashcheck = ticket(c.TPM_ST_HASHCHECK);
export type Ticket = Infer<typeof TpmtTkCreation>;

// --- creation data (Part 2, 15)

export const TpmsCreationData = struct({
  pcrSelect: TpmlPcrSelection,
  pcrDigest: Tpm2bDigest,
  locality: Uint8,
  parentNameAlg: Uint16,
  parentName: Tpm2bName,
  parentQualifiedName: Tpm2bName,
  outsideInfo: Tpm2bData,
});
export type TpmsCreationData = Infer<typeof TpmsCreationData>;
export const Tpm2bCreationData = tpm2bOf(TpmsCreationData);

// --- NV (Part 2, 13)

export const TpmaNv = limited(Uint32, (v) => (v & c.TPMA_NV_RESERVED_BITS) === 0, rc.TPM_RC_RESERVED_BITS);
export const TpmsNvPublic = struct({
  nvIndex: TpmiRhNvIndex,
  nameAlg: TpmiAlgHash,
  attributes: TpmaNv,
  authPolicy: Tpm2bDigest,
  dataSize: limited(Uint16, (v) => v <= c.MAX_NV_INDEX_SIZE, rc.TPM_RC_SIZE),
});
export type TpmsNvPublic = Infer<typeof TpmsNvPublic>;
export const Tpm2bNvPublic = tpm2bOf(TpmsNvPublic);

// --- attestation (Part 2, 10.12)

const TpmsQuoteInfo = struct({ pcrSelect: TpmlPcrSelection, pcrDigest: Tpm2bDigest });
const TpmsCertifyInfo = struct({ name: Tpm2bName, qualifiedName: Tpm2bName });
const TpmsCreationInfo = struct({ objectName: Tpm2bName, creationHash: Tpm2bDigest });
const TpmsTimeAttestInfo = struct({ time: TpmsTimeInfo, firmwareVersion: Uint64 });
const TpmsCommandAuditInfo = struct({
  auditCounter: Uint64,
  digestAlg: Uint16,
  auditDigest: Tpm2bDigest,
  commandDigest: Tpm2bDigest,
});
const TpmsSessionAuditInfo = struct({ exclusiveSession: TpmiYesNo, sessionDigest: Tpm2bDigest });
const TpmsNvCertifyInfo = struct({
  indexName: Tpm2bName,
  offset: Uint16,
  nvContents: tpm2b(c.MAX_NV_BUFFER_SIZE),
});
const TpmsNvDigestCertifyInfo = struct({ indexName: Tpm2bName, nvDigest: Tpm2bDigest });

export type Attested =
  | { readonly type: typeof c.TPM_ST_ATTEST_QUOTE; readonly info: Infer<typeof TpmsQuoteInfo> }
  | { readonly type: typeof c.TPM_ST_ATTEST_CERTIFY; readonly info: Infer<typeof TpmsCertifyInfo> }
  | { readonly type: typeof c.TPM_ST_ATTEST_CREATION; readonly info: Infer<typeof TpmsCreationInfo> }
  | { readonly type: typeof c.TPM_ST_ATTEST_TIME; readonly info: Infer<typeof TpmsTimeAttestInfo> }
  | { readonly type: typeof c.TPM_ST_ATTEST_COMMAND_AUDIT; readonly info: Infer<typeof TpmsCommandAuditInfo> }
  | { readonly type: typeof c.TPM_ST_ATTEST_SESSION_AUDIT; readonly info: Infer<typeof TpmsSessionAuditInfo> }
  | { readonly type: typeof c.TPM_ST_ATTEST_NV; readonly info: Infer<typeof TpmsNvCertifyInfo> }
  | { readonly type: typeof c.TPM_ST_ATTEST_NV_DIGEST; readonly info: Infer<typeof TpmsNvDigestCertifyInfo> };

const ATTESTED: ReadonlyMap<number, Codec<unknown>> = new Map<number, Codec<unknown>>([
  [c.TPM_ST_ATTEST_QUOTE, TpmsQuoteInfo as Codec<unknown>],
  [c.TPM_ST_ATTEST_CERTIFY, TpmsCertifyInfo as Codec<unknown>],
  [c.TPM_ST_ATTEST_CREATION, TpmsCreationInfo as Codec<unknown>],
  [c.TPM_ST_ATTEST_TIME, TpmsTimeAttestInfo as Codec<unknown>],
  [c.TPM_ST_ATTEST_COMMAND_AUDIT, TpmsCommandAuditInfo as Codec<unknown>],
  [c.TPM_ST_ATTEST_SESSION_AUDIT, TpmsSessionAuditInfo as Codec<unknown>],
  [c.TPM_ST_ATTEST_NV, TpmsNvCertifyInfo as Codec<unknown>],
  [c.TPM_ST_ATTEST_NV_DIGEST, TpmsNvDigestCertifyInfo as Codec<unknown>],
]);

export interface TpmsAttest {
  readonly magic: number;
  readonly qualifiedSigner: Uint8Array;
  readonly extraData: Uint8Array;
  readonly clockInfo: Infer<typeof TpmsClockInfo>;
  readonly firmwareVersion: bigint;
  readonly attested: Attested;
}

/** TPMS_ATTEST; a magic other than TPM_GENERATED_VALUE is TPM_RC_VALUE, an unknown type TPM_RC_SELECTOR. */
export const TpmsAttest: Codec<TpmsAttest> = {
  read(r) {
    const magic = r.u32();
    if (!r.failed && magic !== c.TPM_GENERATED_VALUE) r.refuse(rc.TPM_RC_VALUE);
    const type = r.u16();
    const codec = ATTESTED.get(type);
    if (codec === undefined) r.refuse(rc.TPM_RC_SELECTOR);
    const head = {
      magic,
      qualifiedSigner: Tpm2bName.read(r),
      extraData: Tpm2bData.read(r),
      clockInfo: TpmsClockInfo.read(r),
      firmwareVersion: r.u64(),
    };
    const info = codec === undefined ? {} : codec.read(r);
    return { ...head, attested: { type, info } as Attested };
  },
  write(w, v) {
    w.u32(v.magic).u16(v.attested.type);
    Tpm2bName.write(w, v.qualifiedSigner);
    Tpm2bData.write(w, v.extraData);
    TpmsClockInfo.write(w, v.clockInfo);
    w.u64(v.firmwareVersion);
    ATTESTED.get(v.attested.type)?.write(w, v.attested.info);
  },
};
/** TPM2B_ATTEST: kept as octets, because they are what is signed. */
export const Tpm2bAttest = tpm2b(2048);

// --- contexts (Part 2, 14)

export const TpmsContext = struct({
  sequence: Uint64,
  savedHandle: TpmiDhSaved,
  hierarchy: TpmiRhHierarchy,
  contextBlob: tpm2b(6144),
});
export type TpmsContext = Infer<typeof TpmsContext>;
