// The bits of IMA's record of an inode as words: what was done (IMA_MEASURED), what the rules asked for
// (IMA_APPRAISE), and the atomic bits beside them. Names are the kernel's own.

import * as C from '../ima/constants.ts';
import type { Iint } from '../ima/types.ts';

/** Bits of iint->flags. */
const FLAG_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [C.IMA_MEASURE, 'IMA_MEASURE'],
  [C.IMA_MEASURED, 'IMA_MEASURED'],
  [C.IMA_APPRAISE, 'IMA_APPRAISE'],
  [C.IMA_APPRAISED, 'IMA_APPRAISED'],
  [C.IMA_COLLECTED, 'IMA_COLLECTED'],
  [C.IMA_AUDIT, 'IMA_AUDIT'],
  [C.IMA_AUDITED, 'IMA_AUDITED'],
  [C.IMA_HASH, 'IMA_HASH'],
  [C.IMA_HASHED, 'IMA_HASHED'],
  [C.IMA_FILE_APPRAISE, 'IMA_FILE_APPRAISE'],
  [C.IMA_FILE_APPRAISED, 'IMA_FILE_APPRAISED'],
  [C.IMA_MMAP_APPRAISE, 'IMA_MMAP_APPRAISE'],
  [C.IMA_MMAP_APPRAISED, 'IMA_MMAP_APPRAISED'],
  [C.IMA_BPRM_APPRAISE, 'IMA_BPRM_APPRAISE'],
  [C.IMA_BPRM_APPRAISED, 'IMA_BPRM_APPRAISED'],
  [C.IMA_READ_APPRAISE, 'IMA_READ_APPRAISE'],
  [C.IMA_READ_APPRAISED, 'IMA_READ_APPRAISED'],
  [C.IMA_CREDS_APPRAISE, 'IMA_CREDS_APPRAISE'],
  [C.IMA_CREDS_APPRAISED, 'IMA_CREDS_APPRAISED'],
  [C.IMA_DIGSIG_REQUIRED, 'IMA_DIGSIG_REQUIRED'],
  [C.IMA_PERMIT_DIRECTIO, 'IMA_PERMIT_DIRECTIO'],
  [C.IMA_NEW_FILE, 'IMA_NEW_FILE'],
  [C.IMA_FAIL_UNVERIFIABLE_SIGS, 'IMA_FAIL_UNVERIFIABLE_SIGS'],
  [C.IMA_MODSIG_ALLOWED, 'IMA_MODSIG_ALLOWED'],
  [C.IMA_CHECK_BLACKLIST, 'IMA_CHECK_BLACKLIST'],
  [C.IMA_VERITY_REQUIRED, 'IMA_VERITY_REQUIRED'],
];

/** Bits of iint->atomic_flags. */
const ATOMIC_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [C.IMA_CHANGE_XATTR, 'IMA_CHANGE_XATTR'],
  [C.IMA_UPDATE_XATTR, 'IMA_UPDATE_XATTR'],
  [C.IMA_CHANGE_ATTR, 'IMA_CHANGE_ATTR'],
  [C.IMA_DIGSIG, 'IMA_DIGSIG'],
  [C.IMA_MAY_EMIT_TOMTOU, 'IMA_MAY_EMIT_TOMTOU'],
  [C.IMA_EMITTED_OPENWRITERS, 'IMA_EMITTED_OPENWRITERS'],
];

/** Every name that a flag can have. */
export const IINT_FLAG_NAMES: readonly string[] = [...FLAG_NAMES, ...ATOMIC_NAMES].map(([, name]) => name);

const namesIn = (table: typeof FLAG_NAMES, bits: number): string[] =>
  table.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);

/** Names of the set bits of iint->flags. */
export function flagNames(flags: number): readonly string[] {
  return namesIn(FLAG_NAMES, flags);
}

/** Names of the set bits of iint->atomic_flags. */
export function atomicFlagNames(flags: number): readonly string[] {
  return namesIn(ATOMIC_NAMES, flags);
}

export function iintFlagNames(iint: Pick<Iint, 'flags' | 'atomicFlags'>): readonly string[] {
  return [...flagNames(iint.flags), ...atomicFlagNames(iint.atomicFlags)];
}
