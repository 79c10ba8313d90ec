// Taking names away and moving them: unlink, rmdir, link and rename. The directory entry goes at once, the
// inode when its last user is gone. Rename's exchange and whiteout forms are here for overlay mounts and for
// renameat2.

import type { Err, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import { createNode } from './birth.ts';
import {
  MAY_EXEC,
  MAY_WRITE,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  S_IFCHR,
} from './constants.ts';
import type { Core } from './core.ts';
import { filenameCreate, mayCreate } from './create.ts';
import { childKey, dentryInUse, hashChild, newDentry, tooLong, unhash } from './dcache.ts';
import { I_LINKABLE, iputFinal, modified, relinked, S_DEAD } from './inode.ts';
import { detachMounts, localMountpoint } from './mounts.ts';
import { type Parent, pathLookup, pathParent } from './namei.ts';
import { lookupChild, mergedNames } from './overlay.ts';
import { checkSticky, inodePermission, isDir, mayLinkat, mntWantWrite } from './perm.ts';
import type { Dentry, DentryId, Inode, InodeKey, PathRef, VfsTask } from './types.ts';

/** @kernel fs/namei.c may_delete() */
function mayDelete(core: Core, task: VfsTask, dir: Inode, victim: Dentry, wantDir: boolean): Err {
  const denied = inodePermission(core, task, dir, MAY_WRITE | MAY_EXEC);
  if (denied !== 0) return denied;
  if (dir.appendOnly) return core.refuse('EPERM', 'vfs.append_only');
  const inode = core.inode(victim.inode);
  if (checkSticky(core, task.cred, dir, inode)) return core.refuse('EPERM', 'vfs.sticky');
  if (inode.appendOnly) return core.refuse('EPERM', 'vfs.append_only');
  if (inode.immutable) return core.refuse('EPERM', 'vfs.immutable');
  if (wantDir) {
    if (!isDir(inode)) return core.refuse('ENOTDIR', 'vfs.not_directory');
    if (victim.parent === victim.id) return core.refuse('EBUSY', 'vfs.busy');
  } else if (isDir(inode)) return core.refuse('EISDIR', 'vfs.is_directory');
  if ((dir.flags & S_DEAD) !== 0) return core.refuse('ENOENT', 'vfs.no_entry');
  return 0;
}

interface Victim {
  readonly place: Parent;
  readonly dir: Dentry;
  readonly dentry: Dentry;
}

function findVictim(core: Core, found: Parent): Result<Victim> {
  const ro = mntWantWrite(core, core.mountOf(found.parent.mount));
  if (ro !== 0) return fail(ro);
  if (tooLong(found.last)) return core.refused('ENAMETOOLONG', 'vfs.name_too_long');
  const dir = core.dentry(found.parent.dentry);
  const dentry = lookupChild(core, dir, found.last);
  if (dentry === undefined) return core.refused('ENOENT', 'vfs.no_entry');
  return ok({ place: found, dir, dentry });
}

/** @kernel fs/namei.c do_unlinkat() */
export function unlink(core: Core, task: VfsTask, path: string): Err {
  const found = pathParent(core, task, path);
  if (!found.ok) return found.errno;
  if (found.value.type !== 'norm') return core.refuse('EISDIR', 'vfs.is_directory');
  const victim = findVictim(core, found.value);
  if (!victim.ok) return victim.errno;
  const { dir, dentry, place } = victim.value;
  if (place.slash) {
    if (isDir(core.inode(dentry.inode))) return core.refuse('EISDIR', 'vfs.is_directory');
    return core.refuse('ENOTDIR', 'vfs.not_directory');
  }
  const parent = core.inode(dir.inode);
  const denied = mayDelete(core, task, parent, dentry, false);
  if (denied !== 0) return denied;
  if (!core.fs(parent.sb).writable) return core.refuse('EPERM', 'vfs.unsupported');
  if (localMountpoint(core, task, dentry)) return core.refuse('EBUSY', 'vfs.busy');
  if (parent.layers !== null) {
    const err = core.overlay.remove(core, task, dentry);
    if (err !== 0) return err;
  } else dropName(core, dentry);
  detachMounts(core, task, dentry.id);
  return 0;
}

/**
 * Takes one name off an inode that is no directory.
 *
 * @kernel fs/ext4/namei.c __ext4_unlink()
 */
export function dropName(core: Core, dentry: Dentry): void {
  const dir = core.dentry(dentry.parent).inode;
  const inode = core.inode(dentry.inode);
  unhash(core, dentry, dentryInUse(core, inode, dentry.id));
  core.setInode(modified(core, core.inode(dir), {}));
  core.setInode(relinked(core, inode, { nlink: inode.nlink - 1 }));
  iputFinal(core, inode.key);
}

/** @kernel fs/libfs.c simple_empty() */
export function isEmpty(core: Core, dentry: Dentry): boolean {
  const { children, layers } = core.inode(dentry.inode);
  return layers === null ? (children?.size ?? 0) === 0 : mergedNames(core, layers).length === 0;
}

/** @kernel fs/namei.c do_rmdir() */
export function rmdir(core: Core, task: VfsTask, path: string): Err {
  const found = pathParent(core, task, path);
  if (!found.ok) return found.errno;
  if (found.value.type === 'dotdot') return core.refuse('ENOTEMPTY', 'vfs.not_empty');
  if (found.value.type === 'dot') return core.refuse('EINVAL', 'vfs.bad_argument');
  if (found.value.type === 'root') return core.refuse('EBUSY', 'vfs.busy');
  const victim = findVictim(core, found.value);
  if (!victim.ok) return victim.errno;
  const { dir, dentry } = victim.value;
  const parent = core.inode(dir.inode);
  const denied = mayDelete(core, task, parent, dentry, true);
  if (denied !== 0) return denied;
  if (!core.fs(parent.sb).writable) return core.refuse('EPERM', 'vfs.unsupported');
  if (localMountpoint(core, task, dentry)) return core.refuse('EBUSY', 'vfs.busy');
  if (!isEmpty(core, dentry)) return core.refuse('ENOTEMPTY', 'vfs.not_empty');
  if (parent.layers !== null) {
    const err = core.overlay.remove(core, task, dentry);
    if (err !== 0) return err;
  } else dropDirectory(core, dentry);
  detachMounts(core, task, dentry.id);
  return 0;
}

/**
 * Takes an empty directory out of the tree; its record stays for those who stand in it.
 *
 * @kernel fs/ext4/namei.c ext4_rmdir()
 */
export function dropDirectory(core: Core, dentry: Dentry): void {
  const dir = core.dentry(dentry.parent).inode;
  const inode = core.inode(dentry.inode);
  unhash(core, dentry, true);
  const parent = core.inode(dir);
  const nlink = core.fs(parent.sb).dirLinks ? parent.nlink - 1 : parent.nlink;
  core.setInode(modified(core, parent, { nlink }));
  core.setInode(relinked(core, inode, { nlink: 0, size: 0, flags: inode.flags | S_DEAD }));
  iputFinal(core, inode.key);
}

/** @kernel fs/namei.c do_linkat() */
export function link(core: Core, task: VfsTask, source: PathRef, to: string): Err {
  const place = filenameCreate(core, task, to, false);
  if (!place.ok) return place.errno;
  const { parent, dir, name } = place.value;
  if (parent.mount !== source.mount) return core.refuse('EXDEV', 'vfs.cross_mount');
  const inode = core.inode(core.dentry(source.dentry).inode);
  const kept = mayLinkat(core, task.cred, inode);
  if (kept !== 0) return kept;
  const target = core.inode(dir.inode);
  const denied = mayCreate(core, task, target);
  if (denied !== 0) return denied;
  if (inode.sb !== target.sb) return core.refuse('EXDEV', 'vfs.cross_mount');
  if (inode.appendOnly) return core.refuse('EPERM', 'vfs.append_only');
  if (inode.immutable) return core.refuse('EPERM', 'vfs.immutable');
  const fs = core.fs(target.sb);
  if (!fs.writable || !fs.links || isDir(inode)) return core.refuse('EPERM', 'vfs.unsupported');
  if (inode.nlink === 0 && (inode.flags & I_LINKABLE) === 0) return core.refuse('ENOENT', 'vfs.no_entry');
  if (fs.type === 'ext4' && inode.nlink >= 65000) return core.refuse('EMLINK', 'vfs.link_limit');
  if (inode.layers !== null) return core.overlay.link(core, task, core.dentry(source.dentry), dir, name);
  addLink(core, inode, dir, name);
  return 0;
}

/**
 * One more name for an inode.
 *
 * @kernel fs/ext4/namei.c ext4_link()
 */
export function addLink(core: Core, inode: Inode, dir: Dentry, name: string): Dentry {
  core.setInode(relinked(core, inode, { nlink: inode.nlink + 1, flags: inode.flags & ~I_LINKABLE }));
  const dentry = newDentry(core, dir.id, name, inode);
  hashChild(core, dir.inode, dentry);
  core.setInode(modified(core, core.inode(dir.inode), {}));
  return dentry;
}

/** The source of link(2). */
export function linkSource(core: Core, task: VfsTask, path: string): Result<PathRef> {
  return pathLookup(core, task, path, { follow: false });
}

/** Whether `above` is `id` or one of its ancestors. */
function isAncestor(core: Core, above: DentryId, id: DentryId): boolean {
  let at = id;
  for (;;) {
    if (at === above) return true;
    const { parent } = core.dentry(at);
    if (parent === at) return false;
    at = parent;
  }
}

export interface Move {
  readonly oldDir: Dentry;
  readonly newDir: Dentry;
  readonly source: Dentry;
  readonly target: Dentry | undefined;
  readonly name: string;
  readonly flags: number;
}

/** @kernel fs/namei.c do_renameat2() */
export function rename(core: Core, task: VfsTask, from: string, to: string, flags: number): Err {
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  const noreplace = (flags & RENAME_NOREPLACE) !== 0;
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) !== 0)
    return core.refuse('EINVAL', 'vfs.bad_argument');
  if (exchange && (noreplace || (flags & RENAME_WHITEOUT) !== 0))
    return core.refuse('EINVAL', 'vfs.bad_argument');
  const found = pathParent(core, task, from);
  if (!found.ok) return found.errno;
  const place = pathParent(core, task, to);
  if (!place.ok) return place.errno;
  if (found.value.parent.mount !== place.value.parent.mount) return core.refuse('EXDEV', 'vfs.cross_mount');
  if (found.value.type !== 'norm') return core.refuse('EBUSY', 'vfs.busy');
  if (place.value.type !== 'norm') return core.refuse(noreplace ? 'EEXIST' : 'EBUSY', 'vfs.busy');
  const move = findMove(core, found.value, place.value, flags);
  if (!move.ok) return move.errno;
  return vfsRename(core, task, move.value);
}

function findMove(core: Core, found: Parent, place: Parent, flags: number): Result<Move> {
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  const victim = findVictim(core, found);
  if (!victim.ok) return victim;
  const source = victim.value.dentry;
  if (tooLong(place.last)) return core.refused('ENAMETOOLONG', 'vfs.name_too_long');
  const newDir = core.dentry(place.parent.dentry);
  const target = lookupChild(core, newDir, place.last);
  if ((flags & RENAME_NOREPLACE) !== 0 && target !== undefined) return core.refused('EEXIST', 'vfs.exists');
  if (exchange) {
    if (target === undefined) return core.refused('ENOENT', 'vfs.no_entry');
    if (!isDir(core.inode(target.inode)) && place.slash) return core.refused('ENOTDIR', 'vfs.not_directory');
  }
  if (!isDir(core.inode(source.inode)) && (found.slash || (!exchange && place.slash)))
    return core.refused('ENOTDIR', 'vfs.not_directory');
  if (isAncestor(core, source.id, newDir.id)) return core.refused('EINVAL', 'vfs.loop');
  if (target !== undefined && isAncestor(core, target.id, victim.value.dir.id))
    return core.refused(exchange ? 'EINVAL' : 'ENOTEMPTY', 'vfs.not_empty');
  return ok({ oldDir: victim.value.dir, newDir, source, target, name: place.last, flags });
}

/** @kernel fs/namei.c vfs_rename() */
function vfsRename(core: Core, task: VfsTask, move: Move): Err {
  const { oldDir, newDir, source, target, flags } = move;
  if (target !== undefined && target.inode === source.inode) return 0;
  const dirs = isDir(core.inode(source.inode));
  const targetDirs = target !== undefined && isDir(core.inode(target.inode));
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  const from = core.inode(oldDir.inode);
  const into = core.inode(newDir.inode);
  let err = mayDelete(core, task, from, source, dirs);
  if (err !== 0) return err;
  err =
    target === undefined
      ? mayCreate(core, task, into)
      : mayDelete(core, task, into, target, exchange ? targetDirs : dirs);
  if (err !== 0) return err;
  if (!core.fs(from.sb).writable) return core.refuse('EPERM', 'vfs.unsupported');
  if (oldDir.id !== newDir.id) {
    if (dirs) err = inodePermission(core, task, core.inode(source.inode), MAY_WRITE);
    if (err === 0 && exchange && targetDirs && target !== undefined)
      err = inodePermission(core, task, core.inode(target.inode), MAY_WRITE);
    if (err !== 0) return err;
  }
  if (localMountpoint(core, task, source) || (target !== undefined && localMountpoint(core, task, target)))
    return core.refuse('EBUSY', 'vfs.busy');
  if ((flags & RENAME_WHITEOUT) !== 0 && (!core.fs(from.sb).whiteout || from.layers !== null))
    return core.refuse('EINVAL', 'vfs.unsupported');
  if (from.layers !== null)
    return core.overlay.rename(core, task, source, newDir, move.name, target, exchange);
  if (exchange && target !== undefined) return swap(core, move, target);
  if (targetDirs && target !== undefined && !isEmpty(core, target))
    return core.refuse('ENOTEMPTY', 'vfs.not_empty');
  return moveName(core, task, move);
}

/** The file system's rename: the target goes, the source's dentry moves. */
export function moveName(core: Core, task: VfsTask, move: Move): Err {
  const { oldDir, newDir, source, target, name } = move;
  if (target !== undefined) {
    if (isDir(core.inode(target.inode))) dropDirectory(core, target);
    else dropName(core, target);
    detachMounts(core, task, target.id);
  }
  relocate(core, source, oldDir.inode, newDir, name);
  const inode = core.inode(source.inode);
  core.setInode(relinked(core, inode, {}));
  const crosses = oldDir.inode !== newDir.inode && isDir(inode) && core.fs(inode.sb).dirLinks;
  const old = core.inode(oldDir.inode);
  core.setInode(modified(core, old, { nlink: crosses ? old.nlink - 1 : old.nlink }));
  const into = core.inode(newDir.inode);
  core.setInode(modified(core, into, { nlink: crosses ? into.nlink + 1 : into.nlink }));
  if ((move.flags & RENAME_WHITEOUT) !== 0) {
    const made = createNode(core, task, core.dentry(oldDir.id), source.name, { mode: S_IFCHR, rdev: 0 });
    if (!made.ok) return made.errno;
  }
  return 0;
}

/** @kernel fs/dcache.c __d_move() */
function relocate(core: Core, source: Dentry, oldDir: InodeKey, newDir: Dentry, name: string): void {
  const parent = core.inode(oldDir);
  const key = childKey(core, parent.sb, source.name);
  core.setInode({ ...parent, children: parent.children?.delete(key) ?? null });
  const moved = { ...core.dentry(source.id), parent: newDir.id, name };
  core.setDentry(moved);
  hashChild(core, newDir.inode, moved);
}

/** @kernel fs/namei.c vfs_rename() */
export function swap(core: Core, move: Move, target: Dentry): Err {
  const { oldDir, newDir, source } = move;
  const a = { ...source, parent: newDir.id, name: target.name };
  const b = { ...target, parent: oldDir.id, name: source.name };
  core.setDentry(a);
  core.setDentry(b);
  hashChild(core, newDir.inode, a);
  hashChild(core, oldDir.inode, b);
  const links = (isDir(core.inode(source.inode)) ? 1 : 0) - (isDir(core.inode(target.inode)) ? 1 : 0);
  const crosses = oldDir.inode !== newDir.inode && core.fs(a.sb).dirLinks ? links : 0;
  const old = core.inode(oldDir.inode);
  core.setInode(modified(core, old, { nlink: old.nlink - crosses }));
  const into = core.inode(newDir.inode);
  core.setInode(modified(core, into, { nlink: into.nlink + crosses }));
  core.setInode(relinked(core, core.inode(source.inode), {}));
  core.setInode(relinked(core, core.inode(target.inode), {}));
  return 0;
}
