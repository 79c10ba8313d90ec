// Staging (Sassu, merged for 7.2 as CONFIG_IMA_STAGING): `A` moves the list aside, the `_staged` nodes show
// it, `D` deletes it; a number written to a list node deletes that many records at once. Whoever writes has
// the lists for itself. Digests of deleted records still suppress duplicates unless the kernel was told to
// flush them.

import { fromLatin1 } from '../../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../../base/errno.ts';
import { emptyList } from '../../base/list.ts';
import { defineExtension, type ExtensionCursor, type ExtensionNode } from '../../kernel/extension.ts';
import type { PseudoNode } from '../../vfs/api.ts';
import { CAP_SYS_ADMIN, O_ACCMODE, O_RDONLY } from '../../vfs/constants.ts';
import { capable } from '../../vfs/perm.ts';
import type { VfsTask } from '../../vfs/types.ts';
import { trimRecords } from './list-trim.ts';
import { EXPORT_REASON } from './reasons.ts';
import {
  flushHtable,
  listNodes,
  type Records,
  shownRecords,
  takeRecords,
  withRecordsBefore,
} from './records.ts';

interface State {
  readonly staged: Records | null;
  /** ima_flush_htable. */
  readonly flush: boolean;
  /** Open instances: how many read only, and who writes (0 = nobody) how often. */
  readonly readers: number;
  readonly writer: number;
  readonly writes: number;
}

type Cursor = ExtensionCursor<State>;

/**
 * Readers together, or one process that writes. @kernel security/integrity/ima/ima_fs.c
 * _ima_measurements_open()
 */
function openNode(x: Cursor, task: VfsTask, flags: number): Err {
  const { readers, writer, writes } = x.state;
  const busy = (): Err => x.rooms.kernel.refuse('EBUSY', EXPORT_REASON['list_staging.busy']);
  if ((flags & O_ACCMODE) === O_RDONLY) {
    if (writer !== 0) return busy();
    x.state = { ...x.state, readers: readers + 1 };
    return 0;
  }
  if (!capable(task.cred, CAP_SYS_ADMIN))
    return x.rooms.kernel.refuse('EPERM', EXPORT_REASON['list_export.not_capable']);
  if (readers > 0 || (writer !== 0 && writer !== task.pid)) return busy();
  x.state = { ...x.state, writer: task.pid, writes: writes + 1 };
  return 0;
}

function releaseNode(x: Cursor, flags: number): void {
  const { readers, writes } = x.state;
  if ((flags & O_ACCMODE) === O_RDONLY) x.state = { ...x.state, readers: readers - 1 };
  else x.state = { ...x.state, writes: writes - 1, writer: writes > 1 ? x.state.writer : 0 };
}

/**
 * `A` and `D`. @kernel security/integrity/ima/ima_queue.c ima_queue_stage(),
 * ima_queue_staged_delete_all()
 */
function stageOrDelete(x: Cursor, text: string): Err {
  const { rooms } = x;
  const n = rooms.ima.state.list.length;
  switch (text.trimEnd()) {
    case 'A':
      if (x.state.staged !== null)
        return rooms.kernel.refuse('EEXIST', EXPORT_REASON['list_staging.staged_already']);
      if (n === 0) return 'ENOENT';
      x.state = { ...x.state, staged: takeRecords(rooms, n) };
      rooms.trace.emit('list_staging.staged', { records: n }, EXPORT_REASON['list_staging.staged']);
      return 0;
    case 'D':
      if (x.state.staged === null) return 'ENOENT';
      rooms.trace.emit(
        'list_staging.deleted',
        { records: x.state.staged.length },
        EXPORT_REASON['list_staging.deleted'],
      );
      x.state = { ...x.state, staged: null };
      if (x.state.flush) flushHtable(rooms);
      return 0;
    default:
      return 'EINVAL';
  }
}

function node(x: Cursor, read: () => Uint8Array, write: (task: VfsTask, text: string) => Err): PseudoNode {
  return {
    open: (task, _file, flags) => openNode(x, task, flags),
    read: () => ok(read()),
    write: (task, _file, data): Result<number> => {
      const err = write(task, fromLatin1(data));
      return err === 0 ? ok(data.length) : fail(err);
    },
    release: (_task, file) => releaseNode(x, x.rooms.vfs.file(file).flags),
  };
}

function stagingNodes(x: Cursor): readonly ExtensionNode[] {
  const { rooms } = x;
  const trim = (task: VfsTask, text: string): Err => {
    const done = trimRecords(x, task, text);
    return done.ok ? 0 : done.errno;
  };
  return listNodes(rooms).flatMap(({ path, slot, form }) => {
    const shown = (records: () => Records) => () => shownRecords(rooms, records(), slot, form);
    const current = shown(() => rooms.ima.state.list);
    const staged = shown(() => x.state.staged ?? emptyList());
    return [
      { path, mode: 0o660, node: node(x, current, trim) },
      { path: `${path}_staged`, mode: 0o660, node: node(x, staged, (_task, text) => stageOrDelete(x, text)) },
    ];
  });
}

export const listStaging = defineExtension<State>({
  name: 'list_staging',
  about: 'the measurement list is moved aside, saved by a program, and deleted on its word',
  setup: ['ima_flush_htable'],
  start: (parameters) => ({
    staged: null,
    flush: parameters.has('ima_flush_htable'),
    readers: 0,
    writer: 0,
    writes: 0,
  }),
  listeners: (x) => {
    const whole = <T>(look: () => T): T => withRecordsBefore(x.rooms, x.state.staged ?? emptyList(), look);
    return {
      kexecSegment: (pages) => whole(() => x.rooms.ima.kexecSegmentSize(pages)),
      kexecBuffer: (segment) => whole(() => x.rooms.ima.kexecBuffer(segment)),
    };
  },
  nodes: stagingNodes,
});
