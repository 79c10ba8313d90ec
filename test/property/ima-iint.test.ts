// The table that the access path runs on is the machine: random sequences of events, and every state of small
// distance.

import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import {
  deriveSteps,
  IINT_EVENTS,
  IINT_REGIONS,
  type IintEvent,
  iintMachine,
  REGION_BITS,
} from '../../src/ima/iint.machine.ts';
import { iintStep, NEW_IINT } from '../../src/ima/iint.ts';
import type { Iint } from '../../src/ima/types.ts';

type Snapshot = ReturnType<typeof initialTransition<typeof iintMachine>>[0];

/** Bits of a snapshot of the machine. */
function bits(snapshot: Snapshot): { flags: number; atomicFlags: number } {
  const out = { flags: 0, atomicFlags: 0 };
  for (const region of IINT_REGIONS)
    if (snapshot.value[region] === 'yes') out[REGION_BITS[region].word] |= REGION_BITS[region].bit;
  return out;
}

const word = ({ flags, atomicFlags }: Iint): { flags: number; atomicFlags: number } => ({
  flags,
  atomicFlags,
});

describe('iint machine', () => {
  test.prop([fc.array(fc.constantFrom(...IINT_EVENTS), { maxLength: 40, size: 'max' })], { numRuns: 60 })(
    'walks like its table',
    (events: IintEvent[]) => {
      let [snapshot] = initialTransition(iintMachine);
      let iint = NEW_IINT;
      for (const type of events) {
        [snapshot] = transition(iintMachine, snapshot, { type });
        iint = iintStep(iint, type);
        expect(word(iint)).toEqual(bits(snapshot));
      }
    },
  );

  it('reaches every state within two steps as its table does', () => {
    const [start] = initialTransition(iintMachine);
    let states = 0;
    for (const a of IINT_EVENTS) {
      const [one] = transition(iintMachine, start, { type: a });
      for (const b of IINT_EVENTS) {
        const [two] = transition(iintMachine, one, { type: b });
        expect(word(iintStep(iintStep(NEW_IINT, a), b))).toEqual(bits(two));
        states++;
      }
    }
    expect(states).toBe(IINT_EVENTS.length ** 2);
  });

  it('has an effect for every event and an event for every bit', () => {
    const steps = deriveSteps();
    for (const event of IINT_EVENTS) {
      const s = steps[event];
      expect(s.setFlags | s.clearFlags | s.setAtomic | s.clearAtomic, event).not.toBe(0);
    }
    for (const region of IINT_REGIONS) {
      const { word: w, bit } = REGION_BITS[region];
      const set = Object.values(steps).some((s) => ((w === 'flags' ? s.setFlags : s.setAtomic) & bit) !== 0);
      const clear = Object.values(steps).some(
        (s) => ((w === 'flags' ? s.clearFlags : s.clearAtomic) & bit) !== 0,
      );
      expect([region, set, clear]).toEqual([region, true, true]);
    }
  });
});
