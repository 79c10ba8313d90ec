// Structures of UEFI that firmware measures: GUIDs, variables, signature lists, device paths, load options,
// image loads, the hash of a PE image. Written as EDK II writes them, and read back where somebody asks what
// a log says.

import { concat, fromHex, toHex } from '../base/bytes.ts';
import { Reader, Writer } from '../base/codec.ts';
import type { SignatureEntry } from './api.ts';

export const EFI_GLOBAL_VARIABLE = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
export const EFI_IMAGE_SECURITY_DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';
export const SHIM_LOCK = '605dab50-e046-4300-abb6-3dd810dd8b23';
export const EFI_CERT_X509 = 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072';
export const EFI_CERT_SHA256 = 'c1c41626-504c-4092-aca9-41f936934328';
export const EFI_CERT_X509_SHA256 = '3bd2a492-96c0-4079-b420-fcf98ef103ed';
/** Who put the entries into the signature databases. */
const OWNER = '77fa9abd-0359-4d32-bd60-28f4e78f784b';

/** A GUID in its mixed-endian memory form. */
export function guidBytes(text: string): Uint8Array {
  const [a = '', b = '', c = '', d = '', e = ''] = text.split('-');
  const flip = (hex: string): Uint8Array => fromHex(hex).reverse();
  return concat(flip(a), flip(b), flip(c), fromHex(d), fromHex(e));
}

/** A GUID in its usual form from its 16 bytes in memory. */
export function guidText(bytes: Uint8Array): string {
  const flip = (from: number, to: number): string => toHex(bytes.slice(from, to).reverse());
  return [
    flip(0, 4),
    flip(4, 6),
    flip(6, 8),
    toHex(bytes.subarray(8, 10)),
    toHex(bytes.subarray(10, 16)),
  ].join('-');
}

export function utf16(text: string): Uint8Array {
  const out = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    out[2 * i] = c & 255;
    out[2 * i + 1] = c >> 8;
  }
  return out;
}

/** UTF-16 text up to its first zero. */
export function fromUtf16(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    const unit = (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8);
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

export interface UefiVariable {
  readonly guid: string;
  readonly name: string;
  readonly value: Uint8Array;
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

/** The other way round; null where the sizes do not fit. */
export function readVariable(data: Uint8Array): UefiVariable | null {
  const r = new Reader(data, 'le');
  const guid = guidText(r.take(16));
  const [nameLength, size] = [r.u64(), r.u64()];
  if (r.failed || nameLength * 2n + size > BigInt(r.remaining)) return null;
  const name = fromUtf16(r.take(Number(nameLength) * 2));
  return { guid, name, value: r.take(Number(size)) };
}

function signatureList(type: string, size: number, entries: readonly Uint8Array[]): Uint8Array {
  const w = new Writer('le').bytes(guidBytes(type));
  w.u32(28 + entries.length * (16 + size))
    .u32(0)
    .u32(16 + size);
  for (const e of entries) w.bytes(guidBytes(OWNER)).bytes(e);
  return w.finish();
}

/**
 * A signature database: one EFI_SIGNATURE_LIST for each certificate, one for all hashes of a kind that
 * follow each other.
 * @tcg PC Client Platform Firmware Profile 1.05, 3.3.4.8 PCR[7] - Secure Boot Policy Measurements
 */
export function signatureDatabase(entries: readonly SignatureEntry[]): Uint8Array {
  const lists: Uint8Array[] = [];
  for (let i = 0; i < entries.length; ) {
    const first = entries[i] as SignatureEntry;
    if ('cert' in first) {
      lists.push(signatureList(EFI_CERT_X509, first.cert.length, [first.cert]));
      i++;
      continue;
    }
    const kind = 'sha256' in first ? 'sha256' : 'certSha256';
    const run: Uint8Array[] = [];
    for (; i < entries.length; i++) {
      const digest = (entries[i] as { readonly [k in typeof kind]?: Uint8Array })[kind];
      if (digest === undefined) break;
      run.push(kind === 'sha256' ? digest : concat(digest, new Uint8Array(16)));
    }
    const type = kind === 'sha256' ? EFI_CERT_SHA256 : EFI_CERT_X509_SHA256;
    lists.push(signatureList(type, run[0]?.length ?? 0, run));
  }
  return concat(...lists);
}

/** EFI_SIGNATURE_DATA of one certificate. */
export function signatureData(cert: Uint8Array): Uint8Array {
  return concat(guidBytes(OWNER), cert);
}

const END_NODE = fromHex('7fff0400');

/** A file path node of a device path, with its end node. */
export function filePath(path: string): Uint8Array {
  const name = utf16(`${path}\0`);
  return new Writer('le')
    .u8(4)
    .u8(4)
    .u16(4 + name.length)
    .bytes(name)
    .bytes(END_NODE)
    .finish();
}

/** EFI_LOAD_OPTION, as a Boot#### variable holds it. */
export function loadOption(description: string, path: string, optional: Uint8Array): Uint8Array {
  const device = filePath(path);
  return new Writer('le')
    .u32(1)
    .u16(device.length)
    .bytes(utf16(`${description}\0`))
    .bytes(device)
    .bytes(optional)
    .finish();
}

/** UEFI_IMAGE_LOAD_EVENT for an application loaded from a file. */
export function imageLoad(address: bigint, length: number, path: string): Uint8Array {
  const device = filePath(path);
  return new Writer('le')
    .u64(address)
    .u64(BigInt(length))
    .u64(0n)
    .u64(BigInt(device.length))
    .bytes(device)
    .finish();
}

const PE_MAGIC = 0x00004550;
const PE32_PLUS = 0x20b;

/**
 * What firmware hashes of a program it starts: of a PE image everything but the checksum, the entry of the
 * certificate table and that table; any other bytes as they are.
 * @tcg PC Client Platform Firmware Profile 1.05, 10.2.3 UEFI_IMAGE_LOAD_EVENT
 */
export function imageParts(image: Uint8Array): Uint8Array {
  const v = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const u32 = (at: number): number => (at + 4 <= image.length ? v.getUint32(at, true) : 0);
  const header = u32(0x3c);
  if (image[0] !== 0x4d || image[1] !== 0x5a || u32(header) !== PE_MAGIC) return image;
  const optional = header + 24;
  const checksum = optional + 64;
  const directories = optional + ((u32(optional) & 0xffff) === PE32_PLUS ? 112 : 96);
  const entry = directories + 4 * 8;
  if (entry + 8 > image.length || u32(directories - 4) < 5) return image;
  const table = u32(entry + 4) === 0 ? image.length : Math.min(u32(entry), image.length);
  return concat(
    image.subarray(0, checksum),
    image.subarray(checksum + 4, entry),
    image.subarray(entry + 8, Math.max(table, entry + 8)),
  );
}

/** PCClientTaggedEvent. @kernel drivers/firmware/efi/libstub/efi-stub-helper.c efi_measure_tagged_event() */
export function taggedEvent(id: number, data: Uint8Array): Uint8Array {
  return new Writer('le').u32(id).u32(data.length).bytes(data).finish();
}
