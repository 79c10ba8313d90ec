// What lies below a file system: which blocks of the device a file has, what the disk holds there, and what
// of it is in the page cache. It matters where somebody changes the device itself. Blocks are handed out in
// the order of writeback as ext4 does on a fresh image: small files share runs of 512 blocks, others follow
// behind. Directories, other file systems' layouts and the reuse of freed blocks are left out, and the tree
// blocks of an opened dm-verity device count as cached.

import { Map as ImmutableMap } from 'immutable';
import { EMPTY, equalBytes } from '../base/bytes.ts';
import { type Err, ok, type Result } from '../base/errno.ts';
import { bytesContent, UNREADABLE_LABEL } from './content.ts';
import type { Core } from './core.ts';
import type {
  BlockAllocator,
  BlockLayer,
  Content,
  DeviceWrite,
  DiskLayout,
  FileBlocks,
  Inode,
  InodeKey,
  SbId,
} from './types.ts';

export const BLOCK_SIZE = 4096;
/** First data block of a blank ext4 image of 24 MiB, behind its inode table. */
const FIRST_DATA_BLOCK = 421;
/** s_mb_stream_request: files above are not small. */
const STREAM_BLOCKS = 16;
/** s_mb_group_prealloc: run that small files share. */
const GROUP_BLOCKS = 512;
/** Where fs-verity's metadata begin in a file: the next multiple, in blocks. */
const VERITY_ALIGN = 65536 / BLOCK_SIZE;

export function newBlockLayer(): BlockLayer {
  return { files: ImmutableMap(), allocators: ImmutableMap(), pending: ImmutableMap(), changed: [] };
}

function setLayer(core: Core, patch: Partial<BlockLayer>): void {
  core.state = { ...core.state, blocks: { ...core.state.blocks, ...patch } };
}

function setFile(core: Core, key: InodeKey, file: FileBlocks): void {
  setLayer(core, { files: core.state.blocks.files.set(key, file) });
}

const blockCount = (size: number): number => Math.ceil(size / BLOCK_SIZE);

/** Whether a file's data lies in blocks that this layer follows. */
function follows(core: Core, inode: Inode): boolean {
  const sb = core.superblock(inode.sb);
  return sb.type === 'ext4' && sb.device !== null && inode.content?.kind === 'bytes';
}

const BARE = { verified: null, descriptor: null, cached: false, below: null };

function allocatorOf(core: Core, sb: SbId): BlockAllocator {
  return core.state.blocks.allocators.get(sb) ?? { free: FIRST_DATA_BLOCK, group: 0, groupEnd: 0 };
}

function setAllocator(core: Core, sb: SbId, allocator: BlockAllocator): void {
  setLayer(core, { allocators: core.state.blocks.allocators.set(sb, allocator) });
}

/** One block of a small file, from the run that they share. */
function groupBlock(core: Core, sb: SbId): number {
  let { free, group, groupEnd } = allocatorOf(core, sb);
  if (group === groupEnd) {
    [group, groupEnd] = [free, free + GROUP_BLOCKS];
    free = groupEnd;
  }
  setAllocator(core, sb, { free, group: group + 1, groupEnd });
  return group;
}

/** A run of its own for the blocks of a file from `from` to `to`; value = the block of `from`. */
function ownRun(core: Core, sb: SbId, from: number, to: number): number {
  const allocator = allocatorOf(core, sb);
  setAllocator(core, sb, { ...allocator, free: allocator.free + to - from });
  return allocator.free;
}

/** Blocks of files that are on an image from the start, where they are known. */
export function setDiskLayout(core: Core, device: string, sb: SbId, layout: DiskLayout): void {
  const { size, firstBlock } = layout;
  const disk = core.state.devices.get(device);
  if (disk !== undefined && size !== undefined)
    core.state = { ...core.state, devices: core.state.devices.set(device, { ...disk, size }) };
  if (firstBlock !== undefined) setAllocator(core, sb, { free: firstBlock, group: 0, groupEnd: 0 });
  for (const { inode: key, blocks } of layout.files ?? []) {
    const { content } = core.inode(key);
    if (content?.kind !== 'bytes') continue;
    setFile(core, key, { ...BARE, sb, blocks, bytes: content.bytes, content });
  }
}

/**
 * Writeback of one file: blocks for what has none yet, and the disk holds what is in memory.
 * @kernel fs/ext4/inode.c ext4_writepages()
 */
export function writeBack(core: Core, key: InodeKey): void {
  const inode = core.inode(key);
  const { content } = inode;
  if (content?.kind !== 'bytes' || !follows(core, inode)) return;
  const old = core.state.blocks.files.get(key);
  if (old !== undefined && old.content === content) return;
  const { sb } = inode;
  const count = blockCount(inode.size);
  const blocks = [...(old?.blocks ?? [])].slice(0, count);
  if (count <= STREAM_BLOCKS) while (blocks.length < count) blocks.push(groupBlock(core, sb));
  else if (blocks.length < count) {
    const [from, run] = [blocks.length, ownRun(core, sb, blocks.length, count)];
    for (let i = from; i < count; i++) blocks.push(run + i - from);
  }
  setFile(core, key, { ...BARE, sb, blocks, bytes: content.bytes, content, cached: true });
}

/**
 * fs-verity was enabled: tree and descriptor lie behind the file's end, all of it is written back, and
 * other bytes on the disk cannot be read any more.
 * @kernel fs/ext4/verity.c ext4_end_enable_verity()
 */
export function sealBlocks(core: Core, key: InodeKey, treeBytes: number, descriptorBytes: number): void {
  const inode = core.inode(key);
  const { content, sb } = inode;
  if (content?.kind !== 'bytes' || !follows(core, inode)) return;
  const old = core.state.blocks.files.get(key);
  const clean = old !== undefined && old.content === content ? old.blocks : [];
  const count = blockCount(inode.size);
  const meta = Math.ceil(count / VERITY_ALIGN) * VERITY_ALIGN;
  const descriptor = meta + blockCount(treeBytes);
  const run = ownRun(core, sb, clean.length, descriptor + blockCount(descriptorBytes + 4));
  const at = (block: number): number => run + block - clean.length;
  const blocks = Array.from({ length: count }, (_, i) => clean[i] ?? at(i));
  const place = { offset: at(descriptor) * BLOCK_SIZE, length: descriptorBytes, changed: false };
  const { bytes } = content;
  setFile(core, key, {
    ...BARE,
    sb,
    blocks,
    bytes,
    content,
    cached: true,
    verified: bytes,
    descriptor: place,
  });
}

/** Whether the fs-verity descriptor on the disk was overwritten. */
export function descriptorChanged(core: Core, key: InodeKey): boolean {
  return core.state.blocks.files.get(key)?.descriptor?.changed === true;
}

/** Writeback of all files of a file system, oldest change first. @kernel fs/sync.c sync_filesystem() */
export function writeBackAll(core: Core, sb: SbId): void {
  const dirty = [...core.state.inodes.values()].filter((i) => i.sb === sb && i.dirtied >= 0 && i.nlink > 0);
  dirty.sort((a, b) => a.dirtied - b.dirtied || a.ino - b.ino);
  for (const inode of dirty) writeBack(core, inode.key);
}

/** A file became shorter: the blocks behind its end are free. @kernel fs/ext4/inode.c ext4_truncate() */
export function dropBlocks(core: Core, key: InodeKey, size: number): void {
  const file = core.state.blocks.files.get(key);
  if (file !== undefined) setFile(core, key, { ...file, blocks: file.blocks.slice(0, blockCount(size)) });
}

/** The inode is gone. */
export function forgetBlocks(core: Core, key: InodeKey): void {
  if (core.state.blocks.files.has(key)) setLayer(core, { files: core.state.blocks.files.delete(key) });
}

/** Content that cannot be read: a block below it fails. */
function unreadable(length: number): Content {
  return { kind: 'opaque', label: UNREADABLE_LABEL, length, digests: {} };
}

/**
 * Whether the disk, or the one below a verified device, holds other bytes than the hash tree was made over.
 */
function corrupted(core: Core, file: FileBlocks): boolean {
  if (file.verified === null) return false;
  const below = file.below === null ? undefined : core.state.blocks.files.get(file.below);
  return !equalBytes((below ?? file).bytes, file.verified);
}

/** What the next read finds on the disk becomes the content, unless its pages are cached or dirty. */
function refresh(core: Core, key: InodeKey): void {
  const file = core.state.blocks.files.get(key);
  const inode = core.state.inodes.get(key);
  if (file === undefined || inode === undefined || file.cached || inode.content !== file.content) return;
  const bad = corrupted(core, file);
  const { content } = file;
  const same = content.kind === 'bytes' && !bad && equalBytes(content.bytes, file.bytes);
  if (same) return;
  const next = bad ? unreadable(inode.size) : bytesContent(file.bytes);
  core.setInode({ ...inode, content: next });
  setFile(core, key, { ...file, content: next });
}

function uncache(core: Core, key: InodeKey): void {
  const file = core.state.blocks.files.get(key);
  const inode = core.state.inodes.get(key);
  if (file === undefined || inode === undefined || inode.content !== file.content) return;
  setFile(core, key, { ...file, cached: false });
  refresh(core, key);
}

/** Files whose pages a locked mapping holds in memory. */
function lockedFiles(core: Core): ReadonlySet<InodeKey> {
  const out = new Set<InodeKey>();
  for (const m of core.state.mappings.values())
    if (m.locked === true && m.file !== null) out.add(core.file(m.file).inode);
  return out;
}

/**
 * Clean pages of all files leave the cache, but those that somebody locked.
 * @kernel fs/drop_caches.c drop_pagecache_sb()
 */
export function dropPages(core: Core): void {
  const locked = lockedFiles(core);
  for (const key of core.state.blocks.files.keys()) if (!locked.has(key)) uncache(core, key);
}

/** The file system was shut down: nothing of its files is cached. */
export function uncacheAll(core: Core, sb: SbId): void {
  for (const [key, file] of core.state.blocks.files) if (file.sb === sb) uncache(core, key);
}

/** Somebody reads a file: its pages are in the cache from now on, when they could be read. */
export function touchPages(core: Core, key: InodeKey): void {
  const file = core.state.blocks.files.get(key);
  if (file === undefined || file.cached || file.content.kind !== 'bytes') return;
  setFile(core, key, { ...file, cached: true });
}

/**
 * A store to a block device: it stays in the device's own page cache until that is written back.
 * @kernel block/fops.c blkdev_write_iter()
 */
export function deviceWrite(core: Core, device: string, offset: number, data: Uint8Array): Result<number> {
  const disk = core.state.devices.get(device);
  if (disk?.readonly === true) return core.refused('EPERM', 'vfs.read_only');
  const size = disk?.size ?? Number.MAX_SAFE_INTEGER;
  if (data.length === 0) return ok(0);
  if (offset >= size) return core.refused('ENOSPC', 'vfs.no_space');
  const bytes = data.subarray(0, size - offset);
  const queue = core.state.blocks.pending.get(device) ?? [];
  setLayer(core, { pending: core.state.blocks.pending.set(device, [...queue, { offset, bytes }]) });
  return ok(bytes.length);
}

/** A file's bytes after a store at an offset of its device; the same array when none of its blocks is hit. */
function patched(file: FileBlocks, offset: number, data: Uint8Array): Uint8Array {
  let out = file.bytes;
  for (const [index, block] of file.blocks.entries()) {
    const start = block * BLOCK_SIZE;
    const from = Math.max(offset, start);
    const to = Math.min(offset + data.length, start + BLOCK_SIZE);
    const at = index * BLOCK_SIZE + (from - start);
    if (from >= to || at >= file.bytes.length) continue;
    if (out === file.bytes) out = file.bytes.slice();
    out.set(data.subarray(from - offset, Math.min(to - offset, from - offset + out.length - at)), at);
  }
  return out;
}

function hitDescriptor(place: FileBlocks['descriptor'], write: DeviceWrite): FileBlocks['descriptor'] {
  if (place === null || place.changed) return place;
  const hit = write.offset < place.offset + place.length && place.offset < write.offset + write.bytes.length;
  return hit ? { ...place, changed: true } : place;
}

/** Stores to a device that was given as an image. */
function storeContent(core: Core, device: string, queue: readonly DeviceWrite[]): void {
  const disk = core.state.devices.get(device);
  if (disk?.content === undefined) return;
  const content = disk.content.slice();
  for (const { offset, bytes } of queue) content.set(bytes.subarray(0, content.length - offset), offset);
  core.state = { ...core.state, devices: core.state.devices.set(device, { ...disk, content }) };
}

/** Writeback of a device's own page cache: the disk changes below whatever is mounted on it. */
export function deviceSync(core: Core, device: string): Err {
  const queue = core.state.blocks.pending.get(device);
  if (queue === undefined || queue.length === 0) return 0;
  const { pending, changed } = core.state.blocks;
  const marks = changed.includes(device) ? changed : [...changed, device];
  storeContent(core, device, queue);
  setLayer(core, { pending: pending.delete(device), changed: marks });
  for (const [key, file] of core.state.blocks.files) {
    if (core.state.superblocks.get(file.sb)?.device !== device || file.below !== null) continue;
    const bytes = queue.reduce((b, w) => patched({ ...file, bytes: b }, w.offset, w.bytes), file.bytes);
    const descriptor = queue.reduce(hitDescriptor, file.descriptor);
    if (bytes === file.bytes && descriptor === file.descriptor) continue;
    core.env.trace.emit('vfs.block_change', { device, inode: key });
    setFile(core, key, { ...file, bytes, descriptor });
    refresh(core, key);
    for (const [over, above] of core.state.blocks.files) if (above.below === key) refresh(core, over);
  }
  return 0;
}

/**
 * The blocks of a file change on its device although nothing in the machine wrote to them: a storage server,
 * a disk's own controller, another machine with the same disk. What is cached is not touched.
 * @kernel block/blk-core.c submit_bio()
 */
export function changeBelow(core: Core, key: InodeKey, offset: number, data: Uint8Array): Err {
  if (!core.state.blocks.files.has(key)) writeBack(core, key);
  const file = core.state.blocks.files.get(key);
  if (file === undefined || file.below !== null) return core.refuse('EINVAL', 'vfs.unsupported');
  const room = Math.max(0, file.bytes.length - offset);
  if (room === 0 || data.length === 0) return 0;
  const bytes = file.bytes.slice();
  bytes.set(data.subarray(0, room), offset);
  core.env.trace.emit('vfs.block_change', { device: core.superblock(file.sb).sid, inode: key });
  setFile(core, key, { ...file, bytes });
  refresh(core, key);
  for (const [over, above] of core.state.blocks.files) if (above.below === key) refresh(core, over);
  return 0;
}

/**
 * The kernel is about to end: what is dirty goes to the disks, and nothing is cached any more.
 * @kernel fs/sync.c ksys_sync()
 */
export function settleDisks(core: Core): void {
  for (const { id, device } of core.state.superblocks.values()) if (device !== null) writeBackAll(core, id);
  for (const device of core.state.blocks.pending.keys()) deviceSync(core, device);
  dropPages(core);
}

/** Bytes of a block device as far as they are known: files in their blocks, zeros elsewhere. */
export function deviceRead(
  core: Core,
  device: string,
  offset: number,
  length: number,
): Uint8Array | undefined {
  const size = core.state.devices.get(device)?.size;
  if (size === undefined) return undefined;
  const end = Math.min(offset + length, size);
  if (offset >= end) return EMPTY;
  const out = new Uint8Array(end - offset);
  out.set(core.state.devices.get(device)?.content?.subarray(offset, end) ?? EMPTY);
  const put = (at: number, bytes: Uint8Array): void => {
    const from = Math.max(at, offset);
    const to = Math.min(at + bytes.length, end);
    if (from < to) out.set(bytes.subarray(from - at, to - at), from - offset);
  };
  for (const file of core.state.blocks.files.values()) {
    if (core.state.superblocks.get(file.sb)?.device !== device) continue;
    for (const [i, block] of file.blocks.entries())
      put(block * BLOCK_SIZE, file.bytes.subarray(i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE));
  }
  for (const { offset: at, bytes } of core.state.blocks.pending.get(device) ?? []) put(at, bytes);
  return out;
}

/** The same file seen through a verified device above: it compares with the one below from now on. */
export function mirrorBlocks(core: Core, from: InodeKey, to: InodeKey, sb: SbId): void {
  const file = core.state.blocks.files.get(from);
  const content = core.inode(to).content;
  if (file === undefined || content === null) return;
  setFile(core, to, {
    ...BARE,
    sb,
    blocks: file.blocks,
    bytes: file.bytes,
    content,
    verified: file.bytes,
    below: from,
  });
}
