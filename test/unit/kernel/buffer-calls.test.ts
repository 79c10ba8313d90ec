// Data that comes as a buffer by ways without integrity hooks: rights, the outer form, and what the trace and the list keep.

import { describe, expect, it } from 'vitest';
import { concat, fromHex, utf8 } from '../../../src/base/bytes.ts';
import { DEFAULT_CONFIG, type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import type { BufferKind } from '../../../src/kernel/buffer-calls.ts';
import type { Machine } from '../../../src/kernel/machine.ts';
import { listEntries } from '../../../src/scenario/observe.ts';
import { machine, write } from './machines.ts';

const BASE = PROFILES['linux-6.12.107'] as KernelProfile;
const built = (config: { readonly [option: string]: string }): Machine =>
  machine({ profile: { ...BASE, config: { ...DEFAULT_CONFIG, ...config } } });

const RETURN_0 = fromHex('b7000000000000009500000000000000');
const SELINUX = fromHex('8cff7cf9080000005345204c696e757821000000');
const POLICY = '/sys/kernel/security/ima/policy';

type Setup = { readonly uid?: number; readonly config?: { readonly [option: string]: string } };

function given(kind: BufferKind, data: Uint8Array, setup: Setup = {}): unknown {
  const m = built({ CONFIG_SECURITY_SELINUX: 'y', ...setup.config });
  const pid = m.spawn({ uid: setup.uid ?? 0, comm: 'tool' });
  return m.sys(pid).handBuffer(kind, data);
}

describe('buffers without a file', () => {
  it.each<[string, BufferKind, Uint8Array, Setup, string | number]>([
    ['an eBPF program', 'bpf', RETURN_0, {}, 0],
    ['one without rights', 'bpf', RETURN_0, { uid: 1000 }, 'EPERM'],
    [
      'one without rights where all may',
      'bpf',
      RETURN_0,
      { uid: 1000, config: { CONFIG_BPF_UNPRIV_DEFAULT_OFF: 'n' } },
      0,
    ],
    ['one that never ends', 'bpf', RETURN_0.subarray(0, 8), {}, 'EINVAL'],
    ['half an instruction', 'bpf', RETURN_0.subarray(0, 12), {}, 'EINVAL'],
    ['no instruction', 'bpf', new Uint8Array(0), {}, 'E2BIG'],
    [
      'too many without rights',
      'bpf',
      new Uint8Array(4097 * 8),
      { uid: 1000, config: { CONFIG_BPF_UNPRIV_DEFAULT_OFF: 'n' } },
      'E2BIG',
    ],
    ['a kernel without bpf', 'bpf', RETURN_0, { config: { CONFIG_BPF_SYSCALL: 'n' } }, 'ENOSYS'],
    ['a seccomp filter', 'seccomp', new Uint8Array(8), {}, 0],
    ['an empty filter', 'seccomp', new Uint8Array(0), {}, 'EINVAL'],
    ['a filter of 4097', 'seccomp', new Uint8Array(4097 * 8), {}, 'EINVAL'],
    ['a filter without rights', 'seccomp', new Uint8Array(8), { uid: 1000 }, 'EACCES'],
    ['a bad filter without rights', 'seccomp', new Uint8Array(7), { uid: 1000 }, 'EINVAL'],
    [
      'a kernel without filters',
      'seccomp',
      new Uint8Array(8),
      { config: { CONFIG_SECCOMP_FILTER: 'n' } },
      'EINVAL',
    ],
    ['an iptables table', 'iptables', new Uint8Array(92), {}, 0],
    ['a table without a header', 'iptables', new Uint8Array(91), {}, 'EINVAL'],
    ['a table without rights', 'iptables', new Uint8Array(92), { uid: 1000 }, 'EPERM'],
    [
      'a kernel without iptables',
      'iptables',
      new Uint8Array(92),
      { config: { CONFIG_IP_NF_IPTABLES: 'n' } },
      'ENOPROTOOPT',
    ],
    ['a SELinux policy', 'selinux', SELINUX, {}, 0],
    ['something else', 'selinux', utf8('SE Linux policy 2'), {}, 'EINVAL'],
    ['a policy without rights', 'selinux', SELINUX, { uid: 1000 }, 'EPERM'],
    ['a kernel without SELinux', 'selinux', SELINUX, { config: { CONFIG_SECURITY_SELINUX: 'n' } }, 'ENOENT'],
  ])('%s', (_, kind, data, setup, want) => {
    expect(given(kind, data, setup)).toBe(want);
  });

  it('has the SELinux policy in the list as a hash, and its state as it is', () => {
    const m = built({ CONFIG_SECURITY_SELINUX: 'y' });
    write(m.sys(1), POLICY, 'measure func=CRITICAL_DATA label=selinux\n');
    const before = listEntries(m, 0).length;
    m.sys(1).handBuffer('selinux', SELINUX);
    m.sys(1).handBuffer('bpf', RETURN_0);
    const entries = listEntries(m, before);
    expect(entries.map((e) => e.name)).toEqual(['selinux-state', 'selinux-policy-hash']);
    expect(entries[0]?.fields['buf']).toMatch(/^696e697469616c697a65643d313b/);
    expect(entries[1]?.fields['buf']).toHaveLength(64);
  });
});

describe('the sysfs fallback of the firmware loader', () => {
  const ask = (policy: string | null, config = {}): unknown => {
    const m = built(config);
    if (policy !== null) write(m.sys(1), POLICY, policy);
    const got = m.sys(1).firmwareFallback('radio', concat(utf8('bytes')));
    return got.ok ? [got.value.request, got.value.loading] : got.errno;
  };

  it('gives the driver what user space brings', () => {
    expect(ask(null)).toEqual([0, 0]);
    expect(ask('measure func=FIRMWARE_CHECK\n')).toEqual([0, 0]);
  });

  it('is refused at its end where firmware is appraised', () => {
    expect(ask('appraise func=FIRMWARE_CHECK appraise_type=imasig\n')).toEqual(['ENOENT', 'EACCES']);
  });

  it('is not there in a kernel without it, nor for a name that is none', () => {
    expect(ask(null, { CONFIG_FW_LOADER_USER_HELPER: 'n' })).toEqual(['ENOENT', 0]);
    const got = machine({}).sys(1).firmwareFallback('../radio', utf8('bytes'));
    expect(got).toMatchObject({ value: { request: 'EINVAL' } });
  });
});
