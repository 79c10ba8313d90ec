// Carries out one step of a scenario on a session, and looks at what expectations need. The runner and the
// search for counterexamples both come through here, so a step that was found is a step that runs.

import type { TraceEvent } from '../base/trace.ts';
import type { DataContext } from './data.ts';
import type { Situation } from './expectations.ts';
import { banksOf, iintFlags, pcrValue, policyText, type ScenarioMachine } from './observe.ts';
import type { OpResult } from './ops/types.ts';
import type { Effects } from './result.ts';
import { type ActorCursor, type OpInput, runOp, type Session } from './session.ts';
import { scenarioOp } from './steps/table.ts';
import type { RunMemory, StepContext } from './steps/types.ts';

export interface Performed {
  readonly result: OpResult;
  readonly memory: RunMemory;
}

/** The program of that name, once it runs; null while it does not. */
function programActor(session: Session, memory: RunMemory, name: string): ActorCursor | null {
  const program = memory.programs[name];
  const machine = session.machine as ScenarioMachine;
  const task = program === undefined ? undefined : machine.kernel.task(program.pid);
  if (program === undefined || task?.bprm?.phase !== 'running') return null;
  return session.program(name, program.pid, program.parent, (fd) => task.fds.has(fd));
}

/** One step; on a machine that panicked or is off only what acts from outside still happens. */
export function performStep(session: Session, memory: RunMemory, op: OpInput): Performed {
  const { panic, power } = (session.machine as ScenarioMachine).kernel.state;
  const own = scenarioOp(op.op);
  if (own?.outside !== true) {
    if (panic !== null) return { result: { err: 'ESRCH', panic }, memory };
    if (power !== 'on') return { result: { err: 'ESRCH', power }, memory };
  }
  const { actor, uid, euid, gid, program } = op;
  const who = program === undefined ? undefined : programActor(session, memory, program);
  if (who === null) return { result: { err: 'ECHILD' }, memory };
  if (own === undefined) return { result: runOp(session, op, who), memory };
  const acting = (): ActorCursor => who ?? session.actor(actor, uid, euid, gid);
  const context: StepContext = { session, memory, actor: acting };
  session.machine.advance(1000);
  const result = own.run(context, op as never);
  return { result, memory: context.memory };
}

/** What expectations look at after a stretch of a run. */
export function situationOf(
  machine: ScenarioMachine,
  effects: Effects,
  events: readonly TraceEvent[],
  data: DataContext,
): Situation {
  return {
    effects,
    pcr: (bank, pcr) => pcrValue(machine, bank, pcr),
    banks: banksOf(machine),
    reasons: new Set(events.flatMap((e) => (e.reason === undefined ? [] : [e.reason]))),
    log: events.flatMap((e) => (e.kind === 'kernel.log' ? [String(e.data['line'])] : [])),
    policy: () => policyText(machine),
    iint: (path) => iintFlags(machine, path),
    data,
  };
}
