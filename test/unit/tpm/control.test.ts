import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import { Tpm } from '../../../src/tpm/tpm.ts';
import { foundAt } from '../../../src/tpm/transports/state-blobs.ts';
import { SwtpmControl } from '../../../src/tpm/transports/swtpm.ts';
import { newTpm } from './helpers.ts';

const EXTEND_16 = `80020000004100000182000000100000000940000009000000000000000001000b${'5a'.repeat(32)}`;
const READ_16 = '8001000000140000017e00000001000b03000001';

function control(tpm = newTpm()): (code: number, body?: string) => string {
  const host = { tpm, changed: () => undefined, shutdown: () => undefined };
  const channel = new SwtpmControl(host);
  return (code, body = '') => toHex(channel.handle(code, fromHex(body)));
}

describe('control channel of swtpm', () => {
  test('GET_INFO tells what its flags ask for', () => {
    const ask = control();
    const text = (flags: number): string => {
      const answer = fromHex(ask(0x12, `${flags.toString(16).padStart(16, '0')}0000000000000000`));
      expect(toHex(answer.subarray(0, 4))).toBe('00000000');
      return new TextDecoder().decode(answer.subarray(12, -1));
    };
    const specification = '"TPMSpecification":{"family":"2.0","level":0,"revision":159}';
    expect(text(1)).toBe(`{${specification}}`);
    expect(text(2)).toMatch(
      /^\{"TPMAttributes":\{"manufacturer":"id:4B53494D","version":"id:[0-9A-F]{8}","model"/,
    );
    expect(text(3).startsWith(`{${specification},"TPMAttributes"`)).toBe(true);
  });

  test('locality, buffer size, the established bit and unknown codes', () => {
    const ask = control();
    expect(ask(0x05, '03')).toBe('00000000');
    expect(ask(0x05, '05')).toBe('0000003d');
    expect(ask(0x11, '00000000')).toBe('000000000000100000000af800001000');
    expect(ask(0x0b, '00')).toBe('0000003d');
    expect(ask(0x7f)).toBe('0000000a');
  });

  const word = (n: number): string => n.toString(16).padStart(8, '0');
  const blob = (ask: ReturnType<typeof control>, kind: number): string =>
    ask(0x0c, `00000000${word(kind)}00000000`).slice(32);
  const put = (kind: number, hex: string): string => `00000000${word(kind)}${word(hex.length / 2)}${hex}`;

  test('state blobs carry a running TPM into another', () => {
    const tpm = newTpm();
    const from = control(tpm);
    tpm.execute(fromHex(EXTEND_16));
    const permanent = blob(from, 1);
    const volatile = blob(from, 2);
    expect(blob(from, 1)).toBe(permanent);
    const other = newTpm();
    const to = control(other);
    expect(to(0x0d, put(1, permanent))).toBe('0000000a');
    expect(to(0x0e)).toBe('00000000');
    expect(to(0x0c, '000000000000000100000000')).toBe('0000000a');
    expect(to(0x0a)).toBe('0000000a');
    expect(to(0x0d, put(1, '6a756e6b'))).toBe('00000003');
    expect(to(0x0d, put(1, volatile))).toBe('00000003');
    expect(to(0x0d, put(4, ''))).toBe('00000003');
    expect([to(0x0d, put(1, permanent)), to(0x0d, put(2, volatile)), to(0x0d, put(3, ''))]).toEqual(
      new Array(3).fill('00000000'),
    );
    expect(to(0x02, '00000000')).toBe('00000000');
    expect(toHex(other.execute(fromHex(READ_16)))).toBe(toHex(tpm.execute(fromHex(READ_16))));
    expect(other.state.life).toBe('operational');
  });

  test('time between two processes is no time of the TPM', () => {
    const { state } = newTpm();
    const later = state.clock.seenMs + 3_600_000;
    const at = { uptimeMs: () => later };
    const woken = new Tpm(foundAt(state, later), { clock: at });
    woken.powerOff();
    expect(woken.state.clock.clock).toBe(state.clock.clock);
    const counted = new Tpm(state, { clock: at });
    counted.powerOff();
    expect(counted.state.clock.clock > state.clock.clock).toBe(true);
  });

  test('a blob is read from an offset on, and there is no saved state', () => {
    const ask = control();
    const whole = blob(ask, 1);
    const size = whole.length / 2 - 5;
    expect(ask(0x0c, '000000000000000100000005')).toBe(
      `0000000000000000${word(size)}${word(size)}${whole.slice(10)}`,
    );
    expect(ask(0x0c, '00000000000000017fffffff')).toBe('0'.repeat(32));
    expect(ask(0x0c, '000000000000000300000000')).toBe(`00000800${'0'.repeat(24)}`);
  });

  test('INIT resumes from the stored volatile state until a flag has dropped it', () => {
    const tpm = newTpm();
    const ask = control(tpm);
    const stored = toHex(tpm.execute(fromHex(READ_16)));
    expect(ask(0x0a)).toBe('00000000');
    tpm.execute(fromHex(EXTEND_16));
    expect(toHex(tpm.execute(fromHex(READ_16)))).not.toBe(stored);
    for (const flags of ['00000000', '00000000', '00000001']) {
      ask(0x02, flags);
      expect(toHex(tpm.execute(fromHex(READ_16)))).toBe(stored);
    }
    ask(0x02, '00000000');
    expect(toHex(tpm.execute(fromHex(READ_16)))).toBe('80010000000a00000100');
  });
});
