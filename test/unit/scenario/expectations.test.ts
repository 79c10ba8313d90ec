// Each expectation once where it holds and once where it does not, on made-up effects.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { NO_CONTEXT } from '../../../src/scenario/data.ts';
import { auditFields, commonChecks, type Situation, stepChecks } from '../../../src/scenario/expectations.ts';
import type { ListEntry } from '../../../src/scenario/result.ts';
import type { CommonExpectation, StepExpectation } from '../../../src/scenario/schema-expect.ts';

const entry = (name: string, digest: string, more: Partial<ListEntry> = {}): ListEntry => ({
  index: 1,
  pcr: 10,
  template: 'ima-ng',
  templateDigest: '00'.repeat(20),
  digest,
  name,
  violation: false,
  fields: { 'd-ng': digest, 'n-ng': name },
  line: `10 .. ima-ng ${digest} ${name}`,
  ...more,
});

const ABC = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

const at: Situation = {
  log: ['ima: No TPM chip found'],
  effects: {
    entries: [entry('/a', ABC), entry('/b_c', 'sha256:00ff00ff00ff00ff', { fields: { sig: '0302' } })],
    pcrs: [
      { bank: 'sha1', pcr: 10, before: '00', after: '11' },
      { bank: 'sha256', pcr: 10, before: '00', after: '22' },
      { bank: 'sha256', pcr: 11, before: '00', after: '33' },
    ],
    violations: 2,
    audit: [
      {
        type: 1800,
        body: 'pid=9 op=appraise_data cause=invalid-hash comm="init" name=2F6120C3BC dev="vdc" res=0 errno=0',
      },
    ],
    events: [0, 1],
  },
  pcr: (bank, pcr) => {
    const values: Readonly<Record<string, string>> = {
      'sha1:10': '1111222233334444',
      'sha256:10': 'aaaabbbbccccdddd',
    };
    return ['sha1', 'sha256'].includes(bank) ? (values[`${bank}:${pcr}`] ?? '0'.repeat(16)) : undefined;
  },
  banks: ['sha1', 'sha256'],
  reasons: new Set(['ima.stored']),
  policy: () => 'measure func=FILE_CHECK \naudit func=BPRM_CHECK \n',
  iint: (path) => ({ '/a': ['IMA_MEASURED', 'IMA_COLLECTED'], '/none': null })[path],
  data: NO_CONTEXT,
};

const fails = (e: CommonExpectation): readonly string[] =>
  commonChecks(e, at)
    .filter((c) => !c.ok)
    .map((c) => c.path.join('.'));

describe('expectations of a situation', () => {
  it.each<[CommonExpectation, CommonExpectation, string]>([
    [{ measured: ['/a', '/b_c'] }, { measured: ['/b_c', '/a'] }, 'measured'],
    [{ list: { count: 2 } }, { list: { count: 1 } }, 'list.count'],
    [{ list: { last: { name: '/b_c', sig: true } } }, { list: { last: { name: '/a' } } }, 'list.last'],
    [
      { list: { contains: [{ name: '/a', content: 'abc' }] } },
      { list: { contains: [{ name: '/a', content: 'abd' }] } },
      'list.contains.0',
    ],
    [
      { list: { entries: [{ digest: 'sha256:ba7816bf' }, {}] } },
      { list: { entries: [{ digest: 'sha256:ba7816' }, {}] } },
      'list.entries.0',
    ],
    [
      { list: { entries: [{ alg: 'sha256' }, { pcr: 10 }] } },
      { list: { entries: [{}, { pcr: 11 }] } },
      'list.entries.1',
    ],
    [
      { list: { last: { violation: false, fields: { sig: '0302' } } } },
      { list: { last: { fields: { sig: '' } } } },
      'list.last',
    ],
    [{ pcr: { '10': 'changed' } }, { pcr: { '11': 'changed' } }, 'pcr.11'],
    [{ pcr: { 'sha1:11': 'unchanged' } }, { pcr: { '11': 'unchanged' } }, 'pcr.11'],
    [{ pcr: { 'sha1:10': '11112222' } }, { pcr: { '10': '11112222' } }, 'pcr.10'],
    [{ pcr: { 'sha256:10': 'AAAABBBB' } }, { pcr: { 'sha384:10': 'changed' } }, 'pcr.sha384:10'],
    [{ violations: 2 }, { violations: 0 }, 'violations'],
    [{ audit: [{ type: 1800, cause: 'invalid-hash', res: 0 }] }, { audit: [] }, 'audit'],
    [{ audit: [{ name: '/a ü' }] }, { audit: [{ name: '/a' }] }, 'audit.0'],
    [{ reasons: ['ima.stored'] }, { reasons: ['ima.denied'] }, 'reasons.0'],
    [{ no_reasons: ['ima.denied'] }, { no_reasons: ['ima.stored'] }, 'no_reasons.0'],
    [
      { policy: '\n  measure func=FILE_CHECK\n  audit func=BPRM_CHECK' },
      { policy: 'measure func=FILE_CHECK' },
      'policy',
    ],
    [
      { iint: { '/a': ['IMA_MEASURED', '!IMA_APPRAISED'] } },
      { iint: { '/a': ['!IMA_MEASURED'] } },
      'iint./a',
    ],
    [{ iint: { '/none': [] } }, { iint: { '/gone': [] } }, 'iint./gone'],
  ])('%j holds, %j does not', (good, bad, path) => {
    expect(fails(good)).toEqual([]);
    expect(fails(bad)).toEqual([path]);
  });

  it('compares a register that no TPM has as a failure', () => {
    const without = { ...at, banks: [] };
    expect(commonChecks({ pcr: { '10': 'unchanged' } }, without)[0]).toMatchObject({
      ok: false,
      actual: 'the machine has no TPM',
    });
  });
});

describe('expectations of a step', () => {
  const failing = (e: StepExpectation, result: Parameters<typeof stepChecks>[1]): readonly string[] =>
    stepChecks(e, result, at)
      .filter((c) => !c.ok)
      .map((c) => c.path.join('.'));

  it('must succeed unless an errno is expected', () => {
    expect(failing({}, { err: 'OK' })).toEqual([]);
    expect(failing({}, { err: 'EACCES' })).toEqual(['err']);
    expect(failing({ err: 'EACCES' }, { err: 'EACCES' })).toEqual([]);
    expect(failing({}, { err: 'OK', rc: 0x907 })).toEqual(['rc']);
  });

  it.each<[StepExpectation, StepExpectation, Parameters<typeof stepChecks>[1], string]>([
    [{ exit: 0 }, { exit: 1 }, { err: 'OK', exit: 0 }, 'exit'],
    [{ signal: 9 }, { signal: 11 }, { err: 'OK', signal: 9 }, 'signal'],
    [{ text: 'ü' }, { text: 'u' }, { err: 'OK', text: '\u00c3\u00bc' }, 'text'],
    [{ text: 'ab' }, { text: 'abc' }, { err: 'OK', hex: '6162' }, 'text'],
    [{ hex: '61:62' }, { hex: '6163' }, { err: 'OK', text: 'ab' }, 'hex'],
    [{ contains: 'b' }, { contains: 'x' }, { err: 'OK', text: 'abc' }, 'contains'],
    [{ rc: 'TPM_RC_LOCALITY' }, { rc: 'TPM_RC_VALUE' }, { err: 'OK', rc: 0x907 }, 'rc'],
    [{ rc: 0x907 }, { rc: '0x100' }, { err: 'OK', rc: 0x907 }, 'rc'],
    [
      { quote: { nonce: true } },
      { quote: { verifies: true } },
      { err: 'OK', nonce: true, verifies: false },
      'quote.verifies',
    ],
    [
      { result: { wrote: [1, 2] } },
      { result: { at_open: 'EACCES' } },
      { err: 'OK', wrote: [1, 2] },
      'result.at_open',
    ],
  ])('%j holds, %j does not', (good, bad, result, path) => {
    expect(failing(good, result)).toEqual([]);
    expect(failing(bad, result)).toEqual([path]);
  });
});

it('reads the fields of an audit record', () => {
  expect(auditFields({ type: 1805, body: 'action=measure func=FILE_CHECK comm="a b" res=1' })).toEqual({
    type: '1805',
    action: 'measure',
    func: 'FILE_CHECK',
    comm: 'a b',
    res: '1',
  });
});
