import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { fromHex, utf8 } from '../../../src/base/bytes.ts';
import { step } from '../../../src/base/table.ts';
import { POLICY_EVENTS, policyMachine, policyTable } from '../../../src/ima/policy.machine.ts';
import type { PolicyLoadState } from '../../../src/ima/types.ts';
import { O_RDONLY, O_RDWR, O_WRONLY } from '../../../src/vfs/constants.ts';
import { hashLabel, World } from './world.ts';

const mode = (w: World): number | string => {
  const s = w.vfs.stat(w.task(), '/sec/policy');
  return s.ok ? s.value.mode & 0o777 : s.errno;
};

describe('the policy node', () => {
  it('lets one writer in, readers only with CAP_SYS_ADMIN, nobody for both', () => {
    const w = new World();
    const f = w.open('/sec/policy', O_WRONLY);
    expect(w.read('/sec/policy', w.task(), O_WRONLY)).toBe('EBUSY');
    expect(w.read('/sec/policy', w.task(), O_RDWR)).toBe('EACCES');
    expect(w.read('/sec/policy', w.task(), O_RDONLY)).toBe(0);
    const bare = w.task({ cred: { ...w.task().cred, caps: 0n } });
    expect(w.read('/sec/policy', bare)).toBe('EPERM');
    w.close(f);
    expect(w.read('/sec/policy', w.task(), O_WRONLY)).toBe(0);
    expect(w.reasons).toContain('ima.policy_busy');
  });

  it('takes writes at offset 0 only and drops the upload after one elsewhere', () => {
    const w = new World();
    const f = w.open('/sec/policy', O_WRONLY);
    expect(w.vfs.write(w.task(), f, utf8('measure\n'))).toEqual({ ok: true, value: 8 });
    expect(w.vfs.pwrite(w.task(), f, utf8('audit\n'), 8)).toEqual({ ok: false, errno: 'EINVAL' });
    w.close(f);
    expect(w.ima.state.policy).toMatchObject({ active: 'default', tempRules: [], load: 'closed' });
    expect(w.causes()).toEqual(['policy_update failed']);
  });

  it('reads a NUL as the end of the text', () => {
    const w = new World();
    expect(w.upload('measure uid=1\0bogus\n').wrote[0]).toBe(14);
    expect(w.upload('').wrote).toEqual([1]);
  });

  it.each([
    [{ CONFIG_IMA_WRITE_POLICY: 'n', CONFIG_IMA_READ_POLICY: 'n' }, 0o200, 'ENOENT', 'ENOENT'],
    [{ CONFIG_IMA_WRITE_POLICY: 'n', CONFIG_IMA_READ_POLICY: 'y' }, 0o600, 0o400, 'EBUSY'],
    [{ CONFIG_IMA_WRITE_POLICY: 'y', CONFIG_IMA_READ_POLICY: 'n' }, 0o200, 0o200, 0],
    [{ CONFIG_IMA_WRITE_POLICY: 'y', CONFIG_IMA_READ_POLICY: 'y' }, 0o600, 0o600, 0],
  ])('after an upload with %j', (config, before, after, again) => {
    const w = new World({ config });
    expect(mode(w)).toBe(before);
    expect(w.upload('bogus\n').err).toBe('EINVAL');
    expect(w.upload('# nothing\n').err).toBe(0);
    expect(mode(w)).toBe(before);
    w.policy('measure func=BPRM_CHECK');
    expect(mode(w)).toBe(after);
    expect(w.read('/sec/policy', w.task(), O_WRONLY)).toBe(again);
    if (config.CONFIG_IMA_READ_POLICY === 'n') expect(w.read('/sec/policy')).toMatch(/EACCES|ENOENT/);
  });

  it('is walked by its machine as by its table', () => {
    for (const state of policyTable.states) {
      for (const type of POLICY_EVENTS) {
        const from = policyMachine.resolveState({ value: state, context: {} });
        const to = from.status === 'done' ? from : transition(policyMachine, from, { type })[0];
        expect(step(policyTable, state as PolicyLoadState, type)).toBe(to.value);
      }
    }
    expect(initialTransition(policyMachine)[0].value).toBe(policyTable.initial);
    expect(policyTable.states).toHaveLength(6);
  });
});

describe('a policy given by its path', () => {
  it('is read with FILE_CHECK and POLICY_CHECK, and parsed whole', () => {
    const w = new World({ cmdline: 'ima_policy=tcb' });
    w.write('/mnt/p', 'measure uid=1\n# why\n\nmeasure uid=2\n');
    expect(w.upload('/mnt/p\nignored')).toEqual({ wrote: [14], err: 0 });
    expect(w.text('/sec/policy')).toBe('measure uid=1 \nmeasure uid=2 \n');
    expect(w.names).toEqual(['boot_aggregate', '/mnt/p']);
    const checks = w.events('ima.check').map((e) => e.data['func']);
    expect(checks).toContain('POLICY_CHECK');
  });

  it.each([
    ['measure uid=1\nmeasure uid=2', 'EINVAL', 2],
    ['measure uid=1\n\0', 0, 1],
    ['measure uid=1\n\0x\n', 'EINVAL', 1],
    ['measure uid=1\r\n', 'EINVAL', 1],
    ['', 'EINVAL', 0],
    ['bogus\nmeasure\n', 'EINVAL', 1],
  ])('%j', (text, err, parsed) => {
    const w = new World();
    w.write('/mnt/p', text);
    expect(w.upload('/mnt/p').err).toBe(err);
    expect(w.auditBodies().filter((b) => b.startsWith('1807'))).toHaveLength(parsed);
    expect(w.ima.state.policy.active).toBe(err === 0 ? 'custom' : 'default');
  });

  it('fails as the read fails', () => {
    const w = new World();
    expect(w.upload('/mnt/none\n').err).toBe('ENOENT');
    expect(w.upload('/mnt\n').err).toBe('EINVAL');
    w.write('/mnt/p', 'measure\n');
    const f = w.open('/mnt/p', O_WRONLY);
    expect(w.upload('/mnt/p\n').err).toBe('ETXTBSY');
    w.close(f);
    expect(w.upload('/mnt/p\n').err).toBe(0);
  });

  it('must be signed once a rule says so, and direct lines are refused for good', () => {
    const keys = { verifySignature: () => 0 as const };
    const w = new World({ keys });
    w.policy('appraise func=POLICY_CHECK appraise_type=imasig');
    expect(w.upload('measure\n').err).toBe('EACCES');
    expect(w.upload('# even this\n').err).toBe('EACCES');
    expect(w.auditBodies().at(-2)).toContain(
      'op=policy_update cause=signed policy required comm="init" res=0',
    );
    w.write('/mnt/p', 'measure uid=7\n');
    expect(w.upload('/mnt/p\n').err).toBe('EACCES');
    w.setLabel('/mnt/p', hashLabel('measure uid=7\n'));
    expect(w.upload('/mnt/p\n').err).toBe('EACCES');
    w.setLabel('/mnt/p', fromHex('0302041122334400041122aabb'));
    expect(w.upload('/mnt/p\n').err).toBe(0);
  });
});

describe('what an upload changes', () => {
  it('replaces the built-in rules once and appends from then on', () => {
    const w = new World({ cmdline: 'ima_policy=tcb' });
    w.policy('measure uid=1');
    w.policy('measure uid=2', 'dont_measure uid=3');
    expect(w.text('/sec/policy')).toBe('measure uid=1 \nmeasure uid=2 \ndont_measure uid=3 \n');
    expect(w.ima.state.policy.flag).toBe(1);
  });

  it('counts appraise rules only where something appraises', () => {
    const off = new World({ cmdline: 'ima_appraise=off' });
    off.policy('appraise');
    expect(off.ima.state.policy.flag).toBe(0);
    off.policy('appraise func=MODULE_CHECK appraise_type=imasig');
    expect([off.ima.state.policy.flag, off.ima.state.appraise]).toEqual([4, 8]);
  });

  it('forgets what a dropped upload would have demanded', () => {
    const w = new World();
    expect(w.upload('appraise func=POLICY_CHECK appraise_type=imasig\nbogus\n').err).toBe('EINVAL');
    expect(w.upload('appraise func=POLICY_CHECK uid=x\n').err).toBe('EINVAL');
    w.policy('measure');
    expect(w.ima.state.appraise).toBe(1);
  });

  it('keeps the algorithms of the first SETXATTR_CHECK rule', () => {
    const w = new World();
    w.policy('appraise func=SETXATTR_CHECK appraise_algos=sha256,sha512');
    w.policy('appraise func=SETXATTR_CHECK appraise_algos=sha1');
    expect(w.ima.state.policy).toMatchObject({ setxattrAlgos: (1 << 4) | (1 << 6), flag: 0 });
  });

  it('maps ids of the writer’s user namespace', () => {
    const w = new World();
    const inside = w.task({ cred: { ...w.task().cred, userNs: 1, caps: 0n } });
    expect(w.upload('measure uid=0\n', inside).err).toBe('EINVAL');
    expect(w.upload('measure func=BPRM_CHECK\n', inside).err).toBe(0);
  });
});
