import { describe, expect, it } from 'vitest';
import { concat, filled, fromHex, toHex } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { World } from './world.ts';

const first = (w: World): string => w.list[0] ?? '';
const PCR_VALUES = (w: { pcrs: Map<string, Uint8Array> }): void => {
  for (let i = 0; i < 10; i++) {
    w.pcrs.set(`sha1:${i}`, filled(20, i + 1));
    w.pcrs.set(`sha256:${i}`, filled(32, i + 1));
  }
};

describe('boot aggregate', () => {
  it('covers registers 0 to 9 of the bank of ima_hash, and 0 to 7 for sha1', () => {
    const sha256 = new World({ pcrs: PCR_VALUES });
    const ten = concat(...Array.from({ length: 10 }, (_, i) => filled(32, i + 1)));
    expect(first(sha256)).toContain(`sha256:${toHex(crypto().hash('sha256', ten))} boot_aggregate`);
    const sha1 = new World({ cmdline: 'ima_hash=sha1', pcrs: PCR_VALUES });
    const eight = concat(...Array.from({ length: 8 }, (_, i) => filled(20, i + 1)));
    expect(first(sha1)).toContain(`sha1:${toHex(crypto().hash('sha1', eight))} boot_aggregate`);
  });

  it('falls back to sha256, then sha1, then zeros', () => {
    expect(first(new World({ cmdline: 'ima_hash=sha512', pcrs: PCR_VALUES }))).toContain(' sha256:');
    expect(first(new World({ banks: ['sha1'], pcrs: PCR_VALUES }))).toContain(' sha1:');
    const none = new World({ banks: ['sha384'] });
    expect(first(none)).toContain(`sha256:${'0'.repeat(64)} boot_aggregate`);
    expect(none.log).toContain('ima: No suitable TPM algorithm for boot aggregate');
    const bypass = new World({ banks: null });
    expect(first(bypass)).toContain(`sha256:${'0'.repeat(64)} boot_aggregate`);
    expect(bypass.log).toContain('ima: No TPM chip found, activating TPM-bypass!');
  });

  it('fits the old template', () => {
    const w = new World({ cmdline: 'ima_template=ima', pcrs: PCR_VALUES });
    const eight = concat(...Array.from({ length: 8 }, (_, i) => filled(20, i + 1)));
    expect(first(w)).toMatch(
      new RegExp(`^10 [0-9a-f]{40} ima ${toHex(crypto().hash('sha1', eight))} boot_aggregate$`),
    );
    expect(w.log.some((l) => l.includes('invalid hash algorithm "sha256" for template "ima"'))).toBe(true);
  });
});

describe('parameters', () => {
  it.each([
    ['ima_hash=sha-256', 'sha256', 'ima-ng'],
    ['ima_hash=wp256', 'wp256', 'ima-ng'],
    ['ima_hash=md5 ima_hash=sha1', 'md5', 'ima-ng'],
    ['ima_hash=sha512 ima_template=ima', 'sha512', 'ima-ng'],
    ['ima_template=ima ima_hash=md5sum', 'md5', 'ima'],
    ['ima_template=ima-sig ima_template=ima', 'sha256', 'ima-sig'],
    ['ima_template=d-ng|n-ng|sig', 'sha256', 'ima-sig'],
    ['ima_template=nope', 'sha256', 'ima-ng'],
    ['ima_template_fmt=d-ng|n-ng|imode', 'sha256', 'd-ng|n-ng|imode'],
    ['ima_template_fmt=d-ng||n-ng', 'sha256', 'ima-ng'],
    ['ima_template_fmt=d-ng|nope ima_template=ima-buf', 'sha256', 'ima-buf'],
    [`ima_template_fmt=${Array(16).fill('n-ng').join('|')}`, 'sha256', 'ima-ng'],
    ['ima-hash=sha384', 'sha384', 'ima-ng'],
  ])('%s', (cmdline, hash, template) => {
    const w = new World({ cmdline });
    expect([w.initErr, w.ima.state.hashAlgo]).toEqual([0, hash]);
    expect(first(w)).toMatch(new RegExp(`^10 [0-9a-f]{40} ${template.replaceAll('|', '\\|')} `));
  });

  it('uses the default hash when the kernel lacks the wanted one', () => {
    const w = new World({ cmdline: 'ima_hash=md4' });
    expect([w.initErr, w.ima.state.hashAlgo]).toEqual([0, 'sha256']);
    expect(w.log).toContain('ima: Allocating md4 failed, going to use default hash algorithm sha256');
  });

  it('gives up with an empty template name', () => {
    const w = new World({ cmdline: 'ima_template= ima_policy=tcb' });
    expect([w.initErr, w.ima.state.initialized, w.ima.state.policy.flag]).toEqual(['EINVAL', false, 0]);
    expect(w.reasons).toContain('ima.init_failed');
    w.write('/mnt/a', 'x');
    expect(w.read('/mnt/a')).toBe(0);
  });

  it('knows which words are its own', () => {
    const w = new World({ cold: true });
    expect(w.ima.setup('ima_tcb', null)).toBe(true);
    expect(w.ima.setup('ima_canonical_fmt', null)).toBe(true);
    expect(w.ima.setup('evm', 'fix')).toBe(false);
    w.ima.setup('integrity_audit', '0x1');
    expect(w.audit.state.integrityAudit).toBe(true);
    w.ima.setup('integrity_audit', '0');
    expect(w.audit.state.integrityAudit).toBe(false);
  });

  it.each([
    ['ima_appraise=offline', 0],
    ['ima_appraise=log', 4],
    ['ima_appraise=fix', 2],
    ['ima_appraise=enforce ima_appraise=log', 4],
    ['ima_appraise=loud', 1],
    ['', 1],
  ])('%s', (cmdline, mode) => {
    expect(new World({ cmdline }).ima.state.appraise).toBe(mode);
  });

  it('keeps enforcing where secure boot says so', () => {
    const w = new World({ cmdline: 'ima_appraise=off', platform: { secureBoot: true } });
    expect(w.ima.state.appraise).toBe(1);
    expect(w.log).toContain('ima: Secure boot enabled: ignoring ima_appraise=off option');
  });
});

const MEASURED = [
  'dont_measure fsmagic=0x9fa0 ',
  'dont_measure fsmagic=0x62656572 ',
  'dont_measure fsmagic=0x64626720 ',
  'dont_measure fsmagic=0x1021994 ',
  'dont_measure fsmagic=0x1cd1 ',
  'dont_measure fsmagic=0x42494e4d ',
  'dont_measure fsmagic=0x73636673 ',
  'dont_measure fsmagic=0xf97cff8c ',
  'dont_measure fsmagic=0x43415d53 ',
  'dont_measure fsmagic=0x27e0eb ',
  'dont_measure fsmagic=0x63677270 ',
  'dont_measure fsmagic=0x6e736673 ',
  'dont_measure fsmagic=0xde5e81e4 ',
  'measure func=MMAP_CHECK mask=MAY_EXEC ',
  'measure func=BPRM_CHECK mask=MAY_EXEC ',
];

describe('built-in policies', () => {
  const shown = (cmdline: string, config = {}): string[] =>
    new World({ cmdline, config }).text('/sec/policy').split('\n').slice(0, -1);

  it('tcb and the old form of it; the first one counts', () => {
    const modern = [
      ...MEASURED,
      'measure func=FILE_CHECK mask=^MAY_READ euid=0 ',
      'measure func=FILE_CHECK mask=^MAY_READ uid=0 ',
      'measure func=MODULE_CHECK ',
      'measure func=FIRMWARE_CHECK ',
      'measure func=POLICY_CHECK ',
    ];
    const old = [
      ...MEASURED,
      'measure func=FILE_CHECK mask=MAY_READ uid=0 ',
      'measure func=MODULE_CHECK ',
      'measure func=FIRMWARE_CHECK ',
    ];
    expect(shown('ima_policy=tcb')).toEqual(modern);
    expect(shown('ima_tcb')).toEqual(old);
    expect(shown('ima_tcb ima_policy=tcb')).toEqual(old);
    expect(shown('ima_policy=tcb ima_tcb')).toEqual(modern);
  });

  it('secure_boot, build rules, appraise_tcb and critical_data in their order', () => {
    const build = { CONFIG_IMA_APPRAISE_REQUIRE_KEXEC_SIGS: 'y', CONFIG_IMA_APPRAISE_SIGNED_INIT: 'y' };
    const lines = shown('ima_policy=critical_data|appraise_tcb', build);
    expect(lines[0]).toBe('appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig ');
    expect(lines.slice(1, 15).every((l) => l.startsWith('dont_appraise fsmagic='))).toBe(true);
    expect(lines.slice(15)).toEqual([
      'appraise func=POLICY_CHECK appraise_type=imasig ',
      'appraise fowner=0 appraise_type=imasig ',
      'measure func=CRITICAL_DATA ',
    ]);
    const both = new World({ cmdline: 'ima_policy=secure_boot', config: build });
    expect(both.ima.state.policy.defaultRules).toHaveLength(4);
    expect(both.ima.state.policy.customRules).toHaveLength(1);
    expect(both.ima.state.appraise).toBe(0x01 | 0x08 | 0x10 | 0x20 | 0x40);
  });

  it('rules of the architecture go to both lists and are audited', () => {
    const config = {
      CONFIG_IMA_ARCH_POLICY: 'y',
      CONFIG_MODULE_SIG: 'n',
      CONFIG_INTEGRITY_MACHINE_KEYRING: 'n',
    };
    const w = new World({ config, platform: { secureBoot: true } });
    expect(w.ima.state.policy.customRules).toHaveLength(4);
    expect(w.auditBodies()[0]).toBe(
      '1807 action=appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig res=1',
    );
    w.policy('measure func=BPRM_CHECK');
    expect(w.text('/sec/policy').split('\n')).toHaveLength(6);
    const power = new World({ platform: { arch: 'powerpc', secureBoot: true, trustedBoot: true } });
    expect(power.text('/sec/policy')).toContain('measure func=MODULE_CHECK template=ima-modsig \n');
    expect(new World({ platform: { arch: 's390', secureBoot: true } }).text('/sec/policy')).toBe('');
  });

  it('critical_data records the release', () => {
    const w = new World({ cmdline: 'ima_policy=critical_data integrity_audit=1' });
    expect(w.list[1]).toMatch(/ ima-buf sha256:[0-9a-f]{64} kernel_version 362e31322e313037$/);
    expect(w.auditBodies().at(-1)).toContain('cause=hash_added comm="swapper" name="6.12.107" res=1');
  });

  it('says which policy words it does not know', () => {
    expect(new World({ cmdline: 'ima_policy=tcb|bogus' }).log).toContain('ima: policy "bogus" not found');
  });
});

describe('banks', () => {
  it('pads the sha1 digest where the kernel has no name for a bank', () => {
    const w = new World({ banks: ['sha3-256', 'sha256'], cmdline: 'ima_policy=tcb' });
    const [entry] = w.chip?.extends ?? [];
    const sha1 = /^10 ([0-9a-f]{40})/.exec(first(w))?.[1] ?? '';
    expect(entry?.digests.map((d) => d.alg)).toEqual(['sha3-256', 'sha256']);
    expect(toHex(entry?.digests[0]?.digest ?? fromHex(''))).toBe(sha1 + '0'.repeat(24));
    const names = w.text('/sec/ascii_runtime_measurements_tpm_alg_27');
    expect(names).toContain(` ${sha1}${'0'.repeat(24)} ima-ng`);
  });

  it('leaves the list alone when the TPM refuses or is gone', () => {
    const w = new World({ cmdline: 'ima_policy=tcb' });
    if (w.chip !== null) w.chip.rc = -19;
    w.write('/mnt/a', 'x');
    expect(w.read('/mnt/a')).toBe(0);
    expect(w.names).toEqual(['boot_aggregate', '/mnt/a']);
    expect(w.causes()).toContain('add_template_measure TPM_error(-19)');
    expect(w.reasons).toContain('ima.tpm_error');
  });
});
