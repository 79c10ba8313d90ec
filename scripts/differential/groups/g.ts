// kexec: the measurement list carried from one kernel to the next, with random operations before, between and after.

import { type Case, type Dice, groupOf } from '../dice.ts';
import { measureRules, policy, walk, world } from '../walks.ts';

const STAGE2 = 'console=ttyS0 quiet loglevel=4 panic=-1 reboot=t rdinit=/init oracle_stage=2';

function kexecCase(dice: Dice): Case {
  const first = world(dice, false);
  if (dice.chance(40)) first.ops.push(policy('dont_measure', measureRules(dice)));
  walk(first, 40);
  first.ops.push({ op: 'write', path: '/tmp/bz', data: { build: 'bzImage' } });
  first.ops.push({ op: 'write', path: '/tmp/rd', data: { build: 'initramfs.cpio' } });
  const boot2 = dice.pick([
    'ima_policy=tcb',
    'ima_policy=tcb',
    '',
    'ima_hash=sha512 ima_policy=tcb',
    'ima_policy=critical_data',
    'ima_template=ima-sig ima_policy=tcb',
  ]);
  first.ops.push({ op: 'kexec_file', path: '/tmp/bz', initrd: '/tmp/rd', cmdline: `${STAGE2} ${boot2}` });
  walk(first, dice.below(12));
  const second = world(dice, false);
  second.ops.length = 0;
  second.files.push(...first.files);
  second.ops.push({ op: 'snapshot' });
  walk(second, 30);
  const cmdline = dice.pick([
    'ima_policy=tcb',
    'ima_policy=tcb',
    'ima_policy=tcb ima_template=ima-sig',
    'ima_policy=tcb ima_template_fmt=d-ng|n-ng|imode',
    'ima_policy=tcb|critical_data',
    '',
  ]);
  return {
    about: 'random operations around a kexec',
    cmdline,
    ops: first.ops,
    stage2: second.ops,
    kexec: true,
  };
}

export const group = groupOf('kexec', [[1, kexecCase]]);
