// Steps that talk to the machine's TPM as a program on the machine does: extend and reset registers, ask
// for a quote by a restricted key that the TPM itself makes, let a verifier look at an earlier quote, send
// raw command bytes.

import * as z from 'zod';
import { EMPTY, equalBytes, toHex } from '../../base/bytes.ts';
import { crypto, type HashName } from '../../crypto/provider.ts';
import { looseHex } from '../data.ts';
import { bytesOf, DATA, type OpResult } from '../ops/types.ts';
import { type BankValues, checkQuote } from '../quote-check.ts';
import { bankName, hexText } from '../schema-data.ts';
import {
  AK_TYPES,
  type AkType,
  type BankSelection,
  createAk,
  flushContext,
  pcrBanks,
  pcrExtend,
  pcrRead,
  pcrReset,
  pcrSelection,
  responseCode,
  type TpmPort,
  quote as tpmQuote,
} from '../tpm-client.ts';
import {
  answered,
  NO_TPM,
  NONCE,
  nonceBytes,
  PCR,
  PCRS,
  portOf,
  QUOTE_NAME,
  selectionOf,
} from './tpm-common.ts';
import { defineStep, type KeptQuote, type StepContext } from './types.ts';

/** Values of the selected registers; a response code when the TPM refuses, null when a bank is not there. */
function readBanks(port: TpmPort, selection: readonly BankSelection[]): readonly BankValues[] | number {
  const out: BankValues[] = [];
  for (const bank of selection) {
    const got = pcrRead(port, bank);
    if (got.value === null) return got.rc;
    out.push({ ...bank, values: got.value });
  }
  return out;
}

function verdict(kept: KeptQuote, nonce: Uint8Array, banks: readonly BankValues[]): Omit<OpResult, 'err'> {
  const found = checkQuote(kept, { nonce, banks });
  return { ...found, verifies: found.signature && found.nonce && found.pcrs };
}

interface QuoteArgs {
  readonly pcrs: z.infer<typeof PCRS>;
  readonly nonce?: z.infer<typeof NONCE> | undefined;
  readonly key?: AkType | undefined;
  readonly name?: string | undefined;
}

/** A quote of that TPM, kept for later steps. */
export function madeQuote(context: StepContext, port: TpmPort, args: QuoteArgs): OpResult {
  const selection = selectionOf(args.pcrs);
  const banks = readBanks(port, selection);
  if (typeof banks === 'number') return answered(banks);
  if (banks.some((b) => b.values.length !== b.pcrs.length)) return { err: 'EINVAL' };
  const key = createAk(port, args.key ?? 'ecc');
  if (key.value === null) return answered(key.rc);
  const nonce = nonceBytes(args.nonce);
  const made = tpmQuote(port, key.value.handle, nonce, pcrSelection(selection));
  flushContext(port, key.value.handle);
  if (made.value === null) return answered(made.rc);
  const kept: KeptQuote = { ...made.value, publicArea: key.value.publicArea, banks, nonce };
  const name = args.name ?? 'quote';
  context.memory = {
    ...context.memory,
    quotes: { ...context.memory.quotes, [name]: kept },
    lastQuote: name,
  };
  return {
    ...answered(0),
    attest: toHex(kept.attest),
    signed: toHex(kept.signature),
    ...verdict(kept, nonce, banks),
  };
}

const quote = defineStep({
  name: 'quote',
  help: 'asks the TPM for a quote over registers, signed by an attestation key that it makes for it',
  args: {
    pcrs: PCRS,
    nonce: NONCE.optional(),
    key: z.enum(AK_TYPES).optional().describe('Kind of the attestation key; default ecc.'),
    name: QUOTE_NAME.optional(),
  },
  run: (context, args) => {
    const port = portOf(context);
    return port === null ? NO_TPM : madeQuote(context, port, args);
  },
});

const verifyQuote = defineStep({
  name: 'verify_quote',
  help: 'a verifier checks an earlier quote: signature, nonce, and the register values it expects',
  args: {
    name: QUOTE_NAME.optional(),
    nonce: NONCE.optional(),
    against: z
      .enum(['now', 'then'])
      .optional()
      .describe(
        'Expected values: those the registers hold now (default), or those at the time of the quote.',
      ),
  },
  outside: true,
  run: (context, args) => {
    const kept = context.memory.quotes[args.name ?? 'quote'];
    if (kept === undefined) return { err: 'ENOENT' };
    const nonce = nonceBytes(args.nonce);
    if (args.against === 'then') return { err: 'OK', ...verdict(kept, nonce, kept.banks) };
    const port = portOf(context);
    if (port === null) return NO_TPM;
    const now = readBanks(port, kept.banks);
    if (typeof now === 'number') return answered(now);
    const changed = kept.banks.flatMap((bank, b) =>
      bank.pcrs
        .filter((_, i) => !equalBytes(now[b]?.values[i] ?? EMPTY, bank.values[i] ?? EMPTY))
        .map((n) => `${bank.bank}:${n}`),
    );
    return { err: 'OK', changed, ...verdict(kept, nonce, now) };
  },
});

const extend = defineStep({
  name: 'pcr_extend',
  help: 'a program extends a register: with the digest of data in every bank, or with given digests',
  args: {
    pcr: PCR,
    data: DATA.optional(),
    digests: z.partialRecord(bankName, hexText).optional().describe('Bank: digest, instead of data.'),
  },
  run: (context, args) => {
    const port = portOf(context);
    if (port === null) return NO_TPM;
    const banks = pcrBanks(port);
    if (banks.value === null) return answered(banks.rc);
    const given = args.digests as { readonly [bank in HashName]?: string } | undefined;
    const data = bytesOf(args.data);
    const digests = banks.value.flatMap((bank) => {
      if (given === undefined) return [{ bank, digest: crypto().hash(bank, data) }];
      const hex = given[bank];
      return hex === undefined ? [] : [{ bank, digest: looseHex(hex) }];
    });
    return answered(pcrExtend(port, args.pcr, digests).rc);
  },
});

const reset = defineStep({
  name: 'pcr_reset',
  help: 'a program resets a register (TPM2_PCR_Reset at locality 0)',
  args: { pcr: PCR },
  run: (context, args) => {
    const port = portOf(context);
    return port === null ? NO_TPM : answered(pcrReset(port, args.pcr).rc);
  },
});

const tpm = defineStep({
  name: 'tpm',
  help: 'sends one command to the TPM, as bytes',
  args: {
    command: hexText.describe('The whole command in hexadecimal digits.'),
    locality: z.int().min(0).max(4).optional().describe('Default 0.'),
  },
  run: (context, args) => {
    const port = portOf(context);
    if (port === null) return NO_TPM;
    const response = port.execute(looseHex(args.command), args.locality ?? 0);
    return { ...answered(responseCode(response)), response: toHex(response) };
  },
});

export const TPM_STEPS = [quote, verifyQuote, extend, reset, tpm];
