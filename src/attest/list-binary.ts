// Reads binary measurement lists piece by piece, of every template, either byte order, the sha1 form and
// those of the other banks. Nothing is kept but the bytes of a record that is not complete yet.

import { concat, EMPTY, fromLatin1 } from '../base/bytes.ts';
import { BUILTIN_TEMPLATES } from '../ima/template.ts';
import { type ByteOrder, fieldsOfTemplate, type ListRecord, oldTemplateData } from './record.ts';
import type { Unreadable } from './verdict.ts';

/** Byte order and length of the template digests. */
export interface BinaryForm {
  readonly order: ByteOrder;
  readonly digestSize: number;
}

const DIGEST_SIZES = [20, 32, 48, 64, 28, 16] as const;
const NAME_MAX = 512;
const DATA_MAX = 1 << 26;
const PCR_MAX = 63;
/** sha1, or md5: nothing in a record of the template `ima` says which. */
const OLD_DIGESTS = [20, 16] as const;

function plausible(bytes: Uint8Array, form: BinaryForm): 'known' | 'possible' | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const le = form.order === 'le';
  const at = 4 + form.digestSize;
  if (bytes.length < at + 4 || view.getUint32(0, le) > PCR_MAX) return null;
  const length = view.getUint32(at, le);
  if (length === 0 || length > NAME_MAX || bytes.length < at + 4 + length) return null;
  const name = fromLatin1(bytes.subarray(at + 4, at + 4 + length));
  if (BUILTIN_TEMPLATES.some((t) => t.name === name) || fieldsOfTemplate(name) !== null) return 'known';
  return /^[\x21-\x7e]+$/.test(name) ? 'possible' : null;
}

/** The form of a list by its first record; null when it has none of them. */
export function binaryForm(bytes: Uint8Array): BinaryForm | null {
  let possible: BinaryForm | null = null;
  for (const order of ['le', 'be'] as const) {
    for (const digestSize of DIGEST_SIZES) {
      const form = { order, digestSize };
      const answer = plausible(bytes, form);
      if (answer === 'known') return form;
      if (answer === 'possible') possible ??= form;
    }
  }
  return possible;
}

/** Takes pieces of a list and gives records. */
export class BinaryListReader {
  #form: BinaryForm | null = null;
  #rest: Uint8Array = EMPTY;
  /** Offset of the first byte of `#rest` in its part. */
  #base = 0;
  #index: number;
  readonly #part: number;
  #lastName = '';

  constructor(part: number, index: number) {
    this.#part = part;
    this.#index = index;
  }

  get form(): BinaryForm | null {
    return this.#form;
  }

  get count(): number {
    return this.#index;
  }

  #problem(at: number, message: string): Unreadable {
    return {
      artefact: 'list',
      part: this.#part,
      byte: this.#base + at,
      record: this.#index,
      message: `record ${this.#index}: ${message}`,
    };
  }

  /** All records that are complete with this piece; an answer means that reading cannot go on. */
  feed(piece: Uint8Array, visit: (record: ListRecord) => void): Unreadable | null {
    const bytes = this.#rest.length === 0 ? piece : concat(this.#rest, piece);
    if (this.#form === null) {
      this.#form = binaryForm(bytes);
      if (this.#form === null) {
        this.#rest = bytes;
        return bytes.length < NAME_MAX + 72 ? null : this.#problem(0, 'this is no measurement list');
      }
    }
    return this.#records(bytes, this.#form, visit);
  }

  /** Template names repeat: the one before is compared byte by byte, which makes no text. */
  #name(bytes: Uint8Array, from: number, to: number): string {
    const last = this.#lastName;
    if (last.length === to - from) {
      let i = 0;
      while (i < last.length && last.charCodeAt(i) === bytes[from + i]) i++;
      if (i === last.length) return last;
    }
    this.#lastName = fromLatin1(bytes.subarray(from, to));
    return this.#lastName;
  }

  #records(bytes: Uint8Array, form: BinaryForm, visit: (record: ListRecord) => void): Unreadable | null {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const le = form.order === 'le';
    const head = 4 + form.digestSize + 4;
    let at = 0;
    let problem: Unreadable | null = null;
    while (at + head <= bytes.length) {
      const pcr = view.getUint32(at, le);
      const nameLength = view.getUint32(at + head - 4, le);
      if (pcr > PCR_MAX) problem = this.#problem(at, `there is no register ${pcr}`);
      else if (nameLength === 0 || nameLength > NAME_MAX)
        problem = this.#problem(at + head - 4, `a template name of ${nameLength} bytes`);
      if (problem !== null) break;
      const dataAt = at + head + nameLength;
      if (dataAt > bytes.length) break;
      const template = this.#name(bytes, at + head, dataAt);
      const found = template === 'ima' ? this.#old(view, dataAt, le) : this.#data(view, dataAt, le);
      if (found === null) break;
      if (typeof found === 'string') {
        problem = this.#problem(dataAt, found);
        break;
      }
      visit({
        index: this.#index++,
        part: this.#part,
        byte: this.#base + at,
        pcr,
        digest: bytes.subarray(at + 4, at + 4 + form.digestSize),
        template,
        data: found.data,
        order: form.order,
      });
      at = found.end;
    }
    this.#rest = bytes.subarray(at);
    this.#base += at;
    return problem;
  }

  /** Template data with its length; null when it is not complete. */
  #data(view: DataView, at: number, le: boolean): { data: Uint8Array; end: number } | string | null {
    if (at + 4 > view.byteLength) return null;
    const length = view.getUint32(at, le);
    if (length > DATA_MAX) return `template data of ${length} bytes`;
    const end = at + 4 + length;
    if (end > view.byteLength) return null;
    return { data: new Uint8Array(view.buffer, view.byteOffset + at + 4, length), end };
  }

  /** The template `ima`: a digest without its length, and a name without a zero. */
  #old(view: DataView, at: number, le: boolean): { data: Uint8Array; end: number } | string | null {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    let short = false;
    for (const size of OLD_DIGESTS) {
      const from = at + size + 4;
      if (from > bytes.length) {
        short = true;
        continue;
      }
      const length = view.getUint32(from - 4, le);
      if (length === 0 || length > NAME_MAX) continue;
      const end = from + length;
      if (end > bytes.length) {
        short = true;
        continue;
      }
      const name = bytes.subarray(from, end);
      if (name.includes(0)) continue;
      return { data: oldTemplateData(bytes.subarray(at, from - 4), name), end };
    }
    return short ? null : 'neither a sha1 nor an md5 digest with a file name, as the template ima has them';
  }

  /** The end of the bytes: what is left must be nothing. */
  end(): Unreadable | null {
    if (this.#rest.length === 0) return null;
    const left = `${this.#rest.length} bytes are left`;
    if (this.#form === null) return this.#problem(0, `this is no measurement list (${left})`);
    return this.#problem(0, `the list is cut off here (${left}, too few for a record)`);
  }
}
