// The bytes under an HMAC or a signature, asked without a file: what is refused with which errno, and in which
// order the reasons count; and the attributes in the three forms that templates show.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { concat, fromLatin1, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { calcHmacOrHash, type DigestRequest, miscBytes } from '../../../src/evm/digest.ts';
import { Bench, HMAC_KEY, UUID } from './bench.ts';

const SHA256 = 4;
const AFTER_LAST = 23;

const values: Record<string, Uint8Array> = {
  'security.selinux': utf8('context\0'),
  'security.ima': utf8('hash'),
  'security.capability': utf8('caps'),
};

function request(change: Partial<DigestRequest> = {}): DigestRequest {
  const b = new Bench();
  return {
    profile: b.profile,
    xattrs: b.evm.state.xattrs,
    get: (name) => values[name],
    inode: b.inode,
    sb: b.vfs.superblock(b.inode.sb),
    type: 2,
    algo: SHA256,
    hmacKey: HMAC_KEY,
    ...change,
  };
}

const errno = (change: Partial<DigestRequest>): string => {
  const got = calcHmacOrHash(request(change));
  return got.ok ? 'ok' : got.errno;
};
const only = (...names: string[]) => ({ get: (n: string) => (names.includes(n) ? values[n] : undefined) });

describe('calcHmacOrHash', () => {
  it('covers the enabled attributes, and for a portable signature all listed ones', () => {
    const { inode, xattrs } = request();
    expect(xattrs.find((x) => x.name === 'security.selinux')?.enabled).toBe(false);
    const misc = (type: number): Uint8Array => miscBytes({ wordBits: 64, fsuuid: true }, inode, UUID, type);
    const hash = (...parts: Uint8Array[]): string => toHex(crypto().hash('sha256', concat(...parts)));
    const made = (type: number): string => {
      const got = calcHmacOrHash(request({ type }));
      return got.ok ? toHex(got.value) : got.errno;
    };
    const hashed = [utf8('hash'), utf8('caps')];
    expect(made(2)).toBe(toHex(crypto().hmac('sha1', HMAC_KEY, concat(...hashed, misc(2)))));
    expect(made(3)).toBe(hash(...hashed, misc(3)));
    expect(made(5)).toBe(hash(utf8('context\0'), ...hashed, misc(5)));
  });

  it('refuses numbers of no algorithm, and algorithms that are not built', () => {
    expect(errno({ type: 3, algo: AFTER_LAST })).toBe('EINVAL');
    expect(errno({ type: 3, algo: 255 })).toBe('EINVAL');
    expect(errno({ type: 5, algo: AFTER_LAST })).toBe('EINVAL');
    // An HMAC is of SHA-1 whatever the number says.
    expect(errno({ algo: AFTER_LAST })).toBe('ok');
    // streebog256
    expect(errno({ type: 3, algo: 18 })).toBe('ENOENT');
  });

  it('needs the key for an HMAC alone', () => {
    expect(errno({ hmacKey: null })).toBe('ENOKEY');
    expect(errno({ hmacKey: null, type: 3 })).toBe('ok');
  });

  it('refuses file systems without attributes and those of other user namespaces first of all', () => {
    const { sb } = request();
    expect(errno({ sb: { ...sb, xattrs: false }, hmacKey: null })).toBe('EOPNOTSUPP');
    expect(errno({ sb: { ...sb, userNs: 1 }, hmacKey: null })).toBe('EOPNOTSUPP');
    expect(errno({ sb: { ...sb, xattrs: false, userNs: 1 } })).toBe('EOPNOTSUPP');
  });

  it('misses security.ima before it misses everything, and the key before both', () => {
    expect(errno({ type: 5, ...only('security.selinux') })).toBe('EPERM');
    expect(errno({ type: 5, ...only() })).toBe('EPERM');
    expect(errno({ type: 3, ...only('security.capability') })).toBe('ok');
    // Listed and not enabled: nothing is left to cover.
    expect(errno({ type: 3, ...only('security.selinux') })).toBe('ENODATA');
    expect(errno({ ...only() })).toBe('ENODATA');
    expect(errno({ ...only(), hmacKey: null })).toBe('ENOKEY');
    expect(errno({ type: 5, algo: 255, ...only() })).toBe('EINVAL');
  });
});

describe('readProtectedXattrs', () => {
  const shown = (b: Bench, type: 'n' | 'l' | 'v'): Uint8Array | null =>
    b.evm.readProtectedXattrs(b.key, type);

  it('gives names, lengths and values of the listed attributes in their order', () => {
    const b = new Bench();
    b.put('security.capability', utf8('capability'));
    b.put('security.selinux', utf8('ctx\0'));
    b.put('security.ima', utf8('i'));
    b.put('security.other', utf8('not listed'));
    b.put('security.evm', utf8('never listed'));
    expect(fromLatin1(shown(b, 'n') ?? new Uint8Array(0))).toBe(
      'security.selinux|security.ima|security.capability\0',
    );
    expect(toHex(shown(b, 'l') ?? new Uint8Array(0))).toBe('04000000010000000a000000');
    expect(shown(b, 'v')).toEqual(latin1('ctx\0icapability'));
  });

  it('knows names that were added', () => {
    const b = new Bench();
    b.put('security.other', utf8('now listed'));
    b.node('evm_xattrs').write?.(b.task, b.file, utf8('security.other'), 0);
    expect(shown(b, 'v')).toEqual(utf8('now listed'));
  });

  it('is empty without attributes, and nothing where there can be none or EVM is not built', () => {
    expect(shown(new Bench(), 'n')).toEqual(new Uint8Array(0));
    expect(shown(new Bench({ sb: { xattrs: false } }), 'n')).toBeNull();
    const without = new Bench({ config: { CONFIG_EVM: 'n' } });
    without.put('security.ima', utf8('i'));
    expect(shown(without, 'v')).toBeNull();
  });
});

describe('metadataChanged', () => {
  it('is always so where nothing was verified or changes are not counted, never where EVM is not built', () => {
    const asked = (b: Bench): boolean => b.evm.metadataChanged(b.key, b.key);
    expect(asked(new Bench())).toBe(true);
    expect(asked(new Bench({ config: { CONFIG_EVM: 'n' } }))).toBe(false);
    const b = new Bench();
    const known = { inode: b.key, version: b.inode.iVersion };
    const iint = { ...b.evm.iint(b.key), metadata: known, status: 0 as const };
    const remember = (change: object): void => {
      b.evm.state = { ...b.evm.state, iints: b.evm.state.iints.set(b.key, { ...iint, ...change }) };
    };
    b.superblock({ iVersion: true });
    remember({});
    expect([asked(b), b.cached]).toEqual([false, 0]);
    remember({ metadata: { ...known, inode: -5 } });
    expect(asked(b)).toBe(true);
    expect(b.cached).not.toBe(0);
    remember({ metadata: { ...known, version: known.version + 1 } });
    expect(asked(b)).toBe(true);
    b.superblock({ iVersion: false });
    remember({});
    expect(asked(b)).toBe(true);
  });
});
