// Copies of the simulator in memory, each with at most one source file changed. The sources are turned into CommonJS
// once; a copy runs them again from there, so that a change costs one file and nothing is shared between copies.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { Script } from 'node:vm';
import ts from 'typescript';
import type * as playModule from '../../src/cli/play.ts';
import type * as fileModule from '../../src/cli/scenario-file.ts';
import { ROOT } from '../support.ts';

type Exports = Record<string, unknown>;
type Unit = (exports: Exports, require: (name: string) => unknown) => void;

export interface Change {
  /** Path below the project's root. */
  readonly file: string;
  /** Text that stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** What a test needs of a copy: scenario files and running them. */
export interface Simulator {
  readonly loadScenarioFile: typeof fileModule.loadScenarioFile;
  readonly play: typeof playModule.play;
}

const outside = createRequire(join(ROOT, 'package.json'));
const units = new Map<string, Unit>();

function compile(path: string, text: string): Unit {
  const { outputText } = ts.transpileModule(text, {
    fileName: path,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.CommonJS,
      esModuleInterop: true,
    },
  });
  return new Script(`(function (exports, require) {${outputText}\n})`, { filename: path }).runInThisContext();
}

function original(path: string): Unit {
  const kept = units.get(path);
  if (kept !== undefined) return kept;
  const unit = compile(path, readFileSync(path, 'utf8'));
  units.set(path, unit);
  return unit;
}

/** The text of the changed file. Throws when the place of the change is not found, or not found once. */
export function changedText(change: Change): string {
  const parts = readFileSync(join(ROOT, change.file), 'utf8').split(change.find);
  if (parts.length !== 2) {
    throw new Error(
      `${change.file}: the text to replace occurs ${parts.length - 1} times, it must occur once:\n${change.find}\n` +
        'The source was changed since: find the place that does this now and write its text into the entry.',
    );
  }
  if (change.find === change.replace) throw new Error(`${change.file}: the replacement changes nothing`);
  return parts.join(change.replace);
}

/** A fresh copy of the simulator, changed in one place if a change is given. */
export function simulator(change: Change | null): Simulator {
  const changedPath = change === null ? '' : join(ROOT, change.file);
  const changed = change === null ? null : compile(changedPath, changedText(change));
  let used = false;
  const loaded = new Map<string, Exports>();
  const load = (path: string): Exports => {
    const known = loaded.get(path);
    if (known !== undefined) return known;
    const exports: Exports = {};
    loaded.set(path, exports);
    const unit = path === changedPath && changed !== null ? changed : original(path);
    if (unit === changed) used = true;
    unit(exports, (name) => (name.startsWith('.') ? load(resolve(dirname(path), name)) : outside(name)));
    return exports;
  };
  const { loadScenarioFile } = load(join(ROOT, 'src/cli/scenario-file.ts')) as unknown as typeof fileModule;
  const { play } = load(join(ROOT, 'src/cli/play.ts')) as unknown as typeof playModule;
  if (change !== null && !used) throw new Error(`${change.file} is not part of what runs scenarios`);
  return { loadScenarioFile, play };
}
