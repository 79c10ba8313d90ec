// The appraisal table, a row of the test for each of its rows (and each way into a row): what EVM said, the label, the rule,
// the mode, and what comes of it: errno, audit record, cached status and flags. Rows are numbered as the table is read, from
// the top; the first that fits decides.

import { describe, expect, it } from 'vitest';
import { concat, toHex, utf8 } from '../../../src/base/bytes.ts';
import type { Err } from '../../../src/base/errno.ts';
import * as C from '../../../src/ima/constants.ts';
import type { IntegrityKeys } from '../../../src/integrity/keyring-api.ts';
import * as S from '../../../src/integrity/status.ts';
import { O_CREAT, O_RDWR, O_WRONLY } from '../../../src/vfs/constants.ts';
import { hashLabel, signatureLabel, World, type WorldOptions } from './world.ts';

const HERE = 'func=FILE_CHECK fsname=ext4';
const ANY = `appraise ${HERE}`;
const SIGNED = `appraise ${HERE} appraise_type=imasig`;
const VERITY = `appraise ${HERE} digest_type=verity appraise_type=sigv3`;
const MODSIG = 'appraise func=MODULE_CHECK appraise_type=imasig|modsig';

/** Keys under which a signature verifies when its bytes say `good`. */
const KEYS: Partial<IntegrityKeys> = {
  verifySignature: (keyring, keyid, _alg, _digest, sig): Err => {
    const text = String.fromCharCode(...sig);
    if (text === 'odd') return 'EOPNOTSUPP';
    if (keyid !== 0x11223344) return 'ENOKEY';
    if (text === 'plat') return keyring === 'platform' ? 0 : 'ENOKEY';
    return text === 'good' ? 0 : 'EKEYREJECTED';
  },
  pkcs7Parse: () => 0,
  pkcs7Digest: () => ({ ok: true, value: { alg: 'sha256', digest: new Uint8Array(32) } }),
  pkcs7Verify: (der) => (String.fromCharCode(...der) === 'good' ? 0 : 'EKEYREJECTED'),
};

const module = (sig: string): Uint8Array =>
  concat(
    utf8(`module${sig}`),
    Uint8Array.of(0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, sig.length),
    utf8('~Module signature appended~\n'),
  );

interface Row {
  readonly label?: Uint8Array;
  readonly rule?: string;
  readonly options?: WorldOptions;
  /** Gives the file fs-verity first. */
  readonly verity?: boolean;
  readonly modsig?: string;
  readonly prepare?: (w: World) => void;
  readonly err: Err;
  /** Cause of the audit record; null where there is none. */
  readonly cause: string | null;
  readonly status: S.IntegrityStatus;
  /** The mark that keeps writers out. */
  readonly digsig?: boolean;
}

function appraise(row: Row): World {
  const w = new World({ keys: KEYS, ...row.options });
  w.write('/mnt/a', 'one');
  if (row.verity === true) {
    const f = w.open('/mnt/a');
    const arg = { algorithm: 1, blockSize: 4096, salt: new Uint8Array(0), signature: new Uint8Array(0) };
    expect(w.vfs.verityEnable(w.task(), f, arg)).toBe(0);
    w.close(f);
  }
  if (row.label !== undefined) expect(w.setLabel('/mnt/a', row.label)).toBe(0);
  w.policy(row.rule ?? ANY);
  row.prepare?.(w);
  return w;
}

const evmSays = (status: S.IntegrityStatus): WorldOptions => ({ evm: { verifyXattr: () => status } });

describe('the appraisal table', () => {
  it.each<[string, Row]>([
    [
      '2 the label cannot be read',
      {
        label: hashLabel('one'),
        prepare: (w) => w.fails('ima_read_xattr'),
        err: 'EACCES',
        cause: 'unknown',
        status: S.INTEGRITY_UNKNOWN,
      },
    ],
    ['3 no label', { err: 'EACCES', cause: 'missing-hash', status: S.INTEGRITY_NOLABEL }],
    [
      '3 no label, signature wanted',
      { rule: SIGNED, err: 'EACCES', cause: 'IMA-signature-required', status: S.INTEGRITY_NOLABEL },
    ],
    [
      '3 no label, fs-verity signature wanted',
      {
        rule: VERITY,
        verity: true,
        err: 'EACCES',
        cause: 'verity-signature-required',
        status: S.INTEGRITY_NOLABEL,
      },
    ],
    [
      '4 EVM: nothing protects the label',
      {
        label: hashLabel('one'),
        options: evmSays(S.INTEGRITY_NOLABEL),
        err: 'EACCES',
        cause: 'missing-HMAC',
        status: S.INTEGRITY_NOLABEL,
      },
    ],
    [
      '5 EVM: no attribute to protect',
      {
        label: hashLabel('one'),
        options: evmSays(S.INTEGRITY_NOXATTRS),
        err: 'EACCES',
        cause: 'missing-HMAC',
        status: S.INTEGRITY_NOXATTRS,
      },
    ],
    [
      '6 EVM: wrong HMAC',
      {
        label: hashLabel('one'),
        options: evmSays(S.INTEGRITY_FAIL),
        err: 'EACCES',
        cause: 'invalid-HMAC',
        status: S.INTEGRITY_FAIL,
      },
    ],
    [
      '6 EVM: wrong portable signature',
      {
        label: hashLabel('one'),
        options: evmSays(S.INTEGRITY_FAIL_IMMUTABLE),
        err: 'EACCES',
        cause: 'invalid-fail-immutable',
        status: S.INTEGRITY_FAIL_IMMUTABLE,
        digsig: true,
      },
    ],
    [
      '7 EVM passes',
      {
        label: hashLabel('one'),
        options: evmSays(S.INTEGRITY_PASS),
        err: 0,
        cause: null,
        status: S.INTEGRITY_PASS,
      },
    ],
    [
      '7 EVM passes, the hash is wrong',
      {
        label: hashLabel('two'),
        options: evmSays(S.INTEGRITY_PASS),
        err: 'EACCES',
        cause: 'invalid-hash',
        status: S.INTEGRITY_FAIL,
      },
    ],
    [
      '7 EVM does not know',
      {
        label: hashLabel('one'),
        options: evmSays(S.INTEGRITY_UNKNOWN),
        err: 0,
        cause: null,
        status: S.INTEGRITY_PASS,
      },
    ],
    [
      '8 hash where a signature is wanted',
      {
        label: hashLabel('one'),
        rule: SIGNED,
        err: 'EACCES',
        cause: 'IMA-signature-required',
        status: S.INTEGRITY_FAIL,
      },
    ],
    [
      '8 hash where an fs-verity signature is wanted',
      {
        label: hashLabel('one'),
        rule: VERITY,
        verity: true,
        err: 'EACCES',
        cause: 'verity-signature-required',
        status: S.INTEGRITY_FAIL,
      },
    ],
    ['9 hash', { label: hashLabel('one'), err: 0, cause: null, status: S.INTEGRITY_PASS }],
    [
      '9 hash, longer than the digest',
      { label: concat(hashLabel('one'), utf8('x')), err: 0, cause: null, status: S.INTEGRITY_PASS },
    ],
    [
      '9 hash, shorter than the digest',
      {
        label: hashLabel('one').slice(0, 33),
        err: 'EACCES',
        cause: 'invalid-hash',
        status: S.INTEGRITY_FAIL,
      },
    ],
    ['9 old form, sha1', { label: hashLabel('one', 'sha1'), err: 0, cause: null, status: S.INTEGRITY_PASS }],
    ['9 old form, md5', { label: hashLabel('one', 'md5'), err: 0, cause: null, status: S.INTEGRITY_PASS }],
    [
      '10 hash under a portable signature of EVM',
      {
        label: hashLabel('one'),
        rule: SIGNED,
        options: evmSays(S.INTEGRITY_PASS_IMMUTABLE),
        err: 0,
        cause: null,
        status: S.INTEGRITY_PASS,
        digsig: true,
      },
    ],
    [
      '11 file signature where fs-verity is wanted',
      {
        label: signatureLabel({}),
        rule: VERITY,
        verity: true,
        err: 'EACCES',
        cause: 'verity-signature-required',
        status: S.INTEGRITY_FAIL,
        digsig: true,
      },
    ],
    [
      '12 header of version 3',
      {
        label: signatureLabel({ version: 3 }),
        rule: SIGNED,
        err: 'EACCES',
        cause: 'invalid-signature-version',
        status: S.INTEGRITY_FAIL,
        digsig: true,
      },
    ],
    [
      '13 signature',
      {
        label: signatureLabel({}),
        rule: SIGNED,
        err: 0,
        cause: null,
        status: S.INTEGRITY_PASS,
        digsig: true,
      },
    ],
    [
      '13 signature, wrong',
      {
        label: signatureLabel({ sig: 'evil' }),
        rule: SIGNED,
        err: 'EACCES',
        cause: 'invalid-signature',
        status: S.INTEGRITY_FAIL,
        digsig: true,
      },
    ],
    [
      '13 signature, unknown key',
      {
        label: signatureLabel({ keyid: 1 }),
        rule: SIGNED,
        err: 'EACCES',
        cause: 'invalid-signature',
        status: S.INTEGRITY_FAIL,
        digsig: true,
      },
    ],
    [
      '13 signature, key of .platform',
      {
        label: signatureLabel({ sig: 'plat' }),
        rule: SIGNED,
        err: 'EACCES',
        cause: 'invalid-signature',
        status: S.INTEGRITY_FAIL,
        digsig: true,
      },
    ],
    [
      '13 signature, not supported',
      {
        label: signatureLabel({ sig: 'odd' }),
        rule: SIGNED,
        err: 'EACCES',
        cause: 'unknown',
        status: S.INTEGRITY_UNKNOWN,
        digsig: true,
      },
    ],
    [
      '14 fs-verity signature where a file signature is wanted',
      {
        label: signatureLabel({ type: 6, version: 3 }),
        rule: SIGNED,
        err: 'EACCES',
        cause: 'IMA-signature-required',
        status: S.INTEGRITY_FAIL,
        digsig: true,
      },
    ],
    [
      '15 fs-verity signature, version 2',
      {
        label: signatureLabel({ type: 6 }),
        err: 'EACCES',
        cause: 'invalid-signature-version',
        status: S.INTEGRITY_FAIL,
        digsig: true,
      },
    ],
    [
      '16 fs-verity signature',
      {
        label: signatureLabel({ type: 6, version: 3 }),
        rule: VERITY,
        verity: true,
        err: 0,
        cause: null,
        status: S.INTEGRITY_PASS,
        digsig: true,
      },
    ],
    [
      '16 fs-verity signature, wrong',
      {
        label: signatureLabel({ type: 6, version: 3, sig: 'evil' }),
        rule: VERITY,
        verity: true,
        err: 'EACCES',
        cause: 'invalid-verity-signature',
        status: S.INTEGRITY_FAIL,
        digsig: true,
      },
    ],
    [
      '17 other type bytes',
      {
        label: concat(Uint8Array.of(2), utf8('x')),
        err: 'EACCES',
        cause: 'unknown-ima-data',
        status: S.INTEGRITY_UNKNOWN,
      },
    ],
  ])('%s', (_name, row) => {
    const w = appraise(row);
    expect(w.read('/mnt/a')).toBe(row.err);
    expect(w.causes().at(-1)).toBe(row.cause === null ? undefined : `appraise_data ${row.cause}`);
    const iint = w.iint('/mnt/a');
    expect(iint?.fileStatus).toBe(row.status);
    expect(((iint?.atomicFlags ?? 0) & C.IMA_DIGSIG) !== 0).toBe(row.digsig ?? false);
    const cached = ((iint?.flags ?? 0) & C.IMA_FILE_APPRAISED) !== 0;
    // 22: only a pass is remembered as one; everything else is looked at again.
    expect(cached).toBe(row.status === S.INTEGRITY_PASS);
  });

  it('1 a file system without labels: no record, nothing remembered', () => {
    const w = new World({ keys: KEYS });
    w.write('/fat/a', 'x');
    w.policy('appraise func=FILE_CHECK fsname=vfat');
    expect([w.read('/fat/a'), w.causes(), w.iint('/fat/a')?.fileStatus]).toEqual([
      'EACCES',
      [],
      S.INTEGRITY_UNKNOWN,
    ]);
  });

  it('1 not with an appended signature, which needs no label', () => {
    const w = new World({ keys: KEYS });
    w.write('/fat/a', 'x');
    w.policy(MODSIG);
    const f = w.open('/fat/a');
    expect(w.ima.kernelPostReadFile(w.task(), f, 'module', module('good'))).toBe(0);
    w.close(f);
    expect(w.iint('/fat/a')?.readStatus).toBe(S.INTEGRITY_PASS);
  });

  it('3 a new file without label passes; the verdict of its first open holds until its last writer closes', () => {
    for (const [rule, later] of [
      [ANY, 0],
      [SIGNED, 'EACCES'],
    ] as const) {
      const w = appraise({ rule, err: 0, cause: null, status: 0 });
      const f = w.open('/mnt/new', O_CREAT | O_RDWR);
      expect(w.read('/mnt/new')).toBe(0);
      w.vfs.write(w.task(), f, utf8('text'));
      expect(w.read('/mnt/new')).toBe(0);
      w.close(f);
      // The hash is written at the last close, which is no signature.
      expect(w.label('/mnt/new')).toBe(toHex(hashLabel('text')));
      expect([rule, w.read('/mnt/new')]).toEqual([rule, later]);
    }
  });

  it('5 not with an appended signature to try', () => {
    const w = appraise({
      rule: MODSIG,
      options: evmSays(S.INTEGRITY_NOXATTRS),
      err: 0,
      cause: null,
      status: 0,
    });
    const f = w.open('/mnt/a');
    expect(w.ima.kernelPostReadFile(w.task(), f, 'module', module('good'))).toBe(0);
    expect(w.ima.kernelPostReadFile(w.task(), f, 'module', utf8('module'))).toBe(0);
    w.close(f);
  });

  it('13 the platform keyring counts for kernel images only', () => {
    for (const [id, func, err] of [
      ['kexec-image', 'KEXEC_KERNEL_CHECK', 0],
      ['kexec-initramfs', 'KEXEC_INITRAMFS_CHECK', 'EACCES'],
      ['module', 'MODULE_CHECK', 'EACCES'],
    ] as const) {
      const rule = `appraise func=${func} appraise_type=imasig`;
      const w = appraise({ rule, label: signatureLabel({ sig: 'plat' }), err: 0, cause: null, status: 0 });
      const f = w.open('/mnt/a');
      expect([id, w.ima.kernelPostReadFile(w.task(), f, id, utf8('one'))]).toEqual([id, err]);
      w.close(f);
    }
  });

  it.each<[string, Uint8Array | undefined, string, Err]>([
    ['no label', undefined, 'good', 0],
    ['no label', undefined, 'evil', 'EACCES'],
    ['a wrong hash', hashLabel('zzz'), 'good', 0],
    ['a hash of the old form', hashLabel('zzz', 'sha1'), 'good', 'EACCES'],
    ['a signature of an unknown key', signatureLabel({ keyid: 1 }), 'good', 0],
    ['a bad signature', signatureLabel({ sig: 'evil' }), 'good', 'EACCES'],
    ['a good signature', signatureLabel({}), 'evil', 0],
  ])('18 beside %s, an appended signature that is %s', (_what, label, sig, err) => {
    const w = appraise({
      rule: MODSIG,
      ...(label === undefined ? {} : { label }),
      err,
      cause: null,
      status: 0,
    });
    const f = w.open('/mnt/a');
    expect(w.ima.kernelPostReadFile(w.task(), f, 'module', module(sig))).toBe(err);
    w.close(f);
  });

  it.each([
    ['a mounter that is trusted', false, '', 0],
    ['a mounter that is trusted, fail_securely', false, 'ima_policy=fail_securely', 'EACCES'],
    ['a mounter that is not', true, '', 'EACCES'],
  ] as const)(
    '19 a file system that cannot be relied on, with %s',
    (_who, untrustedMounter, cmdline, err) => {
      const w = appraise({ label: hashLabel('one'), options: { cmdline }, err, cause: null, status: 0 });
      const sb = [...w.vfs.state.superblocks.values()].find((s) => s.type === 'ext4');
      if (sb === undefined) throw new Error('no disk');
      const odd = { ...sb, unverifiable: true, untrustedMounter };
      w.vfs.state = { ...w.vfs.state, superblocks: w.vfs.state.superblocks.set(sb.id, odd) };
      expect(w.read('/mnt/a')).toBe(err);
      expect(w.causes().at(-1)).toBe(err === 0 ? undefined : 'appraise_data unverifiable-signature');
    },
  );

  it.each<[string, Uint8Array | undefined, string, boolean]>([
    ['no label', undefined, ANY, true],
    ['a wrong hash', hashLabel('two'), ANY, true],
    ['a hash where a signature is wanted', hashLabel('two'), SIGNED, true],
    ['a wrong fs-verity signature', signatureLabel({ type: 6, version: 3, sig: 'evil' }), ANY, true],
    ['a wrong signature', signatureLabel({ sig: 'evil' }), ANY, false],
  ])('20 fix mode: %s', (_what, label, rule, written) => {
    const row: Row = { rule, options: { cmdline: 'ima_appraise=fix' }, err: 0, cause: null, status: 0 };
    const w = appraise(label === undefined ? row : { ...row, label });
    expect(w.read('/mnt/a')).toBe(0);
    const kept = label === undefined ? null : toHex(label);
    expect(w.label('/mnt/a')).toBe(written ? toHex(hashLabel('one')) : kept);
    expect(w.iint('/mnt/a')?.fileStatus).toBe(written ? S.INTEGRITY_PASS : S.INTEGRITY_FAIL);
  });

  it('21 an empty new file may have a signature before it has its content', () => {
    const w = appraise({ rule: SIGNED, err: 0, cause: null, status: 0 });
    const f = w.open('/mnt/new', O_CREAT | O_WRONLY);
    w.setLabel('/mnt/new', signatureLabel({ sig: 'evil' }));
    expect(w.read('/mnt/new')).toBe(0);
    w.vfs.write(w.task(), f, utf8('text'));
    w.setLabel('/mnt/new', signatureLabel({ sig: 'evil' }));
    expect(w.read('/mnt/new')).toBe('EACCES');
    w.close(f);
  });
});
