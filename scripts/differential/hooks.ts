// Random operations on every hook of IMA (modules, firmware, kexec images, keys, policies by path, descriptors, memfds,
// fs-verity files) and random rules over every func. walks.ts has the plain file operations.

import type { Dice, Op } from './dice.ts';
import { EXCLUDE, KEY, MODULE, PROGRAM, policy, UUID } from './walks.ts';

export const IMA_POLICY = '/sys/kernel/security/integrity/ima/policy';
const FIRMWARE = '/sys/devices/virtual/misc/test_firmware/trigger_request';
const KEYS = ['ima1', 'ima2', 'ima3'] as const;
const DIGESTS = ['sha1', 'md5', 'sha256', 'sha384', 'sha512', 'sha224'] as const;
const TEMPLATES = [
  'ima-ng',
  'ima-sig',
  'ima-ngv2',
  'ima-sigv2',
  'ima-buf',
  'ima-modsig',
  'evm-sig',
  'ima',
] as const;

/** A file of the case: what it holds when it is made, and what it is used for. */
interface Prepared {
  readonly path: string;
  readonly content: unknown;
  readonly kind: 'data' | 'program' | 'module' | 'firmware' | 'verity' | 'policy';
}

const VERITY_TEXT = { repeat: 'verity!', n: 3000 };
const file = (path: string, content: unknown, kind: Prepared['kind']): Prepared => ({ path, content, kind });

const FILES: readonly Prepared[] = [
  file('/mnt/a', 'alpha', 'data'),
  file('/mnt/b', 'beta', 'data'),
  file('/mnt/e', '', 'data'),
  file('/mnt/p', PROGRAM, 'program'),
  file('/mnt/q', { elf: 'Q' }, 'program'),
  file('/mnt/sh', '#!/mnt/p\n', 'program'),
  file('/mnt/m.ko', MODULE, 'module'),
  file('/mnt/ms.ko', { modsig: MODULE, key: 'ima1' }, 'module'),
  file('/mnt/mx.ko', { modsig: MODULE, key: 'stranger' }, 'module'),
  file('/mnt/fw/f', 'firmware f', 'firmware'),
  file('/mnt/fw/g', 'firmware g', 'firmware'),
  file('/mnt/v', VERITY_TEXT, 'verity'),
  file('/mnt/w', VERITY_TEXT, 'verity'),
  file('/mnt/pol', 'audit uid=64001\n', 'policy'),
  file('/mnt/pol2', '# nothing\n\nmeasure func=FILE_CHECK uid=1001\n', 'policy'),
  file('/tmp/t', 'tmp', 'data'),
];

/** A label for security.ima: of what the file holds, or of something else. */
function label(dice: Dice, f: Prepared): unknown {
  const content = dice.chance(85) ? f.content : 'other';
  const key = dice.pick([...KEYS, 'stranger', 'ima1']);
  return dice.pick<() => unknown>([
    () => ({ imahash: content, alg: dice.pick(DIGESTS) }),
    () => ({ imahash: content, alg: 'sha256' }),
    () => ({ imahash: content, alg: dice.pick(['sha1', 'md5']), legacy: true }),
    () => ({ imasig: content, key }),
    () => ({ imasig: content, key, alg: dice.pick(['sha1', 'sha256', 'sha512', 'sha384']) }),
    () => ({ imasig: content, key: 'ima1', v: dice.pick([1, 2, 3]) }),
    () => ({ sigv3: content, key }),
    () => ({ flip: { imasig: content, key: 'ima1' }, at: dice.pick([0, 1, 2, 3, 8, 40, -1]) }),
    () => ({ flip: { imahash: content, alg: 'sha256' }, at: dice.pick([0, 1, 5, -1]) }),
    () => ({ hex: dice.pick(['01', '04', '0404', '03', '0302', '06', '0603', '02', '05', '0405', '0414']) }),
  ])();
}

/** Makes the files, gives some of them labels, and links the keys. */
export function prepare(dice: Dice, labels: number): Op[] {
  const ops: Op[] = [
    { op: 'chmod', path: '/mnt', mode: 0o777 },
    { op: 'mkdir', path: '/mnt/fw' },
    { op: 'syswrite', path: '/sys/module/firmware_class/parameters/path', data: '/mnt/fw' },
    ...KEYS.flatMap((k) => dice.some(75, () => KEY(k, '%.ima'))),
  ];
  for (const f of FILES) {
    const mode = f.kind === 'program' ? 0o755 : dice.pick([0o644, 0o666, 0o600]);
    ops.push({ op: 'write', path: f.path, data: f.content, mode });
    if (dice.chance(20)) ops.push({ op: 'chown', path: f.path, to_uid: 1000, to_gid: dice.pick([0, 1000]) });
    if (dice.chance(labels)) ops.push(relabel(dice, f));
    if (f.kind === 'verity')
      ops.push({ op: 'verity_enable', path: f.path, ...dice.pick([{}, {}, { alg: 2 }]) });
  }
  return ops;
}

function relabel(dice: Dice, f: Prepared): Op {
  return { op: 'setxattr', path: f.path, name: 'security.ima', data: label(dice, f) };
}

/** An operation that some hook sees. */
const USES: readonly ((dice: Dice, f: Prepared) => Op[])[] = [
  (dice, f) => [{ op: 'read', path: f.path, uid: dice.pick([0, 0, 1000]) }],
  (dice, f) => [{ op: 'read', path: f.path, uid: dice.pick([0, 0, 1000]) }],
  (_, f) => [{ op: 'read', path: f.path, flags: 'rdonly|direct' }],
  (dice) => [{ op: 'exec', path: dice.pick(['/mnt/p', '/mnt/q', '/mnt/sh']), uid: dice.pick([0, 1000]) }],
  (dice, f) => [{ op: 'mmap', path: f.path, prot: dice.pick(['r', 'rx']), map: `m${dice.below(3)}` }],
  (dice) => [{ op: 'mprotect', map: `m${dice.below(3)}`, prot: dice.pick(['rx', 'r', 'rw']) }],
  (dice) => [{ op: 'munmap', map: `m${dice.below(3)}` }],
  (dice) => [
    { op: 'finit_module', path: dice.pick(['/mnt/m.ko', '/mnt/ms.ko', '/mnt/mx.ko']) },
    { op: 'delete_module', name: 'test_module' },
  ],
  (dice) => [
    { op: 'init_module', path: dice.pick(['/mnt/m.ko', '/mnt/ms.ko']) },
    { op: 'delete_module', name: 'test_module' },
  ],
  (dice) => [{ op: 'syswrite', path: FIRMWARE, data: dice.pick(['f', 'g', 'missing']) }],
  () => [{ op: 'kexec_load' }],
  (dice) => [
    {
      op: 'syswrite',
      path: IMA_POLICY,
      data: dice.pick(['/mnt/pol', '/mnt/pol2', '/mnt/none', '/mnt/pol\n']),
    },
  ],
  (dice) => [
    KEY(
      dice.pick([...KEYS, 'evm1', 'ca', 'nosigusage', 'stranger']),
      dice.pick(['%.ima', '%.ima', '%.evm', '-4']),
    ),
  ],
  (dice) => [
    { op: 'memfd', slot: 'd', name: 'x y', data: dice.pick([PROGRAM, 'text']) },
    { op: 'fexec', slot: 'd' },
    { op: 'close', slot: 'd' },
  ],
  (dice, f) => [relabel(dice, f)],
  (_, f) => [{ op: 'removexattr', path: f.path, name: 'security.ima' }],
  (_, f) => [{ op: 'getxattr', path: f.path, name: 'security.ima' }],
  (dice, f) => [
    {
      op: 'write',
      path: f.path,
      data: dice.pick([f.content, 'new']),
      flags: dice.pick(['wronly', 'wronly|trunc', 'rdwr']),
    },
    { op: 'getxattr', path: f.path, name: 'security.ima' },
  ],
  (dice, f) => [
    {
      op: 'open',
      path: f.path,
      slot: dice.pick(['s', 't']),
      flags: dice.pick(['rdonly', 'wronly', 'rdwr']),
      actor: 'o',
    },
  ],
  (dice) => [{ op: 'writefd', slot: dice.pick(['s', 't']), data: 'zz', actor: 'o' }],
  (dice) => [{ op: 'close', slot: dice.pick(['s', 't']), actor: 'o' }],
  (dice, f) => [{ op: 'truncate', path: f.path, len: dice.pick([0, 3]) }],
  (dice, f) => [{ op: 'chmod', path: f.path, mode: dice.pick([0o755, 0o644]) }],
  (_, f) => [
    { op: 'rename', path: f.path, to: `${f.path}_` },
    { op: 'rename', path: `${f.path}_`, to: f.path },
  ],
  (dice) => [{ op: 'write', path: `/mnt/n${dice.below(4)}`, data: dice.pick(['new file', '', PROGRAM]) }],
  (dice) => [{ op: 'read', path: `/mnt/n${dice.below(4)}`, uid: dice.pick([0, 1000]) }],
  (dice) => [{ op: 'mknod', path: `/mnt/n${dice.below(4)}`, mode: 0o100644 }],
  () => [{ op: 'snapshot' }],
];

export function useHooks(dice: Dice, steps: number): Op[] {
  return Array.from({ length: steps }, () => dice.pick(USES)(dice, dice.pick(FILES))).flat();
}

function number(dice: Dice): number {
  return dice.pick([0, 0, 1000, 999, 1001]);
}

/** Conditions on users, owners and file systems. */
function conditions(dice: Dice): string {
  const ids = ['uid', 'euid', 'gid', 'egid', 'fowner', 'fgroup'];
  const words = [
    ...dice.some(30, () => `${dice.pick(ids)}${dice.pick(['=', '=', '>', '<'])}${number(dice)}`),
    ...dice.some(10, () => `${dice.pick(['fowner', 'fgroup'])}${dice.pick(['=', '>', '<'])}${number(dice)}`),
    ...dice.some(25, () => dice.pick([`fsuuid=${UUID}`, 'fsname=ext4', 'fsmagic=0xef53', 'fsname=rootfs'])),
    ...dice.some(8, () => 'permit_directio'),
  ];
  return words.map((w) => ` ${w}`).join('');
}

const FILE_FUNCS = [
  'FILE_CHECK',
  'FILE_CHECK',
  'BPRM_CHECK',
  'CREDS_CHECK',
  'MMAP_CHECK',
  'MMAP_CHECK_REQPROT',
];
const READ_FUNCS = [
  'MODULE_CHECK',
  'FIRMWARE_CHECK',
  'POLICY_CHECK',
  'KEXEC_KERNEL_CHECK',
  'KEXEC_INITRAMFS_CHECK',
];

function whereText(dice: Dice, funcs: readonly string[]): { func: string; text: string } {
  const func = dice.chance(85) ? dice.pick(funcs) : '';
  const masks = ['MAY_READ', '^MAY_READ', 'MAY_EXEC', '^MAY_EXEC', '^MAY_WRITE', '^MAY_APPEND', 'MAY_WRITE'];
  const mask = dice.chance(30) ? ` mask=${dice.pick(masks)}` : '';
  return { func, text: `${func === '' ? '' : ` func=${func}`}${mask}` };
}

function measureRule(dice: Dice): string {
  const extra = dice.pick([
    '',
    '',
    '',
    '',
    ` pcr=${dice.pick([10, 11, 12, 16, 23])}`,
    ` template=${dice.pick(TEMPLATES)}`,
  ]);
  return dice.pick<() => string>([
    () => `measure${whereText(dice, [...FILE_FUNCS, ...READ_FUNCS]).text}${conditions(dice)}${extra}`,
    () => `measure${whereText(dice, FILE_FUNCS).text}${conditions(dice)}${extra}`,
    () =>
      `measure func=KEY_CHECK${dice.pick(['', ' keyrings=.ima', ' keyrings=.evm|.ima', ' keyrings=.other', ' uid=0'])}${extra}`,
    () =>
      `measure func=CRITICAL_DATA${dice.pick(['', ' label=modules', ' label=device-mapper|modules', ' label=x'])}${extra}`,
    () =>
      `measure func=FILE_CHECK digest_type=verity fsuuid=${UUID}${dice.pick(['', ' template=ima-ngv2', ' template=ima-sigv2'])}`,
    () => `dont_measure${whereText(dice, FILE_FUNCS).text}${conditions(dice)}`,
    () =>
      `${dice.pick(['audit', 'hash', 'dont_hash'])}${whereText(dice, FILE_FUNCS).text}${conditions(dice)}`,
  ])();
}

function appraiseRule(dice: Dice): string {
  const read = dice.chance(35);
  const { func, text } = whereText(dice, read ? READ_FUNCS : FILE_FUNCS);
  const modsig = ['MODULE_CHECK', 'KEXEC_KERNEL_CHECK', 'KEXEC_INITRAMFS_CHECK'].includes(func);
  const type = dice.pick([
    '',
    '',
    ' appraise_type=imasig',
    ' appraise_type=imasig appraise_flag=check_blacklist',
    modsig ? ' appraise_type=imasig|modsig' : ' appraise_algos=sha256,sha512',
    read ? '' : ' digest_type=verity appraise_type=sigv3',
    ' appraise_algos=sha256,sha384',
  ]);
  return `${dice.pick(['appraise', 'appraise', 'appraise', 'dont_appraise'])}${text}${conditions(dice)}${
    text.startsWith('dont') ? '' : type
  }`.replace(/^(dont_appraise.*?)( digest_type.*| appraise_.*)$/, '$1');
}

/** One upload: the exclusions, then rules of every kind. */
export function anyPolicy(dice: Dice, appraise: boolean): Op {
  const rules = dice.several(1, 5, () => measureRule(dice));
  if (appraise) rules.push(...dice.several(1, 4, () => appraiseRule(dice)));
  if (appraise && dice.chance(12))
    rules.push('appraise func=SETXATTR_CHECK appraise_algos=sha256,sha512,sha1');
  const both = [...EXCLUDE.map((m) => `dont_appraise fsmagic=${m}`), ...dice.shuffle(rules)];
  return policy('dont_measure', both);
}

/** IMA parameters that change what the hooks do. */
export function hookCmdline(dice: Dice): string {
  return [
    ...dice.some(40, () => `ima_appraise=${dice.pick(['log', 'fix', 'off', 'enforce'])}`),
    ...dice.some(30, () => `ima_template=${dice.pick(TEMPLATES)}`),
    ...dice.some(20, () => `ima_hash=${dice.pick(['sha1', 'sha512', 'sha384', 'md5'])}`),
    ...dice.some(
      25,
      () =>
        `ima_policy=${dice.pick(['tcb', 'appraise_tcb', 'secure_boot', 'critical_data', 'tcb|critical_data'])}`,
    ),
    ...dice.some(15, () => 'integrity_audit=1'),
  ].join(' ');
}
