// Answers in which the reference implementation differs from a plain reading of the specification, or which
// need a sequence of commands to show: each was found by `npm run tpm-differential` and holds on swtpm.

import { describe, expect, test } from 'vitest';
import { EMPTY, utf8 } from '../../../src/base/bytes.ts';
import * as c from '../../../src/tpm/constants.ts';
import { type Answer, Client, create, SIGNING, STORAGE, sealed } from './client.ts';
import { frame, newTpm, PW, rcOf, run } from './helpers.ts';

const NO_SCHEME = { scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL, kdf: c.TPM_ALG_NULL, count: 0 };
const OWNER = { primaryHandle: c.TPM_RH_OWNER };

/** An ECC key that may do everything, on a curve. */
const freeKey = (curveId: number): unknown => ({
  type: c.TPM_ALG_ECC,
  nameAlg: c.TPM_ALG_SHA256,
  objectAttributes: 0x00060472,
  authPolicy: EMPTY,
  parameters: {
    symmetric: { algorithm: c.TPM_ALG_NULL, keyBits: 0, mode: 0 },
    scheme: NO_SCHEME,
    curveId,
    kdf: { scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL },
  },
  unique: { x: EMPTY, y: EMPTY },
});
const primary = (client: Client, area: unknown): Answer =>
  client.ok('CreatePrimary', { ...OWNER, ...create(area) }, ['']);

describe('curves of the registry', () => {
  test.each([1, 2, 3, 4, 5, 0x10, 0x11, 0x20])('curve %i makes keys that sign and verify', (curve) => {
    const client = new Client(newTpm());
    const { handle } = primary(client, freeKey(curve));
    const digest = new Uint8Array(32).fill(curve);
    for (const scheme of [c.TPM_ALG_ECDSA, c.TPM_ALG_ECSCHNORR, c.TPM_ALG_SM2]) {
      const { signature } = client.ok(
        'Sign',
        {
          keyHandle: handle,
          digest,
          inScheme: { ...NO_SCHEME, scheme, hashAlg: c.TPM_ALG_SHA256 },
          validation: { tag: c.TPM_ST_HASHCHECK, hierarchy: c.TPM_RH_NULL, digest: EMPTY },
        },
        [''],
      );
      expect(client.call('VerifySignature', { keyHandle: handle, digest, signature }).rc).toBe(0);
      const other = digest.map((octet) => octet ^ 1);
      expect(client.call('VerifySignature', { keyHandle: handle, digest: other, signature }).rc).toBe(0x2db);
    }
  });

  test('a coefficient of zero is one octet', () => {
    const { parameters } = new Client(newTpm()).ok('ECC_Parameters', { curveID: 0x10 });
    expect(parameters.numbers.map((n: Uint8Array) => n.length)).toEqual([32, 1, 32, 32, 32, 32, 1]);
    expect(parameters.kdf.scheme).toBe(c.TPM_ALG_NULL);
  });

  test.each([c.TPM_ALG_ECDH, c.TPM_ALG_ECMQV, c.TPM_ALG_SM2])(
    'both sides of exchange %i agree',
    (inScheme) => {
      const sides = ['a', 'b'].map((seed) => {
        const client = new Client(newTpm({ seed }));
        const key = primary(client, freeKey(3));
        return { client, key, ephemeral: client.ok('EC_Ephemeral', { curveID: 3 }) };
      });
      const [a, b] = sides as [(typeof sides)[0], (typeof sides)[0]];
      const exchange = (own: typeof a, peer: typeof a): Answer =>
        own.client.ok(
          'ZGen_2Phase',
          {
            keyA: own.key.handle,
            inQsB: peer.key.outPublic.unique,
            inQeB: peer.ephemeral.Q,
            inScheme,
            counter: own.ephemeral.counter,
          },
          [''],
        );
      const [za, zb] = [exchange(a, b), exchange(b, a)];
      expect(za.outZ1).toEqual(zb.outZ1);
      expect(za.outZ2).toEqual(zb.outZ2);
      expect(za.outZ1.x).toHaveLength(32);
    },
  );
});

describe('handles and slots', () => {
  test('a transient handle beyond the slots is no handle at all', () => {
    const tpm = newTpm({ objectSlots: 3 });
    expect(rcOf(tpm, 0x173, '80000002')).toBe(0x910);
    expect(rcOf(tpm, 0x173, '80000003')).toBe(0x184);
    expect(rcOf(tpm, 0x165, '80000003')).toBe(0x1c4);
  });

  test('a persistent parent takes the first free slot while a child is loaded', () => {
    const client = new Client(newTpm({ objectSlots: 3 }));
    const { handle } = primary(client, STORAGE);
    const evict = { auth: c.TPM_RH_OWNER, objectHandle: handle, persistentHandle: 0x81000001 };
    client.ok('EvictControl', evict, ['']);
    client.ok('FlushContext', { flushHandle: handle });
    const parent = { parentHandle: 0x81000001 };
    const made = client.ok('Create', { ...parent, ...create(sealed(), utf8('x')) }, ['']);
    const child = { ...parent, inPrivate: made.outPrivate, inPublic: made.outPublic };
    expect(client.ok('Load', child, ['']).handle).toBe(0x80000001);
    expect(client.ok('Load', child, ['']).handle).toBe(0x80000002);
    expect(client.call('Load', child, ['']).rc).toBe(0x902);
  });

  test('a tag that is known but not of a command is TPM_RC_BAD_TAG, an unknown one TPM_RC_VALUE', () => {
    const tpm = newTpm();
    const tagged = (tag: number): number => {
      const bytes = frame(0x17b, '0008');
      bytes.set([tag >>> 8, tag & 255]);
      return new DataView(tpm.execute(bytes).buffer).getUint32(6);
    };
    expect([tagged(0x8021), tagged(0x00c4), tagged(0x8003), tagged(0x00c1)]).toEqual([
      0x1e, 0x1e, 0x84, 0x84,
    ]);
  });

  test('numbers of session contexts begin after those of the slots', () => {
    const client = new Client(newTpm({ sessionSlots: 3 }));
    const { handle } = client.startSession(c.TPM_SE_HMAC);
    expect(client.ok('ContextSave', { saveHandle: handle }).context.sequence).toBe(4n);
  });
});

describe('order of checks', () => {
  test('a scheme that the key cannot have is refused before anything is signed', () => {
    const client = new Client(newTpm());
    const { handle } = primary(client, freeKey(3));
    const inScheme = { ...NO_SCHEME, scheme: c.TPM_ALG_RSASSA, hashAlg: c.TPM_ALG_SHA256 };
    const input = {
      privacyAdminHandle: c.TPM_RH_ENDORSEMENT,
      signHandle: handle,
      qualifyingData: EMPTY,
      inScheme,
    };
    expect(client.call('GetTime', input, ['', '']).rc).toBe(0x2d2);
  });

  test('a sequence that ends with fewer than four octets in all has no ticket', () => {
    const client = new Client(newTpm());
    const { handle } = client.ok('HashSequenceStart', { auth: EMPTY, hashAlg: c.TPM_ALG_SHA256 });
    const input = { sequenceHandle: handle, buffer: utf8('abc'), hierarchy: c.TPM_RH_OWNER };
    expect(client.ok('SequenceComplete', input, ['']).validation.hierarchy).toBe(c.TPM_RH_NULL);
  });

  test('a key without nameAlg has no parent, whatever the other handle is', () => {
    const client = new Client(newTpm());
    const area = { ...(sealed() as object), nameAlg: c.TPM_ALG_NULL, objectAttributes: 0x440 };
    const inPrivate = { sensitiveType: 8, authValue: EMPTY, seedValue: EMPTY, sensitive: utf8('x') };
    const { handle } = client.ok('LoadExternal', { inPrivate, inPublic: area, hierarchy: c.TPM_RH_NULL });
    const input = { objectHandle: handle, parentHandle: handle, newAuth: EMPTY };
    expect(client.call('ObjectChangeAuth', input, ['']).rc).toBe(0x28a);
  });
});

describe('NV', () => {
  const define = (index: number, attributes: string, size: number, auth = '40000001'): string =>
    `${auth} ${PW} 0000 000e ${index.toString(16).padStart(8, '0')} 000b ${attributes} 0000 ${size.toString(16).padStart(4, '0')}`;

  test('orderly indices share 512 octets, each with twelve of its own', () => {
    const tpm = newTpm();
    expect(rcOf(tpm, 0x12a, define(0x01000001, '04020002', 501), true)).toBe(0x14b);
    expect(rcOf(tpm, 0x12a, define(0x01000001, '04020002', 100), true)).toBe(0);
    expect(rcOf(tpm, 0x12a, define(0x01000002, '04020002', 389), true)).toBe(0x14b);
    expect(rcOf(tpm, 0x12a, define(0x01000002, '04020002', 388), true)).toBe(0);
    expect(rcOf(tpm, 0x12a, define(0x01000003, '00020002', 501), true)).toBe(0);
  });

  test('a new platform seed leaves the platform its indices', () => {
    const tpm = newTpm();
    expect(rcOf(tpm, 0x12a, define(0x01000001, '40010001', 8, '4000000c'), true)).toBe(0);
    expect(rcOf(tpm, 0x125, `4000000c ${PW}`, true)).toBe(0);
    expect(rcOf(tpm, 0x169, '01000001')).toBe(0);
  });
});

describe('the end of a power cycle', () => {
  const STATE = '0001';
  /** Startup(STATE) after Shutdown(STATE) and one more command. */
  function resumes(code: number, body: string, sessions: boolean): boolean {
    const tpm = newTpm();
    run(tpm, 0x176, `40000007 40000007 0010 ${'11'.repeat(16)} 0000 00 0010 000b`);
    expect(rcOf(tpm, 0x145, STATE)).toBe(0);
    expect(rcOf(tpm, code, body, sessions)).toBe(0);
    tpm.powerOff();
    tpm.powerOn();
    return rcOf(tpm, 0x144, STATE) === 0;
  }
  const digest = `00000001 000b ${'22'.repeat(32)}`;

  test('changes of what Shutdown saved make it void, others do not', () => {
    expect(resumes(0x182, `0000000a ${PW} ${digest}`, true)).toBe(false);
    expect(resumes(0x162, '02000000', false)).toBe(false);
    expect(resumes(0x182, `00000010 ${PW} ${digest}`, true)).toBe(true);
    expect(resumes(0x165, '02000000', false)).toBe(true);
    expect(resumes(0x18e, '0003', false)).toBe(true);
  });

  test('use of a protected key without an orderly end counts as one failure', () => {
    const tpm = newTpm();
    const client = new Client(tpm);
    const restart = (): number => {
      tpm.powerOff();
      tpm.powerOn();
      expect(rcOf(tpm, 0x144, '0000')).toBe(0);
      return tpm.state.nv.failedTries;
    };
    expect(restart()).toBe(0);
    const { handle } = primary(client, SIGNING);
    client.call('ContextSave', { saveHandle: handle });
    expect(restart()).toBe(0);
    const again = primary(client, STORAGE).handle;
    client.ok('Create', { parentHandle: again, ...create(sealed(), utf8('x')) }, ['']);
    expect(restart()).toBe(1);
    expect(restart()).toBe(1);
  });

  test('Clock is not safe after an unorderly end until it is written, and Shutdown does not write it', () => {
    const tpm = newTpm();
    const client = new Client(tpm);
    const safe = (): number => client.ok('ReadClock').currentTime.clockInfo.safe;
    expect(safe()).toBe(1);
    tpm.powerOff();
    tpm.powerOn();
    rcOf(tpm, 0x144, '0000');
    expect(safe()).toBe(0);
    expect(rcOf(tpm, 0x145, '0000')).toBe(0);
    expect(safe()).toBe(0);
    client.ok('ClockSet', { auth: c.TPM_RH_OWNER, newTime: 1n << 30n }, ['']);
    expect(safe()).toBe(1);
  });
});
