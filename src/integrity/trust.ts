// Signatures checked by keyrings: xattr signatures by a key's id, PKCS#7 messages by a keyring, and the
// blacklist. This is what IMA, EVM, IPE, dm-verity and fs-verity mean by "signed".

import { toHex } from '../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import {
  type Pkcs7Message,
  pkcs7GetContentData,
  pkcs7ParseMessage,
  pkcs7SupplyDetachedData,
} from '../crypto/pkcs7.ts';
import { type Pkcs7Usage, pkcs7GetDigest, pkcs7ValidateTrust, pkcs7Verify } from '../crypto/pkcs7-verify.ts';
import { publicKeyVerifySignature } from '../crypto/public-key.ts';
import type { Pkcs7Options, SystemKeyring, SystemKeys } from '../crypto/system-keys.ts';
import type { X509Certificate } from '../crypto/x509.ts';
import { findAsymmetricKey, findByPartialId } from './asymmetric.ts';
import { cryptoHasAlg, HASH_ALGO_NAME } from './hash-info.ts';
import type { IntegrityKeyring, IntegrityKeys, ModsigDigest } from './keyring-api.ts';
import type { Keyrings } from './keyrings.ts';

const RING_NAME: Readonly<Record<IntegrityKeyring | SystemKeyring, string>> = {
  ima: '.ima',
  evm: '.evm',
  platform: '.platform',
  machine: '.machine',
  builtin: '.builtin_trusted_keys',
  secondary: '.secondary_trusted_keys',
  'fs-verity': '.fs-verity',
};

/** Answers of the keyrings of one machine. */
export class Trust implements IntegrityKeys, SystemKeys {
  readonly keys: Keyrings;
  readonly profile: KernelProfile;
  readonly #hashes: ReadonlySet<string>;

  constructor(keys: Keyrings, profile: KernelProfile) {
    this.keys = keys;
    this.profile = profile;
    this.#hashes = hashesOf(profile);
  }

  /** @kernel security/integrity/digsig_asymmetric.c request_asymmetric_key(), asymmetric_verify() */
  verifySignature(
    keyring: IntegrityKeyring,
    keyid: number,
    alg: string,
    digest: Uint8Array,
    signature: Uint8Array,
  ): Err {
    const id = new Uint8Array(4);
    new DataView(id.buffer).setUint32(0, keyid, false);
    const blacklist = this.keys.named('.ima_blacklist');
    if (blacklist !== undefined && findByPartialId(this.keys, blacklist.serial, id) !== undefined) {
      return this.keys.refused('EKEYREJECTED', 'keys.blacklisted', `id:${toHex(id)}`);
    }
    const ring = this.keys.named(RING_NAME[keyring]);
    const key = ring === undefined ? undefined : findByPartialId(this.keys, ring.serial, id);
    if (key === undefined) return this.keys.refused('ENOKEY', 'keys.not_found', `id:${toHex(id)}`);
    const { pub } = key.cert;
    const encoding = pub.pkeyAlgo === 'rsa' ? 'pkcs1' : pub.pkeyAlgo === 'ecrdsa' ? 'raw' : 'x962';
    const err = publicKeyVerifySignature(pub, {
      pkeyAlgo: pub.pkeyAlgo,
      hashAlgo: alg,
      encoding,
      s: signature,
      digest,
    });
    return err === 0 ? 0 : this.keys.refused(err, 'keys.bad_signature', key.description);
  }

  pkcs7Parse(der: Uint8Array): Err {
    const message = pkcs7ParseMessage(der, this.#hashes);
    return message.ok ? 0 : message.errno;
  }

  pkcs7Digest(der: Uint8Array, data: Uint8Array): Result<ModsigDigest> {
    const message = this.#detached(der, data);
    if (!message.ok) return message;
    const digest = pkcs7GetDigest(message.value, this.#hashes);
    return digest.ok ? ok({ alg: digest.value.hashAlgo, digest: digest.value.digest }) : digest;
  }

  pkcs7Verify(der: Uint8Array, data: Uint8Array, keyring: IntegrityKeyring): Err {
    const message = this.#detached(der, data);
    return message.ok ? this.#verifyMessage(message.value, RING_NAME[keyring], 'module') : message.errno;
  }

  /**
   * Appended signature of a module, against the secondary keyring.
   * @kernel kernel/module/signing.c mod_verify_sig()
   */
  verifyModule(content: Uint8Array, der: Uint8Array): Err {
    const message = this.#detached(der, content);
    return message.ok ? this.#verifyMessage(message.value, RING_NAME.secondary, 'module') : message.errno;
  }

  /** @kernel certs/system_keyring.c verify_pkcs7_signature() */
  verifyPkcs7(message: Uint8Array, options: Pkcs7Options): Result<Uint8Array> {
    const parsed = options.detached
      ? this.#detached(message, options.detached)
      : pkcs7ParseMessage(message, this.#hashes);
    if (!parsed.ok) return parsed;
    const err = this.#verifyMessage(parsed.value, RING_NAME[options.keyring], 'unspecified');
    return err === 0 ? pkcs7GetContentData(parsed.value) : fail(err);
  }

  isHashBlacklisted(digest: Uint8Array): boolean {
    return this.#blacklisted(`bin:${toHex(digest)}`);
  }

  #blacklisted(description: string): boolean {
    const ring = this.keys.named('.blacklist');
    if (ring === undefined) return false;
    for (const key of this.keys.members(ring.serial)) {
      if (key.type === 'blacklist' && key.description === description) return true;
    }
    return false;
  }

  #detached(der: Uint8Array, data: Uint8Array): Result<Pkcs7Message> {
    const message = pkcs7ParseMessage(der, this.#hashes);
    if (!message.ok) return message;
    const supplied = pkcs7SupplyDetachedData(message.value, data);
    return supplied.ok ? supplied : fail('EBADMSG');
  }

  /** @kernel certs/system_keyring.c verify_pkcs7_message_sig() */
  #verifyMessage(message: Pkcs7Message, trusted: string, usage: Pkcs7Usage): Err {
    const isBlacklisted = (cert: X509Certificate): boolean => {
      const alg = cert.sig.hashAlgo;
      if (cert.unsupportedSig || alg === null) return false;
      return this.#blacklisted(`tbs:${toHex(cert.sig.digest)}`);
    };
    const verdict = pkcs7Verify(message, usage, { hashes: this.#hashes, isBlacklisted });
    if (verdict.err !== 0) return verdict.err;
    const signedBy = (name: string): Err => {
      const ring = this.keys.named(name);
      if (ring === undefined) return 'ENOKEY';
      return pkcs7ValidateTrust(verdict, (id0, id1) => {
        if (id0 === null && id1 === null) return fail('ENOKEY');
        const found = findAsymmetricKey(this.keys, ring.serial, { id0, id1, id2: null });
        return found.ok ? ok(found.value[1].cert.pub) : found;
      });
    };
    // is_key_on_revocation_list()
    if (enabled(this.profile, 'CONFIG_SYSTEM_REVOCATION_LIST') && signedBy('.blacklist') === 0)
      return this.keys.refused('EKEYREJECTED', 'keys.blacklisted', '.blacklist');
    return signedBy(trusted);
  }
}

const hashSets = new WeakMap<KernelProfile, ReadonlySet<string>>();

/** Hashes that a kernel of this profile computes. */
function hashesOf(profile: KernelProfile): ReadonlySet<string> {
  let set = hashSets.get(profile);
  if (set === undefined) {
    set = new Set(HASH_ALGO_NAME.filter((name) => cryptoHasAlg(profile, name)));
    hashSets.set(profile, set);
  }
  return set;
}
