// The random cases of scripts/differential: the same seed and path give the same case, cases differ from each other, and
// every one of them loads as a recorded case does once its data are spelled out.

import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Case, type Group, sampleCase } from '../../../scripts/differential/dice.ts';
import { complaintText, loadCase } from '../../../src/conformance/case.ts';
import { DATA } from '../../../src/scenario/ops/types.ts';
import { ROOT } from '../../support.ts';

const CASES = 12;
const letters = readdirSync(join(ROOT, 'scripts/differential/groups')).map((f) => basename(f, '.ts'));

async function groupNamed(letter: string): Promise<Group> {
  const module = (await import(`../../../scripts/differential/groups/${letter}.ts`)) as { group: Group };
  return module.group;
}

/** Data given by meaning ({imahash}, {cert} ...) stand as bytes once a case is recorded. */
function spelledOut(members: object): object {
  return Object.fromEntries(
    Object.entries(members).map(([name, v]: [string, unknown]) => {
      const byMeaning = typeof v === 'object' && v !== null && !DATA.safeParse(v).success;
      return [name, byMeaning ? { hex: '00' } : v];
    }),
  );
}

function recorded(made: Case): string {
  const { initramfs, stage2 } = made;
  return JSON.stringify({
    name: 'z',
    group: 'z',
    cmdline: '',
    ...made,
    ops: made.ops.map(spelledOut),
    ...(stage2 === undefined ? {} : { stage2: stage2.map(spelledOut) }),
    ...(initramfs === undefined ? {} : { initramfs: spelledOut(initramfs as object) }),
  });
}

describe.each(letters)('random cases of group %s', (letter) => {
  it('follow from seed and path', async () => {
    const group = await groupNamed(letter);
    const all = fc.sample(group.cases, { seed: 7, numRuns: CASES });
    expect(new Set(all.map((c) => JSON.stringify(c))).size).toBe(CASES);
    for (const path of [0, 1, CASES - 1]) expect(sampleCase(group, 7, path)).toEqual(all[path]);
    expect(sampleCase(group, 8, 0)).not.toEqual(all[0]);
  });

  it('load', async () => {
    const group = await groupNamed(letter);
    for (const made of fc.sample(group.cases, { seed: 11, numRuns: CASES })) {
      expect(made.ops.length).toBeGreaterThan(0);
      const loaded = loadCase('z.json', recorded(made));
      expect(loaded.ok ? [] : loaded.complaints.map(complaintText)).toEqual([]);
    }
  });
});
