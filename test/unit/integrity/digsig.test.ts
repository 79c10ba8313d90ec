import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { concat, fromHex, toHex, utf8 } from '../../../src/base/bytes.ts';
import { kstrtos, kstrtou } from '../../../src/base/kstrtox.ts';
import { type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import { asymmetricVerify, integrityDigsigVerify } from '../../../src/integrity/digsig.ts';
import {
  contentHash,
  cryptoHasAlg,
  fileContentHash,
  HASH_ALGO__LAST,
  HASH_ALGO_NAME,
  HASH_DIGEST_SIZE,
  hashAlgo,
  kernelHash,
  kernelHasher,
} from '../../../src/integrity/hash-info.ts';
import { type IntegrityKeys, noKeys } from '../../../src/integrity/keyring-api.ts';
import { imaHashXattr, signatureV2Hdr } from '../../../src/integrity/xattr.ts';

const PROFILE = PROFILES['linux-6.12.107'] as KernelProfile;

describe('numbers', () => {
  it.each<[string, number, number, string]>([
    ['42', 10, 64, '42'],
    ['+42\n', 10, 64, '42'],
    ['0x2a', 16, 64, '42'],
    ['2A', 16, 64, '42'],
    ['0b11', 16, 64, '2833'],
    ['0x', 16, 64, 'EINVAL'],
    ['', 10, 64, 'EINVAL'],
    ['-1', 10, 64, 'EINVAL'],
    ['1 ', 10, 64, 'EINVAL'],
    ['1\n\n', 10, 64, 'EINVAL'],
    ['18446744073709551615', 10, 64, '18446744073709551615'],
    ['18446744073709551616', 10, 64, 'ERANGE'],
    ['99999999999999999999x', 10, 64, 'ERANGE'],
    ['4294967296', 10, 32, 'ERANGE'],
    ['010', 0, 32, '8'],
    ['0x10', 0, 32, '16'],
    ['08', 0, 32, 'EINVAL'],
    ['0', 0, 32, '0'],
    ['10', 0, 32, '10'],
  ])('%j in base %i, %i bits: %s', (text, base, bits, want) => {
    const r = kstrtou(text, base, bits);
    expect(r.ok ? r.value.toString() : r.errno).toBe(want);
  });

  it.each<[string, string]>([
    ['-5', '-5'],
    ['-0', '0'],
    ['+7', '7'],
    ['2147483647', '2147483647'],
    ['2147483648', 'ERANGE'],
    ['-2147483648', '-2147483648'],
    ['-2147483649', 'ERANGE'],
    ['--1', 'EINVAL'],
  ])('%j as int: %s', (text, want) => {
    const r = kstrtos(text, 10, 32);
    expect(r.ok ? r.value.toString() : r.errno).toBe(want);
  });
});

describe('hash algorithms', () => {
  it('have the kernel’s numbers and sizes', () => {
    expect([HASH_ALGO__LAST, HASH_ALGO_NAME.length, HASH_DIGEST_SIZE.length]).toEqual([23, 23, 23]);
    expect(['md4', 'md5', 'sha1', 'sha256', 'sm3', 'sha3-512', 'sha-256'].map(hashAlgo)).toEqual([
      0, 1, 2, 4, 17, 22, -1,
    ]);
    for (const name of HASH_ALGO_NAME)
      if (cryptoHasAlg(PROFILE, name))
        expect(kernelHash(name, utf8('x'))).toHaveLength(HASH_DIGEST_SIZE[hashAlgo(name)] as number);
  });

  it('are offered as the build says', () => {
    expect(
      ['md4', 'rmd128', 'streebog256', 'tgr192', 'nothing'].map((a) => cryptoHasAlg(PROFILE, a)),
    ).toEqual(Array(5).fill(false));
    const bare = { ...PROFILE, config: {} };
    expect(cryptoHasAlg(bare, 'sha256')).toBe(false);
  });

  it('cut Whirlpool for its short forms', () => {
    const full = toHex(kernelHash('wp512', utf8('x')));
    expect(toHex(kernelHash('wp256', utf8('x')))).toBe(full.slice(0, 64));
    expect(toHex(kernelHash('wp384', utf8('x')))).toBe(full.slice(0, 96));
    expect(() => kernelHash('nothing', utf8('x'))).toThrow(/no hash algorithm/);
    expect(toHex(kernelHasher('sha1').update(utf8('x')).digest())).toBe(toHex(kernelHash('sha1', utf8('x'))));
  });

  it('of contents are remembered by identity, and looked up where bytes are unknown', () => {
    const bytes = utf8('content');
    expect(contentHash('sha256', bytes)).toBe(contentHash('sha256', bytes));
    const opaque = {
      kind: 'opaque' as const,
      label: 'kernel',
      length: 9,
      digests: { sha256: 'ab'.repeat(32) },
    };
    expect(toHex(fileContentHash('sha256', opaque) ?? fromHex(''))).toBe('ab'.repeat(32));
    expect(fileContentHash('sha1', opaque)).toBeNull();
  });
});

describe('labels', () => {
  it('hold digests in the form of their algorithm', () => {
    expect(toHex(imaHashXattr(2, fromHex('aabb')))).toBe('01aabb');
    expect(toHex(imaHashXattr(4, fromHex('aabb')))).toBe('0404aabb');
  });

  it('hold signatures behind nine bytes', () => {
    const value = fromHex('030204aabbccdd0002beef');
    expect(signatureV2Hdr(value)).toMatchObject({
      type: 3,
      version: 2,
      hashAlgo: 4,
      keyid: 0xaabbccdd,
      sigSize: 2,
    });
    expect(signatureV2Hdr(value.subarray(0, 9))).toBeNull();
  });
});

describe('signatures', () => {
  const seen: unknown[] = [];
  const keys: IntegrityKeys = {
    ...noKeys(),
    verifySignature: (...args) => {
      seen.push(args.slice(0, 3));
      return 0;
    },
  };
  const digest = new Uint8Array(32);
  const good = fromHex('030204aabbccdd0002beef');

  it('are sent to the key with the header’s algorithm', () => {
    expect(integrityDigsigVerify(keys, 'ima', good, digest)).toBe(0);
    expect(seen).toEqual([['ima', 0xaabbccdd, 'sha256']]);
    expect(integrityDigsigVerify(noKeys(), 'ima', good, digest)).toBe('ENOKEY');
  });

  it.each<[string, Uint8Array, string]>([
    ['too short', Uint8Array.of(3), 'EINVAL'],
    ['no version known', Uint8Array.of(3, 9, 9), 'EOPNOTSUPP'],
    ['no signature', good.subarray(0, 9), 'EBADMSG'],
    ['wrong size', concat(good, utf8('x')), 'EBADMSG'],
    ['unknown algorithm', fromHex('0302ffaabbccdd0002beef'), 'ENOPKG'],
    ['version 1, short', fromHex('0301000000'), 'EINVAL'],
    ['version 1, no RSA', concat(fromHex('030100000000'), utf8('1234567890123456')), 'EINVAL'],
    ['version 1, no such key', concat(fromHex('03010000000000'), new Uint8Array(20)), 'EAGAIN'],
  ])('%s', (_what, value, errno) => {
    expect(integrityDigsigVerify(keys, 'ima', value, digest)).toBe(errno);
  });

  it('of version 3 go the same way', () => {
    expect(asymmetricVerify(keys, 'evm', fromHex('060304aabbccdd0002beef'), digest)).toBe(0);
  });

  it('verify nothing without keys', () => {
    const none = noKeys();
    expect([
      none.pkcs7Parse(good),
      none.pkcs7Verify(good, good, 'ima'),
      none.isHashBlacklisted(good),
    ]).toEqual(['EBADMSG', 'ENOKEY', false]);
    expect(none.pkcs7Digest(good, good).ok).toBe(false);
  });
});
