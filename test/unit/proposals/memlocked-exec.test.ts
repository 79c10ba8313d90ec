// The designs for signed programs among unsigned ones: what a machine with them has besides, locked pages, and whose
// word counts when the policy is replaced. The stories are in scenarios/threads/memlock-*.yaml.

import { describe, expect, it } from 'vitest';
import { concat, utf8 } from '../../../src/base/bytes.ts';
import { program } from '../../../src/kernel/images.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import '../../../src/proposals/registry.ts';
import { O_RDONLY, O_WRONLY } from '../../../src/vfs/constants.ts';
import { errnoOf, file, machine, read, value, write } from '../kernel/machines.ts';

const POLICY = '/sys/kernel/security/ima/policy';
const boot = (cmdline = '', proposals: readonly string[] = ['ima_mem_exec']): Machine =>
  machine({ proposals, cmdline });

/** A program on the disk, in block 421, and the same bytes with another exit status written over it. */
function tampered(m: Machine, when: (m: Machine, child: number) => void): number | undefined {
  const sys = m.sys(1);
  write(sys, '/mnt/p', program({ exit: 1 }), 0o755);
  sys.fsync(value(sys.open('/mnt/p', O_RDONLY)));
  const child = value(sys.execBegin('/mnt/p', ['p']));
  for (let phase = 'opened'; phase !== 'mapped'; ) phase = value(sys.execStep(child));
  when(m, child);
  const disk = value(sys.open('/dev/vdc', O_WRONLY));
  sys.pwrite(disk, program({ exit: 66 }), 421 * 4096);
  sys.fsync(disk);
  m.vfs.dropPages();
  return value(sys.execFinish(child)).exit;
}

describe('the memory of a program', () => {
  it('is read again from the disk once its pages were dropped, unless they are locked', () => {
    expect(tampered(machine(), () => undefined)).toBe(66);
    const lock = (m: Machine, child: number): void => {
      for (const id of m.kernel.task(child)?.mappings ?? []) expect(m.vfs.mlock(id)).toBe(0);
    };
    expect(tampered(machine(), lock)).toBe(1);
  });

  it('loses the lock in a copy', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/f', 'data');
    const fd = value(sys.open('/mnt/f', O_RDONLY));
    const id = value(sys.mmap({ fd, length: 4096, prot: 1, shared: false }));
    expect(m.vfs.mlock(id)).toBe(0);
    expect(m.vfs.mapping(id).locked).toBe(true);
    expect(m.vfs.mapping(m.vfs.dupMapping(id)).locked).toBeUndefined();
  });
});

describe('ima_mem_exec', () => {
  it.each([
    ['', 'appraise func=BPRM_CHECK fowner=0 appraise_type=imasig mem_exec \n'],
    ['ima_mem_exec=all', 'appraise func=BPRM_CHECK appraise_type=imasig mem_exec \n'],
    ['ima_mem_exec_disable', ''],
  ])('starts with its rule and no other that appraises: %s', (cmdline, rules) => {
    expect(read(boot(cmdline).sys(1), POLICY)).toBe(rules);
  });

  it('leaves rules that measure alone, and takes the place of those that appraise', () => {
    const text = read(boot('ima_policy="tcb|appraise_tcb|secure_boot"').sys(1), POLICY);
    expect(text).toContain('measure func=BPRM_CHECK mask=MAY_EXEC');
    expect(text.match(/^appraise/gm)).toEqual(['appraise']);
    expect(read(boot('ima_mem_exec_disable ima_policy=appraise_tcb').sys(1), POLICY)).toContain(
      'appraise fowner=0',
    );
  });

  it('holds the policy node for writers, and readers are as before', () => {
    const held = boot();
    expect(write(held.sys(1), POLICY, 'measure func=FILE_CHECK\n')).toBe('EPERM');
    expect(errnoOf(held.sys(held.spawn({ uid: 1000 })).open(POLICY, O_RDONLY))).toBe('EACCES');
    const free = boot('ima_mem_exec=replaceable');
    expect(write(free.sys(1), POLICY, 'measure func=FILE_CHECK\n')).toBe(0);
    expect(read(free.sys(1), POLICY)).toBe('measure func=FILE_CHECK \n');
  });

  it('does not know the word when the machine does not have the design', () => {
    expect(write(machine().sys(1), POLICY, 'appraise func=BPRM_CHECK mem_exec\n')).not.toBe(0);
  });

  it('has its state in JSON in the middle of an execve', () => {
    // The first program belongs to somebody else, or the machine would not start.
    const m = machine({
      proposals: ['ima_mem_exec', 'ima_xattr_secure_boot'],
      cmdline: 'ima_mem_exec=required',
      initramfs: { '/init': { ...file(program(), 0o755), uid: 1000 } },
    });
    const sys = m.sys(1);
    write(sys, '/mnt/p', program(), 0o755);
    const label = concat(Uint8Array.of(3, 2, 4), utf8('no signature'));
    m.vfs.rawSetxattr(
      m.vfs.inodeOf(value(m.vfs.lookup(m.kernel.task(1) as never, '/mnt/p'))).key,
      'security.ima',
      label,
    );
    const child = value(sys.execBegin('/mnt/p', ['p']));
    for (let phase = 'opened'; phase !== 'locked'; ) phase = value(sys.execStep(child));
    const back = Machine.fromJSON(m.toJSON());
    for (const each of [m, back]) expect(value(each.sys(1).execFinish(child))).toEqual({ signal: 9 });
  });
});

describe('calls of both designs', () => {
  it.each(['ima_mem_exec', 'ima_xattr_secure_boot'])('of %s refuse whom they should', (name) => {
    const m = boot('', [name]);
    const user = m.sys(m.spawn({ uid: 1000 }));
    expect(errnoOf(m.sys(1).call('ptrace_store', { program: 'nobody' }))).toBe('ESRCH');
    expect(errnoOf(user.call('swap_write', { data: 'x' }))).toBe('EPERM');
    expect(value(m.sys(1).call('swap_write', { data: 'x' }))).toEqual({ changed: 0 });
  });

  it('mark only what is signed', () => {
    const m = boot('', ['ima_xattr_secure_boot']);
    write(m.sys(1), '/mnt/f', 'data');
    expect(errnoOf(m.sys(1).call('evmctl_secure_boot', { path: '/mnt/f' }))).toBe('ENODATA');
    expect(errnoOf(m.sys(1).call('evmctl_secure_boot', { path: '/mnt/g' }))).toBe('ENOENT');
  });
});
