// Device-mapper: create, load a table, resume, remove, with the critical-data records that IMA gets
// (dm-ima). Targets are verity and linear; one target per table. A verity device shows the data disk's
// files read-only when its root hash is the one the hash tree was made with, and nothing that can be
// mounted otherwise.

import { concat, equalBytes, toHex, utf8 } from '../base/bytes.ts';
import type { Err, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import { crypto } from '../crypto/provider.ts';
import { CAP_SYS_ADMIN, S_IFBLK, S_IFMT } from '../vfs/constants.ts';
import { major, makedev, minor } from '../vfs/device.ts';
import { DM_VERITY_DEFAULT } from '../vfs/dmverity.ts';
import type { DmTable } from './api.ts';
import { mirrorFileSystem } from './dm-mirror.ts';
import { type VerityTable, verityCtr, verityImaText, verityOpened } from './dm-verity.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { DmDevice, DmTarget, Task } from './state.ts';
import { capable } from './task.ts';

const DM_MAJOR = 253;
const DM_VERSION = 'dm_version=4.48.0;';
const LABEL = 'device-mapper';
const SECTOR = 512;

/** Escapes the separators of the key=value text. @kernel drivers/md/dm-ima.c fix_separator_chars() */
function escaped(text: string): string {
  return text.replace(/[\\;=,]/g, '\\$&');
}

/** @kernel drivers/md/dm-ima.c dm_ima_alloc_and_copy_device_data() */
function deviceData(name: string, dmMinor: number): string {
  return `name=${escaped(name)},uuid=,major=${DM_MAJOR},minor=${dmMinor},minor_count=1,num_targets=1;`;
}

function measure(k: Kernel, task: Task, event: string, text: string): void {
  k.env.listeners.criticalData?.(task, LABEL, event, utf8(text), false);
}

const capacity = (device: DmDevice): number => device.active?.sectors ?? 0;

function find(k: Kernel, name: string): DmDevice | undefined {
  return k.state.dm.find((d) => d.name === name);
}

/** All device-mapper devices, and a mark on the block devices that their tables stand on. */
function setDevices(k: Kernel, dm: readonly DmDevice[]): void {
  const { vfs } = k.env;
  const below = (list: readonly DmDevice[]): string[] =>
    list.flatMap((d) => [d.active, d.inactive].flatMap((t) => (t === null ? [] : t.devices)));
  const now = new Set(below(dm));
  for (const name of below(k.state.dm)) if (!now.has(name)) vfs.updateDevice(name, { claimed: false });
  for (const name of now) vfs.updateDevice(name, { claimed: true });
  k.state = { ...k.state, dm };
}

function replace(k: Kernel, device: DmDevice): void {
  setDevices(
    k,
    k.state.dm.map((d) => (d.name === device.name ? device : d)),
  );
}

/** "only root can play with this" */
function allowed(k: Kernel, task: Task): Err {
  if (capable(task, CAP_SYS_ADMIN)) return 0;
  return k.refuse('EACCES', KERNEL_REASON['kernel.not_capable'], { capability: 'CAP_SYS_ADMIN' });
}

/** @kernel drivers/md/dm-ioctl.c dev_create() */
export function dmCreate(k: Kernel, task: Task, name: string): Result<number> {
  const err = allowed(k, task);
  if (err !== 0) return fail(err);
  if (name === '' || name.includes('/') || name === 'control' || name === '.' || name === '..') {
    return fail('EINVAL');
  }
  if (find(k, name) !== undefined) return fail('EBUSY');
  let free = 0;
  while (k.state.dm.some((d) => d.minor === free)) free++;
  const device: DmDevice = { name, minor: free, active: null, inactive: null };
  setDevices(k, [...k.state.dm, device]);
  const number = makedev(DM_MAJOR, free);
  k.env.vfs.addDevice(`dm-${free}`, number, null);
  k.env.trace.emit('kernel.dm_create', { name, device: `dm-${free}` });
  return ok(number);
}

/**
 * Name of the block device that a parameter means: a path, or `major:minor`. It is claimed for device-mapper,
 * which a mounted file system has done already.
 * @kernel drivers/md/dm-table.c dm_get_device(), block/bdev.c lookup_bdev(), bd_prepare_to_claim()
 */
function deviceNamed(k: Kernel, task: Task, text: string): Result<string> {
  const { vfs } = k.env;
  const numbers = /^(\d+):(\d+)$/.exec(text);
  let rdev: number;
  if (numbers !== null) rdev = makedev(Number(numbers[1]), Number(numbers[2]));
  else {
    const found = vfs.lookup(task, text);
    if (!found.ok) return found;
    const inode = vfs.inodeOf(found.value);
    if ((inode.mode & S_IFMT) !== S_IFBLK) return fail('ENOTBLK');
    rdev = inode.rdev;
  }
  for (const device of vfs.state.devices.values()) {
    if (device.rdev !== rdev) continue;
    const mounted = device.sb !== null && vfs.superblock(device.sb).mounted > 0;
    return mounted ? fail('EBUSY') : ok(device.name);
  }
  return fail('ENXIO');
}

const numberOf =
  (k: Kernel) =>
  (device: string): string => {
    const rdev = k.env.vfs.state.devices.get(device)?.rdev ?? 0;
    return `${major(rdev)}:${minor(rdev)}`;
  };

/** @kernel drivers/md/dm-linear.c linear_ctr(), linear_status() */
function linearText(k: Kernel, task: Task, params: string): Result<{ text: string; device: string }> {
  const [path, start, ...rest] = params.split(/\s+/).filter((w) => w !== '');
  if (path === undefined || start === undefined || rest.length > 0 || !/^\d+$/.test(start))
    return fail('EINVAL');
  const device = deviceNamed(k, task, path);
  if (!device.ok) return device;
  const text = `target_name=linear,target_version=1.4.0,device_name=${numberOf(k)(device.value)},start=${start};`;
  return ok({ text, device: device.value });
}

/**
 * Parses the table, measures it and keeps it as the inactive one.
 * @kernel drivers/md/dm-ioctl.c table_load(), drivers/md/dm-ima.c dm_ima_measure_on_table_load()
 */
export function dmTableLoad(k: Kernel, task: Task, table: DmTable): Err {
  const err = allowed(k, task);
  if (err !== 0) return err;
  const device = find(k, table.name);
  if (device === undefined) return 'ENXIO';
  if (table.sectors <= 0) return 'EINVAL';
  let verity: VerityTable | null = null;
  let text: string;
  let below: string;
  let devices: readonly string[];
  if (table.target === 'verity') {
    const made = verityCtr(k, task, table.params, table.sectors, (t) => deviceNamed(k, task, t));
    if (!made.ok) return k.refuse(made.errno, KERNEL_REASON['kernel.dm_refused'], { name: table.name });
    verity = made.value;
    below = verity.dataDevice;
    devices = [below, verity.hashDevice];
    text = verityImaText(verity, numberOf(k));
  } else if (table.target === 'linear') {
    const made = linearText(k, task, table.params);
    if (!made.ok) return k.refuse(made.errno, KERNEL_REASON['kernel.dm_refused'], { name: table.name });
    below = made.value.device;
    devices = [below];
    text = made.value.text;
  } else return k.refuse('EINVAL', KERNEL_REASON['kernel.dm_refused'], { target: table.target });
  // validate_hardware_logical_block_alignment(): the target asks for whole data blocks.
  if (table.sectors % ((verity?.dataBlockSize ?? SECTOR) / SECTOR) !== 0)
    return k.refuse('EINVAL', KERNEL_REASON['kernel.dm_refused'], { name: table.name });
  const whole = `${DM_VERSION}${deviceData(table.name, device.minor)}target_index=0,target_begin=0,target_len=${table.sectors},${text}`;
  measure(k, task, 'dm_table_load', whole);
  const inactive: DmTarget = {
    target: table.target,
    sectors: table.sectors,
    below,
    devices,
    verity,
    tableHash: `sha256:${toHex(crypto().hash('sha256', utf8(whole)))}`,
  };
  replace(k, { ...device, inactive });
  return 0;
}

/** The tree of a formatted disk has the sizes of DM_VERITY_DEFAULT: read with others, its first block is none. */
function readAsFormatted(table: VerityTable): boolean {
  const { alg, dataBlockSize, hashBlockSize, hashType } = DM_VERITY_DEFAULT;
  if (table.alg !== alg || table.version !== hashType) return false;
  return table.dataBlockSize === dataBlockSize && table.hashBlockSize === hashBlockSize;
}

/** Whether the hash device holds the tree of the data device with this root and salt. */
function treeFits(k: Kernel, table: VerityTable): boolean {
  const tree = k.state.hashTrees.find((t) => t.hashDevice === table.hashDevice);
  if (tree === undefined || tree.dataDevice !== table.dataDevice) return false;
  if (k.env.vfs.state.blocks.changed.includes(table.hashDevice)) return false;
  return (
    readAsFormatted(table) &&
    equalBytes(concat(tree.rootHash, tree.salt), concat(table.rootDigest, table.salt))
  );
}

/** Bytes that the file system below needs; a device that is shorter cannot be mounted. */
function fileSystemSize(k: Kernel, target: DmTarget): number {
  const { verity } = target;
  const known = k.env.vfs.state.devices.get(target.below)?.size;
  return known ?? (verity === null ? 0 : verity.dataBlocks * verity.dataBlockSize);
}

/** Puts the file system below (or nothing) on the device, and its integrity properties. */
function activate(k: Kernel, device: DmDevice, target: DmTarget): void {
  const { vfs } = k.env;
  const name = `dm-${device.minor}`;
  const number = makedev(DM_MAJOR, device.minor);
  const lower = vfs.state.devices.get(target.below)?.sb ?? null;
  const { verity } = target;
  const readable = lower !== null && (verity === null || treeFits(k, verity));
  const whole = lower !== null && target.sectors * SECTOR >= fileSystemSize(k, target);
  const copy = readable && whole ? mirrorFileSystem(vfs, lower, name, verity !== null) : null;
  vfs.addDevice(name, number, copy);
  vfs.updateDevice(name, { size: target.sectors * SECTOR });
  if (verity === null) return;
  const properties = { alg: verity.alg, rootHash: verity.rootDigest, signed: verity.sigKey !== null };
  const opened = verityOpened(k, verity);
  if (opened !== undefined) vfs.updateDevice(name, { opened });
  vfs.updateDevice(name, { readonly: true, unreadable: lower !== null && !readable, verity: properties });
  k.env.hooks.bdevSetIntegrity(name);
}

/** @kernel drivers/md/dm-ioctl.c do_resume(), drivers/md/dm-ima.c dm_ima_measure_on_device_resume() */
export function dmResume(k: Kernel, task: Task, name: string): Err {
  const err = allowed(k, task);
  if (err !== 0) return err;
  const device = find(k, name);
  if (device === undefined) return 'ENXIO';
  const active = device.inactive ?? device.active;
  if (active === null) return 'EINVAL';
  const now: DmDevice = { ...device, active, inactive: null };
  if (device.inactive !== null) activate(k, device, active);
  replace(k, now);
  const hash = active.tableHash === null ? '' : `active_table_hash=${active.tableHash};`;
  measure(
    k,
    task,
    'dm_device_resume',
    `${DM_VERSION}${deviceData(name, device.minor)}${hash}current_device_capacity=${capacity(now)};`,
  );
  return 0;
}

/** @kernel drivers/md/dm-ioctl.c dev_remove(), drivers/md/dm-ima.c dm_ima_measure_on_device_remove() */
export function dmRemove(k: Kernel, task: Task, name: string): Err {
  const err = allowed(k, task);
  if (err !== 0) return err;
  const device = find(k, name);
  if (device === undefined) return 'ENXIO';
  const { vfs } = k.env;
  const block = `dm-${device.minor}`;
  const sb = vfs.state.devices.get(block)?.sb ?? null;
  if (sb !== null && vfs.superblock(sb).mounted > 0) return 'EBUSY';
  setDevices(
    k,
    k.state.dm.filter((d) => d !== device),
  );
  vfs.removeDevice(block);
  // Without a table only the name could be told, and that is gone from the hash already: nothing is measured.
  if (device.active === null && device.inactive === null) return 0;
  const meta = deviceData(name, device.minor);
  let text = DM_VERSION;
  if (device.active !== null) text += `device_active_metadata=${meta}`;
  if (device.inactive !== null) text += `device_inactive_metadata=${meta}`;
  if (device.active !== null) text += `active_table_hash=${device.active.tableHash},`;
  if (device.inactive !== null) text += `inactive_table_hash=${device.inactive.tableHash},`;
  measure(k, task, 'dm_device_remove', `${text}remove_all=n;current_device_capacity=${capacity(device)};`);
  return 0;
}
