// A quote as tpm2_quote writes it: TPMS_ATTEST, signature (TPMT_SIGNATURE or the plain form), and the
// attestation key (TPM2B_PUBLIC, TPMT_PUBLIC, PEM, DER, certificate). Read leniently: other TPMs have
// algorithms that the simulated one lacks.

import { concat, fromLatin1 } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import { bigintToBytes, bytesToBigint } from '../crypto/bigint.ts';
import { ecdsaFromDer, ecPointFromBytes, ecSize } from '../crypto/ec.ts';
import { type AnyPublicKey, importKey, publicOf } from '../crypto/keys.ts';
import { type CurveName, crypto, type HashName } from '../crypto/provider.ts';
import { rsaVerifyPkcs1v15, rsaVerifyPss } from '../crypto/rsa.ts';
import * as c from '../tpm/constants.ts';
import { UnreadableError } from './verdict.ts';

const HASH_OF_ALG: ReadonlyMap<number, HashName> = new Map([
  [0x0004, 'sha1'],
  [0x000b, 'sha256'],
  [0x000c, 'sha384'],
  [0x000d, 'sha512'],
  [0x0012, 'sm3'],
  [0x0027, 'sha3-256'],
  [0x0028, 'sha3-384'],
  [0x0029, 'sha3-512'],
]);
const CURVE_OF_ID: ReadonlyMap<number, CurveName> = new Map([
  [0x0003, 'P-256'],
  [0x0004, 'P-384'],
  [0x0005, 'P-521'],
]);

/** Hash of a TPM_ALG_ID; null for one that cannot be computed. */
export function hashOfAlg(alg: number): HashName | null {
  return HASH_OF_ALG.get(alg) ?? null;
}

export interface PcrSelection {
  readonly alg: number;
  /** Null for a bank whose hash is not known. */
  readonly bank: HashName | null;
  readonly pcrs: readonly number[];
}

export interface Quote {
  /** What is signed. */
  readonly octets: Uint8Array;
  /** False when the structure attests something else than registers. */
  readonly isQuote: boolean;
  readonly nonce: Uint8Array;
  readonly clock: bigint;
  readonly resetCount: number;
  readonly restartCount: number;
  readonly safe: boolean;
  readonly firmwareVersion: bigint;
  readonly selections: readonly PcrSelection[];
  readonly pcrDigest: Uint8Array;
  /** Offsets of fields, for findings. */
  readonly at: {
    readonly nonce: number;
    readonly clock: number;
    readonly select: number;
    readonly digest: number;
  };
}

function unreadable(artefact: 'quote' | 'ak' | 'signature', byte: number, message: string): UnreadableError {
  return new UnreadableError({ artefact, byte, record: null, message });
}

function readSelections(r: Reader): PcrSelection[] {
  const out: PcrSelection[] = [];
  const count = r.u32();
  for (let i = 0; i < count && i < 16 && !r.failed; i++) {
    const alg = r.u16();
    const select = r.take(r.u8());
    const pcrs: number[] = [];
    for (let pcr = 0; pcr < 8 * select.length; pcr++)
      if (((select[pcr >> 3] ?? 0) & (1 << (pcr & 7))) !== 0) pcrs.push(pcr);
    out.push({ alg, bank: hashOfAlg(alg), pcrs });
  }
  return out;
}

/**
 * TPMS_ATTEST from a file, also with the size of a TPM2B_ATTEST before it. @tcg Part 2, 10.12.8
 * TPMS_ATTEST
 */
export function readQuote(file: Uint8Array): Quote {
  const sized = file.length > 6 && (((file[0] ?? 0) << 8) | (file[1] ?? 0)) === file.length - 2;
  const octets = sized && file[2] === 0xff ? file.subarray(2) : file;
  const shift = file.length - octets.length;
  const r = new Reader(octets, 'be');
  if (r.u32() !== c.TPM_GENERATED_VALUE)
    throw unreadable('quote', 0, 'no TPMS_ATTEST: its magic number is missing');
  const isQuote = r.u16() === c.TPM_ST_ATTEST_QUOTE;
  r.take(r.u16());
  const nonceAt = r.offset + 2;
  const nonce = r.take(r.u16());
  const clockAt = r.offset;
  const clock = r.u64();
  const [resetCount, restartCount, safe] = [r.u32(), r.u32(), r.u8() !== 0];
  const firmwareVersion = r.u64();
  const selectAt = r.offset;
  const selections = isQuote ? readSelections(r) : [];
  const digestAt = r.offset + 2;
  const pcrDigest = isQuote ? r.take(r.u16()) : new Uint8Array(0);
  if (r.failed) throw unreadable('quote', shift + r.offset, 'the TPMS_ATTEST is cut off');
  if (isQuote && r.remaining > 0)
    throw unreadable('quote', shift + r.offset, `${r.remaining} bytes follow the quote`);
  const at = {
    nonce: nonceAt + shift,
    clock: clockAt + shift,
    select: selectAt + shift,
    digest: digestAt + shift,
  };
  const counters = { clock, resetCount, restartCount, safe, firmwareVersion };
  return { octets, isQuote, nonce, ...counters, selections, pcrDigest, at };
}

/** An attestation key; scheme, hash and attributes where the file tells them. */
export interface AttestationKey {
  readonly key: AnyPublicKey;
  readonly scheme: number | null;
  readonly hash: HashName | null;
  /** Null when the file has the bare key. */
  readonly attributes: number | null;
  /** TPM2B_NAME without its size; null for a bare key. */
  readonly name: Uint8Array | null;
}

/**
 * TPMT_PUBLIC of an RSA or elliptic curve key; undefined for anything else. @tcg Part 2, 12.2.4
 * TPMT_PUBLIC
 */
export function readPublicArea(area: Uint8Array): AttestationKey | undefined {
  const r = new Reader(area, 'be');
  const type = r.u16();
  const nameAlg = r.u16();
  const attributes = r.u32();
  r.take(r.u16());
  if (r.u16() !== c.TPM_ALG_NULL) r.take(4);
  const scheme = r.u16();
  const hash = scheme === c.TPM_ALG_NULL ? null : hashOfAlg(r.u16());
  if (scheme === c.TPM_ALG_ECDAA) r.u16();
  let key: AnyPublicKey | undefined;
  if (type === c.TPM_ALG_RSA) {
    r.u16();
    const e = r.u32();
    const n = bytesToBigint(r.take(r.u16()));
    key = { kind: 'rsa', n, e: e === 0 ? 65537n : BigInt(e) };
  } else if (type === c.TPM_ALG_ECC) {
    const curve = CURVE_OF_ID.get(r.u16());
    if (r.u16() !== c.TPM_ALG_NULL) r.u16();
    const [x, y] = [bytesToBigint(r.take(r.u16())), bytesToBigint(r.take(r.u16()))];
    if (curve === undefined || r.failed) return undefined;
    const size = ecSize(curve);
    if (x >> BigInt(8 * size) > 0n || y >> BigInt(8 * size) > 0n) return undefined;
    const point = concat(Uint8Array.of(4), bigintToBytes(x, size), bigintToBytes(y, size));
    const checked = ecPointFromBytes(curve, point);
    key = checked === undefined ? undefined : { kind: 'ec', curve, point: checked };
  }
  if (key === undefined || r.failed || r.remaining > 0) return undefined;
  const alg = hashOfAlg(nameAlg);
  const name = alg === null ? null : concat(area.subarray(2, 4), crypto().hash(alg, area));
  return { key, scheme: scheme === c.TPM_ALG_NULL ? null : scheme, hash, attributes, name };
}

/** The key of a file in any of its forms. */
export function readAttestationKey(file: Uint8Array): AttestationKey {
  const size = ((file[0] ?? 0) << 8) | (file[1] ?? 0);
  const area = size === file.length - 2 ? readPublicArea(file.subarray(2)) : readPublicArea(file);
  if (area !== undefined) return area;
  const key = importKey(file);
  if (key.ok) return { key: publicOf(key.key), scheme: null, hash: null, attributes: null, name: null };
  const why =
    file.length > 1 && file[0] === 0 ? 'no TPM2B_PUBLIC or TPMT_PUBLIC of a signing key' : key.problem;
  throw unreadable('ak', 0, why);
}

/** Whether a restricted signing key of the TPM itself. @tcg Part 2, 8.3 TPMA_OBJECT */
export function isRestrictedSigner(attributes: number): boolean {
  const wanted = c.TPMA_OBJECT_RESTRICTED | c.TPMA_OBJECT_SIGN_ENCRYPT | c.TPMA_OBJECT_FIXEDTPM;
  return (attributes & wanted) === wanted && (attributes & c.TPMA_OBJECT_DECRYPT) === 0;
}

const RSA_SCHEMES: readonly number[] = [c.TPM_ALG_RSASSA, c.TPM_ALG_RSAPSS];
/** Hashes that a plain signature of a bare key may have been made with. */
const TRIED: readonly HashName[] = ['sha256', 'sha1', 'sha384', 'sha512', 'sm3'];

function verifyRsa(
  key: AnyPublicKey,
  scheme: number,
  hash: HashName,
  octets: Uint8Array,
  sig: Uint8Array,
): boolean {
  if (key.kind !== 'rsa') return false;
  const digest = crypto().hash(hash, octets);
  return scheme === c.TPM_ALG_RSASSA
    ? rsaVerifyPkcs1v15(key, hash, digest, sig)
    : rsaVerifyPss(key, hash, digest, sig);
}

function verifyEcdsa(key: AnyPublicKey, hash: HashName, octets: Uint8Array, raw: Uint8Array): boolean {
  if (key.kind !== 'ec') return false;
  return crypto().ecdsaVerify(key.curve, key.point, crypto().hash(hash, octets), raw);
}

/** The hash that a good signature was made with; `bad` for a signature by somebody else. */
export type SignatureAnswer =
  | { readonly ok: true; readonly hash: HashName }
  | { readonly ok: false; readonly why: string };

const bad = (why: string): SignatureAnswer => ({ ok: false, why });

/** TPMT_SIGNATURE. @tcg Part 2, 11.3.4 TPMT_SIGNATURE */
function verifyTss(key: AnyPublicKey, octets: Uint8Array, signature: Uint8Array): SignatureAnswer {
  const r = new Reader(signature, 'be');
  const scheme = r.u16();
  const hash = hashOfAlg(r.u16());
  if (hash === null) return bad('its hash algorithm is not known');
  if (RSA_SCHEMES.includes(scheme)) {
    const sig = r.take(r.u16());
    if (r.failed || r.remaining > 0)
      throw unreadable('signature', r.offset, 'the TPMT_SIGNATURE is cut off or too long');
    if (key.kind !== 'rsa') return bad('an RSA signature, but the key is none');
    return verifyRsa(key, scheme, hash, octets, sig)
      ? { ok: true, hash }
      : bad('it is not by this key over this quote');
  }
  const [x, y] = [r.take(r.u16()), r.take(r.u16())];
  if (r.failed || r.remaining > 0)
    throw unreadable('signature', r.offset, 'the TPMT_SIGNATURE is cut off or too long');
  if (key.kind !== 'ec') return bad('an elliptic curve signature, but the key is none');
  const size = ecSize(key.curve);
  const numbers = [bytesToBigint(x), bytesToBigint(y)];
  if (numbers.some((n) => n >> BigInt(8 * size) > 0n)) return bad('its numbers are wider than the curve');
  const raw = concat(...numbers.map((n) => bigintToBytes(n, size)));
  return verifyEcdsa(key, hash, octets, raw)
    ? { ok: true, hash }
    : bad('it is not by this key over this quote');
}

function isTss(signature: Uint8Array): boolean {
  const scheme = ((signature[0] ?? 0) << 8) | (signature[1] ?? 0);
  const known = [...RSA_SCHEMES, c.TPM_ALG_ECDSA].includes(scheme);
  return known && hashOfAlg(((signature[2] ?? 0) << 8) | (signature[3] ?? 0)) !== null;
}

/** Whether a signature file (either form of tpm2_quote -f) belongs to quote and key. */
export function verifyQuoteSignature(
  ak: AttestationKey,
  octets: Uint8Array,
  signature: Uint8Array,
): SignatureAnswer {
  if (signature.length < 8) throw unreadable('signature', signature.length, 'the signature is cut off');
  if (isTss(signature)) return verifyTss(ak.key, octets, signature);
  const { key } = ak;
  const hashes = ak.hash === null ? TRIED : [ak.hash];
  if (key.kind === 'rsa') {
    for (const hash of hashes)
      for (const scheme of ak.scheme === null ? RSA_SCHEMES : [ak.scheme])
        if (verifyRsa(key, scheme, hash, octets, signature)) return { ok: true, hash };
    return bad('it is not by this key over this quote');
  }
  const raw = ecdsaFromDer(key.curve, signature);
  if (raw === undefined) throw unreadable('signature', 0, 'neither a TPMT_SIGNATURE nor an ECDSA-Sig-Value');
  const hash = hashes.find((h) => verifyEcdsa(key, h, octets, raw));
  return hash === undefined ? bad('it is not by this key over this quote') : { ok: true, hash };
}

/** `sha256:0,1,10` for messages. */
export function selectionText(selections: readonly PcrSelection[]): string {
  return selections.map((s) => `${s.bank ?? `0x${s.alg.toString(16)}`}:${s.pcrs.join(',')}`).join('+');
}

/** Whether bytes begin like a PEM file. */
export function isPem(file: Uint8Array): boolean {
  return fromLatin1(file.subarray(0, 64)).includes('-----BEGIN');
}
