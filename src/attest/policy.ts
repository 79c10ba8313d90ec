// What a relying party expects: digests by path and by pattern, digests that are good under any name, what
// to leave out, trusted signing keys, golden values. Own YAML form (docs/attestation.md); keylime's runtime
// policy and allow list are read in keylime.ts.

import { type Document, parseDocument, visit } from 'yaml';
import * as z from 'zod';
import { fromUtf8, utf8 } from '../base/bytes.ts';
import { LineIndex } from '../base/diagnostic.ts';
import type { HashName } from '../crypto/provider.ts';
import { isKeylime, readKeylime } from './keylime.ts';
import type { AttestPolicy, Matcher } from './policy-rules.ts';
import { readTrustedKey, type TrustedKey } from './signature.ts';
import { UnreadableError } from './verdict.ts';

const GLOB: Readonly<Record<string, string>> = { '**': '[\\s\\S]*', '*': '[^/]*', '?': '[^/]' };

/** `re:` and a regular expression that must fit the whole name, or a pattern of `*`, `**` and `?`. */
export function matcherOf(pattern: string): Matcher {
  const source = pattern.startsWith('re:')
    ? pattern.slice(3)
    : pattern.replace(/\*\*|[*?]|[.+^${}()|[\]\\]/g, (m) => GLOB[m] ?? `\\${m}`);
  const regexp = new RegExp(`^(?:${source})$`);
  return (name) => regexp.test(name);
}

/** A digest as policies write it, in one form: `alg:hex`, or bare hexadecimal text for any algorithm. */
export function digestKey(text: string): string {
  return text.trim().toLowerCase();
}

const digest = z.string().regex(/^(?:[a-z0-9-]+:)?(?:[0-9a-fA-F]{2}){16,64}$/, 'a digest as `sha256:ab12..`');
const digests = z.array(digest);
const pattern = z.string().min(1);
const choice = z.enum(['allow', 'deny']);
const BANKS = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'] as const;
const values = z.record(z.string().regex(/^\d{1,2}$/), z.union([digest, digests]));

/** The YAML form. */
export const policySchema = z.strictObject({
  files: z.record(z.string(), digests).optional(),
  paths: z
    .array(z.strictObject({ path: pattern, digests: digests.optional(), signed: z.boolean().optional() }))
    .optional(),
  allow: digests.optional(),
  exclude: z.array(pattern).optional(),
  'signing-keys': z.array(z.string()).optional(),
  unlisted: choice.optional(),
  violations: choice.optional(),
  'unknown-templates': choice.optional(),
  'boot-aggregate': z.union([digest, digests]).optional(),
  registers: z.partialRecord(z.enum(BANKS), values).optional(),
  'secure-boot': z.boolean().optional(),
  require: z.array(z.enum(['quote', 'nonce', 'registers', 'eventlog'])).optional(),
});

type Written = z.infer<typeof policySchema>;

function unreadable(byte: number, message: string): UnreadableError {
  return new UnreadableError({ artefact: 'policy', byte, record: null, message });
}

const setOf = (list: string | readonly string[]): ReadonlySet<string> =>
  new Set((typeof list === 'string' ? [list] : list).map(digestKey));

/** Opens files that a policy names; throws UnreadableError or gives undefined for what is not there. */
export type OpenFile = (path: string) => Uint8Array | undefined;

function keysOf(names: readonly string[], open: OpenFile): TrustedKey[] {
  return names.map((name) => {
    const bytes = name.includes('-----BEGIN') ? utf8(name) : open(name);
    if (bytes === undefined) throw unreadable(0, `the key file ${name} cannot be read`);
    const key = readTrustedKey(bytes);
    if (key === null) throw unreadable(0, `${name.slice(0, 60)} is no public key or certificate`);
    return key;
  });
}

function policyOf(w: Written, open: OpenFile): AttestPolicy {
  const restricts = [w.files, w.paths, w.allow, w['signing-keys']].some((part) => part !== undefined);
  const aggregate = w['boot-aggregate'];
  return {
    files: new Map(Object.entries(w.files ?? {}).map(([path, list]) => [path, setOf(list)])),
    paths: (w.paths ?? []).map((p) => ({
      pattern: p.path,
      matches: matcherOf(p.path),
      digests: p.digests === undefined ? null : setOf(p.digests),
      signed: p.signed === true,
    })),
    allow: setOf(w.allow ?? []),
    buffers: null,
    exclude: (w.exclude ?? []).map(matcherOf),
    keys: keysOf(w['signing-keys'] ?? [], open),
    unlisted: w.unlisted ?? (restricts ? 'deny' : 'allow'),
    violations: w.violations ?? 'deny',
    unknownTemplates: w['unknown-templates'] ?? 'deny',
    bootAggregate: aggregate === undefined ? null : setOf(aggregate),
    registers: new Map(
      Object.entries(w.registers ?? {}).map(([bank, pcrs]) => [
        bank as HashName,
        new Map(Object.entries(pcrs ?? {}).map(([pcr, list]) => [Number(pcr), setOf(list)])),
      ]),
    ),
    secureBoot: w['secure-boot'] === true,
    require: new Set(w.require ?? []),
  };
}

/** The document as plain data; an alias of nothing, or too many of them, is a mistake at its place. */
function plainOf(doc: Document, at: (offset: number) => string): unknown {
  try {
    return doc.toJS();
  } catch (e) {
    if (!(e instanceof ReferenceError)) throw e;
    let offset = 0;
    visit(doc, {
      Alias: (_, node) => {
        offset = node.range?.[0] ?? 0;
        return node.resolve(doc) === undefined ? visit.BREAK : undefined;
      },
    });
    throw unreadable(offset, `${at(offset)}: ${e.message.trim()}`);
  }
}

/** Reads a policy in any known form; throws UnreadableError with the place of a mistake. */
export function readPolicy(bytes: Uint8Array, open: OpenFile): AttestPolicy {
  const text = fromUtf8(bytes);
  if (isKeylime(text)) return readKeylime(text);
  const doc = parseDocument(text, { prettyErrors: false, logLevel: 'silent' });
  const lines = new LineIndex(text);
  const at = (offset: number): string => {
    const { line, column } = lines.position(offset);
    return `line ${line}, column ${column}`;
  };
  const [mistake] = doc.errors;
  if (mistake !== undefined) throw unreadable(mistake.pos[0], `${at(mistake.pos[0])}: ${mistake.message}`);
  const parsed = policySchema.safeParse(plainOf(doc, at) ?? {});
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const path = (issue?.path ?? []).filter((p) => typeof p !== 'symbol');
    const node = doc.getIn(path, true) as { readonly range?: readonly number[] } | undefined;
    const offset = node?.range?.[0] ?? 0;
    throw unreadable(
      offset,
      `${at(offset)}: ${path.join('.') || 'policy'}: ${issue?.message ?? 'malformed'}`,
    );
  }
  try {
    return policyOf(parsed.data, open);
  } catch (e) {
    if (e instanceof SyntaxError) throw unreadable(0, `a pattern is malformed: ${e.message}`);
    throw e;
  }
}
