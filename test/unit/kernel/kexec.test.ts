import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { DEFAULT_CONFIG, PROFILES } from '../../../src/base/profile.ts';
import { bzImage } from '../../../src/kernel/images.ts';
import { KEXEC_FILE_ON_CRASH, KEXEC_FILE_UNLOAD } from '../../../src/kernel/kexec.ts';
import type { Machine } from '../../../src/kernel/machine.ts';
import { O_RDONLY } from '../../../src/vfs/constants.ts';
import { listed, machine, read, value, write } from './machines.ts';

function booted(config: Record<string, string> = {}): Machine {
  const profile = PROFILES['linux-6.12.107'] as NonNullable<(typeof PROFILES)[string]>;
  const m = machine({
    cmdline: 'ima_policy=tcb',
    profile: { ...profile, config: { ...DEFAULT_CONFIG, ...config } },
  });
  write(m.sys(1), '/bz', bzImage('next'));
  write(m.sys(1), '/rd', 'ram disk');
  return m;
}

function load(m: Machine, cmdline: string, flags = 0) {
  const sys = m.sys(1);
  const kernel = value(sys.open('/bz', O_RDONLY));
  const initrd = value(sys.open('/rd', O_RDONLY));
  return sys.kexecFileLoad(kernel, initrd, cmdline, flags);
}

const KEXEC_ON_CRASH = 1;
const KEXEC_PRESERVE_CONTEXT = 2;

describe('kexec images', () => {
  it('with CONFIG_CRASH_DUMP the crash kernel lies beside the other', () => {
    const m = booted({ CONFIG_CRASH_DUMP: 'y' });
    expect(load(m, 'next')).toBe(0);
    expect(load(m, 'crash', KEXEC_FILE_ON_CRASH)).toBe(0);
    expect(load(m, '', KEXEC_FILE_ON_CRASH | KEXEC_FILE_UNLOAD)).toBe(0);
    expect(m.sys(1).kexecLoad(KEXEC_ON_CRASH)).toBe(0);
    expect(m.kernel.state.kexec?.cmdline).toBe('next');
  });

  it('without it there is one image, which every call replaces or removes', () => {
    const m = booted();
    expect(load(m, 'next')).toBe(0);
    expect(load(m, 'crash', KEXEC_FILE_ON_CRASH)).toBe(0);
    expect(m.kernel.state.kexec).toMatchObject({ cmdline: 'crash', swapPage: false });
    expect(load(m, '', KEXEC_FILE_ON_CRASH | KEXEC_FILE_UNLOAD)).toBe(0);
    expect(m.kernel.state.kexec).toBeNull();
    expect([load(m, 'next'), m.sys(1).kexecLoad(KEXEC_ON_CRASH), m.kernel.state.kexec]).toEqual([0, 0, null]);
  });

  it('the jump into an image that was loaded for a crash kills the machine', () => {
    const m = booted();
    expect(load(m, 'crash', KEXEC_FILE_ON_CRASH)).toBe(0);
    expect(m.kexecReboot()).toBe(0);
    expect([m.kernel.state.panic !== null, m.kernel.state.tasks.size]).toEqual([true, 0]);
  });

  it('KEXEC_PRESERVE_CONTEXT is a flag of kernels that can jump back', () => {
    expect(booted().sys(1).kexecLoad(KEXEC_PRESERVE_CONTEXT)).toBe('EINVAL');
    expect(booted({ CONFIG_KEXEC_JUMP: 'y' }).sys(1).kexecLoad(KEXEC_PRESERVE_CONTEXT)).toBe(0);
  });

  it('carries list and event log into the next kernel', () => {
    const m = booted();
    write(m.sys(1), '/mnt/a', 'one');
    read(m.sys(1), '/mnt/a');
    const log = m.eventLog();
    expect(load(m, 'ima_policy=tcb')).toBe(0);
    const before = listed(m);
    expect(m.kexecReboot()).toBe(0);
    expect(listed(m).slice(0, before.length)).toEqual(before);
    expect(listed(m)[before.length]).toBe('boot_aggregate');
    expect([m.eventLog(), m.securityfs('tpm0/binary_bios_measurements')]).toEqual([log, log]);
  });
});
