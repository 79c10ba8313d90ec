// Makes a differing case small: cuts the ops after the first difference, then takes away runs of ops, lines of policies,
// words of the command line and arguments, as long as the case still differs (delta debugging). The number of tries is
// bounded, because each costs a boot of the real kernel.

import type { Case, Op } from './dice.ts';

/** True when the case still differs. */
export type StillDiffers = (candidate: Case) => boolean;

export interface Shrunk {
  readonly smallest: Case;
  readonly tries: number;
  /** Nothing smaller is left to try; false when the tries were used up. */
  readonly finished: boolean;
}

class Budget {
  #left: number;
  readonly #differs: StillDiffers;
  readonly #seen = new Map<string, boolean>();

  constructor(differs: StillDiffers, tries: number) {
    this.#differs = differs;
    this.#left = tries;
  }

  get left(): number {
    return this.#left;
  }

  try(candidate: Case): boolean {
    const key = JSON.stringify(candidate);
    const known = this.#seen.get(key);
    if (known !== undefined) return known;
    if (this.#left <= 0) return false;
    this.#left -= 1;
    const verdict = this.#differs(candidate);
    this.#seen.set(key, verdict);
    return verdict;
  }
}

/** The smallest part of a list that `keeps` is true for, found by taking away halves, quarters and so on. */
export function reduceList<T>(list: readonly T[], keeps: (part: readonly T[]) => boolean): readonly T[] {
  let best = list;
  let size = Math.max(1, best.length >> 1);
  for (;;) {
    let smaller = false;
    for (let at = best.length - size; at > -size; at -= size) {
      const from = Math.max(0, at);
      const part = [...best.slice(0, from), ...best.slice(at + size)];
      if (part.length === best.length || !keeps(part)) continue;
      best = part;
      smaller = true;
    }
    if (size > 1) size = Math.min(size >> 1, Math.max(1, best.length >> 1));
    else if (!smaller) return best;
  }
}

/** Keeps the first `at` ops if that is enough. */
function cutTail(c: Case, at: number, budget: Budget): Case {
  const candidate = { ...c, ops: c.ops.slice(0, at) };
  return at < c.ops.length && budget.try(candidate) ? candidate : c;
}

function withOp(c: Case, at: number, op: Op): Case {
  return { ...c, ops: c.ops.map((o, i) => (i === at ? op : o)) };
}

/** Takes away lines of policies. */
function reducePolicies(c: Case, budget: Budget): Case {
  let best = c;
  for (const [i, op] of c.ops.entries()) {
    const text = op['data'];
    if (op.op !== 'policy_row' || typeof text !== 'string') continue;
    const lines = text.split('\n').filter((l) => l !== '');
    if (lines.length < 2) continue;
    const end = text.endsWith('\n') ? '\n' : '';
    const write = (part: readonly string[]): Op => ({ ...op, data: part.join('\n') + end });
    const kept = reduceList(lines, (part) => part.length > 0 && budget.try(withOp(best, i, write(part))));
    if (kept.length < lines.length) best = withOp(best, i, write(kept));
  }
  return best;
}

/** Arguments that a case is simpler without. */
const OPTIONAL = ['uid', 'euid', 'gid', 'actor', 'mode', 'flags', 'xflags', 'note'];

function reduceArguments(c: Case, budget: Budget): Case {
  let best = c;
  for (const i of c.ops.keys()) {
    for (const name of OPTIONAL) {
      const op = best.ops[i];
      if (op === undefined || !(name in op)) continue;
      const { [name]: _, ...rest } = op;
      const candidate = withOp(best, i, rest as Op);
      if (budget.try(candidate)) best = candidate;
    }
  }
  return best;
}

function reduceMachine(c: Case, budget: Budget): Case {
  let best = c;
  for (const member of ['kernel', 'notpm', 'drives', 'kexec']) {
    if (!(member in best)) continue;
    const { [member]: _, ...rest } = best;
    if (budget.try(rest as Case)) best = rest as Case;
  }
  const words = (best.cmdline ?? '').split(' ').filter((w) => w !== '');
  if (words.length === 0) return best;
  const kept = reduceList(words, (part) => budget.try({ ...best, cmdline: part.join(' ') }));
  return kept.length < words.length ? { ...best, cmdline: kept.join(' ') } : best;
}

function reduceOps(c: Case, member: 'ops' | 'stage2', budget: Budget): Case {
  const ops = c[member];
  if (ops === undefined) return c;
  return { ...c, [member]: reduceList(ops, (part) => budget.try({ ...c, [member]: part })) };
}

/** Shrinks a case that differs; `at` is how many ops reach to its first difference, null when only the end differs. */
export function shrink(c: Case, at: number | null, differs: StillDiffers, tries: number): Shrunk {
  const budget = new Budget(differs, tries);
  let best = at === null ? c : cutTail(c, at, budget);
  for (let before = ''; before !== JSON.stringify(best) && budget.left > 0; ) {
    before = JSON.stringify(best);
    best = reduceOps(best, 'stage2', budget);
    best = reduceOps(best, 'ops', budget);
    best = reducePolicies(best, budget);
    best = reduceMachine(best, budget);
    best = reduceArguments(best, budget);
  }
  return { smallest: best, tries: tries - budget.left, finished: budget.left > 0 };
}
