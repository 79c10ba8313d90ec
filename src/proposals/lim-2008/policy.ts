// The rules of 2008: `measure` and `dont_measure` with func=, mask=, fsmagic= and uid=. The kernel's parser
// knows no comments, which is why integrity_load strips them. Conditions of LSMs are left out. The message
// tells that the default has three rules and that the third measures a whole lot.

import type { Err } from '../../base/errno.ts';
import { MAY_EXEC, MAY_READ, MAY_WRITE } from '../../vfs/constants.ts';

export type LimFunc = 'BPRM_CHECK' | 'FILE_MMAP' | 'INODE_PERMISSION';

export interface LimRule {
  readonly measure: boolean;
  readonly func: LimFunc | null;
  readonly mask: number | null;
  readonly fsmagic: number | null;
  readonly uid: number | null;
}

export interface LimSubject {
  readonly func: LimFunc;
  readonly mask: number;
  readonly magic: number;
  readonly uid: number;
}

/** Magic numbers that skip_measurement() had in its code: proc, sysfs, debugfs, tmpfs, securityfs, selinuxfs. */
const SKIPPED: readonly number[] = [0x9fa0, 0x62656572, 0x64626720, 0x01021994, 0x73636673, 0xf97cff8c];

export function isSkippedFs(magic: number): boolean {
  return SKIPPED.includes(magic);
}

const ANY: LimRule = { measure: true, func: null, mask: null, fsmagic: null, uid: null };

/** default_rules; `inPolicy` puts what is hard-coded otherwise in front of them. */
export function defaultRules(inPolicy: boolean): readonly LimRule[] {
  const skips = SKIPPED.map((fsmagic) => ({ ...ANY, measure: false, fsmagic }));
  return [
    ...(inPolicy ? skips : []),
    { ...ANY, func: 'BPRM_CHECK' },
    { ...ANY, func: 'FILE_MMAP', mask: MAY_EXEC },
    { ...ANY, func: 'INODE_PERMISSION', mask: MAY_READ, uid: 0 },
  ];
}

const FUNCS: readonly string[] = ['BPRM_CHECK', 'FILE_MMAP', 'INODE_PERMISSION'];
const MASKS: Readonly<Record<string, number>> = {
  MAY_READ,
  MAY_WRITE,
  MAY_EXEC,
};

function condition(rule: LimRule, word: string): LimRule | null {
  const [key, value = ''] = word.split('=', 2) as [string, string?];
  switch (key) {
    case 'func':
      return FUNCS.includes(value) ? { ...rule, func: value as LimFunc } : null;
    case 'mask':
      return MASKS[value] === undefined ? null : { ...rule, mask: MASKS[value] };
    case 'fsmagic':
      return /^(0x)?[0-9a-fA-F]{1,8}$/.test(value) ? { ...rule, fsmagic: Number.parseInt(value, 16) } : null;
    case 'uid':
      return /^\d{1,10}$/.test(value) ? { ...rule, uid: Number(value) } : null;
    default:
      return null;
  }
}

/** One write to the policy node is one rule. */
export function parseRule(text: string): LimRule | Err {
  const [action, ...words] = text.trim().split(/\s+/);
  if (action !== 'measure' && action !== 'dont_measure') return 'EINVAL';
  let rule: LimRule = { ...ANY, measure: action === 'measure' };
  for (const word of words) {
    const next = condition(rule, word);
    if (next === null) return 'EINVAL';
    rule = next;
  }
  return rule;
}

function matches(rule: LimRule, s: LimSubject): boolean {
  return (
    (rule.func === null || rule.func === s.func) &&
    (rule.mask === null || (rule.mask & s.mask) !== 0) &&
    (rule.fsmagic === null || rule.fsmagic === s.magic) &&
    (rule.uid === null || rule.uid === s.uid)
  );
}

/** The first rule that matches decides. */
export function matchPolicy(rules: readonly LimRule[], subject: LimSubject): boolean {
  return rules.find((rule) => matches(rule, subject))?.measure ?? false;
}

const maskName = (mask: number): string => Object.keys(MASKS).find((name) => MASKS[name] === mask) ?? '';

/** A rule as it is written. */
export function ruleText(rule: LimRule): string {
  return [
    rule.measure ? 'measure' : 'dont_measure',
    ...(rule.func === null ? [] : [`func=${rule.func}`]),
    ...(rule.mask === null ? [] : [`mask=${maskName(rule.mask)}`]),
    ...(rule.fsmagic === null ? [] : [`fsmagic=0x${rule.fsmagic.toString(16)}`]),
    ...(rule.uid === null ? [] : [`uid=${rule.uid}`]),
  ].join(' ');
}
