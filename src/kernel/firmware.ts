// What firmware and boot loader measure before the kernel runs: a UEFI boot with Secure Boot variables, shim
// with its MOK lists, GRUB, the kernel's EFI stub, kernel, initramfs and command line, in the record forms
// that EDK II, shim, GRUB and the stub write. Programs that are not given are stand-ins (names and
// versions), so their digests are stable but belong to no released binary.

import { filled, latin1, utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import type { FirmwareEvent, SignatureEntry, UefiSpec } from './api.ts';
import type { BootEvent } from './eventlog.ts';
import * as u from './uefi.ts';

const hash = (salt: number): readonly SignatureEntry[] => [{ sha256: filled(32, salt) }];

function event(pcr: number, type: string, data: Uint8Array, logged?: Uint8Array): FirmwareEvent {
  return { pcr, type, data, ...(logged === undefined ? {} : { event: logged }) };
}

function variable(guid: string, name: string, value: Uint8Array): FirmwareEvent {
  return event(7, 'EV_EFI_VARIABLE_DRIVER_CONFIG', u.variableData(guid, name, value));
}

/** EDK II hashes the value alone for EV_EFI_VARIABLE_BOOT, the whole structure for driver configuration. */
function bootVariable(name: string, value: Uint8Array): FirmwareEvent {
  return event(1, 'EV_EFI_VARIABLE_BOOT', value, u.variableData(u.EFI_GLOBAL_VARIABLE, name, value));
}

function authority(guid: string, name: string, value: Uint8Array): FirmwareEvent {
  return event(7, 'EV_EFI_VARIABLE_AUTHORITY', u.variableData(guid, name, value));
}

const action = (pcr: number, text: string): FirmwareEvent => event(pcr, 'EV_EFI_ACTION', latin1(text));

function application(path: string, image: Uint8Array, address: bigint): FirmwareEvent {
  const logged = u.imageLoad(address, image.length, path);
  return event(4, 'EV_EFI_BOOT_SERVICES_APPLICATION', u.imageParts(image), logged);
}

/** A measurement with a text: GRUB's of a string it acts on (PCR 8) or of a file (PCR 9), shim's lists. */
const ipl = (pcr: 8 | 9 | 14, data: Uint8Array, description: string): FirmwareEvent =>
  event(pcr, 'EV_IPL', data, utf8(`${description}\0`));

const command = (text: string): FirmwareEvent => ipl(8, utf8(text), `grub_cmd: ${text}`);

const STARTUP_LOCALITY = latin1('StartupLocality\0');

/** Locality of TPM2_Startup, for the log only. */
function startupLocality(locality: number): FirmwareEvent {
  return event(0, 'EV_NO_ACTION', Uint8Array.from([...STARTUP_LOCALITY, locality]));
}

/**
 * Whether the firmware measured the variable SecureBoot with the value 1.
 * @kernel include/linux/efi.h efi_get_secureboot_mode()
 */
export function secureBootOf(events: readonly BootEvent[]): boolean {
  return events.some((e) => {
    const v = e.pcr === 7 ? u.readVariable(e.event) : null;
    return v?.name === 'SecureBoot' && v.guid === u.EFI_GLOBAL_VARIABLE && v.value[0] === 1;
  });
}

export interface BootFacts {
  readonly release: string;
  readonly cmdline: string;
  /** What tells this build of the kernel, and this initramfs, from the usual ones; empty for those. */
  readonly build?: string;
  readonly initramfs?: string;
}

/** Names and contents of what is started. */
interface Boot {
  readonly spec: UefiSpec;
  readonly vmlinuz: string;
  readonly initrd: string;
  readonly cmdline: string;
  readonly images: { readonly [image in 'shim' | 'grub' | 'kernel' | 'initrd']: Uint8Array };
}

function bootOf(spec: UefiSpec, facts: BootFacts): Boot {
  const { release, build = '', initramfs = '' } = facts;
  const vmlinuz = `/boot/vmlinuz-${release}`;
  return {
    spec,
    vmlinuz,
    initrd: `/boot/initrd.img-${release}`,
    cmdline: `${vmlinuz} ${facts.cmdline}`.trimEnd(),
    images: {
      shim: utf8('kisim shim 15.8'),
      grub: utf8('kisim grub 2.12'),
      kernel: utf8(`kisim linux ${release}${build}`),
      initrd: utf8(`kisim initramfs of ${release}${initramfs}`),
      ...spec.images,
    },
  };
}

/** Options of the stub: what stands behind the path in Boot####, or what GRUB hands over. */
function stubOptions(b: Boot): Uint8Array {
  const line = b.spec.loader === 'stub' ? b.cmdline.split(' ').slice(1) : [`BOOT_IMAGE=${b.cmdline}`];
  const initrd = b.spec.loader === 'stub' ? [`initrd=${b.initrd.replaceAll('/', '\\')}`] : [];
  return u.utf16(`${[...initrd, ...line].join(' ')}\0`);
}

const stubPath = (b: Boot): string => b.vmlinuz.replaceAll('/', '\\');
const SHIM_PATH = '\\EFI\\kisim\\shimx64.efi';

/** @tcg PC Client Platform Firmware Profile 1.05, 3.3.4 PCR Usage */
function firmwarePart(b: Boot): FirmwareEvent[] {
  const { spec } = b;
  const locality = spec.startupLocality ?? 0;
  const database = (entries: readonly SignatureEntry[]): Uint8Array => u.signatureDatabase(entries);
  const options = [
    b.spec.loader === 'stub'
      ? u.loadOption('kisim', stubPath(b), stubOptions(b))
      : u.loadOption('kisim', SHIM_PATH, new Uint8Array(0)),
    ...(spec.bootOptions ?? []).map((o) => u.loadOption(o.description, o.path, new Uint8Array(0))),
  ];
  const order = new Writer('le');
  for (const n of options.keys()) order.u16(n);
  const separators = [0, 1, 2, 3, 4, 5, 6, 7].map((pcr) => event(pcr, 'EV_SEPARATOR', filled(4, 0)));
  const signer = spec.db?.find((e) => 'cert' in e);
  const verified =
    (spec.secureBoot ?? true) && signer !== undefined && 'cert' in signer
      ? [authority(u.EFI_IMAGE_SECURITY_DATABASE, 'db', u.signatureData(signer.cert))]
      : [];
  return [
    ...(locality === 0 ? [] : [startupLocality(locality)]),
    event(0, 'EV_S_CRTM_VERSION', u.utf16('kisim firmware 1.0\0')),
    event(
      0,
      'EV_EFI_PLATFORM_FIRMWARE_BLOB',
      utf8('kisim firmware volume 1.0'),
      new Writer('le').u64(0xffc00000n).u64(0x400000n).finish(),
    ),
    variable(u.EFI_GLOBAL_VARIABLE, 'SecureBoot', Uint8Array.of((spec.secureBoot ?? true) ? 1 : 0)),
    variable(u.EFI_GLOBAL_VARIABLE, 'PK', database(spec.pk ?? hash(1))),
    variable(u.EFI_GLOBAL_VARIABLE, 'KEK', database(spec.kek ?? hash(2))),
    variable(u.EFI_IMAGE_SECURITY_DATABASE, 'db', database(spec.db ?? hash(3))),
    variable(u.EFI_IMAGE_SECURITY_DATABASE, 'dbx', database(spec.dbx ?? hash(4))),
    bootVariable('BootOrder', order.finish()),
    ...options.map((o, n) => bootVariable(`Boot${n.toString(16).toUpperCase().padStart(4, '0')}`, o)),
    action(4, 'Calling EFI Application from Boot Option'),
    ...separators,
    ...verified,
  ];
}

/** Shim's lists, in its order: MokListTrusted goes into two registers. */
function shimPart(b: Boot): FirmwareEvent[] {
  const { mok, mokx, mokTrusted, sbatLevel } = b.spec;
  const list = (name: string, entries: readonly SignatureEntry[] | undefined): FirmwareEvent[] =>
    entries === undefined ? [] : [ipl(14, u.signatureDatabase(entries), name)];
  const trusted = Uint8Array.of(1);
  return [
    ...list('MokList', mok),
    ...list('MokListX', mokx),
    ...(sbatLevel === undefined ? [] : [authority(u.SHIM_LOCK, 'SbatLevel', latin1(sbatLevel))]),
    ...(mokTrusted === true
      ? [authority(u.SHIM_LOCK, 'MokListTrusted', trusted), ipl(14, trusted, 'MokListTrusted')]
      : []),
  ];
}

const LOAD_OPTIONS_EVENT_TAG_ID = 0x8f3b22ed;
const INITRD_EVENT_TAG_ID = 0x8f3b22ec;

/**
 * The kernel's EFI stub: its load options, then the initramfs.
 * @kernel drivers/firmware/efi/libstub/efi-stub-helper.c efi_convert_cmdline(), efi_load_initrd()
 */
function stubPart(b: Boot): FirmwareEvent[] {
  const tag = (id: number, data: Uint8Array, text: string): FirmwareEvent =>
    event(9, 'EV_EVENT_TAG', data, u.taggedEvent(id, utf8(`${text}\0`)));
  return [
    tag(LOAD_OPTIONS_EVENT_TAG_ID, stubOptions(b), 'LOADED_IMAGE::LoadOptions'),
    tag(INITRD_EVENT_TAG_ID, b.images.initrd, 'Linux initrd'),
  ];
}

/** GRUB starts the kernel itself, or hands it to the firmware, which measures it again as a program. */
function grubPart(b: Boot): FirmwareEvent[] {
  const { images, cmdline } = b;
  const kernel = ipl(9, images.kernel, b.vmlinuz);
  const line = ipl(8, utf8(cmdline), `kernel_cmdline: ${cmdline}`);
  const initrd = ipl(9, images.initrd, b.initrd);
  const program = application('\\vmlinuz', images.kernel, 0x70000000n);
  return [
    ...(b.spec.grubCommands ?? []).map(command),
    command(`linux ${cmdline}`),
    ...(b.spec.loader === 'grub-stub' ? [kernel, line, initrd, program] : [kernel, program, line, initrd]),
  ];
}

/** A UEFI boot of that set-up, up to the jump into the kernel. */
export function uefiFirmware(spec: UefiSpec, facts: BootFacts): FirmwareEvent[] {
  const b = bootOf(spec, facts);
  const { images } = b;
  const loader = spec.loader ?? 'grub';
  const started =
    loader === 'stub'
      ? [application(stubPath(b), images.kernel, 0x70000000n)]
      : [
          application(SHIM_PATH, images.shim, 0x7e000000n),
          ...shimPart(b),
          application('\\EFI\\kisim\\grubx64.efi', images.grub, 0x7d000000n),
          ...grubPart(b),
        ];
  return [
    ...firmwarePart(b),
    ...started,
    ...(loader === 'grub' ? [] : stubPart(b)),
    action(5, 'Exit Boot Services Invocation'),
    action(5, 'Exit Boot Services Returned with Success'),
  ];
}

/** The boot of a machine whose firmware nobody described. */
export function defaultFirmware(facts: BootFacts): FirmwareEvent[] {
  return uefiFirmware({}, facts);
}
