// POSIX access control lists in their xattr form (version 2): parsing, validity, what they allow, and how
// they and the mode follow each other. The lists are kept as the bytes of system.posix_acl_access and
// system.posix_acl_default.

import { Reader, Writer } from '../base/codec.ts';
import type { Cred, Inode, Xattr } from './types.ts';

export const ACL_ACCESS = 'system.posix_acl_access';
export const ACL_DEFAULT = 'system.posix_acl_default';

const ACL_USER_OBJ = 1;
const ACL_USER = 2;
const ACL_GROUP_OBJ = 4;
const ACL_GROUP = 8;
const ACL_MASK = 16;
const ACL_OTHER = 32;
const NO_ID = 0xffff_ffff;

export interface AclEntry {
  readonly tag: number;
  readonly perm: number;
  readonly id: number;
}

export type Acl = readonly AclEntry[];

export const isAclName = (name: string): boolean => name === ACL_ACCESS || name === ACL_DEFAULT;

/**
 * Entries of the xattr form; 'none' for an empty list, undefined when it is malformed.
 *
 * @kernel fs/posix_acl.c posix_acl_from_xattr()
 */
export function parseAcl(value: Uint8Array): Acl | 'none' | 'version' | undefined {
  const r = new Reader(value, 'le');
  const version = r.u32();
  if (r.failed) return undefined;
  if (version !== 2) return 'version';
  if (r.remaining % 8 !== 0) return undefined;
  const out: AclEntry[] = [];
  while (r.remaining > 0) out.push({ tag: r.u16(), perm: r.u16(), id: r.u32() });
  if (out.length === 0) return 'none';
  for (const e of out) {
    if (![ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER].includes(e.tag))
      return undefined;
    if ((e.tag === ACL_USER || e.tag === ACL_GROUP) && e.id === NO_ID) return undefined;
  }
  return out.map((e) => (e.tag === ACL_USER || e.tag === ACL_GROUP ? e : { ...e, id: NO_ID }));
}

/** @kernel fs/posix_acl.c posix_acl_to_xattr() */
export function encodeAcl(acl: Acl): Uint8Array {
  const w = new Writer('le').u32(2);
  for (const e of acl) w.u16(e.tag).u16(e.perm).u32(e.id);
  return w.finish();
}

/** How an id of the text becomes the kernel's, or the other way round; null for one without a name. */
export type IdMap = (kind: 'uid' | 'gid', id: number) => number | null;

/**
 * A list with the ids of its named users and groups translated; `missing` stands for those that have no
 * name, null makes the list invalid.
 *
 * @kernel fs/posix_acl.c posix_acl_from_xattr(), posix_acl_to_xattr()
 */
export function mapAcl(acl: Acl, map: IdMap, missing: number | null): Acl | undefined {
  const out: AclEntry[] = [];
  for (const e of acl) {
    const kind = e.tag === ACL_USER ? 'uid' : e.tag === ACL_GROUP ? 'gid' : null;
    const id = kind === null ? e.id : (map(kind, e.id) ?? missing);
    if (id === null) return undefined;
    out.push({ ...e, id });
  }
  return out;
}

/**
 * Entries in their order, each kind as often as it may be.
 *
 * @kernel fs/posix_acl.c posix_acl_valid()
 */
export function aclValid(acl: Acl): boolean {
  let state = ACL_USER_OBJ;
  let needsMask = false;
  for (const e of acl) {
    if ((e.perm & ~7) !== 0) return false;
    if (e.tag === ACL_USER_OBJ && state === ACL_USER_OBJ) state = ACL_USER;
    else if (e.tag === ACL_USER && state === ACL_USER) needsMask = true;
    else if (e.tag === ACL_GROUP_OBJ && state === ACL_USER) state = ACL_GROUP;
    else if (e.tag === ACL_GROUP && state === ACL_GROUP) needsMask = true;
    else if (e.tag === ACL_MASK && state === ACL_GROUP) state = ACL_OTHER;
    else if (e.tag === ACL_OTHER && (state === ACL_OTHER || (state === ACL_GROUP && !needsMask))) state = 0;
    else return false;
  }
  return state === 0;
}

/**
 * The permission bits that a list stands for, and whether it says no more than those bits.
 *
 * @kernel fs/posix_acl.c posix_acl_equiv_mode()
 */
export function aclMode(acl: Acl): { readonly mode: number; readonly minimal: boolean } {
  let mode = 0;
  let minimal = true;
  let mask: number | null = null;
  for (const e of acl) {
    if (e.tag === ACL_USER_OBJ) mode |= e.perm << 6;
    else if (e.tag === ACL_GROUP_OBJ) mode |= e.perm << 3;
    else if (e.tag === ACL_OTHER) mode |= e.perm;
    else minimal = false;
    if (e.tag === ACL_MASK) mask = e.perm;
  }
  if (mask !== null) mode = (mode & ~0o070) | (mask << 3);
  return { mode, minimal };
}

function find(xattrs: readonly Xattr[], name: string): Acl | null {
  for (const x of xattrs) {
    if (x.name !== name) continue;
    const acl = parseAcl(x.value);
    return acl === undefined || typeof acl === 'string' ? null : acl;
  }
  return null;
}

export function aclOf(inode: Inode, name: string): Acl | null {
  return find(inode.xattrs, name);
}

/**
 * What an inode's list says about a mask; null when it has none.
 *
 * @kernel fs/posix_acl.c posix_acl_permission()
 */
export function aclPermission(inode: Inode, cred: Cred, want: number): boolean | null {
  const acl = aclOf(inode, ACL_ACCESS);
  if (acl === null) return null;
  const mask = acl.find((e) => e.tag === ACL_MASK)?.perm ?? 7;
  let found = false;
  for (const e of acl) {
    if (e.tag === ACL_USER_OBJ && cred.fsuid === inode.uid) return (e.perm & want) === want;
    if (e.tag === ACL_USER && e.id === cred.fsuid) return (e.perm & mask & want) === want;
    const gid = e.tag === ACL_GROUP_OBJ ? inode.gid : e.tag === ACL_GROUP ? e.id : null;
    if (gid !== null && (cred.fsgid === gid || cred.groups.includes(gid))) {
      found = true;
      if ((e.perm & want) === want) return (e.perm & mask & want) === want;
    }
    if (e.tag === ACL_OTHER) return !found && (e.perm & want) === want;
  }
  return false;
}

/** @kernel fs/posix_acl.c __posix_acl_chmod_masq() */
export function aclChmod(acl: Acl, mode: number): Acl {
  const mask = acl.some((e) => e.tag === ACL_MASK);
  return acl.map((e) => {
    if (e.tag === ACL_USER_OBJ) return { ...e, perm: (mode >> 6) & 7 };
    if (e.tag === ACL_MASK || (e.tag === ACL_GROUP_OBJ && !mask)) return { ...e, perm: (mode >> 3) & 7 };
    if (e.tag === ACL_OTHER) return { ...e, perm: mode & 7 };
    return e;
  });
}

/**
 * The list and mode of a new inode under a directory's default list.
 *
 * @kernel fs/posix_acl.c posix_acl_create_masq()
 */
export function aclCreate(
  acl: Acl,
  mode: number,
): { readonly acl: Acl; readonly mode: number; readonly minimal: boolean } {
  const mask = acl.some((e) => e.tag === ACL_MASK);
  let bits = mode;
  const out = acl.map((e) => {
    if (e.tag === ACL_USER_OBJ) {
      const perm = e.perm & (mode >> 6) & 7;
      bits = (bits & ~0o700) | (perm << 6);
      return { ...e, perm };
    }
    if (e.tag === ACL_MASK || (e.tag === ACL_GROUP_OBJ && !mask)) {
      const perm = e.perm & (mode >> 3) & 7;
      bits = (bits & ~0o070) | (perm << 3);
      return { ...e, perm };
    }
    if (e.tag === ACL_OTHER) {
      const perm = e.perm & mode & 7;
      bits = (bits & ~0o007) | perm;
      return { ...e, perm };
    }
    return e;
  });
  return { acl: out, mode: bits, minimal: aclMode(acl).minimal };
}
