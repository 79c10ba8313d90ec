// Scenario texts with mistakes: every mistake is reported with its place and a way out, and texts that are made to
// exhaust memory end quickly.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { utf8 } from '../../../src/base/bytes.ts';
import { type LoadOptions, loadScenario } from '../../../src/scenario/loader.ts';

const HEAD = 'title: t\nkind: lesson\n';

function problems(text: string, options: LoadOptions = {}): readonly string[] {
  const loaded = loadScenario('x.yaml', text, options);
  return loaded.diagnostics.map(
    (d) =>
      `${d.line}:${d.column} ${d.code.replace(/^scenario\./, '')}: ${d.message}${d.help === null ? '' : ` (${d.help})`}`,
  );
}

const step = (text: string): string => `${HEAD}steps:\n  - ${text}\n`;

describe('mistakes', () => {
  it('reports three different mistakes as three diagnostics, with lines and columns', () => {
    const text = `${HEAD}machine:\n  cmdlin: ima_policy=tcb\nsteps:\n  - { op: raed, path: /mnt/a }\n  - op: read\n    path: 7\n`;
    expect(problems(text)).toEqual([
      '4:3 unknown_key: unknown key `cmdlin` (did you mean `cmdline`?)',
      '6:11 unknown_op: unknown operation `raed` (did you mean `read`?)',
      '8:11 type: `path` must be text, not `7` (put quotes around it: "7")',
    ]);
  });

  it.each([
    ['a missing member', step('op: read'), '4:5 missing: `path` is missing'],
    ['a missing op', step('read: /mnt/a'), '4:5 missing: `op` is missing (write `op: read`)'],
    [
      'a step that is no map',
      step('read /mnt/a'),
      '4:5 step: this is no step (a step is a map, such as `{ op: read, path: /mnt/a }`)',
    ],
    [
      'an unknown argument',
      step('{ op: read, pth: /mnt/a, path: /a }'),
      '4:17 unknown_key: unknown key `pth` (did you mean `path`?)',
    ],
    [
      'an errno that does not exist',
      step('{ op: read, path: /a, expect: { err: EACESS } }'),
      '4:42 value: `err` cannot be `EACESS` (did you mean `EACCES`?)',
    ],
    [
      'an unknown expectation',
      step('{ op: read, path: /a, expect: { mesured: [] } }'),
      '4:37 unknown_key: unknown key `mesured` (did you mean `measured`?)',
    ],
    [
      'an unknown member of as',
      step('{ op: read, path: /a, as: { user: 5 } }'),
      '4:33 unknown_key: unknown key `user` (known here: uid, euid, gid, actor, program)',
    ],
    [
      'a file that is two things',
      `${HEAD}machine: { initramfs: { /x: { content: a, symlink: /y } } }\nsteps: [{ op: ls, path: / }]\n`,
      '3:29 file_kind: a file is one thing: `content` or `symlink`',
    ],
    [
      'an unknown profile',
      `${HEAD}machine: { profile: linux-6.12.1070 }\nsteps: [{ op: ls, path: / }]\n`,
      '3:21 unknown_profile: unknown kernel profile `linux-6.12.1070` (did you mean `linux-6.12.107`',
    ],
    [
      'an unknown bank',
      step('{ op: read, path: /a, expect: { pcr: { "sha255:10": changed } } }'),
      '4:57 pcr: unknown bank `sha255` (did you mean `sha256`?)',
    ],
    [
      'a register that does not exist',
      step('{ op: read, path: /a, expect: { pcr: { 24: changed } } }'),
      '4:48 pcr: there is no PCR 24',
    ],
    [
      'two steps with one id',
      `${HEAD}steps:\n  - { op: ls, path: /, id: x }\n  - { op: ls, path: /, id: x }\n`,
      '5:28 duplicate: step 1 has the id `x` already',
    ],
    ['an unknown content form', step('{ op: write, path: /a, data: { txt: x } }'), '4:34 form'],
    [
      'a program with ids of its own',
      step('{ op: read, path: /a, as: { program: p, uid: 1 } }'),
      '`program` stands alone',
    ],
    ['no steps', `${HEAD}steps: []\n`, '3:8 missing: there is no step (add one, or a `check` part)'],
    [
      'a mode that is no text',
      `${HEAD}machine: { initramfs: { /x: { mode: 644 } } }\nsteps: [{ op: ls, path: / }]\n`,
      '3:37 type: `mode` must be text, not `644` (put quotes around it: "644")',
    ],
    [
      'two disks of one name',
      `${HEAD}machine: { disks: [{ name: vdc }, { name: vdc }] }\nsteps: [{ op: ls, path: / }]\n`,
      '3:43 duplicate: a second disk `vdc`',
    ],
    [
      'base64 that is none',
      step('{ op: write, path: /a, data: { base64: "###" } }'),
      '4:34 data: this is no base64 text',
    ],
  ])('%s', (_what, text, expected) => {
    const found = problems(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });

  it('names files that are missing, and the one that was meant', () => {
    const text = step('{ op: policy_row, data: { file: polcy.txt } }');
    expect(problems(text, { siblings: ['policy.txt', 'other.der'] })).toEqual([
      '4:37 data: cannot read the file `polcy.txt` (did you mean `policy.txt`?)',
    ]);
    const readFile = (path: string): Uint8Array | undefined =>
      path === 'polcy.txt' ? utf8('measure\n') : undefined;
    const loaded = loadScenario('x.yaml', text, { readFile });
    expect(loaded.ok && loaded.scenario.steps[0]?.op).toEqual({
      op: 'policy_row',
      data: { hex: '6d6561737572650a' },
    });
  });

  it('loads nothing when there is a mistake', () => {
    expect(loadScenario('x.yaml', step('op: read')).ok).toBe(false);
  });
});

describe('YAML itself', () => {
  it('does not hide the mistakes of the scenario behind those of the YAML', () => {
    const text = `${HEAD}kind: lesson\nsteps:\n  - { op: raed, path: /a }\n  - { op: chmod, path: /a, mode: 0644 }\n`;
    expect(problems(text).map((p) => p.split(':').slice(0, 2).join(':'))).toEqual([
      '3:1 yaml.duplicate_key',
      '5:11 unknown_op',
      '6:34 yaml.leading_zero',
    ]);
  });

  it.each([
    ['a key twice', 'title: a\ntitle: b\n', '2:1 yaml.duplicate_key'],
    [
      'several documents',
      `${step('{ op: ls, path: / }')}---\ntitle: b\n`,
      'yaml.multiple_docs: the file holds more than one YAML document',
    ],
    ['a tab', 'title:\n\t- x\n', 'yaml.'],
    ['a tag', 'title: !secret x\n', 'yaml.tag_resolve_failed'],
    ['an open quote', 'title: "x\n', 'yaml.'],
    ['an unknown alias', 'title: *x\n', 'yaml.bad_alias: unknown alias `*x`'],
    ['an alias inside its anchor', 'title: &x [*x]\n', 'yaml.circular_alias'],
    ['a merge key', 'base: &b { a: 1 }\nx: { <<: *b }\n', 'yaml.merge_key'],
    ['a number that loses digits', 'title: 12345678901234567890\n', 'yaml.number_range'],
    [
      'an octal that is none',
      step('{ op: chmod, path: /a, mode: 0644 }'),
      '4:34 yaml.leading_zero: `0644` is read as 644 (put quotes around it: "0644")',
    ],
    ['nothing', '', 'type: `the document` must be a map, not nothing'],
    ['a list', '- a\n', 'type: `the document` must be a map, not a list'],
  ])('%s', (_what, text, expected) => {
    expect(problems(text).join('\n')).toContain(expected);
  });

  it('keeps __proto__ an ordinary unknown key', () => {
    expect(problems(`${step('{ op: ls, path: / }')}__proto__: { kind: attack }\n`)).toEqual([
      expect.stringContaining('unknown key `__proto__`'),
    ]);
    expect(({} as { kind?: unknown }).kind).toBeUndefined();
  });
});

describe('texts that want too much', () => {
  /** A text that is not refused early keeps the loader busy until the test's own limit ends it. */
  const refusal = (text: string): string => problems(text).join('\n');

  it('refuses alias bombs', () => {
    const levels = Array.from(
      { length: 30 },
      (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(', ')}]`,
    );
    expect(refusal(`a0: &a0 [x, x, x]\n${levels.join('\n')}\n`)).toContain('yaml.alias_expansion');
  });

  it('refuses deep nesting, floods of tokens and huge files', () => {
    expect(refusal(`x: ${'['.repeat(100_000)}`)).toContain('yaml.too_deep');
    expect(refusal(`x: [${'[],'.repeat(400_000)}]`)).toContain('yaml.too_many_tokens');
    expect(refusal(`x: "${'a'.repeat(5_000_000)}"`)).toContain('yaml.too_large');
  });
});

describe('policies inside scenarios', () => {
  it('puts the mistakes of a literal block on their own lines', () => {
    const text = `${HEAD}steps:\n  - op: policy_row\n    data: |\n      measure func=FILE_CHEK mask=MAY_READ\n      audit fnc=BPRM_CHECK\n`;
    const found = problems(text);
    expect(found.map((f) => f.split(' ')[0])).toEqual(['6:20', '7:13']);
    expect(found[0]).toContain('did you mean `FILE_CHECK`?');
  });

  it('names the line where one written line holds several', () => {
    const [found] = problems(
      step('{ op: policy_row, data: "audit func=BPRM_CHECK\\nmeasure func=FILE_CHEK\\n" }'),
    );
    expect(found).toMatch(/^4:29 ima\.\w+: line 2 of the policy: /);
  });

  it('leaves a policy alone that is meant to be refused', () => {
    expect(problems(step('{ op: policy_row, data: "nonsense\\n", expect: { err: EINVAL } }'))).toEqual([]);
  });

  it('warns of a broken boot policy of IPE, and loads it', () => {
    const text = `${HEAD}machine:\n  ipe_boot_policy: |\n    policy_name=p policy_version=1.0\n    DEFAULT action=DENY\nsteps: [{ op: ls, path: / }]\n`;
    const loaded = loadScenario('x.yaml', text);
    expect(loaded.ok).toBe(true);
    expect(loaded.diagnostics).toMatchObject([
      { severity: 'warning', line: 5, column: 19, code: 'ipe.parse_version_parts' },
    ]);
  });
});

describe('machines that cannot be', () => {
  it.each([
    ['firmware: { pcrs: { sha256: { 0: "00" } } }', 'a sha256 register has 32 bytes, not 1'],
    [`firmware: { pcrs: { sha1: { 24: "${'00'.repeat(20)}" } } }`, 'there is no PCR 24'],
    [
      'firmware: { events: [{ pcr: 0, type: EV_SEPERATOR, data: x }] }',
      'unknown kind of event `EV_SEPERATOR` (did you mean `EV_SEPARATOR`?)',
    ],
    ['initramfs: { /a/../b: { content: x } }', '`/a/../b` is no plain path'],
    ['initramfs: { /: { content: x } }', '`/` is no plain path'],
    ['initramfs: { /a: { content: x }, /a/b/c: { content: y } }', '`/a` is no directory'],
    ['initramfs: { /a: { content: x, xattrs: { foo: y } } }', '`foo` is no name of an attribute'],
    [
      'initramfs: { /a: { content: { opaque: o, len: 1, digests: { sha256: "00" } } } }',
      'a sha256 digest has 32 bytes, not 1',
    ],
    [
      'disks: [{ name: vdc, files: { /a: { ino: 20 }, /b: { ino: 20 } } }]',
      '`/a` has the inode number 20 already',
    ],
    ['disks: [{ name: dm-0 }]', '`dm-0` is made by the kernel'],
    ['tpm: { banks: [sha1, sha1] }', 'the bank `sha1` stands there already'],
  ])('%s', (machine, expected) => {
    const found = problems(`${HEAD}machine: { ${machine} }\nsteps: [{ op: ls, path: / }]\n`);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });
});

describe('keys', () => {
  const machine = (rest: string): string => `${HEAD}${rest}\nsteps: [{ op: ls, path: / }]\n`;
  it.each([
    ['keys: { a: { issuer: b } }', 'there is no key `b`'],
    ['keys: { a: { issuer: b }, b: { issuer: a } }', 'is signed by it'],
    [
      'keys: { vendor: {} }\nmachine: { initramfs: { /c: { content: { cert: vender } } } }',
      'there is no key `vender` (did you mean `vendor`?)',
    ],
    [
      'machine: { initramfs: { /c: { content: x, xattrs: { security.ima: { ima_sig: a } } } } }',
      'there is no key `a` (declare it: `keys: { NAME: {} }`)',
    ],
    [
      'keys: { a: {} }\nmachine: { initramfs: { /c: { content: x, xattrs: { security.evm: { evm_sig: a } } } } }',
      'no attribute that EVM covers',
    ],
    [
      'machine: { initramfs: { /c: { content: x, xattrs: { security.ima: { ima_hash: sha256 }, security.evm: { evm_hmac: "00" } } } } }',
      'an HMAC needs `ino` and `generation`',
    ],
    [
      'keys: { a: { type: dsa } }\nmachine: { initramfs: { /c: { content: { cert: a } } } }',
      '`type` cannot be `dsa`',
    ],
  ])('%s', (text, expected) => {
    const found = problems(machine(text));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });

  it('gives the same certificate for the same seed, and another for another', () => {
    const cert = (seed: string): string => {
      const loaded = loadScenario(
        'x.yaml',
        machine(`keys: { a: {} }\nmachine: { seed: ${seed}, initramfs: { /c: { content: { cert: a } } } }`),
      );
      const content = loaded.ok ? loaded.scenario.machine.initramfs?.['/c']?.content : undefined;
      return content?.kind === 'bytes' ? Buffer.from(content.bytes).toString('hex') : '';
    };
    expect(cert('one')).toMatch(/^3082/);
    expect(cert('one')).toBe(cert('one'));
    expect(cert('two')).not.toBe(cert('one'));
  });
});

describe('values', () => {
  it('puts `as` into the operation and keeps the rest as it is written', () => {
    const loaded = loadScenario(
      'x.yaml',
      step('{ op: write, path: /a, data: { hex: "00 ff:10" }, as: { uid: 5, actor: b }, note: n, id: w }'),
    );
    expect(loaded.ok && loaded.scenario.steps[0]).toMatchObject({
      number: 1,
      id: 'w',
      note: 'n',
      line: 4,
      op: { op: 'write', path: '/a', data: { hex: '00ff10' }, uid: 5, actor: 'b' },
    });
  });

  it('computes security.ima from the content', () => {
    const text = `${HEAD}machine: { disks: [{ name: vdc, files: { /a: { content: abc, xattrs: { security.ima: { ima_hash: sha256 } } } } }] }\nsteps: [{ op: ls, path: / }]\n`;
    const loaded = loadScenario('x.yaml', text);
    expect(loaded.ok).toBe(true);
    const xattr = loaded.ok ? loaded.scenario.machine.disks?.[0]?.files['/a']?.xattrs?.[0]?.value : undefined;
    expect(Buffer.from(xattr ?? []).toString('hex')).toBe(
      '0404ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});
