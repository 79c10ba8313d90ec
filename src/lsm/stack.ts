// The security hooks of a machine: which modules take part, in which order, and whose answer counts. Modules
// named by lsm= come first, then IMA, then EVM, as the link order of the kernel has them; the first refusal
// ends a call. Checks of commoncap (capabilities that security.* names need) are made by the VFS before it
// calls.

import { type Err, fail, ok, type Result } from '../base/errno.ts';
import type { Iattr, KernelLoadId, KernelReadId, SecurityHooks } from '../vfs/hooks.ts';
import type {
  Cred,
  FileId,
  Inode,
  InodeKey,
  MappingId,
  PathRef,
  SbId,
  VfsTask,
  Xattr,
} from '../vfs/types.ts';

/** What one module registers; initSecurity sees the xattrs that modules before it gave. */
export interface LsmModule extends Partial<Omit<SecurityHooks, 'inodeInitSecurity'>> {
  initSecurity?(
    task: VfsTask,
    inode: Inode,
    dir: InodeKey,
    name: string,
    soFar: readonly Xattr[],
  ): Result<readonly Xattr[]>;
}

export interface NamedLsm {
  readonly name: string;
  readonly module: LsmModule;
}

/** Modules that are put last whatever the order says (LSM_ORDER_LAST), in link order. */
const LAST: readonly string[] = ['ima', 'evm'];

/**
 * Modules in call order: those that the list names, in its order, then IMA and EVM. A module that the list
 * does not name
 * takes no part; names that no module has are skipped.
 * @kernel security/security.c ordered_lsm_parse()
 */
export function orderLsms(available: readonly NamedLsm[], list: string): readonly NamedLsm[] {
  const out: NamedLsm[] = [];
  for (const name of list.split(',')) {
    const found = available.find((m) => m.name === name && !LAST.includes(name));
    if (found !== undefined && !out.includes(found)) out.push(found);
  }
  for (const name of LAST) {
    const found = available.find((m) => m.name === name);
    if (found !== undefined) out.push(found);
  }
  return out;
}

type IntHook = {
  [K in keyof LsmModule]-?: NonNullable<LsmModule[K]> extends (...args: never[]) => Err ? K : never;
}[keyof LsmModule];

type VoidHook = Exclude<keyof LsmModule, IntHook | 'initSecurity' | 'inodeCopyUpXattr' | 'inodeGetsecurity'>;

/** Cursor-free: it only dispatches to modules that are bound when the machine is put together. */
export class LsmStack implements SecurityHooks {
  #modules: readonly NamedLsm[] | (() => readonly NamedLsm[]);
  /** Hook -> modules that have it, in order; filled at the first call. */
  #calls: Map<string, readonly LsmModule[]> | null = null;

  /** The modules in call order, or who knows them when the first hook is called. */
  constructor(modules: readonly NamedLsm[] | (() => readonly NamedLsm[]) = []) {
    this.#modules = modules;
  }

  /** Binds other modules, in call order. */
  bind(modules: readonly NamedLsm[]): void {
    this.#modules = modules;
    this.#calls = null;
  }

  #list(): readonly NamedLsm[] {
    if (typeof this.#modules === 'function') this.#modules = this.#modules();
    return this.#modules;
  }

  /** Names in call order, as <securityfs>/lsm lists them after `capability`. */
  get names(): readonly string[] {
    return this.#list().map((m) => m.name);
  }

  #having(hook: keyof LsmModule): readonly LsmModule[] {
    this.#calls ??= new Map();
    let found = this.#calls.get(hook);
    if (found === undefined) {
      found = this.#list()
        .map((m) => m.module)
        .filter((m) => m[hook] !== undefined);
      this.#calls.set(hook, found);
    }
    return found;
  }

  /** The first refusal ends the call. @kernel security/security.c call_int_hook() */
  #int<K extends IntHook>(hook: K, ...args: Parameters<NonNullable<LsmModule[K]>>): Err {
    for (const m of this.#having(hook)) {
      const err = (m[hook] as (...a: unknown[]) => Err)(...args);
      if (err !== 0) return err;
    }
    return 0;
  }

  /** @kernel security/security.c call_void_hook() */
  #void<K extends VoidHook>(hook: K, ...args: Parameters<NonNullable<LsmModule[K]>>): void {
    for (const m of this.#having(hook)) (m[hook] as (...a: unknown[]) => void)(...args);
  }

  fileOpen(task: VfsTask, file: FileId): Err {
    return this.#int('fileOpen', task, file);
  }

  filePostOpen(task: VfsTask, file: FileId, mask: number): Err {
    return this.#int('filePostOpen', task, file, mask);
  }

  fileRelease(task: VfsTask, file: FileId): void {
    this.#void('fileRelease', task, file);
  }

  mmapFile(task: VfsTask, file: FileId | null, reqprot: number, prot: number, shared: boolean): Err {
    return this.#int('mmapFile', task, file, reqprot, prot, shared);
  }

  fileMprotect(task: VfsTask, mapping: MappingId, reqprot: number, prot: number): Err {
    return this.#int('fileMprotect', task, mapping, reqprot, prot);
  }

  fileTruncate(task: VfsTask, file: FileId): Err {
    return this.#int('fileTruncate', task, file);
  }

  filePermission(task: VfsTask, file: FileId, mask: number): Err {
    return this.#int('filePermission', task, file, mask);
  }

  inodeInitSecurityAnon(task: VfsTask, inode: InodeKey): void {
    this.#void('inodeInitSecurityAnon', task, inode);
  }

  pathTruncate(task: VfsTask, path: PathRef): Err {
    return this.#int('pathTruncate', task, path);
  }

  inodeSetxattr(
    task: VfsTask,
    path: PathRef,
    inode: InodeKey,
    name: string,
    value: Uint8Array,
    flags: number,
  ): Err {
    return this.#int('inodeSetxattr', task, path, inode, name, value, flags);
  }

  inodePostSetxattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string, value: Uint8Array): void {
    this.#void('inodePostSetxattr', task, path, inode, name, value);
  }

  inodeRemovexattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string): Err {
    return this.#int('inodeRemovexattr', task, path, inode, name);
  }

  inodePostRemovexattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string): void {
    this.#void('inodePostRemovexattr', task, path, inode, name);
  }

  inodeSetAcl(task: VfsTask, path: PathRef, inode: InodeKey, name: string, newMode: number | null): Err {
    return this.#int('inodeSetAcl', task, path, inode, name, newMode);
  }

  inodePostSetAcl(task: VfsTask, path: PathRef, inode: InodeKey, name: string): void {
    this.#void('inodePostSetAcl', task, path, inode, name);
  }

  inodeRemoveAcl(task: VfsTask, path: PathRef, inode: InodeKey, name: string): Err {
    return this.#int('inodeRemoveAcl', task, path, inode, name);
  }

  inodePostRemoveAcl(task: VfsTask, path: PathRef, inode: InodeKey, name: string): void {
    this.#void('inodePostRemoveAcl', task, path, inode, name);
  }

  inodePermission(task: VfsTask, inode: InodeKey, mask: number): Err {
    return this.#int('inodePermission', task, inode, mask);
  }

  inodeGetattr(task: VfsTask, path: PathRef): Err {
    return this.#int('inodeGetattr', task, path);
  }

  inodeGetxattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string): Err {
    return this.#int('inodeGetxattr', task, path, inode, name);
  }

  inodeGetsecurity(inode: InodeKey, name: string): Uint8Array | undefined {
    for (const m of this.#having('inodeGetsecurity')) {
      const value = m.inodeGetsecurity?.(inode, name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  inodeSetattr(task: VfsTask, path: PathRef, inode: InodeKey, attr: Iattr): Err {
    return this.#int('inodeSetattr', task, path, inode, attr);
  }

  inodePostSetattr(task: VfsTask, path: PathRef, inode: InodeKey, attr: Iattr): void {
    this.#void('inodePostSetattr', task, path, inode, attr);
  }

  /**
   * Each module adds to what those before it gave; EOPNOTSUPP means "nothing from me".
   * @kernel security/security.c security_inode_init_security()
   */
  inodeInitSecurity(task: VfsTask, inode: Inode, dir: InodeKey, name: string): Result<readonly Xattr[]> {
    let soFar: readonly Xattr[] = [];
    for (const m of this.#having('initSecurity')) {
      const given = m.initSecurity?.(task, inode, dir, name, soFar);
      if (given === undefined) continue;
      if (given.ok) soFar = [...soFar, ...given.value];
      else if (given.errno !== 'EOPNOTSUPP') return fail(given.errno);
    }
    return ok(soFar);
  }

  pathPostMknod(task: VfsTask, path: PathRef, inode: InodeKey): void {
    this.#void('pathPostMknod', task, path, inode);
  }

  inodePostCreateTmpfile(task: VfsTask, file: FileId, inode: InodeKey): void {
    this.#void('inodePostCreateTmpfile', task, file, inode);
  }

  inodeFree(inode: InodeKey): void {
    this.#void('inodeFree', inode);
  }

  /**
   * The first module with an opinion decides; without one the xattr is copied.
   * @kernel security/security.c security_inode_copy_up_xattr()
   */
  inodeCopyUpXattr(task: VfsTask, lower: InodeKey, name: string): 'copy' | 'discard' | Err {
    for (const m of this.#having('inodeCopyUpXattr')) {
      const answer = m.inodeCopyUpXattr?.(task, lower, name);
      if (answer !== undefined && answer !== 'copy') return answer;
    }
    return 'copy';
  }

  bprmCheck(task: VfsTask, file: FileId, next: Cred): Err {
    return this.#int('bprmCheck', task, file, next);
  }

  bprmCredsForExec(task: VfsTask, file: FileId, next: Cred, isCheck: boolean): Err {
    return this.#int('bprmCredsForExec', task, file, next, isCheck);
  }

  kernelReadFile(task: VfsTask, file: FileId, id: KernelReadId, contents: boolean): Err {
    return this.#int('kernelReadFile', task, file, id, contents);
  }

  kernelPostReadFile(task: VfsTask, file: FileId, id: KernelReadId, data: Uint8Array): Err {
    return this.#int('kernelPostReadFile', task, file, id, data);
  }

  kernelLoadData(task: VfsTask, id: KernelLoadId, contents: boolean): Err {
    return this.#int('kernelLoadData', task, id, contents);
  }

  kernelPostLoadData(task: VfsTask, id: KernelLoadId, data: Uint8Array, description: string): Err {
    return this.#int('kernelPostLoadData', task, id, data, description);
  }

  initramfsPopulated(sb: SbId): void {
    this.#void('initramfsPopulated', sb);
  }

  bdevSetIntegrity(device: string): void {
    this.#void('bdevSetIntegrity', device);
  }

  inodeSetIntegrity(inode: InodeKey, signed: boolean): void {
    this.#void('inodeSetIntegrity', inode, signed);
  }
}
