// EVM: labels of each kind, good and bad, and changes of metadata under each mode of the evm node; the wider kinds (other
// file systems, overlays, user namespaces, an LSM that labels) are in ../evm.ts.

import { type Case, type Dice, groupOf, type Op } from '../dice.ts';
import { EVM_KINDS } from '../evm.ts';
import { policy, UUID } from '../walks.ts';

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

function evmCase(dice: Dice): Case {
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

export const group = groupOf('EVM', [[3, evmCase], ...EVM_KINDS]);
