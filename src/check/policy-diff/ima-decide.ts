// What an IMA policy decides on every access at once, as diagrams over the places that two policies tell
// apart: which rule decides each class of action, and what follows from it for appraisal, measurement, audit,
// hash labels and the flags that go to the inode's record.

import * as C from '../../ima/constants.ts';
import { classOf } from '../../ima/lint-dead.ts';
import { type AccessSpace, type Box, DIM, type HookPlace } from '../../ima/lint-regions.ts';
import type { ImaRule } from '../../ima/types.ts';
import { HASH_ALGO_NAME } from '../../integrity/hash-info.ts';
import type { Diagrams, Ref } from './diagram.ts';
import type { ImaSide } from './ima-side.ts';

/** What one aspect of a decision is; equal texts are equal decisions. */
export interface Effect {
  readonly key: string;
  /** As a reader sees it: `measured into PCR 11`. */
  readonly text: string;
  readonly measure?: true;
  /** Labels that let an access through: names of kinds, and a bit set of algorithms. */
  readonly accepts?: { readonly kinds: readonly string[]; readonly algos: number };
  readonly on?: boolean;
}

/** Effects by number, the same for both policies. */
export class Effects {
  readonly #all: Effect[] = [];
  readonly #ids = new Map<string, number>();

  id(effect: Effect): number {
    const known = this.#ids.get(effect.key);
    if (known !== undefined) return known;
    this.#all.push(effect);
    this.#ids.set(effect.key, this.#all.length - 1);
    return this.#all.length - 1;
  }

  get(id: number): Effect {
    return this.#all[id] as Effect;
  }
}

export const CLASSES = [C.IMA_MEASURE, C.IMA_APPRAISE, C.IMA_AUDIT, C.IMA_HASH] as const;
export type ActionClass = (typeof CLASSES)[number];

const ALL_ALGOS = (1 << HASH_ALGO_NAME.length) - 1;
const ALL_KINDS: readonly string[] = [
  'no label',
  'hash',
  'imasig',
  'fs-verity hash',
  'fs-verity imasig',
  'sigv3',
  'modsig',
  'revoked signature',
];
const NOT_APPRAISED: Effect = {
  key: 'a0',
  text: 'not appraised',
  accepts: { kinds: ALL_KINDS, algos: ALL_ALGOS },
};
const NOTHING: Effect = { key: '-', text: 'nothing', on: false };

const has = (rule: ImaRule, flag: number): boolean => (rule.flags & flag) !== 0;
/** Of a buffer only the measurement is asked for. */
const isBuffer = (hook: HookPlace): boolean => hook.func >= C.KEXEC_CMDLINE;
const does = (rule: ImaRule | undefined): boolean =>
  rule !== undefined && (rule.action & C.IMA_DO_MASK) !== 0;

/**
 * Which labels a rule lets through.
 * @kernel security/integrity/ima/ima_appraise.c xattr_verify()
 */
function appraised(rule: ImaRule, verity: boolean): Effect {
  const kinds: string[] = [];
  if (has(rule, C.IMA_DIGSIG_REQUIRED)) kinds.push(verity ? 'sigv3' : 'imasig');
  else if (verity) kinds.push('fs-verity hash', 'fs-verity imasig', 'sigv3');
  else kinds.push('hash', 'imasig', 'sigv3');
  if (has(rule, C.IMA_MODSIG_ALLOWED)) kinds.push('modsig');
  const needs = kinds.join(' or ');
  if (!has(rule, C.IMA_CHECK_BLACKLIST)) kinds.push('revoked signature');
  const algos = has(rule, C.IMA_VALIDATE_ALGOS) ? rule.allowedAlgos : ALL_ALGOS;
  const names = HASH_ALGO_NAME.filter((_, i) => (algos & (1 << i)) !== 0);
  const only = algos === ALL_ALGOS ? '' : ` (${names.join(', ')})`;
  const revoked = has(rule, C.IMA_CHECK_BLACKLIST) ? '' : ', revoked ones too';
  const signed = has(rule, C.IMA_DIGSIG_REQUIRED) ? revoked : '';
  return {
    key: `a:${kinds.join()}:${algos}`,
    text: `needs ${needs}${only}${signed}`,
    accepts: { kinds, algos },
  };
}

function measured(rule: ImaRule, verity: boolean, buffer: boolean): Effect {
  // At buffers a rule with pcr=0 means the configured register.
  const own = has(rule, C.IMA_PCR) ? rule.pcr : 10;
  const pcr = buffer && own === 0 ? 10 : own;
  const template = rule.template === null ? '' : rule.template.name || rule.template.fmt;
  const as = [
    ...(pcr === 10 ? [] : [`into PCR ${pcr}`]),
    ...(template === '' ? [] : [`as ${template}`]),
    ...(verity ? ['by fs-verity digest'] : []),
  ].join(' ');
  return {
    key: `m:${pcr}:${template}:${verity}`,
    text: as === '' ? 'measured' : `measured ${as}`,
    measure: true,
    on: true,
  };
}

/** Diagrams of one policy. */
export class Decisions {
  readonly #d: Diagrams;
  readonly #space: AccessSpace;
  readonly #rules: readonly ImaRule[];
  readonly #side: ImaSide;
  readonly #effects: Effects;
  /** Rule + 1 that decides a class; 0: none. */
  readonly #chains: ReadonlyMap<ActionClass, Ref>;
  readonly #verity: Ref;

  constructor(d: Diagrams, space: AccessSpace, side: ImaSide, effects: Effects) {
    this.#d = d;
    this.#space = space;
    this.#side = side;
    this.#rules = side.rules.map((r) => r.rule);
    this.#effects = effects;
    this.#chains = new Map(CLASSES.map((c) => [c, this.#chain(c)]));
    this.#verity = this.#flag(C.IMA_VERITY_REQUIRED);
  }

  #hooks(which: (hook: HookPlace) => boolean): Box {
    let places = 0n;
    for (const [i, h] of this.#space.hooks.entries()) if (which(h)) places |= 1n << BigInt(i);
    return this.#d.full.map((full, dim) => (dim === DIM.hook ? places : full));
  }

  /** On the question whether a file would be appraised, one value; the other elsewhere. */
  #onMust(must: Ref, elsewhere: Ref): Ref {
    return this.#d.overlay(
      this.#hooks((h) => h.mustAppraise === true),
      must,
      elsewhere,
    );
  }

  /** Whether ima_policy_flag has an action of the class. */
  #acts(own: ActionClass): boolean {
    return this.#rules.some((r) => r.action === own && r.func !== C.SETXATTR_CHECK);
  }

  /**
   * The first rule that matches decides its class; a class that no rule acts on is not asked about.
   * @kernel security/integrity/ima/ima_policy.c ima_match_policy()
   */
  #chain(own: ActionClass): Ref {
    const d = this.#d;
    const none = d.constant(0);
    // ima_must_appraise() asks about appraisal and hash labels whatever the policy's flags are.
    const always = own === C.IMA_APPRAISE || own === C.IMA_HASH;
    const asked = this.#acts(own);
    if (!asked && !always) return none;
    let out = none;
    for (let i = this.#rules.length - 1; i >= 0; i--) {
      const rule = this.#rules[i] as ImaRule;
      if (classOf(rule.action) !== own) continue;
      for (const box of this.#space.region(rule)) out = d.overlay(box, d.constant(i + 1), out);
    }
    if (!always) return this.#onMust(none, out);
    return asked ? out : this.#onMust(out, none);
  }

  /** Only where a file is used. */
  #onUse(value: Ref): Ref {
    return this.#d.overlay(
      this.#hooks((h) => h.mustAppraise === true || isBuffer(h)),
      this.#nothing(),
      value,
    );
  }

  /** Whether the class of a rule is asked about at all. */
  asksFor(rule: ImaRule): boolean {
    return this.#acts(classOf(rule.action) as ActionClass);
  }

  /** Whether a rule decides every use of a file (or buffer) at its hook, or at every hook. */
  always(i: number): boolean {
    const rule = this.#rules[i] as ImaRule;
    const named = has(rule, C.IMA_FUNC);
    const at = this.#hooks((h) => h.mustAppraise !== true && (named ? h.func === rule.func : !isBuffer(h)));
    const seen = this.#d.values(this.chain(classOf(rule.action) as ActionClass), at);
    return seen.size === 1 && seen.has(i + 1);
  }

  chain(own: ActionClass): Ref {
    return this.#chains.get(own) as Ref;
  }

  #rule(leaf: number): ImaRule | undefined {
    return leaf === 0 ? undefined : this.#rules[leaf - 1];
  }

  /** A flag counts whichever class's rule brings it. */
  #flag(flag: number): Ref {
    let out = this.#d.constant(0);
    for (const c of CLASSES) {
      const own = this.#d.map(this.chain(c), (leaf) => {
        const rule = this.#rule(leaf);
        return rule !== undefined && has(rule, flag) ? 1 : 0;
      });
      out = this.#d.combine(out, own, (a, b) => a | b);
    }
    return out;
  }

  #id(effect: Effect): number {
    return this.#effects.id(effect);
  }

  #nothing(): Ref {
    return this.#d.constant(this.#id(NOTHING));
  }

  appraise(): Ref {
    const out = this.#d.combine(this.chain(C.IMA_APPRAISE), this.#verity, (leaf, verity) => {
      const rule = this.#rule(leaf);
      return this.#id(rule === undefined || !does(rule) ? NOT_APPRAISED : appraised(rule, verity === 1));
    });
    return this.#onUse(out);
  }

  measure(): Ref {
    const none: Effect = { key: 'm0', text: 'not measured', measure: true, on: false };
    const of = (buffer: boolean): Ref =>
      this.#d.combine(this.chain(C.IMA_MEASURE), this.#verity, (leaf, verity) => {
        const rule = this.#rule(leaf);
        const on = rule !== undefined && does(rule);
        return this.#id(on ? measured(rule, verity === 1 && !buffer, buffer) : none);
      });
    return this.#onMust(this.#nothing(), this.#d.overlay(this.#hooks(isBuffer), of(true), of(false)));
  }

  audit(): Ref {
    const off: Effect = { key: 'u0', text: 'no audit record', on: false };
    const out = this.#d.combine(this.chain(C.IMA_AUDIT), this.#verity, (leaf, verity) => {
      if (leaf === 0) return this.#id(off);
      const by = verity === 1 ? ' of the fs-verity digest' : '';
      return this.#id({ key: `u1${by}`, text: `audit record${by}`, on: true });
    });
    return this.#onUse(out);
  }

  /** An appraise rule behind the hash rule takes the action back. */
  hash(): Ref {
    const off: Effect = { key: 'h0', text: 'no hash label', on: false };
    const out = this.#d.combine(this.chain(C.IMA_HASH), this.chain(C.IMA_APPRAISE), (h, a) => {
      const undone = a > h && does(this.#rule(a));
      const on = does(this.#rule(h)) && !undone;
      return this.#id(on ? { key: 'h1', text: 'hash label', on: true } : off);
    });
    return this.#onUse(out);
  }

  /**
   * Whether a new file, or one whose mode or owner changed, has its label kept (any action or flag counts).
   * @kernel security/integrity/ima/ima_appraise.c ima_must_appraise()
   */
  keepsLabel(): Ref {
    const counts = (leaf: number): boolean => {
      const rule = this.#rule(leaf);
      return rule !== undefined && (does(rule) || has(rule, C.IMA_NONACTION_FLAGS));
    };
    const kept = this.#id({ key: 'k1', text: 'label looked after', on: true });
    const left = this.#id({ key: 'k0', text: 'label left alone', on: false });
    let out = this.#d.combine(this.chain(C.IMA_APPRAISE), this.chain(C.IMA_HASH), (a, h) =>
      counts(a) || counts(h) ? kept : left,
    );
    const setattr = this.#hooks((h) => h.func === C.POST_SETATTR);
    if (!this.#acts(C.IMA_APPRAISE)) out = this.#d.overlay(setattr, this.#d.constant(left), out);
    if (!CLASSES.some((c) => this.#acts(c))) out = this.#d.constant(left);
    return this.#onMust(out, this.#nothing());
  }

  /** Flags in the inode's record that the other aspects do not show. */
  flags(): Ref {
    const d = this.#d;
    const fail = this.#side.failUnverifiableSigs ? 4 : 0;
    const cached = d.map(this.chain(C.IMA_APPRAISE), (leaf) => {
      const rule = this.#rule(leaf);
      return rule === undefined || !does(rule) ? 0 : fail | (has(rule, C.IMA_FUNC) ? 0 : 8);
    });
    const files = this.#hooks((h) => h.func === C.FILE_CHECK || h.func === C.POST_SETATTR);
    // At FILE_CHECK the verdict is kept as one of FILE_CHECK in either case.
    const own = d.overlay(
      files,
      d.map(cached, (v) => v & ~8),
      cached,
    );
    const directio = d.map(this.#flag(C.IMA_PERMIT_DIRECTIO), (v) => v * 2);
    const bits = d.combine(
      d.combine(own, directio, (a, b) => a | b),
      this.#verity,
      (a, b) => a | b,
    );
    const texts = [
      [1, 'fs-verity digest'],
      [2, 'direct I/O permitted'],
      [4, 'refused where signatures cannot be verified'],
      [8, 'verdict kept as one of FILE_CHECK'],
    ] as const;
    const out = d.map(bits, (v) => {
      const text = texts.flatMap(([bit, t]) => ((v & bit) !== 0 ? [t] : [])).join(', ');
      return this.#id({ key: `f${v}`, text: text === '' ? 'no further flag' : text });
    });
    return this.#onUse(out);
  }
}
