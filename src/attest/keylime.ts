// Policies of keylime: the runtime policy (JSON with meta, digests, excludes, keyrings, ima-buf,
// verification-keys), its older allow list (`hashes`), and flat lists of `digest path` lines. Left out:
// device-mapper policies and the lists of ignored keyrings by pattern; both are said to be refused, never
// skipped.

import { utf8 } from '../base/bytes.ts';
import { fromBase64, pemEncode } from '../crypto/pem.ts';
import type { AttestPolicy, Matcher } from './policy-rules.ts';
import { readTrustedKey, type TrustedKey } from './signature.ts';
import { UnreadableError } from './verdict.ts';

const FLAT_LINE = /^((?:[0-9a-fA-F]{2}){16,64})\s+(\S.*)$/;

/** Whether a text is one of keylime's forms. */
export function isKeylime(text: string): boolean {
  const start = text.trimStart();
  if (start.startsWith('{')) return /"(digests|hashes)"\s*:/.test(text);
  const [line = ''] = start.split('\n', 1);
  return FLAT_LINE.test(line);
}

function unreadable(byte: number, message: string): UnreadableError {
  return new UnreadableError({
    artefact: 'policy',
    byte,
    record: null,
    message: `keylime policy: ${message}`,
  });
}

type Lists = Readonly<Record<string, readonly string[]>>;

interface RuntimePolicy {
  readonly digests?: Lists;
  readonly hashes?: Lists;
  readonly excludes?: readonly string[];
  readonly keyrings?: Lists;
  readonly 'ima-buf'?: Lists;
  readonly ima?: { readonly ignored_keyrings?: readonly string[]; readonly dm_policy?: unknown };
  readonly 'verification-keys'?: string | { readonly pubkeys?: readonly string[] };
}

function listsOf(name: string, lists: unknown): [string, readonly string[]][] {
  if (lists === undefined || lists === null) return [];
  if (typeof lists !== 'object') throw unreadable(0, `\`${name}\` is no object`);
  return Object.entries(lists).map(([path, list]) => {
    const values = typeof list === 'string' ? [list] : list;
    if (!Array.isArray(values) || values.some((v) => typeof v !== 'string'))
      throw unreadable(0, `\`${name}\` of ${path} is no list of digests`);
    return [path, values as readonly string[]];
  });
}

/** Python's re.match: from the start, not to the end. */
function excludeOf(source: string): Matcher {
  const regexp = new RegExp(`^(?:${source.replaceAll('\\Z', '$')})`);
  return (name) => regexp.test(name);
}

function keysOf(given: RuntimePolicy['verification-keys']): TrustedKey[] {
  if (given === undefined || given === '' || given === null) return [];
  const keys =
    typeof given === 'string' ? (JSON.parse(given) as { readonly pubkeys?: readonly string[] }) : given;
  return (keys.pubkeys ?? []).map((text) => {
    const der = fromBase64(text);
    const key = der === undefined ? null : readTrustedKey(utf8(pemEncode('PUBLIC KEY', der)));
    if (key === null) throw unreadable(0, 'verification-keys: a key that cannot be read');
    return key;
  });
}

function policyOf(files: [string, readonly string[]][], rest: Partial<AttestPolicy>): AttestPolicy {
  const map = new Map<string, ReadonlySet<string>>();
  for (const [path, list] of files) {
    const set = new Set([...(map.get(path) ?? []), ...list.map((d) => d.trim().toLowerCase())]);
    map.set(path, set);
  }
  const aggregate = map.get('boot_aggregate') ?? null;
  return {
    files: map,
    paths: [],
    allow: new Set(),
    exclude: [],
    keys: [],
    unlisted: 'deny',
    violations: 'deny',
    unknownTemplates: 'deny',
    bootAggregate: aggregate,
    registers: new Map(),
    secureBoot: false,
    require: new Set(),
    ...rest,
  };
}

function readJson(text: string): AttestPolicy {
  let policy: RuntimePolicy;
  try {
    policy = JSON.parse(text) as RuntimePolicy;
  } catch (e) {
    const position = /position (\d+)/.exec((e as Error).message);
    throw unreadable(Number(position?.[1] ?? 0), (e as Error).message);
  }
  const dm = policy.ima?.dm_policy;
  if (dm !== undefined && dm !== null)
    throw unreadable(0, 'device-mapper policies (`dm_policy`) are not supported');
  const ignored = policy.ima?.ignored_keyrings ?? [];
  const excludes = policy.excludes ?? [];
  try {
    return policyOf(
      [
        ...listsOf('digests', policy.digests),
        ...listsOf('hashes', policy.hashes),
        ...listsOf('keyrings', policy.keyrings),
        ...listsOf('ima-buf', policy['ima-buf']),
      ],
      {
        exclude: [...excludes.filter((e) => e !== '').map(excludeOf), (name) => ignored.includes(name)],
        keys: keysOf(policy['verification-keys']),
      },
    );
  } catch (e) {
    if (e instanceof SyntaxError) throw unreadable(0, e.message);
    throw e;
  }
}

function readFlat(text: string): AttestPolicy {
  const files: [string, readonly string[]][] = [];
  let at = 0;
  for (const line of text.split('\n')) {
    const m = FLAT_LINE.exec(line.trim());
    if (m !== null) files.push([m[2] ?? '', [m[1] ?? '']]);
    else if (line.trim() !== '' && !line.startsWith('#'))
      throw unreadable(at, `no digest and path: ${line.slice(0, 40)}`);
    at += line.length + 1;
  }
  return policyOf(files, {});
}

/** Reads a text that isKeylime() takes. */
export function readKeylime(text: string): AttestPolicy {
  return text.trimStart().startsWith('{') ? readJson(text) : readFlat(text);
}
