// Values of security.evm for files that are there before power-on: a portable signature (type 5) or the HMAC that the kernel
// would have written (type 2). What is covered is EVM's own decision; nothing of it is repeated here.

import { concat } from '../base/bytes.ts';
import type { KernelProfile } from '../base/profile.ts';
import type { HashName } from '../crypto/provider.ts';
import { calcHmacOrHash, type DigestRequest } from '../evm/digest.ts';
import { MAX_KEY_SIZE, newEvm } from '../evm/state.ts';
import { hashAlgo } from '../integrity/hash-info.ts';
import { EVM_XATTR_HMAC, EVM_XATTR_PORTABLE_DIGSIG } from '../integrity/xattr.ts';
import type { Inode, Superblock, Xattr } from '../vfs/types.ts';
import { type ScenarioKey, signatureXattr } from './keys.ts';

/** Metadata of a file as a scenario gives it. */
export interface EvmFile {
  readonly profile: KernelProfile;
  /** Type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly ino: number | undefined;
  readonly generation: number | undefined;
  readonly uuid: Uint8Array;
  /** Attributes that stand before this one. */
  readonly xattrs: readonly Xattr[];
}

function request(file: EvmFile, type: number, algo: number, hmacKey: Uint8Array | null): DigestRequest {
  const { mode, uid, gid } = file;
  const inode = { ino: file.ino ?? 0, generation: file.generation ?? 0, mode, uid, gid };
  const sb = { xattrs: true, userNs: 0, uuid: file.uuid };
  return {
    profile: file.profile,
    xattrs: newEvm(file.profile).xattrs,
    get: (name) => file.xattrs.find((x) => x.name === name)?.value,
    inode: inode as Inode,
    sb: sb as Superblock,
    type,
    algo,
    hmacKey,
  };
}

/** A portable signature; null when the file has no security.ima. */
export function evmPortable(key: ScenarioKey, hash: HashName, file: EvmFile): Uint8Array | null {
  const digest = calcHmacOrHash(request(file, EVM_XATTR_PORTABLE_DIGSIG, hashAlgo(hash), null));
  return digest.ok ? signatureXattr(EVM_XATTR_PORTABLE_DIGSIG, key, hash, digest.value) : null;
}

/** The HMAC under a key; null when inode number or generation is not given. */
export function evmHmac(hmacKey: Uint8Array, file: EvmFile): Uint8Array | null {
  if (file.ino === undefined || file.generation === undefined) return null;
  const padded = new Uint8Array(MAX_KEY_SIZE);
  padded.set(hmacKey.subarray(0, MAX_KEY_SIZE));
  const digest = calcHmacOrHash(request(file, EVM_XATTR_HMAC, 0, padded));
  return digest.ok ? concat(Uint8Array.of(EVM_XATTR_HMAC), digest.value) : null;
}
