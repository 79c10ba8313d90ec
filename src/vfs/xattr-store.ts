// How xattrs lie in their file system: ext4 keeps some in the inode body (in the order they came) and the
// rest in one block (sorted), simple_xattrs lists them from the greatest name to the least. Decides what
// fits, and the order of listxattr. Ext4 is taken with 256-byte inodes, 4096-byte blocks and without the
// ea_inode feature.

import { equalBytes } from '../base/bytes.ts';
import { ACL_ACCESS, ACL_DEFAULT } from './acl.ts';
import { byteLength } from './inode.ts';
import type { Inode, Xattr } from './types.ts';

/** 256 bytes less the old inode, the extra fields, the header and the end mark. */
const IBODY_SPACE = 256 - 128 - 32 - 4 - 4;
/** One block less its header and the end mark. */
const BLOCK_SPACE = 4096 - 32 - 4;

export interface Placed {
  readonly xattrs: readonly Xattr[];
  readonly ibodyXattrs: number;
}

/** Name index and the name as ext4 stores it, without the prefix that the index stands for. */
function ext4Name(name: string): readonly [index: number, rest: string] {
  if (name === ACL_ACCESS) return [2, ''];
  if (name === ACL_DEFAULT) return [3, ''];
  if (name.startsWith('user.')) return [1, name.slice(5)];
  if (name.startsWith('trusted.')) return [4, name.slice(8)];
  return [6, name.slice(9)];
}

const round4 = (n: number): number => (n + 3) & ~3;

/** Bytes that ext4's own form of an access control list takes: short entries have no id. */
function aclSize(value: Uint8Array): number {
  let n = 4;
  for (let at = 4; at + 8 <= value.length; at += 8) n += value[at] === 2 || value[at] === 8 ? 8 : 4;
  return n;
}

function entrySize(x: Xattr): number {
  const [index, rest] = ext4Name(x.name);
  const value = index === 2 || index === 3 ? aclSize(x.value) : x.value.length;
  return round4(16 + byteLength(rest)) + round4(value);
}

const total = (list: readonly Xattr[]): number => list.reduce((n, x) => n + entrySize(x), 0);

/** @kernel fs/ext4/xattr.c xattr_find_entry() */
function ext4Compare(a: Xattr, b: Xattr): number {
  const [i, x] = ext4Name(a.name);
  const [j, y] = ext4Name(b.name);
  return i - j || byteLength(x) - byteLength(y) || compareText(x, y);
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function simpleCompare(a: Xattr, b: Xattr): number {
  const rank = (n: string): number => (n === ACL_ACCESS ? 0 : n === ACL_DEFAULT ? 1 : 2);
  return rank(a.name) - rank(b.name) || compareText(b.name, a.name);
}

function replace(list: readonly Xattr[], x: Xattr): readonly Xattr[] {
  const at = list.findIndex((y) => y.name === x.name);
  return at < 0 ? [...list, x] : list.map((y, i) => (i === at ? x : y));
}

/**
 * Where a new or changed xattr goes on ext4: the inode body if it fits, else the block; undefined for no
 * space.
 *
 * @kernel fs/ext4/xattr.c ext4_xattr_set_handle()
 */
function ext4Set(inode: Placed, x: Xattr): Placed | undefined {
  const ibody = inode.xattrs.slice(0, inode.ibodyXattrs);
  const block = inode.xattrs.slice(inode.ibodyXattrs);
  const inBody = replace(ibody, x);
  if (total(inBody) <= IBODY_SPACE) {
    const rest = block.filter((y) => y.name !== x.name);
    return { xattrs: [...inBody, ...rest], ibodyXattrs: inBody.length };
  }
  const inBlock = [...replace(block, x)].sort(ext4Compare);
  if (total(inBlock) > BLOCK_SPACE) return undefined;
  const rest = ibody.filter((y) => y.name !== x.name);
  return { xattrs: [...rest, ...inBlock], ibodyXattrs: rest.length };
}

/** The xattrs after one is set; undefined when there is no space for it. */
export function withXattr(inode: Placed, store: 'ext4' | 'simple', x: Xattr): Placed | undefined {
  if (store === 'ext4') return ext4Set(inode, x);
  return { xattrs: [...replace(inode.xattrs, x)].sort(simpleCompare), ibodyXattrs: 0 };
}

/** The xattrs after one is removed. */
export function withoutXattr(inode: Placed, name: string): Placed {
  const at = inode.xattrs.findIndex((x) => x.name === name);
  if (at < 0) return inode;
  const xattrs = inode.xattrs.filter((_, i) => i !== at);
  return { xattrs, ibodyXattrs: at < inode.ibodyXattrs ? inode.ibodyXattrs - 1 : inode.ibodyXattrs };
}

/** Xattrs set one after the other; what does not fit is left out. */
export function placeXattrs(inode: Inode, store: 'ext4' | 'simple', list: readonly Xattr[]): Placed {
  let placed: Placed = { xattrs: inode.xattrs, ibodyXattrs: inode.ibodyXattrs };
  for (const x of list) placed = withXattr(placed, store, x) ?? placed;
  return placed;
}

export function findXattr(inode: Inode, name: string): Uint8Array | undefined {
  for (const x of inode.xattrs) if (x.name === name) return x.value;
  return undefined;
}

/** Whether ext4 would find the stored value unchanged and write nothing. */
export function sameXattr(inode: Inode, x: Xattr): boolean {
  const old = findXattr(inode, x.name);
  return old !== undefined && equalBytes(old, x.value);
}
