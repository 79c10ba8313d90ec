// What IMA and the LSM stack ask of EVM: its hooks, the verdict on a file's metadata, and the listed attributes
// in the three forms that templates show. Pure declarations but for the latter; evm.ts implements them.

import { EMPTY, latin1 } from '../base/bytes.ts';
import type { Result } from '../base/errno.ts';
import type { IntegrityStatus } from '../integrity/status.ts';
import type { VfsApi } from '../vfs/api.ts';
import type { SecurityHooks } from '../vfs/hooks.ts';
import type { Inode, InodeKey, PathRef, VfsTask, Xattr } from '../vfs/types.ts';

/** Hooks that EVM registers, with the signatures that the VFS calls. */
export type EvmHooks = Pick<
  SecurityHooks,
  | 'inodeSetattr'
  | 'inodePostSetattr'
  | 'inodeCopyUpXattr'
  | 'inodeSetxattr'
  | 'inodePostSetxattr'
  | 'inodeSetAcl'
  | 'inodePostSetAcl'
  | 'inodeRemoveAcl'
  | 'inodePostRemoveAcl'
  | 'inodeRemovexattr'
  | 'inodePostRemovexattr'
  | 'fileRelease'
  | 'pathPostMknod'
  | 'inodeFree'
>;

export interface EvmApi extends EvmHooks {
  /**
   * evm_verifyxattr(): the verdict on a file's metadata; `value` is the protected xattr's value as the caller
   * read it.
   * UNKNOWN without a key or for a name that is not protected.
   */
  verifyXattr(
    task: VfsTask,
    path: PathRef,
    inode: InodeKey,
    name: string,
    value: Uint8Array | null,
  ): IntegrityStatus;
  /** evm_revalidate_status(): whether a change of that xattr makes IMA's cached verdict void. */
  revalidateStatus(name: string): boolean;
  /** evm_metadata_changed(): on a stacked file system, whether the inode that holds the metadata changed. */
  metadataChanged(inode: InodeKey, metadataInode: InodeKey): boolean;
  /** evm_read_protected_xattrs(): names, lengths or values of the listed xattrs; null where reading fails. */
  readProtectedXattrs(inode: InodeKey, type: 'n' | 'l' | 'v'): Uint8Array | null;
  /** Initial security.evm over the xattrs that other LSMs give a new inode. */
  initSecurity(
    task: VfsTask,
    inode: Inode,
    dir: InodeKey,
    name: string,
    soFar: readonly Xattr[],
  ): Result<readonly Xattr[]>;
}

/** evm_config_default_xattrnames[], in the order of hashing. */
export const EVM_DEFAULT_XATTRS: readonly string[] = [
  'security.selinux',
  'security.SMACK64',
  'security.SMACK64EXEC',
  'security.SMACK64TRANSMUTE',
  'security.SMACK64MMAP',
  'security.apparmor',
  'security.ima',
  'security.capability',
];

/**
 * Listed xattrs of an inode in one of three forms, whether or not EVM covers them.
 * @kernel security/integrity/evm/evm_main.c evm_read_protected_xattrs()
 */
export function readProtectedXattrs(
  vfs: VfsApi,
  names: readonly string[],
  inode: InodeKey,
  type: 'n' | 'l' | 'v',
): Uint8Array | null {
  if (!vfs.superblock(vfs.inode(inode).sb).xattrs) return null;
  const found: { readonly name: string; readonly value: Uint8Array }[] = [];
  for (const name of names) {
    const value = vfs.rawGetxattr(inode, name);
    if (value !== undefined) found.push({ name, value });
  }
  if (found.length === 0) return EMPTY;
  if (type === 'n') return latin1(`${found.map((x) => x.name).join('|')}\0`);
  const size = found.reduce((n, x) => n + (type === 'l' ? 4 : x.value.length), 0);
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const { value } of found) {
    if (type === 'l') view.setUint32(at, value.length, true);
    else out.set(value, at);
    at += type === 'l' ? 4 : value.length;
  }
  return out;
}
