// Writing DER: tag, shortest length, content. Reading is ber.ts.

import { concat } from '../base/bytes.ts';
import { bigintToBytes, bitLength } from './bigint.ts';

function header(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(tag, length);
  if (length < 0x100) return Uint8Array.of(tag, 0x81, length);
  if (length < 0x10000) return Uint8Array.of(tag, 0x82, length >> 8, length & 255);
  return Uint8Array.of(tag, 0x83, length >> 16, (length >> 8) & 255, length & 255);
}

/** One element: the tag's byte and the contents one after the other. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const body = concat(...contents);
  return concat(header(tag, body.length), body);
}

/** INTEGER, not negative. */
export function derInteger(value: bigint): Uint8Array {
  return der(0x02, bigintToBytes(value, (bitLength(value) >> 3) + 1));
}

/** OBJECT IDENTIFIER of dotted numbers. */
export function derOid(dotted: string): Uint8Array {
  const [first, second, ...rest] = dotted.split('.').map(Number) as [number, number, ...number[]];
  const bytes: number[] = [];
  for (const arc of [40 * first + second, ...rest]) {
    const groups = [arc & 127];
    for (let v = arc >>> 7; v > 0; v >>>= 7) groups.unshift((v & 127) | 128);
    bytes.push(...groups);
  }
  return der(0x06, Uint8Array.from(bytes));
}

/** BIT STRING of whole bytes. */
export function derBits(bytes: Uint8Array): Uint8Array {
  return der(0x03, Uint8Array.of(0), bytes);
}

export const DER_NULL: Uint8Array = Uint8Array.of(5, 0);
