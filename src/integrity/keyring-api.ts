// What the integrity rooms ask of the kernel's keyrings: signatures verified by a keyring and a key id,
// PKCS#7 messages verified by a keyring, and the blacklist. The keyrings themselves, their restrictions and
// X.509 are implemented elsewhere.

import type { Err, Result } from '../base/errno.ts';

/** Keyrings that digital signatures are checked against (INTEGRITY_KEYRING_*). */
export type IntegrityKeyring = 'ima' | 'evm' | 'platform' | 'machine';

export interface ModsigDigest {
  /** Name as hash_algo_name[] writes it. */
  readonly alg: string;
  readonly digest: Uint8Array;
}

export interface IntegrityKeys {
  /**
   * Finds the asymmetric key `id:<keyid>` (blacklist keyring first: EKEYREJECTED; unknown: ENOKEY) and
   * verifies a
   * signature over a digest: PKCS#1 v1.5 with the algorithm's DigestInfo for RSA, X9.62 for ECDSA.
   */
  verifySignature(
    keyring: IntegrityKeyring,
    keyid: number,
    alg: string,
    digest: Uint8Array,
    signature: Uint8Array,
  ): Err;
  /** pkcs7_parse_message(): 0 when the DER is a signed-data message that the kernel's parser accepts. */
  pkcs7Parse(der: Uint8Array): Err;
  /** pkcs7_supply_detached_data() and pkcs7_get_digest() of a message with one signer. */
  pkcs7Digest(der: Uint8Array, data: Uint8Array): Result<ModsigDigest>;
  /** verify_pkcs7_message_sig() of a detached message for module-style signatures against one keyring. */
  pkcs7Verify(der: Uint8Array, data: Uint8Array, keyring: IntegrityKeyring): Err;
  /**
   * is_hash_blacklisted(BLACKLIST_HASH_BINARY): the `bin:` entry of a digest is in the .blacklist keyring.
   */
  isHashBlacklisted(digest: Uint8Array): boolean;
}

/** Keyrings without a key: every signature is made by nobody the kernel knows. */
export function noKeys(): IntegrityKeys {
  return {
    verifySignature: () => 'ENOKEY',
    pkcs7Parse: () => 'EBADMSG',
    pkcs7Digest: () => ({ ok: false, errno: 'EBADMSG' }),
    pkcs7Verify: () => 'ENOKEY',
    isHashBlacklisted: () => false,
  };
}
