// Warnings about rules that are accepted: those that can never match, that an earlier rule makes useless,
// whose options reach into rules of another class, or that lock something out. They follow from the match
// engine's rules, not from taste.

import type { Severity } from '../base/diagnostic.ts';
import { MAY_APPEND, MAY_READ } from '../vfs/constants.ts';
import * as C from './constants.ts';
import type { PlacedRule } from './lint.ts';
import { classOf, type DeadRule, PolicyAnalysis } from './lint-dead.ts';
import { HOOK_PLACES, KNOWN_MAGIC, MAX_ID, MAX_OWNER, meets } from './lint-regions.ts';
import type { LintNote } from './lint-words.ts';
import type { Piece, Token } from './policy-tokens.ts';
import { templateFields } from './template.ts';
import type { IdOp, ImaRule } from './types.ts';

export interface RuleWarning {
  readonly severity: Severity;
  readonly line: number;
  readonly at: Piece;
  readonly note: LintNote;
}

/** Masks that really occur at a hook, or at any; an open never has MAY_APPEND alone. */
function masksOf(func: number): readonly number[] {
  const asked = HOOK_PLACES.filter((h) => h.mustAppraise !== true && (func === C.NONE || h.func === func));
  return asked.map((h) => h.mask);
}

const has = (rule: ImaRule, flag: number): boolean => (rule.flags & flag) !== 0;

function tokenOf(r: PlacedRule, keyword: string | RegExp): Token | undefined {
  return r.tokens.find((t) =>
    typeof keyword === 'string' ? t.keyword === keyword : keyword.test(t.keyword),
  );
}

function whole(r: PlacedRule): Piece {
  const last = r.tokens.at(-1);
  const end = last === undefined ? r.indent + 1 : last.offset + last.text.length;
  return { offset: r.indent, text: ' '.repeat(Math.max(1, end - r.indent)) };
}

function warn(
  r: PlacedRule,
  at: Piece | undefined,
  note: LintNote,
  severity: Severity = 'warning',
): RuleWarning {
  return { severity, line: r.line, at: at ?? whole(r), note };
}

const CLASS_VERB: ReadonlyMap<number, string> = new Map([
  [C.MEASURE, 'measures'],
  [C.APPRAISE, 'appraises'],
  [C.HASH, 'hashes'],
]);

/** The words because of which nothing can meet the conditions. */
function impossible(r: PlacedRule): RuleWarning[] {
  const { rule } = r;
  const code = 'ima.never_matches';
  const out: RuleWarning[] = [];
  if (has(rule, C.IMA_MASK | C.IMA_INMASK)) {
    const exact = has(rule, C.IMA_MASK);
    const hit = masksOf(rule.func).some((m) => (exact ? m === rule.mask : (m & rule.mask) !== 0));
    if (!hit) {
      const where = rule.func === C.NONE ? 'any hook' : `\`${C.FUNC_TOKENS[rule.func]}\``;
      const help = exact && rule.mask === MAY_APPEND ? 'use `mask=^MAY_APPEND`' : 'drop the mask';
      out.push(warn(r, tokenOf(r, 'mask'), { code, message: `this mask does not occur at ${where}`, help }));
    }
  }
  const slots: readonly (readonly [RegExp, IdOp, number | null, number])[] = [
    [/^e?uid$/, rule.uidOp, rule.uid, MAX_ID],
    [/^e?gid$/, rule.gidOp, rule.gid, MAX_ID],
    [/^fowner$/, rule.fownerOp, rule.fowner, MAX_OWNER],
    [/^fgroup$/, rule.fgroupOp, rule.fgroup, MAX_OWNER],
  ];
  for (const [keyword, op, id, last] of slots) {
    const none = id !== null && ((op === 'lt' && id === 0) || (op === 'gt' && id >= last));
    if (none) out.push(warn(r, tokenOf(r, keyword), { code, message: 'no id is like this', help: null }));
  }
  const magics = rule.fsname === null ? undefined : KNOWN_MAGIC.get(rule.fsname);
  if (has(rule, C.IMA_FSMAGIC) && magics !== undefined && !magics.includes(rule.fsmagic)) {
    const message = `\`${rule.fsname}\` file systems have another magic number`;
    const help = `theirs is ${magics.map((m) => `0x${m}`).join(' or ')}`;
    out.push(warn(r, tokenOf(r, 'fsmagic'), { code, message, help }));
  }
  return out;
}

function unknownLabel(r: PlacedRule): RuleWarning[] {
  if (!r.rule.lsm.some((c) => c !== null && !c.active)) return [];
  const message = 'no security module of this kernel knows the label';
  const help =
    'as the first upload the rule is EINVAL; later it is accepted, matches nothing and is not shown';
  return [warn(r, tokenOf(r, /^(obj|subj)_/), { code: 'ima.unknown_label', message, help })];
}

/** `line 3`, `lines 1 and 3 together`. */
function linesOf(rules: readonly PlacedRule[], by: readonly number[]): string {
  const lines = by.map((i) => String(rules[i]?.line));
  if (lines.length === 1) return `line ${lines[0]}`;
  return `lines ${lines.slice(0, -1).join(', ')} and ${lines.at(-1)} together`;
}

/** Rules that decide nothing. */
function deadWarnings(rules: readonly PlacedRule[], i: number, dead: DeadRule): RuleWarning[] {
  const r = rules[i] as PlacedRule;
  const { rule } = r;
  switch (dead.kind) {
    case 'never': {
      const words = [...impossible(r), ...unknownLabel(r)];
      if (words.length > 0) return words;
      const message = 'these conditions exclude each other';
      return [warn(r, undefined, { code: 'ima.never_matches', message, help: null })];
    }
    case 'setattr_only': {
      const message =
        'no access meets these conditions: the rule only counts when mode or owner of a file change';
      const [mask] = impossible(r);
      return [warn(r, mask?.at, { code: 'ima.only_setattr', message, help: mask?.note.help ?? null })];
    }
    case 'nothing_to_except': {
      const message = `nothing in this policy ${CLASS_VERB.get(classOf(rule.action))}, there is nothing to except`;
      return [warn(r, tokenOf(r, /^dont_/), { code: 'ima.nothing_to_except', message, help: null })];
    }
    case 'hash_undone': {
      const verb = dead.by.length > 1 ? 'take' : 'takes';
      const message = `never labels a file: ${linesOf(rules, dead.by)}, behind it, ${verb} the hash action back`;
      const help = 'a file that is appraised is labelled by appraisal; or put the `hash` rule last';
      return [warn(r, tokenOf(r, 'hash'), { code: 'ima.hash_undone', message, help })];
    }
    case 'shadowed':
      return [shadowed(rules, r, dead)];
  }
}

/** Labels of ima_measure_critical_data() in the kernel's own tree. */
const DATA_LABELS: readonly string[] = ['kernel_info', 'selinux', 'device-mapper', 'modules'];

/** Options that are accepted and do not do what they say. */
function withoutEffect(r: PlacedRule): RuleWarning[] {
  const { rule } = r;
  const out: RuleWarning[] = [];
  const code = 'ima.no_effect';
  if ((rule.func === C.KEY_CHECK || rule.func === C.CRITICAL_DATA) && has(rule, C.IMA_GID)) {
    const message = `\`gid\` is not compared at \`${C.FUNC_TOKENS[rule.func]}\``;
    out.push(warn(r, tokenOf(r, 'gid'), { code, message, help: 'only `uid` is' }));
  }
  if (rule.func === C.SETXATTR_CHECK && rule.lsm.some((c) => c !== null)) {
    const message = 'labels are not looked at when an xattr is set';
    out.push(warn(r, tokenOf(r, /^(obj|subj)_/), { code, message, help: null }));
  }
  if (rule.func === C.CRITICAL_DATA && rule.label?.every((l) => !DATA_LABELS.includes(l)) === true) {
    const message = 'nothing in the kernel itself measures data under such a label';
    const help = `its own labels: ${DATA_LABELS.join(', ')}`;
    out.push(warn(r, tokenOf(r, 'label'), { code: 'ima.unknown_data_label', message, help }, 'note'));
  }
  const flag = tokenOf(r, 'appraise_flag');
  if (flag !== undefined) {
    const help = 'the blacklist is checked wherever a signature is required';
    out.push(warn(r, flag, { code, message: '`appraise_flag=` is ignored', help }, 'note'));
  }
  const exactRead = has(rule, C.IMA_MASK) && rule.mask === MAY_READ && masksOf(rule.func).length > 1;
  if (exactRead) {
    const message = '`mask=MAY_READ` does not match an open for reading and writing';
    out.push(
      warn(r, tokenOf(r, 'mask'), { code: 'ima.exact_mask', message, help: '`mask=^MAY_READ` does' }, 'note'),
    );
  }
  return out;
}

/** Registers that a TPM does not have, or that share a bit of the cache. */
function registers(r: PlacedRule): RuleWarning[] {
  const { rule } = r;
  if (!has(rule, C.IMA_PCR) || rule.pcr < 24) return [];
  const message = `TPMs have no register ${rule.pcr}: entries are listed, every extend fails`;
  const shared = `it also shares the "already measured" mark with register ${rule.pcr % 32}`;
  const help = rule.pcr >= 32 ? shared : null;
  return [warn(r, tokenOf(r, 'pcr'), { code: 'ima.no_such_register', message, help })];
}

function templates(r: PlacedRule): RuleWarning[] {
  const { rule } = r;
  if (rule.action !== C.MEASURE || !has(rule, C.IMA_VERITY_REQUIRED)) return [];
  if (rule.template !== null && templateFields(rule.template).includes('d-ngv2')) return [];
  const message = 'a list without the field d-ngv2 does not tell an fs-verity digest from a file digest';
  const note = {
    code: 'ima.verity_template',
    message,
    help: 'add `template=ima-ngv2` or `template=ima-sigv2`',
  };
  return [warn(r, tokenOf(r, 'digest_type'), note, rule.template === null ? 'note' : 'warning')];
}

function shadowed(rules: readonly PlacedRule[], r: PlacedRule, { by }: DeadRule): RuleWarning {
  const first = rules[by[0] ?? 0] as PlacedRule;
  const same = by.length === 1 && sameRule(first.rule, r.rule);
  const plural = by.length > 1 ? 'match' : 'matches';
  const message = same
    ? `the same as line ${first.line}, which decides first`
    : `never decides: ${linesOf(rules, by)} ${plural} everything that this rule matches`;
  const help = same ? null : 'put the narrower rule before the wider one';
  return warn(r, undefined, { code: 'ima.shadowed_rule', message, help });
}

/** Whether two rules say the same, whatever the order of their words. */
function sameRule(a: ImaRule, b: ImaRule): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

interface Leak {
  readonly flag: number;
  readonly keyword: string;
  /** What comes of it for a rule of the line given that has not got the option itself. */
  readonly at: (line: number) => string;
  readonly help: string | null;
  /** Class of the rules that suffer from it. */
  readonly victims: number;
}

const STAYS = 'the flag stays with the inode, also for users and hooks that only the other rule matches';

/** Options of one class of rules that count for another. */
const LEAKS: readonly Leak[] = [
  {
    flag: C.IMA_VERITY_REQUIRED,
    keyword: 'digest_type',
    at: (line) =>
      `files that match this rule need an fs-verity digest for the appraisal of line ${line}, too`,
    help: STAYS,
    victims: C.APPRAISE,
  },
  {
    flag: C.IMA_VERITY_REQUIRED,
    keyword: 'digest_type',
    at: (line) =>
      `line ${line} measures the fs-verity digest of such files, and nothing of those that have none`,
    help: STAYS,
    victims: C.MEASURE,
  },
  {
    flag: C.IMA_PERMIT_DIRECTIO,
    keyword: 'permit_directio',
    at: (line) => `O_DIRECT opens of such files pass the appraisal of line ${line}, whatever their label`,
    help: STAYS,
    victims: C.APPRAISE,
  },
];

/** Rules of another class that an option of this one reaches into, at one and the same access. */
function leaks(rules: readonly PlacedRule[], i: number, analysis: PolicyAnalysis): RuleWarning[] {
  const r = rules[i] as PlacedRule;
  const out: RuleWarning[] = [];
  for (const { flag, keyword, at, help, victims } of LEAKS) {
    if (!has(r.rule, flag) || classOf(r.rule.action) === victims) continue;
    const victim = rules.find(
      (v, j) =>
        v.rule.action === victims &&
        !has(v.rule, flag) &&
        analysis.dead(j) === null &&
        meets(analysis.region(i), analysis.region(j)),
    );
    if (victim === undefined) continue;
    const note = { code: 'ima.flag_leaks', message: at(victim.line), help };
    out.push(warn(r, tokenOf(r, keyword), note));
  }
  return out;
}

/** Requirements of one appraise rule that another one gets to feel once a file met both. */
const STICKY: readonly (readonly [flag: number, keyword: string, text: (line: number) => string])[] = [
  [
    C.IMA_DIGSIG_REQUIRED,
    'appraise_type',
    (line) => `a file that met this rule needs a signature for line ${line} as well`,
  ],
  [
    C.IMA_PERMIT_DIRECTIO,
    'permit_directio',
    (line) => `a file that met this rule passes line ${line} by O_DIRECT, whatever its label`,
  ],
];

/** Two appraise rules for the same files at different accesses: the inode keeps the flags of both. */
function sticks(rules: readonly PlacedRule[], i: number, analysis: PolicyAnalysis): RuleWarning[] {
  const r = rules[i] as PlacedRule;
  if (r.rule.action !== C.APPRAISE) return [];
  const out: RuleWarning[] = [];
  for (const [flag, keyword, text] of STICKY) {
    if (!has(r.rule, flag)) continue;
    const other = rules.find((v, j) => {
      const plain = v.rule.action === C.APPRAISE && !has(v.rule, flag) && v.rule.func !== C.SETXATTR_CHECK;
      const alive = plain && analysis.dead(j) === null;
      return alive && analysis.space(r.rule).sameFile(analysis.region(i), analysis.region(j));
    });
    if (other === undefined) continue;
    const help = 'until its mode or owner change, or the inode leaves the cache';
    const note = { code: 'ima.flag_sticks', message: text(other.line), help };
    out.push(warn(r, tokenOf(r, keyword), note, 'note'));
  }
  return out;
}

const PSEUDO: ReadonlyMap<string, string> = new Map([
  ['9fa0', 'proc'],
  ['62656572', 'sysfs'],
]);

/** Appraisal rules that cover file systems whose files cannot have labels. */
function pseudoFiles(rules: readonly PlacedRule[], i: number): RuleWarning[] {
  const r = rules[i] as PlacedRule;
  const anywhere = !has(r.rule, C.IMA_FSMAGIC | C.IMA_FSNAME | C.IMA_FSUUID) && r.rule.lsm.length === 0;
  const opens = r.rule.func === C.NONE || r.rule.func === C.FILE_CHECK;
  if (r.rule.action !== C.APPRAISE || !anywhere || !opens || has(r.rule, C.IMA_FOWNER | C.IMA_FGROUP))
    return [];
  const excluded = (magic: string): boolean =>
    rules.slice(0, i).some((e) => {
      const only = e.rule.flags === C.IMA_FSMAGIC;
      return e.rule.action === C.DONT_APPRAISE && only && e.rule.fsmagic === magic;
    });
  const open = [...PSEUDO].filter(([magic]) => !excluded(magic));
  if (open.length === 0) return [];
  const message = `files of ${open.map(([, name]) => name).join(' and ')} cannot have labels and are refused`;
  const help = `put ${open.map(([magic]) => `\`dont_appraise fsmagic=0x${magic}\``).join(' and ')} before it`;
  return [warn(r, undefined, { code: 'ima.appraises_pseudo_files', message, help })];
}

function policyLock(r: PlacedRule): RuleWarning[] {
  if (r.rule.action !== C.APPRAISE || r.rule.func !== C.POLICY_CHECK) return [];
  const message = 'once this rule is loaded, rules come only from files given by their path';
  const help = 'it holds until the next boot, whatever ima_appraise= says';
  return [warn(r, tokenOf(r, 'func'), { code: 'ima.locks_policy', message, help }, 'note')];
}

function setxattrRules(rules: readonly PlacedRule[]): RuleWarning[] {
  const found = rules.filter((r) => r.rule.func === C.SETXATTR_CHECK);
  const [first, ...others] = found;
  if (first === undefined) return [];
  const message = `only the first rule for SETXATTR_CHECK counts, on line ${first.line}`;
  return others.map((r) => warn(r, undefined, { code: 'ima.second_setxattr_rule', message, help: null }));
}

/**
 * Everything that is worth knowing about rules that the kernel accepts.
 * @kernel security/integrity/ima/ima_policy.c ima_match_policy()
 */
export function ruleWarnings(rules: readonly PlacedRule[]): readonly RuleWarning[] {
  const out: RuleWarning[] = [];
  const analysis = new PolicyAnalysis(rules.map((r) => r.rule));
  for (const [i, r] of rules.entries()) {
    const dead = analysis.dead(i);
    if (dead !== null) out.push(...deadWarnings(rules, i, dead));
    out.push(...withoutEffect(r), ...registers(r), ...templates(r), ...policyLock(r));
    if (dead === null || dead.kind === 'hash_undone')
      out.push(...leaks(rules, i, analysis), ...sticks(rules, i, analysis), ...pseudoFiles(rules, i));
  }
  out.push(...setxattrRules(rules));
  return out;
}
