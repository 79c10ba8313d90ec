// Diagnostics for people who write IMA policies: every mistake at once with its place, and warnings about
// rules that the kernel accepts but that do not do what they seem to. The verdict and errno are those of an
// upload line by line; rules with labels are taken as the kernel takes them once a custom policy is loaded.

import {
  type Diagnostic,
  didYouMean,
  type LintReport,
  type Severity,
  sortDiagnostics,
} from '../base/diagnostic.ts';
import type { Errno } from '../base/errno.ts';
import { type KernelProfile, PROFILES } from '../base/profile.ts';
import * as C from './constants.ts';
import { ruleWarnings } from './lint-rules.ts';
import { complaintOf, type LintNote } from './lint-words.ts';
import { applyToken, type ParseContext, parseRule, type RuleDraft } from './policy-parse.ts';
import { KEYWORDS, matchToken, type Piece, piecesOf, ruleText, type Token } from './policy-tokens.ts';
import { validateRule } from './policy-validate.ts';
import { BUILTIN_TEMPLATES } from './template.ts';
import { type ConditionSyntax, EMPTY_RULE, type ImaRule, type TemplateDesc } from './types.ts';

export type { LintReport } from '../base/diagnostic.ts';

export interface ImaLintOptions {
  readonly profile?: KernelProfile;
  /** Templates that a rule can name; a format of the command line is one more. */
  readonly templates?: readonly TemplateDesc[];
  /** Conditions that designs of the machine add. */
  readonly conditions?: readonly ConditionSyntax[];
  /** Labels are taken as known to a security module; without it none is. */
  readonly knowsLabels?: boolean;
}

/** A rule that the kernel accepts, with its place. */
export interface PlacedRule {
  readonly rule: ImaRule;
  readonly line: number;
  readonly tokens: readonly Token[];
  /** Offset of the rule's text in its line. */
  readonly indent: number;
}

class Linter {
  readonly ctx: ParseContext;
  readonly diagnostics: Diagnostic[] = [];
  readonly rules: PlacedRule[] = [];

  constructor(ctx: ParseContext) {
    this.ctx = ctx;
  }

  report(severity: Severity, line: number, at: Piece, note: LintNote): void {
    const { code, message, help } = note;
    const length = Math.max(1, note.length ?? at.text.length);
    const column = at.offset + (note.shift ?? 0) + 1;
    this.diagnostics.push({ severity, line, column, length, code, message, help });
  }

  /** One line: words first, then whether they go together. */
  line(number: number, raw: string): void {
    const text = ruleText(raw);
    if (text === null) return;
    if (text.startsWith('/')) {
      this.report('note', number, { text, offset: 0 }, PATH_LINE);
      return;
    }
    const indent = raw.length - text.length;
    const draft: RuleDraft = { ...EMPTY_RULE };
    const tokens: Token[] = [];
    let wrong = false;
    for (const piece of piecesOf(text)) {
      const placed = { text: piece.text, offset: piece.offset + indent };
      const token = matchToken(placed, this.ctx.conditions);
      const note = token === null ? unknownWord(placed.text, text, piece.offset) : this.word(draft, token);
      if (note !== null) {
        wrong = true;
        this.report('error', number, placed, note);
        if (note.code === 'ima.comment_in_line') break;
      }
      if (token !== null) tokens.push(token);
    }
    if (wrong) return;
    draft.flags = draft.flags >>> 0;
    if (!validateRule(draft)) this.combination(number, text, indent, draft, tokens);
    else this.rules.push({ rule: draft, line: number, tokens, indent });
  }

  word(draft: RuleDraft, token: Token): LintNote | null {
    const before = { ...draft };
    const err = applyToken(draft, token, this.ctx);
    return err === 0 ? null : complaintOf(token, before, err, this.ctx);
  }

  combination(line: number, text: string, indent: number, rule: ImaRule, tokens: readonly Token[]): void {
    for (const { at, note } of combinationNotes(rule, tokens))
      this.report('error', line, at ?? { text, offset: indent }, note);
  }
}

const PATH_LINE: LintNote = {
  code: 'ima.path_line',
  message: 'a line that begins with `/` names a policy file that the kernel reads itself',
  help: 'check that file instead',
};

/**
 * A word that is no keyword: a typing error, a missing value, a wrong operator, a comment, a carriage return.
 */
function unknownWord(word: string, line: string, offset: number): LintNote {
  if (word.startsWith('#')) {
    return {
      code: 'ima.comment_in_line',
      message: 'a comment takes a line of its own',
      help: 'move it to the line above',
      length: line.length - offset,
    };
  }
  if (word.endsWith('\r')) {
    return {
      code: 'ima.carriage_return',
      message: 'the line ends in a carriage return',
      help: 'write the file with plain newlines',
    };
  }
  const [, keyword = word, op = ''] = /^([^=<>]*)([=<>]?)/.exec(word) ?? [];
  const ops = KEYWORDS.get(keyword);
  if (ops !== undefined) {
    if (ops.includes('=') && (op === '' || op === word.slice(keyword.length)))
      return {
        code: 'ima.missing_value',
        message: `\`${keyword}\` needs a value`,
        help: `\`${keyword}=...\``,
      };
    if (op !== '' && ops.includes(''))
      return { code: 'ima.unexpected_value', message: `\`${keyword}\` takes no value`, help: null };
    const help = `\`${keyword}\` is written with ${ops.map((o) => `\`${o}\``).join(', ')}`;
    return { code: 'ima.wrong_operator', message: `\`${keyword}${op}\` is not known`, help };
  }
  const help = didYouMean(keyword, [...KEYWORDS.keys()]) ?? null;
  return {
    code: 'ima.unknown_keyword',
    message: `unknown keyword \`${keyword}\``,
    help,
    length: keyword.length,
  };
}

interface PlacedNote {
  readonly at: Piece | null;
  readonly note: LintNote;
}

const OPTION_BITS: ReadonlyMap<string, number> = new Map([
  ['mask', C.IMA_MASK | C.IMA_INMASK],
  ['fsmagic', C.IMA_FSMAGIC],
  ['fsname', C.IMA_FSNAME],
  ['fsuuid', C.IMA_FSUUID],
  ['uid', C.IMA_UID],
  ['euid', C.IMA_EUID],
  ['gid', C.IMA_GID],
  ['egid', C.IMA_EGID],
  ['fowner', C.IMA_FOWNER],
  ['fgroup', C.IMA_FGROUP],
  ['pcr', C.IMA_PCR],
  ['keyrings', C.IMA_KEYRINGS],
  ['label', C.IMA_LABEL],
  ['permit_directio', C.IMA_PERMIT_DIRECTIO],
  ['appraise_algos', C.IMA_VALIDATE_ALGOS],
  ['appraise_type', C.IMA_DIGSIG_REQUIRED],
  ['digest_type', C.IMA_VERITY_REQUIRED],
]);

const NO_ACTION: LintNote = {
  code: 'ima.no_action',
  message: 'the rule has no action',
  help: `one of ${[...C.ACTION_NAMES.values()].map((a) => `\`${a}\``).join(', ')}`,
};

/** Why words that are right one by one do not make a rule: each word that would have to go. */
function combinationNotes(rule: ImaRule, tokens: readonly Token[]): readonly PlacedNote[] {
  if (rule.action === C.UNKNOWN) return [{ at: null, note: NO_ACTION }];
  const out: PlacedNote[] = [];
  const verb = C.ACTION_NAMES.get(rule.action) ?? '';
  for (const token of tokens) {
    if (token.keyword === 'func' || C.ACTION_NAMES.get(rule.action) === token.keyword) continue;
    const without = withoutToken(rule, token);
    if (without !== null && validateRule(without))
      out.push({ at: token, note: misplaced(rule, token, verb) });
  }
  if (out.length > 0) return out;
  return [{ at: null, note: wholeRule(rule, verb) }];
}

function withoutToken(rule: ImaRule, token: Token): ImaRule | null {
  const bits = OPTION_BITS.get(token.keyword);
  if (bits === undefined) return /^(obj|subj)_/.test(token.keyword) ? { ...rule, lsm: [] } : null;
  let flags = rule.flags & ~bits;
  if (token.keyword === 'appraise_type') flags &= ~(C.IMA_CHECK_BLACKLIST | C.IMA_MODSIG_ALLOWED);
  return { ...rule, flags: flags >>> 0 };
}

function misplaced(rule: ImaRule, token: Token, verb: string): LintNote {
  const code = 'ima.option_not_allowed';
  if (token.keyword === 'pcr' && rule.action !== C.MEASURE)
    return { code, message: '`pcr=` goes with `measure` only', help: null };
  const appraiseOnly = token.keyword === 'appraise_type' || token.keyword === 'appraise_algos';
  if (appraiseOnly && rule.action !== C.APPRAISE)
    return {
      code,
      message: `\`${token.keyword}=\` goes with \`appraise\`, not with \`${verb}\``,
      help: null,
    };
  if (token.keyword === 'digest_type' && rule.action === C.APPRAISE && rule.func !== C.MODULE_CHECK) {
    const help = 'put `appraise_type=sigv3` behind it';
    return { code, message: '`appraise` of an fs-verity digest needs a signature', help };
  }
  const where = rule.func === C.NONE ? 'a rule without `func=`' : `\`func=${C.FUNC_TOKENS[rule.func]}\``;
  return { code, message: `\`${token.keyword}\` does not go with ${where}`, help: null };
}

function wholeRule(rule: ImaRule, verb: string): LintNote {
  const func = C.FUNC_TOKENS[rule.func] ?? '';
  if (rule.func === C.SETXATTR_CHECK) {
    const help = 'write `appraise func=SETXATTR_CHECK appraise_algos=...` and nothing else';
    return { code: 'ima.setxattr_rule', message: '`func=SETXATTR_CHECK` has one form', help };
  }
  if (rule.func >= C.KEXEC_CMDLINE) {
    const help = 'use `measure` or `dont_measure`';
    return { code: 'ima.action_not_allowed', message: `\`${verb}\` does not go with \`func=${func}\``, help };
  }
  const message = 'these words do not go together';
  return { code: 'ima.bad_combination', message, help: 'see the table of allowed combinations' };
}

/** Errno of the first write(2) that fails when the text is written as cat does; null when all succeed. */
function uploadErrno(text: string, ctx: ParseContext): Errno | null {
  let at = 0;
  do {
    const chunk = text.slice(at, at + ctx.profile.pageSize - 1).split('\0', 1)[0] as string;
    const line = chunk.split('\n', 1)[0] as string;
    if (chunk.startsWith('/')) at += chunk.length;
    else {
      const rule = ruleText(line);
      const err = rule === null ? 0 : parseRule(rule, ctx).err;
      if (err !== 0) return err;
      at += line.length + 1;
    }
  } while (at < text.length);
  return null;
}

/**
 * Checks a policy text (one character per byte) as a person wants to know it.
 * @kernel security/integrity/ima/ima_policy.c ima_parse_add_rule()
 */
export function lintImaPolicy(text: string, options: ImaLintOptions = {}): LintReport {
  const { verdict, errno, diagnostics } = readImaPolicy(text, options);
  return { verdict, errno, diagnostics };
}

/** What lint says, and the rules with their places. */
export function readImaPolicy(
  text: string,
  options: ImaLintOptions = {},
): LintReport & { readonly rules: readonly PlacedRule[] } {
  const profile = options.profile ?? (PROFILES['linux-6.12.107'] as KernelProfile);
  const ctx: ParseContext = {
    profile,
    templates: options.templates ?? BUILTIN_TEMPLATES,
    defaultRulesActive: false,
    ...(options.conditions === undefined ? {} : { conditions: options.conditions }),
    mapId: (_kind, id) => (id === 0xffffffff ? null : id),
    lsmKnows: () => options.knowsLabels === true,
  };
  const linter = new Linter(ctx);
  const lines = text.split('\n');
  for (const [i, line] of lines.entries()) {
    linter.line(i + 1, line);
    if (line.length >= profile.pageSize) {
      const message = `the line is longer than one write takes (${profile.pageSize - 1} bytes)`;
      const note = { code: 'ima.long_line', message, help: 'its rest is read as another line' };
      linter.report('warning', i + 1, { text: ' ', offset: profile.pageSize - 1 }, note);
    }
  }
  for (const { severity, line, at, note } of ruleWarnings(linter.rules))
    linter.report(severity, line, at, note);
  const clean = linter.diagnostics.every((d) => d.severity !== 'error');
  if (linter.rules.length === 0 && clean) linter.report('warning', 1, { text: ' ', offset: 0 }, NO_RULE);
  const last = lines.at(-1) ?? '';
  if (ruleText(last) !== null && !last.startsWith('/'))
    linter.report('note', lines.length, { text: ' ', offset: last.length }, NO_NEWLINE);
  const errno = uploadErrno(text, ctx);
  const verdict = errno === null ? 'accepted' : 'rejected';
  const { rules } = linter;
  return { verdict, errno, diagnostics: sortDiagnostics(linter.diagnostics), rules };
}

const NO_RULE: LintNote = {
  code: 'ima.no_rule',
  message: 'there is no rule: every write succeeds, and the upload is dropped when the file is closed',
  help: null,
};

const NO_NEWLINE: LintNote = {
  code: 'ima.no_final_newline',
  message: 'the last line has no newline: loading this file by its path fails with EINVAL',
  help: 'end the file with a newline',
};
