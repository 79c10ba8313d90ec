// enum integrity_status: what IMA and EVM say about a file or its metadata. The numbers are the kernel's,
// because the iint cache keeps them and the sign of a result decides.

export const INTEGRITY_PASS = 0;
export const INTEGRITY_PASS_IMMUTABLE = 1;
export const INTEGRITY_FAIL = 2;
export const INTEGRITY_FAIL_IMMUTABLE = 3;
export const INTEGRITY_NOLABEL = 4;
export const INTEGRITY_NOXATTRS = 5;
export const INTEGRITY_UNKNOWN = 6;

export type IntegrityStatus = 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** Texts of integrity_status_msg[], as EVM's audit records print them. */
export const INTEGRITY_STATUS_MSG: readonly string[] = [
  'pass',
  'pass_immutable',
  'fail',
  'fail_immutable',
  'no_label',
  'no_xattrs',
  'unknown',
];
