// The door to the kernel's system keyrings for everybody who has a signed message to check: IPE policies,
// dm-verity root hashes, fs-verity digests. The keyrings themselves and the PKCS#7 code implement it
// elsewhere.

import type { Result } from '../base/errno.ts';

/**
 * `builtin`: .builtin_trusted_keys; `secondary`: .secondary_trusted_keys, which reaches the built-in ones
 * and the machine keyring; `platform`: .platform; `fs-verity`: .fs-verity.
 */
export type SystemKeyring = 'builtin' | 'secondary' | 'platform' | 'fs-verity';

export interface Pkcs7Options {
  readonly keyring: SystemKeyring;
  /**
   * Content of a detached message; EBADMSG when the message carries content as well. Absent: the content is
   * inside.
   */
  readonly detached?: Uint8Array;
}

export interface SystemKeys {
  /**
   * verify_pkcs7_signature() for a message of no special usage; the value is the content. ENOKEY no trusted
   * signer, EKEYREJECTED bad signature, blacklisted key or attributes that are not allowed, EBADMSG broken
   * or incomplete message, ENOPKG unsupported algorithm.
   */
  verifyPkcs7(message: Uint8Array, options: Pkcs7Options): Result<Uint8Array>;
}
