// Says what is equal between a record of the real kernel and a result of ours: the one definition of "the
// same". Left out, because they are not the kernel's decision: times, process ids, the order of directory
// listings, inode numbers of memory file systems, inode generations, the bytes of an EVM HMAC whose
// generation the case did not set, and PCR 0-9.

import type { OpInput } from '../scenario/session.ts';

type Json = null | boolean | number | string | undefined | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

export interface ComparedCase {
  readonly name: string;
  readonly group: string;
  readonly seen: number;
  readonly equal: number;
  /** One sentence for each observation that differs. */
  readonly differences: readonly string[];
}

export interface GroupTotals {
  readonly cases: number;
  readonly passed: number;
  readonly seen: number;
  readonly equal: number;
}

interface Observation {
  readonly at: string;
  readonly kernel: Json;
  readonly ours: Json;
}

const object = (v: Json): JsonObject =>
  typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as JsonObject) : {};
const list = (v: Json): readonly Json[] => (Array.isArray(v) ? v : []);

function auditLine(line: Json): Json {
  if (typeof line !== 'string') return line;
  return line
    .replace(/\bp?pid=\d+/g, (m) => m.replace(/\d+/, 'N'))
    .replace(/audit\([^)]*\)/, 'audit(T:N)')
    .replace(/dev="(?!vd|dm-|sd)([^"]*)" ino=\d+/g, 'dev="$1" ino=N')
    .trimEnd();
}

/** JSON with sorted members: equal values give equal texts. */
function stable(value: Json): string | undefined {
  return JSON.stringify(value, (_, x: unknown) =>
    x !== null && typeof x === 'object' && !Array.isArray(x)
      ? Object.fromEntries(Object.entries(x).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : x,
  );
}

const text = (v: Json): string => (typeof v === 'string' ? v : (JSON.stringify(v) ?? '(absent)'));

function clip(v: Json): string {
  if (v === undefined) return '(absent)';
  const s = text(v);
  return s.length > 300 ? `${s.slice(0, 300)}... (${s.length} characters)` : s;
}

/** Registers from 10 up that are neither all zeros nor all ones. */
function high(pcrs: Json): Json {
  if (pcrs === undefined || pcrs === null) return pcrs;
  return Object.fromEntries(
    Object.entries(object(pcrs)).map(([bank, values]) => [
      bank,
      Object.fromEntries(
        Object.entries(object(values)).filter(
          ([n, v]) => Number(n) >= 10 && !/^(0*|f*)$/i.test(typeof v === 'string' ? v : ''),
        ),
      ),
    ]),
  );
}

/** An HMAC shows its type and length only: the inode's generation is in it, and was random. */
function evmShape(value: Json): Json {
  const hex = object(value)['hex'] ?? value;
  return typeof hex === 'string' && hex.startsWith('02') ? `02 + ${hex.length / 2 - 1} bytes` : value;
}

function sortedEntries(v: Json): Json {
  return Array.isArray(v) ? v.map(text).sort() : v;
}

function normalise(op: OpInput, key: string, value: Json, setgen: ReadonlySet<unknown>): Json {
  if (op.op === 'ls' && key === 'entries') return sortedEntries(value);
  if (key === 'pcrs') return high(value);
  const unpredictable = op['name'] === 'security.evm' && !setgen.has(op['path']);
  if (op.op === 'getxattr' && key === 'value' && unpredictable) return evmShape(value);
  return value;
}

function leftOut(op: OpInput, key: string): boolean {
  if (op.op === 'geninfo') return key === 'gen';
  return op.op === 'stat' && key === 'ino' && !/^\/mnt/.test(String(op['path'] ?? ''));
}

function* opObservations(stage: string, inputs: readonly OpInput[], record: JsonObject, ours: JsonObject) {
  const setgen = new Set<unknown>();
  const got = list(ours['ops']);
  for (const [i, member] of list(record['ops']).entries()) {
    const op: OpInput = inputs[i] ?? { op: '' };
    if (op.op === 'setgen') setgen.add(op['path']);
    const want = object(member);
    const have = object(got[i]);
    const note = op.note === undefined ? '' : ` (${op.note})`;
    for (const key of Object.keys(want)) {
      if (leftOut(op, key)) continue;
      const at = `${stage} op ${i} ${op.op} ${String(op['path'] ?? op['slot'] ?? '')}${note}: ${key}`;
      const kernel = normalise(op, key, want[key], setgen);
      yield { at, kernel, ours: normalise(op, key, have[key], setgen) };
    }
  }
}

const FINAL_MEMBERS = ['ascii', 'ascii_sha256', 'binary', 'count', 'violations', 'policy', 'evm'] as const;

function* finalObservations(stage: string, record: JsonObject, ours: JsonObject) {
  const want = object(record['final']);
  const have = object(ours['final']);
  for (const key of FINAL_MEMBERS) {
    if (key in want) yield { at: `${stage} final ${key}`, kernel: want[key], ours: have[key] };
  }
  if (want['pcrs']) yield { at: `${stage} final pcrs`, kernel: high(want['pcrs']), ours: high(have['pcrs']) };
  if (want['audit']) {
    const lines = have['audit'];
    const kernel = list(want['audit']).map(auditLine);
    yield { at: `${stage} final audit`, kernel, ours: Array.isArray(lines) ? lines.map(auditLine) : lines };
  }
}

function* stageObservations(
  stage: string,
  inputs: readonly OpInput[],
  record: Json,
  ours: Json,
): Generator<Observation> {
  yield* opObservations(stage, inputs, object(record), object(ours));
  yield* finalObservations(stage, object(record), object(ours));
}

function differingLine(kernel: string, ours: string): string {
  const a = kernel.split('\n');
  const b = ours.split('\n');
  let i = 0;
  while (i < Math.max(a.length, b.length) && a[i] === b[i]) i++;
  return `line ${i + 1}: kernel ${clip(a[i])} | ours ${clip(b[i])}`;
}

/** The first place where two values differ, in words. */
function firstDifference(kernel: Json, ours: Json): string {
  if (typeof kernel === 'string' && typeof ours === 'string' && kernel.includes('\n')) {
    return differingLine(kernel, ours);
  }
  if (Array.isArray(kernel) && Array.isArray(ours)) {
    for (let i = 0; i < Math.max(kernel.length, ours.length); i++) {
      if (stable(kernel[i]) !== stable(ours[i])) {
        return `item ${i}: kernel ${clip(kernel[i])} | ours ${clip(ours[i])}`;
      }
    }
  }
  return `kernel ${clip(kernel)} | ours ${clip(ours)}`;
}

export interface CaseInput {
  readonly ops?: readonly OpInput[] | undefined;
  readonly stage2?: readonly OpInput[] | undefined;
}

/** Compares one result with its record; `input` is the case, `ours` is undefined where there is no result. */
export function compareCase(input: CaseInput, record: unknown, ours: unknown): ComparedCase {
  const want = object(record as Json);
  const have = ours as Json;
  const stages: (readonly [string, readonly OpInput[], Json, Json])[] = [['', input.ops ?? [], want, have]];
  if (want['stage2']) {
    stages.push(['second kernel', input.stage2 ?? [], want['stage2'], object(have)['stage2']]);
  }
  const differences: string[] = [];
  let seen = 0;
  for (const [name, inputs, r, o] of stages) {
    for (const ob of stageObservations(name, inputs, r, o)) {
      seen++;
      if (stable(ob.kernel) === stable(ob.ours)) continue;
      differences.push(`${ob.at.trim()}: ${firstDifference(ob.kernel, ob.ours)}`);
    }
  }
  return {
    name: String(want['name']),
    group: String(want['group']),
    seen,
    equal: seen - differences.length,
    differences: have === undefined ? ['no result'] : differences,
  };
}

/** Totals by group, groups in order of their letters. */
export function groupTotals(cases: readonly ComparedCase[]): ReadonlyMap<string, GroupTotals> {
  const totals = new Map<string, GroupTotals>();
  for (const c of [...cases].sort((a, b) => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0))) {
    const t = totals.get(c.group) ?? { cases: 0, passed: 0, seen: 0, equal: 0 };
    totals.set(c.group, {
      cases: t.cases + 1,
      passed: t.passed + (c.seen === c.equal ? 1 : 0),
      seen: t.seen + c.seen,
      equal: t.equal + c.equal,
    });
  }
  return totals;
}

/** The report: the first differences of each failing case, a line for each group, the sum. */
export function reportLines(cases: readonly ComparedCase[], show = 1): string[] {
  const lines: string[] = [];
  for (const c of cases) {
    if (c.equal === c.seen) continue;
    const count = c.seen - c.equal;
    for (const d of c.differences.slice(0, show)) lines.push(`FAIL ${c.name} (${count}): ${d}`);
  }
  let [passed, seen, equal] = [0, 0, 0];
  for (const [group, t] of groupTotals(cases)) {
    lines.push(`group ${group}: ${t.passed} of ${t.cases} cases, ${t.equal} of ${t.seen} observations`);
    [passed, seen, equal] = [passed + t.passed, seen + t.seen, equal + t.equal];
  }
  lines.push(`passed ${passed} of ${cases.length} cases, ${equal} of ${seen} observations`);
  return lines;
}
