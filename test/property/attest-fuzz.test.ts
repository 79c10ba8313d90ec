// Whatever bytes a machine sends: reading event logs, lists, policies, quotes and register files ends with a value or with
// an error that names a place inside of the bytes. Made from honest files by cutting, changing and repeating parts, and
// from nothing.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import '../../src/crypto/auto.ts';
import { eventLogYaml } from '../../src/attest/eventlog-yaml.ts';
import { readPolicy } from '../../src/attest/policy.ts';
import { NO_POLICY } from '../../src/attest/policy-rules.ts';
import { UnreadableError } from '../../src/attest/verdict.ts';
import { type Evidence, readList, verify } from '../../src/attest/verify.ts';
import { concat, latin1, utf8 } from '../../src/base/bytes.ts';
import { Writer } from '../../src/base/codec.ts';
import { eventText } from '../../src/kernel/event-text.ts';
import { decodeEventLog } from '../../src/kernel/eventlog.ts';
import { Machine } from '../../src/kernel/machine.ts';
import { logMistake } from '../../src/kernel/real-log.ts';
import { bytesOf, evidenceOf, exported } from '../unit/attest/evidence.ts';

const files = exported();
const good = evidenceOf(files);
const listBytes = bytesOf(files, 'binary_runtime_measurements');
const LOGS = [
  bytesOf(files, 'eventlog.bin'),
  Machine.boot({ firmware: { uefi: { log: 'sha1' } } }).eventLog(),
  Machine.boot({
    firmware: {
      uefi: {
        loader: 'stub',
        startupLocality: 3,
        dbx: [{ certSha256: new Uint8Array(32) }],
        db: [{ cert: new Uint8Array(99) }],
      },
    },
  }).eventLog(),
];
const RUNS = 400;

/** Honest bytes with a few changes: bits, cuts, numbers that lie about lengths, repeated parts. */
function damaged(sources: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    kind: fc.constantFrom('bit', 'cut', 'number', 'repeat', 'insert'),
    at: fc.nat(),
    value: fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 1, 0xff, 0x7fffffff, 0x80000000, 0xffffffff)),
  });
  return fc.tuple(fc.constantFrom(...sources), fc.array(change, { maxLength: 4 })).map(([from, changes]) => {
    let bytes: Uint8Array = from.slice();
    for (const { kind, at, value } of changes) {
      const place = bytes.length === 0 ? 0 : at % bytes.length;
      const number = new Writer('le').u32(value).finish();
      if (kind === 'bit' && bytes.length > 0) bytes[place] = (bytes[place] ?? 0) ^ (1 << (value % 8));
      else if (kind === 'cut') bytes = bytes.slice(0, place);
      else if (kind === 'number' && place + 4 <= bytes.length) bytes.set(number, place);
      else if (kind === 'repeat') bytes = concat(bytes, bytes.subarray(place));
      else if (kind === 'insert') bytes = concat(bytes.subarray(0, place), number, bytes.subarray(place));
    }
    return bytes;
  });
}

const anyBytes = (sources: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc.oneof({ weight: 5, arbitrary: damaged(sources) }, fc.uint8Array({ maxLength: 300 }));

/** Runs what may refuse bytes; a refusal names a place inside of them. */
function readsOrSaysWhere(bytes: Uint8Array, read: () => unknown): void {
  try {
    read();
  } catch (e) {
    if (!(e instanceof UnreadableError)) throw e;
    expect(e.what.message.length).toBeGreaterThan(3);
    expect(e.what.byte).toBeGreaterThanOrEqual(0);
    expect(e.what.byte).toBeLessThanOrEqual(bytes.length);
  }
}

describe('any bytes', () => {
  it('as an event log', () => {
    fc.assert(
      fc.property(anyBytes(LOGS), (bytes) => {
        const log = decodeEventLog(bytes);
        expect(log.problem === null).toBe(log.problemAt === null);
        if (log.problemAt !== null) expect(log.problemAt).toBeLessThanOrEqual(Math.max(32, bytes.length));
        for (const [i, place] of log.places.entries()) {
          expect(place.offset).toBeGreaterThanOrEqual(log.places[i - 1]?.data ?? 0);
          expect(place.data + (log.events[i]?.event.length ?? 0)).toBeLessThanOrEqual(bytes.length);
        }
        for (const event of log.events) expect(typeof eventText(event)).toBe('string');
        for (const version of [1, 2] as const) {
          const { problem } = eventLogYaml(bytes, version);
          if (problem !== null) expect(problem.offset).toBeLessThanOrEqual(Math.max(32, bytes.length));
        }
        const wrong = logMistake(bytes);
        if (wrong !== null) expect(wrong.offset).toBeLessThanOrEqual(Math.max(32, bytes.length));
        readsOrSaysWhere(bytes, () => verify({ ...good, eventlog: bytes }));
      }),
      { numRuns: RUNS },
    );
  });

  it('as an event log of a machine that boots', () => {
    fc.assert(
      fc.property(damaged(LOGS), (eventlog) => {
        fc.pre(logMistake(eventlog) === null);
        expect(Machine.boot({ firmware: { eventlog }, disks: [] }).eventLog()).toEqual(eventlog);
      }),
      { numRuns: 40 },
    );
  });

  it('as a binary list, in pieces of any size', () => {
    fc.assert(
      fc.property(anyBytes([listBytes]), fc.integer({ min: 1, max: 400 }), (bytes, size) => {
        const pieces = function* (): Generator<Uint8Array> {
          for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
        };
        readsOrSaysWhere(bytes, () => readList([pieces], (r) => expect(r.byte).toBeLessThan(bytes.length)));
        readsOrSaysWhere(bytes, () => verify({ ...good, list: [() => [bytes]] }));
      }),
      { numRuns: RUNS },
    );
  });

  it('as an ASCII list', () => {
    const ascii = bytesOf(files, 'ascii_runtime_measurements');
    fc.assert(
      fc.property(anyBytes([ascii]), (bytes) => {
        readsOrSaysWhere(bytes, () => verify({ ...good, list: [() => [bytes]] }));
      }),
      { numRuns: RUNS },
    );
  });

  it('as parts of a quote', () => {
    const quote = good.quote as NonNullable<Evidence['quote']>;
    for (const part of ['quote', 'signature', 'ak'] as const) {
      fc.assert(
        fc.property(anyBytes([quote[part] ?? new Uint8Array(0)]), (bytes) => {
          readsOrSaysWhere(bytes, () => verify({ ...good, quote: { ...quote, [part]: bytes } }));
        }),
        { numRuns: RUNS / 4 },
      );
    }
  });

  it('as a policy', () => {
    const keylime = utf8(
      JSON.stringify({
        meta: { version: 1 },
        digests: { '/a': ['00'.repeat(32)] },
        excludes: ['/tmp'],
        keyrings: {},
        ima: {},
      }),
    );
    const own = utf8(
      'files: { /a: ["sha256:00"] }\npaths: [{ path: "/usr/**", signed: true }]\nrequire: [quote]\n',
    );
    fc.assert(
      fc.property(anyBytes([keylime, own, latin1(`${'00'.repeat(32)} /a\n`)]), (bytes) => {
        readsOrSaysWhere(bytes, () => {
          const policy = readPolicy(bytes, () => undefined);
          expect(policy.files).toBeInstanceOf(Map);
          verify({ ...good, policy: { ...NO_POLICY, ...policy } });
        });
      }),
      { numRuns: RUNS, examples: [[utf8('*\0')], [utf8('files: *none\n')]] },
    );
  });
});
