// The provider on node:crypto (OpenSSL): the same bytes as noble, several times faster on files and on
// public-key work. What OpenSSL lacks in a build (md4, wp512, sometimes more) or does no faster is answered
// by noble.

import { EMPTY } from '../base/bytes.ts';
import { bitLength, trialDivision } from './bigint.ts';
import { nobleProvider } from './noble.ts';
import { nodeEcdsaSign, nodeEcdsaVerify, nodeEcMultiply, nodeEcPublicKey } from './node-ec.ts';
import { nodeModPow } from './node-rsa.ts';
import { blockSize, type CryptoProvider, type Hasher, type HashName } from './provider.ts';

type NodeCrypto = typeof import('node:crypto');

const OPENSSL_NAMES: Readonly<Record<HashName, string>> = {
  md4: 'md4',
  md5: 'md5',
  sha1: 'sha1',
  rmd160: 'ripemd160',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sha224: 'sha224',
  wp512: 'whirlpool',
  sm3: 'sm3',
  'sha3-256': 'sha3-256',
  'sha3-384': 'sha3-384',
  'sha3-512': 'sha3-512',
};

/** Above this length the two one-shot hashes of an own HMAC cost more in copying than an OpenSSL context. */
const HMAC_ONE_SHOT_LIMIT = 2048;

/** OpenSSL's name of a hash; undefined where this build cannot compute it, which is found out at first use. */
function supported(node: NodeCrypto): { readonly get: (alg: HashName) => string | undefined } {
  const found = new Map<HashName, string | undefined>();
  const probe = (alg: HashName): string | undefined => {
    const name = OPENSSL_NAMES[alg];
    try {
      node.createHash(name).update(EMPTY).digest();
      return name;
    } catch {
      // This OpenSSL lacks the hash or its configuration forbids it: noble computes it.
      return undefined;
    }
  };
  return {
    get: (alg) => {
      const name = found.get(alg);
      if (name !== undefined || found.has(alg)) return name;
      const probed = probe(alg);
      found.set(alg, probed);
      return probed;
    },
  };
}

function putLatin1(text: string, out: Uint8Array, at: number): void {
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
}

function latin1Bytes(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  putLatin1(text, out, 0);
  return out;
}

/**
 * One-shot hash; where crypto.hash exists, a binary string is the cheapest way out of OpenSSL (no Buffer is
 * made).
 */
function oneShot(node: NodeCrypto): (name: string, data: Uint8Array) => Uint8Array {
  const { hash } = node;
  if (typeof hash === 'function') return (name, data) => latin1Bytes(hash(name, data, 'binary'));
  return (name, data) => new Uint8Array(node.createHash(name).update(data).digest());
}

class NodeHasher implements Hasher {
  readonly #hash: import('node:crypto').Hash;

  constructor(hash: import('node:crypto').Hash) {
    this.#hash = hash;
  }

  update(data: Uint8Array): this {
    this.#hash.update(data);
    return this;
  }

  digest(): Uint8Array {
    return new Uint8Array(this.#hash.digest());
  }
}

/** Where short HMACs put their two texts: a fresh array for each costs more than the hash itself. */
const scratch = new Uint8Array(256 + HMAC_ONE_SHOT_LIMIT);

function padKey(key: Uint8Array, block: number, pad: number): void {
  scratch.fill(pad, 0, block);
  for (let i = 0; i < key.length; i++) scratch[i] = pad ^ (key[i] as number);
}

/** HMAC of a short text by two one-shot hashes: half the time of an OpenSSL HMAC context. */
function shortHmac(
  hash: (data: Uint8Array) => Uint8Array,
  block: number,
  key: Uint8Array,
  data: Uint8Array,
): Uint8Array {
  const k = key.length > block ? hash(key) : key;
  padKey(k, block, 0x36);
  scratch.set(data, block);
  const digest = hash(scratch.subarray(0, block + data.length));
  padKey(k, block, 0x5c);
  scratch.set(digest, block);
  return hash(scratch.subarray(0, block + digest.length));
}

function makeHashes(node: NodeCrypto): Pick<CryptoProvider, 'hash' | 'hashInto' | 'hasher' | 'hmac'> {
  const names = supported(node);
  const once = oneShot(node);
  const direct = typeof node.hash === 'function';
  return {
    hash: (alg, data) => {
      const name = names.get(alg);
      return name === undefined ? nobleProvider.hash(alg, data) : once(name, data);
    },
    hashInto: (alg, data, out, at) => {
      const name = names.get(alg);
      if (direct && name !== undefined) putLatin1(node.hash(name, data, 'binary'), out, at);
      else out.set(name === undefined ? nobleProvider.hash(alg, data) : once(name, data), at);
    },
    hasher: (alg) => {
      const name = names.get(alg);
      return name === undefined ? nobleProvider.hasher(alg) : new NodeHasher(node.createHash(name));
    },
    hmac: (alg, key, data) => {
      const name = names.get(alg);
      if (name === undefined) return nobleProvider.hmac(alg, key, data);
      if (data.length <= HMAC_ONE_SHOT_LIMIT)
        return shortHmac((d) => once(name, d), blockSize(alg), key, data);
      return new Uint8Array(node.createHmac(name, key).update(data).digest());
    },
  };
}

function makeCiphers(
  node: NodeCrypto,
): Pick<CryptoProvider, 'aesCfb' | 'aesCbc' | 'aesCtr' | 'aesEcb' | 'aesOfb'> {
  const run = (
    mode: string,
    direction: 'encrypt' | 'decrypt',
    key: Uint8Array,
    iv: Uint8Array | null,
    data: Uint8Array,
  ): Uint8Array => {
    const name = `aes-${8 * key.length}-${mode}`;
    const cipher =
      direction === 'encrypt' ? node.createCipheriv(name, key, iv) : node.createDecipheriv(name, key, iv);
    cipher.setAutoPadding(false);
    const out = new Uint8Array(cipher.update(data));
    cipher.final();
    return out;
  };
  return {
    aesCfb: (direction, key, iv, data) => run('cfb', direction, key, iv, data),
    aesCbc: (direction, key, iv, data) => run('cbc', direction, key, iv, data),
    aesCtr: (key, iv, data) => run('ctr', 'encrypt', key, iv, data),
    aesEcb: (direction, key, data) => run('ecb', direction, key, null, data),
    aesOfb: (key, iv, data) => run('ofb', 'encrypt', key, iv, data),
  };
}

/** The provider over a node:crypto module; a build without OpenSSL's primality test is answered by noble. */
export function makeNodeProvider(node: NodeCrypto): CryptoProvider {
  const hashes = makeHashes(node);
  return {
    name: 'node',
    ...hashes,
    ...makeCiphers(node),
    modPow: nodeModPow(node),
    isProbablePrime: (candidate) => {
      const decided = trialDivision(candidate);
      if (decided !== undefined) return decided;
      return bitLength(candidate) < 128
        ? nobleProvider.isProbablePrime(candidate)
        : node.checkPrimeSync(candidate);
    },
    ecdsaSign: nodeEcdsaSign(node, hashes.hmac),
    ecdsaVerify: nodeEcdsaVerify(node),
    ecPublicKey: nodeEcPublicKey(node),
    ecMultiply: nodeEcMultiply(node),
  };
}

function builtinCrypto(): NodeCrypto | undefined {
  const host = globalThis as {
    process?: { getBuiltinModule?: (id: string) => unknown; versions?: { node?: string } };
  };
  if (host.process?.versions?.node === undefined) return undefined;
  return host.process.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined;
}

const builtin = builtinCrypto();

/** The provider on this process's node:crypto; undefined where there is none (browsers). */
export const nodeProvider: CryptoProvider | undefined =
  builtin === undefined ? undefined : makeNodeProvider(builtin);
