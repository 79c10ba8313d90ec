// One line for each step, in fixed columns: who, what, on which object, what IMA, EVM and IPE said, what
// came back, what PCR 10 became. Cells are computed here; colours and notes are the reporter's.

import type { TraceEvent } from '../base/trace.ts';
import type { OpResult } from './ops/types.ts';
import type { Effects, RunReport, StepReport } from './result.ts';
import type { OpInput } from './session.ts';

export interface TimelineRow {
  readonly t: string;
  readonly who: string;
  readonly op: string;
  readonly object: string;
  readonly ima: string;
  readonly evm: string;
  readonly ipe: string;
  readonly ret: string;
  readonly pcr10: string;
}

export const TIMELINE_COLUMNS: readonly (keyof TimelineRow)[] = [
  't',
  'who',
  'op',
  'object',
  'ima',
  'evm',
  'ipe',
  'ret',
  'pcr10',
];

const TITLES: Readonly<Record<keyof TimelineRow, string>> = {
  t: 't',
  who: 'who',
  op: 'op',
  object: 'object',
  ima: 'IMA',
  evm: 'EVM',
  ipe: 'IPE',
  ret: 'ret',
  pcr10: 'PCR10',
};

export const LEGEND: readonly (readonly [column: string, meaning: string])[] = [
  ['t', 'number of the step'],
  ['who', 'real user id, effective id where it differs, name of the process unless it is `main`'],
  ['IMA', 'M measured, V violation, A appraised well, D denied by appraisal, = cached, . did nothing'],
  ['EVM', 'pass, fail, none (no label), upd (label written), ref (change refused)'],
  ['IPE', 'allow, deny, warn (a denial that is not enforced)'],
  [
    'ret',
    '0, a negative errno, exit=N or sig=N of a program, a response code of the TPM, or the word on a quote',
  ],
  ['PCR10', 'first digits of the sha256 bank when it changed, and how many list entries were added'],
];

const IMA_MARKS: readonly (readonly [mark: string, reasons: readonly string[]])[] = [
  ['M', ['ima.stored']],
  ['V', ['ima.violation_stored']],
  ['A', ['ima.appraise_pass', 'ima.new_file', 'ima.new_empty_file', 'ima.modsig_verified']],
  [
    'D',
    [
      ...['ima.denied', 'ima.load_data_denied', 'ima.read_empty_denied', 'ima.mprotect_denied'],
      ...['ima.label_no_capability', 'ima.label_malformed', 'ima.label_algorithm'],
    ],
  ],
];

/** Verdicts of IMA on an access carry their errno. */
const IMA_VERDICTS: ReadonlySet<string> = new Set(['ima.check', 'ima.verdict']);

const EVM_WORDS: readonly (readonly [word: string, reasons: readonly string[]])[] = [
  ['ref', ['evm.refused', 'evm.userspace_hmac']],
  ['fail', ['evm.fail', 'evm.fail_immutable']],
  ['none', ['evm.no_label']],
  ['pass', ['evm.pass', 'evm.pass_immutable']],
  ['upd', ['evm.relabelled', 'evm.unlabelled']],
];

const IPE_WORDS: readonly (readonly [word: string, reasons: readonly string[]])[] = [
  ['deny', ['ipe.denied']],
  ['warn', ['ipe.denied_permissive']],
  ['allow', ['ipe.allowed']],
];

function imaCell(reasons: ReadonlySet<string>, events: readonly TraceEvent[]): string {
  const denied = events.some((e) => IMA_VERDICTS.has(e.kind) && typeof e.data.errno === 'string');
  const marks = IMA_MARKS.map(([mark, codes]) =>
    codes.some((c) => reasons.has(c)) || (mark === 'D' && denied) ? mark : '',
  ).join('');
  if (marks !== '') return marks;
  return reasons.has('ima.nothing_left') ? '=' : '.';
}

function wordCell(table: typeof EVM_WORDS, reasons: ReadonlySet<string>): string {
  return table.find(([, codes]) => codes.some((c) => reasons.has(c)))?.[0] ?? '.';
}

function who(op: OpInput): string {
  const uid = op.uid ?? 0;
  const euid = op.euid ?? uid;
  const who = op.program ?? op.actor ?? 'main';
  const name = who === 'main' ? '' : `${who} `;
  return `${name}uid=${uid}${euid === uid ? '' : `/${euid}`}`;
}

/** Words of arguments that say what a step is about, most telling first. */
const OBJECT_ARGUMENTS = [
  'path',
  'target',
  'slot',
  'map',
  'name',
  'ring',
  'pcr',
  'pcrs',
  'type',
  'command',
] as const;

function textOf(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  if (Array.isArray(value)) return value.map(textOf).join(',');
  if (value !== null && typeof value === 'object')
    return Object.entries(value)
      .map(([k, v]) => `${k}:${textOf(v)}`)
      .join(' ');
  return '';
}

/** First line of a text argument, for policies. */
function firstLine(value: unknown): string {
  const text =
    typeof value === 'string' ? value : textOf((value as { readonly text?: unknown } | null)?.text ?? '');
  return text.split('\n').find((l) => l.trim() !== '' && !l.startsWith('#')) ?? '';
}

function objectOf(op: OpInput): string {
  if (op.op === 'policy_row') return firstLine(op['data']);
  for (const name of OBJECT_ARGUMENTS) {
    if (op[name] === undefined) continue;
    const to = op['to'] === undefined ? '' : ` -> ${textOf(op['to'])}`;
    return `${textOf(op[name])}${to}`;
  }
  return '';
}

function retOf(report: StepReport): string {
  const { result } = report;
  if (result.err !== 'OK') return `-${result.err}`;
  if (typeof result['exit'] === 'number' && result['exit'] !== 0) return `exit=${result['exit']}`;
  if (typeof result['signal'] === 'number') return `sig=${result['signal']}`;
  if (typeof result['rc'] === 'number' && result['rc'] !== 0) return `rc=0x${result['rc'].toString(16)}`;
  if (typeof result['verifies'] === 'boolean') return quoteWord(result);
  if (typeof result['verdict'] === 'string') return result['verdict'];
  return '0';
}

/** What a verifier says about a quote: `good`, or what does not fit. */
function quoteWord(result: OpResult): string {
  if (result['verifies'] === true) return 'good';
  return `bad ${['signature', 'nonce', 'pcrs'].filter((part) => result[part] === false).join('+')}`;
}

function pcr10(effects: Effects): string {
  const changed = effects.pcrs.filter((c) => c.pcr === 10);
  const shown = changed.find((c) => c.bank === 'sha256') ?? changed[0];
  if (shown === undefined) return '';
  const entries = effects.entries.filter((e) => e.pcr === 10).length;
  return `${shown.after.slice(0, 4)}.. (+${entries})`;
}

/** Control characters would break a line. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

export function timelineRow(report: StepReport, events: readonly TraceEvent[]): TimelineRow {
  const own = events.slice(...report.effects.events);
  const reasons = new Set(own.flatMap((e) => (e.reason === undefined ? [] : [e.reason])));
  return {
    t: String(report.step.number),
    who: who(report.step.op),
    op: report.step.op.op,
    object: printable(objectOf(report.step.op)),
    ima: imaCell(reasons, own),
    evm: wordCell(EVM_WORDS, reasons),
    ipe: wordCell(IPE_WORDS, reasons),
    ret: retOf(report),
    pcr10: pcr10(report.effects),
  };
}

/** All rows of a run; `events` is the whole trace. */
export function timeline(report: RunReport, events: readonly TraceEvent[]): readonly TimelineRow[] {
  return report.steps.map((s) => timelineRow(s, events));
}

const WIDEST: Readonly<Partial<Record<keyof TimelineRow, number>>> = { object: 44, who: 24 };

function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  return text.startsWith('/') ? `..${text.slice(text.length - width + 2)}` : `${text.slice(0, width - 2)}..`;
}

/** Padded cells of the title line and of each row. */
export function timelineCells(rows: readonly TimelineRow[]): {
  readonly title: readonly string[];
  readonly rows: readonly (readonly string[])[];
} {
  const cut = rows.map((r) => TIMELINE_COLUMNS.map((c) => shorten(r[c], WIDEST[c] ?? 100)));
  const widths = TIMELINE_COLUMNS.map((c, i) =>
    cut.reduce((w, cells) => Math.max(w, (cells[i] as string).length), TITLES[c].length),
  );
  const pad = (text: string, i: number): string =>
    i === 0 ? text.padStart(widths[i] as number) : text.padEnd(widths[i] as number);
  return {
    title: TIMELINE_COLUMNS.map((c, i) => pad(TITLES[c], i)),
    rows: cut.map((cells) => cells.map(pad)),
  };
}

/** The whole timeline as plain text. */
export function timelineText(rows: readonly TimelineRow[]): string {
  const { title, rows: lines } = timelineCells(rows);
  return [title, ...lines].map((cells) => cells.join('  ').trimEnd()).join('\n');
}
