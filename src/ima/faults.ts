// The functions of IMA that can be made to fail, by the kernel's names. Each stands for the allocation (or
// the device call) inside of that function; what follows from the failure is the caller's own code.

import type { FaultSite } from '../base/faults.ts';

const declare = <const T extends { readonly [site: string]: FaultSite }>(sites: T): T => sites;

/**
 * @kernel security/integrity/ima/ima_api.c ima_alloc_init_template()
 * @kernel security/integrity/ima/ima_queue.c ima_add_digest_entry()
 */
export const IMA_FAULT_SITES = declare({
  ima_inode_get: { text: 'the record of an inode cannot be allocated', result: 'ENOMEM' },
  ima_read_xattr: { text: 'the value of security.ima cannot be copied', result: 'ENOMEM' },
  ima_calc_file_hash: { text: 'the buffer to read the file with cannot be allocated', result: 'ENOMEM' },
  ima_collect_measurement: { text: 'the digest of a file cannot be stored', result: 'ENOMEM' },
  ima_alloc_init_template: { text: 'an entry cannot be allocated', result: 'ENOMEM' },
  ima_calc_field_array_hash: { text: 'the digest of an entry cannot be computed', result: 'ENOMEM' },
  ima_add_digest_entry: { text: 'the link of an entry in the list cannot be allocated', result: 'ENOMEM' },
  ima_audit_measurement: { text: 'the text of an audit rule cannot be allocated', result: 'ENOMEM' },
  ima_parse_add_rule: { text: 'a rule of a policy cannot be allocated', result: 'ENOMEM' },
  ima_alloc_key_entry: { text: 'a key cannot be queued before the policy is there', result: 'ENOMEM' },
  tpm_pcr_extend: { text: 'the TPM does not extend and answers with a response code', result: 'rc' },
});

export type ImaFaultSite = keyof typeof IMA_FAULT_SITES;
