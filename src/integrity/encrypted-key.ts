// Keys of type `encrypted`: a random or given secret that user space only sees encrypted under a master key. EVM's HMAC
// key is one. Master keys of type user are modelled; trusted master keys (sealed in a TPM) and the ecryptfs format are not.

import { concat, equalBytes, fromHex, fromLatin1, latin1, toHex } from '../base/bytes.ts';
import { fail, ok, type Result } from '../base/errno.ts';
import type { Random } from '../base/random.ts';
import { crypto } from '../crypto/provider.ts';
import type { EncryptedPayload } from './keys-types.ts';

const IV_SIZE = 16;
const BLOCK = 16;
const HASH_SIZE = 32;
const MIN_DATA_SIZE = 20;
const MAX_DATA_SIZE = 4096;
const ENC32_PAYLOAD_LEN = 32;

/** Finds the payload of the master key by its description. */
export type MasterKey = (description: string) => Result<Uint8Array>;

interface Datablob {
  readonly command: 'new' | 'load';
  readonly format: string | null;
  readonly masterDesc: string;
  readonly datalen: string;
  readonly rest: string | null;
}

/** @kernel security/keys/encrypted-keys/encrypted.c datablob_parse(), valid_master_desc() */
function parse(text: string): Datablob | null {
  const words = text.split(/[ \t]/);
  const command = words.shift();
  if (command !== 'new' && command !== 'load') return null;
  let masterDesc = words.shift();
  let format: string | null = null;
  if (masterDesc === 'default' || masterDesc === 'ecryptfs' || masterDesc === 'enc32') {
    format = masterDesc;
    masterDesc = words.shift();
  }
  const datalen = words.shift();
  if (masterDesc === undefined || datalen === undefined) return null;
  if (!/^(user|trusted):./.test(masterDesc)) return null;
  const rest = words.shift() ?? null;
  if (command === 'load' && rest === null) return null;
  return { command, format, masterDesc, datalen, rest };
}

/** @kernel security/keys/encrypted-keys/encrypted.c get_derived_key() */
function derivedKey(kind: 'AUTH_KEY' | 'ENC_KEY', master: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(Math.max('AUTH_KEY'.length + 1 + master.length, HASH_SIZE));
  buffer.set(latin1(kind));
  buffer.set(master, kind.length + 1);
  return crypto().hash('sha256', buffer);
}

/** @kernel security/keys/encrypted-keys/encrypted.c datablob_hmac_append() */
function blobHmac(p: Omit<EncryptedPayload, 'hmac' | 'decrypted'>, master: Uint8Array): Uint8Array {
  const strings = `${p.format === null ? '' : `${p.format}\0`}${p.masterDesc}\0${p.datalen}\0`;
  const blob = concat(latin1(strings), p.iv, new Uint8Array(1), p.encrypted);
  return crypto().hmac('sha256', derivedKey('AUTH_KEY', master), blob);
}

function padded(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil(data.length / BLOCK) * BLOCK);
  out.set(data);
  return out;
}

function decryptedLength(blob: Datablob): number | null {
  const length = /^[+-]?\d+$/.test(blob.datalen) ? Number(blob.datalen) : Number.NaN;
  if (!(length >= MIN_DATA_SIZE && length <= MAX_DATA_SIZE)) return null;
  if (blob.format === 'enc32' && length !== ENC32_PAYLOAD_LEN) return null;
  return length;
}

function load(blob: Datablob, length: number, hex: string, master: Uint8Array): Result<EncryptedPayload> {
  const size = Math.ceil(length / BLOCK) * BLOCK;
  // The stored text holds the IV, one byte between, the data and the HMAC.
  if (hex.length !== (IV_SIZE + 1 + size + HASH_SIZE) * 2 || !/^[0-9a-fA-F]*$/.test(hex))
    return fail('EINVAL');
  const raw = fromHex(hex);
  const { format, masterDesc, datalen } = blob;
  const iv = raw.slice(0, IV_SIZE);
  const encrypted = raw.slice(IV_SIZE + 1, IV_SIZE + 1 + size);
  const hmac = raw.slice(IV_SIZE + 1 + size);
  if (!equalBytes(blobHmac({ format, masterDesc, datalen, iv, encrypted }, master), hmac))
    return fail('EINVAL');
  const plain = crypto().aesCbc('decrypt', derivedKey('ENC_KEY', master), iv, encrypted);
  return ok({ format, masterDesc, datalen, iv, encrypted, hmac, decrypted: plain.slice(0, length) });
}

/**
 * Makes or loads an encrypted key from the text given to add_key(2). EINVAL for malformed text or lengths, ENOKEY for
 * a missing master key.
 * @kernel security/keys/encrypted-keys/encrypted.c encrypted_instantiate()
 */
export function encryptedInstantiate(
  payload: Uint8Array,
  master: MasterKey,
  random: Random,
): Result<EncryptedPayload> {
  if (payload.length === 0 || payload.length > 32767) return fail('EINVAL');
  const text = fromLatin1(payload);
  const nul = text.indexOf('\0');
  const blob = parse(nul < 0 ? text : text.slice(0, nul));
  if (blob === null || blob.format === 'ecryptfs') return fail('EINVAL');
  const length = decryptedLength(blob);
  if (length === null) return fail('EINVAL');
  if (blob.command === 'new' && blob.rest !== null) {
    if (blob.rest.length !== length * 2 || !/^[0-9a-fA-F]*$/.test(blob.rest)) return fail('EINVAL');
  }
  const key = blob.masterDesc.startsWith('user:') ? master(blob.masterDesc.slice(5)) : fail('ENOKEY');
  if (!key.ok) return key;
  if (blob.command === 'load') return load(blob, length, blob.rest ?? '', key.value);
  const { format, masterDesc, datalen } = blob;
  const decrypted = blob.rest === null ? random.bytes(length) : fromHex(blob.rest);
  const iv = random.bytes(IV_SIZE);
  const encrypted = crypto().aesCbc('encrypt', derivedKey('ENC_KEY', key.value), iv, padded(decrypted));
  const hmac = blobHmac({ format, masterDesc, datalen, iv, encrypted }, key.value);
  return ok({ format, masterDesc, datalen, iv, encrypted, hmac, decrypted });
}

/** What keyctl read shows. @kernel security/keys/encrypted-keys/encrypted.c datablob_format() */
export function encryptedRead(p: EncryptedPayload): Uint8Array {
  const data = toHex(concat(p.iv, new Uint8Array(1), p.encrypted, p.hmac));
  return latin1(`${p.format ?? 'default'} ${p.masterDesc} ${p.datalen} ${data}`);
}
