// Two scenarios that differ in the policy and in what is expected of the last step. They are run before they
// are handed out: a pair whose expectations do not hold on the simulator is none.

import { stringify } from 'yaml';
import { Machine } from '../../kernel/machine.ts';
import { type LoadOptions, loadScenario } from '../../scenario/loader.ts';
import '../../scenario/registry.ts';
import { failedChecks } from '../../scenario/result.ts';
import { runScenario } from '../../scenario/runner.ts';
import type { DiffRow } from './report.ts';

export interface ScenarioPair {
  readonly old: string;
  readonly new: string;
}

/** Members of a scenario that the two do not share. */
export interface PairDocument {
  readonly machine: object;
  readonly steps: readonly object[];
  readonly keys?: object;
}

const HEAD = '# yaml-language-server: $schema=../schema/scenario.schema.json\n';
const KEYS = { root: { ca: true }, vendor: { issuer: 'root' } };
const LOAD: LoadOptions = {};

function textOf(row: DiffRow, which: 'old' | 'new', document: PairDocument): string {
  const { line, text, effect } = row[which];
  const where = line === null ? '' : ` (line ${line})`;
  const rule = text === null ? 'no rule decides' : `\`${text}\`${where} decides`;
  const title = `${row.kind}: what the ${which} policy does`;
  const about = `The old and the new policy decide differently here. In the ${which} one ${rule}: ${effect}.`;
  const { keys = KEYS, ...rest } = document;
  return HEAD + stringify({ title, kind: 'regression', about, keys, ...rest }, { lineWidth: 0 });
}

/** Whether a scenario can be loaded and everything that it expects holds. */
export function holds(text: string): boolean {
  const loaded = loadScenario('witness.yaml', text, LOAD);
  if (!loaded.ok) return false;
  const { report } = runScenario(loaded.scenario, (config) => Machine.boot(config));
  return failedChecks(report) === 0;
}

/** The pair as texts, null where a run does not do what it is expected to. */
export function provenPair(row: DiffRow, old: PairDocument, now: PairDocument): ScenarioPair | null {
  const pair = { old: textOf(row, 'old', old), new: textOf(row, 'new', now) };
  return holds(pair.old) && holds(pair.new) ? pair : null;
}
