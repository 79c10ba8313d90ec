// The other side of verification: values of security.ima (digests, signatures of versions 1, 2 and 3,
// fs-verity signatures), appended module signatures and PKCS#7 messages, with the bytes that evmctl,
// scripts/sign-file and openssl write. Everything is deterministic: ECDSA takes its nonce from key and digest
// (RFC 6979). What EVM signs is in evm/sign.ts.

import { assert } from '../base/assert.ts';
import { concat, equalBytes, fromHex, fromLatin1, latin1, toHex, utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { bigintToBytes, bitLength } from '../crypto/bigint.ts';
import { makeCms } from '../crypto/cms-make.ts';
import {
  type AnyKey,
  type AnyPrivateKey,
  importKey,
  isPrivate,
  publicKeyOf,
  type RsaPrivate,
  subjectKeyId,
} from '../crypto/keys.ts';
import { DIGEST_OID, ECDSA_SIGNATURE_OID } from '../crypto/oids.ts';
import { pemDecode } from '../crypto/pem.ts';
import { crypto, digestSize, type HashName, type RsaPublicKey } from '../crypto/provider.ts';
import { digestInfoPrefix, rsaPrivateOperation, rsaSize } from '../crypto/rsa.ts';
import { type X509Certificate, x509CertParse } from '../crypto/x509.ts';
import { signDigest } from '../crypto/x509-make.ts';
import { hashAlgo, kernelHash } from './hash-info.ts';
import { EVM_IMA_XATTR_DIGSIG, IMA_VERITY_DIGSIG, imaHashXattr } from './xattr.ts';

/** A value, or in one sentence why it cannot be made. */
export type Made<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

export const made = <T>(value: T): Made<T> => ({ ok: true, value });
export const cannot = (problem: string): { readonly ok: false; readonly problem: string } => ({
  ok: false,
  problem,
});

/** A private key with the name that verifiers look it up by. */
export interface Signer {
  readonly key: AnyPrivateKey;
  /** The last four bytes of the subject key identifier, as an unsigned number. */
  readonly keyid: number;
  /** DER; PKCS#7 messages name their signer by it. */
  readonly certificate: Uint8Array | null;
}

const lastWord = (bytes: Uint8Array): number => Number.parseInt(toHex(bytes.subarray(-4)), 16);

/**
 * The key identifier that is computed where no certificate says another: the end of SHA-1 over the key bits.
 */
export function keyidOfKey(key: AnyKey): number {
  return lastWord(subjectKeyId(key));
}

/** The key identifier that a certificate says. */
export function keyidOfCertificate(certificate: X509Certificate): Made<number> {
  const skid = certificate.rawSkid;
  if (skid === null) return cannot('the certificate has no subject key identifier');
  return skid.length < 4 ? cannot('the subject key identifier is too short') : made(lastWord(skid));
}

/** The certificate in a DER or PEM file, as DER; null where there is none. */
export function certificateBytes(file: Uint8Array): Uint8Array | null {
  if (file[0] === 0x30) return file;
  return pemDecode(fromLatin1(file)).find((block) => block.label === 'CERTIFICATE')?.bytes ?? null;
}

/**
 * A signer from the files that tools exchange. The key identifier is that of the certificate, else that of a
 * certificate inside the key file, else it is computed.
 */
export function signerOf(keyFile: Uint8Array, certificateFile: Uint8Array | null): Made<Signer> {
  const found = importKey(keyFile);
  if (!found.ok) return cannot(found.problem);
  if (!isPrivate(found.key)) return cannot('this is a public key; signing needs the private one');
  const beside = certificateFile === null && keyFile[0] !== 0x30 ? certificateBytes(keyFile) : null;
  const certificate = certificateFile === null ? beside : certificateBytes(certificateFile);
  if (certificate === null) {
    if (certificateFile !== null) return cannot('no certificate in DER or PEM form');
    return made({ key: found.key, keyid: keyidOfKey(found.key), certificate: null });
  }
  const parsed = x509CertParse(certificate);
  if (!parsed.ok) return cannot('the certificate cannot be read');
  if (!equalBytes(parsed.value.pub.key, publicKeyOf(found.key).key))
    return cannot('the certificate belongs to another key');
  const keyid = keyidOfCertificate(parsed.value);
  if (!keyid.ok) return keyid;
  return made({ key: found.key, keyid: keyid.value, certificate });
}

/** Whether a key can sign digests of that algorithm. */
function canSign(key: AnyPrivateKey, alg: HashName): string | null {
  if (key.kind === 'ec') return null;
  const needed = digestInfoPrefix(alg).length + digestSize(alg) + 11;
  return rsaSize(key) < needed ? `the RSA key is too short for ${alg}` : null;
}

/**
 * security.ima of a content by its digest, as `evmctl ima_hash` labels it.
 * @kernel ima_appraise.c ima_fix_xattr()
 */
export function imaHash(alg: HashName, data: Uint8Array): Uint8Array {
  return imaHashXattr(hashAlgo(alg), kernelHash(alg, data));
}

export interface SignatureRequest {
  /** First byte of the attribute: 3, 5 or 6. */
  readonly type: number;
  readonly version: 2 | 3;
  readonly alg: HashName;
  readonly digest: Uint8Array;
}

/**
 * What a version 3 signature is over: the digest bound to its kind and algorithm.
 * @kernel security/integrity/ima/ima_appraise.c calc_file_id_hash()
 */
export function fileIdHash(type: number, alg: HashName, digest: Uint8Array): Uint8Array {
  return kernelHash(alg, concat(Uint8Array.of(type, hashAlgo(alg)), digest));
}

/**
 * An attribute's value: struct signature_v2_hdr and the signature over a digest, of version 3 over its file
 * id.
 * @kernel security/integrity/integrity.h struct signature_v2_hdr
 */
export function signedXattr(signer: Signer, request: SignatureRequest): Made<Uint8Array> {
  const { type, version, alg, digest } = request;
  const problem = canSign(signer.key, alg);
  if (problem !== null) return cannot(problem);
  const signature = signDigest(signer.key, alg, version === 3 ? fileIdHash(type, alg, digest) : digest);
  const header = new Writer('be').u8(type).u8(version).u8(hashAlgo(alg)).u32(signer.keyid);
  return made(header.u16(signature.length).bytes(signature).finish());
}

/**
 * security.ima with a signature over a content: version 2 as `evmctl ima_sign`, version 3 the one later
 * kernels take.
 */
export function imaSign(
  signer: Signer,
  alg: HashName,
  data: Uint8Array,
  version: 2 | 3 = 2,
): Made<Uint8Array> {
  return signedXattr(signer, { type: EVM_IMA_XATTR_DIGSIG, version, alg, digest: kernelHash(alg, data) });
}

/** security.ima of type 6: a signature over a file's fs-verity digest. */
export function imaVeritySign(signer: Signer, alg: HashName, verityDigest: Uint8Array): Made<Uint8Array> {
  return signedXattr(signer, { type: IMA_VERITY_DIGSIG, version: 3, alg, digest: verityDigest });
}

// ---- version 1 ----

const PUBKEY_ALGO_RSA = 0;
const DIGEST_ALGO: Readonly<Partial<Record<HashName, number>>> = { sha1: 0, sha256: 1 };

function mpi(value: bigint): Uint8Array {
  const bits = bitLength(value);
  return concat(Uint8Array.of(bits >> 8, bits & 255), bigintToBytes(value, (bits + 7) >> 3));
}

/**
 * The payload of a `user` key for version 1: struct pubkey_hdr, modulus and exponent.
 * @kernel lib/digsig.c
 */
export function publicKeyV1(key: RsaPublicKey): Uint8Array {
  const header = new Writer('le').u8(1).u32(0).u8(PUBKEY_ALGO_RSA).u8(2).finish();
  return concat(header, mpi(key.n), mpi(key.e));
}

/** The eight bytes that version 1 names a key by. */
export function keyidV1(key: RsaPublicKey): Uint8Array {
  return crypto().hash('sha1', publicKeyV1(key)).slice(12, 20);
}

/** EMSA-PKCS1-v1_5 without a DigestInfo, as version 1 has it. */
function rsaRaw(key: RsaPrivate, text: Uint8Array): Uint8Array {
  const size = rsaSize(key);
  const padding = new Uint8Array(size - text.length - 3).fill(0xff);
  const block = concat(Uint8Array.of(0, 1), padding, Uint8Array.of(0), text);
  const signature = rsaPrivateOperation(key, block);
  assert(signature !== undefined, 'the padded block is below the modulus');
  return signature;
}

/**
 * security.ima with a version 1 signature (RSA over SHA-1 of the content's digest and the header), as `evmctl
 * ima_sign --rsa`. No kernel keyring of today finds its key. The time stamp is in seconds.
 * @kernel lib/digsig.c digsig_verify()
 */
export function imaSignV1(
  signer: Signer,
  alg: HashName,
  data: Uint8Array,
  timestamp: number,
): Made<Uint8Array> {
  const { key } = signer;
  const number = DIGEST_ALGO[alg];
  if (key.kind !== 'rsa') return cannot('signatures of version 1 need an RSA key');
  if (number === undefined) return cannot(`signatures of version 1 know sha1 and sha256, not ${alg}`);
  const header = new Writer('le').u8(1).u32(timestamp).u8(PUBKEY_ALGO_RSA).u8(number);
  const hdr = header.bytes(keyidV1(key)).u8(1).finish();
  const digest = crypto().hash('sha1', concat(kernelHash(alg, data), hdr));
  const signature = rsaRaw(key, digest);
  const bits = new Writer('be').u16(8 * signature.length).finish();
  return made(concat(Uint8Array.of(EVM_IMA_XATTR_DIGSIG), hdr, bits, signature));
}

// ---- PKCS#7 ----

export interface MessageOptions {
  readonly alg: HashName;
  readonly detached: boolean;
  /** Carries the signer's certificate. */
  readonly certificates: boolean;
}

/**
 * A PKCS#7 message without signed attributes: with its content as IPE policies have it (`openssl cms -sign
 * -binary -nodetach -noattr -nosmimecap`), detached for root hashes, fs-verity digests and modules.
 * @kernel crypto/asymmetric_keys/pkcs7_parser.c pkcs7_parse_message()
 */
export function signMessage(signer: Signer, content: Uint8Array, options: MessageOptions): Made<Uint8Array> {
  const { key, certificate } = signer;
  const { alg, detached } = options;
  if (certificate === null) return cannot('a PKCS#7 message needs the certificate of its signer');
  const known = key.kind === 'ec' ? ECDSA_SIGNATURE_OID[alg] : DIGEST_OID[alg];
  if (known === undefined) return cannot(`PKCS#7 has no identifier for ${alg} with this kind of key`);
  const problem = canSign(key, alg);
  if (problem !== null) return cannot(problem);
  const message = makeCms({
    content,
    detached,
    signers: [{ key, certificate, hash: alg, attributes: false, signingTime: null, byKeyId: false }],
    certificates: options.certificates ? [certificate] : [],
  });
  return made(message);
}

/** A signed IPE policy. */
export function signIpePolicy(
  signer: Signer,
  policy: Uint8Array,
  alg: HashName = 'sha256',
): Made<Uint8Array> {
  return signMessage(signer, policy, { alg, detached: false, certificates: true });
}

/** The signature that dm-verity takes for a root hash: detached, over its hexadecimal text. */
export function signRootHash(signer: Signer, rootHash: string, alg: HashName = 'sha256'): Made<Uint8Array> {
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(rootHash)) return cannot('a root hash is hexadecimal digits');
  const text = utf8(toHex(fromHex(rootHash)));
  return signMessage(signer, text, { alg, detached: true, certificates: true });
}

const MODULE_SIG_STRING = latin1('~Module signature appended~\n');
const PKEY_ID_PKCS7 = 2;

/**
 * A file with its signature appended, as scripts/sign-file makes it: content, PKCS#7, struct
 * module_signature, marker.
 * @kernel include/linux/module_signature.h struct module_signature
 */
export function appendModsig(signer: Signer, data: Uint8Array, alg: HashName = 'sha256'): Made<Uint8Array> {
  const message = signMessage(signer, data, { alg, detached: true, certificates: false });
  if (!message.ok) return message;
  const trailer = new Writer('be').u8(0).u8(0).u8(PKEY_ID_PKCS7).u8(0).u8(0).bytes(new Uint8Array(3));
  const end = trailer.u32(message.value.length).finish();
  return made(concat(data, message.value, end, MODULE_SIG_STRING));
}
