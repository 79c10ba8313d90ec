// Asks the real kernel and the simulator the same random questions: makes cases of a group from a seed, runs each on
// both, prints a line for each and shrinks what differs. Needs the oracle (scripts/record); not a part of the tests.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findOracle, type Oracle, REPO, Refusal } from '../record/oracle.ts';
import { type Outcome, runBoth, writeKept } from './both.ts';
import { type Case, type Group, sampleCase } from './dice.ts';
import { shrink } from './shrink.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = join(REPO, 'node_modules', '.cache', 'kisim', 'differential');
const EXIT_DIFFERENT = 1;
const EXIT_USAGE = 2;
const EXIT_INTERNAL = 70;

const letters = readdirSync(join(HERE, 'groups'))
  .map((f) => basename(f, '.ts'))
  .sort();

const USAGE = `usage: npm run differential -- --group ${letters.join('|')} [--cases N] [--seed N] [--path N] [options]
       npm run differential -- --replay FILE...
  --cases N        how many (default 10)
  --seed N         seed of fast-check (default 1)
  --path N         number of the first case of the seed (default 0)
  --out DIR        where differing cases go (default node_modules/.cache/kisim/differential)
  --no-shrink      leave differing cases as they are
  --shrink-runs N  boots that shrinking one case may cost (default 80)
  --dry            only write the cases to DIR/made, run nothing
  --replay FILE    run case files again, without shrinking
Exit: 0 all equal, 1 differences, 2 usage or something missing, 70 a fault of the simulator.`;

interface Options {
  readonly out: string;
  /** Boots for shrinking one case; 0 leaves it as it is. */
  readonly shrinkRuns: number;
}

class Totals {
  equal = 0;
  different = 0;
  useless = 0;
  unsteady = 0;
  internal = 0;
}

/** How many of the case's ops reach to the first difference; null for the final state or the second kernel. */
function opsToDifference(made: Case, sentence: string): number | null {
  const m = /^op (\d+) /.exec(sentence);
  if (m === null) return null;
  // The record counts the mount that comes before the case's own ops.
  return Number(m[1]) + (made['nomount'] === true ? 1 : 0);
}

function describe(o: Outcome): string {
  if (o.kind === 'useless') return `useless  ${o.why}`;
  if (o.kind === 'equal') return `equal    ${o.compared.seen} observations`;
  const { differences } = o.compared;
  return `DIFFERS  ${differences.length} of ${o.compared.seen}: ${differences[0] ?? ''}`;
}

function writeCase(folder: string, name: string, made: Case): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.json`);
  writeFileSync(file, `${JSON.stringify(made, null, 2)}\n`);
  return file;
}

function runOne(oracle: Oracle, name: string, made: Case, out: string): Outcome {
  const outcome = runBoth(oracle, name, made);
  process.stdout.write(`${name}: ${describe(outcome)}\n`);
  if (outcome.kind === 'different') writeKept(out, name, outcome.kept);
  return outcome;
}

/** Shrinks a differing case after a second boot has shown that the kernel itself gives the same again. */
function follow(oracle: Oracle, name: string, made: Case, first: string, options: Options): boolean {
  const again = runBoth(oracle, name, made);
  if (again.kind !== 'different') {
    process.stdout.write(`${name}: unsteady: a second boot does not differ\n`);
    return false;
  }
  const stillDiffers = (c: Case): boolean => runBoth(oracle, `${name}-small`, c).kind === 'different';
  const small = shrink(made, opsToDifference(made, first), stillDiffers, options.shrinkRuns);
  const last = runBoth(oracle, `${name}-small`, small.smallest);
  const file = writeCase(join(options.out, 'made'), `${name}-small`, small.smallest);
  if (last.kind === 'different') writeKept(options.out, `${name}-small`, last.kept);
  const how = small.finished ? `${small.tries} boots` : `stopped after ${small.tries} boots`;
  process.stdout.write(
    `  shrunk from ${made.ops.length} to ${small.smallest.ops.length} ops (${how}): ${describe(last)}\n` +
      `  ${file}\n` +
      `  to keep it: copy that file to scripts/record/cases/NAME.json and npm run record -- NAME\n`,
  );
  return true;
}

function campaign(letter: string, group: Group, from: number, count: number, seed: number, options: Options) {
  const oracle = findOracle();
  const totals = new Totals();
  for (let path = from; path < from + count; path++) {
    const name = `${letter}-${seed}-${path}`;
    const made = sampleCase(group, seed, path);
    const outcome = runOne(oracle, name, made, options.out);
    if (outcome.kind !== 'different') {
      totals[outcome.kind] += 1;
      continue;
    }
    writeCase(join(options.out, 'made'), name, made);
    if (outcome.internal) totals.internal += 1;
    const [first = ''] = outcome.compared.differences;
    if (options.shrinkRuns === 0 || follow(oracle, name, made, first, options)) totals.different += 1;
    else totals.unsteady += 1;
  }
  const { equal, different, useless, unsteady } = totals;
  process.stdout.write(
    `group ${letter} (${group.title}), seed ${seed}: ${count} cases, ${equal} equal, ${different} different, ` +
      `${useless} useless, ${unsteady} unsteady\n`,
  );
  return totals;
}

function replay(files: readonly string[], out: string): Totals {
  const oracle = findOracle();
  const totals = new Totals();
  for (const file of files) {
    if (!existsSync(file)) throw new Refusal(`no such file: ${file}`);
    const made = JSON.parse(readFileSync(file, 'utf8')) as Case;
    const outcome = runOne(oracle, basename(file, '.json'), made, out);
    totals[outcome.kind] += 1;
    if (outcome.kind !== 'different') continue;
    if (outcome.internal) totals.internal += 1;
    for (const d of outcome.compared.differences.slice(1)) process.stdout.write(`  ${d}\n`);
  }
  return totals;
}

function number(text: string, option: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Refusal(`--${option}: not a number: ${text}\n${USAGE}`);
  return Number(text);
}

function parse(argv: string[]) {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        group: { type: 'string' },
        cases: { type: 'string', default: '10' },
        seed: { type: 'string', default: '1' },
        path: { type: 'string', default: '0' },
        out: { type: 'string', default: OUT },
        'no-shrink': { type: 'boolean', default: false },
        'shrink-runs': { type: 'string', default: '80' },
        dry: { type: 'boolean', default: false },
        replay: { type: 'boolean', default: false },
      },
    });
  } catch (e) {
    throw new Refusal(`${(e as Error).message}\n${USAGE}`);
  }
}

async function start(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv);
  const out = resolve(values.out);
  const exit = (t: Totals): number =>
    t.internal > 0 ? EXIT_INTERNAL : t.different + t.unsteady > 0 ? EXIT_DIFFERENT : 0;
  if (values.replay && positionals.length > 0) return exit(replay(positionals, out));
  const letter = values.group ?? '';
  if (values.replay || positionals.length > 0 || !letters.includes(letter)) throw new Refusal(USAGE);
  const { group } = (await import(`./groups/${letter}.ts`)) as { group: Group };
  const [from, count] = [number(values.path, 'path'), number(values.cases, 'cases')];
  const seed = number(values.seed, 'seed');
  if (values.dry) {
    for (let p = from; p < from + count; p++) {
      writeCase(join(out, 'made'), `${letter}-${seed}-${p}`, sampleCase(group, seed, p));
    }
    return 0;
  }
  const shrinkRuns = values['no-shrink'] ? 0 : number(values['shrink-runs'], 'shrink-runs');
  return exit(campaign(letter, group, from, count, seed, { out, shrinkRuns }));
}

try {
  process.exitCode = await start(process.argv.slice(2));
} catch (e) {
  if (!(e instanceof Refusal)) throw e;
  process.stderr.write(`${e.message}\n`);
  process.exitCode = EXIT_USAGE;
}
