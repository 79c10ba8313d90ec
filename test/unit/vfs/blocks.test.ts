import { describe, expect, it } from 'vitest';
import { EMPTY, fromUtf8, utf8 } from '../../../src/base/bytes.ts';
import '../../../src/crypto/auto.ts';
import { decodeState, encodeState } from '../../../src/base/json.ts';
import { O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from '../../../src/vfs/constants.ts';
import type { VfsState, VfsTask } from '../../../src/vfs/types.ts';
import type { Vfs } from '../../../src/vfs/vfs.ts';
import { must, type World, world } from './support.ts';

const BLOCK = 4096;
const FIRST = 421;

interface Disk extends World {
  readonly root: never;
  readonly me: VfsTask;
}

function disk(): Omit<Disk, 'root'> {
  const w = world();
  const me = w.task();
  mount(w.vfs, me);
  return { ...w, me };
}

function mount(vfs: Vfs, me: VfsTask): void {
  expect(vfs.mount(me, { source: '/dev/vdc', target: '/mnt', type: 'ext4', flags: [], data: '' })).toBe(0);
}

function write(
  d: { vfs: Vfs; me: VfsTask },
  path: string,
  text: string,
  flags = O_CREAT | O_TRUNC,
  sync = true,
): void {
  const file = must(d.vfs.open(d.me, path, O_WRONLY | flags, 0o644));
  must(d.vfs.write(d.me, file, utf8(text)));
  if (sync) expect(d.vfs.fsync(file)).toBe(0);
  d.vfs.put(d.me, file);
}

function read(d: { vfs: Vfs; me: VfsTask }, path: string): string {
  const file = must(d.vfs.open(d.me, path, O_RDONLY, 0));
  const got = d.vfs.read(d.me, file, 100);
  d.vfs.put(d.me, file);
  return got.ok ? fromUtf8(got.value) : got.errno;
}

function poke(
  d: { vfs: Vfs; me: VfsTask },
  block: number,
  text: string,
  sync = true,
  device = '/dev/vdc',
): void {
  const file = must(d.vfs.open(d.me, device, O_RDWR, 0));
  expect(must(d.vfs.pwrite(d.me, file, utf8(text), block * BLOCK))).toBe(text.length);
  if (sync) expect(d.vfs.fsync(file)).toBe(0);
  d.vfs.put(d.me, file);
}

describe('a disk that is changed below a mounted file system', () => {
  it('is seen once the pages are dropped, not before', () => {
    const d = disk();
    write(d, '/mnt/a', 'AAAA');
    expect(read(d, '/mnt/a')).toBe('AAAA');
    poke(d, FIRST, 'BB');
    expect(read(d, '/mnt/a')).toBe('AAAA');
    d.vfs.dropPages();
    expect(read(d, '/mnt/a')).toBe('BBAA');
    expect(d.calls.filter((c) => c.hook === 'inodeFree')).toHaveLength(0);
  });

  it('is seen at once where nothing is cached, and only after the device was written back', () => {
    const d = disk();
    write(d, '/mnt/a', 'AAAA');
    d.vfs.dropPages();
    poke(d, FIRST, 'B', false);
    expect(read(d, '/mnt/a')).toBe('AAAA');
    d.vfs.dropPages();
    poke(d, FIRST, 'C');
    expect(read(d, '/mnt/a')).toBe('CAAA');
  });

  it('does not touch dirty pages, which win at the next writeback', () => {
    const d = disk();
    write(d, '/mnt/a', 'AAAA');
    poke(d, FIRST, 'BBBB');
    write(d, '/mnt/a', 'w', 0, false);
    d.vfs.dropPages();
    expect(read(d, '/mnt/a')).toBe('wAAA');
    d.vfs.umount(d.me, '/mnt');
    mount(d.vfs, d.me);
    expect(read(d, '/mnt/a')).toBe('wAAA');
  });

  it('is what the next mount finds', () => {
    const d = disk();
    write(d, '/mnt/a', 'AAAA');
    read(d, '/mnt/a');
    d.vfs.umount(d.me, '/mnt');
    poke(d, FIRST, 'BBBBBB');
    mount(d.vfs, d.me);
    expect(read(d, '/mnt/a')).toBe('BBBB');
  });
});

describe('blocks', () => {
  it('are handed out at writeback, in its order, one after the other', () => {
    const d = disk();
    for (const n of ['a', 'b']) write(d, `/mnt/${n}`, n, O_CREAT, false);
    for (const n of ['b', 'a']) {
      const file = must(d.vfs.open(d.me, `/mnt/${n}`, O_RDONLY, 0));
      d.vfs.fsync(file);
      d.vfs.put(d.me, file);
    }
    write(d, '/mnt/a', 'A');
    write(d, '/mnt/c', 'c', O_CREAT, false);
    write(d, '/mnt/d', 'd', O_CREAT, false);
    d.vfs.umount(d.me, '/mnt');
    for (let i = 0; i < 6; i++) poke(d, FIRST + i, String(i));
    mount(d.vfs, d.me);
    expect(['b', 'a', 'c', 'd'].map((n) => read(d, `/mnt/${n}`))).toEqual(['0', '2', '3', '4']);
  });

  it('go with the file, and survive JSON', () => {
    const d = disk();
    write(d, '/mnt/a', 'a');
    expect(d.vfs.state.blocks.files.size).toBe(1);
    const again = decodeState(JSON.parse(JSON.stringify(encodeState(d.vfs.state)))) as VfsState;
    expect(encodeState(again)).toEqual(encodeState(d.vfs.state));
    d.vfs.unlink(d.me, '/mnt/a');
    expect(d.vfs.state.blocks.files.size).toBe(0);
  });
});

describe('a file with fs-verity', () => {
  const enable = (d: { vfs: Vfs; me: VfsTask }, path: string): void => {
    const file = must(d.vfs.open(d.me, path, O_RDONLY, 0));
    const args = { algorithm: 1, blockSize: BLOCK, salt: EMPTY, signature: EMPTY };
    expect(d.vfs.verityEnable(d.me, file, args)).toBe(0);
    d.vfs.put(d.me, file);
  };

  it('gives EIO for changed data, and EINVAL once its descriptor is damaged', () => {
    const d = disk();
    write(d, '/mnt/a', 'AAAA', O_CREAT, false);
    enable(d, '/mnt/a');
    poke(d, FIRST, 'B');
    expect(read(d, '/mnt/a')).toBe('AAAA');
    d.vfs.dropPages();
    expect(read(d, '/mnt/a')).toBe('EIO');
    poke(d, FIRST, 'A');
    expect(read(d, '/mnt/a')).toBe('AAAA');
    poke(d, FIRST + 16, 'X');
    expect(read(d, '/mnt/a')).toBe('AAAA');
    d.vfs.umount(d.me, '/mnt');
    mount(d.vfs, d.me);
    expect(d.vfs.open(d.me, '/mnt/a', O_RDONLY, 0)).toMatchObject({ errno: 'EINVAL' });
  });

  it('lies in a run of its own, which small files come after', () => {
    const d = disk();
    write(d, '/mnt/a', 'A', O_CREAT, false);
    enable(d, '/mnt/a');
    write(d, '/mnt/c', 'C');
    write(d, '/mnt/d', 'D'.repeat(17 * BLOCK));
    write(d, '/mnt/e', 'E');
    const first = [...d.vfs.state.blocks.files.values()].map((f) => f.blocks[0]).sort();
    expect(first).toEqual([FIRST, FIRST + 17, FIRST + 18, FIRST + 17 + 512]);
  });
});

describe('a device', () => {
  it('has an end, and shows files in their blocks', () => {
    const d = disk();
    d.vfs.updateDevice('vdc', { size: 500 * BLOCK });
    write(d, '/mnt/a', 'AAAA');
    const file = must(d.vfs.open(d.me, '/dev/vdc', O_RDWR, 0));
    expect(must(d.vfs.pwrite(d.me, file, utf8('xyz'), 500 * BLOCK - 2))).toBe(2);
    expect(d.vfs.pwrite(d.me, file, utf8('x'), 500 * BLOCK)).toMatchObject({ errno: 'ENOSPC' });
    expect(fromUtf8(must(d.vfs.pread(d.me, file, 4, FIRST * BLOCK)))).toBe('AAAA');
    expect(fromUtf8(must(d.vfs.pread(d.me, file, 9, 500 * BLOCK - 2)))).toBe('xy');
    d.vfs.updateDevice('vdc', { readonly: true });
    expect(d.vfs.pwrite(d.me, file, utf8('x'), 0)).toMatchObject({ errno: 'EPERM' });
  });
});

describe('a verified device above', () => {
  it('gives EIO for what was changed and is not cached, until it is put right', () => {
    const d = disk();
    write(d, '/mnt/a', 'AAAA');
    write(d, '/mnt/b', 'BBBB');
    const key = (n: string): number => d.vfs.inodeOf(must(d.vfs.lookup(d.me, `/mnt/${n}`))).key;
    const [lower, other] = [key('a'), key('b')];
    const sb = d.vfs.createSuperblock({ type: 'ext4', sid: 'dm-0', device: 'dm-0' });
    const at = d.vfs.attach(sb, 1, must(d.vfs.lookup(d.me, '/tmp')));
    const over = (n: string, from: number): void => {
      const { content } = d.vfs.inode(from);
      const path = d.vfs.populate(at, `/${n}`, { mode: 0o100644, ...(content === null ? {} : { content }) });
      d.vfs.mirrorBlocks(from, d.vfs.dentry(path.dentry).inode, sb);
    };
    over('a', lower);
    over('b', other);
    expect(read(d, '/tmp/a')).toBe('AAAA');
    poke(d, FIRST, 'X');
    expect(read(d, '/tmp/a')).toBe('AAAA');
    d.vfs.dropPages();
    expect([read(d, '/tmp/a'), read(d, '/tmp/b')]).toEqual(['EIO', 'BBBB']);
    poke(d, FIRST, 'A');
    expect(read(d, '/tmp/a')).toBe('AAAA');
  });
});
