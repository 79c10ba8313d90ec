// The next kernel without firmware: the two halves of kexec -e, segments of user space, crash kernels, and what
// later releases measure of it all.

import { describe, expect, it } from 'vitest';
import { EMPTY, fromUtf8, toHex, utf8 } from '../../../src/base/bytes.ts';
import { toArray } from '../../../src/base/list.ts';
import { type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import type { MachineConfig } from '../../../src/kernel/api.ts';
import { bzImage } from '../../../src/kernel/images.ts';
import type { Machine } from '../../../src/kernel/machine.ts';
import { listed, machine, read, value, write } from './machines.ts';

const stock = PROFILES['linux-6.12.107'] as KernelProfile;
const pcr10 = (m: Machine): string => toHex(m.pcr('sha256', 10) ?? EMPTY);

function ready(config: MachineConfig = {}): Machine {
  const m = machine({ cmdline: 'ima_policy=tcb', ...config });
  write(m.sys(1), '/bz', bzImage('next'));
  write(m.sys(1), '/mnt/a', 'a');
  read(m.sys(1), '/mnt/a');
  return m;
}

function load(m: Machine, flags = 0): void {
  const sys = m.sys(1);
  write(sys, '/rd', 'initramfs');
  const [kernel, initrd] = [value(sys.open('/bz', 0)), value(sys.open('/rd', 0))];
  expect(sys.kexecFileLoad(kernel, initrd, 'ima_policy=tcb', flags)).toBe(0);
}

const loaded = ready();
load(loaded);

describe('the notifiers of kexec -e', () => {
  it('copy the list; what follows is extended and not carried', () => {
    const m = loaded.fork();
    expect(m.kexecPrepare()).toBe(0);
    write(m.sys(1), '/mnt/late', 'late');
    const before = pcr10(m);
    read(m.sys(1), '/mnt/late');
    expect(pcr10(m)).not.toBe(before);
    expect(m.kexecPrepare()).toBe(0);
    expect(m.kexecReboot()).toBe(0);
    expect(listed(m)).toEqual(['boot_aggregate', '/mnt/a', 'boot_aggregate']);
  });

  it('find nothing to copy when nothing is loaded', () => {
    const m = ready();
    expect([m.kexecPrepare(), m.kexecReboot()]).toEqual(['EINVAL', 'EINVAL']);
    expect(m.kernel.state.boots).toBe(1);
  });

  it('suspend measuring where the release has that', () => {
    const profile = { ...stock, switches: { ...stock.switches, suspendedAtReboot: true } };
    const m = ready({ profile });
    load(m);
    m.kexecPrepare();
    const before = pcr10(m);
    write(m.sys(1), '/mnt/late', 'late');
    expect(read(m.sys(1), '/mnt/late')).toBe('late');
    expect(pcr10(m)).toBe(before);
    expect(listed(m)).not.toContain('/mnt/late');
    m.kexecReboot();
    m.sys(1).mount('devtmpfs', '/dev', 'devtmpfs', [], '');
    m.sys(1).mount('/dev/vdc', '/mnt', 'ext4', [], '');
    read(m.sys(1), '/mnt/late');
    expect(listed(m)).toContain('/mnt/late');
  });

  it('tell the TPM that power may go, and the next kernel makes that void', () => {
    const m = loaded.fork();
    m.kexecReboot();
    expect(m.tpm?.state.life).toBe('operational');
    expect(m.tpm?.state.nv.resetCount).toBe(1);
    const shutdowns = toArray(m.trace.state.events).filter((e) => e.kind === 'tpm.shutdown');
    expect(shutdowns.map((e) => e.data['type'])).toEqual(['clear']);
  });
});

describe('records of a kexec', () => {
  const profile = { ...stock, switches: { ...stock.switches, kexecMarkers: true } };

  it('say how large segment and list are, at load and at execute', () => {
    const m = machine({ profile });
    write(m.sys(1), '/bz', bzImage('next'));
    expect(
      write(m.sys(1), '/sys/kernel/security/ima/policy', 'measure func=CRITICAL_DATA label=ima_kexec\n'),
    ).toBe(0);
    load(m);
    m.kexecPrepare();
    const lines = fromUtf8(m.imaList('ascii')).split('\n').slice(1, -1);
    const data = lines.map((l) => fromUtf8(Uint8Array.from(Buffer.from(l.split(' ').at(-1) ?? '', 'hex'))));
    const sizes = data.map((d) => Number(/runtime_size=(\d+)/.exec(d)?.[1]));
    expect(data[0]).toMatch(
      /^kexec_segment_size=4096;ima_binary_runtime_size=125;ima_runtime_measurements_count=1;$/,
    );
    expect(data[1]).toMatch(/^kexec_segment_size=4096;.*;ima_runtime_measurements_count=2;$/);
    // The second one counts the first.
    expect((sizes[1] ?? 0) - (sizes[0] ?? 0)).toBeGreaterThan(100);
    expect(listed(m).length).toBe(3);
  });

  it('need a rule and a release that has them', () => {
    const without = ready({ profile });
    load(without);
    expect(listed(without)).toEqual(['boot_aggregate', '/mnt/a']);
    expect(listed(loaded)).toEqual(['boot_aggregate', '/mnt/a']);
  });
});

describe('segments of user space', () => {
  it('start a kernel without the list; without any the image is gone', () => {
    const m = ready();
    const segments = { cmdline: 'ima_policy=tcb', kernelLength: 1024, initrdLength: 9 };
    expect(m.sys(1).kexecLoad(0, segments)).toBe(0);
    const other = m.fork();
    expect(m.kexecReboot()).toBe(0);
    expect(listed(m)).toEqual(['boot_aggregate']);
    expect(other.sys(1).kexecLoad(0)).toBe(0);
    expect(other.kexecReboot()).toBe('EINVAL');
  });
});

describe('a crash', () => {
  const crashable = (base: KernelProfile): Machine => {
    const profile = { ...base, config: { ...base.config, CONFIG_CRASH_DUMP: 'y' } };
    const m = ready({ profile });
    load(m, 2);
    write(m.sys(1), '/mnt/b', 'b');
    read(m.sys(1), '/mnt/b');
    return m;
  };

  it('starts the kernel that was loaded for it, without a word to the TPM', () => {
    const m = crashable(stock);
    expect(m.kexecReboot()).toBe('EINVAL');
    expect(m.crash()).toBe(0);
    expect(m.kernel.state.panic).toBeNull();
    expect(listed(m)).toEqual(['boot_aggregate']);
    expect(toArray(m.trace.state.events).some((e) => e.kind === 'tpm.shutdown')).toBe(false);
  });

  it('shows the list as it was at load, before 6.12.84', () => {
    const m = crashable(PROFILES['linux-6.12.0'] as KernelProfile);
    m.crash();
    expect(listed(m)).toEqual(['boot_aggregate', '/mnt/a', 'boot_aggregate']);
  });

  it('is the end where none was loaded, or it was unloaded', () => {
    for (const m of [loaded.fork(), crashable(stock)]) {
      const sys = m.sys(1);
      sys.kexecFileLoad(value(sys.open('/bz', 0)), null, '', 1 | 2);
      expect(m.crash()).toBe(0);
      expect(m.kernel.state.panic).toContain('crash');
      expect(m.kernel.state.tasks.size).toBe(0);
    }
  });
});

describe('a carried list that was damaged', () => {
  it('is taken over up to the damage, digests computed anew', () => {
    const m = loaded.fork();
    m.kexecReboot((segment) => segment.slice(0, segment.length - 3));
    expect(listed(m)).toEqual(['boot_aggregate', 'boot_aggregate']);
    const n = loaded.fork();
    n.kexecReboot((segment) => {
      const out = segment.slice();
      const at = Buffer.from(segment).indexOf('/mnt/a');
      out.set(utf8('/mnt/z'), at);
      return out;
    });
    expect(listed(n)).toEqual(['boot_aggregate', '/mnt/z', 'boot_aggregate']);
    expect(pcr10(n)).toBe(pcr10(n.fork()));
  });
});
