// The API of the integrity service as calls: what another part of the kernel would call to have its own data
// measured, and the two programs around it: integrity_load, which writes a policy file without its comments,
// and a question that shows what each detector of changes would say.

import { fromLatin1, latin1, toHex, utf8 } from '../../base/bytes.ts';
import { fail, ok, type Result } from '../../base/errno.ts';
import type { ExtensionCall, PlainRecord } from '../../kernel/extension.ts';
import { TaskSyscalls } from '../../kernel/syscalls.ts';
import { MAY_EXEC, MAY_READ, O_RDONLY, O_WRONLY } from '../../vfs/constants.ts';
import type { VfsTask } from '../../vfs/types.ts';
import { changed, DETECTORS, stampsOf } from './change.ts';
import type { LimFunc } from './policy.ts';
import { collectMeasurement, type LimCursor, mustMeasure, storeFile, type Target } from './provider.ts';
import { type Display, type LimState, storeTemplate } from './store.ts';

type Call = ExtensionCall<LimState>;

const text = (args: PlainRecord, name: string, fallback = ''): string => String(args[name] ?? fallback);

function targetOf(x: LimCursor, task: VfsTask, args: PlainRecord): Result<Target> {
  const { vfs } = x.rooms;
  const found = vfs.lookup(task, text(args, 'path'));
  return found.ok ? ok({ path: found.value, inode: vfs.inodeOf(found.value) }) : found;
}

/** register_template(): a kind of data with its template_display(); EEXIST when the kind is there. */
const registerTemplate: Call = (x, _task, args) => {
  const kind = text(args, 'kind');
  const display = text(args, 'display', 'hex');
  if (!/^[\w-]{1,255}$/.test(kind) || !['text', 'hex'].includes(display)) return fail('EINVAL');
  if (kind === 'ima' || x.state.kinds.has(kind)) return fail('EEXIST');
  x.state = { ...x.state, kinds: x.state.kinds.set(kind, display as Display) };
  return ok({});
};

const askMustMeasure: Call = (x, task, args) => {
  const target = targetOf(x, task, args);
  if (!target.ok) return target;
  const func = text(args, 'func', 'INODE_PERMISSION') as LimFunc;
  const mask = func === 'INODE_PERMISSION' ? MAY_READ : MAY_EXEC;
  const err = mustMeasure(x, task, target.value, func, mask);
  return err === 0 ? ok({ measure: true }) : fail(err);
};

const collect: Call = (x, task, args) => {
  const target = targetOf(x, task, args);
  if (!target.ok) return target;
  const digest = collectMeasurement(x, target.value);
  return digest.ok ? ok({ digest: toHex(digest.value) }) : digest;
};

/** store_measurement(): of a file by its path, or generic template data. It returns nothing at all. */
const store: Call = (x, task, args) => {
  const kind = text(args, 'kind', 'ima');
  if (kind !== 'ima') {
    const told = { task, op: 'add_template_measure', name: kind, inode: null };
    storeTemplate(x, kind, utf8(text(args, 'data')), false, told);
    return ok({});
  }
  const target = targetOf(x, task, args);
  if (!target.ok) return ok({});
  const digest = collectMeasurement(x, target.value);
  if (digest.ok) storeFile(x, task, target.value, digest.value);
  return ok({});
};

/** What each detector would say of a file that was measured; ENODATA when nothing is remembered of it. */
const askDetectors: Call = (x, task, args) => {
  const target = targetOf(x, task, args);
  if (!target.ok) return target;
  const { inode } = target.value;
  const known = x.state.measured.get(inode.key);
  if (known === undefined) return fail('ENODATA');
  const now = stampsOf(inode, x.rooms.vfs.superblock(inode.sb));
  return ok(Object.fromEntries(DETECTORS.map((d) => [d, changed(d, known.stamps, now)])));
};

function slurp(sys: TaskSyscalls, path: string): Result<string> {
  const fd = sys.open(path, O_RDONLY);
  if (!fd.ok) return fd;
  const parts: string[] = [];
  for (;;) {
    const piece = sys.read(fd.value, 4096);
    if (!piece.ok) return piece;
    if (piece.value.length === 0) break;
    parts.push(fromLatin1(piece.value));
  }
  sys.close(fd.value);
  return ok(parts.join(''));
}

/**
 * The program of the message: lines that begin with `#` are shown, every other line is one write(2), and the
 * first that is refused ends it.
 */
const integrityLoad: Call = (x, task, args) => {
  const sys = new TaskSyscalls(x.rooms.kernel, task.pid);
  const policy = slurp(sys, text(args, 'policy'));
  if (!policy.ok) return policy;
  const fd = sys.open(text(args, 'to', '/sys/kernel/security/ima/policy'), O_WRONLY);
  if (!fd.ok) return fd;
  const comments: string[] = [];
  let wrote = 0;
  for (const line of policy.value.split(/(?<=\n)/)) {
    if (line.startsWith('#')) {
      comments.push(line.trimEnd());
      continue;
    }
    const done = sys.write(fd.value, latin1(line));
    if (!done.ok) {
      sys.close(fd.value);
      return done;
    }
    wrote++;
  }
  sys.close(fd.value);
  return ok({ wrote, comments });
};

export const LIM_CALLS: { readonly [name: string]: Call } = {
  integrity_register_template: registerTemplate,
  integrity_must_measure: askMustMeasure,
  integrity_collect_measurement: collect,
  integrity_store_measurement: store,
  integrity_detectors: askDetectors,
  integrity_load: integrityLoad,
};
