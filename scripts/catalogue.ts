// Writes docs/catalogue.md: every entry of the catalogue of edge cases with the scenarios that tell it, or the reason why it
// cannot be modelled, or neither yet. A test holds the page against the scenarios.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../test/support.ts';
import { CATALOGUE_PAGE, cataloguePage } from './catalogue-page.ts';

writeFileSync(join(ROOT, CATALOGUE_PAGE), cataloguePage());
