// The rival of 2013 (Zohar): the policy says which files are appraised, the label says how. A new type of
// security.ima, IMA_XATTR_SECURE_BOOT, sets a flag in the inode's record; the flag makes the loader lock the
// file and keeps verdicts from being remembered. The verdict itself is IMA's at bprm_check, before anything is
// mapped. The message gives the type no number: here it is the first that is free.

import type { Err } from '../../base/errno.ts';
import { fail, ok } from '../../base/errno.ts';
import { iintFind, iintPut, iintStep } from '../../ima/iint.ts';
import { integrityDigsigVerify } from '../../integrity/digsig.ts';
import { EVM_IMA_XATTR_DIGSIG, IMA_XATTR_LAST, XATTR_NAME_IMA } from '../../integrity/xattr.ts';
import { defineExtension, type ExtensionCursor } from '../../kernel/extension.ts';
import type { Task } from '../../kernel/state.ts';
import type { FileId, InodeKey, VfsTask } from '../../vfs/types.ts';
import { MEMLOCK_REASON as REASON } from './reasons.ts';
import {
  kexecGate,
  lockProgram,
  pressureCall,
  raise,
  signatureOf,
  swapWriteCall,
  traceCall,
} from './signed-program.ts';

export const IMA_XATTR_SECURE_BOOT = IMA_XATTR_LAST;

interface State {
  /** Inodes whose record has IMA_SB: their label was seen, and its signature verified. */
  readonly flagged: readonly InodeKey[];
  readonly swapped: readonly number[];
}

type Cursor = ExtensionCursor<State>;

const PROTECTS = (): { readonly protects: boolean } => ({ protects: true });

function without(x: Cursor, inode: InodeKey): readonly InodeKey[] {
  return x.state.flagged.filter((key) => key !== inode);
}

/** As type 3, with the flag set on the way. */
function verify(x: Cursor, inode: InodeKey, value: Uint8Array, digest: Uint8Array): Err {
  const signature = value.slice();
  signature[0] = EVM_IMA_XATTR_DIGSIG;
  const err = integrityDigsigVerify(x.rooms.trust, 'ima', signature, digest);
  if (err !== 0) return err;
  x.state = { ...x.state, flagged: [...without(x, inode), inode] };
  x.rooms.trace.emit('secureboot_xattr.flagged', { inode }, REASON['secureboot_xattr.flagged']);
  return 0;
}

/** No caching: what was decided for a marked file is decided anew, before IMA's own hook. */
function bprmCheck(x: Cursor, file: FileId): Err {
  const { ima, vfs } = x.rooms;
  const { inode } = vfs.file(file);
  x.state = { ...x.state, flagged: without(x, inode) };
  const known = iintFind(ima, inode);
  const label = vfs.rawGetxattr(inode, XATTR_NAME_IMA);
  if (known !== undefined && label?.[0] === IMA_XATTR_SECURE_BOOT)
    iintPut(ima, inode, iintStep(known, 'RESET'));
  return 0;
}

const flagged = (x: Cursor, file: FileId): boolean => x.state.flagged.includes(x.rooms.vfs.file(file).inode);

/** evmctl as the signer would have to use it: a signature becomes one that says "secure boot". */
function relabel(x: Cursor, task: VfsTask, path: string): Err {
  const { vfs } = x.rooms;
  const found = vfs.lookup(task, path);
  if (!found.ok) return found.errno;
  const { key } = vfs.inodeOf(found.value);
  const value = signatureOf(x.rooms, key)?.slice();
  if (value === undefined) return 'ENODATA';
  value[0] = IMA_XATTR_SECURE_BOOT;
  return vfs.rawSetxattr(key, XATTR_NAME_IMA, value);
}

export const imaXattrSecureBoot = defineExtension<State>({
  name: 'ima_xattr_secure_boot',
  about: 'a label of a type of its own marks the programs that are locked in memory and get CAP_SIGNED',
  start: () => ({ flagged: [], swapped: [] }),
  hooks: (x) => ({ ...kexecGate(x.rooms), bprmCheck: (_task, file) => bprmCheck(x, file) }),
  listeners: (x) => ({
    execLock: (task: Task, file) => (flagged(x, file) ? lockProgram(x.rooms, task) : 0),
    execVerify: (task: Task, file) => {
      if (flagged(x, file)) raise(x.rooms, task, REASON['memlock.checked_early']);
      return 0;
    },
  }),
  imaLabelTypes: [{ type: IMA_XATTR_SECURE_BOOT, verify }],
  calls: {
    evmctl_secure_boot: (x, task, args) => {
      const err = relabel(x, task, String(args['path'] ?? ''));
      return err === 0 ? ok({ type: IMA_XATTR_SECURE_BOOT }) : fail(err);
    },
    ptrace_store: traceCall<State>(PROTECTS),
    memory_pressure: pressureCall<State>(PROTECTS),
    swap_write: swapWriteCall<State>(),
  },
});
