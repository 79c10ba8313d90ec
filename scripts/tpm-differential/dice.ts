// Seeded choices of the differential run.

import { Random, seedRandom } from '../../src/base/random.ts';

export class Dice {
  readonly #random: Random;

  constructor(seed: string) {
    this.#random = new Random(seedRandom(seed));
  }

  /** 0 .. n - 1 */
  below(n: number): number {
    return this.#random.u32() % n;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  bytes(length: number): Uint8Array {
    return this.#random.bytes(length);
  }
}
