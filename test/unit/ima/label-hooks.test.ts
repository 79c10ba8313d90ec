import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../../src/base/bytes.ts';
import type { Err } from '../../../src/base/errno.ts';
import * as C from '../../../src/ima/constants.ts';
import { NEW_IINT } from '../../../src/ima/iint.ts';
import { inodeSetAcl, mustAppraise } from '../../../src/ima/inode-hooks.ts';
import type { Iint } from '../../../src/ima/types.ts';
import {
  MAY_ACCESS,
  MAY_READ,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  S_IFCHR,
  S_IFREG,
} from '../../../src/vfs/constants.ts';
import type { InodeKey, PathRef, VfsTask } from '../../../src/vfs/types.ts';
import { hashLabel, signatureLabel, World, type WorldOptions } from './world.ts';

const APPRAISE = 'appraise func=FILE_CHECK fsname=ext4';
const MARKS = C.IMA_DIGSIG | C.IMA_CHANGE_XATTR;

/** A file whose record says that it was measured and appraised. */
class Bench {
  readonly w: World;
  readonly path: PathRef;
  readonly key: InodeKey;

  constructor(options: WorldOptions & { rules?: readonly string[]; at?: string } = {}) {
    const at = options.at ?? '/mnt/a';
    this.w = new World(options);
    this.w.write(at, 'one');
    const rules = options.rules ?? [APPRAISE];
    if (rules.length > 0) this.w.policy(...rules);
    const found = this.w.vfs.lookup(this.w.task(), at);
    if (!found.ok) throw new Error('no file');
    this.path = found.value;
    this.key = this.w.vfs.inodeOf(found.value).key;
  }

  put(change: Partial<Iint>): void {
    const { ima } = this.w;
    ima.state = { ...ima.state, iint: ima.state.iint.set(this.key, { ...NEW_IINT, ...change }) };
  }

  get iint(): Iint | undefined {
    return this.w.ima.state.iint.get(this.key);
  }

  set(name: string, value: Uint8Array, task: VfsTask = this.w.task()): Err {
    return this.w.ima.inodeSetxattr(task, this.path, this.key, name, value);
  }

  remove(name: string, task: VfsTask = this.w.task()): Err {
    return this.w.ima.inodeRemovexattr(task, this.path, this.key, name);
  }

  /** Errno, reason and record of what was asked last. */
  told(): [string | undefined, string | undefined] {
    return [this.w.events('ima.label').at(-1)?.reason, this.w.causes().at(-1)];
  }
}

const none = (w: World): VfsTask =>
  w.task({ cred: { ...w.task().cred, caps: (1n << 21n) ^ ((1n << 41n) - 1n) } });
const revalidates = {
  evm: { revalidateStatus: (name: string) => name === 'security.foo' || name === 'security.evm' },
};

describe('setting security.ima', () => {
  it.each<[string, Uint8Array, Err, string | undefined, string | undefined]>([
    ['empty', new Uint8Array(0), 'EINVAL', 'ima.label_malformed', undefined],
    ['type 7', Uint8Array.of(7, 4), 'EINVAL', 'ima.label_malformed', undefined],
    ['type 255', Uint8Array.of(255), 'EINVAL', 'ima.label_malformed', undefined],
    ['type 0', Uint8Array.of(0), 0, undefined, undefined],
    ['type 2', Uint8Array.of(2, 4), 0, undefined, undefined],
    ['type 6', signatureLabel({ type: 6, version: 3 }), 0, undefined, undefined],
    [
      'md4, which the kernel lacks',
      Uint8Array.of(4, 0),
      'EACCES',
      'ima.label_algorithm',
      'set_data unavailable-hash-algorithm',
    ],
    ['a number of no algorithm', Uint8Array.of(4, 99), 0, undefined, undefined],
    ['sha512', hashLabel('one', 'sha512', 6), 0, undefined, undefined],
    [
      'a signature with md4',
      signatureLabel({ algo: 0 }),
      'EACCES',
      'ima.label_algorithm',
      'set_data unavailable-hash-algorithm',
    ],
  ])('%s', (_what, value, err, reason, record) => {
    const b = new Bench();
    expect([b.set('security.ima', value), ...b.told()]).toEqual([err, reason, record]);
    if (err !== 0) expect(b.w.events('ima.label').at(-1)?.data).toMatchObject({ inode: b.key, errno: err });
  });

  it('needs CAP_SYS_ADMIN before anything else', () => {
    const b = new Bench();
    expect(b.set('security.ima', new Uint8Array(0), none(b.w))).toBe('EPERM');
    expect(b.told()).toEqual(['ima.label_no_capability', undefined]);
    expect(b.set('security.foo', new Uint8Array(0), none(b.w))).toBe(0);
    const before = b.w.events('ima.label').length;
    expect(b.remove('security.ima', none(b.w))).toBe('EPERM');
    expect(
      b.w
        .events('ima.label')
        .slice(before)
        .map((e) => e.reason),
    ).toEqual(['ima.label_no_capability']);
    expect(b.remove('security.foo', none(b.w))).toBe(0);
    expect(b.remove('security.ima')).toBe(0);
  });

  it('takes the algorithm of ima_hash even where it is not built in', () => {
    const config = { CONFIG_CRYPTO_SHA512: 'n' };
    const sha512 = hashLabel('one', 'sha512', 6);
    expect(new Bench({ config }).set('security.ima', sha512)).toBe('EACCES');
    const b = new Bench();
    b.w.ima.state = { ...b.w.ima.state, hashAlgo: 'md4' };
    expect(b.set('security.ima', Uint8Array.of(4, 0))).toBe(0);
  });

  it.each<[string, Uint8Array, Err]>([
    ['sha512', hashLabel('one', 'sha512', 6), 0],
    ['sha256', hashLabel('one'), 'EACCES'],
    ['a signature with sha512', signatureLabel({ algo: 6 }), 0],
    ['a signature with sha256', signatureLabel({ algo: 4 }), 'EACCES'],
    ['a malformed label, as ima_hash', Uint8Array.of(1), 'EACCES'],
  ])('under SETXATTR_CHECK with sha512 alone: %s', (_what, value, err) => {
    const b = new Bench({ rules: ['appraise func=SETXATTR_CHECK appraise_algos=sha512'] });
    expect(b.set('security.ima', value)).toBe(err);
    expect(b.told()[1]).toBe(err === 0 ? undefined : 'set_data denied-hash-algorithm');
    if (err !== 0) expect(b.w.auditBodies().at(-1)).toMatch(/name="\/a" dev="vdc" ino=\d+ res=0 errno=0$/);
  });

  it('means nothing to a kernel without appraisal', () => {
    const b = new Bench({ rules: [], config: { CONFIG_IMA_APPRAISE: 'n' } });
    expect(b.set('security.ima', new Uint8Array(0), none(b.w))).toBe(0);
    expect(b.remove('security.ima', none(b.w))).toBe(0);
  });
});

describe('what a changed label leaves on the record', () => {
  const BEFORE = { flags: C.IMA_MEASURED | C.IMA_APPRAISED, measuredPcrs: 0x400 };
  type Change = (b: Bench) => unknown;
  it.each<[string, Change, number, number, Record<string, unknown> | undefined]>([
    ['a signature', (b) => b.set('security.ima', signatureLabel({})), 0, MARKS, { digsig: 'signed' }],
    [
      'a hash',
      (b) => b.set('security.ima', hashLabel('x')),
      C.IMA_DIGSIG,
      C.IMA_CHANGE_XATTR,
      { digsig: 'hashed' },
    ],
    [
      'a type 6 signature',
      (b) => b.set('security.ima', signatureLabel({ type: 6, version: 3 })),
      C.IMA_DIGSIG,
      C.IMA_CHANGE_XATTR,
      { digsig: 'hashed' },
    ],
    [
      'no label any more',
      (b) => b.remove('security.ima'),
      C.IMA_DIGSIG,
      C.IMA_CHANGE_XATTR,
      { digsig: 'hashed' },
    ],
    [
      'a portable signature of EVM',
      (b) => b.set('security.evm', signatureLabel({ type: 5 })),
      0,
      MARKS,
      { digsig: 'signed' },
    ],
    [
      'a signature of EVM for this inode',
      (b) => b.set('security.evm', signatureLabel({ type: 3 })),
      C.IMA_DIGSIG,
      C.IMA_CHANGE_XATTR,
      { digsig: 'hashed' },
    ],
    [
      'an empty security.evm',
      (b) => b.set('security.evm', new Uint8Array(0)),
      C.IMA_DIGSIG,
      MARKS,
      { digsig: 'untouched' },
    ],
    [
      'no security.evm any more',
      (b) => b.remove('security.evm'),
      C.IMA_DIGSIG,
      MARKS,
      { digsig: 'untouched' },
    ],
    [
      'another protected xattr',
      (b) => b.set('security.foo', utf8('x')),
      C.IMA_DIGSIG,
      MARKS,
      { digsig: 'untouched' },
    ],
    [
      'another protected xattr away',
      (b) => b.remove('security.foo'),
      0,
      C.IMA_CHANGE_XATTR,
      { digsig: 'untouched' },
    ],
    ['an unprotected xattr', (b) => b.set('security.bar', utf8('x')), C.IMA_DIGSIG, C.IMA_DIGSIG, undefined],
    ['an unprotected xattr away', (b) => b.remove('security.bar'), C.IMA_DIGSIG, C.IMA_DIGSIG, undefined],
    [
      'a protected ACL',
      (b) => inodeSetAcl(b.w.ima, b.key, 'security.foo'),
      C.IMA_DIGSIG,
      MARKS,
      { digsig: 'untouched' },
    ],
    [
      'an unprotected ACL',
      (b) => inodeSetAcl(b.w.ima, b.key, 'security.bar'),
      C.IMA_DIGSIG,
      C.IMA_DIGSIG,
      undefined,
    ],
  ])('%s', (_what, change, before, after, mark) => {
    const b = new Bench(revalidates);
    b.put({ ...BEFORE, atomicFlags: before });
    expect(change(b)).toBe(0);
    expect(b.iint).toMatchObject({ flags: BEFORE.flags, atomicFlags: after, measuredPcrs: mark ? 0 : 0x400 });
    expect(b.w.events('ima.mark').map((e) => [e.reason, e.data])).toEqual(
      mark === undefined ? [] : [['ima.label_changed', { inode: b.key, ...mark }]],
    );
  });

  it('on old kernels any protected xattr takes the mark of a signature away', () => {
    const b = new Bench({ ...revalidates, switches: { keepDigsigOnOtherXattr: false } });
    b.put({ atomicFlags: C.IMA_DIGSIG });
    b.set('security.foo', utf8('x'));
    expect(b.iint?.atomicFlags).toBe(C.IMA_CHANGE_XATTR);
    b.put({});
    b.set('security.ima', signatureLabel({}));
    expect(b.iint?.atomicFlags).toBe(MARKS);
  });

  it('nothing without a record, without an appraise rule, or for what is no regular file', () => {
    const b = new Bench();
    b.set('security.ima', hashLabel('x'));
    expect([b.iint, b.w.events('ima.mark')]).toEqual([undefined, []]);
    const measure = new Bench({ rules: ['measure'] });
    measure.put({});
    measure.set('security.ima', hashLabel('x'));
    expect(measure.iint?.atomicFlags).toBe(0);
    const dir = new Bench();
    const at = dir.w.vfs.lookup(dir.w.task(), '/mnt');
    if (!at.ok) throw new Error('no directory');
    const key = dir.w.vfs.inodeOf(at.value).key;
    dir.w.ima.state = { ...dir.w.ima.state, iint: dir.w.ima.state.iint.set(key, NEW_IINT) };
    dir.w.ima.inodeSetxattr(dir.w.task(), at.value, key, 'security.ima', hashLabel('x'));
    expect(dir.w.ima.state.iint.get(key)).toBe(NEW_IINT);
  });

  it('an ACL means nothing to a kernel without appraisal', () => {
    const b = new Bench({ ...revalidates, rules: ['measure'], config: { CONFIG_IMA_APPRAISE: 'n' } });
    b.put({});
    b.w.ima.state = { ...b.w.ima.state, policy: { ...b.w.ima.state.policy, flag: C.IMA_APPRAISE } };
    for (const change of [
      () => inodeSetAcl(b.w.ima, b.key, 'security.foo'),
      () => b.set('security.foo', utf8('x')),
      () => b.remove('security.foo'),
    ])
      expect([change(), b.iint]).toEqual([0, NEW_IINT]);
  });
});

describe('whether a rule appraises a file at all', () => {
  it.each<[string, string[], string, boolean]>([
    ['appraised', [APPRAISE], '', true],
    ['hashed', ['hash func=FILE_CHECK'], '', true],
    ['measured', ['measure func=FILE_CHECK'], '', false],
    ['audited', ['audit'], '', false],
    ['appraised elsewhere', ['appraise fsname=vfat'], '', false],
    ['exempted', ['dont_appraise', APPRAISE], '', false],
    ['appraised for another access', ['appraise func=FILE_CHECK mask=MAY_READ'], '', false],
    ['appraised with appraisal off', [APPRAISE], 'ima_appraise=off', false],
    ['appraised in log mode', [APPRAISE], 'ima_appraise=log', true],
  ])('%s', (_what, rules, cmdline, want) => {
    const b = new Bench({ rules, cmdline });
    const { ima, vfs } = b.w;
    expect(mustAppraise(ima, b.w.task(), vfs.inode(b.key), MAY_ACCESS, C.FILE_CHECK)).toBe(want);
  });

  it('by hook, mask and user', () => {
    const b = new Bench({ rules: ['appraise func=BPRM_CHECK mask=MAY_READ uid=0'] });
    const asks = (func: number, mask: number, task = b.w.task()): boolean =>
      mustAppraise(b.w.ima, task, b.w.vfs.inode(b.key), mask, func);
    expect(asks(C.BPRM_CHECK, MAY_READ)).toBe(true);
    expect(asks(C.FILE_CHECK, MAY_READ)).toBe(false);
    expect(asks(C.BPRM_CHECK, MAY_READ, b.w.user(5))).toBe(false);
    const none = new Bench({
      rules: [],
      config: { CONFIG_IMA_APPRAISE: 'n' },
      cmdline: 'ima_policy=appraise_tcb',
    });
    none.w.ima.state = { ...none.w.ima.state, appraise: 1 };
    expect(mustAppraise(none.w.ima, none.w.task(), none.w.vfs.inode(none.key), 0, C.FILE_CHECK)).toBe(false);
  });
});

describe('changes of attributes', () => {
  it.each<[string, WorldOptions & { rules?: string[]; at?: string }, number, number, boolean | undefined]>([
    ['a file that rules appraise', {}, C.IMA_UPDATE_XATTR, C.IMA_UPDATE_XATTR | C.IMA_CHANGE_ATTR, true],
    ['another file', { rules: ['appraise fsname=vfat'] }, C.IMA_UPDATE_XATTR, C.IMA_CHANGE_ATTR, false],
    [
      'rules with a mask, which count here',
      { rules: ['appraise func=BPRM_CHECK mask=MAY_EXEC'] },
      0,
      C.IMA_CHANGE_ATTR,
      true,
    ],
    ['no appraise rule', { rules: ['measure'] }, C.IMA_UPDATE_XATTR, C.IMA_UPDATE_XATTR, undefined],
    ['no labels', { rules: ['appraise'], at: '/fat/a' }, C.IMA_UPDATE_XATTR, C.IMA_UPDATE_XATTR, undefined],
  ])('%s', (_what, options, before, after, inPolicy) => {
    const b = new Bench(options);
    b.put({ atomicFlags: before });
    b.w.ima.inodePostSetattr(b.w.task(), b.path, b.key, { mode: 0o600 });
    expect(b.iint?.atomicFlags).toBe(after);
    expect(b.w.events('ima.mark').map((e) => [e.reason, e.data])).toEqual(
      inPolicy === undefined ? [] : [['ima.setattr', { inode: b.key, inPolicy }]],
    );
  });

  it('make no record where there is none', () => {
    const b = new Bench();
    b.w.ima.inodePostSetattr(b.w.task(), b.path, b.key, { mode: 0o600 });
    expect([b.iint, b.w.events('ima.mark')]).toEqual([undefined, []]);
  });

  it('truncation voids what was done, from 6.12.104 on', () => {
    for (const truncateHooks of [true, false]) {
      const b = new Bench({ switches: { truncateHooks } });
      b.put({ flags: C.IMA_MEASURED | C.IMA_APPRAISE });
      expect(b.w.ima.pathTruncate(b.w.task(), b.path)).toBe(0);
      expect(b.iint?.flags).toBe(truncateHooks ? C.IMA_APPRAISE : C.IMA_MEASURED | C.IMA_APPRAISE);
      const events = b.w.events('ima.forget').map((e) => [e.reason, e.data]);
      expect(events).toEqual(truncateHooks ? [['ima.truncated', { inode: b.key }]] : []);
    }
    const idle = new Bench({ rules: [] });
    idle.put({ flags: C.IMA_MEASURED });
    idle.w.ima.pathTruncate(idle.w.task(), idle.path);
    expect(idle.iint?.flags).toBe(C.IMA_MEASURED);
    const fresh = new Bench();
    fresh.w.ima.pathTruncate(fresh.w.task(), fresh.path);
    expect(fresh.iint).toBeUndefined();
  });
});

describe('the last writer', () => {
  const UPDATE = {
    flags: C.IMA_MEASURED | C.IMA_APPRAISED,
    atomicFlags: C.IMA_UPDATE_XATTR,
    fileStatus: 0,
  } as const;

  /** Opens for writing, sets the record, writes or not, closes. */
  function writer(b: Bench, record: Partial<Iint> | null, write: boolean, flags = O_WRONLY): void {
    const f = b.w.open('/mnt/a', flags, b.w.task());
    if (record !== null) b.put({ version: b.w.vfs.inode(b.key).iVersion, ...record });
    if (write) b.w.vfs.write(b.w.task(), f, utf8('two'));
    b.w.close(f);
  }
  const bench = (options: WorldOptions = {}): Bench => {
    const b = new Bench({ cmdline: 'ima_appraise=log', ...options });
    b.w.setLabel('/mnt/a', hashLabel('one'));
    return b;
  };
  const ONE = toHex(hashLabel('one'));
  const TWO = toHex(hashLabel('two'));

  it.each<[string, Partial<Iint>, boolean, string, number, string[]]>([
    ['changed it', UPDATE, true, TWO, C.IMA_COLLECTED, ['ima.last_writer_changed', 'ima.label_updated']],
    ['did not', UPDATE, false, ONE, UPDATE.flags, []],
    [
      'did not, but the file is new',
      { ...UPDATE, flags: C.IMA_NEW_FILE },
      false,
      ONE,
      C.IMA_COLLECTED,
      ['ima.last_writer_changed', 'ima.label_updated'],
    ],
    [
      'changed it and nobody wants a label',
      { ...UPDATE, atomicFlags: 0 },
      true,
      ONE,
      0,
      ['ima.last_writer_changed'],
    ],
    [
      'changed a signed file',
      { ...UPDATE, atomicFlags: C.IMA_UPDATE_XATTR | C.IMA_DIGSIG },
      true,
      ONE,
      0,
      ['ima.last_writer_changed', 'ima.label_kept'],
    ],
    [
      'changed a file that had failed',
      { ...UPDATE, fileStatus: 2 },
      true,
      ONE,
      0,
      ['ima.last_writer_changed', 'ima.label_kept'],
    ],
    [
      'changed a file of a hash rule',
      { ...UPDATE, fileStatus: 6, flags: C.IMA_HASH },
      true,
      TWO,
      C.IMA_HASH | C.IMA_COLLECTED,
      ['ima.last_writer_changed', 'ima.label_updated'],
    ],
  ])('%s', (_what, record, write, label, flags, reasons) => {
    const b = bench();
    const before = b.w.events().length;
    writer(b, record, write);
    expect(b.w.label('/mnt/a')).toBe(label);
    expect(b.iint?.flags).toBe(flags);
    expect((b.iint?.atomicFlags ?? 0) & C.IMA_UPDATE_XATTR).toBe(0);
    const seen = b.w
      .events()
      .slice(before)
      .flatMap((e) => (e.kind === 'ima.last_writer' || e.kind === 'ima.label' ? [e] : []));
    expect(seen.map((e) => e.reason)).toEqual(reasons);
  });

  it('is told in the trace with what the record was and became', () => {
    const b = bench();
    writer(b, UPDATE, true);
    expect(b.w.events('ima.last_writer').at(-1)?.data).toEqual({
      inode: b.key,
      before: UPDATE.flags,
      after: 0,
    });
    const label = b.w.events('ima.label').at(-1);
    expect(label?.data).toEqual({ inode: b.key, alg: 'sha256', errno: 0 });
    expect(label?.cause).toBe(b.w.events('ima.last_writer').at(-1)?.id);
    expect(b.w.trace.state.causes).toEqual([]);
  });

  it('keeps the label where it cannot be written', () => {
    const b = bench();
    const f = b.w.open('/mnt/a', O_WRONLY);
    b.put(UPDATE);
    b.w.vfs.write(b.w.task(), f, utf8('two'));
    const { state } = b.w.vfs;
    const sb = b.w.vfs.superblock(b.w.vfs.inode(b.key).sb);
    b.w.vfs.state = { ...state, superblocks: state.superblocks.set(sb.id, { ...sb, readonly: true }) };
    b.w.close(f);
    expect(b.w.label('/mnt/a')).toBe(ONE);
    expect(b.w.events('ima.label').at(-1)).toMatchObject({
      reason: 'ima.label_kept',
      data: { errno: 'EROFS' },
    });
  });

  it('is the last one: another writer, a reader and a file without record change nothing', () => {
    const b = bench();
    const first = b.w.open('/mnt/a', O_WRONLY);
    writer(b, UPDATE, true);
    expect(b.iint).toMatchObject(UPDATE);
    b.w.close(first);
    expect(b.iint?.flags).toBe(C.IMA_COLLECTED);
    writer(b, { ...UPDATE, version: -1 }, false, O_RDONLY);
    expect(b.iint).toMatchObject(UPDATE);
    const fresh = bench();
    const f = fresh.w.open('/mnt/a', O_WRONLY);
    fresh.w.ima.state = { ...fresh.w.ima.state, iint: fresh.w.ima.state.iint.clear() };
    fresh.w.close(f);
    expect(fresh.iint).toBeUndefined();
  });

  it('on a file system without a change cookie always counts as a change', () => {
    const b = new Bench({ at: '/fat/a', rules: ['measure fsname=vfat'] });
    const f = b.w.open('/fat/a', O_RDWR);
    b.put({ flags: C.IMA_MEASURED, version: b.w.vfs.inode(b.key).iVersion });
    b.w.close(f);
    expect(b.iint?.flags).toBe(0);
  });

  it('means nothing where no policy asks for anything', () => {
    const b = new Bench({ rules: [] });
    writer(b, UPDATE, true);
    expect(b.iint).toMatchObject(UPDATE);
  });
});

describe('new files', () => {
  const node = (options: WorldOptions & { rules?: string[] }, mode: number): Bench => {
    const b = new Bench(options);
    expect(b.w.vfs.mknod(b.w.task(), '/mnt/n', mode, 0)).toBe(0);
    return b;
  };
  const recorded = (b: Bench): number | undefined => b.w.iint('/mnt/n')?.flags;

  it.each<[string, WorldOptions & { rules?: string[] }, number, number | undefined]>([
    ['a regular file', {}, S_IFREG | 0o644, C.IMA_NEW_FILE],
    ['a file of a hash rule', { rules: ['hash'] }, S_IFREG | 0o644, C.IMA_NEW_FILE],
    ['a device', {}, S_IFCHR | 0o644, undefined],
    ['a file that nothing appraises', { rules: ['measure'] }, S_IFREG | 0o644, undefined],
    ['a file appraised at other hooks', { rules: ['appraise func=BPRM_CHECK'] }, S_IFREG | 0o644, undefined],
    ['a file without any policy', { rules: [] }, S_IFREG | 0o644, undefined],
    ['a file appraised for one access', { rules: ['appraise mask=MAY_READ'] }, S_IFREG | 0o644, undefined],
  ])('by mknod: %s', (_what, options, mode, flags) => {
    const b = node(options, mode);
    expect(recorded(b)).toBe(flags);
    expect(b.w.events('ima.mark').map((e) => e.reason)).toEqual(
      flags === undefined ? [] : ['ima.marked_new'],
    );
  });

  it.each<[string, string[], boolean]>([
    ['appraised', [APPRAISE], true],
    ['measured', ['measure'], false],
    ['with no policy', [], false],
  ])('without a name: %s', (_what, rules, marked) => {
    const b = new Bench({ rules });
    const f = b.w.open('/mnt', 0o20200000 | O_RDWR);
    const iint = b.w.ima.state.iint.get(b.w.vfs.file(f).inode);
    expect(iint?.atomicFlags).toBe(marked ? C.IMA_UPDATE_XATTR : undefined);
    if (marked) expect(iint?.fileStatus).toBe(0);
    const marks = b.w.events('ima.mark').map((e) => [e.reason, e.data]);
    expect(marks).toEqual(marked ? [['ima.marked_tmpfile', { inode: b.w.vfs.file(f).inode }]] : []);
    b.w.close(f);
  });

  it('lose their record with the inode', () => {
    const b = new Bench();
    const f = b.w.open('/mnt/n', O_CREAT | O_WRONLY);
    b.w.close(f);
    const key = b.w.vfs.lookup(b.w.task(), '/mnt/n');
    if (!key.ok) throw new Error('no file');
    const inode = b.w.vfs.inodeOf(key.value).key;
    expect(b.w.ima.state.iint.has(inode)).toBe(true);
    b.w.ima.inodeFree(inode);
    expect(b.w.ima.state.iint.has(inode)).toBe(false);
    const { state } = b.w.ima;
    b.w.ima.inodeFree(inode);
    expect(b.w.ima.state).toBe(state);
  });
});
