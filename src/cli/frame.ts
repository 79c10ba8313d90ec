// Diagnostics on a terminal: the shared text with colours, a plain form of one line each, and counts.

import {
  type Diagnostic,
  type DiagnosticPaint,
  LineIndex,
  codeFrame as plainFrame,
  renderDiagnostic,
} from '../base/diagnostic.ts';
import type { Colors } from './terminal.ts';

function paintOf(c: Colors): DiagnosticPaint {
  const severity = { error: c.red, warning: c.yellow, note: c.cyan } as const;
  return { severity: (s, text) => c.bold(severity[s](text)), quiet: c.dim, edge: c.blue, mark: c.red };
}

/** The line of a place with a mark under it. */
export function codeFrame(
  lines: LineIndex,
  at: Pick<Diagnostic, 'line' | 'column' | 'length'>,
  c: Colors,
): string {
  return plainFrame(lines, at, paintOf(c));
}

/** All diagnostics of one file. */
export function renderDiagnostics(
  file: string,
  text: string,
  diagnostics: readonly Diagnostic[],
  c: Colors,
): string {
  const lines = new LineIndex(text);
  return diagnostics.map((d) => renderDiagnostic(file, lines, d, paintOf(c))).join('\n\n');
}

/** One line for each diagnostic: `file:line:column: severity: message [code] (help)`. */
export function plainDiagnostics(file: string, diagnostics: readonly Diagnostic[]): string {
  return diagnostics
    .map(
      (d) =>
        `${file}:${d.line}:${d.column}: ${d.severity}: ${d.message} [${d.code}]${d.help === null ? '' : ` (${d.help})`}`,
    )
    .join('\n');
}

/** `2 errors, 1 warning`. */
export function countText(diagnostics: readonly Diagnostic[]): string {
  const words = (['error', 'warning', 'note'] as const).flatMap((severity) => {
    const n = diagnostics.filter((d) => d.severity === severity).length;
    return n === 0 ? [] : [`${n} ${severity}${n === 1 ? '' : 's'}`];
  });
  return words.join(', ');
}
