// A rule as the policy node shows it: fixed order, canonical numbers, each element followed by a space. What
// it shows of sigv3 rules and of templates known by format only cannot be loaded again; that is the kernel's,
// too.

import { HASH_ALGO_NAME } from '../integrity/hash-info.ts';
import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE } from '../vfs/constants.ts';
import * as C from './constants.ts';
import { type IdOp, type ImaRule, LSM_FIELDS } from './types.ts';

const OP_TEXT: Readonly<Record<IdOp, string>> = { eq: '=', gt: '>', lt: '<' };
const MASKS: readonly (readonly [number, string])[] = [
  [MAY_EXEC, 'MAY_EXEC'],
  [MAY_WRITE, 'MAY_WRITE'],
  [MAY_READ, 'MAY_READ'],
  [MAY_APPEND, 'MAY_APPEND'],
];
/** Size of the buffer that names and numbers go through, without its NUL. */
const TBUF = 63;

function idText(keyword: string, op: IdOp, id: number | null): string {
  // %d of an unsigned id: 4294967294 reads -2.
  return `${keyword}${OP_TEXT[op]}${(id ?? 0) | 0} `;
}

function uuidText(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function algoList(bits: number): string {
  return HASH_ALGO_NAME.filter((_, i) => (bits & (1 << i)) !== 0).join(',');
}

function conditions(rule: ImaRule): string {
  const has = (flag: number): boolean => (rule.flags & flag) !== 0;
  let out = '';
  if (has(C.IMA_FUNC)) out += `func=${C.FUNC_TOKENS[rule.func]} `;
  if (has(C.IMA_MASK | C.IMA_INMASK)) {
    const caret = has(C.IMA_MASK) ? '' : '^';
    for (const [bit, name] of MASKS) if ((rule.mask & bit) !== 0) out += `mask=${caret}${name}`;
    out += ' ';
  }
  if (has(C.IMA_FSMAGIC)) out += `fsmagic=0x${rule.fsmagic} `;
  if (has(C.IMA_FSNAME)) out += `fsname=${(rule.fsname ?? '').slice(0, TBUF)} `;
  if (has(C.IMA_KEYRINGS)) out += `keyrings=${(rule.keyrings ?? []).join('|')} `;
  if (has(C.IMA_LABEL)) out += `label=${(rule.label ?? []).join('|')} `;
  if (has(C.IMA_PCR)) out += `pcr=${rule.pcr} `;
  if (has(C.IMA_FSUUID)) out += `fsuuid=${uuidText(rule.fsuuid)} `;
  if (has(C.IMA_UID)) out += idText('uid', rule.uidOp, rule.uid);
  if (has(C.IMA_EUID)) out += idText('euid', rule.uidOp, rule.uid);
  if (has(C.IMA_GID)) out += idText('gid', rule.gidOp, rule.gid);
  if (has(C.IMA_EGID)) out += idText('egid', rule.gidOp, rule.gid);
  if (has(C.IMA_FOWNER)) out += idText('fowner', rule.fownerOp, rule.fowner);
  if (has(C.IMA_FGROUP)) out += idText('fgroup', rule.fgroupOp, rule.fgroup);
  return out;
}

function options(rule: ImaRule): string {
  const has = (flag: number): boolean => (rule.flags & flag) !== 0;
  let out = '';
  if (has(C.IMA_VALIDATE_ALGOS)) out += `appraise_algos=${algoList(rule.allowedAlgos)} `;
  for (const [i, field] of LSM_FIELDS.entries()) {
    const condition = rule.lsm[i];
    if (condition?.active) out += `${field}=${condition.value} `;
  }
  if (rule.template !== null) out += `template=${rule.template.name} `;
  if (has(C.IMA_DIGSIG_REQUIRED)) {
    if (has(C.IMA_VERITY_REQUIRED)) out += 'appraise_type=sigv3 ';
    else if (has(C.IMA_MODSIG_ALLOWED)) out += 'appraise_type=imasig|modsig ';
    else out += 'appraise_type=imasig ';
  }
  if (has(C.IMA_VERITY_REQUIRED)) out += 'digest_type=verity ';
  if (has(C.IMA_PERMIT_DIRECTIO)) out += 'permit_directio ';
  for (const { keyword, op, value } of rule.extra ?? []) out += `${keyword}${op}${value} `;
  return out;
}

/**
 * One line, or nothing for a rule with an inactive LSM condition.
 * @kernel security/integrity/ima/ima_policy.c ima_policy_show()
 */
export function showRule(rule: ImaRule): string {
  if (rule.lsm.some((c) => c !== null && !c.active)) return '';
  return `${C.ACTION_NAMES.get(rule.action) ?? ''} ${conditions(rule)}${options(rule)}\n`;
}

/** Text of the policy node. */
export function showPolicy(rules: readonly ImaRule[]): string {
  return rules.map(showRule).join('');
}
