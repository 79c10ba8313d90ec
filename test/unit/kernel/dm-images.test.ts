// dm-verity over two raw disks with real bytes: verified reads, damage, and what the table asks for then.

import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { DM_VERITY_DEFAULT, dmVerityFormat } from '../../../src/vfs/dmverity.ts';
import { machine, value } from './machines.ts';

const salt = Uint8Array.of(0xaa, 0xbb);
/** Block 60 holds nothing but zeros. */
const data = Uint8Array.from({ length: 200 * 4096 }, (_, i) =>
  i >>> 12 === 60 ? 0 : (i >>> 12) ^ (i & 0xff),
);
const made = dmVerityFormat(data, { ...DM_VERITY_DEFAULT, salt }, new Uint8Array(16));

function opened(options: string, content: Uint8Array = data) {
  const m = machine({
    rawDisks: [
      { name: 'vdd', content },
      { name: 'vde', content: made.hashArea },
    ],
  });
  const sys = m.sys(1);
  const number = value(sys.dmCreate('v'));
  const params = `1 /dev/vdd /dev/vde 4096 4096 200 1 sha256 ${toHex(made.rootHash)} aabb${options}`;
  expect(sys.dmTableLoad({ name: 'v', target: 'verity', sectors: 1600, params })).toBe(0);
  expect(sys.dmResume('v')).toBe(0);
  expect(sys.mknod('/dev/mapper/v', 0o60600, number)).toBe(0);
  const fd = value(sys.open('/dev/mapper/v', 0));
  return { m, sys, block: (n: number) => sys.pread(fd, 4096, n * 4096) };
}

/** One byte of the disk below changes, behind the kernel's back. */
function damage({ m }: ReturnType<typeof opened>, block: number): void {
  const { devices } = m.vfs.state;
  const disk = devices.get('vdd');
  if (disk?.content === undefined) throw new Error('no disk');
  const content = disk.content.slice();
  content[block * 4096 + 7] = 0xee;
  m.vfs.state = { ...m.vfs.state, devices: devices.set('vdd', { ...disk, content }) };
}

const damaged = (): Uint8Array => {
  const bytes = data.slice();
  bytes[150 * 4096 + 7] = 0xff;
  return bytes;
};

describe('a dm-verity device over images', () => {
  it('gives the bytes of the data disk', () => {
    const { block } = opened('');
    expect(value(block(199))).toEqual(data.slice(199 * 4096));
  });

  it('gives EIO for a damaged block and the bytes of the others', () => {
    const { m, block } = opened('', damaged());
    expect(block(150)).toMatchObject({ errno: 'EIO' });
    expect(value(block(149))).toEqual(data.slice(149 * 4096, 150 * 4096));
    expect(m.kernel.state.panic).toBeNull();
  });

  it('lets damage through with ignore_corruption', () => {
    expect(value(opened(' 1 ignore_corruption', damaged()).block(150))[7]).toBe(0xff);
  });

  it.each(['panic_on_corruption', 'restart_on_corruption'])('ends the machine with %s', (mode) => {
    const { m, block } = opened(` 1 ${mode}`, damaged());
    block(150);
    expect(m.kernel.state.panic).toBe('dm-verity device corrupted');
  });

  it('checks each read of a block, or only the first with check_at_most_once', () => {
    for (const [options, second] of [
      ['', 'EIO'],
      [' 1 check_at_most_once', 0xee],
    ] as const) {
      const device = opened(options);
      const { block } = device;
      expect(value(block(20))[7]).toBe(data[20 * 4096 + 7]);
      damage(device, 20);
      damage(device, 21);
      const again = block(20);
      expect(again.ok ? again.value[7] : again.errno).toBe(second);
      expect(block(21)).toMatchObject({ errno: 'EIO' });
    }
  });

  it('gives zeros for a block that has to be zeros with ignore_zero_blocks, whatever the disk holds', () => {
    const plain = opened('');
    damage(plain, 60);
    expect(plain.block(60)).toMatchObject({ errno: 'EIO' });
    const ignoring = opened(' 1 ignore_zero_blocks');
    damage(ignoring, 60);
    damage(ignoring, 61);
    expect(value(ignoring.block(60))).toEqual(new Uint8Array(4096));
    expect(ignoring.block(61)).toMatchObject({ errno: 'EIO' });
  });

  it('does not take zeros on the disk for a block that has to be zeros', () => {
    const bytes = data.slice();
    bytes.fill(0, 150 * 4096, 151 * 4096);
    expect(opened(' 1 ignore_zero_blocks', bytes).block(150)).toMatchObject({ errno: 'EIO' });
  });
});
