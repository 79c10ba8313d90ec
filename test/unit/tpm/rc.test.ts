import { describe, expect, test } from 'vitest';
import { decodeRc, describeRc, rcHandle, rcParameter, rcSession, TPM_RC_VALUE } from '../../../src/tpm/rc.ts';

describe('response codes', () => {
  test.each([
    [0x000, 'TPM_RC_SUCCESS', null, null],
    [0x100, 'TPM_RC_INITIALIZE', null, null],
    [0x184, 'TPM_RC_VALUE', 'handle', 1],
    [0x2c4, 'TPM_RC_VALUE', 'parameter', 2],
    [0x98e, 'TPM_RC_AUTH_FAIL', 'session', 1],
    [0x99d, 'TPM_RC_POLICY_FAIL', 'session', 1],
    [0xc95, 'TPM_RC_SIZE', 'session', 4],
    [0x910, 'TPM_RC_REFERENCE_H', 'handle', 1],
    [0x918, 'TPM_RC_REFERENCE_S', 'session', 1],
    [0x922, 'TPM_RC_RETRY', null, null],
  ])('%i is %s', (code, name, subject, index) => {
    expect(decodeRc(code)).toMatchObject({ name, subject, index });
  });

  test('a number is added once, and only to format-one codes', () => {
    expect(rcHandle(1, TPM_RC_VALUE)).toBe(0x184);
    expect(rcParameter(2, TPM_RC_VALUE)).toBe(0x2c4);
    expect(rcSession(1, TPM_RC_VALUE)).toBe(0x984);
    expect(rcParameter(3, rcParameter(2, TPM_RC_VALUE))).toBe(0x2c4);
    expect(rcParameter(3, 0x120)).toBe(0x120);
    expect(rcSession(1, 0)).toBe(0);
  });

  test('a line says what and why', () => {
    expect(describeRc(0x2c4)).toMatch(/^TPM_RC_VALUE \(parameter 2\): /);
  });
});
