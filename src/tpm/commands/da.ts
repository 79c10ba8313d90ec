// Part 3, chapter 25: dictionary-attack parameters and reset.

import { command, user } from '../command.ts';
import { settleLockout } from '../lockout.ts';
import { Uint32 } from '../marshal.ts';
import { TpmiRhLockout } from '../structures.ts';

/** @tcg Part 3, 25.2 TPM2_DictionaryAttackLockReset */
export const dictionaryAttackLockReset = command({
  code: 0x139,
  name: 'DictionaryAttackLockReset',
  handles: { lockHandle: user(TpmiRhLockout) },
  parameters: {},
  response: {},
  nv: true,
  run(tpm) {
    tpm.setNv({ failedTries: 0 });
    settleLockout(tpm);
    return {};
  },
});

/** @tcg Part 3, 25.3 TPM2_DictionaryAttackParameters */
export const dictionaryAttackParameters = command({
  code: 0x13a,
  name: 'DictionaryAttackParameters',
  handles: { lockHandle: user(TpmiRhLockout) },
  parameters: { newMaxTries: Uint32, newRecoveryTime: Uint32, lockoutRecovery: Uint32 },
  response: {},
  nv: true,
  run(tpm, { newMaxTries, newRecoveryTime, lockoutRecovery }) {
    tpm.setNv({ maxTries: newMaxTries, recoveryTime: newRecoveryTime, lockoutRecovery });
    // Time that passed under the old parameters does not count.
    tpm.setRam({ selfHealFrom: tpm.state.clock.time, lockoutFrom: tpm.state.clock.time });
    settleLockout(tpm);
    return {};
  },
});
