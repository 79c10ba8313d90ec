// The comparison of policies on small examples: rows, relations, statuses of rules, and pairs of scenarios that
// only the policy tells apart.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { diffIma, type ImaDiff } from '../../../src/check/policy-diff/ima-diff.ts';
import { builtinSide, type ImaSide, imaSide } from '../../../src/check/policy-diff/ima-side.ts';
import { imaScenarios } from '../../../src/check/policy-diff/ima-witness.ts';
import { diffIpe } from '../../../src/check/policy-diff/ipe-diff.ts';
import { ipeScenarios } from '../../../src/check/policy-diff/ipe-witness.ts';
import { holds } from '../../../src/check/policy-diff/pair.ts';
import { ipeParsePolicy } from '../../../src/ipe/parser.ts';
import { IPE_PROPERTIES } from '../../../src/ipe/properties.ts';
import type { IpeParsedPolicy } from '../../../src/ipe/types.ts';

function side(...lines: readonly string[]): ImaSide {
  const read = imaSide('policy', `${lines.join('\n')}\n`);
  if (!read.ok) throw new Error(JSON.stringify(read.report));
  return read.side;
}

const kinds = ({ diff }: ImaDiff): readonly string[] => diff.rows.map((r) => r.kind);

/** Both scenarios hold, and neither does with the other's policy. */
function swapped(one: string, policy: string, other: string): string {
  const quoted = JSON.stringify(policy).slice(1, -1);
  if (!one.includes(quoted) && !one.includes(policy.trim().replaceAll('\n', '\n      ')))
    throw new Error(`policy not found in\n${one}`);
  const indent = (text: string): string => text.trim().replaceAll('\n', '\n      ');
  return one.replace(indent(policy), indent(other)).replace(quoted, JSON.stringify(other).slice(1, -1));
}

describe('comparison of IMA policies', () => {
  it.each([
    ['of the rule that appraises', ['appraise func=MMAP_CHECK permit_directio']],
    ['of another rule', ['appraise func=MMAP_CHECK', 'audit func=MMAP_CHECK permit_directio']],
  ])('knows that permitted direct I/O lets more through: the flag %s', (_, lines) => {
    const old = side('appraise func=MMAP_CHECK');
    const { diff } = diffIma(old, side(...lines));
    expect(diff).toMatchObject({ equivalent: false, newImpliesOld: false, oldImpliesNew: true });
    expect(diff.rows.map((r) => r.kind)).toContain('newly allowed');
    expect(diffIma(side(...lines), old).diff).toMatchObject({ newImpliesOld: true, oldImpliesNew: false });
  });

  it('sees no difference in direct I/O where nothing is appraised', () => {
    const { diff } = diffIma(
      side('measure func=MMAP_CHECK'),
      side('measure func=MMAP_CHECK permit_directio'),
    );
    expect(diff).toMatchObject({ newImpliesOld: true, oldImpliesNew: true });
  });

  it('names the rules of both sides, the region and a witness', () => {
    const old = side('measure func=BPRM_CHECK', 'appraise fowner=0');
    const now = side('appraise func=BPRM_CHECK fowner=0 appraise_type=imasig', 'appraise fowner=0');
    const found = diffIma(old, now);
    expect(found.diff.rows).toMatchObject([
      {
        kind: 'newly denied',
        old: { line: 2, text: 'appraise fowner=0' },
        new: { line: 1 },
        regions: ['func=BPRM_CHECK, fowner=0'],
        witness: { event: 'BPRM_CHECK', fowner: '0' },
      },
      { kind: 'newly unmeasured', old: { line: 1 }, new: { line: null, text: null } },
    ]);
    expect(found.diff).toMatchObject({ equivalent: false, newImpliesOld: true, oldImpliesNew: false });
  });

  it('tells data without a file and algorithms of labels', () => {
    const old = side('appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig');
    const now = side(
      'appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig',
      'appraise func=MODULE_CHECK',
      'appraise func=SETXATTR_CHECK appraise_algos=sha256',
    );
    const rows = diffIma(old, now).diff.rows.filter((r) => !r.regions.some((t) => t.includes('func=')));
    expect(rows.map((r) => [r.kind, r.witness['event']?.slice(0, 24)])).toContainEqual([
      'newly denied',
      'init_module(2), which ha',
    ]);
    expect(rows.some((r) => r.witness['event']?.startsWith('setxattr of security.ima'))).toBe(true);
  });

  it('says what each rule is good for', () => {
    const one = side(
      'measure func=BPRM_CHECK',
      'measure func=BPRM_CHECK uid=0',
      'measure func=MODULE_CHECK mask=MAY_EXEC',
      'dont_appraise fowner=5',
      'audit fowner<7',
    );
    expect(diffIma(one, one).diff.rules.old.map((r) => r.status)).toEqual([
      'always',
      'shadowed',
      'never matches',
      'never asked',
      'sometimes',
    ]);
  });

  it('knows the policies of the command line', () => {
    expect(kinds(diffIma(builtinSide('ima_tcb'), builtinSide('ima_policy=tcb')))).toEqual([
      'newly measured',
      'newly measured',
      'newly measured',
    ]);
  });

  const pairs: readonly (readonly [string, string, string])[] = [
    ['newly denied', 'measure func=BPRM_CHECK', 'appraise func=BPRM_CHECK fowner<6'],
    ['newly allowed', 'appraise func=MODULE_CHECK', 'audit func=POLICY_CHECK'],
    ['newly measured', 'audit func=POLICY_CHECK', 'measure func=FILE_CHECK mask=MAY_WRITE euid=7'],
    ['newly unmeasured', 'measure func=MMAP_CHECK fsname=tmpfs', 'measure func=MMAP_CHECK fsname=ext4'],
    ['measured otherwise', 'measure func=FILE_CHECK pcr=11', 'measure func=FILE_CHECK template=ima-sig'],
    ['newly audited', 'audit func=MODULE_CHECK', 'audit func=FILE_CHECK mask=MAY_READ fgroup=3'],
    ['newly hashed', 'audit func=MODULE_CHECK', 'hash func=FILE_CHECK mask=MAY_READ'],
    ['label newly kept', 'measure func=BPRM_CHECK', 'appraise fowner=0'],
  ];
  it.each(pairs)('replays %s as two scenarios that the policy alone tells apart', (kind, a, b) => {
    const [old, now] = [side(a), side(b)];
    const found = diffIma(old, now).differences.find((d) => d.row.kind === kind);
    if (found === undefined) throw new Error('no such row');
    const pair = imaScenarios(found, old, now);
    if (typeof pair === 'string') throw new Error(pair);
    expect([holds(pair.old), holds(pair.new)]).toEqual([true, true]);
    expect(holds(swapped(pair.old, a, b))).toBe(false);
    expect(holds(swapped(pair.new, b, a))).toBe(false);
  });
});

function ipe(...lines: readonly string[]): { text: string; policy: IpeParsedPolicy } {
  const text = ['policy_name=p policy_version=1.0.0', ...lines, ''].join('\n');
  const parsed = ipeParsePolicy(text, IPE_PROPERTIES);
  if (!parsed.ok) throw new Error(text);
  return { text, policy: parsed.policy };
}

describe('comparison of IPE policies', () => {
  it('leaves out what cannot be, and tells dead rules', () => {
    const old = ipe('DEFAULT action=DENY', 'op=EXECUTE boot_verified=TRUE action=ALLOW');
    const now = ipe(
      'DEFAULT action=DENY',
      'op=EXECUTE boot_verified=TRUE dmverity_signature=TRUE action=DENY',
      'op=EXECUTE boot_verified=TRUE fsverity_signature=FALSE action=ALLOW',
    );
    const { diff } = diffIpe(old.policy, now.policy);
    expect(diff.equivalent).toBe(true);
    expect(diff.rules.new.map((r) => r.status)).toEqual(['never matches', 'sometimes']);
    expect(diff.notes).toHaveLength(1);
  });

  it.each([
    'op=EXECUTE boot_verified=TRUE action=ALLOW',
    'op=EXECUTE dmverity_signature=TRUE action=ALLOW',
    'op=EXECUTE fsverity_signature=TRUE action=ALLOW',
    'op=KMODULE dmverity_signature=FALSE action=ALLOW',
    'op=KEXEC_IMAGE action=ALLOW',
  ])('replays what `%s` allows', (rule) => {
    const old = ipe('DEFAULT action=DENY');
    const now = ipe('DEFAULT action=DENY', rule);
    const { diff, differences } = diffIpe(old.policy, now.policy);
    expect(diff.rows.map((r) => r.kind)).toEqual(['newly allowed']);
    const [found] = differences;
    if (found === undefined) throw new Error('no difference');
    const pair = ipeScenarios(found, old.text, now.text);
    if (typeof pair === 'string') throw new Error(pair);
    expect([holds(pair.old), holds(pair.new)]).toEqual([true, true]);
  });
});
