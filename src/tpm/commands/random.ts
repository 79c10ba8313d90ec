// Part 3, chapter 16: random numbers from the seeded generator.

import { command } from '../command.ts';
import { MAX_DIGEST, MAX_SYM_DATA } from '../constants.ts';
import { drbgReseed } from '../drbg.ts';
import { tpm2b, Uint16 } from '../marshal.ts';
import { Tpm2bDigest } from '../structures.ts';

/** @tcg Part 3, 16.1 TPM2_GetRandom */
export const getRandom = command({
  code: 0x17b,
  name: 'GetRandom',
  handles: {},
  parameters: { bytesRequested: Uint16 },
  response: { randomBytes: Tpm2bDigest },
  run: (tpm, { bytesRequested }) => ({ randomBytes: tpm.random(Math.min(bytesRequested, MAX_DIGEST)) }),
});

/** @tcg Part 3, 16.2 TPM2_StirRandom */
export const stirRandom = command({
  code: 0x146,
  name: 'StirRandom',
  handles: {},
  parameters: { inData: tpm2b(MAX_SYM_DATA) },
  response: {},
  nv: true,
  run(tpm, { inData }) {
    tpm.state = { ...tpm.state, drbg: drbgReseed(tpm.state.drbg, inData) };
    return {};
  },
});
