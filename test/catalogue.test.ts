// docs/catalogue.md says what the scenarios are and do today.

import { expect, it } from 'vitest';
import { CATALOGUE_PAGE, cataloguePage } from '../scripts/catalogue-page.ts';
import { textOf } from './support.ts';

it('the catalogue page is up to date (else: npm run catalogue)', () => {
  expect(cataloguePage()).toBe(textOf(CATALOGUE_PAGE));
});
