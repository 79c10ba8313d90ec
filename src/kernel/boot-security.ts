// Start-up of the security rooms: which modules are active, IPE with its boot policy, the keyrings with
// their certificates, and the certificates that IMA and EVM read from the initial ram disk.

import { negative } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import { kernelReadFileFromPath } from '../integrity/kernel-read-file.ts';
import {
  allocSystemKeyrings,
  initIntegrityKeyring,
  integrityAddKey,
  loadSystemCertificates,
  type TrustedKeys,
} from '../integrity/system-keyrings.ts';
import { type Ipe, newIpe } from '../ipe/ipe.ts';
import { newSmack } from '../lsm/smack.ts';
import type { LsmModule, NamedLsm } from '../lsm/stack.ts';
import type { VfsTask } from '../vfs/types.ts';
import type { Rooms } from './rooms.ts';
import { lsmNames } from './securityfs.ts';
import type { KernelImage } from './state.ts';
import { loadUefiCerts, machineKeysTrusted } from './uefi-keys.ts';

/** Values that the command line gives to these parameters; undefined where it has none. */
export interface LsmParameters {
  readonly lsm?: string | undefined;
  readonly ipeEnforce?: boolean | undefined;
  readonly ipeSuccessAudit?: boolean | undefined;
}

/** IPE's hooks with the signatures of the hook table. @kernel security/ipe/ipe.c ipe_hooks */
function ipeModule(ipe: Ipe): LsmModule {
  return {
    bprmCheck: (task, file) => ipe.bprmCheck(task, file),
    bprmCredsForExec: (task, file, _next, isCheck) => ipe.bprmCredsForExec(task, file, isCheck),
    mmapFile: (task, file, _reqprot, prot) => ipe.mmapFile(task, file, prot),
    fileMprotect: (task, mapping, _reqprot, prot) => ipe.fileMprotect(task, mapping, prot),
    kernelReadFile: (task, file, id) => ipe.kernelReadFile(task, file, id),
    kernelLoadData: (task, id) => ipe.kernelLoadData(task, id),
    initramfsPopulated: (sb) => ipe.initramfsPopulated(sb),
    inodeSetIntegrity: (inode, signed) => ipe.inodeSetIntegrity(inode, signed),
    inodeFree: (inode) => ipe.inodeFree(inode),
  };
}

/** The active modules for the hook table: those that the kernel's state names, IMA and EVM last. */
export function lsmModules(r: Rooms): readonly NamedLsm[] {
  const modules: NamedLsm[] = [];
  for (const name of r.kernel.state.lsms) {
    if (name === 'smack') modules.push({ name, module: r.smack.module() });
    else if (name === 'ipe') modules.push({ name, module: ipeModule(r.ipe) });
    else if (name === 'ima') modules.push({ name, module: r.ima });
    else if (name === 'evm') modules.push({ name, module: r.evm });
  }
  return withExtensions(r, modules);
}

/** Designs stand behind the modules of lsm= and before IMA, or last, as they declare. */
function withExtensions(r: Rooms, modules: readonly NamedLsm[]): readonly NamedLsm[] {
  const { active } = r.extensions;
  if (active.length === 0) return modules;
  const at = (place: 'before-ima' | 'last'): NamedLsm[] =>
    active.flatMap(({ extension, cursor }) => {
      if ((extension.place ?? 'before-ima') !== place || extension.hooks === undefined) return [];
      return [{ name: extension.name, module: extension.hooks(cursor) }];
    });
  const end = modules.findIndex((m) => m.name === 'ima' || m.name === 'evm');
  const split = end < 0 ? modules.length : end;
  return [...modules.slice(0, split), ...at('before-ima'), ...modules.slice(split), ...at('last')];
}

/** @kernel security/security.c ordered_lsm_init(), security/ipe/ipe.c ipe_init() */
export function startLsms(r: Rooms, parameters: LsmParameters, image: KernelImage): void {
  const list = parameters.lsm ?? r.profile.config['CONFIG_LSM'] ?? '';
  const lsms = lsmNames(r.profile, list);
  r.kernel.state = { ...r.kernel.state, lsms };
  r.smack.state = { ...newSmack(), active: lsms.includes('smack') };
  r.hooks.bind(lsmModules(r));
  const { ipeEnforce, ipeSuccessAudit } = parameters;
  r.ipe.state = newIpe({
    enabled: lsms.includes('ipe'),
    ...(ipeEnforce === undefined ? {} : { enforce: ipeEnforce }),
    ...(ipeSuccessAudit === undefined ? {} : { successAudit: ipeSuccessAudit }),
  });
  const err = r.ipe.init(image.ipeBootPolicy ?? null);
  if (err !== 0) r.kernel.printk(`ipe failed to initialize: ${negative(err)}`);
  r.ipe.initSecurityfs();
}

export function trustedKeysOf(image: KernelImage): TrustedKeys {
  const { builtin = [], secondary = [], machine = [], platform = [] } = image.trustedKeys ?? {};
  return { builtin, secondary, machine, platform };
}

/**
 * System keyrings and what is compiled in, before IMA starts.
 * @kernel certs/system_keyring.c system_trusted_keyring_init()
 */
export function startKeyrings(r: Rooms, image: KernelImage): void {
  allocSystemKeyrings(r.keys, r.profile, machineKeysTrusted(r.kernel.state.setup.firmware));
  loadSystemCertificates(r.keys, trustedKeysOf(image));
  loadUefiCerts(r);
  // Root's keyrings are there before any program asks: the recorded kernel shows them right after boot.
  r.keys.lookUpUserKeyrings(0);
}

export function integrityKeyring(r: Rooms, which: 'ima' | 'evm', image: KernelImage): void {
  initIntegrityKeyring(r.keys, r.profile, which, trustedKeysOf(image));
}

/** @kernel security/integrity/digsig.c integrity_load_x509() */
function loadX509(r: Rooms, task: VfsTask, which: 'ima' | 'evm', path: string): boolean {
  const read = kernelReadFileFromPath(r.vfs, r.hooks, task, path, 'x509-certificate');
  if (!read.ok) {
    r.kernel.printk(`integrity: Unable to open file: ${path} (${negative(read.errno)})`);
    return false;
  }
  const err = integrityAddKey(r.keys, which, read.value);
  if (err !== 0) r.kernel.printk(`integrity: Problem loading X.509 certificate ${negative(err)}`);
  return err === 0;
}

function loadEvmX509(r: Rooms, task: VfsTask): void {
  const path = r.profile.config['CONFIG_EVM_X509_PATH'] ?? '/etc/keys/x509_evm.der';
  if (loadX509(r, task, 'evm', path)) r.evm.x509Loaded();
}

/**
 * Certificates from files, with appraisal off while they are read.
 * @kernel security/integrity/iint.c integrity_load_keys()
 */
export function integrityLoadKeys(r: Rooms, task: VfsTask): void {
  const { profile } = r;
  const evm = enabled(profile, 'CONFIG_EVM') && enabled(profile, 'CONFIG_EVM_LOAD_X509');
  if (enabled(profile, 'CONFIG_IMA') && enabled(profile, 'CONFIG_IMA_LOAD_X509')) {
    const path = profile.config['CONFIG_IMA_X509_PATH'] ?? '/etc/keys/x509_ima.der';
    r.ima.withoutAppraisal(() => {
      loadX509(r, task, 'ima', path);
      if (evm) loadEvmX509(r, task);
    });
  } else if (evm) loadEvmX509(r, task);
}
