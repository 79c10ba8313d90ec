// Hooks around changes of a file: last writer, truncation, attributes, labels, new files. They ask no access
// question of their own; they mark the inode's record, and the next access acts on the marks.

import type { Err } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { AUDIT_INTEGRITY_DATA } from '../integrity/audit.ts';
import { cryptoHasAlg, hashAlgo } from '../integrity/hash-info.ts';
import { INTEGRITY_PASS } from '../integrity/status.ts';
import * as X from '../integrity/xattr.ts';
import { CAP_SYS_ADMIN, MAY_ACCESS, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import { capable } from '../vfs/perm.ts';
import {
  type FileId,
  FMODE_WRITE,
  type Inode,
  type InodeKey,
  type OpenFile,
  type PathRef,
  type VfsTask,
} from '../vfs/types.ts';
import { fixXattr, labelHashAlgo } from './appraise.ts';
import { changeCookie, collectMeasurement } from './collect.ts';
import * as C from './constants.ts';
import { auditMessage, dentryPath, type ImaCursor } from './cursor.ts';
import { iintFind, iintPut, iintStep, NEW_IINT } from './iint.ts';
import { matchPolicy } from './policy-match.ts';
import { type ImaReason, R } from './reasons.ts';
import type { Iint } from './types.ts';

function isRegular(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFREG;
}

function appraiseBuilt(ima: ImaCursor): boolean {
  return enabled(ima.env.profile, 'CONFIG_IMA_APPRAISE');
}

/**
 * Whether a rule appraises or hashes the file, whatever the access. With MAY_ACCESS, rules with mask= do not
 * match.
 * @kernel security/integrity/ima/ima_appraise.c ima_must_appraise()
 */
export function mustAppraise(
  ima: ImaCursor,
  task: VfsTask,
  inode: Inode,
  mask: number,
  func: number,
): boolean {
  if (ima.state.appraise === 0 || !appraiseBuilt(ima)) return false;
  const sb = ima.env.vfs.superblock(inode.sb);
  const subject = { task, cred: task.cred, inode, sb, func, mask, funcData: null };
  return matchPolicy(ima, subject, C.IMA_APPRAISE | C.IMA_HASH).action !== 0;
}

/** @kernel security/integrity/ima/ima_appraise.c ima_update_xattr() */
function updateXattr(ima: ImaCursor, task: VfsTask, file: OpenFile, iint: Iint): Iint {
  const { trace } = ima.env;
  const signed = (iint.atomicFlags & C.IMA_DIGSIG) !== 0;
  const passed = iint.fileStatus === INTEGRITY_PASS || (iint.flags & C.IMA_HASH) !== 0;
  if (!appraiseBuilt(ima) || signed || !passed) {
    trace.emit('ima.label', { inode: file.inode }, R['ima.label_kept']);
    return iint;
  }
  const collected = collectMeasurement(ima, task, file, iint, null, ima.state.hashAlgo);
  if (collected.err !== 0) return collected.iint;
  const err = fixXattr(ima, task, file.path, file.inode, collected.iint);
  const reason = err === 0 ? R['ima.label_updated'] : R['ima.label_kept'];
  trace.emit('ima.label', { inode: file.inode, alg: collected.iint.hash?.alg ?? '', errno: err }, reason);
  return collected.iint;
}

/**
 * The last reference to an open file goes: when it was the last writer and the file changed, nothing that was
 * done for
 * it is valid any more, and its hash label is renewed.
 * @kernel security/integrity/ima/ima_main.c ima_check_last_writer()
 */
export function fileFree(ima: ImaCursor, task: VfsTask, fileId: FileId): void {
  if (ima.state.policy.flag === 0) return;
  const { vfs, trace } = ima.env;
  const file = vfs.file(fileId);
  if ((file.fmode & FMODE_WRITE) === 0) return;
  const known = iintFind(ima, file.inode);
  if (known === undefined) return;
  const inode = vfs.inode(file.inode);
  if (!isRegular(inode) || inode.iWritecount !== 1) return;
  const update = (known.atomicFlags & C.IMA_UPDATE_XATTR) !== 0;
  const cookie = changeCookie(vfs, inode);
  const changed = (known.flags & C.IMA_NEW_FILE) !== 0 || cookie === null || cookie !== known.version;
  let iint = iintStep(known, changed ? 'LAST_WRITER_CHANGED' : 'LAST_WRITER');
  if (changed) {
    const event = { inode: file.inode, before: known.flags, after: iint.flags };
    const cause = trace.open('ima.last_writer', event, R['ima.last_writer_changed']);
    if (update) iint = updateXattr(ima, task, file, iint);
    trace.close(cause);
  }
  if (iint !== known) iintPut(ima, file.inode, iint);
}

/** @kernel security/integrity/ima/ima_main.c ima_reset_action_flags() */
export function resetActionFlags(ima: ImaCursor, key: InodeKey): void {
  if (!ima.env.profile.switches.truncateHooks || ima.state.policy.flag === 0) return;
  const known = iintFind(ima, key);
  if (known === undefined || !isRegular(ima.env.vfs.inode(key))) return;
  iintPut(ima, key, iintStep(known, 'RESET'));
  ima.env.trace.emit('ima.forget', { inode: key }, R['ima.truncated']);
}

/** @kernel security/integrity/ima/ima_appraise.c ima_inode_post_setattr() */
export function postSetattr(ima: ImaCursor, task: VfsTask, key: InodeKey): void {
  if (!appraiseBuilt(ima) || (ima.state.policy.flag & C.IMA_APPRAISE) === 0) return;
  const inode = ima.env.vfs.inode(key);
  if (!isRegular(inode) || !ima.env.vfs.superblock(inode.sb).xattrs) return;
  const known = iintFind(ima, key);
  if (known === undefined) return;
  const inPolicy = mustAppraise(ima, task, inode, MAY_ACCESS, C.POST_SETATTR);
  iintPut(ima, key, iintStep(known, inPolicy ? 'SETATTR' : 'SETATTR_OUT_OF_POLICY'));
  ima.env.trace.emit('ima.mark', { inode: key, inPolicy }, R['ima.setattr']);
}

/** What a change of a label says about the file being signed. */
type Digsig = 'signed' | 'hashed' | 'untouched';

/** @kernel security/integrity/ima/ima_appraise.c ima_reset_appraise_flags() */
function resetAppraiseFlags(ima: ImaCursor, key: InodeKey, digsig: Digsig): void {
  if ((ima.state.policy.flag & C.IMA_APPRAISE) === 0 || !isRegular(ima.env.vfs.inode(key))) return;
  const known = iintFind(ima, key);
  if (known === undefined) return;
  const legacy = digsig === 'untouched' && !ima.env.profile.switches.keepDigsigOnOtherXattr;
  const event =
    digsig === 'signed' ? 'LABEL_SIGNED' : digsig === 'hashed' || legacy ? 'LABEL_HASHED' : 'LABEL_TOUCHED';
  iintPut(ima, key, { ...iintStep(known, event), measuredPcrs: 0 });
  ima.env.trace.emit('ima.mark', { inode: key, digsig }, R['ima.label_changed']);
}

/** @kernel security/integrity/ima/ima_appraise.c validate_hash_algo() */
function validateHashAlgo(
  ima: ImaCursor,
  task: VfsTask,
  path: PathRef,
  key: InodeKey,
  value: Uint8Array,
): Err {
  const alg = labelHashAlgo(value, ima.state.hashAlgo);
  const allowed = ima.state.policy.setxattrAlgos;
  if (allowed !== 0 && (allowed & (1 << hashAlgo(alg))) !== 0) return 0;
  if (allowed === 0 && (alg === ima.state.hashAlgo || cryptoHasAlg(ima.env.profile, alg))) return 0;
  auditMessage(ima, task, {
    type: AUDIT_INTEGRITY_DATA,
    op: 'set_data',
    cause: allowed !== 0 ? 'denied-hash-algorithm' : 'unavailable-hash-algorithm',
    name: dentryPath(ima.env.vfs, path.dentry),
    inode: ima.env.vfs.inode(key),
    failed: true,
  });
  return refuse(ima, key, 'EACCES', R['ima.label_algorithm']);
}

function refuse(ima: ImaCursor, inode: InodeKey, errno: Err, reason: ImaReason): Err {
  ima.env.trace.emit('ima.label', { inode, errno }, reason);
  return errno;
}

/** @kernel security/integrity/ima/ima_appraise.c ima_inode_setxattr() */
export function inodeSetxattr(
  ima: ImaCursor,
  task: VfsTask,
  path: PathRef,
  key: InodeKey,
  name: string,
  value: Uint8Array,
): Err {
  if (!appraiseBuilt(ima)) return 0;
  if (name === X.XATTR_NAME_IMA) {
    if (!capable(task.cred, CAP_SYS_ADMIN)) return refuse(ima, key, 'EPERM', R['ima.label_no_capability']);
    if (value.length === 0 || (value[0] as number) >= X.IMA_XATTR_LAST)
      return refuse(ima, key, 'EINVAL', R['ima.label_malformed']);
    const err = validateHashAlgo(ima, task, path, key, value);
    if (err !== 0) return err;
    resetAppraiseFlags(ima, key, value[0] === X.EVM_IMA_XATTR_DIGSIG ? 'signed' : 'hashed');
    return 0;
  }
  if (!ima.env.evm.revalidateStatus(name)) return 0;
  let digsig: Digsig = 'untouched';
  if (name === X.XATTR_NAME_EVM && value.length > 0)
    digsig = value[0] === X.EVM_XATTR_PORTABLE_DIGSIG ? 'signed' : 'hashed';
  resetAppraiseFlags(ima, key, digsig);
  return 0;
}

/** @kernel security/integrity/ima/ima_appraise.c ima_inode_removexattr() */
export function inodeRemovexattr(ima: ImaCursor, task: VfsTask, key: InodeKey, name: string): Err {
  if (!appraiseBuilt(ima)) return 0;
  if (name === X.XATTR_NAME_IMA) {
    if (!capable(task.cred, CAP_SYS_ADMIN)) return refuse(ima, key, 'EPERM', R['ima.label_no_capability']);
    resetAppraiseFlags(ima, key, 'hashed');
  } else if (ima.env.evm.revalidateStatus(name)) resetAppraiseFlags(ima, key, 'untouched');
  return 0;
}

/** @kernel security/integrity/ima/ima_appraise.c ima_inode_set_acl() */
export function inodeSetAcl(ima: ImaCursor, key: InodeKey, name: string): Err {
  if (appraiseBuilt(ima) && ima.env.evm.revalidateStatus(name)) resetAppraiseFlags(ima, key, 'untouched');
  return 0;
}

/** @kernel security/integrity/ima/ima_main.c ima_post_path_mknod() */
export function postPathMknod(ima: ImaCursor, task: VfsTask, key: InodeKey): void {
  if (ima.state.policy.flag === 0) return;
  const inode = ima.env.vfs.inode(key);
  if (!isRegular(inode) || !mustAppraise(ima, task, inode, MAY_ACCESS, C.FILE_CHECK)) return;
  iintPut(ima, key, iintStep(iintFind(ima, key) ?? NEW_IINT, 'NEW_FILE'));
  ima.env.trace.emit('ima.mark', { inode: key }, R['ima.marked_new']);
}

/** @kernel security/integrity/ima/ima_main.c ima_post_create_tmpfile() */
export function postCreateTmpfile(ima: ImaCursor, task: VfsTask, key: InodeKey): void {
  if (ima.state.policy.flag === 0) return;
  const inode = ima.env.vfs.inode(key);
  if (!isRegular(inode) || !mustAppraise(ima, task, inode, MAY_ACCESS, C.FILE_CHECK)) return;
  const iint = iintStep(iintFind(ima, key) ?? NEW_IINT, 'WRITER_APPRAISED');
  iintPut(ima, key, { ...iint, fileStatus: INTEGRITY_PASS });
  ima.env.trace.emit('ima.mark', { inode: key }, R['ima.marked_tmpfile']);
}

/** @kernel security/integrity/ima/ima_iint.c ima_inode_free_rcu() */
export function inodeFree(ima: ImaCursor, key: InodeKey): void {
  if (!ima.state.iint.has(key)) return;
  ima.state = { ...ima.state, iint: ima.state.iint.delete(key) };
}
