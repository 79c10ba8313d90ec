// Machines and small helpers for the tests of this folder.

import { fromUtf8, utf8 } from '../../../src/base/bytes.ts';
import type { Errno, Result } from '../../../src/base/errno.ts';
import type { DiskSpec, FileSpec, MachineConfig } from '../../../src/kernel/api.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import type { TaskSyscalls } from '../../../src/kernel/syscalls.ts';
import { O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '../../../src/vfs/constants.ts';

export const file = (content: string | Uint8Array, mode = 0o644): FileSpec => ({
  mode,
  content: { kind: 'bytes', bytes: typeof content === 'string' ? utf8(content) : content },
});

export const disk = (files: DiskSpec['files'], name = 'vdc'): DiskSpec => ({
  name,
  type: 'ext4',
  uuid: Uint8Array.from({ length: 16 }, (_, i) => i + 1),
  files,
});

/** A machine with proc, sysfs, devtmpfs and securityfs mounted, and its first disk on /mnt. */
export function machine(config: MachineConfig = {}): Machine {
  const m = Machine.boot({ disks: [disk({})], ...config });
  const sys = m.sys(1);
  for (const [type, target] of [
    ['proc', '/proc'],
    ['sysfs', '/sys'],
    ['devtmpfs', '/dev'],
    ['securityfs', '/sys/kernel/security'],
  ] as const) {
    sys.mount(type, target, type, [], '');
  }
  if ((config.disks ?? [1]).length > 0) sys.mount('/dev/vdc', '/mnt', 'ext4', [], '');
  return m;
}

export function value<T>(r: Result<T>): T {
  if (!r.ok) throw new Error(`unexpected ${r.errno}`);
  return r.value;
}

export const errnoOf = (r: Result<unknown>): Errno | 0 => (r.ok ? 0 : r.errno);

export function write(
  sys: TaskSyscalls,
  path: string,
  content: string | Uint8Array,
  mode = 0o644,
): Errno | 0 {
  const fd = sys.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (!fd.ok) return fd.errno;
  const wrote = sys.write(fd.value, typeof content === 'string' ? utf8(content) : content);
  const closed = sys.close(fd.value);
  return wrote.ok ? closed : wrote.errno;
}

export function read(sys: TaskSyscalls, path: string): string | Errno {
  const fd = sys.open(path, O_RDONLY);
  if (!fd.ok) return fd.errno;
  const data = sys.read(fd.value, 1 << 20);
  sys.close(fd.value);
  return data.ok ? fromUtf8(data.value) : data.errno;
}

/** Names of the entries in the measurement list. */
export const listed = (m: Machine): string[] =>
  fromUtf8(m.imaList('ascii'))
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => l.split(' ').slice(4).join(' ').split(' ')[0] ?? '');
