// What the modules that report to IPE take and refuse besides their stories, and that a machine without them knows neither
// word.

import { describe, expect, it } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import { ipeParsePolicy } from '../../../src/ipe/parser.ts';
import { IPE_PROPERTIES } from '../../../src/ipe/properties.ts';
import type { Machine } from '../../../src/kernel/machine.ts';
import '../../../src/proposals/registry.ts';
import { MFD_ALLOW_SEALING, O_WRONLY } from '../../../src/vfs/constants.ts';
import { errnoOf, machine, read, value, write } from '../kernel/machines.ts';

const owners = (m: Machine): number[] =>
  [
    ...(m.extensions.state.get('memfd_owner') as { files: Map<number, { owner: number }> }).files.values(),
  ].map((f) => f.owner);

describe('memfd_owner', () => {
  it('forgets a memfd with its inode', () => {
    const m = machine({ proposals: ['memfd_owner'] });
    const sys = m.sys(m.spawn({}));
    const fd = value(sys.memfdCreate('a', 0));
    expect(owners(m)).toEqual([sys.pid]);
    sys.close(fd);
    expect(owners(m)).toEqual([]);
  });

  it.each([
    ['', 0],
    ['memfd_owner=enforce', 'EPERM'],
  ])('sees every way to write: %s', (cmdline, errno) => {
    const m = machine({ proposals: ['memfd_owner'], cmdline });
    const maker = m.sys(m.spawn({}));
    const fd = value(maker.memfdCreate('a', MFD_ALLOW_SEALING));
    expect(errnoOf(maker.write(fd, utf8('code')))).toBe(0);
    const child = m.sys(m.spawn({ parent: maker.pid }));
    expect(errnoOf(child.write(fd, utf8('x')))).toBe(errno);
    expect(errnoOf(child.pwrite(fd, utf8('x'), 0))).toBe(errno);
    expect(child.ftruncate(fd, 1)).toBe(errno);
    expect(errnoOf(child.mmap({ fd, length: 4096, prot: 3, shared: true }))).toBe(errno);
    expect(errnoOf(child.mmap({ fd, length: 4096, prot: 3, shared: false }))).toBe(0);
  });
});

describe('digest_lists', () => {
  const LOAD = '/sys/kernel/security/digest_lists/load';

  it('takes signed messages of root only', () => {
    const m = machine({ proposals: ['digest_lists'] });
    expect(write(m.sys(1), LOAD, 'digest_list=x\n')).not.toBe(0);
    expect(errnoOf(m.sys(m.spawn({ uid: 1000 })).open(LOAD, O_WRONLY))).toBe('EACCES');
    expect(read(m.sys(1), '/sys/kernel/security/digest_lists/loaded')).toBe('');
  });
});

describe('a machine without them', () => {
  it.each(['digest_list=TRUE', 'memfd_owned=TRUE'])('does not know %s', (property) => {
    const text = `policy_name=p policy_version=1.0.0\nDEFAULT action=DENY\nop=EXECUTE ${property} action=ALLOW\n`;
    expect(IPE_PROPERTIES.map((p) => p.name)).not.toContain(property.split('=')[0]);
    expect(ipeParsePolicy(text, IPE_PROPERTIES)).toMatchObject({ ok: false, errno: 'EBADMSG' });
  });
});
