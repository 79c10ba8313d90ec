// The measurement list across kexec: the size of the segment at load, its content when the old kernel ends,
// and what the new kernel takes from it. Stored digests only tell violations from other entries; everything
// else is hashed again.

import { concat, fromLatin1, isZero } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { toArray } from '../base/list.ts';
import { enabled } from '../base/profile.ts';
import { IMA_TEMPLATE_IMA_NAME, SHA1_DIGEST_SIZE } from './constants.ts';
import { type ImaCursor, log } from './cursor.ts';
import { restoreMeasurementEntry } from './queue.ts';
import { R } from './reasons.ts';
import { checkTemplateFmt, lookupTemplateDesc, MAX_TEMPLATE_NAME_LEN, templateFields } from './template.ts';
import { binaryEntry, templateDigests, zeroDigests } from './template-show.ts';
import type { TemplateDesc } from './types.ts';

/** sizeof(struct ima_kexec_hdr). */
const HEADER_SIZE = 24;
const VERSION = 1;

/** Bytes of the list as it is carried. @kernel security/integrity/ima/ima_queue.c ima_get_binary_runtime_size() */
export function kexecListSize(ima: ImaCursor): number {
  return ima.state.binaryRuntimeSize + HEADER_SIZE;
}

/**
 * Bytes reserved for the list in a kexec image, or null where the list is not carried: not built in, or
 * larger than half
 * of the memory.
 * @kernel security/integrity/ima/ima_kexec.c ima_add_kexec_buffer()
 */
export function kexecSegmentSize(ima: ImaCursor, totalRamPages: number): number | null {
  const { profile } = ima.env;
  if (!enabled(profile, 'CONFIG_IMA_KEXEC')) return null;
  const wanted = kexecListSize(ima) + profile.pageSize / 2;
  const pages = Math.ceil(wanted / profile.pageSize);
  if (pages > Math.floor(totalRamPages / 2)) {
    log(ima, 'Binary measurement list too large.');
    return null;
  }
  return pages * profile.pageSize;
}

/**
 * The segment's content. A list that outgrew it is cut in the middle of a record: the records that fit are
 * kept.
 * @kernel security/integrity/ima/ima_kexec.c ima_dump_measurement_list()
 */
export function dumpMeasurementList(ima: ImaCursor, segmentSize: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = HEADER_SIZE;
  let count = 0;
  let cut = false;
  for (const entry of toArray(ima.state.list)) {
    if (size >= segmentSize) {
      cut = true;
      break;
    }
    count++;
    const record = binaryEntry(entry, ima.state.sha1Idx);
    const fits = record.subarray(0, segmentSize - size);
    parts.push(fits);
    size += fits.length;
  }
  if (cut) log(ima, 'Dump measurements failed. Error:-22');
  const header = new Writer('le').u16(VERSION).u16(0).u32(0).u64(BigInt(size)).u64(BigInt(count)).finish();
  return concat(header, ...parts);
}

/** A template that only its format is known of gets an entry of its own in the list of templates. */
function restoredTemplate(ima: ImaCursor, name: string): TemplateDesc | null {
  const known = lookupTemplateDesc(ima.state.templates, name);
  if (known !== null) return known;
  if (checkTemplateFmt(name) !== 0) {
    log(ima, `attempting to initialize the template "${name}" failed`);
    return null;
  }
  const template = { name: '', fmt: name };
  ima.state = { ...ima.state, templates: [...ima.state.templates, template] };
  return template;
}

function restoredFields(
  ima: ImaCursor,
  template: TemplateDesc,
  data: Uint8Array,
): Result<readonly Uint8Array[]> {
  const expected = templateFields(template).length;
  const r = new Reader(data, 'le');
  const fields: Uint8Array[] = [];
  while (fields.length < expected) {
    const field = r.take(r.u32());
    if (r.failed) {
      log(ima, `template data: nr of fields mismatch: expected: ${expected}, current: ${fields.length}`);
      return fail('EINVAL');
    }
    fields.push(field.slice());
  }
  return r.remaining === 0 ? ok(fields) : fail('EINVAL');
}

/** One record; ENOENT ends the restoring without an error, as an unknown format does. */
function restoreEntry(ima: ImaCursor, r: Reader, last: boolean): Err {
  const pcr = r.u32();
  const digest = r.take(SHA1_DIGEST_SIZE);
  const name = fromLatin1(r.take(r.u32()));
  const data = r.take(r.u32());
  if (r.failed) {
    log(ima, 'entry header: nr of fields mismatch: expected: 4');
    return 'EINVAL';
  }
  if (last && r.remaining > 0) {
    log(ima, 'entry header: buf end mismatch');
    return 'EINVAL';
  }
  if (name.length >= MAX_TEMPLATE_NAME_LEN) {
    log(ima, 'attempting to restore a template name that is too long');
    return 'EINVAL';
  }
  if (name === IMA_TEMPLATE_IMA_NAME) {
    log(ima, `attempting to restore an unsupported template "${name}" failed`);
    return 'EINVAL';
  }
  const template = restoredTemplate(ima, name);
  if (template === null) return 'ENOENT';
  if (checkTemplateFmt(template.fmt) !== 0) return 'EINVAL';
  const fields = restoredFields(ima, template, data);
  if (!fields.ok) return fields.errno;
  const { slots } = ima.state;
  const digests = isZero(digest) ? zeroDigests(slots) : templateDigests(template, fields.value, slots);
  restoreMeasurementEntry(ima, { pcr, template, fields: fields.value, digests });
  return 0;
}

/**
 * Takes the records of a segment over, up to the first bad one; registers are not extended.
 * @kernel security/integrity/ima/ima_template.c ima_restore_measurement_list()
 */
export function restoreMeasurementList(ima: ImaCursor, segment: Uint8Array): Err {
  const err = restoreRecords(ima, segment);
  const entries = ima.state.list.length;
  if (err !== 0) log(ima, 'Failed to restore the measurement list: -22');
  const reason = err === 0 ? R['ima.restored'] : R['ima.restore_failed'];
  ima.env.trace.emit('ima.restore', { entries, errno: err }, reason);
  return err;
}

function restoreRecords(ima: ImaCursor, segment: Uint8Array): Err {
  if (segment.length < HEADER_SIZE) return 0;
  const header = new Reader(segment, 'le');
  const version = header.u16();
  header.take(6);
  const size = Number(header.u64());
  const count = header.u64();
  if (version !== VERSION) {
    log(ima, 'attempting to restore a incompatible measurement list');
    return 'EINVAL';
  }
  const r = new Reader(segment.subarray(HEADER_SIZE, Math.max(HEADER_SIZE, size)), 'le');
  for (let n = 1n; r.remaining > 0 && n <= count; n++) {
    const err = restoreEntry(ima, r, n === count);
    if (err === 'ENOENT') return 0;
    if (err !== 0) return err;
  }
  return 0;
}
