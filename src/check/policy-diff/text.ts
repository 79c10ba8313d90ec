// The answer of a policy comparison as text for a terminal, as Markdown, and as plain data.

import type { Decider, DiffRow, PolicyDiff, RuleStatus } from './report.ts';

/** How the texts are painted; the identity for plain ones. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
}

const same = (text: string): string => text;
export const NO_PAINT: Paint = { bold: same, dim: same, red: same, green: same };

export interface Names {
  readonly old: string;
  readonly new: string;
}

function deciderText({ line, text, effect }: Decider): string {
  if (text === null) return `no rule: ${effect}`;
  return `${line === null ? '' : `line ${line} `}\`${text}\`: ${effect}`;
}

const witnessText = (row: DiffRow): string =>
  Object.entries(row.witness)
    .map(([member, value]) => `${member}=${value}`)
    .join(', ');

/** `yes`, `no` for both directions. */
export function verdictLines(diff: PolicyDiff, names: Names): readonly string[] {
  if (diff.equivalent) return ['equivalent: no event is decided differently'];
  const counts = new Map<string, number>();
  for (const { kind } of diff.rows) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const yes = (b: boolean): string => (b ? 'yes' : 'no');
  return [
    `different: ${[...counts].map(([kind, n]) => (n === 1 ? kind : `${n} x ${kind}`)).join(', ')}`,
    `everything that ${names.new} allows ${names.old} allows: ${yes(diff.newImpliesOld)}`,
    `everything that ${names.old} allows ${names.new} allows: ${yes(diff.oldImpliesNew)}`,
  ];
}

const TELLING: readonly RuleStatus['status'][] = ['never matches', 'shadowed', 'never asked'];

function statusLines(rules: readonly RuleStatus[], name: string): readonly string[] {
  return rules
    .filter((r) => TELLING.includes(r.status))
    .map(
      (r) => `${name}: ${r.line === null ? '' : `line ${r.line} `}\`${r.text}\` decides nothing: ${r.status}`,
    );
}

function rowLines(row: DiffRow, i: number, paint: Paint): readonly string[] {
  const regions = row.more ? [...row.regions, 'and more'] : row.regions;
  return [
    '',
    paint.bold(`${i + 1}. ${row.kind}`),
    ...regions.map((r, n) => `   ${n === 0 ? 'where' : '   or'}    ${r}`),
    `   ${paint.red('old')}      ${deciderText(row.old)}`,
    `   ${paint.green('new')}      ${deciderText(row.new)}`,
    `   ${paint.dim(`such as  ${witnessText(row)}`)}`,
  ];
}

export function diffText(diff: PolicyDiff, names: Names, paint: Paint = NO_PAINT): string {
  return [
    ...verdictLines(diff, names),
    ...diff.rows.flatMap((row, i) => rowLines(row, i, paint)),
    ...[...statusLines(diff.rules.old, names.old), ...statusLines(diff.rules.new, names.new)].map(
      (line, i) => (i === 0 ? `\n${line}` : line),
    ),
    ...diff.notes.map((note) => `\nnote: ${note}`),
  ].join('\n');
}

const escaped = (text: string): string => text.replaceAll('|', '\\|');

export function diffMarkdown(diff: PolicyDiff, names: Names): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  const table = diff.rows.map((row) =>
    line([
      row.kind,
      [...row.regions, ...(row.more ? ['and more'] : [])].join('; or '),
      deciderText(row.old),
      deciderText(row.new),
      witnessText(row),
    ]),
  );
  const rules = [...statusLines(diff.rules.old, names.old), ...statusLines(diff.rules.new, names.new)];
  return [
    ...verdictLines(diff, names).map((text) => `- ${text}`),
    ...(table.length === 0
      ? []
      : ['', line(['what', 'where', names.old, names.new, 'such as']), line(Array(5).fill('---')), ...table]),
    ...(rules.length === 0 ? [] : ['', ...rules.map((text) => `- ${text}`)]),
    ...(diff.notes.length === 0 ? [] : ['', ...diff.notes.map((text) => `- ${text}`)]),
  ].join('\n');
}
