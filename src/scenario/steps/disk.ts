// Steps of those who have a disk in their hands: files of a disk that is not mounted are changed by another
// computer, blocks change below a file system that is in use, and the kernel takes cached pages back. No
// task of the machine does this, so no hook sees it.

import * as z from 'zod';
import type { VfsApi } from '../../vfs/api.ts';
import type { Inode, Superblock } from '../../vfs/types.ts';
import { bytesOf, contentOf, DATA, NUMBER, num, type OpResult, result } from '../ops/types.ts';
import { ownerText } from '../schema-data.ts';
import { defineStep, type StepContext } from './types.ts';

const DISK = z.string().describe('Name of the disk, such as vdc.');
const INSIDE = z.string().describe('Path from the root of the disk.');

/** What of the machine lies open to whoever holds its disks. */
interface Opened {
  readonly vfs: VfsApi;
}

function opened(context: StepContext): Opened {
  return context.session.machine as unknown as Opened;
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

const edit = defineStep({
  name: 'disk_edit',
  help: 'another computer changes a file of a disk that is not mounted, or whose machine is off; no hook sees it',
  args: {
    disk: DISK,
    path: INSIDE,
    data: DATA.optional(),
    mode: NUMBER.optional().describe('Permission bits; "0755" is octal.'),
    owner: ownerText.optional(),
    xattr: z
      .string()
      .optional()
      .describe('Attribute that gets `value`, or that of the file `from`; without both it is removed.'),
    value: DATA.optional(),
    from: z
      .string()
      .optional()
      .describe('Takes content, owner, mode and attributes of this file first; with `xattr` only that one.'),
    directory: z.boolean().optional().describe('Makes a directory.'),
    symlink: z.string().optional().describe('Makes a symbolic link to this path.'),
    rename: z.string().optional().describe('New path.'),
    remove: z.boolean().optional().describe('Removes the file before anything else is done.'),
  },
  outside: true,
  run: ({ session: { machine } }, args): OpResult => {
    if (machine.editDisk === undefined) return { err: 'ENOSYS' };
    const { disk, path, data, owner, xattr, from, directory, symlink, rename, remove } = args;
    const [uid = 0, gid = 0] = (owner ?? '').split(':').map(Number);
    const value = args.value === undefined ? null : bytesOf(args.value);
    const labelled = xattr === undefined ? {} : { xattr: { name: xattr, value: from ?? value } };
    const err = machine.editDisk(disk, {
      path,
      ...(data === undefined ? {} : { content: contentOf(data) }),
      ...(args.mode === undefined ? {} : { mode: num(args.mode, 0) & 0o7777 }),
      ...(owner === undefined ? {} : { owner: { uid, gid } }),
      ...labelled,
      ...(xattr === undefined && from !== undefined ? { from } : {}),
      ...(directory === undefined ? {} : { directory }),
      ...(symlink === undefined ? {} : { symlink }),
      ...(rename === undefined ? {} : { rename }),
      ...(remove === undefined ? {} : { remove }),
    });
    return result(err);
  },
});

const blockWrite = defineStep({
  name: 'block_write',
  help: 'bytes of a file change on its disk, below the mounted file system; cached pages stay as they are',
  args: { disk: DISK, path: INSIDE, data: DATA, off: NUMBER.optional().describe('Default 0.') },
  run: (context, args): OpResult => {
    const { vfs } = opened(context);
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
    opened(context).vfs.dropPages();
    return { err: 'OK' };
  },
});

export const DISK_STEPS = [edit, blockWrite, pressure];
