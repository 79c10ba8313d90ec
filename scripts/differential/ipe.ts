// Seeded random cases about IPE: policy texts, signatures, life cycle and nodes, execution in all its ways,
// kernel reads, boot policies. Those about dm-verity and fs-verity are in verity.ts.

import type { Case, Dice, Op } from './dice.ts';
import { measureRules, policy } from './walks.ts';

export const IPE_DIR = '/sys/kernel/security/ipe';
export const VERITY_DRIVES = ['ext4', 'verity', 'verity.hash', 'verity2', 'verity2.hash'];
export const PROGRAM = { elf: 'P' };
const MODULE = { build: 'test_module.ko' };
const FLAGS = ['TRUE', 'FALSE'];
const OPS = ['EXECUTE', 'FIRMWARE', 'KMODULE', 'KEXEC_IMAGE', 'KEXEC_INITRAMFS', 'POLICY', 'X509_CERT'];
const ACTIONS = ['ALLOW', 'DENY'];
const ELFS = ['vs', 'vu', 'v5', 'P', 'other'];

const list = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));
const sys = (node: string, data: unknown, rest: object = {}): Op => ({
  op: 'syswrite',
  path: `${IPE_DIR}/${node}`,
  data,
  ...rest,
});

export const key = (cert: string, ring: string): Op => ({
  op: 'add_key',
  type: 'asymmetric',
  desc: '',
  data: { cert },
  ring,
});

/** One good property, as pieces of data. */
function property(dice: Dice): unknown[] {
  const pick = dice.pick<() => unknown[]>([
    () => [`boot_verified=${dice.pick(FLAGS)}`],
    () => [`dmverity_signature=${dice.pick(FLAGS)}`],
    () => [`fsverity_signature=${dice.pick(FLAGS)}`],
    () => ['dmverity_roothash=sha256:', { roothash: dice.pick(['verity', 'verity2']) }],
    () => ['fsverity_digest=sha256:', { fsvhex: { elf: dice.pick(ELFS) } }],
    () => ['fsverity_digest=sha512:', { fsvhex: { elf: dice.pick(ELFS) }, alg: 'sha512' }],
    () => ['fsverity_digest=sha256:', { sha: { elf: dice.pick(ELFS) } }],
    () => [`${dice.pick(['dmverity_roothash', 'fsverity_digest'])}=sha256:cd2c1bae7c6c579edaae4353049d58`],
    () => [`dmverity_roothash=${dice.pick(['sha-256', 'SHA256', '', 'sha1'])}:`, { roothash: 'verity' }],
  ]);
  return pick();
}

const comment = (dice: Dice): string =>
  dice.pick(['', '', '', ' # why', '#', '   ', '\t', ' #op=EXECUTE', '\r']);

/** A policy that the kernel accepts, with comments and white space where it may have them. */
export function goodPolicy(
  dice: Dice,
  name: string,
  version: string,
  ops: readonly string[] = OPS,
): unknown[] {
  const parts: unknown[] = [];
  if (dice.chance(10)) parts.push('# a comment first\n\n');
  parts.push(`policy_name=${name} policy_version=${version}${comment(dice)}\n`);
  const lines: unknown[][] = [];
  if (dice.chance(80)) lines.push([`DEFAULT action=${dice.pick(ACTIONS)}`]);
  else for (const op of OPS) lines.push([`DEFAULT op=${op} action=${dice.pick(ACTIONS)}`]);
  if (lines.length === 1 && dice.chance(50)) {
    const op = dice.pick(ops);
    lines.push([`DEFAULT op=${op} action=${dice.pick(ACTIONS)}`]);
  }
  for (let i = dice.below(6); i > 0; i--) {
    const props = list(dice.below(3), () => [' ', ...property(dice)]).flat();
    lines.push([`op=${dice.pick(ops)}`, ...props, ` action=${dice.pick(ACTIONS)}`]);
  }
  for (const line of dice.shuffle(lines)) parts.push(...line, `${comment(dice)}\n`);
  return parts;
}

/** Words of good and of broken lines. */
const WORDS = [
  'DEFAULT',
  'default',
  ...OPS.map((op) => `op=${op}`),
  'op=EXECUTE',
  'op=',
  'op=execute',
  'op=UNKNOWN',
  'boot_verified=TRUE',
  'boot_verified=FALSE',
  'boot_verified=true',
  'boot_verified=',
  'dmverity_signature=TRUE',
  'fsverity_signature=FALSE',
  'dmverity_roothash=sha256:00ff',
  'dmverity_roothash=sha256:0',
  'dmverity_roothash=sha256:',
  'dmverity_roothash=:aa',
  'dmverity_roothash=sha256',
  'fsverity_digest=sha256:zz',
  'fsverity_digest=sha512:AAbb',
  'fsverity_digest=a:b:cc',
  'unknown=TRUE',
  'action=ALLOW',
  'action=DENY',
  'action=allow',
  'action=',
  'policy_name=q',
  'policy_version=1.0.0',
  '=',
  'x',
  '#',
];
const VERSIONS = [
  '1.0.0',
  '0.0.0',
  '1.0',
  '1.0.0.0',
  '65535.0.65535',
  '65536.0.0',
  '1..0',
  'a.0.0',
  '+1.0.0',
];
const MORE_VERSIONS = [
  '-1.0.0',
  '01.002.0003',
  '0x1.0.0',
  '1.0.0.',
  '.1.0.0',
  '1.0.65536',
  '1.0.4294967296',
  '',
];
const NAMES = ['p', 'p', 'p', 'a/b', '..', '.', 'ä', '"q"', "o'", 'x=y', 'a:b', 'UPPER', '0', 'p,q', '-'];
const ENDS = ['\n', '\n', '\n', '\r\n', '\r', '\n\n', '\n\t\n', '\v\n', '\f\n', ' \t\n'];

function randomText(dice: Dice): unknown {
  const gap = (): string => dice.pick([' ', ' ', ' ', '  ', '\t', ' \t']);
  const header = dice.pick<() => string>([
    () =>
      `policy_name=${dice.pick(NAMES)}${gap()}policy_version=${dice.pick([...VERSIONS, ...MORE_VERSIONS])}`,
    () => `policy_name=p${gap()}policy_version=1.2.3`,
    () => `policy_name=p${gap()}policy_version=1.2.3`,
    () => 'policy_version=1.0.0 policy_name=p',
    () =>
      `policy_name=${dice.pick(['', 'p'])} policy_version=1.0.0 ${dice.pick(['x', '#x', 'action=ALLOW'])}`,
    () => dice.pick(['policy_name=p', 'policy_version=1.0.0', 'Policy_name=p policy_version=1.0.0']),
  ])();
  const lines = [header, ...(dice.chance(75) ? [`DEFAULT${gap()}action=${dice.pick(ACTIONS)}`] : [])];
  for (let i = dice.below(5); i > 0; i--) {
    const good = dice.chance(60);
    const words = good
      ? [`op=${dice.pick(OPS)}`, ...list(dice.below(3), () => dice.pick(WORDS)), dice.pick(WORDS)]
      : list(1 + dice.below(4), () => dice.pick(WORDS));
    if (dice.chance(60)) words.push(`action=${dice.pick(ACTIONS)}`);
    lines.push(`${dice.chance(15) ? gap() : ''}${words.join(gap())}${comment(dice)}`);
  }
  const text = lines.map((line) => `${line}${dice.pick(ENDS)}`).join('');
  const all = dice.chance(20) ? text.trimEnd() : text;
  const bytes = Buffer.from(all, 'utf8');
  // Damage: a byte replaced, cut out or put in; NUL, 0xA0 and 0xFF among them.
  const at = dice.below(Math.max(1, bytes.length));
  const byte = dice.pick([0, 0x0b, 0x20, 0x23, 0x3d, 0x3a, 0x0d, 0xa0, 0xff, 0x41, 0x7f]);
  if (dice.chance(30)) bytes[at] = byte;
  if (dice.chance(10))
    return { hex: Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]).toString('hex') };
  return { hex: bytes.toString('hex') };
}

/** Names that a text may have made a directory of. */
const deletes = (name: string): Op => sys(`policies/${name}/delete`, '1');

export function grammarCase(dice: Dice): Case {
  const ops: Op[] = [];
  for (let i = 0; i < 45; i++) {
    ops.push(sys('new_policy', { pkcs7: randomText(dice), key: 'ca', nocerts: true }));
    ops.push({ op: 'ls', path: `${IPE_DIR}/policies` }, { op: 'cat', path: `${IPE_DIR}/policies/p/version` });
    ops.push(deletes('p'));
  }
  return { about: 'random IPE policy texts, signed and uploaded', cmdline: '', ops };
}

function signedOdd(dice: Dice, text: unknown): unknown {
  const keys = [
    'ca',
    'ca',
    'ipe1',
    'ipe1',
    'ima1',
    'ima2',
    'ima3',
    'evm1',
    'nosigusage',
    'stranger',
    'strangerca',
    'fsv1',
  ];
  const key = dice.pick(keys);
  const attr = dice.chance(25);
  const cms = dice.chance(25);
  const detached = dice.chance(10);
  const nocerts = dice.chance(25);
  const md = dice.chance(30) ? dice.pick(['sha1', 'sha224', 'sha384', 'sha512', 'md5', 'sha3-256']) : null;
  const certfile = dice.chance(20) ? dice.pick(['ca', 'ima1', 'stranger', 'ipe1']) : key;
  const message = {
    pkcs7: text,
    key,
    ...(attr ? { attr } : {}),
    // openssl smime knows no SHA-3, and neither command takes the signer's certificate twice.
    ...(cms || md === 'sha3-256' ? { cms: true } : {}),
    ...(detached ? { detached } : {}),
    ...(nocerts ? { nocerts } : {}),
    ...(md === null ? {} : { md }),
    ...(certfile === key ? {} : { certfile }),
  };
  if (dice.chance(25)) return { flip: message, at: dice.chance(50) ? dice.below(300) : -1 - dice.below(500) };
  if (dice.chance(5)) return [message, { hex: dice.pick(['00', '30', 'ffff']) }];
  return message;
}

export function signatureCase(dice: Dice): Case {
  const ops: Op[] = [];
  for (let i = 0; i < 40; i++) {
    if (dice.chance(10)) {
      const cert = dice.pick(['ima1', 'ima2', 'ipe1', 'evm1', 'stranger', 'nosigusage', 'ca']);
      ops.push(
        key(cert, dice.pick(['%.secondary_trusted_keys', '%.builtin_trusted_keys', '%.platform', '%.ima'])),
      );
    }
    const text = goodPolicy(dice, 'p', dice.pick(['1.0.0', '2.0.0', '1.0.65536']));
    ops.push(sys('new_policy', signedOdd(dice, text)), deletes('p'));
    if (dice.chance(10)) {
      const cert = dice.pick(['ima1', 'ipe1', 'evm1']);
      ops.push({
        op: 'key_op',
        what: dice.pick(['unlink', 'revoke', 'invalidate']),
        ring: '%.secondary_trusted_keys',
        type: 'asymmetric',
        desc: `oracle-test: ${cert}`,
      });
    }
  }
  return { about: 'random signers and forms of signed IPE policies', cmdline: '', ops };
}

const VERSION_POOL = ['0.0.0', '0.0.1', '0.1.0', '1.0.0', '1.0.1', '2.0.0', '65535.65535.65535'];
const WORDS_BOOL = [
  '1',
  '1',
  '1',
  '1\n',
  'y',
  'Y',
  'on',
  'oN',
  'true',
  'T',
  '0',
  'n',
  'off',
  'OFF',
  'f',
  '',
  ' 1',
  '2',
  'o',
  '10',
  'xyz',
];

export function nodesCase(dice: Dice): Case {
  const names = ['a', 'b', 'c'];
  const who = (): object =>
    dice.pick([
      {},
      {},
      {},
      {},
      {},
      { uid: 1000 },
      { uid: 1000, euid: 0 },
      { uid: 0, euid: 1000 },
      { actor: 'q' },
    ]);
  const node = (): string => dice.pick(['pkcs7', 'policy', 'name', 'version', 'active', 'update', 'delete']);
  const signed = (name: string): unknown =>
    dice.chance(8)
      ? { pkcs7: goodPolicy(dice, name, dice.pick(VERSION_POOL)), key: 'stranger' }
      : { pkcs7: goodPolicy(dice, name, dice.pick(VERSION_POOL), ['KMODULE', 'POLICY']), key: 'ipe1' };
  const ops: Op[] = list(2, (i) => sys('new_policy', signed(names[i] as string)));
  const steps: readonly (() => Op)[] = [
    () => sys('new_policy', signed(dice.pick(names)), who()),
    () => sys('new_policy', signed(dice.pick(names))),
    () => {
      const n = dice.pick(names);
      return sys(`policies/${n}/update`, signed(dice.chance(85) ? n : dice.pick(names)), who());
    },
    () => {
      const n = dice.pick(names);
      return sys(`policies/${n}/update`, signed(n));
    },
    () => sys(`policies/${dice.pick(names)}/active`, dice.pick(WORDS_BOOL), who()),
    () => sys(`policies/${dice.pick(names)}/active`, '1'),
    () => sys(`policies/${dice.pick(names)}/delete`, dice.pick(WORDS_BOOL), who()),
    () => sys(`policies/${dice.pick(names)}/delete`, '1'),
    () => sys(dice.pick(['enforce', 'success_audit']), dice.pick(WORDS_BOOL), who()),
    () =>
      sys(dice.pick(['enforce', 'active', 'new_policy']), '1', {
        flags: dice.pick(['rdwr', 'wronly|trunc', 'wronly|append', 'wronly|creat|trunc', 'rdonly']),
      }),
    () => ({ op: 'cat', path: `${IPE_DIR}/policies/${dice.pick(names)}/${node()}`, hex: 1, ...who() }),
    () => ({
      op: 'cat',
      path: `${IPE_DIR}/${dice.pick(['enforce', 'success_audit', 'new_policy', 'policies'])}`,
      ...who(),
    }),
    () => ({ op: 'ls', path: `${IPE_DIR}/policies${dice.pick(['', '/a', '/b', '/c'])}`, ...who() }),
    () => ({ op: 'stat', path: `${IPE_DIR}/policies/${dice.pick(names)}` }),
    () => ({
      op: 'open',
      path: `${IPE_DIR}/policies/${dice.pick(names)}/${node()}`,
      slot: dice.pick(['x', 'y', 'z']),
      flags: dice.pick(['rdonly', 'wronly', 'rdwr']),
      ...who(),
    }),
    () => ({
      op: 'open',
      path: `${IPE_DIR}/${dice.pick(['enforce', 'success_audit'])}`,
      slot: dice.pick(['x', 'y', 'z']),
      flags: dice.pick(['wronly', 'rdwr']),
    }),
    () => ({ op: 'readfd', slot: dice.pick(['x', 'y', 'z']), n: dice.pick([1, 5, 4096]) }),
    () => ({
      op: 'writefd',
      slot: dice.pick(['x', 'y', 'z']),
      data: dice.chance(70) ? dice.pick(WORDS_BOOL) : signed(dice.pick(names)),
    }),
    () => ({ op: 'pwritefd', slot: dice.pick(['x', 'y', 'z']), data: '1', off: dice.pick([0, 3, 5000]) }),
    () => ({ op: 'ftruncate', slot: dice.pick(['x', 'y', 'z']), len: 0 }),
    () => ({ op: 'close', slot: dice.pick(['x', 'y', 'z']) }),
    () => ({
      op: dice.pick(['unlink', 'truncate']),
      path: `${IPE_DIR}/policies/${dice.pick(names)}/${node()}`,
    }),
    () => ({ op: 'mkdir', path: `${IPE_DIR}/policies/${dice.pick(['a', 'n'])}` }),
    () => ({
      op: 'chmod',
      path: `${IPE_DIR}/policies/${dice.pick(names)}/${node()}`,
      mode: dice.pick([0o666, 0o600, 0o444]),
    }),
    () => ({ op: 'rename', path: `${IPE_DIR}/policies/${dice.pick(names)}`, to: `${IPE_DIR}/policies/d` }),
    () => sys('enforce', '0', { data2: '1', data3: dice.pick(WORDS_BOOL) }),
  ];
  for (let i = 0; i < 70; i++) ops.push(dice.pick(steps)());
  ops.push({ op: 'ls', path: `${IPE_DIR}/policies` });
  return {
    about: 'random writes to IPE nodes',
    cmdline: dice.pick([
      '',
      'ipe.enforce=0',
      'ipe.success_audit=1',
      'ipe.enforce=off ipe.success_audit',
      'ipe.enforce=2',
    ]),
    ops,
  };
}

const VS_SIGNATURE = { pkcs7: { fsvdigest: { elf: 'vs' } }, key: 'fsv1', detached: true, nocerts: true };
const FILES: readonly Op[] = [
  key('fsv1', '%.fs-verity'),
  { op: 'write', path: '/mnt/vs', data: { elf: 'vs' }, mode: 0o755 },
  { op: 'verity_enable', path: '/mnt/vs', sig: VS_SIGNATURE },
  { op: 'write', path: '/mnt/vu', data: { elf: 'vu' }, mode: 0o755 },
  { op: 'verity_enable', path: '/mnt/vu' },
  { op: 'write', path: '/mnt/v5', data: { elf: 'v5' }, mode: 0o755 },
  { op: 'verity_enable', path: '/mnt/v5', alg: 2 },
  { op: 'write', path: '/mnt/plain', data: PROGRAM, mode: 0o755 },
  { op: 'write', path: '/mnt/sh', data: '#!/mnt/plain\n', mode: 0o755 },
  { op: 'write', path: '/mnt/sh2', data: '#!/mnt/sh\n', mode: 0o755 },
  { op: 'write', path: '/mnt/garbage', data: 'no program', mode: 0o755 },
  { op: 'write', path: '/mnt/with space', data: PROGRAM, mode: 0o755 },
  { op: 'write', path: '/tmp/q', data: PROGRAM, mode: 0o755 },
  { op: 'write', path: '/tmp/shv', data: '#!/mnt/vs arg\n', mode: 0o755 },
  { op: 'write', path: '/mnt/m.ko', data: MODULE },
  { op: 'mkdir', path: '/mnt/dm' },
  { op: 'mkdir', path: '/mnt/du' },
  { op: 'mkdir', path: '/t' },
  { op: 'mount', src: 't', target: '/t', type: 'tmpfs' },
  { op: 'write', path: '/t/p', data: PROGRAM, mode: 0o755 },
];

const dmDevice = (dice: Dice, name: string, n: 1 | 2): Op[] => {
  const [data, hash, root] = n === 1 ? ['vdd', 'vde', 'verity'] : ['vdf', 'vdg', 'verity2'];
  const table: unknown[] = [
    `1 /dev/${data} /dev/${hash} 4096 4096 256 1 sha256 `,
    { roothash: root },
    ' aabbccdd',
  ];
  const signed = n === 1 && dice.chance(70);
  if (signed) table.push(` 2 root_hash_sig_key_desc s${name}`);
  const sig = { pkcs7: { roothash: root }, key: 'ipe1', detached: true };
  return [
    {
      op: 'dm_create',
      name,
      ttype: 'verity',
      sectors: 2048,
      table,
      ...(signed ? { sig, sigdesc: `s${name}` } : {}),
    },
    { op: 'mount', src: `/dev/mapper/${name}`, target: `/mnt/${name}`, type: 'ext4', flags: 'ro' },
  ];
};

function overlay(dice: Dice): Op[] {
  const lower = dice.pick(['/mnt/dm', '/mnt/du', '/tmp', '/mnt']);
  const upper = dice.pick(['/t', '/mnt']);
  return [
    { op: 'mkdir', path: `${upper}/ou` },
    { op: 'mkdir', path: `${upper}/ow` },
    { op: 'mkdir', path: '/ov' },
    {
      op: 'mount',
      src: 'ov',
      target: '/ov',
      type: 'overlay',
      data: `lowerdir=${lower},upperdir=${upper}/ou,workdir=${upper}/ow${dice.pick(['', '', ',metacopy=on'])}`,
    },
  ];
}

const PATHS = ['/mnt/vs', '/mnt/vu', '/mnt/v5', '/mnt/plain', '/mnt/sh', '/mnt/sh2', '/mnt/garbage'];
const MORE_PATHS = [
  '/mnt/with space',
  '/tmp/q',
  '/tmp/shv',
  '/t/p',
  '/init',
  '/mnt/dm/prog',
  '/mnt/dm/script',
];
const DM_PATHS = [
  '/mnt/du/prog',
  '/mnt/du/script',
  '/mnt/dm/lib',
  '/ov/prog',
  '/ov/script',
  '/ov/q',
  '/ov/vs',
  '/ov/plain',
  '/bm/q',
  '/bm/prog',
  '/mnt/dm',
  '/nope',
];
const ALL_PATHS = [...PATHS, ...MORE_PATHS, ...DM_PATHS];
const UIDS = [0, 0, 0, 0, 1000];

export function execSteps(dice: Dice): readonly (() => Op)[] {
  const path = (): string => dice.pick(ALL_PATHS);
  const map = (): string => `m${dice.below(4)}`;
  const slot = (): string => `s${dice.below(3)}`;
  const uid = (): number => dice.pick(UIDS);
  const exec = (): Op => ({ op: 'exec', path: path(), uid: uid() });
  const file = (): Op => ({
    op: 'mmap',
    path: path(),
    prot: dice.pick(['rx', 'rx', 'x', 'rwx', 'r', 'rw']),
    map: map(),
    ...(dice.chance(20) ? { share: 'shared' } : {}),
    ...(dice.chance(15) ? { flags: dice.pick(['rdwr', 'wronly']) } : {}),
  });
  const protect = (): Op => ({
    op: 'mprotect',
    map: map(),
    prot: dice.pick(['rx', 'rx', 'rwx', 'x', 'rw', 'r', '']),
  });
  return [
    exec,
    exec,
    exec,
    exec,
    file,
    file,
    protect,
    protect,
    () => ({
      op: 'mmap',
      prot: dice.pick(['rx', 'rwx', 'rw', 'x']),
      map: map(),
      ...(dice.chance(20) ? { share: 'shared' } : {}),
    }),
    () => ({
      op: 'memfd',
      slot: slot(),
      name: dice.pick(['m', 'a b', 'é']),
      data: dice.pick([PROGRAM, '#!/mnt/plain\n', 'x']),
    }),
    () => ({
      op: 'open',
      path: path(),
      slot: slot(),
      flags: dice.pick(['rdonly', 'rdonly', 'path', 'rdwr']),
    }),
    () => ({ op: 'fexec', slot: slot() }),
    () => ({ op: 'fexec', slot: slot() }),
    () => ({ op: 'mmap', slot: slot(), prot: dice.pick(['rx', 'rw', 'rwx']), map: map() }),
    () => ({ op: 'munmap', map: map() }),
    () => ({ op: 'pokemap', map: map(), data: 'x' }),
  ].filter((make) => make !== undefined && make().op !== 'pokemap');
}

function moreSteps(dice: Dice): readonly (() => Op)[] {
  return [
    () => sys('enforce', dice.pick(['0', '1', '1'])),
    () => sys('success_audit', dice.pick(['0', '1'])),
    () =>
      sys('policies/r/update', {
        pkcs7: goodPolicy(dice, 'r', `1.${dice.below(9)}.${dice.below(9)}`, [
          'EXECUTE',
          'EXECUTE',
          'KMODULE',
        ]),
        key: 'ca',
      }),
    () => ({
      op: 'chmod',
      path: dice.pick(['/mnt/plain', '/ov/prog', '/ov/q', '/mnt/vu']),
      mode: dice.pick([0o755, 0o4755, 0o644]),
    }),
    () => ({
      op: 'write',
      path: dice.pick(['/mnt/plain', '/ov/q', '/ov/prog', '/mnt/vs', '/mnt/dm/prog']),
      data: dice.pick([PROGRAM, { elf: 'vs' }]),
      mode: 0o755,
      flags: dice.pick(['wronly|creat|trunc', 'wronly|append']),
    }),
    () => ({ op: 'unlink', path: dice.pick(['/mnt/plain', '/tmp/q', '/mnt/vu']) }),
    () => ({
      op: 'rename',
      path: dice.pick(['/mnt/plain', '/mnt/vs']),
      to: dice.pick(['/mnt/plain', '/mnt/vu', '/mnt/other']),
    }),
    () => ({ op: 'mount', src: dice.pick(['/tmp', '/mnt/dm']), target: '/bm', flags: 'bind' }),
    () => ({ op: 'finit_module', path: dice.pick(['/mnt/m.ko', '/mnt/dm/m.ko', '/mnt/du/m.ko']) }),
    () => ({ op: 'init_module', path: dice.pick(['/mnt/m.ko', '/mnt/dm/m.ko']) }),
    () => ({ op: 'delete_module', name: 'test_module' }),
    () => ({ op: 'chroot', path: dice.pick(['/mnt', '/mnt/dm']), actor: 'c' }),
    () => ({ op: 'exec', path: dice.pick(['/plain', '/prog', '/vs', '/lib']), actor: 'c' }),
    () => ({
      op: 'open',
      path: dice.pick(['/tmp/q', '/mnt/vs', '/mnt/dm/prog', '/init']),
      slot: 'c',
      actor: 'c',
    }),
    () => ({ op: 'fexec', slot: 'c', actor: 'c' }),
  ];
}

export function execCase(dice: Dice): Case {
  const ops: Op[] = [...FILES, ...dmDevice(dice, 'dm', 1), ...dmDevice(dice, 'du', 2)];
  ops.push({ op: 'mkdir', path: '/bm' }, ...(dice.chance(60) ? overlay(dice) : []));
  const ima = dice.chance(35);
  if (ima) ops.push(policy('dont_measure', measureRules(dice)), { op: 'snapshot' });
  if (dice.chance(60)) ops.push(sys('success_audit', dice.pick(['1', '0', 'y'])));
  ops.push(
    sys('new_policy', {
      pkcs7: goodPolicy(dice, 'r', '1.0.0', ['EXECUTE', 'EXECUTE', 'EXECUTE', 'KMODULE']),
      key: 'ca',
    }),
  );
  ops.push(sys('policies/r/active', '1'));
  const steps = [...execSteps(dice), ...execSteps(dice), ...moreSteps(dice)];
  for (let i = 0; i < 60; i++) {
    ops.push(dice.pick(steps)());
    if (ima && dice.chance(8)) ops.push({ op: 'snapshot' });
  }
  const cmdline = dice.pick([
    '',
    '',
    '',
    'ipe.enforce=0',
    'ipe.success_audit=1',
    'ima_policy=tcb',
    'rootfstype=ramfs',
  ]);
  return { about: 'random IPE policies over execution in all its ways', cmdline, ops, drives: VERITY_DRIVES };
}

export function kernelReadCase(dice: Dice): Case {
  const ops: Op[] = [
    ...FILES,
    ...dmDevice(dice, 'dm', 1),
    { op: 'write', path: '/tmp/m.ko', data: MODULE },
    { op: 'write', path: '/tmp/ms.ko', data: { modsig: MODULE, key: 'ima1' } },
    { op: 'mkdir', path: '/mnt/fw' },
    { op: 'write', path: '/mnt/fw/b.bin', data: 'firmware' },
    { op: 'write', path: '/mnt/bz', data: { build: 'bzImage' } },
    { op: 'write', path: '/tmp/rd', data: 'initrd' },
    { op: 'write', path: '/mnt/pol', data: 'measure uid=64000\n' },
    { op: 'write', path: '/tmp/pol', data: 'audit uid=64001\n' },
  ];
  const reads = ['KMODULE', 'FIRMWARE', 'KEXEC_IMAGE', 'KEXEC_INITRAMFS', 'POLICY', 'X509_CERT'];
  if (dice.chance(60)) ops.push(sys('success_audit', '1'));
  ops.push(
    sys('new_policy', { pkcs7: goodPolicy(dice, 'r', '1.0.0', reads), key: 'ca' }),
    sys('policies/r/active', '1'),
  );
  const ima = '/sys/kernel/security/integrity/ima/policy';
  const steps: readonly (() => Op)[] = [
    () => ({
      op: 'finit_module',
      path: dice.pick(['/mnt/m.ko', '/tmp/m.ko', '/tmp/ms.ko', '/mnt/dm/m.ko', '/mnt/vs']),
    }),
    () => ({ op: 'init_module', path: dice.pick(['/mnt/m.ko', '/tmp/ms.ko', '/mnt/dm/m.ko']) }),
    () => ({ op: 'delete_module', name: 'test_module' }),
    () => ({
      op: 'syswrite',
      path: '/sys/module/firmware_class/parameters/path',
      data: dice.pick(['/mnt/fw', '/mnt/dm', '/nope']),
    }),
    () => ({
      op: 'syswrite',
      path: '/sys/devices/virtual/misc/test_firmware/trigger_request',
      data: dice.pick(['b.bin', 'fw.bin', 'none.bin']),
    }),
    () => ({
      op: 'kexec_file',
      path: dice.pick(['/mnt/bz', '/mnt/bz', '/mnt/plain']),
      cmdline: 'x',
      ...(dice.chance(70) ? { initrd: dice.pick(['/tmp/rd', '/mnt/dm/lib', '/nope']) } : {}),
    }),
    () => ({ op: 'kexec_load' }),
    () => ({
      op: 'syswrite',
      path: ima,
      data: dice.pick(['/mnt/pol', '/tmp/pol', '/mnt/dm/lib', '/nope', '/mnt/pol\n']),
    }),
    () => ({
      op: 'policy_row',
      data: dice.pick(['/mnt/pol\n', 'audit uid=64002\n', '/tmp/pol\naudit uid=64003\n']),
    }),
    () => sys('enforce', dice.pick(['0', '1', '1'])),
    () =>
      sys('policies/r/update', {
        pkcs7: goodPolicy(dice, 'r', `1.${dice.below(9)}.${dice.below(9)}`, reads),
        key: 'ca',
      }),
    () => ({ op: 'exec', path: dice.pick(ALL_PATHS), uid: dice.pick(UIDS) }),
    () => ({ op: 'snapshot' }),
  ];
  for (let i = 0; i < 45; i++) ops.push(dice.pick(steps)());
  const cmdline = dice.pick([
    '',
    '',
    'ipe.enforce=0',
    'ipe.success_audit=1',
    'ima_policy=tcb',
    'ima_policy=secure_boot ima_appraise=log',
  ]);
  return {
    about: 'random IPE policies over what the kernel reads itself',
    cmdline,
    ops,
    drives: VERITY_DRIVES,
  };
}

export function bootPolicyCase(dice: Dice): Case {
  const kernel = dice.pick(['build', 'build', 'build', 'badboot', 'smack', 'nohtable', 'noread']);
  const ops: Op[] = [
    { op: 'ls', path: `${IPE_DIR}/policies` },
    { op: 'ls', path: IPE_DIR },
    ...['pkcs7', 'policy', 'version', 'name', 'active'].map(
      (n): Op => ({ op: 'cat', path: `${IPE_DIR}/policies/boot/${n}` }),
    ),
    ...FILES,
    ...dmDevice(dice, 'dm', 1),
    ...dmDevice(dice, 'du', 2),
    { op: 'mkdir', path: '/bm' },
  ];
  const steps: readonly (() => Op)[] = [
    ...execSteps(dice),
    ...moreSteps(dice),
    () =>
      sys('policies/boot/update', {
        pkcs7: goodPolicy(
          dice,
          dice.pick(['boot', 'boot', 'x']),
          dice.pick(['0.1.0', '0.1.1', '0.0.9', '1.0.0']),
        ),
        key: 'ca',
      }),
    () =>
      sys('new_policy', {
        pkcs7: goodPolicy(dice, dice.pick(['boot', 'r', 's']), dice.pick(['0.0.1', '0.1.0', '1.0.0'])),
        key: 'ca',
      }),
    () => sys(`policies/${dice.pick(['boot', 'r', 's'])}/${dice.pick(['active', 'delete'])}`, '1'),
    () => ({
      op: 'cat',
      path: `${IPE_DIR}/policies/boot/${dice.pick(['pkcs7', 'active', 'version'])}`,
      hex: 1,
    }),
  ];
  for (let i = 0; i < 50; i++) ops.push(dice.pick(steps)());
  const cmdline = dice.pick([
    '',
    '',
    'ipe.success_audit=1',
    'ipe.enforce=0',
    'ipe.success_audit=1 ipe.enforce=n',
    'lsm=ima,evm',
    'ipe.success_audit=1 rootfstype=ramfs',
    'lsm=ipe',
  ]);
  const x509 = dice.chance(40)
    ? { initramfs: { '/etc/keys/x509_ima.der': { cert: dice.pick(['ima1', 'stranger']) } } }
    : {};
  return {
    about: `random use of IPE on the ${kernel} kernel`,
    cmdline,
    ops,
    drives: VERITY_DRIVES,
    kernel,
    ...x509,
  };
}
