// One search from its options to its report: which promises, which powers, which engine, and what came out.
// The report is plain data: it goes to JSON, several of them are merged, and JUnit is made from it.

import { InternalError } from '../base/assert.ts';
import { activeRules } from '../ima/policy-match.ts';
import { showPolicy } from '../ima/policy-show.ts';
import type { Power } from './action.ts';
import { counterexample, replayCounterexample } from './counterexample.ts';
import { exhaustive } from './exhaustive.ts';
import { kindsOf } from './powers/table.ts';
import type { Property } from './property.ts';
import { random } from './random.ts';
import { type Broken, newTally, type Search } from './search.ts';
import { shrink } from './shrink.ts';
import type { Subject } from './subject.ts';

export interface Shard {
  readonly index: number;
  readonly of: number;
}

export type Engine =
  | { readonly kind: 'exhaustive'; readonly depth: number }
  | { readonly kind: 'random'; readonly runs: number; readonly seed: number; readonly path?: string };

export interface CampaignOptions {
  readonly properties: readonly Property<unknown>[];
  readonly powers: readonly Power[];
  readonly engine: Engine;
  readonly shard?: Shard;
  /** Asked now and then: true ends the search, which is then not complete. */
  readonly stop?: () => boolean;
  readonly progress?: (line: string) => void;
}

export interface FoundReport {
  readonly property: string;
  readonly sentence: string;
  readonly what: string;
  readonly object: string;
  readonly cover: string;
  readonly suggestion: string;
  /** Place in the trace, where it shows in an event. */
  readonly event: number | null;
  readonly actions: number;
  readonly steps: number;
  readonly traceDigest: string;
  /** The scenario file. */
  readonly scenario: string;
}

export interface RuleCoverage {
  readonly number: number;
  readonly rule: string;
  readonly matched: number;
}

export interface CheckReport {
  readonly file: string;
  readonly title: string;
  readonly properties: readonly string[];
  readonly attacker: string;
  readonly engine: Engine['kind'];
  readonly depth: number | null;
  readonly runs: number | null;
  readonly seed: number | null;
  readonly path: string | null;
  readonly shard: Shard | null;
  readonly states: number | null;
  readonly transitions: number;
  readonly steps: number;
  readonly complete: boolean;
  readonly found: FoundReport | null;
  readonly kinds: { readonly [kind: string]: number };
  readonly rules: readonly RuleCoverage[];
}

interface Outcome {
  readonly broken: Broken | null;
  readonly complete: boolean;
  readonly depth: number | null;
  readonly states: number | null;
  readonly runs: number | null;
  readonly seed: number | null;
  readonly path: string | null;
}

/** Seeds of the shards of one campaign differ, and follow from its own. */
const shardSeed = (seed: number, shard: Shard | undefined): number =>
  shard === undefined ? seed : seed * 65_537 + shard.index + 1;

function run(search: Search, options: CampaignOptions): Outcome {
  const { engine, shard, stop, progress } = options;
  const ask = stop === undefined ? {} : { stop };
  if (engine.kind === 'exhaustive') {
    const found = exhaustive(search, {
      depth: engine.depth,
      ...ask,
      ...(shard === undefined ? {} : { shard }),
      progress: (states, transitions, depth) =>
        progress?.(`depth ${depth}: ${states} states, ${transitions} transitions`),
    });
    const broken = found.broken === null ? null : shrink(search, found.broken);
    return { ...found, broken, runs: null, seed: null, path: null };
  }
  const seed = shardSeed(engine.seed, shard);
  const runs = shard === undefined ? engine.runs : Math.ceil(engine.runs / shard.of);
  const found = random(search, {
    runs,
    seed,
    ...ask,
    ...(engine.path === undefined ? {} : { path: engine.path }),
    progress: (n, transitions) => progress?.(`run ${n} of ${runs}: ${transitions} transitions`),
  });
  return { ...found, depth: null, states: null };
}

function foundReport(subject: Subject, broken: Broken): FoundReport {
  const made = counterexample(subject, broken);
  const again = replayCounterexample(made, { readFile: subject.data.readFile });
  if (again?.same !== true) throw new InternalError(`a counterexample does not replay:\n${made.text}`);
  const { property, finding, actions } = broken;
  return {
    property: property.name,
    sentence: property.sentence,
    what: finding.what,
    object: finding.object,
    cover: finding.cover,
    suggestion: finding.suggestion,
    event: finding.event?.id ?? null,
    actions: actions.length,
    steps: made.steps,
    traceDigest: made.traceDigest,
    scenario: made.text,
  };
}

/** Which rules of the machine's policy had a say, and which never. */
function coverage(subject: Subject, matched: ReadonlyMap<number, number>): readonly RuleCoverage[] {
  const rules = activeRules(subject.start.machine.ima.policy);
  return rules.map((rule, i) => ({
    number: i + 1,
    rule: showPolicy([rule]).trim(),
    matched: matched.get(i) ?? 0,
  }));
}

/** Searches; the counterexample, if there is one, was replayed as a scenario. */
export function campaign(subject: Subject, options: CampaignOptions): CheckReport {
  const { properties, powers, engine, shard } = options;
  const tally = newTally();
  const search: Search = { subject, properties, kinds: kindsOf(powers), tally };
  const out = run(search, options);
  return {
    file: subject.scenario.file,
    title: subject.scenario.title,
    properties: properties.map((p) => p.name),
    attacker: powers.map((p) => p.name).join('+'),
    engine: engine.kind,
    depth: out.depth,
    runs: out.runs,
    seed: out.seed,
    path: out.path,
    shard: shard ?? null,
    states: out.states,
    transitions: tally.transitions,
    steps: tally.steps,
    complete: out.complete,
    found: out.broken === null ? null : foundReport(subject, out.broken),
    kinds: Object.fromEntries([...tally.kinds].sort(([a], [b]) => (a < b ? -1 : 1))),
    rules: coverage(subject, tally.rules),
  };
}

/** What a search says at its end, in one line. */
export function verdictLine(report: CheckReport): string {
  const { found, engine, states, transitions, depth, runs, complete } = report;
  if (found !== null) return `${found.property} is broken in ${found.steps} steps: ${found.what}`;
  const searched =
    engine === 'exhaustive'
      ? `no counterexample up to depth ${depth}: ${states} states, ${transitions} transitions`
      : `no counterexample in ${runs} runs: ${transitions} transitions`;
  return complete ? searched : `${searched}; the search was ended before it was complete`;
}
