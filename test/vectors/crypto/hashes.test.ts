// Published answers for the three hashes that are written here: MD4 (RFC 1320), SM3 (GB/T 32905-2016), Whirlpool (ISO/IEC
// 10118-3, the NESSIE set), and one answer each for the hashes that libraries compute.

import { describe, expect, test } from 'vitest';
import { toHex, utf8 } from '../../../src/base/bytes.ts';
import { nobleProvider } from '../../../src/crypto/noble.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';
import type { HashName } from '../../../src/crypto/provider.ts';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz';
const LONG = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

const ANSWERS: readonly (readonly [HashName, string, string])[] = [
  ['md4', '', '31d6cfe0d16ae931b73c59d7e0c089c0'],
  ['md4', 'a', 'bde52cb31de33e46245e05fbdbd6fb24'],
  ['md4', 'abc', 'a448017aaf21d8525fc10ae87aa6729d'],
  ['md4', 'message digest', 'd9130a8164549fe818874806e1c7014b'],
  ['md4', ALPHABET, 'd79e1c308aa5bbcdeea8ed63df412da9'],
  ['md4', LONG, '043f8582f241db351ce627e153e7f0e4'],
  ['md4', '1234567890'.repeat(8), 'e33b4ddc9c38f2199c3e7b164fcc0536'],
  ['sm3', '', '1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b'],
  ['sm3', 'abc', '66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0'],
  ['sm3', 'abcd'.repeat(16), 'debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732'],
  [
    'wp512',
    '',
    '19fa61d75522a4669b44e39c1d2e1726c530232130d407f89afee0964997f7a7' +
      '3e83be698b288febcf88e3e03c4f0757ea8964e59b63d93708b138cc42a66eb3',
  ],
  [
    'wp512',
    'abc',
    '4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce721ae1b303d97e6d4c' +
      '7181eebdb6c57e277d0e34957114cbd6c797fc9d95d8b582d225292076d4eef5',
  ],
  [
    'wp512',
    'abcdbcdecdefdefgefghfghighijhijk',
    '2a987ea40f917061f5d6f0a0e4644f488a7a5a52deee656207c562f988e95c69' +
      '16bdc8031bc5be1b7b947639fe050b56939baaa0adff9ae6745b7b181c3be3fd',
  ],
  [
    'wp512',
    LONG,
    'dc37e008cf9ee69bf11f00ed9aba26901dd7c28cdec066cc6af42e40f82f3a1e' +
      '08eba26629129d8fb7cb57211b9281a65517cc879d7b962142c65f5a7af01467',
  ],
  ['md5', 'abc', '900150983cd24fb0d6963f7d28e17f72'],
  ['sha1', 'abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
  ['rmd160', 'abc', '8eb208f7e05d987a9b044a8e98c6b087f15a0bfc'],
  ['sha224', 'abc', '23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7'],
  ['sha256', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  ['sha3-256', 'abc', '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532'],
];

describe.each([nobleProvider, nodeProvider ?? nobleProvider])('hash answers ($name)', (provider) => {
  test.each(ANSWERS)('%s of "%s"', (alg, text, digest) => {
    expect(toHex(provider.hash(alg, utf8(text)))).toBe(digest);
  });

  test('a million a', () => {
    const a = utf8('a'.repeat(1000));
    const run = (alg: HashName): string => {
      const hasher = provider.hasher(alg);
      for (let i = 0; i < 1000; i++) hasher.update(a);
      return toHex(hasher.digest());
    };
    expect(run('wp512')).toBe(
      '0c99005beb57eff50a7cf005560ddf5d29057fd86b20bfd62deca0f1ccea4af5' +
        '1fc15490eddc47af32bb2b66c34ff9ad8c6008ad677f77126953b226e4ed8b01',
    );
    expect(run('md4')).toBe('bbce80cc6bb65e5c6745e30d4eeca9a4');
    expect(run('sm3')).toBe('c8aaf89429554029e231941a2acc0ad61ff2a5acd8fadd25847a3a732b3b02c3');
  });
});
