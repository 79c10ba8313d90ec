// Who may do what: discretionary permission by mode bits, access control lists and capabilities, sticky
// directories, immutable and append-only inodes, read-only mounts. Idmapped mounts and device cgroups are
// left out.

import type { Err } from '../base/errno.ts';
import { aclPermission } from './acl.ts';
import {
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  MAY_EXEC,
  MAY_READ,
  MAY_WRITE,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_ISGID,
  S_ISUID,
  S_ISVTX,
  S_IXGRP,
} from './constants.ts';
import type { Core } from './core.ts';
import type { Cred, Inode, Mount, PathRef, VfsTask } from './types.ts';

const CAP_BIT: readonly bigint[] = Array.from({ length: 64 }, (_, i) => 1n << BigInt(i));

export const isDir = (inode: Inode): boolean => (inode.mode & S_IFMT) === S_IFDIR;
export const isReg = (inode: Inode): boolean => (inode.mode & S_IFMT) === S_IFREG;
export const isLink = (inode: Inode): boolean => (inode.mode & S_IFMT) === S_IFLNK;

function has(cred: Cred, cap: number): boolean {
  return cred.caps !== 0n && (cred.caps & (CAP_BIT[cap] as bigint)) !== 0n;
}

/**
 * Whether a task has a capability in the initial user namespace.
 *
 * @kernel kernel/capability.c capable()
 */
export function capable(cred: Cred, cap: number): boolean {
  return cred.userNs === 0 && has(cred, cap);
}

/**
 * Whether a task has a capability towards what a user namespace owns.
 *
 * @kernel kernel/capability.c ns_capable()
 * @deviation namespaces are taken as children of the initial one: a grandchild's parent has no capability in
 * it
 */
export function nsCapable(cred: Cred, userNs: number, cap: number): boolean {
  return (cred.userNs === 0 || cred.userNs === userNs) && has(cred, cap);
}

function uidMapped(core: Core, cred: Cred, uid: number): boolean {
  if (cred.userNs === 0) return true;
  const map = core.env.idMapped;
  if (map !== undefined) return map(cred.userNs, 'uid', uid);
  return uid === cred.uid || uid === cred.euid || uid === cred.suid || uid === cred.fsuid;
}

function gidMapped(core: Core, cred: Cred, gid: number): boolean {
  if (cred.userNs === 0) return true;
  const map = core.env.idMapped;
  if (map !== undefined) return map(cred.userNs, 'gid', gid);
  return gid === cred.gid || gid === cred.egid || gid === cred.sgid || gid === cred.fsgid;
}

/**
 * A capability in the task's own user namespace, where that namespace knows the inode's owner and group.
 *
 * @kernel kernel/capability.c capable_wrt_inode_uidgid()
 */
export function capableInode(core: Core, cred: Cred, inode: Inode, cap: number): boolean {
  if (!has(cred, cap)) return false;
  return cred.userNs === 0 || (uidMapped(core, cred, inode.uid) && gidMapped(core, cred, inode.gid));
}

/** @kernel kernel/groups.c in_group_p() */
export function inGroup(cred: Cred, gid: number): boolean {
  return cred.fsgid === gid || cred.groups.includes(gid);
}

/** @kernel fs/inode.c inode_owner_or_capable() */
export function ownerOrCapable(core: Core, cred: Cred, inode: Inode): boolean {
  if (cred.fsuid === inode.uid) return true;
  return has(cred, CAP_FOWNER) && uidMapped(core, cred, inode.uid);
}

/** @kernel fs/inode.c in_group_or_capable() */
export function inGroupOrCapable(core: Core, cred: Cred, inode: Inode, gid: number): boolean {
  return inGroup(cred, gid) || capableInode(core, cred, inode, CAP_FSETID);
}

function aclPermissionCheck(core: Core, cred: Cred, inode: Inode, mask: number): boolean {
  const { mode } = inode;
  if (cred.fsuid === inode.uid) return (mask & 7 & ~(mode >> 6)) === 0;
  const holder = inode.realMeta === null ? inode : core.inode(inode.realMeta);
  if (holder.xattrs.length > 0 && (mode & 0o070) !== 0) {
    const verdict = aclPermission(holder, cred, mask & 7);
    if (verdict !== null) {
      if (!verdict) core.why = 'vfs.acl_denied';
      return verdict;
    }
  }
  const wanted = mask & 7;
  const bits = wanted & (mode ^ (mode >> 3)) && inGroup(cred, inode.gid) ? mode >> 3 : mode;
  return (wanted & ~bits) === 0;
}

/**
 * Mode bits, then the capabilities that override them.
 *
 * @kernel fs/namei.c generic_permission()
 */
export function genericPermission(core: Core, cred: Cred, inode: Inode, mask: number): Err {
  if (aclPermissionCheck(core, cred, inode, mask)) return 0;
  const why = core.why ?? 'vfs.mode_denied';
  if (isDir(inode)) {
    if ((mask & MAY_WRITE) === 0 && capableInode(core, cred, inode, CAP_DAC_READ_SEARCH)) return pass(core);
    if (capableInode(core, cred, inode, CAP_DAC_OVERRIDE)) return pass(core);
    return core.refuse('EACCES', why);
  }
  const wanted = mask & (MAY_READ | MAY_WRITE | MAY_EXEC);
  if (wanted === MAY_READ && capableInode(core, cred, inode, CAP_DAC_READ_SEARCH)) return pass(core);
  if ((wanted & MAY_EXEC) === 0 || (inode.mode & 0o111) !== 0) {
    if (capableInode(core, cred, inode, CAP_DAC_OVERRIDE)) return pass(core);
  }
  return core.refuse('EACCES', why);
}

function pass(core: Core): 0 {
  core.why = null;
  return 0;
}

/**
 * The check that every path walk and open makes on an inode.
 *
 * @kernel fs/namei.c inode_permission()
 */
export function inodePermission(core: Core, task: VfsTask, inode: Inode, mask: number): Err {
  if ((mask & MAY_WRITE) !== 0) {
    const type = inode.mode & S_IFMT;
    if (type === S_IFREG || type === S_IFDIR || type === S_IFLNK) {
      if (core.superblock(inode.sb).readonly) return core.refuse('EROFS', 'vfs.read_only');
    }
    if (inode.immutable) return core.refuse('EPERM', 'vfs.immutable');
  }
  const err = genericPermission(core, task.cred, inode, mask);
  return err !== 0 ? err : (core.env.hooks.inodePermission?.(task, inode.key, mask) ?? 0);
}

/**
 * Whether an entry of a sticky directory is out of reach.
 *
 * @kernel fs/namei.c __check_sticky()
 */
export function checkSticky(core: Core, cred: Cred, dir: Inode, inode: Inode): boolean {
  if ((dir.mode & S_ISVTX) === 0) return false;
  if (inode.uid === cred.fsuid || dir.uid === cred.fsuid) return false;
  return !capableInode(core, cred, inode, CAP_FOWNER);
}

/**
 * Whether fs.protected_symlinks keeps a task from following a link in a sticky, world-writable directory.
 *
 * @kernel fs/namei.c may_follow_link()
 */
export function mayFollowLink(core: Core, cred: Cred, dir: Inode, link: Inode): Err {
  if (core.state.sysctl.protectedSymlinks === 0) return 0;
  if (link.uid === cred.fsuid || (dir.mode & 0o1002) !== 0o1002 || dir.uid === link.uid) return 0;
  return core.refuse('EACCES', 'vfs.protected');
}

/**
 * Whether fs.protected_hardlinks keeps a task from linking somebody else's file.
 *
 * @kernel fs/namei.c may_linkat()
 */
export function mayLinkat(core: Core, cred: Cred, inode: Inode): Err {
  if (core.state.sysctl.protectedHardlinks === 0) return 0;
  const setgid = (inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  const plain = isReg(inode) && (inode.mode & S_ISUID) === 0 && !setgid;
  const { why } = core;
  const safe = plain && genericPermission(core, cred, inode, MAY_READ | MAY_WRITE) === 0;
  core.why = why;
  if (safe || ownerOrCapable(core, cred, inode)) return 0;
  return core.refuse('EPERM', 'vfs.protected');
}

/**
 * Whether fs.protected_regular or fs.protected_fifos keeps O_CREAT from opening what is there in a sticky
 * directory.
 *
 * @kernel fs/namei.c may_create_in_sticky()
 */
export function mayCreateInSticky(core: Core, cred: Cred, dir: Inode, inode: Inode): Err {
  if ((dir.mode & S_ISVTX) === 0) return 0;
  const { protectedRegular, protectedFifos } = core.state.sysctl;
  const fifo = (inode.mode & S_IFMT) === S_IFIFO;
  const level = isReg(inode) ? protectedRegular : fifo ? protectedFifos : 1;
  if (level === 0 || inode.uid === dir.uid || inode.uid === cred.fsuid) return 0;
  const guarded = (dir.mode & 0o002) !== 0 || ((dir.mode & 0o020) !== 0 && level >= 2);
  return guarded ? core.refuse('EACCES', 'vfs.protected') : 0;
}

/** @kernel fs/namespace.c mnt_want_write() */
export function mntWantWrite(core: Core, mount: Mount): Err {
  if (mount.readonly || core.superblock(mount.sb).readonly) return core.refuse('EROFS', 'vfs.read_only');
  return 0;
}

/** @kernel fs/exec.c path_noexec() */
export function pathNoexec(core: Core, path: PathRef): boolean {
  const mount = core.mountOf(path.mount);
  return mount.noexec || core.fs(mount.sb).noexec;
}

/**
 * Set-id bits that a write, truncate or change of owner drops: the mode bits to clear.
 *
 * @kernel fs/attr.c setattr_should_drop_sgid()
 */
export function shouldDropSgid(core: Core, cred: Cred, inode: Inode): number {
  if ((inode.mode & S_ISGID) === 0) return 0;
  if ((inode.mode & S_IXGRP) !== 0) return S_ISGID;
  return inGroupOrCapable(core, cred, inode, inode.gid) ? 0 : S_ISGID;
}

/** @kernel fs/attr.c setattr_should_drop_suidgid() */
export function shouldDropSuidgid(core: Core, cred: Cred, inode: Inode): number {
  const kill = (inode.mode & S_ISUID) | shouldDropSgid(core, cred, inode);
  if (kill === 0 || capable(cred, CAP_FSETID) || !isReg(inode)) return 0;
  return kill;
}
