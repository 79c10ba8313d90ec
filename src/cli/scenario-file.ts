// Scenario files on disk: reads a file and what lies beside it, and loads it; mistakes end up as diagnostics.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { fromUtf8 } from '../base/bytes.ts';
import '../scenario/registry.ts';
import { type LoadOptions, type LoadResult, loadScenario } from '../scenario/loader.ts';
import { SOURCE_LIMITS } from '../scenario/source.ts';
import { readInput } from './terminal.ts';

/**
 * Access to the files beside a scenario: only below its own folder's parent, so that a scenario stays what
 * it looks like.
 */
export function scenarioFileOptions(file: string): LoadOptions {
  const folder = dirname(file);
  return {
    readFile: (path) => {
      if (isAbsolute(path) || normalize(path).startsWith(join('..', '..'))) return undefined;
      try {
        return readFileSync(join(folder, path));
      } catch {
        return undefined;
      }
    },
    get siblings() {
      try {
        return readdirSync(folder);
      } catch {
        return [];
      }
    },
  };
}

export function loadScenarioFile(file: string): LoadResult & { readonly text: string } {
  const text = fromUtf8(readInput(file, SOURCE_LIMITS.length));
  return { ...loadScenario(file, text, scenarioFileOptions(file)), text };
}
