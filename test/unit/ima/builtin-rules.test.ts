import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG, type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import * as C from '../../../src/ima/constants.ts';
import {
  archRules,
  buildAppraiseRules,
  CRITICAL_DATA_RULES,
  DEFAULT_MEASUREMENT_RULES,
  DONT_MEASURE_RULES,
  defaultAppraiseRules,
  ORIGINAL_MEASUREMENT_RULES,
  SECURE_BOOT_RULES,
} from '../../../src/ima/policy-builtin.ts';
import { showRule } from '../../../src/ima/policy-show.ts';
import type { ImaRule } from '../../../src/ima/types.ts';
import { World } from './world.ts';

const PROFILE = PROFILES['linux-6.12.107'] as KernelProfile;
const profile = (config: Record<string, string>): KernelProfile => ({
  ...PROFILE,
  config: { ...DEFAULT_CONFIG, ...config },
});
const texts = (rules: readonly ImaRule[]): string[] => rules.map((r) => showRule(r).trimEnd());

const MAGIC = {
  proc: '9fa0',
  sysfs: '62656572',
  debugfs: '64626720',
  tmpfs: '1021994',
  ramfs: '858458f6',
  devpts: '1cd1',
  binfmt_misc: '42494e4d',
  securityfs: '73636673',
  selinuxfs: 'f97cff8c',
  smackfs: '43415d53',
  cgroup: '27e0eb',
  cgroup2: '63677270',
  nsfs: '6e736673',
  efivarfs: 'de5e81e4',
} as const;

const onMagic = (action: string, ...names: (keyof typeof MAGIC)[]): string[] =>
  names.map((n) => `${action} fsmagic=0x${MAGIC[n]}`);

const APPRAISE_TCB = onMagic(
  'dont_appraise',
  'proc',
  'sysfs',
  'debugfs',
  'tmpfs',
  'ramfs',
  'devpts',
  'binfmt_misc',
  'securityfs',
  'selinuxfs',
  'smackfs',
  'nsfs',
  'efivarfs',
  'cgroup',
  'cgroup2',
);

describe('rules that come with the kernel', () => {
  it('leave file systems without content of their own unmeasured', () => {
    expect(texts(DONT_MEASURE_RULES)).toEqual(
      onMagic(
        'dont_measure',
        'proc',
        'sysfs',
        'debugfs',
        'tmpfs',
        'devpts',
        'binfmt_misc',
        'securityfs',
        'selinuxfs',
        'smackfs',
        'cgroup',
        'cgroup2',
        'nsfs',
        'efivarfs',
      ),
    );
  });

  it('ima_tcb measures what root reads, by exact mask', () => {
    expect(texts(ORIGINAL_MEASUREMENT_RULES)).toEqual([
      'measure func=MMAP_CHECK mask=MAY_EXEC',
      'measure func=BPRM_CHECK mask=MAY_EXEC',
      'measure func=FILE_CHECK mask=MAY_READ uid=0',
      'measure func=MODULE_CHECK',
      'measure func=FIRMWARE_CHECK',
    ]);
  });

  it('tcb measures what root or an effective root opens for reading at all', () => {
    expect(texts(DEFAULT_MEASUREMENT_RULES)).toEqual([
      'measure func=MMAP_CHECK mask=MAY_EXEC',
      'measure func=BPRM_CHECK mask=MAY_EXEC',
      'measure func=FILE_CHECK mask=^MAY_READ euid=0',
      'measure func=FILE_CHECK mask=^MAY_READ uid=0',
      'measure func=MODULE_CHECK',
      'measure func=FIRMWARE_CHECK',
      'measure func=POLICY_CHECK',
    ]);
  });

  it.each<[Record<string, string>, string[]]>([
    [{}, ['appraise func=POLICY_CHECK appraise_type=imasig', 'appraise fowner=0']],
    [{ CONFIG_IMA_WRITE_POLICY: 'n' }, ['appraise fowner=0']],
    [
      { CONFIG_IMA_APPRAISE_SIGNED_INIT: 'y' },
      ['appraise func=POLICY_CHECK appraise_type=imasig', 'appraise fowner=0 appraise_type=imasig'],
    ],
    [
      { CONFIG_IMA_WRITE_POLICY: 'n', CONFIG_IMA_APPRAISE_SIGNED_INIT: 'y' },
      ['appraise fowner=0 appraise_type=imasig'],
    ],
  ])('appraise_tcb with %j', (config, tail) => {
    expect(texts(defaultAppraiseRules(profile(config)))).toEqual([...APPRAISE_TCB, ...tail]);
  });

  it.each<[string[], string[]]>([
    [[], []],
    [['MODULE'], ['MODULE_CHECK']],
    [['FIRMWARE'], ['FIRMWARE_CHECK']],
    [['KEXEC'], ['KEXEC_KERNEL_CHECK']],
    [['POLICY'], ['POLICY_CHECK']],
    [
      ['POLICY', 'KEXEC', 'FIRMWARE', 'MODULE'],
      ['MODULE_CHECK', 'FIRMWARE_CHECK', 'KEXEC_KERNEL_CHECK', 'POLICY_CHECK'],
    ],
  ])('a build that requires signatures of %j', (wanted, funcs) => {
    const config = Object.fromEntries(wanted.map((w) => [`CONFIG_IMA_APPRAISE_REQUIRE_${w}_SIGS`, 'y']));
    const rules = buildAppraiseRules(profile(config));
    expect(texts(rules)).toEqual(funcs.map((f) => `appraise func=${f} appraise_type=imasig`));
  });

  it('secure_boot wants signatures at four hooks, critical_data measures all of it', () => {
    expect(texts(SECURE_BOOT_RULES)).toEqual(
      ['MODULE_CHECK', 'FIRMWARE_CHECK', 'KEXEC_KERNEL_CHECK', 'POLICY_CHECK'].map(
        (f) => `appraise func=${f} appraise_type=imasig`,
      ),
    );
    expect(texts(CRITICAL_DATA_RULES)).toEqual(['measure func=CRITICAL_DATA']);
  });

  it('do not ask for the blacklist, unlike rules that are parsed', () => {
    const all = [...SECURE_BOOT_RULES, ...defaultAppraiseRules(PROFILE)];
    expect(all.filter((r) => (r.flags & C.IMA_CHECK_BLACKLIST) !== 0)).toEqual([]);
  });
});

describe('rules of the architecture', () => {
  const EFI = { CONFIG_IMA_ARCH_POLICY: 'y', CONFIG_KEXEC_SIG: 'y', CONFIG_MODULE_SIG: 'y' };
  const PLAIN = { ...EFI, CONFIG_INTEGRITY_MACHINE_KEYRING: 'n' };
  const SECONDARY = 'CONFIG_IMA_KEYRINGS_PERMIT_SIGNED_BY_BUILTIN_OR_SECONDARY';
  const MEASURES = ['measure func=KEXEC_KERNEL_CHECK', 'measure func=MODULE_CHECK'] as const;

  it.each<[string, Record<string, string>, string[]]>([
    ['everything else is signed', PLAIN, [...MEASURES]],
    ['no architecture policy', { ...PLAIN, CONFIG_IMA_ARCH_POLICY: 'n' }, []],
    [
      'kernels are not verified by kexec',
      { ...PLAIN, CONFIG_KEXEC_SIG: 'n' },
      ['appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig', ...MEASURES],
    ],
    [
      'modules are not signed',
      { ...PLAIN, CONFIG_MODULE_SIG: 'n' },
      [MEASURES[0], 'appraise func=MODULE_CHECK appraise_type=imasig', MEASURES[1]],
    ],
    [
      'machine keys count',
      { ...EFI, CONFIG_INTEGRITY_MACHINE_KEYRING: 'y', [SECONDARY]: 'y' },
      [MEASURES[0], 'appraise func=POLICY_CHECK appraise_type=imasig', MEASURES[1]],
    ],
    [
      'machine keys count without the secondary keyring',
      { ...EFI, CONFIG_INTEGRITY_MACHINE_KEYRING: 'y', [SECONDARY]: 'n' },
      [...MEASURES],
    ],
    ['secondary keys alone', { ...PLAIN, [SECONDARY]: 'y' }, [...MEASURES]],
  ])('EFI with secure boot: %s', (_what, config, rules) => {
    const platform = {
      arch: 'efi',
      secureBoot: true,
      trustedBoot: false,
      moduleSigEnforced: () => false,
    } as const;
    expect(archRules(profile(config), platform)).toEqual(rules);
    expect(archRules(profile(config), { ...platform, secureBoot: false })).toEqual([]);
    expect(archRules(profile(config), { ...platform, arch: 's390' })).toEqual([]);
    expect(archRules(profile(config), undefined)).toEqual([]);
  });

  const SIGNED = 'appraise_flag=check_blacklist appraise_type=imasig|modsig';
  it.each<[boolean, boolean, string, string[]]>([
    [false, false, 'y', []],
    [true, false, 'y', [`appraise func=KEXEC_KERNEL_CHECK ${SIGNED}`]],
    [
      true,
      false,
      'n',
      [`appraise func=KEXEC_KERNEL_CHECK ${SIGNED}`, `appraise func=MODULE_CHECK ${SIGNED}`],
    ],
    [false, true, 'n', [...MEASURES]],
    [
      true,
      true,
      'n',
      [
        'measure func=KEXEC_KERNEL_CHECK template=ima-modsig',
        'measure func=MODULE_CHECK template=ima-modsig',
        `appraise func=KEXEC_KERNEL_CHECK ${SIGNED}`,
        `appraise func=MODULE_CHECK ${SIGNED}`,
      ],
    ],
  ])('PowerPC, secure %s, trusted %s, modules signed %s', (secureBoot, trustedBoot, modules, rules) => {
    const platform = { arch: 'powerpc', secureBoot, trustedBoot, moduleSigEnforced: () => false } as const;
    expect(archRules(profile({ CONFIG_MODULE_SIG: modules }), platform)).toEqual(rules);
  });

  it('that do not parse are left out with a word in the kernel log, but have spoken for appraisal', () => {
    const w = new World({
      config: { CONFIG_IMA_APPRAISE_MODSIG: 'n' },
      platform: { arch: 'powerpc', secureBoot: true },
      cmdline: 'ima_appraise=off',
    });
    expect(w.log).toContain(
      `ima: Skipping unknown architecture policy rule: appraise func=KEXEC_KERNEL_CHECK ${SIGNED}`,
    );
    expect(w.log).toContain('ima: No architecture policies found');
    expect(w.text('/sec/policy')).toBe('');
    expect(w.ima.state.policy.tempAppraise).toBe(C.IMA_APPRAISE_KEXEC);
  });

  it('are told of in the kernel log only where there are none', () => {
    const config = { ...PLAIN };
    const secure = new World({ config, platform: { secureBoot: true } });
    expect(secure.log).not.toContain('ima: No architecture policies found');
    expect(new World({ config }).log).toContain('ima: No architecture policies found');
  });
});

describe('lists at boot', () => {
  const lists = (w: World): [string[], string[]] => {
    const { defaultRules, customRules } = w.ima.state.policy;
    return [texts(defaultRules), texts(customRules)];
  };
  const BUILD = { CONFIG_IMA_APPRAISE_REQUIRE_FIRMWARE_SIGS: 'y' };
  const FIRMWARE = 'appraise func=FIRMWARE_CHECK appraise_type=imasig';
  const ARCH = { CONFIG_IMA_ARCH_POLICY: 'y', CONFIG_KEXEC_SIG: 'y', CONFIG_MODULE_SIG: 'y' };
  const NO_MACHINE = { ...ARCH, CONFIG_INTEGRITY_MACHINE_KEYRING: 'n' };

  it('have no rule without a word of the command line or the build', () => {
    const w = new World();
    expect(lists(w)).toEqual([[], []]);
    expect(w.ima.state.policy).toMatchObject({
      flag: 0,
      setxattrAlgos: 0,
      active: 'default',
      load: 'closed',
    });
  });

  it('hold rules of the build in both, but not twice beside secure_boot', () => {
    expect(lists(new World({ config: BUILD }))).toEqual([[FIRMWARE], [FIRMWARE]]);
    const secure = lists(new World({ config: BUILD, cmdline: 'ima_policy=secure_boot' }));
    expect(secure).toEqual([texts(SECURE_BOOT_RULES), [FIRMWARE]]);
  });

  it('hold everything in the order of the kernel', () => {
    const w = new World({
      config: { ...BUILD, ...NO_MACHINE },
      platform: { secureBoot: true },
      cmdline: 'ima_policy=critical_data|appraise_tcb|secure_boot|tcb',
    });
    const arch = ['measure func=KEXEC_KERNEL_CHECK', 'measure func=MODULE_CHECK'];
    expect(lists(w)).toEqual([
      [
        ...texts(DONT_MEASURE_RULES),
        ...texts(DEFAULT_MEASUREMENT_RULES),
        ...arch,
        ...texts(SECURE_BOOT_RULES),
        ...texts(defaultAppraiseRules(w.profile)),
        'measure func=CRITICAL_DATA',
      ],
      [...arch, FIRMWARE],
    ]);
    expect(w.ima.state.policy.flag).toBe(C.IMA_MEASURE | C.IMA_APPRAISE);
  });

  it.each<[string, Record<string, string>, number]>([
    ['MODULE', {}, C.IMA_APPRAISE_MODULES],
    ['FIRMWARE', {}, C.IMA_APPRAISE_FIRMWARE],
    ['KEXEC', {}, C.IMA_APPRAISE_KEXEC],
    ['POLICY', {}, C.IMA_APPRAISE_POLICY],
  ])('a build that requires %s signatures appraises in spite of ima_appraise=off', (what, rest, bit) => {
    const config = { ...rest, [`CONFIG_IMA_APPRAISE_REQUIRE_${what}_SIGS`]: 'y' };
    const w = new World({ config, cmdline: 'ima_appraise=off' });
    expect(w.ima.state.appraise).toBe(bit);
    expect(w.ima.state.policy).toMatchObject({ buildAppraise: bit, tempAppraise: 0, flag: C.IMA_APPRAISE });
    // A dropped upload forgets what it asked for, never what the build asks for.
    w.upload('appraise func=MODULE_CHECK\nbogus\n');
    expect(w.ima.state.policy).toMatchObject({ buildAppraise: bit, tempAppraise: 0 });
  });

  it('secure_boot beside ima_appraise=off appraises without enforcing', () => {
    const w = new World({ cmdline: 'ima_appraise=off ima_policy=secure_boot' });
    expect(w.ima.state.appraise).toBe(0x78);
    expect(new World({ cmdline: 'ima_appraise=off ima_policy=appraise_tcb' }).ima.state.appraise).toBe(
      C.IMA_APPRAISE_POLICY,
    );
    expect(new World({ cmdline: 'ima_appraise=off ima_policy=tcb' }).ima.state).toMatchObject({
      appraise: 0,
      policy: { flag: C.IMA_MEASURE },
    });
  });
});
