import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { ipeParsePolicy } from '../../../src/ipe/parser.ts';
import { IPE_OPS } from '../../../src/ipe/types.ts';

const HEAD = 'policy_name=p policy_version=0.0.1\n';
const ALLOW = 'DEFAULT action=ALLOW\n';
const verdict = (text: string): string => {
  const r = ipeParsePolicy(text);
  return r.ok ? 'ok' : `${r.errno} ${r.reason.slice(4)} ${r.line}`;
};

describe('header', () => {
  it.each([
    ['', 'EBADMSG parse_empty 0'],
    ['\n \t\r\n# only a comment\n', 'EBADMSG parse_no_header 0'],
    [HEAD, 'EBADMSG parse_default_missing 0'],
    [`\r\n# c\n  ${HEAD}${ALLOW}`, 'ok'],
    [`policy_version=0.0.1 policy_name=p\n${ALLOW}`, 'EBADMSG parse_header 1'],
    [`policy_name=p\n${ALLOW}`, 'EBADMSG parse_header 1'],
    [`policy_name= policy_version=0.0.1\n${ALLOW}`, 'EBADMSG parse_header 1'],
    [`policy_name=p policy_version=0.0.1 x\n${ALLOW}`, 'EBADMSG parse_header 1'],
    [`policy_name=p policy_version=0.0.1 #x\n${ALLOW}`, 'ok'],
    [`Policy_name=p policy_version=0.0.1\n${ALLOW}`, 'EBADMSG parse_header 1'],
    [`policy_name=p=q policy_version=0.0.1\n${ALLOW}`, 'ok'],
    [`policy_name=\xff\xa0! policy_version=0.0.1\n${ALLOW}`, 'ok'],
    [`policy_name=p policy_version=0.0\n${ALLOW}`, 'EBADMSG parse_version_parts 1'],
    [`policy_name=p policy_version=0.0.1.2\n${ALLOW}`, 'EBADMSG parse_version_parts 1'],
    [`policy_name=p policy_version=0.0.x.2\n${ALLOW}`, 'EINVAL parse_version_number 1'],
    [`policy_name=p policy_version=0..1\n${ALLOW}`, 'EINVAL parse_version_number 1'],
    [`policy_name=p policy_version=-1.0.1\n${ALLOW}`, 'EINVAL parse_version_number 1'],
    [`policy_name=p policy_version=65535.+1.007\n${ALLOW}`, 'ok'],
    [`policy_name=p policy_version=1.99999999999999999999x.1\n${ALLOW}`, 'ERANGE parse_version_range 1'],
    [`policy_name=p policy_version=1.70000x.1\n${ALLOW}`, 'EINVAL parse_version_number 1'],
    [`policy_name=p policy_version=1.++2.1\n${ALLOW}`, 'EINVAL parse_version_number 1'],
    [`policy_name=p policy_version=0x1.2.1\n${ALLOW}`, 'EINVAL parse_version_number 1'],
    [`policy_name=p policy_version=65536.0.x\n${ALLOW}`, 'ERANGE parse_version_range 1'],
    [`${HEAD}${HEAD}${ALLOW}`, 'EBADMSG parse_operation 2'],
  ])('%j gives %s', (text, expected) => {
    expect(verdict(text)).toBe(expected);
  });
});

describe('rules', () => {
  it.each([
    ['op=EXECUTE action=ALLOW', 'ok'],
    ['\top=EXECUTE  \t boot_verified=TRUE\taction=DENY  ', 'ok'],
    ['op=EXECUTE boot_verified=TRUE', 'EBADMSG parse_action 3'],
    ['op=EXECUTE action=ALLOW boot_verified=TRUE', 'EBADMSG parse_property 3'],
    ['action=ALLOW op=EXECUTE', 'EBADMSG parse_operation 3'],
    ['action=ALLOW', 'EBADMSG parse_operation 3'],
    ['DEFAULT', 'EBADMSG parse_action 3'],
    ['DEFAULT action=DENY', 'EBADMSG parse_default_twice 3'],
    ['DEFAULT op=KMODULE action=DENY\nDEFAULT op=KMODULE action=DENY', 'EBADMSG parse_default_twice 4'],
    ['DEFAULT op=KMODULE boot_verified=TRUE action=DENY', 'EBADMSG parse_default_property 3'],
    ['op=KMODULE DEFAULT action=DENY', 'EBADMSG parse_property 3'],
    ['op=EXECUTE op=KMODULE action=DENY', 'EBADMSG parse_property 3'],
    ['op=execute action=DENY', 'EBADMSG parse_operation 3'],
    ['op=EXECUTE action=deny', 'EBADMSG parse_action 3'],
    ['op=EXECUTE boot_verified=true action=DENY', 'EBADMSG parse_property 3'],
    ['op=EXECUTE boot_verified=TRUEX action=DENY', 'EBADMSG parse_property 3'],
    ['op=EXECUTE dmverity_roothash=abcd action=DENY', 'EBADMSG parse_digest_colon 3'],
    ['op=EXECUTE dmverity_roothash= action=DENY', 'EBADMSG parse_property 3'],
    ['op=EXECUTE dmverity_roothash=: action=DENY', 'ok'],
    ['op=EXECUTE dmverity_roothash=sha256:abc action=DENY', 'EINVAL parse_digest_hex 3'],
    ['op=EXECUTE fsverity_digest=sha256:0g action=DENY', 'EINVAL parse_digest_hex 3'],
    ['op=EXECUTE fsverity_digest=a:b:cd action=DENY', 'EINVAL parse_digest_hex 3'],
    ['op=EXECUTE fsverity_digest=nonsense:AbCd fsverity_digest=x:00 action=DENY', 'ok'],
    ['op=EXECUTE ac#tion=DENY', 'EBADMSG parse_action 3'],
    ['op=EXECUTE action=DENY#comment', 'ok'],
    ['op=EXECUTE action=DENY\rop=FIRMWARE action=ALLOW', 'ok'],
    ['op=EXECUTE action=DENY\x0b\x0c\xa0', 'ok'],
    ['op=EXECUTE\x0baction=DENY', 'EBADMSG parse_action 3'],
  ])('%j gives %s', (line, expected) => {
    expect(verdict(`${HEAD}${ALLOW}${line}\n`)).toBe(expected);
  });

  it('stops at a NUL and keeps what came before', () => {
    expect(verdict(`${HEAD}${ALLOW}\0nonsense`)).toBe('ok');
    expect(verdict(`${HEAD}\0${ALLOW}`)).toBe('EBADMSG parse_default_missing 0');
    expect(verdict(`p\0o\0`)).toBe('EBADMSG parse_header 1');
  });

  it('wants a default for each operation when there is no global one', () => {
    const each = IPE_OPS.map((op) => `DEFAULT op=${op} action=DENY\n`);
    expect(verdict(HEAD + each.join(''))).toBe('ok');
    for (let i = 0; i < each.length; i++)
      expect(verdict(HEAD + each.filter((_, j) => j !== i).join(''))).toBe('EBADMSG parse_default_missing 0');
  });

  it('keeps order, values and lines', () => {
    const r = ipeParsePolicy(
      `${HEAD}${ALLOW}op=EXECUTE fsverity_digest=sha256:AbCd dmverity_signature=FALSE action=DENY\nop=EXECUTE action=ALLOW\n`,
    );
    if (!r.ok) throw new Error(r.reason);
    const [first, second] = r.policy.ops.EXECUTE.rules;
    expect(first?.line).toBe(3);
    expect(first?.props.map((p) => p.name)).toEqual(['fsverity_digest', 'dmverity_signature']);
    const digest = first?.props[0]?.value;
    expect(typeof digest === 'object' && [digest.alg, toHex(digest.digest)]).toEqual(['sha256', 'abcd']);
    expect(second).toMatchObject({ props: [], action: 'ALLOW', line: 4 });
    expect(r.policy).toMatchObject({ name: 'p', version: { major: 0, minor: 0, rev: 1 } });
  });

  it('marks the word that is wrong', () => {
    const text = `${HEAD}${ALLOW}op=EXECUTE   boot_verified=maybe action=DENY\n`;
    const r = ipeParsePolicy(text);
    expect(r.ok ? '' : text.slice(r.offset, r.offset + r.length)).toBe('boot_verified=maybe');
  });
});
