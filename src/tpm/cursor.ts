// Cursor over a TPM's state: what command actions share (state updates, random numbers, time, tracing).
// Dispatch is in tpm.ts, the commands themselves are in commands/.

import type { EventData, Trace } from '../base/trace.ts';
import { tick } from './clock.ts';
import { drbgGenerate } from './drbg.ts';
import type {
  ClearState,
  ClockState,
  PersistentState,
  ResetState,
  TpmState,
  VolatileState,
} from './state.ts';

export interface TpmEnv {
  readonly trace?: Trace;
  /** Milliseconds that only grow; where they start does not matter. */
  readonly clock: { uptimeMs(): number };
}

/** @tcg Part 1, 37 State data: who may change which part of it is decided by the commands */
export class TpmCursor {
  state: TpmState;
  readonly env: TpmEnv;
  /** Slots that copies of persistent objects take while the command in progress uses them. */
  borrowedSlots = 0;

  constructor(state: TpmState, env: TpmEnv) {
    this.state = state;
    this.env = env;
  }

  setNv(change: Partial<PersistentState>): void {
    this.state = { ...this.state, nv: { ...this.state.nv, ...change } };
  }

  setReset(change: Partial<ResetState>): void {
    this.state = { ...this.state, reset: { ...this.state.reset, ...change } };
  }

  setClear(change: Partial<ClearState>): void {
    this.state = { ...this.state, clear: { ...this.state.clear, ...change } };
  }

  setRam(change: Partial<VolatileState>): void {
    this.state = { ...this.state, ram: { ...this.state.ram, ...change } };
  }

  setClock(change: Partial<ClockState>): void {
    this.state = { ...this.state, clock: { ...this.state.clock, ...change } };
  }

  /** The next bytes of the TPM's generator. */
  random(length: number): Uint8Array {
    const [bytes, drbg] = drbgGenerate(this.state.drbg, length);
    this.state = { ...this.state, drbg };
    return bytes;
  }

  /** Brings Time and Clock up to the environment's clock. */
  updateTime(): void {
    const now = this.env.clock.uptimeMs();
    if (now !== this.state.clock.seenMs) {
      this.state = { ...this.state, clock: tick(this.state.clock, now) };
    }
  }

  emit(kind: string, data: EventData, reason?: string): void {
    this.env.trace?.emit(kind, data, reason);
  }
}
