// Runs every command that README.md and docs/ show. A ```sh fence holds commands that must exit 0 (or with the code
// that a trailing `# exit N` names); a ```console fence holds `$ command` lines followed by their real output, compared
// line by line (a line `...` stands for any number of lines). `kisim` is the built command line.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesBelow, hasTool, REQUIRE_INTEROP, ROOT, textOf } from './support.ts';

interface Command {
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly exit: number;
  readonly output: readonly string[] | null;
}

const MAIN = join(ROOT, 'dist/cli/main.js');
/** Set-up and long jobs that CI itself runs as its own steps. */
const RUN_BY_CI =
  /^(npm (ci|start|test|install|run (build|bench|record|differential|mutation))\b|npx |git |apt-get )/;

function commandsOf(file: string): Command[] {
  const out: Command[] = [];
  let fence = '';
  let output: string[] | null = null;
  for (const [i, line] of textOf(file).split('\n').entries()) {
    const mark = /^```(\w*)/.exec(line);
    if (mark !== null) {
      fence = fence === '' ? (mark[1] ?? 'text') || 'text' : '';
      output = null;
      continue;
    }
    const shown = fence === 'console' ? /^\$ (.*)/.exec(line)?.[1] : fence === 'sh' ? line.trim() : undefined;
    if (shown !== undefined && shown !== '' && !shown.startsWith('#')) {
      output = fence === 'console' ? [] : null;
      const exit = Number(/# exit (\d+)/.exec(shown)?.[1] ?? 0);
      out.push({ file, line: i + 1, text: shown.replace(/\s+# .*$/, ''), exit, output });
    } else if (output !== null) output.push(line);
  }
  return out;
}

/** Whether lines match, `...` standing for any number of lines. */
function matches(shown: readonly string[], real: readonly string[]): boolean {
  if (shown.length === 0) return real.length === 0;
  const [head, ...rest] = shown;
  if (head === '...') return real.some((_, i) => matches(rest, real.slice(i))) || matches(rest, []);
  return real.length > 0 && head === real[0] && matches(rest, real.slice(1));
}

const trimmed = (lines: readonly string[]): string[] => lines.join('\n').trimEnd().split('\n');

describe('documentation', () => {
  const commands = ['README.md', ...filesBelow('docs', '.md')]
    .flatMap(commandsOf)
    .filter((c) => !RUN_BY_CI.test(c.text));
  const bin = mkdtempSync(join(tmpdir(), 'kisim-bin-'));
  const work = mkdtempSync(join(tmpdir(), 'kisim-docs-'));

  beforeAll(() => {
    if (!existsSync(MAIN)) throw new Error('dist/ is missing: run `npm run build` first (npm test does)');
    symlinkSync(MAIN, join(bin, 'kisim'));
    for (const name of readdirSync(ROOT))
      if (!name.startsWith('.')) symlinkSync(join(ROOT, name), join(work, name));
  });
  afterAll(() => {
    rmSync(bin, { recursive: true });
    rmSync(work, { recursive: true });
  });

  it('shows commands', () => {
    expect(commands.length).toBeGreaterThan(0);
  });

  for (const c of commands) {
    const tool = /^(?:\w+=(?:"[^"]*"|\S+) )*(\S+)/.exec(c.text)?.[1] ?? '';
    const missing = tool !== 'kisim' && !hasTool(tool);
    if (missing && REQUIRE_INTEROP) throw new Error(`${c.file}:${c.line}: ${tool} is not installed`);
    if (missing) console.warn(`skipped: ${c.file}:${c.line}: ${tool} is not installed`);
    it.skipIf(missing)(`${c.file}:${c.line} ${c.text}`, () => {
      const r = spawnSync('bash', ['-c', c.text], {
        cwd: work,
        encoding: 'utf8',
        env: { ...process.env, PATH: `${bin}:${process.env['PATH']}`, NO_COLOR: '1', FORCE_COLOR: '' },
      });
      expect(r.status, r.stderr).toBe(c.exit);
      if (c.output !== null) {
        const [shown, real] = [trimmed(c.output), trimmed(r.stdout.split('\n'))];
        if (!matches(shown, real)) expect(real).toEqual(shown);
      }
    });
  }
});
