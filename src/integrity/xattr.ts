// Layout of security.ima and security.evm: the type byte, digests of types 1 and 4, and signature_v2_hdr of
// types 3, 5 and 6. Only the layout is here; what a value is worth is decided in ima/ and evm/.

import { concat } from '../base/bytes.ts';
import { HASH_ALGO_SHA1 } from './hash-info.ts';

export const XATTR_NAME_IMA = 'security.ima';
export const XATTR_NAME_EVM = 'security.evm';
export const XATTR_NAME_CAPS = 'security.capability';
export const XATTR_SECURITY_PREFIX = 'security.';
export const XATTR_NAME_POSIX_ACL_ACCESS = 'system.posix_acl_access';
export const XATTR_NAME_POSIX_ACL_DEFAULT = 'system.posix_acl_default';

export const IMA_XATTR_DIGEST = 1;
export const EVM_XATTR_HMAC = 2;
export const EVM_IMA_XATTR_DIGSIG = 3;
export const IMA_XATTR_DIGEST_NG = 4;
export const EVM_XATTR_PORTABLE_DIGSIG = 5;
export const IMA_VERITY_DIGSIG = 6;
export const IMA_XATTR_LAST = 7;

/** sizeof(struct signature_v2_hdr). */
export const SIGNATURE_V2_HDR_SIZE = 9;

export interface SignatureV2Hdr {
  readonly type: number;
  readonly version: number;
  readonly hashAlgo: number;
  /** Low 32 bits of the subject key identifier. */
  readonly keyid: number;
  readonly sigSize: number;
  readonly sig: Uint8Array;
}

/** Header and signature of a type 3, 5 or 6 value; null when it is not longer than the header. */
export function signatureV2Hdr(value: Uint8Array): SignatureV2Hdr | null {
  if (value.length <= SIGNATURE_V2_HDR_SIZE) return null;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return {
    type: view.getUint8(0),
    version: view.getUint8(1),
    hashAlgo: view.getUint8(2),
    keyid: view.getUint32(3, false),
    sigSize: view.getUint16(7, false),
    sig: value.subarray(SIGNATURE_V2_HDR_SIZE),
  };
}

/**
 * security.ima of a digest: the old form for md4, md5 and sha1, type 4 with the algorithm's number for the
 * others.
 * @kernel security/integrity/ima/ima_appraise.c ima_fix_xattr()
 */
export function imaHashXattr(algo: number, digest: Uint8Array): Uint8Array {
  const head = algo <= HASH_ALGO_SHA1 ? [IMA_XATTR_DIGEST] : [IMA_XATTR_DIGEST_NG, algo];
  return concat(Uint8Array.from(head), digest);
}
