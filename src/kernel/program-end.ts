// How a program ends. Machine code does not run: the status is that which the first instructions name, read
// from the program's memory when it ends, so that bytes that changed below an execve count as they would on
// a machine. Other signals than those of a page that cannot be had are left out.

import { isUnreadable } from '../vfs/content.ts';
import type { ExecOutcome } from './api.ts';
import { ENTRY_LENGTH, exitStatus } from './elf.ts';
import type { Kernel } from './kernel.ts';
import type { Binprm } from './state.ts';

const SIGBUS = 7;
export const SIGKILL = 9;
export const SIGSEGV = 11;

/** @kernel mm/filemap.c filemap_fault(), for the page that the entry point lies in */
export function programEnd(k: Kernel, bprm: Binprm): ExecOutcome {
  const { vfs } = k.env;
  if (bprm.signal !== null) return { signal: bprm.signal };
  if (bprm.entry === null) return { exit: 0 };
  const { mapping: id, offset } = bprm.entry;
  const mapping = vfs.mapping(id);
  const content = mapping.file === null ? null : vfs.contentOf(vfs.file(mapping.file).inode);
  if (content?.kind === 'opaque') return isUnreadable(content) ? { signal: SIGBUS } : { exit: 0 };
  const code = vfs.peek(id, offset, Math.min(ENTRY_LENGTH, mapping.length - offset));
  return code.ok ? { exit: exitStatus(code.value) } : { signal: SIGBUS };
}
