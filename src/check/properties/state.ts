// Promises about what protects the machine: that labels stay what the owner made them, that policies do not
// get weaker, that old versions do not come back, and that the machine still does its work.

import { toHex } from '../../base/bytes.ts';
import { toArray } from '../../base/list.ts';
import type { TraceEvent } from '../../base/trace.ts';
import { IMA_APPRAISE, IMA_APPRAISE_ENFORCE, IMA_MEASURE } from '../../ima/constants.ts';
import type { IpeVersion } from '../../ipe/types.ts';
import { program } from '../../kernel/images.ts';
import type { Machine } from '../../kernel/machine.ts';
import type { MachineState } from '../../kernel/rooms.ts';
import { runOp, type Session } from '../../scenario/session.ts';
import type { Inode } from '../../vfs/types.ts';
import { contentName } from '../contents.ts';
import { coverOf } from '../cover.ts';
import { sessionOf, type Transition } from '../node.ts';
import { type Finding, type Property, property } from '../property.ts';
import { asExpected, type Subject } from '../subject.ts';
import { type CodeUse, usesOf } from '../uses.ts';

/** Attributes that say what a file may do, or who may do what with it. */
const GUARDED = /^security\.(SMACK64\w*|selinux|apparmor|capability)$/;

const guards = (inode: Inode): string =>
  inode.xattrs
    .filter((x) => GUARDED.test(x.name))
    .map((x) => `${x.name}=${x.value.join(',')}`)
    .sort()
    .join(' ');

/** What differs from how a content was installed; null when nothing does. */
function changed(use: CodeUse, subject: Subject): string | null {
  if (use.inode === null || use.content === null) return null;
  const installed = subject.installed.get(contentName(use.content));
  if (installed === undefined) return null;
  const now = use.inode;
  const as = installed.map((f) => f.inode);
  if (!as.some((i) => i.uid === now.uid && i.gid === now.gid)) return `its owner is ${now.uid}:${now.gid}`;
  if (!as.some((i) => i.mode === now.mode)) return `its mode is 0${(now.mode & 0o7777).toString(8)}`;
  return as.some((i) => guards(i) === guards(now)) ? null : 'its labels are others';
}

export const labelsHold = property(
  'labels-hold',
  'A program that is used has the owner, the mode and the labels that it was installed with.',
  (t, subject) => {
    for (const use of usesOf(t)) {
      const what = changed(use, subject);
      if (what === null) continue;
      const { cover } = coverOf(use, t.before, 'appraise');
      return {
        what: `${use.path} was used although ${what}`,
        event: use.check,
        object: use.path,
        cover: `${cover}; a label in security.ima says nothing about owner, mode and other labels`,
        suggestion:
          'give files an EVM signature (`evmctl sign --portable`), load the EVM key, and appraise with it',
        expect: { err: 'OK' },
      };
    }
    return null;
  },
);

/** One thing that a policy may refuse or record, tried on a copy of the machine. */
interface Probe {
  readonly name: string;
  run(session: Session): string;
}

const PROBE = { actor: 'probe' };

function tried(
  name: string,
  make: (session: Session) => readonly { readonly op: string; readonly [a: string]: unknown }[],
): Probe {
  return {
    name,
    run: (session) => {
      let err = 'OK';
      for (const op of make(session)) err = runOp(session, { ...PROBE, ...op }).err;
      return err;
    },
  };
}

/** A program that exits at once, and that nobody vouches for. */
const PROGRAM = toHex(program({ tail: 'probe' }));
const PLACES = ['/tmp', '/mnt'];

const PROBES: readonly Probe[] = PLACES.flatMap((place) => [
  tried(`running a new program in ${place}`, () => [
    { op: 'write', path: `${place}/probe`, data: { hex: PROGRAM }, mode: '0755' },
    { op: 'exec', path: `${place}/probe` },
  ]),
  tried(`mapping a new library in ${place}`, () => [
    { op: 'write', path: `${place}/probe`, data: { hex: PROGRAM }, mode: '0755' },
    { op: 'mmap', path: `${place}/probe`, prot: 'rx' },
  ]),
  tried(`reading a new file in ${place}`, () => [
    { op: 'write', path: `${place}/probe.txt`, data: 'probe\n' },
    { op: 'read', path: `${place}/probe.txt` },
  ]),
]);

/** Outcome of each probe: its errno, and which actions the rules asked for on the way. */
type Probed = ReadonlyMap<string, { readonly err: string; readonly asked: number }>;

const results = new WeakMap<Transition['after'], Probed>();

/** Measuring and appraising that rules asked for. */
function askedIn(events: readonly TraceEvent[]): number {
  return events.reduce((all, e) => (e.kind === 'ima.check' ? all | Number(e.data['action'] ?? 0) : all), 0);
}

function probe(t: Transition['after']): Probed {
  const known = results.get(t);
  if (known !== undefined) return known;
  const out = new Map<string, { err: string; asked: number }>();
  for (const { name, run } of PROBES) {
    const session = sessionOf(t);
    const machine = session.machine as Machine;
    const before = machine.trace.state.events.length;
    const err = run(session);
    out.set(name, { err, asked: askedIn(toArray(machine.trace.state.events, before)) });
  }
  results.set(t, out);
  return out;
}

const enforces = ({ ima }: MachineState): boolean => (ima.appraise & IMA_APPRAISE_ENFORCE) !== 0;

/** Parts of the state that a decision can follow from; the same objects decide alike. */
function sameRules(a: MachineState, b: MachineState): boolean {
  return (
    a.ima.policy === b.ima.policy &&
    a.ima.appraise === b.ima.appraise &&
    a.ipe.active === b.ipe.active &&
    a.ipe.directories === b.ipe.directories &&
    a.ipe.enforce === b.ipe.enforce &&
    a.keys === b.keys
  );
}

function weaker(name: string, before: string, now: string, t: Transition): Finding {
  return {
    what: `${name}: was ${before}, is ${now}`,
    event: t.events.findLast((e) => /^(ima\.policy_load|ipe\.|boot\.)/.test(e.kind)) ?? null,
    object: 'the policy',
    cover: 'the machine takes rules and switches from whoever did this',
    suggestion:
      'seal what may change: `CONFIG_IMA_WRITE_POLICY=n`, `appraise func=POLICY_CHECK appraise_type=imasig`, secure boot, `IPE` versions that only grow',
    expect: { err: 'OK' },
  };
}

/** What the start of the search refused and recorded. */
interface Baseline {
  readonly probed: Probed;
  readonly enforces: boolean;
  readonly ipe: boolean;
}

function weakened(base: Baseline, t: Transition): Finding | null {
  const { machine } = t.after;
  if (base.enforces && !enforces(machine)) return weaker('IMA appraisal', 'enforced', 'not enforced', t);
  if (base.ipe && !(machine.ipe.enforce && machine.ipe.active !== null))
    return weaker('IPE', 'enforced', 'not enforced', t);
  const now = probe(t.after);
  for (const [name, was] of base.probed) {
    const is = now.get(name);
    if (is === undefined) continue;
    if (was.err === 'EACCES' && is.err === 'OK') return weaker(name, 'refused', 'let through', t);
    const lost = is.err === 'OK' ? was.asked & ~is.asked : 0;
    if ((lost & IMA_APPRAISE) !== 0) return weaker(name, 'appraised', 'not appraised', t);
    if ((lost & IMA_MEASURE) !== 0) return weaker(name, 'measured', 'not measured', t);
  }
  return null;
}

/** A machine in the middle of its own start has no policy yet: it is judged when the start is over. */
function settled(t: Transition, subject: Subject): boolean {
  if (t.after.machine.kernel.power !== 'on' || t.after.machine.kernel.panic !== null) return false;
  const { steps } = subject.document;
  if (t.form === steps.at(-1)) return true;
  return !subject.duties.has(t.form) && t.after.machine.kernel.boots === t.before.machine.kernel.boots;
}

export const policyNeverWeakens: Property<Baseline> = {
  name: 'policy-never-weakens',
  sentence: 'What the policies refused or recorded at the start, they refuse and record ever after.',
  start: ({ start }: Subject) => ({
    probed: probe(start),
    enforces: enforces(start.machine),
    ipe: start.machine.ipe.enforce && start.machine.ipe.active !== null,
  }),
  watch: (memory, t, subject) => {
    const last = t.form === subject.document.steps.at(-1);
    const same = !last && sameRules(t.before.machine, t.after.machine);
    return { memory, finding: same || !settled(t, subject) ? null : weakened(memory, t) };
  },
};

const order = (v: IpeVersion): number => v.major * 2 ** 32 + v.minor * 2 ** 16 + v.rev;

/** Version of the IPE policy in force; null without one. */
function activeVersion({ ipe }: MachineState): IpeVersion | null {
  return ipe.active === null ? null : (ipe.directories.get(ipe.active)?.policy.parsed.version ?? null);
}

const versionText = (v: IpeVersion): string => `${v.major}.${v.minor}.${v.rev}`;

export const noRollback: Property<IpeVersion | null> = {
  name: 'no-rollback',
  sentence: 'No old version comes back: neither of a program or module, nor of the IPE policy in force.',
  start: ({ start }: Subject) => activeVersion(start.machine),
  watch: (highest, t, subject) => {
    const now = activeVersion(t.after.machine);
    const memory = now !== null && (highest === null || order(now) > order(highest)) ? now : highest;
    if (now !== null && highest !== null && order(now) < order(highest) && settled(t, subject)) {
      const finding: Finding = {
        what: `IPE policy ${versionText(now)} is in force after ${versionText(highest)} was`,
        event: t.events.findLast((e) => e.kind.startsWith('ipe.')) ?? null,
        object: 'the IPE policy',
        cover: 'versions are compared with what is loaded or active now; nothing remembers older ones',
        suggestion:
          'compile the newest policy in (CONFIG_IPE_BOOT_POLICY) and do not delete policies; let the verifier check the version',
        expect: { err: 'OK' },
      };
      return { memory, finding };
    }
    const use = usesOf(t).find((u) => u.content !== null && subject.outdated.has(contentName(u.content)));
    if (use === undefined) return { memory, finding: null };
    const { cover } = coverOf(use, t.before, 'appraise');
    return {
      memory,
      finding: {
        what: `an old version was used: ${use.path}`,
        event: use.check,
        object: use.path,
        cover: `${cover}; a signature does not say which version is the newest`,
        suggestion:
          'put hashes of old versions on the blacklist (`appraise_flag=check_blacklist`, a revocation list), or ship whole volumes with a new root hash',
        expect: { err: 'OK' },
      },
    };
  },
  key: (highest) => (highest === null ? '' : versionText(highest)),
};

export const workloadLives = property(
  'workload-lives',
  'The machine starts, and every task of its workload works.',
  (t, subject) => {
    if (!subject.duties.has(t.form)) return null;
    if (asExpected(t)) return null;
    const killed = typeof t.result['signal'] === 'number';
    const path = String(t.op['path'] ?? t.op['src'] ?? '');
    const check =
      t.events.findLast(
        (e) => e.kind === 'ima.verdict' || e.kind === 'ipe.evaluate' || e.kind === 'ima.check',
      ) ?? null;
    const end = killed ? `killed by signal ${String(t.result['signal'])}` : t.result.err;
    return {
      what: `the machine cannot do its work: ${t.op.op} ${path} gives ${end}`,
      event: check,
      object: path,
      cover:
        check?.reason === undefined
          ? 'the step failed'
          : `the reason was ${String(check.data['why'] ?? check.reason)}`,
      suggestion:
        'label what the machine makes itself, or leave it out of the rules (`dont_appraise fowner=`, fs-verity signatures for updates)',
      expect: { err: t.result.err as NonNullable<Finding['expect']['err']> },
    };
  },
);
