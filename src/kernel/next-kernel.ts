// The next kernel without firmware in between: kexec -e in its two halves (reboot notifiers, jump), and the
// crash kernel that takes over when this one panics. The TPM is not started anew, the measurement list may
// be carried in a segment.

import type { Err } from '../base/errno.ts';
import { bootKernel, forgetMemory } from './boot.ts';
import { bootTask } from './boot-task.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Rooms } from './rooms.ts';
import type { KexecImage } from './state.ts';

/** Virtual microseconds of purgatory, which hashes the segments, and of unpacking the kernel. */
const JUMP_US = 1_000_000;

/**
 * Reboot notifiers of kexec -e: the measurement list goes into its segment, last of all. Processes run on
 * until the devices are shut down.
 * @kernel kernel/reboot.c kernel_restart_prepare()
 */
export function rebootNotifiers(r: Rooms): Err {
  const k = r.kernel;
  const { kexec } = k.state;
  if (kexec === null) return k.refuse('EINVAL', KERNEL_REASON['kernel.kexec_none']);
  if (kexec.prepared) return 0;
  const { listeners } = k.env;
  const { imaSegment } = kexec;
  if (imaSegment !== null) listeners.kexecEvent?.(bootTask(r), 'kexec_execute', imaSegment.size);
  listeners.rebooting?.();
  const filled =
    imaSegment === null
      ? null
      : { ...imaSegment, content: imaSegment.content ?? listeners.kexecBuffer?.(imaSegment.size) ?? null };
  k.state = { ...k.state, kexec: { ...kexec, imaSegment: filled, prepared: true } };
  return 0;
}

function panicked(r: Rooms, panic: string, reason: string): void {
  const k = r.kernel;
  r.trace.emit('kernel.panic', { panic }, reason);
  k.state = { ...k.state, panic, tasks: k.state.tasks.clear() };
}

/** The jump: this kernel's memory is gone, disks, TPM and the firmware's log stay. */
function jump(r: Rooms, image: KexecImage, buffer: Uint8Array | null): void {
  const k = r.kernel;
  const { eventLog } = k.state;
  forgetMemory(r, image.cmdline);
  r.clock.advance(JUMP_US);
  k.state = { ...k.state, eventLog };
  bootKernel(r, image.cmdline, image.initrdLength !== null, buffer);
}

/**
 * kexec -e: the running kernel ends where it is, disks and the TPM stay as they are, the loaded kernel
 * boots with its own command line and the same build.
 * @kernel kernel/kexec_core.c kernel_kexec()
 */
export function secondKernel(r: Rooms, tamper?: (segment: Uint8Array) => Uint8Array): Err {
  const k = r.kernel;
  const err = rebootNotifiers(r);
  const { kexec } = k.state;
  if (err !== 0 || kexec === null) return err;
  const id = r.trace.open('boot.kexec', { cmdline: kexec.cmdline });
  const carried = kexec.imaSegment?.content ?? null;
  r.chip?.shutdown('clear');
  if (!kexec.swapPage)
    panicked(r, 'the jump into the next kernel failed', KERNEL_REASON['kernel.kexec_crashed']);
  else jump(r, kexec, carried === null || tamper === undefined ? carried : tamper(carried));
  r.trace.close(id);
  return 0;
}

/**
 * The kernel panics. Nobody is told; a crash kernel that was loaded boots with what it was given at load.
 * @kernel kernel/kexec_core.c __crash_kexec()
 */
export function crashKernel(r: Rooms): Err {
  const image = r.kernel.state.crashKernel;
  const id = r.trace.open('boot.crash', { loaded: image === null ? 0 : 1 });
  panicked(r, 'sysrq triggered crash', KERNEL_REASON['kernel.crashed']);
  if (image !== null) jump(r, image, image.imaSegment?.content ?? null);
  r.trace.close(id);
  return 0;
}
