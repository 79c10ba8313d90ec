// execve in phases: open, prepare credentials, check, map, lock, verify, run. Each phase is one step that a
// scenario can stop after; the steps follow exec.machine.ts. What a program that runs ends with is in
// program-end.ts. Environment, argument limits and core
// dumps are left out.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import type { Err, Errno, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import { step } from '../base/table.ts';
import { O_RDONLY, PROT_EXEC, PROT_READ, PROT_WRITE, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import { isUnreadable } from '../vfs/content.ts';
import type { FileId } from '../vfs/types.ts';
import type { ExecOutcome, ExecPhase, Pid } from './api.ts';
import {
  checkArch,
  type ElfHeader,
  ET_DYN,
  ET_EXEC,
  entrySegment,
  isElf,
  PF_R,
  PF_W,
  PF_X,
  type ProgramHeader,
  PT_INTERP,
  PT_LOAD,
  readElfHeader,
  readProgramHeaders,
} from './elf.ts';
import { type ExecEvent, execTable } from './exec.machine.ts';
import { credsFromFile, isSetid, prepareExecCreds } from './exec-cred.ts';
import type { Kernel } from './kernel.ts';
import { programEnd, SIGKILL, SIGSEGV } from './program-end.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Binprm, Task } from './state.ts';
import { allowExecWrite, denyExecWrite, exitMm, exitTask, forkTask } from './task.ts';

const BINPRM_BUF_SIZE = 256;
const PATH_MAX = 4096;
const PAGE_SIZE = 4096;
const MAX_DEPTH = 5;
/** READ_IMPLIES_EXEC; a 64-bit program starts without it. */
const READ_IMPLIES_EXEC = 0x0400000;
/** PER_CLEAR_ON_SETID: what set-id programs do not inherit. */
const PER_CLEAR_ON_SETID = 0x0400000 | 0x0040000 | 0x0200000 | 0x0100000;

/** What is executed: a path, or an open descriptor (execveat with AT_EMPTY_PATH). */
export type ExecSource =
  | { readonly path: string }
  | { readonly fd: number; readonly file: FileId; readonly cloexec: boolean };

/**
 * Opens a file to execute it and keeps writers out.
 * @kernel fs/exec.c do_open_execat()
 */
function openExec(k: Kernel, task: Task, source: ExecSource, kernelName = false): Result<FileId> {
  const { vfs } = k.env;
  // An empty name given by the kernel itself is the current directory, which nobody executes.
  if ('path' in source && source.path === '' && kernelName) {
    return fail(k.refuse('EACCES', KERNEL_REASON['kernel.exec_noexec_mount']));
  }
  const opened =
    'path' in source
      ? vfs.open(task, source.path, O_RDONLY, 0, 'exec')
      : vfs.openPath(task, vfs.file(source.file).path, O_RDONLY, 'exec');
  if (!opened.ok) return opened;
  const open = vfs.file(opened.value);
  const mode = vfs.inode(open.inode).mode;
  if ((mode & S_IFMT) !== S_IFREG || vfs.mountOf(open.path.mount).noexec) {
    vfs.put(task, opened.value);
    return fail(k.refuse('EACCES', KERNEL_REASON['kernel.exec_noexec_mount']));
  }
  const denied = denyExecWrite(k, open.inode);
  if (denied !== 0) {
    vfs.put(task, opened.value);
    return fail(k.refuse(denied, KERNEL_REASON['kernel.exec_text_busy']));
  }
  return opened;
}

/** @kernel fs/exec.c do_close_execat() */
function closeExec(k: Kernel, task: Task, file: FileId): void {
  allowExecWrite(k, k.env.vfs.file(file).inode);
  k.env.vfs.put(task, file);
}

function move(
  k: Kernel,
  task: Task,
  bprm: Binprm,
  event: ExecEvent,
  change: Partial<Binprm> = {},
): ExecPhase {
  const phase = step(execTable, bprm.phase, event);
  k.patch(k.task(task.pid) ?? task, { bprm: { ...bprm, ...change, phase } });
  k.env.trace.emit('exec.phase', { pid: task.pid, phase });
  return phase;
}

/** Ends an execve before the point of no return: files are closed, the errno is kept. */
function failExec(k: Kernel, task: Task, bprm: Binprm, errno: Errno): ExecPhase {
  if (bprm.elfInterp !== null) closeExec(k, task, bprm.elfInterp);
  closeExec(k, task, bprm.file);
  return move(k, task, bprm, 'FAILED', { errno });
}

/** Ends an execve after the point of no return: the task dies of a signal, SIGSEGV from the loader. */
function killExec(k: Kernel, task: Task, bprm: Binprm, signal = SIGSEGV): ExecPhase {
  k.env.trace.emit('exec.killed', { pid: task.pid }, KERNEL_REASON['kernel.exec_killed']);
  if (bprm.elfInterp !== null) closeExec(k, task, bprm.elfInterp);
  closeExec(k, task, bprm.file);
  return move(k, task, bprm, 'KILLED', { signal });
}

/**
 * First phase, in the task that will become the program.
 * @kernel fs/exec.c alloc_bprm()
 */
export function execOpen(k: Kernel, pid: Pid, source: ExecSource, argv: readonly string[]): Err {
  const task = k.task(pid);
  if (task === undefined) return 'ESRCH';
  const opened = openExec(k, task, source);
  if (!opened.ok) return opened.errno;
  const byPath = 'path' in source;
  const bprm: Binprm = {
    phase: execTable.initial,
    filename: byPath ? source.path : `/dev/fd/${source.fd}`,
    argv: argv.length === 0 ? [''] : argv,
    file: opened.value,
    elfInterp: null,
    cred: task.cred,
    depth: 0,
    pathInaccessible: !byPath && source.cloexec,
    commFromDentry: !byPath,
    entry: null,
    signal: null,
    errno: null,
  };
  k.patch(task, { bprm });
  k.env.trace.emit('exec.phase', { pid, phase: bprm.phase, path: bprm.filename });
  return 0;
}

function execPrepare(k: Kernel, task: Task, bprm: Binprm): ExecPhase {
  const cred = prepareExecCreds(task.cred);
  const err = k.env.hooks.bprmCredsForExec(task, bprm.file, cred, false);
  if (err !== 0) return failExec(k, task, bprm, err);
  return move(k, task, bprm, 'PREPARED', { cred });
}

/**
 * execveat with AT_EXECVE_CHECK: the file is opened as a program, the modules are asked, and nothing runs.
 * Neither format nor interpreter is looked at; kernels that do not know the flag refuse it before all else.
 * @kernel fs/exec.c do_open_execat(), bprm_execve()
 */
export function execveCheck(k: Kernel, task: Task, source: ExecSource): Err {
  const opened = openExec(k, task, source);
  if (!opened.ok) return opened.errno;
  const cred = prepareExecCreds(task.cred);
  const err = k.env.hooks.bprmCredsForExec(task, opened.value, cred, true);
  k.env.trace.emit('exec.checked', { pid: task.pid, errno: err }, KERNEL_REASON['kernel.exec_only_checked']);
  closeExec(k, task, opened.value);
  return err;
}

/** @kernel fs/exec.c search_binary_handler(): the hook, in each round */
function execCheck(k: Kernel, task: Task, bprm: Binprm): ExecPhase {
  if (bprm.depth > MAX_DEPTH) {
    return failExec(k, task, bprm, k.refuse('ELOOP', KERNEL_REASON['kernel.exec_too_deep']));
  }
  const head = readHead(k, task, bprm.file);
  if (!head.ok) return failExec(k, task, bprm, head.errno);
  const err = k.env.hooks.bprmCheck(task, bprm.file, bprm.cred);
  if (err !== 0) return failExec(k, task, bprm, err);
  return move(k, task, bprm, 'CHECKED');
}

/** The first bytes of a program; a content known by digests only reads as nothing. */
function readHead(k: Kernel, task: Task, file: FileId): Result<Uint8Array> {
  if (isOpaque(k, file)) return ok(new Uint8Array(0));
  return k.env.vfs.pread(task, file, BINPRM_BUF_SIZE, 0);
}

function isOpaque(k: Kernel, file: FileId): boolean {
  const content = k.env.vfs.contentOf(k.env.vfs.file(file).inode);
  return content.kind === 'opaque' && !isUnreadable(content);
}

interface ElfImage {
  readonly header: ElfHeader;
  readonly programs: readonly ProgramHeader[];
  readonly bytes: Uint8Array;
}

const parsed = new WeakMap<Uint8Array, ElfImage | null>();

/** Header and program headers of an ELF file of this machine; null where the loader says ENOEXEC. */
function elfImage(k: Kernel, file: FileId): ElfImage | null {
  const content = k.env.vfs.contentOf(k.env.vfs.file(file).inode);
  if (content.kind === 'opaque') return opaqueImage(content.length);
  const { bytes } = content;
  const known = parsed.get(bytes);
  if (known !== undefined) return known;
  const header = readElfHeader(bytes);
  const programs = header === null ? null : readProgramHeaders(bytes, header);
  const fits = header !== null && programs !== null && checkArch(header);
  const image = fits ? { header, programs, bytes } : null;
  parsed.set(bytes, image);
  return image;
}

/**
 * @deviation a program known only by its digests counts as a static ELF file with one segment r-x that
 * exits 0
 */
function opaqueImage(length: number): ElfImage {
  const header: ElfHeader = {
    type: ET_EXEC,
    machine: 62,
    entry: 0x400000,
    phoff: 64,
    shoff: 0,
    phentsize: 56,
    phnum: 1,
    shentsize: 64,
    shnum: 0,
    shstrndx: 0,
  };
  const size = Math.max(1, length);
  const programs = [
    { type: PT_LOAD, flags: PF_R | PF_X, offset: 0, vaddr: 0x400000, filesz: size, memsz: size },
  ];
  return { header, programs, bytes: new Uint8Array(0) };
}

/** Names are text in the VFS and bytes in the kernel: one character per byte. */
function byteText(text: string): string {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return fromLatin1(utf8(text));
  return text;
}

const isBlank = (c: string | undefined): boolean => c === ' ' || c === '\t';

/**
 * Interpreter path of a `#!` line; null when the line is no valid one (ENOEXEC).
 * @kernel fs/binfmt_script.c load_script()
 */
export function scriptInterpreter(head: Uint8Array): string | null {
  const padded = new Uint8Array(BINPRM_BUF_SIZE);
  padded.set(head.subarray(0, BINPRM_BUF_SIZE));
  const text = fromLatin1(padded);
  if (!text.startsWith('#!')) return null;
  let end = text.indexOf('\n');
  if (end < 0) {
    let at = 2;
    while (at < BINPRM_BUF_SIZE - 1 && isBlank(text[at])) at++;
    if (at >= BINPRM_BUF_SIZE - 1) return null;
    // Without a newline the path is only complete when something ends it inside the buffer.
    if (!/[ \t\0]/.test(text.slice(at, BINPRM_BUF_SIZE))) return null;
    end = BINPRM_BUF_SIZE - 1;
  }
  while (isBlank(text[end - 1])) end--;
  let start = 2;
  while (start < end && isBlank(text[start])) start++;
  if (start >= end) return null;
  const name = /^[^ \t\0]*/.exec(text.slice(start, end))?.[0] ?? '';
  return name;
}

/**
 * Second half of a round: a script leads to its interpreter, an ELF file is loaded, anything else is
 * ENOEXEC.
 */
function execLoad(k: Kernel, task: Task, bprm: Binprm): ExecPhase {
  const head = readHead(k, task, bprm.file);
  if (!head.ok) return failExec(k, task, bprm, head.errno);
  const opaque = isOpaque(k, bprm.file);
  if (opaque || isElf(head.value)) {
    const image = elfImage(k, bprm.file);
    const type = image?.header.type;
    if (image !== null && (type === ET_EXEC || type === ET_DYN)) return loadElf(k, task, bprm, image);
  }
  const interpreter = opaque ? null : scriptInterpreter(head.value);
  if (interpreter === null) {
    return failExec(k, task, bprm, k.refuse('ENOEXEC', KERNEL_REASON['kernel.exec_unknown_format']));
  }
  if (bprm.pathInaccessible) {
    return failExec(k, task, bprm, k.refuse('ENOENT', KERNEL_REASON['kernel.exec_script_unreachable']));
  }
  const opened = openExec(k, task, { path: interpreter }, true);
  if (!opened.ok) return failExec(k, task, bprm, opened.errno);
  closeExec(k, task, bprm.file);
  const argv = [interpreter, bprm.filename, ...bprm.argv.slice(1)];
  return move(k, task, bprm, 'INTERPRETER', { file: opened.value, argv, depth: bprm.depth + 1 });
}

/** Opens what PT_INTERP names; null when there is no such header. */
function openInterpreter(k: Kernel, task: Task, image: ElfImage): Result<FileId | null> {
  const ph = image.programs.find((p) => p.type === PT_INTERP);
  if (ph === undefined) return ok(null);
  if (ph.filesz > PATH_MAX || ph.filesz < 2) return fail('ENOEXEC');
  const name = image.bytes.subarray(ph.offset, ph.offset + ph.filesz);
  if (name.length !== ph.filesz) return fail('EIO');
  if (name[name.length - 1] !== 0) return fail('ENOEXEC');
  const text = fromLatin1(name);
  return openExec(k, task, { path: text.slice(0, text.indexOf('\0')) }, true);
}

/** @kernel fs/binfmt_elf.c load_elf_binary() */
function loadElf(k: Kernel, task: Task, before: Binprm, image: ElfImage): ExecPhase {
  const interp = openInterpreter(k, task, image);
  if (!interp.ok) return failExec(k, task, before, interp.errno);
  const bprm: Binprm = { ...before, elfInterp: interp.value };
  let loader: ElfImage | null = null;
  if (interp.value !== null) {
    loader = elfImage(k, interp.value);
    if (loader === null) {
      const short = !isOpaque(k, interp.value) && k.env.vfs.fstat(interp.value).size < 64;
      const errno = short ? 'EIO' : 'ELIBBAD';
      return failExec(k, task, bprm, k.refuse(errno, KERNEL_REASON['kernel.exec_bad_interpreter']));
    }
  }
  const current = beginNewExec(k, task, bprm);
  let entry = mapSegments(k, current, bprm.file, image);
  if (entry === 'refused') return killExec(k, current, bprm);
  if (bprm.elfInterp !== null && loader !== null) {
    const { type } = loader.header;
    if (type !== ET_EXEC && type !== ET_DYN) return killExec(k, current, bprm);
    entry = mapSegments(k, current, bprm.elfInterp, loader);
    if (entry === 'refused') return killExec(k, current, bprm);
    closeExec(k, current, bprm.elfInterp);
  }
  const signal = entryIsExecutable(loader ?? image) ? null : SIGSEGV;
  return move(k, current, bprm, 'MAPPED', { elfInterp: null, entry, signal });
}

function entryIsExecutable(image: ElfImage): boolean {
  const { entry } = image.header;
  return image.programs.some(
    (p) => p.type === PT_LOAD && (p.flags & PF_X) !== 0 && entry >= p.vaddr && entry < p.vaddr + p.memsz,
  );
}

/**
 * The point of no return: new credentials, old memory and close-on-exec descriptors go, name and executable
 * change.
 * @kernel fs/exec.c begin_new_exec()
 */
function beginNewExec(k: Kernel, task: Task, bprm: Binprm): Task {
  const { vfs } = k.env;
  const cred = credsFromFile(k, task, bprm.file, bprm.cred);
  for (const [fd, entry] of [...task.fds].sort(([a], [b]) => a - b)) {
    if (!entry.cloexec) continue;
    const now = k.task(task.pid) ?? task;
    k.patch(now, { fds: now.fds.delete(fd) });
    vfs.put(now, entry.file);
  }
  const open = vfs.file(bprm.file);
  vfs.get(bprm.file);
  denyExecWrite(k, open.inode);
  exitMm(k, task.pid);
  const name = bprm.commFromDentry
    ? vfs.dentry(open.path.dentry).name
    : bprm.filename.slice(bprm.filename.lastIndexOf('/') + 1);
  const cleared = isSetid(task.cred, cred) ? PER_CLEAR_ON_SETID : 0;
  const current = k.task(task.pid) ?? task;
  return k.patch(current, {
    cred,
    comm: byteText(name).slice(0, 15),
    exe: byteText(vfs.dPath(open.path, { deleted: true })),
    exeFile: { file: bprm.file, inode: open.inode },
    personality: current.personality & ~(cleared | READ_IMPLIES_EXEC),
  });
}

/**
 * Maps the loadable segments privately, and tells where the first instructions are; `refused` when a
 * mapping is, or the layout is impossible.
 * @kernel fs/binfmt_elf.c elf_load()
 */
function mapSegments(k: Kernel, task: Task, file: FileId, image: ElfImage): Binprm['entry'] | 'refused' {
  const first = entrySegment(image.header, image.programs);
  let entry: Binprm['entry'] = null;
  for (const p of image.programs) {
    if (p.type !== PT_LOAD) continue;
    if (p.filesz > p.memsz) return 'refused';
    if (p.filesz === 0) continue;
    const inPage = p.vaddr % PAGE_SIZE;
    const offset = p.offset - inPage;
    if (offset < 0 || offset % PAGE_SIZE !== 0) return 'refused';
    const prot =
      (p.flags & PF_R ? PROT_READ : 0) | (p.flags & PF_W ? PROT_WRITE : 0) | (p.flags & PF_X ? PROT_EXEC : 0);
    const length = Math.ceil((p.filesz + inPage) / PAGE_SIZE) * PAGE_SIZE;
    const mapped = k.env.vfs.mmap(task, { file, length, prot, shared: false, offset });
    if (!mapped.ok) return 'refused';
    const now = k.task(task.pid) ?? task;
    k.patch(now, { mappings: [...now.mappings, mapped.value] });
    if (p === first) entry = { mapping: mapped.value, offset: inPage + image.header.entry - p.vaddr };
  }
  return entry;
}

function execLock(k: Kernel, task: Task, bprm: Binprm): ExecPhase {
  const err = k.env.listeners.execLock?.(task, bprm.file) ?? 0;
  return err !== 0 ? killExec(k, task, bprm, SIGKILL) : move(k, task, bprm, 'LOCKED');
}

function execVerify(k: Kernel, task: Task, bprm: Binprm): ExecPhase {
  const err = k.env.listeners.execVerify?.(task, bprm.file) ?? 0;
  return err !== 0 ? killExec(k, task, bprm, SIGKILL) : move(k, task, bprm, 'VERIFIED');
}

/** free_bprm() of a successful execve: the program itself keeps its executable. */
function execStart(k: Kernel, task: Task, bprm: Binprm): ExecPhase {
  closeExec(k, task, bprm.file);
  return move(k, k.task(task.pid) ?? task, bprm, 'STARTED');
}

const STEPS: { readonly [phase in ExecPhase]?: (k: Kernel, task: Task, bprm: Binprm) => ExecPhase } = {
  opened: execPrepare,
  prepared: execCheck,
  checked: execLoad,
  mapped: execLock,
  locked: execVerify,
  verified: execStart,
};

/** Does the next phase; value = the phase reached. ESRCH when the task is in no execve. */
export function execStep(k: Kernel, pid: Pid): Result<ExecPhase> {
  const task = k.task(pid);
  if (task === undefined || task.bprm === null) return fail('ESRCH');
  const run = STEPS[task.bprm.phase];
  return ok(run === undefined ? task.bprm.phase : run(k, task, task.bprm));
}

/**
 * Runs an execve to its end; the errno of execve, or 0 when the program runs (or was killed while
 * starting).
 */
export function execFinish(k: Kernel, pid: Pid): Err {
  for (;;) {
    const phase = execStep(k, pid);
    if (!phase.ok) return phase.errno;
    if (phase.value === 'failed') return (k.task(pid)?.bprm?.errno as Errno | null) ?? 'ENOEXEC';
    if (phase.value === 'running' || phase.value === 'killed') return 0;
  }
}

/** Waits for a child that went through execve: its status is taken and the task goes. */
export function execWait(k: Kernel, pid: Pid): Result<ExecOutcome> {
  const err = execFinish(k, pid);
  const bprm = k.task(pid)?.bprm ?? null;
  const end = err === 0 && bprm !== null ? programEnd(k, bprm) : null;
  exitTask(k, pid);
  if (err !== 0) return fail(err);
  return end === null ? fail('ECHILD') : ok(end);
}

/** Starts an execve in a child of `parent` and stops after the program was opened. */
export function execBegin(k: Kernel, parent: Task, source: ExecSource, argv: readonly string[]): Result<Pid> {
  const child = forkTask(k, parent);
  const err = execOpen(k, child.pid, source, argv);
  if (err !== 0) {
    exitTask(k, child.pid);
    return fail(err);
  }
  return ok(child.pid);
}

/**
 * execve by the kernel itself: /init becomes the first task.
 * @kernel fs/exec.c kernel_execve()
 */
export function kernelExecve(k: Kernel, pid: Pid, path: string, argv: readonly string[]): Err {
  const err = execOpen(k, pid, { path }, argv);
  if (err !== 0) return err;
  const end = execFinish(k, pid);
  const task = k.task(pid);
  if (task !== undefined) k.patch(task, { bprm: null });
  return end;
}
