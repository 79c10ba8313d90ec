// Runs every recorded case of this folder on the simulator and compares it with what the real kernel did. The conformance
// test and the fidelity table take their numbers from here.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import '../../src/crypto/auto.ts';
import { complaintText, loadCase, type RecordedCase } from '../../src/conformance/case.ts';
import { type ComparedCase, compareCase } from '../../src/conformance/compare.ts';
import { RECORDED_ENVIRONMENT } from '../../src/conformance/env-data.ts';
import { type CaseRecord, runCase } from '../../src/conformance/run.ts';
import { Machine } from '../../src/kernel/machine.ts';
import { ROOT } from '../support.ts';

export const CONFORMANCE = join(ROOT, 'test/conformance');
export const PASSING = join(CONFORMANCE, 'passing.txt');

/** A folder with `cases` and `records`. */
export interface CaseSet {
  readonly title: string;
  readonly folder: string;
}

export const CASE_SETS: readonly CaseSet[] = [
  { title: 'Recorded cases', folder: CONFORMANCE },
  { title: 'Cases of our own', folder: join(CONFORMANCE, 'own') },
].filter((s) => existsSync(join(s.folder, 'cases')));

export interface CaseRun {
  readonly input: RecordedCase;
  readonly ours: CaseRecord;
  readonly compared: ComparedCase;
}

/** Names of the cases that have a record, in order. */
export function caseNames(set: CaseSet): string[] {
  return readdirSync(join(set.folder, 'cases'))
    .filter((f) => f.endsWith('.json') && existsSync(join(set.folder, 'records', f)))
    .map((f) => f.slice(0, -'.json'.length))
    .sort();
}

export function readCase(set: CaseSet, name: string): RecordedCase {
  const path = join(set.folder, 'cases', `${name}.json`);
  const loaded = loadCase(path, readFileSync(path, 'utf8'));
  if (!loaded.ok) throw new Error(loaded.complaints.map(complaintText).join('\n'));
  return loaded.value;
}

export function runOne(set: CaseSet, name: string): CaseRun {
  const input = readCase(set, name);
  const record: unknown = JSON.parse(readFileSync(join(set.folder, 'records', `${name}.json`), 'utf8'));
  const ours = runCase(RECORDED_ENVIRONMENT, input, Machine.boot);
  return { input, ours, compared: compareCase(input, record, JSON.parse(JSON.stringify(ours))) };
}

/** Names that passing.txt lists. */
export function passingList(): string[] {
  if (!existsSync(PASSING)) return [];
  return readFileSync(PASSING, 'utf8')
    .split('\n')
    .filter((l) => l !== '' && !l.startsWith('#'));
}
