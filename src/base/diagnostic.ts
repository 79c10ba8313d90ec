// Diagnostics: what a user's text is wrong about, with its place. Shared by the scenario loader and by the
// linters of the IMA and IPE policy languages; the command line and editors print the same list. Wrapping
// to a terminal is the CLI's.

export type Severity = 'error' | 'warning' | 'note';

export interface Diagnostic {
  readonly severity: Severity;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units of the line. */
  readonly column: number;
  /** Units that the mark under the line covers, at least 1. */
  readonly length: number;
  /** Stable name, `room.what`: `scenario.unknown_key`, `ima.unknown_keyword`. */
  readonly code: string;
  /** Lower case, no full stop, the user's words in backticks. */
  readonly message: string;
  /** What to do about it. */
  readonly help: string | null;
}

/** Answer of a linter of a policy language: the kernel's own verdict, and what people should know. */
export interface LintReport {
  readonly verdict: 'accepted' | 'rejected';
  /** The errno's name that loading gives, null when accepted. */
  readonly errno: string | null;
  readonly diagnostics: readonly Diagnostic[];
}

/** Line and column (both from 1) of offsets in one text. */
export class LineIndex {
  readonly text: string;
  readonly #starts: number[] = [0];

  constructor(text: string) {
    this.text = text;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1);
  }

  get lineCount(): number {
    return this.#starts.length;
  }

  position(offset: number): { readonly line: number; readonly column: number } {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#starts[low] as number) + 1 };
  }

  /** Text of a line (from 1) without its end. */
  line(number: number): string {
    const start = this.#starts[number - 1];
    if (start === undefined) return '';
    const end = this.#starts[number];
    return this.text.slice(start, end === undefined ? undefined : end - 1).replace(/\r$/, '');
  }
}

/**
 * Optimal string alignment distance (insert, delete, replace, swap of neighbours), or `limit + 1` as soon
 * as it is certain to be more than `limit`.
 */
export function editDistance(a: string, b: string, limit = 3): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(
        (previous[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (previous[j - 1] as number) + same,
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] as number) + 1);
      row.push(cost);
      best = Math.min(best, cost);
    }
    if (best > limit) return limit + 1;
    before = previous;
    previous = row;
  }
  return previous[b.length] as number;
}

/** The candidates nearest to a word, best first: for "did you mean". */
export function nearest(word: string, candidates: readonly string[], most = 3): readonly string[] {
  const limit = word.length <= 3 ? 1 : word.length <= 6 ? 2 : 3;
  const lower = word.toLowerCase();
  return candidates
    .map((c) => [c, editDistance(lower, c.toLowerCase(), limit)] as const)
    .filter(([, d]) => d <= limit)
    .sort(([a, d], [b, e]) => d - e || (a < b ? -1 : 1))
    .slice(0, most)
    .map(([c]) => c);
}

/** `did you mean \`x\`?`, or undefined when nothing is near. */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  const found = nearest(word, candidates);
  if (found.length === 0) return undefined;
  return `did you mean ${found.map((c) => `\`${c}\``).join(' or ')}?`;
}

/** Sorted by place, then severity. */
export function sortDiagnostics(list: readonly Diagnostic[]): readonly Diagnostic[] {
  const rank: Record<Severity, number> = { error: 0, warning: 1, note: 2 };
  return [...list].sort(
    (a, b) => a.line - b.line || a.column - b.column || rank[a.severity] - rank[b.severity],
  );
}

/** How parts of a rendered diagnostic are marked; the identity leaves plain text. */
export interface DiagnosticPaint {
  severity(severity: Severity, text: string): string;
  quiet(text: string): string;
  edge(text: string): string;
  mark(text: string): string;
}

const same = (text: string): string => text;
export const PLAIN_PAINT: DiagnosticPaint = {
  severity: (_, text) => text,
  quiet: same,
  edge: same,
  mark: same,
};

const FRAME_WIDTH = 100;

/** The part of a long line around a column, and by how much it moved. */
function cutLine(line: string, column: number): { readonly text: string; readonly shift: number } {
  if (line.length <= FRAME_WIDTH || column < FRAME_WIDTH - 20)
    return { text: line.slice(0, FRAME_WIDTH), shift: 0 };
  const shift = column - 40;
  return { text: `...${line.slice(shift, shift + FRAME_WIDTH)}`, shift: shift - 3 };
}

function visible(text: string): string {
  return text.replaceAll('\t', ' ').replace(/[\u0000-\u001f\u007f]/g, '\u00b7');
}

/** The line of a place with a mark under it. */
export function codeFrame(
  lines: LineIndex,
  at: Pick<Diagnostic, 'line' | 'column' | 'length'>,
  paint: DiagnosticPaint = PLAIN_PAINT,
): string {
  const { text, shift } = cutLine(lines.line(at.line), at.column);
  const mark = '^'.repeat(Math.max(1, Math.min(at.length, text.length - (at.column - shift) + 1)));
  const edge = paint.edge(`${' '.repeat(String(at.line).length)} |`);
  const under = `${edge} ${' '.repeat(Math.max(0, at.column - shift - 1))}${paint.mark(mark)}`;
  return [edge, `${paint.edge(`${at.line} |`)} ${visible(text)}`, under].join('\n');
}

/** Severity, message, place, the line with a mark under it, and what to do about it. */
export function renderDiagnostic(
  file: string,
  text: string | LineIndex,
  d: Diagnostic,
  paint: DiagnosticPaint = PLAIN_PAINT,
): string {
  const lines = typeof text === 'string' ? new LineIndex(text) : text;
  const gutter = ' '.repeat(String(d.line).length);
  const out = [
    `${paint.severity(d.severity, d.severity)}${paint.quiet(` [${d.code}]`)}: ${d.message}`,
    `${gutter}${paint.edge('-->')} ${file}:${d.line}:${d.column}`,
  ];
  if (d.line <= lines.lineCount && lines.text !== '') out.push(codeFrame(lines, d, paint));
  if (d.help !== null) out.push(`${gutter} ${paint.edge('=')} help: ${d.help}`);
  return out.join('\n');
}
