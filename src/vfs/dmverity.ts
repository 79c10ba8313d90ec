// dm-verity trees over the bytes of a block device, in the on-disk format of veritysetup: superblock,
// levels from the root downwards, both hash types. What a device-mapper table says and who opens it is the
// kernel room's; forward error correction is left out.

import { assert } from '../base/assert.ts';
import { concat, EMPTY, equalBytes, fromLatin1, latin1 } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { digestSize, type HashName } from '../crypto/provider.ts';
import { buildMerkleTree, hashBlock, hashesPerBlock, type MerkleShape } from './merkle.ts';

export interface DmVerityParams {
  readonly alg: HashName;
  readonly dataBlockSize: number;
  readonly hashBlockSize: number;
  readonly salt: Uint8Array;
  /**
   * 1: salt before the block, digests in slots of a power of two; 0: the form of Chromium OS, salt behind,
   * no gaps.
   */
  readonly hashType: 0 | 1;
}

export const DM_VERITY_DEFAULT: DmVerityParams = {
  alg: 'sha256',
  dataBlockSize: 4096,
  hashBlockSize: 4096,
  salt: EMPTY,
  hashType: 1,
};

/** A formatted device: its root hash and the bytes of the hash device. */
export interface DmVerityFormat {
  readonly rootHash: Uint8Array;
  readonly hashArea: Uint8Array;
}

function shapeOf(params: DmVerityParams): MerkleShape {
  const { alg, dataBlockSize, hashBlockSize, salt, hashType } = params;
  const size = digestSize(alg);
  return {
    alg,
    dataBlockSize,
    hashBlockSize,
    before: hashType === 1 ? salt : EMPTY,
    after: hashType === 1 ? EMPTY : salt,
    slot: hashType === 1 ? 2 ** Math.ceil(Math.log2(size)) : size,
    slotsPerBlock: hashesPerBlock(alg, hashBlockSize),
  };
}

const SUPERBLOCK_SIZE = 512;
const SIGNATURE = 'verity\0\0';

/** struct verity_sb of cryptsetup, filled up to a hash block. */
export function dmVeritySuperblock(params: DmVerityParams, dataBlocks: number, uuid: Uint8Array): Uint8Array {
  assert(params.salt.length <= 256 && uuid.length === 16, 'salt or UUID does not fit');
  const w = new Writer('le').bytes(latin1(SIGNATURE)).u32(1).u32(params.hashType).bytes(uuid);
  w.bytes(latin1(params.alg.padEnd(32, '\0')))
    .u32(params.dataBlockSize)
    .u32(params.hashBlockSize);
  w.u64(BigInt(dataBlocks)).u16(params.salt.length).bytes(new Uint8Array(6));
  w.bytes(params.salt)
    .bytes(new Uint8Array(256 - params.salt.length))
    .bytes(new Uint8Array(168));
  assert(w.length === SUPERBLOCK_SIZE, 'superblock has another size');
  const blocks = Math.ceil(SUPERBLOCK_SIZE / params.hashBlockSize) * params.hashBlockSize;
  return w.bytes(new Uint8Array(blocks - w.length)).finish();
}

/** What a superblock says; EINVAL for anything that is none. */
export function dmVerityReadSuperblock(
  hashArea: Uint8Array,
): Result<{ readonly params: DmVerityParams; readonly dataBlocks: number }> {
  const r = new Reader(hashArea, 'le');
  const signature = fromLatin1(r.take(8));
  const [version, hashType] = [r.u32(), r.u32()];
  r.take(16);
  const alg = fromLatin1(r.take(32)).replace(/\0.*$/s, '') as HashName;
  const [dataBlockSize, hashBlockSize, dataBlocks] = [r.u32(), r.u32(), Number(r.u64())];
  const saltSize = r.u16();
  r.take(6);
  const salt = r.take(256).slice(0, saltSize);
  const type = hashType === 0 || hashType === 1 ? hashType : null;
  if (r.failed || signature !== SIGNATURE || version !== 1 || type === null || saltSize > 256)
    return fail('EINVAL');
  return ok({ params: { alg, dataBlockSize, hashBlockSize, salt, hashType: type }, dataBlocks });
}

/** Makes the hash area of a data device, as `veritysetup format` does; its length must be whole blocks. */
export function dmVerityFormat(
  data: Uint8Array,
  params: DmVerityParams,
  uuid: Uint8Array | null,
): DmVerityFormat {
  assert(data.length > 0 && data.length % params.dataBlockSize === 0, 'data must be whole blocks');
  const { root, levels } = buildMerkleTree(shapeOf(params), data);
  const blocks = data.length / params.dataBlockSize;
  const superblock = uuid === null ? EMPTY : dmVeritySuperblock(params, blocks, uuid);
  return { rootHash: root, hashArea: concat(superblock, ...[...levels].reverse()) };
}

/** An opened device: data, tree and the root hash that is trusted. */
export interface DmVerityDevice {
  readonly params: DmVerityParams;
  readonly data: Uint8Array;
  readonly dataBlocks: number;
  readonly hashArea: Uint8Array;
  /** Where the tree begins in the hash area, in hash blocks. */
  readonly hashStart: number;
  readonly rootHash: Uint8Array;
}

/** Hash blocks of each level, level 0 first. */
function levelCounts(params: DmVerityParams, dataBlocks: number): number[] {
  const per = hashesPerBlock(params.alg, params.hashBlockSize);
  const counts: number[] = [];
  for (let blocks = dataBlocks; blocks > 1; ) {
    blocks = Math.ceil(blocks / per);
    counts.push(blocks);
  }
  return counts;
}

/** First hash block behind the tree. */
export function treeEnd(params: DmVerityParams, dataBlocks: number, hashStart: number): number {
  return levelCounts(params, dataBlocks).reduce((sum, count) => sum + count, hashStart);
}

/** First hash block of each level, level 0 first. @kernel drivers/md/dm-verity-target.c verity_ctr() */
export function levelStarts(params: DmVerityParams, dataBlocks: number, hashStart: number): number[] {
  const counts = levelCounts(params, dataBlocks);
  const starts = new Array<number>(counts.length);
  let at = hashStart;
  for (let level = counts.length - 1; level >= 0; level--) {
    starts[level] = at;
    at += counts[level] as number;
  }
  return starts;
}

/**
 * The digest that a data block must have, from the root down; EIO when a block of the tree has another
 * digest than its parent says.
 * @kernel drivers/md/dm-verity-target.c verity_hash_for_block(), verity_verify_level()
 */
function wantedDigest(device: DmVerityDevice, block: number): Result<Uint8Array> {
  const { params, hashArea, rootHash } = device;
  if (block < 0 || block >= device.dataBlocks) return fail('EIO');
  const shape = shapeOf(params);
  const starts = levelStarts(params, device.dataBlocks, device.hashStart);
  const size = digestSize(params.alg);
  let want = rootHash;
  for (let level = starts.length - 1; level >= 0; level--) {
    const index = Math.floor(block / shape.slotsPerBlock ** level);
    const at = ((starts[level] as number) + Math.floor(index / shape.slotsPerBlock)) * params.hashBlockSize;
    const node = hashArea.subarray(at, at + params.hashBlockSize);
    if (node.length < params.hashBlockSize || !equalBytes(hashBlock(shape, node), want)) return fail('EIO');
    const slot = (index % shape.slotsPerBlock) * shape.slot;
    want = node.subarray(slot, slot + size);
  }
  return ok(want);
}

/**
 * Checks a data block against the tree: EIO when a tree block or the block itself has another digest.
 * @kernel drivers/md/dm-verity-target.c verity_verify_io()
 */
export function dmVerityCheck(device: DmVerityDevice, block: number): Err {
  const want = wantedDigest(device, block);
  if (!want.ok) return want.errno;
  const { params, data } = device;
  const bytes = data.subarray(block * params.dataBlockSize, (block + 1) * params.dataBlockSize);
  if (bytes.length < params.dataBlockSize) return 'EIO';
  return equalBytes(hashBlock(shapeOf(params), bytes), want.value) ? 0 : 'EIO';
}

/**
 * Whether the tree says that a data block is all zeros, whatever is on the disk.
 * @kernel drivers/md/dm-verity-target.c verity_alloc_zero_digest()
 */
export function dmVerityExpectsZeros(device: DmVerityDevice, block: number): boolean {
  const want = wantedDigest(device, block);
  const { params } = device;
  return want.ok && equalBytes(hashBlock(shapeOf(params), new Uint8Array(params.dataBlockSize)), want.value);
}

/**
 * Bytes of the device, EIO at the first block that does not verify: what read(2) on the opened device
 * gives.
 */
export function dmVerityRead(device: DmVerityDevice, offset: number, length: number): Result<Uint8Array> {
  const size = device.params.dataBlockSize;
  const end = Math.min(offset + length, device.dataBlocks * size);
  if (offset >= end) return ok(EMPTY);
  for (let block = Math.floor(offset / size); block * size < end; block++) {
    const err = dmVerityCheck(device, block);
    if (err !== 0) return fail(err);
  }
  return ok(device.data.subarray(offset, end));
}
