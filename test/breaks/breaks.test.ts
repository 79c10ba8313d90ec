// Each scenario passes, and fails when the mechanism that it is about is switched off in the source: so none of them holds
// by accident. A break must show as a failed expectation; a simulator that throws, or a machine that dies, shows nothing.

import { describe, expect, it } from 'vitest';
import type { Scenario } from '../../src/scenario/loader.ts';
import { failedChecks, type RunReport } from '../../src/scenario/result.ts';
import { filesBelow, ROOT } from '../support.ts';
import { type Break, breakEntries } from './table.ts';
import { changedText, type Simulator, simulator } from './unit.ts';

const entries = breakEntries();
// What scenarios/zoo says is a search, and test/check holds it.
const scenarios = filesBelow('scenarios', '.yaml').filter((s) => !s.startsWith('scenarios/zoo/'));
const intact = simulator(null);

interface Run {
  readonly report: RunReport;
  readonly panic: string | null;
}

const documents = new Map<string, Scenario>();

/** The document is read by the simulator as it is: whether a policy in it is good is not what a break may change. */
function document(scenario: string): Scenario {
  const known = documents.get(scenario);
  if (known !== undefined) return known;
  const loaded = intact.loadScenarioFile(`${ROOT}/${scenario}`);
  if (!loaded.ok) throw new Error(`${scenario}: ${JSON.stringify(loaded.diagnostics, null, 1)}`);
  documents.set(scenario, loaded.scenario);
  return loaded.scenario;
}

function run(copy: Simulator, scenario: string): Run {
  const { report, machine } = copy.play(document(scenario));
  return { report, panic: machine.kernel.state.panic };
}

function failures({ report }: Run): string[] {
  const steps = report.steps.flatMap((s, i) => s.checks.map((c) => ({ ...c, at: `step ${i + 1}` })));
  return [...steps, ...report.final.map((c) => ({ ...c, at: 'end' }))]
    .filter((c) => !c.ok)
    .map((c) => `${c.at} ${c.path.join('.')}: expected ${c.expected}, got ${c.actual}`);
}

const copies = new Map<string, Simulator>();
function broken(change: Break): Simulator {
  const key = JSON.stringify([change.file, change.find, change.replace]);
  const copy = copies.get(key) ?? simulator(change);
  copies.set(key, copy);
  return copy;
}

describe('breaks', () => {
  it('are told for every scenario, once', () => {
    const told = entries.map((e) => e.scenario);
    const missing = scenarios.filter((s) => !told.includes(s));
    expect(missing, 'scenarios without an entry in test/breaks/*.yaml').toEqual([]);
    expect(told.filter((s) => !scenarios.includes(s))).toEqual([]);
    expect(told.filter((s, i) => told.indexOf(s) !== i)).toEqual([]);
  });

  it('say so when their place is not found once', () => {
    const change = { file: 'src/ima/measure.ts', find: 'no such text', replace: '' };
    expect(() => changedText(change)).toThrow(/measure\.ts: the text to replace occurs 0 times/);
    expect(() => changedText({ ...change, find: 'import ' })).toThrow(/it must occur once/);
  });
});

describe.each(entries)('$scenario', ({ scenario, breaks }) => {
  it('passes', () => {
    expect(failures(run(intact, scenario))).toEqual([]);
  });

  it.each(breaks)('fails when $off', (change) => {
    const result = run(broken(change), scenario);
    if (result.panic !== null) expect(run(intact, scenario).panic, result.panic).not.toBeNull();
    expect(failedChecks(result.report), 'nothing failed: the scenario does not depend on it').toBeGreaterThan(
      0,
    );
    expect(result.report.outcome).toBe('failed');
  });
});
