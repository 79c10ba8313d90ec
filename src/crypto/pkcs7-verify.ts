// Verification of a PKCS#7 message: digests, signatures by the certificates that it carries, their chain,
// and the walk from a signer to a trusted key. Which keys are trusted and which are blacklisted the caller
// says by functions.

import { EMPTY, equalBytes } from '../base/bytes.ts';
import { type Err, type Errno, fail, ok, type Result } from '../base/errno.ts';
import type { Pkcs7Message, Pkcs7SignedInfo } from './pkcs7.ts';
import { crypto, digestSize, type HashName } from './provider.ts';
import { type PublicKey, type PublicKeySignature, publicKeyVerifySignature } from './public-key.ts';
import { KERNEL_HASHES, sameKeyId, type X509Certificate } from './x509.ts';

/** What the signature is for; each use has its own demands. */
export type Pkcs7Usage = 'module' | 'firmware' | 'kexecPe' | 'unspecified';

/** What a kernel's configuration and keyrings say. */
export interface Pkcs7Environment {
  /** Hashes that can be computed. */
  readonly hashes?: ReadonlySet<string>;
  /** Whether the digest of a certificate's signed part is on the blacklist. */
  readonly isBlacklisted?: (cert: X509Certificate) => boolean;
}

/** One signer after verification. */
export interface Pkcs7Signer {
  readonly info: Pkcs7SignedInfo;
  /** The signature with the digest that it signs. */
  readonly sig: PublicKeySignature;
  /** Place of the signer's certificate in the message; null where it brings none. */
  readonly cert: number | null;
  readonly unsupportedCrypto: boolean;
  readonly blacklisted: boolean;
}

/** Result of `pkcs7Verify`, the base of the trust decision. */
export interface Pkcs7Verdict {
  readonly err: Err;
  readonly message: Pkcs7Message;
  readonly signers: readonly Pkcs7Signer[];
  /** For each certificate the place of the one that signed it; null where that is not in the message. */
  readonly signerOf: readonly (number | null)[];
}

/**
 * What a signer signed: the content's digest, or that of the signed attributes once they agree with it.
 * @kernel crypto/asymmetric_keys/pkcs7_verify.c pkcs7_digest()
 */
function pkcs7Digest(
  message: Pkcs7Message,
  info: Pkcs7SignedInfo,
  hashes: ReadonlySet<string>,
): Result<Uint8Array> {
  const name = info.sig.hashAlgo;
  if (name === null || !hashes.has(name)) return fail('ENOPKG');
  const alg = name as HashName;
  const digest = crypto().hash(alg, message.data ?? EMPTY);
  if (info.authattrs === null) return ok(digest);
  if (info.msgdigest === null) return fail('EKEYREJECTED');
  if (info.msgdigest.length !== digestSize(alg)) return fail('EBADMSG');
  if (!equalBytes(info.msgdigest, digest)) return fail('EKEYREJECTED');
  return ok(crypto().hash(alg, info.authattrs));
}

/**
 * Digest and hash of a message with exactly one signer, as IMA shows them for an appended signature.
 * @kernel crypto/asymmetric_keys/pkcs7_verify.c pkcs7_get_digest()
 */
export function pkcs7GetDigest(
  message: Pkcs7Message,
  hashes: ReadonlySet<string> = KERNEL_HASHES,
): Result<{ readonly hashAlgo: HashName; readonly digest: Uint8Array }> {
  const [info, second] = message.signedInfos;
  if (info === undefined || second !== undefined) return fail('EBADMSG');
  const digest = pkcs7Digest(message, info, hashes);
  if (!digest.ok) return digest;
  return ok({ hashAlgo: info.sig.hashAlgo as HashName, digest: digest.value });
}

function checkUsage(message: Pkcs7Message, usage: Pkcs7Usage): Err {
  const wanted = usage === 'kexecPe' ? 'msIndirectData' : 'data';
  if (message.dataType !== wanted) return 'EKEYREJECTED';
  if (usage === 'module' && message.haveAuthattrs) return 'EKEYREJECTED';
  if (usage === 'firmware' && !message.haveAuthattrs) return 'EKEYREJECTED';
  return 0;
}

interface Chain {
  readonly certs: readonly X509Certificate[];
  /** Grows as links are verified; stays over all signers. */
  readonly signerOf: (number | null)[];
  /** Certificates that are blacklisted, or depend on one that is. */
  readonly blacklisted: Set<number>;
}

/** Place of the certificate that should have signed this one, by the authority's identifiers. */
function findIssuer(certs: readonly X509Certificate[], cert: X509Certificate): Result<number | null> {
  const [authId, authSkid] = cert.authIds;
  if (authId !== null) {
    const at = certs.findIndex((p) => equalBytes(p.id, authId));
    if (at < 0) return ok(null);
    if (authSkid !== null && !sameKeyId(certs[at]?.rawSkid ?? null, authSkid)) return fail('EKEYREJECTED');
    return ok(at);
  }
  if (authSkid === null) return ok(null);
  const at = certs.findIndex((p) => sameKeyId(p.rawSkid, authSkid));
  return ok(at < 0 ? null : at);
}

/**
 * Follows the chain inside the message as far as it goes. Returns 0, an errno, or that a blacklisted
 * certificate was met.
 * @kernel crypto/asymmetric_keys/pkcs7_verify.c pkcs7_verify_sig_chain()
 */
function verifySigChain(chain: Chain, first: number): Err | 'blacklisted' {
  const seen = new Set<number>();
  for (let at = first; ; ) {
    const cert = chain.certs[at] as X509Certificate;
    seen.add(at);
    if (chain.blacklisted.has(at)) {
      for (let p = first; p !== at; p = chain.signerOf[p] as number) chain.blacklisted.add(p);
      return 'blacklisted';
    }
    if (cert.selfSigned) {
      if (!cert.unsupportedSig) chain.signerOf[at] = at;
      return 0;
    }
    const issuer = findIssuer(chain.certs, cert);
    if (!issuer.ok) return issuer.errno;
    const next = issuer.value;
    // No root here, or a loop: the chain ends.
    if (next === null || seen.has(next)) return 0;
    const err = publicKeyVerifySignature((chain.certs[next] as X509Certificate).pub, cert.sig);
    if (err !== 0) return err;
    chain.signerOf[at] = next;
    at = next;
  }
}

/** @kernel crypto/asymmetric_keys/pkcs7_verify.c pkcs7_verify_one() */
function verifyOne(
  message: Pkcs7Message,
  info: Pkcs7SignedInfo,
  chain: Chain,
  hashes: ReadonlySet<string>,
): { readonly result: Err | 'blacklisted'; readonly signer: Pkcs7Signer } {
  const signer = { info, sig: info.sig, cert: null, unsupportedCrypto: false, blacklisted: false };
  const digest = pkcs7Digest(message, info, hashes);
  if (!digest.ok) return { result: digest.errno, signer };
  const sig = { ...info.sig, digest: digest.value };
  const at = chain.certs.findIndex((c) => equalBytes(c.id, info.authId));
  const cert = chain.certs[at];
  // The certificate may be found in a keyring later.
  if (cert === undefined) return { result: 0, signer: { ...signer, sig } };
  const found = { ...signer, sig, cert: at };
  const time = info.signingTime;
  if (time !== null && (time < cert.validFrom || time > cert.validTo))
    return { result: 'EKEYREJECTED', signer: found };
  const err = publicKeyVerifySignature(cert.pub, sig);
  return { result: err === 0 ? verifySigChain(chain, at) : err, signer: found };
}

/**
 * Whether the message is consistent in itself: digests, signatures by its own certificates, their chain.
 * @kernel crypto/asymmetric_keys/pkcs7_verify.c pkcs7_verify()
 */
export function pkcs7Verify(
  message: Pkcs7Message,
  usage: Pkcs7Usage,
  environment: Pkcs7Environment = {},
): Pkcs7Verdict {
  const { hashes = KERNEL_HASHES, isBlacklisted = () => false } = environment;
  const { certs } = message;
  const blacklisted = new Set(certs.flatMap((c, i) => (isBlacklisted(c) ? [i] : [])));
  const chain: Chain = { certs, signerOf: certs.map(() => null), blacklisted };
  const signers: Pkcs7Signer[] = [];
  const verdict = (err: Err): Pkcs7Verdict => ({ err, message, signers, signerOf: chain.signerOf });
  const wrongUse = checkUsage(message, usage);
  if (wrongUse !== 0) return verdict(wrongUse);
  let actual: Err = 'ENOPKG';
  for (const info of message.signedInfos) {
    const { result, signer } = verifyOne(message, info, chain, hashes);
    signers.push({
      ...signer,
      unsupportedCrypto: result === 'ENOPKG',
      blacklisted: result === 'blacklisted',
    });
    if (result === 'blacklisted') {
      if (actual === 'ENOPKG') actual = 'EKEYREJECTED';
    } else if (result === 0) actual = 0;
    else if (result !== 'ENOPKG') return verdict(result);
  }
  return verdict(actual);
}

/** Finds a trusted key by one or two key identifiers; ENOKEY where there is none. */
export type FindKey = (id0: Uint8Array | null, id1: Uint8Array | null) => Result<PublicKey>;

interface TrustWalk {
  readonly verdict: Pkcs7Verdict;
  readonly findKey: FindKey;
  readonly seen: Set<number>;
  readonly verified: Set<number>;
}

/** Marks the certificates from the signer's up to the one that was matched. */
function markVerified(walk: TrustWalk, signer: Pkcs7Signer, matched: number | null): void {
  if (matched === null) return;
  walk.verified.add(matched);
  for (let p = signer.cert as number; p !== matched; p = walk.verdict.signerOf[p] as number)
    walk.verified.add(p);
}

/** @kernel crypto/asymmetric_keys/pkcs7_trust.c pkcs7_validate_trust_one() */
function validateTrustOne(walk: TrustWalk, signer: Pkcs7Signer): Err {
  if (signer.unsupportedCrypto) return 'ENOPKG';
  const { message, signerOf } = walk.verdict;
  const accept = (key: PublicKey, sig: PublicKeySignature, matched: number | null): Err => {
    if (publicKeyVerifySignature(key, sig) !== 0) return 'EKEYREJECTED';
    markVerified(walk, signer, matched);
    return 0;
  };
  let sig = signer.sig;
  let last: number | null = null;
  for (let at = signer.cert; at !== null; at = signerOf[at] ?? null) {
    if (walk.seen.has(at)) {
      if (!walk.verified.has(at)) return 'ENOKEY';
      markVerified(walk, signer, at);
      return 0;
    }
    walk.seen.add(at);
    const cert = message.certs[at] as X509Certificate;
    const key = walk.findKey(cert.id, cert.rawSkid);
    if (key.ok) return accept(key.value, sig, at);
    // A root of its own that nobody knows.
    if (signerOf[at] === at) return 'ENOKEY';
    last = at;
    sig = cert.sig;
  }
  if (last !== null) {
    const [authId, authSkid] = (message.certs[last] as X509Certificate).authIds;
    if (authId !== null || authSkid !== null) {
      const key = walk.findKey(authId, authSkid);
      if (key.ok) return accept(key.value, sig, last);
      if (key.errno !== 'ENOKEY') return key.errno;
    }
  }
  const direct = walk.findKey(signer.info.authId, null);
  return direct.ok ? accept(direct.value, signer.sig, null) : direct.errno;
}

/**
 * Whether a chain of the message meets a trusted key.
 * @kernel crypto/asymmetric_keys/pkcs7_trust.c pkcs7_validate_trust()
 */
export function pkcs7ValidateTrust(verdict: Pkcs7Verdict, findKey: FindKey): Err {
  const walk: TrustWalk = { verdict, findKey, seen: new Set(), verified: new Set() };
  let cached: 0 | Errno = 'ENOKEY';
  for (const signer of verdict.signers) {
    const err = validateTrustOne(walk, signer);
    if (err === 'ENOKEY') continue;
    if (err === 'ENOPKG') {
      if (cached === 'ENOKEY') cached = 'ENOPKG';
    } else if (err === 0) cached = 0;
    else return err;
  }
  return cached;
}
