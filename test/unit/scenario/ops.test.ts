// The operations against a scripted process: which system calls they make, in which order, and what they report.

import { describe, expect, it } from 'vitest';
import { fromLatin1, utf8 } from '../../../src/base/bytes.ts';
import { fail, ok, type Result } from '../../../src/base/errno.ts';
import { newAudit } from '../../../src/integrity/audit.ts';
import type { MachineApi, SpawnOptions } from '../../../src/kernel/api.ts';
import { OPS } from '../../../src/scenario/ops/table.ts';
import { contentOf, num } from '../../../src/scenario/ops/types.ts';
import { checkOp, type OpInput, runOp, Session, type Sys } from '../../../src/scenario/session.ts';

/** A machine whose processes answer with the given calls; every call is written down. */
class Script {
  readonly calls: string[] = [];
  readonly spawned: SpawnOptions[] = [];
  readonly exited: number[] = [];
  advanced = 0;
  readonly session: Session;

  constructor(answers: Partial<Sys>) {
    const calls = this.calls;
    const sys = new Proxy(answers, {
      get(target, name: string) {
        const answer = (target as Record<string, unknown>)[name];
        if (typeof answer !== 'function') return answer;
        return (...args: unknown[]): unknown => {
          const shown = args.map((a) => (a instanceof Uint8Array ? fromLatin1(a) : JSON.stringify(a)));
          calls.push(`${name}(${shown.join(' ')})`);
          return (answer as (...a: unknown[]) => unknown)(...args);
        };
      },
    }) as Sys;
    const machine = {
      audit: { state: newAudit() },
      spawn: (options: SpawnOptions): number => this.spawned.push(options),
      exit: (pid: number): number => this.exited.push(pid),
      sys: () => sys,
      advance: (us: number): void => {
        this.advanced += us;
      },
    } as unknown as MachineApi;
    this.session = new Session(machine);
  }

  run(op: OpInput): unknown {
    return runOp(this.session, op);
  }
}

/** Answers reads of a file with its text, then with nothing. */
function reader(files: Record<string, string>): Partial<Sys> {
  const open: { text: string; at: number }[] = [];
  return {
    open: (path: string): Result<number> => {
      const text = files[path];
      return text === undefined ? fail('ENOENT') : ok(open.push({ text, at: 0 }) - 1);
    },
    read: (fd: number): Result<Uint8Array> => {
      const file = open[fd];
      if (file === undefined) return fail('EBADF');
      const rest = utf8(file.text.slice(file.at));
      file.at = file.text.length;
      return ok(rest);
    },
    close: () => 0,
  };
}

describe('arguments', () => {
  it('reads numbers as strtol with base 0 does', () => {
    expect(['0644', '420', '0x1a4', '-3', ' +7', '', 'x', '08', 420].map((v) => num(v, 1))).toEqual([
      420, 420, 420, -3, 7, 0, 0, 0, 420,
    ]);
    expect(num(undefined, 5)).toBe(5);
  });

  it('takes data in every form', () => {
    const text = (d: Parameters<typeof contentOf>[0]): string => {
      const c = contentOf(d);
      return c.kind === 'bytes' ? fromLatin1(c.bytes) : `${c.label} ${c.length}`;
    };
    expect(text('é')).toBe('\u00c3\u00a9');
    expect(text({ hex: '00ff' })).toBe('\u0000\u00ff');
    expect(text({ repeat: 'ab', n: 3 })).toBe('ababab');
    expect(text(['a', { text: 'b' }, { hex: '63' }])).toBe('abc');
    expect(text({ opaque: 'bzImage', len: 9, digests: {} })).toBe('bzImage 9');
  });

  it('complains about wrong arguments and lets unknown ones through', () => {
    expect(checkOp({ op: 'chmod', path: '/a', mode: '0600', surplus: 1 })).toEqual([]);
    expect(checkOp({ op: 'chmod', mode: 1 }).map((i) => i.path)).toEqual([['path']]);
    expect(checkOp({ op: 'write', path: '/a', data: { hex: 'abc' } }).length).toBe(1);
  });

  it('declares each operation once', () => {
    expect(new Set(OPS.map((o) => o.name)).size).toBe(OPS.length);
    expect(OPS.length).toBeGreaterThan(55);
  });
});

describe('processes', () => {
  it('makes one for each actor and ids, and keeps slots apart', () => {
    const s = new Script({ open: () => ok(3), close: () => 0 });
    s.run({ op: 'open', path: '/a', slot: 'x' });
    s.run({ op: 'open', path: '/a', slot: 'x', uid: 1000 });
    s.run({ op: 'open', path: '/a', slot: 'x', uid: 1000, actor: 'other' });
    expect(s.run({ op: 'close', slot: 'x', uid: 1000, euid: 0 })).toEqual({ err: 'EBADF' });
    expect(s.run({ op: 'close', slot: 'x' })).toEqual({ err: 'OK' });
    expect(s.run({ op: 'close', slot: 'x' })).toEqual({ err: 'EBADF' });
    expect(s.spawned.map(({ uid, euid, gid }) => [uid, euid, gid])).toEqual([
      [0, 0, 0],
      [1000, 1000, 1000],
      [1000, 1000, 1000],
      [1000, 0, 1000],
    ]);
    expect(s.advanced).toBe(6000);
  });

  it('buries a process that a fault killed', () => {
    const s = new Script({ mmap: () => ok(1), poke: () => 'EFAULT' });
    s.run({ op: 'mmap', map: 'm' });
    expect(s.run({ op: 'pokemap', map: 'm', data: 'x' })).toEqual({ err: 'ACTOR_DIED' });
    expect(s.exited).toEqual([1]);
    expect(s.run({ op: 'pokemap', map: 'm', data: 'x' })).toEqual({ err: 'EBADF' });
  });

  it('says that it does not know an operation', () => {
    expect(new Script({}).run({ op: 'fly' })).toMatchObject({ err: 'ENOSYS' });
  });
});

describe('files', () => {
  it('names the step of a write that failed', () => {
    expect(new Script({ open: () => fail('EACCES') }).run({ op: 'write', path: '/a', data: 'x' })).toEqual({
      err: 'EACCES',
      at_open: 'EACCES',
    });
    const s = new Script({ open: () => ok(3), write: () => fail('EPERM'), close: () => 0 });
    expect(s.run({ op: 'write', path: '/a', data: 'x' })).toEqual({ err: 'EPERM', at_write: 'EPERM' });
  });

  it('writes until everything is written', () => {
    const s = new Script({ open: () => ok(3), write: (_, d) => ok(Math.min(2, d.length)), close: () => 0 });
    expect(s.run({ op: 'write', path: '/a', data: 'abcde', mode: '0600' })).toEqual({ err: 'OK' });
    expect(s.calls).toEqual([
      'open("/a" 524865 384)',
      'write(3 abcde)',
      'write(3 cde)',
      'write(3 e)',
      'close(3)',
    ]);
  });

  it('returns texts with one character per byte', () => {
    const s = new Script(reader({ '/a': 'ä' }));
    expect(s.run({ op: 'cat', path: '/a' })).toEqual({ err: 'OK', text: '\u00c3\u00a4' });
    expect(s.run({ op: 'cat', path: '/a', hex: 1 })).toEqual({ err: 'OK', hex: 'c3a4' });
    expect(s.run({ op: 'read', path: '/b' })).toEqual({ err: 'ENOENT', at_open: 'ENOENT' });
  });

  it('maps a path through a descriptor of its own', () => {
    const s = new Script({ open: () => ok(4), mmap: () => fail('EACCES'), close: () => 0 });
    expect(s.run({ op: 'mmap', path: '/a', prot: 'rx' })).toEqual({ err: 'EACCES', at_mmap: 'EACCES' });
    expect(s.calls.at(-1)).toBe('close(4)');
  });
});

describe('policy upload', () => {
  /** The kernel's one line per write(2), the line end counted even when it is not there. */
  const upload = (bad: string | null): Script => {
    let policy = 'old\n';
    let next = '';
    const files = reader({});
    return new Script({
      ...files,
      open: (_path: string, flags: number) => {
        if ((flags & 3) === 0) return ok(0);
        return ok(1);
      },
      read: (() => {
        let fresh = true;
        return () => {
          fresh = !fresh;
          return ok(fresh ? new Uint8Array(0) : utf8(policy));
        };
      })(),
      write: (_fd, data) => {
        const [line = ''] = fromLatin1(data).split('\n');
        if (line === bad) return fail('EINVAL');
        next += `${line}\n`;
        return ok(line.length + 1);
      },
      close: (fd) => {
        if (fd === 1 && bad === null) policy += next;
        return 0;
      },
    });
  };

  it('loops over partial writes as cat does', () => {
    expect(upload(null).run({ op: 'policy_row', data: 'one\ntwo' })).toEqual({
      err: 'OK',
      wrote: [4, 4],
      added: 'one\ntwo\n',
    });
    expect(upload(null).run({ op: 'policy_row', data: 'one\ntwo', loop: 0 })).toMatchObject({ wrote: [4] });
  });

  it('stops at the first line that is refused', () => {
    expect(upload('two').run({ op: 'policy_row', data: 'one\ntwo\nthree' })).toEqual({
      err: 'EINVAL',
      wrote: [4],
      at_write: 'EINVAL',
      added: '',
    });
  });
});

describe('keys', () => {
  const KEYS =
    '1aab6cef I------     1 perm 1f0f0000     0     0 keyring   .ima: 1\n' +
    'f2e14b55 I------     1 perm 1f0f0000     0     0 keyring   .evm: empty\n';

  it('finds a keyring by its name in /proc/keys', () => {
    const rings: unknown[] = [];
    const s = new Script({
      ...reader({ '/proc/keys': KEYS }),
      addKey: (_t, _d, _p, ring) => {
        rings.push(ring);
        return ok(7);
      },
    });
    const add = (ring?: string): unknown =>
      s.run({ op: 'add_key', type: 'asymmetric', data: 'x', ...(ring ? { ring } : {}) });
    expect([add('%.ima'), add('%.evm'), add()]).toEqual([{ err: 'OK' }, { err: 'OK' }, { err: 'OK' }]);
    expect(rings).toEqual([0x1aab6cef, 0xf2e14b55 | 0, -3]);
    expect(add('%.nosuch')).toEqual({ err: 'ENOKEY', noring: true });
  });
});
