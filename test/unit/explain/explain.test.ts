// Explanations of real runs: the verdict first, the cause from the reason registry, the rule that asked for it, what can be
// done; rules in order with the condition that failed; where a register got its value from.

import { describe, expect, it } from 'vitest';
import { allReasons } from '../../../src/base/reasons.ts';
import type { TraceEvent } from '../../../src/base/trace.ts';
import { explainScenarioStep } from '../../../src/cli/explain.ts';
import { play } from '../../../src/cli/play.ts';
import { flagNames, IINT_FLAG_NAMES, iintFlagNames } from '../../../src/explain/iint-flags.ts';
import { registerLife } from '../../../src/explain/pcr.ts';
import { ruleSentence } from '../../../src/explain/policy.ts';
import { REMEDY_CODES } from '../../../src/explain/remedies.ts';
import { explanationLines } from '../../../src/explain/render.ts';
import { causesOf, eventTree, reasonSentence, valueText } from '../../../src/explain/tree.ts';
import { loadScenario, type Scenario } from '../../../src/scenario/loader.ts';

function scenario(text: string): Scenario {
  const loaded = loadScenario('t.yaml', `title: t\nkind: regression\n${text}`);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return loaded.scenario;
}

const APPRAISAL = scenario(`machine:
  cmdline: ima_appraise=enforce
  disks:
    - name: vdc
      files: { /a: { content: a }, /b: { content: b, xattrs: { security.ima: { ima_hash: sha256 } } } }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - op: policy_row
    data: |
      dont_appraise fsmagic=0x9fa0
      measure func=BPRM_CHECK
      appraise func=FILE_CHECK mask=MAY_READ uid=1000
      measure func=FILE_CHECK mask=MAY_READ fowner=7
  - { op: read, path: /mnt/a, as: { uid: 1000 } }
  - { op: read, path: /mnt/b, as: { uid: 1000 } }
  - { op: read, path: /mnt/b }
  - { op: open, path: /nosuch }
`);

describe('a denied step', () => {
  const e = explainScenarioStep(APPRAISAL, '3');

  it('says verdict, cause, rule, remedy and kernel function', () => {
    expect(e.headline).toBe('step 3: read /mnt/a by uid=1000: denied, -13 EACCES');
    expect(e.causes).toContain('the file has no security.ima');
    expect(e.causes.at(-1)).toBe('rule 3 asks for it: `appraise func=FILE_CHECK mask=MAY_READ uid=1000`');
    expect(e.remedies[0]).toContain('evmctl ima_hash');
    expect(e.references).toContain('security/integrity/ima/ima_appraise.c ima_appraise_measurement()');
  });

  it('goes through the rules in order', () => {
    const [access] = e.accesses;
    expect(access).toMatchObject({
      path: '/mnt/a',
      func: 'FILE_CHECK',
      mask: 'MAY_READ',
      who: 'uid=1000',
      errno: 'EACCES',
    });
    expect(access?.rules.map((r) => [r.number, r.outcome, r.failed, r.has])).toEqual([
      [1, 'failed', 'fsmagic', 'fsmagic=0xef53'],
      [2, 'failed', 'func', 'func=FILE_CHECK'],
      [3, 'matched', null, ''],
      [4, 'failed', 'fowner', 'fowner=0'],
    ]);
    expect(access?.rules.map(ruleSentence)).toContain('fowner does not fit: the access has fowner=0');
    expect(access?.added).toContain('IMA_FILE_APPRAISE');
    expect(access?.list).toBe('not measured: no rule asks for it');
  });
});

describe('other steps', () => {
  it('an allowed one tells what IMA did', () => {
    const e = explainScenarioStep(APPRAISAL, '4');
    expect(e.headline).toBe('step 4: read /mnt/b by uid=1000: allowed');
    expect(e.causes).toEqual([
      'IMA FILE_CHECK on /mnt/b: the label is what the content has; not measured: no rule asks for it',
    ]);
    expect(e.remedies).toEqual([]);
  });

  it('one that no rule matches shows the rules all the same', () => {
    const [access] = explainScenarioStep(APPRAISAL, '5').accesses;
    expect(access?.outcome).toBe('no rule matches this access');
    expect(access?.rules.map((r) => r.failed)).toEqual(['fsmagic', 'func', 'uid', 'fowner']);
  });

  it('a failure outside of IMA names its own cause', () => {
    const e = explainScenarioStep(APPRAISAL, '6');
    expect(e.headline).toContain('denied, -2 ENOENT');
    expect(e.accesses).toEqual([]);
    expect(e.causes.length).toBeGreaterThan(0);
    expect(e.causes).not.toContain('no part of the machine says why');
  });

  it('lines stay within 100 columns', () => {
    for (const step of ['2', '3', '4', '5', '6']) {
      const lines = explanationLines(explainScenarioStep(APPRAISAL, step), false);
      expect(lines.filter((l) => l.text.length > 100 && l.text.trim().includes(' '))).toEqual([]);
    }
  });
});

describe('the value of a register', () => {
  it('is the fold of its extends, each with its cause', () => {
    const { events, report, machine } = play(
      scenario(`machine: { cmdline: ima_policy=tcb }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a, data: x }
  - { op: read, path: /mnt/a }
  - { op: pcr_extend, pcr: 10, data: y }
`),
    );
    const records = registerLife(events, 10, 'sha256');
    expect(records.map((r) => [r.about, r.entry])).toEqual([
      ['TPM2_Startup (reset)', null],
      ['boot_aggregate', 0],
      ['/mnt/a', 1],
      ['TPM2_PCR_Extend from a program', null],
    ]);
    expect(records.map((r) => r.root.kind.split('.')[0])).toEqual(['boot', 'boot', 'syscall', 'tpm']);
    expect(machine.pcr('sha256', 10)).toEqual(
      Uint8Array.from(Buffer.from(records.at(-1)?.value ?? '', 'hex')),
    );
    expect(report.outcome).toBe('passed');
  });
});

describe('words', () => {
  it('every remedy belongs to a reason that exists', () => {
    const known = new Set(allReasons().map(([code]) => code));
    expect(REMEDY_CODES.filter((c) => !known.has(c))).toEqual([]);
  });

  it('flags have one name each, and every name is found again', () => {
    expect(new Set(IINT_FLAG_NAMES).size).toBe(IINT_FLAG_NAMES.length);
    expect(flagNames(0x2 | 0x20)).toEqual(['IMA_MEASURED', 'IMA_COLLECTED']);
    expect(iintFlagNames({ flags: 0xffffffff, atomicFlags: 0xff })).toEqual(IINT_FLAG_NAMES);
  });

  it('sentences are filled from the data, digests are cut', () => {
    const event: TraceEvent = {
      id: 1,
      cause: null,
      kind: 'ipe.evaluate',
      reason: 'ipe.denied',
      data: { rule: 'DEFAULT action=DENY' },
    };
    expect(reasonSentence(event)).toBe('denied by `DEFAULT action=DENY`');
    expect(valueText('ab'.repeat(20))).toBe('abababab..');
    expect(valueText('ab'.repeat(20), true)).toBe('ab'.repeat(20));
    expect(valueText([1, 'x', null])).toBe('[1, x, none]');
  });

  it('a tree keeps every event once, below its cause', () => {
    const event = (id: number, cause: number | null): TraceEvent => ({ id, cause, kind: 'k', data: {} });
    const events = [event(5, 2), event(6, 5), event(7, 6), event(8, 5), event(9, null)];
    const shape = (nodes: ReturnType<typeof eventTree>): unknown =>
      nodes.map((n) => [n.event.id, shape(n.children)]);
    expect(shape(eventTree(events))).toEqual([
      [
        5,
        [
          [6, [[7, []]]],
          [8, []],
        ],
      ],
      [9, []],
    ]);
    expect(causesOf(new Map(events.map((e) => [e.id, e])), 7).map((e) => e.id)).toEqual([5, 6, 7]);
  });
});
