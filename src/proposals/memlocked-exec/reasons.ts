// Reason codes of the two designs of 2013 for programs that are signed while others are not.

import { defineReasons } from '../../base/reasons.ts';

const GOYAL = 'proposal: Re: IMA: How to manage user space signing policy with others, Goyal, 2013-03-05';
const ZOHAR = 'proposal: IMA: How to manage user space signing policy with others, Zohar, 2013-03-04';

export const MEMLOCK_REASON = defineReasons({
  'memlock.marked': {
    text: 'the file has a signature, so the loader is told to lock what it maps (LSM_UNSAFE_DIGSIG)',
    source: GOYAL,
  },
  'memlock.unsigned': {
    text: 'the file has no signature and runs like other programs',
    source: GOYAL,
  },
  'memlock.signature_required': {
    text: 'verification is not optional on this kernel, and the file has no signature that verifies',
    source: GOYAL,
  },
  'memlock.locked': {
    text: 'the pages of the program are in memory and stay there',
    source: GOYAL,
  },
  'memlock.raised': {
    text: 'the signature verifies over what is in memory, so the program gets CAP_SIGNED',
    source: GOYAL,
  },
  'memlock.checked_early': {
    text: 'the signature verifies over what is in the file now; nothing keeps the bytes until they run',
    source: 'the order that bprm_post_load is to avoid',
  },
  'memlock.not_verified': {
    text: 'the signature does not fit the bytes, so there is no CAP_SIGNED',
    source: GOYAL,
  },
  'memlock.traced_unsigned': {
    text: 'the program has CAP_SIGNED and whoever wants to trace it has not',
    source: GOYAL,
  },
  'memlock.kexec_refused': {
    text: 'under Secure Boot only a program with CAP_SIGNED loads the next kernel',
    source: GOYAL,
  },
  'memlock.policy_held': {
    text: 'ima_mem_exec is in force; another policy needs ima_mem_exec_disable on the command line',
    source: GOYAL,
  },
  'memlock.policy_replaced': {
    text: 'the rule by which programs get CAP_SIGNED is gone with the policy that was replaced',
    source: GOYAL,
  },
  'memlock.swapped': {
    text: 'memory is short: what is not locked goes to swap, or is read from its file again',
    source: 'mm/vmscan.c shrink_folio_list()',
  },
  'memlock.swap_written': {
    text: 'somebody wrote to the swap device, and the program will read that back as its own memory',
    source: GOYAL,
  },
  'secureboot_xattr.flagged': {
    text: 'the label says "secure boot", so the record of the inode gets the flag IMA_SB',
    source: ZOHAR,
  },
});
