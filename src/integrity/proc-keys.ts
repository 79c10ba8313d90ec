// The text of /proc/keys: one line for each key that the reader may view. Serial numbers are random in a
// kernel and the lines go by them; here they are given out in the order in which keys are made, so the lines
// go by age. Left out: timeouts, keys under construction, lengths of encrypted and trusted keys.

import { toHex } from '../base/bytes.ts';
import { asymmetricOf } from './asymmetric.ts';
import { type Key, type KeyringsState, NO_GID } from './keys-types.ts';

/** What an id without a name in the reader's namespace is shown as. */
const OVERFLOW_GID = 65534;
const ID_TAIL = 4;

/**
 * What an asymmetric key says behind its description: the kind of key and the end of its second identifier.
 * @kernel crypto/asymmetric_keys/asymmetric_type.c asymmetric_key_describe()
 */
function asymmetricSuffix(key: Key): string {
  const parts = asymmetricOf(key);
  if (parts === undefined) return '';
  const { pub } = parts.cert;
  const id = parts.ids[1];
  const tail = id === null ? '' : ` ${toHex(id.subarray(Math.max(0, id.length - ID_TAIL)))}`;
  return `: X509.${pub.pkeyAlgo}${tail} []`;
}

function suffix(key: Key): string {
  switch (key.type) {
    case 'keyring':
      return `: ${key.links?.length ? key.links.length : 'empty'}`;
    case 'asymmetric':
      return asymmetricSuffix(key);
    case 'user':
    case 'logon':
      return `: ${key.payload?.length ?? 0}`;
    default:
      return '';
  }
}

/** References to a key: keyrings that link to it, the kernel's own pointer, sessions. */
function usage(state: KeyringsState, key: Key, sessions: number): number {
  let links = 0;
  for (const ring of state.keys.values()) if (ring.links?.includes(key.serial)) links++;
  const own = state.named.get(key.description) === key.serial || state.userRegister === key.serial;
  return links + (own ? 1 : 0) + sessions;
}

/** @kernel security/keys/proc.c proc_keys_show() */
export function procKeys(
  state: KeyringsState,
  visible: (key: Key) => boolean,
  sessionUsers: (serial: number) => number = () => 0,
): string {
  let out = '';
  for (const key of [...state.keys.values()].sort((a, b) => a.serial - b.serial)) {
    if (!visible(key)) continue;
    const serial = key.serial.toString(16).padStart(8, '0');
    const flags = `I${key.revoked ? 'R' : '-'}-${key.inQuota ? 'Q' : '-'}---`;
    const count = usage(state, key, sessionUsers(key.serial));
    const numbers = [
      `${count}`.padStart(5),
      'perm',
      key.perm.toString(16).padStart(8, '0'),
      `${key.uid}`.padStart(5),
      `${key.gid === NO_GID ? OVERFLOW_GID : key.gid}`.padStart(5),
    ].join(' ');
    out += `${serial} ${flags} ${numbers} ${key.type.slice(0, 9).padEnd(9)} ${key.description}${suffix(key)}\n`;
  }
  return out;
}
