// The exhaustive search: breadth first over everything that the powers can do, one place of the search for
// each abstract state, so the first counterexample is a shortest one. Where it ends without one, there is
// none of so many actions.

import { StateKeys } from './abstract.ts';
import { type CheckNode, pathTo } from './node.ts';
import { advance, type Broken, candidates, type Search, startNode } from './search.ts';

export interface ExhaustiveOptions {
  readonly depth: number;
  /** Only every n-th action of the start, from the i-th on. */
  readonly shard?: { readonly index: number; readonly of: number };
  /** True when the search shall end here; asked now and then. */
  readonly stop?: () => boolean;
  readonly progress?: (states: number, transitions: number, depth: number) => void;
}

export interface ExhaustiveResult {
  readonly broken: Broken | null;
  /** The depth that was searched to its end. */
  readonly depth: number;
  readonly states: number;
  readonly transitions: number;
  /** Whether the search came to its end. */
  readonly complete: boolean;
}

const ASK_EVERY = 256;

class Exhaustive {
  readonly #search: Search;
  readonly #options: ExhaustiveOptions;
  readonly #keys = new StateKeys();
  readonly #seen = new Set<string>();
  #sinceAsked = 0;

  constructor(search: Search, options: ExhaustiveOptions) {
    this.#search = search;
    this.#options = options;
  }

  #key(node: CheckNode): string {
    const words = this.#search.properties.map((p, i) => p.key?.(node.memories[i]) ?? '');
    return this.#keys.of(node.now, words);
  }

  #stopped(depth: number): boolean {
    if (++this.#sinceAsked < ASK_EVERY) return false;
    this.#sinceAsked = 0;
    const { stop, progress } = this.#options;
    progress?.(this.#seen.size, this.#search.tally.transitions, depth);
    return stop?.() === true;
  }

  #result(broken: Broken | null, depth: number, complete: boolean): ExhaustiveResult {
    const { transitions } = this.#search.tally;
    return { broken, depth, states: this.#seen.size, transitions, complete };
  }

  run(): ExhaustiveResult {
    const start = startNode(this.#search);
    this.#seen.add(this.#key(start));
    let layer: readonly CheckNode[] = [start];
    const { depth: limit, shard } = this.#options;
    for (let depth = 1; depth <= limit; depth++) {
      const next: CheckNode[] = [];
      const last = depth === limit;
      for (const node of layer) {
        for (const [i, action] of candidates(this.#search, node).entries()) {
          if (depth === 1 && shard !== undefined && i % shard.of !== shard.index) continue;
          const { node: reached, broken } = advance(this.#search, node, action, () => pathTo(node));
          if (broken !== null) return this.#result(broken, depth, true);
          if (this.#stopped(depth)) return this.#result(null, depth - 1, false);
          const key = this.#key(reached);
          if (this.#seen.has(key)) continue;
          this.#seen.add(key);
          if (!last) next.push(reached);
        }
      }
      // Nothing new can be reached: deeper searches would find the same.
      if (next.length === 0 && !last) return this.#result(null, limit, true);
      layer = next;
    }
    return this.#result(null, limit, true);
  }
}

/** Searches all sequences of up to `depth` actions. */
export function exhaustive(search: Search, options: ExhaustiveOptions): ExhaustiveResult {
  return new Exhaustive(search, options).run();
}
