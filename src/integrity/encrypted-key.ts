// Keys of type `encrypted`: a random or given secret that user space only sees encrypted under a master
// key. EVM's HMAC key is one. The master key is only asked for when the secret is loaded or read: making
// one needs none. Master keys are of type user or trusted (sealed in a TPM); the ecryptfs format is left out.

import { concat, equalBytes, fromHex, fromLatin1, latin1, toHex } from '../base/bytes.ts';
import { fail, ok, type Result } from '../base/errno.ts';
import { kstrtos } from '../base/kstrtox.ts';
import type { Random } from '../base/random.ts';
import { crypto } from '../crypto/provider.ts';
import type { EncryptedPayload } from './keys-types.ts';

const IV_SIZE = 16;
const BLOCK = 16;
const HASH_SIZE = 32;
const MIN_DATA_SIZE = 20;
const MAX_DATA_SIZE = 4096;
const MAX_TEXT = 32767;
const ENC32_PAYLOAD_LEN = 32;
const FORMATS: readonly string[] = ['default', 'ecryptfs', 'enc32'];

/** Finds the secret of the master key by its type and description. */
export type MasterKey = (type: 'user' | 'trusted', description: string) => Result<Uint8Array>;

interface Datablob {
  readonly command: 'new' | 'load';
  readonly format: string | null;
  readonly masterDesc: string;
  readonly datalen: string;
  readonly rest: string | null;
}

/** The words of a text up to its first NUL. */
function wordsOf(payload: Uint8Array): string[] {
  const text = fromLatin1(payload);
  const nul = text.indexOf('\0');
  return (nul < 0 ? text : text.slice(0, nul)).split(/[ \t]/);
}

/** The key type before the colon; null for a description that cannot be one. */
function masterType(description: string | undefined): string | null {
  return /^(user:|trusted:)./s.exec(description ?? '')?.[1] ?? null;
}

/** Format, if one is given, and master key description: the two words after the command. */
function masterOf(words: string[]): { readonly format: string | null; readonly masterDesc: string } | null {
  const first = words.shift();
  const format = first !== undefined && FORMATS.includes(first) ? first : null;
  const masterDesc = format === null ? first : words.shift();
  return masterDesc === undefined || masterType(masterDesc) === null ? null : { format, masterDesc };
}

/** @kernel security/keys/encrypted-keys/encrypted.c datablob_parse(), valid_master_desc() */
function parse(payload: Uint8Array): Datablob | null {
  const words = wordsOf(payload);
  const command = words.shift();
  const master = masterOf(words);
  const datalen = words.shift();
  if (master === null || datalen === undefined) return null;
  if (command !== 'new' && command !== 'load') return null;
  const rest = words.shift() ?? null;
  if (command === 'load' && rest === null) return null;
  return { command, ...master, datalen, rest };
}

/** @kernel security/keys/encrypted-keys/encrypted.c get_derived_key() */
function derivedKey(kind: 'AUTH_KEY' | 'ENC_KEY', master: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(Math.max('AUTH_KEY'.length + 1 + master.length, HASH_SIZE));
  buffer.set(latin1(kind));
  buffer.set(master, kind.length + 1);
  return crypto().hash('sha256', buffer);
}

/**
 * HMAC over the stored strings and the encrypted data. Texts without a format word are older: they were
 * made without it.
 * @kernel security/keys/encrypted-keys/encrypted.c datablob_hmac_append(), datablob_hmac_verify()
 */
function blobHmac(
  p: EncryptedPayload,
  encrypted: Uint8Array,
  master: Uint8Array,
  withFormat: boolean,
): Uint8Array {
  const strings = `${withFormat ? `${p.format}\0` : ''}${p.masterDesc}\0${p.datalen}\0`;
  const blob = concat(latin1(strings), p.iv, new Uint8Array(1), encrypted);
  return crypto().hmac('sha256', derivedKey('AUTH_KEY', master), blob);
}

const roundUp = (length: number): number => Math.ceil(length / BLOCK) * BLOCK;

function padded(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(roundUp(data.length));
  out.set(data);
  return out;
}

/** @kernel security/keys/encrypted-keys/encrypted.c encrypted_key_alloc() */
function decryptedLength(format: string | null, datalen: string): number | null {
  const parsed = kstrtos(datalen, 10, 64);
  const length = parsed.ok ? Number(parsed.value) : 0;
  if (length < MIN_DATA_SIZE || length > MAX_DATA_SIZE) return null;
  return format === 'enc32' && length !== ENC32_PAYLOAD_LEN ? null : length;
}

/** @kernel security/keys/encrypted-keys/encrypted.c encrypted_key_decrypt() */
function load(blob: Datablob, length: number, hex: string, master: MasterKey): Result<EncryptedPayload> {
  const size = roundUp(length);
  // The stored text holds the IV, one byte between, the data and the HMAC.
  if (hex.length !== (IV_SIZE + 1 + size + HASH_SIZE) * 2) return fail('EINVAL');
  const digits = hex.slice(0, 2 * IV_SIZE) + hex.slice(2 * IV_SIZE + 2);
  if (!/^[0-9a-fA-F]*$/.test(digits)) return fail('EINVAL');
  const raw = fromHex(digits);
  const encrypted = raw.slice(IV_SIZE, IV_SIZE + size);
  const key = findMaster(blob.masterDesc, master);
  if (!key.ok) return key;
  const { masterDesc, datalen } = blob;
  const payload = {
    format: blob.format ?? 'default',
    masterDesc,
    datalen,
    iv: raw.slice(0, IV_SIZE),
    decrypted: new Uint8Array(0),
  };
  const hmac = blobHmac(payload, encrypted, key.value, blob.format !== null);
  if (!equalBytes(hmac, raw.slice(IV_SIZE + size))) return fail('EINVAL');
  const plain = crypto().aesCbc('decrypt', derivedKey('ENC_KEY', key.value), payload.iv, encrypted);
  return ok({ ...payload, decrypted: plain.slice(0, length) });
}

/** @kernel security/keys/encrypted-keys/encrypted.c request_master_key() */
function findMaster(description: string, master: MasterKey): Result<Uint8Array> {
  const type = masterType(description) === 'user:' ? 'user' : 'trusted';
  return master(type, description.slice(type.length + 1));
}

/**
 * Makes or loads an encrypted key from the text given to add_key(2): EINVAL for malformed text or lengths,
 * ENOKEY when a key is loaded whose master key is missing.
 * @kernel security/keys/encrypted-keys/encrypted.c encrypted_instantiate()
 */
export function encryptedInstantiate(
  payload: Uint8Array,
  master: MasterKey,
  random: Random,
): Result<EncryptedPayload> {
  if (payload.length === 0 || payload.length > MAX_TEXT) return fail('EINVAL');
  const blob = parse(payload);
  if (blob === null || blob.format === 'ecryptfs') return fail('EINVAL');
  const length = decryptedLength(blob.format, blob.datalen);
  if (length === null) return fail('EINVAL');
  if (blob.command === 'load') return load(blob, length, blob.rest ?? '', master);
  if (blob.rest !== null && (blob.rest.length !== length * 2 || !/^[0-9a-fA-F]*$/.test(blob.rest)))
    return fail('EINVAL');
  const { masterDesc, datalen } = blob;
  const iv = random.bytes(IV_SIZE);
  const decrypted = blob.rest === null ? random.bytes(length) : fromHex(blob.rest);
  return ok({ format: blob.format ?? 'default', masterDesc, datalen, iv, decrypted });
}

/**
 * add_key(2) on a key that is there: only another master key of the same type can be named.
 * @kernel security/keys/encrypted-keys/encrypted.c encrypted_update()
 */
export function encryptedUpdate(old: EncryptedPayload, payload: Uint8Array): Result<EncryptedPayload> {
  if (payload.length === 0 || payload.length > MAX_TEXT) return fail('EINVAL');
  const words = wordsOf(payload);
  const command = words.shift();
  const named = masterOf(words);
  if (named === null || command !== 'update') return fail('EINVAL');
  if (masterType(named.masterDesc) !== masterType(old.masterDesc)) return fail('EINVAL');
  return ok({ ...old, masterDesc: named.masterDesc });
}

/**
 * What keyctl read shows: the secret encrypted under the master key as it is now.
 * @kernel security/keys/encrypted-keys/encrypted.c encrypted_read(), datablob_format()
 */
export function encryptedRead(p: EncryptedPayload, master: MasterKey): Result<Uint8Array> {
  const key = findMaster(p.masterDesc, master);
  if (!key.ok) return key;
  const encrypted = crypto().aesCbc('encrypt', derivedKey('ENC_KEY', key.value), p.iv, padded(p.decrypted));
  const hmac = blobHmac(p, encrypted, key.value, true);
  const data = toHex(concat(p.iv, new Uint8Array(1), encrypted, hmac));
  return ok(latin1(`${p.format} ${p.masterDesc} ${p.datalen} ${data}`));
}
