// Public entry point of scenarios: load a text, run it step by step or to its end, and turn the result into
// documents.

export type { Diagnostic, Severity } from '../base/diagnostic.ts';
export { type DiffSide, diffRuns, type RunDiff } from './diff.ts';
export { type ExportMachine, type ExportOptions, exportFiles } from './export.ts';
export { scenarioJsonSchema } from './json-schema.ts';
export {
  type LoadOptions,
  type LoadResult,
  loadScenario,
  type Scenario,
  type ScenarioStep,
} from './loader.ts';
export {
  banksOf,
  eventsOf,
  iintFlags,
  listEntries,
  pcrValue,
  policyText,
  type ScenarioMachine,
} from './observe.ts';
export type { Check, Effects, ListEntry, PcrChange, RunReport, StepReport } from './result.ts';
export { allChecks, failedChecks } from './result.ts';
export { runnerMachine } from './runner.machine.ts';
export { type Boot, type RunOptions, runScenario, ScenarioRun } from './runner.ts';
export { countLine, failedWithPlaces, failureText, junit, type TestedFile, tap } from './test-formats.ts';
export {
  LEGEND,
  TIMELINE_COLUMNS,
  type TimelineRow,
  timeline,
  timelineRow,
  timelineText,
} from './timeline.ts';
export { reportJson, traceJson, traceMarkdown, traceNdjson } from './trace-formats.ts';
export { type StepWord, stepWord, stepWords } from './vocabulary.ts';
