// The life cycle of a run, walked over every path, and runs of real machines: steps, bail-out, replay.

import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import { Machine } from '../../../src/kernel/machine.ts';
import { loadScenario, type Scenario } from '../../../src/scenario/loader.ts';
import { type RunnerEvent, runnerMachine } from '../../../src/scenario/runner.machine.ts';
import { type Boot, runScenario, ScenarioRun } from '../../../src/scenario/runner.ts';

const boot: Boot<Machine> = (config) => Machine.boot(config);

function scenario(text: string): Scenario {
  const loaded = loadScenario('t.yaml', `title: t\nkind: regression\n${text}`);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return loaded.scenario;
}

const TWO =
  'steps:\n  - { op: mkdir, path: /tmp/d }\n  - { op: mkdir, path: /tmp/d, expect: { err: EEXIST } }\n';
const WRONG = 'steps:\n  - { op: mkdir, path: /nosuch/d }\n  - { op: mkdir, path: /tmp/d }\n';

describe('life cycle', () => {
  const events: readonly RunnerEvent[] = [
    { type: 'BOOT' },
    { type: 'STEP' },
    { type: 'DONE', failed: 0 },
    { type: 'DONE', failed: 1 },
    { type: 'END' },
    { type: 'VERDICT', failed: 0 },
    { type: 'VERDICT', failed: 1 },
    { type: 'INTERRUPT' },
  ];

  it.each([true, false])('reaches every state (bail: %s)', (bail) => {
    const paths = getShortestPaths(runnerMachine, { input: { steps: 2, bail }, events: [...events] });
    const states = new Set(paths.map((p) => String(p.state.value)));
    expect(states).toEqual(
      new Set(['loaded', 'ready', 'running', 'checking', 'passed', 'failed', 'interrupted']),
    );
    for (const path of paths) {
      const { finished, failed } = path.state.context;
      expect(finished).toBeLessThanOrEqual(2);
      if (path.state.value === 'passed') expect([finished, failed]).toEqual([2, 0]);
    }
  });

  it('ignores events that do not belong to a state', () => {
    const [first] = initialTransition(runnerMachine, { steps: 1, bail: false });
    for (const event of events.slice(1, 7)) {
      expect(first.can(event)).toBe(false);
      expect(transition(runnerMachine, first, event)[0].value).toBe('loaded');
    }
  });
});

describe('runs', () => {
  it('passes when everything is as expected', () => {
    const { report } = runScenario(scenario(TWO), boot);
    expect(report.outcome).toBe('passed');
    expect(report.steps.map((s) => s.result.err)).toEqual(['OK', 'EEXIST']);
  });

  it('goes on after a failure, or stops when told to', () => {
    const whole = runScenario(scenario(WRONG), boot).report;
    expect([whole.outcome, whole.steps.length]).toEqual(['failed', 2]);
    const bailed = runScenario(scenario(WRONG), boot, { bail: true }).report;
    expect([bailed.outcome, bailed.steps.length]).toEqual(['failed', 1]);
  });

  it('can be interrupted, and then is not passed', () => {
    const { report } = runScenario(scenario(TWO), boot, { onStep: () => false });
    expect([report.outcome, report.steps.length]).toEqual(['failed', 1]);
  });

  it('gives the same trace for the same scenario, and another for another seed', () => {
    const digest = (text: string): string => runScenario(scenario(text), boot).report.traceDigest;
    expect(digest(TWO)).toBe(digest(TWO));
    const quote = 'steps: [{ op: quote, pcrs: [10] }]\n';
    expect(digest(`machine: { seed: other }\n${quote}`)).not.toBe(digest(`machine: { seed: one }\n${quote}`));
  });

  it('steps on a fork leave the run as it was', () => {
    const run = new ScenarioRun(scenario(TWO), boot);
    run.step();
    const before = run.machine.traceDigest();
    const fork = run.machine.fork();
    fork.sys(1).mkdir('/tmp/elsewhere', 0o755);
    expect(run.machine.traceDigest()).toBe(before);
    expect(fork.traceDigest()).not.toBe(before);
    expect(run.step().result.err).toBe('EEXIST');
  });

  it('asks for an expectation of the end', () => {
    const { report } = runScenario(scenario(`${TWO}expect: { measured: [boot_aggregate, other] }\n`), boot);
    expect(report.outcome).toBe('failed');
    expect(report.final).toEqual([
      { ok: false, path: ['measured'], expected: 'boot_aggregate, other', actual: 'boot_aggregate' },
    ]);
  });
});
