// Memory mappings: mmap, mprotect, munmap and what a program's loads and stores through them do. A mapping
// is one record (no address space, no splitting of areas); private pages are copied at the first store.
// Stores to shared pages are noticed as page faults are: on ext4 the first one after each writeback, on
// tmpfs one that is the first touch of its page.

import { type Err, ok, type Result } from '../base/errno.ts';
import type { MmapRequest } from './api.ts';
import { touchPages } from './blocks.ts';
import {
  F_SEAL_FUTURE_WRITE,
  F_SEAL_WRITE,
  PAGE_SIZE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  S_IFCHR,
  S_IFMT,
} from './constants.ts';
import { bytesContent, isUnreadable } from './content.ts';
import type { Core } from './core.ts';
import { modified, touchAtime } from './inode.ts';
import { shmemZeroSetup } from './memfd.ts';
import { get, put } from './open.ts';
import { isReg, pathNoexec } from './perm.ts';
import { dataInode } from './readwrite.ts';
import type { FileId, Inode, Mapping, MappingId, VfsTask } from './types.ts';
import { FMODE_PATH, FMODE_READ, FMODE_WRITE } from './types.ts';

const ALL = PROT_READ | PROT_WRITE | PROT_EXEC;

/** @kernel security/security.c mmap_prot() */
function impliedProt(core: Core, request: MmapRequest): number {
  const { prot, file } = request;
  if (request.readImpliesExec !== true || (prot & (PROT_READ | PROT_EXEC)) !== PROT_READ) return prot;
  if (file !== null && pathNoexec(core, core.file(file).path)) return prot;
  return prot | PROT_EXEC;
}

/**
 * What a file mapping may do, now and after mprotect, or why it is refused.
 *
 * @kernel mm/mmap.c do_mmap()
 */
function fileMapping(core: Core, id: FileId, request: MmapRequest, prot: number): Result<number> {
  const file = core.file(id);
  const inode = core.inode(file.inode);
  let may = ALL;
  if (request.shared) {
    if ((prot & PROT_WRITE) !== 0 && (file.fmode & FMODE_WRITE) === 0)
      return core.refused('EACCES', 'vfs.bad_mode');
    if (inode.appendOnly && (file.fmode & FMODE_WRITE) !== 0)
      return core.refused('EACCES', 'vfs.append_only');
    if ((file.fmode & FMODE_WRITE) === 0) may &= ~PROT_WRITE;
  }
  if ((file.fmode & FMODE_READ) === 0) return core.refused('EACCES', 'vfs.bad_mode');
  if (pathNoexec(core, file.path)) {
    if ((prot & PROT_EXEC) !== 0) return core.refused('EPERM', 'vfs.noexec');
    may &= ~PROT_EXEC;
  }
  const zero = (inode.mode & S_IFMT) === S_IFCHR && inode.rdev === 0x105;
  if (!zero && (!isReg(inode) || inode.pseudo !== null)) return core.refused('ENODEV', 'vfs.unsupported');
  if (
    request.shared &&
    (file.fmode & FMODE_WRITE) !== 0 &&
    (inode.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0
  ) {
    if ((prot & PROT_WRITE) !== 0) return core.refused('EPERM', 'vfs.sealed');
    may &= ~PROT_WRITE;
  }
  return ok(may);
}

/** VM_SHARED and VM_MAYWRITE: such mappings count in i_mmap_writable. */
const sharedMayWrite = (m: { shared: boolean; may: number }): boolean =>
  m.shared && (m.may & PROT_WRITE) !== 0;

function countWritable(core: Core, file: FileId, by: 1 | -1): void {
  const inode = dataInode(core, core.inode(core.file(file).inode));
  core.setInode({ ...inode, mmapWritable: inode.mmapWritable + by });
}

/** @kernel mm/util.c vm_mmap_pgoff() */
export function mmap(core: Core, task: VfsTask, request: MmapRequest): Result<MappingId> {
  const { file, length, shared, offset } = request;
  if (offset % PAGE_SIZE !== 0 || offset < 0) return core.refused('EINVAL', 'vfs.bad_argument');
  if (file !== null && (core.file(file).fmode & FMODE_PATH) !== 0)
    return core.refused('EBADF', 'vfs.bad_mode');
  const prot = impliedProt(core, request);
  const err = core.env.hooks.mmapFile(task, file, request.prot, prot, shared);
  if (err !== 0) return { ok: false, errno: err };
  if (length <= 0) return core.refused('EINVAL', 'vfs.bad_argument');
  const size = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  let may = ALL;
  if (file !== null) {
    const allowed = fileMapping(core, file, request, prot);
    if (!allowed.ok) return allowed;
    may = allowed.value;
  }
  // Shared memory without a name has a file of its own, which the hooks of later calls see.
  const own = file === null && shared ? shmemZeroSetup(core, task, size) : null;
  const id = core.id();
  const image = file === null && own === null ? new Uint8Array(size) : null;
  const mapping: Mapping = {
    id,
    file: own ?? file,
    length: size,
    offset,
    prot,
    shared,
    may,
    image,
    pages: [],
  };
  core.setMapping(mapping);
  if (mapping.file !== null && sharedMayWrite(mapping)) countWritable(core, mapping.file, 1);
  if (file !== null) {
    get(core, file);
    touchAtime(core, core.inode(core.file(file).inode), core.mountOf(core.file(file).path.mount).readonly);
  }
  return ok(id);
}

/** @kernel mm/mprotect.c do_mprotect_pkey() */
export function mprotect(
  core: Core,
  task: VfsTask,
  id: MappingId,
  asked: number,
  readImpliesExec: boolean,
): Err {
  if ((asked & ~ALL) !== 0) return core.refuse('EINVAL', 'vfs.bad_argument');
  const mapping = core.mapping(id);
  const implied = readImpliesExec && (asked & PROT_READ) !== 0 && (mapping.may & PROT_EXEC) !== 0;
  const prot = implied ? asked | PROT_EXEC : asked;
  if ((prot & ~mapping.may) !== 0) return core.refuse('EACCES', 'vfs.protection');
  const err = core.env.hooks.fileMprotect(task, id, asked, prot);
  if (err !== 0) return err;
  core.setMapping({ ...core.mapping(id), prot });
  return 0;
}

/** @kernel mm/vma.c remove_vma() */
export function munmap(core: Core, task: VfsTask, id: MappingId): Err {
  const mapping = core.mapping(id);
  core.state = { ...core.state, mappings: core.state.mappings.delete(id) };
  if (mapping.file !== null) {
    if (sharedMayWrite(mapping)) countWritable(core, mapping.file, -1);
    put(core, task, mapping.file);
  }
  return 0;
}

/**
 * Brings the pages of a mapping into memory and keeps them there; ENOMEM when one cannot be read.
 * @kernel mm/mlock.c do_mlock()
 */
export function mlock(core: Core, id: MappingId): Err {
  const mapping = core.mapping(id);
  if (mapping.file !== null) {
    const { key, content } = dataInode(core, core.inode(core.file(mapping.file).inode));
    if (content !== null && isUnreadable(content)) return core.refuse('ENOMEM', 'vfs.io');
    touchPages(core, key);
  }
  core.setMapping({ ...mapping, locked: true });
  return 0;
}

/** The copy of a locked mapping is not locked. @kernel mm/mmap.c dup_mmap() */
export function dupMapping(core: Core, id: MappingId): MappingId {
  const { locked: _, ...mapping } = core.mapping(id);
  const copy = { ...mapping, id: core.id() };
  core.setMapping(copy);
  if (mapping.file !== null) {
    get(core, mapping.file);
    if (sharedMayWrite(mapping)) countWritable(core, mapping.file, 1);
  }
  return copy.id;
}

/** Length of a file in whole pages: a touch behind it is a SIGBUS. */
const mappedEnd = (inode: Inode): number => Math.ceil(inode.size / PAGE_SIZE) * PAGE_SIZE;

/** The bytes that a mapping shows, where they are known. */
function shown(core: Core, mapping: Mapping, at: number, length: number): Result<Uint8Array> {
  if (mapping.file === null)
    return ok((mapping.image ?? new Uint8Array(mapping.length)).slice(at, at + length));
  const inode = dataInode(core, core.inode(core.file(mapping.file).inode));
  if (inode.content?.kind === 'opaque') return core.refused('EIO', 'vfs.opaque');
  const out = new Uint8Array(length);
  const from = mapping.offset + at;
  const bytes = inode.content?.bytes.subarray(from, from + length);
  if (bytes !== undefined) out.set(bytes);
  if (!mapping.shared && mapping.image !== null) {
    for (const page of mapping.pages) {
      const start = Math.max(at, page * PAGE_SIZE);
      const end = Math.min(at + length, (page + 1) * PAGE_SIZE);
      if (start < end) out.set(mapping.image.subarray(start, end), start - at);
    }
  }
  return ok(out);
}

/** @kernel arch/x86/mm/fault.c access_error() */
function touch(core: Core, mapping: Mapping, at: number, length: number, prot: number): Err {
  if (at < 0 || length < 0 || at + length > mapping.length) return core.refuse('EFAULT', 'vfs.protection');
  if (prot === PROT_WRITE ? (mapping.prot & PROT_WRITE) === 0 : (mapping.prot & ALL) === 0)
    return core.refuse('EFAULT', 'vfs.protection');
  if (mapping.file === null) return 0;
  const inode = dataInode(core, core.inode(core.file(mapping.file).inode));
  if (inode.content !== null && mapping.offset + at + length > mappedEnd(inode))
    return core.refuse('EFAULT', 'vfs.io');
  return 0;
}

export function peek(core: Core, id: MappingId, at: number, length: number): Result<Uint8Array> {
  const mapping = core.mapping(id);
  const err = touch(core, mapping, at, length, PROT_READ);
  if (err !== 0) return { ok: false, errno: err };
  if (mapping.shared && mapping.file !== null) faultAround(core, mapping, mapping.file, at, length);
  return shown(core, mapping, at, length);
}

/** Pages that one read fault maps, where they are in the cache. */
const FAULT_AROUND_PAGES = 16;

/**
 * Where the file system does not ask to be told of stores, a load maps the page writable, and those around
 * it: no later store faults, so the file's times and change cookie stay.
 *
 * @kernel mm/memory.c do_fault_around()
 * @deviation the windows are counted from the start of the mapping, not from the address it happens to lie at
 */
function faultAround(core: Core, mapping: Mapping, file: FileId, at: number, length: number): void {
  const inode = dataInode(core, core.inode(core.file(file).inode));
  if (core.fs(inode.sb).mkwrite || length === 0) return;
  const first = Math.floor(at / PAGE_SIZE / FAULT_AROUND_PAGES) * FAULT_AROUND_PAGES;
  const last = Math.floor((at + length - 1) / PAGE_SIZE / FAULT_AROUND_PAGES + 1) * FAULT_AROUND_PAGES;
  const end = Math.min(last, (mappedEnd(inode) - mapping.offset) / PAGE_SIZE, mapping.length / PAGE_SIZE);
  const window = Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
  core.setMapping({ ...mapping, pages: joined(mapping.pages, window) });
}

function pagesOf(at: number, length: number): number[] {
  const first = Math.floor(at / PAGE_SIZE);
  const last = Math.floor((at + Math.max(length, 1) - 1) / PAGE_SIZE);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

const joined = (a: readonly number[], b: readonly number[]): readonly number[] =>
  [...new Set([...a, ...b])].sort((x, y) => x - y);

export function poke(core: Core, id: MappingId, at: number, data: Uint8Array): Err {
  const mapping = core.mapping(id);
  const err = touch(core, mapping, at, data.length, PROT_WRITE);
  if (err !== 0) return err;
  if (mapping.shared && mapping.file !== null) return storeShared(core, mapping, mapping.file, at, data);
  if (mapping.shared) return storeAnonymousShared(core, mapping, at, data);
  const pages = mapping.file === null ? [] : joined(mapping.pages, pagesOf(at, data.length));
  const whole = shown(core, mapping, 0, mapping.length);
  if (!whole.ok) return whole.errno;
  whole.value.set(data, at);
  core.setMapping({ ...mapping, image: whole.value, pages });
  return 0;
}

function storeAnonymousShared(core: Core, mapping: Mapping, at: number, data: Uint8Array): Err {
  const image = (mapping.image ?? new Uint8Array(mapping.length)).slice();
  image.set(data, at);
  core.setMapping({ ...mapping, image });
  return 0;
}

/**
 * A store to a page of the file itself; bytes behind the end of the file are lost.
 *
 * @kernel mm/memory.c do_page_mkwrite()
 */
function storeShared(core: Core, mapping: Mapping, file: FileId, at: number, data: Uint8Array): Err {
  const inode = dataInode(core, core.inode(core.file(file).inode));
  if (inode.content === null) return 0;
  if (inode.content.kind === 'opaque') return core.refuse('EIO', 'vfs.opaque');
  const from = mapping.offset + at;
  const bytes = inode.content.bytes.slice();
  bytes.set(data.subarray(0, Math.max(0, bytes.length - from)), Math.min(from, bytes.length));
  const pages = joined(mapping.pages, pagesOf(at, data.length));
  const content = bytesContent(bytes);
  const told = pages.length > mapping.pages.length;
  core.setInode(told ? modified(core, inode, { content }) : { ...inode, content });
  core.setMapping({ ...mapping, pages });
  return 0;
}
