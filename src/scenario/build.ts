// The `machine` part of a scenario as a MachineConfig. Mistakes that a schema cannot see (an unknown
// profile, a certificate that is none, a file that is missing) become diagnostics with their place.

import { concat, EMPTY, toHex, utf8 } from '../base/bytes.ts';
import { type Diagnostic, didYouMean } from '../base/diagnostic.ts';
import { type KernelProfile, PROFILES } from '../base/profile.ts';
import type { BootChange, DiskSpec, FileSpec, MachineConfig, RawDiskSpec } from '../kernel/api.ts';
import { writeArchive } from '../kernel/cpio.ts';
import { ARCHIVE_FORMS } from '../proposals/cpio-xattrs/cpio-xattrs.ts';
import { PROPOSALS } from '../proposals/registry.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../vfs/constants.ts';
import { DM_VERITY_DEFAULT, dmVerityFormat } from '../vfs/dmverity.ts';
import type { Content, Xattr } from '../vfs/types.ts';
import { type DataContext, isEvm, looseHex, type ReadFile, resolveContent, resolveEvm } from './data.ts';
import type { EvmFile } from './evm-values.ts';
import { armedFault } from './fault-form.ts';
import { certificateOf, firmwareSpec } from './firmware.ts';
import { makeKeys } from './keys.ts';
import { checkBoot, checkMachine } from './machine-checks.ts';
import type { ArchiveForm, BootForm, DiskForm, FileForm, MachineForm } from './schema.ts';
import type { DataForm, EvmForm, KeyForm } from './schema-data.ts';
import type { PathStep, Source } from './source.ts';

const DEFAULT_PROFILE = 'linux-6.12.107';
const NO_UUID = new Uint8Array(16);
/** Collects mistakes while a part of the document is turned into what the machine takes. */
export class Builder {
  readonly diagnostics: Diagnostic[] = [];
  readonly source: Source;
  /** Files and keys that forms refer to; keys are set once they are made. */
  context: DataContext;
  /** Kernel of the machine; null until it is known. */
  profile: KernelProfile | null = null;
  readonly #siblings: readonly string[];

  constructor(source: Source, readFile: ReadFile, siblings: readonly string[] = []) {
    this.source = source;
    this.context = { readFile, keys: new Map(), roots: new Map() };
    this.#siblings = siblings;
  }

  /** Makes the keys of the scenario. */
  keys(forms: { readonly [name: string]: KeyForm }, seed: string): void {
    const made = makeKeys(forms, seed);
    if (made.ok) {
      this.context = { ...this.context, keys: made.keys };
      return;
    }
    this.context = { ...this.context, keys: null };
    for (const { key, message } of made.problems) {
      const help = didYouMean(forms[key]?.issuer ?? '', Object.keys(forms)) ?? null;
      this.report(['keys', key, 'issuer'], 'scenario.key', message, help);
    }
  }

  report(path: readonly PathStep[], code: string, message: string, help: string | null = null): void {
    this.diagnostics.push(this.source.diagnostic(this.source.span(path), code, message, help));
  }

  reportKey(path: readonly PathStep[], code: string, message: string, help: string | null = null): void {
    this.diagnostics.push(this.source.diagnostic(this.source.keySpan(path), code, message, help));
  }

  content(form: DataForm | undefined, path: readonly PathStep[], own: Content | null = null): Content {
    const found = resolveContent(form, this.context, own);
    if (found.ok) return found.value;
    const named = form as { readonly [member: string]: unknown };
    const word = found.member === null ? '' : String(named[found.member]);
    const help =
      found.member === null
        ? null
        : found.member === 'file'
          ? (didYouMean(word, this.#siblings) ?? 'the path is relative to the scenario file')
          : this.#keyHelp(word);
    this.report(found.member === null ? path : [...path, found.member], 'scenario.data', found.message, help);
    return { kind: 'bytes', bytes: EMPTY };
  }

  #keyHelp(word: string): string {
    const names = [...(this.context.keys?.keys() ?? [])];
    if (names.length === 0) return 'declare it: `keys: { NAME: {} }`';
    return didYouMean(word, names) ?? `there are: ${names.join(', ')}`;
  }

  /** A value that a form of security.evm stands for; it needs the file's metadata. */
  evm(form: EvmForm, file: EvmFile, path: readonly PathStep[]): Uint8Array {
    const found = resolveEvm(form, file, this.context);
    if (found.ok) return found.value.kind === 'bytes' ? found.value.bytes : EMPTY;
    const named = found.member === null ? null : 'evm_sig' in form ? form.evm_sig : '';
    const help = named === null ? 'attributes that it covers stand before it' : this.#keyHelp(named);
    this.report(found.member === null ? path : [...path, found.member], 'scenario.data', found.message, help);
    return EMPTY;
  }

  bytes(form: DataForm | undefined, path: readonly PathStep[], own: Content | null = null): Uint8Array {
    const content = this.content(form, path, own);
    if (content.kind === 'bytes') return content.bytes;
    this.report(path, 'scenario.data', 'bytes are needed here, not a content that is known by its digests');
    return EMPTY;
  }
}

/** What files of one file system share. */
interface Place {
  readonly profile: KernelProfile;
  /** Of the disk; zeros where it is not given. */
  readonly uuid: Uint8Array;
}

function fileSpec(b: Builder, form: FileForm, { profile, uuid }: Place, path: readonly PathStep[]): FileSpec {
  const kinds = ['content', 'symlink', 'directory'].filter((k) => form[k as 'content'] !== undefined);
  if (kinds.length > 1)
    b.report(path, 'scenario.file_kind', `a file is one thing: ${kinds.map((k) => `\`${k}\``).join(' or ')}`);
  const directory = form.directory === true;
  const type = directory ? S_IFDIR : form.symlink !== undefined ? S_IFLNK : S_IFREG;
  const bits = form.mode === undefined ? (directory ? 0o755 : 0o644) : Number.parseInt(form.mode, 8);
  const [uid, gid] = (form.owner ?? '0:0').split(':').map(Number);
  const content = b.content(form.content, [...path, 'content']);
  const mode = type | (form.symlink !== undefined ? 0o777 : bits);
  const xattrs: Xattr[] = [];
  for (const [name, value] of Object.entries(form.xattrs ?? {})) {
    const at = [...path, 'xattrs', name];
    const own = {
      profile,
      mode,
      uid: uid ?? 0,
      gid: gid ?? 0,
      xattrs,
      ino: form.ino,
      generation: form.generation,
      uuid,
    };
    xattrs.push({ name, value: isEvm(value) ? b.evm(value, own, at) : b.bytes(value, at, content) });
  }
  return {
    mode,
    uid: uid ?? 0,
    gid: gid ?? 0,
    ...(type === S_IFREG ? { content } : {}),
    ...(form.symlink === undefined ? {} : { target: form.symlink }),
    ...(xattrs.length === 0 ? {} : { xattrs }),
    ...(form.ino === undefined ? {} : { ino: form.ino }),
    ...(form.generation === undefined ? {} : { generation: form.generation }),
  };
}

function fileSpecs(
  b: Builder,
  files: { readonly [path: string]: FileForm } | undefined,
  place: Place,
  path: readonly PathStep[],
): { readonly [path: string]: FileSpec } {
  return Object.fromEntries(
    Object.entries(files ?? {}).map(([name, form]) => [name, fileSpec(b, form, place, [...path, name])]),
  );
}

function diskSpec(b: Builder, form: DiskForm, profile: KernelProfile, path: readonly PathStep[]): DiskSpec {
  const type = form.type ?? 'ext4';
  const uuid = form.uuid === undefined ? NO_UUID : looseHex(form.uuid.replaceAll('-', ''));
  return {
    name: form.name,
    type,
    files: fileSpecs(b, form.files, { profile, uuid }, [...path, 'files']),
    ...(form.uuid === undefined ? {} : { uuid }),
    ...(form.first_ino === undefined ? {} : { firstIno: form.first_ino }),
    ...(form.i_version === undefined ? {} : { iVersion: form.i_version }),
    ...(form.readonly === undefined ? {} : { readonly: form.readonly }),
  };
}

const VERITY_BLOCKS = 256;
const BLOCK = 4096;

/**
 * What the tree of a disk is made over: metadata and contents of its files, in blocks of their own.
 * @deviation the layout is the simulation's, not that of ext4: a root hash says which files the disk has
 */
function verityImage(files: { readonly [path: string]: FileSpec }): Uint8Array {
  const parts: Uint8Array[] = [];
  const block = (bytes: Uint8Array): void => {
    parts.push(bytes, new Uint8Array((BLOCK - (bytes.length % BLOCK)) % BLOCK));
  };
  for (const [path, file] of Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { content, mode, uid = 0, gid = 0, target = '' } = file;
    const bytes = content?.kind === 'bytes' ? content.bytes : EMPTY;
    const digests = content?.kind === 'opaque' ? content.digests : {};
    const xattrs = (file.xattrs ?? []).map((x) => [x.name, toHex(x.value)]);
    block(utf8(JSON.stringify([path, mode, uid, gid, bytes.length, target, xattrs, digests])));
    block(bytes);
  }
  const used = parts.reduce((sum, part) => sum + part.length, 0);
  return concat(...parts, new Uint8Array(Math.max(0, VERITY_BLOCKS * BLOCK - used)));
}

interface Disks {
  readonly disks: readonly DiskSpec[];
  readonly rawDisks: readonly RawDiskSpec[];
}

/** Disks with files, images, and the hash disks of those that have a dm-verity tree. */
function diskSpecs(b: Builder, forms: readonly DiskForm[], profile: KernelProfile): Disks {
  const disks: DiskSpec[] = [];
  const rawDisks: RawDiskSpec[] = [];
  const roots = new Map<string, Uint8Array>();
  for (const [i, form] of forms.entries()) {
    const at: readonly PathStep[] = ['machine', 'disks', i];
    if (form.image !== undefined) {
      rawDisks.push({ name: form.name, content: b.bytes(form.image, [...at, 'image']) });
      continue;
    }
    const disk = diskSpec(b, form, profile, at);
    if (form.verity === undefined) {
      disks.push(disk);
      continue;
    }
    const salt = looseHex(form.verity.salt ?? '');
    const image = verityImage(disk.files);
    const { rootHash, hashArea } = dmVerityFormat(image, { ...DM_VERITY_DEFAULT, salt }, NO_UUID);
    roots.set(form.name, rootHash);
    disks.push({ ...disk, verity: { rootHash, salt } });
    rawDisks.push({ name: form.verity.hash_disk, hashTreeOf: form.name, size: hashArea.length });
  }
  b.context = { ...b.context, roots };
  return { disks, rawDisks };
}

/** The kernel of a machine, or of a later boot, which changes the one before when it names no other. */
function profileOf(b: Builder, form: BootForm, at: readonly PathStep[]): KernelProfile | undefined {
  const name = form.profile ?? DEFAULT_PROFILE;
  const profile = form.profile === undefined && b.profile !== null ? b.profile : PROFILES[name];
  if (profile === undefined) {
    const names = Object.keys(PROFILES);
    const help = didYouMean(name, names) ?? `there are: ${names.join(', ')}`;
    b.report([...at, 'profile'], 'scenario.unknown_profile', `unknown kernel profile \`${name}\``, help);
    return undefined;
  }
  const known = Object.keys(profile.switches);
  for (const key of Object.keys(form.switches ?? {})) {
    if (known.includes(key)) continue;
    const help = didYouMean(key, known) ?? `there are: ${known.join(', ')}`;
    b.reportKey([...at, 'switches', key], 'scenario.unknown_switch', `unknown switch \`${key}\``, help);
  }
  for (const key of Object.keys(form.config ?? {})) {
    const options = Object.keys(profile.config);
    if (options.includes(key)) continue;
    const help = didYouMean(key, options) ?? null;
    b.reportKey([...at, 'config', key], 'scenario.unknown_option', `the profile has no \`${key}\``, help);
  }
  if (form.config === undefined && form.switches === undefined) return profile;
  return {
    ...profile,
    config: { ...profile.config, ...form.config },
    switches: { ...profile.switches, ...form.switches },
  };
}

const RINGS = ['builtin', 'secondary', 'machine', 'platform'] as const;

function trustedKeys(
  b: Builder,
  form: NonNullable<MachineForm['trusted_keys']>,
  at: readonly PathStep[],
): NonNullable<MachineConfig['trustedKeys']> {
  const out: { [ring in (typeof RINGS)[number]]?: readonly Uint8Array[] } = {};
  for (const ring of RINGS) {
    const list = form[ring];
    if (list === undefined) continue;
    out[ring] = list.map((data, i) => {
      return certificateOf(b, data, [...at, ring, i]);
    });
  }
  return out;
}

function proposalsOf(b: Builder, names: readonly string[], place: readonly PathStep[]): readonly string[] {
  const known = PROPOSALS.map((p) => p.name);
  for (const [i, name] of names.entries()) {
    const at = [...place, i];
    const help = didYouMean(name, known) ?? `there are: ${known.join(', ')}`;
    if (!known.includes(name)) b.report(at, 'scenario.unknown_proposal', `unknown design \`${name}\``, help);
    else if (names.indexOf(name) !== i)
      b.report(at, 'scenario.duplicate', `\`${name}\` is named twice`, 'once is enough');
  }
  return names.filter((name) => known.includes(name));
}

/** The bytes of an initramfs, given or made of files. */
function archiveOf(b: Builder, form: ArchiveForm, place: Place, at: readonly PathStep[]): Uint8Array {
  if (typeof form !== 'object' || !('format' in form)) return b.bytes(form, at);
  const specs = fileSpecs(b, form.files, place, [...at, 'files']);
  return writeArchive(specs, form.format === 'newc' ? {} : ARCHIVE_FORMS[`cpio_${form.format}`]);
}

/** The members that a machine and a later boot have in common. */
function bootParts(
  b: Builder,
  form: BootForm,
  profile: KernelProfile,
  at: readonly PathStep[],
): Omit<BootChange, 'profile'> {
  const { cmdline, firmware, initramfs, initramfs_image, trusted_keys, proposals, ipe_boot_policy } = form;
  const place = { profile, uuid: NO_UUID };
  return {
    ...(cmdline === undefined ? {} : { cmdline }),
    ...(firmware === undefined ? {} : { firmware: firmwareSpec(b, firmware, [...at, 'firmware']) }),
    ...(initramfs === undefined ? {} : { initramfs: fileSpecs(b, initramfs, place, [...at, 'initramfs']) }),
    ...(initramfs_image === undefined
      ? {}
      : { initramfsImage: archiveOf(b, initramfs_image, place, [...at, 'initramfs_image']) }),
    ...(trusted_keys === undefined
      ? {}
      : { trustedKeys: trustedKeys(b, trusted_keys, [...at, 'trusted_keys']) }),
    ...(proposals === undefined ? {} : { proposals: proposalsOf(b, proposals, [...at, 'proposals']) }),
    ...(ipe_boot_policy === undefined ? {} : { ipeBootPolicy: ipe_boot_policy }),
  };
}

/** What is other at a later boot. */
export function bootChange(b: Builder, form: BootForm, at: readonly PathStep[]): BootChange {
  checkBoot(b, form, at);
  const profile = profileOf(b, form, at);
  const other = form.profile !== undefined || form.config !== undefined || form.switches !== undefined;
  const known = profile ?? (PROFILES[DEFAULT_PROFILE] as KernelProfile);
  return {
    ...bootParts(b, form, known, at),
    ...(profile === undefined || !other ? {} : { profile }),
  };
}

/** What to build the machine from. */
export function machineConfig(b: Builder, form: MachineForm, title: string): MachineConfig {
  checkMachine(b, form);
  const at: readonly PathStep[] = ['machine'];
  const profile = profileOf(b, form, at);
  const disks: readonly DiskForm[] = form.disks ?? [{ name: 'vdc' }];
  const known = profile ?? (PROFILES[DEFAULT_PROFILE] as KernelProfile);
  b.profile = known;
  return {
    ...(profile === undefined ? {} : { profile }),
    seed: form.seed ?? title,
    ...diskSpecs(b, disks, known),
    ...bootParts(b, form, known, at),
    ...(form.boot_time === undefined ? {} : { bootTime: form.boot_time }),
    ...(form.tpm === undefined ? {} : { tpm: form.tpm === 'none' ? null : { banks: form.tpm.banks } }),
    ...(form.faults === undefined ? {} : { faults: form.faults.map(armedFault) }),
  };
}
