// X.509 certificates as the kernel reads them: the parser's narrow profile with its errno, the key
// identifiers by which keyrings find a certificate, and the check of a self-signature. Names, validity and
// usage are noted, not judged: trust is the keyrings' business.

import { concat, equalBytes, fromUtf8 } from '../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
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
  sequenceOf,
  setOf,
} from './ber.ts';
import { lookUpOid, type OidName } from './oids.ts';
import { crypto, type HashName } from './provider.ts';
import {
  type PkeyAlgo,
  type PublicKey,
  type PublicKeySignature,
  publicKeyVerifySignature,
} from './public-key.ts';

/**
 * Hashes that the recorded kernels can compute (CONFIG_CRYPTO_*); a profile with others passes its own set.
 */
export const KERNEL_HASHES: ReadonlySet<string> = new Set<HashName>([
  'md5',
  'sha1',
  'rmd160',
  'sha256',
  'sha384',
  'sha512',
  'sha224',
  'wp512',
  'sm3',
  'sha3-256',
  'sha3-384',
  'sha3-512',
]);

/** struct x509_certificate, as plain data. */
export interface X509Certificate {
  /** Name made of O, CN or e-mail address, as key descriptions show it. */
  readonly issuer: string;
  readonly subject: string;
  /** Contents of the DER elements, without their headers. */
  readonly rawSerial: Uint8Array;
  readonly rawIssuer: Uint8Array;
  readonly rawSubject: Uint8Array;
  readonly rawSkid: Uint8Array | null;
  /** Seconds since 1970. */
  readonly validFrom: number;
  readonly validTo: number;
  /** The signed part, header included. */
  readonly tbs: Uint8Array;
  readonly pub: PublicKey;
  readonly sig: PublicKeySignature;
  /**
   * Issuer and serial number of the authority, its key identifier, and the issuer's name; null where
   * absent.
   */
  readonly authIds: readonly [Uint8Array | null, Uint8Array | null, Uint8Array];
  /** Serial number and issuer: the first key identifier. */
  readonly id: Uint8Array;
  readonly selfSigned: boolean;
  /** The signature uses an algorithm that this kernel lacks. */
  readonly unsupportedSig: boolean;
}

/** What the actions gather. */
interface Context {
  lastOid: OidName | undefined;
  sigAlgo: OidName | undefined;
  sig: { hashAlgo: string; pkeyAlgo: 'rsa' | 'ecdsa' | 'ecrdsa'; encoding: 'pkcs1' | 'x962' | 'raw' };
  rawSig: Uint8Array;
  tbs: Uint8Array;
  serial: Uint8Array;
  rawIssuer: Uint8Array | null;
  rawSubject: Uint8Array | null;
  issuer: string;
  subject: string;
  validFrom: number;
  validTo: number;
  key: Uint8Array | null;
  params: Uint8Array;
  pkeyAlgo: PkeyAlgo;
  skid: Uint8Array | null;
  akid: Uint8Array | null;
  ca: boolean;
  digitalSignature: boolean;
  keyCertSign: boolean;
  segments: { cn: Uint8Array; o: Uint8Array; email: Uint8Array };
  akidIssuer: Uint8Array | null;
  authId: Uint8Array | null;
  authSkid: Uint8Array | null;
}

const NONE = new Uint8Array(0);
const NO_SEGMENTS = { cn: NONE, o: NONE, email: NONE };

function newContext(): Context {
  return {
    lastOid: undefined,
    sigAlgo: undefined,
    sig: { hashAlgo: '', pkeyAlgo: 'rsa', encoding: 'pkcs1' },
    rawSig: NONE,
    tbs: NONE,
    serial: NONE,
    rawIssuer: null,
    rawSubject: null,
    issuer: '',
    subject: '',
    validFrom: 0,
    validTo: 0,
    key: null,
    params: NONE,
    pkeyAlgo: 'rsa',
    skid: null,
    akid: null,
    ca: false,
    digitalSignature: false,
    keyCertSign: false,
    segments: NO_SEGMENTS,
    akidIssuer: null,
    authId: null,
    authSkid: null,
  };
}

/** The element with its header. */
function whole(value: Uint8Array, at: BerPosition): Uint8Array {
  return at.input.subarray(at.offset - at.headerLength, at.offset + value.length);
}

function noteOid(c: { lastOid: OidName | undefined }, value: Uint8Array): Err {
  c.lastOid = lookUpOid(value);
  return 0;
}

type SignatureAlgorithm = readonly [hash: string, pkey: 'rsa' | 'ecdsa' | 'ecrdsa'];
const SIGNATURE_ALGORITHMS: Readonly<Partial<Record<OidName, SignatureAlgorithm>>> = {
  sha1WithRSAEncryption: ['sha1', 'rsa'],
  sha224WithRSAEncryption: ['sha224', 'rsa'],
  sha256WithRSAEncryption: ['sha256', 'rsa'],
  sha384WithRSAEncryption: ['sha384', 'rsa'],
  sha512WithRSAEncryption: ['sha512', 'rsa'],
  id_rsassa_pkcs1_v1_5_with_sha3_256: ['sha3-256', 'rsa'],
  id_rsassa_pkcs1_v1_5_with_sha3_384: ['sha3-384', 'rsa'],
  id_rsassa_pkcs1_v1_5_with_sha3_512: ['sha3-512', 'rsa'],
  id_ecdsa_with_sha1: ['sha1', 'ecdsa'],
  id_ecdsa_with_sha224: ['sha224', 'ecdsa'],
  id_ecdsa_with_sha256: ['sha256', 'ecdsa'],
  id_ecdsa_with_sha384: ['sha384', 'ecdsa'],
  id_ecdsa_with_sha512: ['sha512', 'ecdsa'],
  id_ecdsa_with_sha3_256: ['sha3-256', 'ecdsa'],
  id_ecdsa_with_sha3_384: ['sha3-384', 'ecdsa'],
  id_ecdsa_with_sha3_512: ['sha3-512', 'ecdsa'],
  gost2012Signature256: ['streebog256', 'ecrdsa'],
  gost2012Signature512: ['streebog512', 'ecrdsa'],
};
const ENCODINGS = { rsa: 'pkcs1', ecdsa: 'x962', ecrdsa: 'raw' } as const;

/** @kernel crypto/asymmetric_keys/x509_cert_parser.c x509_note_sig_algo() */
function noteSigAlgo(c: Context): Err {
  const found = c.lastOid && SIGNATURE_ALGORITHMS[c.lastOid];
  if (found === undefined) return 'ENOPKG';
  c.sig = { hashAlgo: found[0], pkeyAlgo: found[1], encoding: ENCODINGS[found[1]] };
  c.sigAlgo = c.lastOid;
  return 0;
}

/** @kernel crypto/asymmetric_keys/x509_cert_parser.c x509_note_signature() */
function noteSignature(c: Context, value: Uint8Array): Err {
  if (c.lastOid !== c.sigAlgo) return 'EINVAL';
  if (value.length < 1 || value[0] !== 0) return 'EBADMSG';
  c.rawSig = value.subarray(1);
  return 0;
}

function extractNameSegment(c: Context, value: Uint8Array): Err {
  // The kernel keeps these lengths in one byte.
  const segment = value.subarray(0, value.length & 0xff);
  if (c.lastOid === 'commonName') c.segments = { ...c.segments, cn: segment };
  else if (c.lastOid === 'organizationName') c.segments = { ...c.segments, o: segment };
  else if (c.lastOid === 'email_address') c.segments = { ...c.segments, email: segment };
  return 0;
}

/** @kernel crypto/asymmetric_keys/x509_cert_parser.c x509_fabricate_name() */
function fabricateName(c: Context): string {
  const { cn, o, email } = c.segments;
  c.segments = NO_SEGMENTS;
  if (cn.length > 0 && o.length > 0) {
    const prefixed = cn.length >= o.length && equalBytes(cn.subarray(0, o.length), o);
    const alike = cn.length >= 7 && o.length >= 7 && equalBytes(cn.subarray(0, 7), o.subarray(0, 7));
    return prefixed || alike ? fromUtf8(cn) : `${fromUtf8(o)}: ${fromUtf8(cn)}`;
  }
  return fromUtf8(cn.length > 0 ? cn : o.length > 0 ? o : email);
}

/** Parameters count only between the subject and the key: the algorithm identifier of the key itself. */
function noteParams(c: Context, value: Uint8Array, at: BerPosition): Err {
  if (c.rawSubject !== null && c.key === null) c.params = whole(value, at);
  return 0;
}

const CURVES: Readonly<Partial<Record<OidName, PkeyAlgo>>> = {
  id_prime192v1: 'ecdsa-nist-p192',
  id_prime256v1: 'ecdsa-nist-p256',
  id_ansip384r1: 'ecdsa-nist-p384',
  id_ansip521r1: 'ecdsa-nist-p521',
};

function pkeyAlgoOf(c: Context): Result<PkeyAlgo> {
  switch (c.lastOid) {
    case 'rsaEncryption':
      return ok('rsa');
    case 'gost2012PKey256':
    case 'gost2012PKey512':
      return ok('ecrdsa');
    case 'id_ecPublicKey': {
      const p = c.params;
      if (p.length < 3 || p[0] !== 6 || p[1] !== p.length - 2) return fail('EBADMSG');
      const curve = lookUpOid(p.subarray(2));
      const algo = curve && CURVES[curve];
      return algo === undefined ? fail('ENOPKG') : ok(algo);
    }
    default:
      return fail('ENOPKG');
  }
}

/** @kernel crypto/asymmetric_keys/x509_cert_parser.c x509_extract_key_data() */
function extractKeyData(c: Context, value: Uint8Array): Err {
  const algo = pkeyAlgoOf(c);
  if (!algo.ok) return algo.errno;
  c.pkeyAlgo = algo.value;
  if (value.length < 1 || value[0] !== 0) return 'EBADMSG';
  c.key = value.slice(1);
  return 0;
}

function noteSkid(c: Context, v: Uint8Array): Err {
  if (c.skid !== null || v.length < 3 || v[0] !== 4 || v[1] !== v.length - 2) return 'EBADMSG';
  c.skid = v.slice(2);
  return 0;
}

/** Bytes are looked at in place: the second is the length, the third the count of unused bits. */
function noteKeyUsage(c: Context, v: Uint8Array): Err {
  const [tag, length, unused, bits] = v as unknown as [number, number, number, number];
  if (v.length < 4 || tag !== 3 || unused >= 8) return 'EBADMSG';
  if (bits & 0x80) c.digitalSignature = true;
  const certSign = (bits & 0x04) !== 0;
  if (length === 2 && unused <= 2 && certSign) c.keyCertSign = true;
  else if (v.length > 4 && length === 3 && certSign) c.keyCertSign = true;
  return 0;
}

function noteBasicConstraints(c: Context, v: Uint8Array): Err {
  if (v.length < 2 || v[0] !== 0x30 || v[1] !== v.length - 2) return 'EBADMSG';
  if (v[1] === 0) return 0;
  if (v.length < 5 || v[2] !== 1 || v[3] !== 1 || v[4] !== 0xff) return 'EBADMSG';
  c.ca = true;
  return 0;
}

/** @kernel crypto/asymmetric_keys/x509_cert_parser.c x509_process_extension() */
function processExtension(c: Context, value: Uint8Array): Err {
  switch (c.lastOid) {
    case 'subjectKeyIdentifier':
      return noteSkid(c, value);
    case 'keyUsage':
      return noteKeyUsage(c, value);
    case 'authorityKeyIdentifier':
      c.akid = value;
      return 0;
    case 'basicConstraints':
      return noteBasicConstraints(c, value);
    default:
      return 0;
  }
}

const MONTH_LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/** Days since 1970 of a date in the Gregorian calendar. */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - 400 * era;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = 365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

/**
 * Seconds since 1970 of a UTCTime or GeneralizedTime; undefined for what the kernel refuses.
 * @kernel crypto/asymmetric_keys/x509_cert_parser.c x509_decode_time()
 */
export function x509DecodeTime(tag: number, value: Uint8Array): number | undefined {
  const digits = tag === 0x17 ? 12 : tag === 0x18 ? 14 : -1;
  if (value.length !== digits + 1 || value[digits] !== 0x5a) return undefined;
  const pairs: number[] = [];
  for (let i = 0; i < digits; i += 2) {
    const [high, low] = [(value[i] as number) - 48, (value[i + 1] as number) - 48];
    if (high < 0 || high > 9 || low < 0 || low > 9) return undefined;
    pairs.push(10 * high + low);
  }
  let year = pairs.shift() as number;
  if (tag === 0x17) year += year >= 50 ? 1900 : 2000;
  else {
    year = 100 * year + (pairs.shift() as number);
    if (year >= 1950 && year <= 2049) return undefined;
  }
  const [month, day, hour, minute, second] = pairs as [number, number, number, number, number];
  if (year < 1970 || month < 1 || month > 12) return undefined;
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const length = month === 2 && leap ? 29 : (MONTH_LENGTHS[month - 1] as number);
  // 24:00:00 is tomorrow's midnight, second 60 a leap second.
  if (day < 1 || day > length || hour > 24 || minute > 59 || second > 60) return undefined;
  return 86400 * daysFromCivil(year, month, day) + 3600 * hour + 60 * minute + second;
}

function noteTime(field: 'validFrom' | 'validTo'): (c: Context, value: Uint8Array, at: BerPosition) => Err {
  return (c, value, at) => {
    const seconds = x509DecodeTime(at.tag, value);
    if (seconds === undefined) return 'EBADMSG';
    c[field] = seconds;
    return 0;
  };
}

const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const IA5_STRING = 0x16;

const ALGORITHM: Element<Context> = sequence([objectIdentifier(noteOid), optional(any(noteParams))]);
const ATTRIBUTE: Element<Context> = sequence([objectIdentifier(noteOid), any(extractNameSegment)]);
const NAME: Element<Context> = sequenceOf(setOf(ATTRIBUTE));
const TIME: Element<Context> = choice(leaf(0x17), leaf(0x18));

const EXTENSION: Element<Context> = sequence([
  objectIdentifier(noteOid),
  optional(leaf(0x01)),
  leaf(OCTET_STRING, processExtension),
]);

const TBS_CERTIFICATE: Element<Context> = sequence([
  optional(explicit(0, integer())),
  integer((c, value) => {
    c.serial = value.slice();
    return 0;
  }),
  complete(ALGORITHM, noteSigAlgo),
  complete(NAME, (c, value) => {
    c.rawIssuer = value.slice();
    c.issuer = fabricateName(c);
    return 0;
  }),
  sequence([complete(TIME, noteTime('validFrom')), complete(TIME, noteTime('validTo'))]),
  complete(NAME, (c, value) => {
    c.rawSubject = value.slice();
    c.subject = fabricateName(c);
    return 0;
  }),
  sequence([ALGORITHM, leaf(BIT_STRING, extractKeyData)]),
  optional(implicit(1, leaf(BIT_STRING))),
  optional(implicit(2, leaf(BIT_STRING))),
  optional(explicit(3, sequenceOf(EXTENSION))),
]);

const CERTIFICATE: Element<Context> = sequence([
  complete(TBS_CERTIFICATE, (c, value, at) => {
    c.tbs = whole(value, at).slice();
    return 0;
  }),
  ALGORITHM,
  leaf(BIT_STRING, noteSignature),
]);

const GENERAL_NAME: Element<Context> = choice(
  implicit(0, sequence<Context>([objectIdentifier(), explicit(0, any())])),
  implicit(1, leaf(IA5_STRING)),
  implicit(2, leaf(IA5_STRING)),
  explicit(3, any()),
  explicit(
    4,
    complete(NAME, (c, value) => {
      c.akidIssuer = value;
      return 0;
    }),
  ),
  implicit(5, sequence<Context>([optional(explicit(0, any())), explicit(1, any())])),
  implicit(6, leaf(IA5_STRING)),
  implicit(7, leaf(OCTET_STRING)),
  implicit(8, objectIdentifier()),
);

const AUTHORITY_KEY_IDENTIFIER: Element<Context> = sequence([
  optional(
    implicit(
      0,
      leaf(OCTET_STRING, (c: Context, value) => {
        c.authSkid ??= value.slice();
        return 0;
      }),
    ),
  ),
  optional(implicit(1, sequenceOf(GENERAL_NAME))),
  optional(
    implicit(
      2,
      integer((c: Context, value) => {
        if (c.akidIssuer !== null) c.authId ??= concat(value, c.akidIssuer);
        return 0;
      }),
    ),
  ),
]);

/** Whether two key identifiers are both there and equal. */
export function sameKeyId(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a !== null && b !== null && equalBytes(a, b);
}

/**
 * Whether the certificate signed itself, and whether it did so well.
 * @kernel crypto/asymmetric_keys/x509_public_key.c x509_check_for_self_signed()
 */
function checkForSelfSigned(cert: X509Certificate): Result<'no' | 'yes' | 'unsupported'> {
  if (!equalBytes(cert.rawSubject, cert.rawIssuer)) return ok('no');
  const [authId, authSkid] = cert.authIds;
  if (authId !== null || authSkid !== null) {
    const bySkid = sameKeyId(cert.rawSkid, authSkid);
    const byId = sameKeyId(cert.id, authId);
    if (!bySkid && !byId) return ok('no');
    if (bySkid !== byId && authId !== null && authSkid !== null) return fail('EKEYREJECTED');
  }
  if (cert.unsupportedSig) return ok('no');
  const err = publicKeyVerifySignature(cert.pub, cert.sig);
  if (err === 'ENOPKG') return ok('unsupported');
  return err === 0 ? ok('yes') : fail(err);
}

/**
 * A certificate, or the errno with which the kernel refuses it. Bytes after its end are ignored.
 * @kernel crypto/asymmetric_keys/x509_cert_parser.c x509_cert_parse()
 */
export function x509CertParse(
  data: Uint8Array,
  hashes: ReadonlySet<string> = KERNEL_HASHES,
): Result<X509Certificate> {
  const c = newContext();
  let err = berDecode(CERTIFICATE, c, data);
  if (err === 0 && c.akid !== null) err = berDecode(AUTHORITY_KEY_IDENTIFIER, c, c.akid);
  if (err !== 0) return fail(err);
  const supported = hashes.has(c.sig.hashAlgo);
  const digest = supported ? crypto().hash(c.sig.hashAlgo as HashName, c.tbs) : NONE;
  const [rawIssuer, rawSubject] = [c.rawIssuer ?? NONE, c.rawSubject ?? NONE];
  const cert: X509Certificate = {
    issuer: c.issuer,
    subject: c.subject,
    rawSerial: c.serial,
    rawIssuer,
    rawSubject,
    rawSkid: c.skid,
    validFrom: c.validFrom,
    validTo: c.validTo,
    tbs: c.tbs,
    pub: {
      pkeyAlgo: c.pkeyAlgo,
      key: c.key ?? NONE,
      ca: c.ca,
      digitalSignature: c.digitalSignature,
      keyCertSign: c.keyCertSign,
    },
    sig: { ...c.sig, s: c.rawSig.slice(), digest },
    authIds: [c.authId, c.authSkid, rawIssuer],
    id: concat(c.serial, rawIssuer),
    selfSigned: false,
    unsupportedSig: !supported,
  };
  const check = checkForSelfSigned(cert);
  if (!check.ok) return check;
  if (check.value === 'no') return ok(cert);
  return ok({
    ...cert,
    selfSigned: check.value === 'yes',
    unsupportedSig: check.value === 'unsupported',
  });
}

/**
 * Whether `key` made the certificate's signature: 0, ENOPKG where the algorithm is lacking, else the
 * verifier's errno.
 */
export function x509VerifySignedBy(cert: X509Certificate, key: PublicKey): Err {
  return cert.unsupportedSig ? 'ENOPKG' : publicKeyVerifySignature(key, cert.sig);
}

/**
 * The description that a keyring shows: subject, colon, subject key identifier (or serial number) in hex.
 * @kernel crypto/asymmetric_keys/x509_public_key.c x509_key_preparse()
 */
export function x509Description(cert: X509Certificate): string {
  const subject = cert.subject.split('\0')[0] ?? '';
  const id = cert.rawSkid ?? cert.rawSerial;
  return `${subject}: ${Array.from(id, (b) => b.toString(16).padStart(2, '0')).join('')}`;
}
