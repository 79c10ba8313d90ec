// Memlocked signed exec (Goyal, 2013): some programs are signed, most are not. bprm_check only tells that a
// file has a signature; the loader maps and locks it; bprm_post_load verifies what is in memory and raises
// CAP_SIGNED. The rule comes with the kernel, as either this policy or another. What the message calls
// config options are words of one boot parameter here. Shared libraries are left out: only the program's own
// file is verified.

import type { Err } from '../../base/errno.ts';
import * as C from '../../ima/constants.ts';
import { openPolicy } from '../../ima/policy-load.ts';
import { matchPolicy } from '../../ima/policy-match.ts';
import { defineExtension, type ExtensionCursor, type ExtensionNode } from '../../kernel/extension.ts';
import type { Task } from '../../kernel/state.ts';
import { MAY_EXEC, O_ACCMODE, O_RDONLY } from '../../vfs/constants.ts';
import type { FileId, VfsTask } from '../../vfs/types.ts';
import { MEMLOCK_REASON as REASON } from './reasons.ts';
import {
  kexecGate,
  lockProgram,
  type Protection,
  pressureCall,
  raise,
  signatureOf,
  swapWriteCall,
  traceCall,
  verifyNow,
} from './signed-program.ts';

/** Words of ima_mem_exec=. */
interface Options {
  /** Executables of every owner, not only of root. */
  readonly all: boolean;
  /** Verification is not optional: without a good signature a program of the policy does not run. */
  readonly required: boolean;
  /** Whole user space is signed: nothing is locked, tracing is free. */
  readonly allSigned: boolean;
  /** What the design is to avoid: the signature is verified at bprm_check, before the file is mapped. */
  readonly checkFirst: boolean;
  /** An uploaded policy may replace the rule. */
  readonly replaceable: boolean;
}

interface State {
  /** Booted without ima_mem_exec_disable. */
  readonly enabled: boolean;
  readonly options: Options;
  /** Tasks in an execve whose file carries a signature (LSM_UNSAFE_DIGSIG of bprm->unsafe). */
  readonly unsafe: readonly { readonly pid: number; readonly verified: boolean }[];
  /** The design itself asks the policy; IMA's own questions do not meet the word `mem_exec`. */
  readonly asking: boolean;
  readonly swapped: readonly number[];
}

type Cursor = ExtensionCursor<State>;

const protection = (x: ExtensionCursor<State>): Protection => ({ protects: !x.state.options.allSigned });

function optionsOf(text: string): Options {
  const words = text.split(',');
  const has = (word: string): boolean => words.includes(word);
  return {
    all: has('all'),
    required: has('required'),
    allSigned: has('all_signed'),
    checkFirst: has('check_first'),
    replaceable: has('replaceable'),
  };
}

/** The loader's question: whether a rule with `mem_exec` of the policy in force covers this file. */
function inPolicy(x: Cursor, task: VfsTask, file: FileId): boolean {
  const { ima, vfs } = x.rooms;
  const inode = vfs.inode(vfs.file(file).inode);
  const sb = vfs.superblock(inode.sb);
  const subject = { task, cred: task.cred, inode, sb, func: C.BPRM_CHECK, mask: MAY_EXEC, funcData: null };
  const asked = (asking: boolean): boolean => {
    x.state = { ...x.state, asking };
    return (matchPolicy(ima, subject, C.IMA_APPRAISE).action & C.IMA_APPRAISE) !== 0;
  };
  const withWord = asked(true);
  return !asked(false) && withWord;
}

function forget(x: Cursor, pid: number): void {
  const alive = (u: { readonly pid: number }): boolean => x.rooms.kernel.task(u.pid)?.bprm != null;
  x.state = { ...x.state, unsafe: x.state.unsafe.filter((u) => u.pid !== pid && alive(u)) };
}

function mark(x: Cursor, pid: number, verified: boolean): void {
  x.state = { ...x.state, unsafe: [...x.state.unsafe, { pid, verified }] };
}

/** Without a good signature: EACCES where verification is not optional, else the program runs like others. */
function withoutSignature(x: Cursor, code: 'memlock.unsigned' | 'memlock.not_verified', err: Err): Err {
  const { rooms, state } = x;
  if (state.options.required && rooms.ima.isAppraiseEnabled())
    return rooms.kernel.refuse('EACCES', REASON['memlock.signature_required']);
  rooms.trace.emit(code, { errno: err }, REASON[code]);
  return 0;
}

/** @kernel security/security.c security_bprm_check(), setting LSM_UNSAFE_DIGSIG */
function bprmCheck(x: Cursor, task: VfsTask, file: FileId): Err {
  const { rooms } = x;
  // A script's interpreter is checked in a round of its own: the last file counts.
  forget(x, task.pid);
  if (!inPolicy(x, task, file)) return 0;
  if (signatureOf(rooms, rooms.vfs.file(file).inode) === null)
    return withoutSignature(x, 'memlock.unsigned', 'ENODATA');
  if (!x.state.options.checkFirst) {
    mark(x, task.pid, false);
    rooms.trace.emit('memlock.marked', { pid: task.pid }, REASON['memlock.marked']);
    return 0;
  }
  const err = verifyNow(rooms, file);
  if (err !== 0) return withoutSignature(x, 'memlock.not_verified', err);
  mark(x, task.pid, true);
  rooms.trace.emit('memlock.checked', { pid: task.pid }, REASON['memlock.checked_early']);
  return 0;
}

function flagOf(x: Cursor, task: Task): { readonly verified: boolean } | undefined {
  return x.state.unsafe.find((u) => u.pid === task.pid);
}

/** The loader: a file with LSM_UNSAFE_DIGSIG is locked in memory. */
function execLock(x: Cursor, task: Task): Err {
  if (flagOf(x, task) === undefined || x.state.options.allSigned) return 0;
  return lockProgram(x.rooms, task);
}

/** bprm_post_load: what is in memory now is what counts. */
function execVerify(x: Cursor, task: Task, file: FileId): Err {
  const flag = flagOf(x, task);
  if (flag === undefined) return 0;
  forget(x, task.pid);
  const err = flag.verified ? 0 : verifyNow(x.rooms, file);
  if (err !== 0) return withoutSignature(x, 'memlock.not_verified', err);
  raise(x.rooms, task, REASON['memlock.raised']);
  return 0;
}

/** The policy node, closed to writers while the rule must stay. */
function policyNode(x: Cursor): readonly ExtensionNode[] {
  const { enabled, options } = x.state;
  const { ima, findPseudo, kernel } = x.rooms;
  const node = findPseudo('ima/policy');
  if (!enabled || options.replaceable || node === undefined) return [];
  const open = (task: VfsTask, _file: FileId, flags: number): Err =>
    (flags & O_ACCMODE) === O_RDONLY
      ? openPolicy(ima, task, flags)
      : kernel.refuse('EPERM', REASON['memlock.policy_held']);
  return [{ path: 'integrity/ima/policy', mode: 0o600, node: { ...node, open } }];
}

export const imaMemExec = defineExtension<State>({
  name: 'ima_mem_exec',
  about: 'signed programs are locked in memory, verified there, and get CAP_SIGNED; others run without it',
  setup: ['ima_mem_exec_disable', 'ima_mem_exec='],
  start: (parameters) => ({
    enabled: !parameters.has('ima_mem_exec_disable'),
    options: optionsOf(parameters.get('ima_mem_exec=') ?? ''),
    unsafe: [],
    asking: false,
    swapped: [],
  }),
  hooks: (x) => ({
    ...kexecGate(x.rooms),
    bprmCheck: (task, file) => bprmCheck(x, task, file),
  }),
  listeners: (x) => ({
    execLock: (task) => execLock(x, task),
    execVerify: (task, file) => execVerify(x, task, file),
  }),
  nodes: policyNode,
  imaConditions: [{ keyword: 'mem_exec', ops: [''], accepts: () => true, matches: (x) => x.state.asking }],
  imaDefaultRules: (x) => {
    const { enabled, options } = x.state;
    if (!enabled) return null;
    const owner = options.all ? '' : ' fowner=0';
    return {
      rules: [`appraise func=BPRM_CHECK${owner} appraise_type=imasig mem_exec`],
      insteadOfAppraise: true,
    };
  },
  imaPolicyLoaded: (x, replaced) => {
    if (!x.state.enabled || !replaced) return;
    x.rooms.trace.emit('memlock.policy_replaced', {}, REASON['memlock.policy_replaced']);
  },
  calls: {
    ptrace_store: traceCall<State>(protection),
    memory_pressure: pressureCall<State>(protection),
    swap_write: swapWriteCall<State>(),
  },
});
