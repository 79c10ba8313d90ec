// Runs a scenario: boots the machine, carries out the steps one after the other, compares each with what it
// expects, and ends with the expectations of the end. The life cycle is runner.machine.ts; what happens is
// in the report.

import { initialTransition, type SnapshotFrom, transition } from 'xstate';
import { assert } from '../base/assert.ts';
import type { TraceEvent } from '../base/trace.ts';
import type { MachineConfig } from '../kernel/api.ts';
import { commonChecks, type Situation, stepChecks } from './expectations.ts';
import type { Scenario, ScenarioStep } from './loader.ts';
import {
  banksOf,
  effectsSince,
  eventsOf,
  iintFlags,
  type Look,
  look,
  NOTHING_SEEN,
  pcrValue,
  policyText,
  type ScenarioMachine,
} from './observe.ts';
import type { OpResult } from './ops/types.ts';
import type { Check, Effects, RunReport, StepReport } from './result.ts';
import { type RunnerEvent, runnerMachine } from './runner.machine.ts';
import { type ActorCursor, runOp, Session } from './session.ts';
import { scenarioOp } from './steps/table.ts';
import { NO_MEMORY, type RunMemory, type StepContext } from './steps/types.ts';
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
    const before = look(this.machine);
    const result = this.#perform(step);
    const report = this.#compare(step, before, result);
    this.#steps.push(report);
    this.#send({ type: 'DONE', failed: report.checks.filter((c) => !c.ok).length });
    return report;
  }

  #perform(step: ScenarioStep): OpResult {
    const { panic } = this.machine.kernel.state;
    if (panic !== null) return { err: 'ESRCH', panic };
    const own = scenarioOp(step.op.op);
    const { actor, uid, euid, gid, program } = step.op;
    const who = program === undefined ? undefined : this.#program(program);
    if (who === null) return { err: 'ECHILD' };
    if (own === undefined) return runOp(this.session, step.op, who);
    const context: StepContext = {
      session: this.session,
      memory: this.memory,
      actor: () => who ?? this.session.actor(actor, uid, euid, gid),
    };
    this.machine.advance(1000);
    const result = own.run(context, step.op as never);
    this.memory = context.memory;
    return result;
  }

  /** The program of that name, once it runs; null while it does not. */
  #program(name: string): ActorCursor | null {
    const program = this.memory.programs[name];
    const task = program === undefined ? undefined : this.machine.kernel.task(program.pid);
    if (program === undefined || task?.bprm?.phase !== 'running') return null;
    return this.session.program(name, program.pid, program.parent, (fd) => task.fds.has(fd));
  }

  #situation(effects: Effects, events: readonly TraceEvent[]): Situation {
    const { machine } = this;
    return {
      effects,
      pcr: (bank, pcr) => pcrValue(machine, bank, pcr),
      banks: banksOf(machine),
      reasons: new Set(events.flatMap((e) => (e.reason === undefined ? [] : [e.reason]))),
      policy: () => policyText(machine),
      iint: (path) => iintFlags(machine, path),
      data: this.scenario.data,
    };
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
