// Why the IMA policy decided as it did on one access: each rule in order, whether it matched, and if not
// the first condition that does not hold, with what the rule wants and what the access has. The comparison
// itself is IMA's own.

import { toHex } from '../base/bytes.ts';
import * as C from '../ima/constants.ts';
import { type FailedCondition, type MatchSubject, whyNot } from '../ima/policy-match.ts';
import { showRule } from '../ima/policy-show.ts';
import type { ImaRule } from '../ima/types.ts';
import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE } from '../vfs/constants.ts';

export interface RuleVerdict {
  /** Place in the list, from 1, as the policy reads back. */
  readonly number: number;
  readonly text: string;
  /** `decided`: an earlier rule settled what this one could; `unreached`: everything was settled. */
  readonly outcome: 'matched' | 'failed' | 'decided' | 'unreached';
  readonly failed: FailedCondition;
  /** What the access has where the condition failed. */
  readonly has: string;
}

const MASKS: readonly (readonly [bit: number, name: string])[] = [
  [MAY_EXEC, 'MAY_EXEC'],
  [MAY_WRITE, 'MAY_WRITE'],
  [MAY_READ, 'MAY_READ'],
  [MAY_APPEND, 'MAY_APPEND'],
];

/** `MAY_READ|MAY_WRITE`. */
export function maskText(mask: number): string {
  const names = MASKS.filter(([bit]) => (mask & bit) !== 0).map(([, name]) => name);
  return names.length === 0 ? '0' : names.join('|');
}

function funcText(func: number): string {
  return (C.FUNC_TOKENS[func] as string | undefined) ?? String(func);
}

/** The access's own value of a condition. */
function subjectValue(failed: FailedCondition, s: MatchSubject): string {
  switch (failed) {
    case 'func':
      return `func=${funcText(s.func)}`;
    case 'mask':
      return `mask=${maskText(s.mask)}`;
    case 'fsmagic':
      return `fsmagic=0x${(s.sb?.magic ?? 0).toString(16)}`;
    case 'fsname':
      return `fsname=${s.sb?.type ?? 'none'}`;
    case 'fsuuid':
      return `fsuuid=${s.sb === null ? 'none' : toHex(s.sb.uuid)}`;
    case 'uid':
    case 'euid':
    case 'gid':
    case 'egid':
      return `${failed}=${s.cred[failed]}`;
    case 'fowner':
      return `fowner=${s.inode?.uid ?? 'none'}`;
    case 'fgroup':
      return `fgroup=${s.inode?.gid ?? 'none'}`;
    case 'lsm':
      return 'no label that fits';
    case 'keyrings_or_label':
      return s.funcData ?? 'no name';
    default:
      return '';
  }
}

const ASKED = C.IMA_MEASURE | C.IMA_AUDIT | C.IMA_APPRAISE | C.IMA_HASH;

/** Classes of action that are settled by a rule that matched. */
function settled(action: number): number {
  return (action & C.IMA_DO_MASK) !== 0 ? action | (action << 1) : action | (action >> 1);
}

/**
 * All rules in order, as the kernel's walk sees them. `flag` is the union of the actions that the active
 * policy has.
 * @kernel security/integrity/ima/ima_policy.c ima_match_policy()
 */
export function rulesTried(
  rules: readonly ImaRule[],
  subject: MatchSubject,
  flag: number,
): readonly RuleVerdict[] {
  const flags = ASKED & flag;
  let open = flags | (flags << 1);
  return rules.map((rule, i) => {
    const base = { number: i + 1, text: showRule(rule).trim(), failed: null, has: '' };
    if (open === 0) return { ...base, outcome: 'unreached' };
    if ((rule.action & open) === 0) return { ...base, outcome: 'decided' };
    const failed = whyNot(rule, subject, {});
    if (failed !== null) return { ...base, outcome: 'failed', failed, has: subjectValue(failed, subject) };
    open &= ~settled(rule.action);
    return { ...base, outcome: 'matched' };
  });
}

/** What a verdict says about a rule, in words. */
export function ruleSentence(v: RuleVerdict): string {
  switch (v.outcome) {
    case 'matched':
      return 'matches';
    case 'failed':
      return `${v.failed === 'keyrings_or_label' ? 'name' : v.failed} does not fit: the access has ${v.has}`;
    case 'decided':
      return 'not asked: an earlier rule settled what it could decide';
    default:
      return 'not reached: everything is settled';
  }
}
