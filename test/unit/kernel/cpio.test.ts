// Archives of an initramfs: what is read of newc and crc, where the kernel stops, and the proposed forms with attributes.

import { describe, expect, it } from 'vitest';
import { concat, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { toArray } from '../../../src/base/list.ts';
import type { FileSpec } from '../../../src/kernel/api.ts';
import { type ArchiveForm, readArchive, writeArchive } from '../../../src/kernel/cpio.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { ARCHIVE_FORMS } from '../../../src/proposals/cpio-xattrs/cpio-xattrs.ts';
import '../../../src/proposals/registry.ts';
import { INIT_PROGRAM } from '../../../src/kernel/images.ts';
import { read } from './machines.ts';

const bytes = (text: string) => ({ kind: 'bytes' as const, bytes: utf8(text) });
const LABEL = { name: 'security.ima', value: Uint8Array.of(4, 4, 1) };
const FILES: { readonly [path: string]: FileSpec } = {
  '/init': { mode: 0o755, content: { kind: 'bytes', bytes: INIT_PROGRAM }, xattrs: [LABEL] },
  '/etc/odd': { mode: 0o600, uid: 7, gid: 8, content: bytes('odd') },
  '/etc/link': { target: '/etc/odd' },
};
const FORMS: [string, ArchiveForm][] = Object.entries(ARCHIVE_FORMS);

describe('archives', () => {
  it('come back as they were written, without attributes in newc', () => {
    const { files, problem } = readArchive(writeArchive(FILES));
    expect(problem).toBeNull();
    expect(files.map((f) => [f.path, f.spec.mode?.toString(8), f.spec.uid, f.spec.gid])).toEqual([
      ['/init', '100755', 0, 0],
      ['/etc', '40755', 0, 0],
      ['/etc/odd', '100600', 7, 8],
      ['/etc/link', '120777', 0, 0],
    ]);
    expect(files[2]?.spec.content).toEqual(bytes('odd'));
    expect(files[3]?.spec.target).toBe('/etc/odd');
    expect(files.flatMap((f) => f.spec.xattrs ?? [])).toEqual([]);
  });

  it('are what cpio -H newc writes', () => {
    const head = '070701000000010000816400000000000000000000000100000000';
    const text = fromAscii(writeArchive({ '/a': { mode: 0o544, content: bytes('xy') } }));
    expect(text.slice(0, head.length)).toBe(head);
    expect(text.slice(head.length, 110)).toBe('00000002000000000000000000000000000000000000000200000000');
    expect(text.slice(110, 116)).toBe('a\0xy\0\0');
  });

  it.each(FORMS)('keep attributes in the form %s, which a kernel without it does not read', (_, form) => {
    const image = writeArchive(FILES, form);
    const { files, problem } = readArchive(image, [form]);
    expect(problem).toBeNull();
    expect(files.find((f) => f.path === '/init')?.spec.xattrs).toEqual([LABEL]);
    expect(files.map((f) => f.path)).toEqual(['/init', '/etc', '/etc/odd', '/etc/link']);
    const plain = readArchive(image);
    if (form.companion === undefined) expect(plain).toEqual({ files: [], problem: 'no cpio magic' });
    else expect(plain.files.map((f) => f.path)).toContain('/METADATA!!!');
  });

  it('may follow each other with zeros between them', () => {
    const image = concat(writeArchive({ '/a': {} }), new Uint8Array(8), writeArchive({ '/b': {} }));
    expect(readArchive(image).files.map((f) => f.path)).toEqual(['/a', '/b']);
  });

  const good = writeArchive({ '/a': { content: bytes('abc') } });
  const changed = (at: number, text: string): Uint8Array => {
    const out = good.slice();
    out.set(latin1(text), at);
    return out;
  };
  const behind = concat(writeArchive({ '/a': {} }).slice(0, 112), latin1('070707'));
  it.each<[string, Uint8Array, string]>([
    ['another magic number', changed(0, '070709'), 'no cpio magic'],
    ['the old portable format', changed(0, '070707'), 'incorrect cpio method used: use -H newc option'],
    ['a header with other letters', changed(6, '0000000x'), 'broken padding'],
    ['no name', changed(94, '00000001'), 'broken padding'],
    ['a name without an end', changed(94, '00000001'), 'broken padding'],
    ['more data than there is', changed(54, '00FFFFFF'), 'write error'],
    ['a checksum that does not fit', changed(0, '070702'), 'bad data checksum'],
    ['something behind the first member', behind, 'incorrect cpio method used: use -H newc option'],
  ])('end with %s', (_, image, problem) => {
    expect(readArchive(image).problem).toBe(problem);
  });

  it.each<[string, Uint8Array]>([
    ['a size beyond the data', latin1('000000ff\x01\x01a\0b')],
    ['another version', latin1('0000000d\x02\x01a\0b')],
    ['no end of the name', latin1('0000000c\x01\x01ab')],
    ['too little for a header', latin1('0000000')],
  ])('end at metadata with %s', (_, data) => {
    const image = writeArchive({ '/a': {}, '/METADATA!!!': { content: { kind: 'bytes', bytes: data } } });
    const { files, problem } = readArchive(image, [ARCHIVE_FORMS.cpio_metadata]);
    expect([files.map((f) => f.path), problem]).toEqual([['/a'], expect.stringMatching(/metadata|padding/)]);
  });

  it('say nothing of a type that is no attribute', () => {
    const image = writeArchive({
      '/a': {},
      '/METADATA!!!': { content: { kind: 'bytes', bytes: latin1('0000000c\x01\x02ab') } },
    });
    const { files, problem } = readArchive(image, [ARCHIVE_FORMS.cpio_metadata]);
    expect([problem, files[0]?.spec.xattrs]).toEqual([null, []]);
  });
});

describe('a machine with an archive', () => {
  it('boots from it, with labels where its kernel reads them', () => {
    const image = writeArchive(FILES, ARCHIVE_FORMS.cpio_newcx);
    const m = Machine.boot({ initramfsImage: image, proposals: ['cpio_newcx'] });
    const label = m.sys(1).getxattr('/init', LABEL.name);
    expect(label.ok && toHex(label.value)).toBe(toHex(LABEL.value));
    expect(read(m.sys(1), '/etc/link')).toBe('odd');
    expect(
      Machine.boot({ initramfsImage: writeArchive(FILES) })
        .sys(1)
        .getxattr('/init', LABEL.name),
    ).toMatchObject({
      errno: 'ENODATA',
    });
  });

  it('panics without an /init, and says why it stopped reading', () => {
    const m = Machine.boot({ initramfsImage: writeArchive(FILES, ARCHIVE_FORMS.cpio_newcx) });
    expect(m.kernel.state.panic).toMatch(/No working init found/);
    expect(toArray(m.trace.state.events).some((e) => e.kind === 'boot.initramfs')).toBe(true);
  });
});

function fromAscii(data: Uint8Array): string {
  return String.fromCharCode(...data);
}
