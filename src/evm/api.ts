// What IMA and the LSM stack ask of EVM, and EVM without a key: then it neither verifies nor protects
// anything, but it still refuses values of security.evm that user space may never write. evm.ts replaces it
// once keys can be loaded.

import { EMPTY, latin1 } from '../base/bytes.ts';
import type { Err, Result } from '../base/errno.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import { INTEGRITY_UNKNOWN, type IntegrityStatus } from '../integrity/status.ts';
import { EVM_IMA_XATTR_DIGSIG, EVM_XATTR_PORTABLE_DIGSIG, XATTR_NAME_EVM } from '../integrity/xattr.ts';
import type { VfsApi } from '../vfs/api.ts';
import { CAP_SYS_ADMIN } from '../vfs/constants.ts';
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

/** @kernel security/integrity/evm/evm_main.c evm_inode_setxattr() */
function setEvm(task: VfsTask, value: Uint8Array): Err {
  if (value.length === 0) return 'EINVAL';
  if (value[0] !== EVM_IMA_XATTR_DIGSIG && value[0] !== EVM_XATTR_PORTABLE_DIGSIG) return 'EPERM';
  return capable(task);
}

function capable(task: VfsTask): Err {
  const has = task.cred.userNs === 0 && ((task.cred.caps >> BigInt(CAP_SYS_ADMIN)) & 1n) === 1n;
  return has ? 0 : 'EPERM';
}

/**
 * Only portable signatures outlive a copy-up: the others cover the inode.
 * @kernel security/integrity/evm/evm_main.c evm_inode_copy_up_xattr()
 */
export function evmCopyUp(vfs: VfsApi, lower: InodeKey, name: string): 'copy' | 'discard' | Err {
  if (name !== XATTR_NAME_EVM) return 'copy';
  const value = vfs.rawGetxattr(lower, name);
  if (value === undefined || value.length === 0) return 'EPERM';
  return value[0] === EVM_XATTR_PORTABLE_DIGSIG ? 'copy' : 'discard';
}

/** EVM with no key loaded, or (CONFIG_EVM=n) not built at all. */
export function noEvm(vfs: VfsApi, profile: KernelProfile): EvmApi {
  const built = enabled(profile, 'CONFIG_EVM');
  const nothing = (): void => undefined;
  const allowed = (): Err => 0;
  /** security.evm itself is out of reach on file systems that EVM cannot label. */
  const unsupported = (inode: InodeKey): boolean => vfs.superblock(vfs.inode(inode).sb).evmUnsupported;
  return {
    verifyXattr: () => INTEGRITY_UNKNOWN,
    revalidateStatus: () => false,
    // Nothing was ever verified, so no identity of a metadata inode is remembered that could be equal.
    metadataChanged: () => built,
    readProtectedXattrs: (inode, type) =>
      built ? readProtectedXattrs(vfs, EVM_DEFAULT_XATTRS, inode, type) : null,
    initSecurity: () => ({ ok: true, value: [] }),
    inodeSetattr: allowed,
    inodePostSetattr: nothing,
    inodeCopyUpXattr: (_task, lower, name) => (built ? evmCopyUp(vfs, lower, name) : 'copy'),
    inodeSetxattr: (task, _path, inode, name, value) => {
      if (!built || name !== XATTR_NAME_EVM) return 0;
      const err = setEvm(task, value);
      return err === 0 && unsupported(inode) ? 'EPERM' : err;
    },
    inodePostSetxattr: nothing,
    inodeSetAcl: allowed,
    inodePostSetAcl: nothing,
    inodeRemoveAcl: allowed,
    inodePostRemoveAcl: nothing,
    inodeRemovexattr: (task, _path, inode, name) => {
      if (!built || name !== XATTR_NAME_EVM) return 0;
      const err = capable(task);
      return err === 0 && unsupported(inode) ? 'EPERM' : err;
    },
    inodePostRemovexattr: nothing,
    fileRelease: nothing,
    pathPostMknod: nothing,
    inodeFree: nothing,
  };
}
