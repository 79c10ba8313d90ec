// The zoo: every weak design is found, every twin is clean within the same budget, and the laws of the search hold on
// them: a counterexample replays with the digest that the search had, both engines agree, and shrinking leaves nothing long.

import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  ZOO_PAGE,
  type ZooRow,
  zooCells,
  zooEntries,
  zooRow,
  zooSearch,
  zooSubject,
} from '../../scripts/zoo-run.ts';
import { Machine } from '../../src/kernel/machine.ts';
import { loadScenario } from '../../src/scenario/loader.ts';
import { failedChecks } from '../../src/scenario/result.ts';
import { runScenario } from '../../src/scenario/runner.ts';
import { textOf } from '../support.ts';

const RANDOM_RUNS = 400;
const LONGER_BY = 2;

const entries = zooEntries();
const page = textOf(ZOO_PAGE);

it('has at least thirty designs, each with a twin', () => {
  expect(entries.length).toBeGreaterThanOrEqual(30);
});

describe.each(entries)('$name', (entry) => {
  let row: ZooRow;

  beforeAll(() => {
    row = zooRow(entry);
  });

  it('the twin has the same budget', () => {
    const budget = (file: string): unknown => {
      const { property, attacker, depth } = (parse(textOf(file)) as { check: Record<string, unknown> }).check;
      return { property, attacker, depth };
    };
    expect(budget(entry.repaired)).toEqual(budget(entry.weak));
  });

  it('the machine of both does its own steps', () => {
    for (const file of [entry.weak, entry.repaired])
      expect(zooSubject(file).setup.map((t) => t.result.err)).toEqual(zooSubject(file).setup.map(() => 'OK'));
  });

  it('is found, and the twin is clean', () => {
    expect(row.weak.found, 'the weak design').not.toBeNull();
    expect(row.repaired.found?.scenario ?? null, 'the repaired twin').toBeNull();
    expect(row.repaired.complete).toBe(true);
  });

  it('its counterexample runs as a scenario with the same trace', () => {
    const { found } = row.weak;
    const loaded = loadScenario('found.yaml', found?.scenario ?? '');
    expect(loaded.ok).toBe(true);
    if (!loaded.ok) return;
    const { report } = runScenario(loaded.scenario, (config) => Machine.boot(config));
    expect(report.traceDigest).toBe(found?.traceDigest);
    expect(failedChecks(report)).toBe(0);
    expect(found?.cover).not.toBe('');
    expect(found?.suggestion).not.toBe('');
  });

  it('the random engine finds it too, and shrinks it to about the same length', () => {
    const random = zooSearch(zooSubject(entry.weak), { kind: 'random', runs: RANDOM_RUNS, seed: 7 });
    expect(random.found, `nothing in ${RANDOM_RUNS} random runs`).not.toBeNull();
    expect(random.found?.steps).toBeLessThanOrEqual((row.weak.found?.steps ?? 0) + LONGER_BY);
  });

  it('stands in the table of docs/check.md as it is today (npm run zoo)', () => {
    // How many states a twin has changes with the simulator; what was found, and in how many steps, should not.
    expect(page).toContain(`| ${zooCells(row).slice(0, -1).join(' | ')} |`);
  });
});
