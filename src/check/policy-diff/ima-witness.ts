// One access for each difference: one that steps of a scenario can carry out where there is one, and the
// two scenarios that show it, with the old and with the new policy. A pair is kept only when both runs do
// what the comparison claims.

import * as C from '../../ima/constants.ts';
import { type Access, type AccessSpace, type Box, DIM, OTHER } from '../../ima/lint-regions.ts';
import { HASH_ALGO_NAME } from '../../integrity/hash-info.ts';
import { MAY_APPEND, MAY_EXEC, MAY_READ, MAY_WRITE } from '../../vfs/constants.ts';
import type { Diagrams, Ref } from './diagram.ts';
import type { Effect } from './ima-decide.ts';
import type { ImaDifference } from './ima-diff.ts';
import type { ImaSide } from './ima-side.ts';
import { provenPair, type ScenarioPair } from './pair.ts';

/** File systems that a scenario can put the file on. */
const FILE_SYSTEMS: readonly string[] = ['ext4', 'tmpfs', 'ramfs', 'vfat'];

/** Hooks that a step comes to, the telling ones first. */
const HOOKS: readonly number[] = [
  C.FILE_CHECK,
  C.BPRM_CHECK,
  C.MMAP_CHECK,
  C.MMAP_CHECK_REQPROT,
  C.MODULE_CHECK,
  C.FIRMWARE_CHECK,
  C.KEXEC_KERNEL_CHECK,
  C.KEXEC_INITRAMFS_CHECK,
  C.POLICY_CHECK,
  C.CREDS_CHECK,
  C.KEXEC_CMDLINE,
];

const bit = (i: number): bigint => 1n << BigInt(i);

function only<T>(of: readonly T[], holds: (x: T) => boolean): bigint {
  return of.reduce((out, x, i) => (holds(x) ? out | bit(i) : out), 0n);
}

interface Picked {
  readonly access: Access;
  readonly plain: boolean;
}

/** Processes of a scenario: real id, effective and saved id, capabilities with euid 0, one group. */
function* actors(space: AccessSpace): Generator<{ readonly [dim: number]: bigint }> {
  const ids = [...space.uids.keys()];
  const pairs = ids.flatMap((u) => ids.map((e) => [u, e] as const));
  // The same id twice first, and root before the others.
  pairs.sort(([u, e], [v, f]) => Number(u !== e) - Number(v !== f) || u + e - v - f);
  for (const [u, e] of pairs)
    for (const g of space.gids.keys()) {
      const capable = space.uids[e] === 0 ? 2n : 1n;
      yield {
        [DIM.uid]: bit(u),
        [DIM.euid]: bit(e),
        [DIM.suid]: bit(e),
        [DIM.gid]: bit(g),
        [DIM.egid]: bit(g),
        [DIM.sgid]: bit(g),
        [DIM.setuid]: capable,
        [DIM.setgid]: capable,
      };
    }
}

/** An access of a region; one that a scenario can show, if there is one. */
export function pickAccess(space: AccessSpace, d: Diagrams, rows: Ref, row: number): Picked {
  const within = (change: { readonly [dim: number]: bigint }): Box =>
    space.full.map((full, dim) => full & (change[dim] ?? full));
  const any = d.find(rows, row) as Box;
  const must = only(space.hooks, (h) => h.mustAppraise === true && h.func === C.FILE_CHECK);
  const uses = HOOKS.map((func) => only(space.hooks, (h) => h.func === func && h.mustAppraise !== true));
  for (const hook of [...uses, must])
    for (const type of FILE_SYSTEMS) {
      const place = {
        [DIM.hook]: hook,
        [DIM.fs]: only(space.fs, (f) => f.name === type),
        [DIM.fowner]: only(space.owners, (id) => id < 0xffffffff),
        [DIM.fgroup]: only(space.groups, (id) => id < 0xffffffff),
        ...(type === 'ext4' ? {} : { [DIM.uuid]: only(space.uuids, (u) => u === OTHER) }),
      };
      if (hook === 0n || d.find(rows, row, within(place)) === null) continue;
      for (const actor of actors(space)) {
        const box = d.find(rows, row, within({ ...place, ...actor }));
        if (box !== null) return { access: space.access(box), plain: true };
      }
    }
  return { access: space.access(any), plain: false };
}

const PATH = '/mnt/file';
const NODE = '/sys/kernel/security/ima/policy';

const OPEN_FLAGS: ReadonlyMap<number, string> = new Map([
  [MAY_READ, 'rdonly'],
  [MAY_WRITE, 'wronly'],
  [MAY_READ | MAY_WRITE, 'rdwr'],
  [MAY_READ | MAY_APPEND, 'rdonly|append'],
  [MAY_WRITE | MAY_APPEND, 'wronly|append'],
  [MAY_READ | MAY_WRITE | MAY_APPEND, 'rdwr|append'],
]);

interface Way {
  readonly step: object;
  /** What the file holds. */
  readonly content: unknown;
  /** Name of the list's entry. */
  readonly entry?: string;
}

/** The step that comes to a hook. */
function wayTo(a: Access, mustAppraise: boolean): Way | null {
  if (mustAppraise) return { step: { op: 'mknod', path: '/mnt/new', mode: 0o100666 }, content: 'file\n' };
  const program = { program: 'file' };
  switch (a.func) {
    case C.FILE_CHECK: {
      if (a.mask === MAY_EXEC) return { step: { op: 'exec', path: PATH }, content: program };
      const flags = OPEN_FLAGS.get(a.mask);
      return flags === undefined
        ? null
        : { step: { op: 'open', path: PATH, slot: 's', flags }, content: 'file\n' };
    }
    case C.BPRM_CHECK:
    case C.CREDS_CHECK:
      return { step: { op: 'exec', path: PATH }, content: program };
    case C.MMAP_CHECK:
    case C.MMAP_CHECK_REQPROT:
      return { step: { op: 'mmap', path: PATH, prot: 'rx', map: 'm' }, content: program };
    case C.MODULE_CHECK:
      return { step: { op: 'finit_module', path: PATH }, content: { module: 'file' } };
    case C.KEXEC_KERNEL_CHECK:
      return { step: { op: 'kexec_file', path: PATH }, content: { kernel_image: 'file' } };
    case C.KEXEC_INITRAMFS_CHECK:
      return { step: { op: 'kexec_file', path: '/mnt/kernel', initrd: PATH }, content: 'file\n' };
    case C.KEXEC_CMDLINE:
      return {
        step: { op: 'kexec_file', path: PATH, cmdline: 'quiet' },
        content: { kernel_image: 'file' },
        entry: 'kexec-cmdline',
      };
    case C.POLICY_CHECK:
      return {
        step: { op: 'syswrite', path: NODE, data: PATH },
        content: 'audit func=FILE_CHECK uid=4242\n',
      };
    default:
      return null;
  }
}

type Hash = (typeof HASH_ALGO_NAME)[number];

interface Label {
  readonly kind: string;
  readonly hash: Hash;
}

const algoBit = (hash: Hash): number => 1 << HASH_ALGO_NAME.indexOf(hash);

/** A label that one side lets through and the other does not. */
function tellingLabel(old: Effect, now: Effect): Label | null {
  const [a, b] = [old.accepts, now.accepts];
  if (a === undefined || b === undefined) return null;
  const able: readonly string[] = ['no label', 'hash', 'imasig'];
  const kind = able.find((k) => a.kinds.includes(k) !== b.kinds.includes(k));
  if (kind !== undefined) {
    const able256 = (a.algos & b.algos & algoBit('sha256')) !== 0;
    return able256 || kind === 'no label' ? { kind, hash: 'sha256' } : null;
  }
  const shared = able.find((k) => k !== 'no label' && a.kinds.includes(k) && b.kinds.includes(k));
  const hashes: readonly Hash[] = ['sha256', 'sha512', 'sha384', 'sha1'];
  const apart = hashes.find((n) => ((a.algos ^ b.algos) & algoBit(n)) !== 0);
  return shared === undefined || apart === undefined ? null : { kind: shared, hash: apart };
}

const passes = (effect: Effect, { kind, hash }: Label): boolean =>
  effect.accepts === undefined ||
  (effect.accepts.kinds.includes(kind) &&
    (kind === 'no label' || (effect.accepts.algos & algoBit(hash)) !== 0));

function xattrs({ kind, hash }: Label): object {
  if (kind === 'no label') return {};
  const value = kind === 'hash' ? { ima_hash: hash } : { ima_sig: 'vendor', hash };
  return { xattrs: { 'security.ima': value } };
}

/** What the step is expected to do where an effect decides. */
function expectation(d: ImaDifference, effect: Effect, label: Label, way: Way): object | null {
  const name = way.entry ?? PATH;
  switch (d.row.kind) {
    case 'newly denied':
    case 'newly allowed':
    case 'denied otherwise':
      return { err: passes(effect, label) ? 'OK' : 'EACCES' };
    case 'newly measured':
    case 'newly unmeasured':
      return effect.on === true ? { list: { contains: [{ name }] } } : { measured: [] };
    case 'measured otherwise': {
      const [, pcr, template] = effect.key.split(':');
      const as = template === '' ? {} : { template };
      return { list: { last: { name, pcr: Number(pcr), ...as } } };
    }
    case 'newly audited':
    case 'no longer audited':
      return { audit: effect.on === true ? [{ type: '1805' }] : [] };
    case 'newly hashed':
    case 'no longer hashed':
      return effect.on === true ? { reasons: ['ima.hash_rule'] } : { no_reasons: ['ima.hash_rule'] };
    case 'label newly kept':
    case 'label no longer kept':
      return effect.on === true ? { reasons: ['ima.marked_new'] } : { no_reasons: ['ima.marked_new'] };
    default:
      return null;
  }
}

const uuidText = (hex: string): string => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

/** The machine before the event, with one of the policies. */
function documentOf(
  d: ImaDifference,
  side: ImaSide,
  label: Label,
  way: Way,
): { machine: object; steps: object[] } {
  const { access: a } = d;
  const owner = `${a.fowner}:${a.fgroup}`;
  const onDisk = a.fs.name === 'ext4' || a.fs.name === 'vfat';
  const file = { content: way.content, mode: '0777', owner, ...xattrs(label) };
  const kernel = { content: { kernel_image: 'kernel' }, ...xattrs({ kind: 'imasig', hash: 'sha256' }) };
  const disk = {
    name: 'vdc',
    ...(a.fs.name === 'vfat' ? { type: 'vfat' } : {}),
    ...(a.uuid === OTHER ? {} : { uuid: uuidText(a.uuid) }),
    files: { '/file': file, '/kernel': kernel },
  };
  const mounted = onDisk
    ? [{ op: 'mount', src: '/dev/vdc', target: '/mnt', type: a.fs.name }]
    : [
        { op: 'mount', src: 'none', target: '/mnt', type: a.fs.name },
        { op: 'write', path: PATH, data: way.content, mode: '0777' },
        { op: 'chmod', path: PATH, mode: '0777' },
        { op: 'chown', path: PATH, to_uid: a.fowner, to_gid: a.fgroup },
      ];
  const [uid, euid] = a.uids;
  const [gid] = a.gids;
  const as = uid === 0 && euid === 0 && gid === 0 ? {} : { as: { uid, euid, gid } };
  return {
    machine: {
      ...(side.cmdline === '' ? {} : { cmdline: side.cmdline }),
      trusted_keys: { builtin: [{ cert: 'root' }, { cert: 'vendor' }] },
      disks: [onDisk ? disk : { name: 'vdc' }],
    },
    steps: [
      ...mounted,
      { op: 'chmod', path: '/mnt', mode: '0777' },
      { op: 'add_key', type: 'asymmetric', desc: '', data: { cert: 'vendor' }, ring: '%.ima' },
      ...(side.text === null ? [] : [{ op: 'policy_row', data: side.text }]),
      { ...way.step, id: 'event', ...as },
    ],
  };
}

/** Labels to try where the difference is not about them, so that appraisal lets the access through. */
const QUIET: readonly Label[] = [
  { kind: 'imasig', hash: 'sha256' },
  { kind: 'hash', hash: 'sha256' },
  { kind: 'no label', hash: 'sha256' },
];

/** The two scenarios of a difference, or why there are none. */
export function imaScenarios(d: ImaDifference, old: ImaSide, now: ImaSide): ScenarioPair | string {
  if (!d.plain) return 'no single step of a scenario comes to such an event';
  const way = wayTo(d.access, d.row.kind.startsWith('label '));
  if (way === null) return 'no step of a scenario comes to this hook';
  const about = d.row.kind.includes('denied') || d.row.kind.includes('allowed');
  const telling = about ? tellingLabel(d.old, d.new) : null;
  if (about && telling === null) return 'no label that a scenario can write is told apart';
  for (const label of telling === null ? QUIET : [telling]) {
    const sides = [
      [old, d.old],
      [now, d.new],
    ] as const;
    const documents = sides.map(([side, effect]) => {
      const { machine, steps } = documentOf(d, side, label, way);
      const expect = expectation(d, effect, label, way);
      const last = steps.at(-1) as object;
      return expect === null ? null : { machine, steps: [...steps.slice(0, -1), { ...last, expect }] };
    });
    const [a, b] = documents;
    if (a === null || b === null || a === undefined || b === undefined)
      return 'the difference shows in the record of the inode only';
    const pair = provenPair(d.row, a, b);
    if (pair !== null) return pair;
  }
  return 'other events of the same step hide it, or refuse it first';
}
