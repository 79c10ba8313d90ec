// read(2), write(2) and lseek(2) on regular files, directories, devices and pseudo files: the mode of the
// open, the offset, what a write drops and stamps before it touches the content. Signals, partial writes by a
// full disk and the alignment that O_DIRECT wants are left out; a FIFO gives nothing and takes everything.

import { EMPTY } from '../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { fileRemovePrivs } from './attr.ts';
import { deviceSync, touchPages, writeBack } from './blocks.ts';
import {
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_WRITE,
  MAY_WRITE,
  O_APPEND,
  PAGE_SIZE,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
} from './constants.ts';
import { bytesContent, MAX_FILE_SIZE, NO_CONTENT, writeAt } from './content.ts';
import type { Core } from './core.ts';
import { blockDevice, driverOf, readDevice, writeDevice } from './device.ts';
import { modified, touchAtime } from './inode.ts';
import { copyAttr } from './overlay.ts';
import { isDir } from './perm.ts';
import type { Content, FileId, Inode, OpenFile, VfsTask } from './types.ts';
import { FMODE_PATH, FMODE_READ, FMODE_WRITE } from './types.ts';

/** MAX_RW_COUNT. */
const MAX_RW_COUNT = 0x7fff_f000;

/** The inode whose content a file of this inode shows: its own, or the one of an overlay's layer. */
export function dataInode(core: Core, inode: Inode): Inode {
  return inode.realData === null ? inode : core.inode(inode.realData);
}

/** Whether a file has no position: FMODE_PREAD and FMODE_PWRITE are off. */
function isStream(core: Core, file: OpenFile): boolean {
  return (file.fmode & FMODE_PATH) === 0 && (core.inode(file.inode).mode & S_IFMT) === S_IFIFO;
}

/** @kernel fs/read_write.c vfs_read() */
export function read(
  core: Core,
  task: VfsTask,
  id: FileId,
  length: number,
  offset: number | null,
): Result<Uint8Array> {
  const file = core.file(id);
  if (offset !== null && offset >= 0 && isStream(core, file))
    return core.refused('ESPIPE', 'vfs.unsupported');
  if ((file.fmode & FMODE_READ) === 0) return core.refused('EBADF', 'vfs.bad_mode');
  if (length < 0 || (offset !== null && offset < 0)) return core.refused('EINVAL', 'vfs.bad_argument');
  const pos = offset ?? file.pos;
  const want = Math.min(length, MAX_RW_COUNT);
  const inode = core.inode(file.inode);
  const got = readInode(core, task, file, inode, pos, want);
  if (!got.ok) return got;
  if (offset === null && got.value.length > 0) core.setPos(id, pos + got.value.length);
  return got;
}

function readInode(
  core: Core,
  task: VfsTask,
  file: OpenFile,
  inode: Inode,
  pos: number,
  want: number,
): Result<Uint8Array> {
  const type = inode.mode & S_IFMT;
  if (isDir(inode)) return core.refused('EISDIR', 'vfs.is_directory');
  if (inode.pseudo !== null) return readPseudo(core, task, file, inode.pseudo, pos, want);
  if (type === S_IFCHR || type === S_IFBLK) {
    const driver = driverOf(core, inode);
    return driver === undefined
      ? readDevice(core, inode, want, pos)
      : readDriver(core, task, file, pos, want);
  }
  if (type === S_IFIFO) return ok(EMPTY);
  const { content, key } = dataInode(core, inode);
  if (core.state.blocks.files.size > 0) touchPages(core, key);
  if (content === null) return core.refused('EINVAL', 'vfs.unsupported');
  if (content.kind === 'opaque') return want === 0 ? ok(EMPTY) : core.refused('EIO', 'vfs.opaque');
  touchAtime(core, inode, core.superblock(inode.sb).readonly || core.mountOf(file.path.mount).readonly);
  return ok(content.bytes.subarray(pos, pos + want));
}

/** The text is made once for each open instance, as seq_file does for one that is read from the start. */
function readPseudo(
  core: Core,
  task: VfsTask,
  file: OpenFile,
  pseudo: string,
  pos: number,
  want: number,
): Result<Uint8Array> {
  const node = core.env.pseudo.find(pseudo);
  if (node?.read === undefined) return core.refused('EINVAL', 'vfs.unsupported');
  let text = pos === 0 || node.live === true ? null : file.seq;
  if (text === null) {
    const made = node.read(task, file.id);
    if (!made.ok) return made;
    text = made.value;
    core.setFile({ ...core.file(file.id), seq: text });
  }
  return ok(text.subarray(pos, pos + want));
}

function readDriver(
  core: Core,
  task: VfsTask,
  file: OpenFile,
  pos: number,
  want: number,
): Result<Uint8Array> {
  const made = driverOf(core, core.inode(file.inode))?.read?.(task, file.id);
  if (made === undefined) return core.refused('EINVAL', 'vfs.unsupported');
  return made.ok ? ok(made.value.subarray(pos, pos + want)) : made;
}

/** @kernel fs/read_write.c vfs_write() */
export function write(
  core: Core,
  task: VfsTask,
  id: FileId,
  data: Uint8Array,
  offset: number | null,
): Result<number> {
  const file = core.file(id);
  if (offset !== null && offset >= 0 && isStream(core, file))
    return core.refused('ESPIPE', 'vfs.unsupported');
  if ((file.fmode & FMODE_WRITE) === 0) return core.refused('EBADF', 'vfs.bad_mode');
  if (offset !== null && offset < 0) return core.refused('EINVAL', 'vfs.bad_argument');
  const err = core.env.hooks.filePermission?.(task, id, MAY_WRITE) ?? 0;
  if (err !== 0) return fail(err);
  const inode = core.inode(file.inode);
  const type = inode.mode & S_IFMT;
  if (inode.pseudo !== null || type === S_IFCHR || type === S_IFBLK)
    return writeNode(core, task, file, data, offset);
  if (type === S_IFIFO) return ok(data.length);
  return writeContent(core, task, file, bytesContent(data), offset);
}

function writeNode(
  core: Core,
  task: VfsTask,
  file: OpenFile,
  data: Uint8Array,
  offset: number | null,
): Result<number> {
  const inode = core.inode(file.inode);
  const node = driverOf(core, inode);
  if (node === undefined) {
    const at = offset ?? file.pos;
    const wrote = writeDevice(core, inode, data, at);
    if (wrote.ok && offset === null) core.setPos(file.id, at + wrote.value);
    return wrote;
  }
  if (node.write === undefined) return core.refused('EINVAL', 'vfs.unsupported');
  // Attributes of kernfs do not hear of a write of no bytes.
  if (data.length === 0 && core.fs(inode.sb).kernfs) return ok(0);
  const at = offset ?? file.pos;
  const wrote = node.write(task, file.id, data, at);
  const moves = offset === null && node.keepsOffset !== true;
  if (wrote.ok && moves && wrote.value > 0 && core.state.files.has(file.id))
    core.setPos(file.id, at + wrote.value);
  return wrote;
}

/**
 * A write to a regular file; content known only by its digests can be written at the start of an empty one.
 *
 * @kernel mm/filemap.c __generic_file_write_iter()
 */
export function writeContent(
  core: Core,
  task: VfsTask,
  file: OpenFile,
  data: Content,
  offset: number | null,
): Result<number> {
  const length = data.kind === 'bytes' ? data.bytes.length : data.length;
  if (length === 0) return ok(0);
  const before = core.inode(file.inode);
  const pos = (file.flags & O_APPEND) !== 0 ? dataInode(core, before).size : (offset ?? file.pos);
  if (pos + length > MAX_FILE_SIZE) return core.refused('EFBIG', 'vfs.too_big');
  if (before.immutable && core.fs(before.sb).setattr === 'disk')
    return core.refused('EPERM', 'vfs.immutable');
  const err = fileRemovePrivs(core, task, file.path);
  if (err !== 0) return fail(err);
  const target = dataInode(core, core.inode(file.inode));
  const put = putContent(core, target, data, pos);
  if (!put.ok) return put;
  const end = pos + put.value;
  const { real } = core.file(file.id);
  if (real !== null) copyAttr(core, file.inode);
  if (offset === null || (file.flags & O_APPEND) !== 0) {
    if (offset === null) core.setPos(file.id, end);
  }
  return put;
}

function putContent(core: Core, inode: Inode, data: Content, pos: number): Result<number> {
  const old = inode.content ?? NO_CONTENT;
  if (data.kind === 'opaque') {
    if (pos !== 0 || inode.size !== 0) return core.refused('EIO', 'vfs.opaque');
    core.setInode(modified(core, inode, { content: data, size: data.length }));
    return ok(data.length);
  }
  const room = sealedRoom(inode, pos, data.bytes.length);
  if (room === 0) {
    core.setInode(modified(core, inode, {}));
    return core.refused('EPERM', 'vfs.sealed');
  }
  if (old.kind === 'opaque') return core.refused('EIO', 'vfs.opaque');
  const bytes = writeAt(
    old.bytes,
    pos,
    room === data.bytes.length ? data.bytes : data.bytes.subarray(0, room),
  );
  core.setInode(modified(core, inode, { content: bytesContent(bytes), size: bytes.length }));
  return ok(room);
}

/**
 * How many bytes seals let a write store; it goes page by page.
 *
 * @kernel mm/shmem.c shmem_write_begin()
 */
function sealedRoom(inode: Inode, pos: number, length: number): number {
  if ((inode.seals & ~F_SEAL_SEAL) === 0) return length;
  if ((inode.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) return 0;
  if ((inode.seals & F_SEAL_GROW) === 0 || pos + length <= inode.size) return length;
  let done = 0;
  while (done < length) {
    const chunk = Math.min(length - done, PAGE_SIZE - ((pos + done) % PAGE_SIZE));
    if (pos + done + chunk > inode.size) break;
    done += chunk;
  }
  return done;
}

/** @kernel fs/read_write.c vfs_llseek() */
export function lseek(core: Core, id: FileId, offset: number, whence: 'set' | 'cur' | 'end'): Result<number> {
  const file = core.file(id);
  if ((file.fmode & FMODE_PATH) !== 0) return core.refused('EBADF', 'vfs.bad_mode');
  const inode = core.inode(file.inode);
  if ((inode.mode & S_IFMT) === S_IFIFO) return core.refused('ESPIPE', 'vfs.unsupported');
  if (isDir(inode) && whence === 'end' && !core.fs(inode.sb).evictable)
    return core.refused('EINVAL', 'vfs.bad_argument');
  const base = whence === 'set' ? 0 : whence === 'cur' ? file.pos : dataInode(core, inode).size;
  const pos = base + offset;
  if (pos < 0 || pos > Number.MAX_SAFE_INTEGER) return core.refused('EINVAL', 'vfs.bad_argument');
  core.setPos(id, pos);
  return ok(pos);
}

/**
 * Writes an inode back: it is clean, and shared mappings will tell of their next store again.
 *
 * @kernel fs/sync.c vfs_fsync()
 */
export function fsync(core: Core, id: FileId): Err {
  const file = core.file(id);
  if ((file.fmode & FMODE_PATH) !== 0) return core.refuse('EBADF', 'vfs.bad_mode');
  const inode = core.inode(file.inode);
  if ((inode.mode & S_IFMT) === S_IFBLK) return deviceSync(core, blockDevice(core, inode.rdev)?.name ?? '');
  writeBack(core, dataInode(core, inode).key);
  if (inode.dirtied >= 0) core.setInode({ ...core.inode(inode.key), dirtied: -1 });
  if (core.fs(dataInode(core, inode).sb).mkwrite)
    for (const m of core.state.mappings.values())
      if (m.shared && m.pages.length > 0 && m.file !== null && core.file(m.file).inode === file.inode)
        core.setMapping({ ...m, pages: [] });
  return 0;
}

/** All bytes of a content, where they are known. */
export function bytesOf(content: Content): Uint8Array | undefined {
  return content.kind === 'bytes' ? content.bytes : undefined;
}
