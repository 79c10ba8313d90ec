// Bits and numbers of security/integrity/ima/ima.h and of the rule flags in ima_policy.c, with the kernel's
// spelling.

// Actions of a rule; the first three and HASH are also iint flags.
export const UNKNOWN = 0;
export const MEASURE = 0x0001;
export const DONT_MEASURE = 0x0002;
export const APPRAISE = 0x0004;
export const DONT_APPRAISE = 0x0008;
export const AUDIT = 0x0040;
export const HASH = 0x0100;
export const DONT_HASH = 0x0200;

// Conditions and options of a rule.
export const IMA_FUNC = 0x0001;
export const IMA_MASK = 0x0002;
export const IMA_FSMAGIC = 0x0004;
export const IMA_UID = 0x0008;
export const IMA_FOWNER = 0x0010;
export const IMA_FSUUID = 0x0020;
export const IMA_INMASK = 0x0040;
export const IMA_EUID = 0x0080;
export const IMA_PCR = 0x0100;
export const IMA_FSNAME = 0x0200;
export const IMA_KEYRINGS = 0x0400;
export const IMA_LABEL = 0x0800;
export const IMA_VALIDATE_ALGOS = 0x1000;
export const IMA_GID = 0x2000;
export const IMA_EGID = 0x4000;
export const IMA_FGROUP = 0x8000;

// iint action cache flags.
export const IMA_MEASURE = 0x00000001;
export const IMA_MEASURED = 0x00000002;
export const IMA_APPRAISE = 0x00000004;
export const IMA_APPRAISED = 0x00000008;
export const IMA_COLLECTED = 0x00000020;
export const IMA_AUDIT = 0x00000040;
export const IMA_AUDITED = 0x00000080;
export const IMA_HASH = 0x00000100;
export const IMA_HASHED = 0x00000200;

// iint flags that come from rules and are no action.
export const IMA_NONACTION_FLAGS = 0xff000000 | 0;
export const IMA_DIGSIG_REQUIRED = 0x01000000;
export const IMA_PERMIT_DIRECTIO = 0x02000000;
export const IMA_NEW_FILE = 0x04000000;
export const IMA_FAIL_UNVERIFIABLE_SIGS = 0x10000000;
export const IMA_MODSIG_ALLOWED = 0x20000000;
export const IMA_CHECK_BLACKLIST = 0x40000000;
export const IMA_VERITY_REQUIRED = 0x80000000 | 0;
export const IMA_NONACTION_RULE_FLAGS = IMA_NONACTION_FLAGS & ~IMA_NEW_FILE;

// iint sub-actions: one pair for each kind of hook.
export const IMA_FILE_APPRAISE = 0x00001000;
export const IMA_FILE_APPRAISED = 0x00002000;
export const IMA_MMAP_APPRAISE = 0x00004000;
export const IMA_MMAP_APPRAISED = 0x00008000;
export const IMA_BPRM_APPRAISE = 0x00010000;
export const IMA_BPRM_APPRAISED = 0x00020000;
export const IMA_READ_APPRAISE = 0x00040000;
export const IMA_READ_APPRAISED = 0x00080000;
export const IMA_CREDS_APPRAISE = 0x00100000;
export const IMA_CREDS_APPRAISED = 0x00200000;
export const IMA_APPRAISE_SUBMASK =
  IMA_FILE_APPRAISE | IMA_MMAP_APPRAISE | IMA_BPRM_APPRAISE | IMA_READ_APPRAISE | IMA_CREDS_APPRAISE;
export const IMA_APPRAISED_SUBMASK =
  IMA_FILE_APPRAISED | IMA_MMAP_APPRAISED | IMA_BPRM_APPRAISED | IMA_READ_APPRAISED | IMA_CREDS_APPRAISED;

export const IMA_DO_MASK = IMA_MEASURE | IMA_APPRAISE | IMA_AUDIT | IMA_HASH | IMA_APPRAISE_SUBMASK;
export const IMA_DONE_MASK =
  IMA_MEASURED | IMA_APPRAISED | IMA_AUDITED | IMA_HASHED | IMA_COLLECTED | IMA_APPRAISED_SUBMASK;

// Bits of iint.atomicFlags.
export const IMA_CHANGE_XATTR = 1 << 0;
export const IMA_UPDATE_XATTR = 1 << 1;
export const IMA_CHANGE_ATTR = 1 << 2;
export const IMA_DIGSIG = 1 << 3;
export const IMA_MAY_EMIT_TOMTOU = 1 << 4;
export const IMA_EMITTED_OPENWRITERS = 1 << 5;

// ima_appraise.
export const IMA_APPRAISE_ENFORCE = 0x01;
export const IMA_APPRAISE_FIX = 0x02;
export const IMA_APPRAISE_LOG = 0x04;
export const IMA_APPRAISE_MODULES = 0x08;
export const IMA_APPRAISE_FIRMWARE = 0x10;
export const IMA_APPRAISE_POLICY = 0x20;
export const IMA_APPRAISE_KEXEC = 0x40;

// enum ima_hooks.
export const NONE = 0;
export const FILE_CHECK = 1;
export const MMAP_CHECK = 2;
export const MMAP_CHECK_REQPROT = 3;
export const BPRM_CHECK = 4;
export const CREDS_CHECK = 5;
export const POST_SETATTR = 6;
export const MODULE_CHECK = 7;
export const FIRMWARE_CHECK = 8;
export const KEXEC_KERNEL_CHECK = 9;
export const KEXEC_INITRAMFS_CHECK = 10;
export const POLICY_CHECK = 11;
export const KEXEC_CMDLINE = 12;
export const KEY_CHECK = 13;
export const CRITICAL_DATA = 14;
export const SETXATTR_CHECK = 15;
export const MAX_CHECK = 16;

/** func_tokens[]: position = value of enum ima_hooks. */
export const FUNC_TOKENS: readonly string[] = [
  'NONE',
  'FILE_CHECK',
  'MMAP_CHECK',
  'MMAP_CHECK_REQPROT',
  'BPRM_CHECK',
  'CREDS_CHECK',
  'POST_SETATTR',
  'MODULE_CHECK',
  'FIRMWARE_CHECK',
  'KEXEC_KERNEL_CHECK',
  'KEXEC_INITRAMFS_CHECK',
  'POLICY_CHECK',
  'KEXEC_CMDLINE',
  'KEY_CHECK',
  'CRITICAL_DATA',
  'SETXATTR_CHECK',
];

/** ima_hooks_measure_str[]: op= of audit records of buffer measurements. */
export const FUNC_MEASURE_STR: readonly string[] = [
  'measuring_none',
  'measuring_file',
  'measuring_mmap',
  'measuring_mmap_reqprot',
  'measuring_bprm',
  'measuring_creds',
  'measuring_post_setattr',
  'measuring_module',
  'measuring_firmware',
  'measuring_kexec_kernel',
  'measuring_kexec_initramfs',
  'measuring_policy',
  'measuring_kexec_cmdline',
  'measuring_key',
  'measuring_critical_data',
  'measuring_setxattr_check',
];

export const ACTION_NAMES: ReadonlyMap<number, string> = new Map([
  [MEASURE, 'measure'],
  [DONT_MEASURE, 'dont_measure'],
  [APPRAISE, 'appraise'],
  [DONT_APPRAISE, 'dont_appraise'],
  [AUDIT, 'audit'],
  [HASH, 'hash'],
  [DONT_HASH, 'dont_hash'],
]);

export const IMA_TEMPLATE_IMA_NAME = 'ima';
export const IMA_TEMPLATE_FIELD_ID_MAX_LEN = 16;
export const IMA_TEMPLATE_NUM_FIELDS_MAX = 15;
export const IMA_EVENT_NAME_LEN_MAX = 255;
export const SHA1_DIGEST_SIZE = 20;
export const BOOT_AGGREGATE_NAME = 'boot_aggregate';

/** Keys are kept for a custom policy this long after ima_init(). */
export const IMA_KEY_QUEUE_TIMEOUT_MS = 300_000;
