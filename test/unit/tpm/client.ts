// A small TPM client for tests: marshals commands by their declarations, unmarshals responses, and does the
// client's half of HMAC sessions with node:crypto, apart from the TPM's own code.

import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto';
import { concat, EMPTY, utf8 } from '../../../src/base/bytes.ts';
import type { Command } from '../../../src/tpm/command.ts';
import { COMMANDS } from '../../../src/tpm/commands/registry.ts';
import * as c from '../../../src/tpm/constants.ts';
import { be16, be32, marshal, sizedBytes, Unmarshaller } from '../../../src/tpm/marshal.ts';
import { responseCodeOf, type Tpm } from '../../../src/tpm/tpm.ts';

export interface Answer {
  readonly rc: number;
  readonly handle: number;
  // biome-ignore lint/suspicious/noExplicitAny: members differ from command to command
  readonly [name: string]: any;
}

export const sha256 = (...parts: readonly Uint8Array[]): Uint8Array =>
  createHash('sha256')
    .update(concat(...parts))
    .digest();
const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array =>
  createHmac('sha256', key)
    .update(concat(...parts))
    .digest();

/** KDFa with SHA-256 and at most one block of output. */
export function kdfA(key: Uint8Array, label: string, u: Uint8Array, v: Uint8Array, bits: number): Uint8Array {
  return hmac(key, be32(1), utf8(label), new Uint8Array(1), u, v, be32(bits)).subarray(0, bits / 8);
}

/** An authorization: a password, or a session with its attributes. */
export interface SessionAuth {
  readonly session: ClientSession;
  readonly attributes?: number;
  /** authValue of the entity; a policy session without it makes no HMAC. */
  readonly auth?: string;
  /** The session is bound to the entity: its key stands for authValue in the HMAC. */
  readonly bound?: true;
}
export type Auth = string | SessionAuth;

/** The caller's side of an HMAC session (SHA-256, AES-128-CFB). */
export class ClientSession {
  nonceCaller: Uint8Array = new Uint8Array(16).fill(1);
  readonly handle: number;
  nonceTpm: Uint8Array;
  readonly sessionKey: Uint8Array;
  readonly policy: boolean;

  constructor(handle: number, nonceTpm: Uint8Array, sessionKey: Uint8Array, policy: boolean) {
    this.handle = handle;
    this.nonceTpm = nonceTpm;
    this.sessionKey = sessionKey;
    this.policy = policy;
  }

  mac(
    auth: Uint8Array,
    hash: Uint8Array,
    newer: Uint8Array,
    older: Uint8Array,
    attributes: number,
  ): Uint8Array {
    return hmac(concat(this.sessionKey, auth), hash, newer, older, Uint8Array.of(attributes));
  }

  crypt(
    auth: Uint8Array,
    data: Uint8Array,
    newer: Uint8Array,
    older: Uint8Array,
    encrypt: boolean,
  ): Uint8Array {
    const key = kdfA(concat(this.sessionKey, auth), 'CFB', newer, older, 256);
    const make = encrypt ? createCipheriv : createDecipheriv;
    const cipher = make('aes-128-cfb', key.subarray(0, 16), key.subarray(16, 32));
    return concat(cipher.update(data), cipher.final());
  }
}

export class Client {
  readonly tpm: Tpm;

  constructor(tpm: Tpm) {
    this.tpm = tpm;
  }

  call(name: string, input: { readonly [name: string]: unknown } = {}, auths: readonly Auth[] = []): Answer {
    const d = declarationOf(name);
    const handles = d.handles.map(([key, spec]) => marshal(spec.type, input[key] as number));
    let body = concat(...d.parameters.map(([key, codec]) => marshal(codec, input[key])));
    const first = auths[0];
    const attributes = sessionAttributes(first);
    if (typeof first === 'object' && (attributes & 0x20) !== 0) {
      const size = (body[0] as number) * 256 + (body[1] as number);
      const { session } = first;
      const data = body.subarray(2, 2 + size);
      const sealed = session.crypt(utf8(first.auth ?? ''), data, session.nonceCaller, session.nonceTpm, true);
      body = concat(body.subarray(0, 2), sealed, body.subarray(2 + size));
    }
    const names = auths.some((auth) => typeof auth === 'object') ? this.#names(d, input) : [];
    const cpHash = sha256(be32(d.code), ...names, body);
    const area = concat(...auths.map((auth) => authorization(auth, cpHash)));
    const rest = concat(...handles, auths.length === 0 ? EMPTY : concat(be32(area.length), area), body);
    const tag = be16(auths.length === 0 ? 0x8001 : 0x8002);
    const response = this.tpm.execute(concat(tag, be32(10 + rest.length), be32(d.code), rest));
    return readResponse(d, response, auths);
  }

  /** Calls and expects success. */
  ok(name: string, input: { readonly [name: string]: unknown } = {}, auths: readonly Auth[] = []): Answer {
    const answer = this.call(name, input, auths);
    if (answer.rc !== 0) throw new Error(`${name}: 0x${answer.rc.toString(16)}`);
    return answer;
  }

  startSession(
    type: number,
    input: { readonly [name: string]: unknown } = {},
    boundAuth = '',
  ): ClientSession {
    const nonceCaller = new Uint8Array(16).fill(7);
    const answer = this.ok('StartAuthSession', {
      tpmKey: c.TPM_RH_NULL,
      bind: c.TPM_RH_NULL,
      nonceCaller,
      encryptedSalt: EMPTY,
      sessionType: type,
      symmetric: { algorithm: c.TPM_ALG_AES, keyBits: 128, mode: c.TPM_ALG_CFB },
      authHash: c.TPM_ALG_SHA256,
      ...input,
    });
    const isPlain = input.bind === undefined && input.tpmKey === undefined;
    const secret = utf8(boundAuth);
    const key = isPlain ? EMPTY : kdfA(secret, 'ATH', answer.nonceTPM, nonceCaller, 256);
    return new ClientSession(answer.handle, answer.nonceTPM, key, type !== c.TPM_SE_HMAC);
  }

  /** Names of the handles: themselves, of a key's public area, of an NV index. */
  #names(d: Command, input: { readonly [name: string]: unknown }): readonly Uint8Array[] {
    return d.handles.map(([key]) => {
      const handle = input[key] as number;
      const type = handle >>> 24;
      if (type === 0x01) return this.ok('NV_ReadPublic', { nvIndex: handle }).nvName;
      if (type === 0x80 || type === 0x81) return this.ok('ReadPublic', { objectHandle: handle }).name;
      return be32(handle);
    });
  }
}

function declarationOf(name: string): Command {
  for (const d of COMMANDS.values()) if (d.name === name) return d;
  throw new Error(`no command ${name}`);
}

const sessionAttributes = (auth: Auth | undefined): number =>
  typeof auth === 'object' ? (auth.attributes ?? 1) : 0;

const makesNoHmac = ({ session, auth }: SessionAuth): boolean => session.policy && auth === undefined;
const hmacAuth = ({ auth, bound }: SessionAuth): Uint8Array => (bound ? EMPTY : utf8(auth ?? ''));

function authorization(auth: Auth, cpHash: Uint8Array): Uint8Array {
  if (typeof auth === 'string')
    return concat(be32(c.TPM_RS_PW), be16(0), Uint8Array.of(0), sizedBytes(utf8(auth)));
  const { session } = auth;
  const attributes = sessionAttributes(auth);
  const mac = session.mac(hmacAuth(auth), cpHash, session.nonceCaller, session.nonceTpm, attributes);
  const proof = sizedBytes(makesNoHmac(auth) ? EMPTY : mac);
  return concat(be32(session.handle), sizedBytes(session.nonceCaller), Uint8Array.of(attributes), proof);
}

function readResponse(d: Command, response: Uint8Array, auths: readonly Auth[]): Answer {
  const rc = responseCodeOf(response);
  if (rc !== 0) return { rc, handle: 0 };
  const r = new Unmarshaller(response.subarray(10));
  const handle = d.responseHandle ? r.u32() : 0;
  const size = auths.length === 0 ? r.remaining : r.u32();
  let body = r.take(size);
  const auth = auths[0];
  if (typeof auth === 'object') {
    const { session } = auth;
    const nonce = r.take(r.u16());
    const attributes = r.u8();
    const mac = r.take(r.u16());
    const key = utf8(auth.auth ?? '');
    if (!makesNoHmac(auth)) {
      const rpHash = sha256(be32(0), be32(d.code), body);
      const expected = session.mac(hmacAuth(auth), rpHash, nonce, session.nonceCaller, attributes);
      if (Buffer.compare(mac, expected) !== 0) throw new Error(`${d.name}: response HMAC differs`);
    }
    session.nonceTpm = nonce;
    if ((attributes & 0x40) !== 0) {
      const length = (body[0] as number) * 256 + (body[1] as number);
      const open = session.crypt(key, body.subarray(2, 2 + length), nonce, session.nonceCaller, false);
      body = concat(body.subarray(0, 2), open, body.subarray(2 + length));
    }
  }
  const values = new Unmarshaller(body);
  const members = d.response.map(([key, codec]) => [key, codec.read(values)] as const);
  return { rc, handle, ...Object.fromEntries(members) };
}

const NO_SCHEME = { scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL, kdf: c.TPM_ALG_NULL, count: 0 };
const NO_KDF = { scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL };
const AES_128 = { algorithm: c.TPM_ALG_AES, keyBits: 128, mode: c.TPM_ALG_CFB };

const eccKey = (objectAttributes: number, symmetric: object, scheme: object): unknown => ({
  type: c.TPM_ALG_ECC,
  nameAlg: c.TPM_ALG_SHA256,
  objectAttributes,
  authPolicy: EMPTY,
  parameters: { symmetric, scheme, curveId: 3, kdf: NO_KDF },
  unique: { x: EMPTY, y: EMPTY },
});

export const STORAGE = eccKey(0x00030072, AES_128, NO_SCHEME);
export const SIGNING = eccKey(
  0x00040072,
  { algorithm: c.TPM_ALG_NULL, keyBits: 0, mode: 0 },
  {
    ...NO_SCHEME,
    scheme: c.TPM_ALG_ECDSA,
    hashAlg: c.TPM_ALG_SHA256,
  },
);
/** A sealed data object; without `policy` its authValue opens it. */
export const sealed = (policy: Uint8Array = EMPTY): unknown => ({
  type: c.TPM_ALG_KEYEDHASH,
  nameAlg: c.TPM_ALG_SHA256,
  objectAttributes: policy.length === 0 ? 0x52 : 0x12,
  authPolicy: policy,
  parameters: { scheme: NO_SCHEME },
  unique: EMPTY,
});

export const create = (
  inPublic: unknown,
  data = EMPTY,
  userAuth = '',
): { readonly [name: string]: unknown } => ({
  inSensitive: { userAuth: utf8(userAuth), data },
  inPublic,
  outsideInfo: EMPTY,
  creationPCR: [],
});
