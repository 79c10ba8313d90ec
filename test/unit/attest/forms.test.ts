// Forms of lists that a simulated little-endian machine does not write: big-endian hosts, files of every bank, parts, old
// and short digests. Each is made from its fields, with registers that belong to it, and must be trusted; with one bit
// changed it must not be.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { NO_POLICY } from '../../../src/attest/policy-rules.ts';
import { measuredOf, oldTemplateData, templateDataOf } from '../../../src/attest/record.ts';
import { readList, verify } from '../../../src/attest/verify.ts';
import { concat, fromUtf8, latin1, utf8 } from '../../../src/base/bytes.ts';
import { Writer } from '../../../src/base/codec.ts';
import { crypto, digestSize, type HashName } from '../../../src/crypto/provider.ts';

type Order = 'le' | 'be';
const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies readonly HashName[];
const h = (alg: HashName, data: Uint8Array): Uint8Array => crypto().hash(alg, data);
const dng = (alg: string, digest: Uint8Array, kind = ''): Uint8Array =>
  concat(latin1(`${kind}${alg}:\0`), digest);
const name = (text: string): Uint8Array => utf8(`${text}\0`);
const sig = Uint8Array.of(3, 2, 4, 1, 2, 3, 4, 0, 2, 9, 9);
const file = h('sha256', utf8('content'));

/** Template -> the fields of one record. */
const TEMPLATES: Readonly<Record<string, readonly Uint8Array[]>> = {
  'ima-ng': [dng('sha256', file), name('/bin/a b\n')],
  'ima-ngv2': [dng('sha256', file, 'verity:'), name('/bin/a')],
  'ima-sig': [dng('sha512', h('sha512', utf8('x'))), name('/bin/a'), sig],
  'ima-sigv2': [dng('sha256', file, 'ima:'), name('/bin/a'), new Uint8Array(0)],
  'ima-buf': [dng('sha256', h('sha256', utf8('data'))), name('label'), utf8('data')],
  'ima-modsig': [dng('sha256', file), name('/m.ko'), new Uint8Array(0), dng('sha256', file), utf8('pkcs7')],
  'evm-sig': [
    dng('sha256', file),
    name('/bin/a'),
    sig,
    name('security.ima'),
    new Uint8Array(4),
    utf8('v'),
    new Uint8Array(4),
    new Uint8Array(4),
    new Uint8Array(2),
  ],
  'd-ng|n-ng|d-modsig': [dng('sha256', file), name('/bin/a'), new Uint8Array(0)],
  'n-ng|sig': [name('/bin/a'), sig],
  'd|n': [h('sha1', utf8('x')), name('/bin/a')],
};

interface Made {
  readonly template: string;
  readonly data: Uint8Array;
  /** Bytes after the template's name. */
  readonly tail: Uint8Array;
}

function ofFields(template: string, order: Order): Made {
  const data = templateDataOf(TEMPLATES[template] ?? [], order);
  return { template, data, tail: concat(new Writer(order).u32(data.length).finish(), data) };
}

/** The template `ima`: digest, name without zero, hashed with the name padded. */
function old(alg: 'sha1' | 'md5', path: string, order: Order): Made {
  const [digest, text] = [h(alg, utf8(path)), utf8(path)];
  const tail = concat(digest, new Writer(order).u32(text.length).finish(), text);
  return { template: 'ima', data: oldTemplateData(digest, text), tail };
}

function listOf(records: readonly Made[], order: Order, bank: HashName): Uint8Array {
  return concat(
    ...records.map((r) => {
      const w = new Writer(order).u32(10).bytes(h(bank, r.data)).u32(r.template.length);
      return w.bytes(latin1(r.template)).bytes(r.tail).finish();
    }),
  );
}

function registersOf(
  records: readonly Made[],
  banks: readonly HashName[],
): Map<HashName, Map<number, Uint8Array>> {
  return new Map(
    banks.map((bank) => {
      let value: Uint8Array = new Uint8Array(digestSize(bank));
      for (const r of records) value = h(bank, concat(value, h(bank, r.data)));
      return [bank, new Map([[10, value]])];
    }),
  );
}

const judge = (list: readonly Uint8Array[], records: readonly Made[], banks: readonly HashName[] = BANKS) =>
  verify({
    list: list.map((bytes) => () => [bytes]),
    registers: registersOf(records, banks),
    quote: null,
    eventlog: null,
    policy: NO_POLICY,
    last: null,
  });

const ALL = (order: Order): Made[] => [
  ...Object.keys(TEMPLATES).map((t) => ofFields(t, order)),
  old('sha1', '/sbin/init', order),
  old('md5', '/sbin/init', order),
  ofFields('ima-ng', order),
];

describe.each(['le', 'be'] as const)('lists of a host with byte order %s', (order) => {
  it.each(BANKS)('in the file of the bank %s', (bank) => {
    const records = ALL(order);
    const report = judge([listOf(records, order, bank)], records);
    expect(report.findings.filter((f) => f.level === 'fail')).toEqual([]);
    expect(report.list.records).toBe(records.length);
  });

  it('in parts that begin with any template', () => {
    const records = ALL(order);
    for (let cut = 1; cut < records.length; cut++) {
      const parts = [records.slice(0, cut), records.slice(cut)].map((r) => listOf(r, order, 'sha256'));
      const report = judge(parts, records);
      expect(
        report.findings.filter((f) => f.level === 'fail'),
        `${cut}`,
      ).toEqual([]);
    }
  });

  it('every changed byte of the template data is noticed', () => {
    const records = ALL(order);
    for (const [i, r] of records.entries()) {
      const changed = r.tail.slice();
      changed[r.tail.length - 1] = (changed[r.tail.length - 1] ?? 0) ^ 1;
      const bytes = concat(
        listOf(records.slice(0, i), order, 'sha1'),
        listOf([r], order, 'sha1').subarray(0, -r.tail.length),
        changed,
        listOf(records.slice(i + 1), order, 'sha1'),
      );
      const report = judge([bytes], records);
      expect(report.verdict, r.template).toBe('untrusted');
      expect(report.findings.find((f) => f.level === 'fail')?.record, r.template).toBe(i);
    }
  });

  it('gives name, digest, signature and buffer of each template', () => {
    const seen: string[] = [];
    readList([() => [listOf(ALL(order), order, 'sha1')]], (r) => {
      const m = measuredOf(r);
      seen.push(
        `${r.template} ${m?.name.replace('\n', '?')} ${m?.file?.kind}${m?.file?.alg} ${m?.sig.length} ${m?.buf === null ? '-' : fromUtf8(m?.buf ?? sig)}`,
      );
    });
    expect(seen).toEqual([
      'ima-ng /bin/a b? sha256 0 -',
      'ima-ngv2 /bin/a veritysha256 0 -',
      'ima-sig /bin/a sha512 11 -',
      'ima-sigv2 /bin/a imasha256 0 -',
      'ima-buf label sha256 0 data',
      'ima-modsig /m.ko sha256 0 -',
      'evm-sig /bin/a sha256 11 -',
      'd-ng|n-ng|d-modsig /bin/a sha256 0 -',
      'n-ng|sig /bin/a undefinedundefined 11 -',
      'd|n /bin/a sha1 0 -',
      'ima /sbin/init sha1 0 -',
      'ima /sbin/init md5 0 -',
      'ima-ng /bin/a b? sha256 0 -',
    ]);
  });
});

describe('registers of old kernels', () => {
  it('hold sha1 digests, padded with zeros, in every bank', () => {
    const records = ALL('le');
    const registers = new Map<HashName, Map<number, Uint8Array>>(
      BANKS.map((bank) => {
        let value: Uint8Array = new Uint8Array(digestSize(bank));
        for (const r of records) {
          const padded = new Uint8Array(digestSize(bank));
          padded.set(h('sha1', r.data));
          value = h(bank, concat(value, padded));
        }
        return [bank, new Map([[10, value]])];
      }),
    );
    const report = verify({
      list: [() => [listOf(records, 'le', 'sha1')]],
      registers,
      quote: null,
      eventlog: null,
      policy: NO_POLICY,
      last: null,
    });
    expect(report.findings.filter((f) => f.level === 'fail')).toEqual([]);
  });

  it('a violation counts as ones in the registers and as zeros in the list', () => {
    const records = ALL('le').slice(0, 2);
    const list = listOf(records, 'le', 'sha1');
    const zeroed = list.slice().fill(0, 4, 24);
    let value = h('sha1', concat(new Uint8Array(20), new Uint8Array(20).fill(0xff)));
    value = h('sha1', concat(value, h('sha1', records[1]?.data ?? sig)));
    const report = verify({
      list: [() => [zeroed]],
      registers: new Map([['sha1', new Map([[10, value]])]]),
      quote: null,
      eventlog: null,
      policy: { ...NO_POLICY, violations: 'allow' },
      last: null,
    });
    expect(report.findings.filter((f) => f.level === 'fail')).toEqual([]);
  });
});
