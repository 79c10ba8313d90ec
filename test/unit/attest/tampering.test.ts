// The tampering table: each row changes one thing in honest evidence and names the reason and the place that the
// verifier must give. A row whose change goes unnoticed, or is noticed elsewhere, fails.

import { describe, expect, it } from 'vitest';
import { readPolicy } from '../../../src/attest/policy.ts';
import { type Artefact, UnreadableError } from '../../../src/attest/verdict.ts';
import { type Evidence, verify } from '../../../src/attest/verify.ts';
import { concat, filled, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { Reader, Writer } from '../../../src/base/codec.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { decodeEventLog, EVENT_TYPES } from '../../../src/kernel/eventlog.ts';
import { bytesOf, evidenceOf, exported, flipped, recordsOf, textOfFile, withList } from './evidence.ts';

const files = exported();
const good = evidenceOf(files);
const records = recordsOf(good);
const list = records.map((r) => r.bytes);
const other = evidenceOf(exported('', 'rsa'));
const log = decodeEventLog(bytesOf(files, 'eventlog.bin'));
const firstVisit = verify(good).visit;

const start = (i: number): number => records[i]?.record.byte ?? -1;
const at = (i: number): Uint8Array => list[i] ?? new Uint8Array(0);
const replaced = (i: number, bytes: Uint8Array): Uint8Array =>
  concat(...list.slice(0, i), bytes, ...list.slice(i + 1));

/** A record of another content and name, with digests that fit: the work of somebody who knows the format. */
function forged(i: number): Uint8Array {
  const r = new Reader(at(i), 'le');
  const pcr = r.u32();
  r.take(20);
  const template = r.take(r.u32());
  const data = r.take(r.u32()).slice();
  data[20] = (data[20] ?? 0) ^ 1;
  const w = new Writer('le').u32(pcr).bytes(crypto().hash('sha1', data));
  return w.u32(template.length).bytes(template).u32(data.length).bytes(data).finish();
}

function violation(i: number): Uint8Array {
  const out = at(i).slice();
  return out.fill(0, 4, 24);
}

function renamed(i: number, template: string): Uint8Array {
  const r = new Reader(at(i), 'le');
  const head = r.take(24);
  r.take(r.u32());
  return concat(head, new Writer('le').u32(template.length).finish(), latin1(template), r.rest());
}

function withQuote(change: Partial<NonNullable<Evidence['quote']>>): Evidence {
  return { ...good, quote: good.quote === null ? null : { ...good.quote, ...change } };
}

const quote = bytesOf(files, 'quote.msg');
const last = (n: number): number => records.length - n;

/** A register file with another value. */
function otherRegister(pcr: number): Evidence {
  const registers = new Map(
    [...good.registers].map(([bank, pcrs]) => [
      bank,
      new Map([...pcrs].map(([n, v]) => [n, n === pcr ? flipped(v, 0) : v])),
    ]),
  );
  return { ...good, registers };
}

function withLog(change: (bytes: Uint8Array) => Uint8Array): Evidence {
  return { ...good, eventlog: change(bytesOf(files, 'eventlog.bin')) };
}

const separator = log.events.findIndex((e) => e.type === EVENT_TYPES.EV_SEPARATOR && e.pcr === 4);
const variable = log.events.findIndex((e) => e.type === EVENT_TYPES.EV_EFI_VARIABLE_DRIVER_CONFIG);
const logAt = (i: number): { offset: number; data: number } => log.places[i] ?? { offset: -1, data: -1 };
const logEnd = (i: number): number => log.places[i + 1]?.offset ?? bytesOf(files, 'eventlog.bin').length;
const lastOf = (pcr: number): number => log.events.findLastIndex((e) => e.pcr === pcr);

const policy = (text: string): Evidence['policy'] => readPolicy(utf8(text), () => undefined);
const digestOf = (content: string): string => toHex(crypto().hash('sha256', utf8(content)));
const ONLY = (a: string): string => `files:\n  /mnt/a: ["${a}"]\n  /mnt/b: ["sha256:${digestOf('two\n')}"]\n`;

interface Row {
  readonly what: string;
  readonly evidence: () => Evidence;
  readonly code: string;
  readonly artefact: Artefact;
  readonly record?: number | null;
  readonly byte?: number | null;
  readonly part?: number;
}

const TABLE: readonly Row[] = [
  // --- the list
  {
    what: 'the last record cut away',
    evidence: () => withList(good, concat(...list.slice(0, -1))),
    code: 'attest.list_replay',
    artefact: 'list',
    record: last(2),
  },
  {
    what: 'all records cut away',
    evidence: () => withList(good),
    code: 'attest.list_replay',
    artefact: 'list',
    record: null,
  },
  {
    what: 'a record taken out',
    evidence: () => withList(good, replaced(1, new Uint8Array(0))),
    code: 'attest.list_replay',
    artefact: 'list',
    record: last(2),
  },
  {
    what: 'two records in another order',
    evidence: () => withList(good, concat(at(0), at(2), at(1), ...list.slice(3))),
    code: 'attest.list_replay',
    artefact: 'list',
    record: last(1),
  },
  {
    what: 'a record twice',
    evidence: () => withList(good, concat(at(0), at(1), at(1), ...list.slice(2))),
    code: 'attest.list_replay',
    artefact: 'list',
    record: records.length,
  },
  {
    what: 'a content changed',
    evidence: () => withList(good, replaced(1, flipped(at(1), at(1).length - 12))),
    code: 'attest.record_digest',
    artefact: 'list',
    record: 1,
    byte: start(1) + 4,
  },
  {
    what: 'a template digest changed',
    evidence: () => withList(good, replaced(2, flipped(at(2), 5))),
    code: 'attest.record_digest',
    artefact: 'list',
    record: 2,
    byte: start(2) + 4,
  },
  {
    what: 'a record forged with digests that fit',
    evidence: () => withList(good, replaced(1, forged(1))),
    code: 'attest.list_replay',
    artefact: 'list',
    record: last(1),
  },
  {
    what: 'a record turned into a violation',
    evidence: () => withList(good, replaced(1, violation(1))),
    code: 'attest.violation',
    artefact: 'list',
    record: 1,
    byte: start(1),
  },
  {
    what: 'a template that no kernel has',
    evidence: () => withList(good, replaced(1, renamed(1, 'ima-new'))),
    code: 'attest.unknown_template',
    artefact: 'list',
    record: 1,
    byte: start(1),
  },
  {
    what: 'fields of another template',
    evidence: () => withList(good, replaced(1, renamed(1, 'ima-ng'))),
    code: 'attest.malformed_record',
    artefact: 'list',
    record: 1,
    byte: start(1),
  },
  {
    what: 'another register in a record',
    evidence: () => withList(good, replaced(1, concat(Uint8Array.of(11), at(1).subarray(1)))),
    code: 'attest.list_replay',
    artefact: 'list',
    record: last(1),
  },
  {
    what: 'a record of register 12, which is not quoted',
    evidence: () => withList(good, concat(...list, Uint8Array.of(12), at(1).subarray(1))),
    code: 'attest.quote_selection',
    artefact: 'quote',
  },
  {
    what: 'boot_aggregate of another boot',
    evidence: () => withList(good, replaced(0, forged(0))),
    code: 'attest.boot_aggregate',
    artefact: 'list',
    record: 0,
    byte: 0,
  },
  {
    what: 'the files of a list in the wrong order',
    evidence: () => withList(good, concat(...list.slice(2)), concat(...list.slice(0, 2))),
    code: 'attest.boot_aggregate_missing',
    artefact: 'list',
    record: 0,
    part: 0,
  },
  {
    what: 'a content changed in the second file',
    evidence: () =>
      withList(good, concat(at(0), at(1)), concat(flipped(at(2), at(2).length - 12), ...list.slice(3))),
    code: 'attest.record_digest',
    artefact: 'list',
    record: 2,
    byte: 4,
    part: 1,
  },
  // --- quote and key
  {
    what: 'another nonce',
    evidence: () => withQuote({ nonce: Uint8Array.of(9) }),
    code: 'attest.nonce',
    artefact: 'quote',
  },
  {
    what: 'the nonce changed inside of the quote',
    evidence: () => withQuote({ quote: flipped(quote, 45) }),
    code: 'attest.quote_signature',
    artefact: 'signature',
    byte: 0,
  },
  {
    what: 'the quoted digest changed',
    evidence: () => withQuote({ quote: flipped(quote, quote.length - 1) }),
    code: 'attest.quote_digest',
    artefact: 'quote',
    byte: quote.length - 32,
  },
  {
    what: 'the signature changed',
    evidence: () => withQuote({ signature: flipped(bytesOf(files, 'quote.sig'), 20) }),
    code: 'attest.quote_signature',
    artefact: 'signature',
  },
  {
    what: 'the key of another TPM',
    evidence: () => withQuote({ ak: other.quote?.ak ?? null }),
    code: 'attest.quote_signature',
    artefact: 'signature',
  },
  {
    what: 'a key that signs anything',
    evidence: () => withQuote({ ak: flipped(bytesOf(files, 'ak.pub'), 7) }),
    code: 'attest.key_not_restricted',
    artefact: 'ak',
  },
  {
    what: 'a quote without its signature',
    evidence: () => withQuote({ signature: null }),
    code: 'attest.quote_signature',
    artefact: 'quote',
  },
  {
    what: 'an old quote replayed with its own nonce',
    evidence: () =>
      withQuote({
        quote: bytesOf(files, 'quotes/early.msg'),
        signature: bytesOf(files, 'quotes/early.sig'),
        ak: bytesOf(files, 'quotes/early.pem'),
      }),
    code: 'attest.nonce',
    artefact: 'quote',
  },
  {
    what: 'registers that were not quoted',
    evidence: () => otherRegister(10),
    code: 'attest.quote_digest',
    artefact: 'quote',
    byte: quote.length - 32,
  },
  // --- the last visit
  {
    what: 'a clock that ran backwards',
    evidence: () => ({
      ...good,
      last: {
        ...firstVisit,
        counters: firstVisit.counters && { ...firstVisit.counters, clock: firstVisit.counters.clock + 1n },
      },
    }),
    code: 'attest.clock',
    artefact: 'quote',
  },
  {
    what: 'a reset counter that went back',
    evidence: () => ({
      ...good,
      last: {
        ...firstVisit,
        counters: firstVisit.counters && {
          ...firstVisit.counters,
          resetCount: firstVisit.counters.resetCount + 1,
        },
      },
    }),
    code: 'attest.reset_count',
    artefact: 'quote',
  },
  {
    what: 'another key than at the last visit',
    evidence: () => ({ ...good, last: { ...firstVisit, key: 'ff' } }),
    code: 'attest.other_key',
    artefact: 'ak',
  },
  {
    what: 'a list shorter than at the last visit',
    evidence: () => ({ ...withList(good, concat(...list.slice(0, 2))), last: firstVisit }),
    code: 'attest.list_history',
    artefact: 'list',
    record: 2,
  },
  {
    what: 'a list that was rewritten since the last visit',
    evidence: () => ({ ...withList(good, replaced(1, forged(1))), last: firstVisit }),
    code: 'attest.list_history',
    artefact: 'list',
    record: last(1),
    byte: start(last(1)),
  },
  // --- the event log
  {
    what: 'an event taken out of the log',
    evidence: () =>
      withLog((b) => concat(b.subarray(0, logAt(separator).offset), b.subarray(logEnd(separator)))),
    code: 'attest.eventlog_replay',
    artefact: 'eventlog',
  },
  {
    what: 'the data of an event changed',
    evidence: () => withLog((b) => flipped(b, logAt(variable).data + 3)),
    code: 'attest.eventlog_digest',
    artefact: 'eventlog',
    record: variable,
    byte: logAt(variable).data,
  },
  {
    what: 'the digest of an event changed',
    evidence: () => withLog((b) => flipped(b, logAt(lastOf(5)).offset + 40)),
    code: 'attest.eventlog_replay',
    artefact: 'eventlog',
    record: lastOf(5),
    byte: logAt(lastOf(5)).offset,
  },
  {
    what: 'an event added to the log',
    evidence: () => withLog((b) => concat(b, b.subarray(logAt(lastOf(5)).offset, logEnd(lastOf(5))))),
    code: 'attest.eventlog_longer',
    artefact: 'eventlog',
    record: log.events.length,
  },
  {
    what: 'Secure Boot off where the policy demands it',
    evidence: () => ({
      ...withLog((b) => flipped(b, logAt(variable).data + 52)),
      policy: policy('secure-boot: true\n'),
    }),
    code: 'attest.secure_boot',
    artefact: 'eventlog',
    record: variable,
    byte: logAt(variable).data,
  },
  // --- the policy
  {
    what: 'a file with another content than the policy allows',
    evidence: () => ({ ...good, policy: policy(`${ONLY(digestOf('evil'))}unlisted: allow\n`) }),
    code: 'attest.wrong_digest',
    artefact: 'list',
    record: 1,
    byte: start(1),
  },
  {
    what: 'a file that the policy does not know',
    evidence: () => ({ ...good, policy: policy(ONLY(digestOf('one\n'))) }),
    code: 'attest.unlisted',
    artefact: 'list',
    record: 3,
    byte: start(3),
  },
  {
    what: 'a file that should be signed',
    evidence: () => ({
      ...good,
      policy: policy('paths:\n  - { path: "/mnt/a", signed: true }\nunlisted: allow\n'),
    }),
    code: 'attest.unsigned',
    artefact: 'list',
    record: 1,
  },
  {
    what: 'boot_aggregate that is not golden',
    evidence: () => ({ ...good, policy: policy(`boot-aggregate: "sha256:${'00'.repeat(32)}"\n`) }),
    code: 'attest.boot_aggregate_golden',
    artefact: 'list',
    record: 0,
  },
  {
    what: 'a register that is not golden',
    evidence: () => ({ ...good, policy: policy(`registers: { sha256: { "7": "${'00'.repeat(32)}" } }\n`) }),
    code: 'attest.register_golden',
    artefact: 'registers',
  },
  {
    what: 'no quote where the policy demands one',
    evidence: () => ({ ...good, quote: null, policy: policy('require: [quote]\n') }),
    code: 'attest.required',
    artefact: 'policy',
  },
];

/** Reasons that warn and do not fail by themselves. */
const WARNINGS: ReadonlySet<string> = new Set(['attest.boot_aggregate_missing']);

describe('the tampering table', () => {
  it('has at least 25 rows', () => expect(TABLE.length).toBeGreaterThanOrEqual(25));

  it.each(TABLE.map((row) => [row.what, row] as const))('%s', (_, row) => {
    const report = verify(row.evidence());
    expect(report.verdict).toBe('untrusted');
    const found = report.findings.filter((f) => f.code === row.code);
    expect(
      found.map((f) => f.code),
      JSON.stringify(report.findings, null, 1),
    ).not.toEqual([]);
    if (!WARNINGS.has(row.code)) expect(found.some((f) => f.level === 'fail')).toBe(true);
    const here = found.filter(
      (f) =>
        f.artefact === row.artefact &&
        (row.record === undefined || f.record === row.record) &&
        (row.byte === undefined || f.byte === row.byte) &&
        (row.part === undefined || f.part === row.part),
    );
    expect(here.length, JSON.stringify(found, null, 1)).toBeGreaterThan(0);
  });
});

describe('artefacts that cannot be read', () => {
  const unreadable = (evidence: () => Evidence): UnreadableError['what'] => {
    try {
      verify(evidence());
    } catch (e) {
      if (e instanceof UnreadableError) return e.what;
      throw e;
    }
    throw new Error('it was read');
  };

  it('names the byte where a cut list ends', () => {
    const cut = concat(...list).subarray(0, start(2) + 30);
    expect(unreadable(() => withList(good, cut))).toMatchObject({
      artefact: 'list',
      byte: start(2),
      record: 2,
    });
  });

  it('names the byte where a cut event log ends', () => {
    const what = unreadable(() => withLog((b) => b.subarray(0, logAt(separator).offset + 9)));
    expect(what).toMatchObject({ artefact: 'eventlog', byte: logAt(separator).offset, record: separator });
  });

  it('names what is no list, no quote and no key', () => {
    expect(unreadable(() => withList(good, filled(2000, 0xaa)))).toMatchObject({ artefact: 'list', byte: 0 });
    expect(unreadable(() => withQuote({ quote: filled(20, 1) }))).toMatchObject({
      artefact: 'quote',
      byte: 0,
    });
    expect(unreadable(() => withQuote({ quote: quote.subarray(0, 60) }))).toMatchObject({
      artefact: 'quote',
    });
    expect(unreadable(() => withQuote({ ak: utf8('no key') }))).toMatchObject({ artefact: 'ak' });
    expect(unreadable(() => withQuote({ signature: filled(4, 1) }))).toMatchObject({ artefact: 'signature' });
  });

  it('names the line of an ASCII list that is none', () => {
    const text = textOfFile(files, 'ascii_runtime_measurements');
    const broken = utf8(`nonsense\n${text}`);
    expect(unreadable(() => withList(good, broken))).toMatchObject({ artefact: 'list' });
  });
});
