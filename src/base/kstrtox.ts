// The kernel's strict text-to-number conversions: an optional plus, digits of the base, at most one newline
// at the end, nothing else. Used wherever a policy, a node or a boot parameter takes a number.

import { fail, ok, type Result } from './errno.ts';

function digitValue(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : 99;
}

/** Number of leading characters that are the prefix of the base, and the base that base 0 stands for. */
function fixupRadix(text: string, base: number): readonly [number, number] {
  const hexPrefix = text[0] === '0' && (text[1] === 'x' || text[1] === 'X');
  if (base === 0) {
    if (text[0] !== '0') return [0, 10];
    if (hexPrefix && digitValue(text.charCodeAt(2)) < 16) return [2, 16];
    return [0, 8];
  }
  return base === 16 && hexPrefix ? [2, 16] : [0, base];
}

function unsigned(text: string, base: number, bits: number): Result<bigint> {
  const [skip, radix] = fixupRadix(text, base);
  const limit = 1n << 64n;
  let at = skip;
  let value = 0n;
  let overflow = false;
  for (; at < text.length; at++) {
    const digit = digitValue(text.charCodeAt(at));
    if (digit >= radix) break;
    value = value * BigInt(radix) + BigInt(digit);
    if (value >= limit) {
      overflow = true;
      value %= limit;
    }
  }
  if (overflow) return fail('ERANGE');
  if (at === skip) return fail('EINVAL');
  if (text[at] === '\n') at++;
  if (at !== text.length) return fail('EINVAL');
  return value >> BigInt(bits) !== 0n ? fail('ERANGE') : ok(value);
}

/**
 * Unsigned number of `bits` bits: kstrtou16, kstrtouint, kstrtoul, kstrtoull.
 * @kernel lib/kstrtox.c kstrtoull()
 */
export function kstrtou(text: string, base: number, bits: number): Result<bigint> {
  return unsigned(text.startsWith('+') ? text.slice(1) : text, base, bits);
}

/** Signed number of `bits` bits: kstrtoint, kstrtoll. @kernel lib/kstrtox.c kstrtoll() */
export function kstrtos(text: string, base: number, bits: number): Result<bigint> {
  const negative = text.startsWith('-');
  const parsed = negative ? unsigned(text.slice(1), base, 64) : kstrtou(text, base, 64);
  if (!parsed.ok) return parsed;
  const value = negative ? -parsed.value : parsed.value;
  const limit = 1n << BigInt(bits - 1);
  return value >= limit || value < -limit ? fail('ERANGE') : ok(value);
}
