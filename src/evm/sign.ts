// Values of security.evm made outside the kernel: portable signatures (type 5), plain ones (type 3) and HMACs
// (type 2), with the bytes of `evmctl sign` and `evmctl hmac`. The metadata is what the caller says, so a
// label can be made for a file that is elsewhere. Which of the attributes a kernel counts is not known here:
// all given ones of its list are covered.

import { concat } from '../base/bytes.ts';
import { crypto, type HashName } from '../crypto/provider.ts';
import { kernelHash } from '../integrity/hash-info.ts';
import { cannot, type Made, made, type Signer, signedXattr } from '../integrity/sign.ts';
import {
  EVM_IMA_XATTR_DIGSIG,
  EVM_XATTR_HMAC,
  EVM_XATTR_PORTABLE_DIGSIG,
  XATTR_NAME_EVM,
  XATTR_NAME_IMA,
} from '../integrity/xattr.ts';
import { EVM_DEFAULT_XATTRS } from './api.ts';
import { type EvmInode, miscBytes } from './digest.ts';
import { MAX_KEY_SIZE } from './state.ts';

export interface EvmMetadata extends EvmInode {
  /** The file system's uuid; null leaves it out, as CONFIG_EVM_ATTR_FSUUID=n does. */
  readonly uuid: Uint8Array | null;
  /** Attributes by name. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** Word size of the machine that will check; its bytes differ. */
  readonly wordBits: 32 | 64;
}

/**
 * The bytes that an HMAC or a signature covers: attributes in the kernel's order, then those added through
 * evm_xattrs in the given order, then the inode.
 * @kernel security/integrity/evm/evm_crypto.c evm_calc_hmac_or_hash()
 */
export function evmMessage(metadata: EvmMetadata, type: number): Made<Uint8Array> {
  const { xattrs, uuid, wordBits } = metadata;
  const added = [...xattrs.keys()].filter((n) => !EVM_DEFAULT_XATTRS.includes(n) && n !== XATTR_NAME_EVM);
  const values = [...EVM_DEFAULT_XATTRS, ...added].flatMap((name) => xattrs.get(name) ?? []);
  if (values.length === 0) return cannot('the file has no attribute that EVM covers');
  if (type === EVM_XATTR_PORTABLE_DIGSIG && !xattrs.has(XATTR_NAME_IMA))
    return cannot('a portable signature needs security.ima');
  const form = { wordBits, fsuuid: uuid !== null };
  return made(concat(...values, miscBytes(form, metadata, uuid ?? new Uint8Array(0), type)));
}

/** security.evm with a signature; portable ones hold on every inode. @kernel evm_crypto.c evm_calc_hash() */
export function evmSign(
  signer: Signer,
  alg: HashName,
  metadata: EvmMetadata,
  portable: boolean,
  version: 2 | 3 = 2,
): Made<Uint8Array> {
  const type = portable ? EVM_XATTR_PORTABLE_DIGSIG : EVM_IMA_XATTR_DIGSIG;
  const message = evmMessage(metadata, type);
  if (!message.ok) return message;
  return signedXattr(signer, { type, version, alg, digest: kernelHash(alg, message.value) });
}

/**
 * security.evm with an HMAC, which user space cannot write on a machine whose EVM is on. The kernel knows
 * SHA-1 alone; the key is padded with zeros to 128 bytes before HMAC sees it.
 * @kernel security/integrity/evm/evm_crypto.c evm_set_key()
 */
export function evmHmac(key: Uint8Array, alg: HashName, metadata: EvmMetadata): Made<Uint8Array> {
  if (key.length > MAX_KEY_SIZE) return cannot(`an EVM key has at most ${MAX_KEY_SIZE} bytes`);
  const message = evmMessage(metadata, EVM_XATTR_HMAC);
  if (!message.ok) return message;
  const padded = concat(key, new Uint8Array(MAX_KEY_SIZE - key.length));
  return made(concat(Uint8Array.of(EVM_XATTR_HMAC), crypto().hmac(alg, padded, message.value)));
}
