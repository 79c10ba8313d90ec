// Signatures that lists carry in their `sig` field: security.ima of types 3 and 6 against the keys that a
// relying party trusts. A portable security.evm (type 5) signs metadata that only the evm-sig template has;
// it is not judged here.

import { concat, fromLatin1 } from '../base/bytes.ts';
import { type AnyPublicKey, importKey, publicKeyOf, publicOf, subjectKeyId } from '../crypto/keys.ts';
import { pemDecode } from '../crypto/pem.ts';
import { crypto, type HashName } from '../crypto/provider.ts';
import { publicKeyVerifySignature } from '../crypto/public-key.ts';
import { x509CertParse } from '../crypto/x509.ts';
import { HASH_ALGO_NAME, hashAlgo } from '../integrity/hash-info.ts';
import { EVM_IMA_XATTR_DIGSIG, IMA_VERITY_DIGSIG, signatureV2Hdr } from '../integrity/xattr.ts';
import type { FileDigest } from './record.ts';

/** A key with the identifiers by which signatures name it. */
export interface TrustedKey {
  readonly key: AnyPublicKey;
  readonly ids: readonly number[];
}

function lastFour(id: Uint8Array): number {
  const end = id.subarray(Math.max(0, id.length - 4));
  return end.reduce((n, b) => ((n << 8) | b) >>> 0, 0);
}

/** A public key or certificate, PEM or DER; null for anything else. */
export function readTrustedKey(file: Uint8Array): TrustedKey | null {
  const found = importKey(file);
  if (!found.ok) return null;
  const key = publicOf(found.key);
  const ids = [lastFour(subjectKeyId(key))];
  const der = file[0] === 0x30 ? file : pemDecode(fromLatin1(file))[0]?.bytes;
  const cert = der === undefined ? null : x509CertParse(der);
  if (cert?.ok === true && cert.value.rawSkid !== null) ids.push(lastFour(cert.value.rawSkid));
  return { key, ids };
}

export type SignatureVerdict = 'none' | 'good' | 'untrusted' | 'bad';

/**
 * Digest that a type 6 signature covers. @kernel security/integrity/ima/ima_appraise.c
 * calc_file_id_hash()
 */
function fileIdHash(file: FileDigest): Uint8Array | null {
  const number = hashAlgo(file.alg);
  if (number < 0) return null;
  return crypto().hash(file.alg as HashName, concat(Uint8Array.of(IMA_VERITY_DIGSIG, number), file.digest));
}

/** What the signature of a record is worth. */
export function judgeSignature(
  sig: Uint8Array,
  file: FileDigest | null,
  keys: readonly TrustedKey[],
): SignatureVerdict {
  const type = sig[0];
  if (type !== EVM_IMA_XATTR_DIGSIG && type !== IMA_VERITY_DIGSIG) return 'none';
  const hdr = signatureV2Hdr(sig);
  if (hdr === null || file === null || hdr.sig.length !== hdr.sigSize) return 'bad';
  const alg = HASH_ALGO_NAME[hdr.hashAlgo];
  if (alg === undefined || alg !== file.alg) return 'bad';
  const digest = type === IMA_VERITY_DIGSIG ? fileIdHash(file) : file.digest;
  const candidates = keys.filter((k) => k.ids.includes(hdr.keyid));
  if (candidates.length === 0 || digest === null) return 'untrusted';
  const good = candidates.some(({ key }) => {
    const pkeyAlgo = key.kind === 'rsa' ? 'rsa' : 'ecdsa';
    const encoding = key.kind === 'rsa' ? 'pkcs1' : 'x962';
    const signature = { pkeyAlgo, hashAlgo: alg, encoding, s: hdr.sig, digest } as const;
    return publicKeyVerifySignature(publicKeyOf(key), signature) === 0;
  });
  return good ? 'good' : 'bad';
}
