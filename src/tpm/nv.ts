// NV memory: what indices and persistent objects take of it, access rules of indices, deleting by hierarchy.

import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { entityHierarchy } from './entity.ts';
import * as rc from './rc.ts';
import type { NvIndex, PersistentState } from './state.ts';

/** Octets that an index and a persistent object take besides their data. */
const INDEX_OVERHEAD = 128;
const OBJECT_SIZE = 1600;

function usedNv(nv: PersistentState): number {
  let used = nv.objects.size * OBJECT_SIZE;
  for (const index of nv.nvIndices.values()) used += INDEX_OVERHEAD + index.data.length;
  return used;
}

/** Memory for the data of orderly indices, and what each takes of it besides (the reference's sizes). */
const ORDERLY_MEMORY = 512;
const ORDERLY_OVERHEAD = 12;

function usedOrderly(nv: PersistentState): number {
  let used = 0;
  for (const index of nv.nvIndices.values()) {
    if ((index.public.attributes & c.TPMA_NV_ORDERLY) !== 0) used += ORDERLY_OVERHEAD + index.data.length;
  }
  return used;
}

/** Whether an index with this much data fits. */
export function hasRoomForIndex(tpm: TpmCursor, attributes: number, dataSize: number): boolean {
  const orderly = (attributes & c.TPMA_NV_ORDERLY) !== 0;
  if (orderly && usedOrderly(tpm.state.nv) + ORDERLY_OVERHEAD + dataSize > ORDERLY_MEMORY) return false;
  return usedNv(tpm.state.nv) + INDEX_OVERHEAD + dataSize <= tpm.state.config.nvMemory;
}

export function hasRoomForObject(tpm: TpmCursor): boolean {
  const { nv, config } = tpm.state;
  return nv.objects.size < config.persistentSlots && usedNv(nv) + OBJECT_SIZE <= config.nvMemory;
}

/** Puts an index in place. */
export function putIndex(tpm: TpmCursor, index: NvIndex): void {
  tpm.setNv({ nvIndices: tpm.state.nv.nvIndices.set(index.public.nvIndex, index) });
}

/** The index with other attributes. */
export function withAttributes(index: NvIndex, attributes: number): NvIndex {
  return { ...index, public: { ...index.public, attributes: attributes >>> 0 } };
}

/** Writes data into an index and marks it as written. */
export function writeIndex(tpm: TpmCursor, index: NvIndex, offset: number, data: Uint8Array): void {
  const written = (index.public.attributes & c.TPMA_NV_WRITTEN) !== 0;
  const next = written ? index.data.slice() : new Uint8Array(index.data.length).fill(0xff);
  next.set(data, offset);
  putIndex(tpm, { ...withAttributes(index, index.public.attributes | c.TPMA_NV_WRITTEN), data: next });
}

/** Removes an index; a counter leaves its value behind, so that no later counter starts below it. */
export function deleteIndex(tpm: TpmCursor, index: NvIndex): void {
  const { attributes, nvIndex } = index.public;
  if (c.nvType(attributes) === c.TPM_NT_COUNTER && (attributes & c.TPMA_NV_WRITTEN) !== 0) {
    const value = counterValue(index);
    if (value > tpm.state.nv.maxCounter) tpm.setNv({ maxCounter: value });
  }
  tpm.setNv({ nvIndices: tpm.state.nv.nvIndices.delete(nvIndex) });
}

/** The 64-bit value of a counter or bit field. */
export function counterValue(index: NvIndex): bigint {
  return new DataView(index.data.buffer, index.data.byteOffset).getBigUint64(0);
}

/** Largest count that any counter of this TPM has or had. */
export function maxCount(tpm: TpmCursor): bigint {
  let max = tpm.state.nv.maxCounter;
  for (const index of tpm.state.nv.nvIndices.values()) {
    const { attributes } = index.public;
    if (c.nvType(attributes) !== c.TPM_NT_COUNTER || (attributes & c.TPMA_NV_WRITTEN) === 0) continue;
    const value = counterValue(index);
    if (value > max) max = value;
  }
  return max;
}

/** Deletes the persistent objects of a hierarchy, and with the owner's its indices: the platform's stay. */
export function deleteHierarchyNv(tpm: TpmCursor, hierarchy: number): void {
  for (const [handle, index] of tpm.state.nv.nvIndices) {
    if (hierarchy === c.TPM_RH_OWNER && entityHierarchy(tpm, handle) === hierarchy) deleteIndex(tpm, index);
  }
  tpm.setNv({ objects: tpm.state.nv.objects.filter((o) => o.hierarchy !== hierarchy) });
}

/** @tcg Part 3, 31.1: who may read an index; TPM_RC_NV_UNINITIALIZED comes last */
export function readAccess(authHandle: number, nvHandle: number, attributes: number): number {
  if ((attributes & c.TPMA_NV_READLOCKED) !== 0) return rc.TPM_RC_NV_LOCKED;
  const refused = authorized(authHandle, nvHandle, attributes, c.TPMA_NV_OWNERREAD, c.TPMA_NV_PPREAD);
  if (refused !== 0) return refused;
  return (attributes & c.TPMA_NV_WRITTEN) === 0 ? rc.TPM_RC_NV_UNINITIALIZED : 0;
}

/** @tcg Part 3, 31.1: who may write an index */
export function writeAccess(authHandle: number, nvHandle: number, attributes: number): number {
  if ((attributes & c.TPMA_NV_WRITELOCKED) !== 0) return rc.TPM_RC_NV_LOCKED;
  return authorized(authHandle, nvHandle, attributes, c.TPMA_NV_OWNERWRITE, c.TPMA_NV_PPWRITE);
}

function authorized(
  authHandle: number,
  nvHandle: number,
  attributes: number,
  ownerBit: number,
  platformBit: number,
): number {
  let allowed = authHandle === nvHandle;
  if (authHandle === c.TPM_RH_OWNER) allowed = (attributes & ownerBit) !== 0;
  if (authHandle === c.TPM_RH_PLATFORM) allowed = (attributes & platformBit) !== 0;
  return allowed ? 0 : rc.TPM_RC_NV_AUTHORIZATION;
}
