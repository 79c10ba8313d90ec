// The hook interface that the VFS and the kernel call, as fs/ and kernel/ call security_*(). lsm/ fills it;
// the VFS knows nothing of IMA, EVM or IPE. Every hook gets the acting task; those that can refuse return
// Err. Order inside a hook is lsm/'s matter (lsm= list, then IMA, then EVM).

import type { Err, Result } from '../base/errno.ts';
import type { Cred, FileId, Inode, InodeKey, MappingId, PathRef, SbId, VfsTask, Xattr } from './types.ts';

/** Changes that notify_change() was asked for; absent members stay. */
export interface Iattr {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly times?: boolean;
  /** ATTR_KILL_SUID / SGID: the change only drops set-id bits because of a write. */
  readonly killPriv?: boolean;
}

export type KernelReadId =
  | 'firmware'
  | 'module'
  | 'kexec-image'
  | 'kexec-initramfs'
  | 'policy'
  | 'x509-certificate';
export type KernelLoadId = 'firmware' | 'module' | 'kexec-image' | 'kexec-initramfs' | 'policy';

export interface SecurityHooks {
  /** security_file_open(): after the VFS opened it, before the opener gets it. */
  fileOpen(task: VfsTask, file: FileId): Err;
  /**
   * security_file_post_open(): IMA's FILE_CHECK. `mask` = MAY_* of the open
   * (MAY_READ|MAY_WRITE|MAY_APPEND|MAY_EXEC).
   */
  filePostOpen(task: VfsTask, file: FileId, mask: number): Err;
  /** security_file_release(): last reference is going; called before i_writecount drops. */
  fileRelease(task: VfsTask, file: FileId): void;
  /** security_mmap_file(); file null for anonymous memory. reqprot as asked, prot as effective. */
  mmapFile(task: VfsTask, file: FileId | null, reqprot: number, prot: number, shared: boolean): Err;
  fileMprotect(task: VfsTask, mapping: MappingId, reqprot: number, prot: number): Err;
  fileTruncate(task: VfsTask, file: FileId): Err;
  /** security_file_permission(), before each write(2); reads are not asked for. Absent: nobody asks. */
  filePermission?(task: VfsTask, file: FileId, mask: number): Err;
  /** security_inode_init_security_anon(): memfd_create(2) made an inode; absent: nobody listens. */
  inodeInitSecurityAnon?(task: VfsTask, inode: InodeKey): void;
  pathTruncate(task: VfsTask, path: PathRef): Err;
  /** Before the handler; path gives the dentry (its name is what audit prints). */
  inodeSetxattr(
    task: VfsTask,
    path: PathRef,
    inode: InodeKey,
    name: string,
    value: Uint8Array,
    flags: number,
  ): Err;
  inodePostSetxattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string, value: Uint8Array): void;
  inodeRemovexattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string): Err;
  inodePostRemovexattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string): void;
  /** `newMode`: the mode that goes with the list; null for an empty one. */
  inodeSetAcl(task: VfsTask, path: PathRef, inode: InodeKey, name: string, newMode: number | null): Err;
  inodePostSetAcl(task: VfsTask, path: PathRef, inode: InodeKey, name: string): void;
  inodeRemoveAcl(task: VfsTask, path: PathRef, inode: InodeKey, name: string): Err;
  inodePostRemoveAcl(task: VfsTask, path: PathRef, inode: InodeKey, name: string): void;
  inodeSetattr(task: VfsTask, path: PathRef, inode: InodeKey, attr: Iattr): Err;
  inodePostSetattr(task: VfsTask, path: PathRef, inode: InodeKey, attr: Iattr): void;
  /** Initial xattrs of a new inode (LSM labels, then EVM's HMAC over them). */
  inodeInitSecurity(task: VfsTask, inode: Inode, dir: InodeKey, name: string): Result<readonly Xattr[]>;
  pathPostMknod(task: VfsTask, path: PathRef, inode: InodeKey): void;
  inodePostCreateTmpfile(task: VfsTask, file: FileId, inode: InodeKey): void;
  /** After the mode check of inode_permission(); absent members: nobody asks. */
  inodePermission?(task: VfsTask, inode: InodeKey, mask: number): Err;
  inodeGetattr?(task: VfsTask, path: PathRef): Err;
  inodeGetxattr?(task: VfsTask, path: PathRef, inode: InodeKey, name: string): Err;
  /** Value of a security.* name that a module keeps itself; undefined: what is stored counts. */
  inodeGetsecurity?(inode: InodeKey, name: string): Uint8Array | undefined;
  /** The inode leaves the cache: iint and EVM status are freed. */
  inodeFree(inode: InodeKey): void;
  /** overlay copy-up of one xattr: 'copy', 'discard', or an error. */
  inodeCopyUpXattr(task: VfsTask, lower: InodeKey, name: string): 'copy' | 'discard' | Err;
  /** execve: credentials with set-id bits applied are `next`. */
  bprmCheck(task: VfsTask, file: FileId, next: Cred): Err;
  /**
   * Once for each execve, before any format is looked at; with `isCheck` nothing is run afterwards
   * (AT_EXECVE_CHECK).
   */
  bprmCredsForExec(task: VfsTask, file: FileId, next: Cred, isCheck: boolean): Err;
  kernelReadFile(task: VfsTask, file: FileId, id: KernelReadId, contents: boolean): Err;
  kernelPostReadFile(task: VfsTask, file: FileId, id: KernelReadId, data: Uint8Array): Err;
  kernelLoadData(task: VfsTask, id: KernelLoadId, contents: boolean): Err;
  kernelPostLoadData(task: VfsTask, id: KernelLoadId, data: Uint8Array, description: string): Err;
  /** security_initramfs_populated(): the initial ram disk was unpacked into the root's superblock. */
  initramfsPopulated(sb: SbId): void;
  /** A block device got its integrity properties (dm-verity preresume). */
  bdevSetIntegrity(device: string): void;
  /** fs-verity was enabled, or the verity info of an inode was loaded with a signature state. */
  inodeSetIntegrity(inode: InodeKey, signed: boolean): void;
}
