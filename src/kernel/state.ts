// The kernel's own part of a machine's state: tasks, modules, kexec image, user keys, event log, kernel
// log. Plain values only; the cursors that change them are in machine.ts and its neighbours. Threads,
// signals and scheduling are left out: one system call runs to its end before the next one starts.

import { Map as ImmutableMap } from 'immutable';
import { EMPTY } from '../base/bytes.ts';
import { type AppendList, emptyList } from '../base/list.ts';
import type { DriverState } from '../tpm/driver.ts';
import { CAP_FULL_SET } from '../vfs/constants.ts';
import type { Cred, FileId, InodeKey, MappingId, PathRef, VfsTask } from '../vfs/types.ts';
import type { ExecPhase, MachineConfig, Pid } from './api.ts';
import type { VerityTable } from './dm-verity.ts';
import { type PowerState, powerTable } from './power.machine.ts';

/** One entry of a descriptor table. */
export interface FileDescriptor {
  readonly file: FileId;
  readonly cloexec: boolean;
}

/** struct linux_binprm as far as later phases need it, while an execve is under way. */
export interface Binprm {
  readonly phase: ExecPhase;
  /** Path as given to execve; `/dev/fd/N` for execveat with an empty path. */
  readonly filename: string;
  readonly argv: readonly string[];
  /** File of the current round (the script, then its interpreter). */
  readonly file: FileId;
  /** Program interpreter (PT_INTERP) of an ELF file, opened by the loader. */
  readonly elfInterp: FileId | null;
  /** Credentials under preparation. */
  readonly cred: Cred;
  /** Rounds of #! so far. */
  readonly depth: number;
  /** BINPRM_FLAGS_PATH_INACCESSIBLE: the name is a close-on-exec descriptor. */
  readonly pathInaccessible: boolean;
  readonly commFromDentry: boolean;
  /** Where in its memory the first instructions lie; null where no loaded file holds them. */
  readonly entry: { readonly mapping: MappingId; readonly offset: number } | null;
  /** Signal that ends it. */
  readonly signal: number | null;
  readonly errno: string | null;
}

export interface Task extends VfsTask {
  readonly fds: ImmutableMap<number, FileDescriptor>;
  readonly mappings: readonly MappingId[];
  /** PER_LINUX bits; READ_IMPLIES_EXEC = 0x0400000. */
  readonly personality: number;
  /** mm->exe_file: held with writers denied while the program runs; null for tasks that never ran execve. */
  readonly exeFile: { readonly file: FileId; readonly inode: InodeKey } | null;
  /** Serial of the session keyring; 0 = the user's session keyring. */
  readonly sessionKeyring: number;
  readonly bprm: Binprm | null;
}

export interface LoadedModule {
  readonly name: string;
  readonly size: number;
  readonly sigOk: boolean;
  /** Has an init function, an exit function (delete_module needs both or neither). */
  readonly init: boolean;
  readonly exit: boolean;
}

/** What kexec_file_load left behind for the reboot. */
export interface KexecImage {
  readonly cmdline: string;
  readonly kernelLength: number;
  /** null when it boots without an initramfs. */
  readonly initrdLength: number | null;
  readonly imaSegment: KexecSegment | null;
  /** Without it the machine does not survive the jump. @kernel kernel/kexec_file.c kimage_file_alloc_init() */
  readonly swapPage: boolean;
  /** The reboot notifiers ran: the list is in its segment. */
  readonly prepared: boolean;
}

/** The segment that carries the measurement list. */
export interface KexecSegment {
  readonly size: number;
  /** What was copied at load; null where the copy is made when the new kernel starts. */
  readonly content: Uint8Array | null;
}

export interface DmDevice {
  readonly name: string;
  readonly minor: number;
  readonly active: DmTarget | null;
  readonly inactive: DmTarget | null;
}

export interface DmTarget {
  readonly target: string;
  readonly sectors: number;
  /** Block device below (the data device of verity). */
  readonly below: string;
  /** All block devices that the table claims. */
  readonly devices: readonly string[];
  readonly verity: VerityTable | null;
  /**
   * Hash of what dm-ima recorded for the table, with its algorithm prefix; null when nothing was measured.
   */
  readonly tableHash: string | null;
}

/** A block device that holds the dm-verity hash tree of another one. */
export interface HashTree {
  readonly hashDevice: string;
  readonly dataDevice: string;
  readonly rootHash: Uint8Array;
  readonly salt: Uint8Array;
}

/** A run of ids: the namespace's own names from `first` on stand for the kernel ids from `lower` on. */
export interface IdExtent {
  readonly first: number;
  readonly lower: number;
  readonly count: number;
}

export interface UserNamespace {
  readonly id: number;
  /** 0 is the initial one. */
  readonly parent: number;
  /** Kernel id of the effective user who made it. */
  readonly owner: number;
  readonly uidMap: readonly IdExtent[];
  readonly gidMap: readonly IdExtent[];
  /** setgroups(2) is allowed. */
  readonly setgroups: boolean;
  /** Whoever made it had CAP_SETFCAP in the parent. */
  readonly parentCouldSetfcap: boolean;
}

/** What is built into the kernel or handed to it besides the command line. */
export type KernelImage = Pick<
  MachineConfig,
  'initramfs' | 'initramfsImage' | 'trustedKeys' | 'ipeBootPolicy' | 'proposals'
>;

/** What firmware and boot loader do at every power-on, until somebody changes it. */
export type BootSetup = Pick<MachineConfig, 'cmdline' | 'firmware'>;

export interface KernelState {
  readonly cmdline: string;
  /** Root of the initial mount namespace (init_task.fs); null before it is mounted. */
  readonly root: PathRef | null;
  /** Arguments and environment that the command line hands to init. */
  readonly initArgs: readonly string[];
  readonly initEnv: readonly string[];
  readonly tasks: ImmutableMap<Pid, Task>;
  readonly nextPid: number;
  readonly nextUserNs: number;
  /** User namespaces other than the initial one. */
  readonly userNamespaces: ImmutableMap<number, UserNamespace>;
  /** In load order. */
  readonly modules: readonly LoadedModule[];
  readonly kexec: KexecImage | null;
  /** What takes over when the kernel crashes. */
  readonly crashKernel: KexecImage | null;
  readonly dm: readonly DmDevice[];
  readonly hashTrees: readonly HashTree[];
  /** What the TPM driver found when it was bound; null before. */
  readonly tpmDriver: DriverState | null;
  readonly sysctl: ImmutableMap<string, string>;
  /** Bytes of the firmware's event log; empty when the registers were preset. */
  readonly eventLog: Uint8Array;
  /** What printk wrote: lines without level and time. */
  readonly log: AppendList<string>;
  /** Reason when the kernel panicked; nothing runs any more. */
  readonly panic: string | null;
  /** Number of the TPM that is bound to its driver (tpmN), null when none is; and the next number. */
  readonly tpmNumber: number | null;
  readonly tpmNext: number;
  /** Memory of the machine, and the pages of it that this kernel can use (mem= lowers them). */
  readonly memoryKb: number;
  readonly ramPages: number;
  /** Names of the active security modules, as securityfs lists them. */
  readonly lsms: readonly string[];
  /** What the next kernel of a kexec boots with, as this one did. */
  readonly image: KernelImage;
  /** What firmware and boot loader start at the next power-on. */
  readonly setup: BootSetup;
  /** How many kernels ran on this machine (kexec counts). */
  readonly boots: number;
  readonly power: PowerState;
}

/** Credentials of the first task: everything. */
export const INIT_CRED: Cred = {
  uid: 0,
  euid: 0,
  suid: 0,
  fsuid: 0,
  gid: 0,
  egid: 0,
  sgid: 0,
  fsgid: 0,
  groups: [],
  caps: CAP_FULL_SET,
  userNs: 0,
};

/** First process id after the kernel's own threads of a small machine. */
const FIRST_USER_PID = 64;

const PAGE_KB = 4;
/** What the kernel image, its tables and reserved regions take of a small machine. */
const KERNEL_KB = 17000;

/**
 * Pages that are left for use: page descriptors take one part in 64.
 * @kernel mm/mm_init.c mem_init_print_info()
 */
export function ramPagesOf(memoryKb: number): number {
  return Math.max(1, Math.floor((memoryKb - memoryKb / 64 - KERNEL_KB) / PAGE_KB));
}

/** 512 MiB. */
const DEFAULT_MEMORY_KB = 524288;

export function newKernel(
  cmdline: string,
  image: KernelImage = {},
  memoryKb: number = DEFAULT_MEMORY_KB,
): KernelState {
  return {
    cmdline,
    root: null,
    initArgs: [],
    initEnv: [],
    tasks: ImmutableMap(),
    nextPid: FIRST_USER_PID,
    nextUserNs: 1,
    userNamespaces: ImmutableMap(),
    modules: [],
    kexec: null,
    crashKernel: null,
    dm: [],
    hashTrees: [],
    tpmDriver: null,
    sysctl: ImmutableMap(),
    eventLog: EMPTY,
    log: emptyList(),
    panic: null,
    tpmNumber: 0,
    tpmNext: 1,
    memoryKb,
    ramPages: ramPagesOf(memoryKb),
    lsms: [],
    image,
    setup: {},
    boots: 0,
    power: powerTable.initial,
  };
}

/**
 * The kernel acting for itself during boot: swapper with all credentials.
 * @kernel init/init_task.c init_task
 */
export function kernelTask(root: PathRef, ns: number, comm = 'swapper'): Task {
  return {
    cred: INIT_CRED,
    root,
    cwd: root,
    umask: 0o022,
    ns,
    comm,
    pid: 1,
    ppid: 0,
    exe: '',
    fds: ImmutableMap(),
    mappings: [],
    personality: 0,
    exeFile: null,
    sessionKeyring: 0,
    bprm: null,
  };
}
