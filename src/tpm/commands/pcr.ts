// Part 3, chapter 22: platform configuration registers.

import { crypto } from '../../crypto/provider.ts';
import { HASH_ALGS, hashName, hashSize, isHashAlg } from '../algorithms.ts';
import { command, user } from '../command.ts';
import * as c from '../constants.ts';
import type { TpmCursor } from '../cursor.ts';
import { Uint32 } from '../marshal.ts';
import {
  extendPcr,
  filterSelection,
  isGuardedPcr,
  isSelected,
  pcrAttributes,
  pcrValue,
  selectBits,
  setPcr,
} from '../pcr.ts';
import * as rc from '../rc.ts';
import {
  Tpm2bAuth,
  Tpm2bDigest,
  Tpm2bEvent,
  TpmiAlgHashNull,
  TpmiDhPcr,
  TpmiDhPcrNull,
  TpmiRhPlatform,
  TpmiYesNo,
  TpmlDigest,
  TpmlDigestValues,
  TpmlPcrSelection,
} from '../structures.ts';

const READ_MAX = 8;

function localityRefusal(tpm: TpmCursor, allowed: number, pcr: number, locality: number): number {
  if (((allowed >>> locality) & 1) === 1) return 0;
  tpm.emit('tpm.pcr', { pcr, locality }, 'tpm.pcr_locality');
  return rc.TPM_RC_LOCALITY;
}

/** @tcg Part 3, 22.2 TPM2_PCR_Extend */
export const pcrExtend = command({
  code: 0x182,
  name: 'PCR_Extend',
  handles: { pcrHandle: user(TpmiDhPcrNull) },
  parameters: { digests: TpmlDigestValues },
  response: {},
  nv: true,
  selfTelling: true,
  run(tpm, { pcrHandle, digests }, { locality }) {
    if (pcrHandle === c.TPM_RH_NULL) return {};
    const refused = localityRefusal(tpm, pcrAttributes(pcrHandle).extendLocality, pcrHandle, locality);
    if (refused !== 0) return refused;
    extendPcr(tpm, pcrHandle, digests);
    return {};
  },
});

/** @tcg Part 3, 22.3 TPM2_PCR_Event */
export const pcrEvent = command({
  code: 0x13c,
  name: 'PCR_Event',
  handles: { pcrHandle: user(TpmiDhPcrNull) },
  parameters: { eventData: Tpm2bEvent },
  response: { digests: TpmlDigestValues },
  nv: true,
  run(tpm, { pcrHandle, eventData }, { locality }) {
    if (pcrHandle !== c.TPM_RH_NULL) {
      const refused = localityRefusal(tpm, pcrAttributes(pcrHandle).extendLocality, pcrHandle, locality);
      if (refused !== 0) return refused;
    }
    const digests = HASH_ALGS.map((hashAlg) => ({
      hashAlg,
      digest: crypto().hash(hashName(hashAlg), eventData),
    }));
    if (pcrHandle !== c.TPM_RH_NULL) extendPcr(tpm, pcrHandle, digests);
    return { digests };
  },
});

/** @tcg Part 3, 22.4 TPM2_PCR_Read */
export const pcrRead = command({
  code: 0x17e,
  name: 'PCR_Read',
  handles: {},
  parameters: { pcrSelectionIn: TpmlPcrSelection },
  response: { pcrUpdateCounter: Uint32, pcrSelectionOut: TpmlPcrSelection, pcrValues: TpmlDigest },
  run(tpm, { pcrSelectionIn }) {
    const pcrValues: Uint8Array[] = [];
    const pcrSelectionOut = filterSelection(tpm, pcrSelectionIn).map((s) => {
      const read: number[] = [];
      for (let pcr = 0; pcr < c.IMPLEMENTATION_PCR && pcrValues.length < READ_MAX; pcr++) {
        const value = isSelected(s.pcrSelect, pcr) ? pcrValue(tpm, s.hash, pcr) : null;
        if (value === null) continue;
        read.push(pcr);
        pcrValues.push(value);
      }
      return { hash: s.hash, pcrSelect: selectBits(read) };
    });
    return { pcrUpdateCounter: tpm.state.reset.pcrCounter, pcrSelectionOut, pcrValues };
  },
});

/** @tcg Part 3, 22.5 TPM2_PCR_Allocate */
export const pcrAllocate = command({
  code: 0x12b,
  name: 'PCR_Allocate',
  handles: { authHandle: user(TpmiRhPlatform) },
  parameters: { pcrAllocation: TpmlPcrSelection },
  response: { allocationSuccess: TpmiYesNo, maxPCR: Uint32, sizeNeeded: Uint32, sizeAvailable: Uint32 },
  nv: true,
  pp: 'command',
  run(tpm, { pcrAllocation }) {
    // Banks that the caller does not name keep their registers; of two entries for a bank the last counts.
    const allocated = tpm.state.nv.pcrAllocated.map(
      (old) => pcrAllocation.findLast((s) => s.hash === old.hash) ?? old,
    );
    let sizeNeeded = 0;
    for (const s of allocated) {
      for (let pcr = 0; pcr < c.IMPLEMENTATION_PCR; pcr++) {
        if (isSelected(s.pcrSelect, pcr)) sizeNeeded += hashSize(s.hash);
      }
    }
    const hasDrtm = allocated.some((s) => isSelected(s.pcrSelect, 17));
    const hasHcrtm = allocated.some((s) => isSelected(s.pcrSelect, 0));
    if (!hasDrtm || !hasHcrtm) return rc.TPM_RC_PCR;
    tpm.setNv({ pcrAllocatedNext: allocated });
    tpm.setRam({ pcrReconfigured: true });
    const sizeAvailable = HASH_ALGS.reduce((sum, alg) => sum + hashSize(alg), 0) * c.IMPLEMENTATION_PCR;
    return { allocationSuccess: 1, maxPCR: c.IMPLEMENTATION_PCR, sizeNeeded, sizeAvailable };
  },
});

/** @tcg Part 3, 22.6 TPM2_PCR_SetAuthPolicy */
export const pcrSetAuthPolicy = command({
  code: 0x12c,
  name: 'PCR_SetAuthPolicy',
  handles: { authHandle: user(TpmiRhPlatform) },
  parameters: { authPolicy: Tpm2bDigest, hashAlg: TpmiAlgHashNull, pcrNum: TpmiDhPcr },
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { authPolicy, hashAlg, pcrNum }) {
    const size = isHashAlg(hashAlg) ? hashSize(hashAlg) : 0;
    if (authPolicy.length !== size) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    if (!isGuardedPcr(pcrNum)) return rc.rcParameter(3, rc.TPM_RC_VALUE);
    tpm.setNv({ pcrPolicy: { alg: hashAlg, digest: authPolicy } });
    return {};
  },
});

/** @tcg Part 3, 22.7 TPM2_PCR_SetAuthValue */
export const pcrSetAuthValue = command({
  code: 0x183,
  name: 'PCR_SetAuthValue',
  handles: { pcrHandle: user(TpmiDhPcr) },
  parameters: { auth: Tpm2bAuth },
  response: {},
  run(tpm, { pcrHandle, auth }) {
    if (!isGuardedPcr(pcrHandle)) return rc.TPM_RC_VALUE;
    tpm.setClear({ pcrAuth: auth });
    return {};
  },
});

/** @tcg Part 3, 22.8 TPM2_PCR_Reset */
export const pcrReset = command({
  code: 0x13d,
  name: 'PCR_Reset',
  handles: { pcrHandle: user(TpmiDhPcr) },
  parameters: {},
  response: {},
  nv: true,
  run(tpm, { pcrHandle }, { locality }) {
    // Locality 4 resets by _TPM_Hash_Start alone.
    const allowed = pcrAttributes(pcrHandle).resetLocality & 0x0f;
    const refused = localityRefusal(tpm, allowed, pcrHandle, locality);
    if (refused !== 0) return refused;
    setPcr(tpm, pcrHandle, (size) => new Uint8Array(size));
    tpm.emit('tpm.pcr_reset', { pcr: pcrHandle, locality });
    return {};
  },
});
