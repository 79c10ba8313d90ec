// Reading a dm-verity device whose data and tree are real bytes: each block is checked on its way up, and a
// damaged one does what the table says. Errors of the devices below and the retry of a damaged read are left
// out.

import { EMPTY } from '../base/bytes.ts';
import { ok, type Result } from '../base/errno.ts';
import type { Core } from './core.ts';
import { type DmVerityDevice, dmVerityCheck, dmVerityExpectsZeros } from './dmverity.ts';
import type { BlockDevice, VerityOpened } from './types.ts';

/** The device with what is on the disks below now; undefined where one of them has no bytes. */
export function openedDevice(core: Core, opened: VerityOpened): DmVerityDevice | undefined {
  const { devices } = core.state;
  const data = devices.get(opened.dataDevice)?.content;
  const hashArea = devices.get(opened.hashDevice)?.content;
  if (data === undefined || hashArea === undefined) return undefined;
  const { params, dataBlocks, hashStart, rootHash } = opened;
  return { params, dataBlocks, hashStart, rootHash, data, hashArea };
}

/**
 * Bytes of the device from `pos`; EIO at a damaged block, or what its mode asks for instead. With
 * ignore_zero_blocks a block that the tree says is zeros is not checked, and reads as zeros.
 * @kernel drivers/md/dm-verity-target.c verity_verify_io(), verity_handle_err()
 */
export function readVerified(
  core: Core,
  device: BlockDevice,
  opened: VerityOpened,
  length: number,
  pos: number,
): Result<Uint8Array> {
  const below = openedDevice(core, opened);
  if (below === undefined) return core.refused('EIO', 'vfs.io');
  const size = opened.params.dataBlockSize;
  const end = Math.min(pos + length, device.size ?? opened.dataBlocks * size);
  if (pos >= end) return ok(EMPTY);
  const out = below.data.slice(pos, end);
  let { validated } = opened;
  for (let block = Math.floor(pos / size); block * size < end; block++) {
    if (validated?.has(block) === true) continue;
    if (opened.ignoreZeroes && dmVerityExpectsZeros(below, block)) {
      out.fill(0, Math.max(0, block * size - pos), (block + 1) * size - pos);
      continue;
    }
    if (dmVerityCheck(below, block) === 0) {
      validated = validated?.add(block) ?? null;
      continue;
    }
    core.env.verityCorrupted?.(device.name, block, opened.mode);
    if (opened.mode !== 'ignore_corruption') return core.refused('EIO', 'vfs.verity_block');
  }
  if (validated !== opened.validated) {
    const next = { ...device, opened: { ...opened, validated } };
    core.state = { ...core.state, devices: core.state.devices.set(device.name, next) };
  }
  return ok(out);
}
