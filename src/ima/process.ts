// One access to a file: policy decision, violations, what the cache still knows, measurement, appraisal,
// audit, verdict. The order of the steps is what users see: a file is measured before it is denied, and a
// rule's flags stay with the inode.

import { type Err, negative } from '../base/errno.ts';
import type { EventData } from '../base/trace.ts';
import { AUDIT_INTEGRITY_DATA } from '../integrity/audit.ts';
import { hashAlgo } from '../integrity/hash-info.ts';
import { EVM_IMA_XATTR_DIGSIG } from '../integrity/xattr.ts';
import { MAY_WRITE, O_DIRECT, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import {
  type Cred,
  type FileId,
  FMODE_WRITE,
  type Inode,
  type InodeKey,
  type OpenFile,
  type Superblock,
  type VfsTask,
} from '../vfs/types.ts';
import { appraiseMeasurement, checkBlacklist, type Label, labelHashAlgo, readLabel } from './appraise.ts';
import { measurePcr } from './buffer.ts';
import { collectMeasurement, realInodeChanged } from './collect.ts';
import * as C from './constants.ts';
import { auditMessage, type ImaCursor, imaDPath, noMemory } from './cursor.ts';
import { cacheStatus, iintPut, iintStep, NEW_IINT } from './iint.ts';
import { addViolation, auditMeasurement, currentTemplate, pcrBit, storeMeasurement } from './measure.ts';
import { readModsig } from './modsig.ts';
import { type Decision, getAction } from './policy-match.ts';
import { type ImaReason, R } from './reasons.ts';
import { templateHasModsig } from './template.ts';
import type { Modsig } from './template-lib.ts';
import type { Iint, TemplateDesc } from './types.ts';

export interface AccessRequest {
  readonly task: VfsTask;
  /** Credentials that rules look at: the task's, or those that an execve is about to take. */
  readonly cred: Cred;
  readonly file: FileId;
  /** Content as it is in memory already; null reads the file. */
  readonly buf: Uint8Array | null;
  readonly mask: number;
  readonly func: number;
  /** The program only asks; what is refused is for it to enforce (AT_EXECVE_CHECK). */
  readonly isCheck?: boolean;
}

const NO_LABEL: Label = { value: null, length: 0 };
const EACCES = negative('EACCES');
const EPERM = negative('EPERM');
const ETXTBSY = negative('ETXTBSY');

function isMmap(func: number): boolean {
  return func === C.MMAP_CHECK || func === C.MMAP_CHECK_REQPROT;
}

/** A call of process_measurement() under way. */
class Access {
  readonly ima: ImaCursor;
  readonly request: AccessRequest;
  readonly file: OpenFile;
  readonly inode: Inode;
  readonly sb: Superblock;
  readonly key: InodeKey;
  readonly decision: Decision;
  readonly mustAppraise: boolean;
  /** The hook, or FILE_CHECK when a rule without func= appraises. */
  readonly func: number;
  readonly pcr: number;
  readonly template: TemplateDesc;
  /** Actions still to do. */
  action: number;
  iint: Iint;
  /** The record as the cache holds it. */
  known: Iint | undefined;
  label: Label = NO_LABEL;
  modsig: Modsig | null = null;
  /** 0, -errno, or an integrity status that is no pass. */
  rc = 0;
  reason: ImaReason = R['ima.allowed'];
  #pathname: string | null = null;

  constructor(
    ima: ImaCursor,
    request: AccessRequest,
    file: OpenFile,
    inode: Inode,
    sb: Superblock,
    decision: Decision,
  ) {
    this.ima = ima;
    this.request = request;
    this.file = file;
    this.inode = inode;
    this.sb = sb;
    this.key = inode.key;
    this.decision = decision;
    this.action = decision.action;
    this.mustAppraise = (decision.action & C.IMA_APPRAISE) !== 0;
    this.func = (decision.action & C.IMA_FILE_APPRAISE) !== 0 ? C.FILE_CHECK : request.func;
    this.pcr = decision.pcr ?? measurePcr(ima);
    this.template = decision.template ?? currentTemplate(ima);
    this.known = ima.state.iint.get(inode.key);
    this.iint = this.known ?? NEW_IINT;
  }

  get pathname(): string {
    if (this.#pathname === null) this.#pathname = imaDPath(this.ima.env.vfs, this.file.path);
    return this.#pathname;
  }

  save(): void {
    if (this.iint === this.known) return;
    iintPut(this.ima, this.key, this.iint);
    this.known = this.iint;
  }

  /** @kernel security/integrity/ima/ima_main.c ima_rdwr_violation_check() */
  checkViolations(): void {
    const mustMeasure = (this.action & C.IMA_MEASURE) !== 0;
    const limit = this.ima.env.profile.switches.limitViolations;
    const has = (bit: number): boolean => (this.iint.atomicFlags & bit) !== 0;
    if ((this.file.fmode & FMODE_WRITE) !== 0) {
      const known = this.known !== undefined && this.inode.iReadcount > 0;
      if (known && has(C.IMA_MAY_EMIT_TOMTOU)) {
        if (limit) this.iint = iintStep(this.iint, 'TOMTOU');
        this.violation('ToMToU');
      }
    } else if (mustMeasure) {
      this.iint = iintStep(this.iint, 'MEASURED_READER');
      if (this.inode.iWritecount > 0 && !(limit && has(C.IMA_EMITTED_OPENWRITERS))) {
        this.iint = iintStep(this.iint, 'OPEN_WRITERS');
        this.violation('open_writers');
      }
    }
  }

  violation(cause: 'ToMToU' | 'open_writers'): void {
    const { task, file } = this.request;
    addViolation(this.ima, task, file, this.pathname, this.iint.flags, cause);
  }

  /** Marks that hooks left since the last access, and file systems that must be looked at again. */
  consumeChanges(): void {
    const { trace, profile } = this.ima.env;
    if ((this.iint.atomicFlags & C.IMA_CHANGE_ATTR) !== 0) {
      const keep = profile.switches.newFileSurvivesSetattr;
      this.iint = iintStep(this.iint, keep ? 'CHANGE_ATTR_SEEN' : 'CHANGE_ATTR_SEEN_NEW_FILE');
      trace.emit('ima.forget', { inode: this.key }, R['ima.change_attr']);
    }
    if ((this.iint.atomicFlags & C.IMA_CHANGE_XATTR) !== 0) {
      this.iint = iintStep(this.iint, 'CHANGE_XATTR_SEEN');
      trace.emit('ima.forget', { inode: this.key }, R['ima.change_xattr']);
    } else if (
      this.sb.unverifiable &&
      !this.sb.untrustedMounter &&
      (this.action & C.IMA_FAIL_UNVERIFIABLE_SIGS) === 0
    ) {
      this.iint = iintStep(this.iint, 'RESET');
      trace.emit('ima.forget', { inode: this.key }, R['ima.unverifiable_fs']);
    }
    if (this.inode.realData !== null) this.checkBacking(this.inode.realData);
  }

  /** On an overlay: whether the inodes below are still those that were looked at. */
  checkBacking(realData: InodeKey): void {
    if ((this.action & C.IMA_DO_MASK) === 0 || (this.iint.flags & C.IMA_DONE_MASK) === 0) return;
    const { vfs, evm, trace } = this.ima.env;
    if (realInodeChanged(vfs, this.iint, vfs.inode(realData))) {
      this.iint = iintStep(this.iint, 'RESET');
      trace.emit('ima.forget', { inode: this.key }, R['ima.backing_changed']);
    }
    if (evm.metadataChanged(this.key, this.inode.realMeta ?? realData)) {
      this.iint = iintStep(this.iint, 'METADATA_CHANGED');
      trace.emit('ima.forget', { inode: this.key }, R['ima.metadata_changed']);
    }
  }

  /** Adds the decision to the record and drops from the actions what is done already. */
  dropDone(): void {
    const flags = (this.iint.flags | this.action) >>> 0;
    if (flags !== this.iint.flags) this.iint = { ...this.iint, flags };
    this.action &= C.IMA_DO_MASK;
    this.action &= ~((flags & (C.IMA_DONE_MASK ^ C.IMA_MEASURED)) >> 1);
    if ((this.action & C.IMA_MEASURE) !== 0 && (this.iint.measuredPcrs & pcrBit(this.pcr)) !== 0)
      this.action ^= C.IMA_MEASURE;
    if ((this.action & C.IMA_HASH) !== 0 && (this.iint.atomicFlags & C.IMA_DIGSIG) === 0) {
      const label = readLabel(this.ima, this.key);
      if (label.value !== null && label.length > 2 && label.value[0] === EVM_IMA_XATTR_DIGSIG)
        this.iint = iintStep(this.iint, 'SIGNED_SEEN');
      this.iint = iintStep(this.iint, 'HASHED');
      this.action ^= C.IMA_HASH;
      this.ima.env.trace.emit('ima.hash', { inode: this.key }, R['ima.hash_rule']);
    }
  }

  /** @kernel security/integrity/ima/ima_main.c mmap_violation_check() */
  mmapWriters(): number {
    if (!isMmap(this.func) || !this.ima.env.vfs.mappedWritable(this.key)) return 0;
    auditMessage(this.ima, this.request.task, {
      type: AUDIT_INTEGRITY_DATA,
      op: 'mmap_file',
      cause: 'mmapped_writers',
      name: this.pathname,
      inode: this.inode,
      failed: true,
    });
    this.reason = R['ima.mmapped_writers'];
    return ETXTBSY;
  }

  /** Nothing is left to do: the remembered verdict of this hook counts. */
  cached(): void {
    this.reason = R['ima.nothing_left'];
    if (!this.mustAppraise) return;
    this.rc = this.mmapWriters();
    if (this.rc !== 0) return;
    this.rc = cacheStatus(this.iint, this.func);
    if (this.rc !== 0) this.reason = R['ima.cached_denial'];
  }

  /** Label, appended signature, digest, list, verdict, audit record: the work that is left. */
  evaluate(): void {
    const { task, buf } = this.request;
    if ((this.action & C.IMA_APPRAISE_SUBMASK) !== 0 || this.template.name !== C.IMA_TEMPLATE_IMA_NAME)
      this.readLabels();
    const alg = labelHashAlgo(this.label.value, this.ima.state.hashAlgo);
    const collected = collectMeasurement(this.ima, task, this.file, this.iint, buf, alg);
    this.iint = collected.iint;
    this.rc = negative(collected.err);
    if (this.rc !== 0) this.reason = R['ima.collect_zero'];
    if (this.rc !== 0 && collected.err !== 'EBADF' && collected.err !== 'EINVAL') {
      this.reason = R['ima.collect_failed'];
      return;
    }
    if ((this.action & C.IMA_MEASURE) !== 0) this.store();
    if (this.rc === 0 && (this.action & C.IMA_APPRAISE_SUBMASK) !== 0) this.appraise();
    if ((this.action & C.IMA_AUDIT) !== 0)
      this.iint = auditMeasurement(this.ima, task, this.pathname, this.iint);
    this.checkAfter(alg);
  }

  readLabels(): void {
    this.label = readLabel(this.ima, this.key);
    if ((this.iint.flags & C.IMA_MODSIG_ALLOWED) === 0) return;
    this.modsig = readModsig(this.ima, this.request.buf);
    const again = this.modsig !== null && templateHasModsig(this.template);
    if (again && (this.iint.flags & C.IMA_MEASURED) !== 0 && (this.action & C.IMA_MEASURE) === 0) {
      this.action |= C.IMA_MEASURE;
      this.ima.env.trace.emit('ima.modsig', { inode: this.key }, R['ima.modsig_again']);
    }
  }

  store(): void {
    const { task, file } = this.request;
    const { pathname, modsig, pcr, template } = this;
    const request = { task, file, pathname, xattr: this.label.value, modsig, pcr, template };
    this.iint = storeMeasurement(this.ima, request, this.iint);
  }

  appraise(): void {
    const { task } = this.request;
    const { func, file, label, modsig } = this;
    if (checkBlacklist(this.ima, task, this.iint, modsig, this.pcr)) {
      this.rc = EPERM;
      this.reason = R['ima.blacklisted'];
      return;
    }
    const userspace = this.request.isCheck === true && func === C.BPRM_CHECK;
    const request = { task, func, file, pathname: this.pathname, label, modsig, userspace };
    const verdict = appraiseMeasurement(this.ima, request, this.iint);
    this.iint = verdict.iint;
    this.rc = verdict.status;
    this.reason = verdict.reason;
    if (this.rc === 0) this.rc = this.mmapWriters();
  }

  /** permit_directio forgives everything; appraise_algos looks at what passed. */
  checkAfter(alg: string): void {
    if ((this.file.flags & O_DIRECT) !== 0 && (this.iint.flags & C.IMA_PERMIT_DIRECTIO) !== 0) {
      if (this.rc !== 0) this.reason = R['ima.directio_permitted'];
      this.rc = 0;
    }
    const allowed = this.decision.allowedAlgos;
    if (this.rc !== 0 || !this.mustAppraise || allowed === 0 || (allowed & (1 << hashAlgo(alg))) !== 0)
      return;
    this.rc = EACCES;
    this.reason = R['ima.denied_hash_algorithm'];
    auditMessage(this.ima, this.request.task, {
      type: AUDIT_INTEGRITY_DATA,
      op: 'collect_data',
      cause: 'denied-hash-algorithm',
      name: this.pathname,
      inode: this.inode,
      failed: true,
    });
  }

  /** A file with a signature is not opened for writing, unless it is new. */
  checkSignedWriter(): void {
    const signed = (this.iint.atomicFlags & C.IMA_DIGSIG) !== 0;
    if ((this.request.mask & MAY_WRITE) === 0 || !signed || (this.iint.flags & C.IMA_NEW_FILE) !== 0) return;
    this.rc = EACCES;
    this.reason = R['ima.signed_immutable'];
  }

  /** What the caller gets, and what a writer leaves behind. */
  finish(): Err {
    if (!this.mustAppraise) return 0;
    if (this.rc !== 0 && (this.ima.state.appraise & C.IMA_APPRAISE_ENFORCE) !== 0) return 'EACCES';
    if ((this.file.fmode & FMODE_WRITE) !== 0) this.iint = iintStep(this.iint, 'WRITER_APPRAISED');
    return 0;
  }

  /** One literal of a fixed shape: copying and extending it would cost more than the whole cached path. */
  event(before: number, err: Err): EventData {
    const { func, mask, cred } = this.request;
    return {
      func: C.FUNC_TOKENS[func] as string,
      mask,
      inode: this.key,
      uid: cred.uid,
      euid: cred.euid,
      action: this.decision.action >>> 0,
      rules: this.decision.matched,
      before,
      todo: this.action,
      after: this.iint.flags,
      rc: this.rc,
      errno: err,
    };
  }

  /**
   * The inode's record cannot be allocated: nothing is looked at, and appraisal that enforces refuses.
   * @deviation where a file opened for writing must be appraised and nothing is enforced, the kernel would
   * go on to a record that is not there
   */
  withoutRecord(): Err {
    const enforced = this.mustAppraise && (this.ima.state.appraise & C.IMA_APPRAISE_ENFORCE) !== 0;
    this.rc = negative('ENOMEM');
    const err: Err = enforced ? 'EACCES' : 0;
    this.ima.env.trace.emit('ima.check', this.event(0, err), R['ima.no_record']);
    return err;
  }

  run(violationCheck: boolean): Err {
    const { trace } = this.ima.env;
    const before = this.known?.flags ?? 0;
    if (this.decision.action !== 0 && this.known === undefined && noMemory(this.ima, 'ima_inode_get'))
      return this.withoutRecord();
    if (violationCheck) this.checkViolations();
    if (this.decision.action === 0) {
      this.save();
      trace.emit('ima.check', this.event(before, 0), R['ima.violation_only']);
      return 0;
    }
    this.consumeChanges();
    this.dropDone();
    if (this.action === 0) {
      this.cached();
      this.checkSignedWriter();
      const err = this.finish();
      this.save();
      trace.emit('ima.check', this.event(before, err), this.reason);
      return err;
    }
    const cause = trace.open('ima.check', this.event(before, 0), R['ima.evaluated']);
    this.evaluate();
    this.checkSignedWriter();
    const err = this.finish();
    this.save();
    let reason = this.reason;
    if (err === 0 && this.rc !== 0 && this.mustAppraise) reason = R['ima.allowed_not_enforced'];
    const end = {
      inode: this.key,
      path: this.pathname,
      after: this.iint.flags,
      rc: this.rc,
      errno: err,
      why: this.reason,
    };
    trace.emit('ima.verdict', end, reason);
    trace.close(cause);
    return err;
  }
}

/** At most one small event for an access that concerns nobody. */
function skip(ima: ImaCursor, r: AccessRequest, inode: InodeKey, reason: ImaReason): Err {
  const { cred, mask, func } = r;
  const data = { func: C.FUNC_TOKENS[func] as string, mask, inode, uid: cred.uid, euid: cred.euid };
  ima.env.trace.emit('ima.check', data, reason);
  return 0;
}

/**
 * EACCES when appraisal is required, failed and enforced; else 0.
 * @kernel security/integrity/ima/ima_main.c process_measurement()
 */
export function processMeasurement(ima: ImaCursor, r: AccessRequest): Err {
  const { vfs } = ima.env;
  const file = vfs.file(r.file);
  const policyFlag = ima.state.policy.flag;
  if (policyFlag === 0) return skip(ima, r, file.inode, R['ima.no_policy']);
  const inode = vfs.inode(file.inode);
  if ((inode.mode & S_IFMT) !== S_IFREG) return skip(ima, r, file.inode, R['ima.not_regular']);
  const sb = vfs.superblock(inode.sb);
  const { task, cred, func, mask } = r;
  const decision = getAction(ima, { task, cred, inode, sb, func, mask, funcData: null });
  const violationCheck =
    (func === C.FILE_CHECK || isMmap(func)) &&
    (policyFlag & C.IMA_MEASURE) !== 0 &&
    ((decision.action & C.IMA_MEASURE) !== 0 || (file.fmode & FMODE_WRITE) !== 0);
  if (decision.action === 0 && !violationCheck) return skip(ima, r, file.inode, R['ima.not_in_policy']);
  return new Access(ima, r, file, inode, sb, decision).run(violationCheck);
}
