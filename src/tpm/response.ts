// The session area of a response: new nonces, encryption of the first parameter, audit digests, HMACs, and
// which sessions end.

import { concat, EMPTY } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName, hashSize } from './algorithms.ts';
import { type CommandArea, type CommandSession, cpHash, hmacKey } from './authorization.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { entityAuthValue } from './entity.ts';
import { be32, sizedBytes } from './marshal.ts';
import { cryptParameter } from './parameter-encryption.ts';
import { resetPolicy } from './policy.ts';
import type { Session } from './state.ts';

/**
 * rpHash: digest of the response code, the command code and the response parameters as they are sent.
 * @tcg Part 1, 18.8 Response Parameter Hash
 */
function rpHash(area: CommandArea, parameters: Uint8Array, alg: number): Uint8Array {
  return crypto().hash(hashName(alg), concat(be32(0), be32(area.declaration.code), parameters));
}

function setSession(tpm: TpmCursor, session: Session): void {
  tpm.setRam({ sessions: tpm.state.ram.sessions.set(session.handle, session) });
}

function rollNonces(tpm: TpmCursor, area: CommandArea): void {
  for (const s of area.sessions) {
    const session = tpm.state.ram.sessions.get(s.handle);
    if (session === undefined) continue;
    setSession(tpm, { ...session, nonceTpm: tpm.random(session.nonceTpm.length) });
  }
}

function encryptFirst(tpm: TpmCursor, area: CommandArea, parameters: Uint8Array): Uint8Array {
  const s = area.sessions[area.encrypt];
  const session = s === undefined ? undefined : tpm.state.ram.sessions.get(s.handle);
  if (s === undefined || session === undefined) return parameters;
  const extra = s.associated === null ? EMPTY : entityAuthValue(tpm, s.associated);
  const size = ((parameters[0] as number) << 8) | (parameters[1] as number);
  const secret = cryptParameter('encrypt', session, s.nonceCaller, extra, parameters.subarray(2, 2 + size));
  return concat(parameters.subarray(0, 2), secret, parameters.subarray(2 + size));
}

/** digest' = H(digest || cpHash || rpHash) */
function audited(
  tpm: TpmCursor,
  area: CommandArea,
  parameters: Uint8Array,
  alg: number,
  old: Uint8Array,
): Uint8Array {
  return crypto().hash(hashName(alg), concat(old, cpHash(tpm, area, alg), rpHash(area, parameters, alg)));
}

/** @tcg Part 1, 31.3 Session Audit */
function updateAuditSession(tpm: TpmCursor, area: CommandArea, parameters: Uint8Array): void {
  const s = area.sessions[area.audit];
  if (s === undefined) {
    if (area.declaration.noSessions !== true && tpm.state.ram.exclusiveAuditSession !== c.TPM_RH_UNASSIGNED) {
      tpm.setRam({ exclusiveAuditSession: c.TPM_RH_UNASSIGNED });
    }
    return;
  }
  let session = tpm.state.ram.sessions.get(s.handle);
  if (session === undefined) return;
  if (!session.isAudit || (s.attributes & c.TPMA_SESSION_AUDITRESET) !== 0) {
    const auditDigest = new Uint8Array(hashSize(session.authHash));
    session = { ...session, isAudit: true, boundEntity: null, auditDigest };
    tpm.setRam({ exclusiveAuditSession: s.handle });
  } else if (tpm.state.ram.exclusiveAuditSession !== s.handle) {
    tpm.setRam({ exclusiveAuditSession: c.TPM_RH_UNASSIGNED });
  }
  if (tpm.state.ram.exclusiveAuditSession === s.handle) s.attributes |= c.TPMA_SESSION_AUDITEXCLUSIVE;
  else s.attributes &= ~c.TPMA_SESSION_AUDITEXCLUSIVE;
  const auditDigest = audited(tpm, area, parameters, session.authHash, session.auditDigest);
  setSession(tpm, { ...session, auditDigest });
}

/** @tcg Part 1, 31.2 Command Audit */
function updateCommandAudit(tpm: TpmCursor, area: CommandArea, parameters: Uint8Array): void {
  const { auditCommands, auditHashAlg, auditCounter } = tpm.state.nv;
  if (!auditCommands.includes(area.declaration.code)) return;
  let digest = tpm.state.reset.commandAuditDigest;
  if (digest.length === 1) {
    // SetCommandCodeAuditStatus changed the algorithm: that command itself is not audited.
    tpm.setReset({ commandAuditDigest: EMPTY });
    return;
  }
  if (digest.length === 0) {
    digest = new Uint8Array(hashSize(auditHashAlg));
    tpm.setNv({ auditCounter: auditCounter + 1n });
  }
  tpm.setReset({ commandAuditDigest: audited(tpm, area, parameters, auditHashAlg, digest) });
}

function singleAuth(
  tpm: TpmCursor,
  area: CommandArea,
  s: CommandSession,
  parameters: Uint8Array,
): Uint8Array {
  if (s.handle === c.TPM_RS_PW) return new Uint8Array([0, 0, c.TPMA_SESSION_CONTINUESESSION, 0, 0]);
  const session = tpm.state.ram.sessions.get(s.handle);
  if (session === undefined) return new Uint8Array(5);
  let hmac = EMPTY;
  if (!(session.isPolicy && session.isPasswordNeeded)) {
    const key = hmacKey(tpm, s, session);
    if (key.length !== 0 || s.auth.length !== 0) {
      const hash = rpHash(area, parameters, session.authHash);
      const data = concat(hash, session.nonceTpm, s.nonceCaller, new Uint8Array([s.attributes]));
      hmac = crypto().hmac(hashName(session.authHash), key, data);
    }
  }
  if ((s.attributes & c.TPMA_SESSION_CONTINUESESSION) === 0) {
    tpm.setRam({ sessions: tpm.state.ram.sessions.delete(s.handle) });
    if (tpm.state.ram.exclusiveAuditSession === s.handle) {
      tpm.setRam({ exclusiveAuditSession: c.TPM_RH_UNASSIGNED });
    }
  } else if (session.isPolicy) {
    setSession(tpm, resetPolicy(tpm, session));
  }
  return concat(sizedBytes(session.nonceTpm), new Uint8Array([s.attributes]), sizedBytes(hmac));
}

/**
 * Ends a successful command: response parameters (perhaps encrypted) and the session area.
 * @tcg Part 1, 18.9 Response Construction
 */
export function finishSessions(
  tpm: TpmCursor,
  area: CommandArea,
  parameters: Uint8Array,
): { readonly parameters: Uint8Array; readonly sessions: Uint8Array } {
  let out = parameters;
  if (area.sessions.length > 0) {
    rollNonces(tpm, area);
    out = encryptFirst(tpm, area, out);
  }
  updateAuditSession(tpm, area, out);
  updateCommandAudit(tpm, area, out);
  const sessions = area.sessions.map((s) => singleAuth(tpm, area, s, out));
  return {
    parameters: out,
    sessions: sessions.length === 1 ? (sessions[0] as Uint8Array) : concat(...sessions),
  };
}
