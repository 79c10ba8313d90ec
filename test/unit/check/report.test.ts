// Reports for other programs, ready machines, and the command itself with its exit codes and files.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CheckReport, campaign } from '../../../src/check/campaign.ts';
import { MACHINES, machineText, policyKind } from '../../../src/check/machines.ts';
import { powersNamed, propertiesNamed } from '../../../src/check/names.ts';
import { checkJunit, mergeReports, missingShards, readReport } from '../../../src/check/report.ts';
import { asExpected } from '../../../src/check/subject.ts';
import { ROOT } from '../../support.ts';
import { machineWith, subjectOfText } from './world.ts';

const BPRM = 'appraise func=BPRM_CHECK appraise_type=imasig';
const CODE = `${BPRM}\nappraise func=MMAP_CHECK mask=MAY_EXEC appraise_type=imasig\ndont_appraise fsmagic=0x73636673\nappraise func=FILE_CHECK mask=^MAY_READ appraise_type=imasig`;
const IPE =
  'policy_name=boot policy_version=1.0.0\nDEFAULT action=DENY\nop=EXECUTE dmverity_signature=TRUE action=ALLOW\n';

function report(policy: string, shard?: { index: number; of: number }): CheckReport {
  return campaign(subjectOfText(machineWith(policy)), {
    properties: propertiesNamed(['only-signed-code-runs']),
    powers: powersNamed('unprivileged-user'),
    engine: { kind: 'exhaustive', depth: 2 },
    ...(shard === undefined ? {} : { shard }),
  });
}

describe('reports', () => {
  it('come back from their JSON', () => {
    const made = report(BPRM);
    expect(readReport(JSON.stringify(made))).toEqual(made);
    expect(readReport('{')).toHaveProperty('mistake');
    expect(readReport('{"file": 1}')).toHaveProperty('mistake');
  });

  it('of shards are merged: counts are added, the shortest counterexample stays', () => {
    const parts = [0, 1].map((index) => report(CODE, { index, of: 2 })) as [CheckReport, CheckReport];
    const merged = mergeReports(parts);
    expect(merged).toMatchObject({ complete: true, found: null, shard: null });
    expect(merged.transitions).toBe(parts[0].transitions + parts[1].transitions);
    expect(missingShards([parts[1]])).toEqual([0]);
    expect(mergeReports([parts[1]]).complete).toBe(false);
    const bad = mergeReports(
      [0, 1].map((index) => report(BPRM, { index, of: 2 })) as [CheckReport, CheckReport],
    );
    expect(bad.found?.actions).toBe(1);
  });

  it('are JUnit: a failure with the scenario, an error for what did not end', () => {
    const xml = checkJunit([report(BPRM), report(CODE), { ...report(CODE), complete: false }]);
    expect(xml).toContain('tests="3" failures="1" errors="1"');
    expect(xml).toContain('against unprivileged-user');
    expect(xml).toContain('op: mmap');
    expect(xml).not.toMatch(/[<>]=|&(?!#\d+;)/);
  });
});

describe('ready machines', () => {
  it.each(MACHINES)('%s starts, and does its work', (machine) => {
    const policies =
      machine === 'appliance'
        ? [{ kind: 'ipe' as const, name: 'boot', text: IPE }]
        : [{ kind: 'ima' as const, name: 'policy', text: BPRM }];
    const subject = subjectOfText(machineText(machine, policies));
    expect(subject.setup.map((t) => `${t.op.op} ${t.result.err}`)).toEqual(
      subject.setup.map((t) => `${t.op.op} OK`),
    );
    expect(subject.setup.every(asExpected)).toBe(true);
    const out = campaign(subject, {
      properties: propertiesNamed(['workload-lives']),
      powers: powersNamed('workload'),
      engine: { kind: 'exhaustive', depth: 2 },
    });
    expect(out.found).toBeNull();
  });

  it('know which language a policy is in', () => {
    expect([policyKind(IPE), policyKind(`# word\n\n${IPE}`), policyKind(BPRM), policyKind('')]).toEqual([
      'ipe',
      'ipe',
      'ima',
      'ima',
    ]);
  });
});

describe('kisim check', () => {
  const MAIN = join(ROOT, 'dist/cli/main.js');
  const work = mkdtempSync(join(tmpdir(), 'kisim-check-'));
  const kisim = (...args: readonly string[]): { status: number | null; out: string; err: string } => {
    const r = spawnSync(process.execPath, [MAIN, ...args], {
      cwd: work,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1', CI: 'true' },
    });
    return { status: r.status, out: r.stdout, err: r.stderr };
  };
  const ASK = ['--property', 'only-signed-code-runs', '--attacker', 'unprivileged-user', '--depth', '2'];

  beforeAll(() => {
    if (!existsSync(MAIN)) throw new Error('dist/ is missing: run `npm run build` first (npm test does)');
    writeFileSync(join(work, 'weak.yaml'), machineWith(BPRM));
    writeFileSync(join(work, 'strong.yaml'), machineWith(CODE));
    writeFileSync(join(work, 'stuck.yaml'), machineWith(BPRM).replace('/dev/vdc', '/dev/vdz'));
    writeFileSync(join(work, 'policy.txt'), `${BPRM}\n`);
  });
  afterAll(() => rmSync(work, { recursive: true }));

  it('names the file of a counterexample, which kisim run replays: exit 1', () => {
    const found = kisim('check', 'weak.yaml', ...ASK, '--out', 'a');
    expect(found.status).toBe(1);
    const path = found.out.trim().split('\n').at(-1) ?? '';
    expect(path).toBe(join('a', 'weak.only-signed-code-runs.yaml'));
    expect(found.err).toMatch(/^to repeat: kisim check weak\.yaml .*--depth 1$/m);
    const replayed = kisim('run', path);
    expect([replayed.status, replayed.out]).toEqual([0, expect.stringContaining('passed')]);
    expect(kisim('explain', path, 'broken').status).toBe(0);
    expect(readdirSync(join(work, 'a')).sort()).toEqual([
      'weak.junit.xml',
      'weak.only-signed-code-runs.yaml',
      'weak.report.json',
    ]);
  });

  it('says how much it searched when nothing is found: exit 0', () => {
    const clean = kisim('check', 'strong.yaml', ...ASK, '--out', 'b');
    expect([clean.status, clean.err]).toEqual([0, '']);
    expect(clean.out).toMatch(/^no counterexample up to depth 2: \d+ states, \d+ transitions\n$/);
  });

  it('takes policies for a ready machine', () => {
    expect(kisim('check', 'policy.txt', ...ASK, '--out', 'c').status).toBe(1);
    expect(kisim('check', 'policy.txt', '--machine', 'server', ...ASK, '--out', 'c').status).toBe(1);
  });

  it('does a part, and merges parts', () => {
    for (const shard of ['1/2', '2/2'])
      expect(kisim('check', 'strong.yaml', ...ASK, '--shard', shard, '--out', 'd').status).toBe(0);
    const merged = kisim(
      'check',
      'merge',
      'd/strong.1-of-2.report.json',
      'd/strong.2-of-2.report.json',
      '--out',
      'd',
    );
    expect(merged.status).toBe(0);
    expect(JSON.parse(readFileSync(join(work, 'd/strong.report.json'), 'utf8'))).toMatchObject({
      complete: true,
    });
    const half = kisim('check', 'merge', 'd/strong.1-of-2.report.json', '--out', 'e');
    expect(half.err).toContain('not there: shard 2/2');
  });

  it('splits the work over threads', () => {
    expect(kisim('check', 'strong.yaml', ...ASK, '--workers', '2', '--out', 'f').status).toBe(0);
    expect(kisim('check', 'weak.yaml', ...ASK, '--workers', '2', '--out', 'f').status).toBe(1);
  });

  it('repeats a random search by its seed', () => {
    const random = (): string =>
      kisim(
        'check',
        'weak.yaml',
        ...ASK.slice(0, 4),
        '--runs',
        '50',
        '--seed',
        '5',
        '--format',
        'json',
        '--out',
        'g',
      ).out;
    expect(random()).toBe(random());
  });

  it.each<readonly [string, readonly string[], number, RegExp]>([
    ['no file', [], 2, /say what to check/],
    ['no promise', ['weak.yaml', '--attacker', 'racer'], 2, /--property/],
    ['no attacker', ['weak.yaml', '--property', 'labels-hold'], 2, /--attacker/],
    [
      'an unknown promise',
      ['weak.yaml', '--property', 'label-hold', '--attacker', 'racer'],
      2,
      /labels-hold/,
    ],
    ['an unknown power', ['weak.yaml', '--property', 'labels-hold', '--attacker', 'race'], 2, /racer/],
    ['a depth and runs', ['weak.yaml', ...ASK, '--runs', '5'], 2, /say one of them/],
    ['a shard that is none', ['weak.yaml', ...ASK, '--shard', '3/2'], 2, /--shard/],
    ['a file that is not there', ['none.yaml', ...ASK], 3, /no such file/],
    ['a machine that cannot start', ['stuck.yaml', ...ASK], 3, /cannot start: step 1, mount/],
  ])('%s', (_, args, status, message) => {
    const r = kisim('check', ...args, '--out', 'z');
    expect([r.status, r.out]).toEqual([status, '']);
    expect(r.err).toMatch(message);
    expect(r.err).not.toMatch(/\n\s+at /);
  });
});
