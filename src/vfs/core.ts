// The cursor that all files of this room share: the state, the surroundings, and the few operations by which
// records are read and replaced. Records are looked up by key at each use, because a hook may change them
// between two steps.

import { assert } from '../base/assert.ts';
import type { Err, Errno, Failure } from '../base/errno.ts';
import { fail } from '../base/errno.ts';
import type { EventData } from '../base/trace.ts';
import type { VfsEnv } from './api.ts';
import type { FsBehaviour } from './filesystems.ts';
import { behaviourOf } from './filesystems.ts';
import type { OverlayOps } from './overlay.ts';
import type { VfsReason } from './reasons.ts';
import { copyFile, copyState } from './records.ts';
import type {
  Dentry,
  DentryId,
  FileId,
  Inode,
  InodeKey,
  Mapping,
  MappingId,
  Mount,
  MountId,
  OpenFile,
  SbId,
  Superblock,
  VfsState,
  VfsTask,
} from './types.ts';

/**
 * State and surroundings of one operation.
 * @kernel include/linux/fs.h struct super_block, struct inode, struct file
 */
export class Core {
  state: VfsState;
  readonly env: VfsEnv;
  /** Reason of the refusal that is on its way out; taken by `finish`. */
  why: VfsReason | null = null;

  /** The task whose operation is running, for what hooks do on its behalf. */
  current: VfsTask | null = null;
  /** What overlay mounts do, bound late: it needs the operations that ask for it. */
  readonly overlay: OverlayOps;

  constructor(state: VfsState, env: VfsEnv, overlay: OverlayOps) {
    this.state = state;
    this.env = env;
    this.overlay = overlay;
  }

  inode(key: InodeKey): Inode {
    const inode = this.state.inodes.get(key);
    assert(inode !== undefined, `no inode ${key}`);
    return inode;
  }

  dentry(id: DentryId): Dentry {
    const dentry = this.state.dentries.get(id);
    assert(dentry !== undefined, `no dentry ${id}`);
    return dentry;
  }

  file(id: FileId): OpenFile {
    const file = this.state.files.get(id);
    assert(file !== undefined, `no open file ${id}`);
    return file;
  }

  mapping(id: MappingId): Mapping {
    const mapping = this.state.mappings.get(id);
    assert(mapping !== undefined, `no mapping ${id}`);
    return mapping;
  }

  superblock(id: SbId): Superblock {
    const sb = this.state.superblocks.get(id);
    assert(sb !== undefined, `no superblock ${id}`);
    return sb;
  }

  mountOf(id: MountId): Mount {
    const mount = this.state.mounts.get(id);
    assert(mount !== undefined, `no mount ${id}`);
    return mount;
  }

  /** What the file system of a superblock can do. */
  fs(sb: SbId): FsBehaviour {
    return behaviourOf(this.superblock(sb).type);
  }

  /** A fresh number for a record of any kind. */
  id(): number {
    const next = copyState(this.state);
    const id = next.nextId++;
    this.state = next;
    return id;
  }

  setInode(inode: Inode): void {
    const next = copyState(this.state);
    next.inodes = next.inodes.set(inode.key, inode);
    this.state = next;
  }

  setDentry(dentry: Dentry): void {
    const next = copyState(this.state);
    next.dentries = next.dentries.set(dentry.id, dentry);
    this.state = next;
  }

  setFile(file: OpenFile): void {
    const next = copyState(this.state);
    next.files = next.files.set(file.id, file);
    this.state = next;
  }

  /** Moves the position of an open file. */
  setPos(id: FileId, pos: number): void {
    const next = copyFile(this.file(id));
    next.pos = pos;
    this.setFile(next);
  }

  dropFile(id: FileId): void {
    const next = copyState(this.state);
    next.files = next.files.delete(id);
    this.state = next;
  }

  setMapping(mapping: Mapping): void {
    const next = copyState(this.state);
    next.mappings = next.mappings.set(mapping.id, mapping);
    this.state = next;
  }

  setSuperblock(sb: Superblock): void {
    const next = copyState(this.state);
    next.superblocks = next.superblocks.set(sb.id, sb);
    this.state = next;
  }

  setMount(mount: Mount): void {
    const next = copyState(this.state);
    next.mounts = next.mounts.set(mount.id, mount);
    this.state = next;
  }

  /** Remembers why, and gives the errno back. */
  refuse<E extends Errno>(errno: E, why: VfsReason): E {
    this.why = why;
    return errno;
  }

  /** As `refuse`, for functions that return a Result. */
  refused(errno: Errno, why: VfsReason): Failure {
    this.why = why;
    return fail(errno);
  }

  /** Ends an operation: one event, with the reason when it was refused. */
  finish<E extends Err>(kind: string, err: E, data: EventData): E {
    const why = this.why;
    this.why = null;
    if (err === 0) this.env.trace.emit(kind, data);
    else this.env.trace.emit(kind, { ...data, errno: err }, why ?? 'vfs.refused_by_hook');
    return err;
  }

  /** As `finish`, for a refusal only: operations that change nothing leave no event when they succeed. */
  ended<E extends Err>(kind: string, err: E, data: EventData): E {
    if (err === 0) this.why = null;
    else this.finish(kind, err, data);
    return err;
  }
}
