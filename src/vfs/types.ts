// The VFS's records: superblocks, mounts, dentries, inodes, open files, mappings. All are plain immutable
// values in VfsState; operations replace records by spread. Names follow struct super_block, struct inode,
// struct file.

import type { Map as ImmutableMap, Set as ImmutableSet } from 'immutable';
import type { Timespec } from '../base/clock.ts';
import type { DmVerityParams } from './dmverity.ts';

export type InodeKey = number;
export type DentryId = number;
export type MountId = number;
export type SbId = number;
export type FileId = number;
export type MappingId = number;
export type NsId = number;

export type FsType =
  | 'ext4'
  | 'vfat'
  | 'tmpfs'
  | 'ramfs'
  | 'rootfs'
  | 'proc'
  | 'sysfs'
  | 'securityfs'
  | 'devtmpfs'
  | 'smackfs'
  | 'overlay'
  | 'fuse';

/** Magic numbers of include/uapi/linux/magic.h. */
export const FS_MAGIC: Readonly<Record<FsType, number>> = {
  ext4: 0xef53,
  vfat: 0x4d44,
  tmpfs: 0x01021994,
  ramfs: 0x858458f6,
  rootfs: 0x01021994,
  proc: 0x9fa0,
  sysfs: 0x62656572,
  securityfs: 0x73636673,
  devtmpfs: 0x01021994,
  smackfs: 0x43415d53,
  overlay: 0x794c7630,
  fuse: 0x65735546,
};

export interface Superblock {
  readonly id: SbId;
  readonly type: FsType;
  readonly magic: number;
  /** s_id: the block device's name (`vdc`, `dm-0`) or the type's name; printed as dev= in audit records. */
  readonly sid: string;
  /** 16 bytes; all zeros where the file system has none. */
  readonly uuid: Uint8Array;
  readonly dev: number;
  readonly root: DentryId;
  readonly readonly: boolean;
  /**
   * SB_I_VERSION: the change cookie (i_version) counts; without it IMA re-evaluates at each last-writer
   * close.
   */
  readonly iVersion: boolean;
  /** Whether security.*, trusted.* and user.* xattrs can be stored. */
  readonly xattrs: boolean;
  /** SB_I_IMA_UNVERIFIABLE_SIGNATURE (FUSE). */
  readonly unverifiable: boolean;
  /** SB_I_UNTRUSTED_MOUNTER. */
  readonly untrustedMounter: boolean;
  /** SB_I_EVM_HMAC_UNSUPPORTED (overlay). */
  readonly evmUnsupported: boolean;
  /** User namespace that owns it; 0 is the initial one. */
  readonly userNs: number;
  /** Block device it lies on, key of VfsState.devices; null for memory and pseudo file systems. */
  readonly device: string | null;
  readonly nextIno: number;
  /**
   * Inode numbers that became free again, ascending, with the second they did (ext4 avoids them for a while).
   */
  readonly freeInos: readonly FreeIno[];
  /** How often it is mounted, in all namespaces. */
  readonly mounted: number;
  /** Mount options the file system keeps (vfat: uid, gid, masks). */
  readonly options: FsOptions | null;
  /** fs-verity can be enabled on its files (ext4's `verity` feature). */
  readonly fsVerity: boolean;
  /** Set by hooks (IPE's boot_verified). */
  readonly initramfs: boolean;
  /** overlay only: the layers' roots. */
  readonly overlay: OverlayLayers | null;
}

export interface FreeIno {
  readonly ino: number;
  readonly sec: number;
}

/** vfat's mount options: every file shows them, the disk holds no owner and only one write bit. */
export interface FsOptions {
  readonly uid: number;
  readonly gid: number;
  readonly fmask: number;
  readonly dmask: number;
  readonly quiet: boolean;
}

export interface PathRef {
  readonly mount: MountId;
  readonly dentry: DentryId;
}

export interface OverlayLayers {
  readonly upper: PathRef | null;
  readonly lowers: readonly PathRef[];
  readonly work: PathRef | null;
  readonly metacopy: boolean;
  /** Directories with a lower part can be moved: where they came from is written down. */
  readonly redirect: boolean;
  /** The mounter's credentials: what happens in the layers is done with them. */
  readonly cred: Cred;
  /** The whiteout in the work directory that others are linked to. */
  readonly whiteout: DentryId | null;
  /** Counter behind the names of temporary entries (`#1`, `#2` ...). */
  readonly tempId: number;
}

/** Where the inode of an overlay lies in its layers. */
export interface LayerStack {
  readonly upper: DentryId | null;
  /**
   * Lower directories that are merged, or the one lower file; `layer` is an index of OverlayLayers.lowers.
   */
  readonly lowers: readonly { readonly layer: number; readonly dentry: DentryId }[];
}

export interface Mount {
  readonly id: MountId;
  readonly sb: SbId;
  /** Dentry that this mount shows at its mount point (not the sb's root for bind mounts of a sub-tree). */
  readonly root: DentryId;
  readonly parent: MountId | null;
  readonly mountpoint: DentryId | null;
  readonly ns: NsId;
  readonly readonly: boolean;
  readonly noexec: boolean;
  readonly nosuid: boolean;
  readonly nodev: boolean;
  /** MNT_LOCKED: came with a less privileged namespace, which may not take it away. */
  readonly locked: boolean;
}

export interface Dentry {
  readonly id: DentryId;
  readonly sb: SbId;
  readonly parent: DentryId;
  readonly name: string;
  readonly inode: InodeKey;
  /**
   * False once unlinked or renamed over: d_path shows the old name with " (deleted)" where the kernel does.
   */
  readonly hashed: boolean;
  /** How many mounts, in all namespaces, cover it (DCACHE_MOUNTED). */
  readonly mounted: number;
}

/** What a regular file holds. Pages of a hole read as zeros. */
export type Content =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** Known only by its length and digests: hashing works, reading bytes gives EIO. */
  | {
      readonly kind: 'opaque';
      readonly label: string;
      readonly length: number;
      readonly digests: { readonly [alg: string]: string };
    };

export interface Xattr {
  readonly name: string;
  readonly value: Uint8Array;
}

export interface VerityInfo {
  readonly alg: 'sha256' | 'sha512';
  readonly blockSize: number;
  /** fs-verity file digest: hash of the descriptor. */
  readonly digest: Uint8Array;
  readonly signature: Uint8Array | null;
}

export interface Inode {
  readonly key: InodeKey;
  readonly sb: SbId;
  readonly ino: number;
  readonly generation: number;
  /** Type and permission bits (S_IFMT | 07777). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly rdev: number;
  readonly size: number;
  readonly iVersion: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  /** FS_IMMUTABLE_FL. */
  readonly immutable: boolean;
  readonly appendOnly: boolean;
  readonly content: Content | null;
  /** Symlink target. */
  readonly target: string | null;
  /** Directory entries: name -> dentry. */
  readonly children: ImmutableMap<string, DentryId> | null;
  /** Order as the file system lists them (inode body, then block on ext4; descending by name on tmpfs). */
  readonly xattrs: readonly Xattr[];
  /** ext4: how many of `xattrs` lie in the inode body; the others are in the attribute block. */
  readonly ibodyXattrs: number;
  /** Key into the pseudo-file registry (proc, sysfs, securityfs). */
  readonly pseudo: string | null;
  readonly verity: VerityInfo | null;
  /** memfd seals (F_SEAL_*). */
  readonly seals: number;
  /** > 0: writers; < 0: denied by that many executions or kernel reads. */
  readonly iWritecount: number;
  /** Files open read-only (i_readcount). */
  readonly iReadcount: number;
  /** Who holds the inode in memory: open files (O_PATH ones included) and inodes of overlays above it. */
  readonly openCount: number;
  /** VM_SHARED mappings that are or may become writable (i_mmap_writable). */
  readonly mmapWritable: number;
  /** I_LINKABLE, S_DEAD and bits of this model: see inode.ts. */
  readonly flags: number;
  /** Uptime in microseconds of the first change that is not written back; -1 when clean. */
  readonly dirtied: number;
  /** overlay: the inode below that holds the data, and the one that holds the metadata. */
  readonly realData: InodeKey | null;
  readonly realMeta: InodeKey | null;
  readonly layers: LayerStack | null;
}

/** fmode bits of struct file that the hooks look at. */
export const FMODE_READ = 1;
export const FMODE_WRITE = 2;
export const FMODE_EXEC = 0x20;
export const FMODE_CREATED = 0x100000;
/** The open counts in i_writecount; files of memfd_create do not. */
export const FMODE_WRITER = 0x10000;
export const FMODE_PATH = 0x4000;

export interface OpenFile {
  readonly id: FileId;
  readonly path: PathRef;
  readonly inode: InodeKey;
  /** O_* flags after open. */
  readonly flags: number;
  readonly fmode: number;
  readonly pos: number;
  readonly refs: number;
  /** Credentials of the opener. */
  readonly cred: Cred;
  /** Private state of a pseudo file's open instance. */
  readonly priv: string | null;
  /** Pseudo file: what this open instance reads, made at its first read. */
  readonly seq: Uint8Array | null;
  /** overlay: the open file of the layer behind this one (backing file). */
  readonly real: FileId | null;
}

export interface Mapping {
  readonly id: MappingId;
  readonly file: FileId | null;
  readonly length: number;
  readonly offset: number;
  /** PROT_* now in force. */
  readonly prot: number;
  readonly shared: boolean;
  /** PROT_* that mprotect may still give (VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC). */
  readonly may: number;
  /**
   * Anonymous memory: all of it; private file mapping: null until the first store, then `pages` of it are
   * private.
   */
  readonly image: Uint8Array | null;
  /**
   * Private mapping: pages that were stored to. Shared mapping: pages whose next store is not noticed,
   * because the file system was told of one (page_mkwrite), or because the page is mapped and it does not
   * ask (tmpfs). Ascending.
   */
  readonly pages: readonly number[];
  /** VM_LOCKED: its pages stay in memory. Absent: they may go. */
  readonly locked?: true;
}

/** Credentials: capabilities as a bit set of CAP_* numbers (two 32-bit words would lose bits: a bigint). */
export interface Cred {
  readonly uid: number;
  readonly euid: number;
  readonly suid: number;
  readonly fsuid: number;
  readonly gid: number;
  readonly egid: number;
  readonly sgid: number;
  readonly fsgid: number;
  readonly groups: readonly number[];
  readonly caps: bigint;
  readonly userNs: number;
  /** Label that a security module gave the task; absent: the module's default. */
  readonly label?: string;
}

/** The part of a task that path walks and checks look at. */
export interface VfsTask {
  readonly cred: Cred;
  readonly root: PathRef;
  readonly cwd: PathRef;
  readonly umask: number;
  readonly ns: NsId;
  readonly comm: string;
  readonly pid: number;
  readonly ppid: number;
  /** Path of the running program, as audit prints exe=. */
  readonly exe: string;
}

/** A dm-verity table over two devices that have real bytes. */
export interface VerityOpened {
  readonly dataDevice: string;
  readonly hashDevice: string;
  readonly params: DmVerityParams;
  readonly dataBlocks: number;
  /** In hash blocks. */
  readonly hashStart: number;
  readonly rootHash: Uint8Array;
  /** ignore_corruption, restart_on_corruption, panic_on_corruption; null = EIO. */
  readonly mode: string | null;
  readonly ignoreZeroes: boolean;
  /** Blocks that were found good, with check_at_most_once; null without it. */
  readonly validated: ImmutableSet<number> | null;
}

export interface BlockDevice {
  readonly name: string;
  readonly rdev: number;
  /** Superblock that lies on it, mounted or not. */
  readonly sb: SbId | null;
  readonly readonly: boolean;
  /** Every read fails: a dm-verity device whose tree does not fit its root hash. */
  readonly unreadable?: boolean;
  /** A device-mapper table stands on it, so that no file system can be mounted from it. */
  readonly claimed?: boolean;
  /** Length in bytes; absent where nobody said. */
  readonly size?: number;
  /** Bytes of an image that was given as it is, without a file system of the simulation. */
  readonly content?: Uint8Array;
  /** Set on a dm-verity device that is read through its tree. */
  readonly opened?: VerityOpened;
  /** Properties a hook attached (dm-verity root hash and its signature state). */
  readonly verity: { readonly alg: string; readonly rootHash: Uint8Array; readonly signed: boolean } | null;
}

export interface FsSysctl {
  readonly protectedSymlinks: number;
  readonly protectedHardlinks: number;
  readonly protectedFifos: number;
  readonly protectedRegular: number;
}

/** Where a file lies on its device, and what the device holds there. */
export interface FileBlocks {
  readonly sb: SbId;
  /** Block numbers of the device, in the order of the file. */
  readonly blocks: readonly number[];
  /** The disk's bytes of the file. */
  readonly bytes: Uint8Array;
  /**
   * What a hash tree was made over (fs-verity, or a verified device); other bytes on the disk cannot be read.
   */
  readonly verified: Uint8Array | null;
  /** Where the fs-verity descriptor begins on the device, and its length. */
  readonly descriptor: { readonly offset: number; readonly length: number; readonly changed: boolean } | null;
  /** Content in memory when both were last the same: another one now means dirty pages. */
  readonly content: Content;
  /** Pages are in the cache: changes of the disk are not seen. */
  readonly cached: boolean;
  /** On a verified device: the file of the disk below. */
  readonly below: InodeKey | null;
}

/** A store to a block device that is not on the disk yet. */
export interface DeviceWrite {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Where the next blocks of a file system come from. */
export interface BlockAllocator {
  /** First block that nothing was set aside of. */
  readonly free: number;
  /** The run that small files share: next block and end. */
  readonly group: number;
  readonly groupEnd: number;
}

export interface BlockLayer {
  readonly files: ImmutableMap<InodeKey, FileBlocks>;
  readonly allocators: ImmutableMap<SbId, BlockAllocator>;
  readonly pending: ImmutableMap<string, readonly DeviceWrite[]>;
  /** Devices that somebody wrote to below their file system. */
  readonly changed: readonly string[];
}

/** What is known of an image besides its files. */
export interface DiskLayout {
  /** Bytes of the device. */
  readonly size?: number;
  /** First block that a new file gets. */
  readonly firstBlock?: number;
  readonly files?: readonly { readonly inode: InodeKey; readonly blocks: readonly number[] }[];
}

export interface VfsState {
  readonly blocks: BlockLayer;
  readonly superblocks: ImmutableMap<SbId, Superblock>;
  readonly mounts: ImmutableMap<MountId, Mount>;
  readonly dentries: ImmutableMap<DentryId, Dentry>;
  readonly inodes: ImmutableMap<InodeKey, Inode>;
  readonly files: ImmutableMap<FileId, OpenFile>;
  readonly mappings: ImmutableMap<MappingId, Mapping>;
  readonly devices: ImmutableMap<string, BlockDevice>;
  /** "mount:dentry" -> mount on top of it. */
  readonly mountedOn: ImmutableMap<string, MountId>;
  readonly nextId: number;
  /** The kernel's own tmpfs mount for memfds (shm_mnt); null until the first one. */
  readonly shmMount: MountId | null;
  /** Counter behind iunique() and get_next_ino(). */
  readonly iunique: number;
  /** Mount namespaces: the user namespace that owns each. */
  readonly namespaces: ImmutableMap<NsId, number>;
  /** fs.protected_symlinks and its relatives, as /proc/sys/fs shows them. */
  readonly sysctl: FsSysctl;
  /** Last minor of an anonymous device number (get_anon_bdev). */
  readonly anonDev: number;
}
