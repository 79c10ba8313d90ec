// memfd_create(2) and seals: an unnamed file on the kernel's own tmpfs mount, which is in no namespace.
// Huge pages are left out, so are pages that a direct I/O still holds.

import { type Err, ok, type Result } from '../base/errno.ts';
import {
  F_SEAL_EXEC,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_EXEC,
  MFD_NOEXEC_SEAL,
  O_RDWR,
  S_IFREG,
} from './constants.ts';
import { bytesContent } from './content.ts';
import type { Core } from './core.ts';
import { NO_NS, newDentry } from './dcache.ts';
import { byteLength, changed, type NewInode, newInode } from './inode.ts';
import { attach, createSuperblock } from './mounts.ts';
import { isReg } from './perm.ts';
import type { FileId, MountId, OpenFile, VfsTask } from './types.ts';
import { FMODE_READ, FMODE_WRITE } from './types.ts';

const MFD_NAME_MAX = 249;
const F_ALL_SEALS = 63;

/** @kernel mm/shmem.c shmem_init() */
function shmMount(core: Core): MountId {
  const { shmMount: known } = core.state;
  if (known !== null) return known;
  const sb = createSuperblock(core, { type: 'tmpfs', sid: 'tmpfs' });
  const { mount } = attach(core, sb, NO_NS, null);
  core.state = { ...core.state, shmMount: mount };
  return mount;
}

/** @kernel mm/memfd.c memfd_create() */
export function memfdCreate(core: Core, task: VfsTask, name: string, flags: number): Result<FileId> {
  if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)) !== 0)
    return core.refused('EINVAL', 'vfs.bad_argument');
  if ((flags & MFD_EXEC) !== 0 && (flags & MFD_NOEXEC_SEAL) !== 0)
    return core.refused('EINVAL', 'vfs.bad_argument');
  if (byteLength(name) > MFD_NAME_MAX) return core.refused('EINVAL', 'vfs.bad_argument');
  const noexec = (flags & MFD_NOEXEC_SEAL) !== 0;
  const sealable = noexec || (flags & MFD_ALLOW_SEALING) !== 0;
  const mode = noexec ? 0o666 : 0o777;
  const seals = (sealable ? 0 : F_SEAL_SEAL) | (noexec ? F_SEAL_EXEC : 0);
  const file = shmemFile(core, task, `memfd:${name}`, { mode: S_IFREG | mode, seals });
  core.env.hooks.inodeInitSecurityAnon?.(task, core.file(file).inode);
  return ok(file);
}

/**
 * The file behind a shared anonymous mapping; only the mapping holds it.
 *
 * @kernel mm/shmem.c shmem_zero_setup()
 */
export function shmemZeroSetup(core: Core, task: VfsTask, size: number): FileId {
  const content = bytesContent(new Uint8Array(size));
  return shmemFile(core, task, 'dev/zero', { mode: S_IFREG | 0o777, seals: F_SEAL_SEAL, content });
}

/** @kernel mm/shmem.c __shmem_file_setup() */
function shmemFile(
  core: Core,
  task: VfsTask,
  name: string,
  members: Partial<NewInode> & Pick<NewInode, 'mode'>,
): FileId {
  const mount = shmMount(core);
  const { sb } = core.mountOf(mount);
  const { fsuid: uid, fsgid: gid } = task.cred;
  const inode = newInode(core, sb, { uid, gid, nlink: 0, ...members });
  const dentry = newDentry(core, null, name, inode, false);
  const file: OpenFile = {
    id: core.id(),
    path: { mount, dentry: dentry.id },
    inode: inode.key,
    flags: O_RDWR,
    fmode: FMODE_READ | FMODE_WRITE,
    pos: 0,
    refs: 1,
    cred: task.cred,
    priv: null,
    seq: null,
    real: null,
  };
  core.setFile(file);
  core.setInode({ ...inode, openCount: 1 });
  return file.id;
}

/** @kernel mm/memfd.c memfd_add_seals() */
export function addSeals(core: Core, id: FileId, asked: number): Err {
  const file = core.file(id);
  const inode = core.inode(file.inode);
  if ((file.fmode & FMODE_WRITE) === 0) return core.refuse('EPERM', 'vfs.bad_mode');
  if ((asked & ~F_ALL_SEALS) !== 0) return core.refuse('EINVAL', 'vfs.bad_argument');
  if (!isReg(inode) || !core.fs(inode.sb).seals) return core.refuse('EINVAL', 'vfs.unsupported');
  if ((inode.seals & F_SEAL_SEAL) !== 0) return core.refuse('EPERM', 'vfs.sealed');
  let seals = asked;
  if ((seals & F_SEAL_EXEC) !== 0 && (inode.mode & 0o111) !== 0)
    seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
  if ((seals & F_SEAL_WRITE) !== 0 && (inode.seals & F_SEAL_WRITE) === 0 && inode.mmapWritable > 0)
    return core.refuse('EBUSY', 'vfs.busy');
  core.setInode({ ...inode, seals: inode.seals | seals });
  return 0;
}

/** FS_IOC_SETFLAGS and FS_IOC_SETVERSION end here: a change of metadata that no hook sees. */
export function stampIoctl(
  core: Core,
  key: number,
  patch: { generation?: number; immutable?: boolean; appendOnly?: boolean },
): void {
  const inode = core.inode(key);
  core.setInode(changed(core, inode, patch));
}
