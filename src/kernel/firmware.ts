// What firmware and boot loader measure before the kernel runs: a small UEFI boot with Secure Boot
// variables, shim, GRUB, kernel, initramfs and command line, in the record forms that EDK II, shim and GRUB
// write. The measured programs themselves are stand-ins (names and versions), so their digests are stable
// but belong to no released binary.

import { concat, filled, fromHex, latin1, toHex, utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import type { FirmwareEvent } from './api.ts';
import type { BootEvent } from './eventlog.ts';

const EFI_GLOBAL_VARIABLE = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const EFI_IMAGE_SECURITY_DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';
const EFI_CERT_SHA256 = 'c1c41626-504c-4092-aca9-41f936934328';
const OWNER = '77fa9abd-0359-4d32-bd60-28f4e78f784b';

/** A GUID in its mixed-endian memory form. */
export function guidBytes(text: string): Uint8Array {
  const [a = '', b = '', c = '', d = '', e = ''] = text.split('-');
  const flip = (hex: string): Uint8Array => fromHex(hex).reverse();
  return concat(flip(a), flip(b), flip(c), fromHex(d), fromHex(e));
}

function utf16(text: string): Uint8Array {
  const out = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    out[2 * i] = c & 255;
    out[2 * i + 1] = c >> 8;
  }
  return out;
}

/**
 * UEFI_VARIABLE_DATA: vendor GUID, name, value.
 * @tcg PC Client Platform Firmware Profile 1.05, 10.2.6 UEFI_VARIABLE_DATA
 */
export function variableData(guid: string, name: string, value: Uint8Array): Uint8Array {
  return new Writer('le')
    .bytes(guidBytes(guid))
    .u64(BigInt(name.length))
    .u64(BigInt(value.length))
    .bytes(utf16(name))
    .bytes(value)
    .finish();
}

/** EFI_SIGNATURE_LIST with one SHA-256 entry. */
function hashList(digest: Uint8Array): Uint8Array {
  return new Writer('le')
    .bytes(guidBytes(EFI_CERT_SHA256))
    .u32(28 + 16 + digest.length)
    .u32(0)
    .u32(16 + digest.length)
    .bytes(guidBytes(OWNER))
    .bytes(digest)
    .finish();
}

/** A file path node of a device path, with its end node. */
function filePath(path: string): Uint8Array {
  const name = utf16(`${path}\0`);
  return new Writer('le')
    .u8(4)
    .u8(4)
    .u16(4 + name.length)
    .bytes(name)
    .bytes(fromHex('7fff0400'))
    .finish();
}

/** UEFI_IMAGE_LOAD_EVENT for an application loaded from a file. */
function imageLoad(address: bigint, length: number, path: string): Uint8Array {
  const device = filePath(path);
  return new Writer('le')
    .u64(address)
    .u64(BigInt(length))
    .u64(0n)
    .u64(BigInt(device.length))
    .bytes(device)
    .finish();
}

/** EFI_LOAD_OPTION of Boot0000. */
function bootOption(): Uint8Array {
  const path = filePath('\\EFI\\kisim\\shimx64.efi');
  return new Writer('le').u32(1).u16(path.length).bytes(utf16('kisim\0')).bytes(path).finish();
}

function variable(guid: string, name: string, value: Uint8Array): FirmwareEvent {
  return { pcr: 7, type: 'EV_EFI_VARIABLE_DRIVER_CONFIG', data: variableData(guid, name, value) };
}

const action = (pcr: number, text: string): FirmwareEvent => ({
  pcr,
  type: 'EV_EFI_ACTION',
  data: latin1(text),
});

function application(path: string, image: string, address: bigint): FirmwareEvent {
  const bytes = utf8(image);
  return {
    pcr: 4,
    type: 'EV_EFI_BOOT_SERVICES_APPLICATION',
    data: bytes,
    event: imageLoad(address, bytes.length, path),
  };
}

/** GRUB's measurement of a string it acts on (PCR 8) or of a file it read (PCR 9). */
const grub = (pcr: 8 | 9, data: Uint8Array, description: string): FirmwareEvent => ({
  pcr,
  type: 'EV_IPL',
  data,
  event: utf8(`${description}\0`),
});

/**
 * Whether the firmware measured the variable SecureBoot with the value 1.
 * @kernel include/linux/efi.h efi_get_secureboot_mode()
 */
export function secureBootOf(events: readonly BootEvent[]): boolean {
  const on = toHex(variableData(EFI_GLOBAL_VARIABLE, 'SecureBoot', Uint8Array.of(1)));
  return events.some((e) => e.pcr === 7 && toHex(e.event) === on);
}

export interface BootFacts {
  readonly release: string;
  readonly cmdline: string;
  /** What tells this build of the kernel, and this initramfs, from the usual ones. */
  readonly build?: string;
  readonly initramfs?: string;
}

/**
 * The default boot: CRTM, Secure Boot variables, boot order, separators, shim, GRUB, kernel, initramfs,
 * command line.
 * @tcg PC Client Platform Firmware Profile 1.05, 3.3.4 PCR Usage
 */
export function defaultFirmware(facts: BootFacts): FirmwareEvent[] {
  const vmlinuz = `/boot/vmlinuz-${facts.release}`;
  const initrd = `/boot/initrd.img-${facts.release}`;
  const kernel = `kisim linux ${facts.release}${facts.build ?? ''}`;
  const cmdline = `${vmlinuz} ${facts.cmdline}`.trimEnd();
  const separators = [0, 1, 2, 3, 4, 5, 6, 7].map(
    (pcr): FirmwareEvent => ({ pcr, type: 'EV_SEPARATOR', data: filled(4, 0) }),
  );
  const key = (salt: number): Uint8Array => hashList(filled(32, salt));
  const order = Uint8Array.of(0, 0);
  const boot0 = bootOption();
  return [
    { pcr: 0, type: 'EV_S_CRTM_VERSION', data: utf16('kisim firmware 1.0\0') },
    {
      pcr: 0,
      type: 'EV_EFI_PLATFORM_FIRMWARE_BLOB',
      data: utf8('kisim firmware volume 1.0'),
      event: new Writer('le').u64(0xffc00000n).u64(0x400000n).finish(),
    },
    variable(EFI_GLOBAL_VARIABLE, 'SecureBoot', Uint8Array.of(1)),
    variable(EFI_GLOBAL_VARIABLE, 'PK', key(1)),
    variable(EFI_GLOBAL_VARIABLE, 'KEK', key(2)),
    variable(EFI_IMAGE_SECURITY_DATABASE, 'db', key(3)),
    variable(EFI_IMAGE_SECURITY_DATABASE, 'dbx', key(4)),
    // EDK II hashes the value alone for EV_EFI_VARIABLE_BOOT, the whole structure for driver configuration.
    {
      pcr: 1,
      type: 'EV_EFI_VARIABLE_BOOT',
      data: order,
      event: variableData(EFI_GLOBAL_VARIABLE, 'BootOrder', order),
    },
    {
      pcr: 1,
      type: 'EV_EFI_VARIABLE_BOOT',
      data: boot0,
      event: variableData(EFI_GLOBAL_VARIABLE, 'Boot0000', boot0),
    },
    action(4, 'Calling EFI Application from Boot Option'),
    ...separators,
    application('\\EFI\\kisim\\shimx64.efi', 'kisim shim 15.8', 0x7e000000n),
    application('\\EFI\\kisim\\grubx64.efi', 'kisim grub 2.12', 0x7d000000n),
    grub(8, utf8(`linux ${cmdline}`), `grub_cmd: linux ${cmdline}`),
    grub(9, utf8(kernel), vmlinuz),
    application('\\vmlinuz', kernel, 0x70000000n),
    grub(8, utf8(cmdline), `kernel_cmdline: ${cmdline}`),
    grub(9, utf8(`kisim initramfs of ${facts.release}${facts.initramfs ?? ''}`), initrd),
    action(5, 'Exit Boot Services Invocation'),
    action(5, 'Exit Boot Services Returned with Success'),
  ];
}
