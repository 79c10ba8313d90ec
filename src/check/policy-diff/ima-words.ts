// Regions of accesses in the words of the policy language: `func=BPRM_CHECK fowner>=1000`, and single accesses
// as member and value.

import { maskText } from '../../explain/policy.ts';
import * as C from '../../ima/constants.ts';
import {
  type Access,
  type AccessSpace,
  type Box,
  DIM,
  type HookPlace,
  MAX_ID,
  MAX_OWNER,
  OTHER,
} from '../../ima/lint-regions.ts';
import { LSM_FIELDS } from '../../ima/types.ts';
import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE } from '../../vfs/constants.ts';

const inside = (bits: bigint, i: number): boolean => ((bits >> BigInt(i)) & 1n) === 1n;
const chosen = <T>(of: readonly T[], bits: bigint): readonly T[] => of.filter((_, i) => inside(bits, i));

/** New files and `POST_SETATTR` are questions about a label, not accesses. */
function hookText({ func, mustAppraise }: HookPlace): string {
  if (func === C.POST_SETATTR) return 'change of mode or owner';
  if (mustAppraise === true) return 'file made by mknod or O_TMPFILE';
  return C.FUNC_TOKENS[func] as string;
}

const isUse = (h: HookPlace): boolean => h.mustAppraise !== true && h.func < C.KEXEC_CMDLINE;

/** Hooks by name; with the masks where not all of a hook are meant. */
function hookNames(hooks: readonly HookPlace[], here: readonly HookPlace[]): string {
  const names = [...new Set(here.map(hookText))].map((name) => {
    const [all, own] = [hooks, here].map((list) => list.filter((h) => hookText(h) === name));
    if (own?.length === all?.length) return name;
    return `${name} ${masksText(all ?? [], own ?? [])}`;
  });
  return names.join(', ');
}

/** Masks as one condition where there is one: `mask=^MAY_READ`. */
function masksText(all: readonly HookPlace[], own: readonly HookPlace[]): string {
  if (own.length === 1) return `mask=${maskText(own[0]?.mask ?? 0)}`;
  const bits = [MAY_READ, MAY_WRITE, MAY_EXEC, MAY_APPEND];
  const exactly = (holds: (mask: number) => boolean): boolean =>
    all.every((h) => own.includes(h) === holds(h.mask));
  const any = bits.find((b) => exactly((mask) => (mask & b) !== 0));
  if (any !== undefined) return `mask=^${maskText(any)}`;
  const but = bits.find((b) => exactly((mask) => mask !== b));
  if (but !== undefined) return `not mask=${maskText(but)}`;
  for (const b of bits)
    if (exactly((mask) => (mask & b) !== 0 && mask !== b))
      return `mask=^${maskText(b)} not mask=${maskText(b)}`;
  return `mask=${own.map((h) => maskText(h.mask)).join(' or ')}`;
}

function hooksText(hooks: readonly HookPlace[], bits: bigint): string {
  const here = chosen(hooks, bits);
  const uses = here.filter(isUse);
  const [buffers, questions] = [
    here.filter((h) => h.func >= C.KEXEC_CMDLINE),
    here.filter((h) => h.mustAppraise === true),
  ];
  const missing = hooks.filter((h) => isUse(h) && !uses.includes(h));
  const parts: string[] = [];
  if (missing.length === 0) parts.push('every use of a file');
  else if (missing.length < uses.length)
    parts.push(`every use of a file but func=${hookNames(hooks, missing)}`);
  else if (uses.length > 0) parts.push(`func=${hookNames(hooks, uses)}`);
  if (buffers.length > 0) parts.push(`func=${hookNames(hooks, buffers)}`);
  if (questions.length > 0) parts.push(hookNames(hooks, questions));
  return parts.join(' or ');
}

function listText(keyword: string, all: readonly string[], bits: bigint): string {
  const other = all.indexOf(OTHER);
  const shown = (names: readonly string[]): string => names.map((n) => n || 'none of these').join(', ');
  if (other >= 0 && inside(bits, other)) {
    const outside = all.filter((n, i) => n !== OTHER && !inside(bits, i));
    return `not ${keyword}=${shown(outside)}`;
  }
  return `${keyword}=${shown(chosen(all, bits))}`;
}

type FsPlace = AccessSpace['fs'][number];

/** Places of a set as names, by what the set depends on; null where it does not depend on that alone. */
function byKey(fs: readonly FsPlace[], bits: bigint, key: 'name' | 'magic'): string | null {
  const keys = [...new Set(fs.map((f) => f[key]))];
  const state = (k: string): boolean | null => {
    const own = [...fs.keys()].filter((i) => fs[i]?.[key] === k);
    const here = own.filter((i) => inside(bits, i)).length;
    return here === 0 ? false : here === own.length ? true : null;
  };
  const states = new Map(keys.map((k) => [k, state(k)]));
  if ([...states.values()].includes(null)) return null;
  const word = (k: string): string => {
    if (key === 'name') return k;
    const known = [...new Set(fs.filter((f) => f.magic === k && f.name !== OTHER).map((f) => f.name))];
    return `0x${k}${known.length > 0 ? ` (${known.join('/')})` : ''}`;
  };
  const negated = states.get(OTHER) === true;
  const shown = keys.filter((k) => k !== OTHER && states.get(k) !== negated).map(word);
  return `${negated ? 'not ' : ''}fs${key}=${shown.join(', ')}`;
}

function fsText(fs: readonly FsPlace[], bits: bigint): string {
  const alone = byKey(fs, bits, 'name') ?? byKey(fs, bits, 'magic');
  if (alone !== null) return alone;
  const name = (f: FsPlace): string =>
    [f.name || 'another type', f.magic === OTHER ? 'another magic' : `0x${f.magic}`].join(' with ');
  const other = fs.findIndex((f) => f.name === OTHER && f.magic === OTHER);
  if (inside(bits, other))
    return `not fsname=${fs
      .filter((_, i) => !inside(bits, i))
      .map(name)
      .join(', ')}`;
  return `fsname=${chosen(fs, bits).map(name).join(', ')}`;
}

/** Intervals of ids: `0`, `1-999`, `>=1000`. */
function idText(keyword: string, starts: readonly number[], bits: bigint, max: number): string {
  const parts: string[] = [];
  for (let i = 0; i < starts.length; i++) {
    if (!inside(bits, i)) continue;
    const from = starts[i] as number;
    while (i + 1 < starts.length && inside(bits, i + 1)) i++;
    const to = i + 1 < starts.length ? (starts[i + 1] as number) - 1 : max;
    parts.push(from === to ? `=${from}` : to === max ? `>=${from}` : `=${from}-${to}`);
  }
  return parts.map((p) => `${keyword}${p}`).join(' or ');
}

type Line = readonly [dim: number, text: (bits: bigint) => string];

function lines(space: AccessSpace): readonly Line[] {
  const ids = (dim: number, keyword: string, of: readonly number[], max: number): Line => [
    dim,
    (bits) => idText(keyword, of, bits, max),
  ];
  const capable = (dim: number, name: string): Line => [
    dim,
    (bits) => (inside(bits, 1) ? `with ${name}` : `without ${name}`),
  ];
  return [
    [DIM.hook, (bits) => hooksText(space.hooks, bits)],
    ids(DIM.uid, 'uid', space.uids, MAX_ID),
    ids(DIM.euid, 'euid', space.uids, MAX_ID),
    ids(DIM.suid, 'suid', space.uids, MAX_ID),
    capable(DIM.setuid, 'CAP_SETUID'),
    ids(DIM.gid, 'gid', space.gids, MAX_ID),
    ids(DIM.egid, 'egid', space.gids, MAX_ID),
    ids(DIM.sgid, 'sgid', space.gids, MAX_ID),
    capable(DIM.setgid, 'CAP_SETGID'),
    [DIM.fs, (bits) => fsText(space.fs, bits)],
    [DIM.uuid, (bits) => listText('fsuuid', space.uuids, bits)],
    ids(DIM.fowner, 'fowner', space.owners, MAX_OWNER),
    ids(DIM.fgroup, 'fgroup', space.groups, MAX_OWNER),
    [DIM.keyring, (bits) => listText('keyring', space.keyrings, bits)],
    [DIM.label, (bits) => listText('label', space.labels, bits)],
    ...LSM_FIELDS.map(
      (field, i): Line => [DIM.lsm + i, (bits) => listText(field, space.lsm[i] as readonly string[], bits)],
    ),
    ...space.extras.map(
      (text, i): Line => [DIM.extras + i, (bits) => (inside(bits, 0) ? text : `not ${text}`)],
    ),
  ];
}

/** A box as its conditions; `every access` where it has none. */
export function regionText(space: AccessSpace, box: Box): string {
  const words = lines(space).flatMap(([dim, text]) =>
    box[dim] === space.full[dim] ? [] : [text(box[dim] as bigint)],
  );
  return words.length === 0 ? 'every access' : words.join(', ');
}

/** An access as member and value; what no condition of both policies looks at is left out. */
export function accessWords(space: AccessSpace, a: Access): { readonly [member: string]: string } {
  const out: Record<string, string> = {};
  const hook = space.hooks.find((h) => h.func === a.func && h.mask === a.mask);
  out['event'] = hook === undefined ? '' : hookText(hook);
  if (a.mask !== 0 && hook?.mustAppraise !== true) out['mask'] = maskText(a.mask);
  if (space.uids.length > 1) {
    out['uid'] = a.uids.join('/');
    out['CAP_SETUID'] = a.setuid ? 'yes' : 'no';
  }
  if (space.gids.length > 1) {
    out['gid'] = a.gids.join('/');
    out['CAP_SETGID'] = a.setgid ? 'yes' : 'no';
  }
  if (a.func !== C.KEY_CHECK && a.func !== C.CRITICAL_DATA) {
    out['fsname'] = a.fs.name === OTHER ? 'one that no rule names' : a.fs.name;
    out['fsmagic'] = a.fs.magic === OTHER ? 'one that no rule names' : `0x${a.fs.magic}`;
    if (space.uuids.length > 1) out['fsuuid'] = a.uuid === OTHER ? 'one that no rule names' : a.uuid;
    if (space.owners.length > 1) out['fowner'] = String(a.fowner);
    if (space.groups.length > 1) out['fgroup'] = String(a.fgroup);
  }
  if (a.func === C.KEY_CHECK) out['keyring'] = a.keyring || 'one that no rule names';
  if (a.func === C.CRITICAL_DATA) out['label'] = a.label || 'one that no rule names';
  for (const [i, field] of LSM_FIELDS.entries())
    if ((space.lsm[i]?.length ?? 0) > 1) out[field] = a.lsm[i] || 'one that no rule names';
  for (const text of space.extras) out[text] = a.extras.includes(text) ? 'holds' : 'does not hold';
  return out;
}
