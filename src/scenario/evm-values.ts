// Values of security.evm for the attributes of files and for steps: a portable signature (type 5), one that
// is bound to the inode (type 3), or the HMAC that the kernel would have written (type 2). The bytes are
// made in evm/sign.ts; here is only where the metadata comes from.

import type { KernelProfile } from '../base/profile.ts';
import { type EvmMetadata, evmHmac, evmSign } from '../evm/sign.ts';
import { newEvm } from '../evm/state.ts';
import type { Made, Signer } from '../integrity/sign.ts';
import { cannot } from '../integrity/sign.ts';
import { S_IFREG } from '../vfs/constants.ts';
import type { Xattr } from '../vfs/types.ts';
import type { EvmForm, EvmMetadataForm } from './schema-data.ts';

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

/** Changes what the form says otherwise; `xattrs` are its attributes, already resolved. */
export function evmFileFor(file: EvmFile, form: EvmMetadataForm, xattrs: readonly Xattr[] | null): EvmFile {
  const [uid, gid] = form.owner === undefined ? [file.uid, file.gid] : form.owner.split(':').map(Number);
  const uuid = form.uuid?.replaceAll('-', '').match(/../g);
  return {
    ...file,
    mode: form.mode === undefined ? file.mode : S_IFREG | Number.parseInt(form.mode, 8),
    uid: uid ?? 0,
    gid: gid ?? 0,
    ino: form.ino ?? file.ino,
    generation: form.generation ?? file.generation,
    uuid: uuid == null ? file.uuid : Uint8Array.from(uuid, (h) => Number.parseInt(h, 16)),
    xattrs: xattrs ?? file.xattrs,
  };
}

/** A file of which nothing is known but what `for` says. */
export function unknownFile(profile: KernelProfile): EvmFile {
  const none = { ino: undefined, generation: undefined, uuid: new Uint8Array(16), xattrs: [] };
  return { profile, mode: S_IFREG | 0o644, uid: 0, gid: 0, ...none };
}

/**
 * What is covered: portable signatures take every attribute of the kernel's list, bound ones the enabled
 * names.
 */
function metadata(file: EvmFile, bound: string | null): Made<EvmMetadata> {
  const { profile, mode, uid, gid, ino, generation } = file;
  if (bound !== null && (ino === undefined || generation === undefined))
    return cannot(`${bound} needs \`ino\` and \`generation\` of the file`);
  const listed = newEvm(profile).xattrs.filter((x) => x.enabled || bound === null);
  const xattrs = new Map<string, Uint8Array>();
  for (const { name } of listed) {
    const value = file.xattrs.find((x) => x.name === name)?.value;
    if (value !== undefined) xattrs.set(name, value);
  }
  const withUuid = profile.config['CONFIG_EVM_ATTR_FSUUID'] === 'y';
  return {
    ok: true,
    value: {
      mode,
      uid,
      gid,
      ino: ino ?? 0,
      generation: generation ?? 0,
      uuid: withUuid ? file.uuid : null,
      wordBits: profile.wordBits,
      xattrs,
    },
  };
}

/** The value that a form stands for; `secret` is the signer, or the key of an HMAC. */
export function evmValue(form: EvmForm, secret: Signer | Uint8Array, file: EvmFile): Made<Uint8Array> {
  const portable = 'evm_sig' in form && form.portable !== false;
  const bound = 'evm_sig' in form ? 'a signature that is not portable' : 'an HMAC';
  const covered = metadata(file, portable ? null : bound);
  if (!covered.ok) return covered;
  if (secret instanceof Uint8Array) return evmHmac(secret, 'sha1', covered.value);
  const { hash = 'sha256', version = 2 } = 'evm_sig' in form ? form : {};
  return evmSign(secret, hash, covered.value, portable, version);
}
