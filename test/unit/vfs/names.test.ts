import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../../src/base/bytes.ts';
import { fail, ok } from '../../../src/base/errno.ts';
import {
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  S_IFDIR,
  S_IFIFO,
  S_IFREG,
} from '../../../src/vfs/constants.ts';
import { must, type World, world } from './support.ts';

function touch(w: World, path: string): number {
  const root = w.task();
  const f = must(w.vfs.open(root, path, O_WRONLY | O_CREAT, 0o644));
  const { ino } = w.vfs.inode(w.vfs.file(f).inode);
  w.vfs.put(root, f);
  return ino;
}

const ino = (w: World, path: string): number => must(w.vfs.stat(w.task(), path, false)).ino;

describe('inode numbers of ext4', () => {
  it('start at 12, are taken lowest first, and a freed one waits a minute once its second is over', () => {
    const w = world('ext4');
    const root = w.task();
    expect(ino(w, '/')).toBe(2);
    expect(ino(w, '/lost+found')).toBe(11);
    const first = ino(w, '/dev/vdd');
    const [a, b, c] = [touch(w, '/tmp/a'), touch(w, '/tmp/b'), touch(w, '/tmp/c')];
    expect([a, b, c]).toEqual([first + 1, first + 2, first + 3]);
    w.vfs.unlink(root, '/tmp/b');
    w.vfs.unlink(root, '/tmp/a');
    expect([touch(w, '/tmp/d'), touch(w, '/tmp/e')]).toEqual([a, b]);
    w.vfs.unlink(root, '/tmp/d');
    w.env.clock.advance(5_000_000);
    expect(touch(w, '/tmp/f')).toBe(c + 1);
    w.env.clock.advance(60_000_000);
    expect(touch(w, '/tmp/g')).toBe(a);
  });

  it('come back only when nobody holds the inode, with a new generation', () => {
    const w = world('ext4');
    const root = w.task();
    const a = touch(w, '/tmp/a');
    const f = must(w.vfs.open(root, '/tmp/a', O_RDONLY, 0));
    const { inode: key } = w.vfs.file(f);
    const { generation } = w.vfs.inode(key);
    w.vfs.unlink(root, '/tmp/a');
    expect(touch(w, '/tmp/b')).not.toBe(a);
    w.calls.length = 0;
    w.vfs.put(root, f);
    expect(w.calls.map((c) => c.hook)).toEqual(['fileRelease', 'inodeFree']);
    expect(touch(w, '/tmp/c')).toBe(a);
    expect(w.vfs.inodeOf(must(w.vfs.lookup(root, '/tmp/c'))).generation).not.toBe(generation);
  });
});

describe('directories', () => {
  it('count their sub-directories and refuse wrong removals', () => {
    const w = world();
    const root = w.task();
    const links = (path: string): number => must(w.vfs.stat(root, path)).nlink;
    const before = links('/tmp');
    expect(w.vfs.mkdir(root, '/tmp/d', 0o755)).toBe(0);
    expect(w.vfs.mkdir(root, '/tmp/d/e', 0o755)).toBe(0);
    touch(w, '/tmp/f');
    expect([links('/tmp'), links('/tmp/d'), links('/tmp/d/e')]).toEqual([before + 1, 3, 2]);
    expect(w.vfs.rmdir(root, '/tmp/d')).toBe('ENOTEMPTY');
    expect(w.vfs.rmdir(root, '/tmp/f')).toBe('ENOTDIR');
    expect(w.vfs.unlink(root, '/tmp/d')).toBe('EISDIR');
    expect(w.vfs.unlink(root, '/tmp/f/')).toBe('ENOTDIR');
    expect(w.vfs.rmdir(root, '/tmp/d/.')).toBe('EINVAL');
    expect(w.vfs.rmdir(root, '/tmp/d/..')).toBe('ENOTEMPTY');
    expect(w.vfs.rmdir(root, '/')).toBe('EBUSY');
    expect(w.vfs.mkdir(root, '/tmp/d/', 0o755)).toBe('EEXIST');
    expect(w.vfs.mknod(root, '/tmp/dir', S_IFDIR | 0o755, 0)).toBe('EPERM');
  });

  it('that are gone let nothing be made in them', () => {
    const w = world();
    const root = w.task();
    w.vfs.mkdir(root, '/tmp/d', 0o755);
    const inside = { ...root, cwd: must(w.vfs.lookup(root, '/tmp/d')) };
    expect(w.vfs.rmdir(root, '/tmp/d')).toBe(0);
    expect(w.vfs.mkdir(inside, 'x', 0o755)).toBe('ENOENT');
    expect(w.vfs.open(inside, 'x', O_WRONLY | O_CREAT, 0o644)).toEqual({ ok: false, errno: 'ENOENT' });
    expect(must(w.vfs.stat(inside, '.')).nlink).toBe(0);
  });

  it('with the sticky bit protect the entries of others', () => {
    const w = world();
    touch(w, '/tmp/root');
    const user = w.task({ uid: 1000 });
    expect(w.vfs.unlink(user, '/tmp/root')).toBe('EPERM');
    expect(w.vfs.rename(user, '/tmp/root', '/tmp/x')).toBe('EPERM');
    w.vfs.put(user, must(w.vfs.open(user, '/tmp/mine', O_WRONLY | O_CREAT, 0o644)));
    expect(w.vfs.rename(user, '/tmp/mine', '/tmp/root')).toBe('EPERM');
    expect(w.vfs.unlink(w.task({ uid: 1001 }), '/tmp/mine')).toBe('EPERM');
    expect(w.vfs.unlink(user, '/tmp/mine')).toBe(0);
  });
});

describe('rename', () => {
  function tree(): World {
    const w = world();
    const root = w.task();
    for (const d of ['/tmp/a', '/tmp/a/b', '/tmp/full', '/tmp/full/x']) w.vfs.mkdir(root, d, 0o755);
    for (const f of ['/tmp/f', '/tmp/g']) touch(w, f);
    w.vfs.link(root, '/tmp/f', '/tmp/same');
    return w;
  }
  const table: readonly (readonly [from: string, to: string, flags: number, err: unknown])[] = [
    ['/tmp/a', '/tmp/a/b/c', 0, 'EINVAL'],
    ['/tmp/a/b', '/tmp/a', 0, 'ENOTEMPTY'],
    ['/tmp/a', '/tmp/full', 0, 'ENOTEMPTY'],
    ['/tmp/f', '/tmp/a', 0, 'EISDIR'],
    ['/tmp/a', '/tmp/f', 0, 'ENOTDIR'],
    ['/tmp/f', '/tmp/new/', 0, 'ENOTDIR'],
    ['/tmp/none', '/tmp/f', 0, 'ENOENT'],
    ['/tmp/f', '/tmp/a/..', 0, 'EBUSY'],
    ['/tmp/.', '/tmp/x', 0, 'EBUSY'],
    ['/tmp/f', '/tmp/g', RENAME_NOREPLACE, 'EEXIST'],
    ['/tmp/f', '/tmp/none', RENAME_EXCHANGE, 'ENOENT'],
    ['/tmp/f', '/tmp/g', RENAME_EXCHANGE | RENAME_NOREPLACE, 'EINVAL'],
    ['/tmp/f', '/tmp/same', 0, 0],
    ['/tmp/a', '/tmp/new/', 0, 0],
    ['/tmp/f', '/tmp/a', RENAME_EXCHANGE, 0],
  ];
  it.each(table)('%s to %s with flags %i', (from, to, flags, err) => {
    const w = tree();
    expect(w.vfs.rename(w.task(), from, to, flags)).toBe(err);
  });

  it('leaves two links to one inode alone, swaps, and leaves whiteouts', () => {
    const w = tree();
    const root = w.task();
    w.vfs.rename(root, '/tmp/f', '/tmp/same');
    expect(must(w.vfs.stat(root, '/tmp/f')).nlink).toBe(2);
    const [f, a] = [ino(w, '/tmp/f'), ino(w, '/tmp/a')];
    w.vfs.rename(root, '/tmp/f', '/tmp/a', RENAME_EXCHANGE);
    expect([ino(w, '/tmp/f'), ino(w, '/tmp/a')]).toEqual([a, f]);
    expect(w.vfs.rename(root, '/tmp/g', '/tmp/h', RENAME_WHITEOUT)).toBe(0);
    expect(must(w.vfs.stat(root, '/tmp/g', false))).toMatchObject({ rdev: 0, mode: 0o020000 });
  });

  it('keeps a replaced file for those who have it open', () => {
    const w = tree();
    const root = w.task();
    const f = must(w.vfs.open(root, '/tmp/g', O_RDWR, 0));
    must(w.vfs.write(root, f, utf8('old')));
    expect(w.vfs.rename(root, '/tmp/f', '/tmp/g')).toBe(0);
    expect(fromUtf8(must(w.vfs.pread(root, f, 9, 0)))).toBe('old');
    expect(w.vfs.fstat(f).nlink).toBe(0);
    expect(w.vfs.dPath(w.vfs.file(f).path, { deleted: true })).toBe('/tmp/g (deleted)');
  });
});

describe('links', () => {
  it('name an unnamed file, unless it was opened with O_EXCL', () => {
    const w = world();
    const root = w.task();
    const f = must(w.vfs.open(root, '/tmp', O_TMPFILE | O_RDWR, 0o600));
    must(w.vfs.write(root, f, utf8('x')));
    expect(w.vfs.linkFile(root, f, '/tmp/named')).toBe(0);
    expect(must(w.vfs.stat(root, '/tmp/named'))).toMatchObject({ nlink: 1, size: 1 });
    const g = must(w.vfs.open(root, '/tmp', O_TMPFILE | O_RDWR | O_EXCL, 0o600));
    expect(w.vfs.linkFile(root, g, '/tmp/other')).toBe('ENOENT');
    expect(w.vfs.link(root, '/tmp', '/tmp/dir')).toBe('EPERM');
    expect(w.vfs.link(root, '/tmp/named', '/tmp/named')).toBe('EEXIST');
  });

  it('of others are protected as the settings say', () => {
    const w = world();
    const root = w.task();
    const user = w.task({ uid: 1000 });
    touch(w, '/tmp/f');
    w.vfs.chmod(root, '/tmp/f', 0o666);
    touch(w, '/tmp/secret');
    w.vfs.symlink(user, 'f', '/tmp/s');
    expect(w.vfs.link(user, '/tmp/f', '/tmp/l')).toBe(0);
    expect(w.vfs.link(user, '/tmp/secret', '/tmp/l2')).toBe('EPERM');
    expect(w.vfs.stat(w.task({ uid: 1001 }), '/tmp/s')).toEqual({ ok: false, errno: 'EACCES' });
    expect(w.vfs.stat(user, '/tmp/s')).toMatchObject({ ok: true });
    const none = { protectedSymlinks: 0, protectedHardlinks: 0, protectedFifos: 0, protectedRegular: 0 };
    w.vfs.state = { ...w.vfs.state, sysctl: none };
    expect(w.vfs.link(user, '/tmp/secret', '/tmp/l2')).toBe(0);
    expect(w.vfs.stat(w.task({ uid: 1001 }), '/tmp/s')).toMatchObject({ ok: true });
    w.vfs.state = { ...w.vfs.state, sysctl: { ...none, protectedRegular: 1 } };
    w.vfs.chmod(root, '/tmp/f', 0o666);
    w.vfs.put(user, must(w.vfs.open(user, '/tmp/mine', O_WRONLY | O_CREAT, 0o666)));
    expect(w.vfs.open(root, '/tmp/mine', O_WRONLY | O_CREAT, 0)).toEqual({ ok: false, errno: 'EACCES' });
    expect(w.vfs.open(root, '/tmp/mine', O_WRONLY, 0)).toMatchObject({ ok: true });
  });

  it('end at 65000 on ext4', () => {
    const w = world('ext4');
    touch(w, '/tmp/f');
    const key = w.vfs.inodeOf(must(w.vfs.lookup(w.task(), '/tmp/f'))).key;
    w.vfs.updateInode(key, { nlink: 65000 });
    expect(w.vfs.link(w.task(), '/tmp/f', '/tmp/g')).toBe('EMLINK');
  });
});

describe('mknod', () => {
  it('makes regular files with the hook, devices with the capability', () => {
    const w = world();
    const user = w.task({ uid: 1000 });
    expect(w.vfs.mknod(user, '/tmp/reg', S_IFREG | 0o644, 0)).toBe(0);
    expect(w.calls.filter((c) => c.hook === 'pathPostMknod')).toHaveLength(1);
    expect(w.vfs.mknod(user, '/tmp/fifo', S_IFIFO | 0o644, 0)).toBe(0);
    expect(w.vfs.mknod(user, '/tmp/null', 0o020666, 0x103)).toBe('EPERM');
    expect(w.vfs.mknod(user, '/tmp/whiteout', 0o020000, 0)).toBe(0);
    expect(w.vfs.mknod(user, '/tmp/odd', 0o030000, 0)).toBe('EINVAL');
    expect(w.calls.filter((c) => c.hook === 'pathPostMknod')).toHaveLength(1);
  });
});

describe('the inode cache', () => {
  it('drops clean unused inodes of disks', () => {
    const w = world('ext4');
    const root = w.task();
    touch(w, '/tmp/f');
    const key = w.vfs.inodeOf(must(w.vfs.lookup(root, '/tmp/f'))).key;
    const freed = (): boolean => {
      w.calls.length = 0;
      w.vfs.dropCaches();
      return w.calls.some((c) => c.hook === 'inodeFree' && c.args[0] === key);
    };
    expect(freed()).toBe(false);
    const f = must(w.vfs.open(root, '/tmp/f', O_RDONLY, 0));
    w.vfs.fsync(f);
    expect(freed()).toBe(false);
    w.vfs.put(root, f);
    expect(freed()).toBe(true);
    w.vfs.chmod(root, '/tmp/f', 0o600);
    expect(freed()).toBe(false);
    w.env.clock.advance(40_000_000);
    expect(freed()).toBe(true);
  });
});

describe('pseudo files', () => {
  it('are made by populate, run their handlers, and go with depopulate', () => {
    const w = world();
    const root = w.task();
    const log: string[] = [];
    w.pseudo.set('p/file', {
      open: (_t, _f, flags) => ((flags & 3) === O_RDWR ? 'EACCES' : 0),
      read: () => ok(utf8(`text ${log.length}`)),
      write: (_t, _f, data, offset) => {
        log.push(`${fromUtf8(data)}@${offset}`);
        return data.length > 3 ? fail('EINVAL') : ok(data.length);
      },
      release: () => {
        log.push('release');
      },
    });
    w.pseudo.set('p/link', { link: () => ok('file') });
    const sb = w.vfs.createSuperblock({ type: 'securityfs' });
    const at = w.vfs.attach(sb, 1, must(w.vfs.lookup(root, '/mnt')));
    const node = w.vfs.populate(at, '/dir/file', { mode: 0o600, pseudo: 'p/file' });
    w.vfs.populate(at, '/dir/link', { mode: 0o120777, pseudo: 'p/link', target: 'x' });
    expect(w.vfs.open(w.task({ uid: 1000 }), '/mnt/dir/file', O_RDONLY, 0)).toEqual({
      ok: false,
      errno: 'EACCES',
    });
    expect(w.vfs.open(root, '/mnt/dir/file', O_RDWR, 0)).toEqual({ ok: false, errno: 'EACCES' });
    const r = must(w.vfs.open(root, '/mnt/dir/link', O_RDONLY, 0));
    expect(fromUtf8(must(w.vfs.read(root, r, 4)))).toBe('text');
    log.push('x');
    expect(fromUtf8(must(w.vfs.read(root, r, 9)))).toBe(' 0');
    expect(must(w.vfs.read(root, r, 9)).length).toBe(0);
    expect(must(w.vfs.readlink(root, '/mnt/dir/link'))).toBe('file');
    const f = must(w.vfs.open(root, '/mnt/dir/file', O_WRONLY, 0));
    expect(must(w.vfs.write(root, f, utf8('abc')))).toBe(3);
    expect(w.vfs.write(root, f, utf8('long'))).toEqual({ ok: false, errno: 'EINVAL' });
    w.vfs.put(root, f);
    expect(log).toEqual(['x', 'abc@0', 'long@3', 'release']);
    expect(w.vfs.mkdir(root, '/mnt/new', 0o755)).toBe('EPERM');
    expect(w.vfs.unlink(root, '/mnt/dir/file')).toBe('EPERM');
    w.vfs.depopulate(node);
    expect(w.vfs.open(root, '/mnt/dir/file', O_RDONLY, 0)).toEqual({ ok: false, errno: 'ENOENT' });
  });
});
