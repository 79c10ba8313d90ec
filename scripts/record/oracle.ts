// The real kernel as a program to call: finds the oracle folder and its build, boots one case, and gives back the case
// with all its data spelled out and the record of what the kernel did. Says what makes a run useless.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
export const REPO = resolve(HERE, '..', '..');
/** Cases as a person writes them. */
export const CASES = join(HERE, 'cases');

/** Program -> Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  swtpm: 'swtpm',
  python3: 'python3',
  openssl: 'openssl',
  tar: 'tar',
  xz: 'xz-utils',
};

/** A mistake of the caller, or something that is not on this machine; its message is for people. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** A boot that says nothing about the kernel: it did not reach its end, or an op was not carried out. */
export class UselessRun extends Refusal {}

export interface Oracle {
  /** Folder with run-case and split-result.py. */
  readonly folder: string;
  /** Folder with kernel, initramfs, keys and images. */
  readonly build: string;
}

function hasProgram(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((dir) => dir !== '' && existsSync(join(dir, name)));
}

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): string {
  const p = spawnSync(program, args, { env, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (p.error !== undefined) throw new Refusal(`${program}: ${p.error.message}`);
  if (p.status !== 0) throw new Refusal(`${[program, ...args].join(' ')}\n${p.stderr}`);
  return p.stdout;
}

/** The oracle folder, after a look at everything that it needs; one Refusal names all that is missing. */
function findFolder(): string {
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

/** Its build; unpacked once into a cache folder when ORACLE_BUILD is not set. */
function findBuild(folder: string): string {
  const given = process.env.ORACLE_BUILD;
  if (given !== undefined && given !== '') {
    if (!existsSync(join(given, 'bzImage'))) throw new Refusal(`ORACLE_BUILD=${given} has no bzImage`);
    return given;
  }
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kisim', 'oracle');
  if (!existsSync(join(cache, 'bzImage'))) {
    const archive = join(folder, 'prebuilt.tar.xz');
    if (!existsSync(archive)) throw new Refusal(`no ${archive} and ORACLE_BUILD is not set`);
    mkdirSync(cache, { recursive: true });
    run('tar', ['-xJf', archive, '-C', cache], process.env);
  }
  return cache;
}

export function findOracle(): Oracle {
  const folder = findFolder();
  return { folder, build: findBuild(folder) };
}

interface RawResult {
  readonly incomplete?: boolean;
  readonly console_tail?: string;
  readonly notpm?: boolean;
  readonly final?: { readonly log?: readonly string[] };
  /** What the second kernel did; without `final` it did not reach its end. */
  readonly stage2?: { readonly final?: unknown };
  readonly ops: readonly { readonly op: string; readonly result: { readonly err: string } }[];
}

/** What makes a run useless as a record; null when it is good. */
function defect(raw: RawResult): string | null {
  if (raw.incomplete) return `the boot did not reach its end\n${raw.console_tail ?? ''}`;
  if (raw.stage2 !== undefined && raw.stage2.final === undefined)
    return 'the second kernel did not reach its end';
  const bypass = raw.final?.log?.some((line) => line.includes('No TPM chip found')) === true;
  if (bypass && raw.notpm !== true) return 'the kernel did not find its TPM in time';
  const bad = raw.ops.findIndex((o) => ['NOT_RUN', 'ACTOR_DIED', 'ENOSYS'].includes(o.result.err));
  return bad < 0 ? null : `op ${bad} (${raw.ops[bad]?.op}) gave ${raw.ops[bad]?.result.err}`;
}

/** The split program writes names that are not ASCII as they are; a final newline keeps diffs quiet. */
function endWithNewline(file: string): void {
  const text = readFileSync(file, 'utf8');
  if (!text.endsWith('\n')) writeFileSync(file, `${text}\n`);
}

/** A tool that makes the data of a case (openssl, for one) says no to what the case asks of it. */
const TOOL_REFUSED = /RuntimeError: (openssl|evmctl|fsverity|veritysetup) (\S+)/;

function bootCase(oracle: Oracle, file: string, result: string, env: NodeJS.ProcessEnv): string {
  try {
    return run(join(oracle.folder, 'run-case'), [file, result], env);
  } catch (e) {
    const tool = e instanceof Refusal ? TOOL_REFUSED.exec(e.message) : null;
    if (tool === null) throw e;
    throw new UselessRun(
      `${basename(file, '.json')}: ${tool[1]} ${tool[2]} cannot make the data that the case names`,
    );
  }
}

/** Boots one case file and writes OUT/cases/NAME.json and OUT/records/NAME.json; returns what run-case said. */
export function recordCase(oracle: Oracle, file: string, out: string): string {
  const name = basename(file, '.json');
  const work = mkdtempSync(join(tmpdir(), 'kisim-record-'));
  const env = { ...process.env, ORACLE_BUILD: oracle.build };
  try {
    const result = join(work, `${name}.json`);
    const said = bootCase(oracle, file, result, env);
    const why = defect(JSON.parse(readFileSync(result, 'utf8')) as RawResult);
    if (why !== null) throw new UselessRun(`${name}: ${why}`);
    run('python3', [join(oracle.folder, 'split-result.py'), result, out], env);
    for (const part of ['cases', 'records']) endWithNewline(join(out, part, `${name}.json`));
    return said;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
