// What steps that talk to the TPM have in common: how registers are selected, the way to the device, and the
// result of a call that went well and that the TPM may have refused all the same.

import * as z from 'zod';
import { EMPTY, utf8 } from '../../base/bytes.ts';
import type { HashName } from '../../crypto/provider.ts';
import { describeRc } from '../../tpm/rc.ts';
import { looseHex } from '../data.ts';
import type { OpResult } from '../ops/types.ts';
import { BANK_NAMES, bankName, hexText } from '../schema-data.ts';
import type { BankSelection, TpmPort } from '../tpm-client.ts';
import type { StepContext } from './types.ts';

export const PCR = z.int().min(0).max(23).describe('Number of the register.');
export const PCRS = z
  .union([
    z.array(PCR).min(1),
    z.partialRecord(bankName, z.array(PCR).min(1)).describe('Bank: numbers, such as `sha256: [0, 10]`.'),
  ])
  .describe('Numbers of the registers (of the sha256 bank), or numbers for each bank.');
const ascending = (pcrs: readonly number[]): number[] => [...new Set(pcrs)].sort((a, b) => a - b);

export function selectionOf(form: z.infer<typeof PCRS>): readonly BankSelection[] {
  if (Array.isArray(form)) return [{ bank: 'sha256', pcrs: ascending(form) }];
  const named = form as { readonly [bank in HashName]?: readonly number[] };
  return BANK_NAMES.flatMap((bank) => {
    const pcrs = named[bank];
    return pcrs === undefined ? [] : [{ bank, pcrs: ascending(pcrs) }];
  });
}

/** The door to the machine's TPM, null when it has none. */
export function portOf(context: StepContext): TpmPort | null {
  const { tpm } = context.session.machine as unknown as { readonly tpm?: TpmPort | null };
  return tpm ?? null;
}

export const NO_TPM: OpResult = { err: 'ENODEV' };

/** The call itself works; what the TPM says is in `rc`. */
export function answered(rc: number): OpResult {
  return { err: 'OK', rc, rc_text: describeRc(rc) };
}

export function nonceBytes(form: string | { readonly hex: string } | undefined): Uint8Array {
  if (form === undefined) return EMPTY;
  return typeof form === 'string' ? utf8(form) : looseHex(form.hex);
}

export const NONCE = z
  .union([z.string(), z.strictObject({ hex: hexText })])
  .describe("The verifier's nonce, as text or {hex}.");
export const QUOTE_NAME = z.string().describe('Name of the quote; default `quote`.');
