// Steps around attestation and keys of the TPM: what a copy of a list can be turned into, what the verifier then
// says, and which mistakes a step answers with an errno.

import { describe, expect, it } from 'vitest';
import { concat, EMPTY, fromLatin1, toHex } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { loadScenario } from '../../../src/scenario/loader.ts';
import type { OpResult } from '../../../src/scenario/ops/types.ts';
import type { RunReport } from '../../../src/scenario/result.ts';
import { runScenario } from '../../../src/scenario/runner.ts';
import { tamper } from '../../../src/scenario/steps/list-edit.ts';
import { machine, read, write } from '../kernel/machines.ts';

function run(steps: string, more = 'machine: { cmdline: ima_policy=tcb }'): RunReport {
  const loaded = loadScenario('t.yaml', `title: t\nkind: regression\n${more}\nsteps:\n${steps}`);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return runScenario(loaded.scenario, (config) => Machine.boot(config)).report;
}

const results = (report: RunReport): OpResult[] => report.steps.map((s) => s.result);
const last = (report: RunReport): OpResult => results(report).at(-1) as OpResult;

describe('a copy of the list', () => {
  const m = machine({ cmdline: 'ima_policy=tcb' });
  for (const name of ['a', 'b', 'c']) {
    write(m.sys(1), `/mnt/${name}`, name);
    read(m.sys(1), `/mnt/${name}`);
  }
  const list = m.imaList('binary');
  const names = (parts: readonly Uint8Array[]): string[] =>
    [...fromLatin1(concat(...parts)).matchAll(/boot_aggregate|\/mnt\/\w/g)].map(([name]) => name);

  it('is left alone without an edit, also in parts', () => {
    const parts = [list.slice(0, 101), list.slice(101)];
    expect(tamper(parts, [])).toBe(parts);
  });

  it('loses, moves and ends records', () => {
    expect(names([list])).toEqual(['boot_aggregate', '/mnt/a', '/mnt/b', '/mnt/c']);
    expect(names(tamper([list], [{ drop: 2 }]))).toEqual(['boot_aggregate', '/mnt/a', '/mnt/c']);
    expect(names(tamper([list], [{ swap: [1, 3] }]))).toEqual([
      'boot_aggregate',
      '/mnt/c',
      '/mnt/b',
      '/mnt/a',
    ]);
    expect(names(tamper([list], [{ keep: 2 }]))).toEqual(['boot_aggregate', '/mnt/a']);
    expect(names(tamper([list], [{ drop: 0 }, { drop: 0 }]))).toEqual(['/mnt/b', '/mnt/c']);
    expect(tamper([list], [{ hide: 'violations' }])[0]).toEqual(list);
    expect(tamper([list], [{ replace: '/none', by: '/nine' }])[0]).toEqual(list);
  });

  it('is rewritten with the old digest or with one that fits', () => {
    const [old = EMPTY] = tamper([list], [{ replace: '/mnt/a', by: '/mnt/z' }]);
    const [forged = EMPTY] = tamper([list], [{ replace: '/mnt/a', by: '/mnt/z', digest: 'new' }]);
    expect(names([old])).toEqual(names([forged]));
    const at = 101;
    expect(toHex(old.slice(at, at + 24))).toBe(toHex(list.slice(at, at + 24)));
    const data = forged.slice(at + 38, at + 38 + 55);
    expect(toHex(forged.slice(at + 4, at + 24))).toBe(toHex(crypto().hash('sha1', data)));
    expect(toHex(forged.slice(at + 4, at + 24))).not.toBe(toHex(list.slice(at + 4, at + 24)));
  });
});

describe('attest', () => {
  it('needs a copy and a quote that were taken', () => {
    expect(last(run('  - { op: attest, expect: { err: ENOENT } }\n')).err).toBe('ENOENT');
    const report = run(
      '  - { op: take_evidence }\n  - { op: attest, quote: none, expect: { err: ENOENT } }\n',
    );
    expect(results(report).map((r) => r.err)).toEqual(['OK', 'ENOENT']);
    const missing = run('  - { op: take_evidence, files: [/no/list], expect: { err: ENOENT } }\n');
    expect(last(missing)).toMatchObject({ err: 'ENOENT', path: '/no/list' });
  });

  it('says what it did not look at, and what it cannot read', () => {
    const alone = last(run('  - { op: take_evidence }\n  - { op: attest }\n'));
    expect(alone).toMatchObject({
      err: 'OK',
      verdict: 'trusted',
      warns: ['attest.unanchored'],
      records: 1,
    });
    const policy = last(run('  - { op: take_evidence }\n  - { op: attest, policy: "files: 7" }\n'));
    expect(policy).toMatchObject({ err: 'OK', verdict: 'unreadable' });
    expect(String(policy['findings'])).toContain('policy');
  });

  it('compares codes as sets and complains about unknown ones', () => {
    const text = (attest: string): string =>
      `  - { op: take_evidence }\n  - { op: attest, registers: [10], expect: { attest: ${attest} } }\n`;
    const right = run(text('{ verdict: trusted, fails: [], notes: [attest.unauthenticated], records: 1 }'));
    expect(right.outcome).toBe('passed');
    const wrong = run(text('{ verdict: untrusted, fails: [attest.nonce] }'));
    const failed = wrong.steps.at(-1)?.checks.filter((c) => !c.ok) ?? [];
    expect(failed.map((c) => c.path.join('.'))).toEqual(['attest.verdict', 'attest.fails']);
    expect(failed[0]?.actual).toContain('attest.unauthenticated');
    const loaded = loadScenario(
      't.yaml',
      `title: t\nkind: lesson\nsteps:\n${text('{ fails: [attest.nonse] }')}`,
    );
    expect(loaded.diagnostics.map((d) => d.message)).toEqual(['unknown reason code `attest.nonse`']);
  });

  it('remembers under a name', () => {
    const report = run(`
  - { op: take_evidence }
  - { op: quote, pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }
  - { op: attest, quote: quote, visit: a }
  - { op: reset }
  - { op: take_evidence }
  - { op: quote, pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }
  - { op: attest, quote: quote, visit: a }
  - { op: attest, quote: quote, visit: b }
`);
    expect(results(report).flatMap((r) => (r['notes'] === undefined ? [] : [r['notes']]))).toEqual([
      [],
      ['attest.rebooted'],
      [],
    ]);
  });
});

describe('other TPMs', () => {
  it('quote what was played into them, under a key of their own', () => {
    const report = run(`
  - { op: take_evidence }
  - { op: quote, pcrs: [0, 10], name: own }
  - { op: foreign_quote, pcrs: [0, 10], name: foreign }
  - { op: verify_quote, name: foreign }
`);
    const [, own, foreign, verified] = results(report);
    expect(verified).toMatchObject({ verifies: true, changed: [] });
    expect(foreign?.['signed']).not.toBe(own?.['signed']);
  });

  it('are not this machine: a credential tells', () => {
    const report = run(
      '  - { op: activate, ak: own }\n  - { op: activate, ak: foreign }\n  - { op: activate, ak: public }\n',
    );
    expect(results(report).map((r) => r['opened'])).toEqual([true, false, false]);
    // No object and no session is left behind.
    expect(report.steps.every((s) => s.result.err === 'OK')).toBe(true);
  });

  it('take a violation for what it is in the register', () => {
    const report = run(`
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a, data: a }
  - { op: open, path: /mnt/a, slot: w, flags: wronly, as: { actor: w } }
  - { op: read, path: /mnt/a, expect: { violations: 1 } }
  - { op: take_evidence }
  - { op: foreign_quote, pcrs: [10] }
  - { op: verify_quote }
`);
    expect(last(report)).toMatchObject({ verifies: true });
  });
});

describe('keys of the TPM', () => {
  const NONE = 'machine: { tpm: none }';
  it('are no keys without one', () => {
    for (const step of ['tpm_parent', 'trusted_new, desc: k', 'activate, ak: own', 'quote, pcrs: [10]'])
      expect(last(run(`  - { op: ${step}, expect: { err: ENODEV } }\n`, NONE)).err).toBe('ENODEV');
  });

  it('say where they stopped', () => {
    const report = run(`
  - { op: trusted_new, desc: k, expect: { err: EPERM } }
  - { op: tpm_parent }
  - { op: tpm_parent, expect: { rc: TPM_RC_NV_DEFINED } }
  - { op: key_save, type: trusted, desc: k, path: /tmp/k, expect: { err: ENOKEY } }
  - { op: key_load, type: trusted, desc: k, path: /tmp/k, expect: { err: ENOENT } }
  - { op: trusted_new, desc: k, length: 7, expect: { err: EINVAL } }
  - { op: trusted_new, desc: k }
  - { op: key_save, type: trusted, desc: k, path: /none/k, expect: { err: ENOENT } }
  - { op: key_save, type: trusted, desc: k, path: /tmp/k }
  - { op: key_load, type: trusted, desc: again, path: /tmp/k }
`);
    expect(report.outcome, JSON.stringify(results(report))).toBe('passed');
    expect(results(report).map((r) => r['at_open'] ?? r['at_search'] ?? null)).toEqual([
      ...[null, null, null, 'ENOKEY', 'ENOENT', null, null, 'ENOENT', null, null],
    ]);
  });

  it('bound to registers load while these are as they were, any number of times', () => {
    const report = run(`
  - { op: tpm_parent, at: "0x81000077" }
  - { op: trusted_new, desc: k, parent: "0x81000077", pcrs: { sha256: [16], sha1: [16] } }
  - { op: key_save, type: trusted, desc: k, path: /tmp/k }
  - { op: key_load, type: trusted, desc: a, path: /tmp/k, pcrs: { sha256: [16], sha1: [16] } }
  - { op: key_load, type: trusted, desc: b, path: /tmp/k, pcrs: { sha256: [16], sha1: [16] } }
  - { op: key_load, type: trusted, desc: c, path: /tmp/k, pcrs: [16], expect: { err: EPERM } }
  - { op: pcr_extend, pcr: 16, data: x }
  - { op: key_load, type: trusted, desc: d, path: /tmp/k, pcrs: { sha256: [16], sha1: [16] }, expect: { err: EPERM } }
  - { op: pcr_reset, pcr: 16 }
  - { op: key_load, type: trusted, desc: d, path: /tmp/k, pcrs: { sha256: [16], sha1: [16] } }
`);
    expect(report.outcome, JSON.stringify(results(report))).toBe('passed');
  });
});
