// Warnings about rules that are accepted: those that can never match, that an earlier rule makes useless,
// whose options reach into rules of another class, or that lock something out. They follow from the match
// engine's rules, not from taste.

import type { Severity } from '../base/diagnostic.ts';
import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE } from '../vfs/constants.ts';
import * as C from './constants.ts';
import type { PlacedRule } from './lint.ts';
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

/** Masks that really occur at a hook; an open never has MAY_APPEND alone. */
function masksOf(func: number): readonly number[] {
  const open = [
    MAY_READ,
    MAY_WRITE,
    MAY_READ | MAY_WRITE,
    MAY_READ | MAY_APPEND,
    MAY_WRITE | MAY_APPEND,
    MAY_READ | MAY_WRITE | MAY_APPEND,
    MAY_EXEC,
  ];
  switch (func) {
    case C.NONE:
    case C.FILE_CHECK:
      return open;
    case C.MMAP_CHECK:
    case C.MMAP_CHECK_REQPROT:
    case C.BPRM_CHECK:
    case C.CREDS_CHECK:
      return [MAY_EXEC];
    default:
      return [MAY_READ];
  }
}

const MAX_ID = 0xfffffffe;

/** Ids that a condition admits, as an interval; empty when the first is larger than the second. */
function range(op: IdOp, id: number | null): readonly [number, number] {
  if (id === null) return [0, MAX_ID];
  if (op === 'eq') return [id, id];
  return op === 'gt' ? [id + 1, MAX_ID] : [0, id - 1];
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

/** Conditions that nothing can meet. */
function neverMatches(r: PlacedRule): RuleWarning[] {
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
  const slots: readonly (readonly [RegExp, IdOp, number | null])[] = [
    [/^e?uid$/, rule.uidOp, rule.uid],
    [/^e?gid$/, rule.gidOp, rule.gid],
    [/^fowner$/, rule.fownerOp, rule.fowner],
    [/^fgroup$/, rule.fgroupOp, rule.fgroup],
  ];
  for (const [keyword, op, id] of slots) {
    const [low, high] = range(op, id);
    if (low > high)
      out.push(warn(r, tokenOf(r, keyword), { code, message: 'no id is like this', help: null }));
  }
  if (rule.lsm.some((c) => c !== null && !c.active)) {
    const message = 'no security module of this kernel knows the label';
    const help =
      'as the first upload the rule is EINVAL; later it is accepted, matches nothing and is not shown';
    out.push(warn(r, tokenOf(r, /^(obj|subj)_/), { code: 'ima.unknown_label', message, help }));
  }
  return out;
}

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

/** The class that an action decides: measure, appraise, audit or hash. */
function classOf(action: number): number {
  if (action === C.DONT_MEASURE) return C.MEASURE;
  if (action === C.DONT_APPRAISE) return C.APPRAISE;
  return action === C.DONT_HASH ? C.HASH : action;
}

const isBuffer = (func: number): boolean => func === C.KEY_CHECK || func === C.CRITICAL_DATA;

/** Whether every access that `narrow` matches is matched by `wide`. */
function covers(wide: ImaRule, narrow: ImaRule): boolean {
  if (wide.func === C.SETXATTR_CHECK || narrow.func === C.SETXATTR_CHECK) return false;
  if (wide.func !== C.NONE && wide.func !== narrow.func) return false;
  if (isBuffer(narrow.func) && wide.func !== narrow.func) return false;
  if (has(wide, C.IMA_MASK) && !(has(narrow, C.IMA_MASK) && wide.mask === narrow.mask)) return false;
  if (has(wide, C.IMA_INMASK) && !(narrow.mask !== 0 && (wide.mask & narrow.mask) !== 0)) return false;
  if (has(wide, C.IMA_FSMAGIC) && !(has(narrow, C.IMA_FSMAGIC) && wide.fsmagic === narrow.fsmagic))
    return false;
  if (has(wide, C.IMA_FSNAME) && wide.fsname !== narrow.fsname) return false;
  if (has(wide, C.IMA_FSUUID) && wide.fsuuid !== narrow.fsuuid) return false;
  if (wide.lsm.some((c, i) => c !== null && narrow.lsm[i]?.value !== c.value)) return false;
  if (wide.keyrings !== null && !narrow.keyrings?.every((k) => wide.keyrings?.includes(k))) return false;
  if (wide.label !== null && !narrow.label?.every((l) => wide.label?.includes(l))) return false;
  return coversIds(wide, narrow);
}

function coversIds(wide: ImaRule, narrow: ImaRule): boolean {
  const slots: readonly (readonly [number, IdOp, number | null, IdOp, number | null])[] = [
    [C.IMA_UID | C.IMA_EUID, wide.uidOp, wide.uid, narrow.uidOp, narrow.uid],
    [C.IMA_GID | C.IMA_EGID, wide.gidOp, wide.gid, narrow.gidOp, narrow.gid],
    [C.IMA_FOWNER, wide.fownerOp, wide.fowner, narrow.fownerOp, narrow.fowner],
    [C.IMA_FGROUP, wide.fgroupOp, wide.fgroup, narrow.fgroupOp, narrow.fgroup],
  ];
  return slots.every(([flags, wideOp, wideId, narrowOp, narrowId]) => {
    const wanted = wide.flags & flags;
    if (wanted === 0) return true;
    if ((narrow.flags & flags) !== wanted) return false;
    const [low, high] = range(narrowOp, narrowId);
    const [from, to] = range(wideOp, wideId);
    return from <= low && high <= to;
  });
}

function shadowed(rules: readonly PlacedRule[], i: number): RuleWarning[] {
  const r = rules[i] as PlacedRule;
  const earlier = rules
    .slice(0, i)
    .find((e) => classOf(e.rule.action) === classOf(r.rule.action) && covers(e.rule, r.rule));
  if (earlier === undefined) return [];
  const same = covers(r.rule, earlier.rule) && earlier.rule.action === r.rule.action;
  const message = same
    ? `the same as line ${earlier.line}, which decides first`
    : `never decides: line ${earlier.line} matches everything that this rule matches`;
  const help = same ? null : 'put the narrower rule before the wider one';
  return [warn(r, undefined, { code: 'ima.shadowed_rule', message, help })];
}

/** Whether some access can be matched by both rules, as far as hooks and file systems tell. */
function overlap(a: ImaRule, b: ImaRule): boolean {
  if (a.func !== C.NONE && b.func !== C.NONE && a.func !== b.func) return false;
  const differ = (flag: number, x: string | null, y: string | null): boolean =>
    has(a, flag) && has(b, flag) && x !== y;
  if (differ(C.IMA_FSMAGIC, a.fsmagic, b.fsmagic) || differ(C.IMA_FSUUID, a.fsuuid, b.fsuuid)) return false;
  return !differ(C.IMA_FSNAME, a.fsname, b.fsname);
}

/** Options of a rule that count for appraisal although another class of rule carries them. */
function leaks(rules: readonly PlacedRule[], i: number): RuleWarning[] {
  const r = rules[i] as PlacedRule;
  if (r.rule.action === C.APPRAISE) return [];
  const out: RuleWarning[] = [];
  const appraised = (flag: number): PlacedRule | undefined =>
    rules.find((a) => a.rule.action === C.APPRAISE && !has(a.rule, flag) && overlap(a.rule, r.rule));
  const code = 'ima.flag_leaks';
  if (has(r.rule, C.IMA_VERITY_REQUIRED)) {
    const victim = appraised(C.IMA_VERITY_REQUIRED);
    const message = `files that match this rule need an fs-verity digest for the appraisal of line ${victim?.line}, too`;
    const help = 'the requirement stays with the inode, also for users of the other rule alone';
    if (victim !== undefined) out.push(warn(r, tokenOf(r, 'digest_type'), { code, message, help }));
  }
  if (has(r.rule, C.IMA_PERMIT_DIRECTIO)) {
    const victim = appraised(C.IMA_PERMIT_DIRECTIO);
    const message = `O_DIRECT opens of such files pass the appraisal of line ${victim?.line}, whatever their label`;
    if (victim !== undefined) out.push(warn(r, tokenOf(r, 'permit_directio'), { code, message, help: null }));
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
  for (const [i, r] of rules.entries()) {
    out.push(...neverMatches(r), ...withoutEffect(r), ...registers(r), ...templates(r), ...policyLock(r));
    out.push(...shadowed(rules, i), ...leaks(rules, i), ...pseudoFiles(rules, i));
  }
  out.push(...setxattrRules(rules));
  return out;
}
