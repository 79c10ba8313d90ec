// Reason codes of the TPM room: why a command was refused or changed nothing. `{name}` is filled from the
// event's data.

import { defineReasons } from '../base/reasons.ts';

export const TPM_REASONS = defineReasons({
  'tpm.refused': { text: 'the TPM refused the command: {rcText}', source: 'TCG Part 1, 39.4 Response Code' },
  'tpm.frame': {
    text: 'the command frame is malformed',
    source: 'TCG Part 3, 5.2 Command Header Validation',
  },
  'tpm.mode': { text: 'the TPM does not accept this command in its present mode', source: 'TCG Part 3, 5.3' },
  'tpm.handle': {
    text: 'a handle of the command is not usable',
    source: 'TCG Part 3, 5.4 Handle Area Validation',
  },
  'tpm.session': {
    text: 'the session area of the command is not acceptable',
    source: 'TCG Part 3, 5.5 Session Area Validation',
  },
  'tpm.authorization': {
    text: 'authorization of an entity failed',
    source: 'TCG Part 3, 5.6 Authorization Checks',
  },
  'tpm.decryption': {
    text: 'the encrypted parameter could not be decrypted',
    source: 'TCG Part 3, 5.7 Parameter Decryption',
  },
  'tpm.parameters': {
    text: 'a parameter did not unmarshal',
    source: 'TCG Part 3, 5.8 Parameter Unmarshaling',
  },
  'tpm.action': { text: 'the command actions refused', source: 'TCG Part 3, detailed actions' },
  'tpm.lockout': {
    text: 'the TPM is in dictionary-attack lockout: {failedTries} of {maxTries} failures',
    source: 'TCG Part 1, 19.8',
  },
  'tpm.da_failure': {
    text: 'an authorization failure was counted: {failedTries} of {maxTries}',
    source: 'TCG Part 1, 19.8',
  },
  'tpm.da_healed': { text: 'time healed {count} authorization failures', source: 'TCG Part 1, 19.8.3' },
  'tpm.policy_digest': {
    text: 'the policy digest of the session is {found}, the entity wants {expected}',
    source: 'TCG Part 1, 19.7',
  },
  'tpm.policy_pcr_changed': {
    text: 'a PCR changed after TPM2_PolicyPCR checked it',
    source: 'TCG Part 3, 23.7 TPM2_PolicyPCR',
  },
  'tpm.policy_condition': {
    text: 'a condition that the policy recorded does not hold: {condition}',
    source: 'TCG Part 1, 19.7.6',
  },
  'tpm.auth_value': { text: 'the authorization value does not match', source: 'TCG Part 1, 19.4' },
  'tpm.hmac': { text: 'the HMAC of session {session} does not match', source: 'TCG Part 1, 19.6.5' },
  'tpm.auth_missing': { text: 'handle {handle} needs a session', source: 'TCG Part 3, 5.5' },
  'tpm.auth_unavailable': {
    text: 'the entity allows neither its authValue nor a policy for this command',
    source: 'TCG Part 3, 5.6',
  },
  'tpm.pcr_locality': {
    text: 'PCR {pcr} may not be changed from locality {locality}',
    source: 'TCG Part 3, 22',
  },
  'tpm.pcr_not_allocated': { text: 'the bank has no PCR {pcr}', source: 'TCG Part 3, 22.2' },
  'tpm.state_change_after_shutdown': {
    text: 'a change after TPM2_Shutdown makes the next start disorderly',
    source: 'TCG Part 1, 12.2.4',
  },
  'tpm.failure_mode': { text: 'the TPM entered failure mode: {why}', source: 'TCG Part 1, 10.4' },
});
