// Part 3, chapter 15: symmetric primitives - encryption, hash, MAC.

import { crypto } from '../../crypto/provider.ts';
import { hashName, isHashAlg } from '../algorithms.ts';
import { command, user } from '../command.ts';
import * as c from '../constants.ts';
import type { TpmCursor } from '../cursor.ts';
import { keyAt } from '../entity.ts';
import { limited, Uint16 } from '../marshal.ts';
import * as rc from '../rc.ts';
import type { TpmObject } from '../state.ts';
import {
  SYM_MODES,
  Tpm2bDigest,
  Tpm2bIv,
  Tpm2bMaxBuffer,
  TpmiAlgCipherModeNull,
  TpmiAlgHash,
  TpmiDhObject,
  TpmiRhHierarchy,
  TpmiYesNo,
} from '../structures.ts';
import { type Ticket, TpmtTkHashcheck } from '../structures-attest.ts';
import { AES_BLOCK, cmac, cryptBlocks } from '../symmetric.ts';
import { hashcheckTicket, nullTicket } from '../tickets.ts';

interface CipherInput {
  readonly keyHandle: number;
  readonly decrypt: number;
  readonly mode: number;
  readonly ivIn: Uint8Array;
  readonly inData: Uint8Array;
}

/** Numbers of the parameters that can be wrong; the two commands order them differently. */
interface Order {
  readonly mode: number;
  readonly ivIn: number;
  readonly inData: number;
}

/** @tcg Part 3, 15.2 TPM2_EncryptDecrypt */
function encryptDecrypt(tpm: TpmCursor, input: CipherInput, order: Order) {
  const key = keyAt(tpm, input.keyHandle);
  if (key?.public.type !== c.TPM_ALG_SYMCIPHER || key.sensitive === null)
    return rc.rcHandle(1, rc.TPM_RC_KEY);
  const attributes = key.public.objectAttributes;
  const needed = input.decrypt === 1 ? c.TPMA_OBJECT_DECRYPT : c.TPMA_OBJECT_SIGN_ENCRYPT;
  if ((attributes & c.TPMA_OBJECT_RESTRICTED) !== 0 || (attributes & needed) === 0) {
    return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
  }
  const own = key.public.parameters.mode;
  if (own !== c.TPM_ALG_NULL && !SYM_MODES.includes(own)) return rc.rcHandle(1, rc.TPM_RC_MODE);
  const mode = own === c.TPM_ALG_NULL ? input.mode : own;
  const disagrees = input.mode !== c.TPM_ALG_NULL && input.mode !== mode;
  if (mode === c.TPM_ALG_NULL || disagrees) return rc.rcParameter(order.mode, rc.TPM_RC_MODE);
  const ivSize = mode === c.TPM_ALG_ECB ? 0 : AES_BLOCK;
  if (input.ivIn.length !== ivSize) return rc.rcParameter(order.ivIn, rc.TPM_RC_SIZE);
  const whole = mode === c.TPM_ALG_CBC || mode === c.TPM_ALG_ECB;
  if (whole && input.inData.length % AES_BLOCK !== 0) return rc.rcParameter(order.inData, rc.TPM_RC_SIZE);
  const direction = input.decrypt === 1 ? 'decrypt' : 'encrypt';
  const done = cryptBlocks(direction, mode, key.sensitive.sensitive, input.ivIn, input.inData);
  return { outData: done.data, ivOut: done.ivOut };
}

export const encryptDecrypt1 = command({
  code: 0x164,
  name: 'EncryptDecrypt',
  handles: { keyHandle: user(TpmiDhObject) },
  parameters: { decrypt: TpmiYesNo, mode: TpmiAlgCipherModeNull, ivIn: Tpm2bIv, inData: Tpm2bMaxBuffer },
  response: { outData: Tpm2bMaxBuffer, ivOut: Tpm2bIv },
  run: (tpm, input) => encryptDecrypt(tpm, input, { mode: 2, ivIn: 3, inData: 4 }),
});

/** @tcg Part 3, 15.3 TPM2_EncryptDecrypt2 */
export const encryptDecrypt2 = command({
  code: 0x193,
  name: 'EncryptDecrypt2',
  handles: { keyHandle: user(TpmiDhObject) },
  parameters: { inData: Tpm2bMaxBuffer, decrypt: TpmiYesNo, mode: TpmiAlgCipherModeNull, ivIn: Tpm2bIv },
  response: { outData: Tpm2bMaxBuffer, ivOut: Tpm2bIv },
  run: (tpm, input) => encryptDecrypt(tpm, input, { mode: 3, ivIn: 4, inData: 1 }),
});

/** Whether data does not look like a structure that only the TPM may make. */
export function isTicketSafe(data: Uint8Array): boolean {
  return (
    data.length >= 4 && new DataView(data.buffer, data.byteOffset).getUint32(0) !== c.TPM_GENERATED_VALUE
  );
}

/** Ticket that says: this TPM hashed something that is no attestation. */
export function hashTicket(
  tpm: TpmCursor,
  hierarchy: number,
  safe: boolean,
  hashAlg: number,
  digest: Uint8Array,
): Ticket {
  if (hierarchy === c.TPM_RH_NULL || !safe) return nullTicket(c.TPM_ST_HASHCHECK);
  return hashcheckTicket(tpm, hierarchy, hashAlg, digest);
}

/** @tcg Part 3, 15.4 TPM2_Hash */
export const hash = command({
  code: 0x17d,
  name: 'Hash',
  handles: {},
  parameters: { data: Tpm2bMaxBuffer, hashAlg: TpmiAlgHash, hierarchy: TpmiRhHierarchy },
  response: { outHash: Tpm2bDigest, validation: TpmtTkHashcheck },
  run(tpm, { data, hashAlg, hierarchy }) {
    const outHash = crypto().hash(hashName(hashAlg), data);
    const safe = data.length < 4 || isTicketSafe(data);
    return { outHash, validation: hashTicket(tpm, hierarchy, safe, hashAlg, outHash) };
  },
});

const MAC_ALGS = (alg: number): boolean => isHashAlg(alg) || alg === c.TPM_ALG_CMAC || alg === c.TPM_ALG_NULL;
/** TPMI_ALG_MAC_SCHEME+ */
export const TpmiAlgMacScheme = limited(Uint16, MAC_ALGS, rc.TPM_RC_SYMMETRIC);

/** The MAC algorithm for a key: hash of an HMAC, or CMAC; a response code for what does not fit. */
export function selectMac(key: TpmObject | undefined, asked: number): { readonly alg: number } | number {
  let own: number;
  if (key?.public.type === c.TPM_ALG_KEYEDHASH) {
    const { scheme, hashAlg } = key.public.parameters.scheme;
    own = scheme === c.TPM_ALG_NULL ? c.TPM_ALG_NULL : hashAlg;
  } else if (key?.public.type === c.TPM_ALG_SYMCIPHER) own = key.public.parameters.mode;
  else return rc.rcHandle(1, rc.TPM_RC_TYPE);
  if (asked !== c.TPM_ALG_NULL && own !== c.TPM_ALG_NULL && asked !== own) {
    return rc.rcParameter(2, rc.TPM_RC_VALUE);
  }
  const alg = asked === c.TPM_ALG_NULL ? own : asked;
  if (alg === c.TPM_ALG_NULL) return rc.rcParameter(2, rc.TPM_RC_VALUE);
  const fits = key.public.type === c.TPM_ALG_KEYEDHASH ? isHashAlg(alg) : alg === c.TPM_ALG_CMAC;
  if (!fits) return rc.rcParameter(2, rc.TPM_RC_SCHEME);
  const attributes = key.public.objectAttributes;
  if ((attributes & c.TPMA_OBJECT_RESTRICTED) !== 0) return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
  if ((attributes & c.TPMA_OBJECT_SIGN_ENCRYPT) === 0) return rc.rcHandle(1, rc.TPM_RC_KEY);
  return { alg };
}

/** MAC of data by a selected algorithm. */
export function macOf(alg: number, key: Uint8Array, data: Uint8Array): Uint8Array {
  return alg === c.TPM_ALG_CMAC ? cmac(key, data) : crypto().hmac(hashName(alg), key, data);
}

/** @tcg Part 3, 15.5 TPM2_HMAC, 15.6 TPM2_MAC: one command code */
export const mac = command({
  code: 0x155,
  name: 'MAC',
  handles: { handle: user(TpmiDhObject) },
  parameters: { buffer: Tpm2bMaxBuffer, inScheme: TpmiAlgMacScheme },
  response: { outMAC: Tpm2bDigest },
  run(tpm, { handle, buffer, inScheme }) {
    const key = keyAt(tpm, handle);
    const selected = selectMac(key, inScheme);
    if (typeof selected === 'number') return selected;
    return { outMAC: macOf(selected.alg, key?.sensitive?.sensitive ?? new Uint8Array(0), buffer) };
  },
});
