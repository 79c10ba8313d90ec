// Loads and runs a scenario file for the commands that do so; the machine's code is loaded here, once.

import { toArray } from '../base/list.ts';
import type { TraceEvent } from '../base/trace.ts';
import '../crypto/auto.ts';
import { Machine } from '../kernel/machine.ts';
import type { Scenario } from '../scenario/loader.ts';
import { banksOf, pcrValue, type ScenarioMachine } from '../scenario/observe.ts';
import type { RunReport } from '../scenario/result.ts';
import { type Boot, type RunOptions, runScenario } from '../scenario/runner.ts';
import type { RunMemory } from '../scenario/steps/types.ts';
import { renderDiagnostics } from './frame.ts';
import { loadScenarioFile } from './scenario-file.ts';
import { type Colors, CommandError, EXIT, say } from './terminal.ts';

export const boot: Boot<Machine> = (config) => Machine.boot(config);

export interface Played {
  readonly report: RunReport;
  readonly machine: Machine;
  readonly memory: RunMemory;
  readonly events: readonly TraceEvent[];
}

export function play(scenario: Scenario, options: RunOptions = {}): Played {
  const { report, machine, run } = runScenario(scenario, boot, options);
  return { report, machine, memory: run.memory, events: toArray(machine.trace.state.events) };
}

/** The scenario of a file; mistakes are printed and end the command with exit code 3. */
export function requireScenario(file: string, colors: Colors): Scenario {
  const loaded = loadScenarioFile(file);
  if (loaded.ok) return loaded.scenario;
  say(renderDiagnostics(file, loaded.text, loaded.diagnostics, colors));
  throw new CommandError(EXIT.invalid, `${file}: nothing was run`);
}

/** All registers at the end of a run: `sha256:10` -> hex. */
export function registersOf(machine: ScenarioMachine): { readonly [register: string]: string } {
  const out: Record<string, string> = {};
  for (const bank of banksOf(machine)) {
    for (let pcr = 0; pcr < 24; pcr++) {
      const value = pcrValue(machine, bank, pcr);
      if (value !== undefined) out[`${bank}:${pcr}`] = value;
    }
  }
  return out;
}
