// The power button, the plug, the lid and the reset line, as somebody uses them who stands before the
// machine. An orderly end is the kernel's: its TPM driver says TPM2_Shutdown first. Everything else just
// stops. Left out: hibernation, wake-up sources, and what firmware keeps in variables of its own.

import { fromHex } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import type { KernelProfile } from '../base/profile.ts';
import { step } from '../base/table.ts';
import { responseCodeOf } from '../tpm/tpm.ts';
import type { BootChange, PowerApi, PowerEnd, ResumeFirmware, SleepState } from './api.ts';
import { forgetMemory, powerOn } from './boot.ts';
import { capRegisters } from './measured-boot.ts';
import { type PowerEvent, powerTable } from './power.machine.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Rooms } from './rooms.ts';

const STARTUP = {
  clear: fromHex('80010000000c000001440000'),
  state: fromHex('80010000000c000001440001'),
} as const;

/** Rooms whose kernel may be another one after the next boot. */
export interface PowerRooms extends Rooms {
  useProfile(profile: KernelProfile): void;
}

export class Power implements PowerApi {
  readonly #r: PowerRooms;

  constructor(rooms: PowerRooms) {
    this.#r = rooms;
  }

  /** Takes an event; what cannot happen now is refused. */
  #take(event: PowerEvent, data: Readonly<Record<string, string>> = {}): Err {
    const k = this.#r.kernel;
    const from = k.state.power;
    const power = step(powerTable, from, event);
    if (power === from) return k.refuse('EINVAL', KERNEL_REASON['kernel.power_state'], { power, event });
    this.#r.trace.emit('kernel.power', { event, from, to: power, ...data });
    k.state = { ...k.state, power };
    return 0;
  }

  /**
   * The kernel's own way down: drivers are told, the TPM's says TPM2_Shutdown(CLEAR).
   * @kernel kernel/reboot.c kernel_shutdown_prepare(); drivers/char/tpm/tpm-chip.c tpm_class_shutdown()
   */
  #end(end: PowerEnd): void {
    const { panic, power } = this.#r.kernel.state;
    // A kernel that sleeps or has panicked tells nobody.
    if (end === 'orderly' && panic === null && power === 'on') this.#r.chip?.shutdown('clear');
  }

  /** Memory and TPM lose their power. */
  #dark(): void {
    const { kernel, tpm } = this.#r;
    forgetMemory(this.#r, kernel.state.setup.cmdline ?? '');
    tpm?.powerOff();
  }

  /** Pulls the plug (`abrupt`), or asks the kernel to power off. */
  off(end: PowerEnd): Err {
    const id = this.#r.trace.open('power.off', { end });
    this.#end(end);
    const err = this.#take('POWER_OFF', { end });
    if (err === 0) this.#dark();
    this.#r.trace.close(id);
    return err;
  }

  /** Firmware starts, and from what the boot loader finds the next kernel. */
  on(change: BootChange = {}): Err {
    const err = this.#take('POWER_ON');
    return err === 0 ? this.#boot(change) : err;
  }

  /**
   * Reboot without losing power. The reset line of a PC reaches its TPM: that starts anew as well.
   * @tcg PC Client Platform TPM Profile 1.05, 3.1 _TPM_Init and platform reset
   */
  reset(end: PowerEnd, change: BootChange = {}): Err {
    const id = this.#r.trace.open('power.reset', { end });
    this.#end(end);
    const err = this.#take('RESET', { end });
    if (err === 0) {
      this.#dark();
      this.#boot(change);
    }
    this.#r.trace.close(id);
    return err;
  }

  #boot(change: BootChange): Err {
    const { kernel: k } = this.#r;
    const { profile, cmdline, firmware, ...image } = change;
    if (profile !== undefined) this.#r.useProfile(profile);
    const { setup } = k.state;
    k.state = {
      ...k.state,
      image: { ...k.state.image, ...image },
      setup: {
        ...setup,
        ...(cmdline === undefined ? {} : { cmdline }),
        ...(firmware === undefined ? {} : { firmware }),
      },
    };
    forgetMemory(this.#r, k.state.setup.cmdline ?? '');
    powerOn(this.#r);
    return 0;
  }

  /**
   * Suspend to RAM (`mem`, the TPM loses its power too) or to idle (`freeze`, nothing does).
   * @kernel drivers/char/tpm/tpm-interface.c tpm_pm_suspend()
   */
  suspend(state: SleepState): Err {
    const { chip, tpm, trace } = this.#r;
    const id = trace.open('power.suspend', { state });
    const err = this.#take('SUSPEND', { state });
    if (err === 0) {
      chip?.shutdown('state');
      if (state === 'mem') tpm?.powerOff();
    }
    trace.close(id);
    return err;
  }

  /**
   * The machine wakes up. After suspend to RAM firmware has to bring the TPM back before the kernel goes
   * on; the kernel does not look whether it did.
   * @kernel drivers/char/tpm/tpm-interface.c tpm_pm_resume()
   * @tcg PC Client Platform Firmware Profile 1.05, 3.3.2.2 Error Conditions; 6.4 S3 resume
   */
  resume(firmware: ResumeFirmware): Err {
    const { trace, tpm } = this.#r;
    const id = trace.open('power.resume', { firmware });
    const err = this.#take('RESUME', { firmware });
    if (err === 0 && tpm?.state.life === 'off') {
      tpm.powerOn();
      if (firmware !== 'silent') this.#restart(firmware);
    }
    trace.close(id);
    return err;
  }

  /** TPM2_Startup(STATE), and what firmware does when there is no state to come back to. */
  #restart(firmware: ResumeFirmware): void {
    const { tpm, trace } = this.#r;
    if (tpm === null || responseCodeOf(tpm.execute(STARTUP.state)) === 0) return;
    trace.emit('power.no_state', { firmware }, KERNEL_REASON['kernel.power_no_state']);
    tpm.execute(STARTUP.clear);
    if (firmware === 'careful') capRegisters(tpm);
  }

  /**
   * Somebody pulls the TPM's reset line while the machine runs: it waits for TPM2_Startup with empty
   * registers, and the kernel does not know.
   * @tcg Part 1, 12.2.3.1 _TPM_Init
   */
  resetTpm(startup: 'clear' | 'state' | null): Err {
    const { tpm, trace } = this.#r;
    if (tpm === null || tpm.state.life === 'off') return 'ENODEV';
    const id = trace.open('power.tpm_reset', { startup: startup ?? 'none' });
    tpm.powerOff();
    tpm.powerOn();
    if (startup !== null) tpm.execute(STARTUP[startup]);
    trace.close(id);
    return 0;
  }
}
