import { describe, expect, test } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { decodeState, encodeState } from '../../../src/base/json.ts';
import { newTrace, Trace } from '../../../src/base/trace.ts';
import { TpmDriver } from '../../../src/tpm/driver.ts';
import { startupMachine, startupTable } from '../../../src/tpm/startup.machine.ts';
import type { TpmState } from '../../../src/tpm/state.ts';
import { Tpm } from '../../../src/tpm/tpm.ts';
import { newTpm, rcOf, run, TestClock } from './helpers.ts';

const STARTUP = 0x144;
const SHUTDOWN = 0x145;
const GET_RANDOM = 0x17b;

function reboot(tpm: Tpm): void {
  tpm.powerOff();
  tpm.powerOn();
}

describe('startup and shutdown', () => {
  test('before Startup every other command is refused with TPM_RC_INITIALIZE', () => {
    const tpm = newTpm({ started: false });
    expect(rcOf(tpm, GET_RANDOM, '0008')).toBe(0x100);
    expect(rcOf(tpm, STARTUP, '0000')).toBe(0);
    expect(rcOf(tpm, STARTUP, '0000')).toBe(0x100);
  });

  test('Startup(STATE) needs Shutdown(STATE)', () => {
    const tpm = newTpm();
    reboot(tpm);
    expect(rcOf(tpm, STARTUP, '0001')).toBe(0x1c4);
    expect(rcOf(tpm, STARTUP, '0000')).toBe(0);
    expect(rcOf(tpm, SHUTDOWN, '0001')).toBe(0);
    reboot(tpm);
    expect(rcOf(tpm, STARTUP, '0001')).toBe(0);
    expect(tpm.state.reset.restartCount).toBe(1);
  });

  test('Resume restores PCR 0 to 15, Restart does not', () => {
    for (const [type, same] of [
      ['0001', true],
      ['0000', false],
    ] as const) {
      const tpm = newTpm();
      const driver = new TpmDriver(tpm);
      driver.pcrExtend(10, [{ alg: 'sha1', digest: new Uint8Array(20).fill(1) }]);
      const value = toHex(driver.pcrRead(10, 'sha1') as Uint8Array);
      rcOf(tpm, SHUTDOWN, '0001');
      reboot(tpm);
      expect(rcOf(tpm, STARTUP, type)).toBe(0);
      expect(toHex(driver.pcrRead(10, 'sha1') as Uint8Array) === value).toBe(same);
    }
  });

  test('an extend after Shutdown makes it void', () => {
    const tpm = newTpm();
    rcOf(tpm, SHUTDOWN, '0001');
    new TpmDriver(tpm).pcrExtend(10, [{ alg: 'sha1', digest: new Uint8Array(20) }]);
    reboot(tpm);
    expect(rcOf(tpm, STARTUP, '0001')).toBe(0x1c4);
  });

  test('failure mode answers only GetTestResult and GetCapability', () => {
    const tpm = newTpm();
    tpm.fail('on purpose');
    expect(rcOf(tpm, GET_RANDOM, '0008')).toBe(0x101);
    expect(run(tpm, 0x17c, '')).toContain('00000101');
    expect(rcOf(tpm, 0x17a, '00000006 00000100 00000001')).toBe(0);
    reboot(tpm);
    expect(rcOf(tpm, STARTUP, '0000')).toBe(0);
  });

  test('the same seed gives the same bytes, another seed others', () => {
    const bytes = (seed: string): string => run(newTpm({ seed }), GET_RANDOM, '0020');
    expect(bytes('a')).toBe(bytes('a'));
    expect(bytes('a')).not.toBe(bytes('b'));
  });

  test('state through JSON continues identically', () => {
    const tpm = newTpm();
    run(tpm, GET_RANDOM, '0020');
    const state = decodeState(JSON.parse(JSON.stringify(encodeState(tpm.state)))) as TpmState;
    const copy = new Tpm(state, { clock: new TestClock() });
    expect(run(copy, GET_RANDOM, '0020')).toBe(run(tpm, GET_RANDOM, '0020'));
    expect(run(copy, 0x17e, '00000001 000b 03 ffffff')).toBe(run(tpm, 0x17e, '00000001 000b 03 ffffff'));
  });

  test('every refusal leaves an event with a reason', () => {
    const trace = new Trace(newTrace());
    const tpm = newTpm({ trace });
    rcOf(tpm, STARTUP, '0000');
    const event = trace.state.events.previous?.last;
    expect(event?.kind).toBe('tpm.refused');
    expect(event?.reason).toBe('tpm.mode');
  });

  test('table and machine agree', () => {
    expect(startupTable.initial).toBe('off');
    expect(Object.keys(startupMachine.states).sort()).toEqual([...startupTable.states].sort());
  });
});
