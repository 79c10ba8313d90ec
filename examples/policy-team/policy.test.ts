// What the policy of the servers promises, against whom, and how hard somebody looked.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type CheckReport,
  campaign,
  loadSubject,
  machineText,
  powersNamed,
  propertiesNamed,
  property,
  usesOf,
} from 'kisim/check';
import { describe, expect, it } from 'vitest';

const read = (name: string): string => readFileSync(join(import.meta.dirname, 'policies', name), 'utf8');

/** The policy on the ready server machine. */
function server(policy: string): Parameters<typeof campaign>[0] {
  const loaded = loadSubject(
    policy,
    machineText('server', [{ kind: 'ima', name: policy, text: read(policy) }]),
  );
  if (!loaded.ok) throw new Error(loaded.diagnostics.map((d) => `${d.line}: ${d.message}`).join('\n'));
  return loaded.subject;
}

function search(policy: string, promise: string, attacker: string, depth: number): CheckReport {
  return campaign(server(policy), {
    properties: propertiesNamed([promise]),
    powers: powersNamed(attacker),
    engine: { kind: 'exhaustive', depth },
  });
}

describe('the servers', () => {
  it.each([
    ['only-signed-code-runs', 'unprivileged-user', 2],
    ['only-signed-code-runs', 'kexec-user', 2],
    ['only-signed-code-runs', 'mounter', 2],
    ['workload-lives', 'workload', 2],
  ])('keep %s against %s, %i actions deep', (promise, attacker, depth) => {
    const report = search('server.ima', promise, attacker, depth);
    expect(report.found?.scenario ?? null).toBeNull();
    expect(report.complete).toBe(true);
  });

  it('load no modules from /tmp, a promise of our own', () => {
    const ours = property('no-modules-from-tmp', 'No kernel module comes from /tmp.', (t) => {
      const use = usesOf(t).find((u) => u.kind === 'module' && u.path.startsWith('/tmp/'));
      if (use === undefined) return null;
      return {
        what: `${use.path} was loaded`,
        event: use.check,
        object: use.path,
        cover: '',
        suggestion: '',
        expect: { err: 'OK' },
      };
    });
    const options = { properties: [ours], powers: powersNamed('root-without-keys') };
    const engine = { kind: 'random', runs: 40, seed: 1 } as const;
    expect(campaign(server('server.ima'), { ...options, engine }).found).toBeNull();
    expect(
      campaign(server('draft.ima'), { ...options, engine: { kind: 'random', runs: 400, seed: 1 } }).found,
    ).not.toBeNull();
  });
});

describe('the first draft', () => {
  it('let root load firmware of their own', () => {
    const { found } = search('draft.ima', 'only-signed-code-runs', 'root-without-keys', 1);
    expect(found?.suggestion).toContain('func=FIRMWARE_CHECK');
  });
});
