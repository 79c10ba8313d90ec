// What one record of a firmware event log is about, in one line for people: the variable and its vendor, the
// program and where it came from, the text of a boot loader, the locality. What cannot be read is said so.

import { fromLatin1, latin1, toHex } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import { type BootEvent, EVENT_TYPES as T } from './eventlog.ts';
import * as u from './uefi.ts';

const SHOWN = 160;
const UNREADABLE = 'data that cannot be read';

/** Printable text, cut to one line. */
function plain(text: string): string {
  const clean = [...text.replace(/[\0\n]+$/, '')].map((c) => (c < ' ' || c > '~' ? '.' : c)).join('');
  return clean.length > SHOWN ? `${clean.slice(0, SHOWN)}...` : clean;
}

function bytesText(data: Uint8Array): string {
  const hex = toHex(data.subarray(0, 16));
  return data.length > 16 ? `${hex}... (${data.length} bytes)` : hex;
}

/** Text where the bytes are one, else hexadecimal digits. */
function stringOrBytes(data: Uint8Array): string {
  const text = fromLatin1(data).replace(/\0+$/, '');
  return text !== '' && /^[\t\n\r -~]*$/.test(text) ? `"${plain(text)}"` : bytesText(data);
}

const VENDORS: Readonly<Record<string, string>> = {
  [u.EFI_GLOBAL_VARIABLE]: 'EFI global variable',
  [u.EFI_IMAGE_SECURITY_DATABASE]: 'image security database',
  [u.SHIM_LOCK]: 'shim lock',
};

const LISTS: Readonly<Record<string, string>> = {
  [u.EFI_CERT_X509]: 'certificate',
  [u.EFI_CERT_SHA256]: 'sha256 hash',
  [u.EFI_CERT_X509_SHA256]: 'hash of a certificate',
};

/** How many entries of which kinds a signature database has. */
function databaseText(value: Uint8Array): string {
  const counts = new Map<string, number>();
  const r = new Reader(value, 'le');
  while (r.remaining >= 28) {
    const kind = LISTS[u.guidText(r.take(16))] ?? 'entry of another kind';
    const [listSize, headerSize, size] = [r.u32(), r.u32(), r.u32()];
    const room = listSize - 28 - headerSize;
    if (size === 0 || room < 0 || room + headerSize > r.remaining) return UNREADABLE;
    r.take(headerSize + room);
    counts.set(kind, (counts.get(kind) ?? 0) + Math.floor(room / size));
  }
  if (value.length === 0) return 'empty';
  const parts = [...counts].map(
    ([kind, n]) => `${n} ${kind}${n === 1 ? '' : kind.endsWith('h') ? 'es' : 's'}`,
  );
  return parts.join(', ') || UNREADABLE;
}

function loadOptionText(value: Uint8Array): string {
  const r = new Reader(value, 'le');
  r.u32();
  const pathLength = r.u16();
  if (r.failed) return UNREADABLE;
  const description = u.fromUtf16(value.subarray(6));
  const path = value.subarray(6 + 2 * (description.length + 1)).subarray(0, pathLength);
  return `"${plain(description)}", ${devicePathText(path)}`;
}

function variableText(v: u.UefiVariable): string {
  if (['PK', 'KEK', 'db', 'dbx'].includes(v.name)) return databaseText(v.value);
  if (v.name === 'SecureBoot' || v.name === 'MokListTrusted') return v.value[0] === 1 ? 'on' : 'off';
  if (v.name === 'BootOrder') {
    const r = new Reader(v.value, 'le');
    const names: string[] = [];
    while (r.remaining >= 2) names.push(`Boot${r.u16().toString(16).toUpperCase().padStart(4, '0')}`);
    return names.join(', ');
  }
  if (/^Boot[0-9a-fA-F]{4}$/.test(v.name)) return loadOptionText(v.value);
  return stringOrBytes(v.value);
}

/** One node of a device path; null where it is of a kind that is told by its bytes. */
function nodeText(type: number, subType: number, data: Uint8Array): string | null {
  const r = new Reader(data, 'le');
  const hex = (n: number | bigint): string => n.toString(16);
  const key = type * 256 + subType;
  switch (key) {
    case 0x0101: {
      const [fn, device] = [r.u8(), r.u8()];
      return `Pci(0x${hex(device)},0x${hex(fn)})`;
    }
    case 0x0103:
      return `MemoryMapped(0x${hex(r.u32())},0x${hex(r.u64())},0x${hex(r.u64())})`;
    case 0x0201: {
      const [hid, uid] = [r.u32(), r.u32()];
      return (hid & 0xffff) === 0x41d0 && hid >>> 16 === 0x0a03
        ? `PciRoot(0x${hex(uid)})`
        : `Acpi(0x${hex(hid)},0x${hex(uid)})`;
    }
    case 0x0302: {
      const [pun, lun] = [r.u16(), r.u16()];
      return `Scsi(0x${hex(pun)},0x${hex(lun)})`;
    }
    case 0x0305: {
      const [port, face] = [r.u8(), r.u8()];
      return `USB(0x${hex(port)},0x${hex(face)})`;
    }
    case 0x0312: {
      const [port, , lun] = [r.u16(), r.u16(), r.u16()];
      return `Sata(0x${hex(port)},0x${hex(lun)})`;
    }
    case 0x0317:
      return `NVMe(0x${hex(r.u32())})`;
    case 0x0401: {
      const number = r.u32();
      r.take(16);
      const id = r.take(16);
      const format = r.u8();
      return format === 2
        ? `HD(${number},GPT,${u.guidText(id)})`
        : `HD(${number},MBR,0x${hex(new DataView(id.buffer, id.byteOffset, 4).getUint32(0, true))})`;
    }
    case 0x0404:
      return `\\${u.fromUtf16(data).replace(/^\\/, '')}`;
    case 0x0406:
      return `FvFile(${u.guidText(r.take(16))})`;
    case 0x0407:
      return `Fv(${u.guidText(r.take(16))})`;
    default:
      return null;
  }
}

const SIZES: Readonly<Record<number, number>> = {
  257: 2,
  259: 20,
  513: 8,
  770: 4,
  773: 2,
  786: 6,
  791: 4,
  1025: 37,
  1030: 16,
  1031: 16,
};

/** A device path as UEFI shells write it. @tcg PC Client Platform Firmware Profile 1.05, 10.2.3 */
export function devicePathText(path: Uint8Array): string {
  const nodes: string[] = [];
  for (let at = 0; at + 4 <= path.length; ) {
    const type = path[at] ?? 0;
    const subType = path[at + 1] ?? 0;
    const length = (path[at + 2] ?? 0) | ((path[at + 3] ?? 0) << 8);
    if (length < 4 || at + length > path.length) return [...nodes, UNREADABLE].join('/');
    if (type === 0x7f && subType === 0xff) break;
    const data = path.subarray(at + 4, at + length);
    const known = data.length >= (SIZES[type * 256 + subType] ?? 0) ? nodeText(type, subType, data) : null;
    nodes.push(known ?? `Path(${type},${subType},${bytesText(data)})`);
    at += length;
  }
  return nodes.length === 0 ? 'no path' : nodes.join('/');
}

function imageText(data: Uint8Array): string {
  const r = new Reader(data, 'le');
  const [, length, , pathLength] = [r.u64(), r.u64(), r.u64(), r.u64()];
  if (r.failed || pathLength > BigInt(r.remaining)) return UNREADABLE;
  return `${devicePathText(r.take(Number(pathLength)))}, ${length} bytes`;
}

function blobText(data: Uint8Array, described: boolean): string {
  const r = new Reader(data, 'le');
  const name = described ? fromLatin1(r.take(r.u8())) : '';
  const [base, length] = [r.u64(), r.u64()];
  if (r.failed) return stringOrBytes(data);
  return `${name === '' ? '' : `${plain(name)}, `}${length} bytes at 0x${base.toString(16)}`;
}

function tagText(data: Uint8Array): string {
  const r = new Reader(data, 'le');
  const id = r.u32();
  const content = r.take(r.u32());
  return r.failed ? UNREADABLE : `tag 0x${id.toString(16)}, ${stringOrBytes(content)}`;
}

const STARTUP_LOCALITY = latin1('StartupLocality\0');

function noActionText(data: Uint8Array): string {
  const startup = data.length > 16 && STARTUP_LOCALITY.every((b, i) => data[i] === b);
  return startup ? `TPM2_Startup from locality ${data[16]}` : stringOrBytes(data.subarray(0, 32));
}

function gptText(data: Uint8Array): string {
  const r = new Reader(data, 'le');
  const head = r.take(92);
  const count = r.u64();
  if (r.failed) return UNREADABLE;
  return `partition table of disk ${u.guidText(head.subarray(56, 72))}, ${count} partitions`;
}

function separatorText(data: Uint8Array): string {
  const value = toHex(data);
  if (value === '00000000' || value === 'ffffffff') return 'end of the firmware part';
  return `error ${value}`;
}

/** What a record is about. @tcg PC Client Platform Firmware Profile 1.05, 10.4.1 Event Types */
export function eventText(e: Pick<BootEvent, 'type' | 'event'>): string {
  const data = e.event;
  switch (e.type) {
    case T.EV_EFI_VARIABLE_DRIVER_CONFIG:
    case T.EV_EFI_VARIABLE_BOOT:
    case T.EV_EFI_VARIABLE_BOOT2:
    case T.EV_EFI_VARIABLE_AUTHORITY: {
      const v = u.readVariable(data);
      if (v === null) return UNREADABLE;
      const vendor = VENDORS[v.guid];
      const owner = vendor === undefined ? v.guid : `${vendor} ${v.guid}`;
      const value =
        e.type === T.EV_EFI_VARIABLE_AUTHORITY && ['db', 'Shim'].includes(v.name)
          ? `the certificate that verified the next program, ${v.value.length} bytes`
          : variableText(v);
      return `${plain(v.name)} (${owner}): ${value}`;
    }
    case T.EV_EFI_BOOT_SERVICES_APPLICATION:
    case T.EV_EFI_BOOT_SERVICES_DRIVER:
    case T.EV_EFI_RUNTIME_SERVICES_DRIVER:
      return imageText(data);
    case T.EV_EFI_PLATFORM_FIRMWARE_BLOB:
    case T.EV_S_CRTM_CONTENTS:
      return data.length === 16 ? blobText(data, false) : stringOrBytes(data);
    case T.EV_POST_CODE:
      return data.length === 16 ? blobText(data, false) : stringOrBytes(data);
    case T.EV_EFI_PLATFORM_FIRMWARE_BLOB2:
      return blobText(data, true);
    case T.EV_S_CRTM_VERSION: {
      const wide = data.length % 2 === 0 ? u.fromUtf16(data) : '';
      return /^[ -~]{2,}$/.test(wide) ? `version "${plain(wide)}"` : `version ${stringOrBytes(data)}`;
    }
    case T.EV_EVENT_TAG:
      return tagText(data);
    case T.EV_EFI_GPT_EVENT:
      return gptText(data);
    case T.EV_NO_ACTION:
      return noActionText(data);
    case T.EV_SEPARATOR:
      return separatorText(data);
    default:
      return stringOrBytes(data);
  }
}
