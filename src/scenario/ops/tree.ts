// Operations on names and metadata: directories, mounts, owners, modes, links, extended attributes, inode
// generations, and what changes a process's view of the tree (umask, chroot, namespaces).

import { z } from 'zod';
import { toHex } from '../../base/bytes.ts';
import { O_CLOEXEC, S_IFIFO } from '../../vfs/constants.ts';
import { MODE, PATH } from './files.ts';
import {
  bytesOf,
  byteText,
  DATA,
  defineOp,
  errName,
  NUMBER,
  num,
  type OpDeclaration,
  result,
  textOf,
} from './types.ts';

/** Mount flags are found as parts of the text, so "ro,noexec" and "ro|noexec" mean the same. */
const MOUNT_WORDS = ['ro', 'remount', 'bind', 'iversion', 'noexec', 'nosuid'] as const;
const CLONE_NEWNS = 0x20000;

/** makedev(3): the device number of struct stat. */
export function makedev(major: number, minor: number): number {
  return (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12);
}

const mkdir = defineOp({
  name: 'mkdir',
  help: 'mkdir(2), mode 0755',
  args: { path: PATH, mode: MODE },
  run: ({ actor: { sys } }, args) => result(sys.mkdir(args.path, num(args.mode, 0o755))),
});

const mount = defineOp({
  name: 'mount',
  help: 'mount(2) of src (none) on target (/mnt), type ext4',
  args: {
    src: z.string().optional(),
    target: z.string().optional(),
    type: z.string().optional(),
    flags: z.string().optional().describe('Any of ro remount bind iversion noexec nosuid.'),
    data: DATA.optional().describe('Mount options of the file system.'),
  },
  run({ actor: { sys } }, args) {
    const words = args.flags ?? '';
    const flags = MOUNT_WORDS.filter((w) => words.includes(w));
    const data = textOf(args.data) ?? '';
    return result(sys.mount(args.src ?? 'none', args.target ?? '/mnt', args.type ?? 'ext4', flags, data));
  },
});

const umount = defineOp({
  name: 'umount',
  help: 'umount(2)',
  args: { path: PATH },
  run: ({ actor: { sys } }, args) => result(sys.umount(args.path)),
});

const chmod = defineOp({
  name: 'chmod',
  help: 'chmod(2)',
  args: { path: PATH, mode: MODE },
  run: ({ actor: { sys } }, args) => result(sys.chmod(args.path, num(args.mode, 0o644))),
});

const chown = defineOp({
  name: 'chown',
  help: 'chown(2); -1 leaves an id as it is',
  args: { path: PATH, to_uid: NUMBER.optional(), to_gid: NUMBER.optional() },
  run: ({ actor: { sys } }, args) => result(sys.chown(args.path, num(args.to_uid, -1), num(args.to_gid, -1))),
});

const rename = defineOp({
  name: 'rename',
  help: 'rename(2) of path to `to`',
  args: { path: PATH, to: z.string() },
  run: ({ actor: { sys } }, args) => result(sys.rename(args.path, args.to)),
});

const link = defineOp({
  name: 'link',
  help: 'link(2): a second name `to` for path',
  args: { path: PATH, to: z.string() },
  run: ({ actor: { sys } }, args) => result(sys.link(args.path, args.to)),
});

const symlink = defineOp({
  name: 'symlink',
  help: 'symlink(2): makes the link `to` with the target path',
  args: { path: PATH, to: z.string() },
  run: ({ actor: { sys } }, args) => result(sys.symlink(args.path, args.to)),
});

const unlink = defineOp({
  name: 'unlink',
  help: 'unlink(2)',
  args: { path: PATH },
  run: ({ actor: { sys } }, args) => result(sys.unlink(args.path)),
});

const utimes = defineOp({
  name: 'utimes',
  help: 'utimes(2): both times to t seconds',
  args: { path: PATH, t: NUMBER.optional() },
  run: ({ actor: { sys } }, args) => result(sys.utimes(args.path, num(args.t, 1000))),
});

const mknod = defineOp({
  name: 'mknod',
  help: 'mknod(2); mode holds the type too (default a FIFO)',
  args: { path: PATH, mode: MODE, maj: NUMBER.optional(), min: NUMBER.optional() },
  run: ({ actor: { sys } }, args) =>
    result(
      sys.mknod(args.path, num(args.mode, S_IFIFO | 0o644), makedev(num(args.maj, 0), num(args.min, 0))),
    ),
});

const stat = defineOp({
  name: 'stat',
  help: 'stat(2): size, mode (octal text), uid, gid, nlink, ino',
  args: { path: PATH },
  run({ actor: { sys } }, args) {
    const got = sys.stat(args.path);
    if (!got.ok) return result(got.errno);
    const { size, mode, uid, gid, nlink, ino } = got.value;
    return { err: 'OK', size, mode: mode.toString(8), uid: uid | 0, gid: gid | 0, nlink, ino };
  },
});

const ls = defineOp({
  name: 'ls',
  help: 'names (without those that begin with a dot) and modes of a directory',
  args: { path: PATH },
  run({ actor: { sys } }, args) {
    const got = sys.readdir(args.path);
    if (!got.ok) return result(got.errno);
    const shown = got.value.filter((e) => !e.name.startsWith('.'));
    return { err: 'OK', entries: shown.map((e) => [byteText(e.name), e.mode.toString(8)]) };
  },
});

const setxattr = defineOp({
  name: 'setxattr',
  help: 'setxattr(2); xflags 1 = XATTR_CREATE, 2 = XATTR_REPLACE',
  args: { path: PATH, name: z.string(), data: DATA.optional(), xflags: NUMBER.optional() },
  run: ({ actor: { sys } }, args) =>
    result(sys.setxattr(args.path, args.name, bytesOf(args.data), num(args.xflags, 0))),
});

const removexattr = defineOp({
  name: 'removexattr',
  help: 'removexattr(2)',
  args: { path: PATH, name: z.string() },
  run: ({ actor: { sys } }, args) => result(sys.removexattr(args.path, args.name)),
});

const getxattr = defineOp({
  name: 'getxattr',
  help: 'getxattr(2): value in hex',
  args: { path: PATH, name: z.string() },
  run({ actor: { sys } }, args) {
    const got = sys.getxattr(args.path, args.name);
    return got.ok ? { err: 'OK', value: toHex(got.value) } : result(got.errno);
  },
});

const listxattr = defineOp({
  name: 'listxattr',
  help: 'listxattr(2): names in the order of the file system',
  args: { path: PATH },
  run({ actor: { sys } }, args) {
    const got = sys.listxattr(args.path);
    return got.ok ? { err: 'OK', names: got.value.map(byteText) } : result(got.errno);
  },
});

const geninfo = defineOp({
  name: 'geninfo',
  help: 'inode number and generation (FS_IOC_GETVERSION)',
  args: { path: PATH },
  run({ actor: { sys } }, args) {
    const fd = sys.open(args.path, O_CLOEXEC);
    if (!fd.ok) return result(fd.errno);
    const gen = sys.getVersion(fd.value);
    sys.close(fd.value);
    const stat = sys.stat(args.path);
    return {
      err: errName(gen.ok ? 0 : gen.errno),
      gen: gen.ok ? gen.value : 0,
      ino: stat.ok ? stat.value.ino : 0,
    };
  },
});

const setgen = defineOp({
  name: 'setgen',
  help: 'sets the inode generation (FS_IOC_SETVERSION)',
  args: { path: PATH, gen: NUMBER.optional() },
  run({ actor: { sys } }, args) {
    const fd = sys.open(args.path, O_CLOEXEC);
    if (!fd.ok) return result(fd.errno);
    const err = sys.setVersion(fd.value, num(args.gen, 0));
    sys.close(fd.value);
    return result(err);
  },
});

const umask = defineOp({
  name: 'umask',
  help: 'umask(2)',
  args: { mask: NUMBER.optional() },
  run({ actor: { sys } }, args) {
    sys.umask(num(args.mask, 0o022));
    return { err: 'OK' };
  },
});

const unshare = defineOp({
  name: 'unshare',
  help: 'unshare(2); uflags default CLONE_NEWNS',
  args: { uflags: NUMBER.optional() },
  run: ({ actor: { sys } }, args) => result(sys.unshare(num(args.uflags, CLONE_NEWNS))),
});

const chroot = defineOp({
  name: 'chroot',
  help: 'chroot(2) and chdir to /',
  args: { path: PATH },
  run({ actor: { sys } }, args) {
    const err = sys.chroot(args.path);
    return result(err === 0 ? sys.chdir('/') : err);
  },
});

export const TREE_OPS: readonly OpDeclaration[] = [
  mkdir,
  mount,
  umount,
  chmod,
  chown,
  rename,
  link,
  symlink,
  unlink,
  utimes,
  mknod,
  stat,
  ls,
  setxattr,
  removexattr,
  getxattr,
  listxattr,
  geninfo,
  setgen,
  umask,
  unshare,
  chroot,
];
