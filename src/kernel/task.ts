// Tasks: fork, credentials, exit. A fork copies descriptors, directories, credentials and personality;
// memory mappings are not inherited, because every child here goes on to execve or starts as a fresh actor
// (a copied mapping would only be dropped again). Threads, process groups, signals and wait statuses of
// others are left out.

import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { CAP_FULL_SET } from '../vfs/constants.ts';
import type { Cred, InodeKey } from '../vfs/types.ts';
import type { Pid, SpawnOptions } from './api.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Task } from './state.ts';
import { createUserNs, fromKid, type IdKind } from './user-namespace.ts';

/**
 * setresgid(gid, gid, gid) and setresuid(uid, euid, euid) by a root task, as a privileged daemon starts a
 * worker. Leaving uid 0 in all three ids drops all capabilities; a non-zero effective id leaves none in
 * effect.
 * @kernel security/commoncap.c cap_emulate_setxuid()
 * @deviation the permitted set is not kept apart from the effective one: no modelled call raises
 * capabilities again
 */
export function workerCred(base: Cred, uid: number, euid: number, gid: number): Cred {
  const ids = { uid, euid, suid: euid, fsuid: euid, gid, egid: gid, sgid: gid, fsgid: gid };
  const caps = euid === 0 ? base.caps : 0n;
  return { ...base, ...ids, groups: [], caps };
}

/**
 * Keeps writers away from a program that is being executed, or runs; ETXTBSY where there is one. Releases
 * from 6.11 until a revert early in 6.12 did not.
 * @kernel fs/exec.c exe_file_deny_write_access()
 */
export function denyExecWrite(k: Kernel, inode: InodeKey): Err {
  return k.env.profile.switches.execDeniesWriters ? k.env.vfs.denyWrite(inode) : 0;
}

/** @kernel fs/exec.c exe_file_allow_write_access() */
export function allowExecWrite(k: Kernel, inode: InodeKey): void {
  if (k.env.profile.switches.execDeniesWriters) k.env.vfs.allowWrite(inode);
}

/**
 * Creates a child: same credentials, descriptors, directories, program.
 * @kernel kernel/fork.c copy_process()
 */
export function forkTask(k: Kernel, parent: Task): Task {
  const pid = k.state.nextPid;
  const { vfs } = k.env;
  for (const fd of parent.fds.values()) vfs.get(fd.file);
  if (parent.exeFile !== null) {
    vfs.get(parent.exeFile.file);
    denyExecWrite(k, parent.exeFile.inode);
  }
  const child: Task = { ...parent, pid, ppid: parent.pid, mappings: [], bprm: null };
  k.state = { ...k.state, nextPid: pid + 1, tasks: k.state.tasks.set(pid, child) };
  return child;
}

/** Starts an actor: a child of init (or `parent`) that changed its ids. */
export function spawnTask(k: Kernel, parent: Task, options: SpawnOptions): Pid {
  const child = forkTask(k, parent);
  const uid = options.uid ?? 0;
  const euid = options.euid ?? uid;
  const gid = options.gid ?? 0;
  const ids = uid !== 0 || euid !== 0 || gid !== 0;
  k.putTask({
    ...child,
    cred: ids ? workerCred(child.cred, uid, euid, gid) : child.cred,
    comm: options.comm === undefined ? child.comm : options.comm.slice(0, 15),
  });
  k.env.trace.emit('kernel.spawn', { pid: child.pid, ppid: parent.pid, uid, euid, gid });
  return child.pid;
}

/** Drops the running program: mappings, then the executable with its hold on writers. */
export function exitMm(k: Kernel, pid: Pid): void {
  const task = k.task(pid);
  if (task === undefined) return;
  const { vfs } = k.env;
  for (const id of task.mappings) vfs.munmap(task, id);
  const current = k.patch(k.task(pid) ?? task, { mappings: [], exeFile: null });
  if (task.exeFile !== null) {
    allowExecWrite(k, task.exeFile.inode);
    vfs.put(current, task.exeFile.file);
  }
}

/**
 * Ends a task: memory first, then descriptors in ascending order; children go to init.
 * @kernel kernel/exit.c do_exit()
 */
export function exitTask(k: Kernel, pid: Pid): void {
  exitMm(k, pid);
  const task = k.task(pid);
  if (task === undefined) return;
  for (const [, fd] of [...task.fds].sort(([a], [b]) => a - b)) k.env.vfs.put(task, fd.file);
  const orphans = [...k.state.tasks.values()].filter((t) => t.ppid === pid);
  let tasks = k.state.tasks.delete(pid);
  for (const t of orphans) tasks = tasks.set(t.pid, { ...t, ppid: 1 });
  k.state = { ...k.state, tasks };
  k.env.trace.emit('kernel.exit', { pid });
}

/**
 * A task in a new user namespace: all capabilities there, none outside. A chrooted task, and one whose ids
 * its own namespace does not name, cannot make one.
 * @kernel kernel/user_namespace.c create_user_ns()
 */
export function enterUserNs(k: Kernel, task: Task): Result<Task> {
  const { cred } = task;
  if (k.env.vfs.dPath(task.root) !== '/') return fail('EPERM');
  const named = (kind: IdKind, id: number): boolean => fromKid(k, cred.userNs, kind, id) !== null;
  if (!named('uid', cred.euid) || !named('gid', cred.egid)) {
    return fail(k.refuse('EPERM', KERNEL_REASON['kernel.id_unmapped']));
  }
  const userNs = createUserNs(k, cred);
  return ok(k.patch(task, { cred: { ...cred, userNs, caps: CAP_FULL_SET } }));
}

/** capable(): the capability in the initial user namespace. */
export function capable(task: Task, capability: number): boolean {
  return task.cred.userNs === 0 && (task.cred.caps & (1n << BigInt(capability))) !== 0n;
}
