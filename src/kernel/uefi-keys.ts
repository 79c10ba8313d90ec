// Certificates and hashes that the kernel takes from UEFI variables: db to .platform, dbx to .blacklist, and
// shim's lists, which count only under Secure Boot: MokListX to .blacklist, MokList to .machine where the
// owner trusts it, else to .platform. db and dbx are read back from what the firmware measured.

import { toHex } from '../base/bytes.ts';
import { Reader } from '../base/codec.ts';
import { negative } from '../base/errno.ts';
import { enabled } from '../base/profile.ts';
import * as k from '../integrity/keys-types.ts';
import type { FirmwareSpec, UefiSpec } from './api.ts';
import { decodeEventLog, EVENT_TYPES } from './eventlog.ts';
import { secureBootOf } from './firmware.ts';
import type { Rooms } from './rooms.ts';
import * as u from './uefi.ts';

const CERT_PERM = (k.KEY_POS_ALL & ~k.KEY_POS_SETATTR) | k.KEY_USR_VIEW;
const HASH_PERM = k.KEY_POS_SEARCH | k.KEY_POS_VIEW | k.KEY_USR_SEARCH | k.KEY_USR_VIEW;
const REVOKED_PERM = k.KEY_POS_VIEW | k.KEY_POS_READ | k.KEY_POS_SEARCH | k.KEY_USR_VIEW;

const uefiOf = (spec: FirmwareSpec | undefined): UefiSpec | null =>
  spec !== undefined && 'uefi' in spec ? spec.uefi : null;

/**
 * Whether certificates of .machine count as the kernel's own: on UEFI machines the owner decides.
 * @kernel security/integrity/platform_certs/machine_keyring.c imputed_trust_enabled()
 */
export function machineKeysTrusted(spec: FirmwareSpec | undefined): boolean {
  const uefi = uefiOf(spec);
  return uefi === null || uefi.mokTrusted === true;
}

type Handler = (r: Rooms, source: string, data: Uint8Array) => void;

/** @kernel security/integrity/digsig.c integrity_load_cert(), integrity_add_key() */
function loadCert(r: Rooms, ring: '.platform' | '.machine', source: string, der: Uint8Array): boolean {
  const keyring = r.keys.named(ring);
  r.kernel.printk(`integrity: Loading X.509 certificate: ${source}`);
  if (keyring === undefined) return false;
  const made = r.keys.createOrUpdate(null, keyring.serial, 'asymmetric', '', der, { perm: CERT_PERM });
  if (made.ok) r.kernel.printk(`integrity: Loaded X.509 cert '${r.keys.key(made.value)?.description ?? ''}'`);
  else if (ring !== '.machine')
    r.kernel.printk(`integrity: Problem loading X.509 certificate ${negative(made.errno)}`);
  return made.ok;
}

/** @kernel security/integrity/platform_certs/platform_keyring.c add_to_platform_keyring() */
function toPlatform(r: Rooms, source: string, der: Uint8Array): void {
  if (!loadCert(r, '.platform', source, der))
    r.kernel.printk(`integrity: Error adding keys to platform keyring ${source}`);
}

/** @kernel security/integrity/platform_certs/machine_keyring.c add_to_machine_keyring() */
function toMachine(r: Rooms, source: string, der: Uint8Array): void {
  if (loadCert(r, '.machine', source, der)) return;
  const platform = enabled(r.profile, 'CONFIG_INTEGRITY_PLATFORM_KEYRING');
  if (platform && loadCert(r, '.platform', source, der)) return;
  r.kernel.printk(`integrity: Error adding keys to machine keyring ${source}`);
}

/** @kernel certs/blacklist.c mark_hash_blacklisted() */
function blacklistHash(r: Rooms, name: string): void {
  const keyring = r.keys.named('.blacklist');
  if (keyring === undefined) return;
  for (const key of r.keys.members(keyring.serial)) {
    if (key.type !== 'blacklist' || key.description !== name) continue;
    r.kernel.printk(`blacklist: Duplicate blacklisted hash ${name}`);
    return;
  }
  const options = { builtin: true, perm: HASH_PERM };
  r.keys.createOrUpdate(null, keyring.serial, 'blacklist', name, new Uint8Array(0), options);
}

/** @kernel certs/blacklist.c add_key_to_revocation_list() */
function revoke(r: Rooms, _source: string, der: Uint8Array): void {
  const keyring = r.keys.named('.blacklist');
  if (keyring === undefined || !enabled(r.profile, 'CONFIG_SYSTEM_REVOCATION_LIST')) return;
  const options = { builtin: true, bypass: true, perm: REVOKED_PERM };
  const made = r.keys.createOrUpdate(null, keyring.serial, 'asymmetric', '', der, options);
  if (!made.ok) r.kernel.printk(`blacklist: Problem with revocation key (${negative(made.errno)})`);
}

const FOR_DB: Readonly<Record<string, Handler>> = { [u.EFI_CERT_X509]: toPlatform };
const FOR_DBX: Readonly<Record<string, Handler>> = {
  [u.EFI_CERT_X509_SHA256]: (r, _source, data) => blacklistHash(r, `tbs:${toHex(data)}`),
  [u.EFI_CERT_SHA256]: (r, _source, data) => blacklistHash(r, `bin:${toHex(data)}`),
  [u.EFI_CERT_X509]: revoke,
};

/** @kernel security/integrity/platform_certs/keyring_handler.c get_handler_for_mok() */
function forMok(r: Rooms, trusted: boolean): Readonly<Record<string, Handler>> {
  const machine = trusted && enabled(r.profile, 'CONFIG_INTEGRITY_MACHINE_KEYRING');
  return { [u.EFI_CERT_X509]: machine ? toMachine : toPlatform };
}

/**
 * Hands each entry to the handler of its kind; lists of other kinds are passed over. False where the lists
 * do not parse, after what came before.
 * @kernel security/integrity/platform_certs/efi_parser.c parse_efi_signature_list()
 */
function parseLists(
  r: Rooms,
  source: string,
  data: Uint8Array,
  handlers: Readonly<Record<string, Handler>>,
): boolean {
  for (let at = 0; at < data.length; ) {
    const list = new Reader(data.subarray(at), 'le');
    const kind = u.guidText(list.take(16));
    const [size, head, entry] = [list.u32(), list.u32(), list.u32()];
    const room = size - 28 - head;
    if (list.failed || size > data.length - at || size < 28 || room < 0) return false;
    if (entry < 16 || room < entry || room % entry !== 0) return false;
    list.take(head);
    const handler = handlers[kind];
    for (let n = 0; handler !== undefined && n < room / entry; n++)
      handler(r, source, list.take(entry).subarray(16));
    at += size;
  }
  return true;
}

/** A signature database as the firmware measured it; null when the log has none. */
function measuredVariable(log: Uint8Array, name: string): Uint8Array | null {
  for (const e of decodeEventLog(log).events) {
    if (e.pcr !== 7 || e.type !== EVENT_TYPES.EV_EFI_VARIABLE_DRIVER_CONFIG) continue;
    const v = u.readVariable(e.event);
    if (v?.name === name && v.guid === u.EFI_IMAGE_SECURITY_DATABASE) return v.value;
  }
  return null;
}

/** @kernel security/integrity/platform_certs/load_uefi.c load_uefi_certs() */
export function loadUefiCerts(r: Rooms): void {
  const { eventLog, setup } = r.kernel.state;
  if (!enabled(r.profile, 'CONFIG_LOAD_UEFI_KEYS') || eventLog.length === 0) return;
  const load = (what: string, source: string, data: Uint8Array | null, to: typeof FOR_DB): void => {
    if (data === null || parseLists(r, source, data, to)) return;
    r.kernel.printk(`integrity: Couldn't parse ${what} signatures: ${negative('EBADMSG')}`);
  };
  load('db', 'UEFI:db', measuredVariable(eventLog, 'db'), FOR_DB);
  load('dbx', 'UEFI:dbx', measuredVariable(eventLog, 'dbx'), FOR_DBX);
  const uefi = uefiOf(setup.firmware);
  if (uefi === null || !secureBootOf(decodeEventLog(eventLog).events)) return;
  const { mok, mokx, mokTrusted } = uefi;
  if (mokx !== undefined) load('mokx', 'UEFI:MokListXRT', u.signatureDatabase(mokx), FOR_DBX);
  if (mok === undefined) return;
  load('MokListRT', 'UEFI:MokListRT', u.signatureDatabase(mok), forMok(r, mokTrusted === true));
}
