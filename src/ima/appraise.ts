// The verdict on a file: EVM's word on its metadata, then the hash or signature in security.ima against the
// collected digest, then the appended signature. Modes log and fix change what follows from a verdict, not
// the verdict.

import { concat, equalBytes } from '../base/bytes.ts';
import { type Err, negative } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { AUDIT_INTEGRITY_DATA, AUDIT_INTEGRITY_USERSPACE } from '../integrity/audit.ts';
import { integrityDigsigVerify } from '../integrity/digsig.ts';
import { HASH_ALGO_NAME, hashAlgo, kernelHash } from '../integrity/hash-info.ts';
import * as S from '../integrity/status.ts';
import * as X from '../integrity/xattr.ts';
import { FMODE_CREATED, type InodeKey, type OpenFile, type PathRef, type VfsTask } from '../vfs/types.ts';
import { processBufferMeasurement } from './buffer.ts';
import * as C from './constants.ts';
import { auditMessage, type ImaCursor, noMemory } from './cursor.ts';
import { iintStep, passEvent, withCacheStatus } from './iint.ts';
import { type ImaReason, R } from './reasons.ts';
import type { Modsig } from './template-lib.ts';
import type { FileHash, Iint } from './types.ts';

const ENODATA = -61;
const ENOMEM = negative('ENOMEM');
const ENOKEY = negative('ENOKEY');
const EINVAL = -22;
const TMPFS_MAGIC = 0x01021994;

/** security.ima of a file: the value, and its length or -errno as the kernel's read returns it. */
export interface Label {
  readonly value: Uint8Array | null;
  readonly length: number;
}

/** @kernel security/integrity/ima/ima_appraise.c ima_read_xattr() */
export function readLabel(ima: ImaCursor, inode: InodeKey): Label {
  const { vfs, profile } = ima.env;
  if (!enabled(profile, 'CONFIG_IMA_APPRAISE')) return { value: null, length: 0 };
  if (!vfs.superblock(vfs.inode(inode).sb).xattrs) return { value: null, length: 0 };
  const value = vfs.rawGetxattr(inode, X.XATTR_NAME_IMA);
  if (value !== undefined && noMemory(ima, 'ima_read_xattr')) return { value: null, length: ENOMEM };
  return value === undefined ? { value: null, length: ENODATA } : { value, length: value.length };
}

function knownAlgo(algo: number): string | null {
  return HASH_ALGO_NAME[algo] ?? null;
}

/**
 * The algorithm that a label speaks of; ima_hash where it is missing or malformed.
 * @kernel security/integrity/ima/ima_appraise.c ima_get_hash_algo()
 */
export function labelHashAlgo(value: Uint8Array | null, imaHashAlgo: string): string {
  if (value === null || value.length < 2) return imaHashAlgo;
  switch (value[0]) {
    case X.IMA_VERITY_DIGSIG:
    case X.EVM_IMA_XATTR_DIGSIG: {
      const version = value[0] === X.IMA_VERITY_DIGSIG ? 3 : 2;
      const hdr = X.signatureV2Hdr(value);
      if (hdr === null || hdr.version !== version) return imaHashAlgo;
      return knownAlgo(hdr.hashAlgo) ?? imaHashAlgo;
    }
    case X.IMA_XATTR_DIGEST_NG:
      return knownAlgo(value[1] as number) ?? imaHashAlgo;
    case X.IMA_XATTR_DIGEST:
      if (value.length === 21) return value.subarray(17).every((b) => b === 0) ? 'md5' : 'sha1';
      return value.length === 17 ? 'md5' : imaHashAlgo;
    default:
      return imaHashAlgo;
  }
}

/** A step of the verdict: rc as the kernel's (0 or -errno), status, and the cause that audit will print. */
interface Verdict {
  readonly rc: number;
  readonly status: S.IntegrityStatus;
  readonly cause: string;
  readonly reason: ImaReason;
}

function failed(cause: string, reason: ImaReason, rc = EINVAL): Verdict {
  return { rc, status: S.INTEGRITY_FAIL, cause, reason };
}

const PASSED: Verdict = { rc: 0, status: S.INTEGRITY_PASS, cause: 'unknown', reason: R['ima.appraise_pass'] };

function signatureRequired(iint: Iint): { readonly cause: string; readonly reason: ImaReason } {
  return (iint.flags & C.IMA_VERITY_REQUIRED) !== 0
    ? { cause: 'verity-signature-required', reason: R['ima.verity_signature_required'] }
    : { cause: 'IMA-signature-required', reason: R['ima.signature_required'] };
}

/**
 * Types 1 and 4: longer labels are tolerated, shorter ones are not.
 * @deviation Before "ima: fix out-of-bounds read in xattr_verify()" a label of one byte was compared with
 * memory behind it;
 * here it is too short in every profile.
 */
function verifyHash(value: Uint8Array, hash: FileHash, start: number): Verdict {
  const end = 1 + start + hash.digest.length;
  if (equalBytes(value.subarray(1 + start, end), hash.digest)) return PASSED;
  return failed('invalid-hash', R['ima.invalid_hash']);
}

/** Type 3: a signature over the content's digest. */
function verifySignature(
  ima: ImaCursor,
  func: number,
  value: Uint8Array,
  iint: Iint,
  hash: FileHash,
): Verdict {
  const mask = C.IMA_DIGSIG_REQUIRED | C.IMA_VERITY_REQUIRED;
  if ((iint.flags & mask) === mask)
    return failed('verity-signature-required', R['ima.verity_signature_required']);
  if ((value[1] ?? 0) >= 3) return failed('invalid-signature-version', R['ima.signature_version']);
  const { keys, profile } = ima.env;
  let err: Err = integrityDigsigVerify(keys, 'ima', value, hash.digest);
  if (err === 'EOPNOTSUPP') {
    const reason = R['ima.signature_unsupported'];
    return { rc: negative(err), status: S.INTEGRITY_UNKNOWN, cause: 'unknown', reason };
  }
  const platform = enabled(profile, 'CONFIG_INTEGRITY_PLATFORM_KEYRING') && func === C.KEXEC_KERNEL_CHECK;
  if (err !== 0 && platform) err = integrityDigsigVerify(keys, 'platform', value, hash.digest);
  return err === 0 ? PASSED : failed('invalid-signature', R['ima.invalid_signature'], negative(err));
}

/** Type 6: a signature over struct ima_file_id with the fs-verity digest. */
function verifyVeritySignature(ima: ImaCursor, value: Uint8Array, iint: Iint, hash: FileHash): Verdict {
  if ((iint.flags & C.IMA_DIGSIG_REQUIRED) !== 0 && (iint.flags & C.IMA_VERITY_REQUIRED) === 0)
    return failed('IMA-signature-required', R['ima.signature_required']);
  if (value[1] !== 3) return failed('invalid-signature-version', R['ima.signature_version']);
  const fileId = concat(Uint8Array.of(X.IMA_VERITY_DIGSIG, hashAlgo(hash.alg)), hash.digest);
  const err = integrityDigsigVerify(ima.env.keys, 'ima', value, kernelHash(hash.alg, fileId));
  return err === 0 ? PASSED : failed('invalid-verity-signature', R['ima.invalid_signature'], negative(err));
}

/** @kernel security/integrity/ima/ima_appraise.c xattr_verify() */
function xattrVerify(
  ima: ImaCursor,
  inode: InodeKey,
  func: number,
  iint: Iint,
  value: Uint8Array,
  evm: S.IntegrityStatus,
): { readonly verdict: Verdict; readonly iint: Iint } {
  const hash = iint.hash as FileHash;
  switch (value[0]) {
    case X.IMA_XATTR_DIGEST_NG:
    case X.IMA_XATTR_DIGEST: {
      const start = value[0] === X.IMA_XATTR_DIGEST_NG ? 1 : 0;
      const immutable = evm === S.INTEGRITY_PASS_IMMUTABLE;
      if (!immutable && (iint.flags & C.IMA_DIGSIG_REQUIRED) !== 0) {
        const { cause, reason } = signatureRequired(iint);
        return { verdict: failed(cause, reason), iint };
      }
      const after = iintStep(iint, immutable ? 'SIGNED_SEEN' : 'HASH_SEEN');
      return { verdict: verifyHash(value, hash, start), iint: after };
    }
    case X.EVM_IMA_XATTR_DIGSIG:
      return { verdict: verifySignature(ima, func, value, iint, hash), iint: iintStep(iint, 'SIGNED_SEEN') };
    case X.IMA_VERITY_DIGSIG:
      return { verdict: verifyVeritySignature(ima, value, iint, hash), iint: iintStep(iint, 'SIGNED_SEEN') };
    default: {
      const known = ima.env.labelTypes?.find((t) => t.type === value[0]);
      if (known !== undefined) {
        const err = known.verify(inode, value, hash.digest);
        const reason = R['ima.invalid_signature'];
        const verdict = err === 0 ? PASSED : failed('invalid-signature', reason, negative(err));
        return { verdict, iint: iintStep(iint, 'SIGNED_SEEN') };
      }
      const reason = R['ima.unknown_data'];
      const verdict: Verdict = { rc: EINVAL, status: S.INTEGRITY_UNKNOWN, cause: 'unknown-ima-data', reason };
      return { verdict, iint };
    }
  }
}

/** @kernel security/integrity/ima/ima_appraise.c modsig_verify() */
function modsigVerify(ima: ImaCursor, func: number, modsig: Modsig): Verdict {
  const { keys, profile } = ima.env;
  let err = keys.pkcs7Verify(modsig.raw, modsig.data, 'ima');
  const platform = enabled(profile, 'CONFIG_INTEGRITY_PLATFORM_KEYRING') && func === C.KEXEC_KERNEL_CHECK;
  if (err !== 0 && platform) err = keys.pkcs7Verify(modsig.raw, modsig.data, 'platform');
  if (err !== 0) return failed('invalid-signature', R['ima.invalid_signature'], negative(err));
  return { ...PASSED, reason: R['ima.modsig_verified'] };
}

export interface Appraisal {
  readonly task: VfsTask;
  readonly func: number;
  readonly file: OpenFile;
  readonly pathname: string;
  readonly label: Label;
  readonly modsig: Modsig | null;
  /** The verdict is for an interpreter to enforce, so its record has a type of its own. */
  readonly userspace: boolean;
}

export interface AppraisalOutcome {
  readonly status: S.IntegrityStatus;
  readonly reason: ImaReason;
  readonly iint: Iint;
}

/** EVM's word, where it ends the matter. */
function evmVerdict(status: S.IntegrityStatus, tryModsig: boolean, rc: number): Verdict | null {
  switch (status) {
    case S.INTEGRITY_NOXATTRS:
      if (tryModsig) return null;
      return { rc, status, cause: 'missing-HMAC', reason: R['ima.evm_missing'] };
    case S.INTEGRITY_NOLABEL:
      return { rc, status, cause: 'missing-HMAC', reason: R['ima.evm_missing'] };
    case S.INTEGRITY_FAIL_IMMUTABLE:
      return { rc, status, cause: 'invalid-fail-immutable', reason: R['ima.evm_invalid'] };
    case S.INTEGRITY_FAIL:
      return { rc, status, cause: 'invalid-HMAC', reason: R['ima.evm_invalid'] };
    default:
      return null;
  }
}

/** No label and no appended signature to try. */
function missingLabel(ima: ImaCursor, a: Appraisal, iint: Iint): { verdict: Verdict; iint: Iint } {
  const rc = a.label.length;
  const unsigned = (iint.flags & C.IMA_DIGSIG_REQUIRED) === 0;
  const why = unsigned ? { cause: 'missing-hash', reason: R['ima.missing_hash'] } : signatureRequired(iint);
  const after = (a.file.fmode & FMODE_CREATED) !== 0 ? iintStep(iint, 'NEW_FILE') : iint;
  const empty = ima.env.vfs.inode(a.file.inode).size === 0;
  const excused = (after.flags & C.IMA_NEW_FILE) !== 0 && (unsigned || empty);
  const status = excused ? S.INTEGRITY_PASS : S.INTEGRITY_NOLABEL;
  const reason = excused ? R['ima.new_file'] : why.reason;
  return { verdict: { rc, status, cause: why.cause, reason }, iint: after };
}

function judge(
  ima: ImaCursor,
  a: Appraisal,
  iint: Iint,
  tryModsig: boolean,
): { verdict: Verdict; iint: Iint } {
  const { value, length } = a.label;
  if (length <= 0 && !tryModsig) {
    if (length !== 0 && length !== ENODATA) {
      const reason = R['ima.xattr_unreadable'];
      return { verdict: { rc: length, status: S.INTEGRITY_UNKNOWN, cause: 'unknown', reason }, iint };
    }
    return missingLabel(ima, a, iint);
  }
  const evm = ima.env.evm.verifyXattr(a.task, a.file.path, a.file.inode, X.XATTR_NAME_IMA, value);
  const stopped = evmVerdict(evm, tryModsig, length);
  if (stopped !== null) {
    const immutable = evm === S.INTEGRITY_FAIL_IMMUTABLE;
    return { verdict: stopped, iint: immutable ? iintStep(iint, 'SIGNED_SEEN') : iint };
  }
  let verdict: Verdict = { rc: length, status: evm, cause: 'unknown', reason: R['ima.missing_hash'] };
  let after = iint;
  if (value !== null) ({ verdict, iint: after } = xattrVerify(ima, a.file.inode, a.func, iint, value, evm));
  const usable = value === null || value[0] === X.IMA_XATTR_DIGEST_NG || verdict.rc === ENOKEY;
  if (tryModsig && a.modsig !== null && usable) verdict = modsigVerify(ima, a.func, a.modsig);
  return { verdict, iint: after };
}

/**
 * The appraisal table, its audit record, fix mode and the cached status.
 * @deviation Before "ima: Fix stack-out-of-bounds in is_bprm_creds_for_exec()" (7.0) the type of a record of an
 * execution came from memory beside the stack frame; here it is what was meant.
 * @kernel security/integrity/ima/ima_appraise.c ima_appraise_measurement()
 */
export function appraiseMeasurement(ima: ImaCursor, a: Appraisal, before: Iint): AppraisalOutcome {
  const { vfs, trace } = ima.env;
  const inode = vfs.inode(a.file.inode);
  const sb = vfs.superblock(inode.sb);
  const tryModsig = (before.flags & C.IMA_MODSIG_ALLOWED) !== 0 && a.modsig !== null;
  if (!enabled(ima.env.profile, 'CONFIG_IMA_APPRAISE') || (!sb.xattrs && !tryModsig)) {
    trace.emit('ima.appraise', { status: S.INTEGRITY_UNKNOWN }, R['ima.no_xattr_support']);
    return { status: S.INTEGRITY_UNKNOWN, reason: R['ima.no_xattr_support'], iint: before };
  }
  const judged = judge(ima, a, before, tryModsig);
  let { iint } = judged;
  let { status, cause, reason } = judged.verdict;
  const unverifiable =
    sb.unverifiable && (sb.untrustedMounter || (iint.flags & C.IMA_FAIL_UNVERIFIABLE_SIGS) !== 0);
  if (unverifiable) {
    status = S.INTEGRITY_FAIL;
    cause = 'unverifiable-signature';
    reason = R['ima.unverifiable_signature'];
  }
  const passed = !unverifiable && status === S.INTEGRITY_PASS;
  trace.emit('ima.appraise', { func: C.FUNC_TOKENS[a.func] ?? '', status, cause }, reason);
  if (!passed && !unverifiable) {
    const excuse = excuses(ima, a, iint, tryModsig);
    if (excuse !== null) {
      status = S.INTEGRITY_PASS;
      reason = excuse;
    }
  }
  if (passed) iint = iintStep(iint, passEvent(a.func));
  else {
    auditMessage(ima, a.task, {
      type: a.userspace ? AUDIT_INTEGRITY_USERSPACE : AUDIT_INTEGRITY_DATA,
      op: 'appraise_data',
      cause,
      name: a.pathname,
      inode: vfs.inode(a.file.inode),
      failed: judged.verdict.rc !== 0,
    });
  }
  return { status, reason, iint: withCacheStatus(iint, a.func, status) };
}

/**
 * Why a failure is let pass nevertheless: fix mode wrote a label, or an empty new file waits for its
 * signature.
 */
function excuses(ima: ImaCursor, a: Appraisal, iint: Iint, tryModsig: boolean): ImaReason | null {
  let excuse: ImaReason | null = null;
  const signed = a.label.value !== null && a.label.value[0] === X.EVM_IMA_XATTR_DIGSIG;
  if ((ima.state.appraise & C.IMA_APPRAISE_FIX) !== 0 && !tryModsig && !signed) {
    if (fixXattr(ima, a.task, a.file.path, a.file.inode, iint) === 0) {
      excuse = R['ima.fixed'];
      ima.env.trace.emit('ima.fix', { alg: iint.hash?.alg ?? '' }, excuse);
    }
  }
  const waiting =
    ima.env.vfs.inode(a.file.inode).size === 0 &&
    (iint.flags & C.IMA_NEW_FILE) !== 0 &&
    (iint.atomicFlags & C.IMA_DIGSIG) !== 0;
  return waiting ? (excuse ?? R['ima.new_empty_file']) : excuse;
}

/**
 * Writes the collected digest into security.ima, past all permission checks.
 * @kernel security/integrity/ima/ima_appraise.c ima_fix_xattr()
 */
export function fixXattr(ima: ImaCursor, task: VfsTask, path: PathRef, key: InodeKey, iint: Iint): Err {
  const { vfs, evm } = ima.env;
  const inode = vfs.inode(key);
  if (iint.hash === null) return 'EINVAL';
  const sb = vfs.superblock(inode.sb);
  // Where nothing is written to a disk, nothing looks at the read-only flag.
  if (sb.readonly && sb.magic !== TMPFS_MAGIC) return 'EROFS';
  const value = X.imaHashXattr(hashAlgo(iint.hash.alg), iint.hash.digest);
  const err = vfs.rawSetxattr(key, X.XATTR_NAME_IMA, value);
  if (err === 0) evm.inodePostSetxattr(task, path, key, X.XATTR_NAME_IMA, value);
  return err;
}

/**
 * Whether the digest is on the blacklist; that goes into the list where the file is measured.
 * @kernel security/integrity/ima/ima_appraise.c ima_check_blacklist()
 */
export function checkBlacklist(
  ima: ImaCursor,
  task: VfsTask,
  iint: Iint,
  modsig: Modsig | null,
  pcr: number,
): boolean {
  if ((iint.flags & C.IMA_CHECK_BLACKLIST) === 0) return false;
  let digest: Uint8Array | null = null;
  let listed = false;
  if ((iint.flags & C.IMA_MODSIG_ALLOWED) !== 0 && modsig !== null) {
    digest = modsig.digest?.digest ?? new Uint8Array(0);
    listed = ima.env.keys.isHashBlacklisted(digest);
  } else if ((iint.flags & C.IMA_DIGSIG_REQUIRED) !== 0 && iint.hash !== null)
    listed = ima.env.keys.isHashBlacklisted(iint.hash.digest);
  if (!listed) return false;
  ima.env.trace.emit('ima.blacklist', {}, R['ima.blacklisted']);
  if ((iint.flags & C.IMA_MEASURE) !== 0) {
    processBufferMeasurement(ima, task, {
      data: digest ?? new Uint8Array(0),
      eventName: 'blacklisted-hash',
      func: C.NONE,
      funcData: null,
      inode: null,
      pcr,
      hashed: false,
    });
  }
  return true;
}
