// User namespaces: their tree, which ids they know, and the three files of /proc/self that say so. Ids
// everywhere else in the simulation are the kernel's own (those of the initial namespace); here they are
// translated for tasks that live in another. Left out: projects, and capabilities of file owners in v3
// xattrs.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import { type Err, type Errno, fail, ok, type Result } from '../base/errno.ts';
import type { PseudoNode, Stat } from '../vfs/api.ts';
import { CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from '../vfs/constants.ts';
import { type Cred, type FileId, FMODE_WRITE, type VfsTask } from '../vfs/types.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { IdExtent, UserNamespace } from './state.ts';

export type IdKind = 'uid' | 'gid';

/** What stat(2) shows for an id that the namespace has no name for. */
export const OVERFLOW_ID = 65534;
const NO_ID = 0xffffffff;
const MAX_EXTENTS = 340;
const PAGE = 4096;

const hasCap = (cred: Cred, cap: number): boolean => ((cred.caps >> BigInt(cap)) & 1n) === 1n;

function extentsOf(k: Kernel, ns: number, kind: IdKind): readonly IdExtent[] {
  const found = k.state.userNamespaces.get(ns);
  if (found === undefined) return [];
  return kind === 'uid' ? found.uidMap : found.gidMap;
}

/**
 * The name that a namespace has for a kernel id; null when it has none. @kernel kernel/user_namespace.c
 * from_kuid()
 */
export function fromKid(k: Kernel, ns: number, kind: IdKind, id: number): number | null {
  if (ns === 0) return id;
  const e = extentsOf(k, ns, kind).find((x) => id >= x.lower && id < x.lower + x.count);
  return e === undefined ? null : e.first + (id - e.lower);
}

/**
 * The kernel id behind a namespace's name; null when there is none. @kernel kernel/user_namespace.c
 * make_kuid()
 */
export function makeKid(k: Kernel, ns: number, kind: IdKind, id: number): number | null {
  if (ns === 0) return id;
  const e = extentsOf(k, ns, kind).find((x) => id >= x.first && id < x.first + x.count);
  return e === undefined ? null : e.lower + (id - e.first);
}

/** Owner and group as a task sees them. @kernel fs/stat.c cp_new_stat() */
export function mungedStat(k: Kernel, task: VfsTask, stat: Stat): Stat {
  const { userNs } = task.cred;
  if (userNs === 0) return stat;
  return {
    ...stat,
    uid: fromKid(k, userNs, 'uid', stat.uid) ?? OVERFLOW_ID,
    gid: fromKid(k, userNs, 'gid', stat.gid) ?? OVERFLOW_ID,
  };
}

/**
 * Ids given to chown(2): -1 leaves one alone, one without a kernel id is EINVAL. @kernel fs/open.c
 * chown_common()
 */
export function chownIds(
  k: Kernel,
  task: VfsTask,
  uid: number,
  gid: number,
): Result<{ readonly uid: number; readonly gid: number }> {
  const { userNs } = task.cred;
  if (userNs === 0) return ok({ uid, gid });
  const given = (kind: IdKind, id: number): number | null =>
    id === -1 || id === NO_ID ? id : makeKid(k, userNs, kind, id);
  const ids = { uid: given('uid', uid), gid: given('gid', gid) };
  if (ids.uid === null || ids.gid === null)
    return fail(k.refuse('EINVAL', KERNEL_REASON['kernel.id_unmapped']));
  return ok({ uid: ids.uid, gid: ids.gid });
}

/**
 * Makes a namespace for a task, without any mapping yet; value = its number.
 * @kernel kernel/user_namespace.c create_user_ns()
 */
export function createUserNs(k: Kernel, cred: Cred): number {
  const id = k.state.nextUserNs;
  const namespace: UserNamespace = {
    id,
    parent: cred.userNs,
    owner: cred.euid,
    uidMap: [],
    gidMap: [],
    setgroups: cred.userNs === 0 || (k.state.userNamespaces.get(cred.userNs)?.setgroups ?? true),
    parentCouldSetfcap: hasCap(cred, CAP_SETFCAP),
  };
  k.state = {
    ...k.state,
    nextUserNs: id + 1,
    userNamespaces: k.state.userNamespaces.set(id, namespace),
  };
  return id;
}

const overlap = (a: number, b: number, aCount: number, bCount: number): boolean =>
  a < b + bCount && b < a + aCount;

/** Lines of `first lower count`; null for anything else. */
function parseMap(text: string): readonly IdExtent[] | null {
  const extents: IdExtent[] = [];
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  for (const line of lines) {
    const m = /^\s*(\d+)\s+(\d+)\s+(\d+)\s*$/.exec(line);
    if (m === null) return null;
    const [first, lower, count] = [Number(m[1]), Number(m[2]), Number(m[3])];
    if (count === 0 || first + count > NO_ID || lower + count > NO_ID) return null;
    const clash = extents.some(
      (e) => overlap(first, e.first, count, e.count) || overlap(lower, e.lower, count, e.count),
    );
    if (clash) return null;
    extents.push({ first, lower, count });
  }
  return extents.length === 0 || extents.length > MAX_EXTENTS ? null : extents;
}

/** @kernel kernel/user_namespace.c new_idmap_permitted(), verify_root_map() */
function mapPermitted(
  k: Kernel,
  cred: Cred,
  ns: UserNamespace,
  kind: IdKind,
  map: readonly IdExtent[],
): boolean {
  // Naming the parent's root wants that whoever made the namespace could set file capabilities.
  if (kind === 'uid' && !ns.parentCouldSetfcap && map.some((e) => e.lower === 0)) return false;
  const [only] = map;
  if (map.length === 1 && only?.count === 1 && ns.owner === cred.euid) {
    const lower = makeKid(k, ns.parent, kind, only.lower);
    if (kind === 'uid' ? lower === cred.euid : !ns.setgroups && lower === cred.egid) return true;
  }
  return cred.userNs === ns.parent && hasCap(cred, kind === 'uid' ? CAP_SETUID : CAP_SETGID);
}

/**
 * One write of a whole map; only the first one counts.
 * @kernel kernel/user_namespace.c map_write()
 */
function writeMap(k: Kernel, cred: Cred, kind: IdKind, data: Uint8Array, offset: number): Err {
  const ns = k.state.userNamespaces.get(cred.userNs);
  const denied = (): Errno => k.refuse('EPERM', KERNEL_REASON['kernel.map_refused']);
  if (data.length >= PAGE || offset !== 0) return 'EINVAL';
  if (ns === undefined || extentsOf(k, ns.id, kind).length > 0 || !hasCap(cred, CAP_SYS_ADMIN))
    return denied();
  const map = parseMap(fromLatin1(data));
  if (map === null) return k.refuse('EINVAL', KERNEL_REASON['kernel.map_malformed']);
  if (!mapPermitted(k, cred, ns, kind, map)) return denied();
  const extents: IdExtent[] = [];
  for (const e of map) {
    const lower = makeKid(k, ns.parent, kind, e.lower);
    const last = makeKid(k, ns.parent, kind, e.lower + e.count - 1);
    if (lower === null || last !== lower + e.count - 1) return denied();
    extents.push({ ...e, lower });
  }
  const next = kind === 'uid' ? { ...ns, uidMap: extents } : { ...ns, gidMap: extents };
  k.state = { ...k.state, userNamespaces: k.state.userNamespaces.set(ns.id, next) };
  return 0;
}

/** Lower ids are shown as the reader's namespace knows them, its own parent's for its own map. */
function mapText(k: Kernel, reader: Cred, kind: IdKind): string {
  const ns = reader.userNs;
  const column = (n: number): string => String(n).padStart(10);
  if (ns === 0) return `${column(0)} ${column(0)} ${column(NO_ID)}\n`;
  const parent = k.state.userNamespaces.get(ns)?.parent ?? 0;
  return extentsOf(k, ns, kind)
    .map((e) => {
      const lower = fromKid(k, parent, kind, e.lower) ?? NO_ID;
      return `${column(e.first)} ${column(lower)} ${column(e.count)}\n`;
    })
    .join('');
}

/** @kernel kernel/user_namespace.c proc_setgroups_write() */
function writeSetgroups(k: Kernel, ns: UserNamespace, data: Uint8Array, offset: number): Err {
  if (data.length >= 8 || offset !== 0) return 'EINVAL';
  const word = /^(allow|deny)\s*$/.exec(fromLatin1(data))?.[1];
  if (word === undefined) return k.refuse('EINVAL', KERNEL_REASON['kernel.map_malformed']);
  if (word === 'allow') return ns.setgroups ? 0 : k.refuse('EPERM', KERNEL_REASON['kernel.map_refused']);
  if (ns.gidMap.length > 0) return k.refuse('EPERM', KERNEL_REASON['kernel.map_refused']);
  const next = { ...ns, setgroups: false };
  k.state = { ...k.state, userNamespaces: k.state.userNamespaces.set(ns.id, next) };
  return 0;
}

/**
 * /proc/self/uid_map, gid_map and setgroups. @kernel fs/proc/base.c proc_id_map_open(),
 * proc_setgroups_open()
 */
export function userNamespacePseudo(k: Kernel): Readonly<Record<string, PseudoNode>> {
  const opener = (file: FileId): Cred => k.env.vfs.file(file).cred;
  const done = (err: Err, length: number): Result<number> => (err === 0 ? ok(length) : fail(err));
  const map = (kind: IdKind): PseudoNode => ({
    read: (_task, file) => ok(utf8(mapText(k, opener(file), kind))),
    write: (_task, file, data, offset) => done(writeMap(k, opener(file), kind, data, offset), data.length),
  });
  const own = (file: FileId): UserNamespace | undefined => k.state.userNamespaces.get(opener(file).userNs);
  return {
    'proc/self/uid_map': map('uid'),
    'proc/self/gid_map': map('gid'),
    'proc/self/setgroups': {
      open: (_task, file) => {
        const { fmode, cred } = k.env.vfs.file(file);
        return (fmode & FMODE_WRITE) === 0 || hasCap(cred, CAP_SYS_ADMIN) ? 0 : 'EACCES';
      },
      read: (_task, file) => ok(utf8(own(file)?.setgroups === false ? 'deny\n' : 'allow\n')),
      write: (_task, file, data, offset) => {
        const ns = own(file);
        return done(ns === undefined ? 'EPERM' : writeSetgroups(k, ns, data, offset), data.length);
      },
    },
  };
}
