// Tickets: proofs by the TPM to itself that it has seen something, keyed by the proof value of a hierarchy.

import { concat, EMPTY } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { be16, be32, be64 } from './marshal.ts';
import type { Ticket } from './structures-attest.ts';

/** Hash of tickets and contexts: the largest that the TPM has. */
export const INTEGRITY_HASH = 'sha512';

/** Proof value of a hierarchy. @tcg Part 1, 14.4 Hierarchy Proofs */
export function proofOf(tpm: TpmCursor, hierarchy: number): Uint8Array {
  const { nv, reset } = tpm.state;
  if (hierarchy === c.TPM_RH_PLATFORM) return nv.phProof;
  if (hierarchy === c.TPM_RH_ENDORSEMENT) return nv.ehProof;
  if (hierarchy === c.TPM_RH_OWNER) return nv.shProof;
  return reset.nullProof;
}

function ticket(tpm: TpmCursor, tag: number, hierarchy: number, ...parts: readonly Uint8Array[]): Ticket {
  const digest = crypto().hmac(INTEGRITY_HASH, proofOf(tpm, hierarchy), concat(be16(tag), ...parts));
  return { tag, hierarchy, digest };
}

/** Ticket without a proof. */
export function nullTicket(tag: number): Ticket {
  return { tag, hierarchy: c.TPM_RH_NULL, digest: EMPTY };
}

/** @tcg Part 2, 10.7.3 TPMT_TK_CREATION */
export function creationTicket(
  tpm: TpmCursor,
  hierarchy: number,
  name: Uint8Array,
  creationHash: Uint8Array,
): Ticket {
  return ticket(tpm, c.TPM_ST_CREATION, hierarchy, name, creationHash);
}

/** @tcg Part 2, 10.7.4 TPMT_TK_VERIFIED */
export function verifiedTicket(
  tpm: TpmCursor,
  hierarchy: number,
  digest: Uint8Array,
  keyName: Uint8Array,
): Ticket {
  return ticket(tpm, c.TPM_ST_VERIFIED, hierarchy, digest, keyName);
}

/** @tcg Part 2, 10.7.6 TPMT_TK_HASHCHECK */
export function hashcheckTicket(
  tpm: TpmCursor,
  hierarchy: number,
  hashAlg: number,
  digest: Uint8Array,
): Ticket {
  return ticket(tpm, c.TPM_ST_HASHCHECK, hierarchy, be16(hashAlg), digest);
}

/** @tcg Part 2, 10.7.5 TPMT_TK_AUTH */
export function authTicket(
  tpm: TpmCursor,
  tag: number,
  hierarchy: number,
  timeout: bigint,
  expiresOnReset: boolean,
  cpHashA: Uint8Array,
  policyRef: Uint8Array,
  entityName: Uint8Array,
): Ticket {
  const { clock, nv } = tpm.state;
  const epoch = timeout === 0n ? EMPTY : be32(clock.epoch);
  const resets = expiresOnReset ? be64(nv.totalResetCount) : EMPTY;
  return ticket(tpm, tag, hierarchy, be64(timeout), epoch, resets, cpHashA, policyRef, entityName);
}
