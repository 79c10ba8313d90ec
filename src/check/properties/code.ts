// Promises about the bytes of code: that only what the owner vouches for runs, that what runs was measured
// before, and that a verdict is about the bytes that are used.

import { Set as ImmutableSet } from 'immutable';
import { toHex } from '../../base/bytes.ts';
import { toArray } from '../../base/list.ts';
import { templateFields } from '../../ima/template.ts';
import type { TemplateEntry } from '../../ima/types.ts';
import { fileContentHash } from '../../integrity/hash-info.ts';
import type { Content } from '../../vfs/types.ts';
import { contentName } from '../contents.ts';
import { coverOf } from '../cover.ts';
import type { Transition } from '../node.ts';
import { type Finding, type Property, property } from '../property.ts';
import type { Subject } from '../subject.ts';
import { type CodeUse, usesOf } from '../uses.ts';

const article = (kind: string): string => (/^[aeiou]/.test(kind) ? 'an' : 'a');

/** How the last step of a counterexample shows that code was used. */
function useExpect(t: Transition): Finding['expect'] {
  const { exit } = t.result;
  return { err: 'OK', ...(typeof exit === 'number' ? { exit } : {}) };
}

function stranger(use: CodeUse, t: Transition): Finding {
  const at = use.check?.kind === 'ima.check' ? use.check : null;
  return {
    what: `${article(use.kind)} ${use.kind} ran whose bytes nobody vouches for: ${use.path}`,
    event: at ?? use.ipe,
    object: use.path,
    ...coverOf(use, t.before, 'appraise'),
    expect: useExpect(t),
  };
}

export const onlySignedCodeRuns = property(
  'only-signed-code-runs',
  'No program, script, library, module, firmware or kernel is used whose bytes the owner does not vouch for.',
  (t, subject) => {
    const use = usesOf(t).find((u) => u.content === null || !subject.trusted.has(contentName(u.content)));
    return use === undefined ? null : stranger(use, t);
  },
);

const DIGEST_FIELDS: readonly string[] = ['d-ngv2', 'd-ng', 'd'];

/** Digest of an entry as `algorithm:hex`; plain hex of the old template counts as sha1. */
export function digestOf(entry: TemplateEntry): string {
  const ids = templateFields(entry.template);
  const at = ids.findIndex((id) => DIGEST_FIELDS.includes(id));
  const field = entry.fields[at];
  if (field === undefined) return '';
  const colon = field.indexOf(0x3a);
  if (colon < 0) return `sha1:${toHex(field)}`;
  const text = String.fromCharCode(...field.subarray(0, colon));
  return `${text.split(':').at(-1) ?? ''}:${toHex(field.subarray(colon + 2))}`;
}

/** Digests in the list, and how many entries were read. */
export interface Measured {
  readonly length: number;
  readonly digests: ImmutableSet<string>;
}

export const NOTHING_MEASURED: Measured = { length: 0, digests: ImmutableSet() };

export function measuredIn(list: Transition['after']['machine']['ima']['list'], before: Measured): Measured {
  if (list.length === before.length) return before;
  const from = list.length < before.length ? NOTHING_MEASURED : before;
  const added = toArray(list, from.length).map(digestOf);
  return { length: list.length, digests: from.digests.union(added) };
}

/** Whether the digest of a content stands in the list, by any algorithm that the list uses. */
export function isMeasured({ digests }: Measured, content: Content, algorithm: string): boolean {
  return [algorithm, 'sha1', 'sha256', 'sha512'].some((alg) => {
    const digest = fileContentHash(alg, content);
    return digest !== null && digests.has(`${alg}:${toHex(digest)}`);
  });
}

function unmeasured(use: CodeUse, t: Transition): Finding {
  const what =
    use.check?.reason === 'ima.nothing_left' ? 'the list has other bytes of it' : 'the list does not have it';
  return {
    what: `${article(use.kind)} ${use.kind} was used before it was measured: ${use.path}, ${what}`,
    event: use.check,
    object: use.path,
    ...coverOf(use, t.before, 'measure'),
    expect: useExpect(t),
  };
}

export const measuredBeforeUse: Property<Measured> = {
  name: 'measured-before-use',
  sentence: 'When code is used, the measurement list has an entry with the digest of its very bytes.',
  start: (subject: Subject) => measuredIn(subject.start.machine.ima.list, NOTHING_MEASURED),
  watch: (before, t) => {
    const memory = measuredIn(t.after.machine.ima.list, before);
    const { hashAlgo } = t.after.machine.ima;
    const use = usesOf(t).find((u) => u.content === null || !isMeasured(memory, u.content, hashAlgo));
    return { memory, finding: use === undefined ? null : unmeasured(use, t) };
  },
};

function staleUse(use: CodeUse, t: Transition): boolean {
  if (use.inode === null || use.content === null) return false;
  const iint = t.after.machine.ima.iint.get(use.inode.key);
  if (iint === undefined || iint.hash === null) return false;
  const digest = fileContentHash(iint.hash.alg, use.content);
  return digest !== null && toHex(digest) !== toHex(iint.hash.digest);
}

export const noStaleVerdict = property(
  'no-stale-verdict',
  'The bytes that are used are the bytes that were judged.',
  (t) => {
    const use = usesOf(t).find((u) => u.check?.kind !== 'ima.buffer' && staleUse(u, t));
    if (use === undefined) return null;
    return {
      what: `${use.path} was judged with other bytes than those that were used`,
      event: use.check,
      object: use.path,
      ...coverOf(use, t.before, 'appraise'),
      expect: useExpect(t),
    };
  },
);
