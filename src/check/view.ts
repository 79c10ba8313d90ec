// The machine as an attacker looks at it before acting: files by path with what they are, descriptors and
// mappings that processes hold, and how bytes are written in a scenario. Looking leaves no trace.

import { toHex } from '../base/bytes.ts';
import type { MachineState } from '../kernel/rooms.ts';
import type { DataForm } from '../scenario/schema-data.ts';
import { S_IFDIR, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import type { Content, FsType, Inode, Mount, OverlayLayers, VfsState } from '../vfs/types.ts';
import { type ContentName, contentName, type Role, roleOf } from './contents.ts';
import type { Moment } from './node.ts';
import type { Subject } from './subject.ts';

export interface FileView {
  readonly path: string;
  readonly inode: Inode;
  readonly content: Content;
  readonly role: Role;
  readonly type: FsType;
  /** Name of the disk it lies on, where it does. */
  readonly disk: string | null;
  /** Path from the root of its file system. */
  readonly inside: string;
}

export interface DirectoryView {
  readonly path: string;
  readonly type: FsType;
  readonly inode: Inode;
}

export interface Tree {
  readonly files: readonly FileView[];
  readonly directories: readonly DirectoryView[];
}

const SEEN: ReadonlySet<FsType> = new Set(['ext4', 'vfat', 'tmpfs', 'ramfs', 'rootfs', 'overlay', 'fuse']);
/** Places of the root file system that only hold what the kernel itself put there. */
const SKIPPED: ReadonlySet<string> = new Set(['/dev', '/proc', '/sys', '/root', '/init']);

interface Walk {
  readonly vfs: VfsState;
  readonly files: FileView[];
  readonly directories: DirectoryView[];
}

function walk(w: Walk, mount: Mount, inode: Inode, path: string, inside: string): void {
  const { vfs } = w;
  const sb = vfs.superblocks.get(mount.sb);
  if (sb === undefined) return;
  const type = (inode.mode & S_IFMT) as number;
  if (type === S_IFREG) {
    const data = inode.realData === null ? inode : vfs.inodes.get(inode.realData);
    const content = data?.content ?? null;
    if (content !== null && inode.pseudo === null)
      w.files.push({ path, inode, content, role: roleOf(content), type: sb.type, disk: sb.device, inside });
    return;
  }
  if (type !== S_IFDIR) return;
  w.directories.push({ path: path === '' ? '/' : path, type: sb.type, inode });
  for (const [name, id] of inode.children ?? []) {
    const dentry = vfs.dentries.get(id);
    const below = `${path}/${name}`;
    if (dentry === undefined || SKIPPED.has(below)) continue;
    const over = vfs.mountedOn.get(`${mount.id}:${id}`);
    const child = vfs.inodes.get(dentry.inode);
    if (over === undefined) {
      if (child !== undefined) walk(w, mount, child, below, `${inside}/${name}`);
      continue;
    }
    const top = vfs.mounts.get(over);
    if (top !== undefined) walkMount(w, top, below);
  }
}

/** Files of an overlay as its layers have them: its own inodes are made when somebody looks. */
function walkLayers(w: Walk, mount: Mount, layers: OverlayLayers, path: string): void {
  const inner: Walk = { vfs: w.vfs, files: [], directories: [] };
  for (const at of [layers.upper, ...layers.lowers]) {
    const layer = at === null ? undefined : w.vfs.mounts.get(at.mount);
    const dentry = at === null ? undefined : w.vfs.dentries.get(at.dentry);
    const inode = dentry === undefined ? undefined : w.vfs.inodes.get(dentry.inode);
    if (layer !== undefined && inode !== undefined) walk(inner, layer, inode, path, '');
  }
  const seen = new Set<string>();
  for (const file of inner.files) {
    if (seen.has(file.path)) continue;
    seen.add(file.path);
    w.files.push({ ...file, type: 'overlay', disk: null });
  }
  const root = w.vfs.dentries.get(mount.root);
  const inode = root === undefined ? undefined : w.vfs.inodes.get(root.inode);
  if (inode !== undefined) w.directories.push({ path, type: 'overlay', inode });
}

function walkMount(w: Walk, mount: Mount, path: string): void {
  const sb = w.vfs.superblocks.get(mount.sb);
  const root = w.vfs.dentries.get(mount.root);
  const inode = root === undefined ? undefined : w.vfs.inodes.get(root.inode);
  if (sb === undefined || inode === undefined || !SEEN.has(sb.type)) return;
  if (sb.overlay === null) walk(w, mount, inode, path, '');
  else walkLayers(w, mount, sb.overlay, path);
}

const trees = new WeakMap<VfsState['inodes'], { readonly mounts: VfsState['mounts']; readonly tree: Tree }>();

/** Files and directories of the first task's name space, by path. */
export function treeOf({ vfs, kernel }: MachineState): Tree {
  const known = trees.get(vfs.inodes);
  if (known !== undefined && known.mounts === vfs.mounts) return known.tree;
  const w: Walk = { vfs, files: [], directories: [] };
  const root = kernel.root === null ? undefined : vfs.mounts.get(kernel.root.mount);
  if (root !== undefined) walkMount(w, root, '');
  const byPath = (a: { readonly path: string }, b: { readonly path: string }): number =>
    a.path < b.path ? -1 : 1;
  const tree = { files: w.files.sort(byPath), directories: w.directories.sort(byPath) };
  trees.set(vfs.inodes, { mounts: vfs.mounts, tree });
  return tree;
}

/** Members of forms that are made with a key or a hash. */
const MADE = [
  'modsig',
  'cms',
  'verity_sig',
  'ima_hash',
  'ima_digest',
  'ima_sig',
  'cert',
  'evm_sig',
  'evm_hmac',
];

/** What the candidates of an action kind are drawn from. */
export class View {
  readonly now: Moment;
  readonly subject: Subject;

  constructor(subject: Subject, now: Moment) {
    this.subject = subject;
    this.now = now;
  }

  get machine(): MachineState {
    return this.now.machine;
  }

  get files(): readonly FileView[] {
    return treeOf(this.machine).files;
  }

  get directories(): readonly DirectoryView[] {
    return treeOf(this.machine).directories;
  }

  /** Files of one kind. */
  of(...roles: readonly Role[]): readonly FileView[] {
    return this.files.filter((f) => roles.includes(f.role));
  }

  file(path: string): FileView | undefined {
    return this.files.find((f) => f.path === path);
  }

  trusted(file: FileView): boolean {
    return this.subject.trusted.has(contentName(file.content));
  }

  /** The bytes of a content as a scenario writes them. */
  form(content: Content): DataForm {
    return this.subject.formOf(content);
  }

  /** As `form`, for places that take no content that was signed: its bytes then. */
  plainForm(content: Content): DataForm {
    const form = this.form(content);
    const made = typeof form === 'object' && MADE.some((word) => word in form);
    return made && content.kind === 'bytes' ? hexForm(content.bytes) : form;
  }

  /** Names of slots of an actor. */
  slots(actorKey: string): readonly string[] {
    return [...(this.now.session.actors.get(actorKey)?.slots.keys() ?? [])].sort();
  }

  maps(actorKey: string): readonly string[] {
    return [...(this.now.session.actors.get(actorKey)?.maps.keys() ?? [])].sort();
  }
}

export function hexForm(bytes: Uint8Array): DataForm {
  return { hex: toHex(bytes) };
}

export type { ContentName };
