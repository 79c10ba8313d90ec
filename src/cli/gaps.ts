// `kisim gaps`: goes every way by which data of files and buffers reaches the kernel on a machine with the
// given policies, and shows which of them is measured, appraised, enforced, or nothing of it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { fromUtf8 } from '../base/bytes.ts';
import { findGaps, type GapsRow } from '../check/gaps/gaps.ts';
import { gapsJson, gapsMarkdown, gapsText } from '../check/gaps/text.ts';
import '../scenario/registry.ts';
import { renderDiagnostics } from './frame.ts';
import { guessKind, type Kind, lintOne } from './lint.ts';
import { boot } from './play.ts';
import {
  type ColorChoice,
  CommandError,
  colorOption,
  colorsFor,
  EXIT,
  makeFolder,
  out,
  readInput,
  say,
} from './terminal.ts';

const LIMIT = 4 * 1024 * 1024;

interface GapsCommandOptions {
  readonly cmdline?: string;
  readonly out?: string;
  readonly format: 'human' | 'plain' | 'json' | 'markdown';
  readonly color: ColorChoice;
}

type Policies = { readonly [K in 'ima' | 'ipe']?: string };

async function readPolicies(files: readonly string[], options: GapsCommandOptions): Promise<Policies> {
  const found: { ima?: string; ipe?: string } = {};
  for (const file of files) {
    const bytes = readInput(file, LIMIT);
    const text = fromUtf8(bytes);
    const kind: Kind = guessKind(file, text);
    if (kind === 'scenario') throw new CommandError(EXIT.usage, `${file}: a scenario, not a policy`);
    if (found[kind] !== undefined)
      throw new CommandError(
        EXIT.usage,
        `${file}: a second ${kind.toUpperCase()} policy`,
        'give one of each kind',
      );
    const report = await lintOne(file, bytes, kind);
    if (report.verdict !== 'accepted') {
      const c = colorsFor(options.color, process.stderr);
      say(renderDiagnostics(file, text, report.diagnostics, c));
      throw new CommandError(EXIT.invalid, `${file}: the kernel would refuse this policy; nothing was run`);
    }
    found[kind] = text.endsWith('\n') ? text : `${text}\n`;
  }
  return found;
}

function writeScenarios(folder: string, rows: readonly GapsRow[]): void {
  makeFolder(folder);
  for (const row of rows) {
    for (const cell of [row.file, row.buffer]) {
      for (const [sample, text] of Object.entries(cell.scenarios))
        writeFileSync(join(folder, `${cell.path}-${cell.form}-${sample}.yaml`), text);
    }
  }
}

async function gaps(files: readonly string[], options: GapsCommandOptions): Promise<void> {
  const policies = await readPolicies(files, options);
  const { cmdline } = options;
  const found = findGaps({ ...policies, ...(cmdline === undefined ? {} : { cmdline }), boot });
  if (!found.ok) {
    say(renderDiagnostics('<gaps>', found.text, found.diagnostics, colorsFor(options.color, process.stderr)));
    throw new CommandError(EXIT.invalid, 'these policies cannot be loaded; nothing was run');
  }
  if (options.out !== undefined) writeScenarios(options.out, found.rows);
  if (options.format === 'json') out(JSON.stringify(gapsJson(found.rows), null, 2));
  else out(options.format === 'markdown' ? gapsMarkdown(found.rows) : gapsText(found.rows));
}

export function gapsCommand(): Command {
  return new Command('gaps')
    .argument('[policy...]', 'an IMA policy, an IPE policy, or both')
    .option('--cmdline <text>', 'kernel command line, such as ima_policy=secure_boot')
    .option('--out <folder>', 'write the scenario of each cell there')
    .addOption(
      new Option('--format <format>', 'form of the output')
        .choices(['human', 'plain', 'json', 'markdown'])
        .default('human'),
    )
    .addOption(colorOption())
    .addHelpText(
      'before',
      'Examples:\n  kisim gaps ima-policy ipe-policy\n  kisim gaps --cmdline ima_policy=secure_boot --format markdown\n',
    )
    .addHelpText('after', '\nExit: 0 the matrix was made, 2 usage, 3 a policy that cannot be loaded.')
    .action(gaps);
}
