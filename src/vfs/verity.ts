// fs-verity: the Merkle tree over a file's content, the file digest, and the built-in signature, which a callback checks
// against the kernel's keyring. The tree is not stored: every read of a verity file is taken as verified.

import { utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import type { Err, Result } from '../base/errno.ts';
import { ok } from '../base/errno.ts';
import { blockSize, crypto, digestSize } from '../crypto/provider.ts';
import { MAY_WRITE, PAGE_SIZE } from './constants.ts';
import type { Core } from './core.ts';
import { inodePermission, isDir, isReg, mntWantWrite } from './perm.ts';
import type { FileId, InodeKey, VerityInfo, VfsTask } from './types.ts';
import { FMODE_PATH, FMODE_READ } from './types.ts';

const FS_VERITY_MAX_SIGNATURE_SIZE = 16128;

export interface EnableVerity {
  readonly algorithm: number;
  readonly blockSize: number;
  readonly salt: Uint8Array;
  readonly signature: Uint8Array;
}

type Alg = 'sha256' | 'sha512';

const algOf = (n: number): Alg | undefined => (n === 1 ? 'sha256' : n === 2 ? 'sha512' : undefined);
const numberOf = (alg: Alg): number => (alg === 'sha256' ? 1 : 2);

/** The salt, padded to whole input blocks of the hash, goes before every block. */
function prefixOf(alg: Alg, salt: Uint8Array): Uint8Array {
  if (salt.length === 0) return salt;
  const unit = blockSize(alg);
  const out = new Uint8Array(Math.ceil(salt.length / unit) * unit);
  out.set(salt);
  return out;
}

/** Hashes of all blocks of one level, one behind the other. */
function level(alg: Alg, block: number, prefix: Uint8Array, data: Uint8Array): Uint8Array {
  const size = digestSize(alg);
  const count = Math.ceil(data.length / block);
  const out = new Uint8Array(count * size);
  const buffer = new Uint8Array(prefix.length + block);
  buffer.set(prefix);
  for (let i = 0; i < count; i++) {
    const piece = data.subarray(i * block, (i + 1) * block);
    buffer.set(piece, prefix.length);
    buffer.fill(0, prefix.length + piece.length);
    out.set(crypto().hash(alg, buffer), i * size);
  }
  return out;
}

/**
 * Root hash of the tree over a content; zeros for an empty one.
 *
 * @kernel fs/verity/enable.c build_merkle_tree()
 */
export function rootHash(alg: Alg, block: number, salt: Uint8Array, data: Uint8Array): Uint8Array {
  const size = digestSize(alg);
  if (data.length === 0) return new Uint8Array(size);
  const prefix = prefixOf(alg, salt);
  let hashes = level(alg, block, prefix, data);
  while (hashes.length > size) hashes = level(alg, block, prefix, hashes);
  return hashes;
}

/**
 * The file digest: hash of struct fsverity_descriptor without a signature.
 *
 * @kernel fs/verity/open.c compute_file_digest()
 */
export function fileDigest(alg: Alg, block: number, salt: Uint8Array, data: Uint8Array): Uint8Array {
  const descriptor = new Uint8Array(256);
  const head = new Writer('le')
    .u8(1)
    .u8(numberOf(alg))
    .u8(Math.log2(block))
    .u8(salt.length)
    .u32(0)
    .u64(BigInt(data.length))
    .finish();
  descriptor.set(head);
  descriptor.set(rootHash(alg, block, salt, data), 16);
  descriptor.set(salt, 80);
  return crypto().hash(alg, descriptor);
}

/** @kernel fs/verity/signature.c fsverity_verify_signature() */
function checkSignature(core: Core, key: InodeKey, info: VerityInfo): Err {
  if (info.signature === null) return 0;
  const formatted = new Writer('le')
    .bytes(utf8('FSVerity'))
    .u16(numberOf(info.alg))
    .u16(info.digest.length)
    .bytes(info.digest)
    .finish();
  const err = core.env.veritySignature?.(formatted, info.signature) ?? 'ENOKEY';
  if (err !== 0) return core.refuse(err, 'vfs.verity_signature');
  core.env.hooks.inodeSetIntegrity(key, true);
  return 0;
}

/**
 * FS_IOC_ENABLE_VERITY.
 *
 * @kernel fs/verity/enable.c fsverity_ioctl_enable()
 */
export function enable(core: Core, task: VfsTask, id: FileId, options: EnableVerity): Err {
  const file = core.file(id);
  if ((file.fmode & FMODE_PATH) !== 0) return core.refuse('EBADF', 'vfs.bad_mode');
  const inode = core.inode(file.inode);
  if (!core.fs(inode.sb).verity) return core.refuse('ENOTTY', 'vfs.unsupported');
  const block = options.blockSize;
  if (block <= 0 || (block & (block - 1)) !== 0) return core.refuse('EINVAL', 'vfs.bad_argument');
  if (options.salt.length > 32 || options.signature.length > FS_VERITY_MAX_SIGNATURE_SIZE)
    return core.refuse('EMSGSIZE', 'vfs.too_big');
  const denied = inodePermission(core, task, inode, MAY_WRITE);
  if (denied !== 0) return denied;
  if ((file.fmode & FMODE_READ) === 0) return core.refuse('EBADF', 'vfs.bad_mode');
  if (inode.appendOnly) return core.refuse('EPERM', 'vfs.append_only');
  if (isDir(inode)) return core.refuse('EISDIR', 'vfs.is_directory');
  if (!isReg(inode)) return core.refuse('EINVAL', 'vfs.bad_argument');
  const ro = mntWantWrite(core, core.mountOf(file.path.mount));
  if (ro !== 0) return ro;
  if (inode.iWritecount > 0) return core.refuse('ETXTBSY', 'vfs.text_busy');
  const alg = algOf(options.algorithm);
  if (alg === undefined || block < 1024 || block > PAGE_SIZE)
    return core.refuse('EINVAL', 'vfs.bad_argument');
  if (inode.verity !== null) return core.refuse('EEXIST', 'vfs.exists');
  if (inode.content?.kind !== 'bytes') return core.refuse('EIO', 'vfs.opaque');
  const info: VerityInfo = {
    alg,
    blockSize: block,
    digest: fileDigest(alg, block, options.salt, inode.content.bytes),
    signature: options.signature.length === 0 ? null : options.signature,
  };
  const err = checkSignature(core, inode.key, info);
  if (err !== 0) return err;
  core.setInode({ ...core.inode(inode.key), verity: info });
  return 0;
}

/**
 * FS_IOC_MEASURE_VERITY.
 *
 * @kernel fs/verity/measure.c fsverity_ioctl_measure()
 */
export function measure(
  core: Core,
  id: FileId,
): Result<{ readonly algorithm: number; readonly digest: Uint8Array }> {
  const inode = core.inode(core.file(id).inode);
  if (!core.fs(inode.sb).verity) return core.refused('ENOTTY', 'vfs.unsupported');
  if (inode.verity === null) return core.refused('ENODATA', 'vfs.no_data');
  return ok({ algorithm: numberOf(inode.verity.alg), digest: inode.verity.digest });
}
