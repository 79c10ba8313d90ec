// Several file systems and mechanisms in one case.

import { type Case, type Dice, groupOf, type Op } from '../dice.ts';
import { EXCLUDE, PROGRAM, START, UUID } from '../walks.ts';

/** Operations on ext4, vfat, tmpfs and an overlay of them, with unmounting in between. */
function mixedCase(dice: Dice): Case {
  const upper = dice.chance(50) ? '/t' : '/mnt';
  const ops: Op[] = [
    ...START,
    ...['/v', '/t', '/o'].map((path) => ({ op: 'mkdir', path })),
    { op: 'mount', src: '/dev/vdd', target: '/v', type: 'vfat' },
    { op: 'mount', src: 't', target: '/t', type: 'tmpfs' },
    { op: 'mkdir', path: `${upper}/u` },
    { op: 'mkdir', path: `${upper}/w` },
    { op: 'mkdir', path: '/mnt/low' },
    { op: 'write', path: '/mnt/low/a', data: 'lower a' },
    { op: 'write', path: '/mnt/low/p', data: PROGRAM, mode: 0o755 },
    {
      op: 'mount',
      src: 'ov',
      target: '/o',
      type: 'overlay',
      data: `lowerdir=/mnt/low,upperdir=${upper}/u,workdir=${upper}/w`,
    },
  ];
  const rules = Array.from({ length: 1 + dice.below(4) }, () => {
    const action = dice.pick(['measure', 'measure', 'measure', 'appraise', 'audit', 'hash']);
    const where = dice.pick([
      '',
      ' fsmagic=0xef53',
      ' fsmagic=0x794c7630',
      ' fsname=vfat',
      ' fsmagic=0x4d44',
      ` fsuuid=${UUID}`,
      ' fsname=overlay',
      ' fsname=ext4',
    ]);
    return `${action}${dice.pick([' func=FILE_CHECK', ' func=FILE_CHECK mask=MAY_READ', ' func=BPRM_CHECK', ' func=MMAP_CHECK'])}${where}`;
  });
  const exclude = ['dont_measure', 'dont_appraise'].flatMap((a) =>
    EXCLUDE.filter((m) => m !== '0x01021994').map((m) => `${a} fsmagic=${m}`),
  );
  ops.push({ op: 'policy_row', data: [...exclude, ...rules].map((r) => `${r}\n`).join('') });
  // What happens when a layer is changed behind an overlay's back is not defined: the upper one is left alone, names of
  // the lower one too.
  const paths = ['/mnt/x', '/mnt/low/a', '/mnt/low/p', '/v/x', '/v/y', '/t/x', '/o/a', '/o/p', '/o/n'];
  for (let i = 0; i < 90; i++) {
    const path = dice.pick(paths);
    const moved = path.startsWith('/mnt/low') ? '/mnt/x' : path;
    const uid = dice.pick([0, 0, 0, 1000]);
    ops.push(
      dice.pick<() => Op>([
        () => ({ op: 'read', path, uid }),
        () => ({ op: 'read', path, uid }),
        () => ({ op: 'read', path }),
        () => ({
          op: 'write',
          path,
          data: dice.pick(['one', 'two', PROGRAM]),
          mode: 0o777,
          ...(dice.chance(40) ? { flags: 'wronly|creat|append' } : {}),
        }),
        () => ({ op: 'exec', path, uid }),
        () => ({ op: 'chmod', path, mode: dice.pick([0o777, 0o644]) }),
        () => ({ op: 'unlink', path: dice.pick(paths.slice(3)) }),
        () => ({ op: 'rename', path: moved, to: `${moved}2` }),
        () => ({ op: 'rename', path: `${moved}2`, to: moved }),
        () => ({ op: 'link', path: moved, to: `${moved}3` }),
        () => ({ op: 'read', path: `${path}${dice.pick(['2', '3'])}` }),
        () => ({ op: 'truncate', path, len: dice.pick([0, 2, 50]) }),
        () => ({
          op: 'setxattr',
          path,
          name: dice.pick(['security.ima', 'user.a', 'trusted.b']),
          data: { imahash: 'one', alg: 'sha256' },
        }),
        () => ({ op: 'getxattr', path, name: 'security.ima' }),
        () => ({ op: 'mmap', path, prot: dice.pick(['r', 'rx']), uid }),
        () => ({ op: 'stat', path }),
        () => ({ op: 'utimes', path, t: 9 }),
        () => ({
          op: 'open',
          path,
          slot: dice.pick(['a', 'b']),
          flags: dice.pick(['rdonly', 'rdwr', 'wronly']),
        }),
        () => ({ op: 'close', slot: dice.pick(['a', 'b']) }),
        () => ({ op: 'writefd', slot: dice.pick(['a', 'b']), data: 'w' }),
        () => ({ op: 'snapshot' }),
      ])(),
    );
    if (dice.chance(4)) {
      ops.push({ op: 'umount', path: '/v' }, { op: 'mount', src: '/dev/vdd', target: '/v', type: 'vfat' });
    }
  }
  const cmdline = dice.pick(['', 'ima_appraise=log', 'ima_appraise=fix', 'ima_template=ima-sig']);
  return { about: 'random operations on several file systems', cmdline, ops, drives: ['ext4', 'vfat'] };
}

export const group = groupOf('several mechanisms', [[1, mixedCase]]);
