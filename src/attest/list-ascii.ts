// Reads ASCII measurement lists line by line and makes the template data again from the printed fields. A
// name may hold any byte but a space, so a line that has no form of a record belongs to the name before it.

import { concat, EMPTY, fromHex, fromLatin1, latin1 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import type { FieldId } from '../ima/template.ts';
import { fieldsOfTemplate, type ListRecord, oldTemplateData, templateDataOf } from './record.ts';
import type { Unreadable } from './verdict.ts';

const RECORD = /^ ?(\d{1,2}) ((?:[0-9a-fA-F]{2})+) (\S+)(?: ([\s\S]*))?$/;
const LINE_MAX = 1 << 24;
const NEWLINE = 10;

/** Whether the first line of some bytes is a record of an ASCII list. */
export function looksAscii(bytes: Uint8Array): boolean {
  const end = bytes.indexOf(NEWLINE);
  const line = fromLatin1(bytes.subarray(0, end < 0 ? Math.min(bytes.length, 4096) : Math.min(end, 4096)));
  const m = RECORD.exec(line);
  return m !== null && [32, 40, 56, 64, 96, 128].includes((m[2] ?? '').length);
}

function hexField(text: string): Uint8Array | null {
  return text.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(text) ? fromHex(text) : null;
}

function numberField(text: string, bytes: 2 | 4): Uint8Array | null {
  if (text === '') return EMPTY;
  const n = /^\d+$/.test(text) ? Number(text) : -1;
  if (n < 0 || n >= 2 ** (8 * bytes)) return null;
  return bytes === 2 ? new Writer('le').u16(n).finish() : new Writer('le').u32(n).finish();
}

/** The stored bytes of a printed field; null when the text cannot be one. */
function fieldBytes(id: FieldId, text: string): Uint8Array | null {
  switch (id) {
    case 'n':
    case 'n-ng':
      return latin1(`${text}\0`);
    case 'xattrnames':
      return text === '' ? EMPTY : latin1(`${text}\0`);
    case 'd-ng':
    case 'd-ngv2':
    case 'd-modsig': {
      if (text === '') return EMPTY;
      const colon = text.lastIndexOf(':');
      const digest = hexField(text.slice(colon + 1));
      return colon < 0 || digest === null ? null : concat(latin1(`${text.slice(0, colon + 1)}\0`), digest);
    }
    case 'iuid':
    case 'igid':
      return numberField(text, 4);
    case 'imode':
      return numberField(text, 2);
    default:
      return hexField(text);
  }
}

/** Texts of the fields: one space before each; a name takes what is too much. */
function splitFields(ids: readonly FieldId[], text: string): string[] {
  const words = text.split(' ');
  const name = ids.findIndex((id) => id === 'n-ng' || id === 'n');
  const extra = words.length - ids.length;
  if (extra > 0 && name >= 0) words.splice(name, extra + 1, words.slice(name, name + extra + 1).join(' '));
  while (words.length < ids.length) words.push('');
  return words;
}

/** What the template digest of a line covers; null where the line cannot be taken apart. */
function dataOf(template: string, text: string): Uint8Array | null {
  const ids = fieldsOfTemplate(template);
  if (ids === null) return null;
  const words = splitFields(ids, text);
  if (words.length !== ids.length) return null;
  const fields: Uint8Array[] = [];
  for (const [i, id] of ids.entries()) {
    const bytes = fieldBytes(id, words[i] ?? '');
    if (bytes === null) return null;
    fields.push(bytes);
  }
  if (template === 'ima') return oldTemplateData(fields[0] ?? EMPTY, fields[1] ?? EMPTY);
  return templateDataOf(fields, 'le');
}

/** Takes pieces of an ASCII list and gives records. */
export class AsciiListReader {
  #rest: Uint8Array = EMPTY;
  #base = 0;
  #pending: { readonly line: string; readonly byte: number } | null = null;
  #index: number;
  #digestSize = 0;
  readonly #part: number;

  constructor(part: number, index: number) {
    this.#part = part;
    this.#index = index;
  }

  get digestSize(): number {
    return this.#digestSize;
  }

  get count(): number {
    return this.#index;
  }

  #problem(byte: number, message: string): Unreadable {
    const record = this.#index;
    return { artefact: 'list', part: this.#part, byte, record, message: `record ${record}: ${message}` };
  }

  feed(piece: Uint8Array, visit: (record: ListRecord) => void): Unreadable | null {
    const bytes = this.#rest.length === 0 ? piece : concat(this.#rest, piece);
    let at = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, at)) {
      const problem = this.#line(fromLatin1(bytes.subarray(at, end)), this.#base + at, visit);
      if (problem !== null) return problem;
      at = end + 1;
    }
    this.#rest = bytes.subarray(at);
    this.#base += at;
    return this.#rest.length > LINE_MAX ? this.#problem(this.#base, 'a line without end') : null;
  }

  #line(line: string, byte: number, visit: (record: ListRecord) => void): Unreadable | null {
    if (RECORD.test(line)) {
      const problem = this.#flush(visit);
      this.#pending = { line, byte };
      return problem;
    }
    if (this.#pending === null) {
      return line.trim() === '' ? null : this.#problem(byte, 'this line is no record of a measurement list');
    }
    this.#pending = { line: `${this.#pending.line}\n${line}`, byte: this.#pending.byte };
    return null;
  }

  #flush(visit: (record: ListRecord) => void): Unreadable | null {
    if (this.#pending === null) return null;
    const { line, byte } = this.#pending;
    this.#pending = null;
    const m = RECORD.exec(line);
    const digest = fromHex((m?.[2] ?? '').toLowerCase());
    const template = m?.[3] ?? '';
    if (this.#digestSize === 0) this.#digestSize = digest.length;
    if (digest.length !== this.#digestSize) {
      const sizes = `${digest.length} bytes, those before ${this.#digestSize}`;
      return this.#problem(byte + 3, `a template digest of ${sizes}`);
    }
    const data = dataOf(template, m?.[4] ?? '');
    const pcr = Number(m?.[1]);
    visit({ index: this.#index++, part: this.#part, byte, pcr, digest, template, data, order: 'le' });
    return null;
  }

  /** The end of the bytes. A last line needs no newline. */
  end(visit: (record: ListRecord) => void): Unreadable | null {
    if (this.#rest.length > 0) {
      const problem = this.#line(fromLatin1(this.#rest), this.#base, visit);
      if (problem !== null) return problem;
    }
    // Empty lines at the end are the work of an editor, not of a file name.
    if (this.#pending !== null)
      this.#pending = { ...this.#pending, line: this.#pending.line.replace(/\n+$/, '') };
    return this.#flush(visit);
  }
}
