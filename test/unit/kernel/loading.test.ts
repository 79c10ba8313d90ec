import { describe, expect, it } from 'vitest';
import { concat, fromUtf8, latin1, utf8 } from '../../../src/base/bytes.ts';
import { kernelModule } from '../../../src/kernel/images.ts';
import type { Machine } from '../../../src/kernel/machine.ts';
import { O_RDONLY, O_WRONLY } from '../../../src/vfs/constants.ts';
import { disk, errnoOf, file, listed, machine, read, value, write } from './machines.ts';

const MODULE = kernelModule('hello', '6.12.107');

function insert(m: Machine, path: string, flags = 0): string | 0 {
  const sys = m.sys(1);
  const fd = value(sys.open(path, O_RDONLY));
  const err = sys.finitModule(fd, '', flags);
  sys.close(fd);
  return err;
}

describe('modules', () => {
  it('load once, are listed, and leave', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/hello.ko', MODULE);
    expect(insert(m, '/mnt/hello.ko')).toBe(0);
    expect(read(sys, '/proc/modules')).toMatch(/^hello \d+ 0 - Live/);
    expect(insert(m, '/mnt/hello.ko')).toBe('EEXIST');
    expect(sys.initModule(MODULE, '')).toBe('EEXIST');
    expect(sys.deleteModule('hello')).toBe(0);
    expect(sys.deleteModule('hello')).toBe('ENOENT');
    expect(sys.initModule(MODULE, '')).toBe(0);
  });

  it.each([
    ['another kernel', kernelModule('hello', '6.1.0'), 0, 'ENOEXEC'],
    ['no module', utf8('text'), 0, 'ENOEXEC'],
    ['ignored version magic without forced loading', MODULE, 2, 'ENOEXEC'],
    ['compressed', MODULE, 4, 'EOPNOTSUPP'],
    ['unknown flags', MODULE, 8, 'EINVAL'],
    ['empty', new Uint8Array(0), 0, 'EINVAL'],
  ] as const)('refuse %s', (_what, image, flags, errno) => {
    const m = machine();
    write(m.sys(1), '/mnt/m.ko', image);
    expect(insert(m, '/mnt/m.ko', flags)).toBe(errno);
  });

  it('with an appended signature of an unknown key load unless signatures are enforced', () => {
    const signed = concat(
      MODULE,
      utf8('signature'),
      Uint8Array.of(0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 9),
      latin1('~Module signature appended~\n'),
    );
    const m = machine();
    expect(m.sys(1).initModule(signed, '')).toBe('EBADMSG');
    expect(m.sys(1).initModule(MODULE, '')).toBe(0);
    const strict = machine({ cmdline: 'module.sig_enforce' });
    expect(strict.sys(1).initModule(MODULE, '')).toBe('EKEYREJECTED');
    expect(read(strict.sys(1), '/sys/module/module/parameters/sig_enforce')).toBe('Y\n');
    expect(write(strict.sys(1), '/sys/module/module/parameters/sig_enforce', '0')).toBe('EROFS');
  });

  it('are measured by their file, and refused while it is open for writing', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/hello.ko', MODULE);
    write(sys, '/sys/kernel/security/ima/policy', 'measure func=MODULE_CHECK\n');
    const writer = value(sys.open('/mnt/hello.ko', O_WRONLY));
    expect(insert(m, '/mnt/hello.ko')).toBe('ETXTBSY');
    sys.close(writer);
    expect(insert(m, '/mnt/hello.ko')).toBe(0);
    expect(listed(m)).toEqual(['boot_aggregate', '/mnt/hello.ko']);
    expect(sys.finitModule(77, '', 0)).toBe('EBADF');
  });
});

describe('firmware', () => {
  const trigger = '/sys/devices/virtual/misc/test_firmware/trigger_request';

  it('comes from the search path, with the kernel as the reader', () => {
    const m = machine();
    const sys = m.sys(1);
    sys.mkdir('/mnt/fw', 0o700);
    write(sys, '/mnt/fw/card.bin', 'FW', 0o600);
    write(sys, '/lib/firmware/other.bin', 'FW');
    expect(write(sys, trigger, 'card.bin')).toBe('ENOENT');
    expect(write(sys, trigger, 'other.bin')).toBe(0);
    expect(write(sys, '/sys/module/firmware_class/parameters/path', '/mnt/fw\n')).toBe(0);
    expect(read(sys, '/sys/module/firmware_class/parameters/path')).toBe('/mnt/fw\n');
    expect(write(sys, trigger, 'card.bin')).toBe(0);
    expect(write(sys, trigger, '../init')).toBe('EINVAL');
  });

  it('that a rule refuses is not found', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/lib/firmware/card.bin', 'FW');
    write(sys, '/sys/kernel/security/ima/policy', 'appraise func=FIRMWARE_CHECK appraise_type=imasig\n');
    expect(write(sys, trigger, 'card.bin')).toBe('EACCES');
    sys.mkdir('/mnt/fw', 0o755);
    write(sys, '/mnt/fw/card2.bin', 'FW');
    write(sys, '/sys/module/firmware_class/parameters/path', '/mnt/fw');
    expect(write(sys, trigger, 'card2.bin')).toBe('ENOENT');
  });
});

describe('device-mapper', () => {
  const root = new Uint8Array(32).fill(0x5a);
  const salt = Uint8Array.of(0xaa, 0xbb);
  const params = (digest = '5a'.repeat(32)): string =>
    `1 /dev/vdd /dev/vde 4096 4096 256 1 sha256 ${digest} aabb`;
  const mapped = (): Machine =>
    machine({
      disks: [disk({}), { ...disk({ '/f': file('verified') }, 'vdd'), verity: { rootHash: root, salt } }],
      rawDisks: [{ name: 'vde', hashTreeOf: 'vdd' }],
    });

  it('shows the data disk through a verity target, read-only', () => {
    const m = mapped();
    const sys = m.sys(1);
    const number = value(sys.dmCreate('a'));
    expect(errnoOf(sys.dmCreate('a'))).toBe('EBUSY');
    expect(sys.dmTableLoad({ name: 'a', target: 'verity', sectors: 2048, params: params() })).toBe(0);
    expect(sys.dmResume('a')).toBe(0);
    sys.mknod('/dev/mapper/a', 0o60600, number);
    sys.mkdir('/v', 0o755);
    expect(sys.mount('/dev/mapper/a', '/v', 'ext4', [], '')).toBe('EACCES');
    expect(sys.mount('/dev/mapper/a', '/v', 'ext4', ['ro'], '')).toBe(0);
    expect(read(sys, '/v/f')).toBe('verified');
    expect(write(sys, '/v/f', 'x')).toBe('EROFS');
    expect(sys.dmRemove('a')).toBe('EBUSY');
    expect(sys.umount('/v')).toBe(0);
    expect(sys.dmRemove('a')).toBe(0);
  });

  it('cannot read a disk whose tree has another root', () => {
    const m = mapped();
    const sys = m.sys(1);
    const number = value(sys.dmCreate('b'));
    expect(
      sys.dmTableLoad({ name: 'b', target: 'verity', sectors: 2048, params: params('00'.repeat(32)) }),
    ).toBe(0);
    sys.dmResume('b');
    sys.mknod('/dev/mapper/b', 0o60600, number);
    sys.mkdir('/v', 0o755);
    expect(sys.mount('/dev/mapper/b', '/v', 'ext4', ['ro'], '')).toBe('EIO');
  });

  it.each([
    ['few arguments', '1 /dev/vdd', 'EINVAL'],
    ['a missing device', params().replace('/dev/vdd', '/dev/none'), 'ENOENT'],
    ['an unknown hash', params().replace('sha256', 'sha257'), 'ENOENT'],
    ['a short root', params('5a'), 'EINVAL'],
    ['an unknown feature', `${params()} 1 nonsense`, 'EINVAL'],
    ['a signature key that is not there', `${params()} 2 root_hash_sig_key_desc none`, 'ENOKEY'],
  ] as const)('refuses %s', (_what, text, errno) => {
    const sys = mapped().sys(1);
    sys.dmCreate('c');
    expect(sys.dmTableLoad({ name: 'c', target: 'verity', sectors: 2048, params: text })).toBe(errno);
    expect(sys.dmResume('c')).toBe('EINVAL');
  });

  it('tells IMA what it does, as critical data', () => {
    const m = mapped();
    const sys = m.sys(1);
    write(sys, '/sys/kernel/security/ima/policy', 'measure func=CRITICAL_DATA label=device-mapper\n');
    sys.dmCreate('a;b');
    sys.dmTableLoad({ name: 'a;b', target: 'linear', sectors: 8, params: '/dev/vdd 0' });
    sys.dmResume('a;b');
    sys.dmRemove('a;b');
    expect(listed(m)).toEqual(['boot_aggregate', 'dm_table_load', 'dm_device_resume', 'dm_device_remove']);
    const hex = fromUtf8(m.imaList('ascii')).split('\n')[1]?.split(' ')[5] ?? '';
    expect(Buffer.from(hex, 'hex').toString()).toBe(
      'dm_version=4.48.0;name=a\\;b,uuid=,major=253,minor=0,minor_count=1,num_targets=1;target_index=0,' +
        'target_begin=0,target_len=8,target_name=linear,target_version=1.4.0,device_name=254:48,start=0;',
    );
  });

  it('is for root only', () => {
    const m = mapped();
    const user = m.sys(m.spawn({ uid: 1000 }));
    expect(errnoOf(user.dmCreate('x'))).toBe('EACCES');
    expect(user.dmResume('x')).toBe('EACCES');
  });
});

describe('keys', () => {
  it('can be added, found, read and revoked by their owner', () => {
    const m = machine();
    const sys = m.sys(1);
    const key = value(sys.addKey('user', 'secret', utf8('payload'), -3));
    expect(value(sys.keySearch(-3, 'user', 'secret'))).toBe(key);
    expect(fromUtf8(value(sys.keyRead(key)))).toBe('payload');
    expect(sys.keyringExists('.ima')).toBe(true);
    expect(sys.keyringExists('.nothing')).toBe(false);
    expect(sys.keyRevoke(key)).toBe(0);
    expect(errnoOf(sys.keyRead(key))).toBe('EKEYREVOKED');
    expect(read(sys, '/proc/keys')).toContain('.builtin_trusted_keys');
  });

  it('a session keyring is made for the task that adds to it, and is its own', () => {
    const m = machine();
    const [a, b] = [m.sys(m.spawn({})), m.sys(m.spawn({}))];
    value(a.addKey('user', 'k', utf8('v'), -3));
    expect(errnoOf(b.keySearch(-3, 'user', 'k'))).toBe('ENOKEY');
    expect(a.addKey('user', 'k', utf8('v'), '.ima').ok).toBe(false);
  });
});
