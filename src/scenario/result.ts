// What a run leaves behind: for each step its outcome, its effects on list, registers and audit log, and
// the verdict on each expectation. Plain data, shared by all reporters, by diff and by the playground.

import type { AuditRecord } from '../integrity/audit.ts';
import type { Scenario, ScenarioStep } from './loader.ts';
import type { OpResult } from './ops/types.ts';
import type { PathStep } from './source.ts';

/** One entry of the measurement list, as text. */
export interface ListEntry {
  /** Position in the list, from 0. */
  readonly index: number;
  readonly pcr: number;
  /** Name of the template, or its format where it has no name. */
  readonly template: string;
  /** Template digest of the ascii list (sha1), hex. */
  readonly templateDigest: string;
  /** File digest as the list prints it, `sha256:...`; empty where the template has none. */
  readonly digest: string;
  /** File or event name; one character per byte. */
  readonly name: string;
  readonly violation: boolean;
  /** All fields by id, as the list prints them. */
  readonly fields: { readonly [id: string]: string };
  /** The line of the ascii list. */
  readonly line: string;
}

export interface PcrChange {
  readonly bank: string;
  readonly pcr: number;
  readonly before: string;
  readonly after: string;
}

/** What a stretch of a run did, or what a machine holds at the end. */
export interface Effects {
  readonly entries: readonly ListEntry[];
  readonly pcrs: readonly PcrChange[];
  readonly violations: number;
  readonly audit: readonly AuditRecord[];
  /** Trace events from (inclusive) and to (exclusive). */
  readonly events: readonly [from: number, to: number];
}

/** One expectation, compared. */
export interface Check {
  readonly ok: boolean;
  /** Place of the expectation below the step's (or the document's) `expect`. */
  readonly path: readonly PathStep[];
  readonly expected: string;
  readonly actual: string;
}

export interface StepReport {
  readonly step: ScenarioStep;
  /** Microseconds since power-on when the step began. */
  readonly timeUs: number;
  readonly result: OpResult;
  readonly effects: Effects;
  readonly checks: readonly Check[];
}

export type RunOutcome = 'passed' | 'failed';

export interface RunReport {
  readonly scenario: Scenario;
  readonly outcome: RunOutcome;
  /** Effects of the boot. */
  readonly boot: Effects;
  readonly steps: readonly StepReport[];
  readonly final: readonly Check[];
  /** sha256 over the canonical lines of the trace. */
  readonly traceDigest: string;
}

export function failedChecks(report: RunReport): number {
  const inSteps = report.steps.reduce((n, s) => n + s.checks.filter((c) => !c.ok).length, 0);
  return inSteps + report.final.filter((c) => !c.ok).length;
}

export function allChecks(report: RunReport): number {
  return report.steps.reduce((n, s) => n + s.checks.length, 0) + report.final.length;
}
