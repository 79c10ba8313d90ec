// The IPE room's cursor: its state and the hooks that lsm/ registers. Evaluation, life of policies and
// securityfs nodes are in the neighbouring files; this one maps hooks to operations.

import { Map as ImmutableMap, Set as ImmutableSet } from 'immutable';
import type { Err } from '../base/errno.ts';
import { PROT_EXEC } from '../vfs/constants.ts';
import type { KernelLoadId, KernelReadId } from '../vfs/hooks.ts';
import type { FileId, InodeKey, MappingId, SbId, VfsTask } from '../vfs/types.ts';
import type { IpeEnv } from './env.ts';
import { ipeBuildEvalCtx, ipeEvaluateEvent } from './eval.ts';
import { ipeBootPolicy, ipeInitSecurityfs } from './policy.ts';
import { IPE_REASON } from './reasons.ts';
import type { IpeHook, IpeOp, IpeState } from './types.ts';

/** Operation of a kernel read or load; ids that nobody declared have none. */
const OPERATION: Readonly<Record<KernelReadId | KernelLoadId, IpeOp>> = {
  firmware: 'FIRMWARE',
  module: 'KMODULE',
  'kexec-image': 'KEXEC_IMAGE',
  'kexec-initramfs': 'KEXEC_INITRAMFS',
  policy: 'POLICY',
  'x509-certificate': 'X509_CERT',
};

/** Start values: the kernel parameters `ipe.enforce=` and `ipe.success_audit=`, and the LSM list. */
export interface IpeOptions {
  readonly enabled?: boolean;
  readonly enforce?: boolean;
  readonly successAudit?: boolean;
}

/** State of a kernel that just booted; the boot policy is put in force by `init`. */
export function newIpe(options: IpeOptions = {}): IpeState {
  return {
    enabled: options.enabled ?? true,
    enforce: options.enforce ?? true,
    successAudit: options.successAudit ?? false,
    directories: ImmutableMap(),
    active: null,
    nextId: 1,
    initramfs: ImmutableSet(),
    fsVeritySigned: ImmutableSet(),
  };
}

export class Ipe {
  state: IpeState;
  readonly env: IpeEnv;

  constructor(state: IpeState, env: IpeEnv) {
    this.state = state;
    this.env = env;
  }

  /** LSM initialisation with CONFIG_IPE_BOOT_POLICY's text; the error is what the kernel log shows. */
  init(bootPolicy: string | null): Err {
    return this.state.enabled && bootPolicy !== null ? ipeBootPolicy(this, bootPolicy) : 0;
  }

  /** The securityfs tree; EOPNOTSUPP when IPE is not in the LSM list. */
  initSecurityfs(): Err {
    return ipeInitSecurityfs(this);
  }

  #judge(task: VfsTask, file: FileId | null, op: IpeOp | null, hook: IpeHook): Err {
    return ipeEvaluateEvent(this, ipeBuildEvalCtx(this, task, file, op, hook));
  }

  /** @kernel security/ipe/hooks.c ipe_bprm_check_security() */
  bprmCheck(task: VfsTask, file: FileId): Err {
    return this.#judge(task, file, 'EXECUTE', 'BPRM_CHECK');
  }

  /**
   * A program that only asks (AT_EXECVE_CHECK) is answered as if the file were to be executed, by kernels
   * that have the hook.
   * @kernel security/ipe/hooks.c ipe_bprm_creds_for_exec()
   */
  bprmCredsForExec(task: VfsTask, file: FileId, isCheck: boolean): Err {
    if (!isCheck || !this.env.profile.switches.ipeExecveCheck) return 0;
    return this.#judge(task, file, 'EXECUTE', 'BPRM_CREDS_FOR_EXEC');
  }

  /** Looks at the effective protection. @kernel security/ipe/hooks.c ipe_mmap_file() */
  mmapFile(task: VfsTask, file: FileId | null, prot: number): Err {
    return (prot & PROT_EXEC) === 0 ? 0 : this.#judge(task, file, 'EXECUTE', 'MMAP');
  }

  /** A mapping that is executable already is free. @kernel security/ipe/hooks.c ipe_file_mprotect() */
  fileMprotect(task: VfsTask, mapping: MappingId, prot: number): Err {
    if ((prot & PROT_EXEC) === 0) return 0;
    const { file, prot: before } = this.env.vfs.mapping(mapping);
    if ((before & PROT_EXEC) !== 0) {
      this.env.trace.emit('ipe.evaluate', { hook: 'MPROTECT', file }, IPE_REASON['ipe.already_executable']);
      return 0;
    }
    // A mapping of an overlay file holds the layer's own file since mmap (backing_file_mmap).
    const held = file === null ? null : (this.env.vfs.file(file).real ?? file);
    return this.#judge(task, held, 'EXECUTE', 'MPROTECT');
  }

  /** @kernel security/ipe/hooks.c ipe_kernel_read_file() */
  kernelReadFile(task: VfsTask, file: FileId, id: KernelReadId): Err {
    return this.#judge(task, file, OPERATION[id] ?? null, 'KERNEL_READ');
  }

  /** @kernel security/ipe/hooks.c ipe_kernel_load_data() */
  kernelLoadData(task: VfsTask, id: KernelLoadId): Err {
    return this.#judge(task, null, OPERATION[id] ?? null, 'KERNEL_LOAD');
  }

  /**
   * Marks the root file system once the initial ram disk is unpacked.
   * @kernel security/ipe/hooks.c ipe_unpack_initramfs()
   */
  initramfsPopulated(sb: SbId): void {
    this.state = { ...this.state, initramfs: this.state.initramfs.add(sb) };
    this.env.trace.emit('ipe.initramfs', { sb }, IPE_REASON['ipe.initramfs_marked']);
  }

  /**
   * Remembers whether a built-in fs-verity signature was accepted.
   * @kernel security/ipe/hooks.c ipe_inode_setintegrity()
   */
  inodeSetIntegrity(inode: InodeKey, signed: boolean): void {
    const { fsVeritySigned } = this.state;
    const next = signed ? fsVeritySigned.add(inode) : fsVeritySigned.delete(inode);
    if (next !== fsVeritySigned) this.state = { ...this.state, fsVeritySigned: next };
  }

  /** The inode's blob goes with it. */
  inodeFree(inode: InodeKey): void {
    if (this.state.fsVeritySigned.has(inode)) this.inodeSetIntegrity(inode, false);
  }
}
