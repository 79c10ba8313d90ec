// The byte layout in docs/evm.md is drawn from the code that hashes.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { layout, pageWithLayout } from '../scripts/evm-layout.ts';

const page = readFileSync(new URL('../docs/evm.md', import.meta.url), 'utf8');

it('the layout of docs/evm.md is up to date (else: npm run evm-layout)', () => {
  expect(page).toBe(pageWithLayout(page));
});

it('the layout says what the kernel documents', () => {
  expect(layout()).toContain('| ino | 0..7 | 0..7 | zero |');
  expect(layout()).toContain('| mode | 20..21 | 20..21 | 20..21 |');
  expect(layout()).toContain('| uuid | 24..39 | 24..39 | not there |');
  expect(layout()).toContain('| length | 40 | 40 | 24 |');
  expect(layout()).toContain('| length | 36 | 36 | 20 |');
});
