// Policies of keylime: the runtime policy (JSON with meta, digests, excludes, keyrings, ima-buf,
// verification-keys), its older allow list (`hashes`, ima_sign_verification_keys), and flat lists of
// `digest path` lines. Left out: device-mapper policies, which are refused and never skipped.

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

interface KeySet {
  readonly pubkeys?: readonly string[];
  readonly keyids?: readonly (number | null)[];
}

interface RuntimePolicy {
  readonly meta?: { readonly version?: unknown };
  readonly digests?: Lists;
  readonly hashes?: Lists;
  readonly excludes?: readonly string[];
  readonly exclude?: readonly string[];
  readonly keyrings?: Lists;
  readonly 'ima-buf'?: Lists;
  readonly ima?: { readonly ignored_keyrings?: readonly string[]; readonly dm_policy?: unknown };
  readonly 'verification-keys'?: string | KeySet | null;
  readonly ima_sign_verification_keys?: string | KeySet | null;
}

/** Where a member of a JSON text stands; 0 when it cannot be found. */
type PlaceOf = (member: string) => number;

function placesIn(text: string): PlaceOf {
  return (member) => utf8(text.slice(0, Math.max(0, text.indexOf(`"${member}"`)))).length;
}

function listsOf(name: string, lists: unknown, place: PlaceOf): [string, readonly string[]][] {
  if (lists === undefined || lists === null) return [];
  if (typeof lists !== 'object' || Array.isArray(lists))
    throw unreadable(place(name), `\`${name}\` is no object`);
  return Object.entries(lists).map(([path, list]) => {
    const values = typeof list === 'string' ? [list] : list;
    if (!Array.isArray(values) || values.some((v) => typeof v !== 'string'))
      throw unreadable(place(path), `\`${name}\` of ${path} is no list of digests`);
    return [path, values as readonly string[]];
  });
}

/** Python's re.match: from the start, not to the end. */
function excludeOf(source: string): Matcher {
  const regexp = new RegExp(`^(?:${source.replaceAll('\\Z', '$')})`);
  return (name) => regexp.test(name);
}

/** Keys as keylime stores them: base64 of DER, with the identifier that signatures name where it is given. */
function keysOf(member: string, given: string | KeySet | null | undefined, place: PlaceOf): TrustedKey[] {
  if (given === undefined || given === '' || given === null) return [];
  let set: unknown = given;
  // What comes out of a database is text in a text.
  for (let depth = 0; typeof set === 'string' && depth < 2; depth++) {
    try {
      set = JSON.parse(set);
    } catch (e) {
      throw unreadable(place(member), `\`${member}\`: ${(e as Error).message}`);
    }
  }
  const { pubkeys = [], keyids = [] } = (set ?? {}) as KeySet;
  if (!Array.isArray(pubkeys)) throw unreadable(place(member), `\`${member}\` has no list \`pubkeys\``);
  return pubkeys.map((text: unknown, i) => {
    const der = typeof text === 'string' ? fromBase64(text) : undefined;
    const key = der === undefined ? null : readTrustedKey(utf8(pemEncode('PUBLIC KEY', der)));
    if (key === null) throw unreadable(place(member), `\`${member}\`: key ${i} cannot be read`);
    const id = keyids[i];
    return typeof id === 'number' ? { ...key, ids: [...key.ids, id >>> 0] } : key;
  });
}

function digestMap(lists: [string, readonly string[]][]): ReadonlyMap<string, ReadonlySet<string>> {
  const map = new Map<string, ReadonlySet<string>>();
  for (const [path, list] of lists)
    map.set(path, new Set([...(map.get(path) ?? []), ...list.map((d) => d.trim().toLowerCase())]));
  return map;
}

function policyOf(files: [string, readonly string[]][], rest: Partial<AttestPolicy>): AttestPolicy {
  const map = digestMap(files);
  const aggregate = map.get('boot_aggregate') ?? null;
  return {
    files: map,
    paths: [],
    allow: new Set(),
    buffers: null,
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
  const place = placesIn(text);
  const dm = policy.ima?.dm_policy;
  if (dm !== undefined && dm !== null)
    throw unreadable(place('dm_policy'), 'device-mapper policies (`dm_policy`) are not supported');
  const version = policy.meta?.version;
  if (version !== undefined && typeof version !== 'number')
    throw unreadable(place('version'), '`version` is no number');
  const excludes = [
    ...textsOf('excludes', policy.excludes, place),
    ...textsOf('exclude', policy.exclude, place),
  ];
  const lists = (name: 'digests' | 'hashes' | 'keyrings' | 'ima-buf'): [string, readonly string[]][] =>
    listsOf(name, policy[name], place);
  return policyOf([...lists('digests'), ...lists('hashes')], {
    buffers: {
      keys: digestMap(lists('keyrings')),
      others: digestMap(lists('ima-buf')),
      ignored: new Set(textsOf('ignored_keyrings', policy.ima?.ignored_keyrings, place)),
    },
    exclude: excludes.filter((e) => e !== '').map((e) => excludeAt(e, place('excludes'))),
    keys: [
      ...keysOf('verification-keys', policy['verification-keys'], place),
      ...keysOf('ima_sign_verification_keys', policy.ima_sign_verification_keys, place),
    ],
  });
}

function textsOf(name: string, list: unknown, place: PlaceOf): readonly string[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list) || list.some((e) => typeof e !== 'string'))
    throw unreadable(place(name), `\`${name}\` is no list of texts`);
  return list as readonly string[];
}

function excludeAt(source: string, byte: number): Matcher {
  try {
    return excludeOf(source);
  } catch (e) {
    throw unreadable(byte, (e as Error).message);
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
