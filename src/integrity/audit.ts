// Audit records as kauditd prints them without a daemon: `type=1807 audit(T:N): ...`. Integrity records
// have the fields of integrity_audit_message(); what is left out is the rate limit and the SYSCALL and
// PROCTITLE records of an event.

import { ERRNO, type Err } from '../base/errno.ts';
import { type AppendList, append, emptyList } from '../base/list.ts';
import type { VfsTask } from '../vfs/types.ts';

export const AUDIT_INTEGRITY_DATA = 1800;
export const AUDIT_INTEGRITY_METADATA = 1801;
export const AUDIT_INTEGRITY_STATUS = 1802;
export const AUDIT_INTEGRITY_HASH = 1803;
export const AUDIT_INTEGRITY_PCR = 1804;
export const AUDIT_INTEGRITY_RULE = 1805;
export const AUDIT_INTEGRITY_EVM_XATTR = 1806;
export const AUDIT_INTEGRITY_POLICY_RULE = 1807;
export const AUDIT_INTEGRITY_USERSPACE = 1808;

/** auid and ses of a task that no login set. */
export const UNSET_ID = 4294967295;

export interface AuditRecord {
  readonly type: number;
  readonly body: string;
}

export interface AuditState {
  readonly records: AppendList<AuditRecord>;
  /** integrity_audit=1: informational records are written too. */
  readonly integrityAudit: boolean;
}

export function newAudit(integrityAudit = false): AuditState {
  return { records: emptyList(), integrityAudit };
}

/**
 * audit_log_untrustedstring(): quoted, or upper-case hex when the bytes hold a quote, a control byte, a
 * space or anything above 0x7e. The text has one character per byte.
 * @kernel kernel/audit.c audit_string_contains_control()
 */
export function untrusted(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22 || c < 0x21 || c > 0x7e) {
      let hex = '';
      for (let j = 0; j < text.length; j++)
        hex += text.charCodeAt(j).toString(16).toUpperCase().padStart(2, '0');
      return hex;
    }
  }
  return `"${text}"`;
}

export interface IntegrityMessage {
  readonly type: number;
  readonly op: string;
  readonly cause: string;
  /** name= as the record prints it: a path, a dentry name or an event name; one character per byte. */
  readonly name?: string;
  readonly dev?: string;
  readonly ino?: number;
  /** True for failure: the record then says res=0. */
  readonly failed: boolean;
  readonly errno?: Err;
  /** Informational: only written with integrity_audit=1. */
  readonly info?: boolean;
}

export class Audit {
  state: AuditState;
  /** Label of a task for subj=, when a module labels tasks. */
  subject: ((task: VfsTask) => string | null) | null = null;

  constructor(state: AuditState) {
    this.state = state;
  }

  log(type: number, body: string): void {
    this.state = { ...this.state, records: append(this.state.records, { type, body }) };
  }

  /** ` subj=LABEL`, or nothing. @kernel kernel/audit.c audit_log_task_context() */
  taskContext(task: VfsTask): string {
    const label = this.subject?.(task) ?? null;
    return label === null ? '' : ` subj=${label}`;
  }

  /** @kernel security/integrity/integrity_audit.c integrity_audit_message() */
  message(task: VfsTask, m: IntegrityMessage): void {
    if (m.info && !this.state.integrityAudit) return;
    let body = `pid=${task.pid} uid=${task.cred.uid} auid=${UNSET_ID} ses=${UNSET_ID}${this.taskContext(task)}`;
    body += ` op=${m.op} cause=${m.cause} comm=${untrusted(task.comm)}`;
    if (m.name !== undefined) body += ` name=${untrusted(m.name)}`;
    if (m.dev !== undefined) body += ` dev=${untrusted(m.dev)} ino=${m.ino ?? 0}`;
    body += ` res=${m.failed ? 0 : 1} errno=${m.errno ? -ERRNO[m.errno] : 0}`;
    this.log(m.type, body);
  }
}

/** What the kernel log keeps of one message, its level and line end left out (PRINTKRB_RECORD_MAX). */
const LOG_LINE_MAX = 1021;
/** A time stamp in the log: seconds since the epoch, milliseconds, and the serial number. */
const STAMP_LENGTH = '1767225600.000:'.length;
/** What stands for the stamp here. */
const PLACEHOLDER = 'T:N';

/**
 * The line that the kernel log shows; time and serial are `T:N`. A record that is too long for one log
 * message loses its end; `serial` is the record's number as it stands in the real stamp, which takes part
 * in that length.
 * @kernel kernel/printk/printk.c vprintk_store()
 */
export function auditLine(record: AuditRecord, serial = 1): string {
  const line = `audit: type=${record.type} audit(${PLACEHOLDER}): ${record.body}`;
  const room = LOG_LINE_MAX - (STAMP_LENGTH + String(serial).length - PLACEHOLDER.length);
  return line.length > room ? line.slice(0, room) : line;
}
