// `kisim diff A B`: runs two scenarios and shows where they part: the steps whose cells differ, the first
// trace event, list entries that only one has, and the registers.

import { Command, Option } from 'commander';
import { type DiffSide, diffRuns, type RunDiff } from '../scenario/diff.ts';
import { TIMELINE_COLUMNS, timelineCells } from '../scenario/timeline.ts';
import { play, registersOf, requireScenario } from './play.ts';
import { type ColorChoice, type Colors, colorOption, colorsFor, EXIT, out } from './terminal.ts';

interface DiffOptions {
  readonly format: 'human' | 'plain' | 'json';
  readonly color: ColorChoice;
  readonly all?: boolean;
}

function side(file: string, c: Colors): DiffSide {
  const { report, events, machine } = play(requireScenario(file, c));
  return { report, events, pcrs: registersOf(machine) };
}

function rowsText(diff: RunDiff, all: boolean, c: Colors): readonly string[] {
  const rows = diff.rows.filter((r) => all || r.columns.length > 0);
  if (rows.length === 0) return ['no step differs'];
  const { title, rows: cells } = timelineCells(rows.flatMap((r) => [r.a, r.b].filter((x) => x !== null)));
  const lines = [`  ${c.dim(title.join('  '))}`];
  let at = 0;
  for (const row of rows) {
    const pair = [row.a, row.b].map((r) => (r === null ? null : (cells[at++] ?? [])));
    const same = row.columns.length === 0;
    for (const [i, line] of pair.entries()) {
      if (line === null || (same && i === 1)) continue;
      const mark = same ? ' ' : i === 0 ? c.red('-') : c.green('+');
      const paint = i === 0 ? c.red : c.green;
      const painted = line.map((cell, n) =>
        !same && row.columns.includes(TIMELINE_COLUMNS[n] ?? 't') ? paint(cell) : cell,
      );
      lines.push(`${mark} ${painted.join('  ').trimEnd()}`);
    }
  }
  return lines;
}

function human(diff: RunDiff, files: readonly [string, string], options: DiffOptions, c: Colors): string {
  if (diff.equal) return c.green('the runs are equal, event for event');
  const lines = [
    c.red(`- ${files[0]}`),
    c.green(`+ ${files[1]}`),
    '',
    ...rowsText(diff, options.all ?? false, c),
  ];
  if (diff.event !== null) {
    const { index, a, b } = diff.event;
    lines.push('', `first different trace event: ${index}`);
    lines.push(
      c.red(`- ${a === null ? '(end)' : JSON.stringify(a)}`),
      c.green(`+ ${b === null ? '(end)' : JSON.stringify(b)}`),
    );
  }
  const entries = [
    ...diff.onlyInA.map((e) => c.red(`- ${e.line}`)),
    ...diff.onlyInB.map((e) => c.green(`+ ${e.line}`)),
  ];
  if (entries.length > 0) lines.push('', 'list entries that only one has:', ...entries);
  if (diff.pcrs.length > 0) lines.push('', 'registers:');
  for (const p of diff.pcrs) {
    lines.push(
      `  ${p.register}`,
      c.red(`  - ${p.a ?? 'no such bank'}`),
      c.green(`  + ${p.b ?? 'no such bank'}`),
    );
  }
  return lines.join('\n');
}

function diff(a: string, b: string, options: DiffOptions): void {
  const c = colorsFor(options.color, process.stdout, options.format === 'plain');
  const found = diffRuns(side(a, c), side(b, c));
  if (options.format === 'json') out(JSON.stringify(found, null, 2));
  else out(human(found, [a, b], options, c));
  process.exitCode = found.equal ? EXIT.ok : EXIT.failed;
}

export function diffCommand(): Command {
  return new Command('diff')
    .argument('<a>', 'a scenario file')
    .argument('<b>', 'another one')
    .addOption(
      new Option('--format <format>', 'form of the output')
        .choices(['human', 'plain', 'json'])
        .default('human'),
    )
    .addOption(colorOption())
    .option('--all', 'show equal steps too')
    .addHelpText(
      'before',
      'Examples:\n  kisim diff before.yaml after.yaml\n  kisim diff --format json a.yaml b.yaml\n',
    )
    .addHelpText('after', '\nExit: 0 the runs are equal, 1 they differ, 3 invalid input.')
    .action(diff);
}
