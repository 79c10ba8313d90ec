// What the VFS offers to the kernel (syscalls) and to the integrity rooms. One class implements it (vfs.ts);
// it is a cursor over VfsState. Methods that a syscall maps to take the acting task, check permissions, call
// the hooks and answer with errnos as Linux does; the ones under "for hooks" bypass permission checks and
// hooks.

import type { Clock, Timespec } from '../base/clock.ts';
import type { Err, Result } from '../base/errno.ts';
import type { Random } from '../base/random.ts';
import type { Trace } from '../base/trace.ts';
import type { SecurityHooks } from './hooks.ts';
import type {
  BlockDevice,
  Content,
  Dentry,
  DentryId,
  DiskLayout,
  FileId,
  FsType,
  Inode,
  InodeKey,
  Mapping,
  MappingId,
  Mount,
  NsId,
  OpenFile,
  PathRef,
  SbId,
  Superblock,
  VfsState,
  VfsTask,
} from './types.ts';

/** Behaviour of a pseudo file (proc, sysfs, securityfs), looked up by Inode.pseudo. */
export interface PseudoNode {
  /** Called at open after the mode check; can refuse. */
  open?(task: VfsTask, file: FileId, flags: number): Err;
  /** Whole text at the time of the first read of an open instance. */
  read?(task: VfsTask, file: FileId): Result<Uint8Array>;
  /** One write(2); value = bytes that write(2) returns. */
  write?(task: VfsTask, file: FileId, data: Uint8Array, offset: number): Result<number>;
  /**
   * The handler never moves the offset: each write(2) of an open instance arrives where the one before did.
   */
  readonly keepsOffset?: boolean;
  /** The text is made anew for each read(2), as simple_read_from_buffer() over the state of that moment. */
  readonly live?: boolean;
  release?(task: VfsTask, file: FileId): void;
  /**
   * Where a symbolic link points, decided at each walk: a text, or a place (a magic link such as
   * /proc/self/fd/3).
   */
  link?(task: VfsTask): Result<string | PathRef>;
}

/** Finds the behaviour for a pseudo key such as `ima/policy`. Not part of the state. */
export interface PseudoRegistry {
  find(key: string): PseudoNode | undefined;
}

export interface VfsEnv {
  readonly trace: Trace;
  readonly clock: Clock;
  readonly random: Random;
  readonly hooks: SecurityHooks;
  readonly pseudo: PseudoRegistry;
  /**
   * Whether a user namespace other than the initial one has a name for an id; without it, only the task's own
   * ids.
   */
  readonly idMapped?: (userNs: number, kind: 'uid' | 'gid', id: number) => boolean;
  /**
   * The kernel's id behind a namespace's name for it, and the name for a kernel's id; null when there
   * is none.
   */
  readonly makeId?: (userNs: number, kind: 'uid' | 'gid', id: number) => number | null;
  readonly fromId?: (userNs: number, kind: 'uid' | 'gid', id: number) => number | null;
  /** Whether a task stands in a mount (cwd, root); the caller's own task is looked at in any case. */
  readonly mountInUse?: (mount: number) => boolean;
  /** Checks a built-in fs-verity signature over the formatted digest (struct fsverity_formatted_digest). */
  readonly veritySignature?: (formatted: Uint8Array, signature: Uint8Array) => Err;
  /** /proc/sys/fs/verity/require_signatures. */
  readonly verityRequireSignatures?: () => boolean;
  /** A block of a dm-verity device does not fit its tree: the log, or the end of the machine. */
  readonly verityCorrupted?: (device: string, block: number, mode: string | null) => void;
  /** Bytes that a block device without a file system of the simulation gives when it is read. */
  readonly deviceContent?: (device: string) => Uint8Array | undefined;
}

export interface Stat {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
}

export interface SuperblockOptions {
  readonly type: FsType;
  readonly sid?: string;
  readonly uuid?: Uint8Array;
  readonly device?: string;
  readonly firstIno?: number;
  readonly rootMode?: number;
  readonly iVersion?: boolean;
  readonly userNs?: number;
  readonly unverifiable?: boolean;
  readonly untrustedMounter?: boolean;
  /** Made with the verity feature; default: what the type has. */
  readonly fsVerity?: boolean;
}

export interface MountRequest {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  /** Words of mount(8): ro, remount, bind, noexec, nosuid, nodev. */
  readonly flags: readonly string[];
  readonly data: string;
}

export interface MmapRequest {
  /** null maps anonymous memory. */
  readonly file: FileId | null;
  readonly length: number;
  readonly prot: number;
  readonly shared: boolean;
  readonly offset: number;
  /** Personality READ_IMPLIES_EXEC of the task. */
  readonly readImpliesExec?: boolean;
}

/** A file opened for the kernel itself or for execve. */
export type OpenIntent = 'user' | 'exec' | 'kernel';

export interface VfsApi {
  state: VfsState;

  // -- set-up, devices, mounts
  createSuperblock(options: SuperblockOptions): SbId;
  /** Attaches a block device; `sb` is the file system on it. */
  addDevice(name: string, rdev: number, sb: SbId | null): void;
  /** Mounts a superblock without checks (boot); parent null makes it the root of a new namespace. */
  attach(sb: SbId, ns: NsId, on: PathRef | null): PathRef;
  mount(task: VfsTask, request: MountRequest): Err;
  /** `detach` is MNT_DETACH. */
  umount(task: VfsTask, path: string, detach?: boolean): Err;
  /** CLONE_NEWNS: copies the mount tree; returns the new namespace and the moved root and cwd. */
  cloneNs(task: VfsTask): { readonly ns: NsId; readonly root: PathRef; readonly cwd: PathRef };

  // -- names
  lookup(
    task: VfsTask,
    path: string,
    options?: { readonly follow?: boolean; readonly directory?: boolean },
  ): Result<PathRef>;
  /**
   * d_absolute_path(): from the root of the mount namespace; " (deleted)" only when asked for and unhashed.
   */
  dPath(path: PathRef, options?: { readonly deleted?: boolean; readonly root?: PathRef }): string;

  // -- files
  open(task: VfsTask, path: string, flags: number, mode: number, intent?: OpenIntent): Result<FileId>;
  /** Opens what a descriptor or O_PATH reference names (execveat, /proc/self/fd). */
  openPath(task: VfsTask, path: PathRef, flags: number, intent?: OpenIntent): Result<FileId>;
  /** get_file() / fput(); the last put releases. */
  get(file: FileId): void;
  put(task: VfsTask, file: FileId): void;
  read(task: VfsTask, file: FileId, length: number): Result<Uint8Array>;
  pread(task: VfsTask, file: FileId, length: number, offset: number): Result<Uint8Array>;
  write(task: VfsTask, file: FileId, data: Uint8Array): Result<number>;
  pwrite(task: VfsTask, file: FileId, data: Uint8Array, offset: number): Result<number>;
  lseek(file: FileId, offset: number, whence: 'set' | 'cur' | 'end'): Result<number>;
  fsync(file: FileId): Err;
  truncate(task: VfsTask, path: string, length: number): Err;
  ftruncate(task: VfsTask, file: FileId, length: number): Err;
  /** write(2) of a content that may be known by its digests only, at position 0 of an empty file. */
  writeContent(task: VfsTask, file: FileId, content: Content): Result<number>;
  /** FS_IOC_ENABLE_VERITY and FS_IOC_MEASURE_VERITY; algorithm 1 = sha256, 2 = sha512. */
  verityEnable(
    task: VfsTask,
    file: FileId,
    options: {
      readonly algorithm: number;
      readonly blockSize: number;
      readonly salt: Uint8Array;
      readonly signature: Uint8Array;
    },
  ): Err;
  verityMeasure(file: FileId): Result<{ readonly algorithm: number; readonly digest: Uint8Array }>;
  /** drop_caches: clean unused inodes of file systems on disks leave the cache. */
  dropCaches(): void;
  memfdCreate(task: VfsTask, name: string, flags: number): Result<FileId>;
  addSeals(file: FileId, seals: number): Err;

  // -- metadata (path or open file)
  stat(task: VfsTask, path: string, follow?: boolean): Result<Stat>;
  fstat(file: FileId): Stat;
  chmod(task: VfsTask, target: string | FileId, mode: number): Err;
  chown(task: VfsTask, target: string | FileId, uid: number, gid: number): Err;
  utimes(task: VfsTask, path: string, time: Timespec | null): Err;
  setxattr(task: VfsTask, target: string | FileId, name: string, value: Uint8Array, flags: number): Err;
  getxattr(task: VfsTask, target: string | FileId, name: string): Result<Uint8Array>;
  listxattr(task: VfsTask, target: string | FileId): Result<readonly string[]>;
  removexattr(task: VfsTask, target: string | FileId, name: string): Err;
  /** FS_IOC_SETVERSION / FS_IOC_SETFLAGS (immutable). */
  setGeneration(task: VfsTask, file: FileId, generation: number): Err;
  setImmutable(task: VfsTask, file: FileId, immutable: boolean): Err;
  setAppendOnly(task: VfsTask, file: FileId, appendOnly: boolean): Err;

  // -- directory tree
  mkdir(task: VfsTask, path: string, mode: number): Err;
  mknod(task: VfsTask, path: string, mode: number, rdev: number): Err;
  symlink(task: VfsTask, target: string, path: string): Err;
  link(task: VfsTask, path: string, to: string): Err;
  unlink(task: VfsTask, path: string): Err;
  rmdir(task: VfsTask, path: string): Err;
  /** `flags` are RENAME_* of renameat2. */
  rename(task: VfsTask, path: string, to: string, flags?: number): Err;
  readdir(task: VfsTask, path: string): Result<readonly { readonly name: string; readonly mode: number }[]>;

  // -- memory
  mmap(task: VfsTask, request: MmapRequest): Result<MappingId>;
  /**
   * `readImpliesExec`: personality READ_IMPLIES_EXEC of the task; then PROT_READ asks for PROT_EXEC as well.
   */
  mprotect(task: VfsTask, mapping: MappingId, prot: number, readImpliesExec?: boolean): Err;
  /** mlock(2) of a whole mapping: its pages are read, and stay in memory. */
  mlock(mapping: MappingId): Err;
  munmap(task: VfsTask, mapping: MappingId): Err;
  /** A store or a load through the mapping; EFAULT (SIGSEGV) where prot forbids it. */
  poke(mapping: MappingId, offset: number, data: Uint8Array): Err;
  peek(mapping: MappingId, offset: number, length: number): Result<Uint8Array>;

  // -- for hooks and the kernel: no permission check, no hook
  inode(key: InodeKey): Inode;
  inodeOf(path: PathRef): Inode;
  file(id: FileId): OpenFile;
  mapping(id: MappingId): Mapping;
  superblock(id: SbId): Superblock;
  mountOf(id: number): Mount;
  dentry(id: DentryId): Dentry;
  /** Whole content; EIO for opaque content (hash it by its digests). */
  contentOf(key: InodeKey): Content;
  rawGetxattr(key: InodeKey, name: string): Uint8Array | undefined;
  rawSetxattr(key: InodeKey, name: string, value: Uint8Array): Err;
  rawRemovexattr(key: InodeKey, name: string): Err;
  /** deny_write_access() (ETXTBSY when open for write) and its undo. */
  denyWrite(key: InodeKey): Err;
  allowWrite(key: InodeKey): void;
  /** Any mapping that is shared and writable (mapping_writably_mapped). */
  mappedWritable(key: InodeKey): boolean;
  /** Creates a file or directory without hooks: initramfs and pseudo trees. */
  populate(root: PathRef, path: string, node: PopulateNode): PathRef;
  /** Takes a name that populate made out of the tree again, with everything below it. */
  depopulate(path: PathRef): void;
  /** Permission of a task on a place, for access(2), chdir(2) and chroot(2): MAY_* bits. */
  permission(task: VfsTask, path: PathRef, mask: number): Err;
  /** Second mapping of the same memory, as fork() gives it to the child. */
  dupMapping(mapping: MappingId): MappingId;
  /** link(2) with an open file as the source: linkat(AT_EMPTY_PATH). */
  linkFile(task: VfsTask, file: FileId, to: string): Err;
  readlink(task: VfsTask, path: string): Result<string>;
  /**
   * A record of an inode, device or superblock changed by a room that owns a part of it (fs-verity,
   * dm-verity, IPE).
   */
  updateInode(key: InodeKey, patch: Partial<Inode>): void;
  updateSuperblock(id: SbId, patch: Partial<Superblock>): void;
  updateDevice(name: string, patch: Partial<BlockDevice>): void;
  removeDevice(name: string): void;
  /** What is known of an image's blocks: its length, where new files go, where its own files lie. */
  setDiskLayout(device: string, sb: SbId, layout: DiskLayout): void;
  /** A file seen through a verified device: it fails to read once the disk below differs. */
  mirrorBlocks(from: InodeKey, to: InodeKey, sb: SbId): void;
  /** Bytes of a file change on its device, below the file system and whoever has it in the cache. */
  changeBelow(inode: InodeKey, offset: number, data: Uint8Array): Err;
  /** Everything is written back and nothing is cached: what a kernel leaves when it ends. */
  settleDisks(): void;
  /** Clean pages leave the cache (drop_caches bit 1). */
  dropPages(): void;
  updateFile(id: FileId, patch: Partial<OpenFile>): void;
}

export interface PopulateNode {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly content?: Content;
  readonly target?: string;
  readonly pseudo?: string;
  /** Size that a pseudo file shows, where it is not that of its file system. */
  readonly size?: number;
  readonly rdev?: number;
  readonly ino?: number;
  readonly generation?: number;
  readonly xattrs?: readonly { readonly name: string; readonly value: Uint8Array }[];
}
