// `kisim lint`: checks IMA policies, IPE policies and scenarios without running anything. The kernel's
// verdict and errno for policies, and all diagnostics with their places.

import { Command, Option } from 'commander';
import { fromLatin1, fromUtf8 } from '../base/bytes.ts';
import type { Diagnostic, LintReport } from '../base/diagnostic.ts';
import { countText, plainDiagnostics, renderDiagnostics } from './frame.ts';
import { type ColorChoice, CommandError, colorOption, colorsFor, EXIT, out, readInput } from './terminal.ts';

const KINDS = ['ima', 'ipe', 'scenario'] as const;
export type Kind = (typeof KINDS)[number];
const LIMIT = 4 * 1024 * 1024;

interface LintOptions {
  readonly kind?: Kind;
  readonly format: 'human' | 'plain' | 'json';
  readonly color: ColorChoice;
}

interface Linted {
  readonly file: string;
  readonly text: string;
  readonly report: LintReport;
}

/** What a text looks like, when the caller does not say. */
export function guessKind(file: string, text: string): Kind {
  if (/\.ya?ml$/.test(file)) return 'scenario';
  const first = /^(?!\s*#)\s*(\S+)/m.exec(text)?.[1] ?? '';
  if (first.startsWith('policy_name=')) return 'ipe';
  if (/^(dont_)?(measure|appraise|audit|hash)$/.test(first)) return 'ima';
  throw new CommandError(EXIT.usage, `${file}: cannot tell what this is`, `say --kind ${KINDS.join('|')}`);
}

export async function lintOne(file: string, bytes: Uint8Array, kind: Kind): Promise<LintReport> {
  if (kind === 'ipe') {
    const { lintIpePolicy } = await import('../ipe/lint.ts');
    return lintIpePolicy(bytes);
  }
  if (kind === 'ima') {
    const { lintImaPolicy } = await import('../ima/lint.ts');
    return lintImaPolicy(fromLatin1(bytes));
  }
  const { loadScenario } = await import('../scenario/loader.ts');
  const { scenarioFileOptions } = await import('./scenario-file.ts');
  const { ok, diagnostics } = loadScenario(file, fromUtf8(bytes), scenarioFileOptions(file));
  return { verdict: ok ? 'accepted' : 'rejected', errno: null, diagnostics };
}

/** The six members that scripts rely on. */
function jsonDiagnostic(d: Diagnostic): object {
  const { severity, line, column, code, message, help } = d;
  return { severity, line, column, code, message, help };
}

function print(linted: readonly Linted[], options: LintOptions): void {
  if (options.format === 'json') {
    const reports = linted.map(({ report }) => ({
      verdict: report.verdict,
      errno: report.errno,
      diagnostics: report.diagnostics.map(jsonDiagnostic),
    }));
    const named = reports.map((r, i) => ({ file: linted[i]?.file, ...r }));
    out(JSON.stringify(reports.length === 1 ? reports[0] : named, null, 2));
    return;
  }
  const plain = options.format === 'plain';
  const c = colorsFor(options.color, process.stdout, plain);
  for (const { file, text, report } of linted) {
    const verdict = report.errno === null ? report.verdict : `${report.verdict} (-${report.errno})`;
    const counts = countText(report.diagnostics);
    const summary = `${file}: ${verdict}${counts === '' ? '' : `: ${counts}`}`;
    if (plain) {
      if (report.diagnostics.length > 0) out(plainDiagnostics(file, report.diagnostics));
      out(summary);
      continue;
    }
    if (report.diagnostics.length > 0) out(`${renderDiagnostics(file, text, report.diagnostics, c)}\n`);
    out(report.verdict === 'accepted' ? c.green(summary) : c.red(summary));
  }
}

async function lint(files: readonly string[], options: LintOptions): Promise<void> {
  const linted: Linted[] = [];
  for (const file of files) {
    const bytes = readInput(file, LIMIT);
    const text = fromUtf8(bytes);
    const shown = file === '-' ? '<stdin>' : file;
    const report = await lintOne(shown, bytes, options.kind ?? guessKind(file, text));
    linted.push({ file: shown, text, report });
  }
  print(linted, options);
  process.exitCode = linted.every((l) => l.report.verdict === 'accepted') ? EXIT.ok : EXIT.invalid;
}

export function lintCommand(): Command {
  return new Command('lint')
    .description('check a policy or a scenario: the verdict of the kernel and every mistake with its place')
    .argument('<file...>', 'files, or - for standard input')
    .addOption(
      new Option('--kind <kind>', 'what the text is (default: by its name or first word)').choices([
        ...KINDS,
      ]),
    )
    .addOption(
      new Option('--format <format>', 'form of the answer')
        .choices(['human', 'plain', 'json'])
        .default('human'),
    )
    .addOption(colorOption())
    .addHelpText(
      'before',
      'Examples:\n  kisim lint --kind ima policy.txt\n  kisim lint --kind ipe --format json -\n',
    )
    .addHelpText('after', '\nExit: 0 accepted, 3 rejected.')
    .action(lint);
}
