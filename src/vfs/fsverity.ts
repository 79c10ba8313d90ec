// fs-verity: the file digest (hash of the descriptor over a Merkle tree), enabling it on a file and reading
// it back. A file with fs-verity never changes again through its file system; what a change of the device
// below does to it is in blocks.ts, and the tree is built again from the content when it is needed.

import { EMPTY } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { crypto, digestSize } from '../crypto/provider.ts';
import { descriptorChanged, sealBlocks } from './blocks.ts';
import { MAY_WRITE } from './constants.ts';
import type { Core } from './core.ts';
import { I_VERITY_INFO } from './inode.ts';
import { buildMerkleTree, hashesPerBlock, type MerkleShape, paddedSalt } from './merkle.ts';
import { inodePermission, isDir, isReg, mntWantWrite } from './perm.ts';
import {
  type FileId,
  FMODE_PATH,
  FMODE_READ,
  type Inode,
  type InodeKey,
  type VerityInfo,
  type VfsTask,
} from './types.ts';

export type FsVerityAlg = 'sha256' | 'sha512';

export const FS_VERITY_HASH_ALG_SHA256 = 1;
export const FS_VERITY_HASH_ALG_SHA512 = 2;
const MAX_SALT = 32;
const MAX_SIGNATURE = 16128;
const DESCRIPTOR_SIZE = 256;

const ALGS: Readonly<Record<number, FsVerityAlg>> = {
  [FS_VERITY_HASH_ALG_SHA256]: 'sha256',
  [FS_VERITY_HASH_ALG_SHA512]: 'sha512',
};

/** Number of an algorithm in descriptors and ioctls. */
export function fsVerityAlgNumber(alg: FsVerityAlg): number {
  return alg === 'sha256' ? FS_VERITY_HASH_ALG_SHA256 : FS_VERITY_HASH_ALG_SHA512;
}

export interface FsVerityParams {
  readonly alg: FsVerityAlg;
  readonly blockSize: number;
  readonly salt: Uint8Array;
}

export const FS_VERITY_DEFAULT: FsVerityParams = { alg: 'sha256', blockSize: 4096, salt: EMPTY };

/**
 * Root hash of the tree over a file; zeros for an empty one.
 * @kernel fs/verity/enable.c build_merkle_tree()
 */
export function fsVerityRoot(data: Uint8Array, params: FsVerityParams): Uint8Array {
  const { alg, blockSize } = params;
  if (data.length === 0) return new Uint8Array(digestSize(alg));
  const shape: MerkleShape = {
    alg,
    dataBlockSize: blockSize,
    hashBlockSize: blockSize,
    before: paddedSalt(alg, params.salt),
    after: EMPTY,
    slot: digestSize(alg),
    slotsPerBlock: hashesPerBlock(alg, blockSize),
  };
  return buildMerkleTree(shape, data).root;
}

/** Bytes of the tree that a file system keeps. @kernel fs/verity/open.c fsverity_init_merkle_tree_params() */
export function fsVerityTreeSize(size: number, params: FsVerityParams): number {
  let total = 0;
  let blocks = Math.ceil(size / params.blockSize);
  while (blocks > 1) {
    blocks = Math.ceil(blocks / hashesPerBlock(params.alg, params.blockSize));
    total += blocks;
  }
  return total * params.blockSize;
}

/**
 * struct fsverity_descriptor without its signature, as the file digest covers it.
 * @kernel include/uapi/linux/fsverity.h struct fsverity_descriptor
 */
export function fsVerityDescriptor(size: number, root: Uint8Array, params: FsVerityParams): Uint8Array {
  const w = new Writer('le').u8(1).u8(fsVerityAlgNumber(params.alg)).u8(Math.log2(params.blockSize));
  w.u8(params.salt.length).u32(0).u64(BigInt(size));
  w.bytes(root).bytes(new Uint8Array(64 - root.length));
  w.bytes(params.salt).bytes(new Uint8Array(MAX_SALT - params.salt.length));
  return w.bytes(new Uint8Array(DESCRIPTOR_SIZE - w.length)).finish();
}

const digests = new WeakMap<Uint8Array, Map<string, Uint8Array>>();

/**
 * The file digest: what `fsverity digest` prints and FS_IOC_MEASURE_VERITY returns.
 * @kernel fs/verity/open.c compute_file_digest()
 */
export function fsVerityDigest(data: Uint8Array, params: FsVerityParams = FS_VERITY_DEFAULT): Uint8Array {
  const known = digests.get(data) ?? new Map<string, Uint8Array>();
  digests.set(data, known);
  const key = `${params.alg}:${params.blockSize}:${params.salt.join()}`;
  let digest = known.get(key);
  if (digest === undefined) {
    const root = fsVerityRoot(data, params);
    digest = crypto().hash(params.alg, fsVerityDescriptor(data.length, root, params));
    known.set(key, digest);
  }
  return digest;
}

/**
 * What a built-in signature covers.
 * @kernel include/uapi/linux/fsverity.h struct fsverity_formatted_digest
 */
export function fsVerityFormattedDigest(alg: FsVerityAlg, digest: Uint8Array): Uint8Array {
  const w = new Writer('le').bytes(Uint8Array.from('FSVerity', (c) => c.charCodeAt(0)));
  return w.u16(fsVerityAlgNumber(alg)).u16(digest.length).bytes(digest).finish();
}

export interface FsVerityEnable {
  /** FS_VERITY_HASH_ALG_*. */
  readonly algorithm: number;
  readonly blockSize: number;
  readonly salt: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Checks a built-in signature against the .fs-verity keyring; a good one is told to the LSMs. Unsigned
 * files pass unless the sysctl asks for signatures.
 *
 * @kernel fs/verity/signature.c fsverity_verify_signature()
 */
function verifySignature(core: Core, key: InodeKey, info: VerityInfo): Err {
  const { signature, alg, digest } = info;
  if (signature === null)
    return core.env.verityRequireSignatures?.() ? core.refuse('EPERM', 'vfs.verity_unsigned') : 0;
  const err = core.env.veritySignature?.(fsVerityFormattedDigest(alg, digest), signature) ?? 'ENOKEY';
  if (err !== 0) return core.refuse(err, 'vfs.verity_signature');
  core.env.hooks.inodeSetIntegrity(key, true);
  return 0;
}

/**
 * The first open since the inode was loaded reads the descriptor, and checks its signature anew.
 *
 * @kernel fs/verity/open.c fsverity_file_open()
 */
export function verityFileOpen(core: Core, key: InodeKey, writes: boolean): Err {
  // An overlay's inode has no fs-verity: the layer's own file, opened after a copy-up, is asked.
  const inode = core.inode(key);
  if (inode.verity === null) return 0;
  if (writes) return core.refuse('EPERM', 'vfs.verity');
  if ((inode.flags & I_VERITY_INFO) !== 0) return 0;
  if (descriptorChanged(core, key)) return core.refuse('EINVAL', 'vfs.verity_descriptor');
  const err = verifySignature(core, key, inode.verity);
  if (err === 0) core.setInode({ ...core.inode(key), flags: core.inode(key).flags | I_VERITY_INFO });
  return err;
}

/** Which file systems answer the ioctls at all, and which of them were made with the feature. */
function supported(core: Core, inode: Inode): Err {
  if (!core.fs(inode.sb).verity || !(isReg(inode) || isDir(inode)))
    return core.refuse('ENOTTY', 'vfs.verity_no_ioctl');
  return core.superblock(inode.sb).fsVerity ? 0 : core.refuse('EOPNOTSUPP', 'vfs.verity_no_feature');
}

/** Arguments alone. @kernel fs/verity/enable.c fsverity_ioctl_enable() */
function badArguments(core: Core, arg: FsVerityEnable): Err {
  const { blockSize, salt, signature } = arg;
  if (blockSize <= 0 || (blockSize & (blockSize - 1)) !== 0)
    return core.refuse('EINVAL', 'vfs.verity_block_size');
  const long = salt.length > MAX_SALT || signature.length > MAX_SIGNATURE;
  return long ? core.refuse('EMSGSIZE', 'vfs.verity_too_long') : 0;
}

/** The file and its descriptor: only a regular file that the caller may write, opened for reading only. */
function badFile(core: Core, task: VfsTask, id: FileId): Err {
  const file = core.file(id);
  const inode = core.inode(file.inode);
  const denied = inodePermission(core, task, inode, MAY_WRITE);
  if (denied !== 0) return denied;
  if ((file.fmode & FMODE_READ) === 0) return core.refuse('EBADF', 'vfs.verity_not_readable');
  if (inode.appendOnly) return core.refuse('EPERM', 'vfs.verity_append_only');
  if (isDir(inode)) return core.refuse('EISDIR', 'vfs.verity_not_regular');
  const readonly = mntWantWrite(core, core.mountOf(file.path.mount));
  if (readonly !== 0) return readonly;
  if (inode.iWritecount > 0) return core.refuse('ETXTBSY', 'vfs.verity_busy');
  return 0;
}

const PAGE_SHIFT = 12;

/** Algorithm and block size; the largest block is the page (and the file system's block). */
function paramsOf(core: Core, arg: FsVerityEnable): Result<FsVerityParams> {
  const alg = ALGS[arg.algorithm];
  if (alg === undefined) return fail(core.refuse('EINVAL', 'vfs.verity_algorithm'));
  const log = Math.log2(arg.blockSize);
  if (log < 10 || log > PAGE_SHIFT) return fail(core.refuse('EINVAL', 'vfs.verity_block_size'));
  return ok({ alg, blockSize: arg.blockSize, salt: arg.salt });
}

/**
 * FS_IOC_ENABLE_VERITY.
 * @kernel fs/verity/enable.c fsverity_ioctl_enable(), enable_verity(); fs/ext4/ioctl.c __ext4_ioctl()
 */
export function verityEnable(core: Core, task: VfsTask, file: FileId, arg: FsVerityEnable): Err {
  const { inode: key, fmode } = core.file(file);
  if ((fmode & FMODE_PATH) !== 0) return core.refuse('EBADF', 'vfs.bad_mode');
  const first = supported(core, core.inode(key)) || badArguments(core, arg) || badFile(core, task, file);
  if (first !== 0) return first;
  const params = paramsOf(core, arg);
  if (!params.ok) return params.errno;
  const inode = core.inode(key);
  if (inode.verity !== null) return core.refuse('EEXIST', 'vfs.verity_enabled_before');
  if (inode.content?.kind !== 'bytes') return core.refuse('EIO', 'vfs.verity_opaque');
  const { alg, blockSize } = params.value;
  const digest = fsVerityDigest(inode.content.bytes, params.value);
  const signature = arg.signature.length === 0 ? null : arg.signature;
  const verity: VerityInfo = { alg, blockSize, digest, signature };
  const verdict = verifySignature(core, key, verity);
  if (verdict !== 0) return verdict;
  const now = core.inode(key);
  core.setInode({ ...now, verity, flags: now.flags | I_VERITY_INFO });
  sealBlocks(core, key, fsVerityTreeSize(now.size, params.value), DESCRIPTOR_SIZE + arg.signature.length);
  return 0;
}

/** FS_IOC_MEASURE_VERITY. @kernel fs/verity/measure.c fsverity_ioctl_measure() */
export function verityMeasure(
  core: Core,
  file: FileId,
): Result<{ readonly algorithm: number; readonly digest: Uint8Array }> {
  const { inode: key, fmode } = core.file(file);
  if ((fmode & FMODE_PATH) !== 0) return core.refused('EBADF', 'vfs.bad_mode');
  const inode = core.inode(key);
  const can = supported(core, inode);
  if (can !== 0) return fail(can);
  if (inode.verity === null) return core.refused('ENODATA', 'vfs.verity_none');
  return ok({ algorithm: fsVerityAlgNumber(inode.verity.alg), digest: inode.verity.digest });
}
