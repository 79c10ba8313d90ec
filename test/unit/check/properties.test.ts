// Each promise: what breaks it, what does not, and what the finding says.

import { describe, expect, it } from 'vitest';
import type { StepForm } from '../../../src/check/action.ts';
import { propertiesNamed } from '../../../src/check/names.ts';
import { clauseProperties } from '../../../src/check/properties/clauses.ts';
import type { Broken, Search } from '../../../src/check/search.ts';
import { newTally, replay } from '../../../src/check/search.ts';
import { asExpected, type Subject } from '../../../src/check/subject.ts';
import { machineWith, subjectOfText } from './world.ts';

const BPRM = 'appraise func=BPRM_CHECK appraise_type=imasig';
const MMAP = 'appraise func=MMAP_CHECK mask=MAY_EXEC appraise_type=imasig';
const MEASURE =
  'measure func=BPRM_CHECK\nmeasure func=MMAP_CHECK mask=MAY_EXEC\nmeasure func=FILE_CHECK mask=^MAY_READ';

function breaks(subject: Subject, name: string, ...forms: readonly StepForm[]): Broken | null {
  const search: Search = {
    subject,
    properties: propertiesNamed([name], clauseProperties(subject)),
    kinds: [],
    tally: newTally(),
  };
  return replay(search, [{ kind: 'test', steps: forms }]);
}

const APPRAISED = subjectOfText(machineWith(`${BPRM}\n${MMAP}`));
const HASHED = subjectOfText(machineWith('appraise func=BPRM_CHECK\nappraise func=MMAP_CHECK mask=MAY_EXEC'));
const MEASURED = subjectOfText(machineWith(MEASURE));
const NOTHING = subjectOfText(machineWith(''));
const RUN: StepForm = { op: 'exec', path: '/mnt/sh' };
const STRANGER: StepForm = { op: 'exec', path: '/mnt/stranger' };
const BELOW: readonly StepForm[] = [
  { op: 'block_write', disk: 'vdc', path: '/sh', data: { program: 'other' } },
  { op: 'memory_pressure' },
];
const OUTDATED = subjectOfText(machineWith(BPRM, '  outdated: [/mnt/job.sh]\n'));
const START = machineWith(BPRM);

describe.each<readonly [string, string, Subject, readonly StepForm[], boolean, string]>([
  ['only-signed-code-runs', 'a stranger runs', NOTHING, [STRANGER], true, 'there is no IMA policy'],
  ['only-signed-code-runs', 'a stranger is refused', APPRAISED, [STRANGER], false, ''],
  [
    'only-signed-code-runs',
    'a hash label is enough',
    HASHED,
    [
      {
        op: 'setxattr',
        path: '/mnt/stranger',
        name: 'security.ima',
        data: { ima_hash: 'sha256', of: { program: 'stranger' } },
      },
      STRANGER,
    ],
    true,
    'accepts any label',
  ],
  [
    'only-signed-code-runs',
    'good code runs',
    APPRAISED,
    [RUN, { op: 'exec', path: '/mnt/job.sh' }],
    false,
    '',
  ],
  ['measured-before-use', 'nothing is measured', NOTHING, [RUN], true, 'there is no IMA policy'],
  ['measured-before-use', 'everything is', MEASURED, [RUN, STRANGER], false, ''],
  ['measured-before-use', 'other bytes were measured', MEASURED, [RUN, ...BELOW, RUN], true, ''],
  [
    'no-stale-verdict',
    'the disk changes below a judged file',
    APPRAISED,
    [RUN, ...BELOW, RUN],
    true,
    'cache',
  ],
  [
    'no-stale-verdict',
    'the file is written, and judged again',
    MEASURED,
    [RUN, { op: 'write', path: '/mnt/sh', data: { program: 'other' } }, RUN],
    false,
    '',
  ],
  [
    'list-replays-to-pcr',
    'a program extends PCR 10',
    MEASURED,
    [{ op: 'pcr_extend', pcr: 10, data: 'x' }],
    true,
    'no rule is about the TPM',
  ],
  [
    'list-replays-to-pcr',
    'another register is extended',
    MEASURED,
    [{ op: 'pcr_extend', pcr: 16, data: 'x' }, RUN],
    false,
    '',
  ],
  [
    'list-replays-to-pcr',
    'a violation is counted',
    MEASURED,
    [
      { op: 'open', path: '/mnt/stranger', slot: 'a', flags: 'rdwr' },
      { op: 'read', path: '/mnt/stranger' },
    ],
    false,
    '',
  ],
  ['list-replays-to-pcr', 'a restart', MEASURED, [RUN, { op: 'power_cycle' }], false, ''],
  [
    'attestation-sound',
    'a stranger ran, and nothing shows it',
    NOTHING,
    [STRANGER],
    true,
    'there is no IMA policy',
  ],
  ['attestation-sound', 'a stranger ran, and the list shows it', MEASURED, [STRANGER], false, ''],
  ['attestation-sound', 'good code ran', MEASURED, [RUN], false, ''],
  [
    'labels-hold',
    'a signed program becomes set-user-id',
    APPRAISED,
    [{ op: 'chmod', path: '/mnt/sh', mode: '04755' }, RUN],
    true,
    'says nothing about owner',
  ],
  ['labels-hold', 'and is not used', APPRAISED, [{ op: 'chmod', path: '/mnt/sh', mode: '04755' }], false, ''],
  [
    'policy-never-weakens',
    'appraisal is switched off at the next boot',
    APPRAISED,
    [{ op: 'power_cycle', boot: { cmdline: 'ima_appraise=off' } }, ...APPRAISED.document.steps],
    true,
    '',
  ],
  [
    'policy-never-weakens',
    'the same boot again',
    APPRAISED,
    [{ op: 'power_cycle' }, ...APPRAISED.document.steps],
    false,
    '',
  ],
  [
    'policy-never-weakens',
    'rules behind the others',
    APPRAISED,
    [{ op: 'policy_row', data: 'dont_appraise func=BPRM_CHECK\n' }],
    false,
    '',
  ],
  [
    'no-rollback',
    'an old script runs',
    OUTDATED,
    [{ op: 'exec', path: '/mnt/job.sh' }],
    true,
    'does not say which version',
  ],
  ['no-rollback', 'another program runs', OUTDATED, [RUN], false, ''],
])('%s: %s', (name, _, subject, forms, broken, cover) => {
  it(broken ? 'breaks it' : 'does not break it', () => {
    const found = breaks(subject, name, ...forms);
    expect(found?.property.name ?? null).toBe(broken ? name : null);
    if (found === null) return;
    expect(`${found.finding.cover} ${found.finding.suggestion}`).toContain(cover);
    expect(found.finding.what).not.toMatch(/undefined|null|\[object/);
  });
});

describe('workload-lives', () => {
  const task = (path: string): string =>
    `  workload:\n    - name: run\n      steps: [{ op: exec, path: ${path} }]\n`;

  it.each([
    ['/mnt/sh', false],
    ['/mnt/stranger', true],
  ])('%s', (path, broken) => {
    const subject = subjectOfText(machineWith(BPRM, task(path)));
    const found = breaks(subject, 'workload-lives', ...(subject.workload[0]?.steps ?? []));
    expect(found !== null).toBe(broken);
  });

  it('does not mind what an attacker cannot do', () => {
    expect(breaks(APPRAISED, 'workload-lives', STRANGER)).toBeNull();
  });
});

describe('clauses of one’s own', () => {
  const subject = subjectOfText(
    machineWith(
      MEASURE,
      '  never:\n    - { sentence: Nobody loads modules., when: { op: finit_module }, expect: { err: OK } }\n  always:\n    - { when: { op: exec }, expect: { violations: 0 } }\n',
    ),
  );

  it('hold or not', () => {
    expect(breaks(subject, 'never-1', RUN)).toBeNull();
    const found = breaks(subject, 'never-1', { op: 'finit_module', path: '/mnt/driver.ko' });
    expect(found?.finding.what).toContain('Nobody loads modules.');
    expect(found?.finding.expect).toEqual({ err: 'OK' });
    expect(breaks(subject, 'always-1', RUN, { op: 'read', path: '/mnt/none' })).toBeNull();
  });

  it('are mistakes of the text where they name what is not there', () => {
    expect(() =>
      subjectOfText(machineWith(MEASURE, '  never:\n    - { expect: { reasons: [ima.nothing_such] } }\n')),
    ).toThrow(/unknown reason code/);
    expect(() => subjectOfText(machineWith(MEASURE, '  nevr: []\n'))).toThrow(/nevr/);
  });
});

describe('subjects', () => {
  it('vouch for what is labelled, and for nothing else', () => {
    const roles = [...NOTHING.installed.values()].flat().map((f) => f.path);
    expect(roles).toContain('/mnt/sh');
    expect(roles).not.toContain('/mnt/stranger');
    const named = subjectOfText(machineWith('', '  trusted: [/mnt/stranger]\n  strangers: [/mnt/sh]\n'));
    const paths = [...named.installed.values()].flat().map((f) => f.path);
    expect(paths).toContain('/mnt/stranger');
    expect(paths).not.toContain('/mnt/sh');
  });

  it('take their own steps first', () => {
    expect(NOTHING.setup.every(asExpected)).toBe(true);
    const broken = subjectOfText(START.replace('/dev/vdc', '/dev/vdz'));
    expect(broken.setup.every(asExpected)).toBe(false);
  });
});
