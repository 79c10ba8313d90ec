import { expect, test } from 'vitest';
import {
  didYouMean,
  editDistance,
  LineIndex,
  nearest,
  renderDiagnostic,
} from '../../../src/base/diagnostic.ts';

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

test('a rendered diagnostic shows the place, the line, a mark under it and the way out', () => {
  const d = {
    severity: 'error',
    line: 2,
    column: 5,
    length: 3,
    code: 'x.y',
    message: 'unknown `foo`',
    help: 'say `bar`',
  } as const;
  expect(renderDiagnostic('f.txt', 'one\nuse foo\tnow\n', d).split('\n')).toEqual([
    'error [x.y]: unknown `foo`',
    ' --> f.txt:2:5',
    '  |',
    '2 | use foo now',
    '  |     ^^^',
    '  = help: say `bar`',
  ]);
  const long = renderDiagnostic('f.txt', `${'a'.repeat(300)}foo`, { ...d, line: 1, column: 301, help: null });
  const [, , , line, mark] = long.split('\n');
  expect(line?.length).toBeLessThan(110);
  expect(line?.slice(mark?.indexOf('^'))).toBe('foo');
});
