// What a relying party expects, as it is held against records: digests by path and by pattern, digests that
// are good under any name, what to leave out, trusted signing keys, golden values.

import type { HashName } from '../crypto/provider.ts';
import type { TrustedKey } from './signature.ts';

export type Matcher = (name: string) => boolean;

/** What files of a path pattern must be. */
export interface PathRule {
  readonly pattern: string;
  readonly matches: Matcher;
  /** Good digests; null: the rule says nothing of them. */
  readonly digests: ReadonlySet<string> | null;
  readonly signed: boolean;
}

/** What records with a buffer must be: keys by keyring, other data by name. */
export interface BufferRules {
  readonly keys: ReadonlyMap<string, ReadonlySet<string>>;
  readonly others: ReadonlyMap<string, ReadonlySet<string>>;
  /** Keyrings whose keys are not asked about; `*` is all of them. */
  readonly ignored: ReadonlySet<string>;
}

export type Requirement = 'quote' | 'nonce' | 'registers' | 'eventlog';

export interface AttestPolicy {
  /** Exact path -> digests. */
  readonly files: ReadonlyMap<string, ReadonlySet<string>>;
  readonly paths: readonly PathRule[];
  /** Digests that are good under any name. */
  readonly allow: ReadonlySet<string>;
  /** null: buffers are judged as files are. */
  readonly buffers: BufferRules | null;
  readonly exclude: readonly Matcher[];
  readonly keys: readonly TrustedKey[];
  readonly unlisted: 'allow' | 'deny';
  readonly violations: 'allow' | 'deny';
  readonly unknownTemplates: 'allow' | 'deny';
  readonly bootAggregate: ReadonlySet<string> | null;
  readonly registers: ReadonlyMap<HashName, ReadonlyMap<number, ReadonlySet<string>>>;
  readonly secureBoot: boolean;
  readonly require: ReadonlySet<Requirement>;
}

export const NO_POLICY: AttestPolicy = {
  files: new Map(),
  paths: [],
  allow: new Set(),
  buffers: null,
  exclude: [],
  keys: [],
  unlisted: 'allow',
  violations: 'deny',
  unknownTemplates: 'deny',
  bootAggregate: null,
  registers: new Map(),
  secureBoot: false,
  require: new Set(),
};

/** Whether a set has the digest with or without the name of its algorithm. */
export function hasDigest(set: ReadonlySet<string>, alg: string, hex: string): boolean {
  return set.has(`${alg}:${hex}`) || set.has(hex);
}
