// A run as documents: JSON (report and whole trace, with its digest), newline-delimited JSON (one event a
// line), and Markdown for a page or a mail. Digests of the trace are the machine's; here is only the form.

import type { Json } from '../base/json.ts';
import type { EventData, TraceEvent } from '../base/trace.ts';
import { auditLine } from '../integrity/audit.ts';
import {
  allChecks,
  type Check,
  type Effects,
  failedChecks,
  type RunReport,
  type StepReport,
} from './result.ts';
import { TIMELINE_COLUMNS, timeline, timelineCells } from './timeline.ts';

export const SCHEMA_VERSION = 1;

function eventJson(event: TraceEvent): Json {
  const { id, cause, kind, reason, data } = event;
  return { id, cause, kind, ...(reason === undefined ? {} : { reason }), data: dataJson(data) };
}

function dataJson(data: EventData): Json {
  return JSON.parse(JSON.stringify(data)) as Json;
}

function effectsJson(effects: Effects): { readonly [key: string]: Json } {
  return {
    entries: effects.entries.map((e) => ({ index: e.index, line: e.line })),
    pcrs: effects.pcrs.map((c) => ({ ...c })),
    violations: effects.violations,
    audit: effects.audit.map((record) => auditLine(record)),
    events: [...effects.events],
  };
}

function checkJson(check: Check): Json {
  return { ...check, path: [...check.path] };
}

function stepJson(s: StepReport): Json {
  return {
    number: s.step.number,
    id: s.step.id,
    line: s.step.line,
    op: JSON.parse(JSON.stringify(s.step.op)) as Json,
    note: s.step.note,
    timeUs: s.timeUs,
    result: s.result as Json,
    ...effectsJson(s.effects),
    checks: s.checks.map(checkJson),
  };
}

/** A run without its trace. */
export function reportJson(report: RunReport): { readonly [key: string]: Json } {
  const { scenario } = report;
  return {
    schemaVersion: SCHEMA_VERSION,
    file: scenario.file,
    title: scenario.title,
    kind: scenario.kind,
    outcome: report.outcome,
    checks: allChecks(report),
    failed: failedChecks(report),
    traceDigest: report.traceDigest,
    boot: effectsJson(report.boot),
    steps: report.steps.map(stepJson),
    final: report.final.map(checkJson),
  };
}

/** A run with its whole trace: what `kisim run --against` takes. */
export function traceJson(report: RunReport, events: readonly TraceEvent[]): Json {
  return { ...reportJson(report), events: events.map(eventJson) };
}

/** The trace, one event a line, and a last line with the outcome. */
export function traceNdjson(report: RunReport, events: readonly TraceEvent[]): string {
  const { file, title } = report.scenario;
  const last = {
    file,
    title,
    outcome: report.outcome,
    failed: failedChecks(report),
    traceDigest: report.traceDigest,
  };
  return `${[...events.map(eventJson), last].map((v) => JSON.stringify(v)).join('\n')}\n`;
}

const inCode = (text: string): string =>
  text === '' ? '' : `\`${text.replaceAll('`', "'").replaceAll('|', '\\|')}\``;

function markdownTable(report: RunReport, events: readonly TraceEvent[]): string {
  const rows = timeline(report, events);
  const head = `| ${timelineCells([])
    .title.map((t) => t.trim())
    .join(' | ')} |`;
  const rule = `|${TIMELINE_COLUMNS.map(() => ' --- |').join('')}`;
  const lines = rows.map(
    (r) => `| ${TIMELINE_COLUMNS.map((c) => (c === 'object' ? inCode(r[c]) : r[c])).join(' | ')} |`,
  );
  return [head, rule, ...lines].join('\n');
}

function failures(report: RunReport): readonly string[] {
  const ofStep = report.steps.flatMap((s) =>
    s.checks
      .filter((c) => !c.ok)
      .map(
        (c) =>
          `- step ${s.step.number} (line ${s.step.line}), ${c.path.join('.')}: expected ${inCode(c.expected)}, was ${inCode(c.actual)}`,
      ),
  );
  const atEnd = report.final
    .filter((c) => !c.ok)
    .map((c) => `- at the end, ${c.path.join('.')}: expected ${inCode(c.expected)}, was ${inCode(c.actual)}`);
  return [...ofStep, ...atEnd];
}

/** A run as a page: what it is about, the timeline, the notes, list and registers. */
export function traceMarkdown(report: RunReport, events: readonly TraceEvent[]): string {
  const { scenario } = report;
  const entries = [...report.boot.entries, ...report.steps.flatMap((s) => s.effects.entries)];
  const notes = report.steps
    .filter((s) => s.step.note !== null)
    .map((s) => `${s.step.number}. ${s.step.note?.trim().replaceAll('\n', ' ')}`);
  const reference = scenario.reference;
  const failed = failures(report);
  const parts = [
    `# ${scenario.title}`,
    ...(scenario.about === null ? [] : [scenario.about.trim()]),
    ...(reference === null
      ? []
      : [`Reference: ${reference.title}${reference.url === undefined ? '' : ` <${reference.url}>`}`]),
    markdownTable(report, events),
    ...(notes.length === 0 ? [] : [notes.map((n) => `- step ${n}`).join('\n')]),
    `${report.outcome}: ${allChecks(report) - failed.length} of ${allChecks(report)} expectations hold`,
    ...(failed.length === 0 ? [] : [failed.join('\n')]),
    '## Measurement list',
    ['```text', ...entries.map((e) => e.line), '```'].join('\n'),
    `Trace: ${events.length} events, sha256 \`${report.traceDigest}\``,
  ];
  return `${parts.join('\n\n')}\n`;
}
