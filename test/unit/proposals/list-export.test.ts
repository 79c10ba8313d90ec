// The designs that take records off the measurement list: who may, what is refused, and what is left.

import { describe, expect, it } from 'vitest';
import type { Machine } from '../../../src/kernel/machine.ts';
import '../../../src/proposals/registry.ts';
import { O_RDONLY, O_WRONLY } from '../../../src/vfs/constants.ts';
import { disk, errnoOf, file, listed, machine, read, value, write } from '../kernel/machines.ts';

const IMA = '/sys/kernel/security/ima';
const boot = (proposal: string, cmdline = ''): Machine => {
  const m = machine({
    proposals: [proposal],
    cmdline: `ima_policy=tcb ${cmdline}`,
    disks: [disk({ '/a': file('a'), '/b': file('b'), '/c': file('c') })],
  });
  for (const f of ['a', 'b']) read(m.sys(1), `/mnt/${f}`);
  return m;
};

describe('list_export', () => {
  it('appends to a file that is there and keeps what it held', () => {
    const m = boot('list_export');
    expect(write(m.sys(1), `${IMA}/export_list`, '/mnt/log')).toBe(0);
    const first = value(m.sys(1).stat('/mnt/log')).size;
    read(m.sys(1), '/mnt/c');
    expect(write(m.sys(1), `${IMA}/export_list`, '/mnt/log')).toBe(0);
    expect(value(m.sys(1).stat('/mnt/log')).size).toBeGreaterThan(first);
    expect(listed(m)).toEqual([]);
  });

  it.each([
    ['no path', 'log', 'EINVAL'],
    ['no folder', '/nowhere/log', 'ENOENT'],
    ['a folder', '/mnt', 'EISDIR'],
    ['a full device', '/dev/full', 'ENOSPC'],
  ])('keeps every record when the file cannot be had: %s', (_what, path, errno) => {
    const m = boot('list_export');
    const before = listed(m);
    expect(write(m.sys(1), `${IMA}/export_list`, path)).toBe(errno);
    expect(listed(m)).toEqual(before);
  });
});

describe('list_trim', () => {
  it.each([
    ['0', 'EINVAL'],
    ['-1', 'EINVAL'],
    ['two', 'EINVAL'],
    ['4', 'ENOENT'],
    ['3', 0],
  ])('asked to delete %s of 3', (text, errno) => {
    const m = boot('list_trim');
    expect(write(m.sys(1), `${IMA}/trim_list`, text)).toBe(errno);
    expect(listed(m).length).toBe(errno === 0 ? 0 : 3);
  });
});

describe('list_staging', () => {
  const LIST = `${IMA}/binary_runtime_measurements_sha256`;

  it('lets one process write several nodes, and nobody else', () => {
    const m = boot('list_staging');
    const [one, two] = [m.sys(m.spawn({})), m.sys(m.spawn({}))];
    const held = value(one.open(LIST, O_WRONLY));
    expect(errnoOf(one.open(`${LIST}_staged`, O_WRONLY))).toBe(0);
    expect(errnoOf(two.open(LIST, O_WRONLY))).toBe('EBUSY');
    expect(errnoOf(two.open(LIST, O_RDONLY))).toBe('EBUSY');
    one.close(held);
    expect(errnoOf(two.open(LIST, O_RDONLY))).toBe('EBUSY');
  });

  it('forgets digests of deleted records when told so, and only then', () => {
    const again = (cmdline: string): readonly string[] => {
      const m = boot('list_staging', cmdline);
      write(m.sys(1), `${LIST}_staged`, 'A');
      write(m.sys(1), `${LIST}_staged`, 'D');
      m.sys(1).umount('/mnt');
      m.sys(1).mount('/dev/vdc', '/mnt', 'ext4', [], '');
      read(m.sys(1), '/mnt/a');
      return listed(m);
    };
    expect(again('')).toEqual([]);
    expect(again('ima_flush_htable')).toEqual(['/mnt/a']);
  });
});
