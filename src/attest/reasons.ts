// Why a verdict is what it is: one code for each thing a verifier looks at. The codes are stable names for
// scripts; the sentence of a finding says more, with values.

import { defineReasons } from '../base/reasons.ts';

const VERIFIER = 'verifier';

export const A = defineReasons({
  'attest.quote_type': { text: 'the attested structure is no quote', source: 'Part 2, 10.12.8 TPMS_ATTEST' },
  'attest.quote_signature': {
    text: 'the signature over the quote is not by the attestation key',
    source: 'Part 3, 18.4 TPM2_Quote',
  },
  'attest.key_not_restricted': {
    text: 'the attestation key signs anything, so the quote proves nothing',
    source: 'Part 1, 25.1.5 Restricted',
  },
  'attest.nonce': {
    text: 'the quote was made for another nonce: it is old or for somebody else',
    source: 'Part 3, 18.4 TPM2_Quote',
  },
  'attest.nonce_unchecked': {
    text: 'no nonce was given, so the quote may be an old one',
    source: 'Part 3, 18.4 TPM2_Quote',
  },
  'attest.quote_digest': {
    text: 'the register values are not those that were quoted',
    source: 'Part 2, 10.12.1 TPMS_QUOTE_INFO',
  },
  'attest.quote_selection': {
    text: 'the quote does not cover a register that the list is extended into',
    source: 'Part 2, 10.12.1 TPMS_QUOTE_INFO',
  },
  'attest.clock': {
    text: 'the clock of the TPM ran backwards since the last visit: the quote is older than it',
    source: 'Part 1, 36.3 Clock',
  },
  'attest.reset_count': {
    text: 'the reset counter is lower than at the last visit',
    source: 'Part 1, 36.5 resetCount',
  },
  'attest.rebooted': {
    text: 'the machine was reset since the last visit',
    source: 'Part 1, 36.5 resetCount',
  },
  'attest.restarted': {
    text: 'the TPM was restarted or resumed since the last visit',
    source: 'Part 1, 36.6 restartCount',
  },
  'attest.other_key': {
    text: 'the attestation key is not the one of the last visit',
    source: VERIFIER,
  },
  'attest.firmware_version': {
    text: 'the firmware of the TPM changed since the last visit',
    source: 'Part 2, 10.12.8 TPMS_ATTEST',
  },
  'attest.eventlog_replay': {
    text: 'the event log does not lead to the value of a register',
    source: 'PC Client Platform Firmware Profile, 10.4 Event Logging',
  },
  'attest.eventlog_longer': {
    text: 'the event log goes on after the value of a register',
    source: 'PC Client Platform Firmware Profile, 10.4 Event Logging',
  },
  'attest.eventlog_digest': {
    text: "the digest of a record is not that of the record's data",
    source: 'PC Client Platform Firmware Profile, 10.4 Event Logging',
  },
  'attest.eventlog_error': {
    text: 'firmware met an error and said so in a separator',
    source: 'PC Client Platform Firmware Profile, 3.3.2.2 Error Conditions',
  },
  'attest.secure_boot': {
    text: 'the event log does not say that Secure Boot was on',
    source: 'PC Client Platform Firmware Profile, 3.3.4.8 PCR[7]',
  },
  'attest.boot_aggregate': {
    text: 'boot_aggregate is not the digest of the boot registers',
    source: 'security/integrity/ima/ima_crypto.c ima_calc_boot_aggregate()',
  },
  'attest.boot_aggregate_golden': {
    text: 'boot_aggregate is none of the values that the policy allows',
    source: VERIFIER,
  },
  'attest.boot_aggregate_missing': {
    text: 'the list does not begin with boot_aggregate',
    source: 'security/integrity/ima/ima_init.c ima_add_boot_aggregate()',
  },
  'attest.boot_aggregate_unchecked': {
    text: 'neither registers nor an event log tell what boot_aggregate should be',
    source: VERIFIER,
  },
  'attest.register_golden': {
    text: 'a register has a value that the policy does not allow',
    source: VERIFIER,
  },
  'attest.list_replay': {
    text: 'no part of the list leads to the value of the register',
    source: 'security/integrity/ima/ima_queue.c ima_add_template_entry()',
  },
  'attest.list_longer': {
    text: 'the list goes on after the value of the register; the records after it are not vouched for',
    source: 'security/integrity/ima/ima_queue.c ima_add_template_entry()',
  },
  'attest.list_padded': {
    text: 'the bank holds sha1 digests padded with zeros, as kernels before 5.8 extend it',
    source: 'security/integrity/ima/ima_queue.c ima_pcr_extend()',
  },
  'attest.list_history': {
    text: 'the list does not pass through the register values of the last visit',
    source: VERIFIER,
  },
  'attest.record_digest': {
    text: "the digest of a record is not that of the record's data",
    source: 'security/integrity/ima/ima_crypto.c ima_calc_field_array_hash()',
  },
  'attest.violation': {
    text: 'a measurement was not certain: the file was open for writing at the time',
    source: 'security/integrity/ima/ima_main.c ima_rdwr_violation_check()',
  },
  'attest.unknown_template': {
    text: 'the record has a template that is not known',
    source: 'security/integrity/ima/ima_template.c lookup_template_desc()',
  },
  'attest.malformed_record': {
    text: "the record's fields are not those of its template",
    source: 'security/integrity/ima/ima_template_lib.c ima_parse_buf()',
  },
  'attest.wrong_digest': { text: 'the file has a digest that the policy does not allow', source: VERIFIER },
  'attest.unlisted': { text: 'the policy knows nothing about the file', source: VERIFIER },
  'attest.unsigned': { text: 'the policy demands a signature and the record has none', source: VERIFIER },
  'attest.untrusted_signature': {
    text: 'the signature is by none of the trusted keys',
    source: 'security/integrity/digsig_asymmetric.c asymmetric_verify()',
  },
  'attest.bad_signature': {
    text: 'the signature does not belong to the digest of the file',
    source: 'security/integrity/digsig_asymmetric.c asymmetric_verify()',
  },
  'attest.required': { text: 'the policy demands something that was not given', source: VERIFIER },
  'attest.unanchored': {
    text: 'neither a quote nor register values were given: nothing vouches for the list',
    source: VERIFIER,
  },
  'attest.unauthenticated': {
    text: 'register values were given without a quote: who gave them vouches for them',
    source: VERIFIER,
  },
});

export type AttestCode = keyof typeof A;
