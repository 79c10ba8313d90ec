// Reads ELF files as far as the kernel does before it trusts them: program headers for execve, section
// headers for modules. Only 64-bit little-endian x86-64 files are known, as elf_check_arch() of that
// kernel; nothing is executed: how a program ends is read from a leading exit(2) sequence, anything else
// counts as exit 0.

import { fromLatin1 } from '../base/bytes.ts';

export const ET_REL = 1;
export const ET_EXEC = 2;
export const ET_DYN = 3;
const EM_X86_64 = 62;
const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const SHDR_SIZE = 64;
export const PT_LOAD = 1;
export const PT_INTERP = 3;
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;
const SHT_NULL = 0;
const SHT_SYMTAB = 2;
const SHT_STRTAB = 3;
const SHT_NOBITS = 8;
const SHF_ALLOC = 2;
const PAGE = 4096;

export interface ElfHeader {
  readonly type: number;
  readonly machine: number;
  readonly entry: number;
  readonly phoff: number;
  readonly shoff: number;
  readonly phentsize: number;
  readonly phnum: number;
  readonly shentsize: number;
  readonly shnum: number;
  readonly shstrndx: number;
}

export interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly filesz: number;
  readonly memsz: number;
}

interface SectionHeader {
  readonly name: number;
  readonly type: number;
  readonly flags: number;
  readonly addr: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A 64-bit field as a number; beyond 2^53 it is only good for failing range checks. */
const u64 = (v: DataView, at: number): number => Number(v.getBigUint64(at, true));

export function isElf(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
  );
}

/** The file header; null when the bytes are shorter than one or carry no ELF magic. */
export function readElfHeader(bytes: Uint8Array): ElfHeader | null {
  if (!isElf(bytes) || bytes.length < EHDR_SIZE) return null;
  const v = view(bytes);
  return {
    type: v.getUint16(16, true),
    machine: v.getUint16(18, true),
    entry: u64(v, 24),
    phoff: u64(v, 32),
    shoff: u64(v, 40),
    phentsize: v.getUint16(54, true),
    phnum: v.getUint16(56, true),
    shentsize: v.getUint16(58, true),
    shnum: v.getUint16(60, true),
    shstrndx: v.getUint16(62, true),
  };
}

export function checkArch(header: ElfHeader): boolean {
  return header.machine === EM_X86_64;
}

/**
 * The program header table; null where the kernel gives up (wrong entry size, none or more than a page,
 * short file).
 * @kernel fs/binfmt_elf.c load_elf_phdrs()
 */
export function readProgramHeaders(bytes: Uint8Array, header: ElfHeader): readonly ProgramHeader[] | null {
  if (header.phentsize !== PHDR_SIZE) return null;
  const size = header.phnum * PHDR_SIZE;
  if (size === 0 || size > PAGE) return null;
  if (header.phoff + size > bytes.length) return null;
  const v = view(bytes);
  const out: ProgramHeader[] = [];
  for (let i = 0; i < header.phnum; i++) {
    const at = header.phoff + i * PHDR_SIZE;
    out.push({
      type: v.getUint32(at, true),
      flags: v.getUint32(at + 4, true),
      offset: u64(v, at + 8),
      vaddr: u64(v, at + 16),
      filesz: u64(v, at + 32),
      memsz: u64(v, at + 40),
    });
  }
  return out;
}

/** Segment whose bytes in the file hold the entry point; undefined when there is none. */
export function entrySegment(
  header: ElfHeader,
  programs: readonly ProgramHeader[],
): ProgramHeader | undefined {
  return programs.find(
    (p) => p.type === PT_LOAD && header.entry >= p.vaddr && header.entry < p.vaddr + p.filesz,
  );
}

/** How many bytes exitStatus() looks at. */
export const ENTRY_LENGTH = 16;

/**
 * How a program ends when its first instructions are `mov eax, 60; xor edi, edi | mov edi, N; syscall`; 0 for any
 * other code.
 * @deviation machine code is not executed; programs are taken to succeed
 */
export function exitStatus(code: Uint8Array): number {
  const movEax60 = code[0] === 0xb8 && code[1] === 60 && code[2] === 0 && code[3] === 0 && code[4] === 0;
  if (!movEax60) return 0;
  if (code[5] === 0xbf && code[10] === 0x0f && code[11] === 0x05) return code[6] as number;
  return 0;
}

export interface ModuleImage {
  readonly name: string;
  readonly size: number;
  readonly vermagic: string | null;
  readonly hasInit: boolean;
  readonly hasExit: boolean;
}

const str = (bytes: Uint8Array, at: number, end = bytes.length): string => {
  let stop = at;
  while (stop < end && bytes[stop] !== 0) stop++;
  return fromLatin1(bytes.subarray(at, stop));
};

function readSections(bytes: Uint8Array, h: ElfHeader): SectionHeader[] {
  const v = view(bytes);
  return Array.from({ length: h.shnum }, (_, i) => {
    const at = h.shoff + i * SHDR_SIZE;
    return {
      name: v.getUint32(at, true),
      type: v.getUint32(at + 4, true),
      flags: u64(v, at + 8),
      addr: u64(v, at + 16),
      offset: u64(v, at + 24),
      size: u64(v, at + 32),
      link: v.getUint32(at + 40, true),
    };
  });
}

/** Section table with names, or null where elf_validity_cache_sechdrs/secstrings refuse the file. */
function namedSections(
  bytes: Uint8Array,
): { h: ElfHeader; all: (SectionHeader & { text: string })[] } | null {
  const h = readElfHeader(bytes);
  if (h === null || h.type !== ET_REL || !checkArch(h) || h.shentsize !== SHDR_SIZE) return null;
  if (h.shoff >= bytes.length || h.shnum * SHDR_SIZE > bytes.length - h.shoff || h.shnum === 0) return null;
  const sections = readSections(bytes, h);
  const first = sections[0];
  if (first === undefined || first.type !== SHT_NULL || first.size !== 0 || first.addr !== 0) return null;
  const outside = sections
    .slice(1)
    .some((s) => s.type !== SHT_NULL && s.type !== SHT_NOBITS && s.offset + s.size > bytes.length);
  if (outside || h.shstrndx === 0) return null;
  const strings = sections[h.shstrndx];
  if (strings === undefined || strings.type !== SHT_STRTAB || strings.size === 0) return null;
  if (bytes[strings.offset + strings.size - 1] !== 0) return null;
  if (sections.some((s) => s.type !== SHT_NULL && s.name >= strings.size)) return null;
  return {
    h,
    all: sections.map((s) => ({
      ...s,
      text: s.type === SHT_NULL ? '' : str(bytes, strings.offset + s.name),
    })),
  };
}

/**
 * Whether the symbol table defines a name that starts with `prefix`, or has a relocation into this_module
 * for it.
 */
function definesSymbol(
  bytes: Uint8Array,
  symtab: SectionHeader,
  strtab: SectionHeader,
  name: string,
): boolean {
  const v = view(bytes);
  for (let at = symtab.offset; at + 24 <= symtab.offset + symtab.size; at += 24) {
    const shndx = v.getUint16(at + 6, true);
    if (shndx !== 0 && str(bytes, strtab.offset + v.getUint32(at, true)) === name) return true;
  }
  return false;
}

/** Offset of the name in struct module (after state and list head). */
const MODULE_NAME_OFFSET = 24;
const MODULE_NAME_LEN = 56;

/**
 * The checks of a module image before it is linked, and what they find; null = ENOEXEC.
 * @kernel kernel/module/main.c elf_validity_cache_copy()
 * @deviation the size of struct module differs by configuration and is not compared; symbols are not resolved
 */
export function readModule(bytes: Uint8Array): ModuleImage | null {
  const sections = namedSections(bytes);
  if (sections === null) return null;
  const { all } = sections;
  const infos = all.filter((s, i) => i > 0 && s.text === '.modinfo');
  const mods = all.filter((s, i) => i > 0 && s.text === '.gnu.linkonce.this_module');
  const symtabs = all.filter((s, i) => i > 0 && s.type === SHT_SYMTAB);
  const [mod, symtab] = [mods[0], symtabs[0]];
  if (infos.length > 1 || mods.length !== 1 || symtabs.length !== 1) return null;
  if (mod === undefined || symtab === undefined) return null;
  if (mod.type === SHT_NOBITS || (mod.flags & SHF_ALLOC) === 0) return null;
  const strtab = all[symtab.link];
  if (symtab.link === 0 || strtab === undefined || strtab.type !== SHT_STRTAB) return null;
  const info = infos[0];
  const fields =
    info === undefined ? [] : fromLatin1(bytes.subarray(info.offset, info.offset + info.size)).split('\0');
  const field = (key: string): string | null =>
    fields.find((f) => f.startsWith(`${key}=`))?.slice(key.length + 1) ?? null;
  const at = mod.offset + MODULE_NAME_OFFSET;
  return {
    // The list of modules is searched by struct module's name; .modinfo's is for messages.
    name: str(bytes, at, at + MODULE_NAME_LEN),
    size: bytes.length,
    vermagic: field('vermagic'),
    hasInit: definesSymbol(bytes, symtab, strtab, 'init_module'),
    hasExit: definesSymbol(bytes, symtab, strtab, 'cleanup_module'),
  };
}
