// Digital signatures in extended attributes: header checks of versions 1, 2 and 3, then the keyrings. The
// cryptography and the search for the key are behind IntegrityKeys; the old version 1 format (a `user` key
// with an RSA modulus) never finds its key, because the trusted keyrings only admit asymmetric keys.

import type { Err } from '../base/errno.ts';
import { HASH_ALGO__LAST, HASH_ALGO_NAME } from './hash-info.ts';
import type { IntegrityKeyring, IntegrityKeys } from './keyring-api.ts';
import { signatureV2Hdr } from './xattr.ts';

/** sizeof(struct signature_hdr) of version 1. */
const SIGNATURE_HDR_SIZE = 16;
const PUBKEY_ALGO_RSA = 0;

/**
 * @kernel lib/digsig.c digsig_verify()
 * @deviation ENOTSUPP (524) has no name in user space and is reported as EINVAL: no caller tells them apart.
 */
function digsigVerifyV1(sig: Uint8Array): Err {
  if (sig.length < SIGNATURE_HDR_SIZE + 2) return 'EINVAL';
  if (sig[5] !== PUBKEY_ALGO_RSA) return 'EINVAL';
  return 'EAGAIN';
}

/** @kernel security/integrity/digsig_asymmetric.c asymmetric_verify() */
export function asymmetricVerify(
  keys: IntegrityKeys,
  keyring: IntegrityKeyring,
  value: Uint8Array,
  digest: Uint8Array,
): Err {
  const hdr = signatureV2Hdr(value);
  if (hdr === null || hdr.sig.length !== hdr.sigSize) return 'EBADMSG';
  if (hdr.hashAlgo >= HASH_ALGO__LAST) return 'ENOPKG';
  return keys.verifySignature(keyring, hdr.keyid, HASH_ALGO_NAME[hdr.hashAlgo] as string, digest, hdr.sig);
}

/**
 * Verifies a whole xattr value (type byte included) over a digest.
 * @kernel security/integrity/digsig.c integrity_digsig_verify()
 */
export function integrityDigsigVerify(
  keys: IntegrityKeys,
  keyring: IntegrityKeyring,
  value: Uint8Array,
  digest: Uint8Array,
): Err {
  if (value.length < 2) return 'EINVAL';
  switch (value[1]) {
    case 1:
      return digsigVerifyV1(value.subarray(1));
    case 2:
    case 3:
      return asymmetricVerify(keys, keyring, value, digest);
    default:
      return 'EOPNOTSUPP';
  }
}
