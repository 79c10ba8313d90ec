// Steps that stop an execve between its phases, so that another task can act in the gap: what lies between
// the check of a program and its use is told in this way.

import * as z from 'zod';
import { fail, type Result } from '../../base/errno.ts';
import type { Pid } from '../../kernel/api.ts';
import { execTable } from '../../kernel/exec.machine.ts';
import { ARGV, type Argv, argvOf, outcome } from '../ops/programs.ts';
import type { OpResult } from '../ops/types.ts';
import { ActorCursor } from '../session.ts';
import { defineStep, type StartedProgram, type StepContext } from './types.ts';

const NAME = z.string().optional().describe('Name of the program for later steps; default `program`.');
const PHASES = execTable.states as readonly [string, ...string[]];
const DEFAULT_NAME = 'program';

function keep(context: StepContext, name: string, program: StartedProgram | null): void {
  const { [name]: _gone, ...others } = context.memory.programs;
  const programs = program === null ? others : { ...others, [name]: program };
  context.memory = { ...context.memory, programs };
}

interface Found {
  readonly program: StartedProgram;
  readonly parent: ActorCursor;
}

/** The program of that name and the process that waits for it; null when there is none. */
function find(context: StepContext, name: string): Found | null {
  const program = context.memory.programs[name];
  if (program === undefined || !context.session.state.actors.has(program.parent)) return null;
  return { program, parent: new ActorCursor(context.session, program.parent) };
}

/** Waits for the child; its name is free again. */
function reap(context: StepContext, name: string, { program, parent }: Found): OpResult {
  keep(context, name, null);
  const { sys } = parent;
  return sys.execFinish === undefined ? { err: 'ENOSYS' } : outcome(sys.execFinish(program.pid));
}

function beginIn(
  actor: ActorCursor,
  args: Argv & { readonly path?: string | undefined; readonly slot?: string | undefined },
): Result<Pid> | undefined {
  const { path, slot } = args;
  if (slot === undefined) return actor.sys.execBegin?.(path ?? '', argvOf(path ?? '', args));
  const fd = actor.fd(slot);
  return fd === undefined ? fail('EBADF') : actor.sys.fexecBegin?.(fd, argvOf('x', args));
}

const begin = defineStep({
  name: 'exec_begin',
  help: 'forks and opens a program for execve, and stops there (phase `opened`)',
  args: {
    path: z.string().optional(),
    slot: z.string().optional().describe('An open file instead of a path.'),
    ...ARGV,
    name: NAME,
  },
  run: (context, args) => {
    const name = args.name ?? DEFAULT_NAME;
    if (context.memory.programs[name] !== undefined) return { err: 'EBUSY' };
    const actor = context.actor();
    const begun = beginIn(actor, args);
    if (begun === undefined) return { err: 'ENOSYS' };
    if (!begun.ok) return { err: begun.errno };
    keep(context, name, { pid: begun.value, parent: actor.key });
    return { err: 'OK', phase: execTable.initial };
  },
});

const advance = defineStep({
  name: 'exec_step',
  help: 'lets a begun execve go on, by one phase or until it reaches one; its failure is the errno',
  args: {
    name: NAME,
    until: z.enum(PHASES).optional().describe('Phase to stop at; without it the next one.'),
  },
  run: (context, args) => {
    const name = args.name ?? DEFAULT_NAME;
    const found = find(context, name);
    if (found === null) return { err: 'ECHILD' };
    const { sys } = found.parent;
    for (;;) {
      const phase = sys.execStep?.(found.program.pid);
      if (phase === undefined) return { err: 'ENOSYS' };
      if (!phase.ok) return { err: phase.errno };
      const { value } = phase;
      if (value === 'failed' || value === 'killed') return { ...reap(context, name, found), phase: value };
      if (value === 'running' || args.until === undefined || value === args.until)
        return { err: 'OK', phase: value };
    }
  },
});

const finish = defineStep({
  name: 'exec_finish',
  help: 'lets a begun execve and its program go on to their end; `exit` or `signal` is the end',
  args: { name: NAME },
  run: (context, args) => {
    const name = args.name ?? DEFAULT_NAME;
    const found = find(context, name);
    return found === null ? { err: 'ECHILD' } : reap(context, name, found);
  },
});

export const EXEC_STEPS = [begin, advance, finish];
