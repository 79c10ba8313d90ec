// request_firmware(): a driver asks for a file by name and the kernel reads it from its search path, with
// its own credentials and in the initial mount namespace. Compressed files, built-in firmware, the platform
// fallback and the sysfs fallback are left out.

import type { Errno, Result } from '../base/errno.ts';
import { fail, negative } from '../base/errno.ts';
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
