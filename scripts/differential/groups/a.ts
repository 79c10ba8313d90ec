// IMA measurement: file operations under tcb and under random measure rules, boot parameters in random order, builds.

import { FIELD_IDS } from '../../../src/ima/template.ts';
import { type Case, type Dice, groupOf, type Op } from '../dice.ts';
import { anyPolicy, hookCmdline, prepare, useHooks } from '../hooks.ts';
import { KEY, MODULE, measureRules, PROGRAM, policy, walk, world } from '../walks.ts';

function tcbCase(dice: Dice): Case {
  const w = world(dice, false);
  walk(w, 110);
  return { about: 'random operations under tcb', cmdline: 'ima_policy=tcb', ops: w.ops };
}

function rulesCase(dice: Dice): Case {
  const w = world(dice, false);
  w.ops.push(policy('dont_measure', measureRules(dice)));
  walk(w, 110);
  const cmdline = dice.pick([
    '',
    '',
    'ima_hash=sha512',
    'ima_template=ima-sig',
    'ima_template=ima',
    'integrity_audit=1',
  ]);
  return { about: 'random operations under random measure rules', cmdline, ops: w.ops };
}

/** IMA parameters in random order: order decides between ima_hash and ima_template. */
function bootParameters(dice: Dice): string {
  const policies = ['tcb', 'appraise_tcb', 'secure_boot', 'fail_securely', 'critical_data', 'nonsense'];
  const words = [
    ...dice.some(70, () => {
      const list = Array.from({ length: 1 + dice.below(3) }, () => dice.pick(policies));
      return `ima_policy=${list.join('|')}`;
    }),
    ...dice.some(20, () => dice.pick(['ima_tcb', 'ima_appraise_tcb'])),
    ...dice.some(
      35,
      () =>
        `ima_hash=${dice.pick(['sha1', 'md5', 'sha256', 'sha384', 'sha512', 'sha224', 'rmd160', 'sm3-256', 'SHA256', 'x'])}`,
    ),
    ...dice.some(
      35,
      () =>
        `ima_template=${dice.pick(['ima', 'ima-ng', 'ima-ngv2', 'ima-sig', 'ima-sigv2', 'ima-buf', 'ima-modsig', 'evm-sig', 'nope'])}`,
    ),
    ...dice.some(20, () => {
      const list = Array.from({ length: 1 + dice.below(5) }, () => dice.pick(FIELD_IDS));
      return `ima_template_fmt=${list.join('|')}`;
    }),
    ...dice.some(35, () => `ima_appraise=${dice.pick(['fix', 'log', 'off', 'enforce', 'log', 'bad'])}`),
    ...dice.some(20, () => `integrity_audit=${dice.pick(['0', '1', '2', 'x'])}`),
    ...dice.some(10, () => 'evm=fix'),
    ...dice.some(10, () => 'ima_canonical_fmt'),
    ...dice.some(15, () => `ipe.enforce=${dice.pick(['0', '1'])}`),
    ...dice.some(10, () => 'rootfstype=ramfs'),
    ...dice.some(10, () => 'ima_policy=tcb'),
  ];
  return dice.shuffle(words).join(' ');
}

function bootOps(dice: Dice): Op[] {
  const ops: Op[] = [
    { op: 'snapshot' },
    { op: 'write', path: '/mnt/a', data: 'alpha' },
    { op: 'write', path: '/mnt/p', data: PROGRAM, mode: 0o755 },
    { op: 'write', path: '/tmp/t', data: 'tmp' },
    { op: 'write', path: '/mnt/m.ko', data: dice.chance(50) ? MODULE : { modsig: MODULE, key: 'ima1' } },
    {
      op: 'setxattr',
      path: '/mnt/a',
      name: 'security.ima',
      data: { imahash: 'alpha', alg: dice.pick(['sha1', 'sha256', 'sha512']) },
    },
    ...dice.some(50, () => KEY('ima1', '%.ima')),
    { op: 'read', path: '/mnt/a' },
    { op: 'read', path: '/mnt/a', uid: 1000 },
    { op: 'exec', path: '/mnt/p' },
    { op: 'exec', path: '/mnt/p', uid: 1000 },
    { op: 'read', path: '/tmp/t' },
    { op: 'setxattr', path: '/mnt/p', name: 'security.ima', data: { imasig: PROGRAM, key: 'ima1' } },
    { op: 'exec', path: '/mnt/p' },
    { op: 'mmap', path: '/mnt/p', prot: 'rx' },
    { op: 'open', path: '/mnt/a', slot: 'r' },
    { op: 'open', path: '/mnt/a', slot: 'w', flags: 'wronly' },
    { op: 'writefd', slot: 'w', data: 'xx' },
    { op: 'read', path: '/mnt/a', actor: 'q' },
    { op: 'close', slot: 'w' },
    { op: 'close', slot: 'r' },
    { op: 'read', path: '/mnt/a' },
    { op: 'finit_module', path: '/mnt/m.ko' },
    { op: 'delete_module', name: 'test_module' },
    { op: 'init_module', path: '/mnt/m.ko' },
    { op: 'delete_module', name: 'test_module' },
    { op: 'snapshot' },
    { op: 'write', path: '/tmp/pol', data: 'measure func=FILE_CHECK uid=1001\n' },
    { op: 'syswrite', path: '/sys/kernel/security/integrity/ima/policy', data: '/tmp/pol' },
    policy('dont_measure', measureRules(dice)),
    { op: 'read', path: '/mnt/a', uid: 1001 },
    { op: 'exec', path: '/mnt/p', uid: 1000 },
    { op: 'getxattr', path: '/mnt/a', name: 'security.ima' },
    { op: 'getxattr', path: '/tmp/t', name: 'security.ima' },
    { op: 'kexec_load' },
    { op: 'ls', path: '/sys/kernel/security/integrity/ima' },
    { op: 'stat', path: '/sys/kernel/security/integrity/ima/policy' },
  ];
  return ops;
}

function bootCase(dice: Dice): Case {
  const kernel = dice.pick([undefined, undefined, undefined, 'noread', 'build', 'nohtable', 'smack']);
  const about = `random boot parameters on the ${kernel ?? 'usual'} kernel`;
  const extra = { ...(kernel === undefined ? {} : { kernel }), ...(dice.chance(10) ? { notpm: true } : {}) };
  return { about, cmdline: bootParameters(dice), ops: bootOps(dice), ...extra };
}

function hooksCase(dice: Dice): Case {
  const fields = dice.several(1, 5, () => dice.pick(FIELD_IDS)).join('|');
  const cmdline = `${hookCmdline(dice)}${dice.chance(20) ? ` ima_template_fmt=${fields}` : ''}`;
  const ops = [...prepare(dice, 40), anyPolicy(dice, false), ...useHooks(dice, 60)];
  if (dice.chance(30)) ops.push(anyPolicy(dice, false), ...useHooks(dice, 25));
  const extra = {
    ...(dice.chance(6) ? { notpm: true } : {}),
    ...(dice.chance(6) ? { kernel: 'nohtable' } : {}),
  };
  return { about: 'random operations on every hook under measure rules', cmdline, ops, ...extra };
}

export const group = groupOf('IMA measurement', [
  [3, hooksCase],
  [1, tcbCase],
  [3, rulesCase],
  [2, bootCase],
]);
