// What somebody between machine and verifier may do to a copy of the measurement list: leave records out,
// change their order, cut the end off, overwrite bytes, and make the digest of a changed record fit again.

import * as z from 'zod';
import { BinaryListReader } from '../../attest/list-binary.ts';
import { concat, fromLatin1, isZero, latin1 } from '../../base/bytes.ts';
import { crypto } from '../../crypto/provider.ts';

const INDEX = z.int().min(0).describe('Position of a record, from 0.');
const TEXT = z.string().min(1);

export const EDITS = z
  .union([
    z.strictObject({ drop: INDEX }),
    z.strictObject({ swap: z.tuple([INDEX, INDEX]) }),
    z.strictObject({ keep: INDEX.describe('How many records stay; the rest is cut off.') }),
    z.strictObject({
      replace: TEXT.describe('Text that is overwritten where it is found first,'),
      by: TEXT.describe('and what stands there then; of the same length.'),
      digest: z
        .enum(['old', 'new'])
        .optional()
        .describe('`new` makes the digest of the record fit again; default old.'),
    }),
    z.strictObject({ hide: z.literal('violations') }),
  ])
  .describe('One change of a list.');

export type ListEdit = z.infer<typeof EDITS>;

/** Bytes of each record. */
function recordsOf(list: Uint8Array): Uint8Array[] {
  const starts: number[] = [];
  const reader = new BinaryListReader(0, 0);
  const note = (record: { readonly byte: number }): void => void starts.push(record.byte);
  reader.feed(list, note);
  reader.end();
  return starts.map((start, i) => list.slice(start, starts[i + 1] ?? list.length));
}

const DIGEST_AT = 4;
const DIGEST_SIZE = 20;

/** SHA-1 of the template data behind name and lengths. */
function withDigest(record: Uint8Array): Uint8Array {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  const name = DIGEST_AT + DIGEST_SIZE;
  const data = name + 4 + view.getUint32(name, true) + 4;
  const out = record.slice();
  out.set(crypto().hash('sha1', record.subarray(data)), DIGEST_AT);
  return out;
}

function overwritten(record: Uint8Array, from: string, to: string): Uint8Array | null {
  const at = fromLatin1(record).indexOf(from);
  if (at < 0) return null;
  const out = record.slice();
  out.set(latin1(to).subarray(0, from.length), at);
  return out;
}

function edited(records: readonly Uint8Array[], edit: ListEdit): readonly Uint8Array[] {
  if ('drop' in edit) return records.filter((_, i) => i !== edit.drop);
  if ('keep' in edit) return records.slice(0, edit.keep);
  if ('hide' in edit) return records.filter((r) => !isZero(r.subarray(DIGEST_AT, DIGEST_AT + DIGEST_SIZE)));
  if ('swap' in edit) {
    const [a, b] = edit.swap;
    const order = records.map((_, i) => (i === a ? b : i === b ? a : i));
    return order.flatMap((i) => records[i] ?? []);
  }
  const index = records.findIndex((r) => fromLatin1(r).includes(edit.replace));
  return records.map((r, i) => {
    const changed = i === index ? overwritten(r, edit.replace, edit.by) : null;
    return changed === null ? r : edit.digest === 'new' ? withDigest(changed) : changed;
  });
}

/** The parts of a list after all edits; those that change nothing leave the parts as they are. */
export function tamper(parts: readonly Uint8Array[], edits: readonly ListEdit[]): readonly Uint8Array[] {
  if (edits.length === 0) return parts;
  const records = edits.reduce(edited, recordsOf(concat(...parts)) as readonly Uint8Array[]);
  return [concat(...records)];
}
