// IPE: random policies over fs-verity, dm-verity and initramfs files, updates, switches of mode.

import { type Case, type Dice, groupOf, type Op } from '../dice.ts';
import { bootPolicyCase, execCase, grammarCase, kernelReadCase, nodesCase, signatureCase } from '../ipe.ts';
import { dmVerityCase, fsVerityCase } from '../verity.ts';
import { KEY, MODULE, PROGRAM } from '../walks.ts';

const VERITY: readonly Op[] = [
  KEY('fsv1', '%.fs-verity'),
  { op: 'write', path: '/mnt/vs', data: { elf: 'vs' }, mode: 0o755 },
  {
    op: 'verity_enable',
    path: '/mnt/vs',
    sig: { pkcs7: { fsvdigest: { elf: 'vs' } }, key: 'fsv1', detached: true, nocerts: true },
  },
  { op: 'write', path: '/mnt/vu', data: { elf: 'vu' }, mode: 0o755 },
  { op: 'verity_enable', path: '/mnt/vu' },
  { op: 'write', path: '/mnt/v5', data: { elf: 'v5' }, mode: 0o755 },
  { op: 'verity_enable', path: '/mnt/v5', alg: 2 },
  { op: 'write', path: '/mnt/plain', data: PROGRAM, mode: 0o755 },
  { op: 'write', path: '/mnt/sh', data: '#!/mnt/plain\n', mode: 0o755 },
  { op: 'write', path: '/tmp/q', data: PROGRAM, mode: 0o755 },
  { op: 'write', path: '/mnt/m.ko', data: MODULE },
  {
    op: 'dm_create',
    name: 'du',
    ttype: 'verity',
    sectors: 2048,
    table: ['1 /dev/vdf /dev/vdg 4096 4096 256 1 sha256 ', { roothash: 'verity2' }, ' aabbccdd'],
  },
  { op: 'mkdir', path: '/mnt/du' },
  { op: 'mount', src: '/dev/mapper/du', target: '/mnt/du', type: 'ext4', flags: 'ro' },
];

function ipePolicy(dice: Dice, name: string, version: string): unknown[] {
  const ops = ['EXECUTE', 'EXECUTE', 'EXECUTE', 'KMODULE', 'FIRMWARE', 'KEXEC_IMAGE', 'POLICY', 'X509_CERT'];
  const flag = (): string => dice.pick(['TRUE', 'FALSE']);
  const parts: unknown[] = [
    `policy_name=${name} policy_version=${version}\nDEFAULT action=${dice.pick(['ALLOW', 'DENY'])}\n`,
  ];
  if (dice.chance(50)) parts.push(`DEFAULT op=EXECUTE action=${dice.pick(['ALLOW', 'DENY'])}\n`);
  for (let i = 0; i < dice.below(6); i++) {
    const props = Array.from({ length: dice.below(3) }, (): unknown[] =>
      dice.pick<() => unknown[]>([
        () => [` boot_verified=${flag()}`],
        () => [` dmverity_signature=${flag()}`],
        () => [` fsverity_signature=${flag()}`],
        () => [' dmverity_roothash=sha256:', { roothash: dice.pick(['verity', 'verity2']) }],
        () => [' fsverity_digest=sha256:', { fsvhex: { elf: dice.pick(['vs', 'vu']) } }],
        () => [' fsverity_digest=sha512:', { fsvhex: { elf: 'v5' }, alg: 'sha512' }],
      ])(),
    );
    parts.push(`op=${dice.pick(ops)}`, ...props.flat(), ` action=${dice.pick(['ALLOW', 'DENY'])}\n`);
  }
  return parts;
}

function ipeCase(dice: Dice): Case {
  const signed = (name: string, version: string): unknown => ({
    pkcs7: ipePolicy(dice, name, version),
    key: 'ipe1',
  });
  const dir = '/sys/kernel/security/ipe';
  const ops: Op[] = [...VERITY];
  if (dice.chance(60))
    ops.push({ op: 'syswrite', path: `${dir}/success_audit`, data: dice.pick(['1', '0', 'y']) });
  ops.push({ op: 'syswrite', path: `${dir}/new_policy`, data: signed('r', '1.0.0') });
  ops.push({ op: 'syswrite', path: `${dir}/policies/r/active`, data: '1' });
  const use: readonly (() => Op)[] = [
    ...[
      '/mnt/vs',
      '/mnt/vu',
      '/mnt/v5',
      '/mnt/plain',
      '/mnt/sh',
      '/mnt/du/prog',
      '/mnt/du/script',
      '/tmp/q',
      '/init',
    ].map((path) => (): Op => ({ op: 'exec', path, uid: dice.pick([0, 0, 1000]) })),
    ...['/mnt/du/lib', '/mnt/vs', '/mnt/plain', '/tmp/q'].map(
      (path) => (): Op => ({ op: 'mmap', path, prot: dice.pick(['rx', 'r']), map: `m${dice.below(3)}` }),
    ),
    (): Op => ({ op: 'mmap', prot: dice.pick(['rx', 'rw']), map: 'm1' }),
    (): Op => ({ op: 'mprotect', map: `m${dice.below(3)}`, prot: dice.pick(['rx', 'r', 'rw']) }),
    (): Op => ({ op: 'finit_module', path: dice.pick(['/mnt/m.ko', '/mnt/du/m.ko']) }),
    (): Op => ({ op: 'init_module', path: '/mnt/m.ko' }),
    (): Op => ({ op: 'delete_module', name: 'test_module' }),
    (): Op => ({
      op: 'syswrite',
      path: `${dir}/policies/r/update`,
      data: signed(dice.pick(['r', 'r', 's']), dice.pick(['1.0.0', '1.0.1', '2.0.0', '0.9.9'])),
    }),
    (): Op => ({
      op: 'syswrite',
      path: `${dir}/new_policy`,
      data: signed(dice.pick(['r', 's', 't']), dice.pick(['1.0.0', '3.0.0'])),
    }),
    (): Op => ({
      op: 'syswrite',
      path: `${dir}/policies/${dice.pick(['r', 's', 't'])}/${dice.pick(['active', 'delete'])}`,
      data: '1',
    }),
    (): Op => ({ op: 'syswrite', path: `${dir}/enforce`, data: dice.pick(['0', '1', '2']) }),
    (): Op => ({
      op: 'cat',
      path: `${dir}/policies/${dice.pick(['r', 's'])}/${dice.pick(['version', 'active', 'name', 'policy'])}`,
    }),
    (): Op => ({ op: 'ls', path: `${dir}/policies` }),
    (): Op => ({ op: 'kexec_load' }),
  ];
  for (let i = 0; i < 45; i++) ops.push(dice.pick(use)());
  const cmdline = dice.pick(['', '', 'ipe.enforce=0', 'ipe.success_audit=1', 'ima_policy=tcb']);
  const drives = ['ext4', 'verity', 'verity.hash', 'verity2', 'verity2.hash'];
  return { about: 'random IPE policies', cmdline, ops, drives };
}

export const group = groupOf('IPE', [
  [2, ipeCase],
  [1, grammarCase],
  [1, signatureCase],
  [2, nodesCase],
  [4, execCase],
  [2, kernelReadCase],
  [2, bootPolicyCase],
  [2, fsVerityCase],
  [3, dmVerityCase],
]);
