// Records cases on the real kernel: boots each case of scripts/record/cases (QEMU and swtpm, about three
// seconds), and writes input and outcome to test/conformance/own. Leaves out comparing: the conformance
// test does that.

import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CASES, findOracle, REPO, Refusal, recordCase } from './oracle.ts';

const OUT = join(REPO, 'test', 'conformance', 'own');

const USAGE = `usage: npm run record -- [--all] [--out DIR] CASE...
CASE is a file, or the name of one in scripts/record/cases. --all records every one of them.`;

interface Options {
  readonly files: readonly string[];
  readonly out: string;
}

function caseFile(name: string): string {
  const file = [name, join(CASES, name), join(CASES, `${name}.json`)].find(
    (f) => f.endsWith('.json') && existsSync(f),
  );
  if (file === undefined) throw new Refusal(`no such case: ${name}`);
  return resolve(file);
}

function parseArguments(argv: readonly string[]): Options {
  const files: string[] = [];
  let out = OUT;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? '';
    if (word === '--all') {
      for (const f of readdirSync(CASES).sort()) if (f.endsWith('.json')) files.push(join(CASES, f));
    } else if (word === '--out') {
      i += 1;
      const dir = argv[i];
      if (dir === undefined) throw new Refusal(USAGE);
      out = resolve(dir);
    } else if (word.startsWith('-')) {
      throw new Refusal(`unknown option ${word}\n${USAGE}`);
    } else {
      files.push(caseFile(word));
    }
  }
  if (files.length === 0) throw new Refusal(USAGE);
  return { files, out };
}

function main(argv: readonly string[]): number {
  try {
    const { files, out } = parseArguments(argv);
    const oracle = findOracle();
    for (const file of files) process.stdout.write(recordCase(oracle, file, out));
    return 0;
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    process.stderr.write(`${e.message}\n`);
    return 2;
  }
}

process.exitCode = main(process.argv.slice(2));
