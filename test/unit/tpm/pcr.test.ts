import { describe, expect, test } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { TpmDriver } from '../../../src/tpm/driver.ts';
import { newTpm, PW, rcOf, run } from './helpers.ts';

const EXTEND = 0x182;
const READ = 0x17e;
const RESET = 0x13d;
const EVENT = 0x13c;
const ONES = '11'.repeat(32);

const extendBody = (pcr: number): string =>
  `${pcr.toString(16).padStart(8, '0')} ${PW} 00000001 000b ${ONES}`;

describe('PCR', () => {
  test('reset values: 17 to 22 are ones, the others zeros', () => {
    const driver = new TpmDriver(newTpm());
    for (let pcr = 0; pcr < 24; pcr++) {
      const value = driver.pcrRead(pcr, 'sha256') as Uint8Array;
      expect(toHex(value)).toBe((pcr >= 17 && pcr <= 22 ? 'ff' : '00').repeat(32));
    }
  });

  test('startup from locality 3 shows in PCR 0', () => {
    const tpm = newTpm({ started: false });
    expect(rcOf(tpm, 0x144, '0000', false, 3)).toBe(0);
    expect(toHex(new TpmDriver(tpm).pcrRead(0, 'sha1') as Uint8Array)).toBe(`${'00'.repeat(19)}03`);
  });

  test('extend is the hash of old value and digest, in each bank that was named', () => {
    const tpm = newTpm();
    const driver = new TpmDriver(tpm);
    const digest = new Uint8Array(32).fill(7);
    expect(driver.pcrExtend(10, [{ alg: 'sha256', digest }])).toBe(0);
    const expected = crypto().hash('sha256', new Uint8Array([...new Uint8Array(32), ...digest]));
    expect(driver.pcrRead(10, 'sha256')).toEqual(expected);
    expect(driver.pcrRead(10, 'sha1')).toEqual(new Uint8Array(20));
  });

  test.each([
    [16, [0, 1, 2, 3, 4], [0, 1, 2, 3]],
    [17, [2, 3, 4], []],
    [19, [2, 3], []],
    [20, [1, 2, 3], [2]],
    [22, [2], [2]],
    [10, [0, 1, 2, 3, 4], []],
  ])('localities of PCR %i', (pcr, extend, reset) => {
    for (let locality = 0; locality < 5; locality++) {
      const tpm = newTpm();
      const handle = `${pcr.toString(16).padStart(8, '0')} ${PW}`;
      expect(rcOf(tpm, EXTEND, extendBody(pcr), true, locality)).toBe(extend.includes(locality) ? 0 : 0x907);
      expect(rcOf(tpm, RESET, handle, true, locality)).toBe(reset.includes(locality) ? 0 : 0x907);
    }
  });

  test('PCR 24 does not exist: TPM_RC_VALUE of handle 1, which is 388', () => {
    expect(new TpmDriver(newTpm()).pcrExtend(24, [])).toBe(388);
  });

  test('read gives eight values at most and says which', () => {
    expect(run(newTpm(), READ, '00000001 000b 03 ffffff').slice(0, 64)).toBe(
      '80010000012c000000000000001400000001000b03ff00000000000800200000',
    );
  });

  test('event returns the digests of all banks, also for the null handle', () => {
    const response = run(newTpm(), EVENT, `40000007 ${PW} 0003 616263`, true);
    expect(response).toContain('0004a9993e364706816aba3e25717850c26c9cd0d89d');
    expect(response).toContain('000bba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  test('only allocated banks exist', () => {
    const driver = new TpmDriver(newTpm({ banks: ['sha256'] }));
    expect(driver.banks).toEqual(['sha256']);
    expect(driver.pcrExtend(10, [{ alg: 'sha1', digest: new Uint8Array(20) }])).toBe(0);
    expect(driver.pcrRead(10, 'sha1')).toBe(-22);
  });

  test('an unbound driver is gone', () => {
    const driver = new TpmDriver(newTpm());
    driver.unbind();
    expect(driver.pcrExtend(10, [])).toBe(-19);
    expect(driver.banks).toEqual([]);
  });

  test('hash sequence of a dynamic launch resets 17 to 22 and extends 17', () => {
    const tpm = newTpm();
    tpm.hashStart();
    tpm.hashData(new TextEncoder().encode('launch'));
    tpm.hashEnd();
    const driver = new TpmDriver(tpm);
    const digest = crypto().hash('sha256', new TextEncoder().encode('launch'));
    const expected = crypto().hash('sha256', new Uint8Array([...new Uint8Array(32), ...digest]));
    expect(driver.pcrRead(17, 'sha256')).toEqual(expected);
    expect(driver.pcrRead(22, 'sha256')).toEqual(new Uint8Array(32));
  });
});
