// What all attestation commands share: the head of the structure (with the counters of other hierarchies
// disguised) and the signature over it.

import { EMPTY } from '../base/bytes.ts';
import { kdfA } from '../crypto/kdf.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName } from './algorithms.ts';
import { clockInfo } from './clock.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { entityHierarchy, keyAt } from './entity.ts';
import { be32, marshal } from './marshal.ts';
import { FIRMWARE_VERSION } from './properties.ts';
import * as rc from './rc.ts';
import { isAnonymousScheme, isSigningObject, selectSignScheme, signDigest } from './sign.ts';
import type { TpmObject } from './state.ts';
import { type Attested, TpmsAttest, type TpmtSignature } from './structures-attest.ts';
import type { Scheme } from './structures-object.ts';

export interface Signer {
  readonly handle: number;
  readonly key: TpmObject | undefined;
  readonly scheme: Scheme;
}

/**
 * The signing key and scheme of an attestation command, or a response code that blames handle and
 * parameter.
 */
export function signerOf(
  tpm: TpmCursor,
  signHandle: number,
  inScheme: Scheme,
  handleNumber: number,
  schemeParameter: number,
): Signer | number {
  const key = keyAt(tpm, signHandle);
  if (signHandle !== c.TPM_RH_NULL && key === undefined) return rc.rcHandle(handleNumber, rc.TPM_RC_KEY);
  if (!isSigningObject(key)) return rc.rcHandle(handleNumber, rc.TPM_RC_KEY);
  const scheme = selectSignScheme(key, inScheme);
  return scheme === null
    ? rc.rcParameter(schemeParameter, rc.TPM_RC_SCHEME)
    : { handle: signHandle, key, scheme };
}

/** @tcg Part 1, 36.7 Obfuscation: counters are readable only for platform and endorsement keys */
function head(tpm: TpmCursor, signer: Signer, extraData: Uint8Array) {
  const { state } = tpm;
  const qualifiedName = signer.key?.qualifiedName ?? be32(signer.handle);
  const qualifiedSigner = isAnonymousScheme(signer.scheme.scheme) ? EMPTY : qualifiedName;
  let info = clockInfo(state);
  let firmwareVersion = FIRMWARE_VERSION;
  const hierarchy = entityHierarchy(tpm, signer.handle);
  if (hierarchy !== c.TPM_RH_PLATFORM && hierarchy !== c.TPM_RH_ENDORSEMENT) {
    const mask = kdfA('sha512', state.nv.shProof, 'OBFUSCATE', qualifiedName, EMPTY, 128);
    const view = new DataView(mask.buffer, mask.byteOffset);
    firmwareVersion = BigInt.asUintN(64, firmwareVersion + view.getBigUint64(0));
    info = {
      ...info,
      resetCount: (info.resetCount + view.getUint32(8)) >>> 0,
      restartCount: (info.restartCount + view.getUint32(12)) >>> 0,
    };
  }
  return { magic: c.TPM_GENERATED_VALUE, qualifiedSigner, extraData, clockInfo: info, firmwareVersion };
}

/** The attestation's octets and the signature over them. */
export function attest(
  tpm: TpmCursor,
  signer: Signer,
  qualifyingData: Uint8Array,
  attested: Attested,
): { readonly octets: Uint8Array; readonly signature: TpmtSignature } | number {
  const octets = marshal(TpmsAttest, { ...head(tpm, signer, qualifyingData), attested });
  if (((signer.key?.public.objectAttributes ?? 0) & c.TPMA_OBJECT_X509SIGN) !== 0)
    return rc.TPM_RC_ATTRIBUTES;
  const { scheme } = signer;
  const digest = scheme.scheme === c.TPM_ALG_NULL ? EMPTY : crypto().hash(hashName(scheme.hashAlg), octets);
  const signature = signDigest(tpm, signer.key, scheme, digest);
  return typeof signature === 'number' ? signature : { octets, signature };
}
