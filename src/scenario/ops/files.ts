// Operations on files by path and by slot (a named descriptor): write, read, cat, open, close, and what
// works on an open file. Each makes the same system calls in the same order as the program that recorded
// the real kernel.

import { z } from 'zod';
import { fromLatin1, toHex } from '../../base/bytes.ts';
import type { Err } from '../../base/errno.ts';
import {
  MFD_CLOEXEC,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
} from '../../vfs/constants.ts';
import type { Content } from '../../vfs/types.ts';
import type { Sys } from '../session.ts';
import { slurp } from './slurp.ts';
import {
  bytesOf,
  contentOf,
  DATA,
  defineOp,
  errName,
  failedAt,
  NUMBER,
  num,
  type OpContext,
  type OpDeclaration,
  type OpResult,
  result,
} from './types.ts';

const FLAG_WORDS: { readonly [word: string]: number } = {
  wronly: O_WRONLY,
  rdwr: O_RDWR,
  creat: O_CREAT,
  trunc: O_TRUNC,
  append: O_APPEND,
  direct: O_DIRECT,
  excl: O_EXCL,
  path: O_PATH,
  tmpfile: O_TMPFILE,
  nofollow: O_NOFOLLOW,
};

/** open(2) flags of "wronly|creat|trunc"; unknown words are nothing, as "rdonly" is. */
export function openFlags(words: string): number {
  let flags = O_CLOEXEC;
  for (const word of words.split('|')) flags |= FLAG_WORDS[word] ?? 0;
  return flags;
}

export const PATH = z.string().describe('Path; UTF-8 on the machine.');
export const SLOT = z.string().optional().describe('Name of an open descriptor; default f.');
export const FLAGS = z
  .string()
  .optional()
  .describe(
    'Open flags joined by |: rdonly wronly rdwr creat trunc append direct excl nofollow path tmpfile.',
  );
export const MODE = NUMBER.optional().describe('Mode bits; "0644" is octal.');

/** Writes a whole content with write(2) calls until everything is written. */
function writeAll(sys: Sys, fd: number, content: Content): Err {
  if (content.kind === 'opaque') {
    if (sys.writeContent === undefined) return 'ENOSYS';
    const wrote = sys.writeContent(fd, content);
    return wrote.ok ? 0 : wrote.errno;
  }
  for (let offset = 0; offset < content.bytes.length; ) {
    const wrote = sys.write(fd, offset === 0 ? content.bytes : content.bytes.subarray(offset));
    if (!wrote.ok) return wrote.errno;
    offset += wrote.value;
  }
  return 0;
}

const write = defineOp({
  name: 'write',
  help: 'open (default wronly|creat|trunc), write, close',
  args: { path: PATH, data: DATA.optional(), flags: FLAGS, mode: MODE },
  run({ actor: { sys } }, args) {
    const fd = sys.open(args.path, openFlags(args.flags ?? 'wronly|creat|trunc'), num(args.mode, 0o644));
    if (!fd.ok) return failedAt('open', fd.errno);
    const out: Record<string, string> = {};
    let err = writeAll(sys, fd.value, contentOf(args.data));
    if (err !== 0) out['at_write'] = err;
    const closed = sys.close(fd.value);
    if (closed !== 0) {
      out['at_close'] = closed;
      if (err === 0) err = closed;
    }
    return { err: errName(err), ...out };
  },
});

const read = defineOp({
  name: 'read',
  help: 'open (default rdonly), read to the end, close; returns the number of bytes',
  args: { path: PATH, flags: FLAGS },
  run({ actor: { sys } }, args) {
    const fd = sys.open(args.path, openFlags(args.flags ?? 'rdonly'));
    if (!fd.ok) return failedAt('open', fd.errno);
    let bytes = 0;
    let out: OpResult = { err: 'OK' };
    for (;;) {
      const got = sys.read(fd.value, 65536);
      if (!got.ok) out = failedAt('read', got.errno);
      if (!got.ok || got.value.length === 0) break;
      bytes += got.value.length;
    }
    sys.close(fd.value);
    return { ...out, bytes };
  },
});

const cat = defineOp({
  name: 'cat',
  help: 'reads a file and returns its text (one character per byte), or its bytes as hex',
  args: { path: PATH, hex: z.union([z.boolean(), NUMBER]).optional() },
  run({ actor: { sys } }, args) {
    const got = slurp(sys, args.path);
    if (!got.ok) return result(got.errno);
    const hex = typeof args.hex === 'boolean' ? args.hex : num(args.hex, 0) !== 0;
    return hex ? { err: 'OK', hex: toHex(got.value) } : { err: 'OK', text: fromLatin1(got.value) };
  },
});

const open = defineOp({
  name: 'open',
  help: 'opens a file and keeps the descriptor in a slot',
  args: { path: PATH, slot: SLOT, flags: FLAGS, mode: MODE },
  run({ actor }, args) {
    const slot = args.slot ?? 'f';
    const fd = actor.sys.open(args.path, openFlags(args.flags ?? 'rdonly'), num(args.mode, 0o644));
    if (!fd.ok) {
      actor.dropSlot(slot);
      return result(fd.errno);
    }
    actor.setSlot(slot, fd.value);
    return { err: 'OK' };
  },
});

const memfd = defineOp({
  name: 'memfd',
  help: 'memfd_create into a slot, and a write when data is given',
  args: {
    slot: SLOT,
    name: z.string().optional(),
    data: DATA.optional(),
    mflags: NUMBER.optional().describe('1 close-on-exec (default), 2 sealing allowed, 3 both, 0 neither.'),
  },
  run({ actor }, args) {
    const fd = actor.sys.memfdCreate(args.name ?? 'm', num(args.mflags, MFD_CLOEXEC));
    if (!fd.ok) return result(fd.errno);
    actor.setSlot(args.slot ?? 'f', fd.value);
    if (args.data === undefined) return { err: 'OK' };
    const wrote = actor.sys.write(fd.value, bytesOf(args.data));
    return result(wrote.ok ? 0 : wrote.errno);
  },
});

/** Runs on the descriptor of a slot; EBADF when nothing is kept under that name. */
export function onSlot(
  { actor }: OpContext,
  args: { readonly slot?: string | undefined },
  run: (sys: Sys, fd: number, slot: string) => OpResult,
): OpResult {
  const slot = args.slot ?? 'f';
  const fd = actor.fd(slot);
  return fd === undefined ? { err: 'EBADF' } : run(actor.sys, fd, slot);
}

const addSeals = defineOp({
  name: 'add_seals',
  help: 'seals the memfd of a slot (F_ADD_SEALS): 1 seal, 2 shrink, 4 grow, 8 write, added up',
  args: { slot: SLOT, seals: NUMBER },
  run: (context, args) => onSlot(context, args, (sys, fd) => result(sys.addSeals(fd, num(args.seals, 0)))),
});

const close = defineOp({
  name: 'close',
  help: 'closes the descriptor of a slot',
  args: { slot: SLOT },
  run: (context, args) =>
    onSlot(context, args, (sys, fd, slot) => {
      context.actor.dropSlot(slot);
      return result(sys.close(fd));
    }),
});

const dup = defineOp({
  name: 'dup',
  help: 'duplicates the descriptor of a slot into another slot',
  args: { slot: SLOT, to: z.string().optional() },
  run: (context, args) =>
    onSlot(context, args, (sys, fd) => {
      const copy = sys.dup(fd);
      if (!copy.ok) return result(copy.errno);
      context.actor.setSlot(args.to ?? 'g', copy.value);
      return { err: 'OK' };
    }),
});

const writefd = defineOp({
  name: 'writefd',
  help: 'write(2) on a slot',
  args: { slot: SLOT, data: DATA.optional() },
  run: (context, args) =>
    onSlot(context, args, (sys, fd) => {
      const wrote = sys.write(fd, bytesOf(args.data));
      return result(wrote.ok ? 0 : wrote.errno);
    }),
});

const pwritefd = defineOp({
  name: 'pwritefd',
  help: 'pwrite(2) on a slot at offset off',
  args: { slot: SLOT, data: DATA.optional(), off: NUMBER.optional() },
  run: (context, args) =>
    onSlot(context, args, (sys, fd) => {
      const wrote = sys.pwrite(fd, bytesOf(args.data), num(args.off, 0));
      return result(wrote.ok ? 0 : wrote.errno);
    }),
});

const readfd = defineOp({
  name: 'readfd',
  help: 'one read(2) of at most n (4096) bytes on a slot; returns the number of bytes',
  args: { slot: SLOT, n: NUMBER.optional() },
  run: (context, args) =>
    onSlot(context, args, (sys, fd) => {
      const got = sys.read(fd, Math.min(num(args.n, 4096), 4096));
      return got.ok ? { err: 'OK', bytes: got.value.length } : result(got.errno);
    }),
});

const ftruncate = defineOp({
  name: 'ftruncate',
  help: 'ftruncate(2) on a slot',
  args: { slot: SLOT, len: NUMBER.optional() },
  run: (context, args) => onSlot(context, args, (sys, fd) => result(sys.ftruncate(fd, num(args.len, 0)))),
});

const fsync = defineOp({
  name: 'fsync',
  help: 'fsync(2) on a slot',
  args: { slot: SLOT },
  run: (context, args) => onSlot(context, args, (sys, fd) => result(sys.fsync(fd))),
});

const fchmod = defineOp({
  name: 'fchmod',
  help: 'fchmod(2) on a slot',
  args: { slot: SLOT, mode: MODE },
  run: (context, args) => onSlot(context, args, (sys, fd) => result(sys.fchmod(fd, num(args.mode, 0o644)))),
});

const fsetxattr = defineOp({
  name: 'fsetxattr',
  help: 'fsetxattr(2) on a slot',
  args: { slot: SLOT, name: z.string(), data: DATA.optional(), xflags: NUMBER.optional() },
  run: (context, args) =>
    onSlot(context, args, (sys, fd) =>
      result(sys.fsetxattr(fd, args.name, bytesOf(args.data), num(args.xflags, 0))),
    ),
});

const truncate = defineOp({
  name: 'truncate',
  help: 'truncate(2) by path',
  args: { path: PATH, len: NUMBER.optional() },
  run: ({ actor: { sys } }, args) => result(sys.truncate(args.path, num(args.len, 0))),
});

export const FILE_OPS: readonly OpDeclaration[] = [
  write,
  read,
  cat,
  open,
  memfd,
  addSeals,
  close,
  dup,
  writefd,
  pwritefd,
  readfd,
  ftruncate,
  fsync,
  fchmod,
  fsetxattr,
  truncate,
];
