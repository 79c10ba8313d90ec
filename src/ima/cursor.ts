// What every part of IMA works on: the state cursor and the other rooms it reaches. Also the three ways in
// which IMA speaks: audit records, kernel log lines, and the bytes of names.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import type { Err, Result } from '../base/errno.ts';
import type { Faults } from '../base/faults.ts';
import type { KernelProfile } from '../base/profile.ts';
import type { Trace } from '../base/trace.ts';
import type { EvmApi } from '../evm/api.ts';
import type { Audit } from '../integrity/audit.ts';
import type { IntegrityKeys } from '../integrity/keyring-api.ts';
import type { TpmChip } from '../tpm/chip.ts';
import type { VfsApi } from '../vfs/api.ts';
import { PATH_MAX } from '../vfs/constants.ts';
import type { KernelReadId } from '../vfs/hooks.ts';
import type { DentryId, Inode, InodeKey, PathRef, VfsTask } from '../vfs/types.ts';
import type { ImaFaultSite } from './faults.ts';
import type { ImaCondition, ImaState, LabelType, LsmField } from './types.ts';

/** Labels of a module like Smack, for rules with obj_* and subj_* conditions (CONFIG_IMA_LSM_RULES). */
export interface LsmLabels {
  /** security_audit_rule_init(): whether the module knows the field and takes the value. */
  known(field: LsmField, value: string): boolean;
  /** security_audit_rule_match() for the label of an inode or of a task; a negative result is an error. */
  match(subject: InodeKey | VfsTask, field: LsmField, value: string): number;
}

/** What the machine's firmware and modules say about themselves. */
export interface ImaPlatform {
  readonly arch: 'efi' | 'powerpc' | 's390';
  readonly secureBoot: boolean;
  readonly trustedBoot: boolean;
  /** is_module_sig_enforced(). */
  moduleSigEnforced(): boolean;
}

/** Rules of a design for the list that IMA starts with. */
export interface DefaultRules {
  readonly rules: readonly string[];
  /** They stand in place of the appraisal rules of the command line (either one or the other). */
  readonly insteadOfAppraise: boolean;
}

export interface ImaEnv {
  readonly trace: Trace;
  readonly clock: Clock;
  readonly vfs: VfsApi;
  /** null: no TPM, "TPM-bypass". */
  readonly chip: TpmChip | null;
  readonly audit: Audit;
  readonly evm: EvmApi;
  readonly keys: IntegrityKeys;
  readonly profile: KernelProfile;
  /** Calls that are to fail; without it none does. */
  readonly faults?: Faults;
  /** kernel_read_file_from_path(): opens and reads with all hooks, IMA's included. */
  readFile(task: VfsTask, path: string, id: KernelReadId): Result<Uint8Array>;
  /** make_kuid(), make_kgid(): the id outside of a user namespace; without it only namespace 0 has ids. */
  readonly mapId?: (userNs: number, kind: 'uid' | 'gid', id: number) => number | null;
  readonly labels?: LsmLabels | null;
  /** Conditions of rules that designs add. */
  readonly conditions?: readonly ImaCondition[];
  /** Types of labels that designs add. */
  readonly labelTypes?: readonly LabelType[];
  /** Rules that designs want at start, and who is told when an upload comes into force. */
  readonly defaultRules?: readonly DefaultRules[];
  readonly policyLoaded?: (replaced: boolean) => void;
  readonly platform?: ImaPlatform;
  /** Kernel log. */
  readonly printk?: (line: string) => void;
}

export interface ImaCursor {
  state: ImaState;
  readonly env: ImaEnv;
}

/** Whether this call of a function runs out of memory. */
export function noMemory(ima: ImaCursor, site: ImaFaultSite): boolean {
  return ima.env.faults?.noMemory(site) ?? false;
}

/** pr_err() and relatives: a line of the kernel log. */
export function log(ima: ImaCursor, text: string): void {
  ima.env.trace.emit('ima.log', { text });
  ima.env.printk?.(`ima: ${text}`);
}

/** Names live in the VFS as text and in the kernel as bytes: one character per byte of its UTF-8 form. */
export function byteText(text: string): string {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return fromLatin1(utf8(text));
  return text;
}

export interface AuditFields {
  readonly type: number;
  readonly op: string;
  readonly cause: string;
  /** One character per byte; null leaves the field out. */
  readonly name: string | null;
  readonly inode: Inode | null;
  readonly failed: boolean;
  /** Only written with integrity_audit=1. */
  readonly info?: boolean;
  /** The errno= field, which most records leave at 0. */
  readonly errno?: Err;
}

/** @kernel security/integrity/integrity_audit.c integrity_audit_msg() */
export function auditMessage(ima: ImaCursor, task: VfsTask, m: AuditFields): void {
  const { audit, vfs, trace } = ima.env;
  if (m.info && !audit.state.integrityAudit) return;
  const inode = m.inode;
  const where = inode === null ? {} : { dev: vfs.superblock(inode.sb).sid, ino: inode.ino };
  audit.message(task, {
    type: m.type,
    op: m.op,
    cause: m.cause,
    failed: m.failed,
    ...(m.name === null ? {} : { name: m.name }),
    ...where,
    ...(m.errno === undefined ? {} : { errno: m.errno }),
  });
  trace.emit('ima.audit', { type: m.type, op: m.op, cause: m.cause, res: m.failed ? 0 : 1 });
}

/**
 * Path from the root of the mount namespace; the file's own name where there is no such path.
 * @kernel security/integrity/ima/ima_api.c ima_d_path()
 */
export function imaDPath(vfs: VfsApi, path: PathRef): string {
  // A file outside of every namespace (a memfd, a mount that was detached) has no path from a root.
  const inTree = vfs.mountOf(path.mount).ns >= 0 && path.mount !== vfs.state.shmMount;
  const text = inTree ? byteText(vfs.dPath(path)) : '';
  if (text !== '' && text.length < PATH_MAX) return text;
  return byteText(vfs.dentry(path.dentry).name).slice(0, 254);
}

/**
 * Path from the root of the file system.
 * @kernel fs/d_path.c dentry_path()
 */
export function dentryPath(vfs: VfsApi, id: DentryId): string {
  const names: string[] = [];
  let dentry = vfs.dentry(id);
  const deleted = dentry.hashed || dentry.parent === dentry.id ? '' : '//deleted';
  while (dentry.parent !== dentry.id) {
    names.unshift(dentry.name);
    dentry = vfs.dentry(dentry.parent);
  }
  return byteText(`/${names.join('/')}${deleted}`);
}
