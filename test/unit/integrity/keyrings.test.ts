// Keyrings against what the recorded kernel answered to add_key(2): restrictions, permissions, encrypted keys, EVM's master key.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { fromHex, fromLatin1, latin1 } from '../../../src/base/bytes.ts';
import { Random, seedRandom } from '../../../src/base/random.ts';
import { newTrace, Trace } from '../../../src/base/trace.ts';
import { RECORDED_ENVIRONMENT as ENV } from '../../../src/conformance/env-data.ts';
import { profileOf } from '../../../src/conformance/environment.ts';
import { Keyrings, newKeyrings } from '../../../src/integrity/keyrings.ts';
import type { KeyTask } from '../../../src/integrity/keys-types.ts';
import {
  allocSystemKeyrings,
  initIntegrityKeyring,
  loadSystemCertificates,
} from '../../../src/integrity/system-keyrings.ts';
import { Trust } from '../../../src/integrity/trust.ts';
import { CAP_FULL_SET } from '../../../src/vfs/constants.ts';

const profile = profileOf(ENV, undefined);
const cert = (name: string): Uint8Array => fromHex(ENV.certificates[name] ?? '');

function task(uid: number): KeyTask {
  const id = { uid, euid: uid, suid: uid, fsuid: uid, gid: uid, egid: uid, sgid: uid, fsgid: uid };
  const place = { mount: 1, dentry: 1 };
  return {
    cred: { ...id, groups: [], caps: uid === 0 ? CAP_FULL_SET : 0n, userNs: 0 },
    root: place,
    cwd: place,
    umask: 0,
    ns: 0,
    comm: 'init',
    pid: 1,
    ppid: 0,
    exe: '/init',
    sessionKeyring: 0,
  };
}

function boot(): { readonly keys: Keyrings; readonly linked: string[] } {
  const linked: string[] = [];
  const keys = new Keyrings(newKeyrings(), {
    random: new Random(seedRandom('keys')),
    trace: new Trace(newTrace()),
    listeners: { keyLinked: (_task, ring) => linked.push(ring) },
    verifyBuiltin: (k, data, der) => {
      const r = new Trust(k, profile).verifyPkcs7(der, { keyring: 'builtin', detached: data });
      return r.ok ? 0 : r.errno;
    },
  });
  const builtin = ENV.trusted_keys.builtin.map((c) => fromHex(c.der));
  const trusted = { builtin, secondary: [], machine: [], platform: [] };
  allocSystemKeyrings(keys, profile);
  loadSystemCertificates(keys, trusted);
  initIntegrityKeyring(keys, profile, 'ima', trusted);
  initIntegrityKeyring(keys, profile, 'evm', trusted);
  return { keys, linked };
}

describe('keyrings', () => {
  it('links the certificates of the build at boot, the module certificate to .ima too', () => {
    expect(boot().linked).toEqual(['.builtin_trusted_keys', '.builtin_trusted_keys', '.ima']);
  });

  // add_key(2) of asymmetric keys by root, as recorded.
  const rows: readonly (readonly [ring: string, certificate: string, result: string])[] = [
    ['.ima', 'ima1', 'OK'],
    ['.ima', 'ima2', 'OK'],
    ['.ima', 'ima3', 'OK'],
    ['.evm', 'evm1', 'OK'],
    ['.ima', 'stranger', 'ENOKEY'],
    ['.ima', 'nosigusage', 'ENOKEY'],
    ['.ima', 'ca', 'ENOKEY'],
    ['.builtin_trusted_keys', 'ima1', 'EACCES'],
    ['.platform', 'ima1', 'EACCES'],
    ['.secondary_trusted_keys', 'ima1', 'OK'],
    ['.secondary_trusted_keys', 'strangerca', 'ENOKEY'],
    ['.fs-verity', 'fsv1', 'OK'],
  ];
  it.each(rows)('%s takes %s: %s', (ring, name, expected) => {
    const { keys } = boot();
    const made = keys.addKey(task(0), 'asymmetric', '', cert(name), ring);
    expect(made.ok ? 'OK' : made.errno).toBe(expected);
  });

  it('refuses what is no certificate, no type, no description', () => {
    const { keys } = boot();
    const errno = (type: string, name: string, payload: string): string => {
      const r = keys.addKey(task(0), type, name, latin1(payload), -3);
      return r.ok ? 'OK' : r.errno;
    };
    expect(errno('asymmetric', '', 'not DER')).toBe('EBADMSG');
    expect(errno('nosuch', 'x', 'x')).toBe('ENODEV');
    expect(errno('.hidden', 'x', 'x')).toBe('EPERM');
    expect(errno('user', '', 'x')).toBe('EINVAL');
    expect(errno('user', 'x', '')).toBe('EINVAL');
  });

  it('keeps user keyrings apart and lets request_key find a key of the user', () => {
    const { keys } = boot();
    expect(keys.addKey(task(0), 'user', 'kmk', latin1('secret of root'), -4).ok).toBe(true);
    expect(keys.requestKey(task(0), 'user', 'kmk').ok).toBe(true);
    expect(keys.requestKey(task(1000), 'user', 'kmk').ok).toBe(false);
  });

  it('makes an encrypted key, shows it encrypted, and loads it again', () => {
    const { keys } = boot();
    const root = task(0);
    keys.addKey(root, 'user', 'kmk', latin1('kmk-oracle-0123456789abcdef01234'), -4);
    const made = keys.addKey(
      root,
      'encrypted',
      'evm-key',
      latin1(`new enc32 user:kmk 32 ${'0123456789abcdef'.repeat(4)}`),
      -4,
    );
    expect(made.ok).toBe(true);
    const text = made.ok ? keys.read(root, made.value) : made;
    expect(text.ok && fromLatin1(text.value).startsWith('enc32 user:kmk 32 ')).toBe(true);
    if (!text.ok) return;
    const copy = keys.addKey(root, 'encrypted', 'copy', latin1(`load ${fromLatin1(text.value)}`), -4);
    expect(copy.ok).toBe(true);
    const [first, second] = ['evm-key', 'copy'].map((n) => keys.requestKey(root, 'encrypted', n));
    expect(first?.ok && second?.ok && second.value.encrypted?.decrypted).toEqual(
      first?.ok && first.value.encrypted?.decrypted,
    );
    const damaged = `load ${fromLatin1(text.value).replace(/.$/, (c) => (c === '0' ? '1' : '0'))}`;
    expect(keys.addKey(root, 'encrypted', 'bad', latin1(damaged), -4)).toEqual({
      ok: false,
      errno: 'EINVAL',
    });
    const short = keys.addKey(root, 'encrypted', 'short', latin1('new user:kmk 8'), -4);
    expect(short).toEqual({ ok: false, errno: 'EINVAL' });
  });

  it('asks for the master key only when a secret is loaded or read, and updates name another one', () => {
    const { keys } = boot();
    const root = task(0);
    const add = (text: string) => keys.addKey(root, 'encrypted', 'k', latin1(text), -4);
    const made = add('new user:nokey 32');
    expect(made.ok).toBe(true);
    if (!made.ok) return;
    expect(keys.read(root, made.value)).toEqual({ ok: false, errno: 'ENOKEY' });
    expect(add('new user:kmk 32')).toEqual({ ok: false, errno: 'EINVAL' });
    expect(add('update trusted:kmk')).toEqual({ ok: false, errno: 'EINVAL' });
    keys.addKey(root, 'user', 'kmk', latin1('short'), -4);
    expect(add('update user:kmk').ok).toBe(true);
    const text = keys.read(root, made.value);
    expect(text.ok && fromLatin1(text.value).startsWith('default user:kmk 32 ')).toBe(true);
    expect(keys.addKey(root, 'encrypted', 'l', latin1('load user:nokey 32 abc'), -4)).toEqual({
      ok: false,
      errno: 'EINVAL',
    });
  });

  it('finds an IMA key by the end of its key identifier', () => {
    const { keys } = boot();
    keys.addKey(task(0), 'asymmetric', '', cert('ima1'), '.ima');
    const trust = new Trust(keys, profile);
    const digest = new Uint8Array(32);
    // Subject key identifier of ima1 ends in f1ea0f51; the signature is no good, but the key is there.
    expect(trust.verifySignature('ima', 0xf1ea0f51, 'sha256', digest, new Uint8Array(256).fill(1))).not.toBe(
      'ENOKEY',
    );
    expect(trust.verifySignature('ima', 0x11111111, 'sha256', digest, new Uint8Array(256))).toBe('ENOKEY');
  });
});
