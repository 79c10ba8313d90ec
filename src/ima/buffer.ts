// Measuring buffers: kexec command lines, keys, critical data, blacklisted hashes. Nothing is appraised and
// no iint is kept; equal entries are suppressed like any others.

import { EMPTY, fromLatin1 } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import { AUDIT_INTEGRITY_PCR } from '../integrity/audit.ts';
import { kernelHash } from '../integrity/hash-info.ts';
import type { InodeKey, VfsTask } from '../vfs/types.ts';
import { FUNC_MEASURE_STR, FUNC_TOKENS, IMA_MEASURE, NONE } from './constants.ts';
import { auditMessage, type ImaCursor } from './cursor.ts';
import { fieldEnv } from './event.ts';
import { type Decision, getAction } from './policy-match.ts';
import { storeTemplate } from './queue.ts';
import { R } from './reasons.ts';
import { BUILTIN_TEMPLATES } from './template.ts';
import { type EventData, initTemplate } from './template-lib.ts';
import type { TemplateDesc } from './types.ts';

export interface BufferEvent {
  readonly data: Uint8Array;
  /** Name in the list, one character per byte. */
  readonly eventName: string;
  /** NONE measures without asking the policy. */
  readonly func: number;
  /** Keyring or label that rules are held against. */
  readonly funcData: string | null;
  /** Inode that conditions on the file system are held against. */
  readonly inode: InodeKey | null;
  /** 0 = the configured register. */
  readonly pcr: number;
  /** The list gets the data's hash instead of the data. */
  readonly hashed: boolean;
}

function decide(ima: ImaCursor, task: VfsTask, event: BufferEvent): Decision {
  const { vfs } = ima.env;
  const inode = event.inode === null ? null : vfs.inode(event.inode);
  return getAction(ima, {
    task,
    cred: task.cred,
    inode,
    sb: inode === null ? null : vfs.superblock(inode.sb),
    func: event.func,
    mask: 0,
    funcData: event.funcData,
  });
}

/** name= of the list's own audit record is the buffer read as a C string. */
function bufferName(buf: Uint8Array): string | null {
  if (buf.length === 0) return null;
  const nul = buf.indexOf(0);
  return fromLatin1(nul < 0 ? buf : buf.subarray(0, nul));
}

/**
 * ENOENT when no rule asks for the buffer.
 * @kernel security/integrity/ima/ima_main.c process_buffer_measurement()
 */
export function processBufferMeasurement(ima: ImaCursor, task: VfsTask, event: BufferEvent): Err {
  const seen = { func: FUNC_TOKENS[event.func] ?? '', name: event.eventName, length: event.data.length };
  if (ima.state.policy.flag === 0) {
    ima.env.trace.emit('ima.buffer', seen, R['ima.no_policy']);
    return 'ENOENT';
  }
  let pcr = event.pcr;
  let template = BUILTIN_TEMPLATES.find((t) => t.name === 'ima-buf') as TemplateDesc;
  let rules: readonly number[] = [];
  if (event.func !== NONE) {
    const decision = decide(ima, task, event);
    rules = decision.matched;
    if ((decision.action & IMA_MEASURE) === 0) {
      ima.env.trace.emit('ima.buffer', { ...seen, uid: task.cred.uid }, R['ima.buffer_not_in_policy']);
      return 'ENOENT';
    }
    pcr = decision.pcr ?? pcr;
    template = decision.template ?? template;
  }
  // A rule with pcr=0 ends up in the configured register, too.
  if (pcr === 0) pcr = measurePcr(ima);
  const cause = ima.env.trace.open('ima.buffer', { ...seen, rules }, R['ima.buffer_measured']);
  const err = store(ima, task, event, template, pcr);
  ima.env.trace.close(cause);
  return err;
}

function store(ima: ImaCursor, task: VfsTask, event: BufferEvent, template: TemplateDesc, pcr: number): Err {
  const alg = ima.state.hashAlgo;
  let digest = kernelHash(alg, event.data);
  let buf = event.data;
  if (event.hashed) {
    buf = digest;
    digest = kernelHash(alg, digest);
  }
  const data: EventData = {
    hash: { alg, digest },
    iintFlags: 0,
    file: null,
    inode: null,
    filename: event.eventName,
    dentryName: null,
    xattrValue: null,
    modsig: null,
    violation: false,
    buf: buf.length === 0 ? EMPTY : buf,
  };
  const fields = initTemplate(template, data, fieldEnv(ima, task));
  let cause = 'alloc_entry';
  let err: Err = fields.ok ? 0 : fields.errno;
  if (fields.ok) {
    cause = 'store_entry';
    err = storeTemplate(ima, template, fields.value, pcr, false, {
      task,
      inode: null,
      name: bufferName(buf),
    });
  }
  if (err !== 0) {
    auditMessage(ima, task, {
      type: AUDIT_INTEGRITY_PCR,
      op: FUNC_MEASURE_STR[event.func] as string,
      cause,
      name: event.eventName,
      inode: null,
      failed: true,
      errno: err,
    });
  }
  return err;
}

/** CONFIG_IMA_MEASURE_PCR_IDX. */
export function measurePcr(ima: ImaCursor): number {
  return Number(ima.env.profile.config['CONFIG_IMA_MEASURE_PCR_IDX'] ?? 10);
}
