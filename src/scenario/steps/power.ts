// Steps that act on the whole machine from outside of its system calls.

import { Map as ImmutableMap } from 'immutable';
import { startUserSpace } from '../userland.ts';
import { defineStep } from './types.ts';

const kexecReboot = defineStep({
  name: 'kexec_reboot',
  help: 'kexec -e: all processes end and the kernel that was loaded boots, on the same disks and the same TPM',
  args: {},
  run: (context) => {
    const { session } = context;
    const err = session.machine.kexecReboot === undefined ? 'ENOSYS' : session.machine.kexecReboot();
    if (err !== 0) return { err };
    startUserSpace(session.machine);
    session.state = { actors: ImmutableMap(), seenLines: 0 };
    context.memory = { ...context.memory, programs: {} };
    return { err: 'OK' };
  },
});

export const POWER_STEPS = [kexecReboot];
