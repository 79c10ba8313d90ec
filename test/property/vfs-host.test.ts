// The VFS against this machine's own kernel: random sequences of file operations through node:fs and
// through the simulation give the same errnos, the same bytes and the same tree. Runs as whoever runs the
// tests, in a directory of its own.

import {
  chmodSync,
  closeSync,
  constants,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { type Op, type Outcome, Simulated } from '../../scripts/vfs-host/ops.ts';

const linux = process.platform === 'linux' && process.getuid !== undefined;
if (!linux) console.log('vfs-host: skipped, this is no Linux');
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;
const umask = process.umask();

const FLAGS: { readonly [word: string]: number } = {
  rdonly: constants.O_RDONLY,
  wronly: constants.O_WRONLY,
  rdwr: constants.O_RDWR,
  creat: constants.O_CREAT,
  excl: constants.O_EXCL,
  trunc: constants.O_TRUNC,
  append: constants.O_APPEND,
  directory: constants.O_DIRECTORY,
  nofollow: constants.O_NOFOLLOW,
};

class Host {
  readonly top = mkdtempSync(join(tmpdir(), 'kisim-vfs-'));
  readonly base = join(this.top, 'w');
  readonly slots = new Map<string, number>();

  constructor() {
    mkdirSync(this.base, 0o755);
  }

  one(op: Op): Outcome {
    try {
      return ['OK', this.run(op)];
    } catch (e) {
      return [(e as { code?: string }).code ?? String(e), null];
    }
  }

  private slot(op: Op): number {
    const fd = this.slots.get(op.slot ?? '');
    if (fd === undefined) throw { code: 'EBADF' };
    return fd;
  }

  private run(op: Op): unknown {
    const path = this.base + (op.path ?? '');
    switch (op.op) {
      case 'open': {
        const fd = openSync(
          path,
          (op.flags ?? []).reduce((n, f) => n | (FLAGS[f] ?? 0), 0),
          op.mode ?? 0o644,
        );
        const old = this.slots.get(op.slot ?? '');
        if (old !== undefined) closeSync(old);
        this.slots.set(op.slot ?? '', fd);
        return null;
      }
      case 'close': {
        closeSync(this.slot(op));
        this.slots.delete(op.slot ?? '');
        return null;
      }
      case 'pread': {
        const out = Buffer.alloc(op.len ?? 0);
        return out.subarray(0, readSync(this.slot(op), out, 0, out.length, op.off ?? 0)).toString('latin1');
      }
      case 'pwrite':
        return writeSync(this.slot(op), Buffer.from(op.data ?? '', 'latin1'), 0, undefined, op.off ?? 0);
      case 'ftruncate':
        return ftruncateSync(this.slot(op), op.len ?? 0) ?? null;
      case 'truncate':
        return truncateSync(path, op.len ?? 0) ?? null;
      case 'mkdir':
        return mkdirSync(path, op.mode ?? 0) ?? null;
      case 'rmdir':
        return rmdirSync(path) ?? null;
      case 'unlink':
        return unlinkSync(path) ?? null;
      case 'rename':
        return renameSync(path, this.base + (op.to ?? '')) ?? null;
      case 'link':
        return linkSync(path, this.base + (op.to ?? '')) ?? null;
      case 'symlink':
        return symlinkSync(op.target ?? '', path) ?? null;
      case 'chmod':
        return chmodSync(path, op.mode ?? 0) ?? null;
      case 'readlink':
        return readlinkSync(path);
      case 'readdir':
        return readdirSync(path).sort();
      default:
        return modeAndSize(op.op === 'stat' ? statSync(path) : lstatSync(path));
    }
  }

  end(): void {
    for (const fd of this.slots.values()) closeSync(fd);
  }

  tree(dir = ''): unknown[] {
    return readdirSync(this.base + dir)
      .sort()
      .flatMap((name) => {
        const path = `${dir}/${name}`;
        const st = lstatSync(this.base + path);
        if (st.isDirectory()) chmodSync(this.base + path, 0o755);
        if (st.isFile()) chmodSync(this.base + path, 0o644);
        const what = st.isFile()
          ? readFileSync(this.base + path, 'latin1')
          : st.isSymbolicLink()
            ? readlinkSync(this.base + path)
            : '';
        return [[path, st.mode, what], ...(st.isDirectory() ? this.tree(path) : [])];
      });
  }
}

function modeAndSize(st: { mode: number; size: number; isFile(): boolean }): unknown {
  return [st.mode, st.isFile() ? st.size : 0];
}

const name = fc.constantFrom('a', 'b', 'd', 'e', 's');
const path = fc.oneof(
  name.map((n) => `/${n}`),
  fc.tuple(name, name).map(([a, b]) => `/${a}/${b}`),
  fc.tuple(name, name, name).map(([a, b, c]) => `/${a}/${b}/${c}`),
  fc.tuple(name, name).map(([a, b]) => `/${a}/../${b}`),
  name.map((n) => `/${n}/`),
  name.map((n) => `/${n}/.`),
  fc.constantFrom(`/${'x'.repeat(256)}`, `/${'é'.repeat(128)}`, `/d${'/d'.repeat(2100)}`),
);
const mode = fc.constantFrom(0, 0o400, 0o600, 0o644, 0o755, 0o777, 0o1777, 0o2755, 0o311);
const len = fc.constantFrom(0, 1, 7, 4096, 5000);
const slot = fc.constantFrom('x', 'y');
const flags = fc
  .tuple(
    fc.constantFrom('rdonly', 'wronly', 'rdwr'),
    fc.subarray(['creat', 'creat', 'excl', 'trunc', 'append', 'directory', 'nofollow']),
  )
  .map(([how, more]) => [how, ...more]);
const data = fc.constantFrom('', 'A', 'hello', 'B'.repeat(5000));
const kind = <K extends string>(op: K): fc.Arbitrary<K> => fc.constant(op);
const anyOp: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: kind('open'), path, slot, flags, mode }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: kind('open'),
      path,
      slot,
      flags: fc.constant(['rdwr', 'creat']),
      mode: fc.constant(0o644),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: kind('mkdir'), path, mode }) },
  { weight: 2, arbitrary: fc.record({ op: kind('pwrite'), slot, data, off: len }) },
  fc.record({ op: kind('close'), slot }),
  fc.record({ op: kind('pread'), slot, len: fc.constantFrom(1, 10, 5000), off: len }),
  fc.record({ op: kind('ftruncate'), slot, len }),
  fc.record({ op: kind('truncate'), path, len }),
  fc.record({ op: fc.constantFrom('rmdir', 'unlink', 'readlink', 'readdir', 'stat', 'lstat'), path }),
  fc.record({ op: fc.constantFrom('rename', 'link'), path, to: path }),
  fc.record({ op: kind('symlink'), path, target: fc.constantFrom('a', 'd', 'd/', './e', '../b', 's', 'no') }),
  fc.record({ op: kind('chmod'), path, mode }),
);

/** node:fs gives what it reads only, and asks for the target's type by itself in a few places. */
const ours = (op: Op, [err, value]: Outcome): Outcome => {
  if ((op.op === 'stat' || op.op === 'lstat') && Array.isArray(value)) return [err, [value[0], value[4]]];
  return [err, value];
};

describe.runIf(linux)('the host kernel', () => {
  test.prop([fc.array(anyOp, { minLength: 10, maxLength: 40, size: 'max' })], { numRuns: 150 })(
    'and the VFS give the same answers',
    (ops) => {
      const host = new Host();
      const machine = new Simulated('tmpfs');
      machine.identity = { uid, gid, umask };
      try {
        machine.one({ op: 'mkdir', path: '/w', mode: 0o755 });
        machine.base = '/w';
        for (const op of ops) expect(ours(op, machine.one(op)), JSON.stringify(op)).toEqual(host.one(op));
        expect(machine.treeBelow('/w')).toEqual(host.tree());
      } finally {
        host.end();
        rmSync(host.top, { recursive: true, force: true });
      }
    },
  );
});
