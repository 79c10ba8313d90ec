// Laws of the whole machine, over random sequences of system calls by three actors: the same calls give the same trace, a
// fork never sees what the other side does, a machine from JSON goes on identically, and the registers are the fold of the
// measurement list.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, equalBytes, filled, fromUtf8, utf8 } from '../../src/base/bytes.ts';
import { encodeState } from '../../src/base/json.ts';
import { crypto } from '../../src/crypto/provider.ts';
import { program } from '../../src/kernel/images.ts';
import { Machine } from '../../src/kernel/machine.ts';
import type { TaskSyscalls } from '../../src/kernel/syscalls.ts';

type Op =
  | { readonly op: 'open'; readonly path: string; readonly flags: number }
  | { readonly op: 'close' | 'read' | 'dup' | 'fsync'; readonly fd: number }
  | { readonly op: 'write'; readonly fd: number; readonly text: string }
  | { readonly op: 'truncate'; readonly path: string; readonly length: number }
  | { readonly op: 'exec' | 'unlink' | 'mkdir' | 'stat'; readonly path: string }
  | { readonly op: 'rename' | 'link' | 'symlink'; readonly path: string; readonly to: string }
  | { readonly op: 'chmod'; readonly path: string; readonly mode: number }
  | { readonly op: 'setxattr'; readonly path: string; readonly name: string }
  | { readonly op: 'mmap'; readonly fd: number; readonly prot: number; readonly shared: boolean }
  | { readonly op: 'advance'; readonly us: number };

interface Step {
  readonly actor: number;
  readonly what: Op;
}

const path = fc.constantFrom('/mnt/a', '/mnt/b', '/mnt/p', '/mnt/s', '/mnt/d/x', '/t', '/mnt/d');
const fd = fc.integer({ min: 3, max: 7 });
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('open' as const),
      path,
      flags: fc.constantFrom(0, 1, 2, 0o101, 0o1102),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ op: fc.constantFrom('close', 'read', 'dup', 'fsync'), fd }) as fc.Arbitrary<Op>,
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('write' as const), fd, text: fc.string({ maxLength: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('truncate' as const), path, length: fc.nat(8) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom('exec', 'unlink', 'mkdir', 'stat'),
      path,
    }) as fc.Arbitrary<Op>,
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constantFrom('rename', 'link', 'symlink'),
      path,
      to: path,
    }) as fc.Arbitrary<Op>,
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('chmod' as const),
      path,
      mode: fc.constantFrom(0o644, 0o755, 0o600),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('setxattr' as const),
      path,
      name: fc.constantFrom('security.ima', 'user.x'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('mmap' as const),
      fd,
      prot: fc.constantFrom(1, 3, 5),
      shared: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('advance' as const), us: fc.nat(5000) }) },
);
const steps = fc.array(fc.record({ actor: fc.nat(2), what: op }), { maxLength: 40, size: 'max' });

/** One machine that all runs fork: booting costs more than the run. */
function base(): Machine {
  const m = Machine.boot({
    cmdline: 'ima_policy=tcb',
    disks: [{ name: 'vdc', type: 'ext4', files: {} }],
  });
  const sys = m.sys(1);
  sys.mount('d', '/dev', 'devtmpfs', [], '');
  sys.mount('/dev/vdc', '/mnt', 'ext4', [], '');
  sys.chmod('/mnt', 0o777);
  for (const [name, content] of [
    ['p', program()],
    ['s', utf8('#!/mnt/p\n')],
  ] as const) {
    const file = sys.open(`/mnt/${name}`, 0o101, 0o755);
    if (file.ok) {
      sys.write(file.value, content);
      sys.close(file.value);
    }
  }
  for (const uid of [0, 0, 1000]) m.spawn({ uid });
  return m;
}

const BASE = base();
const ACTORS = [...BASE.kernel.state.tasks.keys()].filter((pid) => pid !== 1).sort((a, b) => a - b);

function call(sys: TaskSyscalls, o: Op): unknown {
  switch (o.op) {
    case 'open':
      return sys.open(o.path, o.flags, 0o644);
    case 'close':
      return sys.close(o.fd);
    case 'read':
      return sys.read(o.fd, 100);
    case 'dup':
      return sys.dup(o.fd);
    case 'fsync':
      return sys.fsync(o.fd);
    case 'write':
      return sys.write(o.fd, utf8(o.text));
    case 'truncate':
      return sys.truncate(o.path, o.length);
    case 'exec':
      return sys.exec(o.path, [o.path]);
    case 'unlink':
      return sys.unlink(o.path);
    case 'mkdir':
      return sys.mkdir(o.path, 0o755);
    case 'stat':
      return sys.stat(o.path);
    case 'rename':
      return sys.rename(o.path, o.to);
    case 'link':
      return sys.link(o.path, o.to);
    case 'symlink':
      return sys.symlink(o.path, o.to);
    case 'chmod':
      return sys.chmod(o.path, o.mode);
    case 'setxattr':
      return sys.setxattr(o.path, o.name, utf8('v'));
    case 'mmap':
      return sys.mmap({ fd: o.fd, length: 4096, prot: o.prot, shared: o.shared });
    case 'advance':
      return 0;
  }
}

function run(m: Machine, list: readonly Step[]): string[] {
  return list.map(({ actor, what }) => {
    if (what.op === 'advance') m.advance(what.us);
    return JSON.stringify(encodeState(call(m.sys(ACTORS[actor] as number), what)));
  });
}

describe('laws of the machine', () => {
  it('the same calls give the same results and the same trace', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const [a, b] = [BASE.fork(), BASE.fork()];
        expect(run(a, list)).toEqual(run(b, list));
        expect(a.traceDigest()).toBe(b.traceDigest());
      }),
      { numRuns: 60 },
    );
  });

  it('a machine that was booted once is the machine that boots anew', () => {
    const config = { cmdline: 'ima_policy=tcb', seed: 'once' };
    const fresh = Machine.boot(config);
    Machine.bootOnce(config).sys(1).mkdir('/leaves-no-mark', 0o755);
    const again = Machine.bootOnce(config);
    expect(again.traceDigest()).toBe(fresh.traceDigest());
    expect(again.toJSON()).toEqual(fresh.toJSON());
    expect(again.sys(1).stat('/leaves-no-mark')).toEqual({ ok: false, errno: 'ENOENT' });
  });

  it('a fork never sees what the other side does', () => {
    fc.assert(
      fc.property(steps, steps, steps, (before, mine, theirs) => {
        const a = BASE.fork();
        run(a, before);
        const b = a.fork();
        const c = a.fork();
        run(b, theirs);
        expect(run(a, mine)).toEqual(run(c, mine));
        expect(a.traceDigest()).toBe(c.traceDigest());
      }),
      { numRuns: 40 },
    );
  });

  it('a machine from JSON goes on identically', () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const a = BASE.fork();
        run(a, before);
        const text = JSON.stringify(a.toJSON());
        const b = Machine.fromJSON(JSON.parse(text));
        expect(JSON.stringify(b.toJSON())).toBe(text);
        expect(run(b, after)).toEqual(run(a, after));
        expect(b.traceDigest()).toBe(a.traceDigest());
      }),
      { numRuns: 25 },
    );
  });

  it('the registers are the fold of the measurement list', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const m = BASE.fork();
        run(m, list);
        for (const bank of ['sha1', 'sha256'] as const) {
          const size = crypto().hash(bank, new Uint8Array(0)).length;
          let pcr: Uint8Array = filled(size, 0);
          for (const line of fromUtf8(m.imaList('ascii', bank)).split('\n')) {
            const hex = line.split(' ')[1];
            if (hex === undefined) continue;
            const digest = /^0*$/.test(hex) ? filled(size, 0xff) : new Uint8Array(Buffer.from(hex, 'hex'));
            pcr = crypto().hash(bank, concat(pcr, digest));
          }
          expect(equalBytes(pcr, m.pcr(bank, 10) ?? filled(0, 0))).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('when all actors end, no file is open but what init runs', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const m = BASE.fork();
        run(m, list);
        for (const pid of ACTORS) m.exit(pid);
        expect([...m.vfs.state.files.keys()]).toEqual([m.kernel.task(1)?.exeFile?.file]);
        for (const inode of m.vfs.state.inodes.values()) {
          const runs = inode.key === m.kernel.task(1)?.exeFile?.inode;
          expect([inode.key, inode.iWritecount]).toEqual([inode.key, runs ? -1 : 0]);
          expect(inode.iReadcount).toBe(runs ? 1 : 0);
        }
      }),
      { numRuns: 40 },
    );
  });
});
