// zod's issues as diagnostics for people: the place in the text, plain words, the user's own value in
// backticks and, where a word is unknown, the words that are near. Of a failed union the branch that fits
// the value best is the one reported.

import type * as z from 'zod';
import { type Diagnostic, didYouMean } from '../base/diagnostic.ts';
import type { PathStep, Source } from './source.ts';

type Issue = z.core.$ZodIssue;

/** Names that an object at a path may hold; for hints about unknown members. */
export type KnownKeys = (path: readonly PathStep[]) => readonly string[];

function show(value: unknown): string {
  if (typeof value === 'string') return `\`${value.length > 40 ? `${value.slice(0, 40)}...` : value}\``;
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a map' : `\`${String(value)}\``;
}

const KIND: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
  undefined: 'nothing',
};

function valueAt(value: unknown, path: readonly PathStep[]): unknown {
  let at = value;
  for (const step of path) {
    if (at === null || typeof at !== 'object') return undefined;
    at = (at as Record<string, unknown>)[String(step)];
  }
  return at;
}

/**
 * How badly a union's branch fits: a wrong type at the top is worst, then unknown members, then the number
 * of issues.
 */
function misfit(issues: readonly Issue[]): number {
  let score = 0;
  for (const issue of issues) {
    if (issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value'))
      score += 100;
    else if (issue.code === 'unrecognized_keys') score += 10 * issue.keys.length;
    else score += 5;
  }
  return score;
}

/**
 * Replaces failed unions by the issues of their best branch; several branches that fit equally stay a
 * union.
 */
function flatten(issue: Issue, prefix: readonly PropertyKey[]): readonly Issue[] {
  const path = [...prefix, ...issue.path];
  if (issue.code !== 'invalid_union') return [{ ...issue, path } as Issue];
  const ranked = issue.errors
    .map((issues) => ({ issues: issues as readonly Issue[], score: misfit(issues as readonly Issue[]) }))
    .sort((a, b) => a.score - b.score);
  const best = ranked[0];
  if (best === undefined || best.score >= 100) return [{ ...issue, path } as Issue];
  if (
    ranked[1] !== undefined &&
    ranked[1].score === best.score &&
    best.issues.some((i) => i.code === 'unrecognized_keys')
  )
    return [{ ...issue, path } as Issue];
  return best.issues.flatMap((i) => flatten(i, path));
}

/** Words that a union offers at its top, for "expected ...". */
function unionWords(issue: Issue & { code: 'invalid_union' }): string {
  const words = new Set<string>();
  for (const branch of issue.errors) {
    const top = branch.find((i) => i.path.length === 0);
    if (top?.code === 'invalid_type') words.add(KIND[top.expected] ?? top.expected);
    else if (top?.code === 'invalid_value') for (const v of top.values) words.add(`\`${String(v)}\``);
  }
  const list = [...words];
  return list.length <= 1 ? (list[0] ?? 'another form') : `${list.slice(0, -1).join(', ')} or ${list.at(-1)}`;
}

interface Found {
  readonly code: string;
  readonly message: string;
  readonly help: string | null;
}

function missing(path: readonly PathStep[]): Found {
  const name = path.at(-1);
  return { code: 'scenario.missing', message: `\`${name}\` is missing`, help: null };
}

function wrongType(expected: string, value: unknown, path: readonly PathStep[]): Found {
  const message = `\`${path.at(-1) ?? 'the document'}\` must be ${KIND[expected] ?? expected}, not ${show(value)}`;
  const quoted = expected === 'string' && typeof value === 'number';
  return { code: 'scenario.type', message, help: quoted ? `put quotes around it: "${value}"` : null };
}

function describe(issue: Issue, value: unknown, path: readonly PathStep[]): Found {
  const name = `\`${path.at(-1) ?? 'the document'}\``;
  switch (issue.code) {
    case 'invalid_type':
      return value === undefined ? missing(path) : wrongType(issue.expected, value, path);
    case 'invalid_value': {
      if (value === undefined) return missing(path);
      const values = issue.values.map(String);
      const near = typeof value === 'string' ? didYouMean(value, values) : undefined;
      const all = values.length <= 12 ? `one of ${values.map((v) => `\`${v}\``).join(', ')}` : null;
      return { code: 'scenario.value', message: `${name} cannot be ${show(value)}`, help: near ?? all };
    }
    case 'too_big':
    case 'too_small': {
      const [word, bound] =
        issue.code === 'too_big' ? ['at most', issue.maximum] : ['at least', issue.minimum];
      const what =
        issue.origin === 'array' ? `needs ${word} ${bound} item${Number(bound) === 1 ? '' : 's'}` : null;
      const text =
        issue.origin === 'string'
          ? `needs ${word} ${bound} character${Number(bound) === 1 ? '' : 's'}`
          : null;
      const message = what ?? text ?? `must be ${word} ${bound}, not ${show(value)}`;
      return { code: 'scenario.range', message: `${name} ${message}`, help: null };
    }
    case 'invalid_format': {
      const plain = issue.message.startsWith('Invalid') ? `in the form ${issue.format}` : issue.message;
      return { code: 'scenario.format', message: `${name} must be ${plain}, not ${show(value)}`, help: null };
    }
    case 'invalid_key': {
      const inner = issue.issues[0]?.message ?? 'another name';
      return { code: 'scenario.key', message: `the name ${name} must be ${inner}`, help: null };
    }
    case 'invalid_union': {
      if (value === undefined) return missing(path);
      const own = issue.message.startsWith('Invalid') ? `expected ${unionWords(issue)}` : issue.message;
      return { code: 'scenario.form', message: `${name} has an unknown form`, help: own };
    }
    default:
      return { code: 'scenario.invalid', message: `${name}: ${issue.message}`, help: null };
  }
}

/** Diagnostics of a failed parse; `prefix` is where the parsed value stands in the document. */
export function issueDiagnostics(
  source: Source,
  prefix: readonly PathStep[],
  issues: readonly Issue[],
  known: KnownKeys,
): readonly Diagnostic[] {
  const out: Diagnostic[] = [];
  for (const issue of issues.flatMap((i) => flatten(i, []))) {
    const path = [...prefix, ...issue.path.map((p) => (typeof p === 'symbol' ? String(p) : p))];
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const span = source.keySpan([...path, key]);
        const names = known(path);
        const list = names.length > 0 && names.length <= 24 ? `known here: ${names.join(', ')}` : null;
        const help = didYouMean(key, names) ?? list;
        out.push(source.diagnostic(span, 'scenario.unknown_key', `unknown key \`${key}\``, help));
      }
      continue;
    }
    const found = describe(issue, valueAt(source.value, path), path);
    const absent = found.code === 'scenario.missing';
    const parent = path.slice(0, -1);
    const span = absent
      ? parent.length > 0 && typeof parent.at(-1) === 'string'
        ? source.keySpan(parent)
        : source.span(parent)
      : issue.code === 'invalid_key'
        ? source.keySpan(path)
        : source.span(path);
    out.push(source.diagnostic(span, found.code, found.message, found.help));
  }
  return out;
}

function objectIn(schema: z.core.$ZodType, key: PathStep): readonly z.core.$ZodType[] {
  const def = schema._zod.def as unknown as {
    readonly type: string;
    readonly innerType?: z.core.$ZodType;
    readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
    readonly element?: z.core.$ZodType;
    readonly valueType?: z.core.$ZodType;
    readonly options?: readonly z.core.$ZodType[];
  };
  if (def.innerType !== undefined) return objectIn(def.innerType, key);
  if (def.options !== undefined) return def.options.flatMap((o) => objectIn(o, key));
  if (def.shape !== undefined) {
    const member = def.shape[String(key)];
    return member === undefined ? [] : [member];
  }
  if (def.element !== undefined) return [def.element];
  return def.valueType === undefined ? [] : [def.valueType];
}

function keysOf(schema: z.core.$ZodType): readonly string[] {
  const def = schema._zod.def as unknown as {
    readonly innerType?: z.core.$ZodType;
    readonly shape?: object;
    readonly options?: readonly z.core.$ZodType[];
  };
  if (def.innerType !== undefined) return keysOf(def.innerType);
  if (def.options !== undefined) return [...new Set(def.options.flatMap(keysOf))];
  return def.shape === undefined ? [] : Object.keys(def.shape);
}

/** The member names that a schema allows at a path below it. */
export function knownKeys(schema: z.core.$ZodType, path: readonly PathStep[]): readonly string[] {
  let at: readonly z.core.$ZodType[] = [schema];
  for (const step of path) at = at.flatMap((s) => objectIn(s, step));
  return [...new Set(at.flatMap(keysOf))];
}
