// Copies of the two records that almost every system call replaces. Naming each member makes a copy many
// times faster than a spread of an object of this size; the compiler says when a member is missing.

import type { Writable } from '../vfs/records.ts';
import type { KernelState, Task } from './state.ts';

/**
 * A copy to be changed before it is stored; the original stays as it is.
 * @kernel include/linux/sched.h struct task_struct
 */
export function copyTask(t: Task): Writable<Task> {
  return {
    cred: t.cred,
    root: t.root,
    cwd: t.cwd,
    umask: t.umask,
    ns: t.ns,
    comm: t.comm,
    pid: t.pid,
    ppid: t.ppid,
    exe: t.exe,
    fds: t.fds,
    mappings: t.mappings,
    personality: t.personality,
    exeFile: t.exeFile,
    sessionKeyring: t.sessionKeyring,
    bprm: t.bprm,
  };
}

export function copyKernel(s: KernelState): Writable<KernelState> {
  return {
    cmdline: s.cmdline,
    root: s.root,
    initArgs: s.initArgs,
    initEnv: s.initEnv,
    tasks: s.tasks,
    nextPid: s.nextPid,
    nextUserNs: s.nextUserNs,
    userNamespaces: s.userNamespaces,
    modules: s.modules,
    kexec: s.kexec,
    crashKernel: s.crashKernel,
    dm: s.dm,
    hashTrees: s.hashTrees,
    tpmDriver: s.tpmDriver,
    sysctl: s.sysctl,
    eventLog: s.eventLog,
    log: s.log,
    panic: s.panic,
    tpmNumber: s.tpmNumber,
    tpmNext: s.tpmNext,
    memoryKb: s.memoryKb,
    ramPages: s.ramPages,
    lsms: s.lsms,
    image: s.image,
    setup: s.setup,
    boots: s.boots,
    power: s.power,
  };
}
