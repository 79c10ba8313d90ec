// PKCS#7 / CMS SignedData as the kernel reads it: the parser's narrow profile with its errno, as plain
// data. Verification is pkcs7-verify.ts. Left out, as there: certificate revocation lists, attribute
// certificates, countersignatures.

import { concat } from '../base/bytes.ts';
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
import type { PublicKeySignature } from './public-key.ts';
import { KERNEL_HASHES, type X509Certificate, x509CertParse, x509DecodeTime } from './x509.ts';

/** struct pkcs7_signed_info. */
export interface Pkcs7SignedInfo {
  /** The signature; its digest is filled in by verification. */
  readonly sig: PublicKeySignature;
  /** Key identifier of the signer: serial number and issuer, or the subject key identifier (version 3). */
  readonly authId: Uint8Array;
  /** Signed attributes as they are hashed (as a SET); null where there are none. */
  readonly authattrs: Uint8Array | null;
  readonly msgdigest: Uint8Array | null;
  /** Seconds since 1970; null without the attribute. */
  readonly signingTime: number | null;
}

/** struct pkcs7_message. */
export interface Pkcs7Message {
  readonly version: number;
  readonly dataType: 'data' | 'msIndirectData';
  /** Content without its header; null for a detached signature. */
  readonly data: Uint8Array | null;
  /** Length of the header before `data` in the message. */
  readonly dataHeaderLength: number;
  readonly certs: readonly X509Certificate[];
  readonly signedInfos: readonly Pkcs7SignedInfo[];
  readonly haveAuthattrs: boolean;
}

interface SignedInfoDraft {
  hashAlgo: string | null;
  pkeyAlgo: 'rsa' | 'ecdsa' | 'ecrdsa';
  s: Uint8Array;
  seen: Set<OidName>;
  authattrs: Uint8Array | null;
  msgdigest: Uint8Array | null;
  signingTime: number | null;
}

interface Context {
  readonly hashes: ReadonlySet<string>;
  lastOid: OidName | undefined;
  version: number;
  expectSkid: boolean;
  dataType: 'data' | 'msIndirectData';
  data: Uint8Array | null;
  dataHeaderLength: number;
  certs: X509Certificate[];
  serial: Uint8Array;
  issuer: Uint8Array;
  skid: Uint8Array;
  draft: SignedInfoDraft;
  signedInfos: Pkcs7SignedInfo[];
}

const NONE = new Uint8Array(0);

function newDraft(): SignedInfoDraft {
  return {
    hashAlgo: null,
    pkeyAlgo: 'rsa',
    s: NONE,
    seen: new Set(),
    authattrs: null,
    msgdigest: null,
    signingTime: null,
  };
}

function noteOid(c: Context, value: Uint8Array): Err {
  c.lastOid = lookUpOid(value);
  return 0;
}

const DIGEST_ALGORITHMS: Readonly<Partial<Record<OidName, string>>> = {
  sha1: 'sha1',
  sha224: 'sha224',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sm3: 'sm3',
  gost2012Digest256: 'streebog256',
  gost2012Digest512: 'streebog512',
  sha3_256: 'sha3-256',
  sha3_384: 'sha3-384',
  sha3_512: 'sha3-512',
};

/** @kernel crypto/asymmetric_keys/pkcs7_parser.c pkcs7_sig_note_digest_algo() */
function noteDigestAlgo(c: Context): Err {
  const hash = c.lastOid && DIGEST_ALGORITHMS[c.lastOid];
  if (hash === undefined) return 'ENOPKG';
  c.draft.hashAlgo = hash;
  return 0;
}

/** @kernel crypto/asymmetric_keys/pkcs7_parser.c pkcs7_sig_note_pkey_algo() */
function notePkeyAlgo(c: Context): Err {
  if (c.lastOid === 'rsaEncryption') c.draft.pkeyAlgo = 'rsa';
  else if (c.lastOid?.startsWith('id_ecdsa_with_')) c.draft.pkeyAlgo = 'ecdsa';
  else if (c.lastOid === 'gost2012PKey256' || c.lastOid === 'gost2012PKey512') c.draft.pkeyAlgo = 'ecrdsa';
  else return 'ENOPKG';
  return 0;
}

function noteSignedDataVersion(c: Context, value: Uint8Array): Err {
  if (value.length !== 1 || (value[0] !== 1 && value[0] !== 3)) return 'EINVAL';
  c.version = value[0];
  return 0;
}

/** Version 1 names the signer by issuer and serial number, version 3 by key identifier. */
function noteSignerInfoVersion(c: Context, value: Uint8Array): Err {
  if (value.length !== 1 || (value[0] !== 1 && value[0] !== 3)) return 'EINVAL';
  if ((value[0] === 1) !== (c.version === 1)) return 'EBADMSG';
  c.expectSkid = value[0] === 3;
  return 0;
}

function extractCert(c: Context, value: Uint8Array, at: BerPosition): Err {
  if (at.tag !== 0x30) return 'EBADMSG';
  const start = at.offset - at.headerLength;
  const cert = x509CertParse(at.input.slice(start, at.offset + value.length), c.hashes);
  if (!cert.ok) return cert.errno;
  c.certs.push(cert.value);
  return 0;
}

function noteContent(c: Context): Err {
  if (c.lastOid !== 'data' && c.lastOid !== 'msIndirectData') return 'EINVAL';
  c.dataType = c.lastOid;
  return 0;
}

/** Each known attribute may be there once, with one value; true for a repetition. */
function repeated(c: Context, name: OidName): boolean {
  if (c.draft.seen.has(name)) return true;
  c.draft.seen.add(name);
  return false;
}

/** @kernel crypto/asymmetric_keys/pkcs7_parser.c pkcs7_sig_note_authenticated_attr() */
function noteAuthenticatedAttr(c: Context, value: Uint8Array, at: BerPosition): Err {
  const name = c.lastOid;
  switch (name) {
    case 'contentType':
      if (repeated(c, name)) return 'EKEYREJECTED';
      return lookUpOid(value) === c.dataType ? 0 : 'EBADMSG';
    case 'signingTime': {
      if (repeated(c, name)) return 'EKEYREJECTED';
      const seconds = x509DecodeTime(at.tag, value);
      if (seconds === undefined) return 'EBADMSG';
      c.draft.signingTime = seconds;
      return 0;
    }
    case 'messageDigest':
      if (repeated(c, name)) return 'EKEYREJECTED';
      if (at.tag !== 0x04) return 'EBADMSG';
      c.draft.msgdigest = value.slice();
      return 0;
    case 'smimeCapabilites':
    case 'msSpOpusInfo':
    case 'msStatementType':
      return repeated(c, name) || c.dataType !== 'msIndirectData' ? 'EKEYREJECTED' : 0;
    default:
      return 0;
  }
}

/** @kernel crypto/asymmetric_keys/pkcs7_parser.c pkcs7_sig_note_set_of_authattrs() */
function noteSetOfAuthattrs(c: Context, value: Uint8Array, at: BerPosition): Err {
  const { seen } = c.draft;
  if (!seen.has('contentType') || !seen.has('messageDigest')) return 'EBADMSG';
  if (c.dataType !== 'msIndirectData' && seen.has('msSpOpusInfo')) return 'EBADMSG';
  // The implicit tag becomes that of a SET when the attributes are hashed.
  const rest = at.input.subarray(at.offset - at.headerLength + 1, at.offset + value.length);
  c.draft.authattrs = concat(Uint8Array.of(0x31), rest);
  return 0;
}

const SIGNATURE_ENCODINGS = { rsa: 'pkcs1', ecdsa: 'x962', ecrdsa: 'raw' } as const;

/** @kernel crypto/asymmetric_keys/pkcs7_parser.c pkcs7_note_signed_info() */
function noteSignedInfo(c: Context): Err {
  const { draft } = c;
  if (c.dataType === 'msIndirectData' && draft.authattrs === null) return 'EBADMSG';
  c.signedInfos.push({
    sig: {
      pkeyAlgo: draft.pkeyAlgo,
      hashAlgo: draft.hashAlgo,
      encoding: SIGNATURE_ENCODINGS[draft.pkeyAlgo],
      s: draft.s,
      digest: NONE,
    },
    authId: c.expectSkid ? c.skid : concat(c.serial, c.issuer),
    authattrs: draft.authattrs,
    msgdigest: draft.msgdigest,
    signingTime: draft.signingTime,
  });
  c.draft = newDraft();
  return 0;
}

const ALGORITHM: Element<Context> = sequence([objectIdentifier(noteOid), optional(any())]);
const ATTRIBUTE_VALUE: Element<Context> = sequence([objectIdentifier(noteOid), any()]);
const NAME: Element<Context> = sequenceOf(setOf(ATTRIBUTE_VALUE));
const CERTIFICATE: Element<Context> = any(extractCert);
const CERTIFICATE_LIST: Element<Context> = sequenceOf(CERTIFICATE);

const CONTENT_INFO: Element<Context> = sequence([
  objectIdentifier(noteOid),
  optional(
    explicit(
      0,
      any((c: Context, value, at) => {
        c.data = value.slice();
        c.dataHeaderLength = at.headerLength;
        return 0;
      }),
    ),
  ),
]);

const ISSUER_AND_SERIAL: Element<Context> = sequence([
  complete(NAME, (c, value) => {
    c.issuer = value.slice();
    return 0;
  }),
  integer((c, value) => {
    c.serial = value.slice();
    return 0;
  }),
]);

const SUBJECT_KEY_IDENTIFIER: Element<Context> = leaf(0x04, (c, value) => {
  c.skid = value.slice();
  return 0;
});

const AUTHENTICATED_ATTRIBUTE: Element<Context> = sequence([
  objectIdentifier(noteOid),
  setOf(any(noteAuthenticatedAttr)),
]);
const UNAUTHENTICATED_ATTRIBUTE: Element<Context> = sequence([objectIdentifier(), setOf(any())]);

const SIGNER_INFO: Element<Context> = sequence(
  [
    integer(noteSignerInfoVersion),
    choice(ISSUER_AND_SERIAL, implicit(0, SUBJECT_KEY_IDENTIFIER)),
    complete(ALGORITHM, noteDigestAlgo),
    optional(
      choice(
        implicit(0, complete(setOf(AUTHENTICATED_ATTRIBUTE), noteSetOfAuthattrs)),
        explicit(2, sequenceOf(AUTHENTICATED_ATTRIBUTE)),
      ),
    ),
    complete(ALGORITHM, notePkeyAlgo),
    leaf(0x04, (c: Context, value) => {
      c.draft.s = value.slice();
      return 0;
    }),
    optional(
      choice(
        implicit(1, setOf(UNAUTHENTICATED_ATTRIBUTE)),
        implicit(3, sequenceOf(UNAUTHENTICATED_ATTRIBUTE)),
      ),
    ),
  ],
  noteSignedInfo,
);

/** One element of the certificates is X.509 or, marked [0], the extended form of PKCS#6. */
const CERTIFICATES: Element<Context> = choice(
  implicit(0, setOf(choice(CERTIFICATE, implicit(0, CERTIFICATE)))),
  implicit(2, sequenceOf(CERTIFICATE)),
);

const SIGNED_DATA: Element<Context> = sequence([
  integer(noteSignedDataVersion),
  choice(setOf(ALGORITHM), sequenceOf(ALGORITHM)),
  complete(CONTENT_INFO, noteContent),
  optional(CERTIFICATES),
  optional(choice(implicit(1, setOf(CERTIFICATE_LIST)), implicit(3, sequenceOf(CERTIFICATE_LIST)))),
  choice(setOf(SIGNER_INFO), sequenceOf(SIGNER_INFO)),
]);

const PKCS7: Element<Context> = sequence([
  complete(objectIdentifier(noteOid), (c: Context) => (c.lastOid === 'signed_data' ? 0 : 'EINVAL')),
  optional(explicit(0, SIGNED_DATA)),
]);

/**
 * A message, or the errno with which the kernel refuses it. Bytes after its end are ignored.
 * @kernel crypto/asymmetric_keys/pkcs7_parser.c pkcs7_parse_message()
 */
export function pkcs7ParseMessage(
  bytes: Uint8Array,
  hashes: ReadonlySet<string> = KERNEL_HASHES,
): Result<Pkcs7Message> {
  const c: Context = {
    hashes,
    lastOid: undefined,
    version: 0,
    expectSkid: false,
    dataType: 'data',
    data: null,
    dataHeaderLength: 0,
    certs: [],
    serial: NONE,
    issuer: NONE,
    skid: NONE,
    draft: newDraft(),
    signedInfos: [],
  };
  const err = berDecode(PKCS7, c, bytes);
  if (err !== 0) return fail(err);
  const haveAuthattrs = c.signedInfos[0]?.authattrs != null;
  // Signers have signed attributes all or none.
  if (c.signedInfos.length === 0 || c.signedInfos.some((s) => (s.authattrs !== null) !== haveAuthattrs))
    return fail('EINVAL');
  return ok({
    version: c.version,
    dataType: c.dataType,
    data: c.data,
    dataHeaderLength: c.dataHeaderLength,
    certs: c.certs,
    signedInfos: c.signedInfos,
    haveAuthattrs,
  });
}

/**
 * The message with the data that it signs; EINVAL where it brings its own.
 * @kernel crypto/asymmetric_keys/pkcs7_verify.c pkcs7_supply_detached_data()
 */
export function pkcs7SupplyDetachedData(message: Pkcs7Message, data: Uint8Array): Result<Pkcs7Message> {
  return message.data === null ? ok({ ...message, data }) : fail('EINVAL');
}

/**
 * The data that the message carries or was given; ENODATA where there is none.
 * @kernel crypto/asymmetric_keys/pkcs7_parser.c pkcs7_get_content_data()
 */
export function pkcs7GetContentData(message: Pkcs7Message): Result<Uint8Array> {
  return message.data === null ? fail('ENODATA') : ok(message.data);
}
