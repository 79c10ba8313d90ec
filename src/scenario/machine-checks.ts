// Mistakes of a machine's description that a schema cannot see: paths that are none, files inside of files,
// numbers used twice, digests of the wrong length.

import { didYouMean } from '../base/diagnostic.ts';
import { type HashAlgoName, hashAlgo, hashDigestSize } from '../integrity/hash-info.ts';
import { looseHex } from './data.ts';
import type { BootForm, DiskForm, FileForm, MachineForm } from './schema.ts';
import type { DataForm } from './schema-data.ts';
import type { PathStep } from './source.ts';

/** Reports at the value, or at the key, that a path names. */
export interface CheckSink {
  report(path: readonly PathStep[], code: string, message: string, help?: string | null): void;
  reportKey(path: readonly PathStep[], code: string, message: string, help?: string | null): void;
}

type Files = { readonly [path: string]: FileForm };

const XATTR_NAME = /^(?:security|trusted|user|system)\../;

function checkPath(sink: CheckSink, name: string, at: readonly PathStep[]): void {
  const parts = name.split('/').slice(1);
  const bad = parts.some((p) => p === '' || p === '.' || p === '..');
  if (bad)
    sink.reportKey(
      at,
      'scenario.path',
      `\`${name}\` is no plain path`,
      'write it without `.`, `..` and empty parts',
    );
  else if (parts.some((p) => new TextEncoder().encode(p).length > 255))
    sink.reportKey(at, 'scenario.path', 'a name is longer than 255 bytes', null);
}

/** Ancestors of a path, nearest first, without the root. */
function parentsOf(name: string): readonly string[] {
  const parts = name.split('/').slice(1, -1);
  return parts.map((_, i) => `/${parts.slice(0, parts.length - i).join('/')}`);
}

function checkOpaque(sink: CheckSink, form: DataForm | undefined, at: readonly PathStep[]): void {
  if (form === undefined || typeof form !== 'object' || !('opaque' in form)) return;
  for (const [alg, hex] of Object.entries(form.digests)) {
    const place = [...at, 'digests', alg];
    if (hashAlgo(alg) < 0) {
      sink.reportKey(
        place,
        'scenario.digest',
        `unknown algorithm \`${alg}\``,
        didYouMean(alg, ['sha1', 'sha256', 'sha384', 'sha512']) ?? null,
      );
      continue;
    }
    const [size, own] = [hashDigestSize(alg as HashAlgoName), looseHex(hex).length];
    if (size !== own) sink.report(place, 'scenario.digest', `a ${alg} digest has ${size} bytes, not ${own}`);
  }
}

function checkFiles(sink: CheckSink, files: Files | undefined, at: readonly PathStep[]): void {
  const numbers = new Map<number, string>();
  for (const [name, form] of Object.entries(files ?? {})) {
    const place = [...at, name];
    checkPath(sink, name, place);
    checkOpaque(sink, form.content, [...place, 'content']);
    for (const parent of parentsOf(name)) {
      const above = files?.[parent];
      if (above !== undefined && above.directory !== true)
        sink.reportKey(place, 'scenario.path', `\`${parent}\` is no directory, so nothing can be in it`);
    }
    for (const key of Object.keys(form.xattrs ?? {})) {
      if (XATTR_NAME.test(key)) continue;
      const help = 'names begin with `security.`, `trusted.`, `user.` or `system.`';
      sink.reportKey(
        [...place, 'xattrs', key],
        'scenario.xattr',
        `\`${key}\` is no name of an attribute`,
        help,
      );
    }
    if (form.ino === undefined) continue;
    const first = numbers.get(form.ino);
    if (first !== undefined)
      sink.report(
        [...place, 'ino'],
        'scenario.duplicate',
        `\`${first}\` has the inode number ${form.ino} already`,
      );
    numbers.set(form.ino, name);
  }
}

function checkDisks(sink: CheckSink, disks: readonly DiskForm[]): void {
  const seen = new Set<string>();
  for (const [i, disk] of disks.entries()) {
    const at = ['machine', 'disks', i];
    if (seen.has(disk.name))
      sink.report([...at, 'name'], 'scenario.duplicate', `a second disk \`${disk.name}\``);
    if (/^(?:dm-|loop|ram)/.test(disk.name))
      sink.report(
        [...at, 'name'],
        'scenario.disk',
        `\`${disk.name}\` is made by the kernel`,
        'use a name such as `vdc`',
      );
    seen.add(disk.name);
    const hash = disk.verity?.hash_disk;
    if (hash !== undefined && (seen.has(hash) || disks.some((d) => d.name === hash)))
      sink.report([...at, 'verity', 'hash_disk'], 'scenario.duplicate', `a second disk \`${hash}\``);
    if (hash !== undefined) seen.add(hash);
    if (disk.image !== undefined && (disk.files !== undefined || disk.verity !== undefined))
      sink.report(
        [...at, 'image'],
        'scenario.disk',
        'a disk is an image or it has files',
        'remove `files` and `verity`, or the image',
      );
    checkFiles(sink, disk.files, [...at, 'files']);
  }
}

/** Such mistakes of what a boot has. */
export function checkBoot(sink: CheckSink, form: BootForm, at: readonly PathStep[]): void {
  checkFiles(sink, form.initramfs, [...at, 'initramfs']);
  const archive = form.initramfs_image;
  if (typeof archive === 'object' && 'files' in archive)
    checkFiles(sink, archive.files, [...at, 'initramfs_image', 'files']);
}

/** All such mistakes of the `machine` part. */
export function checkMachine(sink: CheckSink, form: MachineForm): void {
  checkDisks(sink, form.disks ?? []);
  checkBoot(sink, form, ['machine']);
  if (form.tpm === undefined || form.tpm === 'none') return;
  const { banks } = form.tpm;
  for (const [i, bank] of banks.entries()) {
    if (banks.indexOf(bank) < i)
      sink.report(
        ['machine', 'tpm', 'banks', i],
        'scenario.duplicate',
        `the bank \`${bank}\` stands there already`,
      );
  }
}
