// Command frames from a stream of octets: parts are joined, one frame after another is handed on. A frame
// that cannot be completed (its size is impossible) is handed on as it is, and the TPM answers it with
// TPM_RC_COMMAND_SIZE.

import { concat, EMPTY } from '../../base/bytes.ts';
import { MAX_COMMAND_SIZE } from '../constants.ts';

const HEADER = 10;

/** Size that the frame's header states; null before the header is there. */
function statedSize(bytes: Uint8Array): number | null {
  if (bytes.length < HEADER) return null;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(2);
}

export class FrameReader {
  #pending: Uint8Array = EMPTY;

  /** Adds octets; returns the frames that are complete now. */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    this.#pending = this.#pending.length === 0 ? new Uint8Array(chunk) : concat(this.#pending, chunk);
    const frames: Uint8Array[] = [];
    for (;;) {
      const size = statedSize(this.#pending);
      if (size === null) return frames;
      if (size < HEADER || size > MAX_COMMAND_SIZE) {
        frames.push(this.#pending);
        this.#pending = EMPTY;
        return frames;
      }
      if (this.#pending.length < size) return frames;
      frames.push(this.#pending.subarray(0, size));
      this.#pending = this.#pending.subarray(size);
    }
  }

  /** What is left of a frame whose rest did not come; empty when nothing is, or less than a header. */
  flush(): Uint8Array {
    const rest = this.#pending;
    this.#pending = EMPTY;
    return rest.length < HEADER ? EMPTY : rest;
  }

  get waiting(): boolean {
    return this.#pending.length >= HEADER;
  }
}
