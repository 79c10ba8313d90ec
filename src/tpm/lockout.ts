// Dictionary-attack protection: counting failed authorizations, refusing in lockout, healing with time, the
// lock of lockoutAuth. The states and what moves between them are in lockout.machine.ts.

import { step } from '../base/table.ts';
import { TPM_RH_LOCKOUT } from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { type LockoutEvent, lockoutTable } from './lockout.machine.ts';
import * as rc from './rc.ts';
import { UNORDERLY_USED } from './state.ts';

function move(tpm: TpmCursor, event: LockoutEvent): void {
  const lockout = step(lockoutTable, tpm.state.ram.lockout, event);
  if (lockout !== tpm.state.ram.lockout) tpm.setRam({ lockout });
}

/** Puts the machine where the counters are. */
export function settleLockout(tpm: TpmCursor): void {
  const { failedTries, maxTries } = tpm.state.nv;
  if (failedTries >= maxTries) move(tpm, 'LIMIT_REACHED');
  else if (failedTries === 0) move(tpm, 'RECOVERED');
  else move(tpm, tpm.state.ram.lockout === 'lockout' ? 'HEALED' : 'FAILURE');
}

/**
 * TPM_RC_LOCKOUT when authorization of a protected entity (or with lockoutAuth) is refused now.
 * @tcg Part 1, 19.8.5 Authorization Failures Involving lockoutAuth
 */
export function checkLockedOut(tpm: TpmCursor, forLockoutAuth: boolean): number {
  const { lockoutAuthEnabled, failedTries, maxTries } = tpm.state.nv;
  const locked = forLockoutAuth ? !lockoutAuthEnabled : failedTries >= maxTries;
  if (!locked) {
    if (!forLockoutAuth) noteUse(tpm);
    return 0;
  }
  tpm.emit('tpm.lockout', { failedTries, maxTries, lockoutAuth: forLockoutAuth }, 'tpm.lockout');
  return rc.TPM_RC_LOCKOUT;
}

/**
 * The first authorization of a protected entity is on record before it is checked: pulling the plug does not
 * hide a failure.
 * @deviation the reference answers this first one with TPM_RC_RETRY, later libtpms does not
 */
function noteUse(tpm: TpmCursor): void {
  if (tpm.state.ram.daUsed) return;
  tpm.setRam({ daUsed: true });
  tpm.setNv({ orderlyState: UNORDERLY_USED });
}

/** Counts a failed authorization of a protected entity. */
export function registerFailure(tpm: TpmCursor, handle: number): void {
  const { nv, clock } = tpm.state;
  if (handle === TPM_RH_LOCKOUT) {
    tpm.setNv({ lockoutAuthEnabled: false });
    tpm.setRam({ lockoutFrom: clock.time });
    tpm.emit('tpm.da_failure', { lockoutAuth: true, ...counters(tpm) }, 'tpm.da_failure');
    return;
  }
  if (nv.recoveryTime !== 0) tpm.setNv({ failedTries: nv.failedTries + 1 });
  tpm.setRam({ selfHealFrom: clock.time });
  settleLockout(tpm);
  tpm.emit('tpm.da_failure', { lockoutAuth: false, ...counters(tpm) }, 'tpm.da_failure');
}

function counters(tpm: TpmCursor): { failedTries: number; maxTries: number } {
  return { failedTries: tpm.state.nv.failedTries, maxTries: tpm.state.nv.maxTries };
}

/**
 * What passing time heals: one failure each recoveryTime seconds, lockoutAuth after lockoutRecovery.
 * @tcg Part 1, 19.8.3 Recovery
 */
export function selfHeal(tpm: TpmCursor): void {
  const { nv, ram, clock } = tpm.state;
  if (nv.failedTries > 0 && nv.recoveryTime > 0) {
    const period = BigInt(nv.recoveryTime) * 1000n;
    const healed = (clock.time - ram.selfHealFrom) / period;
    if (healed > 0n) {
      const left = healed >= BigInt(nv.failedTries) ? 0 : nv.failedTries - Number(healed);
      tpm.setNv({ failedTries: left });
      tpm.setRam({ selfHealFrom: ram.selfHealFrom + healed * period });
      settleLockout(tpm);
      tpm.emit('tpm.da_healed', { count: nv.failedTries - left }, 'tpm.da_healed');
    }
  }
  if (!nv.lockoutAuthEnabled && nv.lockoutRecovery !== 0) {
    if (clock.time - ram.lockoutFrom >= BigInt(nv.lockoutRecovery) * 1000n) {
      tpm.setNv({ lockoutAuthEnabled: true });
    }
  }
}

/**
 * At TPM2_Startup: timers begin, a zero lockoutRecovery frees lockoutAuth at TPM Reset or Restart, and use
 * of a protected entity without an orderly end counts as one failure.
 * @tcg Part 1, 19.8.6 Non-orderly Shutdown
 */
export function startLockout(tpm: TpmCursor, resume: boolean, orderlyState: number): void {
  const { nv, clock } = tpm.state;
  if (!resume && nv.lockoutRecovery === 0) tpm.setNv({ lockoutAuthEnabled: true });
  if (orderlyState === UNORDERLY_USED && nv.recoveryTime !== 0 && nv.failedTries < nv.maxTries) {
    tpm.setNv({ failedTries: nv.failedTries + 1 });
  }
  tpm.setRam({ selfHealFrom: clock.time, lockoutFrom: clock.time });
  settleLockout(tpm);
}
