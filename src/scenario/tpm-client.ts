// A small TPM client: builds command bytes and reads response bytes, as a verifier's agent on the machine
// does. It knows a few commands (self-made keys, quotes, registers, flush); sessions are password sessions
// with empty auth.

import { concat } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import type { HashName } from '../crypto/provider.ts';

/** Whatever takes TPM commands. */
export interface TpmPort {
  execute(command: Uint8Array, locality?: number): Uint8Array;
}

export type TpmAnswer<T> =
  | { readonly rc: 0; readonly value: T }
  | { readonly rc: number; readonly value: null };

const TPM_ST_NO_SESSIONS = 0x8001;
const TPM_ST_SESSIONS = 0x8002;
export const TPM_RS_PW = 0x40000009;
export const TPM_RH_ENDORSEMENT = 0x4000000b;
const TPM_CC_CREATE_PRIMARY = 0x131;
const TPM_CC_QUOTE = 0x158;
const TPM_CC_FLUSH_CONTEXT = 0x165;
const TPM_CC_PCR_RESET = 0x13d;
const TPM_CC_GET_CAPABILITY = 0x17a;
const TPM_CC_PCR_READ = 0x17e;
const TPM_CC_PCR_EXTEND = 0x182;
const TPM_CAP_PCRS = 5;
export const TPM_ALG_NULL = 0x10;
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign. */
const AK_ATTRIBUTES = 0x00050072;

export const TPM_ALG: Readonly<Partial<Record<HashName, number>>> = {
  sha1: 0x0004,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
};

/** Banks this client knows, in the order in which a TPM numbers the algorithms. */
const BANKS: readonly HashName[] = ['sha1', 'sha256', 'sha384', 'sha512'];

export const AK_TYPES = ['ecc', 'rsa'] as const;
export type AkType = (typeof AK_TYPES)[number];

/** A command; `sessions` authorize its handles without a word: passwords, or policy sessions. */
export function command(
  code: number,
  handles: readonly number[],
  auths: number,
  parameters: Uint8Array,
  sessions: readonly number[] = new Array<number>(auths).fill(TPM_RS_PW),
): Uint8Array {
  const body = new Writer('be');
  for (const h of handles) body.u32(h);
  if (auths > 0) {
    body.u32(9 * auths);
    for (const session of sessions) body.u32(session).u16(0).u8(0).u16(0);
  }
  body.bytes(parameters);
  const bytes = body.finish();
  const head = new Writer('be');
  head
    .u16(auths > 0 ? TPM_ST_SESSIONS : TPM_ST_NO_SESSIONS)
    .u32(10 + bytes.length)
    .u32(code);
  return concat(head.finish(), bytes);
}

/** Reads a response by its handles and parameters. */
export function answer<T>(response: Uint8Array, read: (r: Reader) => T): TpmAnswer<T> {
  const r = new Reader(response, 'be');
  r.u16();
  r.u32();
  const rc = r.u32();
  return rc === 0 ? { rc: 0, value: read(r) } : { rc, value: null };
}

export function tpm2b(r: Reader): Uint8Array {
  return r.take(r.u16());
}

function publicTemplate(type: AkType): Uint8Array {
  const w = new Writer('be');
  w.u16(type === 'ecc' ? 0x0023 : 0x0001)
    .u16(0x000b)
    .u32(AK_ATTRIBUTES)
    .u16(0)
    .u16(TPM_ALG_NULL);
  if (type === 'ecc') w.u16(0x0018).u16(0x000b).u16(0x0003).u16(TPM_ALG_NULL).u16(0).u16(0);
  else w.u16(0x0014).u16(0x000b).u16(2048).u32(0).u16(0);
  return w.finish();
}

export interface PrimaryKey {
  readonly handle: number;
  /** TPMT_PUBLIC. */
  readonly publicArea: Uint8Array;
}

/**
 * A restricted signing key (attestation key) in the endorsement hierarchy; the same for the same TPM each
 * time.
 */
export function createAk(port: TpmPort, type: AkType): TpmAnswer<PrimaryKey> {
  const template = publicTemplate(type);
  const p = new Writer('be');
  p.u16(4).u16(0).u16(0).u16(template.length).bytes(template).u16(0).u32(0);
  return answer(port.execute(command(TPM_CC_CREATE_PRIMARY, [TPM_RH_ENDORSEMENT], 1, p.finish())), (r) => {
    const handle = r.u32();
    r.u32();
    return { handle, publicArea: tpm2b(r) };
  });
}

export function flushContext(port: TpmPort, handle: number): TpmAnswer<null> {
  const p = new Writer('be').u32(handle).finish();
  return answer(port.execute(command(TPM_CC_FLUSH_CONTEXT, [], 0, p)), () => null);
}

/** Registers of one bank, in ascending order. */
export interface BankSelection {
  readonly bank: HashName;
  readonly pcrs: readonly number[];
}

/** TPML_PCR_SELECTION. */
export function pcrSelection(banks: readonly BankSelection[]): Uint8Array {
  const w = new Writer('be').u32(banks.length);
  for (const { bank, pcrs } of banks) {
    const select = [0, 0, 0];
    for (const n of pcrs) select[n >> 3] = (select[n >> 3] ?? 0) | (1 << (n & 7));
    w.u16(TPM_ALG[bank] ?? TPM_ALG_NULL)
      .u8(3)
      .bytes(Uint8Array.from(select));
  }
  return w.finish();
}

function readSelection(r: Reader): { readonly alg: number; readonly pcrs: readonly number[] }[] {
  const out: { alg: number; pcrs: number[] }[] = [];
  const count = r.u32();
  for (let i = 0; i < count && !r.failed; i++) {
    const alg = r.u16();
    const select = r.take(r.u8());
    const pcrs: number[] = [];
    for (let n = 0; n < 8 * select.length; n++) if (((select[n >> 3] ?? 0) >> (n & 7)) & 1) pcrs.push(n);
    out.push({ alg, pcrs });
  }
  return out;
}

/** Allocated banks (TPM2_GetCapability, TPM_CAP_PCRS), those that have registers and a name here. */
export function pcrBanks(port: TpmPort): TpmAnswer<readonly HashName[]> {
  const p = new Writer('be').u32(TPM_CAP_PCRS).u32(0).u32(1).finish();
  return answer(port.execute(command(TPM_CC_GET_CAPABILITY, [], 0, p)), (r) => {
    r.u8();
    r.u32();
    const active = readSelection(r).filter((s) => s.pcrs.length > 0);
    return BANKS.filter((b) => active.some((s) => s.alg === TPM_ALG[b]));
  });
}

export interface BankValue {
  readonly bank: HashName;
  readonly digest: Uint8Array;
}

export function pcrExtend(port: TpmPort, pcr: number, digests: readonly BankValue[]): TpmAnswer<null> {
  const p = new Writer('be').u32(digests.length);
  for (const { bank, digest } of digests) p.u16(TPM_ALG[bank] ?? TPM_ALG_NULL).bytes(digest);
  return answer(port.execute(command(TPM_CC_PCR_EXTEND, [pcr], 1, p.finish())), () => null);
}

export function pcrReset(port: TpmPort, pcr: number): TpmAnswer<null> {
  return answer(port.execute(command(TPM_CC_PCR_RESET, [pcr], 1, new Uint8Array(0))), () => null);
}

export interface QuoteAnswer {
  /** TPMS_ATTEST. */
  readonly attest: Uint8Array;
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array;
}

export function quote(
  port: TpmPort,
  handle: number,
  nonce: Uint8Array,
  selection: Uint8Array,
): TpmAnswer<QuoteAnswer> {
  const p = new Writer('be').u16(nonce.length).bytes(nonce).u16(TPM_ALG_NULL).bytes(selection).finish();
  return answer(port.execute(command(TPM_CC_QUOTE, [handle], 1, p)), (r) => {
    const size = r.u32();
    const parameters = new Reader(r.take(size), 'be');
    const attest = tpm2b(parameters);
    return { attest, signature: parameters.rest() };
  });
}

/** Values of registers of one bank, eight at a time as TPM2_PCR_Read gives them. */
export function pcrRead(port: TpmPort, { bank, pcrs }: BankSelection): TpmAnswer<readonly Uint8Array[]> {
  const values: Uint8Array[] = [];
  for (let at = 0; at < pcrs.length; at += 8) {
    const some = pcrs.slice(at, at + 8);
    const selection = pcrSelection([{ bank, pcrs: some }]);
    const got = answer(port.execute(command(TPM_CC_PCR_READ, [], 0, selection)), (r) => {
      r.u32();
      readSelection(r);
      const count = r.u32();
      return Array.from({ length: count }, () => tpm2b(r));
    });
    if (got.value === null) return { rc: got.rc, value: null };
    values.push(...got.value);
  }
  return { rc: 0, value: values };
}

/** Response code of a response. */
export function responseCode(response: Uint8Array): number {
  const r = new Reader(response, 'be');
  r.u16();
  r.u32();
  return r.failed ? 0xffffffff : r.u32();
}

/** Fields of a TPMS_ATTEST made by TPM2_Quote. */
export interface AttestedQuote {
  readonly nonce: Uint8Array;
  readonly pcrDigest: Uint8Array;
  readonly selections: readonly { readonly alg: number; readonly pcrs: readonly number[] }[];
}

const TPM_GENERATED_VALUE = 0xff544347;
const TPM_ST_ATTEST_QUOTE = 0x8018;

/** Undefined when the structure is not a quote that a TPM made. */
export function readAttest(attest: Uint8Array): AttestedQuote | undefined {
  const r = new Reader(attest, 'be');
  if (r.u32() !== TPM_GENERATED_VALUE || r.u16() !== TPM_ST_ATTEST_QUOTE) return undefined;
  tpm2b(r);
  const nonce = tpm2b(r);
  r.take(17 + 8);
  const selections = readSelection(r);
  const pcrDigest = tpm2b(r);
  return r.failed ? undefined : { nonce, pcrDigest, selections };
}
