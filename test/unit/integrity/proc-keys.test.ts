// /proc/keys against the recorded kernel's text right after boot: every line but for the serial numbers, which are random
// there, and the order that follows from them.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CASE_SETS, runOne } from '../../conformance/suite.ts';

const NAME = 'a32-keys-boot';

function lines(ops: readonly unknown[], at: number): string[] {
  const { text } = ops[at] as { readonly text: string };
  const all = text.split('\n').filter((l) => l !== '');
  return all.map((l) => l.slice('00000000 '.length)).sort();
}

it('shows the keys as the kernel does: flags, references, rights, owners, what stands behind the description', () => {
  const [shipped] = CASE_SETS;
  if (shipped === undefined) throw new Error('no recorded cases');
  const record = JSON.parse(readFileSync(join(shipped.folder, 'records', `${NAME}.json`), 'utf8')) as {
    readonly ops: readonly unknown[];
  };
  const { input, ours } = runOne(shipped, NAME);
  const at = input.ops.findIndex((o) => o['path'] === '/proc/keys');
  expect(lines(record.ops, at).length).toBeGreaterThan(10);
  expect(lines(ours.ops, at)).toEqual(lines(record.ops, at));
});
