// The step that makes a later call of the kernel fail: memory that is short, a TPM that does not answer.

import { armedFault, FAULT_ARGS } from '../fault-form.ts';
import { defineStep } from './types.ts';

const fault = defineStep({
  name: 'fault',
  help: 'from now on a call of a kernel function fails, as if memory were short or the TPM broken',
  args: FAULT_ARGS,
  run: ({ session }, args) => {
    const { machine } = session;
    if (machine.faults === undefined) return { err: 'ENOSYS' };
    machine.faults.arm(armedFault(args));
    return { err: 'OK' };
  },
});

export const FAULT_STEPS = [fault];
