// Part 3, chapter 11: starting and restarting sessions.

import { concat, EMPTY } from '../../base/bytes.ts';
import { kdfA } from '../../crypto/kdf.ts';
import { hashName, hashSize } from '../algorithms.ts';
import { secretDecrypt } from '../asymmetric.ts';
import { boundEntityOf } from '../authorization.ts';
import { command, reference } from '../command.ts';
import * as c from '../constants.ts';
import type { TpmCursor } from '../cursor.ts';
import { entityAuthValue, isDaExempted, keyAt, nvIndexAt } from '../entity.ts';
import { isAsymmetric } from '../object.ts';
import { emptyPolicyDigest, resetPolicy, setSession } from '../policy.ts';
import * as rc from '../rc.ts';
import { newSessionSlot, startSession } from '../sessions.ts';
import type { Session } from '../state.ts';
import {
  Tpm2bEncryptedSecret,
  Tpm2bNonce,
  TpmiAlgHash,
  TpmiDhEntityNull,
  TpmiDhObjectNull,
  TpmiShPolicy,
  TpmSe,
  TpmtSymDef,
} from '../structures.ts';

/** The salt that was encrypted to `tpmKey`, or a response code. */
function saltOf(tpm: TpmCursor, tpmKey: number, encryptedSalt: Uint8Array): Uint8Array | number {
  const badSalt = rc.rcParameter(2, rc.TPM_RC_VALUE);
  if (tpmKey === c.TPM_RH_NULL) return encryptedSalt.length === 0 ? EMPTY : badSalt;
  const key = keyAt(tpm, tpmKey);
  if (key === undefined || !isAsymmetric(key.public)) return rc.rcHandle(1, rc.TPM_RC_KEY);
  if (encryptedSalt.length === 0) return badSalt;
  if (key.sensitive === null) return rc.rcHandle(1, rc.TPM_RC_HANDLE);
  if ((key.public.objectAttributes & c.TPMA_OBJECT_DECRYPT) === 0)
    return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
  const salt = secretDecrypt(key, 'SECRET', encryptedSalt);
  return typeof salt === 'number' ? badSalt : salt;
}

/** Whether an entity can be bound to: its authValue must be reachable and must not count uses. */
function canBind(tpm: TpmCursor, bind: number): boolean {
  const type = c.handleType(bind);
  if (type === c.TPM_HT_TRANSIENT || type === c.TPM_HT_PERSISTENT) {
    const key = keyAt(tpm, bind);
    return key === undefined || key.sensitive !== null;
  }
  if (type !== c.TPM_HT_NV_INDEX) return true;
  const nt = c.nvType(nvIndexAt(tpm, bind)?.public.attributes ?? 0);
  return nt !== c.TPM_NT_PIN_FAIL && nt !== c.TPM_NT_PIN_PASS;
}

/** @tcg Part 3, 11.1 TPM2_StartAuthSession */
export const startAuthSession = command({
  code: 0x176,
  name: 'StartAuthSession',
  handles: { tpmKey: reference(TpmiDhObjectNull), bind: reference(TpmiDhEntityNull) },
  parameters: {
    nonceCaller: Tpm2bNonce,
    encryptedSalt: Tpm2bEncryptedSecret,
    sessionType: TpmSe,
    symmetric: TpmtSymDef,
    authHash: TpmiAlgHash,
  },
  responseHandle: true,
  response: { nonceTPM: Tpm2bNonce },
  run(tpm, { tpmKey, bind, nonceCaller, encryptedSalt, sessionType, symmetric, authHash }) {
    if (nonceCaller.length < 16 || nonceCaller.length > hashSize(authHash)) {
      return rc.rcParameter(1, rc.TPM_RC_SIZE);
    }
    const salt = saltOf(tpm, tpmKey, encryptedSalt);
    if (typeof salt === 'number') return salt;
    if (!canBind(tpm, bind)) return rc.rcHandle(2, rc.TPM_RC_HANDLE);
    const isBlock = symmetric.algorithm === c.TPM_ALG_AES;
    if (isBlock && symmetric.mode !== c.TPM_ALG_CFB) return rc.rcParameter(4, rc.TPM_RC_MODE);
    const found = newSessionSlot(tpm);
    if (typeof found === 'number') return found;

    const bound = bind !== c.TPM_RH_NULL;
    const nonceTpm = tpm.random(nonceCaller.length);
    const isPolicy = sessionType !== c.TPM_SE_HMAC;
    const secret = concat(bound ? entityAuthValue(tpm, bind) : EMPTY, salt);
    const hasKey = bound || salt.length > 0;
    const bits = hashSize(authHash) * 8;
    const sessionKey = hasKey ? kdfA(hashName(authHash), secret, 'ATH', nonceTpm, nonceCaller, bits) : EMPTY;
    const handle = (isPolicy ? c.POLICY_SESSION_FIRST : c.HMAC_SESSION_FIRST) + found.slot;
    const session: Session = {
      handle,
      isPolicy,
      isTrial: sessionType === c.TPM_SE_TRIAL,
      authHash,
      symmetric,
      sessionKey,
      nonceTpm,
      boundEntity: bound && !isPolicy ? boundEntityOf(tpm, bind) : null,
      isDaBound: bound && !isPolicy && !isDaExempted(tpm, bind),
      isLockoutBound: bind === c.TPM_RH_LOCKOUT && !isPolicy,
      isAudit: false,
      auditDigest: EMPTY,
      policyDigest: emptyPolicyDigest(authHash),
      commandCode: 0,
      locality: 0,
      isPpRequired: false,
      isAuthValueNeeded: false,
      isPasswordNeeded: false,
      cpHash: EMPTY,
      cpHashKind: 'none',
      checkNvWritten: false,
      nvWrittenState: false,
      pcrCounter: 0,
      timeout: 0n,
      startTime: tpm.state.clock.time,
      epoch: tpm.state.clock.epoch,
    };
    startSession(tpm, session);
    return { handle, nonceTPM: nonceTpm };
  },
});

/** @tcg Part 3, 11.2 TPM2_PolicyRestart */
export const policyRestart = command({
  code: 0x180,
  name: 'PolicyRestart',
  handles: { sessionHandle: reference(TpmiShPolicy) },
  parameters: {},
  response: {},
  run(tpm, { sessionHandle }) {
    const session = tpm.state.ram.sessions.get(sessionHandle);
    if (session === undefined) return rc.TPM_RC_REFERENCE_H0;
    const { startTime, epoch } = session;
    setSession(tpm, session, { ...resetPolicy(tpm, session), startTime, epoch });
    return {};
  },
});
