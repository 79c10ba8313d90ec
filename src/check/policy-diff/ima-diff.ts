// Where two IMA policies decide differently, exactly: the places that the conditions of both tell apart
// are compared aspect by aspect, and what differs is told by the two rules that decide and by as few large
// regions as describe it.

import * as C from '../../ima/constants.ts';
import { classOf } from '../../ima/lint-dead.ts';
import { type Access, AccessSpace, type Box, DIM } from '../../ima/lint-regions.ts';
import { HASH_ALGO_NAME } from '../../integrity/hash-info.ts';
import { Diagrams, type Ref } from './diagram.ts';
import { type ActionClass, CLASSES, Decisions, type Effect, Effects } from './ima-decide.ts';
import type { ImaSide } from './ima-side.ts';
import { pickAccess } from './ima-witness.ts';
import { accessWords, regionText } from './ima-words.ts';
import {
  type Decider,
  type DiffKind,
  type DiffRow,
  type PolicyDiff,
  type RuleStatus,
  summed,
} from './report.ts';

/** Regions that are written down for one row. */
const REGIONS = 6;

/** Dimensions in the order in which a region is made large: what says least about it first. */
function growOrder(full: Box): readonly number[] {
  const last = [DIM.fowner, DIM.fs, DIM.uid, DIM.euid, DIM.hook] as readonly number[];
  return [...full.keys()].filter((d) => !last.includes(d)).concat(last);
}

interface Aspect {
  readonly value: (d: Decisions) => Ref;
  readonly rule: ActionClass | 'any';
  readonly kind: (old: Effect, now: Effect) => DiffKind;
}

const subset = (a: readonly string[], b: readonly string[]): boolean => a.every((x) => b.includes(x));

function verdictKind(old: Effect, now: Effect): DiffKind {
  const [a, b] = [old.accepts, now.accepts];
  if (a === undefined || b === undefined) return 'denied otherwise';
  const oldInNew = subset(a.kinds, b.kinds) && (a.algos & ~b.algos) === 0;
  const newInOld = subset(b.kinds, a.kinds) && (b.algos & ~a.algos) === 0;
  return newInOld ? 'newly denied' : oldInNew ? 'newly allowed' : 'denied otherwise';
}

const turned =
  (on: DiffKind, off: DiffKind, other: DiffKind): Aspect['kind'] =>
  (old, now) =>
    old.on === now.on ? other : now.on === true ? on : off;

/** Flags come last: they are told only where nothing else differs. */
const ASPECTS: readonly Aspect[] = [
  { value: (d) => d.appraise(), rule: C.IMA_APPRAISE, kind: verdictKind },
  {
    value: (d) => d.measure(),
    rule: C.IMA_MEASURE,
    kind: turned('newly measured', 'newly unmeasured', 'measured otherwise'),
  },
  {
    value: (d) => d.audit(),
    rule: C.IMA_AUDIT,
    kind: turned('newly audited', 'no longer audited', 'audited otherwise'),
  },
  {
    value: (d) => d.hash(),
    rule: C.IMA_HASH,
    kind: turned('newly hashed', 'no longer hashed', 'other flags'),
  },
  {
    value: (d) => d.keepsLabel(),
    rule: 'any',
    kind: turned('label newly kept', 'label no longer kept', 'other flags'),
  },
  { value: (d) => d.flags(), rule: 'any', kind: () => 'other flags' },
];

/** A difference with everything that a scenario is made of. */
export interface ImaDifference {
  readonly row: DiffRow;
  readonly access: Access;
  /** The access can be carried out by steps of a scenario, as far as ids and file systems go. */
  readonly plain: boolean;
  readonly old: Effect;
  readonly new: Effect;
}

/** Two policies over the places that either of them tells apart. */
export class ImaComparison {
  readonly space: AccessSpace;
  readonly diagrams: Diagrams;
  readonly old: Decisions;
  readonly new: Decisions;
  readonly #effects = new Effects();
  readonly #sides: readonly [ImaSide, ImaSide];
  readonly #order: readonly number[];

  constructor(old: ImaSide, now: ImaSide) {
    this.#sides = [old, now];
    const rules = [...old.rules, ...now.rules].map((r) => r.rule);
    this.space = new AccessSpace(rules, C.IMA_APPRAISE);
    this.diagrams = new Diagrams(this.space.full);
    this.old = new Decisions(this.diagrams, this.space, old, this.#effects);
    this.new = new Decisions(this.diagrams, this.space, now, this.#effects);
    this.#order = growOrder(this.space.full);
  }

  effect(id: number): Effect {
    return this.#effects.get(id);
  }

  /** What both decide, aspect by aspect: the functions that are compared. */
  aspects(): readonly (readonly [old: Ref, now: Ref])[] {
    return ASPECTS.map(({ value }) => [value(this.old), value(this.new)]);
  }

  /** Every difference, one for each pair of effects and deciding rules. */
  differences(): readonly ImaDifference[] {
    const d = this.diagrams;
    const out: ImaDifference[] = [];
    let differs = d.constant(0);
    for (const aspect of ASPECTS) {
      const [a, b] = [aspect.value(this.old), aspect.value(this.new)];
      const pairs = new Numbers();
      let pair = d.combine(a, b, (x, y) => (x === y ? 0 : pairs.id([x, y])));
      if (aspect === ASPECTS.at(-1)) pair = d.combine(pair, differs, (p, known) => (known === 1 ? 0 : p));
      differs = d.combine(differs, pair, (known, p) => (known === 1 || p !== 0 ? 1 : 0));
      if (pair === d.constant(0)) continue;
      const by = d.combine(this.#deciders(this.old, aspect), this.#deciders(this.new, aspect), (x, y) =>
        pairs.id([-1, x, y]),
      );
      const rows = d.combine(pair, by, (p, r) => (p === 0 ? 0 : pairs.id([-2, p, r])));
      for (const row of [...d.values(rows)].filter((v) => v !== 0).sort((x, y) => x - y)) {
        const [, p = 0, r = 0] = pairs.get(row);
        out.push(this.#difference(aspect, rows, row, pairs.get(p), pairs.get(r)));
      }
    }
    return out;
  }

  /** Rule + 1 that is named for an aspect; where flags of several count, the first one that acts. */
  #deciders(side: Decisions, { rule }: Aspect): Ref {
    if (rule !== 'any') return side.chain(rule);
    const d = this.diagrams;
    return [C.IMA_APPRAISE, C.IMA_HASH, C.IMA_MEASURE, C.IMA_AUDIT].reduce(
      (out, c) => d.combine(out, side.chain(c as ActionClass), (x, y) => (x === 0 ? y : x)),
      d.constant(0),
    );
  }

  #decider(side: 0 | 1, leaf: number, effect: Effect): Decider {
    const rule = leaf === 0 ? undefined : this.#sides[side].rules[leaf - 1];
    return { line: rule?.line ?? null, text: rule?.text ?? null, effect: effect.text };
  }

  #difference(
    aspect: Aspect,
    rows: Ref,
    row: number,
    [x = 0, y = 0]: readonly number[],
    [, ruleOld = 0, ruleNew = 0]: readonly number[],
  ): ImaDifference {
    const { boxes, more } = this.diagrams.parts(rows, row, this.#order, REGIONS);
    const [old, now] = [this.effect(x), this.effect(y)];
    const { access, plain } = pickAccess(this.space, this.diagrams, rows, row);
    return {
      row: {
        kind: aspect.kind(old, now),
        old: this.#decider(0, ruleOld, old),
        new: this.#decider(1, ruleNew, now),
        regions: boxes.map((b) => regionText(this.space, b)),
        more,
        witness: accessWords(this.space, access),
      },
      access,
      plain,
      old,
      new: now,
    };
  }
}

/** Tuples of numbers as numbers from 1. */
class Numbers {
  readonly #all: (readonly number[])[] = [[]];
  readonly #ids = new Map<string, number>();

  id(tuple: readonly number[]): number {
    const key = tuple.join();
    let known = this.#ids.get(key);
    if (known === undefined) {
      known = this.#all.length;
      this.#all.push(tuple);
      this.#ids.set(key, known);
    }
    return known;
  }

  get(id: number): readonly number[] {
    return this.#all[id] as readonly number[];
  }
}

const BUFFERS = [
  [
    C.IMA_APPRAISE_POLICY,
    'POLICY_CHECK',
    'rules written to the policy node, not given by the path of a file',
  ],
  [C.IMA_APPRAISE_KEXEC, 'KEXEC_KERNEL_CHECK', 'kexec_load(2), which has no file'],
  [
    C.IMA_APPRAISE_MODULES,
    'MODULE_CHECK',
    'init_module(2), which has no file, where the kernel enforces no signature',
  ],
  [C.IMA_APPRAISE_FIRMWARE, 'FIRMWARE_CHECK', 'firmware that comes as a buffer'],
] as const;

/**
 * What an appraise rule means for the same data without a file, and which labels can be written at all.
 * @kernel security/integrity/ima/ima_main.c ima_load_data()
 */
function wholePolicyRows(old: ImaSide, now: ImaSide): readonly DiffRow[] {
  const out: DiffRow[] = [];
  const sides = [old, now] as const;
  for (const [bit, func, event] of BUFFERS) {
    const [a, b] = sides.map((s) => (s.appraise & bit) !== 0);
    if (a === b) continue;
    const [x, y] = sides.map((s, i): Decider => {
      const at = s.rules.find((r) => r.rule.action === C.APPRAISE && C.FUNC_TOKENS[r.rule.func] === func);
      return { line: at?.line ?? null, text: at?.text ?? null, effect: [a, b][i] ? 'refused' : 'not asked' };
    }) as [Decider, Decider];
    const kind: DiffKind = b ? 'newly denied' : 'newly allowed';
    out.push({ kind, old: x, new: y, regions: [event], more: false, witness: { event } });
  }
  const all = (1 << HASH_ALGO_NAME.length) - 1;
  const algos = sides.map((s) => s.setxattrAlgos || all) as [number, number];
  if (algos[0] === algos[1]) return out;
  const [x, y] = sides.map((s, i): Decider => {
    const at = s.rules.find((r) => r.rule.func === C.SETXATTR_CHECK);
    const names = HASH_ALGO_NAME.filter((_, n) => ((algos[i] as number) & (1 << n)) !== 0);
    const effect = algos[i] === all ? 'any algorithm' : names.join(', ');
    return { line: at?.line ?? null, text: at?.text ?? null, effect };
  }) as [Decider, Decider];
  const lost = algos[0] & ~algos[1];
  const won = algos[1] & ~algos[0];
  const kind = lost !== 0 && won !== 0 ? 'denied otherwise' : lost !== 0 ? 'newly denied' : 'newly allowed';
  const names = HASH_ALGO_NAME.filter((_, n) => ((lost | won) & (1 << n)) !== 0);
  const event = `setxattr of security.ima with ${names.join(', ')}`;
  out.push({ kind, old: x, new: y, regions: [event], more: false, witness: { event, hash: names[0] ?? '' } });
  return out;
}

/** What each rule is good for in its own policy. */
function statuses(side: ImaSide): readonly RuleStatus[] {
  const rules = side.rules.map((r) => r.rule);
  const space = new AccessSpace(rules, C.IMA_APPRAISE);
  const d = new Diagrams(space.full);
  const own = new Decisions(d, space, side, new Effects());
  const deciding = new Set(CLASSES.flatMap((c) => [...d.values(own.chain(c))]));
  return side.rules.map(({ rule, line, text }, i) => {
    const status = (): RuleStatus['status'] => {
      if (rule.func === C.SETXATTR_CHECK && rules.findIndex((r) => r.func === rule.func) === i)
        return 'always';
      const flagged = (rule.flags & C.IMA_NONACTION_FLAGS) !== 0;
      if (!own.asksFor(rule) && !flagged) return 'never asked';
      if (deciding.has(i + 1)) return own.always(i) ? 'always' : 'sometimes';
      const there = new AccessSpace(rules, classOf(rule.action)).region(rule);
      return there.length === 0 ? 'never matches' : 'shadowed';
    };
    return { line, text, status: status() };
  });
}

export interface ImaDiff {
  readonly diff: PolicyDiff;
  readonly differences: readonly ImaDifference[];
}

/** Exactly where two IMA policies decide differently. */
export function diffIma(old: ImaSide, now: ImaSide): ImaDiff {
  const differences = new ImaComparison(old, now).differences();
  const rows = [...differences.map((x) => x.row), ...wholePolicyRows(old, now)];
  const labelled = [...old.rules, ...now.rules].some(({ rule }) => rule.lsm.some((c) => c !== null));
  const notes = labelled
    ? ['labels are taken as known to the security module; where none knows them, their rules match nothing']
    : [];
  const rules = { old: statuses(old), new: statuses(now) };
  return { diff: summed('ima', rows, rules, notes), differences };
}
