// File digests and root hashes as fsverity-utils 1.5 and cryptsetup 2.6.1 printed them.

import { describe, expect, it } from 'vitest';
import { filled, fromHex, toHex } from '../../../src/base/bytes.ts';
import '../../../src/crypto/auto.ts';
import {
  DM_VERITY_DEFAULT,
  dmVerityCheck,
  dmVerityFormat,
  dmVerityRead,
  dmVerityReadSuperblock,
  levelStarts,
} from '../../../src/vfs/dmverity.ts';
import { fsVerityDescriptor, fsVerityDigest, fsVerityFormattedDigest } from '../../../src/vfs/fsverity.ts';

/** Byte i of a test file. */
const pattern = (n: number): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (i * 7 + Math.floor(i / 251)) & 255);

describe('fsverity digest', () => {
  it.each([
    [0, 'sha256', 4096, '', '3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95'],
    [0, 'sha256', 1024, '', 'f2cca36b9b1b7f07814e4284b10121809133e7cb9c4528c8f6846e85fc624ffa'],
    [1, 'sha256', 4096, 'aabbccdd', '971524107dd5c06f2279e56e3ccca316f46d9d8ccee83e1a3b8c19f777cb65d8'],
    [4095, 'sha256', 1024, '', '32ac4bc3c1e52c4b1c181d7dbba09bb98402e3a4a47ed5437006fb08015fd91e'],
    [4096, 'sha256', 4096, '', '2b41866549a2f4f4a80ebbb30aa8d8436ce675229143bf493d8dc6fce99081a0'],
    [4097, 'sha256', 4096, '', '2492558cab5973a8b471d3a517cf3fc8ae04bffa6083e7d443e7839b65d94651'],
    [524288, 'sha256', 4096, '', '6feaceaea1f345a5da49693b409602e6b1878a9484241670db45aef27aaec575'],
    [524289, 'sha256', 4096, 'aabbccdd', '092e00f036409599547a33472dc553106e3cde4d99bff2d22dc9e408023b10ab'],
    [
      4097,
      'sha512',
      4096,
      'aabbccdd',
      '5cbca827c00699a6992a4185cd037d8cd862391ff61a22d2791c7f6cd0a8228a1b7a21379bf33e5445d64cff0e409c87af7bc49dc3bfc1203506b0e4b1cf7269',
    ],
  ] as const)('of %d bytes, %s, blocks of %d, salt %j', (n, alg, blockSize, salt, digest) => {
    expect(toHex(fsVerityDigest(pattern(n), { alg, blockSize, salt: fromHex(salt) }))).toBe(digest);
  });

  it('covers a descriptor of 256 bytes', () => {
    const params = { alg: 'sha512', blockSize: 1024, salt: fromHex('aabb') } as const;
    const d = fsVerityDescriptor(0x010203, filled(64, 0xee), params);
    expect(d).toHaveLength(256);
    expect(toHex(d)).toBe(`01020a02000000000302010000000000${'ee'.repeat(64)}aabb${'00'.repeat(30 + 144)}`);
  });

  it('is signed with magic, algorithm and length in front', () => {
    const text = toHex(fsVerityFormattedDigest('sha256', filled(32, 0x11)));
    expect(text).toBe(`46535665726974790100${'2000'}${'11'.repeat(32)}`);
  });
});

describe('dm-verity', () => {
  const salted = { ...DM_VERITY_DEFAULT, salt: fromHex('aabbccdd') };
  const data = pattern(300 * 4096);
  const made = dmVerityFormat(data, salted, new Uint8Array(16));
  const device = {
    params: salted,
    data,
    dataBlocks: 300,
    hashArea: made.hashArea,
    hashStart: 1,
    rootHash: made.rootHash,
  };

  it('reads its own superblock', () => {
    const read = dmVerityReadSuperblock(made.hashArea);
    expect(read).toEqual({ ok: true, value: { params: salted, dataBlocks: 300 } });
    expect(dmVerityReadSuperblock(new Uint8Array(600))).toMatchObject({ ok: false, errno: 'EINVAL' });
    expect(dmVerityReadSuperblock(new Uint8Array(3))).toMatchObject({ ok: false, errno: 'EINVAL' });
  });

  it('puts the root level first', () => {
    expect(levelStarts(salted, 300, 1)).toEqual([2, 1]);
    expect(levelStarts(salted, 1, 7)).toEqual([]);
    expect(levelStarts(salted, 128 * 128 + 1, 0)).toEqual([3, 1, 0]);
  });

  it('gives EIO for a changed block, a changed tree, another root hash, and beyond the end', () => {
    const flip = (bytes: Uint8Array, at: number): Uint8Array => bytes.map((b, i) => (i === at ? b ^ 1 : b));
    const broken = (d: typeof device): number[] =>
      Array.from({ length: 300 }, (_, i) => i).filter((i) => dmVerityCheck(d, i) !== 0);
    expect(broken(device)).toEqual([]);
    expect(broken({ ...device, data: flip(data, 5 * 4096) })).toEqual([5]);
    expect(broken({ ...device, hashArea: flip(made.hashArea, 3 * 4096) })).toHaveLength(128);
    expect(broken({ ...device, hashArea: flip(made.hashArea, 4096) })).toHaveLength(300);
    expect(broken({ ...device, rootHash: filled(32, 0) })).toHaveLength(300);
    expect([dmVerityCheck(device, 300), dmVerityCheck(device, -1)]).toEqual(['EIO', 'EIO']);
  });

  it('reads across blocks, up to the one that is broken', () => {
    const read = dmVerityRead(device, 4090, 12);
    expect(read.ok && toHex(read.value)).toBe(toHex(data.subarray(4090, 4102)));
    const other = { ...device, data: data.map((b, i) => (i === 4096 ? b ^ 1 : b)) };
    expect(dmVerityRead(other, 0, 4096).ok).toBe(true);
    expect(dmVerityRead(other, 4090, 12)).toMatchObject({ ok: false, errno: 'EIO' });
    expect(dmVerityRead(device, 300 * 4096, 1)).toMatchObject({ ok: true });
  });
});
