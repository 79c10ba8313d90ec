// A session drives a machine with operations: each (actor, uid, euid, gid) is a process of its own that
// lives to the end and keeps named descriptors (slots) and mappings. The session is a cursor too: its
// state is a value, a fork is O(1).

import { Map as ImmutableMap } from 'immutable';
import { z } from 'zod';
import { InternalError } from '../base/assert.ts';
import type { MachineApi, Pid, SpecialSyscallApi, SyscallApi } from '../kernel/api.ts';
import { OPS } from './ops/table.ts';
import { ActorKilled, COMMON_ARGS, type OpDeclaration, type OpResult, type Value } from './ops/types.ts';

export type Sys = SyscallApi & Partial<SpecialSyscallApi>;

export interface NamedMapping {
  readonly mapping: number;
  readonly length: number;
}

export interface ActorState {
  readonly pid: Pid;
  /** Name -> file descriptor. */
  readonly slots: ImmutableMap<string, number>;
  readonly maps: ImmutableMap<string, NamedMapping>;
}

export interface SessionState {
  /** "actor:uid:euid:gid" -> its process. */
  readonly actors: ImmutableMap<string, ActorState>;
  /** Lines of the measurement list that a snapshot has shown already. */
  readonly seenLines: number;
}

export interface SessionOptions {
  /** Name of the processes (comm); default init, as the forks of /init are called. */
  readonly comm?: string;
  /** Virtual microseconds that pass with each operation; default 1000. */
  readonly opTimeUs?: number;
}

/** One operation as a case or scenario writes it. */
export interface OpInput {
  readonly op: string;
  readonly uid?: number | undefined;
  readonly euid?: number | undefined;
  readonly gid?: number | undefined;
  readonly actor?: string | undefined;
  /** Name of a program that runs and acts itself. */
  readonly program?: string | undefined;
  readonly note?: string | undefined;
  readonly [argument: string]: unknown;
}

/** A process of the session: its system calls, slots and mappings. */
export class ActorCursor {
  readonly key: string;
  readonly sys: Sys;
  readonly #session: Session;

  constructor(session: Session, key: string) {
    this.#session = session;
    this.key = key;
    this.sys = session.machine.sys(this.state.pid);
  }

  get state(): ActorState {
    const state = this.#session.state.actors.get(this.key);
    if (state === undefined) throw new InternalError(`no process for ${this.key}`);
    return state;
  }

  #set(state: ActorState): void {
    const session = this.#session;
    session.state = { ...session.state, actors: session.state.actors.set(this.key, state) };
  }

  fd(slot: string): number | undefined {
    return this.state.slots.get(slot);
  }

  setSlot(slot: string, fd: number): void {
    this.#set({ ...this.state, slots: this.state.slots.set(slot, fd) });
  }

  dropSlot(slot: string): void {
    this.#set({ ...this.state, slots: this.state.slots.delete(slot) });
  }

  map(name: string): NamedMapping | undefined {
    return this.state.maps.get(name);
  }

  setMap(name: string, mapping: NamedMapping): void {
    this.#set({ ...this.state, maps: this.state.maps.set(name, mapping) });
  }

  dropMap(name: string): void {
    this.#set({ ...this.state, maps: this.state.maps.delete(name) });
  }
}

const DECLARATIONS: ReadonlyMap<string, OpDeclaration> = new Map(OPS.map((d) => [d.name, d]));
const SCHEMAS: ReadonlyMap<string, z.ZodObject> = new Map(
  OPS.map((d) => [d.name, z.object({ op: z.literal(d.name), ...COMMON_ARGS, ...d.args })]),
);

/** The declaration of an operation, if there is one of that name. */
export function findOp(name: string): OpDeclaration | undefined {
  return DECLARATIONS.get(name);
}

/**
 * Complaints about an operation's arguments; unknown members are let through, as the recording program does.
 */
export function checkOp(
  op: OpInput,
): readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] {
  const schema = SCHEMAS.get(op.op);
  if (schema === undefined) return [];
  const parsed = schema.safeParse(op);
  return parsed.success ? [] : parsed.error.issues.map((i) => ({ path: i.path, message: i.message }));
}

export class Session {
  state: SessionState;
  readonly machine: MachineApi;
  readonly options: SessionOptions;

  constructor(machine: MachineApi, options: SessionOptions = {}, state?: SessionState) {
    this.machine = machine;
    this.options = options;
    this.state = state ?? { actors: ImmutableMap(), seenLines: 0 };
  }

  fork(): Session {
    return new Session(this.machine.fork(), this.options, this.state);
  }

  /** The process of (actor, uid, euid, gid); made when it first acts. */
  actor(name = 'main', uid = 0, euid = uid, gid = uid): ActorCursor {
    const key = `${name}:${uid}:${euid}:${gid}`;
    if (!this.state.actors.has(key)) {
      const pid = this.machine.spawn({ uid, euid, gid, comm: this.options.comm ?? 'init' });
      const actor: ActorState = { pid, slots: ImmutableMap(), maps: ImmutableMap() };
      this.state = { ...this.state, actors: this.state.actors.set(key, actor) };
    }
    return new ActorCursor(this, key);
  }

  /**
   * A program that was started as a child of an actor: it has the descriptors that it inherited under the
   * names that they have there, and mappings of its own.
   */
  program(name: string, pid: Pid, parent: string, open: (fd: number) => boolean): ActorCursor {
    const key = `program:${name}`;
    if (this.state.actors.get(key)?.pid !== pid) {
      const inherited = this.state.actors.get(parent)?.slots ?? ImmutableMap<string, number>();
      const actor: ActorState = { pid, slots: inherited.filter(open), maps: ImmutableMap() };
      this.state = { ...this.state, actors: this.state.actors.set(key, actor) };
    }
    return new ActorCursor(this, key);
  }

  /** Ends a process that a signal killed; the next operation of that name starts a new one. */
  bury(key: string): void {
    const actor = this.state.actors.get(key);
    if (actor === undefined) return;
    this.machine.exit(actor.pid);
    this.state = { ...this.state, actors: this.state.actors.delete(key) };
  }

  /** Counts the list lines a snapshot shows; returns how many were shown before. */
  sawLines(total: number): number {
    const before = this.state.seenLines;
    this.state = { ...this.state, seenLines: total };
    return before;
  }
}

/** Carries out one operation as `who`, or as the process that it names; failures are in the result. */
export function runOp(session: Session, op: OpInput, who?: ActorCursor): OpResult {
  const declaration = DECLARATIONS.get(op.op);
  const actor = who ?? session.actor(op.actor, op.uid, op.euid, op.gid);
  session.machine.advance(session.options.opTimeUs ?? 1000);
  if (declaration === undefined) return { err: 'ENOSYS', unsupported: `no operation is called ${op.op}` };
  try {
    return declaration.run({ session, actor }, op as never);
  } catch (e) {
    if (!(e instanceof ActorKilled)) throw e;
    session.bury(actor.key);
    return { err: 'ACTOR_DIED' };
  }
}

export type { OpResult, Value };
