// Sealing and unsealing of trusted keys with a TPM 2.0: the command bytes that the kernel's key type sends,
// and the ASN.1 form (TPMKey of the TPM 2.0 key file format) in which a sealed blob leaves the kernel. Left
// out: the HMAC session around each command that CONFIG_TCG_TPM2_HMAC adds, which changes nothing that
// anybody sees afterwards.

import { concat, equalBytes } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import { type Errno, fail, ok, type Result } from '../base/errno.ts';
import { berDecode, explicit, integer, leaf, objectIdentifier, optional, sequence } from '../crypto/ber.ts';
import { der, derInteger, derOid } from '../crypto/der.ts';
import { hashAlgOf } from '../tpm/algorithms.ts';
import type { TpmChip } from '../tpm/chip.ts';
import * as c from '../tpm/constants.ts';
import { TPM_RC_HASH } from '../tpm/rc.ts';

/** The TPM as the key type reaches it. */
export interface SealingChip extends TpmChip {
  /** The driver still has the device. */
  readonly bound: boolean;
  execute(command: Uint8Array): Uint8Array;
}

export const MIN_KEY_SIZE = 32;
export const MAX_KEY_SIZE = 128;
export const MAX_BLOB_SIZE = 512;
/** Length of an authorization value of TPM 1.2, which the options still go by. */
export const TPM_DIGEST_SIZE = 20;

const TPM_CC_UNSEAL = 0x15e;
const TPM_CC_CREATE = 0x153;
const TPM_CC_LOAD = 0x157;
const TPM_CC_FLUSH_CONTEXT = 0x165;
const TPM_CC_GET_RANDOM = 0x17b;
const HEADER = 10;
/** id-sealedkey of the TPM 2.0 key file format. */
const OID_TPM_SEALED_DATA = derOid('2.23.133.10.1.5');
const SEALING_HASHES: readonly string[] = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'];

export interface SealOptions {
  readonly keyhandle: number;
  readonly keyauth: Uint8Array;
  readonly blobauth: Uint8Array;
  /** Name as hash_algo_name[] writes it. */
  readonly hash: string;
  readonly policydigest: Uint8Array;
  /** Policy session that user space has started; 0 for none. */
  readonly policyhandle: number;
}

/** What a refusal was: errno for the caller, response code for the trace. */
export type Sealing<T> = Result<T> & { readonly rc?: number };

function refusedBy(rc: number, errno: Errno = 'EPERM'): Sealing<never> {
  return { ...fail(errno), rc };
}

interface Response {
  readonly rc: number;
  /** Behind the header. */
  readonly body: Reader;
}

function transmit(chip: SealingChip, tag: number, code: number, body: Uint8Array): Response {
  const w = new Writer('be').u16(tag).u32(HEADER + body.length);
  const r = new Reader(chip.execute(w.u32(code).bytes(body).finish()), 'be');
  r.take(6);
  const rc = r.u32();
  return { rc, body: r };
}

const sized = (bytes: Uint8Array): Uint8Array => new Writer('be').u16(bytes.length).bytes(bytes).finish();

/** One authorization: a password, or a policy session of user space with the password for PolicyPassword. */
function authArea(session: number, password: Uint8Array): Uint8Array {
  return new Writer('be')
    .u32(9 + password.length)
    .u32(session)
    .u16(0)
    .u8(0)
    .bytes(sized(password))
    .finish();
}

/**
 * Random bytes of the TPM, in as many commands as it takes.
 * @kernel drivers/char/tpm/tpm2-cmd.c tpm2_get_random()
 */
export function tpmGetRandom(chip: SealingChip, length: number): Result<Uint8Array> {
  if (!chip.bound) return fail('ENODEV');
  const parts: Uint8Array[] = [];
  let left = length;
  for (let tries = 0; tries < 6 && left > 0; tries++) {
    const asked = new Writer('be').u16(left).finish();
    const { rc, body } = transmit(chip, c.TPM_ST_NO_SESSIONS, TPM_CC_GET_RANDOM, asked);
    if (rc !== 0) return fail('EIO');
    const bytes = body.take(body.u16());
    parts.push(bytes);
    left -= bytes.length;
  }
  return left > 0 ? fail('EIO') : ok(concat(...parts));
}

/**
 * TPMKey: what `keyctl print` shows in hexadecimal.
 * @kernel security/keys/trusted-keys/trusted_tpm2.c tpm2_key_encode()
 */
function encodeKey(options: SealOptions, priv: Uint8Array, pub: Uint8Array): Uint8Array {
  const emptyAuth = options.blobauth.length === 0 ? [der(0xa0, der(0x01, Uint8Array.of(1)))] : [];
  const parent = derInteger(BigInt(options.keyhandle));
  return der(0x30, OID_TPM_SEALED_DATA, ...emptyAuth, parent, der(0x04, pub), der(0x04, priv));
}

interface DecodedKey {
  parent: number;
  pub: Uint8Array;
  priv: Uint8Array;
}

const TPM_KEY = sequence<DecodedKey>([
  objectIdentifier((_key, value) => (equalBytes(der(0x06, value), OID_TPM_SEALED_DATA) ? 0 : 'EINVAL')),
  optional(explicit(0, leaf(0x01))),
  integer((key, value) => {
    key.parent = value.reduce((n, byte) => ((n << 8) | byte) >>> 0, 0);
    return 0;
  }),
  leaf(0x04, (key, value) => {
    key.pub = value;
    return 0;
  }),
  leaf(0x04, (key, value) => {
    key.priv = value;
    return 0;
  }),
]);

/** @kernel security/keys/trusted-keys/trusted_tpm2.c tpm2_key_decode() */
function decodeKey(blob: Uint8Array): DecodedKey | null {
  const key: DecodedKey = { parent: 0, pub: new Uint8Array(0), priv: new Uint8Array(0) };
  if (berDecode(TPM_KEY, key, blob) !== 0) return null;
  return key.priv.length + key.pub.length > MAX_BLOB_SIZE ? null : key;
}

/**
 * Seals a secret under a loaded parent: EINVAL without a parent or for a hash that the TPM cannot name,
 * EPERM for what the TPM refuses.
 * @kernel security/keys/trusted-keys/trusted_tpm2.c tpm2_seal_trusted()
 */
export function sealTrusted(
  chip: SealingChip,
  secret: Uint8Array,
  migratable: boolean,
  options: SealOptions,
): Sealing<Uint8Array> {
  const { policydigest, hash, keyhandle } = options;
  const alg = SEALING_HASHES.includes(hash) ? nameAlgOf(hash) : undefined;
  if (alg === undefined || keyhandle === 0) return fail('EINVAL');
  const attributes =
    (policydigest.length > 0 ? 0 : c.TPMA_OBJECT_USERWITHAUTH) |
    (migratable ? 0 : c.TPMA_OBJECT_FIXEDTPM | c.TPMA_OBJECT_FIXEDPARENT);
  const template = new Writer('be').u16(c.TPM_ALG_KEYEDHASH).u16(alg).u32(attributes);
  template.bytes(sized(policydigest)).u16(c.TPM_ALG_NULL).u16(0);
  const command = new Writer('be').u32(keyhandle).bytes(authArea(c.TPM_RS_PW, options.keyauth));
  command.bytes(sized(concat(sized(options.blobauth), sized(secret)))).bytes(sized(template.finish()));
  command.u16(0).u32(0);
  const { rc, body } = transmit(chip, c.TPM_ST_SESSIONS, TPM_CC_CREATE, command.finish());
  if (rc !== 0) return refusedBy(rc, (rc & 0xbf) === TPM_RC_HASH ? 'EINVAL' : 'EPERM');
  // The kernel takes the size of all response parameters for the blob's.
  if (body.u32() > MAX_BLOB_SIZE) return fail('E2BIG');
  const priv = sized(body.take(body.u16()));
  const pub = sized(body.take(body.u16()));
  const blob = encodeKey(options, priv, pub);
  return blob.length > MAX_BLOB_SIZE ? fail('EINVAL') : ok(blob);
}

/** The number of a hash in the TPM's own list; also for the one that this TPM lacks. */
function nameAlgOf(hash: string): number | undefined {
  if (hash === 'sm3') return c.TPM_ALG_SM3_256;
  return hashAlgOf(hash as Parameters<typeof hashAlgOf>[0]);
}

interface Loaded {
  readonly handle: number;
  readonly migratable: boolean;
  /** The blob was no TPMKey: the migratable flag is the last byte of the secret. */
  readonly oldFormat: boolean;
}

/** @kernel security/keys/trusted-keys/trusted_tpm2.c tpm2_load_cmd() */
function load(chip: SealingChip, given: Uint8Array, options: SealOptions): Sealing<Loaded> {
  const key = decodeKey(given);
  const blob = key === null ? given : concat(key.priv, key.pub);
  const parent = key === null ? options.keyhandle : key.parent;
  if (parent === 0 || given.length < 4) return fail('EINVAL');
  const view = new DataView(blob.buffer, blob.byteOffset, blob.length);
  const privateLength = blob.length < 2 ? 0 : view.getUint16(0);
  if (privateLength + 4 > given.length) return fail('E2BIG');
  const publicAt = 2 + privateLength;
  const publicLength = publicAt + 2 > blob.length ? 0 : view.getUint16(publicAt);
  if (publicAt + 2 + publicLength > given.length) return fail('E2BIG');
  const attributesAt = publicAt + 2 + 4;
  const attributes = attributesAt + 4 > blob.length ? 0 : view.getUint32(attributesAt);
  const fixed = c.TPMA_OBJECT_FIXEDTPM | c.TPMA_OBJECT_FIXEDPARENT;
  const command = new Writer('be').u32(parent).bytes(authArea(c.TPM_RS_PW, options.keyauth));
  command.bytes(blob.subarray(0, privateLength + publicLength + 4));
  const { rc, body } = transmit(chip, c.TPM_ST_SESSIONS, TPM_CC_LOAD, command.finish());
  if (rc !== 0) return refusedBy(rc);
  return ok({ handle: body.u32(), migratable: (attributes & fixed) !== fixed, oldFormat: key === null });
}

export interface Unsealed {
  readonly key: Uint8Array;
  readonly migratable: boolean;
}

/** @kernel security/keys/trusted-keys/trusted_tpm2.c tpm2_unseal_cmd() */
function unseal(chip: SealingChip, loaded: Loaded, options: SealOptions): Sealing<Unsealed> {
  const { policyhandle, blobauth } = options;
  const session = policyhandle === 0 ? c.TPM_RS_PW : policyhandle;
  const command = concat(new Writer('be').u32(loaded.handle).finish(), authArea(session, blobauth));
  const { rc, body } = transmit(chip, c.TPM_ST_SESSIONS, TPM_CC_UNSEAL, command);
  if (rc !== 0) return refusedBy(rc);
  body.take(4);
  const length = body.u16();
  if (length < MIN_KEY_SIZE || length > MAX_KEY_SIZE) return fail('EFAULT');
  const data = body.take(length);
  if (!loaded.oldFormat) return ok({ key: data, migratable: loaded.migratable });
  return ok({ key: data.slice(0, -1), migratable: data[length - 1] !== 0 });
}

/**
 * Loads a blob under its parent and reads the secret: EPERM when the TPM refuses, for another parent, a
 * changed blob, a wrong password, or registers that the policy does not allow.
 * @kernel security/keys/trusted-keys/trusted_tpm2.c tpm2_unseal_trusted()
 */
export function unsealTrusted(chip: SealingChip, blob: Uint8Array, options: SealOptions): Sealing<Unsealed> {
  const loaded = load(chip, blob, options);
  if (!loaded.ok) return loaded;
  const result = unseal(chip, loaded.value, options);
  const handle = new Writer('be').u32(loaded.value.handle).finish();
  transmit(chip, c.TPM_ST_NO_SESSIONS, TPM_CC_FLUSH_CONTEXT, handle);
  return result;
}
