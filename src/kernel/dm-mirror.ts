// A file system seen through another block device: dm-verity and dm-linear devices show the blocks of the
// disk below. The copy has inodes of its own (another superblock of the same image), as the kernel would
// read them from the new device.

import { Map as ImmutableMap } from 'immutable';
import type { VfsApi } from '../vfs/api.ts';
import type { DentryId, InodeKey, SbId } from '../vfs/types.ts';

/**
 * Copies the tree of a superblock onto a device; value = the new superblock.
 * @kernel fs/super.c get_tree_bdev()
 * @deviation later changes of the lower disk are not seen: the copy is taken when the table becomes active
 */
export function mirrorFileSystem(vfs: VfsApi, from: SbId, device: string, verified: boolean): SbId {
  const old = vfs.superblock(from);
  let next = vfs.state.nextId;
  const fresh = (): number => next++;
  const sb = fresh();
  let { inodes, dentries } = vfs.state;
  const keys = new Map<InodeKey, InodeKey>();
  const names = new Map<DentryId, DentryId>();
  const todo: DentryId[] = [old.root];
  names.set(old.root, fresh());
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    const dentry = vfs.dentry(at);
    const inode = vfs.inode(dentry.inode);
    for (const child of inode.children?.values() ?? []) {
      if (names.has(child)) continue;
      names.set(child, fresh());
      todo.push(child);
    }
    if (!keys.has(inode.key)) keys.set(inode.key, fresh());
  }
  for (const [before, key] of keys) {
    const inode = vfs.inode(before);
    const children =
      inode.children === null
        ? null
        : ImmutableMap([...inode.children].map(([n, d]) => [n, names.get(d) ?? d] as const));
    const counts = { iWritecount: 0, iReadcount: 0, openCount: 0, mmapWritable: 0 };
    inodes = inodes.set(key, { ...inode, ...counts, key, sb, children });
  }
  for (const [before, id] of names) {
    const dentry = vfs.dentry(before);
    const parent = names.get(dentry.parent) ?? id;
    const inode = keys.get(dentry.inode) ?? dentry.inode;
    dentries = dentries.set(id, { ...dentry, id, sb, parent, inode, mounted: 0 });
  }
  const root = names.get(old.root) ?? old.root;
  const copy = { ...old, id: sb, sid: device, device, root, mounted: 0, readonly: true };
  const superblocks = vfs.state.superblocks.set(sb, copy);
  vfs.state = { ...vfs.state, superblocks, inodes, dentries, nextId: next };
  if (verified) for (const [before, key] of keys) vfs.mirrorBlocks(before, key, sb);
  return sb;
}
