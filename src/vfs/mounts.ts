// Superblocks, block devices and the mount tree: mount(2) with bind, remount and move, umount, mount
// namespaces. What lies on a device outlives its mounts; memory file systems end with the last one. Mount
// propagation, locked mounts of user namespaces and the new mount API are left out.

import { assert } from '../base/assert.ts';
import type { Err, Result } from '../base/errno.ts';
import { ok } from '../base/errno.ts';
import type { MountRequest, SuperblockOptions } from './api.ts';
import { uncacheAll, writeBackAll } from './blocks.ts';
import { CAP_SYS_ADMIN, S_IFBLK, S_IFDIR, S_IFMT } from './constants.ts';
import type { Core } from './core.ts';
import { hashChild, mountKey, newDentry } from './dcache.ts';
import { blockDevice, makedev } from './device.ts';
import { behaviourOf, typeNamed } from './filesystems.ts';
import { forget, isGone, newInode, releaseReal } from './inode.ts';
import { type FsParameters, parseParameters } from './mount-options.ts';
import { pathLookup } from './namei.ts';
import { capable, isDir, nsCapable } from './perm.ts';
import type {
  Dentry,
  DentryId,
  FsType,
  Mount,
  MountId,
  NsId,
  PathRef,
  SbId,
  Superblock,
  VfsTask,
} from './types.ts';
import { FMODE_WRITER } from './types.ts';

const ZERO_UUID = new Uint8Array(16);
/** Type of a pseudo file system that exists once: a second mount shows the same superblock. */
const SINGLE: readonly FsType[] = ['proc', 'sysfs', 'securityfs', 'devtmpfs', 'smackfs'];

/** @kernel lib/uuid.c uuid_gen() */
export function randomUuid(core: Core): Uint8Array {
  const uuid = core.env.random.bytes(16);
  uuid[6] = ((uuid[6] as number) & 0x0f) | 0x40;
  uuid[8] = ((uuid[8] as number) & 0x3f) | 0x80;
  return uuid;
}

/** A file system with its root directory; ext4 has its lost+found as mkfs makes it. */
export function createSuperblock(core: Core, options: SuperblockOptions): SbId {
  const fs = behaviourOf(options.type);
  const id = core.id();
  const anon = core.state.anonDev + 1;
  if (options.device === undefined) core.state = { ...core.state, anonDev: anon };
  const sb: Superblock = {
    id,
    type: options.type,
    magic: fs.magic,
    sid: options.sid ?? options.device ?? options.type,
    uuid: options.uuid ?? (options.type === 'tmpfs' ? randomUuid(core) : ZERO_UUID),
    dev:
      options.device === undefined ? makedev(0, anon) : (core.state.devices.get(options.device)?.rdev ?? 0),
    root: 0,
    readonly: false,
    iVersion: options.iVersion ?? fs.iVersion,
    xattrs: fs.xattr !== 'none',
    unverifiable: options.unverifiable ?? options.type === 'fuse',
    untrustedMounter: options.untrustedMounter ?? false,
    evmUnsupported: options.type === 'overlay',
    userNs: options.userNs ?? 0,
    device: options.device ?? null,
    nextIno: options.firstIno ?? fs.firstIno,
    freeInos: [],
    mounted: 0,
    options: fs.fixedOwner ? { uid: 0, gid: 0, fmask: 0o022, dmask: 0o022, quiet: false } : null,
    initramfs: false,
    fsVerity: options.fsVerity ?? fs.verity,
    overlay: null,
  };
  core.setSuperblock(sb);
  const root = newInode(core, id, {
    mode: S_IFDIR | (options.rootMode ?? fs.rootMode),
    uid: 0,
    gid: 0,
    ino: fs.rootIno,
    generation: 0,
  });
  const dentry = newDentry(core, null, '/', root);
  core.setSuperblock({ ...core.superblock(id), root: dentry.id });
  if (options.type === 'ext4') lostAndFound(core, dentry);
  core.setInode({ ...core.inode(root.key), dirtied: -1 });
  return id;
}

function lostAndFound(core: Core, root: Dentry): void {
  const dir = newInode(core, root.sb, { mode: S_IFDIR | 0o700, uid: 0, gid: 0, ino: 11, generation: 0 });
  hashChild(core, root.inode, newDentry(core, root.id, 'lost+found', dir));
  core.setInode({ ...core.inode(root.inode), nlink: 3 });
  core.setInode({ ...dir, dirtied: -1 });
}

/** A block device, and the file system on it. */
export function addDevice(core: Core, name: string, rdev: number, sb: SbId | null): void {
  const { devices } = core.state;
  const device = { name, rdev, sb, readonly: false, verity: null };
  core.state = { ...core.state, devices: devices.set(name, device) };
  if (sb !== null) core.setSuperblock({ ...core.superblock(sb), device: name, sid: name, dev: rdev });
}

interface MountFlags {
  readonly readonly: boolean;
  readonly noexec: boolean;
  readonly nosuid: boolean;
  readonly nodev: boolean;
}

const NO_FLAGS: MountFlags = { readonly: false, noexec: false, nosuid: false, nodev: false };

/** Puts a mount into a namespace, on a place or as its root. */
function addMount(
  core: Core,
  sb: SbId,
  root: DentryId,
  ns: NsId,
  on: PathRef | null,
  flags: MountFlags,
): MountId {
  const id = core.id();
  const mount: Mount = {
    id,
    sb,
    root,
    parent: on === null ? null : on.mount,
    mountpoint: on === null ? null : on.dentry,
    ns,
    readonly: flags.readonly,
    noexec: flags.noexec,
    nosuid: flags.nosuid,
    nodev: flags.nodev,
    locked: false,
  };
  core.setMount(mount);
  if (on !== null) cover(core, on, id);
  const record = core.superblock(sb);
  core.setSuperblock({ ...record, mounted: record.mounted + 1 });
  return id;
}

function cover(core: Core, on: PathRef, id: MountId): void {
  core.state = { ...core.state, mountedOn: core.state.mountedOn.set(mountKey(on), id) };
  const dentry = core.dentry(on.dentry);
  core.setDentry({ ...dentry, mounted: dentry.mounted + 1 });
}

function uncover(core: Core, mount: Mount): void {
  if (mount.parent === null || mount.mountpoint === null) return;
  const on = { mount: mount.parent, dentry: mount.mountpoint };
  core.state = { ...core.state, mountedOn: core.state.mountedOn.delete(mountKey(on)) };
  const dentry = core.state.dentries.get(on.dentry);
  if (dentry !== undefined) core.setDentry({ ...dentry, mounted: dentry.mounted - 1 });
}

/** Mounts without checks: boot, and the kernel's own mounts. */
export function attach(core: Core, sb: SbId, ns: NsId, on: PathRef | null): PathRef {
  if (!core.state.namespaces.has(ns))
    core.state = { ...core.state, namespaces: core.state.namespaces.set(ns, core.superblock(sb).userNs) };
  const { root } = core.superblock(sb);
  const fs = core.fs(sb);
  const mount = addMount(core, sb, root, ns, on, { ...NO_FLAGS, noexec: fs.noexec, nodev: fs.nodev });
  return { mount, dentry: root };
}

/** A mount that is in no namespace, such as the private ones of an overlay's layers. */
export function privateMount(core: Core, sb: SbId, root: DentryId, ns: NsId, readonly: boolean): MountId {
  return addMount(core, sb, root, ns, null, { ...NO_FLAGS, readonly });
}

/** @kernel fs/namespace.c may_mount() */
function mayMount(core: Core, task: VfsTask): Err {
  const owner = core.state.namespaces.get(task.ns) ?? 0;
  return nsCapable(task.cred, owner, CAP_SYS_ADMIN) ? 0 : core.refuse('EPERM', 'vfs.no_capability');
}

function flagsOf(words: readonly string[]): MountFlags {
  return {
    readonly: words.includes('ro'),
    noexec: words.includes('noexec'),
    nosuid: words.includes('nosuid'),
    nodev: words.includes('nodev'),
  };
}

/** @kernel fs/namespace.c path_mount() */
export function mount(core: Core, task: VfsTask, request: MountRequest): Err {
  const found = pathLookup(core, task, request.target);
  if (!found.ok) return found.errno;
  const denied = mayMount(core, task);
  if (denied !== 0) return denied;
  const { flags } = request;
  if (flags.includes('remount')) return remount(core, task, found.value, request);
  if (flags.includes('bind') || flags.includes('rbind'))
    return bind(core, task, found.value, request.source, flags.includes('rbind'));
  if (
    ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave', 'unbindable'].some((w) =>
      flags.includes(w),
    )
  )
    return 0;
  if (flags.includes('move')) return moveMount(core, task, found.value, request.source);
  return newMount(core, task, found.value, request);
}

/** @kernel fs/namespace.c do_new_mount() */
function newMount(core: Core, task: VfsTask, on: PathRef, request: MountRequest): Err {
  if (request.type === '') return core.refuse('EINVAL', 'vfs.bad_argument');
  const type = typeNamed(request.type);
  if (type === undefined) return core.refuse('ENODEV', 'vfs.no_device');
  const fs = behaviourOf(type);
  const parameters = parseParameters(core, type, request.data, task.umask);
  if (!parameters.ok) return parameters.errno;
  const permitted = fs.userMount
    ? nsCapable(task.cred, task.cred.userNs, CAP_SYS_ADMIN)
    : capable(task.cred, CAP_SYS_ADMIN);
  if (!permitted) return core.refuse('EPERM', 'vfs.no_capability');
  const flags = flagsOf(request.flags);
  const tree = fs.needsDevice
    ? deviceTree(core, task, type, request.source, flags.readonly, parameters.value)
    : memoryTree(core, task, type, flags.readonly, parameters.value);
  if (!tree.ok) return tree.errno;
  const sb = core.superblock(tree.value);
  const err = addChecked(core, task, tree.value, sb.root, on, {
    ...flags,
    noexec: flags.noexec,
    nodev: flags.nodev || task.cred.userNs !== 0,
  });
  if (err !== 0 && core.superblock(sb.id).mounted === 0) shutDown(core, sb.id);
  return err;
}

/** @kernel fs/namespace.c do_add_mount() */
function addChecked(
  core: Core,
  task: VfsTask,
  sb: SbId,
  root: DentryId,
  on: PathRef,
  flags: MountFlags,
): Err {
  const parent = core.mountOf(on.mount);
  if (parent.ns !== task.ns) return core.refuse('EINVAL', 'vfs.bad_argument');
  if (parent.sb === sb && parent.root === on.dentry && root === core.superblock(sb).root)
    return core.refuse('EBUSY', 'vfs.busy');
  if (isDir(core.inode(core.dentry(root).inode)) !== isDir(core.inode(core.dentry(on.dentry).inode)))
    return core.refuse('ENOTDIR', 'vfs.not_directory');
  addMount(core, sb, root, task.ns, on, flags);
  return 0;
}

/**
 * The superblock on a block device; the same one while it is mounted anywhere.
 *
 * @kernel fs/super.c get_tree_bdev()
 */
function deviceTree(
  core: Core,
  task: VfsTask,
  type: FsType,
  source: string,
  readonly: boolean,
  parameters: FsParameters,
): Result<SbId> {
  const found = pathLookup(core, task, source);
  if (!found.ok) return found;
  const node = core.inode(core.dentry(found.value.dentry).inode);
  if ((node.mode & S_IFMT) !== S_IFBLK) return core.refused('ENOTBLK', 'vfs.not_block');
  if (core.mountOf(found.value.mount).nodev) return core.refused('EACCES', 'vfs.nodev');
  const device = blockDevice(core, node.rdev);
  if (device === undefined) return core.refused('ENXIO', 'vfs.no_device');
  const sb = device.sb === null ? undefined : core.superblock(device.sb);
  const mounted = sb !== undefined && sb.mounted > 0;
  if (mounted && (sb.type !== type || sb.readonly !== readonly)) return core.refused('EBUSY', 'vfs.busy');
  if (device.claimed === true) return core.refused('EBUSY', 'vfs.device_claimed');
  if (device.readonly && !readonly) return core.refused('EACCES', 'vfs.read_only');
  if (device.unreadable === true) return core.refused('EIO', 'vfs.io');
  if (sb === undefined || sb.type !== type) return core.refused('EINVAL', 'vfs.bad_argument');
  if (sb.mounted === 0) core.setSuperblock({ ...sb, readonly });
  if (sb.mounted === 0 && parameters.vfat !== undefined) applyOptions(core, sb.id, parameters);
  return ok(sb.id);
}

/** FAT's owner and masks change what every inode shows. */
function applyOptions(core: Core, id: SbId, parameters: FsParameters): void {
  const options = parameters.vfat ?? null;
  if (options === null) return;
  core.setSuperblock({ ...core.superblock(id), options });
  for (const inode of core.state.inodes.values()) {
    if (inode.sb !== id) continue;
    const dir = (inode.mode & S_IFMT) === S_IFDIR;
    const writes = dir || (inode.mode & 0o222) !== 0 ? 0o777 : 0o555;
    const mode = (inode.mode & S_IFMT) | (writes & ~(dir ? options.dmask : options.fmask));
    core.setInode({ ...inode, mode, uid: options.uid, gid: options.gid });
  }
}

/** @kernel fs/super.c get_tree_nodev() */
function memoryTree(
  core: Core,
  task: VfsTask,
  type: FsType,
  readonly: boolean,
  parameters: FsParameters,
): Result<SbId> {
  if (SINGLE.includes(type)) {
    for (const sb of core.state.superblocks.values()) if (sb.type === type) return ok(sb.id);
    // Registered only where the module that brings it is active.
    if (type === 'smackfs') return core.refused('ENODEV', 'vfs.no_device');
  }
  if (type === 'overlay') return core.overlay.mount(core, task, parameters);
  const { userNs } = task.cred;
  const id = createSuperblock(core, { type, userNs, untrustedMounter: type === 'fuse' && userNs !== 0 });
  const root = core.inode(core.dentry(core.superblock(id).root).inode);
  core.setInode({
    ...root,
    mode: S_IFDIR | (parameters.mode ?? root.mode & 0o7777),
    uid: parameters.uid ?? task.cred.fsuid,
    gid: parameters.gid ?? task.cred.fsgid,
  });
  core.setSuperblock({ ...core.superblock(id), readonly });
  return ok(id);
}

/** @kernel fs/namespace.c do_loopback() */
function bind(core: Core, task: VfsTask, on: PathRef, source: string, recurse: boolean): Err {
  if (source === '') return core.refuse('EINVAL', 'vfs.bad_argument');
  const found = pathLookup(core, task, source);
  if (!found.ok) return found.errno;
  const from = core.mountOf(found.value.mount);
  if (from.ns !== task.ns) return core.refuse('EINVAL', 'vfs.bad_argument');
  if (core.mountOf(on.mount).ns !== task.ns) return core.refuse('EINVAL', 'vfs.bad_argument');
  const { dentry } = found.value;
  if (isDir(core.inode(core.dentry(dentry).inode)) !== isDir(core.inode(core.dentry(on.dentry).inode)))
    return core.refuse('ENOTDIR', 'vfs.not_directory');
  const below = recurse ? childrenOf(core, from.id, dentry) : [];
  const id = addMount(core, from.sb, dentry, task.ns, on, from);
  const copies = new Map<MountId, MountId>([[from.id, id]]);
  for (const m of below) copyMount(core, m, task.ns, copies);
  return 0;
}

/** Whether a dentry is another one or lies below it. */
function isSubdir(core: Core, id: DentryId | null, above: DentryId): boolean {
  for (let at = id; at !== null; ) {
    if (at === above) return true;
    const { parent } = core.dentry(at);
    if (parent === at) return false;
    at = parent;
  }
  return false;
}

/** All mounts below one, parents first; only those below a dentry of it, when one is given. */
function childrenOf(core: Core, id: MountId, below?: DentryId): readonly Mount[] {
  const all = [...core.state.mounts.values()].sort((a, b) => a.id - b.id);
  const out: Mount[] = [];
  const inside = new Set<MountId>([id]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const m of all) {
      if (m.parent === null || inside.has(m.id) || !inside.has(m.parent)) continue;
      if (m.parent === id && below !== undefined && !isSubdir(core, m.mountpoint, below)) continue;
      inside.add(m.id);
      out.push(m);
      grew = true;
    }
  }
  return out;
}

function copyMount(core: Core, m: Mount, ns: NsId, copies: Map<MountId, MountId>): void {
  const parent = m.parent === null ? undefined : copies.get(m.parent);
  if (parent === undefined && m.parent !== null) return;
  const on = parent === undefined || m.mountpoint === null ? null : { mount: parent, dentry: m.mountpoint };
  copies.set(m.id, addMount(core, m.sb, m.root, ns, on, m));
}

/** @kernel fs/namespace.c do_move_mount() */
function moveMount(core: Core, task: VfsTask, on: PathRef, source: string): Err {
  const found = pathLookup(core, task, source);
  if (!found.ok) return found.errno;
  const m = core.mountOf(found.value.mount);
  if (m.root !== found.value.dentry || m.parent === null || m.ns !== task.ns)
    return core.refuse('EINVAL', 'vfs.bad_argument');
  if (isDir(core.inode(core.dentry(m.root).inode)) !== isDir(core.inode(core.dentry(on.dentry).inode)))
    return core.refuse('EINVAL', 'vfs.not_directory');
  if ([m, ...childrenOf(core, m.id)].some((x) => x.id === on.mount)) return core.refuse('ELOOP', 'vfs.loop');
  uncover(core, m);
  core.setMount({ ...m, parent: on.mount, mountpoint: on.dentry });
  cover(core, on, m.id);
  return 0;
}

/** Whether a file is open for writing through a mount, or anywhere on its file system. */
function hasWriters(core: Core, test: (m: Mount) => boolean): boolean {
  for (const file of core.state.files.values())
    if ((file.fmode & FMODE_WRITER) !== 0 && test(core.mountOf(file.path.mount))) return true;
  return false;
}

/**
 * Whether a file system cannot become read-only now: a file is open for writing, or waits for its last user
 * to go.
 *
 * @kernel fs/namespace.c sb_prepare_remount_readonly()
 */
function keepsWriting(core: Core, id: SbId): boolean {
  if (hasWriters(core, (m) => m.sb === id)) return true;
  for (const inode of core.state.inodes.values())
    if (inode.sb === id && inode.nlink === 0 && !isGone(inode)) return true;
  return false;
}

/** @kernel fs/namespace.c do_remount() */
function remount(core: Core, task: VfsTask, at: PathRef, request: MountRequest): Err {
  const m = core.mountOf(at.mount);
  if (m.ns !== task.ns || m.root !== at.dentry) return core.refuse('EINVAL', 'vfs.bad_argument');
  const flags = flagsOf(request.flags);
  if (!request.flags.includes('bind')) {
    const sb = core.superblock(m.sb);
    const parameters = parseParameters(core, sb.type, request.data, task.umask);
    if (!parameters.ok) return parameters.errno;
    if (!nsCapable(task.cred, sb.userNs, CAP_SYS_ADMIN)) return core.refuse('EPERM', 'vfs.no_capability');
    const device = sb.device === null ? undefined : core.state.devices.get(sb.device);
    if (!flags.readonly && device?.readonly === true) return core.refuse('EACCES', 'vfs.read_only');
    if (flags.readonly && !sb.readonly && keepsWriting(core, sb.id)) return core.refuse('EBUSY', 'vfs.busy');
    core.setSuperblock({ ...core.superblock(m.sb), readonly: flags.readonly });
  } else if (flags.readonly && !m.readonly && hasWriters(core, (x) => x.id === m.id))
    return core.refuse('EBUSY', 'vfs.busy');
  core.setMount({ ...core.mountOf(m.id), ...flags });
  return 0;
}

/** @kernel fs/namespace.c path_umount() */
export function umount(core: Core, task: VfsTask, path: string, detach: boolean): Err {
  const found = pathLookup(core, task, path);
  if (!found.ok) return found.errno;
  const denied = mayMount(core, task);
  if (denied !== 0) return denied;
  const m = core.mountOf(found.value.mount);
  if (m.root !== found.value.dentry || m.ns !== task.ns) return core.refuse('EINVAL', 'vfs.bad_argument');
  if (m.id === task.root.mount && !detach) {
    if (keepsWriting(core, m.sb)) return core.refuse('EBUSY', 'vfs.busy');
    core.setSuperblock({ ...core.superblock(m.sb), readonly: true });
    return 0;
  }
  if (m.parent === null) return core.refuse('EINVAL', 'vfs.bad_argument');
  if (m.locked) return core.refuse('EINVAL', 'vfs.locked_mount');
  const below = childrenOf(core, m.id);
  if (!detach && (below.length > 0 || inUse(core, task, m.id))) return core.refuse('EBUSY', 'vfs.busy');
  for (const x of [...below].reverse()) removeMount(core, x);
  removeMount(core, m);
  return 0;
}

function inUse(core: Core, task: VfsTask | null, id: MountId): boolean {
  if (task !== null && (task.cwd.mount === id || task.root.mount === id)) return true;
  if (core.env.mountInUse?.(id) === true) return true;
  for (const file of core.state.files.values()) if (file.path.mount === id) return true;
  return false;
}

/**
 * Takes a mount away; the last one of a superblock shuts it down.
 *
 * @kernel fs/namespace.c umount_tree()
 */
function removeMount(core: Core, m: Mount): void {
  uncover(core, m);
  const busy = inUse(core, core.current, m.id);
  if (busy) core.setMount({ ...m, parent: null, mountpoint: null, ns: -1 });
  else core.state = { ...core.state, mounts: core.state.mounts.delete(m.id) };
  const sb = core.superblock(m.sb);
  if (busy) return;
  core.setSuperblock({ ...sb, mounted: sb.mounted - 1 });
  if (sb.mounted === 1) shutDown(core, m.sb);
}

/** A mount that was detached while files were open on it goes when the last of them is closed. */
export function mntput(core: Core, id: MountId): void {
  const m = core.state.mounts.get(id);
  if (m === undefined || m.ns !== -1 || m.parent !== null || id === core.state.shmMount) return;
  if (core.state.superblocks.get(m.sb)?.overlay !== undefined && isLayer(core, id)) return;
  if (inUse(core, core.current, id)) return;
  core.state = { ...core.state, mounts: core.state.mounts.delete(id) };
  const sb = core.superblock(m.sb);
  core.setSuperblock({ ...sb, mounted: sb.mounted - 1 });
  if (sb.mounted === 1) shutDown(core, m.sb);
}

function isLayer(core: Core, id: MountId): boolean {
  for (const { overlay } of core.state.superblocks.values()) {
    if (overlay === null) continue;
    if (overlay.upper?.mount === id || overlay.lowers.some((l) => l.mount === id)) return true;
  }
  return false;
}

/**
 * The end of a superblock in memory: every inode leaves the cache. What is on a device stays there, the rest
 * is gone.
 *
 * @kernel fs/super.c generic_shutdown_super()
 */
function shutDown(core: Core, id: SbId): void {
  writeBackAll(core, id);
  const sb = core.superblock(id);
  const keys = [...core.state.inodes.values()].filter((i) => i.sb === id).map((i) => i.key);
  for (const key of keys.sort((a, b) => a - b)) forget(core, key);
  if (SINGLE.includes(sb.type) || sb.type === 'rootfs') return;
  if (sb.overlay !== null) for (const key of keys) releaseReal(core, core.inode(key));
  const keeps = sb.device !== null;
  const iunique = core.fs(id).inodeNumbers === 'iunique';
  const inodes = core.state.inodes.withMutations((map) => {
    for (const key of keys) {
      const inode = map.get(key);
      if (inode === undefined) continue;
      if (!keeps || inode.nlink === 0) map.delete(key);
      else {
        const ino = iunique && inode.ino !== 1 ? 0 : inode.ino;
        map.set(key, {
          ...inode,
          ino,
          dirtied: -1,
          iWritecount: 0,
          iReadcount: 0,
          openCount: 0,
          mmapWritable: 0,
        });
      }
    }
  });
  const gone = (d: Dentry): boolean => d.sb === id && (!keeps || !inodes.has(d.inode) || !d.hashed);
  const dentries = core.state.dentries.filter((d) => !gone(d));
  core.state = { ...core.state, inodes, dentries };
  if (keeps) {
    uncacheAll(core, id);
    return;
  }
  core.state = { ...core.state, superblocks: core.state.superblocks.delete(id) };
  if (sb.overlay === null) return;
  const mounts = new Set(
    [sb.overlay.upper, ...sb.overlay.lowers].flatMap((p) => (p === null ? [] : [p.mount])),
  );
  for (const m of mounts) removeMount(core, core.mountOf(m));
}

/** @kernel fs/namespace.c copy_mnt_ns() */
export function cloneNs(core: Core, task: VfsTask): { ns: NsId; root: PathRef; cwd: PathRef } {
  const ns = core.id();
  core.state = { ...core.state, namespaces: core.state.namespaces.set(ns, task.cred.userNs) };
  const copies = new Map<MountId, MountId>();
  const all = [...core.state.mounts.values()].filter((m) => m.ns === task.ns).sort((a, b) => a.id - b.id);
  const waiting = new Set(all);
  while (waiting.size > 0) {
    const before = waiting.size;
    for (const m of waiting) {
      if (m.parent !== null && !copies.has(m.parent)) continue;
      copyMount(core, m, ns, copies);
      waiting.delete(m);
    }
    assert(waiting.size < before, 'mount without a way to its root');
  }
  // @kernel fs/namespace.c lock_mnt_tree()
  if (core.state.namespaces.get(task.ns) !== task.cred.userNs)
    for (const id of copies.values()) {
      const m = core.mountOf(id);
      if (m.parent !== null) core.setMount({ ...m, locked: true });
    }
  const moved = (p: PathRef): PathRef => ({ mount: copies.get(p.mount) ?? p.mount, dentry: p.dentry });
  return { ns, root: moved(task.root), cwd: moved(task.cwd) };
}

/** @kernel fs/namespace.c __is_local_mountpoint() */
export function localMountpoint(core: Core, task: VfsTask, dentry: Dentry): boolean {
  if (dentry.mounted === 0) return false;
  for (const m of core.state.mounts.values()) if (m.mountpoint === dentry.id && m.ns === task.ns) return true;
  return false;
}

/** @kernel fs/namespace.c __detach_mounts() */
export function detachMounts(core: Core, _task: VfsTask, id: DentryId): void {
  if ((core.state.dentries.get(id)?.mounted ?? 0) === 0) return;
  for (const m of core.state.mounts.values()) {
    if (m.mountpoint !== id) continue;
    for (const x of [...childrenOf(core, m.id)].reverse()) removeMount(core, x);
    removeMount(core, m);
  }
}
