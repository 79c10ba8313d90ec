// Part 3, chapter 10: self-tests. Everything counts as tested at once; a fault that is set on purpose
// (Tpm.fail) is what TPM2_GetTestResult reports.

import { utf8 } from '../../base/bytes.ts';
import { ALGORITHM_PROPERTIES } from '../algorithms.ts';
import { command } from '../command.ts';
import { list, oneOf, Uint16, Uint32 } from '../marshal.ts';
import * as rc from '../rc.ts';
import { Tpm2bMaxBuffer, TpmiYesNo, TpmlAlg } from '../structures.ts';

const TpmAlgId = oneOf(
  Uint16,
  ALGORITHM_PROPERTIES.map(([alg]) => alg),
  rc.TPM_RC_VALUE,
);

/** @tcg Part 3, 10.2 TPM2_SelfTest */
export const selfTest = command({
  code: 0x143,
  name: 'SelfTest',
  handles: {},
  parameters: { fullTest: TpmiYesNo },
  response: {},
  nv: true,
  run: () => ({}),
});

/** @tcg Part 3, 10.3 TPM2_IncrementalSelfTest */
export const incrementalSelfTest = command({
  code: 0x142,
  name: 'IncrementalSelfTest',
  handles: {},
  parameters: { toTest: list(TpmAlgId, 64) },
  response: { toDoList: TpmlAlg },
  nv: true,
  run: () => ({ toDoList: [] }),
});

/** @tcg Part 3, 10.4 TPM2_GetTestResult */
export const getTestResult = command({
  code: 0x17c,
  name: 'GetTestResult',
  handles: {},
  parameters: {},
  response: { outData: Tpm2bMaxBuffer, testResult: Uint32 },
  run(tpm) {
    const failed = tpm.state.life === 'failure';
    return {
      outData: utf8(tpm.state.ram.failureReason),
      testResult: failed ? rc.TPM_RC_FAILURE : rc.TPM_RC_SUCCESS,
    };
  },
});
