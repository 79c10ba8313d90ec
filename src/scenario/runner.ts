// Runs a scenario: boots the machine, carries out the steps one after the other, compares each with what it
// expects, and ends with the expectations of the end. The life cycle is runner.machine.ts; what happens is
// in the report.

import { initialTransition, type SnapshotFrom, transition } from 'xstate';
import { assert } from '../base/assert.ts';
import type { TraceEvent } from '../base/trace.ts';
import type { MachineConfig } from '../kernel/api.ts';
import { commonChecks, type Situation, stepChecks } from './expectations.ts';
import type { Scenario, ScenarioStep } from './loader.ts';
import { effectsSince, eventsOf, type Look, look, NOTHING_SEEN, type ScenarioMachine } from './observe.ts';
import type { OpResult } from './ops/types.ts';
import { performStep, situationOf } from './perform.ts';
import type { Check, Effects, RunReport, StepReport } from './result.ts';
import { type RunnerEvent, runnerMachine } from './runner.machine.ts';
import { Session } from './session.ts';
import { NO_MEMORY, type RunMemory } from './steps/types.ts';
import { startUserSpace } from './userland.ts';

export type Boot<M extends ScenarioMachine = ScenarioMachine> = (config: MachineConfig) => M;

export interface RunOptions {
  /** Stop after the first step that is not as expected. */
  readonly bail?: boolean;
  /** Called after each step; false interrupts the run. */
  readonly onStep?: (report: StepReport, machine: ScenarioMachine) => boolean;
}

/**
 * A run in progress: `step()` until `done`, then `report()`. Each machine on the way can be kept: forks are
 * free.
 */
export class ScenarioRun<M extends ScenarioMachine = ScenarioMachine> {
  readonly scenario: Scenario;
  readonly session: Session;
  readonly machine: M;
  memory: RunMemory = NO_MEMORY;
  readonly boot: Effects;
  #snapshot: SnapshotFrom<typeof runnerMachine>;
  readonly #steps: StepReport[] = [];
  #final: readonly Check[] = [];
  /** Registers when they could last be read: a machine that is off has none. */
  #registers: Look['pcr'] = [];

  constructor(scenario: Scenario, boot: Boot<M>, options: RunOptions = {}) {
    this.scenario = scenario;
    const input = { steps: scenario.steps.length, bail: options.bail ?? false };
    [this.#snapshot] = initialTransition(runnerMachine, input);
    this.machine = boot(scenario.machine);
    startUserSpace(this.machine);
    this.session = new Session(this.machine, { opTimeUs: 1000 });
    this.boot = effectsSince(this.machine, NOTHING_SEEN);
    this.#send({ type: 'BOOT' });
  }

  /** Name of the life cycle's state. */
  get state(): string {
    return String(this.#snapshot.value);
  }

  get done(): boolean {
    return this.#snapshot.status === 'done';
  }

  get steps(): readonly StepReport[] {
    return this.#steps;
  }

  #send(event: RunnerEvent): void {
    assert(this.#snapshot.can(event), `a run that is ${this.state} cannot ${event.type}`);
    [this.#snapshot] = transition(runnerMachine, this.#snapshot, event);
  }

  /** Carries out the next step. */
  step(): StepReport {
    this.#send({ type: 'STEP' });
    const step = this.scenario.steps[this.#steps.length];
    assert(step !== undefined, 'a step is left');
    const before = this.#look();
    const result = this.#perform(step);
    const report = this.#compare(step, before, result);
    this.#steps.push(report);
    this.#send({ type: 'DONE', failed: report.checks.filter((c) => !c.ok).length });
    return report;
  }

  #look(): Look {
    const now = look(this.machine);
    if (now.pcr.length > 0) this.#registers = now.pcr;
    return { ...now, pcr: this.#registers };
  }

  #perform(step: ScenarioStep): OpResult {
    const { result, memory } = performStep(this.session, this.memory, step.op);
    this.memory = memory;
    return result;
  }

  #situation(effects: Effects, events: readonly TraceEvent[]): Situation {
    return situationOf(this.machine, effects, events, this.scenario.data);
  }

  #compare(step: ScenarioStep, before: Look, result: OpResult): StepReport {
    const effects = effectsSince(this.machine, before);
    const at = this.#situation(effects, eventsOf(this.machine, effects));
    return { step, timeUs: before.timeUs, result, effects, checks: stepChecks(step.expect, result, at) };
  }

  /** Compares the end; call it when no step is left. */
  finish(): void {
    this.#send({ type: 'END' });
    const effects = effectsSince(this.machine, NOTHING_SEEN);
    this.#final = commonChecks(
      this.scenario.expect,
      this.#situation(effects, eventsOf(this.machine, effects)),
    );
    this.#send({ type: 'VERDICT', failed: this.#final.filter((c) => !c.ok).length });
  }

  interrupt(): void {
    this.#send({ type: 'INTERRUPT' });
  }

  report(): RunReport {
    return {
      scenario: this.scenario,
      outcome: this.state === 'passed' ? 'passed' : 'failed',
      boot: this.boot,
      steps: this.#steps,
      final: this.#final,
      traceDigest: this.machine.traceDigest(),
    };
  }
}

/** Runs a scenario to its end. */
export function runScenario<M extends ScenarioMachine>(
  scenario: Scenario,
  boot: Boot<M>,
  options: RunOptions = {},
): { readonly report: RunReport; readonly machine: M; readonly run: ScenarioRun<M> } {
  const run = new ScenarioRun(scenario, boot, options);
  while (!run.done && run.steps.length < scenario.steps.length) {
    const report = run.step();
    if (options.onStep?.(report, run.machine) === false) run.interrupt();
  }
  if (!run.done) run.finish();
  return { report: run.report(), machine: run.machine, run };
}
