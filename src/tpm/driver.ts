// The kernel's TPM 2.0 driver as far as IMA uses it: it finds the banks with TPM2_GetCapability, extends with
// one TPM2_PCR_Extend for all banks and reads with TPM2_PCR_Read. Everything passes as command bytes.

import { EMPTY } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import { digestSize, type HashName } from '../crypto/provider.ts';
import { hashAlgOf, hashName, isHashAlg } from './algorithms.ts';
import type { BankDigest, TpmChip } from './chip.ts';
import * as c from './constants.ts';
import { selectBits } from './pcr.ts';
import type { Tpm } from './tpm.ts';

const TPM_CC_GET_CAPABILITY = 0x17a;
const TPM_CC_PCR_READ = 0x17e;
const TPM_CC_PCR_EXTEND = 0x182;
const ENODEV = -19;
const HEADER = 10;

function frame(tag: number, code: number, body: Uint8Array): Uint8Array {
  return new Writer('be')
    .u16(tag)
    .u32(HEADER + body.length)
    .u32(code)
    .bytes(body)
    .finish();
}

function responseCode(response: Uint8Array): number {
  return new DataView(response.buffer, response.byteOffset).getUint32(6);
}

/**
 * What the driver found when it was bound; kept in the kernel's state, so that a fork need not ask the TPM
 * again.
 */
export interface DriverState {
  readonly banks: readonly HashName[];
  readonly gone: boolean;
}

/** @kernel drivers/char/tpm/tpm2-cmd.c tpm2_pcr_extend(), tpm2_pcr_read(), tpm2_get_pcr_allocation() */
export class TpmDriver implements TpmChip {
  readonly #tpm: Tpm;
  readonly #banks: readonly HashName[];
  #gone: boolean;

  /**
   * The TPM has been started (TPM2_Startup) by firmware; without `known` the driver is bound now and asks
   * for the banks.
   */
  constructor(tpm: Tpm, known: DriverState | null = null) {
    this.#tpm = tpm;
    this.#gone = known?.gone ?? false;
    this.#banks = known?.banks ?? this.#allocatedBanks();
  }

  get state(): DriverState {
    return { banks: this.#banks, gone: this.#gone };
  }

  get banks(): readonly HashName[] {
    return this.#gone ? [] : this.#banks;
  }

  /** The device is unbound: every operation is -ENODEV from now on. */
  unbind(): void {
    this.#gone = true;
  }

  #allocatedBanks(): readonly HashName[] {
    const body = new Writer('be').u32(c.TPM_CAP_PCRS).u32(0).u32(1).finish();
    const response = this.#tpm.execute(frame(c.TPM_ST_NO_SESSIONS, TPM_CC_GET_CAPABILITY, body));
    if (responseCode(response) !== 0) return [];
    const r = new Reader(response, 'be');
    r.take(HEADER + 1 + 4);
    const count = r.u32();
    const banks: HashName[] = [];
    for (let i = 0; i < count && !r.failed; i++) {
      const alg = r.u16();
      const select = r.take(r.u8());
      if (isHashAlg(alg) && select.some((octet) => octet !== 0)) banks.push(hashName(alg));
    }
    return banks;
  }

  pcrExtend(pcr: number, digests: readonly BankDigest[]): number {
    if (this.#gone) return ENODEV;
    const w = new Writer('be');
    // An empty password session authorizes the register.
    w.u32(pcr).u32(9).u32(c.TPM_RS_PW).u16(0).u8(0).u16(0).u32(digests.length);
    for (const { alg, digest } of digests) w.u16(hashAlgOf(alg) ?? c.TPM_ALG_ERROR).bytes(digest);
    return responseCode(this.#tpm.execute(frame(c.TPM_ST_SESSIONS, TPM_CC_PCR_EXTEND, w.finish())));
  }

  pcrRead(pcr: number, alg: HashName): Uint8Array | number {
    if (this.#gone) return ENODEV;
    const select = pcr < c.IMPLEMENTATION_PCR ? selectBits([pcr]) : EMPTY;
    const w = new Writer('be')
      .u32(1)
      .u16(hashAlgOf(alg) ?? c.TPM_ALG_ERROR)
      .u8(select.length)
      .bytes(select);
    const response = this.#tpm.execute(frame(c.TPM_ST_NO_SESSIONS, TPM_CC_PCR_READ, w.finish()));
    const code = responseCode(response);
    if (code !== 0) return code;
    const r = new Reader(response, 'be');
    r.take(HEADER + 4 + 4 + 2);
    r.take(r.u8());
    const count = r.u32();
    const digest = count === 1 ? r.take(r.u16()) : EMPTY;
    return digest.length === digestSize(alg) ? digest : -22;
  }
}
