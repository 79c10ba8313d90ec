// /proc as far as programs of an integrity lesson look at it: the command line, mounts, modules, keys, a
// few sysctls, and the acting task under self/. `self` is a directory that shows whoever reads it; numbered
// process directories, memory maps and statistics are left out.

import { utf8 } from '../base/bytes.ts';
import type { Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import type { PopulateNode, PseudoNode } from '../vfs/api.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../vfs/constants.ts';
import type { Mount, VfsTask } from '../vfs/types.ts';
import type { Kernel } from './kernel.ts';
import { userNamespacePseudo } from './user-namespace.ts';

/** A node of a pseudo file system: where it is, and how it behaves (`pseudo` is its key in the registry). */
export type TreeNode = PopulateNode & { readonly path: string };

export const dir = (path: string, mode = 0o555): TreeNode => ({ path, mode: S_IFDIR | mode });
export const node = (path: string, mode: number, key: string): TreeNode => ({
  path,
  mode: S_IFREG | mode,
  pseudo: key,
});

const INT_MIN = -2147483648;
const INT_MAX = 2147483647;

interface Sysctl {
  readonly name: string;
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  /** Can only be raised to `max`, never taken back. */
  readonly sticky?: boolean;
}

/** Integer sysctls by their name below /proc/sys. */
const SYSCTLS: readonly Sysctl[] = [
  { name: 'kernel/printk_ratelimit', initial: 5, min: INT_MIN, max: INT_MAX },
  { name: 'kernel/printk_ratelimit_burst', initial: 10, min: INT_MIN, max: INT_MAX },
  { name: 'kernel/kexec_load_disabled', initial: 0, min: 0, max: 1, sticky: true },
  { name: 'kernel/modules_disabled', initial: 0, min: 0, max: 1, sticky: true },
  { name: 'kernel/randomize_va_space', initial: 2, min: INT_MIN, max: INT_MAX },
  { name: 'fs/verity/require_signatures', initial: 0, min: 0, max: 1 },
  { name: 'vm/overcommit_memory', initial: 0, min: 0, max: 2 },
];

/** The command line is the one file that shows its size. @kernel fs/proc/cmdline.c proc_cmdline_init() */
export function procTree(cmdline: string): TreeNode[] {
  return [
    { ...node('cmdline', 0o444, 'proc/cmdline'), size: utf8(cmdline).length + 1 },
    node('version', 0o444, 'proc/version'),
    node('uptime', 0o444, 'proc/uptime'),
    node('modules', 0o444, 'proc/modules'),
    node('filesystems', 0o444, 'proc/filesystems'),
    node('meminfo', 0o444, 'proc/meminfo'),
    node('mounts', 0o444, 'proc/mounts'),
    node('keys', 0o444, 'proc/keys'),
    dir('self'),
    node('self/comm', 0o644, 'proc/self/comm'),
    // In the kernel these belong to the task's own user; here everybody may open them and finds his own.
    node('self/uid_map', 0o666, 'proc/self/uid_map'),
    node('self/gid_map', 0o666, 'proc/self/gid_map'),
    node('self/setgroups', 0o666, 'proc/self/setgroups'),
    node('self/cmdline', 0o444, 'proc/self/cmdline'),
    node('self/status', 0o444, 'proc/self/status'),
    ...['exe', 'cwd', 'root'].map((name) => ({
      path: `self/${name}`,
      mode: S_IFLNK | 0o777,
      pseudo: `proc/self/${name}`,
    })),
    node('self/mounts', 0o444, 'proc/mounts'),
    dir('sys'),
    dir('sys/kernel'),
    dir('sys/fs'),
    dir('sys/fs/verity'),
    dir('sys/vm'),
    node('sys/kernel/osrelease', 0o444, 'proc/osrelease'),
    node('sys/kernel/ostype', 0o444, 'proc/ostype'),
    node('sys/vm/drop_caches', 0o200, 'proc/drop_caches'),
    ...SYSCTLS.map(({ name }) => node(`sys/${name}`, 0o644, `proc/sys/${name}`)),
  ];
}

export const textNode = (read: (task: VfsTask) => string): PseudoNode => ({
  read: (task) => ok(utf8(read(task))),
});

function mountFlags(m: Mount): string {
  const flags = [m.readonly ? 'ro' : 'rw'];
  if (m.nosuid) flags.push('nosuid');
  if (m.nodev) flags.push('nodev');
  if (m.noexec) flags.push('noexec');
  return [...flags, 'relatime'].join(',');
}

/** @kernel fs/proc_namespace.c show_vfsmnt() */
function mountsText(k: Kernel, task: VfsTask): string {
  const { vfs } = k.env;
  const all = [...vfs.state.mounts.values()].filter((m) => m.ns === task.ns).sort((a, b) => a.id - b.id);
  return all
    .map((m) => {
      const sb = vfs.superblock(m.sb);
      const source = sb.device === null ? sb.sid : `/dev/${sb.device}`;
      const where = vfs.dPath({ mount: m.id, dentry: m.root });
      return `${source} ${where} ${sb.type} ${mountFlags(m)} 0 0\n`;
    })
    .join('');
}

function modulesText(k: Kernel): string {
  return [...k.state.modules]
    .reverse()
    .map((m) => `${m.name} ${Math.ceil(m.size / 4096) * 4096} 0 - Live 0x0000000000000000\n`)
    .join('');
}

function statusText(task: VfsTask): string {
  const { cred } = task;
  const caps = cred.caps.toString(16).padStart(16, '0');
  return [
    `Name:\t${task.comm}`,
    `Pid:\t${task.pid}`,
    `PPid:\t${task.ppid}`,
    `Uid:\t${cred.uid}\t${cred.euid}\t${cred.suid}\t${cred.fsuid}`,
    `Gid:\t${cred.gid}\t${cred.egid}\t${cred.sgid}\t${cred.fsgid}`,
    `CapPrm:\t${caps}`,
    `CapEff:\t${caps}`,
    '',
  ].join('\n');
}

const decoder = new TextDecoder();

/**
 * An integer sysctl: decimal text in, decimal text out.
 * @kernel kernel/sysctl.c proc_dointvec_minmax()
 */
function sysctlNode(k: Kernel, entry: Sysctl): PseudoNode {
  const value = (): number => Number(k.state.sysctl.get(entry.name) ?? entry.initial);
  return {
    read: () => ok(utf8(`${value()}\n`)),
    write: (_task, _file, data): Result<number> => {
      const m = /^\s*(-?\d+)(?=[\s\0]|$)/.exec(decoder.decode(data));
      if (m === null) return fail('EINVAL');
      const next = Number(m[1]);
      const low = entry.sticky === true ? entry.max : entry.min;
      if (next < low || next > entry.max) return fail('EINVAL');
      k.state = { ...k.state, sysctl: k.state.sysctl.set(entry.name, String(next)) };
      return ok(data.length);
    },
  };
}

/**
 * Bit 1 of what is written: pages; bit 2: dentries and inodes.
 * @kernel fs/drop_caches.c drop_caches_sysctl_handler()
 */
function dropCaches(k: Kernel): PseudoNode {
  return {
    write: (_task, _file, data) => {
      const m = /^\s*([1-4])(?=[\s\0]|$)/.exec(decoder.decode(data));
      if (m === null) return fail('EINVAL');
      if (Number(m[1]) & 1) k.env.vfs.dropPages();
      if (Number(m[1]) & 2) k.env.vfs.dropCaches();
      return ok(data.length);
    },
  };
}

const NODEV = ['sysfs', 'tmpfs', 'proc', 'devtmpfs', 'securityfs', 'ramfs'];
const ON_DISKS = ['ext4', 'vfat'];
const FILE_SYSTEMS = [
  ...NODEV.map((f) => `nodev\t${f}\n`),
  ...ON_DISKS.map((f) => `\t${f}\n`),
  'nodev\toverlay\n',
].join('');

/** Behaviour of the nodes above, by key. @kernel fs/proc/generic.c proc_create() */
export function procPseudo(k: Kernel): Readonly<Record<string, PseudoNode>> {
  const release = k.env.profile.release;
  const out: Record<string, PseudoNode> = {
    'proc/cmdline': textNode(() => `${k.state.cmdline}\n`),
    'proc/version': textNode(() => `Linux version ${release} (kisim) #1\n`),
    'proc/uptime': textNode(() => {
      const s = (k.env.clock.state.uptimeUs / 1e6).toFixed(2);
      return `${s} ${s}\n`;
    }),
    'proc/modules': textNode(() => modulesText(k)),
    'proc/filesystems': textNode(() => FILE_SYSTEMS),
    'proc/meminfo': textNode(() => `MemTotal:       ${String(k.state.ramPages * 4).padStart(8)} kB\n`),
    'proc/mounts': textNode((task) => mountsText(k, task)),
    'proc/keys': textNode((task) => k.env.keyCalls.list(k.task(task.pid) ?? { ...task, sessionKeyring: 0 })),
    'proc/self/comm': textNode((task) => `${task.comm}\n`),
    'proc/self/cmdline': textNode((task) => `${task.exe}\0`),
    'proc/self/status': textNode(statusText),
    'proc/self/exe': {
      link: (task) => {
        const exe = k.task(task.pid)?.exeFile;
        return exe == null ? fail('ENOENT') : ok(k.env.vfs.file(exe.file).path);
      },
    },
    'proc/self/cwd': { link: (task) => ok(task.cwd) },
    'proc/self/root': { link: (task) => ok(task.root) },
    'proc/osrelease': textNode(() => `${release}\n`),
    'proc/ostype': textNode(() => 'Linux\n'),
    'proc/drop_caches': dropCaches(k),
    ...userNamespacePseudo(k),
  };
  for (const entry of SYSCTLS) out[`proc/sys/${entry.name}`] = sysctlNode(k, entry);
  return out;
}
