// Append-only persistent sequence: O(1) append and O(1) fork, older lists stay valid. The measurement list
// and the trace are such lists; they are read from the end or turned into an array, never changed in the
// middle.

export interface AppendList<T> {
  readonly length: number;
  readonly last: T | undefined;
  readonly previous: AppendList<T> | null;
}

const EMPTY_LIST: AppendList<never> = Object.freeze({ length: 0, last: undefined, previous: null });

export function emptyList<T>(): AppendList<T> {
  return EMPTY_LIST as AppendList<T>;
}

export function append<T>(list: AppendList<T>, item: T): AppendList<T> {
  return { length: list.length + 1, last: item, previous: list };
}

/** Items from index `from` (0 = all) to the end, in order. */
export function toArray<T>(list: AppendList<T>, from = 0): T[] {
  const out = new Array<T>(Math.max(0, list.length - from));
  let node: AppendList<T> | null = list;
  while (node !== null && node.length > from) {
    out[node.length - 1 - from] = node.last as T;
    node = node.previous;
  }
  return out;
}

export function fromArray<T>(items: readonly T[]): AppendList<T> {
  let list = emptyList<T>();
  for (const item of items) list = append(list, item);
  return list;
}

/** Whether a value is such a list (used by the state's JSON form). */
export function isAppendList(value: object): value is AppendList<unknown> {
  return 'previous' in value && 'last' in value && 'length' in value;
}
