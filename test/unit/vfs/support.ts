// A VFS with hooks that allow everything and write down what was called, on a tmpfs root with an ext4 disk.

import { Clock } from '../../../src/base/clock.ts';
import { ok } from '../../../src/base/errno.ts';
import { Random, seedRandom } from '../../../src/base/random.ts';
import { newTrace, Trace } from '../../../src/base/trace.ts';
import type { PseudoNode, VfsEnv } from '../../../src/vfs/api.ts';
import { CAP_FULL_SET, S_IFBLK, S_IFDIR } from '../../../src/vfs/constants.ts';
import { makedev } from '../../../src/vfs/device.ts';
import type { SecurityHooks } from '../../../src/vfs/hooks.ts';
import type { Cred, FsType, PathRef, VfsTask } from '../../../src/vfs/types.ts';
import { newVfs, Vfs } from '../../../src/vfs/vfs.ts';

export interface Call {
  readonly hook: string;
  readonly args: readonly unknown[];
}

/** Hooks that say yes; `calls` keeps their names and arguments without the task. */
export function openHooks(calls: Call[], over: Partial<SecurityHooks> = {}): SecurityHooks {
  const names: (keyof SecurityHooks)[] = [
    'fileOpen',
    'filePostOpen',
    'fileRelease',
    'mmapFile',
    'fileMprotect',
    'fileTruncate',
    'pathTruncate',
    'inodeSetxattr',
    'inodePostSetxattr',
    'inodeRemovexattr',
    'inodePostRemovexattr',
    'inodeSetAcl',
    'inodePostSetAcl',
    'inodeRemoveAcl',
    'inodePostRemoveAcl',
    'inodeSetattr',
    'inodePostSetattr',
    'inodeInitSecurity',
    'pathPostMknod',
    'inodePostCreateTmpfile',
    'inodeFree',
    'inodeCopyUpXattr',
    'bprmCheck',
    'bprmCredsForExec',
    'kernelReadFile',
    'kernelPostReadFile',
    'kernelLoadData',
    'kernelPostLoadData',
    'initramfsPopulated',
    'bdevSetIntegrity',
    'inodeSetIntegrity',
  ];
  const hooks: Record<string, (...args: unknown[]) => unknown> = {};
  for (const hook of names) {
    hooks[hook] = (...args) => {
      calls.push({ hook, args: hook === 'inodeFree' || hook === 'bdevSetIntegrity' ? args : args.slice(1) });
      const own = over[hook] as ((...a: unknown[]) => unknown) | undefined;
      if (own !== undefined) return own(...args);
      if (hook === 'inodeInitSecurity') return ok([]);
      return hook === 'inodeCopyUpXattr' ? 'copy' : 0;
    };
  }
  return hooks as unknown as SecurityHooks;
}

export function cred(over: Partial<Cred> = {}): Cred {
  const uid = over.uid ?? 0;
  const gid = over.gid ?? 0;
  const caps = uid === 0 ? CAP_FULL_SET : 0n;
  return {
    uid,
    euid: uid,
    suid: uid,
    fsuid: uid,
    gid,
    egid: gid,
    sgid: gid,
    fsgid: gid,
    groups: [],
    caps,
    userNs: 0,
    ...over,
  };
}

export interface World {
  readonly vfs: Vfs;
  readonly env: VfsEnv;
  readonly calls: Call[];
  readonly root: PathRef;
  readonly pseudo: Map<string, PseudoNode>;
  task(over?: Partial<Cred>, rest?: Partial<VfsTask>): VfsTask;
}

/** A file tree with `type` as root; ext4 on /dev/vdc and vfat on /dev/vdd wait to be mounted. */
export function world(type: FsType = 'tmpfs', over: Partial<SecurityHooks> = {}): World {
  const calls: Call[] = [];
  const pseudo = new Map<string, PseudoNode>();
  const env: VfsEnv = {
    trace: new Trace(newTrace()),
    clock: new Clock({ uptimeUs: 5_000_000, bootSec: 1767225600 }),
    random: new Random(seedRandom('vfs')),
    hooks: openHooks(calls, over),
    pseudo: { find: (key) => pseudo.get(key) },
  };
  const vfs = new Vfs(newVfs(), env);
  const root = vfs.attach(vfs.createSuperblock({ type, rootMode: 0o755 }), 1, null);
  vfs.populate(root, '/dev', { mode: S_IFDIR | 0o755 });
  vfs.populate(root, '/mnt', { mode: S_IFDIR | 0o755 });
  vfs.populate(root, '/tmp', { mode: S_IFDIR | 0o1777 });
  const disk = (name: string, minor: number, fs: FsType): void => {
    vfs.addDevice(name, makedev(254, minor), vfs.createSuperblock({ type: fs, sid: name, device: name }));
    vfs.populate(root, `/dev/${name}`, { mode: S_IFBLK | 0o600, rdev: makedev(254, minor) });
  };
  disk('vdc', 32, 'ext4');
  disk('vdd', 48, 'vfat');
  const task = (c: Partial<Cred> = {}, rest: Partial<VfsTask> = {}): VfsTask => ({
    cred: cred(c),
    root,
    cwd: root,
    umask: 0o022,
    ns: 1,
    comm: 'init',
    pid: 1,
    ppid: 0,
    exe: '/init',
    ...rest,
  });
  return { vfs, env, calls, root, pseudo, task };
}

/** The value of a result, or a thrown test failure. */
export function must<T>(result: { ok: true; value: T } | { ok: false; errno: string }): T {
  if (!result.ok) throw new Error(`unexpected ${result.errno}`);
  return result.value;
}
