import { describe, expect, it } from 'vitest';
import type { Err } from '../../../src/base/errno.ts';
import { DEFAULT_CONFIG, type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import * as C from '../../../src/ima/constants.ts';
import {
  funcNames,
  type ParseContext,
  parseAppraiseAlgos,
  parseRule,
} from '../../../src/ima/policy-parse.ts';
import { showPolicy, showRule } from '../../../src/ima/policy-show.ts';
import { matchToken, piecesOf, ruleText } from '../../../src/ima/policy-tokens.ts';
import { funcRules } from '../../../src/ima/policy-validate.ts';
import { BUILTIN_TEMPLATES } from '../../../src/ima/template.ts';

const PROFILE = PROFILES['linux-6.12.107'] as KernelProfile;
const UUID = '12345678-9abc-def0-1122-334455667788';

/** A kernel with every option of the grammar built in. */
const CTX: ParseContext = {
  profile: PROFILE,
  templates: BUILTIN_TEMPLATES,
  defaultRulesActive: true,
  mapId: (_kind, id) => (id === 0xffffffff ? null : id),
  lsmKnows: () => false,
};

const without = (option: string): ParseContext => ({
  ...CTX,
  profile: { ...PROFILE, config: { ...DEFAULT_CONFIG, [option]: 'n' } },
});

/** What the kernel says to a rule: its errno, or the text that the policy node then shows. */
function verdict(text: string, ctx: ParseContext = CTX): string {
  const { err, rule } = parseRule(text, ctx);
  return err === 0 ? showRule(rule).trimEnd() : err;
}

/** Rows that read back as they were written. */
const same = (...texts: string[]): [string, string][] => texts.map((t) => [t, t]);

describe('words of a rule', () => {
  it.each<[string, string]>([
    ...same('measure', 'dont_measure', 'appraise', 'dont_appraise', 'audit', 'hash', 'dont_hash'),
    ['dont_audit', 'EINVAL'],
    ['Measure', 'EINVAL'],
    ['measured', 'EINVAL'],
    ['measure=1', 'EINVAL'],
    ['', 'EINVAL'],
    ['uid=0', 'EINVAL'],
    ['measure measure', 'EINVAL'],
    ['measure audit', 'EINVAL'],
    ['uid=0 measure', 'measure uid=0'],
    ['\tmeasure \t uid=0 ', 'measure uid=0'],
    ['measure # why', 'EINVAL'],
    ['measure uid=0\r', 'EINVAL'],
    ['measure\x0buid=0', 'EINVAL'],
    ['measure func', 'EINVAL'],
    ['measure func=', 'EINVAL'],
    ['measure func>FILE_CHECK', 'EINVAL'],
    ['measure bogus=1', 'EINVAL'],
    ['measure toString=1', 'EINVAL'],
  ])('%j: %s', (text, shown) => {
    expect(verdict(text)).toBe(shown);
  });

  it.each<[string, string]>([
    ['FILE_CHECK', 'FILE_CHECK'],
    ['PATH_CHECK', 'FILE_CHECK'],
    ['MMAP_CHECK', 'MMAP_CHECK'],
    ['FILE_MMAP', 'MMAP_CHECK'],
    ['MMAP_CHECK_REQPROT', 'MMAP_CHECK_REQPROT'],
    ['BPRM_CHECK', 'BPRM_CHECK'],
    ['CREDS_CHECK', 'CREDS_CHECK'],
    ['MODULE_CHECK', 'MODULE_CHECK'],
    ['FIRMWARE_CHECK', 'FIRMWARE_CHECK'],
    ['KEXEC_KERNEL_CHECK', 'KEXEC_KERNEL_CHECK'],
    ['KEXEC_INITRAMFS_CHECK', 'KEXEC_INITRAMFS_CHECK'],
    ['POLICY_CHECK', 'POLICY_CHECK'],
    ['KEXEC_CMDLINE', 'KEXEC_CMDLINE'],
    ['KEY_CHECK', 'KEY_CHECK'],
    ['CRITICAL_DATA', 'CRITICAL_DATA'],
  ])('func=%s is %s', (name, shown) => {
    expect(verdict(`measure func=${name}`)).toBe(`measure func=${shown}`);
    expect(funcNames(PROFILE)).toContain(name);
  });

  it.each(['NONE', 'POST_SETATTR', 'file_check', 'FILE_CHECKS', 'toString', 'FILE_CHECK|BPRM_CHECK'])(
    'func=%s does not exist',
    (name) => {
      expect(verdict(`measure func=${name}`)).toBe('EINVAL');
      expect(funcNames(PROFILE)).not.toContain(name);
    },
  );

  it('names every func once, KEY_CHECK only where the build has it', () => {
    expect(funcNames(PROFILE)).toHaveLength(16);
    const none = without('CONFIG_IMA_MEASURE_ASYMMETRIC_KEYS');
    expect(funcNames(none.profile)).toHaveLength(15);
    expect(verdict('measure func=KEY_CHECK', none)).toBe('EINVAL');
    expect(verdict('measure keyrings=.ima', none)).toBe('EINVAL');
    expect(verdict('measure func=KEY_CHECK keyrings=.ima', none)).toBe('EINVAL');
  });
});

describe('values of options', () => {
  it.each<[string, string]>([
    ...same('mask=MAY_EXEC', 'mask=MAY_WRITE', 'mask=MAY_READ', 'mask=MAY_APPEND', 'mask=^MAY_EXEC'),
    ...same('mask=^MAY_WRITE', 'mask=^MAY_READ', 'mask=^MAY_APPEND'),
    ['mask=^', 'EINVAL'],
    ['mask=^^MAY_READ', 'EINVAL'],
    ['mask=MAY_READ^', 'EINVAL'],
    ['mask=MAY_ACCESS', 'EINVAL'],
    ['mask=MAY_READ|MAY_EXEC', 'EINVAL'],
    ['mask=may_read', 'EINVAL'],
    ['fsmagic=ef53', 'fsmagic=0xef53'],
    ['fsmagic=0xEF53', 'fsmagic=0xef53'],
    ['fsmagic=0X00ef53', 'fsmagic=0xef53'],
    ['fsmagic=+ef53', 'fsmagic=0xef53'],
    ['fsmagic=-1', 'EINVAL'],
    ['fsmagic=xyz', 'EINVAL'],
    ['fsmagic=0x', 'EINVAL'],
    ['fsmagic=ffffffffffffffff', 'fsmagic=0xffffffffffffffff'],
    ['fsmagic=10000000000000000', 'ERANGE'],
    ['fsmagic=0', 'fsmagic=0x0'],
    ...same('fsname=ext4', 'fsname=fuse.x'),
    ['fsname=a fsname=b', 'fsname=b'],
    [`fsname=${'n'.repeat(70)}`, `fsname=${'n'.repeat(63)}`],
    ...same(`fsuuid=${UUID}`),
    [`fsuuid=${UUID.toUpperCase()}`, `fsuuid=${UUID}`],
    [`fsuuid=${UUID}and-more`, `fsuuid=${UUID}`],
    [`fsuuid=${UUID.slice(0, 35)}`, 'EINVAL'],
    [`fsuuid=${UUID.replaceAll('-', '')}`, 'EINVAL'],
    [`fsuuid=x${UUID}`, 'EINVAL'],
    [`fsuuid=${UUID.replace('8', 'g')}`, 'EINVAL'],
    ...same('uid=0', 'uid>1', 'uid<2', 'euid=3', 'euid>4', 'euid<5', 'gid=6', 'gid>7', 'gid<8'),
    ...same('egid=9', 'egid>10', 'egid<11', 'fowner=12', 'fowner>13', 'fowner<14'),
    ...same('fgroup=15', 'fgroup>16', 'fgroup<17'),
    ['uid=007', 'uid=7'],
    ['uid=+5', 'uid=5'],
    ['uid=-1', 'EINVAL'],
    ['uid=0x5', 'EINVAL'],
    ['uid=4294967294', 'uid=-2'],
    ['uid=2147483647', 'uid=2147483647'],
    ['uid=4294967295', 'EINVAL'],
    ['gid=4294967295', 'EINVAL'],
    ['fowner=4294967296', 'EINVAL'],
    ['fgroup=8589934592', 'EINVAL'],
    ['uid=99999999999999999999', 'ERANGE'],
    ['uid==5', 'EINVAL'],
    ['uid>=5', 'EINVAL'],
    ['uid>', 'EINVAL'],
    ...same('pcr=0', 'pcr=63'),
    ['pcr=011', 'pcr=11'],
    ['pcr=+11', 'pcr=11'],
    ['pcr=64', 'EINVAL'],
    ['pcr=-1', 'EINVAL'],
    ['pcr=99999999999', 'EINVAL'],
    ['pcr=x', 'EINVAL'],
    ['pcr=1 pcr=2', 'pcr=2'],
    ...same('template=ima', 'template=ima-ng', 'template=ima-sig', 'template=evm-sig'),
    ['template=d-ng|n-ng|sig', 'template=ima-sig'],
    ['template=IMA', 'EINVAL'],
    ['template=d-ng', 'EINVAL'],
    ['template=ima template=ima', 'EINVAL'],
    ...same('permit_directio'),
    ['permit_directio permit_directio', 'permit_directio'],
    ['permit_directio=1', 'EINVAL'],
  ])('measure %s: %s', (options, shown) => {
    expect(verdict(`measure ${options}`)).toBe(shown.startsWith('E') ? shown : `measure ${shown}`);
  });

  it.each<[string, string]>([
    ...same('appraise_type=imasig', 'appraise_algos=sha256', 'appraise_algos=sha256,sha512'),
    ['appraise_type=imasig appraise_type=imasig', 'appraise_type=imasig'],
    ['appraise_type=modsig', 'EINVAL'],
    ['appraise_type=IMASIG', 'EINVAL'],
    ['appraise_type=sigv3', 'EINVAL'],
    ['appraise_type=imasig|modsig', 'EINVAL'],
    ['digest_type=verity', 'EINVAL'],
    ['digest_type=verity appraise_type=sigv3', 'appraise_type=sigv3 digest_type=verity'],
    ['digest_type=verity appraise_type=imasig', 'EINVAL'],
    ['digest_type=verity appraise_type=imasig|modsig func=MODULE_CHECK', 'EINVAL'],
    ['appraise_type=imasig digest_type=verity', 'EINVAL'],
    ['digest_type=verity digest_type=verity appraise_type=sigv3', 'appraise_type=sigv3 digest_type=verity'],
    ['digest_type=Verity appraise_type=sigv3', 'EINVAL'],
    ['appraise_algos=sha512,sha256', 'appraise_algos=sha256,sha512'],
    ['appraise_algos=sha256,sha256', 'appraise_algos=sha256'],
    ['appraise_algos=md4', 'EINVAL'],
    ['appraise_algos=sha-256', 'EINVAL'],
    ['appraise_algos=SHA256', 'EINVAL'],
    ['appraise_algos=sha256,', 'EINVAL'],
    ['appraise_algos=,', 'EINVAL'],
    ['appraise_algos=sha256,tgr128', 'EINVAL'],
    ['appraise_algos=sha256 appraise_algos=sha512', 'EINVAL'],
    ['appraise_flag=check_blacklist', ''],
    ['appraise_flag=anything', ''],
    ['appraise_flag=', 'EINVAL'],
    ['appraise_flag', 'EINVAL'],
    ['pcr=1', 'EINVAL'],
    ['template=ima', 'EINVAL'],
  ])('appraise %s: %s', (options, shown) => {
    expect(verdict(`appraise ${options}`)).toBe(
      shown.startsWith('E') ? shown : `appraise ${shown}`.trimEnd(),
    );
  });

  it.each<[string, string]>([
    ...same(
      'func=KEY_CHECK keyrings=.ima',
      'func=KEY_CHECK keyrings=.ima|.evm',
      'func=KEY_CHECK keyrings=a,b',
    ),
    ['func=KEY_CHECK keyrings=|', 'EINVAL'],
    ['func=KEY_CHECK keyrings=a|', 'EINVAL'],
    ['func=KEY_CHECK keyrings=|a', 'EINVAL'],
    ['func=KEY_CHECK keyrings=a||b', 'EINVAL'],
    ['func=KEY_CHECK keyrings=a keyrings=b', 'EINVAL'],
    ...same('func=CRITICAL_DATA label=a', 'func=CRITICAL_DATA label=selinux|kernel_info'),
    ['func=CRITICAL_DATA label=|', 'EINVAL'],
    ['func=CRITICAL_DATA label=a||b', 'EINVAL'],
    ['func=CRITICAL_DATA label=a label=a', 'EINVAL'],
  ])('measure %s: %s', (options, shown) => {
    expect(verdict(`measure ${options}`)).toBe(shown.startsWith('E') ? shown : `measure ${shown}`);
  });

  it.each([
    'func=FILE_CHECK func=FILE_CHECK',
    'func=FILE_CHECK func=BPRM_CHECK',
    'mask=MAY_READ mask=MAY_READ',
    'mask=MAY_READ mask=^MAY_EXEC',
    'fsmagic=1 fsmagic=1',
    `fsuuid=${UUID} fsuuid=${UUID}`,
    'uid=1 uid=1',
    'uid=1 euid=1',
    'euid<1 uid>1',
    'gid=1 egid=1',
    'egid=1 gid=1',
    'fowner=1 fowner<2',
    'fgroup=1 fgroup=1',
  ])('measure %s is a repetition', (options) => {
    expect(verdict(`measure ${options}`)).toBe('EINVAL');
  });

  it('takes a zero magic and a null uuid for no condition yet', () => {
    expect(verdict('measure fsmagic=0 fsmagic=1')).toBe('measure fsmagic=0x1');
    const zero = '00000000-0000-0000-0000-000000000000';
    expect(verdict(`measure fsuuid=${zero} fsuuid=${UUID}`)).toBe(`measure fsuuid=${UUID}`);
    expect(verdict(`measure fsuuid=${zero}`)).toBe(`measure fsuuid=${zero}`);
  });

  it('shows a comparison only where the rule has one', () => {
    expect(verdict('measure gid=1 uid>2 fgroup<3 fowner=4')).toBe('measure uid>2 gid=1 fowner=4 fgroup<3');
  });

  it('shows elements in one order, whatever the rule wrote', () => {
    expect(
      verdict(
        `permit_directio fgroup=8 fowner=7 egid=6 euid=5 fsuuid=${UUID} measure pcr=4 template=ima-sig` +
          ' fsname=ext4 fsmagic=0x3 mask=MAY_READ func=FILE_CHECK',
      ),
    ).toBe(
      `measure func=FILE_CHECK mask=MAY_READ fsmagic=0x3 fsname=ext4 pcr=4 fsuuid=${UUID} euid=5 egid=6` +
        ' fowner=7 fgroup=8 template=ima-sig permit_directio',
    );
    expect(verdict('appraise permit_directio appraise_type=imasig appraise_algos=sha1 func=BPRM_CHECK')).toBe(
      'appraise func=BPRM_CHECK appraise_algos=sha1 appraise_type=imasig permit_directio',
    );
  });

  it('follows the word size of the machine', () => {
    const narrow = { ...CTX, profile: { ...PROFILE, wordBits: 32 as const } };
    expect(verdict('measure pcr=31', narrow)).toBe('measure pcr=31');
    expect(verdict('measure pcr=32', narrow)).toBe('EINVAL');
    expect(verdict('measure uid=4294967296', narrow)).toBe('ERANGE');
    expect(verdict('measure fsmagic=100000000', narrow)).toBe('ERANGE');
  });

  it('asks the user namespace for each kind of id', () => {
    const kinds: string[] = [];
    const ctx: ParseContext = {
      ...CTX,
      mapId: (kind, id) => {
        kinds.push(`${kind} ${id}`);
        return id === 9 ? null : id + 1000;
      },
    };
    expect(verdict('measure uid=1 gid=2 fowner=3 fgroup=4', ctx)).toBe(
      'measure uid=1001 gid=1002 fowner=1003 fgroup=1004',
    );
    expect(kinds).toEqual(['uid 1', 'gid 2', 'uid 3', 'gid 4']);
    expect(verdict('measure fgroup=9', ctx)).toBe('EINVAL');
  });

  it('reads lists of algorithms whole', () => {
    expect(parseAppraiseAlgos('sha1', PROFILE)).toBe(1 << 2);
    expect(parseAppraiseAlgos('sha256,sha512', PROFILE)).toBe((1 << 4) | (1 << 6));
    expect(parseAppraiseAlgos('sha256,none', PROFILE)).toBe(0);
    expect(parseAppraiseAlgos('rmd128', PROFILE)).toBe(0);
  });
});

/** A value for each option, as a rule without func= would take it. */
const OPTION_TEXT = {
  mask: 'mask=MAY_READ',
  inmask: 'mask=^MAY_READ',
  fsmagic: 'fsmagic=0x1',
  fsname: 'fsname=ext4',
  fsuuid: `fsuuid=${UUID}`,
  uid: 'uid=1',
  euid: 'euid=1',
  gid: 'gid=1',
  egid: 'egid=1',
  fowner: 'fowner=1',
  fgroup: 'fgroup=1',
  pcr: 'pcr=11',
  template: 'template=ima-sig',
  directio: 'permit_directio',
  verity: 'digest_type=verity',
  keyrings: 'keyrings=.ima',
  label: 'label=a',
  lsm: 'obj_user=u',
  imasig: 'appraise_type=imasig',
  modsig: 'appraise_type=imasig|modsig',
  sigv3: 'digest_type=verity appraise_type=sigv3',
  algos: 'appraise_algos=sha256',
} as const;
type Option = keyof typeof OPTION_TEXT;

const IDS: readonly Option[] = ['uid', 'euid', 'gid', 'egid', 'fowner', 'fgroup'];
const FS: readonly Option[] = ['fsmagic', 'fsname', 'fsuuid'];
const FILE: readonly Option[] = ['mask', 'inmask', ...FS, ...IDS, 'lsm', 'directio'];
const MEASURE: readonly Option[] = ['pcr', 'template'];
const SIGNED: readonly Option[] = ['imasig', 'algos'];

/** Which options each func= takes, apart from those that only measure or only appraise rules have. */
const ADMITTED: Readonly<Record<string, readonly Option[]>> = {
  '': [...FILE, 'verity', 'sigv3', ...SIGNED],
  FILE_CHECK: [...FILE, 'verity', 'sigv3', ...SIGNED],
  MMAP_CHECK: [...FILE, 'verity', 'sigv3', ...SIGNED],
  MMAP_CHECK_REQPROT: [...FILE, 'verity', 'sigv3', ...SIGNED],
  BPRM_CHECK: [...FILE, 'verity', 'sigv3', ...SIGNED],
  CREDS_CHECK: [...FILE, 'verity', 'sigv3', ...SIGNED],
  FIRMWARE_CHECK: [...FILE, 'verity', 'sigv3', ...SIGNED],
  POLICY_CHECK: [...FILE, 'verity', 'sigv3', ...SIGNED],
  MODULE_CHECK: [...FILE, 'modsig', ...SIGNED],
  KEXEC_KERNEL_CHECK: [...FILE, 'modsig', ...SIGNED],
  KEXEC_INITRAMFS_CHECK: [...FILE, 'modsig', ...SIGNED],
  KEXEC_CMDLINE: [...FS, ...IDS, 'lsm'],
  KEY_CHECK: ['uid', 'gid', 'keyrings'],
  CRITICAL_DATA: ['uid', 'gid', 'label'],
};

const APPRAISING: readonly Option[] = ['imasig', 'modsig', 'sigv3', 'algos'];
const MEASURE_ONLY: readonly string[] = ['KEXEC_CMDLINE', 'KEY_CHECK', 'CRITICAL_DATA'];
const ACTIONS = [
  'measure',
  'dont_measure',
  'appraise',
  'dont_appraise',
  'audit',
  'hash',
  'dont_hash',
] as const;

describe('which options go with which func', () => {
  const known: ParseContext = { ...CTX, lsmKnows: () => true };
  const ok = (text: string): boolean => parseRule(text, known).err === 0;

  it.each(Object.keys(ADMITTED).flatMap((func) => ACTIONS.map((action) => [func, action] as const)))(
    'func=%s %s',
    (func, action) => {
      const base = func === '' ? action : `${action} func=${func}`;
      const measures = action === 'measure' || action === 'dont_measure';
      const takesAction = !MEASURE_ONLY.includes(func) || measures;
      expect(ok(base), base).toBe(takesAction);
      for (const option of Object.keys(OPTION_TEXT) as Option[]) {
        const admitted = ADMITTED[func] as readonly Option[];
        let want = takesAction && (admitted.includes(option) || MEASURE.includes(option));
        if (MEASURE.includes(option)) want &&= action === 'measure';
        if (APPRAISING.includes(option)) want &&= action === 'appraise';
        if (option === 'verity') want &&= action !== 'appraise';
        const text = `${base} ${OPTION_TEXT[option]}`;
        expect(ok(text), text).toBe(want);
      }
    },
  );

  it.each<[string, boolean]>([
    ['appraise func=SETXATTR_CHECK appraise_algos=sha256', true],
    ['appraise func=SETXATTR_CHECK', false],
    ['appraise func=SETXATTR_CHECK appraise_algos=sha256 obj_user=u', true],
    ['appraise func=SETXATTR_CHECK appraise_algos=sha256 appraise_type=imasig', false],
    ['appraise func=SETXATTR_CHECK appraise_algos=sha256 permit_directio', false],
    ['measure func=SETXATTR_CHECK', false],
    ['dont_appraise func=SETXATTR_CHECK', false],
    ['hash func=SETXATTR_CHECK', false],
    ...[...FS, ...IDS, 'mask' as const].map((o): [string, boolean] => [
      `appraise func=SETXATTR_CHECK appraise_algos=sha256 ${OPTION_TEXT[o]}`,
      false,
    ]),
  ])('%s: %s', (text, want) => {
    expect(ok(text)).toBe(want);
  });

  it('imasig|modsig needs its option', () => {
    const text = 'appraise func=MODULE_CHECK appraise_type=imasig|modsig';
    expect(verdict(text)).toBe(text);
    expect(verdict(text, without('CONFIG_IMA_APPRAISE_MODSIG'))).toBe('EINVAL');
  });

  it('knows nothing of numbers that are no func', () => {
    expect([C.MAX_CHECK, -1].map(funcRules)).toEqual([null, null]);
    expect(funcRules(C.POST_SETATTR)).toEqual(funcRules(C.FILE_CHECK));
  });

  it('a signature is wanted together with a look at the blacklist', () => {
    const flags = (text: string): number => parseRule(text, CTX).rule.flags;
    const signed = C.IMA_DIGSIG_REQUIRED | C.IMA_CHECK_BLACKLIST;
    expect(flags('appraise appraise_type=imasig')).toBe(signed);
    expect(flags('appraise digest_type=verity appraise_type=sigv3')).toBe(
      (signed | C.IMA_VERITY_REQUIRED) >>> 0,
    );
    expect(flags('appraise func=MODULE_CHECK appraise_type=imasig|modsig')).toBe(
      signed | C.IMA_MODSIG_ALLOWED | C.IMA_FUNC,
    );
  });
});

describe('labels of security modules', () => {
  const FIELDS = ['obj_user', 'obj_role', 'obj_type', 'subj_user', 'subj_role', 'subj_type'];
  const known: ParseContext = { ...CTX, lsmKnows: (_field, value) => value === 'known' };

  it.each(FIELDS)('%s', (field) => {
    expect(verdict(`measure ${field}=known`, known)).toBe(`measure ${field}=known`);
    expect(verdict(`measure ${field}=other`, known)).toBe('EINVAL');
    expect(verdict(`measure ${field}=`, known)).toBe('EINVAL');
    expect(verdict(`measure ${field}=known ${field}=known`, known)).toBe('EINVAL');
    const later = { ...known, defaultRulesActive: false };
    expect(verdict(`measure ${field}=other`, later)).toBe('');
    expect(verdict(`measure ${field}=other ${field}=known`, later)).toBe(`measure ${field}=known`);
  });

  it('are asked for by field and shown in the order of the kernel', () => {
    const asked: string[] = [];
    const ctx: ParseContext = {
      ...CTX,
      lsmKnows: (field, value) => {
        asked.push(`${field}=${value}`);
        return true;
      },
    };
    const text = FIELDS.map((f, i) => `${f}=${i}`);
    expect(verdict(`measure ${[...text].reverse().join(' ')}`, ctx)).toBe(`measure ${text.join(' ')}`);
    expect(asked).toEqual([...text].reverse());
  });

  it('hide a rule from the policy node where one of them is not known', () => {
    const later = { ...known, defaultRulesActive: false };
    const rules = ['measure', 'measure obj_user=known subj_user=other', 'audit'].map(
      (t) => parseRule(t, later).rule,
    );
    expect(showPolicy(rules)).toBe('measure \naudit \n');
  });
});

describe('audit text of a rule', () => {
  it.each<[string, string, Err]>([
    ['measure', 'action=measure res=1', 0],
    ['dont_hash func=BPRM_CHECK', 'action=dont_hash func=BPRM_CHECK res=1', 0],
    ['measure uid>5 euid<6', 'action=measure uid>5 euid<6 res=0', 'EINVAL'],
    ['measure bogus uid=1', 'action=measure UNKNOWN=bogus res=0', 'EINVAL'],
    ['measure uid=x gid=1', 'action=measure uid=x res=0', 'EINVAL'],
    ['measure permit_directio mask=^MAY_READ', 'action=measure mask=^MAY_READ res=1', 0],
    ['measure measure uid=1', 'action=measure action=measure res=0', 'EINVAL'],
    ['measure func=NONE uid=1', 'action=measure func=NONE res=0', 'EINVAL'],
    ['audit pcr=1', 'action=audit pcr=1 res=0', 'EINVAL'],
    ['appraise appraise_flag=x', 'action=appraise appraise_flag=x res=1', 0],
    ['', 'res=0', 'EINVAL'],
    ['measure pcr=1 template=d|n', 'action=measure pcr=1 template=d|n res=1', 0],
  ])('%j', (text, audit, err) => {
    const outcome = parseRule(text, CTX);
    expect([outcome.audit, outcome.err]).toEqual([audit, err]);
  });

  it('tells where a rule went wrong', () => {
    const at = (text: string) => parseRule(text, CTX).failedAt;
    expect(at('measure  bogus')).toEqual({ text: 'bogus', offset: 9, keyword: '', op: '', value: '' });
    expect(at('measure uid>x y')).toEqual({ text: 'uid>x', offset: 8, keyword: 'uid', op: '>', value: 'x' });
    expect(at('audit pcr=1')).toBeNull();
    expect(at('measure')).toBeNull();
  });
});

describe('cutting lines', () => {
  it('at each space and tab, and nowhere else', () => {
    expect(piecesOf(' a\tb  c\vd ')).toEqual([
      { text: 'a', offset: 1 },
      { text: 'b', offset: 3 },
      { text: 'c\vd', offset: 6 },
    ]);
    expect(piecesOf('')).toEqual([]);
    expect(piecesOf(' \t ')).toEqual([]);
    expect(piecesOf('x')).toEqual([{ text: 'x', offset: 0 }]);
  });

  it.each<[string, string | null]>([
    ['measure', 'measure'],
    [' \tmeasure', 'measure'],
    ['measure ', 'measure '],
    ['', null],
    [' \t', null],
    ['#', null],
    [' # x', null],
    ['x#', 'x#'],
    ['\vx', '\vx'],
  ])('%j is %j after the leading blanks', (line, text) => {
    expect(ruleText(line)).toBe(text);
  });

  it.each<[string, string, string, string] | [string]>([
    ['uid=5', 'uid', '=', '5'],
    ['uid>5', 'uid', '>', '5'],
    ['uid<5', 'uid', '<', '5'],
    ['fsname=a=b', 'fsname', '=', 'a=b'],
    ['label=<x>', 'label', '=', '<x>'],
    ['measure', 'measure', '', ''],
    ['fsname'],
    ['fsname='],
    ['fsname>x'],
    ['=x'],
    ['measure<'],
  ])('%s', (text, ...parts) => {
    const token = matchToken({ text, offset: 3 });
    const [keyword, op, value] = parts;
    expect(token).toEqual(keyword === undefined ? null : { text, offset: 3, keyword, op, value });
  });
});
