import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import * as C from '../../../src/ima/constants.ts';
import { getAction, type MatchSubject, whyNot } from '../../../src/ima/policy-match.ts';
import type { ImaRule } from '../../../src/ima/types.ts';
import { MAY_EXEC, MAY_READ, MAY_WRITE } from '../../../src/vfs/constants.ts';
import { rule, type Setting, setting } from './subjects.ts';
import { UUID, World } from './world.ts';

const decide = (rules: readonly string[], s: Setting = {}) => {
  const { w, subject } = setting(rules, s);
  return getAction(w.ima, subject);
};

describe('conditions', () => {
  const CAPS = (1n << 41n) - 1n;
  it.each<[string, Setting, string | null]>([
    ['measure', {}, null],
    ['measure func=BPRM_CHECK', {}, 'func'],
    ['measure func=FILE_CHECK mask=MAY_READ', { mask: MAY_READ | MAY_WRITE }, 'mask'],
    ['measure func=FILE_CHECK mask=^MAY_READ', { mask: MAY_READ | MAY_WRITE }, null],
    ['measure mask=^MAY_EXEC', { mask: MAY_READ }, 'mask'],
    ['measure fsmagic=0xef53', {}, null],
    ['measure fsmagic=0xef53', { path: '/tmp/f' }, 'fsmagic'],
    ['measure fsname=ext4', {}, null],
    ['measure fsname=ext3', {}, 'fsname'],
    [`measure fsuuid=${UUID}`, {}, null],
    [`measure fsuuid=${UUID.replace('1', '2')}`, {}, 'fsuuid'],
    ['measure uid=0', { cred: { uid: 5 } }, 'uid'],
    ['measure uid>4', { cred: { uid: 5 } }, null],
    ['measure uid<5', { cred: { uid: 5 } }, 'uid'],
    ['measure euid=7', { cred: { uid: 7, euid: 5, suid: 5, caps: 0n } }, 'euid'],
    ['measure euid=7', { cred: { uid: 7, euid: 5, suid: 5, caps: CAPS } }, null],
    ['measure euid=7', { cred: { uid: 5, euid: 5, suid: 7, caps: CAPS } }, null],
    ['measure euid=7', { cred: { uid: 7, euid: 5, suid: 5, caps: CAPS, userNs: 1 } }, 'euid'],
    ['measure gid=3', { cred: { gid: 4 } }, 'gid'],
    ['measure egid=3', { cred: { egid: 4, sgid: 3, caps: CAPS } }, null],
    ['measure egid=3', { cred: { egid: 4, sgid: 3, caps: 0n } }, 'egid'],
    ['measure fowner=0', {}, null],
    ['measure fowner>0', {}, 'fowner'],
    ['measure fgroup<1', {}, null],
    ['measure fgroup=1', {}, 'fgroup'],
    ['measure obj_type=x', {}, 'lsm'],
    ['measure func=KEY_CHECK', { func: C.KEY_CHECK, data: '.ima' }, null],
    ['measure func=KEY_CHECK keyrings=.evm|.ima', { func: C.KEY_CHECK, data: '.ima' }, null],
    ['measure func=KEY_CHECK keyrings=.evm', { func: C.KEY_CHECK, data: '.ima' }, 'keyrings_or_label'],
    ['measure func=KEY_CHECK gid=9', { func: C.KEY_CHECK, data: '.ima' }, null],
    ['measure func=KEY_CHECK uid=9', { func: C.KEY_CHECK, data: '.ima' }, 'keyrings_or_label'],
    ['measure func=CRITICAL_DATA label=a', { func: C.CRITICAL_DATA, data: 'a' }, null],
    ['measure', { func: C.CRITICAL_DATA, data: 'a' }, 'func'],
    ['measure func=BPRM_CHECK mask=MAY_WRITE', { func: C.POST_SETATTR, mask: 16 }, null],
  ])('%s (%#)', (text, s, failed) => {
    const { subject } = setting([], s);
    expect(whyNot(rule(text), subject, {})).toBe(failed);
  });
});

describe('decisions', () => {
  it('are made by the first matching rule of each class', () => {
    const rules = [
      'dont_measure uid=5',
      'audit',
      'measure',
      'dont_appraise',
      'appraise appraise_type=imasig',
      'hash',
    ];
    expect(decide(rules)).toMatchObject({
      action: C.IMA_MEASURE | C.IMA_AUDIT | C.IMA_HASH,
      matched: [1, 2, 3, 5],
    });
    expect(decide(rules, { cred: { uid: 5 } }).action).toBe(C.IMA_AUDIT | C.IMA_HASH);
  });

  it('join the flags of all matching rules, whatever their class', () => {
    const d = decide(['dont_measure permit_directio', 'measure', 'audit digest_type=verity', 'appraise']);
    const flags = C.IMA_PERMIT_DIRECTIO | C.IMA_VERITY_REQUIRED;
    expect(d.action).toBe(C.IMA_AUDIT | C.IMA_APPRAISE | C.IMA_FILE_APPRAISE | flags);
  });

  it('take the hash action away from what is appraised after it', () => {
    expect(decide(['hash', 'appraise']).action).toBe(C.IMA_APPRAISE | C.IMA_FILE_APPRAISE);
    expect(decide(['appraise', 'hash']).action).toBe(C.IMA_APPRAISE | C.IMA_FILE_APPRAISE | C.IMA_HASH);
  });

  it('name the sub-action by the caller, or file where the rule has no func', () => {
    expect(decide(['appraise func=BPRM_CHECK'], { func: C.BPRM_CHECK, mask: MAY_EXEC }).action).toBe(
      C.IMA_APPRAISE | C.IMA_BPRM_APPRAISE,
    );
    expect(decide(['appraise'], { func: C.BPRM_CHECK, mask: MAY_EXEC }).action).toBe(
      C.IMA_APPRAISE | C.IMA_FILE_APPRAISE,
    );
    expect(decide(['appraise func=MODULE_CHECK'], { func: C.MODULE_CHECK }).action).toBe(
      C.IMA_APPRAISE | C.IMA_READ_APPRAISE,
    );
  });

  it('carry register, template and algorithms of the rules that matched', () => {
    const d = decide(['measure pcr=12 template=ima-sig', 'appraise appraise_algos=sha512']);
    expect(d).toMatchObject({ pcr: 12, template: { name: 'ima-sig' }, allowedAlgos: 1 << 6 });
  });

  it('ask only for what the policy has at all', () => {
    expect(decide(['dont_measure']).matched).toEqual([]);
  });

  it('add fail_securely to every appraisal', () => {
    const w = new World({ cmdline: 'ima_policy=fail_securely' });
    w.write('/mnt/f', 'x');
    w.policy('appraise');
    const { subject } = setting([]);
    expect(getAction(w.ima, subject).action & C.IMA_FAIL_UNVERIFIABLE_SIGS).not.toBe(0);
  });
});

describe('labels of a security module', () => {
  it('decide where the module knows them, and an error is no match', () => {
    let answer = 1;
    const labels = { known: (field: string) => field.endsWith('_user'), match: () => answer };
    const w = new World({ config: { CONFIG_IMA_LSM_RULES: 'y' }, labels });
    w.write('/mnt/f', 'x');
    expect(w.upload('measure obj_role=r\n').err).toBe('EINVAL');
    w.policy('measure obj_user=_ subj_user=_');
    expect(w.upload('measure obj_user=a obj_user=b\n').err).toBe('EINVAL');
    w.policy('audit obj_role=r');
    expect(w.text('/sec/policy')).toBe('measure obj_user=_ subj_user=_ \n');
    const { subject } = setting([]);
    expect(getAction(w.ima, subject).matched).toEqual([0]);
    answer = -2;
    expect(getAction(w.ima, subject).matched).toEqual([]);
  });

  it('took an error for a match in older kernels', () => {
    let answer = -2;
    const labels = { known: () => true, match: () => answer };
    const w = new World({
      config: { CONFIG_IMA_LSM_RULES: 'y' },
      switches: { lsmMatchErrorIsNoMatch: false },
      labels,
    });
    w.write('/mnt/f', 'x');
    w.policy('measure obj_user=_');
    const { subject } = setting([]);
    expect(getAction(w.ima, subject).matched).toEqual([0]);
    answer = 0;
    expect(getAction(w.ima, subject).matched).toEqual([]);
  });
});

/** The walk as the kernel writes it, over unprepared rules. */
function slowDecision(
  rules: readonly ImaRule[],
  subject: MatchSubject,
  flags: number,
): { action: number; matched: number[] } {
  let actmask = flags | (flags << 1);
  let action = 0;
  const matched: number[] = [];
  for (const [i, r] of rules.entries()) {
    if ((r.action & actmask) === 0 || whyNot(r, subject, {}) !== null) continue;
    matched.push(i);
    action |= (r.flags & C.IMA_NONACTION_FLAGS) | (r.action & C.IMA_DO_MASK);
    if (r.action === C.APPRAISE) {
      action |=
        (r.flags & C.IMA_FUNC) === 0 || subject.func === C.FILE_CHECK
          ? C.IMA_FILE_APPRAISE
          : C.IMA_BPRM_APPRAISE;
      action &= ~C.IMA_HASH;
    }
    const doing = (r.action & C.IMA_DO_MASK) !== 0;
    actmask &= ~(r.action | (doing ? r.action << 1 : r.action >> 1));
    if (actmask === 0) break;
  }
  return { action, matched };
}

describe('the prepared walk', () => {
  const ACTIONS = ['measure', 'dont_measure', 'appraise', 'dont_appraise', 'audit', 'hash', 'dont_hash'];
  const CONDITIONS = [
    '',
    'func=FILE_CHECK',
    'func=BPRM_CHECK',
    'mask=MAY_READ',
    'mask=^MAY_EXEC',
    'uid=0',
    'euid>3',
    'fsname=ext4',
    'permit_directio',
  ];
  const text = fc
    .tuple(fc.constantFrom(...ACTIONS), fc.constantFrom(...CONDITIONS))
    .map(([a, c]) => `${a} ${c}`.trim());
  test.prop(
    [fc.array(text, { minLength: 1, maxLength: 12, size: 'max' }), fc.constantFrom(0, 5), fc.boolean()],
    {
      numRuns: 100,
    },
  )('decides like the plain one', (rules, uid, exec) => {
    const s = {
      cred: { uid, euid: uid },
      func: exec ? C.BPRM_CHECK : C.FILE_CHECK,
      mask: exec ? MAY_EXEC : MAY_READ,
    };
    const { w, subject } = setting(rules, s);
    const fast = getAction(w.ima, subject);
    const slow = slowDecision(w.ima.state.policy.customRules, subject, 0x145 & w.ima.state.policy.flag);
    expect({ action: fast.action, matched: [...fast.matched] }).toEqual(slow);
  });
});
