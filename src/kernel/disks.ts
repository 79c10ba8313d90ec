// What survives the end of a kernel: the file systems on block devices, as they are on the disks. Caches,
// mounts, open files and everything in memory go; data that was not written back is taken to be on the
// disk.

import type { VfsApi } from '../vfs/api.ts';
import type { InodeKey, VfsState } from '../vfs/types.ts';
import { newVfs } from '../vfs/vfs.ts';

/**
 * The disks of a machine whose kernel ends, and nothing else.
 * @kernel kernel/reboot.c kernel_restart_prepare()
 * @deviation unwritten data is not lost: whoever calls kexec is taken to have called sync before
 */
export function disksOnly(vfs: VfsApi): VfsState {
  vfs.settleDisks();
  const old = vfs.state;
  // Mapped devices are set up by user space and go with the kernel.
  const devices = old.devices.filter((d) => !d.name.startsWith('dm-'));
  const kept = new Set([...devices.values()].flatMap((d) => (d.sb === null ? [] : [d.sb])));
  const inodes = old.inodes
    .filter((i) => kept.has(i.sb) && i.nlink > 0)
    .map((i) => ({ ...i, iWritecount: 0, iReadcount: 0, openCount: 0, mmapWritable: 0, dirtied: -1 }));
  const alive = (key: InodeKey): boolean => inodes.has(key);
  return {
    ...newVfs(),
    devices,
    superblocks: old.superblocks
      .filter((s) => kept.has(s.id))
      .map((s) => ({ ...s, mounted: 0, readonly: false, initramfs: false })),
    dentries: old.dentries
      .filter((d) => kept.has(d.sb) && d.hashed && alive(d.inode))
      .map((d) => ({ ...d, mounted: 0 })),
    inodes,
    blocks: {
      ...old.blocks,
      files: old.blocks.files.filter((f, key) => kept.has(f.sb) && alive(key)),
      allocators: old.blocks.allocators.filter((_, sb) => kept.has(sb)),
    },
    nextId: old.nextId,
    anonDev: 0,
    iunique: old.iunique,
  };
}
