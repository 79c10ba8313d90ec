// request_firmware(): a driver asks for a file by name and the kernel reads it from its search path, with
// its own credentials and in the initial mount namespace; where there is none it can ask user space for the
// bytes through sysfs. Compressed files, built-in firmware and the platform fallback are left out.

import type { Err, Errno, Result } from '../base/errno.ts';
import { fail, negative } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { kernelReadFileFromPath } from '../integrity/kernel-read-file.ts';
import type { VfsTask } from '../vfs/types.ts';
import type { Kernel } from './kernel.ts';
import { INIT_CRED } from './state.ts';

const PATH_MAX = 4096;

/**
 * Reads the first file of that name on the search path. A file that cannot be read (or is refused by a
 * hook) is passed over; the error of the last directory is the caller's error.
 * @kernel drivers/base/firmware_loader/main.c fw_get_filesystem_firmware()
 */
export function requestFirmware(k: Kernel, task: VfsTask, name: string): Result<Uint8Array> {
  if (name === '' || name.split('/').includes('..')) return fail('EINVAL');
  const { vfs, hooks, trace, profile } = k.env;
  const root = k.state.root ?? task.root;
  const reader: VfsTask = { ...task, cred: INIT_CRED, root, cwd: root };
  const custom = k.state.sysctl.get('firmware_class.path') ?? '';
  const directories = [
    custom,
    `/lib/firmware/updates/${profile.release}`,
    '/lib/firmware/updates',
    `/lib/firmware/${profile.release}`,
    '/lib/firmware',
  ];
  let last: Errno = 'ENOENT';
  for (const directory of directories) {
    if (directory === '') continue;
    const path = `${directory}/${name}`;
    if (path.length >= PATH_MAX) {
      last = 'ENAMETOOLONG';
      continue;
    }
    const read = kernelReadFileFromPath(vfs, hooks, reader, path, 'firmware');
    if (read.ok) {
      trace.emit('kernel.firmware_loaded', { name, path });
      return read;
    }
    if (read.errno !== 'ENOENT') k.printk(`loading ${path} failed with error ${negative(read.errno)}`);
    last = read.errno;
  }
  return fail(last);
}

/** What came of asking user space: the driver's own error, and that of the program that handed the bytes over. */
export interface Fallback {
  readonly request: Err;
  readonly loading: Err;
}

/**
 * A driver asks for firmware and may fall back to user space, which answers at once: it writes the bytes to
 * `data` and ends with 0 in `loading`. Where the hooks forbid to ask, the driver sees why no file was read.
 * @kernel drivers/base/firmware_loader/fallback.c firmware_fallback_sysfs(), sysfs.c firmware_loading_store()
 * @deviation request and answer are one call; nobody else acts between them
 */
export function requestFirmwareFallback(k: Kernel, task: VfsTask, name: string, data: Uint8Array): Fallback {
  const file = requestFirmware(k, task, name);
  if (file.ok) return { request: 0, loading: 0 };
  const { hooks, profile, trace } = k.env;
  if (file.errno === 'EINVAL' || !enabled(profile, 'CONFIG_FW_LOADER_USER_HELPER'))
    return { request: file.errno, loading: 0 };
  const before = hooks.kernelLoadData(task, 'firmware', true);
  if (before !== 0) return { request: file.errno, loading: 0 };
  const after = hooks.kernelPostLoadData(task, 'firmware', data, 'blob');
  if (after !== 0) return { request: 'ENOENT', loading: after };
  trace.emit('kernel.firmware_loaded', { name, length: data.length });
  return { request: 0, loading: 0 };
}
