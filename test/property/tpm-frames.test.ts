// Laws of the TPM's command interface: whatever octets arrive, a well-formed response leaves; a refused
// command changes nothing; state through JSON continues identically.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeState, encodeState } from '../../src/base/json.ts';
import { COMMANDS } from '../../src/tpm/commands/registry.ts';
import { decodeRc } from '../../src/tpm/rc.ts';
import type { TpmState } from '../../src/tpm/state.ts';
import { responseCodeOf, Tpm } from '../../src/tpm/tpm.ts';
import { frame, newTpm, PW, run, TestClock } from '../unit/tpm/helpers.ts';

const OWNER = '40000001';
const ECC_TEMPLATE = '0023 000b 00030072 0000 0006 0080 0043 0010 0003 0010 0000 0000';
const ECC_PRIMARY = `${OWNER} ${PW} 0004 00000000 001a ${ECC_TEMPLATE} 0000 00000000`;

/** A TPM in which most kinds of entity exist: objects, sessions, indices, a sequence. */
function populated(): Tpm {
  const tpm = newTpm({ objectSlots: 8, sessionSlots: 4 });
  const nonce = `0010${'00'.repeat(16)}`;
  run(tpm, 0x131, ECC_PRIMARY, true);
  run(tpm, 0x186, '0000 000b');
  run(tpm, 0x176, `40000007 40000007 ${nonce} 0000 00 0006 0080 0043 000b`);
  run(tpm, 0x176, `40000007 40000007 ${nonce} 0000 01 0010 000b`);
  run(tpm, 0x12a, `${OWNER} ${PW} 0000 000e 01000001 000b 00060006 0000 0008`, true);
  run(tpm, 0x137, `${OWNER} 01000001 ${PW} 0008 0102030405060708 0000`, true);
  return tpm;
}

const start = populated().state;
const HANDLES = [
  0x80000000, 0x80000001, 0x80000002, 0x02000000, 0x03000001, 0x01000001, 0x01000002, 0x40000001, 0x4000000b,
  0x4000000c, 0x4000000a, 0x40000007, 0x40000009, 0x81000001, 0x00000000, 0x00000010, 0x00000018, 0xffffffff,
];

function fork(): Tpm {
  return new Tpm(start, { clock: new TestClock() });
}

function checkResponse(response: Uint8Array): void {
  const view = new DataView(response.buffer, response.byteOffset, response.byteLength);
  expect(response.length).toBeGreaterThanOrEqual(10);
  expect([0x8001, 0x8002]).toContain(view.getUint16(0));
  expect(view.getUint32(2)).toBe(response.length);
  const code = view.getUint32(6);
  if (code !== 0) {
    expect(response.length).toBe(10);
    expect(decodeRc(code).name).not.toBe('TPM_RC_UNKNOWN');
  }
}

const code = fc.constantFrom(...COMMANDS.keys());
const handle = fc.constantFrom(...HANDLES);
const word = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc
    .constantFrom(0x0000, 0x0001, 0x000b, 0x0010, 0x0020, 0x0023, 0x8021, 0x8024, 0xffff)
    .map((n) => [n >>> 8, n & 255]),
  handle.map((h) => [h >>> 24, (h >>> 16) & 255, (h >>> 8) & 255, h & 255]),
);

/**
 * A frame of a known command: its handles, an authorization area that may fit, parameters of plausible
 * pieces.
 */
const shapedFrame = fc
  .tuple(code, fc.array(handle, { maxLength: 3 }), fc.boolean(), fc.array(word, { maxLength: 8 }))
  .map(([cc, handles, withSessions, words]) => {
    const command = COMMANDS.get(cc);
    const wanted = command?.handles.length ?? 0;
    const own = Array.from({ length: wanted }, (_, i) => handles[i] ?? 0x80000000);
    const auths = command?.handles.filter(([, spec]) => spec.role !== 'none').length ?? 0;
    const hex = own.map((h) => h.toString(16).padStart(8, '0')).join('');
    const session = '40000009 0000 00 0000';
    const area = `${(9 * auths).toString(16).padStart(8, '0')}${session.repeat(auths)}`;
    const body = words.map((w) => Buffer.from(w).toString('hex')).join('');
    const sessions = auths > 0 || withSessions;
    return frame(cc, `${hex}${sessions ? area : ''}${body}`, sessions);
  });

describe('frames', () => {
  test('any octets get a well-formed response', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        checkResponse(fork().execute(bytes));
      }),
      { numRuns: 500 },
    );
  });

  test('a header with any code and body gets a well-formed response', () => {
    fc.assert(
      fc.property(
        code,
        fc.uint8Array({ maxLength: 200 }),
        fc.boolean(),
        fc.nat(5),
        (cc, body, sessions, locality) => {
          checkResponse(fork().execute(frame(cc, Buffer.from(body).toString('hex'), sessions), locality));
        },
      ),
      { numRuns: 1500 },
    );
  });

  test('shaped frames get a well-formed response, and a refused one changes no state but counters', () => {
    fc.assert(
      fc.property(shapedFrame, (bytes) => {
        const tpm = fork();
        const before = tpm.state;
        const response = tpm.execute(bytes);
        checkResponse(response);
        if (responseCodeOf(response) !== 0) {
          expect(tpm.state.ram.objects).toBe(before.ram.objects);
          expect(tpm.state.nv.nvIndices).toBe(before.nv.nvIndices);
          expect(tpm.state.pcr).toBe(before.pcr);
        }
      }),
      { numRuns: 4000 },
    );
  });

  test('a cut or lengthened valid command is refused without harm', () => {
    const valid = frame(0x131, ECC_PRIMARY, true);
    fc.assert(
      fc.property(fc.nat(valid.length), fc.nat(255), (at, octet) => {
        const bytes = valid.slice();
        bytes[at % valid.length] = octet;
        checkResponse(fork().execute(bytes));
        checkResponse(fork().execute(valid.subarray(0, at)));
      }),
      { numRuns: 300 },
    );
  });

  test('state through JSON in the middle of a history continues identically', () => {
    fc.assert(
      fc.property(fc.array(shapedFrame, { minLength: 2, maxLength: 8 }), fc.nat(7), (frames, cut) => {
        const straight = fork();
        let broken = fork();
        frames.forEach((bytes, i) => {
          if (i === cut) {
            const json = JSON.parse(JSON.stringify(encodeState(broken.state)));
            broken = new Tpm(decodeState(json) as TpmState, { clock: new TestClock() });
          }
          expect(broken.execute(bytes)).toEqual(straight.execute(bytes));
        });
        expect(encodeState(broken.state)).toEqual(encodeState(straight.state));
      }),
      { numRuns: 150 },
    );
  });
});
