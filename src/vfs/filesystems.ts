// What each file system type can do, one declarative record per type: the places where the VFS asks inode,
// superblock and address-space operations. The VFS code asks these records and never the type's name. Quotas,
// project ids, encryption and case folding of ext4 are left out.

import { PAGE_SIZE } from './constants.ts';
import { FMODE_READ, FMODE_WRITE, FS_MAGIC, type FsType } from './types.ts';

export interface FsBehaviour {
  readonly type: FsType;
  readonly magic: number;
  /** FS_REQUIRES_DEV. */
  readonly needsDevice: boolean;
  /** FS_USERNS_MOUNT. */
  readonly userMount: boolean;
  /** SB_I_VERSION: the change cookie counts. */
  readonly iVersion: boolean;
  /** How xattrs are stored: not at all, as ext4 does, as simple_xattrs, or in the layer below. */
  readonly xattr: 'none' | 'ext4' | 'simple' | 'overlay';
  /** Prefixes that an xattr handler takes. */
  readonly xattrNames: readonly string[];
  /** SB_POSIXACL with get_inode_acl / set_acl. */
  readonly acl: boolean;
  /**
   * Inode numbers: lowest free of a bitmap, a counter of the superblock, or numbers given at load (iunique).
   */
  readonly inodeNumbers: 'bitmap' | 'counter' | 'iunique';
  readonly rootIno: number;
  readonly firstIno: number;
  readonly rootMode: number;
  /** s_max_links, 0 = no limit by the VFS. */
  readonly maxLinks: number;
  /** Directories count their sub-directories in nlink. */
  readonly dirLinks: boolean;
  /** i_op->create, mkdir, unlink, rmdir, rename. */
  readonly writable: boolean;
  readonly symlinks: boolean;
  readonly links: boolean;
  readonly special: boolean;
  readonly tmpfile: boolean;
  /** RENAME_WHITEOUT. */
  readonly whiteout: boolean;
  /** FMODE_CAN_ODIRECT. */
  readonly direct: boolean;
  /**
   * The first store to a clean page of a shared mapping is seen by the file system (page_mkwrite), which
   * stamps the file. Without it only a store that is the first touch of its page is noticed.
   */
  readonly mkwrite: boolean;
  /** Files can have seals (memfd). */
  readonly seals: boolean;
  /** Owner and mode come from mount options, not from the inode. */
  readonly fixedOwner: boolean;
  /** Names are compared without case. */
  readonly foldCase: boolean;
  /** FS_IOC_GETVERSION / SETVERSION. */
  readonly generation: boolean;
  /** fs-verity. */
  readonly verity: boolean;
  /** FS_IOC_SETFLAGS. */
  readonly inodeFlags: boolean;
  /** Inodes leave the cache when unused, and come back from the device. */
  readonly evictable: boolean;
  /** SB_I_NOEXEC, SB_I_NODEV. */
  readonly noexec: boolean;
  readonly nodev: boolean;
  /** i_op->setattr refuses or ignores changes: seen by chmod, chown and truncate of pseudo files. */
  readonly setattr: 'disk' | 'simple' | 'pseudo';
  /** st_size of a pseudo file: sysfs attributes pretend to be a page. */
  readonly pseudoSize: number;
  /** Opening needs a mode bit of some class for what is asked, capabilities or not. */
  readonly kernfs: boolean;
}

const ALL_XATTRS = ['security.', 'trusted.', 'user.'];

const MEMORY: FsBehaviour = {
  type: 'ramfs',
  magic: FS_MAGIC.ramfs,
  needsDevice: false,
  userMount: true,
  iVersion: false,
  xattr: 'none',
  xattrNames: [],
  acl: false,
  inodeNumbers: 'counter',
  rootIno: 1,
  firstIno: 2,
  rootMode: 0o755,
  maxLinks: 0,
  dirLinks: true,
  writable: true,
  symlinks: true,
  links: true,
  special: true,
  tmpfile: true,
  whiteout: false,
  direct: false,
  mkwrite: true,
  seals: false,
  fixedOwner: false,
  foldCase: false,
  generation: false,
  verity: false,
  inodeFlags: false,
  evictable: false,
  noexec: false,
  nodev: false,
  setattr: 'simple',
  pseudoSize: 0,
  kernfs: false,
};

const TMPFS: FsBehaviour = {
  ...MEMORY,
  type: 'tmpfs',
  magic: FS_MAGIC.tmpfs,
  iVersion: true,
  xattr: 'simple',
  xattrNames: ALL_XATTRS,
  acl: true,
  whiteout: true,
  rootMode: 0o1777,
  direct: true,
  mkwrite: false,
  seals: true,
  inodeFlags: true,
};

const PSEUDO: FsBehaviour = {
  ...MEMORY,
  userMount: false,
  symlinks: false,
  links: false,
  special: false,
  tmpfile: false,
  writable: false,
  setattr: 'pseudo',
};

const BEHAVIOURS: Readonly<Record<FsType, FsBehaviour>> = {
  ext4: {
    ...MEMORY,
    type: 'ext4',
    magic: FS_MAGIC.ext4,
    needsDevice: true,
    userMount: false,
    iVersion: true,
    xattr: 'ext4',
    xattrNames: ALL_XATTRS,
    acl: true,
    whiteout: true,
    inodeNumbers: 'bitmap',
    rootIno: 2,
    firstIno: 12,
    maxLinks: 65000,
    direct: true,
    generation: true,
    verity: true,
    inodeFlags: true,
    evictable: true,
    setattr: 'disk',
  },
  vfat: {
    ...MEMORY,
    type: 'vfat',
    magic: FS_MAGIC.vfat,
    needsDevice: true,
    userMount: false,
    inodeNumbers: 'iunique',
    // 1 is the root, 2 the inode of the FSINFO sector.
    firstIno: 3,
    symlinks: false,
    links: false,
    special: false,
    tmpfile: false,
    direct: true,
    fixedOwner: true,
    foldCase: true,
    evictable: true,
    setattr: 'disk',
  },
  tmpfs: TMPFS,
  ramfs: MEMORY,
  rootfs: { ...TMPFS, type: 'rootfs', userMount: false, rootMode: 0o755 },
  proc: {
    ...PSEUDO,
    type: 'proc',
    magic: FS_MAGIC.proc,
    rootMode: 0o555,
    noexec: true,
    nodev: true,
  },
  sysfs: {
    ...PSEUDO,
    type: 'sysfs',
    magic: FS_MAGIC.sysfs,
    pseudoSize: PAGE_SIZE,
    kernfs: true,
    userMount: true,
    rootMode: 0o755,
    xattr: 'simple',
    xattrNames: ['security.', 'trusted.'],
    noexec: true,
    nodev: true,
  },
  securityfs: { ...PSEUDO, type: 'securityfs', magic: FS_MAGIC.securityfs, rootIno: 1 },
  smackfs: { ...PSEUDO, type: 'smackfs', magic: FS_MAGIC.smackfs, rootMode: 0o755 },
  devtmpfs: { ...TMPFS, type: 'devtmpfs', userMount: false, rootMode: 0o755 },
  fuse: {
    ...TMPFS,
    mkwrite: true,
    seals: false,
    type: 'fuse',
    magic: FS_MAGIC.fuse,
    iVersion: false,
    acl: false,
    inodeFlags: false,
    rootMode: 0o755,
  },
  overlay: {
    ...TMPFS,
    seals: false,
    type: 'overlay',
    magic: FS_MAGIC.overlay,
    iVersion: false,
    xattr: 'overlay',
    xattrNames: [''],
    acl: true,
    rootMode: 0o755,
    generation: false,
    evictable: false,
  },
};

/**
 * The record of a type.
 *
 * @kernel fs/filesystems.c get_fs_type()
 */
export function behaviourOf(type: FsType): FsBehaviour {
  return BEHAVIOURS[type];
}

/** The type of that name, as mount(2) finds it. */
export function typeNamed(name: string): FsType | undefined {
  return Object.hasOwn(BEHAVIOURS, name) ? (name as FsType) : undefined;
}

/**
 * Whether kernfs refuses to open a file with these mode bits: what is asked needs a bit of some class,
 * whatever the opener's capabilities are.
 * @kernel fs/kernfs/file.c kernfs_fop_open()
 */
export function kernfsRefuses(type: FsType, mode: number, fmode: number): boolean {
  if (!behaviourOf(type).kernfs) return false;
  return (
    ((fmode & FMODE_READ) !== 0 && (mode & 0o444) === 0) ||
    ((fmode & FMODE_WRITE) !== 0 && (mode & 0o222) === 0)
  );
}
