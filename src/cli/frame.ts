// Diagnostics as text: severity, message, place, the line of the file with a mark under it, and what to do about it.

import { type Diagnostic, LineIndex } from '../base/diagnostic.ts';
import type { Colors } from './terminal.ts';

const CONTEXT_WIDTH = 100;

/** The part of a long line around the mark, and how far it moved. */
function cut(line: string, column: number): { readonly text: string; readonly shift: number } {
  if (line.length <= CONTEXT_WIDTH || column < CONTEXT_WIDTH - 20)
    return { text: line.slice(0, CONTEXT_WIDTH), shift: 0 };
  const shift = column - 40;
  return { text: `...${line.slice(shift, shift + CONTEXT_WIDTH)}`, shift: shift - 3 };
}

function visible(text: string): string {
  return text.replaceAll('\t', ' ').replace(/[\u0000-\u001f\u007f]/g, '\u00b7');
}

/** The line of a place with a mark under it. */
export function codeFrame(
  lines: LineIndex,
  d: Pick<Diagnostic, 'line' | 'column' | 'length'>,
  c: Colors,
): string {
  const gutter = String(d.line).length;
  const { text, shift } = cut(lines.line(d.line), d.column);
  const mark = '^'.repeat(Math.max(1, Math.min(d.length, text.length - (d.column - shift) + 1)));
  const edge = c.blue(`${' '.repeat(gutter)} |`);
  return [
    edge,
    `${c.blue(`${d.line} |`)} ${visible(text)}`,
    `${edge} ${' '.repeat(Math.max(0, d.column - shift - 1))}${c.red(mark)}`,
  ].join('\n');
}

/** All diagnostics of one file. */
export function renderDiagnostics(
  file: string,
  text: string,
  diagnostics: readonly Diagnostic[],
  c: Colors,
): string {
  const lines = new LineIndex(text);
  const paint = { error: c.red, warning: c.yellow, note: c.cyan } as const;
  const blocks = diagnostics.map((d) => {
    const gutter = ' '.repeat(String(d.line).length);
    const out = [
      `${c.bold(paint[d.severity](d.severity))}${c.dim(` [${d.code}]`)}: ${d.message}`,
      `${gutter}${c.blue('-->')} ${file}:${d.line}:${d.column}`,
    ];
    if (d.line <= lines.lineCount && text !== '') out.push(codeFrame(lines, d, c));
    if (d.help !== null) out.push(`${gutter} ${c.blue('=')} help: ${d.help}`);
    return out.join('\n');
  });
  return blocks.join('\n\n');
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
