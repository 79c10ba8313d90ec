// One file on an ext4 disk and EVM beside it, called hook by hook. Keys are a table: a signature verifies when its bytes
// say `good`; the HMAC key is what the test sets. The superblock can be changed into that of other file systems.

import '../../../src/crypto/auto.ts';
import { concat, utf8 } from '../../../src/base/bytes.ts';
import { Clock } from '../../../src/base/clock.ts';
import { type Err, fail, ok, type Result } from '../../../src/base/errno.ts';
import { toArray } from '../../../src/base/list.ts';
import { DEFAULT_CONFIG, type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import { Random, seedRandom } from '../../../src/base/random.ts';
import { newTrace, Trace, type TraceEvent } from '../../../src/base/trace.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { miscBytes } from '../../../src/evm/digest.ts';
import { Evm } from '../../../src/evm/evm.ts';
import { evmPseudo } from '../../../src/evm/securityfs.ts';
import { EVM_INIT_HMAC, EVM_INIT_X509, type EvmState, newEvm } from '../../../src/evm/state.ts';
import { Audit, newAudit } from '../../../src/integrity/audit.ts';
import { type IntegrityKeys, noKeys } from '../../../src/integrity/keyring-api.ts';
import { LsmStack } from '../../../src/lsm/stack.ts';
import { CAP_FULL_SET, O_CREAT, O_RDWR, S_IFBLK, S_IFDIR } from '../../../src/vfs/constants.ts';
import { makedev } from '../../../src/vfs/device.ts';
import type { Cred, FileId, Inode, InodeKey, PathRef, Superblock, VfsTask } from '../../../src/vfs/types.ts';
import { newVfs, Vfs } from '../../../src/vfs/vfs.ts';

const BASE = PROFILES['linux-6.12.107'] as KernelProfile;
const ROOT = { uid: 0, euid: 0, suid: 0, fsuid: 0, gid: 0, egid: 0, sgid: 0, fsgid: 0, groups: [] };
export const ROOT_CRED: Cred = { ...ROOT, caps: CAP_FULL_SET, userNs: 0 };
export const HMAC_KEY = concat(utf8('a secret'), new Uint8Array(120));
export const UUID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
export const EVM_NAME = 'security.evm';

export interface BenchOptions {
  /** evm_initialized. */
  readonly state?: number;
  readonly config?: { readonly [option: string]: string };
  readonly keys?: Partial<IntegrityKeys>;
  readonly secret?: Result<Uint8Array>;
  readonly sb?: Partial<Superblock>;
  readonly evm?: Partial<EvmState>;
}

export const HMAC = EVM_INIT_HMAC;
export const X509 = EVM_INIT_X509;

export class Bench {
  readonly profile: KernelProfile;
  readonly trace = new Trace(newTrace());
  readonly audit = new Audit(newAudit());
  readonly vfs: Vfs;
  readonly evm: Evm;
  readonly path: PathRef;
  readonly key: InodeKey;
  readonly file: FileId;
  readonly task: VfsTask;
  readonly asked: [string, number, string, number][] = [];

  constructor(options: BenchOptions = {}) {
    this.profile = { ...BASE, config: { ...DEFAULT_CONFIG, ...options.config } };
    const hooks = new LsmStack();
    hooks.bind([]);
    const clock = new Clock({ uptimeUs: 5_000_000, bootSec: 1767225600 });
    const random = new Random(seedRandom('evm'));
    this.vfs = new Vfs(newVfs(), {
      trace: this.trace,
      clock,
      random,
      hooks,
      pseudo: { find: () => undefined },
    });
    const root = this.vfs.attach(this.vfs.createSuperblock({ type: 'rootfs', rootMode: 0o755 }), 1, null);
    for (const dir of ['dev', 'mnt']) this.vfs.populate(root, `/${dir}`, { mode: S_IFDIR | 0o755 });
    const sb = this.vfs.createSuperblock({ type: 'ext4', sid: 'vdc', device: 'vdc', uuid: UUID });
    this.vfs.addDevice('vdc', makedev(254, 32), sb);
    this.vfs.populate(root, '/dev/vdc', { mode: S_IFBLK | 0o600, rdev: makedev(254, 32) });
    const rest = { umask: 0o022, ns: 1, comm: 'init', pid: 64, ppid: 1, exe: '/init', cred: ROOT_CRED };
    this.task = { root, cwd: root, ...rest };
    const request = { source: '/dev/vdc', target: '/mnt', type: 'ext4', flags: [], data: '' } as const;
    if (this.vfs.mount(this.task, request) !== 0) throw new Error('no mount');
    const opened = this.vfs.open(this.task, '/mnt/a', O_CREAT | O_RDWR, 0o644);
    if (!opened.ok) throw new Error('no file');
    this.file = opened.value;
    this.path = this.vfs.file(this.file).path;
    this.key = this.vfs.file(this.file).inode;
    const keys: IntegrityKeys = {
      ...noKeys(),
      verifySignature: (keyring, keyid, alg, digest, sig): Err => {
        this.asked.push([keyring, keyid, alg, digest.length]);
        return String.fromCharCode(...sig) === 'good' ? 0 : 'EKEYREJECTED';
      },
      ...options.keys,
    };
    const initialized = options.state ?? HMAC;
    const hmacKey = (initialized & HMAC) !== 0 ? HMAC_KEY : null;
    this.evm = new Evm(
      { ...newEvm(this.profile), initialized, hmacKey, ...options.evm },
      {
        profile: this.profile,
        trace: this.trace,
        audit: this.audit,
        vfs: this.vfs,
        keys,
        requestSecret: () => options.secret ?? fail('ENOKEY'),
      },
    );
    if (options.sb !== undefined) this.superblock(options.sb);
  }

  // -- the file

  get inode(): Inode {
    return this.vfs.inode(this.key);
  }

  superblock(change: Partial<Superblock>): void {
    const sb = this.vfs.superblock(this.inode.sb);
    const { state } = this.vfs;
    this.vfs.state = { ...state, superblocks: state.superblocks.set(sb.id, { ...sb, ...change }) };
  }

  patch(change: Partial<Inode>): void {
    const { state } = this.vfs;
    this.vfs.state = { ...state, inodes: state.inodes.set(this.key, { ...this.inode, ...change }) };
  }

  put(name: string, value: Uint8Array | null): void {
    if (value === null) this.vfs.rawRemovexattr(this.key, name);
    else this.vfs.rawSetxattr(this.key, name, value);
  }

  get label(): Uint8Array | undefined {
    return this.vfs.rawGetxattr(this.key, EVM_NAME);
  }

  /** security.evm of type 2 over values and the file's metadata, as the kernel would make it. */
  hmac(...values: Uint8Array[]): Uint8Array {
    const misc = miscBytes({ wordBits: 64, fsuuid: true }, this.inode, UUID, 2);
    return concat(Uint8Array.of(2), crypto().hmac('sha1', HMAC_KEY, concat(...values, misc)));
  }

  // -- what EVM says

  verify(name = 'security.ima', value: Uint8Array | null = null): number {
    return this.evm.verifyXattr(this.task, this.path, this.key, name, value);
  }

  get cached(): number {
    return this.evm.iint(this.key).status;
  }

  set cached(status: number) {
    const iint = { ...this.evm.iint(this.key), status: status as 0 };
    this.evm.state = { ...this.evm.state, iints: this.evm.state.iints.set(this.key, iint) };
  }

  flag(flags: number): void {
    const iint = { ...this.evm.iint(this.key), flags };
    this.evm.state = { ...this.evm.state, iints: this.evm.state.iints.set(this.key, iint) };
  }

  set(name: string, value: Uint8Array, task = this.task): Err {
    return this.evm.inodeSetxattr(task, this.path, this.key, name, value, 0);
  }

  remove(name: string, task = this.task): Err {
    return this.evm.inodeRemovexattr(task, this.path, this.key, name);
  }

  without(cap: number): VfsTask {
    return { ...this.task, cred: { ...ROOT_CRED, caps: CAP_FULL_SET ^ (1n << BigInt(cap)) } };
  }

  /** `type op=.. cause=..` of the records. */
  get records(): string[] {
    return toArray(this.audit.state.records).map((r) => `${r.type} ${r.body}`);
  }

  events(kind: string): readonly TraceEvent[] {
    return toArray(this.trace.state.events).filter((e) => e.kind === kind);
  }

  node(name: 'evm' | 'evm_xattrs', lock: (mode: number) => void = () => undefined) {
    const node = evmPseudo(this.evm, (_file, mode) => lock(mode)).get(`evm/${name}`);
    if (node === undefined) throw new Error('no node');
    return node;
  }
}

/** A value of security.evm with a signature. */
export function signature(type: number, sig = 'good', algo = 4, version = 2): Uint8Array {
  const text = utf8(sig);
  return concat(Uint8Array.of(type, version, algo, 0x11, 0x22, 0x33, 0x44, 0, text.length), text);
}

export const okSecret = (length: number): Result<Uint8Array> => ok(new Uint8Array(length).fill(7));
