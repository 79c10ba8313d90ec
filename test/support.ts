// What several tests need: the project's files, and a plain answer to "is this tool here?".

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Paths below a folder of the project, relative to its root, that end in one of the suffixes. */
export function filesBelow(folder: string, ...suffixes: string[]): string[] {
  const out: string[] = [];
  const walk = (dir: string): void => {
    for (const name of readdirSync(dir).sort()) {
      const path = join(dir, name);
      if (statSync(path).isDirectory()) {
        if (name !== 'node_modules' && name !== 'dist') walk(path);
      } else if (suffixes.some((s) => name.endsWith(s))) out.push(relative(ROOT, path));
    }
  };
  walk(join(ROOT, folder));
  return out;
}

export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Whether a program can be started. */
export function hasTool(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
}

/** True when interop tests must run: a missing tool is then a failure, not a skip. */
export const REQUIRE_INTEROP = process.env['KISIM_REQUIRE_INTEROP'] === '1';

/** Decides whether a suite with real tools runs; prints why it does not. Throws when it must run and cannot. */
export function toolsMissing(suite: string, ...tools: string[]): boolean {
  const missing = tools.filter((t) => !hasTool(t));
  if (missing.length === 0) return false;
  if (REQUIRE_INTEROP)
    throw new Error(`${suite}: KISIM_REQUIRE_INTEROP=1 but not installed: ${missing.join(', ')}`);
  console.warn(`skipped: ${suite}: not installed: ${missing.join(', ')}`);
  return true;
}
