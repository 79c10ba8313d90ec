// Puts files where no task makes them: the initial ram disk, disk images, and the trees of pseudo file
// systems.

import type { PopulateNode, VfsApi } from '../vfs/api.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import type { PathRef, SbId } from '../vfs/types.ts';
import type { FileSpec } from './api.ts';
import { INIT_PROGRAM } from './images.ts';
import type { TreeNode } from './procfs.ts';

/** The root of a superblock, mounted or not. */
export function rootOf(vfs: VfsApi, sb: SbId): PathRef {
  return { mount: 0, dentry: vfs.superblock(sb).root };
}

function typed(spec: FileSpec): number {
  const mode = spec.mode ?? 0o644;
  if ((mode & S_IFMT) !== 0) return mode;
  return mode | (spec.target === undefined ? S_IFREG : S_IFLNK);
}

function nodeOf(spec: FileSpec): PopulateNode {
  const mode = typed(spec);
  const regular = (mode & S_IFMT) === S_IFREG;
  return {
    mode,
    uid: spec.uid ?? 0,
    gid: spec.gid ?? 0,
    ...(regular ? { content: spec.content ?? { kind: 'bytes', bytes: new Uint8Array(0) } } : {}),
    ...(spec.target === undefined ? {} : { target: spec.target }),
    ...(spec.ino === undefined ? {} : { ino: spec.ino }),
    ...(spec.generation === undefined ? {} : { generation: spec.generation }),
    ...(spec.xattrs === undefined ? {} : { xattrs: spec.xattrs }),
  };
}

const parentsOf = (path: string): string[] => {
  const parts = path.split('/').filter((p) => p !== '');
  return parts.slice(0, -1).map((_, i) => `/${parts.slice(0, i + 1).join('/')}`);
};

/** Lets the tables of the VFS change in place while a tree is filled: nobody else holds them yet. */
function inPlace(vfs: VfsApi, fill: () => void): void {
  const { inodes, dentries, superblocks } = vfs.state;
  vfs.state = {
    ...vfs.state,
    inodes: inodes.asMutable(),
    dentries: dentries.asMutable(),
    superblocks: superblocks.asMutable(),
  };
  fill();
  const filled = vfs.state;
  vfs.state = {
    ...filled,
    inodes: filled.inodes.asImmutable(),
    dentries: filled.dentries.asImmutable(),
    superblocks: filled.superblocks.asImmutable(),
  };
}

/** Files by path; missing parents are made as root's directories with mode 0755. */
export function populateFiles(
  vfs: VfsApi,
  root: PathRef,
  files: { readonly [path: string]: FileSpec },
  there: Iterable<string> = [],
): void {
  const done = new Set<string>(['/', ...there]);
  const make = (path: string, node: PopulateNode): void => {
    if (done.has(path)) return;
    done.add(path);
    vfs.populate(root, path, node);
  };
  inPlace(vfs, () => {
    for (const [name, spec] of Object.entries(files)) {
      const path = `/${name
        .split('/')
        .filter((p) => p !== '')
        .join('/')}`;
      for (const parent of parentsOf(path)) make(parent, { mode: S_IFDIR | 0o755 });
      make(path, nodeOf(spec));
    }
  });
}

/** Nodes of a pseudo file system, parents before children. */
export function populateTree(vfs: VfsApi, sb: SbId, nodes: readonly TreeNode[]): void {
  const root = rootOf(vfs, sb);
  inPlace(vfs, () => {
    for (const { path, ...node } of nodes) vfs.populate(root, `/${path}`, node);
  });
}

/** What the kernel's own archive holds before any other: a console and root's home. */
const BUILT_IN: { readonly [path: string]: FileSpec } = {
  '/dev': { mode: S_IFDIR | 0o755 },
  '/root': { mode: S_IFDIR | 0o700 },
};

/** Directories and /init of a small initramfs, where the given one has none. */
const DEFAULTS: { readonly [path: string]: FileSpec } = {
  '/etc': { mode: S_IFDIR | 0o755 },
  '/lib': { mode: S_IFDIR | 0o755 },
  '/lib/firmware': { mode: S_IFDIR | 0o755 },
  '/mnt': { mode: S_IFDIR | 0o755 },
  '/proc': { mode: S_IFDIR | 0o555 },
  '/sys': { mode: S_IFDIR | 0o555 },
  '/init': { mode: S_IFREG | 0o755, content: { kind: 'bytes', bytes: INIT_PROGRAM } },
};

/**
 * Unpacks the initial ram disk: the built-in archive, the given files, and what they lack for a boot;
 * with `ownInit` no /init is made for them.
 * @kernel init/initramfs.c do_populate_rootfs()
 */
export function unpackInitramfs(
  vfs: VfsApi,
  root: PathRef,
  files: { readonly [path: string]: FileSpec } | undefined,
  ownInit = false,
): void {
  const given = files ?? {};
  const lacks = (path: string): boolean => given[path] === undefined && !(ownInit && path === '/init');
  const rest = Object.entries(DEFAULTS).filter(([path]) => lacks(path));
  const built = Object.entries(BUILT_IN).filter(([path]) => given[path] === undefined);
  populateFiles(vfs, root, { ...Object.fromEntries(built), ...given, ...Object.fromEntries(rest) });
}
