// Making names: mkdir, mknod and symlink, and the checks they share with open(O_CREAT).

import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { type Birth, createNode } from './birth.ts';
import {
  CAP_MKNOD,
  MAY_EXEC,
  MAY_WRITE,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from './constants.ts';
import type { Core } from './core.ts';
import { tooLong } from './dcache.ts';
import { byteLength, S_DEAD } from './inode.ts';
import { pathParent } from './namei.ts';
import { lookupChild } from './overlay.ts';
import { capable, inodePermission, mntWantWrite } from './perm.ts';
import type { Dentry, Inode, PathRef, VfsTask } from './types.ts';

/**
 * Creates an inode and its name, on the file system itself or in the upper layer of an overlay; all checks
 * are done.
 *
 * @kernel fs/namei.c lookup_open()
 */
export function makeNode(core: Core, task: VfsTask, dir: Dentry, name: string, birth: Birth): Result<Dentry> {
  if (core.inode(dir.inode).layers !== null) return core.overlay.create(core, task, dir, name, birth);
  return createNode(core, task, dir, name, birth);
}

/**
 * Whether a task may make a name in a directory.
 *
 * @kernel fs/namei.c may_create()
 */
export function mayCreate(core: Core, task: VfsTask, dir: Inode): Err {
  if ((dir.flags & S_DEAD) !== 0) return core.refuse('ENOENT', 'vfs.no_entry');
  const { userNs } = core.superblock(dir.sb);
  const known = (kind: 'uid' | 'gid', id: number): boolean =>
    userNs === 0 || (core.env.idMapped?.(userNs, kind, id) ?? true);
  if (!known('uid', task.cred.fsuid) || !known('gid', task.cred.fsgid))
    return core.refuse('EOVERFLOW', 'vfs.id_unmapped');
  return inodePermission(core, task, dir, MAY_WRITE | MAY_EXEC);
}

export interface Place {
  readonly parent: PathRef;
  readonly dir: Dentry;
  readonly name: string;
}

/**
 * The place where a new name shall be made.
 *
 * @kernel fs/namei.c filename_create()
 */
export function filenameCreate(core: Core, task: VfsTask, path: string, directory: boolean): Result<Place> {
  const found = pathParent(core, task, path);
  if (!found.ok) return found;
  const { parent, last, type, slash } = found.value;
  if (type !== 'norm') return core.refused('EEXIST', 'vfs.exists');
  if (tooLong(last)) return core.refused('ENAMETOOLONG', 'vfs.name_too_long');
  const dir = core.dentry(parent.dentry);
  if (lookupChild(core, dir, last) !== undefined) return core.refused('EEXIST', 'vfs.exists');
  if (slash && !directory) return core.refused('ENOENT', 'vfs.no_entry');
  const ro = mntWantWrite(core, core.mountOf(parent.mount));
  if (ro !== 0) return fail(ro);
  return ok({ parent, dir, name: last });
}

/** @kernel fs/namei.c do_mkdirat() */
export function mkdir(core: Core, task: VfsTask, path: string, mode: number): Err {
  const place = filenameCreate(core, task, path, true);
  if (!place.ok) return place.errno;
  const { dir, name } = place.value;
  const inode = core.inode(dir.inode);
  const denied = mayCreate(core, task, inode);
  if (denied !== 0) return denied;
  if (!core.fs(inode.sb).writable) return core.refuse('EPERM', 'vfs.unsupported');
  const made = makeNode(core, task, dir, name, { mode: S_IFDIR | (mode & 0o1777) });
  return made.ok ? 0 : made.errno;
}

/** @kernel fs/namei.c do_mknodat() */
export function mknod(core: Core, task: VfsTask, path: string, mode: number, rdev: number): Err {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) return core.refuse('EPERM', 'vfs.bad_argument');
  if (![0, S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK].includes(type))
    return core.refuse('EINVAL', 'vfs.bad_argument');
  const place = filenameCreate(core, task, path, false);
  if (!place.ok) return place.errno;
  const { parent, dir, name } = place.value;
  const inode = core.inode(dir.inode);
  const denied = mayCreate(core, task, inode);
  if (denied !== 0) return denied;
  const regular = type === 0 || type === S_IFREG;
  const device = type === S_IFCHR || type === S_IFBLK;
  if (device && !(type === S_IFCHR && rdev === 0) && !capable(task.cred, CAP_MKNOD))
    return core.refuse('EPERM', 'vfs.no_capability');
  const fs = core.fs(inode.sb);
  if (regular && !fs.writable) return core.refuse('EACCES', 'vfs.unsupported');
  if (!regular && !(fs.writable && fs.special)) return core.refuse('EPERM', 'vfs.unsupported');
  const birth = { mode: (regular ? S_IFREG : type) | (mode & 0o7777), rdev: device ? rdev : 0 };
  const made = makeNode(core, task, dir, name, birth);
  if (!made.ok) return made.errno;
  if (regular) {
    const at = { mount: parent.mount, dentry: made.value.id };
    core.env.hooks.pathPostMknod(task, at, made.value.inode);
  }
  return 0;
}

/** @kernel fs/namei.c do_symlinkat() */
export function symlink(core: Core, task: VfsTask, target: string, path: string): Err {
  if (target === '') return core.refuse('ENOENT', 'vfs.no_entry');
  if (byteLength(target) >= 4096) return core.refuse('ENAMETOOLONG', 'vfs.name_too_long');
  const place = filenameCreate(core, task, path, false);
  if (!place.ok) return place.errno;
  const { dir, name } = place.value;
  const inode = core.inode(dir.inode);
  const denied = mayCreate(core, task, inode);
  if (denied !== 0) return denied;
  const fs = core.fs(inode.sb);
  if (!(fs.writable && fs.symlinks)) return core.refuse('EPERM', 'vfs.unsupported');
  const made = makeNode(core, task, dir, name, { mode: S_IFLNK | 0o777, target });
  return made.ok ? 0 : made.errno;
}
