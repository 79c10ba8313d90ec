// The rules that come with the kernel: measurement and appraisal defaults of ima_policy=, the rules of the
// build, those of the architecture, and the order in which they are put on the two lists at boot.

import type { KernelProfile } from '../base/profile.ts';
import { enabled } from '../base/profile.ts';
import { MAY_EXEC, MAY_READ } from '../vfs/constants.ts';
import * as C from './constants.ts';
import type { ImaPlatform } from './cursor.ts';
import { EMPTY_RULE, type ImaRule } from './types.ts';

const MAGIC = {
  proc: '9fa0',
  sysfs: '62656572',
  debugfs: '64626720',
  tmpfs: '1021994',
  ramfs: '858458f6',
  devpts: '1cd1',
  binfmt: '42494e4d',
  securityfs: '73636673',
  selinux: 'f97cff8c',
  smack: '43415d53',
  cgroup: '27e0eb',
  cgroup2: '63677270',
  nsfs: '6e736673',
  efivarfs: 'de5e81e4',
} as const;

const NOT_MEASURED: readonly (keyof typeof MAGIC)[] = [
  'proc',
  'sysfs',
  'debugfs',
  'tmpfs',
  'devpts',
  'binfmt',
  'securityfs',
  'selinux',
  'smack',
  'cgroup',
  'cgroup2',
  'nsfs',
  'efivarfs',
];

const NOT_APPRAISED: readonly (keyof typeof MAGIC)[] = [
  'proc',
  'sysfs',
  'debugfs',
  'tmpfs',
  'ramfs',
  'devpts',
  'binfmt',
  'securityfs',
  'selinux',
  'smack',
  'nsfs',
  'efivarfs',
  'cgroup',
  'cgroup2',
];

function rule(action: number, flags: number, rest: Partial<ImaRule>): ImaRule {
  return { ...EMPTY_RULE, action, flags: flags >>> 0, ...rest };
}

const fsRule = (action: number, fs: keyof typeof MAGIC): ImaRule =>
  rule(action, C.IMA_FSMAGIC, { fsmagic: MAGIC[fs] });

const onFunc = (action: number, func: number, flags = 0): ImaRule =>
  rule(action, C.IMA_FUNC | flags, { func });

const onExec = (func: number): ImaRule => rule(C.MEASURE, C.IMA_FUNC | C.IMA_MASK, { func, mask: MAY_EXEC });

const rootRead = (flags: number): ImaRule =>
  rule(C.MEASURE, C.IMA_FUNC | flags, { func: C.FILE_CHECK, mask: MAY_READ, uid: 0 });

/** dont_measure_rules[]. */
export const DONT_MEASURE_RULES: readonly ImaRule[] = NOT_MEASURED.map((fs) => fsRule(C.DONT_MEASURE, fs));

/** original_measurement_rules[]: ima_tcb. */
export const ORIGINAL_MEASUREMENT_RULES: readonly ImaRule[] = [
  onExec(C.MMAP_CHECK),
  onExec(C.BPRM_CHECK),
  rootRead(C.IMA_MASK | C.IMA_UID),
  onFunc(C.MEASURE, C.MODULE_CHECK),
  onFunc(C.MEASURE, C.FIRMWARE_CHECK),
];

/** default_measurement_rules[]: ima_policy=tcb. */
export const DEFAULT_MEASUREMENT_RULES: readonly ImaRule[] = [
  onExec(C.MMAP_CHECK),
  onExec(C.BPRM_CHECK),
  rootRead(C.IMA_INMASK | C.IMA_EUID),
  rootRead(C.IMA_INMASK | C.IMA_UID),
  onFunc(C.MEASURE, C.MODULE_CHECK),
  onFunc(C.MEASURE, C.FIRMWARE_CHECK),
  onFunc(C.MEASURE, C.POLICY_CHECK),
];

/** default_appraise_rules[]: ima_policy=appraise_tcb. */
export function defaultAppraiseRules(profile: KernelProfile): readonly ImaRule[] {
  const signedInit = enabled(profile, 'CONFIG_IMA_APPRAISE_SIGNED_INIT') ? C.IMA_DIGSIG_REQUIRED : 0;
  return [
    ...NOT_APPRAISED.map((fs) => fsRule(C.DONT_APPRAISE, fs)),
    ...(enabled(profile, 'CONFIG_IMA_WRITE_POLICY')
      ? [onFunc(C.APPRAISE, C.POLICY_CHECK, C.IMA_DIGSIG_REQUIRED)]
      : []),
    rule(C.APPRAISE, C.IMA_FOWNER | signedInit, { fowner: 0 }),
  ];
}

/** build_appraise_rules[]. */
export function buildAppraiseRules(profile: KernelProfile): readonly ImaRule[] {
  const options: readonly (readonly [string, number])[] = [
    ['CONFIG_IMA_APPRAISE_REQUIRE_MODULE_SIGS', C.MODULE_CHECK],
    ['CONFIG_IMA_APPRAISE_REQUIRE_FIRMWARE_SIGS', C.FIRMWARE_CHECK],
    ['CONFIG_IMA_APPRAISE_REQUIRE_KEXEC_SIGS', C.KEXEC_KERNEL_CHECK],
    ['CONFIG_IMA_APPRAISE_REQUIRE_POLICY_SIGS', C.POLICY_CHECK],
  ];
  return options
    .filter(([option]) => enabled(profile, option))
    .map(([, func]) => onFunc(C.APPRAISE, func, C.IMA_DIGSIG_REQUIRED));
}

/** secure_boot_rules[]: ima_policy=secure_boot. */
export const SECURE_BOOT_RULES: readonly ImaRule[] = [
  C.MODULE_CHECK,
  C.FIRMWARE_CHECK,
  C.KEXEC_KERNEL_CHECK,
  C.POLICY_CHECK,
].map((func) => onFunc(C.APPRAISE, func, C.IMA_DIGSIG_REQUIRED));

/** critical_data_rules[]: ima_policy=critical_data. */
export const CRITICAL_DATA_RULES: readonly ImaRule[] = [onFunc(C.MEASURE, C.CRITICAL_DATA)];

function efiRules(profile: KernelProfile): string[] {
  const machineKeys =
    enabled(profile, 'CONFIG_INTEGRITY_MACHINE_KEYRING') &&
    enabled(profile, 'CONFIG_IMA_KEYRINGS_PERMIT_SIGNED_BY_BUILTIN_OR_SECONDARY');
  return [
    ...(enabled(profile, 'CONFIG_KEXEC_SIG')
      ? []
      : ['appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig']),
    'measure func=KEXEC_KERNEL_CHECK',
    ...(enabled(profile, 'CONFIG_MODULE_SIG') ? [] : ['appraise func=MODULE_CHECK appraise_type=imasig']),
    ...(machineKeys ? ['appraise func=POLICY_CHECK appraise_type=imasig'] : []),
    'measure func=MODULE_CHECK',
  ];
}

function powerpcRules(profile: KernelProfile, platform: ImaPlatform): string[] {
  const signed = 'appraise_flag=check_blacklist appraise_type=imasig|modsig';
  const secure = [
    `appraise func=KEXEC_KERNEL_CHECK ${signed}`,
    ...(enabled(profile, 'CONFIG_MODULE_SIG') ? [] : [`appraise func=MODULE_CHECK ${signed}`]),
  ];
  const trusted = ['measure func=KEXEC_KERNEL_CHECK', 'measure func=MODULE_CHECK'];
  if (platform.secureBoot && platform.trustedBoot)
    return [...trusted.map((t) => `${t} template=ima-modsig`), ...secure];
  if (platform.secureBoot) return secure;
  return platform.trustedBoot ? trusted : [];
}

/**
 * Texts of the architecture's rules.
 * @kernel security/integrity/ima/ima_efi.c arch_get_ima_policy()
 */
export function archRules(profile: KernelProfile, platform: ImaPlatform | undefined): readonly string[] {
  if (platform === undefined) return [];
  if (platform.arch === 'powerpc') return powerpcRules(profile, platform);
  const wanted = enabled(profile, 'CONFIG_IMA_ARCH_POLICY') && platform.secureBoot;
  return platform.arch === 'efi' && wanted ? efiRules(profile) : [];
}
