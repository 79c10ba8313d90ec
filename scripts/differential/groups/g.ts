// kexec: the measurement list carried from one kernel to the next. Drawn are the size of the list (up to and beyond
// the room that the load reserved), templates, hashes and policies of both kernels, violations, loads that are
// repeated, undone or refused, and what happens between load and execute.

import { FIELD_IDS } from '../../../src/ima/template.ts';
import { type Case, type Dice, groupOf, type Op } from '../dice.ts';
import { measureRules, policy, UUID, type World, walk, world } from '../walks.ts';

const STAGE2 = 'console=ttyS0 quiet loglevel=4 panic=-1 reboot=t rdinit=/init oracle_stage=2';
const BZIMAGE: Op = { op: 'write', path: '/tmp/bz', data: { build: 'bzImage' } };
const INITRAMFS: Op = { op: 'write', path: '/tmp/rd', data: { build: 'initramfs.cpio' } };
const UNLOAD = 1;
const ON_CRASH = 2;

/** Those that a case can hold of a kernel image, which it does not have itself. */
const HASHES = ['sha1', 'md5', 'sha256', 'sha384', 'sha512', 'sha224'] as const;
const TEMPLATES = ['ima-ng', 'ima-ngv2', 'ima-sig', 'ima-sigv2', 'ima-buf', 'ima-modsig', 'evm-sig'] as const;

/** The form of entries: a template, rarely the one that cannot be restored, or a list of fields. */
function entryForm(dice: Dice): string[] {
  const fields = (): string => dice.several(1, 5, () => dice.pick(FIELD_IDS)).join('|');
  return [
    ...dice.some(30, () => `ima_hash=${dice.pick(HASHES)}`),
    ...dice.some(40, () => `ima_template=${dice.chance(8) ? 'ima' : dice.pick(TEMPLATES)}`),
    ...dice.some(25, () => `ima_template_fmt=${fields()}`),
    ...dice.some(10, () => 'ima_canonical_fmt'),
  ];
}

/** The command line of one of the two kernels. */
function bootLine(dice: Dice, tcb: number): string {
  const words = [
    ...dice.some(tcb, () => `ima_policy=${dice.pick(['tcb', 'tcb', 'tcb|critical_data', 'critical_data'])}`),
    ...entryForm(dice),
    ...dice.some(10, () => `integrity_audit=${dice.pick(['0', '1'])}`),
  ];
  return dice.shuffle(words).join(' ');
}

const load = (cmdline: string, more: object = {}): Op => ({
  op: 'kexec_file',
  path: '/tmp/bz',
  initrd: '/tmp/rd',
  cmdline,
  ...more,
});

/** Loads and calls beside the one that counts; each leaves something loaded, or nothing. */
function otherCall(dice: Dice): Op {
  switch (dice.below(10)) {
    case 0:
    case 1:
      return load(`earlier ${dice.below(3)}`);
    case 2:
    case 3:
      return { op: 'kexec_file', path: '/tmp/bz', kflags: UNLOAD };
    case 9:
      return { op: 'kexec_file', path: '/tmp/bz', kflags: UNLOAD | ON_CRASH };
    case 4:
      return load('crash', { kflags: ON_CRASH });
    case 5:
      return { op: 'kexec_load', kflags: dice.pick([0, 0, 1, 2, 0x10, 0x10000]) };
    case 6:
      return load('unprivileged', { uid: 1000 });
    case 7:
      return { op: 'kexec_file', path: '/mnt/text', initrd: '/tmp/rd', cmdline: 'no image' };
    default:
      return load(dice.pick(['', 'x'.repeat(dice.pick([100, 1900, 2100]))]));
  }
}

/** Names that are long enough to make records of about this many bytes. */
function longNames(w: World, count: number, length: number): void {
  for (let i = 0; i < count; i++) {
    const stem = `/mnt/${String(w.next++).padStart(3, '0')}`;
    const path = `${stem}${'n'.repeat(length)}`;
    w.ops.push({ op: 'write', path, data: `c${i}` }, { op: 'read', path });
  }
}

/** One violation of each kind: a writer that meets a reader and the other way round. */
function violations(w: World): void {
  const path = `/mnt/v${w.next++}`;
  const order = w.dice.chance(50) ? ['rdonly', 'wronly'] : ['wronly', 'rdonly'];
  const slots = order.map((flags) => ({ slot: `v${w.next++}`, flags }));
  w.ops.push({ op: 'write', path, data: 'v' });
  for (const s of slots) w.ops.push({ op: 'open', path, ...s });
  for (const s of slots) w.ops.push({ op: 'close', slot: s.slot });
}

const KEXEC_RULES = [
  'measure func=KEXEC_CMDLINE',
  'measure func=KEXEC_CMDLINE template=ima-buf',
  'measure func=KEXEC_KERNEL_CHECK',
  'measure func=KEXEC_KERNEL_CHECK template=ima-modsig',
  'measure func=KEXEC_INITRAMFS_CHECK',
  'measure func=KEXEC_INITRAMFS_CHECK pcr=11',
  'measure func=CRITICAL_DATA',
  'measure func=CRITICAL_DATA label=kernel_info',
  'audit func=KEXEC_KERNEL_CHECK',
  'dont_measure func=KEXEC_KERNEL_CHECK uid=0',
  `measure func=FILE_CHECK mask=MAY_READ fsuuid=${UUID}`,
  `measure func=FILE_CHECK mask=MAY_READ template=ima-sig fsuuid=${UUID}`,
];

function start(dice: Dice, chanceOfPolicy: number): World {
  const w = world(dice, false);
  w.ops.push({ op: 'write', path: '/mnt/text', data: 'no kernel' });
  // The rules for kexec stand before those that leave memory file systems out: the images lie there.
  if (dice.chance(chanceOfPolicy)) {
    const own = dice.several(1, 3, () => dice.pick(KEXEC_RULES));
    const rest = policy('dont_measure', dice.chance(50) ? measureRules(dice) : []);
    w.ops.push({ ...rest, data: `${own.map((r) => `${r}\n`).join('')}${String(rest['data'])}` });
  }
  return w;
}

function finish(first: World, cmdline: string, about: string): Case {
  const { dice } = first;
  const second = world(dice, false);
  second.ops.length = 0;
  second.files.push(...first.files);
  second.ops.push({ op: 'snapshot' });
  if (dice.chance(30)) violations(second);
  walk(second, 4 + dice.below(26));
  return { about, cmdline, ops: first.ops, stage2: second.ops, kexec: true };
}

/** The load that counts; other calls may stand before it. */
function loads(w: World, others: number): void {
  const { dice } = w;
  w.ops.push(BZIMAGE, INITRAMFS);
  for (let i = 0; i < others; i++) {
    w.ops.push(otherCall(dice));
    walk(w, dice.below(4));
  }
  w.ops.push(load(`${STAGE2} ${bootLine(dice, 75)}`.trimEnd()));
}

function walkCase(dice: Dice): Case {
  const w = start(dice, 40);
  walk(w, 40);
  if (dice.chance(50)) violations(w);
  loads(w, 0);
  walk(w, dice.below(12));
  if (dice.chance(30)) violations(w);
  return finish(w, bootLine(dice, 70), 'random operations around a kexec');
}

function loadsCase(dice: Dice): Case {
  const w = start(dice, 70);
  walk(w, 15);
  loads(w, 1 + dice.below(5));
  walk(w, dice.below(8));
  return finish(w, bootLine(dice, 60), 'loads repeated, undone and refused before a kexec');
}

/** The list grows after the load: below, about and beyond the half page that is kept free. */
function growthCase(dice: Dice): Case {
  const w = start(dice, 20);
  longNames(w, dice.below(25), 20 + dice.below(200));
  loads(w, dice.below(2));
  longNames(w, dice.below(40), 20 + dice.below(200));
  if (dice.chance(30)) violations(w);
  return finish(
    w,
    `ima_policy=tcb ${entryForm(dice).join(' ')}`.trimEnd(),
    'a list that grows after the load',
  );
}

function longCase(dice: Dice): Case {
  const w = start(dice, 20);
  longNames(w, 60 + dice.below(120), dice.below(220));
  if (dice.chance(50)) violations(w);
  loads(w, dice.below(2));
  walk(w, dice.below(6));
  return finish(w, `ima_policy=tcb ${entryForm(dice).join(' ')}`.trimEnd(), 'a long list over a kexec');
}

export const group = groupOf('kexec', [
  [4, walkCase],
  [4, loadsCase],
  [3, growthCase],
  [1, longCase],
]);
