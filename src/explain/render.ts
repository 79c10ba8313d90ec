// An explanation as lines of text: verdict, cause, remedy, reference; then IMA's view of each access and
// the tree of events. Marks for headings and quiet parts are left to the caller.

import type { Explanation, ImaAccess } from './explain.ts';
import type { ExtendRecord } from './pcr.ts';
import { type RuleVerdict, ruleSentence } from './policy.ts';
import { type EventNode, eventLine } from './tree.ts';

export type LineKind = 'headline' | 'heading' | 'text' | 'quiet' | 'matched';

export interface ExplainLine {
  readonly kind: LineKind;
  readonly text: string;
}

const WIDTH = 100;

/** A text in lines of at most 100 columns, the later ones indented a little more. */
export function wrapLines(text: string, indent: number): readonly string[] {
  const lines: string[] = [];
  let line = ' '.repeat(indent);
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = ' '.repeat(indent + 2);
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line];
}

const line = (kind: LineKind, text: string): ExplainLine => ({ kind, text });
const block = (kind: LineKind, text: string, indent: number): readonly ExplainLine[] =>
  wrapLines(text, indent).map((t) => line(kind, t));

function ruleLine(v: RuleVerdict): readonly ExplainLine[] {
  const kind: LineKind = v.outcome === 'matched' ? 'matched' : 'quiet';
  return block(kind, `rule ${v.number}: ${v.text}: ${ruleSentence(v)}`, 4);
}

/** Rules in order; runs of rules that failed alike, or were not reached, become one line. */
function rulesLines(rules: readonly RuleVerdict[], full: boolean): readonly ExplainLine[] {
  const out: ExplainLine[] = [];
  for (let i = 0; i < rules.length; ) {
    const first = rules[i] as RuleVerdict;
    let end = i + 1;
    if (!full && first.outcome !== 'matched') {
      while (end < rules.length && ruleSentence(rules[end] as RuleVerdict) === ruleSentence(first)) end++;
    }
    const last = rules[end - 1] as RuleVerdict;
    if (end - i <= 2) for (const r of rules.slice(i, end)) out.push(...ruleLine(r));
    else out.push(...block('quiet', `rules ${first.number} to ${last.number}: ${ruleSentence(first)}`, 4));
    i = end;
  }
  return out;
}

const list = (words: readonly string[]): string => (words.length === 0 ? 'none' : words.join(' '));

function accessLines(a: ImaAccess, full: boolean): readonly ExplainLine[] {
  const verdict = a.errno === null ? '' : ` (${a.errno})`;
  const added = a.added.length === 0 ? '' : `, added ${a.added.join(' ')}`;
  const removed = a.removed.length === 0 ? '' : `, dropped ${a.removed.join(' ')}`;
  return [
    line('heading', `IMA: ${a.func} ${a.mask} on ${a.path} by ${a.who}`),
    ...block('text', `${a.outcome}${verdict}`, 2),
    line('text', '  rules in order:'),
    ...(a.rules.length === 0 ? [line('quiet', '    the policy has no rules')] : rulesLines(a.rules, full)),
    ...block('text', `list: ${a.list}`, 2),
    ...block('text', `flags before: ${list(a.before)}${added}${removed}`, 2),
  ];
}

function treeLines(nodes: readonly EventNode[], depth: number, full: boolean): readonly ExplainLine[] {
  return nodes.flatMap((n) => {
    if (!full && n.event.kind === 'syscall.return') return [];
    return [
      ...block('quiet', eventLine(n.event, full), 2 + 2 * depth),
      ...treeLines(n.children, depth + 1, full),
    ];
  });
}

function section(title: string, texts: readonly string[]): readonly ExplainLine[] {
  if (texts.length === 0) return [];
  return [line('heading', title), ...texts.flatMap((t) => block('text', t, 2))];
}

/**
 * Accesses that nobody asked about say little: shown only when all is asked for, or nothing else is there.
 */
function telling(accesses: readonly ImaAccess[], full: boolean): readonly ImaAccess[] {
  const some = accesses.filter((a) => a.rules.some((r) => r.outcome === 'matched') || a.errno !== null);
  return full || some.length === 0 ? accesses : some;
}

/** The whole explanation. */
export function explanationLines(e: Explanation, full: boolean): readonly ExplainLine[] {
  return [
    line('headline', e.headline),
    ...section('because', e.causes),
    ...section('what can be done', e.remedies),
    ...section('decided in', e.references),
    ...telling(e.accesses, full).flatMap((a) => accessLines(a, full)),
    ...section('others', e.others),
    line('heading', 'events'),
    ...treeLines(e.tree, 0, full),
  ];
}

/** A start value differs in its last byte, if at all. */
function startText(hex: string, full: boolean): string {
  return full || hex.length < 8 ? hex : `${hex.slice(0, 6)}..${hex.slice(-2)}`;
}

/** The life of one register: where, what, and the value after it. */
export function extendLines(
  records: readonly ExtendRecord[],
  stepOf: (r: ExtendRecord) => string,
  full: boolean,
): readonly ExplainLine[] {
  const cut = (hex: string): string => (full ? hex : `${hex.slice(0, 8)}..`);
  let before = '';
  let extended = 0;
  return records.map((r) => {
    const entry = r.entry === null ? '' : `, list entry ${r.entry}`;
    const from = before === '' ? '' : `${cut(before)} `;
    before = r.value;
    if (r.kind !== 'extend') {
      extended = 0;
      return line(
        'quiet',
        `     ${stepOf(r).padEnd(10)} ${r.kind} -> ${startText(r.value, full)}  ${r.about}`,
      );
    }
    extended++;
    const text = `${String(extended).padStart(3)}  ${stepOf(r).padEnd(10)} ${from}+ ${cut(r.digest)} -> ${cut(r.value)}  ${r.about}${entry}`;
    return line('text', text);
  });
}
