// Reason codes of the IPE room: why a policy text was refused, what a policy's life allowed, what an
// evaluation decided.

import { defineReasons } from '../base/reasons.ts';

const PARSER = 'security/ipe/policy_parser.c';
const POLICY = 'security/ipe/policy.c';

export const IPE_REASON = defineReasons({
  'ipe.parse_empty': { text: 'the policy text is empty', source: `${PARSER} ipe_parse_policy()` },
  'ipe.parse_no_header': {
    text: 'no line holds policy_name and policy_version',
    source: `${PARSER} ipe_parse_policy()`,
  },
  'ipe.parse_header': {
    text: 'the header must be policy_name= and policy_version=, in this order and nothing else',
    source: `${PARSER} parse_header()`,
  },
  'ipe.parse_version_parts': {
    text: 'a version has exactly three parts',
    source: `${PARSER} parse_version()`,
  },
  'ipe.parse_version_number': {
    text: 'a part of the version is no decimal number',
    source: `${PARSER} parse_version()`,
  },
  'ipe.parse_version_range': {
    text: 'a part of the version is above 65535',
    source: `${PARSER} parse_version()`,
  },
  'ipe.parse_action': {
    text: 'the last word of a rule must be action=ALLOW or action=DENY',
    source: `${PARSER} parse_rule()`,
  },
  'ipe.parse_operation': {
    text: 'a rule begins with a known op=, or with DEFAULT',
    source: `${PARSER} parse_operation()`,
  },
  'ipe.parse_property': {
    text: 'the word is no property with a value that it can have',
    source: `${PARSER} parse_property()`,
  },
  'ipe.parse_digest_colon': {
    text: 'a digest needs an algorithm and a colon before its digits',
    source: 'security/ipe/digest.c ipe_digest_parse()',
  },
  'ipe.parse_digest_hex': {
    text: 'the digest has an odd number of digits or a character that is no digit',
    source: 'security/ipe/digest.c ipe_digest_parse()',
  },
  'ipe.parse_default_property': {
    text: 'a DEFAULT line cannot have properties',
    source: `${PARSER} parse_rule()`,
  },
  'ipe.parse_default_twice': {
    text: 'the same default is given twice',
    source: `${PARSER} parse_rule()`,
  },
  'ipe.parse_default_missing': {
    text: 'without a global DEFAULT every operation needs a default of its own',
    source: `${PARSER} validate_policy()`,
  },
  'ipe.not_capable': {
    text: 'whoever opened the node had no CAP_MAC_ADMIN in the initial user namespace',
    source: 'security/ipe/policy_fs.c file_ns_capable()',
  },
  'ipe.bad_bool': { text: 'the node takes a boolean', source: 'lib/kstrtox.c kstrtobool()' },
  'ipe.false_refused': {
    text: 'the node can only be switched on',
    source: 'security/ipe/policy_fs.c setactive(), delete_policy()',
  },
  'ipe.policy_gone': {
    text: 'the policy of this directory was deleted',
    source: 'security/ipe/policy_fs.c',
  },
  'ipe.policy_unsigned': {
    text: 'the boot policy has no signed message',
    source: 'security/ipe/policy_fs.c read_pkcs7()',
  },
  'ipe.signature_refused': {
    text: 'no trusted keyring accepts the signature of the policy ({errno})',
    source: `${POLICY} ipe_new_policy()`,
  },
  'ipe.policy_exists': {
    text: 'a policy of that name is loaded',
    source: 'security/ipe/policy_fs.c ipe_new_policyfs_node()',
  },
  'ipe.policy_bad_name': {
    text: 'the name of the policy cannot be a directory name',
    source: 'fs/namei.c lookup_one_len()',
  },
  'ipe.policy_loaded': { text: 'the policy is loaded, not active', source: `${POLICY} ipe_new_policy()` },
  'ipe.update_other_name': {
    text: 'an update must keep the name of the policy',
    source: `${POLICY} ipe_update_policy()`,
  },
  'ipe.update_stale': {
    text: 'an update must have a higher version than {version}',
    source: `${POLICY} ipe_update_policy()`,
  },
  'ipe.policy_updated': {
    text: 'the directory holds the new text, in force at once when it was the active policy',
    source: `${POLICY} ipe_update_policy()`,
  },
  'ipe.activate_lower': {
    text: 'the active policy has the higher version {version}',
    source: `${POLICY} ipe_set_active_pol()`,
  },
  'ipe.already_active': { text: 'the policy is active already', source: `${POLICY} ipe_set_active_pol()` },
  'ipe.policy_activated': {
    text: 'the policy decides from the next event on',
    source: `${POLICY} ipe_set_active_pol()`,
  },
  'ipe.delete_active': {
    text: 'the active policy cannot be deleted',
    source: 'security/ipe/policy_fs.c delete_policy()',
  },
  'ipe.policy_deleted': {
    text: 'the policy is forgotten, its version too',
    source: 'security/ipe/policy_fs.c delete_policy()',
  },
  'ipe.boot_policy_broken': {
    text: 'the compiled-in policy does not parse, nothing is active and everything is allowed',
    source: 'security/ipe/ipe.c ipe_init()',
  },
  'ipe.enforce_changed': { text: 'enforcing is now {enforce}', source: 'security/ipe/fs.c setenforce()' },
  'ipe.initramfs_marked': {
    text: 'files of this file system are boot verified',
    source: 'security/ipe/hooks.c ipe_unpack_initramfs()',
  },
  'ipe.no_policy': {
    text: 'no policy is active, so everything is allowed',
    source: 'security/ipe/eval.c ipe_evaluate_event()',
  },
  'ipe.already_executable': {
    text: 'the mapping was executable before, so mprotect is not evaluated',
    source: 'security/ipe/hooks.c ipe_file_mprotect()',
  },
  'ipe.allowed': {
    text: 'allowed by `{rule}`',
    source: 'security/ipe/eval.c ipe_evaluate_event()',
  },
  'ipe.denied': {
    text: 'denied by `{rule}`',
    source: 'security/ipe/eval.c ipe_evaluate_event()',
  },
  'ipe.denied_permissive': {
    text: 'denied by `{rule}`, let through because enforcing is off',
    source: 'security/ipe/eval.c ipe_evaluate_event()',
  },
  'ipe.unknown_operation': {
    text: 'the kernel has no operation for this read, the global default decides',
    source: 'security/ipe/hooks.c ipe_kernel_read_file()',
  },
});
