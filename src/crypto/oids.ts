// The object identifiers that certificates, signatures and keys use, under the kernel's names (include/linux/
// oid_registry.h) where it has one.

import { toHex } from '../base/bytes.ts';
import { derOid } from './der.ts';
import type { CurveName, HashName } from './provider.ts';

export const OID = {
  id_ecPublicKey: '1.2.840.10045.2.1',
  id_prime192v1: '1.2.840.10045.3.1.1',
  id_prime256v1: '1.2.840.10045.3.1.7',
  id_ansip384r1: '1.3.132.0.34',
  id_ansip521r1: '1.3.132.0.35',
  id_ecdsa_with_sha1: '1.2.840.10045.4.1',
  id_ecdsa_with_sha224: '1.2.840.10045.4.3.1',
  id_ecdsa_with_sha256: '1.2.840.10045.4.3.2',
  id_ecdsa_with_sha384: '1.2.840.10045.4.3.3',
  id_ecdsa_with_sha512: '1.2.840.10045.4.3.4',
  rsaEncryption: '1.2.840.113549.1.1.1',
  sha1WithRSAEncryption: '1.2.840.113549.1.1.5',
  sha256WithRSAEncryption: '1.2.840.113549.1.1.11',
  sha384WithRSAEncryption: '1.2.840.113549.1.1.12',
  sha512WithRSAEncryption: '1.2.840.113549.1.1.13',
  sha224WithRSAEncryption: '1.2.840.113549.1.1.14',
  data: '1.2.840.113549.1.7.1',
  signed_data: '1.2.840.113549.1.7.2',
  email_address: '1.2.840.113549.1.9.1',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',
  smimeCapabilites: '1.2.840.113549.1.9.15',
  msIndirectData: '1.3.6.1.4.1.311.2.1.4',
  msStatementType: '1.3.6.1.4.1.311.2.1.11',
  msSpOpusInfo: '1.3.6.1.4.1.311.2.1.12',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  sha224: '2.16.840.1.101.3.4.2.4',
  commonName: '2.5.4.3',
  organizationName: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  gost2012PKey256: '1.2.643.7.1.1.1.1',
  gost2012PKey512: '1.2.643.7.1.1.1.2',
  gost2012Digest256: '1.2.643.7.1.1.2.2',
  gost2012Digest512: '1.2.643.7.1.1.2.3',
  gost2012Signature256: '1.2.643.7.1.1.3.2',
  gost2012Signature512: '1.2.643.7.1.1.3.3',
  sm3: '1.2.156.10197.1.401',
  sha3_256: '2.16.840.1.101.3.4.2.8',
  sha3_384: '2.16.840.1.101.3.4.2.9',
  sha3_512: '2.16.840.1.101.3.4.2.10',
  id_ecdsa_with_sha3_256: '2.16.840.1.101.3.4.3.10',
  id_ecdsa_with_sha3_384: '2.16.840.1.101.3.4.3.11',
  id_ecdsa_with_sha3_512: '2.16.840.1.101.3.4.3.12',
  id_rsassa_pkcs1_v1_5_with_sha3_256: '2.16.840.1.101.3.4.3.14',
  id_rsassa_pkcs1_v1_5_with_sha3_384: '2.16.840.1.101.3.4.3.15',
  id_rsassa_pkcs1_v1_5_with_sha3_512: '2.16.840.1.101.3.4.3.16',
} as const;

export type OidName = keyof typeof OID;

const byContent = new Map<string, OidName>(
  (Object.keys(OID) as OidName[]).map((name) => [toHex(derOid(OID[name]).subarray(2)), name]),
);

/** Name of an identifier from its content bytes; undefined for one that nothing here knows. */
export function lookUpOid(content: Uint8Array): OidName | undefined {
  return byContent.get(toHex(content));
}

export const CURVE_OID: Readonly<Record<CurveName, OidName>> = {
  'P-256': 'id_prime256v1',
  'P-384': 'id_ansip384r1',
  'P-521': 'id_ansip521r1',
};

/** Digest algorithms as CMS names them, for the hashes the kernel knows there. */
export const DIGEST_OID: Readonly<Partial<Record<HashName, OidName>>> = {
  sha1: 'sha1',
  sha224: 'sha224',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sm3: 'sm3',
  'sha3-256': 'sha3_256',
  'sha3-384': 'sha3_384',
  'sha3-512': 'sha3_512',
};

/** Signature algorithms of X.509, by key type and hash. */
export const RSA_SIGNATURE_OID: Readonly<Partial<Record<HashName, OidName>>> = {
  sha1: 'sha1WithRSAEncryption',
  sha224: 'sha224WithRSAEncryption',
  sha256: 'sha256WithRSAEncryption',
  sha384: 'sha384WithRSAEncryption',
  sha512: 'sha512WithRSAEncryption',
  'sha3-256': 'id_rsassa_pkcs1_v1_5_with_sha3_256',
  'sha3-384': 'id_rsassa_pkcs1_v1_5_with_sha3_384',
  'sha3-512': 'id_rsassa_pkcs1_v1_5_with_sha3_512',
};

export const ECDSA_SIGNATURE_OID: Readonly<Partial<Record<HashName, OidName>>> = {
  sha1: 'id_ecdsa_with_sha1',
  sha224: 'id_ecdsa_with_sha224',
  sha256: 'id_ecdsa_with_sha256',
  sha384: 'id_ecdsa_with_sha384',
  sha512: 'id_ecdsa_with_sha512',
  'sha3-256': 'id_ecdsa_with_sha3_256',
  'sha3-384': 'id_ecdsa_with_sha3_384',
  'sha3-512': 'id_ecdsa_with_sha3_512',
};
