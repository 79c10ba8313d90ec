// The kernel's TPM driver as far as IMA uses it: everything goes through command bytes. What a driver adds on
// top of the device (which banks exist, digest lists for one extend) is here; everything else is the
// device's.

import type { HashName } from '../crypto/provider.ts';

/** One digest for each bank that the caller extends. */
export interface BankDigest {
  readonly alg: HashName;
  readonly digest: Uint8Array;
}

export interface TpmChip {
  /** Allocated banks in the order of TPM2_GetCapability(TPM_CAP_PCRS), those the kernel can map to a hash. */
  readonly banks: readonly HashName[];
  /** 0 or the TPM's response code; negative -ENODEV (-19) when the driver is gone. */
  pcrExtend(pcr: number, digests: readonly BankDigest[]): number;
  /** Value of a register, or the response code. */
  pcrRead(pcr: number, alg: HashName): Uint8Array | number;
}
