// Which accesses a rule matches, as a set that can be cut and compared: boxes over the hook with its mask,
// file system, ids, capabilities, labels, keyring. Every value that no rule of the policy tells apart from
// another shares one place, so the sets are finite and exact. Which accesses there are at all (masks that
// occur, file systems and their magic numbers) is written here, too.

import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE } from '../vfs/constants.ts';
import * as C from './constants.ts';
import { type IdOp, type ImaRule, LSM_FIELDS } from './types.ts';

/** A set of places in each dimension, as bits; the box is their product. */
export type Box = readonly bigint[];
export type Region = readonly Box[];

const MAY_ACCESS = 16;

export interface HookPlace {
  readonly func: number;
  readonly mask: number;
  /** Only asked about appraisal and hash rules: ima_must_appraise(). */
  readonly mustAppraise?: true;
}

/**
 * Hooks with the masks that they give. An open never has MAY_APPEND alone; a new file and a change of mode
 * or owner only ask whether the file would be appraised.
 */
export const HOOK_PLACES: readonly HookPlace[] = [
  ...[
    MAY_READ,
    MAY_WRITE,
    MAY_READ | MAY_WRITE,
    MAY_READ | MAY_APPEND,
    MAY_WRITE | MAY_APPEND,
    MAY_READ | MAY_WRITE | MAY_APPEND,
    MAY_EXEC,
  ].map((mask) => ({ func: C.FILE_CHECK, mask })),
  ...[C.MMAP_CHECK, C.MMAP_CHECK_REQPROT, C.BPRM_CHECK, C.CREDS_CHECK].map((func) => ({
    func,
    mask: MAY_EXEC,
  })),
  ...[C.MODULE_CHECK, C.FIRMWARE_CHECK, C.KEXEC_KERNEL_CHECK, C.KEXEC_INITRAMFS_CHECK, C.POLICY_CHECK].map(
    (func) => ({ func, mask: MAY_READ }),
  ),
  ...[C.KEXEC_CMDLINE, C.KEY_CHECK, C.CRITICAL_DATA].map((func) => ({ func, mask: 0 })),
  { func: C.FILE_CHECK, mask: MAY_ACCESS, mustAppraise: true },
  { func: C.POST_SETATTR, mask: MAY_ACCESS, mustAppraise: true },
];

/** Magic numbers of file systems whose name stands for one (or for one of two). */
export const KNOWN_MAGIC: ReadonlyMap<string, readonly string[]> = new Map([
  ['ext2', ['ef53']],
  ['ext3', ['ef53']],
  ['ext4', ['ef53']],
  ['xfs', ['58465342']],
  ['btrfs', ['9123683e']],
  ['f2fs', ['f2f52010']],
  ['squashfs', ['73717368']],
  ['erofs', ['e0f5e1e2']],
  ['vfat', ['4d44']],
  ['msdos', ['4d44']],
  ['iso9660', ['9660']],
  ['nfs', ['6969']],
  ['fuse', ['65735546']],
  ['fuseblk', ['65735546']],
  ['overlay', ['794c7630']],
  ['tmpfs', ['1021994']],
  ['ramfs', ['858458f6']],
  ['rootfs', ['1021994', '858458f6']],
  ['devtmpfs', ['1021994', '858458f6']],
  ['proc', ['9fa0']],
  ['sysfs', ['62656572']],
  ['debugfs', ['64626720']],
  ['tracefs', ['74726163']],
  ['securityfs', ['73636673']],
  ['selinuxfs', ['f97cff8c']],
  ['smackfs', ['43415d53']],
  ['cgroup', ['27e0eb']],
  ['cgroup2', ['63677270']],
  ['devpts', ['1cd1']],
  ['binfmt_misc', ['42494e4d']],
  ['nsfs', ['6e736673']],
  ['efivarfs', ['de5e81e4']],
]);

/** A name or magic number that no rule mentions. */
export const OTHER = '';
export const MAX_ID = 0xfffffffe;
/** Owners can be outside of what a mount maps: -1, which is larger than every id. */
export const MAX_OWNER = 0xffffffff;

/** Where each dimension stands in a box; conditions of designs follow behind. */
export const DIM = {
  hook: 0,
  fs: 1,
  uuid: 2,
  setuid: 3,
  uid: 4,
  euid: 5,
  suid: 6,
  setgid: 7,
  gid: 8,
  egid: 9,
  sgid: 10,
  fowner: 11,
  fgroup: 12,
  keyring: 13,
  label: 14,
  /** Six dimensions in the order of LSM_FIELDS. */
  lsm: 15,
  extras: 21,
} as const;

/** Dimensions that belong to the inode: what they hold is the same at every access to a file. */
const INODE_DIMS: readonly number[] = [DIM.fs, DIM.uuid, DIM.fowner, DIM.fgroup];

const bit = (i: number): bigint => 1n << BigInt(i);
const all = (n: number): bigint => bit(n) - 1n;

/** Places `0 .. n-1` that fulfil a condition. */
function places(n: number, holds: (i: number) => boolean): bigint {
  let out = 0n;
  for (let i = 0; i < n; i++) if (holds(i)) out |= bit(i);
  return out;
}

const has = (rule: ImaRule, flag: number): boolean => (rule.flags & flag) !== 0;
const unique = <T>(items: Iterable<T>): T[] => [...new Set(items)];

/** First id of each interval that the rules tell apart. */
function idStarts(rules: readonly ImaRule[], pick: (r: ImaRule) => number | null): readonly number[] {
  const ids = rules.flatMap((r) => pick(r) ?? []);
  return unique([0, ...ids, ...ids.map((id) => id + 1)]).sort((a, b) => a - b);
}

function fits(op: IdOp, id: number, wanted: number): boolean {
  return op === 'eq' ? id === wanted : op === 'gt' ? id > wanted : id < wanted;
}

function idPlaces(starts: readonly number[], max: number, op: IdOp, wanted: number | null): bigint {
  if (wanted === null) return 0n;
  return places(starts.length, (i) => (starts[i] as number) <= max && fits(op, starts[i] as number, wanted));
}

export interface FsPlace {
  readonly name: string;
  readonly magic: string;
}

function fsPlaces(rules: readonly ImaRule[]): readonly FsPlace[] {
  const names = unique([...rules.flatMap((r) => r.fsname ?? []), OTHER]);
  const magics = unique([...rules.flatMap((r) => (has(r, C.IMA_FSMAGIC) ? [r.fsmagic] : [])), OTHER]);
  const known = [...KNOWN_MAGIC].flatMap(([name, of]) => of.map((magic) => ({ name, magic })));
  const free = names.filter((n) => !KNOWN_MAGIC.has(n));
  return [...known, ...free.flatMap((name) => magics.map((magic) => ({ name, magic })))];
}

/** What designs add: conditions that hold or do not, each for itself. */
const extraKeys = (rule: ImaRule): string[] =>
  (rule.extra ?? []).map(({ keyword, op, value }) => `${keyword}${op}${value}`);

/** An access as one place of every dimension stands for it. */
export interface Access {
  readonly func: number;
  readonly mask: number;
  readonly fs: FsPlace;
  readonly uuid: string;
  readonly uids: readonly [uid: number, euid: number, suid: number];
  readonly gids: readonly [gid: number, egid: number, sgid: number];
  readonly setuid: boolean;
  readonly setgid: boolean;
  readonly fowner: number;
  readonly fgroup: number;
  readonly keyring: string;
  readonly label: string;
  /** Labels in the order of LSM_FIELDS; empty: one that no rule names. */
  readonly lsm: readonly string[];
  /** Conditions of designs that hold. */
  readonly extras: readonly string[];
}

/** All accesses that a policy can tell apart, for one class of actions. */
export class AccessSpace {
  readonly hooks: readonly HookPlace[];
  readonly fs: readonly FsPlace[];
  readonly uuids: readonly string[];
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly owners: readonly number[];
  readonly groups: readonly number[];
  readonly keyrings: readonly string[];
  readonly labels: readonly string[];
  /** Values of each label that rules name, and another one. */
  readonly lsm: readonly (readonly string[])[];
  readonly extras: readonly string[];
  readonly full: Box;

  constructor(rules: readonly ImaRule[], actions: number) {
    const asked = (actions & (C.APPRAISE | C.IMA_HASH)) !== 0;
    this.hooks = HOOK_PLACES.filter((h) => asked || h.mustAppraise !== true);
    this.fs = fsPlaces(rules);
    this.uuids = unique([...rules.flatMap((r) => (has(r, C.IMA_FSUUID) ? [r.fsuuid] : [])), OTHER]);
    this.uids = idStarts(rules, (r) => r.uid).filter((id) => id <= MAX_ID);
    this.gids = idStarts(rules, (r) => r.gid).filter((id) => id <= MAX_ID);
    this.owners = idStarts(rules, (r) => r.fowner);
    this.groups = idStarts(rules, (r) => r.fgroup);
    this.keyrings = unique([...rules.flatMap((r) => r.keyrings ?? []), OTHER]);
    this.labels = unique([...rules.flatMap((r) => r.label ?? []), OTHER]);
    this.lsm = LSM_FIELDS.map((_, i) => unique([...rules.flatMap((r) => r.lsm[i]?.value ?? []), OTHER]));
    this.extras = unique(rules.flatMap(extraKeys));
    const [u, g] = [this.uids.length, this.gids.length];
    this.full = [
      ...[this.hooks.length, this.fs.length, this.uuids.length, 2, u, u, u, 2, g, g, g],
      ...[this.owners.length, this.groups.length, this.keyrings.length, this.labels.length],
      ...this.lsm.map((values) => values.length),
      ...this.extras.map(() => 2),
    ].map(all);
  }

  /** The accesses that a rule matches. @kernel security/integrity/ima/ima_policy.c ima_match_rules() */
  region(rule: ImaRule): Region {
    if (rule.lsm.some((c) => c !== null && !c.active)) return [];
    const buffers = this.#data(rule);
    return nonEmpty([...buffers, ...this.#files(rule)]);
  }

  #with(change: { readonly [dim: number]: bigint }): Box {
    return this.full.map((places_, dim) => change[dim] ?? places_);
  }

  /** Keys and critical data: the hook, the real uid and the list of names. */
  #data(rule: ImaRule): Box[] {
    if (rule.func !== C.KEY_CHECK && rule.func !== C.CRITICAL_DATA) return [];
    const named = (names: readonly string[], list: readonly string[] | null): bigint =>
      places(names.length, (i) => list === null || list.includes(names[i] as string));
    const change: { [dim: number]: bigint } = {
      [DIM.hook]: places(this.hooks.length, (i) => this.hooks[i]?.func === rule.func),
      [DIM.keyring]: named(this.keyrings, rule.keyrings),
      [DIM.label]: named(this.labels, rule.label),
    };
    if (has(rule, C.IMA_UID)) change[DIM.uid] = idPlaces(this.uids, MAX_ID, rule.uidOp, rule.uid);
    return [this.#with(change)];
  }

  #hookPlaces(rule: ImaRule): bigint {
    return places(this.hooks.length, (i) => {
      const { func, mask } = this.hooks[i] as HookPlace;
      if (func === C.POST_SETATTR) return true;
      if (func === C.KEY_CHECK || func === C.CRITICAL_DATA) return false;
      if (has(rule, C.IMA_FUNC) && rule.func !== func) return false;
      if (has(rule, C.IMA_MASK) && rule.mask !== mask) return false;
      return !has(rule, C.IMA_INMASK) || (rule.mask & mask) !== 0;
    });
  }

  #files(rule: ImaRule): Box[] {
    const change: { [dim: number]: bigint } = { [DIM.hook]: this.#hookPlaces(rule) };
    if (has(rule, C.IMA_FSMAGIC | C.IMA_FSNAME))
      change[DIM.fs] = places(this.fs.length, (i) => {
        const { name, magic } = this.fs[i] as FsPlace;
        return (
          (!has(rule, C.IMA_FSMAGIC) || magic === rule.fsmagic) &&
          (!has(rule, C.IMA_FSNAME) || name === rule.fsname)
        );
      });
    if (has(rule, C.IMA_FSUUID))
      change[DIM.uuid] = places(this.uuids.length, (i) => this.uuids[i] === rule.fsuuid);
    if (has(rule, C.IMA_FOWNER))
      change[DIM.fowner] = idPlaces(this.owners, MAX_OWNER, rule.fownerOp, rule.fowner);
    if (has(rule, C.IMA_FGROUP))
      change[DIM.fgroup] = idPlaces(this.groups, MAX_OWNER, rule.fgroupOp, rule.fgroup);
    for (const [i, c] of rule.lsm.entries())
      if (c !== null) change[DIM.lsm + i] = bit((this.lsm[i] as readonly string[]).indexOf(c.value));
    for (const key of extraKeys(rule)) change[DIM.extras + this.extras.indexOf(key)] = 1n;
    const uids = idPlaces(this.uids, MAX_ID, rule.uidOp, rule.uid);
    const gids = idPlaces(this.gids, MAX_ID, rule.gidOp, rule.gid);
    const byUid = idCases(uids, has(rule, C.IMA_UID), has(rule, C.IMA_EUID), DIM.uid, DIM.setuid);
    const byGid = idCases(gids, has(rule, C.IMA_GID), has(rule, C.IMA_EGID), DIM.gid, DIM.setgid);
    return byUid.flatMap((u) => byGid.map((g) => this.#with({ ...change, ...u, ...g })));
  }

  /** What two rules have in common as far as the file itself goes, whatever is done with it. */
  sameFile(a: Region, b: Region): boolean {
    const dims = [
      ...INODE_DIMS,
      ...LSM_FIELDS.flatMap((f, i) => (f.startsWith('obj_') ? [DIM.lsm + i] : [])),
    ];
    const meet = (x: Box, y: Box): boolean => dims.every((d) => ((x[d] as bigint) & (y[d] as bigint)) !== 0n);
    return onFiles(this.hooks, a).some((x) => onFiles(this.hooks, b).some((y) => meet(x, y)));
  }

  /** Whether all accesses of a region only ask what a change of mode or owner would mean. */
  onlySetattr(region: Region): boolean {
    const place = bit(this.hooks.findIndex((h) => h.func === C.POST_SETATTR));
    return region.length > 0 && region.every((b) => b[DIM.hook] === place);
  }

  /** One access of a region. */
  example(region: Region): Access | null {
    const box = region[0];
    return box === undefined ? null : this.access(box);
  }

  /** The first access of a box. */
  access(box: Box): Access {
    const first = <T>(dim: number, of: readonly T[]): T => of[lowest(box[dim] as bigint)] as T;
    const { func, mask } = first(DIM.hook, this.hooks);
    return {
      func,
      mask,
      fs: first(DIM.fs, this.fs),
      uuid: first(DIM.uuid, this.uuids),
      uids: [first(DIM.uid, this.uids), first(DIM.euid, this.uids), first(DIM.suid, this.uids)],
      gids: [first(DIM.gid, this.gids), first(DIM.egid, this.gids), first(DIM.sgid, this.gids)],
      setuid: lowest(box[DIM.setuid] as bigint) === 1,
      setgid: lowest(box[DIM.setgid] as bigint) === 1,
      fowner: first(DIM.fowner, this.owners),
      fgroup: first(DIM.fgroup, this.groups),
      keyring: first(DIM.keyring, this.keyrings),
      label: first(DIM.label, this.labels),
      lsm: this.lsm.map((values, i) => first(DIM.lsm + i, values)),
      extras: this.extras.filter((_, i) => lowest(box[DIM.extras + i] as bigint) === 0),
    };
  }
}

/** Boxes on files: every hook but those of keys and critical data. */
function onFiles(hooks: readonly HookPlace[], region: Region): Region {
  const files = places(
    hooks.length,
    (i) => hooks[i]?.func !== C.KEY_CHECK && hooks[i]?.func !== C.CRITICAL_DATA,
  );
  return region.filter((b) => ((b[DIM.hook] as bigint) & files) !== 0n);
}

export function lowest(bits: bigint): number {
  let i = 0;
  while ((bits & bit(i)) === 0n) i++;
  return i;
}

/**
 * The cases of an id condition: of the real id alone, or of the effective one, where a task that may change
 * its ids is held against its saved and real ones, too. `first` is the real one's dimension, the effective
 * and the saved one's follow it. A rule has one of the two conditions.
 */
function idCases(
  holds: bigint,
  real: boolean,
  effective: boolean,
  first: number,
  capable: number,
): readonly { readonly [dim: number]: bigint }[] {
  if (real) return [{ [first]: holds }];
  if (!effective) return [{}];
  return [{ [first + 1]: holds }, { [capable]: 2n, [first + 2]: holds }, { [capable]: 2n, [first]: holds }];
}

function nonEmpty(boxes: readonly Box[]): Region {
  return boxes.filter((b) => b.every((bits) => bits !== 0n));
}

const disjoint = (a: Box, b: Box): boolean => a.some((bits, d) => (bits & (b[d] as bigint)) === 0n);

/** What of a box lies outside of another one. */
function boxMinus(a: Box, b: Box): Region {
  if (disjoint(a, b)) return [a];
  const out: Box[] = [];
  const rest = [...a];
  for (let d = 0; d < rest.length; d++) {
    const outside = (rest[d] as bigint) & ~(b[d] as bigint);
    if (outside !== 0n) out.push(rest.map((bits, i) => (i === d ? outside : bits)));
    rest[d] = (rest[d] as bigint) & (b[d] as bigint);
  }
  return out;
}

/** Boxes beyond which a difference is no longer followed. */
const LIMIT = 20_000;

/** What of a region lies outside of another one; null when it falls into too many pieces to tell. */
export function minus(a: Region, b: Region): Region | null {
  let left = a;
  for (const box of b) {
    left = left.flatMap((x) => boxMinus(x, box));
    if (left.length > LIMIT) return null;
  }
  return left;
}

export function meets(a: Region, b: Region): boolean {
  return a.some((x) => b.some((y) => !disjoint(x, y)));
}
