// One of the two IMA policies of a comparison: rules from a file, or those that a kernel command line brings
// (`ima_policy=tcb`), with their lines and what they decide besides single accesses.

import type { LintReport } from '../../base/diagnostic.ts';
import * as C from '../../ima/constants.ts';
import { readImaPolicy } from '../../ima/lint.ts';
import { appraiseFlag } from '../../ima/policy-load.ts';
import { showRule } from '../../ima/policy-show.ts';
import type { ImaRule } from '../../ima/types.ts';
import { Machine } from '../../kernel/machine.ts';

export interface SideRule {
  readonly rule: ImaRule;
  /** Line of the file; null for a rule that comes with the kernel. */
  readonly line: number | null;
  readonly text: string;
}

export interface ImaSide {
  readonly name: string;
  /** Text of the file; null for rules of the command line. */
  readonly text: string | null;
  readonly cmdline: string;
  readonly rules: readonly SideRule[];
  /** Bits of ima_appraise that its rules set: what cannot be loaded without a file any more. */
  readonly appraise: number;
  /** Bit set of the algorithms that security.ima can be written with; 0: all. */
  readonly setxattrAlgos: number;
  readonly failUnverifiableSigs: boolean;
}

const BUILTIN_NAMES: readonly string[] = [
  'tcb',
  'appraise_tcb',
  'secure_boot',
  'fail_securely',
  'critical_data',
];

/** Words of the command line that choose rules: `ima_policy=tcb|appraise_tcb`, `ima_tcb`, `ima_appraise_tcb`. */
export function isBuiltinPolicy(name: string): boolean {
  return /^\s*ima_(policy=|tcb\b|appraise_tcb\b)/.test(name);
}

/** Names after `ima_policy=` that no kernel knows. */
export function unknownBuiltins(name: string): readonly string[] {
  return name
    .split(/\s+/)
    .filter((word) => word.startsWith('ima_policy='))
    .flatMap((word) => word.slice('ima_policy='.length).split('|'))
    .filter((word) => !BUILTIN_NAMES.includes(word.trim()));
}

const placed = (rule: ImaRule, line: number | null): SideRule => ({
  rule,
  line,
  text: showRule(rule).trim(),
});

/** The rules that a kernel with this command line decides by. */
export function builtinSide(cmdline: string): ImaSide {
  const { state } = Machine.boot({ cmdline }).ima;
  const { policy } = state;
  return {
    name: cmdline.trim(),
    text: null,
    cmdline,
    rules: policy.defaultRules.map((r) => placed(r, null)),
    appraise: state.appraise,
    setxattrAlgos: policy.setxattrAlgos,
    failUnverifiableSigs: state.failUnverifiableSigs,
  };
}

export type ImaSideResult =
  | { readonly ok: true; readonly side: ImaSide; readonly report: LintReport }
  | { readonly ok: false; readonly report: LintReport };

/**
 * A policy file (one character per byte), uploaded to a kernel without other rules. Labels are taken as known
 * to the security module.
 * @kernel security/integrity/ima/ima_policy.c ima_update_policy()
 */
export function imaSide(name: string, text: string): ImaSideResult {
  const { rules: read, ...report } = readImaPolicy(text, { knowsLabels: true });
  if (report.verdict !== 'accepted') return { ok: false, report };
  const rules = read.map((r) => placed(r.rule, r.line));
  let appraise = C.IMA_APPRAISE_ENFORCE;
  let setxattrAlgos = 0;
  for (const { rule } of rules) {
    if (rule.action === C.APPRAISE) appraise |= appraiseFlag(rule.func);
    if (rule.func === C.SETXATTR_CHECK && setxattrAlgos === 0) setxattrAlgos = rule.allowedAlgos;
  }
  const side = { name, text, cmdline: '', rules, appraise, setxattrAlgos, failUnverifiableSigs: false };
  return { ok: true, side, report };
}
