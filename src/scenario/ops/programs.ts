// Operations that run or map code: exec, fexec, memory mappings, kernel modules, kexec.

import { z } from 'zod';
import { fromLatin1 } from '../../base/bytes.ts';
import type { Result } from '../../base/errno.ts';
import type { ExecOutcome } from '../../kernel/api.ts';
import { O_CLOEXEC, PROT_EXEC, PROT_READ, PROT_WRITE } from '../../vfs/constants.ts';
import { FLAGS, onSlot, openFlags, PATH, SLOT } from './files.ts';
import { slurp } from './slurp.ts';
import {
  ActorKilled,
  bytesOf,
  DATA,
  defineOp,
  errName,
  failedAt,
  NUMBER,
  num,
  type OpDeclaration,
  type OpResult,
  result,
} from './types.ts';

const SIGSEGV = 11;
const KEXEC_FILE_NO_INITRAMFS = 4;

export const ARGV = {
  argv0: z.string().optional(),
  argv1: z.string().optional(),
  argv2: z.string().optional(),
};

export interface Argv {
  readonly argv0?: string | undefined;
  readonly argv1?: string | undefined;
  readonly argv2?: string | undefined;
}

/** argv ends at the first argument that is missing, as a NULL ends it. */
export function argvOf(program: string, args: Argv): string[] {
  const argv = [args.argv0 ?? program];
  if (args.argv1 === undefined) return argv;
  argv.push(args.argv1);
  if (args.argv2 !== undefined) argv.push(args.argv2);
  return argv;
}

export function outcome(ran: Result<ExecOutcome>): OpResult {
  if (!ran.ok) return result(ran.errno);
  const { exit, signal } = ran.value;
  return signal === undefined ? { err: 'OK', exit: exit ?? 0 } : { err: 'OK', signal };
}

const CHECK = z
  .boolean()
  .optional()
  .describe('Only asks, as an interpreter does (AT_EXECVE_CHECK); nothing runs.');

const exec = defineOp({
  name: 'exec',
  help: 'runs a program in a child and waits; `exit` or `signal` is its end',
  args: { path: PATH, ...ARGV, check: CHECK },
  run({ actor: { sys } }, args) {
    const argv = argvOf(args.path, args);
    return args.check === true
      ? result(sys.execveCheck(args.path, argv))
      : outcome(sys.exec(args.path, argv));
  },
});

const fexec = defineOp({
  name: 'fexec',
  help: 'runs the program that a slot has open (execveat with AT_EMPTY_PATH)',
  args: { slot: SLOT, ...ARGV, check: CHECK },
  run: (context, args) =>
    onSlot(context, args, (sys, fd) => {
      const argv = argvOf('x', args);
      return args.check === true ? result(sys.execveCheck(fd, argv)) : outcome(sys.fexec(fd, argv));
    }),
});

/** PROT_* of letters: r, w, x. */
function protOf(letters: string): number {
  let prot = 0;
  for (const c of letters) prot |= c === 'r' ? PROT_READ : c === 'w' ? PROT_WRITE : c === 'x' ? PROT_EXEC : 0;
  return prot;
}

const PROT = z.string().optional().describe('Letters r, w, x; default r.');

const mmap = defineOp({
  name: 'mmap',
  help: 'maps a file (by path or slot) or anonymous memory; kept when `map` names it',
  args: {
    path: PATH.optional(),
    slot: z.string().optional(),
    flags: FLAGS,
    prot: PROT,
    share: z.string().optional().describe('private (default) or shared.'),
    map: z.string().optional(),
    len: NUMBER.optional(),
  },
  run({ actor }, args) {
    const { sys } = actor;
    let fd: number | null = null;
    let own = false;
    if (args.path !== undefined) {
      const opened = sys.open(args.path, openFlags(args.flags ?? 'rdonly'));
      if (!opened.ok) return failedAt('open', opened.errno);
      fd = opened.value;
      own = true;
    } else if (args.slot !== undefined) {
      const kept = actor.fd(args.slot);
      if (kept === undefined) return { err: 'EBADF' };
      fd = kept;
    }
    const length = num(args.len, 4096);
    const shared = (args.share ?? 'private').includes('shared');
    const mapped = sys.mmap({ fd, length, prot: protOf(args.prot ?? 'r'), shared });
    if (own && fd !== null) sys.close(fd);
    if (!mapped.ok) return failedAt('mmap', mapped.errno);
    if (args.map !== undefined) actor.setMap(args.map, { mapping: mapped.value, length });
    else sys.munmap(mapped.value);
    return { err: 'OK' };
  },
});

const MAP = z.string().optional().describe('Name of a kept mapping.');

const mprotect = defineOp({
  name: 'mprotect',
  help: 'mprotect(2) of a whole kept mapping',
  args: { map: MAP, prot: PROT },
  run({ actor }, args) {
    const kept = actor.map(args.map ?? '');
    if (kept === undefined) return { err: 'EBADF' };
    return result(actor.sys.mprotect(kept.mapping, protOf(args.prot ?? 'r')));
  },
});

const munmap = defineOp({
  name: 'munmap',
  help: 'munmap(2) of a kept mapping',
  args: { map: MAP },
  run({ actor }, args) {
    const name = args.map ?? '';
    const kept = actor.map(name);
    if (kept === undefined) return { err: 'EBADF' };
    actor.dropMap(name);
    return result(actor.sys.munmap(kept.mapping));
  },
});

const pokemap = defineOp({
  name: 'pokemap',
  help: 'stores bytes at the start of a kept mapping; a fault kills the process',
  args: { map: MAP, data: DATA.optional() },
  run({ actor }, args) {
    const kept = actor.map(args.map ?? '');
    if (kept === undefined) return { err: 'EBADF' };
    const err = actor.sys.poke(kept.mapping, 0, bytesOf(args.data));
    if (err !== 0) throw new ActorKilled(SIGSEGV);
    return { err: 'OK' };
  },
});

const peekmap = defineOp({
  name: 'peekmap',
  help: 'loads bytes from the start of a kept mapping and returns them as text',
  args: { map: MAP, n: NUMBER.optional().describe('How many; default 16.') },
  run({ actor }, args) {
    const kept = actor.map(args.map ?? '');
    if (kept === undefined) return { err: 'EBADF' };
    const bytes = actor.sys.peek(kept.mapping, 0, num(args.n, 16));
    if (!bytes.ok) throw new ActorKilled(SIGSEGV);
    const end = bytes.value.indexOf(0);
    return { err: 'OK', text: fromLatin1(end < 0 ? bytes.value : bytes.value.subarray(0, end)) };
  },
});

const finitModule = defineOp({
  name: 'finit_module',
  help: 'opens a module file and loads it with finit_module(2)',
  args: { path: PATH, params: z.string().optional(), mflags: NUMBER.optional() },
  run({ actor: { sys } }, args) {
    const fd = sys.open(args.path, O_CLOEXEC);
    if (!fd.ok) return failedAt('open', fd.errno);
    const err = sys.finitModule(fd.value, args.params ?? '', num(args.mflags, 0));
    sys.close(fd.value);
    return result(err);
  },
});

const initModule = defineOp({
  name: 'init_module',
  help: 'reads a module file and loads the bytes with init_module(2)',
  args: { path: PATH, params: z.string().optional() },
  run({ actor: { sys } }, args) {
    const image = slurp(sys, args.path);
    if (!image.ok) return failedAt('open', image.errno);
    return result(sys.initModule(image.value, args.params ?? ''));
  },
});

const deleteModule = defineOp({
  name: 'delete_module',
  help: 'delete_module(2), not waiting',
  args: { name: z.string() },
  run: ({ actor: { sys } }, args) => result(sys.deleteModule(args.name)),
});

const kexecFile = defineOp({
  name: 'kexec_file',
  help: 'opens a kernel image (and an initrd) and loads them with kexec_file_load(2)',
  args: {
    path: PATH,
    initrd: z.string().optional(),
    cmdline: z.string().optional(),
    kflags: NUMBER.optional(),
  },
  run({ actor: { sys } }, args) {
    let flags = num(args.kflags, 0);
    const kernel = sys.open(args.path, O_CLOEXEC);
    if (!kernel.ok) return failedAt('open', kernel.errno);
    let initrd: number | null = null;
    if (args.initrd !== undefined) {
      const opened = sys.open(args.initrd, O_CLOEXEC);
      if (!opened.ok) {
        sys.close(kernel.value);
        return failedAt('open_initrd', opened.errno);
      }
      initrd = opened.value;
    } else flags |= KEXEC_FILE_NO_INITRAMFS;
    const err = sys.kexecFileLoad(kernel.value, initrd, args.cmdline ?? '', flags);
    sys.close(kernel.value);
    if (initrd !== null) sys.close(initrd);
    return { err: errName(err) };
  },
});

const kexecLoad = defineOp({
  name: 'kexec_load',
  help: 'reads a kernel (and an initrd) itself and loads them with kexec_load(2); without a path it unloads',
  args: {
    kflags: NUMBER.optional(),
    path: PATH.optional(),
    initrd: z.string().optional(),
    cmdline: z.string().optional(),
  },
  run({ actor: { sys } }, args) {
    const flags = num(args.kflags, 0);
    if (args.path === undefined) return result(sys.kexecLoad(flags));
    const kernel = slurp(sys, args.path);
    if (!kernel.ok) return failedAt('open', kernel.errno);
    const initrd = args.initrd === undefined ? null : slurp(sys, args.initrd);
    if (initrd !== null && !initrd.ok) return failedAt('open_initrd', initrd.errno);
    const segments = {
      cmdline: args.cmdline ?? '',
      kernelLength: kernel.value.length,
      initrdLength: initrd === null ? null : initrd.value.length,
    };
    return result(sys.kexecLoad(flags, segments));
  },
});

const personality = defineOp({
  name: 'personality',
  help: 'personality(2); returns the old one. 0x400000 is READ_IMPLIES_EXEC',
  args: { persona: NUMBER },
  run: ({ actor: { sys } }, args) => ({ err: 'OK', before: sys.personality(num(args.persona, 0)) }),
});

const call = defineOp({
  name: 'call',
  help: 'a system call that a design of `machine.proposals` brings; its results are members of the outcome',
  args: {
    name: z.string().describe('Name of the call.'),
    args: z.record(z.string(), z.json()).optional().describe('Its arguments, by name.'),
  },
  run({ actor: { sys } }, { name, args }) {
    const done = sys.call(name, args ?? {});
    return done.ok ? { err: 'OK', ...done.value } : result(done.errno);
  },
});

export const PROGRAM_OPS: readonly OpDeclaration[] = [
  exec,
  fexec,
  mmap,
  mprotect,
  munmap,
  pokemap,
  peekmap,
  finitModule,
  initModule,
  deleteModule,
  kexecFile,
  kexecLoad,
  personality,
  call,
];
