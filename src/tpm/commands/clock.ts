// Part 3, chapter 29: reading, setting and adjusting the clock.

import { isWritten, timeInfo } from '../clock.ts';
import { command, user } from '../command.ts';
import { oneOf, Uint8, Uint64 } from '../marshal.ts';
import * as rc from '../rc.ts';
import { TpmiRhProvision, TpmsTimeInfo } from '../structures.ts';

/** @tcg Part 3, 29.1 TPM2_ReadClock */
export const readClock = command({
  code: 0x181,
  name: 'ReadClock',
  handles: {},
  parameters: {},
  response: { currentTime: TpmsTimeInfo },
  run: (tpm) => ({ currentTime: timeInfo(tpm.state) }),
});

/** @tcg Part 3, 29.2 TPM2_ClockSet */
export const clockSet = command({
  code: 0x128,
  name: 'ClockSet',
  handles: { auth: user(TpmiRhProvision) },
  parameters: { newTime: Uint64 },
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { newTime }) {
    const { clock } = tpm.state;
    if (newTime > 0xffff000000000000n || newTime < clock.clock) {
      return rc.rcParameter(1, rc.TPM_RC_VALUE);
    }
    tpm.setClock({ clock: newTime, clockSafe: clock.clockSafe || isWritten(clock.clock, newTime) });
    return {};
  },
});

/** TPM_CLOCK_ADJUST: -3 .. 3 as octets. */
const TpmClockAdjust = oneOf(Uint8, [0xfd, 0xfe, 0xff, 0, 1, 2, 3]);
/** Parts per million of a coarse, a medium and a fine step. */
const STEPS: readonly number[] = [0, 10, 100, 10_000];
const LIMIT_PPM = 150_000;

/** @tcg Part 3, 29.3 TPM2_ClockRateAdjust */
export const clockRateAdjust = command({
  code: 0x130,
  name: 'ClockRateAdjust',
  handles: { auth: user(TpmiRhProvision) },
  parameters: { rateAdjust: TpmClockAdjust },
  response: {},
  pp: 'command',
  run(tpm, { rateAdjust }) {
    const signed = rateAdjust > 127 ? rateAdjust - 256 : rateAdjust;
    const step = (STEPS[Math.abs(signed)] ?? 0) * Math.sign(signed);
    const ratePpm = Math.max(-LIMIT_PPM, Math.min(LIMIT_PPM, tpm.state.clock.ratePpm + step));
    tpm.setClock({ ratePpm });
    return {};
  },
});
