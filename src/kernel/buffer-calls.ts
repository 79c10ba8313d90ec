// The old ways by which user space hands the kernel a buffer and no file: eBPF programs, seccomp filters,
// firewall tables, the SELinux policy. Each checks rights and the outer form and keeps nothing: what is
// modelled is which integrity hooks are asked about the bytes, and mostly none is.

import { utf8 } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import type { Err } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN } from '../vfs/constants.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Task } from './state.ts';
import { capable } from './task.ts';

const INSN_SIZE = 8;
const BPF_MAXINSNS = 4096;
const BPF_COMPLEXITY_LIMIT_INSNS = 1_000_000;
/** BPF_JMP | BPF_EXIT. */
const EXIT = 0x95;
const IPT_REPLACE_SIZE = 92;
const SELINUX_MAGIC = 0xf97cff8c;
/** POLICYDB_STRING, which stands behind the magic number and its own length. */
const SELINUX_STRING = utf8('SE Linux');
const POLICY_CAPABILITIES = [
  'network_peer_controls',
  'open_perms',
  'extended_socket_class',
  'always_check_network',
  'cgroup_seclabel',
  'nnp_nosuid_transition',
  'genfs_seclabel_symlinks',
  'ioctl_skip_cloexec',
  'userspace_initial_context',
];

function notCapable(k: Kernel, capability: string, errno: 'EPERM' | 'EACCES' = 'EPERM'): Err {
  return k.refuse(errno, KERNEL_REASON['kernel.not_capable'], { capability });
}

function taken(k: Kernel, what: string, length: number): Err {
  k.env.trace.emit('kernel.buffer_taken', { what, length }, KERNEL_REASON['kernel.no_integrity_hook']);
  return 0;
}

/**
 * bpf(BPF_PROG_LOAD) of a socket filter: EPERM without rights, E2BIG for no or too many instructions, EINVAL
 * where the last one does not leave the program.
 * @kernel kernel/bpf/syscall.c bpf_prog_load()
 * @deviation the verifier looks at the last instruction alone
 */
export function bpfProgLoad(k: Kernel, task: Task, program: Uint8Array): Err {
  const { profile } = k.env;
  if (!enabled(profile, 'CONFIG_BPF_SYSCALL')) return 'ENOSYS';
  const able = capable(task, CAP_BPF) || capable(task, CAP_SYS_ADMIN);
  if (!able && enabled(profile, 'CONFIG_BPF_UNPRIV_DEFAULT_OFF')) return notCapable(k, 'CAP_BPF');
  const count = program.length / INSN_SIZE;
  if (!Number.isInteger(count)) return 'EINVAL';
  if (count === 0 || count > (able ? BPF_COMPLEXITY_LIMIT_INSNS : BPF_MAXINSNS)) return 'E2BIG';
  if (program[program.length - INSN_SIZE] !== EXIT) return 'EINVAL';
  return taken(k, 'eBPF program', program.length);
}

/**
 * seccomp(SECCOMP_SET_MODE_FILTER) of a task without no_new_privs: EACCES without rights, EINVAL for no or
 * too many instructions.
 * @kernel kernel/seccomp.c seccomp_prepare_filter()
 * @deviation the filter is not checked and never runs
 */
export function seccompSetFilter(k: Kernel, task: Task, filter: Uint8Array): Err {
  if (!enabled(k.env.profile, 'CONFIG_SECCOMP_FILTER')) return 'EINVAL';
  const count = filter.length / INSN_SIZE;
  if (!Number.isInteger(count) || count === 0 || count > BPF_MAXINSNS) return 'EINVAL';
  if (!capable(task, CAP_SYS_ADMIN)) return notCapable(k, 'CAP_SYS_ADMIN', 'EACCES');
  return taken(k, 'seccomp filter', filter.length);
}

/**
 * setsockopt(IPT_SO_SET_REPLACE): EPERM without rights, EINVAL for a table that is shorter than its header.
 * @kernel net/ipv4/netfilter/ip_tables.c do_ipt_set_ctl(), do_replace()
 * @deviation the rules are not looked at
 */
export function iptablesReplace(k: Kernel, task: Task, table: Uint8Array): Err {
  if (!capable(task, CAP_NET_ADMIN)) return notCapable(k, 'CAP_NET_ADMIN');
  if (!enabled(k.env.profile, 'CONFIG_IP_NF_IPTABLES')) return 'ENOPROTOOPT';
  if (table.length < IPT_REPLACE_SIZE) return 'EINVAL';
  return taken(k, 'iptables table', table.length);
}

/**
 * A write to selinuxfs' `load`: ENOENT without SELinux, EINVAL for what is no policy. Afterwards IMA is given
 * the state of SELinux and the hash of the policy as critical data; nothing can be appraised.
 * @kernel security/selinux/selinuxfs.c sel_write_load(), security/selinux/ima.c selinux_ima_measure_state_locked()
 * @deviation SELinux itself is not modelled: the policy takes no effect, all its capabilities are off
 */
export function selinuxLoadPolicy(k: Kernel, task: Task, policy: Uint8Array): Err {
  if (!enabled(k.env.profile, 'CONFIG_SECURITY_SELINUX')) return 'ENOENT';
  if (!capable(task, CAP_SYS_ADMIN)) return notCapable(k, 'CAP_SYS_ADMIN');
  const head = new Reader(policy, 'le');
  const known = policy.length >= 16 && head.u32() === SELINUX_MAGIC && head.u32() === SELINUX_STRING.length;
  if (!known) return 'EINVAL';
  const switches = ['initialized=1', 'enforcing=0', 'checkreqprot=0'];
  const state = [...switches, ...POLICY_CAPABILITIES.map((name) => `${name}=0`)].map((s) => `${s};`).join('');
  k.env.trace.emit('kernel.buffer_taken', { what: 'SELinux policy', length: policy.length });
  k.env.listeners.criticalData?.(task, 'selinux', 'selinux-state', utf8(state), false);
  k.env.listeners.criticalData?.(task, 'selinux', 'selinux-policy-hash', policy, true);
  return 0;
}

/** The calls by the kind of buffer that they take. */
export const BUFFER_CALLS = {
  bpf: { syscall: 'bpf', run: bpfProgLoad },
  seccomp: { syscall: 'seccomp', run: seccompSetFilter },
  iptables: { syscall: 'setsockopt', run: iptablesReplace },
  selinux: { syscall: 'selinux_load', run: selinuxLoadPolicy },
} as const;

export type BufferKind = keyof typeof BUFFER_CALLS;
