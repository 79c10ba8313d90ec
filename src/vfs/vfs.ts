// The VFS's face to the kernel and the integrity rooms: every system call on files as one method, with one
// trace event at the most. The work is done in the files beside this one; this one resolves paths and
// descriptors and names the events.

import { Map as ImmutableMap } from 'immutable';
import type { Timespec } from '../base/clock.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import type { EventData } from '../base/trace.ts';
import type {
  MmapRequest,
  MountRequest,
  OpenIntent,
  PopulateNode,
  Stat,
  SuperblockOptions,
  VfsApi,
  VfsEnv,
} from './api.ts';
import * as attr from './attr.ts';
import {
  changeBelow,
  dropPages,
  mirrorBlocks,
  newBlockLayer,
  setDiskLayout,
  settleDisks,
  touchPages,
} from './blocks.ts';
import { CAP_LINUX_IMMUTABLE, MAY_READ } from './constants.ts';
import { NO_CONTENT } from './content.ts';
import { Core } from './core.ts';
import * as create from './create.ts';
import { dPath } from './dcache.ts';
import { verityEnable, verityMeasure } from './fsverity.ts';
import { dropCaches } from './inode.ts';
import * as links from './links.ts';
import * as memfd from './memfd.ts';
import * as memory from './mmap.ts';
import * as mounts from './mounts.ts';
import { pathLookup } from './namei.ts';
import * as opening from './open.ts';
import { metaInode } from './overlay.ts';
import { OVERLAY } from './overlay-write.ts';
import { capable, inodePermission, isDir, isLink, isReg, mntWantWrite, ownerOrCapable } from './perm.ts';
import { depopulate, listDirectory, populate, statOf } from './populate.ts';
import * as io from './readwrite.ts';
import type {
  BlockDevice,
  Content,
  DiskLayout,
  FileId,
  Inode,
  InodeKey,
  Mapping,
  MappingId,
  Mount,
  MountId,
  NsId,
  OpenFile,
  PathRef,
  SbId,
  Superblock,
  VfsState,
  VfsTask,
} from './types.ts';
import { FMODE_PATH, FMODE_WRITE } from './types.ts';
import * as xattr from './xattr.ts';
import { findXattr } from './xattr-store.ts';

/** The state before anything is mounted. */
export function newVfs(): VfsState {
  return {
    blocks: newBlockLayer(),
    superblocks: ImmutableMap<SbId, Superblock>(),
    mounts: ImmutableMap<MountId, Mount>(),
    dentries: ImmutableMap(),
    inodes: ImmutableMap<InodeKey, Inode>(),
    files: ImmutableMap<FileId, OpenFile>(),
    mappings: ImmutableMap<MappingId, Mapping>(),
    devices: ImmutableMap<string, BlockDevice>(),
    mountedOn: ImmutableMap<string, MountId>(),
    nextId: 1,
    shmMount: null,
    sysctl: { protectedSymlinks: 1, protectedHardlinks: 1, protectedFifos: 0, protectedRegular: 0 },
    iunique: 2,
    anonDev: 0,
    namespaces: ImmutableMap<NsId, number>(),
  };
}

/** @kernel include/linux/fs.h struct file_operations */
export class Vfs extends Core implements VfsApi {
  constructor(state: VfsState, env: VfsEnv) {
    super(state, env, OVERLAY);
  }

  // -- set-up, devices, mounts

  createSuperblock(options: SuperblockOptions): SbId {
    return mounts.createSuperblock(this, options);
  }

  addDevice(name: string, rdev: number, sb: SbId | null): void {
    mounts.addDevice(this, name, rdev, sb);
  }

  removeDevice(name: string): void {
    this.state = { ...this.state, devices: this.state.devices.delete(name) };
  }

  attach(sb: SbId, ns: NsId, on: PathRef | null): PathRef {
    return mounts.attach(this, sb, ns, on);
  }

  mount(task: VfsTask, request: MountRequest): Err {
    this.current = task;
    const { source, target, type, flags } = request;
    return this.finish('vfs.mount', mounts.mount(this, task, request), { source, target, type, flags });
  }

  umount(task: VfsTask, path: string, detach = false): Err {
    this.current = task;
    return this.finish('vfs.umount', mounts.umount(this, task, path, detach), { path });
  }

  cloneNs(task: VfsTask): { readonly ns: NsId; readonly root: PathRef; readonly cwd: PathRef } {
    return mounts.cloneNs(this, task);
  }

  // -- names

  lookup(
    task: VfsTask,
    path: string,
    options?: { readonly follow?: boolean; readonly directory?: boolean },
  ): Result<PathRef> {
    return this.#result('vfs.lookup', pathLookup(this, task, path, options), { path });
  }

  dPath(path: PathRef, options: { readonly deleted?: boolean; readonly root?: PathRef } = {}): string {
    return dPath(this, path, options);
  }

  permission(task: VfsTask, path: PathRef, mask: number): Err {
    const inode = this.inodeOf(path);
    return this.ended('vfs.permission', inodePermission(this, task, inode, mask), { ino: inode.ino, mask });
  }

  readlink(task: VfsTask, path: string): Result<string> {
    const at = pathLookup(this, task, path, { follow: false });
    const out = at.ok ? this.#target(task, at.value) : at;
    return this.#result('vfs.readlink', out, { path });
  }

  #target(task: VfsTask, path: PathRef): Result<string> {
    const inode = this.inodeOf(path);
    if (!isLink(inode)) return this.refused('EINVAL', 'vfs.bad_argument');
    const jump = inode.pseudo === null ? undefined : this.env.pseudo.find(inode.pseudo)?.link?.(task);
    if (jump === undefined) return ok(inode.target ?? '');
    if (!jump.ok) return jump;
    return ok(typeof jump.value === 'string' ? jump.value : dPath(this, jump.value, { deleted: true }));
  }

  // -- files

  open(
    task: VfsTask,
    path: string,
    flags: number,
    mode: number,
    intent: OpenIntent = 'user',
  ): Result<FileId> {
    this.current = task;
    const opened = opening.open(this, task, path, flags, mode, intent);
    if (!opened.ok) this.finish('vfs.open', opened.errno, { path, flags });
    else this.finish('vfs.open', 0, { path, flags, file: opened.value, ino: this.#ino(opened.value) });
    return opened;
  }

  openPath(task: VfsTask, path: PathRef, flags: number, intent: OpenIntent = 'user'): Result<FileId> {
    this.current = task;
    const opened = opening.openPath(this, task, path, flags, intent);
    const { dentry } = path;
    if (!opened.ok) this.finish('vfs.open', opened.errno, { dentry, flags });
    else this.finish('vfs.open', 0, { dentry, flags, file: opened.value, ino: this.#ino(opened.value) });
    return opened;
  }

  #ino(file: FileId): number {
    return this.inode(this.file(file).inode).ino;
  }

  get(file: FileId): void {
    opening.get(this, file);
  }

  put(task: VfsTask, file: FileId): void {
    this.current = task;
    const { mount } = this.file(file).path;
    if (opening.put(this, task, file)) {
      if (this.mountOf(mount).ns < 0) mounts.mntput(this, mount);
      this.finish('vfs.release', 0, { file });
    }
  }

  read(task: VfsTask, file: FileId, length: number): Result<Uint8Array> {
    this.current = task;
    return this.#result('vfs.read', io.read(this, task, file, length, null), { file });
  }

  pread(task: VfsTask, file: FileId, length: number, offset: number): Result<Uint8Array> {
    this.current = task;
    return this.#result('vfs.read', io.read(this, task, file, length, offset), { file, offset });
  }

  write(task: VfsTask, file: FileId, data: Uint8Array): Result<number> {
    this.current = task;
    return this.#changed('vfs.write', io.write(this, task, file, data, null), { file, length: data.length });
  }

  pwrite(task: VfsTask, file: FileId, data: Uint8Array, offset: number): Result<number> {
    this.current = task;
    const wrote = io.write(this, task, file, data, offset);
    return this.#changed('vfs.write', wrote, { file, length: data.length, offset });
  }

  writeContent(task: VfsTask, file: FileId, content: Content): Result<number> {
    this.current = task;
    const open = this.file(file);
    const length = content.kind === 'bytes' ? content.bytes.length : content.length;
    const wrote =
      (open.fmode & FMODE_WRITE) === 0
        ? this.refused('EBADF', 'vfs.bad_mode')
        : io.writeContent(this, task, open, content, null);
    return this.#changed('vfs.write', wrote, { file, length });
  }

  lseek(file: FileId, offset: number, whence: 'set' | 'cur' | 'end'): Result<number> {
    return this.#result('vfs.lseek', io.lseek(this, file, offset, whence), { file });
  }

  fsync(file: FileId): Err {
    return this.ended('vfs.fsync', io.fsync(this, file), { file });
  }

  truncate(task: VfsTask, path: string, length: number): Err {
    this.current = task;
    return this.finish('vfs.truncate', this.#truncate(task, path, length), { path, length });
  }

  #truncate(task: VfsTask, path: string, length: number): Err {
    if (length < 0) return this.refuse('EINVAL', 'vfs.bad_argument');
    const at = pathLookup(this, task, path);
    return at.ok ? attr.truncate(this, task, at.value, length) : at.errno;
  }

  ftruncate(task: VfsTask, file: FileId, length: number): Err {
    this.current = task;
    return this.finish('vfs.truncate', this.#ftruncate(task, file, length), { file, length });
  }

  #ftruncate(task: VfsTask, id: FileId, length: number): Err {
    if (length < 0) return this.refuse('EINVAL', 'vfs.bad_argument');
    const file = this.file(id);
    if ((file.fmode & FMODE_PATH) !== 0) return this.refuse('EBADF', 'vfs.bad_mode');
    const inode = this.inode(file.inode);
    if (!isReg(inode)) return this.refuse('EINVAL', 'vfs.bad_mode');
    if ((file.fmode & FMODE_WRITE) === 0) return this.refuse('EINVAL', 'vfs.bad_mode');
    if (inode.appendOnly) return this.refuse('EPERM', 'vfs.append_only');
    const err = this.env.hooks.fileTruncate(task, id);
    return err !== 0 ? err : attr.doTruncate(this, task, file.path, length, true);
  }

  memfdCreate(task: VfsTask, name: string, flags: number): Result<FileId> {
    return this.#changed('vfs.memfd_create', memfd.memfdCreate(this, task, name, flags), { name, flags });
  }

  addSeals(file: FileId, seals: number): Err {
    return this.finish('vfs.add_seals', memfd.addSeals(this, file, seals), { file, seals });
  }

  verityEnable(
    task: VfsTask,
    file: FileId,
    options: {
      readonly algorithm: number;
      readonly blockSize: number;
      readonly salt: Uint8Array;
      readonly signature: Uint8Array;
    },
  ): Err {
    return this.finish('vfs.verity_enable', verityEnable(this, task, file, options), { file });
  }

  verityMeasure(file: FileId): Result<{ readonly algorithm: number; readonly digest: Uint8Array }> {
    return this.#result('vfs.verity_measure', verityMeasure(this, file), { file });
  }

  settleDisks(): void {
    settleDisks(this);
  }

  dropPages(): void {
    dropPages(this);
  }

  changeBelow(inode: InodeKey, offset: number, data: Uint8Array): Err {
    return this.ended('vfs.block_change', changeBelow(this, inode, offset, data), { inode });
  }

  setDiskLayout(device: string, sb: SbId, layout: DiskLayout): void {
    setDiskLayout(this, device, sb, layout);
  }

  mirrorBlocks(from: InodeKey, to: InodeKey, sb: SbId): void {
    mirrorBlocks(this, from, to, sb);
  }

  dropCaches(): void {
    dropCaches(this);
  }

  // -- metadata

  stat(task: VfsTask, path: string, follow = true): Result<Stat> {
    const at = pathLookup(this, task, path, { follow });
    const got = at.ok ? this.#stat(task, at.value) : at;
    return this.#result('vfs.stat', got, { path });
  }

  /** @kernel fs/stat.c vfs_getattr() */
  #stat(task: VfsTask, at: PathRef): Result<Stat> {
    const refused = this.env.hooks.inodeGetattr?.(task, at) ?? 0;
    if (refused !== 0) return this.refused(refused, 'vfs.refused_by_hook');
    return ok(statOf(this, this.dentry(at.dentry).inode));
  }

  fstat(file: FileId): Stat {
    return statOf(this, this.file(file).inode);
  }

  /** The place that a path or an open file names; O_PATH files have none for operations on metadata. */
  #place(task: VfsTask, target: string | FileId): Result<PathRef> {
    if (typeof target === 'string') return pathLookup(this, task, target);
    const file = this.file(target);
    return (file.fmode & FMODE_PATH) !== 0 ? this.refused('EBADF', 'vfs.bad_mode') : ok(file.path);
  }

  #on(task: VfsTask, target: string | FileId, run: (path: PathRef) => Err): Err {
    const at = this.#place(task, target);
    return at.ok ? run(at.value) : at.errno;
  }

  chmod(task: VfsTask, target: string | FileId, mode: number): Err {
    this.current = task;
    const err = this.#on(task, target, (path) => attr.chmod(this, task, path, mode));
    return this.finish('vfs.chmod', err, { target, mode });
  }

  chown(task: VfsTask, target: string | FileId, uid: number, gid: number): Err {
    this.current = task;
    const err = this.#on(task, target, (path) => attr.chown(this, task, path, uid, gid));
    return this.finish('vfs.chown', err, { target, uid, gid });
  }

  utimes(task: VfsTask, path: string, time: Timespec | null): Err {
    this.current = task;
    const err = this.#on(task, path, (at) => attr.utimes(this, task, at, time));
    return this.finish('vfs.utimes', err, { path });
  }

  setxattr(task: VfsTask, target: string | FileId, name: string, value: Uint8Array, flags: number): Err {
    this.current = task;
    let err = xattr.checkXattrArguments(this, name, value, flags);
    if (err === 0)
      err = this.#on(task, target, (path) => xattr.setxattr(this, task, path, name, value.slice(), flags));
    return this.finish('vfs.setxattr', err, { target, name });
  }

  getxattr(task: VfsTask, target: string | FileId, name: string): Result<Uint8Array> {
    const bad = xattr.checkXattrName(this, name);
    if (bad !== 0) return this.#result('vfs.getxattr', fail(bad), { target, name });
    const at = this.#place(task, target);
    const got = at.ok ? this.#getxattr(task, at.value, name) : at;
    return this.#result('vfs.getxattr', got, { target, name });
  }

  /** @kernel fs/xattr.c vfs_getxattr(), xattr_getsecurity() */
  #getxattr(task: VfsTask, at: PathRef, name: string): Result<Uint8Array> {
    const { hooks } = this.env;
    const { inode } = this.dentry(at.dentry);
    const refused = hooks.inodeGetxattr?.(task, at, inode, name) ?? 0;
    if (refused !== 0) return this.refused(refused, 'vfs.refused_by_hook');
    const kept = hooks.inodeGetsecurity?.(inode, name);
    return kept === undefined ? xattr.getxattr(this, task, at, name) : ok(kept);
  }

  listxattr(task: VfsTask, target: string | FileId): Result<readonly string[]> {
    const at = this.#place(task, target);
    return this.#result('vfs.listxattr', at.ok ? xattr.listxattr(this, task, at.value) : at, { target });
  }

  removexattr(task: VfsTask, target: string | FileId, name: string): Err {
    this.current = task;
    let err = xattr.checkXattrName(this, name);
    if (err === 0) err = this.#on(task, target, (path) => xattr.removexattr(this, task, path, name));
    return this.finish('vfs.removexattr', err, { target, name });
  }

  setGeneration(task: VfsTask, file: FileId, generation: number): Err {
    return this.finish('vfs.set_generation', this.#setGeneration(task, file, generation), {
      file,
      generation,
    });
  }

  /** FS_IOC_SETVERSION: the owner, on a writable mount of a file system that has generations. */
  #setGeneration(task: VfsTask, id: FileId, generation: number): Err {
    const file = this.file(id);
    if ((file.fmode & FMODE_PATH) !== 0) return this.refuse('EBADF', 'vfs.bad_mode');
    const inode = this.inode(file.inode);
    if (!this.fs(inode.sb).generation) return this.refuse('ENOTTY', 'vfs.unsupported');
    if (!ownerOrCapable(this, task.cred, inode)) return this.refuse('EPERM', 'vfs.not_owner');
    const ro = mntWantWrite(this, this.mountOf(file.path.mount));
    if (ro !== 0) return ro;
    memfd.stampIoctl(this, file.inode, { generation: generation >>> 0 });
    return 0;
  }

  setImmutable(task: VfsTask, file: FileId, immutable: boolean): Err {
    return this.finish('vfs.set_flags', this.#setFlags(task, file, { immutable }), { file, immutable });
  }

  setAppendOnly(task: VfsTask, file: FileId, appendOnly: boolean): Err {
    return this.finish('vfs.set_flags', this.#setFlags(task, file, { appendOnly }), { file, appendOnly });
  }

  /** FS_IOC_SETFLAGS: the owner, and CAP_LINUX_IMMUTABLE where one of the two flags changes. */
  #setFlags(task: VfsTask, id: FileId, patch: { immutable?: boolean; appendOnly?: boolean }): Err {
    const file = this.file(id);
    if ((file.fmode & FMODE_PATH) !== 0) return this.refuse('EBADF', 'vfs.bad_mode');
    const inode = this.inode(file.inode);
    if (!this.fs(inode.sb).inodeFlags) return this.refuse('ENOTTY', 'vfs.unsupported');
    const ro = mntWantWrite(this, this.mountOf(file.path.mount));
    if (ro !== 0) return ro;
    if (!ownerOrCapable(this, task.cred, inode)) return this.refuse('EPERM', 'vfs.not_owner');
    const next = { ...inode, ...patch };
    if (next.immutable === inode.immutable && next.appendOnly === inode.appendOnly) return 0;
    if (!capable(task.cred, CAP_LINUX_IMMUTABLE)) return this.refuse('EPERM', 'vfs.no_capability');
    memfd.stampIoctl(this, file.inode, patch);
    return 0;
  }

  // -- directory tree

  mkdir(task: VfsTask, path: string, mode: number): Err {
    this.current = task;
    return this.finish('vfs.mkdir', create.mkdir(this, task, path, mode), { path, mode });
  }

  mknod(task: VfsTask, path: string, mode: number, rdev: number): Err {
    this.current = task;
    return this.finish('vfs.mknod', create.mknod(this, task, path, mode, rdev), { path, mode });
  }

  symlink(task: VfsTask, target: string, path: string): Err {
    this.current = task;
    return this.finish('vfs.symlink', create.symlink(this, task, target, path), { path, target });
  }

  link(task: VfsTask, path: string, to: string): Err {
    this.current = task;
    const source = links.linkSource(this, task, path);
    const err = source.ok ? links.link(this, task, source.value, to) : source.errno;
    return this.finish('vfs.link', err, { path, to });
  }

  linkFile(task: VfsTask, file: FileId, to: string): Err {
    return this.finish('vfs.link', links.link(this, task, this.file(file).path, to), { file, to });
  }

  unlink(task: VfsTask, path: string): Err {
    this.current = task;
    return this.finish('vfs.unlink', links.unlink(this, task, path), { path });
  }

  rmdir(task: VfsTask, path: string): Err {
    this.current = task;
    return this.finish('vfs.rmdir', links.rmdir(this, task, path), { path });
  }

  rename(task: VfsTask, path: string, to: string, flags = 0): Err {
    this.current = task;
    return this.finish('vfs.rename', links.rename(this, task, path, to, flags), { path, to });
  }

  readdir(task: VfsTask, path: string): Result<readonly { readonly name: string; readonly mode: number }[]> {
    return this.#result('vfs.readdir', this.#readdir(task, path), { path });
  }

  #readdir(task: VfsTask, path: string): Result<readonly { readonly name: string; readonly mode: number }[]> {
    const at = pathLookup(this, task, path);
    if (!at.ok) return at;
    const { inode: key } = this.dentry(at.value.dentry);
    const inode = this.inode(key);
    if (!isDir(inode)) return this.refused('ENOTDIR', 'vfs.not_directory');
    const denied = inodePermission(this, task, inode, MAY_READ);
    return denied !== 0 ? fail(denied) : ok(listDirectory(this, key));
  }

  // -- memory

  mmap(task: VfsTask, request: MmapRequest): Result<MappingId> {
    const { file, prot, shared } = request;
    return this.#changed('vfs.mmap', memory.mmap(this, task, request), { file, prot, shared });
  }

  mprotect(task: VfsTask, mapping: MappingId, prot: number, readImpliesExec = false): Err {
    const err = memory.mprotect(this, task, mapping, prot, readImpliesExec);
    return this.finish('vfs.mprotect', err, { mapping, prot });
  }

  mlock(mapping: MappingId): Err {
    return this.finish('vfs.mlock', memory.mlock(this, mapping), { mapping });
  }

  munmap(task: VfsTask, mapping: MappingId): Err {
    return this.finish('vfs.munmap', memory.munmap(this, task, mapping), { mapping });
  }

  dupMapping(mapping: MappingId): MappingId {
    return memory.dupMapping(this, mapping);
  }

  poke(mapping: MappingId, offset: number, data: Uint8Array): Err {
    const err = memory.poke(this, mapping, offset, data);
    return this.finish('vfs.store', err, { mapping, offset, length: data.length });
  }

  peek(mapping: MappingId, offset: number, length: number): Result<Uint8Array> {
    return this.#result('vfs.load', memory.peek(this, mapping, offset, length), { mapping, offset, length });
  }

  // -- for hooks and the kernel: no permission check, no hook

  inodeOf(path: PathRef): Inode {
    return this.inode(this.dentry(path.dentry).inode);
  }

  contentOf(key: InodeKey): Content {
    const inode = io.dataInode(this, this.inode(key));
    if (this.state.blocks.files.size > 0) touchPages(this, inode.key);
    return inode.content ?? NO_CONTENT;
  }

  rawGetxattr(key: InodeKey, name: string): Uint8Array | undefined {
    return findXattr(metaInode(this, this.inode(key)), name);
  }

  rawSetxattr(key: InodeKey, name: string, value: Uint8Array): Err {
    const overlay = this.#overlayXattr(key, name, value);
    const err = overlay ?? xattr.storeXattr(this, key, name, value, 0);
    this.why = null;
    return err;
  }

  /** On an overlay the layer's own setxattr runs, with its hooks and as the mounter; null elsewhere. */
  #overlayXattr(key: InodeKey, name: string, value: Uint8Array | null): Err | null {
    if (this.inode(key).layers === null || this.current === null) return null;
    for (const dentry of this.state.dentries.values())
      if (dentry.inode === key) return xattr.overlayXattrSet(this, this.current, dentry.id, name, value, 0);
    return null;
  }

  rawRemovexattr(key: InodeKey, name: string): Err {
    const err = this.#overlayXattr(key, name, null) ?? xattr.eraseXattr(this, key, name);
    this.why = null;
    return err;
  }

  denyWrite(key: InodeKey): Err {
    const inode = this.inode(key);
    if (inode.iWritecount > 0)
      return this.ended('vfs.deny_write', this.refuse('ETXTBSY', 'vfs.text_busy'), { ino: inode.ino });
    this.setInode({ ...inode, iWritecount: inode.iWritecount - 1 });
    return 0;
  }

  allowWrite(key: InodeKey): void {
    const inode = this.inode(key);
    this.setInode({ ...inode, iWritecount: inode.iWritecount + 1 });
  }

  mappedWritable(key: InodeKey): boolean {
    return this.inode(key).mmapWritable > 0;
  }

  populate(root: PathRef, path: string, node: PopulateNode): PathRef {
    return populate(this, root, path, node);
  }

  depopulate(path: PathRef): void {
    depopulate(this, path);
  }

  updateInode(key: InodeKey, patch: Partial<Inode>): void {
    this.setInode({ ...this.inode(key), ...patch });
  }

  updateSuperblock(id: SbId, patch: Partial<Superblock>): void {
    this.setSuperblock({ ...this.superblock(id), ...patch });
  }

  updateDevice(name: string, patch: Partial<BlockDevice>): void {
    const device = this.state.devices.get(name);
    if (device !== undefined)
      this.state = { ...this.state, devices: this.state.devices.set(name, { ...device, ...patch }) };
  }

  updateFile(id: FileId, patch: Partial<OpenFile>): void {
    this.setFile({ ...this.file(id), ...patch });
  }

  #result<T>(kind: string, result: Result<T>, data: EventData): Result<T> {
    this.ended(kind, result.ok ? 0 : result.errno, data);
    return result;
  }

  #changed<T>(kind: string, result: Result<T>, data: EventData): Result<T> {
    this.finish(kind, result.ok ? 0 : result.errno, data);
    return result;
  }
}
