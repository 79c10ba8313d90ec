import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../../src/base/bytes.ts';
import {
  MAY_APPEND,
  MAY_EXEC,
  MAY_READ,
  MAY_WRITE,
  O_APPEND,
  O_CREAT,
  O_DIRECT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  S_IFCHR,
  S_IFIFO,
} from '../../../src/vfs/constants.ts';
import { makedev } from '../../../src/vfs/device.ts';
import { FMODE_CREATED } from '../../../src/vfs/types.ts';
import { must, type World, world } from './support.ts';

const RW = MAY_READ | MAY_WRITE;

function withFile(w: World, path: string, text: string, mode = 0o644): void {
  const root = w.task();
  const f = must(w.vfs.open(root, path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  must(w.vfs.write(root, f, utf8(text)));
  w.vfs.put(root, f);
  w.calls.length = 0;
}

const hooksOf = (w: World): string[] => w.calls.map((c) => c.hook);
const keyOf = (w: World, path: string): number => w.vfs.inodeOf(must(w.vfs.lookup(w.task(), path))).key;

describe('the mask that file_post_open sees', () => {
  const table: readonly (readonly [number, number])[] = [
    [O_RDONLY, MAY_READ],
    [O_WRONLY, MAY_WRITE],
    [O_RDWR, RW],
    [O_WRONLY | O_APPEND, MAY_WRITE | MAY_APPEND],
    [O_RDONLY | O_TRUNC, RW],
    [O_RDONLY | O_APPEND, MAY_READ | MAY_APPEND],
    [O_WRONLY | O_CREAT, MAY_WRITE],
    [3, RW],
  ];
  it.each(table)('flags %o give %o', (flags, mask) => {
    const w = world();
    withFile(w, '/tmp/f', 'x');
    must(w.vfs.open(w.task(), '/tmp/f', flags, 0o644));
    expect(w.calls.filter((c) => c.hook === 'filePostOpen').map((c) => c.args[1])).toEqual([mask]);
  });

  it('is the same for a file that the open makes, and MAY_EXEC for execve', () => {
    const w = world();
    const f = must(w.vfs.open(w.task(), '/tmp/new', O_WRONLY | O_CREAT | O_TRUNC, 0o755));
    expect(w.vfs.file(f).fmode & FMODE_CREATED).toBe(FMODE_CREATED);
    w.vfs.put(w.task(), f);
    must(w.vfs.open(w.task(), '/tmp/new', O_RDONLY, 0, 'exec'));
    const masks = w.calls.filter((c) => c.hook === 'filePostOpen').map((c) => c.args[1]);
    expect(masks).toEqual([MAY_WRITE, MAY_EXEC]);
  });
});

describe('the order of an open', () => {
  it('truncates after both hooks, and a refusal keeps the content', () => {
    const seen: number[] = [];
    const w: World = world('tmpfs', {
      filePostOpen: (_t, file) => {
        seen.push(w.vfs.inode(w.vfs.file(file).inode).size);
        return 0;
      },
    });
    withFile(w, '/tmp/f', 'text');
    seen.length = 0;
    const f = must(w.vfs.open(w.task(), '/tmp/f', O_WRONLY | O_TRUNC, 0));
    expect(seen).toEqual([4]);
    expect(w.vfs.inode(w.vfs.file(f).inode).size).toBe(0);
    expect(hooksOf(w)).toEqual([
      'fileOpen',
      'filePostOpen',
      'fileTruncate',
      'inodeSetattr',
      'inodePostSetattr',
    ]);

    let refuse = false;
    const no: World = world('tmpfs', { filePostOpen: () => (refuse ? 'EACCES' : 0) });
    withFile(no, '/tmp/f', 'text');
    refuse = true;
    expect(no.vfs.open(no.task(), '/tmp/f', O_WRONLY | O_TRUNC, 0)).toEqual({ ok: false, errno: 'EACCES' });
    expect(no.vfs.inode(keyOf(no, '/tmp/f'))).toMatchObject({ size: 4, iWritecount: 0, openCount: 0 });
    expect(hooksOf(no)).toEqual(['fileOpen', 'filePostOpen', 'fileRelease']);
  });

  it('does not release what file_open refused', () => {
    let refuse = false;
    const w = world('tmpfs', { fileOpen: () => (refuse ? 'EPERM' : 0) });
    withFile(w, '/tmp/f', 'x');
    refuse = true;
    expect(w.vfs.open(w.task(), '/tmp/f', O_RDONLY, 0)).toEqual({ ok: false, errno: 'EPERM' });
    expect(hooksOf(w)).toEqual(['fileOpen']);
    expect(w.vfs.inode(keyOf(w, '/tmp/f'))).toMatchObject({ iReadcount: 0, openCount: 0 });
    expect(w.vfs.state.files.size).toBe(0);
  });

  it('counts readers and writers until the last reference goes, and tells the hooks before', () => {
    const during: number[] = [];
    const w: World = world('tmpfs', {
      fileRelease: (_t, file) => {
        during.push(w.vfs.inode(w.vfs.file(file).inode).iWritecount);
      },
    });
    withFile(w, '/tmp/f', 'x');
    const key = keyOf(w, '/tmp/f');
    const r = must(w.vfs.open(w.task(), '/tmp/f', O_RDONLY, 0));
    const rw = must(w.vfs.open(w.task(), '/tmp/f', O_RDWR, 0));
    w.vfs.get(rw);
    expect(w.vfs.inode(key)).toMatchObject({ iReadcount: 1, iWritecount: 1, openCount: 2 });
    w.vfs.put(w.task(), rw);
    expect(w.vfs.inode(key).iWritecount).toBe(1);
    during.length = 0;
    w.vfs.put(w.task(), rw);
    expect(during).toEqual([1]);
    w.vfs.put(w.task(), r);
    expect(w.vfs.inode(key)).toMatchObject({ iReadcount: 0, iWritecount: 0, openCount: 0 });
  });

  it('gives O_PATH and O_TMPFILE no file_post_open', () => {
    const w = world();
    withFile(w, '/tmp/f', 'x', 0);
    must(w.vfs.open(w.task({ uid: 1000 }), '/tmp/f', O_PATH, 0));
    expect(hooksOf(w)).toEqual([]);
    must(w.vfs.open(w.task(), '/tmp', O_TMPFILE | O_RDWR, 0o600));
    expect(hooksOf(w)).toEqual(['inodeInitSecurity', 'fileOpen', 'inodePostCreateTmpfile']);
  });
});

describe('errnos of open', () => {
  type Row = readonly [what: string, path: string, flags: number, errno: string, uid: number];
  const table: readonly Row[] = [
    ['no such file', '/tmp/none', O_RDONLY, 'ENOENT', 0],
    ['empty path', '', O_RDONLY, 'ENOENT', 0],
    ['long name', `/tmp/${'n'.repeat(256)}`, O_RDONLY, 'ENAMETOOLONG', 0],
    ['long path', `/tmp${'/.'.repeat(2048)}`, O_RDONLY, 'ENAMETOOLONG', 0],
    ['through a file', '/tmp/f/x', O_RDONLY, 'ENOTDIR', 0],
    ['file with a slash', '/tmp/f/', O_RDONLY, 'ENOTDIR', 0],
    ['new name with a slash', '/tmp/new/', O_WRONLY | O_CREAT, 'EISDIR', 0],
    ['directory for writing', '/tmp', O_WRONLY, 'EISDIR', 0],
    ['directory with O_CREAT', '/tmp', O_RDONLY | O_CREAT, 'EISDIR', 0],
    ['O_CREAT and O_DIRECTORY', '/tmp/d', O_RDONLY | O_CREAT | O_DIRECTORY, 'EINVAL', 0],
    ['file as a directory', '/tmp/f', O_RDONLY | O_DIRECTORY, 'ENOTDIR', 0],
    ['O_EXCL on what is there', '/tmp/f', O_WRONLY | O_CREAT | O_EXCL, 'EEXIST', 0],
    ['O_EXCL on a dangling link', '/tmp/dangling', O_WRONLY | O_CREAT | O_EXCL, 'EEXIST', 0],
    ['O_NOFOLLOW on a link', '/tmp/link', O_RDONLY | O_NOFOLLOW, 'ELOOP', 0],
    ['link to itself', '/tmp/loop', O_RDONLY, 'ELOOP', 0],
    ['mode', '/tmp/f', O_WRONLY, 'EACCES', 1000],
    ['O_TRUNC needs the write permission', '/tmp/f', O_RDONLY | O_TRUNC, 'EACCES', 1000],
    ['search permission', '/tmp/closed/x', O_RDONLY, 'EACCES', 1000],
    ['create in a directory of others', '/dev/x', O_WRONLY | O_CREAT, 'EACCES', 1000],
    ['O_TMPFILE for reading', '/tmp', O_TMPFILE | O_RDONLY, 'EINVAL', 0],
    ['O_TMPFILE in a file', '/tmp/f', O_TMPFILE | O_RDWR, 'ENOTDIR', 0],
    ['no driver', '/tmp/chr', O_RDONLY, 'ENXIO', 0],
    ['write side of a pipe without reader', '/tmp/fifo', O_WRONLY | O_NONBLOCK, 'ENXIO', 0],
  ];
  it.each<Row>(table)('%s', (_what, path, flags, errno, uid) => {
    const w = world();
    const root = w.task();
    withFile(w, '/tmp/f', 'x');
    w.vfs.mkdir(root, '/tmp/closed', 0o700);
    w.vfs.symlink(root, 'nowhere', '/tmp/dangling');
    w.vfs.symlink(root, 'f', '/tmp/link');
    w.vfs.symlink(root, 'loop', '/tmp/loop');
    w.vfs.mknod(root, '/tmp/chr', S_IFCHR | 0o666, makedev(200, 1));
    w.vfs.mknod(root, '/tmp/fifo', S_IFIFO | 0o666, 0);
    expect(w.vfs.open(w.task({ uid }), path, flags, 0o644)).toEqual({
      ok: false,
      errno,
    });
    expect(w.env.trace.state.events.last).toMatchObject({ kind: 'vfs.open', reason: expect.any(String) });
  });

  it('follows a dangling link with O_CREAT, and up to 40 links', () => {
    const w = world();
    const root = w.task();
    w.vfs.symlink(root, '../tmp/target', '/tmp/l0');
    for (let i = 1; i <= 40; i++) w.vfs.symlink(root, `l${i - 1}`, `/tmp/l${i}`);
    expect(w.vfs.open(root, '/tmp/l40', O_WRONLY | O_CREAT, 0o644)).toEqual({ ok: false, errno: 'ELOOP' });
    must(w.vfs.open(root, '/tmp/l39', O_WRONLY | O_CREAT, 0o644));
    expect(must(w.vfs.stat(root, '/tmp/target')).size).toBe(0);
  });

  it('refuses O_DIRECT where the file system has none', () => {
    const w = world('ramfs');
    withFile(w, '/tmp/f', 'x');
    expect(w.vfs.open(w.task(), '/tmp/f', O_RDONLY | O_DIRECT, 0)).toEqual({ ok: false, errno: 'EINVAL' });
    const t = world('tmpfs');
    withFile(t, '/tmp/f', 'x');
    must(t.vfs.open(t.task(), '/tmp/f', O_RDONLY | O_DIRECT, 0));
  });
});

describe('writers and executions', () => {
  it('exclude each other with ETXTBSY', () => {
    const w = world();
    withFile(w, '/tmp/f', 'x', 0o755);
    const key = keyOf(w, '/tmp/f');
    const f = must(w.vfs.open(w.task(), '/tmp/f', O_WRONLY, 0));
    expect(w.vfs.denyWrite(key)).toBe('ETXTBSY');
    w.vfs.put(w.task(), f);
    expect(w.vfs.denyWrite(key)).toBe(0);
    expect(w.vfs.open(w.task(), '/tmp/f', O_WRONLY, 0)).toEqual({ ok: false, errno: 'ETXTBSY' });
    expect(w.vfs.truncate(w.task(), '/tmp/f', 0)).toBe('ETXTBSY');
    w.vfs.allowWrite(key);
    must(w.vfs.open(w.task(), '/tmp/f', O_WRONLY, 0));
  });

  it('refuses execution on noexec mounts, of directories and without an x bit, even for root', () => {
    const w = world();
    const root = w.task();
    withFile(w, '/tmp/f', 'x', 0o644);
    const exec = (path: string): unknown => w.vfs.open(root, path, O_RDONLY, 0, 'exec');
    expect(exec('/tmp/f')).toEqual({ ok: false, errno: 'EACCES' });
    expect(exec('/tmp')).toEqual({ ok: false, errno: 'EACCES' });
    w.vfs.chmod(root, '/tmp/f', 0o001);
    expect(exec('/tmp/f')).toMatchObject({ ok: true });
    w.vfs.mount(root, { source: 't', target: '/mnt', type: 'tmpfs', flags: ['noexec'], data: '' });
    withFile(w, '/mnt/f', 'x', 0o755);
    expect(exec('/mnt/f')).toEqual({ ok: false, errno: 'EACCES' });
  });
});

describe('reading and writing', () => {
  it('appends, fills holes, refuses what the open did not ask for', () => {
    const w = world();
    const root = w.task();
    withFile(w, '/tmp/f', 'abc');
    const a = must(w.vfs.open(root, '/tmp/f', O_WRONLY | O_APPEND, 0));
    must(w.vfs.pwrite(root, a, utf8('d'), 0));
    must(w.vfs.write(root, a, utf8('e')));
    expect(w.vfs.read(root, a, 1)).toEqual({ ok: false, errno: 'EBADF' });
    const r = must(w.vfs.open(root, '/tmp/f', O_RDONLY, 0));
    expect(w.vfs.write(root, r, utf8('x'))).toEqual({ ok: false, errno: 'EBADF' });
    expect(fromUtf8(must(w.vfs.pread(root, r, 10, 0)))).toBe('abcde');
    expect(w.vfs.pread(root, r, 1, -1)).toEqual({ ok: false, errno: 'EINVAL' });
    const rw = must(w.vfs.open(root, '/tmp/f', O_RDWR, 0));
    must(w.vfs.pwrite(root, rw, utf8('z'), 7));
    expect([...must(w.vfs.pread(root, r, 10, 4))]).toEqual([101, 0, 0, 122]);
    expect(w.vfs.ftruncate(root, rw, 2)).toBe(0);
    expect(w.vfs.ftruncate(root, rw, 4)).toBe(0);
    expect([...must(w.vfs.pread(root, r, 10, 0))]).toEqual([97, 98, 0, 0]);
    expect(w.vfs.ftruncate(root, r, 0)).toBe('EINVAL');
    const dir = must(w.vfs.open(root, '/tmp', O_RDONLY, 0));
    expect(w.vfs.read(root, dir, 1)).toEqual({ ok: false, errno: 'EISDIR' });
  });

  it('keeps contents that are known by their digests, and says EIO for their bytes', () => {
    const w = world();
    const root = w.task();
    const opaque = { kind: 'opaque', label: 'image', length: 1000, digests: { sha256: 'ab' } } as const;
    const f = must(w.vfs.open(root, '/tmp/f', O_RDWR | O_CREAT, 0o644));
    expect(must(w.vfs.writeContent(root, f, opaque))).toBe(1000);
    expect(w.vfs.contentOf(w.vfs.file(f).inode)).toBe(opaque);
    expect(w.vfs.pread(root, f, 1, 0)).toEqual({ ok: false, errno: 'EIO' });
    expect(w.vfs.pwrite(root, f, utf8('x'), 5)).toEqual({ ok: false, errno: 'EIO' });
    expect(w.vfs.ftruncate(root, f, 0)).toBe(0);
    expect(must(w.vfs.write(root, f, utf8('x')))).toBe(1);
  });

  it('gives memory devices their behaviour', () => {
    const w = world();
    const root = w.task();
    for (const [name, minor] of [
      ['null', 3],
      ['zero', 5],
      ['full', 7],
    ] as const)
      w.vfs.mknod(root, `/dev/${name}`, S_IFCHR | 0o666, makedev(1, minor));
    const open = (name: string): number => must(w.vfs.open(root, `/dev/${name}`, O_RDWR, 0));
    expect(must(w.vfs.read(root, open('null'), 5)).length).toBe(0);
    expect([...must(w.vfs.read(root, open('zero'), 3))]).toEqual([0, 0, 0]);
    expect(must(w.vfs.write(root, open('null'), utf8('abc')))).toBe(3);
    expect(w.vfs.write(root, open('full'), utf8('a'))).toEqual({ ok: false, errno: 'ENOSPC' });
  });
});
