// User namespaces: creation, id maps, setgroups, and the translation of ids at the edge of system calls.
// Ids everywhere else are those of the initial namespace. A task that opened a map file in one namespace and
// writes it from another is left out: maps are written through the task's own /proc/self.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import type { Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import type { PseudoNode, Stat } from '../vfs/api.ts';
import { CAP_FULL_SET, CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from '../vfs/constants.ts';
import type { VfsTask } from '../vfs/types.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Task } from './state.ts';

/** Ids `first ... first + count - 1` of the namespace are `lower ...` of the initial one. */
export interface IdExtent {
  readonly first: number;
  readonly lower: number;
  readonly count: number;
}

export interface UserNs {
  readonly id: number;
  readonly parent: number;
  readonly owner: number;
  readonly level: number;
  readonly uidMap: readonly IdExtent[];
  readonly gidMap: readonly IdExtent[];
  readonly setgroups: boolean;
  /** The creator had CAP_SETFCAP, so it may map the parent's root. */
  readonly parentCouldSetfcap: boolean;
}

export type IdKind = 'uid' | 'gid';

/** Shown in place of an id that the namespace has no name for. */
export const OVERFLOW_ID = 65534;
const INVALID = 0xffffffff;
const MAX_EXTENTS = 340;
const MAX_LEVEL = 32;

const mapOf = (ns: UserNs, kind: IdKind): readonly IdExtent[] => (kind === 'uid' ? ns.uidMap : ns.gidMap);

function nsOf(k: Kernel, id: number): UserNs | undefined {
  return k.state.userNs.get(id);
}

/** An id of a namespace as the kernel keeps it; null without a mapping. @kernel kernel/user_namespace.c make_kuid() */
export function makeKid(k: Kernel, userNs: number, kind: IdKind, id: number): number | null {
  if (id === INVALID) return null;
  if (userNs === 0) return id;
  const ns = nsOf(k, userNs);
  const e = ns && mapOf(ns, kind).find((x) => id >= x.first && id < x.first + x.count);
  return e ? e.lower + (id - e.first) : null;
}

/** The namespace's name for a kernel id; null where it has none. @kernel kernel/user_namespace.c from_kuid() */
export function fromKid(k: Kernel, userNs: number, kind: IdKind, kid: number): number | null {
  if (userNs === 0) return kid;
  const ns = nsOf(k, userNs);
  const e = ns && mapOf(ns, kind).find((x) => kid >= x.lower && kid < x.lower + x.count);
  return e ? e.first + (kid - e.lower) : null;
}

/** Owner and group as the task's namespace names them. @kernel fs/stat.c cp_new_stat() */
export function mungedStat(k: Kernel, task: Task, stat: Stat): Stat {
  const { userNs } = task.cred;
  if (userNs === 0) return stat;
  const uid = fromKid(k, userNs, 'uid', stat.uid) ?? OVERFLOW_ID;
  return { ...stat, uid, gid: fromKid(k, userNs, 'gid', stat.gid) ?? OVERFLOW_ID };
}

/**
 * Ids that a task gave to chown(2): EINVAL for one that its namespace does not map; -1 leaves an id alone.
 * @kernel fs/open.c chown_common()
 */
export function chownIds(
  k: Kernel,
  task: Task,
  uid: number,
  gid: number,
): Result<{ readonly uid: number; readonly gid: number }> {
  const { userNs } = task.cred;
  if (userNs === 0) return ok({ uid, gid });
  const down = (kind: IdKind, id: number): number | null =>
    id === -1 || id === INVALID ? -1 : makeKid(k, userNs, kind, id);
  const [kuid, kgid] = [down('uid', uid), down('gid', gid)];
  if (kuid !== null && kgid !== null) return ok({ uid: kuid, gid: kgid });
  return fail(k.refuse('EINVAL', KERNEL_REASON['kernel.userns_unmapped']));
}

/**
 * A new namespace below the task's: all capabilities there, none outside.
 * @kernel kernel/user_namespace.c create_user_ns()
 */
export function createUserNs(k: Kernel, task: Task): Result<Task> {
  const { cred } = task;
  const parent = nsOf(k, cred.userNs);
  const level = (parent?.level ?? 0) + 1;
  if (level > MAX_LEVEL) return fail('ENOSPC');
  // A chrooted task could reach files that its root hides from it.
  if (k.env.vfs.dPath(task.root) !== '/') return fail('EPERM');
  const named = (kind: IdKind, id: number): boolean => fromKid(k, cred.userNs, kind, id) !== null;
  if (!named('uid', cred.euid) || !named('gid', cred.egid)) {
    return fail(k.refuse('EPERM', KERNEL_REASON['kernel.userns_unmapped']));
  }
  const id = k.state.nextUserNs;
  const ns: UserNs = {
    id,
    parent: cred.userNs,
    owner: cred.euid,
    level,
    uidMap: [],
    gidMap: [],
    setgroups: parent?.setgroups ?? true,
    parentCouldSetfcap: (cred.caps & (1n << BigInt(CAP_SETFCAP))) !== 0n,
  };
  k.state = { ...k.state, nextUserNs: id + 1, userNs: k.state.userNs.set(id, ns) };
  k.env.trace.emit('kernel.userns', { pid: task.pid, userNs: id, parent: cred.userNs });
  return ok(k.patch(task, { cred: { ...cred, userNs: id, caps: CAP_FULL_SET } }));
}

function overlaps(extents: readonly IdExtent[], e: IdExtent): boolean {
  return extents.some((x) => {
    const upper = x.first < e.first + e.count && e.first < x.first + x.count;
    const lower = x.lower < e.lower + e.count && e.lower < x.lower + x.count;
    return upper || lower;
  });
}

/** Lines `first lower count`; null for anything else. @kernel kernel/user_namespace.c map_write() */
export function parseIdMap(text: string): readonly IdExtent[] | null {
  const extents: IdExtent[] = [];
  const lines = text.replace(/\0.*$/s, '').replace(/\n$/, '').split('\n');
  for (const line of lines) {
    const m = /^\s*(\d*)\s+(\d*)\s+(\d*)\s*$/.exec(line);
    if (m === null) return null;
    const [first, lower, count] = [Number(m[1]), Number(m[2]), Number(m[3])];
    const wraps = first + count > INVALID + 1 || lower + count > INVALID + 1;
    if (count === 0 || wraps || first === INVALID || lower === INVALID) return null;
    const extent = { first, lower, count };
    if (overlaps(extents, extent) || extents.length >= MAX_EXTENTS) return null;
    extents.push(extent);
  }
  return extents.length === 0 ? null : extents;
}

/** @kernel security/commoncap.c cap_capable() */
function hasIn(k: Kernel, task: VfsTask, userNs: number, cap: number): boolean {
  const { cred } = task;
  let at: number | null = userNs;
  while (at !== null) {
    if (at === cred.userNs) return (cred.caps & (1n << BigInt(cap))) !== 0n;
    const ns: UserNs | undefined = nsOf(k, at);
    // The owner of a namespace has every capability in it, as seen from its parent.
    if (ns !== undefined && ns.parent === cred.userNs && ns.owner === cred.euid) return true;
    at = ns?.parent ?? null;
  }
  return false;
}

/** @kernel kernel/user_namespace.c new_idmap_permitted(), verify_root_map() */
function permitted(
  k: Kernel,
  task: VfsTask,
  ns: UserNs,
  kind: IdKind,
  extents: readonly IdExtent[],
): boolean {
  const mapsRoot = extents.some((e) => e.lower === 0);
  if (kind === 'uid' && mapsRoot && !ns.parentCouldSetfcap) return false;
  const [only] = extents;
  if (extents.length === 1 && only?.count === 1 && ns.owner === task.cred.euid) {
    const kid = makeKid(k, ns.parent, kind, only.lower);
    if (kind === 'uid' && kid === task.cred.euid) return true;
    if (kind === 'gid' && !ns.setgroups && kid === task.cred.egid) return true;
  }
  return hasIn(k, task, ns.parent, kind === 'uid' ? CAP_SETUID : CAP_SETGID);
}

/** One write to uid_map or gid_map: the whole map, once. */
function writeMap(k: Kernel, task: VfsTask, kind: IdKind, data: Uint8Array, offset: number): Result<number> {
  const ns = nsOf(k, task.cred.userNs);
  if (ns === undefined) return fail('EPERM');
  if (offset !== 0 || data.length >= k.env.profile.pageSize) return fail('EINVAL');
  if (mapOf(ns, kind).length > 0 || !hasIn(k, task, ns.id, CAP_SYS_ADMIN)) return fail('EPERM');
  const extents = parseIdMap(fromLatin1(data));
  if (extents === null) return fail('EINVAL');
  const refused = (): Result<number> => fail(k.refuse('EPERM', KERNEL_REASON['kernel.userns_map_refused']));
  if (!permitted(k, task, ns, kind, extents)) return refused();
  const lowered: IdExtent[] = [];
  for (const e of extents) {
    const lower = makeKid(k, ns.parent, kind, e.lower);
    const end = makeKid(k, ns.parent, kind, e.lower + e.count - 1);
    if (lower === null || end !== lower + e.count - 1) return refused();
    lowered.push({ ...e, lower });
  }
  const next = kind === 'uid' ? { ...ns, uidMap: lowered } : { ...ns, gidMap: lowered };
  k.state = { ...k.state, userNs: k.state.userNs.set(ns.id, next) };
  k.env.trace.emit('kernel.id_map', { userNs: ns.id, kind, extents: lowered.length });
  return ok(data.length);
}

/** @kernel kernel/user_namespace.c uid_m_show() */
function showMap(k: Kernel, task: VfsTask, kind: IdKind): string {
  const ns = nsOf(k, task.cred.userNs);
  const pad = (n: number): string => String(n).padStart(10);
  if (ns === undefined) return `${pad(0)} ${pad(0)} ${pad(INVALID)}\n`;
  return mapOf(ns, kind)
    .map((e) => `${pad(e.first)} ${pad(fromKid(k, ns.parent, kind, e.lower) ?? INVALID)} ${pad(e.count)}\n`)
    .join('');
}

/** @kernel kernel/user_namespace.c proc_setgroups_write() */
function writeSetgroups(k: Kernel, task: VfsTask, data: Uint8Array, offset: number): Result<number> {
  if (offset !== 0 || data.length >= 8) return fail('EINVAL');
  const m = /^(allow|deny)\s*(\0|$)/.exec(fromLatin1(data));
  if (m === null) return fail('EINVAL');
  const ns = nsOf(k, task.cred.userNs);
  const allowed = ns?.setgroups ?? true;
  if (m[1] === 'allow') return allowed ? ok(data.length) : fail('EPERM');
  if (ns === undefined || ns.gidMap.length > 0) return fail('EPERM');
  k.state = { ...k.state, userNs: k.state.userNs.set(ns.id, { ...ns, setgroups: false }) };
  return ok(data.length);
}

/** Files below /proc/self. @kernel fs/proc/base.c proc_id_map_open() */
export function userNsPseudo(k: Kernel): Readonly<Record<string, PseudoNode>> {
  const map = (kind: IdKind): PseudoNode => ({
    read: (task) => ok(utf8(showMap(k, task, kind))),
    write: (task, _file, data, offset) => writeMap(k, task, kind, data, offset),
  });
  return {
    'proc/self/uid_map': map('uid'),
    'proc/self/gid_map': map('gid'),
    'proc/self/setgroups': {
      read: (task) => ok(utf8((nsOf(k, task.cred.userNs)?.setgroups ?? true) ? 'allow\n' : 'deny\n')),
      write: (task, _file, data, offset) => writeSetgroups(k, task, data, offset),
    },
  };
}
