// Three ways to give the files of an initramfs their extended attributes, so that rules that appraise can
// hold from the first program on: a bumped magic number with one more field (Mimi Zohar, 2015), the format
// newcx (Taras Kondratiuk, 2018), and members named METADATA!!! behind the files that they describe (Roberto
// Sassu, 2019). None was merged.

import { type ArchiveForm, COMMON_FIELDS } from '../../kernel/cpio.ts';
import { defineExtension, type Extension } from '../../kernel/extension.ts';

const WIDE: ReadonlySet<string> = new Set(['mtime', 'filesize']);

/**
 * The forms by the design's name.
 * @deviation the order of the new fields follows the descriptions of the series; no archives made by their
 * tools were at hand
 */
export const ARCHIVE_FORMS = {
  cpio_magic_bump: {
    member: {
      magic: '070703',
      fields: [...COMMON_FIELDS, { name: 'check', digits: 8 }, { name: 'xattrsize', digits: 8 }],
    },
  },
  cpio_newcx: {
    member: {
      magic: '070703',
      fields: [
        ...COMMON_FIELDS.map((f) => (WIDE.has(f.name) ? { ...f, digits: 16 as const } : f)),
        { name: 'xattrsize', digits: 8 },
      ],
    },
  },
  cpio_metadata: { companion: 'METADATA!!!' },
} as const satisfies { readonly [name: string]: ArchiveForm };

const design = (name: keyof typeof ARCHIVE_FORMS, about: string): Extension =>
  defineExtension<null>({ name, about, start: () => null, archiveForms: [ARCHIVE_FORMS[name]] });

export const cpioXattrs: readonly Extension[] = [
  design('cpio_magic_bump', 'members of an initramfs with the magic number 070703 carry extended attributes'),
  design('cpio_newcx', 'members of an initramfs in the format newcx carry extended attributes'),
  design('cpio_metadata', 'members named METADATA!!! hold the extended attributes of the file before them'),
];
