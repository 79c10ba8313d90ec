// Pages whose tables come from runs are what a run gives now.

import { expect, it } from 'vitest';
import { exportDesignsPage } from '../../../scripts/proposals/export-designs.ts';
import { textOf } from '../../support.ts';

it('docs/export-designs.md is what the designs do (npm run proposals writes it)', () => {
  expect(textOf('docs/export-designs.md')).toBe(exportDesignsPage());
});
