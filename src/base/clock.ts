// The machine's virtual clock. Time moves only when a scenario says so; inode time stamps have the
// granularity of a kernel tick (CONFIG_HZ=250: 4 ms), because some edge cases live between two ticks.

export interface Timespec {
  /** Seconds since the epoch. */
  readonly sec: number;
  /** Nanoseconds, 0..999999999. */
  readonly nsec: number;
}

export interface ClockState {
  /** Microseconds since power-on, an exact integer below 2^53. */
  readonly uptimeUs: number;
  /** Seconds since the epoch at power-on. */
  readonly bootSec: number;
}

export const TICK_US = 4000;

export function timespec(sec: number, nsec = 0): Timespec {
  return { sec, nsec };
}

export class Clock {
  state: ClockState;
  #coarse: Timespec | null = null;

  constructor(state: ClockState) {
    this.state = state;
  }

  /** Moves time forward. */
  advance(us: number): void {
    const { uptimeUs, bootSec } = this.state;
    this.state = { uptimeUs: uptimeUs + us, bootSec };
    this.#coarse = null;
  }

  /** Time of the last tick: what the kernel stamps on inodes. */
  coarse(): Timespec {
    if (this.#coarse === null) {
      const us = Math.floor(this.state.uptimeUs / TICK_US) * TICK_US;
      this.#coarse = { sec: this.state.bootSec + Math.floor(us / 1e6), nsec: (us % 1e6) * 1000 };
    }
    return this.#coarse;
  }

  /** Milliseconds since power-on: the TPM's clock. */
  uptimeMs(): number {
    return Math.floor(this.state.uptimeUs / 1000);
  }
}
