// Words of the IMA policy language: how a line is cut, and which keywords there are. The kernel's verdict and
// the diagnostics for people both start from these tokens.

import type { ConditionSyntax } from './types.ts';

/** A run of characters between single spaces or tabs. */
export interface Piece {
  readonly text: string;
  /** Offset in the line. */
  readonly offset: number;
}

export type TokenOp = '' | '=' | '>' | '<';

export interface Token extends Piece {
  readonly keyword: string;
  readonly op: TokenOp;
  /** What follows the operator; never empty where there is one. */
  readonly value: string;
}

const ONLY_EQUAL: readonly TokenOp[] = ['='];
const COMPARED: readonly TokenOp[] = ['=', '>', '<'];
const BARE: readonly TokenOp[] = [''];

/** policy_tokens[]: keyword and the operators it is written with. */
export const KEYWORDS: ReadonlyMap<string, readonly TokenOp[]> = new Map([
  ['measure', BARE],
  ['dont_measure', BARE],
  ['appraise', BARE],
  ['dont_appraise', BARE],
  ['audit', BARE],
  ['hash', BARE],
  ['dont_hash', BARE],
  ['obj_user', ONLY_EQUAL],
  ['obj_role', ONLY_EQUAL],
  ['obj_type', ONLY_EQUAL],
  ['subj_user', ONLY_EQUAL],
  ['subj_role', ONLY_EQUAL],
  ['subj_type', ONLY_EQUAL],
  ['func', ONLY_EQUAL],
  ['mask', ONLY_EQUAL],
  ['fsmagic', ONLY_EQUAL],
  ['fsname', ONLY_EQUAL],
  ['fsuuid', ONLY_EQUAL],
  ['uid', COMPARED],
  ['euid', COMPARED],
  ['gid', COMPARED],
  ['egid', COMPARED],
  ['fowner', COMPARED],
  ['fgroup', COMPARED],
  ['digest_type', ONLY_EQUAL],
  ['appraise_type', ONLY_EQUAL],
  ['appraise_flag', ONLY_EQUAL],
  ['appraise_algos', ONLY_EQUAL],
  ['permit_directio', BARE],
  ['pcr', ONLY_EQUAL],
  ['template', ONLY_EQUAL],
  ['keyrings', ONLY_EQUAL],
  ['label', ONLY_EQUAL],
]);

/** Cuts a line at each space and tab; empty pieces are left out. */
export function piecesOf(line: string): Piece[] {
  const out: Piece[] = [];
  let start = 0;
  for (let i = 0; i <= line.length; i++) {
    const c = line[i];
    if (i < line.length && c !== ' ' && c !== '\t') continue;
    if (i > start) out.push({ text: line.slice(start, i), offset: start });
    start = i + 1;
  }
  return out;
}

/**
 * The keyword that a piece is, or null; `more` are conditions that designs add. The value of an option must
 * not be empty.
 * @kernel lib/parser.c match_token()
 */
export function matchToken(piece: Piece, more: readonly ConditionSyntax[] = []): Token | null {
  const at = piece.text.search(/[=<>]/);
  const keyword = at < 0 ? piece.text : piece.text.slice(0, at);
  const op = (at < 0 ? '' : piece.text[at]) as TokenOp;
  const value = at < 0 ? '' : piece.text.slice(at + 1);
  const ops = KEYWORDS.get(keyword) ?? more.find((c) => c.keyword === keyword)?.ops;
  if (!ops?.includes(op)) return null;
  if (op !== '' && value === '') return null;
  return { ...piece, keyword, op, value };
}

/** A line without its leading blanks, or null where the kernel ignores it (comment, empty). */
export function ruleText(line: string): string | null {
  const text = line.replace(/^[ \t]+/, '');
  return text === '' || text.startsWith('#') ? null : text;
}
