// Seeded random cases about EVM as a whole: every kind of label, names added through evm_xattrs, ACLs, set-id bits
// dropped by writes, directories and devices, other file systems, overlays with copy-up, user namespaces. HMACs that
// cover a random inode generation are only listed, never read: they differ from run to run.

import type { Case, Dice, Op } from './dice.ts';
import { policy, UUID } from './walks.ts';

const EVM = '/sys/kernel/security/integrity/evm';
const HMAC_KEY = '0123456789abcdef'.repeat(4);
const BARE_UUID = UUID.replaceAll('-', '');
const CAPABILITY = { hex: '0100000200040000000000000000000000000000' };
const CAPABILITY_V3 = { hex: '010000030004000000000000000000000000000000000000' };
const NAMES = [
  'security.ima',
  'security.ima',
  'security.capability',
  'security.selinux',
  'security.SMACK64',
  'security.SMACK64EXEC',
  'security.apparmor',
  'security.foo',
  'security.added',
  'user.x',
  'trusted.y',
] as const;
const MODES = [0o644, 0o755, 0o600, 0o4755, 0o2775, 0o777];
/** user::rw- user:1000:N group::r-- mask::N other::r--; the mask is the group class of the mode. */
const acl = (bits: number): unknown => ({
  hex: `0200000001000600ffffffff02000${bits}00e803000004000400ffffffff10000${bits}00ffffffff20000400ffffffff`,
});
const PLAIN_ACL = { hex: '0200000001000600ffffffff04000400ffffffff20000400ffffffff' };

interface Target {
  readonly path: string;
  readonly content: string;
  /** Inode number and generation are known, so an HMAC can be made outside and compared. */
  readonly ino: number | null;
  mode: number;
  uid: number;
  gid: number;
  xattrs: Record<string, unknown>;
}

interface Walk {
  readonly dice: Dice;
  readonly ops: Op[];
  readonly files: Target[];
  /** Paths that a step may also meet: directories, devices, links. */
  readonly others: string[];
  next: number;
}

function imaValue(dice: Dice, content: string): unknown {
  return dice.pick<unknown>([
    { imahash: content, alg: 'sha256' },
    { imahash: content, alg: 'sha256' },
    { imahash: content, alg: 'sha1', legacy: true },
    { imasig: content, key: 'ima1' },
    { imahash: 'other', alg: 'sha512' },
  ]);
}

function labelOf(dice: Dice, name: string, content: string): unknown {
  if (name === 'security.ima') return imaValue(dice, content);
  if (name === 'security.capability') return dice.pick<unknown>([CAPABILITY, CAPABILITY, CAPABILITY_V3, 'x']);
  return dice.pick(['a', 'ab', 'bc', 'c', '']);
}

/** A value for security.evm that fits what the file should be now, or nearly. */
function evmValue(dice: Dice, f: Target): unknown {
  const wrong = dice.chance(15);
  const m = { mode: 0o100000 | (wrong ? 0o640 : f.mode), uid: f.uid, gid: f.gid, xattrs: f.xattrs };
  const placed = { ...m, ino: f.ino ?? 1, gen: 7 };
  const uuid = dice.chance(90) ? { uuid: BARE_UUID } : {};
  const alg = dice.pick(['sha256', 'sha256', 'sha1', 'sha512']);
  switch (dice.below(8)) {
    case 0:
    case 1:
      return { evmhmac: placed, ...uuid, hmackey: HMAC_KEY };
    case 2:
    case 3:
    case 4:
      return { evmsig: m, key: 'evm1', type: 5, alg };
    case 5:
    case 6:
      return { evmsig: placed, key: 'evm1', type: 3, ...uuid, alg };
    default:
      return dice.pick<unknown>([
        { hex: `02${'11'.repeat(20)}` },
        { hex: `02${'11'.repeat(32)}` },
        { evmsig: m, key: 'stranger', type: 5 },
        { evmsig: m, key: 'ima1', type: 3 },
        { flip: { evmsig: m, key: 'evm1', type: 5 }, at: 40 },
        { hex: '05' },
        { hex: '030204' },
        { hex: '050204b78070f7010000' },
        { hex: '0404aabb' },
        { hex: '' },
      ]);
  }
}

const asRoot = (dice: Dice): number => (dice.chance(85) ? 0 : dice.pick([1000, 5]));

function changeXattr(w: Walk, f: Target): void {
  const { dice, ops } = w;
  const name = dice.pick(NAMES);
  if (dice.chance(25)) {
    delete f.xattrs[name];
    ops.push({ op: 'removexattr', path: f.path, name, uid: asRoot(dice) });
    return;
  }
  const data = labelOf(dice, name, f.content);
  if (name.startsWith('security.')) f.xattrs[name] = data;
  const xflags = dice.chance(15) ? { xflags: dice.pick([1, 2]) } : {};
  ops.push({ op: 'setxattr', path: f.path, name, data, uid: asRoot(dice), ...xflags });
}

function changeMode(w: Walk, f: Target): void {
  const { dice, ops } = w;
  if (dice.chance(50)) {
    f.mode = dice.chance(30) ? f.mode : dice.pick(MODES);
    ops.push({ op: 'chmod', path: f.path, mode: f.mode, uid: asRoot(dice) });
    return;
  }
  if (dice.chance(60)) [f.uid, f.gid] = [dice.pick([0, 5, 1000]), dice.pick([0, 5])];
  const id = (n: number): number => (dice.chance(15) ? -1 : n);
  ops.push({ op: 'chown', path: f.path, to_uid: id(f.uid), to_gid: id(f.gid), uid: asRoot(dice) });
}

function changeAcl(w: Walk, f: Target): void {
  const { dice, ops } = w;
  const name = 'system.posix_acl_access';
  if (dice.chance(25)) ops.push({ op: 'removexattr', path: f.path, name });
  else {
    const data = dice.pick<unknown>([acl(4), acl(6), PLAIN_ACL]);
    ops.push({ op: 'setxattr', path: f.path, name, data });
  }
}

function useSlot(w: Walk, f: Target): void {
  const { dice, ops } = w;
  const slot = dice.pick(['a', 'b']);
  ops.push(
    dice.pick<Op>([
      { op: 'open', path: f.path, slot, flags: dice.pick(['rdonly', 'wronly', 'rdwr']) },
      { op: 'writefd', slot, data: 'w' },
      { op: 'fchmod', slot, mode: dice.pick(MODES) },
      { op: 'fsetxattr', slot, name: 'security.ima', data: imaValue(dice, f.content) },
      { op: 'ftruncate', slot, len: dice.below(3) },
      { op: 'close', slot },
      { op: 'close', slot },
    ]),
  );
}

function born(w: Walk, dir: string): void {
  const { dice, ops } = w;
  const path = `${dir}/n${w.next++}`;
  ops.push(
    dice.pick<Op>([
      { op: 'mknod', path, mode: 0o100644 },
      { op: 'mknod', path, mode: 0o100644 },
      { op: 'mknod', path, mode: 0o010644 },
      { op: 'mknod', path, mode: 0o020600, maj: 1, min: 3 },
      { op: 'mkdir', path, mode: 0o755 },
      { op: 'symlink', path: 'target', to: path },
      { op: 'write', path, data: 'new', flags: 'wronly|creat' },
      { op: 'write', path, data: 'new', flags: 'wronly|creat', uid: 1000 },
    ]),
  );
  w.others.push(path);
}

function touch(w: Walk, f: Target): void {
  const { dice, ops } = w;
  const { path } = f;
  ops.push(
    dice.pick<Op>([
      { op: 'write', path, data: f.content, flags: 'wronly|trunc', uid: dice.pick([0, 1000]) },
      { op: 'write', path, data: 'W', flags: 'wronly', uid: dice.pick([0, 1000, 1000]) },
      { op: 'utimes', path, t: 5 },
      { op: 'truncate', path, len: dice.below(2), uid: dice.pick([0, 1000]) },
      { op: 'link', path, to: `${path}l` },
      { op: 'rename', path, to: `${path}r` },
      { op: 'rename', path: `${path}r`, to: path },
      { op: 'chmod', path: `${path}l`, mode: f.mode },
      { op: 'read', path: `${path}l` },
      { op: 'exec', path },
      { op: 'mmap', path, prot: 'r' },
    ]),
  );
}

function onOther(w: Walk): void {
  const { dice, ops } = w;
  if (w.others.length === 0) return;
  const path = dice.pick(w.others);
  ops.push(
    dice.pick<Op>([
      { op: 'chmod', path, mode: dice.pick(MODES) },
      { op: 'chown', path, to_uid: 5, to_gid: 5 },
      { op: 'setxattr', path, name: 'security.ima', data: { imahash: 'new', alg: 'sha256' } },
      { op: 'setxattr', path, name: 'security.ima', data: { imahash: '', alg: 'sha256' } },
      { op: 'setxattr', path, name: 'security.capability', data: CAPABILITY },
      { op: 'setxattr', path, name: 'security.foo', data: 'v' },
      { op: 'removexattr', path, name: 'security.ima' },
      { op: 'removexattr', path, name: 'security.evm' },
      { op: 'setxattr', path, name: 'security.evm', data: { hex: '030204' } },
      { op: 'listxattr', path },
      { op: 'stat', path },
      { op: 'unlink', path },
    ]),
  );
}

function node(w: Walk): void {
  const { dice, ops } = w;
  if (dice.chance(50)) {
    const data = dice.pick([
      '1',
      '2',
      '3',
      '4',
      '6',
      '0x80000002',
      '0x80000000',
      '0',
      '8',
      'x',
      '0x100000000',
    ]);
    ops.push({ op: 'syswrite', path: `${EVM}/evm`, data }, { op: 'cat', path: `${EVM}/evm` });
    return;
  }
  const data = dice.pick([
    'security.added',
    'security.foo\n',
    'security.SMACK64',
    'security.ima',
    'user.x',
    '.',
    '',
  ]);
  ops.push({ op: 'syswrite', path: `${EVM}/evm_xattrs`, data }, { op: 'cat', path: `${EVM}/evm_xattrs` });
}

function step(w: Walk, dir: string): void {
  const { dice, ops } = w;
  const f = dice.pick(w.files);
  switch (dice.below(16)) {
    case 0:
    case 1:
    case 2:
      changeXattr(w, f);
      break;
    case 3:
    case 4:
    case 5:
      changeMode(w, f);
      break;
    case 6:
    case 7:
      ops.push({
        op: 'setxattr',
        path: f.path,
        name: 'security.evm',
        data: evmValue(dice, f),
        uid: asRoot(dice),
      });
      break;
    case 8:
      changeAcl(w, f);
      break;
    case 9:
      useSlot(w, f);
      break;
    case 10:
      touch(w, f);
      break;
    case 11:
      born(w, dir);
      break;
    case 12:
      onOther(w);
      break;
    case 13:
      if (dice.chance(25)) node(w);
      else ops.push({ op: 'removexattr', path: f.path, name: 'security.evm' });
      break;
    default:
      ops.push({ op: 'read', path: f.path, uid: dice.pick([0, 1000]) });
  }
  if (dice.chance(40))
    ops.push(
      f.ino === null || dice.chance(50)
        ? { op: 'listxattr', path: f.path }
        : { op: 'getxattr', path: f.path, name: 'security.evm' },
    );
}

function keys(dice: Dice): Op[] {
  const secret = dice.chance(85)
    ? `new enc32 user:kmk 32 ${HMAC_KEY}`
    : `new ${dice.pick(['default', 'enc32'])} user:kmk 32`;
  return [
    { op: 'add_key', type: 'asymmetric', desc: '', data: { cert: 'ima1' }, ring: '%.ima' },
    ...(dice.chance(90)
      ? [{ op: 'add_key', type: 'asymmetric', desc: '', data: { cert: 'evm1' }, ring: '%.evm' }]
      : []),
    { op: 'add_key', type: 'user', desc: 'kmk', data: 'kmk-oracle-0123456789abcdef01234', ring: '-4' },
    { op: 'add_key', type: 'encrypted', desc: 'evm-key', data: secret, ring: '-4' },
    { op: 'chmod', path: '/mnt', mode: 0o777 },
  ];
}

const FIXED_KEY = (ops: readonly Op[]): boolean =>
  ops.some((o) => o.op === 'add_key' && String(o['data']).includes(HMAC_KEY));

function makeFile(w: Walk, path: string, ino: number | null): Target {
  const { dice, ops } = w;
  const content = dice.pick(['T', 'U']);
  const f: Target = { path, content, ino, mode: dice.pick(MODES), uid: 0, gid: 0, xattrs: {} };
  w.files.push(f);
  ops.push({ op: 'write', path, data: content });
  if (ino !== null) ops.push({ op: 'setgen', path, gen: 7 });
  if (dice.chance(30)) {
    [f.uid, f.gid] = [dice.pick([0, 1000]), 5];
    ops.push({ op: 'chown', path, to_uid: f.uid, to_gid: f.gid });
  }
  ops.push({ op: 'chmod', path, mode: f.mode });
  for (const name of new Set([
    ...(dice.chance(85) ? ['security.ima'] : []),
    ...(dice.chance(30) ? [dice.pick(NAMES)] : []),
  ])) {
    const data = labelOf(dice, name, content);
    if (name.startsWith('security.')) f.xattrs[name] = data;
    ops.push({ op: 'setxattr', path, name, data });
  }
  if (dice.chance(80)) ops.push({ op: 'setxattr', path, name: 'security.evm', data: evmValue(dice, f) });
  return f;
}

function rules(dice: Dice, where: string): Op {
  const type = dice.pick(['', '', ' appraise_type=imasig']);
  const hook = dice.pick(['', ' func=FILE_CHECK mask=MAY_READ', ' func=FILE_CHECK']);
  return policy('dont_appraise', [`appraise${hook}${type} ${where}`]);
}

const CMDLINES = [
  '',
  '',
  '',
  'evm=fix',
  'ima_appraise=log',
  'ima_appraise=fix',
  'ima_appraise=fix evm=fix',
  'integrity_audit=1',
];
const WORDS = ['1', '2', '3', '0x80000002', '6', '0x80000003', '0x80000000', '4'];

function finish(w: Walk): void {
  for (const f of w.files)
    w.ops.push({ op: 'listxattr', path: f.path }, { op: 'stat', path: f.path }, { op: 'read', path: f.path });
  for (const path of w.others) w.ops.push({ op: 'listxattr', path });
}

/** HMACs under a random key are not compared. */
function hideRandom(w: Walk): void {
  if (FIXED_KEY(w.ops)) return;
  w.ops.forEach((o, i) => {
    if (o.op === 'getxattr') w.ops[i] = { op: 'listxattr', path: o['path'] as string };
  });
}

/** The same where an LSM labels files: four more names count, and new inodes have a label and an HMAC. */
export function evmSmackCase(dice: Dice): Case {
  return { ...evmMetaCase(dice), kernel: 'smack' };
}

export function evmMetaCase(dice: Dice): Case {
  const w: Walk = { dice, ops: [...keys(dice)], files: [], others: [], next: 1 };
  w.ops.push({ op: 'syswrite', path: `${EVM}/evm`, data: '4' });
  if (dice.chance(25)) w.ops.push({ op: 'syswrite', path: `${EVM}/evm_xattrs`, data: 'security.added' });
  for (let i = 0; i < 7; i++) makeFile(w, `/mnt/e${i}`, 12 + i);
  const mode = dice.pick(WORDS);
  w.ops.push({ op: 'syswrite', path: `${EVM}/evm`, data: mode }, { op: 'cat', path: `${EVM}/evm` });
  if (dice.chance(70)) w.ops.push(rules(dice, `fsuuid=${UUID}`));
  for (let i = 0; i < 80; i++) step(w, '/mnt');
  finish(w);
  hideRandom(w);
  return {
    about: `random EVM operations of every kind, mode ${mode}`,
    cmdline: dice.pick(CMDLINES),
    ops: w.ops,
  };
}

/** The same on tmpfs, vfat and ramfs, where HMACs are only listed. */
export function evmPlacesCase(dice: Dice): Case {
  const w: Walk = { dice, ops: [...keys(dice)], files: [], others: [], next: 1 };
  w.ops.push(
    ...['/t', '/v', '/r'].map((path) => ({ op: 'mkdir', path })),
    { op: 'mount', src: 't', target: '/t', type: 'tmpfs' },
    { op: 'mount', src: '/dev/vdd', target: '/v', type: 'vfat' },
    { op: 'mount', src: 'r', target: '/r', type: 'ramfs' },
    { op: 'syswrite', path: `${EVM}/evm`, data: '4' },
  );
  for (const dir of ['/t', '/t', '/t', '/v', '/r']) makeFile(w, `${dir}/e${w.next++}`, null);
  const mode = dice.pick(WORDS);
  w.ops.push({ op: 'syswrite', path: `${EVM}/evm`, data: mode }, { op: 'cat', path: `${EVM}/evm` });
  const where = dice.pick(['fsname=tmpfs', 'fsmagic=0x4d44', 'fsmagic=0x858458f6', 'uid=1000']);
  if (dice.chance(80)) w.ops.push({ op: 'policy_row', data: `appraise func=FILE_CHECK ${where}\n` });
  for (let i = 0; i < 70; i++) step(w, dice.pick(['/t', '/t', '/v']));
  finish(w);
  return {
    about: `random EVM operations on tmpfs, vfat and ramfs, mode ${mode}`,
    cmdline: dice.pick(CMDLINES),
    drives: ['ext4', 'vfat'],
    ops: w.ops,
  };
}

function overlayStep(w: Walk): void {
  const { dice, ops } = w;
  const f = dice.pick(w.files);
  const name = f.path.split('/').pop() as string;
  ops.push(
    dice.pick<Op>([
      { op: 'read', path: `/o/${name}` },
      { op: 'read', path: `/o/${name}`, uid: 1000 },
      { op: 'chmod', path: `/o/${name}`, mode: dice.pick(MODES) },
      { op: 'chown', path: `/o/${name}`, to_uid: 5, to_gid: 5 },
      { op: 'setxattr', path: `/o/${name}`, name: 'security.ima', data: imaValue(dice, f.content) },
      { op: 'setxattr', path: `/o/${name}`, name: 'security.evm', data: evmValue(dice, f) },
      { op: 'setxattr', path: `/o/${name}`, name: 'security.capability', data: CAPABILITY },
      { op: 'setxattr', path: `/o/${name}`, name: 'security.foo', data: 'v' },
      { op: 'setxattr', path: `/o/${name}`, name: 'system.posix_acl_access', data: acl(4) },
      {
        op: 'removexattr',
        path: `/o/${name}`,
        name: dice.pick(['security.ima', 'security.evm', 'security.foo']),
      },
      { op: 'write', path: `/o/${name}`, data: f.content, flags: 'wronly|trunc' },
      { op: 'write', path: `/o/${name}`, data: 'W', flags: 'wronly', uid: 1000 },
      { op: 'truncate', path: `/o/${name}`, len: 1 },
      { op: 'unlink', path: `/o/${name}` },
      { op: 'rename', path: `/o/${name}`, to: `/o/${name}r` },
      { op: 'rename', path: `/o/${name}r`, to: `/o/${name}` },
      { op: 'link', path: `/o/${name}`, to: `/o/${name}l` },
      { op: 'write', path: `/o/${name}`, data: f.content, flags: 'wronly|creat' },
      { op: 'listxattr', path: `/o/${name}` },
      { op: 'listxattr', path: `/u/${name}` },
      { op: 'rename', path: `/o/${name}`, to: `/o/d/${name}` },
      { op: 'rename', path: `/o/d/${name}`, to: `/o/${name}` },
      { op: 'read', path: `/o/d/${name}` },
      { op: 'rename', path: '/o/d', to: '/o/d2' },
      { op: 'rename', path: '/o/d2', to: '/o/d' },
      { op: 'listxattr', path: `/u/d/${name}` },
      { op: 'stat', path: `/o/${name}` },
      { op: 'utimes', path: `/o/${name}`, t: 7 },
      { op: 'exec', path: `/o/${name}` },
    ]),
  );
}

/** Lower layer changes are made before the overlay sees the file: later ones are undefined to overlayfs. */
export function evmOverlayCase(dice: Dice): Case {
  const w: Walk = { dice, ops: [...keys(dice)], files: [], others: [], next: 1 };
  const upper = dice.pick(['/t', '/t', '/mnt']);
  w.ops.push(
    ...['/t', '/o', '/u'].map((path) => ({ op: 'mkdir', path })),
    { op: 'mount', src: 't', target: '/t', type: 'tmpfs' },
    { op: 'syswrite', path: `${EVM}/evm`, data: '4' },
  );
  for (let i = 0; i < 6; i++) makeFile(w, `/mnt/e${i}`, 12 + i);
  w.ops.push(
    { op: 'mkdir', path: '/mnt/low' },
    ...w.files.map((f) => ({ op: 'rename', path: f.path, to: `/mnt/low${f.path.slice(4)}` })),
    { op: 'mkdir', path: '/mnt/low/d' },
    { op: 'mkdir', path: `${upper}/up` },
    { op: 'mkdir', path: `${upper}/work` },
  );
  const options = dice.pick(['', '', ',metacopy=on', ',redirect_dir=on']);
  const data = `lowerdir=/mnt/low,upperdir=${upper}/up,workdir=${upper}/work${options}`;
  const mode = dice.pick(WORDS);
  const early = dice.chance(50);
  const word: Op[] = [
    { op: 'syswrite', path: `${EVM}/evm`, data: mode },
    { op: 'cat', path: `${EVM}/evm` },
  ];
  if (early) w.ops.push(...word);
  w.ops.push(
    { op: 'mount', src: 'ov', target: '/o', type: 'overlay', data },
    { op: 'mount', src: `${upper}/up`, target: '/u', type: '', flags: 'bind' },
  );
  if (!early) w.ops.push(...word);
  if (dice.chance(85))
    w.ops.push(rules(dice, dice.pick(['fsmagic=0x794c7630', 'fsname=overlay', `fsuuid=${UUID}`])));
  for (let i = 0; i < 70; i++) {
    overlayStep(w);
    if (dice.chance(8)) born(w, dice.pick(['/o', '/o/d']));
    if (dice.chance(8)) onOther(w);
  }
  for (const f of w.files) {
    const name = f.path.split('/').pop() as string;
    for (const dir of ['/o', '/u', '/mnt/low'])
      w.ops.push({ op: 'listxattr', path: `${dir}/${name}` }, { op: 'stat', path: `${dir}/${name}` });
    w.ops.push({ op: 'read', path: `/o/${name}` });
  }
  return {
    about: `random EVM operations on an overlay, mode ${mode}`,
    cmdline: dice.pick(CMDLINES),
    ops: w.ops,
  };
}

/** A tmpfs that another user namespace mounted. */
export function evmNamespaceCase(dice: Dice): Case {
  const w: Walk = { dice, ops: [...keys(dice)], files: [], others: [], next: 1 };
  const actor = 'ns';
  const uid = 1000;
  const mode = dice.pick(WORDS);
  w.ops.push(
    { op: 'mkdir', path: '/n' },
    { op: 'chmod', path: '/n', mode: 0o777 },
    ...(dice.chance(80) ? [{ op: 'syswrite', path: `${EVM}/evm`, data: mode }] : []),
    { op: 'policy_row', data: `appraise func=FILE_CHECK fsname=tmpfs uid=${uid}\n` },
    { op: 'unshare', uflags: 0x10020000, actor, uid },
    { op: 'syswrite', path: '/proc/self/setgroups', data: 'deny', actor, uid },
    { op: 'syswrite', path: '/proc/self/uid_map', data: `0 ${uid} 1`, actor, uid },
    { op: 'syswrite', path: '/proc/self/gid_map', data: `0 ${uid} 1`, actor, uid },
    { op: 'mount', src: 'n', target: '/n', type: 'tmpfs', actor, uid },
  );
  for (let i = 0; i < 4; i++)
    w.files.push({ path: `/n/e${i}`, content: 'T', ino: null, mode: 0o644, uid, gid: uid, xattrs: {} });
  for (const f of w.files) w.ops.push({ op: 'write', path: f.path, data: 'T', actor, uid });
  const at = w.ops.length;
  for (let i = 0; i < 50; i++) step(w, '/n');
  finish(w);
  for (let i = at; i < w.ops.length; i++) {
    const op = w.ops[i] as Op;
    if (!String(op['path']).startsWith('/sys/')) w.ops[i] = { ...op, actor, uid };
  }
  return {
    about: `random EVM operations in a user namespace, mode ${mode}`,
    cmdline: dice.pick(CMDLINES),
    ops: w.ops,
  };
}

/** Kinds of cases with their weights. */
export const EVM_KINDS: readonly (readonly [number, (dice: Dice) => Case])[] = [
  [4, evmMetaCase],
  [2, evmSmackCase],
  [2, evmPlacesCase],
  [4, evmOverlayCase],
  [1, evmNamespaceCase],
];
