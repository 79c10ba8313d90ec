import { describe, expect, it } from 'vitest';
import { latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import * as C from '../../../src/ima/constants.ts';
import {
  O_APPEND,
  O_CREAT,
  O_DIRECT,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/vfs/constants.ts';
import { hashLabel, World } from './world.ts';

const HERE = 'fsname=ext4';

/** A world whose policy covers the disk only. */
function disk(...rules: string[]): World {
  const w = new World();
  w.write('/mnt/a', 'one');
  w.policy(...rules.map((r) => `${r} ${HERE}`));
  return w;
}

describe('measuring', () => {
  it('records a file once until its content changes, and never the same entry twice', () => {
    const w = disk('measure func=FILE_CHECK mask=^MAY_READ');
    const list = (): string[] => w.names.slice(1);
    w.read('/mnt/a');
    w.read('/mnt/a');
    expect(list()).toEqual(['/mnt/a']);
    w.write('/mnt/a', 'two');
    w.read('/mnt/a');
    w.write('/mnt/a', 'one');
    w.read('/mnt/a');
    expect(list()).toEqual(['/mnt/a', '/mnt/a']);
    expect(w.reasons).toContain('ima.duplicate');
    expect(w.iint('/mnt/a')?.flags).toBe(C.IMA_MEASURE | C.IMA_MEASURED | C.IMA_COLLECTED);
  });

  it('lists names with underscores for spaces, and bytes for other characters', () => {
    const w = disk('measure func=FILE_CHECK mask=MAY_READ');
    w.write('/mnt/a b', '1');
    w.write('/mnt/ü\n', '2');
    w.read('/mnt/a b');
    w.read('/mnt/ü\n');
    const text = w.text('/sec/ascii_runtime_measurements');
    expect(text).toContain(' /mnt/a_b\n');
    expect(text).toContain(' /mnt/Ã¼\n\n');
  });

  it('goes to the register and template of the rule, once for each register', () => {
    const w = disk(
      'measure func=FILE_CHECK uid=5 pcr=11 template=ima-sig',
      'measure func=FILE_CHECK mask=MAY_READ',
    );
    w.read('/mnt/a', w.user(5));
    w.read('/mnt/a');
    w.read('/mnt/a', w.user(5));
    expect(w.list.slice(1).map((l) => l.replace(/[0-9a-f]{40}/, 'H'))).toEqual([
      `11 H ima-sig sha256:${toHex(crypto().hash('sha256', utf8('one')))} /mnt/a `,
      `10 H ima-ng sha256:${toHex(crypto().hash('sha256', utf8('one')))} /mnt/a`,
    ]);
  });

  it('shares the mark of a register with the one 32 further on', () => {
    const w = disk('measure func=FILE_CHECK uid=5 pcr=42', 'measure func=FILE_CHECK mask=MAY_READ');
    w.read('/mnt/a', w.user(5));
    w.read('/mnt/a');
    expect(w.list.slice(1).map((l) => l.slice(0, 2))).toEqual(['42']);
    expect(w.causes()).toContain('add_template_measure TPM_error(388)');
  });

  it('records zeros for an unbuffered open and the digest later', () => {
    const w = disk('measure func=FILE_CHECK mask=MAY_READ');
    w.close(w.open('/mnt/a', O_RDONLY | O_DIRECT));
    expect(w.list[1]).toContain(`sha256:${'0'.repeat(64)} /mnt/a`);
    expect(w.causes()).toEqual(['collect_data failed(directio)']);
    w.read('/mnt/a');
    expect(w.names).toEqual(['boot_aggregate', '/mnt/a', '/mnt/a']);
  });

  it('uses the algorithm of the label, and hashes again for the old template', () => {
    const w = disk(
      'measure func=FILE_CHECK mask=MAY_READ uid=0',
      'measure func=FILE_CHECK template=ima uid=5',
    );
    w.setLabel('/mnt/a', hashLabel('one', 'sha512', 6));
    w.read('/mnt/a');
    expect(w.list[1]).toContain(`sha512:${toHex(crypto().hash('sha512', utf8('one')))}`);
    w.write('/mnt/b', 'two');
    w.read('/mnt/b', w.user(5));
    expect(w.list[2]).toContain(` ima ${toHex(crypto().hash('sha1', utf8('two')))} /mnt/b`);
  });

  it('falls back to the name alone where `n` cannot hold the path', () => {
    const w = disk('measure func=FILE_CHECK mask=MAY_READ template=ima');
    const long = 'd'.repeat(250);
    expect(w.vfs.mkdir(w.task(), `/mnt/${long}`, 0o755)).toBe(0);
    w.write(`/mnt/${long}/name`, 'x');
    w.read(`/mnt/${long}/name`);
    expect(w.list[1]).toMatch(/ ima [0-9a-f]{40} name$/);
  });

  it('keeps the register of a program that is measured at several hooks', () => {
    const w = disk('measure func=BPRM_CHECK', 'measure func=CREDS_CHECK euid=7 pcr=12');
    const f = w.open('/mnt/a');
    const next = { ...w.task().cred, euid: 7 };
    expect(w.ima.bprmCheck(w.task(), f, next)).toBe(0);
    expect(w.list.slice(1).map((l) => l.slice(0, 2))).toEqual(['10', '12']);
    w.close(f);
  });

  it('ignores what is no regular file, and everything without a policy', () => {
    const w = new World();
    w.write('/mnt/a', 'x');
    w.read('/mnt/a');
    expect(w.reasons).toContain('ima.no_policy');
    w.policy(`measure ${HERE}`);
    const dir = w.open('/mnt', O_RDONLY);
    w.close(dir);
    expect(w.reasons).toContain('ima.not_regular');
    expect(w.names).toEqual(['boot_aggregate']);
  });
});

describe('violations', () => {
  const rule = 'measure func=FILE_CHECK mask=MAY_READ';

  it('a writer behind a measured reader, once for each reader', () => {
    const w = disk(rule);
    const r = w.open('/mnt/a');
    w.write('/mnt/a', 'x', w.task(), O_WRONLY);
    w.write('/mnt/a', 'y', w.task(), O_WRONLY);
    expect(w.ima.state.violations).toBe(1);
    w.close(r);
    expect(w.causes()).toEqual(['invalid_pcr ToMToU']);
    expect(w.list[2]).toBe(`10 ${'0'.repeat(40)} ima-ng sha256:${'0'.repeat(64)} /mnt/a`);
    expect(w.chip?.extends.at(-1)?.digests.map((d) => toHex(d.digest))).toEqual([
      'ff'.repeat(20),
      'ff'.repeat(32),
    ]);
  });

  it('a measured reader beside a writer, once until the last writer is gone', () => {
    const w = disk(rule);
    const f = w.open('/mnt/a', O_WRONLY);
    w.read('/mnt/a');
    w.read('/mnt/a');
    expect(w.causes()).toEqual(['invalid_pcr open_writers']);
    w.close(f);
    const again = w.open('/mnt/a', O_WRONLY | O_APPEND);
    w.read('/mnt/a');
    expect(w.ima.state.violations).toBe(2);
    w.close(again);
    expect(w.text('/sec/violations')).toBe('2\n');
  });

  it('every time on kernels before the limit', () => {
    const w = new World({ switches: { limitViolations: false } });
    w.write('/mnt/a', 'one');
    w.policy(`${rule} ${HERE}`);
    const r = w.open('/mnt/a');
    w.write('/mnt/a', 'x', w.task(), O_WRONLY);
    w.write('/mnt/a', 'y', w.task(), O_WRONLY);
    expect(w.ima.state.violations).toBe(2);
    w.close(r);
  });

  it('use the default template and register, and none without a measure rule', () => {
    const w = disk(`${rule} pcr=11 template=ima-sig`);
    const r = w.open('/mnt/a');
    w.write('/mnt/a', 'x', w.task(), O_WRONLY);
    expect(w.list[2]).toMatch(/^10 0{40} ima-ng /);
    w.close(r);
    const audit = disk('audit func=FILE_CHECK');
    const r2 = audit.open('/mnt/a');
    audit.write('/mnt/a', 'x', audit.task(), O_WRONLY);
    expect(audit.ima.state.violations).toBe(0);
    audit.close(r2);
  });

  it('an O_RDWR opener is a writer for others, not for itself', () => {
    const w = disk('measure func=FILE_CHECK mask=^MAY_READ');
    const f = w.open('/mnt/a', O_RDWR);
    expect(w.ima.state.violations).toBe(0);
    w.read('/mnt/a');
    expect(w.causes()).toEqual(['invalid_pcr open_writers']);
    w.close(f);
  });
});

describe('what is remembered', () => {
  it('survives opens for writing that wrote nothing where the file system counts changes', () => {
    const w = new World();
    for (const path of ['/mnt/a', '/fat/a']) w.write(path, 'one');
    w.policy('measure func=FILE_CHECK mask=MAY_READ');
    for (const path of ['/mnt/a', '/fat/a']) {
      w.read(path);
      w.close(w.open(path, O_WRONLY));
    }
    expect((w.iint('/mnt/a')?.flags ?? 0) & C.IMA_MEASURED).not.toBe(0);
    expect((w.iint('/fat/a')?.flags ?? 0) & C.IMA_MEASURED).toBe(0);
  });

  it('is void after a truncation, where the kernel has that hook', () => {
    for (const truncateHooks of [true, false]) {
      const w = new World({ switches: { truncateHooks } });
      w.write('/mnt/a', 'one');
      w.policy(`measure func=FILE_CHECK mask=MAY_READ ${HERE}`);
      w.read('/mnt/a');
      w.vfs.truncate(w.task(), '/mnt/a', 1);
      w.read('/mnt/a');
      expect(w.names.length).toBe(truncateHooks ? 3 : 2);
    }
  });

  it('goes with the inode', () => {
    const w = disk('measure func=FILE_CHECK mask=MAY_READ');
    w.read('/mnt/a');
    expect(w.ima.state.iint.size).toBe(1);
    w.vfs.unlink(w.task(), '/mnt/a');
    expect(w.ima.state.iint.size).toBe(0);
  });

  it('keeps the state object when nothing is new', () => {
    const w = disk('measure func=FILE_CHECK mask=MAY_READ');
    w.read('/mnt/a');
    const before = w.ima.state;
    w.read('/mnt/a');
    expect(w.ima.state).toBe(before);
    expect(w.events('ima.check').at(-1)?.reason).toBe('ima.nothing_left');
  });
});

describe('audit and hash rules', () => {
  it('write one record for each content', () => {
    const w = disk('audit func=FILE_CHECK mask=MAY_READ');
    w.read('/mnt/a');
    w.read('/mnt/a');
    const digest = toHex(crypto().hash('sha256', utf8('one')));
    expect(w.auditBodies().filter((b) => b.startsWith('1805'))).toEqual([
      `1805 file="/mnt/a" hash="sha256:${digest}" ppid=1 pid=64 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0` +
        ' egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm="init" exe="/init"',
    ]);
  });

  it('label the file when its last writer changed it', () => {
    const w = disk('hash func=FILE_CHECK');
    w.read('/mnt/a');
    expect(w.label('/mnt/a')).toBeNull();
    w.write('/mnt/a', 'two');
    expect(w.label('/mnt/a')).toBe(toHex(hashLabel('two')));
    expect(w.reasons).toContain('ima.hash_rule');
  });
});

describe('mappings', () => {
  const map = (w: World, prot: number, shared = false) => {
    const f = w.open('/mnt/a', shared ? O_RDWR : O_RDONLY);
    const m = w.vfs.mmap(w.task(), { file: f, length: 3, prot, shared, offset: 0 });
    w.close(f);
    return m;
  };

  it('are looked at when they are executable', () => {
    const w = disk('measure func=MMAP_CHECK');
    map(w, PROT_READ);
    expect(w.names).toHaveLength(1);
    map(w, PROT_READ | PROT_EXEC);
    expect(w.names).toHaveLength(2);
  });

  it('tell protection asked for from protection in force', () => {
    const w = disk('measure func=MMAP_CHECK_REQPROT pcr=11', 'measure func=MMAP_CHECK pcr=12');
    const f = w.open('/mnt/a');
    expect(w.ima.mmapFile(w.task(), f, PROT_READ, PROT_READ | PROT_EXEC)).toBe(0);
    expect(w.list.slice(1).map((l) => l.slice(0, 2))).toEqual(['12']);
    w.close(f);
  });

  it('that become executable are refused where mappings are appraised, else recorded as failed', () => {
    const w = disk('appraise func=MMAP_CHECK');
    const m = map(w, PROT_READ);
    if (!m.ok) throw new Error(m.errno);
    expect(w.vfs.mprotect(w.task(), m.value, PROT_READ | PROT_EXEC)).toBe('EPERM');
    expect(w.causes()).toEqual(['collect_data failed-mprotect']);
    const both = disk('measure func=MMAP_CHECK', 'appraise func=BPRM_CHECK');
    const n = map(both, PROT_READ);
    if (!n.ok) throw new Error(n.errno);
    expect(both.vfs.mprotect(both.task(), n.value, PROT_READ | PROT_EXEC)).toBe(0);
    expect(both.auditBodies().at(-1)).toMatch(/cause=failed-mprotect .* res=1 errno=0$/);
    const none = disk('measure func=MMAP_CHECK');
    const o = map(none, PROT_READ);
    if (!o.ok) throw new Error(o.errno);
    expect(none.vfs.mprotect(none.task(), o.value, PROT_READ | PROT_EXEC)).toBe(0);
    expect(none.causes()).toEqual([]);
  });

  it('are refused for a file that is mapped writable elsewhere', () => {
    const w = disk('appraise func=MMAP_CHECK');
    w.setLabel('/mnt/a', hashLabel('one'));
    expect(map(w, PROT_READ | PROT_WRITE, true).ok).toBe(true);
    expect(map(w, PROT_READ | PROT_EXEC)).toEqual({ ok: false, errno: 'EACCES' });
    expect(w.causes()).toEqual(['mmap_file mmapped_writers']);
  });
});

describe('what the kernel reads for itself', () => {
  it('is checked after the read, from memory', () => {
    const w = disk(
      'measure func=FIRMWARE_CHECK',
      'measure func=MODULE_CHECK',
      'measure func=KEXEC_INITRAMFS_CHECK',
    );
    const f = w.open('/mnt/a');
    for (const id of ['firmware', 'module', 'kexec-initramfs'] as const) {
      expect(w.ima.kernelReadFile(w.task(), f, id, true)).toBe(0);
      expect(w.ima.kernelPostReadFile(w.task(), f, id, utf8(`data of ${id}`))).toBe(0);
    }
    // The first digest stays with the inode: three hooks, one entry.
    expect(w.names).toHaveLength(2);
    expect(w.list[1]).toContain(toHex(crypto().hash('sha256', utf8('data of firmware'))));
    w.close(f);
  });

  it('is checked before a partial read, from the file', () => {
    const w = disk('measure func=FIRMWARE_CHECK');
    const f = w.open('/mnt/a');
    expect(w.ima.kernelReadFile(w.task(), f, 'firmware', false)).toBe(0);
    expect(w.names).toHaveLength(2);
    w.close(f);
  });

  it('must not be empty where appraisal enforces, except a certificate', () => {
    const w = new World();
    const f = w.open('/mnt/e', O_CREAT | O_WRONLY);
    expect(w.ima.kernelPostReadFile(w.task(), f, 'firmware', latin1(''))).toBe('EACCES');
    expect(w.ima.kernelPostReadFile(w.task(), null, 'x509-certificate', latin1('x'))).toBe(0);
    expect(w.ima.kernelPostReadFile(w.task(), null, 'module', latin1('x'))).toBe('EACCES');
    const log = new World({ cmdline: 'ima_appraise=log' });
    expect(log.ima.kernelPostReadFile(log.task(), null, 'module', latin1('x'))).toBe(0);
    w.close(f);
  });

  it('without a file is refused where the policy wants it appraised', () => {
    const w = new World({ cmdline: 'ima_policy=secure_boot' });
    const load = (x: World, id: 'kexec-image' | 'module' | 'firmware', contents = false): unknown =>
      x.ima.kernelLoadData(x.task(), id, contents);
    expect([
      load(w, 'kexec-image'),
      load(w, 'module'),
      load(w, 'firmware'),
      load(w, 'firmware', true),
    ]).toEqual(['EACCES', 'EACCES', 'EACCES', 0]);
    expect(w.ima.kernelPostLoadData(w.task(), 'firmware', utf8('x'), '')).toBe('EACCES');
    const signed = new World({
      cmdline: 'ima_policy=secure_boot',
      platform: { moduleSigEnforced: () => true },
    });
    expect(load(signed, 'module')).toBe(0);
    const log = new World({ cmdline: 'ima_policy=secure_boot ima_appraise=log' });
    expect([load(log, 'kexec-image'), load(log, 'module'), load(log, 'firmware')]).toEqual([0, 0, 0]);
    const sig = new World({ config: { CONFIG_KEXEC_SIG: 'y' }, platform: { secureBoot: true } });
    expect(load(sig, 'kexec-image')).toBe('EACCES');
  });

  it('tells whether a kind of read must be signed', () => {
    const w = new World();
    w.policy(
      'appraise func=KEXEC_KERNEL_CHECK uid=5',
      'appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig',
      'appraise func=MODULE_CHECK appraise_type=imasig',
    );
    expect([w.ima.appraiseSignature('kexec-image'), w.ima.appraiseSignature('module')]).toEqual([
      false,
      true,
    ]);
    expect(w.ima.appraiseSignature('firmware')).toBe(false);
  });
});
