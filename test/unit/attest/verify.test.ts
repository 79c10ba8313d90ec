import { describe, expect, it } from 'vitest';
import { verify } from '../../../src/attest/verify.ts';
import { concat } from '../../../src/base/bytes.ts';
import { bytesOf, evidenceOf, exported, recordsOf, withList } from './evidence.ts';

const files = exported();
const good = evidenceOf(files);
const codes = (r: ReturnType<typeof verify>): string[] => r.findings.map((f) => f.code);

describe('the verifier on what nobody changed', () => {
  it.each(['ecc', 'rsa'] as const)('trusts quote, list, registers and event log (%s key)', (key) => {
    const report = verify(evidenceOf(exported('', key)));
    expect(report.findings).toEqual([]);
    expect(report.verdict).toBe('trusted');
    expect(report.list.vouched).toBe(report.list.records);
  });

  it('reads the same list in its ASCII form', () => {
    const report = verify(evidenceOf(files, 'ascii_runtime_measurements'));
    expect(report.findings).toEqual([]);
    expect(report.list.records).toBe(verify(good).list.records);
  });

  it('finds the quoted registers itself when none are given', () => {
    const report = verify({ ...good, registers: new Map() });
    expect(report.findings).toEqual([]);
    expect(report.list.vouched).toBe(report.list.records);
  });

  it('names the part of a longer list that an earlier quote vouches for', () => {
    const quote = {
      quote: bytesOf(files, 'quotes/early.msg'),
      signature: bytesOf(files, 'quotes/early.sig'),
      ak: bytesOf(files, 'quotes/early.pem'),
      nonce: Uint8Array.of(0xaa),
    };
    const report = verify({ ...good, registers: new Map(), quote });
    expect(report.verdict).toBe('trusted');
    expect(codes(report)).toEqual(['attest.list_longer']);
    expect(report.list.vouched).toBe(report.list.records - 1);
    expect(report.findings[0]?.record).toBe(report.list.records - 1);
  });

  it('takes a list in several files', () => {
    const parts = recordsOf(good).map((r) => r.bytes);
    const report = verify(withList(good, concat(...parts.slice(0, 2)), concat(...parts.slice(2))));
    expect(report.findings).toEqual([]);
  });

  it('reads a list in pieces of any size', () => {
    const [whole] = [...(good.list[0]?.() ?? [])];
    if (whole === undefined) throw new Error('no list');
    for (const size of [1, 7, 64, 1000]) {
      const cut = function* (): Generator<Uint8Array> {
        for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
      };
      if (size >= 64) expect(verify({ ...good, list: [cut] }).findings, `${size}`).toEqual([]);
      else expect(verify({ ...good, list: [cut] }).list.records, `${size}`).toBe(recordsOf(good).length);
    }
  });

  it('says so when nothing vouches for the list', () => {
    const report = verify({ ...good, registers: new Map(), quote: null, eventlog: null });
    expect(codes(report)).toContain('attest.unanchored');
  });

  it('goes on where the last visit ended', () => {
    const first = verify(good);
    const more = '  - { op: write, path: /mnt/d, data: "four\\n" }\n  - { op: read, path: /mnt/d }\n';
    const later = evidenceOf(exported(more));
    const whole = verify({ ...later, last: first.visit });
    expect(whole.findings).toEqual([]);
    const tail = recordsOf(later).slice(first.visit.list?.records);
    expect(tail.length).toBeGreaterThan(0);
    const part = verify({ ...withList(later, concat(...tail.map((r) => r.bytes))), last: first.visit });
    expect(part.findings).toEqual([]);
    expect(part.visit.list?.records).toBe(whole.visit.list?.records);
  });
});
