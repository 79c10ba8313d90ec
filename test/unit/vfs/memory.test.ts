import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../../src/base/bytes.ts';
import {
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  MFD_ALLOW_SEALING,
  MFD_EXEC,
  MFD_NOEXEC_SEAL,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/vfs/constants.ts';
import type { FileId } from '../../../src/vfs/types.ts';
import { must, type World, world } from './support.ts';

const RW = PROT_READ | PROT_WRITE;

function file(w: World, path: string, flags: number, text = 'content'): FileId {
  const root = w.task();
  const f = must(w.vfs.open(root, path, O_RDWR | O_CREAT, 0o755));
  must(w.vfs.pwrite(root, f, utf8(text), 0));
  w.vfs.put(root, f);
  const out = must(w.vfs.open(root, path, flags, 0));
  w.calls.length = 0;
  return out;
}

const map = (
  w: World,
  f: FileId | null,
  prot: number,
  shared = false,
  length = 4096,
  readImpliesExec = false,
) => w.vfs.mmap(w.task(), { file: f, length, prot, shared, offset: 0, readImpliesExec });

describe('mmap', () => {
  it('checks the mode of the open, the mount and the arguments', () => {
    const w = world();
    const root = w.task();
    const r = file(w, '/tmp/r', O_RDONLY);
    const wo = file(w, '/tmp/w', O_WRONLY);
    expect(map(w, r, RW, true)).toEqual({ ok: false, errno: 'EACCES' });
    expect(map(w, r, RW)).toMatchObject({ ok: true });
    expect(map(w, wo, PROT_READ)).toEqual({ ok: false, errno: 'EACCES' });
    expect(map(w, r, PROT_READ, false, 0)).toEqual({ ok: false, errno: 'EINVAL' });
    expect(w.vfs.mmap(root, { file: r, length: 1, prot: 1, shared: false, offset: 100 })).toEqual({
      ok: false,
      errno: 'EINVAL',
    });
    expect(map(w, must(w.vfs.open(root, '/tmp', O_RDONLY, 0)), PROT_READ)).toEqual({
      ok: false,
      errno: 'ENODEV',
    });
    w.vfs.mount(root, { source: 't', target: '/mnt', type: 'tmpfs', flags: ['noexec'], data: '' });
    const x = file(w, '/mnt/x', O_RDONLY);
    expect(map(w, x, PROT_READ | PROT_EXEC)).toEqual({ ok: false, errno: 'EPERM' });
    const m = must(map(w, x, PROT_READ));
    expect(w.vfs.mprotect(root, m, PROT_READ | PROT_EXEC)).toBe('EACCES');
  });

  it('tells the hooks what was asked and what is in force', () => {
    const w = world();
    const f = file(w, '/tmp/f', O_RDONLY);
    map(w, f, PROT_READ | PROT_EXEC);
    map(w, f, PROT_READ, false, 4096, true);
    map(w, null, PROT_READ | PROT_EXEC, false);
    map(w, f, PROT_READ, false, 0);
    expect(w.calls.filter((c) => c.hook === 'mmapFile').map((c) => c.args)).toEqual([
      [f, 5, 5, false],
      [f, 1, 5, false],
      [null, 5, 5, false],
      [f, 1, 1, false],
    ]);
  });

  it('holds the file, and its writer while shared', () => {
    const w = world();
    const root = w.task();
    const f = file(w, '/tmp/f', O_RDWR);
    const key = w.vfs.file(f).inode;
    const m = must(map(w, f, PROT_READ, true));
    expect(w.vfs.mappedWritable(key)).toBe(true);
    w.vfs.put(root, f);
    expect(w.vfs.inode(key).iWritecount).toBe(1);
    const copy = w.vfs.dupMapping(m);
    w.vfs.munmap(root, m);
    expect(w.vfs.inode(key).iWritecount).toBe(1);
    w.vfs.munmap(root, copy);
    expect(w.vfs.inode(key)).toMatchObject({ iWritecount: 0, openCount: 0, mmapWritable: 0 });
  });
});

describe('stores and loads', () => {
  it('reach the file through shared mappings, and only a copy through private ones', () => {
    const w = world();
    const root = w.task();
    const f = file(w, '/tmp/f', O_RDWR);
    const shared = must(map(w, f, RW, true));
    const own = must(map(w, f, RW));
    expect(w.vfs.poke(shared, 0, utf8('C'))).toBe(0);
    expect(fromUtf8(must(w.vfs.pread(root, f, 10, 0)))).toBe('Content');
    expect(fromUtf8(must(w.vfs.peek(own, 0, 7)))).toBe('Content');
    expect(w.vfs.poke(own, 1, utf8('x'))).toBe(0);
    expect(fromUtf8(must(w.vfs.peek(own, 0, 7)))).toBe('Cxntent');
    w.vfs.poke(shared, 0, utf8('D'));
    expect(fromUtf8(must(w.vfs.peek(own, 0, 7)))).toBe('Cxntent');
    expect(fromUtf8(must(w.vfs.pread(root, f, 10, 0)))).toBe('Dontent');
    expect(w.vfs.poke(shared, 5, utf8('nd beyond the end'))).toBe(0);
    expect(fromUtf8(must(w.vfs.pread(root, f, 99, 0)))).toBe('Dontend');
  });

  it('fault where the protection or the end of the file says so', () => {
    const w = world();
    const root = w.task();
    const f = file(w, '/tmp/f', O_RDWR);
    const r = must(map(w, f, PROT_READ, false, 8192));
    expect(w.vfs.poke(r, 0, utf8('x'))).toBe('EFAULT');
    expect(w.vfs.peek(r, 4095, 1)).toMatchObject({ ok: true });
    expect(w.vfs.peek(r, 4096, 1)).toEqual({ ok: false, errno: 'EFAULT' });
    expect(w.vfs.mprotect(root, r, 0)).toBe(0);
    expect(w.vfs.peek(r, 0, 1)).toEqual({ ok: false, errno: 'EFAULT' });
    expect(w.vfs.mprotect(root, r, RW)).toBe(0);
    expect(w.vfs.poke(r, 0, utf8('x'))).toBe(0);
    const anonymous = must(map(w, null, RW));
    expect(w.vfs.poke(anonymous, 4090, utf8('123456'))).toBe(0);
    expect(w.vfs.poke(anonymous, 4091, utf8('123456'))).toBe('EFAULT');
    expect(w.vfs.mprotect(root, anonymous, 64)).toBe('EINVAL');
  });

  it.each([
    { type: 'ext4', store: true, afterLoad: true, afterSync: true },
    { type: 'tmpfs', store: true, afterLoad: false, afterSync: false },
  ] as const)(
    'move the change cookie as faults are noticed on $type',
    ({ type, store, afterLoad, afterSync }) => {
      const w = world(type);
      const f = file(w, '/tmp/f', O_RDWR, 'x'.repeat(100_000));
      const moves = (mapping: number, at: number): boolean => {
        const before = w.vfs.inode(w.vfs.file(f).inode).iVersion;
        expect(w.vfs.poke(mapping, at, utf8('z'))).toBe(0);
        return w.vfs.inode(w.vfs.file(f).inode).iVersion !== before;
      };
      const m = must(map(w, f, RW, true, 100_000));
      expect([moves(m, 0), moves(m, 1)]).toEqual([store, false]);
      w.vfs.fsync(f);
      expect(moves(m, 0)).toBe(afterSync);
      const loaded = must(map(w, f, RW, true, 100_000));
      must(w.vfs.peek(loaded, 5000, 1));
      expect([moves(loaded, 0), moves(loaded, 60_000), moves(loaded, 90_000)]).toEqual([
        afterLoad,
        afterLoad,
        true,
      ]);
    },
  );

  it('mprotect asks the hook after its own check', () => {
    const w = world();
    const root = w.task();
    const f = file(w, '/tmp/f', O_RDONLY);
    const m = must(map(w, f, PROT_READ, true));
    expect(w.vfs.mprotect(root, m, RW)).toBe('EACCES');
    expect(w.calls.some((c) => c.hook === 'fileMprotect')).toBe(false);
    expect(w.vfs.mprotect(root, m, PROT_READ, true)).toBe(0);
    expect(w.calls.at(-1)).toEqual({ hook: 'fileMprotect', args: [m, PROT_READ, PROT_READ | PROT_EXEC] });
    expect(w.vfs.mapping(m).prot).toBe(PROT_READ | PROT_EXEC);
  });
});

describe('memfd', () => {
  it('is an unnamed tmpfs file in no namespace that counts no writer', () => {
    const w = world();
    const root = w.task();
    const f = must(w.vfs.memfdCreate(root, 'name', 0));
    const { path, inode } = w.vfs.file(f);
    expect([w.vfs.dPath(path), w.vfs.dPath(path, { deleted: true })]).toEqual([
      'memfd:name',
      '/memfd:name (deleted)',
    ]);
    expect(w.vfs.inode(inode)).toMatchObject({ mode: 0o100777, nlink: 0, iWritecount: 0, openCount: 1 });
    expect(w.vfs.superblock(w.vfs.inode(inode).sb).type).toBe('tmpfs');
    must(w.vfs.write(root, f, utf8('data')));
    expect(w.vfs.denyWrite(inode)).toBe(0);
    w.vfs.allowWrite(inode);
    w.vfs.put(root, f);
    expect(w.vfs.state.inodes.has(inode)).toBe(false);
    expect(w.vfs.memfdCreate(root, 'n'.repeat(250), 0)).toEqual({ ok: false, errno: 'EINVAL' });
    expect(w.vfs.memfdCreate(root, 'n', MFD_EXEC | MFD_NOEXEC_SEAL)).toEqual({ ok: false, errno: 'EINVAL' });
    const plain = must(w.vfs.memfdCreate(root, 'n', MFD_NOEXEC_SEAL));
    expect(w.vfs.fstat(plain).mode).toBe(0o100666);
    expect(w.vfs.chmod(root, plain, 0o755)).toBe('EPERM');
  });

  it('can be sealed once', () => {
    const w = world();
    const root = w.task();
    const f = must(w.vfs.memfdCreate(root, 'm', MFD_ALLOW_SEALING));
    must(w.vfs.write(root, f, utf8('0123456789')));
    const m = must(map(w, f, RW, true));
    expect(w.vfs.addSeals(f, F_SEAL_WRITE)).toBe('EBUSY');
    expect(w.vfs.addSeals(f, F_SEAL_GROW | F_SEAL_SHRINK)).toBe(0);
    expect(w.vfs.ftruncate(root, f, 5)).toBe('EPERM');
    expect(w.vfs.ftruncate(root, f, 50)).toBe('EPERM');
    expect(w.vfs.pwrite(root, f, utf8('xy'), 9)).toEqual({ ok: false, errno: 'EPERM' });
    expect(w.vfs.pwrite(root, f, utf8('x'), 9)).toEqual({ ok: true, value: 1 });
    w.vfs.munmap(root, m);
    expect(w.vfs.addSeals(f, F_SEAL_WRITE | F_SEAL_SEAL)).toBe(0);
    expect(w.vfs.pwrite(root, f, utf8('x'), 0)).toEqual({ ok: false, errno: 'EPERM' });
    expect(map(w, f, RW, true)).toEqual({ ok: false, errno: 'EPERM' });
    const ro = must(map(w, f, PROT_READ, true));
    expect(w.vfs.mprotect(root, ro, RW)).toBe('EACCES');
    expect(w.vfs.addSeals(f, F_SEAL_GROW)).toBe('EPERM');
    const closed = must(w.vfs.memfdCreate(root, 'c', 0));
    expect(w.vfs.addSeals(closed, F_SEAL_WRITE)).toBe('EPERM');
    expect(w.vfs.addSeals(file(w, '/tmp/f', O_RDWR), F_SEAL_WRITE)).toBe('EPERM');
  });

  it('lets mappings from before write under F_SEAL_FUTURE_WRITE', () => {
    const w = world();
    const root = w.task();
    const f = must(w.vfs.memfdCreate(root, 'm', MFD_ALLOW_SEALING));
    must(w.vfs.write(root, f, utf8('0123456789')));
    const m = must(map(w, f, RW, true));
    expect(w.vfs.addSeals(f, F_SEAL_FUTURE_WRITE)).toBe(0);
    expect(w.vfs.poke(m, 0, utf8('x'))).toBe(0);
    expect(w.vfs.pwrite(root, f, utf8('x'), 0)).toEqual({ ok: false, errno: 'EPERM' });
    expect(map(w, f, RW, true)).toEqual({ ok: false, errno: 'EPERM' });
  });
});
