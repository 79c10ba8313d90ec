// The keyrings that the kernel makes at boot and what it puts on them: certificates compiled in, certificates
// that firmware gave, the module signing certificate on .ima, certificates read from files for .ima and .evm.

import type { Err } from '../base/errno.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import type { Keyrings } from './keyrings.ts';
import * as k from './keys-types.ts';

/** DER certificates that are there at boot. */
export interface TrustedKeys {
  /** The module signing certificate first, as the build orders them. */
  readonly builtin: readonly Uint8Array[];
  readonly secondary: readonly Uint8Array[];
  readonly machine: readonly Uint8Array[];
  readonly platform: readonly Uint8Array[];
}

const POS = k.KEY_POS_ALL & ~k.KEY_POS_SETATTR;
const LOOK = k.KEY_USR_VIEW | k.KEY_USR_READ | k.KEY_USR_SEARCH;
const CERT_PERM = POS | k.KEY_USR_VIEW | k.KEY_USR_READ;

/** @kernel security/integrity/digsig.c integrity_init_keyring() */
function machineRestriction(profile: KernelProfile): k.Restriction | null {
  if (!enabled(profile, 'CONFIG_INTEGRITY_CA_MACHINE_KEYRING')) return null;
  return enabled(profile, 'CONFIG_INTEGRITY_CA_MACHINE_KEYRING_MAX') ? 'ca_max' : 'ca';
}

/**
 * Makes the empty system keyrings: initcalls before late_initcall. The secondary keyring holds .machine
 * where its certificates are trusted.
 * @kernel certs/system_keyring.c system_trusted_keyring_init(), certs/blacklist.c blacklist_init()
 */
export function allocSystemKeyrings(keys: Keyrings, profile: KernelProfile, machineTrusted = true): void {
  const builtin = keys.allocNamed('.builtin_trusted_keys', POS | LOOK);
  const secondary = keys.allocNamed('.secondary_trusted_keys', POS | LOOK | k.KEY_USR_WRITE, {
    restriction: 'builtin_and_secondary_trusted',
  });
  keys.link(secondary.serial, builtin.serial);
  const auth = enabled(profile, 'CONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE') ? k.KEY_USR_WRITE : 0;
  const pos = k.KEY_POS_VIEW | k.KEY_POS_READ | k.KEY_POS_SEARCH | k.KEY_POS_WRITE;
  keys.allocNamed('.blacklist', pos | LOOK | auth, { restriction: 'blacklist', keep: true });
  if (enabled(profile, 'CONFIG_IMA_BLACKLIST_KEYRING')) {
    // ima_mok_init()
    keys.allocNamed('.ima_blacklist', POS | LOOK | k.KEY_USR_WRITE, {
      restriction: 'builtin_trusted',
      keep: true,
    });
  }
  if (enabled(profile, 'CONFIG_INTEGRITY_PLATFORM_KEYRING')) keys.allocNamed('.platform', POS | LOOK);
  if (enabled(profile, 'CONFIG_INTEGRITY_MACHINE_KEYRING')) {
    const machine = keys.allocNamed('.machine', POS | LOOK, { restriction: machineRestriction(profile) });
    if (machineTrusted) keys.link(secondary.serial, machine.serial);
  }
  if (enabled(profile, 'CONFIG_FS_VERITY_BUILTIN_SIGNATURES')) {
    keys.allocNamed('.fs-verity', k.KEY_POS_SEARCH | LOOK | k.KEY_USR_WRITE | k.KEY_USR_SETATTR);
  }
}

function load(keys: Keyrings, ring: string, der: Uint8Array, builtin: boolean): Err {
  const keyring = keys.named(ring);
  if (keyring === undefined) return 'ENOKEY';
  const options = { builtin, bypass: true, perm: CERT_PERM };
  const made = keys.createOrUpdate(null, keyring.serial, 'asymmetric', '', der, options);
  return made.ok ? 0 : made.errno;
}

/**
 * Puts the certificates of the build and of the firmware on their keyrings; one that does not parse is left
 * out with a log line in the kernel, and silently here.
 * @kernel certs/system_keyring.c load_system_certificate_list(),
 * security/integrity/platform_certs/load_uefi.c
 */
export function loadSystemCertificates(keys: Keyrings, trusted: TrustedKeys): void {
  for (const der of trusted.builtin) load(keys, '.builtin_trusted_keys', der, true);
  for (const der of trusted.secondary) load(keys, '.secondary_trusted_keys', der, false);
  for (const der of trusted.platform) load(keys, '.platform', der, false);
  for (const der of trusted.machine) load(keys, '.machine', der, false);
}

/**
 * Makes .ima or .evm; .ima gets the module signing certificate.
 * @kernel security/integrity/digsig.c integrity_init_keyring(), __integrity_init_keyring()
 */
export function initIntegrityKeyring(
  keys: Keyrings,
  profile: KernelProfile,
  which: 'ima' | 'evm',
  trusted: TrustedKeys,
): void {
  const trustedRing = enabled(profile, 'CONFIG_INTEGRITY_TRUSTED_KEYRING');
  const secondary = enabled(profile, 'CONFIG_IMA_KEYRINGS_PERMIT_SIGNED_BY_BUILTIN_OR_SECONDARY');
  // Without trusted keyrings user space makes `_ima` and `_evm` itself.
  if (!trustedRing) return;
  const name = `.${which}`;
  const perm = POS | LOOK | k.KEY_USR_WRITE;
  const restriction = secondary ? 'digsig_builtin_and_secondary' : 'digsig_builtin';
  keys.allocNamed(name, perm, { restriction });
  const moduleCert = trusted.builtin[0];
  if (which === 'ima' && moduleCert !== undefined && enabled(profile, 'CONFIG_MODULE_SIG')) {
    load(keys, name, moduleCert, true);
  }
}

/**
 * Puts a certificate that the kernel read from a file on .ima or .evm; the keyring's restriction holds.
 * @kernel security/integrity/digsig.c integrity_add_key(), integrity_load_x509()
 */
export function integrityAddKey(keys: Keyrings, which: 'ima' | 'evm', der: Uint8Array): Err {
  const keyring = keys.named(`.${which}`);
  if (keyring === undefined) return 'EINVAL';
  const perm = POS | k.KEY_USR_VIEW | k.KEY_USR_READ;
  const made = keys.createOrUpdate(null, keyring.serial, 'asymmetric', '', der, { perm });
  return made.ok ? 0 : made.errno;
}
