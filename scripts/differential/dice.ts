// What a group of random cases is made of: the form of a case as the real kernel's runner takes it, the dice that
// generators throw, and the interface that groups/<letter>.ts fulfils. Every throw is a draw from fast-check, so a
// case follows from seed and path alone, in every version of Node.

import fc from 'fast-check';

export type Op = { readonly op: string; readonly [argument: string]: unknown };

export type Case = {
  readonly about: string;
  readonly cmdline?: string;
  readonly ops: readonly Op[];
  readonly stage2?: readonly Op[];
  readonly [member: string]: unknown;
};

/** A group of random cases: groups/<letter>.ts exports one under the name `group`. */
export interface Group {
  /** What the group asks, in a few words. */
  readonly title: string;
  readonly cases: fc.Arbitrary<Case>;
}

export class Dice {
  readonly #draw: (max: number) => number;

  /** `draw(max)` gives a whole number from 0 to max. */
  constructor(draw: (max: number) => number) {
    this.#draw = draw;
  }

  below(n: number): number {
    return this.#draw(n - 1);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  shuffle<T>(list: readonly T[]): T[] {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }

  /** A list with what `make` gives, or an empty one. */
  some<T>(percent: number, make: () => T): T[] {
    return this.chance(percent) ? [make()] : [];
  }

  /** `from` to `to` things, both included. */
  several<T>(from: number, to: number, make: () => T): T[] {
    return Array.from({ length: from + this.below(to - from + 1) }, make);
  }
}

/** An arbitrary of what `make` builds with dice; without fast-check's preference for small numbers. */
export function thrown<T>(make: (dice: Dice) => T): fc.Arbitrary<T> {
  return fc.noBias(fc.gen().map((draw) => make(new Dice((max) => draw(fc.nat, { max })))));
}

/** A group of cases of several kinds, each as often as its weight says. */
export function groupOf(title: string, kinds: readonly (readonly [number, (dice: Dice) => Case])[]): Group {
  const weighted = kinds.map(([weight, make]) => ({ weight, arbitrary: thrown(make) }));
  return { title, cases: fc.noBias(fc.oneof(...weighted)) };
}

/** Case number `path` of a seed. */
export function sampleCase(group: Group, seed: number, path: number): Case {
  const [made] = fc.sample(group.cases, { seed, path: String(path), numRuns: 1 });
  if (made === undefined) throw new Error(`no case at path ${path} of seed ${seed}`);
  return made;
}
