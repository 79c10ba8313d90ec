// Keys in the files that tools exchange: SPKI, PKCS#8, PKCS#1 and SEC 1, as DER or PEM, and the bridge to
// the public keys of certificates. RSA with two primes and the three NIST curves; encrypted private keys
// are refused.

import { fromLatin1 } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import {
  any,
  type BerPosition,
  berDecode,
  choice,
  complete,
  type Element,
  explicit,
  implicit,
  integer,
  leaf,
  objectIdentifier,
  optional,
  sequence,
} from './ber.ts';
import { bigintToBytes, bytesToBigint } from './bigint.ts';
import { DER_NULL, der, derBits, derInteger, derOid } from './der.ts';
import { ecPointFromBytes, ecPointToBytes, ecSize, isEcPrivateKey } from './ec.ts';
import { CURVE_OID, lookUpOid, OID, type OidName } from './oids.ts';
import { pemDecode, pemEncode } from './pem.ts';
import { type CurveName, crypto, type EcPoint, type RsaPrivateKey, type RsaPublicKey } from './provider.ts';
import { type PkeyAlgo, type PublicKey, rsaSetPubKey } from './public-key.ts';
import { rsaCrt } from './rsa.ts';
import { x509CertParse } from './x509.ts';

export interface EcPublicKey {
  readonly kind: 'ec';
  readonly curve: CurveName;
  readonly point: EcPoint;
}

export interface EcPrivateKey extends EcPublicKey {
  readonly d: Uint8Array;
}

export interface RsaPublic extends RsaPublicKey {
  readonly kind: 'rsa';
}

export interface RsaPrivate extends RsaPrivateKey {
  readonly kind: 'rsa';
}

export type AnyPublicKey = RsaPublic | EcPublicKey;
export type AnyPrivateKey = RsaPrivate | EcPrivateKey;
export type AnyKey = AnyPublicKey | AnyPrivateKey;

export type KeyResult =
  | { readonly ok: true; readonly key: AnyKey }
  | { readonly ok: false; readonly problem: string };

/** Whether the key has its private part. */
export function isPrivate(key: AnyKey): key is AnyPrivateKey {
  return 'd' in key;
}

/** An EC key pair from its private number. */
export function ecPrivateKey(curve: CurveName, d: Uint8Array): EcPrivateKey {
  const bytes = bigintToBytes(bytesToBigint(d), ecSize(curve));
  return { kind: 'ec', curve, d: bytes, point: crypto().ecPublicKey(curve, bytes) };
}

/** The public half. */
export function publicOf(key: AnyKey): AnyPublicKey {
  if (key.kind === 'rsa') return { kind: 'rsa', n: key.n, e: key.e };
  return { kind: 'ec', curve: key.curve, point: key.point };
}

// ---- writing ----

/** RSAPublicKey (PKCS#1). */
export function exportPkcs1Public(key: RsaPublicKey): Uint8Array {
  return der(0x30, derInteger(key.n), derInteger(key.e));
}

/** RSAPrivateKey (PKCS#1). */
export function exportPkcs1Private(key: RsaPrivateKey): Uint8Array {
  const { dp, dq, qInverse } = rsaCrt(key);
  const numbers = [0n, key.n, key.e, key.d, key.p, key.q, dp, dq, qInverse];
  return der(0x30, ...numbers.map(derInteger));
}

/** AlgorithmIdentifier of a public key. */
function keyAlgorithm(key: AnyKey): Uint8Array {
  if (key.kind === 'rsa') return der(0x30, derOid(OID.rsaEncryption), DER_NULL);
  return der(0x30, derOid(OID.id_ecPublicKey), derOid(OID[CURVE_OID[key.curve]]));
}

/** The public key alone, as certificates hold it inside their BIT STRING. */
export function exportKeyBits(key: AnyKey): Uint8Array {
  return key.kind === 'rsa' ? exportPkcs1Public(key) : ecPointToBytes(key.point);
}

/** SubjectPublicKeyInfo, the content of `PUBLIC KEY`. */
export function exportSpki(key: AnyKey): Uint8Array {
  return der(0x30, keyAlgorithm(key), derBits(exportKeyBits(key)));
}

/** ECPrivateKey (RFC 5915); the curve is left out where the surrounding structure names it. */
export function exportSec1(key: EcPrivateKey, withCurve = true): Uint8Array {
  const curve = der(0xa0, derOid(OID[CURVE_OID[key.curve]]));
  const parts = [derInteger(1n), der(0x04, key.d), ...(withCurve ? [curve] : [])];
  return der(0x30, ...parts, der(0xa1, derBits(ecPointToBytes(key.point))));
}

/** PrivateKeyInfo, the content of `PRIVATE KEY`. */
export function exportPkcs8(key: AnyPrivateKey): Uint8Array {
  const inner = key.kind === 'rsa' ? exportPkcs1Private(key) : exportSec1(key, false);
  return der(0x30, derInteger(0n), keyAlgorithm(key), der(0x04, inner));
}

/** PEM of the whole key: `PRIVATE KEY` where it has one, else `PUBLIC KEY`. */
export function exportPem(key: AnyKey): string {
  return isPrivate(key)
    ? pemEncode('PRIVATE KEY', exportPkcs8(key))
    : pemEncode('PUBLIC KEY', exportSpki(key));
}

/** The 160-bit subject key identifier: SHA-1 over the key bits (RFC 5280, 4.2.1.2, method 1). */
export function subjectKeyId(key: AnyKey): Uint8Array {
  return crypto().hash('sha1', exportKeyBits(key));
}

// ---- reading ----

interface Draft {
  algorithm: OidName | undefined;
  curve: OidName | undefined;
  numbers: bigint[];
  octets: Uint8Array | null;
  bits: Uint8Array | null;
}

const newDraft = (): Draft => ({
  algorithm: undefined,
  curve: undefined,
  numbers: [],
  octets: null,
  bits: null,
});

const noteAlgorithm = (c: Draft, value: Uint8Array): Err => {
  c.algorithm = lookUpOid(value);
  return 0;
};
const noteCurve = (c: Draft, value: Uint8Array): Err => {
  c.curve = lookUpOid(value);
  return 0;
};
const noteNumber = (c: Draft, value: Uint8Array): Err => {
  if (value.length === 0 || (value[0] as number) >= 0x80) return 'EBADMSG';
  c.numbers.push(bytesToBigint(value));
  return 0;
};
const noteOctets = (c: Draft, value: Uint8Array): Err => {
  c.octets = value;
  return 0;
};
const noteBits = (c: Draft, value: Uint8Array, at: BerPosition): Err => {
  if (value[0] !== 0) return 'EBADMSG';
  c.bits = at.input.subarray(at.offset + 1, at.offset + value.length);
  return 0;
};

const ALGORITHM: Element<Draft> = sequence([
  objectIdentifier(noteAlgorithm),
  optional(choice(objectIdentifier(noteCurve), any())),
]);
const BIT_STRING: Element<Draft> = leaf(0x03, noteBits);
const OCTET_STRING: Element<Draft> = leaf(0x04, noteOctets);
const NUMBER: Element<Draft> = integer(noteNumber);

const SPKI: Element<Draft> = sequence([ALGORITHM, BIT_STRING]);
const PKCS8: Element<Draft> = sequence([
  NUMBER,
  ALGORITHM,
  OCTET_STRING,
  optional(
    implicit(
      0,
      complete(sequence<Draft>([any()]), () => 0),
    ),
  ),
]);
const PKCS1_PUBLIC: Element<Draft> = sequence([NUMBER, NUMBER]);
const PKCS1_PRIVATE: Element<Draft> = sequence(Array.from({ length: 9 }, () => NUMBER));
const SEC1: Element<Draft> = sequence([
  NUMBER,
  OCTET_STRING,
  optional(explicit(0, objectIdentifier(noteCurve))),
  optional(explicit(1, BIT_STRING)),
]);

function read(grammar: Element<Draft>, bytes: Uint8Array): Draft | undefined {
  const draft = newDraft();
  return berDecode(grammar, draft, bytes) === 0 ? draft : undefined;
}

const CURVE_NAMES: Readonly<Partial<Record<OidName, CurveName>>> = {
  id_prime256v1: 'P-256',
  id_ansip384r1: 'P-384',
  id_ansip521r1: 'P-521',
};

function rsaPublic(bytes: Uint8Array): AnyKey | undefined {
  const [n, e] = read(PKCS1_PUBLIC, bytes)?.numbers ?? [];
  return n === undefined || e === undefined || n < 2n || e < 2n ? undefined : { kind: 'rsa', n, e };
}

function rsaPrivate(bytes: Uint8Array): AnyKey | undefined {
  const [version, n = 0n, e = 0n, d = 0n, p = 0n, q = 0n] = read(PKCS1_PRIVATE, bytes)?.numbers ?? [];
  if (version !== 0n || p < 3n || q < 3n || p === q || p * q !== n) return undefined;
  if ((d * e) % (p - 1n) !== 1n || (d * e) % (q - 1n) !== 1n) return undefined;
  return { kind: 'rsa', n, e, d, p, q };
}

function ecPublic(oid: OidName | undefined, bytes: Uint8Array): AnyKey | undefined {
  const curve = oid && CURVE_NAMES[oid];
  const point = curve && ecPointFromBytes(curve, bytes);
  return curve === undefined || point === undefined ? undefined : { kind: 'ec', curve, point };
}

function ecPrivate(oid: OidName | undefined, bytes: Uint8Array): AnyKey | undefined {
  const draft = read(SEC1, bytes);
  const curveOid = draft?.curve ?? oid;
  const curve = curveOid && CURVE_NAMES[curveOid];
  const d = draft?.octets;
  if (curve === undefined || d == null || !isEcPrivateKey(curve, d)) return undefined;
  return ecPrivateKey(curve, d);
}

function fromSpki(bytes: Uint8Array): AnyKey | undefined {
  const draft = read(SPKI, bytes);
  if (draft?.bits == null) return undefined;
  if (draft.algorithm === 'rsaEncryption') return rsaPublic(draft.bits);
  return draft.algorithm === 'id_ecPublicKey' ? ecPublic(draft.curve, draft.bits) : undefined;
}

function fromPkcs8(bytes: Uint8Array): AnyKey | undefined {
  const draft = read(PKCS8, bytes);
  if (draft?.octets == null) return undefined;
  if (draft.algorithm === 'rsaEncryption') return rsaPrivate(draft.octets);
  return draft.algorithm === 'id_ecPublicKey' ? ecPrivate(draft.curve, draft.octets) : undefined;
}

function fromCertificate(bytes: Uint8Array): AnyKey | undefined {
  const cert = x509CertParse(bytes);
  return cert.ok ? keyOfPublicKey(cert.value.pub) : undefined;
}

type Reader = (bytes: Uint8Array) => AnyKey | undefined;

const PEM_READERS: Readonly<Record<string, Reader>> = {
  'PUBLIC KEY': fromSpki,
  'PRIVATE KEY': fromPkcs8,
  'RSA PUBLIC KEY': rsaPublic,
  'RSA PRIVATE KEY': rsaPrivate,
  'EC PRIVATE KEY': (bytes) => ecPrivate(undefined, bytes),
  CERTIFICATE: fromCertificate,
};

/** A file that holds a key as DER says nowhere which form it is: the first that fits is taken. */
const DER_READERS: readonly Reader[] = [
  fromPkcs8,
  fromSpki,
  rsaPrivate,
  PEM_READERS['EC PRIVATE KEY'] as Reader,
  fromCertificate,
  rsaPublic,
];

const bad = (problem: string): KeyResult => ({ ok: false, problem });

function importPem(text: string): KeyResult {
  if (/ENCRYPTED/.test(text)) return bad('the private key is encrypted');
  const blocks = pemDecode(text);
  if (blocks.length === 0) return bad('no well-formed PEM block');
  for (const { label, bytes } of blocks) {
    const key = PEM_READERS[label]?.(bytes);
    if (key !== undefined) return { ok: true, key };
  }
  return bad(`no usable key in ${blocks.map((b) => b.label).join(', ')}`);
}

/** The key of a PEM or DER file (a certificate gives its public key), or what is wrong with it. */
export function importKey(file: Uint8Array): KeyResult {
  if (file[0] !== 0x30) return importPem(fromLatin1(file));
  for (const reader of DER_READERS) {
    const key = reader(file);
    if (key !== undefined) return { ok: true, key };
  }
  return bad('neither PEM nor the DER of a known kind of key');
}

// ---- the kernel's form ----

const PKEY_ALGOS: Readonly<Record<CurveName, PkeyAlgo>> = {
  'P-256': 'ecdsa-nist-p256',
  'P-384': 'ecdsa-nist-p384',
  'P-521': 'ecdsa-nist-p521',
};

/** A key as the kernel's public_key, without usage flags. */
export function publicKeyOf(key: AnyKey): PublicKey {
  const pkeyAlgo = key.kind === 'rsa' ? 'rsa' : PKEY_ALGOS[key.curve];
  return { pkeyAlgo, key: exportKeyBits(key), ca: false, digitalSignature: false, keyCertSign: false };
}

/** The numbers of the kernel's public_key; undefined where it is none of ours or malformed. */
export function keyOfPublicKey(pub: PublicKey): AnyPublicKey | undefined {
  if (pub.pkeyAlgo === 'rsa') {
    const numbers = rsaSetPubKey(pub.key);
    return numbers.ok ? { kind: 'rsa', ...numbers.value } : undefined;
  }
  const curve = (Object.keys(PKEY_ALGOS) as CurveName[]).find((c) => PKEY_ALGOS[c] === pub.pkeyAlgo);
  const point = curve && ecPointFromBytes(curve, pub.key);
  return curve === undefined || point === undefined ? undefined : { kind: 'ec', curve, point };
}
