// Merkle trees as fs-verity and dm-verity build them: blocks are hashed with a salt, the digests fill
// blocks of their own, until one digest is left. Pure functions over bytes; where trees are kept and who
// checks them is in fsverity.ts and dmverity.ts.

import { assert } from '../base/assert.ts';
import { concat } from '../base/bytes.ts';
import { blockSize, crypto, digestSize, type HashName } from '../crypto/provider.ts';

/** How one kind of tree is made. */
export interface MerkleShape {
  readonly alg: HashName;
  readonly dataBlockSize: number;
  readonly hashBlockSize: number;
  /** Bytes that every hash starts with. */
  readonly before: Uint8Array;
  /** Bytes that every hash ends with. */
  readonly after: Uint8Array;
  /** Room that one digest takes in a tree block. */
  readonly slot: number;
  readonly slotsPerBlock: number;
}

/** Tree blocks of each level, level 0 (over the data) first; no level when one data block is all there is. */
export interface MerkleTree {
  readonly root: Uint8Array;
  readonly levels: readonly Uint8Array[];
}

function padded(bytes: Uint8Array, at: number, size: number): Uint8Array {
  const block = bytes.subarray(at, at + size);
  if (block.length === size) return block;
  const out = new Uint8Array(size);
  out.set(block);
  return out;
}

/** Digest of one block. @kernel fs/verity/hash_algs.c fsverity_hash_block() */
export function hashBlock(shape: MerkleShape, block: Uint8Array): Uint8Array {
  return crypto().hasher(shape.alg).update(shape.before).update(block).update(shape.after).digest();
}

/** All digests of a run of blocks, in the order and with the gaps in which tree blocks hold them. */
function levelOver(shape: MerkleShape, bytes: Uint8Array, size: number): Uint8Array {
  const blocks = Math.ceil(bytes.length / size);
  const out = new Uint8Array(Math.ceil(blocks / shape.slotsPerBlock) * shape.hashBlockSize);
  for (let i = 0; i < blocks; i++) {
    const at =
      Math.floor(i / shape.slotsPerBlock) * shape.hashBlockSize + (i % shape.slotsPerBlock) * shape.slot;
    out.set(hashBlock(shape, padded(bytes, i * size, size)), at);
  }
  return out;
}

/**
 * Builds the tree over data that is not empty; a last block that is too short counts as padded with zeros.
 * @kernel fs/verity/enable.c build_merkle_tree()
 */
export function buildMerkleTree(shape: MerkleShape, data: Uint8Array): MerkleTree {
  assert(data.length > 0, 'a tree needs data');
  const levels: Uint8Array[] = [];
  let below = data;
  let size = shape.dataBlockSize;
  while (below.length > size) {
    below = levelOver(shape, below, size);
    size = shape.hashBlockSize;
    levels.push(below);
  }
  return { root: hashBlock(shape, padded(below, 0, size)), levels };
}

/**
 * Salt of fs-verity: filled with zeros to a whole block of the hash function; none when it is empty.
 * @kernel fs/verity/hash_algs.c fsverity_prepare_hash_state()
 */
export function paddedSalt(alg: HashName, salt: Uint8Array): Uint8Array {
  if (salt.length === 0) return salt;
  const unit = blockSize(alg);
  return concat(salt, new Uint8Array((unit - (salt.length % unit)) % unit));
}

/** How many digests a tree block holds: a power of two. */
export function hashesPerBlock(alg: HashName, size: number): number {
  return 2 ** Math.floor(Math.log2(size / digestSize(alg)));
}
