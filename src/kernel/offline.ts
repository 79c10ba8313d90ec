// The machine is off and its disk is in another computer: a file system without any integrity module, and
// root before it. The ordinary rules of files hold there (a write changes times and the change counter), no
// hook of this machine is asked, and its TPM and its list notice nothing.

import { type Err, ok, type Result } from '../base/errno.ts';
import { LsmStack } from '../lsm/stack.ts';
import { O_CREAT, O_TRUNC, O_WRONLY } from '../vfs/constants.ts';
import type { FileId, VfsTask } from '../vfs/types.ts';
import { Vfs } from '../vfs/vfs.ts';
import type { DiskEdit } from './api.ts';
import { disksOnly } from './disks.ts';
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

  /** What one edit asks for, in the order of a person: remove, make, fill, mode, owner, label, name. */
  *calls(edit: DiskEdit): Generator<Err> {
    const { vfs } = this;
    const task = this.#task;
    const { path, content, mode, owner, xattr, rename } = edit;
    if (edit.remove === true) yield vfs.unlink(task, path);
    if (edit.directory === true) yield vfs.mkdir(task, path, mode ?? 0o755);
    if (edit.symlink !== undefined) yield vfs.symlink(task, edit.symlink, path);
    if (content !== undefined)
      yield this.#opened(path, (file) =>
        content.kind === 'bytes' && content.bytes.length === 0
          ? ok(null)
          : vfs.writeContent(task, file, content),
      );
    if (owner !== undefined) yield vfs.chown(task, path, owner.uid, owner.gid);
    if (mode !== undefined && edit.directory !== true) yield vfs.chmod(task, path, mode);
    if (xattr !== undefined) {
      const { name, value } = xattr;
      yield value === null ? vfs.removexattr(task, path, name) : vfs.setxattr(task, path, name, value, 0);
    }
    if (rename !== undefined) yield vfs.rename(task, path, rename);
  }
}

/**
 * A dm-verity tree that was made over the disk does not fit any more.
 * @kernel drivers/md/dm-verity-target.c verity_verify_level()
 * @deviation the whole device cannot be read then, where the kernel fails the changed blocks alone
 */
function spoilTrees(r: Rooms, disk: string): void {
  const spoilt = r.kernel.state.hashTrees.filter((t) => t.dataDevice === disk).map((t) => t.hashDevice);
  if (spoilt.length === 0) return;
  const { blocks } = r.vfs.state;
  r.vfs.state = {
    ...r.vfs.state,
    blocks: { ...blocks, changed: [...new Set([...blocks.changed, ...spoilt])] },
  };
}

/**
 * Edits a file of a disk while the machine is off: EBUSY while it is not, ENODEV for a disk without files,
 * and what the file system says.
 * @deviation security.* names need no capability check of a module that the other computer may have
 */
export function editDisk(r: Rooms, disk: string, edit: DiskEdit): Err {
  const k = r.kernel;
  if (k.state.power !== 'off') return k.refuse('EBUSY', KERNEL_REASON['kernel.disk_in_use'], { disk });
  const sb = r.vfs.state.devices.get(disk)?.sb ?? null;
  if (sb === null) return 'ENODEV';
  const id = r.trace.open('offline.edit', { disk, path: edit.path });
  const computer = new Computer(r, sb);
  let err: Err = 0;
  for (const done of computer.calls(edit)) {
    err = done;
    if (err !== 0) break;
  }
  r.vfs.state = disksOnly(computer.vfs.state);
  spoilTrees(r, disk);
  r.trace.close(id);
  return err;
}
