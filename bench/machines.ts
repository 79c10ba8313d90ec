// Machines that several groups start from: one ext4 disk with small files on /mnt, and one open, read and close.

import { assert } from '../src/base/assert.ts';
import { latin1 } from '../src/base/bytes.ts';
import type { FileSpec } from '../src/kernel/api.ts';
import { Machine } from '../src/kernel/machine.ts';
import { O_RDONLY } from '../src/vfs/constants.ts';

export function bootWithFiles(count: number, cmdline: string): Machine {
  const files: Record<string, FileSpec> = {};
  for (let i = 0; i < count; i++)
    files[`/f${i}`] = { content: { kind: 'bytes', bytes: latin1(`file ${i}\n`) } };
  const machine = Machine.boot({
    cmdline,
    tpm: { banks: ['sha1', 'sha256'] },
    disks: [{ name: 'vdc', type: 'ext4', files }],
  });
  const sys = machine.sys(1);
  for (const path of ['/dev', '/mnt']) sys.mkdir(path, 0o755);
  sys.mount('dev', '/dev', 'devtmpfs', [], '');
  const err = sys.mount('/dev/vdc', '/mnt', 'ext4', [], '');
  assert(err === 0, `mount: ${err}`);
  return machine;
}

export function readOnce(machine: Machine, path: string): void {
  const sys = machine.sys(1);
  const fd = sys.open(path, O_RDONLY);
  assert(fd.ok, `open ${path}`);
  sys.read(fd.value, 64);
  sys.close(fd.value);
}
