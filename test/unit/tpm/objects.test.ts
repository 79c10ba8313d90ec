// Objects, policies and contexts, end to end over command frames.

import { describe, expect, test } from 'vitest';
import { EMPTY, filled, utf8 } from '../../../src/base/bytes.ts';
import * as c from '../../../src/tpm/constants.ts';
import { Client, create, SIGNING, STORAGE, sealed, sha256 } from './client.ts';
import { newTpm } from './helpers.ts';

const PCR_10 = [{ hash: c.TPM_ALG_SHA256, pcrSelect: Uint8Array.of(0, 4, 0) }];
const SECRET = utf8('the secret');

const primary = (client: Client, area = STORAGE, auth = ''): number =>
  client.ok('CreatePrimary', { primaryHandle: c.TPM_RH_OWNER, ...create(area, EMPTY, auth) }, ['']).handle;

function sealTo(client: Client, parentHandle: number, policy: Uint8Array, auth = ''): number {
  const made = client.ok('Create', { parentHandle, ...create(sealed(policy), SECRET, auth) }, ['']);
  const { outPrivate: inPrivate, outPublic: inPublic } = made;
  return client.ok('Load', { parentHandle, inPrivate, inPublic }, ['']).handle;
}

describe('objects', () => {
  test('a primary key depends on seed and template alone', () => {
    const name = (seed: string, area: unknown): Uint8Array => {
      const client = new Client(newTpm({ seed }));
      return client.ok('ReadPublic', { objectHandle: primary(client, area) }).name;
    };
    const first = name('a', STORAGE);
    expect(name('a', STORAGE)).toEqual(first);
    expect(name('b', STORAGE)).not.toEqual(first);
    expect(name('a', SIGNING)).not.toEqual(first);
  });

  test('another parent refuses a private area', () => {
    const client = new Client(newTpm());
    const parentHandle = primary(client);
    const made = client.ok('Create', { parentHandle, ...create(sealed(), SECRET) }, ['']);
    const other = client.ok('CreatePrimary', { primaryHandle: c.TPM_RH_NULL, ...create(STORAGE) }, [
      '',
    ]).handle;
    const load = { inPrivate: made.outPrivate, inPublic: made.outPublic };
    expect(client.call('Load', { parentHandle: other, ...load }, ['']).rc).toBe(0x1df);
    expect(client.call('Load', { parentHandle, ...load }, ['']).rc).toBe(0);
  });

  test('a signature that the TPM makes verifies, and one bit less does not', () => {
    const client = new Client(newTpm());
    const keyHandle = primary(client, SIGNING);
    const digest = sha256(SECRET);
    const validation = { tag: c.TPM_ST_HASHCHECK, hierarchy: c.TPM_RH_NULL, digest: EMPTY };
    const inScheme = { scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL, kdf: c.TPM_ALG_NULL, count: 0 };
    const { signature } = client.ok('Sign', { keyHandle, digest, inScheme, validation }, ['']);
    expect(client.call('VerifySignature', { keyHandle, digest, signature }).rc).toBe(0);
    const wrong = sha256(digest);
    expect(client.call('VerifySignature', { keyHandle, digest: wrong, signature }).rc).toBe(0x2db);
  });

  test('slots run out; a persistent object takes none and lives until TPM2_Clear', () => {
    const client = new Client(newTpm({ objectSlots: 3 }));
    const objectHandle = primary(client);
    client.ok('EvictControl', { auth: c.TPM_RH_OWNER, objectHandle, persistentHandle: 0x81000001 }, ['']);
    primary(client);
    primary(client);
    const full = client.call('CreatePrimary', { primaryHandle: c.TPM_RH_OWNER, ...create(STORAGE) }, ['']);
    expect(full.rc).toBe(0x902);
    for (const flushHandle of [0x80000000, 0x80000001, 0x80000002])
      client.ok('FlushContext', { flushHandle });
    expect(client.call('ReadPublic', { objectHandle: 0x81000001 }).rc).toBe(0);
    client.ok('Clear', { authHandle: c.TPM_RH_PLATFORM }, ['']);
    expect(client.call('ReadPublic', { objectHandle: 0x81000001 }).rc).toBe(0x18b);
  });
});

describe('policies', () => {
  const policyOf = (client: Client, steps: (policySession: number) => void): Uint8Array => {
    const { handle } = client.startSession(c.TPM_SE_TRIAL);
    steps(handle);
    const { policyDigest } = client.ok('PolicyGetDigest', { policySession: handle });
    client.ok('FlushContext', { flushHandle: handle });
    return policyDigest;
  };
  const toPcr = (client: Client) => (policySession: number) =>
    void client.ok('PolicyPCR', { policySession, pcrDigest: EMPTY, pcrs: PCR_10 });
  const extend = (client: Client): void =>
    void client.ok(
      'PCR_Extend',
      { pcrHandle: 10, digests: [{ hashAlg: c.TPM_ALG_SHA256, digest: filled(32, 5) }] },
      [''],
    );

  test('data sealed to a PCR opens until the PCR moves', () => {
    const client = new Client(newTpm());
    const itemHandle = sealTo(client, primary(client), policyOf(client, toPcr(client)));
    const session = client.startSession(c.TPM_SE_POLICY);
    toPcr(client)(session.handle);
    expect(client.ok('Unseal', { itemHandle }, [{ session }]).outData).toEqual(SECRET);

    const early = client.startSession(c.TPM_SE_POLICY);
    toPcr(client)(early.handle);
    extend(client);
    expect(client.call('Unseal', { itemHandle }, [{ session: early }]).rc).toBe(0x128);
    const late = client.startSession(c.TPM_SE_POLICY);
    toPcr(client)(late.handle);
    expect(client.call('Unseal', { itemHandle }, [{ session: late }]).rc).toBe(0x99d);
    expect(client.call('Unseal', { itemHandle }, ['']).rc).toBe(0x12f);
  });

  test('PolicyAuthValue asks for the HMAC of the authValue, PolicyCommandCode for the command', () => {
    const client = new Client(newTpm());
    const steps = (policySession: number): void => {
      client.ok('PolicyCommandCode', { policySession, code: 0x15e });
      client.ok('PolicyAuthValue', { policySession });
    };
    const parentHandle = primary(client);
    const itemHandle = sealTo(client, parentHandle, policyOf(client, steps), 'pw');
    const attempt = (auth: string, command: string): number => {
      const session = client.startSession(c.TPM_SE_POLICY);
      steps(session.handle);
      const input = { itemHandle, objectHandle: itemHandle, parentHandle, newAuth: EMPTY };
      return client.call(command, input, [{ session, auth, attributes: 0 }]).rc;
    };
    expect(attempt('pw', 'Unseal')).toBe(0);
    expect(attempt('no', 'Unseal')).toBe(0x98e);
    expect(attempt('pw', 'ObjectChangeAuth')).toBe(0x9a4);
  });

  test('PolicyOR accepts any of its branches', () => {
    const client = new Client(newTpm());
    const password = policyOf(client, (policySession) => void client.ok('PolicyPassword', { policySession }));
    const pcr = policyOf(client, toPcr(client));
    const or = (policySession: number): void =>
      void client.ok('PolicyOR', { policySession, pHashList: [password, pcr] });
    const steps = (policySession: number): void => {
      toPcr(client)(policySession);
      or(policySession);
    };
    const itemHandle = sealTo(client, primary(client), policyOf(client, steps));
    const session = client.startSession(c.TPM_SE_POLICY);
    steps(session.handle);
    expect(client.call('Unseal', { itemHandle }, [{ session }]).rc).toBe(0);
    const empty = client.startSession(c.TPM_SE_POLICY).handle;
    expect(client.call('PolicyOR', { policySession: empty, pHashList: [password, pcr] }).rc).toBe(0x1c4);
  });
});

describe('saved contexts', () => {
  test('a context loads again, any changed octet is refused, and a reset makes it worthless', () => {
    const tpm = newTpm();
    const client = new Client(tpm);
    const saveHandle = primary(client);
    const { name } = client.ok('ReadPublic', { objectHandle: saveHandle });
    const { context } = client.ok('ContextSave', { saveHandle });
    const again = client.ok('ContextLoad', { context }).handle;
    expect(client.ok('ReadPublic', { objectHandle: again }).name).toEqual(name);

    const contextBlob = context.contextBlob.with(context.contextBlob.length - 1, 0xaa);
    expect(client.call('ContextLoad', { context: { ...context, contextBlob } }).rc).toBe(0x1df);
    tpm.powerOff();
    tpm.powerOn();
    client.ok('Startup', { startupType: c.TPM_SU_CLEAR });
    expect(client.call('ContextLoad', { context }).rc).toBe(0x1df);
  });

  test('a session lives at one place at a time', () => {
    const client = new Client(newTpm());
    const session = client.startSession(c.TPM_SE_HMAC);
    const { context } = client.ok('ContextSave', { saveHandle: session.handle });
    expect(client.call('GetRandom', { bytesRequested: 4 }, [{ session, attributes: 0x41 }]).rc).toBe(0x918);
    expect(client.ok('ContextLoad', { context }).handle).toBe(session.handle);
    expect(client.call('ContextLoad', { context }).rc).toBe(0x1cb);
    expect(client.call('GetRandom', { bytesRequested: 4 }, [{ session, attributes: 0x41 }]).rc).toBe(0);
  });
});
