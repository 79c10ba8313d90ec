// From power-on to the first task: firmware, command line, root file system, pseudo file systems, LSM and
// IMA/EVM start-up in the kernel's initcall order, initial ram disk, certificates, /init. What a real boot
// does besides leaves no trace here.

import { type Err, negative } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { step } from '../base/table.ts';
import { EVM_SECURITYFS } from '../evm/securityfs.ts';
import { newEvm } from '../evm/state.ts';
import { newIma } from '../ima/boot.ts';
import { imaSecurityfs } from '../ima/securityfs.ts';
import { newKeyrings } from '../integrity/keyrings.ts';
import { kstrtobool } from '../ipe/kstrtobool.ts';
import { S_IFLNK, S_IFREG } from '../vfs/constants.ts';
import type { DentryId, DiskLayout, SbId } from '../vfs/types.ts';
import type { DiskSpec, MachineConfig } from './api.ts';
import { integrityKeyring, integrityLoadKeys, startKeyrings, startLsms } from './boot-security.ts';
import { stampsOf } from './build-stamps.ts';
import { type CommandLine, parseCmdline, runSetup, type SetupEntry } from './cmdline.ts';
import { readArchive } from './cpio.ts';
import { disksOnly } from './disks.ts';
import { kernelExecve } from './exec.ts';
import { findExtension } from './extension.ts';
import { measuredBoot } from './measured-boot.ts';
import { populateFiles, populateTree, rootOf, unpackInitramfs } from './populate.ts';
import { powerTable } from './power.machine.ts';
import { dir, node, procTree, type TreeNode } from './procfs.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Rooms } from './rooms.ts';
import { securityfsNodes } from './securityfs.ts';
import { type BootSetup, kernelTask, newKernel, ramPagesOf, type Task } from './state.ts';
import { devTree, diskNumber, sysTree } from './sysfs.ts';

/** Virtual microseconds that firmware and kernel take. */
const FIRMWARE_US = 1_500_000;
const KERNEL_US = 500_000;
const INIT_NS = 0;
const INIT_PID = 1;

/** __setup() entries of the rooms, in link order. */
function setupTable(r: Rooms): readonly SetupEntry[] {
  const ima = (name: string, withValue: boolean): SetupEntry => ({
    key: withValue ? `${name}=` : name,
    run: (rest) => r.ima.setup(name, rest),
  });
  return [
    ima('integrity_audit', true),
    ima('ima_hash', true),
    ima('ima_template', true),
    ima('ima_template_fmt', true),
    ima('ima_tcb', false),
    ima('ima_policy', true),
    ima('ima_appraise_tcb', false),
    ima('ima_appraise', true),
    ima('ima_canonical_fmt', false),
    {
      key: 'evm=',
      run: (rest) => {
        r.evm.setup(rest);
        return true;
      },
    },
  ];
}

/** Boot parameters of the designs of this kernel; what follows each key is kept in `given`. */
function extensionSetup(r: Rooms, given: Map<string, string>): readonly SetupEntry[] {
  return (r.kernel.state.image.proposals ?? [])
    .flatMap((name) => findExtension(name)?.setup ?? [])
    .map((key) => ({
      key,
      run: (rest: string) => {
        given.set(key, rest);
        return true;
      },
    }));
}

/** The last value that the command line gives a parameter. */
function lastValue(line: CommandLine, name: string): string | undefined {
  const found = line.params.filter((p) => p.name.replace(/-/g, '_') === name);
  const last = found[found.length - 1];
  return last === undefined ? undefined : (last.value ?? '');
}

/**
 * A boolean module parameter: the last word that is one counts, a bare name means true.
 * @kernel kernel/params.c param_set_bool()
 */
function boolParameter(line: CommandLine, name: string): boolean | undefined {
  let out: boolean | undefined;
  for (const p of line.params)
    if (p.name.replace(/-/g, '_') === name) out = kstrtobool(p.value ?? '1') ?? out;
  return out;
}

/** A size with a suffix, in KiB; null for none. @kernel lib/cmdline.c memparse() */
function memparse(text: string | undefined): number | null {
  const m = /^(0[xX][0-9a-fA-F]+|\d+)([kKmMgG]?)/.exec(text ?? '');
  if (m === null) return null;
  const unit = { '': 1 / 1024, k: 1, m: 1024, g: 1048576 }[(m[2] ?? '').toLowerCase()] ?? 0;
  const kb = Number(m[1]) * unit;
  return kb > 0 ? kb : null;
}

/** Reads the command line: module parameters go to sysctls, the rest to the __setup() entries. */
function parseParameters(r: Rooms, text: string): CommandLine {
  const line = parseCmdline(text);
  const given = new Map<string, string>();
  const left = runSetup(line, [...setupTable(r), ...extensionSetup(r, given)]);
  r.extensions.start(r.kernel.state.image.proposals ?? [], given);
  const k = r.kernel;
  let { sysctl } = k.state;
  const enforce = lastValue(line, 'module.sig_enforce');
  if (enforce !== undefined && /^(|1|[yYtT]|[oO][nN])/.test(enforce))
    sysctl = sysctl.set('module.sig_enforce', 'Y');
  const firmware = lastValue(line, 'firmware_class.path');
  if (firmware !== undefined) sysctl = sysctl.set('firmware_class.path', firmware);
  if (boolParameter(line, 'dm_verity.require_signatures') === true)
    sysctl = sysctl.set('dm_verity.require_signatures', 'Y');
  const limit = memparse(lastValue(line, 'mem'));
  const ramPages = limit === null ? k.state.ramPages : ramPagesOf(Math.min(limit, k.state.memoryKb));
  k.state = { ...k.state, ramPages, cmdline: text, initArgs: left.initArgs, initEnv: left.initEnv, sysctl };
  return line;
}

/**
 * The root file system is a tmpfs unless the command line names another type or a root device.
 * @kernel init/do_mounts.c init_rootfs()
 * @deviation a ramfs root is of the type ramfs for fsname= rules, not rootfs
 */
function mountRootfs(r: Rooms, line: CommandLine): Task {
  const types = lastValue(line, 'rootfstype');
  const tmpfs = lastValue(line, 'root') === undefined && (types === undefined || types.includes('tmpfs'));
  const sb = r.vfs.createSuperblock({ type: tmpfs ? 'rootfs' : 'ramfs', sid: 'rootfs', rootMode: 0o755 });
  const root = r.vfs.attach(sb, INIT_NS, null);
  // With CONFIG_SMP the idle task has the number of its CPU in its name.
  const task = kernelTask(root, INIT_NS, enabled(r.profile, 'CONFIG_SMP') ? 'swapper/0' : 'swapper');
  r.kernel.state = { ...r.kernel.state, root, tasks: r.kernel.state.tasks.set(INIT_PID, task) };
  return task;
}

function attachDisk(r: Rooms, disk: DiskSpec): void {
  const { vfs } = r;
  const sb = vfs.createSuperblock({
    type: disk.type,
    sid: disk.name,
    device: disk.name,
    ...(disk.uuid === undefined ? {} : { uuid: disk.uuid }),
    ...(disk.firstIno === undefined ? {} : { firstIno: disk.firstIno }),
    ...(disk.iVersion === undefined ? {} : { iVersion: disk.iVersion }),
    ...(disk.fsVerity === undefined ? {} : { fsVerity: disk.fsVerity }),
  });
  vfs.addDevice(disk.name, diskNumber(disk.name), sb);
  populateFiles(vfs, rootOf(vfs, sb), disk.files, disk.type === 'ext4' ? ['/lost+found'] : []);
  if (disk.readonly === true) vfs.updateDevice(disk.name, { readonly: true });
  vfs.setDiskLayout(disk.name, sb, layoutOf(r, sb, disk));
}

/** What the disk says of its blocks, with the files' inodes. */
function layoutOf(r: Rooms, sb: SbId, disk: DiskSpec): DiskLayout {
  const { vfs } = r;
  const root = vfs.superblock(sb).root;
  const files = Object.entries(disk.files).flatMap(([path, file]) => {
    if (file.blocks === undefined) return [];
    let at: DentryId | undefined = root;
    for (const name of path.split('/').filter((n) => n !== ''))
      at = at === undefined ? undefined : vfs.inode(vfs.dentry(at).inode).children?.get(name);
    return at === undefined ? [] : [{ inode: vfs.dentry(at).inode, blocks: file.blocks }];
  });
  const { size, firstBlock } = disk;
  return {
    files,
    ...(size === undefined ? {} : { size }),
    ...(firstBlock === undefined ? {} : { firstBlock }),
  };
}

function attachDisks(r: Rooms, config: MachineConfig): void {
  for (const disk of config.disks ?? []) attachDisk(r, disk);
  for (const raw of config.rawDisks ?? []) {
    r.vfs.addDevice(raw.name, diskNumber(raw.name), null);
    const size = raw.content?.length ?? raw.size;
    if (size !== undefined) r.vfs.updateDevice(raw.name, { size });
    if (raw.content !== undefined) r.vfs.updateDevice(raw.name, { content: raw.content });
  }
  const trees = (config.rawDisks ?? []).flatMap((raw) => {
    const data = config.disks?.find((d) => d.name === raw.hashTreeOf);
    if (data?.verity === undefined) return [];
    return [{ hashDevice: raw.name, dataDevice: data.name, ...data.verity }];
  });
  r.kernel.state = { ...r.kernel.state, hashTrees: trees };
}

const link = (path: string, target: string): TreeNode => ({ path, mode: S_IFLNK | 0o444, target });

/** smackfs, and the labels of tasks in proc. @kernel security/smack/smackfs.c init_smk_fs() */
function smackFileSystems(r: Rooms): void {
  const sb = r.vfs.createSuperblock({ type: 'smackfs' });
  populateTree(r.vfs, sb, [node('load2', 0o644, 'smack/load2')]);
  const [proc, sys] = (['proc', 'sysfs'] as const).map((t) =>
    r.vfs.state.superblocks.find((s) => s.type === t),
  );
  if (proc === undefined || sys === undefined) return;
  populateTree(r.vfs, sys.id, [dir('fs/smackfs')]);
  const nodes = ['self/attr/current', 'self/attr/smack/current'].map((p) => node(p, 0o666, 'smack/current'));
  populateTree(r.vfs, proc.id, [dir('self/attr'), dir('self/attr/smack'), ...nodes]);
}

/** Superblocks of proc, sysfs, devtmpfs and securityfs, with what is there before user space. */
function pseudoFileSystems(r: Rooms): SbId {
  const { vfs } = r;
  const disks = [...vfs.state.devices.keys()].sort();
  populateTree(vfs, vfs.createSuperblock({ type: 'proc' }), procTree(r.kernel.state.cmdline));
  populateTree(vfs, vfs.createSuperblock({ type: 'sysfs' }), sysTree(r.chip?.banks ?? null));
  populateTree(vfs, vfs.createSuperblock({ type: 'devtmpfs' }), devTree(disks, r.chip !== null));
  const security = vfs.createSuperblock({ type: 'securityfs' });
  populateTree(vfs, security, [node('lsm', 0o444, 'kernel/lsm')]);
  return security;
}

function tpmNodes(r: Rooms): TreeNode[] {
  if (r.chip === null) return [];
  const nodes = [dir('tpm0', 0o755)];
  // An ascii form is there for TPM 1.2 only.
  if (r.kernel.state.eventLog.length > 0) {
    nodes.push(node('tpm0/binary_bios_measurements', 0o440, 'kernel/binary_bios_measurements'));
  }
  return nodes;
}

function imaNodes(r: Rooms): TreeNode[] {
  return imaSecurityfs(r.ima).map((n) => {
    const path = `integrity/ima/${n.name}`;
    if (n.symlink !== undefined) return link(path, n.symlink);
    return node(path, n.mode, n.key ?? '');
  });
}

/** late_initcall of the integrity rooms: their nodes, IMA's first measurement, EVM. */
function integrityInit(r: Rooms, init: Task, security: SbId, kexecBuffer: Uint8Array | null): void {
  const { profile, vfs } = r;
  const ima = enabled(profile, 'CONFIG_IMA');
  const evm = enabled(profile, 'CONFIG_EVM');
  if (ima || evm) populateTree(vfs, security, [dir('integrity', 0o755)]);
  const { image } = r.kernel.state;
  if (ima) {
    integrityKeyring(r, 'ima', image);
    // Without a template or a hash IMA does not come up, and has no nodes.
    if (r.ima.init(init, { kexecBuffer }) === 0) {
      populateTree(vfs, security, [dir('integrity/ima', 0o755), link('ima', 'integrity/ima')]);
      populateTree(vfs, security, imaNodes(r));
    }
  }
  if (evm) {
    integrityKeyring(r, 'evm', image);
    const nodes = EVM_SECURITYFS.map((n) => ({
      path: `integrity/evm/${n.name}`,
      mode: S_IFREG | n.mode,
      pseudo: n.key,
    }));
    populateTree(vfs, security, [dir('integrity/evm', 0o755), ...nodes, link('evm', 'integrity/evm/evm')]);
  }
}

/** A design's node takes the place of one that is there already. */
function extensionNodes(r: Rooms, security: SbId): void {
  const { remove } = securityfsNodes(r.vfs);
  const nodes = r.extensions.nodes.map((n) =>
    n.node === undefined ? dir(n.path, n.mode) : node(n.path, n.mode, n.key),
  );
  for (const { path } of nodes) remove(path);
  if (nodes.length > 0) populateTree(r.vfs, security, nodes);
}

/** Starts /init (rdinit=, init=, then the usual places). @kernel init/main.c kernel_init() */
function startInit(r: Rooms, line: CommandLine): void {
  const k = r.kernel;
  const rdinit = lastValue(line, 'rdinit') ?? '/init';
  const given = lastValue(line, 'init');
  const candidates =
    given === undefined ? [rdinit, '/sbin/init', '/etc/init', '/bin/init', '/bin/sh'] : [rdinit, given];
  for (const path of candidates) {
    const id = k.env.trace.open('boot.init', { path });
    const err: Err = kernelExecve(k, INIT_PID, path, [path, ...k.state.initArgs]);
    k.env.trace.close(id);
    if (err === 0 && k.task(INIT_PID)?.exeFile != null) return;
    if (err !== 'ENOENT') k.printk(`Failed to execute ${path} (error ${negative(err)})`);
  }
  const panic = 'No working init found.  Try passing init= option to kernel.';
  k.printk(`Kernel panic - not syncing: ${panic}`);
  k.env.trace.emit('kernel.panic', { panic }, 'kernel.no_init');
  k.state = { ...k.state, panic, tasks: k.state.tasks.clear() };
}

/** The initial ram disk, with the archive that the boot loader handed over. @kernel init/initramfs.c */
function initramfs(r: Rooms, init: Task): void {
  const { image } = r.kernel.state;
  if (image.initramfsImage === undefined) {
    unpackInitramfs(r.vfs, init.root, image.initramfs);
    return;
  }
  const forms = (image.proposals ?? []).flatMap((name) => findExtension(name)?.archiveForms ?? []);
  const { files, problem } = readArchive(image.initramfsImage, forms);
  const given = Object.fromEntries(files.map((f) => [f.path, f.spec]));
  unpackInitramfs(r.vfs, init.root, { ...image.initramfs, ...given }, true);
  if (problem === null) return;
  r.kernel.printk(`Initramfs unpacking failed: ${problem}`);
  r.trace.emit('boot.initramfs', { problem }, KERNEL_REASON['kernel.initramfs_bad']);
}

/** Everything the kernel does until /init runs; the TPM is started and the disks are known. */
export function bootKernel(
  r: Rooms,
  cmdline: string,
  withInitramfs: boolean,
  kexecBuffer: Uint8Array | null,
): void {
  const { trace, vfs } = r;
  const { image } = r.kernel.state;
  const id = trace.open('boot.kernel', { release: r.profile.release, cmdline });
  r.clock.advance(KERNEL_US);
  r.kernel.state = { ...r.kernel.state, boots: r.kernel.state.boots + 1 };
  const line = parseParameters(r, cmdline);
  const init = mountRootfs(r, line);
  const security = pseudoFileSystems(r);
  const parameters = {
    lsm: lastValue(line, 'lsm'),
    ipeEnforce: boolParameter(line, 'ipe.enforce'),
    ipeSuccessAudit: boolParameter(line, 'ipe.success_audit'),
  };
  startLsms(r, parameters, image);
  if (r.smack.state.active) smackFileSystems(r);
  populateTree(vfs, security, tpmNodes(r));
  if (withInitramfs) initramfs(r, init);
  r.hooks.initramfsPopulated(vfs.mountOf(init.root.mount).sb);
  startKeyrings(r, image);
  integrityInit(r, init, security, kexecBuffer);
  extensionNodes(r, security);
  integrityLoadKeys(r, init);
  startInit(r, line);
  trace.close(id);
}

/**
 * What lies in memory goes: tasks, mounts, open files, keys, the measurement list, caches. The disks stay,
 * and so does what the board was set up with.
 * @kernel kernel/reboot.c kernel_restart_prepare()
 */
export function forgetMemory(r: Rooms, cmdline: string): void {
  const { image, setup, hashTrees, boots, memoryKb, power } = r.kernel.state;
  r.vfs.state = disksOnly(r.vfs);
  r.audit.state = { ...r.audit.state, integrityAudit: false };
  r.keys.state = newKeyrings();
  r.evm.state = newEvm(r.profile);
  r.ima.state = newIma(r.profile);
  r.kernel.state = { ...newKernel(cmdline, image, memoryKb), hashTrees, setup, boots, power };
  r.chip?.rebind();
}

/** Firmware and boot loader: the TPM starts, what runs next is measured. */
function runFirmware(r: Rooms, { cmdline = '', firmware }: BootSetup): void {
  const id = r.trace.open('boot.firmware', {});
  r.clock.advance(FIRMWARE_US);
  if (r.tpm !== null && r.chip !== null) {
    const facts = {
      release: r.profile.release,
      cmdline,
      ...stampsOf(r.profile, r.kernel.state.image, firmware),
    };
    const eventLog = measuredBoot(r.tpm, r.chip, r.trace, firmware, facts);
    r.kernel.state = { ...r.kernel.state, eventLog };
  }
  r.trace.close(id);
}

/**
 * From power-on to the first task, as the board is set up; `firstDisks` makes those of a new machine.
 * @kernel init/main.c start_kernel()
 */
export function powerOn(r: Rooms, firstDisks: MachineConfig | null = null): void {
  const { setup } = r.kernel.state;
  runFirmware(r, setup);
  if (firstDisks !== null) attachDisks(r, firstDisks);
  bootKernel(r, setup.cmdline ?? '', true, null);
  r.kernel.state = { ...r.kernel.state, power: step(powerTable, 'starting', 'STARTED') };
}
