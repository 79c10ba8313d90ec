// Runs a room's tests inside the process that Stryker starts, as its test runner `in-process`. The usual runner of
// vitest loads the sources anew in a thread for each of thousands of mutants; here every module is compiled once and
// only evaluated for each mutant, which is much less work. Tests and assertions are vitest's own.

import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';
import { INSTRUMENTER_CONSTANTS } from '@stryker-mutator/api/core';
import { commonTokens, declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin';
import {
  DryRunStatus,
  determineHitLimitReached,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import { startTests } from '@vitest/runner';
import fc from 'fast-check';
import ts from 'typescript';

const COMPILER = {
  module: ts.ModuleKind.CommonJS,
  target: ts.ScriptTarget.ES2023,
  isolatedModules: true,
  rewriteRelativeImportExtensions: false,
};

/** Modules of the sandbox as functions, and the packages that they import. */
class Modules {
  #compiled = new Map();
  #packages = new Map();

  /** Compiles a file and all that it reaches. */
  async prepare(path) {
    if (this.#compiled.has(path)) return;
    const text = readFileSync(path, 'utf8');
    if (path.endsWith('.json')) {
      this.#compiled.set(path, (_exports, _require, module) => {
        module.exports = JSON.parse(text);
      });
      return;
    }
    const code = ts.transpileModule(text, { compilerOptions: COMPILER, fileName: path }).outputText;
    const url = JSON.stringify(pathToFileURL(path).href);
    const body = code.replaceAll('import.meta.url', url);
    // A block of its own: a test may call something of its own `module`.
    const script = new vm.Script(`(function (exports, require, module) {{${body}\n}})`, { filename: path });
    this.#compiled.set(path, script.runInThisContext());
    for (const [, name] of body.matchAll(/\brequire\("([^"]+)"\)/g)) {
      if (name.startsWith('.')) await this.prepare(resolve(dirname(path), name));
      else if (!this.#packages.has(name)) this.#packages.set(name, await import(name));
    }
  }

  /** A fresh set of instances: nothing of an earlier run is left in them. */
  instances() {
    const loaded = new Map();
    const load = (path) => {
      const known = loaded.get(path);
      if (known !== undefined) return known.exports;
      const module = { exports: {} };
      loaded.set(path, module);
      const from = dirname(path);
      const require = (name) => (name.startsWith('.') ? load(resolve(from, name)) : this.#packages.get(name));
      this.#compiled.get(path)(module.exports, require, module);
      return module.exports;
    };
    return load;
  }
}

class InProcessRunner {
  static inject = [commonTokens.options];
  #modules = new Modules();
  #files;

  constructor(options) {
    this.#files = options.kisimTests.map((file) => resolve(file));
  }

  capabilities() {
    return { reloadEnvironment: true };
  }

  async init() {
    // A seed of its own for each run would give a property another name in each.
    fc.configureGlobal({ seed: 1 });
    for (const file of this.#files) await this.#modules.prepare(file);
  }

  get #stryker() {
    globalThis[INSTRUMENTER_CONSTANTS.NAMESPACE] ??= {};
    return globalThis[INSTRUMENTER_CONSTANTS.NAMESPACE];
  }

  async dryRun() {
    const ns = this.#stryker;
    ns.activeMutant = undefined;
    ns.mutantCoverage = undefined;
    const tests = await this.#run({ files: this.#files, bail: false });
    // Cheap files first: most mutants then fall to tests that cost nearly nothing.
    const cost = new Map(this.#files.map((file) => [file, 0]));
    for (const t of tests) {
      const file = fileOf(t.id);
      cost.set(file, (cost.get(file) ?? 0) + t.timeSpentMs);
    }
    this.#files.sort((a, b) => cost.get(a) - cost.get(b));
    return { status: DryRunStatus.Complete, tests, mutantCoverage: ns.mutantCoverage };
  }

  async mutantRun({ activeMutant, mutantActivation, testFilter, hitLimit, disableBail }) {
    const ns = this.#stryker;
    ns.hitCount = 0;
    ns.hitLimit = hitLimit;
    ns.activeMutant = mutantActivation === 'static' ? activeMutant.id : undefined;
    const wanted = testFilter === undefined ? undefined : new Set(testFilter);
    const reached = new Set(testFilter?.map(fileOf));
    const files = wanted === undefined ? this.#files : this.#files.filter((file) => reached.has(file));
    let result;
    try {
      const tests = await this.#run({ files, bail: !disableBail, wanted, mutant: activeMutant.id });
      result = { status: DryRunStatus.Complete, tests };
    } finally {
      ns.activeMutant = undefined;
    }
    return toMutantRunResult(determineHitLimitReached(ns.hitCount, hitLimit) ?? result);
  }

  /** Loads and runs the tests; with `mutant`, the mutant becomes active when everything is loaded. */
  async #run({ files, bail, wanted, mutant }) {
    const ns = this.#stryker;
    const load = this.#modules.instances();
    const ids = new Map();
    const counts = new Map();
    const results = [];
    let failed = false;
    const ran = await startTests(files, {
      config: {
        root: process.cwd(),
        setupFiles: [],
        name: undefined,
        passWithNoTests: true,
        testNamePattern: undefined,
        allowOnly: false,
        sequence: { seed: 1, hooks: 'stack', setupFiles: 'list' },
        chaiConfig: undefined,
        maxConcurrency: 1,
        testTimeout: 60_000,
        hookTimeout: 60_000,
        retry: 0,
        includeTaskLocation: false,
        tags: [],
        strictTags: false,
      },
      importFile: (path) => load(path),
      onBeforeRunFiles: () => {
        if (mutant !== undefined) ns.activeMutant = mutant;
      },
      onBeforeRunTask: (test) => {
        const id = idOf(test, ids, counts);
        if ((bail && failed) || (wanted !== undefined && !wanted.has(id))) test.mode = 'skip';
        else ns.currentTestId = id;
      },
      onAfterRunTask: (test) => {
        ns.currentTestId = undefined;
        if (test.mode === 'skip' || test.result === undefined) return;
        const fine = test.result.state !== 'fail';
        failed ||= !fine;
        results.push({
          id: idOf(test, ids, counts),
          name: test.name,
          timeSpentMs: test.result.duration ?? 0,
          ...(fine
            ? { status: TestStatus.Success }
            : { status: TestStatus.Failed, failureMessage: test.result.errors?.[0]?.message ?? 'failed' }),
        });
      },
    });
    // A file whose loading throws has no tests: it fails as a whole.
    for (const file of ran) {
      if (file.result?.state !== 'fail' || file.result.errors === undefined) continue;
      const failureMessage = file.result.errors[0]?.message ?? 'failed';
      results.push({
        id: `${file.name}#`,
        name: file.name,
        timeSpentMs: 0,
        status: TestStatus.Failed,
        failureMessage,
      });
    }
    return results;
  }
}

/** Path of the file that a test's id begins with. */
function fileOf(id) {
  return resolve(id.slice(0, id.indexOf('#')));
}

/** File and full name of a test, with a number where several have the same. */
function idOf(test, ids, counts) {
  const known = ids.get(test);
  if (known !== undefined) return known;
  let name = test.name;
  for (let suite = test.suite; suite !== undefined; suite = suite.suite) name = `${suite.name} ${name}`;
  const base = `${relative(process.cwd(), test.file.filepath)}#${name.trim()}`;
  const count = (counts.get(base) ?? 0) + 1;
  counts.set(base, count);
  const id = count === 1 ? base : `${base} (${count})`;
  ids.set(test, id);
  return id;
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'in-process', InProcessRunner)];
