// The `machine` part of a scenario as a MachineConfig. Mistakes that a schema cannot see (an unknown profile, a certificate
// that is none, a file that is missing) become diagnostics with their place.

import { EMPTY, fromLatin1, toHex } from '../base/bytes.ts';
import { type Diagnostic, didYouMean } from '../base/diagnostic.ts';
import { type KernelProfile, PROFILES } from '../base/profile.ts';
import { pemDecode } from '../crypto/pem.ts';
import type { DiskSpec, FileSpec, FirmwareSpec, MachineConfig } from '../kernel/api.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../vfs/constants.ts';
import type { Content, Xattr } from '../vfs/types.ts';
import { looseHex, type ReadFile, resolveContent } from './data.ts';
import type { DiskForm, FileForm, MachineForm } from './schema.ts';
import type { DataForm } from './schema-data.ts';
import type { PathStep, Source } from './source.ts';

const DEFAULT_PROFILE = 'linux-6.12.107';
/** Collects mistakes while a part of the document is turned into what the machine takes. */
export class Builder {
  readonly diagnostics: Diagnostic[] = [];
  readonly source: Source;
  readonly #readFile: ReadFile;
  readonly #siblings: readonly string[];

  constructor(source: Source, readFile: ReadFile, siblings: readonly string[] = []) {
    this.source = source;
    this.#readFile = readFile;
    this.#siblings = siblings;
  }

  report(path: readonly PathStep[], code: string, message: string, help: string | null = null): void {
    this.diagnostics.push(this.source.diagnostic(this.source.span(path), code, message, help));
  }

  reportKey(path: readonly PathStep[], code: string, message: string, help: string | null = null): void {
    this.diagnostics.push(this.source.diagnostic(this.source.keySpan(path), code, message, help));
  }

  content(form: DataForm | undefined, path: readonly PathStep[], own: Content | null = null): Content {
    const found = resolveContent(form, this.#readFile, own);
    if (found.ok) return found.value;
    const file = form !== undefined && typeof form === 'object' && 'file' in form ? form.file : undefined;
    const help =
      file === undefined
        ? null
        : (didYouMean(file, this.#siblings) ?? 'the path is relative to the scenario file');
    this.report(file === undefined ? path : [...path, 'file'], 'scenario.data', found.message, help);
    return { kind: 'bytes', bytes: EMPTY };
  }

  bytes(form: DataForm | undefined, path: readonly PathStep[], own: Content | null = null): Uint8Array {
    const content = this.content(form, path, own);
    if (content.kind === 'bytes') return content.bytes;
    this.report(path, 'scenario.data', 'bytes are needed here, not a content that is known by its digests');
    return EMPTY;
  }
}

function fileSpec(b: Builder, form: FileForm, path: readonly PathStep[]): FileSpec {
  const kinds = ['content', 'symlink', 'directory'].filter((k) => form[k as 'content'] !== undefined);
  if (kinds.length > 1)
    b.report(path, 'scenario.file_kind', `a file is one thing: ${kinds.map((k) => `\`${k}\``).join(' or ')}`);
  const directory = form.directory === true;
  const type = directory ? S_IFDIR : form.symlink !== undefined ? S_IFLNK : S_IFREG;
  const bits = form.mode === undefined ? (directory ? 0o755 : 0o644) : Number.parseInt(form.mode, 8);
  const [uid, gid] = (form.owner ?? '0:0').split(':').map(Number);
  const content = b.content(form.content, [...path, 'content']);
  const xattrs: Xattr[] = Object.entries(form.xattrs ?? {}).map(([name, value]) => ({
    name,
    value: b.bytes(value, [...path, 'xattrs', name], content),
  }));
  return {
    mode: type | (form.symlink !== undefined ? 0o777 : bits),
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
  path: readonly PathStep[],
): { readonly [path: string]: FileSpec } {
  return Object.fromEntries(
    Object.entries(files ?? {}).map(([name, form]) => [name, fileSpec(b, form, [...path, name])]),
  );
}

function diskSpec(b: Builder, form: DiskForm, path: readonly PathStep[]): DiskSpec {
  const type = form.type ?? 'ext4';
  return {
    name: form.name,
    type,
    files: fileSpecs(b, form.files, [...path, 'files']),
    ...(form.uuid === undefined ? {} : { uuid: looseHex(form.uuid.replaceAll('-', '')) }),
    ...(form.first_ino === undefined ? {} : { firstIno: form.first_ino }),
    ...(form.i_version === undefined ? {} : { iVersion: form.i_version }),
    ...(form.readonly === undefined ? {} : { readonly: form.readonly }),
  };
}

function firmwareSpec(b: Builder, form: NonNullable<MachineForm['firmware']>): FirmwareSpec {
  const at: readonly PathStep[] = ['machine', 'firmware'];
  if ('events' in form) {
    const events = form.events.map((e, i) => ({
      pcr: e.pcr,
      type: e.type,
      data: b.bytes(e.data, [...at, 'events', i, 'data']),
      ...(e.event === undefined ? {} : { event: b.bytes(e.event, [...at, 'events', i, 'event']) }),
    }));
    return { events };
  }
  const pcrs: Record<string, Record<string, string>> = {};
  for (const [bank, values] of Object.entries(form.pcrs)) {
    pcrs[bank] = Object.fromEntries(
      Object.entries(values ?? {}).map(([n, hex]) => [n, toHex(looseHex(hex))]),
    );
  }
  return { pcrs };
}

function profileOf(b: Builder, form: MachineForm): KernelProfile | undefined {
  const name = form.profile ?? DEFAULT_PROFILE;
  const profile = PROFILES[name];
  if (profile === undefined) {
    const names = Object.keys(PROFILES);
    const help = didYouMean(name, names) ?? `there are: ${names.join(', ')}`;
    b.report(['machine', 'profile'], 'scenario.unknown_profile', `unknown kernel profile \`${name}\``, help);
    return undefined;
  }
  const known = Object.keys(profile.switches);
  for (const key of Object.keys(form.switches ?? {})) {
    if (known.includes(key)) continue;
    const help = didYouMean(key, known) ?? `there are: ${known.join(', ')}`;
    b.reportKey(['machine', 'switches', key], 'scenario.unknown_switch', `unknown switch \`${key}\``, help);
  }
  for (const key of Object.keys(form.config ?? {})) {
    const options = Object.keys(profile.config);
    if (options.includes(key)) continue;
    const help = didYouMean(key, options) ?? null;
    b.reportKey(['machine', 'config', key], 'scenario.unknown_option', `the profile has no \`${key}\``, help);
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
): NonNullable<MachineConfig['trustedKeys']> {
  const out: { [ring in (typeof RINGS)[number]]?: readonly Uint8Array[] } = {};
  for (const ring of RINGS) {
    const list = form[ring];
    if (list === undefined) continue;
    out[ring] = list.map((data, i) => {
      const path = ['machine', 'trusted_keys', ring, i];
      const bytes = b.bytes(data, path);
      const text = fromLatin1(bytes);
      const pem = pemDecode(text).find((block) => block.label === 'CERTIFICATE');
      const der = text.includes('-----BEGIN') ? pem?.bytes : bytes;
      if (der === undefined || der[0] !== 0x30)
        b.report(path, 'scenario.certificate', 'this is no certificate in DER or PEM form');
      return der ?? EMPTY;
    });
  }
  return out;
}

/** What to build the machine from. */
export function machineConfig(b: Builder, form: MachineForm, title: string): MachineConfig {
  const names = (form.disks ?? []).map((d) => d.name);
  for (const [i, name] of names.entries()) {
    if (names.indexOf(name) < i)
      b.report(['machine', 'disks', i, 'name'], 'scenario.duplicate', `a second disk \`${name}\``);
  }
  const profile = profileOf(b, form);
  const disks: readonly DiskForm[] = form.disks ?? [{ name: 'vdc' }];
  return {
    ...(profile === undefined ? {} : { profile }),
    seed: form.seed ?? title,
    disks: disks.map((d, i) => diskSpec(b, d, ['machine', 'disks', i])),
    ...(form.cmdline === undefined ? {} : { cmdline: form.cmdline }),
    ...(form.boot_time === undefined ? {} : { bootTime: form.boot_time }),
    ...(form.tpm === undefined ? {} : { tpm: form.tpm === 'none' ? null : { banks: form.tpm.banks } }),
    ...(form.firmware === undefined ? {} : { firmware: firmwareSpec(b, form.firmware) }),
    ...(form.initramfs === undefined
      ? {}
      : { initramfs: fileSpecs(b, form.initramfs, ['machine', 'initramfs']) }),
    ...(form.trusted_keys === undefined ? {} : { trustedKeys: trustedKeys(b, form.trusted_keys) }),
    ...(form.ipe_boot_policy === undefined ? {} : { ipeBootPolicy: form.ipe_boot_policy }),
  };
}
