// Modular powers through OpenSSL. node:crypto has no modular exponentiation of its own, but textbook RSA
// encryption with the public key (modulus, exponent) is one, for any odd modulus of 512 to 3072 bits and
// any exponent below it.

import { bigintToBytes, bitLength, byteLength, bytesToBigint, powMod } from './bigint.ts';
import type { CryptoProvider } from './provider.ts';

/** The part of node:crypto that is used here. */
export interface OpenSslRsa<Key> {
  readonly constants: { readonly RSA_NO_PADDING: number };
  createPublicKey(input: {
    readonly key: { kty: string; n: string; e: string };
    readonly format: 'jwk';
  }): Key;
  publicEncrypt(input: { readonly key: Key; readonly padding: number }, data: Uint8Array): Uint8Array;
}

const MIN_BITS = 512;
/** OpenSSL takes exponents of more than 64 bits only up to this modulus (OPENSSL_RSA_SMALL_MODULUS_BITS). */
const MAX_BITS_ANY_EXPONENT = 3072;
const MAX_BITS = 16384;
/** Below these many bits of work the set-up of a key costs more than it saves. */
const MIN_EXPONENT_BITS = 9;
const KEPT_KEYS = 64;

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** base64url without padding, the form of numbers in a JSON Web Key. */
export function base64url(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const group = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let j = 0; j < Math.min(4, bytes.length - i + 1); j++)
      out += BASE64URL[(group >> (18 - 6 * j)) & 63];
  }
  return out;
}

function suits(exponent: bigint, modulus: bigint): boolean {
  const bits = bitLength(modulus);
  const exponentBits = bitLength(exponent);
  return (
    (modulus & 1n) === 1n &&
    bits >= MIN_BITS &&
    exponent < modulus &&
    exponentBits >= MIN_EXPONENT_BITS &&
    (exponentBits <= 64 ? bits <= MAX_BITS : bits <= MAX_BITS_ANY_EXPONENT)
  );
}

/** Modular power for the node provider; numbers that OpenSSL does not take go to plain JavaScript. */
export function nodeModPow<Key>(node: OpenSslRsa<Key>): CryptoProvider['modPow'] {
  const keys = new Map<string, Key>();
  const keyFor = (exponent: bigint, modulus: bigint): Key => {
    const id = `${exponent.toString(36)} ${modulus.toString(36)}`;
    const known = keys.get(id);
    if (known !== undefined) return known;
    const key = node.createPublicKey({
      key: {
        kty: 'RSA',
        n: base64url(bigintToBytes(modulus, byteLength(modulus))),
        e: base64url(bigintToBytes(exponent, byteLength(exponent))),
      },
      format: 'jwk',
    });
    if (keys.size >= KEPT_KEYS) keys.clear();
    keys.set(id, key);
    return key;
  };
  const padding = node.constants.RSA_NO_PADDING;
  return (base, exponent, modulus) => {
    if (!suits(exponent, modulus)) return powMod(base, exponent, modulus);
    const input = bigintToBytes(base % modulus, byteLength(modulus));
    try {
      return bytesToBigint(node.publicEncrypt({ key: keyFor(exponent, modulus), padding }, input));
    } catch {
      // An OpenSSL with stricter rules for keys than the one this was written against: the result is the
      // same.
      return powMod(base, exponent, modulus);
    }
  };
}
