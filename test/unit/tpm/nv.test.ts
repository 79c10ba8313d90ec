// NV indices, the dictionary-attack lockout, certificates by the TPM.

import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { concat, EMPTY, fromHex, utf8 } from '../../../src/base/bytes.ts';
import { bytesToBigint } from '../../../src/crypto/bigint.ts';
import { der, derBits, derInteger, derOid } from '../../../src/crypto/der.ts';
import * as c from '../../../src/tpm/constants.ts';
import { derElements } from '../../../src/tpm/x509.ts';
import { Client, create, SIGNING } from './client.ts';
import { newTpm, TestClock } from './helpers.ts';

const INDEX = 0x01000010;
const AUTH_READ_WRITE = 0x00040004;
const NO_DA = 0x02000000;

function define(client: Client, attributes: number, dataSize = 8, auth = ''): void {
  const publicInfo = { nvIndex: INDEX, nameAlg: c.TPM_ALG_SHA256, attributes, authPolicy: EMPTY, dataSize };
  client.ok('NV_DefineSpace', { authHandle: c.TPM_RH_OWNER, auth: utf8(auth), publicInfo }, ['']);
}
const at = { authHandle: INDEX, nvIndex: INDEX };
const readNv = (client: Client, auth = ''): number =>
  client.call('NV_Read', { ...at, size: 8, offset: 0 }, [auth]).rc;

describe('NV', () => {
  test('written, read, bounded, gone', () => {
    const client = new Client(newTpm());
    define(client, AUTH_READ_WRITE);
    expect(readNv(client)).toBe(0x14a);
    client.ok('NV_Write', { ...at, data: utf8('12345678'), offset: 0 }, ['']);
    expect(client.ok('NV_Read', { ...at, size: 4, offset: 4 }, ['']).data).toEqual(utf8('5678'));
    expect(client.call('NV_Read', { ...at, size: 5, offset: 4 }, ['']).rc).toBe(0x146);
    expect(client.call('NV_Increment', at, ['']).rc).toBe(0x282);
    client.ok('NV_UndefineSpace', { authHandle: c.TPM_RH_OWNER, nvIndex: INDEX }, ['']);
    expect(client.call('NV_ReadPublic', { nvIndex: INDEX }).rc).toBe(0x18b);
  });

  test('an extended index holds the chain of hashes, also after power loss', () => {
    const tpm = newTpm();
    const client = new Client(tpm);
    define(client, AUTH_READ_WRITE | 0x40, 32);
    client.ok('NV_Extend', { ...at, data: utf8('a') }, ['']);
    const value = client.ok('NV_Read', { ...at, size: 32, offset: 0 }, ['']).data;
    tpm.powerOff();
    tpm.powerOn();
    client.ok('Startup', { startupType: c.TPM_SU_CLEAR });
    expect(client.ok('NV_Read', { ...at, size: 32, offset: 0 }, ['']).data).toEqual(value);
  });
});

describe('dictionary attacks', () => {
  test('wrong authValues lock the TPM, time heals it', () => {
    const clock = new TestClock();
    const client = new Client(newTpm({ clock }));
    client.ok(
      'DictionaryAttackParameters',
      { lockHandle: c.TPM_RH_LOCKOUT, newMaxTries: 2, newRecoveryTime: 10, lockoutRecovery: 100 },
      [''],
    );
    define(client, AUTH_READ_WRITE, 8, 'pw');
    client.ok('NV_Write', { ...at, data: utf8('12345678'), offset: 0 }, ['pw']);
    expect(readNv(client, 'no')).toBe(0x98e);
    expect(readNv(client, 'no')).toBe(0x98e);
    expect(readNv(client, 'pw')).toBe(0x921);
    clock.ms += 10_000;
    expect(readNv(client, 'pw')).toBe(0);
    expect(readNv(client, 'no')).toBe(0x98e);
    expect(readNv(client, 'pw')).toBe(0x921);
    client.ok('DictionaryAttackLockReset', { lockHandle: c.TPM_RH_LOCKOUT }, ['']);
    expect(readNv(client, 'pw')).toBe(0);
  });

  test('an index with NO_DA never locks', () => {
    const client = new Client(newTpm());
    define(client, AUTH_READ_WRITE | NO_DA, 8, 'pw');
    client.ok('NV_Write', { ...at, data: utf8('12345678'), offset: 0 }, ['pw']);
    for (let i = 0; i < 40; i++) expect(readNv(client, 'no')).toBe(0x9a2);
    expect(readNv(client, 'pw')).toBe(0);
  });
});

describe('TPM2_CertifyX509', () => {
  /** Issuer, validity, subject and key usage (digitalSignature, keyCertSign) of a self-issued certificate. */
  const COMMON_NAME = der(0x30, derOid('2.5.4.3'), der(0x0c, utf8('kisim')));
  const NAME = der(0x30, der(0x31, COMMON_NAME));
  const VALIDITY = fromHex('301e170d3236303130313030303030305a170d3336303130313030303030305a');
  const USAGE = fromHex('a3123010300e0603551d0f0101ff040403020284');

  test('the parts assemble to a certificate that its key verifies', () => {
    const client = new Client(newTpm());
    const handle = client.ok('CreatePrimary', { primaryHandle: c.TPM_RH_OWNER, ...create(SIGNING) }, [
      '',
    ]).handle;
    const inScheme = { scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL, kdf: c.TPM_ALG_NULL, count: 0 };
    const partialCertificate = der(0x30, NAME, VALIDITY, NAME, USAGE);
    const made = client.ok(
      'CertifyX509',
      { objectHandle: handle, signHandle: handle, reserved: EMPTY, inScheme, partialCertificate },
      ['', ''],
    );
    const added = derElements(made.addedToCertificate)?.[0];
    const [version, serial, algorithm, key] = (derElements(added?.content ?? EMPTY) ?? []).map(
      (e) => e.whole,
    );
    if (!version || !serial || !algorithm || !key) throw new Error('parts are missing');
    const tbs = der(0x30, concat(version, serial, algorithm, NAME, VALIDITY, NAME, key, USAGE));
    const { r, s } = made.signature;
    const rs = der(0x30, derInteger(bytesToBigint(r)), derInteger(bytesToBigint(s)));
    const certificate = new X509Certificate(der(0x30, tbs, algorithm, derBits(rs)));
    expect(certificate.subject).toBe('CN=kisim');
    expect(certificate.verify(certificate.publicKey)).toBe(true);
  });
});
