import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../../src/base/bytes.ts';
import { O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from '../../../src/vfs/constants.ts';
import { must, type World, world } from './support.ts';

function mounted(): World {
  const w = world();
  const root = w.task();
  expect(w.vfs.mount(root, { source: '/dev/vdc', target: '/mnt', type: 'ext4', flags: [], data: '' })).toBe(
    0,
  );
  for (const d of ['/t', '/ov']) expect(w.vfs.mkdir(root, d, 0o755)).toBe(0);
  expect(w.vfs.mount(root, { source: 't', target: '/t', type: 'tmpfs', flags: [], data: '' })).toBe(0);
  for (const d of ['/t/u', '/t/w', '/mnt/low', '/mnt/low/dir']) expect(w.vfs.mkdir(root, d, 0o755)).toBe(0);
  write(w, '/mnt/low/f', 'lower');
  write(w, '/mnt/low/dir/g', 'deep');
  const data = 'lowerdir=/mnt/low,upperdir=/t/u,workdir=/t/w';
  expect(w.vfs.mount(root, { source: 'ov', target: '/ov', type: 'overlay', flags: [], data })).toBe(0);
  return w;
}

function write(w: World, path: string, text: string): void {
  const root = w.task();
  const f = must(w.vfs.open(root, path, O_WRONLY | O_CREAT | O_TRUNC, 0o644));
  must(w.vfs.write(root, f, utf8(text)));
  w.vfs.put(root, f);
}

function text(w: World, path: string): string {
  const root = w.task();
  const f = must(w.vfs.open(root, path, O_RDONLY, 0));
  const out = fromUtf8(must(w.vfs.read(root, f, 100)));
  w.vfs.put(root, f);
  return out;
}

const names = (w: World, path: string): string[] => must(w.vfs.readdir(w.task(), path)).map((e) => e.name);

describe('overlay', () => {
  it('shows the layers merged, with its own inodes', () => {
    const w = mounted();
    expect(names(w, '/ov')).toEqual(['dir', 'f']);
    expect(text(w, '/ov/f')).toBe('lower');
    expect(text(w, '/ov/dir/g')).toBe('deep');
    const over = w.vfs.inodeOf(must(w.vfs.lookup(w.task(), '/ov/f')));
    const low = w.vfs.inodeOf(must(w.vfs.lookup(w.task(), '/mnt/low/f')));
    expect(over.key).not.toBe(low.key);
    expect([over.realMeta, over.realData, over.ino]).toEqual([low.key, low.key, low.ino]);
    expect(w.vfs.superblock(over.sb).magic).toBe(0x794c7630);
  });

  it('copies up for a write, with the directories above, and leaves the lower file alone', () => {
    const w = mounted();
    write(w, '/ov/dir/g', 'changed');
    expect(text(w, '/ov/dir/g')).toBe('changed');
    expect(text(w, '/t/u/dir/g')).toBe('changed');
    expect(text(w, '/mnt/low/dir/g')).toBe('deep');
    expect(must(w.vfs.listxattr(w.task(), '/t/u/dir/g'))).toContain('trusted.overlay.origin');
    expect(must(w.vfs.listxattr(w.task(), '/ov/dir/g'))).toEqual([]);
  });

  it('keeps data that a write does not truncate, and xattrs', () => {
    const w = mounted();
    const root = w.task();
    expect(w.vfs.setxattr(root, '/mnt/low/f', 'security.ima', utf8('label'), 0)).toBe(0);
    const f = must(w.vfs.open(root, '/ov/f', O_RDWR, 0));
    must(w.vfs.pwrite(root, f, utf8('LO'), 0));
    w.vfs.put(root, f);
    expect(text(w, '/ov/f')).toBe('LOwer');
    expect(fromUtf8(must(w.vfs.getxattr(root, '/t/u/f', 'security.ima')))).toBe('label');
  });

  it('hides a removed lower file with a whiteout and creates over it', () => {
    const w = mounted();
    expect(w.vfs.unlink(w.task(), '/ov/f')).toBe(0);
    expect(names(w, '/ov')).toEqual(['dir']);
    expect(must(w.vfs.stat(w.task(), '/t/u/f', false)).mode & 0o170000).toBe(0o020000);
    expect(w.vfs.stat(w.task(), '/ov/f')).toEqual({ ok: false, errno: 'ENOENT' });
    write(w, '/ov/f', 'again');
    expect(text(w, '/t/u/f')).toBe('again');
    expect(text(w, '/mnt/low/f')).toBe('lower');
  });

  it('removes merged directories, renames files, refuses to rename a lower directory', () => {
    const w = mounted();
    const root = w.task();
    expect(w.vfs.rename(root, '/ov/dir', '/ov/d2')).toBe('EXDEV');
    expect(w.vfs.rmdir(root, '/ov/dir')).toBe('ENOTEMPTY');
    expect(w.vfs.unlink(root, '/ov/dir/g')).toBe(0);
    expect(w.vfs.rmdir(root, '/ov/dir')).toBe(0);
    expect(w.vfs.mkdir(root, '/ov/dir', 0o755)).toBe(0);
    expect(names(w, '/ov/dir')).toEqual([]);
    expect(w.vfs.rename(root, '/ov/f', '/ov/dir/moved')).toBe(0);
    expect(text(w, '/ov/dir/moved')).toBe('lower');
    expect(names(w, '/ov')).toEqual(['dir']);
    expect(w.vfs.umount(root, '/ov')).toBe(0);
    expect(names(w, '/t/u')).toEqual(['dir', 'f']);
  });

  it('goes on with an upper file that somebody removed behind its back', () => {
    const w = mounted();
    const root = w.task();
    expect(w.vfs.chmod(root, '/ov/f', 0o600)).toBe(0);
    expect(w.vfs.unlink(root, '/t/u/f')).toBe(0);
    expect(must(w.vfs.stat(root, '/ov/f'))).toMatchObject({ mode: 0o100600, nlink: 0 });
    expect(w.vfs.chmod(root, '/ov/f', 0o640)).toBe(0);
    expect(w.vfs.setxattr(root, '/ov/f', 'security.foo', utf8('v'), 0)).toBe(0);
    expect(must(w.vfs.stat(root, '/ov/f')).mode).toBe(0o100640);
  });

  it('changes metadata by copy-up, and with metacopy without the data', () => {
    const w = mounted();
    const root = w.task();
    expect(w.vfs.chmod(root, '/ov/f', 0o600)).toBe(0);
    expect(must(w.vfs.stat(root, '/mnt/low/f')).mode & 0o777).toBe(0o644);
    expect(must(w.vfs.stat(root, '/ov/f')).mode & 0o777).toBe(0o600);
    expect(w.vfs.umount(root, '/ov')).toBe(0);
    for (const d of ['/t/u2', '/t/w2']) expect(w.vfs.mkdir(root, d, 0o755)).toBe(0);
    const data = 'lowerdir=/mnt/low,upperdir=/t/u2,workdir=/t/w2,metacopy=on';
    expect(w.vfs.mount(root, { source: 'ov', target: '/ov', type: 'overlay', flags: [], data })).toBe(0);
    expect(w.vfs.chmod(root, '/ov/f', 0o640)).toBe(0);
    const inode = w.vfs.inodeOf(must(w.vfs.lookup(root, '/ov/f')));
    expect(inode.realData).not.toBe(inode.realMeta);
    expect(text(w, '/ov/f')).toBe('lower');
    write(w, '/ov/f', 'now whole');
    expect(text(w, '/t/u2/f')).toBe('now whole');
    expect(must(w.vfs.stat(root, '/t/u2/f')).mode & 0o777).toBe(0o640);
  });
});
