// Keys of a scenario: key pairs and certificates that follow from the seed and the name, so every run signs
// alike. They are for simulated machines alone: whoever knows the scenario knows the keys.

import { Random, seedRandom } from '../base/random.ts';
import { ecPrivateFromBytes, ecSeedSize } from '../crypto/ec.ts';
import { type AnyPrivateKey, ecPrivateKey } from '../crypto/keys.ts';
import type { CurveName } from '../crypto/provider.ts';
import { rsaGenerate } from '../crypto/rsa-key.ts';
import { type KeyUsage, makeCertificate } from '../crypto/x509-make.ts';
import { keyidOfKey, type Signer } from '../integrity/sign.ts';
import type { KeyForm } from './schema-data.ts';

export interface ScenarioKey extends Signer {
  readonly name: string;
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
  const failed = new Set<string>();
  const make = (name: string): ScenarioKey | undefined => {
    const done = keys.get(name);
    const form = forms[name];
    if (done !== undefined || form === undefined || failed.has(name)) return done;
    if (open.has(name)) {
      problems.push({ key: name, message: `the issuer of \`${name}\` is signed by it` });
      return undefined;
    }
    open.add(name);
    const issuer = form.issuer === undefined ? null : make(form.issuer);
    open.delete(name);
    if (issuer === undefined) {
      failed.add(name);
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
  return { name, key, keyid: keyidOfKey(key), certificate };
}
