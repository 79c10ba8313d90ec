// Violations: several actors open, map and close the same few files under random measure rules.

import { type Case, type Dice, groupOf, type Op } from '../dice.ts';
import { measureRules, PROGRAM, policy } from '../walks.ts';

const PATHS = ['/mnt/a', '/mnt/b', '/mnt/p', '/v/a', '/t/a'];
const ACTORS = ['main', 'p', 'q'];

function step(dice: Dice): Op[] {
  const path = dice.pick(PATHS);
  const who = { actor: dice.pick(ACTORS), uid: dice.pick([0, 0, 1000]) };
  const slot = dice.pick(['s', 't']);
  const map = dice.pick(['m', 'n']);
  return dice.pick<() => Op[]>([
    () => [
      {
        op: 'open',
        path,
        slot,
        flags: dice.pick(['rdonly', 'wronly', 'rdwr', 'rdonly|trunc', 'wronly|append']),
        ...who,
      },
    ],
    () => [{ op: 'open', path, slot, flags: dice.pick(['rdonly', 'wronly', 'rdwr']), ...who }],
    () => [{ op: 'close', slot, ...who }],
    () => [{ op: 'close', slot, ...who }],
    () => [{ op: 'writefd', slot, data: dice.pick(['w', 'alpha']), ...who }],
    () => [{ op: 'dup', slot, to: 'd', ...who }],
    () => [{ op: 'read', path, ...who }],
    () => [
      {
        op: 'write',
        path,
        data: dice.pick(['alpha', 'beta', PROGRAM]),
        flags: dice.pick(['wronly', 'rdwr']),
        ...who,
      },
    ],
    () => [
      {
        op: 'mmap',
        slot,
        map,
        prot: dice.pick(['rw', 'r', 'rx']),
        share: dice.pick(['shared', 'private']),
        ...who,
      },
    ],
    () => [{ op: 'mmap', path, map, prot: dice.pick(['r', 'rx']), ...who }],
    () => [{ op: 'munmap', map, ...who }],
    () => [{ op: 'exec', path: '/mnt/p', ...who }],
    () => [{ op: 'truncate', path, len: dice.pick([0, 2]) }],
    () => [
      { op: 'rename', path: '/mnt/a', to: '/mnt/b' },
      { op: 'write', path: '/mnt/a', data: 'again', mode: 0o666 },
    ],
    () => [
      { op: 'unlink', path: '/mnt/b' },
      { op: 'write', path: '/mnt/b', data: 'beta', mode: 0o666 },
    ],
    () => [
      { op: 'link', path: '/mnt/a', to: '/mnt/l' },
      { op: 'read', path: '/mnt/l', ...who },
      { op: 'unlink', path: '/mnt/l' },
    ],
    () => [{ op: 'snapshot' }],
  ])();
}

function violationCase(dice: Dice): Case {
  const ops: Op[] = [
    { op: 'chmod', path: '/mnt', mode: 0o777 },
    ...['/v', '/t'].map((path) => ({ op: 'mkdir', path })),
    { op: 'mount', src: '/dev/vdd', target: '/v', type: 'vfat' },
    { op: 'mount', src: 't', target: '/t', type: 'tmpfs' },
    ...PATHS.map((path) => ({ op: 'write', path, data: path === '/mnt/p' ? PROGRAM : 'alpha' })),
    ...PATHS.map((path) => ({ op: 'chmod', path, mode: 0o777 })),
  ];
  const rules = measureRules(dice).map((r) => (dice.chance(40) ? r.replace(/ fsuuid=\S+/, '') : r));
  if (dice.chance(70)) ops.push(policy('dont_measure', rules));
  ops.push(...Array.from({ length: 70 }, () => step(dice)).flat());
  const cmdline = dice.pick([
    'ima_policy=tcb',
    'ima_policy=tcb',
    'ima_template=ima-sig',
    'ima_hash=sha512 ima_policy=tcb',
    '',
  ]);
  return { about: 'random openers of the same files', cmdline, ops, drives: ['ext4', 'vfat'] };
}

export const group = groupOf('violations', [[1, violationCase]]);
