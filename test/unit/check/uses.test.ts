// Where code is used, read from one step: each way in which bytes become code, and those that are none.

import { describe, expect, it } from 'vitest';
import type { StepForm } from '../../../src/check/action.ts';
import { usesOf } from '../../../src/check/uses.ts';
import { lastOf, machineWith, subjectOfText } from './world.ts';

const subject = subjectOfText(machineWith(''));

function uses(...forms: readonly StepForm[]): readonly string[] {
  return usesOf(lastOf(subject, ...forms)).map((u) => `${u.kind} ${u.path}`);
}

const FIRMWARE = '/sys/devices/virtual/misc/test_firmware/trigger_request';

describe('uses of code', () => {
  it.each<readonly [string, readonly StepForm[], readonly string[]]>([
    ['a static program', [{ op: 'exec', path: '/mnt/sh' }], ['program /mnt/sh', 'library /mnt/sh']],
    [
      'a program and its loader',
      [{ op: 'exec', path: '/mnt/app' }],
      ['program /mnt/app', 'library /mnt/app', 'library /mnt/ld.so'],
    ],
    [
      'a script and its interpreter',
      [{ op: 'exec', path: '/mnt/job.sh' }],
      ['program /mnt/job.sh', 'program /mnt/sh', 'library /mnt/sh'],
    ],
    ['a library', [{ op: 'mmap', path: '/mnt/app', prot: 'rx' }], ['library /mnt/app']],
    ['a mapping that is only read', [{ op: 'mmap', path: '/mnt/app', prot: 'r', map: 'm' }], []],
    [
      'a mapping that becomes code',
      [
        { op: 'mmap', path: '/mnt/app', prot: 'r', map: 'm' },
        { op: 'mprotect', map: 'm', prot: 'rx' },
      ],
      ['library /mnt/app'],
    ],
    [
      'pages that were changed',
      [
        { op: 'mmap', path: '/mnt/app', prot: 'rw', map: 'm' },
        { op: 'pokemap', map: 'm', data: 'x' },
        { op: 'mprotect', map: 'm', prot: 'rx' },
      ],
      ['memory /mnt/app'],
    ],
    ['memory of its own', [{ op: 'mmap', prot: 'rwx', map: 'm' }], ['memory memory']],
    [
      'a store into memory that is code',
      [
        { op: 'mmap', prot: 'rwx', map: 'm' },
        { op: 'pokemap', map: 'm', data: 'x' },
      ],
      ['memory memory'],
    ],
    ['a module by its file', [{ op: 'finit_module', path: '/mnt/driver.ko' }], ['module /mnt/driver.ko']],
    ['a module by its bytes', [{ op: 'init_module', path: '/mnt/driver.ko' }], ['module /mnt/driver.ko']],
    [
      'firmware',
      [
        { op: 'write', path: '/lib/firmware/a.bin', data: 'x' },
        { op: 'syswrite', path: FIRMWARE, data: 'a.bin' },
      ],
      ['firmware /lib/firmware/a.bin'],
    ],
    ['a kernel for kexec', [{ op: 'kexec_file', path: '/mnt/kernel' }], ['kernel /mnt/kernel']],
    [
      'what an interpreter reads',
      [{ op: 'cat', path: '/mnt/job.sh', as: { actor: 'interpreter' } }],
      ['interpreted text /mnt/job.sh'],
    ],
    ['what anybody else reads', [{ op: 'cat', path: '/mnt/job.sh' }], []],
    ['a program that is not there', [{ op: 'exec', path: '/mnt/none' }], []],
    ['a file that is written', [{ op: 'write', path: '/mnt/new', data: 'x' }], []],
  ])('%s', (_, forms, expected) => {
    expect(uses(...forms)).toEqual(expected);
  });

  it('counts a program that was stopped between its phases when it runs', () => {
    const begun: StepForm[] = [
      { op: 'exec_begin', path: '/mnt/sh' },
      { op: 'exec_step', until: 'mapped' },
    ];
    expect(uses(...begun)).toEqual([]);
    expect(uses(...begun, { op: 'exec_finish' })).toContain('program /mnt/sh');
  });

  it('sees that a live mapping shows other bytes', () => {
    const mapped: StepForm = { op: 'mmap', path: '/mnt/app', prot: 'rx', map: 'm' };
    const changed: StepForm[] = [
      { op: 'block_write', disk: 'vdc', path: '/app', data: { program: 'other' } },
      { op: 'memory_pressure' },
    ];
    expect(uses(mapped, ...changed)).toEqual(['library /mnt/app']);
    expect(uses(mapped, { op: 'memory_pressure' })).toEqual([]);
  });

  it('does not count what a kernel starts at its boot', () => {
    expect(uses({ op: 'power_cycle' })).toEqual([]);
  });
});
