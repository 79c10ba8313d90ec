// Time (milliseconds since power-on) and Clock (milliseconds that the TPM was powered in its life). The
// environment's clock drives both; TPM2_ClockRateAdjust changes the speed. NV is written at once, so the
// clock is always safe after an orderly end.

import type { ClockState, TpmState } from './state.ts';
import type { TpmsClockInfo, TpmsTimeInfo } from './structures.ts';

/** Milliseconds between two writes of Clock to NV: TPM_PT_CLOCK_UPDATE. */
export const CLOCK_UPDATE_MS = 4096n;

/** The clocks at uptime `now`; a clock that went back (another process) only resynchronises. */
export function tick(clock: ClockState, now: number): ClockState {
  const elapsed = now - clock.seenMs;
  if (elapsed <= 0) return { ...clock, seenMs: now };
  const scaled = BigInt(Math.floor((elapsed * (1_000_000 + clock.ratePpm)) / 1_000_000));
  const next = clock.clock + scaled;
  const crossed = next / CLOCK_UPDATE_MS !== clock.clock / CLOCK_UPDATE_MS;
  return {
    ...clock,
    seenMs: now,
    time: clock.time + scaled,
    clock: next,
    clockSafe: clock.clockSafe || crossed,
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
