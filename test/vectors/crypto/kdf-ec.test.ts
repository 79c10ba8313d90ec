// Published answers for the TPM's key derivation (KDFa, KDFe, labelled ECC secrets, a whole credential) and for
// deterministic ECDSA (RFC 6979, A.2.5 to A.2.7).

import { beforeAll, describe, expect, test } from 'vitest';
import { EMPTY, fromHex, toHex, utf8 } from '../../../src/base/bytes.ts';
import { ecdh } from '../../../src/crypto/ec.ts';
import { hmacParts, kdfA, kdfE } from '../../../src/crypto/kdf.ts';
import { nobleProvider } from '../../../src/crypto/noble.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { type CurveName, crypto, type HashName, useProvider } from '../../../src/crypto/provider.ts';
import vectors from './tpm-kdf.json' with { type: 'json' };

interface DeterministicKey {
  readonly curve: CurveName;
  readonly hash: HashName;
  readonly x: string;
  readonly ux: string;
  readonly uy: string;
  readonly r: string;
  readonly s: string;
}

/** Message "sample" with the hash that belongs to the curve. */
const RFC6979: readonly DeterministicKey[] = [
  {
    curve: 'P-256',
    hash: 'sha256',
    x: 'c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721',
    ux: '60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6',
    uy: '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
    r: 'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716',
    s: 'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
  },
  {
    curve: 'P-384',
    hash: 'sha384',
    x:
      '6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d8' + '96d5724e4c70a825f872c9ea60d2edf5',
    ux:
      'ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64' + 'def8f0ea9055866064a254515480bc13',
    uy:
      '8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1' + '288b231c3ae0d4fe7344fd2533264720',
    r:
      '94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c' + '81a648152e44acf96e36dd1e80fabe46',
    s:
      '99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94f' + 'a329c145786e679e7b82c71a38628ac8',
  },
  {
    curve: 'P-521',
    hash: 'sha512',
    x:
      '00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75' +
      'caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538',
    ux:
      '01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd' +
      '371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4',
    uy:
      '00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a' +
      '28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5',
    r:
      '00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f' +
      '174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa',
    s:
      '00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af' +
      '282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a',
  },
];

describe.each([nobleProvider, nodeProvider ?? nobleProvider])('derivation answers ($name)', (provider) => {
  beforeAll(() => useProvider(provider));

  test.each(RFC6979)('RFC 6979 on $curve', ({ curve, hash, x, ux, uy, r, s }) => {
    const key = fromHex(x);
    const point = crypto().ecPublicKey(curve, key);
    expect([toHex(point.x), toHex(point.y)]).toEqual([ux, uy]);
    const digest = crypto().hash(hash, utf8('sample'));
    const signature = crypto().ecdsaSign(curve, key, digest);
    expect(toHex(signature)).toBe(r + s);
    expect(crypto().ecdsaVerify(curve, point, digest, signature)).toBe(true);
  });

  test.each(vectors.kdfe)('KDFe $hash $label, $bits bits', ({ hash, z, label, u, v, bits, result }) => {
    expect(toHex(kdfE(hash as HashName, fromHex(z), label, fromHex(u), fromHex(v), bits))).toBe(result);
  });

  test.each(vectors.ecc)('secret shared with a P-256 key, $hash $label', (c) => {
    const ephemeral = fromHex(c.ephemeral);
    const own = crypto().ecPublicKey('P-256', ephemeral);
    expect([toHex(own.x), toHex(own.y)]).toEqual([c.ephemeralX, c.ephemeralY]);
    const z = ecdh('P-256', ephemeral, { x: fromHex(c.x), y: fromHex(c.y) }) ?? EMPTY;
    const bits = 4 * c.secret.length;
    expect(toHex(kdfE(c.hash as HashName, z, c.label, own.x, fromHex(c.x), bits))).toBe(c.secret);
  });

  test('a credential blob: KDFa for both keys, CFB, HMAC', () => {
    const c = vectors.credential;
    const [seed, name] = [fromHex(c.seed), fromHex(c.name)];
    const symmetricKey = kdfA('sha1', seed, 'STORAGE', name, EMPTY, 128);
    expect(toHex(symmetricKey)).toBe(c.symmetricKey);
    const encrypted = crypto().aesCfb('encrypt', symmetricKey, new Uint8Array(16), fromHex(c.secret));
    expect(toHex(encrypted)).toBe(c.encrypted);
    const hmacKey = kdfA('sha1', seed, 'INTEGRITY', EMPTY, EMPTY, 160);
    expect(toHex(hmacKey)).toBe(c.hmacKey);
    expect(toHex(hmacParts('sha1', hmacKey, encrypted, name))).toBe(c.integrity);
  });

  test('KDFa longer than one block goes on with the counter, odd bits are cleared at the front', () => {
    const key = utf8('key');
    const long = kdfA('sha256', key, 'XOR', utf8('u'), utf8('v'), 600);
    const block = (counter: number): string =>
      toHex(crypto().hmac('sha256', key, fromHex(`0000000${counter}584f5200757600000258`)));
    expect(toHex(long)).toBe((block(1) + block(2) + block(3)).slice(0, 150));
    const odd = kdfA('sha256', key, 'XOR', utf8('u'), utf8('v'), 593);
    expect(odd.length).toBe(75);
    expect((odd[0] as number) >> 1).toBe(0);
  });
});
