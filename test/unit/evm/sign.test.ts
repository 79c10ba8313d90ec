// Labels over metadata: what they cover in which order, for which machine, and which of them EVM itself computes alike.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { fromHex, toHex, utf8 } from '../../../src/base/bytes.ts';
import { ecPrivateKey } from '../../../src/crypto/keys.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { type EvmMetadata, evmHmac, evmMessage, evmSign } from '../../../src/evm/sign.ts';
import { keyidOfKey, type Made, type Signer } from '../../../src/integrity/sign.ts';

const key = ecPrivateKey('P-256', crypto().hash('sha256', utf8('evm')));
const signer: Signer = { key, keyid: keyidOfKey(key), certificate: null };
const UUID = fromHex('123456789abcdef01122334455667788');
const xattrs = (entries: Record<string, string>): ReadonlyMap<string, Uint8Array> =>
  new Map(Object.entries(entries).map(([name, text]) => [name, utf8(text)]));
const BASE: EvmMetadata = {
  ino: 12,
  generation: 7,
  uid: 1,
  gid: 2,
  mode: 0o100644,
  uuid: UUID,
  wordBits: 64,
  xattrs: xattrs({
    'security.capability': 'C',
    'security.ima': 'I',
    'security.added': 'A',
    'security.selinux': 'S',
  }),
};

function value<T>(made: Made<T>): T {
  if (!made.ok) throw new Error(made.problem);
  return made.value;
}
const hex = (metadata: EvmMetadata, type: number): string => toHex(value(evmMessage(metadata, type)));
const VALUES = toHex(utf8('SICA'));

describe('what is covered', () => {
  it('is the values in the order of the kernel, the inode, and the file system', () => {
    expect(hex(BASE, 2)).toBe(
      `${VALUES}0c000000000000000700000001000000020000 00a48100 00`.replaceAll(' ', '') + toHex(UUID),
    );
  });

  it('is shorter on a 32-bit machine and without the uuid', () => {
    expect(hex({ ...BASE, wordBits: 32, uuid: null }, 3)).toBe(
      `${VALUES}0c000000070000000100000002000000a4810000`,
    );
  });

  it('names neither inode nor file system in a portable signature', () => {
    expect(hex(BASE, 5)).toBe(`${VALUES}0000000000000000000000000100000002000000a4810000`);
  });

  it('leaves security.evm out', () => {
    const more = new Map([...BASE.xattrs, ['security.evm', utf8('E')]] as const);
    expect(hex({ ...BASE, xattrs: more }, 2)).toBe(hex(BASE, 2));
  });

  it('must be something, and for a portable signature security.ima', () => {
    expect(evmMessage({ ...BASE, xattrs: new Map() }, 2)).toMatchObject({ ok: false });
    const without = { ...BASE, xattrs: xattrs({ 'security.selinux': 'S' }) };
    expect(evmMessage(without, 5)).toEqual({ ok: false, problem: 'a portable signature needs security.ima' });
    expect(evmMessage(without, 3).ok).toBe(true);
  });
});

describe('values', () => {
  it('are HMACs under the key padded to 128 bytes', () => {
    const secret = fromHex('0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef');
    const padded = new Uint8Array(128);
    padded.set(secret);
    const own = crypto().hmac('sha1', padded, value(evmMessage(BASE, 2)));
    expect(toHex(value(evmHmac(secret, 'sha1', BASE)))).toBe(`02${toHex(own)}`);
    expect(evmHmac(new Uint8Array(128), 'sha1', BASE)).toMatchObject({ ok: true });
    const problem = 'an EVM key has at most 128 bytes';
    expect(evmHmac(new Uint8Array(129), 'sha1', BASE)).toEqual({ ok: false, problem });
    const none = { ...BASE, xattrs: new Map<string, Uint8Array>() };
    const refused = { ok: false, problem: 'the file has no attribute that EVM covers' };
    expect(evmHmac(secret, 'sha1', none)).toEqual(refused);
    expect(evmSign(signer, 'sha256', none, false)).toEqual(refused);
  });

  it('know their type and version', () => {
    const head = (portable: boolean, version: 2 | 3): string =>
      toHex(value(evmSign(signer, 'sha256', BASE, portable, version)).subarray(0, 3));
    expect([head(true, 2), head(false, 2), head(true, 3)]).toEqual(['050204', '030204', '050304']);
  });

  it('agree with a recorded kernel', () => {
    // An HMAC that Linux 6.12.107 accepted: inode 12, generation 7, the content "T".
    const ima = fromHex('0404e632b7095b0bf32c260fa4c539e9fd7b852d0de454e9be26f24d0d6f91d069d3');
    const recorded = { ...BASE, uid: 0, gid: 0, xattrs: new Map([['security.ima', ima]]) };
    const secret = fromHex('0123456789abcdef'.repeat(4));
    expect(toHex(value(evmHmac(secret, 'sha1', recorded)))).toBe(
      '02a3856be0700b0666fd3379050d72457ac0147b54',
    );
  });
});
