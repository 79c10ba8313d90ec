// The TPM as the kernel's driver sees it, bound when it is first needed. What the driver found is kept in
// the kernel's state, so a fork or a machine from JSON goes on without asking the device again.

import { assert } from '../base/assert.ts';
import { fromHex } from '../base/bytes.ts';
import type { HashName } from '../crypto/provider.ts';
import type { BankDigest, TpmChip } from '../tpm/chip.ts';
import { TpmDriver } from '../tpm/driver.ts';
import type { Tpm } from '../tpm/tpm.ts';
import type { Kernel } from './kernel.ts';

const SHUTDOWN = {
  clear: fromHex('80010000000c000001450000'),
  state: fromHex('80010000000c000001450001'),
} as const;

/** The machine, as far as the driver reaches it. */
interface Board {
  readonly tpm: Tpm | null;
  readonly kernel: Kernel;
}

/** @kernel drivers/char/tpm/tpm-chip.c tpm_default_chip() */
export class LateChip implements TpmChip {
  readonly #board: Board;
  #driver: TpmDriver | null = null;

  constructor(board: Board) {
    this.#board = board;
  }

  #bound(): TpmDriver {
    if (this.#driver === null) {
      const { kernel: k, tpm } = this.#board;
      assert(tpm !== null, 'a driver without a device');
      this.#driver = new TpmDriver(tpm, k.state.tpmDriver);
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

  /** Banks of the device, also after the driver let go of it. */
  get allBanks(): readonly HashName[] {
    return this.#bound().state.banks;
  }

  /** The driver that found the device still has it. */
  get bound(): boolean {
    return this.#board.kernel.state.tpmNumber === 0;
  }

  /** A command from user space or from the driver's own code. */
  execute(command: Uint8Array): Uint8Array {
    const { tpm } = this.#board;
    assert(tpm !== null, 'a driver without a device');
    return tpm.execute(command);
  }

  /**
   * TPM2_Shutdown before the TPM may lose its power: the driver sends it when the machine goes down or to
   * sleep, and when it lets go of the device. Without a driver nobody does.
   * @kernel drivers/char/tpm/tpm-chip.c tpm_class_shutdown(); tpm-interface.c tpm_pm_suspend()
   */
  shutdown(type: 'clear' | 'state'): void {
    if (this.#board.kernel.state.tpmNumber !== null) this.execute(SHUTDOWN[type]);
  }

  /** A register through whatever driver instance is bound now; -ENODEV without one. */
  readBound(pcr: number, alg: HashName): Uint8Array | number {
    const { kernel, tpm } = this.#board;
    if (kernel.state.tpmNumber === null || tpm === null) return -19;
    if (kernel.state.tpmNumber === 0) return this.pcrRead(pcr, alg);
    return new TpmDriver(tpm, { banks: this.allBanks, gone: false }).pcrRead(pcr, alg);
  }

  /** Another kernel takes over: its driver asks the device anew. */
  rebind(): void {
    this.#driver = null;
  }

  /** The device is unbound from its driver; users of the chip get -ENODEV from now on. */
  unbind(): void {
    const k = this.#board.kernel;
    const driver = this.#bound();
    driver.unbind();
    k.state = { ...k.state, tpmDriver: driver.state };
  }
}
