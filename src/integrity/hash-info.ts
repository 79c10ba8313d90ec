// The kernel's numbering of hash algorithms (enum hash_algo) with names and digest sizes, and which of them
// the crypto API of a kernel profile offers. Algorithms that left the kernel years ago keep their numbers and
// are never available.

import { InternalError } from '../base/assert.ts';
import { fromHex } from '../base/bytes.ts';
import type { KernelProfile } from '../base/profile.ts';
import { crypto, type Hasher, type HashName } from '../crypto/provider.ts';
import type { Content } from '../vfs/types.ts';

/** Position = value of enum hash_algo: the byte in xattrs, the bit of appraise_algos=. */
export const HASH_ALGO_NAME = [
  'md4',
  'md5',
  'sha1',
  'rmd160',
  'sha256',
  'sha384',
  'sha512',
  'sha224',
  'rmd128',
  'rmd256',
  'rmd320',
  'wp256',
  'wp384',
  'wp512',
  'tgr128',
  'tgr160',
  'tgr192',
  'sm3',
  'streebog256',
  'streebog512',
  'sha3-256',
  'sha3-384',
  'sha3-512',
] as const;

export type HashAlgoName = (typeof HASH_ALGO_NAME)[number];

export const HASH_ALGO__LAST = HASH_ALGO_NAME.length;
export const HASH_ALGO_MD4 = 0;
export const HASH_ALGO_MD5 = 1;
export const HASH_ALGO_SHA1 = 2;
export const HASH_ALGO_SHA256 = 4;

/** hash_digest_size[], in the same order. */
export const HASH_DIGEST_SIZE: readonly number[] = [
  16, 16, 20, 20, 32, 48, 64, 28, 16, 32, 40, 32, 48, 64, 16, 20, 24, 32, 32, 64, 32, 48, 64,
];

const NUMBER_OF: ReadonlyMap<string, number> = new Map(HASH_ALGO_NAME.map((name, i) => [name, i]));

/** Number of a name, or -1: match_string(hash_algo_name, ...). */
export function hashAlgo(name: string): number {
  return NUMBER_OF.get(name) ?? -1;
}

export function hashDigestSize(name: HashAlgoName): number {
  return HASH_DIGEST_SIZE[hashAlgo(name)] as number;
}

/** CONFIG_ option that builds an algorithm into the kernel; null where 6.12 has no implementation. */
const CRYPTO_OPTION: Readonly<Record<HashAlgoName, string | null>> = {
  md4: 'CONFIG_CRYPTO_MD4',
  md5: 'CONFIG_CRYPTO_MD5',
  sha1: 'CONFIG_CRYPTO_SHA1',
  rmd160: 'CONFIG_CRYPTO_RMD160',
  sha256: 'CONFIG_CRYPTO_SHA256',
  sha384: 'CONFIG_CRYPTO_SHA512',
  sha512: 'CONFIG_CRYPTO_SHA512',
  sha224: 'CONFIG_CRYPTO_SHA256',
  rmd128: null,
  rmd256: null,
  rmd320: null,
  wp256: 'CONFIG_CRYPTO_WP512',
  wp384: 'CONFIG_CRYPTO_WP512',
  wp512: 'CONFIG_CRYPTO_WP512',
  tgr128: null,
  tgr160: null,
  tgr192: null,
  sm3: 'CONFIG_CRYPTO_SM3_GENERIC',
  streebog256: null,
  streebog512: null,
  'sha3-256': 'CONFIG_CRYPTO_SHA3',
  'sha3-384': 'CONFIG_CRYPTO_SHA3',
  'sha3-512': 'CONFIG_CRYPTO_SHA3',
};

/**
 * Whether the kernel can compute an algorithm.
 * @kernel crypto/api.c crypto_has_alg()
 * @deviation Streebog is never offered, also where CONFIG_CRYPTO_STREEBOG builds it: no provider computes it.
 */
export function cryptoHasAlg(profile: KernelProfile, name: string): boolean {
  const option = CRYPTO_OPTION[name as HashAlgoName];
  return option !== undefined && option !== null && profile.config[option] === 'y';
}

/**
 * Provider algorithm and length that a kernel name stands for: wp256 and wp384 are the front of Whirlpool.
 */
function providerAlg(name: string): readonly [HashName, number] {
  if (name === 'wp256') return ['wp512', 32];
  if (name === 'wp384') return ['wp512', 48];
  const number = hashAlgo(name);
  if (number < 0) throw new InternalError(`no hash algorithm ${name}`);
  return [name as HashName, HASH_DIGEST_SIZE[number] as number];
}

/** Digest of bytes with an algorithm that cryptoHasAlg() admits. */
export function kernelHash(name: string, data: Uint8Array): Uint8Array {
  const [alg, length] = providerAlg(name);
  const digest = crypto().hash(alg, data);
  return digest.length === length ? digest : digest.slice(0, length);
}

/** Incremental form of kernelHash(), for algorithms that are not truncated. */
export function kernelHasher(name: string): Hasher {
  return crypto().hasher(providerAlg(name)[0]);
}

const digestsOf = new WeakMap<Uint8Array, Map<string, Uint8Array>>();

/**
 * Digest of bytes that never change, remembered by their identity: forks and repeated accesses hash a content
 * once.
 */
export function contentHash(name: string, bytes: Uint8Array): Uint8Array {
  let known = digestsOf.get(bytes);
  if (known === undefined) {
    known = new Map();
    digestsOf.set(bytes, known);
  }
  let digest = known.get(name);
  if (digest === undefined) {
    digest = kernelHash(name, bytes);
    known.set(name, digest);
  }
  return digest;
}

/** Digest of a file's content; null for an opaque content whose description lacks that algorithm. */
export function fileContentHash(name: string, content: Content): Uint8Array | null {
  if (content.kind === 'bytes') return contentHash(name, content.bytes);
  const hex = content.digests[name];
  return hex === undefined ? null : fromHex(hex);
}
