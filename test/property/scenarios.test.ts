// Laws of scenario runs, on random operations with random arguments: nothing throws, the same scenario gives the same
// trace, every register is the fold of the list, a fork does not touch what it came from, and documents can be made of it.

import { fc, test as property } from '@fast-check/vitest';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import { concat, equalBytes, toHex } from '../../src/base/bytes.ts';
import { toArray } from '../../src/base/list.ts';
import { crypto, type HashName } from '../../src/crypto/provider.ts';
import { violationDigest } from '../../src/ima/template-show.ts';
import { Machine } from '../../src/kernel/machine.ts';
import { exportFiles } from '../../src/scenario/export.ts';
import { loadScenario, type Scenario } from '../../src/scenario/loader.ts';
import '../../src/scenario/registry.ts';
import { runScenario } from '../../src/scenario/runner.ts';
import { junit } from '../../src/scenario/test-formats.ts';
import { traceJson, traceMarkdown } from '../../src/scenario/trace-formats.ts';
import { type StepWord, stepWords } from '../../src/scenario/vocabulary.ts';

const paths = [
  '/mnt/a',
  '/mnt/b',
  '/mnt',
  '/tmp/x',
  '/tmp',
  '/nosuch/y',
  '/mnt/prog',
  '/mnt/mod',
  '/dev/vdc',
  '',
  'relative',
];
const nodes = ['ima/policy', 'ima/ascii_runtime_measurements', 'evm', 'ipe/new_policy'].map(
  (n) => `/sys/kernel/security/${n}`,
);
const path = fc.constantFrom(...paths, ...nodes, `/mnt/${'n'.repeat(256)}`, '/mnt/ü b');
const data = fc.constantFrom<unknown>(
  ...[
    'x',
    '',
    '#!/mnt/prog\n',
    'measure func=FILE_CHECK\n',
    'appraise func=BPRM_CHECK\n',
    { repeat: 'ab', n: 3000 },
  ],
  ...[
    { hex: '0302' },
    { program: 'p' },
    { module: 'm' },
    { opaque: 'o', len: 9, digests: { sha256: '11'.repeat(32) } },
  ],
  ...[
    { ima_hash: 'sha256', of: 'x' },
    { cert: 'k' },
    { ima_sig: 'k', of: 'x' },
    { modsig: 'k', of: { module: 'm' } },
  ],
  { cms: 'k', of: 'policy_name=p policy_version=1.0.0\nDEFAULT action=ALLOW\n' },
);
const ARGUMENTS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  path,
  to: path,
  target: path,
  initrd: path,
  data,
  data2: data,
  src: fc.constantFrom('/dev/vdc', 'none', '/mnt'),
  slot: fc.constantFrom('f', 'g'),
  map: fc.constantFrom('m', 'n'),
  name: fc.constantFrom('security.ima', 'security.evm', 'user.x', 'x', 'system.posix_acl_access', 'hello'),
  flags: fc.constantFrom('rdonly', 'wronly', 'rdwr|creat', 'rdwr|trunc', 'direct', 'wronly|append'),
  mode: fc.constantFrom('0644', '4755', '0', -1),
  prot: fc.constantFrom('r', 'rw', 'rx', 'rwx', ''),
  share: fc.constantFrom('shared', 'private'),
  type: fc.constantFrom('ext4', 'tmpfs', 'overlay', 'user', 'asymmetric', 'bogus'),
  ring: fc.constantFrom('%.ima', '%.evm', '-3', -4),
  pcr: fc.integer({ min: 11, max: 23 }),
  pcrs: fc.constantFrom([10], { sha1: [0, 1] }),
  boot: fc.constantFrom({}, { cmdline: 'quiet' }, { config: { CONFIG_EVM: 'n' } }),
  disk: fc.constant('vdc'),
  orderly: fc.boolean(),
  command: fc.constantFrom('', '80010000000a00000000', '8001000000'),
};
const other = fc.constantFrom<unknown>(0, 1, -1, 4096, '0x1', 'x');

function stepOf(word: StepWord): fc.Arbitrary<object> {
  const names = word.arguments.filter((a) => !['id', 'as', 'expect', 'note'].includes(a));
  const model = Object.fromEntries(names.map((a) => [a, ARGUMENTS[a] ?? other]));
  const as = fc.constantFrom(
    {},
    { as: { uid: 1000 } },
    { as: { uid: 1000, euid: 0 } },
    { as: { actor: 'b' } },
  );
  return fc
    .tuple(fc.record(model, { requiredKeys: [] }), as)
    .map(([args, who]) => ({ op: word.name, ...args, ...who }));
}

const START = [
  { op: 'mount', src: '/dev/vdc', target: '/mnt', type: 'ext4' },
  { op: 'write', path: '/mnt/prog', data: { program: 'x' }, mode: '0755' },
  { op: 'write', path: '/mnt/mod', data: { module: 'm' } },
];

const meant = (steps: readonly object[]): object[] => steps.map((s) => ({ ...s, expect: { err: 'EPERM' } }));

function load(steps: readonly object[], cmdline: string): Scenario | null {
  const machine = { cmdline, trusted_keys: { builtin: [{ cert: 'k' }] } };
  const loaded = loadScenario(
    'x.yaml',
    stringify({ title: 't', kind: 'regression', keys: { k: {} }, machine, steps: meant(steps) }),
  );
  return loaded.ok ? loaded.scenario : null;
}

/** Steps after which list and registers need not agree. */
const WITHOUT_LAWS = ['tpm', 'kexec_reboot', 'crash', 'tpm_reset', 'pcr_replay', 'suspend'];
const words = stepWords().filter((w) => !WITHOUT_LAWS.includes(w.name));
const random = fc
  .tuple(
    fc.array(fc.constantFrom(...words).chain(stepOf), { minLength: 4, maxLength: 20, size: 'max' }),
    fc.constantFrom(
      'ima_policy=tcb',
      'ima_appraise=enforce ima_policy=appraise_tcb',
      'ima_policy=tcb ima_template=ima-sig ima_appraise=fix',
      '',
    ),
  )
  .map(([steps, cmdline]) => load([...START, ...steps.filter((s) => load([s], '') !== null)], cmdline))
  .filter((s) => s !== null);

const boot = (config: Parameters<typeof Machine.boot>[0]): Machine => Machine.boot(config);

/** Registers as the list alone makes them. */
function folded(machine: Machine, bank: HashName, pcr: number): Uint8Array {
  const { list, slots } = machine.ima.state;
  const slot = slots.findIndex((s) => s.alg === bank);
  let value = new Uint8Array(crypto().hash(bank, new Uint8Array(0)).length);
  for (const entry of toArray(list)) {
    if (entry.pcr !== pcr) continue;
    const digest = entry.digests[slot] as Uint8Array;
    const own = slots[slot];
    const extended = digest.every((b) => b === 0) && own !== undefined ? violationDigest(own) : digest;
    value = Uint8Array.from(crypto().hash(bank, concat(value, extended)));
  }
  return value;
}

property.prop([random], { numRuns: 40 })('random scenarios keep the laws', (scenario) => {
  const { report, machine, run } = runScenario(scenario, boot);
  const events = toArray(machine.trace.state.events);
  expect(events.every((e, i) => e.id === i && (e.cause === null || e.cause < i))).toBe(true);
  for (const bank of machine.banks) expect(machine.pcr(bank, 10)).toEqual(folded(machine, bank, 10));

  expect(runScenario(scenario, boot).report.traceDigest).toBe(report.traceDigest);

  const before = machine.traceDigest();
  const pcr = toHex(machine.pcr('sha256', 10) ?? new Uint8Array(0));
  const fork = machine.fork();
  fork.sys(1).open('/mnt/prog', 0);
  fork.sys(1).mkdir('/tmp/fork', 0o755);
  expect(machine.traceDigest()).toBe(before);
  expect(toHex(machine.pcr('sha256', 10) ?? new Uint8Array(0))).toBe(pcr);

  const files = exportFiles(report, machine, events, run.memory, { nonce: new Uint8Array(3), key: 'ecc' });
  expect(
    equalBytes(files.get('binary_runtime_measurements') ?? new Uint8Array(0), machine.imaList('binary')),
  ).toBe(true);
  expect(traceMarkdown(report, events)).toContain('| t | who |');
  expect(JSON.stringify(traceJson(report, events))).toContain(report.traceDigest);
  expect(junit([{ file: 'x.yaml', ok: true, report }])).toContain('tests="1"');
});
