// Life cycle of a scenario run: booted once, then steps that run and are checked one after the other, then
// the end is checked. A failed expectation does not stop the run (later steps still tell something) unless
// the caller asked to bail out.

import { assign, setup } from 'xstate';

export type RunnerEvent =
  | { readonly type: 'BOOT' }
  | { readonly type: 'STEP' }
  | { readonly type: 'DONE'; readonly failed: number }
  | { readonly type: 'END' }
  | { readonly type: 'VERDICT'; readonly failed: number }
  | { readonly type: 'INTERRUPT' };

export interface RunnerContext {
  readonly steps: number;
  readonly finished: number;
  readonly failed: number;
  readonly bail: boolean;
}

interface RunnerInput {
  readonly steps: number;
  readonly bail: boolean;
}

/**
 * Each pure transition makes an actor first, without input: an exception there would be caught, but takes
 * longer than the transition itself.
 */
function startOf(input: RunnerInput | undefined): RunnerContext {
  return { steps: input?.steps ?? 0, finished: 0, failed: 0, bail: input?.bail ?? false };
}

export const runnerMachine = setup({
  types: {
    context: {} as RunnerContext,
    events: {} as RunnerEvent,
    input: {} as RunnerInput,
  },
  actions: {
    count: assign(({ context, event }) => ({
      finished: context.finished + 1,
      failed: context.failed + (event.type === 'DONE' ? event.failed : 0),
    })),
  },
  guards: {
    stepsLeft: ({ context }) => context.finished < context.steps,
    noStepsLeft: ({ context }) => context.finished >= context.steps,
    bailOut: ({ context }) => context.bail && context.failed > 0,
    allHeld: ({ context, event }) => context.failed === 0 && event.type === 'VERDICT' && event.failed === 0,
  },
}).createMachine({
  id: 'scenario run',
  context: ({ input }) => startOf(input),
  initial: 'loaded',
  states: {
    loaded: { on: { BOOT: 'ready', INTERRUPT: 'interrupted' } },
    ready: {
      always: { guard: 'bailOut', target: 'failed' },
      on: {
        STEP: { guard: 'stepsLeft', target: 'running' },
        END: { guard: 'noStepsLeft', target: 'checking' },
        INTERRUPT: 'interrupted',
      },
    },
    running: { on: { DONE: { target: 'ready', actions: 'count' }, INTERRUPT: 'interrupted' } },
    checking: {
      on: {
        VERDICT: [{ guard: 'allHeld', target: 'passed' }, { target: 'failed' }],
        INTERRUPT: 'interrupted',
      },
    },
    passed: { type: 'final' },
    failed: { type: 'final' },
    interrupted: { type: 'final' },
  },
});
