// Steps of somebody who stands before the machine: power button, plug, lid, reset line of the TPM; and of the
// next kernel without firmware. After a boot the processes of the scenario are new ones.

import { Map as ImmutableMap } from 'immutable';
import * as z from 'zod';
import { fromLatin1, latin1 } from '../../base/bytes.ts';
import type { BootChange, PowerApi } from '../../kernel/api.ts';
import { type OpResult, result } from '../ops/types.ts';
import { bootSchema } from '../schema.ts';
import { startUserSpace } from '../userland.ts';
import { defineStep, type StepContext } from './types.ts';

const ORDERLY = z
  .boolean()
  .optional()
  .describe('Whether the kernel is asked (default), which says TPM2_Shutdown; else it just stops.');
const AFTER = z.int().min(0).optional().describe('Seconds that pass before.');
const BOOT = { boot: bootSchema.optional() };

const SECOND = 1e6;

/** A new kernel runs: the old processes are gone, the first one does what it always does. */
function rebooted(context: StepContext): OpResult {
  const { session } = context;
  session.state = { actors: ImmutableMap(), seenLines: 0 };
  context.memory = { ...context.memory, programs: {} };
  startUserSpace(session.machine);
  return { err: 'OK' };
}

const end = (orderly: boolean | undefined): 'orderly' | 'abrupt' =>
  orderly === false ? 'abrupt' : 'orderly';

/** The loader made it of the form. */
const changeOf = (form: unknown): BootChange => (form ?? {}) as BootChange;

/** A machine without these buttons cannot be told so. */
function withPower(context: StepContext, use: (power: PowerApi) => OpResult): OpResult {
  const { power } = context.session.machine;
  return power === undefined ? { err: 'ENOSYS' } : use(power);
}

/** Memory of the carried list that was overwritten, or lost at its end. */
function damage(args: {
  readonly cut?: number | undefined;
  readonly replace?: string | undefined;
  readonly by?: string | undefined;
}): (segment: Uint8Array) => Uint8Array {
  return (segment) => {
    const kept = segment.slice(0, args.cut ?? segment.length);
    const at = args.replace === undefined ? -1 : fromLatin1(kept).indexOf(args.replace);
    if (at >= 0) kept.set(latin1(args.by ?? ''), at);
    return kept;
  };
}

const kexecReboot = defineStep({
  name: 'kexec_reboot',
  help: 'kexec -e: all processes end and the kernel that was loaded boots, on the same disks and the same TPM',
  args: {
    cut: z.int().min(0).optional().describe('Bytes of the carried list that are left of it in memory.'),
    replace: z.string().min(1).optional().describe('Text in the carried list that somebody overwrites,'),
    by: z.string().optional().describe('and what stands there then; of the same length.'),
  },
  run: (context, args) => {
    const { machine } = context.session;
    if (args.replace !== undefined && args.by?.length !== args.replace.length) return { err: 'EINVAL' };
    const err = machine.kexecReboot === undefined ? 'ENOSYS' : machine.kexecReboot(damage(args));
    return err === 0 ? rebooted(context) : { err };
  },
});

const kexecPrepare = defineStep({
  name: 'kexec_prepare',
  help: 'kexec -e as far as the reboot notifiers, which copy the list; processes run until kexec_reboot',
  args: {},
  run: ({ session: { machine } }) =>
    machine.kexecPrepare === undefined ? { err: 'ENOSYS' } : result(machine.kexecPrepare()),
});

const crash = defineStep({
  name: 'crash',
  help: 'makes the kernel panic (sysrq c); a kernel that was loaded for this takes over',
  args: {},
  run: (context) => {
    const { machine } = context.session;
    const err = machine.crash === undefined ? 'ENOSYS' : machine.crash();
    return err === 0 ? rebooted(context) : { err };
  },
});

const powerCycle = defineStep({
  name: 'power_cycle',
  help: 'power off and on again: memory and registers are lost, disks and what the TPM keeps are not',
  args: { orderly: ORDERLY, after: AFTER, ...BOOT },
  outside: true,
  run: (context, args) =>
    withPower(context, (power) => {
      const off = power.off(end(args.orderly));
      if (off !== 0) return { err: off };
      context.session.machine.advance((args.after ?? 0) * SECOND);
      const on = power.on(changeOf(args.boot));
      return on === 0 ? rebooted(context) : { err: on };
    }),
});

const powerOff = defineStep({
  name: 'power_off',
  help: 'switches the machine off; until power_on only steps of people beside it work',
  args: { orderly: ORDERLY },
  outside: true,
  run: (context, args) => withPower(context, (power) => result(power.off(end(args.orderly)))),
});

const powerOn = defineStep({
  name: 'power_on',
  help: 'switches a machine on that is off: firmware measures anew, a kernel boots',
  args: { after: AFTER, ...BOOT },
  outside: true,
  run: (context, args) =>
    withPower(context, (power) => {
      context.session.machine.advance((args.after ?? 0) * SECOND);
      const on = power.on(changeOf(args.boot));
      return on === 0 ? rebooted(context) : { err: on };
    }),
});

const reset = defineStep({
  name: 'reset',
  help: 'reboots without a loss of power; the TPM is reset with the platform',
  args: { orderly: ORDERLY, ...BOOT },
  outside: true,
  run: (context, args) =>
    withPower(context, (power) => {
      const err = power.reset(end(args.orderly), changeOf(args.boot));
      return err === 0 ? rebooted(context) : { err };
    }),
});

const suspend = defineStep({
  name: 'suspend',
  help: 'puts the machine to sleep; its TPM driver says TPM2_Shutdown(STATE)',
  args: {
    state: z
      .enum(['mem', 'freeze'])
      .optional()
      .describe('As in /sys/power/state: `mem` (default) takes the power from the TPM, `freeze` does not.'),
  },
  run: (context, args) => withPower(context, (power) => result(power.suspend(args.state ?? 'mem'))),
});

const resume = defineStep({
  name: 'resume',
  help: 'wakes the machine; firmware starts the TPM with TPM2_Startup(STATE)',
  args: {
    after: AFTER,
    firmware: z
      .enum(['careful', 'careless', 'silent'])
      .optional()
      .describe(
        'When the TPM has no state to come back to: `careful` (default) starts it and extends an error into PCR 0-7, `careless` only starts it, `silent` never talks to it.',
      ),
  },
  outside: true,
  run: (context, args) =>
    withPower(context, (power) => {
      context.session.machine.advance((args.after ?? 0) * SECOND);
      return result(power.resume(args.firmware ?? 'careful'));
    }),
});

const tpmReset = defineStep({
  name: 'tpm_reset',
  help: 'pulls the reset line of the TPM; the running kernel does not notice',
  args: {
    startup: z
      .enum(['none', 'clear', 'state'])
      .optional()
      .describe('TPM2_Startup that is sent afterwards; default none.'),
  },
  outside: true,
  run: (context, args) =>
    withPower(context, (power) => {
      const startup = args.startup ?? 'none';
      return result(power.resetTpm(startup === 'none' ? null : startup));
    }),
});

export const POWER_STEPS = [
  kexecReboot,
  kexecPrepare,
  crash,
  powerCycle,
  powerOff,
  powerOn,
  reset,
  suspend,
  resume,
  tpmReset,
];
