// open(2) and the release of open files: flags and the access mask they stand for, the last component of the
// walk, the checks in the kernel's order, the hooks, truncation after them, and the counts of readers and
// writers on the inode. FIFOs open at once as if the other end were there; file locks, leases and fanotify
// are left out.

import { type Err, fail, ok, type Result } from '../base/errno.ts';
import type { OpenIntent } from './api.ts';
import { doTruncate } from './attr.ts';
import { bearInode } from './birth.ts';
import {
  __FMODE_EXEC,
  __O_TMPFILE,
  MAY_APPEND,
  MAY_EXEC,
  MAY_OPEN,
  MAY_READ,
  MAY_WRITE,
  O_ACCMODE,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_DIRECTORY,
  O_EXCL,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
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
import { makeNode, mayCreate } from './create.ts';
import { dput, newDentry, tooLong } from './dcache.ts';
import { openDevice } from './device.ts';
import { kernfsRefuses } from './filesystems.ts';
import { verityFileOpen } from './fsverity.ts';
import { I_LINKABLE, iputFinal, S_DEAD } from './inode.ts';
import { down, openFollow, openWalk, type Parent, pathLookup } from './namei.ts';
import { dataPath, lookupChild, mounter } from './overlay.ts';
import {
  inodePermission,
  isDir,
  isReg,
  mayCreateInSticky,
  mntWantWrite,
  ownerOrCapable,
  pathNoexec,
} from './perm.ts';
import { copyInode } from './records.ts';
import type { Dentry, FileId, Inode, OpenFile, PathRef, VfsTask } from './types.ts';
import { FMODE_CREATED, FMODE_EXEC, FMODE_PATH, FMODE_READ, FMODE_WRITE, FMODE_WRITER } from './types.ts';

/** What build_open_flags() makes of flags and mode. */
export interface OpenOp {
  readonly flags: number;
  readonly mode: number;
  /** The mask that file_post_open gets. */
  readonly accMode: number;
}

const ACC_MODE = [MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE];

/** @kernel fs/open.c build_open_flags() */
function buildOpenFlags(core: Core, asked: number, mode: number, intent: OpenIntent): Result<OpenOp> {
  let flags = asked & ~O_CLOEXEC;
  if (intent === 'exec')
    return ok({ flags: O_RDONLY | __FMODE_EXEC | (flags & O_NOFOLLOW), mode: 0, accMode: MAY_EXEC });
  if ((flags & O_PATH) !== 0) {
    flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
    return ok({ flags, mode: 0, accMode: 0 });
  }
  let accMode = ACC_MODE[flags & O_ACCMODE] as number;
  if ((flags & O_DIRECTORY) !== 0 && (flags & O_CREAT) !== 0)
    return core.refused('EINVAL', 'vfs.bad_argument');
  if ((flags & __O_TMPFILE) !== 0 && ((flags & O_DIRECTORY) === 0 || (accMode & MAY_WRITE) === 0))
    return core.refused('EINVAL', 'vfs.bad_argument');
  if ((flags & O_TRUNC) !== 0) accMode |= MAY_WRITE;
  if ((flags & O_APPEND) !== 0) accMode |= MAY_APPEND;
  if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) flags |= O_NOFOLLOW;
  return ok({ flags, mode: (mode & 0o7777) | S_IFREG, accMode });
}

/** @kernel fs/namei.c path_openat() */
export function open(
  core: Core,
  task: VfsTask,
  path: string,
  flags: number,
  mode: number,
  intent: OpenIntent,
): Result<FileId> {
  const op = buildOpenFlags(core, flags, mode, intent);
  if (!op.ok) return op;
  if ((op.value.flags & __O_TMPFILE) !== 0) return openTmpfile(core, task, path, op.value);
  if ((op.value.flags & O_PATH) !== 0) {
    const at = pathLookup(core, task, path, {
      follow: (flags & O_NOFOLLOW) === 0,
      directory: (flags & O_DIRECTORY) !== 0,
    });
    return at.ok ? dentryOpen(core, task, at.value, op.value, false) : at;
  }
  return openLast(core, task, path, op.value);
}

/** Walks to the last component, following symbolic links there, and creates it if asked. */
function openLast(core: Core, task: VfsTask, path: string, op: OpenOp): Result<FileId> {
  const start = openWalk(core, task, path);
  if (!start.ok) return start;
  const { walk } = start.value;
  let parent: Parent = start.value.parent;
  let directory = (op.flags & O_DIRECTORY) !== 0;
  for (;;) {
    const { last, type, slash } = parent;
    let at = parent.parent;
    if (type === 'dotdot' || type === 'dot') {
      const dots = pathLookup(core, { ...task, cwd: at }, last);
      if (!dots.ok) return dots;
      return doOpen(core, task, dots.value, op, false, directory);
    }
    if (type === 'root') return doOpen(core, task, at, op, false, directory);
    const dir = core.dentry(at.dentry);
    if ((op.flags & O_CREAT) !== 0 && slash) return core.refused('EISDIR', 'vfs.is_directory');
    if (slash) directory = true;
    if (tooLong(last)) return core.refused('ENAMETOOLONG', 'vfs.name_too_long');
    const found = lookupChild(core, dir, last);
    if (found === undefined) return createOpen(core, task, at, dir, last, op);
    at = down(core, { mount: at.mount, dentry: found.id });
    const inode = core.inode(core.dentry(at.dentry).inode);
    const follows = (op.flags & O_NOFOLLOW) === 0 || slash;
    if ((inode.mode & S_IFMT) !== S_IFLNK || !follows)
      return doOpen(core, task, at, op, false, directory, dir);
    const next = openFollow(core, walk, at, parent.parent);
    if (!next.ok) return next;
    if ('dentry' in next.value) return doOpen(core, task, next.value, op, false, directory);
    parent = next.value;
  }
}

/** @kernel fs/namei.c lookup_open() */
function createOpen(
  core: Core,
  task: VfsTask,
  at: PathRef,
  dir: Dentry,
  name: string,
  op: OpenOp,
): Result<FileId> {
  if ((op.flags & O_CREAT) === 0) return core.refused('ENOENT', 'vfs.no_entry');
  const inode = core.inode(dir.inode);
  if ((inode.flags & S_DEAD) !== 0) return core.refused('ENOENT', 'vfs.no_entry');
  const ro = mntWantWrite(core, core.mountOf(at.mount));
  if (ro !== 0) return fail(ro);
  const denied = mayCreate(core, task, inode);
  if (denied !== 0) return fail(denied);
  if (!core.fs(inode.sb).writable)
    return core.superblock(inode.sb).type === 'proc'
      ? core.refused('ENOENT', 'vfs.no_entry')
      : core.refused('EACCES', 'vfs.unsupported');
  const made = makeNode(core, task, dir, name, { mode: op.mode });
  if (!made.ok) return made;
  return doOpen(core, task, { mount: at.mount, dentry: made.value.id }, op, true, false);
}

/**
 * Opens a place that needs no walk: what a descriptor or a magic link names.
 *
 * @kernel fs/namei.c do_open()
 */
export function openPath(
  core: Core,
  task: VfsTask,
  path: PathRef,
  flags: number,
  intent: OpenIntent,
): Result<FileId> {
  const op = buildOpenFlags(core, flags & ~(O_CREAT | __O_TMPFILE), 0, intent);
  if (!op.ok) return op;
  if ((op.value.flags & O_PATH) !== 0) return dentryOpen(core, task, path, op.value, false);
  return doOpen(core, task, path, op.value, false, (flags & O_DIRECTORY) !== 0);
}

/** @kernel fs/namei.c do_open() */
function doOpen(
  core: Core,
  task: VfsTask,
  path: PathRef,
  op: OpenOp,
  created: boolean,
  directory: boolean,
  dir?: Dentry,
): Result<FileId> {
  const inode = core.inode(core.dentry(path.dentry).inode);
  if ((op.flags & O_CREAT) !== 0) {
    if ((op.flags & O_EXCL) !== 0 && !created) return core.refused('EEXIST', 'vfs.exists');
    if (isDir(inode)) return core.refused('EISDIR', 'vfs.is_directory');
    const kept = dir === undefined ? 0 : mayCreateInSticky(core, task.cred, core.inode(dir.inode), inode);
    if (kept !== 0) return fail(kept);
  }
  if (directory && !isDir(inode)) return core.refused('ENOTDIR', 'vfs.not_directory');
  const truncates = !created && isReg(inode) && (op.flags & O_TRUNC) !== 0;
  if (truncates) {
    const ro = mntWantWrite(core, core.mountOf(path.mount));
    if (ro !== 0) return fail(ro);
  }
  const denied = mayOpen(core, task, path, created ? 0 : op.accMode, op.flags);
  if (denied !== 0) return fail(denied);
  const opened = dentryOpen(core, task, path, op, created);
  if (!opened.ok) return opened;
  let err = core.env.hooks.filePostOpen(task, opened.value, op.accMode);
  if (err === 0 && truncates) err = handleTruncate(core, task, path, opened.value);
  if (err === 0) return opened;
  const { why } = core;
  put(core, task, opened.value);
  core.why = why;
  return fail(err);
}

/** @kernel fs/namei.c handle_truncate() */
function handleTruncate(core: Core, task: VfsTask, path: PathRef, file: FileId): Err {
  if (core.inode(core.file(file).inode).iWritecount < 0) return core.refuse('ETXTBSY', 'vfs.text_busy');
  const err = core.env.hooks.fileTruncate(task, file);
  return err !== 0 ? err : doTruncate(core, task, path, 0, true);
}

/**
 * Checks an existing inode against what the open wants.
 *
 * @kernel fs/namei.c may_open()
 */
function mayOpen(core: Core, task: VfsTask, path: PathRef, accMode: number, flags: number): Err {
  const inode = core.inode(core.dentry(path.dentry).inode);
  const exec = (accMode & MAY_EXEC) !== 0;
  let truncates = (flags & O_TRUNC) !== 0;
  switch (inode.mode & S_IFMT) {
    case S_IFLNK:
      return core.refuse('ELOOP', 'vfs.symlink');
    case S_IFDIR:
      if ((accMode & MAY_WRITE) !== 0) return core.refuse('EISDIR', 'vfs.is_directory');
      if (exec) return core.refuse('EACCES', 'vfs.is_directory');
      break;
    case S_IFBLK:
    case S_IFCHR:
      if (core.mountOf(path.mount).nodev || core.fs(inode.sb).nodev)
        return core.refuse('EACCES', 'vfs.nodev');
      if (exec) return core.refuse('EACCES', 'vfs.mode_denied');
      truncates = false;
      break;
    case S_IFIFO:
    case S_IFSOCK:
      if (exec) return core.refuse('EACCES', 'vfs.mode_denied');
      truncates = false;
      break;
    default:
      if (exec && pathNoexec(core, path)) return core.refuse('EACCES', 'vfs.noexec');
  }
  const denied = inodePermission(core, task, inode, MAY_OPEN | accMode);
  if (denied !== 0) return denied;
  if (inode.appendOnly) {
    const writes = (flags & O_ACCMODE) !== O_RDONLY && (flags & O_APPEND) === 0;
    if (writes || truncates) return core.refuse('EPERM', 'vfs.append_only');
  }
  if ((flags & O_NOATIME) !== 0 && !ownerOrCapable(core, task.cred, inode))
    return core.refuse('EPERM', 'vfs.not_owner');
  return 0;
}

const F_FLAGS = ~(O_CREAT | O_EXCL | O_TRUNC | __O_TMPFILE);

/**
 * Makes the open file and counts it on the inode; refusals of the security hook and of the file's own open
 * undo that.
 *
 * @kernel fs/open.c do_dentry_open()
 */
export function dentryOpen(
  core: Core,
  task: VfsTask,
  path: PathRef,
  op: OpenOp,
  created: boolean,
): Result<FileId> {
  return openFile(core, task, path, op, created, null);
}

function openFile(
  core: Core,
  task: VfsTask,
  path: PathRef,
  op: OpenOp,
  created: boolean,
  real: FileId | null,
): Result<FileId> {
  const { inode: key } = core.dentry(path.dentry);
  const inode = core.inode(key);
  const isPath = (op.flags & O_PATH) !== 0;
  const fmode = isPath
    ? FMODE_PATH
    : ((op.flags + 1) & 3) | (op.flags & __FMODE_EXEC ? FMODE_EXEC : 0) | (created ? FMODE_CREATED : 0);
  const writer = (fmode & FMODE_WRITE) !== 0 && !isSpecial(inode);
  if (writer) {
    if (inode.iWritecount < 0) return core.refused('ETXTBSY', 'vfs.text_busy');
    const mount = core.mountOf(path.mount);
    if (mount.readonly) return core.refused('EROFS', 'vfs.read_only');
  }
  const id = core.id();
  const file: OpenFile = {
    id,
    path,
    inode: key,
    flags: op.flags & F_FLAGS,
    fmode: writer ? fmode | FMODE_WRITER : fmode,
    pos: 0,
    refs: 1,
    cred: task.cred,
    priv: null,
    seq: null,
    real,
  };
  core.setFile(file);
  count(core, inode, file.fmode, 1);
  if (isPath) return ok(id);
  let err = core.env.hooks.fileOpen(task, id);
  if (err === 0 && real === null) err = fileOwnOpen(core, task, file, op.flags);
  if (err !== 0) {
    const { why } = core;
    count(core, core.inode(key), file.fmode, -1);
    core.dropFile(id);
    dput(core, path.dentry);
    iputFinal(core, key);
    core.why = why;
    return fail(err);
  }
  if ((op.flags & O_DIRECT) !== 0 && !(isReg(inode) && core.fs(inode.sb).direct)) {
    put(core, task, id);
    return core.refused('EINVAL', 'vfs.unsupported');
  }
  return ok(id);
}

const isSpecial = (inode: Inode): boolean => {
  const type = inode.mode & S_IFMT;
  return type === S_IFCHR || type === S_IFBLK || type === S_IFIFO || type === S_IFSOCK;
};

/** Readers alone count in i_readcount, writers in i_writecount, everybody in openCount. */
export function count(core: Core, inode: Inode, fmode: number, by: 1 | -1): void {
  const reads = (fmode & (FMODE_READ | FMODE_WRITE)) === FMODE_READ;
  const next = copyInode(inode);
  next.openCount += by;
  if (reads) next.iReadcount += by;
  if ((fmode & FMODE_WRITER) !== 0) next.iWritecount += by;
  core.setInode(next);
}

/** The file_operations' own open: fs-verity, pseudo files, devices. */
function fileOwnOpen(core: Core, task: VfsTask, file: OpenFile, flags: number): Err {
  const inode = core.inode(file.inode);
  const verity = verityFileOpen(core, file.inode, (file.fmode & FMODE_WRITE) !== 0);
  if (verity !== 0) return verity;
  if (inode.pseudo !== null) {
    if (isReg(inode) && kernfsRefuses(core.superblock(inode.sb).type, inode.mode, file.fmode))
      return core.refuse('EACCES', 'vfs.refused_by_hook');
    return core.env.pseudo.find(inode.pseudo)?.open?.(task, file.id, flags) ?? 0;
  }
  if (inode.layers !== null && (isReg(inode) || isDir(inode))) return overlayOpen(core, task, file, flags);
  const type = inode.mode & S_IFMT;
  if (type === S_IFSOCK) return core.refuse('ENXIO', 'vfs.no_device');
  if (type === S_IFCHR || type === S_IFBLK) return openDevice(core, task, file, inode, flags);
  if (type === S_IFIFO && (flags & O_NONBLOCK) !== 0 && (flags & O_ACCMODE) === 1 && inode.openCount < 2)
    return core.refuse('ENXIO', 'vfs.pipe');
  return 0;
}

/**
 * Copies up what will be written, then opens the layer's file behind it as the mounter.
 *
 * @kernel fs/overlayfs/file.c ovl_open()
 */
function overlayOpen(core: Core, task: VfsTask, file: OpenFile, flags: number): Err {
  const writes = (file.fmode & FMODE_WRITE) !== 0 || (flags & O_TRUNC) !== 0;
  if (isDir(core.inode(file.inode))) return 0;
  if (writes) {
    const how = (flags & O_TRUNC) !== 0 ? 'truncate' : 'data';
    const err = core.overlay.copyUp(core, task, file.path.dentry, how);
    if (err !== 0) return err;
  }
  const inode = core.inode(file.inode);
  const path = dataPath(core, inode);
  const as = mounter(core, inode.sb, task);
  const real = core.inode(core.dentry(path.dentry).inode);
  const mask = (file.fmode & FMODE_READ ? MAY_READ : 0) | (file.fmode & FMODE_WRITE ? MAY_WRITE : 0);
  const denied = inodePermission(core, as, real, MAY_OPEN | mask);
  if (denied !== 0) return denied;
  const op = { flags: flags & F_FLAGS & ~__FMODE_EXEC, mode: 0, accMode: mask };
  const opened = dentryOpen(core, as, path, op, false);
  if (!opened.ok) return opened.errno;
  core.setFile({ ...core.file(file.id), real: opened.value });
  return 0;
}

/** @kernel fs/namei.c do_tmpfile() */
function openTmpfile(core: Core, task: VfsTask, path: string, op: OpenOp): Result<FileId> {
  const at = pathLookup(core, task, path, { directory: true });
  if (!at.ok) return at;
  const ro = mntWantWrite(core, core.mountOf(at.value.mount));
  return ro !== 0 ? fail(ro) : tmpfile(core, task, at.value, op);
}

/**
 * An unnamed file in a directory.
 *
 * @kernel fs/namei.c vfs_tmpfile()
 */
export function tmpfile(core: Core, task: VfsTask, at: PathRef, op: OpenOp): Result<FileId> {
  const dir = core.dentry(at.dentry);
  const inode = core.inode(dir.inode);
  const denied = inodePermission(core, task, inode, MAY_WRITE | MAY_EXEC);
  if (denied !== 0) return fail(denied);
  if (inode.layers !== null) return overlayTmpfile(core, task, at, op);
  if (!core.fs(inode.sb).tmpfile) return core.refused('EOPNOTSUPP', 'vfs.unsupported');
  const made = bearInode(core, task, dir.inode, '/', { mode: op.mode }, 0);
  if (!made.ok) return made;
  const { key, ino } = made.value;
  if ((op.flags & O_EXCL) === 0) core.setInode({ ...core.inode(key), flags: I_LINKABLE });
  const dentry = newDentry(core, dir.id, `#${ino}`, core.inode(key), false);
  const opened = dentryOpen(core, task, { mount: at.mount, dentry: dentry.id }, op, false);
  if (!opened.ok) return opened;
  core.env.hooks.inodePostCreateTmpfile(task, opened.value, key);
  return opened;
}

function overlayTmpfile(core: Core, task: VfsTask, at: PathRef, op: OpenOp): Result<FileId> {
  const made = core.overlay.unnamed(core, task, core.dentry(at.dentry), op);
  if (!made.ok) return made;
  const { dentry, real } = made.value;
  const path = { mount: at.mount, dentry: dentry.id };
  const opened = openFile(core, task, path, op, false, real);
  if (!opened.ok) return opened;
  core.env.hooks.inodePostCreateTmpfile(task, opened.value, dentry.inode);
  return opened;
}

/** @kernel include/linux/fs.h get_file() */
export function get(core: Core, id: FileId): void {
  const file = core.file(id);
  core.setFile({ ...file, refs: file.refs + 1 });
}

/**
 * Drops a reference; the last one releases: hooks first, then the file's own release, then the counts.
 *
 * @kernel fs/file_table.c __fput()
 */
export function put(core: Core, task: VfsTask, id: FileId): boolean {
  const file = core.file(id);
  if (file.refs > 1) {
    core.setFile({ ...file, refs: file.refs - 1 });
    return false;
  }
  core.env.hooks.fileRelease(task, id);
  const inode = core.inode(file.inode);
  if (inode.pseudo !== null && (file.fmode & FMODE_PATH) === 0)
    core.env.pseudo.find(inode.pseudo)?.release?.(task, id);
  if (file.real !== null) put(core, mounter(core, inode.sb, task), file.real);
  count(core, core.inode(file.inode), file.fmode, -1);
  core.dropFile(id);
  const now = core.inode(file.inode);
  if (now.nlink === 0 || !core.dentry(file.path.dentry).hashed) {
    dput(core, file.path.dentry);
    iputFinal(core, file.inode);
  }
  return true;
}

export const OPEN_RDWR: OpenOp = { flags: O_RDWR, mode: 0, accMode: MAY_READ | MAY_WRITE };
