import { describe, expect, it } from 'vitest';
import { fromHex, utf8 } from '../../../src/base/bytes.ts';
import {
  CAP_CHOWN,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_LINUX_IMMUTABLE,
  CAP_SETFCAP,
  CAP_SYS_ADMIN,
  O_APPEND,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  XATTR_CREATE,
  XATTR_REPLACE,
} from '../../../src/vfs/constants.ts';
import type { FsType } from '../../../src/vfs/types.ts';
import { must, type World, world } from './support.ts';

const cap = (...caps: number[]): bigint => caps.reduce((n, c) => n | (1n << BigInt(c)), 0n);
const CAP_VALUE = fromHex(`01000002${'00'.repeat(16)}`);

function file(w: World, path: string, mode: number, uid = 0): number {
  const as = w.task({ uid }, { umask: 0 });
  const f = must(w.vfs.open(as, path, O_RDWR | O_CREAT | O_TRUNC, mode));
  must(w.vfs.write(as, f, utf8('content')));
  w.calls.length = 0;
  return f;
}

const mode = (w: World, path: string): number => must(w.vfs.stat(w.task(), path)).mode & 0o7777;
const inode = (w: World, path: string) => w.vfs.inodeOf(must(w.vfs.lookup(w.task(), path)));

describe('set-id bits and file capabilities', () => {
  it('go when somebody without CAP_FSETID writes, truncates or changes the owner', () => {
    const w = world();
    const user = w.task({ uid: 1000, gid: 1000 });
    file(w, '/tmp/f', 0o6777);
    const f = must(w.vfs.open(user, '/tmp/f', O_WRONLY, 0));
    expect(mode(w, '/tmp/f')).toBe(0o6777);
    must(w.vfs.write(user, f, utf8('x')));
    expect(mode(w, '/tmp/f')).toBe(0o777);
    file(w, '/tmp/g', 0o6777);
    expect(w.vfs.truncate(user, '/tmp/g', 0)).toBe(0);
    expect(mode(w, '/tmp/g')).toBe(0o777);
    file(w, '/tmp/h', 0o6755);
    expect(w.vfs.chown(w.task(), '/tmp/h', 5, 5)).toBe(0);
    expect(mode(w, '/tmp/h')).toBe(0o755);
  });

  it('stay when root writes; security.capability goes with any write', () => {
    const w = world('ext4');
    const root = w.task();
    const f = file(w, '/tmp/f', 0o6755);
    expect(w.vfs.setxattr(root, '/tmp/f', 'security.capability', CAP_VALUE, 0)).toBe(0);
    must(w.vfs.write(root, f, utf8('x')));
    expect(mode(w, '/tmp/f')).toBe(0o6755);
    expect(w.vfs.getxattr(root, '/tmp/f', 'security.capability')).toEqual({ ok: false, errno: 'ENODATA' });
    const kills = w.calls.filter((c) => c.hook === 'inodeSetattr').map((c) => c.args[2]);
    expect(kills).toEqual([{}]);
  });

  it('are asked of the hooks, and a refusal stops the write', () => {
    let refuse = false;
    const w = world('tmpfs', { inodeSetattr: () => (refuse ? 'EPERM' : 0) });
    file(w, '/tmp/f', 0o4777);
    const user = w.task({ uid: 1000 });
    const f = must(w.vfs.open(user, '/tmp/f', O_WRONLY, 0));
    refuse = true;
    expect(w.vfs.write(user, f, utf8('new'))).toEqual({ ok: false, errno: 'EPERM' });
    expect(w.calls.at(-1)?.args[2]).toEqual({ mode: 0o100777, killPriv: true });
    expect(inode(w, '/tmp/f')).toMatchObject({ size: 7, mode: 0o104777 });
  });
});

describe('owner, mode, time', () => {
  it('knows who may change what', () => {
    const w = world();
    const f = file(w, '/tmp/f', 0o644, 1000);
    const owner = w.task({ uid: 1000, gid: 1000, groups: [50] });
    const other = w.task({ uid: 1001, gid: 1001 });
    expect(w.vfs.chmod(other, '/tmp/f', 0o777)).toBe('EPERM');
    expect(w.vfs.chmod(owner, f, 0o6755)).toBe(0);
    expect(mode(w, '/tmp/f')).toBe(0o4755);
    expect(w.vfs.chown(owner, '/tmp/f', 1001, -1)).toBe('EPERM');
    expect(w.vfs.chown(owner, '/tmp/f', -1, 50)).toBe(0);
    expect(w.vfs.chown(owner, '/tmp/f', -1, 51)).toBe('EPERM');
    expect(w.vfs.chown(w.task({ uid: 1001, caps: cap(CAP_CHOWN) }), '/tmp/f', 7, 7)).toBe(0);
    expect(w.vfs.chmod(w.task({ uid: 1001, caps: cap(CAP_FOWNER) }), '/tmp/f', 0o600)).toBe(0);
    expect(w.vfs.utimes(other, '/tmp/f', { sec: 5, nsec: 0 })).toBe('EPERM');
    expect(w.vfs.utimes(other, '/tmp/f', null)).toBe('EACCES');
    expect(w.vfs.utimes(w.task(), '/tmp/f', { sec: 5, nsec: 0 })).toBe(0);
    expect(must(w.vfs.stat(w.task(), '/tmp/f')).mtime).toEqual({ sec: 5, nsec: 0 });
  });

  it('lets capabilities override the mode as they should', () => {
    const w = world();
    file(w, '/tmp/f', 0);
    const open = (flags: number, ...caps: number[]): boolean =>
      w.vfs.open(w.task({ uid: 1000, caps: cap(...caps) }), '/tmp/f', flags, 0).ok;
    expect([open(O_RDONLY), open(O_RDONLY, CAP_DAC_READ_SEARCH), open(O_RDWR, CAP_DAC_READ_SEARCH)]).toEqual([
      false,
      true,
      false,
    ]);
    expect(open(O_RDWR, CAP_DAC_OVERRIDE)).toBe(true);
    const inNs = w.task({ uid: 1000, caps: cap(CAP_DAC_OVERRIDE), userNs: 7 });
    expect(w.vfs.open(inNs, '/tmp/f', O_RDONLY, 0)).toEqual({ ok: false, errno: 'EACCES' });
  });

  it('gives new files owner, group, umask and the directory its setgid rules', () => {
    const w = world();
    const root = w.task();
    w.vfs.mkdir(root, '/tmp/d', 0o777);
    w.vfs.chown(root, '/tmp/d', 0, 77);
    w.vfs.chmod(root, '/tmp/d', 0o2777);
    const user = w.task({ uid: 1000, gid: 1000 }, { umask: 0o027 });
    must(w.vfs.open(user, '/tmp/d/f', O_WRONLY | O_CREAT, 0o2777));
    expect(w.vfs.mkdir(user, '/tmp/d/sub', 0o7777)).toBe(0);
    expect(must(w.vfs.stat(root, '/tmp/d/f'))).toMatchObject({ mode: 0o100750, uid: 1000, gid: 77 });
    expect(must(w.vfs.stat(root, '/tmp/d/sub'))).toMatchObject({ mode: 0o043750, gid: 77 });
  });
});

describe('immutable and append-only', () => {
  it('refuse changes, and need CAP_LINUX_IMMUTABLE to be set', () => {
    const w = world('ext4');
    const root = w.task();
    const f = file(w, '/tmp/f', 0o666, 1000);
    expect(w.vfs.setImmutable(w.task({ uid: 1000 }), f, true)).toBe('EPERM');
    const able = w.task({ uid: 1000, caps: cap(CAP_LINUX_IMMUTABLE) });
    expect(w.vfs.setImmutable(able, f, true)).toBe(0);
    expect(w.vfs.open(root, '/tmp/f', O_WRONLY, 0)).toEqual({ ok: false, errno: 'EPERM' });
    expect(w.vfs.chmod(root, '/tmp/f', 0o600)).toBe('EPERM');
    expect(w.vfs.unlink(root, '/tmp/f')).toBe('EPERM');
    expect(w.vfs.link(root, '/tmp/f', '/tmp/g')).toBe('EPERM');
    expect(w.vfs.rename(root, '/tmp/f', '/tmp/g')).toBe('EPERM');
    expect(w.vfs.setxattr(root, '/tmp/f', 'user.a', utf8('x'), 0)).toBe('EPERM');
    expect(w.vfs.write(root, f, utf8('x'))).toEqual({ ok: false, errno: 'EPERM' });
    expect(w.vfs.setImmutable(root, f, false)).toBe(0);
    expect(w.vfs.setAppendOnly(root, f, true)).toBe(0);
    expect(w.vfs.open(root, '/tmp/f', O_WRONLY, 0)).toEqual({ ok: false, errno: 'EPERM' });
    expect(w.vfs.open(root, '/tmp/f', O_WRONLY | O_APPEND | O_TRUNC, 0)).toEqual({
      ok: false,
      errno: 'EPERM',
    });
    must(w.vfs.open(root, '/tmp/f', O_WRONLY | O_APPEND, 0));
    expect(w.vfs.truncate(root, '/tmp/f', 0)).toBe('EPERM');
  });
});

describe('the change cookie', () => {
  const version = (w: World): number => inode(w, '/tmp/f').iVersion;

  it.each(['ext4', 'tmpfs'] as const)(
    'moves with content and metadata on %s, not with names and reads',
    (type) => {
      const w = world(type);
      const root = w.task();
      const f = file(w, '/tmp/f', 0o644);
      const moves = (run: () => void): boolean => {
        const before = version(w);
        run();
        return version(w) !== before;
      };
      expect(moves(() => w.vfs.write(root, f, utf8('x')))).toBe(true);
      expect(moves(() => w.vfs.write(root, f, utf8('')))).toBe(false);
      expect(moves(() => w.vfs.put(root, must(w.vfs.open(root, '/tmp/f', O_WRONLY, 0))))).toBe(false);
      expect(moves(() => w.vfs.pread(root, f, 5, 0))).toBe(false);
      expect(moves(() => w.vfs.chmod(root, '/tmp/f', 0o600))).toBe(true);
      expect(moves(() => w.vfs.setxattr(root, '/tmp/f', 'user.a', utf8('v'), 0))).toBe(true);
      expect(moves(() => w.vfs.setxattr(root, '/tmp/f', 'user.a', utf8('v'), 0))).toBe(type === 'tmpfs');
      expect(moves(() => w.vfs.removexattr(root, '/tmp/f', 'user.a'))).toBe(true);
      expect(moves(() => w.vfs.truncate(root, '/tmp/f', 3))).toBe(true);
      expect(moves(() => w.vfs.truncate(root, '/tmp/f', 3))).toBe(false);
      expect(moves(() => w.vfs.utimes(root, '/tmp/f', null))).toBe(true);
      expect(moves(() => w.vfs.link(root, '/tmp/f', '/tmp/g'))).toBe(false);
      expect(moves(() => w.vfs.rename(root, '/tmp/g', '/tmp/h'))).toBe(false);
      expect(moves(() => w.vfs.unlink(root, '/tmp/h'))).toBe(false);
      expect(moves(() => w.vfs.setGeneration(root, f, 5))).toBe(type === 'ext4');
    },
  );

  it.each(['ramfs', 'vfat'] as const)('does not count on %s', (type) => {
    const w = world(type);
    expect(w.vfs.superblock(w.vfs.inodeOf(w.root).sb).iVersion).toBe(false);
    const f = file(w, '/tmp/f', 0o644);
    const before = version(w);
    w.vfs.write(w.task(), f, utf8('x'));
    expect(version(w)).toBe(before);
  });
});

describe('xattrs', () => {
  it.each(['ext4', 'tmpfs'] as const)('have name spaces with rules of their own on %s', (type) => {
    const w = world(type);
    const root = w.task();
    file(w, '/tmp/f', 0o600, 1000);
    w.vfs.symlink(root, 'f', '/tmp/s');
    const owner = w.task({ uid: 1000 });
    const other = w.task({ uid: 1001 });
    const set = (task = owner, name = 'user.a', value = utf8('v'), flags = 0): unknown =>
      w.vfs.setxattr(task, '/tmp/f', name, value, flags);
    expect(set()).toBe(0);
    expect(set(other)).toBe('EACCES');
    expect(set(owner, 'user.a', utf8('v'), XATTR_CREATE)).toBe('EEXIST');
    expect(set(owner, 'user.b', utf8('v'), XATTR_REPLACE)).toBe('ENODATA');
    expect(set(owner, 'user.b', utf8('v'), 8)).toBe('EINVAL');
    expect(set(owner, 'trusted.a')).toBe('EPERM');
    expect(set(root, 'trusted.a')).toBe(0);
    expect(set(owner, 'security.ima')).toBe('EPERM');
    expect(set(w.task({ uid: 1001, caps: cap(CAP_SYS_ADMIN) }), 'security.ima')).toBe(0);
    expect(set(root, 'security.')).toBe('EINVAL');
    expect(set(root, 'odd.name')).toBe('EOPNOTSUPP');
    expect(set(root, '')).toBe('ERANGE');
    expect(set(root, `user.${'n'.repeat(251)}`)).toBe('ERANGE');
    expect(set(root, 'user.big', new Uint8Array(65537))).toBe('E2BIG');
    expect(set(root, 'security.capability', utf8('nonsense'))).toBe('EINVAL');
    expect(set(owner, 'security.capability', CAP_VALUE)).toBe('EPERM');
    expect(set(w.task({ uid: 1001, caps: cap(CAP_SETFCAP) }), 'security.capability', CAP_VALUE)).toBe(0);
    expect(w.vfs.getxattr(owner, '/tmp/f', 'trusted.a')).toEqual({ ok: false, errno: 'ENODATA' });
    expect(must(w.vfs.listxattr(owner, '/tmp/f'))).not.toContain('trusted.a');
    expect(must(w.vfs.listxattr(root, '/tmp/f'))).toContain('trusted.a');
    expect(w.vfs.removexattr(owner, '/tmp/f', 'user.none')).toBe('ENODATA');
  });

  it('call the hooks around the store, also where nothing is stored', () => {
    const w = world();
    const root = w.task();
    file(w, '/tmp/f', 0o600);
    w.vfs.setxattr(root, '/tmp/f', 'user.a', utf8('v'), 0);
    expect(w.calls.map((c) => c.hook)).toEqual(['inodeSetxattr', 'inodePostSetxattr']);
    w.calls.length = 0;
    expect(w.vfs.removexattr(root, '/tmp/f', 'security.none')).toBe('ENODATA');
    expect(w.calls.map((c) => c.hook)).toEqual(['inodeRemovexattr']);
    w.calls.length = 0;
    const v = world('vfat');
    file(v, '/tmp/f', 0o600);
    expect(v.vfs.setxattr(v.task(), '/tmp/f', 'security.ima', utf8('v'), 0)).toBe('EOPNOTSUPP');
    expect(v.calls.map((c) => c.hook)).toEqual(['inodeSetxattr']);
    expect(must(v.vfs.listxattr(v.task(), '/tmp/f'))).toEqual([]);
  });

  it('are listed by ext4 as they lie in body and block, by tmpfs from the last name to the first', () => {
    const order = (type: FsType): readonly string[] => {
      const w = world(type);
      const root = w.task();
      file(w, '/tmp/f', 0o600);
      for (const [name, size] of [
        ['security.ima', 34],
        ['user.z', 40],
        ['security.evm', 4],
        ['user.aa', 3],
        ['user.b', 3],
      ] as const)
        expect(w.vfs.setxattr(root, '/tmp/f', name, new Uint8Array(size), 0)).toBe(0);
      return must(w.vfs.listxattr(root, '/tmp/f'));
    };
    expect(order('ext4')).toEqual(['security.ima', 'security.evm', 'user.b', 'user.z', 'user.aa']);
    expect(order('tmpfs')).toEqual(['user.z', 'user.b', 'user.aa', 'security.ima', 'security.evm']);
  });

  it('fill a block on ext4', () => {
    const w = world('ext4');
    const root = w.task();
    file(w, '/tmp/f', 0o600);
    expect(w.vfs.setxattr(root, '/tmp/f', 'user.a', new Uint8Array(4000), 0)).toBe(0);
    expect(w.vfs.setxattr(root, '/tmp/f', 'user.b', new Uint8Array(100), 0)).toBe('ENOSPC');
    expect(w.vfs.setxattr(root, '/tmp/f', 'user.b', new Uint8Array(10), 0)).toBe(0);
    expect(w.vfs.setxattr(root, '/tmp/f', 'user.c', new Uint8Array(5000), 0)).toBe('ENOSPC');
  });
});

describe('vfat', () => {
  it('has one owner and one mode for all, ignores modes and refuses owners', () => {
    const w = world();
    const root = w.task();
    const data = 'uid=5,gid=6,fmask=0113,dmask=0022';
    expect(w.vfs.mount(root, { source: '/dev/vdd', target: '/mnt', type: 'vfat', flags: [], data })).toBe(0);
    file(w, '/mnt/Name.txt', 0o600);
    expect(must(w.vfs.stat(root, '/mnt/NAME.TXT'))).toMatchObject({
      mode: 0o100664,
      uid: 5,
      gid: 6,
      nlink: 1,
    });
    expect(w.vfs.chmod(root, '/mnt/name.txt', 0o640)).toBe(0);
    expect(mode(w, '/mnt/name.txt')).toBe(0o664);
    expect(w.vfs.chmod(root, '/mnt/name.txt', 0o444)).toBe(0);
    expect(mode(w, '/mnt/name.txt')).toBe(0o444);
    expect(w.vfs.chown(root, '/mnt/name.txt', 1, 1)).toBe('EPERM');
    expect(w.vfs.symlink(root, 'x', '/mnt/s')).toBe('EPERM');
    expect(w.vfs.link(root, '/mnt/name.txt', '/mnt/l')).toBe('EPERM');
    expect(w.vfs.mkdir(root, '/mnt/a:b', 0o755)).toBe('EINVAL');
  });
});
