// Bytes of a measurement: template data as it is hashed, the binary record and the ASCII line of the
// securityfs lists, and the template digests. Numbers are little-endian: ima_canonical_fmt changes nothing on
// the machines modelled here.

import { concat, fromLatin1, latin1, toHex } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { kernelHash } from '../integrity/hash-info.ts';
import { IMA_EVENT_NAME_LEN_MAX, IMA_TEMPLATE_IMA_NAME, SHA1_DIGEST_SIZE } from './constants.ts';
import { type FieldId, templateFields, templateShownName } from './template.ts';
import type { DigestSlot, TemplateDesc, TemplateEntry } from './types.ts';

/** The u32 lengths and bytes of all fields. */
export function templateData(fields: readonly Uint8Array[]): Uint8Array {
  const w = new Writer('le');
  for (const field of fields) w.u32(field.length).bytes(field);
  return w.finish();
}

/**
 * What the template digest covers: for `ima` the digest and the name padded to 256 bytes, without lengths.
 */
function hashedData(template: TemplateDesc, fields: readonly Uint8Array[]): Uint8Array {
  if (template.name !== IMA_TEMPLATE_IMA_NAME) return templateData(fields);
  const ids = templateFields(template);
  return concat(
    ...fields.map((field, i) => {
      if (ids[i] !== 'n') return field;
      const padded = new Uint8Array(IMA_EVENT_NAME_LEN_MAX + 1);
      padded.set(field);
      return padded;
    }),
  );
}

function padded(digest: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  out.set(digest.subarray(0, Math.min(size, digest.length)));
  return out;
}

/**
 * Template digest of every slot; a slot that the kernel cannot compute holds the sha1 digest padded with
 * zeros.
 * @kernel security/integrity/ima/ima_crypto.c ima_calc_field_array_hash()
 */
export function templateDigests(
  template: TemplateDesc,
  fields: readonly Uint8Array[],
  slots: readonly DigestSlot[],
): readonly Uint8Array[] {
  const data = hashedData(template, fields);
  const sha1 = kernelHash('sha1', data);
  return slots.map((slot) => {
    if (slot.alg === 'sha1') return sha1;
    return slot.computed ? kernelHash(slot.alg, data) : padded(sha1, slot.size);
  });
}

/** The record of a violation: zeros in every slot. */
export function zeroDigests(slots: readonly DigestSlot[]): readonly Uint8Array[] {
  return slots.map((slot) => new Uint8Array(slot.size));
}

/** What a violation extends the banks with. @kernel security/integrity/ima/ima_queue.c ima_init_digests() */
export function violationDigest(slot: DigestSlot): Uint8Array {
  const out = new Uint8Array(slot.size);
  // A bank whose algorithm has no name in the kernel gets as many bytes as sha1 has.
  return out.fill(0xff, 0, slot.suffix.startsWith('tpm_alg_') ? SHA1_DIGEST_SIZE : slot.size);
}

function cString(field: Uint8Array): string {
  const end = field.indexOf(0);
  return fromLatin1(end < 0 ? field : field.subarray(0, end));
}

function unsignedText(field: Uint8Array): string {
  const view = new DataView(field.buffer, field.byteOffset, field.byteLength);
  if (field.length === 2) return String(view.getUint16(0, true));
  if (field.length === 4) return String(view.getUint32(0, true));
  return '';
}

function asciiField(id: FieldId, field: Uint8Array): string {
  switch (id) {
    case 'n':
    case 'n-ng':
    case 'xattrnames':
      return cString(field);
    case 'd-ng':
    case 'd-ngv2':
    case 'd-modsig': {
      const prefix = cString(field);
      return prefix + toHex(field.subarray(prefix.length + 1));
    }
    case 'iuid':
    case 'igid':
    case 'imode':
      return unsignedText(field);
    default:
      return toHex(field);
  }
}

/**
 * One line of an ascii list, with its newline.
 * @kernel security/integrity/ima/ima_fs.c ima_ascii_measurements_show()
 */
export function asciiEntry(entry: TemplateEntry, slot: number): string {
  const ids = templateFields(entry.template);
  const digest = toHex(entry.digests[slot] as Uint8Array);
  let line = `${String(entry.pcr).padStart(2)} ${digest} ${templateShownName(entry.template)}`;
  for (const [i, field] of entry.fields.entries()) {
    line += ' ';
    if (field.length > 0) line += asciiField(ids[i] as FieldId, field);
  }
  return `${line}\n`;
}

/** One record of a binary list. @kernel security/integrity/ima/ima_fs.c ima_measurements_show() */
export function binaryEntry(entry: TemplateEntry, slot: number): Uint8Array {
  const name = latin1(templateShownName(entry.template));
  const ids = templateFields(entry.template);
  const old = templateShownName(entry.template) === IMA_TEMPLATE_IMA_NAME;
  const w = new Writer('le').u32(entry.pcr).bytes(entry.digests[slot] as Uint8Array);
  w.u32(name.length).bytes(name);
  if (!old) w.u32(templateDataLength(entry.fields));
  for (const [i, field] of entry.fields.entries()) {
    if (old && ids[i] === 'd') w.bytes(field);
    else if (old && ids[i] === 'n') {
      const text = latin1(cString(field));
      w.u32(text.length).bytes(text);
    } else w.u32(field.length).bytes(field);
  }
  return w.finish();
}

/** template_data_len: lengths included. */
export function templateDataLength(fields: readonly Uint8Array[]): number {
  let n = 0;
  for (const field of fields) n += 4 + field.length;
  return n;
}

/**
 * Memory that a record takes in a kexec segment. The name counts without the format that stands in for an
 * empty one,
 * and the `ima` template counts lengths that its records do not have: both as the kernel does.
 * @kernel security/integrity/ima/ima_queue.c get_binary_runtime_size()
 */
export function binaryRuntimeSize(entry: TemplateEntry): number {
  return 4 + SHA1_DIGEST_SIZE + 4 + entry.template.name.length + 4 + templateDataLength(entry.fields);
}
