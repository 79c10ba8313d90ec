// kernel_read_file(): the kernel reads a whole regular file for itself (module, firmware, policy,
// certificate) with writers denied and the two security hooks around the read. Partial reads into a small
// buffer are left out: nothing modelled asks for them.

import { type Err, fail, ok, type Result } from '../base/errno.ts';
import type { VfsApi } from '../vfs/api.ts';
import { O_RDONLY, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import { isUnreadable } from '../vfs/content.ts';
import type { KernelReadId, SecurityHooks } from '../vfs/hooks.ts';
import type { FileId, VfsTask } from '../vfs/types.ts';

/** The two hooks around a read. */
export type KernelReadHooks = Pick<SecurityHooks, 'kernelReadFile' | 'kernelPostReadFile'>;

function readWhole(
  vfs: VfsApi,
  hooks: KernelReadHooks,
  task: VfsTask,
  file: FileId,
  id: KernelReadId,
): Result<Uint8Array> {
  const size = vfs.inode(vfs.file(file).inode).size;
  if (size <= 0) return fail('EINVAL');
  const before = hooks.kernelReadFile(task, file, id, true);
  if (before !== 0) return fail(before);
  const content = vfs.contentOf(vfs.file(file).inode);
  // A content known by its digests only has no bytes to hand on; the hooks find its digests through the file.
  let data = new Uint8Array(0);
  if (content.kind === 'bytes' || isUnreadable(content)) {
    const read = vfs.pread(task, file, size, 0);
    if (!read.ok) return read;
    if (read.value.length !== size) return fail('EIO');
    const whole = content.kind === 'bytes' && content.bytes.length === size;
    data = whole ? (content.bytes as Uint8Array<ArrayBuffer>) : read.value.slice();
  }
  const after: Err = hooks.kernelPostReadFile(task, file, id, data);
  return after !== 0 ? fail(after) : ok(data);
}

/**
 * Reads an open file: ETXTBSY while somebody has it open for writing, EINVAL when it is empty or not regular.
 * @kernel fs/kernel_read_file.c kernel_read_file()
 */
export function kernelReadFile(
  vfs: VfsApi,
  hooks: KernelReadHooks,
  task: VfsTask,
  file: FileId,
  id: KernelReadId,
): Result<Uint8Array> {
  const key = vfs.file(file).inode;
  if ((vfs.inode(key).mode & S_IFMT) !== S_IFREG) return fail('EINVAL');
  const denied = vfs.denyWrite(key);
  if (denied !== 0) return fail(denied);
  const result = readWhole(vfs, hooks, task, file, id);
  vfs.allowWrite(key);
  return result;
}

/**
 * Opens a path as the acting task sees it and reads it.
 * @kernel fs/kernel_read_file.c kernel_read_file_from_path()
 */
export function kernelReadFileFromPath(
  vfs: VfsApi,
  hooks: KernelReadHooks,
  task: VfsTask,
  path: string,
  id: KernelReadId,
): Result<Uint8Array> {
  if (path === '') return fail('EINVAL');
  const opened = vfs.open(task, path, O_RDONLY, 0, 'kernel');
  if (!opened.ok) return opened;
  const result = kernelReadFile(vfs, hooks, task, opened.value, id);
  vfs.put(task, opened.value);
  return result;
}
