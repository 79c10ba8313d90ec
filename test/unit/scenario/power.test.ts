// Power steps of scenarios: what a later boot may be given, and which steps work on a machine that is not on.

import { describe, expect, it } from 'vitest';
import { Machine } from '../../../src/kernel/machine.ts';
import { type LoadResult, loadScenario } from '../../../src/scenario/loader.ts';
import { failedChecks, type RunReport } from '../../../src/scenario/result.ts';
import { runScenario } from '../../../src/scenario/runner.ts';

const load = (text: string): LoadResult => loadScenario('t.yaml', `title: t\nkind: regression\n${text}`);

function run(text: string): RunReport {
  const loaded = load(text);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return runScenario(loaded.scenario, (config) => Machine.boot(config)).report;
}

function wrong(report: RunReport): string[] {
  return report.steps.flatMap((s) =>
    s.checks
      .filter((c) => !c.ok)
      .map((c) => `${s.step.number} ${c.path.join('.')}: ${c.expected}, not ${c.actual}`),
  );
}

const messages = (text: string): string[] => {
  const loaded = load(text);
  return loaded.ok ? [] : loaded.diagnostics.map((d) => d.message);
};

describe('a power cycle', () => {
  it('gives new processes, a new list and empty registers, and the old disk', () => {
    const report = run(`
machine: { cmdline: ima_policy=tcb }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a, data: "a" }
  - { op: open, path: /mnt/a, slot: f }
  - { op: read, path: /mnt/a }
  - { op: pcr_extend, pcr: 23, data: x }
  - op: power_cycle
    after: 60
    expect:
      measured: [boot_aggregate]
      pcr: { 10: changed, 23: "0000000000000000", 0: unchanged, 8: unchanged }
      violations: 0
  - { op: read, path: /mnt/a, expect: { err: ENOENT } }
  - { op: close, slot: f, expect: { err: EBADF } }
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: cat, path: /mnt/a, expect: { text: "a", measured: [/mnt/a] } }
expect: { measured: [boot_aggregate, /mnt/a] }
`);
    expect(wrong(report)).toEqual([]);
    expect(failedChecks(report)).toBe(0);
  });

  it('takes another command line, initramfs, kernel and firmware', () => {
    const report = run(`
machine: { cmdline: ima_policy=tcb }
steps:
  - op: power_cycle
    boot:
      cmdline: quiet
      config: { CONFIG_IMA: "n" }
      initramfs: { /etc/stick: { content: "s" } }
      firmware: { events: [ { pcr: 0, type: EV_S_CRTM_VERSION, data: other } ] }
    expect: { measured: [], pcr: { 0: changed } }
  - { op: cat, path: /etc/stick, expect: { text: "s" } }
  - { op: read, path: /sys/kernel/security/ima/ascii_runtime_measurements, expect: { err: ENOENT } }
  - { op: cat, path: /proc/cmdline, expect: { contains: quiet } }
  - { op: power_cycle, boot: { profile: linux-6.12.107 }, expect: { measured: [boot_aggregate] } }
  - { op: cat, path: /etc/stick, expect: { text: "s" } }
`);
    expect(wrong(report)).toEqual([]);
  });

  it('has mistakes of a boot at their place', () => {
    const text = (boot: string): string => `steps: [ { op: power_cycle, boot: ${boot} } ]\n`;
    expect(messages(text('{ cmdlin: x }'))[0]).toContain('cmdlin');
    expect(messages(text('{ profile: linux-6.12.10 }'))[0]).toContain('unknown kernel profile');
    expect(messages(text('{ config: { CONFIG_IMMA: "y" } }'))[0]).toContain('CONFIG_IMMA');
    expect(messages(text('{ proposals: [nothing] }'))[0]).toContain('unknown design');
    const firmware = '{ firmware: { events: [ { pcr: 0, type: EV_NOTHING, data: x } ] } }';
    expect(messages(text(firmware))[0]).toContain('unknown kind of event');
    expect(messages(text('{ trusted_keys: { builtin: [ "no certificate" ] } }'))[0]).toContain(
      'no certificate',
    );
    expect(messages(text('{ initramfs: { /a/../b: {} } }'))[0]).toContain('no plain path');
  });
});

describe('a machine that is not on', () => {
  it('does nothing that its programs would do', () => {
    const report = run(`
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: disk_edit, disk: vdc, path: /a, data: "x", expect: { err: EBUSY } }
  - { op: quote, pcrs: [10] }
  - { op: power_off }
  - { op: read, path: /proc/cmdline, expect: { err: ESRCH, result: { power: "off" } } }
  - { op: quote, pcrs: [10], expect: { err: ESRCH } }
  - { op: verify_quote, against: then }
  - { op: power_off, expect: { err: EINVAL } }
  - { op: reset, expect: { err: EINVAL } }
  - { op: tpm_reset, expect: { err: ENODEV } }
  - { op: disk_edit, disk: vdc, path: /a, data: "x", mode: "4711", owner: "1:2", xattr: user.a, value: "v" }
  - { op: disk_edit, disk: vdc, path: /none, remove: true, expect: { err: ENOENT } }
  - { op: power_on }
  - { op: power_on, expect: { err: EINVAL } }
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: getxattr, path: /mnt/a, name: user.a }
  - { op: cat, path: /mnt/a, expect: { text: "x" } }
  - { op: suspend }
  - { op: read, path: /mnt/a, expect: { err: ESRCH, result: { power: asleep } } }
  - { op: resume, after: 5 }
  - { op: resume, expect: { err: EINVAL } }
  - { op: cat, path: /mnt/a, expect: { text: "x" } }
`);
    expect(wrong(report)).toEqual([]);
  });

  it('is brought back by a reset when its kernel panicked', () => {
    const report = run(`
machine: { cmdline: "rdinit=/none init=/none" }
steps:
  - { op: mkdir, path: /tmp/a, expect: { err: ESRCH } }
  - { op: reset, orderly: false, boot: { cmdline: "" } }
  - { op: mkdir, path: /tmp/a }
`);
    expect(wrong(report)).toEqual([]);
  });
});

describe('the TPM', () => {
  it('comes back from sleep with its registers, or not', () => {
    const report = run(`
machine: { cmdline: ima_policy=tcb }
steps:
  - { op: suspend }
  - { op: resume, expect: { pcr: { 0: unchanged, 10: unchanged } } }
  - { op: tpm_reset, startup: clear, expect: { pcr: { 0: "0000000000000000", 10: "0000000000000000" } } }
  - { op: tpm_reset }
  - { op: quote, pcrs: [10], expect: { rc: TPM_RC_INITIALIZE } }
`);
    expect(wrong(report)).toEqual([]);
  });
});
