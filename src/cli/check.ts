// `kisim check`: whether somebody with given powers can break a promise on a machine. Prints the verdict and
// writes the counterexample, if there is one, as a scenario file; `kisim check merge` joins the reports of a
// campaign that was split.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Command, Option } from 'commander';
import '../crypto/auto.ts';
import { fromUtf8 } from '../base/bytes.ts';
import {
  type CampaignOptions,
  type CheckReport,
  campaign,
  type Engine,
  type Shard,
  verdictLine,
} from '../check/campaign.ts';
import { MACHINES, type MachineName, machineText, type PolicyText, policyKind } from '../check/machines.ts';
import { powersNamed, propertiesNamed, UnknownName } from '../check/names.ts';
import { POWERS } from '../check/powers/table.ts';
import { clauseProperties } from '../check/properties/clauses.ts';
import { PROPERTIES } from '../check/properties/table.ts';
import type { Property } from '../check/property.ts';
import { campaignOf, checkJunit, mergeReports, missingShards, readReport } from '../check/report.ts';
import { asExpected, loadSubject, type Subject } from '../check/subject.ts';
import { SOURCE_LIMITS } from '../scenario/source.ts';
import { renderDiagnostics } from './frame.ts';
import { scenarioFileOptions } from './scenario-file.ts';
import {
  type ColorChoice,
  CommandError,
  colorOption,
  colorsFor,
  EXIT,
  makeFolder,
  out,
  Progress,
  readInput,
  say,
  shellQuote,
} from './terminal.ts';

const FORMATS = ['human', 'plain', 'json', 'junit'] as const;

export interface CheckOptions {
  readonly property?: readonly string[];
  readonly attacker?: string;
  readonly machine?: MachineName;
  readonly depth?: number;
  readonly runs?: number;
  readonly time?: number;
  readonly seed?: number;
  readonly path?: string;
  readonly shard?: Shard;
  readonly workers?: number;
  readonly out: string;
  readonly format: (typeof FORMATS)[number];
  readonly color: ColorChoice;
  readonly list?: boolean;
}

const DEFAULT_DEPTH = 3;

function wholeNumber(name: string, least: number): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (!Number.isSafeInteger(n) || n < least)
      throw new CommandError(EXIT.usage, `${name}: \`${text}\` is no whole number from ${least} on`);
    return n;
  };
}

function shardOf(text: string): Shard {
  const m = /^(\d+)\/(\d+)$/.exec(text);
  const [index, of] = [Number(m?.[1]), Number(m?.[2])];
  if (m === null || of < 1 || index < 1 || index > of)
    throw new CommandError(EXIT.usage, `--shard: \`${text}\` is none`, 'write it as 1/4 to 4/4');
  return { index: index - 1, of };
}

/** The text of what is checked: a scenario file, or a ready machine with policies on it. */
export function subjectText(
  files: readonly string[],
  machine: MachineName | undefined,
): { readonly file: string; readonly text: string } {
  const texts = files.map((file) => ({ file, text: fromUtf8(readInput(file, SOURCE_LIMITS.length)) }));
  const [first] = texts;
  if (first === undefined) throw new CommandError(EXIT.usage, 'say what to check: a scenario, or policies');
  if (/\.ya?ml$/.test(first.file)) {
    if (texts.length > 1)
      throw new CommandError(EXIT.usage, 'one scenario at a time', 'policies can be several');
    return first;
  }
  const policies = texts.map(
    ({ file, text }): PolicyText => ({ kind: policyKind(text), name: basename(file), text }),
  );
  const ipe = policies.some((p) => p.kind === 'ipe');
  return { file: first.file, text: machineText(machine ?? (ipe ? 'appliance' : 'minimal'), policies) };
}

/** A machine that cannot take its own steps is not what somebody wanted to check. */
function requireStart(file: string, subject: Subject): void {
  const failed = subject.setup.findIndex((t) => !asExpected(t));
  const at = subject.setup[failed];
  if (at === undefined) return;
  const what = `${at.op.op} ${String(at.op['path'] ?? at.op['target'] ?? '')}`.trimEnd();
  throw new CommandError(
    EXIT.invalid,
    `${file}: the machine cannot start: step ${failed + 1}, ${what}, gives ${at.result.err}`,
    'the steps are what the machine does at each start, before anybody attacks',
  );
}

function requireSubject(files: readonly string[], options: CheckOptions): Subject {
  const { file, text } = subjectText(files, options.machine);
  const loaded = loadSubject(file, text, scenarioFileOptions(file));
  if (loaded.ok) {
    requireStart(file, loaded.subject);
    return loaded.subject;
  }
  say(renderDiagnostics(file, loaded.text, loaded.diagnostics, colorsFor(options.color, process.stderr)));
  throw new CommandError(EXIT.invalid, `${file}: nothing was checked`);
}

function named<T>(find: () => T): T {
  try {
    return find();
  } catch (e) {
    if (e instanceof UnknownName) throw new CommandError(EXIT.usage, e.message, e.help);
    throw e;
  }
}

function engineOf({ check }: Subject, { depth, runs, seed, path }: CheckOptions): Engine {
  const wantsRuns = runs !== undefined || path !== undefined;
  if (depth !== undefined && wantsRuns)
    throw new CommandError(EXIT.usage, '--depth searches all, --runs tries at random: say one of them');
  const asked = runs ?? (depth === undefined && check.depth === undefined ? check.runs : undefined);
  if (asked === undefined && path === undefined)
    return { kind: 'exhaustive', depth: depth ?? check.depth ?? DEFAULT_DEPTH };
  return { kind: 'random', runs: asked ?? 1000, seed: seed ?? 1, ...(path === undefined ? {} : { path }) };
}

/** The promises that the command line names, or else those of the scenario with its own clauses. */
function promises(subject: Subject, options: CheckOptions): readonly Property<unknown>[] {
  const { check } = subject;
  const clauses = clauseProperties(subject);
  const own = check.property === undefined ? [] : [check.property].flat();
  const words = options.property?.flatMap((p) => p.split(',')) ?? [...own, ...clauses.map((c) => c.name)];
  if (words.length === 0)
    throw new CommandError(
      EXIT.usage,
      'say which promise: --property NAME',
      '`kisim check --list` shows them',
    );
  return named(() => propertiesNamed(words, clauses));
}

/** What a search needs, from the command line and from the scenario. */
export function campaignFor(subject: Subject, options: CheckOptions): CampaignOptions {
  const attacker = options.attacker ?? subject.check.attacker;
  const properties = promises(subject, options);
  if (attacker === undefined)
    throw new CommandError(
      EXIT.usage,
      'say who attacks: --attacker POWER+POWER',
      '`kisim check --list` shows them',
    );
  return {
    properties,
    powers: named(() => powersNamed(attacker)),
    engine: engineOf(subject, options),
    ...(options.shard === undefined ? {} : { shard: options.shard }),
  };
}

function timeLimit(seconds: number | undefined): () => boolean {
  if (seconds === undefined) return () => false;
  const end = Date.now() + seconds * 1000;
  return () => Date.now() >= end;
}

function repeatCommand(files: readonly string[], r: CheckReport, options: CheckOptions): string {
  const search =
    r.engine === 'exhaustive' ? ` --depth ${r.depth}` : ` --runs ${r.runs} --seed ${options.seed ?? 1}`;
  const machine = options.machine === undefined ? '' : ` --machine ${options.machine}`;
  return `kisim check ${files.map(shellQuote).join(' ')}${machine} --property ${r.properties.join(',')} --attacker ${r.attacker}${search}`;
}

function stem(file: string): string {
  return basename(file === '-' ? 'stdin' : file).replace(/\.[^.]*$/, '');
}

/** Writes the report, and the scenario of a counterexample; value = the scenario's path. */
function keep(report: CheckReport, folder: string): string | null {
  makeFolder(folder);
  const shard = report.shard === null ? '' : `.${report.shard.index + 1}-of-${report.shard.of}`;
  const name = `${stem(report.file)}${shard}`;
  writeFileSync(join(folder, `${name}.report.json`), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(folder, `${name}.junit.xml`), checkJunit([report]));
  if (report.found === null) return null;
  const path = join(folder, `${name}.${report.found.property}.yaml`);
  writeFileSync(path, report.found.scenario);
  return path;
}

function print(report: CheckReport, path: string | null, options: CheckOptions): void {
  out(shown(report, path, options));
}

function shown(report: CheckReport, path: string | null, options: CheckOptions): string {
  if (options.format === 'json') return JSON.stringify(report, null, 2);
  if (options.format === 'junit') return checkJunit([report]);
  const c = colorsFor(options.color, process.stdout, options.format === 'plain');
  const { found } = report;
  if (found === null || path === null) return (report.complete ? c.green : c.yellow)(verdictLine(report));
  const unused = report.rules.filter((r) => r.matched === 0).length;
  return [
    c.red(verdictLine(report)),
    `  promise  ${found.sentence}`,
    `  through  ${found.cover}`,
    `  instead  ${found.suggestion}`,
    ...(unused === 0
      ? []
      : [`  unused   ${unused} of ${report.rules.length} rules matched nothing on the way`]),
    path,
  ].join('\n');
}

function list(): void {
  const section = (
    title: string,
    all: readonly { readonly name: string; readonly sentence: string }[],
  ): string => `${title}\n${all.map((one) => `  ${one.name.padEnd(22)} ${one.sentence}`).join('\n')}`;
  out(
    `${section('properties', PROPERTIES as never)}\n${section('powers', POWERS)}\nmachines\n  ${MACHINES.join(', ')}`,
  );
}

async function search(
  files: readonly string[],
  subject: Subject,
  options: CheckOptions,
): Promise<CheckReport> {
  const asked = campaignFor(subject, options);
  const progress = new Progress();
  const stop = timeLimit(options.time);
  try {
    if ((options.workers ?? 1) > 1) {
      const { searchWithWorkers } = await import('./check-workers.ts');
      return await searchWithWorkers(files, options, (line) => progress.show(line));
    }
    return campaign(subject, { ...asked, stop, progress: (line) => progress.show(line) });
  } finally {
    progress.clear();
  }
}

async function check(files: readonly string[], options: CheckOptions): Promise<void> {
  if (options.list === true) return list();
  const subject = requireSubject(files, options);
  const report = await search(files, subject, options);
  const path = keep(report, options.out);
  print(report, path, options);
  if (report.found !== null || !report.complete) say(`to repeat: ${repeatCommand(files, report, options)}`);
  process.exitCode = report.found === null ? EXIT.ok : EXIT.failed;
}

function merge(
  files: readonly string[],
  options: { readonly out: string; readonly format: CheckOptions['format']; readonly color: ColorChoice },
): void {
  const reports = files.map((file): CheckReport => {
    const read = readReport(readFileSync(file, 'utf8'));
    if ('mistake' in read)
      throw new CommandError(EXIT.invalid, `${file}: this is no report: ${read.mistake}`);
    return read;
  });
  const [first, ...others] = reports;
  if (first === undefined) throw new CommandError(EXIT.usage, 'say which reports to merge');
  const stranger = others.findIndex((r) => campaignOf(r) !== campaignOf(first));
  if (stranger >= 0)
    throw new CommandError(
      EXIT.invalid,
      `${files[stranger + 1]}: belongs to another campaign than ${files[0]}`,
    );
  const missing = missingShards(reports).map((i) => `${i + 1}/${first.shard?.of}`);
  if (missing.length > 0) say(`not there: shard ${missing.join(', ')}`);
  const merged = mergeReports([first, ...others]);
  print(merged, keep(merged, options.out), options);
  process.exitCode = merged.found === null ? EXIT.ok : EXIT.failed;
}

const formatOption = (): Option =>
  new Option('--format <format>', 'form of the output').choices([...FORMATS]).default('human');
const outOption = (): Option =>
  new Option('--out <folder>', 'where the report and the counterexample go').default('check');

function mergeCommand(): Command {
  return new Command('merge')
    .description('join the reports of the shards of a campaign')
    .argument('<report...>', 'JSON reports that check wrote')
    .addOption(outOption())
    .addOption(formatOption())
    .addOption(colorOption())
    .action(merge);
}

export function checkCommand(): Command {
  const command = new Command('check')
    .enablePositionalOptions()
    .argument('[file...]', 'a scenario, or policies for a ready machine')
    .option(
      '--property <name>',
      'promise to check; more than once, or with commas',
      (v: string, all: string[] = []) => [...all, v],
    )
    .option('--attacker <powers>', 'powers of the attacker, joined by +')
    .addOption(new Option('--machine <name>', 'ready machine for policies').choices([...MACHINES]))
    .option('--depth <n>', 'search everything up to n actions', wholeNumber('--depth', 1))
    .option('--runs <n>', 'try n random runs instead', wholeNumber('--runs', 1))
    .option('--seed <n>', 'seed of the random runs', wholeNumber('--seed', 0))
    .option('--path <path>', 'repeat the random run of a report')
    .option('--time <seconds>', 'end the search after so long', wholeNumber('--time', 1))
    .option('--shard <i/n>', 'do the i-th of n parts', shardOf)
    .option('--workers <n>', 'threads on this machine', wholeNumber('--workers', 1))
    .option('--list', 'show promises, powers and machines')
    .addOption(outOption())
    .addOption(formatOption())
    .addOption(colorOption())
    .addHelpText(
      'before',
      'Examples:\n  kisim check scenarios/zoo/no-mmap-rule.yaml\n  kisim check policy.txt --machine server --property only-signed-code-runs --attacker root-without-keys\n',
    )
    .addHelpText('after', '\nExit: 0 nothing found, 1 a counterexample, 2 usage, 3 invalid input.')
    .action(check);
  return command.addCommand(mergeCommand());
}
