// Keys of type `trusted`: secrets that the TPM makes and that user space only ever sees sealed. The words of
// `keyctl add trusted` and `keyctl update` are read here; the TPM's part is in trusted-tpm2.ts. Left out:
// other trust sources (TEE, CAAM, DCP) and TPM 1.2.

import { fromHex, fromLatin1, latin1, toHex } from '../base/bytes.ts';
import { type Errno, fail, ok, type Result } from '../base/errno.ts';
import { kstrtos, kstrtou } from '../base/kstrtox.ts';
import { digestSize } from '../crypto/provider.ts';
import { HASH_DIGEST_SIZE, hashAlgo } from './hash-info.ts';
import type { TrustedPayload } from './keys-types.ts';
import {
  MAX_BLOB_SIZE,
  MAX_KEY_SIZE,
  MIN_KEY_SIZE,
  type Sealing,
  type SealingChip,
  type SealOptions,
  sealTrusted,
  TPM_DIGEST_SIZE,
  tpmGetRandom,
  unsealTrusted,
} from './trusted-tpm2.ts';

/** What the key type needs of the machine. */
export interface TrustedEnv {
  readonly chip: SealingChip;
  /** The task may extend a register through pcrlock=. */
  readonly mayLock: boolean;
  /** The TPM's refusal, for the trace. */
  readonly refused: (what: 'seal' | 'unseal', rc: number) => void;
}

const MAX_TEXT = 32767;
const MAX_PCRINFO_SIZE = 64;

interface Options extends SealOptions {
  readonly migratable: boolean;
  readonly pcrlock: number;
}

function hex(text: string, length = Math.floor(text.length / 2)): Uint8Array | null {
  const digits = text.slice(0, length * 2);
  return /^[0-9a-fA-F]*$/.test(digits) && digits.length === length * 2 ? fromHex(digits) : null;
}

type Patch = Partial<{ -readonly [K in keyof Options]: Options[K] }>;
type Option = (value: string, soFar: Options, seen: ReadonlySet<string>) => Patch | null;

function number(value: string, base: number): number | null {
  const parsed = kstrtou(value, base, 64);
  return parsed.ok ? Number(BigInt.asUintN(32, parsed.value)) : null;
}

function blobauth(value: string): Patch | null {
  if (value.length === 2 * TPM_DIGEST_SIZE) {
    const auth = hex(value);
    return auth === null ? null : { blobauth: auth };
  }
  return value.length <= TPM_DIGEST_SIZE ? { blobauth: latin1(value) } : null;
}

const handle =
  (name: 'keyhandle' | 'policyhandle'): Option =>
  (value) => {
    const parsed = number(value, 16);
    return parsed === null ? null : { [name]: parsed };
  };

/** key_tokens[]: each may be given once. */
const OPTIONS: Readonly<Record<string, Option>> = {
  // Part of TPM 1.2 sealing: checked, then not used. A TPM 2.0 binds to registers through a policy digest.
  pcrinfo: (value) => (value.length / 2 < MAX_PCRINFO_SIZE + 1 && hex(value) !== null ? {} : null),
  keyhandle: handle('keyhandle'),
  keyauth: (value) => {
    const auth = value.length === 2 * TPM_DIGEST_SIZE ? hex(value) : null;
    return auth === null ? null : { keyauth: auth };
  },
  blobauth,
  migratable: (value) => {
    if (value.startsWith('0')) return { migratable: false };
    return value.startsWith('1') ? {} : null;
  },
  pcrlock: (value) => {
    const parsed = number(value, 10);
    return parsed === null ? null : { pcrlock: parsed };
  },
  hash: (value, _soFar, seen) => {
    return hashAlgo(value) < 0 || seen.has('policydigest') ? null : { hash: value };
  },
  policydigest: (value, { hash }) => {
    const length = HASH_DIGEST_SIZE[hashAlgo(hash)] as number;
    const digest = value.length === 2 * length ? hex(value) : null;
    return digest === null ? null : { policydigest: digest };
  },
  policyhandle: handle('policyhandle'),
};

/** @kernel security/keys/trusted-keys/trusted_tpm1.c getoptions() */
function optionsOf(words: readonly string[], migratable: boolean): Options | null {
  let options: Options = {
    keyhandle: 0,
    keyauth: new Uint8Array(TPM_DIGEST_SIZE),
    blobauth: new Uint8Array(0),
    hash: 'sha256',
    policydigest: new Uint8Array(0),
    policyhandle: 0,
    migratable,
    pcrlock: 0,
  };
  const seen = new Set<string>();
  for (const word of words) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    const name = word.slice(0, equals);
    const value = word.slice(equals + 1);
    const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    if (option === undefined || value === '' || seen.has(name)) return null;
    seen.add(name);
    const patch = option(value, options, seen);
    if (patch === null) return null;
    options = { ...options, ...patch };
  }
  return options;
}

function wordsOf(payload: Uint8Array): string[] | null {
  if (payload.length === 0 || payload.length > MAX_TEXT) return null;
  const text = fromLatin1(payload);
  const nul = text.indexOf('\0');
  return (nul < 0 ? text : text.slice(0, nul)).split(/[ \t]/);
}

/** @kernel security/keys/trusted-keys/trusted_tpm1.c pcrlock() */
function lockPcr(env: TrustedEnv, pcr: number): Errno | null {
  if (!env.mayLock) return 'EPERM';
  const digests = env.chip.banks.map((alg) => ({ alg, digest: new Uint8Array(digestSize(alg)) }));
  return env.chip.pcrExtend(pcr, digests) === 0 ? null : 'EINVAL';
}

function told<T>(env: TrustedEnv, what: 'seal' | 'unseal', result: Sealing<T>): Result<T> {
  if (result.rc !== undefined) env.refused(what, result.rc);
  return result;
}

/** @kernel security/keys/trusted-keys/trusted_tpm1.c trusted_tpm_seal() */
function seal(env: TrustedEnv, key: Uint8Array, words: string[], old: boolean): Result<TrustedPayload> {
  if (!env.chip.bound) return fail('ENODEV');
  const options = optionsOf(words, old);
  if (options === null) return fail('EINVAL');
  const { migratable, pcrlock } = options;
  const blob = told(env, 'seal', sealTrusted(env.chip, key, migratable, options));
  if (!blob.ok) return blob;
  const failed = pcrlock === 0 ? null : lockPcr(env, pcrlock);
  return failed === null ? ok({ key, blob: blob.value, migratable }) : fail(failed);
}

/** @kernel security/keys/trusted-keys/trusted_tpm1.c trusted_tpm_unseal() */
function unseal(env: TrustedEnv, blob: Uint8Array, words: string[]): Result<TrustedPayload> {
  if (!env.chip.bound) return fail('ENODEV');
  const options = optionsOf(words, true);
  if (options === null) return fail('EINVAL');
  const opened = told(env, 'unseal', unsealTrusted(env.chip, blob, options));
  const failed = options.pcrlock === 0 ? null : lockPcr(env, options.pcrlock);
  if (failed !== null) return fail(failed);
  return opened.ok ? ok({ ...opened.value, blob }) : opened;
}

/**
 * Makes (`new LENGTH OPTIONS`) or loads (`load HEX OPTIONS`) a trusted key: EINVAL for words that are none
 * of these, EPERM for what the TPM refuses, ENODEV when its driver is gone.
 * @kernel security/keys/trusted-keys/trusted_core.c trusted_instantiate()
 */
export function trustedInstantiate(payload: Uint8Array, env: TrustedEnv): Result<TrustedPayload> {
  const words = wordsOf(payload);
  const command = words?.shift();
  const argument = words?.shift();
  if (words === null || argument === undefined) return fail('EINVAL');
  if (command === 'new') {
    const length = kstrtos(argument, 10, 64);
    if (!length.ok || length.value < MIN_KEY_SIZE || length.value > MAX_KEY_SIZE) return fail('EINVAL');
    const key = tpmGetRandom(env.chip, Number(length.value));
    return key.ok ? seal(env, key.value, words, true) : key;
  }
  const blob = command === 'load' ? hex(argument) : null;
  if (blob === null || blob.length > MAX_BLOB_SIZE) return fail('EINVAL');
  return unseal(env, blob, words);
}

/**
 * Seals the secret anew (`update OPTIONS`): EPERM for a key that is not migratable.
 * @kernel security/keys/trusted-keys/trusted_core.c trusted_update()
 */
export function trustedUpdate(
  old: TrustedPayload,
  payload: Uint8Array,
  env: TrustedEnv,
): Result<TrustedPayload> {
  if (!old.migratable) return fail('EPERM');
  const words = wordsOf(payload);
  if (words === null || words.shift() !== 'update') return fail('EINVAL');
  return seal(env, old.key, words, old.migratable);
}

/** What keyctl print shows. @kernel security/keys/trusted-keys/trusted_core.c trusted_read() */
export function trustedRead(payload: TrustedPayload): Uint8Array {
  return latin1(toHex(payload.blob));
}
