// The situations that the kernel's own unit tests of the parser go through (security/ipe/policy_tests.c), each by its
// name and with a text of our own: the kernel's answer, and a linter that finds an error where the kernel refuses.

import { describe, expect, it } from 'vitest';
import { fromLatin1, latin1 } from '../../../src/base/bytes.ts';
import { lintIpePolicy } from '../../../src/ipe/lint.ts';
import { ipeParsePolicy } from '../../../src/ipe/parser.ts';

const HEAD = 'policy_name=appliance policy_version=3.1.4\n';
const ALLOW = 'DEFAULT action=ALLOW\n';

function answer(text: string): string {
  const parsed = ipeParsePolicy(text);
  return parsed.ok ? 'ok' : parsed.errno;
}

const wide = (text: string): string =>
  fromLatin1(new Uint8Array(Uint16Array.from(text, (c) => c.charCodeAt(0)).buffer));

const SITUATIONS: readonly (readonly [
  name: string,
  text: string,
  answer: 'ok' | 'EBADMSG' | 'EINVAL' | 'ERANGE',
])[] = [
  ['basic', 'policy_name=open policy_version=0.0.0\nDEFAULT action=ALLOW', 'ok'],
  ['trailing comment', `policy_name=open policy_version=7.0.0 # of spring\n${ALLOW}`, 'ok'],
  ['trailing newline', `${HEAD}${ALLOW}\n\n`, 'ok'],
  ['CRLF newline', `${HEAD}${ALLOW}\r\n`, 'ok'],
  [
    'various white space and nested default',
    `${HEAD}DEFAULT\t\taction=DENY\n \t DEFAULT   op=FIRMWARE\taction=ALLOW  \n# \tone\tline\t\n\top=KMODULE \t boot_verified=TRUE action=ALLOW\r\n`,
    'ok',
  ],
  ['negative version', `policy_name=open policy_version=-1.0.0\n${ALLOW}`, 'EINVAL'],
  ['special characters', `policy_name=~?:<>|[]%$!;,' policy_version=0.0.0\n${ALLOW}`, 'ok'],
  ['overflow version', `policy_name=open policy_version=65536.0.0\n${ALLOW}`, 'ERANGE'],
  ['incomplete version', `policy_name=open policy_version=12.1\n${ALLOW}`, 'EBADMSG'],
  ['extra version', `policy_name=open policy_version=1.2.3.4\n${ALLOW}`, 'EBADMSG'],
  ['0-length policy', '', 'EBADMSG'],
  ['random null in header', `policy_name=open\0policy_version=1.0.0\n${ALLOW}`, 'EBADMSG'],
  ['incomplete policy from NULL', `${HEAD}\0${ALLOW}`, 'EBADMSG'],
  ['NULL truncates policy', `${HEAD}${ALLOW}\0op=EXECUTE no_such_property=1 action=DENY\n`, 'ok'],
  ['invalid property type', `${HEAD}${ALLOW}op=EXECUTE dmverity_signature=yes action=ALLOW\n`, 'EBADMSG'],
  ['missing policy header', ALLOW, 'EBADMSG'],
  ['missing default definition', HEAD, 'EBADMSG'],
  ['invalid rule ordering', `${HEAD}${ALLOW}fsverity_signature=TRUE op=EXECUTE action=ALLOW\n`, 'EBADMSG'],
  ['invalid rule ordering (2)', `${HEAD}${ALLOW}action=DENY op=KMODULE boot_verified=FALSE\n`, 'EBADMSG'],
  [
    'invalid version',
    `policy_name=open policy_version=1.0\n${ALLOW}op=EXECUTE boot_verified=TRUE action=ALLOW\n`,
    'EBADMSG',
  ],
  ['unknown operation', `${HEAD}${ALLOW}op=READ boot_verified=TRUE action=ALLOW\n`, 'EBADMSG'],
  ['missing space after policy name', `policy_name=openpolicy_version=1.0.0\n${ALLOW}`, 'EBADMSG'],
  [
    'expanded ASCII',
    `policy_name=gr\xfc\xdfe\xff policy_version=1.0.0\n${ALLOW}op=EXECUTE boot_verified=TRUE action=DENY\n`,
    'ok',
  ],
  [
    'invalid property value (2)',
    `${HEAD}${ALLOW}op=EXECUTE dmverity_roothash=CAFE action=ALLOW\n`,
    'EBADMSG',
  ],
  ['double header', `${HEAD}${HEAD}${ALLOW}`, 'EBADMSG'],
  ['double default', `${HEAD}${ALLOW}${ALLOW}`, 'EBADMSG'],
  [
    'double operation default',
    `${HEAD}${ALLOW}DEFAULT op=KEXEC_IMAGE action=ALLOW\nDEFAULT op=KEXEC_IMAGE action=DENY\n`,
    'EBADMSG',
  ],
  ['invalid action value', `${HEAD}${ALLOW}DEFAULT op=EXECUTE action=REFUSE\n`, 'EBADMSG'],
  ['invalid action value (2)', `${HEAD}${ALLOW}DEFAULT op=EXECUTE action=\n`, 'EBADMSG'],
  ['unrecognized statement', `${HEAD}${ALLOW}OTHERWISE action=DENY\n`, 'EBADMSG'],
  [
    'old-style dm-verity digest',
    `${HEAD}${ALLOW}op=EXECUTE dmverity_roothash=${'0f'.repeat(32)} action=DENY\n`,
    'EBADMSG',
  ],
  [
    'old-style fs-verity digest',
    `${HEAD}${ALLOW}op=EXECUTE fsverity_digest=${'0f'.repeat(20)} action=DENY\n`,
    'EBADMSG',
  ],
  ['wide string', wide(`${HEAD}${ALLOW}`), 'EBADMSG'],
];

describe("the kernel's own parser situations", () => {
  it('are 32 texts of bytes and one of wide characters, each by another name', () => {
    expect(SITUATIONS.length).toBe(32 + 1);
    expect(new Set(SITUATIONS.map(([name]) => name)).size).toBe(SITUATIONS.length);
  });

  it.each(SITUATIONS)('%s', (_name, text, expected) => {
    expect(answer(text)).toBe(expected);
    const report = lintIpePolicy(latin1(text));
    expect(report.errno ?? 'ok').toBe(expected);
    expect(report.diagnostics.some((d) => d.severity === 'error')).toBe(expected !== 'ok');
  });
});
