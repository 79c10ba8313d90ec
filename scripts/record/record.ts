// Records cases on the real kernel: boots each case of scripts/record/cases (QEMU and swtpm, about three
// seconds), and writes input and outcome to test/conformance/own. Leaves out comparing: the conformance
// test does that.

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const REPO = resolve(HERE, '..', '..');
const CASES = join(HERE, 'cases');
const OUT = join(REPO, 'test', 'conformance', 'own');

/** Program -> Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  swtpm: 'swtpm',
  python3: 'python3',
  openssl: 'openssl',
  tar: 'tar',
  xz: 'xz-utils',
};

const USAGE = `usage: npm run record -- [--all] [--out DIR] CASE...
CASE is a file, or the name of one in scripts/record/cases. --all records every one of them.`;

class Refusal extends Error {
  override readonly name = 'Refusal';
}

interface Options {
  readonly files: readonly string[];
  readonly out: string;
}

function caseFile(name: string): string {
  const file = [name, join(CASES, name), join(CASES, `${name}.json`)].find(
    (f) => f.endsWith('.json') && existsSync(f),
  );
  if (file === undefined) throw new Refusal(`no such case: ${name}`);
  return resolve(file);
}

function parseArguments(argv: readonly string[]): Options {
  const files: string[] = [];
  let out = OUT;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? '';
    if (word === '--all') {
      for (const f of readdirSync(CASES).sort()) if (f.endsWith('.json')) files.push(join(CASES, f));
    } else if (word === '--out') {
      i += 1;
      const dir = argv[i];
      if (dir === undefined) throw new Refusal(USAGE);
      out = resolve(dir);
    } else if (word.startsWith('-')) {
      throw new Refusal(`unknown option ${word}\n${USAGE}`);
    } else {
      files.push(caseFile(word));
    }
  }
  if (files.length === 0) throw new Refusal(USAGE);
  return { files, out };
}

function hasProgram(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((dir) => dir !== '' && existsSync(join(dir, name)));
}

/**
 * The oracle folder, after a look at everything that it needs; throws one Refusal that names all that is
 * missing.
 */
function findOracle(): string {
  const missing: string[] = [];
  const dir = resolve(process.env.KISIM_ORACLE ?? join(REPO, '..', 'shared', 'oracle'));
  if (!existsSync(join(dir, 'run-case')))
    missing.push(`the oracle folder (no run-case in ${dir}): set KISIM_ORACLE to the folder that holds it`);
  const packages: string[] = [];
  for (const [program, pkg] of Object.entries(PROGRAMS)) {
    if (hasProgram(program)) continue;
    missing.push(`the program ${program}`);
    packages.push(pkg);
  }
  if (packages.length > 0) missing.push(`install with: apt-get install -y ${packages.join(' ')}`);
  if (missing.length > 0)
    throw new Refusal(`recording needs things that are not here:\n  ${missing.join('\n  ')}`);
  return dir;
}

/**
 * The folder with kernel, initramfs, keys and images; unpacked once into a cache folder when ORACLE_BUILD
 * is not set.
 */
function findBuild(oracle: string): string {
  const given = process.env.ORACLE_BUILD;
  if (given !== undefined && given !== '') {
    if (!existsSync(join(given, 'bzImage'))) throw new Refusal(`ORACLE_BUILD=${given} has no bzImage`);
    return given;
  }
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kisim', 'oracle');
  if (!existsSync(join(cache, 'bzImage'))) {
    const archive = join(oracle, 'prebuilt.tar.xz');
    if (!existsSync(archive)) throw new Refusal(`no ${archive} and ORACLE_BUILD is not set`);
    mkdirSync(cache, { recursive: true });
    run('tar', ['-xJf', archive, '-C', cache], process.env);
  }
  return cache;
}

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): string {
  const p = spawnSync(program, args, { env, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (p.error !== undefined) throw new Refusal(`${program}: ${p.error.message}`);
  if (p.status !== 0) throw new Refusal(`${[program, ...args].join(' ')}\n${p.stderr}`);
  return p.stdout;
}

interface RawResult {
  readonly incomplete?: boolean;
  readonly console_tail?: string;
  readonly ops: readonly { readonly op: string; readonly result: { readonly err: string } }[];
}

/** What makes a run useless as a record; null when it is good. */
function defect(raw: RawResult): string | null {
  if (raw.incomplete) return `the boot did not reach its end\n${raw.console_tail ?? ''}`;
  const bad = raw.ops.findIndex((o) => ['NOT_RUN', 'ACTOR_DIED', 'ENOSYS'].includes(o.result.err));
  return bad < 0 ? null : `op ${bad} (${raw.ops[bad]?.op}) gave ${raw.ops[bad]?.result.err}`;
}

/** The split program writes names that are not ASCII as they are; a final newline keeps diffs quiet. */
function endWithNewline(file: string): void {
  const text = readFileSync(file, 'utf8');
  if (!text.endsWith('\n')) writeFileSync(file, `${text}\n`);
}

function record(file: string, out: string, oracle: string, build: string): void {
  const name = basename(file, '.json');
  const work = mkdtempSync(join(tmpdir(), 'kisim-record-'));
  const env = { ...process.env, ORACLE_BUILD: build };
  try {
    const result = join(work, `${name}.json`);
    const said = run(join(oracle, 'run-case'), [file, result], env);
    const why = defect(JSON.parse(readFileSync(result, 'utf8')) as RawResult);
    if (why !== null) throw new Refusal(`${name}: ${why}`);
    run('python3', [join(oracle, 'split-result.py'), result, out], env);
    for (const part of ['cases', 'records']) endWithNewline(join(out, part, `${name}.json`));
    process.stdout.write(said);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function main(argv: readonly string[]): number {
  try {
    const { files, out } = parseArguments(argv);
    const oracle = findOracle();
    const build = findBuild(oracle);
    for (const file of files) record(file, out, oracle, build);
    return 0;
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    process.stderr.write(`${e.message}\n`);
    return 2;
  }
}

process.exitCode = main(process.argv.slice(2));
