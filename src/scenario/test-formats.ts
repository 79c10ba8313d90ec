// Results of many scenarios for other programs: JUnit XML and TAP 13. One test case for each scenario; a
// failure lists the expectations that did not hold, with file and line.

import type { Diagnostic } from '../base/diagnostic.ts';
import { allChecks, type Check, failedChecks, type RunReport } from './result.ts';
import type { PathStep } from './source.ts';

/** A scenario file that was tried: run, or not loadable. */
export type TestedFile =
  | { readonly file: string; readonly ok: boolean; readonly report: RunReport }
  | {
      readonly file: string;
      readonly ok: false;
      readonly report: null;
      /** Text of the file, for frames. */
      readonly text: string;
      readonly diagnostics: readonly Diagnostic[];
    };

export interface FailedCheck {
  readonly check: Check;
  /** Number of the step; null for the end of the scenario. */
  readonly step: number | null;
  /** Place in the file. */
  readonly path: readonly PathStep[];
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

/** Failed expectations with their places in the file. */
export function failedWithPlaces(report: RunReport): readonly FailedCheck[] {
  const { source } = report.scenario;
  const place = (check: Check, step: number | null): FailedCheck => {
    const base: readonly PathStep[] = step === null ? ['expect'] : ['steps', step - 1, 'expect'];
    const path = [...base, ...check.path];
    const own = source.has(path) ? path : source.has(base) ? base : base.slice(0, -1);
    const span = source.span(own);
    const { line, column } = source.lines.position(span[0]);
    const rest = Math.max(1, source.lines.line(line).length - column + 1);
    return { check, step, path: own, line, column, length: Math.max(1, Math.min(span[1] - span[0], rest)) };
  };
  const ofSteps = report.steps.flatMap((s) =>
    s.checks.filter((c) => !c.ok).map((c) => place(c, s.step.number)),
  );
  return [...ofSteps, ...report.final.filter((c) => !c.ok).map((c) => place(c, null))];
}

/** `step 3, err: expected OK, was EACCES`. */
export function failureText(f: FailedCheck): string {
  const where = f.step === null ? 'at the end' : `step ${f.step}`;
  return `${where}, ${f.check.path.join('.')}: expected ${f.check.expected}, was ${f.check.actual}`;
}

function messages(t: TestedFile): readonly string[] {
  if (t.report === null) return t.diagnostics.map((d) => `${t.file}:${d.line}:${d.column} ${d.message}`);
  return failedWithPlaces(t.report).map((f) => `${t.file}:${f.line} ${failureText(f)}`);
}

/** Text inside of XML. */
export const xml = (text: string): string =>
  text
    .replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');

/** JUnit's XML; times are left out, since only virtual time passes. */
export function junit(tested: readonly TestedFile[]): string {
  const failed = tested.filter((t) => !t.ok).length;
  const cases = tested.map((t) => {
    const name = t.report?.scenario.title ?? t.file;
    const head = `    <testcase classname="${xml(t.file)}" name="${xml(name)}" assertions="${t.report === null ? 0 : allChecks(t.report)}"`;
    if (t.ok) return `${head}/>`;
    const kind = t.report === null ? 'error' : 'failure';
    const list = messages(t);
    return `${head}>\n      <${kind} message="${xml(list[0] ?? '')}">${xml(list.join('\n'))}</${kind}>\n    </testcase>`;
  });
  const errors = tested.filter((t) => t.report === null).length;
  const counts = `tests="${tested.length}" failures="${failed - errors}" errors="${errors}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ${counts}>\n  <testsuite name="kisim" ${counts}>\n${cases.join('\n')}\n  </testsuite>\n</testsuites>\n`;
}

/** TAP version 13. */
export function tap(tested: readonly TestedFile[]): string {
  const lines = tested.flatMap((t, i) => {
    const title = (t.report?.scenario.title ?? t.file).replaceAll('#', '\\#').replaceAll('\n', ' ');
    const own = `${t.ok ? 'ok' : 'not ok'} ${i + 1} - ${t.file}: ${title}`;
    return [own, ...(t.ok ? [] : ['  ---', ...messages(t).map((m) => `  - ${JSON.stringify(m)}`), '  ...'])];
  });
  return `TAP version 13\n1..${tested.length}\n${lines.join('\n')}\n`;
}

/** `3 scenarios: 2 passed, 1 failed; 21 expectations: 20 held`. */
export function countLine(tested: readonly TestedFile[]): string {
  const passed = tested.filter((t) => t.ok).length;
  const reports = tested.flatMap((t) => (t.report === null ? [] : [t.report]));
  const all = reports.reduce((n, r) => n + allChecks(r), 0);
  const failed = reports.reduce((n, r) => n + failedChecks(r), 0);
  const left = tested.length - passed;
  return `${tested.length} scenario${tested.length === 1 ? '' : 's'}: ${passed} passed, ${left} failed; ${all} expectations: ${all - failed} held, ${failed} did not`;
}
