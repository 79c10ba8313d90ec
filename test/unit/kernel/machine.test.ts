import { describe, expect, it } from 'vitest';
import { concat, filled, fromUtf8, toHex } from '../../../src/base/bytes.ts';
import { toArray } from '../../../src/base/list.ts';
import { type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { decodeEventLog, LOG_ALGS, replayEventLog } from '../../../src/kernel/eventlog.ts';
import { bzImage, program } from '../../../src/kernel/images.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { disk, errnoOf, file, listed, machine, read, value, write } from './machines.ts';

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;

/** Folds the template digests of a bank's list as an extend does. */
function replay(m: Machine, bank: (typeof BANKS)[number]): string {
  let pcr = filled(crypto().hash(bank, new Uint8Array(0)).length, 0);
  for (const line of fromUtf8(m.imaList('ascii', bank)).split('\n')) {
    const hex = line.split(' ')[1];
    if (hex === undefined) continue;
    const digest = /^0*$/.test(hex) ? filled(pcr.length, 0xff) : Uint8Array.from(Buffer.from(hex, 'hex'));
    pcr = crypto().hash(bank, concat(pcr, digest)) as Uint8Array<ArrayBuffer>;
  }
  return toHex(pcr);
}

describe('boot', () => {
  it('measures the boot aggregate and nothing else without a policy', () => {
    const m = machine();
    expect(listed(m)).toEqual(['boot_aggregate']);
    for (const bank of BANKS) expect(toHex(m.pcr(bank, 10) ?? filled(0, 0))).toBe(replay(m, bank));
  });

  it('leaves a log of firmware and boot loader that replays to registers 0 to 9 of every bank', () => {
    const m = machine({ cmdline: 'quiet' });
    const log = decodeEventLog(m.eventLog());
    expect(log.problem).toBeNull();
    for (const bank of BANKS) {
      const algId = LOG_ALGS.find((a) => a.name === bank)?.algId ?? 0;
      for (const [pcr, expected] of replayEventLog(log, algId, (d) => crypto().hash(bank, d))) {
        expect([bank, pcr, toHex(m.pcr(bank, pcr) ?? filled(0, 0))]).toEqual([bank, pcr, toHex(expected)]);
      }
    }
    expect(read(m.sys(1), '/sys/kernel/security/lsm')).toBe('capability,ipe,ima,evm');
    expect(m.securityfs('tpm0/binary_bios_measurements')).toEqual(m.eventLog());
  });

  it('measures the command line: another one gives another register 8', () => {
    const [a, b] = [machine({ cmdline: 'quiet' }), machine({ cmdline: 'quiet ima_policy=tcb' })];
    expect(a.pcr('sha256', 8)).not.toEqual(b.pcr('sha256', 8));
    expect(a.pcr('sha256', 7)).toEqual(b.pcr('sha256', 7));
  });

  it('takes registers as a recorded firmware left them, without a log', () => {
    const pcrs = { sha256: { '0': '11'.repeat(32), '9': '22'.repeat(32) } };
    const m = machine({ firmware: { pcrs } });
    expect(m.banks).toEqual(['sha256']);
    expect(toHex(m.pcr('sha256', 9) ?? filled(0, 0))).toBe('22'.repeat(32));
    expect(m.eventLog().length).toBe(0);
    const aggregate = crypto().hash('sha256', concat(filled(32, 0x11), filled(256, 0), filled(32, 0x22)));
    expect(fromUtf8(m.imaList('ascii'))).toContain(`sha256:${toHex(aggregate)} boot_aggregate`);
  });

  it('boots without a TPM: zeros as boot aggregate, no registers', () => {
    const m = machine({ tpm: null });
    expect(fromUtf8(m.imaList('ascii'))).toMatch(/sha256:0{64} boot_aggregate/);
    expect(m.pcr('sha256', 10)).toBeUndefined();
    expect(errnoOf(m.sys(1).stat('/sys/class/tpm/tpm0'))).toBe('ENOENT');
  });

  it('runs /init as task 1; on ramfs the tcb policy measures it', () => {
    expect(listed(machine({ cmdline: 'ima_policy=tcb' }))).toEqual(['boot_aggregate']);
    const m = machine({ cmdline: 'ima_policy=tcb rootfstype=ramfs' });
    expect(listed(m)).toEqual(['boot_aggregate', '/init']);
    expect(m.kernel.task(1)).toMatchObject({ comm: 'init', exe: '/init', ppid: 0 });
  });

  it('shows the command line, and hands what nobody takes to init', () => {
    const m = machine({ cmdline: 'ima_policy=tcb debug HOME=/ -- single' });
    expect(read(m.sys(1), '/proc/cmdline')).toBe('ima_policy=tcb debug HOME=/ -- single\n');
    expect(m.kernel.state.initArgs).toEqual(['debug', 'single']);
    expect(m.kernel.state.initEnv).toEqual(['HOME=/']);
  });

  it('knows its memory, which mem= can only lower', () => {
    expect(read(machine().sys(1), '/proc/meminfo')).toBe('MemTotal:         499096 kB\n');
    expect(read(machine({ cmdline: 'mem=64M' }).sys(1), '/proc/meminfo')).toBe(
      'MemTotal:          47512 kB\n',
    );
    expect(read(machine({ cmdline: 'mem=4G' }).sys(1), '/proc/meminfo')).toContain('499096');
  });

  it('loads the architecture policy when the firmware measured secure boot', () => {
    const base = PROFILES['linux-6.12.107'] as KernelProfile;
    const profile = { ...base, config: { ...base.config, CONFIG_IMA_ARCH_POLICY: 'y' } };
    const policy = (m: Machine): unknown => read(m.sys(1), '/sys/kernel/security/ima/policy');
    expect(policy(machine({ profile }))).toMatch(/func=KEXEC_KERNEL_CHECK/);
    expect(policy(machine({ profile, firmware: { events: [] } }))).toBe('');
    expect(policy(machine())).toBe('');
  });

  it('panics when no first program may run, and nothing runs any more', () => {
    const m = Machine.boot({ initramfs: { '/init': file('no program', 0o755) } });
    expect(m.kernel.state.panic).toMatch(/No working init/);
    const log = toArray(m.kernel.state.log);
    expect(log).toContain('Failed to execute /init (error -8)');
    expect(log.at(-1)).toMatch(/^Kernel panic/);
    expect(errnoOf(m.sys(1).open('/init', 0))).toBe('ESRCH');
  });
});

describe('state', () => {
  it('forks go their own ways', () => {
    const a = machine({ cmdline: 'ima_policy=tcb' });
    write(a.sys(1), '/mnt/f', 'one');
    const b = a.fork();
    read(a.sys(1), '/mnt/f');
    write(b.sys(1), '/mnt/f', 'two');
    expect(read(a.sys(1), '/mnt/f')).toBe('one');
    expect(read(b.sys(1), '/mnt/f')).toBe('two');
    expect(listed(a).length).toBe(2);
    expect(a.pcr('sha256', 10)).not.toEqual(b.pcr('sha256', 10));
  });

  it('does the same from the same state: fork, JSON and the machine itself', () => {
    const a = machine({ cmdline: 'ima_policy=tcb' });
    const copies = [a.fork(), Machine.fromJSON(JSON.parse(JSON.stringify(a.toJSON()))), a];
    const digests = copies.map((m) => {
      write(m.sys(1), '/mnt/p', program({ exit: 3 }), 0o755);
      expect(m.sys(1).exec('/mnt/p', ['p'])).toEqual({ ok: true, value: { exit: 3 } });
      return m.traceDigest();
    });
    expect(new Set(digests).size).toBe(1);
  });

  it('reads nodes of securityfs without leaving a trace', () => {
    const m = machine({ cmdline: 'ima_policy=tcb' });
    const before = m.trace.state.events.length;
    expect(fromUtf8(m.securityfs('ima/runtime_measurements_count') ?? filled(0, 0))).toBe('1\n');
    expect(m.securityfs('integrity/ima/ascii_runtime_measurements')).toEqual(m.imaList('ascii'));
    expect(m.securityfs('no/such/node')).toBeUndefined();
    expect(m.trace.state.events.length).toBe(before);
  });

  it('moves time with system calls and on demand, in ticks on inodes', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/f', 'x');
    const first = value(sys.stat('/mnt/f')).mtime;
    m.advance(4000);
    write(sys, '/mnt/f', 'y');
    const second = value(sys.stat('/mnt/f')).mtime;
    expect(second.sec * 1e9 + second.nsec).toBeGreaterThan(first.sec * 1e9 + first.nsec);
    expect(second.nsec % 4_000_000).toBe(0);
  });
});

describe('kexec', () => {
  const cmdline = 'ima_policy=tcb';

  function load(m: Machine): Machine {
    const sys = m.sys(1);
    write(sys, '/tmp-kernel', bzImage());
    write(sys, '/tmp-initrd', 'archive');
    const kernel = value(sys.open('/tmp-kernel', 0));
    const initrd = value(sys.open('/tmp-initrd', 0));
    expect(sys.kexecFileLoad(kernel, initrd, cmdline, 0)).toBe(0);
    return m;
  }

  it('boots the loaded kernel on the same disks and TPM and carries the list', () => {
    const m = load(machine({ cmdline }));
    write(m.sys(1), '/mnt/f', 'kept');
    read(m.sys(1), '/mnt/f');
    const before = fromUtf8(m.imaList('ascii'));
    const boot = m.pcr('sha256', 0);
    expect(m.kexecReboot()).toBe(0);
    expect(fromUtf8(m.imaList('ascii')).startsWith(before)).toBe(true);
    expect(listed(m)).toEqual(['boot_aggregate', '/mnt/f', 'boot_aggregate']);
    expect(toHex(m.pcr('sha256', 10) ?? filled(0, 0))).toBe(replay(m, 'sha256'));
    expect(m.pcr('sha256', 0)).toEqual(boot);
    expect(m.kernel.state.boots).toBe(2);
    const sys = m.sys(1);
    expect(errnoOf(sys.stat('/mnt/f'))).toBe('ENOENT');
    sys.mount('d', '/dev', 'devtmpfs', [], '');
    expect(sys.mount('/dev/vdc', '/mnt', 'ext4', [], '')).toBe(0);
    expect(read(sys, '/mnt/f')).toBe('kept');
  });

  it('needs a loaded kernel, a kernel image and the right to boot', () => {
    const m = machine();
    expect(m.kexecReboot()).toBe('EINVAL');
    const sys = m.sys(1);
    write(sys, '/k', 'no kernel');
    const fd = value(sys.open('/k', 0));
    expect(sys.kexecFileLoad(fd, null, '', 4)).toBe('ENOEXEC');
    expect(sys.kexecFileLoad(99, null, '', 4)).toBe('EBADF');
    expect(sys.kexecFileLoad(fd, null, '', 64)).toBe('EINVAL');
    const user = m.sys(m.spawn({ uid: 1000 }));
    expect(user.kexecFileLoad(0, null, '', 4)).toBe('EPERM');
    expect(user.kexecLoad(0)).toBe('EPERM');
    expect(sys.kexecLoad(0)).toBe(0);
  });

  it('measures the command line where a rule asks for it', () => {
    const m = machine();
    write(m.sys(1), '/sys/kernel/security/ima/policy', 'measure func=KEXEC_CMDLINE\n');
    load(m);
    expect(listed(m)).toEqual(['boot_aggregate', 'kexec-cmdline']);
  });

  it('forgets the image on unload', () => {
    const m = load(machine());
    expect(m.sys(1).kexecFileLoad(0, null, '', 1)).toBe(0);
    expect(m.kexecReboot()).toBe('EINVAL');
  });
});

describe('devices', () => {
  it('gives /dev/tpm0 to programs: an extend from outside is seen', () => {
    const m = machine();
    const fd = value(m.sys(1).open('/dev/tpm0', 2));
    const extend = Uint8Array.from(
      Buffer.from(
        `80020000004100000182000000100000000940000009000000000000000001000b${'11'.repeat(32)}`,
        'hex',
      ),
    );
    expect(m.sys(1).write(fd, extend)).toEqual({ ok: true, value: extend.length });
    expect(m.pcr('sha256', 16)).toEqual(crypto().hash('sha256', concat(filled(32, 0), filled(32, 0x11))));
  });

  it('goes on measuring when the TPM driver is unbound', () => {
    const m = machine({ cmdline: 'ima_policy=tcb' });
    const sys = m.sys(1);
    const before = m.pcr('sha256', 10);
    expect(write(sys, '/sys/bus/platform/drivers/tpm_tis/unbind', 'MSFT0101:00')).toBe(0);
    write(sys, '/mnt/f', 'x');
    read(sys, '/mnt/f');
    expect(listed(m).at(-1)).toBe('/mnt/f');
    expect(m.pcr('sha256', 10)).toEqual(before);
    expect(write(sys, '/sys/bus/platform/drivers/tpm_tis/bind', 'MSFT0101:00')).toBe(0);
    expect(value(sys.readdir('/sys/class/tpm')).map((e) => e.name)).toEqual(['tpm1']);
    expect(read(sys, '/sys/class/tpm/tpm1/pcr-sha256/10')).toBe(
      `${toHex(before ?? filled(0, 0)).toUpperCase()}\n`,
    );
  });

  it('attaches read-only disks and disks of other machines', () => {
    const m = Machine.boot({ disks: [{ ...disk({ '/a': file('x') }), readonly: true }] });
    const sys = m.sys(1);
    sys.mount('d', '/dev', 'devtmpfs', [], '');
    expect(sys.mount('/dev/vdc', '/mnt', 'ext4', [], '')).toBe('EACCES');
    expect(sys.mount('/dev/vdc', '/mnt', 'ext4', ['ro'], '')).toBe(0);
    expect(write(sys, '/mnt/a', 'y')).toBe('EROFS');
  });
});
