// One case on the real kernel and on the simulator, compared as the recorded cases are. The kernel runs first, because
// the case with all its data spelled out comes out of that run.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '../../src/crypto/auto.ts';
import { complaintText, loadCase } from '../../src/conformance/case.ts';
import { type ComparedCase, compareCase } from '../../src/conformance/compare.ts';
import { RECORDED_ENVIRONMENT } from '../../src/conformance/env-data.ts';
import { unknownNames } from '../../src/conformance/environment.ts';
import { runCase } from '../../src/conformance/run.ts';
import { Machine } from '../../src/kernel/machine.ts';
import { type Oracle, Refusal, recordCase, UselessRun } from '../record/oracle.ts';
import type { Case } from './dice.ts';

/** Texts of a case and both its results, as the files of a conformance folder hold them. */
export interface Kept {
  readonly input: string;
  readonly record: string;
  readonly ours: string;
}

export type Outcome =
  | {
      readonly kind: 'equal' | 'different';
      readonly compared: ComparedCase;
      /** A fault of the simulator stopped the case. */
      readonly internal: boolean;
      readonly kept: Kept;
    }
  | { readonly kind: 'useless'; readonly why: string };

/** Runs `made` under `name` on both. */
export function runBoth(oracle: Oracle, name: string, made: Case): Outcome {
  const work = mkdtempSync(join(tmpdir(), 'kisim-differential-'));
  try {
    const file = join(work, `${name}.json`);
    writeFileSync(file, JSON.stringify({ ...made, name, group: made['group'] ?? 'o' }));
    try {
      recordCase(oracle, file, work);
    } catch (e) {
      if (!(e instanceof UselessRun)) throw e;
      return { kind: 'useless', why: e.message.split('\n')[0] ?? '' };
    }
    const input = readFileSync(join(work, 'cases', `${name}.json`), 'utf8');
    const record = readFileSync(join(work, 'records', `${name}.json`), 'utf8');
    const loaded = loadCase(file, input);
    if (!loaded.ok) throw new Refusal(loaded.complaints.map(complaintText).join('\n'));
    const unknown = unknownNames(RECORDED_ENVIRONMENT, loaded.value);
    if (unknown !== null) throw new Refusal(`${name}: ${unknown}`);
    const result = runCase(RECORDED_ENVIRONMENT, loaded.value, Machine.boot);
    const ours = JSON.stringify(result);
    const compared = compareCase(loaded.value, JSON.parse(record), JSON.parse(ours));
    const kind = compared.differences.length === 0 ? 'equal' : 'different';
    const kept = { input, record, ours: `${ours}\n` };
    return { kind, compared, internal: result.internal !== undefined, kept };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Writes both results of a run to out/cases, out/records and out/ours, the folders that compare.mjs reads. */
export function writeKept(out: string, name: string, kept: Kept): void {
  for (const [folder, text] of [
    ['cases', kept.input],
    ['records', kept.record],
    ['ours', kept.ours],
  ] as const) {
    mkdirSync(join(out, folder), { recursive: true });
    writeFileSync(join(out, folder, `${name}.json`), text);
  }
}
