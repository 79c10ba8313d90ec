// The software TPM as other programs use it: make one, give it power and command bytes, read its state.

import '../crypto/auto.ts';

export type { BankDigest, TpmChip } from './chip.ts';
export type { TpmEnv } from './cursor.ts';
export { TpmDriver } from './driver.ts';
export { lockoutMachine } from './lockout.machine.ts';
export { type ManufactureOptions, manufacture } from './manufacture.ts';
export { type DecodedRc, decodeRc, describeRc } from './rc.ts';
export { sessionMachine } from './session.machine.ts';
export { startupMachine } from './startup.machine.ts';
export type { TpmState } from './state.ts';
export { commandCodeOf, responseCodeOf, Tpm } from './tpm.ts';
