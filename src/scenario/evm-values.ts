// Values of security.evm for files that are there before power-on: a portable signature (type 5) or the HMAC that the kernel
// would have written (type 2). What they cover is EVM's matter; here the scenario's metadata is put into its form.

import type { KernelProfile } from '../base/profile.ts';
import type { HashName } from '../crypto/provider.ts';
import { type EvmMetadata, evmHmac, evmSign } from '../evm/sign.ts';
import { cannot, type Made, type Signer } from '../integrity/sign.ts';
import type { Xattr } from '../vfs/types.ts';

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

function metadataOf(file: EvmFile): EvmMetadata {
  const { profile, mode, uid, gid } = file;
  return {
    ino: file.ino ?? 0,
    generation: file.generation ?? 0,
    uid,
    gid,
    mode,
    uuid: profile.config['CONFIG_EVM_ATTR_FSUUID'] === 'y' ? file.uuid : null,
    xattrs: new Map(file.xattrs.map((x) => [x.name, x.value])),
    wordBits: profile.wordBits,
  };
}

/** A portable signature over the metadata. */
export function portableSignature(signer: Signer, hash: HashName, file: EvmFile): Made<Uint8Array> {
  return evmSign(signer, hash, metadataOf(file), true);
}

/** The HMAC under an EVM key; inode number and generation are part of it. */
export function hmacValue(key: Uint8Array, file: EvmFile): Made<Uint8Array> {
  if (file.ino === undefined || file.generation === undefined)
    return cannot('an HMAC needs `ino` and `generation` of the file');
  return evmHmac(key, 'sha1', metadataOf(file));
}
