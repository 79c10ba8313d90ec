// Runs the zoo: each weak design and its repaired twin, with the property, the attacker and the depth that the file itself
// names, and the table of what came out.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import '../src/crypto/auto.ts';
import { type CheckReport, campaign, type Engine } from '../src/check/campaign.ts';
import { powersNamed, propertiesNamed } from '../src/check/names.ts';
import { loadSubject, type Subject } from '../src/check/subject.ts';
import { filesBelow } from '../test/support.ts';

export interface ZooEntry {
  readonly name: string;
  readonly weak: string;
  readonly repaired: string;
}

/** All designs, by name. */
export function zooEntries(): readonly ZooEntry[] {
  const files = filesBelow('scenarios/zoo', '.yaml');
  return files
    .filter((f) => !f.endsWith('.repaired.yaml'))
    .map((weak) => ({
      name: basename(weak, '.yaml'),
      weak,
      repaired: weak.replace('.yaml', '.repaired.yaml'),
    }));
}

export function zooSubject(file: string): Subject {
  const loaded = loadSubject(file, readFileSync(file, 'utf8'));
  if (!loaded.ok)
    throw new Error(`${file}: ${loaded.diagnostics.map((d) => `${d.line}: ${d.message}`).join('; ')}`);
  return loaded.subject;
}

/** The search that a file of the zoo asks for. */
export function zooSearch(subject: Subject, engine?: Engine): CheckReport {
  const { property, attacker, depth } = subject.check;
  if (property === undefined || attacker === undefined || depth === undefined)
    throw new Error(`${subject.scenario.file}: \`check\` needs property, attacker and depth`);
  return campaign(subject, {
    properties: propertiesNamed([property].flat()),
    powers: powersNamed(attacker),
    engine: engine ?? { kind: 'exhaustive', depth },
  });
}

export interface ZooRow {
  readonly name: string;
  readonly title: string;
  readonly weak: CheckReport;
  readonly repaired: CheckReport;
  /** Milliseconds of the processor: loading, booting, searching, shrinking, replaying. */
  readonly weakMs: number;
  readonly repairedMs: number;
}

function timed(file: string): { readonly report: CheckReport; readonly ms: number } {
  const before = process.cpuUsage();
  const report = zooSearch(zooSubject(file));
  const { user, system } = process.cpuUsage(before);
  return { report, ms: (user + system) / 1000 };
}

export function zooRow({ name, weak, repaired }: ZooEntry): ZooRow {
  const [a, b] = [timed(weak), timed(repaired)];
  return { name, title: a.report.title, weak: a.report, repaired: b.report, weakMs: a.ms, repairedMs: b.ms };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Lines of the table that do not depend on the speed of the machine. */
export function zooCells(row: ZooRow): readonly string[] {
  const { weak, repaired } = row;
  const found =
    weak.found === null ? 'not found' : `${weak.found.actions} actions, ${weak.found.steps} steps`;
  const clean =
    repaired.found === null && repaired.complete
      ? `${repaired.states} states, ${repaired.transitions} transitions`
      : 'found';
  return [
    `[${row.name}](../scenarios/zoo/${row.name}.yaml)`,
    row.title,
    weak.properties.join(', '),
    weak.attacker,
    found,
    clean,
  ];
}

/** The table of the zoo, as docs/check.md has it. */
export function zooTable(rows: readonly ZooRow[]): string {
  const head = [
    'design',
    'what is weak',
    'promise',
    'attacker',
    'found in',
    'its twin is clean',
    'ms',
    'twin ms',
  ];
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const body = rows.map((r) => line([...zooCells(r), r.weakMs.toFixed(0), r.repairedMs.toFixed(0)]));
  const found = rows.filter((r) => r.weak.found !== null).length;
  const clean = rows.filter((r) => r.repaired.found === null && r.repaired.complete).length;
  const steps = rows.flatMap((r) => (r.weak.found === null ? [] : [r.weak.found.steps]));
  const slowest = Math.max(...rows.flatMap((r) => [r.weakMs, r.repairedMs]));
  const summary = `${found} of ${rows.length} designs found, ${clean} of ${rows.length} twins clean. Median time to find ${median(rows.map((r) => r.weakMs)).toFixed(0)} ms, median length ${median(steps)} steps, slowest search ${(slowest / 1000).toFixed(1)} s (processor time of one core, the first loading included).`;
  return [summary, '', line(head), line(head.map(() => '---')), ...body].join('\n');
}

export const ZOO_PAGE = 'docs/check.md';
export const ZOO_MARKS = ['<!-- zoo: written by npm run zoo -->', '<!-- end of zoo -->'] as const;
