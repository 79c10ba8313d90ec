// A disk that is not mounted, or whose machine is off, in another computer: a kernel without any integrity
// module, and root before it. The ordinary rules of files hold there (a write changes times and the change
// counter), no hook of this machine is asked, and its TPM and its list notice nothing.

import { type Err, ok, type Result } from '../base/errno.ts';
import { LsmStack } from '../lsm/stack.ts';
import { O_CREAT, O_TRUNC, O_WRONLY } from '../vfs/constants.ts';
import type { Content, FileId, VfsTask } from '../vfs/types.ts';
import { Vfs } from '../vfs/vfs.ts';
import type { DiskEdit } from './api.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Rooms } from './rooms.ts';
import { kernelTask } from './state.ts';

const NS = 0;

/** The other computer, with the disk as its root. */
class Computer {
  readonly vfs: Vfs;
  readonly #task: VfsTask;

  constructor(r: Rooms, sb: number) {
    const { trace, clock, random } = r;
    const pseudo = { find: (): undefined => undefined };
    this.vfs = new Vfs(r.vfs.state, { trace, clock, random, hooks: new LsmStack([]), pseudo });
    this.#task = kernelTask(this.vfs.attach(sb, NS, null), NS, 'offline');
  }

  #opened(path: string, use: (file: FileId) => Result<unknown>): Err {
    const file = this.vfs.open(this.#task, path, O_WRONLY | O_CREAT | O_TRUNC, 0o644);
    if (!file.ok) return file.errno;
    const done = use(file.value);
    this.vfs.put(this.#task, file.value);
    return done.ok ? 0 : done.errno;
  }

  /** Gives a file an attribute, or takes it away. */
  #label(path: string, name: string, value: Uint8Array | null): Err {
    const { vfs } = this;
    return value === null
      ? vfs.removexattr(this.#task, path, name)
      : vfs.setxattr(this.#task, path, name, value, 0);
  }

  #fill(path: string, content: Content): Err {
    return this.#opened(path, (file) =>
      content.kind === 'bytes' && content.bytes.length === 0
        ? ok(null)
        : this.vfs.writeContent(this.#task, file, content),
    );
  }

  /** All of another file: content, attributes, owner, mode. */
  *#copy(from: string, path: string): Generator<Err> {
    const { vfs } = this;
    const found = vfs.lookup(this.#task, from, { follow: false });
    if (!found.ok) {
      yield found.errno;
      return;
    }
    const { content, xattrs, uid, gid, mode } = vfs.inodeOf(found.value);
    if (content !== null) yield this.#fill(path, content);
    const names = vfs.listxattr(this.#task, path);
    for (const name of names.ok ? names.value : []) yield this.#label(path, name, null);
    for (const { name, value } of xattrs) yield this.#label(path, name, value);
    yield vfs.chown(this.#task, path, uid, gid);
    yield vfs.chmod(this.#task, path, mode & 0o7777);
  }

  *#attribute(path: string, name: string, value: Uint8Array | string | null): Generator<Err> {
    if (typeof value !== 'string') {
      yield this.#label(path, name, value);
      return;
    }
    const other = this.vfs.getxattr(this.#task, value, name);
    yield other.ok ? this.#label(path, name, other.value) : other.errno;
  }

  /** What one edit asks for, in the order of a person: remove, make, fill, mode, owner, label, name. */
  *calls(edit: DiskEdit): Generator<Err> {
    const { vfs } = this;
    const task = this.#task;
    const { path, content, mode, owner, xattr, rename, from } = edit;
    if (edit.remove === true) yield vfs.unlink(task, path);
    if (edit.directory === true) yield vfs.mkdir(task, path, mode ?? 0o755);
    if (edit.symlink !== undefined) yield vfs.symlink(task, edit.symlink, path);
    if (from !== undefined) yield* this.#copy(from, path);
    if (content !== undefined) yield this.#fill(path, content);
    if (owner !== undefined) yield vfs.chown(task, path, owner.uid, owner.gid);
    if (mode !== undefined && edit.directory !== true) yield vfs.chmod(task, path, mode);
    if (xattr !== undefined) yield* this.#attribute(path, xattr.name, xattr.value);
    if (rename !== undefined) yield vfs.rename(task, path, rename);
  }
}

/** A hash tree that was made over the disk does not fit any more. */
function spoilTrees(r: Rooms, disk: string): void {
  const spoilt = r.kernel.state.hashTrees.flatMap((t) => (t.dataDevice === disk ? [t.hashDevice] : []));
  const { blocks } = r.vfs.state;
  const changed = [...new Set([...blocks.changed, ...spoilt])];
  if (spoilt.length > 0) r.vfs.state = { ...r.vfs.state, blocks: { ...blocks, changed } };
}

/** Takes over what the other computer left on its disks; mounts and open files are this machine's own. */
function takeBack(r: Rooms, computer: Computer): void {
  computer.vfs.settleDisks();
  const { inodes, dentries, superblocks, blocks, nextId } = computer.vfs.state;
  const before = r.vfs.state;
  const own = superblocks.map((sb) => {
    const mounted = before.superblocks.get(sb.id)?.mounted ?? 0;
    return sb.mounted === mounted ? sb : { ...sb, mounted };
  });
  r.vfs.state = { ...before, inodes, dentries, superblocks: own, blocks, nextId };
}

/**
 * Edits a file of a disk that is not in use: EBUSY while it is mounted, ENODEV for a disk without files, and
 * what the file system says.
 * @deviation security.* names need no capability check of a module that the other computer may have
 */
export function editDisk(r: Rooms, disk: string, edit: DiskEdit): Err {
  const k = r.kernel;
  const sb = r.vfs.state.devices.get(disk)?.sb ?? null;
  if (sb === null) return 'ENODEV';
  if (r.vfs.superblock(sb).mounted > 0)
    return k.refuse('EBUSY', KERNEL_REASON['kernel.disk_in_use'], { disk });
  const id = r.trace.open('offline.edit', { disk, path: edit.path });
  const computer = new Computer(r, sb);
  let err: Err = 0;
  for (const done of computer.calls(edit)) {
    err = done;
    if (err !== 0) break;
  }
  takeBack(r, computer);
  spoilTrees(r, disk);
  r.trace.close(id);
  return err;
}
