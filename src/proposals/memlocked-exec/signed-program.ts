// What both designs of 2013 share: the capability of a signed program, the signature over what is in memory,
// the lock, who may trace such a program, and who may load the next kernel. CAP_SIGNED got no number; here
// it is the first one that this kernel does not use.

import { utf8 } from '../../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../../base/errno.ts';
import { labelHashAlgo } from '../../ima/appraise.ts';
import { calcFileHash } from '../../ima/collect.ts';
import { integrityDigsigVerify } from '../../integrity/digsig.ts';
import { EVM_IMA_XATTR_DIGSIG, XATTR_NAME_IMA } from '../../integrity/xattr.ts';
import { decodeEventLog } from '../../kernel/eventlog.ts';
import type { ExtensionCall, ExtensionCursor, PlainRecord } from '../../kernel/extension.ts';
import { secureBootOf } from '../../kernel/firmware.ts';
import { exitInstructions } from '../../kernel/images.ts';
import type { Rooms } from '../../kernel/rooms.ts';
import type { Task } from '../../kernel/state.ts';
import type { LsmModule } from '../../lsm/stack.ts';
import { CAP_SYS_ADMIN } from '../../vfs/constants.ts';
import { capable } from '../../vfs/perm.ts';
import type { FileId, InodeKey, Mapping, VfsTask } from '../../vfs/types.ts';
import { MEMLOCK_REASON as REASON } from './reasons.ts';

export const CAP_SIGNED = 41;
const CAP_SYS_PTRACE = 19;
const PAGE_SIZE = 4096;

export function isSigned(task: VfsTask): boolean {
  return (task.cred.caps & (1n << BigInt(CAP_SIGNED))) !== 0n;
}

/** Raises the capability of a program that is being started. */
export function raise(r: Rooms, task: Task, reason: string): void {
  const { cred } = task;
  r.kernel.patch(task, { cred: { ...cred, caps: cred.caps | (1n << BigInt(CAP_SIGNED)) } });
  r.trace.emit('memlock.raised', { pid: task.pid, comm: task.comm }, reason);
}

/** The signature in security.ima, null where there is another label or none. */
export function signatureOf(r: Rooms, inode: InodeKey): Uint8Array | null {
  const value = r.vfs.rawGetxattr(inode, XATTR_NAME_IMA);
  return value !== undefined && value[0] === EVM_IMA_XATTR_DIGSIG ? value : null;
}

/**
 * Whether the signature fits the bytes of the file as they are in the page cache now; nothing is remembered
 * from earlier looks.
 */
export function verifyNow(r: Rooms, file: FileId): Err {
  const open = r.vfs.file(file);
  const value = signatureOf(r, open.inode);
  if (value === null) return 'ENODATA';
  const alg = labelHashAlgo(value, r.ima.state.hashAlgo);
  const { err, hash } = calcFileHash(r.ima, null, open, alg);
  return err !== 0 ? err : integrityDigsigVerify(r.trust, 'ima', value, hash.digest);
}

/** Locks everything that the loader mapped; ENOMEM when a page cannot be read. */
export function lockProgram(r: Rooms, task: Task): Err {
  for (const id of r.kernel.task(task.pid)?.mappings ?? []) {
    const err = r.vfs.mlock(id);
    if (err !== 0) return err;
  }
  r.trace.emit('memlock.locked', { pid: task.pid, comm: task.comm }, REASON['memlock.locked']);
  return 0;
}

/** Whether the platform booted under Secure Boot: then the next kernel must come from a signed program. */
function kexecAllowed(r: Rooms, task: VfsTask): Err {
  if (isSigned(task) || !secureBootOf(decodeEventLog(r.kernel.state.eventLog).events)) return 0;
  return r.kernel.refuse('EPERM', REASON['memlock.kexec_refused'], { comm: task.comm });
}

/** The gate before kexec, by file and by segments alike. */
export function kexecGate(r: Rooms): LsmModule {
  return {
    kernelReadFile: (task, _file, id) => (id === 'kexec-image' ? kexecAllowed(r, task) : 0),
    kernelLoadData: (task, id) => (id === 'kexec-image' ? kexecAllowed(r, task) : 0),
  };
}

function byName(r: Rooms, args: PlainRecord): Task | undefined {
  const name = args['program'];
  return [...r.kernel.state.tasks.values()].find((t) => t.comm === name && t.pid !== 1);
}

/** Mapping that holds the first instructions of a program, with their place in it. */
function codeOf(r: Rooms, task: Task): { readonly mapping: Mapping; readonly offset: number } | null {
  const entry = task.bprm?.entry ?? null;
  return entry === null ? null : { mapping: r.vfs.mapping(entry.mapping), offset: entry.offset };
}

/** Bytes that a private mapping shows, changed at one place: the program's own copy, not the file. */
function setPrivate(r: Rooms, mapping: Mapping, offset: number, bytes: Uint8Array): void {
  const whole = r.vfs.peek(mapping.id, 0, mapping.length);
  if (!whole.ok) return;
  const image = whole.value.slice();
  image.set(bytes.subarray(0, image.length - offset), offset);
  const pages = mapping.file === null ? [] : Array.from({ length: mapping.length / PAGE_SIZE }, (_, i) => i);
  const { state } = r.vfs;
  r.vfs.state = { ...state, mappings: state.mappings.set(mapping.id, { ...mapping, image, pages }) };
}

export interface Protection {
  /** Signed programs must not be traced by others, and stay in memory. */
  readonly protects: boolean;
}

/**
 * PTRACE_ATTACH and a store to the text, as a debugger does: same user or CAP_SYS_PTRACE, and CAP_SIGNED
 * for a program that has it.
 * @kernel kernel/ptrace.c __ptrace_may_access()
 */
export function traceCall<S>(protection: (x: ExtensionCursor<S>) => Protection): ExtensionCall<S> {
  return (x, task, args): Result<PlainRecord> => {
    const r = x.rooms;
    const target = byName(r, args);
    if (target === undefined) return fail('ESRCH');
    const same = task.cred.uid === target.cred.uid && task.cred.uid === target.cred.euid;
    if (!same && !capable(task.cred, CAP_SYS_PTRACE)) return fail('EPERM');
    if (protection(x).protects && isSigned(target) && !isSigned(task)) {
      return fail(r.kernel.refuse('EPERM', REASON['memlock.traced_unsigned'], { comm: target.comm }));
    }
    const code = codeOf(r, target);
    if (code === null) return fail('EIO');
    setPrivate(r, code.mapping, code.offset, exitInstructions(Number(args['exit'] ?? 66)));
    return ok({ stored: true });
  };
}

/** Mappings of programs that memory pressure takes out of memory: private bytes that are not locked. */
function swappable<S>(x: ExtensionCursor<S>, protects: boolean): readonly Mapping[] {
  const { kernel, vfs } = x.rooms;
  return [...kernel.state.tasks.values()]
    .filter((t) => !(protects && isSigned(t)))
    .flatMap((t) => t.mappings.map((id) => vfs.mapping(id)))
    .filter((m) => m.image !== null && m.locked !== true);
}

/**
 * Memory is short: clean pages of files are dropped, private pages go to the swap device.
 * @kernel mm/vmscan.c shrink_folio_list()
 * @deviation all that can go goes at once; the model has no other pressure
 */
export function pressureCall<S extends { readonly swapped: readonly number[] }>(
  protection: (x: ExtensionCursor<S>) => Protection,
): ExtensionCall<S> {
  return (x) => {
    x.rooms.vfs.dropPages();
    const out = swappable(x, protection(x).protects);
    x.state = { ...x.state, swapped: out.map((m) => m.id) };
    x.rooms.trace.emit('memlock.swapped', { mappings: out.length }, REASON['memlock.swapped']);
    return ok({ swapped: out.length });
  };
}

/** A store to the swap device: whatever lies there begins with other bytes when it is read back. */
export function swapWriteCall<S extends { readonly swapped: readonly number[] }>(): ExtensionCall<S> {
  return (x, task, args) => {
    const r = x.rooms;
    if (!capable(task.cred, CAP_SYS_ADMIN)) return fail('EPERM');
    const bytes = utf8(String(args['data'] ?? ''));
    const there = x.state.swapped.filter((id) => r.vfs.state.mappings.has(id));
    for (const id of there) setPrivate(r, r.vfs.mapping(id), 0, bytes);
    if (there.length > 0)
      r.trace.emit('memlock.swap_written', { mappings: there.length }, REASON['memlock.swap_written']);
    return ok({ changed: there.length });
  };
}
