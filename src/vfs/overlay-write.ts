// Overlay file systems, the writing half: mounting them, copying up, creating over whiteouts, removing with
// whiteouts, moving. Everything in a layer is done as the mounter and meets the layer's own hooks, in the
// kernel's order. Left out: the index (hard links are broken at copy-up), volatile and userxattr mounts,
// inode flags at copy-up.

import { utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { isAclName } from './acl.ts';
import { notifyChange } from './attr.ts';
import { type Birth, createNode } from './birth.ts';
import { O_RDONLY, O_WRONLY, S_IFCHR, S_IFDIR, S_IFMT, S_IFREG } from './constants.ts';
import { NO_CONTENT } from './content.ts';
import type { Core } from './core.ts';
import { hashChild, NO_NS, newDentry, unhash } from './dcache.ts';
import { holdInode, I_LINKABLE, iputFinal, modified, releaseInode } from './inode.ts';
import { addLink, dropDirectory, dropName, isEmpty, moveName, swap } from './links.ts';
import type { FsParameters } from './mount-options.ts';
import { createSuperblock, privateMount, randomUuid } from './mounts.ts';
import { pathLookup } from './namei.ts';
import { dentryOpen, type OpenOp, put, tmpfile } from './open.ts';
import {
  type CopyUp,
  copyAttr,
  dataPath,
  isOpaque,
  isPrivate,
  layersOf,
  lookupChild,
  lowerPositive,
  mounter,
  OVL_IMPURE,
  OVL_METACOPY,
  OVL_OPAQUE,
  OVL_ORIGIN,
  OVL_REDIRECT,
  OVL_UUID,
  type OverlayOps,
  overlayInode,
  realPath,
  redirectOf,
  restack,
} from './overlay.ts';
import { isDir, isReg } from './perm.ts';
import type {
  Dentry,
  DentryId,
  FileId,
  Inode,
  LayerStack,
  OverlayLayers,
  PathRef,
  SbId,
  VfsTask,
} from './types.ts';
import { removexattr, setxattr, validCapability } from './xattr.ts';
import { findXattr } from './xattr-store.ts';

// -- mounting

/** @kernel fs/overlayfs/params.c ovl_mount_dir() */
function layerDir(core: Core, task: VfsTask, path: string, upper: boolean): Result<PathRef> {
  const at = pathLookup(core, task, path);
  if (!at.ok) return at;
  if (!isDir(core.inode(core.dentry(at.value.dentry).inode)))
    return core.refused('EINVAL', 'vfs.not_directory');
  const mount = core.mountOf(at.value.mount);
  if (upper && (mount.readonly || core.superblock(mount.sb).readonly))
    return core.refused('EINVAL', 'vfs.read_only');
  return at;
}

function isBelow(core: Core, above: DentryId, id: DentryId): boolean {
  for (let at = id; ; ) {
    if (at === above) return true;
    const { parent } = core.dentry(at);
    if (parent === at) return false;
    at = parent;
  }
}

/** @kernel fs/overlayfs/super.c ovl_fill_super() */
function mount(core: Core, task: VfsTask, parameters: FsParameters): Result<SbId> {
  const wanted = parameters.overlay;
  if (wanted === undefined || wanted.lowers.length === 0) return core.refused('EINVAL', 'vfs.bad_argument');
  const found: PathRef[] = [];
  for (const path of wanted.lowers) {
    const at = layerDir(core, task, path, false);
    if (!at.ok) return at;
    found.push(at.value);
  }
  const upper = wanted.upper === null ? null : layerDir(core, task, wanted.upper, true);
  if (upper !== null && !upper.ok) return upper;
  const work = wanted.work === null || upper === null ? null : layerDir(core, task, wanted.work, true);
  if (work !== null && !work.ok) return work;
  if (upper !== null) {
    if (work === null || work.value.mount !== upper.value.mount)
      return core.refused('EINVAL', 'vfs.bad_argument');
    const nested =
      isBelow(core, upper.value.dentry, work.value.dentry) ||
      isBelow(core, work.value.dentry, upper.value.dentry);
    if (nested) return core.refused('EINVAL', 'vfs.bad_argument');
  }
  return ok(build(core, task, found, upper?.value ?? null, work?.value ?? null, wanted));
}

function build(
  core: Core,
  task: VfsTask,
  found: readonly PathRef[],
  upper: PathRef | null,
  work: PathRef | null,
  wanted: { readonly metacopy: boolean; readonly redirect: boolean },
): SbId {
  const copy = (p: PathRef, readonly: boolean): PathRef => {
    const { sb } = core.mountOf(p.mount);
    return { mount: privateMount(core, sb, p.dentry, NO_NS, readonly), dentry: p.dentry };
  };
  const top = upper === null ? null : copy(upper, false);
  const id = createSuperblock(core, { type: 'overlay', userNs: task.cred.userNs });
  const layers: OverlayLayers = {
    upper: top,
    lowers: found.map((p) => copy(p, true)),
    work: null,
    metacopy: wanted.metacopy,
    redirect: wanted.redirect,
    cred: task.cred,
    whiteout: null,
    tempId: 0,
  };
  core.setSuperblock({ ...core.superblock(id), overlay: layers, readonly: top === null });
  if (top !== null && work !== null) makeWorkdir(core, task, id, { mount: top.mount, dentry: work.dentry });
  const stack: LayerStack = {
    upper: top?.dentry ?? null,
    lowers: layers.lowers.map((p, layer) => ({ layer, dentry: p.dentry })),
  };
  const inode = overlayInode(core, id, stack);
  const root = core.dentry(core.superblock(id).root);
  const placeholder = root.inode;
  core.setDentry({ ...root, inode: inode.key });
  core.state = { ...core.state, inodes: core.state.inodes.delete(placeholder) };
  return id;
}

function patchLayers(core: Core, sb: SbId, patch: Partial<OverlayLayers>): void {
  core.setSuperblock({ ...core.superblock(sb), overlay: { ...layersOf(core, sb), ...patch } });
}

/**
 * The work directory, and the probes for O_TMPFILE, whiteouts and xattrs that use up inode numbers of the
 * upper layer. What the kernel held open meanwhile is released at the end: file references are dropped
 * after the call.
 *
 * @kernel fs/overlayfs/super.c ovl_make_workdir()
 */
function makeWorkdir(core: Core, task: VfsTask, sb: SbId, base: PathRef): void {
  const as = mounter(core, sb, task);
  const dir = core.dentry(base.dentry);
  const old = lookupChild(core, dir, 'work');
  const kept = old !== undefined && !isEmpty(core, old) ? old.inode : null;
  if (kept !== null) holdInode(core, kept);
  if (old !== undefined) removeTree(core, old);
  const made = createNode(core, as, core.dentry(dir.id), 'work', { mode: S_IFDIR });
  if (!made.ok) return;
  const work = { mount: base.mount, dentry: made.value.id };
  notifyChange(core, as, work, { mode: S_IFDIR });
  patchLayers(core, sb, { work });
  const probe = tmpfile(core, as, work, { flags: O_WRONLY, mode: S_IFREG, accMode: 0 });
  const temp = createTemp(core, as, sb, { mode: S_IFREG });
  if (temp.ok) {
    const whiteout = createNode(core, as, core.dentry(work.dentry), tempName(core, sb), { mode: S_IFCHR });
    if (whiteout.ok) dropName(core, whiteout.value);
    dropName(core, core.dentry(temp.value.id));
  }
  if (setxattr(core, as, work, OVL_OPAQUE, utf8('0'), 0) === 0) removexattr(core, as, work, OVL_OPAQUE);
  else if (layersOf(core, sb).metacopy) patchLayers(core, sb, { metacopy: false });
  initUuid(core, as, sb);
  if (probe.ok) put(core, as, probe.value);
  if (kept !== null) releaseInode(core, kept);
  core.why = null;
}

/**
 * The overlay's own uuid, kept in the upper directory: made at the first mount, found again at later
 * ones, none for an upper directory that an overlay used before.
 *
 * @kernel fs/overlayfs/util.c ovl_init_uuid_xattr()
 */
function initUuid(core: Core, as: VfsTask, sb: SbId): void {
  const { upper } = layersOf(core, sb);
  if (upper === null) return;
  const root = core.inode(core.dentry(upper.dentry).inode);
  const known = findXattr(root, OVL_UUID);
  if (known === undefined && findXattr(root, OVL_IMPURE) !== undefined) return;
  const uuid = known ?? randomUuid(core);
  if (known === undefined && setxattr(core, as, upper, OVL_UUID, uuid, 0) !== 0) return;
  core.setSuperblock({ ...core.superblock(sb), uuid });
}

function removeTree(core: Core, dentry: Dentry): void {
  const inode = core.inode(dentry.inode);
  for (const id of inode.children?.values() ?? []) removeTree(core, core.dentry(id));
  if (isDir(inode)) dropDirectory(core, core.dentry(dentry.id));
  else dropName(core, core.dentry(dentry.id));
}

function tempName(core: Core, sb: SbId): string {
  const tempId = layersOf(core, sb).tempId + 1;
  patchLayers(core, sb, { tempId });
  return `#${tempId.toString(16)}`;
}

/** A temporary entry in the work directory. */
function createTemp(core: Core, as: VfsTask, sb: SbId, birth: Birth): Result<Dentry> {
  const { work } = layersOf(core, sb);
  if (work === null) return core.refused('EROFS', 'vfs.read_only');
  return createNode(core, as, core.dentry(work.dentry), tempName(core, sb), birth);
}

// -- copying up

/**
 * Copies a file and the directories above it to the upper layer, as far as they are not there.
 *
 * @kernel fs/overlayfs/copy_up.c ovl_copy_up_flags()
 */
function copyUp(core: Core, task: VfsTask, id: DentryId, how: CopyUp): Err {
  const dentry = core.dentry(id);
  const inode = core.inode(dentry.inode);
  if (inode.layers?.upper !== null) {
    const whole = how === 'meta' || inode.realData === inode.realMeta;
    return whole ? 0 : copyUpData(core, mounter(core, inode.sb, task), id, how);
  }
  if (layersOf(core, inode.sb).work === null) return core.refuse('EROFS', 'vfs.read_only');
  if (!dentry.hashed) return core.refuse('EEXIST', 'vfs.exists');
  if (dentry.parent !== id) {
    const err = copyUp(core, task, dentry.parent, 'meta');
    if (err !== 0) return err;
  }
  const as = mounter(core, inode.sb, task);
  const parent = core.inode(core.dentry(dentry.parent).inode);
  const into = realPath(core, parent);
  const times = core.inode(core.dentry(into.dentry).inode);
  let err = setImpure(core, as, into);
  if (err === 0)
    err = isReg(inode) ? copyUpTmpfile(core, as, id, into, how) : copyUpWorkdir(core, as, id, into);
  if (err !== 0) return err;
  notifyChange(core, as, into, { atime: times.atime, mtime: times.mtime });
  core.why = null;
  return 0;
}

/** @kernel fs/overlayfs/util.c ovl_set_impure() */
function setImpure(core: Core, as: VfsTask, dir: PathRef): Err {
  if (findXattr(core.inode(core.dentry(dir.dentry).inode), OVL_IMPURE) !== undefined) return 0;
  const err = setxattr(core, as, dir, OVL_IMPURE, utf8('y'), 0);
  return err === 'EOPNOTSUPP' ? 0 : err;
}

/** @kernel fs/overlayfs/copy_up.c ovl_copy_up_tmpfile() */
function copyUpTmpfile(core: Core, as: VfsTask, id: DentryId, into: PathRef, how: CopyUp): Err {
  const { inode: key, name } = core.dentry(id);
  const inode = core.inode(key);
  const { work, metacopy } = layersOf(core, inode.sb);
  if (work === null) return core.refuse('EROFS', 'vfs.read_only');
  const lower = core.inode(core.dentry(realPath(core, inode).dentry).inode);
  const meta = metacopy && how === 'meta';
  const size = how === 'truncate' ? 0 : lower.size;
  const opened = tmpfile(core, as, work, { flags: O_WRONLY, mode: lower.mode, accMode: 0 });
  if (!opened.ok) return opened.errno;
  const { path, inode: temp } = core.file(opened.value);
  let err: Err = 0;
  if (!meta && size > 0) err = copyData(core, as, dataPath(core, inode), temp);
  if (err === 0) err = copyMetadata(core, as, inode, path, size, meta);
  if (err === 0) {
    const linked = addLink(core, core.inode(temp), core.dentry(into.dentry), name);
    const lowers = meta ? (inode.layers?.lowers ?? []) : [];
    restack(core, key, { upper: linked.id, lowers });
    if (how === 'truncate') keepSize(core, key, inode.size);
  }
  const { why } = core;
  put(core, as, opened.value);
  core.why = why;
  return err;
}

/**
 * The data of a lower file, read through an open file of the mounter.
 *
 * @kernel fs/overlayfs/copy_up.c ovl_copy_up_file()
 */
function copyData(core: Core, as: VfsTask, from: PathRef, to: number): Err {
  const opened = dentryOpen(core, as, from, { flags: O_RDONLY, mode: 0, accMode: 0 }, false);
  if (!opened.ok) return opened.errno;
  const { content, size } = core.inode(core.dentry(from.dentry).inode);
  core.setInode({ ...modified(core, core.inode(to), { content: content ?? NO_CONTENT, size }), dirtied: -1 });
  put(core, as, opened.value);
  return 0;
}

/** @kernel fs/overlayfs/copy_up.c ovl_copy_up_metadata() */
function copyMetadata(core: Core, as: VfsTask, inode: Inode, to: PathRef, size: number, meta: boolean): Err {
  const lower = core.inode(core.dentry(realPath(core, inode).dentry).inode);
  let err = copyXattrs(core, as, lower, to);
  if (err === 0 && (isDir(lower) || lower.nlink === 1)) {
    err = setxattr(core, as, to, OVL_ORIGIN, originHandle(core, lower), 0);
    if (err === 'EPERM' || err === 'EOPNOTSUPP') err = 0;
  }
  if (err === 0 && meta) err = setxattr(core, as, to, OVL_METACOPY, new Uint8Array(0), 0);
  if (err === 0 && isReg(lower)) err = notifyChange(core, as, to, { size });
  if (err === 0 && lower.target === null) err = notifyChange(core, as, to, { mode: lower.mode });
  if (err === 0) err = notifyChange(core, as, to, { uid: lower.uid, gid: lower.gid });
  if (err === 0) notifyChange(core, as, to, { atime: lower.atime, mtime: lower.mtime });
  return err;
}

/** @kernel fs/overlayfs/copy_up.c ovl_copy_xattr() */
function copyXattrs(core: Core, as: VfsTask, lower: Inode, to: PathRef): Err {
  for (const { name, value } of lower.xattrs) {
    if (isPrivate(name)) continue;
    const verdict = core.env.hooks.inodeCopyUpXattr(as, lower.key, name);
    if (verdict === 'discard' || verdict === 'ECANCELED') continue;
    if (verdict !== 'copy' && verdict !== 0 && verdict !== 'EOPNOTSUPP') return verdict;
    if (name === 'security.capability' && !validCapability(value)) continue;
    const err = setxattr(core, as, to, name, value, 0);
    if (err === 0) continue;
    if (err !== 'EOPNOTSUPP' || isAclName(name) || name.startsWith('security.')) return err;
    core.why = null;
  }
  return 0;
}

/**
 * The file handle of the lower inode, by which an overlay finds where a file came from.
 *
 * @kernel fs/overlayfs/copy_up.c ovl_encode_real_fh()
 */
function originHandle(core: Core, lower: Inode): Uint8Array {
  const sb = core.superblock(lower.sb);
  const ext4 = sb.type === 'ext4';
  const w = new Writer('le');
  w.u8(0)
    .u8(0xfb)
    .u8(ext4 ? 29 : 33)
    .u8(0)
    .u8(1)
    .bytes(sb.uuid);
  if (ext4) w.u32(lower.ino).u32(lower.generation);
  else w.u32(lower.generation).u32(lower.ino).u32(0);
  return w.finish();
}

/** Directories, links and special files are made in the work directory and moved into place. */
function copyUpWorkdir(core: Core, as: VfsTask, id: DentryId, into: PathRef): Err {
  const { inode: key, name } = core.dentry(id);
  const inode = core.inode(key);
  const lower = core.inode(core.dentry(realPath(core, inode).dentry).inode);
  const temp = createTemp(core, { ...as, umask: 0 }, inode.sb, {
    mode: lower.target === null ? lower.mode & S_IFMT : lower.mode,
    rdev: lower.rdev,
    ...(lower.target === null ? {} : { target: lower.target }),
  });
  if (!temp.ok) return temp.errno;
  const path = { mount: into.mount, dentry: temp.value.id };
  const err = copyMetadata(core, as, inode, path, 0, false);
  if (err !== 0) {
    const { why } = core;
    removeTree(core, core.dentry(temp.value.id));
    core.why = why;
    return err;
  }
  moveInLayer(core, as, core.dentry(temp.value.id), core.dentry(into.dentry), name, undefined);
  restack(core, key, { upper: temp.value.id, lowers: isDir(lower) ? (inode.layers?.lowers ?? []) : [] });
  return 0;
}

/** A rename inside the upper file system, without checks. */
function moveInLayer(
  core: Core,
  as: VfsTask,
  source: Dentry,
  newDir: Dentry,
  name: string,
  target: Dentry | undefined,
  exchange = false,
): void {
  const oldDir = core.dentry(source.parent);
  const move = { oldDir, newDir, source, target, name, flags: 0 };
  if (exchange && target !== undefined) swap(core, move, target);
  else moveName(core, as, move);
}

/**
 * The data of a file whose metadata is in the upper layer already; before a truncation it stays a hole of
 * the file's size.
 *
 * @kernel fs/overlayfs/copy_up.c ovl_copy_up_meta_inode_data()
 */
function copyUpData(core: Core, as: VfsTask, id: DentryId, how: CopyUp): Err {
  const { inode: key } = core.dentry(id);
  const inode = core.inode(key);
  const upper = realPath(core, inode);
  const target = core.dentry(upper.dentry).inode;
  if (how !== 'truncate') {
    const err = copyData(core, as, dataPath(core, inode), target);
    if (err !== 0) return err;
  }
  const err = removexattr(core, as, upper, OVL_METACOPY);
  if (err !== 0) return err;
  restack(core, key, { upper: upper.dentry, lowers: [] });
  return 0;
}

/** Copying up without the data leaves the overlay's inode its size until the truncation that follows it. */
function keepSize(core: Core, key: number, size: number): void {
  core.setInode({ ...core.inode(key), size });
}

// -- names

/** The creator's own user and group, for the rest the mounter. */
function creator(core: Core, sb: SbId, task: VfsTask): VfsTask {
  const as = mounter(core, sb, task);
  const { fsuid, fsgid } = task.cred;
  return { ...as, cred: { ...as.cred, fsuid, fsgid } };
}

/** The whiteout that covers a name in the upper layer, where there is one. */
function whiteoutAt(core: Core, upperDir: DentryId, name: string): Dentry | undefined {
  const found = lookupChild(core, core.dentry(upperDir), name);
  if (found === undefined) return undefined;
  const inode = core.inode(found.inode);
  return (inode.mode & S_IFMT) === S_IFCHR && inode.rdev === 0 ? found : undefined;
}

/** @kernel fs/overlayfs/dir.c ovl_create_object() */
function create(core: Core, task: VfsTask, dir: Dentry, name: string, birth: Birth): Result<Dentry> {
  const err = copyUp(core, task, dir.id, 'meta');
  if (err !== 0) return fail(err);
  const parent = core.inode(dir.inode);
  const into = realPath(core, parent);
  const as = creator(core, dir.sb, task);
  const covered = whiteoutAt(core, into.dentry, name);
  const directory = (birth.mode & S_IFMT) === S_IFDIR;
  const made =
    covered === undefined
      ? createNode(core, as, core.dentry(into.dentry), name, birth)
      : createTemp(core, as, dir.sb, birth);
  if (!made.ok) return made;
  const upper = { mount: into.mount, dentry: made.value.id };
  // Without redirects the lower layer may still change below an overlay: new directories stay open to it.
  const closed = layersOf(core, dir.sb).redirect && (parent.layers?.lowers.length ?? 0) > 0;
  if (directory && (covered !== undefined || closed)) {
    setxattr(core, mounter(core, dir.sb, task), upper, OVL_OPAQUE, utf8('y'), 0);
    core.why = null;
  }
  if (covered !== undefined) {
    moveInLayer(core, as, core.dentry(upper.dentry), core.dentry(into.dentry), name, covered, directory);
    if (directory) dropName(core, core.dentry(covered.id));
  }
  return ok(present(core, dir, name, upper.dentry));
}

/** Shows an upper entry in the overlay's directory. */
function present(core: Core, dir: Dentry, name: string, upper: DentryId): Dentry {
  const inode = overlayInode(core, dir.sb, { upper, lowers: [] });
  const dentry = newDentry(core, dir.id, name, inode);
  hashChild(core, dir.inode, dentry);
  copyAttr(core, dir.inode);
  return dentry;
}

/** What the upper directory has under a name, whiteouts left out. */
function upperEntry(core: Core, dir: DentryId, name: string): DentryId | null {
  const found = lookupChild(core, core.dentry(dir), name);
  return found === undefined || whiteoutAt(core, dir, name) !== undefined ? null : found.id;
}

/** A hard link of the upper inode went: the overlay's inode is reached through another one. */
function repoint(core: Core, inode: Inode): void {
  const upper = inode.layers?.upper ?? null;
  if (upper === null || inode.layers === null || core.state.dentries.get(upper)?.hashed === true) return;
  for (const dentry of core.state.dentries.values())
    if (dentry.inode === inode.realMeta && dentry.hashed) {
      core.setInode({ ...core.inode(inode.key), layers: { ...inode.layers, upper: dentry.id } });
      return;
    }
}

/** The overlay forgets a name; its inode goes with its last name and user. */
function forget(core: Core, dentry: Dentry): void {
  repoint(core, core.inode(dentry.inode));
  const inode = core.inode(dentry.inode);
  const nlink = isDir(inode) ? 0 : inode.nlink - 1;
  const keep = inode.openCount > 0 || isDir(inode);
  unhash(core, dentry, keep);
  core.setInode({ ...core.inode(inode.key), nlink });
  iputFinal(core, inode.key);
}

/** @kernel fs/overlayfs/dir.c ovl_do_remove() */
function remove(core: Core, task: VfsTask, dentry: Dentry): Err {
  const dir = core.dentry(dentry.parent);
  const err = copyUp(core, task, dir.id, 'meta');
  if (err !== 0) return err;
  const parent = core.inode(dir.inode);
  const into = realPath(core, parent);
  const covered = parent.layers !== null && lowerPositive(core, parent.layers, dentry.name);
  const upper = upperEntry(core, into.dentry, dentry.name);
  if (covered) {
    const failed = whiteOut(core, mounter(core, dir.sb, task), dir.sb, into, dentry.name, upper);
    if (failed !== 0) return failed;
  } else if (upper !== null) removeTree(core, core.dentry(upper));
  forget(core, core.dentry(dentry.id));
  copyAttr(core, dir.inode);
  return 0;
}

/**
 * A whiteout in the place of an upper entry, or where there is none; they are all links to one.
 *
 * @kernel fs/overlayfs/dir.c ovl_cleanup_and_whiteout()
 */
function whiteOut(
  core: Core,
  as: VfsTask,
  sb: SbId,
  into: PathRef,
  name: string,
  upper: DentryId | null,
): Err {
  const { work, whiteout } = layersOf(core, sb);
  if (work === null) return core.refuse('EROFS', 'vfs.read_only');
  let first = whiteout;
  if (first === null) {
    const made = createTemp(core, as, sb, { mode: S_IFCHR });
    if (!made.ok) return made.errno;
    first = made.value.id;
    patchLayers(core, sb, { whiteout: first });
  }
  const inode = core.inode(core.dentry(first).inode);
  const link = addLink(core, inode, core.dentry(work.dentry), tempName(core, sb));
  const target = upper === null ? undefined : core.dentry(upper);
  const directory = target !== undefined && isDir(core.inode(target.inode));
  moveInLayer(core, as, link, core.dentry(into.dentry), name, target, directory);
  if (directory && target !== undefined) removeTree(core, core.dentry(target.id));
  return 0;
}

/**
 * Whether what is below the upper entry, or a lower entry, still counts.
 *
 * @kernel fs/overlayfs/util.c ovl_path_type()
 */
function mergesLower(inode: Inode): boolean {
  if (inode.layers === null) return false;
  const { upper, lowers } = inode.layers;
  if (upper === null) return true;
  return isDir(inode) ? lowers.length > 0 : inode.realData !== inode.realMeta;
}

/** Longest text of a redirect. */
const REDIRECT_MAX = 256;

/**
 * The way from the root to where the lower layers have an entry.
 *
 * @kernel fs/overlayfs/dir.c ovl_get_redirect()
 */
function absoluteRedirect(core: Core, id: DentryId): string {
  let path = '';
  for (let at = core.dentry(id); at.parent !== at.id; at = core.dentry(at.parent)) {
    const inode = core.inode(at.inode);
    const known = inode.layers?.upper == null ? null : redirectOf(core.inode(inode.realMeta ?? inode.key));
    if (known?.startsWith('/')) return known + path;
    path = `/${known ?? at.name}${path}`;
  }
  return path;
}

/**
 * Notes at the upper entry where the lower layers have what it continues, before it gets another name.
 *
 * @kernel fs/overlayfs/dir.c ovl_set_redirect()
 */
function setRedirect(core: Core, as: VfsTask, id: DentryId, sameDir: boolean): Err {
  const dentry = core.dentry(id);
  const inode = core.inode(dentry.inode);
  const upper = realPath(core, inode);
  const known = redirectOf(core.inode(core.dentry(upper.dentry).inode));
  const [lower] = inode.layers?.lowers ?? [];
  const linked = lower !== undefined && core.inode(core.dentry(lower.dentry).inode).nlink > 1;
  const absolute = !sameDir || (!isDir(inode) && linked);
  if (known !== null && (!absolute || known.startsWith('/'))) return 0;
  const value = utf8(absolute ? absoluteRedirect(core, id) : dentry.name);
  if (absolute && value.length > REDIRECT_MAX) return core.refuse('EXDEV', 'vfs.unsupported');
  return setxattr(core, as, upper, OVL_REDIRECT, value, 0) === 0 ? 0 : 'EXDEV';
}

/**
 * What is written at a moved entry, so that it still shows the same: where it came from, or that nothing is
 * below.
 */
function markMoved(core: Core, as: VfsTask, moved: Dentry, newParent: Inode, sameDir: boolean): Err {
  const inode = core.inode(moved.inode);
  if (mergesLower(inode)) return setRedirect(core, as, moved.id, sameDir);
  if (!isDir(inode) || (newParent.layers?.lowers.length ?? 0) === 0) return 0;
  const upper = realPath(core, inode);
  if (isOpaque(core.inode(core.dentry(upper.dentry).inode))) return 0;
  return setxattr(core, as, upper, OVL_OPAQUE, utf8('y'), 0) === 0 ? 0 : 'EXDEV';
}

/** @kernel fs/overlayfs/dir.c ovl_link() */
function link(core: Core, task: VfsTask, source: Dentry, dir: Dentry, name: string): Err {
  let err = copyUp(core, task, source.id, 'meta');
  if (err === 0) err = copyUp(core, task, dir.id, 'meta');
  if (err === 0 && mergesLower(core.inode(source.inode)))
    err = setRedirect(core, mounter(core, source.sb, task), source.id, false);
  if (err !== 0) return err;
  const inode = core.inode(source.inode);
  const into = realPath(core, core.inode(dir.inode));
  const upper = core.inode(core.dentry(realPath(core, inode).dentry).inode);
  const covered = whiteoutAt(core, into.dentry, name);
  if (covered !== undefined) dropName(core, covered);
  addLink(core, core.inode(upper.key), core.dentry(into.dentry), name);
  core.setInode({ ...core.inode(inode.key), nlink: inode.nlink + 1 });
  hashChild(core, dir.inode, newDentry(core, dir.id, name, core.inode(inode.key)));
  copyAttr(core, dir.inode);
  return 0;
}

/** @kernel fs/overlayfs/dir.c ovl_rename() */
function rename(
  core: Core,
  task: VfsTask,
  source: Dentry,
  dir: Dentry,
  name: string,
  target: Dentry | undefined,
  exchange: boolean,
): Err {
  const inode = core.inode(source.inode);
  const { redirect } = layersOf(core, source.sb);
  const fixed = (i: Inode): boolean => !redirect && isDir(i) && (i.layers?.lowers.length ?? 0) > 0;
  if (fixed(inode)) return core.refuse('EXDEV', 'vfs.unsupported');
  if (exchange && target !== undefined && fixed(core.inode(target.inode)))
    return core.refuse('EXDEV', 'vfs.unsupported');
  if (!exchange && target !== undefined && isDir(core.inode(target.inode)) && !isEmpty(core, target))
    return core.refuse('ENOTEMPTY', 'vfs.not_empty');
  let err = copyUp(core, task, source.id, 'meta');
  if (err === 0) err = copyUp(core, task, dir.id, 'meta');
  if (err === 0 && exchange && target !== undefined) err = copyUp(core, task, target.id, 'meta');
  if (err !== 0) return err;
  const as = mounter(core, source.sb, task);
  const oldDir = core.dentry(source.parent);
  const oldParent = core.inode(oldDir.inode);
  const from = realPath(core, oldParent);
  const into = realPath(core, core.inode(dir.inode));
  const found = upperEntry(core, from.dentry, source.name);
  if (found === null) return core.refuse('ESTALE', 'vfs.no_entry');
  const moved = core.dentry(found);
  const hole = !exchange && oldParent.layers !== null && lowerPositive(core, oldParent.layers, source.name);
  const sameDir = oldDir.id === dir.id;
  err = markMoved(core, as, core.dentry(source.id), core.inode(dir.inode), sameDir);
  if (err === 0 && exchange && target !== undefined)
    err = markMoved(core, as, core.dentry(target.id), oldParent, sameDir);
  if (err !== 0) return err;
  const above = lookupChild(core, core.dentry(into.dentry), name);
  if (exchange && above !== undefined)
    moveInLayer(core, as, moved, core.dentry(into.dentry), name, above, true);
  else {
    if (above !== undefined) removeTree(core, above);
    moveInLayer(core, as, core.dentry(moved.id), core.dentry(into.dentry), name, undefined);
    if (hole) {
      const made = createNode(core, as, core.dentry(from.dentry), source.name, { mode: S_IFCHR });
      if (!made.ok) return made.errno;
    }
    if (target !== undefined) forget(core, core.dentry(target.id));
  }
  moveShown(core, source, oldDir, dir, name, exchange ? target : undefined);
  return 0;
}

/** Moves the overlay's own dentry after the layer's. */
function moveShown(
  core: Core,
  source: Dentry,
  oldDir: Dentry,
  dir: Dentry,
  name: string,
  other?: Dentry,
): void {
  const old = core.inode(oldDir.inode);
  core.setInode({ ...old, children: old.children?.delete(source.name) ?? null });
  const moved = { ...core.dentry(source.id), parent: dir.id, name };
  core.setDentry(moved);
  hashChild(core, dir.inode, moved);
  if (other !== undefined) {
    const back = { ...core.dentry(other.id), parent: oldDir.id, name: source.name };
    core.setDentry(back);
    hashChild(core, oldDir.inode, back);
    copyAttr(core, other.inode);
  }
  for (const key of [source.inode, oldDir.inode, dir.inode]) copyAttr(core, key);
}

/**
 * The unnamed upper file behind an unnamed file of the overlay: both are open, and the overlay's dentry is
 * made.
 *
 * @kernel fs/overlayfs/dir.c ovl_tmpfile()
 */
function unnamed(
  core: Core,
  task: VfsTask,
  dir: Dentry,
  op: OpenOp,
): Result<{ dentry: Dentry; real: FileId }> {
  const err = copyUp(core, task, dir.id, 'meta');
  if (err !== 0) return fail(err);
  const into = realPath(core, core.inode(dir.inode));
  const opened = tmpfile(core, creator(core, dir.sb, task), into, op);
  if (!opened.ok) return opened;
  const { path } = core.file(opened.value);
  const inode = overlayInode(core, dir.sb, { upper: path.dentry, lowers: [] });
  core.setInode({ ...core.inode(inode.key), flags: I_LINKABLE });
  const dentry = newDentry(core, dir.id, `#${inode.ino}`, core.inode(inode.key), false);
  return ok({ dentry, real: opened.value });
}

/** The operations of overlay mounts. */
export const OVERLAY: OverlayOps = { mount, copyUp, create, remove, link, rename, unnamed };
