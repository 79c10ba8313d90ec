// `kisim test`: runs all scenarios of folders. Passing files are one line each, failures are shown with the
// place in the file and the command that repeats them; counts come last.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import {
  countLine,
  failedWithPlaces,
  failureText,
  junit,
  type TestedFile,
  tap,
} from '../scenario/test-formats.ts';
import { reportJson, traceMarkdown } from '../scenario/trace-formats.ts';
import { codeFrame, renderDiagnostics } from './frame.ts';
import { play } from './play.ts';
import { loadScenarioFile } from './scenario-file.ts';
import {
  type ColorChoice,
  type Colors,
  CommandError,
  colorOption,
  colorsFor,
  EXIT,
  Interruption,
  out,
  Progress,
  say,
  shellQuote,
} from './terminal.ts';

const FORMATS = ['human', 'plain', 'json', 'ndjson', 'junit', 'tap', 'markdown'] as const;

interface TestOptions {
  readonly format: (typeof FORMATS)[number];
  readonly color: ColorChoice;
  readonly filter?: string;
  readonly bail?: boolean;
  readonly twice?: boolean;
}

/** Scenario files below a folder (or the file itself), sorted by path. */
export function scenarioFiles(path: string): readonly string[] {
  if (!existsSync(path)) throw new CommandError(EXIT.invalid, `${path}: no such file or folder`);
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => {
      const below = join(path, name);
      if (name.startsWith('.') || name === 'node_modules') return [];
      if (statSync(below).isDirectory()) return scenarioFiles(below);
      return /\.ya?ml$/.test(name) ? [below] : [];
    });
}

/** A replay that gives another trace counts as a failure of the file. */
class Diverged extends Error {}

function testOne(file: string, options: TestOptions): TestedFile {
  const loaded = loadScenarioFile(file);
  if (!loaded.ok)
    return { file, ok: false, report: null, text: loaded.text, diagnostics: loaded.diagnostics };
  const { report } = play(loaded.scenario);
  if (options.twice === true && play(loaded.scenario).report.traceDigest !== report.traceDigest)
    throw new Diverged(`${file}: the second run has another trace`);
  return { file, ok: report.outcome === 'passed', report };
}

function failureBlock(t: TestedFile, c: Colors): string {
  const head = c.bold(c.red(`FAIL ${t.file}`));
  const again = c.dim(`to repeat: kisim run ${shellQuote(t.file)}`);
  if (t.report === null) return [head, renderDiagnostics(t.file, t.text, t.diagnostics, c), again].join('\n');
  const { lines } = t.report.scenario.source;
  const blocks = failedWithPlaces(t.report).map(
    (f) => `${failureText(f)}\n${c.dim(`  --> ${t.file}:${f.line}:${f.column}`)}\n${codeFrame(lines, f, c)}`,
  );
  return [`${head} ${t.report.scenario.title}`, ...blocks, again].join('\n');
}

function humanLine(t: TestedFile, c: Colors): string {
  const mark = t.ok ? c.green('ok  ') : c.red('FAIL');
  const steps = t.report === null ? 'not loaded' : `${t.report.steps.length} steps`;
  return `${mark} ${t.file} ${c.dim(`(${steps})`)}`;
}

function jsonOf(t: TestedFile): object {
  if (t.report !== null) return reportJson(t.report);
  return { file: t.file, outcome: 'invalid', diagnostics: t.diagnostics };
}

function finish(tested: readonly TestedFile[], options: TestOptions, c: Colors): void {
  switch (options.format) {
    case 'json':
      out(JSON.stringify({ schemaVersion: 1, scenarios: tested.map(jsonOf) }, null, 2));
      return;
    case 'junit':
      out(junit(tested));
      return;
    case 'tap':
      out(tap(tested));
      return;
    case 'markdown':
      out(
        tested
          .map((t) => (t.report === null ? `# ${t.file}\n\nnot loaded\n` : traceMarkdown(t.report, [])))
          .join('\n'),
      );
      return;
    case 'ndjson':
      return;
    default: {
      const failures = tested.filter((t) => !t.ok);
      if (failures.length > 0) out(`\n${failures.map((t) => failureBlock(t, c)).join('\n\n')}`);
      const line = countLine(tested);
      out(`\n${failures.length > 0 ? c.red(line) : c.green(line)}`);
    }
  }
}

function filterOf(options: TestOptions): RegExp {
  try {
    return new RegExp(options.filter ?? '');
  } catch (e) {
    throw new CommandError(EXIT.usage, `--filter: ${(e as Error).message}`);
  }
}

async function test(paths: readonly string[], options: TestOptions): Promise<void> {
  const filter = filterOf(options);
  const files = (paths.length === 0 ? ['scenarios'] : paths)
    .flatMap(scenarioFiles)
    .filter((f) => filter.test(f));
  if (files.length === 0) throw new CommandError(EXIT.invalid, 'no scenario files (*.yaml) here');
  const plain = options.format === 'plain';
  const c = colorsFor(options.color, process.stdout, plain);
  const progress = new Progress();
  const tested: TestedFile[] = [];
  const interruption = new Interruption();
  for (const [i, file] of files.entries()) {
    if (await interruption.pause()) break;
    progress.show(`${i + 1} of ${files.length} ${file}`);
    try {
      const t = testOne(file, options);
      tested.push(t);
      progress.clear();
      if (options.format === 'human' || plain) out(humanLine(t, c));
      if (options.format === 'ndjson') out(JSON.stringify(jsonOf(t)));
      if (options.bail === true && !t.ok) break;
    } catch (e) {
      progress.clear();
      if (!(e instanceof Diverged)) throw new Error(`${file}: ${(e as Error).message}`, { cause: e });
      say(e.message);
      process.exitCode = EXIT.diverged;
      return;
    }
  }
  finish(tested, options, c);
  if (interruption.asked) {
    say(`interrupted: ${tested.length} of ${files.length} scenarios were run`);
    process.exitCode = EXIT.interrupted;
    return;
  }
  process.exitCode = tested.every((t) => t.ok) ? EXIT.ok : EXIT.failed;
}

export function testCommand(): Command {
  return new Command('test')
    .argument('[path...]', 'folders or files (default: scenarios)')
    .addOption(new Option('--format <format>', 'form of the output').choices([...FORMATS]).default('human'))
    .addOption(colorOption())
    .option('--filter <regex>', 'only files whose path matches')
    .option('--bail', 'stop after the first scenario that fails')
    .option('--twice', 'run each scenario twice and compare the traces')
    .addHelpText(
      'before',
      'Examples:\n  kisim test scenarios\n  kisim test --format junit scenarios/threads > report.xml\n',
    )
    .addHelpText(
      'after',
      '\nExit: 0 every expectation of every scenario holds, 1 not, 3 no such file, 5 a replay diverged.',
    )
    .action(test);
}
