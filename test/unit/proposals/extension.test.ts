// A design plugs into hooks, securityfs, both policy languages, boot parameters and system calls by one declaration; a
// machine that does not name it has nothing of it.

import { describe, expect, it } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import { fail, ok } from '../../../src/base/errno.ts';
import type { MachineConfig } from '../../../src/kernel/api.ts';
import { defineExtension, registerExtension } from '../../../src/kernel/extension.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { O_RDONLY } from '../../../src/vfs/constants.ts';
import { disk, errnoOf, file, listed, machine, read, value, write } from '../kernel/machines.ts';

interface Seen {
  readonly opens: number;
  readonly parameter: string | null;
}

registerExtension(
  defineExtension<Seen>({
    name: 'test_counter',
    about: 'counts opens and refuses what has "secret" in its content',
    setup: ['counter='],
    start: (parameters) => ({ opens: 0, parameter: parameters.get('counter=') ?? null }),
    hooks: (x) => ({
      fileOpen: () => {
        x.state = { ...x.state, opens: x.state.opens + 1 };
        return 0;
      },
      inodeSetxattr: (_task, _path, _inode, name) => (name === 'user.no' ? 'EPERM' : 0),
    }),
    nodes: (x) => [
      { path: 'counter', mode: 0o755 },
      { path: 'counter/parameter', mode: 0o444, node: { read: () => ok(utf8(`${x.state.parameter}\n`)) } },
    ],
    imaConditions: [
      {
        keyword: 'opens',
        ops: ['>'],
        accepts: (_op, text) => /^\d+$/.test(text),
        matches: (x, _subject, _op, text) => x.state.opens > Number(text),
      },
    ],
    ipeProperties: [
      {
        name: 'counted',
        kind: 'boolean',
        option: null,
        evaluate: (x, _context, wanted) => x.state.opens > 0 === wanted,
      },
    ],
    calls: {
      opens: (x, _task, args) => (args['as'] === 'number' ? ok({ opens: x.state.opens }) : fail('EINVAL')),
    },
  }),
);

const boot = (more: MachineConfig = {}): Machine =>
  machine({ proposals: ['test_counter'], disks: [disk({ '/f': file('one'), '/g': file('two') })], ...more });

describe('a design', () => {
  it('takes its boot parameter, so that init does not get it', () => {
    const m = boot({ cmdline: 'counter=seven other=x' });
    expect(read(m.sys(1), '/sys/kernel/security/counter/parameter')).toBe('seven\n');
    expect(m.kernel.state.initEnv).toEqual(['other=x']);
  });

  it('sees hooks and refuses', () => {
    const m = boot();
    expect(m.sys(1).setxattr('/mnt/f', 'user.no', utf8('1'))).toBe('EPERM');
    expect(m.sys(1).setxattr('/mnt/f', 'user.yes', utf8('1'))).toBe(0);
  });

  it('adds a condition to the language of rules, in verdict, decision and read-back', () => {
    const m = boot();
    const policy = '/sys/kernel/security/ima/policy';
    expect(write(m.sys(1), policy, 'measure func=FILE_CHECK opens>x\n')).not.toBe(0);
    expect(write(m.sys(1), policy, 'measure func=FILE_CHECK fsname=ext4 opens>9\n')).toBe(0);
    const before = listed(m).length;
    value(m.sys(1).open('/mnt/f', O_RDONLY));
    expect(listed(m).length).toBe(before);
    for (let i = 0; i < 9; i++) value(m.sys(1).open('/mnt/f', O_RDONLY));
    value(m.sys(1).open('/mnt/g', O_RDONLY));
    expect(listed(m).slice(before)).toContain('/mnt/g');
  });

  it('answers its system call, and a machine without it says ENOSYS', () => {
    const m = boot();
    value(m.sys(1).open('/mnt/f', O_RDONLY));
    const answer = value(m.sys(1).call('opens', { as: 'number' }));
    expect(answer['opens']).toBeGreaterThan(0);
    expect(errnoOf(m.sys(1).call('opens', {}))).toBe('EINVAL');
    expect(errnoOf(Machine.boot({}).sys(1).call('opens', {}))).toBe('ENOSYS');
  });

  it('has its state in forks and in JSON, each on its own', () => {
    const m = boot();
    const count = (x: Machine): unknown => value(x.sys(1).call('opens', { as: 'number' }))['opens'];
    const start = Number(count(m));
    const fork = m.fork();
    value(fork.sys(1).open('/mnt/f', O_RDONLY));
    expect([count(m), count(fork)]).toEqual([start, start + 1]);
    const back = Machine.fromJSON(fork.toJSON());
    value(back.sys(1).open('/mnt/f', O_RDONLY));
    expect(count(back)).toBe(start + 2);
  });
});
