// _TPM_Hash_Start, _TPM_Hash_Data, _TPM_Hash_End: the measurement of a dynamic launch (PCR 17) or of the
// H-CRTM (PCR 0, before TPM2_Startup). The bytes arrive outside the command interface.

import { concat } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName } from './algorithms.ts';
import type { TpmCursor } from './cursor.ts';
import { extendPcr, pcrAttributes, setPcr, startBanks } from './pcr.ts';

const DRTM_PCR = 17;
const HCRTM_PCR = 0;

/** @tcg Part 3, 22.9 _TPM_Hash_Start */
export function hashStartDrtm(tpm: TpmCursor): void {
  if (tpm.state.life === 'off' || tpm.state.life === 'failure') return;
  tpm.setRam({ hashSequence: [] });
}

/** @tcg Part 3, 22.10 _TPM_Hash_Data */
export function hashDataDrtm(tpm: TpmCursor, data: Uint8Array): void {
  const { hashSequence } = tpm.state.ram;
  if (hashSequence === null) return;
  tpm.setRam({ hashSequence: [...hashSequence, new Uint8Array(data)] });
}

/** @tcg Part 3, 22.11 _TPM_Hash_End */
export function hashEndDrtm(tpm: TpmCursor): void {
  const { hashSequence } = tpm.state.ram;
  if (hashSequence === null) return;
  const data = concat(...hashSequence);
  tpm.setRam({ hashSequence: null });
  const started = tpm.state.life !== 'initialized';
  const pcr = started ? DRTM_PCR : HCRTM_PCR;
  if (!started) {
    tpm.state = { ...tpm.state, pcr: startBanks(tpm.state.nv.pcrAllocated, 0, null, null) };
    tpm.setRam({ drtmPreStartup: true });
    setPcr(tpm, pcr, (size) => new Uint8Array(size).fill(4, size - 1));
  } else {
    for (let other = 0; other < 24; other++) {
      if (other !== pcr && (pcrAttributes(other).resetLocality & 0x10) === 0) continue;
      setPcr(tpm, other, (size) => new Uint8Array(size));
    }
  }
  tpm.emit('tpm.hash_start', { pcr });
  const digests = tpm.state.pcr.map(({ alg }) => ({
    hashAlg: alg,
    digest: crypto().hash(hashName(alg), data),
  }));
  extendPcr(tpm, pcr, digests);
  tpm.emit('tpm.hash_end', { pcr, bytes: data.length });
}
