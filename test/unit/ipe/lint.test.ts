// The kernel's own parser situations (descriptions as in its unit test), the diagnostics that people get for each kind of
// mistake, and the law that errors are shown exactly when the kernel refuses a policy.

import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { latin1 } from '../../../src/base/bytes.ts';
import { lintIpePolicy } from '../../../src/ipe/lint.ts';

const HEAD = 'policy_name=test policy_version=0.0.0\n';
const ALLOW = 'DEFAULT action=ALLOW\n';
const OLD_DIGEST = '1c0d7ee1f8343b7fbe418378e8eb22c061d7dec7';

const SITUATIONS: readonly (readonly [description: string, errno: string | null, text: string])[] = [
  ['basic', null, 'policy_name=allowall policy_version=0.0.0\nDEFAULT action=ALLOW'],
  ['trailing comment', null, `policy_name=trailing policy_version=152.0.0 #This is comment\n${ALLOW}`],
  ['trailing newline', null, `policy_name=newline policy_version=0.2.0\n${ALLOW}\n`],
  ['carriage return and line feed', null, `policy_name=crlf policy_version=0.0.1\n${ALLOW}\r\n`],
  [
    'various white space and nested default',
    null,
    'policy_name=whitespace policy_version=0.0.0\nDEFAULT\taction=ALLOW\n     \t     DEFAULT \t    op=EXECUTE      action=DENY\n' +
      'op=EXECUTE boot_verified=TRUE action=ALLOW\n# this is a\tcomment\t\t\t\t\nDEFAULT \t op=KMODULE\t\t\t  action=DENY\r\n' +
      'op=KMODULE boot_verified=TRUE action=ALLOW\n',
  ],
  [
    'negative version',
    'EINVAL',
    'policy_name=boot_verified policy_version=-1236.0.0\nDEFAULT\taction=ALLOW\n',
  ],
  ['special characters', null, `policy_name=$@!*&^%%\\:;{}() policy_version=0.0.0\n${ALLOW}`],
  ['overflow version', 'ERANGE', `policy_name=test policy_version=999999.0.0\n${ALLOW}`],
  ['incomplete version', 'EBADMSG', `policy_name=test policy_version=255.0\n${ALLOW}`],
  ['extra version', 'EBADMSG', `policy_name=test policy_version=111.0.0.0\n${ALLOW}`],
  ['0-length policy', 'EBADMSG', ''],
  ['random NUL in header', 'EBADMSG', `policy_name=test\0policy_version=0.0.0\n${ALLOW}`],
  ['incomplete policy from NUL', 'EBADMSG', `${HEAD}\0${ALLOW}`],
  [
    'NUL truncates policy',
    null,
    `${HEAD}DEFAULT action=DENY\n\0op=EXECUTE dmverity_signature=TRUE action=ALLOW\n`,
  ],
  ['invalid property type', 'EBADMSG', `${HEAD}${ALLOW}op=EXECUTE dmverity_signature=abc action=ALLOW`],
  ['missing policy header', 'EBADMSG', ALLOW],
  ['missing default definition', 'EBADMSG', HEAD],
  ['invalid rule ordering', 'EBADMSG', `${HEAD}${ALLOW}dmverity_signature=TRUE op=EXECUTE action=ALLOW`],
  ['invalid rule ordering (2)', 'EBADMSG', `${HEAD}${ALLOW}action=ALLOW op=EXECUTE dmverity_signature=TRUE`],
  [
    'invalid version',
    'EBADMSG',
    `policy_name=test policy_version=0.0\n${ALLOW}op=EXECUTE dmverity_signature=TRUE action=ALLOW`,
  ],
  ['unknown operation', 'EBADMSG', `${HEAD}${ALLOW}op=UNKNOWN dmverity_signature=TRUE action=ALLOW`],
  ['missing space after policy name', 'EBADMSG', `policy_name=asdvpolicy_version=0.0.0\n${ALLOW}`],
  [
    'expanded ascii',
    null,
    `policy_name=test\xff\xef policy_version=0.0.0\n${ALLOW}op=EXECUTE dmverity_signature=TRUE action=ALLOW`,
  ],
  [
    'invalid property value (2)',
    'EBADMSG',
    `policy_name=test\xff\xef policy_version=0.0.0\n${ALLOW}op=EXECUTE dmverity_roothash=GOOD_DOG action=ALLOW`,
  ],
  ['double header', 'EBADMSG', `${HEAD}policy_name=test policy_version=0.1.0\n${ALLOW}`],
  ['double default', 'EBADMSG', `${HEAD}${ALLOW}${ALLOW}`],
  [
    'double operation default',
    'EBADMSG',
    `${HEAD}${ALLOW}DEFAULT op=EXECUTE action=DENY\nDEFAULT op=EXECUTE action=ALLOW\n`,
  ],
  ['invalid action value', 'EBADMSG', `${HEAD}${ALLOW}DEFAULT op=EXECUTE action=DEN\n`],
  ['invalid action value (2)', 'EBADMSG', `${HEAD}${ALLOW}DEFAULT op=EXECUTE action\n`],
  ['unrecognized statement', 'EBADMSG', `${HEAD}${ALLOW}UNKNOWN value=true\n`],
  [
    'old-style digest, dm-verity',
    'EBADMSG',
    `${HEAD}${ALLOW}op=EXECUTE dmverity_roothash=${OLD_DIGEST} action=DENY\n`,
  ],
  [
    'old-style digest, fs-verity',
    'EBADMSG',
    `${HEAD}${ALLOW}op=EXECUTE fsverity_digest=${OLD_DIGEST} action=DENY\n`,
  ],
  ['wide text', 'EBADMSG', [...`${HEAD}DEFAULT action=ALLOW`].map((c) => `${c}\0`).join('')],
];

const errors = (text: string): readonly string[] =>
  lintIpePolicy(latin1(text))
    .diagnostics.filter((d) => d.severity === 'error')
    .map((d) => `${d.line}:${d.column} ${d.message}`);

describe('the kernel verdict', () => {
  it.each(SITUATIONS)('%s: %s', (_description, errno, text) => {
    const report = lintIpePolicy(latin1(text));
    expect(report.errno).toBe(errno);
    expect(report.verdict).toBe(errno === null ? 'accepted' : 'rejected');
    expect(report.diagnostics.some((d) => d.severity === 'error')).toBe(errno !== null);
  });

  it.each([
    ['a/b', 'EACCES'],
    ['..', 'EACCES'],
    ['x'.repeat(256), 'ENAMETOOLONG'],
    ['x'.repeat(255), null],
  ])('refuses names that no directory can have: %#', (name, errno) => {
    expect(lintIpePolicy(`policy_name=${name} policy_version=1.0.0\n${ALLOW}`).errno).toBe(errno);
  });
});

describe('diagnostics', () => {
  it('reports every mistake of a text at once', () => {
    const text = `policy_name=p policy_version=1.70000.x\nop=EXECUT boot_verified=TRUE action=ALLOW\nop=KMODULE boot_verified=true action=DENI\n`;
    expect(errors(text)).toEqual([
      '1:15 `70000` is larger than 65535',
      '1:15 `x` is no decimal number',
      '2:1 unknown operation `EXECUT`',
      '3:12 `boot_verified` cannot be `true`',
      '3:31 `action=DENI` is no action',
    ]);
  });

  it('offers the word that was meant', () => {
    const helps = lintIpePolicy(
      `${HEAD}${ALLOW}op=EXECUT boot_verifed=TRUE action=ALLOW\nop=KMODULE boot_verified=true action=DENY\n`,
    ).diagnostics.map((d) => d.help);
    expect(helps).toEqual([
      'did you mean `EXECUTE`?',
      'did you mean `boot_verified`?',
      'write `boot_verified=TRUE`',
    ]);
  });

  it.each([
    [
      `op=EXECUTE dmverity_roothash=sha-256:${'00'.repeat(32)} action=ALLOW`,
      'ipe.lint_unknown_algorithm',
      'did you mean `sha256`?',
    ],
    [
      `op=EXECUTE fsverity_digest=sha384:${'00'.repeat(48)} action=ALLOW`,
      'ipe.lint_unknown_algorithm',
      'known: sha256, sha512',
    ],
    ['op=EXECUTE dmverity_roothash=sha256:00ff action=ALLOW', 'ipe.lint_digest_length', null],
    ['op=EXECUTE boot_verified=TRUE boot_verified=FALSE action=ALLOW', 'ipe.lint_contradiction', null],
    ['op=KMODULE action=ALLOW\nop=KMODULE boot_verified=TRUE action=ALLOW', 'ipe.lint_unreachable', null],
    ['op=EXECUTE boot_verified=TRUE action=DENY', 'ipe.lint_redundant', null],
    ['op=EXECUTE boot_verified=FALSE action=ALLOW', 'ipe.lint_anonymous', null],
  ])('warns of rules that do nothing or more than they seem to: %#', (rules, code, help) => {
    const report = lintIpePolicy(`${HEAD}DEFAULT action=DENY\n${rules}\n`);
    expect(report.verdict).toBe('accepted');
    const found = report.diagnostics.find((d) => d.code === code);
    expect(found?.severity).toMatch(/warning|note/);
    expect(found?.help).toBe(help);
  });

  it('names lines as an editor counts them, also with CRLF', () => {
    const text = `policy_name=p policy_version=1.0.0\r\nDEFAULT action=DENY\r\nDEFAULT action=DENY\r\n`;
    const [found] = lintIpePolicy(text).diagnostics;
    expect(found).toMatchObject({ line: 3, column: 1, help: 'line 2 has it already: remove one of them' });
  });

  it('counts columns in characters, not bytes', () => {
    const [found] = lintIpePolicy(`policy_name=größe policy_version=x.0.0\n${ALLOW}`).diagnostics;
    expect(found).toMatchObject({ line: 1, column: 19 });
  });
});

const word = fc.constantFrom(
  ...[
    'DEFAULT',
    'op=EXECUTE',
    'op=KMODULE',
    'op=NONE',
    'op=',
    'boot_verified=TRUE',
    'boot_verified=FALSE',
    'boot_verified=no',
  ],
  ...[
    'dmverity_roothash=sha256:00',
    'dmverity_roothash=sha256:0',
    'dmverity_roothash=00',
    'dmverity_roothash=',
    'fsverity_digest=x:',
  ],
  ...[
    'action=ALLOW',
    'action=DENY',
    'action=',
    'action',
    '#',
    'policy_name=p',
    'policy_name=',
    'policy_version=1.2.3',
    'policy_version=1.2',
  ],
  ...[
    'policy_version=1.2.3.4',
    'policy_version=+1.02.65535',
    'policy_version=65536.0.0',
    '\xa0',
    '\0',
    '=',
    'word',
  ],
);
const line = fc.array(word, { maxLength: 5 }).map((words) => words.join(' '));
const good = fc.constantFrom(
  'policy_name=p policy_version=1.0.0',
  'DEFAULT action=DENY',
  'op=EXECUTE boot_verified=TRUE action=ALLOW',
  '',
);

property.prop([fc.array(fc.oneof(good, line), { maxLength: 6 })], { numRuns: 3000 })(
  'errors are shown exactly when the kernel refuses',
  (lines) => {
    const report = lintIpePolicy(latin1(lines.join('\n')));
    expect(report.diagnostics.some((d) => d.severity === 'error')).toBe(report.verdict === 'rejected');
  },
);
