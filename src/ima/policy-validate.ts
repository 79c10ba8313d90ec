// Which actions, conditions and options of a rule go together. Checked after the whole line was read.

import * as C from './constants.ts';
import type { ImaRule } from './types.ts';

/** Options that any check of a file may have. */
const FILE_FLAGS =
  C.IMA_FUNC |
  C.IMA_MASK |
  C.IMA_FSMAGIC |
  C.IMA_UID |
  C.IMA_FOWNER |
  C.IMA_FSUUID |
  C.IMA_INMASK |
  C.IMA_EUID |
  C.IMA_PCR |
  C.IMA_FSNAME |
  C.IMA_GID |
  C.IMA_EGID |
  C.IMA_FGROUP |
  C.IMA_DIGSIG_REQUIRED |
  C.IMA_PERMIT_DIRECTIO |
  C.IMA_VALIDATE_ALGOS |
  C.IMA_CHECK_BLACKLIST;

const CMDLINE_FLAGS =
  C.IMA_FUNC |
  C.IMA_FSMAGIC |
  C.IMA_UID |
  C.IMA_FOWNER |
  C.IMA_FSUUID |
  C.IMA_EUID |
  C.IMA_PCR |
  C.IMA_FSNAME |
  C.IMA_GID |
  C.IMA_EGID |
  C.IMA_FGROUP;

const BUFFER_FLAGS = C.IMA_FUNC | C.IMA_UID | C.IMA_GID | C.IMA_PCR;
const MEASURE_ONLY = C.MEASURE | C.DONT_MEASURE;

export interface FuncRules {
  /** Bits of actions that the func takes; 0 = all. */
  readonly actions: number;
  readonly flags: number;
  readonly lsm: boolean;
}

/** What each func= (0 = none) admits. */
export function funcRules(func: number): FuncRules | null {
  switch (func) {
    case C.NONE:
    case C.FILE_CHECK:
    case C.MMAP_CHECK:
    case C.MMAP_CHECK_REQPROT:
    case C.BPRM_CHECK:
    case C.CREDS_CHECK:
    case C.POST_SETATTR:
    case C.FIRMWARE_CHECK:
    case C.POLICY_CHECK:
      return { actions: 0, flags: FILE_FLAGS | C.IMA_VERITY_REQUIRED, lsm: true };
    case C.MODULE_CHECK:
    case C.KEXEC_KERNEL_CHECK:
    case C.KEXEC_INITRAMFS_CHECK:
      return { actions: 0, flags: FILE_FLAGS | C.IMA_MODSIG_ALLOWED, lsm: true };
    case C.KEXEC_CMDLINE:
      return { actions: MEASURE_ONLY, flags: CMDLINE_FLAGS, lsm: true };
    case C.KEY_CHECK:
      return { actions: MEASURE_ONLY, flags: BUFFER_FLAGS | C.IMA_KEYRINGS, lsm: false };
    case C.CRITICAL_DATA:
      return { actions: MEASURE_ONLY, flags: BUFFER_FLAGS | C.IMA_LABEL, lsm: false };
    case C.SETXATTR_CHECK:
      return { actions: C.APPRAISE, flags: C.IMA_FUNC | C.IMA_VALIDATE_ALGOS, lsm: true };
    default:
      return null;
  }
}

const APPRAISE_ONLY =
  C.IMA_DIGSIG_REQUIRED | C.IMA_MODSIG_ALLOWED | C.IMA_CHECK_BLACKLIST | C.IMA_VALIDATE_ALGOS;

/** @kernel security/integrity/ima/ima_policy.c ima_validate_rule() */
export function validateRule(rule: ImaRule): boolean {
  if (rule.action === C.UNKNOWN) return false;
  if (rule.action !== C.MEASURE && (rule.flags & C.IMA_PCR) !== 0) return false;
  if (rule.action !== C.APPRAISE && (rule.flags & APPRAISE_ONLY) !== 0) return false;
  if (((rule.flags & C.IMA_FUNC) !== 0) !== (rule.func !== C.NONE)) return false;
  const allowed = funcRules(rule.func);
  if (allowed === null) return false;
  if (allowed.actions !== 0 && (rule.action & ~allowed.actions) !== 0) return false;
  if ((rule.flags & ~allowed.flags) !== 0) return false;
  if (!allowed.lsm && rule.lsm.some((c) => c !== null)) return false;
  if (rule.func === C.SETXATTR_CHECK && (rule.flags & C.IMA_VALIDATE_ALGOS) === 0) return false;
  if ((rule.flags & C.IMA_CHECK_BLACKLIST) !== 0 && (rule.flags & C.IMA_DIGSIG_REQUIRED) === 0) return false;
  return !(
    rule.action === C.APPRAISE &&
    (rule.flags & C.IMA_VERITY_REQUIRED) !== 0 &&
    (rule.flags & C.IMA_DIGSIG_REQUIRED) === 0
  );
}
