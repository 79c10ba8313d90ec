import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { decodeState, encodeState } from '../../../src/base/json.ts';
import { step } from '../../../src/base/table.ts';
import { IPE_POLICY_EVENTS, ipePolicyMachine, ipePolicyTable } from '../../../src/ipe/ipe-policy.machine.ts';
import { kstrtobool } from '../../../src/ipe/kstrtobool.ts';
import type { IpePolicyLife, IpeState } from '../../../src/ipe/types.ts';
import { World } from './world.ts';

const text = (name: string, version: string, more = ''): string =>
  `Ppolicy_name=${name} policy_version=${version}\nDEFAULT action=ALLOW\n${more}`;

function booted(): World {
  const w = new World();
  expect(w.ipe.initSecurityfs()).toBe(0);
  return w;
}

describe('life of a policy', () => {
  it('makes a directory with seven nodes and their modes', () => {
    const w = booted();
    expect(w.write('ipe/new_policy', text('p', '1.2.3'))).toMatch(/^wrote/);
    const modes = [...w.nodes]
      .filter(([k]) => k.startsWith('ipe/policies/p'))
      .map(([k, v]) => [k, v.mode.toString(8)]);
    expect(modes).toEqual([
      ['ipe/policies/p', '40755'],
      ['ipe/policies/p/pkcs7', '100444'],
      ['ipe/policies/p/policy', '100444'],
      ['ipe/policies/p/name', '100444'],
      ['ipe/policies/p/version', '100444'],
      ['ipe/policies/p/active', '100600'],
      ['ipe/policies/p/update', '100200'],
      ['ipe/policies/p/delete', '100200'],
    ]);
    expect(w.read('ipe/policies/p/version')).toBe('1.2.3');
    expect(w.read('ipe/policies/p/name')).toBe('p');
    expect(w.read('ipe/policies/p/active')).toBe('0');
    expect(w.read('ipe/policies/p/pkcs7')).toBe(text('p', '1.2.3'));
    expect(`P${w.read('ipe/policies/p/policy')}`).toBe(text('p', '1.2.3'));
  });

  it('compares versions as the kernel does', () => {
    const w = booted();
    w.write('ipe/new_policy', text('p', '1.2.3'));
    expect(w.write('ipe/new_policy', text('p', '9.0.0'))).toBe('EEXIST');
    expect(w.write('ipe/policies/p/update', text('p', '1.2.3'))).toBe('ESTALE');
    expect(w.write('ipe/policies/p/update', text('p', '0.65535.65535'))).toBe('ESTALE');
    expect(w.write('ipe/policies/p/update', text('q', '9.0.0'))).toBe('EINVAL');
    expect(w.write('ipe/policies/p/update', text('p', '1.3.0'))).toMatch(/^wrote/);
    w.write('ipe/new_policy', text('q', '1.3.0'));
    w.write('ipe/new_policy', text('r', '1.2.9'));
    expect(w.write('ipe/policies/p/active', '1')).toBe('wrote 1');
    expect(w.write('ipe/policies/r/active', '1')).toBe('EINVAL');
    expect(w.write('ipe/policies/q/active', 'on')).toBe('wrote 2');
    expect([w.read('ipe/policies/p/active'), w.read('ipe/policies/q/active')]).toEqual(['0', '1']);
    expect(w.reasons()).toContain('ipe.activate_lower');
  });

  it('deletes only what is not active, and forgets the version', () => {
    const w = booted();
    w.write('ipe/new_policy', text('p', '2.0.0'));
    w.write('ipe/policies/p/active', '1');
    const active = w.node('ipe/policies/p/active');
    expect(w.write('ipe/policies/p/delete', '1')).toBe('EPERM');
    expect(w.write('ipe/policies/p/delete', '0')).toBe('EINVAL');
    w.write('ipe/new_policy', text('q', '2.0.0'));
    w.write('ipe/policies/q/active', '1');
    expect(w.write('ipe/policies/p/delete', '1')).toBe('wrote 1');
    expect(w.nodes.has('ipe/policies/p')).toBe(false);
    expect([w.readNode(active), w.writeNode(active, '1')]).toEqual(['ENOENT', 'ENOENT']);
    expect(w.write('ipe/new_policy', text('p', '0.0.1'))).toMatch(/^wrote/);
    expect(w.readNode(active)).toBe('ENOENT');
    expect(w.write('ipe/policies/p/active', '1')).toBe('EINVAL');
  });

  it('puts an update of the active policy in force at once', () => {
    const w = booted();
    const p = w.open({ path: '/p' });
    w.write('ipe/new_policy', text('p', '1.0.0'));
    w.write('ipe/policies/p/active', '1');
    expect(w.ipe.bprmCheck({} as never, p)).toBe(0);
    w.write('ipe/policies/p/update', text('p', '1.0.1', 'op=EXECUTE action=DENY\n'));
    expect(w.read('ipe/policies/p/active')).toBe('1');
    const types = w.records().map((r) => r.slice(0, 4));
    expect(types).toEqual(['1422', '1421', '1422', '1421']);
    expect(w.records()[3]).toMatch(/^1421 old_active_pol_name="p" old_active_pol_version=1\.0\.0 /);
  });

  it('tries the platform keyring last and answers with its errno', () => {
    const w = booted();
    expect(w.write('ipe/new_policy', `S${text('s', '0.0.1').slice(1)}`)).toMatch(/^wrote/);
    expect(w.asked).toEqual(['secondary', 'platform']);
    expect(w.write('ipe/new_policy', `U${text('u', '0.0.1').slice(1)}`)).toBe('ENOKEY');
    expect(w.write('ipe/new_policy', 'junk')).toBe('EBADMSG');
    const only = new World(
      {},
      { CONFIG_IPE_POLICY_SIG_PLATFORM_KEYRING: 'n', CONFIG_IPE_POLICY_SIG_SECONDARY_KEYRING: 'n' },
    );
    only.ipe.initSecurityfs();
    expect(only.write('ipe/new_policy', `U${text('u', '0.0.1').slice(1)}`)).toBe('EKEYREJECTED');
    expect(only.asked).toEqual(['builtin']);
  });

  it('takes only names that can be directories', () => {
    const w = booted();
    for (const name of ['.', '..', 'a/b'])
      expect(w.write('ipe/new_policy', text(name, '0.0.1'))).toBe('EACCES');
    expect(w.write('ipe/new_policy', text('n'.repeat(256), '0.0.1'))).toBe('ENAMETOOLONG');
    expect(w.write('ipe/new_policy', text('n'.repeat(255), '0.0.1'))).toMatch(/^wrote/);
    expect(w.records()).toHaveLength(1);
  });

  it("asks for the opener's CAP_MAC_ADMIN before anything else", () => {
    const w = booted();
    expect(w.write('ipe/new_policy', 'junk', { caps: 0n })).toBe('EPERM');
    expect(w.write('ipe/new_policy', 'junk', { caps: ~(1n << 33n) })).toBe('EPERM');
    expect(w.write('ipe/enforce', 'x', { userNs: 5 })).toBe('EPERM');
    expect(w.write('ipe/enforce', 'x', { caps: 1n << 33n })).toBe('EINVAL');
  });

  it('starts with the boot policy, which has no message', () => {
    const w = new World();
    expect(w.ipe.init('policy_name=boot policy_version=0.1.0\nDEFAULT action=ALLOW\n')).toBe(0);
    w.ipe.initSecurityfs();
    expect(w.read('ipe/policies/boot/active')).toBe('1');
    expect(w.read('ipe/policies/boot/pkcs7')).toBe('ENOENT');
    expect(w.write('ipe/policies/boot/delete', '1')).toBe('EPERM');
    expect(w.records()).toEqual([]);
    expect(w.write('ipe/policies/boot/update', text('boot', '0.1.1'))).toMatch(/^wrote/);
    expect(w.records()[1]).toContain(
      'old_policy_digest=sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855',
    );
  });

  it('fails open with a boot policy that does not parse', () => {
    const w = new World();
    expect(w.ipe.init('policy_name=boot policy_version=0.1.x\nDEFAULT action=DENY\n')).toBe('EINVAL');
    expect(w.ipe.bprmCheck({} as never, w.open({ path: '/p' }))).toBe(0);
    expect(w.ipe.initSecurityfs()).toBe(0);
    expect(w.nodes.has('ipe/new_policy')).toBe(true);
  });

  it('has no nodes when it is not in the LSM list', () => {
    const w = new World({ enabled: false });
    expect(w.ipe.initSecurityfs()).toBe('EOPNOTSUPP');
    expect(w.nodes.size).toBe(0);
  });
});

describe('switches', () => {
  it('audits a change of enforce once, with an empty record', () => {
    const w = booted();
    expect(w.write('ipe/enforce', '1')).toBe('wrote 1');
    expect(w.records()).toEqual([]);
    expect(w.write('ipe/enforce', 'off\n')).toBe('wrote 4');
    expect(w.read('ipe/enforce')).toBe('0');
    expect(w.records()).toEqual([
      '1404 enforcing=0 old_enforcing=1 auid=4294967295 ses=4294967295 enabled=1 old-enabled=1 lsm=ipe res=1',
      '1404',
    ]);
    w.write('ipe/success_audit', 'y');
    expect(w.read('ipe/success_audit')).toBe('1');
    expect(w.records()).toHaveLength(2);
  });

  it('takes start values from the command line', () => {
    const w = new World({ enforce: false, successAudit: true });
    expect([w.ipe.state.enforce, w.ipe.state.successAudit]).toEqual([false, true]);
    expect(new World().ipe.state.enforce).toBe(true);
  });

  it.each([
    ['y', true],
    ['Yes', true],
    ['t', true],
    ['1x', true],
    ['on', true],
    ['ON\n', true],
    ['n', false],
    ['F', false],
    ['0', false],
    ['oF', false],
    ['', undefined],
    ['o', undefined],
    ['2', undefined],
    [' 1', undefined],
    ['\n', undefined],
  ])('reads %j as %s', (word, value) => {
    expect(kstrtobool(word)).toBe(value);
  });
});

describe('state', () => {
  it('survives JSON', () => {
    const w = booted();
    w.write('ipe/new_policy', text('p', '1.0.0', 'op=EXECUTE fsverity_digest=sha256:00ff action=DENY\n'));
    w.ipe.initramfsPopulated(3);
    w.ipe.inodeSetIntegrity(4, true);
    const again = decodeState(JSON.parse(JSON.stringify(encodeState(w.ipe.state)))) as IpeState;
    expect(encodeState(again)).toEqual(encodeState(w.ipe.state));
    expect(again.directories.get(1)?.policy.parsed.name).toBe('p');
  });

  it('runs on the table that its machine gives', () => {
    const events = IPE_POLICY_EVENTS.map((type) => ({ type }));
    const queue = [initialTransition(ipePolicyMachine)[0]];
    const seen = new Set<string>();
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      const from = at.value as IpePolicyLife;
      if (seen.has(from)) continue;
      seen.add(from);
      for (const event of events) {
        const [to] = transition(ipePolicyMachine, at, event);
        expect(step(ipePolicyTable, from, event.type)).toBe(to.value);
        queue.push(to);
      }
    }
    expect([...seen].sort()).toEqual([...ipePolicyTable.states].sort());
  });
});
