// What a verifier does with a quote: the signature over the attestation structure, the nonce, the digest of the PCR
// values. Restricted signing keys of two kinds: RSA with RSASSA-PKCS1-v1_5, ECC P-256 with ECDSA, both with SHA-256.

import { concat, equalBytes } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import { crypto, type EcPoint } from '../crypto/provider.ts';
import { type BankSelection, readAttest, TPM_ALG } from './tpm-client.ts';

export type AkPublic =
  | { readonly type: 'ecc'; readonly point: EcPoint }
  | { readonly type: 'rsa'; readonly n: Uint8Array; readonly e: number };

const TPM_ALG_RSA = 0x0001;
const TPM_ALG_ECC = 0x0023;
const TPM_ALG_RSASSA = 0x0014;
const TPM_ALG_ECDSA = 0x0018;
const SHA256_INFO = Uint8Array.of(
  ...[0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00],
  ...[0x04, 0x20],
);

/** Key material of a TPMT_PUBLIC; undefined when it is no key that this file can use. */
export function akPublic(publicArea: Uint8Array): AkPublic | undefined {
  const r = new Reader(publicArea, 'be');
  const type = r.u16();
  r.u16();
  r.u32();
  r.take(r.u16());
  if (r.u16() !== 0x10) return undefined;
  const scheme = r.u16();
  if (scheme !== 0x10) r.u16();
  if (type === TPM_ALG_RSA) {
    r.u16();
    const e = r.u32();
    const n = r.take(r.u16());
    return r.failed ? undefined : { type: 'rsa', n, e: e === 0 ? 65537 : e };
  }
  if (type !== TPM_ALG_ECC) return undefined;
  const curve = r.u16();
  if (r.u16() !== 0x10) r.u16();
  const x = r.take(r.u16());
  const y = r.take(r.u16());
  return r.failed || curve !== 3 ? undefined : { type: 'ecc', point: { x: padded(x, 32), y: padded(y, 32) } };
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.length >= length ? bytes : concat(new Uint8Array(length - bytes.length), bytes);
}

function toBigInt(bytes: Uint8Array): bigint {
  let v = 0n;
  for (const b of bytes) v = (v << 8n) | BigInt(b);
  return v;
}

function fromBigInt(value: bigint, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = length - 1, v = value; i >= 0; i--, v >>= 8n) out[i] = Number(v & 255n);
  return out;
}

/** Whether a TPMT_SIGNATURE is good for a message under a key. */
export function verifySignature(key: AkPublic, message: Uint8Array, signature: Uint8Array): boolean {
  const r = new Reader(signature, 'be');
  const alg = r.u16();
  if (r.u16() !== TPM_ALG.sha256) return false;
  const digest = crypto().hash('sha256', message);
  if (key.type === 'ecc') {
    if (alg !== TPM_ALG_ECDSA) return false;
    const [first, second] = [r.take(r.u16()), r.take(r.u16())];
    if (r.failed || first.length > 32 || second.length > 32) return false;
    return crypto().ecdsaVerify('P-256', key.point, digest, concat(padded(first, 32), padded(second, 32)));
  }
  const s = r.take(r.u16());
  if (alg !== TPM_ALG_RSASSA || r.failed || s.length !== key.n.length) return false;
  const opened = fromBigInt(crypto().modPow(toBigInt(s), BigInt(key.e), toBigInt(key.n)), s.length);
  const tail = concat(SHA256_INFO, digest);
  const fill = new Uint8Array(s.length - tail.length - 3).fill(0xff);
  return equalBytes(opened, concat(Uint8Array.of(0, 1), fill, Uint8Array.of(0), tail));
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

/** The three checks of tpm2_checkquote: signature, nonce, digest over the expected values (in selection order). */
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
