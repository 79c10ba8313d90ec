// File operations as data, a generator of random sequences, and an executor on the simulated VFS: shared by
// the comparison with the host's kernel (scripts/vfs-host/run.ts) and by the property tests.

import { fromLatin1, latin1 } from '../../src/base/bytes.ts';
import { Clock } from '../../src/base/clock.ts';
import { type Err, ok, type Result } from '../../src/base/errno.ts';
import { Random, seedRandom } from '../../src/base/random.ts';
import { newTrace, Trace } from '../../src/base/trace.ts';
import {
  CAP_FULL_SET,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_TMPFILE,
  O_TRUNC,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from '../../src/vfs/constants.ts';
import type { SecurityHooks } from '../../src/vfs/hooks.ts';
import type { FileId, FsSysctl, FsType, PathRef, VfsState, VfsTask } from '../../src/vfs/types.ts';
import { newVfs, Vfs } from '../../src/vfs/vfs.ts';

export interface Op {
  readonly op: string;
  readonly uid?: number;
  readonly groups?: readonly number[];
  readonly umask?: number;
  readonly path?: string;
  readonly to?: string;
  readonly target?: string;
  readonly slot?: string;
  readonly flags?: readonly string[];
  readonly mode?: number;
  readonly len?: number;
  readonly off?: number;
  readonly whence?: 'set' | 'cur' | 'end';
  readonly data?: string;
  readonly name?: string;
  readonly xflags?: number;
  readonly to_uid?: number;
  readonly to_gid?: number;
  readonly time?: number | null;
  readonly rflags?: number;
  readonly source?: string;
  readonly type?: string;
  readonly detach?: boolean;
}

export type Outcome = readonly [err: string, value: unknown];
export type Entry = readonly [
  path: string,
  mode: number,
  nlink: number,
  uid: number,
  gid: number,
  content: string,
  xattrs: readonly (readonly [string, string])[],
];
export interface RunResult {
  readonly ops: readonly Outcome[];
  readonly tree: readonly Entry[];
}

const FLAG: { readonly [name: string]: number } = {
  rdonly: 0,
  wronly: 1,
  rdwr: 2,
  creat: O_CREAT,
  excl: O_EXCL,
  trunc: O_TRUNC,
  append: O_APPEND,
  directory: O_DIRECTORY,
  nofollow: O_NOFOLLOW,
  path: O_PATH,
  tmpfile: O_TMPFILE,
  nonblock: O_NONBLOCK,
};

const yes = (): 0 => 0;
const quiet = (): void => {};

/** Hooks that allow everything. */
const SILENT: SecurityHooks = {
  fileOpen: yes,
  filePostOpen: yes,
  fileRelease: quiet,
  mmapFile: yes,
  fileMprotect: yes,
  fileTruncate: yes,
  pathTruncate: yes,
  inodeSetxattr: yes,
  inodePostSetxattr: quiet,
  inodeRemovexattr: yes,
  inodePostRemovexattr: quiet,
  inodeSetAcl: yes,
  inodePostSetAcl: quiet,
  inodeRemoveAcl: yes,
  inodePostRemoveAcl: quiet,
  inodeSetattr: yes,
  inodePostSetattr: quiet,
  inodeInitSecurity: () => ok([]),
  pathPostMknod: quiet,
  inodePostCreateTmpfile: quiet,
  inodeFree: quiet,
  inodeCopyUpXattr: () => 'copy',
  bprmCheck: yes,
  bprmCredsForExec: yes,
  kernelReadFile: yes,
  kernelPostReadFile: yes,
  kernelLoadData: yes,
  kernelPostLoadData: yes,
  initramfsPopulated: quiet,
  bdevSetIntegrity: quiet,
  inodeSetIntegrity: quiet,
};

export class Simulated {
  readonly vfs: Vfs;
  root: PathRef;
  readonly slots = new Map<string, FileId>();

  /** Who acts when the operations do not say it: root without groups, or this user with this file mask. */
  identity: { readonly uid: number; readonly gid: number; readonly umask: number } | null = null;
  /** Directory that all paths of operations are below. */
  base = '';

  constructor(type: FsType, sysctl?: FsSysctl) {
    this.vfs = new Vfs(newVfs(), {
      trace: new Trace(newTrace()),
      clock: new Clock({ uptimeUs: 0, bootSec: 1767225600 }),
      random: new Random(seedRandom('host')),
      hooks: SILENT,
      pseudo: { find: () => undefined },
    });
    if (sysctl !== undefined) this.vfs.state = { ...this.vfs.state, sysctl };
    const sb = this.vfs.createSuperblock({ type, rootMode: 0o755 });
    this.root = this.vfs.attach(sb, 1, null);
    if (type === 'ext4') this.vfs.depopulate(this.lookup(this.task({ op: '' }), '/lost+found'));
    this.vfs.populate(this.root, '/tmp', { mode: S_IFDIR | 0o1777 });
  }

  /** Goes on below a mount of its own, as in a chroot. */
  enterMount(): void {
    this.vfs.populate(this.root, '/r', { mode: S_IFDIR | 0o755 });
    const root = this.task({ op: '' });
    this.vfs.mount(root, { source: 't', target: '/r', type: 'tmpfs', flags: [], data: 'mode=755' });
    this.root = this.lookup(root, '/r');
    this.vfs.populate(this.root, '/tmp', { mode: S_IFDIR | 0o1777 });
  }

  /** Mounts an overlay over what `lower` makes, and goes on in there. */
  enterOverlay(lower: readonly Op[], metacopy: string): void {
    const top = this.root;
    for (const d of ['/l', '/u', '/w', '/m']) this.vfs.populate(top, d, { mode: S_IFDIR | 0o755 });
    this.vfs.populate(top, '/l/tmp', { mode: S_IFDIR | 0o1777 });
    this.root = this.lookup(this.task({ op: '' }), '/l');
    for (const op of lower) this.one(op);
    for (const file of this.slots.values()) this.vfs.put(this.task({ op: '' }), file);
    this.slots.clear();
    this.root = top;
    const data = `lowerdir=/l,upperdir=/u,workdir=/w,metacopy=${metacopy}`;
    const root = this.task({ op: '' });
    const err = this.vfs.mount(root, { source: 'ov', target: '/m', type: 'overlay', flags: [], data });
    if (err !== 0) throw new Error(`overlay: ${err}`);
    this.root = this.lookup(root, '/m');
  }

  private lookup(task: VfsTask, path: string): PathRef {
    const at = this.vfs.lookup(task, path, { follow: false });
    if (!at.ok) throw new Error(`${path}: ${at.errno}`);
    return at.value;
  }

  /** A second one that goes on from a state with the same open files. */
  fork(state: VfsState): Simulated {
    const other = Object.create(Simulated.prototype) as Simulated;
    const { clock, random, hooks, pseudo } = this.vfs.env;
    const env = {
      trace: new Trace(newTrace()),
      clock: new Clock(clock.state),
      random: new Random(random.state),
      hooks,
      pseudo,
    };
    return Object.assign(other, {
      vfs: new Vfs(state, env),
      root: this.root,
      slots: new Map(this.slots),
      identity: null,
      base: '',
    });
  }

  /** Paths with modes and contents, as a plain listing of the host gives them. */
  treeBelow(dir: string): unknown[] {
    const tree: Entry[] = [];
    this.dump(dir, tree);
    return tree.map(([path, mode, , , , content]) => [path.slice(dir.length), mode, content]);
  }

  task(op: Op): VfsTask {
    if (this.identity !== null && op.op !== '') {
      const { uid, gid, umask } = this.identity;
      const caps = uid === 0 ? CAP_FULL_SET : 0n;
      const ids = { uid, euid: uid, suid: uid, fsuid: uid, gid, egid: gid, sgid: gid, fsgid: gid };
      return { ...this.task({ op: '' }), cred: { ...ids, groups: [], caps, userNs: 0 }, umask };
    }
    const uid = op.uid ?? 0;
    const caps = uid === 0 ? CAP_FULL_SET : 0n;
    return {
      cred: {
        uid: 0,
        euid: uid,
        suid: 0,
        fsuid: uid,
        gid: 0,
        egid: uid,
        sgid: 0,
        fsgid: uid,
        groups: op.groups ?? [],
        caps,
        userNs: 0,
      },
      root: this.root,
      cwd: this.root,
      umask: op.umask ?? 0o022,
      ns: 1,
      comm: 'x',
      pid: 1,
      ppid: 0,
      exe: '/x',
    };
  }

  run(ops: readonly Op[]): RunResult {
    const results = ops.map((op) => this.one(op));
    const root = this.task({ op: '' });
    for (const file of this.slots.values()) this.vfs.put(root, file);
    this.slots.clear();
    const tree: Entry[] = [];
    this.dump('/', tree);
    return { ops: results, tree };
  }

  private dump(dir: string, out: Entry[]): void {
    const root = this.task({ op: '' });
    const list = this.vfs.readdir(root, dir);
    if (!list.ok) throw new Error(`readdir ${dir}: ${list.errno}`);
    for (const { name } of [...list.value].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = dir === '/' ? `/${name}` : `${dir}/${name}`;
      const inode = this.vfs.inodeOf(this.lookup(root, path));
      const data = this.vfs.contentOf(inode.key);
      const regular = (inode.mode & S_IFMT) === S_IFREG && data.kind === 'bytes';
      const content = regular ? fromLatin1(data.bytes) : (inode.target ?? '');
      const shown = inode.realMeta === null ? inode : this.vfs.inode(inode.realMeta);
      const xattrs = shown.xattrs
        .filter((x) => inode.layers === null || !x.name.startsWith('trusted.overlay.'))
        .map((x) => [x.name, fromLatin1(x.value)] as const);
      const st = this.vfs.stat(root, path, false);
      if (!st.ok) throw new Error(`${path}: ${st.errno}`);
      const { mode, nlink, uid, gid } = st.value;
      out.push([path, mode, nlink, uid, gid, content, xattrs]);
      if ((inode.mode & S_IFMT) === S_IFDIR) this.dump(path, out);
    }
  }

  /** One operation; what it answers. */
  one(op: Op): Outcome {
    const task = this.task(op);
    const err = (e: Err): Outcome => (e === 0 ? ['OK', null] : [e, null]);
    const res = <T>(r: Result<T>, map: (v: T) => unknown): Outcome =>
      r.ok ? ['OK', map(r.value)] : [r.errno, null];
    const slot = op.slot === undefined ? undefined : this.slots.get(op.slot);
    const needsSlot = op.slot !== undefined && op.op !== 'open';
    if (needsSlot && slot === undefined) return ['EBADF', null];
    const file = slot ?? -1;
    const path = this.base + (op.path ?? '');
    const { vfs } = this;
    const data = latin1(op.data ?? '');
    switch (op.op) {
      case 'open': {
        const flags = (op.flags ?? []).reduce((n, f) => n | (FLAG[f] ?? 0), 0);
        const opened = vfs.open(task, path, flags, op.mode ?? 0o644);
        if (opened.ok) {
          if (slot !== undefined) vfs.put(task, slot);
          this.slots.set(op.slot ?? '', opened.value);
        }
        return res(opened, () => null);
      }
      case 'close':
        vfs.put(task, file);
        this.slots.delete(op.slot ?? '');
        return ['OK', null];
      case 'read':
        return res(vfs.read(task, file, op.len ?? 0), fromLatin1);
      case 'pread':
        return res(vfs.pread(task, file, op.len ?? 0, op.off ?? 0), fromLatin1);
      case 'write':
        return res(vfs.write(task, file, data), (n) => n);
      case 'pwrite':
        return res(vfs.pwrite(task, file, data, op.off ?? 0), (n) => n);
      case 'lseek':
        return res(vfs.lseek(file, op.off ?? 0, op.whence ?? 'set'), (n) => n);
      case 'ftruncate':
        return err(vfs.ftruncate(task, file, op.len ?? 0));
      case 'truncate':
        return err(vfs.truncate(task, path, op.len ?? 0));
      case 'fchmod':
        return err(vfs.chmod(task, file, op.mode ?? 0));
      case 'fchown':
        return err(vfs.chown(task, file, op.to_uid ?? -1, op.to_gid ?? -1));
      case 'fsetxattr':
        return err(vfs.setxattr(task, file, op.name ?? '', data, op.xflags ?? 0));
      default:
        return this.onPath(op, task, path, data);
    }
  }

  private onPath(op: Op, task: VfsTask, path: string, data: Uint8Array): Outcome {
    const err = (e: Err): Outcome => (e === 0 ? ['OK', null] : [e, null]);
    const res = <T>(r: Result<T>, map: (v: T) => unknown): Outcome =>
      r.ok ? ['OK', map(r.value)] : [r.errno, null];
    const { vfs } = this;
    switch (op.op) {
      case 'mount':
        return err(
          vfs.mount(task, {
            source: op.source ?? '',
            target: path,
            type: op.type ?? '',
            flags: op.flags ?? [],
            data: '',
          }),
        );
      case 'umount':
        return err(vfs.umount(task, path, op.detach));
      case 'mkdir':
        return err(vfs.mkdir(task, path, op.mode ?? 0));
      case 'rmdir':
        return err(vfs.rmdir(task, path));
      case 'unlink':
        return err(vfs.unlink(task, path));
      case 'rename':
        return err(vfs.rename(task, path, this.base + (op.to ?? ''), op.rflags ?? 0));
      case 'link':
        return err(vfs.link(task, path, this.base + (op.to ?? '')));
      case 'symlink':
        return err(vfs.symlink(task, op.target ?? '', path));
      case 'mknod':
        return err(vfs.mknod(task, path, op.mode ?? 0, 0x103));
      case 'chmod':
        return err(vfs.chmod(task, path, op.mode ?? 0));
      case 'chown':
        return err(vfs.chown(task, path, op.to_uid ?? -1, op.to_gid ?? -1));
      case 'utimes':
        return err(vfs.utimes(task, path, op.time == null ? null : { sec: op.time, nsec: 0 }));
      case 'setxattr':
        return err(vfs.setxattr(task, path, op.name ?? '', data, op.xflags ?? 0));
      case 'getxattr':
        return res(vfs.getxattr(task, path, op.name ?? ''), fromLatin1);
      case 'listxattr':
        return res(vfs.listxattr(task, path), (n) => n);
      case 'removexattr':
        return err(vfs.removexattr(task, path, op.name ?? ''));
      case 'readlink':
        return res(vfs.readlink(task, path), (n) => n);
      case 'readdir':
        return res(vfs.readdir(task, path), (n) => n.map((e) => e.name).sort());
      case 'stat':
      case 'lstat':
        return res(vfs.stat(task, path, op.op === 'stat'), (s) => [
          s.mode,
          s.nlink,
          s.uid,
          s.gid,
          (s.mode & S_IFMT) === S_IFREG ? s.size : 0,
        ]);
      default:
        throw new Error(`unknown op ${op.op}`);
    }
  }
}

const PARTS = ['a', 'b', 'd', 'e', 's', '.', '..', 'tmp'];
const MODES = [
  0, 0o400, 0o600, 0o644, 0o755, 0o700, 0o777, 0o1777, 0o2775, 0o4755, 0o6777, 0o111, 0o2644, 0o333, 0o555,
];
const LENGTHS = [0, 1, 3, 10, 4095, 4096, 5000];
const NAMES = [
  'user.a',
  'user.bb',
  'user.',
  'trusted.t',
  'security.x',
  'security.ima',
  'security.capability',
  'system.foo',
  'system.posix_acl_access',
  'system.posix_acl_default',
  'bad',
  '',
  `user.${'n'.repeat(250)}`,
  `user.${'n'.repeat(251)}`,
];
const CAP2 = `\x01\x00\x00\x02${'\x00'.repeat(16)}`;
const acl = (entries: readonly (readonly [number, number, number])[]): string =>
  `\x02\x00\x00\x00${entries
    .map(([tag, perm, id]) =>
      String.fromCharCode(tag, 0, perm, 0, id & 255, (id >> 8) & 255, (id >> 16) & 255, (id >>> 24) & 255),
    )
    .join('')}`;
const NO_ID = 0xffffffff;
const VALUES = [
  '',
  'v',
  'value two',
  'x'.repeat(60),
  'y'.repeat(3000),
  'z'.repeat(4500),
  CAP2,
  acl([
    [1, 7, NO_ID],
    [4, 5, NO_ID],
    [32, 4, NO_ID],
  ]),
  acl([
    [1, 6, NO_ID],
    [2, 7, 1000],
    [4, 4, NO_ID],
    [16, 6, NO_ID],
    [32, 0, NO_ID],
  ]),
  acl([
    [1, 6, NO_ID],
    [2, 4, 1001],
    [4, 5, NO_ID],
    [8, 7, 1000],
    [16, 5, NO_ID],
    [32, 1, NO_ID],
  ]),
  acl([
    [1, 6, NO_ID],
    [2, 4, 1001],
    [4, 5, NO_ID],
    [32, 1, NO_ID],
  ]),
];

/** A random sequence from a generator of integers below a bound. */
export function randomOps(below: (n: number) => number, length: number, overlay = false): Op[] {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const path = (): string => {
    const n = below(10) < 5 ? 1 : below(10) < 7 ? 2 : 3;
    let out = '';
    for (let i = 0; i < n; i++) out += `/${below(12) === 0 ? pick(PARTS) : pick(PARTS.slice(0, 5))}`;
    if (below(25) === 0) out += '/';
    if (below(60) === 0) out = '';
    if (below(80) === 0) out = `/${'q'.repeat(256)}`;
    if (below(8) === 0) out = `/tmp${out}`;
    return out;
  };
  const who = (): Partial<Op> => {
    const k = below(10);
    if (k < 5) return {};
    return { uid: k < 8 ? 1000 : 1001, groups: below(3) === 0 ? [1000] : [], umask: pick([0o022, 0, 0o077]) };
  };
  const flags = (): string[] => {
    const out = [pick(['rdonly', 'wronly', 'rdwr'])];
    for (const f of ['creat', 'creat', 'excl', 'trunc', 'append', 'directory', 'nofollow', 'nonblock'])
      if (below(f === 'creat' ? 2 : f === 'trunc' || f === 'append' ? 4 : 12) === 0) out.push(f);
    if (below(30) === 0) out.push('path');
    if (below(25) === 0) return [pick(['wronly', 'rdwr', 'rdonly']), 'tmpfile'];
    if (!out.includes('nonblock')) out.push('nonblock');
    return out;
  };
  const slot = (): string => pick(['x', 'y', 'z']);
  const makers: (() => Op)[] = [
    () => ({ op: 'open', path: path(), slot: slot(), flags: flags(), mode: pick(MODES) }),
    () => ({ op: 'open', path: path(), slot: slot(), flags: ['rdwr', 'creat', 'nonblock'], mode: 0o644 }),
    () => ({ op: 'close', slot: slot() }),
    () => ({ op: 'read', slot: slot(), len: pick(LENGTHS) }),
    () => ({ op: 'pread', slot: slot(), len: pick(LENGTHS), off: pick(LENGTHS) }),
    () => ({ op: 'write', slot: slot(), data: pick(['', 'A', 'hello', 'B'.repeat(5000)]) }),
    () => ({
      op: 'pwrite',
      slot: slot(),
      data: pick(['', 'A', 'hello', 'B'.repeat(5000)]),
      off: pick(LENGTHS),
    }),
    () => ({
      op: 'lseek',
      slot: slot(),
      off: pick([0, 1, -1, 100]),
      whence: pick(['set', 'cur', 'end'] as const),
    }),
    () => ({ op: 'ftruncate', slot: slot(), len: pick(LENGTHS) }),
    () => ({ op: 'truncate', path: path(), len: pick(LENGTHS) }),
    () => ({ op: 'mkdir', path: path(), mode: pick(MODES) }),
    () => ({ op: 'mkdir', path: path(), mode: 0o777 }),
    () => ({ op: 'rmdir', path: path() }),
    () => ({ op: 'unlink', path: path() }),
    () => ({ op: 'rename', path: path(), to: path(), rflags: below(4) === 0 ? pick([1, 2, 3, 4]) : 0 }),
    () => ({ op: 'link', path: path(), to: path() }),
    () => ({
      op: 'symlink',
      path: path(),
      target: pick(['a', 'd', '/d/e', '../b', 's', '/tmp', '/', '.', 'b/']),
    }),
    () => ({
      op: 'mknod',
      path: path(),
      mode: pick([0o644, S_IFREG | 0o4755, S_IFIFO | 0o644, 0o020644, S_IFDIR, S_IFLNK, 0o140600]),
    }),
    () => ({ op: 'chmod', path: path(), mode: pick(MODES) }),
    () => ({ op: 'fchmod', slot: slot(), mode: pick(MODES) }),
    () => ({
      op: 'chown',
      path: path(),
      to_uid: pick([-1, 0, 1000, 1001]),
      to_gid: pick([-1, 0, 1000, 1001]),
    }),
    () => ({ op: 'fchown', slot: slot(), to_uid: pick([-1, 0, 1000]), to_gid: pick([-1, 0, 1000]) }),
    () => ({ op: 'utimes', path: path(), time: pick([null, 1000]) }),
    () => ({
      op: 'setxattr',
      path: path(),
      name: pick(NAMES),
      data: pick(VALUES),
      xflags: pick([0, 0, 0, 1, 2, 3, 4]),
    }),
    () => ({ op: 'setxattr', path: path(), name: pick(NAMES.slice(0, 10)), data: pick(VALUES), xflags: 0 }),
    () => ({ op: 'fsetxattr', slot: slot(), name: pick(NAMES), data: pick(VALUES), xflags: 0 }),
    () => ({ op: 'getxattr', path: path(), name: pick(NAMES) }),
    () => ({ op: 'listxattr', path: path() }),
    () => ({ op: 'removexattr', path: path(), name: pick(NAMES) }),
    () => ({ op: 'readlink', path: path() }),
    () => ({ op: 'readdir', path: path() }),
    () => ({ op: pick(['stat', 'lstat']), path: path() }),
  ];
  const prelude: Op[] = [
    { op: 'mkdir', path: '/d', mode: pick([0o755, 0o777, 0o1777, 0o2777]), umask: 0 },
    { op: 'mkdir', path: '/d/e', mode: pick([0o755, 0o777, 0o3777]), umask: 0, uid: pick([0, 1000]) },
    { op: 'open', path: '/a', slot: 'x', flags: ['rdwr', 'creat'], mode: pick([0o644, 0o6755]), umask: 0 },
    {
      op: 'open',
      path: '/d/b',
      slot: 'y',
      flags: ['rdwr', 'creat'],
      mode: 0o666,
      uid: pick([0, 1000]),
      umask: 0,
    },
    { op: 'symlink', path: '/s', target: pick(['d', '/d/e', 'a', 's', '/tmp/x', 'd/']) },
    { op: 'mkdir', path: '/e', mode: 0o777, umask: 0 },
  ];
  const one = (): Op => {
    const op = { ...pick(makers)(), ...who() };
    // Newer kernels copy up a file whose capability xattr is empty, others refuse it.
    return overlay && op.name === 'security.capability' && op.data === '' ? { ...op, data: CAP2 } : op;
  };
  return [...prelude, ...Array.from({ length }, one)];
}

/** Sequences that fill and empty the xattrs of two files. */
export function randomXattrOps(below: (n: number) => number, length: number): Op[] {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const names = [
    'user.a',
    'user.bb',
    'user.ab',
    'trusted.t',
    'security.x',
    'security.ima',
    'security.evm',
    'user.long_name',
  ];
  const all = [...names, 'system.posix_acl_access', 'security.capability'];
  const value = (): string =>
    'v'.repeat(pick([0, 1, 4, 5, 20, 21, 34, 60, 100, 500, 1000, 2000, 3900, 4060, 4100]));
  const where = (): string => pick(['/a', '/d']);
  const one = (): Op => {
    const k = below(10);
    if (k < 1) return { op: 'listxattr', path: where() };
    if (k < 2) return { op: 'getxattr', path: where(), name: pick(names) };
    if (k < 4) return { op: 'removexattr', path: where(), name: pick(all) };
    if (k < 5) {
      const data = pick([
        acl([
          [1, 6, NO_ID],
          [2, 7, 1000],
          [4, 4, NO_ID],
          [16, 6, NO_ID],
          [32, 0, NO_ID],
        ]),
        '',
      ]);
      return { op: 'setxattr', path: where(), name: 'system.posix_acl_access', data, xflags: 0 };
    }
    if (k < 6)
      return pick([
        { op: 'chmod', path: where(), mode: 0o640 },
        { op: 'write', slot: 'x', data: 'w' },
        { op: 'setxattr', path: where(), name: 'security.capability', data: CAP2, xflags: 0 },
      ]);
    return { op: 'setxattr', path: where(), name: pick(names), data: value(), xflags: pick([0, 0, 0, 1, 2]) };
  };
  const prelude: Op[] = [
    { op: 'mkdir', path: '/d', mode: 0o755 },
    { op: 'open', path: '/a', slot: 'x', flags: ['rdwr', 'creat'], mode: 0o6755 },
  ];
  return [...prelude, ...Array.from({ length }, one)];
}

/** Sequences that mount, bind, move and unmount on a small tree. */
export function randomMountOps(below: (n: number) => number, length: number): Op[] {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const path = (): string => {
    let out = '';
    for (let i = 0; i <= below(3); i++) out += `/${pick(['a', 'b', 'c', 'a', 'b', '..'])}`;
    return below(20) === 0 ? '/a/f' : out;
  };
  const slot = (): string => pick(['x', 'y']);
  const makers: (() => Op)[] = [
    () => ({ op: 'mkdir', path: path(), mode: 0o755 }),
    () => ({ op: 'mkdir', path: path(), mode: 0o755 }),
    () => ({
      op: 'mount',
      source: 't',
      path: path(),
      type: 'tmpfs',
      flags: pick([[], [], ['ro'], ['noexec']]),
    }),
    () => ({ op: 'mount', source: path(), path: path(), type: '', flags: [pick(['bind', 'bind', 'rbind'])] }),
    () => ({ op: 'mount', source: path(), path: path(), type: '', flags: ['move'] }),
    () => ({
      op: 'mount',
      source: '',
      path: path(),
      type: '',
      flags: pick([['remount'], ['remount', 'ro'], ['remount', 'bind', 'ro'], ['remount', 'bind']]),
    }),
    // Kernels differ in what a root that was detached below the task's feet still allows.
    () => ({ op: 'umount', path: path().replaceAll('/..', '/a'), detach: below(3) === 0 }),
    () => ({ op: 'umount', path: path(), detach: false }),
    () => ({ op: 'open', path: `${path()}/f`, slot: slot(), flags: ['rdwr', 'creat'], mode: 0o644 }),
    () => ({ op: 'open', path: path(), slot: slot(), flags: ['rdonly'] }),
    () => ({ op: 'write', slot: slot(), data: 'data' }),
    () => ({ op: 'close', slot: slot() }),
    () => ({ op: pick(['rmdir', 'unlink']), path: path() }),
    () => ({ op: pick(['rename', 'link']), path: path(), to: path(), rflags: 0 }),
    () => ({ op: 'readdir', path: path() }),
    () => ({ op: 'stat', path: path() }),
    () => ({ op: 'chmod', path: path(), mode: pick([0o755, 0o700]) }),
  ];
  const prelude: Op[] = ['/a', '/b', '/a/b', '/a/c'].map((p) => ({ op: 'mkdir', path: p, mode: 0o755 }));
  return [...prelude, ...Array.from({ length }, () => pick(makers)())];
}
