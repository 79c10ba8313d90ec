// State to JSON and back. State is plain data: null, booleans, numbers, strings, bigints, arrays, plain
// objects, Uint8Array, Map and Set of the `immutable` package (string or number keys), AppendList. Anything
// else is our bug.

import { Map as ImmutableMap, Set as ImmutableSet, isMap, isSet } from 'immutable';
import { InternalError } from './assert.ts';
import { fromHex, toHex } from './bytes.ts';
import { fromArray, isAppendList, toArray } from './list.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const compareKeys = (a: readonly [unknown, unknown], b: readonly [unknown, unknown]): number => {
  const [x, y] = [a[0] as string | number, b[0] as string | number];
  return x < y ? -1 : x > y ? 1 : 0;
};

/**
 * JSON form of a state value: bytes as `{"$hex": ".."}`, bigints as `{"$u64": "decimal"}`, maps as `{"$map":
 * [[k, v]..]}` with sorted keys, sets as `{"$set": [..]}`, append lists as `{"$list": [..]}`. Members that
 * are undefined are left out.
 */
export function encodeState(value: unknown): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string')
    return value;
  if (typeof value === 'bigint') return { $u64: value.toString() };
  if (Array.isArray(value)) return value.map(encodeState);
  if (typeof value !== 'object') throw new InternalError(`state holds a ${typeof value}`);
  if (value instanceof Uint8Array) return { $hex: toHex(value) };
  if (isMap(value)) {
    const entries = [...(value as ImmutableMap<unknown, unknown>).entries()].sort(compareKeys);
    return { $map: entries.map(([k, v]) => [k as string | number, encodeState(v)]) };
  }
  if (isSet(value)) {
    const items = [...(value as ImmutableSet<string | number>)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    return { $set: items };
  }
  if (isAppendList(value)) return { $list: toArray(value).map(encodeState) };
  if (Object.getPrototypeOf(value) !== Object.prototype)
    throw new InternalError('state holds a class instance');
  const out: Record<string, Json> = {};
  for (const key of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[key];
    if (member !== undefined) out[key] = encodeState(member);
  }
  return out;
}

/**
 * `JSON.stringify(encodeState(value))` without the copy in between: for what is written often, such as
 * the events of a trace.
 */
export function stateText(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null)
    return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(stateText).join(',')}]`;
  if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype)
    return JSON.stringify(encodeState(value));
  if (isAppendList(value)) return JSON.stringify(encodeState(value));
  const members = value as Record<string, unknown>;
  const keys = Object.keys(members).sort();
  // Objects list names that are numbers first, whatever the order in which they are set.
  if (keys.some((key) => /^(?:\d|__proto__)/.test(key))) return JSON.stringify(encodeState(value));
  let out = '';
  for (const key of keys) {
    const member = members[key];
    if (member !== undefined) out += `${out === '' ? '' : ','}${JSON.stringify(key)}:${stateText(member)}`;
  }
  return `{${out}}`;
}

/** The value that `encodeState` was given. */
export function decodeState(json: Json): unknown {
  if (json === null || typeof json !== 'object') return json;
  if (Array.isArray(json)) return json.map(decodeState);
  const o = json as { readonly [key: string]: Json };
  if (typeof o.$hex === 'string') return fromHex(o.$hex);
  if (typeof o.$u64 === 'string') return BigInt(o.$u64);
  if (Array.isArray(o.$list)) return fromArray(o.$list.map(decodeState));
  if (Array.isArray(o.$set)) return ImmutableSet(o.$set);
  if (Array.isArray(o.$map)) {
    return ImmutableMap((o.$map as readonly [string | number, Json][]).map(([k, v]) => [k, decodeState(v)]));
  }
  return Object.fromEntries(Object.entries(o).map(([k, v]) => [k, decodeState(v)]));
}
