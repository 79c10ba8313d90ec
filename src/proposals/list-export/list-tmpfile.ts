// The list in an anonymous file (Goldstein, 2020): records move into a file that only the kernel has, whose
// pages can be swapped out; every node of securityfs reads as before, and kexec still carries everything.
// The records themselves are kept as values here; only the memory that the kernel counts for the list
// falls.

import { utf8 } from '../../base/bytes.ts';
import { type Err, ok } from '../../base/errno.ts';
import { append, emptyList, toArray } from '../../base/list.ts';
import { defineExtension, type ExtensionCursor, type ExtensionNode } from '../../kernel/extension.ts';
import { EXPORT_REASON } from './reasons.ts';
import {
  exportedBytes,
  listMemory,
  listNodes,
  type Records,
  shownRecords,
  takeRecords,
  withRecordsBefore,
} from './records.ts';

interface State {
  readonly backed: Records;
  /** Bytes in the anonymous file. */
  readonly bytes: number;
}

type Cursor = ExtensionCursor<State>;

function moveToFile(x: Cursor): Err {
  const { rooms } = x;
  const n = rooms.ima.state.list.length;
  if (n === 0) return 0;
  const records = takeRecords(rooms, n);
  const bytes = exportedBytes(rooms, records).length;
  const backed = toArray(records).reduce(append, x.state.backed);
  x.state = { backed, bytes: x.state.bytes + bytes };
  rooms.trace.emit('list_tmpfile.moved', { records: n, bytes }, EXPORT_REASON['list_tmpfile.moved']);
  return 0;
}

/** The list nodes of IMA, which read the file first and then what is still in memory. */
function nodesOverFile(x: Cursor): readonly ExtensionNode[] {
  const { rooms } = x;
  return listNodes(rooms).map(({ path, mode, slot, form }) => {
    const read = () =>
      ok(
        withRecordsBefore(rooms, x.state.backed, () => shownRecords(rooms, rooms.ima.state.list, slot, form)),
      );
    return { path, mode, node: { read } };
  });
}

export const listTmpfile = defineExtension<State>({
  name: 'list_tmpfile',
  about: 'the measurement list lies in an anonymous file of the kernel and reads as before',
  start: () => ({ backed: emptyList(), bytes: 0 }),
  place: 'last',
  hooks: (x) => ({
    filePostOpen: () => moveToFile(x),
    bprmCheck: () => moveToFile(x),
    mmapFile: () => moveToFile(x),
  }),
  listeners: (x) => ({
    kexecSegment: (pages) =>
      withRecordsBefore(x.rooms, x.state.backed, () => x.rooms.ima.kexecSegmentSize(pages)),
    kexecBuffer: (segment) =>
      withRecordsBefore(x.rooms, x.state.backed, () => x.rooms.ima.kexecBuffer(segment)),
  }),
  nodes: (x) => [
    ...nodesOverFile(x),
    {
      path: 'integrity/ima/list_memory',
      mode: 0o440,
      node: { read: () => ok(utf8(`kernel ${listMemory(x.rooms)} file ${x.state.bytes}\n`)) },
    },
  ],
});
