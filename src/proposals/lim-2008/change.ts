// How a provider notices that a file changed since it was measured: by mtime, as posted in 2008, by
// i_version, as it was merged, or by ctime, as was proposed in 2026 for file systems without a counter. Time
// stamps have the granularity of a tick of the clock; two changes within one tick have the same stamp.

import { type Clock, TICK_US, type Timespec } from '../../base/clock.ts';
import type { Inode, Superblock } from '../../vfs/types.ts';

export const DETECTORS = ['mtime', 'i_version', 'ctime'] as const;
export type Detector = (typeof DETECTORS)[number];

/** What an inode looked like when it was measured. */
export interface Stamps {
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  /** 0 where the file system does not count. */
  readonly version: number;
}

export function stampsOf(inode: Inode, sb: Superblock): Stamps {
  return { mtime: inode.mtime, ctime: inode.ctime, version: sb.iVersion ? inode.iVersion : 0 };
}

/** timespec_equal() */
const same = (a: Timespec, b: Timespec): boolean => a.sec === b.sec && a.nsec === b.nsec;

export function changed(detector: Detector, before: Stamps, now: Stamps): boolean {
  if (detector === 'i_version') return before.version !== now.version;
  return !same(before[detector], now[detector]);
}

/**
 * timespec_recent(): whether a write could still get the stamp that the file has now. A counter is never
 * recent.
 */
export function recent(detector: Detector, stamps: Stamps, clock: Clock): boolean {
  if (detector === 'i_version') return false;
  const { sec, nsec } = stamps[detector];
  const now = clock.coarse();
  const age = (now.sec - sec) * 1e6 + (now.nsec - nsec) / 1000;
  return age < TICK_US;
}
