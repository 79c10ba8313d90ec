// The TPM as the kernel's driver sees it, bound when it is first needed. What the driver found is kept in the kernel's state,
// so a fork or a machine from JSON goes on without asking the device again.

import type { HashName } from '../crypto/provider.ts';
import type { BankDigest, TpmChip } from '../tpm/chip.ts';
import { TpmDriver } from '../tpm/driver.ts';
import type { Tpm } from '../tpm/tpm.ts';
import type { Kernel } from './kernel.ts';

/** @kernel drivers/char/tpm/tpm-chip.c tpm_default_chip() */
export class LateChip implements TpmChip {
  readonly #tpm: Tpm;
  readonly #kernel: () => Kernel;
  #driver: TpmDriver | null = null;

  constructor(tpm: Tpm, kernel: () => Kernel) {
    this.#tpm = tpm;
    this.#kernel = kernel;
  }

  #bound(): TpmDriver {
    if (this.#driver === null) {
      const k = this.#kernel();
      this.#driver = new TpmDriver(this.#tpm, k.state.tpmDriver);
      if (k.state.tpmDriver === null) k.state = { ...k.state, tpmDriver: this.#driver.state };
    }
    return this.#driver;
  }

  get banks(): readonly HashName[] {
    return this.#bound().banks;
  }

  pcrExtend(pcr: number, digests: readonly BankDigest[]): number {
    return this.#bound().pcrExtend(pcr, digests);
  }

  pcrRead(pcr: number, alg: HashName): Uint8Array | number {
    return this.#bound().pcrRead(pcr, alg);
  }

  /** The device is unbound from its driver; users of the chip get -ENODEV from now on. */
  unbind(): void {
    const k = this.#kernel();
    const driver = this.#bound();
    driver.unbind();
    k.state = { ...k.state, tpmDriver: driver.state };
  }
}
