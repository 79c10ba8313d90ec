// Reports of searches for other programs: JSON back from text, several shards as one, JUnit's XML.

import * as z from 'zod';
import { xml } from '../scenario/test-formats.ts';
import { type CheckReport, verdictLine } from './campaign.ts';

const count = z.int().min(0);
const shardSchema = z.strictObject({ index: count, of: count });

const foundSchema = z.strictObject({
  property: z.string(),
  sentence: z.string(),
  what: z.string(),
  object: z.string(),
  cover: z.string(),
  suggestion: z.string(),
  event: count.nullable(),
  actions: count,
  steps: count,
  traceDigest: z.string(),
  scenario: z.string(),
});

const reportSchema = z.strictObject({
  file: z.string(),
  title: z.string(),
  properties: z.array(z.string()),
  attacker: z.string(),
  engine: z.enum(['exhaustive', 'random']),
  depth: count.nullable(),
  runs: count.nullable(),
  seed: z.int().nullable(),
  path: z.string().nullable(),
  shard: shardSchema.nullable(),
  states: count.nullable(),
  transitions: count,
  steps: count,
  complete: z.boolean(),
  found: foundSchema.nullable(),
  kinds: z.record(z.string(), count),
  rules: z.array(z.strictObject({ number: count, rule: z.string(), matched: count })),
});

/** A report from its JSON text, or what is wrong with it. */
export function readReport(text: string): CheckReport | { readonly mistake: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    return { mistake: (e as Error).message };
  }
  const parsed = reportSchema.safeParse(value);
  return parsed.success ? parsed.data : { mistake: z.prettifyError(parsed.error) };
}

/** Which campaign a report belongs to: shards of one may be merged, others not. */
export function campaignOf(r: CheckReport): string {
  return JSON.stringify([r.file, r.title, r.properties, r.attacker, r.engine]);
}

function addKinds(all: readonly CheckReport[]): { [kind: string]: number } {
  const out: { [kind: string]: number } = {};
  for (const { kinds } of all)
    for (const [kind, n] of Object.entries(kinds)) out[kind] = (out[kind] ?? 0) + n;
  return Object.fromEntries(Object.entries(out).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const sum = (numbers: readonly (number | null)[]): number | null =>
  numbers.every((n) => n === null) ? null : numbers.reduce<number>((a, n) => a + (n ?? 0), 0);

/** Shards that are not there. */
export function missingShards(all: readonly CheckReport[]): readonly number[] {
  const of = all[0]?.shard?.of ?? 0;
  const there = new Set(all.map((r) => r.shard?.index));
  return Array.from({ length: of }, (_, i) => i).filter((i) => !there.has(i));
}

/**
 * The reports of the shards of one campaign as one: counts are added (shards that meet the same state each
 * count it), the shortest counterexample is kept, and it is complete when every shard is there and complete.
 */
export function mergeReports(all: readonly [CheckReport, ...CheckReport[]]): CheckReport {
  const found = all
    .flatMap((r) => (r.found === null ? [] : [{ found: r.found, path: r.path, seed: r.seed }]))
    .sort((a, b) => a.found.steps - b.found.steps)[0];
  const [first] = all;
  const whole = first.shard === null || missingShards(all).length === 0;
  const depths = all.flatMap((r) => (r.depth === null ? [] : [r.depth]));
  return {
    ...first,
    depth: depths.length === 0 ? null : Math.min(...depths),
    runs: sum(all.map((r) => r.runs)),
    seed: found?.seed ?? first.seed,
    path: found?.path ?? null,
    shard: null,
    states: sum(all.map((r) => r.states)),
    transitions: sum(all.map((r) => r.transitions)) ?? 0,
    steps: sum(all.map((r) => r.steps)) ?? 0,
    complete: found !== undefined || (whole && all.every((r) => r.complete)),
    found: found?.found ?? null,
    kinds: addKinds(all),
    rules: first.rules.map((rule, i) => ({
      ...rule,
      matched: all.reduce((n, r) => n + (r.rules[i]?.matched ?? 0), 0),
    })),
  };
}

/** JUnit's XML: one test case for each report. */
export function checkJunit(reports: readonly CheckReport[]): string {
  const failed = reports.filter((r) => r.found !== null).length;
  const unfinished = reports.filter((r) => r.found === null && !r.complete).length;
  const cases = reports.map((r) => {
    const name = `${r.title}: ${r.properties.join(', ')} against ${r.attacker}`;
    const head = `    <testcase classname="${xml(r.file)}" name="${xml(name)}" assertions="${r.transitions}"`;
    const line = xml(verdictLine(r));
    if (r.found === null && r.complete) return `${head}/>`;
    if (r.found === null) return `${head}>\n      <error message="${line}"/>\n    </testcase>`;
    const body = xml(`${r.found.cover}\n${r.found.suggestion}\n\n${r.found.scenario}`);
    return `${head}>\n      <failure message="${line}">${body}</failure>\n    </testcase>`;
  });
  const counts = `tests="${reports.length}" failures="${failed}" errors="${unfinished}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ${counts}>\n  <testsuite name="kisim check" ${counts}>\n${cases.join('\n')}\n  </testsuite>\n</testsuites>\n`;
}
