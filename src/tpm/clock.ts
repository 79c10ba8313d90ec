// Time (milliseconds since power-on) and Clock (milliseconds that the TPM was powered in its life). The
// environment's clock drives both; TPM2_ClockRateAdjust changes the speed. What
// NV remembers is never ahead of Clock, and Clock is unsafe while it may have been shown before.

import type { ClockState, TpmState } from './state.ts';
import type { TpmsClockInfo, TpmsTimeInfo } from './structures.ts';

/** Milliseconds between two writes of Clock to NV: TPM_PT_CLOCK_UPDATE. */
export const CLOCK_UPDATE_MS = 4096n;

/** Whether the way from one value of Clock to another writes it to NV, after which it is safe. */
export function isWritten(from: bigint, to: bigint): boolean {
  return to / CLOCK_UPDATE_MS !== from / CLOCK_UPDATE_MS;
}

/** The clocks at uptime `now`; a clock that went back (another process) only resynchronises. */
export function tick(clock: ClockState, now: number): ClockState {
  const elapsed = now - clock.seenMs;
  if (elapsed <= 0) return { ...clock, seenMs: now };
  const scaled = BigInt(Math.floor((elapsed * (1_000_000 + clock.ratePpm)) / 1_000_000));
  const next = clock.clock + scaled;
  return {
    ...clock,
    seenMs: now,
    time: clock.time + scaled,
    clock: next,
    clockSafe: clock.clockSafe || isWritten(clock.clock, next),
  };
}

/** @tcg Part 2, 10.11.1 TPMS_CLOCK_INFO */
export function clockInfo(state: TpmState): TpmsClockInfo {
  return {
    clock: state.clock.clock,
    resetCount: state.nv.resetCount,
    restartCount: state.reset.restartCount,
    safe: state.clock.clockSafe ? 1 : 0,
  };
}

/** @tcg Part 2, 10.11.6 TPMS_TIME_INFO */
export function timeInfo(state: TpmState): TpmsTimeInfo {
  return { time: state.clock.time, clockInfo: clockInfo(state) };
}
