// Making CMS SignedData (RFC 5652) as `openssl cms -sign -binary` lays it out: for appended module
// signatures, IPE policies, fs-verity and dm-verity signatures. The same input gives the same bytes.

import { assert } from '../base/assert.ts';
import { toHex } from '../base/bytes.ts';
import { DER_NULL, der, derInteger, derOid } from './der.ts';
import type { AnyPrivateKey } from './keys.ts';
import { DIGEST_OID, ECDSA_SIGNATURE_OID, OID } from './oids.ts';
import { crypto, type HashName } from './provider.ts';
import { type X509Certificate, x509CertParse } from './x509.ts';
import { derTime, signDigest } from './x509-make.ts';

export interface CmsSigner {
  readonly key: AnyPrivateKey;
  /** The signer's certificate, DER. */
  readonly certificate: Uint8Array;
  readonly hash: HashName;
  /** Signed attributes (content type, digest, and the time where one is given). */
  readonly attributes: boolean;
  /** Seconds since 1970; null leaves the attribute out. */
  readonly signingTime: number | null;
  /** Names the signer by subject key identifier instead of issuer and serial number. */
  readonly byKeyId: boolean;
}

export interface CmsRequest {
  readonly content: Uint8Array;
  /** Leaves the content out of the message. */
  readonly detached: boolean;
  readonly signers: readonly CmsSigner[];
  /** Certificates that the message carries, DER. */
  readonly certificates: readonly Uint8Array[];
}

/** SET OF in DER: elements sorted by their bytes. */
function derSetOf(tag: number, elements: readonly Uint8Array[]): Uint8Array {
  const sorted = [...elements].sort((a, b) => (toHex(a) < toHex(b) ? -1 : 1));
  return der(tag, ...sorted);
}

function digestAlgorithm(hash: HashName): Uint8Array {
  const name = DIGEST_OID[hash];
  assert(name !== undefined, `CMS has no identifier for ${hash}`);
  return der(0x30, derOid(OID[name]));
}

/** CMS names RSA by the key alone, ECDSA together with the hash. */
function cmsSignatureAlgorithm(key: AnyPrivateKey, hash: HashName): Uint8Array {
  if (key.kind === 'rsa') return der(0x30, derOid(OID.rsaEncryption), DER_NULL);
  const name = ECDSA_SIGNATURE_OID[hash];
  assert(name !== undefined, `no ECDSA signature algorithm with ${hash}`);
  return der(0x30, derOid(OID[name]));
}

function attribute(oid: string, value: Uint8Array): Uint8Array {
  return der(0x30, derOid(oid), der(0x31, value));
}

function parsed(signer: CmsSigner): X509Certificate {
  const cert = x509CertParse(signer.certificate);
  assert(cert.ok, 'the certificate of a signer can be read');
  return cert.value;
}

function signerIdentifier(signer: CmsSigner): Uint8Array {
  const cert = parsed(signer);
  if (!signer.byKeyId) return der(0x30, der(0x30, cert.rawIssuer), der(0x02, cert.rawSerial));
  assert(cert.rawSkid !== null, 'a signer named by key identifier has one');
  return der(0x80, cert.rawSkid);
}

function signerInfo(signer: CmsSigner, content: Uint8Array): Uint8Array {
  const { key, hash } = signer;
  let digest = crypto().hash(hash, content);
  let attributes = new Uint8Array(0);
  if (signer.attributes) {
    const list = [
      attribute(OID.contentType, derOid(OID.data)),
      attribute(OID.messageDigest, der(0x04, digest)),
    ];
    if (signer.signingTime !== null) list.push(attribute(OID.signingTime, derTime(signer.signingTime)));
    digest = crypto().hash(hash, derSetOf(0x31, list));
    attributes = Uint8Array.from(derSetOf(0xa0, list));
  }
  return der(
    0x30,
    derInteger(signer.byKeyId ? 3n : 1n),
    signerIdentifier(signer),
    digestAlgorithm(hash),
    attributes,
    cmsSignatureAlgorithm(key, hash),
    der(0x04, signDigest(key, hash, digest)),
  );
}

/** The DER of a ContentInfo with SignedData. */
export function makeCms(request: CmsRequest): Uint8Array {
  const { content, signers, certificates } = request;
  const version = signers.some((s) => s.byKeyId) ? 3n : 1n;
  const hashes = [...new Set(signers.map((s) => s.hash))].map(digestAlgorithm);
  const encapsulated = request.detached ? [] : [der(0xa0, der(0x04, content))];
  const signedData = der(
    0x30,
    derInteger(version),
    derSetOf(0x31, hashes),
    der(0x30, derOid(OID.data), ...encapsulated),
    ...(certificates.length === 0 ? [] : [derSetOf(0xa0, certificates)]),
    derSetOf(
      0x31,
      signers.map((s) => signerInfo(s, content)),
    ),
  );
  return der(0x30, derOid(OID.signed_data), der(0xa0, signedData));
}
