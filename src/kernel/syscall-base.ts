// What all system calls share: the acting task, the descriptor table, virtual time and the trace. A call
// opens a `syscall.NAME` event, everything it causes hangs below it, and a last child `syscall.return`
// holds its result. Each call takes SYSCALL_US of virtual time, so time stamps move by ticks of the
// kernel's clock as programs run.

import type { Err, Result } from '../base/errno.ts';
import { fail } from '../base/errno.ts';
import type { EventData, EventValue } from '../base/trace.ts';
import type { FileId } from '../vfs/types.ts';
import { FMODE_PATH } from '../vfs/types.ts';
import type { Pid } from './api.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Task } from './state.ts';

/** Virtual time of one system call: 400 of them make one tick of CONFIG_HZ=250. */
export const SYSCALL_US = 10;

/** What the trace keeps of a result: numbers and short lists as they are, bytes as their length. */
function summary(value: unknown): EventValue {
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  if (value instanceof Uint8Array) return value.length;
  if (Array.isArray(value)) return value.length;
  return 0;
}

/** @kernel arch/x86/entry/common.c do_syscall_64() */
export class SyscallBase {
  readonly pid: Pid;
  readonly k: Kernel;

  constructor(k: Kernel, pid: Pid) {
    this.k = k;
    this.pid = pid;
  }

  #start(name: string, data: EventData): number {
    const { clock, trace } = this.k.env;
    clock.advance(SYSCALL_US);
    return trace.open(`syscall.${name}`, { pid: this.pid, ...data });
  }

  #end(id: number, ret: EventValue): void {
    const { trace } = this.k.env;
    trace.emit('syscall.return', { ret });
    trace.close(id);
  }

  #gone(): Err {
    const { state } = this.k;
    if (state.panic !== null) return this.k.refuse('ESRCH', KERNEL_REASON['kernel.panicked']);
    return this.k.refuse('ESRCH', KERNEL_REASON['kernel.no_task']);
  }

  /** A call that gives 0 or an errno. */
  protected err(name: string, data: EventData, run: (task: Task) => Err): Err {
    const id = this.#start(name, data);
    const task = this.k.task(this.pid);
    const err = task === undefined ? this.#gone() : run(task);
    this.#end(id, err);
    return err;
  }

  /** A call that gives a value or an errno. */
  protected result<T>(name: string, data: EventData, run: (task: Task) => Result<T>): Result<T> {
    const id = this.#start(name, data);
    const task = this.k.task(this.pid);
    const result = task === undefined ? fail(this.#gone() || 'ESRCH') : run(task);
    this.#end(id, result.ok ? summary(result.value) : result.errno);
    return result;
  }

  /** fdget(): the open file behind a descriptor; undefined for a closed or O_PATH one. */
  protected file(task: Task, fd: number): FileId | undefined {
    const entry = task.fds.get(fd);
    if (entry === undefined) return undefined;
    return (this.k.env.vfs.file(entry.file).fmode & FMODE_PATH) === 0 ? entry.file : undefined;
  }

  protected badFd(): 'EBADF' {
    this.k.refuse('EBADF', KERNEL_REASON['kernel.bad_fd']);
    return 'EBADF';
  }

  /** A call on one descriptor that gives 0 or an errno. */
  protected fdErr(name: string, fd: number, data: EventData, run: (task: Task, file: FileId) => Err): Err {
    return this.err(name, { fd, ...data }, (task) => {
      const file = this.file(task, fd);
      return file === undefined ? this.badFd() : run(task, file);
    });
  }

  /** A call on one descriptor that gives a value or an errno. */
  protected fdResult<T>(
    name: string,
    fd: number,
    data: EventData,
    run: (task: Task, file: FileId) => Result<T>,
  ): Result<T> {
    return this.result(name, { fd, ...data }, (task) => {
      const file = this.file(task, fd);
      return file === undefined ? fail(this.badFd()) : run(task, file);
    });
  }
}
