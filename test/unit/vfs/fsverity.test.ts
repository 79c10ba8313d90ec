import { describe, expect, it } from 'vitest';
import { EMPTY, filled, toHex, utf8 } from '../../../src/base/bytes.ts';
import type { Err } from '../../../src/base/errno.ts';
import '../../../src/crypto/auto.ts';
import { O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, O_WRONLY, S_IFIFO } from '../../../src/vfs/constants.ts';
import { fsVerityDigest, fsVerityFormattedDigest } from '../../../src/vfs/fsverity.ts';
import type { VfsTask } from '../../../src/vfs/types.ts';
import { Vfs } from '../../../src/vfs/vfs.ts';
import { type Call, must, world } from './support.ts';

const ARGS = { algorithm: 1, blockSize: 4096, salt: EMPTY, signature: EMPTY };

interface Setup {
  readonly vfs: Vfs;
  readonly root: VfsTask;
  readonly user: VfsTask;
  readonly calls: Call[];
  readonly checked: string[];
  verdict: Err;
  require: boolean;
}

/** /mnt/f with some content on ext4; signatures get `verdict`. */
function setup(): Setup {
  const w = world();
  const s = { checked: [] as string[], verdict: 0 as Err, require: false };
  const vfs = new Vfs(w.vfs.state, {
    ...w.env,
    veritySignature: (formatted) => {
      s.checked.push(toHex(formatted));
      return s.verdict;
    },
    verityRequireSignatures: () => s.require,
  });
  const root = w.task();
  mount(vfs, root);
  write(vfs, root, '/mnt/f', 'content');
  return Object.assign(s, { vfs, root, user: w.task({ uid: 1000, gid: 1000 }), calls: w.calls });
}

function mount(vfs: Vfs, root: VfsTask): void {
  expect(vfs.mount(root, { source: '/dev/vdc', target: '/mnt', type: 'ext4', flags: [], data: '' })).toBe(0);
}

function write(vfs: Vfs, task: VfsTask, path: string, text: string): void {
  const file = must(vfs.open(task, path, O_WRONLY | O_CREAT, 0o644));
  must(vfs.write(task, file, utf8(text)));
  vfs.put(task, file);
}

function enable(
  s: Setup,
  path: string,
  args: Partial<typeof ARGS> = {},
  task = s.root,
  flags = O_RDONLY,
): Err {
  const file = must(s.vfs.open(task, path, flags, 0));
  const err = s.vfs.verityEnable(task, file, { ...ARGS, ...args });
  s.vfs.put(task, file);
  return err;
}

function measure(s: Setup, path: string): string {
  const file = must(s.vfs.open(s.root, path, O_RDONLY, 0));
  const got = s.vfs.verityMeasure(file);
  s.vfs.put(s.root, file);
  return got.ok ? `${got.value.algorithm}:${toHex(got.value.digest)}` : got.errno;
}

describe('FS_IOC_ENABLE_VERITY', () => {
  it('gives the file its digest, once', () => {
    const s = setup();
    expect(measure(s, '/mnt/f')).toBe('ENODATA');
    expect(enable(s, '/mnt/f')).toBe(0);
    expect(measure(s, '/mnt/f')).toBe(`1:${toHex(fsVerityDigest(utf8('content')))}`);
    expect(enable(s, '/mnt/f')).toBe('EEXIST');
    write(s.vfs, s.root, '/mnt/g', 'content');
    expect(enable(s, '/mnt/g', { algorithm: 2, blockSize: 1024, salt: filled(3, 1) })).toBe(0);
    expect(measure(s, '/mnt/g').slice(0, 2)).toBe('2:');
  });

  it.each([
    [{ blockSize: 3000 }, 'EINVAL'],
    [{ blockSize: 0 }, 'EINVAL'],
    [{ blockSize: 512 }, 'EINVAL'],
    [{ blockSize: 8192 }, 'EINVAL'],
    [{ algorithm: 0 }, 'EINVAL'],
    [{ algorithm: 3 }, 'EINVAL'],
    [{ salt: filled(33, 1) }, 'EMSGSIZE'],
    [{ signature: filled(16129, 1) }, 'EMSGSIZE'],
    [{ salt: filled(33, 1), blockSize: 3000 }, 'EINVAL'],
  ])('refuses %j with %s', (args, errno) => {
    const s = setup();
    expect(enable(s, '/mnt/f', args)).toBe(errno);
    expect(measure(s, '/mnt/f')).toBe('ENODATA');
  });

  it('wants a regular file, write permission, a read-only descriptor and no writer', () => {
    const s = setup();
    expect(enable(s, '/mnt/f', {}, s.user)).toBe('EACCES');
    expect(enable(s, '/mnt/f', {}, s.root, O_WRONLY)).toBe('EBADF');
    expect(enable(s, '/mnt/f', {}, s.root, O_RDWR)).toBe('ETXTBSY');
    const w = must(s.vfs.open(s.root, '/mnt/f', O_WRONLY, 0));
    expect(enable(s, '/mnt/f')).toBe('ETXTBSY');
    s.vfs.put(s.root, w);
    expect(enable(s, '/mnt', {}, s.root, O_RDONLY | O_DIRECTORY)).toBe('EISDIR');
    write(s.vfs, s.root, '/tmp/f', 'x');
    expect(enable(s, '/tmp/f')).toBe('ENOTTY');
    expect(measure(s, '/tmp/f')).toBe('ENOTTY');
    s.vfs.mknod(s.root, '/mnt/p', S_IFIFO | 0o644, 0);
    expect(enable(s, '/mnt/p', {}, s.root, O_RDWR)).toBe('ENOTTY');
  });

  it('needs a file system that was made with the feature, mounted for writing', () => {
    const s = setup();
    const sb = s.vfs.inodeOf(must(s.vfs.lookup(s.root, '/mnt/f'))).sb;
    s.vfs.mount(s.root, {
      source: '/dev/vdc',
      target: '/mnt',
      type: 'ext4',
      flags: ['remount', 'ro'],
      data: '',
    });
    expect(enable(s, '/mnt/f')).toBe('EROFS');
    s.vfs.updateSuperblock(sb, { fsVerity: false });
    expect(enable(s, '/mnt/f')).toBe('EOPNOTSUPP');
    expect(measure(s, '/mnt/f')).toBe('EOPNOTSUPP');
  });
});

describe('a file with fs-verity', () => {
  it('cannot be written or truncated, but renamed, chmodded and unlinked', () => {
    const s = setup();
    enable(s, '/mnt/f');
    expect(s.vfs.open(s.root, '/mnt/f', O_WRONLY, 0)).toMatchObject({ errno: 'EPERM' });
    expect(s.vfs.open(s.root, '/mnt/f', O_RDWR, 0)).toMatchObject({ errno: 'EPERM' });
    expect(s.vfs.truncate(s.root, '/mnt/f', 1)).toBe('EPERM');
    expect(s.vfs.chmod(s.root, '/mnt/f', 0o600)).toBe(0);
    expect(s.vfs.rename(s.root, '/mnt/f', '/mnt/g')).toBe(0);
    expect(measure(s, '/mnt/g')).toMatch(/^1:/);
    expect(s.vfs.unlink(s.root, '/mnt/g')).toBe(0);
  });
});

describe('built-in signatures', () => {
  const signed = { signature: utf8('signature') };

  it('are checked over the formatted digest and told to the LSMs', () => {
    const s = setup();
    expect(enable(s, '/mnt/f', signed)).toBe(0);
    expect(s.checked).toEqual([toHex(fsVerityFormattedDigest('sha256', fsVerityDigest(utf8('content'))))]);
    expect(s.calls.filter((c) => c.hook === 'inodeSetIntegrity')).toHaveLength(1);
  });

  it.each(['ENOKEY', 'EKEYREJECTED', 'EBADMSG'] as const)(
    'leave the file as it was when they give %s',
    (errno) => {
      const s = setup();
      s.verdict = errno;
      expect(enable(s, '/mnt/f', signed)).toBe(errno);
      expect(measure(s, '/mnt/f')).toBe('ENODATA');
      write(s.vfs, s.root, '/mnt/f', 'still writable');
      expect(s.calls.some((c) => c.hook === 'inodeSetIntegrity')).toBe(false);
    },
  );

  it('are checked again at the first open after the inode was loaded', () => {
    const s = setup();
    enable(s, '/mnt/f', signed);
    measure(s, '/mnt/f');
    expect(s.checked).toHaveLength(1);
    expect(s.vfs.umount(s.root, '/mnt')).toBe(0);
    mount(s.vfs, s.root);
    measure(s, '/mnt/f');
    measure(s, '/mnt/f');
    expect(s.checked).toHaveLength(2);
    s.vfs.umount(s.root, '/mnt');
    mount(s.vfs, s.root);
    s.verdict = 'ENOKEY';
    expect(s.vfs.open(s.root, '/mnt/f', O_RDONLY, 0)).toMatchObject({ errno: 'ENOKEY' });
  });

  it('can be demanded of every file', () => {
    const s = setup();
    s.require = true;
    expect(enable(s, '/mnt/f')).toBe('EPERM');
    expect(enable(s, '/mnt/f', signed)).toBe(0);
  });
});
