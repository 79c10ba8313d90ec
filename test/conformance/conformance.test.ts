// The recorded kernel against the simulator: every case that passing.txt lists must still give the kernel's very results.
// `npm run fidelity -- --passing` writes the list anew from what passes.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { reportLines } from '../../src/conformance/compare.ts';
import { CASE_SETS, type CaseRun, CONFORMANCE, caseNames, passingList, runOne } from './suite.ts';

const runs = new Map<string, CaseRun>();
const [shipped] = CASE_SETS;

const passed = (run: CaseRun): boolean => run.compared.seen === run.compared.equal;

describe('conformance with the recorded kernel', () => {
  beforeAll(() => {
    for (const set of CASE_SETS) for (const name of caseNames(set)) runs.set(name, runOne(set, name));
  }, 300_000);

  it('has the recorded cases', () => {
    expect(runs.size).toBeGreaterThan(240);
  });

  it('gives the same as the kernel in every case of the list', () => {
    const listed = passingList();
    expect(listed.length).toBeGreaterThan(0);
    const failed = listed.flatMap((name) => {
      const run = runs.get(name);
      if (run === undefined) return [`${name}: no such case`];
      return passed(run) ? [] : [`${name}: ${run.ours.internal ?? run.compared.differences[0] ?? ''}`];
    });
    expect(failed).toEqual([]);
    const fresh = [...runs]
      .filter(([name, run]) => passed(run) && !listed.includes(name))
      .map(([name]) => name);
    if (fresh.length > 0) console.log(`newly passing, not in passing.txt yet: ${fresh.join(' ')}`);
  });

  it('stops in no case by a fault of its own', () => {
    const faults = [...runs].flatMap(([name, run]) =>
      run.ours.internal ? [`${name}: ${run.ours.internal}`] : [],
    );
    expect(faults).toEqual([]);
  });

  it('counts as the reference comparison counts', () => {
    if (shipped === undefined) throw new Error('no recorded cases');
    const folder = mkdtempSync(join(tmpdir(), 'kisim-conformance-'));
    try {
      mkdirSync(folder, { recursive: true });
      const names = caseNames(shipped);
      for (const name of names) {
        writeFileSync(join(folder, `${name}.json`), JSON.stringify(runs.get(name)?.ours));
      }
      const args = [join(CONFORMANCE, 'compare.mjs'), join(CONFORMANCE, 'records'), folder];
      const reference = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
      const ours = reportLines(names.flatMap((n) => runs.get(n)?.compared ?? []));
      expect(ours).toEqual(reference.stdout.trimEnd().split('\n'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
