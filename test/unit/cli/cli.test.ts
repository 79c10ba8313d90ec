// The command line as scripts see it: exit codes, what goes to standard output and what to standard error, formats, and
// the promise that a mistake never shows a stack.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../support.ts';

const MAIN = join(ROOT, 'dist/cli/main.js');
const work = mkdtempSync(join(tmpdir(), 'kisim-cli-'));
const at = (name: string): string => join(work, name);

interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function kisim(args: readonly string[], input = '', env: Record<string, string> = {}): Ran {
  const r = spawnSync(process.execPath, [MAIN, ...args], {
    cwd: ROOT,
    input,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '', CI: 'true', ...env },
  });
  return { status: r.status, out: r.stdout, err: r.stderr };
}

const PASSING = `title: passes
kind: regression
machine: { cmdline: ima_policy=tcb }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a, data: "one\\n" }
  - { op: read, path: /mnt/a, id: first, expect: { measured: [/mnt/a] } }
`;

beforeAll(() => {
  if (!existsSync(MAIN)) throw new Error('dist/ is missing: run `npm run build` first (npm test does)');
  writeFileSync(at('passes.yaml'), PASSING);
  writeFileSync(
    at('fails.yaml'),
    PASSING.replace('measured: [/mnt/a]', 'measured: []').replace('passes', 'fails'),
  );
  writeFileSync(
    at('broken.yaml'),
    'title: x\nkind: leson\nsteps:\n  - { op: raed, path: /a }\n  - { op: read, pth: /a }\n',
  );
});
afterAll(() => rmSync(work, { recursive: true }));

describe('kisim', () => {
  it('begins its help with two examples, knows its version, and is asked for nothing: exit 2', () => {
    const help = kisim(['--help']);
    expect(help.status).toBe(0);
    expect(help.out).toMatch(/^Examples:\n {2}kisim run .*\n {2}kisim explain .*\n/);
    const bare = kisim([]);
    expect([bare.status, kisim(['--version']).out]).toEqual([2, '0.1.0\n']);
  });

  it.each([
    [['lnt'], 'Did you mean lint?'],
    [['run', '--fromat', 'json', 'x'], 'Did you mean --format?'],
    [['run', '--format', 'xml', 'x'], 'Allowed choices are human, plain, json, ndjson, markdown'],
  ])('%j is a usage error with a hint', (args, hint) => {
    const r = kisim(args);
    expect(r.status).toBe(2);
    expect(r.out).toBe('');
    expect(r.err).toContain(hint);
  });
});

describe('kisim run', () => {
  it('exits 0 when everything holds, and prints the timeline', () => {
    const r = kisim(['run', at('passes.yaml')]);
    expect([r.status, r.err]).toEqual([0, '']);
    expect(r.out).toMatch(/3 {2}uid=0 {2}read +\/mnt\/a +M/);
  });

  it('exits 1 when something does not, with frame and the command that repeats it', () => {
    const r = kisim(['run', at('fails.yaml')]);
    expect(r.status).toBe(1);
    expect(r.out).toContain('step 3, measured: expected nothing, was /mnt/a');
    expect(r.out).toContain(`--> ${at('fails.yaml')}:7:`);
    expect(r.err).toContain(`to repeat: kisim run ${at('fails.yaml')}`);
  });

  it('exits 3 for mistakes, all of them at once, without a stack', () => {
    const r = kisim(['run', at('broken.yaml')]);
    expect([r.status, r.out]).toEqual([3, '']);
    for (const text of [
      '`kind` cannot be `leson`',
      'unknown operation `raed`',
      'unknown key `pth`',
      '`path` is missing',
    ])
      expect(r.err).toContain(text);
    expect(r.err).not.toMatch(/\n\s+at /);
    expect(kisim(['run', at('nosuch.yaml')]).status).toBe(3);
  });

  it('keeps a trace and exits 5 when a later run has another one', () => {
    const kept = kisim(['run', '--format', 'json', '--trace', at('passes.yaml')]);
    writeFileSync(at('kept.json'), kept.out);
    expect(kisim(['run', '--twice', '--against', at('kept.json'), at('passes.yaml')]).status).toBe(0);
    writeFileSync(at('other.yaml'), PASSING.replace('one', 'two'));
    const r = kisim(['run', '--format', 'json', '--against', at('kept.json'), at('other.yaml')]);
    expect(r.status).toBe(5);
    expect(r.err).toContain('the replay diverged');
    expect(JSON.parse(r.out)).toMatchObject({ schemaVersion: 1, outcome: 'passed' });
  });
});

describe('kisim test', () => {
  it('says so when a folder for results cannot be made', () => {
    const taken = join(mkdtempSync(join(tmpdir(), 'kisim-cli-')), 'file');
    writeFileSync(taken, '');
    for (const args of [
      ['gaps', '--out', taken],
      ['export', 'scenarios/lessons/01-what-a-pcr-is.yaml', '--to', join(taken, 'below')],
      ['conform', 'test/conformance/own/cases/ox-proc-cmdline.json', '--out', taken],
    ]) {
      const r = kisim(args);
      expect(r.status, args[0]).toBe(2);
      expect(r.err).toContain('the folder cannot be made');
    }
  });

  it('runs a folder: one line each, failures with frames, counts, exit 1', () => {
    const r = kisim(['test', work]);
    expect(r.status).toBe(1);
    expect(r.out).toContain(`ok   ${at('passes.yaml')} (3 steps)`);
    expect(r.out).toContain(`FAIL ${at('broken.yaml')} (not loaded)`);
    expect(r.out).toMatch(/4 scenarios: 2 passed, 2 failed; 12 expectations: 11 held, 1 did not\n$/);
  });

  it('speaks JUnit, TAP and JSON', () => {
    const junit = kisim(['test', '--format', 'junit', work]);
    expect(junit.status).toBe(1);
    expect(junit.out).toContain('<testsuites tests="4" failures="1" errors="1">');
    const tap = kisim(['test', '--format', 'tap', '--filter', 'passes|fails', work]).out.split('\n');
    expect(tap.slice(0, 3)).toEqual(['TAP version 13', '1..2', `not ok 1 - ${at('fails.yaml')}: fails`]);
    const json = JSON.parse(kisim(['test', '--format', 'json', at('passes.yaml')]).out) as {
      scenarios: { outcome: string }[];
    };
    expect(json.scenarios.map((s) => s.outcome)).toEqual(['passed']);
  });
});

describe('an interruption', () => {
  it('ends a long test after the scenario at hand, with what there is and exit 130', async () => {
    const child = spawn(process.execPath, [MAIN, 'test', ...Array(500).fill(at('passes.yaml'))], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (d: Buffer) => {
      if (out === '') child.kill('SIGINT');
      out += d.toString();
    });
    child.stderr.on('data', (d: Buffer) => {
      err += d.toString();
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(130);
    expect(out).toMatch(/\d+ scenarios?: \d+ passed, 0 failed/);
    expect(err).toMatch(/interrupted: \d+ of 500 scenarios were run/);
  });
});

describe('kisim lint', () => {
  it('gives the six members of each diagnostic as JSON, from standard input', () => {
    const r = kisim(
      ['lint', '--kind', 'ipe', '--format', 'json', '-'],
      'policy_name=a policy_version=1.0\nDEFAULT action=ALOW\n',
    );
    expect(r.status).toBe(3);
    const report = JSON.parse(r.out) as { verdict: string; errno: string; diagnostics: object[] };
    expect([report.verdict, report.errno]).toEqual(['rejected', 'EBADMSG']);
    expect(report.diagnostics.map((d) => Object.keys(d))).toEqual([
      ['severity', 'line', 'column', 'code', 'message', 'help'],
      ['severity', 'line', 'column', 'code', 'message', 'help'],
    ]);
  });

  it('accepts good texts of each kind with exit 0', () => {
    expect(kisim(['lint', '--kind', 'ima', '-'], 'measure func=BPRM_CHECK\n').status).toBe(0);
    expect(
      kisim(['lint', '--kind', 'ipe', '-'], 'policy_name=a policy_version=1.0.0\nDEFAULT action=DENY\n')
        .status,
    ).toBe(0);
    expect(kisim(['lint', at('passes.yaml')]).status).toBe(0);
    expect(kisim(['lint', '-'], 'what is this\n').status).toBe(2);
  });

  it('ends quickly with a clear error for a huge file of aliases', () => {
    writeFileSync(at('bomb.yaml'), '*a'.repeat(50_000_000));
    const start = process.hrtime.bigint();
    const r = kisim(['run', at('bomb.yaml')]);
    expect(Number(process.hrtime.bigint() - start) / 1e9).toBeLessThan(5);
    expect([r.status, r.out]).toEqual([3, '']);
    expect(r.err).toContain('larger than 4 MiB');
    rmSync(at('bomb.yaml'));
  });
});

describe('kisim explain, diff, export, schema, completion', () => {
  it('explains a step by its id and lists the extends of a register', () => {
    const r = kisim(['explain', at('passes.yaml'), 'first']);
    expect(r.out).toMatch(/^step 3 \(first\): read \/mnt\/a by uid=0: allowed\n/);
    expect(kisim(['explain', at('passes.yaml'), 'frist']).err).toContain('did you mean `first`?');
    const pcr = kisim(['explain', '--pcr', '10', '--format', 'json', at('passes.yaml')]);
    expect((JSON.parse(pcr.out) as { about: string }[]).map((e) => e.about)).toEqual([
      'TPM2_Startup (reset)',
      'boot_aggregate',
      '/mnt/a',
    ]);
  });

  it('shows where two runs part', () => {
    writeFileSync(at('other.yaml'), PASSING.replace('one', 'two'));
    expect(kisim(['diff', at('passes.yaml'), at('passes.yaml')]).status).toBe(0);
    const r = kisim(['diff', at('passes.yaml'), at('other.yaml')]);
    expect(r.status).toBe(1);
    expect(r.out).toMatch(/list entries that only one has:\n- 10 .*\/mnt\/a\n\+ 10 .*\/mnt\/a\n/);
  });

  it('names the files of an export on standard output', () => {
    const r = kisim(['export', at('passes.yaml'), '--to', at('export'), '--nonce', '0011']);
    expect(r.status).toBe(0);
    const names = [
      'ascii_runtime_measurements',
      'pcrs.sha256',
      'quote.msg',
      'ak.pub',
      'eventlog.bin',
      'trace.md',
    ];
    for (const name of names) expect(r.out.split('\n')).toContain(join(at('export'), name));
  });

  it('completes commands, options and choices in three shells', () => {
    const bash = kisim(['completion', 'bash']);
    const script = `${bash.out}\nCOMP_WORDS=(kisim run --format ""); COMP_CWORD=3; _kisim; echo "\${COMPREPLY[@]}"; COMP_WORDS=(kisim ""); COMP_CWORD=1; _kisim; echo "\${COMPREPLY[@]}"`;
    const done = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect(done.stderr).toBe('');
    expect(done.stdout.split('\n')[0]).toBe('human plain json ndjson markdown');
    expect(done.stdout.split('\n')[1]).toContain('run test explain');
    expect(kisim(['completion', 'zsh']).out).toContain('#compdef kisim');
    expect(kisim(['completion', 'fish']).out).toContain(
      "complete -c kisim -n '__fish_seen_subcommand_from run' -l format -x -a 'human plain json ndjson markdown'",
    );
  });
});
