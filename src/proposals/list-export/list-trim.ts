// Delete-N (named in the 2020 thread, posted in 2025): a program saves the list by itself, then tells the
// kernel how many records to drop from its beginning. Records that came in between stay. Two programs that
// both saved N and both say so drop 2N.

import { fromLatin1 } from '../../base/bytes.ts';
import { fail, ok, type Result } from '../../base/errno.ts';
import { defineExtension, type ExtensionCursor } from '../../kernel/extension.ts';
import { CAP_SYS_ADMIN } from '../../vfs/constants.ts';
import { capable } from '../../vfs/perm.ts';
import type { VfsTask } from '../../vfs/types.ts';
import { EXPORT_REASON } from './reasons.ts';
import { takeRecords } from './records.ts';

interface State {
  readonly trimmed: number;
}

/** Deletes the first records; EPERM, EINVAL (no number) or ENOENT (fewer records than that). */
export function trimRecords(x: ExtensionCursor<unknown>, task: VfsTask, text: string): Result<number> {
  const { kernel, ima, trace } = x.rooms;
  if (!capable(task.cred, CAP_SYS_ADMIN))
    return fail(kernel.refuse('EPERM', EXPORT_REASON['list_export.not_capable']));
  if (!/^[1-9]\d{0,8}\n?$/.test(text)) return fail('EINVAL');
  const n = Number.parseInt(text, 10);
  if (n > ima.state.list.length)
    return fail(kernel.refuse('ENOENT', EXPORT_REASON['list_trim.too_many'], { n }));
  takeRecords(x.rooms, n);
  trace.emit('list_trim.trimmed', { n }, EXPORT_REASON['list_trim.trimmed']);
  return ok(n);
}

export const listTrim = defineExtension<State>({
  name: 'list_trim',
  about: 'a program that saved the measurement list lets the kernel drop its first N records',
  start: () => ({ trimmed: 0 }),
  nodes: (x) => [
    {
      path: 'integrity/ima/trim_list',
      mode: 0o200,
      node: {
        write: (task, _file, data) => {
          const done = trimRecords(x, task, fromLatin1(data));
          if (!done.ok) return done;
          x.state = { trimmed: x.state.trimmed + done.value };
          return ok(data.length);
        },
      },
    },
  ],
});
