// Writes the pages about designs that come from runs: docs/export-designs.md, docs/gaps.md.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../test/support.ts';
import { exportDesignsPage } from './export-designs.ts';
import { gapsPage } from './gaps-page.ts';

writeFileSync(join(ROOT, 'docs/export-designs.md'), exportDesignsPage());
writeFileSync(join(ROOT, 'docs/gaps.md'), gapsPage());
