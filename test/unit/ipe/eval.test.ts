import { describe, expect, it } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { IPE_PROPERTIES, valueKey } from '../../../src/ipe/properties.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../../../src/vfs/constants.ts';
import type { VerityInfo } from '../../../src/vfs/types.ts';
import { type FakeFile, TASK, World } from './world.ts';

const DIGEST = 'ab'.repeat(32);
const VERITY: VerityInfo = { alg: 'sha256', blockSize: 4096, digest: fromHex(DIGEST), signature: null };

function world(rules: string, config: { readonly [o: string]: string } = {}, fallback = 'DENY'): World {
  const w = new World({}, config);
  const text = `Ppolicy_name=p policy_version=0.0.1\nDEFAULT action=ALLOW\nDEFAULT op=EXECUTE action=${fallback}\n${rules}\n`;
  w.ipe.initSecurityfs();
  if (w.write('ipe/new_policy', text).startsWith('wrote')) w.write('ipe/policies/p/active', '1');
  expect(w.ipe.state.active).not.toBeNull();
  w.devices.set('dm-0', { alg: 'sha256', rootHash: fromHex(DIGEST), signed: true });
  w.devices.set('dm-1', { alg: 'sha256', rootHash: fromHex('cd'.repeat(32)), signed: false });
  return w;
}

const exec = (w: World, file: FakeFile): string | number => w.ipe.bprmCheck(TASK, w.open(file));
const PLAIN: FakeFile = { path: '/mnt/p', ino: 12 };

describe('order of decisions', () => {
  it('lets the first rule decide, then the default of the operation, then the global one', () => {
    const first = world('op=EXECUTE action=ALLOW\nop=EXECUTE action=DENY');
    expect(exec(first, PLAIN)).toBe(0);
    expect(exec(world('op=EXECUTE boot_verified=TRUE action=ALLOW'), PLAIN)).toBe('EACCES');
    expect(world('').ipe.kernelLoadData(TASK, 'module')).toBe(0);
  });

  it('joins the properties of a rule by and', () => {
    const rule = 'op=EXECUTE dmverity_signature=TRUE boot_verified=TRUE action=ALLOW';
    expect(exec(world(rule), { ...PLAIN, device: 'dm-0' })).toBe('EACCES');
  });

  it('says which property each rule missed', () => {
    const w = world(
      'op=EXECUTE boot_verified=TRUE action=ALLOW\nop=EXECUTE fsverity_signature=TRUE action=ALLOW',
    );
    exec(w, PLAIN);
    expect(w.trace.state.events.last).toMatchObject({
      kind: 'ipe.evaluate',
      reason: 'ipe.denied',
      data: {
        rule: 'DEFAULT op=EXECUTE action=DENY',
        missed: [
          { line: 4, property: 'boot_verified=TRUE' },
          { line: 5, property: 'fsverity_signature=TRUE' },
        ],
      },
    });
  });

  it('allows everything while nothing is active', () => {
    const w = new World({ successAudit: true });
    expect(w.ipe.mmapFile(TASK, null, PROT_EXEC)).toBe(0);
    expect(w.reasons()).toEqual(['ipe.no_policy']);
    expect(w.records()).toEqual([]);
  });
});

describe('properties', () => {
  const cases: readonly (readonly [string, FakeFile | null, boolean])[] = [
    ['boot_verified=TRUE', { ...PLAIN, sb: 9 }, true],
    ['boot_verified=TRUE', PLAIN, false],
    ['boot_verified=FALSE', PLAIN, true],
    ['boot_verified=FALSE', null, true],
    ['dmverity_signature=TRUE', { ...PLAIN, device: 'dm-0' }, true],
    ['dmverity_signature=TRUE', { ...PLAIN, device: 'dm-1' }, false],
    ['dmverity_signature=FALSE', { ...PLAIN, device: 'dm-1' }, true],
    ['dmverity_signature=FALSE', { ...PLAIN, device: 'vdc' }, true],
    ['dmverity_signature=FALSE', null, true],
    [`dmverity_roothash=sha256:${DIGEST.toUpperCase()}`, { ...PLAIN, device: 'dm-0' }, true],
    [`dmverity_roothash=sha-256:${DIGEST}`, { ...PLAIN, device: 'dm-0' }, false],
    [`dmverity_roothash=sha256:${DIGEST}00`, { ...PLAIN, device: 'dm-0' }, false],
    [`dmverity_roothash=sha256:${DIGEST}`, { ...PLAIN, device: 'dm-1' }, false],
    [`dmverity_roothash=sha256:${DIGEST}`, null, false],
    [`fsverity_digest=sha256:${DIGEST}`, { ...PLAIN, verity: VERITY }, true],
    [`fsverity_digest=sha512:${DIGEST}`, { ...PLAIN, verity: VERITY }, false],
    [`fsverity_digest=sha256:${DIGEST}`, PLAIN, false],
    ['fsverity_signature=FALSE', { ...PLAIN, verity: VERITY }, true],
    ['fsverity_signature=TRUE', { ...PLAIN, verity: VERITY }, false],
    ['fsverity_signature=FALSE', null, true],
  ];

  it.each(cases)('%s on %j holds: %s', (property, file, holds) => {
    const w = world(`op=EXECUTE ${property} action=ALLOW`);
    w.ipe.initramfsPopulated(9);
    const answer = w.ipe.mmapFile(TASK, file === null ? null : w.open(file), PROT_READ | PROT_EXEC);
    expect(answer).toBe(holds ? 0 : 'EACCES');
  });

  it('takes a signature only together with fs-verity, until the inode goes', () => {
    const w = world('op=EXECUTE fsverity_signature=TRUE action=ALLOW');
    const id = w.open({ ...PLAIN, verity: VERITY });
    const bare = w.open({ path: '/mnt/q' });
    w.ipe.inodeSetIntegrity(id, true);
    w.ipe.inodeSetIntegrity(bare, true);
    expect([w.ipe.bprmCheck(TASK, id), w.ipe.bprmCheck(TASK, bare)]).toEqual([0, 'EACCES']);
    w.ipe.inodeFree(id);
    expect(w.ipe.bprmCheck(TASK, id)).toBe('EACCES');
  });

  it('judges an overlay file by the layer below, and boot_verified by the overlay itself', () => {
    const lower: FakeFile = { path: '/p', sb: 6, device: 'dm-0', ino: 13, dev: 'dm-0' };
    const over: FakeFile = { path: '/o/p', sb: 5, ino: 40, dev: 'overlay', realData: lower, real: lower };
    expect(exec(world('op=EXECUTE dmverity_signature=TRUE action=ALLOW'), over)).toBe(0);
    const w = world('op=EXECUTE boot_verified=TRUE action=ALLOW');
    w.ipe.initramfsPopulated(6);
    expect(exec(w, over)).toBe('EACCES');
    expect(w.records().at(-1)).toContain('path="/o/p" dev="overlay" ino=40');
  });

  it('sees the file of the layer at mprotect, because the mapping holds that one', () => {
    const lower: FakeFile = { path: '/p', sb: 6, ino: 13, dev: 'dm-0' };
    const over: FakeFile = { path: '/o/p', sb: 5, ino: 40, dev: 'overlay', realData: lower, real: lower };
    const w = world('op=EXECUTE boot_verified=TRUE action=ALLOW');
    w.mappings.set(1, { file: w.open(over), prot: PROT_READ });
    expect(w.ipe.fileMprotect(TASK, 1, PROT_READ | PROT_EXEC)).toBe('EACCES');
    expect(w.records().at(-1)).toContain('path="/p" dev="dm-0" ino=13');
    w.ipe.initramfsPopulated(6);
    expect(w.ipe.fileMprotect(TASK, 1, PROT_READ | PROT_EXEC)).toBe(0);
    expect(exec(w, over)).toBe('EACCES');
  });

  it('holds for neither value when its option is off', () => {
    for (const value of ['TRUE', 'FALSE']) {
      const w = world(`op=EXECUTE dmverity_signature=${value} action=ALLOW`, {
        CONFIG_IPE_PROP_DM_VERITY_SIGNATURE: 'n',
      });
      expect(exec(w, { ...PLAIN, device: 'dm-0' })).toBe('EACCES');
    }
  });
});

describe('hooks', () => {
  it('evaluates mprotect only from not executable to executable', () => {
    const w = world('');
    w.mappings.set(1, { file: null, prot: PROT_READ | PROT_EXEC });
    w.mappings.set(2, { file: null, prot: PROT_READ });
    expect(w.ipe.fileMprotect(TASK, 1, PROT_READ | PROT_WRITE | PROT_EXEC)).toBe(0);
    expect(w.ipe.fileMprotect(TASK, 2, PROT_READ | PROT_WRITE)).toBe(0);
    expect(w.records()).toHaveLength(2);
    expect(w.ipe.fileMprotect(TASK, 2, PROT_READ | PROT_EXEC)).toBe('EACCES');
    expect(w.ipe.mmapFile(TASK, null, PROT_READ)).toBe(0);
  });

  it.each([
    ['firmware', 'FIRMWARE'],
    ['module', 'KMODULE'],
    ['kexec-image', 'KEXEC_IMAGE'],
    ['kexec-initramfs', 'KEXEC_INITRAMFS'],
    ['policy', 'POLICY'],
    ['x509-certificate', 'X509_CERT'],
  ] as const)('maps a read of %s to %s', (id, op) => {
    const w = world(`op=${op} action=DENY`);
    expect(w.ipe.kernelReadFile(TASK, w.open(PLAIN), id)).toBe('EACCES');
    expect(w.records().at(-1)).toMatch(new RegExp(`^1420 ipe_op=${op} ipe_hook=KERNEL_READ `));
  });

  it('gives an operation nobody declared to the global default', () => {
    const w = world('');
    w.write('ipe/success_audit', '1');
    expect(w.ipe.kernelReadFile(TASK, w.open(PLAIN), 'digest-list' as 'policy')).toBe(0);
    expect(w.records().at(-1)).toMatch(/^1420 ipe_op=UNKNOWN .* rule="DEFAULT action=ALLOW"$/);
  });
});

describe('access record', () => {
  it('prints the matched rule, with quotes inside for a digest', () => {
    const w = world(`op=EXECUTE dmverity_roothash=sha256:${DIGEST} dmverity_signature=TRUE action=DENY`);
    exec(w, { path: '/mnt/dm/prog', device: 'dm-0', dev: 'dm-0', ino: 15 });
    expect(w.records().at(-1)).toBe(
      '1420 ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=7 comm="init" path="/mnt/dm/prog" dev="dm-0" ino=15 ' +
        `rule="op=EXECUTE dmverity_roothash="sha256":${DIGEST.toUpperCase()} dmverity_signature=TRUE action=DENY"`,
    );
  });

  it('has no file for anonymous memory, and hex for odd paths', () => {
    const w = world('');
    w.ipe.mmapFile(TASK, null, PROT_EXEC);
    expect(w.records().at(-1)).toContain('path=? dev=? ino=? rule="DEFAULT op=EXECUTE action=DENY"');
    exec(w, { path: '/memfd:é (deleted)', dev: 'tmpfs', ino: 2 });
    expect(w.records().at(-1)).toContain('path=2F6D656D66643AC3A9202864656C6574656429 dev="tmpfs" ino=2');
  });

  it('is written in permissive mode too, and for what is allowed only on request', () => {
    const w = world('op=EXECUTE boot_verified=FALSE action=ALLOW', {}, 'ALLOW');
    exec(w, PLAIN);
    expect(w.records()).toHaveLength(2);
    w.write('ipe/success_audit', '1');
    exec(w, PLAIN);
    expect(w.records().at(-1)).toContain('rule="op=EXECUTE boot_verified=FALSE action=ALLOW"');
    const p = world('');
    p.write('ipe/enforce', '0');
    expect(exec(p, PLAIN)).toBe(0);
    expect(p.records().at(-1)).toContain('enforcing=0');
    expect(p.reasons().at(-1)).toBe('ipe.denied_permissive');
  });
});

describe('properties of one value', () => {
  const verity = { alg: 'sha256', digest: Uint8Array.of(1, 2) };
  const context = { initramfs: true, inode: { verity }, device: null, fsVeritySigned: true } as never;

  it.each(IPE_PROPERTIES.map((p) => [p.name, p] as const))(
    '%s holds with that value and no other',
    (_, property) => {
      const now = property.valueNow?.(context) ?? null;
      const values = [
        true,
        false,
        verity,
        { alg: 'sha512', digest: verity.digest },
        { ...verity, digest: Uint8Array.of(1) },
      ];
      const holds = values.filter((v) => property.evaluate(context, v));
      expect(holds.map(valueKey)).toEqual(now === null ? [] : [valueKey(now)]);
    },
  );

  it('digests are equal by algorithm and bytes', () => {
    expect(valueKey(verity)).toBe('sha256:0102');
    expect(valueKey({ alg: 'sha256', digest: Uint8Array.of(1, 2) })).toBe(valueKey(verity));
  });
});
