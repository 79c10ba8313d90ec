// The life of inodes: numbers, creation, change stamps, link counts, and leaving the cache. The change cookie
// counts every change; the kernel counts only the first one after it was asked, which nobody who compares
// cookies can tell apart. Ext4 inode numbers follow an image of one block group without a journal.

import { Map as ImmutableMap } from 'immutable';
import { utf8 } from '../base/bytes.ts';
import type { Timespec } from '../base/clock.ts';
import { forgetBlocks } from './blocks.ts';
import { F_SEAL_SEAL, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './constants.ts';
import { contentLength, NO_CONTENT } from './content.ts';
import type { Core } from './core.ts';
import { copyInode } from './records.ts';
import type { Content, FsOptions, Inode, InodeKey, LayerStack, SbId, Xattr } from './types.ts';

/** Made by O_TMPFILE without O_EXCL: linkat may give it a name. */
export const I_LINKABLE = 1;
/** A directory that rmdir took: nothing can be created in it. */
export const S_DEAD = 2;
/** The fs-verity descriptor was read, and its signature checked, since the inode was loaded. */
export const I_VERITY_INFO = 0x100;

/** A removed directory whose number went back; its record stays for tasks that stand in it. */
const I_FREED = 4;

/** Seconds during which ext4 without a journal avoids a freed inode number. */
const RECENTCY_MIN = 60;
/** Age at which the flusher threads have written a dirty inode: dirty_expire plus one writeback interval. */
const DIRTY_EXPIRE_US = 35_000_000;

export interface NewInode {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly ino?: number;
  readonly generation?: number;
  readonly nlink?: number;
  readonly rdev?: number;
  readonly content?: Content;
  readonly target?: string;
  readonly pseudo?: string;
  /** Size that a pseudo file shows, where it is not that of its file system. */
  readonly size?: number;
  readonly xattrs?: readonly Xattr[];
  readonly seals?: number;
  readonly flags?: number;
  readonly realData?: InodeKey | null;
  readonly realMeta?: InodeKey | null;
  readonly layers?: LayerStack;
}

/**
 * The next inode number: on ext4 the lowest free one that was not freed within the last minute.
 *
 * @kernel fs/ext4/ialloc.c find_inode_bit()
 */
export function allocIno(core: Core, sbId: SbId): number {
  const sb = core.superblock(sbId);
  const how = core.fs(sbId).inodeNumbers;
  if (how === 'iunique') {
    const ino = Math.max(core.state.iunique, sb.nextIno);
    core.state = { ...core.state, iunique: ino + 1 };
    return ino;
  }
  if (how === 'bitmap' && sb.freeInos.length > 0) {
    const now = core.env.clock.coarse().sec;
    const at = sb.freeInos.findIndex((f) => !(f.sec < now && now < f.sec + RECENTCY_MIN));
    const free = sb.freeInos[at];
    if (free !== undefined) {
      core.setSuperblock({ ...sb, freeInos: sb.freeInos.filter((_, i) => i !== at) });
      return free.ino;
    }
  }
  core.setSuperblock({ ...sb, nextIno: sb.nextIno + 1 });
  return sb.nextIno;
}

/** Keeps later allocations away from a number that a caller chose. */
export function reserveIno(core: Core, sbId: SbId, ino: number): void {
  const sb = core.superblock(sbId);
  if (ino < sb.nextIno) {
    if (sb.freeInos.some((f) => f.ino === ino))
      core.setSuperblock({ ...sb, freeInos: sb.freeInos.filter((f) => f.ino !== ino) });
    return;
  }
  const skipped = Array.from({ length: Math.min(ino - sb.nextIno, 4096) }, (_, i) => ({
    ino: sb.nextIno + i,
    sec: -RECENTCY_MIN,
  }));
  core.setSuperblock({ ...sb, nextIno: ino + 1, freeInos: [...sb.freeInos, ...skipped] });
}

function freeIno(core: Core, inode: Inode): void {
  const sb = core.superblock(inode.sb);
  if (core.fs(inode.sb).inodeNumbers !== 'bitmap') return;
  const freed = { ino: inode.ino, sec: core.env.clock.coarse().sec };
  const freeInos = [...sb.freeInos, freed].sort((a, b) => a.ino - b.ino);
  core.setSuperblock({ ...sb, freeInos });
}

const typeOf = (mode: number): number => mode & S_IFMT;

/**
 * A new inode in memory, with a number and a random generation where the file system has one.
 *
 * @kernel fs/ext4/ialloc.c __ext4_new_inode()
 */
export function newInode(core: Core, sbId: SbId, node: NewInode): Inode {
  const now = core.env.clock.coarse();
  const type = typeOf(node.mode);
  const ino = node.ino ?? allocIno(core, sbId);
  if (node.ino !== undefined) reserveIno(core, sbId, node.ino);
  const generation = node.generation ?? (core.fs(sbId).generation ? core.env.random.u32() : 0);
  const content = type === S_IFREG && node.pseudo === undefined ? (node.content ?? NO_CONTENT) : null;
  const target = type === S_IFLNK ? (node.target ?? '') : null;
  const pseudoSize = type === S_IFREG ? (node.size ?? core.fs(sbId).pseudoSize) : 0;
  const inode: Inode = {
    key: core.id(),
    sb: sbId,
    ino,
    generation,
    mode: node.mode,
    uid: node.uid,
    gid: node.gid,
    nlink: node.nlink ?? (type === S_IFDIR ? 2 : 1),
    rdev: node.rdev ?? 0,
    size: content !== null ? contentLength(content) : target !== null ? byteLength(target) : pseudoSize,
    iVersion: 1,
    atime: now,
    mtime: now,
    ctime: now,
    immutable: false,
    appendOnly: false,
    content,
    target,
    children: type === S_IFDIR ? ImmutableMap<string, number>() : null,
    xattrs: node.xattrs ?? [],
    ibodyXattrs: 0,
    pseudo: node.pseudo ?? null,
    verity: null,
    seals: node.seals ?? (content !== null && core.fs(sbId).seals ? F_SEAL_SEAL : 0),
    iWritecount: 0,
    iReadcount: 0,
    openCount: 0,
    mmapWritable: 0,
    flags: node.flags ?? 0,
    dirtied: core.env.clock.state.uptimeUs,
    realData: node.realData ?? null,
    realMeta: node.realMeta ?? null,
    layers: node.layers ?? null,
  };
  core.setInode(inode);
  return inode;
}

/** Length of a name or path in UTF-8. */
export function byteLength(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return utf8(text).length;
  return text.length;
}

const sameTime = (a: Timespec, b: Timespec): boolean => a === b || (a.sec === b.sec && a.nsec === b.nsec);

/**
 * An inode after a change of its metadata: ctime is now, the change cookie counts, it is dirty.
 *
 * @kernel include/linux/iversion.h inode_inc_iversion()
 */
export function changed(core: Core, inode: Inode, patch: Partial<Inode>): Inode {
  const next = copyInode(inode);
  next.ctime = core.env.clock.coarse();
  if (core.superblock(inode.sb).iVersion) next.iVersion++;
  if (next.dirtied < 0) next.dirtied = core.env.clock.state.uptimeUs;
  return Object.assign(next, patch);
}

/**
 * An inode after its links or name changed: ctime is now, the change cookie stays.
 *
 * @kernel fs/inode.c inode_set_ctime_current()
 */
export function relinked(core: Core, inode: Inode, patch: Partial<Inode>): Inode {
  const next = copyInode(inode);
  next.ctime = core.env.clock.coarse();
  if (next.dirtied < 0) next.dirtied = core.env.clock.state.uptimeUs;
  return Object.assign(next, patch);
}

/**
 * An inode after a change of its content: mtime as well.
 *
 * @kernel fs/inode.c file_update_time()
 */
export function modified(core: Core, inode: Inode, patch: Partial<Inode>): Inode {
  const next = copyInode(inode);
  const now = core.env.clock.coarse();
  next.mtime = now;
  next.ctime = now;
  if (core.superblock(inode.sb).iVersion) next.iVersion++;
  if (next.dirtied < 0) next.dirtied = core.env.clock.state.uptimeUs;
  return Object.assign(next, patch);
}

/**
 * The access time after a read, under relatime.
 *
 * @kernel fs/inode.c touch_atime()
 */
export function touchAtime(core: Core, inode: Inode, readonly: boolean): void {
  const now = core.env.clock.coarse();
  if (readonly || sameTime(now, inode.atime)) return;
  const { atime, mtime, ctime } = inode;
  const notNewer = (t: Timespec): boolean =>
    t.sec > atime.sec || (t.sec === atime.sec && t.nsec >= atime.nsec);
  if (!notNewer(mtime) && !notNewer(ctime) && now.sec - atime.sec < 86400) return;
  core.setInode({
    ...inode,
    atime: now,
    dirtied: inode.dirtied < 0 ? core.env.clock.state.uptimeUs : inode.dirtied,
  });
}

/**
 * Frees an inode that has neither name nor user any more: security state first, then its number.
 *
 * @kernel fs/inode.c evict()
 */
export function iputFinal(core: Core, key: InodeKey): void {
  const inode = core.state.inodes.get(key);
  if (inode === undefined || inode.nlink > 0 || inode.openCount > 0 || (inode.flags & I_FREED) !== 0) return;
  core.env.hooks.inodeFree(key);
  forgetBlocks(core, key);
  freeIno(core, inode);
  releaseReal(core, inode);
  if (inode.children !== null) {
    core.setInode({ ...core.inode(key), flags: inode.flags | I_FREED });
    return;
  }
  core.state = { ...core.state, inodes: core.state.inodes.delete(key) };
}

/** What an inode has only while it is in memory goes: security state, and the verity info. */
export function forget(core: Core, key: InodeKey): void {
  core.env.hooks.inodeFree(key);
  const inode = core.state.inodes.get(key);
  if (inode !== undefined && (inode.flags & I_VERITY_INFO) !== 0)
    core.setInode({ ...inode, flags: inode.flags & ~I_VERITY_INFO });
}

/** Keeps a layer's inode in memory for an inode of an overlay. */
export function holdInode(core: Core, key: InodeKey): void {
  const inode = core.inode(key);
  core.setInode({ ...inode, openCount: inode.openCount + 1 });
}

/** The inverse of `holdInode`. */
export function releaseInode(core: Core, key: InodeKey): void {
  const inode = core.state.inodes.get(key);
  if (inode === undefined) return;
  core.setInode({ ...inode, openCount: inode.openCount - 1 });
  iputFinal(core, key);
}

/** An inode of an overlay lets go of the layers' inodes below it. */
export function releaseReal(core: Core, inode: Inode): void {
  if (inode.realMeta !== null) releaseInode(core, inode.realMeta);
  if (inode.realData !== null) releaseInode(core, inode.realData);
}

/** Whether an inode is only a record for a task that stands in a removed directory. */
export const isGone = (inode: Inode): boolean => (inode.flags & I_FREED) !== 0;

/** Whether writeback still has to store an inode. */
export function isDirty(core: Core, inode: Inode): boolean {
  return inode.dirtied >= 0 && core.env.clock.state.uptimeUs - inode.dirtied < DIRTY_EXPIRE_US;
}

/**
 * Drops what can be read again from the device: clean inodes that nobody has open lose their security state,
 * as when drop_caches is written or memory is short.
 *
 * @kernel fs/inode.c prune_icache_sb()
 */
export function dropCaches(core: Core): void {
  for (const key of [...core.state.inodes.keys()].sort((a, b) => a - b)) {
    const inode = core.state.inodes.get(key);
    if (inode === undefined || inode.openCount > 0 || !core.fs(inode.sb).evictable || isDirty(core, inode))
      continue;
    if (core.superblock(inode.sb).mounted === 0) continue;
    forget(core, key);
    if (core.fs(inode.sb).inodeNumbers === 'iunique') core.setInode({ ...core.inode(key), ino: 0 });
  }
}

/**
 * Mode bits, owner and group as a file system without its own shows them.
 *
 * @kernel fs/fat/fat.h fat_make_mode()
 */
export function fixedMode(options: FsOptions, mode: number): number {
  const mask = typeOf(mode) === S_IFDIR ? options.dmask : options.fmask;
  const bits = (mode & 0o222) === 0 && typeOf(mode) !== S_IFDIR ? 0o555 : 0o777;
  return typeOf(mode) | (bits & ~mask);
}
