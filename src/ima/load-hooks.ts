// Two hooks that can only refuse: mprotect(2), where a file cannot be looked at any more, and data that comes
// without a file and so without a label.

import type { Err } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { AUDIT_INTEGRITY_DATA } from '../integrity/audit.ts';
import { MAY_EXEC, PROT_EXEC } from '../vfs/constants.ts';
import type { KernelLoadId } from '../vfs/hooks.ts';
import type { MappingId, VfsTask } from '../vfs/types.ts';
import * as C from './constants.ts';
import { auditMessage, type ImaCursor, imaDPath, log } from './cursor.ts';
import { getAction } from './policy-match.ts';
import { R } from './reasons.ts';

/**
 * EPERM where an appraisal rule covers mappings: the content could have been changed since it was mapped.
 * @kernel security/integrity/ima/ima_main.c ima_file_mprotect()
 */
export function fileMprotect(ima: ImaCursor, task: VfsTask, mappingId: MappingId, prot: number): Err {
  const { vfs, trace } = ima.env;
  const mapping = vfs.mapping(mappingId);
  const grants = (prot & PROT_EXEC) !== 0 && (mapping.prot & PROT_EXEC) === 0;
  if ((ima.state.policy.flag & C.IMA_APPRAISE) === 0 || mapping.file === null || !grants) return 0;
  const file = vfs.file(mapping.file);
  const inode = vfs.inode(file.inode);
  const sb = vfs.superblock(inode.sb);
  const subject = { task, cred: task.cred, inode, sb, mask: MAY_EXEC, funcData: null };
  const action =
    getAction(ima, { ...subject, func: C.MMAP_CHECK }).action |
    getAction(ima, { ...subject, func: C.MMAP_CHECK_REQPROT }).action;
  if ((action & (C.IMA_MEASURE | C.IMA_APPRAISE_SUBMASK)) === 0) return 0;
  const err: Err = (action & C.IMA_APPRAISE_SUBMASK) !== 0 ? 'EPERM' : 0;
  auditMessage(ima, task, {
    type: AUDIT_INTEGRITY_DATA,
    op: 'collect_data',
    cause: 'failed-mprotect',
    name: imaDPath(vfs, file.path),
    inode,
    failed: err !== 0,
  });
  const reason = err !== 0 ? R['ima.mprotect_denied'] : R['ima.mprotect_unmeasured'];
  trace.emit('ima.mprotect', { inode: file.inode, action: action >>> 0, errno: err }, reason);
  return err;
}

const NO_FILE =
  'impossible to appraise a kernel image without a file descriptor; try using kexec_file_load syscall.';

/** The line of the kernel log where data without a file is refused. */
function refusal(ima: ImaCursor, id: KernelLoadId, contents: boolean): string | null {
  const { profile, platform } = ima.env;
  const { appraise } = ima.state;
  const enforced = (bit: number): boolean => {
    const both = bit | C.IMA_APPRAISE_ENFORCE;
    return (appraise & both) === both;
  };
  switch (id) {
    case 'kexec-image': {
      const secure = enabled(profile, 'CONFIG_KEXEC_SIG') && platform?.secureBoot === true;
      return secure || enforced(C.IMA_APPRAISE_KEXEC) ? NO_FILE : null;
    }
    case 'firmware':
      return enforced(C.IMA_APPRAISE_FIRMWARE) && !contents
        ? 'Prevent firmware sysfs fallback loading.'
        : null;
    case 'module': {
      const signed = platform?.moduleSigEnforced() ?? enabled(profile, 'CONFIG_MODULE_SIG_FORCE');
      return !signed && enforced(C.IMA_APPRAISE_MODULES)
        ? 'impossible to appraise a module without a file descriptor. sig_enforce kernel parameter might help'
        : null;
    }
    default:
      return null;
  }
}

/** @kernel security/integrity/ima/ima_main.c ima_load_data() */
export function kernelLoadData(ima: ImaCursor, id: KernelLoadId, contents: boolean): Err {
  const text = refusal(ima, id, contents);
  if (text === null) return 0;
  log(ima, text);
  ima.env.trace.emit('ima.load', { id, contents }, R['ima.load_data_denied']);
  return 'EACCES';
}
