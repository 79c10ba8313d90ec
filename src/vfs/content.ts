// What regular files hold: byte arrays that are never changed in place, so forks share them and caches may go
// by identity. An append writes into spare room behind the last view of a buffer; that room belongs to
// whoever claims it first. Files are held whole: there are no pages and no delayed blocks, and a hole takes
// memory like data.

import { assert } from '../base/assert.ts';
import { EMPTY } from '../base/bytes.ts';
import type { Content } from './types.ts';

/** s_maxbytes of the simulation: files are held in memory. */
export const MAX_FILE_SIZE = 0x4000_0000;

/** Label of a content whose blocks cannot be read. */
export const UNREADABLE_LABEL = 'unreadable blocks';

/** Whether reading a content gives EIO: a block below it fails. */
export function isUnreadable(content: Content): boolean {
  return content.kind === 'opaque' && content.label === UNREADABLE_LABEL;
}

export const NO_CONTENT: Content = Object.freeze({ kind: 'bytes', bytes: EMPTY });

export function bytesContent(bytes: Uint8Array): Content {
  return bytes.length === 0 ? NO_CONTENT : { kind: 'bytes', bytes };
}

export function contentLength(content: Content): number {
  return content.kind === 'bytes' ? content.bytes.length : content.length;
}

/**
 * How much of a buffer that this file made is taken; buffers from elsewhere are not in here and never grow in
 * place.
 */
const claimed = new WeakMap<ArrayBufferLike, number>();

function withRoom(length: number): Uint8Array {
  const capacity = length < 256 ? length : length + (length >> 1);
  const buffer = new Uint8Array(capacity);
  claimed.set(buffer.buffer, length);
  return buffer.subarray(0, length);
}

/**
 * The first `length` bytes of a view, grown in place where the room behind it is free, else a copy; new bytes
 * are zeros.
 */
function grow(bytes: Uint8Array, length: number): Uint8Array {
  const end = bytes.byteOffset + bytes.length;
  if (claimed.get(bytes.buffer) === end && bytes.byteOffset + length <= bytes.buffer.byteLength) {
    claimed.set(bytes.buffer, bytes.byteOffset + length);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, length);
  }
  const out = withRoom(length);
  out.set(bytes);
  return out;
}

/**
 * Content after a write at an offset; a gap before it reads as zeros.
 *
 * @kernel mm/filemap.c generic_perform_write()
 */
export function writeAt(bytes: Uint8Array, offset: number, data: Uint8Array): Uint8Array {
  if (data.length === 0) return bytes;
  if (bytes.length === 0 && offset === 0) return data.slice();
  const end = offset + data.length;
  if (offset >= bytes.length) {
    const out = grow(bytes, end);
    out.set(data, offset);
    return out;
  }
  const out = new Uint8Array(Math.max(end, bytes.length));
  out.set(bytes);
  out.set(data, offset);
  return out;
}

/** Content cut or extended with zeros. */
export function resize(content: Content, length: number): Content | undefined {
  if (length === contentLength(content)) return content;
  if (length === 0) return NO_CONTENT;
  if (content.kind === 'opaque') return undefined;
  assert(length <= MAX_FILE_SIZE, 'file larger than the simulation holds');
  return bytesContent(
    length < content.bytes.length ? content.bytes.slice(0, length) : grow(content.bytes, length),
  );
}
