// Part 3, chapter 24: hierarchies - primary objects, enabling, policies, seeds, clearing, authorization
// values.

import { EMPTY } from '../../base/bytes.ts';
import { hashSize, isHashAlg } from '../algorithms.ts';
import { command, user } from '../command.ts';
import * as c from '../constants.ts';
import { createObject, creationData, primarySource } from '../create.ts';
import type { TpmCursor } from '../cursor.ts';
import { hierarchySecrets, withoutTrailingZeros } from '../entity.ts';
import { settleLockout } from '../lockout.ts';
import { NO_POLICY, NO_SECRETS, SEED_SIZE } from '../manufacture.ts';
import { be32 } from '../marshal.ts';
import { deleteHierarchyNv } from '../nv.ts';
import { adjustedAuth, createChecks, flushHierarchy, freeSlot, loadedObject, putObject } from '../object.ts';
import * as rc from '../rc.ts';
import type { HierarchySecrets } from '../state.ts';
import {
  Tpm2bAuth,
  Tpm2bData,
  Tpm2bDigest,
  Tpm2bName,
  TpmiAlgHashNull,
  TpmiRhBaseHierarchy,
  TpmiRhClear,
  TpmiRhEnables,
  TpmiRhHierarchy,
  TpmiRhHierarchyAuth,
  TpmiRhHierarchyPolicy,
  TpmiRhPlatform,
  TpmiYesNo,
  TpmlPcrSelection,
} from '../structures.ts';
import { Tpm2bCreationData, TpmtTkCreation } from '../structures-attest.ts';
import { Tpm2bPublic, Tpm2bSensitiveCreate } from '../structures-object.ts';
import { creationTicket } from '../tickets.ts';

/** @tcg Part 3, 24.1 TPM2_CreatePrimary */
export const createPrimary = command({
  code: 0x131,
  name: 'CreatePrimary',
  handles: { primaryHandle: user(TpmiRhHierarchy) },
  parameters: {
    inSensitive: Tpm2bSensitiveCreate,
    inPublic: Tpm2bPublic,
    outsideInfo: Tpm2bData,
    creationPCR: TpmlPcrSelection,
  },
  responseHandle: true,
  response: {
    outPublic: Tpm2bPublic,
    creationData: Tpm2bCreationData,
    creationHash: Tpm2bDigest,
    creationTicket: TpmtTkCreation,
    name: Tpm2bName,
  },
  pp: 'command',
  run(tpm, { primaryHandle, inSensitive, inPublic, outsideInfo, creationPCR }, { locality }) {
    const handle = freeSlot(tpm);
    if (handle === null) return rc.TPM_RC_OBJECT_MEMORY;
    const checked = createChecks(null, inPublic, inSensitive.data.length);
    if (checked !== 0) return rc.rcParameter(2, checked);
    const userAuth = adjustedAuth(inSensitive.userAuth, inPublic.nameAlg);
    if (userAuth === null) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const random = primarySource(tpm, primaryHandle, inPublic, inSensitive.data);
    const made = createObject(inPublic, { ...inSensitive, userAuth }, random);
    if (typeof made === 'number') return made;
    const object = loadedObject(tpm, primaryHandle, made.public, made.sensitive);
    const parentName = be32(primaryHandle);
    const alg = inPublic.nameAlg;
    const record = creationData(tpm, null, parentName, alg, creationPCR, outsideInfo, locality);
    putObject(tpm, handle, object);
    return {
      handle,
      outPublic: made.public,
      ...record,
      creationTicket: creationTicket(tpm, primaryHandle, object.name, record.creationHash),
      name: object.name,
    };
  },
});

/** Puts the authValue and policy of a hierarchy in place. */
function setSecrets(tpm: TpmCursor, handle: number, change: Partial<HierarchySecrets>): void {
  const secrets = { ...(hierarchySecrets(tpm, handle) ?? NO_SECRETS), ...change };
  if (handle === c.TPM_RH_OWNER) tpm.setNv({ owner: secrets });
  else if (handle === c.TPM_RH_ENDORSEMENT) tpm.setNv({ endorsement: secrets });
  else if (handle === c.TPM_RH_LOCKOUT) tpm.setNv({ lockout: secrets });
  else tpm.setClear({ platform: secrets });
}

/** Who may change the enable of a hierarchy; a response code or 0. */
function mayControl(tpm: TpmCursor, authHandle: number, enable: number, state: number): number {
  const { clear } = tpm.state;
  if (authHandle === c.TPM_RH_PLATFORM) return 0;
  if (enable === c.TPM_RH_OWNER && authHandle === c.TPM_RH_OWNER) {
    return !clear.shEnable && state === 1 ? rc.TPM_RC_AUTH_TYPE : 0;
  }
  if (enable === c.TPM_RH_ENDORSEMENT && authHandle === c.TPM_RH_ENDORSEMENT) {
    return !clear.ehEnable && state === 1 ? rc.TPM_RC_AUTH_TYPE : 0;
  }
  return rc.TPM_RC_AUTH_TYPE;
}

/** @tcg Part 3, 24.2 TPM2_HierarchyControl */
export const hierarchyControl = command({
  code: 0x121,
  name: 'HierarchyControl',
  handles: { authHandle: user(TpmiRhBaseHierarchy) },
  parameters: { enable: TpmiRhEnables, state: TpmiYesNo },
  response: {},
  nv: true,
  extensive: true,
  pp: 'command',
  run(tpm, { authHandle, enable, state }) {
    const refused = mayControl(tpm, authHandle, enable, state);
    if (refused !== 0) return refused;
    const on = state === 1;
    if (enable === c.TPM_RH_OWNER) tpm.setClear({ shEnable: on });
    else if (enable === c.TPM_RH_ENDORSEMENT) tpm.setClear({ ehEnable: on });
    else if (enable === c.TPM_RH_PLATFORM) tpm.setClear({ phEnable: on });
    else tpm.setClear({ phEnableNv: on });
    if (!on && enable !== c.TPM_RH_PLATFORM_NV) flushHierarchy(tpm, enable);
    return {};
  },
});

/** @tcg Part 3, 24.3 TPM2_SetPrimaryPolicy */
export const setPrimaryPolicy = command({
  code: 0x12e,
  name: 'SetPrimaryPolicy',
  handles: { authHandle: user(TpmiRhHierarchyPolicy) },
  parameters: { authPolicy: Tpm2bDigest, hashAlg: TpmiAlgHashNull },
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { authHandle, authPolicy, hashAlg }) {
    const size = isHashAlg(hashAlg) ? hashSize(hashAlg) : 0;
    if (authPolicy.length !== size) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    setSecrets(tpm, authHandle, { policy: { alg: hashAlg, digest: authPolicy } });
    return {};
  },
});

/** @tcg Part 3, 24.4 TPM2_ChangePPS */
export const changePps = command({
  code: 0x125,
  name: 'ChangePPS',
  handles: { authHandle: user(TpmiRhPlatform) },
  parameters: {},
  response: {},
  nv: true,
  extensive: true,
  pp: 'command',
  run(tpm) {
    tpm.setNv({ ppSeed: tpm.random(SEED_SIZE), phProof: tpm.random(SEED_SIZE), pcrPolicy: NO_POLICY });
    setSecrets(tpm, c.TPM_RH_PLATFORM, { policy: NO_POLICY });
    flushHierarchy(tpm, c.TPM_RH_PLATFORM);
    deleteHierarchyNv(tpm, c.TPM_RH_PLATFORM);
    return {};
  },
});

/** @tcg Part 3, 24.5 TPM2_ChangeEPS */
export const changeEps = command({
  code: 0x124,
  name: 'ChangeEPS',
  handles: { authHandle: user(TpmiRhPlatform) },
  parameters: {},
  response: {},
  nv: true,
  extensive: true,
  pp: 'command',
  run(tpm) {
    tpm.setNv({
      epSeed: tpm.random(SEED_SIZE),
      ehProof: tpm.random(SEED_SIZE),
      endorsement: NO_SECRETS,
    });
    tpm.setClear({ ehEnable: true });
    flushHierarchy(tpm, c.TPM_RH_ENDORSEMENT);
    deleteHierarchyNv(tpm, c.TPM_RH_ENDORSEMENT);
    return {};
  },
});

/** @tcg Part 3, 24.6 TPM2_Clear */
export const clear = command({
  code: 0x126,
  name: 'Clear',
  handles: { authHandle: user(TpmiRhClear) },
  parameters: {},
  response: {},
  nv: true,
  extensive: true,
  pp: 'command',
  run(tpm) {
    if (tpm.state.nv.disableClear) return rc.TPM_RC_DISABLED;
    tpm.setNv({
      spSeed: tpm.random(SEED_SIZE),
      shProof: tpm.random(SEED_SIZE),
      ehProof: tpm.random(SEED_SIZE),
      owner: NO_SECRETS,
      endorsement: NO_SECRETS,
      lockout: NO_SECRETS,
      failedTries: 0,
      maxTries: 3,
      recoveryTime: 1000,
      lockoutRecovery: 1000,
      lockoutAuthEnabled: true,
      resetCount: 0,
      auditCounter: 0n,
    });
    tpm.setClear({ shEnable: true, ehEnable: true, pcrAuth: EMPTY });
    for (const hierarchy of [c.TPM_RH_OWNER, c.TPM_RH_ENDORSEMENT]) {
      flushHierarchy(tpm, hierarchy);
      deleteHierarchyNv(tpm, hierarchy);
    }
    settleLockout(tpm);
    tpm.setClock({ clock: 0n, clockSafe: true });
    const { pcrCounter } = tpm.state.reset;
    tpm.setReset({ restartCount: 0, clearCount: 0, pcrCounter: (pcrCounter + 1) >>> 0 });
    return {};
  },
});

/** @tcg Part 3, 24.7 TPM2_ClearControl */
export const clearControl = command({
  code: 0x127,
  name: 'ClearControl',
  handles: { auth: user(TpmiRhClear) },
  parameters: { disable: TpmiYesNo },
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { auth, disable }) {
    if (auth === c.TPM_RH_LOCKOUT && disable === 0) return rc.TPM_RC_AUTH_FAIL;
    tpm.setNv({ disableClear: disable === 1 });
    return {};
  },
});

/** @tcg Part 3, 24.8 TPM2_HierarchyChangeAuth */
export const hierarchyChangeAuth = command({
  code: 0x129,
  name: 'HierarchyChangeAuth',
  handles: { authHandle: user(TpmiRhHierarchyAuth) },
  parameters: { newAuth: Tpm2bAuth },
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { authHandle, newAuth }) {
    setSecrets(tpm, authHandle, { auth: withoutTrailingZeros(newAuth) });
    return {};
  },
});
