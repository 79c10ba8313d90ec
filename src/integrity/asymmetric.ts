// Keys of type `asymmetric`: what a certificate in a payload means, how a key is found by its identifiers,
// and which keys a restricted keyring takes. Parsed certificates are kept by the payload's identity.

import { equalBytes } from '../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { type PublicKeySignature, publicKeyVerifySignature } from '../crypto/public-key.ts';
import { sameKeyId, type X509Certificate, x509CertParse, x509Description } from '../crypto/x509.ts';
import type { Key } from './keys-types.ts';

export interface AsymmetricKey {
  readonly description: string;
  readonly cert: X509Certificate;
  /** Serial number and issuer, subject key identifier, subject: struct asymmetric_key_ids. */
  readonly ids: readonly [Uint8Array, Uint8Array | null, Uint8Array];
}

const parsed = new WeakMap<Uint8Array, Result<AsymmetricKey>>();

/**
 * The key in an X.509 certificate. EBADMSG for what no parser knows.
 * @kernel crypto/asymmetric_keys/asymmetric_type.c asymmetric_key_preparse()
 */
export function parseAsymmetric(payload: Uint8Array): Result<AsymmetricKey> {
  let known = parsed.get(payload);
  if (known === undefined) {
    const cert = payload.length === 0 ? fail('EINVAL') : x509CertParse(payload);
    known = cert.ok
      ? ok({
          description: x509Description(cert.value),
          cert: cert.value,
          ids: [cert.value.id, cert.value.rawSkid, cert.value.rawSubject],
        })
      : cert;
    parsed.set(payload, known);
  }
  return known;
}

/** The parsed form of a key that is on a keyring. */
export function asymmetricOf(key: Key): AsymmetricKey | undefined {
  if (key.type !== 'asymmetric' || key.payload === null) return undefined;
  const result = parseAsymmetric(key.payload);
  return result.ok ? result.value : undefined;
}

/** What the functions here ask of the keyrings. */
export interface KeySource {
  named(name: string): Key | undefined;
  members(ring: number): Iterable<Key>;
}

function endsWith(whole: Uint8Array | null, end: Uint8Array): boolean {
  return (
    whole !== null && whole.length >= end.length && equalBytes(whole.subarray(whole.length - end.length), end)
  );
}

export interface KeyIds {
  readonly id0: Uint8Array | null;
  readonly id1: Uint8Array | null;
  readonly id2: Uint8Array | null;
}

/**
 * A key by its identifiers; ENOKEY when there is none, EKEYREJECTED when the first identifier fits and the
 * second does not.
 * @kernel crypto/asymmetric_keys/asymmetric_type.c find_asymmetric_key()
 */
export function findAsymmetricKey(
  keys: KeySource,
  ring: number,
  { id0, id1, id2 }: KeyIds,
): Result<readonly [Key, AsymmetricKey]> {
  const wanted = id0 ?? id1;
  for (const key of keys.members(ring)) {
    const parts = asymmetricOf(key);
    if (parts === undefined) continue;
    const hit =
      wanted === null
        ? sameKeyId(parts.ids[2], id2)
        : sameKeyId(parts.ids[0], wanted) || sameKeyId(parts.ids[1], wanted);
    if (!hit) continue;
    if (id0 !== null && id1 !== null && !sameKeyId(id1, parts.ids[1])) return fail('EKEYREJECTED');
    return ok([key, parts]);
  }
  return fail('ENOKEY');
}

/** A key by the end of one of its identifiers: `id:xxxxxxxx`. */
export function findByPartialId(keys: KeySource, ring: number, id: Uint8Array): AsymmetricKey | undefined {
  for (const key of keys.members(ring)) {
    const parts = asymmetricOf(key);
    if (parts !== undefined && (endsWith(parts.ids[0], id) || endsWith(parts.ids[1], id))) return parts;
  }
  return undefined;
}

/** @kernel crypto/asymmetric_keys/signature.c verify_signature() */
export function verifySignature(key: AsymmetricKey, sig: PublicKeySignature): Err {
  return publicKeyVerifySignature(key.cert.pub, sig);
}

/** @kernel crypto/asymmetric_keys/restrict.c restrict_link_by_signature() */
function bySignature(keys: KeySource, trust: string, type: string, payload: Uint8Array): Err {
  const ring = keys.named(trust);
  if (ring === undefined) return 'ENOKEY';
  if (type !== 'asymmetric') return 'EOPNOTSUPP';
  const candidate = parseAsymmetric(payload);
  if (!candidate.ok) return candidate.errno;
  const { cert } = candidate.value;
  if (cert.unsupportedSig) return 'ENOPKG';
  const [id0, id1, id2] = cert.authIds;
  const signer = findAsymmetricKey(keys, ring.serial, { id0, id1, id2 });
  return signer.ok ? verifySignature(signer.value[1], cert.sig) : 'ENOKEY';
}

/** @kernel crypto/asymmetric_keys/restrict.c restrict_link_by_digsig() */
function byDigsig(keys: KeySource, trust: string, type: string, payload: Uint8Array): Err {
  if (type !== 'asymmetric') return 'EOPNOTSUPP';
  const candidate = parseAsymmetric(payload);
  if (!candidate.ok) return candidate.errno;
  const { pub } = candidate.value.cert;
  if (!pub.digitalSignature || pub.ca || pub.keyCertSign) return 'ENOKEY';
  return bySignature(keys, trust, type, payload);
}

/** @kernel crypto/asymmetric_keys/restrict.c restrict_link_by_ca() */
function byCa(type: string, payload: Uint8Array, onlyCa: boolean): Err {
  if (type !== 'asymmetric') return 'EOPNOTSUPP';
  const candidate = parseAsymmetric(payload);
  if (!candidate.ok) return candidate.errno;
  const { pub } = candidate.value.cert;
  if (!pub.ca || !pub.keyCertSign) return 'ENOKEY';
  return onlyCa && pub.digitalSignature ? 'ENOKEY' : 0;
}

/** What a keyring's restriction says to a new key: 0, or the errno of add_key(2). */
export function restrictLink(keys: KeySource, ring: Key, type: string, payload: Uint8Array): Err {
  switch (ring.restriction) {
    case null:
      return 0;
    case 'reject':
      return 'EPERM';
    case 'blacklist':
      return type === 'blacklist' ? 0 : 'EOPNOTSUPP';
    case 'builtin_trusted':
      return bySignature(keys, '.builtin_trusted_keys', type, payload);
    case 'builtin_and_secondary_trusted':
      return bySignature(keys, '.secondary_trusted_keys', type, payload);
    case 'ca':
    case 'ca_max':
      return byCa(type, payload, ring.restriction === 'ca_max');
    case 'digsig_builtin':
      return byDigsig(keys, '.builtin_trusted_keys', type, payload);
    case 'digsig_builtin_and_secondary':
      return byDigsig(keys, '.secondary_trusted_keys', type, payload);
  }
}
