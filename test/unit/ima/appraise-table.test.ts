import { describe, expect, it } from 'vitest';
import { concat, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import type { Err } from '../../../src/base/errno.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import {
  appraiseMeasurement,
  checkBlacklist,
  fixXattr,
  type Label,
  labelHashAlgo,
  readLabel,
} from '../../../src/ima/appraise.ts';
import * as C from '../../../src/ima/constants.ts';
import { NEW_IINT } from '../../../src/ima/iint.ts';
import { readModsig } from '../../../src/ima/modsig.ts';
import type { Modsig } from '../../../src/ima/template-lib.ts';
import type { Iint } from '../../../src/ima/types.ts';
import type { IntegrityKeys } from '../../../src/integrity/keyring-api.ts';
import type { IntegrityStatus } from '../../../src/integrity/status.ts';
import type { Superblock } from '../../../src/vfs/types.ts';
import { hashLabel, signatureLabel, World, type WorldOptions } from './world.ts';

const sha256 = (text: string): Uint8Array => crypto().hash('sha256', utf8(text));

describe('the algorithm that a label speaks of', () => {
  const sig = (type: number, version: number, algo: number): Uint8Array =>
    signatureLabel({ type, version, algo });
  const bytes = (type: number, length: number, ...rest: number[]): Uint8Array => {
    const out = new Uint8Array(length).fill(0xaa);
    out.set([type, ...rest]);
    return out;
  };

  it.each<[string, Uint8Array | null, string]>([
    ['no label', null, 'wp512'],
    ['nothing', new Uint8Array(0), 'wp512'],
    ['a type alone', Uint8Array.of(4), 'wp512'],
    ['type 4, sha512', bytes(4, 66, 6), 'sha512'],
    ['type 4, sha512, no digest', Uint8Array.of(4, 6), 'sha512'],
    ['type 4, md4', bytes(4, 18, 0), 'md4'],
    ['type 4, last number', bytes(4, 66, 22), 'sha3-512'],
    ['type 4, first number behind the last', bytes(4, 66, 23), 'wp512'],
    ['type 4, 255', bytes(4, 66, 255), 'wp512'],
    ['type 1 of 21 bytes', bytes(1, 21), 'sha1'],
    ['type 1 of 21 bytes, the last four zero', concat(bytes(1, 17), new Uint8Array(4)), 'md5'],
    ['type 1 of 21 bytes, three of them zero', concat(bytes(1, 18), new Uint8Array(3)), 'sha1'],
    ['type 1 of 21 bytes, the very last not zero', concat(bytes(1, 17), Uint8Array.of(0, 0, 0, 1)), 'sha1'],
    ['type 1 of 17 bytes', bytes(1, 17), 'md5'],
    ['type 1 of 20 bytes', bytes(1, 20), 'wp512'],
    ['type 1 of 22 bytes', concat(bytes(1, 18), new Uint8Array(4)), 'wp512'],
    ['type 3, version 2', sig(3, 2, 6), 'sha512'],
    ['type 3, version 1', sig(3, 1, 6), 'wp512'],
    ['type 3, version 3', sig(3, 3, 6), 'wp512'],
    ['type 3, unknown number', sig(3, 2, 23), 'wp512'],
    ['type 3, header only', sig(3, 2, 6).slice(0, 9), 'wp512'],
    ['type 3, one byte of signature', sig(3, 2, 6).slice(0, 10), 'sha512'],
    ['type 6, version 3', sig(6, 3, 6), 'sha512'],
    ['type 6, version 2', sig(6, 2, 6), 'wp512'],
    ['type 6, unknown number', sig(6, 3, 200), 'wp512'],
    ['type 2', bytes(2, 21, 6), 'wp512'],
    ['type 5', sig(5, 2, 6), 'wp512'],
    ['type 0', bytes(0, 21, 6), 'wp512'],
  ])('%s', (_what, value, alg) => {
    expect(labelHashAlgo(value, 'wp512')).toBe(alg);
  });
});

/** A world with a file of the content `one`, and what appraisal sees of it. */
class Bench {
  readonly w: World;
  readonly path;
  readonly file;

  constructor(options: WorldOptions = {}, at = '/mnt/a', content = 'one') {
    this.w = new World(options);
    this.w.write(at, content);
    const found = this.w.vfs.lookup(this.w.task(), at);
    if (!found.ok) throw new Error('no file');
    this.path = found.value;
    this.file = this.w.vfs.file(this.w.open(at));
  }

  iint(flags: number, rest: Partial<Iint> = {}): Iint {
    const hash = { alg: 'sha256', digest: sha256('one') };
    return { ...NEW_IINT, flags: flags >>> 0, hash, ...rest };
  }

  superblock(change: Partial<Superblock>): void {
    const { vfs } = this.w;
    const sb = vfs.superblock(vfs.inode(this.file.inode).sb);
    vfs.state = { ...vfs.state, superblocks: vfs.state.superblocks.set(sb.id, { ...sb, ...change }) };
  }

  appraise(
    iint: Iint,
    rest: {
      label?: Label;
      modsig?: Modsig | null;
      func?: number;
      fmode?: number;
      userspace?: boolean;
    } = {},
  ) {
    const { w, file } = this;
    const request = {
      task: w.task(),
      func: rest.func ?? C.FILE_CHECK,
      file: rest.fmode === undefined ? file : { ...file, fmode: rest.fmode },
      pathname: '/mnt/a',
      label: rest.label ?? { value: null, length: -61 },
      modsig: rest.modsig ?? null,
      userspace: rest.userspace ?? false,
    };
    return appraiseMeasurement(w.ima, request, iint);
  }

  /** `res=` and cause of the last appraisal record. */
  record(): string | undefined {
    const all = this.w.auditBodies().filter((b) => b.startsWith('1800 '));
    return all
      .at(-1)
      ?.replace(
        /^1800 .*op=appraise_data cause=(.*) comm="init" (name=.* dev="\w+" ino=\d+) res=(\d) errno=0$/,
        '$1 $3',
      );
  }

  seen() {
    return this.w.events('ima.appraise').at(-1);
  }
}

const labelled = (value: Uint8Array): { label: Label } => ({ label: { value, length: value.length } });
const evm = (status: IntegrityStatus): WorldOptions => ({ evm: { verifyXattr: () => status } });
const FMODE_CREATED = 0x100000;

const KEYS: Partial<IntegrityKeys> = {
  verifySignature: (keyring, keyid, _alg, _digest, sig): Err => {
    const text = String.fromCharCode(...sig);
    if (keyid !== 0x11223344) return 'ENOKEY';
    if (text === 'plat') return keyring === 'platform' ? 0 : 'ENOKEY';
    return text === 'good' ? 0 : 'EKEYREJECTED';
  },
  pkcs7Verify: (der, _data, keyring) => {
    const text = String.fromCharCode(...der);
    if (text === 'plat') return keyring === 'platform' ? 0 : 'ENOKEY';
    return text === 'good' ? 0 : 'EKEYREJECTED';
  },
};

const V = C.IMA_VERITY_REQUIRED;
const D = C.IMA_DIGSIG_REQUIRED;

describe('status, cause and reason of a verdict', () => {
  type Row = [
    what: string,
    flags: number,
    label: Uint8Array,
    status: IntegrityStatus,
    cause: string,
    reason: string,
  ];
  it.each<Row>([
    ['type 4, equal', 0, hashLabel('one'), 0, 'unknown', 'ima.appraise_pass'],
    ['type 4, other digest', 0, hashLabel('two'), 2, 'invalid-hash', 'ima.invalid_hash'],
    ['type 4, longer', 0, concat(hashLabel('one'), Uint8Array.of(9)), 0, 'unknown', 'ima.appraise_pass'],
    ['type 4, as short as its head', 0, hashLabel('one').slice(0, 2), 2, 'invalid-hash', 'ima.invalid_hash'],
    ['type 4, one byte short', 0, hashLabel('one').slice(0, 33), 2, 'invalid-hash', 'ima.invalid_hash'],
    ['type 4, exact length', 0, hashLabel('one').slice(0, 34), 0, 'unknown', 'ima.appraise_pass'],
    ['type 4 for D', D, hashLabel('one'), 2, 'IMA-signature-required', 'ima.signature_required'],
    ['type 4 for V', V, hashLabel('one'), 0, 'unknown', 'ima.appraise_pass'],
    [
      'type 4 for V and D',
      V | D,
      hashLabel('one'),
      2,
      'verity-signature-required',
      'ima.verity_signature_required',
    ],
    ['type 1 with the digest', 0, concat(Uint8Array.of(1), sha256('one')), 0, 'unknown', 'ima.appraise_pass'],
    [
      'type 1 with a number first',
      0,
      concat(Uint8Array.of(1, 4), sha256('one')),
      2,
      'invalid-hash',
      'ima.invalid_hash',
    ],
    ['type 3', 0, signatureLabel({}), 0, 'unknown', 'ima.appraise_pass'],
    ['type 3 for D', D, signatureLabel({}), 0, 'unknown', 'ima.appraise_pass'],
    ['type 3 for V', V, signatureLabel({}), 0, 'unknown', 'ima.appraise_pass'],
    [
      'type 3 for V and D',
      V | D,
      signatureLabel({}),
      2,
      'verity-signature-required',
      'ima.verity_signature_required',
    ],
    [
      'type 3, version 3',
      D,
      signatureLabel({ version: 3 }),
      2,
      'invalid-signature-version',
      'ima.signature_version',
    ],
    [
      'type 3, version 4',
      0,
      signatureLabel({ version: 4 }),
      2,
      'invalid-signature-version',
      'ima.signature_version',
    ],
    ['type 3, version 0', D, signatureLabel({ version: 0 }), 6, 'unknown', 'ima.signature_unsupported'],
    ['type 3, bad', D, signatureLabel({ sig: 'evil' }), 2, 'invalid-signature', 'ima.invalid_signature'],
    ['type 3 alone', D, Uint8Array.of(3), 2, 'invalid-signature', 'ima.invalid_signature'],
    ['type 6', 0, signatureLabel({ type: 6, version: 3 }), 0, 'unknown', 'ima.appraise_pass'],
    [
      'type 6 for D',
      D,
      signatureLabel({ type: 6, version: 3 }),
      2,
      'IMA-signature-required',
      'ima.signature_required',
    ],
    ['type 6 for V and D', V | D, signatureLabel({ type: 6, version: 3 }), 0, 'unknown', 'ima.appraise_pass'],
    ['type 6 for V', V, signatureLabel({ type: 6, version: 3 }), 0, 'unknown', 'ima.appraise_pass'],
    [
      'type 6, version 2',
      0,
      signatureLabel({ type: 6 }),
      2,
      'invalid-signature-version',
      'ima.signature_version',
    ],
    [
      'type 6, bad',
      V | D,
      signatureLabel({ type: 6, version: 3, sig: 'evil' }),
      2,
      'invalid-verity-signature',
      'ima.invalid_signature',
    ],
    ['type 2', 0, Uint8Array.of(2, 0), 6, 'unknown-ima-data', 'ima.unknown_data'],
    ['type 5', 0, signatureLabel({ type: 5 }), 6, 'unknown-ima-data', 'ima.unknown_data'],
  ])('%s', (_what, flags, label, status, cause, reason) => {
    const b = new Bench({ keys: KEYS });
    const out = b.appraise(b.iint(flags), labelled(label));
    expect([out.status, out.reason]).toEqual([status, reason]);
    expect(b.seen()).toMatchObject({ reason, data: { func: 'FILE_CHECK', status, cause } });
    expect(b.record()).toBe(status === 0 ? undefined : `${cause} 0`);
    expect(out.iint.fileStatus).toBe(status);
    expect((out.iint.flags & C.IMA_APPRAISED) !== 0).toBe(status === 0);
    const signed = [3, 6].includes(label[0] as number);
    expect((out.iint.atomicFlags & C.IMA_DIGSIG) !== 0).toBe(signed);
  });

  it('a hash takes the mark of a signature away, unless EVM vouches for it', () => {
    const marked = { atomicFlags: C.IMA_DIGSIG };
    const mark = (status: IntegrityStatus): number => {
      const b = new Bench(evm(status));
      return b.appraise(b.iint(0, marked), labelled(hashLabel('one'))).iint.atomicFlags & C.IMA_DIGSIG;
    };
    expect([mark(0), mark(6), mark(1)]).toEqual([0, 0, C.IMA_DIGSIG]);
  });

  it.each<[IntegrityStatus, number, IntegrityStatus, string, string]>([
    [0, 0, 0, 'unknown', 'ima.appraise_pass'],
    [0, D, 2, 'IMA-signature-required', 'ima.signature_required'],
    [1, D, 0, 'unknown', 'ima.appraise_pass'],
    [1, V | D, 0, 'unknown', 'ima.appraise_pass'],
    [2, 0, 2, 'invalid-HMAC', 'ima.evm_invalid'],
    [3, 0, 3, 'invalid-fail-immutable', 'ima.evm_invalid'],
    [4, 0, 4, 'missing-HMAC', 'ima.evm_missing'],
    [5, 0, 5, 'missing-HMAC', 'ima.evm_missing'],
    [6, 0, 0, 'unknown', 'ima.appraise_pass'],
  ])('EVM says %i, the rule wants %i', (said, flags, status, cause, reason) => {
    const b = new Bench(evm(said));
    const out = b.appraise(b.iint(flags), labelled(hashLabel('one')));
    expect([out.status, out.reason]).toEqual([status, reason]);
    expect(b.seen()?.data).toMatchObject({ cause });
    expect(b.record()).toBe(status === 0 ? undefined : `${cause} 0`);
    expect((out.iint.atomicFlags & C.IMA_DIGSIG) !== 0).toBe(said === 1 || said === 3);
  });

  it('EVM is asked about security.ima with the value that was read', () => {
    const asked: unknown[] = [];
    const verifyXattr = (
      _task: unknown,
      _path: unknown,
      inode: unknown,
      name: string,
      value: unknown,
    ): IntegrityStatus => {
      asked.push([inode, name, value]);
      return 6;
    };
    const b = new Bench({ evm: { verifyXattr } });
    const label = hashLabel('one');
    b.appraise(b.iint(0), labelled(label));
    expect(asked).toEqual([[b.file.inode, 'security.ima', label]]);
    b.appraise(b.iint(0));
    expect(asked).toHaveLength(1);
  });

  it.each<[string, number, number, string, string]>([
    ['nothing wanted', 0, 4, 'missing-hash', 'ima.missing_hash'],
    ['D', D, 4, 'IMA-signature-required', 'ima.signature_required'],
    ['V and D', V | D, 4, 'verity-signature-required', 'ima.verity_signature_required'],
    ['V', V, 4, 'missing-hash', 'ima.missing_hash'],
  ])('no label, %s', (_what, flags, status, cause, reason) => {
    const b = new Bench();
    const out = b.appraise(b.iint(flags));
    expect([out.status, out.reason, b.record()]).toEqual([status, reason, `${cause} 0`]);
    expect(out.iint.fileStatus).toBe(status);
  });

  it('a label of length 0 is none, another error than ENODATA is unknown', () => {
    const b = new Bench();
    expect(b.appraise(b.iint(0), { label: { value: null, length: 0 } }).status).toBe(4);
    expect(b.record()).toBe('missing-hash 1');
    const out = b.appraise(b.iint(0), { label: { value: null, length: -5 } });
    expect([out.status, out.reason, b.record()]).toEqual([6, 'ima.xattr_unreadable', 'unknown 0']);
  });

  it.each<[string, number, string, number, IntegrityStatus, string | undefined]>([
    ['created, no signature wanted', 0, 'one', FMODE_CREATED, 0, undefined],
    ['created, empty', D, '', FMODE_CREATED, 0, undefined],
    ['created, with data', D, 'one', FMODE_CREATED, 4, 'IMA-signature-required 0'],
    ['known as new, no signature wanted', C.IMA_NEW_FILE, 'one', 0, 0, undefined],
    ['known as new, empty', C.IMA_NEW_FILE | D, '', 0, 0, undefined],
    ['known as new, with data', C.IMA_NEW_FILE | D, 'one', 0, 4, 'IMA-signature-required 0'],
    ['old and empty', 0, '', 0, 4, 'missing-hash 0'],
  ])('a file without label: %s', (_what, flags, content, fmode, status, record) => {
    const b = new Bench({}, '/mnt/a', content);
    const out = b.appraise(b.iint(flags), { fmode });
    expect([out.status, b.record()]).toEqual([status, record]);
    expect((out.iint.flags & C.IMA_NEW_FILE) !== 0).toBe(fmode !== 0 || (flags & C.IMA_NEW_FILE) !== 0);
    if (status === 0) expect(out.reason).toBe('ima.new_file');
  });

  it.each<[string, number, string, number, IntegrityStatus]>([
    ['new, empty, signed', C.IMA_NEW_FILE, '', C.IMA_DIGSIG, 0],
    ['new, empty', C.IMA_NEW_FILE, '', 0, 2],
    ['new, signed', C.IMA_NEW_FILE, 'one', C.IMA_DIGSIG, 2],
    ['empty, signed', 0, '', C.IMA_DIGSIG, 2],
  ])('a file whose metadata fail: %s', (_what, flags, content, atomicFlags, status) => {
    const b = new Bench(evm(2), '/mnt/a', content);
    const out = b.appraise(b.iint(flags, { atomicFlags }), labelled(hashLabel(content)));
    expect(out.status).toBe(status);
    expect(b.record()).toBe('invalid-HMAC 0');
    expect(out.reason).toBe(status === 0 ? 'ima.new_empty_file' : 'ima.evm_invalid');
    expect(out.iint.flags & C.IMA_APPRAISED).toBe(0);
  });
});

describe('where nothing can be said', () => {
  it('without labels in the file system or in the build there is no record and nothing is remembered', () => {
    const fat = new Bench({}, '/fat/a');
    const none = new Bench({ config: { CONFIG_IMA_APPRAISE: 'n' } });
    for (const b of [fat, none]) {
      const iint = b.iint(0);
      const out = b.appraise(iint, labelled(hashLabel('one')));
      expect(out).toEqual({ status: 6, reason: 'ima.no_xattr_support', iint });
      expect([b.record(), b.seen()?.data, b.seen()?.reason]).toEqual([
        undefined,
        { status: 6 },
        'ima.no_xattr_support',
      ]);
    }
  });

  it.each<[string, Partial<Superblock>, number, IntegrityStatus]>([
    ['unverifiable', { unverifiable: true }, 0, 0],
    ['unverifiable, fail_securely', { unverifiable: true }, C.IMA_FAIL_UNVERIFIABLE_SIGS, 2],
    ['unverifiable, untrusted mounter', { unverifiable: true, untrustedMounter: true }, 0, 2],
    ['untrusted mounter', { untrustedMounter: true }, C.IMA_FAIL_UNVERIFIABLE_SIGS, 0],
  ])('a file system that is %s', (_what, sb, flags, status) => {
    const b = new Bench({ keys: KEYS });
    b.superblock(sb);
    const out = b.appraise(b.iint(flags), labelled(signatureLabel({})));
    expect(out.status).toBe(status);
    expect(b.record()).toBe(status === 0 ? undefined : 'unverifiable-signature 1');
    expect(out.iint).toMatchObject({ fileStatus: status });
    expect((out.iint.flags & C.IMA_APPRAISED) !== 0).toBe(status === 0);
    if (status !== 0) expect(out.reason).toBe('ima.unverifiable_signature');
  });

  it('is not excused by fix mode', () => {
    const b = new Bench({ cmdline: 'ima_appraise=fix' });
    b.superblock({ unverifiable: true, untrustedMounter: true });
    expect(b.appraise(b.iint(0)).status).toBe(2);
    expect(b.w.label('/mnt/a')).toBeNull();
  });
});

describe('the platform keyring', () => {
  const modsig: Modsig = { raw: latin1('plat'), data: utf8('x'), digest: null };
  it.each<[string, number, Record<string, string>, IntegrityStatus]>([
    ['serves kernel images', C.KEXEC_KERNEL_CHECK, {}, 0],
    ['serves no initramfs', C.KEXEC_INITRAMFS_CHECK, {}, 2],
    ['serves no file', C.FILE_CHECK, {}, 2],
    ['must be built', C.KEXEC_KERNEL_CHECK, { CONFIG_INTEGRITY_PLATFORM_KEYRING: 'n' }, 2],
  ])('%s', (_what, func, config, status) => {
    const b = new Bench({ keys: KEYS, config: { CONFIG_INTEGRITY_PLATFORM_KEYRING: 'y', ...config } });
    expect(b.appraise(b.iint(D), { func, ...labelled(signatureLabel({ sig: 'plat' })) }).status).toBe(status);
    expect(b.appraise(b.iint(C.IMA_MODSIG_ALLOWED), { func, modsig }).status).toBe(status);
  });
});

describe('keyrings that are asked', () => {
  /** Keyrings that were asked about a label or an appended signature, which verify nowhere or everywhere. */
  function asked(err: Err, func: number, label: Uint8Array | null): string[] {
    const rings: string[] = [];
    const keys: Partial<IntegrityKeys> = {
      verifySignature: (ring) => {
        rings.push(ring);
        return err;
      },
      pkcs7Verify: (_der, _data, ring) => {
        rings.push(ring);
        return err;
      },
    };
    const b = new Bench({ keys });
    const modsig: Modsig = { raw: latin1('x'), data: utf8('x'), digest: null };
    if (label !== null) b.appraise(b.iint(0), { func, ...labelled(label) });
    else b.appraise(b.iint(C.IMA_MODSIG_ALLOWED), { func, modsig });
    return rings;
  }

  it.each<[string, Err, number, Uint8Array | null, string[]]>([
    ['a signature of a file', 0, C.FILE_CHECK, signatureLabel({}), ['ima']],
    ['a bad signature of a file', 'ENOKEY', C.FILE_CHECK, signatureLabel({}), ['ima']],
    ['a signature of a kernel', 0, C.KEXEC_KERNEL_CHECK, signatureLabel({}), ['ima']],
    ['a bad signature of a kernel', 'ENOKEY', C.KEXEC_KERNEL_CHECK, signatureLabel({}), ['ima', 'platform']],
    [
      'an fs-verity signature',
      'ENOKEY',
      C.KEXEC_KERNEL_CHECK,
      signatureLabel({ type: 6, version: 3 }),
      ['ima'],
    ],
    ['an appended signature', 0, C.KEXEC_KERNEL_CHECK, null, ['ima']],
    ['a bad appended signature', 'ENOKEY', C.KEXEC_KERNEL_CHECK, null, ['ima', 'platform']],
    ['a bad appended signature of a module', 'ENOKEY', C.MODULE_CHECK, null, ['ima']],
  ])('%s', (_what, err, func, label, rings) => {
    expect(asked(err, func, label)).toEqual(rings);
  });
});

describe('appended signatures', () => {
  const modsig = (raw: string): Modsig => ({ raw: latin1(raw), data: utf8('x'), digest: null });
  const M = C.IMA_MODSIG_ALLOWED | D;

  it.each<[string, Uint8Array | null, string, IntegrityStatus, string, string]>([
    ['good, no label', null, 'good', 0, 'unknown', 'ima.modsig_verified'],
    ['bad, no label', null, 'evil', 2, 'invalid-signature', 'ima.invalid_signature'],
    ['good beside type 4', hashLabel('two'), 'good', 0, 'unknown', 'ima.modsig_verified'],
    ['bad beside type 4', hashLabel('one'), 'evil', 2, 'invalid-signature', 'ima.invalid_signature'],
    [
      'good beside type 1',
      hashLabel('one', 'sha1'),
      'good',
      2,
      'IMA-signature-required',
      'ima.signature_required',
    ],
    [
      'good beside a bad signature',
      signatureLabel({ sig: 'evil' }),
      'good',
      2,
      'invalid-signature',
      'ima.invalid_signature',
    ],
    ['bad beside a good signature', signatureLabel({}), 'evil', 0, 'unknown', 'ima.appraise_pass'],
    ['good beside an unknown key', signatureLabel({ keyid: 9 }), 'good', 0, 'unknown', 'ima.modsig_verified'],
    [
      'bad beside an unknown key',
      signatureLabel({ keyid: 9 }),
      'evil',
      2,
      'invalid-signature',
      'ima.invalid_signature',
    ],
    [
      'good beside type 6',
      signatureLabel({ type: 6, version: 3 }),
      'good',
      2,
      'IMA-signature-required',
      'ima.signature_required',
    ],
  ])('%s', (_what, label, raw, status, cause, reason) => {
    const b = new Bench({ keys: KEYS });
    const rest = label === null ? {} : labelled(label);
    const out = b.appraise(b.iint(M), { ...rest, modsig: modsig(raw), func: C.MODULE_CHECK });
    expect([out.status, out.reason, b.seen()?.data['cause']]).toEqual([status, reason, cause]);
    expect(out.iint.readStatus).toBe(status);
  });

  it('count only where the rule allows them', () => {
    const b = new Bench({ keys: KEYS });
    const out = b.appraise(b.iint(D), { modsig: modsig('good') });
    expect([out.status, out.reason]).toEqual([4, 'ima.signature_required']);
    expect(b.appraise(b.iint(M)).status).toBe(4);
  });

  it.each<[IntegrityStatus, IntegrityStatus]>([
    [5, 0],
    [4, 4],
    [2, 2],
    [3, 3],
    [0, 0],
    [6, 0],
  ])('EVM status %i is %i beside a good one', (said, status) => {
    const b = new Bench({ ...evm(said), keys: KEYS });
    expect(b.appraise(b.iint(M), { modsig: modsig('good') }).status).toBe(status);
  });

  it('make up for a file system without labels', () => {
    const b = new Bench({ keys: KEYS }, '/fat/a');
    const label = { value: null, length: 0 };
    expect(b.appraise(b.iint(M), { label, modsig: modsig('good') }).status).toBe(0);
    expect(b.appraise(b.iint(D), { label, modsig: modsig('good') }).status).toBe(6);
  });

  it('are not replaced by fix mode', () => {
    const b = new Bench({ keys: KEYS, cmdline: 'ima_appraise=fix' });
    expect(b.appraise(b.iint(M), { modsig: modsig('evil') }).status).toBe(2);
    expect(b.w.label('/mnt/a')).toBeNull();
  });
});

describe('finding an appended signature', () => {
  const MARK = '~Module signature appended~\n';
  const keys: Partial<IntegrityKeys> = {
    pkcs7Parse: (der) => (der.length > 0 ? 0 : 'EBADMSG'),
    pkcs7Digest: (_der, data) => ({
      ok: true,
      value: { alg: 'sha256', digest: crypto().hash('sha256', data) },
    }),
  };
  const trailer = (length: number, change: Record<number, number> = {}): Uint8Array => {
    const out = Uint8Array.of(
      0,
      0,
      2,
      0,
      0,
      0,
      0,
      0,
      length >>> 24,
      (length >> 16) & 255,
      (length >> 8) & 255,
      length & 255,
    );
    for (const [at, value] of Object.entries(change)) out[Number(at)] = value;
    return out;
  };
  const module = (data: string, sig: string, head = trailer(sig.length), mark = MARK): Uint8Array =>
    concat(utf8(data), utf8(sig), head, latin1(mark));
  const read = (buf: Uint8Array | null, options: WorldOptions = { keys }) =>
    readModsig(new World(options).ima, buf);

  it('takes data and signature apart', () => {
    const found = read(module('module', 'sig'));
    expect(found).toEqual({
      raw: utf8('sig'),
      data: utf8('module'),
      digest: { alg: 'sha256', digest: sha256('module') },
    });
    expect(read(module('m', 'x'.repeat(300)))?.raw).toHaveLength(300);
    expect(read(module('m', 'x'.repeat(70_000)))?.raw).toHaveLength(70_000);
  });

  it.each<[string, Uint8Array | null]>([
    ['no buffer', null],
    ['no mark', utf8('module')],
    ['a wrong mark', module('module', 'sig', trailer(3), MARK.replace('signature', 'Signature'))],
    ['a mark without its newline', module('module', 'sig', trailer(3), MARK.trimEnd())],
    ['a mark that is not at the end', concat(module('module', 'sig'), utf8(' '))],
    ['the mark alone', latin1(MARK)],
    ['trailer and mark alone', module('', '')],
    ['a signature of no bytes', module('module', '')],
    ['no data before the signature', module('', 'sig')],
    ['a length beyond the file', module('m', 'sig', trailer(100))],
    ['a length of a wrong byte order', module('m', 'sig', trailer(3 << 24))],
    ...[0, 1, 3, 4, 5, 6, 7].map((at): [string, Uint8Array] => [
      `byte ${at} of the trailer set`,
      module('module', 'sig', trailer(3, { [at]: 1 })),
    ]),
    ['an id type of no PKCS#7', module('module', 'sig', trailer(3, { 2: 1 }))],
  ])('finds none with %s', (_what, buf) => {
    expect(read(buf)).toBeNull();
  });

  it('finds none that the parser refuses, or where the build has no place for them', () => {
    expect(read(module('m', 'sig'), { keys: { ...keys, pkcs7Parse: () => 'EBADMSG' } })).toBeNull();
    expect(read(module('m', 'sig'), { keys, config: { CONFIG_IMA_APPRAISE_MODSIG: 'n' } })).toBeNull();
    expect(read(module('m', 's'))?.data).toEqual(utf8('m'));
  });

  it('keeps a signature whose digest cannot be computed', () => {
    const odd = { ...keys, pkcs7Digest: () => ({ ok: false, errno: 'ENOPKG' }) as const };
    expect(read(module('m', 'sig'), { keys: odd })).toMatchObject({ raw: utf8('sig'), digest: null });
  });
});

describe('fix mode', () => {
  const fixed = (b: Bench, flags: number, label?: Uint8Array): IntegrityStatus =>
    b.appraise(b.iint(flags), label === undefined ? {} : labelled(label)).status;
  const fix = (): Bench => new Bench({ cmdline: 'ima_appraise=fix', keys: KEYS });

  it.each<[string, number, Uint8Array | undefined, IntegrityStatus]>([
    ['no label', 0, undefined, 0],
    ['no label where a signature is wanted', D, undefined, 0],
    ['a wrong hash', 0, hashLabel('two'), 0],
    ['type 2', 0, Uint8Array.of(2, 2), 0],
    ['a bad type 6', 0, signatureLabel({ type: 6 }), 0],
    ['a bad type 3', D, signatureLabel({ sig: 'evil' }), 2],
  ])('%s', (_what, flags, label, status) => {
    const b = fix();
    expect(fixed(b, flags, label)).toBe(status);
    expect(b.w.label('/mnt/a')).toBe(status === 0 ? toHex(hashLabel('one')) : null);
    expect(b.w.events('ima.fix').map((e) => [e.reason, e.data])).toEqual(
      status === 0 ? [['ima.fixed', { alg: 'sha256' }]] : [],
    );
    expect(b.record()).toBeDefined();
  });

  it('does not touch what is right, and only runs in fix mode', () => {
    const b = fix();
    expect(fixed(b, 0, hashLabel('one'))).toBe(0);
    expect(b.w.label('/mnt/a')).toBeNull();
    const log = new Bench({ cmdline: 'ima_appraise=log' });
    expect(fixed(log, 0)).toBe(4);
    expect(log.w.label('/mnt/a')).toBeNull();
  });

  it('leaves the verdict where the label cannot be written', () => {
    const b = fix();
    b.superblock({ readonly: true });
    expect(fixed(b, 0)).toBe(4);
    expect(b.w.label('/mnt/a')).toBeNull();
    expect(b.w.events('ima.fix')).toEqual([]);
  });

  it('writes on a read-only file system in memory, and on an immutable file', () => {
    const tmp = new Bench({ cmdline: 'ima_appraise=fix' }, '/tmp/a');
    tmp.superblock({ readonly: true });
    expect(fixed(tmp, 0)).toBe(0);
    expect(tmp.w.label('/tmp/a')).toBe(toHex(hashLabel('one')));
    const b = fix();
    expect(b.w.vfs.setImmutable(b.w.task(), b.w.open('/mnt/a'), true)).toBe(0);
    expect(fixed(b, 0)).toBe(0);
  });

  it('tells EVM, and writes nothing without a digest', () => {
    const told: unknown[] = [];
    const b = new Bench({
      evm: {
        inodePostSetxattr: (_t: unknown, _p: unknown, key: unknown, name: string, value: Uint8Array) =>
          told.push([key, name, value]) as never,
      },
    });
    expect(fixXattr(b.w.ima, b.w.task(), b.path, b.file.inode, b.iint(0, { hash: null }))).toBe('EINVAL');
    expect(told).toEqual([]);
    expect(fixXattr(b.w.ima, b.w.task(), b.path, b.file.inode, b.iint(0))).toBe(0);
    expect(told).toEqual([[b.file.inode, 'security.ima', hashLabel('one')]]);
    const md5 = { alg: 'md5', digest: crypto().hash('md5', utf8('one')) };
    fixXattr(b.w.ima, b.w.task(), b.path, b.file.inode, b.iint(0, { hash: md5 }));
    expect(b.w.label('/mnt/a')).toBe(toHex(hashLabel('one', 'md5')));
  });
});

describe('reading the label', () => {
  it('gives the value, ENODATA, or nothing where there cannot be one', () => {
    const b = new Bench();
    expect(readLabel(b.w.ima, b.file.inode)).toEqual({ value: null, length: -61 });
    b.w.setLabel('/mnt/a', hashLabel('one'));
    expect(readLabel(b.w.ima, b.file.inode)).toEqual({ value: hashLabel('one'), length: 34 });
    const fat = new Bench({}, '/fat/a');
    expect(readLabel(fat.w.ima, fat.file.inode)).toEqual({ value: null, length: 0 });
    const none = new Bench({ config: { CONFIG_IMA_APPRAISE: 'n' } });
    none.w.setLabel('/mnt/a', hashLabel('one'));
    expect(readLabel(none.w.ima, none.file.inode)).toEqual({ value: null, length: 0 });
  });
});

describe('the blacklist', () => {
  const B = C.IMA_CHECK_BLACKLIST;
  const file = sha256('one');
  const modsig = (digest: Uint8Array | null): Modsig => ({
    raw: latin1('good'),
    data: utf8('x'),
    digest: digest === null ? null : { alg: 'sha256', digest },
  });

  it.each<[string, number, Modsig | null, Uint8Array | null]>([
    ['asks for nothing without the flag', D, null, null],
    ['asks for the file where a signature is wanted', B | D, null, file],
    ['asks for nothing where none is', B, null, null],
    ['asks for the signed part of a module', B | D | C.IMA_MODSIG_ALLOWED, modsig(utf8('d')), utf8('d')],
    ['asks for the file where the module has none', B | D | C.IMA_MODSIG_ALLOWED, null, file],
    ['asks for the file where the rule does not allow it', B | D, modsig(utf8('d')), file],
    ['asks for an empty digest where it is unknown', B | D | C.IMA_MODSIG_ALLOWED, modsig(null), utf8('')],
  ])('%s', (_what, flags, signature, wanted) => {
    const asked: Uint8Array[] = [];
    const isHashBlacklisted = (digest: Uint8Array): boolean => {
      asked.push(digest);
      return true;
    };
    const b = new Bench({ keys: { isHashBlacklisted } });
    expect(checkBlacklist(b.w.ima, b.w.task(), b.iint(flags), signature, 10)).toBe(wanted !== null);
    expect(asked).toEqual(wanted === null ? [] : [wanted]);
    expect(b.w.events('ima.blacklist').map((e) => e.reason)).toEqual(
      wanted === null ? [] : ['ima.blacklisted'],
    );
    expect(b.w.names).toEqual(['boot_aggregate']);
  });

  it('is not hit by what is not on it, nor by a file without a digest', () => {
    const b = new Bench({ keys: { isHashBlacklisted: () => false } });
    expect(checkBlacklist(b.w.ima, b.w.task(), b.iint(B | D), null, 10)).toBe(false);
    expect(b.w.events('ima.blacklist')).toEqual([]);
    const all = new Bench({ keys: { isHashBlacklisted: () => true } });
    expect(checkBlacklist(all.w.ima, all.w.task(), all.iint(B | D, { hash: null }), null, 10)).toBe(false);
  });

  it('leaves an entry where the file is measured: the digest of a module, nothing of a file', () => {
    const b = new Bench({ keys: { isHashBlacklisted: () => true } });
    b.w.policy('measure func=KEY_CHECK');
    const measured = B | D | C.IMA_MEASURE;
    checkBlacklist(b.w.ima, b.w.task(), b.iint(B | D), null, 12);
    expect(b.w.names).toEqual(['boot_aggregate']);
    checkBlacklist(b.w.ima, b.w.task(), b.iint(measured), null, 12);
    checkBlacklist(b.w.ima, b.w.task(), b.iint(measured | C.IMA_MODSIG_ALLOWED), modsig(utf8('d')), 11);
    const hash = (text: string): string => toHex(sha256(text));
    expect(b.w.list.slice(1).map((l) => l.replace(/[0-9a-f]{40}/, 'H'))).toEqual([
      `12 H ima-buf sha256:${hash('')} blacklisted-hash `,
      `11 H ima-buf sha256:${hash('d')} blacklisted-hash ${toHex(utf8('d'))}`,
    ]);
  });
});
