// Where two IPE policies decide differently, exactly: the operation and the properties of the file that both
// policies name cut the events into finitely many, each is decided once. Digests that no kernel makes match
// nothing, and what came with the initramfs has no other property.

import { toHex } from '../../base/bytes.ts';
import { type Box, lowest } from '../../ima/lint-regions.ts';
import { matchText, ruleText, versionText } from '../../ipe/audit.ts';
import { digestIsPossible } from '../../ipe/lint.ts';
import { verToU64 } from '../../ipe/policy.ts';
import {
  IPE_OPS,
  type IpeAction,
  type IpeDigest,
  type IpeOp,
  type IpeParsedPolicy,
  type IpeProp,
  type IpeRule,
} from '../../ipe/types.ts';
import { Diagrams, type Ref } from './diagram.ts';
import { type Decider, type DiffRow, type PolicyDiff, type RuleStatus, summed } from './report.ts';

/** One event as the properties see it. */
export interface IpeEvent {
  /** Null: the kernel read something that no operation stands for. */
  readonly op: IpeOp | null;
  readonly bootVerified: boolean;
  readonly dmveritySignature: boolean;
  readonly fsveritySignature: boolean;
  /** `alg:hex` that a rule names, null for none or another one. */
  readonly roothash: string | null;
  readonly fsverityDigest: string | null;
}

const OPS: readonly (IpeOp | null)[] = [...IPE_OPS, null];
const DIM = { op: 0, boot: 1, dmSignature: 2, fsSignature: 3, roothash: 4, fsDigest: 5 } as const;
const ORDER = [DIM.fsDigest, DIM.roothash, DIM.fsSignature, DIM.dmSignature, DIM.boot, DIM.op];
const REGIONS = 6;
/** Leaves of the comparison: events that there are not, and those that both decide alike. */
const NOWHERE = 0;
const SAME = 1;

const digestText = ({ alg, digest }: IpeDigest): string => `${alg}:${toHex(digest)}`;

function propsOf(policy: IpeParsedPolicy): readonly IpeProp[] {
  return IPE_OPS.flatMap((op) => policy.ops[op].rules.flatMap((r) => r.props));
}

/** Everything that the policies of a comparison can tell apart. */
export class IpeSpace {
  readonly roothashes: readonly (string | null)[];
  readonly fsDigests: readonly (string | null)[];
  readonly full: Box;

  constructor(policies: readonly IpeParsedPolicy[]) {
    const props = policies.flatMap(propsOf);
    const named = (name: string): readonly (string | null)[] => {
      const digests = props.flatMap((p) => (p.name === name && typeof p.value === 'object' ? [p.value] : []));
      const possible = digests.filter((v) => digestIsPossible(name, v)).map(digestText);
      return [null, ...new Set(possible)];
    };
    this.roothashes = named('dmverity_roothash');
    this.fsDigests = named('fsverity_digest');
    const sizes = [OPS.length, 2, 2, 2, this.roothashes.length, this.fsDigests.length];
    this.full = sizes.map((n) => (1n << BigInt(n)) - 1n);
  }

  /** Events that a rule matches; null when there are none. */
  region(rule: IpeRule): Box | null {
    const box = [...this.full];
    box[DIM.op] = 1n << BigInt(OPS.indexOf(rule.op));
    const keep = (dim: number, places: bigint): void => {
      box[dim] = (box[dim] as bigint) & places;
    };
    for (const { name, value } of rule.props) {
      const truth = value === true ? 2n : 1n;
      if (name === 'boot_verified') keep(DIM.boot, truth);
      else if (name === 'dmverity_signature') keep(DIM.dmSignature, truth);
      else if (name === 'fsverity_signature') keep(DIM.fsSignature, truth);
      else if (typeof value === 'object') {
        const [dim, all] =
          name === 'dmverity_roothash'
            ? ([DIM.roothash, this.roothashes] as const)
            : ([DIM.fsDigest, this.fsDigests] as const);
        const at = all.indexOf(digestText(value));
        keep(dim, at < 0 ? 0n : 1n << BigInt(at));
      }
    }
    return box.some((places) => places === 0n) ? null : box;
  }

  /**
   * Events that there are: the initramfs lies on no block device, and its file system has no fs-verity.
   * @kernel security/ipe/hooks.c ipe_unpack_initramfs()
   */
  isPossible(): readonly Box[] {
    const otherwise = [...this.full];
    otherwise[DIM.boot] = 1n;
    const initramfs = [...this.full];
    initramfs[DIM.boot] = 2n;
    for (const dim of [DIM.dmSignature, DIM.fsSignature, DIM.roothash, DIM.fsDigest]) initramfs[dim] = 1n;
    return [otherwise, initramfs];
  }

  event(box: Box): IpeEvent {
    const place = (dim: number): number => lowest(box[dim] as bigint);
    return {
      op: OPS[place(DIM.op)] as IpeOp | null,
      bootVerified: place(DIM.boot) === 1,
      dmveritySignature: place(DIM.dmSignature) === 1,
      fsveritySignature: place(DIM.fsSignature) === 1,
      roothash: this.roothashes[place(DIM.roothash)] as string | null,
      fsverityDigest: this.fsDigests[place(DIM.fsDigest)] as string | null,
    };
  }

  /** A region in the words of the language. */
  text(box: Box): string {
    const words: string[] = [];
    const here = <T>(dim: number, of: readonly T[]): readonly T[] =>
      of.filter((_, i) => (((box[dim] as bigint) >> BigInt(i)) & 1n) === 1n);
    const part = (dim: number, text: () => string): void => {
      if (box[dim] !== this.full[dim]) words.push(text());
    };
    const digests = (dim: number, name: string, of: readonly (string | null)[]): string => {
      const inside = here(dim, of);
      const outside = of.filter((d) => !inside.includes(d));
      return inside.includes(null) ? `not ${name}=${outside.join(', ')}` : `${name}=${inside.join(', ')}`;
    };
    const truth = (dim: number): string => (box[dim] === 2n ? 'TRUE' : 'FALSE');
    part(
      DIM.op,
      () =>
        `op=${here(DIM.op, OPS)
          .map((op) => op ?? 'UNKNOWN')
          .join(', ')}`,
    );
    part(DIM.boot, () => `boot_verified=${truth(DIM.boot)}`);
    part(DIM.dmSignature, () => `dmverity_signature=${truth(DIM.dmSignature)}`);
    part(DIM.roothash, () => digests(DIM.roothash, 'dmverity_roothash', this.roothashes));
    part(DIM.fsSignature, () => `fsverity_signature=${truth(DIM.fsSignature)}`);
    part(DIM.fsDigest, () => digests(DIM.fsDigest, 'fsverity_digest', this.fsDigests));
    return words.length === 0 ? 'every event' : words.join(' ');
  }
}

/** What decides: rules in the order of the operations, then the defaults. */
interface Verdicts {
  readonly ref: Ref;
  readonly deciders: readonly {
    readonly line: number | null;
    readonly text: string;
    readonly action: IpeAction;
  }[];
  readonly rules: readonly IpeRule[];
}

/**
 * Which rule or default decides each event; 0 stands for events that there are not.
 * @kernel security/ipe/eval.c ipe_evaluate_event()
 */
function verdicts(d: Diagrams, space: IpeSpace, policy: IpeParsedPolicy): Verdicts {
  const deciders: { line: number | null; text: string; action: IpeAction }[] = [
    { line: null, text: '', action: 'ALLOW' },
  ];
  const add = (line: number | null, text: string, action: IpeAction): Ref => {
    deciders.push({ line, text, action });
    return d.constant(deciders.length - 1);
  };
  const rules = IPE_OPS.flatMap((op) => policy.ops[op].rules);
  const own = rules.map((r) => add(r.line, ruleText(r), r.action));
  const action = policy.globalDefaultAction ?? 'ALLOW';
  const noGlobal = policy.globalDefaultAction === null ? ' (there is no global default)' : '';
  let ref = add(null, `${matchText({ kind: 'global', action }, null)}${noGlobal}`, action);
  for (const op of IPE_OPS) {
    const { defaultAction } = policy.ops[op];
    if (defaultAction === null) continue;
    const box = [...space.full];
    box[DIM.op] = 1n << BigInt(OPS.indexOf(op));
    ref = d.overlay(
      box,
      add(null, matchText({ kind: 'table', action: defaultAction }, op), defaultAction),
      ref,
    );
  }
  for (let i = rules.length - 1; i >= 0; i--) {
    const box = space.region(rules[i] as IpeRule);
    if (box !== null) ref = d.overlay(box, own[i] as Ref, ref);
  }
  let possible = d.constant(0);
  for (const box of space.isPossible()) possible = d.overlay(box, d.constant(1), possible);
  return { ref: d.combine(ref, possible, (v, p) => v * p), deciders, rules };
}

function statuses(policy: IpeParsedPolicy): readonly RuleStatus[] {
  const space = new IpeSpace([policy]);
  const d = new Diagrams(space.full);
  const { ref, rules } = verdicts(d, space, policy);
  const deciding = d.values(ref);
  return rules.map((rule, i) => {
    const text = ruleText(rule);
    const box = space.region(rule);
    const status = (): RuleStatus['status'] => {
      if (deciding.has(i + 1)) {
        const whole = [...space.full];
        whole[DIM.op] = 1n << BigInt(OPS.indexOf(rule.op));
        const seen = [...d.values(ref, whole)].filter((v) => v !== 0);
        return seen.length === 1 ? 'always' : 'sometimes';
      }
      const there =
        box !== null &&
        space.isPossible().some((p) => p.every((x, dim) => (x & (box[dim] as bigint)) !== 0n));
      return there ? 'shadowed' : 'never matches';
    };
    return { line: rule.line, text, status: status() };
  });
}

export interface IpeDifference {
  readonly row: DiffRow;
  /** An event of it, one that a scenario can show where there is one. */
  readonly event: IpeEvent;
  readonly old: IpeAction;
  readonly new: IpeAction;
}

export interface IpeDiff {
  readonly diff: PolicyDiff;
  readonly differences: readonly IpeDifference[];
}

function witnessOf(event: IpeEvent): { readonly [member: string]: string } {
  const truth = (b: boolean): string => (b ? 'TRUE' : 'FALSE');
  return {
    op: event.op ?? 'UNKNOWN',
    boot_verified: truth(event.bootVerified),
    dmverity_signature: truth(event.dmveritySignature),
    dmverity_roothash: event.roothash ?? 'none or another one',
    fsverity_signature: truth(event.fsveritySignature),
    fsverity_digest: event.fsverityDigest ?? 'none or another one',
  };
}

function updateNotes(old: IpeParsedPolicy, now: IpeParsedPolicy): readonly string[] {
  const versions = `${versionText(old.version)} to ${versionText(now.version)}`;
  if (old.name !== now.name) return [`the names differ: ${now.name} is loaded beside ${old.name}`];
  if (verToU64(now.version) <= verToU64(old.version))
    return [
      `the kernel refuses this update with ESTALE: the version must rise, and it goes from ${versions}`,
    ];
  return [];
}

/** Exactly where two IPE policies decide differently. */
export function diffIpe(old: IpeParsedPolicy, now: IpeParsedPolicy): IpeDiff {
  const space = new IpeSpace([old, now]);
  const d = new Diagrams(space.full);
  const [a, b] = [verdicts(d, space, old), verdicts(d, space, now)];
  const width = b.deciders.length;
  const rows = d.combine(a.ref, b.ref, (x, y) => {
    const [p, q] = [a.deciders[x]?.action, b.deciders[y]?.action];
    if (x === 0) return NOWHERE;
    return p === q ? SAME : x * width + y;
  });
  const differences = [...d.values(rows)]
    .filter((v) => v !== NOWHERE && v !== SAME)
    .sort((x, y) => x - y)
    .map((value): IpeDifference => {
      const decider = ({ deciders }: Verdicts, i: number): Decider => {
        const { line = null, text = '', action = 'ALLOW' } = deciders[i] ?? {};
        return { line, text, effect: action === 'ALLOW' ? 'allowed' : 'denied' };
      };
      const { boxes, more } = d.parts(rows, value, ORDER, REGIONS, NOWHERE);
      const x = decider(a, Math.floor(value / width));
      const y = decider(b, value % width);
      const plain = [...space.full];
      for (const dim of [DIM.roothash, DIM.fsDigest]) plain[dim] = 1n;
      plain[DIM.op] = (space.full[DIM.op] as bigint) >> 1n;
      const box = d.find(rows, value, plain) ?? (d.find(rows, value) as Box);
      const event = space.event(box);
      const action = (one: Decider): IpeAction => (one.effect === 'allowed' ? 'ALLOW' : 'DENY');
      const row: DiffRow = {
        kind: y.effect === 'allowed' ? 'newly allowed' : 'newly denied',
        old: x,
        new: y,
        regions: boxes.map((r) => space.text(r)),
        more,
        witness: witnessOf(event),
      };
      return { row, event, old: action(x), new: action(y) };
    });
  const rules = { old: statuses(old), new: statuses(now) };
  const diff = summed(
    'ipe',
    differences.map((x) => x.row),
    rules,
    updateNotes(old, now),
  );
  return { diff, differences };
}
