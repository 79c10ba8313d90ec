// What random cases of several groups share: walks of file operations over a small tree, measure and appraise rules,
// and the rules that keep the runner's own accesses to memory file systems out of the list.

import type { Dice, Op } from './dice.ts';

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

export const KEY = (cert: string, ring: string): Op => ({
  op: 'add_key',
  type: 'asymmetric',
  desc: '',
  data: { cert },
  ring,
});

export const PROGRAM = { elf: 'P' };
export const MODULE = { build: 'test_module.ko' };
