// What the life of policies and each decision leave behind: events of the trace with their data and reasons, and the
// records, word by word.

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { toArray } from '../../../src/base/list.ts';
import { PROT_EXEC, PROT_READ } from '../../../src/vfs/constants.ts';
import type { VerityInfo } from '../../../src/vfs/types.ts';
import { TASK, World } from './world.ts';

const ALLOW = 'DEFAULT action=ALLOW\n';
const ONE_RULE = 'DEFAULT action=DENY\nop=EXECUTE boot_verified=TRUE action=ALLOW\n';
const DENIED = { rule: 'DEFAULT action=DENY', missed: [{ line: 3, property: 'boot_verified=TRUE' }] };
const ENDING = 'auid=4294967295 ses=4294967295 lsm=ipe res=1';

const signed = (version: string, rest = ALLOW, name = 'p'): string =>
  `Ppolicy_name=${name} policy_version=${version}\n${rest}`;

const digest = (message: string): string =>
  `sha256:${createHash('sha256').update(message, 'latin1').digest('hex').toUpperCase()}`;

/** Events since the last call, as kind, data and reason. */
function teller(w: World): () => unknown[] {
  let from = 0;
  return () => {
    const events = toArray(w.trace.state.events).slice(from);
    from += events.length;
    return events.map((e) => [e.kind, e.data, e.reason ?? null]);
  };
}

function ready(): World {
  const w = new World();
  w.ipe.initSecurityfs();
  return w;
}

function enforced(rest: string): World {
  const w = ready();
  w.write('ipe/new_policy', signed('1.0.0', rest));
  w.write('ipe/policies/p/active', '1');
  return w;
}

describe('events of the life of policies', () => {
  it('tell what was loaded, and why a message was not', () => {
    const w = ready();
    const told = teller(w);
    w.write('ipe/new_policy', signed('1.0.0'));
    expect(told()).toEqual([
      ['ipe.policy', { name: 'p', event: 'LOAD', from: 'absent', to: 'loaded' }, null],
      ['ipe.load', { name: 'p', version: '1.0.0' }, 'ipe.policy_loaded'],
    ]);
    w.write('ipe/new_policy', signed('1.0.0'));
    w.write('ipe/new_policy', signed('1.0.0', ALLOW, '..'));
    w.write('ipe/new_policy', 'Unothing');
    w.write('ipe/new_policy', signed('1.0.0', 'x\n'));
    expect(told()).toEqual([
      ['ipe.refused', { errno: 'EEXIST', name: 'p' }, 'ipe.policy_exists'],
      ['ipe.refused', { errno: 'EACCES', name: '..' }, 'ipe.policy_bad_name'],
      ['ipe.refused', { errno: 'ENOKEY' }, 'ipe.signature_refused'],
      ['ipe.refused', { errno: 'EBADMSG', line: 2, offset: 35 }, 'ipe.parse_action'],
    ]);
  });

  it('tell activation, updates and deletion', () => {
    const w = enforced(ALLOW);
    const told = teller(w);
    expect(told().slice(2)).toEqual([
      ['ipe.policy', { name: 'p', event: 'ACTIVATE', from: 'loaded', to: 'active' }, null],
      ['ipe.activate', { name: 'p', version: '1.0.0' }, 'ipe.policy_activated'],
    ]);
    w.write('ipe/policies/p/active', '1');
    w.write('ipe/policies/p/update', signed('1.0.0'));
    w.write('ipe/policies/p/update', signed('2.0.0', ALLOW, 'q'));
    w.write('ipe/policies/p/update', signed('2.0.0'));
    w.write('ipe/policies/p/delete', '1');
    expect(told()).toEqual([
      ['ipe.activate', { name: 'p' }, 'ipe.already_active'],
      ['ipe.refused', { errno: 'ESTALE', version: '1.0.0' }, 'ipe.update_stale'],
      ['ipe.refused', { errno: 'EINVAL', name: 'q' }, 'ipe.update_other_name'],
      ['ipe.policy', { name: 'p', event: 'UPDATE', from: 'active', to: 'active' }, null],
      ['ipe.update', { name: 'p', version: '2.0.0' }, 'ipe.policy_updated'],
      ['ipe.refused', { errno: 'EPERM', name: 'p' }, 'ipe.delete_active'],
    ]);
    w.write('ipe/new_policy', signed('1.5.0', ALLOW, 'r'));
    told();
    w.write('ipe/policies/r/active', '1');
    const nodes = ['active', 'delete'].map((name) => w.node(`ipe/policies/r/${name}`));
    const update = w.node('ipe/policies/r/update');
    w.write('ipe/policies/r/delete', '1');
    for (const node of nodes) expect(w.writeNode(node, '1')).toBe('ENOENT');
    expect(w.writeNode(update, signed('3.0.0', ALLOW, 'r'))).toBe('ENOENT');
    const goneEvent = ['ipe.refused', { errno: 'ENOENT' }, 'ipe.policy_gone'];
    expect(told()).toEqual([
      ['ipe.refused', { errno: 'EINVAL', name: 'r', version: '2.0.0' }, 'ipe.activate_lower'],
      ['ipe.policy', { name: 'r', event: 'DELETE', from: 'loaded', to: 'deleted' }, null],
      ['ipe.delete', { name: 'r' }, 'ipe.policy_deleted'],
      goneEvent,
      goneEvent,
      goneEvent,
    ]);
  });

  it('tell of the boot policy, of a broken one and of one whose name is no directory', () => {
    const good = new World();
    const told = teller(good);
    expect(good.ipe.init('policy_name=b policy_version=0.0.1\nDEFAULT action=ALLOW\n')).toBe(0);
    expect(told()).toEqual([
      ['ipe.policy', { name: 'b', event: 'BOOT', from: 'absent', to: 'active' }, null],
    ]);
    expect(good.ipe.state.nextId).toBe(2);
    good.ipe.initSecurityfs();
    expect([...good.nodes.keys()].filter((path) => path === 'ipe/policies/b')).toHaveLength(1);
    const broken = new World();
    expect(broken.ipe.init('x')).toBe('EBADMSG');
    expect(broken.reasons().at(-1)).toBe('ipe.boot_policy_broken');
    const odd = new World();
    odd.ipe.init('policy_name=a/b policy_version=0.0.1\nDEFAULT action=ALLOW\n');
    const saw = teller(odd);
    saw();
    expect(odd.ipe.initSecurityfs()).toBe('EACCES');
    expect(saw()).toEqual([['ipe.refused', { errno: 'EACCES', name: 'a/b' }, 'ipe.policy_bad_name']]);
    expect(odd.nodes.size).toBe(0);
    const off = new World({ enabled: false });
    expect([off.ipe.init('x'), new World().ipe.init(null)]).toEqual([0, 0]);
    expect(off.reasons()).toEqual([]);
  });
});

describe('records of the life of policies', () => {
  it('name both policies by name, version and digest of the message', () => {
    const w = ready();
    const [one, two, other] = [signed('1.0.0'), signed('2.0.0'), signed('2.0.0', ALLOW, 'q')];
    w.write('ipe/new_policy', one);
    w.write('ipe/policies/p/update', signed('1.0.1'));
    w.write('ipe/policies/p/active', '1');
    w.write('ipe/policies/p/update', two);
    w.write('ipe/new_policy', other);
    w.write('ipe/policies/q/active', '1');
    const load = (name: string, version: string, message: string): string =>
      `1422 policy_name="${name}" policy_version=${version} policy_digest=${digest(message)} ${ENDING}`;
    const side = (when: string, name: string, version: string, message: string): string => {
      const digestField = when === 'old' ? 'old_policy_digest' : 'new_policy_digest';
      const fields = `${when}_active_pol_name="${name}" ${when}_active_pol_version=${version}`;
      return `${fields} ${digestField}=${digest(message)}`;
    };
    const none = 'old_active_pol_name=? old_active_pol_version=? old_policy_digest=?';
    const between = signed('1.0.1');
    expect(w.records()).toEqual([
      load('p', '1.0.0', one),
      load('p', '1.0.1', between),
      `1421 ${none} ${side('new', 'p', '1.0.1', between)} ${ENDING}`,
      load('p', '2.0.0', two),
      `1421 ${side('old', 'p', '1.0.1', between)} ${side('new', 'p', '2.0.0', two)} ${ENDING}`,
      load('q', '2.0.0', other),
      `1421 ${side('old', 'p', '2.0.0', two)} ${side('new', 'q', '2.0.0', other)} ${ENDING}`,
    ]);
  });
});

describe('events of decisions', () => {
  it('say that there is no policy', () => {
    const w = ready();
    const told = teller(w);
    expect(w.ipe.bprmCheck(TASK, w.open({ path: '/p' }))).toBe(0);
    const data = { op: 'EXECUTE', hook: 'BPRM_CHECK' };
    expect(told()).toEqual([['ipe.evaluate', data, 'ipe.no_policy']]);
  });

  it('name hook, operation, rule and what each rule missed', () => {
    const w = enforced(ONE_RULE);
    const told = teller(w);
    told();
    w.mappings.set(1, { file: null, prot: PROT_EXEC });
    w.mappings.set(2, { file: null, prot: PROT_READ });
    expect(w.ipe.fileMprotect(TASK, 1, PROT_EXEC)).toBe(0);
    expect(w.ipe.fileMprotect(TASK, 2, PROT_EXEC)).toBe('EACCES');
    expect(w.ipe.mmapFile(TASK, null, PROT_EXEC)).toBe('EACCES');
    expect(w.ipe.kernelLoadData(TASK, 'firmware')).toBe('EACCES');
    const { rule } = DENIED;
    expect(told()).toEqual([
      ['ipe.evaluate', { hook: 'MPROTECT', file: null }, 'ipe.already_executable'],
      ['ipe.evaluate', { op: 'EXECUTE', hook: 'MPROTECT', file: null, ...DENIED }, 'ipe.denied'],
      ['ipe.evaluate', { op: 'EXECUTE', hook: 'MMAP', file: null, ...DENIED }, 'ipe.denied'],
      ['ipe.evaluate', { op: 'FIRMWARE', hook: 'KERNEL_LOAD', file: null, rule }, 'ipe.denied'],
    ]);
    const hooks = w
      .records()
      .slice(-3)
      .map((r) => / ipe_hook=(\S+)/.exec(r)?.[1]);
    expect(hooks).toEqual(['MPROTECT', 'MMAP', 'KERNEL_LOAD']);
  });

  it('say that a kernel read has no operation, and that nothing is enforced', () => {
    const w = enforced(ONE_RULE);
    const told = teller(w);
    told();
    const file = w.open({ path: '/m' });
    w.ipe.kernelReadFile(TASK, file, 'unknown' as 'module');
    w.ipe.kernelReadFile(TASK, file, 'module');
    w.write('ipe/enforce', '0');
    expect(w.ipe.bprmCheck(TASK, file)).toBe(0);
    w.ipe.initramfsPopulated(w.ipe.env.vfs.mountOf(file).sb);
    expect(w.ipe.bprmCheck(TASK, file)).toBe(0);
    const { rule } = DENIED;
    const ask = { op: 'EXECUTE', hook: 'BPRM_CHECK', file };
    expect(told()).toEqual([
      ['ipe.evaluate', { hook: 'KERNEL_READ' }, 'ipe.unknown_operation'],
      ['ipe.evaluate', { op: 'UNKNOWN', hook: 'KERNEL_READ', file, rule }, 'ipe.denied'],
      ['ipe.evaluate', { op: 'KMODULE', hook: 'KERNEL_READ', file, rule }, 'ipe.denied'],
      ['ipe.enforce', { enforce: false }, 'ipe.enforce_changed'],
      ['ipe.evaluate', { ...ask, ...DENIED }, 'ipe.denied_permissive'],
      ['ipe.initramfs', { sb: file }, 'ipe.initramfs_marked'],
      [
        'ipe.evaluate',
        { ...ask, rule: 'op=EXECUTE boot_verified=TRUE action=ALLOW', missed: [] },
        'ipe.allowed',
      ],
    ]);
  });

  it('keep what each decision missed, whatever the next one misses', () => {
    const verity: VerityInfo = { alg: 'sha256', blockSize: 4096, digest: fromHex('aa'), signature: null };
    const rules = [
      'op=EXECUTE fsverity_digest=sha256:aa boot_verified=TRUE action=ALLOW',
      'op=EXECUTE dmverity_signature=TRUE action=ALLOW',
      'op=EXECUTE boot_verified=TRUE action=ALLOW',
    ];
    const w = enforced(`DEFAULT action=DENY\n${rules.join('\n')}\n`);
    w.devices.set('dm-0', { alg: 'sha256', rootHash: fromHex('cc'), signed: true });
    const plain = w.open({ path: '/plain' });
    const sealed = w.open({ path: '/sealed', verity });
    const onVolume = w.open({ path: '/volume', device: 'dm-0' });
    const order = [plain, onVolume, plain, sealed, sealed, onVolume, plain];
    for (const file of order) w.ipe.bprmCheck(TASK, file);
    const events = toArray(w.trace.state.events).filter((e) => e.kind === 'ipe.evaluate');
    const first = { line: 3, property: 'fsverity_digest="sha256":AA' };
    const later = [
      { line: 4, property: 'dmverity_signature=TRUE' },
      { line: 5, property: 'boot_verified=TRUE' },
    ];
    const missed = new Map([
      [plain, [first, ...later]],
      [onVolume, [first]],
      [sealed, [{ line: 3, property: 'boot_verified=TRUE' }, ...later]],
    ]);
    expect(events.map((e) => e.data['missed'])).toEqual(order.map((file) => missed.get(file)));
  });

  it('follow the profile: one table, evaluated with and without a property', () => {
    const rest = 'DEFAULT action=DENY\nop=EXECUTE fsverity_signature=FALSE action=ALLOW\n';
    const w = enforced(rest);
    const file = w.open({ path: '/p' });
    expect(w.ipe.bprmCheck(TASK, file)).toBe(0);
    const without = new World({}, { CONFIG_IPE_PROP_FS_VERITY_BUILTIN_SIG: 'n' });
    without.ipe.state = w.ipe.state;
    expect(without.ipe.bprmCheck(TASK, without.open({ path: '/p' }))).toBe('EACCES');
  });
});
