// The digest of a file's content, fs-verity digest included, and the cookie by which a later change is
// noticed. Digests of contents are remembered by the identity of the bytes; a content known by its digests
// only is hashed by looking them up.

import { EMPTY } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import { AUDIT_INTEGRITY_DATA } from '../integrity/audit.ts';
import {
  contentHash,
  cryptoHasAlg,
  fileContentHash,
  type HashAlgoName,
  hashDigestSize,
} from '../integrity/hash-info.ts';
import type { VfsApi } from '../vfs/api.ts';
import { O_DIRECT } from '../vfs/constants.ts';
import { kernfsRefuses } from '../vfs/filesystems.ts';
import { type Content, FMODE_READ, type Inode, type OpenFile, type VfsTask } from '../vfs/types.ts';
import { IMA_COLLECTED, IMA_VERITY_REQUIRED } from './constants.ts';
import { auditMessage, byteText, type ImaCursor, noMemory } from './cursor.ts';
import { iintStep } from './iint.ts';
import { R } from './reasons.ts';
import type { FileHash, Iint } from './types.ts';

export interface HashOutcome {
  readonly err: Err;
  /** With an error the digest is zero. */
  readonly hash: FileHash;
}

const zeroHash = (alg: string): FileHash => ({
  alg,
  digest: new Uint8Array(hashDigestSize(alg as HashAlgoName)),
});

/**
 * What hashing reads of a content, or null for an unexpected end. An overlay's inode keeps its size when
 * the file below changes, and reading goes page by page up to that size: it can take in bytes behind it.
 * @kernel security/integrity/ima/ima_crypto.c ima_calc_file_hash_tfm()
 */
function asRead(content: Content, size: number, pageSize: number): Content | null {
  if (content.kind === 'opaque' || content.bytes.length === size) return content;
  if (content.bytes.length < size) return null;
  const end = Math.ceil(size / pageSize) * pageSize;
  return content.bytes.length <= end ? content : { kind: 'bytes', bytes: content.bytes.subarray(0, end) };
}

/** @kernel security/integrity/ima/ima_crypto.c ima_calc_file_hash() */
export function calcFileHash(ima: ImaCursor, task: VfsTask | null, file: OpenFile, alg: string): HashOutcome {
  const { vfs, profile } = ima.env;
  if ((file.flags & O_DIRECT) !== 0) return { err: 'EINVAL', hash: zeroHash(ima.state.hashAlgo) };
  const inode = vfs.inode(file.inode);
  // What is not open for reading is opened once more.
  const reopens = (file.fmode & FMODE_READ) === 0;
  if (
    reopens &&
    inode.pseudo !== null &&
    kernfsRefuses(vfs.superblock(inode.sb).type, inode.mode, FMODE_READ)
  )
    return { err: 'EACCES', hash: zeroHash(alg) };
  if (!cryptoHasAlg(profile, alg)) return { err: 'ENOENT', hash: zeroHash(alg) };
  if (noMemory(ima, 'ima_calc_file_hash')) return { err: 'ENOMEM', hash: zeroHash(alg) };
  if (inode.pseudo !== null) {
    if (inode.size === 0) return { err: 0, hash: { alg, digest: contentHash(alg, EMPTY) } };
    // Attributes of sysfs give less than the page that their size says: an unexpected end.
    if (task === null || vfs.superblock(inode.sb).type === 'sysfs')
      return { err: 'EINVAL', hash: zeroHash(alg) };
    const text = vfs.pread(task, file.id, inode.size, 0);
    if (!text.ok || text.value.length < inode.size) return { err: 'EINVAL', hash: zeroHash(alg) };
    return { err: 0, hash: { alg, digest: contentHash(alg, text.value) } };
  }
  const content = asRead(vfs.contentOf(file.inode), inode.size, profile.pageSize);
  if (content === null) return { err: 'EINVAL', hash: zeroHash(alg) };
  const digest = fileContentHash(alg, content);
  return digest === null ? { err: 'EIO', hash: zeroHash(alg) } : { err: 0, hash: { alg, digest } };
}

/**
 * STATX_CHANGE_COOKIE: i_version where the file system counts; on an overlay that of the inode with the
 * metadata.
 * @kernel fs/stat.c vfs_getattr_nosec()
 */
export function changeCookie(vfs: VfsApi, inode: Inode): number | null {
  if (vfs.superblock(inode.sb).iVersion) return inode.iVersion;
  return inode.realMeta === null ? null : changeCookie(vfs, vfs.inode(inode.realMeta));
}

/** Digest of what is in memory instead of the file: a module, a policy, a kernel image. */
function calcBufferHash(ima: ImaCursor, file: OpenFile, buf: Uint8Array, alg: string): HashOutcome {
  if (!cryptoHasAlg(ima.env.profile, alg)) return { err: 'ENOENT', hash: zeroHash(alg) };
  const inode = ima.env.vfs.inode(file.inode);
  const content = inode.pseudo === null ? ima.env.vfs.contentOf(file.inode) : null;
  if (content?.kind === 'opaque') {
    const digest = fileContentHash(alg, content);
    return digest === null ? { err: 'EIO', hash: zeroHash(alg) } : { err: 0, hash: { alg, digest } };
  }
  return { err: 0, hash: { alg, digest: contentHash(alg, buf) } };
}

export interface Collected {
  readonly err: Err;
  readonly iint: Iint;
}

/**
 * Collects the digest unless one was collected before, whatever its algorithm was. EBADF and EINVAL keep a
 * zero digest
 * that will be measured; other errors abort.
 * @kernel security/integrity/ima/ima_api.c ima_collect_measurement()
 */
export function collectMeasurement(
  ima: ImaCursor,
  task: VfsTask,
  file: OpenFile,
  iint: Iint,
  buf: Uint8Array | null,
  alg: string,
): Collected {
  const { vfs, trace } = ima.env;
  if ((iint.flags & IMA_COLLECTED) !== 0) {
    trace.emit('ima.collect', { alg: iint.hash?.alg ?? '' }, R['ima.collected_before']);
    return { err: 0, iint };
  }
  const inode = vfs.inode(file.inode);
  const version = changeCookie(vfs, inode) ?? 0;
  let outcome: HashOutcome;
  let cause = 'failed';
  if ((iint.flags & IMA_VERITY_REQUIRED) !== 0) {
    const { verity } = inode;
    outcome =
      verity === null
        ? { err: 'ENODATA', hash: zeroHash(alg) }
        : { err: 0, hash: { alg: verity.alg, digest: verity.digest } };
    if (verity === null) cause = 'no-verity-digest';
  } else if (buf !== null) outcome = calcBufferHash(ima, file, buf, alg);
  else outcome = calcFileHash(ima, task, file, alg);
  const keeps = outcome.err === 0 || outcome.err === 'EBADF' || outcome.err === 'EINVAL';
  if (keeps && noMemory(ima, 'ima_collect_measurement')) outcome = { err: 'ENOMEM', hash: outcome.hash };
  const { err, hash } = outcome;
  let after = iint;
  if (err === 0 || err === 'EBADF' || err === 'EINVAL') {
    const real = inode.realData === null ? null : vfs.inode(inode.realData);
    after = { ...iint, hash, version };
    if (real !== null) after = { ...after, realIno: real.ino, realDev: vfs.superblock(real.sb).dev };
    if (err === 0) after = iintStep(after, 'COLLECTED');
  }
  trace.emit('ima.collect', { alg: hash.alg, version, err }, reasonOf(err));
  if (err !== 0) auditFailure(ima, task, file, inode, cause);
  return { err, iint: after };
}

function reasonOf(err: Err): string {
  if (err === 0) return R['ima.collected'];
  return err === 'EINVAL' || err === 'EBADF' ? R['ima.collect_zero'] : R['ima.collect_failed'];
}

function auditFailure(ima: ImaCursor, task: VfsTask, file: OpenFile, inode: Inode, cause: string): void {
  auditMessage(ima, task, {
    type: AUDIT_INTEGRITY_DATA,
    op: 'collect_data',
    cause: (file.flags & O_DIRECT) !== 0 ? 'failed(directio)' : cause,
    name: byteText(ima.env.vfs.dentry(file.path.dentry).name),
    inode,
    failed: true,
  });
}

/** Whether the inode below an overlay is another one, or changed, since the digest was collected. */
export function realInodeChanged(vfs: VfsApi, iint: Iint, real: Inode): boolean {
  const sb = vfs.superblock(real.sb);
  if (!sb.iVersion) return true;
  return sb.dev !== iint.realDev || real.ino !== iint.realIno || real.iVersion !== iint.version;
}
