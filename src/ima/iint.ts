// The integrity cache: one record for each inode that a decision concerned. Every change of its bits is an
// event of iint.machine.ts, applied through the table that is derived from it.

import { INTEGRITY_UNKNOWN, type IntegrityStatus } from '../integrity/status.ts';
import type { InodeKey } from '../vfs/types.ts';
import * as C from './constants.ts';
import type { ImaCursor } from './cursor.ts';
import { deriveSteps, type IintEvent, type IintStep } from './iint.machine.ts';
import type { Iint } from './types.ts';

/** @kernel security/integrity/ima/ima_iint.c ima_iint_init_always() */
export const NEW_IINT: Iint = Object.freeze({
  flags: 0,
  atomicFlags: 0,
  measuredPcrs: 0,
  fileStatus: INTEGRITY_UNKNOWN,
  mmapStatus: INTEGRITY_UNKNOWN,
  bprmStatus: INTEGRITY_UNKNOWN,
  readStatus: INTEGRITY_UNKNOWN,
  credsStatus: INTEGRITY_UNKNOWN,
  hash: null,
  version: 0,
  realIno: 0,
  realDev: 0,
});

let steps: Readonly<Record<IintEvent, IintStep>> | undefined;

/** Events that also forget into which registers the file was measured. */
const FORGETS_PCRS: ReadonlySet<IintEvent> = new Set(['RESET', 'CHANGE_XATTR_SEEN', 'LAST_WRITER_CHANGED']);

/** One step of the record's life. */
export function iintStep(iint: Iint, event: IintEvent): Iint {
  if (steps === undefined) steps = deriveSteps();
  const s = steps[event];
  const flags = ((iint.flags & ~s.clearFlags) | s.setFlags) >>> 0;
  const atomicFlags = (iint.atomicFlags & ~s.clearAtomic) | s.setAtomic;
  const measuredPcrs = FORGETS_PCRS.has(event) ? 0 : iint.measuredPcrs;
  if (flags === iint.flags && atomicFlags === iint.atomicFlags && measuredPcrs === iint.measuredPcrs)
    return iint;
  return { ...iint, flags, atomicFlags, measuredPcrs };
}

/** @kernel security/integrity/ima/ima_iint.c ima_iint_find() */
export function iintFind(ima: ImaCursor, key: InodeKey): Iint | undefined {
  return ima.state.iint.get(key);
}

export function iintPut(ima: ImaCursor, key: InodeKey, iint: Iint): void {
  ima.state = { ...ima.state, iint: ima.state.iint.set(key, iint) };
}

/** The remembered verdict of a hook. @kernel security/integrity/ima/ima_appraise.c ima_get_cache_status() */
export function cacheStatus(iint: Iint, func: number): IntegrityStatus {
  switch (func) {
    case C.MMAP_CHECK:
    case C.MMAP_CHECK_REQPROT:
      return iint.mmapStatus;
    case C.BPRM_CHECK:
      return iint.bprmStatus;
    case C.CREDS_CHECK:
      return iint.credsStatus;
    case C.FILE_CHECK:
    case C.POST_SETATTR:
      return iint.fileStatus;
    default:
      return iint.readStatus;
  }
}

/** @kernel security/integrity/ima/ima_appraise.c ima_set_cache_status() */
export function withCacheStatus(iint: Iint, func: number, status: IntegrityStatus): Iint {
  switch (func) {
    case C.MMAP_CHECK:
    case C.MMAP_CHECK_REQPROT:
      return { ...iint, mmapStatus: status };
    case C.BPRM_CHECK:
      return { ...iint, bprmStatus: status };
    case C.CREDS_CHECK:
      return { ...iint, credsStatus: status };
    case C.FILE_CHECK:
    case C.POST_SETATTR:
      return { ...iint, fileStatus: status };
    default:
      return { ...iint, readStatus: status };
  }
}

/** The event of a pass. @kernel security/integrity/ima/ima_appraise.c ima_cache_flags() */
export function passEvent(func: number): IintEvent {
  switch (func) {
    case C.MMAP_CHECK:
    case C.MMAP_CHECK_REQPROT:
      return 'PASS_MMAP';
    case C.BPRM_CHECK:
      return 'PASS_BPRM';
    case C.CREDS_CHECK:
      return 'PASS_CREDS';
    case C.FILE_CHECK:
    case C.POST_SETATTR:
      return 'PASS_FILE';
    default:
      return 'PASS_READ';
  }
}
