// Holds the imports of src/ against the table of rooms: who may import whom, no cycles, no node: modules in the core,
// no default exports, no barrel files but the public entry points.

import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, textOf } from './support.ts';

/** Room -> rooms it may import besides itself. */
const KERNEL_AND_BELOW = ['base', 'crypto', 'vfs', 'tpm', 'integrity', 'evm', 'ima', 'ipe', 'lsm', 'kernel'];
const TABLE: Readonly<Record<string, readonly string[]>> = {
  base: [],
  crypto: ['base'],
  vfs: ['base', 'crypto'],
  tpm: ['base', 'crypto'],
  integrity: ['base', 'crypto', 'vfs', 'tpm'],
  evm: ['base', 'crypto', 'vfs', 'tpm', 'integrity'],
  ima: ['base', 'crypto', 'vfs', 'tpm', 'integrity', 'evm'],
  ipe: ['base', 'crypto', 'vfs', 'integrity'],
  lsm: ['base', 'crypto', 'vfs', 'tpm', 'integrity', 'evm', 'ima', 'ipe'],
  kernel: ['base', 'crypto', 'vfs', 'tpm', 'integrity', 'evm', 'ima', 'ipe', 'lsm'],
  proposals: KERNEL_AND_BELOW,
  attest: [...KERNEL_AND_BELOW, 'proposals'],
  explain: [...KERNEL_AND_BELOW, 'proposals'],
  scenario: [...KERNEL_AND_BELOW, 'proposals', 'explain', 'attest'],
  conformance: [...KERNEL_AND_BELOW, 'proposals', 'scenario'],
  check: [...KERNEL_AND_BELOW, 'proposals', 'attest', 'explain', 'scenario', 'conformance'],
  cli: [...KERNEL_AND_BELOW, 'proposals', 'attest', 'explain', 'scenario', 'conformance', 'check'],
};

const NODE_ALLOWED = [/^src\/cli\//, /^src\/tpm\/transports\//, /^src\/crypto\/node\.ts$/];
const ENTRY_POINTS = /^src\/(index|[a-z]+\/index)\.ts$/;

interface Import {
  readonly from: string;
  readonly target: string;
}

function importsOf(path: string): Import[] {
  const out: Import[] = [];
  const pattern =
    /^\s*(?:import|export)\b[^'";]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\('([^']+)'\)/gm;
  for (const m of textOf(path).matchAll(pattern))
    out.push({ from: path, target: m[1] ?? m[2] ?? m[3] ?? '' });
  return out;
}

const sources = filesBelow('src', '.ts');
const imports = sources.flatMap(importsOf);
const roomOf = (path: string): string => path.split('/')[1] ?? '';
const resolved = (i: Import): string => posix.join(posix.dirname(i.from), i.target);

describe('architecture', () => {
  it('finds the sources and their imports', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(imports.length).toBeGreaterThan(20);
  });

  it('keeps every import inside the table of rooms', () => {
    const wrong = imports
      .filter((i) => i.target.startsWith('.') && !/^src\/[^/]+\.ts$/.test(i.from))
      .filter((i) => {
        const [a, b] = [roomOf(i.from), roomOf(resolved(i))];
        return a !== b && !(TABLE[a] ?? []).includes(b);
      });
    expect(wrong.map((i) => `${i.from} imports ${resolved(i)}`)).toEqual([]);
  });

  it('has no cycle between files', () => {
    const graph = new Map<string, string[]>();
    for (const i of imports) {
      if (i.target.startsWith('.')) graph.set(i.from, [...(graph.get(i.from) ?? []), resolved(i)]);
    }
    // Type-only imports are erased and cannot make a cycle at run time.
    const typeOnly = new Set<string>();
    for (const path of sources) {
      for (const m of textOf(path).matchAll(/^\s*(?:import|export)\s+type\b[^'";]*?from\s+'([^']+)'/gm)) {
        typeOnly.add(`${path}>${posix.join(posix.dirname(path), m[1] ?? '')}`);
      }
    }
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      state.set(path, 'open');
      for (const next of graph.get(path) ?? [])
        if (!typeOnly.has(`${path}>${next}`)) visit(next, [...trail, path]);
      state.set(path, 'done');
    };
    for (const path of sources) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it('keeps node: modules out of the core', () => {
    const wrong = imports.filter(
      (i) => i.target.startsWith('node:') && !NODE_ALLOWED.some((p) => p.test(i.from)),
    );
    expect(wrong.map((i) => `${i.from} imports ${i.target}`)).toEqual([]);
  });

  it('has no default exports, and barrel files only at the public entry points', () => {
    expect(sources.filter((p) => /^export default\b/m.test(textOf(p)))).toEqual([]);
    const barrels = sources.filter((p) => /^export \* from/m.test(textOf(p)) && !ENTRY_POINTS.test(p));
    expect(barrels).toEqual([]);
  });

  it('imports web and cli from nowhere else', () => {
    const wrong = imports.filter(
      (i) => i.target.startsWith('.') && roomOf(resolved(i)) === 'cli' && roomOf(i.from) !== 'cli',
    );
    expect(wrong.map((i) => i.from)).toEqual([]);
  });

  it('offers every room that package.json exports', () => {
    const exported = Object.values(
      JSON.parse(textOf('package.json')).exports as Record<string, { default?: string }>,
    )
      .map((e) => e.default)
      .filter((d): d is string => d !== undefined)
      .map((d) => d.replace('./dist/', 'src/').replace(/\.js$/, '.ts'));
    expect(exported.filter((p) => !sources.includes(p))).toEqual([]);
  });
});
