// Where code is used: programs, scripts with their interpreters, libraries, memory that becomes executable,
// modules, firmware, kernels of a kexec. Read from the trace of a step and from the mappings after it. What
// the process named `interpreter` reads counts as code, because the machine itself runs no program text.

import type { TraceEvent } from '../base/trace.ts';
import { PROT_EXEC } from '../vfs/constants.ts';
import { bytesContent } from '../vfs/content.ts';
import type { Content, Inode, InodeKey, Mapping, VfsState } from '../vfs/types.ts';
import { contentName } from './contents.ts';
import type { Moment, Transition } from './node.ts';
import { treeOf } from './view.ts';

export type UseKind =
  | 'program'
  | 'library'
  | 'memory'
  | 'interpreted text'
  | 'module'
  | 'firmware'
  | 'kernel'
  | 'initramfs';

export interface CodeUse {
  readonly kind: UseKind;
  /** Null for memory without a file. */
  readonly inode: Inode | null;
  /** Null where nobody knows the bytes. */
  readonly content: Content | null;
  readonly path: string;
  /** What IMA was asked about it, last. */
  readonly check: TraceEvent | null;
  /** What IPE decided about it, last; null where it was not asked. */
  readonly ipe: TraceEvent | null;
}

/** Name of the actor whose reads are those of an interpreter. */
export const INTERPRETER = 'interpreter';

const KIND_OF_CHECK: Readonly<Record<string, UseKind>> = {
  MODULE_CHECK: 'module',
  FIRMWARE_CHECK: 'firmware',
  KEXEC_KERNEL_CHECK: 'kernel',
  KEXEC_INITRAMFS_CHECK: 'initramfs',
};

/** Success of what the kernel reads for itself. */
const LOADED: ReadonlySet<string> = new Set([
  'kernel.module_loaded',
  'kernel.firmware_loaded',
  'kernel.kexec_loaded',
]);

const EXECS: ReadonlySet<string> = new Set([
  'syscall.execve',
  'syscall.execveat',
  'syscall.execve_step',
  'syscall.execve_finish',
]);

/** The bytes of an inode, which an overlay has from the layer below. */
export function contentIn(vfs: VfsState, inode: Inode): Content | null {
  if (inode.realData === null) return inode.content;
  return vfs.inodes.get(inode.realData)?.content ?? null;
}

function inodeIn(t: Transition, key: InodeKey): Inode | undefined {
  return t.after.machine.vfs.inodes.get(key) ?? t.before.machine.vfs.inodes.get(key);
}

/** A path of an inode, where it has one. */
export function pathOf(moment: Moment, key: InodeKey): string | null {
  return treeOf(moment.machine).files.find((f) => f.inode.key === key)?.path ?? null;
}

const failed = (e: TraceEvent): boolean => typeof e.data['ret'] === 'string';
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : -1);

/** The events of one system call: its own, and those below it. */
interface Call {
  readonly call: TraceEvent;
  readonly inside: readonly TraceEvent[];
  readonly ok: boolean;
}

/** System calls of a step, each with what happened inside of it. */
export function callsOf(events: readonly TraceEvent[]): readonly Call[] {
  const out: Call[] = [];
  let call: TraceEvent | null = null;
  let inside: TraceEvent[] = [];
  for (const e of events) {
    if (e.cause === null || call === null) {
      call = e;
      inside = [];
      continue;
    }
    inside.push(e);
    if (e.kind === 'syscall.return' && e.cause === call.id) {
      out.push({ call, inside, ok: !failed(e) });
      call = null;
    }
  }
  return out;
}

class Uses {
  readonly t: Transition;
  readonly found: CodeUse[] = [];
  readonly #seen = new Set<string>();

  constructor(t: Transition) {
    this.t = t;
  }

  add(
    kind: UseKind,
    inode: Inode | null,
    content: Content | null,
    check: TraceEvent | null,
    ipe: TraceEvent | null,
    path?: string,
  ): void {
    const key = `${kind} ${inode?.key ?? '-'} ${content === null ? '?' : contentName(content)}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const name = path ?? (inode === null ? null : pathOf(this.t.after, inode.key));
    this.found.push({
      kind,
      inode,
      content,
      path: name ?? (inode === null ? 'memory' : `inode ${inode.ino}`),
      check,
      ipe,
    });
  }

  inode(kind: UseKind, key: InodeKey, check: TraceEvent | null, ipe: TraceEvent | null): void {
    const inode = inodeIn(this.t, key);
    if (inode !== undefined)
      this.add(kind, inode, contentIn(this.t.after.machine.vfs, inode) ?? inode.content, check, ipe);
  }

  /** Files that IMA was asked about in a call that came to its end. */
  checked({ inside }: Call, funcs: (func: string) => UseKind | null): void {
    let ipe: TraceEvent | null = null;
    for (const e of inside) {
      if (e.kind === 'ipe.evaluate') ipe = e;
      if (e.kind !== 'ima.check') continue;
      const kind = funcs(String(e.data['func']));
      if (kind !== null) this.inode(kind, numberOf(e.data['inode']), e, ipe);
    }
  }

  exec(call: Call): void {
    const running = call.inside.find((e) => e.kind === 'exec.phase' && e.data['phase'] === 'running');
    if (running === undefined) return;
    this.checked(call, (f) => (f === 'BPRM_CHECK' ? 'program' : f === 'MMAP_CHECK' ? 'library' : null));
    // What was checked and mapped in earlier steps, where the execve was stopped between its phases.
    const before = this.t.before.machine;
    const task = before.kernel.tasks.get(numberOf(running.data['pid']));
    if (task === undefined) return;
    const file = task.bprm === null ? undefined : before.vfs.files.get(task.bprm.file);
    if (file !== undefined) this.inode('program', file.inode, null, null);
    for (const id of task.mappings) {
      const mapping = before.vfs.mappings.get(id);
      if (mapping !== undefined) this.mapping(mapping, null, null);
    }
  }

  mapping(mapping: Mapping, check: TraceEvent | null, ipe: TraceEvent | null): void {
    if ((mapping.prot & PROT_EXEC) === 0) return;
    const { vfs } = this.t.after.machine;
    const file =
      mapping.file === null
        ? undefined
        : (vfs.files.get(mapping.file) ?? this.t.before.machine.vfs.files.get(mapping.file));
    if (mapping.image !== null) {
      const inode = file === undefined ? null : (inodeIn(this.t, file.inode) ?? null);
      this.add(
        'memory',
        inode,
        bytesContent(mapping.image),
        check,
        ipe,
        inode === null ? 'memory' : undefined,
      );
      return;
    }
    if (file !== undefined) this.inode('library', file.inode, check, ipe);
  }

  loaded(call: Call): void {
    if (!call.inside.some((e) => LOADED.has(e.kind))) return;
    this.checked(call, (f) => KIND_OF_CHECK[f] ?? null);
    if (call.call.kind !== 'syscall.init_module') return;
    const path = String(this.t.op['path'] ?? '');
    const file = treeOf(this.t.after.machine).files.find((f) => f.path === path);
    const ipe = call.inside.find((e) => e.kind === 'ipe.evaluate') ?? null;
    const buffer = call.inside.find((e) => e.kind === 'ima.buffer') ?? null;
    this.add('module', file?.inode ?? null, file?.content ?? null, buffer, ipe, path);
  }

  /** Mappings that are new, changed, or show other bytes than before. */
  live(calls: readonly Call[]): void {
    const [before, after] = [this.t.before.machine.vfs, this.t.after.machine.vfs];
    if (before.mappings === after.mappings && before.inodes === after.inodes) return;
    const asked = calls
      .flatMap((c) => c.inside)
      .filter((e) => e.kind === 'ima.check' || e.kind === 'ima.mprotect');
    const ipe = calls.flatMap((c) => c.inside).findLast((e) => e.kind === 'ipe.evaluate') ?? null;
    // A program that was mapped and does not run yet uses nothing.
    const waiting = new Set(
      [...this.t.after.machine.kernel.tasks.values()].flatMap((task) =>
        task.bprm === null || task.bprm.phase === 'running' ? [] : task.mappings,
      ),
    );
    for (const mapping of after.mappings.values()) {
      if ((mapping.prot & PROT_EXEC) === 0 || waiting.has(mapping.id)) continue;
      const file = mapping.file === null ? undefined : after.files.get(mapping.file);
      const now = file === undefined ? undefined : after.inodes.get(file.inode);
      const was = now === undefined ? undefined : before.inodes.get(now.key);
      const same = before.mappings.get(mapping.id) === mapping;
      if (same && (now === undefined || was?.content === now.content)) continue;
      this.mapping(mapping, asked.findLast((e) => e.data['inode'] === now?.key) ?? null, ipe);
    }
  }
}

const known = new WeakMap<Transition, readonly CodeUse[]>();

/** Code that was used in a step. */
export function usesOf(t: Transition): readonly CodeUse[] {
  const before = known.get(t);
  if (before !== undefined) return before;
  // What a kernel starts by itself is part of its image.
  if (t.after.machine.kernel.boots !== t.before.machine.kernel.boots) return [];
  const uses = new Uses(t);
  const calls = callsOf(t.events);
  const own = t.op.actor === INTERPRETER;
  for (const call of calls) {
    if (!call.ok) continue;
    const { kind } = call.call;
    if (EXECS.has(kind)) uses.exec(call);
    else if (kind === 'syscall.mmap' && call.inside.some((e) => e.kind === 'vfs.mmap'))
      uses.checked(call, (f) => (f === 'MMAP_CHECK' ? 'library' : null));
    else if (kind === 'syscall.kexec_load' && call.call.data['flags'] !== 1)
      uses.add('kernel', null, null, null, null, 'segments of kexec_load');
    else if (own && kind === 'syscall.open' && (t.op.op === 'cat' || t.op.op === 'read'))
      uses.checked(call, (f) => (f === 'FILE_CHECK' ? 'interpreted text' : null));
    else uses.loaded(call);
  }
  uses.live(calls);
  known.set(t, uses.found);
  return uses.found;
}
