import { describe, expect, it } from 'vitest';
import * as C from '../../../src/ima/constants.ts';
import type { LsmLabels } from '../../../src/ima/cursor.ts';
import {
  type Decision,
  type FailedCondition,
  getAction,
  matchPolicy,
  NO_DECISION,
  whyNot,
} from '../../../src/ima/policy-match.ts';
import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE } from '../../../src/vfs/constants.ts';
import type { InodeKey, VfsTask } from '../../../src/vfs/types.ts';
import { rule, type Setting, setting } from './subjects.ts';
import { UUID, World, type WorldOptions } from './world.ts';

const CAPS = (1n << 41n) - 1n;
const CAP_SETGID = 1n << 6n;
const CAP_SETUID = 1n << 7n;

const failed = (text: string, s: Setting = {}): FailedCondition =>
  whyNot(rule(text), setting([], s).subject, {});

describe('comparisons of ids', () => {
  /** Where the condition holds for 4, 5 and 6 when the rule says 5. */
  const HOLDS = { '=': [5], '>': [6], '<': [4] } as const;
  const ROWS = (['uid', 'euid', 'gid', 'egid'] as const).flatMap((name) =>
    (['=', '>', '<'] as const).map((op) => [name, op] as const),
  );

  it.each(ROWS)('%s%s5', (name, op) => {
    const holding = [4, 5, 6].filter(
      (id) => failed(`measure ${name}${op}5`, { cred: ids(name, id) }) === null,
    );
    expect(holding).toEqual(HOLDS[op]);
    expect(failed(`measure ${name}${op}5`, { cred: ids(name, op === '=' ? 4 : 5) })).toBe(name);
  });

  it.each(['=', '>', '<'] as const)('fowner%s5 and fgroup%s5 look at the file', (op) => {
    const { subject } = setting([]);
    const owned = (id: number) => ({
      ...subject,
      inode: subject.inode && { ...subject.inode, uid: id, gid: 9 },
    });
    const grouped = (id: number) => ({
      ...subject,
      inode: subject.inode && { ...subject.inode, uid: 9, gid: id },
    });
    const holds = (text: string, of: typeof owned): number[] =>
      [4, 5, 6].filter((id) => whyNot(rule(text), of(id), {}) === null);
    expect(holds(`measure fowner${op}5`, owned)).toEqual(HOLDS[op]);
    expect(holds(`measure fgroup${op}5`, grouped)).toEqual(HOLDS[op]);
    expect(whyNot(rule('measure fowner=5'), owned(4), {})).toBe('fowner');
    expect(whyNot(rule('measure fgroup=5'), grouped(4), {})).toBe('fgroup');
  });

  it.each<[string, Partial<Record<string, number>>, bigint, string | null]>([
    ['measure euid=5', { euid: 5, suid: 1, uid: 1 }, 0n, null],
    ['measure euid=5', { euid: 1, suid: 5, uid: 1 }, 0n, 'euid'],
    ['measure euid=5', { euid: 1, suid: 1, uid: 5 }, 0n, 'euid'],
    ['measure euid=5', { euid: 1, suid: 5, uid: 1 }, CAP_SETUID, null],
    ['measure euid=5', { euid: 1, suid: 1, uid: 5 }, CAP_SETUID, null],
    ['measure euid=5', { euid: 1, suid: 1, uid: 1 }, CAPS, 'euid'],
    ['measure euid=5', { euid: 1, suid: 5, uid: 5 }, CAP_SETGID, 'euid'],
    ['measure egid=5', { egid: 5, sgid: 1, gid: 1 }, 0n, null],
    ['measure egid=5', { egid: 1, sgid: 5, gid: 1 }, 0n, 'egid'],
    ['measure egid=5', { egid: 1, sgid: 1, gid: 5 }, 0n, 'egid'],
    ['measure egid=5', { egid: 1, sgid: 5, gid: 1 }, CAP_SETGID, null],
    ['measure egid=5', { egid: 1, sgid: 1, gid: 5 }, CAP_SETGID, null],
    ['measure egid=5', { egid: 1, sgid: 1, gid: 1 }, CAPS, 'egid'],
    ['measure egid=5', { egid: 1, sgid: 5, gid: 5 }, CAP_SETUID, 'egid'],
    ['measure uid=5', { euid: 5, suid: 5, uid: 1 }, CAPS, 'uid'],
    ['measure gid=5', { egid: 5, sgid: 5, gid: 1 }, CAPS, 'gid'],
  ])('%s with %j and capabilities %s', (text, cred, caps, want) => {
    expect(failed(text, { cred: { ...cred, caps } })).toBe(want);
  });

  it('rules are tried with the given credentials and the capabilities of the acting task', () => {
    const { subject } = setting([], { cred: { uid: 1, euid: 1, suid: 1, caps: 0n } });
    const next = { ...subject.cred, uid: 7, euid: 8, suid: 9, caps: CAPS };
    const s = { ...subject, cred: next };
    expect(whyNot(rule('measure uid=7'), s, {})).toBeNull();
    expect(whyNot(rule('measure euid=8'), s, {})).toBeNull();
    expect(whyNot(rule('measure euid=9'), s, {})).toBe('euid');
    const strong = { ...s, task: { ...s.task, cred: { ...s.task.cred, caps: CAPS } } };
    expect(whyNot(rule('measure euid=9'), strong, {})).toBeNull();
  });

  function ids(name: 'uid' | 'euid' | 'gid' | 'egid', id: number) {
    const user = name === 'uid' || name === 'euid';
    return { ...(user ? { uid: 0, euid: 0, suid: 0 } : { gid: 0, egid: 0, sgid: 0 }), caps: 0n, [name]: id };
  }
});

describe('masks', () => {
  const RW = MAY_READ | MAY_WRITE;
  it.each<[string, number, number, string | null]>([
    ['measure mask=MAY_READ', C.FILE_CHECK, MAY_READ, null],
    ['measure mask=MAY_READ', C.FILE_CHECK, RW, 'mask'],
    ['measure mask=MAY_WRITE', C.FILE_CHECK, MAY_WRITE, null],
    ['measure mask=MAY_WRITE', C.FILE_CHECK, MAY_READ, 'mask'],
    ['measure mask=MAY_APPEND', C.FILE_CHECK, MAY_WRITE | MAY_APPEND, 'mask'],
    ['measure mask=^MAY_APPEND', C.FILE_CHECK, MAY_WRITE | MAY_APPEND, null],
    ['measure mask=^MAY_READ', C.FILE_CHECK, RW, null],
    ['measure mask=^MAY_READ', C.FILE_CHECK, MAY_WRITE, 'mask'],
    ['measure mask=^MAY_EXEC', C.BPRM_CHECK, MAY_EXEC, null],
    ['measure mask=MAY_READ', C.POST_SETATTR, 0x10, null],
    ['measure mask=^MAY_READ', C.POST_SETATTR, 0x10, null],
    ['measure mask=MAY_READ', C.FILE_CHECK, 0x10, 'mask'],
    ['measure mask=^MAY_READ', C.FILE_CHECK, 0x10, 'mask'],
  ])('%s at hook %i with %i', (text, func, mask, want) => {
    expect(failed(text, { func, mask })).toBe(want);
  });
});

describe('conditions on the place of a file', () => {
  it.each<[string, string, string | null]>([
    ['measure fsmagic=0xef53', '/mnt/f', null],
    ['measure fsmagic=0xef53', '/tmp/f', 'fsmagic'],
    ['measure fsmagic=0', '/mnt/f', 'fsmagic'],
    ['measure fsname=ext4', '/mnt/f', null],
    ['measure fsname=ext', '/mnt/f', 'fsname'],
    ['measure fsname=ext4', '/tmp/f', 'fsname'],
    [`measure fsuuid=${UUID}`, '/mnt/f', null],
    [`measure fsuuid=${UUID}`, '/tmp/f', 'fsuuid'],
    [`measure fsuuid=${UUID.replace(/8$/, '9')}`, '/mnt/f', 'fsuuid'],
  ])('%s on %s', (text, path, want) => {
    expect(failed(text, { path })).toBe(want);
  });

  it('mean nothing where no file is known, except to a label', () => {
    const { subject } = setting([]);
    const nowhere = { ...subject, inode: null, sb: null };
    for (const text of ['fsname=none', 'fsmagic=1', `fsuuid=${UUID}`, 'fowner=9', 'fgroup=9'])
      expect(whyNot(rule(`measure ${text}`), nowhere, {}), text).toBeNull();
    expect(whyNot(rule('measure uid=9'), nowhere, {})).toBe('uid');
    expect(whyNot(rule('measure obj_user=x'), nowhere, {})).toBe('lsm');
  });
});

describe('hooks', () => {
  it.each([
    [C.FILE_CHECK, C.IMA_FILE_APPRAISE, 'FILE_CHECK'],
    [C.MMAP_CHECK, C.IMA_MMAP_APPRAISE, 'MMAP_CHECK'],
    [C.MMAP_CHECK_REQPROT, C.IMA_MMAP_APPRAISE, 'MMAP_CHECK_REQPROT'],
    [C.BPRM_CHECK, C.IMA_BPRM_APPRAISE, 'BPRM_CHECK'],
    [C.CREDS_CHECK, C.IMA_CREDS_APPRAISE, 'CREDS_CHECK'],
    [C.POST_SETATTR, C.IMA_FILE_APPRAISE, 'BPRM_CHECK'],
    [C.MODULE_CHECK, C.IMA_READ_APPRAISE, 'MODULE_CHECK'],
    [C.FIRMWARE_CHECK, C.IMA_READ_APPRAISE, 'FIRMWARE_CHECK'],
    [C.KEXEC_KERNEL_CHECK, C.IMA_READ_APPRAISE, 'KEXEC_KERNEL_CHECK'],
    [C.KEXEC_INITRAMFS_CHECK, C.IMA_READ_APPRAISE, 'KEXEC_INITRAMFS_CHECK'],
    [C.POLICY_CHECK, C.IMA_READ_APPRAISE, 'POLICY_CHECK'],
  ])(
    '%i has the sub-action %i under a rule for %s, and that of files under a rule without func',
    (func, sub, name) => {
      const bound = setting([`appraise func=${name}`], { func });
      expect(getAction(bound.w.ima, bound.subject).action).toBe(C.IMA_APPRAISE | sub);
      const free = setting(['appraise'], { func });
      expect(getAction(free.w.ima, free.subject).action).toBe(C.IMA_APPRAISE | C.IMA_FILE_APPRAISE);
    },
  );

  it.each<[string, number, string | null]>([
    ['measure func=FILE_CHECK', C.BPRM_CHECK, 'func'],
    ['measure func=MMAP_CHECK', C.MMAP_CHECK_REQPROT, 'func'],
    ['measure func=MMAP_CHECK_REQPROT', C.MMAP_CHECK, 'func'],
    ['measure', C.KEXEC_CMDLINE, null],
    ['measure func=KEXEC_CMDLINE', C.KEXEC_CMDLINE, null],
    ['measure func=MODULE_CHECK', C.POST_SETATTR, null],
    ['measure', C.KEY_CHECK, 'func'],
    ['measure', C.CRITICAL_DATA, 'func'],
    ['measure func=KEY_CHECK', C.CRITICAL_DATA, 'func'],
    ['measure func=CRITICAL_DATA', C.KEY_CHECK, 'func'],
  ])('%s at hook %i: %s', (text, func, want) => {
    expect(failed(text, { func, data: 'x' })).toBe(want);
    const { w, subject } = setting([text], { func, data: 'x' });
    expect(getAction(w.ima, subject).matched).toEqual(want === null ? [0] : []);
  });

  it.each<[string, Setting, boolean]>([
    ['measure func=KEY_CHECK keyrings=a|b', { func: C.KEY_CHECK, data: 'b' }, true],
    ['measure func=KEY_CHECK keyrings=a|b', { func: C.KEY_CHECK, data: 'c' }, false],
    ['measure func=KEY_CHECK keyrings=a|b', { func: C.KEY_CHECK }, false],
    ['measure func=KEY_CHECK', { func: C.KEY_CHECK }, true],
    ['measure func=KEY_CHECK uid=0 keyrings=a', { func: C.KEY_CHECK, data: 'a' }, true],
    ['measure func=KEY_CHECK uid=1 keyrings=a', { func: C.KEY_CHECK, data: 'a' }, false],
    ['measure func=KEY_CHECK gid=1', { func: C.KEY_CHECK, data: 'a' }, true],
    ['measure func=CRITICAL_DATA label=a|b', { func: C.CRITICAL_DATA, data: 'a' }, true],
    ['measure func=CRITICAL_DATA label=a|b', { func: C.CRITICAL_DATA, data: 'ab' }, false],
    ['measure func=CRITICAL_DATA label=a', { func: C.CRITICAL_DATA }, false],
    ['measure func=CRITICAL_DATA', { func: C.CRITICAL_DATA }, true],
    ['measure func=CRITICAL_DATA uid>0', { func: C.CRITICAL_DATA, data: 'a' }, false],
  ])('%s with %j: %s', (text, s, want) => {
    expect(failed(text, s)).toBe(want ? null : 'keyrings_or_label');
  });
});

describe('the walk over the rules', () => {
  const decide = (rules: readonly string[], s: Setting = {}, options?: WorldOptions): Decision => {
    const { w, subject } = setting(rules, s, options);
    return getAction(w.ima, subject);
  };

  it.each<[string[], number, number[]]>([
    [['measure', 'measure'], C.IMA_MEASURE, [0]],
    [['dont_measure', 'measure'], 0, [0]],
    [['measure', 'dont_measure'], C.IMA_MEASURE, [0]],
    [['dont_hash', 'hash'], 0, [0]],
    [['hash', 'dont_hash'], C.IMA_HASH, [0]],
    [['dont_appraise', 'appraise'], 0, [0]],
    [['appraise', 'dont_appraise'], C.IMA_APPRAISE | C.IMA_FILE_APPRAISE, [0]],
    [['audit', 'audit'], C.IMA_AUDIT, [0]],
    [['dont_measure', 'audit', 'measure'], C.IMA_AUDIT, [0, 1]],
    [['audit', 'dont_measure', 'measure', 'audit'], C.IMA_AUDIT, [0, 1]],
    [['dont_hash', 'dont_measure', 'measure', 'hash'], 0, [0, 1]],
    [['measure uid=9', 'measure'], C.IMA_MEASURE, [1]],
    [['hash', 'measure', 'audit'], C.IMA_HASH | C.IMA_MEASURE | C.IMA_AUDIT, [0, 1, 2]],
  ])('%j', (rules, action, matched) => {
    expect(decide(rules)).toMatchObject({ action, matched });
  });

  it('says nothing where nothing matched', () => {
    expect(decide(['measure uid=9'])).toBe(NO_DECISION);
    expect(decide([])).toEqual({ action: 0, pcr: null, template: null, allowedAlgos: 0, matched: [] });
  });

  it('takes flags of a rule that says not to, and keeps conditions to itself', () => {
    expect(decide(['dont_measure permit_directio uid=0', 'measure']).action).toBe(C.IMA_PERMIT_DIRECTIO);
    expect(decide(['dont_appraise permit_directio', 'appraise']).action).toBe(C.IMA_PERMIT_DIRECTIO);
  });

  it.each<[string[], Partial<Decision>]>([
    [['measure pcr=0'], { pcr: 0 }],
    [['measure'], { pcr: null, template: null, allowedAlgos: 0 }],
    [['measure pcr=12', 'measure pcr=13'], { pcr: 12 }],
    [['measure template=ima-sig'], { template: { name: 'ima-sig', fmt: 'd-ng|n-ng|sig' } }],
    [['appraise appraise_algos=sha512'], { allowedAlgos: 1 << 6 }],
    [['appraise', 'appraise appraise_algos=sha512'], { allowedAlgos: 0 }],
  ])('%j gives %j', (rules, want) => {
    expect(decide(rules)).toMatchObject(want);
  });

  it('asks of a subset of actions only what is in it', () => {
    const { w, subject } = setting(['measure', 'appraise', 'hash', 'audit']);
    const only = (flags: number) => matchPolicy(w.ima, subject, flags);
    expect(only(C.IMA_APPRAISE)).toMatchObject({ matched: [1] });
    expect(only(C.IMA_APPRAISE | C.IMA_HASH)).toMatchObject({ matched: [1, 2] });
    expect(only(0)).toBe(NO_DECISION);
  });

  it('adds fail_securely to appraisal alone', () => {
    const options = { cmdline: 'ima_policy=fail_securely' };
    const flag = C.IMA_FAIL_UNVERIFIABLE_SIGS;
    expect(decide(['appraise'], {}, options).action & flag).toBe(flag);
    expect(decide(['measure'], {}, options).action & flag).toBe(0);
    expect(decide(['appraise']).action & flag).toBe(0);
  });

  it('goes over the rules in force: those of boot until the first upload', () => {
    const { w, subject } = setting([], {}, { cmdline: 'ima_policy=tcb' });
    expect(getAction(w.ima, subject).action).toBe(C.IMA_MEASURE);
    w.policy('audit');
    expect(getAction(w.ima, subject).action).toBe(C.IMA_AUDIT);
  });
});

describe('labels of a security module', () => {
  const FIELDS = ['obj_user', 'obj_role', 'obj_type', 'subj_user', 'subj_role', 'subj_type'] as const;
  type Question = [subject: InodeKey | VfsTask, field: string, value: string];

  function asked(
    rc: (field: string) => number,
    switches = {},
  ): { w: World; questions: Question[]; labels: LsmLabels } {
    const questions: Question[] = [];
    const labels: LsmLabels = {
      known: (_field, value) => value !== 'unknown',
      match: (subject, field, value) => {
        questions.push([subject, field, value]);
        return rc(field);
      },
    };
    const w = new World({ config: { CONFIG_IMA_LSM_RULES: 'y' }, labels, switches });
    w.write('/mnt/f', 'x');
    return { w, questions, labels };
  }

  it('are those of the inode for obj_ and those of the task for subj_', () => {
    const { w, questions } = asked(() => 1);
    w.policy(`measure ${FIELDS.map((f, i) => `${f}=${i}`).join(' ')}`);
    const { subject } = setting([]);
    expect(getAction(w.ima, subject).matched).toEqual([0]);
    expect(questions).toEqual(
      FIELDS.map((f, i) => [f.startsWith('obj') ? subject.inode?.key : subject.task, f, String(i)]),
    );
  });

  it.each(FIELDS)('%s that does not fit ends the rule', (field) => {
    const { w } = asked((f) => (f === field ? 0 : 1));
    w.policy(`measure ${FIELDS.map((f) => `${f}=_`).join(' ')}`, `measure ${field}=_`, 'measure');
    expect(getAction(w.ima, setting([]).subject).matched).toEqual([2]);
  });

  it.each([
    [1, true, true],
    [0, true, false],
    [-2, true, false],
    [1, false, true],
    [0, false, false],
    [-2, false, true],
  ])('result %i, errors count as no match %s: %s', (rc, lsmMatchErrorIsNoMatch, want) => {
    const { w } = asked(() => rc, { lsmMatchErrorIsNoMatch });
    w.policy('measure obj_user=_');
    expect(getAction(w.ima, setting([]).subject).matched).toEqual(want ? [0] : []);
  });

  it('that nobody knew when the rule was loaded never fit', () => {
    const { w, questions } = asked(() => 1);
    w.policy('measure');
    w.policy('audit obj_user=unknown', 'audit subj_role=_');
    expect(getAction(w.ima, setting([]).subject).matched).toEqual([0, 2]);
    expect(questions.map((q) => q[1])).toEqual(['subj_role']);
  });
});
