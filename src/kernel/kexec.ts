// Loading the next kernel: kexec_file_load reads image and initramfs itself (with the security hooks),
// kexec_load takes segments that user space made. Crash kernels are accepted and forgotten, unless the build
// has no place for them: then they are kernels like others. The jump itself is machine.kexecReboot().

import { utf8 } from '../base/bytes.ts';
import type { Err, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { kernelReadFile } from '../integrity/kernel-read-file.ts';
import { CAP_SYS_BOOT } from '../vfs/constants.ts';
import type { FileId } from '../vfs/types.ts';
import { FMODE_READ } from '../vfs/types.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { KexecImage, KexecSegment, Task } from './state.ts';
import { capable } from './task.ts';

export const KEXEC_FILE_UNLOAD = 1;
export const KEXEC_FILE_ON_CRASH = 2;
export const KEXEC_FILE_NO_INITRAMFS = 4;
const KEXEC_FILE_DEBUG = 8;
const KEXEC_ON_CRASH = 1;
/** KEXEC_ON_CRASH, KEXEC_UPDATE_ELFCOREHDR, KEXEC_CRASH_HOTPLUG_SUPPORT. */
const KEXEC_LOAD_FLAGS = 0xd;
const KEXEC_PRESERVE_CONTEXT = 2;
const KEXEC_ARCH_MASK = 0xffff0000;
const KEXEC_ARCH_X86_64 = 62 << 16;
/** cmdline_size of a bzImage, less the room kept for elfcorehdr=. */
const CMDLINE_MAX = 2047 - 30;

function permitted(k: Kernel, task: Task): Err {
  const disabled = k.state.sysctl.get('kernel/kexec_load_disabled') === '1';
  if (capable(task, CAP_SYS_BOOT) && !disabled) return 0;
  return k.refuse('EPERM', KERNEL_REASON['kernel.not_capable'], { capability: 'CAP_SYS_BOOT' });
}

/**
 * Whether a file is a 64-bit bzImage of protocol 2.12 or later that can be loaded anywhere.
 * @kernel arch/x86/kernel/kexec-bzimage64.c bzImage64_probe()
 */
export function isBzImage(image: Uint8Array): boolean {
  if (image.length < 1024) return false;
  const v = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const magic = v.getUint32(0x202, true) === 0x53726448;
  const bootFlag = v.getUint16(0x1fe, true) === 0xaa55;
  const version = v.getUint16(0x206, true) >= 0x020c;
  const high = (v.getUint8(0x211) & 1) !== 0;
  const relocatable = (v.getUint16(0x236, true) & 3) === 3;
  return magic && bootFlag && version && high && relocatable;
}

interface KernelFile {
  readonly length: number;
}

/** Reads a file that kexec_file_load was given; a content known by its digests has only a length. */
function readFd(
  k: Kernel,
  task: Task,
  file: FileId | undefined,
  id: 'kexec-image' | 'kexec-initramfs',
): Result<KernelFile & { readonly bytes: Uint8Array | null }> {
  const { vfs, hooks } = k.env;
  if (file === undefined || (vfs.file(file).fmode & FMODE_READ) === 0) {
    return fail(k.refuse('EBADF', KERNEL_REASON['kernel.bad_fd']));
  }
  const read = kernelReadFile(vfs, hooks, task, file, id);
  if (!read.ok) return read;
  const content = vfs.contentOf(vfs.file(file).inode);
  return content.kind === 'opaque'
    ? ok({ length: content.length, bytes: null })
    : ok({ length: read.value.length, bytes: read.value });
}

/**
 * Whether a flag for the crash kernel chooses another image than the one that a reboot starts.
 * @kernel kernel/kexec_file.c kexec_file_load(), kernel/kexec.c do_kexec_load()
 */
function crashImage(k: Kernel, flags: number, bit: number): boolean {
  return (flags & bit) !== 0 && enabled(k.env.profile, 'CONFIG_CRASH_DUMP');
}

/**
 * Room for the measurement list; releases that copy it at load fill it here.
 * @kernel security/integrity/ima/ima_kexec.c ima_add_kexec_buffer()
 */
function reserve(k: Kernel, task: Task): KexecSegment | null {
  const { listeners, profile } = k.env;
  const size = listeners.kexecSegment?.(k.state.ramPages) ?? null;
  if (size === null) return null;
  listeners.kexecEvent?.(task, 'kexec_load', size);
  const early = !profile.switches.kexecCopyAtExecute;
  return { size, content: early ? (listeners.kexecBuffer?.(size) ?? null) : null };
}

/**
 * Reads kernel, initramfs and command line in that order, then sets the image.
 * @kernel kernel/kexec_file.c kexec_file_load(), kimage_file_prepare_segments()
 * @deviation a kernel image known only by its digests is taken to be a bzImage
 */
export function kexecFileLoad(
  k: Kernel,
  task: Task,
  kernel: FileId | undefined,
  initrd: FileId | undefined,
  cmdline: string,
  flags: number,
): Err {
  const err = permitted(k, task);
  if (err !== 0) return err;
  const known = KEXEC_FILE_UNLOAD | KEXEC_FILE_ON_CRASH | KEXEC_FILE_NO_INITRAMFS | KEXEC_FILE_DEBUG;
  if ((flags & ~known) !== 0) return 'EINVAL';
  const crash = crashImage(k, flags, KEXEC_FILE_ON_CRASH);
  if ((flags & KEXEC_FILE_UNLOAD) !== 0) {
    k.state = crash ? { ...k.state, crashKernel: null } : { ...k.state, kexec: null };
    return 0;
  }
  const image = readFd(k, task, kernel, 'kexec-image');
  if (!image.ok) return image.errno;
  if (image.value.bytes !== null && !isBzImage(image.value.bytes)) {
    return k.refuse('ENOEXEC', KERNEL_REASON['kernel.kexec_not_image']);
  }
  let initrdLength: number | null = null;
  if ((flags & KEXEC_FILE_NO_INITRAMFS) === 0) {
    const ramdisk = readFd(k, task, initrd, 'kexec-initramfs');
    if (!ramdisk.ok) return ramdisk.errno;
    initrdLength = ramdisk.value.length;
  }
  const { listeners, trace } = k.env;
  const text = utf8(cmdline);
  if (kernel !== undefined) listeners.kexecCmdline?.(task, kernel, text);
  const segment = crash && k.env.profile.switches.kdumpWithoutList ? null : reserve(k, task);
  if (text.length + 1 > CMDLINE_MAX) return 'EINVAL';
  trace.emit('kernel.kexec_loaded', { cmdline, kernelLength: image.value.length, initrdLength, crash });
  // The page that the jump swaps through is made for kernels that a reboot starts, and by the flag alone.
  const swapPage = (flags & KEXEC_FILE_ON_CRASH) === 0;
  const loaded: KexecImage = {
    cmdline,
    kernelLength: image.value.length,
    initrdLength,
    imaSegment: segment,
    swapPage,
    prepared: false,
  };
  k.state = crash ? { ...k.state, crashKernel: loaded } : { ...k.state, kexec: loaded };
  return 0;
}

/** What user space read for itself and hands over as segments: the kernel adds none for the list. */
export interface KexecSegments {
  readonly cmdline: string;
  readonly kernelLength: number;
  readonly initrdLength: number | null;
}

/**
 * kexec_load(): the checks, then the segments are what a reboot starts; without any the image is removed.
 * @kernel kernel/kexec.c kexec_load()
 * @deviation segments are named by what they were read from: where they lie is not modelled
 */
export function kexecLoad(k: Kernel, task: Task, flags: number, segments: KexecSegments | null = null): Err {
  const err = permitted(k, task);
  if (err !== 0) return err;
  const refused = k.env.hooks.kernelLoadData(task, 'kexec-image', false);
  if (refused !== 0) return refused;
  const arch = flags & KEXEC_ARCH_MASK;
  const jump = enabled(k.env.profile, 'CONFIG_KEXEC_JUMP') ? KEXEC_PRESERVE_CONTEXT : 0;
  if ((flags & ~KEXEC_ARCH_MASK & ~(KEXEC_LOAD_FLAGS | jump)) !== 0) return 'EINVAL';
  if (arch !== 0 && arch !== KEXEC_ARCH_X86_64) return 'EINVAL';
  const image = segments === null ? null : { ...segments, imaSegment: null, swapPage: true, prepared: false };
  const crash = crashImage(k, flags, KEXEC_ON_CRASH);
  k.state = crash ? { ...k.state, crashKernel: image } : { ...k.state, kexec: image };
  return 0;
}
