// The session area of a command: unmarshalling, authorization of the handles by password, HMAC or policy,
// decryption of the first parameter. What goes back (nonces, HMACs, encryption, audit) is in response.ts.

import { concat, EMPTY, equalBytes, toHex } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName } from './algorithms.ts';
import type { Command } from './command.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import {
  entityAuthPolicy,
  entityAuthValue,
  entityName,
  isDaExempted,
  nvIndexAt,
  objectAt,
  withoutTrailingZeros,
} from './entity.ts';
import { checkLockedOut, registerFailure } from './lockout.ts';
import { be32, limited, Uint8, type Unmarshaller } from './marshal.ts';
import { cryptParameter } from './parameter-encryption.ts';
import { isGuardedPcr } from './pcr.ts';
import * as rc from './rc.ts';
import { isOtherKind } from './sessions.ts';
import type { Session } from './state.ts';
import { Tpm2bAuth, Tpm2bNonce, TpmiShAuthSession } from './structures.ts';

/** One session of the authorization area. */
export interface CommandSession {
  readonly handle: number;
  readonly nonceCaller: Uint8Array;
  attributes: number;
  readonly auth: Uint8Array;
  /** Handle that this session authorizes; null for audit and encryption sessions. */
  associated: number | null;
  /** The entity's authValue is part of the HMAC key. */
  includeAuth: boolean;
}

/** The command being executed, as far as sessions care. */
export interface CommandArea {
  readonly declaration: Command;
  readonly locality: number;
  readonly handles: readonly number[];
  parameters: Uint8Array;
  sessions: CommandSession[];
  decrypt: number;
  encrypt: number;
  audit: number;
  readonly cpHashes: Map<number, Uint8Array>;
}

const RESERVED_SESSION_BITS = 0x18;
const TpmaSession = limited(Uint8, (v) => (v & RESERVED_SESSION_BITS) === 0, rc.TPM_RC_RESERVED_BITS);

/**
 * cpHash: digest of the command code, the names of its handles and its parameters as they were sent.
 * @tcg Part 1, 18.7 Command Parameter Hash
 */
export function cpHash(tpm: TpmCursor, area: CommandArea, alg: number): Uint8Array {
  let hash = area.cpHashes.get(alg);
  if (hash === undefined) {
    const hasher = crypto().hasher(hashName(alg)).update(be32(area.declaration.code));
    for (const handle of area.handles) hasher.update(entityName(tpm, handle));
    hash = hasher.update(area.parameters).digest();
    area.cpHashes.set(alg, hash);
  }
  return hash;
}

function sessionOf(tpm: TpmCursor, handle: number): Session | undefined {
  return tpm.state.ram.sessions.get(handle);
}

const has = (attributes: number, bit: number): boolean => (attributes & bit) !== 0;

/** Uses of one session beside authorization; a response code or 0. */
function claimUses(
  tpm: TpmCursor,
  area: CommandArea,
  index: number,
  s: CommandSession,
  session: Session,
): number {
  const a = s.attributes;
  const n = index + 1;
  if (has(a, c.TPMA_SESSION_DECRYPT)) {
    if (!area.declaration.canDecrypt || area.decrypt >= 0) return rc.rcSession(n, rc.TPM_RC_ATTRIBUTES);
    if (session.symmetric.algorithm === c.TPM_ALG_NULL) return rc.rcSession(n, rc.TPM_RC_SYMMETRIC);
    area.decrypt = index;
  }
  if (has(a, c.TPMA_SESSION_ENCRYPT)) {
    if (!area.declaration.canEncrypt || area.encrypt >= 0) return rc.rcSession(n, rc.TPM_RC_ATTRIBUTES);
    if (session.symmetric.algorithm === c.TPM_ALG_NULL) return rc.rcSession(n, rc.TPM_RC_SYMMETRIC);
    area.encrypt = index;
  }
  if (has(a, c.TPMA_SESSION_AUDIT)) {
    if (area.audit >= 0 || session.isPolicy) return rc.rcSession(n, rc.TPM_RC_ATTRIBUTES);
    if (
      !has(a, c.TPMA_SESSION_AUDITRESET) &&
      session.isAudit &&
      has(a, c.TPMA_SESSION_AUDITEXCLUSIVE) &&
      tpm.state.ram.exclusiveAuditSession !== s.handle
    ) {
      return rc.TPM_RC_EXCLUSIVE;
    }
    area.audit = index;
  }
  return 0;
}

const PW_FORBIDDEN =
  c.TPMA_SESSION_ENCRYPT |
  c.TPMA_SESSION_DECRYPT |
  c.TPMA_SESSION_AUDIT |
  c.TPMA_SESSION_AUDITEXCLUSIVE |
  c.TPMA_SESSION_AUDITRESET;

/** Reads the session area; a response code or 0. */
export function retrieveSessions(tpm: TpmCursor, area: CommandArea, r: Unmarshaller): number {
  for (let index = 0; r.remaining > 0; index++) {
    const n = index + 1;
    if (index === c.MAX_SESSION_NUM) return rc.TPM_RC_SIZE + 0x800 + n * 0x100;
    const handle = TpmiShAuthSession.read(r);
    const nonceCaller = Tpm2bNonce.read(r);
    const attributes = TpmaSession.read(r);
    const auth = Tpm2bAuth.read(r);
    if (r.rc !== 0) return rc.rcSession(n, r.rc);
    const s: CommandSession = { handle, nonceCaller, attributes, auth, associated: null, includeAuth: false };
    area.sessions.push(s);
    if (handle === c.TPM_RS_PW) {
      if (has(attributes, PW_FORBIDDEN)) return rc.rcSession(n, rc.TPM_RC_ATTRIBUTES);
      if (nonceCaller.length !== 0) return rc.rcSession(n, rc.TPM_RC_NONCE);
      continue;
    }
    const session = sessionOf(tpm, handle);
    if (isOtherKind(tpm, handle)) return rc.rcSession(n, rc.TPM_RC_HANDLE);
    if (session === undefined) return rc.TPM_RC_REFERENCE_S0 + index;
    if (area.sessions.some((other, i) => i < index && other.handle === handle)) {
      return rc.rcSession(n, rc.TPM_RC_HANDLE);
    }
    const refused = claimUses(tpm, area, index, s, session);
    if (refused !== 0) return refused;
  }
  return 0;
}

/**
 * Checks the authorization area and decrypts the first parameter; a response code or 0.
 * @tcg Part 3, 5.5 Session Area Validation, 5.6 Authorization Checks, 5.7 Parameter Decryption
 */
export function authorize(tpm: TpmCursor, area: CommandArea): number {
  const { handles } = area.declaration;
  for (let i = 0; i < handles.length; i++) {
    if (handles[i]?.[1].role === 'none') continue;
    const session = area.sessions[i];
    if (session === undefined) {
      tpm.emit('tpm.auth_missing', { handle: i + 1 }, 'tpm.auth_missing');
      return rc.TPM_RC_AUTH_MISSING;
    }
    session.associated = area.handles[i] ?? null;
  }
  for (let i = 0; i < area.sessions.length; i++) {
    const refused = checkSession(tpm, area, i, area.sessions[i] as CommandSession);
    if (refused !== 0) return refused;
  }
  if (tpm.state.nv.auditCommands.includes(area.declaration.code))
    cpHash(tpm, area, tpm.state.nv.auditHashAlg);
  return decryptParameter(tpm, area);
}

function checkSession(tpm: TpmCursor, area: CommandArea, index: number, s: CommandSession): number {
  const n = index + 1;
  if (s.handle === c.TPM_RS_PW) {
    if (s.associated === null) return rc.rcSession(n, rc.TPM_RC_HANDLE);
  } else {
    const session = sessionOf(tpm, s.handle);
    if (session === undefined) return rc.TPM_RC_REFERENCE_S0 + index;
    if (session.isTrial) return rc.rcSession(n, rc.TPM_RC_ATTRIBUTES);
    if (session.isDaBound) {
      const locked = checkLockedOut(tpm, session.isLockoutBound);
      if (locked !== 0) return locked;
    }
    if (has(s.attributes, c.TPMA_SESSION_AUDIT)) cpHash(tpm, area, session.authHash);
  }
  if (s.associated !== null) return rc.rcSession(n, checkAuthSession(tpm, area, index, s, s.associated));
  if (!has(s.attributes, c.TPMA_SESSION_AUDIT | c.TPMA_SESSION_ENCRYPT | c.TPMA_SESSION_DECRYPT)) {
    return rc.rcSession(n, rc.TPM_RC_ATTRIBUTES);
  }
  return rc.rcSession(n, checkHmac(tpm, area, index, s));
}

/** The session authorizes `handle`: which kind it has to be, and whether its proof holds. */
function checkAuthSession(
  tpm: TpmCursor,
  area: CommandArea,
  index: number,
  s: CommandSession,
  handle: number,
): number {
  if (handle === c.TPM_RH_PLATFORM && needsPhysicalPresence(tpm, area.declaration)) {
    if (!tpm.state.ram.physicalPresence) return rc.TPM_RC_PP;
  }
  const session = s.handle === c.TPM_RS_PW ? undefined : sessionOf(tpm, s.handle);
  if (session === undefined) s.includeAuth = true;
  else if (session.isPolicy) s.includeAuth = session.isAuthValueNeeded || session.isPasswordNeeded;
  else s.includeAuth = !isBoundTo(tpm, session, handle);
  if (s.includeAuth && !isDaExempted(tpm, handle)) {
    const locked = checkLockedOut(tpm, handle === c.TPM_RH_LOCKOUT);
    if (locked !== 0) return locked;
  }
  if (session?.isPolicy === true) {
    if (!isAuthPolicyAvailable(tpm, area, index, handle)) return unavailable(tpm, handle);
    const refused = checkPolicySession(tpm, area, index, session, handle);
    if (refused !== 0) return refused;
  } else {
    if (isPolicyRequired(tpm, area, index, handle)) return rc.TPM_RC_AUTH_TYPE;
    if (!isAuthValueAvailable(tpm, area, index, handle)) return unavailable(tpm, handle);
  }
  const byPassword = session === undefined || session.isPasswordNeeded;
  const result = byPassword ? checkPassword(tpm, s, handle) : checkHmac(tpm, area, index, s);
  if (s.includeAuth) countPin(tpm, handle, result === 0);
  return result;
}

function unavailable(tpm: TpmCursor, handle: number): number {
  tpm.emit('tpm.auth_unavailable', { handle }, 'tpm.auth_unavailable');
  return rc.TPM_RC_AUTH_UNAVAILABLE;
}

function needsPhysicalPresence(tpm: TpmCursor, declaration: Command): boolean {
  return declaration.pp === 'required' || tpm.state.nv.ppCommands.includes(declaration.code);
}

/** Name and authValue as a bound session remembers them. */
export function boundEntityOf(tpm: TpmCursor, handle: number): Uint8Array {
  return concat(entityName(tpm, handle), entityAuthValue(tpm, handle));
}

function isBoundTo(tpm: TpmCursor, session: Session, handle: number): boolean {
  return session.boundEntity !== null && equalBytes(session.boundEntity, boundEntityOf(tpm, handle));
}

const roleOf = (area: CommandArea, index: number) => area.declaration.handles[index]?.[1].role ?? 'none';

/** @tcg Part 1, 19.3 Authorization Roles */
function isPolicyRequired(tpm: TpmCursor, area: CommandArea, index: number, handle: number): boolean {
  const role = roleOf(area, index);
  if (role === 'dup') return true;
  const type = c.handleType(handle);
  if (role === 'admin') {
    if (type !== c.TPM_HT_TRANSIENT && type !== c.TPM_HT_PERSISTENT) return true;
    const object = objectAt(tpm, handle);
    return object?.kind === 'object' && has(object.public.objectAttributes, c.TPMA_OBJECT_ADMINWITHPOLICY);
  }
  return type === c.TPM_HT_PCR && isGuardedPcr(handle) && tpm.state.nv.pcrPolicy.alg !== c.TPM_ALG_NULL;
}

function isAuthValueAvailable(tpm: TpmCursor, area: CommandArea, index: number, handle: number): boolean {
  switch (c.handleType(handle)) {
    case c.TPM_HT_PERMANENT:
    case c.TPM_HT_PCR:
      return true;
    case c.TPM_HT_TRANSIENT:
    case c.TPM_HT_PERSISTENT: {
      const object = objectAt(tpm, handle);
      if (object === undefined) return false;
      if (object.kind === 'sequence') return true;
      if (object.sensitive === null) return false;
      const attributes = object.public.objectAttributes;
      if (has(attributes, c.TPMA_OBJECT_USERWITHAUTH)) return true;
      return roleOf(area, index) === 'admin' && !has(attributes, c.TPMA_OBJECT_ADMINWITHPOLICY);
    }
    case c.TPM_HT_NV_INDEX:
      return isNvAuthAvailable(tpm, area, handle);
    default:
      return false;
  }
}

function isNvAuthAvailable(tpm: TpmCursor, area: CommandArea, handle: number): boolean {
  const index = nvIndexAt(tpm, handle);
  if (index === undefined) return false;
  const { attributes } = index.public;
  if (area.declaration.nvWrite === true) return has(attributes, c.TPMA_NV_AUTHWRITE);
  const type = c.nvType(attributes);
  if (type === c.TPM_NT_PIN_FAIL || type === c.TPM_NT_PIN_PASS) {
    if (!has(attributes, c.TPMA_NV_WRITTEN)) return false;
    const view = new DataView(index.data.buffer, index.data.byteOffset);
    return view.getUint32(0) < view.getUint32(4);
  }
  return has(attributes, c.TPMA_NV_AUTHREAD);
}

function isAuthPolicyAvailable(tpm: TpmCursor, area: CommandArea, index: number, handle: number): boolean {
  switch (c.handleType(handle)) {
    case c.TPM_HT_PERMANENT:
      return entityAuthPolicy(tpm, handle).digest.length !== 0;
    case c.TPM_HT_TRANSIENT:
    case c.TPM_HT_PERSISTENT: {
      const object = objectAt(tpm, handle);
      return object?.kind === 'object' && object.sensitive !== null;
    }
    case c.TPM_HT_NV_INDEX: {
      const nv = nvIndexAt(tpm, handle);
      if (nv === undefined || nv.public.authPolicy.length === 0) return false;
      if (isPolicyRequired(tpm, area, index, handle)) return true;
      const bit = area.declaration.nvWrite === true ? c.TPMA_NV_POLICYWRITE : c.TPMA_NV_POLICYREAD;
      return has(nv.public.attributes, bit);
    }
    case c.TPM_HT_PCR:
      return isGuardedPcr(handle);
    default:
      return false;
  }
}

const CC_POLICY_SECRET = 0x151;

/** @tcg Part 1, 19.7.6 Policy Session Checks at Use */
function checkPolicySession(
  tpm: TpmCursor,
  area: CommandArea,
  index: number,
  session: Session,
  handle: number,
): number {
  const { code } = area.declaration;
  const fail = (condition: string, code: number = rc.TPM_RC_POLICY_FAIL): number => {
    tpm.emit('tpm.policy', { handle, condition }, 'tpm.policy_condition');
    return code;
  };
  if (code === CC_POLICY_SECRET && !session.isPasswordNeeded && !session.isAuthValueNeeded) {
    return fail('TPM2_PolicySecret needs the authValue', rc.TPM_RC_MODE);
  }
  if (session.pcrCounter !== 0 && session.pcrCounter !== tpm.state.reset.pcrCounter) {
    tpm.emit('tpm.policy', { handle }, 'tpm.policy_pcr_changed');
    return rc.TPM_RC_PCR_CHANGED;
  }
  const policy = entityAuthPolicy(tpm, handle);
  if (!equalBytes(session.policyDigest, policy.digest) || policy.alg !== session.authHash) {
    const digests = { found: toHex(session.policyDigest), expected: toHex(policy.digest) };
    tpm.emit('tpm.policy', { handle, ...digests }, 'tpm.policy_digest');
    return rc.TPM_RC_POLICY_FAIL;
  }
  if (session.timeout !== 0n) {
    const { time, epoch } = tpm.state.clock;
    if (session.timeout < time || session.epoch !== epoch) return fail('expiration', rc.TPM_RC_EXPIRED);
  }
  if (session.commandCode !== 0) {
    if (session.commandCode !== code) return fail('command code', rc.TPM_RC_POLICY_CC);
  } else if (roleOf(area, index) === 'admin' || roleOf(area, index) === 'dup') {
    return fail('the role needs TPM2_PolicyCommandCode');
  }
  if (!localityAllowed(session.locality, area.locality)) return fail('locality', rc.TPM_RC_LOCALITY);
  if (session.isPpRequired && !tpm.state.ram.physicalPresence) return fail('physical presence', rc.TPM_RC_PP);
  if (!matchesHash(tpm, area, session)) return fail(session.cpHashKind);
  if (session.checkNvWritten) {
    const nv = nvIndexAt(tpm, handle);
    if (nv === undefined) return fail('not an NV index');
    if (has(nv.public.attributes, c.TPMA_NV_WRITTEN) !== session.nvWrittenState) return fail('nvWritten');
  }
  return 0;
}

function localityAllowed(allowed: number, locality: number): boolean {
  if (allowed === 0) return true;
  if (locality < 5) return ((allowed >>> locality) & 1) === 1 && allowed <= 31;
  return locality > 31 && allowed === locality;
}

const CC_WITH_TEMPLATE: readonly number[] = [0x153, 0x131, 0x191];

function matchesHash(tpm: TpmCursor, area: CommandArea, session: Session): boolean {
  const alg = session.authHash;
  if (session.cpHashKind === 'none') return true;
  if (session.cpHashKind === 'cpHash') return equalBytes(session.cpHash, cpHash(tpm, area, alg));
  if (session.cpHashKind === 'nameHash') {
    const names = area.handles.map((h) => entityName(tpm, h));
    return equalBytes(session.cpHash, crypto().hash(hashName(alg), concat(...names)));
  }
  if (!CC_WITH_TEMPLATE.includes(area.declaration.code)) return false;
  const p = area.parameters;
  if (p.length < 2) return false;
  const first = 2 + ((p[0] as number) << 8) + (p[1] as number);
  if (p.length < first + 2) return false;
  const size = ((p[first] as number) << 8) + (p[first + 1] as number);
  if (size > p.length - first - 2) return false;
  const template = p.subarray(first + 2, first + 2 + size);
  return equalBytes(session.cpHash, crypto().hash(hashName(alg), template));
}

function checkPassword(tpm: TpmCursor, s: CommandSession, handle: number): number {
  if (equalBytes(withoutTrailingZeros(s.auth), entityAuthValue(tpm, handle))) return 0;
  tpm.emit('tpm.auth', { handle }, 'tpm.auth_value');
  return countFailure(tpm, s, handle);
}

/** TPM_RC_AUTH_FAIL when the failure counts for dictionary-attack protection, else TPM_RC_BAD_AUTH. */
function countFailure(tpm: TpmCursor, s: CommandSession, handle: number | null): number {
  let target = handle;
  if (s.handle === c.TPM_RS_PW) {
    if (target === null || isDaExempted(tpm, target)) return rc.TPM_RC_BAD_AUTH;
  } else {
    const session = sessionOf(tpm, s.handle);
    if (session?.isLockoutBound === true) target = c.TPM_RH_LOCKOUT;
    const counts = target !== null && !isDaExempted(tpm, target) && s.includeAuth;
    if (session?.isDaBound !== true && !counts) return rc.TPM_RC_BAD_AUTH;
  }
  registerFailure(tpm, target ?? c.TPM_RH_NULL);
  return rc.TPM_RC_AUTH_FAIL;
}

/** Key of a session's HMAC. */
export function hmacKey(tpm: TpmCursor, s: CommandSession, session: Session): Uint8Array {
  const auth = s.includeAuth && s.associated !== null ? entityAuthValue(tpm, s.associated) : EMPTY;
  return concat(session.sessionKey, auth);
}

/** @tcg Part 1, 19.6.5 Session HMAC Computation */
function checkHmac(tpm: TpmCursor, area: CommandArea, index: number, s: CommandSession): number {
  const session = sessionOf(tpm, s.handle);
  if (session === undefined) return rc.TPM_RC_REFERENCE_S0 + index;
  const key = hmacKey(tpm, s, session);
  if (key.length === 0 && s.auth.length === 0) return 0;
  const nonces: Uint8Array[] = [];
  if (index === 0 && s.associated !== null) {
    const nonceOf = (i: number): Uint8Array => {
      const other = area.sessions[i];
      return other === undefined ? EMPTY : (sessionOf(tpm, other.handle)?.nonceTpm ?? EMPTY);
    };
    if (area.decrypt > 0) nonces.push(nonceOf(area.decrypt));
    if (area.encrypt > 0 && area.encrypt !== area.decrypt) nonces.push(nonceOf(area.encrypt));
  }
  const data = concat(
    cpHash(tpm, area, session.authHash),
    s.nonceCaller,
    session.nonceTpm,
    ...nonces,
    new Uint8Array([s.attributes]),
  );
  if (equalBytes(s.auth, crypto().hmac(hashName(session.authHash), key, data))) return 0;
  tpm.emit('tpm.auth', { session: s.handle, handle: s.associated }, 'tpm.hmac');
  return countFailure(tpm, s, s.associated);
}

/** PIN indices count uses (PIN Pass) or failures (PIN Fail) of their authValue. */
function countPin(tpm: TpmCursor, handle: number, success: boolean): void {
  const index = c.handleType(handle) === c.TPM_HT_NV_INDEX ? nvIndexAt(tpm, handle) : undefined;
  if (index === undefined || !has(index.public.attributes, c.TPMA_NV_WRITTEN)) return;
  const type = c.nvType(index.public.attributes);
  const isFail = type === c.TPM_NT_PIN_FAIL;
  if (!isFail && !(type === c.TPM_NT_PIN_PASS && success)) return;
  const view = new DataView(index.data.buffer, index.data.byteOffset);
  const count = view.getUint32(0);
  const next = isFail && success ? 0 : count + 1;
  const data = concat(be32(next), index.data.subarray(4));
  tpm.setNv({ nvIndices: tpm.state.nv.nvIndices.set(handle, { ...index, data }) });
}

function decryptParameter(tpm: TpmCursor, area: CommandArea): number {
  const s = area.sessions[area.decrypt];
  if (s === undefined) return 0;
  const session = sessionOf(tpm, s.handle);
  if (session === undefined) return 0;
  const extra = s.associated === null ? EMPTY : entityAuthValue(tpm, s.associated);
  const p = area.parameters;
  const size = p.length < 2 ? -1 : ((p[0] as number) << 8) | (p[1] as number);
  if (size < 0) return rc.rcSession(area.decrypt + 1, rc.TPM_RC_INSUFFICIENT);
  if (size > p.length - 2) return rc.rcSession(area.decrypt + 1, rc.TPM_RC_SIZE);
  const plain = cryptParameter('decrypt', session, s.nonceCaller, extra, p.subarray(2, 2 + size));
  area.parameters = concat(p.subarray(0, 2), plain, p.subarray(2 + size));
  return 0;
}
