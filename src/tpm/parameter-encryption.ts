// Encryption of the first parameter of a command or response under a session: AES in CFB mode, or XOR
// obfuscation.

import { concat } from '../base/bytes.ts';
import { kdfA } from '../crypto/kdf.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName } from './algorithms.ts';
import { TPM_ALG_XOR } from './constants.ts';
import type { Session } from './state.ts';

const AES_BLOCK = 16;

/**
 * Encrypts or decrypts the octets of a TPM2B (not its size).
 * @tcg Part 1, 21 Session-based Encryption
 */
export function cryptParameter(
  direction: 'encrypt' | 'decrypt',
  session: Session,
  nonceCaller: Uint8Array,
  extraKey: Uint8Array,
  data: Uint8Array,
): Uint8Array {
  const key = concat(session.sessionKey, extraKey);
  // The side that sends names its nonce first: the caller for commands, the TPM for responses.
  const [newer, older] =
    direction === 'decrypt' ? [nonceCaller, session.nonceTpm] : [session.nonceTpm, nonceCaller];
  const { algorithm, keyBits } = session.symmetric;
  if (algorithm === TPM_ALG_XOR) {
    const mask = kdfA(hashName(keyBits), key, 'XOR', newer, older, data.length * 8);
    return data.map((octet, i) => octet ^ (mask[i] as number));
  }
  const derived = kdfA(hashName(session.authHash), key, 'CFB', newer, older, keyBits + AES_BLOCK * 8);
  const aesKey = derived.subarray(0, keyBits / 8);
  return crypto().aesCfb(direction, aesKey, derived.subarray(keyBits / 8), data);
}
