// Rules that the kernel accepts and that never decide anything: nothing can match them, earlier rules of
// their class match everything that they match, or what they ask for is taken back. The answer is exact for
// the accesses that lint-regions.ts knows; a rule whose case falls into too many pieces is not reported.

import * as C from './constants.ts';
import { type Access, AccessSpace, meets, minus, type Region } from './lint-regions.ts';
import type { ImaRule } from './types.ts';

export type DeadKind =
  /** No access can meet the conditions. */
  | 'never'
  /** Only the question whether a file whose mode or owner changed is appraised can meet them. */
  | 'setattr_only'
  /** Earlier rules of the class match all that it matches. */
  | 'shadowed'
  /** A dont_ rule where nothing in the policy does what it excepts from. */
  | 'nothing_to_except'
  /** A hash rule whose files are all appraised by later rules, which takes the hash action back. */
  | 'hash_undone';

export interface DeadRule {
  readonly kind: DeadKind;
  /** Places of the rules that are the cause, in list order. */
  readonly by: readonly number[];
}

/** The class that an action decides: measure, appraise, audit or hash. */
export function classOf(action: number): number {
  if (action === C.DONT_MEASURE) return C.MEASURE;
  if (action === C.DONT_APPRAISE) return C.APPRAISE;
  return action === C.DONT_HASH ? C.IMA_HASH : action;
}

const CLASSES = [C.IMA_MEASURE, C.IMA_APPRAISE, C.IMA_AUDIT, C.IMA_HASH] as const;

/** More causes than these are not reduced to the needed ones. */
const FEW = 12;

export class PolicyAnalysis {
  readonly rules: readonly ImaRule[];
  readonly #spaces: ReadonlyMap<number, AccessSpace>;
  readonly #regions: readonly Region[];
  /** What reaches each rule past the earlier ones of its class; null where that is not known. */
  readonly #left: readonly (Region | null)[];
  readonly #dead: readonly (DeadRule | null)[];

  constructor(rules: readonly ImaRule[]) {
    this.rules = rules;
    this.#spaces = new Map(CLASSES.map((c) => [c, new AccessSpace(rules, c)]));
    this.#regions = rules.map((r) => this.space(r).region(r));
    this.#left = rules.map((_, i) => this.#reaching(i));
    this.#dead = rules.map((_, i) => this.#judge(i));
  }

  space(rule: ImaRule): AccessSpace {
    return this.#spaces.get(classOf(rule.action)) as AccessSpace;
  }

  region(i: number): Region {
    return this.#regions[i] as Region;
  }

  dead(i: number): DeadRule | null {
    return this.#dead[i] as DeadRule | null;
  }

  /** An access that this rule decides; null for a dead one, or where it is not known. */
  example(i: number): Access | null {
    const left = this.#left[i] ?? null;
    return this.dead(i) !== null || left === null ? null : this.space(this.rules[i] as ImaRule).example(left);
  }

  #earlier(i: number): number[] {
    const own = classOf((this.rules[i] as ImaRule).action);
    return this.rules.flatMap((r, j) => (j < i && classOf(r.action) === own ? [j] : []));
  }

  #reaching(i: number): Region | null {
    let left: Region | null = this.region(i);
    for (const j of this.#earlier(i)) if (left !== null) left = minus(left, this.region(j));
    return left;
  }

  #judge(i: number): DeadRule | null {
    const rule = this.rules[i] as ImaRule;
    const none = { by: [] };
    if (rule.func === C.SETXATTR_CHECK) return null;
    const region = this.region(i);
    if (region.length === 0) return { kind: 'never', ...none };
    const excepts = (rule.action & C.IMA_DO_MASK) === 0;
    if (excepts && !this.rules.some((r) => r.func !== C.SETXATTR_CHECK && r.action === classOf(rule.action)))
      return { kind: 'nothing_to_except', ...none };
    const left = this.#left[i] ?? null;
    if (left === null) return null;
    if (left.length === 0) return { kind: 'shadowed', by: this.#causes(i) };
    if (this.space(rule).onlySetattr(region)) return { kind: 'setattr_only', ...none };
    return rule.action === C.IMA_HASH ? this.#undone(i, left) : null;
  }

  /** Earlier rules that together leave nothing, without those that are not needed for it. */
  #causes(i: number): number[] {
    const covers = (by: readonly number[]): boolean => {
      let left: Region | null = this.region(i);
      for (const j of by) if (left !== null) left = minus(left, this.region(j));
      return left !== null && left.length === 0;
    };
    const near = this.#earlier(i).filter((j) => meets(this.region(i), this.region(j)));
    const alone = near.find((j) => covers([j]));
    if (alone !== undefined) return [alone];
    if (near.length > FEW) return near;
    return near.reduce((needed, j) => {
      const without = needed.filter((k) => k !== j);
      return covers(without) ? without : needed;
    }, near);
  }

  /**
   * The walk takes the hash action away when it comes to an appraise rule behind it.
   * @kernel security/integrity/ima/ima_policy.c ima_match_policy()
   */
  #undone(i: number, reaches: Region): DeadRule | null {
    const by: number[] = [];
    let left: Region | null = reaches;
    for (const [j, r] of this.rules.entries()) {
      if (left === null || left.length === 0) break;
      if (classOf(r.action) !== C.IMA_APPRAISE || !meets(left, this.region(j))) continue;
      if (j < i || r.action !== C.IMA_APPRAISE) return null;
      by.push(j);
      left = minus(left, this.region(j));
    }
    return left !== null && left.length === 0 && by.length > 0 ? { kind: 'hash_undone', by } : null;
  }
}
