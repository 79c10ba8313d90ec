// The TPM's random numbers: HMAC_DRBG with SHA-256 (SP 800-90A, 10.1.2) over a state that is a plain value.
// Everything follows from the manufacturing seed and what TPM2_StirRandom added; the same seed gives the same
// bytes.

import { concat, EMPTY, utf8 } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';

export interface DrbgState {
  readonly key: Uint8Array;
  readonly v: Uint8Array;
}

const hmac = (key: Uint8Array, data: Uint8Array): Uint8Array => crypto().hmac('sha256', key, data);

function update(state: DrbgState, data: Uint8Array): DrbgState {
  let key = hmac(state.key, concat(state.v, new Uint8Array([0]), data));
  let v = hmac(key, state.v);
  if (data.length > 0) {
    key = hmac(key, concat(v, new Uint8Array([1]), data));
    v = hmac(key, v);
  }
  return { key, v };
}

/**
 * A generator from a text or byte seed.
 * @tcg Part 1, 11.4.11 Random Number Generator (RNG) Module
 */
export function drbgInstantiate(seed: Uint8Array | string): DrbgState {
  const start = { key: new Uint8Array(32), v: new Uint8Array(32).fill(1) };
  return update(start, typeof seed === 'string' ? utf8(seed) : seed);
}

/** Adds input to the state. */
export function drbgReseed(state: DrbgState, input: Uint8Array): DrbgState {
  return update(state, input);
}

/** The next bytes and the state after them. */
export function drbgGenerate(state: DrbgState, length: number): readonly [Uint8Array, DrbgState] {
  const out = new Uint8Array(length);
  let v = state.v;
  for (let at = 0; at < length; at += 32) {
    v = hmac(state.key, v);
    out.set(length - at >= 32 ? v : v.subarray(0, length - at), at);
  }
  return [out, update({ key: state.key, v }, EMPTY)];
}

/** Cursor form, for key generation from a seed. */
export class Drbg {
  state: DrbgState;

  constructor(state: DrbgState) {
    this.state = state;
  }

  bytes(length: number): Uint8Array {
    const [out, next] = drbgGenerate(this.state, length);
    this.state = next;
    return out;
  }
}
