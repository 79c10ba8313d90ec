// A small machine around IMA: a real VFS with an ext4 disk on /mnt, the LSM stack with IMA and an EVM without
// keys, registers that are plain values, the securityfs nodes. Keys are a table that tests fill.

import '../../../src/crypto/auto.ts';
import { concat, fromLatin1, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { Clock } from '../../../src/base/clock.ts';
import type { Err, Result } from '../../../src/base/errno.ts';
import { Faults, newFaults } from '../../../src/base/faults.ts';
import { toArray } from '../../../src/base/list.ts';
import { DEFAULT_CONFIG, type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import { Random, seedRandom } from '../../../src/base/random.ts';
import { newTrace, Trace, type TraceEvent } from '../../../src/base/trace.ts';
import { crypto, digestSize, type HashName } from '../../../src/crypto/provider.ts';
import { EVM_DEFAULT_XATTRS, type EvmApi, readProtectedXattrs } from '../../../src/evm/api.ts';
import { newIma } from '../../../src/ima/boot.ts';
import type { ImaPlatform, LsmLabels } from '../../../src/ima/cursor.ts';
import type { ImaFaultSite } from '../../../src/ima/faults.ts';
import { Ima } from '../../../src/ima/ima.ts';
import { imaPseudo, imaSecurityfs } from '../../../src/ima/securityfs.ts';
import { Audit, newAudit } from '../../../src/integrity/audit.ts';
import { kernelReadFileFromPath } from '../../../src/integrity/kernel-read-file.ts';
import { type IntegrityKeys, noKeys } from '../../../src/integrity/keyring-api.ts';
import { INTEGRITY_UNKNOWN } from '../../../src/integrity/status.ts';
import { type LsmModule, LsmStack } from '../../../src/lsm/stack.ts';
import type { BankDigest, TpmChip } from '../../../src/tpm/chip.ts';
import {
  CAP_FULL_SET,
  O_CREAT,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  S_IFBLK,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
} from '../../../src/vfs/constants.ts';
import { makedev } from '../../../src/vfs/device.ts';
import type { Cred, FileId, FsType, PathRef, VfsTask } from '../../../src/vfs/types.ts';
import { newVfs, Vfs } from '../../../src/vfs/vfs.ts';

export const UUID = '12345678-9abc-def0-1122-334455667788';

/** Registers as plain values: extend, read, and a switch that makes the device fail. */
export class SoftChip implements TpmChip {
  readonly banks: readonly HashName[];
  readonly pcrs = new Map<string, Uint8Array>();
  extends: { readonly pcr: number; readonly digests: readonly BankDigest[] }[] = [];
  rc = 0;

  constructor(banks: readonly HashName[]) {
    this.banks = banks;
  }

  pcrExtend(pcr: number, digests: readonly BankDigest[]): number {
    if (this.rc !== 0) return this.rc;
    if (pcr > 23) return 388;
    this.extends.push({ pcr, digests });
    for (const { alg, digest } of digests) {
      const before = this.pcrRead(pcr, alg) as Uint8Array;
      this.pcrs.set(`${alg}:${pcr}`, crypto().hash(alg, concat(before, digest)));
    }
    return 0;
  }

  pcrRead(pcr: number, alg: HashName): Uint8Array | number {
    return this.pcrs.get(`${alg}:${pcr}`) ?? new Uint8Array(digestSize(alg));
  }
}

export interface WorldOptions {
  /** `name=value` words, in order. */
  readonly cmdline?: string;
  readonly config?: { readonly [option: string]: string };
  readonly switches?: Partial<KernelProfile['switches']>;
  readonly banks?: readonly HashName[] | null;
  readonly keys?: Partial<IntegrityKeys>;
  readonly platform?: Partial<ImaPlatform>;
  readonly kexecBuffer?: Uint8Array;
  readonly pcrs?: (chip: SoftChip) => void;
  /** Does not start IMA. */
  readonly cold?: boolean;
  readonly root?: FsType;
  /** Replaces parts of an EVM without keys. */
  readonly evm?: Partial<EvmApi>;
  readonly labels?: LsmLabels;
  /** Calls that fail from the start. */
  readonly faults?: readonly ImaFaultSite[];
}

const BASE = PROFILES['linux-6.12.107'] as KernelProfile;
const ROOT_CRED: Cred = {
  uid: 0,
  euid: 0,
  suid: 0,
  fsuid: 0,
  gid: 0,
  egid: 0,
  sgid: 0,
  fsgid: 0,
  groups: [],
  caps: CAP_FULL_SET,
  userNs: 0,
};

/** EVM of a machine without its keys, as far as IMA asks it. */
const idleEvm = (vfs: Vfs): EvmApi => ({
  verifyXattr: () => INTEGRITY_UNKNOWN,
  revalidateStatus: () => false,
  metadataChanged: () => true,
  readProtectedXattrs: (inode, type) => readProtectedXattrs(vfs, EVM_DEFAULT_XATTRS, inode, type),
  initSecurity: () => ({ ok: true, value: [] }),
  inodeSetattr: () => 0,
  inodePostSetattr: () => undefined,
  inodeCopyUpXattr: () => 'copy',
  inodeSetxattr: () => 0,
  inodePostSetxattr: () => undefined,
  inodeSetAcl: () => 0,
  inodePostSetAcl: () => undefined,
  inodeRemoveAcl: () => 0,
  inodePostRemoveAcl: () => undefined,
  inodeRemovexattr: () => 0,
  inodePostRemovexattr: () => undefined,
  fileRelease: () => undefined,
  pathPostMknod: () => undefined,
  inodeFree: () => undefined,
});

export class World {
  readonly profile: KernelProfile;
  readonly trace = new Trace(newTrace());
  readonly clock = new Clock({ uptimeUs: 5_000_000, bootSec: 1767225600 });
  readonly faults = new Faults(newFaults(), this);
  readonly audit = new Audit(newAudit());
  readonly chip: SoftChip | null;
  readonly hooks = new LsmStack();
  readonly vfs: Vfs;
  readonly ima: Ima;
  readonly root: PathRef;
  readonly log: string[] = [];
  readonly initErr: Err;
  /** Audit records up to the last policy() are not shown by causes(). */
  #loaded = 0;
  #nodes: ReturnType<typeof imaPseudo> | undefined;

  constructor(options: WorldOptions = {}) {
    this.profile = {
      ...BASE,
      config: { ...DEFAULT_CONFIG, ...options.config },
      switches: { ...BASE.switches, ...options.switches },
    };
    const banks = options.banks === undefined ? (['sha1', 'sha256'] as const) : options.banks;
    this.chip = banks === null ? null : new SoftChip(banks);
    if (this.chip !== null) options.pcrs?.(this.chip);
    this.vfs = new Vfs(newVfs(), {
      trace: this.trace,
      clock: this.clock,
      random: new Random(seedRandom('ima')),
      hooks: this.hooks,
      pseudo: { find: (key) => this.#nodes?.get(key) },
    });
    this.root = this.#disks(options.root ?? 'rootfs');
    const evm = { ...idleEvm(this.vfs), ...options.evm };
    this.ima = new Ima(newIma(this.profile), {
      trace: this.trace,
      clock: this.clock,
      vfs: this.vfs,
      chip: this.chip,
      audit: this.audit,
      evm,
      keys: { ...noKeys(), ...options.keys },
      profile: this.profile,
      faults: this.faults,
      labels: options.labels ?? null,
      readFile: (task, path, id) => kernelReadFileFromPath(this.vfs, this.hooks, task, path, id),
      platform: {
        arch: 'efi',
        secureBoot: false,
        trustedBoot: false,
        moduleSigEnforced: () => false,
        ...options.platform,
      },
      printk: (line) => this.log.push(line),
    });
    this.hooks.bind([
      { name: 'ima', module: this.ima as LsmModule },
      { name: 'evm', module: evm as LsmModule },
    ]);
    for (const word of (options.cmdline ?? '').split(' ').filter((w) => w !== '')) {
      const at = word.indexOf('=');
      this.ima.setup(at < 0 ? word : word.slice(0, at), at < 0 ? null : word.slice(at + 1));
    }
    for (const site of options.faults ?? []) this.fails(site);
    const kexecBuffer = options.kexecBuffer ?? null;
    this.initErr = options.cold ? 0 : this.ima.init(this.task({ comm: 'swapper' }), { kexecBuffer });
    if (!options.cold) this.#securityfs();
  }

  #disks(type: FsType): PathRef {
    const { vfs } = this;
    const root = vfs.attach(vfs.createSuperblock({ type, rootMode: 0o755 }), 1, null);
    for (const dir of ['dev', 'mnt', 'fat', 'sec']) vfs.populate(root, `/${dir}`, { mode: S_IFDIR | 0o755 });
    vfs.populate(root, '/tmp', { mode: S_IFDIR | 0o1777 });
    const disk = (name: string, minor: number, fs: FsType, target: string): void => {
      const uuid = latin1('\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x22\x33\x44\x55\x66\x77\x88');
      const sb = vfs.createSuperblock({
        type: fs,
        sid: name,
        device: name,
        ...(fs === 'ext4' ? { uuid } : {}),
      });
      vfs.addDevice(name, makedev(254, minor), sb);
      vfs.populate(root, `/dev/${name}`, { mode: S_IFBLK | 0o600, rdev: makedev(254, minor) });
      const request = { source: `/dev/${name}`, target, type: fs, flags: [], data: '' };
      const err = vfs.mount(this.taskAt(root), request);
      if (err !== 0) throw new Error(`mount ${target}: ${err}`);
    };
    disk('vdc', 32, 'ext4', '/mnt');
    disk('vdd', 48, 'vfat', '/fat');
    return root;
  }

  #securityfs(): void {
    const { vfs } = this;
    const at = vfs.lookup(this.task(), '/sec');
    if (!at.ok) throw new Error('no /sec');
    this.#nodes = imaPseudo(this.ima);
    const top = vfs.attach(vfs.createSuperblock({ type: 'securityfs', sid: 'securityfs' }), 1, at.value);
    for (const { name, mode, key, symlink } of imaSecurityfs(this.ima)) {
      const type = symlink === undefined ? S_IFREG : S_IFLNK;
      const node = { mode: type | mode, ...(key === undefined ? {} : { pseudo: key }) };
      vfs.populate(top, `/${name}`, { ...node, ...(symlink === undefined ? {} : { target: symlink }) });
    }
  }

  taskAt(root: PathRef, rest: Partial<VfsTask> = {}): VfsTask {
    const cred = rest.cred ?? ROOT_CRED;
    return {
      root,
      cwd: root,
      umask: 0o022,
      ns: 1,
      comm: 'init',
      pid: 64,
      ppid: 1,
      exe: '/init',
      ...rest,
      cred,
    };
  }

  task(rest: Partial<VfsTask> = {}): VfsTask {
    return this.taskAt(this.root, rest);
  }

  user(uid: number): VfsTask {
    const ids = { uid, euid: uid, suid: uid, fsuid: uid, gid: uid, egid: uid, sgid: uid, fsgid: uid };
    return this.task({ cred: { ...ROOT_CRED, ...ids, caps: 0n } });
  }

  // -- files

  write(
    path: string,
    text: string | Uint8Array,
    task = this.task(),
    flags = O_WRONLY | O_CREAT | O_TRUNC,
  ): Err {
    const f = this.vfs.open(task, path, flags, 0o644);
    if (!f.ok) return f.errno;
    const wrote = this.vfs.write(task, f.value, typeof text === 'string' ? utf8(text) : text);
    this.vfs.put(task, f.value);
    return wrote.ok ? 0 : wrote.errno;
  }

  open(path: string, flags = O_RDONLY, task = this.task()): FileId {
    const f = this.vfs.open(task, path, flags, 0o644);
    if (!f.ok) throw new Error(`open ${path}: ${f.errno}`);
    return f.value;
  }

  close(file: FileId, task = this.task()): void {
    this.vfs.put(task, file);
  }

  /** Opens, reads and closes: 0 or the errno. */
  read(path: string, task = this.task(), flags = O_RDONLY): Err {
    const f = this.vfs.open(task, path, flags, 0);
    if (!f.ok) return f.errno;
    this.vfs.put(task, f.value);
    return 0;
  }

  text(path: string, task = this.task()): string {
    const f = this.vfs.open(task, path, O_RDONLY, 0);
    if (!f.ok) return f.errno;
    const got = this.vfs.read(task, f.value, 1 << 24);
    this.vfs.put(task, f.value);
    return got.ok ? fromLatin1(got.value) : got.errno;
  }

  label(path: string): string | null {
    const at = this.vfs.lookup(this.task(), path);
    if (!at.ok) return null;
    const value = this.vfs.rawGetxattr(this.vfs.inodeOf(at.value).key, 'security.ima');
    return value === undefined ? null : toHex(value);
  }

  setLabel(path: string, value: Uint8Array, task = this.task()): Err {
    return this.vfs.setxattr(task, path, 'security.ima', value, 0);
  }

  iint(path: string): NonNullable<ReturnType<Ima['state']['iint']['get']>> | undefined {
    const at = this.vfs.lookup(this.task(), path);
    return at.ok ? this.ima.state.iint.get(this.vfs.inodeOf(at.value).key) : undefined;
  }

  /** The n-th call of a function from now on fails. */
  fails(site: ImaFaultSite, nth = 1, times = 1, rc: number | null = null): void {
    this.faults.arm({ site, skip: nth - 1, times, rc });
  }

  // -- policy

  /** Writes a policy line by line as cat does; the errno of the first write that failed. */
  upload(text: string, task = this.task()): { readonly wrote: number[]; readonly err: Err } {
    const f = this.vfs.open(task, '/sec/policy', O_WRONLY, 0);
    if (!f.ok) return { wrote: [], err: f.errno };
    const bytes = latin1(text);
    const wrote: number[] = [];
    let err: Err = 0;
    let at = 0;
    do {
      const n: Result<number> = this.vfs.write(task, f.value, bytes.subarray(at));
      if (!n.ok) {
        err = n.errno;
        break;
      }
      wrote.push(n.value);
      at += n.value;
      if (n.value === 0) break;
    } while (at < bytes.length);
    this.vfs.put(task, f.value);
    return { wrote, err };
  }

  /** Loads rules that must be good. */
  policy(...rules: string[]): void {
    const { err } = this.upload(rules.map((r) => `${r}\n`).join(''));
    if (err !== 0) throw new Error(`policy: ${err}`);
    this.#loaded = this.audit.state.records.length;
  }

  // -- what happened

  /** The ASCII list without its hashes: `pcr template fields`. */
  get list(): string[] {
    const text = this.text('/sec/ascii_runtime_measurements');
    return text.split('\n').slice(0, -1);
  }

  /** Names of the entries. */
  get names(): string[] {
    return this.list.map((l) => l.split(' ').filter((w) => w !== '')[4] ?? '');
  }

  auditBodies(from = 0): string[] {
    return toArray(this.audit.state.records, from).map((r) => `${r.type} ${r.body}`);
  }

  /** `op=.. cause=..` of the integrity records. */
  causes(from = this.#loaded): string[] {
    return this.auditBodies(from).flatMap(
      (b) => /op=(\S+) cause=(.*?) comm=/.exec(b)?.slice(1, 3).join(' ') ?? [],
    );
  }

  events(kind?: string): readonly TraceEvent[] {
    return toArray(this.trace.state.events).filter((e) => kind === undefined || e.kind === kind);
  }

  get reasons(): (string | undefined)[] {
    return this.events().map((e) => e.reason);
  }
}

/** security.ima of a content: type 4, or type 1 for sha1 and md5. */
export function hashLabel(text: string | Uint8Array, alg: HashName = 'sha256', number = 4): Uint8Array {
  const digest = crypto().hash(alg, typeof text === 'string' ? utf8(text) : text);
  return alg === 'sha1' || alg === 'md5'
    ? concat(Uint8Array.of(1), digest)
    : concat(Uint8Array.of(4, number), digest);
}

/** A signature of version 2 (type 3) or 3 (type 6); whether it verifies is the key table's matter. */
export function signatureLabel(options: {
  type?: number;
  version?: number;
  algo?: number;
  keyid?: number;
  sig?: string;
}): Uint8Array {
  const sig = utf8(options.sig ?? 'good');
  const { type = 3, version = 2, algo = 4, keyid = 0x11223344 } = options;
  const head = Uint8Array.of(
    type,
    version,
    algo,
    keyid >>> 24,
    (keyid >> 16) & 255,
    (keyid >> 8) & 255,
    keyid & 255,
  );
  return concat(head, Uint8Array.of(sig.length >> 8, sig.length & 255), sig);
}
