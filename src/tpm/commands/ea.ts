// Part 3, chapter 23: enhanced authorization - the assertions of a policy that bring their own proof: signed,
// secret, ticket, authorized policies. The plain conditions are in ea-conditions.ts.

import { concat, EMPTY, equalBytes } from '../../base/bytes.ts';
import { crypto } from '../../crypto/provider.ts';
import { hashName, hashSize, isHashAlg } from '../algorithms.ts';
import { command, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import type { TpmCursor } from '../cursor.ts';
import { entityHierarchy, entityName, keyAt, nvIndexAt } from '../entity.ts';
import { be32, be64, Uint32, Unmarshaller } from '../marshal.ts';
import { readAccess } from '../nv.ts';
import { emptyPolicyDigest, policyExtend, setSession } from '../policy.ts';
import * as rc from '../rc.ts';
import { verifyDigest } from '../sign.ts';
import type { Session } from '../state.ts';
import {
  Tpm2bDigest,
  Tpm2bName,
  Tpm2bNonce,
  Tpm2bTimeout,
  TpmiDhEntity,
  TpmiDhObject,
  TpmiRhNvAuth,
  TpmiRhNvIndex,
  TpmiShPolicy,
  TpmtHa,
} from '../structures.ts';
import { type Ticket, TpmtSignature, TpmtTkAuth, TpmtTkVerified } from '../structures-attest.ts';
import { authTicket, nullTicket, verifiedTicket } from '../tickets.ts';

const CC_POLICY_SECRET = 0x151;
const CC_POLICY_SIGNED = 0x160;
const CC_POLICY_AUTHORIZE = 0x16a;
const CC_POLICY_AUTHORIZE_NV = 0x192;
/** Marks a timeout that a TPM Reset ends. */
const EXPIRES_ON_RESET = 1n << 63n;
const Tpm2bPolicyRef = Tpm2bNonce;

export function policySessionAt(tpm: TpmCursor, handle: number): Session {
  const session = tpm.state.ram.sessions.get(handle);
  if (session === undefined)
    throw new RangeError('a policy session that is not loaded passed the handle check');
  return session;
}

/** Time at which an authorization ends; 0 for never. */
function authTimeout(tpm: TpmCursor, session: Session, expiration: number, nonce: Uint8Array): bigint {
  if (expiration === 0) return 0n;
  const ms = BigInt(Math.abs(expiration)) * 1000n;
  return nonce.length === 0 ? ms + (tpm.state.clock.time % 1000n) : session.startTime + ms;
}

interface Blame {
  readonly nonce: number;
  readonly cpHash: number;
  readonly expiration: number;
}

/** Checks that signed, secret and ticket share; a response code or 0. */
function parameterChecks(
  tpm: TpmCursor,
  session: Session,
  timeout: bigint,
  cpHashA: Uint8Array,
  nonce: Uint8Array,
  blame: Blame,
): number {
  if (nonce.length !== 0 && !equalBytes(nonce, session.nonceTpm)) {
    return rc.rcParameter(blame.nonce, rc.TPM_RC_NONCE);
  }
  const { time, epoch } = tpm.state.clock;
  if (timeout !== 0n && (timeout < time || session.epoch !== epoch)) {
    return rc.rcParameter(blame.expiration, rc.TPM_RC_EXPIRED);
  }
  if (cpHashA.length === 0) return 0;
  if (cpHashA.length !== session.policyDigest.length) return rc.rcParameter(blame.cpHash, rc.TPM_RC_SIZE);
  return session.cpHash.length !== 0 && !equalBytes(cpHashA, session.cpHash) ? rc.TPM_RC_CPHASH : 0;
}

/** @tcg Part 3, 23.2.3 Policy Digest Update Function (PolicyUpdate) */
function contextUpdate(
  tpm: TpmCursor,
  session: Session,
  commandCode: number,
  name: Uint8Array,
  policyRef: Uint8Array | null,
  cpHashA: Uint8Array,
  timeout: bigint,
): void {
  let policyDigest = policyExtend(session, commandCode, name);
  if (policyRef !== null) {
    policyDigest = crypto().hash(hashName(session.authHash), concat(policyDigest, policyRef));
  }
  const sooner = timeout !== 0n && (session.timeout === 0n || session.timeout > timeout);
  setSession(tpm, session, {
    policyDigest,
    ...(cpHashA.length === 0 ? {} : { cpHash: cpHashA, cpHashKind: 'cpHash' as const }),
    ...(sooner ? { timeout } : {}),
  });
}

interface TicketOutput {
  readonly timeout: Uint8Array;
  readonly policyTicket: Ticket;
}

/** Timeout and ticket of an authorization that asked for one by a negative expiration. */
function ticketFor(
  tpm: TpmCursor,
  tag: number,
  entity: number,
  timeout: bigint,
  nonce: Uint8Array,
  cpHashA: Uint8Array,
  policyRef: Uint8Array,
): TicketOutput {
  const onReset = nonce.length === 0;
  const hierarchy = entityHierarchy(tpm, entity);
  const name = entityName(tpm, entity);
  const policyTicket = authTicket(tpm, tag, hierarchy, timeout, onReset, cpHashA, policyRef, name);
  return { timeout: be64(onReset ? timeout | EXPIRES_ON_RESET : timeout), policyTicket };
}

const signedNumber = (value: number): number => value | 0;

/** @tcg Part 3, 23.3 TPM2_PolicySigned */
export const policySigned = command({
  code: CC_POLICY_SIGNED,
  name: 'PolicySigned',
  handles: { authObject: reference(TpmiDhObject), policySession: reference(TpmiShPolicy) },
  parameters: {
    nonceTPM: Tpm2bNonce,
    cpHashA: Tpm2bDigest,
    policyRef: Tpm2bPolicyRef,
    expiration: Uint32,
    auth: TpmtSignature,
  },
  response: { timeout: Tpm2bTimeout, policyTicket: TpmtTkAuth },
  run(tpm, { authObject, policySession, nonceTPM, cpHashA, policyRef, expiration, auth }) {
    const session = policySessionAt(tpm, policySession);
    const seconds = signedNumber(expiration);
    let timeout = 0n;
    if (!session.isTrial) {
      timeout = authTimeout(tpm, session, seconds, nonceTPM);
      const blame = { nonce: 1, cpHash: 2, expiration: 4 };
      const refused = parameterChecks(tpm, session, timeout, cpHashA, nonceTPM, blame);
      if (refused !== 0) return refused;
      const key = keyAt(tpm, authObject);
      if (key === undefined || auth.sigAlg === c.TPM_ALG_ECDAA) return rc.rcParameter(5, rc.TPM_RC_SCHEME);
      const signed = concat(nonceTPM, be32(expiration), cpHashA, policyRef);
      const bad = verifyDigest(key, crypto().hash(hashName(auth.hashAlg), signed), auth);
      if (bad !== 0) return rc.rcParameter(5, bad);
    }
    const name = entityName(tpm, authObject);
    contextUpdate(tpm, session, CC_POLICY_SIGNED, name, policyRef, cpHashA, timeout);
    if (seconds >= 0 || session.isTrial) {
      return { timeout: EMPTY, policyTicket: nullTicket(c.TPM_ST_AUTH_SIGNED) };
    }
    return { ...ticketFor(tpm, c.TPM_ST_AUTH_SIGNED, authObject, timeout, nonceTPM, cpHashA, policyRef) };
  },
});

function isPinPass(tpm: TpmCursor, handle: number): boolean {
  const index = nvIndexAt(tpm, handle);
  return index !== undefined && c.nvType(index.public.attributes) === c.TPM_NT_PIN_PASS;
}

/** @tcg Part 3, 23.4 TPM2_PolicySecret */
export const policySecret = command({
  code: CC_POLICY_SECRET,
  name: 'PolicySecret',
  handles: { authHandle: user(TpmiDhEntity), policySession: reference(TpmiShPolicy) },
  parameters: {
    nonceTPM: Tpm2bNonce,
    cpHashA: Tpm2bDigest,
    policyRef: Tpm2bPolicyRef,
    expiration: Uint32,
  },
  response: { timeout: Tpm2bTimeout, policyTicket: TpmtTkAuth },
  run(tpm, { authHandle, policySession, nonceTPM, cpHashA, policyRef, expiration }) {
    const session = policySessionAt(tpm, policySession);
    const seconds = signedNumber(expiration);
    let timeout = 0n;
    if (!session.isTrial) {
      timeout = authTimeout(tpm, session, seconds, nonceTPM);
      const blame = { nonce: 1, cpHash: 2, expiration: 4 };
      const refused = parameterChecks(tpm, session, timeout, cpHashA, nonceTPM, blame);
      if (refused !== 0) return refused;
    }
    const name = entityName(tpm, authHandle);
    contextUpdate(tpm, session, CC_POLICY_SECRET, name, policyRef, cpHashA, timeout);
    if (seconds >= 0 || session.isTrial || isPinPass(tpm, authHandle)) {
      return { timeout: EMPTY, policyTicket: nullTicket(c.TPM_ST_AUTH_SECRET) };
    }
    return { ...ticketFor(tpm, c.TPM_ST_AUTH_SECRET, authHandle, timeout, nonceTPM, cpHashA, policyRef) };
  },
});

/** @tcg Part 3, 23.5 TPM2_PolicyTicket */
export const policyTicket = command({
  code: 0x172,
  name: 'PolicyTicket',
  handles: { policySession: reference(TpmiShPolicy) },
  parameters: {
    timeout: Tpm2bTimeout,
    cpHashA: Tpm2bDigest,
    policyRef: Tpm2bPolicyRef,
    authName: Tpm2bName,
    ticket: TpmtTkAuth,
  },
  response: {},
  run(tpm, { policySession, timeout, cpHashA, policyRef, authName, ticket }) {
    const session = policySessionAt(tpm, policySession);
    if (session.isTrial) return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    if (timeout.length !== 8) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const stated = new DataView(timeout.buffer, timeout.byteOffset).getBigUint64(0);
    const onReset = (stated & EXPIRES_ON_RESET) !== 0n;
    const ends = stated & ~EXPIRES_ON_RESET;
    const blame = { nonce: 0, cpHash: 2, expiration: 1 };
    const refused = parameterChecks(tpm, session, ends, cpHashA, EMPTY, blame);
    if (refused !== 0) return refused;
    const { tag, hierarchy } = ticket;
    const expected = authTicket(tpm, tag, hierarchy, ends, onReset, cpHashA, policyRef, authName);
    if (!equalBytes(expected.digest, ticket.digest)) return rc.rcParameter(5, rc.TPM_RC_TICKET);
    const code = tag === c.TPM_ST_AUTH_SIGNED ? CC_POLICY_SIGNED : CC_POLICY_SECRET;
    contextUpdate(tpm, session, code, authName, policyRef, cpHashA, ends);
    return {};
  },
});

/** Replaces the policy by one that stands for everything its authority approves. */
function authorizePolicy(
  tpm: TpmCursor,
  session: Session,
  code: number,
  name: Uint8Array,
  ref: Uint8Array | null,
): void {
  const cleared = { ...session, policyDigest: emptyPolicyDigest(session.authHash) };
  contextUpdate(tpm, cleared, code, name, ref, EMPTY, 0n);
}

/** @tcg Part 3, 23.16 TPM2_PolicyAuthorize */
export const policyAuthorize = command({
  code: CC_POLICY_AUTHORIZE,
  name: 'PolicyAuthorize',
  handles: { policySession: reference(TpmiShPolicy) },
  parameters: {
    approvedPolicy: Tpm2bDigest,
    policyRef: Tpm2bPolicyRef,
    keySign: Tpm2bName,
    checkTicket: TpmtTkVerified,
  },
  response: {},
  run(tpm, { policySession, approvedPolicy, policyRef, keySign, checkTicket }) {
    const session = policySessionAt(tpm, policySession);
    const alg = keySign.length < 2 ? 0 : ((keySign[0] as number) << 8) | (keySign[1] as number);
    if (!isHashAlg(alg)) return rc.rcParameter(3, rc.TPM_RC_HASH);
    if (keySign.length - 2 !== hashSize(alg)) return rc.rcParameter(3, rc.TPM_RC_SIZE);
    if (!session.isTrial) {
      if (!equalBytes(session.policyDigest, approvedPolicy)) return rc.rcParameter(1, rc.TPM_RC_VALUE);
      const aHash = crypto().hash(hashName(alg), concat(approvedPolicy, policyRef));
      const expected = verifiedTicket(tpm, checkTicket.hierarchy, aHash, keySign);
      if (!equalBytes(expected.digest, checkTicket.digest)) return rc.rcParameter(4, rc.TPM_RC_VALUE);
    }
    authorizePolicy(tpm, session, CC_POLICY_AUTHORIZE, keySign, policyRef);
    return {};
  },
});

/** @tcg Part 3, 23.22 TPM2_PolicyAuthorizeNV */
export const policyAuthorizeNv = command({
  code: CC_POLICY_AUTHORIZE_NV,
  name: 'PolicyAuthorizeNV',
  handles: {
    authHandle: user(TpmiRhNvAuth),
    nvIndex: reference(TpmiRhNvIndex),
    policySession: reference(TpmiShPolicy),
  },
  parameters: {},
  response: {},
  run(tpm, { authHandle, nvIndex, policySession }) {
    const session = policySessionAt(tpm, policySession);
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined) return rc.rcHandle(2, rc.TPM_RC_HANDLE);
    if (!session.isTrial) {
      const refused = readAccess(authHandle, nvIndex, index.public.attributes);
      if (refused !== 0) return refused;
      const r = new Unmarshaller(index.data);
      const policy = TpmtHa.read(r);
      if (r.rc !== 0) return r.rc;
      if (policy.hashAlg !== session.authHash) return rc.TPM_RC_HASH;
      if (!equalBytes(policy.digest, session.policyDigest)) return rc.TPM_RC_VALUE;
    }
    authorizePolicy(tpm, session, CC_POLICY_AUTHORIZE_NV, entityName(tpm, nvIndex), null);
    return {};
  },
});
