// EVM: verifies security.evm over a file's metadata and refuses changes that would make a bad label good. The
// decisions are here; what is hashed is in digest.ts, the securityfs nodes in securityfs.ts. Left out: keys
// set by drivers.

import { equalBytes, fromLatin1, utf8 } from '../base/bytes.ts';
import { type Err, ok, type Result } from '../base/errno.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import type { Trace } from '../base/trace.ts';
import { AUDIT_INTEGRITY_METADATA, type Audit } from '../integrity/audit.ts';
import { integrityDigsigVerify } from '../integrity/digsig.ts';
import { HASH_ALGO_SHA1 } from '../integrity/hash-info.ts';
import type { IntegrityKeys } from '../integrity/keyring-api.ts';
import * as status from '../integrity/status.ts';
import * as xattr from '../integrity/xattr.ts';
import type { VfsApi } from '../vfs/api.ts';
import { CAP_SYS_ADMIN, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import type { Iattr } from '../vfs/hooks.ts';
import { capable } from '../vfs/perm.ts';
import type { FileId, Inode, InodeKey, PathRef, VfsTask, Xattr } from '../vfs/types.ts';
import { FMODE_WRITE, FS_MAGIC } from '../vfs/types.ts';
import { type EvmApi, readProtectedXattrs } from './api.ts';
import { calcHmacOrHash } from './digest.ts';
import { withBootCertificate } from './keys.machine.ts';
import { EVM_REASON } from './reasons.ts';
import * as st from './state.ts';

type IntegrityStatus = status.IntegrityStatus;

export interface EvmEnv {
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly audit: Audit;
  readonly vfs: VfsApi;
  readonly keys: IntegrityKeys;
  /** Secret of the task's encrypted or trusted key of that name (request_key). */
  readonly requestSecret: (task: VfsTask, description: string) => Result<Uint8Array>;
}

const FRESH: st.EvmIint = { status: status.INTEGRITY_UNKNOWN, flags: 0, metadata: null };

const REASON_OF: Readonly<Record<number, string>> = {
  [status.INTEGRITY_PASS]: EVM_REASON['evm.pass'],
  [status.INTEGRITY_PASS_IMMUTABLE]: EVM_REASON['evm.pass_immutable'],
  [status.INTEGRITY_FAIL]: EVM_REASON['evm.fail'],
  [status.INTEGRITY_FAIL_IMMUTABLE]: EVM_REASON['evm.fail_immutable'],
  [status.INTEGRITY_NOLABEL]: EVM_REASON['evm.no_label'],
  [status.INTEGRITY_NOXATTRS]: EVM_REASON['evm.no_xattrs'],
  [status.INTEGRITY_UNKNOWN]: EVM_REASON['evm.unsupported'],
};

function isAcl(name: string): boolean {
  return name === xattr.XATTR_NAME_POSIX_ACL_ACCESS || name === xattr.XATTR_NAME_POSIX_ACL_DEFAULT;
}

/** Cursor over EVM's state. */
export class Evm implements EvmApi {
  state: st.EvmState;
  readonly env: EvmEnv;

  constructor(state: st.EvmState, env: EvmEnv) {
    this.state = state;
    this.env = env;
  }

  /**
   * `evm=` of the command line: anything that begins with `fix`.
   * @kernel security/integrity/evm/evm_main.c evm_set_fixmode()
   */
  setup(value: string): void {
    if (value.startsWith('fix')) this.state = { ...this.state, fixMode: true };
  }

  /** evm_load_x509(): a certificate was loaded to .evm at boot. */
  x509Loaded(): void {
    this.state = { ...this.state, initialized: withBootCertificate(this.state.initialized) };
  }

  #has(bits: number): boolean {
    return (this.state.initialized & bits) !== 0;
  }

  get keyLoaded(): boolean {
    return this.#has(st.EVM_KEY_MASK);
  }

  /** The HMAC key can never come: then a label that does not verify cannot become good by a change. */
  get #hmacDisabled(): boolean {
    return !this.#has(st.EVM_INIT_HMAC) && this.state.initialized >= st.EVM_SETUP_COMPLETE;
  }

  iint(inode: InodeKey): st.EvmIint {
    return this.state.iints.get(inode) ?? FRESH;
  }

  #setIint(inode: InodeKey, change: Partial<st.EvmIint>): void {
    const next = { ...this.iint(inode), ...change };
    this.state = { ...this.state, iints: this.state.iints.set(inode, next) };
  }

  #resetStatus(inode: InodeKey): void {
    const old = this.state.iints.get(inode);
    if (old !== undefined && old.status !== status.INTEGRITY_UNKNOWN) {
      this.#setIint(inode, { status: status.INTEGRITY_UNKNOWN });
    }
  }

  #unsupportedFs(inode: InodeKey): boolean {
    return this.env.vfs.superblock(this.env.vfs.inode(inode).sb).evmUnsupported;
  }

  #digest(
    inode: InodeKey,
    name: string | null,
    value: Uint8Array | null,
    type: number,
    algo: number,
  ): Result<Uint8Array> {
    const { vfs, profile } = this.env;
    const real = vfs.inode(inode).realMeta ?? inode;
    const meta = vfs.inode(real);
    const sb = vfs.superblock(vfs.inode(inode).sb);
    const metaSb = vfs.superblock(meta.sb);
    const result = calcHmacOrHash({
      profile,
      xattrs: this.state.xattrs,
      get: (n) => (n === name && value !== null ? value : vfs.rawGetxattr(inode, n)),
      inode: meta,
      sb: { ...metaSb, xattrs: sb.xattrs && metaSb.xattrs },
      type,
      algo,
      hmacKey: this.state.hmacKey,
    });
    const calculated = result.ok || result.errno === 'ENODATA' || result.errno === 'EPERM';
    if (real !== inode && calculated)
      this.#setIint(inode, { metadata: { inode: real, version: meta.iVersion } });
    return result;
  }

  /** @kernel security/integrity/evm/evm_main.c evm_verify_hmac() */
  #verify(inode: InodeKey, name: string | null, value: Uint8Array | null): IntegrityStatus {
    const cached = this.iint(inode).status;
    if (cached === status.INTEGRITY_PASS || cached === status.INTEGRITY_PASS_IMMUTABLE) return cached;
    if (!this.#has(st.EVM_INIT_X509) && this.#unsupportedFs(inode))
      return this.#verdict(inode, status.INTEGRITY_UNKNOWN);
    const verdict = this.#evaluate(inode, name, value);
    this.#setIint(inode, { status: verdict });
    return this.#verdict(inode, verdict);
  }

  #verdict(inode: InodeKey, verdict: IntegrityStatus): IntegrityStatus {
    const data = { inode, status: status.INTEGRITY_STATUS_MSG[verdict] ?? '' };
    this.env.trace.emit('evm.verify', data, REASON_OF[verdict]);
    return verdict;
  }

  #evaluate(inode: InodeKey, name: string | null, value: Uint8Array | null): IntegrityStatus {
    const { vfs } = this.env;
    const sb = vfs.superblock(vfs.inode(inode).sb);
    if (!sb.xattrs) return status.INTEGRITY_UNKNOWN;
    const label = vfs.rawGetxattr(inode, xattr.XATTR_NAME_EVM);
    if (label === undefined) {
      const any = this.state.xattrs.some((x) => vfs.rawGetxattr(inode, x.name) !== undefined);
      return any ? status.INTEGRITY_NOLABEL : status.INTEGRITY_NOXATTRS;
    }
    if (label.length === 0) return status.INTEGRITY_FAIL;
    const type = label[0];
    if (type === xattr.EVM_XATTR_HMAC) {
      if (label.length !== 21) return status.INTEGRITY_FAIL;
      const hmac = this.#digest(inode, name, value, type, HASH_ALGO_SHA1);
      if (!hmac.ok) return hmac.errno === 'ENODATA' ? status.INTEGRITY_NOXATTRS : status.INTEGRITY_FAIL;
      return equalBytes(label.subarray(1), hmac.value) ? status.INTEGRITY_PASS : status.INTEGRITY_FAIL;
    }
    if (type !== xattr.EVM_IMA_XATTR_DIGSIG && type !== xattr.EVM_XATTR_PORTABLE_DIGSIG)
      return status.INTEGRITY_FAIL;
    return this.#evaluateSignature(inode, name, value, label);
  }

  #evaluateSignature(
    inode: InodeKey,
    name: string | null,
    value: Uint8Array | null,
    label: Uint8Array,
  ): IntegrityStatus {
    if (label.length <= xattr.SIGNATURE_V2_HDR_SIZE) return status.INTEGRITY_FAIL;
    const portable = label[0] === xattr.EVM_XATTR_PORTABLE_DIGSIG;
    const digest = this.#digest(inode, name, value, label[0] as number, label[2] as number);
    const err: Err = digest.ok
      ? integrityDigsigVerify(this.env.keys, 'evm', label, digest.value)
      : digest.errno;
    if (err === 'ENODATA') return status.INTEGRITY_NOXATTRS;
    if (err !== 0) return portable ? status.INTEGRITY_FAIL_IMMUTABLE : status.INTEGRITY_FAIL;
    if (portable) {
      this.#setIint(inode, { flags: this.iint(inode).flags | st.EVM_IMMUTABLE_DIGSIG });
      return status.INTEGRITY_PASS_IMMUTABLE;
    }
    const record = this.env.vfs.inode(inode);
    const sb = this.env.vfs.superblock(record.sb);
    if (!sb.readonly && !record.immutable && !sb.evmUnsupported) this.#update(inode, name, value);
    return status.INTEGRITY_PASS;
  }

  /**
   * Writes security.evm anew as an HMAC.
   * @kernel security/integrity/evm/evm_crypto.c evm_update_evmxattr()
   */
  #update(inode: InodeKey, name: string | null, value: Uint8Array | null): void {
    const { vfs, trace } = this.env;
    if (this.iint(inode).flags & st.EVM_IMMUTABLE_DIGSIG) return;
    const label = vfs.rawGetxattr(inode, xattr.XATTR_NAME_EVM);
    if (label !== undefined && label[0] === xattr.EVM_XATTR_PORTABLE_DIGSIG) return;
    const hmac = this.#digest(inode, name, value, xattr.EVM_XATTR_HMAC, HASH_ALGO_SHA1);
    if (hmac.ok) {
      vfs.rawSetxattr(inode, xattr.XATTR_NAME_EVM, Uint8Array.of(xattr.EVM_XATTR_HMAC, ...hmac.value));
      this.#resetStatus(inode);
      trace.emit('evm.update', { inode }, EVM_REASON['evm.relabelled']);
    } else if (hmac.errno === 'ENODATA' && label !== undefined) {
      vfs.rawRemovexattr(inode, xattr.XATTR_NAME_EVM);
      trace.emit('evm.update', { inode }, EVM_REASON['evm.unlabelled']);
    }
  }

  /**
   * Whether EVM guards a name. A bare suffix (`ima`) or a beginning of one counts too, as in the kernel.
   * @kernel security/integrity/evm/evm_main.c evm_protected_xattr_common()
   */
  isProtected(name: string): boolean {
    return this.state.xattrs.some(
      (x) =>
        x.enabled && (x.name === name || x.name.slice(xattr.XATTR_SECURITY_PREFIX.length).startsWith(name)),
    );
  }

  /** @kernel security/integrity/evm/evm_main.c evm_verifyxattr() */
  verifyXattr(
    _task: VfsTask,
    _path: PathRef,
    inode: InodeKey,
    name: string,
    value: Uint8Array | null,
  ): IntegrityStatus {
    if (!this.keyLoaded || !this.isProtected(name)) return status.INTEGRITY_UNKNOWN;
    return this.#verify(inode, name, value);
  }

  /** @kernel security/integrity/evm/evm_main.c evm_verify_current_integrity() */
  #current(inode: InodeKey): IntegrityStatus {
    const regular = (this.env.vfs.inode(inode).mode & S_IFMT) === S_IFREG;
    if (!this.keyLoaded || !regular || this.state.fixMode) return status.INTEGRITY_PASS;
    return this.#verify(inode, null, null);
  }

  /** @kernel security/integrity/evm/evm_main.c evm_revalidate_status() */
  revalidateStatus(name: string | null): boolean {
    if (!this.keyLoaded) return false;
    return name === null || this.isProtected(name) || isAcl(name) || name === xattr.XATTR_NAME_EVM;
  }

  /** @kernel security/integrity/evm/evm_main.c evm_metadata_changed() */
  metadataChanged(inode: InodeKey, metadataInode: InodeKey): boolean {
    const { vfs, profile } = this.env;
    if (!enabled(profile, 'CONFIG_EVM')) return false;
    const known = this.iint(inode).metadata;
    const now = vfs.inode(metadataInode);
    const same = known !== null && known.inode === metadataInode && known.version === now.iVersion;
    const changed = !vfs.superblock(now.sb).iVersion || !same;
    if (changed) this.#resetStatus(inode);
    return changed;
  }

  readProtectedXattrs(inode: InodeKey, type: 'n' | 'l' | 'v'): Uint8Array | null {
    if (!enabled(this.env.profile, 'CONFIG_EVM')) return null;
    return readProtectedXattrs(
      this.env.vfs,
      this.state.xattrs.map((x) => x.name),
      inode,
      type,
    );
  }

  #audit(task: VfsTask, path: PathRef, inode: InodeKey, op: string, verdict: IntegrityStatus): void {
    const { vfs, audit, trace } = this.env;
    const record = vfs.inode(inode);
    const cause = status.INTEGRITY_STATUS_MSG[verdict] ?? '';
    audit.message(task, {
      type: AUDIT_INTEGRITY_METADATA,
      op,
      cause,
      name: fromLatin1(utf8(vfs.dentry(path.dentry).name)),
      dev: vfs.superblock(record.sb).sid,
      ino: record.ino,
      failed: true,
    });
    trace.emit('evm.refused', { op, status: cause, inode }, EVM_REASON['evm.refused']);
  }

  /** @kernel security/integrity/evm/evm_main.c evm_protect_xattr() */
  #protect(task: VfsTask, path: PathRef, inode: InodeKey, name: string, value: Uint8Array | null): Err {
    if (name === xattr.XATTR_NAME_EVM) {
      if (!capable(task.cred, CAP_SYS_ADMIN) || this.#unsupportedFs(inode)) return 'EPERM';
    } else if (!this.isProtected(name)) {
      if (!isAcl(name) || this.#unsupportedFs(inode)) return 0;
      const verdict = this.#current(inode);
      if (verdict === status.INTEGRITY_PASS || verdict === status.INTEGRITY_NOXATTRS) return 0;
      return this.#judge(task, path, inode, name, value, verdict);
    } else if (this.#unsupportedFs(inode)) return 0;
    const verdict = this.#current(inode);
    if (verdict === status.INTEGRITY_NOXATTRS) {
      if (this.#hmacDisabled || this.iint(inode).flags & st.EVM_NEW_FILE) return 0;
      const magic = this.env.vfs.superblock(this.env.vfs.inode(inode).sb).magic;
      if (magic === FS_MAGIC.tmpfs || magic === FS_MAGIC.sysfs) return 0;
      this.#audit(task, path, inode, 'update_metadata', verdict);
    }
    return this.#judge(task, path, inode, name, value, verdict);
  }

  #judge(
    task: VfsTask,
    path: PathRef,
    inode: InodeKey,
    name: string,
    value: Uint8Array | null,
    verdict: IntegrityStatus,
  ): Err {
    if (this.#lenient(verdict) || verdict === status.INTEGRITY_FAIL_IMMUTABLE) return 0;
    if (verdict === status.INTEGRITY_PASS) return 0;
    if (verdict === status.INTEGRITY_PASS_IMMUTABLE) {
      const now = this.env.vfs.rawGetxattr(inode, name);
      const same = now !== undefined && equalBytes(now, value ?? new Uint8Array(0));
      if (same) return 0;
      this.env.trace.emit('evm.refused', { op: name, inode }, EVM_REASON['evm.pass_immutable']);
      return 'EPERM';
    }
    this.#audit(task, path, inode, 'appraise_metadata', verdict);
    return 'EPERM';
  }

  /** No HMAC will ever be calculated, so an unverifiable label cannot be made good. */
  #lenient(verdict: IntegrityStatus): boolean {
    return (
      this.#hmacDisabled && (verdict === status.INTEGRITY_NOLABEL || verdict === status.INTEGRITY_UNKNOWN)
    );
  }

  inodeSetxattr(
    task: VfsTask,
    path: PathRef,
    inode: InodeKey,
    name: string,
    value: Uint8Array,
    _flags: number,
  ): Err {
    if (this.#has(st.EVM_ALLOW_METADATA_WRITES)) return 0;
    if (name === xattr.XATTR_NAME_EVM) {
      if (value.length === 0) return 'EINVAL';
      if (value[0] !== xattr.EVM_IMA_XATTR_DIGSIG && value[0] !== xattr.EVM_XATTR_PORTABLE_DIGSIG) {
        this.env.trace.emit('evm.refused', { op: name, inode }, EVM_REASON['evm.userspace_hmac']);
        return 'EPERM';
      }
    }
    return this.#protect(task, path, inode, name, value);
  }

  inodeRemovexattr(task: VfsTask, path: PathRef, inode: InodeKey, name: string): Err {
    if (this.#has(st.EVM_ALLOW_METADATA_WRITES)) return 0;
    return this.#protect(task, path, inode, name, null);
  }

  /** @kernel security/integrity/evm/evm_main.c evm_inode_set_acl() */
  #setAcl(task: VfsTask, path: PathRef, inode: InodeKey, newMode: number | null): Err {
    if (this.#has(st.EVM_ALLOW_METADATA_WRITES)) return 0;
    const verdict = this.#current(inode);
    if (verdict === status.INTEGRITY_PASS || verdict === status.INTEGRITY_NOXATTRS) return 0;
    if (this.#lenient(verdict) || verdict === status.INTEGRITY_FAIL_IMMUTABLE) return 0;
    if (verdict === status.INTEGRITY_PASS_IMMUTABLE) {
      if (newMode !== null && newMode === this.env.vfs.inode(inode).mode) return 0;
      this.env.trace.emit('evm.refused', { op: 'set_acl', inode }, EVM_REASON['evm.pass_immutable']);
      return 'EPERM';
    }
    this.#audit(task, path, inode, 'appraise_metadata', verdict);
    return 'EPERM';
  }

  inodeSetAcl(task: VfsTask, path: PathRef, inode: InodeKey, _name: string, newMode: number | null): Err {
    return this.#setAcl(task, path, inode, newMode);
  }

  inodeRemoveAcl(task: VfsTask, path: PathRef, inode: InodeKey, _name: string): Err {
    return this.#setAcl(task, path, inode, null);
  }

  inodePostSetxattr(_task: VfsTask, _path: PathRef, inode: InodeKey, name: string, value: Uint8Array): void {
    this.#changed(inode, name, value, true);
  }

  inodePostSetAcl(_task: VfsTask, _path: PathRef, inode: InodeKey, name: string): void {
    this.#changed(inode, name, null, true);
  }

  inodePostRemovexattr(_task: VfsTask, _path: PathRef, inode: InodeKey, name: string): void {
    this.#changed(inode, name, null, false);
  }

  inodePostRemoveAcl(_task: VfsTask, _path: PathRef, inode: InodeKey, name: string): void {
    this.#changed(inode, name, null, false);
  }

  /**
   * After an attribute changed: the verdict is void and the HMAC is renewed. The removal hook does not ask
   * for the file system.
   * @kernel security/integrity/evm/evm_main.c evm_inode_post_setxattr(), evm_inode_post_removexattr()
   */
  #changed(inode: InodeKey, name: string, value: Uint8Array | null, askFs: boolean): void {
    if (!this.revalidateStatus(name)) return;
    this.#resetStatus(inode);
    if (name === xattr.XATTR_NAME_EVM || !this.#has(st.EVM_INIT_HMAC)) return;
    if (askFs && this.#unsupportedFs(inode)) return;
    this.#update(inode, isAcl(name) ? null : name, value);
  }

  /** @kernel security/integrity/evm/evm_main.c evm_inode_setattr() */
  inodeSetattr(task: VfsTask, path: PathRef, inode: InodeKey, attr: Iattr): Err {
    if (this.#has(st.EVM_ALLOW_METADATA_WRITES) || this.#unsupportedFs(inode)) return 0;
    if (attr.mode === undefined && attr.uid === undefined && attr.gid === undefined) return 0;
    const verdict = this.#current(inode);
    if (verdict === status.INTEGRITY_PASS || verdict === status.INTEGRITY_NOXATTRS) return 0;
    if (verdict === status.INTEGRITY_FAIL_IMMUTABLE || this.#lenient(verdict)) return 0;
    const now = this.env.vfs.inode(inode);
    const same =
      (attr.uid ?? now.uid) === now.uid && (attr.gid ?? now.gid) === now.gid && this.#sameMode(attr, now);
    if (verdict === status.INTEGRITY_PASS_IMMUTABLE && same) return 0;
    this.#audit(task, path, inode, 'appraise_metadata', verdict);
    return 'EPERM';
  }

  #sameMode(attr: Iattr, now: Inode): boolean {
    return attr.mode === undefined || (attr.mode & ~S_IFMT) === (now.mode & ~S_IFMT);
  }

  /** @kernel security/integrity/evm/evm_main.c evm_inode_post_setattr() */
  inodePostSetattr(_task: VfsTask, _path: PathRef, inode: InodeKey, attr: Iattr): void {
    if (!this.revalidateStatus(null)) return;
    this.#resetStatus(inode);
    if (!this.#has(st.EVM_INIT_HMAC) || this.#unsupportedFs(inode)) return;
    if (attr.mode !== undefined || attr.uid !== undefined || attr.gid !== undefined)
      this.#update(inode, null, null);
  }

  /** @kernel security/integrity/evm/evm_main.c evm_inode_copy_up_xattr() */
  inodeCopyUpXattr(_task: VfsTask, lower: InodeKey, name: string): 'copy' | 'discard' | Err {
    if (name !== xattr.XATTR_NAME_EVM) return 'copy';
    const label = this.env.vfs.rawGetxattr(lower, name);
    if (label === undefined || label.length === 0) return 'EPERM';
    return label[0] === xattr.EVM_XATTR_PORTABLE_DIGSIG ? 'copy' : 'discard';
  }

  /** @kernel security/integrity/evm/evm_main.c evm_inode_init_security(), evm_crypto.c evm_init_hmac() */
  initSecurity(
    _task: VfsTask,
    inode: Inode,
    _dir: InodeKey,
    _name: string,
    soFar: readonly Xattr[],
  ): Result<readonly Xattr[]> {
    if (!this.#has(st.EVM_INIT_HMAC) || !soFar.some((x) => this.isProtected(x.name))) return ok([]);
    const { vfs, profile } = this.env;
    const listed = profile.switches.initHmacInListOrder
      ? this.state.xattrs
      : soFar.filter((x) => this.isProtected(x.name));
    const digest = calcHmacOrHash({
      profile,
      xattrs: listed.map((x) => ({ name: x.name, enabled: true })),
      get: (n) => soFar.find((x) => x.name === n)?.value,
      inode,
      sb: { ...vfs.superblock(inode.sb), xattrs: true, userNs: 0 },
      type: xattr.EVM_XATTR_HMAC,
      algo: HASH_ALGO_SHA1,
      hmacKey: this.state.hmacKey,
    });
    if (!digest.ok) return digest;
    const value = Uint8Array.of(xattr.EVM_XATTR_HMAC, ...digest.value);
    return ok([{ name: xattr.XATTR_NAME_EVM, value }]);
  }

  /**
   * The last writer of a file made by mknod closes it.
   * @kernel security/integrity/evm/evm_main.c evm_file_release()
   */
  fileRelease(_task: VfsTask, id: FileId): void {
    const file = this.env.vfs.file(id);
    const inode = this.env.vfs.inode(file.inode);
    if ((inode.mode & S_IFMT) !== S_IFREG || !(file.fmode & FMODE_WRITE)) return;
    const { flags } = this.iint(file.inode);
    if (flags & st.EVM_NEW_FILE && inode.iWritecount === 1) {
      this.#setIint(file.inode, { flags: flags & ~st.EVM_NEW_FILE });
    }
  }

  /** @kernel security/integrity/evm/evm_main.c evm_post_path_mknod() */
  pathPostMknod(_task: VfsTask, _path: PathRef, inode: InodeKey): void {
    if ((this.env.vfs.inode(inode).mode & S_IFMT) !== S_IFREG) return;
    this.#setIint(inode, { flags: this.iint(inode).flags | st.EVM_NEW_FILE });
  }

  inodeFree(inode: InodeKey): void {
    if (this.state.iints.has(inode)) this.state = { ...this.state, iints: this.state.iints.delete(inode) };
  }
}
