// What a verifier does with a quote: the signature over the attestation structure, the nonce, the digest of
// the PCR values.

import { type AttestationKey, readPublicArea, verifyQuoteSignature } from '../attest/quote.ts';
import { UnreadableError } from '../attest/verdict.ts';
import { concat, equalBytes } from '../base/bytes.ts';
import type { AnyPublicKey } from '../crypto/keys.ts';
import { crypto } from '../crypto/provider.ts';
import { type BankSelection, readAttest, TPM_ALG } from './tpm-client.ts';

/** Key material of a TPMT_PUBLIC; undefined when it is no key that signs. */
export function akPublic(publicArea: Uint8Array): AnyPublicKey | undefined {
  return readPublicArea(publicArea)?.key;
}

/** A signature that cannot even be read is not good either. */
function signedBy(key: AttestationKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verifyQuoteSignature(key, message, signature).ok;
  } catch (e) {
    if (e instanceof UnreadableError) return false;
    throw e;
  }
}

export interface QuoteVerdict {
  readonly signature: boolean;
  readonly nonce: boolean;
  readonly pcrs: boolean;
}

/** Expected register values of one bank. */
export interface BankValues extends BankSelection {
  /** In the order of `pcrs`. */
  readonly values: readonly Uint8Array[];
}

/**
 * The three checks of tpm2_checkquote: signature, nonce, digest over the expected values (in selection
 * order).
 */
export function checkQuote(
  quote: { readonly attest: Uint8Array; readonly signature: Uint8Array; readonly publicArea: Uint8Array },
  expected: { readonly nonce: Uint8Array; readonly banks: readonly BankValues[] },
): QuoteVerdict {
  const key = readPublicArea(quote.publicArea);
  const attested = readAttest(quote.attest);
  if (key === undefined || attested === undefined) return { signature: false, nonce: false, pcrs: false };
  const same =
    attested.selections.length === expected.banks.length &&
    attested.selections.every((s, i) => {
      const bank = expected.banks[i];
      return bank !== undefined && s.alg === TPM_ALG[bank.bank] && s.pcrs.join() === bank.pcrs.join();
    });
  const digest = crypto().hash('sha256', concat(...expected.banks.flatMap((b) => b.values)));
  return {
    signature: signedBy(key, quote.attest, quote.signature),
    nonce: equalBytes(attested.nonce, expected.nonce),
    pcrs: same && equalBytes(attested.pcrDigest, digest),
  };
}
