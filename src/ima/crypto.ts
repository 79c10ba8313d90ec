// Which digests an entry needs (one slot for each TPM bank, sha1 and ima_hash) and the boot aggregate over
// the firmware's registers. Hashing itself is the crypto provider's.

import { concat } from '../base/bytes.ts';
import { fail, ok, type Result } from '../base/errno.ts';
import type { KernelProfile } from '../base/profile.ts';
import type { HashName } from '../crypto/provider.ts';
import {
  cryptoHasAlg,
  type HashAlgoName,
  hashAlgo,
  hashDigestSize,
  kernelHash,
} from '../integrity/hash-info.ts';
import { type ImaCursor, log } from './cursor.ts';
import type { DigestSlot, FileHash } from './types.ts';

/** TPM_ALG_ID of the hash algorithms that a bank can have. */
const TPM_ALG: Readonly<Record<string, number>> = {
  sha1: 0x0004,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
  sm3: 0x0012,
  'sha3-256': 0x0027,
  'sha3-384': 0x0028,
  'sha3-512': 0x0029,
};

/** tpm2_hash_map[]: banks that the kernel has a name for. */
const MAPPED = new Set(['sha1', 'sha256', 'sha384', 'sha512', 'sm3']);

export interface SlotPlan {
  readonly slots: readonly DigestSlot[];
  readonly sha1Idx: number;
  readonly hashAlgoIdx: number;
}

function slotOf(profile: KernelProfile, alg: string, bank: boolean): DigestSlot {
  const id = TPM_ALG[alg] ?? 0;
  const mapped = !bank || MAPPED.has(alg);
  return {
    alg,
    size: hashDigestSize(alg as HashAlgoName),
    computed: mapped && cryptoHasAlg(profile, alg) && (profile.switches.digestPerBank || alg === 'sha1'),
    bank: bank ? id : null,
    suffix: mapped ? alg : `tpm_alg_${id.toString(16)}`,
  };
}

/** @kernel security/integrity/ima/ima_crypto.c ima_init_crypto() */
export function planSlots(profile: KernelProfile, banks: readonly HashName[], imaHashAlgo: string): SlotPlan {
  const slots = banks.map((alg) => slotOf(profile, alg, true));
  const mappedBank = (alg: string): number => slots.findIndex((s) => s.alg === alg && MAPPED.has(alg));
  let sha1Idx = mappedBank('sha1');
  let hashAlgoIdx = mappedBank(imaHashAlgo);
  if (sha1Idx < 0) {
    sha1Idx = slots.length;
    slots.push(slotOf(profile, 'sha1', false));
    if (imaHashAlgo === 'sha1') hashAlgoIdx = sha1Idx;
  }
  if (hashAlgoIdx < 0) {
    hashAlgoIdx = slots.length;
    slots.push(slotOf(profile, imaHashAlgo, false));
  }
  return { slots, sha1Idx, hashAlgoIdx };
}

/** The bank that boot_aggregate is read from: the wanted one, else sha256, else sha1. */
function aggregateBank(slots: readonly DigestSlot[], wanted: string): string | null {
  let found: string | null = null;
  for (const slot of slots) {
    if (slot.bank === null || !MAPPED.has(slot.alg)) continue;
    if (slot.alg === wanted) return slot.alg;
    if (slot.alg === 'sha256') found = 'sha256';
    if (found === null && slot.alg === 'sha1') found = 'sha1';
  }
  return found;
}

/**
 * Digest over PCR 0 to 7, and 8 and 9 where the bank is not sha1. Without a usable bank it stays zero.
 * @kernel security/integrity/ima/ima_crypto.c ima_calc_boot_aggregate()
 */
export function calcBootAggregate(ima: ImaCursor, wanted: string): Result<FileHash> {
  const zero = { alg: wanted, digest: new Uint8Array(hashDigestSize(wanted as HashAlgoName)) };
  const chip = ima.env.chip;
  if (chip === null) return ok(zero);
  const { bootAggregateOfBank, bootAggregateWithKernel } = ima.env.profile.switches;
  const alg = aggregateBank(ima.state.slots, bootAggregateOfBank ? wanted : 'sha1');
  if (alg === null) {
    log(ima, 'No suitable TPM algorithm for boot aggregate');
    return ok(zero);
  }
  if (!cryptoHasAlg(ima.env.profile, alg)) return fail('ENOENT');
  const parts: Uint8Array[] = [];
  let value: Uint8Array = new Uint8Array(hashDigestSize(alg as HashAlgoName));
  const count = alg === 'sha1' || !bootAggregateWithKernel ? 8 : 10;
  for (let pcr = 0; pcr < count; pcr++) {
    const read = chip.pcrRead(pcr, alg as HashName);
    // A register that cannot be read leaves the previous value in the buffer.
    if (typeof read === 'number') log(ima, 'Error Communicating to TPM chip');
    else value = read;
    parts.push(value);
  }
  return ok({ alg, digest: kernelHash(alg, concat(...parts)) });
}

/** Whether ima_hash can be allocated. */
export function imaHashAvailable(profile: KernelProfile, alg: string): boolean {
  return hashAlgo(alg) >= 0 && cryptoHasAlg(profile, alg);
}
