// The two nodes of EVM in securityfs: which values they take in which state, and what each changes.

import { describe, expect, it } from 'vitest';
import { fromLatin1, latin1 } from '../../../src/base/bytes.ts';
import { fail } from '../../../src/base/errno.ts';
import { EVM_SECURITYFS } from '../../../src/evm/securityfs.ts';
import { Bench, type BenchOptions, okSecret } from './bench.ts';

const CAP_SYS_ADMIN = 21;
const LOCK = 0x80000000;

const write = (
  b: Bench,
  text: string,
  task = b.task,
  offset = 0,
  lock?: (mode: number) => void,
): string | number => {
  const got = b
    .node(text.includes('security') || text === '.' ? 'evm_xattrs' : 'evm', lock)
    .write?.(task, b.file, latin1(text), offset);
  if (got === undefined) throw new Error('not writable');
  return got.ok ? got.value : got.errno;
};
const shown = (b: Bench, name: 'evm' | 'evm_xattrs'): string => {
  const got = b.node(name).read?.(b.task, b.file);
  if (got === undefined || !got.ok) throw new Error('not readable');
  return fromLatin1(got.value);
};

describe('the node evm', () => {
  it.each<[string, number, string | number, number]>([
    ['2', 0, 1, 2],
    ['2\n', 0, 2, 2],
    ['0x2', 0, 3, 2],
    ['0X2', 0, 3, 2],
    ['02', 0, 2, 2],
    ['+2', 0, 2, 2],
    ['4', 0, 1, 4],
    ['6', 0, 1, 6],
    ['4', 2, 1, 6],
    ['2147483648', 0, 10, LOCK],
    ['0x80000002', 0, 10, LOCK + 2],
    ['1', 0, 1, LOCK + 1],
    ['1', 4, 1, LOCK + 1],
    ['3', 0, 1, LOCK + 3],
    ['5', 0, 1, LOCK + 1],
    ['0', 0, 'EINVAL', 0],
    ['00', 0, 'EINVAL', 0],
    ['8', 0, 'EINVAL', 0],
    ['10', 2, 'EINVAL', 2],
    ['0x40000000', 0, 'EINVAL', 0],
    ['', 0, 'EINVAL', 0],
    ['x', 0, 'EINVAL', 0],
    ['-1', 0, 'EINVAL', 0],
    ['2 ', 0, 'EINVAL', 0],
    [' 2', 0, 'EINVAL', 0],
    ['2\n\n', 0, 'EINVAL', 0],
    ['08', 0, 'EINVAL', 0],
    ['0x', 0, 'EINVAL', 0],
    ['4294967295', 0, 'EINVAL', 0],
    ['4294967296', 0, 'ERANGE', 0],
    ['0x100000000', 0, 'ERANGE', 0],
    ['4', 1, 'EPERM', 1],
    ['2', LOCK, 'EPERM', LOCK],
    ['2', LOCK + 1, 'EPERM', LOCK + 1],
  ])('%j in state %i: %s', (text, state, result, after) => {
    const b = new Bench({ state, secret: okSecret(32), evm: { hmacKey: null } });
    expect([write(b, text), b.evm.state.initialized]).toEqual([result, after]);
    expect(shown(b, 'evm')).toBe(String(after % LOCK));
  });

  it('needs CAP_SYS_ADMIN', () => {
    const b = new Bench({ state: 0 });
    expect(write(b, '2', b.without(CAP_SYS_ADMIN))).toBe('EPERM');
    expect(b.events('evm.key').map((e) => e.reason)).toEqual(['evm.setup_complete']);
  });

  it.each<[string, BenchOptions, string | number]>([
    ['of 128 bytes', { secret: okSecret(128) }, 1],
    ['of 129 bytes', { secret: okSecret(129) }, 'EINVAL'],
    ['that is not there', { secret: fail('ENOKEY') }, 'ENOENT'],
    ['when one is set already', { secret: okSecret(32), evm: { hmacKey: new Uint8Array(128) } }, 'EBUSY'],
  ])('a key %s', (_what, options, result) => {
    const b = new Bench({ state: 0, ...options });
    const before = b.evm.state;
    expect(write(b, '1')).toBe(result);
    if (typeof result === 'string') expect(b.evm.state).toBe(before);
    const none = result === 'ENOENT' ? ['evm.no_key'] : [];
    expect(b.events('evm.key').map((e) => e.reason)).toEqual(none);
  });

  it('pads a short key with zeros, and takes nothing when the key is missing', () => {
    const b = new Bench({ state: 0, secret: okSecret(32) });
    write(b, '1');
    expect(b.evm.state.hmacKey).toEqual(Uint8Array.from({ length: 128 }, (_, i) => (i < 32 ? 7 : 0)));
    const none = new Bench({ state: 0 });
    expect([write(none, '3'), none.evm.state.initialized]).toEqual(['ENOENT', 0]);
  });

  it('a certificate of the boot counts like bit 1', () => {
    const b = new Bench({ state: 0 });
    expect(b.evm.keyLoaded).toBe(false);
    b.evm.x509Loaded();
    expect([b.evm.keyLoaded, b.evm.state.initialized]).toEqual([true, 2]);
  });
});

describe('the node evm_xattrs', () => {
  const NAMES = 'security.ima\nsecurity.capability\n';
  const config = {
    CONFIG_SECURITY_SELINUX: 'n',
    CONFIG_SECURITY_SMACK: 'n',
    CONFIG_EVM_EXTRA_SMACK_XATTRS: 'n',
    CONFIG_SECURITY_APPARMOR: 'n',
  };
  it.each<[string, string | number, string, number]>([
    ['security.foo', 12, `${NAMES}security.foo\n`, 0],
    ['security.foo\n', 13, `${NAMES}security.foo\n`, 0],
    ['security.selinux', 16, `security.selinux\n${NAMES}`, 0],
    ['security.ima', 'EEXIST', NAMES, -17],
    ['user.security', 'EINVAL', NAMES, -22],
    ['xsecurity.foo', 'EINVAL', NAMES, -22],
  ])('%j: %s', (text, result, names, res) => {
    const b = new Bench({ config });
    expect(shown(b, 'evm_xattrs')).toBe(NAMES);
    expect([write(b, text), shown(b, 'evm_xattrs')]).toEqual([result, names]);
    expect(b.records).toEqual([`1806 xattr="${text.trimEnd()}" res=${res}`]);
  });

  it.each<[Record<string, string>, string]>([
    [{ CONFIG_SECURITY_SELINUX: 'y' }, `security.selinux\n${NAMES}`],
    [{ CONFIG_SECURITY_SMACK: 'y' }, `security.SMACK64\n${NAMES}`],
    [
      { CONFIG_EVM_EXTRA_SMACK_XATTRS: 'y' },
      `security.SMACK64EXEC\nsecurity.SMACK64TRANSMUTE\nsecurity.SMACK64MMAP\n${NAMES}`,
    ],
    [{ CONFIG_SECURITY_APPARMOR: 'y' }, `security.apparmor\n${NAMES}`],
    [{ CONFIG_IMA_APPRAISE: 'n' }, 'security.capability\n'],
  ])('with %j begins with its names', (more, names) => {
    expect(shown(new Bench({ config: { ...config, ...more } }), 'evm_xattrs')).toBe(names);
  });

  it('refuses without CAP_SYS_ADMIN, at an offset, and names that are too long, without a record', () => {
    const b = new Bench();
    expect(write(b, 'security.foo', b.without(CAP_SYS_ADMIN))).toBe('EPERM');
    expect(write(b, 'security.foo', b.task, 1)).toBe('EINVAL');
    expect(write(b, `security.${'x'.repeat(247)}`)).toBe('E2BIG');
    expect(b.records).toEqual([]);
    expect(write(b, `security.${'x'.repeat(246)}`)).toBe(255);
  });

  it('is locked by a dot for good', () => {
    const b = new Bench();
    const modes: number[] = [];
    expect(write(b, '.', b.task, 0, (mode) => modes.push(mode))).toBe(1);
    expect(modes).toEqual([0o440]);
    expect(b.records).toEqual(['1806 xattr="." res=0']);
    expect([write(b, 'security.foo'), write(b, '.')]).toEqual(['EPERM', 'EPERM']);
    const other = new Bench();
    write(other, 'security.foo', other.task, 0, (mode) => modes.push(mode));
    write(other, 'security.ima', other.task, 0, (mode) => modes.push(mode));
    expect(modes).toEqual([0o440]);
  });

  it('reads a name up to its NUL', () => {
    const b = new Bench({ config });
    expect(write(b, 'security.foo\0bar')).toBe(16);
    expect(shown(b, 'evm_xattrs')).toBe(`${NAMES}security.foo\n`);
  });

  it('stands beside evm, both for the owner and the group', () => {
    expect(EVM_SECURITYFS).toEqual([
      { name: 'evm', mode: 0o660, key: 'evm/evm' },
      { name: 'evm_xattrs', mode: 0o660, key: 'evm/evm_xattrs' },
    ]);
  });
});
