// The dm-verity target: its parameters, the signature over the root hash, and what device-mapper tells IMA
// about it. Forward error correction is refused as an unknown feature; block reads are checked in dm.ts by
// comparing with the tree's root.

import { Set as ImmutableSet } from 'immutable';
import { EMPTY, fromHex, latin1, toHex } from '../base/bytes.ts';
import type { Err, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import { digestSize, type HashName } from '../crypto/provider.ts';
import { major, minor } from '../vfs/device.ts';
import { treeEnd } from '../vfs/dmverity.ts';
import type { VerityOpened, VfsTask } from '../vfs/types.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';

export interface VerityTable {
  readonly version: number;
  readonly dataDevice: string;
  readonly hashDevice: string;
  readonly dataBlockSize: number;
  readonly hashBlockSize: number;
  readonly dataBlocks: number;
  /** Where the tree begins on the hash device, in hash blocks. */
  readonly hashStart: number;
  readonly alg: HashName;
  readonly rootDigest: Uint8Array;
  readonly salt: Uint8Array;
  /** ignore_corruption, restart_on_corruption, panic_on_corruption; null = EIO. */
  readonly mode: string | null;
  readonly errorMode: string | null;
  readonly ignoreZeroes: boolean;
  readonly atMostOnce: boolean;
  /** Description of the user key that holds the signature; null without one. */
  readonly sigKey: string | null;
}

const HASHES: ReadonlySet<string> = new Set([
  'md5',
  'sha1',
  'sha224',
  'sha256',
  'sha384',
  'sha512',
  'rmd160',
  'sm3',
  'sha3-256',
  'sha3-384',
  'sha3-512',
]);
const MODES: ReadonlySet<string> = new Set([
  'ignore_corruption',
  'restart_on_corruption',
  'panic_on_corruption',
]);
const ERROR_MODES: ReadonlySet<string> = new Set(['restart_on_error', 'panic_on_error']);
/** Without forward error correction. */
const MAX_OPTS = 7;

/** A device by its node's path, its number (`254:48`) or nothing. */
export type FindDevice = (name: string) => Result<string>;

interface Options {
  mode: string | null;
  errorMode: string | null;
  ignoreZeroes: boolean;
  atMostOnce: boolean;
  sigKey: string | null;
  signature: Uint8Array | null;
}

/** %u and %llu of the kernel's sscanf(): no sign, and what is too long for the type wraps. */
function unsigned(text: string | undefined, bits: 32 | 64): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(BigInt.asUintN(bits, BigInt(text))) : null;
}

const powerOfTwo = (n: number | null): n is number => n !== null && n >= 512 && (n & (n - 1)) === 0;

/** The words that the count in front of them takes in. @kernel drivers/md/dm-table.c dm_read_arg_group() */
function featureWords(words: readonly string[]): Result<readonly string[]> {
  const count = unsigned(words[0], 32);
  if (count === null || count > MAX_OPTS || count > words.length - 1) return fail('EINVAL');
  return ok(words.slice(1, 1 + count));
}

/**
 * Feature arguments.
 * @kernel drivers/md/dm-verity-target.c verity_parse_opt_args()
 */
function parseOptions(k: Kernel, task: VfsTask, words: readonly string[]): Result<Options> {
  const out: Options = {
    mode: null,
    errorMode: null,
    ignoreZeroes: false,
    atMostOnce: false,
    sigKey: null,
    signature: null,
  };
  const rest = words;
  for (let i = 0; i < rest.length; i++) {
    const word = (rest[i] as string).toLowerCase();
    if (MODES.has(word)) {
      if (out.mode !== null) return fail('EINVAL');
      out.mode = word;
    } else if (ERROR_MODES.has(word)) {
      if (out.errorMode !== null) return fail('EINVAL');
      out.errorMode = word;
    } else if (word === 'ignore_zero_blocks') out.ignoreZeroes = true;
    else if (word === 'check_at_most_once') out.atMostOnce = true;
    else if (word === 'try_verify_in_tasklet') continue;
    else if (word === 'root_hash_sig_key_desc') {
      const name = rest[++i];
      if (out.sigKey !== null || name === undefined) return fail('EINVAL');
      const key = k.env.listeners.requestUserKey?.(task, name) ?? fail('ENOKEY');
      if (!key.ok) return key;
      out.sigKey = name;
      out.signature = key.value;
    } else return fail('EINVAL');
  }
  return ok(out);
}

/**
 * Secondary keyring first, then the platform keyring, whose error is the one that counts.
 * @kernel drivers/md/dm-verity-verify-sig.c verity_verify_root_hash()
 */
function verifyRootHash(k: Kernel, rootHashText: string, signature: Uint8Array | null): Err {
  if (signature === null || signature.length === 0) {
    if (!k.state.sysctl.has('dm_verity.require_signatures')) return 0;
    return k.refuse('ENOKEY', KERNEL_REASON['kernel.dm_unsigned']);
  }
  const { verifyPkcs7 } = k.env.listeners;
  if (verifyPkcs7 === undefined) return 'ENOKEY';
  const config = k.env.profile.config;
  const data = latin1(rootHashText);
  const first = config['CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG_SECONDARY_KEYRING'] === 'y';
  let err = verifyPkcs7(data, signature, first ? 'secondary' : 'builtin');
  if (config['CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG_PLATFORM_KEYRING'] === 'y') {
    if (err === 'ENOKEY' || err === 'EKEYREJECTED') err = verifyPkcs7(data, signature, 'platform');
  }
  return err === 0 ? 0 : k.refuse(err, KERNEL_REASON['kernel.dm_root_hash']);
}

type TreePlace = Pick<VerityTable, 'dataBlockSize' | 'hashBlockSize' | 'dataBlocks' | 'hashStart' | 'alg'>;

/** Whether the tree would reach behind the end of its device. */
function hashDeviceTooSmall(k: Kernel, device: string, place: TreePlace): boolean {
  const size = k.env.vfs.state.devices.get(device)?.size;
  const { alg, dataBlockSize, hashBlockSize, dataBlocks, hashStart } = place;
  if (size === undefined) return false;
  const params = { alg, dataBlockSize, hashBlockSize, salt: EMPTY, hashType: 1 } as const;
  return Math.floor(size / hashBlockSize) < treeEnd(params, dataBlocks, hashStart);
}

/**
 * Parses the parameters of a verity target of `sectors` length.
 * @kernel drivers/md/dm-verity-target.c verity_ctr()
 */
export function verityCtr(
  k: Kernel,
  task: VfsTask,
  params: string,
  sectors: number,
  find: FindDevice,
): Result<VerityTable> {
  const argv = params.split(/\s+/).filter((w) => w !== '');
  if (argv.length < 10) return fail('EINVAL');
  const counted = argv.length > 10 ? featureWords(argv.slice(10)) : ok([]);
  if (!counted.ok) return counted;
  const version = unsigned(argv[0], 32);
  if (version === null || version > 1) return fail('EINVAL');
  const dataDevice = find(argv[1] as string);
  const hashDevice = find(argv[2] as string);
  if (!dataDevice.ok) return dataDevice;
  if (!hashDevice.ok) return hashDevice;
  const blockSize = unsigned(argv[3], 32);
  const hashBlockSize = unsigned(argv[4], 32);
  if (!powerOfTwo(blockSize) || blockSize > 4096 || !powerOfTwo(hashBlockSize)) return fail('EINVAL');
  const dataBlocks = unsigned(argv[5], 64);
  if (dataBlocks === null || sectors > dataBlocks * (blockSize / 512)) return fail('EINVAL');
  const hashStart = unsigned(argv[6], 64);
  if (hashStart === null) return fail('EINVAL');
  const alg = argv[7] as string;
  if (!HASHES.has(alg)) return fail('ENOENT');
  const size = digestSize(alg as HashName);
  const root = argv[8] as string;
  if (root.length !== size * 2 || !/^[0-9a-fA-F]*$/.test(root)) return fail('EINVAL');
  const saltText = argv[9] === '-' ? '' : (argv[9] as string);
  if (saltText.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(saltText)) return fail('EINVAL');
  const place = { dataBlockSize: blockSize, hashBlockSize, dataBlocks, hashStart, alg: alg as HashName };
  const options = parseOptions(k, task, counted.value);
  if (!options.ok) return options;
  const verified = verifyRootHash(k, root, options.value.signature);
  if (verified !== 0) return fail(verified);
  if (hashDeviceTooSmall(k, hashDevice.value, place)) return fail('E2BIG');
  const { mode, errorMode, ignoreZeroes, atMostOnce, sigKey } = options.value;
  return ok({
    version,
    dataDevice: dataDevice.value,
    hashDevice: hashDevice.value,
    ...place,
    rootDigest: fromHex(root),
    salt: fromHex(saltText),
    mode,
    errorMode,
    ignoreZeroes,
    atMostOnce,
    sigKey,
  });
}

/**
 * The table over devices that were given as images, for the VFS to read through; undefined where one of them
 * is known by its files only.
 */
export function verityOpened(k: Kernel, table: VerityTable): VerityOpened | undefined {
  const { devices } = k.env.vfs.state;
  const { dataDevice, hashDevice, dataBlocks, hashStart, alg, dataBlockSize, hashBlockSize, salt } = table;
  if (devices.get(dataDevice)?.content === undefined) return undefined;
  if (devices.get(hashDevice)?.content === undefined) return undefined;
  return {
    dataDevice,
    hashDevice,
    params: { alg, dataBlockSize, hashBlockSize, salt, hashType: table.version === 0 ? 0 : 1 },
    dataBlocks,
    hashStart,
    rootHash: table.rootDigest,
    mode: table.mode,
    ignoreZeroes: table.ignoreZeroes,
    validated: table.atMostOnce ? ImmutableSet() : null,
  };
}

/**
 * A damaged block: a line in the log, and the end of the machine where the table asks for it.
 * @kernel drivers/md/dm-verity-target.c verity_handle_err()
 */
export function dmVerityCorrupted(k: Kernel, device: string, block: number, mode: string | null): void {
  const opened = k.env.vfs.state.devices.get(device)?.opened;
  const rdev = k.env.vfs.state.devices.get(opened?.dataDevice ?? device)?.rdev ?? 0;
  k.printk(`device-mapper: verity: ${major(rdev)}:${minor(rdev)}: data block ${block} is corrupted`);
  const data = { device, block, mode: mode ?? 'eio' };
  k.env.trace.emit('kernel.dm_corruption', data, KERNEL_REASON['kernel.dm_corrupted']);
  if (mode !== 'restart_on_corruption' && mode !== 'panic_on_corruption') return;
  const why = 'dm-verity device corrupted';
  const line =
    mode === 'panic_on_corruption'
      ? `Kernel panic - not syncing: ${why}`
      : `reboot: Restarting system with command '${why}'`;
  k.printk(line);
  k.state = { ...k.state, panic: why, tasks: k.state.tasks.clear() };
}

/**
 * The target's part of a dm_table_load record.
 * @kernel drivers/md/dm-verity-target.c verity_status(): STATUSTYPE_IMA
 */
export function verityImaText(table: VerityTable, number: (device: string) => string): string {
  const yes = (flag: boolean): string => (flag ? 'y' : 'n');
  let out = 'target_name=verity,target_version=1.10.0,hash_failed=V';
  out += `,verity_version=${table.version}`;
  out += `,data_device_name=${number(table.dataDevice)},hash_device_name=${number(table.hashDevice)}`;
  out += `,verity_algorithm=${table.alg},root_digest=${toHex(table.rootDigest)}`;
  out += `,salt=${table.salt.length === 0 ? '-' : toHex(table.salt)}`;
  out += `,ignore_zero_blocks=${yes(table.ignoreZeroes)},check_at_most_once=${yes(table.atMostOnce)}`;
  if (table.sigKey !== null) out += `,root_hash_sig_key_desc=${table.sigKey}`;
  if (table.mode !== null) out += `,verity_mode=${table.mode}`;
  if (table.errorMode !== null) out += `,verity_error_mode=${table.errorMode}`;
  return `${out};`;
}
