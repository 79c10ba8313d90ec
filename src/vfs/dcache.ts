// Names: making, hashing and unhashing dentries, finding a child, and the path of a dentry through its
// mounts. There are no negative dentries; a directory's map of names is what the disk and the dentry cache
// hold together.

import { Map as ImmutableMap } from 'immutable';
import { NAME_MAX } from './constants.ts';
import type { Core } from './core.ts';
import { byteLength } from './inode.ts';
import { copyInode } from './records.ts';
import type { Dentry, DentryId, Inode, InodeKey, MountId, PathRef, SbId } from './types.ts';

export const mountKey = (path: PathRef): string => `${path.mount}:${path.dentry}`;

/** Whether a name is longer than a file system stores. */
export function tooLong(name: string): boolean {
  return name.length > NAME_MAX || (name.length > NAME_MAX / 3 && byteLength(name) > NAME_MAX);
}

/** The key of a name in its directory: itself, or folded where the file system ignores case. */
export function childKey(core: Core, sb: SbId, name: string): string {
  return core.fs(sb).foldCase ? name.replace(/\.+$/, '').toLowerCase() : name;
}

/** @kernel fs/dcache.c d_alloc() */
export function newDentry(
  core: Core,
  parent: DentryId | null,
  name: string,
  inode: Inode,
  hashed = true,
): Dentry {
  const id = core.id();
  const dentry: Dentry = {
    id,
    sb: inode.sb,
    parent: parent ?? id,
    name,
    inode: inode.key,
    hashed,
    mounted: 0,
  };
  core.setDentry(dentry);
  return dentry;
}

/** Enters a name into a directory's map without touching its stamps. */
export function hashChild(core: Core, dir: InodeKey, dentry: Dentry): void {
  const inode = core.inode(dir);
  const key = childKey(core, inode.sb, dentry.name);
  const next = copyInode(inode);
  next.children = (inode.children ?? EMPTY_CHILDREN).set(key, dentry.id);
  core.setInode(next);
}

/** Namespace of mounts that are in none: the kernel's own, and the private ones of an overlay's layers. */
export const NO_NS = -1;

const EMPTY_CHILDREN = ImmutableMap<string, DentryId>();

/**
 * Takes a name out of the tree. Its record stays while an open file, or a task in that directory, may still
 * show it.
 *
 * @kernel fs/dcache.c d_delete()
 */
export function unhash(core: Core, dentry: Dentry, keep: boolean): void {
  const parent = core.inode(core.dentry(dentry.parent).inode);
  const key = childKey(core, parent.sb, dentry.name);
  if (parent.children?.get(key) === dentry.id) {
    const next = copyInode(parent);
    next.children = parent.children.delete(key);
    core.setInode(next);
  }
  if (keep) core.setDentry({ ...dentry, hashed: false });
  else core.state = { ...core.state, dentries: core.state.dentries.delete(dentry.id) };
}

/** Forgets an unhashed dentry when nobody shows it any more. */
export function dput(core: Core, id: DentryId): void {
  const dentry = core.state.dentries.get(id);
  if (dentry === undefined || dentry.hashed) return;
  const inode = core.state.inodes.get(dentry.inode);
  if (inode !== undefined && dentryInUse(core, inode, id)) return;
  core.state = { ...core.state, dentries: core.state.dentries.delete(id) };
}

/** Whether somebody still shows a dentry: an open file, a task in a directory, an overlay above. */
export function dentryInUse(core: Core, inode: Inode, id: DentryId): boolean {
  if (inode.children !== null) return true;
  if (inode.openCount === 0) return false;
  let files = 0;
  for (const file of core.state.files.values()) {
    if (file.path.dentry === id) return true;
    if (file.inode === inode.key) files++;
  }
  return inode.openCount > files;
}

/** The mount that covers a path, seen from its mount; undefined when nothing is mounted there. */
export function mountOn(core: Core, path: PathRef, dentry: Dentry): MountId | undefined {
  return dentry.mounted === 0 ? undefined : core.state.mountedOn.get(mountKey(path));
}

/**
 * The path of a dentry through its mounts. Plain, it is d_absolute_path(): from the root of the mount
 * namespace, and on a mount of no namespace (memfds, layers of an overlay) only the dentry's name, which is
 * what callers fall back to. With `deleted` or `root` it is d_path(): below a root, " (deleted)" after a name
 * that is gone.
 *
 * @kernel fs/d_path.c prepend_path()
 */
export function dPath(
  core: Core,
  path: PathRef,
  options: { readonly deleted?: boolean; readonly root?: PathRef },
): string {
  const { root } = options;
  let dentry = core.dentry(path.dentry);
  let mount = core.mountOf(path.mount);
  const first = dentry;
  const suffix =
    options.deleted === true && !dentry.hashed && dentry.parent !== dentry.id ? ' (deleted)' : '';
  // Memfds have a name of their own (simple_dname), which always says that it is deleted.
  if (mount.id === core.state.shmMount)
    return options.deleted === true ? `/${dentry.name} (deleted)` : dentry.name;
  let text = '';
  while (root === undefined || dentry.id !== root.dentry || mount.id !== root.mount) {
    if (dentry.id === mount.root) {
      if (mount.parent === null || mount.mountpoint === null) {
        if (mount.ns === NO_NS && root === undefined && options.deleted !== true) return first.name;
        break;
      }
      dentry = core.dentry(mount.mountpoint);
      mount = core.mountOf(mount.parent);
      continue;
    }
    if (dentry.parent === dentry.id) break;
    text = `/${dentry.name}${text}`;
    dentry = core.dentry(dentry.parent);
  }
  return `${text === '' ? '/' : text}${suffix}`;
}
