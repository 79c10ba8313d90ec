import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { encodeState, stateText } from '../../../src/base/json.ts';
import { fromArray } from '../../../src/base/list.ts';

describe('stateText', () => {
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    fc.uint8Array({ maxLength: 6 }),
    fc.array(fc.integer(), { maxLength: 3 }).map(fromArray),
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('any'), { maxLength: 4 }), tie('record')),
    record: fc.dictionary(fc.string(), fc.oneof(tie('any'), fc.constant(undefined)), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  })).any;
  test.prop([value])('is the text of the JSON form', (v) => {
    expect(stateText(v)).toBe(JSON.stringify(encodeState(v)));
  });
});
