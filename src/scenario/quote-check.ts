// What a verifier does with a quote: the signature over the attestation structure, the nonce, the digest of
// the PCR values. Restricted signing keys of two kinds: RSA with RSASSA-PKCS1-v1_5, ECC P-256 with ECDSA,
// both with SHA-256.

import { concat, equalBytes } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import { bigintToBytes, bytesToBigint } from '../crypto/bigint.ts';
import type { AnyPublicKey } from '../crypto/keys.ts';
import { crypto } from '../crypto/provider.ts';
import { rsaVerifyPkcs1v15 } from '../crypto/rsa.ts';
import { type BankSelection, readAttest, TPM_ALG } from './tpm-client.ts';

const TPM_ALG_RSA = 0x0001;
const TPM_ALG_ECC = 0x0023;
const TPM_ALG_NULL = 0x0010;
const TPM_ALG_RSASSA = 0x0014;
const TPM_ALG_ECDSA = 0x0018;
const TPM_ECC_NIST_P256 = 0x0003;

/** Key material of a TPMT_PUBLIC; undefined when it is no key that this file can use. */
export function akPublic(publicArea: Uint8Array): AnyPublicKey | undefined {
  const r = new Reader(publicArea, 'be');
  const type = r.u16();
  r.u16();
  r.u32();
  r.take(r.u16());
  if (r.u16() !== TPM_ALG_NULL) return undefined;
  if (r.u16() !== TPM_ALG_NULL) r.u16();
  if (type === TPM_ALG_RSA) {
    r.u16();
    const e = r.u32();
    const n = bytesToBigint(r.take(r.u16()));
    return r.failed ? undefined : { kind: 'rsa', n, e: e === 0 ? 65537n : BigInt(e) };
  }
  if (type !== TPM_ALG_ECC || r.u16() !== TPM_ECC_NIST_P256) return undefined;
  if (r.u16() !== TPM_ALG_NULL) r.u16();
  const x = bytesToBigint(r.take(r.u16()));
  const y = bytesToBigint(r.take(r.u16()));
  if (r.failed) return undefined;
  return { kind: 'ec', curve: 'P-256', point: { x: bigintToBytes(x, 32), y: bigintToBytes(y, 32) } };
}

/** Whether a TPMT_SIGNATURE is good for a message under a key. */
export function verifySignature(key: AnyPublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  const r = new Reader(signature, 'be');
  const alg = r.u16();
  if (r.u16() !== TPM_ALG.sha256) return false;
  const digest = crypto().hash('sha256', message);
  if (key.kind === 'rsa') {
    const s = r.take(r.u16());
    return alg === TPM_ALG_RSASSA && !r.failed && rsaVerifyPkcs1v15(key, 'sha256', digest, s);
  }
  const [first, second] = [r.take(r.u16()), r.take(r.u16())];
  if (alg !== TPM_ALG_ECDSA || r.failed || first.length > 32 || second.length > 32) return false;
  const raw = concat(bigintToBytes(bytesToBigint(first), 32), bigintToBytes(bytesToBigint(second), 32));
  return crypto().ecdsaVerify(key.curve, key.point, digest, raw);
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
  const key = akPublic(quote.publicArea);
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
    signature: verifySignature(key, quote.attest, quote.signature),
    nonce: equalBytes(attested.nonce, expected.nonce),
    pcrs: same && equalBytes(attested.pcrDigest, digest),
  };
}
