import { describe, expect, it } from 'vitest';
import { INIT_CRED } from '../../../src/kernel/state.ts';
import { CLONE_NEWNS, CLONE_NEWUSER } from '../../../src/kernel/syscall-files.ts';
import { workerCred } from '../../../src/kernel/task.ts';
import { CAP_FULL_SET, O_CLOEXEC, O_PATH, O_RDONLY } from '../../../src/vfs/constants.ts';
import { errnoOf, listed, machine, read, value, write } from './machines.ts';

describe('credentials', () => {
  it.each([
    [0, 0, CAP_FULL_SET],
    [1000, 1000, 0n],
    [1000, 0, CAP_FULL_SET],
    [0, 1000, 0n],
  ])('uid %i euid %i', (uid, euid, caps) => {
    const cred = workerCred(INIT_CRED, uid, euid, 100);
    expect(cred).toMatchObject({ uid, euid, suid: euid, fsuid: euid, gid: 100, fsgid: 100, caps });
  });

  it('spawned tasks act with their ids and keep the name of their parent', () => {
    const m = machine();
    const pid = m.spawn({ uid: 1000, gid: 1000 });
    expect(m.kernel.task(pid)).toMatchObject({ comm: 'init', ppid: 1 });
    expect(write(m.sys(pid), '/mnt/f', 'x')).toBe('EACCES');
    m.sys(1).chmod('/mnt', 0o777);
    expect(write(m.sys(pid), '/mnt/f', 'x')).toBe(0);
    expect(value(m.sys(pid).stat('/mnt/f'))).toMatchObject({ uid: 1000, gid: 1000 });
  });
});

describe('descriptors', () => {
  it('are the lowest free number, and EBADF once closed', () => {
    const sys = machine().sys(1);
    const [a, b] = [value(sys.open('/init', O_RDONLY)), value(sys.open('/init', O_RDONLY))];
    expect(b).toBe(a + 1);
    expect(sys.close(a)).toBe(0);
    expect(value(sys.dup(b))).toBe(a);
    expect(sys.close(a)).toBe(0);
    expect(sys.close(a)).toBe('EBADF');
    expect(errnoOf(sys.read(a, 1))).toBe('EBADF');
    expect(errnoOf(sys.write(b, new Uint8Array(1)))).toBe('EBADF');
  });

  it('opened with O_PATH take part in few calls', () => {
    const sys = machine().sys(1);
    const fd = value(sys.open('/init', O_PATH));
    expect(errnoOf(sys.read(fd, 1))).toBe('EBADF');
    expect(sys.fchmod(fd, 0o600)).toBe('EBADF');
    expect(sys.fstat(fd).ok).toBe(true);
    expect(errnoOf(sys.dup(fd))).toBe(0);
  });

  it('share the position after dup, not after a second open', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/f', 'abcdef');
    const a = value(sys.open('/mnt/f', O_RDONLY));
    const b = value(sys.dup(a));
    const c = value(sys.open('/mnt/f', O_RDONLY));
    sys.read(a, 2);
    expect([value(sys.read(b, 1))[0], value(sys.read(c, 1))[0]]).toEqual([0x63, 0x61]);
  });

  it('go with the task: a file stays open for writing until its last holder ends', () => {
    const m = machine();
    const sys = m.sys(1);
    write(sys, '/mnt/p', 'x', 0o755);
    const writer = m.spawn({});
    value(m.sys(writer).open('/mnt/p', 1));
    expect(errnoOf(sys.exec('/mnt/p', ['p']))).toBe('ETXTBSY');
    m.exit(writer);
    expect(errnoOf(sys.exec('/mnt/p', ['p']))).toBe('ENOEXEC');
    expect(errnoOf(m.sys(writer).open('/mnt/p', 0))).toBe('ESRCH');
  });
});

describe('directories and namespaces', () => {
  it('chroot needs the capability and a directory that can be searched', () => {
    const m = machine();
    const sys = m.sys(1);
    sys.mkdir('/mnt/jail', 0o700);
    write(sys, '/mnt/jail/f', 'inside');
    const user = m.sys(m.spawn({ uid: 1000 }));
    expect(user.chroot('/mnt')).toBe('EPERM');
    expect(user.chdir('/mnt/jail')).toBe('EACCES');
    expect(user.chdir('/mnt/none')).toBe('ENOENT');
    const jailed = m.sys(m.spawn({}));
    expect(jailed.chroot('/mnt/jail')).toBe(0);
    expect(jailed.chdir('/')).toBe(0);
    expect(read(jailed, '/f')).toBe('inside');
    expect(errnoOf(jailed.stat('/init'))).toBe('ENOENT');
  });

  it('umask gives the old mask and cuts new modes', () => {
    const sys = machine().sys(1);
    expect(sys.umask(0o077)).toBe(0o022);
    write(sys, '/mnt/f', '', 0o666);
    expect(value(sys.stat('/mnt/f')).mode & 0o777).toBe(0o600);
    expect(sys.umask(0o022)).toBe(0o077);
  });

  it('a new mount namespace keeps later mounts to itself', () => {
    const m = machine();
    const other = m.sys(m.spawn({}));
    expect(other.unshare(CLONE_NEWNS)).toBe(0);
    expect(other.umount('/mnt')).toBe(0);
    expect(errnoOf(m.sys(1).stat('/mnt/lost+found'))).toBe(0);
    expect(errnoOf(other.stat('/mnt/lost+found'))).toBe('ENOENT');
  });

  it('namespaces need CAP_SYS_ADMIN, which a new user namespace gives inside itself only', () => {
    const m = machine();
    const user = m.sys(m.spawn({ uid: 1000 }));
    expect(user.unshare(CLONE_NEWNS)).toBe('EPERM');
    expect(user.unshare(CLONE_NEWUSER | CLONE_NEWNS)).toBe(0);
    expect(user.mount('t', '/mnt', 'tmpfs', [], '')).toBe(0);
    expect(user.mount('/dev/vdc', '/mnt', 'ext4', [], '')).toBe('EPERM');
    expect(user.deleteModule('x')).toBe('EPERM');
    expect(user.unshare(0x40000000)).toBe('EINVAL');
  });
});

describe('/proc', () => {
  it('shows the acting task and sysctls', () => {
    const m = machine();
    const sys = m.sys(1);
    expect(read(sys, '/proc/self/comm')).toBe('init\n');
    expect(read(sys, '/proc/self/status')).toContain('CapEff:\t000001ffffffffff');
    expect(read(sys, '/proc/mounts')).toContain('/dev/vdc /mnt ext4 rw,relatime 0 0\n');
    expect(write(sys, '/proc/sys/kernel/printk_ratelimit', '0\n')).toBe(0);
    expect(read(sys, '/proc/sys/kernel/printk_ratelimit')).toBe('0\n');
    expect(write(sys, '/proc/sys/kernel/printk_ratelimit', 'x')).toBe('EINVAL');
    expect(write(sys, '/proc/sys/fs/verity/require_signatures', '2')).toBe('EINVAL');
  });

  it('leads to the program, the directory and the root of whoever looks', () => {
    const m = machine();
    const sys = m.sys(m.spawn({}));
    sys.mkdir('/mnt/d', 0o755);
    write(sys, '/mnt/d/f', 'here');
    sys.chdir('/mnt/d');
    expect(read(sys, '/proc/self/cwd/f')).toBe('here');
    expect(value(sys.stat('/proc/self/exe')).ino).toBe(value(sys.stat('/init')).ino);
    expect(errnoOf(sys.exec('/proc/self/exe', ['again']))).toBe(0);
    sys.chroot('/mnt');
    expect(errnoOf(sys.stat('/d/f'))).toBe(0);
  });

  it('locks module loading and kexec for good', () => {
    const m = machine();
    const sys = m.sys(1);
    expect(write(sys, '/proc/sys/kernel/modules_disabled', '1')).toBe(0);
    expect(write(sys, '/proc/sys/kernel/modules_disabled', '0')).toBe('EINVAL');
    expect(sys.initModule(new Uint8Array(100), '')).toBe('EPERM');
    write(sys, '/proc/sys/kernel/kexec_load_disabled', '1');
    expect(sys.kexecLoad(0)).toBe('EPERM');
  });

  it('drops caches: a renamed file is listed under its new name', () => {
    const m = machine({ cmdline: 'ima_policy=tcb' });
    const sys = m.sys(1);
    write(sys, '/mnt/a', 'content');
    read(sys, '/mnt/a');
    sys.rename('/mnt/a', '/mnt/b');
    const fd = value(sys.open('/mnt/b', O_RDONLY | O_CLOEXEC));
    sys.fsync(fd);
    sys.close(fd);
    write(sys, '/proc/sys/vm/drop_caches', '3');
    read(sys, '/mnt/b');
    expect(listed(m)).toEqual(['boot_aggregate', '/mnt/a', '/mnt/b']);
  });
});
