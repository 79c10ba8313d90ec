// Golden files: for a few scenarios the timeline, the Markdown page, the explanation of a step and the digest of the trace.
// KISIM_GOLDEN=1 writes them anew; every other difference is a failure.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { explainScenarioStep } from '../../src/cli/explain.ts';
import { play } from '../../src/cli/play.ts';
import { loadScenarioFile } from '../../src/cli/scenario-file.ts';
import { explanationLines } from '../../src/explain/render.ts';
import type { Scenario } from '../../src/scenario/loader.ts';
import { timeline, timelineText } from '../../src/scenario/timeline.ts';
import { traceMarkdown } from '../../src/scenario/trace-formats.ts';
import { ROOT } from '../support.ts';

const REWRITE = process.env['KISIM_GOLDEN'] === '1';
const FILES = join(ROOT, 'test/golden/files');

function golden(name: string, text: string): void {
  const path = join(FILES, name);
  if (REWRITE || !existsSync(path)) {
    if (!REWRITE) throw new Error(`${name} is missing: write it with KISIM_GOLDEN=1`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  expect(text).toBe(readFileSync(path, 'utf8'));
}

function scenario(path: string): Scenario {
  const loaded = loadScenarioFile(path);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return { ...loaded.scenario, file: path };
}

const CASES: readonly (readonly [file: string, step: string])[] = [
  ['measured-once', 'first-read'],
  ['appraisal-by-hash', '4'],
  ['quote-tells-the-pcr', '5'],
  ['signed-files', 'signed-module'],
  ['evm-values', '4'],
];

describe.each(CASES)('%s', (name, step) => {
  const loaded = scenario(join(ROOT, 'test/golden/scenarios', `${name}.yaml`));
  const shown = { ...loaded, file: `test/golden/scenarios/${name}.yaml` };

  it('has the same timeline and page', () => {
    const { report, events } = play(shown);
    expect(report.outcome).toBe('passed');
    golden(`${name}.timeline.txt`, `${timelineText(timeline(report, events))}\n`);
    golden(`${name}.md`, traceMarkdown(report, events).replace(/^Trace: .*$/m, 'Trace: (see the test)'));
    const lines = events
      .filter((e) => /^(ima|evm|ipe)\./.test(e.kind) && e.reason !== undefined)
      .map((e) => `${e.kind} ${e.reason ?? ''} ${String(e.data.errno ?? '')}`.trimEnd());
    golden(`${name}.decisions.txt`, `${lines.join('\n')}\n`);
  });

  it('has the same explanation', () => {
    const lines = explanationLines(explainScenarioStep(shown, step), false);
    golden(`${name}.explain.txt`, `${lines.map((l) => l.text).join('\n')}\n`);
  });

  it('gives the same trace each time', () => {
    expect(play(shown).report.traceDigest).toBe(play(shown).report.traceDigest);
  });
});
