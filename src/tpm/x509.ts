// DER of X.509 as far as TPM2_CertifyX509 needs it: walking the caller's partial certificate, checking its
// key-usage extensions against the key, and the elements that the TPM adds (algorithm identifier, public
// key, serial, version).

import { concat, equalBytes } from '../base/bytes.ts';
import { bytesToBigint } from '../crypto/bigint.ts';
import { DER_NULL, der, derBits, derInteger, derOid } from '../crypto/der.ts';
import { ecPointToBytes } from '../crypto/ec.ts';
import { hashSize } from './algorithms.ts';
import { pointOf, rsaPublicOf } from './asymmetric.ts';
import * as c from './constants.ts';
import * as rc from './rc.ts';
import type { Scheme, TpmtPublic } from './structures-object.ts';

const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;
const BIT_STRING = 0x03;
const EXTENSIONS = 0xa3;

export interface DerElement {
  readonly tag: number;
  /** Tag, length and contents. */
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

/** The elements that fill the octets, or null when they are no DER. */
export function derElements(bytes: Uint8Array): readonly DerElement[] | null {
  const out: DerElement[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] as number;
    let length = bytes[at + 1];
    if (length === undefined) return null;
    let start = at + 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0 || octets > 2 || start + octets > bytes.length) return null;
      length = Number(bytesToBigint(bytes.subarray(start, start + octets)));
      start += octets;
    }
    const end = start + length;
    if (end > bytes.length) return null;
    out.push({ tag, whole: bytes.subarray(at, end), content: bytes.subarray(start, end) });
    at = end;
  }
  return out;
}

export interface PartialCertificate {
  /** Caller's algorithm identifier; null when the TPM makes it. */
  readonly signature: Uint8Array | null;
  readonly issuer: Uint8Array;
  readonly validity: Uint8Array;
  readonly subject: Uint8Array;
  readonly extensions: Uint8Array;
}

/**
 * Takes a partial certificate apart; a response code without a number when it is none.
 * @tcg Part 3, 18.8 TPM2_CertifyX509
 */
export function readPartial(bytes: Uint8Array): PartialCertificate | number {
  const outer = derElements(bytes);
  const body = outer?.[0];
  if (outer?.length !== 1 || body?.tag !== SEQUENCE) return rc.TPM_RC_SIZE;
  const elements = derElements(body.content);
  if (elements === null) return rc.TPM_RC_VALUE;
  const sequences = elements.filter((e) => e.tag === SEQUENCE);
  const extensions = elements.filter((e) => e.tag === EXTENSIONS);
  const known = sequences.length + extensions.length === elements.length;
  if (!known || extensions.length !== 1 || sequences.length < 3 || sequences.length > 4) {
    return rc.TPM_RC_VALUE;
  }
  const [issuer, validity, subject] = sequences.slice(-3).map((e) => e.whole) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const signature = sequences.length === 4 ? (sequences[0]?.whole ?? null) : null;
  return { signature, issuer, validity, subject, extensions: extensions[0]?.content ?? new Uint8Array(0) };
}

const OID_KEY_USAGE = derOid('2.5.29.15');
const OID_TPMA_OBJECT = derOid('2.23.133.10.1.1.1');

/** Bits of a BIT STRING extension, the first one at bit 31; undefined when the extension is not there. */
function extensionBits(list: readonly DerElement[], oid: Uint8Array): number | null | undefined {
  for (const extension of list) {
    const members = extension.tag === SEQUENCE ? derElements(extension.content) : null;
    if (members === null) return null;
    if (members[0] === undefined || !equalBytes(members[0].whole, oid)) continue;
    const value = members.find((m) => m.tag === OCTET_STRING);
    const bits = value === undefined ? null : derElements(value.content);
    const string = bits?.[0];
    if (string?.tag !== BIT_STRING || string.content.length < 1 || string.content.length > 5) return null;
    const octets = concat(string.content.subarray(1), new Uint8Array(4)).subarray(0, 4);
    return Number(bytesToBigint(octets));
  }
  return undefined;
}

const USAGE = {
  digitalSignature: 2 ** 31,
  nonrepudiation: 2 ** 30,
  keyEncipherment: 2 ** 29,
  dataEncipherment: 2 ** 28,
  keyAgreement: 2 ** 27,
  keyCertSign: 2 ** 26,
  crlSign: 2 ** 25,
  encipherOnly: 2 ** 24,
  decipherOnly: 2 ** 23,
} as const;

/** Whether the extensions say of the key what its attributes say; a response code or 0. @tcg Part 2, 8.11 */
export function checkExtensions(area: TpmtPublic, content: Uint8Array): number {
  const outer = derElements(content);
  const list = outer?.[0]?.tag === SEQUENCE ? derElements(outer[0].content) : null;
  if (list === null) return rc.TPM_RC_VALUE;
  const attributes = area.objectAttributes;
  const stated = extensionBits(list, OID_TPMA_OBJECT);
  if (stated === null) return rc.TPM_RC_VALUE;
  if (stated !== undefined && stated !== attributes) return rc.TPM_RC_ATTRIBUTES;
  const usage = extensionBits(list, OID_KEY_USAGE);
  if (usage === null || usage === undefined) return rc.TPM_RC_VALUE;
  if (usage % USAGE.decipherOnly !== 0) return rc.TPM_RC_RESERVED_BITS;
  const used = (...bits: readonly number[]): boolean => bits.some((b) => Math.floor(usage / b) % 2 === 1);
  const is = (bit: number): boolean => (attributes & bit) !== 0;
  const { digitalSignature, keyCertSign, crlSign } = USAGE;
  const { dataEncipherment, keyAgreement, encipherOnly, decipherOnly } = USAGE;
  const bad =
    (used(digitalSignature, keyCertSign, crlSign) && !is(c.TPMA_OBJECT_SIGN_ENCRYPT)) ||
    (used(dataEncipherment, keyAgreement, encipherOnly, decipherOnly) && !is(c.TPMA_OBJECT_DECRYPT)) ||
    (used(USAGE.nonrepudiation) && !is(c.TPMA_OBJECT_FIXEDTPM)) ||
    (used(USAGE.keyEncipherment) && !is(c.TPMA_OBJECT_RESTRICTED));
  return bad ? rc.TPM_RC_VALUE : 0;
}

const HASH_OIDS: ReadonlyMap<number, string> = new Map([
  [c.TPM_ALG_SHA1, '1.3.14.3.2.26'],
  [c.TPM_ALG_SHA256, '2.16.840.1.101.3.4.2.1'],
  [c.TPM_ALG_SHA384, '2.16.840.1.101.3.4.2.2'],
  [c.TPM_ALG_SHA512, '2.16.840.1.101.3.4.2.3'],
]);
const RSASSA_OIDS: ReadonlyMap<number, string> = new Map([
  [c.TPM_ALG_SHA1, '1.2.840.113549.1.1.5'],
  [c.TPM_ALG_SHA256, '1.2.840.113549.1.1.11'],
  [c.TPM_ALG_SHA384, '1.2.840.113549.1.1.12'],
  [c.TPM_ALG_SHA512, '1.2.840.113549.1.1.13'],
]);
const ECDSA_OIDS: ReadonlyMap<number, string> = new Map([
  [c.TPM_ALG_SHA1, '1.2.840.10045.4.1'],
  [c.TPM_ALG_SHA256, '1.2.840.10045.4.3.2'],
  [c.TPM_ALG_SHA384, '1.2.840.10045.4.3.3'],
  [c.TPM_ALG_SHA512, '1.2.840.10045.4.3.4'],
]);
const CURVE_OIDS: ReadonlyMap<number, string> = new Map([
  [c.TPM_ECC_NIST_P256, '1.2.840.10045.3.1.7'],
  [c.TPM_ECC_NIST_P384, '1.3.132.0.34'],
  [c.TPM_ECC_NIST_P521, '1.3.132.0.35'],
]);

/** AlgorithmIdentifier of a signature scheme; null when the TPM has none for it. */
export function signatureAlgorithm(scheme: Scheme): Uint8Array | null {
  const { hashAlg } = scheme;
  if (scheme.scheme === c.TPM_ALG_RSASSA) {
    const oid = RSASSA_OIDS.get(hashAlg);
    return oid === undefined ? null : der(SEQUENCE, derOid(oid), DER_NULL);
  }
  if (scheme.scheme === c.TPM_ALG_ECDSA) {
    const oid = ECDSA_OIDS.get(hashAlg);
    return oid === undefined ? null : der(SEQUENCE, derOid(oid));
  }
  const hashOid = HASH_OIDS.get(hashAlg);
  if (scheme.scheme !== c.TPM_ALG_RSAPSS || hashOid === undefined) return null;
  const hash = der(SEQUENCE, derOid(hashOid), DER_NULL);
  const mgf = der(SEQUENCE, derOid('1.2.840.113549.1.1.8'), hash);
  const salt = derInteger(BigInt(hashSize(hashAlg)));
  const parameters = der(SEQUENCE, der(0xa0, hash), der(0xa1, mgf), der(0xa2, salt));
  return der(SEQUENCE, derOid('1.2.840.113549.1.1.10'), parameters);
}

/** SubjectPublicKeyInfo of an object; null for what is no asymmetric key. */
export function subjectPublicKey(area: TpmtPublic): Uint8Array | null {
  if (area.type === c.TPM_ALG_RSA) {
    const { n, e } = rsaPublicOf(area);
    const key = der(SEQUENCE, derInteger(n), derInteger(e));
    return der(SEQUENCE, der(SEQUENCE, derOid('1.2.840.113549.1.1.1'), DER_NULL), derBits(key));
  }
  if (area.type !== c.TPM_ALG_ECC) return null;
  const curve = CURVE_OIDS.get(area.parameters.curveId);
  if (curve === undefined) return null;
  const algorithm = der(SEQUENCE, derOid('1.2.840.10045.2.1'), derOid(curve));
  return der(SEQUENCE, algorithm, derBits(ecPointToBytes(pointOf(area))));
}

/** Version 3, explicitly tagged. */
export const VERSION_3: Uint8Array = der(0xa0, derInteger(2n));
