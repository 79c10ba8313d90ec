// Seeded random cases about the whole machine: boot parameters and builds, several file systems, kexec, IPE policies.

import { FIELD_IDS } from '../../src/ima/template.ts';
import {
  type Case,
  Dice,
  EXCLUDE,
  type KINDS,
  measureRules,
  type Op,
  policy,
  START,
  UUID,
  walk,
  world,
} from './walks.ts';

const some = <T>(dice: Dice, percent: number, make: () => T): T[] => (dice.chance(percent) ? [make()] : []);

const KEY = (cert: string, ring: string): Op => ({
  op: 'add_key',
  type: 'asymmetric',
  desc: '',
  data: { cert },
  ring,
});

/** IMA parameters in random order: order decides between ima_hash and ima_template. */
function bootParameters(dice: Dice): string {
  const policies = ['tcb', 'appraise_tcb', 'secure_boot', 'fail_securely', 'critical_data', 'nonsense'];
  const words = [
    ...some(dice, 70, () => {
      const list = Array.from({ length: 1 + dice.below(3) }, () => dice.pick(policies));
      return `ima_policy=${list.join('|')}`;
    }),
    ...some(dice, 20, () => dice.pick(['ima_tcb', 'ima_appraise_tcb'])),
    ...some(
      dice,
      35,
      () =>
        `ima_hash=${dice.pick(['sha1', 'md5', 'sha256', 'sha384', 'sha512', 'sha224', 'rmd160', 'sm3-256', 'SHA256', 'x'])}`,
    ),
    ...some(
      dice,
      35,
      () =>
        `ima_template=${dice.pick(['ima', 'ima-ng', 'ima-ngv2', 'ima-sig', 'ima-sigv2', 'ima-buf', 'ima-modsig', 'evm-sig', 'nope'])}`,
    ),
    ...some(dice, 20, () => {
      const list = Array.from({ length: 1 + dice.below(5) }, () => dice.pick(FIELD_IDS));
      return `ima_template_fmt=${list.join('|')}`;
    }),
    ...some(dice, 35, () => `ima_appraise=${dice.pick(['fix', 'log', 'off', 'enforce', 'log', 'bad'])}`),
    ...some(dice, 20, () => `integrity_audit=${dice.pick(['0', '1', '2', 'x'])}`),
    ...some(dice, 10, () => 'evm=fix'),
    ...some(dice, 10, () => 'ima_canonical_fmt'),
    ...some(dice, 15, () => `ipe.enforce=${dice.pick(['0', '1'])}`),
    ...some(dice, 10, () => 'rootfstype=ramfs'),
    ...some(dice, 10, () => 'ima_policy=tcb'),
  ];
  return dice.shuffle(words).join(' ');
}

const PROGRAM = { elf: 'P' };
const MODULE = { build: 'test_module.ko' };

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
    ...some(dice, 50, () => KEY('ima1', '%.ima')),
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
  // What happens when the upper layer is changed behind an overlay's back is not defined: it is left alone.
  const paths = ['/mnt/x', '/mnt/low/a', '/mnt/low/p', '/v/x', '/v/y', '/t/x', '/o/a', '/o/p', '/o/n'];
  for (let i = 0; i < 90; i++) {
    const path = dice.pick(paths);
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
        () => ({ op: 'rename', path, to: `${path}2` }),
        () => ({ op: 'rename', path: `${path}2`, to: path }),
        () => ({ op: 'link', path, to: `${path}3` }),
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

const STAGE2 = 'console=ttyS0 quiet loglevel=4 panic=-1 reboot=t rdinit=/init oracle_stage=2';

function kexecCase(dice: Dice): Case {
  const seed = String(dice.below(1e9));
  const first = world(new Dice(`k1 ${seed}`), false);
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
  const second = world(new Dice(`k2 ${seed}`), false);
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

export const SYSTEM_KINDS: typeof KINDS = {
  boot: bootCase,
  mixed: mixedCase,
  kexec: kexecCase,
  ipe: ipeCase,
};
