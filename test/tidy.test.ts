// The written style, executed: banned calls, sizes of files, functions and lines, opening comments, citation tags on
// exported modelling functions, reason codes, and no words in the project that do not speak of the project.

import { describe, expect, it } from 'vitest';
import { IMA_FAULT_SITES } from '../src/ima/faults.ts';
import { filesBelow, textOf } from './support.ts';

const sources = filesBelow('src', '.ts');
const everything = [
  ...sources,
  ...filesBelow('test', '.ts'),
  ...filesBelow('scripts', '.ts'),
  ...filesBelow('bench', '.ts'),
];
const MODELLING = /^src\/(vfs|tpm|integrity|evm|ima|ipe|lsm|kernel)\//;
/** Tables of constants may be longer than a reader's head. */
const TABLES = /(constants|structures|templates-data|env-data|sbox)/;

const BANNED: readonly (readonly [RegExp, string, RegExp])[] = [
  [/\bDate\.now\(|\bnew Date\(|\bperformance\.now\(/, 'wall clock', /^src\/cli\//],
  [/\bMath\.random\(|getRandomValues\(|randomBytes\(\d/, 'randomness', /^$/],
  [/\bstructuredClone\(/, 'deep copies', /^$/],
  [/\bset(Timeout|Interval|Immediate)\(/, 'timers', /^src\/(cli|tpm\/transports)\//],
  [/\basync\s|\bawait\s|\bnew Promise\b/, 'asynchrony', /^src\/(cli|tpm\/transports)\//],
  [/\bas any\b|:\s*any\b|@ts-(ignore|nocheck|expect-error)|biome-ignore/, 'silenced checks', /^$/],
  [/\b(TODO|FIXME|XXX|HACK)\b/, 'unfinished marks', /^$/],
];

/** Code without comments and string contents, so that words in prose do not count. */
function bare(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (c) => c.replace(/[^\n]/g, ' '))
    .replace(/\/\/[^\n]*/g, '')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''");
}

interface Span {
  readonly name: string;
  readonly lines: number;
}

/** Top-level functions and class methods by indentation: the formatter guarantees it. */
function functionsOf(text: string): Span[] {
  const out: Span[] = [];
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? '';
    const m =
      /^(?:export )?(?:async )?function\*? (\w+)/.exec(line) ??
      /^(?:export )?const (\w+)(?:: [^=]+)? = (?:async )?\([^)]*\)[^=]*=> \{$/.exec(line) ??
      /^ {2}(?:static |async |override |get |set |#)*(\w+)\([^;]*\{$/.exec(line);
    if (m === null || /^ {2}(if|for|while|switch|return)\b/.test(line)) continue;
    const close = line.startsWith('  ') ? '  }' : '}';
    let j = i;
    while (j < lines.length && !((lines[j] ?? '').startsWith(close) && j > i)) j++;
    out.push({ name: m[1] ?? '?', lines: j - i + 1 });
  }
  return out;
}

describe('tidy', () => {
  it.each(BANNED.map(([pattern, what, allowed]) => ({ pattern, what, allowed })))(
    'has no $what in src',
    (rule) => {
      const hits = sources
        .filter((p) => !rule.allowed.test(p) || rule.allowed.source === '^$')
        .flatMap((p) =>
          (rule.what === 'unfinished marks' || rule.what === 'silenced checks' ? textOf(p) : bare(textOf(p)))
            .split('\n')
            .flatMap((line, i) =>
              rule.pattern.test(line) ? [`${p}:${i + 1} ${line.trim().slice(0, 80)}`] : [],
            ),
        );
      expect(hits).toEqual([]);
    },
  );

  it('keeps files at 800 lines or less, constant tables apart', () => {
    const long = sources
      .filter((p) => !TABLES.test(p))
      .map((p) => [p, textOf(p).split('\n').length] as const);
    expect(long.filter(([, n]) => n > 800)).toEqual([]);
  });

  it('keeps functions at 70 lines or less', () => {
    const long = sources
      .flatMap((p) => functionsOf(textOf(p)).map((f) => ({ p, ...f })))
      .filter((f) => f.lines > 70);
    expect(long.map((f) => `${f.p} ${f.name}: ${f.lines} lines`)).toEqual([]);
  });

  it('keeps lines at 110 columns or less, long strings apart', () => {
    // Pages and reports are written out as they will read, in template texts.
    const written = /\/(reference|test-formats)\.ts$/;
    const long = sources
      .filter((p) => !written.test(p))
      .flatMap((p) =>
        textOf(p)
          .split('\n')
          .flatMap((l, i) =>
            l.length > 110 && !/['"`/][^'"`]{40,}['"`/]/.test(l) ? [`${p}:${i + 1}: ${l.length}`] : [],
          ),
      );
    expect(long).toEqual([]);
  });

  it('opens every source file with a comment that says what it is', () => {
    expect(sources.filter((p) => !/^(#![^\n]*\n)?(\/\/|\/\*)/.test(textOf(p)))).toEqual([]);
  });

  it('cites a source in every modelling file that exports functions or classes', () => {
    const wrong = sources.filter(
      (p) =>
        MODELLING.test(p) &&
        !/(index|reasons|api|types|constants|machine|hooks)\.ts$/.test(p) &&
        !/\/transports\//.test(p) &&
        /^export (function|class)/m.test(textOf(p)) &&
        !/@(kernel|tcg|deviation)\b/.test(textOf(p)),
    );
    expect(wrong).toEqual([]);
  });

  it('has no focused or silently skipped tests', () => {
    const wrong = everything.filter(
      (p) => p.startsWith('test/') && /\b(it|test|describe)\.(only|skip|todo)\(/.test(bare(textOf(p))),
    );
    expect(wrong).toEqual([]);
  });

  it('speaks of itself alone', () => {
    const words = /\/work\/|\/root\/|\bregistry\.npmjs|\bhelper session|sub-?agent|\bissue #?\d+\b.*tracker/i;
    const texts = [
      ...everything,
      'README.md',
      'CHANGELOG.md',
      ...filesBelow('docs', '.md'),
      ...filesBelow('scenarios', '.yaml', '.md'),
    ];
    const hits = texts.filter((p) => p !== 'test/tidy.test.ts' && words.test(textOf(p)));
    expect(hits).toEqual([]);
  });

  it('locks the optional packages of every platform, without which `npm ci` stops', () => {
    const { packages } = JSON.parse(textOf('package-lock.json')) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>;
    };
    const named = Object.values(packages).flatMap((p) => Object.keys(p.optionalDependencies ?? {}));
    expect(named.filter((name) => packages[`node_modules/${name}`] === undefined)).toEqual([]);
  });

  it('locks dependencies without registry addresses', () => {
    expect(textOf('package-lock.json')).not.toMatch(/"resolved": "https?:/);
  });

  it('asks for each fault that IMA declares, and for no other', () => {
    const text = filesBelow('src/ima', '.ts')
      .filter((f) => !f.endsWith('/faults.ts'))
      .map((f) => textOf(f))
      .join('');
    const asked = [...text.matchAll(/(?:noMemory\([\w.]+, |deviceError\()'(\w+)'/g)].map((m) => m[1]);
    expect([...new Set(asked)].sort()).toEqual(Object.keys(IMA_FAULT_SITES).sort());
  });
});
