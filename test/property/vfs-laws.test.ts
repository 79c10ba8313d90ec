// Laws that hold after any sequence of operations: counts equal what they count, no record points nowhere,
// a state that went through JSON goes on alike, forks never see each other.

import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { type Op, randomOps, Simulated } from '../../scripts/vfs-host/ops.ts';
import { decodeState, encodeState } from '../../src/base/json.ts';
import type { FsType, VfsState } from '../../src/vfs/types.ts';
import { FMODE_READ, FMODE_WRITE, FMODE_WRITER } from '../../src/vfs/types.ts';

/** A source of choices that shrinks: the numbers one after the other, zeros at the end. */
const choices = fc.array(fc.nat(1 << 20), { minLength: 50, maxLength: 700, size: 'max' });

function opsOf(numbers: readonly number[], length: number, overlay = false): Op[] {
  let at = 0;
  return randomOps((n) => (numbers[at++] ?? 0) % n, length, overlay);
}

/** Everything that must hold of a state; an empty list when it does. */
function broken(state: VfsState): string[] {
  const out: string[] = [];
  const say = (ok: boolean, text: string): void => {
    if (!ok) out.push(text);
  };
  const names = new Map<number, number>();
  const subdirs = new Map<number, number>();
  for (const inode of state.inodes.values()) {
    for (const id of inode.children?.values() ?? []) {
      const dentry = state.dentries.get(id);
      const child = dentry === undefined ? undefined : state.inodes.get(dentry.inode);
      say(dentry !== undefined && child !== undefined, `directory ${inode.ino} has a name without an inode`);
      if (dentry === undefined || child === undefined) continue;
      say(dentry.hashed, `${dentry.name} is in a directory and not hashed`);
      say(state.dentries.get(dentry.parent)?.inode === inode.key, `${dentry.name} has another parent`);
      names.set(child.key, (names.get(child.key) ?? 0) + 1);
      if (child.children !== null) subdirs.set(inode.key, (subdirs.get(inode.key) ?? 0) + 1);
    }
  }
  const files = [...state.files.values()];
  for (const inode of state.inodes.values()) {
    const open = files.filter((f) => f.inode === inode.key);
    const readers = open.filter((f) => (f.fmode & (FMODE_READ | FMODE_WRITE)) === FMODE_READ).length;
    const writers = open.filter((f) => (f.fmode & FMODE_WRITER) !== 0).length;
    say(
      inode.iReadcount === readers,
      `inode ${inode.ino}: i_readcount ${inode.iReadcount}, ${readers} readers`,
    );
    say(
      inode.iWritecount === writers,
      `inode ${inode.ino}: i_writecount ${inode.iWritecount}, ${writers} writers`,
    );
    say(
      inode.openCount >= open.length,
      `inode ${inode.ino}: openCount ${inode.openCount}, ${open.length} files`,
    );
    if (inode.layers !== null) {
      for (const key of [inode.realData, inode.realMeta])
        say(key !== null && state.inodes.has(key), `overlay inode ${inode.ino} lost its layer`);
      continue;
    }
    const root = state.superblocks.get(inode.sb)?.root;
    const isRoot = root !== undefined && state.dentries.get(root)?.inode === inode.key;
    if (inode.children === null) {
      say(inode.nlink === (names.get(inode.key) ?? 0), `inode ${inode.ino}: nlink ${inode.nlink}`);
      say(inode.nlink > 0 || inode.openCount > 0, `inode ${inode.ino} is gone and still here`);
    } else if (inode.nlink > 0) {
      const links = 2 + (subdirs.get(inode.key) ?? 0);
      say(inode.nlink === links, `directory ${inode.ino}: nlink ${inode.nlink}, not ${links}`);
      say(isRoot || names.get(inode.key) === 1, `directory ${inode.ino} has no name`);
    }
    if (inode.content?.kind === 'bytes')
      say(inode.content.bytes.length === inode.size, `inode ${inode.ino}: size ${inode.size}`);
  }
  for (const sb of state.superblocks.values()) {
    const mounts = [...state.mounts.values()].filter((m) => m.sb === sb.id).length;
    say(sb.mounted === mounts, `${sb.type}: mounted ${sb.mounted}, not ${mounts}`);
    const used = [...state.inodes.values()].filter((i) => i.sb === sb.id && i.nlink > 0).map((i) => i.ino);
    if (sb.overlay === null) say(new Set(used).size === used.length, `${sb.type}: an inode number twice`);
  }
  for (const file of files) {
    say(state.dentries.has(file.path.dentry), `file ${file.id} has no dentry`);
    say(state.mounts.has(file.path.mount), `file ${file.id} has no mount`);
  }
  return out;
}

const types: readonly FsType[] = ['tmpfs', 'ext4', 'ramfs'];

describe('random operations', () => {
  test.prop([choices, fc.constantFrom(...types)], { numRuns: 120 })('keep all counts', (numbers, type) => {
    const machine = new Simulated(type);
    for (const op of opsOf(numbers, 30)) {
      machine.one(op);
      expect(broken(machine.vfs.state), JSON.stringify(op)).toEqual([]);
    }
    machine.run([]);
    expect(broken(machine.vfs.state)).toEqual([]);
    expect([...machine.vfs.state.files.values()]).toEqual([]);
  });

  test.prop([choices, fc.constantFrom('on', 'off')], { numRuns: 80 })(
    'keep all counts on overlays',
    (numbers, meta) => {
      const ops = opsOf(numbers, 40, true);
      const machine = new Simulated('tmpfs');
      machine.enterOverlay(ops.slice(0, 20), meta);
      for (const op of ops.slice(20)) {
        machine.one(op);
        expect(broken(machine.vfs.state), JSON.stringify(op)).toEqual([]);
      }
    },
  );

  test.prop([choices, fc.constantFrom(...types)], { numRuns: 60 })(
    'go on alike after JSON',
    (numbers, type) => {
      const ops = opsOf(numbers, 30);
      const machine = new Simulated(type);
      for (const op of ops.slice(0, 20)) machine.one(op);
      const json = encodeState(machine.vfs.state);
      const other = machine.fork(decodeState(JSON.parse(JSON.stringify(json))) as VfsState);
      const first = machine.run(ops.slice(20));
      expect(other.run(ops.slice(20))).toEqual(first);
      expect(encodeState(other.vfs.state)).toEqual(encodeState(machine.vfs.state));
    },
  );

  test.prop([choices, fc.constantFrom(...types)], { numRuns: 60 })(
    'never show in a fork',
    (numbers, type) => {
      const ops = opsOf(numbers, 40);
      const machine = new Simulated(type);
      for (const op of ops.slice(0, 15)) machine.one(op);
      const before = machine.vfs.state;
      const json = JSON.stringify(encodeState(before));
      const fork = machine.fork(before);
      fork.run(ops.slice(15));
      expect(JSON.stringify(encodeState(before))).toBe(json);
      expect(machine.vfs.state).toBe(before);
    },
  );
});
