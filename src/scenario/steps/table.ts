// The steps that only scenarios have, in one table.

import { TPM_STEPS } from './tpm.ts';
import type { ScenarioOp } from './types.ts';

export const SCENARIO_OPS: readonly ScenarioOp[] = [...TPM_STEPS];

const byName: ReadonlyMap<string, ScenarioOp> = new Map(SCENARIO_OPS.map((d) => [d.name, d]));

export function scenarioOp(name: string): ScenarioOp | undefined {
  return byName.get(name);
}
