// Two runs side by side: the first step that differs, the first trace event that differs, and what list,
// registers and audit log hold differently at the end. Runs may be of one scenario in two versions, or of
// two scenarios.

import type { TraceEvent } from '../base/trace.ts';
import type { ListEntry, RunReport } from './result.ts';
import { TIMELINE_COLUMNS, type TimelineRow, timeline } from './timeline.ts';

export interface DiffSide {
  readonly report: RunReport;
  readonly events: readonly TraceEvent[];
  /** Registers at the end: `sha256:10` -> hex. */
  readonly pcrs: { readonly [register: string]: string };
}

export interface RowDiff {
  /** Position of the step, from 0. */
  readonly index: number;
  readonly a: TimelineRow | null;
  readonly b: TimelineRow | null;
  /** Columns whose cells differ; empty for equal rows. */
  readonly columns: readonly (keyof TimelineRow)[];
}

export interface RunDiff {
  readonly equal: boolean;
  readonly rows: readonly RowDiff[];
  /** First event at which the traces part; null when they are equal. */
  readonly event: {
    readonly index: number;
    readonly a: TraceEvent | null;
    readonly b: TraceEvent | null;
  } | null;
  readonly onlyInA: readonly ListEntry[];
  readonly onlyInB: readonly ListEntry[];
  readonly pcrs: readonly {
    readonly register: string;
    readonly a: string | null;
    readonly b: string | null;
  }[];
}

function rowDiffs(a: readonly TimelineRow[], b: readonly TimelineRow[]): readonly RowDiff[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, index) => {
    const [x, y] = [a[index] ?? null, b[index] ?? null];
    const columns =
      x === null || y === null ? TIMELINE_COLUMNS : TIMELINE_COLUMNS.filter((c) => x[c] !== y[c]);
    return { index, a: x, b: y, columns };
  });
}

/** Position of the first event at which two traces part, or -1. */
export function firstDifferentEvent(a: readonly TraceEvent[], b: readonly TraceEvent[]): number {
  const n = Math.max(a.length, b.length);
  for (let i = 0; i < n; i++) {
    if (a[i] === b[i]) continue;
    if (JSON.stringify(a[i]) !== JSON.stringify(b[i])) return i;
  }
  return -1;
}

function entriesOf(report: RunReport): readonly ListEntry[] {
  return [...report.boot.entries, ...report.steps.flatMap((s) => s.effects.entries)];
}

/** Entries whose line is not in the other list (each line once for each time it stands there). */
function onlyIn(own: readonly ListEntry[], other: readonly ListEntry[]): readonly ListEntry[] {
  const left = new Map<string, number>();
  for (const e of other) left.set(e.line, (left.get(e.line) ?? 0) + 1);
  return own.filter((e) => {
    const n = left.get(e.line) ?? 0;
    if (n > 0) left.set(e.line, n - 1);
    return n === 0;
  });
}

export function diffRuns(a: DiffSide, b: DiffSide): RunDiff {
  const rows = rowDiffs(timeline(a.report, a.events), timeline(b.report, b.events));
  const index = firstDifferentEvent(a.events, b.events);
  const registers = [...new Set([...Object.keys(a.pcrs), ...Object.keys(b.pcrs)])].sort();
  const pcrs = registers
    .map((register) => ({ register, a: a.pcrs[register] ?? null, b: b.pcrs[register] ?? null }))
    .filter((p) => p.a !== p.b);
  const [left, right] = [entriesOf(a.report), entriesOf(b.report)];
  const event = index < 0 ? null : { index, a: a.events[index] ?? null, b: b.events[index] ?? null };
  const equal = event === null && pcrs.length === 0 && rows.every((r) => r.columns.length === 0);
  return { equal, rows, event, onlyInA: onlyIn(left, right), onlyInB: onlyIn(right, left), pcrs };
}
