// A command is one declaration: code, handles with their authorization roles, parameters, response and
// attributes, and the action. Dispatch, unmarshalling, authorization, audit, TPM_CAP_COMMANDS and tracing all
// read it.

import type { TpmCursor } from './cursor.ts';
import type { Codec, Codecs, InferAll } from './marshal.ts';

export type AuthRole = 'none' | 'user' | 'admin' | 'dup';

export interface HandleSpec {
  readonly type: Codec<number>;
  readonly role: AuthRole;
}

export const reference = (type: Codec<number>): HandleSpec => ({ type, role: 'none' });
export const user = (type: Codec<number>): HandleSpec => ({ type, role: 'user' });
export const admin = (type: Codec<number>): HandleSpec => ({ type, role: 'admin' });
export const dup = (type: Codec<number>): HandleSpec => ({ type, role: 'dup' });

export type Handles = { readonly [name: string]: HandleSpec };
export type Input<H extends Handles, P extends Codecs> = { readonly [K in keyof H]: number } & InferAll<P>;
export type Output<R extends Codecs> = InferAll<R>;

/** Facts of the command in progress that some actions need beside their input. */
export interface CommandInfo {
  readonly locality: number;
  /** Session handles of the authorization area, in order. */
  readonly sessions: readonly number[];
  /** The entity of the first session was deleted: its authValue counts as empty in the response. */
  dropAssociation(handle: number): void;
  /** Flushes an object when the response is built: its authValue is needed until then. */
  flushAfter(handle: number): void;
}

interface Attributes {
  /** TPMA_CC nv: may write NV. */
  readonly nv?: true;
  /** TPMA_CC extensive: may flush any number of loaded contexts. */
  readonly extensive?: true;
  /** TPMA_CC flushed: the handle's context is flushed. */
  readonly flushed?: true;
  /** No session of any kind is allowed. */
  readonly noSessions?: true;
  /** May be listed as needing physical presence (TPM2_PP_Commands), or always needs it. */
  readonly pp?: 'command' | 'required';
  /** The action's own trace events tell what the frame says; the frame is not traced (hot path). */
  readonly selfTelling?: true;
  /** NV commands that write: AUTHWRITE and POLICYWRITE decide, else AUTHREAD and POLICYREAD. */
  readonly nvWrite?: true;
}

export interface Declaration<H extends Handles, P extends Codecs, R extends Codecs> extends Attributes {
  readonly code: number;
  /** Name of Part 3 without the TPM2_ prefix. */
  readonly name: string;
  readonly handles: H;
  readonly parameters: P;
  /** The response begins with a handle: member `handle` of what `run` returns. */
  readonly responseHandle?: true;
  readonly response: R;
  /** The action: the response's members, or a response code. */
  run(
    tpm: TpmCursor,
    input: Input<H, P>,
    info: CommandInfo,
  ): number | (Output<R> & { readonly handle?: number });
}

export interface Command extends Attributes {
  readonly code: number;
  readonly name: string;
  readonly handles: readonly (readonly [name: string, spec: HandleSpec])[];
  readonly parameters: readonly (readonly [name: string, codec: Codec<unknown>])[];
  readonly responseHandle: boolean;
  readonly response: readonly (readonly [name: string, codec: Codec<unknown>])[];
  /** First parameter is a TPM2B: a session may encrypt it on the way in, or out. */
  readonly canDecrypt: boolean;
  readonly canEncrypt: boolean;
  readonly needsAuth: boolean;
  run(
    tpm: TpmCursor,
    input: { readonly [name: string]: unknown },
    info: CommandInfo,
  ): number | { readonly [name: string]: unknown };
}

/** Checks nothing, erases the types: what the dispatcher works with. */
export function command<H extends Handles, P extends Codecs, R extends Codecs>(
  d: Declaration<H, P, R>,
): Command {
  const handles = Object.entries(d.handles);
  const parameters = Object.entries(d.parameters);
  const response = Object.entries(d.response);
  return {
    ...d,
    handles,
    parameters,
    response,
    responseHandle: d.responseHandle === true,
    canDecrypt: parameters[0]?.[1].sized === true,
    canEncrypt: response[0]?.[1].sized === true,
    needsAuth: handles.some(([, spec]) => spec.role !== 'none'),
    run: d.run as unknown as Command['run'],
  };
}

/**
 * TPMA_CC: what TPM_CAP_COMMANDS says about a command.
 * @tcg Part 2, 8.9 TPMA_CC
 */
export function commandAttributes(d: Command): number {
  return (
    (d.code & 0xffff) |
    (d.nv === true ? 1 << 22 : 0) |
    (d.extensive === true ? 1 << 23 : 0) |
    (d.flushed === true ? 1 << 24 : 0) |
    (d.handles.length << 25) |
    (d.responseHandle ? 1 << 28 : 0)
  );
}
