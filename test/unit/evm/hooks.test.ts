// Every operation on metadata against every kind of label in every mode of EVM: errno and audit records, from the rules as
// they are written down in docs/evm.md, not from the code. One scenario for each mode; each file meets one operation.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { play } from '../../../src/cli/play.ts';
import { loadScenario } from '../../../src/scenario/loader.ts';

const KEY = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';
const NODE = '/sys/kernel/security/integrity/evm/evm';

const LABELS = {
  hmac: `{ security.ima: { ima_hash: sha256 }, security.evm: { evm_hmac: "${KEY}" } }`,
  fail: `{ security.ima: { ima_hash: sha256 }, security.evm: { hex: "02${'11'.repeat(20)}" } }`,
  no_label: '{ security.ima: { ima_hash: sha256 } }',
  no_xattrs: '{ user.x: { hex: "00" } }',
  portable: '{ security.ima: { ima_hash: sha256 }, security.evm: { evm_sig: vendor } }',
  bad_portable: `{ security.ima: { ima_hash: sha256 }, security.evm: { evm_sig: vendor, for: { mode: "0600" } } }`,
} as const;
type Label = keyof typeof LABELS;

const ACL = (bits: number): string =>
  `{ hex: "0200000001000600ffffffff02000${bits}00e803000004000400ffffffff10000${bits}00ffffffff20000400ffffffff" }`;

/** What is asked about: a real change or none, of which kind of metadata. */
type Kind = 'attr' | 'same_attr' | 'xattr' | 'same_xattr' | 'acl' | 'same_acl' | 'evm' | 'free';

const OPERATIONS: Readonly<Record<string, readonly [kind: Kind, step: (path: string) => string]>> = {
  chmod: ['attr', (path) => `op: chmod, path: ${path}, mode: "0600"`],
  chmod_same: ['same_attr', (path) => `op: chmod, path: ${path}, mode: "0644"`],
  chown: ['attr', (path) => `op: chown, path: ${path}, to_uid: 5, to_gid: -1`],
  chgrp: ['attr', (path) => `op: chown, path: ${path}, to_uid: -1, to_gid: 5`],
  chown_same: ['same_attr', (path) => `op: chown, path: ${path}, to_uid: 0, to_gid: 0`],
  set_ima: ['xattr', (path) => `op: setxattr, path: ${path}, name: security.ima, data: { hex: "0404aa" }`],
  set_ima_same: [
    'same_xattr',
    (path) => `op: setxattr, path: ${path}, name: security.ima, data: { ima_hash: sha256, of: "content" }`,
  ],
  set_caps: [
    'xattr',
    (path) =>
      `op: setxattr, path: ${path}, name: security.capability, data: { hex: "0100000200040000000000000000000000000000" }`,
  ],
  remove_ima: ['xattr', (path) => `op: removexattr, path: ${path}, name: security.ima`],
  set_evm: ['evm', (path) => `op: setxattr, path: ${path}, name: security.evm, data: { hex: "0302" }`],
  remove_evm: ['evm', (path) => `op: removexattr, path: ${path}, name: security.evm`],
  acl: ['acl', (path) => `op: setxattr, path: ${path}, name: system.posix_acl_access, data: ${ACL(6)}`],
  acl_same: [
    'same_acl',
    (path) => `op: setxattr, path: ${path}, name: system.posix_acl_access, data: ${ACL(4)}`,
  ],
  acl_empty: [
    'acl',
    (path) => `op: setxattr, path: ${path}, name: system.posix_acl_access, data: { hex: "02000000" }`,
  ],
  set_other: ['free', (path) => `op: setxattr, path: ${path}, name: security.other, data: "v"`],
  set_user: ['free', (path) => `op: setxattr, path: ${path}, name: user.y, data: "v"`],
  set_disabled: ['free', (path) => `op: setxattr, path: ${path}, name: security.selinux, data: "v"`],
  utimes: ['free', (path) => `op: utimes, path: ${path}, t: 5`],
  truncate: ['free', (path) => `op: truncate, path: ${path}, len: 1`],
};

interface Mode {
  readonly word: string;
  readonly hmac: boolean;
  readonly x509: boolean;
  /** Nothing is checked: metadata writes, no key at all, or evm=fix. */
  readonly open: boolean;
  /** No HMAC can ever come. */
  readonly disabled: boolean;
  readonly cmdline: string;
}

const mode = (word: string, given: Partial<Mode>): Mode => ({
  word,
  hmac: false,
  x509: false,
  open: false,
  disabled: false,
  cmdline: '',
  ...given,
});
const MODES: readonly Mode[] = [
  mode('1', { hmac: true, x509: false }),
  mode('2', { x509: true }),
  mode('3', { hmac: true, x509: true }),
  mode('0x80000002', { x509: true, disabled: true }),
  mode('0x80000000', { open: true, disabled: true }),
  mode('6', { x509: true, open: true }),
  mode('3', { hmac: true, x509: true, open: true, cmdline: 'evm=fix' }),
];

type Status = 'pass' | 'fail' | 'no_label' | 'no_xattrs' | 'pass_immutable' | 'fail_immutable';

/** The certificate is on .evm in every mode: the bit says whether a missing label counts on stacked file systems. */
function statusOf(label: Label, m: Mode): Status {
  if (label === 'hmac') return m.hmac ? 'pass' : 'fail';
  if (label === 'portable') return 'pass_immutable';
  return label === 'bad_portable' ? 'fail_immutable' : label;
}

interface Outcome {
  readonly err: string;
  /** op and cause of each record of type 1801. */
  readonly records: readonly string[];
}

const ALLOWED: Outcome = { err: 'OK', records: [] };
const refused = (...records: string[]): Outcome => ({ err: 'EPERM', records });

function ruled(kind: Kind, status: Status, m: Mode): Outcome {
  if (m.open || kind === 'free' || status === 'pass' || status === 'fail_immutable') return ALLOWED;
  const byXattr = kind === 'xattr' || kind === 'same_xattr' || kind === 'evm';
  if (status === 'no_xattrs') {
    if (!byXattr || m.disabled) return ALLOWED;
    return refused('update_metadata no_xattrs', 'appraise_metadata no_xattrs');
  }
  if (status === 'no_label' && m.disabled) return ALLOWED;
  if (status === 'pass_immutable') {
    if (kind.startsWith('same_')) return ALLOWED;
    return kind === 'attr' ? refused('appraise_metadata pass_immutable') : refused();
  }
  return refused(`appraise_metadata ${status}`);
}

/** What the file system says where nobody refuses. */
function expected(name: string, kind: Kind, label: Label, m: Mode): Outcome {
  const outcome = ruled(kind, statusOf(label, m), m);
  if (outcome.err !== 'OK') return outcome;
  const hasEvm = label !== 'no_label' && label !== 'no_xattrs';
  if (name === 'remove_evm' && !hasEvm) return { ...outcome, err: 'ENODATA' };
  if (name === 'remove_ima' && label === 'no_xattrs') return { ...outcome, err: 'ENODATA' };
  return outcome;
}

function scenario(m: Mode): string {
  const labels = Object.keys(LABELS) as Label[];
  const rows = labels.flatMap((label) => Object.keys(OPERATIONS).map((name) => ({ label, name })));
  const files = rows.map(
    ({ label, name }, i) =>
      `        /${label}-${name}: { content: "content", ino: ${20 + i}, generation: 1, xattrs: ${LABELS[label]} }\n`,
  );
  const steps = rows.map(({ label, name }) => {
    const [kind, step] = OPERATIONS[name] as (typeof OPERATIONS)[string];
    const { err, records } = expected(name, kind, label, m);
    const audit = records.map((r) => `{ type: "1801", op: ${r.split(' ')[0]}, cause: ${r.split(' ')[1]} }`);
    const path = `/mnt/${label}-${name}`;
    return `  - { ${step(path)}, id: ${`${label}-${name}`.replaceAll('_', '-')}, expect: { err: ${err}, audit: [${audit.join(', ')}] } }\n`;
  });
  return `title: mode ${m.word}
kind: regression
keys:
  authority: {}
  vendor: { issuer: authority }
machine:
  cmdline: "${m.cmdline}"
  trusted_keys: { builtin: [{ cert: authority }] }
  disks:
    - name: vdc
      uuid: 12345678-9abc-def0-1122-334455667788
      files:
${files.join('')}steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: add_key, type: asymmetric, ring: "%.evm", data: { cert: vendor } }
  - { op: add_key, type: user, desc: kmk, data: "kmk-for-tests-0123456789abcdef01", ring: -4 }
  - { op: add_key, type: encrypted, desc: evm-key, data: "new enc32 user:kmk 32 ${KEY}", ring: -4 }
  - { op: syswrite, path: ${NODE}, data: "${m.word}" }
${steps.join('')}`;
}

describe('hooks of EVM', () => {
  it.each(MODES)('mode $word $cmdline', (m) => {
    const loaded = loadScenario('hooks.yaml', scenario(m), { readFile: () => undefined });
    if (!loaded.ok) throw new Error(loaded.diagnostics.map((d) => `${d.line}: ${d.message}`).join('\n'));
    const { report } = play(loaded.scenario);
    const wrong = report.steps.flatMap(({ step, checks }) =>
      checks.flatMap((c) => (c.ok ? [] : [`${step.id} ${c.path.join('.')}: ${c.expected}, not ${c.actual}`])),
    );
    expect(wrong).toEqual([]);
    expect(report.steps.length).toBe(5 + Object.keys(LABELS).length * Object.keys(OPERATIONS).length);
  });
});
