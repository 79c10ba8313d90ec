// Changes of inode attributes: chmod, chown, utimes, truncate, and the set-id bits and file capabilities that
// a write drops. Quotas, project ids and file-size limits of a process are left out.

import type { Timespec } from '../base/clock.ts';
import type { Err } from '../base/errno.ts';
import { ACL_ACCESS, aclChmod, aclOf, encodeAcl } from './acl.ts';
import { dropBlocks } from './blocks.ts';
import {
  CAP_CHOWN,
  F_SEAL_EXEC,
  F_SEAL_GROW,
  F_SEAL_SHRINK,
  MAY_WRITE,
  S_IFMT,
  S_ISGID,
  S_ISUID,
} from './constants.ts';
import { MAX_FILE_SIZE, resize } from './content.ts';
import type { Core } from './core.ts';
import type { Iattr } from './hooks.ts';
import { changed, relinked } from './inode.ts';
import { copyAttr, metaInode, mounter, realPath } from './overlay.ts';
import {
  capableInode,
  inGroup,
  inGroupOrCapable,
  inodePermission,
  isDir,
  isLink,
  isReg,
  mntWantWrite,
  ownerOrCapable,
  shouldDropSgid,
  shouldDropSuidgid,
} from './perm.ts';
import type { Writable } from './records.ts';
import type { Cred, Inode, InodeKey, PathRef, VfsTask } from './types.ts';
import { findXattr, sameXattr, withoutXattr, withXattr } from './xattr-store.ts';

const XATTR_NAME_CAPS = 'security.capability';

/** struct iattr: what a change is asked to be. */
export interface Change {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Timespec;
  readonly mtime?: Timespec;
  /** ATTR_MTIME, ATTR_CTIME without a given time. */
  readonly stamp?: boolean;
  /** ATTR_TOUCH. */
  readonly touch?: boolean;
  /** ATTR_KILL_SUID and ATTR_KILL_SGID as the mode bits they clear. */
  readonly kill?: number;
  readonly killPriv?: boolean;
  /** ATTR_FORCE: permission was decided before. */
  readonly force?: boolean;
}

/** @kernel fs/attr.c may_setattr() */
function maySetattr(core: Core, task: VfsTask, inode: Inode, change: Change): Err {
  const times = change.atime !== undefined || change.mtime !== undefined;
  if (change.mode !== undefined || change.uid !== undefined || change.gid !== undefined || times) {
    if (inode.immutable) return core.refuse('EPERM', 'vfs.immutable');
    if (inode.appendOnly) return core.refuse('EPERM', 'vfs.append_only');
  }
  if (change.touch === true) {
    if (inode.immutable) return core.refuse('EPERM', 'vfs.immutable');
    if (!ownerOrCapable(core, task.cred, inode)) return inodePermission(core, task, inode, MAY_WRITE);
  }
  return 0;
}

/**
 * Changes attributes of an inode: what kill bits mean for the mode, the hooks around the file system's own
 * setattr.
 *
 * @kernel fs/attr.c notify_change()
 */
export function notifyChange(core: Core, task: VfsTask, path: PathRef, asked: Change): Err {
  const { inode: key } = core.dentry(path.dentry);
  const inode = core.inode(key);
  const denied = maySetattr(core, task, inode, asked);
  if (denied !== 0) return denied;
  if (asked.mode !== undefined && isLink(inode)) return core.refuse('EOPNOTSUPP', 'vfs.symlink');
  const killPriv = asked.killPriv === true && needKillpriv(metaInode(core, inode));
  const kill = (asked.kill ?? 0) & inode.mode;
  let { mode } = asked;
  if (kill !== 0) mode = (mode ?? inode.mode) & ~kill;
  const change: Change = { ...asked, killPriv, ...(mode === undefined ? {} : { mode }) };
  const attr = iattrOf(change, kill !== 0);
  const err = core.env.hooks.inodeSetattr(task, path, key, attr);
  if (err !== 0) return err;
  const failed = fsSetattr(core, task, path, change);
  if (failed !== 0) return failed;
  core.env.hooks.inodePostSetattr(task, path, key, attr);
  return 0;
}

function iattrOf(change: Change, killed: boolean): Iattr {
  const attr: Writable<Iattr> = {};
  if (change.mode !== undefined) attr.mode = change.mode;
  if (change.uid !== undefined) attr.uid = change.uid;
  if (change.gid !== undefined) attr.gid = change.gid;
  if (change.size !== undefined) attr.size = change.size;
  if (change.atime !== undefined || change.mtime !== undefined || change.touch === true) attr.times = true;
  if (killed) attr.killPriv = true;
  return attr;
}

/** @kernel fs/attr.c setattr_prepare() */
function setattrPrepare(
  core: Core,
  cred: Cred,
  inode: Inode,
  change: Change,
): { err: Err; mode: number | undefined } {
  let { mode } = change;
  if (change.size !== undefined) {
    if (inode.verity !== null) return { err: core.refuse('EPERM', 'vfs.verity'), mode };
    if (change.size > MAX_FILE_SIZE) return { err: core.refuse('EFBIG', 'vfs.too_big'), mode };
  }
  if (change.force === true) return { err: 0, mode };
  if (change.uid !== undefined && !chownOk(core, cred, inode, change.uid))
    return { err: core.refuse('EPERM', 'vfs.no_capability'), mode };
  if (change.gid !== undefined && !chgrpOk(core, cred, inode, change.gid))
    return { err: core.refuse('EPERM', 'vfs.no_capability'), mode };
  if (mode !== undefined) {
    if (!ownerOrCapable(core, cred, inode)) return { err: core.refuse('EPERM', 'vfs.not_owner'), mode };
    if (!inGroupOrCapable(core, cred, inode, change.gid ?? inode.gid)) mode &= ~S_ISGID;
  }
  if ((change.atime !== undefined || change.mtime !== undefined) && !ownerOrCapable(core, cred, inode))
    return { err: core.refuse('EPERM', 'vfs.not_owner'), mode };
  return { err: 0, mode };
}

/** @kernel fs/attr.c chown_ok() */
function chownOk(core: Core, cred: Cred, inode: Inode, uid: number): boolean {
  return (inode.uid === cred.fsuid && uid === inode.uid) || capableInode(core, cred, inode, CAP_CHOWN);
}

/** @kernel fs/attr.c chgrp_ok() */
function chgrpOk(core: Core, cred: Cred, inode: Inode, gid: number): boolean {
  if (inode.uid === cred.fsuid && (gid === inode.gid || inGroup(cred, gid))) return true;
  return capableInode(core, cred, inode, CAP_CHOWN);
}

/**
 * The file system's setattr: ownership rules, size, then owner, times and mode.
 *
 * @kernel fs/ext4/inode.c ext4_setattr()
 */
function fsSetattr(core: Core, task: VfsTask, path: PathRef, change: Change): Err {
  const { inode: key } = core.dentry(path.dentry);
  const inode = core.inode(key);
  const fs = core.fs(inode.sb);
  if (fs.setattr === 'disk' && inode.immutable) return core.refuse('EPERM', 'vfs.immutable');
  if (fs.type === 'proc' && (change.mode ?? change.uid ?? change.gid) !== undefined)
    return core.refuse('EPERM', 'vfs.unsupported');
  const { err, mode } = setattrPrepare(core, task.cred, inode, change);
  if (err !== 0) return err;
  if (inode.layers !== null)
    return overlaySetattr(core, task, path, { ...change, ...(mode === undefined ? {} : { mode }) });
  if (fs.fixedOwner) return fixedSetattr(core, key, { ...change, ...(mode === undefined ? {} : { mode }) });
  if (mode !== undefined && (inode.seals & F_SEAL_EXEC) !== 0 && ((inode.mode ^ mode) & 0o111) !== 0)
    return core.refuse('EPERM', 'vfs.sealed');
  const patch: { -readonly [K in keyof Inode]?: Inode[K] } = {};
  let counts = true;
  if (change.size !== undefined && isReg(inode) && inode.content !== null) {
    const sized = newSize(core, inode, change.size);
    if (typeof sized === 'string') return sized;
    counts = change.size !== inode.size;
    Object.assign(patch, sized);
    if (change.size < inode.size) dropBlocks(core, inode.key, change.size);
  }
  if (change.killPriv === true) Object.assign(patch, withoutXattr(inode, XATTR_NAME_CAPS));
  if (change.uid !== undefined) patch.uid = change.uid;
  if (change.gid !== undefined) patch.gid = change.gid;
  const now = core.env.clock.coarse();
  const stamps = change.stamp === true || change.touch === true;
  if (change.touch === true) patch.atime = now;
  if (stamps || (counts && change.size !== undefined)) patch.mtime = now;
  if (change.atime !== undefined) patch.atime = change.atime;
  if (change.mtime !== undefined) patch.mtime = change.mtime;
  if (mode !== undefined) {
    const keep = inGroupOrCapable(core, task.cred, inode, patch.gid ?? inode.gid) ? mode : mode & ~S_ISGID;
    patch.mode = (inode.mode & S_IFMT) | (keep & 0o7777);
    Object.assign(patch, aclAfterChmod(core, { ...inode, ...patch }, patch.mode));
  }
  if (counts) core.setInode(changed(core, inode, patch));
  else core.setInode(stamps ? relinked(core, inode, patch) : { ...inode, ...patch });
  return 0;
}

/**
 * Copies up, then changes the upper inode as the mounter.
 *
 * @kernel fs/overlayfs/inode.c ovl_setattr()
 */
function overlaySetattr(core: Core, task: VfsTask, path: PathRef, change: Change): Err {
  const err = core.overlay.copyUp(core, task, path.dentry, change.size === undefined ? 'meta' : 'data');
  if (err !== 0) return err;
  const { inode: key, sb } = core.dentry(path.dentry);
  const { kill, mode, ...rest } = change;
  const passed =
    kill === undefined || kill === 0
      ? { ...rest, ...(mode === undefined ? {} : { mode }) }
      : { ...rest, kill };
  const failed = notifyChange(core, mounter(core, sb, task), realPath(core, core.inode(key)), passed);
  if (failed !== 0) return failed;
  copyAttr(core, key);
  return 0;
}

function newSize(core: Core, inode: Inode, size: number): Partial<Inode> | 'EPERM' | 'EIO' {
  const shrinks = size < inode.size && (inode.seals & F_SEAL_SHRINK) !== 0;
  const grows = size > inode.size && (inode.seals & F_SEAL_GROW) !== 0;
  if (shrinks || grows) return core.refuse('EPERM', 'vfs.sealed');
  const content = inode.content === null ? undefined : resize(inode.content, size);
  return content === undefined ? core.refuse('EIO', 'vfs.opaque') : { content, size };
}

/** @kernel fs/posix_acl.c posix_acl_chmod() */
function aclAfterChmod(core: Core, inode: Inode, mode: number): Partial<Inode> {
  const { xattr } = core.fs(inode.sb);
  if (inode.xattrs.length === 0 || (xattr !== 'ext4' && xattr !== 'simple')) return {};
  const acl = aclOf(inode, ACL_ACCESS);
  if (acl === null) return {};
  const x = { name: ACL_ACCESS, value: encodeAcl(aclChmod(acl, mode)) };
  return sameXattr(inode, x) ? {} : (withXattr(inode, xattr, x) ?? {});
}

/**
 * FAT keeps no owner and only one write bit: other owners are refused, other modes ignored.
 *
 * @kernel fs/fat/file.c fat_setattr()
 */
function fixedSetattr(core: Core, key: InodeKey, change: Change): Err {
  const inode = core.inode(key);
  const { options } = core.superblock(inode.sb);
  const refused = (): Err => (options?.quiet === true ? 0 : core.refuse('EPERM', 'vfs.unsupported'));
  const other = (id: number | undefined, fixed: number): boolean => id !== undefined && id !== fixed;
  if (options !== null && (other(change.uid, options.uid) || other(change.gid, options.gid)))
    return refused();
  if (change.mode !== undefined && (change.mode & 0o7000) !== 0) return refused();
  const patch: { -readonly [K in keyof Inode]?: Inode[K] } = {};
  if (change.size !== undefined && isReg(inode)) {
    const sized = newSize(core, inode, change.size);
    if (typeof sized === 'string') return sized;
    Object.assign(patch, sized);
  }
  if (change.mode !== undefined && options !== null) {
    const mask = isDir(inode) ? options.dmask : options.fmask;
    const perm = change.mode & 0o777 & ~mask;
    const write = perm & 0o222;
    const sane =
      (perm & 0o555) === (inode.mode & 0o555) &&
      (write === (0o222 & ~mask) || (write === 0 && !isDir(inode)));
    if (sane) patch.mode = (inode.mode & S_IFMT) | perm;
  }
  const now = core.env.clock.coarse();
  if (change.atime !== undefined || change.touch === true) patch.atime = change.atime ?? now;
  if (change.mtime !== undefined || change.touch === true || change.stamp === true)
    patch.mtime = change.mtime ?? now;
  core.setInode(changed(core, inode, patch));
  return 0;
}

/** @kernel security/commoncap.c cap_inode_need_killpriv() */
function needKillpriv(inode: Inode): boolean {
  return inode.xattrs.length > 0 && (findXattr(inode, XATTR_NAME_CAPS)?.length ?? 0) > 0;
}

/** What a write must drop from an inode: mode bits, and whether its file capabilities. */
function privsToRemove(core: Core, task: VfsTask, inode: Inode): { kill: number; killPriv: boolean } | null {
  if (!isReg(inode)) return null;
  const kill = (inode.mode & (S_ISUID | S_ISGID)) === 0 ? 0 : shouldDropSuidgid(core, task.cred, inode);
  const killPriv = needKillpriv(metaInode(core, inode));
  return kill === 0 && !killPriv ? null : { kill, killPriv };
}

/**
 * Drops set-id bits and file capabilities before a write changes the content.
 *
 * @kernel fs/inode.c file_remove_privs()
 */
export function fileRemovePrivs(core: Core, task: VfsTask, path: PathRef): Err {
  const drop = privsToRemove(core, task, core.inode(core.dentry(path.dentry).inode));
  return drop === null ? 0 : notifyChange(core, task, path, { ...drop, force: true });
}

/**
 * Cuts or extends a file; the caller has asked the hooks for truncation.
 *
 * @kernel fs/open.c do_truncate()
 */
export function doTruncate(core: Core, task: VfsTask, path: PathRef, size: number, stamp: boolean): Err {
  const drop = privsToRemove(core, task, core.inode(core.dentry(path.dentry).inode));
  return notifyChange(core, task, path, { size, stamp, ...(drop === null ? {} : { ...drop, force: true }) });
}

/** @kernel fs/open.c vfs_truncate() */
export function truncate(core: Core, task: VfsTask, path: PathRef, length: number): Err {
  const inode = core.inode(core.dentry(path.dentry).inode);
  if (isDir(inode)) return core.refuse('EISDIR', 'vfs.is_directory');
  if (!isReg(inode)) return core.refuse('EINVAL', 'vfs.bad_argument');
  const ro = mntWantWrite(core, core.mountOf(path.mount));
  if (ro !== 0) return ro;
  const denied = inodePermission(core, task, inode, MAY_WRITE);
  if (denied !== 0) return denied;
  if (inode.appendOnly) return core.refuse('EPERM', 'vfs.append_only');
  if (inode.iWritecount < 0) return core.refuse('ETXTBSY', 'vfs.text_busy');
  const err = core.env.hooks.pathTruncate(task, path);
  return err !== 0 ? err : doTruncate(core, task, path, length, false);
}

/** @kernel fs/open.c chmod_common() */
export function chmod(core: Core, task: VfsTask, path: PathRef, mode: number): Err {
  const ro = mntWantWrite(core, core.mountOf(path.mount));
  if (ro !== 0) return ro;
  const inode = core.inode(core.dentry(path.dentry).inode);
  return notifyChange(core, task, path, { mode: (inode.mode & S_IFMT) | (mode & 0o7777), stamp: false });
}

const NO_CHANGE = 0xffff_ffff;

/** @kernel fs/open.c chown_common() */
export function chown(core: Core, task: VfsTask, path: PathRef, uid: number, gid: number): Err {
  const ro = mntWantWrite(core, core.mountOf(path.mount));
  if (ro !== 0) return ro;
  const inode = core.inode(core.dentry(path.dentry).inode);
  const keepUid = uid < 0 || uid === NO_CHANGE;
  const keepGid = gid < 0 || gid === NO_CHANGE;
  const kill = isDir(inode) ? 0 : S_ISUID | shouldDropSgid(core, task.cred, inode);
  return notifyChange(core, task, path, {
    ...(keepUid ? {} : { uid }),
    ...(keepGid ? {} : { gid }),
    kill,
    killPriv: !isDir(inode),
  });
}

/** @kernel fs/utimes.c vfs_utimes() */
export function utimes(core: Core, task: VfsTask, path: PathRef, time: Timespec | null): Err {
  const ro = mntWantWrite(core, core.mountOf(path.mount));
  if (ro !== 0) return ro;
  return notifyChange(core, task, path, time === null ? { touch: true } : { atime: time, mtime: time });
}
