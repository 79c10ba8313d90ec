// Trees that are there without anyone making them: files of the initramfs and of disk images, and the nodes
// of pseudo file systems. No permission is checked and no hook is called. Also the plain attribute reads that
// stat(2) gives.

import { assert } from '../base/assert.ts';
import type { PopulateNode, Stat } from './api.ts';
import { S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './constants.ts';
import { contentLength } from './content.ts';
import type { Core } from './core.ts';
import { childKey, hashChild, newDentry } from './dcache.ts';
import { fixedMode, iputFinal, type NewInode, newInode } from './inode.ts';
import { dropDirectory, dropName } from './links.ts';
import { findLayers, mergedNames, rootStack } from './overlay.ts';
import { isDir } from './perm.ts';
import { dataInode } from './readwrite.ts';
import type { Dentry, Inode, InodeKey, PathRef } from './types.ts';
import { placeXattrs } from './xattr-store.ts';

/** The type of a node: from its mode, else from what it has; a plain mode alone is a directory. */
function typeOf(node: PopulateNode): number {
  const type = node.mode & S_IFMT;
  if (type !== 0) return type;
  if (node.target !== undefined) return S_IFLNK;
  if (node.content !== undefined || node.pseudo !== undefined) return S_IFREG;
  return node.rdev === undefined ? S_IFDIR : S_IFCHR;
}

function birthOf(core: Core, sbId: number, node: PopulateNode): NewInode {
  const type = typeOf(node);
  const { options } = core.superblock(sbId);
  const mode = type | (node.mode & 0o7777);
  return {
    mode: options === null ? mode : fixedMode(options, mode),
    uid: options?.uid ?? node.uid ?? 0,
    gid: options?.gid ?? node.gid ?? 0,
    ...(node.ino === undefined ? {} : { ino: node.ino }),
    ...(node.generation === undefined ? {} : { generation: node.generation }),
    ...(node.content === undefined ? {} : { content: node.content }),
    ...(node.target === undefined ? {} : { target: node.target }),
    ...(node.pseudo === undefined ? {} : { pseudo: node.pseudo }),
    ...(node.size === undefined ? {} : { size: node.size }),
    ...(node.rdev === undefined ? {} : { rdev: node.rdev }),
  };
}

function child(core: Core, dir: Dentry, name: string): Dentry | undefined {
  const inode = core.inode(dir.inode);
  const id = inode.children?.get(childKey(core, inode.sb, name));
  return id === undefined ? undefined : core.dentry(id);
}

function add(core: Core, dir: Dentry, name: string, node: PopulateNode): Dentry {
  const inode = newInode(core, dir.sb, birthOf(core, dir.sb, node));
  finishNode(core, inode.key, node);
  const dentry = newDentry(core, dir.id, name, core.inode(inode.key));
  hashChild(core, dir.inode, dentry);
  if (isDir(inode) && core.fs(dir.sb).dirLinks) {
    const parent = core.inode(dir.inode);
    core.setInode({ ...parent, nlink: parent.nlink + 1 });
  }
  return dentry;
}

function finishNode(core: Core, key: InodeKey, node: PopulateNode): void {
  const inode = core.inode(key);
  const { xattr } = core.fs(inode.sb);
  const stores = xattr === 'ext4' || xattr === 'simple';
  const placed = stores && node.xattrs !== undefined ? placeXattrs(inode, xattr, node.xattrs) : {};
  core.setInode({ ...inode, ...placed, dirtied: -1 });
}

/** What an existing node becomes when it is populated again. */
function replace(core: Core, dentry: Dentry, node: PopulateNode): void {
  const inode = core.inode(dentry.inode);
  const type = typeOf(node);
  assert(type === (inode.mode & S_IFMT), `populate: ${dentry.name} is of another type`);
  const birth = birthOf(core, inode.sb, node);
  core.setInode({
    ...inode,
    mode: birth.mode,
    uid: birth.uid,
    gid: birth.gid,
    rdev: birth.rdev ?? inode.rdev,
    generation: birth.generation ?? inode.generation,
    pseudo: birth.pseudo ?? inode.pseudo,
    content: birth.content ?? inode.content,
    size: birth.content === undefined ? inode.size : contentLength(birth.content),
    target: birth.target ?? inode.target,
  });
  finishNode(core, inode.key, node);
}

/** Makes a node at a path below a root; missing directories on the way are made with mode 0755. */
export function populate(core: Core, root: PathRef, path: string, node: PopulateNode): PathRef {
  const names = path.split('/').filter((n) => n !== '' && n !== '.');
  let dir = core.dentry(root.dentry);
  if (names.length === 0) {
    replace(core, dir, node);
    return root;
  }
  for (const name of names.slice(0, -1))
    dir = child(core, dir, name) ?? add(core, dir, name, { mode: S_IFDIR | 0o755 });
  const last = names[names.length - 1] as string;
  const old = child(core, dir, last);
  if (old !== undefined) replace(core, old, node);
  const dentry = old ?? add(core, dir, last, node);
  return { mount: root.mount, dentry: dentry.id };
}

/** Removes a name and all below it; open files keep what they have. */
export function depopulate(core: Core, path: PathRef): void {
  const dentry = core.dentry(path.dentry);
  const inode = core.inode(dentry.inode);
  if (!isDir(inode)) {
    dropName(core, dentry);
    return;
  }
  for (const id of inode.children?.values() ?? []) depopulate(core, { mount: path.mount, dentry: id });
  dropDirectory(core, dentry);
  iputFinal(core, inode.key);
}

/** Bytes of a FAT cluster on a small volume. */
const CLUSTER = 2048;

/**
 * Size of a FAT directory: a name that is no plain 8.3 one in capitals has long-name slots before its
 * own.
 */
function clusters(core: Core, inode: Inode): number {
  let slots = 2;
  for (const id of inode.children?.values() ?? []) {
    const { name } = core.dentry(id);
    slots += /^[A-Z0-9_~!#$%&'()@^`{}-]{1,8}(\.[A-Z0-9_~!#$%&'()@^`{}-]{1,3})?$/.test(name)
      ? 1
      : 1 + Math.ceil(name.length / 13);
  }
  return Math.ceil((slots * 32) / CLUSTER) * CLUSTER;
}

/** st_size of a directory. */
function directorySize(core: Core, inode: Inode): number {
  switch (core.superblock(inode.sb).type) {
    case 'ext4':
      return 4096;
    case 'overlay':
      return inode.realMeta === null ? 4096 : directorySize(core, core.inode(inode.realMeta));
    case 'vfat':
      return inode.ino === 1 ? 16384 : clusters(core, inode);
    case 'tmpfs':
    case 'rootfs':
    case 'devtmpfs':
      return 40 + 20 * (inode.children?.size ?? 0);
    default:
      return 0;
  }
}

/** @kernel fs/overlayfs/inode.c ovl_getattr() */
function overlayLinks(inode: Inode, shown: Inode): number {
  const merged = inode.layers !== null && inode.layers.upper !== null && inode.layers.lowers.length > 0;
  return merged || (inode.layers?.lowers.length ?? 0) > 1 ? 1 : shown.nlink;
}

/** @kernel fs/stat.c generic_fillattr() */
export function statOf(core: Core, key: InodeKey): Stat {
  const inode = core.inode(key);
  const shown = inode.realMeta === null ? inode : core.inode(inode.realMeta);
  const data = dataInode(core, inode);
  return {
    dev: core.superblock(inode.sb).dev,
    ino: inode.ino,
    mode: shown.mode,
    nlink: inode.layers !== null && isDir(inode) ? overlayLinks(inode, shown) : shown.nlink,
    uid: shown.uid,
    gid: shown.gid,
    rdev: shown.rdev,
    size: isDir(inode) ? directorySize(core, inode) : data.size,
    atime: shown.atime,
    mtime: shown.mtime,
    ctime: shown.ctime,
  };
}

/** Names of a directory with their modes, in byte order of the names: no file system promises another one. */
export function listDirectory(core: Core, key: InodeKey): readonly { name: string; mode: number }[] {
  const out: { name: string; mode: number }[] = [];
  const dir = core.inode(key);
  const names = dir.layers === null ? [] : mergedNames(core, dir.layers);
  for (const name of names) {
    const found =
      dir.layers === null ? undefined : findLayers(core, dir.layers, name, rootStack(core, dir.sb));
    const first = found?.upper ?? found?.lowers[0]?.dentry;
    if (first !== undefined) out.push({ name, mode: core.inode(core.dentry(first).inode).mode });
  }
  for (const id of dir.layers === null ? (dir.children?.values() ?? []) : []) {
    const dentry = core.dentry(id);
    out.push({ name: dentry.name, mode: core.inode(dentry.inode).mode });
  }
  return out.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
