// Kernel profiles are data: a release, its CONFIG_ values and one named switch for each behaviour that
// changed between releases (named after what it does, with the commit's subject). Code asks the switch, never
// the version.

export interface KernelSwitches {
  /** "ima: limit the number of open-writers integrity violations" and "... of ToMToU ...". */
  readonly limitViolations: boolean;
  /** "ima: Reset IMA_NONACTION_RULE_FLAGS after post_setattr": IMA_NEW_FILE survives chmod. */
  readonly newFileSurvivesSetattr: boolean;
  /** "ima: don't clear IMA_DIGSIG flag when setting or removing non-IMA xattr". */
  readonly keepDigsigOnOtherXattr: boolean;
  /** "ima: Handle error code returned by ima_filter_rule_match()". */
  readonly lsmMatchErrorIsNoMatch: boolean;
  /** "ima: do not copy measurement list to kdump kernel". */
  readonly kdumpWithoutList: boolean;
  /** "ima: kexec: move IMA log copy from kexec load to execute". */
  readonly kexecCopyAtExecute: boolean;
  /** "evm: Use ordered xattrs list to calculate HMAC in evm_init_hmac()": before, in the LSM's order. */
  readonly initHmacInListOrder: boolean;
  /** "ima: measure kexec load and exec events as critical data" (6.16). */
  readonly kexecMarkers: boolean;
  /** "ima: Suspend PCR extends and log appends when rebooting" (6.14). */
  readonly suspendedAtReboot: boolean;
  /** "ima: Instantiate file_truncate and path_truncate hooks". */
  readonly truncateHooks: boolean;
  /**
   * "ima: Calculate and extend PCR with digests in ima_template_entry" (5.8): before, every bank got
   * sha1.
   */
  readonly digestPerBank: boolean;
  /** "ima: Switch to ima_hash_algo for boot aggregate" (5.8): before, sha1 over the sha1 bank. */
  readonly bootAggregateOfBank: boolean;
  /** "ima: extend boot_aggregate with kernel measurements" (5.8): PCR 8 and 9 count where it is not sha1. */
  readonly bootAggregateWithKernel: boolean;
  /**
   * "Revert "fs: don't block i_writecount during exec"" (6.13, early 6.12.y): execve is ETXTBSY beside
   * a writer.
   */
  readonly execDeniesWriters: boolean;
  /** "exec: Add a new AT_EXECVE_CHECK flag to execveat(2)" (6.14): asks without running anything. */
  readonly execveCheck: boolean;
  /** "ima: instantiate the bprm_creds_for_exec() hook" (6.14): IMA answers such a question. */
  readonly imaExecveCheck: boolean;
  /** "ipe: Add AT_EXECVE_CHECK support for script enforcement" (6.19): IPE answers it too. */
  readonly ipeExecveCheck: boolean;
}

export interface KernelProfile {
  readonly name: string;
  /** utsname release. */
  readonly release: string;
  readonly pageSize: number;
  readonly wordBits: 32 | 64;
  /** CONFIG_ values as in a .config: `y`, `n`, numbers and strings. */
  readonly config: { readonly [option: string]: string };
  readonly switches: KernelSwitches;
}

const ALL_6_12_107: KernelSwitches = {
  limitViolations: true,
  newFileSurvivesSetattr: true,
  keepDigsigOnOtherXattr: true,
  lsmMatchErrorIsNoMatch: true,
  kdumpWithoutList: true,
  kexecCopyAtExecute: true,
  kexecMarkers: false,
  suspendedAtReboot: false,
  initHmacInListOrder: true,
  truncateHooks: true,
  digestPerBank: true,
  bootAggregateOfBank: true,
  bootAggregateWithKernel: true,
  execDeniesWriters: true,
  execveCheck: false,
  imaExecveCheck: false,
  ipeExecveCheck: false,
};

const OF_6_12_0: KernelSwitches = {
  limitViolations: false,
  newFileSurvivesSetattr: false,
  keepDigsigOnOtherXattr: false,
  lsmMatchErrorIsNoMatch: false,
  kdumpWithoutList: false,
  kexecCopyAtExecute: false,
  kexecMarkers: false,
  suspendedAtReboot: false,
  initHmacInListOrder: false,
  truncateHooks: false,
  digestPerBank: true,
  bootAggregateOfBank: true,
  bootAggregateWithKernel: true,
  execDeniesWriters: false,
  execveCheck: false,
  imaExecveCheck: false,
  ipeExecveCheck: false,
};

/** What later patches of 6.12.y brought had not come yet, but for the writers and the flag of new files. */
const OF_6_14: KernelSwitches = {
  ...OF_6_12_0,
  newFileSurvivesSetattr: true,
  execDeniesWriters: true,
  execveCheck: true,
  imaExecveCheck: true,
};

const OF_6_19: KernelSwitches = {
  ...OF_6_14,
  limitViolations: true,
  keepDigsigOnOtherXattr: true,
  lsmMatchErrorIsNoMatch: true,
  kdumpWithoutList: true,
  kexecCopyAtExecute: true,
  ipeExecveCheck: true,
};

/** The options that the simulator asks for, as a distribution-like build sets them. */
export const DEFAULT_CONFIG: { readonly [option: string]: string } = {
  CONFIG_AUDIT: 'y',
  CONFIG_BPF_SYSCALL: 'y',
  CONFIG_BPF_UNPRIV_DEFAULT_OFF: 'y',
  CONFIG_SECCOMP_FILTER: 'y',
  CONFIG_IP_NF_IPTABLES: 'y',
  CONFIG_FW_LOADER_USER_HELPER: 'y',
  CONFIG_IMA: 'y',
  CONFIG_IMA_KEXEC: 'y',
  CONFIG_IMA_MEASURE_PCR_IDX: '10',
  CONFIG_IMA_DEFAULT_TEMPLATE: 'ima-ng',
  CONFIG_IMA_DEFAULT_HASH: 'sha256',
  CONFIG_IMA_WRITE_POLICY: 'y',
  CONFIG_IMA_READ_POLICY: 'y',
  CONFIG_IMA_APPRAISE: 'y',
  CONFIG_IMA_ARCH_POLICY: 'n',
  CONFIG_IMA_APPRAISE_BUILD_POLICY: 'n',
  CONFIG_IMA_APPRAISE_BOOTPARAM: 'y',
  CONFIG_IMA_APPRAISE_MODSIG: 'y',
  CONFIG_IMA_APPRAISE_SIGNED_INIT: 'n',
  CONFIG_IMA_KEYRINGS_PERMIT_SIGNED_BY_BUILTIN_OR_SECONDARY: 'y',
  CONFIG_IMA_BLACKLIST_KEYRING: 'y',
  CONFIG_IMA_LOAD_X509: 'y',
  CONFIG_IMA_X509_PATH: '/etc/keys/x509_ima.der',
  CONFIG_IMA_MEASURE_ASYMMETRIC_KEYS: 'y',
  CONFIG_IMA_QUEUE_EARLY_BOOT_KEYS: 'y',
  CONFIG_IMA_DISABLE_HTABLE: 'n',
  CONFIG_IMA_LSM_RULES: 'n',
  CONFIG_EVM: 'y',
  CONFIG_EVM_ATTR_FSUUID: 'y',
  CONFIG_EVM_ADD_XATTRS: 'y',
  CONFIG_EVM_LOAD_X509: 'y',
  CONFIG_EVM_X509_PATH: '/etc/keys/x509_evm.der',
  CONFIG_EVM_EXTRA_SMACK_XATTRS: 'n',
  CONFIG_SECURITY_SELINUX: 'n',
  CONFIG_SECURITY_SMACK: 'n',
  CONFIG_SECURITY_IPE: 'y',
  CONFIG_IPE_POLICY_SIG_SECONDARY_KEYRING: 'y',
  CONFIG_IPE_POLICY_SIG_PLATFORM_KEYRING: 'y',
  CONFIG_IPE_PROP_DM_VERITY: 'y',
  CONFIG_IPE_PROP_DM_VERITY_SIGNATURE: 'y',
  CONFIG_IPE_PROP_FS_VERITY: 'y',
  CONFIG_IPE_PROP_FS_VERITY_BUILTIN_SIG: 'y',
  CONFIG_LSM: 'ipe',
  CONFIG_INTEGRITY_TRUSTED_KEYRING: 'y',
  CONFIG_INTEGRITY_PLATFORM_KEYRING: 'y',
  CONFIG_INTEGRITY_AUDIT: 'y',
  CONFIG_MODULE_SIG: 'y',
  CONFIG_MODULE_SIG_FORCE: 'n',
  CONFIG_KEXEC_SIG: 'n',
  CONFIG_CRASH_DUMP: 'n',
  CONFIG_KEXEC_JUMP: 'n',
  CONFIG_CRYPTO_MD5: 'y',
  CONFIG_CRYPTO_RMD160: 'y',
  CONFIG_CRYPTO_SHA1: 'y',
  CONFIG_CRYPTO_SHA256: 'y',
  CONFIG_CRYPTO_SHA512: 'y',
  CONFIG_CRYPTO_SHA3: 'y',
  CONFIG_CRYPTO_SM3_GENERIC: 'y',
  CONFIG_CRYPTO_WP512: 'y',
  CONFIG_FS_VERITY_BUILTIN_SIGNATURES: 'y',
  CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG_SECONDARY_KEYRING: 'y',
  CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG_PLATFORM_KEYRING: 'y',
  CONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE: 'y',
  CONFIG_INTEGRITY_MACHINE_KEYRING: 'y',
  CONFIG_INTEGRITY_CA_MACHINE_KEYRING: 'n',
  CONFIG_INTEGRITY_CA_MACHINE_KEYRING_MAX: 'n',
  CONFIG_LOAD_UEFI_KEYS: 'y',
  CONFIG_SYSTEM_REVOCATION_LIST: 'n',
};

export const PROFILES: { readonly [name: string]: KernelProfile } = {
  'linux-6.12.107': {
    name: 'linux-6.12.107',
    release: '6.12.107',
    pageSize: 4096,
    wordBits: 64,
    config: DEFAULT_CONFIG,
    switches: ALL_6_12_107,
  },
  'linux-6.12.0': {
    name: 'linux-6.12.0',
    release: '6.12.0',
    pageSize: 4096,
    wordBits: 64,
    config: DEFAULT_CONFIG,
    switches: OF_6_12_0,
  },
  'linux-6.14': {
    name: 'linux-6.14',
    release: '6.14.0',
    pageSize: 4096,
    wordBits: 64,
    config: DEFAULT_CONFIG,
    switches: OF_6_14,
  },
  'linux-6.19': {
    name: 'linux-6.19',
    release: '6.19.0',
    pageSize: 4096,
    wordBits: 64,
    config: DEFAULT_CONFIG,
    switches: OF_6_19,
  },
};

/** Whether a CONFIG_ option is built in. */
export function enabled(profile: KernelProfile, option: string): boolean {
  return profile.config[option] === 'y';
}
