// The TPM in sysfs: its directory with one file per register, and the driver's bind and unbind nodes. A
// device that is bound again gets the next number; who kept the first one (IMA) goes on without a TPM.

import { fromLatin1, toHex, utf8 } from '../base/bytes.ts';
import type { Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import type { HashName } from '../crypto/provider.ts';
import type { PseudoNode, VfsApi } from '../vfs/api.ts';
import { S_IFLNK } from '../vfs/constants.ts';
import type { LateChip } from './chip.ts';
import type { Kernel } from './kernel.ts';
import { populateTree, rootOf } from './populate.ts';
import { dir, node, type TreeNode } from './procfs.ts';

const DEVICE = 'MSFT0101:00';
const PLATFORM = `devices/pci0000:00/0000:00:01.0/${DEVICE}`;
const PCRS = 24;

const link = (path: string, target: string): TreeNode => ({ path, mode: S_IFLNK | 0o777, target });

/** Nodes of a bound TPM, by its number. @kernel drivers/char/tpm/tpm-sysfs.c tpm2_dev_groups */
export function tpmTree(number: number, banks: readonly HashName[]): TreeNode[] {
  const at = `${PLATFORM}/tpm/tpm${number}`;
  const tree = [
    dir(PLATFORM, 0o755),
    dir(`${PLATFORM}/tpm`, 0o755),
    dir(at, 0o755),
    node(`${at}/uevent`, 0o644, `sys/tpm/${number}/uevent`),
    node(`${at}/dev`, 0o444, `sys/tpm/${number}/dev`),
    dir(`${at}/ppi`, 0o755),
    link(`${at}/device`, `../../../${DEVICE}`),
    node(`${at}/tpm_version_major`, 0o444, `sys/tpm/${number}/tpm_version_major`),
    link(`${at}/subsystem`, '../../../../../class/tpm'),
  ];
  for (const bank of banks) {
    tree.push(dir(`${at}/pcr-${bank}`, 0o755));
    for (let i = 0; i < PCRS; i++)
      tree.push(node(`${at}/pcr-${bank}/${i}`, 0o444, `sys/tpm/${number}/${bank}/${i}`));
  }
  tree.push(link(`class/tpm/tpm${number}`, `../../${at}`));
  return tree;
}

/** Nodes of the driver itself. */
export function tpmDriverTree(): TreeNode[] {
  const at = 'bus/platform/drivers/tpm_tis';
  return [
    ...['bus/platform', 'bus/platform/drivers', at].map((d) => dir(d, 0o755)),
    node(`${at}/bind`, 0o200, 'sys/tpm_tis/bind'),
    node(`${at}/unbind`, 0o200, 'sys/tpm_tis/unbind'),
  ];
}

function sysfsOf(vfs: VfsApi): number | undefined {
  for (const sb of vfs.state.superblocks.values()) if (sb.type === 'sysfs') return sb.id;
  return undefined;
}

/** Takes a name below the root of sysfs away. */
function removeNode(vfs: VfsApi, path: string): void {
  const sb = sysfsOf(vfs);
  if (sb === undefined) return;
  let at = vfs.dentry(vfs.superblock(sb).root);
  for (const name of path.split('/')) {
    const child = vfs.inode(at.inode).children?.get(name);
    if (child === undefined) return;
    at = vfs.dentry(child);
  }
  vfs.depopulate({ mount: rootOf(vfs, sb).mount, dentry: at.id });
}

const named = (data: Uint8Array): boolean => fromLatin1(data).replace(/[\n\0].*$/s, '') === DEVICE;

/** @kernel drivers/base/bus.c unbind_store(), drivers/char/tpm/tpm-chip.c tpm_del_char_device() */
function unbind(k: Kernel, chip: LateChip): PseudoNode {
  return {
    write: (_task, _file, data): Result<number> => {
      const { tpmNumber } = k.state;
      if (!named(data) || tpmNumber === null) return fail('ENODEV');
      chip.shutdown('clear');
      if (tpmNumber === 0) chip.unbind();
      removeNode(k.env.vfs, `class/tpm/tpm${tpmNumber}`);
      removeNode(k.env.vfs, `${PLATFORM}/tpm`);
      k.state = { ...k.state, tpmNumber: null };
      k.env.trace.emit('kernel.tpm_unbound', { number: tpmNumber });
      return ok(data.length);
    },
  };
}

/** @kernel drivers/base/bus.c bind_store() */
function bind(k: Kernel, chip: LateChip): PseudoNode {
  return {
    write: (_task, _file, data): Result<number> => {
      if (!named(data)) return fail('ENODEV');
      if (k.state.tpmNumber !== null) return fail('EBUSY');
      const number = k.state.tpmNext;
      k.state = { ...k.state, tpmNumber: number, tpmNext: number + 1 };
      const sb = sysfsOf(k.env.vfs);
      if (sb !== undefined) populateTree(k.env.vfs, sb, tpmTree(number, chip.allBanks));
      k.env.trace.emit('kernel.tpm_bound', { number });
      return ok(data.length);
    },
  };
}

/** A register of the bound device: upper-case hex and a newline; nothing when the TPM does not answer. */
function register(chip: LateChip, bank: HashName, pcr: number): PseudoNode {
  return {
    read: () => {
      const value = chip.readBound(pcr, bank);
      return ok(utf8(typeof value === 'number' ? '' : `${toHex(value).toUpperCase()}\n`));
    },
  };
}

const text = (content: string): PseudoNode => ({ read: () => ok(utf8(content)) });

/** Behaviour of a node by its key: `sys/tpm/NUMBER/NAME`, `sys/tpm/NUMBER/BANK/PCR`, `sys/tpm_tis/bind`. */
export function findTpmNode(k: Kernel, chip: LateChip | null, key: string): PseudoNode | undefined {
  if (chip === null) return undefined;
  if (key === 'sys/tpm_tis/bind') return bind(k, chip);
  if (key === 'sys/tpm_tis/unbind') return unbind(k, chip);
  const [, , number = '0', name = '', pcr] = key.split('/');
  if (pcr !== undefined) return register(chip, name as HashName, Number(pcr));
  if (name === 'uevent') return text(`MAJOR=10\nMINOR=224\nDEVNAME=tpm${number}\n`);
  if (name === 'dev') return text('10:224\n');
  if (name === 'tpm_version_major') return text('2\n');
  return undefined;
}
