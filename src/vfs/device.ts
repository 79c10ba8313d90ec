// Special files: the memory devices, block devices by the number they were added with, and whatever the
// registry of pseudo files knows as `chr:MAJOR:MINOR` or `blk:MAJOR:MINOR`. Terminals swallow what is
// written; other drivers are not there.

import { EMPTY } from '../base/bytes.ts';
import { type Err, ok, type Result } from '../base/errno.ts';
import type { PseudoNode } from './api.ts';
import { deviceRead, deviceWrite } from './blocks.ts';
import { S_IFBLK, S_IFMT } from './constants.ts';
import type { Core } from './core.ts';
import type { BlockDevice, Inode, OpenFile, VfsTask } from './types.ts';
import { readVerified } from './verified-device.ts';

/** @kernel include/linux/kdev_t.h new_decode_dev() */
export const major = (rdev: number): number => (rdev >>> 8) & 0xfff;
export const minor = (rdev: number): number => (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
export const makedev = (maj: number, min: number): number =>
  ((min & 0xff) | ((maj & 0xfff) << 8) | ((min & ~0xff) << 12)) >>> 0;

const isBlock = (inode: Inode): boolean => (inode.mode & S_IFMT) === S_IFBLK;

/** Character devices that need no driver of their own. */
type Memory = 'null' | 'zero' | 'full' | 'random' | 'tty';

function memoryDevice(rdev: number): Memory | undefined {
  const min = minor(rdev);
  if (major(rdev) === 1) {
    if (min === 3) return 'null';
    if (min === 5) return 'zero';
    if (min === 7) return 'full';
    if (min === 8 || min === 9) return 'random';
    return min === 11 ? 'tty' : undefined;
  }
  return major(rdev) === 4 || major(rdev) === 5 ? 'tty' : undefined;
}

/** The device with a number. */
export function blockDevice(core: Core, rdev: number): BlockDevice | undefined {
  for (const device of core.state.devices.values()) if (device.rdev === rdev) return device;
  return undefined;
}

/** The driver behind a special file, where the registry has one. */
export function driverOf(core: Core, inode: Inode): PseudoNode | undefined {
  if (inode.pseudo !== null) return core.env.pseudo.find(inode.pseudo);
  const kind = isBlock(inode) ? 'blk' : 'chr';
  return core.env.pseudo.find(`${kind}:${major(inode.rdev)}:${minor(inode.rdev)}`);
}

/** @kernel fs/char_dev.c chrdev_open() */
export function openDevice(core: Core, task: VfsTask, file: OpenFile, inode: Inode, flags: number): Err {
  const driver = driverOf(core, inode);
  if (driver !== undefined) return driver.open?.(task, file.id, flags) ?? 0;
  if (isBlock(inode)) {
    const device = blockDevice(core, inode.rdev);
    // A read-only disk can be opened for writing; the writes fail.
    return device === undefined ? core.refuse('ENXIO', 'vfs.no_device') : 0;
  }
  return memoryDevice(inode.rdev) === undefined ? core.refuse('ENXIO', 'vfs.no_device') : 0;
}

/** @kernel drivers/char/mem.c read_zero() */
export function readDevice(core: Core, inode: Inode, length: number, pos: number): Result<Uint8Array> {
  if (isBlock(inode)) {
    const device = blockDevice(core, inode.rdev);
    const known = device === undefined || device.unreadable === true ? undefined : device.name;
    if (known === undefined) return core.refused('EIO', 'vfs.io');
    if (device?.opened !== undefined) return readVerified(core, device, device.opened, length, pos);
    const bytes = deviceRead(core, known, pos, length);
    if (bytes !== undefined) return ok(bytes);
    const whole = core.env.deviceContent?.(known);
    return whole === undefined ? core.refused('EIO', 'vfs.io') : ok(whole.subarray(pos, pos + length));
  }
  switch (memoryDevice(inode.rdev)) {
    case 'zero':
    case 'full':
      return ok(new Uint8Array(length));
    case 'random':
      return ok(core.env.random.bytes(length));
    default:
      return ok(EMPTY);
  }
}

/** @kernel drivers/char/mem.c write_null() */
export function writeDevice(core: Core, inode: Inode, data: Uint8Array, pos: number): Result<number> {
  const { length } = data;
  if (isBlock(inode)) {
    const device = blockDevice(core, inode.rdev);
    return device === undefined ? core.refused('EIO', 'vfs.io') : deviceWrite(core, device.name, pos, data);
  }
  if (memoryDevice(inode.rdev) === 'full') return core.refused('ENOSPC', 'vfs.no_space');
  return ok(length);
}
