// Seeded random cases: file operations under tcb, under random measure rules, under appraise rules with labels, rows of
// random policy words, and EVM labels with changes of metadata.

import { Random, seedRandom } from '../../src/base/random.ts';

export type Op = { readonly op: string; readonly [argument: string]: unknown };

export const UUID = '12345678-9abc-def0-1122-334455667788';
export const EXCLUDE = [
  '0x9fa0',
  '0x62656572',
  '0x64626720',
  '0x01021994',
  '0x1cd1',
  '0x73636673',
  '0x858458f6',
];
const UIDS = [0, 0, 0, 1000, 1001];
const MODES = [0o777, 0o777, 0o755, 0o666, 0o644, 0o4755];

export class Dice {
  readonly #random: Random;

  constructor(seed: string) {
    this.#random = new Random(seedRandom(seed));
  }

  below(n: number): number {
    return this.#random.u32() % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  shuffle<T>(list: readonly T[]): T[] {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }
}

const CONTENTS: readonly unknown[] = [
  'alpha',
  'beta',
  'gamma',
  '',
  { repeat: 'x', n: 100 },
  { repeat: 'ab', n: 3000 },
  { elf: 'T' },
  { elf: 'U' },
  '#!/mnt/d1/f1\n',
];

export interface World {
  readonly dice: Dice;
  readonly ops: Op[];
  readonly files: string[];
  readonly slots: { name: string; actor: string; uid: number }[];
  readonly maps: { name: string; uid: number }[];
  next: number;
  readonly labels: boolean;
}

const folder = (w: World): string => w.dice.pick(['/mnt', '/mnt/d1', '/mnt/d2']);
const file = (w: World): string => w.dice.pick(w.files);

function create(w: World): void {
  const path = `${folder(w)}/f${w.next++}`;
  w.files.push(path);
  w.ops.push({ op: 'write', path, data: w.dice.pick(CONTENTS), mode: 0o777 });
  w.ops.push({ op: 'chmod', path, mode: w.dice.pick(MODES) });
}

function label(w: World): unknown {
  const content = w.dice.pick(CONTENTS);
  switch (w.dice.below(6)) {
    case 0:
      return { imahash: content, alg: 'sha1', legacy: w.dice.chance(50) };
    case 1:
      return { imahash: content, alg: 'sha512' };
    case 2:
      return { imasig: content, key: w.dice.pick(['ima1', 'ima3']) };
    case 3:
      return { hex: w.dice.pick(['00', '0402', '07aa', '040400', '']) };
    default:
      return { imahash: content, alg: 'sha256' };
  }
}

const STEPS: readonly (readonly [weight: number, run: (w: World) => void])[] = [
  [10, create],
  [22, (w) => w.ops.push({ op: 'read', path: file(w), uid: w.dice.pick(UIDS) })],
  [9, (w) => w.ops.push({ op: 'exec', path: file(w), uid: w.dice.pick(UIDS) })],
  [
    8,
    (w) =>
      w.ops.push({
        op: 'write',
        path: file(w),
        data: w.dice.pick(CONTENTS),
        flags: w.dice.pick(['wronly', 'rdwr', 'wronly|trunc', 'wronly|append', 'wronly|creat|trunc']),
        uid: w.dice.pick(UIDS),
      }),
  ],
  [
    10,
    (w) => {
      const slot = { name: `s${w.next++}`, actor: w.dice.pick(['p', 'q']), uid: w.dice.pick(UIDS) };
      const flags = w.dice.pick(['rdonly', 'rdonly', 'rdwr', 'wronly', 'wronly|append']);
      w.slots.push(slot);
      w.ops.push({ op: 'open', path: file(w), slot: slot.name, flags, actor: slot.actor, uid: slot.uid });
    },
  ],
  [
    4,
    (w) => {
      const slot = w.slots.length > 0 ? w.dice.pick(w.slots) : undefined;
      if (slot === undefined) return;
      const data = w.dice.pick(['ZZ', 'alpha', { repeat: 'y', n: 5000 }]);
      w.ops.push({ op: 'writefd', slot: slot.name, data, actor: slot.actor, uid: slot.uid });
    },
  ],
  [
    9,
    (w) => {
      const [slot] = w.slots.splice(w.dice.below(Math.max(1, w.slots.length)), 1);
      if (slot) w.ops.push({ op: 'close', slot: slot.name, actor: slot.actor, uid: slot.uid });
    },
  ],
  [
    3,
    (w) =>
      w.ops.push({ op: 'truncate', path: file(w), len: w.dice.pick([0, 3, 200]), uid: w.dice.pick(UIDS) }),
  ],
  [
    5,
    (w) => {
      const map = { name: `m${w.next++}`, uid: w.dice.pick(UIDS) };
      w.maps.push(map);
      const share = w.dice.chance(15)
        ? { share: 'shared', flags: 'rdwr', prot: 'rw' }
        : { prot: w.dice.pick(['r', 'rx']) };
      w.ops.push({ op: 'mmap', path: file(w), ...share, uid: map.uid, map: map.name });
    },
  ],
  [
    2,
    (w) => {
      const map = w.maps.length > 0 ? w.dice.pick(w.maps) : undefined;
      if (map) w.ops.push({ op: 'mprotect', map: map.name, prot: 'rx', uid: map.uid });
    },
  ],
  [
    1,
    (w) => {
      const [map] = w.maps.splice(w.dice.below(Math.max(1, w.maps.length)), 1);
      if (map) w.ops.push({ op: 'munmap', map: map.name, uid: map.uid });
    },
  ],
  [5, (w) => w.ops.push({ op: 'chmod', path: file(w), mode: w.dice.pick(MODES), uid: w.dice.pick(UIDS) })],
  [
    3,
    (w) =>
      w.ops.push({
        op: 'chown',
        path: file(w),
        to_uid: w.dice.pick([0, 1000, 1001]),
        to_gid: w.dice.pick([0, 1000]),
      }),
  ],
  [
    5,
    (w) => {
      const at = w.dice.below(w.files.length);
      const to = `${folder(w)}/f${w.dice.chance(15) ? w.dice.below(w.next) : w.next++}`;
      w.ops.push({ op: 'rename', path: w.files[at], to });
      w.files[at] = to;
    },
  ],
  [
    3,
    (w) => {
      const to = `${folder(w)}/f${w.next++}`;
      w.ops.push({ op: 'link', path: file(w), to });
      w.files.push(to);
    },
  ],
  [
    2,
    (w) => {
      if (w.files.length < 4) return;
      const [path] = w.files.splice(w.dice.below(w.files.length), 1);
      w.ops.push({ op: 'unlink', path });
    },
  ],
  [
    4,
    (w) =>
      w.ops.push({
        op: 'setxattr',
        path: file(w),
        name: 'security.ima',
        data: label(w),
        uid: w.dice.pick(UIDS),
      }),
  ],
  [
    2,
    (w) => {
      const slot = `e${w.next++}`;
      w.ops.push({ op: 'open', path: file(w), slot, flags: 'rdonly' });
      w.ops.push({ op: 'fexec', slot });
    },
  ],
  [4, (w) => w.ops.push({ op: 'snapshot' })],
];

const LABEL_STEPS: typeof STEPS = [
  [6, (w) => w.ops.push({ op: 'setxattr', path: file(w), name: 'security.ima', data: label(w), uid: 0 })],
  [2, (w) => w.ops.push({ op: 'removexattr', path: file(w), name: 'security.ima' })],
  [6, (w) => w.ops.push({ op: 'getxattr', path: file(w), name: 'security.ima' })],
];

export function walk(w: World, steps: number): void {
  const table = w.labels ? [...STEPS, ...LABEL_STEPS] : STEPS;
  const sum = table.reduce((n, [weight]) => n + weight, 0);
  for (let i = 0; i < steps; i++) {
    if (w.files.length === 0) create(w);
    let at = w.dice.below(sum);
    for (const [weight, run] of table) {
      at -= weight;
      if (at >= 0) continue;
      run(w);
      break;
    }
  }
}

function condition(dice: Dice): string {
  return dice.pick([
    '',
    '',
    ` uid=${dice.pick([0, 1000])}`,
    ' uid>999',
    ' uid<1001',
    ` euid=${dice.pick([0, 1000])}`,
    ` fowner=${dice.pick([0, 1000])}`,
    ' fowner>10',
    ' fgroup=0',
    ' gid=1000',
  ]);
}

const FUNCS = [
  'FILE_CHECK',
  'FILE_CHECK',
  'FILE_CHECK',
  'BPRM_CHECK',
  'MMAP_CHECK',
  'CREDS_CHECK',
  'MMAP_CHECK_REQPROT',
];
const MASKS = [
  'MAY_READ',
  '^MAY_READ',
  'MAY_WRITE',
  '^MAY_WRITE',
  'MAY_EXEC',
  '^MAY_EXEC',
  'MAY_APPEND',
  '^MAY_APPEND',
];

export function measureRules(dice: Dice): string[] {
  return Array.from({ length: 1 + dice.below(6) }, () => {
    const action = dice.pick(['measure', 'measure', 'measure', 'dont_measure', 'audit']);
    const func = dice.chance(75) ? ` func=${dice.pick(FUNCS)}` : '';
    const mask = dice.chance(60) ? ` mask=${dice.pick(MASKS)}` : '';
    const extra =
      action === 'measure' ? dice.pick(['', '', '', ' pcr=11', ' template=ima-sig', ' permit_directio']) : '';
    return `${action}${func}${mask}${condition(dice)}${extra} fsuuid=${UUID}`;
  });
}

export function appraiseRules(dice: Dice): string[] {
  const type = dice.pick(['', '', ' appraise_type=imasig']);
  const rule = (where: string): string => `appraise${where}${condition(dice)}${type} fsuuid=${UUID}`;
  const where = dice.pick([
    '',
    ' func=FILE_CHECK',
    ' func=FILE_CHECK mask=MAY_READ',
    ' func=BPRM_CHECK',
    ' func=MMAP_CHECK',
  ]);
  const rules = [rule(where)];
  if (dice.chance(40))
    rules.push(rule(dice.pick([' func=BPRM_CHECK', ' func=FILE_CHECK mask=MAY_READ', ''])));
  if (dice.chance(40)) rules.unshift(...measureRules(dice).slice(0, 2));
  if (dice.chance(15)) rules.push('appraise func=SETXATTR_CHECK appraise_algos=sha256,sha512');
  return rules;
}

export function policy(action: string, rules: readonly string[]): Op {
  const exclude = EXCLUDE.map((m) => `${action} fsmagic=${m}\n`);
  return { op: 'policy_row', data: `${exclude.join('')}${rules.map((r) => `${r}\n`).join('')}` };
}

/** Words that policy lines are made of, good and bad ones. */
const WORDS = [
  'func=FILE_CHECK',
  'func=BPRM_CHECK',
  'func=MMAP_CHECK',
  'func=MODULE_CHECK',
  'func=KEXEC_CMDLINE',
  'func=KEY_CHECK',
  'func=CRITICAL_DATA',
  'func=SETXATTR_CHECK',
  'func=POLICY_CHECK',
  'func=PATH_CHECK',
  'func=NOPE',
  'mask=MAY_READ',
  'mask=^MAY_EXEC',
  'mask=^^MAY_READ',
  'mask=may_read',
  'fsmagic=0xef53',
  'fsmagic=ef53',
  'fsmagic=xyz',
  'fsname=ext4',
  `fsuuid=${UUID}`,
  'fsuuid=1234',
  'uid=64000',
  'uid>64000',
  'uid<7',
  'euid=5',
  'gid=64000',
  'egid>7',
  'fowner=0',
  'fowner<9',
  'fgroup>3',
  'uid=-1',
  'uid=4294967295',
  'uid=4294967296',
  'pcr=11',
  'pcr=64',
  'pcr=-1',
  'pcr=',
  'template=ima-sig',
  'template=ima-ng',
  'template=nope',
  'appraise_type=imasig',
  'appraise_type=imasig|modsig',
  'appraise_type=sigv3',
  'appraise_type=x',
  'digest_type=verity',
  'digest_type=ima',
  'appraise_flag=check_blacklist',
  'appraise_algos=sha256',
  'appraise_algos=sha1,sha512',
  'appraise_algos=',
  'permit_directio',
  'keyrings=.ima',
  'keyrings=.ima|.evm',
  'label=foo',
  'label=a|b',
  'obj_type=x',
  'subj_user=y',
  'nonsense',
  '#',
  '# uid=3',
  'UID=0',
] as const;
const ACTIONS = [
  'measure',
  'dont_measure',
  'appraise',
  'dont_appraise',
  'audit',
  'hash',
  'dont_hash',
  'dont_audit',
];

function policyLine(dice: Dice): string {
  const words = [dice.pick(ACTIONS), ...Array.from({ length: 1 + dice.below(5) }, () => dice.pick(WORDS))];
  const order = dice.chance(20) ? dice.shuffle(words) : words;
  return `${order.join(dice.pick([' ', ' ', '  ', '\t']))}${dice.pick(['', '\n', ' \n'])}`;
}

export type Case = {
  readonly about: string;
  readonly cmdline?: string;
  readonly ops: readonly Op[];
  readonly [member: string]: unknown;
};

export const START: readonly Op[] = [
  { op: 'mkdir', path: '/mnt/d1', mode: 0o777 },
  { op: 'mkdir', path: '/mnt/d2', mode: 0o777 },
  { op: 'chmod', path: '/mnt/d1', mode: 0o777 },
  { op: 'chmod', path: '/mnt/d2', mode: 0o777 },
  { op: 'chmod', path: '/mnt', mode: 0o777 },
];

export function world(dice: Dice, labels: boolean): World {
  return { dice, ops: [...START], files: [], slots: [], maps: [], next: 1, labels };
}

export const KINDS: { readonly [kind: string]: (dice: Dice) => Case } = {
  tcb(dice) {
    const w = world(dice, false);
    walk(w, 110);
    return { about: 'random operations under tcb', cmdline: 'ima_policy=tcb', ops: w.ops };
  },
  measure(dice) {
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
  },
  appraise(dice) {
    const w = world(dice, true);
    for (const key of ['ima1', 'ima3']) {
      w.ops.push({ op: 'add_key', type: 'asymmetric', desc: '', data: { cert: key }, ring: '%.ima' });
    }
    walk(w, 25);
    const both = policy('dont_appraise', appraiseRules(dice));
    const measure = EXCLUDE.map((m) => `dont_measure fsmagic=${m}\n`).join('');
    w.ops.push({ op: 'policy_row', data: `${measure}${String(both['data'])}` });
    walk(w, 85);
    const cmdline = dice.pick([
      '',
      '',
      '',
      'ima_appraise=fix',
      'ima_appraise=log',
      'ima_appraise=off',
      'ima_hash=sha512',
    ]);
    return { about: 'random operations and labels under appraise rules', cmdline, ops: w.ops };
  },
  grammar(dice) {
    const first = policy('dont_measure', [
      ...EXCLUDE.map((m) => `dont_appraise fsmagic=${m}`),
      'dont_measure uid=64999',
    ]);
    const rows = Array.from({ length: 150 }, () => ({ op: 'policy_row', data: policyLine(dice) }));
    return { about: 'random policy lines', cmdline: 'ima_appraise=log', ops: [first, ...rows] };
  },
};

const CONTENT = ['T', 'U'] as const;
const CAPABILITY = '0100000200040000000000000000000000000000';
const HMAC_KEY = '0123456789abcdef'.repeat(4);

interface EvmFile {
  readonly path: string;
  readonly ino: number;
  readonly content: string;
  mode: number;
  ima: unknown;
}

/** Metadata as EVM hashes it; now and then with something wrong. */
function metadata(dice: Dice, f: EvmFile): Record<string, unknown> {
  const xattrs = f.ima === null ? {} : { 'security.ima': f.ima };
  const mode = 0o100000 | (dice.chance(85) ? f.mode : 0o600);
  return { mode, uid: 0, gid: 0, xattrs };
}

function evmLabel(dice: Dice, f: EvmFile): unknown {
  const m = metadata(dice, f);
  const placed = { ...m, ino: f.ino, gen: 7 };
  const uuid = UUID.replaceAll('-', '');
  switch (dice.below(5)) {
    case 0:
    case 1:
      return { evmhmac: placed, uuid, hmackey: HMAC_KEY };
    case 2:
      return { evmsig: m, key: 'evm1', type: 5 };
    case 3:
      return { evmsig: placed, key: 'evm1', type: 3, uuid };
    default:
      return dice.pick([
        { hex: `02${'00'.repeat(20)}` },
        { evmsig: m, key: 'stranger', type: 5 },
        { hex: '05' },
      ]);
  }
}

function imaLabel(dice: Dice, f: EvmFile): unknown {
  return dice.pick([
    { imahash: f.content, alg: 'sha256' },
    { imahash: f.content, alg: 'sha256' },
    { imasig: f.content, key: 'ima1' },
    { imahash: 'wrong', alg: 'sha256' },
  ]);
}

function evmStep(dice: Dice, f: EvmFile, ops: Op[]): void {
  const { path } = f;
  const name = dice.pick(['security.ima', 'security.evm', 'security.capability', 'user.x']);
  switch (dice.below(9)) {
    case 0:
    case 1: {
      f.mode = dice.pick([0o755, 0o644, 0o600, f.mode]);
      ops.push({ op: 'chmod', path, mode: f.mode, uid: dice.chance(85) ? 0 : 1000 });
      return;
    }
    case 2:
      ops.push({ op: 'chown', path, to_uid: dice.pick([0, 5]), to_gid: dice.pick([0, 5]) });
      return;
    case 3:
    case 4: {
      f.ima = imaLabel(dice, f);
      ops.push({ op: 'setxattr', path, name: 'security.ima', data: f.ima });
      return;
    }
    case 5:
      ops.push({ op: 'setxattr', path, name: 'security.evm', data: evmLabel(dice, f) });
      return;
    case 6:
      if (name === 'user.x') ops.push({ op: 'setxattr', path, name, data: 'v' });
      else if (name === 'security.capability')
        ops.push({ op: 'setxattr', path, name, data: { hex: CAPABILITY } });
      else ops.push({ op: 'removexattr', path, name });
      return;
    case 7:
      ops.push(
        dice.pick<Op>([
          { op: 'write', path, data: f.content, flags: 'wronly|trunc' },
          { op: 'utimes', path, t: 5 },
          { op: 'removexattr', path, name: 'security.ima' },
          { op: 'removexattr', path, name: 'security.evm' },
          { op: 'truncate', path, len: 1 },
        ]),
      );
      return;
    default:
      ops.push({ op: 'read', path, uid: dice.pick([0, 1000]) });
  }
}

export function evmCase(dice: Dice): Case {
  const mode = dice.pick(['0x1', '0x2', '0x3', '0x80000002', '6', '0x80000003']);
  const ops: Op[] = [
    { op: 'add_key', type: 'asymmetric', desc: '', data: { cert: 'ima1' }, ring: '%.ima' },
    { op: 'add_key', type: 'asymmetric', desc: '', data: { cert: 'evm1' }, ring: '%.evm' },
    { op: 'add_key', type: 'user', desc: 'kmk', data: 'kmk-oracle-0123456789abcdef01234', ring: '-4' },
    {
      op: 'add_key',
      type: 'encrypted',
      desc: 'evm-key',
      data: `new enc32 user:kmk 32 ${HMAC_KEY}`,
      ring: '-4',
    },
    { op: 'chmod', path: '/mnt', mode: 0o777 },
    { op: 'syswrite', path: '/sys/kernel/security/integrity/evm/evm', data: '4' },
  ];
  const files: EvmFile[] = [];
  for (let i = 0; i < 8; i++) {
    const content = dice.pick(CONTENT);
    const f: EvmFile = {
      path: `/mnt/e${i}`,
      ino: 12 + i,
      content,
      mode: dice.pick([0o755, 0o644, 0o600]),
      ima: null,
    };
    files.push(f);
    ops.push({ op: 'write', path: f.path, data: content }, { op: 'setgen', path: f.path, gen: 7 });
    ops.push({ op: 'chmod', path: f.path, mode: f.mode });
    if (dice.chance(85)) {
      f.ima = imaLabel(dice, f);
      ops.push({ op: 'setxattr', path: f.path, name: 'security.ima', data: f.ima });
    }
    if (dice.chance(80)) {
      ops.push({ op: 'setxattr', path: f.path, name: 'security.evm', data: evmLabel(dice, f) });
    }
  }
  ops.push({ op: 'syswrite', path: '/sys/kernel/security/integrity/evm/evm', data: mode });
  if (dice.chance(60)) {
    const type = dice.pick(['', ' appraise_type=imasig']);
    const where = dice.pick(['', ' func=FILE_CHECK mask=MAY_READ']);
    ops.push(policy('dont_appraise', [`appraise${where}${type} fsuuid=${UUID}`]));
  }
  for (let i = 0; i < 60; i++) {
    const f = dice.pick(files);
    evmStep(dice, f, ops);
    for (const name of ['security.evm', 'security.ima']) {
      if (dice.chance(50)) ops.push({ op: 'getxattr', path: f.path, name });
    }
  }
  for (const f of files)
    ops.push({ op: 'listxattr', path: f.path }, { op: 'stat', path: f.path }, { op: 'read', path: f.path });
  const cmdline = dice.pick([
    '',
    '',
    'evm=fix',
    'ima_appraise=log',
    'ima_appraise=fix',
    'ima_appraise=fix evm=fix',
    'integrity_audit=1',
  ]);
  return { about: `random EVM operations, mode ${mode}`, cmdline, ops };
}
