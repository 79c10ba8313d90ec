// System calls on files, directories, metadata and mounts: descriptor numbers and argument rules here, the
// work in the VFS.

import type { Err, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import type { Stat } from '../vfs/api.ts';
import { CAP_SYS_CHROOT, MAY_EXEC, MFD_CLOEXEC, O_CLOEXEC } from '../vfs/constants.ts';
import { behaviourOf } from '../vfs/filesystems.ts';
import type { FileId, PathRef } from '../vfs/types.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Task } from './state.ts';
import { SyscallBase } from './syscall-base.ts';
import { enterUserNs } from './task.ts';
import { chownIds, mungedStat } from './user-namespace.ts';

export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWUSER = 0x10000000;
const CAP_SYS_ADMIN = 21;

export class FileCalls extends SyscallBase {
  #install(opened: Result<FileId>, cloexec: boolean): Result<number> {
    return opened.ok ? ok(this.k.installFd(this.pid, opened.value, cloexec)) : opened;
  }

  open(path: string, flags: number, mode = 0): Result<number> {
    return this.result('open', { path, flags, mode }, (task) =>
      this.#install(this.k.env.vfs.open(task, path, flags, mode & 0o7777), (flags & O_CLOEXEC) !== 0),
    );
  }

  close(fd: number): Err {
    return this.err('close', { fd }, (task) => {
      const entry = task.fds.get(fd);
      if (entry === undefined) return this.badFd();
      const rest = this.k.patch(task, { fds: task.fds.delete(fd) });
      this.k.env.vfs.put(rest, entry.file);
      return 0;
    });
  }

  dup(fd: number, cloexec = true): Result<number> {
    return this.result('dup', { fd }, (task) => {
      const entry = task.fds.get(fd);
      if (entry === undefined) return fail(this.badFd());
      this.k.env.vfs.get(entry.file);
      return ok(this.k.installFd(this.pid, entry.file, cloexec));
    });
  }

  read(fd: number, length: number): Result<Uint8Array> {
    return this.fdResult('read', fd, { length }, (task, file) => this.k.env.vfs.read(task, file, length));
  }

  pread(fd: number, length: number, offset: number): Result<Uint8Array> {
    return this.fdResult('pread', fd, { length, offset }, (task, file) =>
      offset < 0 ? fail('EINVAL') : this.k.env.vfs.pread(task, file, length, offset),
    );
  }

  write(fd: number, data: Uint8Array): Result<number> {
    return this.fdResult('write', fd, { length: data.length }, (task, file) =>
      this.k.env.vfs.write(task, file, data),
    );
  }

  pwrite(fd: number, data: Uint8Array, offset: number): Result<number> {
    return this.fdResult('pwrite', fd, { length: data.length, offset }, (task, file) =>
      offset < 0 ? fail('EINVAL') : this.k.env.vfs.pwrite(task, file, data, offset),
    );
  }

  lseek(fd: number, offset: number, whence: 'set' | 'cur' | 'end'): Result<number> {
    return this.fdResult('lseek', fd, { offset, whence }, (_task, file) =>
      this.k.env.vfs.lseek(file, offset, whence),
    );
  }

  fsync(fd: number): Err {
    return this.fdErr('fsync', fd, {}, (_task, file) => this.k.env.vfs.fsync(file));
  }

  truncate(path: string, length: number): Err {
    return this.err('truncate', { path, length }, (task) =>
      length < 0 ? 'EINVAL' : this.k.env.vfs.truncate(task, path, length),
    );
  }

  ftruncate(fd: number, length: number): Err {
    if (length < 0) return this.err('ftruncate', { fd, length }, () => 'EINVAL');
    return this.fdErr('ftruncate', fd, { length }, (task, file) =>
      this.k.env.vfs.ftruncate(task, file, length),
    );
  }

  memfdCreate(name: string, flags: number): Result<number> {
    return this.result('memfd_create', { name, flags }, (task) =>
      this.#install(this.k.env.vfs.memfdCreate(task, name, flags), (flags & MFD_CLOEXEC) !== 0),
    );
  }

  addSeals(fd: number, seals: number): Err {
    return this.fdErr('add_seals', fd, { seals }, (_task, file) => this.k.env.vfs.addSeals(file, seals));
  }

  stat(path: string): Result<Stat> {
    return this.result('stat', { path }, (task) => this.#statOf(task, this.k.env.vfs.stat(task, path, true)));
  }

  lstat(path: string): Result<Stat> {
    return this.result('lstat', { path }, (task) =>
      this.#statOf(task, this.k.env.vfs.stat(task, path, false)),
    );
  }

  fstat(fd: number): Result<Stat> {
    return this.result('fstat', { fd }, (task) => {
      const entry = task.fds.get(fd);
      const got = entry === undefined ? fail(this.badFd()) : ok(this.k.env.vfs.fstat(entry.file));
      return this.#statOf(task, got);
    });
  }

  #statOf(task: Task, got: Result<Stat>): Result<Stat> {
    return got.ok ? ok(mungedStat(this.k, task, got.value)) : got;
  }

  readdir(path: string): Result<readonly { readonly name: string; readonly mode: number }[]> {
    return this.result('readdir', { path }, (task) => this.k.env.vfs.readdir(task, path));
  }

  chmod(path: string, mode: number): Err {
    return this.err('chmod', { path, mode }, (task) => this.k.env.vfs.chmod(task, path, mode));
  }

  fchmod(fd: number, mode: number): Err {
    return this.fdErr('fchmod', fd, { mode }, (task, file) => this.k.env.vfs.chmod(task, file, mode));
  }

  chown(path: string, uid: number, gid: number): Err {
    return this.err('chown', { path, uid, gid }, (task) => this.#chown(task, path, uid, gid));
  }

  fchown(fd: number, uid: number, gid: number): Err {
    return this.fdErr('fchown', fd, { uid, gid }, (task, file) => this.#chown(task, file, uid, gid));
  }

  /** A path is walked before its ids are looked at. */
  #chown(task: Task, target: string | FileId, uid: number, gid: number): Err {
    const { vfs } = this.k.env;
    const ids = chownIds(this.k, task, uid, gid);
    if (ids.ok) return vfs.chown(task, target, ids.value.uid, ids.value.gid);
    const found = typeof target === 'string' ? vfs.lookup(task, target) : ok(target);
    return found.ok ? ids.errno : found.errno;
  }

  utimes(path: string, seconds: number | null): Err {
    const time = seconds === null ? null : { sec: seconds, nsec: 0 };
    return this.err('utimes', { path, seconds }, (task) => this.k.env.vfs.utimes(task, path, time));
  }

  setxattr(path: string, name: string, value: Uint8Array, flags = 0): Err {
    return this.err('setxattr', { path, name, length: value.length, flags }, (task) =>
      this.k.env.vfs.setxattr(task, path, name, value, flags),
    );
  }

  fsetxattr(fd: number, name: string, value: Uint8Array, flags = 0): Err {
    return this.fdErr('fsetxattr', fd, { name, length: value.length, flags }, (task, file) =>
      this.k.env.vfs.setxattr(task, file, name, value, flags),
    );
  }

  getxattr(path: string, name: string): Result<Uint8Array> {
    return this.result('getxattr', { path, name }, (task) => this.k.env.vfs.getxattr(task, path, name));
  }

  listxattr(path: string): Result<readonly string[]> {
    return this.result('listxattr', { path }, (task) => this.k.env.vfs.listxattr(task, path));
  }

  removexattr(path: string, name: string): Err {
    return this.err('removexattr', { path, name }, (task) => this.k.env.vfs.removexattr(task, path, name));
  }

  mkdir(path: string, mode: number): Err {
    return this.err('mkdir', { path, mode }, (task) => this.k.env.vfs.mkdir(task, path, mode));
  }

  mknod(path: string, mode: number, rdev: number): Err {
    return this.err('mknod', { path, mode, rdev }, (task) => this.k.env.vfs.mknod(task, path, mode, rdev));
  }

  symlink(target: string, path: string): Err {
    return this.err('symlink', { target, path }, (task) => this.k.env.vfs.symlink(task, target, path));
  }

  link(path: string, to: string): Err {
    return this.err('link', { path, to }, (task) => this.k.env.vfs.link(task, path, to));
  }

  unlink(path: string): Err {
    return this.err('unlink', { path }, (task) => this.k.env.vfs.unlink(task, path));
  }

  rmdir(path: string): Err {
    return this.err('rmdir', { path }, (task) => this.k.env.vfs.rmdir(task, path));
  }

  rename(path: string, to: string): Err {
    return this.err('rename', { path, to }, (task) => this.k.env.vfs.rename(task, path, to));
  }

  mount(source: string, target: string, type: string, flags: readonly string[], data: string): Err {
    return this.err('mount', { source, target, type, flags, data }, (task) =>
      this.k.env.vfs.mount(task, { source, target, type, flags, data }),
    );
  }

  umount(path: string): Err {
    return this.err('umount', { path }, (task) => this.k.env.vfs.umount(task, path));
  }

  /** A directory that the task may make its own. */
  #directory(task: Task, path: string): Result<PathRef> {
    const { vfs } = this.k.env;
    const found = vfs.lookup(task, path, { directory: true });
    if (!found.ok) return found;
    const denied = vfs.permission(task, found.value, MAY_EXEC);
    return denied === 0 ? found : fail(denied);
  }

  /** @kernel fs/open.c chroot() */
  chroot(path: string): Err {
    return this.err('chroot', { path }, (task) => {
      const found = this.#directory(task, path);
      if (!found.ok) return found.errno;
      if ((task.cred.caps & (1n << BigInt(CAP_SYS_CHROOT))) === 0n) {
        return this.k.refuse('EPERM', KERNEL_REASON['kernel.not_capable'], { capability: 'CAP_SYS_CHROOT' });
      }
      this.k.patch(task, { root: found.value });
      return 0;
    });
  }

  /** @kernel fs/open.c chdir() */
  chdir(path: string): Err {
    return this.err('chdir', { path }, (task) => {
      const found = this.#directory(task, path);
      if (!found.ok) return found.errno;
      this.k.patch(task, { cwd: found.value });
      return 0;
    });
  }

  umask(mask: number): number {
    const task = this.k.task(this.pid);
    this.err('umask', { mask }, (t) => {
      this.k.patch(t, { umask: mask & 0o777 });
      return 0;
    });
    return task?.umask ?? 0;
  }

  /**
   * New user namespace first (its capabilities then allow the new mount namespace).
   * @kernel kernel/fork.c ksys_unshare()
   */
  unshare(flags: number): Err {
    return this.err('unshare', { flags }, (task) => {
      if ((flags & ~(CLONE_NEWNS | CLONE_NEWUSER)) !== 0) return 'EINVAL';
      const { vfs } = this.k.env;
      let now = task;
      if ((flags & CLONE_NEWUSER) !== 0) {
        const made = enterUserNs(this.k, task);
        if (!made.ok) return made.errno;
        now = made.value;
      } else if (flags !== 0 && (task.cred.caps & (1n << BigInt(CAP_SYS_ADMIN))) === 0n) {
        return this.k.refuse('EPERM', KERNEL_REASON['kernel.not_capable'], { capability: 'CAP_SYS_ADMIN' });
      }
      if ((flags & CLONE_NEWNS) === 0) return 0;
      const moved = vfs.cloneNs(now);
      this.k.patch(now, { ns: moved.ns, root: moved.root, cwd: moved.cwd });
      return 0;
    });
  }

  getVersion(fd: number): Result<number> {
    return this.fdResult('getversion', fd, {}, (_task, file) => {
      const { vfs } = this.k.env;
      const inode = vfs.inode(vfs.file(file).inode);
      const known = behaviourOf(vfs.superblock(inode.sb).type).generation;
      return known ? ok(inode.generation) : fail('ENOTTY');
    });
  }

  setVersion(fd: number, generation: number): Err {
    return this.fdErr('setversion', fd, { generation }, (task, file) =>
      this.k.env.vfs.setGeneration(task, file, generation),
    );
  }
}
