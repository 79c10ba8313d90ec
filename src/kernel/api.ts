// What a machine offers to scenarios, conformance runs and tools: boot it, start tasks, make syscalls, fork
// it, read its state. machine.ts implements it; every room's cursor is reachable for those who look inside.

import type { Err, Result } from '../base/errno.ts';
import type { ArmedFault, FaultsState } from '../base/faults.ts';
import type { Json } from '../base/json.ts';
import type { KernelProfile } from '../base/profile.ts';
import type { HashName } from '../crypto/provider.ts';
import type { AuditState } from '../integrity/audit.ts';
import type { Stat } from '../vfs/api.ts';
import type { Content, FsType, Xattr } from '../vfs/types.ts';
import type { BufferKind } from './buffer-calls.ts';
import type { PlainRecord } from './extension.ts';
import type { Fallback } from './firmware-loader.ts';

export type Pid = number;

/** A file that exists before the first step. */
export interface FileSpec {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly content?: Content;
  readonly target?: string;
  readonly xattrs?: readonly Xattr[];
  readonly ino?: number;
  readonly generation?: number;
  /** Blocks of 4096 bytes that it has on its disk, where somebody wants to change them below. */
  readonly blocks?: readonly number[];
}

/** A block device with a file system; it exists before boot and outlives it. */
export interface DiskSpec {
  /** Kernel name: `vdc` is /dev/vdc. */
  readonly name: string;
  readonly type: FsType;
  readonly uuid?: Uint8Array;
  readonly firstIno?: number;
  readonly iVersion?: boolean;
  readonly readonly?: boolean;
  /** ext4: made with the feature `verity`; default true. */
  readonly fsVerity?: boolean;
  /** Bytes of the device. */
  readonly size?: number;
  /** First block that a new file gets. */
  readonly firstBlock?: number;
  readonly files: { readonly [path: string]: FileSpec };
  /** A dm-verity hash tree was made of the image: what it must be opened with. */
  readonly verity?: { readonly rootHash: Uint8Array; readonly salt: Uint8Array };
}

/** A block device without a file system: script disks, dm-verity hash trees. */
export interface RawDiskSpec {
  readonly name: string;
  /** Name of the disk whose dm-verity hash tree it holds. */
  readonly hashTreeOf?: string;
  /** Bytes of the device. */
  readonly size?: number;
  /** The device itself, from an image file; its length is the size. */
  readonly content?: Uint8Array;
}

/** One firmware or boot loader measurement: extended into every bank and kept in the TCG2 event log. */
export interface FirmwareEvent {
  readonly pcr: number;
  /** EV_* name or number. */
  readonly type: string;
  /** What is hashed; event data of the log unless `event` is given. */
  readonly data: Uint8Array;
  readonly event?: Uint8Array;
}

/** An entry of a signature database of UEFI: a certificate (DER), the hash of an image or of a certificate. */
export type SignatureEntry =
  | { readonly cert: Uint8Array }
  | { readonly sha256: Uint8Array }
  | { readonly certSha256: Uint8Array };

/** A UEFI machine by what its owner set up; every member has a default. */
export interface UefiSpec {
  /** Value of the variable SecureBoot; default true. */
  readonly secureBoot?: boolean;
  readonly pk?: readonly SignatureEntry[];
  readonly kek?: readonly SignatureEntry[];
  readonly db?: readonly SignatureEntry[];
  readonly dbx?: readonly SignatureEntry[];
  /** Shim's own databases; without them shim measures none. */
  readonly mok?: readonly SignatureEntry[];
  readonly mokx?: readonly SignatureEntry[];
  /** The machine owner wants MOK certificates trusted by the kernel (MokListTrusted). */
  readonly mokTrusted?: boolean;
  /** Shim's revocation level, such as `sbat,1,2023012900`. */
  readonly sbatLevel?: string;
  /** Boot options before the one that is used, by description; they are measured and left alone. */
  readonly bootOptions?: readonly { readonly description: string; readonly path: string }[];
  /**
   * How the kernel starts: shim and GRUB, which measure it themselves; shim, GRUB and the kernel's EFI stub;
   * the stub alone, straight from the firmware. Default grub.
   */
  readonly loader?: 'grub' | 'grub-stub' | 'stub';
  /** Commands that GRUB runs before it loads the kernel. */
  readonly grubCommands?: readonly string[];
  /** Bytes of the programs; default: names and versions stand for them. */
  readonly images?: { readonly [image in 'shim' | 'grub' | 'kernel' | 'initrd']?: Uint8Array };
  /** Locality of TPM2_Startup; another one than 0 is told in the log. */
  readonly startupLocality?: 0 | 3;
  /** Form of the log; the old one has SHA-1 digests only. Default crypto-agile. */
  readonly log?: 'crypto-agile' | 'sha1';
}

export type FirmwareSpec =
  /** Events to measure. */
  | { readonly events: readonly FirmwareEvent[] }
  /** A UEFI boot; without any firmware part it is one with all defaults. */
  | { readonly uefi: UefiSpec }
  /** The log of a real machine: its digests go into the registers, its bytes to the kernel. */
  | { readonly eventlog: Uint8Array }
  /** Registers as a recorded firmware left them (no log): bank -> PCR number -> hex. */
  | { readonly pcrs: { readonly [bank: string]: { readonly [pcr: string]: string } } };

export interface MachineConfig {
  /** Name of a shipped profile or a profile of one's own; default linux-6.12.107. */
  readonly profile?: string | KernelProfile;
  readonly cmdline?: string;
  readonly seed?: string;
  /** Seconds since the epoch at power-on; default 1767225600 (2026-01-01). */
  readonly bootTime?: number;
  /** null: no TPM. */
  readonly tpm?: { readonly banks?: readonly HashName[] } | null;
  readonly firmware?: FirmwareSpec;
  /** Memory of the machine in MiB, default 512; `mem=` on the command line can only lower it. */
  readonly memoryMb?: number;
  /** Files of the initramfs, path -> file; /init is made when it is missing. */
  readonly initramfs?: { readonly [path: string]: FileSpec };
  /** An archive that is unpacked over it, as the boot loader hands it over; then /init is the archive's. */
  readonly initramfsImage?: Uint8Array;
  readonly disks?: readonly DiskSpec[];
  readonly rawDisks?: readonly RawDiskSpec[];
  /** Keys compiled into the kernel or given by firmware: DER certificates. */
  readonly trustedKeys?: {
    readonly builtin?: readonly Uint8Array[];
    readonly secondary?: readonly Uint8Array[];
    readonly machine?: readonly Uint8Array[];
    readonly platform?: readonly Uint8Array[];
  };
  /** IPE boot policy text (CONFIG_IPE_BOOT_POLICY). */
  readonly ipeBootPolicy?: string;
  /** Calls of the kernel that fail, counted from power-on. */
  readonly faults?: FaultsState;
  /** Designs that were never merged and that this kernel has all the same, by name. */
  readonly proposals?: readonly string[];
}

export interface SpawnOptions {
  readonly uid?: number;
  readonly euid?: number;
  readonly gid?: number;
  readonly comm?: string;
  readonly parent?: Pid;
}

/** Where an execve stands; names of the states of exec.machine.ts. */
export type ExecPhase =
  | 'opened'
  | 'prepared'
  | 'checked'
  | 'mapped'
  | 'locked'
  | 'verified'
  | 'running'
  | 'failed'
  | 'killed';

/** How a program ended; only `exit` or `signal` is there, and `err` is execve's own. */
export interface ExecOutcome {
  readonly exit?: number;
  readonly signal?: number;
}

export interface MmapArgs {
  readonly fd: number | null;
  readonly length: number;
  readonly prot: number;
  readonly shared: boolean;
  readonly offset?: number;
}

/** The system calls of one task; numbers are file descriptors and flags as in the man pages. */
export interface SyscallApi {
  readonly pid: Pid;
  open(path: string, flags: number, mode?: number): Result<number>;
  close(fd: number): Err;
  dup(fd: number): Result<number>;
  read(fd: number, length: number): Result<Uint8Array>;
  pread(fd: number, length: number, offset: number): Result<Uint8Array>;
  write(fd: number, data: Uint8Array): Result<number>;
  pwrite(fd: number, data: Uint8Array, offset: number): Result<number>;
  lseek(fd: number, offset: number, whence: 'set' | 'cur' | 'end'): Result<number>;
  fsync(fd: number): Err;
  truncate(path: string, length: number): Err;
  ftruncate(fd: number, length: number): Err;
  memfdCreate(name: string, flags: number): Result<number>;
  addSeals(fd: number, seals: number): Err;
  stat(path: string): Result<Stat>;
  lstat(path: string): Result<Stat>;
  fstat(fd: number): Result<Stat>;
  readdir(path: string): Result<readonly { readonly name: string; readonly mode: number }[]>;
  chmod(path: string, mode: number): Err;
  fchmod(fd: number, mode: number): Err;
  chown(path: string, uid: number, gid: number): Err;
  fchown(fd: number, uid: number, gid: number): Err;
  utimes(path: string, seconds: number | null): Err;
  setxattr(path: string, name: string, value: Uint8Array, flags?: number): Err;
  fsetxattr(fd: number, name: string, value: Uint8Array, flags?: number): Err;
  getxattr(path: string, name: string): Result<Uint8Array>;
  listxattr(path: string): Result<readonly string[]>;
  removexattr(path: string, name: string): Err;
  mkdir(path: string, mode: number): Err;
  mknod(path: string, mode: number, rdev: number): Err;
  symlink(target: string, path: string): Err;
  link(path: string, to: string): Err;
  unlink(path: string): Err;
  rmdir(path: string): Err;
  rename(path: string, to: string): Err;
  mount(source: string, target: string, type: string, flags: readonly string[], data: string): Err;
  umount(path: string): Err;
  chroot(path: string): Err;
  chdir(path: string): Err;
  umask(mask: number): number;
  /** CLONE_NEWNS, CLONE_NEWUSER bits. */
  unshare(flags: number): Err;
  /** Value = mapping id of this task. */
  mmap(args: MmapArgs): Result<number>;
  mprotect(mapping: number, prot: number): Err;
  munmap(mapping: number): Err;
  poke(mapping: number, offset: number, data: Uint8Array): Err;
  peek(mapping: number, offset: number, length: number): Result<Uint8Array>;
  /** PER_LINUX bits, READ_IMPLIES_EXEC = 0x400000. */
  personality(persona: number): number;
  /** fork + execve + wait, as a shell does; the failure is execve's errno. */
  exec(path: string, argv: readonly string[]): Result<ExecOutcome>;
  /** fork + execveat(fd, "", AT_EMPTY_PATH) + wait. */
  fexec(fd: number, argv: readonly string[]): Result<ExecOutcome>;
  /** execveat(2) with AT_EXECVE_CHECK of a path or a descriptor, as an interpreter asks about a script. */
  execveCheck(program: string | number, argv: readonly string[]): Err;
  /** FS_IOC_GETVERSION / SETVERSION on an open file. */
  getVersion(fd: number): Result<number>;
  setVersion(fd: number, generation: number): Err;
  finitModule(fd: number, params: string, flags: number): Err;
  initModule(image: Uint8Array, params: string): Err;
  deleteModule(name: string): Err;
  addKey(type: string, description: string, payload: Uint8Array, ring: number | string): Result<number>;
  kexecFileLoad(kernelFd: number, initrdFd: number | null, cmdline: string, flags: number): Err;
  /** Without segments the loaded image is removed. */
  kexecLoad(
    flags: number,
    segments?: {
      readonly cmdline: string;
      readonly kernelLength: number;
      readonly initrdLength: number | null;
    } | null,
  ): Err;
  /** A system call that a design of the machine brings; ENOSYS where none has it. */
  call(name: string, args: PlainRecord): Result<PlainRecord>;
}

/** What a dm device is made of: one target over its whole length. */
export interface DmTable {
  readonly name: string;
  readonly target: string;
  readonly sectors: number;
  /** The target's parameters as dmsetup takes them. */
  readonly params: string;
}

/** keyctl(2), fs-verity's and device-mapper's ioctls: calls that only some programs make. */
export interface SpecialSyscallApi {
  /** write(2) of a content that may be known by length and digests only; at the start of an empty file. */
  writeContent(fd: number, content: Content): Result<number>;
  /**
   * KEYCTL_SEARCH; ring is a serial, -3 (session), -4 (user) ... or the name of a keyring as /proc/keys
   * lists it.
   */
  keySearch(ring: number | string, type: string, description: string): Result<number>;
  keyRead(key: number): Result<Uint8Array>;
  keyRevoke(key: number): Err;
  keyInvalidate(key: number): Err;
  keyUnlink(key: number, ring: number | string): Err;
  /** bpf(BPF_PROG_LOAD), seccomp(SECCOMP_SET_MODE_FILTER), setsockopt(IPT_SO_SET_REPLACE), selinuxfs' load. */
  handBuffer(kind: BufferKind, data: Uint8Array): Err;
  /** A driver asks for firmware that no file has, and this task hands it over through sysfs. */
  firmwareFallback(name: string, data: Uint8Array): Result<Fallback>;
  /** fork, then execve up to the open program; value = the child. */
  execBegin(path: string, argv: readonly string[]): Result<Pid>;
  /** The same with an open file (execveat with AT_EMPTY_PATH). */
  fexecBegin(fd: number, argv: readonly string[]): Result<Pid>;
  /** Lets the child do the next phase of its execve; value = the phase reached. */
  execStep(child: Pid): Result<ExecPhase>;
  /** Lets the child finish its execve and end; value = its status. */
  execFinish(child: Pid): Result<ExecOutcome>;
  /** KEYCTL_RESTRICT_KEYRING without type and restriction: no more links. */
  keyRestrict(ring: number | string): Err;
  /** Whether a keyring of that name is there (a look into /proc/keys). */
  keyringExists(name: string): boolean;
  /** FS_IOC_ENABLE_VERITY; algorithm 1 = sha256, 2 = sha512. */
  verityEnable(
    fd: number,
    options: {
      readonly algorithm: number;
      readonly blockSize: number;
      readonly salt: Uint8Array;
      readonly signature: Uint8Array;
    },
  ): Err;
  /** FS_IOC_MEASURE_VERITY. */
  verityMeasure(fd: number): Result<{ readonly algorithm: number; readonly digest: Uint8Array }>;
  /** DM_DEV_CREATE (value = the device's number), DM_TABLE_LOAD, DM_DEV_SUSPEND (resume), DM_DEV_REMOVE. */
  dmCreate(name: string): Result<number>;
  dmTableLoad(table: DmTable): Err;
  dmResume(name: string): Err;
  dmRemove(name: string): Err;
}

/** What is other at the next boot, and stays so: whoever can do that has the machine or its disk in hand. */
export interface BootChange
  extends Pick<
    MachineConfig,
    'cmdline' | 'firmware' | 'initramfs' | 'initramfsImage' | 'trustedKeys' | 'ipeBootPolicy' | 'proposals'
  > {
  /** Another kernel. */
  readonly profile?: KernelProfile;
}

/** One file of a disk, changed on another computer; members that are not there stay as they are. */
export interface DiskEdit {
  readonly path: string;
  readonly remove?: boolean;
  readonly directory?: boolean;
  readonly symlink?: string;
  /** Takes content, attributes, owner and mode of this file first. */
  readonly from?: string;
  /** New content; the file is made when it is not there. */
  readonly content?: Content;
  readonly mode?: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** A null value takes the attribute away, a path copies that of another file. */
  readonly xattr?: { readonly name: string; readonly value: Uint8Array | string | null };
  readonly rename?: string;
}

/** Whether the kernel was asked to go down, or just ended. */
export type PowerEnd = 'orderly' | 'abrupt';
/** As /sys/power/state names them. */
export type SleepState = 'mem' | 'freeze';
/**
 * What firmware does at wake-up with a TPM that has no saved state: starts it and spoils its registers,
 * only starts it, or nothing at all.
 */
export type ResumeFirmware = 'careful' | 'careless' | 'silent';

/** Power button, plug, lid, and the TPM's reset line. EINVAL for what cannot happen now. */
export interface PowerApi {
  off(end: PowerEnd): Err;
  on(change?: BootChange): Err;
  /** Reboot without a loss of power; the TPM is reset with the platform. */
  reset(end: PowerEnd, change?: BootChange): Err;
  suspend(state: SleepState): Err;
  resume(firmware: ResumeFirmware): Err;
  /** A reset of the TPM alone, and the TPM2_Startup that follows, if any. */
  resetTpm(startup: 'clear' | 'state' | null): Err;
}

export interface MachineApi {
  readonly profile: KernelProfile;
  /** Everything the audit subsystem wrote so far, oldest first. */
  readonly audit: { readonly state: AuditState };
  /** Calls of the kernel that are to fail. */
  readonly faults?: { arm(fault: ArmedFault): void };
  /** Starts a task (a child of init unless `parent` is given). */
  spawn(options: SpawnOptions): Pid;
  /** Ends a task: descriptors and mappings are released. */
  exit(pid: Pid): void;
  sys(pid: Pid): SyscallApi;
  /**
   * kexec -e: all tasks end and the loaded kernel boots on the same disks and the same, not restarted, TPM;
   * this machine is the second kernel from then on. EINVAL when nothing is loaded. `tamper` is whoever
   * changes the carried list in memory.
   */
  kexecReboot?(tamper?: (segment: Uint8Array) => Uint8Array): Err;
  /** kexec -e as far as the reboot notifiers; processes still run. */
  kexecPrepare?(): Err;
  /** The kernel panics; a kernel that was loaded for this takes over. */
  crash?(): Err;
  readonly power?: PowerApi;
  /** Changes a file of a disk that is not mounted, as another computer does. */
  editDisk?(disk: string, edit: DiskEdit): Err;
  /** Lets virtual time pass. */
  advance(us: number): void;
  /** O(1): a second machine that shares all state and goes its own way. */
  fork(): MachineApi;
  toJSON(): Json;
  /** sha256 over the canonical JSON lines of the trace, hex. */
  traceDigest(): string;
}
