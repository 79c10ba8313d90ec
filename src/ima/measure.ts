// Putting a file into the measurement list, as a measurement or as a violation, and the record of an audit
// rule.

import { toHex } from '../base/bytes.ts';
import { AUDIT_INTEGRITY_PCR, AUDIT_INTEGRITY_RULE, UNSET_ID, untrusted } from '../integrity/audit.ts';
import { O_DIRECT } from '../vfs/constants.ts';
import type { FileId, OpenFile, VfsTask } from '../vfs/types.ts';
import { measurePcr } from './buffer.ts';
import { IMA_AUDITED } from './constants.ts';
import { auditMessage, type ImaCursor, noMemory } from './cursor.ts';
import { fieldEnv, fileEvent } from './event.ts';
import { iintStep } from './iint.ts';
import { storeTemplate } from './queue.ts';
import { R } from './reasons.ts';
import { lookupTemplateDesc } from './template.ts';
import { initTemplate, type Modsig } from './template-lib.ts';
import type { Iint, TemplateDesc } from './types.ts';

/** @kernel security/integrity/ima/ima_template.c ima_template_desc_current() */
export function currentTemplate(ima: ImaCursor): TemplateDesc {
  const { template, templates } = ima.state;
  if (template !== null) return template;
  const name = ima.env.profile.config['CONFIG_IMA_DEFAULT_TEMPLATE'] ?? 'ima-ng';
  return lookupTemplateDesc(templates, name) ?? (templates[0] as TemplateDesc);
}

/** Bit of a register in iint.measuredPcrs: a shift of an int, so that 32 and more wrap around. */
export function pcrBit(pcr: number): number {
  return 1 << pcr;
}

export interface StoreRequest {
  readonly task: VfsTask;
  readonly file: FileId;
  readonly pathname: string;
  readonly xattr: Uint8Array | null;
  readonly modsig: Modsig | null;
  readonly pcr: number;
  readonly template: TemplateDesc;
}

/**
 * Adds the file to the list unless this register has it; an equal entry of somebody else counts as stored.
 * @kernel security/integrity/ima/ima_api.c ima_store_measurement()
 */
export function storeMeasurement(ima: ImaCursor, r: StoreRequest, iint: Iint): Iint {
  if ((iint.measuredPcrs & pcrBit(r.pcr)) !== 0 && r.modsig === null) return iint;
  const file = ima.env.vfs.file(r.file);
  const inode = ima.env.vfs.inode(file.inode);
  const event = fileEvent(ima, r.file, r.pathname, iint.flags, iint.hash, r);
  const fields = initTemplate(r.template, event, fieldEnv(ima, r.task));
  if (!fields.ok) {
    ima.env.trace.emit('ima.store', { pcr: r.pcr, errno: fields.errno }, R['ima.entry_failed']);
    auditMessage(ima, r.task, {
      type: AUDIT_INTEGRITY_PCR,
      op: 'add_template_measure',
      cause: 'ENOMEM',
      name: r.pathname,
      inode,
      failed: true,
    });
    return iint;
  }
  const context = { task: r.task, inode, name: r.pathname };
  const err = storeTemplate(ima, r.template, fields.value, r.pcr, false, context);
  // What was not stored is tried again at the next access.
  if ((err !== 0 && err !== 'EEXIST') || (file.flags & O_DIRECT) !== 0) return iint;
  const after = iintStep(iint, 'STORED');
  return { ...after, measuredPcrs: after.measuredPcrs | pcrBit(r.pcr) };
}

/**
 * A violation: zeros in the list, ones in the register; always the default template and register.
 * @kernel security/integrity/ima/ima_api.c ima_add_violation()
 */
export function addViolation(
  ima: ImaCursor,
  task: VfsTask,
  fileId: FileId,
  pathname: string,
  iintFlags: number,
  cause: 'ToMToU' | 'open_writers',
): void {
  const file: OpenFile = ima.env.vfs.file(fileId);
  const inode = ima.env.vfs.inode(file.inode);
  ima.state = { ...ima.state, violations: ima.state.violations + 1 };
  const template = currentTemplate(ima);
  const event = fileEvent(ima, fileId, pathname, iintFlags, null, { xattr: null, modsig: null });
  const reason = cause === 'ToMToU' ? R['ima.tomtou'] : R['ima.open_writers'];
  const cursor = ima.env.trace.open('ima.violation', { name: pathname, inode: file.inode }, reason);
  const fields = initTemplate(template, event, fieldEnv(ima, task));
  let failed = !fields.ok;
  if (fields.ok) {
    const context = { task, inode, name: pathname };
    failed = storeTemplate(ima, template, fields.value, measurePcr(ima), true, context) !== 0;
  }
  auditMessage(ima, task, {
    type: AUDIT_INTEGRITY_PCR,
    op: 'invalid_pcr',
    cause,
    name: pathname,
    inode,
    failed,
  });
  ima.env.trace.close(cursor);
}

/**
 * The record of an audit rule, once until the file changes.
 * @kernel security/integrity/ima/ima_api.c ima_audit_measurement()
 */
export function auditMeasurement(ima: ImaCursor, task: VfsTask, pathname: string, iint: Iint): Iint {
  if ((iint.flags & IMA_AUDITED) !== 0 || iint.hash === null) return iint;
  if (noMemory(ima, 'ima_audit_measurement')) return iint;
  const { cred } = task;
  const body =
    `file=${untrusted(pathname)} hash="${iint.hash.alg}:${toHex(iint.hash.digest)}"` +
    ` ppid=${task.ppid} pid=${task.pid} auid=${UNSET_ID} uid=${cred.uid} gid=${cred.gid} euid=${cred.euid}` +
    ` suid=${cred.suid} fsuid=${cred.fsuid} egid=${cred.egid} sgid=${cred.sgid} fsgid=${cred.fsgid}` +
    ` tty=(none) ses=${UNSET_ID} comm=${untrusted(task.comm)} exe=${untrusted(task.exe)}` +
    ima.env.audit.taskContext(task);
  ima.env.audit.log(AUDIT_INTEGRITY_RULE, body);
  return iintStep(iint, 'AUDITED');
}
