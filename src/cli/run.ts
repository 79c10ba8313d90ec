// `kisim run`: carries out scenarios and shows a line for each step. `--twice` and `--against` hold a run
// against itself or against an earlier trace: same scenario, same bytes.

import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import type { Scenario } from '../scenario/loader.ts';
import { allChecks, failedChecks, type RunReport, type StepReport } from '../scenario/result.ts';
import { failedWithPlaces, failureText } from '../scenario/test-formats.ts';
import { LEGEND, TIMELINE_COLUMNS, timeline, timelineCells } from '../scenario/timeline.ts';
import { reportJson, traceJson, traceMarkdown, traceNdjson } from '../scenario/trace-formats.ts';
import { codeFrame } from './frame.ts';
import { type Played, play, requireScenario } from './play.ts';
import {
  type ColorChoice,
  type Colors,
  CommandError,
  colorOption,
  colorsFor,
  EXIT,
  Interruption,
  out,
  say,
  shellQuote,
} from './terminal.ts';

const FORMATS = ['human', 'plain', 'json', 'ndjson', 'markdown'] as const;

interface RunOptions {
  readonly format: (typeof FORMATS)[number];
  readonly color: ColorChoice;
  readonly notes: boolean;
  readonly legend?: boolean;
  readonly trace?: boolean;
  readonly bail?: boolean;
  readonly twice?: boolean;
  readonly against?: string;
}

const NOTE_WIDTH = 96;

/** Words of a text in lines of a given width. */
function wrap(text: string, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && indent.length + line.length + 1 + word.length > NOTE_WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((l) => `${indent}${l}`).join('\n');
}

function paintRow(cells: readonly string[], failed: boolean, c: Colors): string {
  const painted = cells.map((cell, i) => {
    const column = TIMELINE_COLUMNS[i];
    const text = cell.trim();
    if (column === 'ret' && text !== '0') return c.yellow(cell);
    if (column === 'ima')
      return /[VD]/.test(text) ? c.red(cell) : /[MA]/.test(text) ? c.green(cell) : c.dim(cell);
    if (column === 'evm' || column === 'ipe')
      return /fail|deny|ref/.test(text) ? c.red(cell) : text === '.' ? c.dim(cell) : c.green(cell);
    return column === 'pcr10' ? c.cyan(cell) : cell;
  });
  return `${failed ? c.red('x') : ' '} ${painted.join('  ').trimEnd()}`;
}

function failureLines(report: RunReport, step: StepReport | null, c: Colors): readonly string[] {
  const number = step?.step.number ?? null;
  return failedWithPlaces(report)
    .filter((f) => f.step === number)
    .map((f) => {
      const place = `${report.scenario.file}:${f.line}:${f.column}`;
      return `${c.red(failureText(f))}\n${c.dim(`  --> ${place}`)}\n${codeFrame(report.scenario.source.lines, f, c)}`;
    });
}

function humanRun(played: Played, options: RunOptions, c: Colors): string {
  const { report, events } = played;
  const { scenario } = report;
  const { title, rows } = timelineCells(timeline(report, events));
  const lines = [c.bold(scenario.title), `  ${c.dim(title.join('  ').trimEnd())}`];
  for (const [i, step] of report.steps.entries()) {
    lines.push(
      paintRow(
        rows[i] ?? [],
        step.checks.some((k) => !k.ok),
        c,
      ),
    );
    if (options.notes && step.step.note !== null) lines.push(c.dim(wrap(step.step.note, '      ')));
    lines.push(...failureLines(report, step, c));
  }
  lines.push(...failureLines(report, null, c));
  const [all, failed] = [allChecks(report), failedChecks(report)];
  const verdict =
    failed === 0
      ? c.green(`passed: ${all} expectations hold`)
      : c.red(`failed: ${failed} of ${all} expectations do not hold`);
  return [...lines, `${verdict}${c.dim(`, trace sha256 ${report.traceDigest.slice(0, 16)}`)}`].join('\n');
}

function render(played: Played, options: RunOptions): string {
  const { report, events } = played;
  switch (options.format) {
    case 'json':
      return JSON.stringify(options.trace === true ? traceJson(report, events) : reportJson(report), null, 2);
    case 'ndjson':
      return traceNdjson(report, events);
    case 'markdown':
      return traceMarkdown(report, events);
    default:
      return humanRun(played, options, colorsFor(options.color, process.stdout, options.format === 'plain'));
  }
}

interface KeptTrace {
  readonly traceDigest?: unknown;
  readonly events?: readonly unknown[];
}

/** The trace digest that a run must have, from a file that `--format json --trace` wrote. */
function keptTrace(path: string): KeptTrace {
  let kept: KeptTrace;
  try {
    kept = JSON.parse(readFileSync(path, 'utf8')) as KeptTrace;
  } catch (e) {
    throw new CommandError(EXIT.invalid, `${path}: ${(e as Error).message}`);
  }
  if (typeof kept?.traceDigest !== 'string')
    throw new CommandError(
      EXIT.invalid,
      `${path}: has no traceDigest`,
      'write one with `kisim run --format json --trace`',
    );
  return kept;
}

/** Says where two runs part; true when they are equal. */
function sameTrace(played: Played, digest: unknown, events: readonly unknown[] | undefined): boolean {
  if (played.report.traceDigest === digest) return true;
  say(
    `${played.report.scenario.file}: the replay diverged: trace sha256 ${played.report.traceDigest}, not ${String(digest)}`,
  );
  if (events !== undefined) {
    const own = played.events.map((e) => JSON.stringify(e));
    const n = Math.max(own.length, events.length);
    const at = Array.from({ length: n }, (_, i) => i).find((i) => own[i] !== JSON.stringify(events[i]));
    if (at !== undefined)
      say(
        `  first at event ${at}:\n  now  ${own[at] ?? '(no event)'}\n  then ${JSON.stringify(events[at]) ?? '(no event)'}`,
      );
  }
  return false;
}

function runOne(
  scenario: Scenario,
  options: RunOptions,
): { readonly failed: boolean; readonly diverged: boolean } {
  const played = play(scenario, { bail: options.bail ?? false });
  out(render(played, options));
  let same = true;
  if (options.twice === true) {
    const again = play(scenario, { bail: options.bail ?? false });
    same = sameTrace(again, played.report.traceDigest, played.events);
  }
  if (options.against !== undefined) {
    const kept = keptTrace(options.against);
    same = sameTrace(played, kept.traceDigest, kept.events) && same;
  }
  return { failed: played.report.outcome === 'failed', diverged: !same };
}

async function run(files: readonly string[], options: RunOptions): Promise<void> {
  if (options.legend === true)
    out(LEGEND.map(([column, meaning]) => `${column.padEnd(6)} ${meaning}`).join('\n'));
  const errors = colorsFor(options.color, process.stderr, options.format === 'plain');
  const scenarios = files.map((f) => requireScenario(f, errors));
  const interruption = new Interruption();
  const results: { readonly failed: boolean; readonly diverged: boolean }[] = [];
  for (const s of scenarios) {
    if (await interruption.pause()) {
      process.exitCode = EXIT.interrupted;
      return;
    }
    const result = runOne(s, options);
    if (result.failed) say(`to repeat: kisim run ${shellQuote(s.file)}`);
    results.push(result);
  }
  if (results.some((r) => r.diverged)) process.exitCode = EXIT.diverged;
  else process.exitCode = results.some((r) => r.failed) ? EXIT.failed : EXIT.ok;
}

export function runCommand(): Command {
  return new Command('run')
    .argument('<file...>', 'scenario files')
    .addOption(new Option('--format <format>', 'form of the output').choices([...FORMATS]).default('human'))
    .addOption(colorOption())
    .option('--legend', 'explain the columns first')
    .option('--no-notes', 'leave out the notes of the steps')
    .option('--trace', 'with --format json: the whole trace too')
    .option('--bail', 'stop after the first step that is not as expected')
    .option('--twice', 'run twice and compare the traces')
    .option('--against <trace>', 'compare the trace with one that was kept (--format json --trace)')
    .addHelpText(
      'before',
      'Examples:\n  kisim run --legend scenarios/lessons/02-list-and-pcr.yaml\n  kisim run --format json --trace FILE > trace.json\n',
    )
    .addHelpText(
      'after',
      '\nExit: 0 every expectation holds, 1 one does not, 3 invalid input, 5 the replay diverged.',
    )
    .action(run);
}
