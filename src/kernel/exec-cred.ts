// Credentials of a new program: set-id bits, file capabilities, root's privileges. The permitted and
// inheritable sets are not kept apart from the effective one, and securebits, no_new_privs and ambient
// capabilities are left out.

import { Reader } from '../base/codec.ts';
import { CAP_FULL_SET, S_ISGID, S_ISUID, S_IXGRP } from '../vfs/constants.ts';
import type { Cred, FileId } from '../vfs/types.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Task } from './state.ts';

/**
 * Credentials at the start of execve: saved and file-system ids follow the effective ones.
 * @kernel kernel/cred.c prepare_exec_creds()
 */
export function prepareExecCreds(cred: Cred): Cred {
  return { ...cred, suid: cred.euid, fsuid: cred.euid, sgid: cred.egid, fsgid: cred.egid };
}

const VFS_CAP_REVISION_1 = 0x01000000;
const VFS_CAP_REVISION_2 = 0x02000000;
const VFS_CAP_REVISION_3 = 0x03000000;
const VFS_CAP_FLAGS_EFFECTIVE = 1;

interface FileCaps {
  readonly permitted: bigint;
  readonly effective: boolean;
}

/**
 * The file's capabilities; null when it has none or they are for another user namespace, EINVAL counts as
 * none too (execve then goes on without them).
 * @kernel security/commoncap.c get_vfs_caps_from_disk()
 */
export function parseFileCaps(value: Uint8Array): FileCaps | null {
  const r = new Reader(value, 'le');
  const magic = r.u32();
  const revision = magic & 0xff000000;
  const size = revision === VFS_CAP_REVISION_1 ? 12 : revision === VFS_CAP_REVISION_2 ? 20 : 24;
  if (revision !== VFS_CAP_REVISION_1 && revision !== VFS_CAP_REVISION_2 && revision !== VFS_CAP_REVISION_3) {
    return null;
  }
  if (value.length !== size) return null;
  let permitted = BigInt(r.u32());
  r.u32();
  if (revision !== VFS_CAP_REVISION_1) {
    permitted |= BigInt(r.u32()) << 32n;
    r.u32();
  }
  if (revision === VFS_CAP_REVISION_3 && r.u32() !== 0) return null;
  return { permitted: permitted & CAP_FULL_SET, effective: (magic & VFS_CAP_FLAGS_EFFECTIVE) !== 0 };
}

/**
 * Applies set-user-id and set-group-id bits, unless the mount or the user namespace makes them void.
 * @kernel fs/exec.c bprm_fill_uid()
 */
function fillUid(k: Kernel, task: Task, file: FileId, cred: Cred): Cred {
  const { vfs } = k.env;
  const open = vfs.file(file);
  const inode = vfs.inode(open.inode);
  if ((inode.mode & (S_ISUID | S_ISGID)) === 0) return cred;
  const mount = vfs.mountOf(open.path.mount);
  const sb = vfs.superblock(mount.sb);
  const foreign = sb.userNs !== 0 && sb.userNs !== task.cred.userNs;
  if (mount.nosuid || foreign || task.cred.userNs !== 0) {
    k.env.trace.emit('kernel.exec_setid', { pid: task.pid }, KERNEL_REASON['kernel.exec_setid_ignored']);
    return cred;
  }
  let next = cred;
  if (inode.mode & S_ISUID) next = { ...next, euid: inode.uid };
  if ((inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) next = { ...next, egid: inode.gid };
  return next;
}

/**
 * What the new program runs with: set-id bits, then capabilities of the file or of root.
 * @kernel fs/exec.c bprm_creds_from_file(), security/commoncap.c cap_bprm_creds_from_file()
 */
export function credsFromFile(k: Kernel, task: Task, file: FileId, prepared: Cred): Cred {
  const { vfs } = k.env;
  const cred = fillUid(k, task, file, prepared);
  const open = vfs.file(file);
  const raw = vfs.rawGetxattr(open.inode, 'security.capability');
  const usable = raw !== undefined && !vfs.mountOf(open.path.mount).nosuid && task.cred.userNs === 0;
  const fcaps = usable ? parseFileCaps(raw) : null;
  let permitted = fcaps?.permitted ?? 0n;
  let effective = fcaps?.effective ?? false;
  const suidRoot = cred.uid !== 0 && cred.euid === 0;
  if (!(fcaps !== null && suidRoot)) {
    if (cred.euid === 0 || cred.uid === 0) permitted = CAP_FULL_SET;
    if (cred.euid === 0) effective = true;
  }
  return { ...prepareExecCreds(cred), caps: effective ? permitted : 0n };
}

/** Whether the ids changed, which clears dangerous personality bits. */
export function isSetid(before: Cred, after: Cred): boolean {
  return after.euid !== before.uid || after.egid !== before.gid;
}
