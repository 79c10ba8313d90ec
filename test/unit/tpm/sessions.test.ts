// HMAC sessions against an independent client: keys from binding and salt, nonces, parameter encryption.

import { describe, expect, test } from 'vitest';
import { EMPTY, utf8 } from '../../../src/base/bytes.ts';
import { decodeState, encodeState } from '../../../src/base/json.ts';
import * as c from '../../../src/tpm/constants.ts';
import type { TpmState } from '../../../src/tpm/state.ts';
import { Tpm } from '../../../src/tpm/tpm.ts';
import { Client, create, STORAGE, sealed } from './client.ts';
import { newTpm, TestClock } from './helpers.ts';

const ENCRYPT = 0x41;
const DECRYPT = 0x21;
const AUDIT = 0x81;

describe('HMAC sessions', () => {
  test('nonces roll, a replayed frame is refused', () => {
    const client = new Client(newTpm());
    const session = client.startSession(c.TPM_SE_HMAC);
    client.ok('ClearControl', { auth: c.TPM_RH_PLATFORM, disable: 0 }, [{ session }]);
    const before = session.nonceTpm;
    client.ok('ClearControl', { auth: c.TPM_RH_PLATFORM, disable: 0 }, [{ session }]);
    expect(session.nonceTpm).not.toEqual(before);
    session.nonceTpm = before;
    expect(client.call('ClearControl', { auth: c.TPM_RH_PLATFORM, disable: 0 }, [{ session }]).rc).toBe(
      0x9a2,
    );
  });

  test('a session ends without continueSession', () => {
    const client = new Client(newTpm());
    const session = client.startSession(c.TPM_SE_HMAC);
    client.ok('GetRandom', { bytesRequested: 1 }, [{ session, attributes: ENCRYPT & ~1 }]);
    expect(client.call('GetRandom', { bytesRequested: 1 }, [{ session, attributes: ENCRYPT }]).rc).toBe(
      0x918,
    );
  });

  test('parameters are encrypted both ways under a bound session', () => {
    const client = new Client(newTpm());
    client.ok('HierarchyChangeAuth', { authHandle: c.TPM_RH_OWNER, newAuth: utf8('owner') }, ['']);
    const session = client.startSession(c.TPM_SE_HMAC, { bind: c.TPM_RH_OWNER }, 'owner');
    const auth = { session, attributes: DECRYPT | ENCRYPT, auth: 'owner', bound: true } as const;
    const key = create(STORAGE, EMPTY, 'key');
    const made = client.ok('CreatePrimary', { primaryHandle: c.TPM_RH_OWNER, ...key }, [auth]);
    expect(client.ok('ReadPublic', { objectHandle: made.handle }).outPublic).toEqual(made.outPublic);
    const parentHandle = made.handle;
    expect(client.call('Create', { parentHandle, ...create(sealed(), utf8('s')) }, ['key']).rc).toBe(0);
    expect(client.call('Create', { parentHandle, ...create(sealed(), utf8('s')) }, ['owner']).rc).toBe(0x98e);
  });

  test('encrypted output is what an unencrypted call would answer', () => {
    const answer = (attributes: number): Uint8Array => {
      const client = new Client(newTpm());
      const parentHandle = client.ok('CreatePrimary', { primaryHandle: c.TPM_RH_OWNER, ...create(STORAGE) }, [
        '',
      ]).handle;
      const made = client.ok('Create', { parentHandle, ...create(sealed(), utf8('s'), 'pw') }, ['']);
      const load = { parentHandle, inPrivate: made.outPrivate, inPublic: made.outPublic };
      const itemHandle = client.ok('Load', load, ['']).handle;
      const session = client.startSession(c.TPM_SE_HMAC);
      return client.ok('Unseal', { itemHandle }, [{ session, auth: 'pw', attributes }]).outData;
    };
    expect(answer(ENCRYPT)).toEqual(utf8('s'));
    expect(answer(1)).toEqual(utf8('s'));
  });

  test('attributes that a command cannot have are refused', () => {
    const client = new Client(newTpm());
    const session = client.startSession(c.TPM_SE_HMAC);
    expect(client.call('GetRandom', { bytesRequested: 1 }, [{ session, attributes: DECRYPT }]).rc).toBe(
      0x982,
    );
    expect(client.call('GetRandom', { bytesRequested: 1 }, [{ session, attributes: AUDIT | 8 }]).rc).toBe(
      0x9a1,
    );
  });

  test('a TPM that went through JSON goes on as if nothing had been', () => {
    const tpm = newTpm();
    const first = new Client(tpm);
    const session = first.startSession(c.TPM_SE_HMAC);
    const copy = new Tpm(decodeState(encodeState(tpm.state)) as TpmState, { clock: new TestClock() });
    const second = new Client(copy);
    const twin = Object.assign(Object.create(Object.getPrototypeOf(session)), session);
    const one = first.ok('GetRandom', { bytesRequested: 16 }, [{ session, attributes: ENCRYPT }]);
    const two = second.ok('GetRandom', { bytesRequested: 16 }, [{ session: twin, attributes: ENCRYPT }]);
    expect(two.randomBytes).toEqual(one.randomBytes);
    expect(copy.state).toEqual(tpm.state);
  });
});
