import { describe, expect, it } from 'vitest';
import { concat, fromHex, latin1, utf8 } from '../../../src/base/bytes.ts';
import {
  entrySegment,
  exitStatus,
  readElfHeader,
  readModule,
  readProgramHeaders,
} from '../../../src/kernel/elf.ts';
import { scriptInterpreter } from '../../../src/kernel/exec.ts';
import { bzImage, kernelModule, program } from '../../../src/kernel/images.ts';
import { isBzImage } from '../../../src/kernel/kexec.ts';
import { splitModuleSignature } from '../../../src/kernel/module.ts';

function statusOf(bytes: Uint8Array): number | null {
  const header = readElfHeader(bytes);
  const programs = header === null ? null : readProgramHeaders(bytes, header);
  if (header === null || programs === null) return null;
  const segment = entrySegment(header, programs);
  return segment === undefined
    ? null
    : exitStatus(bytes.subarray(segment.offset + header.entry - segment.vaddr));
}

describe('ELF files', () => {
  it('reads the exit status that a program names', () => {
    expect(statusOf(program())).toBe(0);
    expect(statusOf(program({ exit: 42 }))).toBe(42);
    // mov eax, 60; xor edi, edi; syscall in a static program with one segment rwx
    const tiny = fromHex(
      '7f454c4602010100000000000000000002003e00010000007800400000000000400000000000000098000000000000000000000040003800' +
        '0100400003000200010000000700000078000000000000007800400000000000780040000000000009000000000000000900000000000000' +
        '0100000000000000b83c00000031ff0f05',
    );
    expect(statusOf(tiny)).toBe(0);
  });

  it('refuses short files, other machines and program headers outside the file', () => {
    const good = program();
    expect(readElfHeader(good.subarray(0, 63))).toBeNull();
    const far = good.slice();
    new DataView(far.buffer).setBigUint64(32, 1n << 40n, true);
    const header = readElfHeader(far);
    expect(header !== null && readProgramHeaders(far, header)).toBeNull();
  });

  it('reads name and version magic of a module, and refuses damaged ones', () => {
    const module = kernelModule('hello', '6.12.107');
    expect(readModule(module)).toMatchObject({ name: 'hello', hasInit: true, hasExit: true });
    expect(readModule(module)?.vermagic).toBe('6.12.107 mod_unload ');
    expect(readModule(module.subarray(0, 200))).toBeNull();
    expect(readModule(program())).toBeNull();
    expect(readModule(utf8('no module at all'))).toBeNull();
  });

  it('takes an appended signature off a module', () => {
    const body = kernelModule('hello', '6.12.107');
    const signature = utf8('signature');
    const info = concat(Uint8Array.of(0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, signature.length));
    const marker = latin1('~Module signature appended~\n');
    const split = splitModuleSignature(concat(body, signature, info, marker));
    expect(split?.ok && [split.value.content, split.value.signature]).toEqual([body, signature]);
    expect(splitModuleSignature(body)).toBeNull();
    expect(splitModuleSignature(concat(body, marker))).toMatchObject({ ok: false });
    const wrongType = info.slice();
    wrongType[2] = 1;
    expect(splitModuleSignature(concat(body, signature, wrongType, marker))).toMatchObject({
      errno: 'ENOPKG',
    });
  });

  it('tells kernel images from other files', () => {
    expect(isBzImage(bzImage())).toBe(true);
    expect(isBzImage(program())).toBe(false);
    expect(isBzImage(bzImage().subarray(0, 1000))).toBe(false);
  });
});

describe('#! lines', () => {
  it.each([
    ['#!/bin/sh\n', '/bin/sh'],
    ['#!  /bin/sh -x\necho', '/bin/sh'],
    ['#!/bin/sh', '/bin/sh'],
    ['#! \t\n', null],
    ['#!', ''],
    ['echo', null],
    [`#!/${'a'.repeat(300)}\n`, null],
  ])('%j names %j', (text, interpreter) => {
    expect(scriptInterpreter(utf8(text))).toBe(interpreter);
  });
});
