// Steps of those who have a disk in their hands while the machine runs: blocks change below a file system
// that is in use, and the kernel takes cached pages back. No task of the machine does this, so no hook sees
// it.

import * as z from 'zod';
import type { VfsApi } from '../../vfs/api.ts';
import type { Inode, Superblock } from '../../vfs/types.ts';
import { bytesOf, DATA, NUMBER, num, type OpResult, result } from '../ops/types.ts';
import { defineStep, type StepContext } from './types.ts';

const DISK = z.string().describe('Name of the disk, such as vdc.');
const INSIDE = z.string().describe('Path from the root of the disk.');

function vfsOf(context: StepContext): VfsApi {
  return (context.session.machine as unknown as { readonly vfs: VfsApi }).vfs;
}

function superblockOf(vfs: VfsApi, disk: string): Superblock | null {
  const sb = vfs.state.devices.get(disk)?.sb ?? null;
  return sb === null ? null : vfs.superblock(sb);
}

/** The file at a path of a disk, mounted or not; links are not followed. */
function inodeAt(vfs: VfsApi, sb: Superblock, path: string): Inode | null {
  let inode = vfs.inode(vfs.dentry(sb.root).inode);
  for (const name of path.split('/').filter((n) => n !== '')) {
    const child = inode.children?.get(name);
    if (child === undefined) return null;
    inode = vfs.inode(vfs.dentry(child).inode);
  }
  return inode;
}

const blockWrite = defineStep({
  name: 'block_write',
  help: 'bytes of a file change on its disk, below the mounted file system; cached pages stay as they are',
  args: { disk: DISK, path: INSIDE, data: DATA, off: NUMBER.optional().describe('Default 0.') },
  run: (context, args): OpResult => {
    const vfs = vfsOf(context);
    const sb = superblockOf(vfs, args.disk);
    if (sb === null) return result('ENODEV');
    const inode = inodeAt(vfs, sb, args.path);
    if (inode === null) return result('ENOENT');
    return result(vfs.changeBelow(inode.key, num(args.off, 0), bytesOf(args.data)));
  },
});

const pressure = defineStep({
  name: 'memory_pressure',
  help: 'memory is short: the kernel gives up the clean pages of all files, and keeps the inodes',
  args: {},
  run: (context): OpResult => {
    vfsOf(context).dropPages();
    return { err: 'OK' };
  },
});

export const DISK_STEPS = [blockWrite, pressure];
