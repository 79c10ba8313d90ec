// Contents of files as things to compare: one name for equal bytes, what kind of file they are, and how a
// scenario would write them. All of it is remembered for each array of bytes, which never changes.

import { fromLatin1, toHex } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import { isElf, PT_INTERP, readElfHeader, readProgramHeaders } from '../kernel/elf.ts';
import { isBzImage } from '../kernel/kexec.ts';
import { splitModuleSignature } from '../kernel/module.ts';
import type { Content } from '../vfs/types.ts';

/** A name that equal contents share: the sha256 in hex. */
export type ContentName = string;

export type Role = 'program' | 'script' | 'module' | 'kernel' | 'data';

const names = new WeakMap<Uint8Array, ContentName>();

function nameOfBytes(bytes: Uint8Array): ContentName {
  let name = names.get(bytes);
  if (name === undefined) {
    name = toHex(crypto().hash('sha256', bytes));
    names.set(bytes, name);
  }
  return name;
}

export function contentName(content: Content): ContentName {
  return content.kind === 'bytes' ? nameOfBytes(content.bytes) : (content.digests['sha256'] ?? content.label);
}

const roles = new WeakMap<Uint8Array, Role>();

function roleOfBytes(bytes: Uint8Array): Role {
  const header = readElfHeader(bytes);
  if (header !== null) return header.type === 1 ? 'module' : 'program';
  if (isElf(bytes)) return 'data';
  if (bytes[0] === 0x23 && bytes[1] === 0x21) return 'script';
  return isBzImage(bytes) ? 'kernel' : 'data';
}

export function roleOf(content: Content): Role {
  if (content.kind === 'opaque') return 'data';
  let role = roles.get(content.bytes);
  if (role === undefined) {
    role = roleOfBytes(content.bytes);
    roles.set(content.bytes, role);
  }
  return role;
}

/** Path of the program interpreter of a dynamic program; null when it is static. */
export function interpreterOf(content: Content): string | null {
  if (content.kind === 'opaque') return null;
  const header = readElfHeader(content.bytes);
  const programs = header === null ? null : readProgramHeaders(content.bytes, header);
  const interp = programs?.find((p) => p.type === PT_INTERP);
  if (interp === undefined) return null;
  return fromLatin1(content.bytes.subarray(interp.offset, interp.offset + interp.filesz - 1));
}

/** Whether a content ends with an appended signature, as modules have it. */
export function hasModsig(content: Content): boolean {
  return content.kind === 'bytes' && splitModuleSignature(content.bytes)?.ok === true;
}
