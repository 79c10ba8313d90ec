// Part 3, chapter 17: hash, MAC and event sequences. A sequence keeps its data and is computed at its end.

import { concat, EMPTY } from '../../base/bytes.ts';
import { crypto } from '../../crypto/provider.ts';
import { HASH_ALGS, hashName } from '../algorithms.ts';
import { command, user } from '../command.ts';
import * as c from '../constants.ts';
import type { TpmCursor } from '../cursor.ts';
import { keyAt, objectAt } from '../entity.ts';
import { freeSlot, putObject } from '../object.ts';
import { extendPcr, pcrAttributes } from '../pcr.ts';
import * as rc from '../rc.ts';
import type { SequenceObject } from '../state.ts';
import {
  Tpm2bAuth,
  Tpm2bDigest,
  Tpm2bMaxBuffer,
  TpmiAlgHashNull,
  TpmiDhObject,
  TpmiDhPcrNull,
  TpmiRhHierarchy,
  TpmlDigestValues,
} from '../structures.ts';
import { TpmtTkHashcheck } from '../structures-attest.ts';
import { hashTicket, isTicketSafe, macOf, selectMac, TpmiAlgMacScheme } from './symmetric.ts';

function newSequence(tpm: TpmCursor, sequence: Omit<SequenceObject, 'kind' | 'chunks' | 'ticketSafe'>) {
  const handle = freeSlot(tpm);
  if (handle === null) return rc.TPM_RC_OBJECT_MEMORY;
  putObject(tpm, handle, { kind: 'sequence', ...sequence, chunks: [], ticketSafe: null });
  return { handle };
}

/** @tcg Part 3, 17.2 TPM2_HMAC_Start, 17.3 TPM2_MAC_Start: one command code */
export const macStart = command({
  code: 0x15b,
  name: 'MAC_Start',
  handles: { handle: user(TpmiDhObject) },
  parameters: { auth: Tpm2bAuth, inScheme: TpmiAlgMacScheme },
  responseHandle: true,
  response: {},
  run(tpm, { handle, auth, inScheme }) {
    const key = keyAt(tpm, handle);
    const selected = selectMac(key, inScheme);
    if (typeof selected === 'number') return selected;
    const secret = key?.sensitive?.sensitive ?? EMPTY;
    return newSequence(tpm, { sequence: 'hmac', auth, hashAlgs: [selected.alg], key: secret });
  },
});

/** @tcg Part 3, 17.4 TPM2_HashSequenceStart */
export const hashSequenceStart = command({
  code: 0x186,
  name: 'HashSequenceStart',
  handles: {},
  parameters: { auth: Tpm2bAuth, hashAlg: TpmiAlgHashNull },
  responseHandle: true,
  response: {},
  run(tpm, { auth, hashAlg }) {
    const isEvent = hashAlg === c.TPM_ALG_NULL;
    const hashAlgs = isEvent ? HASH_ALGS : [hashAlg];
    return newSequence(tpm, { sequence: isEvent ? 'event' : 'hash', auth, hashAlgs, key: EMPTY });
  },
});

function sequenceAt(tpm: TpmCursor, handle: number): SequenceObject | null {
  const object = objectAt(tpm, handle);
  return object?.kind === 'sequence' ? object : null;
}

/** @tcg Part 3, 17.5 TPM2_SequenceUpdate */
export const sequenceUpdate = command({
  code: 0x15c,
  name: 'SequenceUpdate',
  handles: { sequenceHandle: user(TpmiDhObject) },
  parameters: { buffer: Tpm2bMaxBuffer },
  response: {},
  run(tpm, { sequenceHandle, buffer }) {
    const sequence = sequenceAt(tpm, sequenceHandle);
    // The reference blames parameter 1 here, where Part 3 names the handle.
    if (sequence === null) return rc.rcParameter(1, rc.TPM_RC_MODE);
    putObject(tpm, sequenceHandle, {
      ...sequence,
      chunks: [...sequence.chunks, buffer],
      ticketSafe: sequence.ticketSafe ?? isTicketSafe(buffer),
    });
    return {};
  },
});

/** @tcg Part 3, 17.6 TPM2_SequenceComplete */
export const sequenceComplete = command({
  code: 0x13e,
  name: 'SequenceComplete',
  handles: { sequenceHandle: user(TpmiDhObject) },
  parameters: { buffer: Tpm2bMaxBuffer, hierarchy: TpmiRhHierarchy },
  response: { result: Tpm2bDigest, validation: TpmtTkHashcheck },
  flushed: true,
  run(tpm, { sequenceHandle, buffer, hierarchy }, info) {
    const sequence = sequenceAt(tpm, sequenceHandle);
    const alg = sequence?.hashAlgs[0];
    if (sequence === null || sequence.sequence === 'event' || alg === undefined) {
      return rc.rcHandle(1, rc.TPM_RC_MODE);
    }
    const data = concat(...sequence.chunks, buffer);
    info.flushAfter(sequenceHandle);
    if (sequence.sequence === 'hmac') {
      const result = macOf(alg, sequence.key, data);
      return { result, validation: hashTicket(tpm, c.TPM_RH_NULL, false, alg, result) };
    }
    const result = crypto().hash(hashName(alg), data);
    const safe = sequence.ticketSafe ?? isTicketSafe(buffer);
    return { result, validation: hashTicket(tpm, hierarchy, safe, alg, result) };
  },
});

/** @tcg Part 3, 17.7 TPM2_EventSequenceComplete */
export const eventSequenceComplete = command({
  code: 0x185,
  name: 'EventSequenceComplete',
  handles: { pcrHandle: user(TpmiDhPcrNull), sequenceHandle: user(TpmiDhObject) },
  parameters: { buffer: Tpm2bMaxBuffer },
  response: { results: TpmlDigestValues },
  nv: true,
  flushed: true,
  run(tpm, { pcrHandle, sequenceHandle, buffer }, info) {
    const sequence = sequenceAt(tpm, sequenceHandle);
    if (sequence === null || sequence.sequence !== 'event') return rc.rcHandle(2, rc.TPM_RC_MODE);
    if (pcrHandle !== c.TPM_RH_NULL) {
      const allowed = pcrAttributes(pcrHandle).extendLocality;
      if (((allowed >>> info.locality) & 1) === 0) {
        tpm.emit('tpm.pcr', { pcr: pcrHandle, locality: info.locality }, 'tpm.pcr_locality');
        return rc.TPM_RC_LOCALITY;
      }
    }
    const data = concat(...sequence.chunks, buffer);
    const results = HASH_ALGS.map((hashAlg) => ({
      hashAlg,
      digest: crypto().hash(hashName(hashAlg), data),
    }));
    if (pcrHandle !== c.TPM_RH_NULL) extendPcr(tpm, pcrHandle, results);
    info.flushAfter(sequenceHandle);
    return { results };
  },
});
