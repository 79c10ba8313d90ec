// Smack: labels, access letters and rules, labels of new files, what IMA's rules and audit records see of them. The whole
// is held against the recorded kernel by the conformance case ov01-smack.

import { describe, expect, it } from 'vitest';
import { fromLatin1, latin1, utf8 } from '../../../src/base/bytes.ts';
import { toArray } from '../../../src/base/list.ts';
import { RECORDED_ENVIRONMENT } from '../../../src/conformance/env-data.ts';
import { profileOf } from '../../../src/conformance/environment.ts';
import { auditLine } from '../../../src/integrity/audit.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { parseLabel } from '../../../src/lsm/smack.ts';

function boot() {
  const machine = Machine.boot({
    profile: profileOf(RECORDED_ENVIRONMENT, 'smack'),
    cmdline: 'ima_policy=tcb',
  });
  const root = machine.sys(1);
  root.mkdir('/proc', 0o755);
  root.mount('proc', '/proc', 'proc', [], '');
  root.mkdir('/sm', 0o755);
  expect(root.mount('sm', '/sm', 'smackfs', [], '')).toBe(0);
  return { machine, root, user: machine.sys(machine.spawn({ uid: 1000 })) };
}

type Sys = ReturnType<Machine['sys']>;

function put(sys: Sys, path: string, text: string, flags = 0o1101): unknown {
  const fd = sys.open(path, flags, 0o666);
  if (!fd.ok) return fd.errno;
  const wrote = sys.write(fd.value, utf8(text));
  sys.close(fd.value);
  return wrote.ok ? wrote.value : wrote.errno;
}

const label = (sys: Sys, path: string): string => {
  const value = sys.getxattr(path, 'security.SMACK64');
  return value.ok ? fromLatin1(value.value) : value.errno;
};

describe('Smack', () => {
  it('reads a label up to the first character that cannot be in one', () => {
    expect(['lab', 'la/b', '-no', '', ' x', 'a"b', 'x'.repeat(255)].map(parseLabel)).toEqual([
      'lab',
      'la',
      null,
      null,
      null,
      'a',
      'x'.repeat(255),
    ]);
    expect(parseLabel('x'.repeat(256))).toBe(null);
  });

  it('is not there on a kernel without it', () => {
    const machine = Machine.boot({});
    machine.sys(1).mkdir('/sm', 0o755);
    expect(machine.sys(1).mount('sm', '/sm', 'smackfs', [], '')).toBe('ENODEV');
  });

  it('labels new files with the task and refuses other labels to those without rule or capability', () => {
    const { machine, root, user } = boot();
    put(root, '/a', 'x');
    root.chmod('/a', 0o666);
    expect(label(root, '/a')).toBe('_');
    expect(root.setxattr('/a', 'security.SMACK64', latin1('lab'))).toBe(0);
    expect(user.open('/a', 0)).toEqual({ ok: false, errno: 'EACCES' });
    const last = toArray(machine.audit.state.records).at(-1);
    expect(last && auditLine(last)).toMatch(
      /type=1400 .*fn=smack_inode_permission action=denied subject="_" object="lab" requested=r .*name="a"/,
    );
    expect(put(root, '/sm/load2', '_ lab r', 1)).toBe(7);
    expect(user.open('/a', 0).ok).toBe(true);
    expect(user.open('/a', 1)).toEqual({ ok: false, errno: 'EACCES' });
    expect(user.setxattr('/a', 'security.SMACK64', latin1('_'))).toBe('EPERM');
  });

  it('gives a transmuting directory’s label to what is made in it', () => {
    const { root } = boot();
    root.mkdir('/d', 0o777);
    root.setxattr('/d', 'security.SMACK64', latin1('dir'));
    expect(root.setxattr('/d', 'security.SMACK64TRANSMUTE', latin1('true'))).toBe('EINVAL');
    root.setxattr('/d', 'security.SMACK64TRANSMUTE', latin1('TRUE'));
    put(root, '/d/before', 'x');
    put(root, '/sm/load2', '_ dir rwxat', 1);
    put(root, '/d/after', 'x');
    root.mkdir('/d/sub', 0o777);
    expect(['/d/before', '/d/after', '/d/sub'].map((p) => label(root, p))).toEqual(['_', 'dir', 'dir']);
    expect(root.getxattr('/d/sub', 'security.SMACK64TRANSMUTE').ok).toBe(true);
    expect(root.getxattr('/d/after', 'security.SMACK64TRANSMUTE').ok).toBe(false);
  });

  it('lets a task take another label, which its files and audit records then have', () => {
    const { machine, root } = boot();
    expect(put(root, '/proc/self/attr/current', '*', 1)).toBe('EINVAL');
    expect(put(root, '/proc/self/attr/current', 'proc', 1)).toBe(4);
    put(root, '/b', 'x');
    expect(label(root, '/b')).toBe('proc');
    const task = machine.kernel.task(1);
    expect(task && machine.audit.taskContext(task)).toBe(' subj=proc');
    expect(machine.fork().sys(1).getxattr('/b', 'security.SMACK64').ok).toBe(true);
  });
});
