// Overlay file systems, the reading half: how a name is found in the layers and merged, which inode of which
// layer holds data and metadata, and the attributes that an overlay's inode shows. The index, data-only
// layers and user.overlay.* are left out, and redirects of directories in the middle of a redirect's path.
// After a remount a file that was copied up has its upper inode number: the stored handle of its origin is
// not followed.

import { Map as ImmutableMap } from 'immutable';
import { assert } from '../base/assert.ts';
import { fromUtf8 } from '../base/bytes.ts';
import type { Err, Result } from '../base/errno.ts';
import type { Birth } from './birth.ts';
import { S_IFCHR, S_IFMT } from './constants.ts';
import type { Core } from './core.ts';
import { childKey, hashChild, newDentry } from './dcache.ts';
import { allocIno, holdInode, newInode, releaseReal } from './inode.ts';
import type { FsParameters } from './mount-options.ts';
import type { OpenOp } from './open.ts';
import { isDir } from './perm.ts';
import type {
  Dentry,
  DentryId,
  FileId,
  Inode,
  InodeKey,
  LayerStack,
  OverlayLayers,
  PathRef,
  SbId,
  VfsTask,
} from './types.ts';
import { findXattr } from './xattr-store.ts';

export const OVL_OPAQUE = 'trusted.overlay.opaque';
export const OVL_METACOPY = 'trusted.overlay.metacopy';
export const OVL_REDIRECT = 'trusted.overlay.redirect';
export const OVL_ORIGIN = 'trusted.overlay.origin';
export const OVL_UUID = 'trusted.overlay.uuid';
export const OVL_IMPURE = 'trusted.overlay.impure';

/** How much of a file is copied up: metadata where that is enough, everything, or all but the data. */
export type CopyUp = 'meta' | 'data' | 'truncate';

/** The writing half (overlay-write.ts), as the other files call it. */
export interface OverlayOps {
  mount(core: Core, task: VfsTask, parameters: FsParameters): Result<SbId>;
  copyUp(core: Core, task: VfsTask, dentry: DentryId, how: CopyUp): Err;
  create(core: Core, task: VfsTask, dir: Dentry, name: string, birth: Birth): Result<Dentry>;
  remove(core: Core, task: VfsTask, dentry: Dentry): Err;
  link(core: Core, task: VfsTask, source: Dentry, dir: Dentry, name: string): Err;
  rename(
    core: Core,
    task: VfsTask,
    source: Dentry,
    dir: Dentry,
    name: string,
    target: Dentry | undefined,
    exchange: boolean,
  ): Err;
  unnamed(core: Core, task: VfsTask, dir: Dentry, op: OpenOp): Result<{ dentry: Dentry; real: FileId }>;
}

/** A name that overlayfs keeps for itself. */
export const isPrivate = (name: string): boolean => name.startsWith('trusted.overlay.');

/** Overlayfs's own names are free for its users: they get another prefix in the layer. */
export const escapedName = (name: string): string =>
  isPrivate(name) ? `trusted.overlay.overlay.${name.slice(16)}` : name;

/** The name that a user of the overlay sees, null for one that overlayfs keeps. */
export function shownName(name: string): string | null {
  if (!isPrivate(name)) return name;
  return name.startsWith('trusted.overlay.overlay.') ? `trusted.overlay.${name.slice(24)}` : null;
}

export function layersOf(core: Core, sb: SbId): OverlayLayers {
  const { overlay } = core.superblock(sb);
  assert(overlay !== null, 'superblock is no overlay');
  return overlay;
}

/** The task as the mounter: what overlayfs does in the layers. */
export function mounter(core: Core, sb: SbId, task: VfsTask): VfsTask {
  return { ...task, cred: layersOf(core, sb).cred };
}

const isWhiteout = (inode: Inode): boolean => (inode.mode & S_IFMT) === S_IFCHR && inode.rdev === 0;

/** The entry of a directory of any file system, without permission check and without crossing a mount. */
export function lookupChild(core: Core, dir: Dentry, name: string): Dentry | undefined {
  const inode = core.inode(dir.inode);
  const id = inode.children?.get(childKey(core, inode.sb, name));
  if (id === undefined)
    return inode.layers === null ? undefined : overlayLookup(core, dir, inode.layers, name);
  const dentry = core.dentry(id);
  const child = core.inode(dentry.inode);
  if (child.ino === 0) core.setInode({ ...child, ino: allocIno(core, child.sb) });
  return dentry;
}

/** What one layer has under a name. */
function inLayer(core: Core, dir: DentryId, name: string): Dentry | undefined {
  return lookupChild(core, core.dentry(dir), name);
}

/** Whether a directory of a layer hides what is below it. */
export function isOpaque(inode: Inode): boolean {
  const value = findXattr(inode, OVL_OPAQUE);
  return value !== undefined && value.length === 1 && value[0] === 0x79;
}

/** Where the layers below have what an entry continues: a name, or a path from the root. */
export function redirectOf(inode: Inode): string | null {
  const value = findXattr(inode, OVL_REDIRECT);
  return value === undefined || value.length === 0 ? null : fromUtf8(value);
}

/** A name or an absolute path in one layer. */
function walkLayer(core: Core, dir: DentryId, wanted: string): Dentry | undefined {
  let at: Dentry | undefined = core.dentry(dir);
  for (const name of wanted.split('/')) {
    if (name === '') continue;
    at = at === undefined || !isDir(core.inode(at.inode)) ? undefined : inLayer(core, at.id, name);
  }
  return at;
}

/** One look into the layers, from the top down. */
interface Hunt {
  wanted: string;
  /** Directories of the layers in which it is looked up; the roots after an absolute redirect. */
  within: LayerStack;
  dirs: boolean;
  metacopy: boolean;
}

/** Whether the layers below are looked at too after an entry was found. */
function goesOn(hunt: Hunt, inode: Inode, root: LayerStack | null): boolean {
  hunt.dirs = isDir(inode);
  hunt.metacopy = !hunt.dirs && findXattr(inode, OVL_METACOPY) !== undefined;
  if (hunt.dirs ? isOpaque(inode) : !hunt.metacopy) return false;
  const redirect = redirectOf(inode);
  if (redirect === null) return true;
  hunt.wanted = redirect;
  if (redirect.startsWith('/') && root !== null) hunt.within = root;
  return true;
}

/**
 * Where a name lies in the layers of its directory; undefined when it is nowhere or whited out. `root` are
 * the layers of the overlay's root, for redirects that begin there.
 *
 * @kernel fs/overlayfs/namei.c ovl_lookup()
 */
export function findLayers(
  core: Core,
  stack: LayerStack,
  name: string,
  root: LayerStack | null,
): LayerStack | undefined {
  const hunt: Hunt = { wanted: name, within: stack, dirs: false, metacopy: false };
  const lowers: { layer: number; dentry: DentryId }[] = [];
  const found = stack.upper === null ? undefined : inLayer(core, stack.upper, name);
  const upper = found?.id ?? null;
  if (found !== undefined) {
    const inode = core.inode(found.inode);
    if (isWhiteout(inode)) return undefined;
    if (!goesOn(hunt, inode, root)) return { upper, lowers };
  }
  for (let below = -1; ; ) {
    const next = hunt.within.lowers.find((l) => l.layer > below);
    if (next === undefined) break;
    below = next.layer;
    const lower = walkLayer(core, next.dentry, hunt.wanted);
    if (lower === undefined) continue;
    const inode = core.inode(lower.inode);
    if (isWhiteout(inode)) break;
    const first = upper === null && lowers.length === 0;
    if (!first && isDir(inode) !== hunt.dirs) break;
    const go = goesOn(hunt, inode, root);
    if (first || hunt.dirs || !hunt.metacopy) lowers.push({ layer: next.layer, dentry: lower.id });
    if (!go) break;
  }
  return upper === null && lowers.length === 0 ? undefined : { upper, lowers };
}

/** The layers of the overlay's root. */
export function rootStack(core: Core, sb: SbId): LayerStack | null {
  return core.inode(core.dentry(core.superblock(sb).root).inode).layers;
}

/** Whether a lower layer shows a name, so that removing it needs a whiteout. */
export function lowerPositive(core: Core, dir: LayerStack, name: string): boolean {
  return findLayers(core, { upper: null, lowers: dir.lowers }, name, null) !== undefined;
}

function overlayLookup(core: Core, dir: Dentry, stack: LayerStack, name: string): Dentry | undefined {
  const found = findLayers(core, stack, name, rootStack(core, dir.sb));
  if (found === undefined) return undefined;
  const dentry = newDentry(core, dir.id, name, overlayInode(core, dir.sb, found));
  hashChild(core, dir.inode, dentry);
  return dentry;
}

/** The inode of a layer's dentry. */
const inodeAt = (core: Core, id: DentryId): Inode => core.inode(core.dentry(id).inode);

/** Which inodes hold metadata and data of a stack. */
function realsOf(core: Core, stack: LayerStack): { meta: Inode; data: Inode } {
  const first = stack.upper ?? stack.lowers[0]?.dentry;
  assert(first !== undefined, 'overlay inode without a layer');
  const meta = inodeAt(core, first);
  const last = stack.lowers[stack.lowers.length - 1];
  const metacopy = stack.upper !== null && last !== undefined && findXattr(meta, OVL_METACOPY) !== undefined;
  return { meta, data: metacopy && last !== undefined && !isDir(meta) ? inodeAt(core, last.dentry) : meta };
}

/** An inode of the overlay above the same upper inode, which a second name of it shares. */
function shared(core: Core, sb: SbId, meta: Inode): Inode | undefined {
  if (meta.nlink < 2 || isDir(meta)) return undefined;
  for (const inode of core.state.inodes.values()) {
    if (inode.sb === sb && inode.realMeta === meta.key && inode.layers?.upper !== null) return inode;
  }
  return undefined;
}

/**
 * The overlay's inode for a stack of layers. Its number is that of the lowest file it came from.
 *
 * @kernel fs/overlayfs/inode.c ovl_get_inode()
 */
export function overlayInode(core: Core, sb: SbId, stack: LayerStack): Inode {
  const { meta, data } = realsOf(core, stack);
  const known = stack.upper === null ? undefined : shared(core, sb, meta);
  if (known !== undefined) return known;
  const origin = stack.lowers[0];
  const ino = (origin === undefined || stack.upper !== null ? meta : inodeAt(core, origin.dentry)).ino;
  const inode = newInode(core, sb, {
    mode: meta.mode,
    uid: meta.uid,
    gid: meta.gid,
    ino,
    rdev: meta.rdev,
    nlink: isDir(meta) ? 1 : meta.nlink,
    ...(meta.target === null ? {} : { target: meta.target }),
    realMeta: meta.key,
    realData: data.key,
    layers: stack,
  });
  holdInode(core, meta.key);
  holdInode(core, data.key);
  core.setInode({ ...inode, content: null, dirtied: -1 });
  copyAttr(core, inode.key);
  return core.inode(inode.key);
}

/** The overlay's inode moves to another place in the layers: after copy-up. */
export function restack(core: Core, key: InodeKey, stack: LayerStack): void {
  const { meta, data } = realsOf(core, stack);
  const old = core.inode(key);
  holdInode(core, meta.key);
  holdInode(core, data.key);
  core.setInode({ ...core.inode(key), layers: stack, realMeta: meta.key, realData: data.key });
  releaseReal(core, old);
  copyAttr(core, key);
}

/** @kernel fs/overlayfs/util.c ovl_copyattr() */
export function copyAttr(core: Core, key: InodeKey): void {
  const inode = core.inode(key);
  if (inode.realMeta === null) return;
  const { mode, uid, gid, atime, mtime, ctime, size } = core.inode(inode.realMeta);
  const bytes =
    inode.realData === null || inode.realData === inode.realMeta ? size : core.inode(inode.realData).size;
  core.setInode({ ...inode, mode, uid, gid, atime, mtime, ctime, size: isDir(inode) ? 0 : bytes });
}

/** Path of the layer's entry that holds the metadata of an overlay's inode. */
export function realPath(core: Core, inode: Inode): PathRef {
  const { layers } = inode;
  assert(layers !== null, 'inode is no overlay inode');
  const { upper, lowers } = layersOf(core, inode.sb);
  if (layers.upper !== null && upper !== null) return { mount: upper.mount, dentry: layers.upper };
  const [first] = layers.lowers;
  const layer = first === undefined ? undefined : lowers[first.layer];
  assert(first !== undefined && layer !== undefined, 'overlay inode without a layer');
  return { mount: layer.mount, dentry: first.dentry };
}

/** Path of the layer's entry that holds the data. */
export function dataPath(core: Core, inode: Inode): PathRef {
  if (inode.realData === inode.realMeta) return realPath(core, inode);
  const last = inode.layers?.lowers[inode.layers.lowers.length - 1];
  const layer = last === undefined ? undefined : layersOf(core, inode.sb).lowers[last.layer];
  assert(last !== undefined && layer !== undefined, 'metacopy without a lower file');
  return { mount: layer.mount, dentry: last.dentry };
}

/** The inode whose xattrs a file shows. */
export function metaInode(core: Core, inode: Inode): Inode {
  return inode.realMeta === null ? inode : core.inode(inode.realMeta);
}

/** All names of an overlay's directory. */
export function mergedNames(core: Core, stack: LayerStack): readonly string[] {
  const out = new Set<string>();
  const hidden = new Set<string>();
  for (const id of [stack.upper, ...stack.lowers.map((l) => l.dentry)]) {
    if (id === null) continue;
    const inode = inodeAt(core, id);
    const names = inode.layers === null ? namesOf(core, inode) : mergedNames(core, inode.layers);
    for (const name of names) {
      const found = inLayer(core, id, name);
      if (found === undefined || hidden.has(name)) continue;
      hidden.add(name);
      if (!isWhiteout(core.inode(found.inode))) out.add(name);
    }
  }
  return [...out];
}

function namesOf(core: Core, inode: Inode): readonly string[] {
  return [...(inode.children ?? ImmutableMap<string, DentryId>()).values()].map((id) => core.dentry(id).name);
}
