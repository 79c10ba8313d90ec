// The event data of firmware in the text form of tpm2_eventlog: EFI variables with signature lists and boot
// options, image loads, partition tables, firmware blobs, boot loader strings. Text has one character per
// byte. A note is what that tool says on standard error; `failed` is where it gives up.

import { fromLatin1, latin1, toHex, utf8 } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import { EVENT_TYPES as T } from '../kernel/eventlog.ts';
import { guidText } from '../kernel/uefi.ts';

/** What one event's data gives. */
export interface Printed {
  text: string;
  failed: string | null;
  notes: string[];
}

const LONE_SURROGATE = /[\ud800-\udfff]/u;
const SHOWN_BYTES = 1024;

/** Text up to its first zero byte, as C prints it. */
function cText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return fromLatin1(end < 0 ? bytes : bytes.subarray(0, end));
}

/** UTF-16 to UTF-8, one character per byte, up to the first zero; null where a surrogate stands alone. */
function utf16Text(bytes: Uint8Array): string | null {
  let text = '';
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    const unit = (bytes[i] as number) | ((bytes[i + 1] as number) << 8);
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text.match(LONE_SURROGATE) === null ? fromLatin1(utf8(text)) : null;
}

const ESCAPES: Readonly<Record<number, string>> = {
  0: '\\0',
  7: '\\a',
  8: '\\b',
  9: '\\t',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  27: '\\e',
  39: "\\'",
  92: '\\\\',
};

function escapeLine(line: Uint8Array): string {
  let out = '';
  for (const b of line) out += ESCAPES[b] ?? String.fromCharCode(b);
  return out;
}

/** A block with a quoted line for each line of the data. */
function splitString(indent: string, field: string, data: Uint8Array): string {
  let out = `${indent}${field}: |-\n`;
  let at = 0;
  do {
    const newline = data.indexOf(10, at);
    const end = newline < 0 ? data.length : newline;
    out += `${indent}  "${escapeLine(data.subarray(at, end))}"\n`;
    at = end + 1;
  } while (at < data.length);
  return out;
}

const hexLine = (data: Uint8Array): string => `  Event: "${toHex(data.subarray(0, SHOWN_BYTES))}"\n`;
const textLine = (data: Uint8Array): string => `  Event: |-\n    ${cText(data)}\n`;
const hex64 = (v: bigint): string => `0x${v.toString(16)}`;

/** A variable's head: vendor, name, value, and whether the sizes fit. */
interface Variable {
  readonly name: string;
  readonly value: Uint8Array;
  readonly valueSize: bigint;
}

const SIGNATURE_LIST_HEAD = 28;

/** EFI_SIGNATURE_LISTs of PK, KEK, db and dbx. */
function signatureLists(out: Printed, data: Uint8Array): void {
  let at = 0;
  let done = 0;
  while (done < data.length) {
    const list = data.subarray(at);
    if (done + SIGNATURE_LIST_HEAD > data.length || list.length < SIGNATURE_LIST_HEAD) {
      out.notes.push('EventSize is inconsistent with actual data');
      return;
    }
    const r = new Reader(list.subarray(16), 'le');
    const [listSize, headerSize, size] = [r.u32(), r.u32(), r.u32()];
    if (size < 16) {
      out.notes.push('SignatureSize is too small');
      return;
    }
    out.text += `    - SignatureType: ${guidText(list)}\n      SignatureListSize: ${listSize}\n`;
    out.text += `      SignatureHeaderSize: ${headerSize}\n      SignatureSize: ${size}\n      Keys:\n`;
    done += SIGNATURE_LIST_HEAD + headerSize;
    if (done + size > data.length) {
      out.notes.push('EventSize is inconsistent with actual data');
      return;
    }
    const room = listSize - SIGNATURE_LIST_HEAD - headerSize;
    if (room < 0 || room % size !== 0) {
      out.notes.push('Malformed EFI_SIGNATURE_LIST');
      return;
    }
    for (let i = 0; i < room / size; i++) {
      const start = SIGNATURE_LIST_HEAD + headerSize + i * size;
      const signature = list.subarray(start, start + size);
      if (signature.length < size) {
        out.notes.push('Malformed EFI_SIGNATURE_DATA');
        return;
      }
      out.text += `      - SignatureOwner: ${guidText(signature)}\n`;
      out.text += `        SignatureData: ${toHex(signature.subarray(16))}\n`;
      done += size;
    }
    at += listSize;
  }
}

/** SecureBoot and MokListTrusted: one byte or none. */
function enabledValue(out: Printed, v: Variable): void {
  out.text += '    VariableData:\n      Enabled: ';
  if (v.valueSize > 1n) {
    out.failed = `${v.name} value length ${v.valueSize} is unexpectedly > 1`;
    return;
  }
  out.text += v.valueSize === 0n || (v.value[0] ?? 0) === 0 ? "'No'\n" : "'Yes'\n";
}

/** db or Shim in an authority event: one EFI_SIGNATURE_DATA. */
function authoritySignature(out: Printed, v: Variable): void {
  out.text += '    VariableData:\n';
  if (v.valueSize < 16n) {
    out.failed = 'VariableDataLength is too short for EFI_SIGNATURE_DATA';
    return;
  }
  out.text += `    - SignatureOwner: ${guidText(v.value)}\n`;
  out.text += `      SignatureData: ${toHex(v.value.subarray(16))}\n`;
}

function bootOrder(out: Printed, v: Variable): void {
  out.text += '    VariableData:\n';
  if (v.valueSize % 2n !== 0n) {
    out.failed = `BootOrder value length ${v.valueSize} is not divisible by 2`;
    return;
  }
  const r = new Reader(v.value, 'le');
  while (r.remaining >= 2) out.text += `    - Boot${r.u16().toString(16).padStart(4, '0')}\n`;
}

/** EFI_LOAD_OPTION. */
function bootOption(out: Printed, v: Variable): void {
  const r = new Reader(v.value, 'le');
  const attributes = r.u32();
  const pathLength = r.u16();
  out.text += `    VariableData:\n      Enabled: ${(attributes & 1) !== 0 ? "'Yes'" : "'No'"}\n`;
  out.text += `      FilePathListLength: ${pathLength}\n`;
  const rest = v.value.subarray(6);
  let end = 0;
  while (end + 1 < rest.length && (rest[end] !== 0 || rest[end + 1] !== 0)) end += 2;
  const description = utf16Text(rest.subarray(0, end)) ?? '';
  out.text += `      Description: "${description}"\n`;
  out.text += `      DevicePath: '${toHex(rest.subarray(end + 2))}'\n`;
}

/** The forms of known variables in version 2 of the output; false for any other variable. */
function knownVariable(out: Printed, type: number, v: Variable, rest: Uint8Array): boolean {
  if (type === T.EV_EFI_VARIABLE_DRIVER_CONFIG) {
    if (['PK', 'KEK', 'db', 'dbx'].includes(v.name)) {
      out.text += '    VariableData:\n';
      signatureLists(out, rest);
      return true;
    }
    if (v.name !== 'SecureBoot') return false;
    enabledValue(out, v);
    return true;
  }
  if (type === T.EV_EFI_VARIABLE_AUTHORITY) {
    if (v.name === 'MokListTrusted') enabledValue(out, v);
    else if (v.name === 'db' || v.name === 'Shim') authoritySignature(out, v);
    else if (v.name === 'SbatLevel')
      out.text += `    VariableData:\n${splitString('      ', 'String', v.value)}`;
    else return false;
    return true;
  }
  if (v.name === 'BootOrder') bootOrder(out, v);
  else if (/^Boot[0-9a-fA-F]{4}$/.test(v.name)) bootOption(out, v);
  else return false;
  return true;
}

/** UEFI_VARIABLE_DATA. */
function variable(out: Printed, type: number, data: Uint8Array, version: number): void {
  const r = new Reader(data, 'le');
  const guid = r.take(16);
  const nameLength = r.u64();
  const valueSize = r.u64();
  if (r.failed || BigInt(r.remaining) < nameLength * 2n + valueSize) {
    out.failed = 'size is insufficient for UEFI variable data';
    return;
  }
  out.text += `  Event:\n    VariableName: ${guidText(guid)}\n    UnicodeNameLength: ${nameLength}\n`;
  out.text += `    VariableDataLength: ${valueSize}\n`;
  const name = utf16Text(r.take(Number(nameLength) * 2));
  if (name === null) {
    out.failed = 'the name of the variable is no UTF-16 text';
    return;
  }
  out.text += `    UnicodeName: ${name}\n`;
  const rest = r.rest();
  const value = rest.subarray(0, Number(valueSize));
  if (version === 2 && knownVariable(out, type, { name, value, valueSize }, rest)) return;
  if (value.length > 0) out.text += `    VariableData: "${toHex(value)}"\n`;
}

function firmwareBlob(out: Printed, data: Uint8Array): void {
  const r = new Reader(data, 'le');
  const [base, length] = [r.u64(), r.u64()];
  if (r.failed) out.failed = 'size is insufficient for UEFI FW blob data';
  else out.text += `  Event:\n    BlobBase: ${hex64(base)}\n    BlobLength: ${hex64(length)}\n`;
}

function firmwareBlob2(out: Printed, data: Uint8Array): void {
  const r = new Reader(data, 'le');
  const description = r.take(r.u8());
  const [base, length] = [r.u64(), r.u64()];
  if (r.failed) {
    out.failed = 'size is insufficient for UEFI FW blob data';
    return;
  }
  out.text += `  Event:\n    BlobDescriptionSize: ${description.length}\n`;
  out.text += `    BlobDescription: "${toHex(description)}"\n`;
  out.text += `    BlobBase: ${hex64(base)}\n    BlobLength: ${hex64(length)}\n`;
}

function imageLoad(out: Printed, data: Uint8Array): void {
  const r = new Reader(data, 'le');
  const [location, length, link, pathLength] = [r.u64(), r.u64(), r.u64(), r.u64()];
  if (r.failed) {
    out.failed = 'size is insufficient for UEFI image load event';
    return;
  }
  out.text += `  Event:\n    ImageLocationInMemory: ${hex64(location)}\n`;
  out.text += `    ImageLengthInMemory: ${length}\n    ImageLinkTimeAddress: ${hex64(link)}\n`;
  out.text += `    LengthOfDevicePath: ${pathLength}\n    DevicePath: '${toHex(r.rest())}'\n`;
}

const GPT_HEAD = 100;
const GPT_ENTRY = 128;

/** UEFI_GPT_DATA, version 2 of the output. */
function partitionTable(out: Printed, data: Uint8Array): void {
  const r = new Reader(data, 'le');
  const signature = cText(r.take(8));
  const n32 = (): string => `0x${r.u32().toString(16)}`;
  const n64 = (): string => hex64(r.u64());
  out.text += `  Event:\n    Header:\n      Signature: "${signature}"\n      Revision: ${n32()}\n`;
  out.text += `      HeaderSize: ${r.u32()}\n      HeaderCRC32: ${n32()}\n`;
  r.u32();
  out.text += `      MyLBA: ${n64()}\n      AlternateLBA: ${n64()}\n      FirstUsableLBA: ${n64()}\n`;
  out.text += `      LastUsableLBA: ${n64()}\n      DiskGUID: ${guidText(r.take(16))}\n`;
  out.text += `      PartitionEntryLBA: ${n64()}\n      NumberOfPartitionEntry: ${r.u32()}\n`;
  out.text += `      SizeOfPartitionEntry: ${r.u32()}\n      PartitionEntryArrayCRC32: ${n32()}\n`;
  const count = r.u64();
  out.text += `    NumberOfPartitions: ${count}\n    Partitions:\n`;
  for (let i = 0n; i < count; i++) {
    if (r.remaining < GPT_ENTRY) {
      out.failed = `Cannot parse GPT partition entry: insufficient data (${r.remaining})`;
      return;
    }
    out.text += `    - PartitionTypeGUID: ${guidText(r.take(16))}\n`;
    out.text += `      UniquePartitionGUID: ${guidText(r.take(16))}\n      StartingLBA: ${n64()}\n`;
    out.text += `      EndingLBA: ${n64()}\n      Attributes: ${n64()}\n`;
    out.text += `      PartitionName: "${utf16Text(r.take(72)) ?? '(null)'}"\n`;
  }
  if (r.remaining !== 0) out.failed = 'EventSize is inconsistent with actual data';
}

const STARTUP_LOCALITY = latin1('StartupLocality\0');

function noAction(out: Printed, data: Uint8Array, version: number): void {
  const startup = data.length > 16 && STARTUP_LOCALITY.every((b, i) => data[i] === b);
  if (version === 2 && startup) out.text += `  Event:\n    StartupLocality: ${data[16]}\n`;
  else out.text += hexLine(data);
}

/**
 * The lines of one event's data as tpm2_eventlog prints them.
 * @tcg PC Client Platform Firmware Profile 1.05, 10.2 Event data structures
 */
export function printEventData(type: number, data: Uint8Array, version: 1 | 2): Printed {
  const out: Printed = { text: '', failed: null, notes: [] };
  if (type === T.EV_EFI_HCRTM_EVENT && fromLatin1(data) !== 'HCRTM') {
    out.failed = 'HCRTM Event Data MUST be the string: "HCRTM"';
    return out;
  }
  out.text = `  EventSize: ${data.length}\n`;
  if (data.length === 0 && type !== T.EV_EFI_PLATFORM_FIRMWARE_BLOB) return out;
  switch (type) {
    case T.EV_EFI_VARIABLE_DRIVER_CONFIG:
    case T.EV_EFI_VARIABLE_BOOT:
    case T.EV_EFI_VARIABLE_BOOT2:
    case T.EV_EFI_VARIABLE_AUTHORITY:
      variable(out, type, data, version);
      break;
    case T.EV_POST_CODE:
      if (data.length === 16) firmwareBlob(out, data);
      else out.text += textLine(data);
      break;
    case T.EV_S_CRTM_CONTENTS:
    case T.EV_EFI_PLATFORM_FIRMWARE_BLOB:
      firmwareBlob(out, data);
      break;
    case T.EV_EFI_PLATFORM_FIRMWARE_BLOB2:
      firmwareBlob2(out, data);
      break;
    case T.EV_EFI_ACTION:
    case T.EV_EFI_HCRTM_EVENT:
      out.text += textLine(data);
      break;
    case T.EV_IPL:
      out.text += `  Event:\n${splitString('    ', 'String', data)}`;
      break;
    case T.EV_EFI_BOOT_SERVICES_APPLICATION:
    case T.EV_EFI_BOOT_SERVICES_DRIVER:
    case T.EV_EFI_RUNTIME_SERVICES_DRIVER:
      imageLoad(out, data);
      break;
    case T.EV_EFI_GPT_EVENT:
      if (data.length < GPT_HEAD) out.failed = `EventSize(${data.length}) is too small`;
      else if (version === 2) partitionTable(out, data);
      else out.text += hexLine(data);
      break;
    case T.EV_NO_ACTION:
      noAction(out, data, version);
      break;
    default:
      out.text += hexLine(data);
  }
  return out;
}
