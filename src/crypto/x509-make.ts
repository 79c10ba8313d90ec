// Making certificates: self-signed or signed by another key, with the extensions that kernel keyrings look
// at. The same input gives the same bytes: RSA is PKCS#1 v1.5 and ECDSA takes its nonce from the key and
// the text (RFC 6979).

import { assert } from '../base/assert.ts';
import { concat, latin1, utf8 } from '../base/bytes.ts';
import { DER_NULL, der, derBits, derInteger, derOid } from './der.ts';
import { ecdsaToDer } from './ec.ts';
import { type AnyKey, type AnyPrivateKey, exportSpki, isPrivate, subjectKeyId } from './keys.ts';
import { ECDSA_SIGNATURE_OID, OID, RSA_SIGNATURE_OID } from './oids.ts';
import { crypto, type HashName } from './provider.ts';
import { rsaSignPkcs1v15 } from './rsa.ts';

/** Parts of a distinguished name, in order. */
export type NamePart = readonly [type: 'C' | 'ST' | 'L' | 'O' | 'OU' | 'CN' | 'emailAddress', value: string];

/** Bits of keyUsage, by their RFC 5280 names; the place is the bit. */
const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
export type KeyUsage = (typeof KEY_USAGES)[number];

/** Who signs: its key, its name, and the identifier of its key. */
export interface CertificateIssuer {
  readonly key: AnyPrivateKey;
  readonly name: readonly NamePart[];
}

export interface CertificateRequest {
  readonly subject: readonly NamePart[];
  readonly key: AnyKey;
  /** Null for a self-signed certificate, whose `key` must be private then. */
  readonly issuer: CertificateIssuer | null;
  readonly serial: bigint;
  /** Seconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly hash: HashName;
  /** basicConstraints; null leaves the extension out. */
  readonly ca: boolean | null;
  /** keyUsage; none leaves the extension out. */
  readonly keyUsage: readonly KeyUsage[];
  /** Dotted identifiers of extendedKeyUsage; none leaves the extension out. */
  readonly extendedKeyUsage?: readonly string[];
  /** Subject and authority key identifiers; true where not said. */
  readonly keyIdentifiers?: boolean;
}

const NAME_TYPES: Readonly<Record<NamePart[0], readonly [oid: string, tag: number]>> = {
  C: ['2.5.4.6', 0x13],
  ST: ['2.5.4.8', 0x0c],
  L: ['2.5.4.7', 0x0c],
  O: [OID.organizationName, 0x0c],
  OU: ['2.5.4.11', 0x0c],
  CN: [OID.commonName, 0x0c],
  emailAddress: [OID.email_address, 0x16],
};

/** Name: one attribute in each relative distinguished name. */
export function derName(parts: readonly NamePart[]): Uint8Array {
  const sets = parts.map(([type, value]) => {
    const [oid, tag] = NAME_TYPES[type];
    return der(0x31, der(0x30, derOid(oid), der(tag, utf8(value))));
  });
  return der(0x30, ...sets);
}

/** UTCTime up to 2049, GeneralizedTime from 2050 on (RFC 5280, 4.1.2.5). */
export function derTime(seconds: number): Uint8Array {
  let days = Math.floor(seconds / 86400);
  const rest = seconds - 86400 * days;
  let year = 1970;
  const lengthOf = (y: number): number => (y % 4 === 0 && (y % 100 !== 0 || y % 400 === 0) ? 366 : 365);
  for (; days >= lengthOf(year); year++) days -= lengthOf(year);
  const months = [31, lengthOf(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  let month = 0;
  for (; days >= (months[month] as number); month++) days -= months[month] as number;
  const fields = [month + 1, days + 1, Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60];
  const tail = `${fields.map((f) => String(f).padStart(2, '0')).join('')}Z`;
  assert(seconds >= 0 && year <= 9999, 'certificate times lie between 1970 and 9999');
  return year < 2050
    ? der(0x17, latin1(String(year).slice(2) + tail))
    : der(0x18, latin1(String(year) + tail));
}

/** AlgorithmIdentifier of a signature; a hash without one is our bug. */
export function signatureAlgorithm(key: AnyKey, hash: HashName): Uint8Array {
  const name = (key.kind === 'rsa' ? RSA_SIGNATURE_OID : ECDSA_SIGNATURE_OID)[hash];
  assert(name !== undefined, `no X.509 signature algorithm with ${hash}`);
  return key.kind === 'rsa' ? der(0x30, derOid(OID[name]), DER_NULL) : der(0x30, derOid(OID[name]));
}

/** The signature over a digest as X.509, CMS and IMA carry it: PKCS#1 v1.5, or ECDSA in DER. */
export function signDigest(key: AnyPrivateKey, hash: HashName, digest: Uint8Array): Uint8Array {
  if (key.kind === 'ec') return ecdsaToDer(crypto().ecdsaSign(key.curve, key.d, digest));
  const signature = rsaSignPkcs1v15(key, hash, digest);
  assert(signature !== undefined, 'the RSA key is too short for the hash');
  return signature;
}

function extension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  return der(0x30, derOid(oid), ...(critical ? [Uint8Array.of(1, 1, 255)] : []), der(0x04, value));
}

/** BIT STRING of named bits: trailing zeros are left out. */
function derKeyUsage(usages: readonly KeyUsage[]): Uint8Array {
  const bits = usages.map((u) => KEY_USAGES.indexOf(u));
  const last = Math.max(...bits);
  const bytes = new Uint8Array((last >> 3) + 1);
  for (const b of bits) bytes[b >> 3] = (bytes[b >> 3] as number) | (0x80 >> (b & 7));
  return der(0x03, Uint8Array.of(7 - (last & 7)), bytes);
}

function derExtensions(request: CertificateRequest, signer: AnyPrivateKey): Uint8Array {
  const list: Uint8Array[] = [];
  const { ca, keyUsage, extendedKeyUsage = [] } = request;
  if (ca !== null)
    list.push(extension(OID.basicConstraints, true, der(0x30, ...(ca ? [Uint8Array.of(1, 1, 255)] : []))));
  if (keyUsage.length > 0) list.push(extension(OID.keyUsage, false, derKeyUsage(keyUsage)));
  if (extendedKeyUsage.length > 0)
    list.push(extension(OID.extKeyUsage, false, der(0x30, ...extendedKeyUsage.map(derOid))));
  if (request.keyIdentifiers !== false) {
    list.push(extension(OID.subjectKeyIdentifier, false, der(0x04, subjectKeyId(request.key))));
    list.push(extension(OID.authorityKeyIdentifier, false, der(0x30, der(0x80, subjectKeyId(signer)))));
  }
  return list.length === 0 ? new Uint8Array(0) : der(0xa3, der(0x30, ...list));
}

/** The DER of a certificate. */
export function makeCertificate(request: CertificateRequest): Uint8Array {
  const signer = request.issuer?.key ?? request.key;
  assert(isPrivate(signer), 'a self-signed certificate needs the private key');
  const algorithm = signatureAlgorithm(signer, request.hash);
  const tbs = der(
    0x30,
    der(0xa0, derInteger(2n)),
    derInteger(request.serial),
    algorithm,
    derName(request.issuer?.name ?? request.subject),
    der(0x30, derTime(request.notBefore), derTime(request.notAfter)),
    derName(request.subject),
    exportSpki(request.key),
    derExtensions(request, signer),
  );
  const digest = crypto().hash(request.hash, tbs);
  return der(0x30, concat(tbs, algorithm, derBits(signDigest(signer, request.hash, digest))));
}
