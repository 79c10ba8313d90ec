// What policy sessions have in common: the digest's start and extension, resetting, time-outs.

import { concat, EMPTY } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName, hashSize } from './algorithms.ts';
import type { TpmCursor } from './cursor.ts';
import { be32 } from './marshal.ts';
import type { Session } from './state.ts';

/** policyDigest of a session to which nothing was asserted yet. */
export function emptyPolicyDigest(alg: number): Uint8Array {
  return new Uint8Array(hashSize(alg));
}

/** A policy session as it was when it started. @tcg Part 3, 23.18 TPM2_PolicyRestart */
export function resetPolicy(tpm: TpmCursor, session: Session): Session {
  return {
    ...session,
    policyDigest: emptyPolicyDigest(session.authHash),
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
}

/** H(policyDigest || commandCode || parts...). */
export function policyExtend(
  session: Session,
  commandCode: number,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  const data = concat(session.policyDigest, be32(commandCode), ...parts);
  return crypto().hash(hashName(session.authHash), data);
}

/** Puts a session with changed members back. */
export function setSession(tpm: TpmCursor, session: Session, change: Partial<Session>): void {
  tpm.setRam({ sessions: tpm.state.ram.sessions.set(session.handle, { ...session, ...change }) });
}
