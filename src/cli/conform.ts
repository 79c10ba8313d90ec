// `kisim conform`: runs recorded kernel cases on the simulator, writes a record for each, and says what is
// equal when the real kernel's records are at hand.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import '../crypto/auto.ts';
import { type CaseComplaint, complaintText, loadCase, type RecordedCase } from '../conformance/case.ts';
import { type ComparedCase, compareCase, reportLines } from '../conformance/compare.ts';
import { RECORDED_ENVIRONMENT } from '../conformance/env-data.ts';
import { unknownNames } from '../conformance/environment.ts';
import { type CaseRecord, runCase } from '../conformance/run.ts';
import { Machine } from '../kernel/machine.ts';
import { makeFolder } from './terminal.ts';

const EXIT_DIFFERENT = 1;
const EXIT_INVALID = 3;
const EXIT_INTERNAL = 70;

interface ConformOptions {
  readonly out: string;
  readonly records?: string;
  readonly only?: string;
  readonly show: string;
}

interface CaseFile {
  readonly path: string;
  readonly value: RecordedCase;
}

/** A mistake of the caller, said in one line. */
class InvalidInput extends Error {}

/** Case files that an argument names: a file, a folder of cases, or a folder with a `cases` folder in it. */
function caseFiles(argument: string): string[] {
  if (!existsSync(argument)) throw new InvalidInput(`${argument}: no such file or folder`);
  if (!statSync(argument).isDirectory()) return [argument];
  const nested = join(argument, 'cases');
  const folder = existsSync(nested) && statSync(nested).isDirectory() ? nested : argument;
  const names = readdirSync(folder)
    .filter((n) => n.endsWith('.json'))
    .sort();
  if (names.length === 0) throw new InvalidInput(`${argument}: no case files (*.json) in this folder`);
  return names.map((n) => join(folder, n));
}

/** Loads all files; complaints of all of them come together. */
function loadCases(paths: readonly string[], only: RegExp): CaseFile[] {
  const cases: CaseFile[] = [];
  const complaints: CaseComplaint[] = [];
  for (const path of paths) {
    const loaded = loadCase(path, readFileSync(path, 'utf8'));
    if (!loaded.ok) {
      complaints.push(...loaded.complaints);
      continue;
    }
    const unknown = unknownNames(RECORDED_ENVIRONMENT, loaded.value);
    if (unknown !== null) complaints.push({ file: path, line: 1, column: 1, at: '', message: unknown });
    else if (only.test(loaded.value.name)) cases.push({ path, value: loaded.value });
  }
  if (complaints.length > 0) throw new InvalidInput(complaints.map(complaintText).join('\n'));
  if (cases.length === 0) throw new InvalidInput(`no case has a name that matches ${only.source}`);
  return cases;
}

/**
 * The real kernel's record of a case: from the given folder, or from `records` beside the folder of the case.
 */
function recordOf(file: CaseFile, records: string | undefined): unknown {
  const folder = records ?? join(dirname(resolve(file.path)), '..', 'records');
  for (const name of [`${file.value.name}.json`, basename(file.path)]) {
    const path = join(folder, name);
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  }
  return undefined;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

function conform(args: readonly string[], options: ConformOptions): number {
  let only: RegExp;
  try {
    only = new RegExp(options.only ?? '.');
  } catch (e) {
    throw new InvalidInput(`--only: ${(e as Error).message}`);
  }
  if (options.records !== undefined && !existsSync(options.records)) {
    throw new InvalidInput(`--records: ${options.records}: no such folder`);
  }
  const cases = loadCases(args.flatMap(caseFiles), only);
  makeFolder(options.out);
  const compared: ComparedCase[] = [];
  const faults: CaseRecord[] = [];
  for (const [i, file] of cases.entries()) {
    progress(`${i + 1} of ${cases.length} ${file.value.name}`);
    const ours = runCase(RECORDED_ENVIRONMENT, file.value, Machine.boot);
    writeFileSync(join(options.out, `${file.value.name}.json`), `${JSON.stringify(ours)}\n`);
    if (ours.internal !== undefined) faults.push(ours);
    const record = recordOf(file, options.records);
    if (record !== undefined) compared.push(compareCase(file.value, record, ours));
  }
  progress('');
  for (const f of faults) process.stderr.write(`internal fault in case ${f.name}: ${f.internal ?? ''}\n`);
  if (compared.length > 0)
    process.stdout.write(`${reportLines(compared, Number(options.show)).join('\n')}\n`);
  else process.stderr.write(`ran ${cases.length} cases; no records to compare with\n`);
  if (faults.length > 0) return EXIT_INTERNAL;
  return compared.every((c) => c.equal === c.seen) ? 0 : EXIT_DIFFERENT;
}

export function conformCommand(): Command {
  return new Command('conform')
    .description('run recorded kernel cases and compare with what the real kernel did')
    .argument('<case...>', 'case files, folders of cases, or folders that hold `cases` and `records`')
    .requiredOption('--out <dir>', 'folder for the results, one NAME.json for each case')
    .option('--records <dir>', "the real kernel's records (default: `records` beside the folder of the case)")
    .option('--only <regex>', 'only cases whose name matches')
    .option('--show <n>', 'differences to show for each failing case', '1')
    .addHelpText(
      'after',
      `
Examples:
  kisim conform test/conformance --out results
  kisim conform test/conformance/cases/a01-tcb-read.json --out results --show 5

Exit: 0 everything equal (or nothing to compare with), 1 differences, 3 invalid input, 70 internal fault.`,
    )
    .action((args: string[], options: ConformOptions) => {
      try {
        process.exitCode = conform(args, options);
      } catch (e) {
        if (!(e instanceof InvalidInput)) throw e;
        process.stderr.write(`${e.message}\n`);
        process.exitCode = EXIT_INVALID;
      }
    });
}
