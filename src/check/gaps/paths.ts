// Every way by which data of a file or of a buffer reaches the kernel, as one step of a scenario that goes
// it. The list is that of the 2015 discussion of measurement and appraisal gaps, with the ways that came
// later.

/** The sample that goes in: without label and signature, or with those that the way knows. */
export type Sample = 'bare' | 'signed';

type Step = { readonly op: string; readonly [argument: string]: unknown };

/** One way with one kind of interface. */
export interface Probe {
  /** The system call or node. */
  readonly interface: string;
  /** IMA functions that can judge what goes in; FILE_CHECK is the open before it. */
  readonly funcs: readonly string[];
  /** IPE operations that can judge it. */
  readonly ops?: readonly string[];
  readonly step: (sample: Sample) => Step;
}

/** A way that is gone at boot, before user space can load a policy. */
export interface BootProbe {
  readonly interface: string;
  /** Members of the machine. */
  readonly machine?: (sample: Sample) => object;
  /** Name in the measurement list. */
  readonly listName?: string;
  /** Words of its event in the firmware's event log. */
  readonly logged?: string;
}

export interface DataPath {
  readonly id: string;
  readonly title: string;
  /** Null with the reason why there is none. */
  readonly file: Probe | BootProbe | string;
  readonly buffer: Probe | BootProbe | string;
  /** What the machine needs besides the usual. */
  readonly config?: { readonly [option: string]: string };
}

const SECURITY = '/sys/kernel/security';
const TOOL_READS =
  'no such interface: a tool reads the file, which is another event (FILE_CHECK) than what it hands over';

/** The bytes of an eBPF program that returns 0. */
const RETURN_0 = 'b700000000000000 9500000000000000';
/** SECCOMP_RET_ALLOW. */
const ALLOW = '060000000000ff7f';
/** Magic number, length of the name, name: the head of a binary policy. */
const SELINUX = '8cff7cf9 08000000 5345204c696e7578 21000000';

export const IPE_BARE = 'policy_name=new policy_version=0.0.1\nDEFAULT action=ALLOW\n';

const hand = (
  kind: string,
  title: string,
  hex: string,
  id: string,
  more: Partial<DataPath> = {},
): DataPath => ({
  id,
  title,
  file: TOOL_READS,
  buffer: {
    interface:
      { bpf: 'bpf', seccomp: 'seccomp', iptables: 'setsockopt', selinux: 'selinuxfs load' }[kind] ?? kind,
    funcs: kind === 'selinux' ? ['CRITICAL_DATA'] : [],
    step: () => ({ op: 'hand_buffer', kind, data: { hex } }),
  },
  ...more,
});

/** All of them, in the order of the table. */
export const DATA_PATHS: readonly DataPath[] = [
  {
    id: 'module',
    title: 'kernel module',
    file: {
      interface: 'finit_module',
      funcs: ['MODULE_CHECK', 'FILE_CHECK'],
      ops: ['KMODULE'],
      step: (s) => ({ op: 'finit_module', path: `/mnt/${s}/module` }),
    },
    buffer: {
      interface: 'init_module',
      funcs: ['CRITICAL_DATA'],
      ops: ['KMODULE'],
      step: (s) => ({ op: 'init_module', path: `/mnt/${s}/module` }),
    },
  },
  {
    id: 'firmware',
    title: 'firmware',
    file: {
      interface: 'request_firmware',
      funcs: ['FIRMWARE_CHECK'],
      ops: ['FIRMWARE'],
      step: (s) => ({
        op: 'syswrite',
        path: '/sys/devices/virtual/misc/test_firmware/trigger_request',
        data: `${s}/firmware`,
      }),
    },
    buffer: {
      interface: 'sysfs fallback',
      funcs: ['FIRMWARE_CHECK'],
      ops: ['FIRMWARE'],
      step: (s) => ({
        op: 'firmware_fallback',
        name: 'nowhere',
        data: s === 'bare' ? 'firmware' : { modsig: 'vendor', of: 'firmware' },
      }),
    },
  },
  {
    id: 'kexec-kernel',
    title: 'kernel for kexec',
    file: {
      interface: 'kexec_file_load',
      funcs: ['KEXEC_KERNEL_CHECK', 'FILE_CHECK'],
      ops: ['KEXEC_IMAGE'],
      step: (s) => ({ op: 'kexec_file', path: `/mnt/${s}/kernel` }),
    },
    buffer: {
      interface: 'kexec_load',
      funcs: ['KEXEC_KERNEL_CHECK'],
      ops: ['KEXEC_IMAGE'],
      step: () => ({ op: 'kexec_load' }),
    },
  },
  {
    id: 'kexec-initramfs',
    title: 'initramfs for kexec',
    file: {
      interface: 'kexec_file_load',
      funcs: ['KEXEC_INITRAMFS_CHECK', 'FILE_CHECK'],
      ops: ['KEXEC_INITRAMFS'],
      step: (s) => ({ op: 'kexec_file', path: '/mnt/signed/kernel', initrd: `/mnt/${s}/initrd` }),
    },
    buffer: {
      // One hook for the call as a whole, before the segments.
      interface: 'kexec_load',
      funcs: ['KEXEC_INITRAMFS_CHECK'],
      ops: ['KEXEC_IMAGE'],
      step: () => ({ op: 'kexec_load' }),
    },
  },
  {
    id: 'kexec-cmdline',
    title: 'command line for kexec',
    file: 'no such interface: the command line is a text',
    buffer: {
      interface: 'kexec_file_load',
      funcs: ['KEXEC_CMDLINE'],
      step: () => ({ op: 'kexec_file', path: '/mnt/signed/kernel', cmdline: 'init=/bin/sh' }),
    },
  },
  {
    id: 'initramfs',
    title: 'initramfs at boot',
    file: 'no such interface: the boot loader reads the file',
    buffer: { interface: 'boot loader', logged: 'initrd' },
  },
  {
    id: 'ima-policy',
    title: 'IMA policy',
    file: {
      interface: 'path to ima/policy',
      funcs: ['POLICY_CHECK'],
      ops: ['POLICY'],
      step: (s) => ({ op: 'syswrite', path: `${SECURITY}/ima/policy`, data: `/mnt/${s}/policy` }),
    },
    buffer: {
      interface: 'rules to ima/policy',
      funcs: [],
      step: () => ({
        op: 'syswrite',
        path: `${SECURITY}/ima/policy`,
        data: 'audit func=FILE_CHECK uid=4242\n',
      }),
    },
  },
  {
    id: 'ipe-policy',
    title: 'IPE policy',
    file: 'no such interface: only the bytes can be written',
    buffer: {
      interface: 'ipe/new_policy',
      funcs: [],
      step: (s) => ({
        op: 'syswrite',
        path: `${SECURITY}/ipe/new_policy`,
        data: s === 'bare' ? IPE_BARE : { cms: 'vendor', of: IPE_BARE },
      }),
    },
  },
  {
    id: 'certificate',
    title: 'certificate for .ima',
    file: {
      interface: '/etc/keys at boot',
      machine: (s) => ({
        initramfs: { '/etc/keys/x509_ima.der': { content: { cert: s === 'bare' ? 'stranger' : 'second' } } },
      }),
      listName: '/etc/keys/x509_ima.der',
    },
    buffer: {
      interface: 'add_key',
      funcs: ['KEY_CHECK'],
      step: (s) => ({
        op: 'add_key',
        type: 'asymmetric',
        desc: '',
        data: { cert: s === 'bare' ? 'stranger' : 'second' },
        ring: '%.ima',
      }),
    },
  },
  hand('bpf', 'eBPF program', RETURN_0, 'ebpf'),
  hand('seccomp', 'seccomp filter', ALLOW, 'seccomp'),
  hand('iptables', 'iptables table', '00'.repeat(92), 'iptables'),
  hand('selinux', 'SELinux policy', SELINUX, 'selinux-policy', { config: { CONFIG_SECURITY_SELINUX: 'y' } }),
];
