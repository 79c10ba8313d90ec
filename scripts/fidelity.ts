// Counts how many recorded kernel cases give the kernel's very results, writes the table to docs/fidelity.md and between
// the markers of README.md, and prints it. With --passing it also writes test/conformance/passing.txt, with --check it
// writes nothing and fails when the texts are not up to date.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { groupTotals } from '../src/conformance/compare.ts';
import {
  CASE_SETS,
  type CaseRun,
  type CaseSet,
  caseNames,
  PASSING,
  runOne,
} from '../test/conformance/suite.ts';
import { ROOT } from '../test/support.ts';

const GROUPS: Readonly<Record<string, string>> = {
  a: 'IMA measurement',
  b: 'violations',
  c: 'IMA policy language',
  d: 'IMA appraisal',
  e: 'EVM',
  f: 'IPE',
  g: 'kexec',
  r: 'generated at random (measurement, grammar, appraisal, EVM, IPE)',
  s: 'several mechanisms together',
  v: 'other kernel configurations',
  x: 'single edge cases',
  o: 'questions of our own to the kernel',
};
const START = '<!-- fidelity:start -->';
const END = '<!-- fidelity:end -->';

function table(set: CaseSet, runs: readonly CaseRun[]): string {
  const totals = groupTotals(runs.map((r) => r.compared));
  const rows = [`| ${set.title} | cases equal | observations equal |`, '| --- | ---: | ---: |'];
  const sum = { cases: 0, passed: 0, seen: 0, equal: 0 };
  for (const [group, t] of totals) {
    rows.push(
      `| ${group}: ${GROUPS[group] ?? group} | ${t.passed} of ${t.cases} | ${t.equal} of ${t.seen} |`,
    );
    for (const key of ['cases', 'passed', 'seen', 'equal'] as const) sum[key] += t[key];
  }
  rows.push(`| all | ${sum.passed} of ${sum.cases} | ${sum.equal} of ${sum.seen} |`);
  return rows.join('\n');
}

/** A text with the table between its markers; the text itself when it has none. */
function withTable(text: string, tables: string): string {
  const start = text.indexOf(START);
  const end = text.indexOf(END);
  if (start < 0 || end < start) return text;
  return `${text.slice(0, start + START.length)}\n${tables}\n${text.slice(end)}`;
}

const INTRODUCTION = `# Fidelity

How often the simulator gives the very results of Linux 6.12.107: every errno, list byte, PCR value, policy read-back and
audit line of a case recorded on the real kernel. A case counts when all its observations are equal. The table is
written by \`npm run fidelity\`; test/conformance holds the cases, and its test fails when one of passing.txt stops passing.

${START}
${END}
`;

const runs = CASE_SETS.map((set) => [set, caseNames(set).map((name) => runOne(set, name))] as const);
const tables = runs.map(([set, list]) => table(set, list)).join('\n\n');
console.log(tables);

const check = process.argv.includes('--check');
const files: [path: string, text: string][] = [];
const docs = join(ROOT, 'docs/fidelity.md');
files.push([docs, withTable(existsSync(docs) ? readFileSync(docs, 'utf8') : INTRODUCTION, tables)]);
const readme = join(ROOT, 'README.md');
if (existsSync(readme)) {
  const [[, list] = [undefined, []]] = runs;
  const [set] = CASE_SETS;
  if (set !== undefined) files.push([readme, withTable(readFileSync(readme, 'utf8'), table(set, list))]);
}
if (process.argv.includes('--passing')) {
  const names = runs.flatMap(([, list]) => list.filter((r) => r.compared.equal === r.compared.seen));
  const head =
    "# Cases that must give the recorded kernel's very results; written by npm run fidelity -- --passing\n";
  files.push([PASSING, `${head}${names.map((r) => `${r.input.name}\n`).join('')}`]);
}
for (const [path, text] of files) {
  if (check && (!existsSync(path) || readFileSync(path, 'utf8') !== text)) {
    console.error(`${path} is not up to date: npm run fidelity -- --passing`);
    process.exitCode = 1;
  }
  if (!check) writeFileSync(path, text);
}
