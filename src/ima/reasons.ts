// Reason codes of IMA: every branch that skips, measures, denies or forgets names one of them.

import { defineReasons } from '../base/reasons.ts';

const MAIN = 'security/integrity/ima/ima_main.c process_measurement()';
const APPRAISE = 'security/integrity/ima/ima_appraise.c ima_appraise_measurement()';
const VERIFY = 'security/integrity/ima/ima_appraise.c xattr_verify()';

export const R = defineReasons({
  'ima.no_policy': { text: 'no rule of the active policy asks for anything', source: MAIN },
  'ima.not_regular': { text: 'only regular files are measured and appraised', source: MAIN },
  'ima.not_in_policy': { text: 'no rule matches this access', source: MAIN },
  'ima.no_record': {
    text: 'there is no memory for the record of this inode: nothing is measured or appraised',
    source: MAIN,
  },
  'ima.nothing_left': {
    text: 'everything the rules ask for was done before and is still valid',
    source: MAIN,
  },
  'ima.evaluated': { text: 'the rules ask for work on this file', source: MAIN },
  'ima.cached_denial': { text: 'the remembered verdict of this hook is not a pass', source: MAIN },
  'ima.allowed': { text: 'nothing stands against the access', source: MAIN },
  'ima.allowed_not_enforced': {
    text: 'appraisal failed and the mode does not enforce it',
    source: MAIN,
  },
  'ima.violation_only': { text: 'no rule matches a writer, only violations were looked for', source: MAIN },
  'ima.change_attr': {
    text: 'mode or owner changed since the last check: flags of appraisal rules are forgotten',
    source: MAIN,
  },
  'ima.change_xattr': {
    text: 'a label changed since the last check: everything is done again',
    source: MAIN,
  },
  'ima.unverifiable_fs': {
    text: 'the file system cannot tell when a file changes: everything is done again',
    source: MAIN,
  },
  'ima.backing_changed': {
    text: 'the inode below the overlay changed: everything is done again',
    source: MAIN,
  },
  'ima.metadata_changed': {
    text: 'the metadata below the overlay may have changed: it is appraised again',
    source: MAIN,
  },
  'ima.pcr_measured': { text: 'the file was measured into this register before', source: MAIN },
  'ima.hash_rule': { text: 'a hash rule only makes the last writer label the file', source: MAIN },
  'ima.modsig_again': {
    text: 'the appended signature goes into the list although the file is in it already',
    source: MAIN,
  },
  'ima.directio_permitted': {
    text: 'permit_directio lets an unbuffered open pass whatever the result was',
    source: MAIN,
  },
  'ima.denied_hash_algorithm': {
    text: 'the label uses an algorithm that appraise_algos does not name',
    source: MAIN,
  },
  'ima.signed_immutable': { text: 'a signed file cannot be opened for writing', source: MAIN },
  'ima.mmapped_writers': {
    text: 'the file is mapped shared and writable elsewhere',
    source: 'security/integrity/ima/ima_main.c mmap_violation_check()',
  },
  'ima.tomtou': {
    text: 'a measured file that is open for reading is opened for writing',
    source: 'security/integrity/ima/ima_main.c ima_rdwr_violation_check()',
  },
  'ima.open_writers': {
    text: 'a file to be measured is open for writing',
    source: 'security/integrity/ima/ima_main.c ima_rdwr_violation_check()',
  },
  'ima.stored': {
    text: 'the entry was added to the list',
    source: 'security/integrity/ima/ima_queue.c ima_add_template_entry()',
  },
  'ima.violation_stored': {
    text: 'a violation was added to the list and the register no longer matches it',
    source: 'security/integrity/ima/ima_api.c ima_add_violation()',
  },
  'ima.duplicate': {
    text: 'the list has this entry already',
    source: 'security/integrity/ima/ima_queue.c ima_add_template_entry()',
  },
  'ima.entry_failed': {
    text: 'a field of the template could not be filled: nothing is recorded',
    source: 'security/integrity/ima/ima_api.c ima_store_measurement()',
  },
  'ima.suspended': {
    text: 'the machine is going down: nothing is measured any more',
    source: 'security/integrity/ima/ima_queue.c ima_add_template_entry()',
  },
  'ima.tpm_error': {
    text: 'the TPM did not take the digests: the entry stays in the list',
    source: 'security/integrity/ima/ima_queue.c ima_pcr_extend()',
  },
  'ima.collected': {
    text: 'the digest of the content was computed',
    source: 'security/integrity/ima/ima_api.c ima_collect_measurement()',
  },
  'ima.collected_before': {
    text: 'the digest collected earlier is used, whatever algorithm it has',
    source: 'security/integrity/ima/ima_api.c ima_collect_measurement()',
  },
  'ima.collect_zero': {
    text: 'the content could not be read: the digest is zero and is measured so',
    source: 'security/integrity/ima/ima_api.c ima_collect_measurement()',
  },
  'ima.collect_failed': {
    text: 'no digest could be had: neither measured nor appraised',
    source: 'security/integrity/ima/ima_api.c ima_collect_measurement()',
  },
  'ima.appraise_pass': { text: 'the label is what the content has', source: APPRAISE },
  'ima.new_file': { text: 'a new file may be without a label', source: APPRAISE },
  'ima.new_empty_file': { text: 'an empty new file may wait for its signature', source: APPRAISE },
  'ima.no_xattr_support': { text: 'the file system has no labels', source: APPRAISE },
  'ima.xattr_unreadable': { text: 'the label could not be read', source: APPRAISE },
  'ima.missing_hash': { text: 'the file has no security.ima', source: APPRAISE },
  'ima.signature_required': { text: 'the rule wants a signature', source: VERIFY },
  'ima.verity_signature_required': {
    text: 'the rule wants a signature of the fs-verity digest',
    source: VERIFY,
  },
  'ima.evm_missing': { text: 'the file has no valid security.evm', source: APPRAISE },
  'ima.evm_invalid': { text: 'security.evm does not match the metadata', source: APPRAISE },
  'ima.invalid_hash': { text: 'the hash in security.ima is not that of the content', source: VERIFY },
  'ima.invalid_signature': {
    text: 'the signature does not verify with a key of the keyring',
    source: VERIFY,
  },
  'ima.signature_version': { text: 'the signature has a version that does not fit its type', source: VERIFY },
  'ima.signature_unsupported': { text: 'no code verifies this kind of signature', source: VERIFY },
  'ima.unknown_data': { text: 'security.ima is of a type that IMA does not know', source: VERIFY },
  'ima.modsig_verified': {
    text: 'the appended signature verifies',
    source: 'security/integrity/ima/ima_appraise.c modsig_verify()',
  },
  'ima.unverifiable_signature': {
    text: 'signatures on this file system cannot be relied on',
    source: APPRAISE,
  },
  'ima.fixed': {
    text: 'fix mode wrote a new label',
    source: 'security/integrity/ima/ima_appraise.c ima_fix_xattr()',
  },
  'ima.blacklisted': {
    text: 'the digest is on the kernel blacklist',
    source: 'security/integrity/ima/ima_appraise.c ima_check_blacklist()',
  },
  'ima.mprotect_denied': {
    text: 'a mapping that was not executable cannot become it where appraisal rules cover mappings',
    source: 'security/integrity/ima/ima_main.c ima_file_mprotect()',
  },
  'ima.mprotect_unmeasured': {
    text: 'a mapping became executable that only a measure rule covers: it is not measured',
    source: 'security/integrity/ima/ima_main.c ima_file_mprotect()',
  },
  'ima.last_writer_changed': {
    text: 'the last writer left a changed file: everything is done again at the next access',
    source: 'security/integrity/ima/ima_main.c ima_check_last_writer()',
  },
  'ima.label_updated': {
    text: 'the last writer wrote the new hash into security.ima',
    source: 'security/integrity/ima/ima_appraise.c ima_update_xattr()',
  },
  'ima.label_kept': {
    text: 'the label is a signature, or the file never passed appraisal: it is left as it is',
    source: 'security/integrity/ima/ima_appraise.c ima_update_xattr()',
  },
  'ima.truncated': {
    text: 'a truncation makes everything be done again',
    source: 'security/integrity/ima/ima_main.c ima_reset_action_flags()',
  },
  'ima.setattr': {
    text: 'mode or owner changes: appraisal is done again at the next access',
    source: 'security/integrity/ima/ima_appraise.c ima_inode_post_setattr()',
  },
  'ima.label_changed': {
    text: 'a label changes: everything is done again at the next access',
    source: 'security/integrity/ima/ima_appraise.c ima_reset_appraise_flags()',
  },
  'ima.label_no_capability': {
    text: 'only CAP_SYS_ADMIN changes security.ima',
    source: 'security/integrity/ima/ima_appraise.c ima_protect_xattr()',
  },
  'ima.label_malformed': {
    text: 'security.ima must begin with a known type',
    source: 'security/integrity/ima/ima_appraise.c ima_inode_setxattr()',
  },
  'ima.label_algorithm': {
    text: 'the hash algorithm of the new label is not allowed',
    source: 'security/integrity/ima/ima_appraise.c validate_hash_algo()',
  },
  'ima.marked_new': {
    text: 'a file made by mknod may be opened without a label until its last writer is gone',
    source: 'security/integrity/ima/ima_main.c ima_post_path_mknod()',
  },
  'ima.marked_tmpfile': {
    text: 'a file made by O_TMPFILE gets its label when its last writer is gone',
    source: 'security/integrity/ima/ima_main.c ima_post_create_tmpfile()',
  },
  'ima.load_data_denied': {
    text: 'data without a file cannot be appraised, and the policy wants it appraised',
    source: 'security/integrity/ima/ima_main.c ima_load_data()',
  },
  'ima.read_empty_denied': {
    text: 'there is nothing to appraise',
    source: 'security/integrity/ima/ima_main.c ima_post_read_file()',
  },
  'ima.buffer_not_in_policy': {
    text: 'no rule measures this buffer',
    source: 'security/integrity/ima/ima_main.c process_buffer_measurement()',
  },
  'ima.buffer_measured': {
    text: 'a rule measures this buffer',
    source: 'security/integrity/ima/ima_main.c process_buffer_measurement()',
  },
  'ima.key_queued': {
    text: 'keys wait for the first custom policy',
    source: 'security/integrity/ima/ima_queue_keys.c ima_queue_key()',
  },
  'ima.key_queue_dropped': {
    text: 'no custom policy came in time: the waiting keys are not measured',
    source: 'security/integrity/ima/ima_queue_keys.c ima_keys_handler()',
  },
  'ima.policy_busy': {
    text: 'another writer has the policy node open',
    source: 'security/integrity/ima/ima_fs.c ima_open_policy()',
  },
  'ima.policy_not_readable': {
    text: 'the policy node cannot be opened for reading like this',
    source: 'security/integrity/ima/ima_fs.c ima_open_policy()',
  },
  'ima.policy_offset': {
    text: 'the policy is written at offset 0 only',
    source: 'security/integrity/ima/ima_fs.c ima_write_policy()',
  },
  'ima.policy_signature_required': {
    text: 'only a signed policy file, given by its path, is accepted',
    source: 'security/integrity/ima/ima_fs.c ima_write_policy()',
  },
  'ima.policy_unreadable_file': {
    text: 'the policy file could not be read',
    source: 'security/integrity/ima/ima_fs.c ima_read_policy()',
  },
  'ima.policy_bad_rule': {
    text: 'a rule is not valid: the whole upload will be dropped',
    source: 'security/integrity/ima/ima_policy.c ima_parse_add_rule()',
  },
  'ima.policy_no_newline': {
    text: 'the last line of a policy file must end in a newline',
    source: 'security/integrity/ima/ima_fs.c ima_read_policy()',
  },
  'ima.policy_accepted': {
    text: 'the new rules are in force behind those loaded before',
    source: 'security/integrity/ima/ima_policy.c ima_update_policy()',
  },
  'ima.policy_dropped': {
    text: 'the upload had an error or no rule: nothing of it is kept',
    source: 'security/integrity/ima/ima_fs.c ima_release_policy()',
  },
  'ima.restore_failed': {
    text: 'the list of the kernel before this one could not be read to its end',
    source: 'security/integrity/ima/ima_template.c ima_restore_measurement_list()',
  },
  'ima.restored': {
    text: 'the list of the kernel before this one was taken over',
    source: 'security/integrity/ima/ima_kexec.c ima_load_kexec_buffer()',
  },
  'ima.init_failed': {
    text: 'IMA could not start and stays out of everything',
    source: 'security/integrity/ima/ima_init.c ima_init()',
  },
  'ima.started': { text: 'IMA is up', source: 'security/integrity/ima/ima_init.c ima_init()' },
});

export type ImaReason = keyof typeof R;
