// A counterexample as a scenario file: the subject's machine and its own steps, then what the attacker did,
// step by step with a word on each, what came of it, and at the last step what shows that the promise is
// broken. `kisim run` carries it out on the same machine, so it ends with the same trace.

import { Document, isMap, isSeq } from 'yaml';
import '../scenario/registry.ts';
import { Machine } from '../kernel/machine.ts';
import { type LoadOptions, loadScenario } from '../scenario/loader.ts';
import { failedChecks, type RunReport } from '../scenario/result.ts';
import { runScenario } from '../scenario/runner.ts';
import type { StepExpectation } from '../scenario/schema-expect.ts';
import type { StepForm } from './action.ts';
import { steps, type Transition } from './node.ts';
import type { Broken } from './search.ts';
import { INTRUDER_KEY, type Subject } from './subject.ts';

export interface Counterexample {
  /** Text of the scenario file. */
  readonly text: string;
  /** How many steps the attacker needed. */
  readonly steps: number;
  /** Digest of the trace that the search made on the way. */
  readonly traceDigest: string;
}

const HEAD = '# yaml-language-server: $schema=../schema/scenario.schema.json\n';

/** What a step that was let through or refused is expected to show again. */
function outcome(t: Transition): StepExpectation {
  const { err, rc, exit, signal } = t.result as { err: NonNullable<StepExpectation['err']> } & Record<
    string,
    unknown
  >;
  return {
    ...(err === 'OK' ? {} : { err }),
    ...(typeof rc === 'number' && rc !== 0 ? { rc } : {}),
    ...(typeof exit === 'number' ? { exit } : {}),
    ...(typeof signal === 'number' ? { signal } : {}),
  };
}

function stepDocument(t: Transition, expect: StepExpectation): StepForm {
  const { expect: own, ...form } = t.form as StepForm & { readonly expect?: StepExpectation };
  const whole = { ...(own ?? {}), ...expect };
  return Object.keys(whole).length === 0 ? form : { ...form, expect: whole };
}

const usesIntruder = (forms: readonly StepForm[]): boolean =>
  JSON.stringify(forms).includes(`"${INTRUDER_KEY}"`);

function about(subject: Subject, broken: Broken): string {
  const { property, finding } = broken;
  const lines = [
    `The promise: ${property.sentence}`,
    `It is broken: ${finding.what}.`,
    `Why it got through: ${finding.cover}.`,
    `What would have helped: ${finding.suggestion}.`,
    `Subject: ${subject.scenario.title}.`,
  ];
  return `${lines.join('\n')}\n`;
}

const ON_ONE_LINE = 150;

/** Maps that fit on a line stand on one. */
function fold(node: unknown): void {
  if (isMap(node)) {
    for (const { value } of node.items) fold(value);
    const plain = JSON.stringify(node.toJSON());
    if (plain.length <= ON_ONE_LINE && !plain.includes('\\n')) node.flow = true;
  } else if (isSeq(node)) for (const item of node.items) fold(item);
}

function write(document: { readonly [member: string]: unknown }): string {
  const yaml = new Document(document, { aliasDuplicateObjects: false });
  if (isMap(yaml.contents)) for (const { value } of yaml.contents.items) fold(value);
  return `${HEAD}${yaml.toString({ lineWidth: 0, flowCollectionPadding: true })}`;
}

/** Writes a broken promise as a scenario. */
export function counterexample(subject: Subject, broken: Broken): Counterexample {
  const { document, scenario, setup } = subject;
  const forms = broken.actions.flatMap((a) => a.steps);
  const done = [...steps(subject.start, forms, subject.reader)];
  const attack = done.map((t, i) => {
    const last = i === done.length - 1;
    const form = stepDocument(t, last ? { ...outcome(t), ...broken.finding.expect } : outcome(t));
    return last ? { ...form, id: 'broken' } : form;
  });
  const own = setup.map((t) => stepDocument(t, outcome(t)));
  const machine = { ...document.machine, seed: String(document.machine?.['seed'] ?? document.title) };
  const keys = usesIntruder(forms) ? { ...document.keys, [INTRUDER_KEY]: {} } : document.keys;
  const text = write({
    title: `${scenario.title}: ${broken.property.name} is broken`,
    about: about(subject, broken),
    kind: 'attack',
    ...(keys === undefined ? {} : { keys }),
    machine,
    steps: [...own, ...attack],
  });
  const last = done.at(-1)?.after ?? subject.start;
  return { text, steps: attack.length, traceDigest: Machine.fromState(last.machine).traceDigest() };
}

export interface Replayed {
  readonly report: RunReport;
  /** Whether it ended with the same trace, and every expectation held. */
  readonly same: boolean;
}

/** Runs a counterexample as `kisim run` does; null when the text is no scenario, which is our mistake. */
export function replayCounterexample(found: Counterexample, options: LoadOptions = {}): Replayed | null {
  const loaded = loadScenario('counterexample.yaml', found.text, options);
  if (!loaded.ok) return null;
  const { report } = runScenario(loaded.scenario, (config) => Machine.boot(config));
  return { report, same: report.traceDigest === found.traceDigest && failedChecks(report) === 0 };
}
