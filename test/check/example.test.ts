// The example project, as somebody who copied it runs it: with kisim and vitest from node_modules.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../support.ts';

it('the example project passes its own tests', { timeout: 300_000 }, () => {
  if (!existsSync(join(ROOT, 'dist/check/index.js')))
    throw new Error('dist/ is missing: run `npm run build` first');
  const work = mkdtempSync(join(tmpdir(), 'kisim-example-'));
  cpSync(join(ROOT, 'examples/policy-team'), work, { recursive: true });
  mkdirSync(join(work, 'node_modules'));
  symlinkSync(ROOT, join(work, 'node_modules/kisim'));
  symlinkSync(join(ROOT, 'node_modules/vitest'), join(work, 'node_modules/vitest'));
  const run = spawnSync(
    process.execPath,
    [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--root', work, '--testTimeout', '120000'],
    {
      cwd: work,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1', CI: 'true', VITEST: '' },
    },
  );
  expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(0);
  expect(run.stdout).toMatch(/Tests {2}6 passed/);
  rmSync(work, { recursive: true });
});
