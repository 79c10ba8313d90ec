// Small files that the simulator needs as programs, modules and kernel images: real headers, so that every
// reader of such files agrees, and as little content as the formats allow.

import { concat, filled, latin1, utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';

const EHDR = 64;
const PHDR = 56;
const BASE = 0x400000;

interface ElfFields {
  readonly type: number;
  readonly entry: number;
  readonly phoff: number;
  readonly phnum: number;
  readonly shoff: number;
  readonly shnum: number;
  readonly shstrndx: number;
}

function elfHeader(f: ElfFields): Uint8Array {
  return new Writer('le')
    .bytes(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    .u16(f.type)
    .u16(62)
    .u32(1)
    .u64(BigInt(f.entry))
    .u64(BigInt(f.phoff))
    .u64(BigInt(f.shoff))
    .u32(0)
    .u16(EHDR)
    .u16(PHDR)
    .u16(f.phnum)
    .u16(64)
    .u16(f.shnum)
    .u16(f.shstrndx)
    .finish();
}

function programHeader(type: number, flags: number, offset: number, size: number): Uint8Array {
  const at = BigInt(BASE + offset);
  return new Writer('le')
    .u32(type)
    .u32(flags)
    .u64(BigInt(offset))
    .u64(at)
    .u64(at)
    .u64(BigInt(size))
    .u64(BigInt(size))
    .u64(0x1000n)
    .finish();
}

export interface ProgramOptions {
  /** Exit status. */
  readonly exit?: number;
  /** Path of a program interpreter (PT_INTERP). */
  readonly interpreter?: string;
  /** Bytes behind the program, to tell two programs apart. */
  readonly tail?: string;
}

/** mov eax, 60; mov edi, STATUS; syscall: a program that begins so ends at once. */
export function exitInstructions(status: number): Uint8Array {
  return Uint8Array.of(0xb8, 60, 0, 0, 0, 0xbf, status & 255, 0, 0, 0, 0x0f, 0x05);
}

/**
 * A static x86-64 program (or, with an interpreter, a dynamic one) that exits at once.
 * @kernel include/uapi/linux/elf.h struct elf64_hdr
 */
export function program(options: ProgramOptions = {}): Uint8Array {
  const { exit = 0, interpreter, tail = '' } = options;
  const code = exitInstructions(exit);
  const name = interpreter === undefined ? new Uint8Array(0) : utf8(`${interpreter}\0`);
  const phnum = interpreter === undefined ? 1 : 2;
  const codeAt = EHDR + phnum * PHDR;
  const nameAt = codeAt + code.length;
  const header = elfHeader({
    type: 2,
    entry: BASE + codeAt,
    phoff: EHDR,
    phnum,
    shoff: 0,
    shnum: 0,
    shstrndx: 0,
  });
  const interp = interpreter === undefined ? [] : [programHeader(3, 4, nameAt, name.length)];
  return concat(header, ...interp, programHeader(1, 5, 0, nameAt + name.length), code, name, utf8(tail));
}

/** The default /init. */
export const INIT_PROGRAM: Uint8Array = program({ tail: 'kisim init' });

interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly link: number;
  readonly data: Uint8Array;
}

function symbols(names: readonly string[]): { readonly table: Uint8Array; readonly strings: Uint8Array } {
  const w = new Writer('le').bytes(filled(24, 0));
  let strings = '\0';
  for (const name of names) {
    // A global function, defined in the first section that holds code.
    w.u32(strings.length).u8(0x12).u8(0).u16(1).u64(0n).u64(1n);
    strings += `${name}\0`;
  }
  return { table: w.finish(), strings: latin1(strings) };
}

/** A relocatable module with a name, a version magic and empty init and exit functions. */
export function kernelModule(name: string, release: string): Uint8Array {
  const thisModule = filled(0x3c0, 0);
  thisModule.set(latin1(name), 24);
  const { table, strings } = symbols(['init_module', 'cleanup_module']);
  const info = latin1(`license=GPL\0name=${name}\0vermagic=${release} mod_unload \0`);
  const sections: Section[] = [
    { name: '.text', type: 1, flags: 6, link: 0, data: Uint8Array.of(0x31, 0xc0, 0xc3) },
    { name: '.modinfo', type: 1, flags: 2, link: 0, data: info },
    { name: '.gnu.linkonce.this_module', type: 1, flags: 3, link: 0, data: thisModule },
    { name: '.symtab', type: 2, flags: 0, link: 5, data: table },
    { name: '.strtab', type: 3, flags: 0, link: 0, data: strings },
  ];
  const names = ['', ...sections.map((s) => s.name), '.shstrtab'];
  sections.push({ name: '.shstrtab', type: 3, flags: 0, link: 0, data: latin1(`${names.join('\0')}\0`) });
  const offsets: number[] = [];
  let at = EHDR;
  for (const s of sections) {
    offsets.push(at);
    at += s.data.length;
  }
  const table2 = new Writer('le').bytes(filled(64, 0));
  let nameAt = 1;
  for (const [i, s] of sections.entries()) {
    table2
      .u32(nameAt)
      .u32(s.type)
      .u64(BigInt(s.flags))
      .u64(0n)
      .u64(BigInt(offsets[i] as number));
    table2
      .u64(BigInt(s.data.length))
      .u32(s.link)
      .u32(1)
      .u64(1n)
      .u64(s.type === 2 ? 24n : 0n);
    nameAt += s.name.length + 1;
  }
  const shnum = sections.length + 1;
  const header = elfHeader({ type: 1, entry: 0, phoff: 0, phnum: 0, shoff: at, shnum, shstrndx: shnum - 1 });
  return concat(header, ...sections.map((s) => s.data), table2.finish());
}

/** A kernel image that kexec_file_load takes: a bzImage's setup header and a text. */
export function bzImage(text = 'kisim kernel'): Uint8Array {
  const out = concat(filled(2560, 0), utf8(text));
  const v = new DataView(out.buffer);
  v.setUint8(0x1f1, 4);
  v.setUint16(0x1fe, 0xaa55, true);
  v.setUint8(0x201, 0x6a);
  v.setUint32(0x202, 0x53726448, true);
  v.setUint16(0x206, 0x020f, true);
  v.setUint8(0x211, 1);
  v.setUint16(0x236, 0x3f, true);
  v.setUint32(0x238, 2047, true);
  return out;
}
