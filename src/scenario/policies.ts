// Policies inside scenarios: the linters of the two languages look at them while the scenario is loaded,
// and their diagnostics get the place in the YAML text. A step that expects a failure may hold a policy
// with mistakes.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import type { Diagnostic } from '../base/diagnostic.ts';
import { lintImaPolicy } from '../ima/lint.ts';
import { lintIpePolicy } from '../ipe/lint.ts';
import { IPE_PROPERTIES } from '../ipe/properties.ts';
import type { MachineConfig } from '../kernel/api.ts';
import type { Extension } from '../kernel/extension.ts';
import { PROPOSALS } from '../proposals/registry.ts';
import type { ScenarioStep } from './loader.ts';
import type { PathStep, Source } from './source.ts';

const IMA_NODE = /^\/sys\/kernel\/security\/(?:integrity\/)?ima\/policy$/;

/**
 * Where a line of a scalar's text stands. In a literal block (`|`) it is a line of the file; elsewhere one
 * written line can be many of the text, so the place is that of the whole scalar and the message names the
 * line.
 */
function placed(source: Source, path: readonly PathStep[], text: string, d: Diagnostic): Diagnostic {
  const [start, end] = source.span(path);
  const written = source.lines.text.slice(start, end);
  const first = source.lines.position(start);
  if (!/^\|[-+0-9]*[ \t]*(?:#.*)?\n/.test(written)) {
    const many = text.trimEnd().includes('\n');
    const length = Math.min(
      end - start,
      Math.max(1, source.lines.line(first.line).length - first.column + 1),
    );
    const message = many ? `line ${d.line} of the policy: ${d.message}` : d.message;
    return { ...d, ...first, length, message };
  }
  const line = first.line + d.line;
  const content = text.split('\n')[d.line - 1] ?? '';
  const indent = Math.max(0, source.lines.line(line).indexOf(content));
  return { ...d, line, column: d.column + indent };
}

/** IMA rules that a step writes: its text and where it stands; undefined when it writes none. */
function imaText(
  step: ScenarioStep,
): { readonly text: string; readonly path: readonly PathStep[] } | undefined {
  const { op } = step;
  const node = typeof op['path'] === 'string' && IMA_NODE.test(op['path']);
  if (op.op !== 'policy_row' && !((op.op === 'syswrite' || op.op === 'write') && node)) return undefined;
  const data = op['data'];
  const base: readonly PathStep[] = ['steps', step.number - 1, 'data'];
  if (typeof data === 'string') return { text: data, path: base };
  const inner =
    data !== null && typeof data === 'object' ? (data as { readonly text?: unknown }).text : undefined;
  return typeof inner === 'string' ? { text: inner, path: [...base, 'text'] } : undefined;
}

/** Whether a step says that the upload goes wrong, so its mistakes are meant. */
function meansToFail(step: ScenarioStep): boolean {
  const { err, result } = step.expect;
  return (err !== undefined && err !== 'OK') || result !== undefined;
}

/** Errors only: warnings are `kisim lint`'s, a scenario may well show what they warn of. */
const errors = (list: readonly Diagnostic[]): readonly Diagnostic[] =>
  list.filter((d) => d.severity === 'error');

const designsOf = (machine: MachineConfig): readonly Extension[] =>
  PROPOSALS.filter((p) => machine.proposals?.includes(p.name));

/** Mistakes in the policies that steps load and that the kernel would refuse. */
export function policyDiagnostics(
  source: Source,
  steps: readonly ScenarioStep[],
  machine: MachineConfig,
): readonly Diagnostic[] {
  const { profile } = machine;
  const conditions = designsOf(machine).flatMap((d) => d.imaConditions ?? []);
  return steps.flatMap((step) => {
    const found = imaText(step);
    if (found === undefined || meansToFail(step) || found.text.startsWith('/')) return [];
    const text = fromLatin1(utf8(found.text));
    const report = lintImaPolicy(text, { conditions, ...(typeof profile === 'object' ? { profile } : {}) });
    return errors(report.diagnostics).map((d) => placed(source, found.path, found.text, d));
  });
}

/**
 * Mistakes of the compiled-in IPE policy, as warnings: a kernel whose boot policy is broken is a case of
 * its own.
 */
export function bootPolicyDiagnostics(
  source: Source,
  text: string,
  machine: MachineConfig,
): readonly Diagnostic[] {
  const properties = [...IPE_PROPERTIES, ...designsOf(machine).flatMap((d) => d.ipeProperties ?? [])];
  const path = ['machine', 'ipe_boot_policy'];
  return errors(lintIpePolicy(text, { properties }).diagnostics).map((d) => ({
    ...placed(source, path, text, d),
    severity: 'warning' as const,
  }));
}
