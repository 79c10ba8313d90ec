// How an inode is born: owner, mode and access control list of a new inode, its first xattrs from the
// security hooks, and its entry in the directory. Quotas, inode limits and project ids are left out.

import { ok, type Result } from '../base/errno.ts';
import { ACL_ACCESS, ACL_DEFAULT, aclCreate, aclOf, encodeAcl } from './acl.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_ISGID, S_IXGRP } from './constants.ts';
import type { Core } from './core.ts';
import { hashChild, newDentry } from './dcache.ts';
import { fixedMode, iputFinal, modified, newInode } from './inode.ts';
import { inGroupOrCapable } from './perm.ts';
import type { Dentry, Inode, Superblock, VfsTask, Xattr } from './types.ts';
import { placeXattrs } from './xattr-store.ts';

/** What a new name shall be. */
export interface Birth {
  readonly mode: number;
  readonly rdev?: number;
  readonly target?: string;
}

/**
 * The permission bits that a new inode gets, before an access control list of the directory is looked at.
 *
 * @kernel fs/namei.c vfs_prepare_mode()
 */
function prepareMode(core: Core, task: VfsTask, dir: Inode, mode: number): number {
  let bits = mode;
  if (
    (bits & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP) &&
    (dir.mode & S_ISGID) !== 0 &&
    !isDirMode(mode)
  ) {
    if (!inGroupOrCapable(core, task.cred, dir, dir.gid)) bits &= ~S_ISGID;
  }
  return hasDefaultAcl(core, dir) || (bits & S_IFMT) === S_IFLNK ? bits : bits & ~task.umask;
}

const isDirMode = (mode: number): boolean => (mode & S_IFMT) === S_IFDIR;

function hasDefaultAcl(core: Core, dir: Inode): boolean {
  return dir.xattrs.length > 0 && core.fs(dir.sb).acl && aclOf(dir, ACL_DEFAULT) !== null;
}

/** @kernel fs/posix_acl.c posix_acl_create() */
function inheritAcl(
  core: Core,
  dir: Inode,
  mode: number,
): { readonly mode: number; readonly xattrs: readonly Xattr[] } {
  const none = { mode, xattrs: [] };
  if ((mode & S_IFMT) === S_IFLNK || !hasDefaultAcl(core, dir)) return none;
  const def = aclOf(dir, ACL_DEFAULT);
  if (def === null) return none;
  const made = aclCreate(def, mode);
  const xattrs: Xattr[] = [];
  if (!made.minimal) xattrs.push({ name: ACL_ACCESS, value: encodeAcl(made.acl) });
  if (isDirMode(mode)) xattrs.push({ name: ACL_DEFAULT, value: encodeAcl(def) });
  return { mode: made.mode, xattrs };
}

/**
 * A new inode below a directory, with owner, mode, lists and the security hooks' first xattrs; not yet named.
 *
 * @kernel mm/shmem.c shmem_mknod()
 */
export function bearInode(
  core: Core,
  task: VfsTask,
  dirKey: number,
  name: string,
  birth: Birth,
  nlink?: number,
): Result<Inode> {
  const dir = core.inode(dirKey);
  const sb = core.superblock(dir.sb);
  const fs = core.fs(dir.sb);
  const setgid = (dir.mode & S_ISGID) !== 0;
  const acl = inheritAcl(core, dir, prepareMode(core, task, dir, birth.mode));
  const mode = setgid && isDirMode(birth.mode) ? acl.mode | S_ISGID : acl.mode;
  const owned = fs.fixedOwner && sb.options !== null;
  const inode = newInode(core, dir.sb, {
    mode: owned && sb.options !== null ? fixedMode(sb.options, mode) : mode,
    uid: owned && sb.options !== null ? sb.options.uid : task.cred.fsuid,
    gid: owned && sb.options !== null ? sb.options.gid : setgid ? dir.gid : task.cred.fsgid,
    ...(birth.rdev === undefined ? {} : { rdev: birth.rdev }),
    ...(birth.target === undefined ? {} : { target: birth.target }),
    ...(nlink === undefined ? {} : { nlink }),
  });
  if (fs.xattr !== 'ext4' && fs.xattr !== 'simple') return ok(inode);
  const security = core.env.hooks.inodeInitSecurity(task, inode, dirKey, name);
  const first = security.ok ? security.value : [];
  if (!security.ok && security.errno !== 'EOPNOTSUPP') {
    core.setInode({ ...core.inode(inode.key), nlink: 0 });
    iputFinal(core, inode.key);
    return security;
  }
  if (first.length + acl.xattrs.length > 0) {
    const placed = placeXattrs(core.inode(inode.key), fs.xattr, [...acl.xattrs, ...first]);
    core.setInode({ ...core.inode(inode.key), ...placed });
  }
  return ok(core.inode(inode.key));
}

/** Names that a file system cannot store. */
function badName(core: Core, sb: Superblock, name: string): boolean {
  if (!core.fs(sb.id).foldCase) return false;
  for (const c of name) if (c.charCodeAt(0) < 0x20 || '*?<>|":\\'.includes(c)) return true;
  return false;
}

/**
 * Creates an inode and its name; all checks are done.
 *
 * @kernel fs/ext4/namei.c ext4_create()
 */
export function createNode(
  core: Core,
  task: VfsTask,
  dir: Dentry,
  name: string,
  birth: Birth,
): Result<Dentry> {
  const parent = core.inode(dir.inode);
  const fs = core.fs(parent.sb);
  const sb = core.superblock(parent.sb);
  if (badName(core, sb, name)) return core.refused('EINVAL', 'vfs.bad_argument');
  const made = bearInode(core, task, dir.inode, name, birth);
  if (!made.ok) return made;
  const dentry = newDentry(core, dir.id, name, made.value);
  hashChild(core, dir.inode, dentry);
  const now = core.inode(dir.inode);
  const nlink = isDirMode(birth.mode) && fs.dirLinks ? now.nlink + 1 : now.nlink;
  core.setInode(modified(core, now, { nlink }));
  return ok(dentry);
}
