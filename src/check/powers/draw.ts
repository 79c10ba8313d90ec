// What action kinds have in common: who acts, which files are worth an attack, and what is put in their
// place.

import type { DataForm } from '../../scenario/schema-data.ts';
import type { StepForm } from '../action.ts';
import type { Role } from '../contents.ts';
import { contentName } from '../contents.ts';
import { dirname } from '../paths.ts';
import type { FileView, View } from '../view.ts';

/** The process that acts. */
export type Who = NonNullable<StepForm['as']>;

export const ROOT: Who = { actor: 'root' };
export const USER: Who = { uid: 1000, gid: 1000, actor: 'user' };

/** Key of the process in a session. */
export function actorKey({ actor = 'main', uid = 0, gid = uid }: Who): string {
  return `${actor}:${uid}:${uid}:${gid}`;
}

/** Files that the owner vouches for, on file systems that outlive the kernel or lie above such. */
export function victims(view: View, ...roles: readonly Role[]): readonly FileView[] {
  return view.files.filter(
    (f) => f.type !== 'rootfs' && view.trusted(f) && (roles.length === 0 || roles.includes(f.role)),
  );
}

/** Whether a file is not as its owner installed it. */
export function isOdd(view: View, file: FileView): boolean {
  const name = contentName(file.content);
  if (!view.trusted(file) || view.subject.outdated.has(name)) return true;
  const installed = view.subject.installed.get(name) ?? [];
  const { mode, uid, gid } = file.inode;
  return !installed.some(
    (f) =>
      f.inode.mode === mode &&
      f.inode.uid === uid &&
      f.inode.gid === gid &&
      f.inode.xattrs === file.inode.xattrs,
  );
}

/** Files that are not as installed, of some kinds. */
export function oddFiles(view: View, ...roles: readonly Role[]): readonly FileView[] {
  return view.files.filter((f) => (roles.length === 0 || roles.includes(f.role)) && isOdd(view, f));
}

export const isExecutable = (file: FileView): boolean => (file.inode.mode & 0o111) !== 0;

/** What stands in for a good file of that kind. */
export function strangerFor(role: Role): DataForm {
  switch (role) {
    case 'module':
      return { module: 'stranger' };
    case 'kernel':
      return { kernel_image: 'stranger' };
    case 'script':
    case 'data':
      return 'stranger\n';
    default:
      return { program: 'stranger' };
  }
}

/** One directory of each file system where new files can be put, and the one for everybody. */
export function dropPlaces(view: View): readonly string[] {
  const first = new Map<string, string>();
  for (const { path, type, inode } of view.directories) {
    if (type === 'rootfs' && path !== '/tmp') continue;
    const key = `${inode.sb}`;
    if (!first.has(key)) first.set(key, path);
  }
  return [...first.values()];
}

export function labelOf(file: FileView, name: string): Uint8Array | undefined {
  return file.inode.xattrs.find((x) => x.name === name)?.value;
}

/** A name beside a file. */
export function beside(path: string, name: string): string {
  const folder = dirname(path);
  return folder === '/' ? `/${name}` : `${folder}/${name}`;
}
