// The verdict on a file's metadata and what changes of them are let through, row by row.

import { describe, expect, it } from 'vitest';
import { concat, toHex, utf8 } from '../../../src/base/bytes.ts';
import type { Err } from '../../../src/base/errno.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { miscBytes } from '../../../src/evm/digest.ts';
import {
  EVM_ALLOW_METADATA_WRITES,
  EVM_IMMUTABLE_DIGSIG,
  EVM_NEW_FILE,
  EVM_SETUP_COMPLETE,
} from '../../../src/evm/state.ts';
import { O_RDONLY, O_WRONLY, S_IFCHR, S_IFDIR, S_IFREG } from '../../../src/vfs/constants.ts';
import { FS_MAGIC, type Superblock } from '../../../src/vfs/types.ts';
import { Bench, type BenchOptions, EVM_NAME, HMAC, HMAC_KEY, signature, UUID, X509 } from './bench.ts';

const PASS = 0;
const PASS_IMMUTABLE = 1;
const FAIL = 2;
const FAIL_IMMUTABLE = 3;
const NOLABEL = 4;
const NOXATTRS = 5;
const UNKNOWN = 6;
const IMA = utf8('ima value');
const CAP_SYS_ADMIN = 21;

/** A file with security.ima and the given security.evm; null = none. */
function bench(label: ((b: Bench) => Uint8Array) | Uint8Array | null, options: BenchOptions = {}): Bench {
  const b = new Bench(options);
  b.put('security.ima', IMA);
  if (label !== null) b.put(EVM_NAME, typeof label === 'function' ? label(b) : label);
  return b;
}
const good = (b: Bench): Uint8Array => b.hmac(IMA);
const flipped = (b: Bench): Uint8Array => b.hmac(IMA).map((v, i) => (i === 20 ? v ^ 1 : v));

describe('the verdict', () => {
  type Label = ((b: Bench) => Uint8Array) | Uint8Array | null;
  it.each<[string, Label, number, number, string]>([
    ['an HMAC that fits', good, HMAC, PASS, 'evm.pass'],
    ['an HMAC with one bit wrong', flipped, HMAC, FAIL, 'evm.fail'],
    ['an HMAC of 22 bytes', (b) => concat(good(b), utf8('x')), HMAC, FAIL, 'evm.fail'],
    ['an HMAC of 20 bytes', (b) => good(b).slice(0, 20), HMAC, FAIL, 'evm.fail'],
    ['an HMAC without the HMAC key', good, X509, FAIL, 'evm.fail'],
    ['no label', null, HMAC, NOLABEL, 'evm.no_label'],
    ['an empty label', new Uint8Array(0), HMAC, FAIL, 'evm.fail'],
    ['type 1', Uint8Array.of(1, ...new Uint8Array(20)), HMAC, FAIL, 'evm.fail'],
    ['type 4', Uint8Array.of(4, 4), HMAC, FAIL, 'evm.fail'],
    ['type 6', signature(6), X509, FAIL, 'evm.fail'],
    ['a signature', signature(3), X509, PASS, 'evm.pass'],
    ['a bad signature', signature(3, 'evil'), X509, FAIL, 'evm.fail'],
    ['a signature of header length', signature(3).slice(0, 9), X509, FAIL, 'evm.fail'],
    ['a signature with an unknown hash', signature(3, 'good', 99), X509, FAIL, 'evm.fail'],
    ['a signature with a hash that is not built', signature(3, 'good', 0), X509, FAIL, 'evm.fail'],
    ['a portable signature', signature(5), X509, PASS_IMMUTABLE, 'evm.pass_immutable'],
    ['a bad portable signature', signature(5, 'evil'), X509, FAIL_IMMUTABLE, 'evm.fail_immutable'],
    ['a portable signature of header length', signature(5).slice(0, 9), X509, FAIL, 'evm.fail'],
    [
      'a portable signature with an unknown hash',
      signature(5, 'good', 23),
      X509,
      FAIL_IMMUTABLE,
      'evm.fail_immutable',
    ],
  ])('%s', (_what, label, state, status, reason) => {
    const b = bench(label, { state });
    expect(b.verify()).toBe(status);
    expect(b.cached).toBe(status);
    const texts = ['pass', 'pass_immutable', 'fail', 'fail_immutable', 'no_label', 'no_xattrs', 'unknown'];
    expect(b.events('evm.verify').map((e) => [e.reason, e.data])).toEqual([
      [reason, { inode: b.key, status: texts[status] }],
    ]);
    expect(b.evm.iint(b.key).flags).toBe(status === PASS_IMMUTABLE ? EVM_IMMUTABLE_DIGSIG : 0);
  });

  it('is none without a key, for a name that is not guarded, or under an overlay without a certificate', () => {
    expect(bench(good, { state: 0 }).verify()).toBe(UNKNOWN);
    expect(bench(good, { state: EVM_ALLOW_METADATA_WRITES }).verify()).toBe(UNKNOWN);
    expect(bench(good).verify('security.other')).toBe(UNKNOWN);
    expect(bench(good).verify('user.ima')).toBe(UNKNOWN);
    const overlay = bench(good, { sb: { evmUnsupported: true } });
    expect(overlay.verify()).toBe(UNKNOWN);
    expect(overlay.events('evm.verify').map((e) => e.reason)).toEqual(['evm.unsupported']);
    expect(overlay.cached).toBe(UNKNOWN);
    expect(bench(signature(5), { state: X509, sb: { evmUnsupported: true } }).verify()).toBe(PASS_IMMUTABLE);
  });

  it('without attributes to guard there is nothing to say', () => {
    const b = new Bench();
    expect(b.verify()).toBe(NOXATTRS);
    b.put('security.other', utf8('x'));
    expect(b.verify()).toBe(NOXATTRS);
    b.put(EVM_NAME, new Uint8Array(21).fill(2));
    expect(b.verify()).toBe(NOXATTRS);
    const signed = new Bench({ state: X509 });
    signed.put(EVM_NAME, signature(3));
    expect(signed.verify()).toBe(NOXATTRS);
    signed.put(EVM_NAME, signature(5));
    expect(signed.verify()).toBe(FAIL_IMMUTABLE);
  });

  it('a disabled name counts as a label’s absence and for portable signatures alone', () => {
    const config = { CONFIG_SECURITY_SELINUX: 'n' };
    const b = new Bench({ config });
    b.put('security.selinux', utf8('s'));
    expect(b.verify()).toBe(NOLABEL);
    b.put('security.ima', IMA);
    b.put(EVM_NAME, b.hmac(IMA));
    expect(b.verify()).toBe(PASS);
  });

  it('where the file system has no attributes or belongs to another user namespace', () => {
    expect(bench(good, { sb: { xattrs: false } }).verify()).toBe(UNKNOWN);
    expect(bench(good, { sb: { userNs: 1 } }).verify()).toBe(FAIL);
    expect(bench(signature(5), { state: X509, sb: { userNs: 1 } }).verify()).toBe(FAIL_IMMUTABLE);
  });

  it('covers the value that the caller has read instead of the stored one', () => {
    const other = utf8('another value');
    const b = bench((x) => x.hmac(other));
    expect(b.verify('security.ima', IMA)).toBe(FAIL);
    expect(b.verify('security.ima', other)).toBe(PASS);
    const apart = bench(good);
    expect(apart.verify('security.capability', other)).toBe(FAIL);
  });

  it('is kept once it is a pass, and asked again otherwise', () => {
    const b = bench(good);
    expect(b.verify()).toBe(PASS);
    b.put(EVM_NAME, null);
    expect(b.verify()).toBe(PASS);
    expect(b.events('evm.verify')).toHaveLength(1);
    b.cached = PASS_IMMUTABLE;
    expect(b.verify()).toBe(PASS_IMMUTABLE);
    for (const status of [FAIL, FAIL_IMMUTABLE, NOLABEL, NOXATTRS, UNKNOWN]) {
      b.cached = status;
      expect(b.verify()).toBe(NOLABEL);
    }
  });

  it('asks the evm keyring with the key and the hash of the header', () => {
    const b = bench(signature(3, 'good', 6), { state: X509 });
    b.verify();
    expect(b.asked).toEqual([['evm', 0x11223344, 'sha512', 64]]);
  });
});

describe('a signature that is replaced', () => {
  it.each<[string, BenchOptions, boolean]>([
    ['by an HMAC where there is a key', { state: HMAC | X509 }, true],
    ['not without a key', { state: X509 }, false],
    ['not on a read-only file system', { state: HMAC | X509, sb: { readonly: true } }, false],
    ['not where HMACs are not supported', { state: HMAC | X509, sb: { evmUnsupported: true } }, false],
  ])('%s', (_what, options, replaced) => {
    const b = bench(signature(3), options);
    expect(b.verify()).toBe(PASS);
    expect(b.label).toEqual(replaced ? b.hmac(IMA) : signature(3));
    expect(b.events('evm.update').map((e) => [e.reason, e.data])).toEqual(
      replaced ? [['evm.relabelled', { inode: b.key }]] : [],
    );
    expect(b.cached).toBe(PASS);
  });

  it('not on an immutable inode, and never a portable one', () => {
    const b = bench(signature(3), { state: HMAC | X509 });
    b.patch({ immutable: true });
    expect([b.verify(), b.label]).toEqual([PASS, signature(3)]);
    const portable = bench(signature(5), { state: HMAC | X509 });
    expect([portable.verify(), portable.label]).toEqual([PASS_IMMUTABLE, signature(5)]);
  });

  it('covers the value of the caller', () => {
    const other = utf8('another');
    const b = bench(signature(3), { state: HMAC | X509 });
    b.verify('security.ima', other);
    expect(b.label).toEqual(b.hmac(other));
  });
});

describe('names that EVM guards', () => {
  it.each<[string, boolean]>([
    ['security.ima', true],
    ['security.capability', true],
    ['ima', true],
    ['im', true],
    ['capability', true],
    ['security.im', false],
    ['security.imax', false],
    ['imax', false],
    ['security.evm', false],
    ['user.ima', false],
    ['system.posix_acl_access', false],
  ])('%s: %s', (name, guarded) => {
    expect(new Bench().evm.isProtected(name)).toBe(guarded);
  });

  it('only while they are enabled', () => {
    const xattrs = [{ name: 'security.x', enabled: false }];
    expect(new Bench({ evm: { xattrs } }).evm.isProtected('security.x')).toBe(false);
  });

  it.each<[string | null, boolean]>([
    ['security.ima', true],
    ['security.evm', true],
    ['system.posix_acl_access', true],
    ['system.posix_acl_default', true],
    [null, true],
    ['security.other', false],
    ['user.x', false],
  ])('a change of %s voids a verdict: %s', (name, want) => {
    expect(new Bench().evm.revalidateStatus(name)).toBe(want);
    expect(new Bench({ state: 0 }).evm.revalidateStatus(name)).toBe(false);
    expect(new Bench({ state: X509 }).evm.revalidateStatus(name)).toBe(want);
  });
});

/** A bench whose next verification says the status. */
function saying(status: number, options: BenchOptions = {}): Bench {
  const state = (options.state ?? HMAC) | 0;
  const make = (): Bench => {
    switch (status) {
      case PASS:
        return bench(state & HMAC ? good : signature(3), options);
      case PASS_IMMUTABLE:
        return bench(signature(5), options);
      case FAIL_IMMUTABLE:
        return bench(signature(5, 'evil'), options);
      case NOLABEL:
        return bench(null, options);
      case NOXATTRS:
        return new Bench(options);
      case UNKNOWN:
        return bench(null, { ...options, sb: { ...options.sb, xattrs: false } });
      default:
        return bench(signature(3, 'evil'), options);
    }
  };
  return make();
}

const NO_HMAC = (X509 | EVM_SETUP_COMPLETE) >>> 0;
const REFUSED = (op: string, cause: string): RegExp =>
  new RegExp(
    `^1801 pid=64 uid=0 auid=4294967295 ses=4294967295 op=${op} cause=${cause} comm="init" name="a" dev="vdc" ino=12 res=0 errno=0$`,
  );

describe('changes of a guarded attribute', () => {
  it.each<[string, number, number, Err, string | null]>([
    ['pass', PASS, HMAC, 0, null],
    ['fail', FAIL, HMAC, 'EPERM', 'fail'],
    ['fail_immutable', FAIL_IMMUTABLE, HMAC, 0, null],
    ['pass_immutable', PASS_IMMUTABLE, HMAC, 'EPERM', null],
    ['no_label', NOLABEL, HMAC, 'EPERM', 'no_label'],
    ['no_label, HMAC may still come', NOLABEL, X509, 'EPERM', 'no_label'],
    ['no_label, HMAC never comes', NOLABEL, NO_HMAC, 0, null],
    ['unknown', UNKNOWN, HMAC, 'EPERM', 'unknown'],
    ['unknown, HMAC never comes', UNKNOWN, NO_HMAC, 0, null],
    ['fail, HMAC never comes', FAIL, NO_HMAC, 'EPERM', 'fail'],
    ['fail, any write allowed', FAIL, HMAC | EVM_ALLOW_METADATA_WRITES, 0, null],
    ['no key at all', NOLABEL, 0, 0, null],
  ])('under %s', (_what, status, state, err, cause) => {
    for (const change of [
      (b: Bench) => b.set('security.ima', utf8('new')),
      (b: Bench) => b.remove('security.ima'),
      (b: Bench) => b.set('security.capability', utf8('new')),
    ]) {
      const b = saying(status, { state });
      expect(change(b)).toBe(err);
      expect(b.records).toEqual(
        cause === null ? [] : [expect.stringMatching(REFUSED('appraise_metadata', cause))],
      );
      const refused = b.events('evm.refused').map((e) => e.reason);
      expect(refused).toEqual(err === 0 ? [] : [cause === null ? 'evm.pass_immutable' : 'evm.refused']);
    }
  });

  it('are told in the trace', () => {
    const b = saying(FAIL);
    b.set('security.ima', IMA);
    expect(b.events('evm.refused')[0]?.data).toEqual({
      op: 'appraise_metadata',
      status: 'fail',
      inode: b.key,
    });
    const fixed = saying(PASS_IMMUTABLE);
    fixed.set('security.ima', utf8('new'));
    expect(fixed.events('evm.refused')[0]?.data).toEqual({ op: 'security.ima', inode: fixed.key });
  });

  it('under a portable signature: only to the value that is there', () => {
    const b = saying(PASS_IMMUTABLE);
    expect(b.set('security.ima', IMA)).toBe(0);
    expect(b.set('security.ima', IMA.slice(1))).toBe('EPERM');
    expect(b.set('security.capability', IMA)).toBe('EPERM');
    expect(b.set('security.capability', new Uint8Array(0))).toBe('EPERM');
    expect(b.remove('security.ima')).toBe('EPERM');
  });

  it.each<[string, BenchOptions, number, Err]>([
    ['on a disk', {}, 0, 'EPERM'],
    ['where the HMAC never comes', { state: NO_HMAC }, 0, 0],
    ['of a file made by mknod', {}, EVM_NEW_FILE, 0],
    ['of a file marked otherwise', {}, EVM_IMMUTABLE_DIGSIG, 'EPERM'],
    ['in memory', { sb: { magic: FS_MAGIC.tmpfs } }, 0, 0],
    ['in sysfs', { sb: { magic: FS_MAGIC.sysfs } }, 0, 0],
    ['in proc', { sb: { magic: FS_MAGIC.proc } }, 0, 'EPERM'],
  ])('the first one %s', (_what, options, flags, err) => {
    const b = new Bench(options);
    b.flag(flags);
    expect(b.set('security.ima', IMA)).toBe(err);
    expect(b.records).toEqual(
      err === 0
        ? []
        : [
            expect.stringMatching(REFUSED('update_metadata', 'no_xattrs')),
            expect.stringMatching(REFUSED('appraise_metadata', 'no_xattrs')),
          ],
    );
  });

  it('are free on an overlay, on what is no regular file, with evm=fix, and for names it does not guard', () => {
    expect(saying(FAIL, { sb: { evmUnsupported: true }, state: HMAC | X509 }).set('security.ima', IMA)).toBe(
      0,
    );
    for (const type of [S_IFDIR, S_IFCHR]) {
      const b = saying(FAIL);
      b.patch({ mode: type | 0o644 });
      expect(b.set('security.ima', IMA)).toBe(0);
    }
    expect(saying(FAIL, { evm: { fixMode: true } }).set('security.ima', IMA)).toBe(0);
    const b = saying(FAIL);
    expect([b.set('security.other', IMA), b.set('user.x', IMA), b.remove('user.x')]).toEqual([0, 0, 0]);
  });

  it('evm=fix is anything that begins with fix', () => {
    const fixes = (value: string): boolean => {
      const b = new Bench();
      b.evm.setup(value);
      return b.evm.state.fixMode;
    };
    expect(['fix', 'fixed', 'Fix', 'off', 'afix', ''].map(fixes)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe('writing security.evm', () => {
  it.each<[string, Uint8Array, Err, string | null]>([
    ['nothing', new Uint8Array(0), 'EINVAL', null],
    ['an HMAC', Uint8Array.of(2, ...new Uint8Array(20)), 'EPERM', 'evm.userspace_hmac'],
    ['type 4', Uint8Array.of(4), 'EPERM', 'evm.userspace_hmac'],
    ['type 6', signature(6), 'EPERM', 'evm.userspace_hmac'],
    ['a signature', signature(3), 0, null],
    ['a portable signature', signature(5), 0, null],
  ])('%s', (_what, value, err, reason) => {
    const b = saying(PASS);
    expect(b.set(EVM_NAME, value)).toBe(err);
    expect(b.events('evm.refused').map((e) => [e.reason, e.data])).toEqual(
      reason === null ? [] : [[reason, { op: EVM_NAME, inode: b.key }]],
    );
    expect(saying(PASS, { state: HMAC | EVM_ALLOW_METADATA_WRITES }).set(EVM_NAME, value)).toBe(0);
  });

  it('needs CAP_SYS_ADMIN and a file system that can hold it', () => {
    const b = saying(PASS);
    const bare = b.without(CAP_SYS_ADMIN);
    expect([b.set(EVM_NAME, signature(5), bare), b.remove(EVM_NAME, bare)]).toEqual(['EPERM', 'EPERM']);
    expect([b.set('security.ima', IMA, bare), b.remove(EVM_NAME)]).toEqual([0, 0]);
    const overlay = saying(PASS, { sb: { evmUnsupported: true } });
    expect([overlay.set(EVM_NAME, signature(5)), overlay.remove(EVM_NAME)]).toEqual(['EPERM', 'EPERM']);
    expect(overlay.records).toEqual([]);
  });

  it('follows the verdict like a guarded attribute', () => {
    expect(saying(FAIL).set(EVM_NAME, signature(5))).toBe('EPERM');
    expect(saying(FAIL_IMMUTABLE).set(EVM_NAME, signature(5))).toBe(0);
    const b = saying(PASS_IMMUTABLE);
    expect([b.set(EVM_NAME, signature(5)), b.set(EVM_NAME, signature(3))]).toEqual([0, 'EPERM']);
  });
});

describe('ACLs', () => {
  const ACL = 'system.posix_acl_access';
  const acl = (b: Bench, mode: number): Err => b.evm.inodeSetAcl(b.task, b.path, b.key, ACL, mode);
  const drop = (b: Bench): Err => b.evm.inodeRemoveAcl(b.task, b.path, b.key, ACL);

  it.each<[string, number, number, Err, string | null]>([
    ['pass', PASS, HMAC, 0, null],
    ['no_xattrs', NOXATTRS, HMAC, 0, null],
    ['fail_immutable', FAIL_IMMUTABLE, HMAC, 0, null],
    ['fail', FAIL, HMAC, 'EPERM', 'fail'],
    ['no_label', NOLABEL, HMAC, 'EPERM', 'no_label'],
    ['no_label, HMAC never comes', NOLABEL, NO_HMAC, 0, null],
    ['unknown, HMAC never comes', UNKNOWN, NO_HMAC, 0, null],
    ['fail, any write allowed', FAIL, HMAC | EVM_ALLOW_METADATA_WRITES, 0, null],
  ])('under %s', (_what, status, state, err, cause) => {
    for (const change of [(b: Bench) => acl(b, b.inode.mode), drop]) {
      const b = saying(status, { state });
      expect(change(b)).toBe(err);
      expect(b.records).toEqual(
        cause === null ? [] : [expect.stringMatching(REFUSED('appraise_metadata', cause))],
      );
    }
  });

  it('under a portable signature: only one that keeps the mode, and no removal', () => {
    const b = saying(PASS_IMMUTABLE);
    expect([acl(b, b.inode.mode), acl(b, b.inode.mode ^ 1), drop(b)]).toEqual([0, 'EPERM', 'EPERM']);
    expect(b.events('evm.refused').map((e) => [e.reason, e.data])).toEqual(
      [1, 2].map(() => ['evm.pass_immutable', { op: 'set_acl', inode: b.key }]),
    );
  });

  it('given as attributes are judged, but the first label is free, and so is an overlay', () => {
    expect(saying(FAIL).set(ACL, IMA)).toBe('EPERM');
    expect(saying(FAIL).set('system.posix_acl_default', IMA)).toBe('EPERM');
    expect(saying(NOXATTRS).set(ACL, IMA)).toBe(0);
    expect(saying(PASS).set(ACL, IMA)).toBe(0);
    expect(saying(FAIL, { sb: { evmUnsupported: true }, state: HMAC | X509 }).set(ACL, IMA)).toBe(0);
    expect(saying(PASS_IMMUTABLE).set(ACL, IMA)).toBe('EPERM');
  });
});

describe('changes of mode and owner', () => {
  const MODE = { mode: 0o100600 };
  it.each<[string, number, number, Err, string | null]>([
    ['pass', PASS, HMAC, 0, null],
    ['no_xattrs', NOXATTRS, HMAC, 0, null],
    ['fail_immutable', FAIL_IMMUTABLE, HMAC, 0, null],
    ['fail', FAIL, HMAC, 'EPERM', 'fail'],
    ['pass_immutable', PASS_IMMUTABLE, HMAC, 'EPERM', 'pass_immutable'],
    ['no_label', NOLABEL, HMAC, 'EPERM', 'no_label'],
    ['no_label, HMAC never comes', NOLABEL, NO_HMAC, 0, null],
    ['fail, any write allowed', FAIL, HMAC | EVM_ALLOW_METADATA_WRITES, 0, null],
  ])('under %s', (_what, status, state, err, cause) => {
    for (const attr of [MODE, { uid: 5 }, { gid: 5 }]) {
      const b = saying(status, { state });
      expect(b.evm.inodeSetattr(b.task, b.path, b.key, attr)).toBe(err);
      expect(b.records).toEqual(
        cause === null ? [] : [expect.stringMatching(REFUSED('appraise_metadata', cause))],
      );
    }
  });

  it('are not asked about on an overlay, or for times and size', () => {
    const overlay = saying(FAIL, { sb: { evmUnsupported: true }, state: HMAC | X509 });
    expect(overlay.evm.inodeSetattr(overlay.task, overlay.path, overlay.key, MODE)).toBe(0);
    const b = saying(FAIL);
    expect(b.evm.inodeSetattr(b.task, b.path, b.key, { size: 0 })).toBe(0);
    expect(b.evm.inodeSetattr(b.task, b.path, b.key, {})).toBe(0);
  });

  it('that change nothing are allowed under a portable signature', () => {
    const b = saying(PASS_IMMUTABLE);
    const asks = (attr: object): Err => b.evm.inodeSetattr(b.task, b.path, b.key, attr);
    const { mode } = b.inode;
    expect([asks({ mode }), asks({ mode: mode & 0o7777 }), asks({ uid: 0 }), asks({ gid: 0 })]).toEqual([
      0, 0, 0, 0,
    ]);
    expect([asks({ mode, uid: 0, gid: 0 }), asks({ mode, uid: 1 }), asks({ mode, gid: 1 })]).toEqual([
      0,
      'EPERM',
      'EPERM',
    ]);
    expect([asks({ uid: 0, gid: 1 }), asks({ mode: mode ^ 1, uid: 0 })]).toEqual(['EPERM', 'EPERM']);
    const failing = saying(FAIL);
    expect(failing.evm.inodeSetattr(failing.task, failing.path, failing.key, { uid: 0 })).toBe('EPERM');
  });
});

describe('after a change', () => {
  const OTHER = utf8('new value');
  const post = (b: Bench, name: string, value = OTHER): void => {
    b.put(name, value);
    b.evm.inodePostSetxattr(b.task, b.path, b.key, name, value);
  };

  it('a guarded value is void and covered anew', () => {
    const b = saying(PASS);
    b.verify();
    post(b, 'security.ima');
    expect([b.cached, b.label]).toEqual([UNKNOWN, b.hmac(OTHER)]);
    expect(b.verify()).toBe(PASS);
  });

  it('a broken label or none is made good', () => {
    for (const status of [FAIL, NOLABEL, NOXATTRS]) {
      const b = saying(status);
      post(b, 'security.ima');
      expect(b.label).toEqual(b.hmac(OTHER));
    }
  });

  it.each<[string, string, BenchOptions, boolean, boolean]>([
    ['an unguarded attribute', 'security.other', {}, false, false],
    ['security.evm itself', EVM_NAME, {}, true, false],
    ['an ACL', 'system.posix_acl_access', {}, true, true],
    ['a guarded one without the HMAC key', 'security.ima', { state: X509 }, true, false],
    ['a guarded one without a key', 'security.ima', { state: 0 }, false, false],
    ['a guarded one on an overlay', 'security.ima', { sb: { evmUnsupported: true } }, true, false],
  ])('%s', (_what, name, options, voided, written) => {
    const b = bench(flipped, options);
    const before = b.label;
    b.cached = PASS;
    b.evm.inodePostSetxattr(b.task, b.path, b.key, name, IMA);
    expect(b.cached).toBe(voided ? UNKNOWN : PASS);
    expect(b.label).toEqual(written ? b.hmac(IMA) : before);
  });

  it('an ACL that is set or dropped', () => {
    for (const drop of [true, false]) {
      const b = bench(flipped);
      const name = 'system.posix_acl_access';
      if (drop) b.evm.inodePostRemoveAcl(b.task, b.path, b.key, name);
      else b.evm.inodePostSetAcl(b.task, b.path, b.key, name);
      expect(b.label).toEqual(b.hmac(IMA));
    }
    const overlay = bench(flipped, { sb: { evmUnsupported: true } });
    const before = overlay.label;
    overlay.evm.inodePostSetAcl(overlay.task, overlay.path, overlay.key, 'system.posix_acl_access');
    expect(overlay.label).toEqual(before);
  });

  it('the last guarded attribute takes security.evm away, on an overlay too', () => {
    for (const sb of [{}, { evmUnsupported: true }]) {
      const b = bench(good, { sb });
      b.put('security.ima', null);
      b.evm.inodePostRemovexattr(b.task, b.path, b.key, 'security.ima');
      expect(b.label).toBeUndefined();
      expect(b.events('evm.update').map((e) => [e.reason, e.data])).toEqual([
        ['evm.unlabelled', { inode: b.key }],
      ]);
    }
    const bare = new Bench();
    bare.evm.inodePostRemovexattr(bare.task, bare.path, bare.key, 'security.ima');
    expect(bare.events('evm.update')).toEqual([]);
  });

  it('one of several leaves an HMAC over the others', () => {
    const b = bench(null);
    b.put('security.capability', OTHER);
    b.put('security.ima', null);
    b.evm.inodePostRemovexattr(b.task, b.path, b.key, 'security.ima');
    expect(b.label).toEqual(b.hmac(OTHER));
  });

  it('a portable signature stays, known or not', () => {
    const b = bench(signature(5));
    post(b, 'security.ima');
    expect(b.label).toEqual(signature(5));
    const known = bench(null);
    known.flag(EVM_IMMUTABLE_DIGSIG);
    post(known, 'security.ima');
    expect(known.label).toBeUndefined();
  });

  it.each<[object, BenchOptions, boolean, boolean]>([
    [{ mode: 0o100600 }, {}, true, true],
    [{ uid: 1 }, {}, true, true],
    [{ gid: 1 }, {}, true, true],
    [{ size: 1 }, {}, true, false],
    [{ mode: 0o100600 }, { state: X509 }, true, false],
    [{ mode: 0o100600 }, { state: 0 }, false, false],
    [{ mode: 0o100600 }, { sb: { evmUnsupported: true } }, true, false],
  ])('attributes %j with %j', (attr, options, voided, written) => {
    const b = bench(flipped, options);
    const before = b.label;
    b.cached = PASS;
    b.evm.inodePostSetattr(b.task, b.path, b.key, attr);
    expect(b.cached).toBe(voided ? UNKNOWN : PASS);
    expect(b.label).toEqual(written ? b.hmac(IMA) : before);
  });

  it('of a file that was never looked at no record is made', () => {
    const b = bench(null, { state: X509 });
    b.evm.inodePostSetattr(b.task, b.path, b.key, { uid: 1 });
    expect(b.evm.state.iints.size).toBe(0);
  });
});

describe('copy-up', () => {
  it.each<[string, Uint8Array | null, string]>([
    ['a portable signature', signature(5), 'copy'],
    ['a signature', signature(3), 'discard'],
    ['an HMAC', Uint8Array.of(2), 'discard'],
    ['an empty one', new Uint8Array(0), 'EPERM'],
    ['none', null, 'EPERM'],
  ])('of security.evm: %s', (_what, value, want) => {
    const b = bench(value);
    expect(b.evm.inodeCopyUpXattr(b.task, b.key, EVM_NAME)).toBe(want);
    expect(b.evm.inodeCopyUpXattr(b.task, b.key, 'security.ima')).toBe('copy');
  });
});

describe('new files', () => {
  const init = (b: Bench, soFar: Record<string, Uint8Array>) => {
    const xattrs = Object.entries(soFar).map(([name, value]) => ({ name, value }));
    return b.evm.initSecurity(b.task, b.inode, b.key, 'a', xattrs);
  };
  const label = (b: Bench, ...values: Uint8Array[]) => ({
    ok: true,
    value: [{ name: EVM_NAME, value: b.hmac(...values) }],
  });
  const SMACK = { CONFIG_SECURITY_SMACK: 'y' };

  it('get an HMAC over what other modules give them, in the order of the kernel', () => {
    const b = new Bench({ config: SMACK });
    const value = { 'security.SMACK64TRANSMUTE': utf8('t'), 'security.SMACK64': utf8('s') };
    expect(init(b, value)).toEqual(label(b, utf8('s'), utf8('t')));
  });

  it('get none without the key or without a guarded attribute', () => {
    expect(init(new Bench({ state: X509 }), { 'security.ima': IMA })).toEqual({ ok: true, value: [] });
    expect(init(new Bench(), { 'security.other': IMA })).toEqual({ ok: true, value: [] });
    expect(init(new Bench(), {})).toEqual({ ok: true, value: [] });
    expect(init(new Bench({ evm: { hmacKey: null } }), { 'security.ima': IMA })).toEqual({
      ok: false,
      errno: 'ENOKEY',
    });
  });

  it('get one on any file system', () => {
    for (const sb of [{ xattrs: false }, { userNs: 1 }] satisfies Partial<Superblock>[]) {
      const b = new Bench({ sb });
      expect(init(b, { 'security.ima': IMA })).toEqual(label(b, IMA));
    }
  });

  it('made by mknod are new until the last writer closes them', () => {
    const b = new Bench();
    const isNew = (): boolean => (b.evm.iint(b.key).flags & EVM_NEW_FILE) !== 0;
    b.flag(EVM_IMMUTABLE_DIGSIG);
    b.evm.pathPostMknod(b.task, b.path, b.key);
    expect(b.evm.iint(b.key).flags).toBe(EVM_NEW_FILE | EVM_IMMUTABLE_DIGSIG);
    const reader = b.vfs.open(b.task, '/mnt/a', O_RDONLY, 0);
    const writer = b.vfs.open(b.task, '/mnt/a', O_WRONLY, 0);
    if (!reader.ok || !writer.ok) throw new Error('no file');
    b.evm.fileRelease(b.task, reader.value);
    b.evm.fileRelease(b.task, writer.value);
    expect(isNew()).toBe(true);
    b.vfs.put(b.task, writer.value);
    b.evm.fileRelease(b.task, reader.value);
    expect(isNew()).toBe(true);
    b.evm.fileRelease(b.task, b.file);
    expect(b.evm.iint(b.key).flags).toBe(EVM_IMMUTABLE_DIGSIG);
  });

  it('only regular ones, and a file that is not new gets no record', () => {
    const b = new Bench();
    b.evm.fileRelease(b.task, b.file);
    expect(b.evm.state.iints.size).toBe(0);
    b.patch({ mode: S_IFCHR | 0o600 });
    b.evm.pathPostMknod(b.task, b.path, b.key);
    expect(b.evm.state.iints.size).toBe(0);
    b.patch({ mode: S_IFREG | 0o600 });
    b.evm.pathPostMknod(b.task, b.path, b.key);
    b.patch({ mode: S_IFCHR | 0o600 });
    b.evm.fileRelease(b.task, b.file);
    expect(b.evm.iint(b.key).flags).toBe(EVM_NEW_FILE);
  });

  it('lose their record with the inode', () => {
    const b = bench(good);
    b.verify();
    b.evm.inodeFree(b.key);
    expect(b.evm.state.iints.has(b.key)).toBe(false);
    const { state } = b.evm;
    b.evm.inodeFree(b.key);
    expect(b.evm.state).toBe(state);
  });
});

describe('the metadata below an overlay', () => {
  /** The file stands for an overlay inode whose metadata are those of `/mnt/below`. */
  function stacked(): { b: Bench; below: number } {
    const b = new Bench({ state: X509 });
    const f = b.vfs.open(b.task, '/mnt/below', 0o102, 0o600);
    if (!f.ok) throw new Error('no file');
    const below = b.vfs.file(f.value).inode;
    b.patch({ realMeta: below });
    b.vfs.rawSetxattr(below, 'security.ima', IMA);
    b.vfs.rawSetxattr(below, EVM_NAME, signature(3));
    return { b, below };
  }

  it('are those that are covered, and their identity is remembered', () => {
    const { b, below } = stacked();
    const seen: Uint8Array[] = [];
    Object.assign(b.evm.env.keys, {
      verifySignature: (_r: string, _k: number, _a: string, digest: Uint8Array) => seen.push(digest) - 1,
    });
    expect(b.verify()).toBe(PASS);
    const misc = miscBytes({ wordBits: 64, fsuuid: true }, b.vfs.inode(below), UUID, 3);
    expect(seen.map(toHex)).toEqual([toHex(crypto().hash('sha256', concat(IMA, misc)))]);
    const version = b.vfs.inode(below).iVersion;
    expect(b.evm.iint(b.key).metadata).toEqual({ inode: below, version });
  });

  it('that changed, or may have, void the verdict', () => {
    const { b, below } = stacked();
    expect(b.evm.metadataChanged(b.key, below)).toBe(true);
    b.verify();
    expect([b.evm.metadataChanged(b.key, below), b.cached]).toEqual([false, PASS]);
    expect([b.evm.metadataChanged(b.key, b.key), b.cached]).toEqual([true, UNKNOWN]);
    b.cached = PASS;
    const known = b.evm.iint(b.key).metadata;
    if (known === null) throw new Error('nothing remembered');
    const { state } = b.vfs;
    const next = { ...b.vfs.inode(below), iVersion: known.version + 1 };
    b.vfs.state = { ...state, inodes: state.inodes.set(below, next) };
    expect([b.evm.metadataChanged(b.key, below), b.cached]).toEqual([true, UNKNOWN]);
    b.vfs.state = state;
    b.cached = PASS;
    b.superblock({ iVersion: false });
    expect([b.evm.metadataChanged(b.key, below), b.cached]).toEqual([true, UNKNOWN]);
  });

  it('of an ordinary file are not remembered', () => {
    const b = bench(good);
    b.verify();
    expect(b.evm.iint(b.key).metadata).toBeNull();
  });
});

describe('the HMAC', () => {
  it('is keyed with all 128 bytes of the key', () => {
    const b = bench(good);
    expect(b.evm.state.hmacKey).toEqual(HMAC_KEY);
    expect(HMAC_KEY).toHaveLength(128);
    expect(b.verify()).toBe(PASS);
    const short = bench(good, { evm: { hmacKey: HMAC_KEY.map((v, i) => (i === 127 ? 1 : v)) } });
    expect(short.verify()).toBe(FAIL);
  });
});
