import { describe, expect, it } from 'vitest';
import { concat, fromHex, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import type { Err } from '../../../src/base/errno.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import * as C from '../../../src/ima/constants.ts';
import type { IntegrityKeys } from '../../../src/integrity/keyring-api.ts';
import type { IntegrityStatus } from '../../../src/integrity/status.ts';
import { O_CREAT, O_DIRECT, O_RDONLY, O_RDWR, O_WRONLY, S_IFREG } from '../../../src/vfs/constants.ts';
import { hashLabel, signatureLabel, World, type WorldOptions } from './world.ts';

const HERE = 'fsname=ext4';
const SIGNED = `appraise func=FILE_CHECK appraise_type=imasig ${HERE}`;
const ANY = `appraise func=FILE_CHECK ${HERE}`;

/** Keys under which a signature verifies when its bytes say `good`. */
const KEYS: Partial<IntegrityKeys> = {
  verifySignature: (keyring, keyid, _alg, _digest, sig): Err => {
    if (keyid !== 0x11223344) return 'ENOKEY';
    const text = String.fromCharCode(...sig);
    if (text === 'plat') return keyring === 'platform' ? 0 : 'ENOKEY';
    return text === 'good' ? 0 : 'EKEYREJECTED';
  },
};

function world(rules: readonly string[], options: WorldOptions = {}): World {
  const w = new World({ keys: KEYS, ...options });
  w.write('/mnt/a', 'one');
  w.policy(...rules);
  return w;
}

const last = (w: World): string | undefined => w.causes().at(-1);

describe('labels against the table', () => {
  const sha256 = crypto().hash('sha256', utf8('one'));
  it.each<[string, Uint8Array | null, string, Err, string | undefined]>([
    ['no label', null, ANY, 'EACCES', 'appraise_data missing-hash'],
    ['no label, signature wanted', null, SIGNED, 'EACCES', 'appraise_data IMA-signature-required'],
    ['hash', hashLabel('one'), ANY, 0, undefined],
    ['old form of sha1', hashLabel('one', 'sha1'), ANY, 0, undefined],
    ['old form of md5', hashLabel('one', 'md5'), ANY, 0, undefined],
    ['md5 padded to 20 bytes', concat(hashLabel('one', 'md5'), new Uint8Array(4)), ANY, 0, undefined],
    ['other hash', hashLabel('two'), ANY, 'EACCES', 'appraise_data invalid-hash'],
    ['longer than the digest', concat(hashLabel('one'), utf8('tail')), ANY, 0, undefined],
    ['shorter than the digest', hashLabel('one').slice(0, 30), ANY, 'EACCES', 'appraise_data invalid-hash'],
    ['type 4 alone', Uint8Array.of(4), ANY, 'EACCES', 'appraise_data invalid-hash'],
    ['type 4, unknown algorithm', concat(Uint8Array.of(4, 99), sha256), ANY, 0, undefined],
    [
      'hash where a signature is wanted',
      hashLabel('one'),
      SIGNED,
      'EACCES',
      'appraise_data IMA-signature-required',
    ],
    ['signature', signatureLabel({}), SIGNED, 0, undefined],
    ['signature where any label will do', signatureLabel({}), ANY, 0, undefined],
    ['bad signature', signatureLabel({ sig: 'evil' }), SIGNED, 'EACCES', 'appraise_data invalid-signature'],
    ['unknown key', signatureLabel({ keyid: 5 }), SIGNED, 'EACCES', 'appraise_data invalid-signature'],
    [
      'key of the platform keyring',
      signatureLabel({ sig: 'plat' }),
      SIGNED,
      'EACCES',
      'appraise_data invalid-signature',
    ],
    [
      'version 3',
      signatureLabel({ version: 3 }),
      SIGNED,
      'EACCES',
      'appraise_data invalid-signature-version',
    ],
    ['version 1', signatureLabel({ version: 1 }), SIGNED, 'EACCES', 'appraise_data invalid-signature'],
    ['version 0', signatureLabel({ version: 0 }), SIGNED, 'EACCES', 'appraise_data unknown'],
    [
      'wrong length',
      concat(signatureLabel({}), utf8('x')),
      SIGNED,
      'EACCES',
      'appraise_data invalid-signature',
    ],
    ['header only', signatureLabel({}).slice(0, 9), SIGNED, 'EACCES', 'appraise_data invalid-signature'],
    ['type 3 alone', Uint8Array.of(3), SIGNED, 'EACCES', 'appraise_data invalid-signature'],
    [
      'type 6 for a file',
      signatureLabel({ type: 6, version: 3 }),
      SIGNED,
      'EACCES',
      'appraise_data IMA-signature-required',
    ],
    [
      'type 6, version 2',
      signatureLabel({ type: 6 }),
      ANY,
      'EACCES',
      'appraise_data invalid-signature-version',
    ],
    [
      'type 6, bad',
      signatureLabel({ type: 6, version: 3, sig: 'evil' }),
      ANY,
      'EACCES',
      'appraise_data invalid-verity-signature',
    ],
    ['type 6, good', signatureLabel({ type: 6, version: 3 }), ANY, 0, undefined],
    ['type 2', concat(Uint8Array.of(2), sha256), ANY, 'EACCES', 'appraise_data unknown-ima-data'],
    ['type 5', signatureLabel({ type: 5 }), ANY, 'EACCES', 'appraise_data unknown-ima-data'],
    ['type 0', Uint8Array.of(0, 1, 2), ANY, 'EACCES', 'appraise_data unknown-ima-data'],
  ])('%s', (_what, label, rule, err, cause) => {
    const w = world([rule]);
    if (label !== null) expect(w.setLabel('/mnt/a', label)).toBe(0);
    expect(w.read('/mnt/a')).toBe(err);
    expect(last(w)).toBe(cause);
    const log = world([rule], { cmdline: 'ima_appraise=log' });
    if (label !== null) log.setLabel('/mnt/a', label);
    expect([log.read('/mnt/a'), last(log)]).toEqual([0, cause]);
  });

  it('asks the platform keyring for kernel images', () => {
    const w = world(['appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig']);
    w.setLabel('/mnt/a', signatureLabel({ sig: 'plat' }));
    const f = w.open('/mnt/a');
    expect(w.ima.kernelPostReadFile(w.task(), f, 'kexec-image', utf8('one'))).toBe(0);
    w.close(f);
  });

  it('is cached for each hook, and a change of the label or the mode voids it', () => {
    const w = world([ANY, `appraise func=BPRM_CHECK ${HERE}`]);
    w.setLabel('/mnt/a', hashLabel('one'));
    const f = w.open('/mnt/a');
    const next = w.task().cred;
    expect(w.ima.bprmCheck(w.task(), f, next)).toBe(0);
    expect(w.iint('/mnt/a')).toMatchObject({ fileStatus: 0, bprmStatus: 0, mmapStatus: 6 });
    w.setLabel('/mnt/a', hashLabel('two'));
    expect(w.ima.bprmCheck(w.task(), f, next)).toBe('EACCES');
    w.setLabel('/mnt/a', hashLabel('one'));
    expect(w.ima.bprmCheck(w.task(), f, next)).toBe(0);
    w.vfs.chmod(w.task(), '/mnt/a', 0o600);
    w.read('/mnt/a');
    expect(w.reasons).toContain('ima.change_attr');
    w.close(f);
  });

  it('keeps a failure without asking again about the content', () => {
    const w = world([ANY]);
    expect([w.read('/mnt/a'), w.read('/mnt/a')]).toEqual(['EACCES', 'EACCES']);
    expect(w.causes()).toEqual(['appraise_data missing-hash', 'appraise_data missing-hash']);
    expect(w.reasons).toContain('ima.collected_before');
  });
});

describe('EVM decides first', () => {
  it.each<[IntegrityStatus, string, Err, string | undefined]>([
    [0, ANY, 0, undefined],
    [1, ANY, 0, undefined],
    [1, SIGNED, 0, undefined],
    [2, ANY, 'EACCES', 'appraise_data invalid-HMAC'],
    [3, ANY, 'EACCES', 'appraise_data invalid-fail-immutable'],
    [4, ANY, 'EACCES', 'appraise_data missing-HMAC'],
    [5, ANY, 'EACCES', 'appraise_data missing-HMAC'],
    [6, ANY, 0, undefined],
  ])('status %i under %s', (status, rule, err, cause) => {
    const w = world([rule], { evm: { verifyXattr: () => status } });
    w.setLabel('/mnt/a', hashLabel('one'));
    expect([w.read('/mnt/a'), last(w)]).toEqual([err, cause]);
    const signed = ((w.iint('/mnt/a')?.atomicFlags ?? 0) & C.IMA_DIGSIG) !== 0;
    expect(signed).toBe(status === 1 || status === 3);
  });
});

describe('writers', () => {
  it('renew the hash when the last one goes, with the algorithm of ima_hash', () => {
    const w = world([ANY]);
    w.setLabel('/mnt/a', hashLabel('one', 'sha512', 6));
    expect(w.write('/mnt/a', 'two', w.task(), O_WRONLY)).toBe(0);
    expect(w.label('/mnt/a')).toBe(toHex(hashLabel('two')));
    expect(w.read('/mnt/a')).toBe(0);
    expect(w.reasons).toContain('ima.label_updated');
  });

  it('may create files, read them before they have a label, and label them at the end', () => {
    const w = world([ANY]);
    const f = w.open('/mnt/new', O_CREAT | O_RDWR);
    w.vfs.write(w.task(), f, utf8('x'));
    expect(w.read('/mnt/new')).toBe(0);
    w.close(f);
    expect(w.label('/mnt/new')).toBe(toHex(hashLabel('x')));
    expect(w.vfs.mknod(w.task(), '/mnt/node', S_IFREG | 0o644, 0)).toBe(0);
    expect(w.read('/mnt/node')).toBe(0);
    expect(w.reasons).toContain('ima.marked_new');
  });

  it('cannot open signed files, unless they are new', () => {
    const w = world([ANY]);
    w.setLabel('/mnt/a', signatureLabel({}));
    expect(w.read('/mnt/a', w.task(), O_WRONLY)).toBe('EACCES');
    expect(w.causes()).toEqual([]);
    expect(w.reasons).toContain('ima.signed_immutable');
    const f = w.open('/mnt/new', O_CREAT | O_WRONLY);
    w.setLabel('/mnt/new', signatureLabel({}));
    expect(w.read('/mnt/new', w.task(), O_WRONLY)).toBe(0);
    w.close(f);
    expect(w.label('/mnt/new')).toBe(toHex(signatureLabel({})));
  });

  it('keep the label where the file never passed', () => {
    const w = world([ANY], { cmdline: 'ima_appraise=log' });
    w.setLabel('/mnt/a', hashLabel('other'));
    w.write('/mnt/a', 'two', w.task(), O_WRONLY);
    expect(w.label('/mnt/a')).toBe(toHex(hashLabel('other')));
    expect(w.reasons).toContain('ima.label_kept');
  });

  it('of a file without a name label it, too', () => {
    const w = world([ANY]);
    const f = w.open('/mnt', 0o20200000 | O_RDWR);
    w.vfs.write(w.task(), f, utf8('tmp'));
    const key = w.vfs.file(f).inode;
    expect(w.ima.state.iint.get(key)?.atomicFlags).toBe(C.IMA_UPDATE_XATTR);
    expect(w.reasons).toContain('ima.marked_tmpfile');
    w.close(f);
  });

  it('lose the new file by a chmod on old kernels', () => {
    for (const newFileSurvivesSetattr of [true, false]) {
      const w = new World({ switches: { newFileSurvivesSetattr } });
      w.policy(ANY);
      const f = w.open('/mnt/new', O_CREAT | O_WRONLY);
      w.vfs.chmod(w.task(), '/mnt/new', 0o600);
      expect(w.read('/mnt/new')).toBe(newFileSurvivesSetattr ? 0 : 'EACCES');
      w.close(f);
    }
  });
});

describe('fix mode', () => {
  const fix = (rule: string, label: Uint8Array | null): World => {
    const w = world([rule], { cmdline: 'ima_appraise=fix' });
    if (label !== null) w.setLabel('/mnt/a', label);
    expect(w.read('/mnt/a')).toBe(0);
    return w;
  };

  it('writes a hash where there is none or a wrong one, also where a signature is wanted', () => {
    expect(fix(ANY, null).label('/mnt/a')).toBe(toHex(hashLabel('one')));
    expect(fix(ANY, hashLabel('two', 'sha512', 6)).label('/mnt/a')).toBe(
      toHex(hashLabel('one', 'sha512', 6)),
    );
    expect(fix(SIGNED, hashLabel('one')).label('/mnt/a')).toBe(toHex(hashLabel('one')));
    expect(fix(ANY, signatureLabel({ type: 6 })).label('/mnt/a')).toBe(toHex(hashLabel('one')));
  });

  it('leaves signatures alone', () => {
    const label = signatureLabel({ sig: 'evil' });
    expect(fix(SIGNED, label).label('/mnt/a')).toBe(toHex(label));
  });

  it('writes the old form for sha1', () => {
    const w = world([ANY], { cmdline: 'ima_appraise=fix ima_hash=sha1' });
    w.read('/mnt/a');
    expect(w.label('/mnt/a')).toBe(toHex(hashLabel('one', 'sha1')));
  });
});

describe('options of rules', () => {
  it('appraise_algos looks at what passed', () => {
    const w = world([`appraise func=FILE_CHECK appraise_algos=sha512 ${HERE}`]);
    w.setLabel('/mnt/a', hashLabel('one'));
    expect([w.read('/mnt/a'), last(w)]).toEqual(['EACCES', 'collect_data denied-hash-algorithm']);
    w.setLabel('/mnt/a', hashLabel('one', 'sha512', 6));
    expect(w.read('/mnt/a')).toBe(0);
  });

  it('permit_directio forgives any label to an unbuffered open', () => {
    const w = world([`appraise func=FILE_CHECK permit_directio ${HERE}`]);
    expect(w.read('/mnt/a', w.task(), O_RDONLY | O_DIRECT)).toBe(0);
    expect(w.read('/mnt/a')).toBe('EACCES');
    const plain = world([ANY]);
    expect(plain.read('/mnt/a', plain.task(), O_RDONLY | O_DIRECT)).toBe('EACCES');
  });

  it('an fs-verity digest is wanted where a rule says so', () => {
    const w = world([`appraise func=FILE_CHECK digest_type=verity appraise_type=sigv3 ${HERE}`]);
    w.setLabel('/mnt/a', signatureLabel({ type: 6, version: 3 }));
    expect([w.read('/mnt/a'), last(w)]).toEqual(['EACCES', 'collect_data no-verity-digest']);
    expect(w.reasons).toContain('ima.collect_failed');
  });

  it('a blacklisted digest is refused and recorded', () => {
    const keys = { ...KEYS, isHashBlacklisted: () => true };
    const w = world([`measure func=FILE_CHECK ${HERE}`, SIGNED], { keys });
    w.setLabel('/mnt/a', signatureLabel({}));
    expect(w.read('/mnt/a')).toBe('EACCES');
    expect(w.names.slice(1)).toEqual(['/mnt/a', 'blacklisted-hash']);
    expect(w.list[2]).toMatch(/ ima-buf sha256:e3b0c44298fc1c14[0-9a-f]+ blacklisted-hash $/);
    expect(w.causes()).toEqual([]);
  });

  it('func-less rules appraise at every hook with one verdict', () => {
    const w = world([`appraise ${HERE}`]);
    w.setLabel('/mnt/a', hashLabel('one'));
    const f = w.open('/mnt/a');
    expect(w.ima.bprmCheck(w.task(), f, w.task().cred)).toBe(0);
    expect(w.iint('/mnt/a')).toMatchObject({ fileStatus: 0, bprmStatus: 6 });
    w.close(f);
  });
});

describe('file systems', () => {
  it('without labels are refused without a record', () => {
    const w = new World();
    w.write('/fat/a', 'x');
    w.policy('appraise func=FILE_CHECK fsname=vfat');
    expect([w.read('/fat/a'), w.causes()]).toEqual(['EACCES', []]);
  });

  it('that cannot be relied on fail in spite of a good label', () => {
    const w = new World({ keys: KEYS });
    const { state } = w.vfs;
    const fuse = (untrustedMounter: boolean): void => {
      const sb = [...state.superblocks.values()].find((s) => s.type === 'ext4');
      if (sb === undefined) throw new Error('no disk');
      const odd = { ...sb, unverifiable: true, untrustedMounter };
      w.vfs.state = { ...w.vfs.state, superblocks: w.vfs.state.superblocks.set(sb.id, odd) };
    };
    w.write('/mnt/a', 'one');
    w.policy(ANY);
    w.setLabel('/mnt/a', hashLabel('one'));
    fuse(false);
    expect([w.read('/mnt/a'), w.read('/mnt/a')]).toEqual([0, 0]);
    expect(w.events('ima.forget').map((e) => e.reason)).toContain('ima.unverifiable_fs');
    fuse(true);
    w.setLabel('/mnt/a', hashLabel('one'));
    expect(w.read('/mnt/a')).toBe('EACCES');
    expect(w.auditBodies().at(-1)).toMatch(/cause=unverifiable-signature .* res=1 errno=0$/);
  });
});

describe('setting and removing labels', () => {
  it('needs CAP_SYS_ADMIN, a type, and an algorithm the kernel has', () => {
    const w = world([ANY]);
    const set = (value: Uint8Array, task = w.task()): Err => w.setLabel('/mnt/a', value, task);
    expect(set(latin1(''))).toBe('EINVAL');
    expect(set(Uint8Array.of(7))).toBe('EINVAL');
    expect(set(Uint8Array.of(4, 0, 1))).toBe('EACCES');
    expect(last(w)).toBe('set_data unavailable-hash-algorithm');
    expect(w.auditBodies().at(-1)).toContain('name="/a" dev="vdc"');
    expect(set(Uint8Array.of(4, 99, 1))).toBe(0);
    const path = w.vfs.lookup(w.task(), '/mnt/a');
    if (!path.ok) throw new Error('no file');
    const key = w.vfs.inodeOf(path.value).key;
    expect(w.ima.inodeSetxattr(w.user(5), path.value, key, 'security.ima', hashLabel('x'))).toBe('EPERM');
    expect(w.ima.inodeRemovexattr(w.user(5), path.value, key, 'security.ima')).toBe('EPERM');
    expect(w.vfs.removexattr(w.task(), '/mnt/a', 'security.ima')).toBe(0);
  });

  it('follows SETXATTR_CHECK', () => {
    const w = world(['appraise func=SETXATTR_CHECK appraise_algos=sha512']);
    expect(w.setLabel('/mnt/a', hashLabel('one'))).toBe('EACCES');
    expect(last(w)).toBe('set_data denied-hash-algorithm');
    expect(w.setLabel('/mnt/a', hashLabel('one', 'sha512', 6))).toBe(0);
  });

  it('marks the record before EVM can refuse', () => {
    const w = world([ANY], { evm: { inodeRemovexattr: () => 'EPERM' } });
    w.setLabel('/mnt/a', hashLabel('one'));
    w.read('/mnt/a');
    expect(w.vfs.removexattr(w.task(), '/mnt/a', 'security.ima')).toBe('EPERM');
    expect((w.iint('/mnt/a')?.atomicFlags ?? 0) & C.IMA_CHANGE_XATTR).not.toBe(0);
  });

  it('other xattrs matter where EVM says so; old kernels forget the signature then', () => {
    for (const keepDigsigOnOtherXattr of [true, false]) {
      const w = world([ANY], {
        switches: { keepDigsigOnOtherXattr },
        evm: { revalidateStatus: (n) => n === 'security.foo' },
      });
      w.setLabel('/mnt/a', signatureLabel({}));
      w.read('/mnt/a');
      w.vfs.setxattr(w.task(), '/mnt/a', 'security.bar', utf8('x'), 0);
      expect((w.iint('/mnt/a')?.atomicFlags ?? 0) & C.IMA_CHANGE_XATTR).toBe(0);
      w.vfs.setxattr(w.task(), '/mnt/a', 'security.foo', utf8('x'), 0);
      const atomic = w.iint('/mnt/a')?.atomicFlags ?? 0;
      expect(atomic & C.IMA_CHANGE_XATTR).not.toBe(0);
      expect((atomic & C.IMA_DIGSIG) !== 0).toBe(keepDigsigOnOtherXattr);
    }
  });
});

describe('appended signatures', () => {
  const trailer = (sig: string): Uint8Array =>
    concat(
      utf8(sig),
      fromHex('000002000000000000000000'.slice(0, 16)),
      Uint8Array.of(0, 0, 0, sig.length),
      latin1('~Module signature appended~\n'),
    );
  const keys: Partial<IntegrityKeys> = {
    ...KEYS,
    pkcs7Parse: () => 0,
    pkcs7Digest: (_der, data) => ({
      ok: true,
      value: { alg: 'sha256', digest: crypto().hash('sha256', data) },
    }),
    pkcs7Verify: (der) => (String.fromCharCode(...der) === 'good' ? 0 : 'EKEYREJECTED'),
  };
  const RULE = 'appraise func=MODULE_CHECK appraise_type=imasig|modsig';
  const load = (w: World, data: Uint8Array): Err => {
    const f = w.open('/mnt/a');
    const err = w.ima.kernelPostReadFile(w.task(), f, 'module', data);
    w.close(f);
    return err;
  };
  const module = (sig: string): Uint8Array => concat(utf8('module'), trailer(sig));

  it.each<[string, Uint8Array | null, string, Err]>([
    ['good', null, 'good', 0],
    ['bad', null, 'evil', 'EACCES'],
    ['good beside a wrong hash', hashLabel('zzz'), 'good', 0],
    ['good beside an old hash', hashLabel('zzz', 'sha1'), 'good', 'EACCES'],
    ['good beside a signature of an unknown key', signatureLabel({ keyid: 1 }), 'good', 0],
    ['good beside a bad signature', signatureLabel({ sig: 'evil' }), 'good', 'EACCES'],
    ['bad beside a good signature', signatureLabel({}), 'evil', 0],
  ])('%s', (_what, label, sig, err) => {
    const w = world([RULE], { keys });
    if (label !== null) w.setLabel('/mnt/a', label);
    expect(load(w, module(sig))).toBe(err);
  });

  it('are taken for what they are only with a proper trailer', () => {
    const w = world([RULE], { keys });
    const broken = module('good');
    broken[broken.length - 28 - 12 + 2] = 1;
    expect(load(w, broken)).toBe('EACCES');
    expect(load(w, utf8('module'))).toBe('EACCES');
  });

  it('bring a second entry where the template has a place for them', () => {
    const rules = [`measure func=FILE_CHECK template=ima-modsig ${HERE}`, RULE];
    const w = world(rules, { keys, cmdline: 'ima_template=ima-modsig' });
    expect(load(w, module('good'))).toBe(0);
    expect(w.list.slice(1)).toHaveLength(2);
    const [plain = '', signed = ''] = w.list.slice(1);
    expect(plain.endsWith('/mnt/a   ')).toBe(true);
    expect(
      signed.endsWith(` sha256:${toHex(crypto().hash('sha256', utf8('module')))} ${toHex(utf8('good'))}`),
    ).toBe(true);
  });
});
