// Shrinking of differing cases: what is left still differs, nothing can be taken away from it, and the number of tries
// is kept.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Case } from '../../../scripts/differential/dice.ts';
import { reduceList, shrink } from '../../../scripts/differential/shrink.ts';

const read = (path: string, more: object = {}) => ({ op: 'read', path, ...more });
const policy = (...rules: string[]) => ({ op: 'policy_row', data: rules.map((r) => `${r}\n`).join('') });

describe('reduceList', () => {
  it('finds the smallest part that keeps a set of members', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(99), { minLength: 1 }), fc.nat(9), (list, n) => {
        const wanted = list.filter((x) => x % 10 === n);
        const left = reduceList(list, (part) => wanted.every((x) => part.includes(x)));
        expect(left).toEqual(wanted);
      }),
    );
  });
});

describe('shrink', () => {
  const made: Case = {
    about: 'x',
    cmdline: 'ima_policy=tcb ima_hash=sha512 evm=fix',
    kernel: 'smack',
    ops: [
      read('/a'),
      policy('measure uid=0', 'audit', 'dont_measure uid=5'),
      read('/b', { uid: 1000, flags: 'rdwr' }),
      read('/c'),
      read('/d'),
    ],
  };
  const text = (c: Case): string => JSON.stringify(c);
  const differs = (c: Case): boolean =>
    c.ops.some((o) => o['path'] === '/b' && o['uid'] === 1000) &&
    /audit/.test(text(c)) &&
    /evm=fix/.test(text(c));

  it('takes away ops, policy lines, words, arguments and the choice of kernel', () => {
    const { smallest, finished } = shrink(made, 3, differs, 200);
    expect(finished).toBe(true);
    expect(smallest).toEqual({
      about: 'x',
      cmdline: 'evm=fix',
      ops: [policy('audit'), read('/b', { uid: 1000 })],
    });
  });

  it('stops when the tries are used up, with a case that differs', () => {
    let calls = 0;
    const { smallest, tries, finished } = shrink(made, null, (c) => ++calls > 0 && differs(c), 4);
    expect([tries, calls, finished]).toEqual([4, 4, false]);
    expect(differs(smallest)).toBe(true);
  });
});
