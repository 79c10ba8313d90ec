// One record of a measurement list, whichever form it was read from, and its fields taken apart: digest with
// algorithm, name, signature. The bytes that the template digest covers are kept as they were in a binary
// list and made again from an ASCII one.

import { concat, EMPTY, fromLatin1, isZero, toHex } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import {
  BUILTIN_TEMPLATES,
  checkTemplateFmt,
  type FieldId,
  lookupTemplateDesc,
  templateFields,
} from '../ima/template.ts';

export type ByteOrder = 'le' | 'be';

export interface ListRecord {
  /** From 0, over all parts of the list. */
  readonly index: number;
  readonly part: number;
  /** Offset in its part. */
  readonly byte: number;
  readonly pcr: number;
  /** Template digest as the list has it. */
  readonly digest: Uint8Array;
  readonly template: string;
  /** What the template digest covers; null where an ASCII line cannot be taken apart. */
  readonly data: Uint8Array | null;
  readonly order: ByteOrder;
}

const known = new Map<string, readonly FieldId[] | null>();

/** Fields of a template by its shown name (a name or a format); null for one that no kernel has. */
export function fieldsOfTemplate(name: string): readonly FieldId[] | null {
  let fields = known.get(name);
  if (fields === undefined) {
    const desc = lookupTemplateDesc(BUILTIN_TEMPLATES, name) ?? { name: '', fmt: name };
    fields = desc.fmt !== '' && checkTemplateFmt(desc.fmt) === 0 ? templateFields(desc) : null;
    if (known.size < 1000) known.set(name, fields);
  }
  return fields;
}

/** Whether every byte of the template digest is zero, which marks a violation. */
export function isViolation(record: ListRecord): boolean {
  return record.digest[0] === 0 && isZero(record.digest);
}

/** @kernel security/integrity/ima/ima_template.c: the name field of `ima` is padded to this length */
const PADDED_NAME = 256;
/** sha1, or md5 with `ima_hash=md5`: nothing in the record says which. */
const SHORT_DIGESTS = [20, 16] as const;

/** The fields of a record by their ids; null when its data does not have the form of its template. */
export function recordFields(record: ListRecord): ReadonlyMap<FieldId, Uint8Array> | null {
  const ids = fieldsOfTemplate(record.template);
  const { data } = record;
  if (ids === null || data === null) return null;
  const out = new Map<FieldId, Uint8Array>();
  if (record.template === 'ima') {
    const size = SHORT_DIGESTS.find((n) => data.length === n + PADDED_NAME);
    if (size === undefined) return null;
    const name = data.subarray(size);
    out.set('d', data.subarray(0, size));
    return out.set('n', name.subarray(0, Math.min(PADDED_NAME, name.indexOf(0) + 1 || PADDED_NAME)));
  }
  const r = new Reader(data, record.order);
  for (const id of ids) out.set(id, r.take(r.u32()));
  return r.failed || r.remaining > 0 ? null : out;
}

/** What the template `ima` hashes: digest and name without lengths. */
export function oldTemplateData(digest: Uint8Array, name: Uint8Array): Uint8Array {
  const padded = new Uint8Array(PADDED_NAME);
  padded.set(name.subarray(0, PADDED_NAME));
  return concat(digest, padded);
}

/** Fields with their lengths, as every other template hashes them. */
export function templateDataOf(fields: readonly Uint8Array[], order: ByteOrder): Uint8Array {
  const w = new Writer(order);
  for (const field of fields) w.u32(field.length).bytes(field);
  return w.finish();
}

/** A digest field taken apart. */
export interface FileDigest {
  /** `ima` or `verity` of the second form, else empty. */
  readonly kind: string;
  readonly alg: string;
  readonly digest: Uint8Array;
}

export function readDigestField(id: FieldId, field: Uint8Array): FileDigest | null {
  if (id === 'd') return { kind: '', alg: field.length === 16 ? 'md5' : 'sha1', digest: field };
  const end = field.indexOf(0);
  const prefix =
    end < 0 ? null : /^(?:(ima|verity):)?([a-z0-9-]+):$/.exec(fromLatin1(field.subarray(0, end)));
  if (prefix === null) return null;
  return { kind: prefix[1] ?? '', alg: prefix[2] ?? '', digest: field.subarray(end + 1) };
}

const DIGEST_FIELDS = ['d-ng', 'd-ngv2', 'd'] as const satisfies readonly FieldId[];

/** Whether records of a template hold the digest of what was measured. */
export function hasDigestField(template: string): boolean {
  const fields = fieldsOfTemplate(template);
  return fields !== null && DIGEST_FIELDS.some((id) => fields.includes(id));
}

/** What a verifier wants to know of a record. */
export interface Measured {
  readonly name: string;
  readonly file: FileDigest | null;
  /** Value of security.ima or security.evm, empty without one. */
  readonly sig: Uint8Array;
  /** What was measured instead of a file; null for a file. */
  readonly buf: Uint8Array | null;
}

/** Name, digest and signature of a record; null when its fields cannot be told apart. */
export function measuredOf(record: ListRecord): Measured | null {
  const fields = recordFields(record);
  if (fields === null) return null;
  const text = fields.get('n-ng') ?? fields.get('n') ?? EMPTY;
  const end = text.indexOf(0);
  const id = DIGEST_FIELDS.find((f) => fields.has(f));
  // Files have an empty buffer in a template that keeps one.
  const buf = fields.get('buf') ?? EMPTY;
  return {
    name: fromLatin1(end < 0 ? text : text.subarray(0, end)),
    file: id === undefined ? null : readDigestField(id, fields.get(id) ?? EMPTY),
    sig: fields.get('sig') ?? fields.get('evmsig') ?? EMPTY,
    buf: buf.length === 0 ? null : buf,
  };
}

/** `sha256:ab12..` for a message. */
export function digestText(file: FileDigest | null): string {
  return file === null ? 'no digest' : `${file.alg}:${toHex(file.digest)}`;
}
