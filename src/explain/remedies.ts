// What a reader can do about a refusal, by reason code: the way to allow the access, or to have it
// measured. Codes without an entry have no remedy in the machine (or it is the plain opposite of their
// sentence).

const REMEDIES: { readonly [code: string]: string } = {
  'ima.missing_hash':
    'store a reference value in security.ima (a hash: evmctl ima_hash; a signature: evmctl ima_sign), or boot with ima_appraise=fix and open the file once',
  'ima.invalid_hash':
    'put the content back that the label was made for, or label the file anew (evmctl ima_hash, ima_sign)',
  'ima.signature_required':
    'sign the file (evmctl ima_sign), or take the demand for a signature out of the rule',
  'ima.verity_signature_required':
    'enable fs-verity on the file and sign its digest (evmctl sign_hash, type 6), or take the demand out of the rule',
  'ima.invalid_signature':
    'load the certificate of the signer into the .ima keyring, or sign the file again with a key that is there',
  'ima.signature_unsupported': 'sign with an algorithm that the kernel has',
  'ima.signature_version':
    'make the signature in the form that its type demands (version 2 for type 3, 3 for type 6)',
  'ima.unknown_data': 'write a label of a known type (1 to 6) to security.ima',
  'ima.evm_missing': 'give the file a security.evm (evmctl sign or hmac), or boot without EVM keys',
  'ima.evm_invalid':
    'put the metadata back that security.evm was made for, or make it anew; with an HMAC only the kernel can do so',
  'ima.denied_hash_algorithm': 'label the file with an algorithm that appraise_algos= names',
  'ima.signed_immutable': 'write a new file, sign it, and rename it over the old one',
  'ima.mmapped_writers': 'unmap the writable shared mapping first',
  'ima.blacklisted': 'nothing lifts a blacklisted digest before the next boot',
  'ima.mprotect_denied': 'map the file executable from the beginning, so that it is appraised then',
  'ima.load_data_denied': 'give the kernel a file (finit_module, kexec_file_load) instead of a buffer',
  'ima.read_empty_denied': 'give the kernel a file with content',
  'ima.label_no_capability': 'do it as a task with CAP_SYS_ADMIN',
  'ima.label_malformed': 'begin the value with a type byte from 1 to 6',
  'ima.label_algorithm': 'use an algorithm that the policy allows for setxattr',
  'ima.not_in_policy': 'a rule that matches this access would change that',
  'ima.no_policy': 'load a policy (ima_policy= on the command line, or the securityfs node)',
  'ima.policy_bad_rule': 'kisim lint --kind ima shows what is wrong with the rule',
  'ima.policy_busy': 'one writer at a time: close the other descriptor',
  'ima.policy_signature_required': 'write the path of a signed policy file to the node',
  'ima.policy_no_newline': 'end the last line with a newline',
  'ima.open_writers': 'close all writers before the file is read under a measure rule',
  'ima.tomtou': 'do not write to a file while somebody who was measured has it open',
  'evm.refused':
    'a file under a portable signature stays as it is: replace it by one that is signed anew; for others make security.evm valid first, or allow metadata writes (securityfs evm, bit 2)',
  'evm.userspace_hmac': 'write a signature (type 3 or 5); an HMAC is made by the kernel alone',
  'evm.no_key': 'load evm-key into the user keyring of root before writing to securityfs evm',
  'ipe.denied':
    'add a rule with action=ALLOW before it that the file satisfies, or give the file the property that a rule asks for',
  'ipe.not_capable': 'open the node as a task with CAP_MAC_ADMIN',
  'ipe.update_stale': 'raise policy_version',
  'ipe.delete_active': 'activate another policy first',
  'ipe.signature_refused': 'sign the policy with a key of the builtin or secondary trusted keyring',
  'kernel.exec_text_busy': 'close all writers of the program',
  'kernel.exec_noexec_mount': 'mount without noexec, or run it from another place',
  'kernel.module_sig_rejected': 'sign the module with a trusted key, or boot without module.sig_enforce',
  'kernel.read_writer': 'close all writers of the file',
  'kernel.not_capable': 'do it as a task that has the capability',
  'tpm.pcr_locality':
    'only the localities that the PC Client profile names may do that; a program has locality 0',
  'tpm.lockout':
    'wait for the recovery time, or reset with the lockout authorization (TPM2_DictionaryAttackLockReset)',
};

/** What to do about a reason, or undefined. */
export function remedyFor(code: string): string | undefined {
  return REMEDIES[code];
}

/** All codes with a remedy, for tests: each must exist. */
export const REMEDY_CODES: readonly string[] = Object.keys(REMEDIES);
