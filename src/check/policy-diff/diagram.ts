// Functions over a product of small sets, as decision diagrams: each node cuts one dimension into sets of
// places, equal functions are one node, so that comparing two policies costs what their conditions differ in
// and not the product of all of them. Nothing is sampled and nothing is given up.

import { type Box, lowest } from '../../ima/lint-regions.ts';

/** A function: a node, or below zero a leaf with its value. */
export type Ref = number;

interface Edge {
  readonly places: bigint;
  readonly to: Ref;
}

interface Node {
  readonly dim: number;
  readonly edges: readonly Edge[];
}

const LEAF = -1;
const leafOf = (value: number): Ref => LEAF - value;
const isLeaf = (ref: Ref): boolean => ref < 0;
const leafValue = (ref: Ref): number => LEAF - ref;

/** All diagrams over one space; values of leaves are numbers from 0. */
export class Diagrams {
  readonly full: Box;
  readonly #nodes: Node[] = [];
  readonly #unique = new Map<string, Ref>();

  constructor(full: Box) {
    this.full = full;
  }

  /** How many nodes were made. */
  get size(): number {
    return this.#nodes.length;
  }

  constant(value: number): Ref {
    return leafOf(value);
  }

  #dim(ref: Ref): number {
    return isLeaf(ref) ? this.full.length : (this.#nodes[ref] as Node).dim;
  }

  #edges(ref: Ref, dim: number): readonly Edge[] {
    if (this.#dim(ref) === dim) return (this.#nodes[ref] as Node).edges;
    return [{ places: this.full[dim] as bigint, to: ref }];
  }

  #make(dim: number, parts: readonly Edge[]): Ref {
    const joined = new Map<Ref, bigint>();
    for (const { places, to } of parts) if (places !== 0n) joined.set(to, (joined.get(to) ?? 0n) | places);
    if (joined.size === 1) return (joined.keys().next().value ?? 0) as Ref;
    const edges = [...joined].map(([to, places]) => ({ places, to })).sort((a, b) => a.to - b.to);
    const key = `${dim}|${edges.map((e) => `${e.places.toString(36)}:${e.to}`).join('|')}`;
    const known = this.#unique.get(key);
    if (known !== undefined) return known;
    this.#nodes.push({ dim, edges });
    this.#unique.set(key, this.#nodes.length - 1);
    return this.#nodes.length - 1;
  }

  /** `inside` on a box, `outside` elsewhere. */
  overlay(box: Box, inside: Ref, outside: Ref): Ref {
    const n = this.full.length;
    const next: number[] = [];
    for (let d = n, at = n; d >= 0; d--) {
      if (d < n && box[d] !== this.full[d]) at = d;
      next[d] = at;
    }
    const memo = new Map<string, Ref>();
    const walk = (from: number, a: Ref, b: Ref): Ref => {
      const cut = next[from] as number;
      if (a === b || cut === n) return a;
      const key = `${cut},${a},${b}`;
      const known = memo.get(key);
      if (known !== undefined) return known;
      const dim = Math.min(cut, this.#dim(a), this.#dim(b));
      const mask = box[dim] as bigint;
      const parts: Edge[] = [];
      for (const y of this.#edges(b, dim)) {
        parts.push({ places: y.places & ~mask, to: y.to });
        for (const x of this.#edges(a, dim)) {
          const both = x.places & y.places & mask;
          if (both !== 0n) parts.push({ places: both, to: walk(dim + 1, x.to, y.to) });
        }
      }
      const made = this.#make(dim, parts);
      memo.set(key, made);
      return made;
    };
    return walk(0, inside, outside);
  }

  map(ref: Ref, of: (value: number) => number): Ref {
    const memo = new Map<Ref, Ref>();
    const walk = (at: Ref): Ref => {
      if (isLeaf(at)) return leafOf(of(leafValue(at)));
      const known = memo.get(at);
      if (known !== undefined) return known;
      const { dim, edges } = this.#nodes[at] as Node;
      const made = this.#make(
        dim,
        edges.map((e) => ({ places: e.places, to: walk(e.to) })),
      );
      memo.set(at, made);
      return made;
    };
    return walk(ref);
  }

  combine(a: Ref, b: Ref, of: (x: number, y: number) => number): Ref {
    const memo = new Map<string, Ref>();
    const walk = (x: Ref, y: Ref): Ref => {
      if (isLeaf(x) && isLeaf(y)) return leafOf(of(leafValue(x), leafValue(y)));
      const key = `${x},${y}`;
      const known = memo.get(key);
      if (known !== undefined) return known;
      const dim = Math.min(this.#dim(x), this.#dim(y));
      const parts: Edge[] = [];
      for (const e of this.#edges(x, dim))
        for (const f of this.#edges(y, dim)) {
          const both = e.places & f.places;
          if (both !== 0n) parts.push({ places: both, to: walk(e.to, f.to) });
        }
      const made = this.#make(dim, parts);
      memo.set(key, made);
      return made;
    };
    return walk(a, b);
  }

  /** Every value that the function has on a box (default: anywhere). */
  values(ref: Ref, box: Box = this.full): ReadonlySet<number> {
    const out = new Set<number>();
    const seen = new Set<Ref>();
    const walk = (at: Ref): void => {
      if (seen.has(at)) return;
      seen.add(at);
      if (isLeaf(at)) out.add(leafValue(at));
      else {
        const { dim, edges } = this.#nodes[at] as Node;
        for (const e of edges) if ((e.places & (box[dim] as bigint)) !== 0n) walk(e.to);
      }
    };
    walk(ref);
    return out;
  }

  at(ref: Ref, point: readonly number[]): number {
    let at = ref;
    while (!isLeaf(at)) {
      const { dim, edges } = this.#nodes[at] as Node;
      const place = 1n << BigInt(point[dim] as number);
      at = (edges.find((e) => (e.places & place) !== 0n) as Edge).to;
    }
    return leafValue(at);
  }

  /** A box on which the function has the value, inside of another box; null where it never has. */
  find(ref: Ref, value: number, within: Box = this.full): Box | null {
    const dead = new Set<Ref>();
    const out = [...within];
    const walk = (at: Ref): boolean => {
      if (isLeaf(at)) return leafValue(at) === value;
      if (dead.has(at)) return false;
      const { dim, edges } = this.#nodes[at] as Node;
      for (const e of edges) {
        const both = e.places & (within[dim] as bigint);
        if (both === 0n) continue;
        out[dim] = both;
        if (walk(e.to)) return true;
      }
      out[dim] = within[dim] as bigint;
      dead.add(at);
      return false;
    };
    return walk(ref) ? out : null;
  }

  /** Makes a box as large as it can be while the function has none but the given values on it. */
  grow(ref: Ref, values: readonly number[], box: Box, order: readonly number[]): Box {
    const only = (b: Box): boolean => [...this.values(ref, b)].every((v) => values.includes(v));
    const out = [...box];
    for (const dim of order) {
      const full = this.full[dim] as bigint;
      const own = out[dim] as bigint;
      if (own === full) continue;
      out[dim] = full;
      if (only(out)) continue;
      let kept = own;
      for (let rest = full & ~own; rest !== 0n; ) {
        const place = 1n << BigInt(lowest(rest));
        rest &= ~place;
        out[dim] = place;
        if (only(out)) kept |= place;
      }
      out[dim] = kept;
    }
    return out;
  }

  /**
   * The places where the function has a value, as few large boxes; at most `limit`, and whether that is all.
   * Places with the value `free` are nowhere: boxes may cover them.
   */
  parts(
    ref: Ref,
    value: number,
    order: readonly number[],
    limit: number,
    free = -1,
  ): { readonly boxes: readonly Box[]; readonly more: boolean } {
    const set = this.map(ref, (v) => (v === value ? 1 : v === free ? 2 : 0));
    let left = set;
    const boxes: Box[] = [];
    for (let box = this.find(left, 1); box !== null; box = this.find(left, 1)) {
      if (boxes.length === limit) return { boxes, more: true };
      const grown = this.grow(set, [1, 2], box, order);
      boxes.push(grown);
      left = this.overlay(grown, this.constant(0), left);
    }
    return { boxes: this.#needed(set, boxes), more: false };
  }

  /** Boxes that no others cover together, as far as the set goes. */
  #needed(set: Ref, boxes: readonly Box[]): readonly Box[] {
    const covers = (by: readonly Box[]): boolean => {
      let left = set;
      for (const b of by) left = this.overlay(b, this.constant(0), left);
      return !this.values(left).has(1);
    };
    return boxes.reduce((kept, b) => {
      const without = kept.filter((other) => other !== b);
      return without.length > 0 && covers(without) ? without : kept;
    }, boxes);
  }
}
