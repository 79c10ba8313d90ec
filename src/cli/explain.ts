// `kisim explain`: why one step of a scenario ended as it did, or where the value of a register comes from.

import { Command, Option } from 'commander';
import { didYouMean } from '../base/diagnostic.ts';
import type { EventValue, TraceEvent } from '../base/trace.ts';
import { type ExplainContext, type Explanation, explainStep } from '../explain/explain.ts';
import { type ExtendRecord, registerLife } from '../explain/pcr.ts';
import { type ExplainLine, explanationLines, extendLines } from '../explain/render.ts';
import { activeRules } from '../ima/policy-match.ts';
import type { Machine } from '../kernel/machine.ts';
import type { Scenario, ScenarioStep } from '../scenario/loader.ts';
import { eventsOf } from '../scenario/observe.ts';
import type { StepReport } from '../scenario/result.ts';
import { ScenarioRun } from '../scenario/runner.ts';
import { timelineRow } from '../scenario/timeline.ts';
import { boot, play, requireScenario } from './play.ts';
import {
  type ColorChoice,
  type Colors,
  CommandError,
  colorOption,
  colorsFor,
  EXIT,
  out,
} from './terminal.ts';

interface ExplainOptions {
  readonly pcr?: string;
  readonly bank: string;
  readonly full?: boolean;
  readonly format: 'human' | 'plain' | 'json';
  readonly color: ColorChoice;
}

function findStep(scenario: Scenario, word: string): ScenarioStep {
  const found = scenario.steps.find((s) => s.id === word || String(s.number) === word);
  if (found !== undefined) return found;
  const ids = scenario.steps.flatMap((s) => (s.id === null ? [] : [s.id]));
  const help =
    didYouMean(word, ids) ??
    `steps 1 to ${scenario.steps.length}${ids.length === 0 ? '' : `, or ${ids.join(', ')}`}`;
  throw new CommandError(EXIT.invalid, `${scenario.file}: no step \`${word}\``, help);
}

/** What events of a step refer to: the machine before the step, and after it for what the step made. */
function contextOf(before: Machine, after: Machine): ExplainContext {
  const policy = before.ima.state.policy;
  return {
    rules: activeRules(policy),
    policyFlag: policy.flag,
    inode: (key) => before.vfs.state.inodes.get(key) ?? after.vfs.state.inodes.get(key),
    superblock: (id) => before.vfs.state.superblocks.get(id) ?? after.vfs.state.superblocks.get(id),
    task: (pid) => before.kernel.task(pid) ?? after.kernel.task(pid),
  };
}

function tpmRefused({ result }: StepReport): boolean {
  return typeof result['rc'] === 'number' && result['rc'] !== 0;
}

function noteOf(report: StepReport): string {
  const { result } = report;
  if (typeof result['rc'] === 'number' && result['rc'] !== 0)
    return String(result['rc_text'] ?? `rc 0x${result['rc'].toString(16)}`);
  if (typeof result['signal'] === 'number') return `killed by signal ${result['signal']}`;
  return typeof result['exit'] === 'number' ? `exit ${result['exit']}` : '';
}

/** Runs up to a step (its number or id) and explains it. */
export function explainScenarioStep(scenario: Scenario, word: string): Explanation {
  const step = findStep(scenario, word);
  const run = new ScenarioRun(scenario, boot);
  while (run.steps.length < step.number - 1) run.step();
  const before = run.machine.fork();
  const report = run.step();
  const events = eventsOf(run.machine, report.effects);
  const all: TraceEvent[] = [];
  for (const e of events) all[e.id] = e;
  const row = timelineRow(report, all);
  const title = `step ${step.number}${step.id === null ? '' : ` (${step.id})`}: ${row.op}${row.object === '' ? '' : ` ${row.object}`} by ${row.who}`;
  return explainStep(
    { title, err: report.result.err, note: noteOf(report), refused: tpmRefused(report), events },
    contextOf(before, run.machine),
  );
}

function paint(lines: readonly ExplainLine[], c: Colors): string {
  return lines
    .map(({ kind, text }) => {
      if (kind === 'headline') return c.bold(text);
      if (kind === 'heading') return `\n${c.underline(text)}`;
      if (kind === 'matched') return c.green(text);
      return kind === 'quiet' ? c.dim(text) : text;
    })
    .join('\n');
}

function explainPcr(scenario: Scenario, options: ExplainOptions, c: Colors): void {
  const pcr = Number(options.pcr);
  if (!Number.isInteger(pcr) || pcr < 0 || pcr > 23)
    throw new CommandError(EXIT.usage, `--pcr: \`${options.pcr}\` is no number from 0 to 23`);
  const { report, events } = play(scenario);
  const records = registerLife(events, pcr, options.bank);
  const stepOf = (r: ExtendRecord): string => {
    const step = report.steps.find(({ effects: e }) => r.event >= e.events[0] && r.event < e.events[1]);
    return step === undefined ? 'boot' : `step ${step.step.number}`;
  };
  if (options.format === 'json') {
    out(
      JSON.stringify(
        records.map((r) => ({ ...r, step: stepOf(r), root: r.root.kind })),
        null,
        2,
      ),
    );
    return;
  }
  const head: ExplainLine = {
    kind: 'headline',
    text: `${options.bank} PCR ${pcr}: ${records.filter((r) => r.kind === 'extend').length} extends`,
  };
  out(paint([head, ...extendLines(records, stepOf, options.full ?? false)], c));
}

function jsonOf(e: Explanation): EventValue {
  const { tree: _, ...rest } = e;
  return JSON.parse(JSON.stringify(rest)) as EventValue;
}

function explain(file: string, word: string | undefined, options: ExplainOptions): void {
  const c = colorsFor(options.color, process.stdout, options.format === 'plain');
  const scenario = requireScenario(
    file,
    colorsFor(options.color, process.stderr, options.format === 'plain'),
  );
  if (options.pcr !== undefined) {
    explainPcr(scenario, options, c);
    return;
  }
  if (word === undefined) {
    const steps = scenario.steps.map((s) => `  ${s.number}${s.id === null ? '' : ` ${s.id}`}: ${s.op.op}`);
    throw new CommandError(
      EXIT.usage,
      `${file}: say which step\n${steps.join('\n')}`,
      'or --pcr N for a register',
    );
  }
  const explanation = explainScenarioStep(scenario, word);
  if (options.format === 'json') out(JSON.stringify(jsonOf(explanation), null, 2));
  else out(paint(explanationLines(explanation, options.full ?? false), c));
}

export function explainCommand(): Command {
  return new Command('explain')
    .argument('<scenario>', 'a scenario file')
    .argument('[step]', 'number or id of a step')
    .option('--pcr <n>', 'instead of a step: every extend of this register and what caused it')
    .addOption(
      new Option('--bank <bank>', 'with --pcr: which bank')
        .choices(['sha1', 'sha256', 'sha384', 'sha512'])
        .default('sha256'),
    )
    .option('--full', 'every rule, every event member, whole digests')
    .addOption(
      new Option('--format <format>', 'form of the output')
        .choices(['human', 'plain', 'json'])
        .default('human'),
    )
    .addOption(colorOption())
    .addHelpText(
      'before',
      'Examples:\n  kisim explain scenarios/lessons/04-appraisal-by-hash.yaml bad\n  kisim explain --pcr 10 scenarios/lessons/02-list-and-pcr.yaml\n',
    )
    .action(explain);
}
