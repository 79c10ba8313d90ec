// The path walk: components, `.`, `..`, symbolic links, mounts on the way, search permission. Left out:
// openat2's scoping flags and the access time of symbolic links.

import { assert } from '../base/assert.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { MAX_SYMLINKS, MAY_EXEC, PATH_MAX, S_IFLNK, S_IFMT } from './constants.ts';
import type { Core } from './core.ts';
import { mountOn, tooLong } from './dcache.ts';
import { byteLength, S_DEAD } from './inode.ts';
import { lookupChild } from './overlay.ts';
import { inodePermission, isDir, mayFollowLink } from './perm.ts';
import type { Dentry, PathRef, VfsTask } from './types.ts';

export type LastType = 'norm' | 'dot' | 'dotdot' | 'root';

/** Where a walk stopped before its last component. */
export interface Parent {
  readonly parent: PathRef;
  readonly last: string;
  readonly type: LastType;
  /** The last component is followed by a slash. */
  readonly slash: boolean;
}

interface Walk {
  readonly task: VfsTask;
  path: PathRef;
  links: number;
}

/** Splits off what getname() refuses. */
function getname(core: Core, path: string): Err {
  if (path === '') return core.refuse('ENOENT', 'vfs.no_entry');
  if (path.length >= PATH_MAX / 3 && byteLength(path) >= PATH_MAX)
    return core.refuse('ENAMETOOLONG', 'vfs.name_too_long');
  return 0;
}

/**
 * Up, across the mounts on whose root the walk stands; never above the task's root.
 *
 * @kernel fs/namei.c follow_dotdot()
 */
function followDotdot(core: Core, walk: Walk): void {
  const { root } = walk.task;
  let { mount, dentry } = walk.path;
  while (!(mount === root.mount && dentry === root.dentry)) {
    const m = core.mountOf(mount);
    if (dentry === m.root) {
      if (m.parent === null || m.mountpoint === null) break;
      mount = m.parent;
      dentry = m.mountpoint;
      continue;
    }
    dentry = core.dentry(dentry).parent;
    break;
  }
  walk.path = down(core, { mount, dentry });
}

/**
 * The topmost mount on a path.
 *
 * @kernel fs/namei.c handle_mounts()
 */
export function down(core: Core, path: PathRef): PathRef {
  let at = path;
  for (;;) {
    const dentry = core.dentry(at.dentry);
    const mount = mountOn(core, at, dentry);
    if (mount === undefined) return at;
    at = { mount, dentry: core.mountOf(mount).root };
  }
}

/**
 * One name in the directory where the walk stands; answers the entry's path below any mount on it.
 *
 * @kernel fs/namei.c walk_component()
 */
function step(core: Core, walk: Walk, name: string): Err {
  if (tooLong(name)) return core.refuse('ENAMETOOLONG', 'vfs.name_too_long');
  const child = lookupChild(core, core.dentry(walk.path.dentry), name);
  if (child === undefined) return core.refuse('ENOENT', 'vfs.no_entry');
  walk.path = down(core, { mount: walk.path.mount, dentry: child.id });
  return 0;
}

function mayLookup(core: Core, walk: Walk): Err {
  const inode = core.inode(core.dentry(walk.path.dentry).inode);
  const err = inodePermission(core, walk.task, inode, MAY_EXEC);
  if (err === 'EACCES') core.why = 'vfs.search_denied';
  return err;
}

/**
 * Walks all components of `path` but the last one.
 *
 * @kernel fs/namei.c link_path_walk()
 */
function linkPathWalk(core: Core, walk: Walk, path: string): Parent | Err {
  let at = 0;
  if (path[0] === '/') walk.path = walk.task.root;
  while (path[at] === '/') at++;
  if (at === path.length) return { parent: walk.path, last: '', type: 'root', slash: path.length > 0 };
  for (;;) {
    const denied = mayLookup(core, walk);
    if (denied !== 0) return denied;
    let end = path.indexOf('/', at);
    if (end < 0) end = path.length;
    const name = path.slice(at, end);
    const slash = end < path.length;
    while (path[end] === '/') end++;
    const type = name === '.' ? 'dot' : name === '..' ? 'dotdot' : 'norm';
    if (end === path.length) return { parent: walk.path, last: name, type, slash };
    const err = type === 'norm' ? stepAndFollow(core, walk, name) : dots(core, walk, type);
    if (err !== 0) return err;
    if (!isDir(core.inode(core.dentry(walk.path.dentry).inode)))
      return core.refuse('ENOTDIR', 'vfs.not_directory');
    at = end;
  }
}

function dots(core: Core, walk: Walk, type: 'dot' | 'dotdot'): 0 {
  if (type === 'dotdot') followDotdot(core, walk);
  return 0;
}

function stepAndFollow(core: Core, walk: Walk, name: string, trailing = false): Err {
  const before = walk.path;
  const err = step(core, walk, name);
  if (err !== 0) return err;
  const inode = core.inode(core.dentry(walk.path.dentry).inode);
  if ((inode.mode & S_IFMT) !== S_IFLNK) return 0;
  if (trailing) {
    const dir = core.inode(core.dentry(before.dentry).inode);
    const kept = mayFollowLink(core, walk.task.cred, dir, inode);
    if (kept !== 0) return kept;
  }
  return follow(core, walk, before);
}

/**
 * Goes where the symbolic link points at which the walk stands; `from` is the directory that holds it.
 *
 * @kernel fs/namei.c pick_link()
 */
function follow(core: Core, walk: Walk, from: PathRef): Err {
  const inode = core.inode(core.dentry(walk.path.dentry).inode);
  if (walk.links++ >= MAX_SYMLINKS) return core.refuse('ELOOP', 'vfs.too_many_links');
  if (inode.pseudo !== null) {
    const jump = core.env.pseudo.find(inode.pseudo)?.link?.(walk.task);
    if (jump !== undefined) {
      if (!jump.ok) return jump.errno;
      if (typeof jump.value !== 'string') {
        walk.path = jump.value;
        return 0;
      }
      return followTo(core, walk, from, jump.value);
    }
  }
  return followTo(core, walk, from, inode.target ?? '');
}

function followTo(core: Core, walk: Walk, from: PathRef, target: string): Err {
  walk.path = from;
  if (target === '') return core.refuse('ENOENT', 'vfs.no_entry');
  const parent = linkPathWalk(core, walk, target);
  if (typeof parent !== 'object') return parent;
  return finish(core, walk, parent, true);
}

/** The last component of a walk; follows a symbolic link there when asked, or when a slash comes after it. */
function finish(core: Core, walk: Walk, parent: Parent, followLast: boolean): Err {
  walk.path = parent.parent;
  if (parent.type === 'root') return 0;
  if (parent.type !== 'norm') return dots(core, walk, parent.type);
  const follows = followLast || parent.slash;
  const err = follows ? stepAndFollow(core, walk, parent.last, true) : step(core, walk, parent.last);
  if (err !== 0) return err;
  if (parent.slash && !isDir(core.inode(core.dentry(walk.path.dentry).inode)))
    return core.refuse('ENOTDIR', 'vfs.not_directory');
  return 0;
}

const begin = (task: VfsTask): Walk => ({ task, path: task.cwd, links: 0 });

/**
 * The path that a name leads to.
 *
 * @kernel fs/namei.c path_lookupat()
 */
export function pathLookup(
  core: Core,
  task: VfsTask,
  path: string,
  options: { readonly follow?: boolean; readonly directory?: boolean } = {},
): Result<PathRef> {
  const bad = getname(core, path);
  if (bad !== 0) return fail(bad);
  const walk = begin(task);
  const parent = linkPathWalk(core, walk, path);
  if (typeof parent !== 'object') {
    assert(parent !== 0, 'walk without an end');
    return fail(parent);
  }
  const err = finish(core, walk, parent, options.follow !== false);
  if (err !== 0) return fail(err);
  if (options.directory === true && !isDir(core.inode(core.dentry(walk.path.dentry).inode)))
    return core.refused('ENOTDIR', 'vfs.not_directory');
  return ok(walk.path);
}

/**
 * The directory and last component of a name, for operations that make or remove one.
 *
 * @kernel fs/namei.c filename_parentat()
 */
export function pathParent(core: Core, task: VfsTask, path: string): Result<Parent> {
  const bad = getname(core, path);
  if (bad !== 0) return fail(bad);
  const parent = linkPathWalk(core, begin(task), path);
  if (typeof parent !== 'object') {
    assert(parent !== 0, 'walk without an end');
    return fail(parent);
  }
  return ok(parent);
}

/** State of an open's walk: links count on through O_CREAT's retries. */
export interface OpenWalk {
  readonly walk: Walk;
  readonly parent: Parent;
}

export function openWalk(core: Core, task: VfsTask, path: string): Result<OpenWalk> {
  const bad = getname(core, path);
  if (bad !== 0) return fail(bad);
  const walk = begin(task);
  const parent = linkPathWalk(core, walk, path);
  if (typeof parent !== 'object') {
    assert(parent !== 0, 'walk without an end');
    return fail(parent);
  }
  return ok({ walk, parent });
}

/**
 * Follows the symbolic link that an open found as its last component: the parent and last component of its
 * target, or the path itself where it is a magic link.
 *
 * @kernel fs/namei.c path_openat()
 */
export function openFollow(core: Core, walk: Walk, link: PathRef, from: PathRef): Result<Parent | PathRef> {
  const inode = core.inode(core.dentry(link.dentry).inode);
  const kept = mayFollowLink(core, walk.task.cred, core.inode(core.dentry(from.dentry).inode), inode);
  if (kept !== 0) return fail(kept);
  if (walk.links++ >= MAX_SYMLINKS) return core.refused('ELOOP', 'vfs.too_many_links');
  let target = inode.target ?? '';
  const jump = inode.pseudo === null ? undefined : core.env.pseudo.find(inode.pseudo)?.link?.(walk.task);
  if (jump !== undefined) {
    if (!jump.ok) return jump;
    if (typeof jump.value !== 'string') return ok(jump.value);
    target = jump.value;
  }
  walk.path = from;
  if (target === '') return core.refused('ENOENT', 'vfs.no_entry');
  const parent = linkPathWalk(core, walk, target);
  if (typeof parent !== 'object') {
    assert(parent !== 0, 'walk without an end');
    return fail(parent);
  }
  return ok(parent);
}

/** Whether a directory was removed while somebody still stands in it. */
export function isDead(core: Core, dir: Dentry): boolean {
  return (core.inode(dir.inode).flags & S_DEAD) !== 0;
}
