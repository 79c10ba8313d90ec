// The kernel's asymmetric "public_key" subtype: which errno a signature check gives, down to the RSA
// padding and the ECDSA numbers. Verdicts are kept by the key's identity. Left out: EC-RDSA (the recorded
// kernels have it not built) and private keys.

import { ecdsa, weierstrass } from '@noble/curves/abstract/weierstrass.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, equalBytes, fromLatin1 } from '../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { berDecode, integer, sequence } from './ber.ts';
import { bigintToBytes, byteLength, bytesToBigint } from './bigint.ts';
import { curveParameters, ecPointToBytes, isOnCurve } from './ec.ts';
import { type CurveName, crypto, type EcPoint, type HashName, type RsaPublicKey } from './provider.ts';
import { digestInfoPrefix } from './rsa.ts';

export type PkeyAlgo =
  | 'rsa'
  | 'ecrdsa'
  | 'ecdsa-nist-p192'
  | 'ecdsa-nist-p256'
  | 'ecdsa-nist-p384'
  | 'ecdsa-nist-p521';

/** struct public_key. */
export interface PublicKey {
  readonly pkeyAlgo: PkeyAlgo;
  /** RSAPublicKey (PKCS#1) or the point in SEC 1 form. */
  readonly key: Uint8Array;
  /** KEY_EFLAG_CA, KEY_EFLAG_DIGITALSIG, KEY_EFLAG_KEYCERTSIGN. */
  readonly ca: boolean;
  readonly digitalSignature: boolean;
  readonly keyCertSign: boolean;
}

/** struct public_key_signature; hash names as the kernel spells them, also those it cannot compute. */
export interface PublicKeySignature {
  readonly pkeyAlgo: 'rsa' | 'ecdsa' | 'ecrdsa' | PkeyAlgo | null;
  readonly hashAlgo: string | null;
  readonly encoding: 'pkcs1' | 'x962' | 'raw' | null;
  readonly s: Uint8Array;
  readonly digest: Uint8Array;
}

/** Hashes that have a DigestInfo in crypto/rsa-pkcs1pad.c. */
const PKCS1PAD_HASHES: ReadonlySet<string> = new Set<HashName>([
  'md5',
  'sha1',
  'rmd160',
  'sha224',
  'sha256',
  'sha384',
  'sha512',
  'sha3-256',
  'sha3-384',
  'sha3-512',
]);

const ECDSA_HASHES: ReadonlySet<string> = new Set<HashName>([
  'sha1',
  'sha224',
  'sha256',
  'sha384',
  'sha512',
  'sha3-256',
  'sha3-384',
  'sha3-512',
]);

/** Bytes of one multi-precision limb: a modulus counts as a whole number of them. */
const LIMB = 8;
const RSA_KEY_BITS: readonly number[] = [512, 1024, 1536, 2048, 3072, 4096];

interface RsaNumbers {
  n: Uint8Array;
  e: Uint8Array;
}

const RSA_PUBLIC_KEY = sequence<RsaNumbers>([
  integer((c, value) => {
    if (value.length === 0) return 'EINVAL';
    c.n = value;
    return 0;
  }),
  integer((c, value) => {
    if (value.length === 0 || value.length > c.n.length) return 'EINVAL';
    c.e = value;
    return 0;
  }),
]);

const rsaKeys = new WeakMap<Uint8Array, Result<RsaPublicKey>>();

/**
 * The numbers of an RSAPublicKey, with the lengths that the kernel takes.
 * @kernel crypto/rsa.c rsa_set_pub_key()
 */
export function rsaSetPubKey(key: Uint8Array): Result<RsaPublicKey> {
  let result = rsaKeys.get(key);
  if (result === undefined) {
    const empty = new Uint8Array(0);
    const numbers: RsaNumbers = { n: empty, e: empty };
    const err = berDecode(RSA_PUBLIC_KEY, numbers, key);
    const [n, e] = [bytesToBigint(numbers.n), bytesToBigint(numbers.e)];
    if (err !== 0) result = fail(err);
    else if (!RSA_KEY_BITS.includes(8 * rsaKernelSize(n))) result = fail('EINVAL');
    else result = ok({ n, e });
    rsaKeys.set(key, result);
  }
  return result;
}

function rsaKernelSize(n: bigint): number {
  return Math.ceil(byteLength(n) / LIMB) * LIMB;
}

/**
 * PKCS#1 v1.5 with the errno of each way to be wrong.
 * @kernel crypto/rsa-pkcs1pad.c pkcs1pad_verify()
 */
function pkcs1padVerify(key: PublicKey, sig: PublicKeySignature): Err {
  if (sig.hashAlgo !== null && !PKCS1PAD_HASHES.has(sig.hashAlgo)) return 'EINVAL';
  const set = rsaSetPubKey(key.key);
  if (!set.ok) return set.errno;
  const { n, e } = set.value;
  const size = rsaKernelSize(n);
  const value = bytesToBigint(sig.s);
  if (sig.digest.length === 0 || sig.s.length !== size || value <= 1n || value >= n - 1n) return 'EINVAL';
  const block = bigintToBytes(crypto().modPow(value, e, n), size);
  if (block[0] !== 0) return 'EINVAL';
  const end = block.findIndex((b, i) => i > 1 && b !== 0xff);
  // At least eight bytes of padding, closed by a zero.
  if (block[1] !== 1 || end < 10 || block[end] !== 0) return 'EBADMSG';
  const text = block.subarray(end + 1);
  const info = sig.hashAlgo === null ? text.subarray(0, 0) : digestInfoPrefix(sig.hashAlgo as HashName);
  if (!equalBytes(text.subarray(0, info.length), info)) return 'EBADMSG';
  return equalBytes(text.subarray(info.length), sig.digest) ? 0 : 'EKEYREJECTED';
}

interface KernelCurve {
  readonly n: bigint;
  /** Bytes of a coordinate, and of the 64-bit words that hold it. */
  readonly size: number;
  readonly words: number;
  readonly isOnCurve: (point: EcPoint) => boolean;
  readonly verify: (point: EcPoint, digest: Uint8Array, raw: Uint8Array) => boolean;
}

function providerCurve(curve: CurveName): KernelCurve {
  const { n, size } = curveParameters(curve);
  return {
    n,
    size,
    words: 8 * Math.ceil(size / 8),
    isOnCurve: (point) => isOnCurve(curve, point),
    verify: (point, digest, raw) => crypto().ecdsaVerify(curve, point, digest, raw),
  };
}

/** P-192 lives only in the kernel's verifier: no TPM and no tool here makes such keys. */
function p192Curve(): KernelCurve {
  const parameters = {
    p: 0xfffffffffffffffffffffffffffffffeffffffffffffffffn,
    n: 0xffffffffffffffffffffffff99def836146bc9b1b4d22831n,
    h: 1n,
    a: 0xfffffffffffffffffffffffffffffffefffffffffffffffcn,
    b: 0x64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1n,
    Gx: 0x188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012n,
    Gy: 0x07192b95ffc8da78631011ed6b24cdd573f977a11e794811n,
  };
  const curve = ecdsa(weierstrass(parameters), sha256);
  return {
    n: parameters.n,
    size: 24,
    words: 24,
    isOnCurve: (point) => curve.utils.isValidPublicKey(ecPointToBytes(point), false),
    verify: (point, digest, raw) =>
      curve.verify(raw, digest, ecPointToBytes(point), { prehash: false, lowS: false }),
  };
}

const curves = new Map<PkeyAlgo, KernelCurve>();

function kernelCurve(algo: PkeyAlgo): KernelCurve {
  let curve = curves.get(algo);
  if (curve === undefined) {
    curve = algo === 'ecdsa-nist-p192' ? p192Curve() : providerCurve(`P-${algo.slice(-3)}` as CurveName);
    curves.set(algo, curve);
  }
  return curve;
}

function padded(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.length > size
    ? bytes.subarray(bytes.length - size)
    : concat(new Uint8Array(size - bytes.length), bytes);
}

/**
 * The point of an uncompressed SEC 1 key.
 * @kernel crypto/ecdsa.c ecdsa_set_pub_key()
 */
function ecdsaSetPubKey(curve: KernelCurve, key: Uint8Array): EcPoint | undefined {
  const digits = (key.length - 1) / 2;
  if (key.length < 1 || !Number.isInteger(digits) || key[0] !== 4) return undefined;
  if (8 * Math.ceil(digits / 8) !== curve.words) return undefined;
  const [x, y] = [key.subarray(1, 1 + digits), key.subarray(1 + digits)];
  const limit = 1n << BigInt(8 * curve.size);
  if (bytesToBigint(x) >= limit || bytesToBigint(y) >= limit) return undefined;
  const point = { x: padded(x, curve.size), y: padded(y, curve.size) };
  return curve.isOnCurve(point) ? point : undefined;
}

interface SignatureNumbers {
  readonly words: number;
  readonly found: bigint[];
}

/** A number of the signature: at most the curve's words, or one byte more that is a zero sign byte. */
function getSignatureNumber(c: SignatureNumbers, value: Uint8Array): Err {
  if (value.length === 0 || value.length > c.words + 1) return 'EINVAL';
  if (value.length > c.words && value[0] !== 0) return 'EINVAL';
  c.found.push(bytesToBigint(value));
  return 0;
}

const ECDSA_SIGNATURE = sequence<SignatureNumbers>([
  integer(getSignatureNumber),
  integer(getSignatureNumber),
]);

/**
 * ECDSA over an ECDSA-Sig-Value with the errno of each way to be wrong.
 * @kernel crypto/ecdsa.c ecdsa_verify()
 */
function ecdsaVerify(key: PublicKey, sig: PublicKeySignature): Err {
  const curve = kernelCurve(key.pkeyAlgo);
  const point = ecdsaSetPubKey(curve, key.key);
  if (point === undefined) return 'EINVAL';
  const numbers: SignatureNumbers = { words: curve.words, found: [] };
  const err = berDecode(ECDSA_SIGNATURE, numbers, sig.s);
  if (err !== 0) return err;
  const [r, s] = numbers.found as [bigint, bigint];
  if (r === 0n || s === 0n || r >= curve.n || s >= curve.n) return 'EBADMSG';
  const raw = concat(bigintToBytes(r, curve.size), bigintToBytes(s, curve.size));
  const digest = sig.digest.subarray(0, curve.words);
  return curve.verify(point, digest, raw) ? 0 : 'EKEYREJECTED';
}

function verify(key: PublicKey, sig: PublicKeySignature): Err {
  if (sig.pkeyAlgo !== null && sig.pkeyAlgo !== key.pkeyAlgo) {
    // A signature does not say its curve.
    if (!key.pkeyAlgo.startsWith('ecdsa-') || sig.pkeyAlgo !== 'ecdsa') return 'EKEYREJECTED';
  }
  if (sig.encoding === null) return 'EINVAL';
  if (key.pkeyAlgo === 'rsa') {
    if (sig.encoding === 'pkcs1') return pkcs1padVerify(key, sig);
    // Raw RSA is no signature algorithm: it cannot tell hashes apart.
    return sig.encoding !== 'raw' || sig.hashAlgo !== null ? 'EINVAL' : 'ENOENT';
  }
  if (key.pkeyAlgo === 'ecrdsa') {
    if (sig.encoding !== 'raw' || sig.hashAlgo === null || !sig.hashAlgo.startsWith('streebog'))
      return 'EINVAL';
    return 'ENOENT';
  }
  if (sig.encoding !== 'x962' || sig.hashAlgo === null || !ECDSA_HASHES.has(sig.hashAlgo)) return 'EINVAL';
  return ecdsaVerify(key, sig);
}

const KEPT_VERDICTS = 512;
const verdicts = new WeakMap<Uint8Array, Map<string, Err>>();

/**
 * Whether a signature over a digest is good: 0, or the kernel's errno.
 * @kernel crypto/asymmetric_keys/public_key.c public_key_verify_signature()
 */
export function publicKeyVerifySignature(key: PublicKey, sig: PublicKeySignature): Err {
  let known = verdicts.get(key.key);
  if (known === undefined) {
    known = new Map();
    verdicts.set(key.key, known);
  }
  const scheme = [key.pkeyAlgo, sig.pkeyAlgo, sig.hashAlgo, sig.encoding, sig.s.length].join(' ');
  const id = `${scheme} ${fromLatin1(sig.s)}${fromLatin1(sig.digest)}`;
  let verdict = known.get(id);
  if (verdict === undefined) {
    verdict = verify(key, sig);
    if (known.size >= KEPT_VERDICTS) known.clear();
    known.set(id, verdict);
  }
  return verdict;
}
