// The system calls of one task: programs, memory, modules, keys, kexec, device-mapper on top of the file
// calls.

import type { Err, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import type { Content, FileId } from '../vfs/types.ts';
import type { DmTable, ExecOutcome, ExecPhase, MmapArgs, Pid, SpecialSyscallApi, SyscallApi } from './api.ts';
import { BUFFER_CALLS, type BufferKind } from './buffer-calls.ts';
import { dmCreate, dmRemove, dmResume, dmTableLoad } from './dm.ts';
import { execBegin, execStep, execveCheck, execWait } from './exec.ts';
import type { PlainRecord } from './extension.ts';
import { type Fallback, requestFirmwareFallback } from './firmware-loader.ts';
import { type KexecSegments, kexecFileLoad, kexecLoad } from './kexec.ts';
import type { RingName } from './key-calls.ts';
import { deleteModule, finitModule, finitModuleAllowed, initModule } from './module.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Task } from './state.ts';
import { FileCalls } from './syscall-files.ts';

export const READ_IMPLIES_EXEC = 0x0400000;

export class TaskSyscalls extends FileCalls implements SyscallApi, SpecialSyscallApi {
  // -- memory

  /** @kernel mm/mmap.c ksys_mmap_pgoff() */
  mmap(args: MmapArgs): Result<number> {
    const { fd, length, prot, shared, offset = 0 } = args;
    return this.result('mmap', { fd, length, prot, shared, offset }, (task) => {
      let file: FileId | null = null;
      if (fd !== null) {
        const open = this.file(task, fd);
        if (open === undefined) return fail(this.badFd());
        file = open;
      }
      const readImpliesExec = (task.personality & READ_IMPLIES_EXEC) !== 0;
      const request = { file, length, prot, shared, offset, readImpliesExec };
      const mapped = this.k.env.vfs.mmap(task, request);
      if (!mapped.ok) return mapped;
      const now = this.k.task(this.pid) ?? task;
      this.k.patch(now, { mappings: [...now.mappings, mapped.value] });
      return mapped;
    });
  }

  #owns(task: Task, mapping: number): boolean {
    return task.mappings.includes(mapping);
  }

  mprotect(mapping: number, prot: number): Err {
    return this.err('mprotect', { mapping, prot }, (task) => {
      if (!this.#owns(task, mapping)) return 'ENOMEM';
      const readImpliesExec = (task.personality & READ_IMPLIES_EXEC) !== 0;
      return this.k.env.vfs.mprotect(task, mapping, prot, readImpliesExec);
    });
  }

  munmap(mapping: number): Err {
    return this.err('munmap', { mapping }, (task) => {
      if (!this.#owns(task, mapping)) return 'EINVAL';
      const err = this.k.env.vfs.munmap(task, mapping);
      const now = this.k.task(this.pid) ?? task;
      if (err === 0) this.k.patch(now, { mappings: now.mappings.filter((m) => m !== mapping) });
      return err;
    });
  }

  poke(mapping: number, offset: number, data: Uint8Array): Err {
    return this.err('poke', { mapping, offset, length: data.length }, (task) =>
      this.#owns(task, mapping) ? this.k.env.vfs.poke(mapping, offset, data) : 'EFAULT',
    );
  }

  peek(mapping: number, offset: number, length: number): Result<Uint8Array> {
    return this.result('peek', { mapping, offset, length }, (task) =>
      this.#owns(task, mapping) ? this.k.env.vfs.peek(mapping, offset, length) : fail('EFAULT'),
    );
  }

  personality(persona: number): number {
    const before = this.k.task(this.pid)?.personality ?? 0;
    this.err('personality', { persona }, (task) => {
      if (persona !== 0xffffffff) this.k.patch(task, { personality: persona });
      return 0;
    });
    return before;
  }

  // -- programs

  exec(path: string, argv: readonly string[]): Result<ExecOutcome> {
    return this.result('execve', { path, argv }, (task) =>
      this.#run(execBegin(this.k, task, { path }, argv)),
    );
  }

  fexec(fd: number, argv: readonly string[]): Result<ExecOutcome> {
    return this.result('execveat', { fd, argv }, (task) => this.#run(this.#beginFd(task, fd, argv)));
  }

  #beginFd(task: Task, fd: number, argv: readonly string[]): Result<Pid> {
    const entry = task.fds.get(fd);
    if (entry === undefined) return fail(this.badFd());
    return execBegin(this.k, task, { fd, file: entry.file, cloexec: entry.cloexec }, argv);
  }

  execveCheck(program: string | number, argv: readonly string[]): Err {
    const named = typeof program === 'string' ? { path: program } : { fd: program };
    return this.err('execveat_check', { ...named, argv }, (task) => {
      if (!this.k.env.profile.switches.execveCheck) {
        return this.k.refuse('EINVAL', KERNEL_REASON['kernel.exec_flag_unknown']);
      }
      if (typeof program === 'string') return execveCheck(this.k, task, { path: program });
      const entry = task.fds.get(program);
      if (entry === undefined) return this.badFd();
      return execveCheck(this.k, task, { fd: program, file: entry.file, cloexec: entry.cloexec });
    });
  }

  #run(begun: Result<Pid>): Result<ExecOutcome> {
    return begun.ok ? execWait(this.k, begun.value) : begun;
  }

  /** fork, then execve up to the open program; value = the child. */
  execBegin(path: string, argv: readonly string[]): Result<Pid> {
    return this.result('execve_begin', { path, argv }, (task) => execBegin(this.k, task, { path }, argv));
  }

  fexecBegin(fd: number, argv: readonly string[]): Result<Pid> {
    return this.result('execveat_begin', { fd, argv }, (task) => this.#beginFd(task, fd, argv));
  }

  /** Lets the child do the next phase of its execve. */
  execStep(child: Pid): Result<ExecPhase> {
    return this.result('execve_step', { child }, (task) => {
      if (this.k.task(child)?.ppid !== task.pid) return fail('ECHILD');
      return execStep(this.k, child);
    });
  }

  /** Lets the child finish its execve and end; value = its status. */
  execFinish(child: Pid): Result<ExecOutcome> {
    return this.result('execve_finish', { child }, (task) => {
      if (this.k.task(child)?.ppid !== task.pid) return fail('ECHILD');
      return execWait(this.k, child);
    });
  }

  // -- modules and kexec

  finitModule(fd: number, params: string, flags: number): Err {
    return this.err('finit_module', { fd, params, flags }, (task) => {
      const err = finitModuleAllowed(this.k, task, flags);
      return err !== 0 ? err : finitModule(this.k, task, this.file(task, fd), flags);
    });
  }

  initModule(image: Uint8Array, params: string): Err {
    return this.err('init_module', { length: image.length, params }, (task) =>
      initModule(this.k, task, image),
    );
  }

  deleteModule(name: string): Err {
    return this.err('delete_module', { name }, (task) => deleteModule(this.k, task, name));
  }

  kexecFileLoad(kernelFd: number, initrdFd: number | null, cmdline: string, flags: number): Err {
    return this.err('kexec_file_load', { kernelFd, initrdFd, cmdline, flags }, (task) => {
      const initrd = initrdFd === null ? undefined : this.file(task, initrdFd);
      return kexecFileLoad(this.k, task, this.file(task, kernelFd), initrd, cmdline, flags);
    });
  }

  kexecLoad(flags: number, segments: KexecSegments | null = null): Err {
    return this.err('kexec_load', { flags }, (task) => kexecLoad(this.k, task, flags, segments));
  }

  handBuffer(kind: BufferKind, data: Uint8Array): Err {
    return this.err(BUFFER_CALLS[kind].syscall, { length: data.length }, (task) =>
      BUFFER_CALLS[kind].run(this.k, task, data),
    );
  }

  firmwareFallback(name: string, data: Uint8Array): Result<Fallback> {
    return this.result('firmware_fallback', { name, length: data.length }, (task) =>
      ok(requestFirmwareFallback(this.k, task, name, data)),
    );
  }

  call(name: string, args: PlainRecord): Result<PlainRecord> {
    return this.result(name, args, (task) => {
      const call = this.k.env.findCall(name);
      if (call === undefined)
        return fail(this.k.refuse('ENOSYS', KERNEL_REASON['kernel.no_such_call'], { name }));
      return call(task, args);
    });
  }

  // -- keys

  addKey(type: string, description: string, payload: Uint8Array, ring: RingName): Result<number> {
    return this.result('add_key', { type, description, length: payload.length, ring }, (task) =>
      this.k.env.keyCalls.addKey(task, type, description, payload, ring),
    );
  }

  keySearch(ring: RingName, type: string, description: string): Result<number> {
    return this.result('keyctl_search', { ring, type, description }, (task) =>
      this.k.env.keyCalls.search(task, ring, type, description),
    );
  }

  keyRead(key: number): Result<Uint8Array> {
    return this.result('keyctl_read', { key }, (task) => this.k.env.keyCalls.read(task, key));
  }

  keyRevoke(key: number): Err {
    return this.err('keyctl_revoke', { key }, (task) => this.k.env.keyCalls.revoke(task, key));
  }

  keyInvalidate(key: number): Err {
    return this.err('keyctl_invalidate', { key }, (task) => this.k.env.keyCalls.invalidate(task, key));
  }

  keyUnlink(key: number, ring: RingName): Err {
    return this.err('keyctl_unlink', { key, ring }, (task) => this.k.env.keyCalls.unlink(task, key, ring));
  }

  keyRestrict(ring: RingName): Err {
    return this.err('keyctl_restrict', { ring }, (task) => this.k.env.keyCalls.restrict(task, ring));
  }

  keyringExists(name: string): boolean {
    const task = this.k.task(this.pid);
    return task !== undefined && this.k.env.keyCalls.exists(task, name);
  }

  // -- fs-verity, device-mapper

  /**
   * Writes a content that may be known by length and digests only; the file must be empty and the position
   * 0.
   */
  writeContent(fd: number, content: Content): Result<number> {
    if (content.kind === 'bytes') return this.write(fd, content.bytes);
    return this.fdResult('write', fd, { length: content.length, label: content.label }, (task, file) =>
      this.k.env.vfs.writeContent(task, file, content),
    );
  }

  verityEnable(
    fd: number,
    options: {
      readonly algorithm: number;
      readonly blockSize: number;
      readonly salt: Uint8Array;
      readonly signature: Uint8Array;
    },
  ): Err {
    const { algorithm, blockSize } = options;
    return this.fdErr('enable_verity', fd, { algorithm, blockSize }, (task, file) =>
      this.k.env.vfs.verityEnable(task, file, options),
    );
  }

  verityMeasure(fd: number): Result<{ readonly algorithm: number; readonly digest: Uint8Array }> {
    return this.fdResult('measure_verity', fd, {}, (_task, file) => this.k.env.vfs.verityMeasure(file));
  }

  dmCreate(name: string): Result<number> {
    return this.result('dm_create', { name }, (task) => dmCreate(this.k, task, name));
  }

  dmTableLoad(table: DmTable): Err {
    return this.err('dm_table_load', { ...table }, (task) => dmTableLoad(this.k, task, table));
  }

  dmResume(name: string): Err {
    return this.err('dm_resume', { name }, (task) => dmResume(this.k, task, name));
  }

  dmRemove(name: string): Err {
    return this.err('dm_remove', { name }, (task) => dmRemove(this.k, task, name));
  }
}
