// /sys and /dev as far as the simulator's kernel fills them: the TPM's registers, the firmware loader and
// its test device, the mount point of securityfs, and the block devices. Everything else of the device tree
// is left out.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import type { Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import type { HashName } from '../crypto/provider.ts';
import type { PseudoNode } from '../vfs/api.ts';
import { S_IFBLK, S_IFCHR } from '../vfs/constants.ts';
import { makedev } from '../vfs/device.ts';
import type { LateChip } from './chip.ts';
import { requestFirmware } from './firmware-loader.ts';
import type { Kernel } from './kernel.ts';
import { dir, node, type TreeNode } from './procfs.ts';
import { findTpmNode, tpmDriverTree, tpmTree } from './tpm-device.ts';

/** Nodes of sysfs; the TPM's directories follow its banks. */
export function sysTree(banks: readonly HashName[] | null): TreeNode[] {
  const tree: TreeNode[] = [
    ...['block', 'bus', 'class', 'devices', 'firmware', 'fs', 'kernel', 'module'].map((d) => dir(d, 0o755)),
    dir('kernel/security', 0o755),
    node('kernel/kexec_loaded', 0o444, 'sys/kexec_loaded'),
    dir('module/firmware_class', 0o755),
    dir('module/firmware_class/parameters', 0o755),
    node('module/firmware_class/parameters/path', 0o644, 'sys/firmware_path'),
    dir('module/dm_verity', 0o755),
    dir('module/dm_verity/parameters', 0o755),
    node('module/dm_verity/parameters/require_signatures', 0o444, 'sys/require_signatures'),
    dir('module/ipe', 0o755),
    dir('module/ipe/parameters', 0o755),
    node('module/ipe/parameters/success_audit', 0o400, 'sys/ipe_success_audit'),
    node('module/ipe/parameters/enforce', 0o400, 'sys/ipe_enforce'),
    dir('module/module', 0o755),
    dir('module/module/parameters', 0o755),
    node('module/module/parameters/sig_enforce', 0o644, 'sys/sig_enforce'),
    dir('devices/virtual', 0o755),
    dir('devices/virtual/misc', 0o755),
    dir('devices/virtual/misc/test_firmware', 0o755),
    node('devices/virtual/misc/test_firmware/trigger_request', 0o200, 'sys/trigger_request'),
    dir('devices/platform', 0o755),
    dir('class/tpm', 0o755),
  ];
  return banks === null ? tree : [...tree, ...tpmDriverTree(), ...tpmTree(0, banks)];
}

const trimmed = (data: Uint8Array): string => fromLatin1(data).replace(/[\n\0].*$/s, '');

/**
 * The search path of the firmware loader; one trailing newline is dropped.
 * @kernel drivers/base/firmware_loader/main.c fw_path_para
 */
function firmwarePath(k: Kernel): PseudoNode {
  return {
    read: () => ok(utf8(`${k.state.sysctl.get('firmware_class.path') ?? ''}\n`)),
    write: (_task, _file, data): Result<number> => {
      if (data.length >= 256) return fail('ENOSPC');
      k.state = { ...k.state, sysctl: k.state.sysctl.set('firmware_class.path', trimmed(data)) };
      return ok(data.length);
    },
  };
}

/**
 * A module parameter that can only be switched on.
 * @kernel kernel/params.c param_set_bool_enable_only()
 */
function sigEnforce(k: Kernel): PseudoNode {
  const value = (): string => k.state.sysctl.get('module.sig_enforce') ?? 'N';
  return {
    read: () => ok(utf8(`${value()}\n`)),
    write: (_task, _file, data): Result<number> => {
      const word = trimmed(data);
      const on = /^(1|[yYtT].*|[oO][nN].*)$/s.test(word);
      const off = /^(0|[nNfF].*|[oO][fF].*)$/s.test(word);
      if (!on && !off) return fail('EINVAL');
      if (off && value() === 'Y') return fail('EROFS');
      if (on) k.state = { ...k.state, sysctl: k.state.sysctl.set('module.sig_enforce', 'Y') };
      return ok(data.length);
    },
  };
}

/**
 * Asks the firmware loader for a file by name, as a driver does.
 * @kernel lib/test_firmware.c trigger_request_store()
 */
function triggerRequest(k: Kernel): PseudoNode {
  return {
    write: (task, _file, data): Result<number> => {
      const loaded = requestFirmware(k, task, fromLatin1(data).replace(/\0.*$/s, ''));
      return loaded.ok ? ok(data.length) : loaded;
    },
  };
}

/** A boolean parameter that can only be read. @kernel kernel/params.c param_get_bool() */
const shownBool = (value: () => boolean): PseudoNode => ({
  read: () => ok(utf8(value() ? 'Y\n' : 'N\n')),
});

/** What of the LSMs' state sysfs shows: the parameters are the very switches that securityfs sets. */
export interface ShownSwitches {
  readonly enforce: boolean;
  readonly successAudit: boolean;
}

/** Behaviour of the nodes of sysfs, by key. */
export function sysPseudo(
  k: Kernel,
  chip: LateChip | null,
  ipe: () => ShownSwitches,
): (key: string) => PseudoNode | undefined {
  const nodes: Readonly<Record<string, PseudoNode>> = {
    'sys/kexec_loaded': { read: () => ok(utf8(`${k.state.kexec === null ? 0 : 1}\n`)) },
    'sys/firmware_path': firmwarePath(k),
    'sys/sig_enforce': sigEnforce(k),
    'sys/trigger_request': triggerRequest(k),
    'sys/require_signatures': shownBool(() => k.state.sysctl.has('dm_verity.require_signatures')),
    'sys/ipe_success_audit': shownBool(() => ipe().successAudit),
    'sys/ipe_enforce': shownBool(() => ipe().enforce),
  };
  return (key) => nodes[key] ?? findTpmNode(k, chip, key);
}

const TPM_MINOR = 224;
/** Major number of virtio block devices, 16 minors each. */
const VIRTBLK_MAJOR = 254;

/** Device number of a block device by its kernel name; vda = 254:0, vdb = 254:16 ... */
export function diskNumber(name: string): number {
  const m = /^vd([a-z])(\d*)$/.exec(name);
  const letter = m?.[1] ?? 'a';
  return makedev(VIRTBLK_MAJOR, (letter.charCodeAt(0) - 97) * 16 + Number(m?.[2] || 0));
}

/** Nodes of devtmpfs: character devices that programs open, and one node per disk. */
export function devTree(disks: readonly string[], tpm: boolean): TreeNode[] {
  const chr = (path: string, mode: number, major: number, minor: number): TreeNode => ({
    path,
    mode: S_IFCHR | mode,
    rdev: makedev(major, minor),
  });
  const tree = [
    chr('console', 0o600, 5, 1),
    chr('null', 0o666, 1, 3),
    chr('zero', 0o666, 1, 5),
    chr('full', 0o666, 1, 7),
    chr('random', 0o666, 1, 8),
    chr('urandom', 0o666, 1, 9),
    dir('mapper', 0o755),
    chr('mapper/control', 0o600, 10, 236),
  ];
  if (tpm) tree.push(chr('tpm0', 0o600, 10, TPM_MINOR));
  for (const d of disks) tree.push({ path: d, mode: S_IFBLK | 0o600, rdev: diskNumber(d) });
  return tree;
}

/**
 * Drivers of character devices by number. /dev/tpm0 takes one command per write and keeps its response for
 * the next read; device-mapper's control node can be opened, its ioctls are calls of their own.
 * @kernel drivers/char/tpm/tpm-dev-common.c tpm_common_write()
 */
export function devPseudo(
  execute: ((command: Uint8Array) => Uint8Array) | null,
): Readonly<Record<string, PseudoNode>> {
  const control: PseudoNode = {};
  if (execute === null) return { 'chr:10:236': control };
  return {
    'chr:10:236': control,
    [`chr:10:${TPM_MINOR}`]: {
      write: (_task, _file, data): Result<number> => {
        if (data.length < 6) return fail('EINVAL');
        execute(data);
        return ok(data.length);
      },
    },
  };
}
