import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import { SwtpmControl } from '../../../src/tpm/transports/swtpm.ts';
import { newTpm } from './helpers.ts';

function control(): (code: number, body?: string) => string {
  const host = { tpm: newTpm(), changed: () => undefined, shutdown: () => undefined };
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
});
