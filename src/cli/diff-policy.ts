// `kisim diff-policy OLD NEW`: in which events two policies decide differently, exactly, as a table and as
// pairs of scenarios.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { fromLatin1, fromUtf8 } from '../base/bytes.ts';
import '../crypto/auto.ts';
import { diffIma } from '../check/policy-diff/ima-diff.ts';
import {
  builtinSide,
  type ImaSide,
  imaSide,
  isBuiltinPolicy,
  unknownBuiltins,
} from '../check/policy-diff/ima-side.ts';
import { imaScenarios } from '../check/policy-diff/ima-witness.ts';
import { diffIpe } from '../check/policy-diff/ipe-diff.ts';
import { ipeScenarios } from '../check/policy-diff/ipe-witness.ts';
import type { ScenarioPair } from '../check/policy-diff/pair.ts';
import type { PolicyDiff } from '../check/policy-diff/report.ts';
import { diffMarkdown, diffText, type Names } from '../check/policy-diff/text.ts';
import { ipeParsePolicy } from '../ipe/parser.ts';
import { IPE_PROPERTIES } from '../ipe/properties.ts';
import type { IpeParsedPolicy } from '../ipe/types.ts';
import { renderDiagnostics } from './frame.ts';
import { guessKind, lintOne } from './lint.ts';
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

interface DiffPolicyOptions {
  readonly kind?: 'ima' | 'ipe';
  readonly format: 'human' | 'plain' | 'json' | 'markdown';
  readonly out?: string;
  readonly color: ColorChoice;
}

type Read =
  | { readonly kind: 'ima'; readonly side: ImaSide }
  | { readonly kind: 'ipe'; readonly policy: IpeParsedPolicy; readonly text: string };

function builtin(name: string): Read {
  const unknown = unknownBuiltins(name);
  if (unknown.length > 0)
    throw new CommandError(
      EXIT.usage,
      `${name}: no kernel knows the policy ${unknown.join(', ')}`,
      'tcb, appraise_tcb, secure_boot, fail_securely, critical_data, joined by |',
    );
  return { kind: 'ima', side: builtinSide(name) };
}

/** Reads a side; what the kernel would refuse is printed as lint prints it. */
async function read(name: string, options: DiffPolicyOptions): Promise<Read> {
  if (isBuiltinPolicy(name) && !existsSync(name)) return builtin(name);
  const bytes = readInput(name, LIMIT);
  const text = fromUtf8(bytes);
  const kind = options.kind ?? guessKind(name, text);
  if (kind === 'scenario') throw new CommandError(EXIT.usage, `${name}: a scenario, not a policy`);
  const shown = name === '-' ? '<stdin>' : name;
  const refuse = (diagnostics: Parameters<typeof renderDiagnostics>[2]): never => {
    say(renderDiagnostics(shown, text, diagnostics, colorsFor(options.color, process.stderr)));
    throw new CommandError(EXIT.invalid, `${shown}: the kernel refuses this policy; nothing was compared`);
  };
  if (kind === 'ima') {
    const result = imaSide(shown, fromLatin1(bytes));
    return result.ok ? { kind, side: result.side } : refuse(result.report.diagnostics);
  }
  const report = await lintOne(name, bytes, kind);
  const parsed = ipeParsePolicy(fromLatin1(bytes), IPE_PROPERTIES);
  if (report.verdict !== 'accepted' || !parsed.ok) return refuse(report.diagnostics);
  return { kind, policy: parsed.policy, text };
}

interface Compared {
  readonly diff: PolicyDiff;
  /** For each row the scenarios, or why there are none. */
  readonly scenarios: () => readonly (ScenarioPair | string)[];
}

function compare(old: Read, now: Read): Compared {
  if (old.kind === 'ima' && now.kind === 'ima') {
    const { diff, differences } = diffIma(old.side, now.side);
    const scenarios = (): readonly (ScenarioPair | string)[] =>
      diff.rows.map((row) => {
        const found = differences.find((d) => d.row === row);
        return found === undefined ? 'it is no single access' : imaScenarios(found, old.side, now.side);
      });
    return { diff, scenarios };
  }
  if (old.kind === 'ipe' && now.kind === 'ipe') {
    const { diff, differences } = diffIpe(old.policy, now.policy);
    const scenarios = (): readonly (ScenarioPair | string)[] =>
      diff.rows.map((row) => {
        const found = differences.find((d) => d.row === row);
        return found === undefined ? 'it is no single event' : ipeScenarios(found, old.text, now.text);
      });
    return { diff, scenarios };
  }
  throw new CommandError(
    EXIT.usage,
    'one is an IMA policy and the other an IPE policy',
    'give two of one kind',
  );
}

/** Writes the pairs; says for each row without one why. */
function writeScenarios(folder: string, scenarios: readonly (ScenarioPair | string)[]): void {
  makeFolder(folder);
  for (const [i, pair] of scenarios.entries()) {
    const number = String(i + 1).padStart(2, '0');
    if (typeof pair === 'string') say(`${i + 1}: no scenario: ${pair}`);
    else {
      writeFileSync(join(folder, `${number}-old.yaml`), pair.old);
      writeFileSync(join(folder, `${number}-new.yaml`), pair.new);
    }
  }
}

async function diffPolicy(old: string, now: string, options: DiffPolicyOptions): Promise<void> {
  if (old === '-' && now === '-')
    throw new CommandError(EXIT.usage, 'only one of the two can be standard input');
  const [a, b] = [await read(old, options), await read(now, options)];
  const { diff, scenarios } = compare(a, b);
  const names: Names = { old, new: now };
  if (options.out !== undefined) writeScenarios(options.out, scenarios());
  if (options.format === 'json') out(JSON.stringify(diff, null, 2));
  else if (options.format === 'markdown') out(diffMarkdown(diff, names));
  else out(diffText(diff, names, colorsFor(options.color, process.stdout, options.format === 'plain')));
  process.exitCode = diff.equivalent ? EXIT.ok : EXIT.failed;
}

export function diffPolicyCommand(): Command {
  return new Command('diff-policy')
    .argument('<old>', 'a policy file, - for standard input, or a built-in one such as ima_policy=tcb')
    .argument('<new>', 'another one of the same kind')
    .addOption(
      new Option('--kind <kind>', 'what the files are (default: by their first word)').choices([
        'ima',
        'ipe',
      ]),
    )
    .addOption(
      new Option('--format <format>', 'form of the answer')
        .choices(['human', 'plain', 'json', 'markdown'])
        .default('human'),
    )
    .option('--out <folder>', 'write two scenarios for each difference there')
    .addOption(colorOption())
    .addHelpText(
      'before',
      'Examples:\n  kisim diff-policy old.policy new.policy\n  kisim diff-policy ima_tcb ima_policy=tcb --format markdown\n',
    )
    .addHelpText('after', '\nExit: 0 equivalent, 1 they differ, 2 usage, 3 a policy that the kernel refuses.')
    .action(diffPolicy);
}
