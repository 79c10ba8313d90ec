// The kernel's cursor: what all system calls stand on. It holds KernelState and reaches the other rooms
// through its environment; tasks are records in the state, so every change of a task is one update here.

import type { Clock } from '../base/clock.ts';
import type { Err, Errno, Result } from '../base/errno.ts';
import { append } from '../base/list.ts';
import type { KernelProfile } from '../base/profile.ts';
import type { Random } from '../base/random.ts';
import type { Trace } from '../base/trace.ts';
import type { SystemKeyring } from '../crypto/system-keys.ts';
import type { Audit } from '../integrity/audit.ts';
import type { VfsApi } from '../vfs/api.ts';
import type { SecurityHooks } from '../vfs/hooks.ts';
import type { FileId, VfsTask } from '../vfs/types.ts';
import type { Pid } from './api.ts';
import type { Extensions } from './extension.ts';
import type { KeyCalls } from './key-calls.ts';
import { copyKernel, copyTask } from './records.ts';
import type { KernelState, Task } from './state.ts';

/** What a room beside the LSM hooks wants to hear from the kernel; absent members are not modelled. */
export interface KernelListeners {
  /** ima_kexec_cmdline(): the command line given to kexec_file_load, with the kernel image's file. */
  kexecCmdline?(task: VfsTask, kernelFile: FileId, cmdline: Uint8Array): void;
  /** ima_measure_critical_data(). */
  criticalData?(task: VfsTask, label: string, event: string, data: Uint8Array, hashed: boolean): void;
  /** ima_add_kexec_buffer(): bytes to reserve for the measurement list, null where none is carried. */
  kexecSegment?(totalRamPages: number): number | null;
  /** ima_measure_kexec_event(): the list over a kexec, as critical data. */
  kexecEvent?(task: VfsTask, event: 'kexec_load' | 'kexec_execute', segment: number): void;
  /** Reboot notifiers: the machine is going down. */
  rebooting?(): void;
  /** ima_dump_measurement_list(): what such a segment holds now. */
  kexecBuffer?(segment: number): Uint8Array;
  /** verify_pkcs7_signature() with the secondary trusted keyring, for modules. */
  verifyModuleSignature?(content: Uint8Array, pkcs7: Uint8Array): Err;
  /** verify_pkcs7_signature() of a detached message with no special usage. */
  verifyPkcs7?(data: Uint8Array, pkcs7: Uint8Array, keyring: SystemKeyring): Err;
  /** request_key() of type user, for the task. */
  requestUserKey?(task: VfsTask, description: string): Result<Uint8Array>;
  /** A design may pin a program's pages and check them once they are in memory; an error kills the task. */
  execLock?(task: Task, file: FileId): Err;
  execVerify?(task: Task, file: FileId): Err;
}

export interface KernelEnv {
  /** Calls of designs, by name. */
  readonly findCall: Extensions['findCall'];
  readonly profile: KernelProfile;
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly audit: Audit;
  readonly vfs: VfsApi;
  readonly hooks: SecurityHooks;
  readonly listeners: KernelListeners;
  readonly keyCalls: KeyCalls;
}

/** Kernels number descriptors from the lowest free one; 0 to 2 are init's console. */
const FIRST_FD = 3;

export class Kernel {
  state: KernelState;
  readonly env: KernelEnv;

  constructor(state: KernelState, env: KernelEnv) {
    this.state = state;
    this.env = env;
  }

  task(pid: Pid): Task | undefined {
    return this.state.tasks.get(pid);
  }

  putTask(task: Task): void {
    const next = copyKernel(this.state);
    next.tasks = next.tasks.set(task.pid, task);
    this.state = next;
  }

  /** Changes some members of a task; the task must exist. */
  patch(task: Task, change: Partial<Task>): Task {
    const next: Task = Object.assign(copyTask(task), change);
    this.putTask(next);
    return next;
  }

  /** @kernel kernel/printk/printk.c printk() */
  printk(line: string): void {
    this.state = { ...this.state, log: append(this.state.log, line) };
    this.env.trace.emit('kernel.log', { line });
  }

  /** Notes why something was refused; value = the errno, for returning. */
  refuse(errno: Errno, reason: string, data: Readonly<Record<string, string | number>> = {}): Errno {
    this.env.trace.emit('kernel.refused', { errno, ...data }, reason);
    return errno;
  }

  /**
   * Puts an open file into the descriptor table at the lowest free number.
   * @kernel fs/file.c alloc_fd()
   */
  installFd(pid: Pid, file: FileId, cloexec: boolean): number {
    const task = this.task(pid);
    if (task === undefined) return -1;
    let fd = FIRST_FD;
    while (task.fds.has(fd)) fd++;
    const next = copyTask(task);
    next.fds = next.fds.set(fd, { file, cloexec });
    this.putTask(next);
    return fd;
  }
}
