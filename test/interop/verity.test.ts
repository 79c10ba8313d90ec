// The trees that kisim builds, held against the real fsverity and veritysetup. Where a tool is not installed its tests are
// skipped with a printed reason, unless KISIM_REQUIRE_INTEROP=1.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/base/bytes.ts';
import { Random, seedRandom } from '../../src/base/random.ts';
import '../../src/crypto/auto.ts';
import {
  DM_VERITY_DEFAULT,
  type DmVerityParams,
  dmVerityCheck,
  dmVerityFormat,
  dmVerityReadSuperblock,
} from '../../src/vfs/dmverity.ts';
import { type FsVerityParams, fsVerityDigest } from '../../src/vfs/fsverity.ts';
import { toolsMissing } from '../support.ts';
import { machine, value } from '../unit/kernel/machines.ts';

const dir = mkdtempSync(join(tmpdir(), 'kisim-verity-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(program: string, args: readonly string[]): string {
  const p = spawnSync(program, args, { encoding: 'utf8' });
  if (p.error !== undefined || p.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${p.stderr}`);
  return p.stdout;
}

const random = new Random(seedRandom('verity'));
const bytes = (n: number): Uint8Array => random.bytes(n);

function file(name: string, content: Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

const noFsverity = toolsMissing('interop/verity', 'fsverity');
const noVeritysetup = toolsMissing('interop/verity', 'veritysetup');

describe.skipIf(noFsverity)('fsverity digest', () => {
  const sizes = [0, 1, 1023, 1024, 1025, 4096, 4097, 128 * 4096, 128 * 4096 + 1, 300_001];
  const cases = sizes.flatMap((size) =>
    (['sha256', 'sha512'] as const).flatMap((alg) =>
      [1024, 2048, 4096].flatMap((blockSize) =>
        ['', '00', 'aabbccdd'.repeat(8)].map((salt) => ({ size, alg, blockSize, salt })),
      ),
    ),
  );

  it.each(sizes)('agrees for a file of %d bytes', (size) => {
    const data = bytes(size);
    const path = file(`f${size}`, data);
    for (const c of cases.filter((x) => x.size === size)) {
      const params: FsVerityParams = { alg: c.alg, blockSize: c.blockSize, salt: fromHex(c.salt) };
      const args = ['digest', `--hash-alg=${c.alg}`, `--block-size=${c.blockSize}`, '--compact'];
      if (c.salt !== '') args.push(`--salt=${c.salt}`);
      expect(toHex(fsVerityDigest(data, params)), JSON.stringify(c)).toBe(
        run('fsverity', [...args, path]).trim(),
      );
    }
  });
});

const UUID = '12345678-9abc-def0-1122-334455667788';

interface DmCase extends DmVerityParams {
  readonly blocks: number;
}

const DM_CASES: readonly DmCase[] = [
  { ...DM_VERITY_DEFAULT, blocks: 1 },
  { ...DM_VERITY_DEFAULT, blocks: 2, salt: fromHex('aabbccdd') },
  { ...DM_VERITY_DEFAULT, blocks: 128, salt: fromHex('00'.repeat(32)) },
  { ...DM_VERITY_DEFAULT, blocks: 129, salt: fromHex('ff') },
  { ...DM_VERITY_DEFAULT, blocks: 40, alg: 'sha512', salt: fromHex('0102') },
  { ...DM_VERITY_DEFAULT, blocks: 70, alg: 'sha1' },
  { ...DM_VERITY_DEFAULT, blocks: 70, alg: 'sha384', salt: fromHex('55'.repeat(256)) },
  { ...DM_VERITY_DEFAULT, blocks: 300, dataBlockSize: 512, hashBlockSize: 512, salt: fromHex('ab') },
  { ...DM_VERITY_DEFAULT, blocks: 300, dataBlockSize: 1024, hashBlockSize: 4096 },
  { ...DM_VERITY_DEFAULT, blocks: 20, dataBlockSize: 4096, hashBlockSize: 1024 },
  { ...DM_VERITY_DEFAULT, blocks: 130, alg: 'sha1', hashType: 0, salt: fromHex('aabb') },
  { ...DM_VERITY_DEFAULT, blocks: 300, hashType: 0 },
];

function veritysetup(c: DmCase, data: string, hash: string, ...more: string[]): string {
  const out = run('veritysetup', [
    'format',
    data,
    hash,
    `--hash=${c.alg}`,
    `--data-block-size=${c.dataBlockSize}`,
    `--hash-block-size=${c.hashBlockSize}`,
    `--format=${c.hashType}`,
    `--salt=${c.salt.length === 0 ? '-' : toHex(c.salt)}`,
    ...(more.length > 0 ? more : [`--uuid=${UUID}`]),
  ]);
  return /Root hash:\s+([0-9a-f]+)/.exec(out)?.[1] ?? out;
}

const label = (c: DmCase): string =>
  `${c.blocks} blocks of ${c.dataBlockSize}, tree of ${c.hashBlockSize}, ${c.alg}, type ${c.hashType}, salt ${c.salt.length}`;

describe.skipIf(noVeritysetup)('veritysetup format', () => {
  it.each(DM_CASES.map((c, i) => ({ c, i, label: label(c) })))('agrees for $label', ({ c, i }) => {
    const data = bytes(c.blocks * c.dataBlockSize);
    const hash = file(`h${i}`, new Uint8Array(0));
    const root = veritysetup(c, file(`d${i}`, data), hash);
    const ours = dmVerityFormat(data, c, fromHex(UUID.replaceAll('-', '')));
    expect(toHex(ours.rootHash)).toBe(root);
    expect(Buffer.compare(readFileSync(hash), Buffer.from(ours.hashArea))).toBe(0);
  });

  it.each(DM_CASES.map((c, i) => ({ c, i, label: label(c) })))('verifies our tree of $label', ({ c, i }) => {
    const data = bytes(c.blocks * c.dataBlockSize);
    const ours = dmVerityFormat(data, c, fromHex(UUID.replaceAll('-', '')));
    const [path, hash] = [file(`od${i}`, data), file(`oh${i}`, ours.hashArea)];
    expect(run('veritysetup', ['verify', path, hash, toHex(ours.rootHash)])).toBe('');
    const other = toHex(ours.rootHash).replace(/^./, (d) => (d === '0' ? '1' : '0'));
    expect(spawnSync('veritysetup', ['verify', path, hash, other]).status).not.toBe(0);
  });

  it.each(DM_CASES.map((c, i) => ({ c, i, label: label(c) })))(
    'agrees without a superblock for $label',
    ({ c, i }) => {
      const data = bytes(c.blocks * c.dataBlockSize);
      const hash = file(`nh${i}`, new Uint8Array(0));
      const root = veritysetup(c, file(`nd${i}`, data), hash, '--no-superblock');
      const ours = dmVerityFormat(data, c, null);
      expect(toHex(ours.rootHash)).toBe(root);
      expect(Buffer.compare(readFileSync(hash), Buffer.from(ours.hashArea))).toBe(0);
    },
  );

  it.each(DM_CASES.map((c, i) => ({ c, i, label: label(c) })))(
    'makes images that a machine opens: $label',
    ({ c, i }) => {
      const data = bytes(c.blocks * c.dataBlockSize);
      const hash = file(`mh${i}`, new Uint8Array(0));
      const root = veritysetup(c, file(`md${i}`, data), hash);
      const broken = data.slice();
      const at = (c.blocks - 1) * c.dataBlockSize;
      broken[at] = (broken[at] as number) ^ 1;
      const salt = c.salt.length === 0 ? '-' : toHex(c.salt);
      for (const [content, errno] of [
        [data, 0],
        [broken, 'EIO'],
      ] as const) {
        const m = machine({
          rawDisks: [
            { name: 'vdd', content },
            { name: 'vde', content: new Uint8Array(readFileSync(hash)) },
          ],
        });
        const sys = m.sys(1);
        const number = value(sys.dmCreate('v'));
        // The superblock takes one block of the hash device, whatever its size.
        const params = `${c.hashType} /dev/vdd /dev/vde ${c.dataBlockSize} ${c.hashBlockSize} ${c.blocks} 1 ${c.alg} ${root} ${salt}`;
        const sectors = data.length / 512;
        expect(sys.dmTableLoad({ name: 'v', target: 'verity', sectors, params })).toBe(0);
        expect(sys.dmResume('v')).toBe(0);
        expect(sys.mknod('/dev/mapper/v', 0o60600, number)).toBe(0);
        const fd = value(sys.open('/dev/mapper/v', 0));
        const last = sys.pread(fd, c.dataBlockSize, at);
        expect(last.ok ? 0 : last.errno).toBe(errno);
        if (last.ok) expect(Buffer.compare(last.value, data.subarray(at))).toBe(0);
      }
    },
  );

  it('finds the block that veritysetup verify finds', () => {
    const c = { ...DM_VERITY_DEFAULT, blocks: 200, salt: fromHex('aabbccdd') };
    const data = bytes(c.blocks * 4096);
    const path = file('v', data);
    const hash = file('vh', new Uint8Array(0));
    const root = veritysetup(c, path, hash);
    const hashArea = new Uint8Array(readFileSync(hash));
    const read = dmVerityReadSuperblock(hashArea);
    if (!read.ok) throw new Error('no superblock');
    const device = { ...read.value, data, hashArea, hashStart: 1, rootHash: fromHex(root) };
    expect(run('veritysetup', ['verify', path, hash, root])).toBe('');
    expect([0, 127, 128, 199].map((b) => dmVerityCheck(device, b))).toEqual([0, 0, 0, 0]);
    const broken = data.slice();
    broken[130 * 4096 + 5] = (broken[130 * 4096 + 5] as number) ^ 1;
    writeFileSync(path, broken);
    expect(spawnSync('veritysetup', ['verify', path, hash, root]).status).not.toBe(0);
    const bad = Array.from({ length: 200 }, (_, b) => b).filter(
      (b) => dmVerityCheck({ ...device, data: broken }, b) !== 0,
    );
    expect(bad).toEqual([130]);
  });
});
