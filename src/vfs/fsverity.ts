// fs-verity: the file digest (hash of the descriptor over a Merkle tree), enabling it on a file and reading it back. A file
// with fs-verity never changes again. The tree itself is not kept: nothing below the file system changes file contents here.

import { concat, EMPTY } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { type Err, type Errno, fail, ok, type Result } from '../base/errno.ts';
import { crypto, digestSize } from '../crypto/provider.ts';
import type { SystemKeys } from '../crypto/system-keys.ts';
import { MAY_WRITE, S_IFDIR, S_IFMT, S_IFREG } from './constants.ts';
import type { Core } from './core.ts';
import { buildMerkleTree, hashesPerBlock, type MerkleShape, paddedSalt } from './merkle.ts';
import { inodePermission, mntWantWrite } from './perm.ts';
import {
  type FileId,
  FMODE_READ,
  type Inode,
  type InodeKey,
  type VerityInfo,
  type VfsTask,
} from './types.ts';
import { VERITY_REASON } from './verity-reasons.ts';

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

/** Root hash of the tree over a file; zeros for an empty one. @kernel fs/verity/enable.c build_merkle_tree() */
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

/** What a built-in signature covers. @kernel include/uapi/linux/fsverity.h struct fsverity_formatted_digest */
export function fsVerityFormattedDigest(alg: FsVerityAlg, digest: Uint8Array): Uint8Array {
  const w = new Writer('le').bytes(Uint8Array.from('FSVerity', (c) => c.charCodeAt(0)));
  return w.u16(fsVerityAlgNumber(alg)).u16(digest.length).bytes(digest).finish();
}

/** What fs-verity asks of the kernel beside the file system. */
export interface FsVerityEnv {
  readonly keys: SystemKeys;
  /** Whether the .fs-verity keyring holds no key: signatures are then refused without being parsed. */
  keyringEmpty(): boolean;
  /** /proc/sys/fs/verity/require_signatures. */
  requireSignatures(): boolean;
}

export interface FsVerityEnable {
  /** FS_VERITY_HASH_ALG_*. */
  readonly algorithm: number;
  readonly blockSize: number;
  readonly salt: Uint8Array;
  readonly signature: Uint8Array;
}

type Reason = keyof typeof VERITY_REASON;

function refuse(core: Core, errno: Errno, reason: Reason, inode: InodeKey | null): Errno {
  core.env.trace.emit('vfs.verity', { errno, inode }, VERITY_REASON[reason]);
  return errno;
}

/**
 * Checks a built-in signature against the .fs-verity keyring; a good one is told to the LSMs. Unsigned files pass unless
 * the sysctl asks for signatures.
 * @kernel fs/verity/signature.c fsverity_verify_signature()
 */
export function fsVerityVerifySignature(core: Core, env: FsVerityEnv, key: InodeKey, info: VerityInfo): Err {
  const { signature } = info;
  if (signature === null || signature.length === 0)
    return env.requireSignatures() ? refuse(core, 'EPERM', 'vfs.verity_unsigned', key) : 0;
  if (env.keyringEmpty()) return refuse(core, 'ENOKEY', 'vfs.verity_no_keys', key);
  const detached = fsVerityFormattedDigest(info.alg, info.digest);
  const verdict = env.keys.verifyPkcs7(signature, { keyring: 'fs-verity', detached });
  if (!verdict.ok) return refuse(core, verdict.errno, 'vfs.verity_signature', key);
  core.env.hooks.inodeSetIntegrity(key, true);
  return 0;
}

/** Which file systems answer the ioctls at all, and which of them were made with the feature. */
function supported(core: Core, inode: Inode): Err {
  const sb = core.superblock(inode.sb);
  const type = inode.mode & S_IFMT;
  if (sb.type !== 'ext4' || (type !== S_IFREG && type !== S_IFDIR))
    return refuse(core, 'ENOTTY', 'vfs.verity_no_ioctl', inode.key);
  return 0;
}

/** Arguments alone. @kernel fs/verity/enable.c fsverity_ioctl_enable() */
function badArguments(core: Core, arg: FsVerityEnable): Err {
  const { blockSize, salt, signature } = arg;
  if (blockSize <= 0 || (blockSize & (blockSize - 1)) !== 0)
    return refuse(core, 'EINVAL', 'vfs.verity_block_size', null);
  const long = salt.length > MAX_SALT || signature.length > MAX_SIGNATURE;
  return long ? refuse(core, 'EMSGSIZE', 'vfs.verity_too_long', null) : 0;
}

/** The file and its descriptor: only a regular file that the caller may write, opened for reading only. */
function badFile(core: Core, task: VfsTask, id: FileId): Err {
  const file = core.file(id);
  const inode = core.inode(file.inode);
  const denied = inodePermission(core, task, inode, MAY_WRITE);
  if (denied !== 0) return refuse(core, denied, 'vfs.verity_not_writable', inode.key);
  if ((file.fmode & FMODE_READ) === 0) return refuse(core, 'EBADF', 'vfs.verity_not_readable', inode.key);
  if (inode.appendOnly) return refuse(core, 'EPERM', 'vfs.verity_append_only', inode.key);
  if ((inode.mode & S_IFMT) === S_IFDIR) return refuse(core, 'EISDIR', 'vfs.verity_not_regular', inode.key);
  const readonly = mntWantWrite(core, core.mountOf(file.path.mount));
  if (readonly !== 0) return refuse(core, readonly, 'vfs.verity_read_only', inode.key);
  if (inode.iWritecount > 0) return refuse(core, 'ETXTBSY', 'vfs.verity_busy', inode.key);
  return 0;
}

const PAGE_SHIFT = 12;

/** Algorithm and block size; the largest block is the page (and the file system's block). */
function paramsOf(core: Core, arg: FsVerityEnable, inode: InodeKey): Result<FsVerityParams> {
  const alg = ALGS[arg.algorithm];
  if (alg === undefined) return fail(refuse(core, 'EINVAL', 'vfs.verity_algorithm', inode));
  const log = Math.log2(arg.blockSize);
  if (log < 10 || log > PAGE_SHIFT) return fail(refuse(core, 'EINVAL', 'vfs.verity_block_size', inode));
  return ok({ alg, blockSize: arg.blockSize, salt: arg.salt });
}

/**
 * FS_IOC_ENABLE_VERITY.
 * @kernel fs/verity/enable.c fsverity_ioctl_enable(), enable_verity(); fs/ext4/ioctl.c __ext4_ioctl()
 */
export function verityEnable(
  core: Core,
  env: FsVerityEnv,
  task: VfsTask,
  file: FileId,
  arg: FsVerityEnable,
): Err {
  const { inode: key } = core.file(file);
  const first = supported(core, core.inode(key)) || badArguments(core, arg) || badFile(core, task, file);
  if (first !== 0) return first;
  const params = paramsOf(core, arg, key);
  if (!params.ok) return params.errno;
  const inode = core.inode(key);
  if (inode.verity !== null) return refuse(core, 'EEXIST', 'vfs.verity_enabled_before', key);
  if (inode.content?.kind !== 'bytes') return refuse(core, 'EIO', 'vfs.verity_opaque', key);
  const { alg, blockSize } = params.value;
  const digest = fsVerityDigest(inode.content.bytes, params.value);
  const signature = arg.signature.length === 0 ? null : arg.signature;
  const verity: VerityInfo = { alg, blockSize, digest, signature };
  const verdict = fsVerityVerifySignature(core, env, key, verity);
  if (verdict !== 0) return verdict;
  core.setInode({ ...core.inode(key), verity });
  core.env.trace.emit('vfs.verity_enable', { inode: key, alg, digest: Array.from(digest, hex).join('') });
  return 0;
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

/** FS_IOC_MEASURE_VERITY. @kernel fs/verity/measure.c fsverity_ioctl_measure() */
export function verityMeasure(
  core: Core,
  file: FileId,
): Result<{ readonly algorithm: number; readonly digest: Uint8Array }> {
  const inode = core.inode(core.file(file).inode);
  const can = supported(core, inode);
  if (can !== 0) return fail(can);
  if (inode.verity === null) return fail(refuse(core, 'ENODATA', 'vfs.verity_none', inode.key));
  return ok({ algorithm: fsVerityAlgNumber(inode.verity.alg), digest: inode.verity.digest });
}

/** The signature's content and a file's digest in one piece, for tools that sign. */
export function fsVerityToSign(data: Uint8Array, params: FsVerityParams = FS_VERITY_DEFAULT): Uint8Array {
  return concat(fsVerityFormattedDigest(params.alg, fsVerityDigest(data, params)));
}
