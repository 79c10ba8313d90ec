// Steps of those who have a disk in their hands: files of a disk that is not mounted are changed by another
// computer, blocks change below a file system that is in use, and the kernel takes cached pages back. No
// task of the machine does this, so no hook sees it.

import * as z from 'zod';
import type { Err } from '../../base/errno.ts';
import type { VfsApi } from '../../vfs/api.ts';
import { S_IFMT, S_IFREG } from '../../vfs/constants.ts';
import type { Inode, Superblock, Xattr } from '../../vfs/types.ts';
import { bytesOf, contentOf, DATA, NUMBER, num, type OpResult, result } from '../ops/types.ts';
import { ownerText } from '../schema-data.ts';
import { defineStep, type StepContext } from './types.ts';

const DISK = z.string().describe('Name of the disk, such as vdc.');
const INSIDE = z.string().describe('Path from the root of the disk.');

/** What of the machine lies open to whoever holds its disks. */
interface Opened {
  readonly vfs: VfsApi;
  readonly kernel: {
    readonly state: {
      readonly hashTrees: readonly { readonly dataDevice: string; readonly hashDevice: string }[];
    };
  };
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

/** A hash tree that was made over the disk does not fit any more. */
function spoilTrees({ vfs, kernel }: Opened, disk: string): void {
  const spoilt = kernel.state.hashTrees.filter((t) => t.dataDevice === disk).map((t) => t.hashDevice);
  const { blocks } = vfs.state;
  const changed = [...new Set([...blocks.changed, ...spoilt])];
  if (spoilt.length > 0) vfs.state = { ...vfs.state, blocks: { ...blocks, changed } };
}

function withXattr(xattrs: readonly Xattr[], name: string, value: Uint8Array | null): readonly Xattr[] {
  const others = xattrs.filter((x) => x.name !== name);
  return value === null ? others : [...others, { name, value }];
}

/** The new node is on the disk; blocks that the old content had are given anew. */
function put(machine: Opened, sb: Superblock, disk: string, path: string, node: Partial<Inode>): Err {
  const { vfs } = machine;
  const { mode = S_IFREG | 0o644, uid = 0, gid = 0, content, xattrs } = node;
  const old = inodeAt(vfs, sb, path);
  if (old !== null && (old.mode & S_IFMT) !== (mode & S_IFMT)) return 'EINVAL';
  const at = vfs.populate({ mount: 0, dentry: sb.root }, path, {
    mode,
    uid,
    gid,
    ...(content == null ? {} : { content }),
    ...(xattrs === undefined ? {} : { xattrs }),
  });
  const { blocks } = vfs.state;
  const files = blocks.files.delete(vfs.inodeOf(at).key);
  vfs.state = { ...vfs.state, blocks: { ...blocks, files } };
  spoilTrees(machine, disk);
  return 0;
}

function remove(machine: Opened, sb: Superblock, disk: string, path: string): Err {
  const { vfs } = machine;
  let dentry = sb.root;
  for (const name of path.split('/').filter((n) => n !== '')) {
    const child = vfs.inode(vfs.dentry(dentry).inode).children?.get(name);
    if (child === undefined) return 'ENOENT';
    dentry = child;
  }
  vfs.depopulate({ mount: 0, dentry });
  spoilTrees(machine, disk);
  return 0;
}

const edit = defineStep({
  name: 'disk_edit',
  help: 'another computer changes a file of a disk that is not mounted: content, owner, mode, one attribute',
  args: {
    disk: DISK,
    path: INSIDE,
    data: DATA.optional(),
    mode: NUMBER.optional().describe('Permission bits; "0755" is octal.'),
    owner: ownerText.optional(),
    xattr: z.string().optional().describe('Attribute to set to `value`, or to remove without one.'),
    value: DATA.optional(),
    from: z.string().optional().describe('Takes content, owner, mode and attributes of this file first.'),
    remove: z.boolean().optional().describe('Removes the file.'),
  },
  run: (context, args): OpResult => {
    const machine = opened(context);
    const sb = superblockOf(machine.vfs, args.disk);
    if (sb === null) return result('ENODEV');
    if (sb.mounted > 0) return result('EBUSY');
    if (args.remove === true) return result(remove(machine, sb, args.disk, args.path));
    const base = inodeAt(machine.vfs, sb, args.from ?? args.path);
    if (base === null && (args.from !== undefined || args.data === undefined)) return result('ENOENT');
    const type = base === null ? S_IFREG : base.mode & S_IFMT;
    const [uid, gid] = (args.owner ?? '').split(':').map(Number);
    const bits = num(args.mode, base === null ? 0o644 : base.mode & 0o7777);
    const xattrs = base?.xattrs ?? [];
    const named = args.xattr === undefined ? null : args.xattr;
    const value = args.value === undefined ? null : bytesOf(args.value);
    const node: Partial<Inode> = {
      mode: type | bits,
      uid: args.owner === undefined ? (base?.uid ?? 0) : (uid ?? 0),
      gid: args.owner === undefined ? (base?.gid ?? 0) : (gid ?? 0),
      content: args.data === undefined ? (base?.content ?? null) : contentOf(args.data),
      xattrs: named === null ? xattrs : withXattr(xattrs, named, value),
    };
    return result(put(machine, sb, args.disk, args.path, node));
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
