import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex, utf8 } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { World } from './world.ts';

const KEY = utf8('a certificate');
const hash = (data: Uint8Array): string => toHex(crypto().hash('sha256', data));

describe('keys', () => {
  it('wait for the first custom policy and are measured in their order', () => {
    const w = new World({ cmdline: 'ima_policy=tcb' });
    w.ima.keyLinked(w.task(), '.ima', KEY);
    w.ima.keyLinked(w.task(), '.evm', KEY);
    expect(w.names).toEqual(['boot_aggregate']);
    w.policy('measure func=KEY_CHECK keyrings=.evm|.ima');
    expect(w.names.slice(1)).toEqual(['.ima', '.evm']);
    expect(w.list[1]).toMatch(new RegExp(` ima-buf sha256:${hash(KEY)} .ima ${toHex(KEY)}$`));
    w.ima.keyLinked(w.task(), '.ima', utf8('another'));
    expect(w.names.slice(1)).toEqual(['.ima', '.evm', '.ima']);
  });

  it('are dropped after five minutes without one, and measured at once from then on', () => {
    const w = new World();
    w.ima.keyLinked(w.task(), '.ima', KEY);
    w.clock.advance(300_000_000);
    w.policy('measure func=KEY_CHECK');
    expect(w.names).toEqual(['boot_aggregate']);
    expect(w.reasons).toContain('ima.key_queue_dropped');
    w.ima.keyLinked(w.task(), '.ima', KEY);
    expect(w.names.slice(1)).toEqual(['.ima']);
  });

  it('of the same bytes are recorded once for each keyring', () => {
    const w = new World();
    w.policy('measure func=KEY_CHECK');
    w.ima.keyLinked(w.task(), '.ima', KEY);
    w.ima.keyLinked(w.task(), '.ima', KEY);
    expect(w.names).toHaveLength(2);
    expect(w.auditBodies().at(-1)).toBe(
      '1804 pid=64 uid=0 auid=4294967295 ses=4294967295 op=measuring_key cause=store_entry comm="init" name=".ima"' +
        ' res=0 errno=-17',
    );
  });

  it('are not looked at where the build leaves them out', () => {
    const w = new World({ config: { CONFIG_IMA_MEASURE_ASYMMETRIC_KEYS: 'n' } });
    expect(w.upload('measure func=KEY_CHECK\n').err).toBe('EINVAL');
    w.ima.keyLinked(w.task(), '.ima', KEY);
    expect(w.ima.state.keys.queue).toEqual([]);
    const direct = new World({ config: { CONFIG_IMA_QUEUE_EARLY_BOOT_KEYS: 'n' } });
    direct.ima.keyLinked(direct.task(), '.ima', KEY);
    expect(direct.ima.state.keys.queue).toEqual([]);
  });
});

describe('critical data', () => {
  it('is recorded as it is, or as its hash', () => {
    const w = new World();
    w.policy('measure func=CRITICAL_DATA label=modules|x');
    expect(w.ima.criticalData(w.task(), 'x', 'event', KEY, false)).toBe(0);
    expect(w.ima.criticalData(w.task(), 'y', 'event', KEY, false)).toBe('ENOENT');
    expect(w.ima.criticalData(w.task(), '', 'event', KEY, false)).toBe('EINVAL');
    expect(w.ima.kernelPostLoadData(w.task(), 'module', KEY, '')).toBe(0);
    const inner = crypto().hash('sha256', KEY);
    expect(w.list.slice(1).map((l) => l.slice(l.indexOf('sha256')))).toEqual([
      `sha256:${hash(KEY)} event ${toHex(KEY)}`,
      `sha256:${hash(inner)} init_module ${toHex(inner)}`,
    ]);
  });

  it('takes register and template of its rule, where register 0 means the configured one', () => {
    const w = new World();
    w.policy(
      'measure func=CRITICAL_DATA label=a pcr=0',
      'measure func=CRITICAL_DATA pcr=11 template=ima-sig',
    );
    w.ima.criticalData(w.task(), 'a', 'one', KEY, false);
    w.ima.criticalData(w.task(), 'b', 'two', KEY, false);
    expect(w.list.slice(1).map((l) => l.replace(/[0-9a-f]{40}/, 'H'))).toEqual([
      `10 H ima-buf sha256:${hash(KEY)} one ${toHex(KEY)}`,
      `11 H ima-sig sha256:${hash(KEY)} two `,
    ]);
  });

  it('cannot fill the old template', () => {
    const w = new World();
    w.policy('measure func=CRITICAL_DATA template=ima');
    expect(w.ima.criticalData(w.task(), 'a', 'one', KEY, false)).toBe('EINVAL');
    expect(w.causes()).toEqual(['measuring_critical_data alloc_entry']);
  });
});

describe('kexec command lines', () => {
  it('are held against the image’s file system', () => {
    const w = new World();
    w.write('/mnt/vmlinuz', 'x');
    w.policy('measure func=KEXEC_CMDLINE fsname=ext4');
    const f = w.open('/mnt/vmlinuz');
    expect(w.ima.kexecCmdline(w.task(), f, utf8('ro quiet'))).toBe(0);
    expect(w.ima.kexecCmdline(w.task(), f, utf8(''))).toBe(0);
    expect(w.list.at(-1)).toContain(` kexec-cmdline ${toHex(utf8('ro quiet'))}`);
    expect(w.ima.kexecCmdline(w.task(), f, utf8('ro quiet'))).toBe('EEXIST');
    w.close(f);
    w.write('/tmp/vmlinuz', 'x');
    const g = w.open('/tmp/vmlinuz');
    expect(w.ima.kexecCmdline(w.task(), g, utf8('other'))).toBe('ENOENT');
    w.close(g);
  });
});

describe('the list across kexec', () => {
  const filled = (template = 'ima-ng'): World => {
    const w = new World({ cmdline: `ima_template=${template}` });
    w.write('/mnt/a', 'x');
    w.policy('measure func=FILE_CHECK mask=MAY_READ fsname=ext4');
    w.read('/mnt/a');
    const r = w.open('/mnt/a');
    w.write('/mnt/a', 'y', w.task(), 1);
    w.close(r);
    return w;
  };

  it('is carried over byte for byte, without its duplicate table and counter', () => {
    const w = filled();
    const size = w.ima.kexecSegmentSize(100_000);
    expect(size).toBe(4096);
    const next = new World({ kexecBuffer: w.ima.kexecBuffer(size ?? 0), cmdline: 'ima_policy=tcb' });
    const before = w.text('/sec/binary_runtime_measurements');
    expect(next.text('/sec/binary_runtime_measurements').slice(0, before.length)).toBe(before);
    expect(next.list.slice(3)).toHaveLength(1);
    expect(next.ima.state).toMatchObject({ violations: 0 });
    expect(next.ima.state.htable.size).toBe(1);
    const sha256 = w.text('/sec/ascii_runtime_measurements_sha256');
    expect(next.text('/sec/ascii_runtime_measurements_sha256').startsWith(sha256)).toBe(true);
  });

  it('is cut where the segment ends, and whole records of it are kept', () => {
    const w = filled();
    const cut = w.ima.kexecBuffer(24 + 150);
    expect(cut).toHaveLength(174);
    expect(w.log).toContain('ima: Dump measurements failed. Error:-22');
    const next = new World({ kexecBuffer: cut });
    expect(next.names).toEqual(['boot_aggregate', 'boot_aggregate']);
    expect(next.reasons).toContain('ima.restore_failed');
  });

  it('is not restored with the old template, or of another version', () => {
    const old = new World({ kexecBuffer: filled('ima').ima.kexecBuffer(4096) });
    expect(old.names).toEqual(['boot_aggregate']);
    const bad = filled().ima.kexecBuffer(4096).slice();
    bad[0] = 2;
    expect(new World({ kexecBuffer: bad }).names).toEqual(['boot_aggregate']);
    expect(new World({ kexecBuffer: new Uint8Array(10) }).names).toEqual(['boot_aggregate']);
  });

  it('brings formats along that the second kernel does not use', () => {
    const w = new World({ cmdline: 'ima_template_fmt=d-ng|n-ng|imode' });
    const next = new World({ kexecBuffer: w.ima.kexecBuffer(4096) });
    expect(next.list[0]).toMatch(/ d-ng\|n-ng\|imode sha256:0{0,64}[0-9a-f]* boot_aggregate $/);
    expect(next.upload('measure template=d-ng|n-ng|imode\n').err).toBe(0);
    expect(next.text('/sec/policy')).toBe('measure template= \n');
  });

  it('stops at a name that is too long or no template', () => {
    const record = (name: string): Uint8Array => {
      const n = utf8(name);
      const length = Uint8Array.of(n.length, 0, 0, 0);
      return concat(fromHex('0a000000'), new Uint8Array(20).fill(1), length, n, fromHex('00000000'));
    };
    for (const name of ['x'.repeat(90), 'nonsense', '']) {
      const body = record(name);
      const header = new Uint8Array(24);
      header[0] = 1;
      header[8] = 24 + body.length;
      header[16] = 1;
      expect(new World({ kexecBuffer: concat(header, body) }).names).toEqual(['boot_aggregate']);
    }
  });

  it('needs half of the memory at most, and the option', () => {
    const w = filled();
    expect(w.ima.kexecSegmentSize(1)).toBeNull();
    const none = new World({ config: { CONFIG_IMA_KEXEC: 'n' }, kexecBuffer: w.ima.kexecBuffer(4096) });
    expect([none.ima.kexecSegmentSize(1000), none.names]).toEqual([null, ['boot_aggregate']]);
  });
});
