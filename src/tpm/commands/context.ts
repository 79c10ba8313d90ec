// Part 3, chapter 28: saving, loading and flushing contexts, persistent objects.

import { command, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import {
  decodeObject,
  decodeSession,
  encodeObject,
  encodeSession,
  openContext,
  sealContext,
} from '../context.ts';
import type { TpmCursor } from '../cursor.ts';
import { hierarchyEnabled, keyAt, objectAt } from '../entity.ts';
import { be64 } from '../marshal.ts';
import { hasRoomForObject } from '../nv.ts';
import { freeSlot, putObject, removeObject } from '../object.ts';
import * as rc from '../rc.ts';
import { flushSession, isNewestContext, loadSession, saveSession } from '../sessions.ts';
import type { SequenceObject, TpmObject } from '../state.ts';
import { TpmiDhContext, TpmiDhObject, TpmiDhPersistent, TpmiRhProvision } from '../structures.ts';
import { TpmsContext } from '../structures-attest.ts';

const SAVED_OBJECT = 0x80000000;
const SAVED_SEQUENCE = 0x80000001;
const SAVED_STCLEAR = 0x80000002;

function nextObjectContext(tpm: TpmCursor): bigint {
  const sequence = tpm.state.reset.objectContextId + 1n;
  tpm.setReset({ objectContextId: sequence });
  return sequence;
}

function saveObject(tpm: TpmCursor, object: TpmObject | SequenceObject): TpmsContext {
  const sequence = nextObjectContext(tpm);
  if (object.kind === 'sequence') {
    const savedSequences = tpm.state.reset.savedSequences.set(sequence.toString(), object);
    tpm.setReset({ savedSequences });
    const head = { sequence, savedHandle: SAVED_SEQUENCE, hierarchy: c.TPM_RH_NULL };
    return { ...head, contextBlob: sealContext(tpm, head, be64(sequence)) };
  }
  const savedHandle = object.stClear ? SAVED_STCLEAR : SAVED_OBJECT;
  const head = { sequence, savedHandle, hierarchy: object.hierarchy };
  return { ...head, contextBlob: sealContext(tpm, head, encodeObject(object)) };
}

/** @tcg Part 3, 28.2 TPM2_ContextSave */
export const contextSave = command({
  code: 0x162,
  name: 'ContextSave',
  handles: { saveHandle: reference(TpmiDhContext) },
  parameters: {},
  response: { context: TpmsContext },
  noSessions: true,
  run(tpm, { saveHandle }) {
    if (c.handleType(saveHandle) === c.TPM_HT_TRANSIENT) {
      const object = objectAt(tpm, saveHandle);
      return object === undefined ? rc.TPM_RC_REFERENCE_H0 : { context: saveObject(tpm, object) };
    }
    const session = tpm.state.ram.sessions.get(saveHandle);
    if (session === undefined) return rc.TPM_RC_REFERENCE_H0;
    const sequence = saveSession(tpm, saveHandle);
    if (typeof sequence === 'number') return sequence;
    const head = { sequence, savedHandle: saveHandle, hierarchy: c.TPM_RH_NULL };
    return { context: { ...head, contextBlob: sealContext(tpm, head, encodeSession(session)) } };
  },
});

/** @tcg Part 3, 28.3 TPM2_ContextLoad */
export const contextLoad = command({
  code: 0x161,
  name: 'ContextLoad',
  handles: {},
  parameters: { context: TpmsContext },
  responseHandle: true,
  response: {},
  noSessions: true,
  run(tpm, { context }) {
    const type = c.handleType(context.savedHandle);
    const isSession = type === c.TPM_HT_HMAC_SESSION || type === c.TPM_HT_POLICY_SESSION;
    const data = openContext(tpm, context);
    if (typeof data === 'number') return data;
    if (isSession) {
      if (!isNewestContext(tpm, context.savedHandle, context.sequence)) {
        return rc.rcParameter(1, rc.TPM_RC_HANDLE);
      }
      const refused = loadSession(tpm, decodeSession(data));
      return refused === 0 ? { handle: context.savedHandle } : refused;
    }
    if (!hierarchyEnabled(tpm, context.hierarchy)) return rc.rcParameter(1, rc.TPM_RC_HIERARCHY);
    const handle = freeSlot(tpm);
    if (handle === null) return rc.TPM_RC_OBJECT_MEMORY;
    const sequence = tpm.state.reset.savedSequences.get(context.sequence.toString());
    const isSequence = context.savedHandle === SAVED_SEQUENCE && sequence !== undefined;
    putObject(tpm, handle, isSequence ? sequence : decodeObject(data));
    return { handle };
  },
});

/** @tcg Part 3, 28.4 TPM2_FlushContext */
export const flushContext = command({
  code: 0x165,
  name: 'FlushContext',
  handles: {},
  parameters: { flushHandle: TpmiDhContext },
  response: {},
  noSessions: true,
  run(tpm, { flushHandle }) {
    if (c.handleType(flushHandle) === c.TPM_HT_TRANSIENT) {
      if (!tpm.state.ram.objects.has(flushHandle)) return rc.rcParameter(1, rc.TPM_RC_HANDLE);
      removeObject(tpm, flushHandle);
      return {};
    }
    return flushSession(tpm, flushHandle) ? {} : rc.rcParameter(1, rc.TPM_RC_HANDLE);
  },
});

/** Whether the authorization fits the object and the handle; a response code or 0. */
function evictRefusal(auth: number, object: TpmObject, persistentHandle: number): number {
  const platform = object.hierarchy === c.TPM_RH_PLATFORM;
  const inPlatformRange = persistentHandle >= c.PLATFORM_PERSISTENT;
  if (auth === c.TPM_RH_PLATFORM) {
    if (object.evict !== null) return 0;
    if (!platform) return rc.rcHandle(2, rc.TPM_RC_HIERARCHY);
    return inPlatformRange ? 0 : rc.rcParameter(1, rc.TPM_RC_RANGE);
  }
  if (platform) return rc.rcHandle(2, rc.TPM_RC_HIERARCHY);
  return object.evict === null && inPlatformRange ? rc.rcParameter(1, rc.TPM_RC_RANGE) : 0;
}

/** @tcg Part 3, 28.5 TPM2_EvictControl */
export const evictControl = command({
  code: 0x120,
  name: 'EvictControl',
  handles: { auth: user(TpmiRhProvision), objectHandle: reference(TpmiDhObject) },
  parameters: { persistentHandle: TpmiDhPersistent },
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { auth, objectHandle, persistentHandle }) {
    const object = keyAt(tpm, objectHandle);
    const temporary = object === undefined || object.hierarchy === c.TPM_RH_NULL;
    if (temporary || object.stClear || object.sensitive === null) return rc.rcHandle(2, rc.TPM_RC_ATTRIBUTES);
    if (object.evict !== null && object.evict !== persistentHandle) return rc.rcHandle(2, rc.TPM_RC_HANDLE);
    const refused = evictRefusal(auth, object, persistentHandle);
    if (refused !== 0) return refused;
    const { objects } = tpm.state.nv;
    if (object.evict !== null) {
      tpm.setNv({ objects: objects.delete(object.evict) });
      return {};
    }
    if (objects.has(persistentHandle)) return rc.TPM_RC_NV_DEFINED;
    if (!hasRoomForObject(tpm)) return rc.TPM_RC_NV_SPACE;
    tpm.setNv({ objects: objects.set(persistentHandle, { ...object, evict: persistentHandle }) });
    return {};
  },
});
