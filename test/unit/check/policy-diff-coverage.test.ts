// Coverage of rules from traces: held against what the machine did.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { toArray } from '../../../src/base/list.ts';
import { imaCoverage, ipeCoverage } from '../../../src/check/policy-diff/coverage.ts';
import { play } from '../../../src/cli/play.ts';
import { loadScenario } from '../../../src/scenario/loader.ts';
import '../../../src/scenario/registry.ts';

function played(text: string): ReturnType<typeof play> {
  const loaded = loadScenario('x.yaml', text, {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  const run = play(loaded.scenario);
  expect(run.report.steps.flatMap((s) => s.checks.filter((c) => !c.ok))).toEqual([]);
  return run;
}

describe('coverage of IMA rules', () => {
  it('tells rules that decided, that were asked, and that nothing reached', () => {
    const { machine } = played(`
title: three rules
kind: regression
machine: {}
steps:
  - op: policy_row
    data: |
      dont_measure fsname=ext4
      measure func=FILE_CHECK mask=^MAY_READ
      measure func=FILE_CHECK uid=77
      measure func=MODULE_CHECK
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a, data: x }
  - { op: read, path: /mnt/a }
  - { op: write, path: /tmp/a, data: x }
  - { op: read, path: /tmp/a }
`);
    const { policy } = machine.ima.state;
    const seen = imaCoverage(toArray(machine.trace.state.events), policy.customRules, 'custom');
    expect(seen.map((r) => r.reach)).toEqual(['decided', 'decided', 'asked', 'unreached']);
    // Writing to /tmp asks the third rule, reading /mnt does not.
    expect(seen[2]).toMatchObject({ text: 'measure func=FILE_CHECK uid=77', decided: 0 });
  });
});

describe('coverage of IPE rules', () => {
  it('counts rules and defaults', () => {
    const { machine } = played(`
title: ipe
kind: regression
keys: { vendor: {} }
machine:
  trusted_keys: { builtin: [{ cert: vendor }] }
steps:
  - op: syswrite
    path: /sys/kernel/security/ipe/new_policy
    data: { cms: vendor, of: "policy_name=p policy_version=1.0.0\\nDEFAULT action=DENY\\nop=EXECUTE fsverity_signature=TRUE action=ALLOW\\nop=EXECUTE boot_verified=TRUE action=ALLOW\\nop=KMODULE action=ALLOW\\n" }
  - { op: syswrite, path: /sys/kernel/security/ipe/policies/p/active, data: "1" }
  - { op: write, path: /tmp/t, data: { program: t }, mode: "0755" }
  - { op: exec, path: /tmp/t }
  - { op: mmap, prot: rwx, map: jit, expect: { err: EACCES } }
`);
    const policy = [...machine.ipe.state.directories.values()].find((d) => d.name === 'p')?.policy.parsed;
    if (policy === undefined) throw new Error('no policy');
    const seen = ipeCoverage(toArray(machine.trace.state.events), policy);
    expect(seen.map((r) => [r.text, r.reach])).toEqual([
      ['op=EXECUTE fsverity_signature=TRUE action=ALLOW', 'asked'],
      ['op=EXECUTE boot_verified=TRUE action=ALLOW', 'decided'],
      ['op=KMODULE action=ALLOW', 'unreached'],
      ['DEFAULT action=DENY', 'decided'],
    ]);
  });
});
