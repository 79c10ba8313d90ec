// setxattr(2) and its relatives: name spaces and who may use them, limits, the order of permission check,
// hooks and storage, access control lists and file capabilities. Buffers of a caller, and so ERANGE for a
// short one, belong to the system call.

import { Reader } from '../base/codec.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import {
  ACL_ACCESS,
  ACL_DEFAULT,
  type Acl,
  aclMode,
  aclValid,
  encodeAcl,
  isAclName,
  mapAcl,
  parseAcl,
} from './acl.ts';
import {
  CAP_SETFCAP,
  CAP_SYS_ADMIN,
  MAY_READ,
  MAY_WRITE,
  S_IFMT,
  S_ISGID,
  S_ISVTX,
  XATTR_CREATE,
  XATTR_LIST_MAX,
  XATTR_NAME_MAX,
  XATTR_REPLACE,
  XATTR_SIZE_MAX,
} from './constants.ts';
import type { Core } from './core.ts';
import { byteLength, changed, relinked } from './inode.ts';
import { copyAttr, escapedName, metaInode, mounter, realPath, shownName } from './overlay.ts';
import {
  capable,
  capableInode,
  inGroupOrCapable,
  inodePermission,
  isDir,
  isLink,
  isReg,
  mntWantWrite,
  nsCapable,
  ownerOrCapable,
} from './perm.ts';
import type { DentryId, Inode, InodeKey, PathRef, VfsTask } from './types.ts';
import { findXattr, sameXattr, withoutXattr, withXattr } from './xattr-store.ts';

const XATTR_NAME_CAPS = 'security.capability';

/** What the system call refuses before it looks for the file. */
export function checkXattrName(core: Core, name: string): Err {
  const length = byteLength(name);
  return length === 0 || length > XATTR_NAME_MAX ? core.refuse('ERANGE', 'vfs.bad_argument') : 0;
}

/** @kernel fs/xattr.c setxattr_copy() */
export function checkXattrArguments(core: Core, name: string, value: Uint8Array, flags: number): Err {
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) return core.refuse('EINVAL', 'vfs.bad_argument');
  const bad = checkXattrName(core, name);
  if (bad !== 0) return bad;
  return value.length > XATTR_SIZE_MAX ? core.refuse('E2BIG', 'vfs.too_big') : 0;
}

function mayWriteXattr(core: Core, inode: Inode): Err {
  if (inode.immutable) return core.refuse('EPERM', 'vfs.immutable');
  return inode.appendOnly ? core.refuse('EPERM', 'vfs.append_only') : 0;
}

/** @kernel fs/xattr.c xattr_permission() */
function xattrPermission(core: Core, task: VfsTask, inode: Inode, name: string, mask: number): Err {
  const writes = (mask & MAY_WRITE) !== 0;
  if (writes) {
    const denied = mayWriteXattr(core, inode);
    if (denied !== 0) return denied;
  }
  if (name.startsWith('security.') || name.startsWith('system.')) return 0;
  if (name.startsWith('trusted.')) {
    if (capable(task.cred, CAP_SYS_ADMIN)) return 0;
    return core.refuse(writes ? 'EPERM' : 'ENODATA', 'vfs.no_capability');
  }
  if (name.startsWith('user.')) {
    if (!isReg(inode) && !isDir(inode)) return core.refuse(writes ? 'EPERM' : 'ENODATA', 'vfs.unsupported');
    if (isDir(inode) && (inode.mode & S_ISVTX) !== 0 && writes && !ownerOrCapable(core, task.cred, inode))
      return core.refuse('EPERM', 'vfs.sticky');
  }
  return inodePermission(core, task, inode, mask);
}

/** @kernel fs/xattr.c xattr_resolve_name() */
function resolveName(core: Core, inode: Inode, name: string): Err {
  const prefix = core.fs(inode.sb).xattrNames.find((p) => name.startsWith(p));
  if (prefix === undefined) return core.refuse('EOPNOTSUPP', 'vfs.unsupported');
  return name.length === prefix.length ? core.refuse('EINVAL', 'vfs.bad_argument') : 0;
}

/** A revision 2 or 3 header of the right size, as file capabilities must have. */
export function validCapability(value: Uint8Array): boolean {
  const revision = new Reader(value, 'le').u32() & 0xff00_0000;
  return (
    (value.length === 20 && revision === 0x0200_0000) || (value.length === 24 && revision === 0x0300_0000)
  );
}

/** @kernel security/commoncap.c cap_convert_nscap() */
function capConvertNscap(core: Core, task: VfsTask, inode: Inode, value: Uint8Array): Err {
  if (!validCapability(value)) return core.refuse('EINVAL', 'vfs.bad_argument');
  return capableInode(core, task.cred, inode, CAP_SETFCAP) ? 0 : core.refuse('EPERM', 'vfs.no_capability');
}

/**
 * The capability that names of the security name space need; asked before the security modules.
 *
 * @kernel security/commoncap.c cap_inode_setxattr()
 */
function capSecurityXattr(core: Core, task: VfsTask, inode: Inode, name: string, removes: boolean): Err {
  if (!name.startsWith('security.')) return 0;
  if (name === XATTR_NAME_CAPS) {
    if (!removes || capableInode(core, task.cred, inode, CAP_SETFCAP)) return 0;
    return core.refuse('EPERM', 'vfs.no_capability');
  }
  const { userNs } = core.superblock(inode.sb);
  return nsCapable(task.cred, userNs, CAP_SYS_ADMIN) ? 0 : core.refuse('EPERM', 'vfs.no_capability');
}

/**
 * Sets an xattr on an open or looked-up file.
 *
 * @kernel fs/xattr.c __vfs_setxattr_locked()
 */
export function setxattr(
  core: Core,
  task: VfsTask,
  path: PathRef,
  name: string,
  value: Uint8Array,
  flags: number,
): Err {
  const ro = mntWantWrite(core, core.mountOf(path.mount));
  if (ro !== 0) return ro;
  const { inode: key } = core.dentry(path.dentry);
  if (isAclName(name)) return setAcl(core, task, path, name, value.length === 0 ? null : value);
  const inode = core.inode(key);
  if (value.length > 0 && name === XATTR_NAME_CAPS) {
    const err = capConvertNscap(core, task, inode, value);
    if (err !== 0) return err;
  }
  const denied = xattrPermission(core, task, inode, name, MAY_WRITE);
  if (denied !== 0) return denied;
  let err = capSecurityXattr(core, task, inode, name, false);
  if (err === 0) err = core.env.hooks.inodeSetxattr(task, path, key, name, value, flags);
  if (err === 0) err = setByHandler(core, task, path, name, value, flags);
  if (err !== 0) return err;
  core.env.hooks.inodePostSetxattr(task, path, key, name, value);
  return 0;
}

/** @kernel fs/xattr.c __vfs_setxattr() */
function setByHandler(
  core: Core,
  task: VfsTask,
  path: PathRef,
  name: string,
  value: Uint8Array | null,
  flags: number,
): Err {
  const { inode: key } = core.dentry(path.dentry);
  const { layers } = core.inode(key);
  if (layers !== null) return overlayXattrSet(core, task, path.dentry, name, value, flags);
  return value === null ? eraseXattr(core, key, name) : storeXattr(core, key, name, value, flags);
}

/**
 * Copies up, then sets or removes the xattr in the upper layer as the mounter; hooks see that as well.
 *
 * @kernel fs/overlayfs/xattrs.c ovl_xattr_set()
 */
export function overlayXattrSet(
  core: Core,
  task: VfsTask,
  dentry: DentryId,
  name: string,
  value: Uint8Array | null,
  flags: number,
): Err {
  const { inode: key, sb } = core.dentry(dentry);
  const inode = core.inode(key);
  const own = escapedName(name);
  if (value === null && inode.layers?.upper === null) {
    const there = getxattr(core, mounter(core, sb, task), realPath(core, inode), own);
    if (!there.ok) return there.errno;
  }
  const err = core.overlay.copyUp(core, task, dentry, 'meta');
  if (err !== 0) return err;
  const as = mounter(core, sb, task);
  const real = realPath(core, core.inode(key));
  const failed =
    value === null ? removexattr(core, as, real, name) : setxattr(core, as, real, name, value, flags);
  copyAttr(core, key);
  return failed;
}

/** The file system's handler: name, flags, space. */
export function storeXattr(core: Core, key: InodeKey, name: string, value: Uint8Array, flags: number): Err {
  const inode = core.inode(key);
  const bad = resolveName(core, inode, name);
  if (bad !== 0) return bad;
  const old = findXattr(inode, name);
  if (old === undefined && (flags & XATTR_REPLACE) !== 0) return core.refuse('ENODATA', 'vfs.no_data');
  if (old !== undefined && (flags & XATTR_CREATE) !== 0) return core.refuse('EEXIST', 'vfs.xattr_exists');
  const x = { name, value };
  const { xattr } = core.fs(inode.sb);
  if (xattr !== 'ext4' && xattr !== 'simple') return core.refuse('EOPNOTSUPP', 'vfs.unsupported');
  if (xattr === 'ext4' && sameXattr(inode, x)) return 0;
  const placed = withXattr(inode, xattr, x);
  if (placed === undefined) return core.refuse('ENOSPC', 'vfs.no_space');
  core.setInode(changed(core, inode, placed));
  return 0;
}

/**
 * A list as the task's user namespace names the ids in it. @kernel fs/posix_acl.c
 * vfs_posix_acl_to_xattr()
 */
function shownAcl(core: Core, task: VfsTask, value: Uint8Array): Uint8Array {
  const { userNs } = task.cred;
  const { fromId } = core.env;
  if (userNs === 0 || fromId === undefined) return value;
  const acl = parseAcl(value);
  if (acl === undefined || typeof acl === 'string') return value;
  const shown = mapAcl(acl, (kind, id) => fromId(userNs, kind, id), 0xffffffff);
  return shown === undefined ? value : encodeAcl(shown);
}

/** The kernel's ids for those that the task wrote; undefined when one of them has no meaning. */
function kernelAcl(core: Core, task: VfsTask, acl: Acl): Acl | undefined {
  const { userNs } = task.cred;
  const { makeId } = core.env;
  if (userNs === 0 || makeId === undefined) return acl;
  return mapAcl(acl, (kind, id) => makeId(userNs, kind, id), null);
}

/** The mode that a list stands for. @kernel fs/posix_acl.c posix_acl_update_mode() */
function modeWith(core: Core, task: VfsTask, inode: Inode, acl: Acl): number {
  const mode = (inode.mode & ~0o777) | aclMode(acl).mode;
  return inGroupOrCapable(core, task.cred, inode, inode.gid) ? mode : mode & ~S_ISGID;
}

/** @kernel fs/xattr.c vfs_getxattr() */
export function getxattr(core: Core, task: VfsTask, path: PathRef, name: string): Result<Uint8Array> {
  const inode = core.inode(core.dentry(path.dentry).inode);
  if (isAclName(name)) {
    if (!core.fs(inode.sb).acl || isLink(inode)) return core.refused('EOPNOTSUPP', 'vfs.unsupported');
    const acl = findXattr(metaInode(core, inode), name);
    return acl === undefined ? core.refused('ENODATA', 'vfs.no_data') : ok(shownAcl(core, task, acl));
  }
  const denied = xattrPermission(core, task, inode, name, MAY_READ);
  if (denied !== 0) return fail(denied);
  const bad = resolveName(core, inode, name);
  if (bad !== 0) return fail(bad);
  if (inode.layers !== null)
    return getxattr(core, mounter(core, inode.sb, task), realPath(core, inode), escapedName(name));
  const value = findXattr(inode, name);
  if (value === undefined) return core.refused('ENODATA', 'vfs.no_data');
  return name === XATTR_NAME_CAPS ? shownCapability(core, task, value) : ok(value);
}

/**
 * File capabilities as a reader sees them: those of the reader's own root in their short form.
 *
 * @kernel security/commoncap.c cap_inode_getsecurity()
 */
function shownCapability(core: Core, task: VfsTask, value: Uint8Array): Result<Uint8Array> {
  if (!validCapability(value)) return core.refused('EINVAL', 'vfs.bad_argument');
  const root = value.length === 24 ? new Reader(value.subarray(20), 'le').u32() : 0;
  if (value.length === 20 || root !== 0 || task.cred.userNs !== 0) return ok(value);
  const short = value.slice(0, 20);
  short[3] = 2;
  return ok(short);
}

/** @kernel fs/xattr.c vfs_listxattr() */
export function listxattr(core: Core, task: VfsTask, path: PathRef): Result<readonly string[]> {
  const inode = core.inode(core.dentry(path.dentry).inode);
  const trusted = capable(task.cred, CAP_SYS_ADMIN);
  const stored = metaInode(core, inode).xattrs.map((x) => x.name);
  const shown = inode.layers === null ? stored : stored.map(shownName).filter((n) => n !== null);
  const names = shown.filter((n) => trusted || !n.startsWith('trusted.'));
  const size = names.reduce((n, name) => n + byteLength(name) + 1, 0);
  return size > XATTR_LIST_MAX ? core.refused('E2BIG', 'vfs.too_big') : ok(names);
}

/** @kernel fs/xattr.c __vfs_removexattr_locked() */
export function removexattr(core: Core, task: VfsTask, path: PathRef, name: string): Err {
  const ro = mntWantWrite(core, core.mountOf(path.mount));
  if (ro !== 0) return ro;
  const { inode: key } = core.dentry(path.dentry);
  if (isAclName(name)) return setAcl(core, task, path, name, null, true);
  const inode = core.inode(key);
  const denied = xattrPermission(core, task, inode, name, MAY_WRITE);
  if (denied !== 0) return denied;
  let err = capSecurityXattr(core, task, inode, name, true);
  if (err === 0) err = core.env.hooks.inodeRemovexattr(task, path, key, name);
  if (err === 0) err = setByHandler(core, task, path, name, null, XATTR_REPLACE);
  if (err !== 0) return err;
  core.env.hooks.inodePostRemovexattr(task, path, key, name);
  return 0;
}

/** The file system's handler for a removal. */
export function eraseXattr(core: Core, key: InodeKey, name: string): Err {
  const inode = core.inode(key);
  const bad = resolveName(core, inode, name);
  if (bad !== 0) return bad;
  if (findXattr(inode, name) === undefined) return core.refuse('ENODATA', 'vfs.no_data');
  core.setInode(changed(core, inode, withoutXattr(inode, name)));
  return 0;
}

/**
 * Sets (or, with null, removes) an access control list; one that says no more than the mode is kept as the
 * mode alone.
 *
 * @kernel fs/posix_acl.c vfs_set_acl()
 */
function setAcl(
  core: Core,
  task: VfsTask,
  path: PathRef,
  name: string,
  value: Uint8Array | null,
  removes = false,
): Err {
  const { inode: key } = core.dentry(path.dentry);
  const parsed = value === null ? 'none' : parseAcl(value);
  if (parsed === undefined) return core.refuse('EINVAL', 'vfs.bad_argument');
  if (parsed === 'version') return core.refuse('EOPNOTSUPP', 'vfs.unsupported');
  const acl = parsed === 'none' ? null : kernelAcl(core, task, parsed);
  if (acl === undefined) return core.refuse('EINVAL', 'vfs.bad_argument');
  const inode = core.inode(key);
  const denied = mayWriteXattr(core, inode);
  if (denied !== 0) return denied;
  const equivalent = acl === null || name !== ACL_ACCESS ? null : aclMode(acl);
  const newMode = equivalent === null ? inode.mode : (inode.mode & ~0o777) | equivalent.mode;
  const { hooks } = core.env;
  const err = removes
    ? hooks.inodeRemoveAcl(task, path, key, name)
    : hooks.inodeSetAcl(task, path, key, name, acl === null ? null : modeWith(core, task, inode, acl));
  if (err !== 0) return err;
  if (!core.fs(inode.sb).acl) return core.refuse('EOPNOTSUPP', 'vfs.unsupported');
  if (isLink(inode)) return core.refuse('EOPNOTSUPP', 'vfs.unsupported');
  if (name === ACL_DEFAULT && !isDir(inode)) {
    if (acl !== null) return core.refuse('EACCES', 'vfs.bad_argument');
  } else {
    if (!ownerOrCapable(core, task.cred, inode)) return core.refuse('EPERM', 'vfs.not_owner');
    if (acl !== null && !aclValid(acl)) return core.refuse('EINVAL', 'vfs.bad_argument');
    const stored = acl === null || equivalent?.minimal === true ? null : encodeAcl(acl);
    const failed =
      inode.layers === null
        ? storeAcl(core, task, key, name, stored, newMode)
        : overlaySetAcl(core, task, path, name, acl === null ? null : encodeAcl(acl), removes);
    if (failed !== 0) return failed;
  }
  if (removes) hooks.inodePostRemoveAcl(task, path, key, name);
  else hooks.inodePostSetAcl(task, path, key, name);
  return 0;
}

/** @kernel fs/overlayfs/inode.c ovl_set_acl() */
function overlaySetAcl(
  core: Core,
  task: VfsTask,
  path: PathRef,
  name: string,
  value: Uint8Array | null,
  removes: boolean,
): Err {
  const over = core.inode(core.dentry(path.dentry).inode);
  if (value === null && over.layers?.upper === null && findXattr(metaInode(core, over), name) === undefined)
    return core.refuse('ENODATA', 'vfs.no_data');
  const err = core.overlay.copyUp(core, task, path.dentry, 'meta');
  if (err !== 0) return err;
  const { inode: key, sb } = core.dentry(path.dentry);
  const failed = setAcl(core, mounter(core, sb, task), realPath(core, core.inode(key)), name, value, removes);
  copyAttr(core, key);
  return failed;
}

/** @kernel fs/ext4/acl.c ext4_set_acl() */
function storeAcl(
  core: Core,
  task: VfsTask,
  key: InodeKey,
  name: string,
  value: Uint8Array | null,
  newMode: number,
): Err {
  const inode = core.inode(key);
  const { xattr } = core.fs(inode.sb);
  if (xattr !== 'ext4' && xattr !== 'simple') return core.refuse('EOPNOTSUPP', 'vfs.unsupported');
  const same = value !== null && xattr === 'ext4' && sameXattr(inode, { name, value });
  const placed =
    value === null ? withoutXattr(inode, name) : same ? inode : withXattr(inode, xattr, { name, value });
  if (placed === undefined) return core.refuse('ENOSPC', 'vfs.no_space');
  let mode = (inode.mode & S_IFMT) | (newMode & 0o7777);
  if (name === ACL_ACCESS && value !== null && !inGroupOrCapable(core, task.cred, inode, inode.gid))
    mode &= ~S_ISGID;
  const patch = { xattrs: placed.xattrs, ibodyXattrs: placed.ibodyXattrs, mode };
  const counts = xattr === 'simple' || placed.xattrs !== inode.xattrs;
  core.setInode(counts ? changed(core, inode, patch) : relinked(core, inode, patch));
  return 0;
}
