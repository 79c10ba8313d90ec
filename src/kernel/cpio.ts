// The archive of an initial ram disk: newc and crc members as the kernel reads them, and the forms with
// extended attributes that were proposed. Reads and writes; compressed archives are left out, and a second
// name of a file gets a copy of its content.

import { concat, fromLatin1, latin1, utf8 } from '../base/bytes.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import type { Xattr } from '../vfs/types.ts';
import type { FileSpec } from './api.ts';

/** One field of a member's header: hexadecimal digits. */
export interface ArchiveField {
  readonly name: string;
  readonly digits: 8 | 16;
}

/** A form of archive members besides newc and crc. */
export interface ArchiveForm {
  /** Magic number of its members, and the fields behind it; `xattrsize` counts bytes between name and data. */
  readonly member?: { readonly magic: string; readonly fields: readonly ArchiveField[] };
  /** Name of members that hold attributes of the member before them. */
  readonly companion?: string;
}

const NAMES = [
  'ino',
  'mode',
  'uid',
  'gid',
  'nlink',
  'mtime',
  'filesize',
  'major',
  'minor',
  'rmajor',
  'rminor',
  'namesize',
] as const;

/** The fields that every form has, as wide as newc has them. */
export const COMMON_FIELDS: readonly ArchiveField[] = NAMES.map((name) => ({ name, digits: 8 }));

const NEWC: readonly ArchiveField[] = [...COMMON_FIELDS, { name: 'check', digits: 8 }];
const TRAILER = 'TRAILER!!!';
const N_ALIGN = 4;
const PATH_MAX = 4096;
/** struct metadata_hdr: size in eight digits, version, type. */
const METADATA_HEADER = 10;
const METADATA_VERSION = 1;
const TYPE_XATTR = 1;

const aligned = (n: number): number => Math.ceil(n / N_ALIGN) * N_ALIGN;

export interface UnpackedFile {
  readonly path: string;
  readonly spec: FileSpec;
}

export interface Unpacked {
  readonly files: readonly UnpackedFile[];
  /** What the kernel says when it stops; what came before is unpacked all the same. */
  readonly problem: string | null;
}

class Broken extends Error {}

function digitsAt(image: Uint8Array, at: number, digits: number): number {
  const text = fromLatin1(image.subarray(at, at + digits));
  if (!/^[0-9a-fA-F]+$/.test(text) || text.length !== digits) throw new Broken('broken padding');
  return Number.parseInt(text, 16);
}

/** Entries of eight digits (bytes that follow), name, NUL, value. */
function attributesOf(section: Uint8Array): readonly Xattr[] {
  const out: Xattr[] = [];
  for (let at = 0; at < section.length; ) {
    const size = digitsAt(section, at, 8);
    const entry = section.subarray(at + 8, at + 8 + size);
    const nul = entry.indexOf(0);
    if (entry.length !== size || nul <= 0) throw new Broken('malformed xattrs');
    out.push({ name: fromLatin1(entry.subarray(0, nul)), value: entry.slice(nul + 1) });
    at += 8 + size;
  }
  return out;
}

/** Entries of struct metadata_hdr; of other types than attributes nothing is taken. */
function metadataOf(data: Uint8Array): readonly Xattr[] {
  const out: Xattr[] = [];
  for (let at = 0; at < data.length; ) {
    if (data.length - at < METADATA_HEADER) throw new Broken('malformed metadata');
    const size = digitsAt(data, at, 8);
    const [version, type] = [data[at + 8], data[at + 9]];
    if (size < METADATA_HEADER || at + size > data.length || version !== METADATA_VERSION)
      throw new Broken('malformed metadata');
    const body = data.subarray(at + METADATA_HEADER, at + size);
    const nul = body.indexOf(0);
    if (type === TYPE_XATTR) {
      if (nul <= 0) throw new Broken('malformed metadata');
      out.push({ name: fromLatin1(body.subarray(0, nul)), value: body.slice(nul + 1) });
    }
    at += size;
  }
  return out;
}

interface Member {
  readonly field: (name: string) => number;
  readonly name: string;
  readonly xattrs: readonly Xattr[];
  readonly data: Uint8Array;
  readonly end: number;
}

function memberAt(image: Uint8Array, at: number, forms: readonly ArchiveForm[]): Member {
  const magic = fromLatin1(image.subarray(at, at + 6));
  const own = forms.find((f) => f.member?.magic === magic)?.member;
  if (own === undefined && magic !== '070701' && magic !== '070702')
    throw new Broken(magic === '070707' ? 'incorrect cpio method used: use -H newc option' : 'no cpio magic');
  const fields = own?.fields ?? NEWC;
  const values = new Map<string, number>();
  let pos = at + 6;
  for (const { name, digits } of fields) {
    values.set(name, digitsAt(image, pos, digits));
    pos += digits;
  }
  const field = (name: string): number => values.get(name) ?? 0;
  const length = field('namesize');
  if (length <= 1 || length > PATH_MAX) throw new Broken('broken padding');
  const name = fromLatin1(image.subarray(pos, pos + length - 1));
  if (image[pos + length - 1] !== 0) throw new Broken('broken padding');
  pos = at + aligned(pos + length - at);
  const attributes = field('xattrsize');
  const xattrs = attributesOf(image.subarray(pos, pos + attributes));
  pos += aligned(attributes);
  const data = image.slice(pos, pos + field('filesize'));
  if (data.length !== field('filesize')) throw new Broken('write error');
  if (magic === '070702' && data.reduce((sum, b) => sum + b, 0) >>> 0 !== field('check'))
    throw new Broken('bad data checksum');
  return { field, name, xattrs, data, end: pos + aligned(field('filesize')) };
}

function fileOf(m: Member): FileSpec {
  const mode = m.field('mode');
  const kind = mode & S_IFMT;
  return {
    mode,
    uid: m.field('uid'),
    gid: m.field('gid'),
    ...(kind === S_IFREG ? { content: { kind: 'bytes', bytes: m.data } } : {}),
    ...(kind === S_IFLNK ? { target: fromLatin1(m.data) } : {}),
    ...(m.xattrs.length === 0 ? {} : { xattrs: m.xattrs }),
  };
}

/**
 * Members of an archive in their order, up to the first mistake. Archives may stand one behind the other with
 * zeros between them.
 * @kernel init/initramfs.c unpack_to_rootfs()
 */
export function readArchive(image: Uint8Array, forms: readonly ArchiveForm[] = []): Unpacked {
  const files: UnpackedFile[] = [];
  const companions = new Set(forms.flatMap((f) => f.companion ?? []));
  try {
    for (let at = 0; at < image.length; ) {
      if (image[at] === 0) {
        at++;
        continue;
      }
      if (at % N_ALIGN !== 0) throw new Broken('broken padding');
      const member = memberAt(image, at, forms);
      at = member.end;
      const last = files.at(-1);
      if (companions.has(member.name)) {
        if (last === undefined) throw new Broken('malformed metadata');
        const xattrs = [...(last.spec.xattrs ?? []), ...metadataOf(member.data)];
        files[files.length - 1] = { path: last.path, spec: { ...last.spec, xattrs } };
      } else if (member.name !== TRAILER) files.push({ path: `/${member.name}`, spec: fileOf(member) });
    }
  } catch (e) {
    if (!(e instanceof Broken)) throw e;
    return { files, problem: e.message };
  }
  return { files, problem: null };
}

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
const padded = (bytes: Uint8Array, from = 0): Uint8Array =>
  concat(bytes, new Uint8Array(aligned(from + bytes.length) - from - bytes.length));

function attributeSection(xattrs: readonly Xattr[]): Uint8Array {
  const entries = xattrs.flatMap(({ name, value }) => {
    const body = concat(latin1(name), Uint8Array.of(0), value);
    return [latin1(hex(body.length, 8)), body];
  });
  return concat(...entries);
}

function metadataSection(xattrs: readonly Xattr[]): Uint8Array {
  const entries = xattrs.flatMap(({ name, value }) => {
    const body = concat(latin1(name), Uint8Array.of(0), value);
    const head = latin1(hex(METADATA_HEADER + body.length, 8));
    return [head, Uint8Array.of(METADATA_VERSION, TYPE_XATTR), body];
  });
  return concat(...entries);
}

interface Written {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly data: Uint8Array;
  readonly xattrs: readonly Xattr[];
}

function member(file: Written, number: number, form: ArchiveForm['member']): Uint8Array {
  const name = latin1(`${file.path.replace(/^\/+/, '')}\0`);
  const section = form === undefined ? new Uint8Array(0) : attributeSection(file.xattrs);
  const values: { readonly [name: string]: number } = {
    ino: number,
    mode: file.mode,
    uid: file.uid,
    gid: file.gid,
    nlink: 1,
    filesize: file.data.length,
    namesize: name.length,
    xattrsize: section.length,
  };
  const fields = (form?.fields ?? NEWC).map((f) => hex(values[f.name] ?? 0, f.digits)).join('');
  const head = latin1(`${form?.magic ?? '070701'}${fields}`);
  return concat(padded(concat(head, name)), padded(section), padded(file.data));
}

function written(path: string, spec: FileSpec): Written {
  const kind = spec.target === undefined ? S_IFREG : S_IFLNK;
  const mode = spec.mode ?? (kind === S_IFLNK ? 0o777 : 0o644);
  const bytes = spec.content?.kind === 'bytes' ? spec.content.bytes : new Uint8Array(0);
  return {
    path,
    mode: (mode & S_IFMT) === 0 ? mode | kind : mode,
    uid: spec.uid ?? 0,
    gid: spec.gid ?? 0,
    data: spec.target === undefined ? bytes : utf8(spec.target),
    xattrs: spec.xattrs ?? [],
  };
}

/** An archive of files, directories on the way included; attributes are lost where the form has no place for them. */
export function writeArchive(
  files: { readonly [path: string]: FileSpec },
  form: ArchiveForm = {},
): Uint8Array {
  const all = new Map<string, Written>();
  for (const [path, spec] of Object.entries(files)) {
    const parts = path.split('/').filter((p) => p !== '');
    for (let i = 1; i < parts.length; i++) {
      const folder = `/${parts.slice(0, i).join('/')}`;
      if (!all.has(folder)) all.set(folder, written(folder, { mode: S_IFDIR | 0o755 }));
    }
    all.set(path, written(path, spec));
  }
  const out: Uint8Array[] = [];
  let number = 1;
  for (const file of all.values()) {
    out.push(member(file, number++, form.member));
    if (form.companion !== undefined && file.xattrs.length > 0) {
      const data = metadataSection(file.xattrs);
      const about = { path: form.companion, mode: S_IFREG, uid: 0, gid: 0, data, xattrs: [] };
      out.push(member(about, number++, form.member));
    }
  }
  const end = { path: TRAILER, mode: 0, uid: 0, gid: 0, data: new Uint8Array(0), xattrs: [] };
  return concat(...out, member(end, 0, form.member));
}
