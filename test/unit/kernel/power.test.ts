// Power events: what a cold start, a reset, a lost supply and a sleep leave of memory, disks and the TPM.

import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { concat, EMPTY, fromHex, toHex, utf8 } from '../../../src/base/bytes.ts';
import { type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { powerMachine, powerTable } from '../../../src/kernel/power.machine.ts';
import { clockInfo } from '../../../src/tpm/clock.ts';
import { TpmDriver } from '../../../src/tpm/driver.ts';
import { responseCodeOf } from '../../../src/tpm/tpm.ts';
import { disk, errnoOf, file, listed, machine, read, write } from './machines.ts';

const pcr = (m: Machine, n: number): string => toHex(m.pcr('sha256', n) ?? EMPTY);
const counters = (m: Machine): { reset: number; restart: number; safe: number } => {
  if (m.tpm === null) throw new Error('no TPM');
  const { resetCount, restartCount, safe } = clockInfo(m.tpm.state);
  return { reset: resetCount, restart: restartCount, safe };
};

/** A program that talks to the device itself. */
function extend(m: Machine, n: number): void {
  if (m.tpm === null) throw new Error('no TPM');
  const digests = [{ alg: 'sha256', digest: new Uint8Array(32).fill(1) }] as const;
  expect(new TpmDriver(m.tpm).pcrExtend(n, digests)).toBe(0);
}

function mountAll(m: Machine): void {
  const sys = m.sys(1);
  for (const [source, target, type] of [
    ['sysfs', '/sys', 'sysfs'],
    ['devtmpfs', '/dev', 'devtmpfs'],
    ['securityfs', '/sys/kernel/security', 'securityfs'],
    ['/dev/vdc', '/mnt', 'ext4'],
  ] as const)
    sys.mount(source, target, type, [], '');
}

describe('the table', () => {
  it('agrees with the machine', () => {
    const [first] = initialTransition(powerMachine);
    expect(powerTable.initial).toBe(first.value);
    expect([...powerTable.states].sort()).toEqual(Object.keys(powerMachine.states).sort());
    for (const [state, row] of Object.entries(powerTable.next)) {
      for (const [type, target] of Object.entries(row)) {
        const at = powerMachine.resolveState({ value: state });
        expect(transition(powerMachine, at, { type: type as 'RESET' })[0].value).toBe(target);
      }
    }
  });
});

describe('a power cycle', () => {
  const booted = machine({ cmdline: 'ima_policy=tcb', disks: [disk({ '/kept': file('kept\n') })] });

  it('keeps the disks and forgets what was in memory', () => {
    const m = booted.fork();
    const sys = m.sys(1);
    expect(write(sys, '/mnt/new', 'written\n')).toBe(0);
    expect(sys.setxattr('/mnt/new', 'user.a', utf8('v'))).toBe(0);
    expect(write(sys, '/tmp-file', 'in memory\n')).toBe(0);
    expect(read(sys, '/mnt/kept')).toBe('kept\n');
    sys.addKey('user', 'k', utf8('secret'), -4);
    const before = sys.stat('/mnt/new');
    expect(listed(m)).toContain('/mnt/kept');
    const pid = m.spawn({});

    expect(m.power.off('orderly')).toBe(0);
    expect(m.kernel.state.power).toBe('off');
    expect(m.pcr('sha256', 10)).toBeUndefined();
    expect(m.kernel.state.tasks.size).toBe(0);
    expect(m.ima.state.list.length).toBe(0);

    expect(m.power.on()).toBe(0);
    mountAll(m);
    const after = m.sys(1);
    expect(m.kernel.task(pid)).toBeUndefined();
    expect(read(after, '/mnt/new')).toBe('written\n');
    const now = after.stat('/mnt/new');
    if (!before.ok || !now.ok) throw new Error('stat');
    expect([now.value.ino, now.value.mtime]).toEqual([before.value.ino, before.value.mtime]);
    expect(after.getxattr('/mnt/new', 'user.a')).toMatchObject({ ok: true, value: utf8('v') });
    expect(read(after, '/tmp-file')).toBe('ENOENT');
    expect(errnoOf(after.keySearch(-4, 'user', 'k'))).toBe('ENOKEY');
    expect(listed(m)[0]).toBe('boot_aggregate');
    expect(listed(m)).not.toContain('/mnt/kept');
    expect(m.kernel.state.boots).toBe(2);
  });

  it('boots with the same registers, and measures into empty ones', () => {
    const m = booted.fork();
    const [zero, eight] = [pcr(m, 0), pcr(m, 8)];
    const log = toHex(m.eventLog());
    extend(m, 23);
    expect(pcr(m, 23)).not.toBe('00'.repeat(32));
    read(m.sys(1), '/mnt/kept');
    const ten = pcr(m, 10);
    m.power.off('orderly');
    m.power.on();
    expect([pcr(m, 0), pcr(m, 8)]).toEqual([zero, eight]);
    expect(toHex(m.eventLog())).toBe(log);
    expect(pcr(m, 10)).not.toBe(ten);
    expect(pcr(m, 23)).toBe('00'.repeat(32));
  });

  it('boots what it is told to, also the times after', () => {
    const m = booted.fork();
    const eight = pcr(m, 8);
    m.power.off('orderly');
    m.power.on({ cmdline: 'init=/bin/sh' });
    const other = pcr(m, 8);
    expect(other).not.toBe(eight);
    expect(m.kernel.state.cmdline).toBe('init=/bin/sh');
    m.power.reset('orderly');
    expect(pcr(m, 8)).toBe(other);
    m.power.reset('orderly', { cmdline: 'ima_policy=tcb' });
    expect(pcr(m, 8)).toBe(eight);
  });

  it('can boot another kernel and another initramfs', () => {
    const m = booted.fork();
    const [four, nine] = [pcr(m, 4), pcr(m, 9)];
    const stock = PROFILES['linux-6.12.107'] as KernelProfile;
    const profile = { ...stock, config: { ...stock.config, CONFIG_IMA: 'n', CONFIG_EVM: 'n' } };
    m.power.off('abrupt');
    m.power.on({ profile, initramfs: { '/etc/stick': file('a rescue system\n') } });
    mountAll(m);
    expect(read(m.sys(1), '/etc/stick')).toBe('a rescue system\n');
    expect(m.imaList('ascii').length).toBe(0);
    expect(m.kernel.state.lsms).not.toContain('ima');
    // Its disk is the same one, and nobody stops what EVM would.
    expect(m.sys(1).setxattr('/mnt/kept', 'security.evm', fromHex('02'.padEnd(42, '0')))).toBe(0);
    expect(Machine.fromJSON(m.toJSON()).profile.config['CONFIG_IMA']).toBe('n');
    expect([pcr(m, 4) === four, pcr(m, 9) === nine]).toEqual([false, false]);
    m.power.reset('orderly', { profile: stock });
    expect(listed(m)).toEqual(['boot_aggregate']);
    expect([pcr(m, 4) === four, pcr(m, 9) === nine]).toEqual([true, false]);
  });

  it('goes on from its JSON', () => {
    const m = booted.fork();
    m.power.off('orderly');
    const other = Machine.fromJSON(m.toJSON());
    expect(other.power.on()).toBe(0);
    expect(m.power.on()).toBe(0);
    expect(other.traceDigest()).toBe(m.traceDigest());
  });
});

describe('the TPM over a power cycle', () => {
  const booted = machine();

  it('counts resets; an orderly end keeps its clock safe', () => {
    const m = booted.fork();
    expect(counters(m)).toEqual({ reset: 1, restart: 0, safe: 1 });
    m.power.off('orderly');
    m.power.on();
    expect(counters(m)).toEqual({ reset: 2, restart: 0, safe: 1 });
    m.power.reset('orderly');
    expect(counters(m)).toEqual({ reset: 3, restart: 0, safe: 1 });
  });

  it('takes a lost supply for what it is', () => {
    const m = booted.fork();
    m.power.off('abrupt');
    m.power.on();
    expect(counters(m)).toEqual({ reset: 2, restart: 0, safe: 0 });
    const n = booted.fork();
    n.power.reset('abrupt');
    expect(counters(n)).toEqual({ reset: 2, restart: 0, safe: 0 });
  });

  it('does not let its clock run in the dark', () => {
    const m = booted.fork();
    const clock = m.tpm?.state.clock.clock ?? 0n;
    m.power.off('orderly');
    m.advance(3600e6);
    m.power.on();
    const now = m.tpm?.state.clock.clock ?? 0n;
    expect(now >= clock && now < clock + 10_000n).toBe(true);
  });

  it('is told nothing by a driver that is not bound', () => {
    const m = booted.fork();
    const fd = m.sys(1).open('/sys/bus/platform/drivers/tpm_tis/unbind', 1);
    if (!fd.ok) throw new Error(fd.errno);
    m.sys(1).write(fd.value, utf8('MSFT0101:00'));
    // The driver said goodbye when it let go; what comes after makes that void.
    extend(m, 0);
    m.power.off('orderly');
    m.power.on();
    expect(counters(m).safe).toBe(0);
  });
});

describe('sleep', () => {
  const booted = machine({ cmdline: 'ima_policy=tcb', disks: [disk({ '/a': file('a\n') })] });

  it('keeps memory and registers: firmware brings the state back', () => {
    const m = booted.fork();
    read(m.sys(1), '/mnt/a');
    const values = [0, 10, 15].map((n) => pcr(m, n));
    const list = listed(m);
    expect(m.power.suspend('mem')).toBe(0);
    expect(m.pcr('sha256', 10)).toBeUndefined();
    expect(m.power.resume('careful')).toBe(0);
    expect([0, 10, 15].map((n) => pcr(m, n))).toEqual(values);
    expect(listed(m)).toEqual(list);
    expect(counters(m)).toEqual({ reset: 1, restart: 1, safe: 1 });
  });

  it('takes nothing from the TPM when it is only idle', () => {
    const m = booted.fork();
    const ten = pcr(m, 10);
    m.power.suspend('freeze');
    expect(pcr(m, 10)).toBe(ten);
    m.power.resume('careful');
    expect(counters(m)).toEqual({ reset: 1, restart: 0, safe: 1 });
    expect(write(m.sys(1), '/mnt/b', 'b\n')).toBe(0);
  });

  it.each([
    ['careful', false],
    ['careless', true],
  ] as const)('%s firmware without a saved state', (firmware, empty) => {
    const m = booted.fork();
    const fd = m.sys(1).open('/sys/bus/platform/drivers/tpm_tis/unbind', 1);
    if (!fd.ok) throw new Error(fd.errno);
    m.sys(1).write(fd.value, utf8('MSFT0101:00'));
    m.power.suspend('mem');
    m.power.resume(firmware);
    expect(pcr(m, 0) === '00'.repeat(32)).toBe(empty);
    expect(pcr(m, 7) === '00'.repeat(32)).toBe(empty);
    expect(pcr(m, 10)).toBe('00'.repeat(32));
    expect(counters(m).reset).toBe(2);
    const error = crypto().hash('sha256', fromHex('01000000'));
    const spoilt = toHex(crypto().hash('sha256', concat(new Uint8Array(32), error)));
    expect(pcr(m, 3)).toBe(empty ? '00'.repeat(32) : spoilt);
  });

  it('silent firmware leaves a TPM that wants TPM2_Startup', () => {
    const m = booted.fork();
    m.power.suspend('mem');
    m.power.resume('silent');
    expect(responseCodeOf(m.tpmCommand(fromHex('80010000000c0000017b0008')))).toBe(0x100);
    const before = listed(m).length;
    expect(read(m.sys(1), '/mnt/a')).toBe('a\n');
    expect(listed(m).length).toBe(before + 1);
    expect(m.kernel.state.log.length).toBeGreaterThan(0);
  });

  it('ends when the plug is pulled', () => {
    const m = booted.fork();
    m.power.suspend('mem');
    expect(m.power.reset('orderly')).toBe(0);
    expect(m.kernel.state.boots).toBe(2);
    // The TPM slept orderly, so this is no reset of it but a restart.
    expect(counters(m)).toEqual({ reset: 1, restart: 1, safe: 1 });
  });
});

describe('a reset of the TPM alone', () => {
  it('empties the registers under a kernel that does not know', () => {
    const m = machine({ cmdline: 'ima_policy=tcb', disks: [disk({ '/a': file('a\n') })] });
    expect(m.power.resetTpm('clear')).toBe(0);
    expect(pcr(m, 0)).toBe('00'.repeat(32));
    expect(listed(m)[0]).toBe('boot_aggregate');
    read(m.sys(1), '/mnt/a');
    expect(pcr(m, 10)).not.toBe('00'.repeat(32));
    expect(counters(m)).toEqual({ reset: 2, restart: 0, safe: 0 });
  });
});

describe('what cannot happen now', () => {
  it('is refused and changes nothing', () => {
    const m = machine();
    expect(m.power.on()).toBe('EINVAL');
    expect(m.power.resume('careful')).toBe('EINVAL');
    m.power.off('orderly');
    const { state } = m;
    expect(m.power.off('abrupt')).toBe('EINVAL');
    expect(m.power.suspend('mem')).toBe('EINVAL');
    expect(m.power.reset('orderly')).toBe('EINVAL');
    expect(m.power.resetTpm('clear')).toBe('ENODEV');
    expect(m.tpm?.state).toEqual(state.tpm);
    expect(m.vfs.state).toBe(state.vfs);
  });

  it('without a TPM there is only the kernel', () => {
    const m = machine({ tpm: null });
    expect([m.power.suspend('mem'), m.power.resume('careful'), m.power.reset('abrupt')]).toEqual([0, 0, 0]);
    expect(m.power.resetTpm(null)).toBe('ENODEV');
  });

  it('a kernel that panicked is reset like any other', () => {
    const m = machine({ cmdline: 'rdinit=/nothing init=/nothing' });
    expect(m.kernel.state.panic).not.toBeNull();
    expect(m.power.reset('orderly', { cmdline: '' })).toBe(0);
    expect(m.kernel.state.panic).toBeNull();
    expect(counters(m).safe).toBe(0);
  });
});

describe('a disk in another computer', () => {
  const booted = machine({
    cmdline: 'ima_policy=appraise_tcb ima_appraise=enforce',
    disks: [disk({ '/a': file('a\n'), '/b': file('b\n') })],
  });

  it('is edited without a hook, and the changes are there at the next boot', () => {
    const m = booted.fork();
    const before = m.sys(1).stat('/mnt/a');
    m.power.off('orderly');
    const edit = { path: '/a', content: { kind: 'bytes', bytes: utf8('other\n') }, mode: 0o4755 } as const;
    expect(m.editDisk('vdc', { ...edit, owner: { uid: 1, gid: 2 } })).toBe(0);
    expect(m.editDisk('vdc', { path: '/a', xattr: { name: 'security.ima', value: utf8('x') } })).toBe(0);
    const copied = { path: '/b', xattr: { name: 'security.ima', value: '/a' } };
    expect(m.editDisk('vdc', copied)).toBe(0);
    expect(m.editDisk('vdc', { ...copied, path: '/a', xattr: { name: 'user.n', value: '/b' } })).toBe(
      'ENODATA',
    );
    expect(m.editDisk('vdc', { path: '/d', directory: true })).toBe(0);
    expect(m.editDisk('vdc', { path: '/l', symlink: '/a' })).toBe(0);
    expect(m.editDisk('vdc', { path: '/b', rename: '/d/c' })).toBe(0);
    expect(m.editDisk('vdc', { path: '/none', remove: true })).toBe('ENOENT');
    expect(m.tpm?.state.life).toBe('off');
    m.power.on({ cmdline: '' });
    mountAll(m);
    const sys = m.sys(1);
    expect([read(sys, '/mnt/a'), read(sys, '/mnt/d/c'), read(sys, '/mnt/b')]).toEqual([
      'other\n',
      'b\n',
      'ENOENT',
    ]);
    expect(sys.getxattr('/mnt/a', 'security.ima')).toMatchObject({ ok: true, value: utf8('x') });
    expect(sys.getxattr('/mnt/d/c', 'security.ima')).toMatchObject({ ok: true, value: utf8('x') });
    const now = sys.stat('/mnt/a');
    if (!before.ok || !now.ok) throw new Error('stat');
    expect(now.value).toMatchObject({ ino: before.value.ino, uid: 1, gid: 2 });
    expect(now.value.mode & 0o7777).toBe(0o4755);
    expect(sys.lstat('/mnt/l')).toMatchObject({ ok: true });
  });

  it('takes an attribute away, and a file', () => {
    const m = booted.fork();
    m.sys(1).setxattr('/mnt/a', 'user.x', utf8('1'));
    m.power.off('orderly');
    expect(m.editDisk('vdc', { path: '/a', xattr: { name: 'user.x', value: null } })).toBe(0);
    expect(m.editDisk('vdc', { path: '/a', xattr: { name: 'user.x', value: null } })).toBe('ENODATA');
    expect(m.editDisk('vdc', { path: '/b', remove: true })).toBe(0);
    m.power.on();
    mountAll(m);
    expect(read(m.sys(1), '/mnt/b')).toBe('ENOENT');
  });

  it('has to be taken out first', () => {
    const m = booted.fork();
    expect(m.editDisk('vdc', { path: '/a', remove: true })).toBe('EBUSY');
    m.power.suspend('mem');
    expect(m.editDisk('vdc', { path: '/a', remove: true })).toBe('EBUSY');
    m.power.off('abrupt');
    expect(m.editDisk('vdx', { path: '/a', remove: true })).toBe('ENODEV');
  });
});

describe('blocks of a disk', () => {
  it('show what was written below a cached file once the cache is gone', () => {
    const m = machine({ disks: [disk({ '/old': file('old file\n') })] });
    const sys = m.sys(1);
    expect(write(sys, '/mnt/f', 'good')).toBe(0);
    const fd = sys.open('/mnt/f', 2);
    if (!fd.ok) throw new Error(fd.errno);
    sys.fsync(fd.value);
    const dev = sys.open('/dev/vdc', 1);
    if (!dev.ok) throw new Error(dev.errno);
    expect(sys.pwrite(dev.value, utf8('evil'), 421 * 4096)).toMatchObject({ ok: true });
    expect(read(sys, '/mnt/f')).toBe('good');
    m.power.off('orderly');
    m.power.on();
    mountAll(m);
    expect(read(m.sys(1), '/mnt/f')).toBe('evil');
    expect(read(m.sys(1), '/mnt/old')).toBe('old file\n');
    // A second file gets the next block, not the first one again.
    expect(write(m.sys(1), '/mnt/g', 'more')).toBe(0);
    m.power.reset('orderly');
    mountAll(m);
    expect([read(m.sys(1), '/mnt/f'), read(m.sys(1), '/mnt/g')]).toEqual(['evil', 'more']);
  });
});

describe('a disk that is not mounted on a machine that runs', () => {
  it('can be edited as well: whole files, blocks anew, mounts as they were', () => {
    const files = { '/a': file('a\n', 0o750), '/b': file('b\n') };
    const m = machine({ disks: [disk(files), disk({ '/x': file('x\n') }, 'vdd')] });
    const sys = m.sys(1);
    sys.setxattr('/mnt/a', 'user.n', utf8('1'));
    sys.setxattr('/mnt/b', 'user.gone', utf8('1'));
    expect(m.editDisk('vdc', { path: '/b', from: '/a' })).toBe('EBUSY');
    expect(sys.umount('/mnt')).toBe(0);
    const mounts = m.vfs.state.mounts;
    expect(m.editDisk('vdc', { path: '/b', from: '/a' })).toBe(0);
    expect(
      m.editDisk('vdc', { path: '/c', from: '/a', content: { kind: 'bytes', bytes: utf8('c\n') } }),
    ).toBe(0);
    expect(m.editDisk('vdc', { path: '/c', from: '/none' })).toBe('ENOENT');
    expect(m.vfs.state.mounts).toBe(mounts);
    expect(sys.mount('/dev/vdc', '/mnt', 'ext4', [], '')).toBe(0);
    expect([read(sys, '/mnt/b'), read(sys, '/mnt/c')]).toEqual(['a\n', 'c\n']);
    expect(sys.listxattr('/mnt/b')).toMatchObject({ ok: true, value: ['user.n'] });
    expect(sys.stat('/mnt/b')).toMatchObject({ ok: true, value: { mode: 0o100750 } });
    expect(m.editDisk('vdd', { path: '/x', remove: true })).toBe(0);
    expect(sys.umount('/mnt')).toBe(0);
  });
});
