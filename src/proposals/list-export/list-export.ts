// Export by the kernel (Karhunen 2020, supported by Safford): the kernel itself writes all records to a
// file and frees them, all or nothing. A maximum of records makes it do so by itself, to PATH.1, PATH.2 and
// so on. The posting does not say who owns the file; here it belongs to the kernel's own task.

import { fromLatin1 } from '../../base/bytes.ts';
import { type Err, fail, ok } from '../../base/errno.ts';
import { toArray } from '../../base/list.ts';
import { bootTask } from '../../kernel/boot-task.ts';
import { defineExtension, type ExtensionCursor } from '../../kernel/extension.ts';
import { CAP_SYS_ADMIN, O_APPEND, O_CREAT, O_WRONLY, S_IFMT, S_IFREG } from '../../vfs/constants.ts';
import { capable } from '../../vfs/perm.ts';
import type { FileId, VfsTask } from '../../vfs/types.ts';
import { EXPORT_REASON } from './reasons.ts';
import { exportedBytes, flushHtable, takeRecords } from './records.ts';

interface State {
  /** Records after which the kernel exports by itself; 0 = never. */
  readonly maximum: number;
  /** Files written by itself so far. */
  readonly flushes: number;
  readonly prefix: string;
  /** An export is under way; what its own file makes IMA record does not start another. */
  readonly running: boolean;
}

type Cursor = ExtensionCursor<State>;

/** Writes everything or nothing; an earlier content of the file stays. */
function writeAll(x: Cursor, task: VfsTask, file: FileId, bytes: Uint8Array): Err {
  const { vfs } = x.rooms;
  const before = vfs.fstat(file);
  const wrote = vfs.write(task, file, bytes);
  if (wrote.ok && wrote.value === bytes.length) return 0;
  if ((before.mode & S_IFMT) === S_IFREG) vfs.ftruncate(task, file, before.size);
  return wrote.ok ? 'ENOSPC' : wrote.errno;
}

function exportList(x: Cursor, path: string): Err {
  const { vfs, ima, trace } = x.rooms;
  const task = bootTask(x.rooms);
  const file = vfs.open(task, path, O_WRONLY | O_CREAT | O_APPEND, 0o600, 'kernel');
  if (!file.ok) return file.errno;
  // Counted after the open: IMA may have recorded the file that is to hold the list.
  const records = ima.state.list;
  const err = writeAll(x, task, file.value, exportedBytes(x.rooms, records));
  vfs.put(task, file.value);
  const told = { path, records: records.length, errno: err };
  if (err !== 0) {
    trace.emit('list_export.failed', told, EXPORT_REASON['list_export.failed']);
    return err;
  }
  takeRecords(x.rooms, toArray(records).length);
  flushHtable(x.rooms);
  trace.emit('list_export.exported', told, EXPORT_REASON['list_export.exported']);
  return 0;
}

/** The work queue of the announced second patch, run where IMA may have added a record. */
function flushWhenFull(x: Cursor): Err {
  const { maximum, flushes, prefix, running } = x.state;
  if (maximum === 0 || running || x.rooms.ima.state.list.length < maximum) return 0;
  x.state = { ...x.state, running: true };
  const err = exportList(x, `${prefix}.${flushes + 1}`);
  x.state = { ...x.state, running: false, flushes: err === 0 ? flushes + 1 : flushes };
  return 0;
}

export const listExport = defineExtension<State>({
  name: 'list_export',
  about: 'the kernel writes the measurement list to a file and frees it, all or nothing',
  setup: ['ima_list_max=', 'ima_list_path='],
  start: (parameters) => ({
    maximum: Number(parameters.get('ima_list_max=') ?? 0) || 0,
    flushes: 0,
    prefix: parameters.get('ima_list_path=') ?? '/log',
    running: false,
  }),
  place: 'last',
  hooks: (x) => ({
    filePostOpen: () => flushWhenFull(x),
    bprmCheck: () => flushWhenFull(x),
    mmapFile: () => flushWhenFull(x),
  }),
  nodes: (x) => [
    {
      path: 'integrity/ima/export_list',
      mode: 0o200,
      node: {
        write: (task, _file, data) => {
          const path = fromLatin1(data).replace(/\n$/, '');
          if (!capable(task.cred, CAP_SYS_ADMIN))
            return fail(x.rooms.kernel.refuse('EPERM', EXPORT_REASON['list_export.not_capable']));
          if (!path.startsWith('/')) return fail('EINVAL');
          const err = exportList(x, path);
          return err === 0 ? ok(data.length) : fail(err);
        },
      },
    },
  ],
});
