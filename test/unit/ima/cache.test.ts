import { describe, expect, it } from 'vitest';
import * as C from '../../../src/ima/constants.ts';
import { cacheStatus, iintStep, NEW_IINT, passEvent, withCacheStatus } from '../../../src/ima/iint.ts';
import type { Iint } from '../../../src/ima/types.ts';

const MANY = { flags: C.IMA_DONE_MASK | C.IMA_MEASURE, atomicFlags: 0x3f, measuredPcrs: 0x400 };

describe('the record of an inode', () => {
  it('begins with nothing done and no verdict', () => {
    expect(NEW_IINT).toEqual({
      flags: 0,
      atomicFlags: 0,
      measuredPcrs: 0,
      fileStatus: 6,
      mmapStatus: 6,
      bprmStatus: 6,
      readStatus: 6,
      credsStatus: 6,
      hash: null,
      version: 0,
      realIno: 0,
      realDev: 0,
    });
    expect(Object.isFrozen(NEW_IINT)).toBe(true);
  });

  type Slot = 'fileStatus' | 'mmapStatus' | 'bprmStatus' | 'readStatus' | 'credsStatus';
  it.each<[number, Slot, string]>([
    [C.FILE_CHECK, 'fileStatus', 'PASS_FILE'],
    [C.POST_SETATTR, 'fileStatus', 'PASS_FILE'],
    [C.MMAP_CHECK, 'mmapStatus', 'PASS_MMAP'],
    [C.MMAP_CHECK_REQPROT, 'mmapStatus', 'PASS_MMAP'],
    [C.BPRM_CHECK, 'bprmStatus', 'PASS_BPRM'],
    [C.CREDS_CHECK, 'credsStatus', 'PASS_CREDS'],
    [C.MODULE_CHECK, 'readStatus', 'PASS_READ'],
    [C.FIRMWARE_CHECK, 'readStatus', 'PASS_READ'],
    [C.KEXEC_KERNEL_CHECK, 'readStatus', 'PASS_READ'],
    [C.KEXEC_INITRAMFS_CHECK, 'readStatus', 'PASS_READ'],
    [C.POLICY_CHECK, 'readStatus', 'PASS_READ'],
  ])('keeps the verdict of hook %i as %s', (func, slot, event) => {
    const after = withCacheStatus(NEW_IINT, func, 2);
    expect(after).toEqual({ ...NEW_IINT, [slot]: 2 });
    expect([cacheStatus(after, func), cacheStatus(NEW_IINT, func), passEvent(func)]).toEqual([2, 6, event]);
  });

  it('is the same value where a step changes nothing', () => {
    const collected = iintStep(NEW_IINT, 'COLLECTED');
    expect(collected.flags).toBe(C.IMA_COLLECTED);
    expect(iintStep(collected, 'COLLECTED')).toBe(collected);
    expect(iintStep(NEW_IINT, 'RESET')).toBe(NEW_IINT);
    expect(iintStep(NEW_IINT, 'SIGNED_SEEN')).not.toBe(NEW_IINT);
    expect(iintStep({ ...NEW_IINT, measuredPcrs: 1 }, 'RESET').measuredPcrs).toBe(0);
  });

  it.each<[Parameters<typeof iintStep>[1], Partial<Iint>]>([
    ['RESET', { flags: C.IMA_MEASURE, atomicFlags: 0x3f, measuredPcrs: 0 }],
    ['CHANGE_XATTR_SEEN', { flags: C.IMA_MEASURE, atomicFlags: 0x3e, measuredPcrs: 0 }],
    ['LAST_WRITER_CHANGED', { flags: C.IMA_MEASURE, atomicFlags: 0x1d, measuredPcrs: 0 }],
    ['LAST_WRITER', { flags: MANY.flags, atomicFlags: 0x1d, measuredPcrs: 0x400 }],
    ['TOMTOU', { flags: MANY.flags, atomicFlags: 0x2f, measuredPcrs: 0x400 }],
    ['HASH_SEEN', { flags: MANY.flags, atomicFlags: 0x37, measuredPcrs: 0x400 }],
    ['SETATTR_OUT_OF_POLICY', { flags: MANY.flags, atomicFlags: 0x3d, measuredPcrs: 0x400 }],
    ['SETATTR', { flags: MANY.flags, atomicFlags: 0x3f, measuredPcrs: 0x400 }],
  ])('after %s', (event, want) => {
    expect(iintStep({ ...NEW_IINT, ...MANY }, event)).toEqual({ ...NEW_IINT, ...MANY, ...want });
  });

  it('keeps its flags unsigned and forgets what rules wanted when attributes changed', () => {
    const rules = (C.IMA_VERITY_REQUIRED | C.IMA_DIGSIG_REQUIRED) >>> 0;
    const iint = { ...NEW_IINT, flags: (rules | C.IMA_APPRAISE | C.IMA_NEW_FILE | C.IMA_MEASURED) >>> 0 };
    expect(iintStep(iint, 'COLLECTED').flags).toBe((iint.flags | C.IMA_COLLECTED) >>> 0);
    expect(iintStep(iint, 'CHANGE_ATTR_SEEN').flags).toBe(C.IMA_NEW_FILE | C.IMA_MEASURED);
    expect(iintStep(iint, 'CHANGE_ATTR_SEEN_NEW_FILE').flags).toBe(C.IMA_MEASURED);
  });
});
