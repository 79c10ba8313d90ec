// Sassu's idea of 2023: a process may use code in a memfd that it made, as long as nobody else writes it.
// What Wu answered needs "more hooks" is here: one when the file is made, one for each write. The module
// knows who made a memfd and who wrote it, and reports to IPE as the property memfd_owned; with
// memfd_owner=enforce it also keeps others from writing, so that what it reports stays true.

import { Map as ImmutableMap } from 'immutable';
import type { Err } from '../../base/errno.ts';
import { defineReasons } from '../../base/reasons.ts';
import { defineExtension, type ExtensionCursor } from '../../kernel/extension.ts';
import { F_SEAL_WRITE, MAY_WRITE, PROT_WRITE } from '../../vfs/constants.ts';
import type { FileId, Inode, InodeKey, VfsTask } from '../../vfs/types.ts';

const SASSU = 'proposal: Re: [RFC PATCH v9 00/16] Integrity Policy Enforcement LSM (IPE), Sassu, 2023-02-02';

const REASON = defineReasons({
  'memfd_owner.made': { text: 'the process made a memfd and owns it', source: SASSU },
  'memfd_owner.foreign_write': {
    text: 'a process that does not own the memfd wrote to it: from now on nobody owns it',
    source: SASSU,
  },
  'memfd_owner.write_refused': { text: 'only its owner writes to a memfd on this kernel', source: SASSU },
  'memfd_owner.owned': { text: 'the process made the memfd, and nobody else wrote to it', source: SASSU },
  'memfd_owner.not_owned': {
    text: 'another process made the memfd, or wrote to it, or there is none',
    source: SASSU,
  },
});

interface Owned {
  readonly owner: number;
  /** Somebody else wrote to it. */
  readonly foreign: boolean;
}

interface State {
  /** memfd_owner=enforce. */
  readonly enforce: boolean;
  readonly files: ImmutableMap<InodeKey, Owned>;
}

type Cursor = ExtensionCursor<State>;

/** security_inode_init_security_anon(): a memfd is there, and whoever asked for it owns it. */
function made(x: Cursor, task: VfsTask, inode: InodeKey): void {
  x.state = { ...x.state, files: x.state.files.set(inode, { owner: task.pid, foreign: false }) };
  x.rooms.trace.emit('memfd_owner.made', { inode, pid: task.pid }, REASON['memfd_owner.made']);
}

const isSealed = (inode: Inode): boolean => (inode.seals & F_SEAL_WRITE) !== 0;

/** Somebody is about to write, or could write through a mapping; what is sealed refuses that by itself. */
function writes(x: Cursor, task: VfsTask, file: FileId): Err {
  const { inode } = x.rooms.vfs.file(file);
  const known = x.state.files.get(inode);
  if (known === undefined || known.owner === task.pid || isSealed(x.rooms.vfs.inode(inode))) return 0;
  if (x.state.enforce) return x.rooms.kernel.refuse('EPERM', REASON['memfd_owner.write_refused'], { inode });
  x.state = { ...x.state, files: x.state.files.set(inode, { ...known, foreign: true }) };
  x.rooms.trace.emit('memfd_owner.write', { inode, pid: task.pid }, REASON['memfd_owner.foreign_write']);
  return 0;
}

/** The task was forked by the owner and is in an execve of this memfd. */
function startedBy(x: Cursor, task: VfsTask, inode: InodeKey, owner: number): boolean {
  const bprm = x.rooms.kernel.task(task.pid)?.bprm ?? null;
  if (task.ppid !== owner || bprm === null || bprm.phase === 'running') return false;
  return x.rooms.vfs.file(bprm.file).inode === inode;
}

/**
 * Whether the task may take the memfd's code for its own: it made it, or is started from it by whoever made
 * it, and nobody else wrote it. A memfd sealed against writes is anybody's who may have it.
 */
function isOwned(x: Cursor, task: VfsTask, inode: Inode | null): boolean {
  const known = inode === null ? undefined : x.state.files.get(inode.key);
  const owned =
    inode !== null &&
    known !== undefined &&
    !known.foreign &&
    (known.owner === task.pid || isSealed(inode) || startedBy(x, task, inode.key, known.owner));
  const code = owned ? 'memfd_owner.owned' : 'memfd_owner.not_owned';
  x.rooms.trace.emit('memfd_owner.asked', { inode: inode?.key ?? 0, pid: task.pid }, REASON[code]);
  return owned;
}

export const memfdOwner = defineExtension<State>({
  name: 'memfd_owner',
  about: 'a module knows who made a memfd and who wrote it, and tells IPE as the property memfd_owned',
  setup: ['memfd_owner='],
  start: (parameters) => ({ enforce: parameters.get('memfd_owner=') === 'enforce', files: ImmutableMap() }),
  hooks: (x) => ({
    inodeInitSecurityAnon: (task, inode) => made(x, task, inode),
    filePermission: (task, file, mask) => ((mask & MAY_WRITE) !== 0 ? writes(x, task, file) : 0),
    fileTruncate: (task, file) => writes(x, task, file),
    mmapFile: (task, file, _reqprot, prot, shared) =>
      file !== null && shared && (prot & PROT_WRITE) !== 0 ? writes(x, task, file) : 0,
    fileMprotect: (task, id, _reqprot, prot) => {
      const { file, shared } = x.rooms.vfs.mapping(id);
      return file !== null && shared && (prot & PROT_WRITE) !== 0 ? writes(x, task, file) : 0;
    },
    inodeFree: (inode) => {
      if (x.state.files.has(inode)) x.state = { ...x.state, files: x.state.files.delete(inode) };
    },
  }),
  ipeProperties: [
    {
      name: 'memfd_owned',
      kind: 'boolean',
      option: null,
      evaluate: (x, { task, inode }, wanted) => isOwned(x, task, inode) === wanted,
    },
  ],
});
