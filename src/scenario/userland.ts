// What the first program of a scenario's machine does before the first step: the usual directories and
// pseudo file systems. It runs as pid 1 through system calls, so a policy of the command line sees these
// accesses as it would on a machine.

import type { MachineApi } from '../kernel/api.ts';

const INIT_PID = 1;

const DIRECTORIES: readonly (readonly [path: string, mode: number])[] = [
  ['/proc', 0o755],
  ['/sys', 0o755],
  ['/dev', 0o755],
  ['/mnt', 0o755],
  ['/tmp', 0o1777],
];

const MOUNTS: readonly (readonly [source: string, target: string, type: string])[] = [
  ['proc', '/proc', 'proc'],
  ['sysfs', '/sys', 'sysfs'],
  ['dev', '/dev', 'devtmpfs'],
  ['securityfs', '/sys/kernel/security', 'securityfs'],
];

/** Directories that exist already stay as they are. */
export function startUserSpace(machine: MachineApi): void {
  const init = machine.sys(INIT_PID);
  for (const [path, mode] of DIRECTORIES) {
    // A sticky, world-writable mode needs the mask out of the way.
    const mask = init.umask(0);
    init.mkdir(path, mode);
    init.umask(mask);
  }
  for (const [source, target, type] of MOUNTS) init.mount(source, target, type, [], '');
}
