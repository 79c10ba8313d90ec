import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { step } from '../../../src/base/table.ts';
import { EXEC_EVENTS, execMachine, execTable } from '../../../src/kernel/exec.machine.ts';
import { parseFileCaps } from '../../../src/kernel/exec-cred.ts';
import { program } from '../../../src/kernel/images.ts';
import type { Machine } from '../../../src/kernel/machine.ts';
import { CAP_FULL_SET, O_CLOEXEC, O_RDONLY, O_RDWR, O_WRONLY } from '../../../src/vfs/constants.ts';
import { errnoOf, listed, machine, read, value, write } from './machines.ts';

const BPRM = 'measure func=BPRM_CHECK\n';

function withPolicy(policy: string): Machine {
  const m = machine();
  expect(write(m.sys(1), '/sys/kernel/security/ima/policy', policy)).toBe(0);
  return m;
}

describe('exec.machine', () => {
  it('is what the run-time table says, in every state and for every event', () => {
    const seen = new Set<string>();
    const queue = [initialTransition(execMachine)[0]];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      const state = at.value as (typeof execTable.states)[number];
      if (seen.has(state)) continue;
      seen.add(state);
      for (const type of EXEC_EVENTS) {
        const [next] = transition(execMachine, at, { type });
        expect([state, type, step(execTable, state, type)]).toEqual([state, type, next.value]);
        queue.push(next);
      }
    }
    expect([...seen].sort()).toEqual([...execTable.states].sort());
  });
});

describe('execve', () => {
  it('runs a program in a child and gives its status', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/p', program({ exit: 7 }), 0o755);
    expect(sys.exec('/mnt/p', ['p'])).toEqual({ ok: true, value: { exit: 7 } });
    expect([...m.kernel.state.tasks.keys()]).toEqual([1]);
    expect(m.vfs.inodeOf(value(m.vfs.lookup(m.kernel.task(1) as never, '/mnt/p'))).iWritecount).toBe(0);
  });

  it('goes through a script to its interpreter, five deep and no further', () => {
    const m = withPolicy(BPRM);
    const sys = m.sys(1);
    write(sys, '/mnt/p', program(), 0o755);
    for (let i = 1; i <= 6; i++) write(sys, `/mnt/s${i}`, `#!/mnt/${i === 1 ? 'p' : `s${i - 1}`}\n`, 0o755);
    expect(errnoOf(sys.exec('/mnt/s2', []))).toBe(0);
    expect(listed(m)).toEqual(['boot_aggregate', '/mnt/s2', '/mnt/s1', '/mnt/p']);
    expect(errnoOf(sys.exec('/mnt/s5', []))).toBe(0);
    expect(errnoOf(sys.exec('/mnt/s6', []))).toBe('ELOOP');
  });

  it.each([
    ['no format', 'text', 0o755, 'ENOEXEC'],
    ['not executable', program(), 0o644, 'EACCES'],
    ['#! of nothing', '#!/mnt/none\n', 0o755, 'ENOENT'],
    ['#! without a name', '#!\n', 0o755, 'ENOEXEC'],
    ['an interpreter that is missing', program({ interpreter: '/lib/ld.so' }), 0o755, 'ENOENT'],
    ['an interpreter that is no ELF file', program({ interpreter: '/proc/cmdline' }), 0o755, 'EACCES'],
    ['a cut header', program().subarray(0, 100), 0o755, 'ENOEXEC'],
  ] as const)('refuses %s', (_what, content, mode, errno) => {
    const sys = machine().sys(1);
    write(sys, '/mnt/p', content, mode);
    expect(errnoOf(sys.exec('/mnt/p', ['p']))).toBe(errno);
  });

  it('maps the program interpreter too, and takes its status', () => {
    const m = withPolicy('measure func=MMAP_CHECK\n');
    const sys = m.sys(1);
    write(sys, '/mnt/ld', program({ exit: 5 }), 0o755);
    write(
      sys,
      '/mnt/bad',
      'not ELF, but long enough for a header of sixty-four bytes, which is read first',
      0o755,
    );
    write(sys, '/mnt/p', program({ interpreter: '/mnt/ld' }), 0o755);
    expect(sys.exec('/mnt/p', ['p'])).toEqual({ ok: true, value: { exit: 5 } });
    expect(listed(m)).toEqual(['boot_aggregate', '/mnt/p', '/mnt/ld']);
    write(sys, '/mnt/q', program({ interpreter: '/mnt/bad' }), 0o755);
    expect(errnoOf(sys.exec('/mnt/q', ['q']))).toBe('ELIBBAD');
  });

  it('is refused on a noexec mount, and while somebody has the file open for writing', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/p', program(), 0o755);
    const fd = value(sys.open('/mnt/p', O_WRONLY));
    expect(errnoOf(sys.exec('/mnt/p', []))).toBe('ETXTBSY');
    sys.close(fd);
    expect(sys.mount('', '/mnt', '', ['remount', 'bind', 'noexec'], '')).toBe(0);
    expect(errnoOf(sys.exec('/mnt/p', []))).toBe('EACCES');
  });

  it('by descriptor: a script that closes on exec cannot be reached by its interpreter', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/p', program({ exit: 2 }), 0o755);
    write(sys, '/mnt/s', '#!/mnt/p\n', 0o755);
    expect(sys.fexec(value(sys.open('/mnt/p', O_RDONLY | O_CLOEXEC)), [])).toMatchObject({
      value: { exit: 2 },
    });
    expect(errnoOf(sys.fexec(value(sys.open('/mnt/s', O_RDONLY | O_CLOEXEC)), []))).toBe('ENOENT');
    expect(errnoOf(sys.fexec(value(sys.open('/mnt/s', O_RDONLY)), []))).toBe(0);
    expect(errnoOf(sys.fexec(99, []))).toBe('EBADF');
  });

  it('kills the task when a segment cannot be mapped after the point of no return', () => {
    const m = machine();
    const sys = m.sys(1);
    const image = program();
    // A segment whose file offset and address do not agree within a page.
    new DataView(image.buffer).setBigUint64(64 + 8, 0x10n, true);
    write(sys, '/mnt/p', image, 0o755);
    expect(sys.exec('/mnt/p', [])).toEqual({ ok: true, value: { signal: 11 } });
    expect(write(sys, '/mnt/p', 'free again')).toBe(0);
  });

  it('a running program keeps writers out until it ends', () => {
    const m = machine();
    const sys = m.sys(1);
    expect(errnoOf(sys.open('/init', O_RDWR))).toBe('ETXTBSY');
    write(sys, '/mnt/p', program(), 0o755);
    const child = value(sys.execBegin('/mnt/p', ['p']));
    for (let phase = 'opened'; phase !== 'running'; ) phase = value(sys.execStep(child));
    expect(m.kernel.task(child)).toMatchObject({ comm: 'p', exe: '/mnt/p' });
    expect(errnoOf(sys.open('/mnt/p', O_WRONLY))).toBe('ETXTBSY');
    expect(value(sys.execFinish(child))).toEqual({ exit: 0 });
    expect(errnoOf(sys.open('/mnt/p', O_WRONLY))).toBe(0);
  });
});

describe('phases', () => {
  it('are passed one at a time, in the order of the machine', () => {
    const sys = machine().sys(1);
    write(sys, '/mnt/p', program(), 0o755);
    write(sys, '/mnt/s', '#!/mnt/p\n', 0o755);
    const child = value(sys.execBegin('/mnt/s', []));
    const phases: string[] = [];
    do phases.push(value(sys.execStep(child)));
    while (phases.at(-1) !== 'running');
    expect(phases).toEqual([
      'prepared',
      'checked',
      'prepared',
      'checked',
      'mapped',
      'locked',
      'verified',
      'running',
    ]);
    expect(errnoOf(sys.execStep(child))).toBe(0);
    expect(errnoOf(sys.execStep(12345))).toBe('ECHILD');
  });

  it('between check and map another task cannot write, but can swap the name', () => {
    const m = withPolicy(BPRM);
    const sys = m.sys(1);
    write(sys, '/mnt/p', program({ exit: 1 }), 0o755);
    write(sys, '/mnt/evil', program({ exit: 66 }), 0o755);
    const child = value(sys.execBegin('/mnt/p', []));
    while (value(sys.execStep(child)) !== 'checked');
    const attacker = m.sys(m.spawn({}));
    expect(write(attacker, '/mnt/p', 'x')).toBe('ETXTBSY');
    expect(attacker.rename('/mnt/evil', '/mnt/p')).toBe(0);
    expect(value(sys.execFinish(child))).toEqual({ exit: 1 });
    expect(value(sys.exec('/mnt/p', []))).toEqual({ exit: 66 });
  });

  it('a failure before the point of no return leaves nothing behind', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/p', 'no program', 0o755);
    const child = value(sys.execBegin('/mnt/p', []));
    expect(value(sys.execStep(child))).toBe('prepared');
    expect(value(sys.execStep(child))).toBe('checked');
    expect(value(sys.execStep(child))).toBe('failed');
    expect(errnoOf(sys.execFinish(child))).toBe('ENOEXEC');
    expect(write(sys, '/mnt/p', 'writable')).toBe(0);
    expect(m.vfs.state.files.size).toBe(1);
  });
});

describe('credentials of programs', () => {
  function credOf(m: Machine, uid: number, path: string): { euid: number; egid: number; caps: bigint } {
    const sys = m.sys(m.spawn({ uid }));
    const child = value(sys.execBegin(path, []));
    while (value(sys.execStep(child)) !== 'running');
    const cred = m.kernel.task(child)?.cred;
    return { euid: cred?.euid ?? -1, egid: cred?.egid ?? -1, caps: cred?.caps ?? -1n };
  }

  it('follow set-id bits where the mount allows it', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/p', program(), 0o755);
    expect(credOf(m, 1000, '/mnt/p')).toEqual({ euid: 1000, egid: 0, caps: 0n });
    sys.chmod('/mnt/p', 0o4755);
    expect(credOf(m, 1000, '/mnt/p')).toEqual({ euid: 0, egid: 0, caps: CAP_FULL_SET });
    sys.chown('/mnt/p', 5, 6);
    sys.chmod('/mnt/p', 0o6755);
    expect(credOf(m, 1000, '/mnt/p')).toEqual({ euid: 5, egid: 6, caps: 0n });
    expect(credOf(m, 0, '/mnt/p')).toEqual({ euid: 5, egid: 6, caps: 0n });
    sys.mount('', '/mnt', '', ['remount', 'bind', 'nosuid'], '');
    expect(credOf(m, 1000, '/mnt/p')).toEqual({ euid: 1000, egid: 0, caps: 0n });
  });

  it('take capabilities from security.capability', () => {
    const bits = (1 << 21) | (1 << 1);
    const caps = Uint8Array.from([
      1,
      0,
      0,
      2,
      bits & 255,
      0,
      bits >> 16,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
    ]);
    expect(parseFileCaps(caps)).toEqual({ permitted: BigInt(bits), effective: true });
    expect(parseFileCaps(caps.subarray(1))).toBeNull();
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/p', program(), 0o755);
    expect(sys.setxattr('/mnt/p', 'security.capability', caps)).toBe(0);
    expect(credOf(m, 1000, '/mnt/p').caps).toBe(BigInt(bits));
  });

  it('personality bits that a set-id program must not inherit go', () => {
    const m = machine();
    write(m.sys(1), '/mnt/p', program(), 0o4755);
    const sys = m.sys(m.spawn({ uid: 1000 }));
    expect(sys.personality(0x0440000)).toBe(0);
    const child = value(sys.execBegin('/mnt/p', []));
    while (value(sys.execStep(child)) !== 'running');
    expect(m.kernel.task(child)?.personality).toBe(0);
    expect(read(sys, '/proc/self/comm')).toBe('init\n');
  });
});
