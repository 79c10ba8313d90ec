import { describe, expect, it } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import { CAP_FULL_SET, O_CREAT, O_RDONLY, O_RDWR, O_WRONLY } from '../../../src/vfs/constants.ts';
import type { VfsTask } from '../../../src/vfs/types.ts';
import { must, type World, world } from './support.ts';

const mount = (w: World, source: string, target: string, type: string, ...flags: string[]): unknown =>
  w.vfs.mount(w.task(), { source, target, type, flags, data: '' });

function touch(w: World, path: string, task: VfsTask = w.task()): void {
  w.vfs.put(task, must(w.vfs.open(task, path, O_WRONLY | O_CREAT, 0o644)));
}

const path = (w: World, name: string, task: VfsTask = w.task()): string =>
  w.vfs.dPath(must(w.vfs.lookup(task, name)));

describe('mount', () => {
  it('refuses what it cannot do', () => {
    const w = world();
    const root = w.task();
    touch(w, '/tmp/file');
    w.vfs.mkdir(root, '/tmp/d', 0o755);
    expect(mount(w, '/dev/vdc', '/none', 'ext4')).toBe('ENOENT');
    expect(mount(w, '/dev/none', '/mnt', 'ext4')).toBe('ENOENT');
    expect(mount(w, '/tmp/file', '/mnt', 'ext4')).toBe('ENOTBLK');
    expect(mount(w, '/dev/vdc', '/mnt', 'vfat')).toBe('EINVAL');
    expect(mount(w, '/dev/vdc', '/mnt', 'ext5')).toBe('ENODEV');
    expect(mount(w, '/dev/vdc', '/mnt', '')).toBe('EINVAL');
    expect(mount(w, '/dev/vdc', '/tmp/file', 'ext4')).toBe('ENOTDIR');
    expect(mount(w, '/tmp/d', '/tmp/file', '', 'bind')).toBe('ENOTDIR');
    const bad = { source: 't', target: '/mnt', type: 'tmpfs', flags: [], data: 'nonsense=1' };
    expect(w.vfs.mount(root, bad)).toBe('EINVAL');
    const user = w.task({ uid: 1000 });
    expect(w.vfs.mount(user, { ...bad, data: '' })).toBe('EPERM');
    expect(w.vfs.umount(user, '/mnt')).toBe('EPERM');
    expect(w.vfs.umount(root, '/tmp/d')).toBe('EINVAL');
  });

  it('covers what was there, and mounts on mounts', () => {
    const w = world();
    touch(w, '/mnt/below');
    expect(mount(w, 'a', '/mnt', 'tmpfs')).toBe(0);
    touch(w, '/mnt/first');
    expect(mount(w, 'b', '/mnt', 'tmpfs')).toBe(0);
    touch(w, '/mnt/second');
    const names = (): string[] => must(w.vfs.readdir(w.task(), '/mnt')).map((e) => e.name);
    expect(names()).toEqual(['second']);
    expect(path(w, '/mnt/../mnt/./second')).toBe('/mnt/second');
    expect(w.vfs.rmdir(w.task(), '/mnt')).toBe('EBUSY');
    expect(w.vfs.rename(w.task(), '/mnt/second', '/tmp/x')).toBe('EXDEV');
    expect(w.vfs.link(w.task(), '/mnt/second', '/tmp/x')).toBe('EXDEV');
    expect(w.vfs.umount(w.task(), '/mnt')).toBe(0);
    expect(names()).toEqual(['first']);
    expect(w.vfs.umount(w.task(), '/mnt')).toBe(0);
    expect(names()).toEqual(['below']);
  });

  it('is read-only by mount or by file system', () => {
    const w = world();
    const root = w.task();
    expect(mount(w, '/dev/vdc', '/mnt', 'ext4')).toBe(0);
    touch(w, '/mnt/f');
    w.vfs.mkdir(root, '/tmp/ro', 0o755);
    expect(mount(w, '/mnt', '/tmp/ro', '', 'bind')).toBe(0);
    expect(mount(w, '', '/tmp/ro', '', 'bind', 'remount', 'ro')).toBe(0);
    expect(w.vfs.open(root, '/tmp/ro/f', O_WRONLY, 0)).toEqual({ ok: false, errno: 'EROFS' });
    expect(w.vfs.mkdir(root, '/tmp/ro/d', 0o755)).toBe('EROFS');
    expect(w.vfs.chmod(root, '/tmp/ro/f', 0o600)).toBe('EROFS');
    expect(w.vfs.setxattr(root, '/tmp/ro/f', 'user.a', utf8('x'), 0)).toBe('EROFS');
    expect(w.vfs.unlink(root, '/tmp/ro/f')).toBe('EROFS');
    expect(w.vfs.open(root, '/tmp/ro/new', O_WRONLY | O_CREAT, 0o644)).toEqual({ ok: false, errno: 'EROFS' });
    const f = must(w.vfs.open(root, '/mnt/f', O_RDWR, 0));
    expect(mount(w, '', '/mnt', '', 'remount', 'ro')).toBe('EBUSY');
    w.vfs.put(root, f);
    expect(mount(w, '', '/mnt', '', 'remount', 'ro')).toBe(0);
    expect(w.vfs.open(root, '/mnt/f', O_RDWR, 0)).toEqual({ ok: false, errno: 'EROFS' });
    expect(mount(w, '/dev/vdc', '/tmp/d', 'ext4')).toBe('ENOENT');
    w.vfs.mkdir(root, '/tmp/d', 0o755);
    expect(mount(w, '/dev/vdc', '/tmp/d', 'ext4')).toBe('EBUSY');
    expect(mount(w, '/dev/vdc', '/tmp/d', 'ext4', 'ro')).toBe(0);
    expect(w.vfs.inodeOf(must(w.vfs.lookup(root, '/tmp/d/f'))).key).toBe(
      w.vfs.inodeOf(must(w.vfs.lookup(root, '/mnt/f'))).key,
    );
  });

  it('ends with the last mount: busy while in use, inodes leave the cache, the disk stays', () => {
    const w = world();
    const root = w.task();
    expect(mount(w, '/dev/vdc', '/mnt', 'ext4')).toBe(0);
    touch(w, '/mnt/f');
    const key = w.vfs.inodeOf(must(w.vfs.lookup(root, '/mnt/f'))).key;
    const f = must(w.vfs.open(root, '/mnt/f', O_RDONLY, 0));
    expect(w.vfs.umount(root, '/mnt')).toBe('EBUSY');
    w.vfs.put(root, f);
    expect(w.vfs.umount({ ...root, cwd: must(w.vfs.lookup(root, '/mnt')) }, '/mnt')).toBe('EBUSY');
    w.calls.length = 0;
    expect(w.vfs.umount(root, '/mnt')).toBe(0);
    expect(w.calls.filter((c) => c.hook === 'inodeFree').map((c) => c.args[0])).toContain(key);
    expect(w.vfs.stat(root, '/mnt/f')).toEqual({ ok: false, errno: 'ENOENT' });
    expect(mount(w, '/dev/vdc', '/mnt', 'ext4')).toBe(0);
    expect(w.vfs.inodeOf(must(w.vfs.lookup(root, '/mnt/f'))).key).toBe(key);
    expect(mount(w, 't', '/tmp', 'tmpfs')).toBe(0);
    touch(w, '/tmp/gone');
    const before = w.vfs.state.inodes.size;
    expect(w.vfs.umount(root, '/tmp')).toBe(0);
    expect(w.vfs.state.inodes.size).toBe(before - 2);
  });

  it('goes lazily with MNT_DETACH', () => {
    const w = world();
    const root = w.task();
    expect(mount(w, 't', '/mnt', 'tmpfs')).toBe(0);
    const f = must(w.vfs.open(root, '/mnt/f', O_RDWR | O_CREAT, 0o644));
    expect(w.vfs.umount(root, '/mnt', true)).toBe(0);
    expect(w.vfs.stat(root, '/mnt/f')).toEqual({ ok: false, errno: 'ENOENT' });
    expect(must(w.vfs.write(root, f, utf8('still')))).toBe(5);
    const superblocks = w.vfs.state.superblocks.size;
    w.vfs.put(root, f);
    expect(w.vfs.state.superblocks.size).toBe(superblocks - 1);
  });

  it('refuses device files on nodev mounts', () => {
    const w = world();
    const root = w.task();
    expect(mount(w, 't', '/mnt', 'tmpfs', 'nodev')).toBe(0);
    expect(w.vfs.mknod(root, '/mnt/null', 0o020666, 0x103)).toBe(0);
    expect(w.vfs.open(root, '/mnt/null', O_RDONLY, 0)).toEqual({ ok: false, errno: 'EACCES' });
  });
});

describe('d_path', () => {
  it('goes through mounts and binds to the root of the namespace, chroot or not', () => {
    const w = world();
    const root = w.task();
    expect(mount(w, '/dev/vdc', '/mnt', 'ext4')).toBe(0);
    w.vfs.mkdir(root, '/mnt/a', 0o755);
    w.vfs.mkdir(root, '/tmp/b', 0o755);
    touch(w, '/mnt/a/f');
    expect(mount(w, '/mnt/a', '/tmp/b', '', 'bind')).toBe(0);
    expect(path(w, '/mnt/a/f')).toBe('/mnt/a/f');
    expect(path(w, '/tmp/b/f')).toBe('/tmp/b/f');
    const jail = w.task(
      {},
      { root: must(w.vfs.lookup(root, '/mnt')), cwd: must(w.vfs.lookup(root, '/mnt')) },
    );
    expect(path(w, '/a/f', jail)).toBe('/mnt/a/f');
    expect(path(w, '../../a/f', jail)).toBe('/mnt/a/f');
    expect(w.vfs.dPath(must(w.vfs.lookup(jail, '/a/f')), { root: jail.root })).toBe('/a/f');
    expect(path(w, '/')).toBe('/');
  });

  it('keeps the old name of what is gone', () => {
    const w = world();
    const root = w.task();
    const f = must(w.vfs.open(root, '/tmp/f', O_RDWR | O_CREAT, 0o644));
    const { path: at } = w.vfs.file(f);
    expect(w.vfs.rename(root, '/tmp/f', '/tmp/g')).toBe(0);
    expect(w.vfs.dPath(at)).toBe('/tmp/g');
    expect(w.vfs.unlink(root, '/tmp/g')).toBe(0);
    expect(w.vfs.dPath(at)).toBe('/tmp/g');
    expect(w.vfs.dPath(at, { deleted: true })).toBe('/tmp/g (deleted)');
  });

  it('has a namespace of its own after CLONE_NEWNS', () => {
    const w = world();
    const root = w.task();
    expect(mount(w, '/dev/vdc', '/mnt', 'ext4')).toBe(0);
    touch(w, '/mnt/f');
    const clone = w.vfs.cloneNs(root);
    const other = w.task({}, clone);
    expect(w.vfs.umount(other, '/mnt')).toBe(0);
    w.vfs.mkdir(other, '/tmp/priv', 0o755);
    expect(
      w.vfs.mount(other, { source: '/dev/vdc', target: '/tmp/priv', type: 'ext4', flags: [], data: '' }),
    ).toBe(0);
    expect(path(w, '/tmp/priv/f', other)).toBe('/tmp/priv/f');
    expect(path(w, '/mnt/f')).toBe('/mnt/f');
    expect(w.vfs.stat(other, '/mnt/f')).toEqual({ ok: false, errno: 'ENOENT' });
    expect(w.vfs.rmdir(root, '/tmp/priv')).toBe(0);
    expect(w.vfs.stat(other, '/tmp/priv/f')).toEqual({ ok: false, errno: 'ENOENT' });
  });

  it('lets the root of a user namespace mount there, and marks what it mounts', () => {
    const w = world();
    const inNs = w.task({ uid: 1000, caps: CAP_FULL_SET, userNs: 9 });
    const request = { source: 't', target: '/mnt', type: 'tmpfs', flags: [], data: '' };
    expect(w.vfs.mount(inNs, request)).toBe('EPERM');
    const own = { ...inNs, ...w.vfs.cloneNs(inNs) };
    expect(w.vfs.mount(own, request)).toBe(0);
    expect(w.vfs.mount(own, { ...request, source: '/dev/vdc', type: 'ext4' })).toBe('EPERM');
    const sb = w.vfs.superblock(w.vfs.inodeOf(must(w.vfs.lookup(own, '/mnt'))).sb);
    expect(sb.userNs).toBe(9);
  });
});
