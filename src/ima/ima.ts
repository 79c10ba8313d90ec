// IMA as the other rooms see it: a cursor over its state with the hooks that it registers, start-up, critical
// data, keys and kexec. Each method is a thin door to the file that models it.

import { utf8 } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE, PROT_EXEC } from '../vfs/constants.ts';
import type { Iattr, KernelLoadId, KernelReadId } from '../vfs/hooks.ts';
import type { Cred, FileId, InodeKey, MappingId, PathRef, VfsTask } from '../vfs/types.ts';
import { type InitOptions, init, setup } from './boot.ts';
import { processBufferMeasurement } from './buffer.ts';
import { calcFileHash } from './collect.ts';
import * as C from './constants.ts';
import type { ImaCursor, ImaEnv } from './cursor.ts';
import * as hooks from './inode-hooks.ts';
import { dumpMeasurementList, kexecListSize, kexecSegmentSize } from './kexec.ts';
import { keyLinked } from './keys.ts';
import { fileMprotect, kernelLoadData } from './load-hooks.ts';
import { activeRules } from './policy-match.ts';
import { processMeasurement } from './process.ts';
import { R } from './reasons.ts';
import type { FileHash, ImaState } from './types.ts';

const OPEN_MASK = MAY_READ | MAY_WRITE | MAY_EXEC | MAY_APPEND;

/** read_idmap[]: hook of a kind of kernel read; certificates have none of their own. */
const READ_IDMAP: Readonly<Record<KernelReadId, number>> = {
  firmware: C.FIRMWARE_CHECK,
  module: C.MODULE_CHECK,
  'kexec-image': C.KEXEC_KERNEL_CHECK,
  'kexec-initramfs': C.KEXEC_INITRAMFS_CHECK,
  policy: C.POLICY_CHECK,
  'x509-certificate': C.FILE_CHECK,
};

export class Ima implements ImaCursor {
  state: ImaState;
  readonly env: ImaEnv;

  constructor(state: ImaState, env: ImaEnv) {
    this.state = state;
    this.env = env;
  }

  // -- start-up

  /** A parameter of the command line, in its order; false when it is not IMA's. */
  setup(name: string, value: string | null): boolean {
    return setup(this, name, value);
  }

  /** The late initcall. @kernel security/integrity/ima/ima_main.c init_ima() */
  init(task: VfsTask, options: InitOptions = {}): Err {
    return init(this, task, options);
  }

  /**
   * What runs inside is not appraised: loading the certificates at boot.
   * @kernel security/integrity/ima/ima_init.c ima_load_x509()
   */
  withoutAppraisal<T>(load: () => T): T {
    const unset = this.state.policy.flag & C.IMA_APPRAISE;
    this.state = { ...this.state, policy: { ...this.state.policy, flag: this.state.policy.flag & ~unset } };
    const result = load();
    this.state = { ...this.state, policy: { ...this.state.policy, flag: this.state.policy.flag | unset } };
    return result;
  }

  // -- hooks on files

  /** @kernel security/integrity/ima/ima_main.c ima_file_check() */
  filePostOpen(task: VfsTask, file: FileId, mask: number): Err {
    return this.#check(task, task.cred, file, null, mask & OPEN_MASK, C.FILE_CHECK);
  }

  /** @kernel security/integrity/ima/ima_main.c ima_file_mmap() */
  mmapFile(task: VfsTask, file: FileId | null, reqprot: number, prot: number): Err {
    if (file === null) return 0;
    if ((reqprot & PROT_EXEC) !== 0) {
      const err = this.#check(task, task.cred, file, null, MAY_EXEC, C.MMAP_CHECK_REQPROT);
      if (err !== 0) return err;
    }
    return (prot & PROT_EXEC) !== 0 ? this.#check(task, task.cred, file, null, MAY_EXEC, C.MMAP_CHECK) : 0;
  }

  /** @kernel security/integrity/ima/ima_main.c ima_file_mprotect() */
  fileMprotect(task: VfsTask, mapping: MappingId, _reqprot: number, prot: number): Err {
    return fileMprotect(this, task, mapping, prot);
  }

  /** Once for each round of binary formats. @kernel security/integrity/ima/ima_main.c ima_bprm_check() */
  bprmCheck(task: VfsTask, file: FileId, next: Cred): Err {
    const err = this.#check(task, task.cred, file, null, MAY_EXEC, C.BPRM_CHECK);
    return err !== 0 ? err : this.#check(task, next, file, null, MAY_EXEC, C.CREDS_CHECK);
  }

  /**
   * Only for a program that asks (AT_EXECVE_CHECK): measured, appraised and audited as an execution.
   * @kernel security/integrity/ima/ima_main.c ima_bprm_creds_for_exec()
   */
  bprmCredsForExec(task: VfsTask, file: FileId, next: Cred, isCheck: boolean): Err {
    if (!isCheck || !this.env.profile.switches.imaExecveCheck) return 0;
    const asked = { task, file, buf: null, mask: MAY_EXEC };
    const err = processMeasurement(this, { ...asked, cred: task.cred, func: C.BPRM_CHECK, isCheck });
    return err !== 0 ? err : processMeasurement(this, { ...asked, cred: next, func: C.CREDS_CHECK });
  }

  /** @kernel security/integrity/ima/ima_main.c ima_read_file() */
  kernelReadFile(task: VfsTask, file: FileId, id: KernelReadId, contents: boolean): Err {
    // With the whole content the check comes after the read.
    return contents ? 0 : this.#check(task, task.cred, file, null, MAY_READ, READ_IDMAP[id]);
  }

  /** @kernel security/integrity/ima/ima_main.c ima_post_read_file() */
  kernelPostReadFile(task: VfsTask, file: FileId | null, id: KernelReadId, data: Uint8Array): Err {
    if (file === null && id === 'x509-certificate') return 0;
    const opaque = file !== null && data.length === 0 && this.#isOpaque(file);
    if (file === null || (data.length === 0 && !opaque)) {
      if ((this.state.appraise & C.IMA_APPRAISE_ENFORCE) === 0) return 0;
      this.env.trace.emit('ima.read', { id }, R['ima.read_empty_denied']);
      return 'EACCES';
    }
    return this.#check(task, task.cred, file, data, MAY_READ, READ_IDMAP[id]);
  }

  /** @kernel security/integrity/ima/ima_main.c ima_load_data() */
  kernelLoadData(_task: VfsTask, id: KernelLoadId, contents: boolean): Err {
    return kernelLoadData(this, id, contents);
  }

  /** @kernel security/integrity/ima/ima_main.c ima_post_load_data() */
  kernelPostLoadData(task: VfsTask, id: KernelLoadId, data: Uint8Array, _description: string): Err {
    if (id === 'module') this.criticalData(task, 'modules', 'init_module', data, true);
    if (id !== 'firmware') return 0;
    const denied = C.IMA_APPRAISE_FIRMWARE | C.IMA_APPRAISE_ENFORCE;
    if ((this.state.appraise & denied) !== denied) return 0;
    this.env.trace.emit('ima.load', { id }, R['ima.load_data_denied']);
    return 'EACCES';
  }

  /** @kernel security/integrity/ima/ima_main.c ima_file_free() */
  fileRelease(task: VfsTask, file: FileId): void {
    hooks.fileFree(this, task, file);
  }

  fileTruncate(_task: VfsTask, file: FileId): Err {
    hooks.resetActionFlags(this, this.env.vfs.file(file).inode);
    return 0;
  }

  pathTruncate(_task: VfsTask, path: PathRef): Err {
    hooks.resetActionFlags(this, this.env.vfs.inodeOf(path).key);
    return 0;
  }

  // -- hooks on inodes

  inodePostSetattr(task: VfsTask, _path: PathRef, inode: InodeKey, _attr: Iattr): void {
    hooks.postSetattr(this, task, inode);
  }

  inodeSetxattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string, value: Uint8Array): Err {
    return hooks.inodeSetxattr(this, task, path, inode, name, value);
  }

  inodeRemovexattr(task: VfsTask, _path: PathRef, inode: InodeKey, name: string): Err {
    return hooks.inodeRemovexattr(this, task, inode, name);
  }

  inodeSetAcl(_task: VfsTask, _path: PathRef, inode: InodeKey, name: string): Err {
    return hooks.inodeSetAcl(this, inode, name);
  }

  inodeRemoveAcl(_task: VfsTask, _path: PathRef, inode: InodeKey, name: string): Err {
    return hooks.inodeSetAcl(this, inode, name);
  }

  inodePostCreateTmpfile(task: VfsTask, _file: FileId, inode: InodeKey): void {
    hooks.postCreateTmpfile(this, task, inode);
  }

  pathPostMknod(task: VfsTask, _path: PathRef, inode: InodeKey): void {
    hooks.postPathMknod(this, task, inode);
  }

  inodeFree(inode: InodeKey): void {
    hooks.inodeFree(this, inode);
  }

  // -- buffers and keys

  /**
   * Measures kernel data under a label; `hashed` puts only its hash into the list. ENOENT when no rule wants
   * it, EINVAL
   * (the kernel's ENOPARAM) when something is missing.
   * @kernel security/integrity/ima/ima_main.c ima_measure_critical_data()
   */
  criticalData(task: VfsTask, label: string, event: string, data: Uint8Array, hashed: boolean): Err {
    if (label === '' || event === '' || data.length === 0) return 'EINVAL';
    return processBufferMeasurement(this, task, {
      data,
      eventName: event,
      func: C.CRITICAL_DATA,
      funcData: label,
      inode: null,
      pcr: 0,
      hashed,
    });
  }

  /**
   * Command line of a kexec, without its NUL.
   * @kernel security/integrity/ima/ima_main.c ima_kexec_cmdline()
   */
  kexecCmdline(task: VfsTask, kernel: FileId, cmdline: Uint8Array): Err {
    if (cmdline.length === 0) return 0;
    return processBufferMeasurement(this, task, {
      data: cmdline,
      eventName: 'kexec-cmdline',
      func: C.KEXEC_CMDLINE,
      funcData: null,
      inode: this.env.vfs.file(kernel).inode,
      pcr: 0,
      hashed: false,
    });
  }

  /** An asymmetric key was linked to a keyring. */
  keyLinked(task: VfsTask, keyring: string, payload: Uint8Array): void {
    keyLinked(this, task, keyring, payload);
  }

  // -- kexec

  /** Bytes that kexec_file_load reserves for the list, null where none is carried. */
  kexecSegmentSize(totalRamPages: number): number | null {
    return kexecSegmentSize(this, totalRamPages);
  }

  /**
   * A record of what a kexec does to the list: sizes and count, at load and at execute. ENOENT where the
   * release has none.
   * @kernel security/integrity/ima/ima_kexec.c ima_measure_kexec_event()
   */
  kexecEvent(task: VfsTask, event: 'kexec_load' | 'kexec_execute', segmentSize: number): Err {
    if (!this.env.profile.switches.kexecMarkers) return 'ENOENT';
    const { list } = this.state;
    const sizes = `kexec_segment_size=${segmentSize};ima_binary_runtime_size=${kexecListSize(this)};`;
    const data = utf8(`${sizes}ima_runtime_measurements_count=${list.length};`);
    return this.criticalData(task, 'ima_kexec', event, data, false);
  }

  /**
   * The machine is going down: from now on nothing enters the list and no register.
   * @kernel security/integrity/ima/ima_queue.c ima_measurements_suspend()
   */
  rebootNotifier(): void {
    if (this.env.profile.switches.suspendedAtReboot) this.state = { ...this.state, suspended: true };
  }

  /** The segment as it is when the old kernel ends. */
  kexecBuffer(segmentSize: number): Uint8Array {
    return dumpMeasurementList(this, segmentSize);
  }

  // -- questions of other subsystems

  /** @kernel security/integrity/ima/ima_appraise.c is_ima_appraise_enabled() */
  isAppraiseEnabled(): boolean {
    return (this.state.appraise & C.IMA_APPRAISE_ENFORCE) !== 0;
  }

  /**
   * Whether a kind of kernel read must carry a signature.
   * @kernel security/integrity/ima/ima_policy.c ima_appraise_signature()
   */
  appraiseSignature(id: KernelReadId, kexecLockedDown = false): boolean {
    if (id === 'kexec-image' && !this.isAppraiseEnabled() && kexecLockedDown) return false;
    const func = READ_IDMAP[id];
    for (const rule of activeRules(this.state.policy))
      if (rule.action === C.APPRAISE && (rule.func === C.NONE || rule.func === func))
        return (rule.flags & C.IMA_DIGSIG_REQUIRED) !== 0;
    return false;
  }

  /**
   * Digest of a file for others (BPF): the collected one, else a fresh one that is not kept.
   * @kernel security/integrity/ima/ima_main.c ima_file_hash()
   */
  fileHash(file: FileId): FileHash | null {
    const open = this.env.vfs.file(file);
    const known = this.state.iint.get(open.inode);
    if (known?.hash != null && (known.flags & C.IMA_COLLECTED) !== 0) return known.hash;
    const { err, hash } = calcFileHash(this, null, open, this.state.hashAlgo);
    return err === 0 ? hash : null;
  }

  #isOpaque(file: FileId): boolean {
    const key = this.env.vfs.file(file).inode;
    return this.env.vfs.inode(key).pseudo === null && this.env.vfs.contentOf(key).kind === 'opaque';
  }

  #check(task: VfsTask, cred: Cred, file: FileId, buf: Uint8Array | null, mask: number, func: number): Err {
    return processMeasurement(this, { task, cred, file, buf, mask, func });
  }
}
