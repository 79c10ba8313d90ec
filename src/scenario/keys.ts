// Keys of a scenario: key pairs and certificates that follow from the seed and the name, so every run signs alike. The
// signatures are those that kernels verify: security.ima type 3, appended module signatures, PKCS#7 messages.

import { concat, utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { Random, seedRandom } from '../base/random.ts';
import { makeCms } from '../crypto/cms-make.ts';
import { ecPrivateFromBytes, ecSeedSize } from '../crypto/ec.ts';
import { type AnyPrivateKey, ecPrivateKey, subjectKeyId } from '../crypto/keys.ts';
import type { CurveName, HashName } from '../crypto/provider.ts';
import { rsaGenerate } from '../crypto/rsa-key.ts';
import { type KeyUsage, makeCertificate, signDigest } from '../crypto/x509-make.ts';
import { hashAlgo } from '../integrity/hash-info.ts';
import { EVM_IMA_XATTR_DIGSIG } from '../integrity/xattr.ts';
import type { KeyForm } from './schema-data.ts';

export interface ScenarioKey {
  readonly name: string;
  readonly key: AnyPrivateKey;
  /** DER. */
  readonly certificate: Uint8Array;
}

export type ScenarioKeys = ReadonlyMap<string, ScenarioKey>;

/** 2025-01-01 and a hundred years later: no scenario's clock runs out of it. */
const NOT_BEFORE = 1735689600;
const NOT_AFTER = 4891363200;

const CURVES: Readonly<Partial<Record<string, CurveName>>> = { 'ecdsa-p256': 'P-256', 'ecdsa-p384': 'P-384' };

const generated = new Map<string, AnyPrivateKey>();
const KEPT_KEYS = 64;

/** RSA keys take a noticeable time: the last ones are kept. */
function privateKey(type: string, seed: string): AnyPrivateKey {
  const id = `${type} ${seed}`;
  const known = generated.get(id);
  if (known !== undefined) return known;
  const random = new Random(seedRandom(`kisim key ${id}`));
  const curve = CURVES[type];
  const key: AnyPrivateKey =
    curve !== undefined
      ? ecPrivateKey(curve, ecPrivateFromBytes(curve, random.bytes(ecSeedSize(curve))))
      : { kind: 'rsa', ...rsaGenerate(Number(type.slice('rsa-'.length)), 65537n, (n) => random.bytes(n)) };
  if (generated.size >= KEPT_KEYS) generated.delete(generated.keys().next().value ?? '');
  generated.set(id, key);
  return key;
}

function serialOf(seed: string): bigint {
  const random = new Random(seedRandom(`kisim serial ${seed}`));
  return random.bytes(8).reduce((n, b) => (n << 8n) | BigInt(b), 1n);
}

function usageOf(form: KeyForm, ca: boolean): readonly KeyUsage[] {
  return form.usage ?? (ca ? ['digitalSignature', 'keyCertSign'] : ['digitalSignature']);
}

export type KeysResult =
  | { readonly ok: true; readonly keys: ScenarioKeys }
  | { readonly ok: false; readonly problems: readonly { readonly key: string; readonly message: string }[] };

/** Makes all keys; an issuer must exist and must not depend on what it signs. */
export function makeKeys(forms: { readonly [name: string]: KeyForm }, seed: string): KeysResult {
  const keys = new Map<string, ScenarioKey>();
  const problems: { key: string; message: string }[] = [];
  const open = new Set<string>();
  const make = (name: string): ScenarioKey | undefined => {
    const done = keys.get(name);
    const form = forms[name];
    if (done !== undefined || form === undefined) return done;
    if (open.has(name)) {
      problems.push({ key: name, message: `the issuer of \`${name}\` is signed by it` });
      return undefined;
    }
    open.add(name);
    const issuer = form.issuer === undefined ? null : make(form.issuer);
    open.delete(name);
    if (issuer === undefined) {
      if (form.issuer !== undefined && forms[form.issuer] === undefined)
        problems.push({ key: name, message: `there is no key \`${form.issuer}\`` });
      return undefined;
    }
    const made = certified(name, form, issuer, seed);
    keys.set(name, made);
    return made;
  };
  for (const name of Object.keys(forms)) make(name);
  return problems.length > 0 ? { ok: false, problems } : { ok: true, keys };
}

function certified(name: string, form: KeyForm, issuer: ScenarioKey | null, seed: string): ScenarioKey {
  const key = privateKey(form.type ?? 'ecdsa-p256', `${seed}:${name}`);
  const ca = form.ca ?? issuer === null;
  const certificate = makeCertificate({
    subject: [['CN', name]],
    key,
    issuer: issuer === null ? null : { key: issuer.key, name: [['CN', issuer.name]] },
    serial: serialOf(`${seed}:${name}`),
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    hash: 'sha256',
    ca,
    keyUsage: usageOf(form, ca),
  });
  return { name, key, certificate };
}

/**
 * signature_v2_hdr with a signature over a digest: type byte, version 2, algorithm, key id, length.
 * The key id is the end of the subject key identifier, as evmctl and the kernel compute it.
 */
export function signatureXattr(
  type: number,
  { key }: ScenarioKey,
  hash: HashName,
  digest: Uint8Array,
): Uint8Array {
  const signature = signDigest(key, hash, digest);
  const head = new Writer('be').u8(type).u8(2).u8(hashAlgo(hash)).bytes(subjectKeyId(key).slice(-4));
  return concat(head.u16(signature.length).finish(), signature);
}

/** security.ima with a signature over the digest of a content. */
export function imaSignature(key: ScenarioKey, hash: HashName, digest: Uint8Array): Uint8Array {
  return signatureXattr(EVM_IMA_XATTR_DIGSIG, key, hash, digest);
}

/** A PKCS#7 message as `openssl cms -sign -binary -noattr -nocerts` makes it. */
export function signedMessage(
  signer: ScenarioKey,
  hash: HashName,
  content: Uint8Array,
  detached: boolean,
): Uint8Array {
  const { key, certificate } = signer;
  return makeCms({
    content,
    detached,
    signers: [{ key, certificate, hash, attributes: false, signingTime: null, byKeyId: false }],
    certificates: [],
  });
}

const MODULE_MAGIC = utf8('~Module signature appended~\n');
const PKEY_ID_PKCS7 = 2;

/** A content with an appended signature: content, message, struct module_signature, magic text. */
export function appendSignature(signer: ScenarioKey, hash: HashName, content: Uint8Array): Uint8Array {
  const message = signedMessage(signer, hash, content, true);
  const info = new Writer('be')
    .u8(0)
    .u8(0)
    .u8(PKEY_ID_PKCS7)
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(0)
    .u32(message.length);
  return concat(content, message, info.finish(), MODULE_MAGIC);
}
