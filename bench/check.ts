// The search for counterexamples: attacker steps a second of the random engine on the appliance, states a second of the
// exhaustive one, how much two threads give, and what of the time fast-check takes.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import '../src/crypto/auto.ts';
import { assert } from '../src/base/assert.ts';
import { exhaustive } from '../src/check/exhaustive.ts';
import { machineText } from '../src/check/machines.ts';
import { powersNamed, propertiesNamed } from '../src/check/names.ts';
import { kindsOf } from '../src/check/powers/table.ts';
import { random } from '../src/check/random.ts';
import { newTally, type Search } from '../src/check/search.ts';
import { loadSubject, type Subject } from '../src/check/subject.ts';
import { report, short } from './harness.ts';

const POLICY = `policy_name=appliance policy_version=1.0.0
DEFAULT action=DENY
op=EXECUTE dmverity_signature=TRUE action=ALLOW
op=KMODULE dmverity_signature=TRUE action=ALLOW
`;
const ATTACKER = 'root-without-keys+racer';
const PROPERTY = 'no-stale-verdict';

function appliance(): Subject {
  const loaded = loadSubject(
    'bench.yaml',
    machineText('appliance', [{ kind: 'ipe', name: 'appliance', text: POLICY }]),
  );
  assert(loaded.ok, 'the appliance loads');
  return loaded.subject;
}

function searchOf(subject: Subject): Search {
  return {
    subject,
    properties: propertiesNamed([PROPERTY]),
    kinds: kindsOf(powersNamed(ATTACKER)),
    tally: newTally(),
  };
}

function attackerSteps(): void {
  const subject = appliance();
  let seed = 1;
  /** Runs until so many steps are made; value = how many they were. */
  const run = (n: number): void => {
    for (let steps = 0; steps < n; seed++) {
      const search = searchOf(subject);
      const out = random(search, { runs: 1, seed });
      assert(out.broken === null, `the appliance holds: ${out.broken?.finding.what}`);
      steps += search.tally.steps;
    }
  };
  report('attacker steps of the random engine on the appliance, warm caches', 20_000, [
    { name: 'steps', run },
    {
      name: 'fast-check alone: the same sequences, nothing done with them',
      run: (n) => {
        const choice = fc.record({
          kind: fc.nat({ max: 0x7fffffff }),
          candidate: fc.nat({ max: 0x7fffffff }),
        });
        const sequences = fc.array(choice, { minLength: 1, maxLength: 8, size: 'max' });
        for (let made = 0; made < n; seed++) {
          fc.check(
            fc.property(sequences, (list) => {
              made += list.length;
              return true;
            }),
            { numRuns: 1, seed },
          );
        }
      },
    },
  ]);
}

const ROUNDS = 7;

/** A search is a whole, so it is measured as one: the median of some rounds, after two that do not count. */
function exhaustiveStates(): void {
  const subject = appliance();
  const rounds = Array.from({ length: ROUNDS + 2 }, () => {
    const start = process.hrtime.bigint();
    const { states, transitions } = exhaustive(searchOf(subject), { depth: 2 });
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    return { states: states / seconds, transitions: transitions / seconds };
  }).slice(2);
  const median = (of: 'states' | 'transitions'): number =>
    rounds.map((r) => r[of]).sort((x, y) => x - y)[Math.floor(ROUNDS / 2)] ?? 0;
  const states = median('states');
  console.log(
    `exhaustive engine on the appliance, two actions deep\n  new states: ${short(states)}/s  target 10.0 k: ${states >= 10_000 ? 'met' : 'MISSED'}\n  transitions: ${short(median('transitions'))}/s`,
  );
}

function twoWorkers(): void {
  const folder = mkdtempSync(join(tmpdir(), 'kisim-bench-'));
  const policy = join(folder, 'appliance.policy');
  writeFileSync(policy, POLICY);
  // The built command: threads need files of their own.
  const main = join(import.meta.dirname, '../../../../dist/cli/main.js');
  const seconds = (workers: number): number => {
    const start = process.hrtime.bigint();
    const done = spawnSync(process.execPath, [
      main,
      'check',
      policy,
      '--property',
      PROPERTY,
      '--attacker',
      ATTACKER,
      '--runs',
      '12000',
      '--workers',
      String(workers),
      '--out',
      folder,
    ]);
    assert(done.status === 0, `kisim check: ${done.stderr}`);
    return Number(process.hrtime.bigint() - start) / 1e9;
  };
  const [one, two] = [seconds(1), seconds(2)];
  const ratio = one / two;
  console.log(
    `12,000 random runs on one thread and on two\n  one ${short(one)} s, two ${short(two)} s; ratio ${ratio.toFixed(2)}x  target 1.7x: ${ratio >= 1.7 ? 'met' : 'MISSED'}`,
  );
  rmSync(folder, { recursive: true });
}

export const CHECK_GROUPS: Readonly<Record<string, () => void>> = {
  attackerSteps,
  exhaustiveStates,
  twoWorkers,
};
