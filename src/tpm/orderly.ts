// What makes an orderly shutdown void: a change of something that TPM2_Shutdown wrote to NV and that the TPM
// keeps in memory until then. What a command writes to NV at once does not count.

import * as c from './constants.ts';
import { pcrAttributes } from './pcr.ts';
import type { TpmState } from './state.ts';

function savedPcrsChanged(before: TpmState, after: TpmState): boolean {
  if (before.pcr === after.pcr) return false;
  return after.pcr.some((bank, i) =>
    bank.pcrs.some((value, pcr) => pcrAttributes(pcr).stateSave && value !== before.pcr[i]?.pcrs[pcr]),
  );
}

function orderlyIndicesChanged(before: TpmState, after: TpmState): boolean {
  if (before.nv.nvIndices === after.nv.nvIndices) return false;
  return after.nv.nvIndices.some((index, handle) => {
    const orderly = (index.public.attributes & c.TPMA_NV_ORDERLY) !== 0;
    const old = before.nv.nvIndices.get(handle);
    return orderly && old !== undefined && old.data !== index.data;
  });
}

/** @tcg Part 1, 12.2.5 Shutdown: state that changed after TPM2_Shutdown is lost, and the shutdown with it */
export function savedStateChanged(before: TpmState, after: TpmState): boolean {
  const [a, b] = [before.reset, after.reset];
  return (
    before.clear !== after.clear ||
    before.ram.daUsed !== after.ram.daUsed ||
    a.contextCounter !== b.contextCounter ||
    a.objectContextId !== b.objectContextId ||
    a.savedSessions !== b.savedSessions ||
    a.nullSeed !== b.nullSeed ||
    a.clearCount !== b.clearCount ||
    savedPcrsChanged(before, after) ||
    orderlyIndicesChanged(before, after)
  );
}
