// One rule text -> a rule or an errno, with the audit text that the kernel writes on the way. The first error
// stops the loop at the next word; checks of combinations come after the last word.

import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { kstrtos, kstrtou } from '../base/kstrtox.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import { cryptoHasAlg, hashAlgo } from '../integrity/hash-info.ts';
import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE } from '../vfs/constants.ts';
import * as C from './constants.ts';
import { matchToken, piecesOf, type Token } from './policy-tokens.ts';
import { validateRule } from './policy-validate.ts';
import { lookupTemplateDesc } from './template.ts';
import {
  type ConditionSyntax,
  EMPTY_RULE,
  type IdOp,
  type ImaRule,
  LSM_FIELDS,
  type LsmCondition,
  type LsmField,
  type TemplateDesc,
} from './types.ts';

export type { LsmField } from './types.ts';

/** What a rule's meaning depends on besides its text. */
export interface ParseContext {
  readonly profile: KernelProfile;
  readonly templates: readonly TemplateDesc[];
  /** The built-in rules are still in force: an LSM condition nobody knows is an error. */
  readonly defaultRulesActive: boolean;
  /** Conditions that designs add. */
  readonly conditions?: readonly ConditionSyntax[];
  /** make_kuid(), make_kgid() of the writer's user namespace: null where the id is not mapped. */
  mapId(kind: 'uid' | 'gid', id: number): number | null;
  /** security_audit_rule_init(): whether an LSM knows the label. */
  lsmKnows(field: LsmField, value: string): boolean;
}

export interface ParseOutcome {
  readonly err: Err;
  /** The rule as far as it was read; complete only where err is 0. */
  readonly rule: ImaRule;
  /** Body of the AUDIT_INTEGRITY_POLICY_RULE record. */
  readonly audit: string;
  /** Words that were read, the last one being where an error was seen; null = the combination is wrong. */
  readonly failedAt: Token | null;
}

/** A rule while its words are read. */
export type RuleDraft = { -readonly [K in keyof ImaRule]: ImaRule[K] };

const FUNC_VALUES: ReadonlyMap<string, number> = new Map([
  ['FILE_CHECK', C.FILE_CHECK],
  ['PATH_CHECK', C.FILE_CHECK],
  ['MODULE_CHECK', C.MODULE_CHECK],
  ['FIRMWARE_CHECK', C.FIRMWARE_CHECK],
  ['FILE_MMAP', C.MMAP_CHECK],
  ['MMAP_CHECK', C.MMAP_CHECK],
  ['MMAP_CHECK_REQPROT', C.MMAP_CHECK_REQPROT],
  ['BPRM_CHECK', C.BPRM_CHECK],
  ['CREDS_CHECK', C.CREDS_CHECK],
  ['KEXEC_KERNEL_CHECK', C.KEXEC_KERNEL_CHECK],
  ['KEXEC_INITRAMFS_CHECK', C.KEXEC_INITRAMFS_CHECK],
  ['POLICY_CHECK', C.POLICY_CHECK],
  ['KEXEC_CMDLINE', C.KEXEC_CMDLINE],
  ['KEY_CHECK', C.KEY_CHECK],
  ['CRITICAL_DATA', C.CRITICAL_DATA],
  ['SETXATTR_CHECK', C.SETXATTR_CHECK],
]);

/** Values of func= that a kernel of this profile takes. */
export function funcNames(profile: KernelProfile): readonly string[] {
  const keys = enabled(profile, 'CONFIG_IMA_MEASURE_ASYMMETRIC_KEYS');
  return [...FUNC_VALUES.keys()].filter((name) => keys || name !== 'KEY_CHECK');
}

export const MASK_VALUES: ReadonlyMap<string, number> = new Map([
  ['MAY_EXEC', MAY_EXEC],
  ['MAY_WRITE', MAY_WRITE],
  ['MAY_READ', MAY_READ],
  ['MAY_APPEND', MAY_APPEND],
]);

const OPS: Readonly<Record<string, IdOp>> = { '=': 'eq', '>': 'gt', '<': 'lt' };
const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}/;
const NULL_UUID = '0'.repeat(32);
const U32 = 0xffffffffn;

type Handler = (d: RuleDraft, t: Token, ctx: ParseContext) => Err;

function action(value: number): Handler {
  return (d) => {
    const err = d.action === C.UNKNOWN ? 0 : 'EINVAL';
    d.action = value;
    return err;
  };
}

/** An id option: one slot for real and effective ids, so that giving both is a repetition. */
function id(
  slot: 'uid' | 'gid' | 'fowner' | 'fgroup',
  op: 'uidOp' | 'gidOp' | 'fownerOp' | 'fgroupOp',
  flag: number,
): Handler {
  return (d, t, ctx) => {
    // The kernel leaves the operator of an earlier > or < in place when = follows, but then it fails anyway.
    if (t.op !== '=') d[op] = OPS[t.op] as IdOp;
    if (d[slot] !== null) return 'EINVAL';
    const number = kstrtou(t.value, 10, ctx.profile.wordBits);
    if (!number.ok) return number.errno;
    const kind = slot === 'uid' || slot === 'fowner' ? 'uid' : 'gid';
    const kernelId = ctx.mapId(kind, Number(number.value & U32));
    d[slot] = kernelId;
    if (kernelId === null || number.value > U32) return 'EINVAL';
    d.flags |= flag;
    return 0;
  };
}

function optList(value: string): readonly string[] | null {
  const items = value.split('|');
  return items.includes('') ? null : items;
}

function lsm(field: LsmField): Handler {
  const at = LSM_FIELDS.indexOf(field);
  return (d, t, ctx) => {
    if (d.lsm[at]?.active) return 'EINVAL';
    const active = ctx.lsmKnows(field, t.value);
    if (!active && ctx.defaultRulesActive) return 'EINVAL';
    const conditions: (LsmCondition | null)[] = LSM_FIELDS.map((_, i) => d.lsm[i] ?? null);
    conditions[at] = { value: t.value, active };
    d.lsm = conditions;
    return 0;
  };
}

/** Bit set of a comma list of hash names; 0 where one is unknown or not built in. */
export function parseAppraiseAlgos(value: string, profile: KernelProfile): number {
  let bits = 0;
  for (const name of value.split(',')) {
    const number = hashAlgo(name);
    if (number < 0 || !cryptoHasAlg(profile, name)) return 0;
    bits |= 1 << number;
  }
  return bits;
}

function func(d: RuleDraft, t: Token, ctx: ParseContext): Err {
  let err: Err = d.func === C.NONE ? 0 : 'EINVAL';
  const value = FUNC_VALUES.get(t.value);
  const known = value !== undefined && funcNames(ctx.profile).includes(t.value);
  if (known) d.func = value;
  else err = 'EINVAL';
  if (err === 0) d.flags |= C.IMA_FUNC;
  return err;
}

function mask(d: RuleDraft, t: Token): Err {
  if (d.mask !== 0) return 'EINVAL';
  const caret = t.value.startsWith('^');
  const value = MASK_VALUES.get(caret ? t.value.slice(1) : t.value);
  if (value === undefined) return 'EINVAL';
  d.mask = value;
  d.flags |= caret ? C.IMA_INMASK : C.IMA_MASK;
  return 0;
}

function fsmagic(d: RuleDraft, t: Token, ctx: ParseContext): Err {
  if (d.fsmagic !== '0') return 'EINVAL';
  const number = kstrtou(t.value, 16, ctx.profile.wordBits);
  if (!number.ok) return number.errno;
  d.fsmagic = number.value.toString(16);
  d.flags |= C.IMA_FSMAGIC;
  return 0;
}

/** Only the first 36 characters count: what follows is not looked at. */
function fsuuid(d: RuleDraft, t: Token): Err {
  if (d.fsuuid !== '' && d.fsuuid !== NULL_UUID) return 'EINVAL';
  if (!UUID.test(t.value)) return 'EINVAL';
  d.fsuuid = t.value.slice(0, 36).replaceAll('-', '').toLowerCase();
  d.flags |= C.IMA_FSUUID;
  return 0;
}

function digestType(d: RuleDraft, t: Token): Err {
  if ((d.flags & C.IMA_DIGSIG_REQUIRED) !== 0 || t.value !== 'verity') return 'EINVAL';
  d.flags |= C.IMA_VERITY_REQUIRED;
  return 0;
}

function appraiseType(d: RuleDraft, t: Token, ctx: ParseContext): Err {
  const verity = (d.flags & C.IMA_VERITY_REQUIRED) !== 0;
  const signed = C.IMA_DIGSIG_REQUIRED | C.IMA_CHECK_BLACKLIST;
  if (t.value === 'imasig' && !verity) d.flags |= signed;
  else if (t.value === 'sigv3' && verity) d.flags |= signed;
  else if (t.value === 'imasig|modsig' && !verity && enabled(ctx.profile, 'CONFIG_IMA_APPRAISE_MODSIG'))
    d.flags |= signed | C.IMA_MODSIG_ALLOWED;
  else return 'EINVAL';
  return 0;
}

function appraiseAlgos(d: RuleDraft, t: Token, ctx: ParseContext): Err {
  if (d.allowedAlgos !== 0) return 'EINVAL';
  d.allowedAlgos = parseAppraiseAlgos(t.value, ctx.profile);
  if (d.allowedAlgos === 0) return 'EINVAL';
  d.flags |= C.IMA_VALIDATE_ALGOS;
  return 0;
}

/** The limit is the width of iint.measured_pcrs, not of the TPM. */
function pcr(d: RuleDraft, t: Token, ctx: ParseContext): Err {
  const number = kstrtos(t.value, 10, 32);
  if (!number.ok || number.value < 0n || number.value >= BigInt(ctx.profile.wordBits)) return 'EINVAL';
  d.pcr = Number(number.value);
  d.flags |= C.IMA_PCR;
  return 0;
}

function template(d: RuleDraft, t: Token, ctx: ParseContext): Err {
  if (d.action !== C.MEASURE) return 'EINVAL';
  const desc = lookupTemplateDesc(ctx.templates, t.value);
  if (desc === null || d.template !== null) return 'EINVAL';
  d.template = desc;
  return 0;
}

function keyrings(d: RuleDraft, t: Token, ctx: ParseContext): Err {
  if (!enabled(ctx.profile, 'CONFIG_IMA_MEASURE_ASYMMETRIC_KEYS') || d.keyrings !== null) return 'EINVAL';
  d.keyrings = optList(t.value);
  if (d.keyrings === null) return 'EINVAL';
  d.flags |= C.IMA_KEYRINGS;
  return 0;
}

function label(d: RuleDraft, t: Token): Err {
  if (d.label !== null) return 'EINVAL';
  d.label = optList(t.value);
  if (d.label === null) return 'EINVAL';
  d.flags |= C.IMA_LABEL;
  return 0;
}

function fsname(d: RuleDraft, t: Token): Err {
  d.fsname = t.value;
  d.flags |= C.IMA_FSNAME;
  return 0;
}

function permitDirectio(d: RuleDraft): Err {
  d.flags |= C.IMA_PERMIT_DIRECTIO;
  return 0;
}

const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ...[...C.ACTION_NAMES].map(([value, name]): [string, Handler] => [name, action(value)]),
  ...LSM_FIELDS.map((field): [string, Handler] => [field, lsm(field)]),
  ['func', func],
  ['mask', mask],
  ['fsmagic', fsmagic],
  ['fsname', fsname],
  ['fsuuid', fsuuid],
  ['uid', id('uid', 'uidOp', C.IMA_UID)],
  ['euid', id('uid', 'uidOp', C.IMA_EUID)],
  ['gid', id('gid', 'gidOp', C.IMA_GID)],
  ['egid', id('gid', 'gidOp', C.IMA_EGID)],
  ['fowner', id('fowner', 'fownerOp', C.IMA_FOWNER)],
  ['fgroup', id('fgroup', 'fgroupOp', C.IMA_FGROUP)],
  ['digest_type', digestType],
  ['appraise_type', appraiseType],
  ['appraise_flag', () => 0],
  ['appraise_algos', appraiseAlgos],
  ['permit_directio', permitDirectio],
  ['pcr', pcr],
  ['template', template],
  ['keyrings', keyrings],
  ['label', label],
]);

/** Takes one word into a rule under construction; the errno where the kernel refuses it. */
export function applyToken(draft: RuleDraft, token: Token, ctx: ParseContext): Err {
  return (HANDLERS.get(token.keyword) ?? extra)(draft, token, ctx);
}

/** A condition that a design declares; each word may stand once. */
function extra(d: RuleDraft, { keyword, op, value }: Token, ctx: ParseContext): Err {
  const declared = ctx.conditions?.find((c) => c.keyword === keyword);
  const before = d.extra ?? [];
  if (declared === undefined || before.some((c) => c.keyword === keyword)) return 'EINVAL';
  if (!declared.accepts(op, value)) return 'EINVAL';
  d.extra = [...before, { keyword, op, value }];
  return 0;
}

const ACTION_WORDS: ReadonlySet<string> = new Set(C.ACTION_NAMES.values());

function auditOf(t: Token): string {
  if (ACTION_WORDS.has(t.keyword)) return `action=${t.keyword} `;
  return t.keyword === 'permit_directio' ? '' : `${t.keyword}${t.op}${t.value} `;
}

/**
 * Parses one rule (no newline, no leading blanks).
 * @kernel security/integrity/ima/ima_policy.c ima_parse_rule()
 */
export function parseRule(text: string, ctx: ParseContext): ParseOutcome {
  const draft: RuleDraft = { ...EMPTY_RULE };
  let audit = '';
  let err: Err = 0;
  let failedAt: Token | null = null;
  for (const piece of piecesOf(text)) {
    const token = matchToken(piece, ctx.conditions);
    if (token === null) {
      audit += `UNKNOWN=${piece.text} `;
      err = 'EINVAL';
      failedAt = { ...piece, keyword: '', op: '', value: '' };
      break;
    }
    audit += auditOf(token);
    err = applyToken(draft, token, ctx);
    if (err !== 0) {
      failedAt = token;
      break;
    }
  }
  draft.flags = draft.flags >>> 0;
  if (err === 0 && !validateRule(draft)) err = 'EINVAL';
  return { err, rule: draft, audit: `${audit}res=${err === 0 ? 1 : 0}`, failedAt };
}

/** Parses one rule for callers that only want the rule. */
export function ruleOf(text: string, ctx: ParseContext): Result<ImaRule> {
  const outcome = parseRule(text, ctx);
  return outcome.err === 0 ? ok(outcome.rule) : fail(outcome.err);
}
