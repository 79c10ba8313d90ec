import { expect, test } from 'vitest';
import { didYouMean, editDistance, LineIndex, nearest } from '../../../src/base/diagnostic.ts';

test('edit distance counts inserts, deletes, replacements and swaps, and gives up past the limit', () => {
  expect(editDistance('kitten', 'sitting')).toBe(3);
  expect(editDistance('meausre', 'measure')).toBe(1);
  expect(editDistance('', 'abc')).toBe(3);
  expect(editDistance('abcdef', 'uvwxyz', 2)).toBe(3);
  expect(editDistance('same', 'same')).toBe(0);
});

test('nearest offers the closest words first and nothing that is far', () => {
  expect(nearest('mont', ['mount', 'umount', 'read', 'month'])).toEqual(['month', 'mount', 'umount']);
  expect(nearest('zzz', ['mount', 'read'])).toEqual([]);
  expect(didYouMean('readd', ['read', 'write'])).toBe('did you mean `read`?');
  expect(didYouMean('xyzzy', ['read', 'write'])).toBeUndefined();
});

test('line index maps offsets to lines and columns from 1', () => {
  const index = new LineIndex('ab\n\ncde\r\nf');
  expect(index.position(0)).toEqual({ line: 1, column: 1 });
  expect(index.position(2)).toEqual({ line: 1, column: 3 });
  expect(index.position(3)).toEqual({ line: 2, column: 1 });
  expect(index.position(6)).toEqual({ line: 3, column: 3 });
  expect(index.line(3)).toBe('cde');
  expect(index.line(4)).toBe('f');
  expect(index.line(9)).toBe('');
});
