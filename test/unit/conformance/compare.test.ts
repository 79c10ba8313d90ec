// The comparison: what counts as the same, what is left out, and how a difference is shown.

import { describe, expect, it } from 'vitest';
import { loadCase } from '../../../src/conformance/case.ts';
import { compareCase, reportLines } from '../../../src/conformance/compare.ts';

const record = (ops: unknown[], final: object = {}): object => ({ name: 'n', group: 'a', ops, final });
const differences = (input: object, want: object, got: object | undefined): readonly string[] =>
  compareCase(input, want, got).differences;

describe('comparison with a record', () => {
  it('counts every member of a result that the record has', () => {
    const want = record([{ err: 'OK', bytes: 3 }], { count: 1 });
    const got = record([{ err: 'OK', bytes: 4, more: 1 }], { count: 1 });
    const c = compareCase({ ops: [{ op: 'read', path: '/a' }] }, want, got);
    expect([c.seen, c.equal]).toEqual([3, 2]);
    expect(c.differences).toEqual(['op 0 read /a: bytes: kernel 3 | ours 4']);
  });

  it('shows the first line that differs', () => {
    const got = differences({}, record([], { ascii: 'a\nb\n' }), record([], { ascii: 'a\nc\n' }));
    expect(got).toEqual(['final ascii: line 2: kernel b | ours c']);
  });

  it('leaves out what is not the kernel’s decision', () => {
    const audit = (pid: number, ino: number): object => ({
      audit: [`audit: type=1800 audit(${pid}): pid=${pid} dev="tmpfs" ino=${ino} res=0`],
    });
    expect(differences({}, record([], audit(1, 5)), record([], audit(2, 6)))).toEqual([]);
    const ops = [
      { op: 'geninfo', path: '/mnt/a' },
      { op: 'stat', path: '/tmp/a' },
    ];
    expect(differences({ ops }, record([{ gen: 1 }, { ino: 1 }]), record([{ gen: 2 }, { ino: 2 }]))).toEqual(
      [],
    );
    const stat = [{ op: 'stat', path: '/mnt/a' }];
    expect(differences({ ops: stat }, record([{ ino: 1 }]), record([{ ino: 2 }])).length).toBe(1);
  });

  it('compares an EVM HMAC by its shape unless the case set the generation', () => {
    const get = { op: 'getxattr', path: '/mnt/a', name: 'security.evm' };
    const [a, b] = [record([{ err: 'OK', value: '0211' }]), record([{ err: 'OK', value: '0222' }])];
    expect(differences({ ops: [get] }, a, b)).toEqual([]);
    const set = { op: 'setgen', path: '/mnt/a' };
    const [c, d] = [record([{}, { value: '0211' }]), record([{}, { value: '0222' }])];
    expect(differences({ ops: [set, get] }, c, d).length).toBe(1);
  });

  it('says when there is no result', () => {
    const c = compareCase({}, record([{ err: 'OK' }], { count: 2 }), undefined);
    expect([c.seen, c.equal, c.differences]).toEqual([2, 0, ['no result']]);
  });

  it('reports groups and the sum', () => {
    const good = compareCase({}, record([{ err: 'OK' }]), record([{ err: 'OK' }]));
    const bad = compareCase(
      {},
      { ...record([{ err: 'OK' }]), group: 'b', name: 'm' },
      record([{ err: 'EIO' }]),
    );
    expect(reportLines([bad, good])).toEqual([
      'FAIL m (1): op 0  : err: kernel OK | ours EIO',
      'group a: 1 of 1 cases, 1 of 1 observations',
      'group b: 0 of 1 cases, 0 of 1 observations',
      'passed 1 of 2 cases, 1 of 2 observations',
    ]);
  });
});

describe('case files', () => {
  const text = (ops: string): string => `{"name":"n","group":"a","cmdline":"",\n"ops":[${ops}]}`;

  it('loads a case', () => {
    const loaded = loadCase('n.json', text('{"op":"write","path":"/a","data":{"text":"x"}}'));
    expect(loaded).toMatchObject({ ok: true, value: { name: 'n', ops: [{ op: 'write' }] } });
  });

  it('names the place of everything that is wrong', () => {
    const loaded = loadCase('n.json', text('{"op":"chmod","path":3},{"op":"mkdir"},5'));
    if (loaded.ok) throw new Error('loaded');
    expect(loaded.complaints.map((c) => `${c.line}:${c.column} ${c.at}`)).toEqual([
      '2:47 ops[2]',
      '2:29 ops[0].path',
      '2:32 ops[1].path',
    ]);
  });

  it('names the place where a text is no JSON', () => {
    const loaded = loadCase('n.json', '{"name":"n",\n"group":}');
    expect(loaded).toMatchObject({ ok: false, complaints: [{ line: 2, column: 9 }] });
  });
});
