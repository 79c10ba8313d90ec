// The answer of a comparison of two policies, the same for IMA and IPE: differences with the rules that
// decide on both sides, in words and as values, what one policy implies about the other, and what each
// rule is good for.

/** What is different, from OLD to NEW. */
export type DiffKind =
  | 'newly denied'
  | 'newly allowed'
  | 'denied otherwise'
  | 'newly measured'
  | 'newly unmeasured'
  | 'measured otherwise'
  | 'newly audited'
  | 'no longer audited'
  | 'audited otherwise'
  | 'newly hashed'
  | 'no longer hashed'
  | 'label newly kept'
  | 'label no longer kept'
  | 'other flags';

/** Order of the rows: what breaks or opens a machine first. */
export const DIFF_KINDS: readonly DiffKind[] = [
  'newly denied',
  'newly allowed',
  'denied otherwise',
  'newly unmeasured',
  'newly measured',
  'measured otherwise',
  'no longer audited',
  'newly audited',
  'audited otherwise',
  'no longer hashed',
  'newly hashed',
  'label no longer kept',
  'label newly kept',
  'other flags',
];

/** What decides on one side. */
export interface Decider {
  /** Line of the file; null for a rule of the kernel, a default, or where no rule decides. */
  readonly line: number | null;
  /** The rule or default; null where none decides. */
  readonly text: string | null;
  readonly effect: string;
}

export interface DiffRow {
  readonly kind: DiffKind;
  readonly old: Decider;
  readonly new: Decider;
  /** The events, as few large regions; `and more` where they are too many to write down. */
  readonly regions: readonly string[];
  readonly more: boolean;
  /** One event of it: member and value. */
  readonly witness: { readonly [member: string]: string };
}

/** What a rule does in its policy. */
export interface RuleStatus {
  readonly line: number | null;
  readonly text: string;
  /**
   * `always`: it decides every event of its kind; `sometimes`; `never matches`: nothing can meet it;
   * `shadowed`: earlier rules decide all that it matches; `never asked`: an exception where no rule acts.
   */
  readonly status: 'always' | 'sometimes' | 'never matches' | 'shadowed' | 'never asked';
}

export interface PolicyDiff {
  readonly kind: 'ima' | 'ipe';
  readonly equivalent: boolean;
  /** Everything that NEW lets through OLD lets through as well, and the other way round. */
  readonly newImpliesOld: boolean;
  readonly oldImpliesNew: boolean;
  readonly rows: readonly DiffRow[];
  readonly rules: { readonly old: readonly RuleStatus[]; readonly new: readonly RuleStatus[] };
  /** What has to be known besides. */
  readonly notes: readonly string[];
}

/** Answers of both kinds follow from the rows alone. */
export function summed(
  kind: PolicyDiff['kind'],
  rows: readonly DiffRow[],
  rules: PolicyDiff['rules'],
  notes: readonly string[],
): PolicyDiff {
  const has = (...kinds: readonly DiffKind[]): boolean => rows.some((r) => kinds.includes(r.kind));
  return {
    kind,
    equivalent: rows.length === 0,
    newImpliesOld: !has('newly allowed', 'denied otherwise'),
    oldImpliesNew: !has('newly denied', 'denied otherwise'),
    rows: rows.toSorted((a, b) => DIFF_KINDS.indexOf(a.kind) - DIFF_KINDS.indexOf(b.kind)),
    rules,
    notes,
  };
}
