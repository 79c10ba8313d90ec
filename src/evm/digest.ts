// What EVM hashes: the values of the protected attributes one after the other, then a block of inode
// metadata, then the file system's uuid. No names, no lengths, no separators: moving bytes between neighbours
// keeps the digest.

import { concat } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { type Errno, fail, ok, type Result } from '../base/errno.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import { crypto } from '../crypto/provider.ts';
import { cryptoHasAlg, HASH_ALGO_NAME, kernelHash } from '../integrity/hash-info.ts';
import { EVM_XATTR_HMAC, EVM_XATTR_PORTABLE_DIGSIG, XATTR_NAME_IMA } from '../integrity/xattr.ts';
import type { Inode, Superblock } from '../vfs/types.ts';
import type { EvmXattr } from './state.ts';

/** What EVM takes of an inode. */
export type EvmInode = Pick<Inode, 'ino' | 'generation' | 'uid' | 'gid' | 'mode'>;

/** The machine's word size, and whether the uuid counts (CONFIG_EVM_ATTR_FSUUID). */
export interface MiscForm {
  readonly wordBits: 32 | 64;
  readonly fsuuid: boolean;
}

/**
 * struct h_misc in native layout: ino, generation, uid, gid, mode and padding; 24 bytes on 64-bit, 20 on
 * 32-bit machines. Then the file system's uuid for HMACs and plain signatures. Portable ones have neither
 * inode nor uuid.
 * @kernel security/integrity/evm/evm_crypto.c hmac_add_misc()
 */
export function miscBytes(form: MiscForm, inode: EvmInode, uuid: Uint8Array, type: number): Uint8Array {
  const portable = type === EVM_XATTR_PORTABLE_DIGSIG;
  const ino = portable ? 0 : inode.ino;
  const w = new Writer('le');
  if (form.wordBits === 64) w.u64(BigInt(ino));
  else w.u32(ino);
  w.u32(portable ? 0 : inode.generation);
  w.u32(inode.uid).u32(inode.gid).u16(inode.mode).u16(0);
  if (form.fsuuid && !portable) w.bytes(uuid);
  return w.finish();
}

export interface DigestRequest {
  readonly profile: KernelProfile;
  readonly xattrs: readonly EvmXattr[];
  /** Value of an attribute of the file. */
  readonly get: (name: string) => Uint8Array | undefined;
  /** Inode that holds the metadata (the real one below an overlay). */
  readonly inode: Inode;
  readonly sb: Superblock;
  readonly type: number;
  /** Number of hash_algo[] for signatures. */
  readonly algo: number;
  readonly hmacKey: Uint8Array | null;
}

function keyed(request: DigestRequest, data: Uint8Array): Result<Uint8Array> {
  if (request.type === EVM_XATTR_HMAC) {
    if (request.hmacKey === null) return fail('ENOKEY');
    return ok(crypto().hmac('sha1', request.hmacKey, data));
  }
  const name = HASH_ALGO_NAME[request.algo];
  if (name === undefined) return fail('EINVAL');
  if (!cryptoHasAlg(request.profile, name)) return fail('ENOENT');
  return ok(kernelHash(name, data));
}

/**
 * HMAC (type 2) or digest (types 3 and 5) over a file's metadata. EOPNOTSUPP where the file system has no
 * attributes or belongs to another user namespace, ENODATA without any covered attribute, EPERM for a
 * portable one without security.ima, ENOKEY without the HMAC key.
 * @kernel security/integrity/evm/evm_crypto.c evm_calc_hmac_or_hash()
 */
export function calcHmacOrHash(request: DigestRequest): Result<Uint8Array> {
  const { sb, type } = request;
  if (!sb.xattrs || sb.userNs !== 0) return fail('EOPNOTSUPP');
  const portable = type === EVM_XATTR_PORTABLE_DIGSIG;
  const parts: Uint8Array[] = [];
  let imaPresent = false;
  for (const { name, enabled: counts } of request.xattrs) {
    if (!portable && !counts) continue;
    const value = request.get(name);
    if (value === undefined) continue;
    if (name === XATTR_NAME_IMA) imaPresent = true;
    parts.push(value);
  }
  const { profile } = request;
  const form = { wordBits: profile.wordBits, fsuuid: enabled(profile, 'CONFIG_EVM_ATTR_FSUUID') };
  const digest = keyed(request, concat(...parts, miscBytes(form, request.inode, sb.uuid, type)));
  if (!digest.ok) return digest;
  const missing: Errno | null = portable && !imaPresent ? 'EPERM' : parts.length === 0 ? 'ENODATA' : null;
  return missing === null ? digest : fail(missing);
}
