// The provider behind the API of 2008: whether a file is to be measured, its digest, storing it, and the way
// of one access through the three. Nothing here denies an access: store_measurement() returns nothing.

import { EMPTY } from '../../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../../base/errno.ts';
import { imaDPath } from '../../ima/cursor.ts';
import { fileContentHash } from '../../integrity/hash-info.ts';
import type { ExtensionCursor } from '../../kernel/extension.ts';
import { MAY_APPEND, MAY_READ, MAY_WRITE, S_IFMT, S_IFREG } from '../../vfs/constants.ts';
import { type FileId, FMODE_WRITE, type Inode, type PathRef, type VfsTask } from '../../vfs/types.ts';
import { changed, recent, stampsOf } from './change.ts';
import { isSkippedFs, type LimFunc, matchPolicy } from './policy.ts';
import { LIM_REASON as REASON } from './reasons.ts';
import { addViolation, imaData, type LimState, storeTemplate } from './store.ts';

export type LimCursor = ExtensionCursor<LimState>;

/** The file that an access is about. */
export interface Target {
  readonly path: PathRef;
  readonly inode: Inode;
}

/**
 * 0 to measure; EPERM for what is never measured (writers, other files than regular ones, file systems by
 * their magic number), EACCES when no rule says so.
 */
export function mustMeasure(x: LimCursor, task: VfsTask, t: Target, func: LimFunc, mask: number): Err {
  const { trace, vfs } = x.rooms;
  const skip = (reason: string, errno: Err): Err => {
    trace.emit('lim.must_measure', { func, mask, inode: t.inode.key, errno }, reason);
    return errno;
  };
  if ((mask & (MAY_WRITE | MAY_APPEND)) !== 0 || (t.inode.mode & S_IFMT) !== S_IFREG)
    return skip(REASON['lim.not_regular'], 'EPERM');
  const { magic } = vfs.superblock(t.inode.sb);
  if (!x.state.skipInPolicy && isSkippedFs(magic)) return skip(REASON['lim.skipped_fs'], 'EPERM');
  const subject = { func, mask, magic, uid: task.cred.uid };
  return matchPolicy(x.state.rules, subject) ? 0 : skip(REASON['lim.not_in_policy'], 'EACCES');
}

/** What was remembered of a file that changed since, as far as the detector sees it, is forgotten. */
function forgetChanged(x: LimCursor, inode: Inode): void {
  const known = x.state.measured.get(inode.key);
  const { detector } = x.state;
  if (
    known === undefined ||
    !changed(detector, known.stamps, stampsOf(inode, x.rooms.vfs.superblock(inode.sb)))
  )
    return;
  x.state = { ...x.state, measured: x.state.measured.delete(inode.key) };
  x.rooms.trace.emit('lim.forget', { inode: inode.key, detector }, REASON['lim.changed']);
}

/** sha1 of the content; EEXIST when the file was measured and did not change. */
export function collectMeasurement(x: LimCursor, t: Target): Result<Uint8Array> {
  const { vfs } = x.rooms;
  forgetChanged(x, t.inode);
  if (x.state.measured.has(t.inode.key)) return fail('EEXIST');
  const content = t.inode.pseudo === null ? vfs.contentOf(t.inode.key) : null;
  const digest = fileContentHash('sha1', content ?? { kind: 'bytes', bytes: EMPTY });
  return digest === null ? fail('EIO') : ok(digest);
}

/** Stores a file's digest under its path; nobody hears whether it worked. */
export function storeFile(x: LimCursor, task: VfsTask, t: Target, digest: Uint8Array): void {
  const { clock, trace, vfs } = x.rooms;
  const name = imaDPath(vfs, t.path);
  const told = { task, op: 'add_measure', name, inode: t.inode };
  const err = storeTemplate(x, 'ima', imaData(digest, name), false, told);
  if (err !== 0 && err !== 'EEXIST') return;
  const stamps = stampsOf(t.inode, vfs.superblock(t.inode.sb));
  if (x.state.askRecent && recent(x.state.detector, stamps, clock)) {
    trace.emit('lim.forget', { inode: t.inode.key }, REASON['lim.too_recent']);
    return;
  }
  x.state = { ...x.state, measured: x.state.measured.set(t.inode.key, { stamps }) };
}

/** A writer beside a measured reader, or a measured reader beside a writer. */
function checkViolations(x: LimCursor, task: VfsTask, t: Target, fmode: number): void {
  const writer = (fmode & FMODE_WRITE) !== 0;
  const other = writer ? t.inode.iReadcount > 0 : t.inode.iWritecount > 0;
  if (!other || mustMeasure(x, task, t, 'INODE_PERMISSION', MAY_READ) !== 0) return;
  const told = { task, name: imaDPath(x.rooms.vfs, t.path), inode: t.inode };
  addViolation(x, told, writer ? 'ToMToU' : 'open_writers');
}

/** One access: must_measure(), collect_measurement(), store_measurement(). */
export function access(x: LimCursor, task: VfsTask, id: FileId, func: LimFunc, mask: number): Err {
  if (!x.state.enabled) return 0;
  const { trace, vfs } = x.rooms;
  const file = vfs.file(id);
  const target = { path: file.path, inode: vfs.inode(file.inode) };
  if (func === 'INODE_PERMISSION') checkViolations(x, task, target, file.fmode);
  if (mustMeasure(x, task, target, func, mask) !== 0) return 0;
  const collected = collectMeasurement(x, target);
  if (collected.ok) storeFile(x, task, target, collected.value);
  else if (collected.errno === 'EEXIST')
    trace.emit('lim.collect', { inode: target.inode.key }, REASON['lim.measured_before']);
  return 0;
}
