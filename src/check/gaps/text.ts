// The matrix of gaps as text for a terminal, as Markdown, and as plain data.

import type { Cell, GapsRow } from './gaps.ts';

const DASH = '-';

/** `measured, appraised`; a dash where there is no such interface. */
export function cellText(cell: Cell): string {
  return cell.interface === null ? DASH : cell.marks.join(', ');
}

function pad(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((r) => r[i]?.length ?? 0)));
  return rows.map((r) =>
    r
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** A line of reasons for each cell; `interface: reason`. */
export function reasonLines(rows: readonly GapsRow[]): readonly string[] {
  return rows.flatMap(({ path, file, buffer }) =>
    [file, buffer].flatMap((cell) => {
      const way = cell.interface === null ? cell.form : `${cell.form} (${cell.interface})`;
      return cell.reasons.map((reason) => `${path.title}, ${way}: ${reason}`);
    }),
  );
}

export function gapsText(rows: readonly GapsRow[]): string {
  const table = rows.map((r) => [r.path.title, cellText(r.file), cellText(r.buffer)]);
  return [...pad([['what', 'as a file', 'as a buffer'], ...table]), '', ...reasonLines(rows)].join('\n');
}

const escaped = (text: string): string => text.replaceAll('|', '\\|');

export function gapsMarkdown(rows: readonly GapsRow[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  const way = (cell: Cell): string =>
    cell.interface === null ? DASH : `${cell.marks.join(', ')} (${cell.interface})`;
  return [
    line(['what', 'as a file', 'as a buffer']),
    line(['---', '---', '---']),
    ...rows.map((r) => line([r.path.title, way(r.file), way(r.buffer)])),
    '',
    ...reasonLines(rows).map((text) => `- ${escaped(text)}`),
  ].join('\n');
}

/** Plain data with stable names, without the scenarios. */
export function gapsJson(rows: readonly GapsRow[]): object {
  const plain = ({ scenarios: _, path: __, ...cell }: Cell): object => cell;
  return rows.map((r) => ({
    path: r.path.id,
    title: r.path.title,
    file: plain(r.file),
    buffer: plain(r.buffer),
  }));
}
