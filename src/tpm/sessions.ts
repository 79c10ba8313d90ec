// The table of authorization sessions: handles, slots, saved contexts. Each move (start, save, load, flush)
// is an event of session.machine.ts; what is not a move of the machine cannot happen.

import { assert } from '../base/assert.ts';
import { step } from '../base/table.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import * as rc from './rc.ts';
import { type SessionEvent, type SessionLife, sessionTable } from './session.machine.ts';
import type { Session } from './state.ts';

/** Numbers of contexts that the TPM can tell apart: TPM_PT_CONTEXT_GAP_MAX and one. */
const CONTEXT_NUMBERS = 0x10000n;

/** HMAC and policy sessions share their numbers. */
const slotOf = (handle: number): number => handle & 0xffffff;

function loadedWithSlot(tpm: TpmCursor, slot: number): Session | undefined {
  return (
    tpm.state.ram.sessions.get(c.HMAC_SESSION_FIRST + slot) ??
    tpm.state.ram.sessions.get(c.POLICY_SESSION_FIRST + slot)
  );
}

export function sessionLife(tpm: TpmCursor, handle: number): SessionLife {
  if (loadedWithSlot(tpm, slotOf(handle)) !== undefined) return 'loaded';
  return tpm.state.reset.savedSessions.has(slotOf(handle)) ? 'saved' : 'absent';
}

/** Whether the slot of a handle is loaded, but as the other kind of session. */
export function isOtherKind(tpm: TpmCursor, handle: number): boolean {
  const session = loadedWithSlot(tpm, slotOf(handle));
  return session !== undefined && session.handle !== handle;
}

function moved(tpm: TpmCursor, handle: number, event: SessionEvent, to: SessionLife): void {
  const from = sessionLife(tpm, handle);
  assert(step(sessionTable, from, event) === to, `session ${handle}: ${event} in ${from}`);
  tpm.emit('tpm.session', { handle, event, from, to });
}

/** Only the low bits of a context's number are kept: the newest may not meet the oldest. */
function contextGap(tpm: TpmCursor): boolean {
  const { savedSessions, contextCounter } = tpm.state.reset;
  for (const saved of savedSessions.values()) {
    if (contextCounter - saved.contextId >= CONTEXT_NUMBERS) return true;
  }
  return false;
}

/** @tcg Part 1, 30.5 Session Context Counter: the numbers of loaded sessions are jumped over */
function nextContextId(tpm: TpmCursor): bigint {
  const contextId = tpm.state.reset.contextCounter;
  const next = contextId + 1n;
  const jump = next % CONTEXT_NUMBERS === 0n ? BigInt(tpm.state.config.sessionSlots) + 1n : 0n;
  tpm.setReset({ contextCounter: next + jump });
  return contextId;
}

/** Handle number for a new session, or the response code when there is no room. */
export function newSessionSlot(tpm: TpmCursor): { readonly slot: number } | number {
  const { ram, reset, config } = tpm.state;
  if (ram.sessions.size >= config.sessionSlots) return rc.TPM_RC_SESSION_MEMORY;
  if (contextGap(tpm)) return rc.TPM_RC_CONTEXT_GAP;
  for (let slot = 0; slot < c.MAX_ACTIVE_SESSIONS; slot++) {
    if (loadedWithSlot(tpm, slot) === undefined && !reset.savedSessions.has(slot)) return { slot };
  }
  return rc.TPM_RC_SESSION_HANDLES;
}

/** @tcg Part 1, 19.6.3 Session handles and contexts */
export function startSession(tpm: TpmCursor, session: Session): void {
  moved(tpm, session.handle, 'START', 'loaded');
  tpm.setRam({ sessions: tpm.state.ram.sessions.set(session.handle, session) });
}

/** Takes a session out of memory; returns the number of its context. */
export function saveSession(tpm: TpmCursor, handle: number): bigint | number {
  if (contextGap(tpm)) return rc.TPM_RC_CONTEXT_GAP;
  moved(tpm, handle, 'SAVE', 'saved');
  const contextId = nextContextId(tpm);
  tpm.setRam({ sessions: tpm.state.ram.sessions.delete(handle) });
  tpm.setReset({ savedSessions: tpm.state.reset.savedSessions.set(slotOf(handle), { contextId }) });
  return contextId;
}

/** Whether a context is the newest one of a saved session. */
export function isNewestContext(tpm: TpmCursor, handle: number, sequence: bigint): boolean {
  return tpm.state.reset.savedSessions.get(slotOf(handle))?.contextId === sequence;
}

export function loadSession(tpm: TpmCursor, session: Session): number {
  if (tpm.state.ram.sessions.size >= tpm.state.config.sessionSlots) return rc.TPM_RC_SESSION_MEMORY;
  moved(tpm, session.handle, 'LOAD', 'loaded');
  tpm.setReset({ savedSessions: tpm.state.reset.savedSessions.delete(slotOf(session.handle)) });
  tpm.setRam({ sessions: tpm.state.ram.sessions.set(session.handle, session) });
  return 0;
}

/** Forgets a loaded or saved session; false when there is none. */
export function flushSession(tpm: TpmCursor, handle: number): boolean {
  const loaded = loadedWithSlot(tpm, slotOf(handle));
  if (sessionLife(tpm, handle) === 'absent') return false;
  moved(tpm, handle, 'FLUSH', 'absent');
  if (loaded !== undefined) tpm.setRam({ sessions: tpm.state.ram.sessions.delete(loaded.handle) });
  tpm.setReset({ savedSessions: tpm.state.reset.savedSessions.delete(slotOf(handle)) });
  if (tpm.state.ram.exclusiveAuditSession === handle) {
    tpm.setRam({ exclusiveAuditSession: c.TPM_RH_UNASSIGNED });
  }
  return true;
}
