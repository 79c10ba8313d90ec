// Lists that a recorded kernel wrote: every binary record is read, hashed and written again, and every line
// of the ASCII lists follows from its bytes. Covers all templates and formats that the records hold.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { fromHex, fromLatin1, isZero, latin1, toHex } from '../../../src/base/bytes.ts';
import { Reader } from '../../../src/base/codec.ts';
import { BUILTIN_TEMPLATES, checkTemplateFmt, templateFields } from '../../../src/ima/template.ts';
import { asciiEntry, binaryEntry, templateDigests, zeroDigests } from '../../../src/ima/template-show.ts';
import type { DigestSlot, TemplateEntry } from '../../../src/ima/types.ts';
import { ROOT } from '../../support.ts';

const SLOTS: readonly DigestSlot[] = [
  { alg: 'sha1', size: 20, computed: true, bank: 4, suffix: 'sha1' },
  { alg: 'sha256', size: 32, computed: true, bank: 11, suffix: 'sha256' },
];

interface Final {
  readonly ascii?: string;
  readonly ascii_sha256?: string | object;
  readonly binary?: string;
}

const FOLDER = join(ROOT, 'test/conformance/records');
const lists = readdirSync(FOLDER)
  .sort()
  .flatMap((f) => {
    const record = JSON.parse(readFileSync(join(FOLDER, f), 'utf8')) as {
      final?: Final;
      stage2?: { final?: Final };
    };
    return [
      [f, record.final],
      [`${f} second kernel`, record.stage2?.final],
    ] as const;
  })
  .filter((x): x is readonly [string, Final] => (x[1]?.binary ?? '') !== '');

interface Decoded {
  readonly digest: Uint8Array;
  readonly record: Uint8Array;
  readonly entry: TemplateEntry;
}

/** Reads one record of a sha1 list without the code under test. */
function decode(r: Reader): Decoded {
  const from = r.offset;
  const pcr = r.u32();
  const digest = r.take(20);
  const name = fromLatin1(r.take(r.u32()));
  const known = BUILTIN_TEMPLATES.find((t) => t.name === name);
  const template = known ?? { name: '', fmt: name };
  expect(checkTemplateFmt(template.fmt)).toBe(0);
  let fields: Uint8Array[];
  if (name === 'ima') {
    // The digest has no length: what is left is a name whose length is known.
    const rest = r.bytes.subarray(r.offset);
    const size = [20, 16].find((n) => {
      const length = new DataView(rest.buffer, rest.byteOffset + n, 4).getUint32(0, true);
      return length > 0 && length <= 255 && n + 4 + length <= rest.length;
    });
    const d = r.take(size ?? 0);
    fields = [d, latin1(`${fromLatin1(r.take(r.u32()))}\0`)];
  } else {
    const data = new Reader(r.take(r.u32()), 'le');
    fields = templateFields(template).map(() => data.take(data.u32()));
    expect([data.failed, data.remaining]).toEqual([false, 0]);
  }
  const digests = isZero(digest) ? zeroDigests(SLOTS) : templateDigests(template, fields, SLOTS);
  return { digest, record: r.bytes.subarray(from, r.offset), entry: { pcr, template, fields, digests } };
}

function decodeAll(hex: string): Decoded[] {
  const r = new Reader(fromHex(hex), 'le');
  const out: Decoded[] = [];
  while (r.remaining > 0) {
    out.push(decode(r));
    if (r.failed) throw new Error('record is cut');
  }
  return out;
}

describe('measurement lists of the recorded kernel', () => {
  it('hold many templates', () => {
    const names = new Set(
      lists.flatMap(([, l]) => decodeAll(l.binary ?? '').map((d) => d.entry.template.fmt)),
    );
    expect(names.size).toBeGreaterThan(8);
    expect(lists.length).toBeGreaterThan(150);
  });

  it.each(lists)('%s', (_name, list) => {
    const entries = decodeAll(list.binary ?? '');
    for (const { digest, record, entry } of entries) {
      expect(toHex(entry.digests[0] as Uint8Array)).toBe(toHex(digest));
      expect(toHex(binaryEntry(entry, 0))).toBe(toHex(record));
    }
    const ascii = entries.map(({ entry }) => asciiEntry(entry, 0)).join('');
    expect(ascii.split('\n')).toEqual((list.ascii ?? '').split('\n'));
    // Without that bank there is no such list: the record holds the errno of its open.
    if (typeof list.ascii_sha256 === 'string') {
      const sha256 = entries.map(({ entry }) => asciiEntry(entry, 1)).join('');
      expect(sha256.split('\n')).toEqual(list.ascii_sha256.split('\n'));
    }
  });
});
