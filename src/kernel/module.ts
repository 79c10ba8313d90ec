// Kernel modules: init_module (a buffer), finit_module (a file), delete_module. The image goes through the
// security hooks, the appended signature is taken off and checked, the ELF structure is validated, and the
// name decides about EEXIST. Symbols are not resolved and the module's code does not run: its init function
// always succeeds.

import { equalBytes, utf8 } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import type { Err, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { kernelReadFile } from '../integrity/kernel-read-file.ts';
import { CAP_SYS_MODULE } from '../vfs/constants.ts';
import type { FileId } from '../vfs/types.ts';
import { FMODE_READ } from '../vfs/types.ts';
import { readModule } from './elf.ts';
import type { Kernel } from './kernel.ts';
import { KERNEL_REASON } from './reasons.ts';
import type { Task } from './state.ts';
import { capable } from './task.ts';

export const MODULE_INIT_IGNORE_MODVERSIONS = 1;
export const MODULE_INIT_IGNORE_VERMAGIC = 2;
export const MODULE_INIT_COMPRESSED_FILE = 4;
const MARKER = utf8('~Module signature appended~\n');
const SIG_INFO_SIZE = 12;
const PKEY_ID_PKCS7 = 2;
const EHDR_SIZE = 64;

function mayInit(k: Kernel, task: Task): Err {
  const disabled = k.state.sysctl.get('kernel/modules_disabled') === '1';
  if (capable(task, CAP_SYS_MODULE) && !disabled) return 0;
  return k.refuse('EPERM', KERNEL_REASON['kernel.not_capable'], { capability: 'CAP_SYS_MODULE' });
}

/** A module with its appended signature taken off. */
export interface SplitModule {
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Takes `content || PKCS#7 || struct module_signature || marker` apart; null when there is no marker.
 * @kernel kernel/module_signature.c mod_check_sig()
 */
export function splitModuleSignature(image: Uint8Array): Result<SplitModule> | null {
  if (image.length <= MARKER.length) return null;
  const body = image.length - MARKER.length;
  if (!equalBytes(image.subarray(body), MARKER)) return null;
  if (body <= SIG_INFO_SIZE) return fail('EBADMSG');
  const r = new Reader(image.subarray(body - SIG_INFO_SIZE, body), 'le');
  const [algo, hash, idType, signerLen, keyIdLen] = [r.u8(), r.u8(), r.u8(), r.u8(), r.u8()];
  const pad = r.take(3);
  const sigLen = new DataView(image.buffer, image.byteOffset + body - 4, 4).getUint32(0, false);
  if (sigLen >= body - SIG_INFO_SIZE) return fail('EBADMSG');
  if (idType !== PKEY_ID_PKCS7) return fail('ENOPKG');
  if (algo !== 0 || hash !== 0 || signerLen !== 0 || keyIdLen !== 0 || pad.some((b) => b !== 0)) {
    return fail('EBADMSG');
  }
  const end = body - SIG_INFO_SIZE;
  return ok({ content: image.subarray(0, end - sigLen), signature: image.subarray(end - sigLen, end) });
}

/**
 * Checks the appended signature; unsigned modules and unknown keys pass unless signatures are enforced.
 * @kernel kernel/module/signing.c module_sig_check()
 */
function signatureCheck(
  k: Kernel,
  image: Uint8Array,
  flags: number,
): Result<{ body: Uint8Array; ok: boolean }> {
  const { profile, listeners } = k.env;
  if (!enabled(profile, 'CONFIG_MODULE_SIG')) return ok({ body: image, ok: false });
  const mangled = (flags & (MODULE_INIT_IGNORE_MODVERSIONS | MODULE_INIT_IGNORE_VERMAGIC)) !== 0;
  const split = mangled ? null : splitModuleSignature(image);
  let body = image;
  let err: Err = 'ENODATA';
  if (split !== null) {
    body = image.subarray(0, image.length - MARKER.length);
    err = split.ok ? 0 : split.errno;
    if (split.ok) {
      body = split.value.content;
      err = listeners.verifyModuleSignature?.(body, split.value.signature) ?? 'ENOKEY';
    }
  }
  if (err === 0) return ok({ body, ok: true });
  if (err !== 'ENODATA' && err !== 'ENOPKG' && err !== 'ENOKEY') {
    return fail(k.refuse(err, KERNEL_REASON['kernel.module_sig_bad']));
  }
  const enforced =
    enabled(profile, 'CONFIG_MODULE_SIG_FORCE') || k.state.sysctl.get('module.sig_enforce') === 'Y';
  if (enforced) return fail(k.refuse('EKEYREJECTED', KERNEL_REASON['kernel.module_sig_rejected']));
  return ok({ body, ok: false });
}

/**
 * Validates an image and puts the module on the list.
 * @kernel kernel/module/main.c load_module()
 */
function loadModule(k: Kernel, image: Uint8Array, flags: number): Err {
  const checked = signatureCheck(k, image, flags);
  if (!checked.ok) return checked.errno;
  const module = readModule(checked.value.body);
  if (module === null) return k.refuse('ENOEXEC', KERNEL_REASON['kernel.module_not_elf']);
  const ignore = (flags & MODULE_INIT_IGNORE_VERMAGIC) !== 0;
  const magic = ignore ? null : module.vermagic;
  // Without a version magic only CONFIG_MODULE_FORCE_LOAD would take the module.
  if (magic === null ? !enabled(k.env.profile, 'CONFIG_MODULE_FORCE_LOAD') : !sameMagic(k, magic)) {
    return k.refuse('ENOEXEC', KERNEL_REASON['kernel.module_vermagic'], { vermagic: magic ?? '' });
  }
  if (k.state.modules.some((m) => m.name === module.name)) {
    return k.refuse('EEXIST', KERNEL_REASON['kernel.module_exists'], { name: module.name });
  }
  const loaded = {
    name: module.name,
    size: module.size,
    sigOk: checked.value.ok,
    init: module.hasInit,
    exit: module.hasExit,
  };
  k.state = { ...k.state, modules: [...k.state.modules, loaded] };
  k.env.trace.emit('kernel.module_loaded', { name: module.name, signed: checked.value.ok });
  return 0;
}

/**
 * The release must be this kernel's; the build flags behind it are not compared.
 * @kernel kernel/module/main.c same_magic()
 */
function sameMagic(k: Kernel, magic: string): boolean {
  return magic.split(' ')[0] === k.env.profile.release;
}

/** @kernel kernel/module/main.c init_module() */
export function initModule(k: Kernel, task: Task, image: Uint8Array): Err {
  const err = mayInit(k, task);
  if (err !== 0) return err;
  if (image.length < EHDR_SIZE) return k.refuse('ENOEXEC', KERNEL_REASON['kernel.module_not_elf']);
  const { hooks } = k.env;
  const before = hooks.kernelLoadData(task, 'module', true);
  if (before !== 0) return before;
  const after = hooks.kernelPostLoadData(task, 'module', image, 'init_module');
  if (after !== 0) return after;
  return loadModule(k, image, 0);
}

/** Rights and flags of finit_module, before the descriptor is looked at. */
export function finitModuleAllowed(k: Kernel, task: Task, flags: number): Err {
  const err = mayInit(k, task);
  if (err !== 0) return err;
  const known = MODULE_INIT_IGNORE_MODVERSIONS | MODULE_INIT_IGNORE_VERMAGIC | MODULE_INIT_COMPRESSED_FILE;
  return (flags & ~known) !== 0 ? 'EINVAL' : 0;
}

/** @kernel kernel/module/main.c finit_module() */
export function finitModule(k: Kernel, task: Task, file: FileId | undefined, flags: number): Err {
  const { vfs, hooks } = k.env;
  if (file === undefined || (vfs.file(file).fmode & FMODE_READ) === 0) {
    return k.refuse('EBADF', KERNEL_REASON['kernel.bad_fd']);
  }
  const read = kernelReadFile(vfs, hooks, task, file, 'module');
  if (!read.ok) return read.errno;
  // CONFIG_MODULE_COMPRESS is not built in.
  if ((flags & MODULE_INIT_COMPRESSED_FILE) !== 0) return 'EOPNOTSUPP';
  return loadModule(k, read.value, flags);
}

/** @kernel kernel/module/main.c delete_module() */
export function deleteModule(k: Kernel, task: Task, name: string): Err {
  const err = mayInit(k, task);
  if (err !== 0) return err;
  const module = name === '' ? undefined : k.state.modules.find((m) => m.name === name);
  if (module === undefined) return 'ENOENT';
  if (module.init && !module.exit) {
    return k.refuse('EBUSY', KERNEL_REASON['kernel.module_unloadable'], { name });
  }
  k.state = { ...k.state, modules: k.state.modules.filter((m) => m !== module) };
  k.env.trace.emit('kernel.module_removed', { name });
  return 0;
}
