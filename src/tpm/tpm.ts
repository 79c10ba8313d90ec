// The TPM: command bytes in, response bytes out. This file walks a command through header, handles, sessions,
// parameters, action and response as Part 3, 5 orders them; every refusal is traced with the stage that
// refused.

import { EMPTY, toHex } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { step } from '../base/table.ts';
import type { Trace } from '../base/trace.ts';
import { authorize, type CommandArea, retrieveSessions } from './authorization.ts';
import type { Command } from './command.ts';
import { COMMANDS } from './commands/registry.ts';
import * as c from './constants.ts';
import { TpmCursor } from './cursor.ts';
import { hashDataDrtm, hashEndDrtm, hashStartDrtm } from './drtm.ts';
import { entityLoadStatus } from './entity.ts';
import { selfHeal } from './lockout.ts';
import { volatileState } from './manufacture.ts';
import { be32, Unmarshaller } from './marshal.ts';
import { removeObject } from './object.ts';
import { savedStateChanged } from './orderly.ts';
import * as rc from './rc.ts';
import './reasons.ts';
import { finishSessions } from './response.ts';
import { type StartupEvent, startupTable } from './startup.machine.ts';
import { type TpmState, UNORDERLY, UNORDERLY_USED } from './state.ts';
import { TpmSt } from './structures-attest.ts';

const HEADER = 10;
const CC_STARTUP = 0x144;
const CC_GET_CAPABILITY = 0x17a;
const CC_GET_TEST_RESULT = 0x17c;

type Stage = 'frame' | 'mode' | 'handle' | 'session' | 'authorization' | 'parameters' | 'action';

/** A response without a session area: tag, size, code. */
function errorResponse(code: number): Uint8Array {
  return new Uint8Array([0x80, 0x01, 0, 0, 0, HEADER, ...be32(code)]);
}

/** The names of the command's handles and their values, and its parameters. */
type Input = { [name: string]: unknown };

export class Tpm extends TpmCursor {
  /**
   * Executes one command. Any bytes are answered; nothing throws but our own bugs.
   * @tcg Part 3, 5 Common Code for All Commands
   */
  execute(command: Uint8Array, locality = 0): Uint8Array {
    const { trace } = this.env;
    if (trace === undefined) return this.#dispatch(new Uint8Array(command), locality);
    const declared = COMMANDS.get(commandCodeOf(command));
    const name = declared === undefined ? 'unknown' : `TPM2_${declared.name}`;
    if (declared?.selfTelling === true) return this.#traceBriefly(trace, name, command, locality);
    const id = trace.open('tpm.command', { command: name, locality, request: toHex(command) });
    const response = this.#dispatch(new Uint8Array(command), locality);
    trace.emit('tpm.response', { command: name, rc: responseCodeOf(response), response: toHex(response) });
    trace.close(id);
    return response;
  }

  /**
   * For commands whose own events hold all that the frame holds: no octets in the trace unless it is
   * refused.
   */
  #traceBriefly(trace: Trace, command: string, request: Uint8Array, locality: number): Uint8Array {
    const id = trace.open('tpm.command', { command, locality });
    const response = this.#dispatch(new Uint8Array(request), locality);
    const code = responseCodeOf(response);
    if (code !== 0) trace.emit('tpm.response', { command, rc: code, request: toHex(request) });
    trace.close(id);
    return response;
  }

  #refuse(stage: Stage, code: number): Uint8Array {
    if (this.env.trace !== undefined) {
      this.emit('tpm.refused', { stage, rc: code, rcText: rc.describeRc(code) }, `tpm.${stage}`);
    }
    return errorResponse(code);
  }

  #dispatch(bytes: Uint8Array, locality: number): Uint8Array {
    this.updateTime();
    const r = new Unmarshaller(bytes, this.state.config.objectSlots);
    const tag = TpmSt.read(r);
    if (r.failed) return this.#refuse('frame', r.rc);
    if (tag !== c.TPM_ST_NO_SESSIONS && tag !== c.TPM_ST_SESSIONS)
      return this.#refuse('frame', rc.TPM_RC_BAD_TAG);
    const size = r.u32();
    if (r.failed) return this.#refuse('frame', rc.TPM_RC_INSUFFICIENT);
    if (size !== bytes.length || size > c.MAX_COMMAND_SIZE) {
      return this.#refuse('frame', rc.TPM_RC_COMMAND_SIZE);
    }
    const code = r.u32();
    if (r.failed) return this.#refuse('frame', rc.TPM_RC_INSUFFICIENT);
    const declaration = COMMANDS.get(code);
    const mode = this.#modeRefusal(code, declaration);
    if (mode !== 0 || declaration === undefined) return this.#refuse('mode', mode);
    if (this.state.ram.hashSequence !== null) this.setRam({ hashSequence: null });
    return this.#run(declaration, tag === c.TPM_ST_SESSIONS, r, locality);
  }

  #modeRefusal(code: number, declaration: Command | undefined): number {
    const { life } = this.state;
    if (life === 'failure') {
      return code === CC_GET_CAPABILITY || code === CC_GET_TEST_RESULT ? 0 : rc.TPM_RC_FAILURE;
    }
    if (declaration === undefined) return rc.TPM_RC_COMMAND_CODE;
    const started = life === 'operational' || life === 'shutdown';
    return started === (code === CC_STARTUP) ? rc.TPM_RC_INITIALIZE : 0;
  }

  #run(declaration: Command, withSessions: boolean, r: Unmarshaller, locality: number): Uint8Array {
    const before = this.state;
    const handles: number[] = [];
    const bad = this.#readHandles(declaration, r, handles);
    if (bad !== 0) return this.#refuse('handle', bad);
    const area: CommandArea = {
      declaration,
      locality,
      handles,
      parameters: EMPTY,
      sessions: [],
      decrypt: -1,
      encrypt: -1,
      audit: -1,
      cpHashes: new Map(),
    };
    if (this.state.nv.failedTries > 0 || !this.state.nv.lockoutAuthEnabled) selfHeal(this);
    const refusal = this.#readSessions(area, withSessions, r);
    if (refusal !== null) return refusal;
    const input = this.#readParameters(area);
    if (typeof input === 'number') return this.#refuse('parameters', input);

    const beforeAction = this.state;
    const flushed: number[] = [];
    const result = declaration.run(this, input, {
      locality,
      sessions: area.sessions.map((s) => s.handle),
      dropAssociation: (handle) => {
        for (const s of area.sessions) if (s.associated === handle) s.associated = c.TPM_RH_NULL;
      },
      flushAfter: (handle) => void flushed.push(handle),
    });
    if (typeof result === 'number') {
      this.state = beforeAction;
      return this.#refuse('action', result);
    }
    const response = this.#respond(area, withSessions, result);
    for (const handle of flushed) removeObject(this, handle);
    this.#noteChange(before);
    return response;
  }

  #readHandles(declaration: Command, r: Unmarshaller, handles: number[]): number {
    for (const [, spec] of declaration.handles) {
      handles.push(spec.type.read(r));
      if (r.rc !== 0) return rc.rcHandle(handles.length, r.rc);
    }
    this.borrowedSlots = 0;
    for (let i = 0; i < handles.length; i++) {
      const handle = handles[i] as number;
      if (c.handleType(handle) === c.TPM_HT_PERSISTENT) {
        // A persistent object is used through a slot of transient memory, which is taken before it is looked
        // for.
        this.borrowedSlots++;
        if (this.state.ram.objects.size + this.borrowedSlots > this.state.config.objectSlots)
          return rc.TPM_RC_OBJECT_MEMORY;
      }
      const status = entityLoadStatus(this, handle);
      if (status === rc.TPM_RC_REFERENCE_H0) return status + i;
      if (status !== 0) return rc.rcHandle(i + 1, status);
    }
    return 0;
  }

  #readSessions(area: CommandArea, withSessions: boolean, r: Unmarshaller): Uint8Array | null {
    const { declaration } = area;
    if (!withSessions) {
      area.parameters = r.rest();
      if (declaration.needsAuth) return this.#refuse('session', rc.TPM_RC_AUTH_MISSING);
      return null;
    }
    const size = r.u32();
    if (r.failed) return this.#refuse('session', rc.TPM_RC_INSUFFICIENT);
    if (size < 9 || size > r.remaining) return this.#refuse('session', rc.TPM_RC_SIZE);
    if (declaration.noSessions === true) return this.#refuse('session', rc.TPM_RC_AUTH_CONTEXT);
    const sessions = new Unmarshaller(r.take(size));
    area.parameters = r.rest();
    const malformed = retrieveSessions(this, area, sessions);
    if (malformed !== 0) return this.#refuse('session', malformed);
    const refused = authorize(this, area);
    return refused === 0 ? null : this.#refuse('authorization', refused);
  }

  #readParameters(area: CommandArea): Input | number {
    const { declaration } = area;
    const input: Input = {};
    for (let i = 0; i < area.handles.length; i++) {
      const name = declaration.handles[i]?.[0];
      if (name !== undefined) input[name] = area.handles[i];
    }
    const r = new Unmarshaller(area.parameters, this.state.config.objectSlots);
    let n = 0;
    for (const [name, codec] of declaration.parameters) {
      n++;
      input[name] = codec.read(r);
      if (r.rc !== 0) return rc.rcParameter(n, r.rc);
    }
    return r.remaining === 0 ? input : rc.TPM_RC_SIZE;
  }

  #respond(
    area: CommandArea,
    withSessions: boolean,
    result: { readonly [name: string]: unknown },
  ): Uint8Array {
    const { declaration } = area;
    const body = new Writer('be');
    for (const [name, codec] of declaration.response) codec.write(body, result[name]);
    const finished = finishSessions(this, area, body.finish());
    const { parameters, sessions } = finished;
    const handleSize = declaration.responseHandle ? 4 : 0;
    const size = HEADER + handleSize + (withSessions ? 4 : 0) + parameters.length + sessions.length;
    const w = new Writer('be');
    w.u16(withSessions ? c.TPM_ST_SESSIONS : c.TPM_ST_NO_SESSIONS)
      .u32(size)
      .u32(0);
    if (declaration.responseHandle) w.u32(result.handle as number);
    if (withSessions) w.u32(parameters.length);
    return w.bytes(parameters).bytes(sessions).finish();
  }

  /** After TPM2_Shutdown a change of state that would have been saved makes the shutdown void. */
  #noteChange(before: TpmState): void {
    if (this.state.life !== 'shutdown' || before.life !== 'shutdown') return;
    if (!savedStateChanged(before, this.state)) return;
    this.emit('tpm.shutdown_void', {}, 'tpm.state_change_after_shutdown');
    this.#move('STATE_CHANGED');
    this.setNv({ orderlyState: this.state.ram.daUsed ? UNORDERLY_USED : UNORDERLY });
  }

  #move(event: StartupEvent): void {
    const life = step(startupTable, this.state.life, event);
    if (life !== this.state.life) {
      this.emit('tpm.life', { event, from: this.state.life, to: life });
      this.state = { ...this.state, life };
    }
  }

  /** _TPM_Init: power comes on; TPM2_Startup is needed next. Harmless when already on. */
  powerOn(): void {
    if (this.state.life !== 'off') return;
    const { clock } = this.state;
    const time = { ...clock, time: 0n, seenMs: this.env.clock.uptimeMs(), epoch: (clock.epoch + 1) >>> 0 };
    this.state = { ...this.state, ram: volatileState(), clock: time, pcr: [] };
    this.#move('POWER_ON');
  }

  /** Power goes: everything that is not in NV is lost. */
  powerOff(): void {
    if (this.state.life === 'off') return;
    this.updateTime();
    this.#move('POWER_OFF');
    this.state = { ...this.state, ram: volatileState(), pcr: [] };
  }

  /** The state that a loss of power now would leave; this TPM runs on. */
  withoutPower(): TpmState {
    const running = this.state;
    this.powerOff();
    const left = this.state;
    this.state = running;
    return left;
  }

  /** Puts the TPM in failure mode, as a failed self-test does. */
  fail(why: string): void {
    this.emit('tpm.failure', { why }, 'tpm.failure_mode');
    this.#move('FAIL');
    this.setRam({ failureReason: why });
  }

  /** Physical presence signal of the platform. */
  setPhysicalPresence(asserted: boolean): void {
    this.setRam({ physicalPresence: asserted });
  }

  /** _TPM_Hash_Start, from locality 4 or before TPM2_Startup. */
  hashStart(): void {
    hashStartDrtm(this);
  }

  /** _TPM_Hash_Data */
  hashData(data: Uint8Array): void {
    hashDataDrtm(this, data);
  }

  /** _TPM_Hash_End: the digest goes to PCR 17, or to PCR 0 before TPM2_Startup. */
  hashEnd(): void {
    hashEndDrtm(this);
  }
}

/** Command code of a frame; 0 when it is too short. */
export function commandCodeOf(frame: Uint8Array): number {
  if (frame.length < HEADER) return 0;
  return new DataView(frame.buffer, frame.byteOffset).getUint32(6);
}

/** Response code of a frame. */
export function responseCodeOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(6);
}
