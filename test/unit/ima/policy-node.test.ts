import { describe, expect, it } from 'vitest';
import { latin1 } from '../../../src/base/bytes.ts';
import type { Err } from '../../../src/base/errno.ts';
import * as C from '../../../src/ima/constants.ts';
import { parseContext } from '../../../src/ima/policy-load.ts';
import { O_APPEND, O_RDONLY, O_RDWR, O_WRONLY } from '../../../src/vfs/constants.ts';
import { World, type WorldOptions } from './world.ts';

const STATUS = /^1802 pid=64 uid=0 auid=4294967295 ses=4294967295 (op=.*)$/;

/** Records and kernel log lines of an upload. */
function told(w: World, upload: () => unknown): { audit: string[]; log: string[] } {
  const audit = w.auditBodies().length;
  const log = w.log.length;
  upload();
  return { audit: w.auditBodies(audit).map((b) => b.replace(STATUS, '1802 $1')), log: w.log.slice(log) };
}

const COMPLETED = '1802 op=policy_update cause=completed comm="init" res=1 errno=0';
const FAILED = '1802 op=policy_update cause=failed comm="init" res=0 errno=0';
const INVALID = '1802 op=update_policy cause=invalid-policy comm="init" res=0 errno=0';
const UNSIGNED = '1802 op=policy_update cause=signed policy required comm="init" res=0 errno=0';

describe('records of an upload', () => {
  it.each<[string, string, string[], string[]]>([
    ['a rule', 'measure\n', ['1807 action=measure res=1', COMPLETED], ['ima: policy update completed']],
    [
      'two rules',
      'audit\nhash\n',
      ['1807 action=audit res=1', '1807 action=hash res=1', COMPLETED],
      ['ima: policy update completed'],
    ],
    ['a bad rule', 'bogus\n', ['1807 UNKNOWN=bogus res=0', INVALID, FAILED], ['ima: policy update failed']],
    [
      'a bad rule after a good one',
      'measure\nbogus\n',
      ['1807 action=measure res=1', '1807 UNKNOWN=bogus res=0', INVALID, FAILED],
      ['ima: policy update failed'],
    ],
    ['a comment alone', '# x\n', [FAILED], ['ima: policy update failed']],
    ['nothing', '', [FAILED], ['ima: policy update failed']],
    [
      'a path that is not there',
      '/mnt/none\n',
      [FAILED],
      ['ima: Unable to open file: /mnt/none (ENOENT)', 'ima: policy update failed'],
    ],
  ])('%s', (_what, text, audit, log) => {
    const w = new World();
    expect(told(w, () => w.upload(text))).toEqual({ audit, log });
  });

  it('where a signed policy is wanted', () => {
    const w = new World({ cmdline: 'ima_policy=secure_boot' });
    expect(told(w, () => w.upload('measure\n'))).toEqual({
      audit: [UNSIGNED, FAILED],
      log: [
        'ima: signed policy file (specified as an absolute pathname) required',
        'ima: policy update failed',
      ],
    });
    expect(w.ima.state.policy).toMatchObject({ active: 'default', load: 'closed', tempRules: [] });
  });
});

describe('what one write takes', () => {
  const write = (w: World, text: string, offset?: number): number | Err => {
    const f = w.open('/sec/policy', O_WRONLY);
    const bytes = latin1(text);
    const got =
      offset === undefined ? w.vfs.write(w.task(), f, bytes) : w.vfs.pwrite(w.task(), f, bytes, offset);
    w.close(f);
    return got.ok ? got.value : got.errno;
  };

  it.each<[string, number | Err, string]>([
    ['measure\n', 8, 'measure \n'],
    ['measure', 8, 'measure \n'],
    ['measure\naudit\n', 8, 'measure \n'],
    ['  measure\n', 10, 'measure \n'],
    ['\n', 1, ''],
    ['# x\nmeasure\n', 4, ''],
    [' \t\nmeasure\n', 3, ''],
    ['measure\0\n', 8, 'measure \n'],
    ['\0measure\n', 1, ''],
    [' /mnt/p\n', 'EINVAL', ''],
    [`measure fsname=${'n'.repeat(4080)}\n`, 4096, `measure fsname=${'n'.repeat(63)} \n`],
    [`measure ${' '.repeat(4087)}bogus\n`, 4096, 'measure \n'],
    [`measure ${' '.repeat(4086)}bogus\n`, 'EINVAL', ''],
  ])('%j', (text, result, policy) => {
    const w = new World();
    expect(write(w, text)).toBe(result);
    expect(w.text('/sec/policy')).toBe(policy);
  });

  it('at an offset it takes nothing and the upload is lost', () => {
    const w = new World();
    expect(write(w, 'measure\n', 1)).toBe('EINVAL');
    expect(w.reasons).toContain('ima.policy_offset');
    expect(w.events('ima.policy_write').at(-1)?.data).toMatchObject({ offset: 1 });
    expect(w.events('ima.policy_load').at(-1)?.reason).toBe('ima.policy_dropped');
    expect(write(w, 'measure\n', 0)).toBe(8);
  });

  it('a path is cut at the newline and read in the encoding of the file system', () => {
    const w = new World();
    w.write('/mnt/ü', 'measure uid=3\n');
    w.write('/mnt/p', 'measure uid=4\n');
    expect(write(w, '/mnt/\xc3\xbc\nmeasure\n')).toBe(16);
    expect(write(w, '/mnt/p')).toBe(6);
    expect(w.text('/sec/policy')).toBe('measure uid=3 \nmeasure uid=4 \n');
  });

  it('a file of rules is taken line by line, comments and all', () => {
    const w = new World();
    w.write('/mnt/p', '# one\nmeasure\n\n \taudit\n#two\n');
    expect(write(w, '/mnt/p\n')).toBe(7);
    expect(w.text('/sec/policy')).toBe('measure \naudit \n');
  });

  it.each<[string, string, string]>([
    ['a path that cannot be read', '/mnt/none\n', 'ima.policy_unreadable_file'],
    ['a file without a last newline', '/mnt/p\n', 'ima.policy_no_newline'],
    ['a bad rule', 'bogus\n', 'ima.policy_bad_rule'],
  ])('%s gives its reason', (_what, text, reason) => {
    const w = new World();
    w.write('/mnt/p', 'measure');
    w.upload(text);
    expect(w.reasons).toContain(reason);
  });

  it('traces each rule, each file, and what came of the upload', () => {
    const w = new World();
    w.write('/mnt/p', 'measure');
    w.upload('measure\n bogus\n');
    w.upload('/mnt/none\n');
    w.upload('/mnt/p\n');
    w.upload('audit\nmeasure\n');
    w.upload('appraise\n');
    const seen = (kind: string) => w.events(kind).map((e) => e.data);
    expect(seen('ima.policy_rule')).toEqual([
      { text: 'measure' },
      { text: 'bogus', errno: 'EINVAL' },
      { text: 'measure' },
      { text: 'audit' },
      { text: 'measure' },
      { text: 'appraise' },
    ]);
    expect(seen('ima.policy_file')).toEqual([
      { path: '/mnt/none', errno: 'ENOENT' },
      { path: '/mnt/p', left: -1 },
    ]);
    expect(seen('ima.policy_load')).toEqual([
      { rules: 1 },
      { rules: 0 },
      { rules: 1 },
      { list: 'custom', from: 0, rules: 2, flag: C.IMA_AUDIT | C.IMA_MEASURE },
      { list: 'custom', from: 2, rules: 1, flag: C.IMA_AUDIT | C.IMA_MEASURE | C.IMA_APPRAISE },
    ]);
    expect(w.events('ima.policy_load').map((e) => e.reason)).toEqual([
      'ima.policy_dropped',
      'ima.policy_dropped',
      'ima.policy_dropped',
      'ima.policy_accepted',
      'ima.policy_accepted',
    ]);
  });
});

describe('who may open the node', () => {
  const open = (w: World, flags: number, caps?: bigint): Err => {
    const cred = caps === undefined ? w.task().cred : { ...w.task().cred, caps };
    return w.read('/sec/policy', w.task({ cred }), flags);
  };
  const options: Record<string, WorldOptions> = {
    readable: {},
    unreadable: { config: { CONFIG_IMA_READ_POLICY: 'n' } },
  };

  it.each<[string, string, number, bigint | undefined, Err, string | null]>([
    ['readable', 'read', O_RDONLY, undefined, 0, null],
    ['readable', 'read without CAP_SYS_ADMIN', O_RDONLY, 1n << 1n, 'EPERM', 'ima.policy_not_readable'],
    ['readable', 'read and write', O_RDWR, undefined, 'EACCES', 'ima.policy_not_readable'],
    ['readable', 'read and write without it', O_RDWR, 1n << 1n, 'EACCES', 'ima.policy_not_readable'],
    ['readable', 'write', O_WRONLY, undefined, 0, null],
    ['readable', 'append', O_WRONLY | O_APPEND, undefined, 0, null],
    ['unreadable', 'read', O_RDONLY, undefined, 'EACCES', 'ima.policy_not_readable'],
    ['unreadable', 'write', O_WRONLY, undefined, 0, null],
  ])('%s node: %s', (kind, _what, flags, caps, err, reason) => {
    const w = new World(options[kind]);
    expect(open(w, flags, caps)).toBe(err);
    const refused = w.events('ima.policy_open');
    expect(refused.map((e) => e.reason ?? null)).toEqual(reason === null ? [] : [reason]);
    for (const e of refused) expect(e.data).toMatchObject({ errno: err });
  });

  it('one writer at a time, and the second open does not disturb the first', () => {
    const w = new World();
    const f = w.open('/sec/policy', O_WRONLY);
    expect(open(w, O_WRONLY)).toBe('EBUSY');
    expect(w.events('ima.policy_open').map((e) => [e.reason, e.data['errno']])).toEqual([
      ['ima.policy_busy', 'EBUSY'],
    ]);
    expect(open(w, O_RDONLY)).toBe(0);
    w.vfs.write(w.task(), f, latin1('measure\n'));
    w.close(f);
    expect(w.text('/sec/policy')).toBe('measure \n');
  });
});

describe('the algorithms of SETXATTR_CHECK', () => {
  const allowed = (w: World): number => w.ima.state.policy.setxattrAlgos;

  it('come with the first such rule, also from a later upload, and stay', () => {
    const w = new World();
    w.policy('measure');
    expect(allowed(w)).toBe(0);
    w.policy(
      'appraise func=SETXATTR_CHECK appraise_algos=sha512',
      'appraise func=SETXATTR_CHECK appraise_algos=sha1',
    );
    expect(allowed(w)).toBe(1 << 6);
    w.policy('appraise func=SETXATTR_CHECK appraise_algos=sha256');
    expect(allowed(w)).toBe(1 << 6);
  });

  it('of a rule at another hook mean nothing here', () => {
    const w = new World();
    w.policy('appraise func=FILE_CHECK appraise_algos=sha512');
    expect(allowed(w)).toBe(0);
    expect(w.ima.state.policy.flag).toBe(C.IMA_APPRAISE);
  });
});

describe('what an upload of appraise rules switches on', () => {
  it.each([
    ['appraise func=MODULE_CHECK', C.IMA_APPRAISE_MODULES],
    ['appraise func=FIRMWARE_CHECK', C.IMA_APPRAISE_FIRMWARE],
    ['appraise func=KEXEC_KERNEL_CHECK', C.IMA_APPRAISE_KEXEC],
    ['appraise func=POLICY_CHECK', C.IMA_APPRAISE_POLICY],
    ['appraise func=KEXEC_INITRAMFS_CHECK', 0],
    ['appraise func=FILE_CHECK', 0],
    ['appraise', 0],
    ['dont_appraise func=MODULE_CHECK', 0],
    ['measure func=POLICY_CHECK', 0],
    ['hash func=FIRMWARE_CHECK', 0],
  ])('%s', (rule, bit) => {
    const w = new World({ cmdline: 'ima_appraise=off' });
    w.policy(rule);
    expect(w.ima.state.appraise).toBe(bit);
    expect(new World().ima.state.appraise).toBe(C.IMA_APPRAISE_ENFORCE);
    const on = new World();
    on.policy(rule);
    expect(on.ima.state.appraise).toBe(C.IMA_APPRAISE_ENFORCE | bit);
  });

  it('keeps what earlier uploads asked for', () => {
    const w = new World({ cmdline: 'ima_appraise=off' });
    w.policy('appraise func=MODULE_CHECK');
    w.policy('appraise func=FIRMWARE_CHECK', 'measure');
    expect(w.ima.state.appraise).toBe(C.IMA_APPRAISE_MODULES | C.IMA_APPRAISE_FIRMWARE);
  });

  it('takes dont_ rules for no work at all', () => {
    const w = new World();
    w.policy('dont_measure', 'dont_appraise', 'dont_hash');
    expect(w.ima.state.policy.flag).toBe(0);
    w.policy('hash', 'audit');
    expect(w.ima.state.policy.flag).toBe(C.IMA_HASH | C.IMA_AUDIT);
  });
});

describe('what a rule’s words are held against', () => {
  it('ids have a meaning in the first user namespace only, unless a map says more', () => {
    const w = new World();
    const at = (userNs: number) => parseContext(w.ima, w.task({ cred: { ...w.task().cred, userNs } }));
    expect([at(0).mapId('uid', 7), at(1).mapId('uid', 7), at(0).mapId('gid', 0xffffffff)]).toEqual([
      7,
      null,
      null,
    ]);
    const asked: unknown[] = [];
    const env = {
      ...w.ima.env,
      mapId: (ns: number, kind: string, id: number) => {
        asked.push([ns, kind, id]);
        return id === 0 ? 0xffffffff : id + 100;
      },
    };
    const mapped = parseContext(
      { state: w.ima.state, env },
      w.task({ cred: { ...w.task().cred, userNs: 4 } }),
    );
    expect([mapped.mapId('gid', 5), mapped.mapId('uid', 0)]).toEqual([105, null]);
    expect(asked).toEqual([
      [4, 'gid', 5],
      [4, 'uid', 0],
    ]);
  });

  it('labels have one with CONFIG_IMA_LSM_RULES and a module that knows them', () => {
    const labels = {
      known: (field: string, value: string) => field === 'obj_user' && value === '_',
      match: () => 1,
    };
    const knows = (options: WorldOptions): boolean => {
      const w = new World(options);
      return parseContext(w.ima, w.task()).lsmKnows('obj_user', '_');
    };
    const built = { CONFIG_IMA_LSM_RULES: 'y' };
    expect(knows({ config: built, labels })).toBe(true);
    expect(knows({ config: built })).toBe(false);
    expect(knows({ labels })).toBe(false);
    const w = new World({ config: built, labels });
    expect(parseContext(w.ima, w.task()).lsmKnows('obj_user', 'x')).toBe(false);
    expect(parseContext(w.ima, w.task()).lsmKnows('obj_role', '_')).toBe(false);
  });
});
