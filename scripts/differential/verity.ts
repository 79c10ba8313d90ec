// Seeded random cases about fs-verity (enable, measure, signatures, what the file system does to such a file)
// and dm-verity (tables good and bad, signed root hashes, damaged devices), with IPE rules over both.

import type { Case, Dice, Op } from './dice.ts';
import { goodPolicy, IPE_DIR, key, PROGRAM, VERITY_DRIVES } from './ipe.ts';

const CONTENTS: readonly unknown[] = [
  { elf: 'vs' },
  { elf: 'vu' },
  '',
  'short',
  { repeat: 'a', n: 4096 },
  { repeat: 'b', n: 4097 },
  { repeat: 'cd', n: 300000 },
];
const ONE_FILE = ['/mnt/a', '/mnt/b', '/mnt/c', '/mnt/d', '/tmp/t', '/v/f'];

function signature(dice: Dice, content: unknown): object {
  if (dice.chance(50)) return {};
  const alg = dice.pick(['sha256', 'sha256', 'sha512']);
  const message = {
    pkcs7: { fsvdigest: dice.chance(80) ? content : 'else', alg, ...(dice.chance(10) ? { salt: 'aa' } : {}) },
    key: dice.pick(['fsv1', 'fsv1', 'fsv1', 'stranger', 'ca', 'ipe1', 'ima1']),
    ...(dice.chance(85) ? { detached: true } : {}),
    ...(dice.chance(70) ? { nocerts: true } : {}),
    ...(dice.chance(15) ? { attr: true } : {}),
    ...(dice.chance(15) ? { cms: true } : {}),
  };
  return { sig: dice.chance(10) ? { flip: message, at: dice.below(400) } : message };
}

function enable(dice: Dice, path: string, content: unknown): Op {
  const odd = dice.chance(20);
  return {
    op: 'verity_enable',
    path,
    ...(dice.chance(40) ? { alg: odd ? dice.pick([0, 3, 255]) : dice.pick([1, 2]) } : {}),
    ...(dice.chance(35)
      ? { bs: odd ? dice.pick([0, 512, 3000, 8192, 65536]) : dice.pick([1024, 2048, 4096]) }
      : {}),
    ...(dice.chance(25)
      ? { salt: { hex: dice.pick(['aa', 'aabbccdd', '00'.repeat(32), '11'.repeat(33)]) } }
      : {}),
    ...signature(dice, content),
  };
}

export function fsVerityCase(dice: Dice): Case {
  const contents = new Map<string, unknown>();
  const ops: Op[] = [
    { op: 'mkdir', path: '/v' },
    { op: 'mount', src: '/dev/vdd', target: '/v', type: 'vfat' },
    ...(dice.chance(80) ? [key('fsv1', '%.fs-verity')] : []),
  ];
  const create = (): Op => {
    const path = dice.pick(ONE_FILE);
    const content = dice.pick(CONTENTS);
    if (!contents.has(path)) contents.set(path, content);
    return { op: 'write', path, data: content, mode: 0o755 };
  };
  for (let i = 0; i < 4; i++) ops.push(create());
  const any = (): string => dice.pick(ONE_FILE);
  const uid = (): number => dice.pick([0, 0, 0, 1000]);
  const steps: readonly (() => Op)[] = [
    create,
    () => {
      const p = any();
      return enable(dice, p, contents.get(p) ?? 'x');
    },
    () => {
      const p = any();
      return enable(dice, p, contents.get(p) ?? 'x');
    },
    () => {
      const p = any();
      return { ...enable(dice, p, contents.get(p) ?? 'x'), uid: uid() };
    },
    () => ({
      op: 'verity_enable',
      path: dice.pick(['/mnt', '/mnt/lost+found', '/dev/null', '/proc/cmdline', '/nope']),
    }),
    () => ({ op: 'verity_measure', path: any(), uid: uid() }),
    () => ({ op: 'verity_measure', path: any() }),
    () => ({ op: 'read', path: any(), uid: uid() }),
    () => ({
      op: 'open',
      path: any(),
      slot: dice.pick(['x', 'y']),
      flags: dice.pick(['rdonly', 'wronly', 'rdwr', 'rdwr|trunc']),
    }),
    () => ({ op: 'close', slot: dice.pick(['x', 'y']) }),
    () => ({
      op: 'mmap',
      path: any(),
      prot: dice.pick(['r', 'rw', 'rx']),
      ...(dice.chance(40) ? { share: 'shared', flags: 'rdwr' } : {}),
      map: 'm',
    }),
    () => ({ op: 'munmap', map: 'm' }),
    () => ({ op: 'truncate', path: any(), len: dice.pick([0, 10, 5000]) }),
    () => ({ op: 'chmod', path: any(), mode: dice.pick([0o755, 0o644]) }),
    () => ({ op: 'setxattr', path: any(), name: 'user.x', data: 'v' }),
    () => ({ op: 'link', path: dice.pick(['/mnt/a', '/mnt/b']), to: '/mnt/c' }),
    () => ({ op: 'rename', path: dice.pick(['/mnt/a', '/mnt/b']), to: dice.pick(['/mnt/c', '/mnt/d']) }),
    () => ({ op: 'unlink', path: any() }),
    () => ({ op: 'exec', path: any() }),
    () => key(dice.pick(['fsv1', 'stranger', 'ipe1']), '%.fs-verity'),
    () => ({ op: 'restrict', ring: '%.fs-verity' }),
    () => ({
      op: 'syswrite',
      path: '/proc/sys/fs/verity/require_signatures',
      data: dice.pick(['0', '1', '1', '2']),
    }),
    () => ({ op: 'cat', path: '/proc/sys/fs/verity/require_signatures' }),
    () => ({ op: 'umount', path: '/mnt' }),
    () => ({ op: 'mount', src: '/dev/vdc', target: '/mnt', type: 'ext4', flags: dice.pick(['', '', 'ro']) }),
    () => ({
      op: 'mount',
      src: '/dev/vdc',
      target: '/mnt',
      type: 'ext4',
      flags: dice.pick(['remount', 'remount|ro']),
    }),
    () => ({ op: 'stat', path: any() }),
  ];
  const early = dice.below(40);
  for (let i = 0; i < 65; i++) {
    if (i === early) {
      const text = goodPolicy(dice, 'r', '1.0.0', ['EXECUTE']);
      ops.push({ op: 'syswrite', path: `${IPE_DIR}/new_policy`, data: { pkcs7: text, key: 'ca' } });
      ops.push({ op: 'syswrite', path: `${IPE_DIR}/policies/r/active`, data: '1' });
    }
    ops.push(dice.pick(steps)());
  }
  return {
    about: 'random use of fs-verity',
    cmdline: dice.pick(['', 'ipe.success_audit=1']),
    ops,
    drives: ['ext4', 'vfat'],
  };
}

const OPTIONS = [
  'ignore_zero_blocks',
  'check_at_most_once',
  'ignore_corruption',
  'restart_on_corruption',
  'panic_on_corruption',
  'ignore_corruption',
  'root_hash_sig_key_desc',
  'use_fec_from_device',
  'try_verify_in_tasklet',
  'restart_on_error',
  'panic_on_error',
  'nonsense',
];

function options(dice: Dice, key1: string): string {
  const words: string[] = [];
  for (let i = dice.below(3); i > 0; i--) {
    const word = dice.pick(OPTIONS);
    words.push(word);
    if (word === 'root_hash_sig_key_desc' && dice.chance(85)) words.push(key1);
  }
  if (words.length === 0) return dice.pick(['', '', ' 0']);
  const count = dice.chance(92) ? words.length : words.length + dice.pick([-1, 1]);
  return ` ${count} ${words.join(' ')}`;
}

function table(dice: Dice, n: 1 | 2, sigKey: string | null): unknown[] {
  const [data, hash, root] =
    n === 1 ? ['/dev/vdd', '/dev/vde', 'verity'] : ['/dev/vdf', '/dev/vdg', 'verity2'];
  const odd = dice.chance(35) ? dice.below(11) : -1;
  const swap = <T>(at: number, good: T, bad: readonly T[]): T => (odd === at ? dice.pick(bad) : good);
  return [
    `${swap(0, '1', ['0', '2', 'x', ''])} ${swap(1, data as string, ['/dev/nope', '254:48', '/mnt', '/dev/vdc'])} `,
    `${swap(2, hash as string, ['/dev/nope', data as string, '/dev/vdc'])} ${swap(3, '4096', ['512', '1024', '8192', '0', '4095'])} `,
    `${swap(4, '4096', ['512', '1024', '65536', 'x'])} ${swap(5, '256', ['255', '257', '0', '10', '1000000', '-1'])} `,
    `${swap(6, '1', ['0', '2', '255', '256', '300'])} ${swap(7, 'sha256', ['sha1', 'sha-256', 'SHA256', 'sha512', 'nope'])} `,
    swap<unknown>(8, { roothash: root }, ['00'.repeat(32), 'aabb', { roothash: 'verity' }, 'zz'.repeat(32)]),
    ` ${swap(9, 'aabbccdd', ['-', 'aabbcc', 'AABBCCDD', 'xx', ''])}`,
    sigKey === null
      ? options(dice, 'none')
      : ` 2 root_hash_sig_key_desc ${dice.chance(90) ? sigKey : 'absent'}`,
  ];
}

function create(dice: Dice, name: string): Op {
  const n = dice.pick([1, 1, 2] as const);
  const root = dice.chance(85)
    ? { roothash: n === 1 ? 'verity' : 'verity2' }
    : dice.pick(['junk', { roothash: 'verity2' }]);
  const sig = {
    pkcs7: root,
    key: dice.pick(['ipe1', 'ipe1', 'ca', 'stranger', 'ima1', 'fsv1']),
    ...(dice.chance(85) ? { detached: true } : {}),
    ...(dice.chance(15) ? { nocerts: true } : {}),
    ...(dice.chance(15) ? { attr: true } : {}),
  };
  const signed = dice.chance(50);
  return {
    op: 'dm_create',
    name,
    ttype: dice.chance(92) ? 'verity' : dice.pick(['linear', 'nope', 'zero']),
    sectors: dice.chance(93) ? 2048 : dice.pick([8, 2040, 2056, 100000, 0, 1]),
    table: table(dice, n, signed ? `k${name}` : null),
    ...(signed
      ? { sig: dice.chance(10) ? { flip: sig, at: dice.below(300) } : sig, sigdesc: `k${name}` }
      : {}),
  };
}

const NAMES = ['da', 'db', 'dc'];

export function dmVerityCase(dice: Dice): Case {
  const ops: Op[] = NAMES.map((n): Op => ({ op: 'mkdir', path: `/mnt/${n}` }));
  ops.push({ op: 'write', path: '/mnt/plain', data: PROGRAM, mode: 0o755 });
  if (dice.chance(50))
    ops.push({ op: 'policy_row', data: 'measure func=CRITICAL_DATA label=device-mapper\n' });
  const name = (): string => dice.pick(NAMES);
  const at = (): string => `/mnt/${name()}/${dice.pick(['prog', 'prog', 'script', 'lib', 'm.ko', 'fw.bin'])}`;
  const steps: readonly (() => Op[])[] = [
    () => {
      const n = name();
      return [
        create(dice, n),
        {
          op: 'mount',
          src: `/dev/mapper/${n}`,
          target: `/mnt/${n}`,
          type: 'ext4',
          flags: dice.chance(90) ? 'ro' : '',
        },
      ];
    },
    () => {
      const n = name();
      return [
        create(dice, n),
        { op: 'mount', src: `/dev/mapper/${n}`, target: `/mnt/${n}`, type: 'ext4', flags: 'ro' },
      ];
    },
    () => [{ op: 'exec', path: at(), uid: dice.pick([0, 1000]) }],
    () => [{ op: 'exec', path: at() }],
    () => [{ op: 'read', path: at() }],
    () => [{ op: 'mmap', path: at(), prot: dice.pick(['rx', 'r', 'rwx']), map: 'm' }],
    () => [
      { op: 'finit_module', path: at() },
      { op: 'delete_module', name: 'test_module' },
    ],
    () => [{ op: 'umount', path: `/mnt/${name()}` }],
    () => [
      { op: 'mount', src: `/dev/mapper/${name()}`, target: `/mnt/${name()}`, type: 'ext4', flags: 'ro' },
    ],
    () => [{ op: 'write', path: at(), data: 'x' }],
    () => [{ op: 'chmod', path: at(), mode: 0o755 }],
    () => [{ op: 'snapshot' }],
    () => [{ op: 'exec', path: '/mnt/plain' }],
  ];
  const early = dice.below(15);
  for (let i = 0; i < 45; i++) {
    if (i === early) {
      const text = goodPolicy(dice, 'r', '1.0.0', ['EXECUTE', 'EXECUTE', 'KMODULE']);
      ops.push({ op: 'syswrite', path: `${IPE_DIR}/new_policy`, data: { pkcs7: text, key: 'ca' } });
      ops.push({ op: 'syswrite', path: `${IPE_DIR}/policies/r/active`, data: '1' });
    }
    ops.push(...dice.pick(steps)());
  }
  const cmdline = dice.pick([
    '',
    'ipe.success_audit=1',
    'ima_policy=critical_data',
    'dm_verity.require_signatures=1',
  ]);
  return {
    about: 'random dm-verity tables, signatures and IPE rules over them',
    cmdline,
    ops,
    drives: VERITY_DRIVES,
  };
}
