// The steps that only scenarios have, in one table.

import { ATTEST_STEPS } from './attest.ts';
import { BUFFER_STEPS } from './buffers.ts';
import { DISK_STEPS } from './disk.ts';
import { EXEC_STEPS } from './exec.ts';
import { FAULT_STEPS } from './faults.ts';
import { KEY_STEPS } from './keys.ts';
import { OTHER_TPM_STEPS } from './other-tpm.ts';
import { POWER_STEPS } from './power.ts';
import { TPM_STEPS } from './tpm.ts';
import type { ScenarioOp } from './types.ts';
import { VERIFY_LIST_STEPS } from './verify-list.ts';

export const SCENARIO_OPS: readonly ScenarioOp[] = [
  ...BUFFER_STEPS,
  ...DISK_STEPS,
  ...ATTEST_STEPS,
  ...EXEC_STEPS,
  ...FAULT_STEPS,
  ...KEY_STEPS,
  ...OTHER_TPM_STEPS,
  ...POWER_STEPS,
  ...TPM_STEPS,
  ...VERIFY_LIST_STEPS,
];

const byName: ReadonlyMap<string, ScenarioOp> = new Map(SCENARIO_OPS.map((d) => [d.name, d]));

export function scenarioOp(name: string): ScenarioOp | undefined {
  return byName.get(name);
}
