import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../../src/base/bytes.ts';
import { decodeState, encodeState } from '../../../src/base/json.ts';
import { MAY_READ, MAY_WRITE, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '../../../src/vfs/constants.ts';
import type { VfsState } from '../../../src/vfs/types.ts';
import { Vfs } from '../../../src/vfs/vfs.ts';
import { must, world } from './support.ts';

describe('a file on a mounted disk', () => {
  it('is created, written, read, labelled and found again after a remount', () => {
    const { vfs, task, calls } = world();
    const root = task();
    expect(vfs.mount(root, { source: '/dev/vdc', target: '/mnt', type: 'ext4', flags: [], data: '' })).toBe(
      0,
    );
    const w = must(vfs.open(root, '/mnt/a', O_WRONLY | O_CREAT | O_TRUNC, 0o644));
    expect(must(vfs.write(root, w, utf8('hello')))).toBe(5);
    vfs.put(root, w);
    expect(vfs.setxattr(root, '/mnt/a', 'security.ima', utf8('x'), 0)).toBe(0);
    const r = must(vfs.open(root, '/mnt/a', O_RDONLY, 0));
    expect(fromUtf8(must(vfs.read(root, r, 100)))).toBe('hello');
    vfs.put(root, r);
    const masks = calls.filter((c) => c.hook === 'filePostOpen').map((c) => c.args[1]);
    expect(masks).toEqual([MAY_WRITE, MAY_READ]);
    expect(must(vfs.stat(root, '/mnt/a'))).toMatchObject({ ino: 12, size: 5, mode: 0o100644, nlink: 1 });
    expect(vfs.umount(root, '/mnt')).toBe(0);
    expect(
      vfs.mount(root, { source: '/dev/vdc', target: '/mnt', type: 'ext4', flags: ['ro'], data: '' }),
    ).toBe(0);
    expect(must(vfs.listxattr(root, '/mnt/a'))).toEqual(['security.ima']);
    expect(vfs.open(root, '/mnt/a', O_WRONLY, 0)).toEqual({ ok: false, errno: 'EROFS' });
  });

  it('keeps its state through JSON and two forks apart', () => {
    const { vfs, task, env } = world();
    const root = task();
    const f = must(vfs.open(root, '/tmp/f', O_WRONLY | O_CREAT, 0o600));
    must(vfs.write(root, f, utf8('one')));
    const copy = new Vfs(decodeState(encodeState(vfs.state)) as VfsState, env);
    must(copy.write(root, f, utf8('two')));
    const fork = new Vfs(vfs.state, env);
    must(fork.write(root, f, utf8('three')));
    const text = (v: Vfs): string => {
      const c = v.contentOf(v.inodeOf(must(v.lookup(root, '/tmp/f'))).key);
      return c.kind === 'bytes' ? fromUtf8(c.bytes) : '';
    };
    expect([text(vfs), text(copy), text(fork)]).toEqual(['one', 'onetwo', 'onethree']);
  });
});
