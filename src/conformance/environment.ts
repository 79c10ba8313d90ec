// From a recorded case to a machine's configuration: the kernel's build, the keys in it, the disks, the
// initial ram disk and what firmware left in the TPM. The data are in env-data.ts; a case names parts of
// them.

import { fromHex } from '../base/bytes.ts';
import { type KernelProfile, PROFILES } from '../base/profile.ts';
import type { HashName } from '../crypto/provider.ts';
import type { DiskSpec, FileSpec, MachineConfig, RawDiskSpec } from '../kernel/api.ts';
import { contentOf, type Data, num } from '../scenario/ops/types.ts';
import { S_IFDIR, S_IFREG } from '../vfs/constants.ts';
import type { FsType } from '../vfs/types.ts';
import type { RecordedCase } from './case.ts';
import { IMAGE_LAYOUTS, type ImageLayout } from './image-layout.ts';

interface ImageFile {
  readonly path: string;
  readonly ino: number;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly data: Data;
}

/** A disk image: a file system, or the dm-verity hash tree of another image. */
interface Image {
  readonly type?: string;
  readonly uuid?: string;
  readonly uuid_serial?: string;
  readonly first_free_inode?: number;
  readonly i_version?: boolean;
  readonly features?: readonly string[];
  readonly salt?: string;
  readonly roothash?: string;
  readonly files?: readonly ImageFile[];
  readonly hash_tree_of?: string;
}

interface NamedCertificate {
  readonly name: string;
  readonly der: string;
}

export interface RecordedEnvironment {
  readonly kernel: string;
  readonly release: string;
  readonly page_size: number;
  readonly word_bits: number;
  readonly command_line_base: string;
  readonly trusted_keys: {
    readonly builtin: readonly NamedCertificate[];
    readonly secondary: readonly NamedCertificate[];
    readonly machine: readonly NamedCertificate[];
    readonly platform: readonly NamedCertificate[];
  };
  readonly certificates: { readonly [name: string]: string };
  readonly tpm: {
    readonly banks: readonly string[];
    readonly pcrs: number;
    /** Registers as this machine's firmware leaves them, for cases that do not name them. */
    readonly firmware: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
  readonly drives: { readonly [name: string]: Image | string };
  readonly config: { readonly [option: string]: string };
  readonly variants: { readonly [name: string]: { readonly [option: string]: string } };
  readonly ipe_boot_policies: { readonly [file: string]: string };
}

/** Directories of the initial ram disk, as the archive holds them. */
const DIRECTORIES = ['/dev', '/etc', '/etc/keys', '/lib', '/lib/firmware', '/mnt', '/proc', '/sys', '/tmp'];
const FIRST_LETTER = 'c'.charCodeAt(0);
/** Script disks of the recording program: /dev/vda and /dev/vdb. */
const SCRIPT_DISKS: readonly RawDiskSpec[] = [{ name: 'vda' }, { name: 'vdb' }];

const uuidBytes = (text: string): Uint8Array => fromHex(text.replaceAll('-', ''));

/** s_uuid of a vfat volume: its serial number in little-endian order, then zeros. */
function vfatUuid(serial: string): Uint8Array {
  const out = new Uint8Array(16);
  out.set(fromHex(serial.replace('-', '')).reverse());
  return out;
}

/** What is wrong with the names a case uses, or null. */
export function unknownNames(env: RecordedEnvironment, c: RecordedCase): string | null {
  if (c.kernel !== undefined && env.variants[c.kernel] === undefined) {
    return `unknown kernel variant \`${c.kernel}\`; there are ${Object.keys(env.variants).join(', ')}`;
  }
  const images = Object.keys(env.drives).filter((n) => typeof env.drives[n] !== 'string');
  const unknown = (c.drives ?? []).find((d) => !images.includes(d));
  return unknown === undefined ? null : `unknown drive \`${unknown}\`; there are ${images.join(', ')}`;
}

function imageOf(env: RecordedEnvironment, name: string): Image {
  const image = env.drives[name];
  return typeof image === 'object' ? image : {};
}

function filesOf(image: Image, layout: ImageLayout | undefined): { [path: string]: FileSpec } {
  const files: { [path: string]: FileSpec } = {};
  if (image.type === 'ext4') files['/lost+found'] = { mode: S_IFDIR | 0o700, ino: 11 };
  for (const f of image.files ?? []) {
    const mode = S_IFREG | num(f.mode, 0o644);
    const blocks = layout?.blocks?.[f.path];
    files[f.path] = {
      mode,
      uid: f.uid,
      gid: f.gid,
      ino: f.ino,
      content: contentOf(f.data),
      ...(blocks === undefined ? {} : { blocks }),
    };
  }
  return files;
}

function diskOf(name: string, image: Image, layout: ImageLayout | undefined): DiskSpec {
  const uuid =
    image.uuid !== undefined
      ? uuidBytes(image.uuid)
      : image.uuid_serial !== undefined
        ? vfatUuid(image.uuid_serial)
        : undefined;
  return {
    name,
    type: (image.type ?? 'ext4') as FsType,
    ...(uuid === undefined ? {} : { uuid }),
    ...(image.type === 'ext4' ? { firstIno: image.first_free_inode ?? 12 + (image.files?.length ?? 0) } : {}),
    iVersion: image.type === 'ext4',
    fsVerity: (image.features ?? []).includes('verity'),
    ...(layout === undefined ? {} : { size: layout.size }),
    ...(layout?.firstBlock === undefined ? {} : { firstBlock: layout.firstBlock }),
    files: filesOf(image, layout),
    ...(image.roothash === undefined
      ? {}
      : { verity: { rootHash: fromHex(image.roothash), salt: fromHex(image.salt ?? '') } }),
  };
}

function disksOf(env: RecordedEnvironment, c: RecordedCase): Pick<MachineConfig, 'disks' | 'rawDisks'> {
  const drives = c.drives ?? ['ext4'];
  const deviceName = (i: number): string => `vd${String.fromCharCode(FIRST_LETTER + i)}`;
  const disks: DiskSpec[] = [];
  const rawDisks: RawDiskSpec[] = [...SCRIPT_DISKS];
  for (const [i, drive] of drives.entries()) {
    const image = imageOf(env, drive);
    if (image.hash_tree_of === undefined) disks.push(diskOf(deviceName(i), image, IMAGE_LAYOUTS[drive]));
    else {
      const of = drives.indexOf(image.hash_tree_of);
      const size = IMAGE_LAYOUTS[drive]?.size;
      const known = size === undefined ? {} : { size };
      rawDisks.push({ name: deviceName(i), ...(of < 0 ? {} : { hashTreeOf: deviceName(of) }), ...known });
    }
  }
  return { disks, rawDisks };
}

function initramfsOf(c: RecordedCase): { [path: string]: FileSpec } {
  const files: { [path: string]: FileSpec } = {};
  for (const path of DIRECTORIES) files[path] = { mode: S_IFDIR | 0o755 };
  const digests = c.init?.digests ?? {};
  files['/init'] = {
    mode: S_IFREG | 0o755,
    content: { kind: 'opaque', label: 'init', length: 816760, digests },
  };
  for (const [path, data] of Object.entries(c.initramfs ?? {})) {
    files[path] = { mode: S_IFREG | 0o644, content: contentOf(data) };
  }
  return files;
}

/** The build of the kernel that a case ran on. */
export function profileOf(env: RecordedEnvironment, variant: string | undefined): KernelProfile {
  const base = PROFILES[`linux-${env.kernel}`];
  if (base === undefined) throw new RangeError(`no profile for Linux ${env.kernel}`);
  const changes = variant === undefined ? {} : (env.variants[variant] ?? {});
  return {
    ...base,
    release: env.release,
    pageSize: env.page_size,
    wordBits: env.word_bits === 32 ? 32 : 64,
    config: { ...env.config, ...changes },
  };
}

/** The machine on which a case is run. */
export function machineConfigOf(env: RecordedEnvironment, c: RecordedCase): MachineConfig {
  const profile = profileOf(env, c.kernel);
  const keys = (list: readonly NamedCertificate[]): Uint8Array[] => list.map((k) => fromHex(k.der));
  const named = Object.keys(c.firmware ?? {}).length > 0;
  const firmware = named && c.firmware !== undefined ? c.firmware : env.tpm.firmware;
  const bootPolicy = env.ipe_boot_policies[profile.config['CONFIG_IPE_BOOT_POLICY'] ?? ''];
  return {
    profile,
    cmdline: c.cmdline,
    seed: c.name,
    tpm: c.notpm === true ? null : { banks: Object.keys(firmware) as HashName[] },
    firmware: { pcrs: firmware },
    initramfs: initramfsOf(c),
    ...disksOf(env, c),
    trustedKeys: {
      builtin: keys(env.trusted_keys.builtin),
      secondary: keys(env.trusted_keys.secondary),
      machine: keys(env.trusted_keys.machine),
      platform: keys(env.trusted_keys.platform),
    },
    ...(bootPolicy === undefined ? {} : { ipeBootPolicy: bootPolicy }),
  };
}
